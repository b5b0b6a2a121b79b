from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from sandbox.stripe_twin import RunningTwin, running_twin
from tests.sandbox.stripe_twin.receiver import SECRET, Receiver, listening_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening_receiver() as listening:
        yield listening


@pytest.fixture
def twin(tmp_path: Path, receiver: Receiver) -> Iterator[RunningTwin]:
    file = tmp_path / "twin.sqlite"
    with running_twin(file=file, webhook_url=receiver.url, webhook_secret=SECRET) as running:
        yield running
        unexpected = [found for found in running.control.violations() if found["direction"] != "request"]
        assert unexpected == []


@pytest.fixture
def client(twin: RunningTwin) -> Iterator[stripe.StripeClient]:
    http_client = stripe.RequestsClient(timeout=2)
    yield stripe.StripeClient(
        "sk_test_of_the_tests",
        base_addresses={"api": twin.base_url},
        max_network_retries=0,
        http_client=http_client,
    )
    http_client.close()  # type: ignore[no-untyped-call]  # stripe leaves it untyped
