"""How long the house keeps what, what it must not erase, and what it was asked to erase or to hand out."""

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

import accounts.model  # noqa: F401 - the tables company and person, which foreign keys name
from kernel.db import Base, text_enum


class RecordKind(StrEnum):
    """Kinds of record, each with a period of its own; what a country says of one is data (`RetentionPeriod`)."""

    ACCOUNT = "account"
    """Name, e-mail, password, memberships, API keys of somebody who logs in."""
    SESSION = "session"
    LETTER = "letter"
    """Mail the shop sent, and what it kept of it."""
    JOURNEY = "journey"
    """First-party events of a browser."""
    CONSENT = "consent"
    IDENTITY_EVIDENCE = "identity_evidence"
    """Values and salts behind the commitments of an acceptance: who acted, where the goods went."""
    CONNECTION_EVIDENCE = "connection_evidence"
    """Socket address and browser of an acceptance."""
    UNCONCLUDED = "unconcluded"
    """What was shown, declined or sent to lawyers and came to no contract."""
    ORDER_CONTACT = "order_contact"
    """E-mail of an order and names in its notes."""
    ORDER_ADDRESS = "order_address"
    """Where goods were delivered: evidence of the place of supply."""
    PAYMENT = "payment"
    """What the payment provider said of who paid."""
    CONTRACT = "contract"
    """Orders, postings, acceptances and the ledger."""
    DATA_EXPORT = "data_export"


class RetentionPeriod(Base, kw_only=True):
    """How long records of a kind are kept in a country; the newest row of a country and kind holds. Never changed."""

    __tablename__ = "retention_period"
    __table_args__ = (sa.Index(None, "kind", "country", "set_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    country: Mapped[str | None] = mapped_column(sa.CHAR(2))
    """Of the buyer; None for countries that have no row of their own."""
    kind: Mapped[RecordKind] = mapped_column(text_enum(RecordKind))
    days: Mapped[int]
    obligatory: Mapped[bool]
    """Whether it stays that long although a person asks for erasure; else it is only deleted then at the latest."""
    basis_en: Mapped[str]
    """Why, with the law: a sentence of letters and pages."""
    basis_es: Mapped[str]
    set_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"))
    """None: the house's command line."""
    set_at: Mapped[datetime]


class LegalHold(Base, kw_only=True):
    """Nothing of a person or company may be erased, by plan or by age, while it stands."""

    __tablename__ = "legal_hold"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"))
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"))
    reason: Mapped[str]
    placed_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    placed_at: Mapped[datetime]
    lifted_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
    lift_reason: Mapped[str | None] = mapped_column(default=None)


class PlanState(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    """Being carried out by a job."""
    APPLIED = "applied"
    WITHDRAWN = "withdrawn"


class ErasurePlan(Base, kw_only=True):
    """What would be, and what was, erased of a person or of everybody of a company. Names nobody: ids and counts."""

    __tablename__ = "erasure_plan"
    __table_args__ = (sa.Index(None, "made_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"))
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"))
    people: Mapped[list[uuid.UUID]] = mapped_column(postgresql.ARRAY(sa.Uuid))
    """Everybody it is about."""
    state: Mapped[PlanState] = mapped_column(text_enum(PlanState), default=PlanState.DRAFT)
    asked_on: Mapped[date]
    reason: Mapped[str]
    locale: Mapped[str]
    """Of the letter."""
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    """Whose periods hold."""
    items: Mapped[list[Any]] = mapped_column(postgresql.JSONB)
    """Of `erasure.Item`, as last looked at."""
    made_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    made_at: Mapped[datetime]
    approved_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    approved_at: Mapped[datetime | None] = mapped_column(default=None)
    letters: Mapped[list[uuid.UUID]] = mapped_column(postgresql.ARRAY(sa.Uuid), default_factory=list)
    """Ids of the letters that told the people so, sent before their addresses went."""
    applied_at: Mapped[datetime | None] = mapped_column(default=None)
    again_at: Mapped[datetime | None] = mapped_column(default=None)
    """When the first of what had to stay may go."""
    withdrawn_at: Mapped[datetime | None] = mapped_column(default=None)


class ErasureStep(Base, kw_only=True):
    """Part of a plan that is done; written with it. Never changed."""

    __tablename__ = "erasure_step"

    plan_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("erasure_plan.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holding: Mapped[str]
    erased: Mapped[int]
    """Rows."""
    done_at: Mapped[datetime]


class DataExport(Base, kw_only=True):
    """A copy of a person's data that they asked for: encrypted, and gone after some days."""

    __tablename__ = "data_export"
    __table_args__ = (sa.Index(None, "person_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    """For which the person asked."""
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    asked_at: Mapped[datetime]
    ready_at: Mapped[datetime | None] = mapped_column(default=None)
    expires_at: Mapped[datetime | None] = mapped_column(default=None)
    size: Mapped[int | None] = mapped_column(default=None)
    """Bytes of the file."""
    ciphertext: Mapped[bytes | None] = mapped_column(default=None, repr=False)
