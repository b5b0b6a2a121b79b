"""Credit notes: a part or all of an invoice taken back, exactly once: each is a row, its call another, before Stripe
hears of it.

While something is due, a note lessens it; with all of it credited the order is cancelled and its goods return. After an
invoice is paid, a note says what the house pays back itself, and that is owed until the note stands.
"""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from catalog.service import Catalog
from checkout import store, terms_store
from checkout.charging import to_stripe
from checkout.invoice_gateway import CreditNoteSeen, InvoiceGateway, credit_note_of
from checkout.invoice_mails import credit_mail
from checkout.invoicing import Invoices
from checkout.model import Account, CallOutcome, CallStep, Order, StripeCall
from checkout.orders import move, visible_order
from checkout.settlement import give_up, post
from checkout.states import Event, State
from checkout.stripe_calls import CONFLICT_WAIT_SECONDS, SENDS_MOST, begin_sending, next_turn, write_answer
from checkout.stripe_gateway import Answer, StripeUnavailable
from checkout.terms_model import (
    UNFINISHED_CREDIT_NOTE,
    CreditNote,
    CreditNoteState,
    CreditSettles,
    Invoice,
    InvoiceState,
)
from kernel.clock import Clock
from kernel.db import Database, for_company, for_staff
from kernel.errors import Conflict, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail
from kernel.money import Money

NOTE_LONGEST: Final = 500
SEARCH_AFTER: Final = timedelta(minutes=1)
"""What was sent longer ago than this has arrived or never will."""

BEGIN: Final = Failpoint("checkout.credit_note.begin")
RESEND: Final = Failpoint("checkout.credit_note.resend")
ANSWER: Final = Failpoint("checkout.credit_note.answer")

log = structlog.get_logger(__name__)


class NothingToCredit(Conflict):
    problem = "nothing-to-credit"
    title = "There is nothing to credit"


class CreditTooLarge(Refused):
    """`extra["left"]` is how much may be credited, `extra["currency"]` of what."""

    problem = "credit-too-large"
    title = "This is more than may be credited"


class CreditWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for. *amount* None: the order is cancelled and all of its invoice credited. *request_id* is
    the form's own: sent twice, it is one note.
    """

    request_id: uuid.UUID
    note: str
    amount: Money | None = None


class CreditNotes:
    """Every use case is safe to call again: it finds what it did before. Callers have checked who may."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        catalog: Catalog,
        gateway: InvoiceGateway,
        invoices: Invoices,
        *,
        base_url: str,
    ) -> None:
        self.db = db
        self.clock = clock
        self.catalog = catalog
        self.gateway = gateway
        self.invoices = invoices
        self.base_url = base_url

    async def of_order(self, principal: Principal, number: str) -> Sequence[CreditNote]:
        """What was or is being credited of an order, oldest first.

        :raises OrderUnknown: when there is no such order, or it is another company's
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            invoice = await terms_store.find_invoice(session, order.id)
            return () if invoice is None else await terms_store.list_credit_notes(session, invoice.id)

    async def credit(self, principal: Principal, number: str, wish: CreditWish) -> CreditNote:
        """Take a part of an order's invoice back, or all of it with the order, and return how far it has come.

        :raises OrderUnknown: when there is no such order
        :raises NothingToCredit: when it has no invoice that is open or paid; all of one that is paid in part
        :raises CreditTooLarge: when less may be credited than wished, or the wish is not positive
        """
        note = await self._begin(principal, number, wish)
        try:
            await self.go_on(note.id)
        except StripeUnavailable:
            log.warning("credit note goes on in the background", credit_note=str(note.id))
        async with self.db.reading(for_staff()) as session:
            return await session.get_one(CreditNote, note.id)

    async def go_on(self, note_id: uuid.UUID) -> None:
        """Send the stored request under its key as long as Stripe honours that; else look for what it did.

        :raises StripeUnavailable: when Stripe can't be asked; a later sweep comes back
        """
        async with self.db.reading(for_staff()) as session:
            note = await session.get_one(CreditNote, note_id)
        for turn in range(SENDS_MOST):
            now = self.clock.now()
            async with self.db.begin(for_company(note.company_id), RESEND) as session:
                current = await terms_store.lock_credit_note(session, note_id)
                if current.state not in UNFINISHED_CREDIT_NOTE:
                    return
                call = await self._call_of(session, current)
                search = not begin_sending(call, now)
            if search:
                await self._search(current, call)
                return
            answer = await self.gateway.call(call.step, msgspec.json.decode(call.request), key=call.idempotency_key)
            await self._store_answer(current, call, answer)
            if answer.status != 409:
                return
            await asyncio.sleep(CONFLICT_WAIT_SECONDS * (turn + 1))

    async def _begin(self, principal: Principal, number: str, wish: CreditWish) -> CreditNote:
        now = self.clock.now()
        assert principal.person_id is not None, "somebody credits it"
        async with self.db.begin(for_staff(), BEGIN) as session:
            order = await store.lock_order(session, (await visible_order(session, principal, number)).id)
            known = await terms_store.find_credit_note_of_request(session, wish.request_id)
            if known is not None:
                return known
            found = await terms_store.find_invoice(session, order.id)
            if found is None or order.state not in {State.ON_TERMS, State.PAID}:
                raise NothingToCredit(f"Order {number} has no invoice to credit: it is {order.state.value}.")
            invoice = await terms_store.lock_invoice(session, found.id)
            notes = await terms_store.list_credit_notes(session, invoice.id)
            left = parts_to_credit(order, notes)
            whole = sum(left, Money.zero(order.currency))
            amount = _checked(invoice, wish, whole)
            if wish.amount is None:
                move(session, order, Event.CANCEL, at=now, detail=wish.note, person_id=principal.person_id)
            goods, freight, tax = amount.allocate([part.minor for part in left])
            due = bool(invoice.due)
            note = CreditNote(
                id=new_id(),
                request_id=wish.request_id,
                invoice_id=invoice.id,
                order_id=order.id,
                company_id=order.company_id,
                settles=CreditSettles.DUE if due else CreditSettles.OUT_OF_BAND,
                amount_minor=amount.minor,
                goods_minor=goods.minor,
                freight_minor=freight.minor,
                tax_minor=tax.minor,
                currency=amount.currency,
                note=wish.note[:NOTE_LONGEST],
                requested_by=principal.person_id,
                requested_at=now,
            )
            session.add(note)
            if due:
                invoice.credited_minor += amount.minor
            await session.flush()
            session.add(_call(note, invoice, _request(note, invoice, order), turn=1, now=now))
            detail = f"credit note over {amount}: {wish.note}"
            move(session, order, Event.REFUND, at=now, detail=detail, person_id=principal.person_id)
            self._post(session, order, note, entry_id=note.id, sign=1, now=now)
        return note

    @staticmethod
    def _post(
        session: AsyncSession, order: Order, note: CreditNote, *, entry_id: uuid.UUID, sign: int, now: datetime
    ) -> None:
        """What the note takes back of the order's price: nobody owes it any more, or we do. *sign* -1 undoes it."""
        against = Account.ACCOUNTS_RECEIVABLE if note.settles is CreditSettles.DUE else Account.CUSTOMER_LIABILITY
        amounts = {
            Account.SALES: note.goods_minor,
            Account.FREIGHT: note.freight_minor,
            Account.TAX_PAYABLE: note.tax_minor,
            against: -note.amount_minor,
        }
        post(
            session,
            entry_id=entry_id,
            order=order,
            at=now,
            amounts={account: Money(sign * minor, note.currency) for account, minor in amounts.items()},
        )

    async def _search(self, note: CreditNote, call: StripeCall) -> None:
        """Where the key can't tell any more, look for the note among the Invoice's; none there, ask anew.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        now = self.clock.now()
        if now - call.sent_at < SEARCH_AFTER:
            return
        asked = msgspec.json.decode(call.request)["params"]["invoice"]
        for seen in await self.gateway.list_credit_notes_of(asked):
            if seen.reference == str(note.id):
                looked_up = Answer(outcome=CallOutcome.DONE, status=None, body=None, detail="looked up", saved=True)
                await self._store_answer(note, call, looked_up, seen)
                return
        async with self.db.begin(for_company(note.company_id), RESEND) as session:
            current = await terms_store.lock_credit_note(session, note.id)
            last = await self._call_of(session, current)
            if current.state in UNFINISHED_CREDIT_NOTE and last.id == call.id:
                invoice = await session.get_one(Invoice, note.invoice_id)
                turn = next_turn(last)
                session.add(_call(current, invoice, msgspec.json.decode(last.request), turn=turn, now=now))

    async def _store_answer(
        self, note: CreditNote, call: StripeCall, answer: Answer, seen: CreditNoteSeen | None = None
    ) -> None:
        """House rule 3: the answer is committed before anything else is done."""
        now = self.clock.now()
        async with self.db.begin(for_company(note.company_id), ANSWER) as session:
            order = await store.lock_order(session, note.order_id)
            invoice = await terms_store.lock_invoice(session, note.invoice_id)
            stored = await terms_store.lock_credit_note(session, note.id)
            written = await session.get_one(StripeCall, call.id, with_for_update=True)
            write_answer(written, answer, now)
            if stored.state not in UNFINISHED_CREDIT_NOTE:
                return
            if answer.outcome is CallOutcome.DONE:
                try:
                    made = seen or credit_note_of(answer.body or {})
                except (msgspec.ValidationError, ValueError):
                    stored.state, stored.detail = CreditNoteState.UNCERTAIN, "the answer was no Credit Note"
                    written.outcome, written.answer_status = CallOutcome.UNCERTAIN, 500
                    return
                await self._issued(session, order, invoice, stored, made, now)
            elif answer.outcome is CallOutcome.REFUSED:
                self._refused(session, order, invoice, stored, answer.detail, now)
            elif answer.outcome is CallOutcome.UNCERTAIN:
                stored.state, stored.detail = CreditNoteState.UNCERTAIN, answer.detail

    async def _issued(
        self,
        session: AsyncSession,
        order: Order,
        invoice: Invoice,
        note: CreditNote,
        made: CreditNoteSeen,
        now: datetime,
    ) -> None:
        note.state, note.closed_at, note.detail = CreditNoteState.ISSUED, now, ""
        note.stripe_credit_note_id, note.number, note.pdf_url = made.id, made.number, made.pdf_url
        if note.settles is CreditSettles.OUT_OF_BAND:
            post(
                session,
                entry_id=uuid.uuid5(note.id, "paid back"),
                order=order,
                at=now,
                amounts={Account.CUSTOMER_LIABILITY: note.amount, Account.BANK: -note.amount},
            )
        await queue_mail(session, credit_mail(note, invoice, order, base_url=self.base_url), now=now)
        await self.invoices.close_if_nothing_is_due(session, order, invoice)
        if order.state is State.CANCELLING:
            move(session, order, Event.REFUNDED, at=now)
            await give_up(session, self.catalog, order, now=now, base_url=self.base_url)

    def _refused(
        self, session: AsyncSession, order: Order, invoice: Invoice, note: CreditNote, detail: str, now: datetime
    ) -> None:
        """Stripe never made it: what was taken back of the order's price stands again."""
        note.state, note.closed_at, note.detail = CreditNoteState.REFUSED, now, detail
        if note.settles is CreditSettles.DUE:
            invoice.credited_minor -= note.amount_minor
        self._post(session, order, note, entry_id=uuid.uuid5(note.id, "refused"), sign=-1, now=now)
        failed = Event.REFUND_FAILED if order.state is State.CANCELLING else Event.REFUND
        move(session, order, failed, at=now, detail=f"{note.amount} was not credited: {detail}")
        log.error("stripe refused a credit note", order=order.number, detail=detail)

    @staticmethod
    async def _call_of(session: AsyncSession, note: CreditNote) -> StripeCall:
        """The note's last call: it is written with the first."""
        invoice = await session.get_one(Invoice, note.invoice_id)
        calls = await terms_store.list_invoice_calls(session, invoice.attempt_id, (CallStep.CREATE_CREDIT_NOTE,))
        return [call for call in calls if call.idempotency_key.startswith(f"tarifa-{note.id}-")][-1]


def parts_to_credit(order: Order, notes: Sequence[CreditNote]) -> tuple[Money, Money, Money]:
    """Goods, freight and tax of the order that no credit note has taken back."""
    standing = [note for note in notes if note.state is not CreditNoteState.REFUSED]
    return (
        Money(order.goods_minor - sum(note.goods_minor for note in standing), order.currency),
        Money(order.freight_minor - sum(note.freight_minor for note in standing), order.currency),
        Money(order.tax_minor - sum(note.tax_minor for note in standing), order.currency),
    )


def _checked(invoice: Invoice, wish: CreditWish, whole: Money) -> Money:
    """The amount to credit.

    :raises NothingToCredit: when the invoice takes no credit note now
    :raises CreditTooLarge: when it takes less
    """
    if invoice.state not in {InvoiceState.OPEN, InvoiceState.PAID} or not whole:
        raise NothingToCredit(f"The invoice is {invoice.state.value}; nothing of it can be credited.")
    if wish.amount is None:
        if invoice.due and invoice.paid:
            raise NothingToCredit(
                f"{invoice.paid} are paid and {invoice.due} due. Credit what is due first; cancel the order after that."
            )
        return whole
    most = invoice.due or whole
    if wish.amount.currency != whole.currency or not Money.zero(whole.currency) < wish.amount <= most:
        raise CreditTooLarge(
            f"More than nothing and at most {most} can be credited, not {wish.amount}.",
            left=most.decimal,
            currency=most.currency,
        )
    if wish.amount == whole:
        raise CreditTooLarge(
            "This is all of the invoice. Cancel the order instead: its goods return then.",
            left=most.decimal,
            currency=most.currency,
        )
    return wish.amount


def _request(note: CreditNote, invoice: Invoice, order: Order) -> dict[str, Any]:
    amount = to_stripe(note.amount)
    params: dict[str, Any] = {
        "invoice": invoice.stripe_invoice_id,
        "amount": amount,
        "metadata": {"credit_note_id": str(note.id), "order_number": order.number},
    }
    if note.settles is CreditSettles.OUT_OF_BAND:
        params["out_of_band_amount"] = amount
    return {"params": params}


def _call(note: CreditNote, invoice: Invoice, request: dict[str, Any], *, turn: int, now: datetime) -> StripeCall:
    return StripeCall(
        id=new_id(),
        attempt_id=invoice.attempt_id,
        company_id=note.company_id,
        step=CallStep.CREATE_CREDIT_NOTE,
        idempotency_key=f"tarifa-{note.id}-credit-{turn}",
        request=msgspec.json.encode(request).decode(),
        created_at=now,
        sent_at=now,
        sent_times=0,
    )
