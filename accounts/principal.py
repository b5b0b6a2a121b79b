"""Who is asking: the one answer to "may they?", made from a session cookie or an API key."""

import uuid
from datetime import date
from enum import StrEnum
from typing import Self

import msgspec

from accounts.exemption_model import Exemption
from accounts.model import (
    Authority,
    BrowserSession,
    Company,
    MemberRole,
    Membership,
    Person,
    StaffRole,
    TaxIdCheck,
    TaxStatus,
)
from kernel.db import Scope, for_company, for_staff, for_visitor
from kernel.money import Money


class PrincipalKind(StrEnum):
    VISITOR = "visitor"
    MEMBER = "member"
    """Acts for a company, by a log-in."""
    STAFF = "staff"
    PARTNER = "partner"
    """Acts for a company, by an API key."""
    STAFF_KEY = "staff key"
    """Acts as one of the house's people, by an API key of theirs: at the desk's API, and nowhere else."""


class BuyerCompany(msgspec.Struct, frozen=True, kw_only=True):
    """What pricing and checkout need to know of the company that buys."""

    id: uuid.UUID
    code: str
    name: str
    country: str
    tax_id: str | None
    tax_status: TaxStatus
    currency: str
    segments: tuple[str, ...]
    exemptions: tuple[Exemption, ...] = ()
    """Accepted certificates; which of them hold, the instant of a price decides."""
    refuted_tax_id: str | None = None
    """The company's own, which VIES does not know."""

    def counting_tax_id(self, tax_id: str | None) -> str | None:
        """*tax_id*, unless it is the one that VIES does not know."""
        return None if tax_id is not None and tax_id == self.refuted_tax_id else tax_id

    def exemption(self, country: str, on: date) -> Exemption | None:
        """The certificate by which the company buys without tax in *country* on a day."""
        return next((each for each in self.exemptions if each.covers(country, on)), None)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    kind: PrincipalKind
    visitor_id: uuid.UUID
    """The journey of this browser; with a key, the key's own id."""
    session_id: uuid.UUID | None = None
    """None for a visitor for whom nothing is stored yet, and with a key."""
    person_id: uuid.UUID | None = None
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    locale: str | None = None
    """The person's own choice of `en` or `es`; None when nobody logged in."""
    company: BuyerCompany | None = None
    role: MemberRole | None = None
    signatory: bool = False
    authority: Authority | None = None
    signing_limit: Money | None = None
    """None for a signatory is without limit."""
    job_title: str | None = None
    staff_role: StaffRole | None = None
    key_id: str | None = None
    scopes: frozenset[str] = frozenset()
    """Values of `KeyScope`, or of `DeskScope` for a key of staff: as text, so that a principal can be written down."""

    @classmethod
    def visitor(cls, visitor_id: uuid.UUID, session_id: uuid.UUID | None = None) -> Self:
        return cls(kind=PrincipalKind.VISITOR, visitor_id=visitor_id, session_id=session_id)

    @property
    def company_id(self) -> uuid.UUID | None:
        return None if self.company is None else self.company.id

    def db_scope(self) -> Scope:
        """What row-level security lets a transaction for this principal see."""
        if self.kind in {PrincipalKind.STAFF, PrincipalKind.STAFF_KEY}:
            return for_staff()
        if self.company is None:
            return for_visitor()
        return for_company(self.company.id)


def of_session(
    browser: BrowserSession, person: Person | None, member: Membership | None, company: Company | None
) -> Principal:
    """Whom a live session speaks for."""
    if person is None:
        return Principal.visitor(browser.visitor_id, browser.id)
    return Principal(
        kind=PrincipalKind.MEMBER if person.staff_role is None else PrincipalKind.STAFF,
        visitor_id=browser.visitor_id,
        session_id=browser.id,
        person_id=person.id,
        email=person.email,
        email_verified=person.email_verified_at is not None,
        name=person.name,
        locale=person.locale,
        company=None if company is None else buyer_company(company),
        role=None if member is None else member.role,
        signatory=member is not None and member.signatory,
        authority=None if member is None else member.authority,
        signing_limit=None if member is None else member.signing_limit,
        job_title=None if member is None else member.job_title,
        staff_role=person.staff_role,
    )


def buyer_company(company: Company) -> BuyerCompany:
    return BuyerCompany(
        id=company.id,
        code=company.code,
        name=company.name,
        country=company.country,
        tax_id=company.tax_id,
        tax_status=company.tax_status,
        currency=company.currency,
        segments=tuple(company.segments),
        refuted_tax_id=company.tax_id if company.tax_id_check is TaxIdCheck.REFUTED else None,
        exemptions=msgspec.convert(company.exemptions, tuple[Exemption, ...]),
    )
