"""kill -9 of a shop whose tax Stripe calculates: an order bears the tax it was shown with, and is made once."""

from collections.abc import Iterator

import pytest

from kernel.embedded import EmbeddedServer
from tests.recovery.conftest import World
from tests.recovery.test_kill_9 import TAXED, place, settle_by_webhook


@pytest.fixture(scope="module")
def taxed_world(
    server: EmbeddedServer, demo_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    kept = World(server, demo_template, tmp_path_factory.mktemp("recovery-taxed"), settings={"TAX": "stripe"})
    yield kept
    kept.close()


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", ["", *TAXED], ids=lambda point: point.removeprefix("checkout.") or "nobody dies")
def test_killed_while_tax_is_calculated_the_order_is_made_once_with_it(failpoint: str, taxed_world: World) -> None:
    with taxed_world.journey() as journey:
        journey.begin(failpoint)

        number = place(journey)
        journey.do("pay", number=number)
        ending = settle_by_webhook(journey)

        assert journey.deaths == bool(failpoint)
        [order] = journey.orders()
        assert order["state"] == ending
        calculated = journey.twin.control.objects("tax.calculation")
        kept = order["tax_inputs"]["calculation"]
        assert kept["id"] in {each["id"] for each in calculated}
        assert next(each["amount_total"] for each in calculated if each["id"] == kept["id"]) == order["total_minor"]
        journey.truth.check()
