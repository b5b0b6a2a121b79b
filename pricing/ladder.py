"""Prices of one SKU: one line, and the ladder of quantities at which its price changes.

There is no second way to a price here: the quantities worth asking for are read from the book, and the engine prices
each of them.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from kernel.canonical import canonical_json
from kernel.money import MAX_DECIMALS, Mode, divide, ratio, ratio_text
from pricing.engine import Book, Buyer, LineRequest, QuoteRequest, quote
from pricing.engine.book import Instant, PriceRow, SkuEntry, SkuFacts, UnitFact
from pricing.engine.request import PricedLine, RefusedLine, TaxInput
from pricing.engine.rules import Layers, Ratio

MAX_RUNGS: Final = 60
_SCALE: Final = 10**MAX_DECIMALS
_QUANTITY_CONDITIONS: Final = frozenset({"needs_quantity", "over_quantity"})

Edge = tuple[Ratio, bool]
"""A quantity from which on (True: beyond which) the price may be another."""


class PriceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """*etag*: a strong entity tag without its quotes, the same for the whole of a price interval."""

    root: str
    at: Instant
    currency: str
    etag: str
    line: PricedLine | RefusedLine


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """From *quantity* (of the asked unit) on, until the next rung's, units are priced like this. *each* is the line's
    subtotal by its quantity, half up to 12 decimals, for reading and plotting; what is charged is the engine's line.
    """

    quantity: str
    each: str
    line: PricedLine


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """*rungs* ascend; where nothing is priced there are none, and *refused* says why. *more*: breaks were left out."""

    root: str
    at: Instant
    currency: str
    sku: str
    unit: str | None
    etag: str
    rungs: tuple[Rung, ...]
    more: bool
    refused: RefusedLine | None
    valid_until: Instant | None


def price_of(
    book: Book,
    buyer: Buyer,
    *,
    currency: str,
    sku: str,
    unit: str | None = None,
    quantity: str = "1",
    tax: TaxInput | None = None,
    at: datetime,
) -> PriceAnswer:
    request = _request(buyer, currency, LineRequest(sku=sku, unit=unit, quantity=quantity), tax)
    return PriceAnswer(
        root=book.root,
        at=at,
        currency=currency,
        etag=etag(book, request, at),
        line=quote(request, book=book, at=at).lines[0],
    )


def ladder_of(
    book: Book,
    buyer: Buyer,
    *,
    currency: str,
    sku: str,
    unit: str | None = None,
    tax: TaxInput | None = None,
    at: datetime,
) -> Ladder:
    """Every rung is priced as a line of its own, alone in its order."""
    entry = book.entry(sku)
    known = None if entry is None else next((fact for fact in entry.facts.units if unit in {None, fact.unit}), None)
    quantities = ["1"] if entry is None or known is None else list(_quantities(book, entry, known, buyer, currency))
    rungs: list[Rung] = []
    refused: RefusedLine | None = None
    valid_until: datetime | None = None
    for quantity in quantities[: 2 * MAX_RUNGS]:
        request = _request(buyer, currency, LineRequest(sku=sku, unit=unit, quantity=quantity), tax)
        line = quote(request, book=book, at=at).lines[0]
        if line.valid_until is not None and (valid_until is None or line.valid_until < valid_until):
            valid_until = line.valid_until
        if isinstance(line, RefusedLine):
            refused = refused or line
            continue
        rung = Rung(quantity=line.quantity, each=each(line), line=line)
        if not rungs or not _continues(rungs[-1], rung):
            rungs.append(rung)
    return Ladder(
        root=book.root,
        at=at,
        currency=currency,
        sku=sku,
        unit=unit if known is None else known.unit,
        etag=etag(book, _request(buyer, currency, LineRequest(sku=sku, unit=unit, quantity="ladder"), tax), at),
        rungs=tuple(rungs[:MAX_RUNGS]),
        more=len(rungs) > MAX_RUNGS or len(quantities) > 2 * MAX_RUNGS,
        refused=None if rungs else refused,
        valid_until=valid_until,
    )


def each(line: PricedLine) -> str:
    """The subtotal by the quantity, half up to 12 decimals."""
    amount, scale = ratio(line.subtotal)
    number, parts = ratio(line.quantity)
    return ratio_text(divide(amount * parts * _SCALE, scale * number, Mode.HALF_UP), _SCALE)


def etag(book: Book, request: QuoteRequest, at: datetime) -> str:
    """Root, context and start of the interval in which no window of a list, row or rule begins or ends that this buyer
    could be priced by. It costs no evaluation, so a reader's copy is revalidated without one.
    """
    edges = [
        edge.isoformat()
        for line in request.lines
        if (entry := book.entry(line.sku)) is not None
        for edge in [interval_start(book, entry, request.buyer, request.currency, at)]
        if edge is not None
    ]
    return sha256(canonical_json([book.root, request, max(edges, default="")])).hexdigest()[:32]


def interval_start(book: Book, entry: SkuEntry, buyer: Buyer, currency: str, at: datetime) -> datetime | None:
    """The last edge at or before *at* of a window that may matter to the line; None when there is none."""
    return max((edge for edge in edges_of_sku(book, entry, buyer, currency) if edge <= at), default=None)


def edges_of_sku(book: Book, entry: SkuEntry, buyer: Buyer, currency: str) -> list[datetime]:
    """The instants at which a window begins or ends by which the buyer could be priced, ascending."""
    lists = book.rules.lists_for(currency, buyer)
    windows = [(ready.starts_at, ready.ends_at) for ready in lists.values()]
    windows += [(row.starts_at, row.ends_at) for row in entry.rows if row.list in lists]
    windows += [
        (rule.starts_at, rule.ends_at)
        for level in book.rules.adjustments_for(entry.facts, buyer)
        for _, rules in level
        for rule in rules
    ]
    return sorted({edge for window in windows for edge in window if edge is not None})


def least_quantity(book: Book, entry: SkuEntry, unit: str | None) -> str:
    """The least quantity of *unit* (None: the base unit) that can be ordered; 1 of a unit it is not sold in."""
    asked = next((fact for fact in entry.facts.units if unit in {None, fact.unit}), None)
    if asked is None:
        return "1"
    step, least = step_and_least(book, entry.facts, asked)
    return ratio_text(_first_step(least, step, above=False) * step[0], step[1])


def _request(buyer: Buyer, currency: str, line: LineRequest, tax: TaxInput | None) -> QuoteRequest:
    return QuoteRequest(buyer=buyer, currency=currency, lines=(line,), tax=tax)


def _continues(before: Rung, rung: Rung) -> bool:
    """Whether the price is the one of the rung before: the same unit price of the same list, and nothing but it."""
    return (
        rung.line.unit_price is not None
        and (rung.line.unit_price, rung.line.price_unit) == (before.line.unit_price, before.line.price_unit)
        and rung.line.trace.list == before.line.trace.list
        and acts_on_line(rung.line) == acts_on_line(before.line) == []
    )


def acts_on_line(line: PricedLine) -> list[str]:
    """Rules, bounds and fees that make the line other than unit price x quantity."""
    return [
        step.rule or step.reason
        for step in line.trace.steps
        if step.phase in {"line", "line_bound"} or "fee" in step.params
    ]


def _quantities(book: Book, entry: SkuEntry, asked: UnitFact, buyer: Buyer, currency: str) -> Iterator[str]:
    """Quantities of the asked unit, ascending, at which some rule of the book may change the price: each the first that
    can be ordered at or above a bound.
    """
    lists = book.rules.lists_for(currency, buyer)
    bounds = bounds_of_rows([row for row in entry.rows if row.list in lists], entry.facts, asked)
    bounds += bounds_of_rules(book.rules.adjustments_for(entry.facts, buyer), asked)
    return quantities_at(bounds, *step_and_least(book, entry.facts, asked))


def bounds_of_rows(rows: Iterable[PriceRow], facts: SkuFacts, asked: UnitFact) -> list[Edge]:
    """Where the tiers of *rows* begin, in the asked unit."""
    factor = ratio(asked.factor)
    found: list[Edge] = []
    for row in rows:
        per_row = ratio(next(fact.factor for fact in facts.units if fact.unit == row.unit))
        for tier in row.tiers:
            bound = ratio(tier.from_ or tier.above or "0")
            found.append((_over(_times(bound, per_row), factor), tier.from_ is None))
    return found


def bounds_of_rules(levels: Iterable[Layers], asked: UnitFact) -> list[Edge]:
    """Where adjustments begin or cease to act, in the asked unit."""
    factor = ratio(asked.factor)
    found: list[Edge] = []
    for level in levels:
        for _, rules in level:
            for rule in rules:
                found += [(_over(start, factor), False) for start, _ in rule.table]
                if rule.free[0]:
                    found.append((_over(rule.complete, factor), False))
                found += [
                    (_over(bound, factor), reason == "over_quantity")
                    for reason, bound, _ in rule.conditions
                    if reason in _QUANTITY_CONDITIONS
                ]
    return found


def quantities_at(bounds: Iterable[Edge], step: Ratio, least: Ratio) -> Iterator[str]:
    """The first quantities that can be ordered at *least* and at *bounds*, ascending, none below *least*."""
    first = _first_step(least, step, above=False)
    for number in sorted({first, *(_first_step(bound, step, above=above) for bound, above in bounds)}):
        if number >= first:
            yield ratio_text(number * step[0], step[1])


def step_and_least(book: Book, facts: SkuFacts, asked: UnitFact) -> tuple[Ratio, Ratio]:
    """The multiple in which the asked unit can be ordered, and the least quantity that makes sense to show."""
    factor = ratio(asked.factor)
    step: Ratio = (1, 10**asked.decimals)
    least: Ratio = (1, 1)
    for rule in book.rules.quantity_rules_for(facts):
        if rule.unit not in {None, asked.unit}:
            continue
        scale = factor if rule.unit is None else (1, 1)
        if rule.multiple is not None:
            step = _over(rule.multiple, scale)
            least = step
        if rule.minimum is not None:
            least = _over(rule.minimum, scale)
    return step, least


def _first_step(bound: Ratio, step: Ratio, *, above: bool) -> int:
    """How many steps make the first quantity at (or *above*) the bound, at least one."""
    number, parts = bound[0] * step[1], bound[1] * step[0]
    steps = number // parts + 1 if above else -(-number // parts)
    return max(steps, 1)


def _times(one: Ratio, other: Ratio) -> Ratio:
    return one[0] * other[0], one[1] * other[1]


def _over(one: Ratio, other: Ratio) -> Ratio:
    return one[0] * other[1], one[1] * other[0]
