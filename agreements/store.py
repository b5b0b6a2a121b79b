"""Every query of agreements, one function a question."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from agreements import in_force
from agreements.model import (
    KEY_KIND,
    Acceptance,
    Annex,
    Consent,
    Document,
    DocumentVersion,
    LedgerCheckpoint,
    LedgerEntry,
    LedgerStamp,
    LedgerTail,
    LegalReview,
    Opening,
    Presentation,
    Receipt,
)
from agreements.tree import Place

# Asked while a buyer waits: a statement that is built anew for each takes twice as long, and mapped objects too
_LOCK_TO_ACCEPT: Final = sa.text(
    f"""
    SELECT p.id, p.company_id, p.checkout_id, p.actor_id, p.content, p.content_digest, p.order_content, p.order_digest,
        p.salts, p.locale, p.issued_at, p.expires_at, p.signature, p.key_id,
        coalesce(p.order_id, a.order_id) AS order_id,
        m.signatory, m.authority, m.signing_limit_minor, m.currency,
        {in_force.FOUND} AS in_force
    FROM agreement_presentation p
        LEFT JOIN membership m ON m.company_id = p.company_id AND m.person_id = p.actor_id
        LEFT JOIN acceptance a ON a.checkout_id = p.checkout_id
    WHERE p.id = :id
    FOR UPDATE OF p
    """  # noqa: S608 - of a constant
)
_NODES: Final = sa.text(
    "SELECT n.level, n.position, n.hash FROM acceptance_ledger_node n"
    " JOIN unnest(cast(:levels AS bigint[]), cast(:positions AS bigint[])) AS wanted (level, position)"
    " ON n.level = wanted.level AND n.position = wanted.position"
)


async def find_document(session: AsyncSession, code: str) -> Document | None:
    return await session.scalar(sa.select(Document).where(Document.code == code))


async def list_document_codes(session: AsyncSession) -> tuple[str, ...]:
    return tuple(await session.scalars(sa.select(Document.code).order_by(Document.position, Document.code)))


async def lock_document(session: AsyncSession, code: str) -> Document | None:
    return await session.scalar(sa.select(Document).where(Document.code == code).with_for_update())


async def find_version(session: AsyncSession, code: str, label: str, locale: str) -> DocumentVersion | None:
    return await session.scalar(
        _versions().where(Document.code == code, DocumentVersion.label == label, DocumentVersion.locale == locale)
    )


async def list_versions(session: AsyncSession, code: str | None = None) -> list[DocumentVersion]:
    """All that was ever published, or all of one document, the latest first."""
    query = _versions().order_by(
        Document.position, Document.code, DocumentVersion.published_at.desc(), DocumentVersion.locale
    )
    return list(await session.scalars(query if code is None else query.where(Document.code == code)))


async def list_versions_by_id(session: AsyncSession, ids: Iterable[uuid.UUID]) -> list[DocumentVersion]:
    return list(await session.scalars(_versions().where(DocumentVersion.id.in_(list(ids)))))


async def find_presentation(session: AsyncSession, presentation_id: uuid.UUID) -> Presentation | None:
    return await session.scalar(sa.select(Presentation).where(Presentation.id == presentation_id))


async def lock_presentation(session: AsyncSession, presentation_id: uuid.UUID) -> Presentation | None:
    return await session.scalar(
        sa.select(Presentation)
        .where(Presentation.id == presentation_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def lock_presentation_to_accept(
    session: AsyncSession, presentation_id: uuid.UUID, at: datetime
) -> sa.Row[Any] | None:
    """With the order that was accepted of its checkout, what its person may do for its company, and what is in force
    at *at*.
    """
    return (await session.execute(_LOCK_TO_ACCEPT, {"id": presentation_id, "at": at})).one_or_none()


async def find_acceptance(session: AsyncSession, order_id: uuid.UUID) -> Acceptance | None:
    return await session.scalar(sa.select(Acceptance).where(Acceptance.order_id == order_id))


async def find_order_of_checkout(session: AsyncSession, checkout_id: uuid.UUID) -> uuid.UUID | None:
    """The order that an acceptance of this checkout made."""
    return await session.scalar(sa.select(Acceptance.order_id).where(Acceptance.checkout_id == checkout_id))


async def lock_tail(session: AsyncSession) -> None:
    """Whoever holds it appends next."""
    await session.execute(sa.select(LedgerTail.size).with_for_update())


async def find_tail(session: AsyncSession) -> LedgerTail:
    return (await session.scalars(sa.select(LedgerTail).execution_options(populate_existing=True))).one()


async def find_entry(session: AsyncSession, seq: int) -> LedgerEntry | None:
    return await session.scalar(sa.select(LedgerEntry).where(LedgerEntry.seq == seq))


async def key_is_told(session: AsyncSession, key_id: str) -> bool:
    """Whether a row of the ledger names this key as a new one."""
    found = await session.scalar(
        sa.select(LedgerEntry.seq)
        .where(LedgerEntry.kind == KEY_KIND, LedgerEntry.content["key"]["id"].astext == key_id)
        .limit(1)
    )
    return found is not None


async def list_entries(session: AsyncSession, start: int, limit: int) -> list[LedgerEntry]:
    return list(
        await session.scalars(
            sa.select(LedgerEntry).where(LedgerEntry.seq >= start).order_by(LedgerEntry.seq).limit(limit)
        )
    )


async def list_nodes(session: AsyncSession, places: Iterable[Place]) -> dict[Place, bytes]:
    wanted = list(set(places))
    if not wanted:
        return {}
    levels, positions = zip(*wanted, strict=True)
    rows = await session.execute(_NODES, {"levels": list(levels), "positions": list(positions)})
    return {(level, position): value for level, position, value in rows}


async def find_checkpoint_covering(session: AsyncSession, seq: int) -> LedgerCheckpoint | None:
    """The oldest checkpoint whose tree holds leaf *seq*: a receipt always cites the same one."""
    return await session.scalar(
        sa.select(LedgerCheckpoint).where(LedgerCheckpoint.size > seq).order_by(LedgerCheckpoint.size).limit(1)
    )


async def list_unstamped(session: AsyncSession, since: datetime, limit: int) -> list[LedgerCheckpoint]:
    """Heads signed since an instant that nobody else has stamped, the newest first."""
    stamped = sa.select(LedgerStamp.size).where(LedgerStamp.size == LedgerCheckpoint.size).exists()
    return list(
        await session.scalars(
            sa.select(LedgerCheckpoint)
            .where(LedgerCheckpoint.signed_at >= since, ~stamped)
            .order_by(LedgerCheckpoint.size.desc())
            .limit(limit)
        )
    )


async def find_latest_checkpoint(session: AsyncSession) -> LedgerCheckpoint | None:
    return await session.scalar(sa.select(LedgerCheckpoint).order_by(LedgerCheckpoint.size.desc()).limit(1))


async def find_checkpoint(session: AsyncSession, size: int) -> LedgerCheckpoint | None:
    return await session.scalar(sa.select(LedgerCheckpoint).where(LedgerCheckpoint.size == size))


async def list_checkpoints(session: AsyncSession) -> list[LedgerCheckpoint]:
    return list(await session.scalars(sa.select(LedgerCheckpoint).order_by(LedgerCheckpoint.size)))


async def add_checkpoint(session: AsyncSession, checkpoint: LedgerCheckpoint) -> None:
    """Keep *checkpoint* unless another process has just kept one of the same size."""
    await session.execute(
        insert(LedgerCheckpoint)
        .values(size=checkpoint.size, root=checkpoint.root, note=checkpoint.note, signed_at=checkpoint.signed_at)
        .on_conflict_do_nothing()
    )


async def list_openings(session: AsyncSession, seq: int) -> list[Opening]:
    return list(await session.scalars(sa.select(Opening).where(Opening.ledger_seq == seq).order_by(Opening.field)))


async def lock_receipt(session: AsyncSession, acceptance_id: uuid.UUID) -> Receipt | None:
    return await session.scalar(sa.select(Receipt).where(Receipt.acceptance_id == acceptance_id).with_for_update())


async def find_receipt(session: AsyncSession, order_id: uuid.UUID) -> Receipt | None:
    """How far the receipt of an order's acceptance has come."""
    return await session.scalar(
        sa.select(Receipt)
        .join(Acceptance, Acceptance.id == Receipt.acceptance_id)
        .where(Acceptance.order_id == order_id)
    )


async def find_annex(session: AsyncSession, acceptance_id: uuid.UUID) -> Annex | None:
    return await session.scalar(sa.select(Annex).where(Annex.acceptance_id == acceptance_id))


async def list_consents_given(session: AsyncSession, person_id: uuid.UUID, purpose: str) -> list[Consent]:
    return list(
        await session.scalars(
            sa.select(Consent).where(
                Consent.person_id == person_id, Consent.purpose == purpose, Consent.withdrawn_at.is_(None)
            )
        )
    )


async def find_review(session: AsyncSession, token_sha256: bytes) -> LegalReview | None:
    return await session.scalar(sa.select(LegalReview).where(LegalReview.token_sha256 == token_sha256))


def _versions() -> sa.Select[DocumentVersion]:
    return sa.select(DocumentVersion).join(DocumentVersion.document).options(joinedload(DocumentVersion.document))
