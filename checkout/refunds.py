"""Money given back, exactly once: each refund is a row, its call another, before Stripe hears of it.

What a buyer gets back is taken from the order's sales, freight and tax the moment it is promised, and owed until Stripe
has paid it out. A refund that the bank sends back is owed again, as a case for a person. The database refuses more than
was paid, whoever writes.
"""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from catalog.service import Catalog
from checkout import dispute_store, store
from checkout.charging import to_stripe
from checkout.dispute_model import DisputeState
from checkout.mails import refund_mail
from checkout.model import (
    Account,
    CallOutcome,
    CallStep,
    EventOutcome,
    Liability,
    LiabilityReason,
    Order,
    PaymentAttempt,
    Refund,
    RefundReason,
    RefundState,
    StripeCall,
)
from checkout.order_news import announce_refunded
from checkout.orders import move, visible_order
from checkout.parts import parts_left, share_out
from checkout.settlement import give_up, post
from checkout.states import Event, State, may
from checkout.stripe_calls import CONFLICT_WAIT_SECONDS, SENDS_MOST, begin_sending, next_turn, write_answer
from checkout.stripe_gateway import Answer, RefundSeen, StripeGateway, StripeUnavailable, refund_of
from kernel.clock import Clock
from kernel.db import Database, Scope, for_company, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail
from kernel.money import Money

NOTE_LONGEST: Final = 500
SEARCH_AFTER: Final = timedelta(minutes=1)
"""What was sent longer ago than this has arrived or never will."""
AT_STRIPE: Final = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
"""A Refund's status there, as we call it."""
_ORDER: Final = (
    RefundState.NEW,
    RefundState.UNCERTAIN,
    RefundState.PENDING,
    RefundState.SUCCEEDED,
    RefundState.FAILED,
)
"""A refund only moves forward, so that news may come late, twice and in any order."""

BEGIN: Final = Failpoint("checkout.refund.begin")
RESEND: Final = Failpoint("checkout.refund.resend")
ANSWER: Final = Failpoint("checkout.refund.answer")
SETTLE: Final = Failpoint("checkout.refund.settle")

log = structlog.get_logger(__name__)


class NothingToRefund(Conflict):
    problem = "nothing-to-refund"
    title = "There is nothing to give back"


class RefundTooLarge(Refused):
    """`extra["left"]` is how much may still be given back, `extra["currency"]` of what."""

    problem = "refund-too-large"
    title = "This is more than what is left"


class PaymentDisputed(Conflict):
    """The bank decides whose money it is; given back as well, it would be lost twice."""

    problem = "payment-disputed"
    title = "The buyer's bank disputes this payment"


class LiabilityUnknown(NotFound):
    problem = "liability-unknown"
    title = "There is no such case"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for. *amount* None: all that is left. *request_id* is the form's own: sent twice, it is one
    refund.
    """

    request_id: uuid.UUID
    reason: RefundReason
    note: str
    amount: Money | None = None
    cancels: bool = False
    """The order is taken back as a whole: its goods return to stock once the money has gone."""


class Refunds:
    """Every use case is safe to call again: it finds what it did before. Callers have checked who may give back."""

    def __init__(self, db: Database, clock: Clock, catalog: Catalog, gateway: StripeGateway, *, base_url: str) -> None:
        self.db = db
        self.clock = clock
        self.catalog = catalog
        self.gateway = gateway
        self.base_url = base_url

    async def refund(self, principal: Principal, number: str, wish: Wish) -> Refund:
        """Give money of a paid order back, and return how far it has come.

        :raises OrderUnknown: when there is no such order
        :raises NothingToRefund: when it was not paid, or all of it was given back; with *cancels*, when it is not PAID
        :raises PaymentDisputed: while the buyer's bank disputes the payment
        :raises RefundTooLarge: when less is left than wished, or the wish is not positive
        :raises TotalNotChargeable: when Stripe cannot move exactly this amount
        """
        return await self._sent(await self._begin(principal, number, wish))

    async def repay(self, principal: Principal, liability_id: uuid.UUID, *, request_id: uuid.UUID, note: str) -> Refund:
        """Give back money that fits no order, or that a refund failed to give back, and return how far it has come.

        :raises LiabilityUnknown: when there is no such case
        :raises NothingToRefund: when the case is closed or being repaid, or its payment cannot be told
        :raises PaymentDisputed: while the buyer's bank disputes the payment
        """
        return await self._sent(await self._begin_repayment(principal, liability_id, request_id, note))

    async def case_of_no_order(self, liability_id: uuid.UUID) -> Liability | None:
        """Money of an order we do not know; None where there is none of this id, or it is of an order."""
        async with self.db.reading(for_staff()) as session:
            case = await session.get(Liability, liability_id)
            return None if case is None or case.order_id is not None else case

    async def of_order(self, principal: Principal, number: str) -> Sequence[Refund]:
        """What was or is being given back of an order, oldest first.

        :raises OrderUnknown: when there is no such order, or it is another company's
        """
        async with self.db.reading(principal.db_scope()) as session:
            return await store.list_refunds(session, (await visible_order(session, principal, number)).id)

    # --- Stripe's word, and time ---

    async def hear(self, stripe_refund_id: str) -> tuple[EventOutcome, str]:
        """A webhook names a Refund: fetch it and act on what it is now.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        seen = await self.gateway.retrieve_refund(stripe_refund_id)
        if seen is None:
            return EventOutcome.PARKED, f"Stripe has no Refund {stripe_refund_id[:80]!r}"
        async with self.db.reading(for_staff()) as session:
            refund = await store.find_refund(session, seen.id, seen.reference)
        if refund is None:
            return EventOutcome.PARKED, f"Refund {seen.id} ({seen.amount}) was not asked for here"
        await self._settle(refund, seen)
        return EventOutcome.SETTLED, ""

    async def go_on(self, refund_id: uuid.UUID) -> None:
        """Bring an unfinished refund further: send it, look for it, or ask what became of it.

        :raises StripeUnavailable: when Stripe can't be asked; a later sweep comes back
        """
        async with self.db.reading(for_staff()) as session:
            refund = await session.get_one(Refund, refund_id)
        if refund.stripe_refund_id is None:
            await self._send(refund)
            return
        seen = await self.gateway.retrieve_refund(refund.stripe_refund_id)
        if seen is None:
            log.error("stripe does not know a refund", refund=str(refund_id), stripe_refund_id=refund.stripe_refund_id)
            return
        await self._settle(refund, seen)

    # --- A refund and its call ---

    async def _begin(self, principal: Principal, number: str, wish: Wish) -> Refund:
        now = self.clock.now()
        async with self.db.begin(for_staff(), BEGIN) as session:
            order = await store.lock_order(session, (await visible_order(session, principal, number)).id)
            known = await store.find_refund_of_request(session, wish.request_id)
            if known is not None:
                return known
            refunds = await store.list_refunds(session, order.id)
            left = parts_left(order, refunds, await dispute_store.list_of_order(session, order.id))
            whole = sum(left, Money.zero(order.currency))
            attempt = await store.find_paying_attempt(session, order.id)
            if attempt is not None:
                await _refuse_disputed(session, attempt_id=attempt.id)
            if attempt is None or not whole:
                raise NothingToRefund(f"Nothing of order {number} is left to give back: it is {order.state.value}.")
            if wish.cancels and order.state is not State.PAID:
                raise NothingToRefund(
                    f"Order {number} is {order.state.value}; only a paid order is cancelled this way."
                )
            amount = whole if wish.cancels or wish.amount is None else wish.amount
            if amount.currency != order.currency or not Money.zero(order.currency) < amount <= whole:
                raise RefundTooLarge(
                    f"More than nothing and at most {whole} can be given back of order {number}, not {amount}.",
                    left=whole.decimal,
                    currency=whole.currency,
                )
            if wish.cancels:
                move(session, order, Event.CANCEL, at=now, detail=wish.note, person_id=principal.person_id)
            goods, freight, tax = amount.allocate([part.minor for part in left])
            refund = await self._write(
                session, principal, order, attempt, payment_intent_id=attempt.payment_intent_id, amount=amount,
                reason=wish.reason, note=wish.note, request_id=wish.request_id, parts=(goods, freight, tax),
            )  # fmt: skip
            post(
                session,
                entry_id=refund.id,
                order=order,
                at=now,
                amounts={
                    Account.SALES: goods,
                    Account.FREIGHT: freight,
                    Account.TAX_PAYABLE: tax,
                    Account.CUSTOMER_LIABILITY: -amount,
                },
            )
        return refund

    async def _begin_repayment(
        self, principal: Principal, liability_id: uuid.UUID, request_id: uuid.UUID, note: str
    ) -> Refund:
        async with self.db.begin(for_staff(), BEGIN) as session:
            case = await session.get(Liability, liability_id)
            if case is None:
                raise LiabilityUnknown("There is no such case.")
            order = None if case.order_id is None else await store.lock_order(session, case.order_id)
            known = await store.find_refund_of_request(session, request_id)
            if known is not None:
                return known
            locked = await store.lock_liability(session, liability_id)
            assert locked is not None, "cases are never deleted"
            refunds = await store.list_refunds_of_case(session, locked.id)
            if locked.resolved_at is not None or any(_counts(each) for each in refunds):
                raise NothingToRefund("This case is closed, or its money is on its way back.")
            attempt = None if order is None else await store.find_attempt_of_session(session, locked.session_id, None)
            intent_id = locked.payment_intent_id if attempt is None else attempt.payment_intent_id
            if intent_id is None or (attempt is None and order is not None):
                raise NothingToRefund("The payment of this case is not ours. Give it back in Stripe's dashboard.")
            if attempt is None:
                await _refuse_disputed(session, liability_id=locked.id)
            else:
                await _refuse_disputed(session, attempt_id=attempt.id)
            nothing = Money.zero(locked.currency)
            return await self._write(
                session, principal, order, attempt, payment_intent_id=intent_id, amount=locked.owed,
                reason=RefundReason.PAID_IN_ERROR, note=note, request_id=request_id,
                parts=(nothing, nothing, nothing), liability_id=locked.id,
            )  # fmt: skip

    async def _write(
        self,
        session: AsyncSession,
        principal: Principal,
        order: Order | None,
        attempt: PaymentAttempt | None,
        *,
        payment_intent_id: str | None,
        amount: Money,
        reason: RefundReason,
        note: str,
        request_id: uuid.UUID,
        parts: tuple[Money, Money, Money],
        liability_id: uuid.UUID | None = None,
    ) -> Refund:
        """Write the refund and its first call; nothing is sent yet."""
        now = self.clock.now()
        assert principal.person_id is not None, "a refund is asked for by somebody"
        goods, freight, tax = parts
        refund = Refund(
            id=new_id(),
            request_id=request_id,
            order_id=None if order is None else order.id,
            company_id=None if order is None else order.company_id,
            attempt_id=None if attempt is None else attempt.id,
            liability_id=liability_id,
            amount_minor=amount.minor,
            goods_minor=goods.minor,
            freight_minor=freight.minor,
            tax_minor=tax.minor,
            currency=amount.currency,
            reason=reason,
            note=note[:NOTE_LONGEST],
            requested_by=principal.person_id,
            requested_at=now,
        )
        session.add(refund)
        await session.flush()
        named = {} if order is None else {"order_number": order.number}
        asked = {
            "payment_intent": payment_intent_id,
            "amount": to_stripe(amount),
            "metadata": {"refund_id": str(refund.id), **named},
        }
        session.add(_call(refund, msgspec.json.encode(asked).decode(), turn=1, now=now))
        if order is not None:
            detail = f"{amount}: {reason.value.replace('_', ' ')}"
            move(session, order, Event.REFUND, at=now, detail=detail, person_id=principal.person_id)
        return refund

    async def _sent(self, refund: Refund) -> Refund:
        try:
            await self._send(refund)
        except StripeUnavailable:
            log.warning("refund goes on in the background", refund=str(refund.id))
        async with self.db.reading(for_staff()) as session:
            return await session.get_one(Refund, refund.id)

    async def _send(self, refund: Refund) -> None:
        """Send the stored request under its key as long as Stripe honours that; else look for what it did.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        for turn in range(SENDS_MOST):
            now = self.clock.now()
            async with self.db.begin(_scope(refund), RESEND) as session:
                current = await store.lock_refund(session, refund.id)
                if current.state not in {RefundState.NEW, RefundState.UNCERTAIN}:
                    return
                call = await store.find_refund_call(session, refund.id)
                search = not begin_sending(call, now)
            if search:
                await self._search(current, call)
                return
            answer = await self.gateway.create_refund(msgspec.json.decode(call.request), key=call.idempotency_key)
            await self._store_answer(current, call.id, answer)
            if answer.status != 409:
                return
            await asyncio.sleep(CONFLICT_WAIT_SECONDS * (turn + 1))  # sent twice at once: the other one has it

    async def _search(self, refund: Refund, call: StripeCall) -> None:
        """Where the key can't tell any more, look for our Refund among the payment's; none there, ask anew.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        now = self.clock.now()
        if now - call.sent_at < SEARCH_AFTER:
            return
        request = msgspec.json.decode(call.request)
        for seen in await self.gateway.list_refunds_of(request["payment_intent"]):
            if seen.reference == str(refund.id):
                await self._settle(refund, seen)
                return
        async with self.db.begin(_scope(refund), RESEND) as session:
            current = await store.lock_refund(session, refund.id)
            last = await store.find_refund_call(session, refund.id)
            if current.state in {RefundState.NEW, RefundState.UNCERTAIN} and last.id == call.id:
                turn = next_turn(last)
                session.add(_call(current, last.request, turn=turn, now=now))

    async def _store_answer(self, refund: Refund, call_id: uuid.UUID, answer: Answer) -> None:
        """House rule 3: the answer is committed before anything else is done."""
        now = self.clock.now()
        async with self.db.begin(_scope(refund), ANSWER) as session:
            order = await _lock_order(session, refund)
            stored = await store.lock_refund(session, refund.id)
            written = await session.get_one(StripeCall, call_id, with_for_update=True)
            write_answer(written, answer, now)
            if stored.state not in {RefundState.NEW, RefundState.UNCERTAIN}:
                return  # its webhook was here first
            if answer.outcome is CallOutcome.DONE:
                try:
                    seen = refund_of(answer.body or {})
                except (msgspec.ValidationError, ValueError):
                    stored.state, stored.detail = RefundState.UNCERTAIN, "the answer was no Refund"
                    return
                await self._apply(session, order, stored, seen, now)
            elif answer.outcome is CallOutcome.REFUSED:
                await self._refuse(session, order, stored, answer.detail, now)
            elif answer.outcome is CallOutcome.UNCERTAIN:
                stored.state, stored.detail = RefundState.UNCERTAIN, answer.detail

    # --- What becomes of it ---

    async def _settle(self, refund: Refund, seen: RefundSeen) -> None:
        async with self.db.begin(_scope(refund), SETTLE) as session:
            order = await _lock_order(session, refund)
            await self._apply(session, order, await store.lock_refund(session, refund.id), seen, self.clock.now())

    async def _apply(
        self, session: AsyncSession, order: Order | None, refund: Refund, seen: RefundSeen, now: datetime
    ) -> None:
        """Move a locked refund to what Stripe says; what we know already changes nothing."""
        if seen.amount != refund.amount or seen.status not in AT_STRIPE:
            refund.detail = f"Stripe's {seen.id} is {seen.status} over {seen.amount}"
            log.error("stripe refund does not fit ours", refund=str(refund.id), detail=refund.detail)
            return
        before, after = refund.state, AT_STRIPE[seen.status]
        if before is RefundState.REFUSED or _ORDER.index(after) <= _ORDER.index(before):
            return
        refund.stripe_refund_id, refund.state, refund.detail = seen.id, after, seen.failure or ""
        if after is RefundState.PENDING:
            return
        refund.closed_at = now
        if after is RefundState.SUCCEEDED:
            await self._paid_out(session, order, refund, now)
        else:
            await self._came_back(session, order, refund, before, now)
        if order is not None:
            await self.finish_cancellation(session, order, now)

    async def _paid_out(self, session: AsyncSession, order: Order | None, refund: Refund, now: datetime) -> None:
        post(
            session,
            entry_id=uuid.uuid5(refund.id, "paid out"),
            order=order,
            at=now,
            amounts={Account.CUSTOMER_LIABILITY: refund.amount, Account.STRIPE_CLEARING: -refund.amount},
        )
        if refund.liability_id is not None:
            case = await store.lock_liability(session, refund.liability_id)
            assert case is not None, "cases are never deleted"
            case.resolved_at, case.resolved_by, case.resolution = now, refund.requested_by, "refunded"
        if order is not None:
            await queue_mail(session, refund_mail(refund, order, base_url=self.base_url), now=now)
            await announce_refunded(session, order, refund, now=now, base_url=self.base_url)

    async def _came_back(
        self, session: AsyncSession, order: Order | None, refund: Refund, before: RefundState, now: datetime
    ) -> None:
        """The money is owed again, and a person decides how it is given back."""
        if before is RefundState.SUCCEEDED:
            post(
                session,
                entry_id=uuid.uuid5(refund.id, "came back"),
                order=order,
                at=now,
                amounts={Account.STRIPE_CLEARING: refund.amount, Account.CUSTOMER_LIABILITY: -refund.amount},
            )
        of = "of no order we know" if order is None else f"for order {order.number}"
        detail = f"refund of {refund.amount} {of} failed: {refund.detail or 'no reason given'}"
        if refund.liability_id is not None:
            case = await store.lock_liability(session, refund.liability_id)
            assert case is not None, "cases are never deleted"
            case.resolved_at, case.resolved_by, case.resolution = None, None, ""
        else:
            assert order is not None, "only a case's money can be of no order"
            attempt = await session.get_one(PaymentAttempt, refund.attempt_id)
            assert attempt.session_id is not None, "a paid attempt has a Session"
            session.add(
                Liability(
                    id=new_id(),
                    order_id=order.id,
                    company_id=order.company_id,
                    session_id=attempt.session_id,
                    payment_intent_id=attempt.payment_intent_id,
                    refund_id=refund.id,
                    reason=LiabilityReason.REFUND_FAILED,
                    detail=detail,
                    amount_minor=refund.amount_minor,
                    currency=refund.currency,
                    opened_at=now,
                )
            )
        _note_failure(session, order, detail, now)
        await share_out(session, order, refund.attempt_id, refund.liability_id, now=now)
        log.error("a refund failed", refund=str(refund.id), detail=detail)

    async def _refuse(
        self, session: AsyncSession, order: Order | None, refund: Refund, detail: str, now: datetime
    ) -> None:
        """Stripe never made it: what was taken back of the order's price stands again."""
        refund.state, refund.closed_at, refund.detail = RefundState.REFUSED, now, detail
        if refund.liability_id is None:
            parts = {
                Account.SALES: -refund.goods_minor,
                Account.FREIGHT: -refund.freight_minor,
                Account.TAX_PAYABLE: -refund.tax_minor,
                Account.CUSTOMER_LIABILITY: refund.amount_minor,
            }
            post(
                session,
                entry_id=uuid.uuid5(refund.id, "refused"),
                order=order,
                at=now,
                amounts={account: Money(minor, refund.currency) for account, minor in parts.items()},
            )
        _note_failure(session, order, f"{refund.amount} was refused by Stripe: {detail}", now)
        await share_out(session, order, refund.attempt_id, refund.liability_id, now=now)
        log.error("stripe refused a refund", refund=str(refund.id), detail=detail)

    async def finish_cancellation(self, session: AsyncSession, order: Order, now: datetime) -> None:
        """Row 22: once all of an order's money is back, its goods are. The order is locked."""
        if order.state is not State.CANCELLING:
            return
        await session.flush()
        refunds = await store.list_refunds(session, order.id)
        if any(parts_left(order, refunds, await dispute_store.list_of_order(session, order.id))):
            return
        own = [refund for refund in refunds if refund.liability_id is None and refund.state is not RefundState.REFUSED]
        for refund in own:
            if refund.state is RefundState.SUCCEEDED:
                continue
            case = await store.find_case_of_refund(session, refund.id)
            if case is None or case.resolved_at is None:
                return
        move(session, order, Event.REFUNDED, at=now)
        await give_up(session, self.catalog, order, now=now, base_url=self.base_url)


def _note_failure(session: AsyncSession, order: Order | None, detail: str, now: datetime) -> None:
    if order is not None:
        failed = Event.REFUND_FAILED if may(order.state, Event.REFUND_FAILED) else Event.REFUND
        move(session, order, failed, at=now, detail=detail)


async def _refuse_disputed(
    session: AsyncSession, *, attempt_id: uuid.UUID | None = None, liability_id: uuid.UUID | None = None
) -> None:
    """:raises PaymentDisputed: while the bank has the say"""
    disputes = await dispute_store.list_of_payment(session, attempt_id=attempt_id, liability_id=liability_id)
    if any(dispute.state is DisputeState.OPEN for dispute in disputes):
        raise PaymentDisputed(
            "The buyer's bank disputes this payment and may give the money back itself. Answer the dispute, or "
            "concede it, at the desk under Disputes; given back as well, it would be lost twice."
        )


async def _lock_order(session: AsyncSession, refund: Refund) -> Order | None:
    """The refund's order, or None; what stands for it is locked then: its case."""
    if refund.order_id is not None:
        return await store.lock_order(session, refund.order_id)
    assert refund.liability_id is not None, "a refund is of an order or of a case"
    await store.lock_liability(session, refund.liability_id)
    return None


def _scope(refund: Refund) -> Scope:
    return for_staff() if refund.company_id is None else for_company(refund.company_id)


def _counts(refund: Refund) -> bool:
    return refund.state not in {RefundState.FAILED, RefundState.REFUSED}


def _call(refund: Refund, request: str, *, turn: int, now: datetime) -> StripeCall:
    return StripeCall(
        id=new_id(),
        attempt_id=refund.attempt_id,
        company_id=refund.company_id,
        refund_id=refund.id,
        step=CallStep.CREATE_REFUND,
        idempotency_key=f"tarifa-{refund.id}-refund-{turn}",
        request=request,
        created_at=now,
        sent_at=now,
        sent_times=0,
    )
