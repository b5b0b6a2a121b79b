"""The price feed: what one buyer may see of a book, row by row, each price the engine's own.

A row is a rung of a SKU's ladder, so that a reader who prices a quantity by the feed gets what every other channel says
of it. Rows stream; nothing is gathered.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from kernel.csv_rows import write_rows
from kernel.money import UnknownCurrency
from pricing.compiled import CompiledBook
from pricing.engine import Buyer
from pricing.engine.book import Instant
from pricing.engine.request import TaxInput
from pricing.engine.sweep import ColumnBook
from pricing.ladder_sweep import Ladders

SKUS_AT_ONCE: Final = 100
"""Priced in one sweep, some ten milliseconds long."""
COLUMNS = (
    "sku",
    "unit",
    "from_quantity",
    "unit_price",
    "price_unit",
    "line_total",
    "currency",
    "tax_included",
    "list",
    "valid_until",
    "root",
)


class FeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """From *from_quantity* units on, one *price_unit* costs *unit_price*; None where the row has no unit price
    (graduated, package). *line_total* is the subtotal of a line of exactly *from_quantity*, line rules and fees
    included. *valid_until*: absent a publication, no price of this SKU and unit changes before; None for never.
    """

    sku: str
    unit: str
    from_quantity: str
    unit_price: str | None
    price_unit: str
    line_total: str
    currency: str
    tax_included: bool
    list: str
    valid_until: Instant | None
    root: str


def feed_rows(
    book: ColumnBook, skus: Iterable[str], buyer: Buyer, *, currency: str, tax: TaxInput | None = None, at: datetime
) -> Iterator[FeedRow]:
    """The rows of *skus* in their order, every unit and rung; what is not priced for this buyer has no row."""
    sweep = FeedSweep(book, buyer, currency=currency, tax=tax, at=at)
    rest = iter(skus)
    while some := list(islice(rest, SKUS_AT_ONCE)):
        yield from sweep.rows(some)


class FeedSweep:
    """One reader's feed of *book* at *at*, of some SKUs after others."""

    def __init__(
        self, book: ColumnBook, buyer: Buyer, *, currency: str, tax: TaxInput | None = None, at: datetime
    ) -> None:
        self._root = book.root
        self._currency = currency
        self._ladders: Ladders | None = None  # what is no currency has no prices
        with suppress(UnknownCurrency):
            self._ladders = Ladders(book, buyer, currency=currency, tax=tax, at=at)

    def rows(self, skus: Iterable[str]) -> Iterator[FeedRow]:
        """As `feed_rows`; the SKUs are priced all at once, so they are to be few."""
        for ladder in () if self._ladders is None else self._ladders.of(skus):
            for rung in ladder.rungs:
                yield FeedRow(
                    sku=ladder.sku,
                    unit=ladder.unit,
                    from_quantity=rung.quantity,
                    unit_price=rung.unit_price,
                    price_unit=rung.price_unit,
                    line_total=rung.line_total,
                    currency=self._currency,
                    tax_included=rung.tax_included,
                    list=rung.list,
                    valid_until=ladder.valid_until,
                    root=self._root,
                )


def feed_csv(
    book: CompiledBook,
    buyer: Buyer,
    *,
    currency: str,
    skus: Iterable[str] | None = None,
    tax: TaxInput | None = None,
    at: datetime,
) -> Iterator[str]:
    """The feed as lines of a CSV file. *skus*: those on sale; None: all of the book."""
    return csv_lines(feed_rows(book, book.skus() if skus is None else skus, buyer, currency=currency, tax=tax, at=at))


def csv_lines(rows: Iterable[FeedRow]) -> Iterator[str]:
    """Rows as lines of a CSV file, its header first."""
    return write_rows(COLUMNS, (_cells(row) for row in rows))


def _cells(row: FeedRow) -> tuple[object, ...]:
    until = None if row.valid_until is None else row.valid_until.isoformat().replace("+00:00", "Z")
    return (
        row.sku,
        row.unit,
        row.from_quantity,
        row.unit_price,
        row.price_unit,
        row.line_total,
        row.currency,
        row.tax_included,
        row.list,
        until,
        row.root,
    )
