"""An order's whole file, as staff read it: lines, history, acceptance's key, payment, money and stock."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company
from checkout import dispute_store, store
from checkout.dispute_model import Dispute
from checkout.model import (
    EventOutcome,
    LedgerPosting,
    Liability,
    Order,
    OrderEvent,
    PaymentAttempt,
    Refund,
    StockReservation,
    StripeCall,
    StripeEvent,
)
from checkout.orders import OrderUnknown
from checkout.states import State
from kernel.db import Database, for_staff

WAITING_SHOWN: Final = 20


class ListedOrder(msgspec.Struct, frozen=True, kw_only=True):
    order: Order
    company_code: str
    company_name: str


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. *counts*: orders of every state there is one in. *next_before*: the number that leads to the next
    page; None on the last.
    """

    orders: tuple[ListedOrder, ...]
    counts: Mapping[State, int]
    next_before: str | None


class PaidAttempt(msgspec.Struct, frozen=True, kw_only=True):
    attempt: PaymentAttempt
    calls: Sequence[StripeCall]


class OrderFile(msgspec.Struct, frozen=True, kw_only=True):
    """*postings* are of all entries of the order, by time; *reserved* by SKU."""

    order: Order
    company: Company
    events: Sequence[OrderEvent]
    attempts: tuple[PaidAttempt, ...]
    postings: Sequence[LedgerPosting]
    liabilities: Sequence[Liability]
    refunds: Sequence[Refund]
    disputes: Sequence[Dispute]
    reserved: Sequence[StockReservation]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What needs a person: the first few, and how many there are."""

    parked: Sequence[StripeEvent]
    parked_count: int
    liabilities: Sequence[Liability]
    liabilities_count: int
    counts: Mapping[State, int]


class OrderFiles:
    """Staff's view over every company; callers have checked that staff asks."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def page(self, *, state: State | None, before: str | None, size: int) -> OrderPage:
        async with self.db.reading(for_staff()) as session:
            query = sa.select(Order, Company.code, Company.name).join(Company, Company.id == Order.company_id)
            query = query.order_by(Order.placed_at.desc(), Order.id.desc()).limit(size + 1)
            if state is not None:
                query = query.where(Order.state == state)
            if before is not None:
                seen = sa.select(Order.placed_at, Order.id).where(Order.number == before).subquery()
                query = query.join(seen, sa.tuple_(Order.placed_at, Order.id) < sa.tuple_(seen.c.placed_at, seen.c.id))
            rows = (await session.execute(query)).all()
            counts = await _counts(session)
        listed = tuple(ListedOrder(order=row[0], company_code=row[1], company_name=row[2]) for row in rows[:size])
        return OrderPage(
            orders=listed, counts=counts, next_before=listed[-1].order.number if len(rows) > size else None
        )

    async def open(self, number: str) -> OrderFile:
        """:raises OrderUnknown: when there is none of this number"""
        async with self.db.reading(for_staff()) as session:
            order = None if "\x00" in number else await store.find_order(session, number)
            if order is None:
                raise OrderUnknown("There is no such order.")
            attempts = await store.list_attempts(session, order.id)
            calls = (
                await session.scalars(
                    sa.select(StripeCall)
                    .where(StripeCall.attempt_id.in_([attempt.id for attempt in attempts]))
                    .order_by(StripeCall.created_at)
                )
            ).all()
            return OrderFile(
                order=order,
                company=await session.get_one(Company, order.company_id),
                events=await store.list_order_events(session, order.id),
                attempts=tuple(
                    PaidAttempt(attempt=attempt, calls=[call for call in calls if call.attempt_id == attempt.id])
                    for attempt in attempts
                ),
                postings=await _postings(session, order.id),
                liabilities=(
                    await session.scalars(
                        sa.select(Liability).where(Liability.order_id == order.id).order_by(Liability.opened_at)
                    )
                ).all(),
                refunds=await store.list_refunds(session, order.id),
                disputes=await dispute_store.list_of_order(session, order.id),
                reserved=(
                    await session.scalars(sa.select(StockReservation).where(StockReservation.order_id == order.id))
                ).all(),
            )

    async def waiting(self) -> Waiting:
        """What a person has to look at: events nobody could place, and money that fits no order."""
        parked = sa.and_(StripeEvent.outcome == EventOutcome.PARKED, StripeEvent.reviewed_at.is_(None))
        unresolved = Liability.resolved_at.is_(None)
        async with self.db.reading(for_staff()) as session:
            return Waiting(
                parked=(
                    await session.scalars(
                        sa.select(StripeEvent)
                        .where(parked)
                        .order_by(StripeEvent.received_at.desc())
                        .limit(WAITING_SHOWN)
                    )
                ).all(),
                parked_count=await _count(session, sa.select(StripeEvent.id).where(parked)),
                liabilities=(
                    await session.scalars(
                        sa.select(Liability).where(unresolved).order_by(Liability.opened_at).limit(WAITING_SHOWN)
                    )
                ).all(),
                liabilities_count=await _count(session, sa.select(Liability.id).where(unresolved)),
                counts=await _counts(session),
            )


async def _counts(session: AsyncSession) -> dict[State, int]:
    query = sa.select(Order.state, sa.func.count()).group_by(Order.state)
    found = {row[0]: int(row[1]) for row in await session.execute(query)}
    return {state: found[state] for state in State if state in found}


async def _count(session: AsyncSession, query: sa.Select[Any]) -> int:
    return int(await session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0)


async def _postings(session: AsyncSession, order_id: uuid.UUID) -> Sequence[LedgerPosting]:
    query = sa.select(LedgerPosting).where(LedgerPosting.order_id == order_id)
    return (
        await session.scalars(query.order_by(LedgerPosting.posted_at, LedgerPosting.entry_id, LedgerPosting.account))
    ).all()
