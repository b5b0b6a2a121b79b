"""The rows that an acceptance and a ledger's leaf are made of, each set written by one statement.

They are written while the buyer waits and while the ledger's tail is held: a statement a table would take three times
as long.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value

from agreements.model import Acceptance, Annex, LedgerEntry, Presentation
from agreements.tree import Place
from kernel.canonical import canonical_json

_APPEND: Final = text(
    """
    WITH entry AS (
        INSERT INTO acceptance_ledger
            (seq, company_id, kind, content, leaf_digest, previous_hash, chain_hash, recorded_at)
        VALUES (:seq, :company_id, :kind, cast(:content AS jsonb), :leaf_digest, :previous_hash, :chain_hash,
            :recorded_at)
    ), nodes AS (
        INSERT INTO acceptance_ledger_node (level, position, hash)
        SELECT * FROM unnest(cast(:levels AS bigint[]), cast(:positions AS bigint[]), cast(:hashes AS bytea[]))
    )
    UPDATE acceptance_ledger_tail SET size = cast(:seq AS bigint) + 1, chain_hash = :chain_hash
    """
)
_RECORD: Final = text(
    """
    WITH accepted AS (
        INSERT INTO acceptance (id, company_id, order_id, checkout_id, presentation_id, actor_id, ticked, accepted_at,
            order_content, order_digest, ledger_seq)
        VALUES (:id, :company_id, :order_id, :checkout_id, :presentation_id, :actor_id, :ticked, :accepted_at,
            cast(:order_content AS jsonb), :order_digest, :ledger_seq)
    ), opened AS (
        INSERT INTO acceptance_opening (ledger_seq, field, company_id, value, salt)
        SELECT :ledger_seq, o.field, :company_id, o.value, o.salt
        FROM jsonb_to_recordset(cast(:openings AS jsonb)) AS o (field text, value text, salt text)
    ), annexed AS (
        INSERT INTO acceptance_annex (acceptance_id, company_id, ciphertext, wrapped_key, recorded_at)
        VALUES (:id, :company_id, :ciphertext, :wrapped_key, :accepted_at)
    ), to_send AS (
        INSERT INTO acceptance_receipt (acceptance_id, company_id, recorded_at) VALUES (:id, :company_id, :accepted_at)
    )
    UPDATE agreement_presentation SET consumed_at = :accepted_at, order_id = :order_id, salts = '{}'
    WHERE id = :presentation_id
    """
)
_ORDER_OF_CHECKOUT: Final = text("SELECT order_id FROM acceptance WHERE checkout_id = :checkout_id")


async def write_leaf(session: AsyncSession, entry: LedgerEntry, nodes: Iterable[tuple[Place, bytes]]) -> None:
    """Write *entry* with the subtrees it completes, and move the tail, which the transaction holds."""
    completed = list(nodes)
    await session.execute(
        _APPEND,
        {
            "seq": entry.seq,
            "company_id": entry.company_id,
            "kind": entry.kind,
            "content": canonical_json(entry.content).decode(),
            "leaf_digest": entry.leaf_digest,
            "previous_hash": entry.previous_hash,
            "chain_hash": entry.chain_hash,
            "recorded_at": entry.recorded_at,
            "levels": [level for (level, _), _ in completed],
            "positions": [position for (_, position), _ in completed],
            "hashes": [value for _, value in completed],
        },
    )


async def write_acceptance(
    session: AsyncSession,
    acceptance: Acceptance,
    presentation: Presentation,
    annex: Annex,
    *,
    opened: Mapping[str, str],
    salts: Mapping[str, str],
) -> None:
    """Write *acceptance* with the values behind its commitments, its annex and its receipt, which is still to be sent;
    *presentation*, which the transaction holds, is used up by it.
    """
    openings = [{"field": field, "value": value, "salt": salts[field]} for field, value in opened.items()]
    await session.execute(
        _RECORD,
        {
            "id": acceptance.id,
            "company_id": acceptance.company_id,
            "order_id": acceptance.order_id,
            "checkout_id": acceptance.checkout_id,
            "presentation_id": acceptance.presentation_id,
            "actor_id": acceptance.actor_id,
            "ticked": acceptance.ticked,
            "accepted_at": acceptance.accepted_at,
            "order_content": canonical_json(acceptance.order_content).decode(),
            "order_digest": acceptance.order_digest,
            "ledger_seq": acceptance.ledger_seq,
            "openings": msgspec.json.encode(openings).decode(),
            "ciphertext": annex.ciphertext,
            "wrapped_key": annex.wrapped_key,
        },
    )
    for name, value in (("consumed_at", acceptance.accepted_at), ("order_id", acceptance.order_id), ("salts", {})):
        set_committed_value(presentation, name, value)


async def order_of_checkout(session: AsyncSession, checkout_id: uuid.UUID) -> uuid.UUID | None:
    """The order that an acceptance of this checkout made."""
    found: uuid.UUID | None = await session.scalar(_ORDER_OF_CHECKOUT, {"checkout_id": checkout_id})
    return found
