"""What a receipt says to people, taken from the receipt alone: rows of labels and values for its PDF and its page.

Erased values are said to be erased. These texts go into a sealed document, so they stand here and not in a catalogue.
"""

from collections.abc import Mapping
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
    "seal_reason": ("Receipt of an accepted order", "Justificante de un pedido aceptado"),
}
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


def about_receipt(receipt: Mapping[str, Any], *, number: str | None = None) -> Said:
    """The receipt as a document: parties, what was accepted, the order, the evidence, what it proves and what not."""
    content, acceptance = receipt["presentation"]["content"], receipt["acceptance"]
    said = _Words(content["locale"])
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
            _documents(content, said),
            _order(receipt, said),
            Section(heading=said("evidence"), facts=_evidence(receipt, said)),
            Section(heading=said("proves"), points=tuple(receipt["proves"])),
            Section(heading=said("does_not_prove"), points=tuple(receipt["does_not_prove"])),
            Section(heading=said("verify"), points=(said("verify_say"),), facts=(("", COMMAND, True),)),
        ),
    )


def about_page(receipt: Mapping[str, Any]) -> Said:
    """What the page of the act said: statements in their order with their boxes, notices, button, documents, order."""
    content, ticked = receipt["presentation"]["content"], receipt["acceptance"]["ticked"]
    said = _Words(content["locale"])
    boxes = tuple(
        f"{said('ticked' if each['id'] in ticked else 'not_ticked')} {each['text']}" if each["box"] else each["text"]
        for each in content["statements"]
    )
    page = (("template", f"{content['template_digest']} {content['stylesheet_digest']}", True),)
    facts = (("button", content["button_label"], False), ("recorded", receipt["acceptance"]["recorded_at"], False))
    return Said(
        language=said.language,
        title=said("page_title"),
        issuer=receipt["issuer"],
        recorded_at=receipt["acceptance"]["recorded_at"],
        sections=(
            _order(receipt, said),
            _documents(content, said),
            Section(heading=said("shown"), points=(*boxes, *content["notices"])),
            Section(heading="", facts=tuple((said(name), value, code) for name, value, code in (*facts, *page))),
        ),
    )


class _Words:
    def __init__(self, locale: str) -> None:
        self.language = _language(locale)

    def __call__(self, name: str, **values: object) -> str:
        return word(name, self.language, **values)


def _language(locale: str) -> str:
    return "es" if locale.startswith("es") else "en"


def _opened(receipt: Mapping[str, Any], field: str, said: _Words) -> str:
    opening = receipt["openings"].get(field)
    return said("erased") if opening is None else str(opening["value"])


def _parties(receipt: Mapping[str, Any], said: _Words) -> tuple[tuple[str, str, bool], ...]:
    content = receipt["presentation"]["content"]
    name, title, email = (_opened(receipt, field, said) for field in ("actor_name", "job_title", "actor_email"))
    person = name if name == title == email else f"{name}, {title} ({email})"
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


def _documents(content: Mapping[str, Any], said: _Words) -> Section:
    return Section(
        heading=said("documents"),
        columns=(said("document"), said("digest")),
        rows=tuple(
            (f"{each['title']} v{each['label']} ({each['locale']})", each["html_sha256"])
            for each in content["documents"]
        ),
    )


def _order(receipt: Mapping[str, Any], said: _Words) -> Section:
    order = receipt["order"]
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
    delivery = ", ".join(dict.fromkeys(_opened(receipt, f"order.{field}", said) for field in ship_to))
    return Section(
        heading=said("order"),
        columns=(said("sku"), said("quantity"), said("unit_price"), said("amount", currency=currency)),
        rows=lines,
        facts=(*sums, (said("delivery"), delivery, False)) if ship_to else sums,
    )


def _evidence(receipt: Mapping[str, Any], said: _Words) -> tuple[tuple[str, str, bool], ...]:
    content, acceptance = receipt["presentation"]["content"], receipt["acceptance"]
    _, size, root, *_ = receipt["checkpoint"].split("\n")
    rows = (
        ("order_digest", acceptance["order_digest"]),
        ("presentation_digest", acceptance["presentation_digest"]),
        ("template", f"{content['template_digest']} {content['stylesheet_digest']}"),
        ("price_book", str(receipt["order"].get("price_root", ""))),
        ("row", str(acceptance["seq"])),
        ("checkpoint", f"{size} {root}"),
        ("key", receipt["seal"]["key_id"]),
    )
    return tuple((said(label), value, True) for label, value in rows if value)
