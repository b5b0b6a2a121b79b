"""The law of the feed: swept in arrays, it is the ladders of its SKUs, one by one, to the byte."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.engine import BookContent, Buyer
from pricing.engine import root as root_of
from pricing.engine.book import (
    Bound,
    CurrencyPrice,
    PriceLimit,
    PriceList,
    PriceRow,
    RoundingPolicy,
    RowModel,
    Scope,
    Side,
    SkuFacts,
    Tier,
    UnitFact,
)
from pricing.engine.columns import ColumnarBook
from pricing.engine.request import TaxInput
from pricing.engine.sweep import ColumnBook
from pricing.feed import FeedRow, csv_lines, feed_rows
from pricing.ladder import ladder_of
from tests.pricing.books_at_random import NOON, SKUS, contents
from tests.pricing.engine.test_sweep import instants, taxes, wide_contents

TRADE = Buyer(company="acme", segments=("trade",))


def rows_one_by_one(
    book: ColumnBook, skus: Iterable[str], buyer: Buyer, *, currency: str, tax: TaxInput | None = None, at: datetime
) -> Iterator[FeedRow]:
    for sku in skus:
        entry = book.entry(sku)
        for fact in () if entry is None else entry.facts.units:
            found = ladder_of(book, buyer, currency=currency, sku=sku, unit=fact.unit, tax=tax, at=at)
            for rung in found.rungs:
                yield FeedRow(
                    sku=sku,
                    unit=fact.unit,
                    from_quantity=rung.quantity,
                    unit_price=rung.line.unit_price,
                    price_unit=rung.line.price_unit,
                    line_total=rung.line.subtotal,
                    currency=currency,
                    tax_included=rung.line.tax_included,
                    list=rung.line.trace.list,
                    valid_until=found.valid_until,
                    root=book.root,
                )


@settings(max_examples=150)
@given(
    content=contents(),
    buyer=st.sampled_from([Buyer(), TRADE]),
    currency=st.sampled_from(["EUR", "USD", "JPY", "XXQ"]),
    minutes=st.integers(-330, 330),
)
def test_the_swept_feed_is_the_ladders_of_its_skus_to_the_byte(
    content: BookContent, buyer: Buyer, currency: str, minutes: int
) -> None:
    book = ColumnarBook(content, root=root_of(content, b"k" * 32))
    at = NOON + timedelta(minutes=minutes)
    swept = list(feed_rows(book, SKUS, buyer, currency=currency, at=at))
    one_by_one = list(rows_one_by_one(book, SKUS, buyer, currency=currency, at=at))

    assert swept == one_by_one
    assert list(csv_lines(swept)) == list(csv_lines(one_by_one))


@settings(max_examples=150, deadline=None)
@given(
    content=wide_contents(),
    buyer=st.sampled_from([Buyer(), TRADE, Buyer(country="DE")]),
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
    tax=taxes,
    at=instants,
)
def test_the_swept_feed_is_that_of_ladders_for_rules_taxes_units_and_rows_of_every_kind(
    content: BookContent, buyer: Buyer, currency: str, tax: TaxInput | None, at: datetime
) -> None:
    book = ColumnarBook(content, root=root_of(content, b"k" * 32))
    skus = [facts.sku for facts in content.skus]

    swept = list(feed_rows(book, skus, buyer, currency=currency, tax=tax, at=at))
    assert swept == list(rows_one_by_one(book, skus, buyer, currency=currency, tax=tax, at=at))


def test_a_bound_that_moves_a_whole_amount_makes_a_rung_of_its_own() -> None:
    """A floor of 1.001 makes 1.01 of a unit; but a hundred cost 100.10, as the floor and a ceiling below it demand."""
    limits = ((Side.FLOOR, "1.001"), (Side.CEILING, "1"))
    content = BookContent(
        policy=RoundingPolicy(round_unit=True),
        lists=(PriceList(code="PUBLIC", currency="EUR"),),
        rows=(
            PriceRow(
                list="PUBLIC",
                sku="BOLT",
                unit="each",
                model=RowModel.VOLUME,
                tiers=(Tier(from_="1", unit_price="0.5"), Tier(from_="10", unit_price="0.4")),
            ),
        ),
        bounds=tuple(
            Bound(
                code=side.name,
                side=side,
                scope=Scope(everything=True),
                limit=PriceLimit(prices=(CurrencyPrice(currency="EUR", price=price),)),
            )
            for side, price in limits
        ),
        skus=(SkuFacts(sku="BOLT", units=(UnitFact(unit="each"),)),),
    )
    book = ColumnarBook(content, root=root_of(content, b"k" * 32))
    swept = list(feed_rows(book, ["BOLT"], Buyer(), currency="EUR", at=NOON))

    assert [(row.from_quantity, row.unit_price, row.line_total) for row in swept] == [
        ("1", "1.01", "1.01"), ("10", "1.01", "10.01")
    ]  # fmt: skip
    assert swept == list(rows_one_by_one(book, ["BOLT"], Buyer(), currency="EUR", at=NOON))
