"""What was asked of Stripe and what Stripe told us, over all orders, as staff look it up."""

import uuid
from typing import Any, Final, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from accounts.model import Company
from checkout.model import AttemptState, CallOutcome, EventOutcome, Order, PaymentAttempt, StripeCall, StripeEvent
from kernel.db import Database, for_staff

SEARCH_LONGEST: Final = 100


class LoggedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    attempt: PaymentAttempt
    number: str
    company_name: str
    calls: int
    sent_times: int
    """How often its calls were sent in all: more than *calls* means that some were repeated."""


class LoggedCall(msgspec.Struct, frozen=True, kw_only=True):
    call: StripeCall
    number: str


Row = TypeVar("Row")


class LogPage(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """Newest first. *next_before* leads to the next page; None on the last."""

    rows: tuple[Row, ...]
    next_before: str | None


class StripeLog:
    """Staff's view over every company; callers have checked that staff asks.

    Each page ends where the next begins at an id, so that what comes in meanwhile moves nothing.
    """

    def __init__(self, db: Database) -> None:
        self.db = db

    async def attempts(
        self, *, state: AttemptState | None, search: str, before: str | None, size: int
    ) -> LogPage[LoggedAttempt]:
        """Ways to pay. *search*: an order's number, or Stripe's id of a Session or PaymentIntent, whole."""
        calls = (
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(StripeCall.sent_times), 0))
            .where(StripeCall.attempt_id == PaymentAttempt.id)
            .lateral()
        )
        query = (
            sa.select(PaymentAttempt, Order.number, Company.name, *calls.c)
            .join(Order, Order.id == PaymentAttempt.order_id)
            .join(Company, Company.id == PaymentAttempt.company_id)
            .join(calls, sa.true())
            .order_by(PaymentAttempt.id.desc())
            .limit(size + 1)
        )
        if state is not None:
            query = query.where(PaymentAttempt.state == state)
        if wanted := _searched(search):
            query = query.where(
                sa.or_(
                    Order.number == wanted,
                    PaymentAttempt.session_id == wanted,
                    PaymentAttempt.payment_intent_id == wanted,
                )
            )
        if (seen := _as_uuid(before)) is not None:
            query = query.where(PaymentAttempt.id < seen)
        async with self.db.reading(for_staff()) as session:
            rows = [
                LoggedAttempt(attempt=row[0], number=row[1], company_name=row[2], calls=row[3], sent_times=int(row[4]))
                for row in await session.execute(query)
            ]
        return LogPage(
            rows=tuple(rows[:size]), next_before=str(rows[size - 1].attempt.id) if len(rows) > size else None
        )

    async def repeated_calls(self, *, before: str | None, size: int) -> LogPage[LoggedCall]:
        """Calls that were sent more than once, or whose answer is not known."""
        query = (
            sa.select(StripeCall, Order.number)
            .join(PaymentAttempt, PaymentAttempt.id == StripeCall.attempt_id)
            .join(Order, Order.id == PaymentAttempt.order_id)
            .where(
                sa.or_(
                    StripeCall.sent_times > 1,
                    StripeCall.answered_at.is_(None),
                    StripeCall.outcome.in_([CallOutcome.UNCERTAIN, CallOutcome.THROTTLED]),
                )
            )
            .order_by(StripeCall.id.desc())
            .limit(size + 1)
        )
        if (seen := _as_uuid(before)) is not None:
            query = query.where(StripeCall.id < seen)
        async with self.db.reading(for_staff()) as session:
            rows = [LoggedCall(call=row[0], number=row[1]) for row in await session.execute(query)]
        return LogPage(rows=tuple(rows[:size]), next_before=str(rows[size - 1].call.id) if len(rows) > size else None)

    async def events(
        self, *, outcome: EventOutcome | None, search: str, before: str | None, size: int
    ) -> LogPage[StripeEvent]:
        """What Stripe told us. *search*: an event's id, its type, or the id of the object it is about, whole."""
        query = sa.select(StripeEvent).order_by(StripeEvent.received_at.desc(), StripeEvent.id.desc()).limit(size + 1)
        if outcome is not None:
            query = query.where(StripeEvent.outcome == outcome)
        if wanted := _searched(search):
            # as the index has it: with the path as a bound parameter the index would not be found
            of_object: sa.ColumnElement[str] = sa.literal_column("stripe_event.payload #>> '{data,object,id}'", sa.Text)
            query = query.where(sa.or_(StripeEvent.id == wanted, StripeEvent.type == wanted, of_object == wanted))
        if before:
            seen = sa.select(StripeEvent.received_at, StripeEvent.id).where(StripeEvent.id == _searched(before))
            at = seen.subquery()
            query = query.join(at, sa.tuple_(StripeEvent.received_at, StripeEvent.id) < sa.tuple_(*at.c))
        async with self.db.reading(for_staff()) as session:
            rows = list((await session.scalars(query)).all())
        return LogPage(rows=tuple(rows[:size]), next_before=rows[size - 1].id if len(rows) > size else None)


def about(event: StripeEvent) -> str:
    """Stripe's id of the object that *event* tells of; empty where its body has none."""
    found: Any = event.payload
    for name in ("data", "object", "id"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _searched(typed: str) -> str:
    wanted = typed.strip()[:SEARCH_LONGEST]
    return "" if "\x00" in wanted else wanted


def _as_uuid(typed: str | None) -> uuid.UUID | None:
    """None for what is no id too: the first page is shown."""
    try:
        return None if typed is None else uuid.UUID(typed)
    except ValueError:
        return None
