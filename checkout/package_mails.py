"""What those who take part in a package are written, in English and Spanish."""

from typing import Final

from agreements.package_model import Package
from checkout.mails import amount_text, instant_text
from kernel.mail import Mail

_LETTERS: Final = {
    ("package_to_sign", "en"): (
        "Please sign: order of {total}, {company}",
        (
            "An order of {total} of {company} waits for your signature until {until}.\n\n"
            "Read it here; opening it signs nothing. To sign, log in:\n{link}\n"
        ),
    ),
    ("package_to_sign", "es"): (
        "Firma pendiente: pedido de {total}, {company}",
        (
            "Un pedido de {total} de {company} espera su firma hasta el {until}.\n\n"
            "Puede leerlo aquí; abrirlo no firma nada. Para firmar, inicie sesión:\n{link}\n"
        ),
    ),
    ("package_executed", "en"): (
        "Signed by all: order {number} of {total}, {company}",
        (
            "All have signed. With the last signature order {number} of {total} of {company} was placed.\n\n"
            "The signed document with its certificate page: {link}\n\n"
            "Members of {company} find the receipt, with the evidence that anybody can verify without us, here: "
            "{receipt}\n"
        ),
    ),
    ("package_executed", "es"): (
        "Firmado por todos: pedido {number} de {total}, {company}",
        (
            "Todos han firmado. Con la última firma se ha realizado el pedido {number} de {total} de {company}.\n\n"
            "El documento firmado, con su página de certificación: {link}\n\n"
            "Los miembros de {company} encuentran aquí el justificante, con la prueba que cualquiera puede verificar "
            "sin nosotros: {receipt}\n"
        ),
    ),
    ("package_ended", "en"): (
        "Not signed: order of {total}, {company}",
        (
            "The order of {total} of {company} that was to be signed has ended without an order: {why}\n{comment}\n"
            "Signatures given before bind nobody. The buyer's cart stays as it is.\n{link}\n"
        ),
    ),
    ("package_ended", "es"): (
        "Sin firmar: pedido de {total}, {company}",
        (
            "El pedido de {total} de {company} pendiente de firma ha terminado sin pedido: {why}\n{comment}\n"
            "Las firmas anteriores no obligan a nadie. El carrito se conserva.\n{link}\n"
        ),
    ),
}
_WHY: Final = {
    "declined": ("somebody declined.", "alguien lo ha rechazado."),
    "expired": ("its time has passed.", "ha vencido su plazo."),
    "voided": ("the buyer took it back or changed it.", "el comprador lo ha retirado o modificado."),
}


def package_mail(
    kind: str, package: Package, *, to: str, locale: str, link: str, number: str = "", receipt: str = ""
) -> Mail:
    """The letter *kind*: `package_to_sign`, `_executed` (with *number* and *receipt*'s address) or `_ended`."""
    language = "es" if locale == "es" else "en"
    subject, text = _LETTERS[kind, language]
    values = {
        "total": amount_text(package.total, language),
        "company": package.content["company_name"],
        "until": instant_text(package.expires_at, language),
        "link": link,
        "number": number,
        "receipt": receipt,
        "why": _WHY.get(package.state.value, ("", ""))[language == "es"],
        "comment": f"\n    {package.closing_comment}\n" if package.closing_comment else "",
    }
    return Mail(to=to, subject=" ".join(subject.format(**values).split()), text=text.format(**values), kind=kind)
