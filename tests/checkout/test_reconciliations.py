"""Comparisons that are kept, alarms that come once, and events that a person has looked at."""

from datetime import timedelta

import pytest

from accounts.principal import Principal
from checkout.model import EventOutcome, Reconciliation, StripeEvent
from checkout.reconciliations import OF_HOURLY, OF_NIGHTLY, EventUnknown, Reconciliations
from checkout.stripe_gateway import StripeUnavailable
from kernel.mail import OutgoingMail
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import BASE_URL, House
from tests.checkout.test_refunds import clerk as clerk  # noqa: PLC0414 - pytest finds it here by its name

ALARM = "alarm@shop.example"


@pytest.fixture
def reconciliations(house: House) -> Reconciliations:
    return Reconciliations(house.database, house.clock, house.gateway, house.agreements, base_url=BASE_URL)


async def alarms(house: House) -> list[OutgoingMail]:
    found: list[OutgoingMail] = await house.rows(OutgoingMail)
    return sorted((mail for mail in found if mail.kind == "reconciliation_alarm"), key=lambda mail: mail.queued_at)


async def park_a_refund(house: House) -> None:
    """Somebody gives money back in Stripe's dashboard."""
    order, session_id = await house.paid_order()
    await house.payments.returned(house.acme, order.number, session_id)
    (charge,) = house.twin.control.objects("charge")
    await house.gateway.create_refund({"payment_intent": charge["payment_intent"], "amount": 500}, key="by-hand")
    event = next(event for event in house.twin.control.objects("event") if event["type"] == "refund.created")
    await house.deliver(event)


async def test_a_run_is_kept_with_what_does_not_agree(house: House, reconciliations: Reconciliations) -> None:
    order, _ = await house.paid_order()

    run = await reconciliations.run(since=house.clock.now() - timedelta(days=1), alarm=ALARM)

    assert run.break_count == 1
    assert [(each["kind"], each["reference"]) for each in run.breaks] == [("paid_but_unrecorded", order.number)]
    assert [kept.id for kept in (await reconciliations.to_look_at()).runs] == [run.id]


async def test_an_alarm_comes_once_for_each_break(house: House, reconciliations: Reconciliations) -> None:
    order, session_id = await house.paid_order()
    since = house.clock.now() - timedelta(days=1)
    for _ in range(3):
        await reconciliations.run(since=since, alarm=ALARM)
        house.clock.advance(hours=1)
    assert [mail.recipient for mail in await alarms(house)] == [ALARM]

    await house.payments.returned(house.acme, order.number, session_id)
    assert (await reconciliations.run(since=since, alarm=ALARM)).break_count == 0
    other, _ = await house.place_and_start_other()
    house.twin.control.pay_at_once(str((await house.attempts())[-1].session_id))
    house.clock.advance(hours=1)
    await reconciliations.run(since=since, alarm=ALARM)

    first, second = await alarms(house)
    assert order.number in first.text
    assert other.number in second.text
    assert f"{BASE_URL}/desk/money" in second.text


async def test_while_stripe_is_silent_nothing_is_kept_and_the_hour_passes(
    house: House, reconciliations: Reconciliations
) -> None:
    house.twin.control.add_fault(Fault("error", method="GET", path="/v1/checkout/sessions", status=500, times=2))

    with pytest.raises(StripeUnavailable):
        await reconciliations.run(since=house.clock.now() - timedelta(days=1), alarm=ALARM)
    await reconciliations.run_hourly(alarm=ALARM)

    assert await house.rows(Reconciliation) == []


async def test_once_a_night_it_looks_as_far_back_as_anything_can_be_late(
    house: House, reconciliations: Reconciliations
) -> None:
    for _ in range(24):
        await reconciliations.run_hourly(alarm=ALARM)
        house.clock.advance(hours=1)

    spans = [run.began_at - run.since for run in await house.rows(Reconciliation)]
    assert sorted(spans) == [OF_HOURLY] * 23 + [OF_NIGHTLY]


async def test_a_parked_event_waits_until_somebody_has_looked_at_it(
    house: House, reconciliations: Reconciliations, clerk: Principal
) -> None:
    await park_a_refund(house)
    (parked,) = (await reconciliations.to_look_at()).parked
    since = house.clock.now() - timedelta(days=1)
    assert {each.kind for each in await reconciliations.compare(since=since)} == {"event_parked", "refund_not_ours"}

    await reconciliations.review(clerk, parked.id, note="Support gave 5.00 back by hand")

    (event,) = [event for event in await house.rows(StripeEvent) if event.outcome is EventOutcome.PARKED]
    assert (event.reviewed_by, event.review_note) == (clerk.person_id, "Support gave 5.00 back by hand")
    assert (await reconciliations.to_look_at()).parked == []
    assert {each.kind for each in await reconciliations.compare(since=since)} == {"refund_not_ours"}


@pytest.mark.parametrize("event_id", ["evt_nobody_sent", "", "a\x00b", "again"])
async def test_an_event_that_does_not_wait_is_not_looked_at(
    house: House, reconciliations: Reconciliations, clerk: Principal, event_id: str
) -> None:
    if event_id == "again":
        await park_a_refund(house)
        (parked,) = (await reconciliations.to_look_at()).parked
        event_id = parked.id
        await reconciliations.review(clerk, event_id, note="once")

    with pytest.raises(EventUnknown):
        await reconciliations.review(clerk, event_id, note="twice")


async def test_open_cases_and_the_house_itself_are_among_the_breaks(
    house: House, reconciliations: Reconciliations
) -> None:
    answer = await house.gateway.create_session(
        {
            "mode": "payment",
            "ui_mode": "hosted_page",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {"currency": "eur", "unit_amount": 900, "product_data": {"name": "Nobody's"}},
                }
            ],
            "success_url": f"{BASE_URL}/",
        },
        key="of-nobody",
    )
    assert answer.body is not None
    house.twin.control.pay_at_once(answer.body["id"])
    await house.deliver(house.events("checkout.session.completed")[0])

    found = await reconciliations.compare(since=house.clock.now() - timedelta(days=1))

    assert {(each.kind, each.reference) for each in found} >= {("liability_open", answer.body["id"])}
