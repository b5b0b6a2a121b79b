"""Direct debits of the twin: the buyer is done at once, the bank's word comes days later."""

import re
from typing import Any

import httpx
import pytest
import stripe

from sandbox.stripe_twin import RunningTwin

SEVEN_DAYS = 7 * 24 * 60 * 60


def order(currency: str, *allowed: str) -> dict[str, Any]:
    return {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "allowed_payment_method_types": list(allowed),
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": currency, "unit_amount": 5000, "product_data": {"name": "CRUNCHY-ARMCHAIR"}},
            }
        ],
        "success_url": "http://127.0.0.1:9/thanks?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:9/back",
    }


def types_of(twin: RunningTwin) -> list[str]:
    events = reversed(twin.control.objects("event"))
    return [event["type"] for event in events if not event["type"].startswith(("charge.", "payment_intent.created"))]


@pytest.mark.parametrize(
    ("currency", "allowed", "offered"),
    [
        ("eur", ("card", "sepa_debit", "us_bank_account"), ["card", "sepa_debit"]),
        ("usd", ("card", "sepa_debit", "us_bank_account"), ["card", "us_bank_account"]),
        ("jpy", ("card", "sepa_debit"), ["card"]),
        ("eur", ("sepa_debit",), ["sepa_debit"]),
    ],
)
def test_what_does_not_work_in_the_currency_is_left_out_silently(
    client: stripe.StripeClient, currency: str, allowed: tuple[str, ...], offered: list[str]
) -> None:
    session = client.v1.checkout.sessions.create(order(currency, *allowed))  # type: ignore[arg-type]  # a plain dict

    assert session.payment_method_types == offered


def test_a_page_with_nothing_left_to_pay_by_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No valid payment method types"):
        client.v1.checkout.sessions.create(order("jpy", "sepa_debit"))  # type: ignore[arg-type]  # a plain dict


@pytest.mark.parametrize(
    ("bank", "status", "ending"),
    [("sepa", "paid", "async_payment_succeeded"), ("sepa_fails", "unpaid", "async_payment_failed")],
)
def test_a_debit_is_complete_and_unpaid_until_the_bank_has_decided(
    client: stripe.StripeClient, twin: RunningTwin, bank: str, status: str, ending: str
) -> None:
    made = client.v1.checkout.sessions.create(order("eur", "card", "sepa_debit"))  # type: ignore[arg-type]  # a dict
    assert twin.control.pay_at_once(made.id, bank).outcome == "processing"

    def seen() -> tuple[str | None, str, str]:
        found = client.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]})
        assert isinstance(found.payment_intent, stripe.PaymentIntent)
        return found.status, found.payment_status, found.payment_intent.status

    assert seen() == ("complete", "unpaid", "processing")
    twin.control.shift_clock(SEVEN_DAYS - 60)
    assert seen() == ("complete", "unpaid", "processing")
    twin.control.shift_clock(60)
    assert seen() == ("complete", status, "succeeded" if status == "paid" else "requires_payment_method")
    assert types_of(twin)[:2] == ["payment_intent.processing", "checkout.session.completed"]
    assert types_of(twin)[-1] == f"checkout.session.{ending}"


def test_the_hosted_page_offers_the_debit_and_names_what_is_wrong(client: stripe.StripeClient) -> None:
    made = client.v1.checkout.sessions.create(order("usd", "card", "us_bank_account"))  # type: ignore[arg-type]  # dict
    assert made.url is not None
    with httpx.Client(headers={"Accept-Language": "en"}) as browser:
        assert "Pay by US bank account" in browser.get(made.url).text
        page = browser.get(f"{made.url}?account=000123456789").text
        typed = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]*)"', page))
        assert typed["routing"] == "110000000"
        refused = browser.post(made.url, data={**typed, "routing": "1"})
        assert refused.status_code == 422
        assert "Enter the routing number of the test bank" in refused.text
        left = browser.post(made.url, data=typed)
        assert (left.status_code, left.headers["location"]) == (303, f"http://127.0.0.1:9/thanks?session={made.id}")
        assert "This payment is under way" in browser.get(made.url).text
        assert "Este pago está en curso" in browser.get(made.url, headers={"Accept-Language": "es"}).text


def test_a_debit_that_came_can_be_refunded(client: stripe.StripeClient, twin: RunningTwin) -> None:
    made = client.v1.checkout.sessions.create(order("eur", "sepa_debit"))  # type: ignore[arg-type]  # a plain dict
    twin.control.pay_at_once(made.id, "sepa")
    intent = str(client.v1.checkout.sessions.retrieve(made.id).payment_intent)
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        client.v1.refunds.create({"payment_intent": intent})
    twin.control.shift_clock(SEVEN_DAYS)

    assert client.v1.refunds.create({"payment_intent": intent}).status == "succeeded"
