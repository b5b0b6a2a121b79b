"""`python -m benchmarks.impact [LINES]`: what a draft does to a year's order lines, beside sweeping them alone.

Orders of one to nine lines at random, by all buyers, of the benchmark book; the draft changes one row in a hundred and
one adjustment. What is measured begins with the lines as columns, as they come from the database, and ends with every
sum: facts and costs of the SKUs, both books, all groups.
"""

import sys
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from benchmarks.book import CURRENCY, NOON, benchmark_buyers
from benchmarks.material import benchmark_book
from pricing.compiled import CompiledBook
from pricing.content import LeafName
from pricing.draft_book import DraftBase, DraftBook
from pricing.draft_sweep import side_of_draft
from pricing.engine import TaxInput
from pricing.engine.book import PercentEffect
from pricing.engine.columns import QUANTITY_DECIMALS, Ints
from pricing.engine.sweep import Lines, sweep
from pricing.impact import Impact, Side, Sold, compare

ROWS: Final = 1_000_000
LINES: Final = 1_000_000
LINES_MOST: Final = 9
SEED: Final = 7
CHANGED_EACH: Final = 100


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: of the whole; of sweeping the same lines by one book; and of adding up two of their columns."""

    seconds: float
    sweep_seconds: float
    sum_seconds: float
    lines: int
    changed: int


def measured(rows: int = ROWS, lines: int = LINES) -> Measured:
    book = benchmark_book(rows)
    sold = sold_at_random(book, lines)
    started = time.perf_counter()
    found = impact_of_draft(book, sold)
    seconds = time.perf_counter() - started
    asked = Lines(
        skus=book.columns.codes_of(sold.skus).take(sold.line_sku),
        quantities=sold.quantities,
        currency=CURRENCY,
        buyers=sold.buyers,
        buyer_of=sold.order_buyer.take(sold.line_order),
    )
    started = time.perf_counter()
    swept = sweep(asked, book=book, at=NOON)
    sweep_seconds = time.perf_counter() - started
    started = time.perf_counter()
    np.bincount(sold.line_sku, swept.subtotals)
    np.bincount(sold.line_sku, swept.subtotals)
    sum_seconds = time.perf_counter() - started
    total = found.blocks[0].total
    assert total.before == int(swept.subtotals.sum()), "both price the same"
    return Measured(
        seconds=seconds,
        sweep_seconds=sweep_seconds,
        sum_seconds=sum_seconds,
        lines=found.lines,
        changed=total.raised + total.lowered,
    )


def impact_of_draft(book: CompiledBook, sold: Sold) -> Impact:
    before = Side.of(book, sold.skus)
    changes = dict(draft_changes(book))
    draft = DraftBook(DraftBase(book, None), changes, facts={}, costs={}, root="draft:benchmark")
    changed = [key[1] for kind, key in changes if kind == "row"]
    after = side_of_draft(draft, book, before, sold.skus, changed)
    costs = {
        (cost.sku, cost.currency): Decimal(cost.cost)
        for sku in sold.skus
        for entry in (book.entry_of_lists(sku, ()),)
        if entry is not None
        for cost in entry.costs
    }
    return compare(sold, before, after, at=NOON, costs=costs).impact()


def draft_changes(book: CompiledBook) -> Iterable[tuple[LeafName, object]]:
    """A new price of the open list for every hundredth SKU, and two percent more off one category."""
    frame = book.rules.frame
    rule = frame.adjustments[0]
    assert isinstance(rule.effect, PercentEffect)
    dearer = PercentEffect(percent=str(int(rule.effect.percent) + 2))
    yield ("adjustment", (rule.code,)), msgspec.structs.replace(rule, effect=dearer)
    for sku in list(book.skus())[::CHANGED_EACH]:
        entry = book.entry(sku)
        assert entry is not None
        row = entry.rows[0]
        first = msgspec.structs.replace(row.tiers[0], unit_price=str(int(Decimal(row.tiers[0].unit_price)) + 1))
        yield ("row", (row.list, sku, row.unit, "")), msgspec.structs.replace(row, tiers=(first, *row.tiers[1:]))


def sold_at_random(book: CompiledBook, lines: int) -> Sold:
    chance = np.random.default_rng(SEED)
    sizes = chance.integers(1, LINES_MOST + 1, lines)
    count = int(np.searchsorted(np.cumsum(sizes), lines)) + 1
    line_order: Ints = np.repeat(np.arange(count), sizes[:count])[:lines]
    buyers = benchmark_buyers()
    skus = list(book.skus())
    return Sold(
        orders=[f"T-2026-{number:06}" for number in range(count)],
        buyers=buyers,
        currencies=(CURRENCY,),
        taxes=(TaxInput(),),
        skus=skus,
        units=("each",),
        order_buyer=chance.integers(0, len(buyers), count),
        order_currency=np.zeros(count, np.int64),
        order_tax=np.zeros(count, np.int64),
        line_order=line_order,
        line_sku=chance.integers(0, len(skus), lines),
        line_unit=np.zeros(lines, np.int64),
        quantities=chance.integers(1, 200, lines) * 10**QUANTITY_DECIMALS,
    )


def main() -> int:
    found = measured(lines=int(sys.argv[1]) if len(sys.argv) > 1 else LINES)
    print(
        f"{found.lines:,} lines, {found.changed:,} of another amount: {found.seconds:.2f} s; swept once "
        f"{found.sweep_seconds:.2f} s, summed twice {found.sum_seconds:.3f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
