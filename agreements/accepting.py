"""What somebody is about to accept, as one statement finds it: the presentation, which stays locked until the
transaction ends, whether its order is there already, and all that is judged anew.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Authority, Membership
from accounts.principal import Principal
from agreements import in_force, store
from agreements.in_force import InForce
from agreements.model import PresentedDocument, Statement
from kernel.money import Money


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """What a person may do for a company: bind it by accepting, up to *limit* where it is set."""

    signatory: bool = False
    authority: Authority | None = None
    limit: Money | None = None

    @classmethod
    def of(cls, membership: Membership | None) -> Self:
        if membership is None:
            return cls()
        return cls(signatory=membership.signatory, authority=membership.authority, limit=membership.signing_limit)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A locked presentation, as `agreements.model.Presentation`."""

    id: uuid.UUID
    company_id: uuid.UUID
    checkout_id: uuid.UUID
    actor_id: uuid.UUID
    content: dict[str, Any]
    content_digest: str
    order_content: dict[str, Any]
    order_digest: str
    salts: Mapping[str, str]
    locale: str
    issued_at: datetime
    expires_at: datetime
    signature: bytes
    key_id: str
    power: Power
    """What its person may do for its company by now."""
    in_force: InForce

    @property
    def statements(self) -> tuple[Statement, ...]:
        return msgspec.convert(self.content["statements"], tuple[Statement, ...])

    @property
    def documents(self) -> tuple[PresentedDocument, ...]:
        return msgspec.convert(self.content["documents"], tuple[PresentedDocument, ...])

    @property
    def total(self) -> Money:
        return Money.parse(self.content["total"]["amount"], self.content["total"]["currency"])


class ToAccept(msgspec.Struct, frozen=True, kw_only=True):
    """*at*: the act's one instant: of it are what is valid and in force, and its record. *shown* is None when there is
    none to see.

    *order_id*: the order that was made of it, or of another presentation of its checkout (a second tab); None while
    there is none, and for whom it was not issued to.
    """

    at: datetime
    shown: Shown | None = None
    order_id: uuid.UUID | None = None


async def find_to_accept(
    session: AsyncSession, principal: Principal, presentation_id: uuid.UUID, *, at: datetime
) -> ToAccept:
    """Lock the presentation and find what is to be judged when it is accepted at *at*."""
    row = await store.lock_presentation_to_accept(session, presentation_id, at)
    if row is None:
        return ToAccept(at=at)
    limited = row.signing_limit_minor is not None and row.currency is not None
    power = Power(
        signatory=bool(row.signatory),
        authority=None if row.authority is None else Authority(row.authority),
        limit=Money(row.signing_limit_minor, row.currency) if limited else None,
    )
    shown = Shown(
        id=row.id,
        company_id=row.company_id,
        checkout_id=row.checkout_id,
        actor_id=row.actor_id,
        content=row.content,
        content_digest=row.content_digest,
        order_content=row.order_content,
        order_digest=row.order_digest,
        salts=row.salts,
        locale=row.locale,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        signature=row.signature,
        key_id=row.key_id,
        power=power,
        in_force=in_force.read(row.in_force),
    )
    own = (shown.company_id, shown.actor_id) == (principal.company_id, principal.person_id)
    return ToAccept(at=at, shown=shown, order_id=row.order_id if own else None)
