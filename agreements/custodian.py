"""The statement of whoever keeps the ledger: what it holds of some acceptances, how it is kept, what that proves.

Made from the data as they are, as one PDF; it says nothing that the ledger, the keyring or verify.py does not.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import typst
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import wording, wording_signing
from agreements.model import LedgerCheckpoint
from agreements.search import CITED, FRAMEWORK, SIGNED, Act
from agreements.service import Agreements
from kernel.signing import Purpose

TEMPLATE: Final = Path(__file__).with_name("custodian.typ").read_bytes()
STANDARDS: Final = ("a-2b", "ua-1")
_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "title": "Statement of the custodian of the acceptance ledger",
        "made": "Made from the data on {at}. {seller} keeps the ledger {origin}.",
        "acts": "What the records hold",
        "kept": "How they are kept",
        "how": "Each acceptance is a row of a ledger that the program can only add to; a trigger and the rights of its "
        "database role refuse every change. A row holds digests and salted commitments. Rows are chained by SHA-256 "
        "and are leaves of a Merkle tree (RFC 9162), whose heads are signed with Ed25519 and published.",
        "checked": "All {size} rows, links, subtrees and signed heads were computed again for this: {outcome}.",
        "holds": "they agree",
        "broken": "they do NOT agree, first at row {row}",
        "checkpoint": "The newest signed head",
        "keys": "Public keys of the ledger",
        "proves": "What the records prove",
        "not": "What they do not prove",
        "erased": "A dash stands for what was erased at a person's request or by age; the commitments stay.",
        "none": "No record was found.",
        "row": "row",
        "order": "order",
    },
    "es": {
        "title": "Declaración de quien custodia el libro de aceptaciones",
        "made": "Elaborada a partir de los datos el {at}. {seller} custodia el libro {origin}.",
        "acts": "Lo que contienen los registros",
        "kept": "Cómo se custodian",
        "how": "Cada aceptación es una fila de un libro al que el programa solo puede añadir; un disparador y los "
        "permisos de su rol en la base de datos rechazan todo cambio. Una fila contiene huellas y compromisos con sal. "
        "Las filas se encadenan con SHA-256 y son hojas de un árbol de Merkle (RFC 9162), cuyas cabezas se firman con "
        "Ed25519 y se publican.",
        "checked": "Para ello se han recalculado las {size} filas, enlaces, subárboles y cabezas: {outcome}.",
        "holds": "concuerdan",
        "broken": "NO concuerdan, por primera vez en la fila {row}",
        "checkpoint": "La última cabeza firmada",
        "keys": "Claves públicas del libro",
        "proves": "Lo que prueban los registros",
        "not": "Lo que no prueban",
        "erased": "Un guion ocupa el lugar de lo suprimido a petición o por antigüedad; los compromisos permanecen.",
        "none": "No se encontró ningún registro.",
        "row": "fila",
        "order": "pedido",
    },
}


async def statement(
    session: AsyncSession,
    agreements: Agreements,
    acts: Sequence[Act],
    *,
    checkpoint: LedgerCheckpoint,
    seller: str,
    locale: str,
    now: datetime,
) -> bytes:
    """The PDF. The transaction is `for_staff()`: the whole ledger is checked for it."""
    words = _WORDS.get(locale, _WORDS["en"])
    state = await agreements.check_ledger(session)
    outcome = words["holds"] if state.broken_at is None else words["broken"].format(row=state.broken_at)
    kinds = {act.act for act in acts}
    said = [
        wording.what_a_receipt_proves(locale),
        *([wording_signing.what_signatures_prove(locale)] if SIGNED in kinds else []),
        *([wording.what_a_citation_proves(locale)] if kinds & {FRAMEWORK, CITED} else []),
    ]
    proves, does_not = (dict.fromkeys(text for each in said for text in each[place]) for place in (0, 1))
    given: dict[str, Any] = {
        "locale": locale,
        "seller": seller,
        "title": words["title"],
        "made": words["made"].format(at=f"{now:%Y-%m-%d %H:%M:%S} UTC", seller=seller, origin=agreements.origin),
        "parts": [
            {"title": words["acts"], "items": [_line(act, words) for act in acts] or [words["none"]]},
            {
                "title": words["kept"],
                "items": [words["how"], words["checked"].format(size=state.size, outcome=outcome), words["erased"]],
            },
            {
                "title": words["keys"],
                "items": [
                    f"{key.id}: {key.public_key.hex()}, {key.created:%Y-%m-%d}"
                    + (f" - {key.retired:%Y-%m-%d}" if key.retired else "")
                    for key in agreements.keyring.public_keys(Purpose.LEDGER)
                ],
            },
            {"title": words["proves"], "items": list(proves)},
            {"title": words["not"], "items": list(does_not)},
        ],
        "checkpoint": {"title": words["checkpoint"], "note": checkpoint.note},
        "dated": {"year": now.year, "month": now.month, "day": now.day},
    }
    return await asyncio.to_thread(_pdf, given, now)


def _line(act: Act, words: dict[str, str]) -> str:
    parts = [
        f"{act.at:%Y-%m-%d %H:%M:%S} UTC, {act.act}: {act.company} ({act.company_code})",
        ", ".join(part for part in (act.person, act.job_title, act.email) if part),
        "; ".join(act.documents),
    ]
    places = [("order", act.order_id), ("row", act.ledger_row)]
    if found := ", ".join(f"{words[name]} {value}" for name, value in places if value is not None):
        parts.append(found)
    return ". ".join(parts)


def _pdf(given: dict[str, Any], now: datetime) -> bytes:
    made = typst.compile(
        TEMPLATE,
        sys_inputs={"statement": json.dumps(given)},
        ignore_system_fonts=True,
        pdf_standards=list(STANDARDS),
        timestamp=int(now.timestamp()),
    )
    assert isinstance(made, bytes)
    return made
