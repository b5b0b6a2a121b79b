"""What an order needs besides its buyer: a colleague's approval, more signatures, the seller's."""

import uuid

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.policies import ApprovalReason, Policy, policy_of
from accounts.principal import BuyerCompany
from kernel.errors import Refused
from kernel.money import Money


class ApprovalNeeded(Refused):
    """`extra["reason"]` is an `ApprovalReason`."""

    problem = "approval-needed"
    title = "A colleague has to approve this order"


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """*approval*: why a colleague has to approve, by the company's policy; None when nobody has to."""

    policy: Policy
    approval: ApprovalReason | None


async def needs_of(session: AsyncSession, company: BuyerCompany, person_id: uuid.UUID, total: Money) -> Needs:
    """What the policies in force ask of an order that *person_id* fills in at *total*."""
    policy = await policy_of(session, company.id)
    return Needs(policy=policy, approval=policy.approval_reason(person_id, total))


async def refuse_acting_alone(
    session: AsyncSession, company: BuyerCompany, person_id: uuid.UUID | None, total: Money
) -> None:
    """:raises ApprovalNeeded: when the company's policy lets somebody else place this order"""
    assert person_id is not None, "a buyer is a person"
    needs = await needs_of(session, company, person_id, total)
    if needs.approval is not None:
        raise ApprovalNeeded(
            f"{company.name} wants a colleague of yours to approve this order. Send it for approval; that binds "
            "nobody.",
            reason=needs.approval.value,
        )
