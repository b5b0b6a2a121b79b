"""API keys of the house's own people: each for oneself, as oneself, and no longer than one's place at the desk."""

import asyncio
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from accounts.details import NameRefused
from accounts.key_service import ApiKeys, KeyRefused, NoSuchKey, TooManyKeys, UnknownScope
from accounts.member_service import NotAllowed
from accounts.model import DeskScope, MemberRole, Person, StaffKey, StaffKeyCall, StaffRole
from accounts.principal import Principal, PrincipalKind
from accounts.repeated_calls import Claim, IdempotencyKeyReused, Owner, RepeatedCalls
from accounts.staff_keys import StaffKeys
from kernel.clock import FixedClock
from kernel.db import Database, for_accounts, for_company, for_staff, for_visitor, libpq_url
from kernel.settings import Settings
from kernel.signing import Keyring
from tests.accounts.conftest import Cast
from tests.accounts.test_key_cache import eventually, tell

ALL = [scope.value for scope in DeskScope]


@pytest.fixture
def staff_keys(database: Database, clock: FixedClock, keys: ApiKeys) -> StaffKeys:
    return StaffKeys(database, clock, keys)


@pytest.fixture
def keyring(clock: FixedClock, tmp_path: Path) -> Keyring:
    return Keyring.from_settings(Settings.from_environment({"VAR": str(tmp_path)}), now=clock.now())


@pytest.fixture
async def clerk(cast: Cast) -> Principal:
    return await cast.staff(StaffRole.FINANCE)


async def reason(keys: ApiKeys, text: str) -> object:
    with pytest.raises(KeyRefused) as refused:
        await keys.authenticate_key(text)
    return refused.value.extra["reason"]


async def test_a_key_acts_as_who_made_it_within_its_scopes(
    staff_keys: StaffKeys, keys: ApiKeys, clerk: Principal, database: Database, clock: FixedClock
) -> None:
    row, text = await staff_keys.create(clerk, name=" pipeline ", scopes=["desk:read", "desk:edit", "desk:read"])

    principal = await keys.authenticate_key(text)

    assert principal.kind is PrincipalKind.STAFF_KEY
    assert (principal.person_id, principal.staff_role) == (clerk.person_id, StaffRole.FINANCE)
    assert principal.scopes == {DeskScope.READ, DeskScope.EDIT}
    assert (principal.key_id, principal.company, principal.session_id) == (row.key_id, None, None)
    assert principal.db_scope() == for_staff()
    async with database.begin(for_accounts()) as session:
        kept = (await session.scalars(sa.select(StaffKey))).one()
    assert (kept.name, kept.used_at) == ("pipeline", clock.now())
    assert text.startswith(f"trf_{row.key_id}_")
    assert text[17:60] not in repr(kept)


@pytest.mark.parametrize("role", [StaffRole.SUPPORT, StaffRole.LEGAL])
async def test_only_the_finance_desk_makes_keys(staff_keys: StaffKeys, cast: Cast, role: StaffRole) -> None:
    colleague = await cast.staff(role)

    with pytest.raises(NotAllowed):
        await staff_keys.create(colleague, name="pipeline", scopes=ALL)
    with pytest.raises(NotAllowed):
        await staff_keys.list_keys(colleague)


async def test_neither_a_key_nor_a_company_makes_keys_of_the_desk(
    staff_keys: StaffKeys, keys: ApiKeys, clerk: Principal, cast: Cast
) -> None:
    row, text = await staff_keys.create(clerk, name="pipeline", scopes=ALL)
    program = await keys.authenticate_key(text)
    boss = await cast.member((await cast.company()).id, "boss@globex.example", MemberRole.ADMIN)

    for principal in (program, boss):
        with pytest.raises(NotAllowed):
            await staff_keys.create(principal, name="another", scopes=ALL)
        with pytest.raises(NotAllowed):
            await staff_keys.revoke(principal, row.key_id)


@pytest.mark.parametrize("scopes", [[], ["prices:read"], ["desk:read", "desk:everything"]])
async def test_scopes_of_companies_are_none_of_the_desk(
    staff_keys: StaffKeys, clerk: Principal, scopes: list[str]
) -> None:
    with pytest.raises(UnknownScope, match="desk:read, desk:edit, desk:approve, desk:publish"):
        await staff_keys.create(clerk, name="pipeline", scopes=scopes)


async def test_a_company_is_given_no_scope_of_the_desk(keys: ApiKeys, cast: Cast) -> None:
    boss = await cast.member((await cast.company()).id, "boss@globex.example", MemberRole.ADMIN)

    with pytest.raises(UnknownScope):
        await keys.create_api_key(boss, name="feed", scopes=["desk:read"])


async def test_two_keys_of_a_name_live_beside_each_other_and_no_third(
    staff_keys: StaffKeys, clerk: Principal, clock: FixedClock
) -> None:
    outcomes = await asyncio.gather(
        *(staff_keys.create(clerk, name="pipeline", scopes=ALL) for _ in range(4)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(TooManyKeys) == 2
    with pytest.raises(NameRefused):
        await staff_keys.create(clerk, name=" ", scopes=ALL)
    clock.advance(days=90)
    row, _ = await staff_keys.create(clerk, name="pipeline", scopes=ALL, lifetime=timedelta(days=900))
    assert row.expires_at == clock.now() + timedelta(days=90)


async def test_a_key_ends_when_it_expires_is_revoked_or_its_maker_leaves_the_desk(
    staff_keys: StaffKeys, keys: ApiKeys, clerk: Principal, clock: FixedClock, database: Database
) -> None:
    _, short = await staff_keys.create(clerk, name="short", scopes=ALL, lifetime=timedelta(days=1))
    row, revoked = await staff_keys.create(clerk, name="revoked", scopes=ALL)
    _, last = await staff_keys.create(clerk, name="last", scopes=ALL)
    clock.advance(days=1)
    first = await staff_keys.revoke(clerk, row.key_id)
    assert first.revoked_at == clock.now()

    assert await reason(keys, short) == "expired"
    assert await reason(keys, revoked) == "revoked"
    await keys.authenticate_key(last)
    for role in (StaffRole.SUPPORT, None):
        async with database.begin(for_accounts()) as session:
            await session.execute(sa.update(Person).where(Person.id == clerk.person_id).values(staff_role=role))
        assert await reason(keys, last) == "left"


async def test_a_worker_that_remembers_a_key_hears_that_it_was_revoked_or_its_maker_left(
    database_url: str, staff_keys: StaffKeys, clerk: Principal, clock: FixedClock
) -> None:
    own = Database.connect(database_url)
    worker = ApiKeys(own, clock)
    row, text = await staff_keys.create(clerk, name="pipeline", scopes=ALL)
    _, other = await staff_keys.create(clerk, name="other", scopes=ALL)
    async with worker.listening():
        await eventually(lambda: worker._cache._listener.hears)
        for each in (text, other):
            await worker.authenticate_key(each)
        assert worker._cache.find(row.key_id) is not None

        await staff_keys.revoke(clerk, row.key_id)
        await eventually(lambda: worker._cache.find(row.key_id) is None)
        assert await reason(worker, text) == "revoked"
        await worker.authenticate_key(other)

        tell(database_url, "update person set staff_role = null where id = %s", clerk.person_id)
        await eventually(lambda: worker._cache.find(other.split("_")[1]) is None)
        assert await reason(worker, other) == "left"
    await own.close()


async def test_one_sees_and_revokes_ones_own_and_an_admin_of_the_house_everybodys(
    staff_keys: StaffKeys, clerk: Principal, cast: Cast
) -> None:
    chief = await cast.staff(StaffRole.ADMIN)
    mine, _ = await staff_keys.create(clerk, name="pipeline", scopes=ALL)
    theirs, _ = await staff_keys.create(chief, name="approver", scopes=["desk:approve"])

    assert [key.key_id for key, _ in await staff_keys.list_keys(clerk)] == [mine.key_id]
    assert {key.key_id for key, _ in await staff_keys.list_keys(chief)} == {mine.key_id, theirs.key_id}
    for key_id in (theirs.key_id, "x" * 12):
        with pytest.raises(NoSuchKey):
            await staff_keys.revoke(clerk, key_id)
    assert (await staff_keys.revoke(chief, mine.key_id)).revoked_at is not None


async def test_what_a_key_did_stays_written_down(
    staff_keys: StaffKeys, keys: ApiKeys, clerk: Principal, database: Database
) -> None:
    row, text = await staff_keys.create(clerk, name="pipeline", scopes=ALL)
    await staff_keys.note_call(await keys.authenticate_key(text), "POST", "/api/v1/desk/drafts" + "/x" * 500)

    (call,) = await staff_keys.list_calls(clerk, limit=5)
    assert (call.key_id, call.person_id, call.method, len(call.path)) == (row.key_id, clerk.person_id, "POST", 500)
    for statement in (sa.delete(StaffKeyCall), sa.update(StaffKeyCall).values(path="/")):
        with pytest.raises(sa.exc.ProgrammingError):
            async with database.begin(for_staff()) as session:
                await session.execute(statement)


async def test_no_company_and_no_visitor_sees_a_key_of_the_desk(
    staff_keys: StaffKeys, keys: ApiKeys, clerk: Principal, cast: Cast, database: Database, database_url: str
) -> None:
    company = await cast.company()
    _, text = await staff_keys.create(clerk, name="pipeline", scopes=ALL)
    await staff_keys.note_call(await keys.authenticate_key(text), "POST", "/api/v1/desk/drafts")

    for table in (StaffKey, StaffKeyCall):
        for scope, rows in ((for_company(company.id), 0), (for_visitor(), 0), (for_staff(), 1)):
            async with database.begin(scope) as session:
                assert await session.scalar(sa.select(sa.func.count()).select_from(table)) == rows, (table, scope)
    with psycopg.connect(libpq_url(database_url)) as connection:
        for statement in ("update staff_key set scopes = '{desk:publish}'", "delete from staff_key"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("select set_config('tarifa.scope', 'staff', true)")
                connection.execute(statement.encode())


async def test_calls_of_colleagues_may_have_the_same_name(
    clerk: Principal, cast: Cast, database: Database, clock: FixedClock, keyring: Keyring
) -> None:
    chief = await cast.staff(StaffRole.ADMIN)
    calls = RepeatedCalls(database, clock, keyring)
    for person in (clerk, chief):
        assert isinstance(await calls.claim(Owner(person_id=person.person_id), "deploy 7", b"1"), Claim)
    with pytest.raises(IdempotencyKeyReused):
        await calls.claim(Owner(person_id=clerk.person_id), "deploy 7", b"2")
