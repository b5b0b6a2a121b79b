"""Payments whose buyer has done their part while the money has not come: a bank works on a direct debit for days, or
the amount is held on a card until somebody captures it.

Each function works on a locked order and attempt, in the caller's transaction, and may be called again with the same
news. Rows 11 to 14 of the table.
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

ASK_AGAIN_AFTER: Final = timedelta(hours=1)
"""Banks take days, and Stripe tells us when they are done: asking is for news that was lost."""

_ENDS: Final = {
    State.PROCESSING: (Event.COMPLETED_UNPAID, Event.ASYNC_FAILED),
    State.AUTHORISED: (Event.AUTHORISED, Event.AUTHORISATION_EXPIRED),
}
"""How an order came to wait, and how that ends without money."""
_ENDS_OF_STATUS: Final = {"requires_payment_method": _ENDS[State.PROCESSING], "canceled": _ENDS[State.AUTHORISED]}
_LETTERS: Final = {
    Event.COMPLETED_UNPAID: "order_processing",
    Event.ASYNC_FAILED: "order_payment_failed",
    Event.AUTHORISED: "order_authorised",
    Event.AUTHORISATION_EXPIRED: "order_hold_ended",
}

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
            await _begin_to_wait(session, order, attempt, intent, now=now, base_url=base_url)
        return
    begun, ended = _ENDS[order.state] if order.state in _ENDS else _ENDS_OF_STATUS[intent.status]
    if order.state is State.PAYABLE and intent.amount == order.total:
        move(session, order, begun, at=now)  # that it began is news to us, as is that it came to nothing
    if not may(order.state, ended):
        bury(session, order, attempt, f"nothing came of it: {intent.failure or intent.status}", now)
        return
    attempt.state, attempt.closed_at, attempt.detail = AttemptState.DEAD, now, intent.failure or intent.status
    await pay_anew(session, order, detail=attempt.detail, now=now, base_url=base_url)


async def pay_anew(session: AsyncSession, order: Order, *, detail: str, now: datetime, base_url: str) -> None:
    """Rows 12 and 14: what the order waited for does not come; it can be paid again, for as long as at first."""
    _, ended = _ENDS[order.state]
    move(session, order, ended, at=now, detail=detail)
    order.pay_by = now + PAY_WITHIN
    await enqueue(session, CLOSE_TASK, {"order_id": str(order.id)}, run_at=order.pay_by)
    await queue_mail(session, order_mail(_LETTERS[ended], order, base_url=base_url), now=now)


async def _begin_to_wait(
    session: AsyncSession, order: Order, attempt: PaymentAttempt, intent: IntentSeen, *, now: datetime, base_url: str
) -> None:
    attempt.state = AttemptState.PENDING
    begun = Event.AUTHORISED if intent.held else Event.COMPLETED_UNPAID
    if intent.amount != order.total or not may(order.state, begun):
        return
    move(session, order, begun, at=now)
    order.pay_by = order.closing_as = None
    await queue_mail(session, order_mail(_LETTERS[begun], order, base_url=base_url), now=now)
