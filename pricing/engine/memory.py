"""What the evaluator reads, and a book held in memory."""

import re
from collections.abc import Container, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Protocol

import msgspec

from kernel.money import ratio
from pricing.engine.book import (
    BookContent,
    Code,
    Cost,
    Currency,
    DecimalText,
    Frame,
    PriceRow,
    RowModel,
    SkuEntry,
    SkuFacts,
    Tier,
    UnitFact,
)
from pricing.engine.rules import BookError, Rules, check_window

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Book(Protocol):
    """A published book as the evaluator sees it. It asks for `rules` once a request, and for the entry of a SKU when it
    does not remember the SKU.
    """

    @property
    def root(self) -> str:
        """The name of the content: `sha256:<hex>`."""

    @property
    def rules(self) -> Rules: ...

    def entry(self, sku: str) -> SkuEntry | None:
        """Facts, rows and costs of *sku*; None when the book does not know it."""

    def entry_of_lists(self, sku: str, lists: Container[str]) -> SkuEntry | None:
        """As `entry`; rows of other lists than *lists* may be left out, for a buyer meets few of a book's lists."""


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

    def entry_of_lists(self, sku: str, lists: Container[str]) -> SkuEntry | None:  # noqa: ARG002 - all are at hand
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


def entries_of(content: BookContent, *, sound: bool = False) -> Iterator[SkuEntry]:
    """The content by SKU, in the order of `skus`: what a compiled book stores as one record each. *sound*: `check`
    found no error in it, so that its objects need not be looked at once more.

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
        yield entry if sound else checked(entry)


def checked(entry: SkuEntry) -> SkuEntry:
    """The entry as its types and the evaluator demand it; its rows' lists are known.

    :raises BookError: naming the first fault
    """
    what = f"SKU {entry.facts.sku}"
    plain = _is_plain(entry)
    if not plain:
        try:
            entry = msgspec.convert(msgspec.to_builtins(entry), SkuEntry)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            raise BookError(f"{_written(what)} is malformed: {error}") from error
    _check_units(what, entry.facts)
    units = {fact.unit for fact in entry.facts.units}
    windows: dict[tuple[str, str], list[tuple[datetime | None, datetime | None]]] = {}
    for row in entry.rows:
        if row.unit not in units:
            raise BookError(f"{what}, list {row.list}: the SKU has no unit {row.unit}.")
        if not plain:
            _check_row(f"{what}, list {row.list}", row)
        windows.setdefault((row.list, row.unit), []).append((row.starts_at, row.ends_at))
    for (code, unit), periods in windows.items():
        if overlap(periods):
            raise BookError(f"{what}, list {code}: two rows per {unit} are valid at the same time.")
    currencies = [cost.currency for cost in entry.costs]
    if len(set(currencies)) != len(currencies) or any(ratio(cost.cost)[0] < 0 for cost in entry.costs):
        raise BookError(f"{what}: one cost per currency, and none below 0.")
    return entry


def _written(text: str) -> str:
    """*text* as it can be written, though it may hold half a character (a lone surrogate)."""
    return text.encode("utf-8", "backslashreplace").decode()


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


# --- The same for a million rows ---
# Nearly all entries are plain: every text is one seen before, or found well formed by one pattern. What is not plainly
# right goes the way above, which words the fault.


def _is_plain(entry: SkuEntry) -> bool:
    """Whether every value in the entry is exactly what its type says, and every row what `_check_row` demands."""
    return (
        type(entry.facts) is SkuFacts
        and type(entry.rows) is tuple
        and type(entry.costs) is tuple
        and _are_plain_facts(entry.facts)
        and all(_is_plain_row(row, entry.facts.sku) for row in entry.rows)
        and all(_is_plain_cost(cost, entry.facts.sku) for cost in entry.costs)
    )


def _are_plain_facts(facts: SkuFacts) -> bool:
    return (
        type(facts.sku) is str
        and _matches(_CODE, facts.sku)
        and type(facts.units) is tuple
        and bool(facts.units)
        and all(_is_plain_unit(unit) for unit in facts.units)
        and type(facts.categories) is tuple
        and all(_is_code(category) for category in facts.categories)
        and (facts.brand is None or _is_code(facts.brand))
        and (facts.break_group is None or _is_code(facts.break_group))
        and _is_code(facts.tax_category)
    )


def _is_plain_unit(unit: UnitFact) -> bool:
    return (
        type(unit) is UnitFact
        and _is_code(unit.unit)
        and type(unit.factor) is str
        and _is_amount(unit.factor)
        and type(unit.decimals) is int
        and 0 <= unit.decimals <= 12
    )


def _is_plain_cost(cost: Cost, sku: str) -> bool:
    return (
        type(cost) is Cost
        and type(cost.sku) is str
        and cost.sku == sku
        and type(cost.currency) is str
        and _matches(_CURRENCY, cost.currency)
        and type(cost.cost) is str
        and _is_amount(cost.cost)
    )


def _is_plain_row(row: PriceRow, sku: str) -> bool:
    """Package rows and rows with a window of their own are left to the other way."""
    return (
        type(row) is PriceRow
        and row.starts_at is None
        and row.ends_at is None
        and row.package is None
        and type(row.sku) is str
        and row.sku == sku
        and _is_code(row.list)
        and _is_code(row.unit)
        and type(row.model) is RowModel
        and type(row.tiers) is tuple
        and set(map(type, row.tiers)) == {Tier}
        and _are_amounts([tier.unit_price for tier in row.tiers])
        and _are_amounts([tier.flat_fee for tier in row.tiers])
        and _is_ladder(row.model, *_bounds(row.tiers))
    )


def _bounds(tiers: tuple[Tier, ...]) -> tuple[tuple[str | None, ...], tuple[str | None, ...]]:
    return tuple([tier.from_ for tier in tiers]), tuple([tier.above for tier in tiers])


def _are_amounts(texts: list[str]) -> bool:
    return set(map(type, texts)) == {str} and all(map(_is_amount, texts))


def _is_code(text: object) -> bool:
    return type(text) is str and _is_known_code(text)


@lru_cache(maxsize=65_536)
def _is_known_code(text: str) -> bool:
    return _matches(_CODE, text)


@lru_cache(maxsize=65_536)
def _is_amount(text: str) -> bool:
    """A decimal, not below 0."""
    return _matches(_DECIMAL, text) and text[0] != "-"


def _is_ladder(model: RowModel, from_: tuple[str | None, ...], above: tuple[str | None, ...]) -> bool:
    """Whether rows of *model* may have tiers from (or above) these bounds."""
    return {str, type(None)}.issuperset(map(type, from_ + above)) and _is_known_ladder(model, from_, above)


@lru_cache(maxsize=65_536)
def _is_known_ladder(model: RowModel, from_: tuple[str | None, ...], above: tuple[str | None, ...]) -> bool:
    tiers = [Tier(from_=one, above=other, unit_price="0") for one, other in zip(from_, above, strict=True)]
    row = PriceRow(list="LIST", sku="SKU", unit="each", model=model, tiers=tuple(tiers))
    try:
        _check_row("", msgspec.convert(msgspec.to_builtins(row), PriceRow))
    except (msgspec.ValidationError, BookError):
        return False
    return True


def _matches(kind: "tuple[re.Pattern[str], int]", text: str) -> bool:
    pattern, most = kind
    return len(text) <= most and pattern.search(text) is not None


def _kind(annotated: Any) -> "tuple[re.Pattern[str], int]":
    """Pattern and greatest length, from the type that the nouns use."""
    (meta,) = annotated.__metadata__
    return re.compile(meta.pattern), meta.max_length or _CURRENCY_LETTERS


_CURRENCY_LETTERS: Final = 3
_CODE, _DECIMAL, _CURRENCY = _kind(Code), _kind(DecimalText), _kind(Currency)
