from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from checkout.reconciliation import Break
from checkout.stripe_gateway import StripeUnavailable
from kernel.db import for_staff
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import House, signed

COMPLETED = "checkout.session.completed"


async def breaks(house: House) -> list[tuple[str, str]]:
    found = await house.payments.reconcile(since=house.clock.now() - timedelta(days=30))
    assert all(isinstance(each, Break) for each in found)
    return [(each.kind, each.reference) for each in found]


async def change(house: House, statement: str) -> None:
    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text(statement))


async def test_orders_in_every_state_agree(house: House) -> None:
    await house.place()
    order = await house.place()
    await house.start(order)
    paid, session_id = await house.paid_order()
    await house.payments.returned(house.acme, paid.number, session_id)
    await house.payments.cancel(house.acme, (await house.place()).number)

    assert await breaks(house) == []


async def test_reconciliation_finds_succeeded_payment_whose_event_never_came(house: House) -> None:
    order, _ = await house.paid_order()

    assert await breaks(house) == [("paid_but_unrecorded", order.number)]
    await house.payments.recover()
    assert await breaks(house) == []


async def test_it_finds_an_order_recorded_as_paid_that_is_not(house: House) -> None:
    order = await house.place()
    await house.start(order)
    await change(house, "update payment_attempt set state = 'succeeded', closed_at = now()")

    assert await breaks(house) == [("recorded_but_unpaid", order.number)]


async def test_it_finds_money_of_no_order_until_it_is_a_liability(house: House) -> None:
    answer = await house.gateway.create_session(
        {
            "mode": "payment",
            "ui_mode": "hosted_page",
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {"currency": "eur", "unit_amount": 500, "product_data": {"name": "Other"}},
                }
            ],
            "success_url": "https://other.example/thanks",
        },
        key="other",
    )
    assert answer.body is not None
    house.twin.control.pay_at_once(answer.body["id"])

    assert await breaks(house) == [("paid_for_no_order", answer.body["id"])]
    (event,) = house.events(COMPLETED)
    await house.deliver(event)
    assert await breaks(house) == [("event_parked", event["id"])]


async def test_it_finds_a_payment_that_this_shop_did_not_ask_for(house: House) -> None:
    """Somebody took money in Stripe's dashboard, or another program of the same account."""
    order = await house.place()
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id, save=True)
    await house.payments.returned(house.acme, order.number, session_id)
    [method] = house.twin.control.objects("payment_method")
    request = {
        "amount": 500,
        "currency": "eur",
        "customer": method["customer"],
        "payment_method": method["id"],
        "allowed_payment_method_types": ["card"],
        "confirm": True,
        "off_session": True,
        "metadata": {"attempt_id": "of another program"},
    }
    answer = await house.gateway.charge_card(request, key="other")
    assert answer.body is not None

    assert await breaks(house) == [("payment_not_ours", answer.body["id"])]


async def test_it_finds_a_live_attempt_that_expired_or_that_stripe_does_not_know(house: House) -> None:
    order = await house.place()
    await house.start(order)
    house.clock.advance(hours=25)
    assert await breaks(house) == [("expired_but_live", order.number)]

    await change(house, "update payment_attempt set session_id = 'cs_test_elsewhere'")
    assert await breaks(house) == [("unknown_to_stripe", order.number)]


async def test_it_finds_events_nobody_handled(house: House) -> None:
    order, session_id = await house.paid_order()
    (event,) = house.events(COMPLETED)
    raw = msgspec.json.encode(event)
    await house.payments.receive_webhook(raw, signed(raw, house.clock.now()))
    await house.payments.returned(house.acme, order.number, session_id)
    assert await breaks(house) == []

    house.clock.advance(hours=2)

    assert await breaks(house) == [("event_unhandled", event["id"])]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (
            "update stock set reserved = reserved + 1, on_hand = on_hand - 1 where reserved > 0",
            "reserved_stock_differs",
        ),
        ("update stock_reservation set state = 'returned'", "stock_state_differs"),
        ("update customer_order set state = 'paid', paid_at = now()", "paid_without_sale"),
    ],
)
async def test_it_finds_books_that_contradict_themselves(house: House, statement: str, kind: str) -> None:
    await house.place()
    await change(house, statement)

    assert kind in {each for each, _ in await breaks(house)}


async def test_it_says_so_when_stripe_cannot_be_asked(house: House) -> None:
    house.twin.control.add_fault(Fault("reset", method="GET"))

    with pytest.raises(StripeUnavailable):
        await breaks(house)
