"""What the house relies on at Stripe, through its own gateway: the same cases for the twin and for Stripe's sandbox."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from checkout.model import CallOutcome
from checkout.stripe_gateway import Session, refund_of, session_of
from kernel.clock import Clock
from kernel.money import Money
from tests.stripe_cases.conftest import Side

BACK = "https://shop.example/orders/none"


def asked(reference: str, amount: int = 25761, currency: str = "eur") -> dict[str, Any]:
    """What a payment of an order asks for."""
    return {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "client_reference_id": reference,
        "customer_email": "buyer@acme.example",
        "locale": "en",
        "allowed_payment_method_types": ["card"],
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": currency,
                    "unit_amount": amount,
                    "product_data": {"name": "Order T-2026-000001", "description": "2 x CRUNCHY-ARMCHAIR"},
                },
            }
        ],
        "success_url": BACK + "?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": BACK,
        "metadata": {"attempt_id": reference},
        "payment_intent_data": {"metadata": {"attempt_id": reference}, "description": "Order T-2026-000001"},
    }


@pytest.fixture
def reference() -> str:
    return str(uuid.uuid4())


async def opened(side: Side, reference: str) -> Session:
    answer = await side.gateway.create_session(asked(reference), key=f"create-{reference}")
    assert answer.outcome is CallOutcome.DONE, answer.detail
    return session_of(answer.body or {})


async def paid(side: Side, reference: str) -> Session:
    session = await opened(side, reference)
    assert session.url is not None
    await side.pay(session.id, session.url, "visa")
    found = await side.gateway.retrieve_session(session.id)
    assert found is not None
    assert found.paid
    return found


@pytest.mark.parametrize(("amount", "currency"), [(25761, "EUR"), (25761, "USD"), (25761, "JPY")])
async def test_a_session_asks_for_exactly_the_orders_total(
    side: Side, reference: str, amount: int, currency: str
) -> None:
    answer = await side.gateway.create_session(asked(reference, amount, currency.lower()), key=f"create-{reference}")
    session = session_of(answer.body or {})
    assert (session.total, session.reference, session.status) == (Money(amount, currency), reference, "open")
    assert session.url is not None


async def test_the_same_key_gives_the_same_session(side: Side, reference: str) -> None:
    assert (await opened(side, reference)).id == (await opened(side, reference)).id


async def test_the_same_key_for_another_request_proves_nothing(side: Side, reference: str) -> None:
    await opened(side, reference)
    answer = await side.gateway.create_session(asked(reference, amount=500), key=f"create-{reference}")
    assert answer.outcome is CallOutcome.UNCERTAIN


async def test_a_session_that_was_expired_stays_so(side: Side, reference: str) -> None:
    session = await opened(side, reference)
    answer = await side.gateway.expire_session(session.id, key=f"expire-{reference}")
    found = await side.gateway.retrieve_session(session.id)
    assert answer.outcome is CallOutcome.DONE
    assert found is not None
    assert found.expired
    again = await side.gateway.expire_session(session.id, key=f"expire-again-{reference}")
    assert again.outcome is CallOutcome.REFUSED


async def test_a_session_is_found_by_our_reference(side: Side, reference: str) -> None:
    session = await opened(side, reference)
    clock: Clock = side.gateway._clock
    hour = timedelta(hours=1)
    found = await side.gateway.find_session(reference, since=clock.now() - hour, until=clock.now() + hour)
    assert found is not None
    assert found.id == session.id


async def test_an_unknown_session_and_refund_are_none(side: Side) -> None:
    assert await side.gateway.retrieve_session("cs_test_of_nobody") is None
    assert await side.gateway.retrieve_refund("re_of_nobody") is None


async def test_less_than_the_minimum_is_refused(side: Side, reference: str) -> None:
    answer = await side.gateway.create_session(asked(reference, amount=10), key=f"create-{reference}")
    assert answer.outcome is CallOutcome.REFUSED


async def test_a_declined_card_leaves_the_page_open(side: Side, reference: str) -> None:
    session = await opened(side, reference)
    assert session.url is not None
    await side.pay(session.id, session.url, "declined")
    found = await side.gateway.retrieve_session(session.id)
    assert found is not None
    assert (found.status, found.payment_status) == ("open", "unpaid")


async def test_what_was_paid_can_be_given_back_once(side: Side, reference: str) -> None:
    session = await paid(side, reference)
    wish = {"payment_intent": session.payment_intent_id, "amount": 20000, "metadata": {"refund_id": reference}}

    first = await side.gateway.create_refund(wish, key=f"refund-{reference}")
    again = await side.gateway.create_refund(wish, key=f"refund-{reference}")
    more = await side.gateway.create_refund(wish, key=f"refund-more-{reference}")

    assert first.outcome is CallOutcome.DONE
    assert refund_of(first.body or {}).id == refund_of(again.body or {}).id
    assert more.outcome is CallOutcome.REFUSED
    assert session.payment_intent_id is not None
    listed = await side.gateway.list_refunds_of(session.payment_intent_id)
    assert [(seen.reference, seen.amount) for seen in listed] == [(reference, Money(20000, "EUR"))]
