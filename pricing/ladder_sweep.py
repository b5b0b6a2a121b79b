"""The ladders of many SKUs at once: the rungs that `ladder_of` gives SKU by SKU, to the byte, priced by `sweep`.

The quantities worth asking for are read from the book as for one ladder, and arrays price them. What arrays do not say
follows from the book without a price: the unit that a list's row is of, and the instant until which nothing changes,
which is the next edge of any window that the line meets, whatever its quantity. Where it does not follow whether two
rungs are one, the scalar evaluator is asked.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

import msgspec
import numpy as np

from kernel.money import fixed, ratio
from pricing.engine import Buyer, LineRequest, QuoteRequest, quote
from pricing.engine.book import PriceRow, SkuEntry, UnitFact
from pricing.engine.memo import Memo
from pricing.engine.request import PricedLine, TaxInput
from pricing.engine.rules import Ratio
from pricing.engine.sweep import BASE_UNIT, NO_PRICE, ColumnBook, Lines, Swept, sweep
from pricing.ladder import (
    MAX_RUNGS,
    Edge,
    acts_on_line,
    bounds_of_rows,
    bounds_of_rules,
    quantities_at,
    step_and_least,
)

_MICRO: Final = 10**6
_KEPT: Final = 20_000


class SweptRung(NamedTuple):
    """What a reader of prices wants of a priced line; *unit_price* is None where its row has none."""

    quantity: str
    unit_price: str | None
    price_unit: str
    line_total: str
    list: str
    tax_included: bool


class SweptLadder(NamedTuple):
    """As `Ladder` of that SKU and unit."""

    sku: str
    unit: str
    rungs: list[SweptRung]
    valid_until: datetime | None


class _Terms(msgspec.Struct, frozen=True, gc=False):
    """What SKUs of one scope and kind have in common, in one of their units. *edges*: of rules' windows, those ahead.
    *plain*: a rule on lines always acts, *ruled*: one may, *bounded*: a floor or a ceiling may.
    """

    fact: UnitFact
    bounds: tuple[Edge, ...]
    step: Ratio
    least: Ratio
    edges: tuple[datetime, ...]
    plain: bool
    ruled: bool
    bounded: bool


class _Asked(NamedTuple):
    """One SKU in one unit, whose lines stand from *first* on. *units*: by list that of its rows, "" for several."""

    sku: str
    terms: _Terms
    quantities: tuple[str, ...]
    first: int
    units: dict[str, str]
    factor: Ratio
    fees: bool
    valid_until: datetime | None


class Ladders:
    """One reader's ladders, of one book at one instant. It remembers what SKUs have in common: keep it for many."""

    def __init__(
        self, book: ColumnBook, buyer: Buyer, *, currency: str, tax: TaxInput | None = None, at: datetime
    ) -> None:
        """:raises UnknownCurrency: when *currency* is none"""
        self._book = book
        self._view = view = book.rules.view(currency, buyer)
        self._tax = tax
        self._at = at
        lists = view.lists.values()
        self._edges = {noun.code: self._ahead(noun.starts_at, noun.ends_at) for noun in lists}
        self._included = {noun.code: noun.tax_included for noun in lists}
        self._codes = [noun.code for noun in book.rules.frame.lists]
        self._terms: Memo[tuple[int, int, int], _Terms] = Memo()
        self._quantities: Memo[tuple[object, ...], tuple[tuple[str, ...], list[int]]] = Memo(_KEPT)
        self._price_texts: Memo[tuple[int, int], str | None] = Memo(_KEPT)

    def of(self, skus: Iterable[str]) -> Iterator[SweptLadder]:
        """The ladders of *skus* in their order, in every unit in which something is priced for this buyer: of all at
        once, so they are to be few.
        """
        columns = self._book.columns
        asked: list[_Asked] = []
        codes: list[int] = []
        units: list[int] = []
        quantities: list[int] = []
        said: dict[int, str] = {}
        for sku in skus:
            entry = self._book.entry_of_lists(sku, self._view.lists)
            if entry is None:
                continue
            code = columns.code_of(sku)
            rows = [row for row in entry.rows if row.list in self._view.lists]
            for ordinal, fact in enumerate(entry.facts.units):
                terms = self._terms_of(entry, code, ordinal)
                texts, micros = self._quantities_of(entry, rows, terms)
                one = self._asked(entry, rows, terms, texts, len(codes))
                if one is None:
                    continue
                asked.append(one)
                said |= {len(codes) + place: texts[place] for place, micro in enumerate(micros) if micro < 0}
                codes += [code] * len(micros)
                units += [columns.unit_of(fact.unit) if ordinal else BASE_UNIT] * len(micros)
                quantities += micros
        if not asked:
            return
        lines = Lines(
            skus=np.array(codes, np.int32),
            quantities=np.array(quantities, np.int64),
            units=np.array(units, np.int64),
            currency=self._view.currency,
            buyers=(self._view.buyer,),
            said=said,
        )
        swept = sweep(lines, book=self._book, at=self._at, tax=self._tax)
        found = _Found(swept)
        for one in asked:
            rungs = self._rungs(one, found)
            if rungs:
                yield SweptLadder(one.sku, one.terms.fact.unit, rungs, one.valid_until)

    # --- What to ask ---

    def _terms_of(self, entry: SkuEntry, code: int, ordinal: int) -> _Terms:
        columns, rules, facts = self._book.columns, self._book.rules, entry.facts
        key = int(columns.scope_of[code]), int(columns.kind_of[code]), ordinal
        known = self._terms.get(key)
        if known is not None:
            return known
        fact = facts.units[ordinal]
        matched = rules.matched(facts, self._view)
        met = [rule for level in (matched.unit, matched.line, matched.order) for _, some in level for rule in some]
        on_lines = [rule for _, some in matched.line for rule in some]
        step, least = step_and_least(self._book, facts, fact)
        terms = _Terms(
            fact,
            tuple(bounds_of_rules(rules.adjustments_for(facts, self._view.buyer), fact)),
            step,
            least,
            tuple(edge for rule in met for edge in self._ahead(rule.starts_at, rule.ends_at)),
            plain=any(rule.plain for rule in on_lines),
            ruled=bool(on_lines),
            bounded=bool(rules.bounds_for(facts)),
        )
        return self._terms.keep(key, terms)

    def _quantities_of(self, entry: SkuEntry, rows: list[PriceRow], terms: _Terms) -> tuple[tuple[str, ...], list[int]]:
        """As texts and in millionths, -1 for those that are no whole number of them."""
        tiers = [(row.unit, *[(tier.from_, tier.above) for tier in row.tiers]) for row in rows]
        key = terms.fact, terms.bounds, terms.step, terms.least, entry.facts.units, *tiers
        known = self._quantities.get(key)
        if known is not None:
            return known
        bounds = [*bounds_of_rows(rows, entry.facts, terms.fact), *terms.bounds]
        texts = tuple(islice(quantities_at(bounds, terms.step, terms.least), 2 * MAX_RUNGS))
        return self._quantities.keep(key, (texts, [_micros(text) for text in texts]))

    def _asked(
        self, entry: SkuEntry, rows: list[PriceRow], terms: _Terms, quantities: tuple[str, ...], first: int
    ) -> _Asked | None:
        """None where no row could price it."""
        unit, base = terms.fact.unit, entry.facts.units[0].unit
        units: dict[str, str] = {}
        edges = [*terms.edges]
        fees = False
        for row in rows:
            if row.unit not in {unit, base}:
                continue
            units[row.list] = row.unit if units.get(row.list, row.unit) == row.unit else ""
            edges += self._edges[row.list]
            if row.starts_at is not None or row.ends_at is not None:
                edges += self._ahead(row.starts_at, row.ends_at)
            fees = fees or any(tier.flat_fee != "0" for tier in row.tiers)
        if not units:
            return None
        factor = ratio(terms.fact.factor)
        return _Asked(entry.facts.sku, terms, quantities, first, units, factor, fees, min(edges, default=None))

    def _ahead(self, *edges: datetime | None) -> list[datetime]:
        return [edge for edge in edges if edge is not None and edge > self._at]

    # --- What was answered ---

    def _rungs(self, asked: _Asked, found: "_Found") -> list[SweptRung]:
        rungs: list[SweptRung] = []
        last = -1
        for place, quantity in enumerate(asked.quantities, asked.first):
            if found.reasons[place]:
                continue
            rung = self._rung(asked, found, place, quantity)
            if (
                rungs
                and rung.unit_price is not None
                and rung[1:3] == rungs[-1][1:3]
                and rung.list == rungs[-1].list
                and not self._acts_on_line(asked, found, last, rungs[-1])
                and not self._acts_on_line(asked, found, place, rung)
            ):
                continue
            rungs.append(rung)
            last = place
        return rungs[:MAX_RUNGS]

    def _rung(self, asked: _Asked, found: "_Found", place: int, quantity: str) -> SweptRung:
        if found.by_scalar[place]:
            line = found.swept.line(place)
            code, unit_price, total = line.list or "", line.unit_price, line.subtotal or ""
        else:
            code, unit_price = self._codes[found.lists[place]], self._price_text(found, place)
            total = fixed(found.subtotals[place], found.swept.decimals)
        price_unit = asked.units[code] or self._quoted(asked, quantity).price_unit
        return SweptRung(quantity, unit_price, price_unit, total, code, self._included[code])

    def _price_text(self, found: "_Found", place: int) -> str | None:
        price = found.unit_prices[place]
        if price == NO_PRICE:
            return None
        key = price, found.unit_scales[place]
        return self._price_texts.get(key) or self._price_texts.keep(key, found.swept.line(place).unit_price)

    def _acts_on_line(self, asked: _Asked, found: "_Found", place: int, rung: SweptRung) -> bool:
        """Whether anything makes the line other than unit price x quantity."""
        terms = asked.terms
        if terms.plain:
            return True
        if not (terms.ruled or asked.fees or found.by_scalar[place]):
            if not terms.bounded:
                return False
            # a bound that acts moves the amount, and rounding moves none that is whole
            number, over = ratio(rung.quantity)
            if rung.price_unit != terms.fact.unit:
                number, over = number * asked.factor[0], over * asked.factor[1]
            number *= found.unit_prices[place] * self._view.line_scale
            units, rest = divmod(number, over * found.unit_scales[place])
            if not rest:
                return units != found.subtotals[place]
        return bool(acts_on_line(self._quoted(asked, rung.quantity)))

    def _quoted(self, asked: _Asked, quantity: str) -> PricedLine:
        view = self._view
        line = LineRequest(sku=asked.sku, unit=asked.terms.fact.unit, quantity=quantity)
        request = QuoteRequest(buyer=view.buyer, currency=view.currency, lines=(line,), tax=self._tax)
        answer = quote(request, book=self._book, at=self._at).lines[0]
        assert isinstance(answer, PricedLine), "both evaluators price what one prices"
        return answer


class _Found:
    """What a sweep found, as numbers of Python's own: to read them one by one from arrays costs several times more."""

    def __init__(self, swept: Swept) -> None:
        self.swept = swept
        self.reasons: list[int] = swept.reasons.tolist()
        self.by_scalar: list[bool] = swept.by_scalar.tolist()
        self.lists: list[int] = swept.lists.tolist()
        self.subtotals: list[int] = swept.subtotals.tolist()
        self.unit_prices: list[int] = swept.unit_prices.tolist()
        self.unit_scales: list[int] = swept.unit_scales.tolist()


def _micros(text: str) -> int:
    if "/" in text:
        return -1
    number, over = ratio(text)
    return number * _MICRO // over if over <= _MICRO and number < 10**12 else -1
