"""The second wall: what PostgreSQL itself keeps from a company, whatever the code above forgets."""

import uuid

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from accounts.key_service import ApiKeys
from accounts.model import (
    ApiKey,
    BrowserSession,
    Company,
    MemberRole,
    Membership,
    OneTimeToken,
    Person,
)
from accounts.principal import Principal
from kernel.clock import FixedClock
from kernel.db import Base, Database, Scope, for_accounts, for_company, for_staff, for_visitor
from kernel.ids import new_id
from tests.accounts.conftest import Cast

GUARDED: tuple[type[Base], ...] = (Company, Person, Membership, BrowserSession, OneTimeToken, ApiKey)


@pytest.fixture
async def acme(cast: Cast, keys: ApiKeys) -> Principal:
    return await furnish(cast, keys, "acme")


@pytest.fixture
async def globex(cast: Cast, keys: ApiKeys) -> Principal:
    return await furnish(cast, keys, "globex")


async def furnish(cast: Cast, keys: ApiKeys, code: str) -> Principal:
    """A company with a row in every guarded table."""
    company = await cast.company(code)
    boss = await cast.member(company.id, f"boss@{code}.example", MemberRole.ADMIN)
    await cast.members.invite(boss, f"second@{code}.example", MemberRole.BUYER)
    await keys.create_api_key(boss, name="feed", scopes=["prices:read"])
    return boss


async def count(database: Database, scope: Scope, kind: type[Base]) -> int:
    async with database.begin(scope) as session:
        return (await session.execute(sa.select(sa.func.count()).select_from(kind))).scalar_one()


async def test_a_company_sees_its_own_rows_staff_all_and_visitors_none(
    database: Database, acme: Principal, globex: Principal
) -> None:
    seen_by = {
        "acme": acme.db_scope(),
        "globex": globex.db_scope(),
        "staff": for_staff(),
        "accounts": for_accounts(),
        "visitor": for_visitor(),
        "no such company": for_company(new_id()),
    }
    for kind in GUARDED:
        counts = {name: await count(database, scope, kind) for name, scope in seen_by.items()}
        expected = {"acme": 1, "globex": 1, "staff": 2, "accounts": 2, "visitor": 0, "no such company": 0}
        assert counts == expected, kind.__tablename__


@pytest.mark.usefixtures("acme")
async def test_without_a_scope_a_guarded_table_refuses_to_be_read(database_url: str) -> None:
    for kind in GUARDED:
        with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.UndefinedObject, match="tarifa"):
            connection.execute(sa.select(kind.__table__).compile().string.encode())


@pytest.mark.usefixtures("acme")
async def test_a_connection_that_served_somebody_before_refuses_just_so(database_url: str) -> None:
    for kind in GUARDED:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "select set_config('tarifa.scope', 'staff', true), set_config('tarifa.company', '', true)"
            )
            connection.commit()

            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="says no scope"):
                connection.execute(sa.select(kind.__table__).compile().string.encode())


def test_not_even_the_owner_is_exempt(owner_url: str) -> None:
    tables = [kind.__tablename__ for kind in GUARDED]
    with psycopg.connect(owner_url) as connection:
        rows = connection.execute(
            "select relname from pg_class where relrowsecurity and relforcerowsecurity and relname = any(%s)", (tables,)
        ).fetchall()

    assert sorted(name for (name,) in rows) == sorted(tables)


async def test_another_companys_rows_cannot_be_changed_or_deleted(
    database: Database, acme: Principal, globex: Principal
) -> None:
    assert globex.company_id is not None
    for statement in (
        sa.update(Membership).where(Membership.company_id == globex.company_id).values(role="buyer"),
        sa.delete(Membership).where(Membership.company_id == globex.company_id),
        sa.update(ApiKey).where(ApiKey.company_id == globex.company_id).values(scopes=["orders:read"]),
        sa.update(Company).where(Company.id == globex.company_id).values(name="Stolen"),
        sa.update(Person).where(Person.id == globex.person_id).values(password_hash="mine"),
        sa.delete(OneTimeToken).where(OneTimeToken.company_id == globex.company_id),
        sa.delete(BrowserSession).where(BrowserSession.company_id == globex.company_id),
    ):
        async with database.begin(acme.db_scope()) as session:
            result = await session.execute(statement)
            assert isinstance(result, sa.CursorResult)
            assert result.rowcount == 0, str(statement)


async def test_no_row_can_be_written_into_another_company(
    database: Database, clock: FixedClock, acme: Principal, globex: Principal
) -> None:
    assert acme.person_id is not None
    assert globex.company_id is not None
    now = clock.now()
    rows: tuple[Base, ...] = (
        Membership(
            company_id=globex.company_id,
            person_id=acme.person_id,
            role=MemberRole.ADMIN,
            signatory=False,
            created_at=now,
        ),
        ApiKey(
            id=new_id(),
            key_id="stolen",
            company_id=globex.company_id,
            name="feed",
            secret_sha256=b"",
            scopes=["prices:read"],
            created_by=acme.person_id,
            created_at=now,
            expires_at=now,
        ),
    )
    for row in rows:
        with pytest.raises(DBAPIError, match="row-level security"):
            async with database.begin(acme.db_scope()) as session:
                session.add(row)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.begin(acme.db_scope()) as session:
            await session.execute(
                sa.update(ApiKey).where(ApiKey.company_id == acme.company_id).values(company_id=globex.company_id)
            )


async def test_a_session_cannot_name_a_company_its_person_does_not_belong_to(
    database: Database, clock: FixedClock, acme: Principal, globex: Principal
) -> None:
    with pytest.raises(IntegrityError, match="fk_session_company_id_membership"):
        async with database.begin(for_accounts()) as session:
            session.add(
                BrowserSession(
                    id=new_id(),
                    token_sha256=b"x",
                    visitor_id=uuid.uuid4(),
                    person_id=acme.person_id,
                    company_id=globex.company_id,
                    created_at=clock.now(),
                    seen_at=clock.now(),
                    expires_at=clock.now(),
                )
            )


@pytest.mark.usefixtures("acme")
async def test_the_database_refuses_what_makes_no_sense(database: Database) -> None:
    for statement in (
        "update membership set signatory = true",
        "update membership set authority = 'appointed'",
        "update membership set signatory = true, authority = 'appointed', signing_limit_minor = 1",
        "update membership set signatory = true, authority = 'appointed', signing_limit_minor = -1, currency = 'EUR'",
        "update membership set signing_limit_minor = 1, currency = 'EUR'",
        "update membership set role = 'owner'",
        "update person set email = upper(email)",
        "update person set staff_role = 'god'",
        "update company set tax_id = 'X'",
        "update one_time_token set company_id = null",
        "update merchant set singleton = false",
    ):
        with pytest.raises(IntegrityError, match="check constraint"):
            async with database.begin(for_accounts()) as session:
                await session.execute(sa.text(statement))
