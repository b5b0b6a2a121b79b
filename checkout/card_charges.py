"""A kept card is charged from here, once: the attempt and its call are rows before Stripe hears of them.

Unlike a payment page, where nothing happens until the buyer acts, this call moves money by itself. So it is sent once.
What became of one that nobody answered is looked for at Stripe; where Stripe has none, it may still be on its way, and
a person decides. Nothing here charges the card a second time.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from checkout import store
from checkout.charging import to_stripe
from checkout.mails import order_mail
from checkout.model import (
    AttemptKind,
    AttemptState,
    CallOutcome,
    CallStep,
    Order,
    PaymentAttempt,
    SavedCard,
    StripeCall,
)
from checkout.orders import move
from checkout.saved_cards import CardUnknown, expired
from checkout.settlement import bury
from checkout.states import Event
from checkout.stripe_calls import write_answer
from checkout.stripe_gateway import Answer, IntentSeen, StripeGateway, intent_of
from kernel import events
from kernel.clock import Clock
from kernel.db import Database, for_company, for_staff
from kernel.errors import Conflict
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail

NEEDS_HOLDER: Final = "authentication_required"
CLOCK_SKEW: Final = timedelta(minutes=5)
NOTE_LONGEST: Final = 500

BEGIN: Final = Failpoint("checkout.charge.begin")
SEND: Final = Failpoint("checkout.charge.send")
ANSWER: Final = Failpoint("checkout.charge.answer")
FOUND: Final = Failpoint("checkout.charge.looked_up")
GIVEN_UP: Final = Failpoint("checkout.charge.given_up")

log = structlog.get_logger(__name__)


class ChargeNotOpen(Conflict):
    problem = "charge-not-open"
    title = "No charge of this order waits for a person"


class CardCharges:
    """The life of one charge. Settling the order by it is `Payments.settle`'s."""

    def __init__(self, db: Database, clock: Clock, gateway: StripeGateway, *, base_url: str) -> None:
        self.db = db
        self.clock = clock
        self.gateway = gateway
        self.base_url = base_url

    async def write(
        self,
        session: AsyncSession,
        order: Order,
        card_id: uuid.UUID,
        principal: Principal,
        *,
        captured_later: bool = False,
    ) -> PaymentAttempt:
        """Row 9 with a kept card: the attempt and its call; nothing is sent yet.

        :raises CardUnknown: when the card is not the order's company's, was removed, or has expired
        """
        now = self.clock.now()
        card = await store.lock_saved_card(session, card_id)
        customer_id = await store.find_stripe_customer(session, order.company_id)
        if card is None or card.company_id != order.company_id or card.removed_at is not None or expired(card, now):
            raise CardUnknown("This card is not kept any more.")
        move(session, order, Event.PAY, at=now, detail=f"{card.brand} {card.last4}", person_id=principal.person_id)
        attempt = PaymentAttempt(
            id=new_id(),
            order_id=order.id,
            company_id=order.company_id,
            kind=AttemptKind.SAVED_CARD,
            amount_minor=order.total_minor,
            currency=order.currency,
            saved_card_id=card.id,
            created_at=now,
        )
        session.add(attempt)
        await session.flush()
        session.add(
            StripeCall(
                id=new_id(),
                attempt_id=attempt.id,
                company_id=order.company_id,
                step=CallStep.CHARGE_CARD,
                idempotency_key=f"tarifa-{attempt.id}-charge",
                request=msgspec.json.encode(
                    _request(order, attempt, card, customer_id, captured_later=captured_later)
                ).decode(),
                created_at=now,
                sent_at=now,
                sent_times=0,
            )
        )
        events.record(session, "payment_started", journey=order.visitor_id, at=now, order=order.number)
        return attempt

    async def send(self, attempt: PaymentAttempt) -> PaymentAttempt:
        """Send a new charge, unless another click has: then return how far that has come."""
        now = self.clock.now()
        async with self.db.begin(for_company(attempt.company_id), SEND) as session:
            current = await store.lock_attempt(session, attempt.id)
            call = await store.find_call(session, attempt.id, CallStep.CHARGE_CARD)
            assert call is not None, "an attempt is written with its first call"
            if current.state is not AttemptState.NEW or call.sent_times:
                return current
            call.sent_at, call.sent_times = now, 1
        answer = await self.gateway.charge_card(msgspec.json.decode(call.request), key=call.idempotency_key)
        return await self._store_answer(current, call.id, answer)

    async def look_up(self, attempt: PaymentAttempt) -> PaymentAttempt:
        """What became of a charge that nobody answered, as far as Stripe can tell.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        async with self.db.reading(for_company(attempt.company_id)) as session:
            call = await store.find_call(session, attempt.id, CallStep.CHARGE_CARD)
            assert call is not None, "an attempt is written with its first call"
        found = None
        if call.sent_times:
            request = msgspec.json.decode(call.request)
            since = call.created_at - CLOCK_SKEW
            for seen in await self.gateway.list_intents(
                customer_id=request["customer"], since=since, until=self.clock.now() + CLOCK_SKEW
            ):
                if seen.reference == str(attempt.id):
                    found = seen
        async with self.db.begin(for_company(attempt.company_id), FOUND) as session:
            order = await store.lock_order(session, attempt.order_id)
            stored = await store.lock_attempt(session, attempt.id)
            last = await store.find_call(session, attempt.id, CallStep.CHARGE_CARD)
            assert last is not None, "an attempt is written with its first call"
            if stored.state not in {AttemptState.NEW, AttemptState.UNCERTAIN}:
                return stored
            if found is not None:
                _adopt(stored, found)
            elif not last.sent_times:
                bury(session, order, stored, "never sent", self.clock.now())
            elif stored.state is AttemptState.NEW:
                stored.state, stored.detail = AttemptState.UNCERTAIN, "nobody heard the answer, and Stripe has none"
                log.error("a charge is uncertain", order=order.number, attempt=str(stored.id))
        return stored

    async def give_up(self, principal: Principal, order_id: uuid.UUID, *, note: str) -> None:
        """A person has made sure that the card was not charged: the order can be paid another way.

        :raises ChargeNotOpen: when no uncertain charge waits
        """
        async with self.db.begin(for_staff(), GIVEN_UP) as session:
            order = await store.lock_order(session, order_id)
            attempt = await store.find_open_attempt(session, order_id)
            if attempt is None or not uncertain(attempt):
                raise ChargeNotOpen("No charge of this order waits for a person.")
            bury(session, order, attempt, f"not charged, by {principal.name}: {note[:NOTE_LONGEST]}", self.clock.now())

    async def _store_answer(self, attempt: PaymentAttempt, call_id: uuid.UUID, answer: Answer) -> PaymentAttempt:
        now = self.clock.now()
        async with self.db.begin(for_company(attempt.company_id), ANSWER) as session:
            order = await store.lock_order(session, attempt.order_id)
            stored = await store.lock_attempt(session, attempt.id)
            written = await session.get_one(StripeCall, call_id, with_for_update=True)
            write_answer(written, answer, now)
            if stored.state not in {AttemptState.NEW, AttemptState.UNCERTAIN}:
                return stored  # its webhook was here first
            seen = _intent_in(answer)
            if answer.outcome is CallOutcome.DONE and seen is not None:
                _adopt(stored, seen)
            elif answer.outcome in {CallOutcome.REFUSED, CallOutcome.THROTTLED}:
                if seen is not None:
                    stored.session_id = stored.payment_intent_id = seen.id
                await refuse(session, order, stored, _reason(answer, seen), now=now, base_url=self.base_url)
            else:
                stored.state, stored.detail = AttemptState.UNCERTAIN, answer.detail
                log.error("a charge is uncertain", order=order.number, attempt=str(stored.id), detail=answer.detail)
        return stored


def uncertain(attempt: PaymentAttempt) -> bool:
    """Whether this is a charge of which nobody knows what became."""
    return attempt.kind is AttemptKind.SAVED_CARD and attempt.state is AttemptState.UNCERTAIN


async def refuse(
    session: AsyncSession, order: Order, attempt: PaymentAttempt, reason: str, *, now: datetime, base_url: str
) -> None:
    """The bank declined the charge: the order waits for another way to pay. Its person is written to when they have to
    confirm the payment themselves, on Stripe's page.
    """
    bury(session, order, attempt, reason, now)
    events.record(session, "payment_failed", journey=order.visitor_id, at=now, order=order.number)
    if reason == NEEDS_HOLDER:
        await queue_mail(session, order_mail("order_confirm_payment", order, base_url=base_url), now=now)


def _request(
    order: Order, attempt: PaymentAttempt, card: SavedCard, customer_id: str | None, *, captured_later: bool
) -> dict[str, Any]:
    references = {"order_id": str(order.id), "order_number": order.number, "attempt_id": str(attempt.id)}
    return {
        "amount": to_stripe(order.total),
        "currency": order.currency.lower(),
        "customer": customer_id,
        "payment_method": card.payment_method_id,
        "allowed_payment_method_types": ["card"],
        **({"payment_method_options": {"card": {"capture_method": "manual"}}} if captured_later else {}),
        "confirm": True,
        "off_session": True,
        "description": f"Order {order.number}",
        "metadata": references,
    }


def _adopt(attempt: PaymentAttempt, seen: IntentSeen) -> None:
    """Stripe has made it; `settle` asks what became of it."""
    attempt.session_id = attempt.payment_intent_id = seen.id
    attempt.state, attempt.detail = AttemptState.LIVE, ""


def _intent_in(answer: Answer) -> IntentSeen | None:
    body = answer.body or {}
    try:
        return intent_of(body["error"]["payment_intent"] if "error" in body else body)
    except (KeyError, TypeError, ValueError, msgspec.ValidationError):
        return None


def _reason(answer: Answer, seen: IntentSeen | None) -> str:
    if answer.outcome is CallOutcome.THROTTLED:
        return "Stripe was too busy"
    return (seen.failure if seen is not None else None) or f"refused: {answer.detail}"
