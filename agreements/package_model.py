"""The nouns of several signatures: the package, who takes part, their links, what they signed, and the seller's policy.

What a person typed is not here but among the ledger's openings, so that it can be erased and the proofs stay valid.
"""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

import agreements.model  # noqa: F401 - the ledger's table, which a foreign key names
from agreements.package_states import PackageState, PartyRole
from kernel.db import Base, text_enum
from kernel.money import Money


class ClosingReason(StrEnum):
    """Why somebody who was to sign did not, or why the package ended otherwise."""

    TERMS = "terms"
    NOT_AUTHORISED = "not_authorised"
    PRICE = "price"
    NEEDS_LEGAL_REVIEW = "needs_legal_review"
    OTHER = "other"
    EXPIRED = "expired"
    EDITED = "edited"


class Package(Base, kw_only=True):
    """Documents and an order, under one digest that all parties sign. At most one of a checkout is open: a partial
    unique index.
    """

    __tablename__ = "signature_package"
    __table_args__ = (sa.UniqueConstraint("company_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    checkout_id: Mapped[uuid.UUID]
    state: Mapped[PackageState] = mapped_column(text_enum(PackageState))
    content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """What is signed: parties by role, documents with digests, order digest, level; signed by the house itself too."""
    digest: Mapped[str]
    order_content: Mapped[dict[str, Any]] = mapped_column(repr=False)
    order_digest: Mapped[str]
    terms: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """The order's terms, to compare with those of the instant at which somebody signs."""
    salts: Mapped[dict[str, Any]] = mapped_column(repr=False)
    total_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.CHAR(3))
    locale: Mapped[str]
    signature: Mapped[bytes] = mapped_column(repr=False)
    key_id: Mapped[str]
    created_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    closed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    closing_reason: Mapped[ClosingReason | None] = mapped_column(text_enum(ClosingReason), default=None)
    closing_comment: Mapped[str] = mapped_column(default="")
    order_id: Mapped[uuid.UUID | None] = mapped_column(unique=True, default=None)
    """The order that its last signature made."""
    executed_seq: Mapped[int | None] = mapped_column(sa.ForeignKey("acceptance_ledger.seq"), unique=True, default=None)
    """The leaf that says so."""
    parties: Mapped[list["Party"]] = relationship(
        order_by="Party.position", lazy="raise", default_factory=list, cascade="all"
    )

    @property
    def total(self) -> Money:
        return Money(self.total_minor, self.currency)


class Party(Base, kw_only=True):
    """Somebody in a package."""

    __tablename__ = "package_party"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "package_id"], ["signature_package.company_id", "signature_package.id"]),
        sa.UniqueConstraint("company_id", "id"),
        sa.Index(None, "package_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    package_id: Mapped[uuid.UUID] = mapped_column(default=None)
    company_id: Mapped[uuid.UUID]
    position: Mapped[int]
    role: Mapped[PartyRole] = mapped_column(text_enum(PartyRole))
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    """None for the seller's counter-signer until one signs, and for who gets a copy."""
    name: Mapped[str]
    email: Mapped[str]
    signed_at: Mapped[datetime | None] = mapped_column(default=None)


class PackageInvitation(Base, kw_only=True):
    """A link to a package: a secret of which only the digest is kept. Opening it signs nothing."""

    __tablename__ = "package_invitation"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "party_id"], ["package_party.company_id", "package_party.id"]),
        sa.Index(None, "party_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID]
    party_id: Mapped[uuid.UUID]
    token_sha256: Mapped[bytes] = mapped_column(unique=True, repr=False)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)
    opened_at: Mapped[datetime | None] = mapped_column(default=None)


class PackageSignature(Base, kw_only=True):
    """One person's signature: once written it never changes."""

    __tablename__ = "package_signature"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "party_id"], ["package_party.company_id", "package_party.id"]),
    )

    party_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID]
    person_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    name_matches: Mapped[bool]
    """Whether the typed name is the account's: another one is flagged, not refused."""
    signed_at: Mapped[datetime]
    ledger_seq: Mapped[int] = mapped_column(sa.ForeignKey("acceptance_ledger.seq"), unique=True)


class SellingPolicy(Base, kw_only=True):
    """One version of when the seller counter-signs; the newest holds."""

    __tablename__ = "selling_policy"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    countersign_above: Mapped[dict[str, Any]]
    """Decimal amount by currency: `{"EUR": "10000.00"}`."""
    documents: Mapped[list[str]]
    """Codes of documents that the seller counter-signs whatever the order comes to."""
    copies: Mapped[list[str]]
    changed_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    changed_at: Mapped[datetime]
