"""API keys kept in memory: believed only while the database is heard, dropped when it says so."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from accounts.key_cache import CHANNEL
from accounts.key_service import ApiKeys, KeyRefused
from accounts.keys import PresentedKey
from accounts.model import Company, MemberRole
from accounts.principal import Principal
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, libpq_url
from kernel.embedded import EmbeddedServer
from kernel.listening import Listener
from tests.accounts.conftest import Cast

LOOK = "FROM api_key"


class Statements:
    """Counts the statements that hold *part*."""

    def __init__(self, database: Database, part: str) -> None:
        self.count = 0
        self._part = part
        sa.event.listen(database.engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.count += self._part in statement


async def eventually(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < give_up, "it never came to hold"
        await asyncio.sleep(0.01)


def tell(url: str, statement: str, *parameters: object) -> None:
    """Change something behind the services' back, committed when this returns."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection, connection.transaction():
        connection.execute("select set_config('tarifa.scope', 'accounts', true)")
        connection.execute(statement.encode(), parameters)


def kill_listeners(server: EmbeddedServer, database_name: str) -> None:
    """End what listens to the test's database: only who runs the server may."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        killed = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = %s and query like '%%pg_listening_channels%%'",
            (database_name,),
        ).fetchall()
    assert killed == [(True,)]


@pytest.fixture
async def admin(cast: Cast) -> Principal:
    company = await cast.company()
    return await cast.member(company.id, "boss@globex.example", MemberRole.ADMIN)


@pytest.fixture
async def worker(database_url: str, clock: FixedClock) -> AsyncIterator[ApiKeys]:
    """Another process's services: a pool and a listening connection of their own."""
    async with AsyncExitStack() as stack:
        own = Database.connect(database_url)
        stack.push_async_callback(own.close)
        keys = ApiKeys(own, clock)
        await stack.enter_async_context(keys.listening())
        await eventually(lambda: keys._cache._listener.hears)
        yield keys


async def test_a_key_is_looked_up_once(worker: ApiKeys, keys: ApiKeys, admin: Principal) -> None:
    _, text = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    asked = Statements(worker._db, LOOK)

    principals = [await worker.authenticate_key(text) for _ in range(5)]

    assert asked.count == 1
    assert all(principal == principals[0] for principal in principals)


async def test_a_key_revoked_elsewhere_is_refused_when_the_notice_comes(
    worker: ApiKeys, keys: ApiKeys, admin: Principal
) -> None:
    row, text = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)

    before = worker._cache.changes
    await keys.revoke_api_key(admin, row.key_id)
    revoked = time.monotonic()
    await eventually(lambda: worker._cache.changes > before)

    assert time.monotonic() - revoked < 1
    with pytest.raises(KeyRefused) as refused:
        await worker.authenticate_key(text)
    assert refused.value.extra == {"reason": "revoked"}


async def test_who_revokes_a_key_finds_it_revoked_at_once(worker: ApiKeys, admin: Principal) -> None:
    row, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)

    await worker.revoke_api_key(admin, row.key_id)

    with pytest.raises(KeyRefused, match="revoked"):
        await worker.authenticate_key(text)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("update api_key set revoked_at = now() where company_id = %s", "revoked"),
        ("update api_key set expires_at = '2026-11-01' where company_id = %s", "expired"),
        ("update api_key set secret_sha256 = 'x' where company_id = %s", "unknown"),
    ],
)
async def test_whatever_ends_all_keys_of_a_company_reaches_the_workers(
    worker: ApiKeys, admin: Principal, database_url: str, statement: str, reason: str
) -> None:
    _, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)

    before = worker._cache.changes
    tell(database_url, statement, admin.company_id)
    await eventually(lambda: worker._cache.changes > before)

    with pytest.raises(KeyRefused) as refused:
        await worker.authenticate_key(text)
    assert refused.value.extra == {"reason": reason}


async def test_a_deleted_key_is_unknown(worker: ApiKeys, admin: Principal, owner_url: str) -> None:
    row, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)

    before = worker._cache.changes
    tell(owner_url, "delete from api_key where key_id = %s", row.key_id)
    await eventually(lambda: worker._cache.changes > before)

    with pytest.raises(KeyRefused, match="Nobody has this key"):
        await worker.authenticate_key(text)


async def test_what_changes_of_a_company_is_seen_by_the_next_request(
    worker: ApiKeys, admin: Principal, database_url: str
) -> None:
    _, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)

    before = worker._cache.changes
    tell(database_url, "update company set segments = '{gold}', currency = 'USD' where id = %s", admin.company_id)
    await eventually(lambda: worker._cache.changes > before)

    company = (await worker.authenticate_key(text)).company
    assert company is not None
    assert (company.segments, company.currency) == (("gold",), "USD")


async def test_another_companys_change_drops_nothing(
    worker: ApiKeys, admin: Principal, cast: Cast, database_url: str
) -> None:
    _, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)
    other = await cast.company("initech")

    before = worker._cache.changes
    tell(database_url, "update company set name = 'Initech' || name where id = %s", other.id)
    await eventually(lambda: worker._cache.changes > before)

    asked = Statements(worker._db, LOOK)
    await worker.authenticate_key(text)
    assert asked.count == 0


async def test_the_use_of_a_key_is_written_once_a_minute_and_is_no_change_of_it(
    worker: ApiKeys, admin: Principal, clock: FixedClock
) -> None:
    _, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)
    before = worker._cache.changes
    asked, noted = Statements(worker._db, LOOK), Statements(worker._db, "UPDATE api_key")

    for _ in range(4):
        clock.advance(seconds=30)
        await asyncio.gather(*(worker.authenticate_key(text) for _ in range(5)))
    await asyncio.sleep(0.1)

    assert asked.count == 0
    assert noted.count == 2
    assert worker._cache.changes == before


async def test_the_clock_of_each_use_decides_about_expiry(worker: ApiKeys, admin: Principal, clock: FixedClock) -> None:
    _, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"], lifetime=timedelta(hours=1))
    await worker.authenticate_key(text)
    asked = Statements(worker._db, LOOK)

    clock.advance(hours=1)

    with pytest.raises(KeyRefused) as refused:
        await worker.authenticate_key(text)
    assert refused.value.extra == {"reason": "expired"}
    assert asked.count == 0


async def test_a_wrong_secret_is_refused_by_a_kept_record_too(worker: ApiKeys, admin: Principal) -> None:
    row, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)

    with pytest.raises(KeyRefused, match="Nobody has this key"):
        await worker.authenticate_key(PresentedKey(row.key_id, PresentedKey.make().secret).text)


async def test_without_its_listening_connection_a_worker_asks_each_time_until_it_hears_again(
    worker: ApiKeys, keys: ApiKeys, admin: Principal, server: EmbeddedServer, database_name: str
) -> None:
    row, text = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)
    listener = worker._cache._listener

    kill_listeners(server, database_name)
    await eventually(lambda: not listener.hears)
    asked = Statements(worker._db, LOOK)
    await worker.authenticate_key(text)
    await worker.authenticate_key(text)
    assert asked.count == 2

    await keys.revoke_api_key(admin, row.key_id)
    with pytest.raises(KeyRefused, match="revoked"):
        await worker.authenticate_key(text)
    await eventually(lambda: listener.hears)
    with pytest.raises(KeyRefused, match="revoked"):
        await worker.authenticate_key(text)
    assert asked.count == 4


async def test_a_connection_that_falls_silent_is_not_believed(worker: ApiKeys, admin: Principal) -> None:
    _, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)
    listener = worker._cache._listener
    seconds = itertools.count(listener._elapsed() + 4, 4)
    listener._elapsed = lambda: next(seconds)  # each look at the clock comes four seconds after the last
    asked = Statements(worker._db, LOOK)
    await worker.authenticate_key(text)

    assert not listener.hears
    assert asked.count == 1


async def test_who_does_not_listen_keeps_nothing(keys: ApiKeys, admin: Principal) -> None:
    _, text = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    asked = Statements(keys._db, LOOK)

    await keys.authenticate_key(text)
    await keys.authenticate_key(text)

    assert asked.count == 2


async def test_a_record_read_before_a_change_is_not_kept_after_it(
    worker: ApiKeys, keys: ApiKeys, admin: Principal
) -> None:
    row, _ = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    cache = worker._cache
    changes = cache.changes
    record = await worker._ask(row.key_id)
    assert record is not None

    await keys.revoke_api_key(admin, row.key_id)
    await eventually(lambda: cache.changes > changes)
    cache.keep(record, changes=changes)
    cache.note_use(record, worker._clock.now())

    assert cache.find(row.key_id) is None


async def test_memory_is_bounded_and_holds_no_invented_keys(worker: ApiKeys, keys: ApiKeys, admin: Principal) -> None:
    cache = worker._cache
    cache._most = 3
    row, _ = await keys.create_api_key(admin, name="feed", scopes=["prices:read"])
    record = await worker.find_record(row.key_id)
    assert record is not None

    for number in range(10):
        cache.keep(msgspec.structs.replace(record, key_id=f"key{number}"), changes=cache.changes)
    for _ in range(5):
        with pytest.raises(KeyRefused):
            await worker.authenticate_key(PresentedKey.make().text)

    assert list(cache._kept) == ["key7", "key8", "key9"]


@pytest.mark.parametrize("notice", ["", "no company", str(uuid.UUID(int=1)) + "0"])
async def test_a_notice_that_is_not_ours_drops_everything(
    worker: ApiKeys, admin: Principal, database_url: str, notice: str
) -> None:
    _, text = await worker.create_api_key(admin, name="feed", scopes=["prices:read"])
    await worker.authenticate_key(text)

    tell(database_url, "select pg_notify(%s, %s)", CHANNEL, notice)
    await eventually(lambda: not worker._cache._kept)

    await worker.authenticate_key(text)
    assert worker._cache._kept


async def test_no_notice_is_sent_for_a_change_that_is_rolled_back(
    worker: ApiKeys, admin: Principal, database: Database
) -> None:
    before = worker._cache.changes

    with pytest.raises(ZeroDivisionError):
        async with database.begin(for_accounts()) as session:
            await session.execute(sa.update(Company).where(Company.id == admin.company_id).values(segments=["gold"]))
            await session.flush()
            raise ZeroDivisionError
    await asyncio.sleep(0.2)

    assert worker._cache.changes == before


async def test_a_listener_that_finds_nobody_tries_on_and_hears_nothing() -> None:
    told: list[str | None] = []
    listener = Listener(
        Database.connect("postgresql://nobody@127.0.0.1:1/none"), "channel", told.append, beat=0.01, silence=1
    )

    async with listener.listening():
        await eventually(lambda: len(told) > 2)
        assert not listener.hears

    assert set(told) == {None}


async def test_a_listener_tells_notices_in_order_and_says_when_it_began(database: Database, database_url: str) -> None:
    told: list[str | None] = []
    listener = Listener(database, "channel", told.append, beat=0.05)

    async with listener.listening():
        await eventually(lambda: listener.hears)
        for number in range(5):
            tell(database_url, "select pg_notify('channel', %s)", str(number))
        await eventually(lambda: "4" in told)

    assert told == [None, "0", "1", "2", "3", "4", None]
    assert not listener.hears
