"""One furnished shop for each worker: tests here ask it everything, and nothing they may do spoils it for the next."""

import asyncio
import io
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from kernel.embedded import EmbeddedServer
from kernel.log import configure_logging
from sandbox.stripe_twin import running_twin
from tests.security.house import SECRETS, House, furnish, make_costs_telling
from tests.security.routes import Route, routes_of
from tests.web.conftest import _a_minute_after, _cloned, _open
from tests.web.conftest import demo_template as demo_template  # noqa: PLC0414 - pytest finds it here by this name


@pytest.fixture(scope="session")
async def house(
    server: EmbeddedServer, demo_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """The shop a minute after the demo's prices took effect, in use."""
    folder: Path = tmp_path_factory.mktemp("security")
    clock = _a_minute_after()
    with (
        _cloned(server, demo_template, f"security_{os.getpid()}") as url,
        running_twin(file=folder / "twin.sqlite", clock=clock.now) as twin,
    ):
        async with _open(url, clock, STRIPE_API_KEY="sk_test_twin", STRIPE_API_BASE=twin.base_url) as opened:
            await make_costs_telling(opened.services, clock)
            yield await furnish(opened.app, opened.services, opened.clock, twin)
        await asyncio.sleep(0)  # lets the closed connections to the twin end before anyone looks for leaks


@pytest.fixture
def routes(house: House) -> list[Route]:
    return routes_of(house.app)


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[io.StringIO]:
    """What production would log while the test runs: never a secret, whatever the test does."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()
    logged = stream.getvalue()
    assert not [secret for secret in SECRETS if secret in logged], logged[:2000]
