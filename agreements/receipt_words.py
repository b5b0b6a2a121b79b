"""What a receipt says to people, taken from the receipt alone: rows of labels and values for its PDF and its page.

Erased values are said to be erased. These texts go into a sealed document, so they stand here and not in a catalogue.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

_LANGUAGES: Final = ("en", "es")
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Receipt of an acceptance", "Justificante de una aceptación"),
    "numbered": ("Receipt of order {number}", "Justificante del pedido {number}"),
    "page_title": ("What was presented", "Lo que se presentó"),
    "seller": ("Seller", "Vendedor"),
    "buyer": ("Buyer", "Comprador"),
    "by": ("Accepted by", "Aceptado por"),
    "authority": ("Authority", "Facultades"),
    "appointed": ("appointed signatory of the company", "firmante designado por la empresa"),
    "self_declared": ("self-declared", "declaradas por la propia persona"),
    "recorded": ("Recorded", "Registrado"),
    "button": ("Button", "Botón"),
    "erased": ("erased", "suprimido"),
    "accepted": ("What was accepted", "Lo que se aceptó"),
    "shown": ("Statements as shown", "Declaraciones tal como se mostraron"),
    "ticked": ("[x]", "[x]"),
    "not_ticked": ("[ ]", "[ ]"),
    "documents": ("Documents", "Documentos"),
    "document": ("Document", "Documento"),
    "digest": ("SHA-256 of its text", "SHA-256 de su texto"),
    "order": ("The order", "El pedido"),
    "sku": ("SKU", "SKU"),
    "quantity": ("Quantity", "Cantidad"),
    "unit_price": ("Unit price", "Precio unitario"),
    "amount": ("Amount {currency}", "Importe {currency}"),
    "goods": ("Goods", "Mercancía"),
    "freight": ("Freight", "Portes"),
    "tax": ("Tax", "Impuestos"),
    "total": ("Total", "Total"),
    "delivery": ("Delivery to", "Entrega a"),
    "evidence": ("The evidence", "La prueba"),
    "order_digest": ("Digest of the order", "Resumen del pedido"),
    "presentation_digest": ("Digest of what was presented", "Resumen de lo presentado"),
    "template": ("Template and style sheet of the page", "Plantilla y hoja de estilo de la página"),
    "price_book": ("Price book", "Libro de precios"),
    "row": ("Row of the ledger", "Fila del libro"),
    "checkpoint": ("Signed head of the ledger", "Cabecera firmada del libro"),
    "key": ("Signed by key", "Firmado con la clave"),
    "level": ("Kind of signature", "Tipo de firma"),
    "level_is": (
        "simple electronic signature of the buyer, with an electronic seal of the seller",
        "firma electrónica simple del comprador, con sello electrónico del vendedor",
    ),
    "proves": ("What it proves", "Lo que demuestra"),
    "does_not_prove": ("What it does not prove", "Lo que no demuestra"),
    "verify": ("How to verify it", "Cómo verificarlo"),
    "verify_say": (
        (
            "The bundle that came with this receipt is verified offline, without the seller, by one program (verify.py "
            "of the seller) and the seller's public keys, which you take from where you trust them:"
        ),
        (
            "El paquete que acompaña a este justificante se verifica sin conexión y sin el vendedor, con un programa "
            "(verify.py del vendedor) y las claves públicas del vendedor, que usted toma de donde confíe:"
        ),
    ),
    "signed_title": ("What was signed", "Lo que se firmó"),
    "signatures": ("Signatures", "Firmas"),
    "as": ("As", "Como"),
    "buyer_signatory": ("signatory of the buyer", "firmante del comprador"),
    "approver": ("approver of the buyer", "aprobador del comprador"),
    "counter_signer": ("counter-signer of the seller", "refrendo del vendedor"),
    "typed": ("Name and title as typed", "Nombre y cargo escritos"),
    "known": ("Logged in as", "Sesión iniciada como"),
    "signed_at": ("Signed, row of the ledger", "Firmado, fila del libro"),
    "executed": ("Executed", "Perfeccionado"),
    "package_digest": ("Digest that all signed", "Resumen que todos firmaron"),
    "rows": ("Rows of the ledger", "Filas del libro"),
    "framework": ("The framework agreement", "El acuerdo marco"),
    "framework_title": ("Receipt of a framework agreement", "Justificante de un acuerdo marco"),
    "framework_id": ("Id of the agreement", "Identificador del acuerdo"),
    "framework_digest": ("Digest of the agreement", "Resumen del acuerdo"),
    "covers": ("Covers orders", "Cubre pedidos"),
    "covers_programs": (
        "of the buyer's programs, by API or punch-out",
        "de los programas del comprador, por API o punch-out",
    ),
    "framework_accepted": ("The framework agreement accepted", "Acuerdo marco aceptado"),
    "channel": ("Placed by", "Realizado por"),
    "channel_api": ("the buyer's program, by API", "el programa del comprador, por API"),
    "channel_punchout": ("the buyer's program, by punch-out", "el programa del comprador, por punch-out"),
    "placed": ("Placed", "Realizado"),
    "limit": ("Covers orders up to", "Cubre pedidos de hasta"),
    "no_limit": ("any amount", "cualquier importe"),
    "cites": ("The order cites the acceptance by", "El pedido cita la aceptación por"),
    "seal_reason": ("Receipt of an acceptance", "Justificante de una aceptación"),
}
ACTOR: Final = ("actor_name", "job_title", "actor_email")
COMMAND: Final = "python verify.py bundle.zip --key tarifa-keys.json"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A heading with rows of label and value, paragraphs, or a table."""

    heading: str
    facts: tuple[tuple[str, str, bool], ...] = ()
    """Label, value, and whether the value is one for machines."""
    points: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A document about a receipt."""

    language: str
    title: str
    issuer: str
    recorded_at: str
    sections: tuple[Section, ...]


def word(name: str, locale: str, **values: object) -> str:
    return _WORDS[name][_LANGUAGES.index(_language(locale))].format(**values)


def about_receipt(receipt: Mapping[str, Any], *, number: str | None = None, locale: str | None = None) -> Said:
    """The receipt as a document: parties, what was accepted, the order, the evidence, what it proves and what not."""
    content, acceptance = receipt["presentation"]["content"], receipt["acceptance"]
    said = Words(locale or content["locale"])
    title = said("title") if number is None else said("numbered", number=number)
    return Said(
        language=said.language,
        title=title,
        issuer=receipt["issuer"],
        recorded_at=acceptance["recorded_at"],
        sections=(
            Section(heading="", facts=_parties(receipt, said)),
            Section(
                heading=said("accepted"),
                points=tuple(each["text"] for each in content["statements"] if each["id"] in acceptance["ticked"]),
            ),
            documents_section(content["documents"], said),
            order_section(receipt["order"], receipt["openings"], said),
            Section(heading=said("evidence"), facts=_evidence(receipt, said)),
            *closing_sections(receipt, said),
        ),
    )


def about_page(receipt: Mapping[str, Any]) -> Said:
    """What the page of the act said: the order, documents, statements in their order with their boxes, the button."""
    said = Words(receipt["presentation"]["content"]["locale"])
    return Said(
        language=said.language,
        title=said("page_title"),
        issuer=receipt["issuer"],
        recorded_at=receipt["acceptance"]["recorded_at"],
        sections=(order_section(receipt["order"], receipt["openings"], said), *shown_sections(receipt, said)),
    )


def shown_sections(act: Mapping[str, Any], said: "Words") -> tuple[Section, ...]:
    """What one person was shown beside the order: documents, statements with their boxes, notices, button."""
    content, ticked = act["presentation"]["content"], act["acceptance"]["ticked"]
    boxes = tuple(
        f"{said('ticked' if each['id'] in ticked else 'not_ticked')} {each['text']}" if each["box"] else each["text"]
        for each in content["statements"]
    )
    page = (("template", f"{content['template_digest']} {content['stylesheet_digest']}", True),)
    facts = (("button", content["button_label"], False), ("recorded", act["acceptance"]["recorded_at"], False))
    return (
        documents_section(content["documents"], said),
        Section(heading=said("shown"), points=(*boxes, *content["notices"])),
        Section(heading="", facts=tuple((said(name), value, code) for name, value, code in (*facts, *page))),
    )


class Words:
    def __init__(self, locale: str) -> None:
        self.language = _language(locale)

    def __call__(self, name: str, **values: object) -> str:
        return word(name, self.language, **values)


def _language(locale: str) -> str:
    return "es" if locale.startswith("es") else "en"


def opened(openings: Mapping[str, Any], field: str, said: Words) -> str:
    """The value behind a commitment, or that it was erased."""
    opening = openings.get(field)
    return said("erased") if opening is None else str(opening["value"])


def named_person(openings: Mapping[str, Any], fields: tuple[str, str, str], said: Words) -> str:
    """Name, title and e-mail as opened; said once where all are erased."""
    name, title, email = (opened(openings, field, said) for field in fields)
    return name if name == title == email else f"{name}, {title} ({email})"


def _parties(receipt: Mapping[str, Any], said: Words) -> tuple[tuple[str, str, bool], ...]:
    content = receipt["presentation"]["content"]
    person = named_person(receipt["openings"], ACTOR, said)
    authority = said("appointed" if content["authority"] == "appointed" else "self_declared")
    rows = (
        ("seller", receipt["issuer"]),
        ("buyer", content["company_name"]),
        ("by", person),
        ("authority", authority),
        ("recorded", receipt["acceptance"]["recorded_at"]),
        ("button", content["button_label"]),
        ("level", said("level_is")),
    )
    return tuple((said(label), value, False) for label, value in rows)


def documents_section(documents: Iterable[Mapping[str, Any]], said: Words) -> Section:
    return Section(
        heading=said("documents"),
        columns=(said("document"), said("digest")),
        rows=tuple((f"{each['title']} v{each['label']} ({each['locale']})", each["html_sha256"]) for each in documents),
    )


def order_section(order: Mapping[str, Any], openings: Mapping[str, Any], said: Words) -> Section:
    currency = order["currency"]
    lines = tuple(
        (
            line["sku"],
            f"{line['quantity']} {line.get('unit', '')}".strip(),
            str(line.get("unit_price") or ""),
            str(line["net"]),
        )
        for line in order["lines"]
    )
    sums = tuple(
        (said(name), f"{order[name]} {currency}", False)
        for name in ("goods", "freight", "tax", "total")
        if name in order
    )
    ship_to = [field for field in order["personal"] if field.startswith("ship_to.")]
    delivery = ", ".join(dict.fromkeys(opened(openings, f"order.{field}", said) for field in ship_to))
    return Section(
        heading=said("order"),
        columns=(said("sku"), said("quantity"), said("unit_price"), said("amount", currency=currency)),
        rows=lines,
        facts=(*sums, (said("delivery"), delivery, False)) if ship_to else sums,
    )


def closing_sections(receipt: Mapping[str, Any], said: Words) -> tuple[Section, ...]:
    """What it proves, what not, and how to verify it."""
    return (
        Section(heading=said("proves"), points=tuple(receipt["proves"])),
        Section(heading=said("does_not_prove"), points=tuple(receipt["does_not_prove"])),
        Section(heading=said("verify"), points=(said("verify_say"),), facts=(("", COMMAND, True),)),
    )


def head_of(receipt: Mapping[str, Any]) -> str:
    """Size and root of the signed head."""
    _, size, root, *_ = receipt["checkpoint"].split("\n")
    return f"{size} {root}"


def _evidence(receipt: Mapping[str, Any], said: Words) -> tuple[tuple[str, str, bool], ...]:
    content, acceptance = receipt["presentation"]["content"], receipt["acceptance"]
    rows = (
        ("order_digest", acceptance["order_digest"]),
        ("presentation_digest", acceptance["presentation_digest"]),
        ("template", f"{content['template_digest']} {content['stylesheet_digest']}"),
        ("price_book", str(receipt["order"].get("price_root", ""))),
        ("row", str(acceptance["seq"])),
        ("checkpoint", head_of(receipt)),
        ("key", receipt["seal"]["key_id"]),
    )
    return tuple((said(label), value, True) for label, value in rows if value)
