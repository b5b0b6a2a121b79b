"""A house that lives a whole life inside one test: its services die and start again, its Stripe lies, its clock jumps.

The database is a clone of one that is furnished once, the twin is an object that is called over HTTP, webhooks are
carried by the test itself. Nothing here depends on the real clock or on the order of threads, so that what fails once
fails again.
"""

import asyncio
import itertools
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from accounts.model import Person, StaffRole
from accounts.principal import Principal, PrincipalKind
from agreements.service import Agreements
from checkout.credit import CreditControl, Terms
from kernel.clock import FixedClock
from kernel.db import APP_ROLE, OWNER_ROLE, Database, Scope, for_accounts
from kernel.embedded import EmbeddedServer
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.money import Money
from kernel.signing import Keyring
from sandbox.stripe_twin import RunningTwin
from sandbox.stripe_twin.server import Server
from sandbox.stripe_twin.twin import Twin
from tests.checkout.conftest import Books, House, furnish, make_gateway, make_member, services
from tests.conftest import NOW

Result = TypeVar("Result")
PATIENCE_SECONDS = 0.4
"""How long the house waits for Stripe here; a lying Stripe keeps it waiting a little longer."""
PATIENCE_AT_REST = 5.0
CREDIT = Money(150_000, "EUR")
"""What Acme may owe on terms; the others pay at once."""
_numbers = itertools.count()


class Died(BaseException):
    """The process would be gone now: no handler of the house's own may catch it."""


class MortalDatabase(Database):
    """Dies at a commit, before or after it, where a failpoint stands: whatever came before is done, nothing later is.

    What lies between two commits is a call of Stripe at most, so this is also to die before a call and after it.
    """

    moments_left: int | None = None
    """Commits count twice: before and after. None: lives on."""

    @asynccontextmanager
    async def begin(self, scope: Scope, point: Failpoint | None = None) -> AsyncIterator[AsyncSession]:
        async with super().begin(scope, point) as session:
            yield session
            if point is not None:
                await session.flush()
                self._live_on()
        if point is not None:
            self._live_on()

    def _live_on(self) -> None:
        if self.moments_left is not None:
            self.moments_left -= 1
            if self.moments_left < 0:
                self.moments_left = None
                raise Died


class Stage:
    """What all lives share: a furnished database to clone, and one address of Stripe's."""

    def __init__(self, server: EmbeddedServer, template: str, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.furnished_at = NOW
        self.seen: Counter[str] = Counter()
        """What the lives came by: a machine that reaches nothing finds nothing."""
        self.twin_server = Server(0)
        self._thread = threading.Thread(
            target=self.twin_server.serve_forever, kwargs={"poll_interval": 0.02}, name="stripe-twin", daemon=True
        )
        self._thread.start()
        self._database_url = ""
        self.engine = create_async_engine("postgresql+psycopg://", async_creator=self._connect, pool_size=10)
        """One for all lives, reaching that of now: it remembers how statements are compiled, and nothing else."""
        self._name = f"life_{os.getpid()}_{next(_numbers)}"
        self._clone(template, self._name)
        self.keyring, self.people = asyncio.run(self._furnish())

    async def _furnish(self) -> tuple[Keyring, dict[str, Principal]]:
        database = Database.connect(self._server.url(self._name, APP_ROLE))
        clock = FixedClock(NOW)
        _, acme, globex = await furnish(database, clock, self._folder)
        await CreditControl(database, clock).change(
            "acme", Terms(net_days=30, limit=CREDIT), shown=None, reason="Known for years", by=None
        )
        initech = await make_member(database, clock, name="Initech Inc.", country="US", currency="USD")
        clerk = Person(
            id=new_id(), email="clerk@shop.example", name="The clerk", locale="en", password_hash="-",
            created_at=clock.now(),
        )  # fmt: skip
        async with database.begin(for_accounts()) as session:
            session.add(clerk)
        await database.close()
        staff = Principal(
            kind=PrincipalKind.STAFF, visitor_id=new_id(), staff_role=StaffRole.FINANCE, person_id=clerk.id
        )
        self.furnished_at = clock.now()
        return Keyring.read(self._folder / "keyring.json"), {
            "acme": acme, "globex": globex, "initech": initech, "staff": staff,
        }  # fmt: skip

    @contextmanager
    def world(self) -> Iterator[tuple["World", str]]:
        """A life from its beginning to its end, and the address of its database for who sees everything."""
        number = next(_numbers)
        name, file = f"{self._name}_{number}", self._folder / f"twin-{number}.sqlite"
        self._clone(self._name, name)
        self._database_url = self._server.url(name, APP_ROLE)
        clock = FixedClock(self.furnished_at)
        twin = Twin(file=file, base_url=self.twin_server.base_url, clock=clock.now)
        self.twin_server.twin = twin
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        world = World(self, runner, RunningTwin(self.twin_server.base_url, twin), clock)
        try:
            world.start()
            yield world, self._server.url(name, "postgres")
        finally:
            world.stop()
            runner.close()
            twin.store.close()
            for left in file.parent.glob(f"{file.name}*"):
                left.unlink()
            self._drop(name)

    def close(self) -> None:
        self.twin_server.shutdown()
        self._thread.join()
        self.twin_server.close_connections()
        self.twin_server.server_close()
        self._drop(self._name)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self._database_url, options="-c timezone=UTC -c lock_timeout=15s")

    def _clone(self, template: str, name: str) -> None:
        self._do("create database {} template {} owner {}", name, template, OWNER_ROLE)

    def _drop(self, name: str) -> None:
        self._do("drop database {} with (force)", name)

    def _do(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._server.superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class World:
    """One life: the house as it runs now, and what outlives it - database, Stripe, clock and published prices."""

    def __init__(self, stage: Stage, runner: asyncio.Runner, twin: RunningTwin, clock: FixedClock) -> None:
        self.stage = stage
        self.people = stage.people
        self.twin = twin
        self.clock = clock
        self.books = Books()
        self.deaths = 0
        self.patience = PATIENCE_SECONDS
        self._runner = runner
        self._house: House | None = None
        self._database: MortalDatabase | None = None

    @property
    def house(self) -> House:
        assert self._house is not None, "it does not run"
        return self._house

    def start(self) -> None:
        """Its process begins, without what it does at start-up."""
        self.run(self._start())

    def stop(self) -> None:
        if self._house is not None:
            self.run(self._stop())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    def live(self, work: Callable[[], Awaitable[Result]], *, dies: int | None = None) -> Result | None:
        """Do *work*; after *dies* moments of commits the process dies, starts again and recovers: None then."""
        assert self._database is not None, "it does not run"
        self._database.moments_left = dies
        try:
            return self.run(_awaited(work))
        except Died:
            self.deaths += 1
            self.restart()
            return None
        finally:
            self._database.moments_left = None

    def restart(self, *, dies: int | None = None) -> None:
        """The process ends wherever it is; the next one recovers, and may die over it, once."""
        self.stop()
        self.start()
        self.live(self.house.payments.recover, dies=dies)

    async def _start(self) -> None:
        self._database = MortalDatabase(self.stage.engine)
        gateway = make_gateway(self.clock, self.twin.base_url, read_seconds=self.patience)
        agreements = Agreements(self.clock, self.stage.keyring)
        parts = services(self._database, self.clock, agreements, gateway, books=self.books)
        acme, globex, staff = (self.people[name] for name in ("acme", "globex", "staff"))
        self._house = House(**parts, twin=self.twin, acme=acme, globex=globex, staff=staff)

    async def _stop(self) -> None:
        house, self._house = self.house, None
        await house.gateway.close()
        await house.database.close()


async def _awaited(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()
