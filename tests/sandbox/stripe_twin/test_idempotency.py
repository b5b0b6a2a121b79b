import threading
from typing import Any

import httpx
import pytest
import stripe

from sandbox.stripe_twin import Fault, RunningTwin
from tests.sandbox.stripe_twin.receiver import session_params

KEY: stripe.RequestOptions = {"idempotency_key": "attempt-1"}
BODY = "email=buyer@acme.example"


def post_customer(twin: RunningTwin, *, key: str = "k", body: str = BODY) -> httpx.Response:
    headers = {
        "Authorization": "Bearer sk_test_x",
        "Idempotency-Key": key,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return httpx.post(f"{twin.base_url}/v1/customers", content=body, headers=headers)


def test_the_same_key_gets_the_same_bytes_again(twin: RunningTwin) -> None:
    first, second = post_customer(twin), post_customer(twin)
    assert second.content == first.content
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Original-Request"] == first.headers["Request-Id"]
    assert second.headers["Request-Id"] != first.headers["Request-Id"]
    assert len(twin.control.objects("customer")) == 1


def test_the_order_of_parameters_does_not_matter_but_their_values_do(client: stripe.StripeClient) -> None:
    params = session_params()
    session = client.v1.checkout.sessions.create(params, KEY)
    turned: Any = dict(reversed(params.items()))
    assert client.v1.checkout.sessions.create(turned, KEY).id == session.id
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as mismatch:
        client.v1.checkout.sessions.create(session_params(client_reference_id="other"), KEY)
    assert mismatch.value.http_status == 400


def test_a_key_in_use_is_409_and_serves_again_afterwards(twin: RunningTwin) -> None:
    twin.control.add_fault(Fault("slow", path="/v1/customers", seconds=0.5))
    slow: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: slow.append(post_customer(twin)))
    thread.start()
    while twin.control.faults.waiting():
        pass  # until the slow request is inside
    eager = post_customer(twin)
    thread.join()
    assert eager.status_code == 409
    assert eager.json()["error"]["code"] == "idempotency_key_in_use"
    assert slow[0].status_code == 200
    assert post_customer(twin).content == slow[0].content


def test_a_saved_500_is_replayed_until_the_key_is_forgotten(client: stripe.StripeClient, twin: RunningTwin) -> None:
    twin.control.add_fault(Fault("error", method="POST", status=500))
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            client.v1.checkout.sessions.create(session_params(), KEY)
        assert failed.value.http_status == 500
    assert twin.control.objects("checkout.session") == []
    twin.control.shift_clock(86400 + 1)
    assert client.v1.checkout.sessions.create(session_params(), KEY).status == "open"


def test_a_500_after_the_deed_hides_a_session_that_exists(client: stripe.StripeClient, twin: RunningTwin) -> None:
    twin.control.add_fault(Fault("error", status=500, after=True))
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.v1.checkout.sessions.create(session_params(), KEY)
    assert [session.client_reference_id for session in client.v1.checkout.sessions.list().data] == ["order-1001"]


@pytest.mark.parametrize(("status", "error"), [(429, stripe.RateLimitError), (409, stripe.APIError)])
def test_a_refusal_at_the_door_is_not_saved(
    client: stripe.StripeClient, twin: RunningTwin, status: int, error: type[Exception]
) -> None:
    twin.control.add_fault(Fault("error", status=status))
    with pytest.raises(error):
        client.v1.checkout.sessions.create(session_params(), KEY)
    assert client.v1.checkout.sessions.create(session_params(), KEY).status == "open"


def test_refused_parameters_are_not_saved_but_a_failed_operation_is(twin: RunningTwin) -> None:
    assert post_customer(twin, body="wrong=1").status_code == 400
    assert post_customer(twin).status_code == 200
    refused = post_customer(twin, key="other", body="email=nonsense")
    again = post_customer(twin, key="other", body="email=nonsense")
    assert refused.status_code == again.status_code == 400
    assert again.headers["Idempotent-Replayed"] == "true"
