"""What approvers and those who ask them are written, in English and Spanish."""

from typing import Final

from accounts.model import Person
from checkout.approval_model import ApprovalRequest
from checkout.mails import amount_text, instant_text
from kernel.mail import Mail

_LETTERS: Final = {
    ("approval_asked", "en"): (
        "{asker} asks you to approve an order of {total}",
        (
            "{asker} of {company} has filled in an order of {total} and asks for your approval.\n{note}\n"
            "Look at it, and approve and place it, or reject it with a reason, until {until}:\n{link}\n\n"
            "Opening the page binds nobody. Prices and stock are looked at again when you open it."
        ),
    ),
    ("approval_asked", "es"): (
        "{asker} le pide que apruebe un pedido de {total}",
        (
            "{asker}, de {company}, ha preparado un pedido de {total} y solicita su aprobación.\n{note}\n"
            "Revíselo y apruébelo, o rechácelo indicando el motivo, antes del {until}:\n{link}\n\n"
            "Abrir la página no obliga a nadie. Los precios y las existencias se comprueban de nuevo al abrirla."
        ),
    ),
    ("approval_rejected", "en"): (
        "Your order of {total} was not approved",
        (
            "{closer} did not approve your order of {total}.\n{note}\n"
            "Nothing was ordered. Your cart and your details are as you left them; change them and ask again:\n{cart}"
        ),
    ),
    ("approval_rejected", "es"): (
        "Su pedido de {total} no se ha aprobado",
        (
            "{closer} no ha aprobado su pedido de {total}.\n{note}\n"
            "No se ha pedido nada. Su carrito y sus datos siguen como estaban; modifíquelos y vuelva a solicitarlo:\n"
            "{cart}"
        ),
    ),
    ("approval_expired", "en"): (
        "Nobody approved your order of {total} in time",
        (
            "Your order of {total} waited for approval until {until}, and nobody placed it.\n\n"
            "Nothing was ordered. Your cart and your details are as you left them; you can ask again:\n{cart}"
        ),
    ),
    ("approval_expired", "es"): (
        "Nadie ha aprobado a tiempo su pedido de {total}",
        (
            "Su pedido de {total} esperó la aprobación hasta el {until} y nadie lo realizó.\n\n"
            "No se ha pedido nada. Su carrito y sus datos siguen como estaban; puede volver a solicitarlo:\n{cart}"
        ),
    ),
    ("approval_given", "en"): (
        "You approved and placed an order of {total}",
        (
            "You approved the order that {asker} of {company} asked for, and placed it in the company's name.\n\n"
            "Order and receipt: {order}"
        ),
    ),
    ("approval_given", "es"): (
        "Ha aprobado y realizado un pedido de {total}",
        (
            "Ha aprobado el pedido que solicitó {asker}, de {company}, y lo ha realizado en nombre de la empresa.\n\n"
            "Pedido y justificante: {order}"
        ),
    ),
}


def approval_mail(
    kind: str,
    request: ApprovalRequest,
    *,
    to: Person,
    asker: str,
    company: str,
    base_url: str,
    closer: str = "",
    order_number: str = "",
) -> Mail:
    """The letter *kind*: `approval_asked`, `_rejected`, `_expired` or `_given`, in the reader's language."""
    locale = "es" if to.locale == "es" else "en"
    subject, text = _LETTERS[kind, locale]
    note = request.closing_note if kind == "approval_rejected" else request.note
    values = {
        "asker": asker,
        "closer": closer,
        "company": company,
        "total": amount_text(request.total, locale),
        "note": f"\n    {note}\n" if note else "",
        "until": instant_text(request.expires_at, locale),
        "link": f"{base_url}/account/approvals/{request.id}",
        "cart": f"{base_url}/cart",
        "order": f"{base_url}/orders/{order_number}",
    }
    # a name or a note may hold a line break that a subject may not
    return Mail(to=to.email, subject=" ".join(subject.format(**values).split()), text=text.format(**values), kind=kind)
