"""Nouns of the legal desk: drafts of versions, their review, PDFs, rules, country profiles, notices, the log of acts;
and framework agreements, which cover orders that no person places.
"""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from agreements.model import Document
from kernel.db import Base, text_enum
from kernel.money import Money


class DraftState(StrEnum):
    OPEN = "open"
    PUBLISHED = "published"
    DISCARDED = "discarded"


class DraftStep(StrEnum):
    EDITED = "edited"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    RETURNED = "returned"
    COMMENTED = "commented"


class EndReason(StrEnum):
    """Why a framework agreement covers no order any more."""

    BUYER = "buyer"
    SELLER = "seller"
    REPLACED = "replaced"
    """The company accepted another."""


class DocumentDraft(Base, kw_only=True):
    """A version in the making, in one language or several; published whole. Each edit makes its next *version*."""

    __tablename__ = "document_draft"
    __table_args__ = (
        sa.Index(
            "uq_document_draft_open", "document_id", "label", unique=True, postgresql_where=sa.text("state = 'open'")
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("document.id"))
    label: Mapped[str]
    material: Mapped[bool]
    change_note: Mapped[str]
    effective_at: Mapped[datetime | None]
    """None: with the publication."""
    version: Mapped[int]
    state: Mapped[DraftState] = mapped_column(text_enum(DraftState))
    opened_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    opened_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    document: Mapped[Document] = relationship(lazy="raise", init=False, repr=False)


class DraftText(Base, kw_only=True):
    """A draft in one language."""

    __tablename__ = "document_draft_text"

    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("document_draft.id"), primary_key=True)
    locale: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    source_markdown: Mapped[str] = mapped_column(repr=False)
    onerous_clauses: Mapped[list[str]]


class DocumentReview(Base, kw_only=True):
    """A step of a draft's review, about one version of it. Only ever added to."""

    __tablename__ = "document_review"
    __table_args__ = (sa.Index(None, "draft_id", "taken_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("document_draft.id"))
    draft_version: Mapped[int]
    step: Mapped[DraftStep] = mapped_column(text_enum(DraftStep))
    comment: Mapped[str]
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    taken_at: Mapped[datetime]


class VersionPdf(Base, kw_only=True):
    """The PDF of a published version: written once, never changed."""

    __tablename__ = "document_version_pdf"

    version_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("document_version.id"), primary_key=True)
    content: Mapped[bytes] = mapped_column(repr=False)
    sha256: Mapped[str]
    made_at: Mapped[datetime]


class DocumentRule(Base, kw_only=True):
    """When a checkout asks for a document; see `rules.py`. None is any."""

    __tablename__ = "document_rule"
    __table_args__ = (sa.Index(None, "document_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("document.id"))
    name: Mapped[str]
    """Buyers read it: it stands in the presentation."""
    countries: Mapped[list[str] | None] = mapped_column(default=None)
    categories: Mapped[list[str] | None] = mapped_column(default=None)
    companies: Mapped[list[str] | None] = mapped_column(default=None)
    """Codes."""
    currency: Mapped[str | None] = mapped_column(sa.CHAR(3), default=None)
    from_minor: Mapped[int | None] = mapped_column(default=None)
    to_minor: Mapped[int | None] = mapped_column(default=None)
    """The first total it is not for."""
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None] = mapped_column(default=None)
    version: Mapped[int]
    document: Mapped[Document] = relationship(lazy="raise", init=False, repr=False)


class CountryProfile(Base, kw_only=True):
    """What the law of the buyer's country adds to the step. Texts by language; an empty one adds nothing."""

    __tablename__ = "country_profile"

    country: Mapped[str] = mapped_column(sa.CHAR(2), primary_key=True)
    onerous_reference: Mapped[dict[str, Any]]
    """The law that wants onerous clauses approved by a tick of their own: `{"en": "articles 1341 and 1342 ..."}`."""
    business_reference: Mapped[dict[str, Any]]
    """The law by which the buyer is no consumer, cited in the business-purpose statement."""
    version: Mapped[int]


class AgreementAct(Base, kw_only=True):
    """What staff did to documents, rules and framework agreements. Only ever added to."""

    __tablename__ = "agreement_act"
    __table_args__ = (sa.Index(None, "at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"))
    """None: the house's command line."""
    act: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]


class DocumentNotice(Base, kw_only=True):
    """A signatory was written about a material version: once."""

    __tablename__ = "document_notice"
    __table_args__ = (sa.UniqueConstraint("document_id", "label", "company_id", "person_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    document_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("document.id"))
    label: Mapped[str]
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    mail_id: Mapped[uuid.UUID]
    queued_at: Mapped[datetime]


class FrameworkAgreement(Base, kw_only=True):
    """A signatory's acceptance for the orders that the company's programs place, until it ends. At most one stands."""

    __tablename__ = "framework_agreement"
    __table_args__ = (
        sa.UniqueConstraint("company_id", "id"),
        sa.ForeignKeyConstraint(
            ["company_id", "presentation_id"],
            ["agreement_presentation.company_id", "agreement_presentation.id"],
            name="fk_framework_agreement_presentation",
        ),
        sa.Index(
            "uq_framework_agreement_standing", "company_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    presentation_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    actor_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    ticked: Mapped[list[str]]
    accepted_at: Mapped[datetime]
    order_content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """What was agreed: channels and limit. It stands where an order stands in the receipt of one."""
    order_digest: Mapped[str]
    limit_minor: Mapped[int | None] = mapped_column(default=None)
    currency: Mapped[str | None] = mapped_column(sa.CHAR(3), default=None)
    ledger_seq: Mapped[int] = mapped_column(sa.ForeignKey("acceptance_ledger.seq"), unique=True)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    end_reason: Mapped[EndReason | None] = mapped_column(text_enum(EndReason), default=None)
    end_note: Mapped[str] = mapped_column(default="")
    ended_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)

    @property
    def limit(self) -> Money | None:
        """The most that one order may come to: what its signatory might sign. None is without limit."""
        if self.limit_minor is None or self.currency is None:
            return None
        return Money(self.limit_minor, self.currency)


class FrameworkOrder(Base, kw_only=True):
    """The framework agreement that is an order's basis, cited in the ledger when the order was made."""

    __tablename__ = "framework_order"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["company_id", "framework_id"],
            ["framework_agreement.company_id", "framework_agreement.id"],
            name="fk_framework_order_framework",
        ),
    )

    order_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    framework_id: Mapped[uuid.UUID]
    order_content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """The canonical order as it was placed: what the order's own digest is over."""
    order_digest: Mapped[str]
    ledger_seq: Mapped[int] = mapped_column(sa.ForeignKey("acceptance_ledger.seq"), unique=True)
    cited_at: Mapped[datetime]
