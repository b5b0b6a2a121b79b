"""What an order needs besides its buyer: a colleague's approval, more signatures, the seller's."""

import uuid
from collections.abc import Awaitable, Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.policies import ApprovalReason, Policy, policy_of
from accounts.principal import BuyerCompany
from agreements.packages import selling_policy
from kernel.errors import Refused
from kernel.money import Money

Documents = Callable[[], Awaitable[frozenset[str]]]
"""Codes of the documents that an order is asked for: looked up only where a policy names some."""


class ApprovalNeeded(Refused):
    """`extra["reason"]` is an `ApprovalReason`."""

    problem = "approval-needed"
    title = "A colleague has to approve this order"


class SignaturesNeeded(Refused):
    problem = "signatures-needed"
    title = "More than one person signs this order"


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """*approval*: why a colleague has to approve, by the company's policy; None when nobody has to. *signatures*: of
    the company's signatories; *countersigned*: by the seller too, who wants *seller_copies* sent.
    """

    policy: Policy
    approval: ApprovalReason | None
    signatures: int
    countersigned: bool
    seller_copies: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether a package is signed."""
        return self.signatures > 1 or self.countersigned


async def needs_of(
    session: AsyncSession, company: BuyerCompany, person_id: uuid.UUID, total: Money, documents: Documents
) -> Needs:
    """What the policies in force ask of an order that *person_id* fills in at *total*."""
    policy, selling = await policy_of(session, company.id), await selling_policy(session)
    asked = await documents() if selling.documents else frozenset[str]()
    return Needs(
        policy=policy,
        approval=policy.approval_reason(person_id, total),
        signatures=policy.signatures(total),
        countersigned=selling.countersigns(total, asked),
        seller_copies=selling.copies,
    )


async def refuse_acting_alone(
    session: AsyncSession, company: BuyerCompany, person_id: uuid.UUID | None, total: Money, documents: Documents
) -> None:
    """:raises SignaturesNeeded: when more than one person signs orders like this one
    :raises ApprovalNeeded: when the company's policy lets somebody else place it
    """
    assert person_id is not None, "a buyer is a person"
    needs = await needs_of(session, company, person_id, total, documents)
    if needs.several:
        raise SignaturesNeeded("More than one person signs this order. Send it to them; that binds nobody.")
    if needs.approval is not None:
        raise ApprovalNeeded(
            f"{company.name} wants a colleague of yours to approve this order. Send it for approval; that binds "
            "nobody.",
            reason=needs.approval.value,
        )
