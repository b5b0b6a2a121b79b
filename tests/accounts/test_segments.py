"""Segments of a company: who put it there and why stays, and nobody overwrites what they have not seen."""

import psycopg
import pytest
import sqlalchemy as sa

from accounts.member_service import Members, NoSuchCompany
from accounts.model import SegmentChange
from accounts.segments import SegmentChangeUnusable, Segments, SegmentsMoved
from kernel.clock import FixedClock
from kernel.db import Database, for_company, for_staff, libpq_url


@pytest.fixture
async def segments(members: Members, database: Database, clock: FixedClock) -> Segments:
    await members.create_company(code="acme", name="Acme", country="DE", segments=["trade"])
    return Segments(database, clock)


async def test_a_change_is_kept_with_who_when_and_why(segments: Segments, clock: FixedClock) -> None:
    change = await segments.assign("acme", ["trade", "gold"], shown=["trade"], reason=" Big orders ", by=None)

    assert (await segments.find("acme")).segments == ["gold", "trade"]
    [kept] = await segments.list_changes(company_id=change.company_id, limit=10)
    assert (kept.before, kept.after, kept.reason, kept.changed_at) == (
        ["trade"], ["gold", "trade"], "Big orders", clock.now()
    )  # fmt: skip


async def test_who_has_not_seen_a_change_does_not_undo_it(segments: Segments) -> None:
    await segments.assign("acme", ["gold"], shown=["trade"], reason="Big orders", by=None)

    with pytest.raises(SegmentsMoved) as refused:
        await segments.assign("acme", ["silver", "trade"], shown=["trade"], reason="Late", by=None)

    assert refused.value.extra["segments"] == ["gold"]
    assert (await segments.find("acme")).segments == ["gold"]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (["trade"], "Nothing changes"),
        (["gold"], "  "),
        (["gold"], "x" * 1001),
        (["gold"], "no\x00thing"),
        (["a;b"], "A semicolon"),
        ([""], "Empty"),
        ([" gold"], "A blank"),
        (["two\nlines"], "A line break"),
        ([f"s{number}" for number in range(51)], "Too many"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_changes_nothing(
    segments: Segments, wanted: list[str], reason: str
) -> None:
    with pytest.raises(SegmentChangeUnusable):
        await segments.assign("acme", wanted, shown=["trade"], reason=reason, by=None)
    assert (await segments.find("acme")).segments == ["trade"]
    assert await segments.list_changes(limit=10) == []


async def test_a_company_nobody_knows_is_not_found(segments: Segments) -> None:
    with pytest.raises(NoSuchCompany):
        await segments.assign("nobody", ["gold"], shown=[], reason="Big orders", by=None)


async def test_the_history_is_staffs_alone_and_only_grows(
    segments: Segments, database: Database, owner_url: str
) -> None:
    change = await segments.assign("acme", [], shown=["trade"], reason="Left the trade", by=None)
    async with database.begin(for_company(change.company_id)) as session:
        assert (await session.scalars(sa.select(SegmentChange))).all() == []
    async with database.begin(for_staff()) as session:
        assert len((await session.scalars(sa.select(SegmentChange))).all()) == 1
    with psycopg.connect(libpq_url(owner_url)) as connection:
        connection.execute("select set_config('tarifa.scope', 'staff', false)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute("delete from segment_change")
