"""How a company buys: whose orders a colleague has to approve, and which of them more than one person signs.

A policy is data that the company's administrator writes. Each change is a row of its own with who and when; the newest
one holds, and a company without any asks for nothing.
"""

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from accounts.details import Form, check_email
from accounts.member_service import administered_company
from accounts.model import MemberRole, Membership
from accounts.principal import BuyerCompany, Principal
from accounts.store import MemberRow, list_members
from kernel.clock import Clock
from kernel.db import Base, Database, text_enum
from kernel.errors import Refused
from kernel.ids import new_id
from kernel.money import Money

WAIT_DAYS: Final = 7
WAIT_DAYS_MOST: Final = 30
COPIES_MOST: Final = 5
APPROVING: Final = frozenset({MemberRole.APPROVER, MemberRole.ADMIN})
"""Roles that approve what colleagues ask for; they need to be signatories besides."""


class ApprovalRule(StrEnum):
    NEVER = "never"
    ABOVE = "above"
    ALWAYS = "always"


class ApprovalReason(StrEnum):
    """Why an order needs a colleague's approval."""

    POLICY = "policy"
    NAMED = "named"
    """The policy names this buyer."""
    NOT_SIGNATORY = "not_signatory"
    ABOVE_LIMIT = "above_limit"


class WaitDaysRefused(Refused):
    problem = "wait-days-refused"
    title = "Choose from 1 to 30 days"


class CopiesRefused(Refused):
    problem = "copies-refused"
    title = "Write up to five e-mail addresses"


class AmountMissing(Refused):
    problem = "amount-missing"
    title = "Say above which amount"


class BuyingPolicy(Base, kw_only=True):
    """One version of a company's policy. Amounts are minor units of *currency*, the company's own."""

    __tablename__ = "buying_policy"
    __table_args__ = (sa.Index(None, "company_id", "changed_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    approval: Mapped[ApprovalRule] = mapped_column(text_enum(ApprovalRule))
    approval_above_minor: Mapped[int | None] = mapped_column(default=None)
    approval_of: Mapped[list[uuid.UUID]] = mapped_column(postgresql.ARRAY(sa.Uuid))
    """Members whose every order needs approval, whatever it comes to."""
    two_signatures_above_minor: Mapped[int | None] = mapped_column(default=None)
    """Above it two signatories of the company sign; None: one is enough."""
    copies: Mapped[list[str]]
    """E-mail addresses that get a copy of what several people signed."""
    currency: Mapped[str] = mapped_column(sa.CHAR(3))
    wait_days: Mapped[int]
    """How long a request for approval or signature waits before it expires."""
    changed_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    changed_at: Mapped[datetime]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy as it is decided by."""

    approval: ApprovalRule = ApprovalRule.NEVER
    approval_above: Money | None = None
    approval_of: frozenset[uuid.UUID] = frozenset()
    two_signatures_above: Money | None = None
    copies: tuple[str, ...] = ()
    wait_days: int = WAIT_DAYS

    @property
    def wait(self) -> timedelta:
        return timedelta(days=self.wait_days)

    def approval_reason(self, person_id: uuid.UUID, total: Money) -> ApprovalReason | None:
        """Why an order of *person_id* at *total* needs a colleague's approval; None when it doesn't."""
        if person_id in self.approval_of:
            return ApprovalReason.NAMED
        above = self.approval is ApprovalRule.ABOVE and exceeds(total, self.approval_above)
        return ApprovalReason.POLICY if above or self.approval is ApprovalRule.ALWAYS else None

    def signatures(self, total: Money) -> int:
        """How many signatories of the company an order at *total* needs."""
        return 2 if self.two_signatures_above is not None and exceeds(total, self.two_signatures_above) else 1


NO_POLICY: Final = Policy()


def exceeds(total: Money, limit: Money | None) -> bool:
    """Whether *total* is above *limit*: in another currency nobody knows, so it is."""
    return limit is None or total.currency != limit.currency or total > limit


def may_bind(membership: Membership, total: Money) -> bool:
    """Whether the company's list lets this member sign at *total*."""
    return membership.signatory and (membership.signing_limit is None or not exceeds(total, membership.signing_limit))


def approvers(members: list[MemberRow], total: Money, *, requester: uuid.UUID | None) -> list[MemberRow]:
    """Who of *members* may approve what *requester* asks for at *total*: never that person."""
    return [
        member
        for member in members
        if member.membership.role in APPROVING and may_bind(member.membership, total) and member.person.id != requester
    ]


async def policy_of(session: AsyncSession, company_id: uuid.UUID) -> Policy:
    """The policy in force, in the caller's transaction."""
    row = await session.scalar(
        sa.select(BuyingPolicy)
        .where(BuyingPolicy.company_id == company_id)
        .order_by(BuyingPolicy.changed_at.desc(), BuyingPolicy.id.desc())
        .limit(1)
    )
    if row is None:
        return NO_POLICY
    return Policy(
        approval=row.approval,
        approval_above=_money(row.approval_above_minor, row.currency),
        approval_of=frozenset(row.approval_of),
        two_signatures_above=_money(row.two_signatures_above_minor, row.currency),
        copies=tuple(row.copies),
        wait_days=row.wait_days,
    )


class BuyingPolicies:
    """What a company's administrator reads and writes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def find(self, company: BuyerCompany, principal: Principal) -> Policy:
        async with self._db.begin(principal.db_scope()) as session:
            return await policy_of(session, company.id)

    async def change(self, principal: Principal, policy: Policy) -> None:
        """Let *policy* hold from now on. Orders that wait already go on as they were asked for.

        :raises NotAllowed: to anybody but an administrator of the company
        :raises accounts.details.DetailsRefused: naming every field to mend
        """
        company_id = administered_company(principal, None)
        assert principal.company is not None, "an administrator has a company"
        assert principal.person_id is not None, "and is a person"
        form = Form()
        form.check("approval_above", _check_amount, policy)
        form.check("wait_days", _check_days, policy.wait_days)
        form.check("copies", _check_copies, policy.copies)
        form.refuse()
        async with self._db.begin(principal.db_scope()) as session:
            members = {member.person.id for member in await list_members(session, company_id)}
            above, two = policy.approval_above, policy.two_signatures_above
            session.add(
                BuyingPolicy(
                    id=new_id(),
                    company_id=company_id,
                    approval=policy.approval,
                    approval_above_minor=above.minor if above and policy.approval is ApprovalRule.ABOVE else None,
                    approval_of=sorted(policy.approval_of & members),
                    two_signatures_above_minor=None if two is None else two.minor,
                    copies=list(policy.copies),
                    currency=principal.company.currency,
                    wait_days=policy.wait_days,
                    changed_by=principal.person_id,
                    changed_at=self._clock.now(),
                )
            )


def _money(minor: int | None, currency: str) -> Money | None:
    return None if minor is None else Money(minor, currency)


def _check_amount(policy: Policy) -> None:
    if policy.approval is ApprovalRule.ABOVE and policy.approval_above is None:
        raise AmountMissing("Write the amount above which orders need approval.")


def _check_days(days: int) -> None:
    if not 1 <= days <= WAIT_DAYS_MOST:
        raise WaitDaysRefused(f"Choose from 1 to {WAIT_DAYS_MOST} days.")


def _check_copies(copies: tuple[str, ...]) -> None:
    if len(copies) > COPIES_MOST:
        raise CopiesRefused(f"At most {COPIES_MOST} addresses get a copy.")
    for each in copies:
        check_email(each)
