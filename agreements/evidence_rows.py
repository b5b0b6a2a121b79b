"""The rows that an acceptance and a ledger's leaf are made of, written by one statement.

They are written while the buyer waits and while the ledger's tail is held: a statement a table would take three times
as long.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncSession

from agreements.model import Acceptance, Annex, LedgerEntry
from agreements.tree import Place
from kernel.jobs import DEFER

_LEAF: Final = """
    WITH entry AS (
        INSERT INTO acceptance_ledger
            (seq, company_id, kind, content, leaf_digest, previous_hash, chain_hash, recorded_at)
        VALUES (:seq, :company_id, :kind, cast(:content AS jsonb), :leaf_digest, :previous_hash, :chain_hash,
            :recorded_at)
    ), nodes AS (
        INSERT INTO acceptance_ledger_node (level, position, hash)
        SELECT * FROM unnest(cast(:levels AS bigint[]), cast(:positions AS bigint[]), cast(:hashes AS bytea[]))
    ), tail AS (
        UPDATE acceptance_ledger_tail SET size = cast(:seq AS bigint) + 1, chain_hash = :chain_hash
    )
"""
_APPEND: Final = text(_LEAF + "SELECT")
_RECORD: Final = text(
    f"""{_LEAF}, accepted AS (
        INSERT INTO acceptance (id, company_id, order_id, checkout_id, presentation_id, actor_id, ticked, accepted_at,
            order_content, order_digest, ledger_seq)
        VALUES (:id, :company_id, :order_id, :checkout_id, :presentation_id, :actor_id, :ticked, :accepted_at,
            cast(:order_content AS jsonb), :order_digest, :seq)
        ON CONFLICT (checkout_id) DO NOTHING
        RETURNING id, company_id, accepted_at
    ), opened AS (
        INSERT INTO acceptance_opening (ledger_seq, field, company_id, value, salt)
        SELECT :seq, o.field, :company_id, o.value, o.salt
        FROM jsonb_to_recordset(cast(:openings AS jsonb)) AS o (field text, value text, salt text)
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
    """  # noqa: S608 - of constants
)


class NewLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A row to append at the tail, which the transaction holds; its content as it was hashed, and the subtrees it
    completes.
    """

    entry: LedgerEntry
    content: bytes
    nodes: Sequence[tuple[Place, bytes]]


async def write_leaf(session: AsyncSession, leaf: NewLeaf) -> None:
    """Write *leaf* and move the tail."""
    await session.execute(_APPEND, _values(leaf))


async def write_acceptance(
    session: AsyncSession,
    leaf: NewLeaf,
    acceptance: Acceptance,
    annex: Annex,
    *,
    opened: Mapping[str, str],
    salts: Mapping[str, str],
    job: Mapping[str, Any],
) -> bool:
    """Write *acceptance* with its *leaf*, the values behind its commitments, its annex, its receipt and the *job* that
    sends it (`kernel.jobs.to_defer`). Its presentation, which the transaction holds, is used up by it.

    False, and the transaction is to be rolled back, when its checkout has an acceptance already.
    """
    openings = [{"field": field, "value": value, "salt": salts[field]} for field, value in opened.items()]
    result = await session.execute(
        _RECORD,
        {
            **_values(leaf),
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
    return cast("CursorResult[Any]", result).rowcount == 1


def _values(leaf: NewLeaf) -> dict[str, Any]:
    entry = leaf.entry
    return {
        "seq": entry.seq,
        "company_id": entry.company_id,
        "kind": entry.kind,
        "content": leaf.content.decode(),
        "leaf_digest": entry.leaf_digest,
        "previous_hash": entry.previous_hash,
        "chain_hash": entry.chain_hash,
        "recorded_at": entry.recorded_at,
        "levels": [level for (level, _), _ in leaf.nodes],
        "positions": [position for (_, position), _ in leaf.nodes],
        "hashes": [value for _, value in leaf.nodes],
    }
