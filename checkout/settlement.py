"""What money does to an order: postings, stock, letters. Each function works on a locked order, in the caller's
transaction, and writes each effect once: an entry's id is its cause's.
"""

import uuid
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from catalog.service import Catalog
from checkout import store
from checkout.mails import order_mail
from checkout.model import (
    OPEN_ATTEMPT,
    Account,
    AttemptState,
    LedgerPosting,
    Liability,
    LiabilityReason,
    Order,
    PaymentAttempt,
    ReservationState,
)
from checkout.order_news import announce_closed, announce_paid
from checkout.orders import move
from checkout.states import Event, may
from kernel import events
from kernel.ids import new_id
from kernel.mail import queue_mail
from kernel.money import Money


async def finish_sale(
    session: AsyncSession, catalog: Catalog, order: Order, *, entry_id: uuid.UUID, now: datetime, base_url: str
) -> None:
    """An order is PAID: post the sale, turn what is reserved into sold, write to the buyer.

    :param entry_id: the payment attempt's id, or the order's own where there was nothing to pay
    """
    post(
        session,
        entry_id=entry_id,
        order=order,
        at=now,
        amounts={
            Account.STRIPE_CLEARING: order.total,
            Account.SALES: -order.goods,
            Account.FREIGHT: -order.freight,
            Account.TAX_PAYABLE: -order.tax,
        },
    )
    held = await store.quantities_in(session, order.id, ReservationState.RESERVED)
    if held:
        await catalog.sell(session, held)
        await store.move_reservations(session, order.id, ReservationState.RESERVED, ReservationState.SOLD, now)
    await queue_mail(session, order_mail("order_paid", order, base_url=base_url), now=now)
    await announce_paid(session, order, now=now, base_url=base_url)
    events.record(session, "payment_settled", journey=order.visitor_id, at=now, order=order.number)


async def give_up(session: AsyncSession, catalog: Catalog, order: Order, *, now: datetime, base_url: str) -> None:
    """An order has LAPSED or is CANCELLED: return what is reserved or sold, once, and say so."""
    held = await store.quantities_in(session, order.id, ReservationState.RESERVED)
    if held:
        await catalog.release(session, held)
        await store.move_reservations(session, order.id, ReservationState.RESERVED, ReservationState.RETURNED, now)
    sold = await store.quantities_in(session, order.id, ReservationState.SOLD)
    if sold:
        await catalog.take_back(session, sold)
        await store.move_reservations(session, order.id, ReservationState.SOLD, ReservationState.RETURNED, now)
    order.closed_at = now
    letter = "order_refunded_whole" if order.paid_at is not None else f"order_{order.state.value}"
    await queue_mail(session, order_mail(letter, order, base_url=base_url), now=now)
    await announce_closed(session, order, now=now, base_url=base_url)


def bury(session: AsyncSession, order: Order, attempt: PaymentAttempt, detail: str, now: datetime) -> None:
    """Row 10: the attempt is dead; the order waits for another one, or closes."""
    if attempt.state not in OPEN_ATTEMPT:
        return
    attempt.state, attempt.closed_at, attempt.detail = AttemptState.DEAD, now, detail
    if may(order.state, Event.ATTEMPT_DEAD):
        move(session, order, Event.ATTEMPT_DEAD, at=now, detail=detail)


def hold_as_liability(
    session: AsyncSession,
    *,
    order: Order | None,
    entry_id: uuid.UUID,
    session_id: str,
    payment_intent_id: str | None,
    reason: LiabilityReason,
    detail: str,
    money: Money,
    now: datetime,
) -> None:
    """Money came that fits no open order: it is owed back, and a person decides."""
    session.add(
        Liability(
            id=new_id(),
            order_id=None if order is None else order.id,
            company_id=None if order is None else order.company_id,
            session_id=session_id,
            payment_intent_id=payment_intent_id,
            reason=reason,
            detail=detail,
            amount_minor=money.minor,
            currency=money.currency,
            opened_at=now,
        )
    )
    post(
        session,
        entry_id=entry_id,
        order=order,
        at=now,
        amounts={Account.STRIPE_CLEARING: money, Account.CUSTOMER_LIABILITY: -money},
    )


def post(
    session: AsyncSession,
    *,
    entry_id: uuid.UUID,
    order: Order | None,
    at: datetime,
    amounts: dict[Account, Money],
    company_id: uuid.UUID | None = None,
) -> None:
    """Write an entry; its amounts sum to zero, and the database refuses it otherwise. *company_id*: whose it is, where
    it is of no order.
    """
    session.add_all(
        LedgerPosting(
            entry_id=entry_id,
            account=account,
            order_id=None if order is None else order.id,
            company_id=company_id if order is None else order.company_id,
            amount_minor=money.minor,
            currency=money.currency,
            posted_at=at,
        )
        for account, money in amounts.items()
        if money
    )
