"""Invoices of orders on terms: made at Stripe step by step, once, and followed until nothing is due.

Release (row 18) sells the goods and posts what is owed; from then on the order's invoice is a row, and each call it
takes at Stripe is another, committed before it is sent and again with its answer, so that a crash at any point goes on
where it was. What came in is read from Stripe, never from an event's body: `settle` writes each piece of money once, by
Stripe's own id of it. An Invoice whose total is not the order's never settles.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company
from accounts.principal import Principal, buyer_company
from catalog.service import Catalog
from checkout import store, terms_store
from checkout.charging import to_stripe
from checkout.invoice_gateway import CashSeen, InvoiceGateway, InvoiceSeen, PaymentSeen, invoice_of
from checkout.invoice_mails import invoice_mail
from checkout.model import (
    Account,
    AttemptKind,
    AttemptState,
    CallOutcome,
    CallStep,
    EventOutcome,
    Liability,
    LiabilityReason,
    Order,
    PaymentAttempt,
    ReservationState,
    StripeCall,
)
from checkout.order_news import announce_paid
from checkout.orders import move, visible_order
from checkout.settlement import give_up, post
from checkout.states import Event, State
from checkout.stripe_calls import CONFLICT_WAIT_SECONDS, SENDS_MOST, begin_sending, write_answer
from checkout.stripe_customers import StripeCustomers
from checkout.stripe_gateway import Answer, StripeUnavailable
from checkout.terms_model import CashMovement, Invoice, InvoiceReceipt, InvoiceState, ReceiptKind
from checkout.terms_store import AFTERWARDS
from kernel import events
from kernel.clock import Clock
from kernel.db import Database, for_company, for_staff
from kernel.errors import Conflict
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail
from kernel.money import Money

EVENTS: Final = ("invoice.", "invoice_payment.", "credit_note.", "cash_balance.", "customer_cash_balance_transaction.")
"""How the types of events begin that are about invoices."""
RACES_MOST: Final = 5
SWEEP_BATCH: Final = 200
LISTED_MOST: Final = 100
CUSTOM_FIELD_LONGEST: Final = 140
REMIND_AGAIN: Final = timedelta(days=7)
MAKING_STEPS: Final = (
    CallStep.CREATE_INVOICE,
    CallStep.ADD_INVOICE_ITEM,
    CallStep.FINALIZE_INVOICE,
    CallStep.SEND_INVOICE,
)
_TRANSFERS: Final[dict[str, dict[str, Any]]] = {
    "EUR": {"type": "eu_bank_transfer", "eu_bank_transfer": {"country": "ES"}},
    "GBP": {"type": "gb_bank_transfer"},
    "USD": {"type": "us_bank_transfer"},
}
"""Currencies that Stripe has accounts for transfers in."""
_DONE_AS: Final = {
    CallStep.MARK_UNCOLLECTIBLE: "uncollectible",
    CallStep.PAY_OUT_OF_BAND: "paid",
}

RELEASE: Final = Failpoint("checkout.invoice.release")
CUSTOMER: Final = Failpoint("checkout.invoice.customer")
STEP: Final = Failpoint("checkout.invoice.step")
ANSWER: Final = Failpoint("checkout.invoice.answer")
SETTLE: Final = Failpoint("checkout.invoice.settle")
CASH: Final = Failpoint("checkout.invoice.cash")
DECIDE: Final = Failpoint("checkout.invoice.decide")
AFTER: Final = Failpoint("checkout.invoice.after")
ANSWERED: Final = Failpoint("checkout.invoice.answered")
REMIND: Final = Failpoint("checkout.invoice.remind")

log = structlog.get_logger(__name__)


class NotReleasable(Conflict):
    problem = "order-not-releasable"
    title = "This order cannot be released"


class InvoiceNotOpen(Conflict):
    problem = "invoice-not-open"
    title = "This invoice is not open"


class Invoices:
    """Every use case is safe to call again: it finds what it did before. Callers have checked who may."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        catalog: Catalog,
        gateway: InvoiceGateway,
        customers: StripeCustomers,
        *,
        base_url: str,
    ) -> None:
        self.db = db
        self.clock = clock
        self.catalog = catalog
        self.gateway = gateway
        self.base_url = base_url
        self.customers = customers

    async def of_order(self, principal: Principal, number: str) -> tuple[Invoice | None, Sequence[InvoiceReceipt]]:
        """An order's invoice and what came for it, oldest first.

        :raises OrderUnknown: when there is no such order, or it is another company's
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            invoice = await terms_store.find_invoice(session, order.id)
            return invoice, () if invoice is None else await terms_store.list_receipts(session, invoice.id)

    async def of_company(self, principal: Principal) -> list[tuple[Invoice, str]]:
        """The company's invoices with their orders' numbers, newest first."""
        if principal.company_id is None:
            return []
        async with self.db.reading(principal.db_scope()) as session:
            return await terms_store.list_invoices_of(session, principal.company_id, limit=LISTED_MOST)

    async def release(self, principal: Principal, number: str) -> Invoice:
        """Row 18: the goods leave. They are sold, what they cost is owed, and the invoice is made and sent.

        :raises OrderUnknown: when there is no such order
        :raises NotReleasable: when it is not an order on terms that waits for this
        """
        now = self.clock.now()
        assert principal.person_id is not None, "somebody releases it"
        async with self.db.begin(for_staff(), RELEASE) as session:
            order = await store.lock_order(session, (await visible_order(session, principal, number)).id)
            invoice = await terms_store.find_invoice(session, order.id)
            if invoice is None:
                if order.state is not State.ON_TERMS or order.net_days is None:
                    raise NotReleasable(f"Order {number} is {order.state.value}; it waits for no release.")
                move(session, order, Event.RELEASE, at=now, person_id=principal.person_id)
                invoice = await self._write(session, order, by=principal.person_id, now=now)
        await self._patiently(self._make(invoice.id), invoice)
        async with self.db.reading(for_staff()) as session:
            return await session.get_one(Invoice, invoice.id)

    async def cancel_unreleased(self, principal: Principal, number: str) -> Order:
        """Rows 21 and 22 before anything is owed: the goods are free again.

        :raises OrderUnknown: when there is no such order, or it is another company's
        :raises NotReleasable: when it is not on terms, or is released already
        """
        now = self.clock.now()
        async with self.db.begin(principal.db_scope(), DECIDE) as session:
            order = await store.lock_order(session, (await visible_order(session, principal, number)).id)
            if order.state is not State.ON_TERMS or await terms_store.find_invoice(session, order.id) is not None:
                raise NotReleasable(f"Order {number} is {order.state.value} and cannot be cancelled here any more.")
            move(session, order, Event.CANCEL, at=now, person_id=principal.person_id)
            move(session, order, Event.REFUNDED, at=now, detail="nothing was owed yet")
            await give_up(session, self.catalog, order, now=now, base_url=self.base_url)
        return order

    async def note_paid_elsewhere(self, principal: Principal, number: str) -> Invoice:
        """Somebody has seen the money come past Stripe: tell Stripe, and write down what it then says.

        :raises OrderUnknown: when there is no such order
        :raises InvoiceNotOpen: when it has no open invoice
        """
        invoice = await self._decide(principal, number, CallStep.PAY_OUT_OF_BAND, {"paid_out_of_band": True})
        await self._patiently(self._follow(invoice.id), invoice)
        await self._patiently(self.settle(invoice.id), invoice)
        async with self.db.reading(for_staff()) as session:
            return await session.get_one(Invoice, invoice.id)

    async def write_off(self, principal: Principal, number: str, *, reason: str) -> Invoice:
        """Row 20: what is due will not come. Money that comes all the same is a case.

        :raises OrderUnknown: when there is no such order
        :raises InvoiceNotOpen: when it has no open invoice
        """
        invoice = await self._decide(principal, number, CallStep.MARK_UNCOLLECTIBLE, {}, write_off=reason)
        await self._patiently(self._follow(invoice.id), invoice)
        async with self.db.reading(for_staff()) as session:
            return await session.get_one(Invoice, invoice.id)

    # --- Stripe's word, and time ---

    async def hear_event(self, kind: str, about: dict[str, Any]) -> tuple[EventOutcome, str]:
        """A webhook of one of `EVENTS` came; *about* is good for the ids in it, for nothing else.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        if kind.startswith("invoice."):
            return await self.hear(str(about.get("id")))
        if kind.startswith(("invoice_payment.", "credit_note.")):
            return await self.hear(str(about.get("invoice")))
        return await self.hear_of_cash(str(about.get("customer")))

    async def hear(self, stripe_invoice_id: str) -> tuple[EventOutcome, str]:
        """A webhook is about an Invoice: look at it and at what was paid on it.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        seen = await self.gateway.retrieve_invoice(stripe_invoice_id)
        if seen is None:
            return EventOutcome.PARKED, f"Stripe has no Invoice {stripe_invoice_id[:80]!r}"
        async with self.db.reading(for_staff()) as session:
            invoice = await terms_store.find_invoice_at_stripe(session, seen.id, seen.reference)
        if invoice is None:
            return EventOutcome.PARKED, f"Invoice {seen.id} ({seen.total}) is of no order we know"
        if invoice.stripe_invoice_id is None:
            return EventOutcome.NOTHING_TO_DO, "its own call is not answered yet"
        await self.settle(invoice.id)
        return EventOutcome.SETTLED, ""

    async def hear_of_cash(self, stripe_customer_id: str) -> tuple[EventOutcome, str]:
        """A webhook is about a company's cash balance: write down what moved, and settle what it may have paid.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        async with self.db.reading(for_staff()) as session:
            customer = await terms_store.find_customer(session, stripe_customer_id)
            invoices = [] if customer is None else await terms_store.list_open_invoices_of(session, customer.company_id)
        if customer is None:
            return EventOutcome.PARKED, f"Customer {stripe_customer_id[:80]!r} is no company we know"
        moves = await self.gateway.list_cash(stripe_customer_id)
        async with self.db.begin(for_company(customer.company_id), CASH) as session:
            for moved in moves:
                if moved.payment_intent_id is None:
                    await self._note_movement(session, customer.company_id, moved)
        for invoice_id in invoices:
            await self.settle(invoice_id)
        return EventOutcome.SETTLED, ""

    async def go_on(self, invoice_id: uuid.UUID) -> None:
        """Finish what a crash or a silence of Stripe's left undone.

        :raises StripeUnavailable: when Stripe can't be asked; a later sweep comes back
        """
        await self._make(invoice_id)
        await self._follow(invoice_id)
        await self.settle(invoice_id)

    async def remind(self) -> None:
        """Write to who is late, once a week each."""
        now = self.clock.now()
        async with self.db.reading(for_staff()) as session:
            late = await terms_store.list_to_remind(session, now=now, again=now - REMIND_AGAIN, limit=SWEEP_BATCH)
        for invoice_id in late:
            async with self.db.begin(for_staff(), REMIND) as session:
                invoice = await terms_store.lock_invoice(session, invoice_id)
                if invoice.state is InvoiceState.OPEN and (
                    invoice.reminded_at is None or invoice.reminded_at < now - REMIND_AGAIN
                ):
                    order = await store.find_order_by_id(session, invoice.order_id)
                    assert order is not None, "an invoice has an order"
                    invoice.reminded_at = now
                    letter = invoice_mail("invoice_overdue", invoice, order, base_url=self.base_url)
                    await queue_mail(session, letter, now=now)

    async def settle(self, invoice_id: uuid.UUID) -> None:
        """Write down what Stripe says came for the invoice, each piece once, and move the order.

        :raises StripeUnavailable: when Stripe can't be asked, or the order moved each time we looked
        """
        for _ in range(RACES_MOST):
            async with self.db.reading(for_staff()) as session:
                invoice = await session.get_one(Invoice, invoice_id)
                read = await store.find_order_by_id(session, invoice.order_id)
            assert read is not None, "an invoice has an order"
            if invoice.stripe_invoice_id is None or invoice.stripe_customer_id is None:
                return
            seen = await self.gateway.retrieve_invoice(invoice.stripe_invoice_id)
            if seen is None:
                log.error("stripe does not know an invoice", order=read.number, invoice=invoice.stripe_invoice_id)
                return
            # In this order: a transfer that an InvoicePayment tells of is among the movements asked for after it
            paid, intents = await self.gateway.list_payments(invoice.stripe_invoice_id)
            moves = await self.gateway.list_cash(invoice.stripe_customer_id)
            async with self.db.begin(for_company(invoice.company_id), SETTLE) as session:
                order = await store.lock_order(session, invoice.order_id)
                if order.version == read.version:
                    locked = await terms_store.lock_invoice(session, invoice_id)
                    await self._apply(session, order, locked, seen, paid, [m for m in moves if _concerns(m, intents)])
                    return
        raise StripeUnavailable("The order is being worked on; we will try again.")

    # --- Making it ---

    async def _write(self, session: AsyncSession, order: Order, *, by: uuid.UUID, now: datetime) -> Invoice:
        """The invoice, its attempt and what is owed, in the release's commit; the goods are sold with it."""
        assert order.net_days is not None, "an order on terms says for how long"
        attempt = PaymentAttempt(
            id=new_id(),
            order_id=order.id,
            company_id=order.company_id,
            kind=AttemptKind.INVOICE,
            amount_minor=order.total_minor,
            currency=order.currency,
            created_at=now,
        )
        session.add(attempt)
        await session.flush()
        invoice = Invoice(
            id=new_id(),
            order_id=order.id,
            company_id=order.company_id,
            attempt_id=attempt.id,
            net_days=order.net_days,
            amount_minor=order.total_minor,
            currency=order.currency,
            released_by=by,
            released_at=now,
        )
        session.add(invoice)
        post(
            session,
            entry_id=invoice.id,
            order=order,
            at=now,
            amounts={
                Account.ACCOUNTS_RECEIVABLE: order.total,
                Account.SALES: -order.goods,
                Account.FREIGHT: -order.freight,
                Account.TAX_PAYABLE: -order.tax,
            },
        )
        held = await store.quantities_in(session, order.id, ReservationState.RESERVED)
        await self.catalog.sell(session, held)
        await store.move_reservations(session, order.id, ReservationState.RESERVED, ReservationState.SOLD, now)
        events.record(session, "payment_started", journey=order.visitor_id, at=now, order=order.number)
        return invoice

    async def _make(self, invoice_id: uuid.UUID) -> None:
        """Send the next call until the invoice has been sent.

        :raises StripeUnavailable: when nobody knows yet what became of one
        """
        async with self.db.reading(for_staff()) as session:
            invoice = await session.get_one(Invoice, invoice_id)
            order = await store.find_order_by_id(session, invoice.order_id)
            company = buyer_company(await session.get_one(Company, invoice.company_id))
        assert order is not None, "an invoice has an order"
        if invoice.state is not InvoiceState.MAKING:
            return
        if invoice.stripe_customer_id is None:
            customer_id = await self.customers.ensure(company, email=order.email)
            if customer_id is None:
                raise StripeUnavailable("The company is not known to the payment provider yet; we will try again.")
            async with self.db.begin(for_company(invoice.company_id), CUSTOMER) as session:
                (await terms_store.lock_invoice(session, invoice_id)).stripe_customer_id = customer_id
        for turn in range(len(MAKING_STEPS) * SENDS_MOST):
            call, search = await self._next_call(invoice)
            if call is None:
                break
            known = await self._search(invoice_id, call) if search else None
            if search and known is None:
                continue  # the next turn asks anew, under another key
            answer = known or await self.gateway.call(
                call.step, msgspec.json.decode(call.request), key=call.idempotency_key
            )
            await self._store_answer(invoice, call, answer)
            if answer.status == 409:
                await asyncio.sleep(CONFLICT_WAIT_SECONDS * (turn + 1))
            elif answer.outcome is not CallOutcome.DONE:
                raise StripeUnavailable(f"The invoice of order {order.number} could not be made; we will try again.")

    async def _next_call(self, invoice: Invoice) -> tuple[StripeCall | None, bool]:
        """The call to send, and whether to look for what it did instead; None when the invoice needs no more."""
        now = self.clock.now()
        async with self.db.begin(for_company(invoice.company_id), STEP) as session:
            order = await store.lock_order(session, invoice.order_id)
            locked = await terms_store.lock_invoice(session, invoice.id)
            calls = await terms_store.list_invoice_calls(session, locked.attempt_id, MAKING_STEPS)
            if locked.state is not InvoiceState.MAKING:
                return None, False
            done = {call.step for call in calls if call.outcome is CallOutcome.DONE}
            step = next((step for step in MAKING_STEPS if step not in done), None)
            if step is None:
                return None, False
            call = next((call for call in reversed(calls) if call.step is step), None)
            if call is not None and call.outcome is CallOutcome.REFUSED:
                return None, False  # a person has to look; `detail` says why
            if call is None:
                call = _call(locked, step, _request(step, locked, order), turn=1, now=now)
                session.add(call)
            search = not begin_sending(call, now)
        return call, search

    async def _search(self, invoice_id: uuid.UUID, call: StripeCall) -> Answer | None:
        """What a call did whose key can't tell any more, as if it had been answered; None when it did nothing, and
        another is written in its place.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        async with self.db.reading(for_staff()) as session:
            invoice = await session.get_one(Invoice, invoice_id)
        assert invoice.stripe_customer_id is not None, "its Customer comes first"
        seen = None
        if invoice.stripe_invoice_id is not None:
            seen = await self.gateway.retrieve_invoice(invoice.stripe_invoice_id)
        elif call.step is CallStep.CREATE_INVOICE:
            listed = await self.gateway.list_invoices_of(invoice.stripe_customer_id)
            seen = next((each for each in listed if each.reference == str(invoice_id)), None)
        if seen is not None and _shows(call.step, seen):
            return Answer(outcome=CallOutcome.DONE, status=None, body=_body(seen), detail="looked up", saved=True)
        now = self.clock.now()
        async with self.db.begin(for_company(invoice.company_id), STEP) as session:
            await terms_store.lock_invoice(session, invoice_id)
            calls = await terms_store.list_invoice_calls(session, invoice.attempt_id, (call.step,))
            if calls[-1].id == call.id:
                request = msgspec.json.decode(call.request)
                session.add(_call(invoice, call.step, request, turn=len(calls) + 1, now=now))
        return None

    async def _store_answer(self, invoice: Invoice, call: StripeCall, answer: Answer) -> None:
        """House rule 3: the answer is committed before anything else is done."""
        now = self.clock.now()
        async with self.db.begin(for_company(invoice.company_id), ANSWER) as session:
            order = await store.lock_order(session, invoice.order_id)
            locked = await terms_store.lock_invoice(session, invoice.id)
            written = await session.get_one(StripeCall, call.id, with_for_update=True)
            if written.outcome is CallOutcome.DONE:
                return  # another worker had the answer first
            write_answer(written, answer, now)
            if answer.outcome is not CallOutcome.DONE:
                locked.detail = answer.detail
                if answer.outcome is CallOutcome.REFUSED:
                    log.error("stripe refused an invoice's call", order=order.number, step=call.step.value)
                return
            if call.step is CallStep.ADD_INVOICE_ITEM:
                return
            try:
                seen = invoice_of(answer.body or {})
            except (msgspec.ValidationError, KeyError, ValueError):
                written.outcome, locked.detail = CallOutcome.UNCERTAIN, "the answer was no Invoice"
                written.answer_status = answer.status or 500
                return
            await self._adopt(session, order, locked, call.step, seen, now)

    async def _adopt(
        self, session: AsyncSession, order: Order, invoice: Invoice, step: CallStep, seen: InvoiceSeen, now: datetime
    ) -> None:
        attempt = await store.lock_attempt(session, invoice.attempt_id)
        invoice.stripe_invoice_id, invoice.detail = seen.id, ""
        if step is CallStep.CREATE_INVOICE:
            return
        invoice.number, invoice.hosted_url, invoice.pdf_url = seen.number, seen.hosted_url, seen.pdf_url
        invoice.due_at = None if seen.due_at is None else datetime.fromtimestamp(seen.due_at, UTC)
        if seen.total != invoice.amount:
            invoice.state, invoice.detail = InvoiceState.UNFIT, f"Stripe's Invoice is over {seen.total}"
            attempt.state, attempt.closed_at, attempt.detail = AttemptState.DEAD, now, invoice.detail
            log.error("stripe invoice does not fit its order", order=order.number, total=str(seen.total))
        elif step is CallStep.SEND_INVOICE:
            invoice.state, invoice.sent_at = InvoiceState.OPEN, now
            attempt.state, attempt.url = AttemptState.LIVE, seen.hosted_url
            await queue_mail(session, invoice_mail("invoice_sent", invoice, order, base_url=self.base_url), now=now)

    # --- What came ---

    async def _apply(
        self,
        session: AsyncSession,
        order: Order,
        invoice: Invoice,
        seen: InvoiceSeen,
        paid: Sequence[PaymentSeen],
        moves: Sequence[CashSeen],
    ) -> None:
        known = {receipt.source for receipt in await terms_store.list_receipts(session, invoice.id)}
        by_transfer: dict[str, Money] = {}
        for moved in moves:
            fresh = await self._note_movement(session, invoice.company_id, moved)
            if moved.payment_intent_id is None:
                continue
            used = by_transfer.get(moved.payment_intent_id, Money.zero(moved.net.currency))
            by_transfer[moved.payment_intent_id] = used - moved.net
            if moved.net.minor > 0 and order.state is not State.ON_TERMS:
                log.error("stripe took a transfer back from a closed order", order=order.number, movement=moved.id)
                continue
            if fresh and moved.id not in known:
                await self._receive(
                    session, order, invoice, seen, ReceiptKind.BANK_TRANSFER, moved.id, -moved.net,
                    moved.payment_intent_id,
                )  # fmt: skip
        for payment in paid:
            intent = payment.payment_intent_id
            amount = payment.amount - by_transfer.get(intent or "", Money.zero(payment.amount.currency))
            if payment.id not in known and amount:
                kind = ReceiptKind.OUT_OF_BAND if intent is None else ReceiptKind.STRIPE
                await self._receive(session, order, invoice, seen, kind, payment.id, amount, intent)
        await self.close_if_nothing_is_due(session, order, invoice)

    async def _note_movement(self, session: AsyncSession, company_id: uuid.UUID, moved: CashSeen) -> bool:
        """Write a movement of a cash balance once; what came into it is the company's until an invoice uses it."""
        fresh = await terms_store.insert_movement(
            session,
            CashMovement(
                id=moved.id,
                company_id=company_id,
                kind=moved.kind,
                net_minor=moved.net.minor,
                currency=moved.net.currency,
                payment_intent_id=moved.payment_intent_id,
                moved_at=datetime.fromtimestamp(moved.moved_at, UTC),
            ),
        )
        if fresh and moved.payment_intent_id is None:
            post(
                session,
                entry_id=uuid.uuid5(company_id, moved.id),
                order=None,
                company_id=company_id,
                at=self.clock.now(),
                amounts={Account.STRIPE_CLEARING: moved.net, Account.CUSTOMER_CASH: -moved.net},
            )
        return fresh

    async def _receive(
        self,
        session: AsyncSession,
        order: Order,
        invoice: Invoice,
        seen: InvoiceSeen,
        kind: ReceiptKind,
        source: str,
        amount: Money,
        payment_intent_id: str | None,
    ) -> None:
        """Rows 19 and 23: what is due of *amount* pays the invoice, the rest is a case."""
        now = self.clock.now()
        misfit = _misfit(order, invoice, seen, amount)
        due = Money.zero(amount.currency) if misfit is not None else min(amount, invoice.due)
        surplus = amount - due
        receipt = InvoiceReceipt(
            id=new_id(),
            invoice_id=invoice.id,
            order_id=order.id,
            company_id=order.company_id,
            source=source,
            kind=kind,
            payment_intent_id=payment_intent_id,
            amount_minor=due.minor,
            surplus_minor=surplus.minor,
            currency=amount.currency,
            received_at=now,
        )
        session.add(receipt)
        invoice.paid_minor += due.minor
        came_by = {
            ReceiptKind.STRIPE: Account.STRIPE_CLEARING,
            ReceiptKind.BANK_TRANSFER: Account.CUSTOMER_CASH,
            ReceiptKind.OUT_OF_BAND: Account.BANK,
        }[kind]
        post(
            session,
            entry_id=receipt.id,
            order=order,
            at=now,
            amounts={came_by: amount, Account.ACCOUNTS_RECEIVABLE: -due, Account.CUSTOMER_LIABILITY: -surplus},
        )
        if due and invoice.due:
            move(session, order, Event.MONEY_IN_PART, at=now, detail=f"{due} of {invoice.amount}")
        if not surplus:
            return
        reason = misfit or LiabilityReason.PAID_TWICE
        detail = (
            f"{amount} came for invoice {invoice.number} of order {order.number} ({order.state.value}): {kind.value}"
        )
        session.add(
            Liability(
                id=new_id(),
                order_id=order.id,
                company_id=order.company_id,
                session_id=source,
                payment_intent_id=payment_intent_id,
                reason=reason,
                detail=detail,
                amount_minor=surplus.minor,
                currency=surplus.currency,
                opened_at=now,
            )
        )
        move(session, order, Event.UNMATCHED_MONEY, at=now, detail=detail)
        log.error("money fits no open invoice", order=order.number, reason=reason.value, detail=detail)

    async def close_if_nothing_is_due(self, session: AsyncSession, order: Order, invoice: Invoice) -> None:
        """The invoice of a locked order is PAID once money and credit notes make its amount; with money, so is the
        order.
        """
        now = self.clock.now()
        if invoice.due or invoice.state not in {InvoiceState.OPEN, InvoiceState.MAKING}:
            return
        invoice.state, invoice.closed_at = InvoiceState.PAID, now
        attempt = await store.lock_attempt(session, invoice.attempt_id)
        attempt.state, attempt.closed_at = AttemptState.SUCCEEDED, now
        if order.state is not State.ON_TERMS:
            return
        move(session, order, Event.MONEY_IN_FULL, at=now)
        order.paid_at = now
        await queue_mail(session, invoice_mail("invoice_paid", invoice, order, base_url=self.base_url), now=now)
        await announce_paid(session, order, now=now, base_url=self.base_url)
        events.record(session, "payment_settled", journey=order.visitor_id, at=now, order=order.number)

    # --- What people decide about an invoice that Stripe has ---

    async def _decide(
        self,
        principal: Principal,
        number: str,
        step: CallStep,
        params: dict[str, Any],
        *,
        write_off: str = "",
    ) -> Invoice:
        now = self.clock.now()
        async with self.db.begin(for_staff(), DECIDE) as session:
            order = await store.lock_order(session, (await visible_order(session, principal, number)).id)
            found = await terms_store.find_invoice(session, order.id)
            if found is None or order.state is not State.ON_TERMS:
                raise InvoiceNotOpen(f"Order {number} has no open invoice: it is {order.state.value}.")
            invoice = await terms_store.lock_invoice(session, found.id)
            if invoice.state is not InvoiceState.OPEN:
                raise InvoiceNotOpen(f"The invoice of order {number} is {invoice.state.value}.")
            calls = await terms_store.list_invoice_calls(session, invoice.attempt_id, AFTERWARDS)
            if not any(call.step is step and call.outcome is not CallOutcome.REFUSED for call in calls):
                request = {"id": invoice.stripe_invoice_id, "params": params}
                session.add(_call(invoice, step, request, turn=len(calls) + 1, now=now))
            if write_off:
                self._post_loss(session, order, invoice, write_off, by=principal.person_id, now=now)
                attempt = await store.lock_attempt(session, invoice.attempt_id)
                attempt.state, attempt.closed_at, attempt.detail = AttemptState.DEAD, now, "written off"
        return invoice

    @staticmethod
    def _post_loss(
        session: AsyncSession, order: Order, invoice: Invoice, reason: str, *, by: uuid.UUID | None, now: datetime
    ) -> None:
        move(session, order, Event.WRITE_OFF, at=now, detail=reason, person_id=by)
        order.closed_at = now
        post(
            session,
            entry_id=uuid.uuid5(invoice.id, "written off"),
            order=order,
            at=now,
            amounts={Account.BAD_DEBT: invoice.due, Account.ACCOUNTS_RECEIVABLE: -invoice.due},
        )
        invoice.state, invoice.closed_at = InvoiceState.UNCOLLECTIBLE, now

    async def _follow(self, invoice_id: uuid.UUID) -> None:
        """Send what was decided about the invoice, as long as its key is good; else look whether it is so already.

        :raises StripeUnavailable: when nobody knows yet
        """
        for _ in range(SENDS_MOST):
            now = self.clock.now()
            async with self.db.reading(for_staff()) as session:
                invoice = await session.get_one(Invoice, invoice_id)
            async with self.db.begin(for_company(invoice.company_id), AFTER) as session:
                await terms_store.lock_invoice(session, invoice_id)
                calls = await terms_store.list_invoice_calls(session, invoice.attempt_id, AFTERWARDS)
                waiting = [call for call in calls if call.outcome not in {CallOutcome.DONE, CallOutcome.REFUSED}]
                if not waiting:
                    return
                call = waiting[0]
                search = not begin_sending(call, now)
            answer = await self._ask_what_became(invoice, call) if search else None
            if answer is None:
                request = msgspec.json.decode(call.request)
                answer = await self.gateway.call(call.step, request, key=call.idempotency_key)
            async with self.db.begin(for_company(invoice.company_id), ANSWERED) as session:
                locked = await terms_store.lock_invoice(session, invoice_id)
                written = await session.get_one(StripeCall, call.id, with_for_update=True)
                write_answer(written, answer, self.clock.now())
                if answer.outcome is CallOutcome.REFUSED:
                    locked.detail = f"{call.step.value}: {answer.detail}"
                    log.error("stripe refused what was decided about an invoice", detail=locked.detail)
            if answer.outcome in {CallOutcome.UNCERTAIN, CallOutcome.THROTTLED}:
                raise StripeUnavailable("The invoice could not be changed at Stripe; we will try again.")

    async def _ask_what_became(self, invoice: Invoice, call: StripeCall) -> Answer | None:
        """The answer of a call whose key is forgotten, as the Invoice itself tells it; None: send it again, which
        Stripe refuses for what has happened already.
        """
        assert invoice.stripe_invoice_id is not None, "it was decided about"
        seen = await self.gateway.retrieve_invoice(invoice.stripe_invoice_id)
        if seen is None or seen.status != _DONE_AS[call.step]:
            return None
        return Answer(outcome=CallOutcome.DONE, status=None, body=None, detail="looked up", saved=True)

    async def _patiently(self, step: Awaitable[None], invoice: Invoice) -> None:
        try:
            await step
        except StripeUnavailable as error:
            log.warning("invoice goes on in the background", invoice=str(invoice.id), reason=error.message)


def _concerns(moved: CashSeen, intents: frozenset[str]) -> bool:
    return moved.payment_intent_id is None or moved.payment_intent_id in intents


def _misfit(order: Order, invoice: Invoice, seen: InvoiceSeen, amount: Money) -> LiabilityReason | None:
    """Why money for an invoice can't pay it, None when it can."""
    if amount.currency != invoice.currency or seen.total.currency != invoice.currency:
        return LiabilityReason.CURRENCY_DIFFERS
    if seen.total != invoice.amount or invoice.state is InvoiceState.UNFIT:
        return LiabilityReason.AMOUNT_DIFFERS
    if order.state is State.ON_TERMS:
        return None
    return LiabilityReason.PAID_TWICE if order.state is State.PAID else LiabilityReason.ORDER_CLOSED


def _shows(step: CallStep, seen: InvoiceSeen) -> bool:
    """Whether the Invoice shows that *step* was done. That it was mailed it never shows: rather twice than never."""
    match step:
        case CallStep.CREATE_INVOICE:
            return True
        case CallStep.ADD_INVOICE_ITEM:
            return seen.items > 0
        case CallStep.FINALIZE_INVOICE:
            return seen.status != "draft"
        case _:
            return False


def _body(seen: InvoiceSeen) -> dict[str, Any]:
    """What was looked up, in the form of the answer it stands for."""
    return {
        "id": seen.id,
        "status": seen.status,
        "total": to_stripe(seen.total),
        "amount_remaining": to_stripe(seen.remaining),
        "currency": seen.total.currency.lower(),
        "created": seen.created_at,
        "lines": {"data": []},
        "number": seen.number,
        "due_date": seen.due_at,
        "hosted_invoice_url": seen.hosted_url,
        "invoice_pdf": seen.pdf_url,
    }


def _call(invoice: Invoice, step: CallStep, request: dict[str, Any], *, turn: int, now: datetime) -> StripeCall:
    return StripeCall(
        id=new_id(),
        attempt_id=invoice.attempt_id,
        company_id=invoice.company_id,
        step=step,
        idempotency_key=f"tarifa-{invoice.id}-{step.value.replace('_', '-')}-{turn}",
        request=msgspec.json.encode(request).decode(),
        created_at=now,
        sent_at=now,
        sent_times=0,
    )


def _request(step: CallStep, invoice: Invoice, order: Order) -> dict[str, Any]:
    """The stored request of a step of making the invoice: `{"id", "params"}`."""
    references = {"invoice_id": str(invoice.id), "order_id": str(order.id), "order_number": order.number}
    spanish = order.locale.startswith("es")
    at = {"id": invoice.stripe_invoice_id}
    match step:
        case CallStep.CREATE_INVOICE:
            params: dict[str, Any] = {
                "customer": invoice.stripe_customer_id,
                "collection_method": "send_invoice",
                "days_until_due": invoice.net_days,
                "currency": invoice.currency.lower(),
                "auto_advance": False,
                "pending_invoice_items_behavior": "exclude",
                "metadata": references,
                "payment_settings": _payment_settings(invoice.currency),
            }
            if order.po_number:
                name = "Su n.º de pedido" if spanish else "PO number"
                params["custom_fields"] = [{"name": name, "value": order.po_number[:CUSTOM_FIELD_LONGEST]}]
            return {"params": params}
        case CallStep.ADD_INVOICE_ITEM:
            # One line for the whole order, so that the Invoice's total is the order's to the cent: see ADR 8
            return {
                "params": {
                    "customer": invoice.stripe_customer_id,
                    "invoice": invoice.stripe_invoice_id,
                    "amount": to_stripe(invoice.amount),
                    "currency": invoice.currency.lower(),
                    "description": f"{'Pedido' if spanish else 'Order'} {order.number}",
                    "metadata": references,
                }
            }
        case CallStep.FINALIZE_INVOICE:
            return at | {"params": {"auto_advance": False}}
        case _:
            return at | {"params": {}}


def _payment_settings(currency: str) -> dict[str, Any]:
    transfer = _TRANSFERS.get(currency)
    if transfer is None:
        return {"payment_method_types": ["card"]}
    return {
        "payment_method_types": ["card", "customer_balance"],
        "payment_method_options": {"customer_balance": {"funding_type": "bank_transfer", "bank_transfer": transfer}},
    }
