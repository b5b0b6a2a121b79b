"""Direct debits: days pass between the buyer's consent and the bank's word, and both may be told late or twice."""

from datetime import timedelta

import pytest

from checkout.checkouts import PAY_WITHIN
from checkout.model import AttemptState, Liability, Order
from checkout.payments import OrderNotCancellable, OrderNotPayable, PaymentUnavailable
from checkout.states import State
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import House, make_member

SESSIONS = "/v1/checkout/sessions"
COMPLETED = "checkout.session.completed"
WEEK = timedelta(days=7)


async def debited(house: House, bank: str = "sepa") -> tuple[Order, str]:
    """An order paid by direct debit, of which we have not heard."""
    order = await house.place()
    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id, bank).outcome == "processing"
    return order, session_id


async def hear(house: House, kind: str) -> None:
    (event,) = house.events(kind)
    await house.deliver(event)


def pass_time(house: House, by: timedelta = WEEK) -> None:
    house.clock.advance(seconds=by.total_seconds())
    house.twin.control.let_time_pass()


async def steps(house: House, order: Order) -> list[str]:
    return [event.event for event in await house.orders.history(house.acme, order.number)]


async def test_sepa_completed_unpaid_does_not_ship(house: House) -> None:
    order, session_id = await debited(house)

    waiting = await house.payments.returned(house.acme, order.number, session_id)

    assert (waiting.state, waiting.pay_by, waiting.paid_at) == (State.PROCESSING, None, None)
    assert await house.stock() == (98, 2, 0)
    assert await house.mails() == ["order_received", "order_processing"]
    assert [attempt.state for attempt in await house.attempts()] == [AttemptState.PENDING]
    await hear(house, COMPLETED)
    await house.check_invariants()

    pass_time(house)
    await hear(house, "checkout.session.async_payment_succeeded")

    assert (await house.order(order)).state is State.PAID
    assert await house.stock() == (98, 0, 2)
    assert await house.mails() == ["order_received", "order_processing", "order_paid"]
    assert await steps(house, order) == ["accept", "pay", "completed_unpaid", "paid"]
    await house.check_invariants()


async def test_async_payment_failed_after_seven_days_makes_order_payable_again(house: House) -> None:
    order, _ = await debited(house, "sepa_fails")
    await hear(house, COMPLETED)
    pass_time(house)

    await hear(house, "checkout.session.async_payment_failed")

    again = await house.order(order)
    assert (again.state, again.pay_by) == (State.PAYABLE, house.clock.now() + PAY_WITHIN)
    assert await house.stock() == (98, 2, 0)
    assert await house.mails() == ["order_received", "order_processing", "order_payment_failed"]
    assert [attempt.detail for attempt in await house.attempts()] == ["insufficient_funds"]
    await hear(house, "checkout.session.async_payment_failed")
    assert await steps(house, order) == ["accept", "pay", "completed_unpaid", "async_failed"]

    session_id = await house.start(again)
    house.twin.control.pay_at_once(session_id)
    assert (await house.payments.returned(house.acme, order.number, session_id)).state is State.PAID
    await house.check_invariants()


async def test_an_order_whose_debit_failed_lapses_when_its_new_time_has_passed(house: House) -> None:
    order, session_id = await debited(house, "sepa_fails")
    await house.payments.returned(house.acme, order.number, session_id)
    pass_time(house)
    await hear(house, "checkout.session.async_payment_failed")

    house.clock.advance(seconds=PAY_WITHIN.total_seconds() - 1)
    await house.payments.sweep()
    assert (await house.order(order)).state is State.PAYABLE
    house.clock.advance(seconds=1)
    await house.payments.sweep()

    assert (await house.order(order)).state is State.LAPSED
    assert await house.stock() == (100, 0, 0)
    await house.check_invariants()


async def test_a_company_that_buys_in_dollars_pays_from_its_us_account(house: House) -> None:
    buyer = await make_member(house.database, house.clock, name="Initech", country="ES", currency="USD")
    order = await house.place(buyer)
    session_id = await house.start(order, buyer)
    assert house.twin.control.pay_at_once(session_id, "ach").outcome == "processing"
    assert (await house.payments.returned(buyer, order.number, session_id)).state is State.PROCESSING

    pass_time(house, timedelta(days=4))
    await hear(house, "checkout.session.async_payment_succeeded")

    assert (await house.order(order)).state is State.PAID
    await house.check_invariants()


async def test_while_the_bank_works_nobody_pays_again_or_cancels_and_no_time_runs_out(house: House) -> None:
    order, session_id = await debited(house)
    await house.payments.returned(house.acme, order.number, session_id)

    with pytest.raises(OrderNotPayable):
        await house.payments.start(house.acme, order.number)
    with pytest.raises(OrderNotCancellable):
        await house.payments.cancel(house.acme, order.number)
    pass_time(house, timedelta(days=6))
    await house.payments.sweep()
    await house.payments.lapse(order.id)

    assert (await house.order(order)).state is State.PROCESSING
    assert await house.stock() == (98, 2, 0)
    assert len(await house.attempts()) == 1


@pytest.mark.parametrize(("bank", "ending"), [("sepa", State.PAID), ("sepa_fails", State.PAYABLE)])
async def test_news_of_a_debit_in_reverse_and_all_at_once_reach_the_same_state(
    house: House, bank: str, ending: State
) -> None:
    order, _ = await debited(house, bank)
    pass_time(house)

    for event in reversed(house.events()):
        await house.deliver(event)

    assert (await house.order(order)).state is ending
    moves = ["completed_unpaid", "async_failed"] if ending is State.PAYABLE else ["paid"]
    assert await steps(house, order) == ["accept", "pay", *moves]
    assert len(await house.mails()) == 2
    await house.check_invariants()


@pytest.mark.parametrize(("bank", "ending"), [("sepa", State.PAID), ("sepa_fails", State.PAYABLE)])
async def test_a_debit_whose_events_never_came_is_found_by_the_sweep_within_the_hour(
    house: House, bank: str, ending: State
) -> None:
    order, _ = await debited(house, bank)
    house.clock.advance(minutes=3)
    await house.payments.sweep()
    assert (await house.order(order)).state is State.PROCESSING
    asked = len(house.twin.control.requests())
    house.clock.advance(minutes=3)
    await house.payments.sweep()
    assert len(house.twin.control.requests()) == asked, "banks take days: Stripe is not asked each minute"

    pass_time(house)
    await house.payments.sweep()

    assert (await house.order(order)).state is ending
    await house.check_invariants()


@pytest.mark.parametrize(("bank", "ending"), [("sepa", State.PAID), ("sepa_fails", State.PAYABLE)])
async def test_closing_races_with_a_debit_that_began_in_the_other_tab(house: House, bank: str, ending: State) -> None:
    order = await house.place()
    session_id = await house.start(order)
    house.twin.control.add_fault(Fault("reset", method="POST", path=SESSIONS))
    assert (await house.payments.cancel(house.acme, order.number)).state is State.CLOSING
    house.twin.control.pay_at_once(session_id, bank)

    await house.payments.sweep()

    waiting = await house.order(order)
    assert (waiting.state, waiting.closing_as) == (State.PROCESSING, None)
    assert await house.stock() == (98, 2, 0)
    pass_time(house)
    await house.payments.sweep()
    assert (await house.order(order)).state is ending
    await house.check_invariants()


async def test_a_debit_that_failed_before_the_order_was_closed_does_not_keep_it_open(house: House) -> None:
    order, _ = await debited(house, "sepa_fails")
    pass_time(house)  # nobody heard of anything, and the time to pay is over

    await house.payments.lapse(order.id)

    assert (await house.order(order)).state is State.LAPSED
    assert await house.stock() == (100, 0, 0)
    await house.check_invariants()


async def test_a_debit_whose_answer_was_lost_is_found_and_waited_for(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (made,) = house.twin.control.objects("checkout.session")
    house.twin.control.pay_at_once(made["id"], "sepa")
    house.clock.advance(hours=23)

    await house.payments.sweep()

    (attempt,) = await house.attempts()
    assert (attempt.state, attempt.session_id) == (AttemptState.PENDING, made["id"])
    assert (await house.order(order)).state is State.PROCESSING


async def test_a_debit_over_another_amount_holds_nothing_and_becomes_a_liability_when_it_comes(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("reset", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (attempt,) = await house.attempts()
    answer = await house.gateway.create_session(
        {
            "mode": "payment",
            "client_reference_id": str(attempt.id),
            "allowed_payment_method_types": ["sepa_debit"],
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {"currency": "eur", "unit_amount": 100, "product_data": {"name": "Other"}},
                }
            ],
            "success_url": "https://other.example/thanks",
        },
        key="otherwise",
    )
    assert answer.body is not None
    house.twin.control.pay_at_once(answer.body["id"], "sepa")
    await hear(house, COMPLETED)
    assert (await house.order(order)).state is State.PAYABLE

    pass_time(house, timedelta(days=7))
    await hear(house, "checkout.session.async_payment_succeeded")

    (liability,) = await house.rows(Liability)
    assert (liability.amount_minor, liability.order_id) == (100, order.id)
    assert (await house.order(order)).state is State.PAYABLE


async def test_reconciliation_knows_a_debit_and_says_where_we_differ(house: House) -> None:
    order, session_id = await debited(house, "sepa_fails")
    since = house.clock.now() - timedelta(hours=1)
    found = [(each.kind, each.reference) for each in await house.payments.reconcile(since=since)]
    assert found == [("waiting_but_unrecorded", order.number)]

    await house.payments.returned(house.acme, order.number, session_id)
    assert await house.payments.reconcile(since=since) == ()
    pass_time(house)
    found = [(each.kind, each.reference) for each in await house.payments.reconcile(since=since)]
    assert found == [("failed_but_waiting", order.number)]
    await house.payments.sweep()
    assert await house.payments.reconcile(since=since) == ()
