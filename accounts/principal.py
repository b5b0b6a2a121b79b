"""Who is asking: the one answer to "may they?", made from a session cookie or an API key."""

import uuid
from enum import StrEnum
from typing import Self

import msgspec

from accounts.model import Authority, KeyScope, MemberRole, StaffRole, TaxStatus
from kernel.db import Scope, for_company, for_staff, for_visitor
from kernel.money import Money


class PrincipalKind(StrEnum):
    VISITOR = "visitor"
    MEMBER = "member"
    """Acts for a company, by a log-in."""
    STAFF = "staff"
    PARTNER = "partner"
    """Acts for a company, by an API key."""


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


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    kind: PrincipalKind
    visitor_id: uuid.UUID
    """The journey of this browser; for a partner, its key's own id."""
    session_id: uuid.UUID | None = None
    """None for a visitor for whom nothing is stored yet, and for a partner."""
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
    scopes: frozenset[KeyScope] = frozenset()

    @classmethod
    def visitor(cls, visitor_id: uuid.UUID, session_id: uuid.UUID | None = None) -> Self:
        return cls(kind=PrincipalKind.VISITOR, visitor_id=visitor_id, session_id=session_id)

    @property
    def company_id(self) -> uuid.UUID | None:
        return None if self.company is None else self.company.id

    def db_scope(self) -> Scope:
        """What row-level security lets a transaction for this principal see."""
        if self.kind is PrincipalKind.STAFF:
            return for_staff()
        if self.company is None:
            return for_visitor()
        return for_company(self.company.id)
