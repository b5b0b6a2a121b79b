import pytest
import stripe

from sandbox.stripe_twin import RunningTwin
from tests.sandbox.stripe_twin.receiver import session_params


def paid_intent(client: stripe.StripeClient, twin: RunningTwin, card: str = "visa") -> str:
    session = client.v1.checkout.sessions.create(session_params())
    twin.control.pay_at_once(session.id, card)
    intent = client.v1.checkout.sessions.retrieve(session.id).payment_intent
    assert isinstance(intent, str)
    return intent


def event_types(twin: RunningTwin, since: int) -> list[str]:
    """Of the events after the first *since*."""
    newest_first = twin.control.objects("event")
    return [event["type"] for event in reversed(newest_first)][since:]


def test_refunds_never_exceed_the_charge(client: stripe.StripeClient, twin: RunningTwin) -> None:
    intent = paid_intent(client, twin)
    client.v1.refunds.create({"payment_intent": intent, "amount": 1000})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": intent, "amount": 1469})
    client.v1.refunds.create({"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        client.v1.refunds.create({"payment_intent": intent})
    assert sum(refund["amount"] for refund in twin.control.objects("refund")) == 2468


def test_a_refund_may_take_its_time(client: stripe.StripeClient, twin: RunningTwin) -> None:
    refund = client.v1.refunds.create({"payment_intent": paid_intent(client, twin, "refund_pending")})
    assert refund.status == "pending"
    before = len(twin.control.objects("event"))

    twin.control.shift_clock(59)
    assert client.v1.refunds.retrieve(refund.id).status == "pending"
    twin.control.shift_clock(1)

    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    twin.control.shift_clock(3600)
    assert event_types(twin, before) == ["refund.updated"]
    assert twin.control.violations() == []


def test_a_refund_may_be_sent_back_after_it_succeeded(client: stripe.StripeClient, twin: RunningTwin) -> None:
    intent = paid_intent(client, twin, "refund_fails")
    refund = client.v1.refunds.create({"payment_intent": intent, "amount": 1000})
    assert refund.status == "succeeded"
    before = len(twin.control.objects("event"))

    twin.control.shift_clock(61)

    failed = client.v1.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    assert (failed.failure_balance_transaction.amount, failed.failure_balance_transaction.fee) == (1000, 0)
    [charge] = client.v1.charges.list({"payment_intent": intent}).data
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert event_types(twin, before) == ["refund.updated", "refund.failed"]
    assert client.v1.refunds.create({"payment_intent": intent}).amount == 2468
    assert twin.control.violations() == []
