"""Certificates by which a company buys without tax in a country, and what pricing needs to know of them."""

import uuid
from datetime import date, datetime
from enum import StrEnum

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db import Base, text_enum


class CertificateState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    """Accepted once, and not any more."""


class Exemption(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted certificate, as an order keeps it. *expires_on* is its last day; *digest* of what it says."""

    id: uuid.UUID
    country: str
    number: str
    expires_on: date
    digest: str

    def covers(self, country: str, on: date) -> bool:
        return self.country == country and on <= self.expires_on


class ExemptionCertificate(Base, kw_only=True):
    """What a company says of a certificate it holds, and what finance said to that. Never changed but for the review;
    the ones that hold stand with the company too, where every price sees them.
    """

    __tablename__ = "exemption_certificate"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    country: Mapped[str] = mapped_column(sa.CHAR(2))
    """Where it exempts."""
    number: Mapped[str]
    authority: Mapped[str]
    """Who issued it."""
    expires_on: Mapped[date]
    digest: Mapped[str]
    state: Mapped[CertificateState] = mapped_column(text_enum(CertificateState), default=CertificateState.PENDING)
    submitted_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    submitted_at: Mapped[datetime]
    reviewed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    reviewed_at: Mapped[datetime | None] = mapped_column(default=None)
    review_note: Mapped[str] = mapped_column(default="")

    def exemption(self) -> Exemption:
        return Exemption(
            id=self.id, country=self.country, number=self.number, expires_on=self.expires_on, digest=self.digest
        )
