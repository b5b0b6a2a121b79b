import asyncio
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.errors import Conflict
from kernel.money import normal
from kernel.signing import Keyring, Signature
from pricing.content import LeafMalformed, publication_message
from pricing.engine import Buyer, LineRequest, QuoteRequest
from pricing.engine.request import PricedLine
from pricing.model import DraftState
from pricing.reviews import DraftClosed, DraftNotFound
from pricing.service import (
    CommittedTooLate,
    DraftClash,
    EffectiveTooSoon,
    FindingsStopPublication,
    PreviewBuyer,
    PreviewTooLarge,
    Pricing,
    PublicationNotFound,
    PublicationOutOfOrder,
)
from tests.pricing.conftest import CATALOGUE, LEAD, PRICES

ANVIL = ("PUBLIC", "ANVIL-50", "each", "")
GUEST = Buyer()


def row(price: str, **changes: Any) -> dict[str, Any]:
    tier = {"from": "0", "above": None, "unit_price": price, "flat_fee": "0"}
    return {"list": "PUBLIC", "sku": "ANVIL-50", "unit": "each", "model": "flat", "tiers": [tier]} | changes


def price(pricing: Pricing, at: datetime, *, buyer: Buyer = GUEST, sku: str = "ANVIL-50", quantity: str = "1") -> str:
    line = pricing.price_of(buyer, currency="EUR", sku=sku, quantity=quantity, at=at).line
    assert isinstance(line, PricedLine)
    return normal(line.subtotal)


async def anvil_at(pricing: Pricing, asked: str) -> Any:
    """A draft in which the anvil costs *asked*."""
    draft = await pricing.open_draft(title=f"Anvil at {asked}", by=None)
    seen = (await pricing.find_leaf(draft.id, "row", ANVIL)).seen
    await pricing.put_change(draft.id, "row", ANVIL, row(asked), by=None, expected=seen)
    return draft.id


async def test_an_imported_folder_is_published_and_prices(pricing: Pricing, first: str, clock: FixedClock) -> None:
    assert price(pricing, clock.now()) == "80"
    assert price(pricing, clock.now(), buyer=Buyer(company="initech")) == "72"
    assert price(pricing, clock.now(), sku="BOLT-M8", quantity="100") == "18"
    assert pricing.books.at(clock.now()).root == first


async def test_a_publication_changes_prices_exactly_at_its_instant(pricing: Pricing, clock: FixedClock) -> None:
    published = await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant")

    assert published.effective_at == clock.now() + LEAD
    assert price(pricing, clock.now()) == "80"
    assert price(pricing, published.effective_at - timedelta(microseconds=1)) == "80"
    assert price(pricing, published.effective_at) == "90"
    assert [entry.number for entry in pricing.books.upcoming(clock.now())] == [2]
    assert pricing.books.upcoming(published.effective_at) == ()


async def test_several_publications_may_wait_and_each_takes_its_turn(pricing: Pricing, clock: FixedClock) -> None:
    one, two = clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=2)
    await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant", effective_at=one)
    await pricing.publish(await anvil_at(pricing, "95"), by=None, acknowledge="As meant", effective_at=two)

    assert [price(pricing, at) for at in (clock.now(), one, two)] == ["80", "90", "95"]


async def test_nothing_overtakes_an_upcoming_publication_but_its_own_instant_replaces_it(
    pricing: Pricing, clock: FixedClock
) -> None:
    monday = clock.now() + timedelta(days=1)
    await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant", effective_at=monday)
    draft = await anvil_at(pricing, "95")

    with pytest.raises(PublicationOutOfOrder):
        await pricing.publish(draft, by=None, acknowledge="As meant")
    await pricing.publish(draft, by=None, acknowledge="As meant", effective_at=monday)
    assert price(pricing, monday) == "95"


async def test_an_instant_nearer_than_the_lead_time_is_refused(pricing: Pricing, clock: FixedClock) -> None:
    draft = await anvil_at(pricing, "90")
    with pytest.raises(EffectiveTooSoon):
        await pricing.publish(
            draft, by=None, acknowledge="As meant", effective_at=clock.now() + LEAD - timedelta(milliseconds=1)
        )
    assert (await pricing.find_draft(draft)).state is DraftState.OPEN


class SlowClock(FixedClock):
    """Each time it is asked, *each* has passed."""

    each = timedelta()

    def now(self) -> datetime:
        return self.advance(seconds=self.each.total_seconds())


async def test_a_commit_that_comes_too_late_for_its_instant_is_refused_and_leaves_nothing(
    pricing: Pricing, clock: FixedClock
) -> None:
    draft = await anvil_at(pricing, "90")
    slow = SlowClock(clock.now())
    slow.each = LEAD * 0.3
    pricing.clock = slow

    with pytest.raises(CommittedTooLate):
        await pricing.publish(draft, by=None, acknowledge="As meant")

    assert len(await pricing.list_publications()) == 1
    assert (await pricing.find_draft(draft)).state is DraftState.OPEN


async def test_an_instant_that_nobody_asked_for_is_chosen_anew_when_the_commit_was_too_late(
    pricing: Pricing, clock: FixedClock
) -> None:
    class SlowOnce(SlowClock):
        asked = 0

        def now(self) -> datetime:
            self.asked += 1
            self.each = LEAD * 0.3 if self.asked < 6 else timedelta()
            return super().now()

    draft = await anvil_at(pricing, "90")
    slow = SlowOnce(clock.now())
    pricing.clock = slow
    published = await pricing.publish(draft, by=None, acknowledge="As meant")
    assert published.effective_at == slow.now() + LEAD


async def test_a_commit_that_hangs_after_the_check_is_ended_by_the_server(
    pricing: Pricing, database: Database, clock: FixedClock
) -> None:
    """The server's own time limit holds where ours cannot: between the last statement and the commit."""
    with pytest.raises(DBAPIError):
        async with database.begin(for_staff()) as session:
            await pricing._refuse_when_late(session, clock.now() + pricing.books.silence + timedelta(milliseconds=50))
            await asyncio.sleep(0.3)
            await session.execute(sa.text("select 1"))


async def test_concurrent_publishers_get_numbers_and_instants_that_follow_each_other(pricing: Pricing) -> None:
    drafts = []
    for sku in ("ANVIL-50", "BOLT-M8", "CRUNCHY-ARMCHAIR"):
        draft = await pricing.open_draft(title=sku, by=None)
        key = ("CONTRACT-INITECH", sku, "each", "2027-01-01T00:00:00+00:00")
        content = row("1", list="CONTRACT-INITECH", sku=sku, starts_at="2027-01-01T00:00:00Z")
        if sku == "ANVIL-50":
            key, content = ("PUBLIC", "ANVIL-50", "each", ""), row("85")
            seen = (await pricing.find_leaf(draft.id, "row", key)).seen
            await pricing.put_change(draft.id, "row", key, content, by=None, expected=seen)
        else:
            await pricing.put_change(draft.id, "row", key, content, by=None)
        drafts.append(draft.id)

    await asyncio.gather(*(pricing.publish(draft, by=None, acknowledge="As meant") for draft in drafts))

    log = await pricing.list_publications()
    assert [entry.number for entry in log] == [4, 3, 2, 1]
    assert sorted((entry.effective_at for entry in log), reverse=True) == [entry.effective_at for entry in log]
    # every change is in the last one: drafts that lost the race were laid over the winner's content
    assert len(await pricing.compare(1, 4)) == 3


async def test_two_drafts_of_the_same_price_clash_and_the_error_shows_both_sides(pricing: Pricing) -> None:
    one, other = await anvil_at(pricing, "90"), await anvil_at(pricing, "95")
    await pricing.publish(one, by=None, acknowledge="As meant")

    with pytest.raises(DraftClash) as clash:
        await pricing.publish(other, by=None, acknowledge="As meant")

    clashes = clash.value.extra["clashes"]
    assert isinstance(clashes, list)
    (shown,) = clashes
    assert shown["theirs"]["tiers"][0]["unit_price"] == "90"
    assert shown["yours"]["tiers"][0]["unit_price"] == "95"


async def test_an_editor_who_did_not_see_the_last_change_gets_both_sides(pricing: Pricing) -> None:
    draft = await pricing.open_draft(title="Two editors", by=None)
    seen = (await pricing.find_leaf(draft.id, "row", ANVIL)).seen
    now = await pricing.put_change(draft.id, "row", ANVIL, row("90"), by=None, expected=seen)

    with pytest.raises(DraftClash) as clash:
        await pricing.put_change(draft.id, "row", ANVIL, row("95"), by=None, expected=seen)
    assert "90" in str(clash.value.extra["clashes"])
    assert "95" in str(clash.value.extra["clashes"])

    await pricing.put_change(draft.id, "row", ANVIL, row("95"), by=None, expected=now.seen)
    with pytest.raises(DraftClash):
        await pricing.put_change(draft.id, "row", ANVIL, row("96"), by=None)  # says there was nothing


async def test_a_number_typed_with_zeros_at_its_end_is_the_same_number(pricing: Pricing) -> None:
    draft = await anvil_at(pricing, "90.50")
    (change,) = await pricing.list_changes(draft)
    assert change.after["tiers"][0]["unit_price"] == "90.5"


async def test_setting_a_price_back_to_what_it_was_is_no_change(pricing: Pricing) -> None:
    draft = await anvil_at(pricing, "90")
    (change,) = await pricing.list_changes(draft)
    assert change.before["tiers"][0]["unit_price"] == "80"
    assert change.after["tiers"][0]["unit_price"] == "90"

    await pricing.put_change(draft, "row", ANVIL, row("80"), by=None, expected=change.seen)
    assert await pricing.list_changes(draft) == ()


async def test_a_removed_price_is_refused_from_then_on(pricing: Pricing) -> None:
    draft = await pricing.open_draft(title="No contract", by=None)
    key = ("CONTRACT-INITECH", "ANVIL-50", "each", "")
    leaf = await pricing.find_leaf(draft.id, "row", key)
    await pricing.put_change(draft.id, "row", key, None, by=None, expected=leaf.seen)
    published = await pricing.publish(draft.id, by=None, acknowledge="As meant")

    assert price(pricing, published.effective_at, buyer=Buyer(company="initech")) == "80"


@pytest.mark.parametrize(
    ("kind", "key", "content", "says"),
    [
        ("row", ANVIL, row("NaN"), "unit_price"),
        ("row", ANVIL, row("80") | {"colour": "red"}, "colour"),
        ("row", ("PUBLIC", "OTHER", "each", ""), row("80"), "not PUBLIC / OTHER"),
        ("sku", ("ANVIL-50",), {"sku": "ANVIL-50"}, "catalogue"),
        ("nonsense", (), {}, "nonsense"),
        ("row", ("PUBLIC",), row("80"), "not PUBLIC"),
        ("list", ("L",), {"code": "L", "currency": "EUR", "titles": {"en": "a\0", "es": "a"}}, "NUL"),
        ("list", ("L",), {"code": "L", "currency": "EUR", "titles": {"en": "\ud800", "es": "a"}}, "canonical"),
        ("list", ("L",), {"code": "L", "currency": "EUR", "priority": 2**70}, "nteger"),
        ("list", ("L",), [], "list L"),
        ("row", ANVIL, row("80", starts_at="2026-12-01T00:00:00+01:00"), "UTC"),
    ],
)
async def test_what_is_no_object_of_a_book_is_refused(
    pricing: Pricing, kind: str, key: tuple[str, ...], content: Any, says: str
) -> None:
    draft = await pricing.open_draft(title="Wrong", by=None)
    with pytest.raises(LeafMalformed, match=re.escape(says)):
        await pricing.put_change(draft.id, kind, key, content, by=None)


async def test_texts_that_cannot_be_kept_are_refused(pricing: Pricing) -> None:
    with pytest.raises(LeafMalformed):
        await pricing.open_draft(title="a\0b", by=None)
    with pytest.raises(LeafMalformed):
        await pricing.roll_back(1, by=None, note="\ud800")


async def test_looking_at_what_cannot_exist_shows_nothing(pricing: Pricing) -> None:
    draft = await pricing.open_draft(title="Looking", by=None)
    for kind, key in (("row", ()), ("row", ("\0", "\0")), ("sku", ()), ("nonsense", ("x",)), ("list", ("a", "b"))):
        assert (await pricing.find_leaf(draft.id, kind, key)).content is None
    assert await pricing.list_leaves(draft.id, "row", sku="GHOST") == ()
    shown = await pricing.list_leaves(draft.id, "row", sku="ANVIL-50")
    assert [state.key[0] for state in shown] == ["CONTRACT-INITECH", "PUBLIC"]
    assert [state.key for state in await pricing.list_leaves(draft.id, "list")] == [("CONTRACT-INITECH",), ("PUBLIC",)]


async def test_the_same_content_has_the_same_root_and_a_roll_back_is_a_new_publication_of_it(
    pricing: Pricing, first: str, clock: FixedClock
) -> None:
    second = await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant")
    clock.set(second.effective_at)
    assert price(pricing, clock.now()) == "90"

    third = await pricing.roll_back(1, by=None, note="too dear", acknowledge="As meant")

    assert "sha256:" + third.root.hex() == first
    assert (third.number, third.restores) == (3, 1)
    assert price(pricing, clock.now()) == "90"
    assert price(pricing, third.effective_at) == "80"

    back = await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant")
    assert back.root == second.root


async def test_rolling_back_to_what_never_was_is_refused(pricing: Pricing) -> None:
    with pytest.raises(PublicationNotFound):
        await pricing.roll_back(7, by=None)


async def test_the_log_is_signed_and_cannot_be_rewritten(
    pricing: Pricing, first: str, database: Database, keyring: Keyring
) -> None:
    (entry,) = await pricing.list_publications()
    message = publication_message(entry.number, first, entry.effective_at)
    assert keyring.verify("publication", Signature(entry.key_id, entry.signature), message)

    for statement in (
        "update price_publication set note = 'never'",
        "delete from price_publication",
        "truncate price_publication",
        "update price_content set content = ''",
        "delete from price_content",
    ):
        with pytest.raises(DBAPIError):
            async with database.begin(for_staff()) as session:
                await session.execute(sa.text(statement))


async def test_a_log_entry_that_skips_a_number_or_goes_back_in_time_is_refused_by_the_database(
    pricing: Pricing, database: Database
) -> None:
    assert len(await pricing.list_publications()) == 1
    copy = (
        "insert into price_publication (number, root, effective_at, published_at, note, findings, signature, key_id)"
        " select {number}, root, effective_at + interval '{later}', published_at, note, findings, signature, key_id"
        " from price_publication where number = 1"
    )
    for number, later in ((3, "1 day"), (2, "-1 second"), (1, "1 day")):
        with pytest.raises(DBAPIError):
            async with database.begin(for_staff()) as session:
                await session.execute(sa.text(copy.format(number=number, later=later)))


async def test_errors_stop_publication_and_name_the_object(pricing: Pricing, folder: Callable[..., Path]) -> None:
    imported = await pricing.import_prices(folder(price_rows_csv="list,sku,unit,model,tiers\n"), by=None)
    assert imported.draft_id is not None

    findings = [each.finding for each in await pricing.findings(imported.draft_id)]
    assert {finding.code for finding in findings} == {"sold_without_price"}
    assert [finding.params["sku"] for finding in findings] == ["ANVIL-50", "BOLT-M8", "CRUNCHY-ARMCHAIR"]
    with pytest.raises(FindingsStopPublication, match="3 errors"):
        await pricing.publish(imported.draft_id, by=None, acknowledge="As meant")


async def test_a_published_or_discarded_draft_is_closed(pricing: Pricing) -> None:
    published, discarded = await anvil_at(pricing, "90"), await anvil_at(pricing, "95")
    await pricing.publish(published, by=None, acknowledge="As meant")
    await pricing.discard_draft(discarded)
    for draft in (published, discarded):
        with pytest.raises(DraftClosed):
            await pricing.put_change(draft, "row", ANVIL, None, by=None)
        with pytest.raises(DraftClosed):
            await pricing.publish(draft, by=None, acknowledge="As meant")
    assert await pricing.list_drafts() == []
    with pytest.raises(DraftNotFound):
        await pricing.find_draft(uuid.UUID(int=0))


async def test_a_draft_published_twice_at_once_is_published_once(pricing: Pricing) -> None:
    draft = await anvil_at(pricing, "90")
    answers = await asyncio.gather(
        *(pricing.publish(draft, by=None, acknowledge="As meant") for _ in range(3)), return_exceptions=True
    )
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert all(isinstance(answer, Conflict) for answer in answers if isinstance(answer, BaseException))
    assert len(await pricing.list_publications()) == 2


async def test_a_preview_shows_before_and_after_of_a_sample_and_changes_nothing(
    pricing: Pricing, clock: FixedClock
) -> None:
    draft = await anvil_at(pricing, "90")
    initech = Buyer(company="initech")
    shown = await pricing.preview(
        draft,
        buyers=[
            PreviewBuyer(name="Everyone", buyer=GUEST, currency="EUR"),
            PreviewBuyer(name="Initech", buyer=initech, currency="EUR"),
        ],
        skus=["ANVIL-50", "BOLT-M8"],
        quantities=["1", "10"],
    )
    amounts = [
        (p.name, p.sku, p.quantity, normal(p.before.subtotal), normal(p.after.subtotal))
        for p in shown
        if isinstance(p.before, PricedLine) and isinstance(p.after, PricedLine)
    ]
    assert amounts == [
        ("Everyone", "ANVIL-50", "1", "80", "90"),
        ("Everyone", "ANVIL-50", "10", "800", "900"),
        ("Everyone", "BOLT-M8", "1", "0.21", "0.21"),
        ("Everyone", "BOLT-M8", "10", "2.1", "2.1"),
        ("Initech", "ANVIL-50", "1", "72", "72"),
        ("Initech", "ANVIL-50", "10", "720", "720"),
        ("Initech", "BOLT-M8", "1", "0.21", "0.21"),
        ("Initech", "BOLT-M8", "10", "2.1", "2.1"),
    ]
    assert price(pricing, clock.now()) == "80"


async def test_a_preview_of_the_very_first_draft_has_no_before(
    unpublished: Pricing, folder: Callable[..., Path]
) -> None:
    imported = await unpublished.import_folder(folder(CATALOGUE, PRICES), by=None)
    assert imported.draft_id is not None
    (shown,) = await unpublished.preview(
        imported.draft_id,
        buyers=[PreviewBuyer(name="Everyone", buyer=GUEST, currency="EUR")],
        skus=["ANVIL-50"],
        quantities=["1"],
    )
    assert shown.before is None
    assert isinstance(shown.after, PricedLine)
    assert shown.after.subtotal == "80.00"


async def test_what_the_preview_says_is_what_is_published(pricing: Pricing, clock: FixedClock) -> None:
    draft = await pricing.open_draft(title="More off tools", by=None)
    leaf = await pricing.find_leaf(draft.id, "adjustment", ("TOOLS-WEEK",))
    dearer = leaf.content | {"effect": {"type": "percent", "percent": "25", "surcharge": False}, "starts_at": None}
    await pricing.put_change(draft.id, "adjustment", ("TOOLS-WEEK",), dearer, by=None, expected=leaf.seen)
    at = clock.now() + LEAD
    (shown,) = await pricing.preview(
        draft.id,
        buyers=[PreviewBuyer(name="Everyone", buyer=GUEST, currency="EUR")],
        skus=["ANVIL-50"],
        quantities=["3"],
        at=at,
    )
    await pricing.publish(draft.id, by=None, acknowledge="As meant")
    assert isinstance(shown.after, PricedLine)
    assert shown.after == pricing.price_of(GUEST, currency="EUR", sku="ANVIL-50", quantity="3", at=at).line
    assert shown.after.subtotal == "180.00"


async def test_publishing_takes_the_catalogues_facts_of_that_day(pricing: Pricing, folder: Callable[..., Path]) -> None:
    moved = folder(products_csv="code,category,brand,name_en\nARMCHAIR,TOOLS,,Armchair\n")
    assert (await pricing.import_folder(moved, by=None)).report.errors == []
    in_tools_week = datetime.fromisoformat("2026-11-24T00:00:00Z")
    assert price(pricing, in_tools_week, sku="CRUNCHY-ARMCHAIR") == "200"

    draft = await pricing.open_draft(title="Facts only", by=None)
    await pricing.publish(draft.id, by=None, acknowledge="As meant")

    assert price(pricing, in_tools_week, sku="CRUNCHY-ARMCHAIR") == "180"
    (change,) = await pricing.compare(1, 2)
    assert (change.kind, change.key) == ("sku", ("CRUNCHY-ARMCHAIR",))


async def test_a_price_of_long_ago_is_told_by_the_book_then_in_force(pricing: Pricing, clock: FixedClock) -> None:
    before = clock.now()
    for asked in ("81", "82", "83"):
        published = await pricing.publish(await anvil_at(pricing, asked), by=None, acknowledge="As meant")
        clock.set(published.effective_at)
    request = QuoteRequest(buyer=GUEST, currency="EUR", lines=(LineRequest(sku="ANVIL-50", quantity="1"),))
    then, now = await pricing.price_at(request, before), await pricing.price_at(request, clock.now())
    assert [quote.total and quote.total.decimal for quote in (then, now)] == ["80.00", "83.00"]


async def test_a_ladder_of_the_shop_is_that_of_the_book_in_force(pricing: Pricing, clock: FixedClock) -> None:
    ladder = pricing.ladder(GUEST, currency="EUR", sku="CRUNCHY-ARMCHAIR", at=clock.now())
    assert [(rung.quantity, rung.each) for rung in ladder.rungs] == [("1", "200"), ("5", "190")]
    assert ladder.root == pricing.books.at(clock.now()).root


async def test_a_preview_of_too_many_prices_is_refused(pricing: Pricing) -> None:
    draft = await pricing.open_draft(title="Large", by=None)
    everyone = PreviewBuyer(name="Everyone", buyer=GUEST, currency="EUR")
    with pytest.raises(PreviewTooLarge):
        await pricing.preview(draft.id, buyers=[everyone], skus=["ANVIL-50"] * 201, quantities=["1"] * 10)


async def test_a_page_shows_for_a_minute_what_was_found_and_a_publication_looks_again(
    pricing: Pricing, clock: FixedClock
) -> None:
    chair = ("PUBLIC", "CRUNCHY-ARMCHAIR", "each", "")
    draft = await pricing.open_draft(title="The chair's price ends soon", by=None)
    seen = (await pricing.find_leaf(draft.id, "row", chair)).seen
    ending = row("80", sku="CRUNCHY-ARMCHAIR", ends_at=(clock.now() + timedelta(seconds=30)).isoformat())
    await pricing.put_change(draft.id, "row", chair, ending, by=None, expected=seen)

    async def found() -> set[str]:
        return {standing.finding.code for standing in await pricing.findings(draft.id)}

    assert "sold_without_price" not in await found()
    clock.advance(seconds=40)
    assert "sold_without_price" not in await found()
    with pytest.raises(FindingsStopPublication):
        await pricing.publish(draft.id, by=None, acknowledge="As meant")
    assert "sold_without_price" in await found()
    clock.advance(seconds=-40)
    assert "sold_without_price" not in await found()
    clock.advance(seconds=60)
    assert "sold_without_price" in await found()
