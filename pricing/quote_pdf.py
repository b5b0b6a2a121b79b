"""A signed quote as a PDF for the buyer's own approval: PDF/A-2a and PDF/UA-1, the same bytes each time.

It says what the signed document says, with the steps of each price. Amounts and instants stand as they were signed, so
that both can be laid side by side. Fonts are those that typst brings.
"""

import json
from base64 import urlsafe_b64decode
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import typst

from kernel.money import Mode, divide, ratio, ratio_text
from pricing.engine import Quote
from pricing.engine.explain import step_text
from pricing.engine.request import PricedLine, Step
from pricing.quotes import QuotedLine, QuoteDocument

TEMPLATE: Final = Path(__file__).with_name("quote.typ").read_bytes()
STANDARDS: Final = ("a-2a", "ua-1")
VERSION: Final = sha256(TEMPLATE + b"".join(each.encode() for each in STANDARDS)).hexdigest()
"""Names what the bytes depend on besides quote and language."""

_WORDS: Final = {
    "title": ("Quote {id}", "Oferta {id}"),
    "footer": ("Quote {id}, {digest}", "Oferta {id}, {digest}"),
    "buyer": ("For", "Para"),
    "delivery": ("Delivery to", "Entrega en"),
    "delivery_assumed": ("{country} (assumed)", "{country} (supuesto)"),
    "issued": ("Prices of", "Precios de"),
    "expires": ("Holds until", "Válida hasta"),
    "treatment": ("Tax", "Impuesto"),
    "standard": ("as shown", "como se indica"),
    "reverse_charge": ("reverse charge: the buyer accounts for it", "inversión del sujeto pasivo"),
    "exempt": ("exempt", "exento"),
    "number": ("Number to order by", "Número para pedir"),
    "root": ("Price book {publication}", "Libro de precios {publication}"),
    "digest": ("SHA-256 of the signed file", "SHA-256 del archivo firmado"),
    "key": ("Signed with", "Firmado con"),
    "lines": ("What is offered", "Lo que se ofrece"),
    "terms": ("Terms", "Condiciones"),
    "why": ("Why these prices", "Por qué estos precios"),
    "order": ("On the order as a whole", "Sobre el pedido entero"),
    "verify": ("How to verify this", "Cómo comprobarlo"),
    "position": ("No.", "N.º"),
    "quantity": ("Quantity", "Cantidad"),
    "unit_price": ("Unit price", "Precio unitario"),
    "amount": ("Amount {currency}", "Importe {currency}"),
    "tax_included": ("{amount} (tax included)", "{amount} (impuesto incluido)"),
    "net": ("Net", "Neto"),
    "tax": ("Tax", "Impuesto"),
    "total": ("Total", "Total"),
    "step": ("Step", "Paso"),
    "after": ("After", "Después"),
    "agreements_say": (
        "Documents in force on the day of this quote:",
        "Documentos vigentes en la fecha de esta oferta:",
    ),
    "why_say": (
        "Every price comes from the published price book named above, the same for every channel.",
        "Cada precio sale del libro de precios publicado que se nombra arriba, igual en todos los canales.",
    ),
    "verify_say": (
        (
            "What binds is the signed file, of which this page is a picture. Fetch the quote's package and the "
            "seller's keys from {url}/.well-known/jwks.json, and check both without a network: the signature, that "
            "nothing was changed, and every step of every price against the price book."
        ),
        (
            "Lo que obliga es el archivo firmado, del que esta página es una imagen. Descargue el paquete de la "
            "oferta y las claves del vendedor de {url}/.well-known/jwks.json, y compruébelos sin red: la firma, que "
            "nada ha cambiado y cada paso de cada precio con el libro de precios."
        ),
    ),
}


def quote_pdf(document: QuoteDocument, signed: bytes, answer: Quote, language: str) -> bytes:
    """The PDF; some tens of milliseconds a page.

    :param signed: the document as it was given
    :param answer: the engine's, with the steps of its lines
    :param language: `en` or `es`
    """
    made: bytes = typst.compile(
        TEMPLATE,
        sys_inputs={"quote": json.dumps(_said(document, signed, answer, language))},
        pdf_standards=list(STANDARDS),
        ignore_system_fonts=True,
        timestamp=int(document.issued_at.timestamp()),
    )
    return made


def _said(document: QuoteDocument, signed: bytes, answer: Quote, language: str) -> dict[str, Any]:
    place = ("en", "es").index(language)

    def word(name: str, **values: object) -> str:
        return _WORDS[name][place].format(**values)

    country = document.buyer.country or "-"
    digest = sha256(signed).hexdigest()
    key = json.loads(_unpadded(document.ap2.merchant_authorization.partition(".")[0]))["kid"]
    traces = [line for line in answer.lines if isinstance(line, PricedLine)]
    return {
        "language": language,
        "date": {name: getattr(document.issued_at, name) for name in ("year", "month", "day")},
        "title": word("title", id=document.id),
        "footer": word("footer", id=document.id, digest=f"sha256:{digest[:16]}"),
        "issuer": document.issuer.name,
        "facts": [
            [word("buyer"), f"{document.buyer.name} ({document.buyer.company})", False],
            [
                word("delivery"),
                word("delivery_assumed", country=country) if document.buyer.country_assumed else country,
                False,
            ],
            [word("issued"), _instant(document.issued_at), False],
            [word("expires"), _instant(document.expires_at), False],
            [word("treatment"), word(document.tax_treatment), False],
            [word("number"), str(document.id), True],
            [word("root", publication=document.publication), document.root, True],
            [word("digest"), digest, True],
            [word("key"), f"{key}, ES256", True],
        ],
        "headings": {name: word(name) for name in ("lines", "terms", "why", "order", "verify")},
        "columns": [
            *(word("position"), "SKU", word("quantity"), word("unit_price")),
            word("amount", currency=document.currency),
        ],
        "step_columns": [word("step"), word("after")],
        "lines": [
            {
                "position": str(line.position),
                "sku": line.sku,
                "quantity": f"{line.quantity} {line.unit}",
                "unit_price": "" if line.unit_price is None else f"{line.unit_price} / {line.price_unit}",
                "amount": word("tax_included", amount=_amount(line)) if line.tax_included else _amount(line),
                "steps": [[step_text(step, language), _decimal(step)] for step in trace.trace.steps],
            }
            for line, trace in zip(document.lines, traces, strict=True)
        ],
        "order_steps": [[step_text(step, language)] for step in answer.order_steps],
        "totals": [
            [word(name), f"{getattr(document.totals, name)} {document.currency}"] for name in ("net", "tax", "total")
        ],
        "terms": list(document.terms),
        "agreements": [f"{each.code} {each.version} ({each.language}), {each.sha256}" for each in document.agreements],
        "agreements_say": word("agreements_say"),
        "why_say": word("why_say"),
        "verify_say": [word("verify_say", url=document.issuer.url)],
        "command": "bin/tarifa verify-quote package.json --keys jwks.json",
    }


def _amount(line: QuotedLine) -> str:
    """What the line comes to, the order's discounts included, in the terms of its list."""
    return f"{Decimal(line.subtotal) + Decimal(line.order_adjustment):f}"


def _decimal(step: Step) -> str:
    """A step's amount as a decimal; a division that does not end, to six places."""
    numerator, denominator = ratio(step.after)
    return ratio_text(divide(numerator * 10**6, denominator, Mode.HALF_UP), 10**6)


def _instant(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
