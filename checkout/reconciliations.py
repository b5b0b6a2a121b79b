"""Comparisons with Stripe that are kept: each hour, on demand, and what a person has to look at of money.

A break that was not there the last time is an alarm: a letter to the house, once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from accounts.principal import Principal
from agreements.service import Agreements
from checkout import store
from checkout.model import EventOutcome, Liability, PaymentAttempt, Reconciliation, Refund, StripeEvent
from checkout.reconciliation import Break, reconcile
from checkout.stripe_gateway import StripeGateway, StripeUnavailable
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import NotFound
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.mail import Mail, queue_mail

OF_HOURLY: Final = timedelta(days=3)
OF_NIGHTLY: Final = timedelta(days=35)
"""Stripe's events live for 30 days; what is lost is lost by then."""
NIGHTLY_HOUR: Final = 3
BREAKS_KEPT: Final = 500
SHOWN: Final = 50
RUNS_SHOWN: Final = 24
NOTE_LONGEST: Final = 500

KEEP: Final = Failpoint("checkout.reconciliation.keep")
REVIEW: Final = Failpoint("checkout.event.review")

log = structlog.get_logger(__name__)


class EventUnknown(NotFound):
    problem = "stripe-event-unknown"
    title = "No such event waits"


class ToLookAt(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has to look at. Cases and refunds come with their orders' numbers; a case may have none."""

    runs: Sequence[Reconciliation]
    """The last ones, newest first."""
    cases: Sequence[tuple[Liability, str | None]]
    refunds: Sequence[tuple[Refund, str | None]]
    """Those under way."""
    parked: Sequence[StripeEvent]
    held: Sequence[tuple[PaymentAttempt, str]]
    """Amounts on cards that wait to be captured, with their orders' numbers, those that end first first."""
    charges: Sequence[tuple[PaymentAttempt, str]]
    """Of kept cards, of which nobody knows what became; with their orders' numbers."""


class Reconciliations:
    """Callers have checked that staff asks."""

    def __init__(
        self, db: Database, clock: Clock, gateway: StripeGateway, agreements: Agreements, *, base_url: str
    ) -> None:
        self.db = db
        self.clock = clock
        self.gateway = gateway
        self.agreements = agreements
        self.base_url = base_url

    async def compare(self, *, since: datetime) -> tuple[Break, ...]:
        """Everything that does not agree, open cases among it; empty is well. Nothing is kept.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        breaks = list(await reconcile(self.db, self.clock, self.gateway, since=since))
        async with self.db.reading(for_staff()) as session:
            cases = await store.list_open_liabilities(session)
            ledger = await self.agreements.check_ledger(session)
        breaks += [
            Break("liability_open", number or case.session_id, f"{case.owed}: {case.detail}") for case, number in cases
        ]
        if ledger.broken_at is not None:
            breaks.append(Break("ledger_broken", f"row {ledger.broken_at}", "the acceptance ledger contradicts itself"))
        return tuple(sorted(breaks))

    async def run(self, *, since: datetime, alarm: str, by: Principal | None = None) -> Reconciliation:
        """Compare and keep the outcome; write to *alarm*, an address of the house, of what the last run did not have.

        :raises StripeUnavailable: when Stripe can't be asked; nothing is kept then
        """
        began = self.clock.now()
        breaks = await self.compare(since=since)
        done = Reconciliation(
            id=new_id(),
            since=since,
            began_at=began,
            ended_at=self.clock.now(),
            asked_by=None if by is None else by.person_id,
            breaks=[msgspec.to_builtins(each) for each in breaks[:BREAKS_KEPT]],
            break_count=len(breaks),
        )
        async with self.db.begin(for_staff(), KEEP) as session:
            last = await store.list_reconciliations(session, limit=1)
            known = {(each["kind"], each["reference"]) for run in last for each in run.breaks}
            fresh = [each for each in breaks if (each.kind, each.reference) not in known]
            session.add(done)
            if fresh:
                await queue_mail(session, self._letter(fresh, alarm), now=done.ended_at)
        if breaks:
            log.error("books and Stripe do not agree", breaks=len(breaks), fresh=len(fresh))
        return done

    async def run_hourly(self, *, alarm: str) -> None:
        """The last days each hour, and once a night as far back as anything can come in late."""
        now = self.clock.now()
        try:
            await self.run(since=now - (OF_NIGHTLY if now.hour == NIGHTLY_HOUR else OF_HOURLY), alarm=alarm)
        except StripeUnavailable as error:
            log.warning("not reconciled this hour", reason=error.message)

    async def to_look_at(self) -> ToLookAt:
        async with self.db.reading(for_staff()) as session:
            return ToLookAt(
                runs=await store.list_reconciliations(session, limit=RUNS_SHOWN),
                cases=await store.list_open_liabilities(session),
                refunds=await store.list_refunds_under_way(session, limit=SHOWN),
                parked=await store.list_parked_events(session, limit=SHOWN),
                held=await store.list_held(session, limit=SHOWN),
                charges=await store.list_uncertain_charges(session),
            )

    async def review(self, principal: Principal, event_id: str, *, note: str) -> None:
        """A person has looked at a parked event: it waits no more, and its note stays with it.

        :raises EventUnknown: when no parked event of this id waits
        """
        async with self.db.begin(for_staff(), REVIEW) as session:
            event = await session.get(StripeEvent, event_id, with_for_update=True) if event_id.isprintable() else None
            if event is None or event.outcome is not EventOutcome.PARKED or event.reviewed_at is not None:
                raise EventUnknown("No such event waits. Somebody may have looked at it already.")
            event.reviewed_at, event.reviewed_by = self.clock.now(), principal.person_id
            event.review_note = note[:NOTE_LONGEST]

    def _letter(self, fresh: Sequence[Break], to: str) -> Mail:
        lines = "\n".join(f"  {each.kind}  {each.reference}  {each.detail}" for each in fresh[:SHOWN])
        more = f"\n  ... and {len(fresh) - SHOWN} more" if len(fresh) > SHOWN else ""
        return Mail(
            to=to,
            subject=f"Alarm: money does not agree ({len(fresh)})",
            kind="reconciliation_alarm",
            text=f"Our books and Stripe's objects do not agree in what was not there before:\n\n{lines}{more}\n\n"
            f"What each means and what to do: {self.base_url}/desk/money\n",
        )
