"""PostgreSQL stopped hard under writers: what was confirmed is there, what was not becomes exactly one when retried."""

import asyncio
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from accounts.principal import Principal, PrincipalKind
from checkout.model import Order
from kernel.clock import FixedClock
from kernel.db import APP_ROLE, OWNER_ROLE, Database
from kernel.embedded import EmbeddedServer, prepare_database, start_server
from kernel.ids import new_id
from kernel.migrate import migrate
from kernel.money import Money
from sandbox.stripe_twin import running_twin
from tests.checkout.conftest import House, furnish, make_gateway, make_member, services
from tests.conftest import NOW
from tests.life.invariants import Invariants
from web.cli import CommandFailed
from web.serve import require_durability

WRITERS = 8
STOPS = 3
NAME = "stopped"
Result = TypeVar("Result")


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A server as it runs in earnest, which waits for the disk: that of the other tests does not.

    Not below pytest's folder, which every new run of pytest closes to the server's own user.
    """
    with tempfile.TemporaryDirectory(prefix="tarifa-pg-", ignore_cleanup_errors=True) as folder:
        running = start_server(Path(folder))
        prepare_database(running, NAME)
        migrate(running.url(NAME, OWNER_ROLE))
        yield running
        running.stop()


def stop_hard(server: EmbeddedServer) -> None:
    """As a power cut ends it: no checkpoint, every connection cut."""
    handle = server.handle
    ran = subprocess.run(
        [server.bin / "pg_ctl", "-D", handle.pgdata, "-w", "-m", "immediate", "stop"],
        check=False,
        capture_output=True,
        text=True,
        user=handle.system_user,
    )
    assert ran.returncode == 0, ran.stderr


def start_again(server: EmbeddedServer) -> None:
    server.handle.ensure_postgres_running()


async def insist(act: Callable[[], Awaitable[Result]]) -> Result:
    """Do *act* again until the database answers, as a buyer does who sees an error page."""
    while True:
        try:
            return await act()
        except (DBAPIError, psycopg.Error, OSError):
            await asyncio.sleep(0.02)


async def more_of(confirmed: dict[str, Money]) -> None:
    """Wait until each writer has ordered twice more, on average: they are anywhere then."""
    enough = len(confirmed) + 2 * WRITERS
    async with asyncio.timeout(60):
        while len(confirmed) < enough:  # noqa: ASYNC110 - a dictionary tells nobody
            await asyncio.sleep(0.013)


async def write(house: House, buyer: Principal, over: asyncio.Event, confirmed: dict[str, Money]) -> None:
    """Order again and again, and remember what was confirmed."""
    while not over.is_set():
        await insist(lambda: house.fill(buyer, "MANUAL", "1"))
        await insist(lambda: house.details(buyer))
        review = await insist(lambda: house.review(buyer))

        async def accept() -> Order:
            return await house.accept(buyer, review)  # noqa: B023 - awaited before the next turn

        order = await insist(accept)
        assert order.total == review.totals.total
        confirmed[order.number] = order.total


@pytest.mark.slow
async def test_stopped_hard_under_eight_writers_it_loses_no_confirmed_order_and_makes_none_twice(
    own_server: EmbeddedServer, tmp_path: Path
) -> None:
    url = own_server.url(NAME, APP_ROLE)
    require_durability(url)
    clock = FixedClock(NOW)
    database = Database.connect(url, pool_size=WRITERS)
    folder = tmp_path / "house"
    folder.mkdir()
    agreements, acme, globex = await furnish(database, clock, folder)
    buyers = [acme, globex] + [await make_member(database, clock, name=f"Writer{n} S.L.") for n in range(WRITERS - 2)]
    with running_twin(file=tmp_path / "twin.sqlite", clock=clock.now) as twin:
        gateway = make_gateway(clock, twin.base_url)
        staff = Principal(kind=PrincipalKind.STAFF, visitor_id=new_id())
        house = House(
            **services(database, clock, agreements, gateway), twin=twin, acme=acme, globex=globex, staff=staff
        )
        before = Invariants(own_server.url(NAME, "postgres"), twin.control)
        over, confirmed = asyncio.Event(), dict[str, Money]()
        writers = [asyncio.create_task(write(house, buyer, over, confirmed)) for buyer in buyers]
        for _ in range(STOPS):
            await more_of(confirmed)
            await asyncio.to_thread(stop_hard, own_server)
            await asyncio.to_thread(start_again, own_server)
        await more_of(confirmed)
        over.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*writers)
        await house.payments.recover()

        truth = before.again(own_server.url(NAME, "postgres"))
        orders = {row["number"]: Money(row["total_minor"], row["currency"]) for row in truth.orders().values()}
        assert orders == confirmed
        assert len(confirmed) >= 2 * WRITERS * (STOPS + 1)
        truth.check_at_rest()
        truth.close()
        await gateway.close()
    await database.close()


def test_a_database_that_may_forget_is_refused(database_url: str) -> None:
    with pytest.raises(CommandFailed, match=r"could lose paid orders\. Turn it on"):
        require_durability(database_url)
