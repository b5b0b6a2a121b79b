"""Every query of pricing outside the engine."""

import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from kernel.signing import Signature
from pricing.content import Kept, KeptSource
from pricing.model import (
    DraftState,
    PriceAcknowledgement,
    PriceContent,
    PriceDraft,
    PriceDraftAuthor,
    PriceDraftChange,
    PriceImpact,
    PricePublication,
    PriceReview,
    PriceSource,
    SignedQuote,
)

_LOG_LOCK = 0x7461726966_01  # "tarif": serialises publications
_BATCH = 2000


async def find_content(session: AsyncSession, root: bytes) -> Kept | None:
    """The compressed leaves of *root* and the house's signature."""
    query = sa.select(PriceContent.content, PriceContent.signature, PriceContent.key_id)
    row = (await session.execute(query.where(PriceContent.root == root))).one_or_none()
    return None if row is None else Kept(root, row.content, Signature(row.key_id, row.signature))


async def add_content(session: AsyncSession, kept: Kept, *, leaf_count: int, created_at: datetime) -> None:
    """Keep a content under its root; the same content a second time changes nothing."""
    values = {
        "root": kept.root,
        "content": kept.content,
        "leaf_count": leaf_count,
        "created_at": created_at,
        "signature": kept.signature.signature,
        "key_id": kept.signature.key_id,
    }
    await session.execute(insert(PriceContent).values(values).on_conflict_do_nothing())


async def find_source(session: AsyncSession, digest: bytes) -> KeptSource | None:
    """The compressed source named *digest*."""
    source = await session.scalar(sa.select(PriceSource.source).where(PriceSource.digest == digest))
    return None if source is None else KeptSource(digest, source)


async def add_source(session: AsyncSession, kept: KeptSource, *, created_at: datetime) -> None:
    """Keep a source under its digest; the same source a second time changes nothing."""
    values = {"digest": kept.digest, "source": kept.source, "created_at": created_at}
    await session.execute(insert(PriceSource).values(values).on_conflict_do_nothing())


async def find_draft(session: AsyncSession, draft_id: uuid.UUID) -> PriceDraft | None:
    return await session.get(PriceDraft, draft_id)


async def lock_draft(session: AsyncSession, draft_id: uuid.UUID) -> PriceDraft | None:
    """The draft, held until the transaction ends: its changes and its state move one editor at a time."""
    return await session.get(PriceDraft, draft_id, with_for_update=True, populate_existing=True)


async def list_drafts(
    session: AsyncSession,
    state: DraftState | None,
    *,
    limit: int | None = None,
    before: tuple[datetime, uuid.UUID] | None = None,
) -> Sequence[PriceDraft]:
    """Newest first; *before*: those opened before this instant and id alone."""
    query = sa.select(PriceDraft).order_by(PriceDraft.created_at.desc(), PriceDraft.id.desc()).limit(limit)
    if state is not None:
        query = query.where(PriceDraft.state == state)
    if before is not None:
        opened, draft_id = sa.literal(before[0], PriceDraft.created_at.type), sa.literal(before[1], PriceDraft.id.type)
        query = query.where(sa.tuple_(PriceDraft.created_at, PriceDraft.id) < sa.tuple_(opened, draft_id))
    return (await session.scalars(query)).all()


async def find_change(session: AsyncSession, draft_id: uuid.UUID, kind: str, key: str) -> PriceDraftChange | None:
    return await session.get(PriceDraftChange, (draft_id, kind, key))


async def count_changes(session: AsyncSession, draft_id: uuid.UUID) -> int:
    query = sa.select(sa.func.count()).select_from(PriceDraftChange).where(PriceDraftChange.draft_id == draft_id)
    return await session.scalar(query) or 0


async def list_changes(
    session: AsyncSession, draft_id: uuid.UUID, *, start: int = 0, limit: int | None = None
) -> Sequence[PriceDraftChange]:
    """By kind and key: *limit* of them, all unless said, from *start* on."""
    query = (
        sa.select(PriceDraftChange)
        .where(PriceDraftChange.draft_id == draft_id)
        .order_by(PriceDraftChange.kind, PriceDraftChange.key)
        .offset(start)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def list_frame_changes(session: AsyncSession, draft_id: uuid.UUID) -> Sequence[PriceDraftChange]:
    """The changes of what is not per SKU, by kind and key."""
    query = (
        sa.select(PriceDraftChange)
        .where(PriceDraftChange.draft_id == draft_id, PriceDraftChange.kind != "row")
        .order_by(PriceDraftChange.kind, PriceDraftChange.key)
    )
    return (await session.scalars(query)).all()


async def stream_row_changes(session: AsyncSession, draft_id: uuid.UUID) -> AsyncIterator[Sequence[tuple[str, Any]]]:
    """(key, content) of the changed rows, by SKU and key, some thousand at a time."""
    sku = sa.cast(PriceDraftChange.key, postgresql.JSONB)[1].astext
    query = (
        sa.select(PriceDraftChange.key, PriceDraftChange.content)
        .where(PriceDraftChange.draft_id == draft_id, PriceDraftChange.kind == "row")
        .order_by(sku.collate("C"), PriceDraftChange.key)
        .execution_options(yield_per=_BATCH)
    )
    found = await session.stream(query)
    try:
        async for rows in found.partitions():
            yield [(row.key, row.content) for row in rows]
    finally:
        await found.close()  # also when the reader is cancelled, which leaves a cursor open


async def put_changes(
    session: AsyncSession,
    draft_id: uuid.UUID,
    changes: Iterable[tuple[str, str, Any]],
    *,
    by: uuid.UUID | None,
    at: datetime,
) -> None:
    """Set each (kind, key) to its content, None for a leaf that goes; earlier changes of the same key are replaced."""
    rows = [
        {"draft_id": draft_id, "kind": kind, "key": key, "content": content, "changed_by": by, "changed_at": at}
        for kind, key, content in changes
    ]
    statement = insert(PriceDraftChange)
    statement = statement.on_conflict_do_update(
        index_elements=["draft_id", "kind", "key"],
        set_={name: statement.excluded[name] for name in ("content", "changed_by", "changed_at")},
    )
    for start in range(0, len(rows), _BATCH):
        await session.execute(statement, rows[start : start + _BATCH])


async def delete_changes(session: AsyncSession, draft_id: uuid.UUID, keys: Iterable[tuple[str, str]]) -> None:
    """Return the leaves to what the base says."""
    pairs = list(keys)
    for start in range(0, len(pairs), _BATCH):
        await session.execute(
            sa.delete(PriceDraftChange).where(
                PriceDraftChange.draft_id == draft_id,
                sa.tuple_(PriceDraftChange.kind, PriceDraftChange.key).in_(pairs[start : start + _BATCH]),
            )
        )


async def list_acknowledgements(session: AsyncSession, draft_id: uuid.UUID) -> Sequence[PriceAcknowledgement]:
    return (
        await session.scalars(sa.select(PriceAcknowledgement).where(PriceAcknowledgement.draft_id == draft_id))
    ).all()


async def add_acknowledgements(
    session: AsyncSession,
    draft_id: uuid.UUID,
    findings: Iterable[str],
    *,
    reason: str,
    by: uuid.UUID | None,
    at: datetime,
) -> None:
    """Keep the word for each finding; where one stands already, the first word stays."""
    rows = [
        {
            "draft_id": draft_id,
            "finding": finding,
            "reason": reason,
            "acknowledged_by": by,
            "acknowledged_at": at,
        }
        for finding in findings
    ]
    await session.execute(insert(PriceAcknowledgement).on_conflict_do_nothing(), rows)


async def add_author(session: AsyncSession, draft_id: uuid.UUID, person_id: uuid.UUID | None) -> None:
    """Remember who worked at the draft; None, the house's own command line, is nobody."""
    if person_id is not None:
        values = {"draft_id": draft_id, "person_id": person_id}
        await session.execute(insert(PriceDraftAuthor).values(values).on_conflict_do_nothing())


async def list_authors(session: AsyncSession, draft_id: uuid.UUID) -> Sequence[uuid.UUID]:
    query = sa.select(PriceDraftAuthor.person_id).where(PriceDraftAuthor.draft_id == draft_id)
    return (await session.scalars(query)).all()


async def list_reviews(session: AsyncSession, draft_id: uuid.UUID) -> Sequence[PriceReview]:
    """In the order they were taken."""
    query = sa.select(PriceReview).where(PriceReview.draft_id == draft_id)
    return (await session.scalars(query.order_by(PriceReview.taken_at, PriceReview.id))).all()


async def list_reviews_of(session: AsyncSession, draft_ids: Collection[uuid.UUID]) -> Sequence[PriceReview]:
    """Of all these drafts, in the order they were taken."""
    query = sa.select(PriceReview).where(PriceReview.draft_id.in_(draft_ids))
    return (await session.scalars(query.order_by(PriceReview.taken_at, PriceReview.id))).all()


async def lock_publications(session: AsyncSession) -> None:
    """Hold the log until the transaction ends, so that numbers and instants follow each other."""
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOG_LOCK)))


async def find_publication(session: AsyncSession, number: int) -> PricePublication | None:
    return await session.get(PricePublication, number)


async def find_publication_of(session: AsyncSession, draft_id: uuid.UUID) -> PricePublication | None:
    return await session.scalar(sa.select(PricePublication).where(PricePublication.draft_id == draft_id))


async def find_last_publication(session: AsyncSession) -> PricePublication | None:
    """The one with the highest number, in force or upcoming."""
    return await session.scalar(sa.select(PricePublication).order_by(PricePublication.number.desc()).limit(1))


async def list_publications(
    session: AsyncSession, *, limit: int, before: int | None = None
) -> Sequence[PricePublication]:
    """Newest first; *before*: those of lower numbers alone."""
    query = sa.select(PricePublication).order_by(PricePublication.number.desc()).limit(limit)
    if before is not None:
        query = query.where(PricePublication.number < before)
    return (await session.scalars(query)).all()


async def list_publications_after(session: AsyncSession, number: int) -> list[tuple[int, bytes, datetime, bytes, str]]:
    """(number, root, effective_at, signature, key_id) of the entries after *number*, in order."""
    log = PricePublication
    query = (
        sa.select(log.number, log.root, log.effective_at, log.signature, log.key_id)
        .where(log.number > number)
        .order_by(log.number)
    )
    return [(row.number, row.root, row.effective_at, row.signature, row.key_id) for row in await session.execute(query)]


async def find_impact(session: AsyncSession, impact_id: uuid.UUID) -> PriceImpact | None:
    """With its result."""
    return await session.get(PriceImpact, impact_id, options=[undefer(PriceImpact.result)])


async def find_last_impact(session: AsyncSession, draft_id: uuid.UUID) -> PriceImpact | None:
    """The one of the draft that was asked for last, with its result."""
    query = sa.select(PriceImpact).where(PriceImpact.draft_id == draft_id).options(undefer(PriceImpact.result))
    return await session.scalar(query.order_by(PriceImpact.requested_at.desc(), PriceImpact.id.desc()).limit(1))


async def note_impact_progress(
    session: AsyncSession, impact_id: uuid.UUID, lines_done: int, lines_all: int | None
) -> None:
    query = sa.update(PriceImpact).where(PriceImpact.id == impact_id)
    await session.execute(query.values(lines_done=lines_done, lines_all=lines_all))


async def finish_impact(session: AsyncSession, impact_id: uuid.UUID, **outcome: Any) -> None:
    """Write how it ended, and forget what was worked out for the same draft before."""
    of_draft = sa.select(PriceImpact.draft_id).where(PriceImpact.id == impact_id).scalar_subquery()
    asked = sa.select(PriceImpact.requested_at).where(PriceImpact.id == impact_id).scalar_subquery()
    await session.execute(
        sa.delete(PriceImpact).where(
            PriceImpact.draft_id == of_draft, PriceImpact.requested_at < asked, PriceImpact.finished_at.is_not(None)
        )
    )
    await session.execute(sa.update(PriceImpact).where(PriceImpact.id == impact_id).values(outcome))


async def find_signed_quote(session: AsyncSession, quote_id: uuid.UUID) -> SignedQuote | None:
    """The quote, where the transaction's company may see it."""
    return await session.get(SignedQuote, quote_id)


async def list_signed_quotes(session: AsyncSession, company_id: uuid.UUID, *, limit: int) -> Sequence[SignedQuote]:
    """The company's, newest first."""
    query = sa.select(SignedQuote).where(SignedQuote.company_id == company_id)
    return (await session.scalars(query.order_by(SignedQuote.issued_at.desc(), SignedQuote.id).limit(limit))).all()
