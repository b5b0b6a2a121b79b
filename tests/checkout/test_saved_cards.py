"""Cards that are kept, and charged once: whoever clicks twice, whatever gets lost, and nobody without consent."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from checkout.card_charges import ChargeNotOpen
from checkout.model import AttemptKind, AttemptState, CallOutcome, CallStep, Liability, Order, SavedCard
from checkout.orders import OrderUnknown
from checkout.payments import (
    CardDeclined,
    ConfirmationNeeded,
    OrderNotPayable,
    PaymentUnavailable,
    PaymentUncertain,
)
from checkout.saved_cards import CardUnknown
from checkout.states import State
from checkout.stripe_gateway import StripeUnavailable
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import TOO_LONG_SECONDS, House, visitor

CHARGES = "/v1/payment_intents"
CUSTOMERS = "/v1/customers"


async def kept(house: House, card: str = "visa") -> SavedCard:
    """A card that Acme's buyer paid an earlier order with and let us keep."""
    order = await house.place()
    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id, card, save=True).outcome == "paid"
    await house.payments.returned(house.acme, order.number, session_id)
    found = (await house.payments.cards.list_cards(house.acme))[0]
    house.clock.advance(seconds=1)
    return found


def charges(house: House) -> list[dict[str, Any]]:
    """Asked for, oldest first."""
    return [
        request
        for request in house.twin.control.requests()
        if request["method"] == "POST" and request["path"] == CHARGES
    ]


async def paid_once(house: House, order: Order) -> bool:
    found = await house.order(order)
    await house.check_invariants()
    taken = [
        row
        for row in house.twin.control.objects("payment_intent")
        if row["metadata"].get("order_number") == order.number and row["status"] == "succeeded"
    ]
    return found.state is State.PAID and len(taken) == 1


async def lose_the_answer(house: House, order: Order, card: SavedCard, kind: str = "lose_answer") -> None:
    """The charge is sent; nobody hears what became of it, and nobody can ask for now."""
    house.twin.control.add_fault(Fault(kind, method="POST", path=CHARGES))  # type: ignore[arg-type]  # one of its kinds
    house.twin.control.add_fault(Fault("reset", method="GET", path=CHARGES))
    with pytest.raises(PaymentUncertain):
        await house.payments.pay_with_card(house.acme, order.number, card.id)


# --- Keeping ---


async def test_a_card_is_kept_when_its_holder_ticks_the_box_and_only_then(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id)
    await house.payments.returned(house.acme, order.number, session_id)
    assert await house.payments.cards.list_cards(house.acme) == []

    card = await kept(house, "mastercard")

    assert (card.brand, card.last4, card.expires_month, card.saved_by) == (
        "mastercard",
        "4444",
        12,
        house.acme.person_id,
    )
    assert await house.payments.cards.list_cards(house.globex) == []
    assert await house.payments.cards.list_cards(visitor()) == ()
    for event in house.events("checkout.session.completed"):
        await house.deliver(event)
    assert len(await house.payments.cards.list_cards(house.acme)) == 1


async def test_a_company_is_one_customer_whoever_buys_and_however_often(house: House) -> None:
    orders = [await house.place() for _ in range(3)]
    colleague = msgspec.structs.replace(house.acme, email="colleague@acme.example")

    await asyncio.gather(
        *(house.payments.start(buyer, order.number) for order in orders for buyer in (house.acme, colleague))
    )
    await house.place_and_start_other()

    made = house.twin.control.objects("customer")
    assert sorted(row["name"] for row in made) == ["Acme S.L.", "Globex S.A."]


@pytest.mark.parametrize("fault", [Fault("error", status=500), Fault("reset"), Fault("error", status=429)])
async def test_without_a_customer_the_order_is_paid_all_the_same(house: House, fault: Fault) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault(**{**vars(fault), "path": CUSTOMERS, "method": "POST"}))
    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id, save=True).outcome == "paid"
    assert (await house.payments.returned(house.acme, order.number, session_id)).state is State.PAID
    assert await house.payments.cards.list_cards(house.acme) == []

    await kept(house)

    assert len(house.twin.control.objects("customer")) == 1


async def test_a_removed_card_is_forgotten_at_stripe_too_if_not_now_then_later(house: House) -> None:
    card = await kept(house)
    house.twin.control.add_fault(Fault("reset", method="POST", path="/v1/payment_methods"))

    await house.payments.cards.remove(house.acme, card.id)

    assert await house.payments.cards.list_cards(house.acme) == []
    order = await house.place()
    with pytest.raises(CardUnknown):
        await house.payments.pay_with_card(house.acme, order.number, card.id)
    with pytest.raises(CardUnknown):
        await house.payments.cards.remove(house.acme, card.id)
    (method,) = [row for row in house.twin.control.objects("payment_method") if row["id"] == card.payment_method_id]
    assert method["customer"] is not None
    for _ in range(5):  # an answer that takes longer than we wait is asked for again
        await house.payments.sweep()
    (method,) = [row for row in house.twin.control.objects("payment_method") if row["id"] == card.payment_method_id]
    assert method["customer"] is None
    assert [row.detached_at is not None for row in await house.rows(SavedCard)] == [True]


# --- Paying ---


async def test_paying_with_a_kept_card_settles_the_order_at_once(house: House) -> None:
    card = await kept(house)
    order = await house.place()

    paid = await house.payments.pay_with_card(house.acme, order.number, card.id)

    assert paid.state is State.PAID
    attempt = (await house.attempts())[-1]
    assert (attempt.kind, attempt.state, attempt.saved_card_id) == (
        AttemptKind.SAVED_CARD,
        AttemptState.SUCCEEDED,
        card.id,
    )
    (call,) = [call for call in await house.calls() if call.step is CallStep.CHARGE_CARD]
    assert (call.outcome, call.sent_times, call.answer_status) == (CallOutcome.DONE, 1, 200)
    assert [request["idempotency_key"] for request in charges(house)] == [call.idempotency_key]
    for event in house.events():
        await house.deliver(event)
    assert await paid_once(house, order)
    assert await house.payments.reconcile(since=house.clock.now() - timedelta(hours=1)) == ()


async def test_double_click_charges_the_card_once(house: House) -> None:
    card = await kept(house)
    order = await house.place()

    endings = await asyncio.gather(
        *(house.payments.pay_with_card(house.acme, order.number, card.id) for _ in range(5)), return_exceptions=True
    )

    assert any(isinstance(ending, Order) for ending in endings)
    assert all(isinstance(ending, Order | OrderNotPayable) for ending in endings)
    assert len(charges(house)) == 1
    assert await paid_once(house, order)


async def test_an_open_payment_page_is_closed_before_the_card_is_charged(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    page = await house.start(order)

    await house.payments.pay_with_card(house.acme, order.number, card.id)

    (session,) = [row for row in house.twin.control.objects("checkout.session") if row["id"] == page]
    assert session["status"] == "expired"
    assert await paid_once(house, order)


async def test_an_order_paid_on_its_page_is_not_charged_to_the_card(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    house.twin.control.pay_at_once(await house.start(order))

    with pytest.raises(OrderNotPayable):
        await house.payments.pay_with_card(house.acme, order.number, card.id)

    assert charges(house) == []
    assert await paid_once(house, order)


async def test_a_payment_page_that_stripe_does_not_close_keeps_the_card_from_being_charged(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    await house.start(order)
    house.twin.control.add_fault(Fault("reset", path="/v1/checkout/sessions", times=2))

    with pytest.raises(PaymentUnavailable):
        await house.payments.pay_with_card(house.acme, order.number, card.id)

    assert charges(house) == []
    assert (await house.payments.pay_with_card(house.acme, order.number, card.id)).state is State.PAID


async def test_nobody_pays_with_a_card_of_another_company_or_with_an_expired_one(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    theirs = await house.place(house.globex)

    for number, buyer in ((theirs.number, house.globex), (order.number, house.staff)):
        with pytest.raises((CardUnknown, OrderUnknown)):
            await house.payments.pay_with_card(buyer, number, uuid.uuid4())
    with pytest.raises(CardUnknown):
        await house.payments.pay_with_card(house.globex, theirs.number, card.id)
    with pytest.raises(CardUnknown):
        await house.payments.cards.remove(house.globex, card.id)
    with pytest.raises(OrderUnknown):
        await house.payments.pay_with_card(house.globex, order.number, card.id)
    house.clock.advance(days=366 * 4)
    late = await house.place()
    with pytest.raises(CardUnknown):
        await house.payments.pay_with_card(house.acme, late.number, card.id)
    assert charges(house) == []


async def test_a_declined_charge_leaves_the_order_to_be_paid_another_way(house: House) -> None:
    card = await kept(house, "declined_later")
    order = await house.place()

    with pytest.raises(CardDeclined) as refusal:
        await house.payments.pay_with_card(house.acme, order.number, card.id)

    assert refusal.value.extra["reason"] == "generic_decline"
    assert (await house.order(order)).state is State.PAYABLE
    assert (await house.attempts())[-1].state is AttemptState.DEAD
    for event in house.events("payment_intent.payment_failed"):
        await house.deliver(event)
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id)
    await house.payments.returned(house.acme, order.number, session_id)
    assert await paid_once(house, order)


async def test_off_session_authentication_required_sends_link(house: House) -> None:
    card = await kept(house, "3ds_always")
    order = await house.place()

    with pytest.raises(ConfirmationNeeded):
        await house.payments.pay_with_card(house.acme, order.number, card.id)

    assert (await house.mails())[-1] == "order_confirm_payment"
    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id, "3ds_always").outcome == "paid"
    await house.payments.returned(house.acme, order.number, session_id)
    for event in house.events():
        await house.deliver(event)
    assert await paid_once(house, order)
    assert (await house.mails()).count("order_confirm_payment") == 1


# --- What gets lost ---


async def test_a_lost_answer_is_looked_for_and_found(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=CHARGES))

    paid = await house.payments.pay_with_card(house.acme, order.number, card.id)

    assert paid.state is State.PAID
    assert len(charges(house)) == 1
    assert await paid_once(house, order)


async def test_an_uncertain_charge_is_never_sent_again_and_settles_when_it_is_found(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    await lose_the_answer(house, order, card)
    assert (await house.attempts())[-1].state is AttemptState.UNCERTAIN

    with pytest.raises(PaymentUncertain):
        await house.payments.start(house.acme, order.number)
    house.clock.advance(minutes=3)
    await house.payments.sweep()

    assert len(charges(house)) == 1
    assert await paid_once(house, order)


async def test_an_uncertain_charge_that_stripe_does_not_have_waits_for_a_person(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    await lose_the_answer(house, order, card, "reset")
    for _ in range(2):
        house.clock.advance(minutes=3)
        await house.payments.sweep()

    with pytest.raises(PaymentUncertain):
        await house.payments.pay_with_card(house.acme, order.number, card.id)
    found = [each.kind for each in await house.payments.reconcile(since=house.clock.now() - timedelta(hours=1))]
    assert found == ["charge_uncertain"]
    assert charges(house) == [], "what was reset never arrived, and is not sent again"
    await house.payments.charges.give_up(house.staff, order.id, note="Not in the dashboard")

    assert (await house.payments.pay_with_card(house.acme, order.number, card.id)).state is State.PAID
    assert "Not in the dashboard" in (await house.attempts())[-2].detail
    with pytest.raises(ChargeNotOpen):
        await house.payments.charges.give_up(house.staff, order.id, note="again")
    assert await paid_once(house, order)


async def test_money_of_a_charge_that_a_person_gave_up_is_owed_and_not_lost(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    await lose_the_answer(house, order, card)
    await house.payments.charges.give_up(house.staff, order.id, note="Too hasty")
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id)
    await house.payments.returned(house.acme, order.number, session_id)

    for event in house.events("payment_intent.succeeded"):
        await house.deliver(event)

    (liability,) = await house.rows(Liability)
    assert (liability.order_id, liability.amount_minor) == (order.id, order.total_minor)
    assert liability.session_id.startswith("pi_")
    await house.check_invariants()


async def test_an_order_with_an_uncertain_charge_keeps_its_goods_when_its_time_is_over(house: House) -> None:
    card = await kept(house)
    order = await house.place()
    await lose_the_answer(house, order, card, "reset")
    assert order.pay_by is not None
    house.clock.set(order.pay_by)

    with pytest.raises(StripeUnavailable):
        await house.payments.lapse(order.id)

    assert (await house.order(order)).state is State.CLOSING
    assert (await house.stock())[1] == 2
    await house.payments.charges.give_up(house.staff, order.id, note="Not in the dashboard")
    await house.payments.sweep()
    assert (await house.order(order)).state is State.LAPSED


@pytest.mark.parametrize(
    "fault",
    [
        Fault("error", status=500),
        Fault("error", status=500, after=True),
        Fault("error", status=429),
        Fault("garbage"),
        Fault("timeout", seconds=TOO_LONG_SECONDS),
        Fault("slow", seconds=TOO_LONG_SECONDS),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.after}",
)
async def test_whatever_stripe_answers_to_a_charge_the_order_is_paid_at_most_once(house: House, fault: Fault) -> None:
    card = await kept(house)
    order = await house.place()
    house.twin.control.add_fault(Fault(**{**vars(fault), "path": CHARGES, "method": "POST"}))

    try:
        await house.payments.pay_with_card(house.acme, order.number, card.id)
    except (PaymentUncertain, CardDeclined):
        await asyncio.sleep(1 if fault.kind == "slow" else 0)  # it is done after we gave up waiting
        house.clock.advance(minutes=3)
        await house.payments.sweep()

    assert len(charges(house)) <= 1
    if (await house.order(order)).state is State.PAYABLE:
        attempt = (await house.attempts())[-1]
        if attempt.state is AttemptState.UNCERTAIN:
            await house.payments.charges.give_up(house.staff, order.id, note="Not in the dashboard")
        await house.payments.pay_with_card(house.acme, order.number, card.id)
    assert await paid_once(house, order)
