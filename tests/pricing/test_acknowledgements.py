"""Warnings want somebody's word before they are published; it is kept with the publication."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from accounts.member_service import Members
from accounts.model import StaffRole
from accounts.passwords import Passwords
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from pricing.engine.check import Finding, Severity
from pricing.findings import finding_digest
from pricing.model import DraftState, PricePublication
from pricing.service import Pricing, ReasonUnusable, Standing, WarningGone, WarningsNotAcknowledged
from tests.pricing.test_publication import ANVIL, anvil_at, row


@pytest.fixture
async def clerk(database: Database, clock: FixedClock) -> uuid.UUID:
    """A person of finance."""
    members = Members(database, clock, Passwords(), base_url="http://localhost")
    person = await members.create_staff(
        email="finance@meridian.example", name="Finance", password="a-desk-of-six-drawers", role=StaffRole.FINANCE
    )
    return person.id


async def waiting(pricing: Pricing, draft: uuid.UUID) -> list[Standing]:
    return [
        each
        for each in await pricing.findings(draft)
        if each.finding.severity is Severity.WARNING and each.acknowledged is None
    ]


async def put_anvil(pricing: Pricing, draft: uuid.UUID, price: str) -> None:
    seen = (await pricing.find_leaf(draft, "row", ANVIL)).seen
    await pricing.put_change(draft, "row", ANVIL, row(price), by=None, expected=seen)


async def test_a_warning_nobody_accepted_stops_a_publication_and_is_named(pricing: Pricing) -> None:
    draft = await anvil_at(pricing, "300")
    expected = await waiting(pricing, draft)
    assert "price_jumps" in {each.finding.code for each in expected}

    with pytest.raises(WarningsNotAcknowledged, match=f"^{len(expected)} findings need") as refused:
        await pricing.publish(draft, by=None)

    named: Any = refused.value.extra["findings"]
    assert refused.value.status == 422
    assert [finding["digest"] for finding in named] == [each.digest for each in expected]
    assert (await pricing.find_draft(draft)).state is DraftState.OPEN
    assert len(await pricing.list_publications()) == 1


async def test_accepted_warnings_are_published_with_who_when_and_why(
    pricing: Pricing, clock: FixedClock, clerk: uuid.UUID
) -> None:
    pricing.approval_required = False
    draft = await anvil_at(pricing, "300")
    jump, *others = sorted(await waiting(pricing, draft), key=lambda each: each.finding.code != "price_jumps")
    said_at = clock.now()
    await pricing.acknowledge(draft, [jump.digest], reason=" Steel has tripled ", by=clerk)
    with pytest.raises(WarningsNotAcknowledged):
        await pricing.publish(draft, by=clerk)
    clock.advance(seconds=60)
    await pricing.acknowledge(draft, [each.digest for each in others], reason="Known", by=None)

    published = await pricing.publish(draft, by=clerk)

    kept = {finding["digest"]: finding["acknowledged"] for finding in published.findings}
    assert kept.keys() == {jump.digest, *(each.digest for each in others)}
    assert kept[jump.digest]["by"] == str(clerk)
    assert kept[jump.digest]["at"] == said_at.isoformat().replace("+00:00", "Z")
    assert kept[jump.digest]["reason"] == "Steel has tripled"
    assert all(kept[each.digest]["by"] is None for each in others)


async def test_a_word_outlives_edits_that_leave_the_finding_as_it_is_and_no_other(
    pricing: Pricing, clock: FixedClock
) -> None:
    draft = await anvil_at(pricing, "300")
    before = await waiting(pricing, draft)
    await pricing.acknowledge(draft, [each.digest for each in before], reason="Meant", by=None)
    title = (await pricing.find_leaf(draft, "list", ("PUBLIC",))).content | {
        "titles": {"en": "Public", "es": "Público"}
    }
    seen = (await pricing.find_leaf(draft, "list", ("PUBLIC",))).seen
    await pricing.put_change(draft, "list", ("PUBLIC",), title, by=None, expected=seen)
    clock.advance(seconds=3600)
    assert await waiting(pricing, draft) == [], "another title changes no price"

    await put_anvil(pricing, draft, "301")
    assert {each.finding.code for each in await waiting(pricing, draft)} >= {"price_jumps"}, "the jump is another"
    await put_anvil(pricing, draft, "300")
    assert await waiting(pricing, draft) == [], "what was accepted is so again"


async def test_the_first_word_for_a_warning_stands(pricing: Pricing, clerk: uuid.UUID) -> None:
    draft = await anvil_at(pricing, "300")
    digests = [each.digest for each in await waiting(pricing, draft)]
    await pricing.acknowledge(draft, digests, reason="First", by=clerk)
    await pricing.acknowledge(draft, digests, reason="Second", by=None)

    words = [each.acknowledged for each in await pricing.findings(draft)]
    assert {(word.reason, word.by) for word in words if word is not None} == {("First", clerk)}


async def test_one_reason_at_publication_is_for_all_that_nobody_accepted_yet(
    pricing: Pricing, clerk: uuid.UUID
) -> None:
    draft = await anvil_at(pricing, "300")
    jump, *others = await waiting(pricing, draft)
    await pricing.acknowledge(draft, [jump.digest], reason="Looked at", by=clerk)

    published = await pricing.publish(draft, by=None, acknowledge="All the rest")

    reasons = {finding["digest"]: finding["acknowledged"]["reason"] for finding in published.findings}
    assert reasons == {jump.digest: "Looked at"} | {each.digest: "All the rest" for each in others}


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 1001])
async def test_a_reason_says_something(pricing: Pricing, reason: str) -> None:
    draft = await anvil_at(pricing, "300")
    digests = [each.digest for each in await waiting(pricing, draft)]
    with pytest.raises(ReasonUnusable):
        await pricing.acknowledge(draft, digests, reason=reason, by=None)
    with pytest.raises(ReasonUnusable):
        await pricing.publish(draft, by=None, acknowledge=reason)
    with pytest.raises(ReasonUnusable):
        await pricing.roll_back(1, by=None, acknowledge=reason)
    assert await waiting(pricing, draft)


async def test_what_is_no_warning_of_the_draft_is_not_accepted_nor_anything_beside_it(pricing: Pricing) -> None:
    draft = await anvil_at(pricing, "300")
    digests = [each.digest for each in await waiting(pricing, draft)]
    for asked in ([], [*digests, "sha256:" + "0" * 64]):
        with pytest.raises(WarningGone):
            await pricing.acknowledge(draft, asked, reason="Why not", by=None)
    assert [each.digest for each in await waiting(pricing, draft)] == digests


async def test_a_roll_back_wants_a_word_for_what_stands_against_it_today(pricing: Pricing, clock: FixedClock) -> None:
    dear = await pricing.publish(await anvil_at(pricing, "300"), by=None, acknowledge="A slip")
    clock.set(dear.effective_at)
    with pytest.raises(WarningsNotAcknowledged):
        await pricing.roll_back(1, by=None, note="Back")
    assert len(await pricing.list_publications()) == 2

    back = await pricing.roll_back(1, by=None, note="Back", acknowledge="It was a slip")

    assert {finding["acknowledged"]["reason"] for finding in back.findings} == {"It was a slip"}
    assert any(finding["code"] == "price_jumps" for finding in back.findings)


async def test_the_database_refuses_a_publication_with_a_finding_nobody_accepted(
    pricing: Pricing, database: Database
) -> None:
    """The law: whatever a program does, no publication exists whose warnings were not acknowledged."""
    entry = (await pricing.list_publications())[0]
    accepted = {"code": "x", "severity": "warning", "acknowledged": {"by": None, "at": "2026-11-21", "reason": "Meant"}}
    columns = [column.name for column in PricePublication.__table__.columns]
    again = {name: getattr(entry, name) for name in columns} | {"number": 2, "draft_id": None}
    for wrong in (
        {"code": "x", "severity": "warning"},
        {"code": "x", "severity": "error"},
        accepted | {"acknowledged": {"by": None, "at": "2026-11-21", "reason": ""}},
        accepted | {"acknowledged": None},
    ):
        with pytest.raises(IntegrityError, match="findings_acknowledged"):
            async with database.begin(for_staff()) as session:
                await session.execute(sa.insert(PricePublication).values(**again | {"findings": [accepted, wrong]}))
    async with database.begin(for_staff()) as session:
        await session.execute(sa.insert(PricePublication).values(**again | {"findings": [accepted]}))


def test_a_digest_names_what_was_found_and_neither_when_nor_by_which_question() -> None:
    found = Finding(
        code="ended", severity=Severity.WARNING, params={"kind": "list", "keys": "A", "at": "1"}, witness=None
    )
    same = Finding(
        code="ended", severity=Severity.WARNING, params={"keys": "A", "at": "2", "kind": "list"}, witness=None
    )
    assert re.fullmatch("sha256:[0-9a-f]{64}", finding_digest(found))
    assert finding_digest(found) == finding_digest(same)
    for code, params in (("other", found.params), ("ended", found.params | {"keys": "A, B"})):
        other = Finding(code=code, severity=Severity.WARNING, params=params, witness=None)
        assert finding_digest(other) != finding_digest(found)


async def test_a_finding_of_another_hour_is_the_same(pricing: Pricing, clock: FixedClock) -> None:
    clock.advance(seconds=timedelta(days=30).total_seconds())
    draft = await anvil_at(pricing, "81")
    ended = [each for each in await waiting(pricing, draft) if each.finding.code == "ended"]
    clock.advance(minutes=1)
    again = [each for each in await waiting(pricing, draft) if each.finding.code == "ended"]
    assert ended
    assert ended[0].finding != again[0].finding
    assert [each.digest for each in again] == [each.digest for each in ended]
