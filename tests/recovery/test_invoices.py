"""kill -9 at every failpoint of paying later: one invoice, each piece of money once, the goods sold once."""

from collections.abc import Callable, Iterator

import pytest

from kernel.embedded import EmbeddedServer
from tests.recovery.conftest import Journey, World
from tests.recovery.invoices import JOURNEYS, InvoiceTruth


@pytest.fixture(scope="session")
def world_on_terms(
    server: EmbeddedServer, demo_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    kept = World(server, demo_template, tmp_path_factory.mktemp("invoices"), InvoiceTruth)
    yield kept
    kept.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("walk", "failpoint"),
    [
        pytest.param(walk, failpoint, id=f"{walk.__name__}-{failpoint.removeprefix('checkout.') or 'nobody'}")
        for walk, reached in JOURNEYS.items()
        for failpoint in ("", *reached)
    ],
)
def test_killed_anywhere_there_is_one_invoice_and_stripes_truth(
    walk: Callable[[Journey], str], failpoint: str, world_on_terms: World
) -> None:
    with world_on_terms.journey() as journey:
        journey.begin(failpoint)

        ending = walk(journey)

        assert journey.deaths == (1 if failpoint else 0), f"{failpoint} was never reached"
        assert [order["state"] for order in journey.orders()] == [ending]
        journey.truth.check()
        with journey.immortal():
            assert set(journey.ask("reconcile")) <= {"event_unhandled"}
