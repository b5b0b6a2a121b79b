"""Orders as people find them, and the one way an order's state moves."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal, PrincipalKind
from agreements.bases import Basis, find_basis
from checkout import store
from checkout.model import Order, OrderEvent
from checkout.states import Event, advance
from kernel.db import Database
from kernel.errors import NotFound

LISTED_MOST: Final = 200


class OrderUnknown(NotFound):
    problem = "order-unknown"
    title = "There is no such order"


class Orders:
    """What a company ordered; staff see everybody's."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def list_orders(
        self, principal: Principal, *, limit: int = 50, before: str | None = None
    ) -> tuple[Order, ...]:
        """Newest first, without lines; *before*: the number of the last order of the page before."""
        if principal.kind is PrincipalKind.VISITOR:
            return ()
        company_id = None if principal.kind is PrincipalKind.STAFF else principal.company_id
        async with self.db.reading(principal.db_scope()) as session:
            return tuple(
                await store.list_orders(
                    session, company_id=company_id, before=before, limit=max(1, min(limit, LISTED_MOST))
                )
            )

    async def find_order(self, principal: Principal, number: str) -> Order:
        """:raises OrderUnknown: when there is none, or it is another company's"""
        async with self.db.reading(principal.db_scope()) as session:
            return await visible_order(session, principal, number)

    async def find_with_basis(self, principal: Principal, number: str) -> tuple[Order, Basis]:
        """An order and the one act that it rests on.

        :raises OrderUnknown: when there is none, or it is another company's
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            basis = await find_basis(session, order.id)
        assert basis is not None, "the database refuses an order without one"
        return order, basis

    async def find_order_by_id(self, principal: Principal, order_id: uuid.UUID) -> Order:
        """:raises OrderUnknown: when there is none, or it is another company's"""
        async with self.db.reading(principal.db_scope()) as session:
            return _visible(principal, await store.find_order_by_id(session, order_id))

    async def find_order_of_quote(self, principal: Principal, quote_id: uuid.UUID) -> Order | None:
        """The order that was placed by a signed quote of the principal's company."""
        async with self.db.reading(principal.db_scope()) as session:
            order_id = await store.find_order_of_quote(session, quote_id)
            return None if order_id is None else _visible(principal, await store.find_order_by_id(session, order_id))

    async def history(self, principal: Principal, number: str) -> Sequence[OrderEvent]:
        """What happened to the order, oldest first.

        :raises OrderUnknown: when there is none, or it is another company's
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            return await store.list_order_events(session, order.id)


async def visible_order(session: AsyncSession, principal: Principal, number: str) -> Order:
    """:raises OrderUnknown: when there is none, or it is another company's"""
    return _visible(principal, await store.find_order(session, number) if number.isprintable() else None)


def move(
    session: AsyncSession,
    order: Order,
    event: Event,
    *,
    at: datetime,
    detail: str = "",
    person_id: uuid.UUID | None = None,
) -> None:
    """Move a locked order along the table and write its history.

    :raises EventRefused: when its state doesn't list *event*; nothing is changed
    """
    before = order.state
    order.state = advance(before, event)
    order.version += 1
    session.add(
        OrderEvent(
            order_id=order.id,
            version=order.version,
            company_id=order.company_id,
            event=event.value,
            before=before,
            after=order.state,
            detail=detail,
            person_id=person_id,
            at=at,
        )
    )


def _visible(principal: Principal, order: Order | None) -> Order:
    """Row-level security has hidden other companies' orders already; this is the first wall, it is the second."""
    if order is None or (principal.kind is not PrincipalKind.STAFF and order.company_id != principal.company_id):
        raise OrderUnknown("There is no such order.")
    return order
