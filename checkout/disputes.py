"""What a buyer's bank takes back or asks about: Stripe's word on it, our answer to it, and what it does to the books.

A dispute moves no order: it is an axis of its own. It is always fetched as it is now, never read from an event's body.
Evidence is sent, or the dispute conceded, by calls that are rows before Stripe hears of them, like every other.
"""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.principal import Principal
from accounts.store import MerchantMissing, find_merchant
from checkout import dispute_store, store
from checkout.dispute_mails import dispute_alarm
from checkout.dispute_model import UNDECIDED, Dispute, DisputeEvent, DisputeEventKind, DisputeState
from checkout.model import Account, CallOutcome, CallStep, EventOutcome, Liability, Order, PaymentAttempt, StripeCall
from checkout.orders import move, visible_order
from checkout.parts import note, share_out
from checkout.refunds import Refunds
from checkout.settlement import post
from checkout.states import Event
from checkout.stripe_calls import CONFLICT_WAIT_SECONDS, SENDS_MOST, begin_sending, write_answer
from checkout.stripe_gateway import Answer, DisputeSeen, StripeGateway, StripeUnavailable, dispute_of
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import queue_mail

ASK_EVERY: Final = timedelta(hours=1)
"""How often Stripe is asked about a dispute that is not decided: its event may be lost."""
RACES_MOST: Final = 5
LISTED_MOST: Final = 200
AT_STRIPE: Final = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.CLOSED,
    "prevented": DisputeState.CLOSED,
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "appeal_needs_response": DisputeState.OPEN,
    "appeal_under_review": DisputeState.OPEN,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
}
"""A dispute's status there, as we call it."""
ANSWERABLE: Final = frozenset({"needs_response", "warning_needs_response"})
"""While Stripe waits for our answer."""

SETTLE: Final = Failpoint("checkout.dispute.settle")
BEGIN: Final = Failpoint("checkout.dispute.begin")
RESEND: Final = Failpoint("checkout.dispute.resend")
ANSWER: Final = Failpoint("checkout.dispute.answer")

log = structlog.get_logger(__name__)


class DisputeUnknown(NotFound):
    problem = "dispute-unknown"
    title = "There is no such dispute"


class DisputeNotAnswerable(Conflict):
    problem = "dispute-not-answerable"
    title = "This dispute cannot be answered any more"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What we tell the bank, by Stripe's names. What is empty is left out."""

    product_description: str = ""
    customer_name: str = ""
    customer_email_address: str = ""
    shipping_address: str = ""
    shipping_carrier: str = ""
    shipping_date: str = ""
    shipping_tracking_number: str = ""
    service_date: str = ""
    refund_policy_disclosure: str = ""
    uncategorized_text: str = ""


class DisputeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute with what it is of. *order* and *attempt* are None for money of an order we do not know."""

    dispute: Dispute
    order: Order | None
    attempt: PaymentAttempt | None
    history: Sequence[DisputeEvent]
    calls: Sequence[StripeCall]

    @property
    def answerable(self) -> bool:
        """Whether Stripe waits for our answer and none is on its way."""
        return self.dispute.stripe_status in ANSWERABLE and not any(_unfinished(call) for call in self.calls)


class Disputes:
    """Callers have checked that staff asks, but for what buyers are told of their own orders."""

    def __init__(self, db: Database, clock: Clock, gateway: StripeGateway, refunds: Refunds, *, base_url: str) -> None:
        self.db = db
        self.clock = clock
        self.gateway = gateway
        self.refunds = refunds
        self.base_url = base_url

    # --- The desk ---

    async def list_undecided(self) -> list[tuple[Dispute, str | None]]:
        """With their orders' numbers; whose evidence is due soonest stands first."""
        async with self.db.reading(for_staff()) as session:
            return await dispute_store.list_listed(session, decided=False, limit=LISTED_MOST)

    async def list_decided(self) -> list[tuple[Dispute, str | None]]:
        """With their orders' numbers, newest first."""
        async with self.db.reading(for_staff()) as session:
            return await dispute_store.list_listed(session, decided=True, limit=LISTED_MOST)

    async def lost_of_order(self, principal: Principal, number: str) -> list[Dispute]:
        """What the buyer's bank has given back of an order for good, oldest first.

        :raises OrderUnknown: when there is no such order, or it is another company's
        """
        async with self.db.reading(principal.db_scope()) as session:
            order = await visible_order(session, principal, number)
            found = await dispute_store.list_of_order(session, order.id)
        return [dispute for dispute in found if dispute.state is DisputeState.LOST]

    async def open(self, dispute_id: uuid.UUID) -> DisputeFile:
        """:raises DisputeUnknown: when there is none of this id"""
        async with self.db.reading(for_staff()) as session:
            dispute = await session.get(Dispute, dispute_id)
            if dispute is None:
                raise DisputeUnknown("There is no such dispute.")
            order = None if dispute.order_id is None else await store.find_order_by_id(session, dispute.order_id)
            return DisputeFile(
                dispute=dispute,
                order=order,
                attempt=None
                if dispute.attempt_id is None
                else await session.get_one(PaymentAttempt, dispute.attempt_id),
                history=await dispute_store.list_history(session, dispute_id),
                calls=await dispute_store.list_calls(session, dispute_id),
            )

    async def submit_evidence(self, principal: Principal, dispute_id: uuid.UUID, evidence: Evidence) -> Dispute:
        """Send evidence to the bank, once: what is sent cannot be changed. Returns how far it has come.

        :raises DisputeUnknown: when there is none of this id
        :raises DisputeNotAnswerable: when it is decided, or was answered
        """
        asked = {"evidence": msgspec.to_builtins(evidence), "submit": True}
        return await self._sent(await self._begin(principal, dispute_id, CallStep.SUBMIT_EVIDENCE, asked))

    async def concede(self, principal: Principal, dispute_id: uuid.UUID) -> Dispute:
        """Tell the bank that the buyer is right: the dispute is lost at once. Returns how far it has come.

        :raises DisputeUnknown: when there is none of this id
        :raises DisputeNotAnswerable: when it is decided, or was answered
        """
        return await self._sent(await self._begin(principal, dispute_id, CallStep.CLOSE_DISPUTE, {}))

    # --- Stripe's word, and time ---

    async def hear(self, stripe_dispute_id: str) -> tuple[EventOutcome, str]:
        """Somebody names a dispute: fetch it and act on what it is now.

        :raises StripeUnavailable: when Stripe can't be asked, its payment is not settled here yet, or others were
            always faster
        """
        for _ in range(RACES_MOST):
            async with self.db.reading(for_staff()) as session:
                read = await dispute_store.find(session, stripe_dispute_id)
            seen = await self.gateway.retrieve_dispute(stripe_dispute_id)
            if seen is None:
                return EventOutcome.PARKED, f"Stripe has no dispute {stripe_dispute_id[:80]!r}"
            heard = await self._settle(seen, None if read is None else read.version)
            if heard is not None:
                return heard
        raise StripeUnavailable("The dispute is being worked on; we will try again.")

    async def go_on(self, dispute_id: uuid.UUID) -> None:
        """Bring what was sent of a dispute to its end.

        :raises StripeUnavailable: when Stripe can't be asked; a later sweep comes back
        """
        async with self.db.reading(for_staff()) as session:
            dispute = await session.get_one(Dispute, dispute_id)
        await self._send(dispute)

    # --- What becomes of it ---

    async def _settle(self, seen: DisputeSeen, version: int | None) -> tuple[EventOutcome, str] | None:
        """None when the dispute moved since *version* of it was read, so that *seen* may be old."""
        async with self.db.begin(for_staff(), SETTLE) as session:
            attempt = await dispute_store.find_attempt(session, seen.payment_intent_id, seen.reference)
            case = None
            if attempt is None:
                case = await dispute_store.find_case_of_unknown(session, seen.payment_intent_id)
                if case is None:
                    return EventOutcome.PARKED, f"Dispute {seen.id} ({seen.amount}) is of no payment we know"
            elif not dispute_store.succeeded(attempt):
                raise StripeUnavailable(f"The payment that dispute {seen.id} is of is not settled here yet.")
            order = None
            if attempt is not None:
                order = await store.lock_order(session, attempt.order_id)
            elif case is not None:
                await store.lock_liability(session, case.id)
            stored = await dispute_store.lock(session, seen.id)
            if (None if stored is None else stored.version) != version:
                return None
            await self.apply(session, order, attempt, case, stored, seen, self.clock.now())
        return EventOutcome.SETTLED, ""

    async def apply(
        self,
        session: AsyncSession,
        order: Order | None,
        attempt: PaymentAttempt | None,
        case: Liability | None,
        stored: Dispute | None,
        seen: DisputeSeen,
        now: datetime,
    ) -> None:
        """Bring a locked dispute, or a new one, to what Stripe says; what we know already changes nothing."""
        state = AT_STRIPE.get(seen.status)
        if state is None:
            log.error("stripe has a new status for disputes", stripe_dispute_id=seen.id, status=seen.status)
            state = DisputeState.OPEN
        if stored is None:
            dispute = _begun(order, attempt, case, seen, state, now)
            session.add(dispute)
        else:
            dispute = stored
            dispute.asked_at = now
            if _shape(dispute) == _shape_seen(seen):
                return
        before = None if stored is None else stored.state
        taken, fee = seen.withdrawn - dispute.withdrawn, seen.fee - dispute.fee
        dispute.state, dispute.stripe_status, dispute.reason = state, seen.status, seen.reason
        dispute.amount_minor, dispute.withdrawn_minor = seen.amount.minor, seen.withdrawn.minor
        dispute.fee_minor, dispute.due_by, dispute.submissions = seen.fee.minor, seen.due_by, seen.submissions
        dispute.closed_at = None if state in UNDECIDED else dispute.closed_at or now
        note(session, dispute, DisputeEventKind.HEARD if stored is None else DisputeEventKind.CHANGED, at=now)
        await session.flush()
        for what, moved, account in (("taken", taken, Account.DISPUTED), ("fee", fee, Account.DISPUTE_FEES)):
            post(
                session,
                entry_id=uuid.uuid5(dispute.id, f"{what} {dispute.version}"),
                order=order,
                at=now,
                amounts={account: moved, Account.STRIPE_CLEARING: -moved},
            )
        await share_out(session, order, dispute.attempt_id, dispute.liability_id, now=now)
        if order is not None and before is not state:
            told = f"{dispute.amount}, {dispute.reason.replace('_', ' ')}: {state.value}"
            move(session, order, Event.DISPUTE, at=now, detail=told)
            await self.refunds.finish_cancellation(session, order, now)
        if stored is None:
            await self._alarm(session, dispute, order, now)

    async def _alarm(self, session: AsyncSession, dispute: Dispute, order: Order | None, now: datetime) -> None:
        log.error("a payment is disputed", dispute=str(dispute.id), amount=str(dispute.amount))
        try:
            merchant = await find_merchant(session)
        except MerchantMissing:
            return
        number = None if order is None else order.number
        letter = dispute_alarm(dispute, number, to=merchant.email, base_url=self.base_url)
        await queue_mail(session, letter, now=now)

    # --- An answer and its call ---

    async def _begin(
        self, principal: Principal, dispute_id: uuid.UUID, step: CallStep, asked: dict[str, Any]
    ) -> Dispute:
        now = self.clock.now()
        async with self.db.begin(for_staff(), BEGIN) as session:
            dispute = await self._lock(session, dispute_id)
            calls = await dispute_store.list_calls(session, dispute_id)
            if any(call.step is step and call.request == _text(asked) and call.outcome is None for call in calls):
                return dispute  # the same form, sent twice
            if dispute.stripe_status not in ANSWERABLE or any(_unfinished(call) for call in calls):
                raise DisputeNotAnswerable(
                    f"This dispute is {dispute.stripe_status.replace('_', ' ')}, or its answer is on its way."
                )
            session.add(_call(dispute, step, _text(asked), turn=len(calls) + 1, now=now))
            sent = DisputeEventKind.EVIDENCE if step is CallStep.SUBMIT_EVIDENCE else DisputeEventKind.CONCESSION
            note(session, dispute, sent, at=now, person_id=principal.person_id)
        return dispute

    async def _sent(self, dispute: Dispute) -> Dispute:
        try:
            await self._send(dispute)
        except StripeUnavailable:
            log.warning("the answer to a dispute goes on in the background", dispute=str(dispute.id))
        async with self.db.reading(for_staff()) as session:
            return await session.get_one(Dispute, dispute.id)

    async def _send(self, dispute: Dispute) -> None:
        """Send the stored request under its key as long as Stripe honours that; else see what it did.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        for turn in range(SENDS_MOST):
            now = self.clock.now()
            async with self.db.begin(for_staff(), RESEND) as session:
                await self._lock(session, dispute.id)
                calls = await dispute_store.list_calls(session, dispute.id)
                call = calls[-1] if calls else None
                if call is None or not _unfinished(call):
                    return
                search = not begin_sending(call, now)
            if search:
                await self._search(dispute, call)
                return
            answer = await self._ask(dispute, call)
            await self._store_answer(dispute, call.id, answer)
            if answer.status != 409:
                return
            await asyncio.sleep(CONFLICT_WAIT_SECONDS * (turn + 1))  # sent twice at once: the other one has it

    async def _ask(self, dispute: Dispute, call: StripeCall) -> Answer:
        if call.step is CallStep.CLOSE_DISPUTE:
            return await self.gateway.close_dispute(dispute.stripe_dispute_id, key=call.idempotency_key)
        request = msgspec.json.decode(call.request)
        return await self.gateway.update_dispute(dispute.stripe_dispute_id, request, key=call.idempotency_key)

    async def _search(self, dispute: Dispute, call: StripeCall) -> None:
        """Where the key can't tell any more, the dispute itself does: it waits for an answer, or it doesn't.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        await self.hear(dispute.stripe_dispute_id)
        now = self.clock.now()
        async with self.db.begin(for_staff(), RESEND) as session:
            current = await self._lock(session, dispute.id)
            calls = await dispute_store.list_calls(session, dispute.id)
            if calls[-1].id != call.id:
                return
            calls[-1].answered_at = now
            if current.stripe_status in ANSWERABLE:
                calls[-1].outcome = CallOutcome.REFUSED  # it never arrived
                session.add(_call(current, call.step, call.request, turn=len(calls) + 1, now=now))
            else:
                calls[-1].outcome = CallOutcome.DONE

    async def _store_answer(self, dispute: Dispute, call_id: uuid.UUID, answer: Answer) -> None:
        """House rule 3: the answer is committed before anything else is done."""
        now = self.clock.now()
        async with self.db.begin(for_staff(), ANSWER) as session:
            order = None
            if dispute.order_id is not None:
                order = await store.lock_order(session, dispute.order_id)
            stored = await self._lock(session, dispute.id)
            written = await session.get_one(StripeCall, call_id, with_for_update=True)
            if written.outcome in {CallOutcome.DONE, CallOutcome.REFUSED}:
                return
            write_answer(written, answer, now)
            if answer.outcome is CallOutcome.REFUSED:
                note(session, stored, DisputeEventKind.REFUSED, at=now, detail=answer.detail)
                log.error("stripe refused an answer to a dispute", dispute=str(stored.id), detail=answer.detail)
            elif answer.outcome is CallOutcome.DONE and stored.version == dispute.version:
                try:
                    seen = dispute_of(answer.body or {})
                except (msgspec.ValidationError, ValueError):
                    log.exception("stripe's answer was no dispute", dispute=str(stored.id))
                    return
                attempt = (
                    None if stored.attempt_id is None else await session.get_one(PaymentAttempt, stored.attempt_id)
                )
                await self.apply(session, order, attempt, None, stored, seen, now)

    @staticmethod
    async def _lock(session: AsyncSession, dispute_id: uuid.UUID) -> Dispute:
        """:raises DisputeUnknown: when there is none of this id"""
        found = await session.get(Dispute, dispute_id, with_for_update=True, populate_existing=True)
        if found is None:
            raise DisputeUnknown("There is no such dispute.")
        return found


def _begun(
    order: Order | None,
    attempt: PaymentAttempt | None,
    case: Liability | None,
    seen: DisputeSeen,
    state: DisputeState,
    now: datetime,
) -> Dispute:
    """As if nothing were taken yet: what is taken is posted as the difference."""
    return Dispute(
        id=new_id(),
        stripe_dispute_id=seen.id,
        charge_id=seen.charge_id,
        payment_intent_id=seen.payment_intent_id,
        order_id=None if order is None else order.id,
        company_id=None if order is None else order.company_id,
        attempt_id=None if attempt is None else attempt.id,
        liability_id=None if case is None else case.id,
        state=state,
        stripe_status=seen.status,
        reason=seen.reason,
        amount_minor=seen.amount.minor,
        currency=seen.amount.currency,
        fee_currency=seen.fee.currency,
        opened_at=datetime.fromtimestamp(seen.created_at, UTC),
        heard_at=now,
        asked_at=now,
    )


def _shape(dispute: Dispute) -> tuple[object, ...]:
    return (
        dispute.stripe_status,
        dispute.reason,
        dispute.amount,
        dispute.withdrawn,
        dispute.fee,
        dispute.due_by,
        dispute.submissions,
    )


def _shape_seen(seen: DisputeSeen) -> tuple[object, ...]:
    return (seen.status, seen.reason, seen.amount, seen.withdrawn, seen.fee, seen.due_by, seen.submissions)


def _unfinished(call: StripeCall) -> bool:
    return call.outcome is None or call.outcome in {CallOutcome.UNCERTAIN, CallOutcome.THROTTLED}


def _text(asked: dict[str, Any]) -> str:
    return msgspec.json.encode(asked, order="sorted").decode()


def _call(dispute: Dispute, step: CallStep, request: str, *, turn: int, now: datetime) -> StripeCall:
    return StripeCall(
        id=new_id(),
        attempt_id=dispute.attempt_id,
        company_id=dispute.company_id,
        dispute_id=dispute.id,
        step=step,
        idempotency_key=f"tarifa-{dispute.id}-{step.value.replace('_', '-')}-{turn}",
        request=request,
        created_at=now,
        sent_at=now,
        sent_times=0,
    )
