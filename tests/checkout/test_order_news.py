"""An order's company is told of each of its turns, in the transaction of the turn."""

import msgspec
import pytest
import sqlalchemy as sa

from accounts.principal import Principal, PrincipalKind
from accounts.webhooks.events import SCOPES, EventType
from accounts.webhooks.model import WebhookMessage
from accounts.webhooks.service import Webhooks
from checkout.settlement import finish_sale
from kernel.db import for_staff
from kernel.ids import new_id
from kernel.signing import Keyring
from tests.checkout.conftest import House
from tests.checkout.test_disputes import clerk
from tests.checkout.test_refunds import paid, wish
from tests.described import assert_described

__all__ = ["clerk"]
ORDER_EVENTS = [event for event in EventType if event.startswith("order.")]


@pytest.fixture(autouse=True)
async def endpoint(house: House) -> None:
    """Acme's, told of every order event."""
    program = Principal(
        kind=PrincipalKind.PARTNER,
        visitor_id=new_id(),
        company=house.acme.company,
        scopes=frozenset(SCOPES.values()),
    )
    webhooks = Webhooks(house.database, house.clock, Keyring.generate(now=house.clock.now()))
    await webhooks.create(program, url="https://hooks.acme.example/", event_types=ORDER_EVENTS)


async def told(house: House) -> list[tuple[str, str]]:
    """Type and order's state of each message, in order."""
    async with house.database.begin(for_staff()) as session:
        found = (await session.scalars(sa.select(WebhookMessage).order_by(WebhookMessage.id))).all()
    bodies = [msgspec.json.decode(message.body) for message in found]
    assert [message.event_type for message in found] == [body["type"] for body in bodies]
    for body in bodies:
        assert_described(body)
    return [(body["type"], body["data"]["state"]) for body in bodies]


async def test_placed_and_paid(house: House) -> None:
    order, session_id = await house.paid_order()
    await house.payments.returned(house.acme, order.number, session_id)

    assert await told(house) == [("order.created", "payable"), ("order.paid", "paid")]
    async with house.database.begin(for_staff()) as session:
        message = (await session.scalars(sa.select(WebhookMessage).limit(1))).one()
    assert msgspec.json.decode(message.body) == {
        "type": "order.created",
        "timestamp": order.placed_at.isoformat().replace("+00:00", "Z"),
        "data": {
            "id": str(order.id),
            "number": order.number,
            "state": "payable",
            "total": {"amount": order.total.decimal, "currency": "EUR"},
            "po_number": order.po_number,
            "url": f"{house.payments.base_url}/api/v1/orders/{order.number}",
        },
    }


async def test_cancelled(house: House) -> None:
    order = await house.place()
    await house.payments.cancel(house.acme, order.number)

    assert await told(house) == [("order.created", "payable"), ("order.cancelled", "cancelled")]


async def test_lapsed(house: House) -> None:
    order = await house.place()
    house.clock.advance(days=4)
    await house.payments.lapse(order.id)
    await house.payments.lapse(order.id)

    assert await told(house) == [("order.created", "payable"), ("order.lapsed", "lapsed")]


async def test_refunded_in_parts_and_then_cancelled(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await house.payments.refunds.refund(clerk, order.number, wish("100.00"))
    await house.payments.refunds.refund(clerk, order.number, wish(cancels=True))

    assert (await told(house))[2:] == [
        ("order.refunded", "paid"),
        ("order.refunded", "cancelling"),
        ("order.cancelled", "cancelled"),
    ]
    async with house.database.begin(for_staff()) as session:
        found = (await session.scalars(sa.select(WebhookMessage).order_by(WebhookMessage.id))).all()
    refunds = [msgspec.json.decode(message.body)["data"].get("refund") for message in found]
    assert [refund["total"] for refund in refunds if refund] == [
        {"amount": "100.00", "currency": "EUR"},
        {"amount": "157.61", "currency": "EUR"},
    ]


async def test_what_is_rolled_back_is_not_told(house: House) -> None:
    order = await house.place()
    with pytest.raises(RuntimeError, match="no"):
        async with house.database.begin(for_staff()) as session:
            await finish_sale(
                session, house.payments.catalog, order, entry_id=new_id(), now=house.clock.now(), base_url=""
            )
            raise RuntimeError("no")

    assert await told(house) == [("order.created", "payable")]
