"""What was asked of Stripe and what it told us, as staff look it up."""

import pytest

from checkout.model import AttemptState, CallOutcome, EventOutcome, StripeEvent
from checkout.payments import PaymentUnavailable
from checkout.stripe_log import StripeLog, about
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import House


@pytest.fixture
def log(house: House) -> StripeLog:
    return StripeLog(house.database)


async def test_events_are_found_by_id_type_or_what_they_are_about(house: House, log: StripeLog) -> None:
    _, session_id = await house.paid_order()
    event = house.events("checkout.session.completed")[0]
    await house.deliver(event)
    await house.deliver(house.events("payment_intent.succeeded")[0])

    for wanted in (event["id"], "checkout.session.completed", session_id, f" {session_id} "):
        found = await log.events(outcome=EventOutcome.SETTLED, search=wanted, before=None, size=10)
        assert [(row.id, about(row)) for row in found.rows] == [(event["id"], session_id)]
    assert len((await log.events(outcome=None, search="", before=None, size=10)).rows) == 2
    for nothing in (session_id[:-1], "\x00", "parked"):
        found = await log.events(outcome=EventOutcome.PARKED, search=nothing, before=None, size=10)
        assert found.rows == ()


async def test_pages_follow_each_other_without_gap_or_repetition(house: House, log: StripeLog) -> None:
    numbers = [(await house.paid_order())[0].number for _ in range(3)]
    for event in house.events():
        await house.deliver(event)

    walked, before = [], None
    while True:
        page = await log.attempts(state=None, search="", before=before, size=2)
        walked += [row.number for row in page.rows]
        if (before := page.next_before) is None:
            break
    assert walked == numbers[::-1]

    everything = [row.id for row in (await log.events(outcome=None, search="", before=None, size=1000)).rows]
    assert sorted(everything) == sorted(row.id for row in await house.rows(StripeEvent))
    told, before = [], None
    while True:
        events = await log.events(outcome=None, search="", before=before, size=1)
        told += [row.id for row in events.rows]
        if (before := events.next_before) is None:
            break
    assert told == everything
    assert len(told) >= 3


async def test_a_call_that_was_sent_twice_is_listed_and_one_answered_at_once_is_not(
    house: House, log: StripeLog
) -> None:
    await house.paid_order()
    assert (await log.repeated_calls(before=None, size=10)).rows == ()

    order = await house.place()
    house.twin.control.add_fault(Fault("reset", method="POST", path="/v1/checkout/sessions"))
    with pytest.raises(PaymentUnavailable):
        await house.start(order)
    (row,) = (await log.repeated_calls(before=None, size=10)).rows

    assert (row.number, row.call.outcome) == (order.number, CallOutcome.UNCERTAIN)
    (attempt,) = (await log.attempts(state=None, search=order.number, before=None, size=10)).rows
    assert (attempt.calls, attempt.sent_times) == (1, row.call.sent_times)
    assert attempt.attempt.state is AttemptState.UNCERTAIN
