"""Row-level security and append-only tables hold whatever the code above them forgets."""

import importlib
import uuid

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from kernel.clock import FixedClock
from kernel.db import Base, Database, for_company, for_staff, for_visitor
from kernel.events import record
from kernel.failpoints import Failpoint, registered
from kernel.ids import new_id, new_token, token_digest


async def test_a_failed_use_case_leaves_nothing_behind(database: Database, clock: FixedClock) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.begin(for_visitor()) as session:
            record(session, "priced", journey=new_id(), at=clock.now())
            await session.flush()
            raise ZeroDivisionError

    async with database.begin(for_visitor()) as session:
        assert await session.scalar(sa.text("select count(*) from journey_event")) == 0


async def test_journey_events_can_be_added_but_never_changed(database: Database, clock: FixedClock) -> None:
    async with database.begin(for_visitor()) as session:
        record(session, "priced", journey=new_id(), at=clock.now(), lines=3)

    for statement in ("update journey_event set name = 'carted'", "delete from journey_event"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with database.begin(for_staff()) as session:
                await session.execute(sa.text(statement))


def test_even_the_owner_cannot_change_an_append_only_table(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("truncate journey_event")


async def test_an_event_of_an_unknown_name_is_a_mistake(database: Database, clock: FixedClock) -> None:
    async with database.begin(for_visitor()) as session:
        with pytest.raises(ValueError, match="no journey event"):
            record(session, "prized", journey=new_id(), at=clock.now())


async def test_a_scope_ends_with_its_transaction(database: Database) -> None:
    async with database.begin(for_company(uuid.UUID(int=1))):
        pass
    async with database.begin(for_visitor()) as session:
        assert await session.scalar(sa.text("select current_setting('tarifa.company')")) == ""


async def test_who_reads_sees_what_the_scope_lets_see_and_writes_nothing(database: Database) -> None:
    async with database.reading(for_company(uuid.UUID(int=1))) as session:
        assert await session.scalar(sa.text("select current_setting('tarifa.company')")) == str(uuid.UUID(int=1))
        with pytest.raises(sa.exc.InternalError, match="read-only transaction"):
            await session.execute(sa.text("delete from journey_event"))
    async with database.begin(for_visitor()) as session:
        assert await session.scalar(sa.text("select current_setting('transaction_read_only')")) == "off"


def test_ids_are_ordered_by_time_of_making() -> None:
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 1000


def test_tokens_are_stored_by_digest_only() -> None:
    token = new_token()

    assert token not in token_digest(token).hex()
    assert len(token) >= 43


def test_a_failpoint_has_one_place() -> None:
    Failpoint("test.once")
    with pytest.raises(ValueError, match="registered twice"):
        Failpoint("test.once")

    assert registered("test.once") == ("test.once:before_commit", "test.once:after_commit")


async def test_the_mapped_classes_say_what_the_migrations_made(database: Database) -> None:
    for room in ("accounts", "agreements", "catalog", "checkout", "pricing"):
        importlib.import_module(f"{room}.model")  # fills the metadata
    for more in (
        "accounts.policies",
        "accounts.privacy_model",
        "accounts.webhooks.model",
        "agreements.legal_model",
        "agreements.package_model",
        "checkout.approval_model",
        "checkout.terms_model",
    ):
        importlib.import_module(more)

    def differences(connection: sa.Connection) -> list[str]:
        inspector = sa.inspect(connection)
        found = []
        for table in Base.metadata.sorted_tables:
            if not inspector.has_table(table.name):
                found.append(f"{table.name} is mapped but no migration makes it")
                continue
            real = {column["name"]: column for column in inspector.get_columns(table.name)}
            mapped = {column.name: column for column in table.columns}
            found += [f"{table.name}.{name} is mapped only" for name in sorted(set(mapped) - set(real))]
            found += [
                f"{table.name}.{name} is in the database only"
                for name in sorted(set(real) - set(mapped))
                if not real[name].get("computed")
            ]
            found += [
                f"{table.name}.{name}: nullable differs"
                for name in sorted(set(real) & set(mapped))
                if bool(real[name]["nullable"]) != bool(mapped[name].nullable)
            ]
        return found

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_every_table_that_names_a_company_is_guarded(database: Database) -> None:
    async with database.engine.connect() as connection:
        rows = await connection.execute(
            sa.text(
                "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid"
                " where c.relkind = 'r' and a.attname = 'company_id' and not a.attisdropped"
                " and not (c.relrowsecurity and c.relforcerowsecurity)"
            )
        )
        assert [row[0] for row in rows] == []


async def test_a_journey_is_forgotten_by_its_id_and_no_other_with_it(database: Database, clock: FixedClock) -> None:
    mine, other = new_id(), new_id()
    async with database.begin(for_visitor()) as session:
        for journey in (mine, other):
            record(session, "priced", journey=journey, at=clock.now())

    async with database.begin(for_staff()) as session:
        gone = await session.scalar(
            sa.text("select tarifa_forget_journeys(:journeys, :before)"),
            {"journeys": [mine], "before": clock.now()},
        )
        left = await session.scalars(sa.text("select journey from journey_event"))
        assert (gone, list(left)) == (1, [other])
