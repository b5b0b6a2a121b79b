"""kill -9 at every failpoint beside checkout: acts are whole or never were, work goes on where it was, once."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kernel.embedded import EmbeddedServer
from tests.agreements.stamping import running_authority
from tests.conftest import TEST_VAR
from tests.recovery.conftest import World
from tests.recovery.rooms import JOURNEYS, Outside, RoomJourney, RoomTruth, Walk, running_outside


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with running_outside() as running:
        yield running


@pytest.fixture(scope="module")
def world_of_rooms(
    server: EmbeddedServer, demo_template: str, tmp_path_factory: pytest.TempPathFactory, outside: Outside
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("rooms")
    shutil.copy(TEST_VAR / "demo" / "keyring.json", folder / "keyring.json")  # a key of it is exchanged
    with ExitStack() as stack:
        authority = stack.enter_context(running_authority(folder))
        settings = {
            "SIGNING_KEYRING": str(folder / "keyring.json"),
            "TAX": "stripe",
            "TAX_ID_CHECK": "vies",
            "VIES_URL": outside.url,
            "TIMESTAMP_URL": authority.url,
            "TIMESTAMP_CERTIFICATES": str(authority.roots),
            "WEBHOOKS_TO_LOOPBACK": "on",
        }
        kept = World(server, demo_template, folder, RoomTruth, settings, RoomJourney)
        stack.callback(kept.close)
        yield kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("walk", "failpoint"),
    [
        pytest.param(walk, failpoint, id=f"{walk.__name__}-{failpoint or 'nobody'}")
        for walk, reached in JOURNEYS.items()
        for failpoint in ("", *reached)
    ],
)
def test_killed_anywhere_what_was_begun_is_whole_or_never_was(
    walk: Walk, failpoint: str, world_of_rooms: World, outside: Outside
) -> None:
    with world_of_rooms.journey() as journey:
        assert isinstance(journey, RoomJourney)
        journey.begin(failpoint)

        walk(journey, outside)

        assert journey.deaths == (1 if failpoint else 0), f"{failpoint} was never reached"
        journey.truth.check()
        with journey.immortal():
            assert journey.ask("ledger_is_whole")
