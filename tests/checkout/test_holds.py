"""Amounts that are held on a card: captured once, let go, or gone before anybody took them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from checkout.checkouts import PAY_WITHIN
from checkout.holds import NothingHeld
from checkout.model import AttemptState, CallStep, Liability, Order
from checkout.payments import OrderNotPayable
from checkout.states import State
from checkout.stripe_gateway import StripeUnavailable
from kernel.money import Money
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import House

INTENTS = "/v1/payment_intents"
WEEK = timedelta(days=7)


@pytest.fixture
async def holding(house: House) -> AsyncIterator[House]:
    """Cards are held from 250 euros on; the order of these tests is of 257.61."""
    house.payments.capture_later_from = {"EUR": Money.parse("250", "EUR")}
    yield house
    await house.check_invariants()


async def held(house: House) -> Order:
    order = await house.place()
    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id, save=True).outcome == "authorized"
    return await house.payments.returned(house.acme, order.number, session_id)


def pass_time(house: House, by: timedelta) -> None:
    house.clock.advance(seconds=by.total_seconds())
    house.twin.control.let_time_pass()


async def steps(house: House, order: Order) -> list[str]:
    return [event.event for event in await house.orders.history(house.acme, order.number)]


async def captures(house: House) -> list[str]:
    return [call.idempotency_key for call in await house.calls() if call.step is CallStep.CAPTURE]


async def test_an_amount_is_held_until_staff_captures_it(holding: House) -> None:
    order = await held(holding)
    assert (order.state, order.pay_by, order.paid_at) == (State.AUTHORISED, None, None)
    assert await holding.stock() == (98, 2, 0)
    assert (await holding.mails())[-1] == "order_authorised"
    with pytest.raises(OrderNotPayable):
        await holding.payments.start(holding.acme, order.number)

    paid = await holding.payments.capture(holding.staff, order.number)

    assert paid.state is State.PAID
    assert await holding.stock() == (98, 0, 2)
    assert await steps(holding, order) == ["accept", "pay", "authorised", "paid"]
    with pytest.raises(NothingHeld):
        await holding.payments.capture(holding.staff, order.number)
    for event in holding.events():
        await holding.deliver(event)
    assert await holding.payments.reconcile(since=holding.clock.now() - timedelta(hours=1)) == ()


async def test_below_the_amount_a_card_is_charged_at_once(holding: House) -> None:
    holding.payments.capture_later_from = {"EUR": Money.parse("257.62", "EUR"), "USD": Money.parse("0", "USD")}
    order = await holding.place()
    session_id = await holding.start(order)
    assert holding.twin.control.pay_at_once(session_id).outcome == "paid"
    assert (await holding.payments.returned(holding.acme, order.number, session_id)).state is State.PAID


async def test_a_debit_is_never_held(holding: House) -> None:
    order = await holding.place()
    session_id = await holding.start(order)
    assert holding.twin.control.pay_at_once(session_id, "sepa").outcome == "processing"
    assert (await holding.payments.returned(holding.acme, order.number, session_id)).state is State.PROCESSING
    pass_time(holding, WEEK)
    await holding.payments.sweep()
    assert (await holding.order(order)).state is State.PAID


async def test_a_kept_card_is_held_likewise(holding: House) -> None:
    await held(holding)
    (card,) = await holding.payments.cards.list_cards(holding.acme)
    order = await holding.place()

    waiting = await holding.payments.pay_with_card(holding.acme, order.number, card.id)

    assert waiting.state is State.AUTHORISED
    assert (await holding.payments.capture(holding.staff, order.number)).state is State.PAID


async def test_capture_after_authorization_expired(holding: House) -> None:
    order = await held(holding)
    pass_time(holding, WEEK)

    again = await holding.payments.capture(holding.staff, order.number)

    assert (again.state, again.pay_by) == (State.PAYABLE, holding.clock.now() + PAY_WITHIN)
    assert (await holding.mails())[-1] == "order_hold_ended"
    assert await holding.stock() == (98, 2, 0)
    for event in holding.events():
        await holding.deliver(event)
    assert await steps(holding, order) == ["accept", "pay", "authorised", "authorisation_expired"]
    session_id = await holding.start(again)
    holding.twin.control.pay_at_once(session_id)
    await holding.payments.returned(holding.acme, order.number, session_id)
    assert (await holding.payments.capture(holding.staff, order.number)).state is State.PAID


async def test_an_expired_hold_is_heard_of_by_its_event_or_by_the_sweep(holding: House) -> None:
    first, second = await held(holding), await held(holding)
    pass_time(holding, WEEK)

    (event, *_) = [
        event
        for event in holding.events("payment_intent.canceled")
        if event["data"]["object"]["metadata"]["order_number"] == first.number
    ]
    await holding.deliver(event)
    assert (await holding.order(first)).state is State.PAYABLE
    assert (await holding.order(second)).state is State.AUTHORISED
    await holding.payments.sweep()
    assert (await holding.order(second)).state is State.PAYABLE


async def test_two_clerks_capture_at_once_and_take_it_once(holding: House) -> None:
    order = await held(holding)

    endings = await asyncio.gather(
        *(holding.payments.capture(holding.staff, order.number) for _ in range(4)), return_exceptions=True
    )

    assert any(isinstance(ending, Order) and ending.state is State.PAID for ending in endings)
    assert (await holding.order(order)).state is State.PAID
    assert len(set(await captures(holding))) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("lose_answer"),
        Fault("reset"),
        Fault("error", status=500),
        Fault("error", status=500, after=True),
        Fault("error", status=429),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.after}",
)
async def test_a_capture_that_goes_wrong_is_asked_for_again_without_harm(holding: House, fault: Fault) -> None:
    order = await held(holding)
    holding.twin.control.add_fault(Fault(**{**vars(fault), "method": "POST", "path": INTENTS}))

    try:
        await holding.payments.capture(holding.staff, order.number)
    except StripeUnavailable:
        await holding.payments.capture(holding.staff, order.number)

    assert (await holding.order(order)).state is State.PAID
    charges = holding.twin.control.objects("charge")
    assert [charge["amount_captured"] for charge in charges] == [order.total_minor]


async def test_a_buyer_cancels_and_the_amount_is_let_go_first(holding: House) -> None:
    order = await held(holding)
    holding.twin.control.add_fault(Fault("reset", method="POST", path=INTENTS))
    assert (await holding.payments.cancel(holding.acme, order.number)).state is State.CLOSING
    assert await holding.stock() == (98, 2, 0)
    for event in holding.events("payment_intent.amount_capturable_updated"):
        await holding.deliver(event)  # late news of the hold doesn't undo the cancellation
    assert (await holding.order(order)).state is State.CLOSING

    await holding.payments.sweep()

    assert (await holding.order(order)).state is State.CANCELLED
    assert await holding.stock() == (100, 0, 0)
    (intent,) = holding.twin.control.objects("payment_intent")
    assert (intent["status"], intent["amount_received"]) == ("canceled", 0)


async def test_a_capture_that_wins_over_the_cancellation_keeps_the_order_paid(holding: House) -> None:
    order = await held(holding)
    (attempt,) = await holding.attempts()
    assert attempt.payment_intent_id is not None
    await holding.gateway.capture_intent(attempt.payment_intent_id, key="a colleague in the dashboard")

    assert (await holding.payments.cancel(holding.acme, order.number)).state is State.PAID


async def test_a_part_captured_elsewhere_settles_nothing_and_is_owed(house: House) -> None:
    house.payments.capture_later_from = {"EUR": Money.parse("250", "EUR")}
    order = await held(house)
    (attempt,) = await house.attempts()
    client = house.gateway._client
    assert attempt.payment_intent_id is not None
    await client.v1.payment_intents.capture_async(attempt.payment_intent_id, {"amount_to_capture": 100})

    for event in house.events("payment_intent.succeeded"):
        await house.deliver(event)
    await house.payments.settle(order.id)

    (liability,) = await house.rows(Liability)
    assert liability.amount_minor == 100
    again = await house.order(order)
    assert (again.state, again.paid_at) == (State.PAYABLE, None)
    assert again.pay_by == house.clock.now() + PAY_WITHIN
    assert [attempt.state for attempt in await house.attempts()] == [AttemptState.SUCCEEDED]
