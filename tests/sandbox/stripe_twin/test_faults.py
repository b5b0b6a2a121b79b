import httpx
import pytest
import stripe

from sandbox.stripe_twin import Fault, RunningTwin, SeededFaults
from tests.sandbox.stripe_twin.receiver import session_params

KEY: stripe.RequestOptions = {"idempotency_key": "attempt-1"}


def test_a_lost_answer_is_replayed_under_the_same_key(client: stripe.StripeClient, twin: RunningTwin) -> None:
    twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/checkout/sessions"))
    with pytest.raises(stripe.APIConnectionError):
        client.v1.checkout.sessions.create(session_params(), KEY)
    session = client.v1.checkout.sessions.create(session_params(), KEY)
    assert [made["id"] for made in twin.control.objects("checkout.session")] == [session.id]
    assert [request["outcome"] for request in twin.control.requests()] == ["200", "200 replayed"]


@pytest.mark.parametrize("fault", [Fault("reset"), Fault("timeout", seconds=0.1)])
def test_a_broken_connection_did_nothing(client: stripe.StripeClient, twin: RunningTwin, fault: Fault) -> None:
    twin.control.add_fault(fault)
    with pytest.raises(stripe.APIConnectionError):
        client.v1.checkout.sessions.create(session_params(), KEY)
    assert twin.control.objects("checkout.session") == []
    assert client.v1.checkout.sessions.create(session_params(), KEY).status == "open"


def test_garbage_comes_after_the_deed(client: stripe.StripeClient, twin: RunningTwin) -> None:
    twin.control.add_fault(Fault("garbage"))
    with pytest.raises(stripe.APIError, match="Invalid response body"):
        client.v1.checkout.sessions.create(session_params(), KEY)
    assert len(twin.control.objects("checkout.session")) == 1


def test_a_slow_answer_comes(client: stripe.StripeClient, twin: RunningTwin) -> None:
    twin.control.add_fault(Fault("slow", seconds=0.05))
    assert client.v1.checkout.sessions.create(session_params()).status == "open"


def test_a_fault_strikes_what_it_names_and_as_often_as_it_says(client: stripe.StripeClient, twin: RunningTwin) -> None:
    twin.control.add_fault(Fault("error", method="POST", path="/v1/refunds", times=2, status=503))
    client.v1.checkout.sessions.create(session_params())
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.v1.refunds.create({"payment_intent": "pi_x"})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": "pi_x"})


def test_seeded_faults_are_the_same_for_the_same_seed(client: stripe.StripeClient, twin: RunningTwin) -> None:
    def outcomes(seed: int) -> list[bool]:
        twin.control.seed_faults(SeededFaults(seed=seed, rate=0.5, requests=12, kinds=("error",)))
        answered = []
        for _ in range(12):
            try:
                client.v1.customers.list()
                answered.append(True)
            except stripe.StripeError:
                answered.append(False)
        return answered

    first = outcomes(7)
    assert outcomes(7) == first
    assert set(first) == {True, False}
    client.v1.customers.list()


def test_the_entrance_over_http_does_the_same(client: stripe.StripeClient, twin: RunningTwin) -> None:
    at = f"{twin.base_url}/_twin"
    session = client.v1.checkout.sessions.create(session_params())
    paid = httpx.post(f"{at}/pay", json={"session": session.id, "card": "3ds", "authentication": "pass"})
    assert paid.json()["outcome"] == "paid"
    assert httpx.post(f"{at}/faults", json={"kind": "error", "status": 429}).json() == {"faults_waiting": 1}
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    assert httpx.get(f"{at}/objects?type=checkout.session").json()[0]["payment_status"] == "paid"
    assert httpx.get(f"{at}/violations").json() == []
    assert httpx.post(f"{at}/clock", json={"shift_seconds": 60}).json()["clock_shift_seconds"] == 60
    assert httpx.get(f"{at}/status").json()["objects"]["charge"] == 1
    assert httpx.post(f"{at}/pay", json={"session": "cs_test_none"}).status_code == 404
    assert httpx.post(f"{at}/pay", json={"session": session.id, "card": "gold"}).status_code == 400
    assert httpx.post(f"{at}/faults", json={"kind": "fire"}).status_code == 400
    assert httpx.post(f"{at}/faults", json={"kind": "error", "staus": 500}).status_code == 400
    assert httpx.get(f"{at}/nothing").status_code == 404
