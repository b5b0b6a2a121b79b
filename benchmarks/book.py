"""The benchmark book at any size: 1,000 companies in 50 classes, 100 lists, four tiers a row, two rules a SKU.

Ten rows a SKU: 10,000 rows price 1,000 SKUs, 10,000,000 rows a million. Of the hundred lists one is open and prices
every SKU; nine are of a segment and price four SKUs in nine; ninety are contracts: one for each of the 50 classes in
2026 and, for forty of them, the next in 2027; each prices one SKU in eighteen. A class is one segment of the nine, one
country of the five and one contract, and has twenty companies. So every line looks its row up on three levels of lists
(contract, segment, everyone); 45 % of the pairs of SKU and buyer find a row on the second, 6 % on the third.

Every SKU is in scope of two adjustments that admit everyone: a percentage of its category from ten units on, on the
unit, and one of its brand, on the line. A floor by margin holds for all, and every SKU has a cost. Codes are
`SKU-0000000` and so on, so that order of number and of bytes is one.

The *bare* book has the open list alone, one row a SKU, and no rules.

SKUs are made in blocks, each with its own seed, so that a book is a beginning of every larger one.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pricing.engine.book import (
    Adjustment,
    Audience,
    BookContent,
    Bound,
    Conditions,
    Cost,
    Frame,
    Group,
    Layer,
    Level,
    MarginLimit,
    PercentEffect,
    PriceList,
    PriceRow,
    RoundingPolicy,
    RowModel,
    Scope,
    Side,
    SkuEntry,
    SkuFacts,
    Strategy,
    Tier,
    Titles,
    UnitFact,
)
from pricing.engine.request import Buyer

ROWS_A_SKU: Final = 10
COMPANIES: Final = 1_000
CLASSES: Final = 50
SEGMENTS: Final = 9
RENEWED: Final = 40
SEGMENT_ROWS: Final = 4
BLOCK: Final = 2_000
SEED: Final = 7
CURRENCY: Final = "EUR"
COUNTRIES: Final = ("ES", "FR", "DE", "PT", "IT")
CATEGORIES: Final = 40
BRANDS: Final = 25
NOON: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
"""When the first contracts hold."""
_RENEWAL: Final = datetime(2027, 1, 1, tzinfo=UTC)
_BREAKS: Final = (
    ("1", "10", "50", "100"),
    ("1", "12", "48", "144"),
    ("1", "5", "25", "250"),
    ("1", "20", "200", "1000"),
)
_OFF: Final = np.array([[100, 95, 90, 84], [100, 97, 93, 90], [100, 92, 88, 80]])
"""Percent of the first price that the four tiers ask."""


def benchmark_buyers() -> tuple[Buyer, ...]:
    """The thousand companies, class by class in turn."""
    return tuple(
        Buyer(
            company=f"company-{number:03}",
            segments=(_segment(number % CLASSES), f"terms-{number % CLASSES:02}"),
            country=COUNTRIES[number % len(COUNTRIES)],
        )
        for number in range(COMPANIES)
    )


def benchmark_entries(rows: int) -> tuple[Frame, Iterator[SkuEntry]]:
    """The book of that many *rows* (a multiple of ten): what is not per SKU, and each SKU in the order of its code."""
    return _frame(), islice(_entries(), rows // ROWS_A_SKU)


def bare_entries(skus: int) -> tuple[Frame, Iterator[SkuEntry]]:
    """The bare book of that many SKUs."""
    frame = _frame()
    bare = Frame(
        strategy=frame.strategy,
        policy=frame.policy,
        lists=frame.lists[:1],
        layers=(),
        adjustments=(),
        bounds=(),
        quantity_rules=(),
    )
    entries = (SkuEntry(facts=entry.facts, rows=entry.rows[:1]) for entry in _entries())
    return bare, islice(entries, skus)


def benchmark_content(rows: int) -> BookContent:
    """The same as one content, for what needs it whole: checks, root, publication."""
    frame, entries = benchmark_entries(rows)
    found = list(entries)
    return BookContent(
        strategy=frame.strategy,
        policy=frame.policy,
        lists=frame.lists,
        layers=frame.layers,
        adjustments=frame.adjustments,
        bounds=frame.bounds,
        quantity_rules=frame.quantity_rules,
        rows=tuple(row for entry in found for row in entry.rows),
        skus=tuple(entry.facts for entry in found),
        costs=tuple(cost for entry in found for cost in entry.costs),
    )


def sku_code(number: int) -> str:
    return f"SKU-{number:07}"


def _segment(number: int) -> str:
    return f"segment-{number % SEGMENTS}"


def _frame() -> Frame:
    contracts = []
    for number in range(CLASSES):
        audience = Audience(segments=(f"terms-{number:02}",), countries=(COUNTRIES[number % len(COUNTRIES)],))
        renewed = number < RENEWED
        contracts.append(
            PriceList(
                code=f"CONTRACT-{number:02}-2026",
                currency=CURRENCY,
                audience=audience,
                priority=number,
                ends_at=_RENEWAL if renewed else None,
            )
        )
        if renewed:
            contracts.append(
                PriceList(
                    code=f"CONTRACT-{number:02}-2027",
                    currency=CURRENCY,
                    audience=audience,
                    priority=COMPANIES + number,
                    starts_at=_RENEWAL,
                )
            )
    return Frame(
        strategy=Strategy.MOST_SPECIFIC,
        policy=RoundingPolicy(),
        lists=(
            PriceList(code="OPEN", currency=CURRENCY),
            *(
                PriceList(
                    code=f"SEGMENT-{number}",
                    currency=CURRENCY,
                    audience=Audience(segments=(_segment(number),)),
                    priority=number,
                )
                for number in range(SEGMENTS)
            ),
            *contracts,
        ),
        layers=(
            Layer(code="quantity", level=Level.UNIT, groups=(Group(code="category"),)),
            Layer(code="brand", level=Level.LINE, groups=(Group(code="brand"),)),
        ),
        adjustments=(
            *(
                Adjustment(
                    code=f"CATEGORY-{number:02}",
                    layer="quantity",
                    group="category",
                    effect=PercentEffect(percent=str(2 + number % 7)),
                    scope=Scope(categories=(_category(number),)),
                    conditions=Conditions(min_quantity="10"),
                    titles=Titles(en="Ten and more", es="A partir de diez"),
                )
                for number in range(CATEGORIES)
            ),
            *(
                Adjustment(
                    code=f"BRAND-{number:02}",
                    layer="brand",
                    group="brand",
                    effect=PercentEffect(percent=f"1.{1 + number % 9}"),
                    scope=Scope(brands=(_brand(number),)),
                    titles=Titles(en="Brand discount", es="Descuento de marca"),
                )
                for number in range(BRANDS)
            ),
        ),
        bounds=(Bound(code="MARGIN", side=Side.FLOOR, scope=Scope(everything=True), limit=MarginLimit(percent="8")),),
        quantity_rules=(),
    )


def _category(number: int) -> str:
    return f"department-{number % 8}/category-{number:02}"


def _brand(number: int) -> str:
    return f"brand-{number:02}"


def _entries() -> Iterator[SkuEntry]:
    """Without end."""
    lists = [noun.code for noun in _frame().lists]
    units = (UnitFact(unit="each"), UnitFact(unit="box", factor="12"))
    texts = np.array(["0", *(_cents(number) for number in range(1, 100_000))], dtype=object)
    block = 0
    while True:
        chance = np.random.default_rng([SEED, block])
        base = np.exp(chance.normal(3.5, 1.0, BLOCK)).clip(1, 900) * 100
        segments = _drawn(chance, SEGMENTS, SEGMENT_ROWS) + 1
        contracts = _drawn(chance, len(lists) - SEGMENTS - 1, ROWS_A_SKU - SEGMENT_ROWS - 1) + SEGMENTS + 1
        first = np.hstack(
            [
                chance.uniform(0.97, 1.0, (BLOCK, 1)),
                chance.uniform(0.88, 0.96, (BLOCK, SEGMENT_ROWS)),
                chance.uniform(0.78, 0.87, (BLOCK, contracts.shape[1])),
            ]
        )
        off = _OFF[chance.integers(0, len(_OFF), (BLOCK, ROWS_A_SKU))]
        cents = (base[:, None, None] * first[:, :, None] * off // 100).astype(np.int64).clip(1)
        prices: list[list[list[str]]] = texts[cents].tolist()
        of_list = np.hstack([np.zeros((BLOCK, 1), np.int64), segments, contracts]).tolist()
        breaks = chance.integers(0, len(_BREAKS), (BLOCK, ROWS_A_SKU)).tolist()
        costs: list[str] = texts[(base * chance.uniform(0.5, 0.62, BLOCK)).astype(np.int64).clip(1)].tolist()
        categories = chance.integers(0, CATEGORIES, BLOCK).tolist()
        brands = chance.integers(0, BRANDS, BLOCK).tolist()
        for number in range(BLOCK):
            sku = sku_code(block * BLOCK + number)
            yield SkuEntry(
                facts=SkuFacts(
                    sku=sku, units=units, categories=(_category(categories[number]),), brand=_brand(brands[number])
                ),
                rows=tuple(
                    PriceRow(
                        list=lists[at],
                        sku=sku,
                        unit="each",
                        model=RowModel.VOLUME,
                        tiers=tuple(
                            Tier(from_=begin, unit_price=price)
                            for begin, price in zip(_BREAKS[asked], of_row, strict=True)
                        ),
                    )
                    for at, asked, of_row in zip(of_list[number], breaks[number], prices[number], strict=True)
                ),
                costs=(Cost(sku=sku, currency=CURRENCY, cost=costs[number]),),
            )
        block += 1


def _drawn(chance: np.random.Generator, among: int, count: int) -> NDArray[Any]:
    """For each SKU of a block, *count* different numbers below *among*, ascending."""
    return np.sort(np.argsort(chance.random((BLOCK, among)), axis=1)[:, :count], axis=1)


def _cents(number: int) -> str:
    """In the normal form of decimals: `1250` -> `12.5`."""
    return f"{number // 100}.{number % 100:02}".rstrip("0").rstrip(".")
