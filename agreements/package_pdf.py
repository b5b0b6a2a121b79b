"""The one document of an executed package: certificate page, order, texts; sealed by the house.

Made on demand from rows that do not change; only the seal's instant is that of the making. What was erased since is
left blank. Fonts are those that typst brings.
"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import typst
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import package_store, packages, pdfs, store
from agreements.documents import MARKDOWN
from agreements.model import DocumentVersion, PresentedDocument
from agreements.package_model import Package
from kernel.pdf_seal import seal_pdf
from kernel.signing import Keyring

BODY: Final = Path(__file__).with_name("package.typ").read_bytes()
DEFINITIONS: Final = pdfs.TEMPLATE[pdfs.TEMPLATE.index(b"#let words") : pdfs.TEMPLATE.index(b"#blocks(")]
"""How a text's blocks are set: as in the text's own PDF."""
REASON: Final = "Sealed by the seller: all parties named on the first page have signed"
_WORDS: Final = {
    "title": ("Signed by all parties", "Firmado por todas las partes"),
    "fact": ("What", "Dato"),
    "value": ("Value", "Valor"),
    "seller": ("Seller", "Vendedor"),
    "buyer": ("Buyer", "Comprador"),
    "total": ("Total", "Total"),
    "executed": ("Executed", "Perfeccionado"),
    "package": ("Package", "Paquete"),
    "digest": ("Digest that all signed", "Resumen que todos firmaron"),
    "order_digest": ("Digest of the order", "Resumen del pedido"),
    "documents": ("Documents", "Documentos"),
    "signatures": ("Signatures", "Firmas"),
    "buyer_signatory": ("Signatory of the buyer", "Firmante del comprador"),
    "approver": ("Approver of the buyer", "Aprobador del comprador"),
    "counter_signer": ("Counter-signer of the seller", "Refrendo del vendedor"),
    "name": ("Name as typed", "Nombre escrito"),
    "known": ("Logged in as", "Sesión iniciada como"),
    "differs": ("the typed name differs from the account's", "el nombre escrito difiere del de la cuenta"),
    "job": ("Title", "Cargo"),
    "at": ("Signed", "Firmado"),
    "row": ("Row of the ledger", "Fila del libro"),
    "order": ("The order", "El pedido"),
    "sku": ("SKU", "SKU"),
    "description": ("Quantity", "Cantidad"),
    "price": ("Unit price", "Precio unitario"),
    "net": ("Amount", "Importe"),
    "goods": ("Goods", "Mercancía"),
    "freight": ("Freight", "Portes"),
    "tax": ("Tax", "Impuestos"),
}


async def sealed_pdf(session: AsyncSession, package: Package, keyring: Keyring, *, now: datetime) -> bytes:
    """The document; some hundreds of milliseconds.

    :raises packages.PackageUnknown: unless all have signed
    """
    if package.closed_at is None or package.order_id is None:
        raise packages.PackageUnknown("There is no signed document: not everybody has signed.")
    leaves = await package_store.leaves_of(session, package)
    texts = [
        await store.find_version(session, each.code, each.label, each.locale)
        for each in msgspec.convert(package.content["documents"], tuple[PresentedDocument, ...])
    ]
    said = _said(package, leaves, [text for text in texts if text is not None])
    at = int(package.closed_at.timestamp())
    made = await asyncio.to_thread(_compiled, said, at)
    return await asyncio.to_thread(seal_pdf, made, keyring, reason=REASON, at=now)


def _compiled(said: dict[str, Any], at: int) -> bytes:
    made: bytes = typst.compile(
        DEFINITIONS + BODY,
        sys_inputs={"package": json.dumps(said)},
        pdf_standards=list(pdfs.STANDARDS),
        ignore_system_fonts=True,
        timestamp=at,
    )
    return made


def _said(package: Package, leaves: list[dict[str, Any]], texts: list[DocumentVersion]) -> dict[str, Any]:
    place = 1 if package.locale == "es" else 0
    content, terms = package.content, package.terms
    assert package.closed_at is not None, "it was executed"
    at = package.closed_at.astimezone(UTC)

    def word(name: str) -> str:
        return _WORDS[name][place]

    documents = ", ".join(f"{each['title']} v{each['label']}" for each in content["documents"])
    signatures = [leaf for leaf in leaves if leaf["kind"] == packages.SIGNATURE_KIND]
    return {
        "language": "es" if place else "en",
        "date": {name: getattr(at, name) for name in ("year", "month", "day")},
        "title": word("title"),
        "seller": content["seller_name"],
        "level": content["level"],
        "footer": f"{package.id}, {package.digest[:23]}",
        "facts_head": [word("fact"), word("value")],
        "facts": [
            [word("seller"), content["seller_name"], False],
            [word("buyer"), content["company_name"], False],
            [word("total"), f"{content['total']['amount']} {content['total']['currency']}", False],
            [word("documents"), documents, False],
            [word("executed"), _instant(at), False],
            [word("package"), str(package.id), True],
            [word("digest"), package.digest, True],
            [word("order_digest"), package.order_digest, True],
        ],
        "signatures_heading": word("signatures"),
        "signatures": [_signature(leaf, word) for leaf in signatures],
        "order_heading": word("order"),
        "lines_head": [word(name) for name in ("sku", "description", "price", "net")],
        "lines": [
            [line["sku"], f"{line['quantity']} {line['unit']}", line["unit_price"] or "", line["net"]]
            for line in terms["lines"]
        ],
        "sums_head": [word("total"), terms["currency"]],
        "sums": [[word(name), terms[name]] for name in ("goods", "freight", "tax", "total")],
        "documents": [
            {"digest": f"{text.source_sha256}", "blocks": pdfs.blocks(MARKDOWN.parse(text.source_markdown))}
            for text in texts
        ],
    }


def _signature(leaf: dict[str, Any], word: Any) -> dict[str, Any]:
    content, openings = leaf["content"], leaf["openings"]

    def opened(field: str) -> str:
        return str(openings.get(field, {}).get("value", ""))

    known = f"{opened('signer_name')} <{opened('signer_email')}>" if openings else ""
    name = opened("typed_name") + ("" if content["name_matches"] else f" ({word('differs')})")
    return {
        "heading": word(content["role"]),
        "intent": content["intent"],
        "authority": content["authority"],
        "facts": [
            [word("name"), name, False],
            [word("job"), opened("title"), False],
            [word("known"), known, False],
            [word("at"), _instant(datetime.fromisoformat(content["recorded_at"])), False],
            [word("row"), str(content["seq"]), True],
        ],
    }


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
