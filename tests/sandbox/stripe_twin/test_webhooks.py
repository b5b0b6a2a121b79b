import time

import pytest
import stripe

from sandbox.stripe_twin import RunningTwin, Twist
from tests.sandbox.stripe_twin.receiver import SECRET, Receiver, session_params

PAID = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "charge.updated",
    "checkout.session.completed",
]


def pay(client: stripe.StripeClient, twin: RunningTwin) -> str:
    session = client.v1.checkout.sessions.create(session_params())
    twin.control.pay_at_once(session.id)
    return session.id


def test_events_arrive_signed_and_say_what_the_api_says(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    session_id = pay(client, twin)
    twin.control.drain()
    assert receiver.types() == PAID
    completed = receiver.events()[-1]
    assert (completed.api_version, completed.livemode) == ("2026-10-28.endive", False)
    assert completed.data.object["id"] == session_id
    assert completed.data.object["payment_status"] == "paid"
    assert client.v1.events.retrieve(completed.id).pending_webhooks == 0


def test_a_refused_webhook_comes_again_until_it_is_taken(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    receiver.answers = [500, 302]
    client.v1.customers.create({"email": "buyer@acme.example"})
    for _ in range(3):
        twin.control.drain()
        twin.control.retry_webhooks_now()
    twin.control.drain()
    assert receiver.types() == ["customer.created"]
    assert [(row["state"], row["attempts"]) for row in twin.control.deliveries()] == [("delivered", 3)]


def test_the_pause_grows_and_after_three_days_the_twin_gives_up(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    receiver.answers = [500] * 3
    client.v1.customers.create({})
    twin.control.drain()
    first = twin.control.deliveries()[0]["due_at"] - time.time()  # noqa: TID251 -- the twin runs on the real clock
    twin.control.retry_webhooks_now()
    twin.control.drain()
    second = twin.control.deliveries()[0]["due_at"] - time.time()  # noqa: TID251 -- the twin runs on the real clock
    assert 0 < first <= 1 < second <= 2
    twin.control.shift_clock(3 * 86400 + 60)
    twin.control.drain()
    assert twin.control.deliveries()[0]["state"] == "failed"


def test_held_webhooks_come_when_released_in_reverse(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    twin.control.hold_webhooks()
    pay(client, twin)
    twin.control.drain()
    assert receiver.received == []
    assert twin.control.release_webhooks(reverse=True) == len(PAID)
    twin.control.drain()
    assert receiver.types() == PAID[::-1]


def test_a_twist_holds_drops_doubles_delays_and_reverses(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    twin.control.twist_webhooks(Twist("drop", events="payment_intent.created"))
    twin.control.twist_webhooks(Twist("hold", events="charge.updated"))
    twin.control.twist_webhooks(Twist("duplicate", events="checkout.session.completed", copies=3))
    twin.control.twist_webhooks(Twist("delay", events="charge.succeeded", seconds=60))
    pay(client, twin)
    twin.control.drain()
    assert receiver.types() == ["payment_intent.succeeded", *["checkout.session.completed"] * 3]
    twin.control.shift_clock(61)
    twin.control.drain()
    assert receiver.types()[4:] == ["charge.succeeded"]

    receiver.received.clear()
    twin.control.twist_webhooks(Twist("reverse", times=5))
    pay(client, twin)
    twin.control.drain()
    assert receiver.types() == PAID[::-1]


def test_forged_and_stale_signatures_are_told_by_the_library(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    twin.control.twist_webhooks(Twist("wrong_secret"))
    twin.control.twist_webhooks(Twist("timestamp", seconds=-600))
    client.v1.customers.create({})
    client.v1.customers.create({})
    twin.control.drain()
    (forged, forged_signature), (stale, stale_signature) = receiver.received
    with pytest.raises(stripe.SignatureVerificationError, match="No signatures found matching"):
        stripe.Webhook.construct_event(forged, forged_signature, SECRET)
    with pytest.raises(stripe.SignatureVerificationError, match="Timestamp outside"):
        stripe.Webhook.construct_event(stale, stale_signature, SECRET)


def test_a_rolled_secret_signs_beside_the_old_one_for_a_while(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    twin.control.roll_webhook_secret("whsec_new", overlap_seconds=3600)
    client.v1.customers.create({})
    twin.control.drain()
    assert [event.type for event in receiver.events(secret=SECRET)] == ["customer.created"]
    assert [event.type for event in receiver.events(secret="whsec_new")] == ["customer.created"]
    receiver.received.clear()
    twin.control.roll_webhook_secret("whsec_newest", overlap_seconds=-1)
    client.v1.customers.create({})
    twin.control.drain()
    with pytest.raises(stripe.SignatureVerificationError):
        receiver.events(secret="whsec_gone")
    assert receiver.events(secret="whsec_newest")


def test_an_event_can_lie_about_its_version_and_mode(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    fields = {"api_version": "2024-06-20", "livemode": True}
    twin.control.twist_webhooks(Twist("rewrite", fields=fields))
    client.v1.customers.create({})
    twin.control.drain()
    (event,) = receiver.events()
    assert (event.api_version, event.livemode) == ("2024-06-20", True)


def test_an_event_can_be_sent_again(client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver) -> None:
    client.v1.customers.create({})
    twin.control.drain()
    twin.control.resend_event(receiver.events()[0].id)
    twin.control.drain()
    assert len({event.id for event in receiver.events()}) == 1
    assert len(receiver.received) == 2
