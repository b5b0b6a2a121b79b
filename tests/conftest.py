"""What every test stands on: one real PostgreSQL, a database of its own for each test, a clock that stands still."""

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import fasteners
import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import sql

from kernel.clock import FixedClock
from kernel.db import APP_ROLE, OWNER_ROLE, Database
from kernel.embedded import EmbeddedServer, prepare_database, start_server
from kernel.migrate import MIGRATIONS, migrate
from kernel.settings import Settings
from sandbox.stripe_twin import tally

ROOT = Path(__file__).parent.parent
TEST_VAR = Path(os.environ.get("TEST_VAR") or ROOT / "var" / "test")
SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "400"}
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

hypothesis_settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
hypothesis_settings.register_profile(
    "dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "dev")

_numbers = itertools.count()


_twins = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Have every Stripe twin of this run, in whatever process, count what it sends: see `pytest_sessionfinish`."""
    if hasattr(config, "workerinput") or os.environ.get(tally.VARIABLE):
        return  # who started this process counts
    config.stash[_twins] = Path(tempfile.mkdtemp(prefix="stripe-twin-tally-"))
    os.environ[tally.VARIABLE] = str(config.stash[_twins])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a twin said something that was not checked, or that Stripe could not have said."""
    if _twins in session.config.stash and not tally.Tally.of(session.config.stash[_twins]).fine:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _twins not in config.stash:
        return
    told = tally.Tally.of(config.stash[_twins])
    if told["answer"] or not told.fine:
        terminalreporter.write_line(str(told), red=not told.fine, green=told.fine)


def pytest_unconfigure(config: pytest.Config) -> None:
    folder = config.stash.get(_twins, None)
    if folder is not None:
        shutil.rmtree(folder)
        del os.environ[tally.VARIABLE]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """The one PostgreSQL of all workers.

    It need not survive a power cut, so it does not wait for the disk: a clone for each test would cost seconds. Tests
    of durability start servers of their own. It has room for the pools of all the shops that workers keep open.
    """
    TEST_VAR.mkdir(parents=True, exist_ok=True)
    with fasteners.InterProcessLock(TEST_VAR / "server.lock"):
        running = start_server(TEST_VAR)
        if _has_to_start_again(running):
            running.stop()
            running = start_server(TEST_VAR)
    yield running
    running.stop()


def _has_to_start_again(running: EmbeddedServer) -> bool:
    """Whether a setting that this changes holds from the next start on only."""
    with psycopg.connect(running.superuser_url, autocommit=True) as connection:
        for setting, value in SERVER_SETTINGS.items():
            connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(setting), sql.Literal(value)))
        connection.execute("select pg_reload_conf()")
        found = connection.execute("show max_connections").fetchone()
    return found != (SERVER_SETTINGS["max_connections"],)


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """A migrated, empty database, made once for each state of the migrations."""
    versions = sorted((MIGRATIONS / "versions").glob("*.py"))
    sources = b"".join(path.read_bytes() for path in [*versions, MIGRATIONS / "support.py"])
    name = f"template_{hashlib.sha256(sources).hexdigest()[:12]}"
    with (
        fasteners.InterProcessLock(TEST_VAR / "template.lock"),
        psycopg.connect(server.superuser_url, autocommit=True) as connection,
    ):
        ready = connection.execute(
            "select 1 from pg_database where datname = %s and shobj_description(oid, 'pg_database') = 'ready'", (name,)
        ).fetchone()
        if ready is None:
            connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))
            prepare_database(server, name)
            migrate(server.url(name, OWNER_ROLE))
            connection.execute(sql.SQL("comment on database {} is 'ready'").format(sql.Identifier(name)))
    return name


@pytest.fixture
def database_name(server: EmbeddedServer, template: str) -> Iterator[str]:
    """A database for one test alone, cloned from the template."""
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} owner {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER_ROLE)
            )
        )
    yield name
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(server: EmbeddedServer, database_name: str) -> str:
    """Address of the test's database in the runtime role."""
    return server.url(database_name, APP_ROLE)


@pytest.fixture
def owner_url(server: EmbeddedServer, database_name: str) -> str:
    """Address of the test's database in the owner's role."""
    return server.url(database_name, OWNER_ROLE)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The test's database in the runtime role, under row-level security."""
    opened = Database.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FixedClock:
    """Noon of 21 November 2026, until moved."""
    return FixedClock(NOW)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Demo settings whose files lie in the test's own folder and whose publications take effect soon."""
    return Settings.from_environment(
        {"VAR": str(tmp_path / "var"), "DATABASE_URL": database_url, "PRICE_LEAD_TIME": "10"}
    )
