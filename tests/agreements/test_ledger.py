import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from agreements.evidence_rows import new_leaf
from agreements.ledger import append
from agreements.model import Acceptance, LedgerEntry, LedgerStamp
from kernel.canonical import canonical_json
from kernel.db import Database, for_staff
from kernel.ids import new_id
from tests.agreements.conftest import Step
from tests.conftest import NOW

EVIDENCE = {
    "acceptance": "order_digest",
    "acceptance_ledger": "content",
    "acceptance_ledger_node": "hash",
    "acceptance_ledger_checkpoint": "root",
    "acceptance_ledger_stamp": "answer",
}


async def accept_some(step: Step, number: int) -> list[Acceptance]:
    accepted = []
    for _ in range(number):
        each = step.but(checkout_id=new_id())
        accepted.append(await each.accept(await each.present()))
    return accepted


async def broken_at(step: Step) -> int | None:
    async with step.database.begin(for_staff()) as session:
        return (await step.agreements.check_ledger(session)).broken_at


async def test_the_runtime_role_cannot_change_or_remove_evidence(step: Step, database_url: str) -> None:
    (acceptance,) = await accept_some(step, 1)
    await step.receipt(acceptance.order_id)
    async with step.database.begin(for_staff()) as session:
        session.add(
            LedgerStamp(
                size=1,
                authority="-",
                answer=b"-",
                stamped_at=acceptance.accepted_at,
                received_at=acceptance.accepted_at,
            )
        )

    with psycopg.connect(database_url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', false)")
        for table, column in EVIDENCE.items():
            assert connection.execute(f"select count(*) from {table}").fetchone() != (0,)
            for statement in (f"update {table} set {column} = {column}", f"delete from {table}", f"truncate {table}"):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"),
                    connection.transaction(),
                ):
                    connection.execute(statement)


def test_a_trigger_refuses_even_the_owner(owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', false)")
        for table, column in EVIDENCE.items():
            for statement in (
                f"update {table} set {column} = {column}",
                f"delete from {table}",
                f"truncate {table} cascade",
            ):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
                    connection.transaction(),
                ):
                    connection.execute(statement)


@pytest.mark.usefixtures("published")
def test_a_published_version_cannot_be_changed_by_either_role(database_url: str, owner_url: str) -> None:
    for url in (database_url, owner_url):
        with psycopg.connect(url) as connection:
            for statement in ("update document_version set title = 'x'", "delete from document_version"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(statement)


WORDS = st.sampled_from(["", "a", "sep", "seq2", "se", "sé", "\uffff", "\U0001f600", '"seq":0', "zz", "}", "{"])
CONTENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS | st.just("seq"), inner, max_size=3),
    max_leaves=6,
)


@given(content=st.dictionaries(WORDS, CONTENTS), number=st.integers(0, 2**53 - 1))
def test_what_stands_around_a_rows_number_makes_its_canonical_json(content: dict[str, object], number: int) -> None:
    leaf = new_leaf(kind="note", company_id=None, recorded_at=NOW, content=content)

    assert f"{leaf.before}{number}{leaf.after}".encode() == canonical_json({**content, "seq": number})


async def test_the_database_numbers_and_hashes_rows_as_we_do(step: Step) -> None:
    async with step.database.begin(for_staff()) as session:
        numbers = [
            await append(session, kind="note", company_id=None, recorded_at=NOW, content={"a": "ñ\n", "z": number})
            for number in range(33)
        ]
        rows = list(await session.scalars(sa.select(LedgerEntry).order_by(LedgerEntry.seq)))

    assert numbers == [row.seq for row in rows] == list(range(33))
    assert [row.content for row in rows] == [{"a": "ñ\n", "seq": number, "z": number} for number in numbers]
    assert await broken_at(step) is None


async def test_an_untouched_ledger_holds(step: Step) -> None:
    assert await broken_at(step) is None
    for acceptance in await accept_some(step, 6):
        await step.receipt(acceptance.order_id)

    assert await broken_at(step) is None


TAMPERINGS = [
    ("update acceptance_ledger set content = jsonb_set(content, '{order_id}', '\"x\"') where seq = 2", 2),
    ("update acceptance_ledger set leaf_digest = sha256('x') where seq = 1", 1),
    ("update acceptance_ledger set previous_hash = sha256('x') where seq = 3", 3),
    ("update acceptance_ledger set chain_hash = sha256('x') where seq = 4", 4),
    ("update acceptance_ledger_node set hash = sha256('x') where level = 1 and position = 0", 1),
    ("update acceptance_ledger_tail set chain_hash = sha256('x')", 5),
    ("update acceptance_ledger_tail set size = 6", 5),
    ("update acceptance_ledger_checkpoint set root = sha256('x') where size = 2", 2),
]


async def test_a_change_behind_the_triggers_is_found_at_its_row(step: Step, owner_url: str) -> None:
    _, second = await accept_some(step, 2)
    await step.receipt(second.order_id)
    await accept_some(step, 3)
    owner = Database.connect(owner_url)

    for tampering, found_at in TAMPERINGS:
        async with owner.begin(for_staff()) as session:
            for table in EVIDENCE:
                await session.execute(sa.text(f"alter table {table} disable trigger user"))
            await session.execute(sa.text(tampering))
            assert (await step.agreements.check_ledger(session)).broken_at == found_at, tampering
            await session.rollback()

    assert await broken_at(step) is None
    await owner.close()
