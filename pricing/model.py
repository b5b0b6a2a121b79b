"""Contents of books, drafts over them, the log of publications, and quotes as they were signed."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from accounts.model import Person
from kernel.db import Base, text_enum


class DraftState(StrEnum):
    OPEN = "open"
    PUBLISHED = "published"
    DISCARDED = "discarded"


class ReviewStep(StrEnum):
    SUBMITTED = "submitted"
    APPROVED = "approved"
    RETURNED = "returned"
    COMMENTED = "commented"


class Approval(StrEnum):
    """How a publication came to be allowed."""

    GIVEN = "given"
    HOUSE = "house"
    """By the house's own command line, which needs none."""
    OFF = "off"
    """The installation asks for none."""
    RESTORED = "restored"
    """A roll-back, which needs none."""
    BEFORE = "before"
    """Published before there were approvals."""


class PriceContent(Base):
    """One book's leaves, compressed (`pricing.content`). Named by its root, so it never changes.

    The house signs root and bytes together: a reader then knows what the root names without computing it again.
    """

    __tablename__ = "price_content"

    root: Mapped[bytes] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(deferred=True)
    leaf_count: Mapped[int] = mapped_column(sa.Integer)
    created_at: Mapped[datetime]
    signature: Mapped[bytes]
    key_id: Mapped[str]


class PriceSource(Base):
    """What a content was made from, compressed (`pricing.content.Source`): its derivations, and which rows of derived
    lists were stated outright. Named by the SHA-256 of its bytes, so it never changes. Staff alone may learn of it.
    """

    __tablename__ = "price_source"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    source: Mapped[bytes] = mapped_column(deferred=True)
    created_at: Mapped[datetime]


class PriceDraft(Base):
    """Changes on top of the content *base_root*; None: on top of an empty book. *base_source*: what that was made from;
    None: every row was stated outright. *version* counts the edits. *author_id* None: the house's own command line.
    """

    __tablename__ = "price_draft"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    base_root: Mapped[bytes | None] = mapped_column(sa.ForeignKey("price_content.root"))
    base_source: Mapped[bytes | None] = mapped_column(sa.ForeignKey("price_source.digest"))
    state: Mapped[DraftState] = mapped_column(text_enum(DraftState))
    version: Mapped[int] = mapped_column(sa.Integer)
    author_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(default=None)


class PriceDraftChange(Base):
    """The leaf as it will be; *content* None: it will be gone."""

    __tablename__ = "price_draft_change"

    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_draft.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.Text(collation="C"), primary_key=True)
    content: Mapped[Any] = mapped_column(postgresql.JSONB(none_as_null=True), nullable=True)
    changed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    changed_at: Mapped[datetime]


class PriceAcknowledgement(Base):
    """A person's word for a warning of a draft, before it is published. *finding*: its digest
    (`pricing.findings.finding_digest`), so that the word outlives edits that leave the finding as it is.
    """

    __tablename__ = "price_acknowledgement"

    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_draft.id"), primary_key=True)
    finding: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    acknowledged_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    acknowledged_at: Mapped[datetime]


class PriceDraftAuthor(Base):
    """Whoever opened or ever edited the draft, also where nothing is left of the edit."""

    __tablename__ = "price_draft_author"

    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_draft.id"), primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey(Person.id), primary_key=True)


class PriceReview(Base):
    """One step of a draft's review, about one version of it. Never changed."""

    __tablename__ = "price_review"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_draft.id"))
    draft_version: Mapped[int] = mapped_column(sa.Integer)
    step: Mapped[ReviewStep] = mapped_column(text_enum(ReviewStep))
    comment: Mapped[str]
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey(Person.id))
    taken_at: Mapped[datetime]


class PriceImpact(Base, kw_only=True):
    """What a draft would do to what was sold in the last *months*: asked for, and worked out by a job. *as_of*: the
    instant of the prices; None: when it was asked. Once *finished_at* there is a *result* (`pricing.impacts.Report`,
    compressed) or a *problem*. Staff alone may learn of it: it holds margins.
    """

    __tablename__ = "price_impact"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_draft.id"))
    months: Mapped[int] = mapped_column(sa.Integer)
    as_of: Mapped[datetime | None]
    requested_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    requested_at: Mapped[datetime]
    lines_done: Mapped[int] = mapped_column(default=0)
    lines_all: Mapped[int | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    problem: Mapped[str | None] = mapped_column(default=None)
    detail: Mapped[str | None] = mapped_column(default=None)
    result: Mapped[bytes | None] = mapped_column(deferred=True, default=None)


class PricePublication(Base):
    """One entry of the append-only log: from *effective_at* on, until the next one's, prices are those of *root*.

    *author_id* wrote the draft, *published_by* put it in force; *restores* is the one a roll-back returns to. *source*:
    what the next draft starts from; None: every row was stated outright. Each of *findings* carries its text and, as
    `acknowledged`, who accepted it, when and why: the database refuses one without. *demands*: why a second approver
    was asked for (`pricing.second_look.Demand`).
    """

    __tablename__ = "price_publication"

    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(sa.ForeignKey("price_content.root"))
    source: Mapped[bytes | None] = mapped_column(sa.ForeignKey("price_source.digest"))
    effective_at: Mapped[datetime]
    published_at: Mapped[datetime]
    author_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    published_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    draft_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("price_draft.id"), unique=True)
    restores: Mapped[int | None] = mapped_column(sa.Integer, sa.ForeignKey("price_publication.number"))
    note: Mapped[str]
    findings: Mapped[list[dict[str, Any]]] = mapped_column(postgresql.JSONB)
    approval: Mapped[Approval] = mapped_column(text_enum(Approval))
    approved_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    approved_at: Mapped[datetime | None]
    demands: Mapped[list[dict[str, Any]]] = mapped_column(postgresql.JSONB)
    second_approved_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    second_approved_at: Mapped[datetime | None]
    signature: Mapped[bytes]
    key_id: Mapped[str]


class SignedQuote(Base):
    """A quote signed for a company: *document* is what the buyer was given, byte for byte. It never changes."""

    __tablename__ = "signed_quote"
    __table_args__ = (sa.UniqueConstraint("company_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    root: Mapped[bytes] = mapped_column(sa.ForeignKey("price_content.root"))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    document: Mapped[bytes]
