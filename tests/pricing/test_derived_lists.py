"""Derived lists from draft to price: what is kept of them, what follows, and what nobody outside ever sees."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from catalog.service import Catalog
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.migrate import MIGRATIONS, migrate
from pricing.content import ContentDamaged, KeptSource, Source, content_of, packed_source, unpacked_source
from pricing.engine import Buyer, LineRequest, QuoteRequest, disclosed, quote
from pricing.engine.derive import Derivation
from pricing.engine.request import PricedLine
from pricing.engine.rules import BookError
from pricing.findings import finding_text
from pricing.model import PricePublication
from pricing.service import DraftClash, FindingsStopPublication, PreviewBuyer, Pricing
from tests.pricing.conftest import CATALOGUE, PRICES
from tests.pricing.test_publication import anvil_at, row

TRADE = Buyer(company="globex", segments=("trade",))
KEY = ("TRADE",)
OWN = ("TRADE", "ANVIL-50", "each", "")
TRADE_LIST = {"code": "TRADE", "currency": "EUR", "audience": {"segments": ["trade"]}, "titles": None}
FORMULA: dict[str, Any] = {"list": "TRADE", "base": "PUBLIC", "percent": "-12.50", "min_margin": "10"}


def price(pricing: Pricing, at: datetime, *, sku: str = "ANVIL-50", unit: str = "each", buyer: Buyer = TRADE) -> str:
    line = pricing.price_of(buyer, currency="EUR", sku=sku, unit=unit, at=at).line
    assert isinstance(line, PricedLine), line
    assert line.unit_price is not None
    return line.unit_price


async def put(pricing: Pricing, draft: UUID, kind: str, key: tuple[str, ...], content: Any) -> None:
    seen = (await pricing.find_leaf(draft, kind, key)).seen
    await pricing.put_change(draft, kind, key, content, by=None, expected=seen)


async def with_trade(pricing: Pricing, **formula: Any) -> UUID:
    """A draft with the list TRADE derived from PUBLIC."""
    draft = (await pricing.open_draft(title="Trade", by=None)).id
    await put(pricing, draft, "list", KEY, TRADE_LIST)
    await put(pricing, draft, "derivation", KEY, FORMULA | formula)
    return draft


async def publish(pricing: Pricing, draft: UUID, clock: FixedClock) -> PricePublication:
    published = await pricing.publish(draft, by=None, acknowledge="As meant")
    clock.set(published.effective_at)
    return published


async def previewed(pricing: Pricing, draft: UUID) -> tuple[str | None, str | None]:
    """What an anvil costs Globex before and after."""
    buyers = [PreviewBuyer(name="Globex", buyer=TRADE, currency="EUR")]
    (shown,) = await pricing.preview(draft, buyers=buyers, skus=["ANVIL-50"], quantities=["1"])
    assert isinstance(shown.before, PricedLine)
    assert isinstance(shown.after, PricedLine)
    return shown.before.unit_price, shown.after.unit_price


async def kinds_of(pricing: Pricing, draft: UUID) -> list[tuple[str, tuple[str, ...]]]:
    return [(change.kind, change.key) for change in await pricing.list_changes(draft)]


async def stated(pricing: Pricing, title: str = "Looking") -> list[tuple[str, ...]]:
    """The rows of TRADE, and the derivations, that a new draft starts from."""
    draft = (await pricing.open_draft(title=title, by=None)).id
    skus = ("ANVIL-50", "BOLT-M8", "CRUNCHY-ARMCHAIR")
    rows = [state.key for sku in skus for state in await pricing.list_leaves(draft, "row", sku=sku)]
    formulas = [("formula", *state.key) for state in await pricing.list_leaves(draft, "derivation")]
    return [key for key in rows if key[0] == "TRADE"] + formulas


async def test_a_derived_list_is_published_as_rows(pricing: Pricing, clock: FixedClock) -> None:
    draft = await with_trade(pricing)
    assert await kinds_of(pricing, draft) == [("derivation", KEY), ("list", KEY)]
    await publish(pricing, draft, clock)

    assert price(pricing, clock.now()) == "70.00"
    assert price(pricing, clock.now(), buyer=Buyer()) == "80.00"
    assert price(pricing, clock.now(), sku="BOLT-M8") == "0.1838"
    assert price(pricing, clock.now(), sku="BOLT-M8", unit="box") == "14.875"
    assert price(pricing, clock.now(), sku="CRUNCHY-ARMCHAIR") == "175.00"
    (latest, *_) = await pricing.list_publications()
    async with pricing.db.begin(for_staff()) as session:
        counted = await session.scalar(
            sa.text("select leaf_count from price_content where root = :root"), {"root": latest.root}
        )
    leaves, _source = await pricing._published(latest.number)
    assert counted == len(leaves)


async def test_a_change_of_the_base_list_and_of_the_costs_is_followed(
    pricing: Pricing, catalog: Catalog, clock: FixedClock, folder: Callable[..., Path]
) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    await publish(pricing, await anvil_at(pricing, "90"), clock)
    assert price(pricing, clock.now()) == "78.75"

    # 72 is what leaves 10 % of 80; the public 90 stays
    dearer = CATALOGUE["costs.csv"].replace("ANVIL-50,40", "ANVIL-50,72")
    assert (await catalog.import_folder(folder(costs_csv=dearer))).ok
    draft = (await pricing.open_draft(title="Nothing but new costs", by=None)).id
    await publish(pricing, draft, clock)
    assert price(pricing, clock.now()) == "80.00"


async def test_a_row_stated_outright_stands_until_it_is_taken_away(pricing: Pricing, clock: FixedClock) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    draft = (await pricing.open_draft(title="A price of our own", by=None)).id
    # what was derived is nothing that an editor could have seen as a row of the draft
    assert (await pricing.find_leaf(draft, "row", OWN)).content is None
    await pricing.put_change(draft, "row", OWN, row("66", list="TRADE"), by=None)
    await publish(pricing, draft, clock)
    assert price(pricing, clock.now()) == "66.00"
    assert await stated(pricing) == [OWN, ("formula", "TRADE")]

    await publish(pricing, await anvil_at(pricing, "90"), clock)
    assert price(pricing, clock.now()) == "66.00"

    draft = (await pricing.open_draft(title="Back to the formula", by=None)).id
    await put(pricing, draft, "row", OWN, None)
    await publish(pricing, draft, clock)
    assert price(pricing, clock.now()) == "78.75"
    assert await stated(pricing) == [("formula", "TRADE")]


async def test_a_row_equal_to_what_was_derived_is_a_change_that_keeps_it(pricing: Pricing, clock: FixedClock) -> None:
    first = await publish(pricing, await with_trade(pricing), clock)
    draft = (await pricing.open_draft(title="Keep 70", by=None)).id
    await pricing.put_change(draft, "row", OWN, row("70", list="TRADE"), by=None)
    assert await kinds_of(pricing, draft) == [("row", OWN)]
    second = await publish(pricing, draft, clock)
    assert second.root == first.root
    assert second.source != first.source

    await publish(pricing, await anvil_at(pricing, "90"), clock)
    assert price(pricing, clock.now()) == "70.00"


async def test_taking_a_derivation_away_takes_what_followed_from_it(pricing: Pricing, clock: FixedClock) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    draft = (await pricing.open_draft(title="No formula", by=None)).id
    await put(pricing, draft, "derivation", KEY, None)
    published = await publish(pricing, draft, clock)

    assert published.source is None
    assert price(pricing, clock.now()) == "80.00"


async def test_a_roll_back_returns_to_what_the_publication_was_made_from(pricing: Pricing, clock: FixedClock) -> None:
    derived = await publish(pricing, await with_trade(pricing), clock)
    draft = (await pricing.open_draft(title="Another formula", by=None)).id
    await put(pricing, draft, "derivation", KEY, FORMULA | {"percent": "-20"})
    await publish(pricing, draft, clock)
    assert price(pricing, clock.now()) == "64.00"

    back = await pricing.roll_back(derived.number, by=None, acknowledge="As meant")
    clock.set(back.effective_at)
    assert (back.root, back.source) == (derived.root, derived.source)
    assert price(pricing, clock.now()) == "70.00"
    await publish(pricing, await anvil_at(pricing, "100"), clock)
    assert price(pricing, clock.now()) == "87.50"

    # before the list was derived there was no formula at all
    back = await pricing.roll_back(1, by=None, acknowledge="As meant")
    clock.set(back.effective_at)
    assert back.source is None
    assert await stated(pricing) == []


async def test_two_drafts_of_one_derivation_clash(pricing: Pricing, clock: FixedClock) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    drafts = [(await pricing.open_draft(title=percent, by=None)).id for percent in ("-20", "-25")]
    for draft, percent in zip(drafts, ("-20", "-25"), strict=True):
        await put(pricing, draft, "derivation", KEY, FORMULA | {"percent": percent})
    await pricing.publish(drafts[0], by=None, acknowledge="As meant")

    with pytest.raises(DraftClash) as clash:
        await pricing.publish(drafts[1], by=None, acknowledge="As meant")
    (shown,) = json.loads(json.dumps(clash.value.extra["clashes"]))
    assert (shown["kind"], shown["key"]) == ("derivation", ["TRADE"])
    assert (shown["theirs"]["percent"], shown["yours"]["percent"]) == ("-20", "-25")

    draft = (await pricing.open_draft(title="Two editors", by=None)).id
    with pytest.raises(DraftClash):
        await pricing.put_change(draft, "derivation", KEY, FORMULA, by=None)


async def test_drafts_of_base_and_derived_list_do_not_clash_and_follow_each_other(
    pricing: Pricing, clock: FixedClock
) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    formula = (await pricing.open_draft(title="Formula", by=None)).id
    await put(pricing, formula, "derivation", KEY, FORMULA | {"percent": "-20"})
    base = await anvil_at(pricing, "100")
    await publish(pricing, formula, clock)
    await publish(pricing, base, clock)

    assert price(pricing, clock.now()) == "80.00"


async def test_a_change_and_a_comparison_show_a_derivation_before_and_after(
    pricing: Pricing, clock: FixedClock
) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    draft = (await pricing.open_draft(title="Another formula", by=None)).id
    await put(pricing, draft, "derivation", KEY, FORMULA | {"percent": "-20.0"})
    (change,) = await pricing.list_changes(draft)
    assert (change.before["percent"], change.after["percent"]) == ("-12.5", "-20")
    await publish(pricing, draft, clock)

    changes = {(change.kind, change.key): change for change in await pricing.compare(2, 3)}
    assert changes["derivation", KEY].after["percent"] == "-20"
    assert changes["row", OWN].after["tiers"][0]["unit_price"] == "64"
    assert len(changes) == 5


async def test_a_preview_shows_derived_prices_with_the_costs_of_today(
    pricing: Pricing, catalog: Catalog, clock: FixedClock, folder: Callable[..., Path]
) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    draft = await anvil_at(pricing, "100")
    assert await previewed(pricing, draft) == ("70.00", "87.50")

    dearer = CATALOGUE["costs.csv"].replace("ANVIL-50,40", "ANVIL-50,90")
    assert (await catalog.import_folder(folder(costs_csv=dearer))).ok
    assert await previewed(pricing, draft) == ("70.00", "100.00")

    await put(pricing, draft, "derivation", KEY, FORMULA | {"base": None, "percent": "50"})
    assert await previewed(pricing, draft) == ("70.00", "135.00")


async def test_a_preview_of_a_price_that_cannot_be_derived_falls_to_the_next_list(pricing: Pricing) -> None:
    draft = await with_trade(pricing, percent="-100", ending="-1", min_margin=None)
    assert await previewed(pricing, draft) == ("80.00", "80.00")


async def test_derivations_in_a_circle_stop_a_publication_and_a_preview(pricing: Pricing) -> None:
    draft = await with_trade(pricing)
    with pytest.raises(BookError, match="circle"):
        await pricing.try_change(draft, "derivation", KEY, FORMULA | {"base": "TRADE"})
    await put(pricing, draft, "derivation", KEY, FORMULA | {"base": "TRADE"})

    with pytest.raises(FindingsStopPublication, match="circle: TRADE, TRADE"):
        await pricing.publish(draft, by=None, acknowledge="As meant")
    stands = [each.finding for each in await pricing.findings(draft)]
    found = next(found for found in stands if found.code == "derivation_cyclic")
    assert finding_text(found, "es") == "Hay tarifas que se derivan unas de otras en círculo: TRADE, TRADE."


async def test_a_missing_cost_stops_a_publication_with_a_question_that_shows_it(
    pricing: Pricing, folder: Callable[..., Path]
) -> None:
    more = CATALOGUE["skus.csv"] + "ANVIL-60,ANVIL,Anvil 60 kg,each,no,yes\n"
    rows = PRICES["price_rows.csv"] + "PUBLIC,ANVIL-60,each,flat,0:95\n"
    imported = await pricing.import_folder(folder(skus_csv=more, price_rows_csv=rows), by=None)
    assert imported.draft_id is not None
    await put(pricing, imported.draft_id, "list", KEY, TRADE_LIST)
    await put(pricing, imported.draft_id, "derivation", KEY, FORMULA)

    with pytest.raises(FindingsStopPublication) as stopped:
        await pricing.publish(imported.draft_id, by=None, acknowledge="As meant")
    (found,) = json.loads(json.dumps(stopped.value.extra["findings"], default=str))
    assert (found["code"], found["params"]["sku"]) == ("derivation_without_cost", "ANVIL-60")
    assert found["witness"]["buyer"]["segments"] == ["trade"]


async def test_an_export_brings_formulas_and_what_was_stated_and_imported_again_changes_nothing(
    pricing: Pricing, clock: FixedClock, folder: Callable[..., Path]
) -> None:
    draft = await with_trade(pricing, round_to={"multiple": "0.05", "mode": "up"}, max_margin="60", ending="-0.01")
    await pricing.put_change(draft, "row", OWN, row("66", list="TRADE"), by=None)
    await put(pricing, draft, "list", KEY, TRADE_LIST | {"titles": {"en": "Trade", "es": "Profesional"}})
    published = await publish(pricing, draft, clock)

    files = {name: "".join(lines) for name, lines in (await pricing.export_prices()).items()}
    assert files["derivations.csv"].splitlines()[1:] == ["TRADE,PUBLIC,-12.5,0.05,up,-0.01,10,60"]
    assert [line for line in files["price_rows.csv"].splitlines() if line.startswith("TRADE")] == [
        "TRADE,ANVIL-50,each,flat,,,0:66,,,,"
    ]
    again = await pricing.import_prices(folder(files), by=None)
    assert again.report.errors == []
    assert again.draft_id is not None
    assert await kinds_of(pricing, again.draft_id) == []

    # and from nothing: everything away, then all of it back
    cleared = {name: text.partition("\n")[0] + "\n" for name, text in files.items() if name != "policy.csv"}
    kept = files["price_rows.csv"].splitlines(keepends=True)
    public = "".join(line for line in kept if not line.startswith(("TRADE", "CONTRACT")))
    lists = PRICES["price_lists.csv"].splitlines(keepends=True)
    emptied = cleared | {"price_rows.csv": public, "price_lists.csv": "".join(lists[:2])}
    nothing = await pricing.import_prices(folder(emptied), by=None)
    assert nothing.report.errors == []
    assert nothing.draft_id is not None
    assert (await publish(pricing, nothing.draft_id, clock)).source is None
    back = await pricing.import_prices(folder(files), by=None)
    assert back.draft_id is not None
    restored = await publish(pricing, back.draft_id, clock)
    assert (restored.root, restored.source) == (published.root, published.source)


async def test_a_folder_with_a_derived_list_is_published_at_once(
    unpublished: Pricing, clock: FixedClock, folder: Callable[..., Path]
) -> None:
    prices = PRICES | {
        "price_lists.csv": "code,currency,audience_segments,title_en\nPUBLIC,EUR,,Public\nTRADE,EUR,trade,Trade\n",
        "price_rows.csv": "".join(
            line for line in PRICES["price_rows.csv"].splitlines(keepends=True) if not line.startswith("CONTRACT")
        ),
        "derivations.csv": "list,base,percent\nTRADE,,50\n",
    }
    imported = await unpublished.import_folder(folder(CATALOGUE, prices), by=None)
    assert imported.report.errors == []
    assert imported.draft_id is not None
    await publish(unpublished, imported.draft_id, clock)

    assert price(unpublished, clock.now()) == "60.00"
    assert price(unpublished, clock.now(), sku="BOLT-M8") == "0.075"


async def test_no_answer_and_no_leaf_shown_says_what_a_price_was_derived_from(
    pricing: Pricing, catalog: Catalog, clock: FixedClock, folder: Callable[..., Path]
) -> None:
    telling = CATALOGUE["costs.csv"].replace("ANVIL-50,40", "ANVIL-50,41.3719")
    assert (await catalog.import_folder(folder(costs_csv=telling))).ok
    draft = await with_trade(pricing, base=None, percent="37.77", min_margin="12.3456", max_margin="88.7654")
    await publish(pricing, draft, clock)

    book = pricing.books.at(clock.now())
    request = QuoteRequest(buyer=TRADE, currency="EUR", lines=(LineRequest(sku="ANVIL-50", quantity="3"),))
    answer = quote(request, book=book, at=clock.now())
    (latest, *_) = await pricing.list_publications()
    leaves, source = await pricing._published(latest.number)
    assert source is not None
    assert {kind for kind, _ in leaves} == {
        *("strategy", "policy", "layers", "list", "row", "adjustment", "sku", "cost")
    }
    content = content_of(leaves)
    shown = msgspec.json.encode([answer, disclosed(content, pricing.keyring.house_key, answer)]).decode()
    assert price(pricing, clock.now()) == "56.9981"
    assert '"56.99806663"' in shown
    for secret in ("41.3719", "37.77", "12.3456", "88.7654", "derivation", "min_margin"):
        assert secret not in shown


async def test_what_was_published_before_there_were_derivations_was_stated_outright(
    pricing: Pricing, owner_url: str, clock: FixedClock
) -> None:
    """The schema of then has rows alone; brought to now, they all count as typed and follow nothing."""
    await publish(pricing, await with_trade(pricing), clock)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = owner_url
    await asyncio.to_thread(command.downgrade, config, "0006_checkout")
    await asyncio.to_thread(migrate, owner_url)

    assert [key for key in await stated(pricing) if key[0] == "formula"] == []
    assert OWN in await stated(pricing)
    await publish(pricing, await anvil_at(pricing, "90"), clock)
    assert price(pricing, clock.now()) == "70.00"


async def test_a_source_is_kept_once_and_cannot_be_changed(
    pricing: Pricing, database: Database, clock: FixedClock
) -> None:
    await publish(pricing, await with_trade(pricing), clock)
    await publish(pricing, await anvil_at(pricing, "90"), clock)
    async with database.begin(for_staff()) as session:
        assert await session.scalar(sa.text("select count(*) from price_source")) == 1
    with pytest.raises(DBAPIError):
        async with database.begin(for_staff()) as session:
            await session.execute(sa.text("update price_source set source = ''"))


def test_a_source_that_is_not_what_its_digest_names_is_not_read() -> None:
    source = Source(derivations=(Derivation(list="TRADE", base="PUBLIC"),), stated=(OWN,))
    kept = packed_source(source)

    assert unpacked_source(kept) == source
    with pytest.raises(ContentDamaged):
        unpacked_source(KeptSource(kept.digest, kept.source + b" "))
