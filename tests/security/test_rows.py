"""The second wall, tried from outside the program: raw SQL in the runtime role against the whole furnished database."""

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from kernel.db import libpq_url
from kernel.embedded import EmbeddedServer
from tests.security.house import House

ANY_VALUE = {
    "bigint": "(random() * 1e15)::bigint",
    "boolean": "true",
    "bytea": "decode(md5(random()::text), 'hex')",
    "date": "current_date",
    "integer": "(random() * 1e9)::integer",
    "jsonb": "'{}'::jsonb",
    "text": "md5(random()::text)",
    "text[]": "'{}'::text[]",
    "timestamp with time zone": "now()",
    "uuid": "gen_random_uuid()",
    "uuid[]": "'{}'::uuid[]",
}
"""By type: what a column may hold as far as row-level security cares."""
REFER_WITHOUT_COMPANY = {
    ("acceptance_annex", "acceptance"),
    ("acceptance_receipt", "acceptance"),
    ("ledger_posting", "customer_order"),
    ("liability", "customer_order"),
}
"""Written by the program in the transaction that holds the other row, never from an id that a request names; the
company of the last two may be unknown."""
REVIEWED_DEFINERS = {
    "checkout_company_of",
    "tarifa_forget_journeys",
    "tarifa_forget_words_of_orders",
    "tarifa_forget_copies",
}
"""Functions that run as the owner and so see past the wall. Look at a new one before naming it here."""


@pytest.fixture
def database_of_house(house: House) -> Iterator[psycopg.Connection]:
    url = house.services.settings.database_url
    assert url is not None
    with psycopg.connect(libpq_url(url)) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def crowded_database(house: House, server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    """In the runtime role, with rows of both companies in every table: made up where nobody made some by trading."""
    url = house.services.settings.database_url
    assert url is not None
    path = urlsplit(libpq_url(url)).path
    with psycopg.connect(urlsplit(server.superuser_url)._replace(path=path).geturl()) as connection:
        connection.execute("set local session_replication_role = replica")  # foreign keys and triggers look away
        for table in tables(connection):
            for company in (house.acme, house.globex):
                if count(connection, table, "company_id = %s", company.company_id) == 0:
                    fill(connection, table, company.company_id)
        connection.execute("set local session_replication_role = origin")
        connection.execute("set local role tarifa_app")
        yield connection
        connection.rollback()


def fill(connection: psycopg.Connection, table: str, company_id: uuid.UUID) -> None:
    """One row of the company, whatever it says: checks are dropped for it, and are back when the test is over."""
    checks = connection.execute(
        "select conname from pg_constraint where contype = 'c' and conrelid = %s::regclass", (table,)
    ).fetchall()
    for (name,) in checks:
        connection.execute(f"alter table {table} drop constraint {name}".encode())
    columns = connection.execute(
        "select attname, format_type(atttypid, null) from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''"
        " and attnotnull and attname <> 'company_id'",
        (table,),
    ).fetchall()
    names = ", ".join(["company_id", *(name for name, _ in columns)])
    values = ", ".join(["%s", *(value_of(kind) for _, kind in columns)])
    connection.execute(f"insert into {table} ({names}) values ({values})".encode(), (company_id,))


def value_of(kind: str) -> str:
    return ANY_VALUE.get(kind, f"'1'::{kind}")


def scoped(connection: psycopg.Connection, scope: str, company: str = "") -> None:
    connection.execute(
        "select set_config('tarifa.scope', %s, true), set_config('tarifa.company', %s, true)", (scope, company)
    )


def tables(connection: psycopg.Connection) -> list[str]:
    """Every table with rows of companies, by its columns."""
    rows = connection.execute(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid"
        " where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = 'public'::regnamespace"
        " and a.attname = 'company_id' and not a.attisdropped order by 1"
    ).fetchall()
    return [name for (name,) in rows]


def count(connection: psycopg.Connection, table: str, where: str = "true", *values: object) -> int:
    row = connection.execute(f"select count(*) from {table} where {where}".encode(), values).fetchone()
    assert row is not None
    return int(row[0])


def test_a_company_sees_its_own_rows_and_none_of_another(house: House, crowded_database: psycopg.Connection) -> None:
    connection = crowded_database
    names = tables(connection)
    assert {"customer_order", "cart", "session", "api_key", "agreement_presentation", "acceptance"} <= {*names}
    for table in names:
        for mine, theirs in ((house.acme, house.globex), (house.globex, house.acme)):
            scoped(connection, "staff")
            assert count(connection, table, "company_id = %s", theirs.company_id) > 0, table
            scoped(connection, "company", str(mine.company_id))
            assert count(connection, table, "company_id = %s", theirs.company_id) == 0, table
            scoped(connection, "visitor")
            assert count(connection, table, "company_id is not null") == 0, table


def test_a_company_can_change_no_row_of_another(house: House, crowded_database: psycopg.Connection) -> None:
    connection = crowded_database
    for table in tables(connection):
        for statement in (
            f"update {table} set company_id = company_id where company_id = %s",
            f"delete from {table} where company_id = %s",
        ):
            scoped(connection, "company", str(house.acme.company_id))
            with connection.transaction(force_rollback=True):
                try:
                    done = connection.execute(statement.encode(), (house.globex.company_id,))
                except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState):
                    continue
                assert done.rowcount == 0, statement


def test_without_a_scope_no_guarded_table_can_be_read(crowded_database: psycopg.Connection) -> None:
    connection = crowded_database
    names = tables(connection)
    for scope in (None, "", "company", "everything", "Staff", "staff "):
        for table in names:
            with connection.transaction(force_rollback=True):
                if scope is not None:
                    scoped(connection, scope)
                try:
                    assert count(connection, table) == 0, (table, scope)
                except psycopg.Error:
                    continue  # refused outright


def test_the_runtime_role_owns_nothing_and_is_not_exempt(database_of_house: psycopg.Connection) -> None:
    connection = database_of_house
    role = connection.execute(
        "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = current_user"
    ).fetchone()
    assert role == (False, False, False, False)
    owned = connection.execute("select relname from pg_class where pg_get_userbyid(relowner) = current_user").fetchall()
    assert owned == []
    for statement in (
        "create table mine (a int)",
        "alter table person disable row level security",
        "drop table person",
        "set role tarifa_owner",
        "copy person to program 'id'",
        "select pg_read_file('/etc/passwd')",
    ):
        with connection.transaction(force_rollback=True), pytest.raises(psycopg.Error):
            connection.execute(statement.encode())


def test_no_view_or_function_looks_past_the_wall(database_of_house: psycopg.Connection) -> None:
    connection = database_of_house
    leaking = connection.execute(
        "select relname from pg_class where relkind in ('v', 'm') and relnamespace = 'public'::regnamespace"
        " and not coalesce(reloptions::text like '%security_invoker=true%', false)"
    ).fetchall()
    assert leaking == []
    definers = connection.execute(
        "select proname from pg_proc where prosecdef and pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert {name for (name,) in definers} <= REVIEWED_DEFINERS


def test_ids_of_two_companies_cannot_be_mixed(database_of_house: psycopg.Connection) -> None:
    """A row of one company that refers to another's order must be impossible to write, whoever writes it."""
    rows = database_of_house.execute(
        """
        select conrelid::regclass::text, confrelid::regclass::text, conname from pg_constraint
        where contype = 'f'
          and exists (select from pg_attribute where attrelid = conrelid and attname = 'company_id')
          and exists (select from pg_attribute where attrelid = confrelid and attname = 'company_id' and attnotnull)
          and not exists (
              select from unnest(conkey) k join pg_attribute a on a.attrelid = conrelid and a.attnum = k
              where a.attname = 'company_id')
        """
    ).fetchall()
    assert {(table, other) for table, other, _ in rows} <= REFER_WITHOUT_COMPANY
