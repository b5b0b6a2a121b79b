"""A receipt: all a stranger needs to check an acceptance, in one sealed JSON document. Its checks are verify.py's.

This is that of one person's acceptance, and what receipts of all kinds are put together from; `order_receipts.py` knows
which one an order has.
"""

import base64
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import ledger, store, tree, wording
from agreements.ledger import LedgerBroken
from agreements.legal_model import FrameworkAgreement
from agreements.model import Acceptance, DocumentVersion, LedgerCheckpoint, PresentedDocument
from agreements.verify import RECEIPT_TYPE
from kernel.canonical import canonical_json
from kernel.signing import Keyring, PublicKey, Purpose

FRAMEWORK_ACCEPTANCE: Final = "tarifa.framework-acceptance.v1"
"""The ledger's row of a framework agreement's acceptance."""


async def build(
    session: AsyncSession,
    acceptance: Acceptance | FrameworkAgreement,
    *,
    keyring: Keyring,
    origin: str,
    now: datetime,
) -> dict[str, Any]:
    """The receipt of *acceptance*; of a framework agreement, what was agreed stands for the order. Openings that were
    erased since are left out.
    """
    checkpoint = await ledger.checkpoint_covering(
        session, acceptance.ledger_seq, keyring=keyring, origin=origin, now=now
    )
    act = await act_of(session, acceptance, checkpoint)
    content = act["presentation"]["content"]
    of_framework = isinstance(acceptance, FrameworkAgreement)
    say = wording.what_a_framework_receipt_proves if of_framework else wording.what_a_receipt_proves
    proves, does_not_prove = say(content["locale"])
    return sealed(
        {
            "type": RECEIPT_TYPE,
            "issuer": content["seller_name"],
            "proves": proves,
            "does_not_prove": does_not_prove,
            "order": acceptance.order_content,
            **act,
        },
        checkpoint,
        keyring,
    )


async def act_of(
    session: AsyncSession, acceptance: Acceptance | FrameworkAgreement, checkpoint: LedgerCheckpoint
) -> dict[str, Any]:
    """One person's act: `acceptance`, `presentation`, `documents`, and the `openings` and proofs of the row."""
    presentation = await store.find_presentation(session, acceptance.presentation_id)
    if presentation is None:
        raise LedgerBroken(f"Acceptance {acceptance.id} has no presentation.")
    row = await row_of(session, acceptance.ledger_seq, checkpoint)
    return {
        "acceptance": row.pop("content"),
        "presentation": {
            "content": presentation.content,
            "signature": signature(presentation.key_id, presentation.signature),
        },
        "documents": await texts_of(session, presentation.documents),
        **row,
    }


async def row_of(session: AsyncSession, seq: int, checkpoint: LedgerCheckpoint) -> dict[str, Any]:
    """A row of the ledger: its `content`, `openings`, `inclusion` under *checkpoint* and `chain`."""
    entry = await store.find_entry(session, seq)
    if entry is None:
        raise LedgerBroken(f"Row {seq} of the ledger is gone.")
    proof = await ledger.spans_hashed(session, tree.inclusion_spans(entry.seq, checkpoint.size))
    return {
        "content": entry.content,
        "openings": {
            opening.field: {"value": opening.value, "salt": opening.salt}
            for opening in await store.list_openings(session, entry.seq)
        },
        "inclusion": {"index": entry.seq, "size": checkpoint.size, "proof": [node.hex() for node in proof]},
        "chain": {"previous_hash": entry.previous_hash.hex(), "chain_hash": entry.chain_hash.hex()},
    }


async def texts_of(session: AsyncSession, documents: Iterable[PresentedDocument]) -> list[dict[str, str]]:
    """The very versions that *documents* name, in full."""
    return [_text(await _version(session, named)) for named in documents]


def sealed(parts: dict[str, Any], checkpoint: LedgerCheckpoint, keyring: Keyring) -> dict[str, Any]:
    """A receipt of *parts* under *checkpoint*, with the keys that it takes to check it."""
    keys = [_key(key) for key in keyring.public_keys() if key.purpose in (Purpose.LEDGER, Purpose.PRESENTATION)]
    unsealed = {**parts, "checkpoint": checkpoint.note, "keys": keys}
    receipt: dict[str, Any] = msgspec.json.decode(canonical_json(unsealed))
    seal = keyring.sign(Purpose.LEDGER, canonical_json(receipt))
    return {**receipt, "seal": signature(seal.key_id, seal.signature)}


def signature(key_id: str, raw: bytes) -> dict[str, str]:
    return {"key_id": key_id, "signature": _base64(raw)}


async def _version(session: AsyncSession, named: PresentedDocument) -> DocumentVersion:
    found = await store.find_version(session, named.code, named.label, named.locale)
    if found is None:
        raise LedgerBroken(f"{named.code} v{named.label} ({named.locale}) was accepted and is gone.")
    return found


def _text(version: DocumentVersion) -> dict[str, str]:
    return {
        "code": version.document.code,
        "label": version.label,
        "locale": version.locale,
        "title": version.title,
        "source_markdown": version.source_markdown,
        "rendered_html": version.rendered_html,
    }


def _key(key: PublicKey) -> dict[str, str | None]:
    return {
        "id": key.id,
        "purpose": key.purpose.value,
        "public_key": _base64(key.public_key),
        "created": key.created.isoformat(),
        "not_after": None if key.not_after is None else key.not_after.isoformat(),
        "retired": None if key.retired is None else key.retired.isoformat(),
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
