"""Who buys, who sells: companies, persons, what joins them, and the secrets by which they are recognised."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db import Base, text_enum
from kernel.money import Money


class TaxStatus(StrEnum):
    """How the company's tax id and country make it taxed, as far as they are known before a ship-to address is."""

    DOMESTIC = "domestic"
    REVERSE_CHARGE = "reverse_charge"
    EXEMPT = "exempt"


class TaxIdCheck(StrEnum):
    """What is known about a company's tax id."""

    ABSENT = "absent"
    UNCHECKED = "unchecked"
    """Given, but of a country whose format we do not know."""
    WELL_FORMED = "well_formed"
    """Format and check digits hold; nobody was asked whether it exists."""
    CONFIRMED = "confirmed"
    """VIES knows it."""
    REFUTED = "refuted"
    """VIES does not know it: it counts as none."""


class MemberRole(StrEnum):
    BUYER = "buyer"
    APPROVER = "approver"
    ADMIN = "admin"


class Authority(StrEnum):
    """Where a signatory's power to bind the company comes from."""

    SELF_DECLARED = "self_declared"
    """Said by the person who signed the company up; nobody confirmed it."""
    APPOINTED = "appointed"
    """Given by an admin of the company, or by the merchant's staff."""


class StaffRole(StrEnum):
    FINANCE = "finance"
    LEGAL = "legal"
    SUPPORT = "support"
    ADMIN = "admin"


class TokenPurpose(StrEnum):
    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a purpose, not a secret
    EMAIL_CODE = "email_code"


class KeyScope(StrEnum):
    """What an API key may do."""

    CATALOG_READ = "catalog:read"
    PRICES_READ = "prices:read"
    QUOTES_CREATE = "quotes:create"
    ORDERS_READ = "orders:read"
    ORDERS_CREATE = "orders:create"
    """Place orders that cite the company's framework agreement."""
    WEBHOOKS_MANAGE = "webhooks:manage"


class DeskScope(StrEnum):
    """What an API key of the house's own people may do at the desk, as far as their role allows it."""

    READ = "desk:read"
    """Drafts, findings, impact, publications, exports, orders' prices."""
    EDIT = "desk:edit"
    """Drafts: begin, change, import, acknowledge warnings, comment, submit, discard."""
    APPROVE = "desk:approve"
    """Approve or return what somebody else wrote."""
    PUBLISH = "desk:publish"
    """Publish and roll back."""


FINANCE_ROLES: Final = frozenset({StaffRole.FINANCE, StaffRole.ADMIN})
"""Who works at the finance desk."""
LEGAL_ROLES: Final = frozenset({StaffRole.LEGAL, StaffRole.ADMIN})
"""Who works at the legal desk: documents, evidence, privacy."""


class Merchant(Base, kw_only=True):
    """The seller this installation belongs to: one row."""

    __tablename__ = "merchant"

    singleton: Mapped[bool] = mapped_column(primary_key=True, default=True)
    legal_name: Mapped[str]
    trade_name: Mapped[str]
    address: Mapped[dict[str, Any]]
    """`{"street": ..., "postal_code": ..., "city": ..., "region": ...}`; the country stands beside it."""
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    tax_id: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str]
    support_hours: Mapped[str]


class Company(Base, kw_only=True):
    """A buyer: the key of row-level security."""

    __tablename__ = "company"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    """Price files name companies by it, so only staff choose a speaking one."""
    name: Mapped[str]
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    tax_id: Mapped[str | None] = mapped_column(default=None)
    tax_id_check: Mapped[TaxIdCheck] = mapped_column(text_enum(TaxIdCheck), default=TaxIdCheck.ABSENT)
    tax_status: Mapped[TaxStatus] = mapped_column(text_enum(TaxStatus))
    currency: Mapped[str] = mapped_column(sa.CHAR(3))
    segments: Mapped[list[str]]
    exemptions: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default_factory=list)
    """Accepted exemption certificates, whether or not they have expired: `accounts.exemption_model.Exemption`."""
    self_registered: Mapped[bool]
    created_at: Mapped[datetime]


class SegmentChange(Base, kw_only=True):
    """Who put a company into which segments, and why. Only ever added to; staff alone see it."""

    __tablename__ = "segment_change"
    __table_args__ = (sa.Index(None, "company_id", "changed_at"), sa.Index(None, "changed_at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    before: Mapped[list[str]]
    after: Mapped[list[str]]
    reason: Mapped[str]
    changed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"))
    """None: the house's command line."""
    changed_at: Mapped[datetime]


class Person(Base, kw_only=True):
    """Somebody who logs in: a buyer's member, or, with a staff role, one of the merchant's own people."""

    __tablename__ = "person"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    """In lower case."""
    name: Mapped[str]
    locale: Mapped[str]
    """`en` or `es`."""
    password_hash: Mapped[str] = mapped_column(repr=False)
    email_verified_at: Mapped[datetime | None] = mapped_column(default=None)
    staff_role: Mapped[StaffRole | None] = mapped_column(text_enum(StaffRole), default=None)
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None] = mapped_column(default=None)
    """When everything that named them was erased; the row stays, for orders and acceptances refer to it."""


class Membership(Base, kw_only=True):
    """What a person may do for a company."""

    __tablename__ = "membership"

    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"), primary_key=True)
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"), primary_key=True)
    role: Mapped[MemberRole] = mapped_column(text_enum(MemberRole))
    signatory: Mapped[bool]
    """May bind the company by accepting agreements."""
    authority: Mapped[Authority | None] = mapped_column(text_enum(Authority), default=None)
    """Set exactly for signatories."""
    signing_limit_minor: Mapped[int | None] = mapped_column(default=None)
    currency: Mapped[str | None] = mapped_column(sa.CHAR(3), default=None)
    """Of the limit."""
    job_title: Mapped[str | None] = mapped_column(default=None)
    created_at: Mapped[datetime]

    @property
    def signing_limit(self) -> Money | None:
        """Up to which order total the person may sign; None is without limit."""
        if self.signing_limit_minor is None or self.currency is None:
            return None
        return Money(self.signing_limit_minor, self.currency)


class BrowserSession(Base, kw_only=True):
    """One browser, recognised by a secret cookie. Without a person it is a visitor's."""

    __tablename__ = "session"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["company_id", "person_id"], ["membership.company_id", "membership.person_id"], ondelete="CASCADE"
        ),
        sa.Index(None, "person_id"),
        sa.Index(None, "expires_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    token_sha256: Mapped[bytes] = mapped_column(unique=True, repr=False)
    visitor_id: Mapped[uuid.UUID]
    """The journey of this browser: it survives log-in, so that the cart follows."""
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    company_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """Slides with use, never past the absolute end counted from `created_at`."""


class OneTimeToken(Base, kw_only=True):
    """A secret sent by mail, good for one act."""

    __tablename__ = "one_time_token"
    __table_args__ = (sa.Index(None, "email", "purpose"), sa.Index(None, "company_id"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    purpose: Mapped[TokenPurpose] = mapped_column(text_enum(TokenPurpose))
    secret_sha256: Mapped[bytes] = mapped_column(unique=True, repr=False)
    email: Mapped[str]
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    """Whose password or address it is about; for an invitation, who invited."""
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"), default=None)
    role: Mapped[MemberRole | None] = mapped_column(text_enum(MemberRole), default=None)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)


class ApiKey(Base, kw_only=True):
    """A partner's way in. The secret itself is shown once and kept by nobody here."""

    __tablename__ = "api_key"
    __table_args__ = (sa.Index(None, "company_id", "name"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(unique=True)
    """The public part, good for naming a key in a log or to support."""
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    name: Mapped[str]
    secret_sha256: Mapped[bytes] = mapped_column(repr=False)
    scopes: Mapped[list[str]]
    """Values of `KeyScope`."""
    created_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)
    used_at: Mapped[datetime | None] = mapped_column(default=None)
    """Of the last use, to the minute."""


class StaffKey(Base, kw_only=True):
    """A program's way to the desk in the name of one of the house's people, who made it for themselves."""

    __tablename__ = "staff_key"
    __table_args__ = (sa.Index(None, "person_id", "name"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    name: Mapped[str]
    secret_sha256: Mapped[bytes] = mapped_column(repr=False)
    scopes: Mapped[list[str]]
    """Values of `DeskScope`."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)
    used_at: Mapped[datetime | None] = mapped_column(default=None)
    """Of the last use, to the minute."""


class StaffKeyCall(Base, kw_only=True):
    """An unsafe call of a staff key, written down before it is done and never changed: so each act names its key."""

    __tablename__ = "staff_key_call"
    __table_args__ = (sa.Index(None, "person_id", "at"), sa.Index(None, "at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(sa.ForeignKey("staff_key.key_id"))
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    at: Mapped[datetime]
    method: Mapped[str]
    path: Mapped[str]


class ApiCall(Base, kw_only=True):
    """An unsafe call that named itself by an idempotency key, and what it was answered; see `repeated_calls.py`. It
    belongs to a company, or to one of the house's people.
    """

    __tablename__ = "api_call"
    __table_args__ = (
        sa.UniqueConstraint("company_id", "idempotency_key"),
        sa.UniqueConstraint("person_id", "idempotency_key"),
        sa.Index(None, "begun_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    """Also that of what the call makes, so that a call done again after a crash makes nothing twice."""
    company_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("company.id"), default=None)
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    idempotency_key: Mapped[str]
    request_sha256: Mapped[bytes]
    begun_at: Mapped[datetime]
    status: Mapped[int | None] = mapped_column(sa.SmallInteger, default=None)
    """None until it is answered."""
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True), default=None)
    body: Mapped[bytes | None] = mapped_column(default=None)


class AttemptCounter(Base, kw_only=True):
    """How often somebody knocked within one window of time; see `limits.py`."""

    __tablename__ = "attempt_counter"
    __table_args__ = (sa.Index(None, "window_started_at"),)

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    """Of an e-mail or a socket address: the table names nobody."""
    window_started_at: Mapped[datetime]
    count: Mapped[int]
