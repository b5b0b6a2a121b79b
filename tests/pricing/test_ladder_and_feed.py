import csv
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.money import ratio
from pricing.engine import BookContent, Buyer, LineRequest, MemoryBook, QuoteRequest, quote
from pricing.engine import root as root_of
from pricing.engine.book import (
    Adjustment,
    Audience,
    Conditions,
    Group,
    Layer,
    Level,
    PercentEffect,
    PercentStep,
    PriceList,
    PriceRow,
    QuantityRule,
    QuantityTableEffect,
    RoundingPolicy,
    RowModel,
    Scope,
    SkuFacts,
    Tier,
    Titles,
    UnitFact,
)
from pricing.engine.columns import ColumnarBook
from pricing.engine.request import PricedLine
from pricing.feed import COLUMNS, feed_rows
from pricing.ladder import Ladder, ladder_of, price_of
from tests.pricing.books_at_random import NOON, SKUS, contents

TITLES = Titles(en="A rule", es="Una regla")
UNIT_LAYER = (Layer(code="UNIT", level=Level.UNIT, groups=(Group(code="a"),)),)
HOSE = SkuFacts(sku="HOSE", units=(UnitFact(unit="metre", decimals=1), UnitFact(unit="reel", factor="50")))


def volume(*tiers: tuple[str, str], sku: str = "BOLT", unit: str = "each", **changes: object) -> PriceRow:
    made = tuple(
        Tier(above=bound[1:], unit_price=price) if bound.startswith(">") else Tier(from_=bound, unit_price=price)
        for bound, price in tiers
    )
    return PriceRow(list="PUBLIC", sku=sku, unit=unit, model=RowModel.VOLUME, tiers=made, **changes)  # type: ignore[arg-type] # a test's shorthand


def book(*rows: PriceRow, **changes: object) -> MemoryBook:
    content = BookContent(
        lists=(PriceList(code="PUBLIC", currency="EUR"),),
        rows=rows,
        skus=(SkuFacts(sku="BOLT", units=(UnitFact(unit="each"), UnitFact(unit="box", factor="100"))), HOSE),
        **changes,  # type: ignore[arg-type] # a test's shorthand
    )
    return MemoryBook(content, root=root_of(content, b"k" * 32))


def rungs(ladder: Ladder) -> list[tuple[str, str]]:
    return [(rung.quantity, rung.each) for rung in ladder.rungs]


def test_each_tier_is_a_rung_and_unchanged_prices_join() -> None:
    priced = book(volume(("1", "0.21"), ("100", "0.18"), ("200", "0.18"), (">1000", "0.145")))
    ladder = ladder_of(priced, Buyer(), currency="EUR", sku="BOLT", at=NOON)
    assert rungs(ladder)[:2] == [("1", "0.21"), ("100", "0.18")]
    assert [rung.quantity for rung in ladder.rungs] == ["1", "100", "1001"]
    assert ladder.unit == "each"
    assert ladder.valid_until is None


def test_rounding_of_a_line_makes_no_rung() -> None:
    """One of 0.0733 is charged 0.07 and three 0.22: by the piece that differs, but no price changed."""
    exact = RoundingPolicy(round_unit=False)
    odd = book(volume(("1", "0.0733"), ("3", "0.0733"), ("100", "0.07")), policy=exact)
    assert [rung.quantity for rung in ladder_of(odd, Buyer(), currency="EUR", sku="BOLT", at=NOON).rungs] == [
        "1",
        "100",
    ]


def test_rules_by_quantity_make_rungs_too() -> None:
    table = QuantityTableEffect(steps=(PercentStep(from_="10", percent="2"), PercentStep(from_="50", percent="5")))
    ruled = book(
        volume(("1", "100")),
        layers=UNIT_LAYER,
        adjustments=(
            Adjustment(code="T", layer="UNIT", group="a", effect=table, scope=Scope(everything=True), titles=TITLES),
        ),
    )
    assert rungs(ladder_of(ruled, Buyer(), currency="EUR", sku="BOLT", at=NOON)) == [
        ("1", "100"),
        ("10", "98"),
        ("50", "95"),
    ]


def test_a_condition_that_ends_above_a_quantity_makes_a_rung_after_it() -> None:
    small = Adjustment(
        code="SMALL",
        layer="UNIT",
        group="a",
        effect=PercentEffect(percent="10"),
        scope=Scope(everything=True),
        conditions=Conditions(max_quantity="20"),
        titles=TITLES,
    )
    ruled = book(volume(("1", "100")), layers=UNIT_LAYER, adjustments=(small,))
    assert rungs(ladder_of(ruled, Buyer(), currency="EUR", sku="BOLT", at=NOON)) == [("1", "90"), ("21", "100")]


def test_the_box_climbs_the_tiers_of_the_base_unit() -> None:
    priced = book(volume(("1", "1"), ("250", "0.9")))
    ladder = ladder_of(priced, Buyer(), currency="EUR", sku="BOLT", unit="box", at=NOON)
    assert rungs(ladder) == [("1", "100"), ("3", "90")]


def test_what_is_sold_in_parts_has_rungs_between_whole_numbers() -> None:
    priced = book(volume(("0", "2"), ("2.5", "1.9"), (">10", "1.8"), sku="HOSE", unit="metre"))
    ladder = ladder_of(priced, Buyer(), currency="EUR", sku="HOSE", at=NOON)
    assert [rung.quantity for rung in ladder.rungs] == ["1", "2.5", "10.1"]


def test_quantity_rules_decide_where_a_ladder_starts_and_stands() -> None:
    ruled = book(
        volume(("1", "1"), ("120", "0.9")),
        quantity_rules=(QuantityRule(code="Q", scope=Scope(skus=("BOLT",)), unit="each", minimum="50", multiple="50"),),
    )
    assert rungs(ladder_of(ruled, Buyer(), currency="EUR", sku="BOLT", at=NOON)) == [("50", "1"), ("150", "0.9")]


@pytest.mark.parametrize(
    ("sku", "unit", "currency"), [("GHOST", None, "EUR"), ("BOLT", "ton", "EUR"), ("BOLT", None, "USD")]
)
def test_what_is_not_priced_has_no_rung_and_says_why(sku: str, unit: str | None, currency: str) -> None:
    ladder = ladder_of(book(volume(("1", "1"))), Buyer(), currency=currency, sku=sku, unit=unit, at=NOON)
    assert ladder.rungs == ()
    assert ladder.refused is not None
    assert ladder.refused.reason


def test_a_graduated_row_shows_its_average_and_the_engines_line() -> None:
    tiers = (Tier(above="0", unit_price="10"), Tier(above="10", unit_price="5"))
    row = PriceRow(list="PUBLIC", sku="BOLT", unit="each", model=RowModel.GRADUATED, tiers=tiers)
    ladder = ladder_of(book(row), Buyer(), currency="EUR", sku="BOLT", at=NOON)
    assert [(rung.quantity, rung.line.unit_price, rung.line.subtotal) for rung in ladder.rungs] == [
        ("1", None, "10.00"),
        ("11", None, "105.00"),
    ]


@given(content=contents(), quantity=st.integers(1, 60), unit=st.sampled_from(["each", "box"]))
def test_the_rung_at_or_below_a_quantity_has_its_unit_price_whatever_the_book(
    content: BookContent, quantity: int, unit: str
) -> None:
    """The law of the ladder: between rungs nothing changes."""
    priced = MemoryBook(content, root=root_of(content, b"k" * 32))
    buyer = Buyer(company="acme", segments=("trade",))
    for facts in content.skus:
        ladder = ladder_of(priced, buyer, currency="EUR", sku=facts.sku, unit=unit, at=NOON)
        line = price_of(priced, buyer, currency="EUR", sku=facts.sku, unit=unit, quantity=str(quantity), at=NOON).line
        if not isinstance(line, PricedLine):
            continue
        below = [rung for rung in ladder.rungs if ratio(rung.quantity)[0] <= quantity]
        assert below, "a quantity that is priced stands on a rung"
        if line.unit_price is not None:
            assert below[-1].line.unit_price == line.unit_price
            assert below[-1].line.price_unit == line.price_unit


@given(content=contents(), buyer=st.sampled_from([Buyer(), Buyer(company="acme", segments=("trade",))]))
def test_every_feed_row_is_what_a_quote_of_that_quantity_says(content: BookContent, buyer: Buyer) -> None:
    priced = ColumnarBook(content, root=root_of(content, b"k" * 32))
    for row in feed_rows(priced, SKUS, buyer, currency="EUR", at=NOON):
        asked = LineRequest(sku=row.sku, unit=row.unit, quantity=row.from_quantity)
        answer = quote(QuoteRequest(buyer=buyer, currency="EUR", lines=(asked,)), book=priced, at=NOON)
        (line,) = answer.lines
        assert isinstance(line, PricedLine)
        assert (row.unit_price, row.line_total, row.list) == (line.unit_price, line.subtotal, line.trace.list)
        assert row.root == answer.root
        assert row.valid_until is None or row.valid_until > NOON
        assert row.valid_until is None or line.valid_until is None or row.valid_until <= line.valid_until


def test_an_entity_tag_changes_with_root_context_and_interval_and_with_nothing_else() -> None:
    soon = NOON + timedelta(hours=1)
    other = volume(("1", "2"), starts_at=soon)
    first = book(volume(("1", "1"), ends_at=soon), other)

    def tag(asked: MemoryBook = first, at: object = NOON, **changes: object) -> str:
        buyer = changes.pop("buyer", Buyer())
        context = {"currency": "EUR", "sku": "BOLT", "quantity": "1"} | changes
        return price_of(asked, buyer, at=at, **context).etag  # type: ignore[arg-type] # a test's shorthand

    assert tag() == tag(at=NOON + timedelta(minutes=59))
    assert tag() != tag(at=soon)
    assert tag(at=soon) == tag(at=soon + timedelta(days=9))
    assert tag() != tag(quantity="2")
    assert tag() != tag(buyer=Buyer(company="acme"))
    assert tag() != tag(sku="HOSE")
    assert tag() != tag(asked=book(volume(("1", "3"), ends_at=soon), other))


def test_a_strangers_contract_does_not_move_an_entity_tag() -> None:
    """Nor could one learn from it when a neighbour's prices begin."""
    row = volume(("1", "1"))
    secret = PriceRow(list="SECRET", sku="BOLT", unit="each", tiers=row.tiers, starts_at=NOON - timedelta(hours=1))
    lists = (
        PriceList(code="PUBLIC", currency="EUR"),
        PriceList(code="SECRET", currency="EUR", audience=Audience(company="initech")),
    )
    content = BookContent(lists=lists, rows=(row, secret), skus=(SkuFacts(sku="BOLT"),))
    priced = MemoryBook(content, root="sha256:aa")
    before, after = NOON - timedelta(hours=2), NOON
    tags = {price_of(priced, Buyer(), currency="EUR", sku="BOLT", at=at).etag for at in (before, after)}
    assert len(tags) == 1


@given(content=contents(), minutes=st.lists(st.integers(-300, 300), min_size=2, max_size=6))
def test_one_entity_tag_never_names_two_prices(content: BookContent, minutes: list[int]) -> None:
    priced = MemoryBook(content, root="sha256:aa")
    buyer = Buyer(segments=("trade",))
    for facts in content.skus:
        seen: dict[str, object] = {}
        for minute in minutes:
            at = NOON + timedelta(minutes=minute)
            answer = price_of(priced, buyer, currency="EUR", sku=facts.sku, quantity="7", at=at)
            assert seen.setdefault(answer.etag, answer.line) == answer.line


def test_the_feed_as_csv_reads_back_and_no_cell_is_a_formula(tmp_path_factory: pytest.TempPathFactory) -> None:
    from pricing.compiled import CompiledBook, write_book
    from pricing.feed import feed_csv

    content = BookContent(
        lists=(PriceList(code="=SUM(A1)", currency="EUR"),),
        rows=(PriceRow(list="=SUM(A1)", sku="+EVIL", unit="each", tiers=(Tier(from_="0", unit_price="1.5"),)),),
        skus=(SkuFacts(sku="+EVIL"),),
    )
    path = write_book(content, "sha256:aa", tmp_path_factory.mktemp("books"))
    lines = list(feed_csv(CompiledBook(path, root="sha256:aa"), Buyer(), currency="EUR", at=NOON))
    (row,) = csv.DictReader(lines)
    assert tuple(row) == COLUMNS
    assert (row["sku"], row["list"], row["unit_price"], row["line_total"]) == ("'+EVIL", "'=SUM(A1)", "1.50", "1.50")
    assert row["valid_until"] == ""
