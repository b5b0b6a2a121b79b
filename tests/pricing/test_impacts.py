"""The use case of impact: what is compared with what, the job, and who may see what it found."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.service import Catalog
from kernel.clock import FixedClock
from kernel.db import Database, for_company, for_staff, for_visitor
from kernel.ids import new_id
from pricing.engine import Buyer, TaxInput
from pricing.impact import Figures, Sold, SoldOrder
from pricing.impacts import (
    ImpactClash,
    ImpactNotFound,
    ImpactOutdated,
    Impacts,
    ImpactWindow,
    Report,
    months_before,
)
from pricing.reviews import DraftClosed, DraftNotFound
from pricing.service import Pricing, PublicationNotFound
from tests.pricing.test_derived_lists import put, with_trade
from tests.pricing.test_publication import row

INITECH = Buyer(company="initech", country="ES")
GLOBEX = Buyer(company="globex", country="ES")
CONTRACT = {"code": "CONTRACT-GLOBEX", "currency": "EUR", "audience": {"company": "globex"}}


def order(buyer: Buyer, *lines: tuple[str, str, int], name: str = "T-1") -> SoldOrder:
    return SoldOrder(
        name=name,
        buyer=buyer,
        currency="EUR",
        tax=TaxInput(),
        lines=tuple((sku, unit, quantity * 10**6) for sku, unit, quantity in lines),
    )


class Shelf:
    """Stands for the orders and quotes of another room, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.orders = [
            order(GLOBEX, ("ANVIL-50", "each", 2), ("BOLT-M8", "each", 100)),
            order(INITECH, ("ANVIL-50", "each", 1), name="T-2"),
        ]
        self.quotes = [order(GLOBEX, ("CRUNCHY-ARMCHAIR", "each", 5), name="Q-1")]
        self.asked: list[Any] = []

    async def read_orders(self, _session: AsyncSession, since: datetime, until: datetime) -> Sold:
        self.asked.append((since, until))
        return Sold.of(self.orders)

    async def read_quotes(self, _session: AsyncSession, now: datetime) -> Sold:
        self.asked.append(now)
        return Sold.of(self.quotes)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def impacts(pricing: Pricing, database: Database, clock: FixedClock, catalog: Catalog, shelf: Shelf) -> Impacts:
    return Impacts(
        database, clock, pricing.books, catalog, read_orders=shelf.read_orders, read_quotes=shelf.read_quotes
    )


async def price(pricing: Pricing, draft: uuid.UUID, sku: str, price: str, *, of: str = "PUBLIC") -> None:
    await put(pricing, draft, "row", (of, sku, "each", ""), row(price, list=of, sku=sku))


async def draft_with(pricing: Pricing, anvil: str = "90") -> uuid.UUID:
    draft = (await pricing.open_draft(title="Dearer", by=None)).id
    await price(pricing, draft, "ANVIL-50", anvil)
    return draft


async def worked_out(impacts: Impacts, draft: uuid.UUID, **asked: Any) -> Report:
    impact_id = await impacts.request(draft, months=3, by=None, **asked)
    await impacts.work(str(impact_id))
    report = (await impacts.find(impact_id)).report
    assert report is not None
    return report


def by_sku(report: Report) -> dict[str, Figures]:
    return {group.key: group.figures for group in report.orders.blocks[0].skus}


async def test_a_draft_is_compared_with_the_book_it_would_replace(
    impacts: Impacts, pricing: Pricing, shelf: Shelf, clock: FixedClock
) -> None:
    report = await worked_out(impacts, await draft_with(pricing))

    assert (report.publication, report.draft_version, report.at) == (1, 1, clock.now())
    assert shelf.asked == [(clock.now().replace(month=8), clock.now()), clock.now()]
    figures = by_sku(report)
    anvil = figures["ANVIL-50"]
    assert (anvil.before, anvil.after, anvil.raised, anvil.same) == (2 * 8000 + 7200, 2 * 9000 + 7200, 1, 1)
    assert (anvil.cost, anvil.margin_before, anvil.margin_after) == (3 * 4000, 11_200, 13_200)
    assert (figures["BOLT-M8"].change, figures["BOLT-M8"].cost) == (0, 500)
    quoted = report.quotes.blocks[0].total
    assert (quoted.before, quoted.change) == (5 * 19_000, 0)


async def test_the_impact_of_a_draft_without_changes_is_zero(impacts: Impacts, pricing: Pricing) -> None:
    draft = (await pricing.open_draft(title="Nothing", by=None)).id

    report = await worked_out(impacts, draft)

    for block in (*report.orders.blocks, *report.quotes.blocks):
        total = block.total
        assert (total.change, total.raised, total.lowered, total.lost, total.gained) == (0, 0, 0, 0, 0)


async def test_the_prices_are_those_of_the_instant_asked_for(impacts: Impacts, pricing: Pricing) -> None:
    draft = await draft_with(pricing)

    report = await worked_out(impacts, draft, as_of=datetime(2026, 11, 24, tzinfo=UTC))

    anvil = by_sku(report)["ANVIL-50"]  # a tenth off in the week of tools, on both sides
    assert (anvil.before, anvil.after) == (2 * 7200 + 6480, 2 * 8100 + 6480)


async def test_a_coming_publication_is_what_a_draft_is_laid_over(
    impacts: Impacts, pricing: Pricing, clock: FixedClock
) -> None:
    draft = await draft_with(pricing)
    coming = (await pricing.open_draft(title="Bolts", by=None)).id
    await price(pricing, coming, "BOLT-M8", "0.5")
    tomorrow = clock.now() + timedelta(days=1)
    await pricing.publish(coming, by=None, effective_at=tomorrow, acknowledge="As meant")

    report = await worked_out(impacts, draft)

    assert (report.publication, report.at) == (2, tomorrow)
    assert by_sku(report)["BOLT-M8"].before == by_sku(report)["BOLT-M8"].after == 5000
    assert by_sku(report)["ANVIL-50"].change == 2000


async def test_rules_and_lists_of_the_draft_act_on_what_it_does_not_change_itself(
    impacts: Impacts, pricing: Pricing
) -> None:
    draft = (await pricing.open_draft(title="Rules", by=None)).id
    rule = {
        "code": "BOLTS",
        "layer": "DISCOUNTS",
        "group": "promotion",
        "scope": {"skus": ["BOLT-M8"]},
        "effect": {"type": "percent", "percent": "50"},
        "titles": {"en": "Bolts", "es": "Tornillos"},
    }
    await put(pricing, draft, "adjustment", ("BOLTS",), rule)
    await put(pricing, draft, "list", ("CONTRACT-GLOBEX",), CONTRACT)
    await price(pricing, draft, "ANVIL-50", "70", of="CONTRACT-GLOBEX")

    figures = by_sku(await worked_out(impacts, draft))

    assert (figures["BOLT-M8"].before, figures["BOLT-M8"].after) == (1800, 900)
    assert figures["ANVIL-50"].change == -2000


async def test_a_new_formula_prices_what_follows_from_it(impacts: Impacts, pricing: Pricing, shelf: Shelf) -> None:
    shelf.orders = [order(Buyer(company="globex", segments=("trade",)), ("ANVIL-50", "each", 1))]

    figures = by_sku(await worked_out(impacts, await with_trade(pricing)))

    assert (figures["ANVIL-50"].before, figures["ANVIL-50"].after) == (8000, 7000)


async def test_todays_costs_move_what_is_derived_from_them(
    impacts: Impacts, pricing: Pricing, shelf: Shelf, database: Database, clock: FixedClock
) -> None:
    shelf.orders = [order(Buyer(company="globex", segments=("trade",)), ("ANVIL-50", "each", 1))]
    published = await pricing.publish(
        await with_trade(pricing, base=None, percent="50"), by=None, acknowledge="As meant"
    )
    clock.set(published.effective_at)
    async with database.begin(for_staff()) as session:
        await session.execute(
            sa.text("update sku_cost set cost = 44 from sku where sku.id = sku_id and code = 'ANVIL-50'")
        )
    draft = (await pricing.open_draft(title="Nothing", by=None)).id

    anvil = by_sku(await worked_out(impacts, draft))["ANVIL-50"]

    assert (anvil.before, anvil.after, anvil.cost) == (6000, 6600, 4400)


async def test_what_only_the_catalogue_knows_yet_is_priced_by_the_draft(
    impacts: Impacts, pricing: Pricing, shelf: Shelf, database: Database
) -> None:
    async with database.begin(for_staff()) as session:
        await session.execute(
            sa.text(
                "insert into sku (id, code, code_key, product_id, names, attributes, base_unit, tax_category,"
                " fractional, active) select :id, 'NEW', 'new', product_id, names, attributes, base_unit, tax_category,"
                " fractional, active from sku where code = 'ANVIL-50'"
            ),
            {"id": new_id()},
        )
    shelf.orders = [order(GLOBEX, ("NEW", "each", 1), ("GONE", "each", 1))]
    draft = (await pricing.open_draft(title="New", by=None)).id
    await price(pricing, draft, "NEW", "5")

    report = await worked_out(impacts, draft)

    block = report.orders.blocks[0]
    assert (block.total.gained, block.total.gained_amount, block.total.unpriced) == (1, 500, 1)
    assert [(one.reason, one.lines) for one in block.gained] == [("unknown_sku", 1)]
    assert {group.key for group in block.categories} == {"", "TOOLS.HEAVY"}


async def test_changes_of_the_same_by_others_stop_it_and_the_job_says_so(impacts: Impacts, pricing: Pricing) -> None:
    mine = await draft_with(pricing)
    await pricing.publish(await draft_with(pricing, "85"), by=None, acknowledge="As meant")

    with pytest.raises(ImpactClash) as stopped:
        await impacts.compare(mine, months=1)
    assert stopped.value.extra == {"count": 1}
    impact_id = await impacts.request(mine, months=1, by=None)
    await impacts.work(str(impact_id))
    found = await impacts.find(impact_id)
    assert (found.problem, found.report, found.current) == ("price-impact-clash", None, False)
    assert found.finished_at is not None
    assert "others published" in (found.detail or "")


async def test_changes_beside_those_of_others_are_laid_over_them(impacts: Impacts, pricing: Pricing) -> None:
    draft = await draft_with(pricing)
    other = (await pricing.open_draft(title="Contract", by=None)).id
    await price(pricing, other, "ANVIL-50", "81", of="CONTRACT-INITECH")
    await pricing.publish(other, by=None, acknowledge="As meant")

    figures = by_sku(await worked_out(impacts, draft))

    assert (figures["ANVIL-50"].before, figures["ANVIL-50"].after) == (16_000 + 8100, 18_000 + 8100)


async def test_an_impact_is_current_until_the_draft_or_the_book_moves(impacts: Impacts, pricing: Pricing) -> None:
    draft = await draft_with(pricing)
    impact_id = await impacts.request(draft, months=12, by=None)
    waiting = await impacts.find(impact_id)
    assert (waiting.report, waiting.finished_at, waiting.current) == (None, None, False)
    with pytest.raises(ImpactNotFound):
        await impacts.compare_again(waiting)
    await impacts.work(str(impact_id))
    done = await impacts.find(impact_id)
    assert (done.current, done.lines_done, done.lines_all) == (True, 8, 8)
    assert (await impacts.compare_again(done)).report() == done.report

    await price(pricing, draft, "ANVIL-50", "91")

    moved = await impacts.find(impact_id)
    assert (moved.current, moved.report) == (False, done.report)
    with pytest.raises(ImpactOutdated):
        await impacts.compare_again(moved)


async def test_a_job_done_twice_changes_nothing_and_a_new_one_takes_the_place_of_the_old(
    impacts: Impacts, pricing: Pricing, shelf: Shelf, clock: FixedClock
) -> None:
    draft = await draft_with(pricing)
    first = await impacts.request(draft, months=1, by=None)
    await impacts.work(str(first))
    done = await impacts.find(first)
    asked = len(shelf.asked)
    await impacts.work(str(first))
    await impacts.work(str(new_id()))
    assert (await impacts.find(first), len(shelf.asked)) == (done, asked)
    clock.advance(seconds=1)

    second = await impacts.request(draft, months=1, by=None)
    await impacts.work(str(second))

    last = await impacts.find_last(draft)
    assert last is not None
    assert last.id == second
    with pytest.raises(ImpactNotFound):
        await impacts.find(first)


async def test_what_cannot_be_asked_is_refused_at_once(impacts: Impacts, pricing: Pricing) -> None:
    draft = await draft_with(pricing)
    with pytest.raises(ImpactWindow):
        await impacts.request(draft, months=2, by=None)
    with pytest.raises(DraftNotFound):
        await impacts.request(new_id(), months=1, by=None)
    await pricing.discard_draft(draft)
    with pytest.raises(DraftClosed):
        await impacts.request(draft, months=1, by=None)
    assert await impacts.find_last(draft) is None


async def test_before_the_first_publication_there_is_nothing_to_compare_with(
    unpublished: Pricing, database: Database, clock: FixedClock, catalog: Catalog, shelf: Shelf
) -> None:
    impacts = Impacts(
        database, clock, unpublished.books, catalog, read_orders=shelf.read_orders, read_quotes=shelf.read_quotes
    )
    draft = (await unpublished.open_draft(title="First", by=None)).id

    with pytest.raises(PublicationNotFound):
        await impacts.request(draft, months=1, by=None)


async def test_no_scope_but_staffs_sees_an_impact(impacts: Impacts, pricing: Pricing, database: Database) -> None:
    await worked_out(impacts, await draft_with(pricing))
    for scope, seen in ((for_staff(), 1), (for_company(new_id()), 0), (for_visitor(), 0)):
        async with database.begin(scope) as session:
            assert await session.scalar(sa.text("select count(*) from price_impact")) == seen


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        (datetime(2026, 3, 31, 7, tzinfo=UTC), 1, datetime(2026, 2, 28, 7, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 1, datetime(2025, 12, 15, tzinfo=UTC)),
        (datetime(2026, 12, 31, tzinfo=UTC), 12, datetime(2025, 12, 31, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 12, datetime(2023, 2, 28, tzinfo=UTC)),
    ],
)
def test_months_back_end_on_the_same_day_or_the_last_of_the_month(
    day: datetime, months: int, earlier: datetime
) -> None:
    assert months_before(day, months) == earlier
