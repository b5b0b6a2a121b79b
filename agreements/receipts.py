"""A receipt: all a stranger needs to check an acceptance, in one sealed JSON document. Its checks are verify.py's."""

import base64
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import ledger, store, tree, wording
from agreements.ledger import LedgerBroken
from agreements.legal_model import FrameworkAgreement
from agreements.model import Acceptance, DocumentVersion, PresentedDocument
from agreements.verify import RECEIPT_TYPE
from kernel.canonical import canonical_json
from kernel.signing import Keyring, PublicKey, Purpose


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
    entry = await store.find_entry(session, acceptance.ledger_seq)
    presentation = await store.find_presentation(session, acceptance.presentation_id)
    if entry is None or presentation is None:
        raise LedgerBroken(f"Acceptance {acceptance.id} has no ledger row or presentation.")
    checkpoint = await ledger.checkpoint_covering(session, entry.seq, keyring=keyring, origin=origin, now=now)
    proof = await ledger.spans_hashed(session, tree.inclusion_spans(entry.seq, checkpoint.size))
    proves, does_not_prove = wording.what_a_receipt_proves(presentation.locale)
    unsealed = {
        "type": RECEIPT_TYPE,
        "issuer": presentation.content["seller_name"],
        "proves": proves,
        "does_not_prove": does_not_prove,
        "acceptance": entry.content,
        "presentation": {
            "content": presentation.content,
            "signature": {"key_id": presentation.key_id, "signature": _base64(presentation.signature)},
        },
        "order": acceptance.order_content,
        "documents": [_text(await _version(session, named)) for named in presentation.documents],
        "openings": {
            opening.field: {"value": opening.value, "salt": opening.salt}
            for opening in await store.list_openings(session, entry.seq)
        },
        "inclusion": {"index": entry.seq, "size": checkpoint.size, "proof": [node.hex() for node in proof]},
        "chain": {"previous_hash": entry.previous_hash.hex(), "chain_hash": entry.chain_hash.hex()},
        "checkpoint": checkpoint.note,
        "keys": [_key(key) for key in keyring.public_keys() if key.purpose in (Purpose.LEDGER, Purpose.PRESENTATION)],
    }
    receipt: dict[str, Any] = msgspec.json.decode(canonical_json(unsealed))
    seal = keyring.sign(Purpose.LEDGER, canonical_json(receipt))
    return {**receipt, "seal": {"key_id": seal.key_id, "signature": _base64(seal.signature)}}


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
