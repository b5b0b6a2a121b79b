"""The rows that an acceptance and a ledger's leaf are made of, written by one statement.

They are written while the buyer waits: a statement a table would take three times as long. The function that appends
the leaf (migration 0037) takes the ledger's tail first, numbers and hashes the leaf, and keeps the subtrees it
completes.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from agreements.model import Acceptance, Annex
from kernel.canonical import canonical_json
from kernel.jobs import DEFER

_LEAF: Final = "SELECT tarifa_append_to_ledger(:kind, :company_id, :recorded_at, :before, :after)"
_APPEND: Final = text(_LEAF)
_RECORD: Final = text(
    f"""
    WITH entry (seq) AS (
        {_LEAF}
    ), accepted AS (
        INSERT INTO acceptance (id, company_id, order_id, checkout_id, presentation_id, actor_id, ticked, accepted_at,
            order_content, order_digest, ledger_seq)
        SELECT :id, :company_id, :order_id, :checkout_id, :presentation_id, :actor_id, :ticked, :accepted_at,
            cast(:order_content AS jsonb), :order_digest, seq
        FROM entry
        ON CONFLICT (checkout_id) DO NOTHING
        RETURNING id, company_id, accepted_at
    ), opened AS (
        INSERT INTO acceptance_opening (ledger_seq, field, company_id, value, salt)
        SELECT entry.seq, o.field, :company_id, o.value, o.salt
        FROM entry, jsonb_to_recordset(cast(:openings AS jsonb)) AS o (field text, value text, salt text)
    ), annexed AS (
        INSERT INTO acceptance_annex (acceptance_id, company_id, ciphertext, wrapped_key, recorded_at)
        SELECT id, company_id, :ciphertext, :wrapped_key, accepted_at FROM accepted
    ), job AS (
        SELECT {DEFER}
    ), to_send AS (
        INSERT INTO acceptance_receipt (acceptance_id, company_id, recorded_at)
        SELECT id, company_id, accepted_at FROM accepted, job
    )
    UPDATE agreement_presentation SET consumed_at = :accepted_at, order_id = :order_id, salts = '{{}}'
    WHERE id = :presentation_id AND EXISTS (SELECT FROM accepted)
    RETURNING (SELECT seq FROM entry)
    """  # noqa: S608 - of constants
)


NUMBER: Final = "seq"
NOTHING: Final = b"{}"


class NewLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A row to append at the tail. *before* and *after* are what stands around its number in its canonical JSON."""

    kind: str
    company_id: uuid.UUID | None
    recorded_at: datetime
    before: str
    after: str


def new_leaf(*, kind: str, company_id: uuid.UUID | None, recorded_at: datetime, content: Mapping[str, Any]) -> NewLeaf:
    """A row of *content* and of its number, `seq`, which it gets at the tail."""
    assert NUMBER not in content, "the ledger numbers its rows"
    before = canonical_json({name: value for name, value in content.items() if name < NUMBER})
    after = canonical_json({name: value for name, value in content.items() if name > NUMBER})
    return NewLeaf(
        kind=kind,
        company_id=company_id,
        recorded_at=recorded_at,
        before=before.decode().removesuffix("}") + ("" if before == NOTHING else ",") + f'"{NUMBER}":',
        after=("" if after == NOTHING else ",") + after.decode().removeprefix("{"),
    )


async def write_leaf(session: AsyncSession, leaf: NewLeaf) -> int:
    """Write *leaf* and move the tail; its number."""
    return int(await session.scalar(_APPEND, msgspec.structs.asdict(leaf)))


async def write_acceptance(
    session: AsyncSession,
    leaf: NewLeaf,
    acceptance: Acceptance,
    annex: Annex,
    *,
    opened: Mapping[str, str],
    salts: Mapping[str, str],
    job: Mapping[str, Any],
) -> int | None:
    """Write *acceptance* with its *leaf*, the values behind its commitments, its annex, its receipt and the *job* that
    sends it (`kernel.jobs.to_defer`). Its presentation, which the transaction holds, is used up by it.

    The leaf's number; None, and the transaction is to be rolled back, when its checkout has an acceptance already.
    """
    openings = [{"field": field, "value": value, "salt": salts[field]} for field, value in opened.items()]
    number: int | None = await session.scalar(
        _RECORD,
        {
            **msgspec.structs.asdict(leaf),
            "id": acceptance.id,
            "order_id": acceptance.order_id,
            "checkout_id": acceptance.checkout_id,
            "presentation_id": acceptance.presentation_id,
            "actor_id": acceptance.actor_id,
            "ticked": acceptance.ticked,
            "accepted_at": acceptance.accepted_at,
            "order_content": msgspec.json.encode(acceptance.order_content).decode(),
            "order_digest": acceptance.order_digest,
            "openings": msgspec.json.encode(openings).decode(),
            "ciphertext": annex.ciphertext,
            "wrapped_key": annex.wrapped_key,
            **job,
        },
    )
    return number
