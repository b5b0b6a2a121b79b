"""Payments whose buyer has done their part while the money has not come: a bank works on a direct debit for days.

Each function works on a locked order and attempt, in the caller's transaction, and may be called again with the same
news. Rows 11 and 12 of the table.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from checkout.checkouts import CLOSE_TASK, PAY_WITHIN
from checkout.mails import order_mail
from checkout.model import OPEN_ATTEMPT, AttemptState, Order, PaymentAttempt
from checkout.orders import move
from checkout.settlement import bury
from checkout.states import Event, State, may
from checkout.stripe_gateway import IntentSeen
from kernel.jobs import enqueue
from kernel.mail import queue_mail
from kernel.money import Money

ASK_AGAIN_AFTER: Final = timedelta(hours=1)
"""Banks take days, and Stripe tells us when they are done: asking is for news that was lost."""

log = structlog.get_logger(__name__)


async def hear_of_waiting(
    session: AsyncSession, order: Order, attempt: PaymentAttempt, intent: IntentSeen, *, now: datetime, base_url: str
) -> None:
    """The buyer has left the payment page, and *intent* says how it stands with the money."""
    if attempt.state not in OPEN_ATTEMPT:
        return
    attempt.payment_intent_id, attempt.asked_at = intent.id, now
    if intent.amount != order.total:
        log.warning("unpaid payment does not fit its order", order=order.number, amount=str(intent.amount))
    if not intent.failed:
        if attempt.state is not AttemptState.PENDING:
            await _begin_to_wait(session, order, attempt, intent.amount, now=now, base_url=base_url)
        return
    if order.state is State.PAYABLE and intent.amount == order.total:
        move(session, order, Event.COMPLETED_UNPAID, at=now)  # that it began is news to us, as is that it failed
    if order.state is not State.PROCESSING:
        bury(session, order, attempt, f"the bank refused: {intent.failure or intent.status}", now)
        return
    attempt.state, attempt.closed_at, attempt.detail = AttemptState.DEAD, now, intent.failure or intent.status
    move(session, order, Event.ASYNC_FAILED, at=now, detail=attempt.detail)
    await _wait_for_another(session, order, "order_payment_failed", now=now, base_url=base_url)


async def _begin_to_wait(
    session: AsyncSession, order: Order, attempt: PaymentAttempt, amount: Money, *, now: datetime, base_url: str
) -> None:
    attempt.state = AttemptState.PENDING
    if amount != order.total or not may(order.state, Event.COMPLETED_UNPAID):
        return
    move(session, order, Event.COMPLETED_UNPAID, at=now)
    order.pay_by = order.closing_as = None
    await queue_mail(session, order_mail("order_processing", order, base_url=base_url), now=now)


async def _wait_for_another(session: AsyncSession, order: Order, letter: str, *, now: datetime, base_url: str) -> None:
    """The order can be paid again, for as long as at first."""
    order.pay_by = now + PAY_WITHIN
    await enqueue(session, CLOSE_TASK, {"order_id": str(order.id)}, run_at=order.pay_by)
    await queue_mail(session, order_mail(letter, order, base_url=base_url), now=now)
