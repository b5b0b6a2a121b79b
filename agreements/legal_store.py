"""Every query of the legal desk, one function a question."""

import uuid
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from accounts.model import Company, Membership, Person
from agreements.legal_model import (
    AgreementAct,
    CountryProfile,
    DocumentDraft,
    DocumentNotice,
    DocumentReview,
    DocumentRule,
    DraftState,
    DraftText,
    FrameworkAgreement,
    FrameworkOrder,
    VersionPdf,
)
from agreements.model import Document, DocumentVersion, LedgerEntry


async def list_documents(session: AsyncSession) -> list[Document]:
    return list(await session.scalars(sa.select(Document).order_by(Document.position, Document.code)))


async def list_rule_rows(session: AsyncSession) -> list[DocumentRule]:
    """By document, then by name."""
    return list(
        await session.scalars(
            sa.select(DocumentRule)
            .join(DocumentRule.document)
            .options(joinedload(DocumentRule.document))
            .order_by(Document.position, Document.code, DocumentRule.name, DocumentRule.id)
        )
    )


async def find_rule(session: AsyncSession, rule_id: uuid.UUID) -> DocumentRule | None:
    return await session.scalar(
        sa.select(DocumentRule).where(DocumentRule.id == rule_id).options(joinedload(DocumentRule.document))
    )


async def lock_rule(session: AsyncSession, rule_id: uuid.UUID) -> DocumentRule | None:
    return await session.scalar(
        sa.select(DocumentRule)
        .where(DocumentRule.id == rule_id)
        .options(joinedload(DocumentRule.document))
        .with_for_update(of=DocumentRule)
        .execution_options(populate_existing=True)
    )


async def find_profile(session: AsyncSession, country: str) -> CountryProfile | None:
    return await session.get(CountryProfile, country)


async def lock_profile(session: AsyncSession, country: str) -> CountryProfile | None:
    return await session.get(CountryProfile, country, with_for_update=True, populate_existing=True)


async def list_profiles(session: AsyncSession) -> list[CountryProfile]:
    return list(await session.scalars(sa.select(CountryProfile).order_by(CountryProfile.country)))


async def find_pdf(session: AsyncSession, version_id: uuid.UUID) -> VersionPdf | None:
    return await session.get(VersionPdf, version_id)


async def list_pdf_digests(session: AsyncSession, version_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    rows = await session.execute(
        sa.select(VersionPdf.version_id, VersionPdf.sha256).where(VersionPdf.version_id.in_(list(version_ids)))
    )
    return {row.version_id: row.sha256 for row in rows}


async def find_draft(session: AsyncSession, draft_id: uuid.UUID) -> DocumentDraft | None:
    return await session.scalar(_drafts().where(DocumentDraft.id == draft_id))


async def lock_draft(session: AsyncSession, draft_id: uuid.UUID) -> DocumentDraft | None:
    return await session.scalar(
        _drafts()
        .where(DocumentDraft.id == draft_id)
        .with_for_update(of=DocumentDraft)
        .execution_options(populate_existing=True)
    )


async def find_open_draft(session: AsyncSession, document_id: uuid.UUID, label: str) -> DocumentDraft | None:
    return await session.scalar(
        _drafts().where(
            DocumentDraft.document_id == document_id,
            DocumentDraft.label == label,
            DocumentDraft.state == DraftState.OPEN,
        )
    )


async def list_open_drafts(session: AsyncSession) -> list[DocumentDraft]:
    return list(
        await session.scalars(
            _drafts().where(DocumentDraft.state == DraftState.OPEN).order_by(DocumentDraft.changed_at.desc())
        )
    )


async def list_draft_texts(session: AsyncSession, draft_id: uuid.UUID) -> list[DraftText]:
    return list(
        await session.scalars(sa.select(DraftText).where(DraftText.draft_id == draft_id).order_by(DraftText.locale))
    )


async def list_reviews(session: AsyncSession, draft_ids: Iterable[uuid.UUID]) -> list[DocumentReview]:
    """What was done and said of these drafts, oldest first."""
    return list(
        await session.scalars(
            sa.select(DocumentReview)
            .where(DocumentReview.draft_id.in_(list(draft_ids)))
            .order_by(DocumentReview.taken_at, DocumentReview.id)
        )
    )


async def list_versions_of_label(session: AsyncSession, document_id: uuid.UUID, label: str) -> list[DocumentVersion]:
    return list(
        await session.scalars(
            sa.select(DocumentVersion)
            .where(DocumentVersion.document_id == document_id, DocumentVersion.label == label)
            .options(joinedload(DocumentVersion.document))
            .order_by(DocumentVersion.published_at, DocumentVersion.locale)
        )
    )


async def list_acts(session: AsyncSession, limit: int) -> list[AgreementAct]:
    """The newest first."""
    return list(
        await session.scalars(
            sa.select(AgreementAct).order_by(AgreementAct.at.desc(), AgreementAct.id.desc()).limit(limit)
        )
    )


async def list_agreed_leaves(session: AsyncSession, company_id: uuid.UUID, limit: int) -> list[LedgerEntry]:
    """The company's last rows of the ledger that name documents, the newest first."""
    return list(
        await session.scalars(
            sa.select(LedgerEntry)
            .where(LedgerEntry.company_id == company_id, LedgerEntry.content.has_key("documents"))
            .order_by(LedgerEntry.seq.desc())
            .limit(limit)
        )
    )


async def list_companies_that_agreed(session: AsyncSession, code: str) -> list[uuid.UUID]:
    """Companies with a row of the ledger that names any version of the document."""
    found = await session.scalars(
        sa.select(LedgerEntry.company_id)
        .where(LedgerEntry.company_id.is_not(None), LedgerEntry.content["documents"].contains([{"code": code}]))
        .distinct()
        .order_by(LedgerEntry.company_id)
    )
    return [company_id for company_id in found if company_id is not None]


async def list_signatories(session: AsyncSession, company_id: uuid.UUID) -> list[Person]:
    return list(
        await session.scalars(
            sa.select(Person)
            .join(Membership, Membership.person_id == Person.id)
            .where(Membership.company_id == company_id, Membership.signatory)
            .order_by(Person.email)
        )
    )


async def list_told(session: AsyncSession, company_id: uuid.UUID, document_id: uuid.UUID, label: str) -> set[uuid.UUID]:
    """Who of the company was written about a version."""
    return set(
        await session.scalars(
            sa.select(DocumentNotice.person_id).where(
                DocumentNotice.company_id == company_id,
                DocumentNotice.document_id == document_id,
                DocumentNotice.label == label,
            )
        )
    )


async def count_notices(session: AsyncSession) -> list[dict[str, Any]]:
    """By version: companies and people told, first and last; the newest first."""
    last = sa.func.max(DocumentNotice.queued_at).label("last")
    rows = await session.execute(
        sa.select(
            Document.code,
            DocumentNotice.label,
            sa.func.count(DocumentNotice.company_id.distinct()).label("companies"),
            sa.func.count().label("people"),
            sa.func.min(DocumentNotice.queued_at).label("first"),
            last,
        )
        .join(Document, Document.id == DocumentNotice.document_id)
        .group_by(Document.code, DocumentNotice.label)
        .order_by(last.desc())
    )
    return [dict(row) for row in rows.mappings()]


async def list_notices(session: AsyncSession, code: str, label: str) -> list[tuple[DocumentNotice, str, str]]:
    """With the names of company and person, by company."""
    rows = await session.execute(
        sa.select(DocumentNotice, Company.name, Person.name)
        .join(Document, Document.id == DocumentNotice.document_id)
        .join(Company, Company.id == DocumentNotice.company_id)
        .join(Person, Person.id == DocumentNotice.person_id)
        .where(Document.code == code, DocumentNotice.label == label)
        .order_by(Company.name, Person.name)
    )
    return [(notice, company, person) for notice, company, person in rows]


async def find_standing_framework(session: AsyncSession, company_id: uuid.UUID) -> FrameworkAgreement | None:
    return await session.scalar(
        sa.select(FrameworkAgreement).where(
            FrameworkAgreement.company_id == company_id, FrameworkAgreement.ended_at.is_(None)
        )
    )


async def lock_standing_framework(session: AsyncSession, company_id: uuid.UUID) -> FrameworkAgreement | None:
    return await session.scalar(
        sa.select(FrameworkAgreement)
        .where(FrameworkAgreement.company_id == company_id, FrameworkAgreement.ended_at.is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def hold_standing_framework(session: AsyncSession, company_id: uuid.UUID) -> FrameworkAgreement | None:
    """Nobody ends it before the transaction does; others may hold it too."""
    return await session.scalar(
        sa.select(FrameworkAgreement)
        .where(FrameworkAgreement.company_id == company_id, FrameworkAgreement.ended_at.is_(None))
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    )


async def find_framework(session: AsyncSession, framework_id: uuid.UUID) -> FrameworkAgreement | None:
    return await session.get(FrameworkAgreement, framework_id)


async def lock_framework(session: AsyncSession, framework_id: uuid.UUID) -> FrameworkAgreement | None:
    return await session.get(FrameworkAgreement, framework_id, with_for_update=True, populate_existing=True)


async def list_frameworks(
    session: AsyncSession,
) -> list[tuple[FrameworkAgreement, str, str, list[dict[str, Any]], int]]:
    """Each with the names of company and signatory, the documents accepted and how many orders cite it: standing ones
    first, then the newest.
    """
    orders = (
        sa.select(sa.func.count())
        .where(FrameworkOrder.framework_id == FrameworkAgreement.id)
        .correlate(FrameworkAgreement)
        .scalar_subquery()
    )
    rows = await session.execute(
        sa.select(FrameworkAgreement, Company.name, Person.name, LedgerEntry.content["documents"], orders)
        .join(Company, Company.id == FrameworkAgreement.company_id)
        .join(Person, Person.id == FrameworkAgreement.actor_id)
        .join(LedgerEntry, LedgerEntry.seq == FrameworkAgreement.ledger_seq)
        .order_by(FrameworkAgreement.ended_at.is_not(None), FrameworkAgreement.accepted_at.desc())
    )
    return [(framework, company, person, documents, count) for framework, company, person, documents, count in rows]


def _drafts() -> sa.Select[DocumentDraft]:
    return sa.select(DocumentDraft).options(joinedload(DocumentDraft.document))
