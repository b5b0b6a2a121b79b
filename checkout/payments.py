"""Payment through Stripe's hosted page, exactly once: attempts and calls are rows before they are requests.

No transaction is open while Stripe is asked. What Stripe answers to a write is stored before it is used; what Stripe
tells us by webhook is stored before it is read, and never trusted: `settle` fetches the Session again and moves the
order's state, from the webhook's job, the return page and the sweep alike.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from catalog.service import Catalog
from checkout import card_charges, dispute_store, store, terms_store
from checkout.card_charges import CardCharges
from checkout.charging import payment_methods, to_stripe
from checkout.checkouts import CLOSE_TASK
from checkout.credit_notes import CreditNotes
from checkout.disputes import ASK_EVERY, Disputes
from checkout.holds import WRITE, Holds, NothingHeld
from checkout.invoice_gateway import InvoiceGateway
from checkout.invoicing import EVENTS as INVOICE_EVENTS
from checkout.invoicing import Invoices
from checkout.model import (
    OPEN_ATTEMPT,
    AttemptKind,
    AttemptState,
    CallOutcome,
    CallStep,
    EventOutcome,
    LiabilityReason,
    Order,
    PaymentAttempt,
    StripeCall,
    StripeEvent,
)
from checkout.orders import move, visible_order
from checkout.reconciliation import Break, reconcile
from checkout.refunds import Refunds
from checkout.saved_cards import SavedCards, keep_card
from checkout.settlement import bury, finish_sale, give_up, hold_as_liability
from checkout.states import Event, State, may
from checkout.stripe_calls import CONFLICT_WAIT_SECONDS, RESEND_WITHIN, SENDS_MOST, begin_sending, write_answer
from checkout.stripe_customers import StripeCustomers
from checkout.stripe_gateway import Answer, IntentSeen, Session, StripeGateway, StripeUnavailable, session_of
from checkout.waiting import ASK_AGAIN_AFTER, hear_of_waiting, pay_anew
from kernel import events
from kernel.clock import Clock
from kernel.db import Database, for_company, for_staff, for_visitor
from kernel.errors import Conflict, NotFound, Unavailable
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue
from kernel.money import Money

EVENT_TASK: Final = "handle_stripe_event"
CLOCK_SKEW: Final = timedelta(minutes=5)
RACES_MOST: Final = 5
SWEEP_BATCH: Final = 200
SWEEP_GRACE: Final = timedelta(minutes=2)
"""Attempts and events younger than this are left to the request or job that works on them."""
DESCRIPTION_LONGEST: Final = 300
SESSION_EVENTS: Final = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)
CHARGE_PREFIX: Final = "pi_"
"""Of what a charge is at Stripe; a payment page's id begins otherwise."""
DECLINED: Final = "payment_intent.payment_failed"
HOLD_EVENTS: Final = frozenset({"payment_intent.canceled", "payment_intent.amount_capturable_updated"})
INTENT_EVENTS: Final = HOLD_EVENTS | {"payment_intent.succeeded", DECLINED}
LOOKS_MOST: Final = 16
LOOK_SECONDS: Final = 0.25
"""How long a second click waits for what the first one's charge comes to."""
REFUND_EVENTS: Final = frozenset({"refund.created", "refund.updated", "refund.failed"})
DISPUTE_EVENTS: Final = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    }
)


START: Final = Failpoint("checkout.payment.start")
RESEND: Final = Failpoint("checkout.payment.resend")
ANSWER: Final = Failpoint("checkout.payment.answer")
LOOKED_UP: Final = Failpoint("checkout.payment.looked_up")
SETTLE: Final = Failpoint("checkout.payment.settle")
RECEIVE: Final = Failpoint("checkout.webhook.receive")
HANDLED: Final = Failpoint("checkout.webhook.handled")
CLOSING: Final = Failpoint("checkout.close.begin")
EXPIRING: Final = Failpoint("checkout.close.expire")
EXPIRED: Final = Failpoint("checkout.close.answer")

log = structlog.get_logger(__name__)


class OrderNotPayable(Conflict):
    problem = "order-not-payable"
    title = "This order cannot be paid now"


class OrderNotCancellable(Conflict):
    problem = "order-not-cancellable"
    title = "This order cannot be cancelled here any more"


class PaymentUnavailable(Unavailable):
    problem = "payment-unavailable"
    title = "The payment page cannot be opened at the moment"


class PaymentUncertain(Conflict):
    problem = "payment-uncertain"
    title = "It is not known yet whether the card was charged"


class CardDeclined(Conflict):
    """The kept card was not charged; `extra["reason"]` is the bank's."""

    problem = "card-declined"
    title = "The card was declined"


class ConfirmationNeeded(Conflict):
    """The bank asks for the card's holder: the order can be paid on Stripe's page."""

    problem = "card-confirmation-needed"
    title = "The bank asks you to confirm the payment"


class SessionForeign(NotFound):
    problem = "payment-session-unknown"
    title = "This payment does not belong to this order"


class Payments:
    """Every public use case is safe to call again: it finds what it did before."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        catalog: Catalog,
        gateway: StripeGateway,
        *,
        base_url: str,
        capture_later_from: Mapping[str, Money] | None = None,
    ) -> None:
        """*capture_later_from*: by currency, the order total from which cards are charged only once staff captures."""
        self.db = db
        self.clock = clock
        self.catalog = catalog
        self.gateway = gateway
        self.base_url = base_url
        self.refunds = Refunds(db, clock, catalog, gateway, base_url=base_url)
        self.disputes = Disputes(db, clock, gateway, self.refunds, base_url=base_url)
        self.customers = StripeCustomers(db, clock, gateway)
        self.invoices = Invoices(db, clock, catalog, InvoiceGateway(gateway), self.customers, base_url=base_url)
        self.credit_notes = CreditNotes(db, clock, catalog, InvoiceGateway(gateway), self.invoices, base_url=base_url)
        self.cards = SavedCards(db, clock, gateway)
        self.charges = CardCharges(db, clock, gateway, base_url=base_url)
        self.holds = Holds(db, clock, gateway)
        self.capture_later_from = capture_later_from or {}

    def job_handlers(self) -> dict[str, Callable[..., Awaitable[None]]]:
        """What a worker registers by name; `sweep` runs every minute, and once at start-up as `recover`."""
        return {EVENT_TASK: self.handle_event, CLOSE_TASK: self.close_job}

    # --- The buyer ---

    async def start(self, principal: Principal, number: str) -> str:
        """Return the address where the buyer pays: of the attempt that is open, else of a new one.

        :raises OrderUnknown: when there is no such order, or it is another company's
        :raises OrderNotPayable: when it is paid, closed, or its time to pay has passed
        :raises PaymentUncertain: while nobody knows whether a kept card was charged
        :raises PaymentUnavailable: when Stripe didn't give one; nothing was charged and trying again is safe
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            attempt = await store.find_open_attempt(session, order.id)
            customer_id = await store.find_stripe_customer(session, order.company_id)
        if customer_id is None and attempt is None and principal.company is not None:
            await self.customers.ensure(principal.company, email=order.email)  # without one, no card can be kept
        if attempt is not None and attempt.state is AttemptState.LIVE:
            try:
                await self.settle(order.id)  # it may be paid or expired without our knowing
            except StripeUnavailable:
                log.warning("live payment not refreshed", order=order.number)
        for _ in range(2):
            attempt = await self._begin_attempt(order.company_id, order.id)
            url = attempt.url if attempt.state is AttemptState.LIVE else await self._obtain(attempt)
            if url is not None:
                return url
        raise PaymentUnavailable("The payment page could not be opened. Nothing was charged; please try again.")

    async def pay_with_card(self, principal: Principal, number: str, card_id: uuid.UUID) -> Order:
        """Charge a kept card for the whole order, once, and return the order as it is then.

        :raises OrderUnknown: when there is no such order, or it is another company's
        :raises OrderNotPayable: when it is paid, closed, or its time to pay has passed
        :raises CardUnknown: when the card is not kept any more, or has expired
        :raises ConfirmationNeeded: when the bank wants the holder to confirm: `start` leads to where they can
        :raises CardDeclined: when it was not charged; the order can be paid another way
        :raises PaymentUncertain: when nobody knows whether it was: a person looks at it, and nobody pays until then
        :raises PaymentUnavailable: when a payment page of the order is open and Stripe doesn't close it now
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            open_attempt = await store.find_open_attempt(session, order.id)
        try:
            if open_attempt is not None and open_attempt.kind is AttemptKind.CARD_SESSION:
                await self._close_pages(order.company_id, order.id)
                await self.settle(order.id)  # it may have been paid there
        except StripeUnavailable as error:
            raise PaymentUnavailable(
                "The payment could not be begun. Nothing was charged; please try again."
            ) from error
        attempt = await self._follow(await self._begin_charge(principal, order, card_id))
        if attempt.state is AttemptState.DEAD:
            if attempt.detail == card_charges.NEEDS_HOLDER:
                raise ConfirmationNeeded("Your bank asks you to confirm this payment.")
            raise CardDeclined("The card was not charged. Pay another way, please.", reason=attempt.detail)
        if attempt.state in {AttemptState.NEW, AttemptState.UNCERTAIN}:
            raise PaymentUncertain("We do not know yet whether your card was charged, and are looking at it.")
        async with self.db.reading(principal.db_scope()) as session:
            return await visible_order(session, principal, number)

    async def capture(self, principal: Principal, number: str) -> Order:
        """Take the amount that is held for an order, all of it, and return the order as it is then. Callers have
        checked that staff asks.

        :raises OrderUnknown: when there is no such order
        :raises NothingHeld: when nothing is held for it, or no longer
        :raises StripeUnavailable: when nobody knows whether it was taken; asking again is safe
        """
        async with self.db.begin(for_staff(), WRITE) as session:
            order = await store.lock_order(session, (await visible_order(session, principal, number)).id)
            attempt = await store.find_open_attempt(session, order.id)
            if order.state is not State.AUTHORISED or attempt is None or attempt.state is not AttemptState.PENDING:
                raise NothingHeld(f"Order {number} is {order.state.value.replace('_', ' ')}: nothing is held for it.")
            call = await self.holds.write(session, attempt, CallStep.CAPTURE)
        answer = await self.holds.send(call)
        order = await self.settle(order.id)
        if order.state is State.AUTHORISED:
            raise StripeUnavailable(f"It is not known whether the amount was taken: {answer.detail or answer.status}")
        return order

    async def charging(self, principal: Principal, number: str) -> bool:
        """Whether a kept card is being charged for the order, or may have been: nobody pays it meanwhile.

        :raises OrderUnknown: when there is no such order, or it is another company's
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            attempt = await store.find_open_attempt(session, order.id)
        return attempt is not None and attempt.kind is AttemptKind.SAVED_CARD

    async def returned(self, principal: Principal, number: str, session_id: str) -> Order:
        """The buyer comes back from Stripe: settle now rather than wait for the webhook.

        :raises OrderUnknown: when there is no such order, or it is another company's
        :raises SessionForeign: when *session_id* is not of this order; its address proves nothing
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            attempts = await store.list_attempts(session, order.id)
        if session_id not in {attempt.session_id for attempt in attempts}:
            raise SessionForeign("This payment does not belong to this order.")
        try:
            await self.settle(order.id)
        except StripeUnavailable:
            log.warning("returned buyer's payment not settled yet", order=order.number)
        async with self.db.reading(principal.db_scope()) as session:
            return await visible_order(session, principal, number)

    async def cancel(self, principal: Principal, number: str) -> Order:
        """Give an unpaid order up: payment pages are closed at Stripe first, then its stock returns.

        :raises OrderUnknown: when there is no such order, or it is another company's
        :raises OrderNotCancellable: when it is paid or closed
        """
        async with self.db.begin(principal.db_scope(), CLOSING) as session:
            found = await visible_order(session, principal, number)
            order = await store.lock_order(session, found.id)
            if order.state in {State.PAID, State.ON_TERMS} or not may(order.state, Event.CANCEL):
                raise OrderNotCancellable(
                    f"Order {number} is {order.state.value}. Write to us if you want it taken back."
                )
            move(session, order, Event.CANCEL, at=self.clock.now(), person_id=principal.person_id)
            order.closing_as = State.CANCELLED
        try:
            await self._close(order.company_id, order.id)
        except StripeUnavailable:
            log.warning("closing goes on in the background", order=number)
        async with self.db.reading(principal.db_scope()) as session:
            return await visible_order(session, principal, number)

    # --- Stripe's word ---

    async def receive_webhook(self, raw: bytes, signature: str | None) -> bool:
        """Store a verified event and enqueue its job, in one commit; False when it was here before.

        :raises WebhookRefused: when it isn't Stripe's, isn't of now, or is of the other mode; nothing is stored
        """
        verified = self.gateway.verify_webhook(raw, signature)
        event = StripeEvent(
            id=verified.id,
            type=verified.type,
            api_version=verified.api_version,
            livemode=verified.livemode,
            payload=verified.payload,
            received_at=self.clock.now(),
        )
        async with self.db.begin(for_visitor(), RECEIVE) as session:
            stored = await store.insert_event(session, event)
            if stored:
                await enqueue(session, EVENT_TASK, {"event_id": event.id}, lock=f"stripe_event:{event.id}")
        return stored

    async def handle_event(self, event_id: str) -> None:
        """Act on a stored event: fetch its object as it is now, settle its order, mark the event.

        :raises StripeUnavailable: when Stripe can't be asked; the job comes back
        """
        async with self.db.reading(for_staff()) as session:
            event = await session.get(StripeEvent, event_id)
        if event is None or event.handled_at is not None:
            return
        if event.type in SESSION_EVENTS:
            outcome, detail = await self._handle_session_event(event)
        elif event.type in REFUND_EVENTS:
            outcome, detail = await self.refunds.hear(str(_object_of(event).get("id")))
        elif event.type in DISPUTE_EVENTS:
            outcome, detail = await self.disputes.hear(str(_object_of(event).get("id")))
        elif event.type in INTENT_EVENTS:
            outcome, detail = await self._handle_intent_event(event)
        elif event.type.startswith(INVOICE_EVENTS):
            outcome, detail = await self.invoices.hear_event(event.type, _object_of(event))
        else:
            outcome, detail = EventOutcome.NOTHING_TO_DO, ""
        async with self.db.begin(for_staff(), HANDLED) as session:
            stored = await session.get_one(StripeEvent, event_id, with_for_update=True)
            if stored.handled_at is None:
                stored.handled_at, stored.outcome, stored.detail = self.clock.now(), outcome, detail
        if outcome is EventOutcome.PARKED:
            log.error("stripe event parked", event_id=event_id, type=event.type, detail=detail)

    async def settle(self, order_id: uuid.UUID, session_ids: Iterable[str] = ()) -> Order:
        """Bring the order to what Stripe says now of its open attempts, and of *session_ids*.

        :raises StripeUnavailable: when Stripe can't be asked, or the order moved each time we looked
        """
        company_id = await self._company_of(order_id)
        for _ in range(RACES_MOST):
            async with self.db.reading(for_company(company_id)) as session:
                read = await store.find_order_by_id(session, order_id)
                attempts = await store.list_attempts(session, order_id)
            assert read is not None, "orders are never deleted"
            wanted = {attempt.session_id for attempt in attempts if attempt.state in OPEN_ATTEMPT} | set(session_ids)
            fetched = {each: await self._fetch(each) for each in sorted(filter(None, wanted))}
            async with self.db.begin(for_company(company_id), SETTLE) as session:
                order = await store.lock_order(session, order_id)
                if order.version == read.version:
                    await self._apply(session, order, fetched)
                    return order
        raise StripeUnavailable("The order is being worked on; we will try again.")

    async def _fetch(self, stripe_id: str) -> Session | IntentSeen | None:
        if stripe_id.startswith(CHARGE_PREFIX):
            return await self.gateway.retrieve_intent(stripe_id)
        return await self.gateway.retrieve_session(stripe_id)

    # --- Time and recovery ---

    async def close_job(self, order_id: str) -> None:
        """Close an order whose time to pay has passed.

        :raises StripeUnavailable: while its payment page is open at Stripe; the job comes back
        """
        await self.lapse(uuid.UUID(order_id))

    async def lapse(self, order_id: uuid.UUID) -> None:
        """Close the order if its time to pay has passed; go on closing one that is CLOSING.

        :raises StripeUnavailable: while its payment page is open at Stripe
        """
        company_id = await self._company_of(order_id)
        now = self.clock.now()
        async with self.db.begin(for_company(company_id), CLOSING) as session:
            order = await store.lock_order(session, order_id)
            if order.state is State.PAYABLE and order.pay_by is not None and order.pay_by <= now:
                move(session, order, Event.PAY_BY_PASSED, at=now)
                order.closing_as = State.LAPSED
        if order.state is State.CLOSING:
            await self._close(company_id, order_id)

    async def recover(self) -> None:
        """At start-up: finish what a crash interrupted."""
        await self._sweep(grace=timedelta(0))

    async def sweep(self) -> None:
        """Each minute: what webhooks, jobs and requests left undone."""
        await self._sweep(grace=SWEEP_GRACE)

    async def reconcile(self, *, since: datetime) -> tuple[Break, ...]:
        """Compare payments since an instant with Stripe's objects, and our books with themselves; empty is well.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        return await reconcile(self.db, self.clock, self.gateway, since=since)

    async def _sweep(self, *, grace: timedelta) -> None:
        now = self.clock.now()
        async with self.db.reading(for_staff()) as session:
            event_ids = await store.list_unhandled_events(session, before=now - grace, limit=SWEEP_BATCH)
            in_payment = await store.list_orders_in_payment(
                session, before=now - grace, asked_before=now - (ASK_AGAIN_AFTER if grace else grace), limit=SWEEP_BATCH
            )
            overdue = await store.list_overdue_orders(session, now=now, limit=SWEEP_BATCH)
            refunds = await store.list_unfinished_refunds(session, before=now - grace, limit=SWEEP_BATCH)
            invoices = await terms_store.list_unfinished_invoices(session, before=now - grace, limit=SWEEP_BATCH)
            notes = await terms_store.list_unfinished_credit_notes(session, before=now - grace, limit=SWEEP_BATCH)
            answers = await dispute_store.list_unfinished_calls(session, before=now - grace, limit=SWEEP_BATCH)
            disputes = await dispute_store.list_to_ask(session, asked_before=now - ASK_EVERY, limit=SWEEP_BATCH)
        for event_id in event_ids:
            await _patiently(self.handle_event(event_id), event_id=event_id)
        for order_id, attempt_id, state in in_payment:
            if state in {AttemptState.NEW, AttemptState.UNCERTAIN}:
                await _patiently(self._finish_attempt(order_id, attempt_id), order_id=str(order_id))
            await _patiently(self.settle(order_id), order_id=str(order_id))
        for order_id in overdue:
            await _patiently(self.lapse(order_id), order_id=str(order_id))
        for note_id in notes:
            await _patiently(self.credit_notes.go_on(note_id), credit_note_id=str(note_id))
        for invoice_id in invoices:
            await _patiently(self.invoices.go_on(invoice_id), invoice_id=str(invoice_id))
        for refund_id in refunds:
            await _patiently(self.refunds.go_on(refund_id), refund_id=str(refund_id))
        for dispute_id in answers:
            await _patiently(self.disputes.go_on(dispute_id), dispute_id=str(dispute_id))
        for stripe_dispute_id in disputes:
            await _patiently(self.disputes.hear(stripe_dispute_id), stripe_dispute_id=stripe_dispute_id)
        await _patiently(self.cards.detach_removed())

    # --- An attempt and its calls ---

    async def _begin_attempt(self, company_id: uuid.UUID, order_id: uuid.UUID) -> PaymentAttempt:
        """Row 9: reuse the open attempt, else write a new one and its first call, before anything is sent."""
        now = self.clock.now()
        async with self.db.begin(for_company(company_id), START) as session:
            order = await store.lock_order(session, order_id)
            _refuse_unpayable(order, now)
            attempt = await store.find_open_attempt(session, order_id)
            if attempt is not None:
                if attempt.kind is AttemptKind.SAVED_CARD:
                    raise PaymentUncertain("We do not know yet whether your card was charged, and are looking at it.")
                return attempt
            customer_id = await store.find_stripe_customer(session, company_id)
            move(session, order, Event.PAY, at=now)
            attempt = PaymentAttempt(
                id=new_id(),
                order_id=order.id,
                company_id=company_id,
                amount_minor=order.total_minor,
                currency=order.currency,
                created_at=now,
            )
            session.add(attempt)
            await session.flush()
            session.add(
                StripeCall(
                    id=new_id(),
                    attempt_id=attempt.id,
                    company_id=company_id,
                    step=CallStep.CREATE_SESSION,
                    idempotency_key=f"tarifa-{attempt.id}-create",
                    request=msgspec.json.encode(self._request(order, attempt, customer_id)).decode(),
                    created_at=now,
                    sent_at=now,
                    sent_times=0,
                )
            )
            events.record(session, "payment_started", journey=order.visitor_id, at=now, order=order.number)
        return attempt

    def _request(self, order: Order, attempt: PaymentAttempt, customer_id: str | None) -> dict[str, Any]:
        """One line for the whole order, so that the Session's total is the order's to the cent; the goods are named.
        With a Customer the page asks whether the card shall be kept.
        """
        page = f"{self.base_url}/orders/{order.number}/payment"
        goods = ", ".join(f"{line.quantity.normalize():f} x {line.sku}" for line in order.lines)
        spanish = order.locale.startswith("es")
        methods = list(payment_methods(order.currency))
        references = {"order_id": str(order.id), "order_number": order.number, "attempt_id": str(attempt.id)}
        return {
            "mode": "payment",
            "ui_mode": "hosted_page",
            "client_reference_id": str(attempt.id),
            **_buyer(order, customer_id),
            "locale": "es" if spanish else "en",
            "allowed_payment_method_types": methods,
            **_method_options(methods, captured_later=self._captures_later(order)),
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency.lower(),
                        "unit_amount": to_stripe(order.total),
                        "product_data": {
                            "name": f"{'Pedido' if spanish else 'Order'} {order.number}",
                            "description": _shortened(goods),
                        },
                    },
                }
            ],
            "success_url": f"{page}/return?session_id={{CHECKOUT_SESSION_ID}}",
            "cancel_url": page,
            "metadata": references,
            "payment_intent_data": {"metadata": references, "description": f"Order {order.number}"},
        }

    def _captures_later(self, order: Order) -> bool:
        least = self.capture_later_from.get(order.currency)
        return least is not None and order.total >= least

    async def _obtain(self, attempt: PaymentAttempt) -> str | None:
        """Bring a NEW or UNCERTAIN attempt to its payment page; None when it turned out dead.

        The stored request is sent again under its key as long as Stripe honours that; else Stripe is searched.

        :raises PaymentUnavailable: when Stripe refused, or nobody knows yet
        """
        for turn in range(SENDS_MOST):
            async with self.db.begin(for_company(attempt.company_id), RESEND) as session:
                current = await store.lock_attempt(session, attempt.id)
                call = await store.find_call(session, attempt.id, CallStep.CREATE_SESSION)
                assert call is not None, "an attempt is written with its first call"
                if current.state is AttemptState.LIVE:
                    return current.url
                if current.state not in {AttemptState.NEW, AttemptState.UNCERTAIN}:
                    return None
                search = not begin_sending(call, self.clock.now())
            if search:
                return await self._search(current, call)
            answer = await self.gateway.create_session(msgspec.json.decode(call.request), key=call.idempotency_key)
            known = await self._store_answer(current, call, answer)
            if known.state is AttemptState.LIVE:
                return known.url
            if answer.status != 409:
                break
            await asyncio.sleep(CONFLICT_WAIT_SECONDS * (turn + 1))  # the same click, sent twice: the other one has it
        raise PaymentUnavailable("The payment page could not be opened. Nothing was charged; please try again.")

    async def _store_answer(self, attempt: PaymentAttempt, call: StripeCall, answer: Answer) -> PaymentAttempt:
        """House rule 3: the answer and the Session's id are committed before anybody is sent there."""
        now = self.clock.now()
        async with self.db.begin(for_company(attempt.company_id), ANSWER) as session:
            order = await store.lock_order(session, attempt.order_id)
            stored = await store.lock_attempt(session, attempt.id)
            written = await store.find_call(session, attempt.id, call.step)
            assert written is not None, "the call was committed before it was sent"
            if stored.state not in {AttemptState.NEW, AttemptState.UNCERTAIN}:
                return stored  # another request had the answer first; ours says no more than that
            write_answer(written, answer, now)
            if answer.outcome is CallOutcome.DONE:
                self._adopt(session, order, stored, answer.body, now)
            elif answer.outcome is CallOutcome.REFUSED:
                bury(session, order, stored, f"refused: {answer.detail}", now)
                log.error("stripe refused a session", order=order.number, status=answer.status, detail=answer.detail)
            elif answer.outcome is CallOutcome.UNCERTAIN:
                stored.state, stored.detail = AttemptState.UNCERTAIN, answer.detail
        return stored

    def _adopt(
        self, session: AsyncSession, order: Order, attempt: PaymentAttempt, body: dict[str, Any] | None, now: datetime
    ) -> None:
        """Take the Session as the attempt's, if it asks for exactly the order's money."""
        try:
            made = session_of(body or {})
        except (msgspec.ValidationError, ValueError):
            attempt.state, attempt.detail = AttemptState.UNCERTAIN, "the answer was no Session"
            return
        self._take(session, order, attempt, made, now)

    def _take(self, session: AsyncSession, order: Order, attempt: PaymentAttempt, made: Session, now: datetime) -> None:
        attempt.session_id, attempt.payment_intent_id = made.id, made.payment_intent_id
        if made.total != Money(attempt.amount_minor, attempt.currency) or made.url is None:
            # Nobody gets its address, so nobody can pay there
            bury(session, order, attempt, f"the Session asks for {made.total} at {made.url}", now)
            log.error("stripe session does not fit its order", order=order.number, total=str(made.total))
            return
        attempt.url, attempt.state = made.url, AttemptState.LIVE

    async def _search(self, attempt: PaymentAttempt, call: StripeCall) -> str | None:
        """Where the key can't tell any more, look for the Session that carries the attempt's id.

        :raises PaymentUnavailable: when Stripe can't be asked
        """
        now = self.clock.now()
        try:
            found = await self.gateway.find_session(
                str(attempt.id), since=call.created_at - CLOCK_SKEW, until=now + CLOCK_SKEW
            )
        except StripeUnavailable as error:
            raise PaymentUnavailable(error.message) from error
        if found is not None and found.status == "complete":
            await self.settle(attempt.order_id, [found.id])
            return None
        async with self.db.begin(for_company(attempt.company_id), LOOKED_UP) as session:
            order = await store.lock_order(session, attempt.order_id)
            stored = await store.lock_attempt(session, attempt.id)
            if stored.state in {AttemptState.NEW, AttemptState.UNCERTAIN}:
                if found is None or found.expired:
                    bury(session, order, stored, "Stripe has no open Session of it", now)
                else:
                    self._take(session, order, stored, found, now)
        return stored.url if stored.state is AttemptState.LIVE else None

    async def _finish_attempt(self, order_id: uuid.UUID, attempt_id: uuid.UUID) -> None:
        async with self.db.reading(for_staff()) as session:
            order = await store.find_order_by_id(session, order_id)
            attempt = await session.get(PaymentAttempt, attempt_id)
        if order is None or attempt is None:
            return
        if attempt.kind is AttemptKind.SAVED_CARD:
            await self.charges.look_up(attempt)
            return
        if not may(order.state, Event.PAY):
            return
        if order.pay_by is None or order.pay_by > self.clock.now():
            await self._obtain(attempt)

    async def _begin_charge(self, principal: Principal, found: Order, card_id: uuid.UUID) -> PaymentAttempt:
        async with self.db.begin(for_company(found.company_id), card_charges.BEGIN) as session:
            order = await store.lock_order(session, found.id)
            _refuse_unpayable(order, self.clock.now())
            attempt = await store.find_open_attempt(session, order.id)
            if attempt is None:
                later = self._captures_later(order)
                return await self.charges.write(session, order, card_id, principal, captured_later=later)
            if attempt.kind is AttemptKind.CARD_SESSION:
                raise PaymentUnavailable("A payment page of this order is open. Pay there, or try again in a minute.")
            return attempt  # the same click, sent twice, or a colleague's

    async def _follow(self, attempt: PaymentAttempt) -> PaymentAttempt:
        """Send the charge unless that was done, and see what comes of it within a buyer's patience."""
        current = await self.charges.send(attempt)
        for _ in range(LOOKS_MOST):
            if current.state is not AttemptState.NEW:
                break
            await asyncio.sleep(LOOK_SECONDS)  # another click sends it
            current = await self._read_attempt(attempt)
        try:
            if card_charges.uncertain(current):
                current = await self.charges.look_up(current)
            if current.state in OPEN_ATTEMPT and current.session_id is not None:
                await self.settle(attempt.order_id)
        except StripeUnavailable:
            log.warning("what became of a charge is asked later", attempt=str(attempt.id))
        return await self._read_attempt(attempt)

    async def _read_attempt(self, attempt: PaymentAttempt) -> PaymentAttempt:
        async with self.db.reading(for_company(attempt.company_id)) as session:
            return await session.get_one(PaymentAttempt, attempt.id)

    # --- What Stripe says of an order ---

    async def _apply(
        self, session: AsyncSession, order: Order, fetched: dict[str, Session | IntentSeen | None]
    ) -> None:
        now = self.clock.now()
        for stripe_id, found in fetched.items():
            attempt = await store.find_attempt_of_session(
                session, stripe_id, None if found is None else found.reference
            )
            if attempt is None or attempt.order_id != order.id:
                continue
            attempt = await store.lock_attempt(session, attempt.id)
            if attempt.kind is AttemptKind.SAVED_CARD:
                if not isinstance(found, Session):
                    await self._apply_charge(session, order, attempt, found, now)
            elif attempt.kind is AttemptKind.CARD_SESSION and not isinstance(found, IntentSeen):
                await self._apply_page(session, order, attempt, found, now)
        if order.state is State.CLOSING:
            attempts = await store.list_attempts(session, order.id)
            if not any(attempt.state in OPEN_ATTEMPT for attempt in attempts):
                cancelled = order.closing_as is State.CANCELLED
                move(session, order, Event.CLOSED_AS_CANCELLED if cancelled else Event.CLOSED_AS_LAPSED, at=now)
                await give_up(session, self.catalog, order, now=now, base_url=self.base_url)

    async def _apply_page(
        self, session: AsyncSession, order: Order, attempt: PaymentAttempt, found: Session | None, now: datetime
    ) -> None:
        _learn_of_page(attempt, found)
        if found is None:
            bury(session, order, attempt, "Stripe does not know this Session", now)
            log.error("stripe does not know a session", order=order.number, session_id=attempt.session_id)
            return
        if found.status == "complete" and found.intent is not None and found.intent.card is not None:
            await keep_card(session, order, found.intent.card, now=now)
        if found.paid:
            await self._money_came(session, order, attempt, found.money(order.currency), found.payment_intent_id, now)
        elif found.expired:
            bury(session, order, attempt, "expired", now)
        elif found.left_unpaid and found.intent is not None:
            await hear_of_waiting(session, order, attempt, found.intent, now=now, base_url=self.base_url)

    async def _apply_charge(
        self, session: AsyncSession, order: Order, attempt: PaymentAttempt, found: IntentSeen | None, now: datetime
    ) -> None:
        if found is None:
            log.error("stripe does not know a charge", order=order.number, intent=attempt.session_id)
            return
        attempt.session_id = attempt.payment_intent_id = found.id
        if attempt.state in {AttemptState.NEW, AttemptState.UNCERTAIN}:  # its answer was lost, its webhook was not
            attempt.state = AttemptState.LIVE
        if found.status == "succeeded":
            await self._money_came(session, order, attempt, found.received, found.id, now)
        elif attempt.state is AttemptState.PENDING or found.held or found.status == "processing":
            await hear_of_waiting(session, order, attempt, found, now=now, base_url=self.base_url)
        elif found.failed and attempt.state is AttemptState.LIVE:
            reason = found.failure or found.status
            await card_charges.refuse(session, order, attempt, reason, now=now, base_url=self.base_url)

    async def _money_came(
        self,
        session: AsyncSession,
        order: Order,
        attempt: PaymentAttempt,
        money: Money,
        intent_id: str | None,
        now: datetime,
    ) -> None:
        """Rows 15 and 23: the order's own money settles it, any other is a liability."""
        if attempt.state is AttemptState.SUCCEEDED:
            return
        assert attempt.session_id is not None, "money comes by something that Stripe has"
        waited_for = attempt.state is AttemptState.PENDING
        attempt.state, attempt.closed_at = AttemptState.SUCCEEDED, now
        attempt.payment_intent_id = intent_id
        reason = _misfit(order, money)
        if reason is None:
            move(session, order, Event.PAID, at=now)
            order.paid_at = now
            await finish_sale(session, self.catalog, order, entry_id=attempt.id, now=now, base_url=self.base_url)
            return
        detail = f"{money} came for order {order.number} ({order.total}, {order.state.value})"
        move(session, order, Event.UNMATCHED_MONEY, at=now, detail=detail)
        hold_as_liability(
            session,
            order=order,
            entry_id=attempt.id,
            session_id=attempt.session_id,
            payment_intent_id=intent_id,
            reason=reason,
            detail=detail,
            money=money,
            now=now,
        )
        log.error("money fits no open order", order=order.number, reason=reason.value, detail=detail)
        if waited_for and order.state in {State.PROCESSING, State.AUTHORISED}:
            await pay_anew(session, order, detail=detail, now=now, base_url=self.base_url)

    async def _handle_session_event(self, event: StripeEvent) -> tuple[EventOutcome, str]:
        session_id = _object_of(event).get("id")
        found = await self.gateway.retrieve_session(session_id) if isinstance(session_id, str) else None
        if found is None:
            return EventOutcome.PARKED, f"Stripe has no Session {str(session_id)[:80]!r}"
        async with self.db.reading(for_staff()) as session:
            attempt = await store.find_attempt_of_session(session, found.id, found.reference)
        if attempt is not None and attempt.kind is AttemptKind.CARD_SESSION:
            await self.settle(attempt.order_id, [found.id])
            return EventOutcome.SETTLED, ""
        if found.paid and found.total is not None:
            await self._hold_unknown(found, found.total)
        return EventOutcome.PARKED, f"Session {found.id} is of no order we know"

    async def _hold_unknown(self, found: Session, money: Money) -> None:
        now = self.clock.now()
        async with self.db.begin(for_staff(), SETTLE) as session:
            if await store.find_liability(session, found.id) is None:
                hold_as_liability(
                    session,
                    order=None,
                    entry_id=new_id(),
                    session_id=found.id,
                    payment_intent_id=found.payment_intent_id,
                    reason=LiabilityReason.UNKNOWN_ORDER,
                    detail=f"{money} came for an order we do not know",
                    money=money,
                    now=now,
                )

    async def _handle_intent_event(self, event: StripeEvent) -> tuple[EventOutcome, str]:
        """A charge of a kept card has no Session that tells of it. What the event says only leads to an order, whose
        payments are fetched.
        """
        thing = _object_of(event)
        metadata = thing.get("metadata")
        hint = _uuid(metadata.get("attempt_id")) if isinstance(metadata, dict) else None
        async with self.db.reading(for_staff()) as session:
            attempt = await store.find_attempt_of_intent(session, str(thing.get("id")), hint)
        if attempt is not None and attempt.kind is AttemptKind.SAVED_CARD:
            await self.settle(attempt.order_id, [str(thing.get("id"))])
            return EventOutcome.SETTLED, ""
        on_page = attempt is not None and attempt.kind is AttemptKind.CARD_SESSION
        if attempt is not None and on_page and event.type in HOLD_EVENTS and attempt.session_id is not None:
            await self.settle(attempt.order_id, [attempt.session_id])  # an expired hold has no event of its Session
            return EventOutcome.SETTLED, ""
        if event.type == DECLINED:
            return await self._handle_decline(event)
        return EventOutcome.NOTHING_TO_DO, ""

    async def _handle_decline(self, event: StripeEvent) -> tuple[EventOutcome, str]:
        """A decline changes nothing here: the Session takes another card. It is counted, once."""
        metadata = _object_of(event).get("metadata")
        number = metadata.get("order_number") if isinstance(metadata, dict) else None
        async with self.db.begin(for_staff(), HANDLED) as session:
            stored = await session.get_one(StripeEvent, event.id, with_for_update=True)
            order = await store.find_order(session, number) if isinstance(number, str) else None
            if order is not None and stored.handled_at is None:
                now = self.clock.now()
                events.record(session, "payment_failed", journey=order.visitor_id, at=now, order=order.number)
                stored.handled_at, stored.outcome = now, EventOutcome.NOTHING_TO_DO
        return EventOutcome.NOTHING_TO_DO, ""

    # --- Closing ---

    async def _close(self, company_id: uuid.UUID, order_id: uuid.UUID) -> None:
        """Row 16 and 17: ask Stripe to close what is open there, then let `settle` say what became of it.

        :raises StripeUnavailable: while something is open
        """
        await self._close_pages(company_id, order_id)
        await self._let_go(company_id, order_id)
        order = await self.settle(order_id)
        if order.state is State.CLOSING:
            raise StripeUnavailable(f"Order {order.number} is still open at Stripe; we will try again.")

    async def _let_go(self, company_id: uuid.UUID, order_id: uuid.UUID) -> None:
        """Ask Stripe to let go what is held for an order that is being closed."""
        async with self.db.begin(for_company(company_id), WRITE) as session:
            order = await store.lock_order(session, order_id)
            attempt = await store.find_open_attempt(session, order_id)
            if order.state is not State.CLOSING or attempt is None or attempt.state is not AttemptState.PENDING:
                return
            call = await self.holds.write(session, attempt, CallStep.CANCEL_INTENT)
        await self.holds.send(call)

    async def _close_pages(self, company_id: uuid.UUID, order_id: uuid.UUID) -> None:
        """Ask Stripe to close the order's payment pages. What it made of that is `settle`'s to find out."""
        for attempt in await self._attempts_to_expire(company_id, order_id):
            assert attempt.session_id is not None, "a LIVE attempt has a Session"
            call = await self._write_expire_call(attempt)
            answer = await self.gateway.expire_session(attempt.session_id, key=call.idempotency_key)
            async with self.db.begin(for_company(company_id), EXPIRED) as session:
                written = await session.get_one(StripeCall, call.id, with_for_update=True)
                write_answer(written, answer, self.clock.now())

    async def _attempts_to_expire(self, company_id: uuid.UUID, order_id: uuid.UUID) -> list[PaymentAttempt]:
        """Live attempts; those without a Session die here: nobody got an address to pay at."""
        now = self.clock.now()
        async with self.db.begin(for_company(company_id), EXPIRING) as session:
            order = await store.lock_order(session, order_id)
            attempts = [
                attempt
                for attempt in await store.list_attempts(session, order_id)
                if attempt.kind is AttemptKind.CARD_SESSION  # a charge can't be called back
            ]
            for attempt in attempts:
                if attempt.state in {AttemptState.NEW, AttemptState.UNCERTAIN}:
                    bury(session, order, attempt, "closed before it had an address to pay at", now)
        return [attempt for attempt in attempts if attempt.state is AttemptState.LIVE]

    async def _write_expire_call(self, attempt: PaymentAttempt) -> StripeCall:
        now = self.clock.now()
        async with self.db.begin(for_company(attempt.company_id), EXPIRING) as session:
            await store.lock_attempt(session, attempt.id)
            last = await store.find_call(session, attempt.id, CallStep.EXPIRE_SESSION)
            if last is not None and last.answered_at is None and now - last.created_at < RESEND_WITHIN:
                last.sent_at, last.sent_times = now, last.sent_times + 1
                return last
            call_id = new_id()
            call = StripeCall(
                id=call_id,
                attempt_id=attempt.id,
                company_id=attempt.company_id,
                step=CallStep.EXPIRE_SESSION,
                idempotency_key=f"tarifa-{attempt.id}-expire-{call_id}",
                request=msgspec.json.encode({"session": attempt.session_id}).decode(),
                created_at=now,
                sent_at=now,
            )
            session.add(call)
        return call

    async def _company_of(self, order_id: uuid.UUID) -> uuid.UUID:
        async with self.db.reading(for_staff()) as session:
            company_id = await store.company_of_order(session, order_id)
        assert company_id is not None, "orders are never deleted"
        return company_id


def _object_of(event: StripeEvent) -> dict[str, Any]:
    """What the event says it is about: good for its id, for nothing else."""
    thing = event.payload["data"].get("object")
    return thing if isinstance(thing, dict) else {}


def _uuid(text: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _refuse_unpayable(order: Order, now: datetime) -> None:
    """:raises OrderNotPayable: unless the order waits for its money and there is time"""
    if not may(order.state, Event.PAY):
        raise OrderNotPayable(f"Order {order.number} is {order.state.value}.", state=order.state.value)
    if order.pay_by is not None and order.pay_by <= now:
        raise OrderNotPayable(f"The time to pay order {order.number} has passed.", state=order.state.value)


def _learn_of_page(attempt: PaymentAttempt, found: Session | None) -> None:
    """The answer that named the Session was lost, its webhook was not. Who is dead by then stays dead."""
    if attempt.session_id is not None or found is None:
        return
    attempt.session_id = found.id
    if attempt.state in OPEN_ATTEMPT:
        attempt.url, attempt.state = found.url, AttemptState.LIVE


def _misfit(order: Order, money: Money) -> LiabilityReason | None:
    """Why *money* that came can't settle the order, None when it can."""
    if money.currency != order.currency:
        return LiabilityReason.CURRENCY_DIFFERS
    if money != order.total:
        return LiabilityReason.AMOUNT_DIFFERS
    if may(order.state, Event.PAID):
        return None
    return LiabilityReason.PAID_TWICE if order.state is State.PAID else LiabilityReason.ORDER_CLOSED


def _buyer(order: Order, customer_id: str | None) -> dict[str, Any]:
    if customer_id is None:
        return {"customer_email": order.email}
    return {"customer": customer_id, "saved_payment_method_options": {"payment_method_save": "enabled"}}


def _method_options(methods: list[str], *, captured_later: bool) -> dict[str, Any]:
    """A US account is confirmed at once or not at all: two small transfers first would keep the buyer for days."""
    options: dict[str, Any] = {}
    if captured_later:
        options["card"] = {"capture_method": "manual"}
    if "us_bank_account" in methods:
        options["us_bank_account"] = {"verification_method": "instant"}
    return {"payment_method_options": options} if options else {}


def _shortened(text: str) -> str:
    return text if len(text) <= DESCRIPTION_LONGEST else text[: DESCRIPTION_LONGEST - 3] + "..."


async def _patiently(step: Awaitable[object], **about: str) -> None:
    """One step of a sweep: what can't be done now is left to the next one; one bad order doesn't stop the others."""
    try:
        await step
    except (StripeUnavailable, PaymentUnavailable) as error:
        log.warning("left for the next sweep", reason=error.message, **about)
    except Exception:
        log.exception("a step of the sweep failed", **about)
