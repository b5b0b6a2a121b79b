"""What the evaluator reads, and a book held in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Protocol

import msgspec

from kernel.money import ratio
from pricing.engine.book import BookContent, Cost, Frame, PriceRow, RowModel, SkuEntry, SkuFacts, Tier
from pricing.engine.rules import BookError, Rules, check_window

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Book(Protocol):
    """A published book as the evaluator sees it. `entry` is asked once per SKU of a request, `rules` once a request."""

    @property
    def root(self) -> str:
        """The name of the content: `sha256:<hex>`."""

    @property
    def rules(self) -> Rules: ...

    def entry(self, sku: str) -> SkuEntry | None:
        """Facts, rows and costs of *sku*; None when the book does not know it."""


class MemoryBook:
    """A book as plain objects: for drafts, tests, small catalogues.

    :raises BookError: when the content cannot be priced
    """

    def __init__(self, content: BookContent, *, root: str) -> None:
        self.root = root
        self.rules = Rules(frame_of(content))
        self._entries = {entry.facts.sku: entry for entry in entries_of(content)}

    def entry(self, sku: str) -> SkuEntry | None:
        return self._entries.get(sku)


def frame_of(content: BookContent) -> Frame:
    """The part of the content that is not per SKU."""
    return Frame(
        strategy=content.strategy,
        policy=content.policy,
        lists=content.lists,
        layers=content.layers,
        adjustments=content.adjustments,
        bounds=content.bounds,
        quantity_rules=content.quantity_rules,
    )


def entries_of(content: BookContent) -> Iterator[SkuEntry]:
    """The content by SKU, in the order of `skus`: what a compiled book stores as one record each.

    :raises BookError: when an object is malformed, declared twice, or names something undeclared
    """
    lists = {noun.code for noun in content.lists}
    rows: dict[str, list[PriceRow]] = {facts.sku: [] for facts in content.skus}
    costs: dict[str, list[Cost]] = {}
    if len(rows) != len(content.skus):
        raise BookError("A SKU is declared twice.")
    for row in content.rows:
        if row.sku not in rows:
            raise BookError(f"A row of list {row.list} prices the unknown SKU {row.sku}.")
        if row.list not in lists:
            raise BookError(f"A row of SKU {row.sku} names the unknown list {row.list}.")
        rows[row.sku].append(row)
    for cost in content.costs:
        if cost.sku not in rows:
            raise BookError(f"A cost names the unknown SKU {cost.sku}.")
        costs.setdefault(cost.sku, []).append(cost)
    for facts in content.skus:
        entry = SkuEntry(facts=facts, rows=tuple(rows[facts.sku]), costs=tuple(costs.get(facts.sku, ())))
        yield checked(entry)


def checked(entry: SkuEntry) -> SkuEntry:
    """The entry as its types and the evaluator demand it; its rows' lists are known.

    :raises BookError: naming the first fault
    """
    what = f"SKU {entry.facts.sku}"
    try:
        entry = msgspec.convert(msgspec.to_builtins(entry), SkuEntry)
    except msgspec.ValidationError as error:
        raise BookError(f"{what} is malformed: {error}") from error
    _check_units(what, entry.facts)
    units = {fact.unit for fact in entry.facts.units}
    windows: dict[tuple[str, str], list[tuple[datetime | None, datetime | None]]] = {}
    for row in entry.rows:
        of_list = f"{what}, list {row.list}"
        if row.unit not in units:
            raise BookError(f"{of_list}: the SKU has no unit {row.unit}.")
        _check_row(of_list, row)
        windows.setdefault((row.list, row.unit), []).append((row.starts_at, row.ends_at))
    for (code, unit), periods in windows.items():
        if overlap(periods):
            raise BookError(f"{what}, list {code}: two rows per {unit} are valid at the same time.")
    currencies = [cost.currency for cost in entry.costs]
    if len(set(currencies)) != len(currencies) or any(ratio(cost.cost)[0] < 0 for cost in entry.costs):
        raise BookError(f"{what}: one cost per currency, and none below 0.")
    return entry


def overlap(periods: list[tuple[datetime | None, datetime | None]]) -> bool:
    """Whether two of the half-open periods share an instant; None is without beginning or end."""
    if len(periods) == 1:
        return False
    ordered = sorted(periods, key=lambda period: period[0] or _BEGINNING)
    return any(
        ends_at is None or starts_at is None or starts_at < ends_at
        for (_, ends_at), (starts_at, _) in pairwise(ordered)
    )


def _check_units(what: str, facts: SkuFacts) -> None:
    if facts.units[0].factor != "1":
        raise BookError(f"{what}: the first unit is the base unit and has factor 1.")
    if len({fact.unit for fact in facts.units}) != len(facts.units):
        raise BookError(f"{what}: a unit is declared twice.")
    if any(ratio(fact.factor)[0] <= 0 for fact in facts.units):
        raise BookError(f"{what}: a unit's factor must be above 0.")


def _check_row(what: str, row: PriceRow) -> None:
    check_window(what, row.starts_at, row.ends_at)
    lower = [_lower_bound(what, tier) for tier in row.tiers]
    if any(one >= other for one, other in pairwise(lower)):
        raise BookError(f"{what}: tiers must ascend.")
    if any(ratio(tier.unit_price)[0] < 0 or ratio(tier.flat_fee)[0] < 0 for tier in row.tiers):
        raise BookError(f"{what}: a price or fee below 0.")
    if row.model is RowModel.FLAT and len(row.tiers) != 1:
        raise BookError(f"{what}: a flat row has one tier; several make a volume or graduated row.")
    if (row.model is RowModel.PACKAGE) is not (row.package is not None):
        raise BookError(f"{what}: a package row, and no other, says what a package is.")
    if row.package is not None and (ratio(row.package.size)[0] <= 0 or ratio(row.package.free)[0] < 0):
        raise BookError(f"{what}: a package holds more than 0 units, and no fewer than 0 are free.")
    if row.model in {RowModel.GRADUATED, RowModel.PACKAGE} and (
        row.tiers[0].above != "0" or any(tier.above is None for tier in row.tiers)
    ):
        raise BookError(f"{what}: the tiers of a {row.model} row are stated by `above`, the first above 0.")


def _lower_bound(what: str, tier: Tier) -> tuple[int, bool]:
    """Comparable: trillionths, then whether the bound itself is left out."""
    if (tier.from_ is None) is (tier.above is None):
        raise BookError(f"{what}: a tier states either `from` or `above`.")
    text = tier.from_ if tier.from_ is not None else tier.above
    assert text is not None
    number, over = ratio(text)
    if number < 0:
        raise BookError(f"{what}: a tier begins below 0.")
    return number * 10**12 // over, tier.above is not None
