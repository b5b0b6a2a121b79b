"""`sweep` prices many lines at once: the whole book, a million past lines. It answers what `quote` answers for each
line alone, to the byte, without steps and losers.

It covers phases 1 to 10 of docs/pricing.md. Order layers and tax belong to an order and are not swept; a condition on
the subtotal sees the line's own net amount, as in a quote of that line alone. Work is done on arrays of 64-bit whole
numbers, block by block; before an array is computed, a bound of its numbers is, and where that passes 64 bits the
block is halved, down to lines which the scalar evaluator prices. It also prices what columns do not hold: package rows,
buy-and-get, prices of more than six decimals, units of a fractional factor, quantity 0, floors by margin where the
unit is not rounded, and ties. `Swept.by_scalar` says which lines these were.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import msgspec
import numpy as np

from kernel.money import MalformedDecimal, UnknownCurrency, exponent, fixed, ratio, ratio_text
from pricing.engine.columns import (
    BEGINNING,
    GRADUATED,
    NO_COST,
    ODD_FACTOR,
    QUANTITY_DECIMALS,
    Array,
    Columns,
    Ints,
    ticks,
)
from pricing.engine.evaluate import MAX_QUANTITY, quote
from pricing.engine.memory import Book
from pricing.engine.request import Buyer, LineRequest, PricedLine, QuoteRequest, RefusedLine, TaxInput, Treatment
from pricing.engine.rules import View
from pricing.engine.select import MAX_TAX_PERCENT
from pricing.engine.sweep_plans import LIMIT, MICRO, Beyond, Bools, Exact, Group, Policy, exact, most, run
from pricing.engine.sweep_rows import Asked, RowFinder, Situation, situation, taken
from pricing.engine.sweep_rules import Check, PlanTables

REASONS: Final = (
    "",
    "quantity_negative",
    "unknown_sku",
    "unknown_unit",
    "quantity_too_fine",
    "quantity_too_large",
    "quantity_below_minimum",
    "quantity_above_maximum",
    "quantity_not_multiple",
    "no_price_in_currency",
    "quantity_not_priced",
    "tax_needed",
    "tax_rate_unknown",
    "bound_not_covered",
    "amount_too_large",
    "not_priced_yet",
    "no_longer_priced",
    "ambiguous_price",
    "quantity_malformed",
)
"""Why a line was refused, by `Swept.reasons`; the first: it was not."""
BLOCK: Final = 1 << 14
LEAST_BLOCK: Final = 32
NO_LIST: Final = -1
NO_PRICE: Final = -1
BASE_UNIT: Final = -1
NO_RATE: Final = -1
BAD_RATE: Final = -2
_NO_CODE: Final = "\x00"  # no SKU or unit can have it
_REASON: Final = {reason: code for code, reason in enumerate(REASONS)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ColumnBook(Book, Protocol):
    """A book that also has columns."""

    @property
    def columns(self) -> Columns: ...


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Lines to price, as arrays of equal length.

    *skus*: codes as `Columns.code_of` gives them, -1 for an unknown one. *quantities* have *quantity_decimals*.
    *units*: as `Columns.unit_of` gives them; None: base units. *buyer_of*: positions in *buyers*, of which there is
    one at least; None: all are the first's. *said*: the quantities, as text, of lines whose quantity does not fit; the
    scalar evaluator prices them.
    """

    skus: Array
    quantities: Array
    currency: str
    buyers: Sequence[Buyer]
    buyer_of: Array | None = None
    units: Array | None = None
    quantity_decimals: int = QUANTITY_DECIMALS
    said: Mapping[int, str] = field(default_factory=dict)


def lines_of(
    columns: Columns,
    asked: Sequence[LineRequest],
    *,
    currency: str,
    buyers: Sequence[Buyer],
    buyer_of: Array | None = None,
) -> Lines:
    """The lines of requests, ready to be swept."""
    said: dict[int, str] = {}
    quantities = np.zeros(len(asked), np.int64)
    for number, line in enumerate(asked):
        quantity = _micros(line.quantity)
        if quantity is None:
            said[number] = line.quantity
        else:
            quantities[number] = quantity
    units = np.array([columns.unit_of(line.unit) for line in asked], np.int64)
    return Lines(
        skus=columns.codes_of(line.sku for line in asked),
        quantities=quantities,
        currency=currency,
        buyers=buyers,
        buyer_of=buyer_of,
        units=None if (units == BASE_UNIT).all() else units,
        said=said,
    )


class SweptLine(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a `PricedLine`, *list* from its trace; or *reason*, that of a `RefusedLine`."""

    subtotal: str | None = None
    unit_price: str | None = None
    list_price: str | None = None
    list: str | None = None
    reason: str | None = None


def texts_of(line: PricedLine | RefusedLine) -> SweptLine:
    """What `Swept.line` says of a line when the two evaluators agree."""
    if isinstance(line, RefusedLine):
        return SweptLine(reason=line.reason)
    return SweptLine(
        subtotal=line.subtotal, unit_price=line.unit_price, list_price=line.list_price, list=line.trace.list
    )


class Swept:
    """What the lines cost, by line.

    *subtotals* in units of 10^-*decimals*. *lists*: positions in the frame's lists. *unit_prices* over *unit_scales*
    and *list_prices* over *list_scale*, `NO_PRICE` where the row has none. *reasons*: positions in `REASONS`, 0 for
    priced; a refused line has no list and a subtotal of 0. *by_scalar*: lines the scalar evaluator priced; theirs alone
    may be numbers that do not fit, of which the arrays say 0 or `NO_PRICE` and `line` the text.
    """

    def __init__(self, count: int, columns: Columns, currency: str, decimals: int) -> None:
        self._columns = columns
        self._currency = currency
        self.decimals = decimals
        self.list_scale = 10**columns.price_decimals
        self.subtotals: Ints = np.zeros(count, np.int64)
        self.lists = np.full(count, NO_LIST, np.int32)
        self.unit_prices: Ints = np.full(count, NO_PRICE, np.int64)
        self.unit_scales: Ints = np.ones(count, np.int64)
        self.list_prices: Ints = np.full(count, NO_PRICE, np.int64)
        self.reasons = np.zeros(count, np.uint8)
        self.by_scalar: Bools = np.zeros(count, np.bool_)
        self._scalar: dict[int, PricedLine | RefusedLine] = {}

    def __len__(self) -> int:
        return len(self.subtotals)

    def line(self, number: int) -> SweptLine:
        found = self._scalar.get(number)
        if found is not None:
            return texts_of(found)
        if self.reasons[number]:
            return SweptLine(reason=REASONS[self.reasons[number]])
        least = exponent(self._currency)
        unit, listed = int(self.unit_prices[number]), int(self.list_prices[number])
        return SweptLine(
            subtotal=fixed(int(self.subtotals[number]), self.decimals),
            unit_price=None if unit == NO_PRICE else _price_text(unit, int(self.unit_scales[number]), least),
            list_price=None if listed == NO_PRICE else _price_text(listed, self.list_scale, least),
            list=self._columns.frame.lists[self.lists[number]].code,
        )

    def refuse(self, places: slice | Ints, reason: str) -> None:
        self.reasons[places] = _REASON[reason]
        self.subtotals[places], self.lists[places] = 0, NO_LIST
        self.unit_prices[places], self.unit_scales[places], self.list_prices[places] = NO_PRICE, 1, NO_PRICE

    def answer(self, number: int, line: PricedLine | RefusedLine) -> None:
        """Take the scalar evaluator's word."""
        self._scalar[number] = line
        if isinstance(line, RefusedLine):
            self.reasons[number] = _REASON[line.reason]
            return
        nouns = self._columns.frame.lists
        self.reasons[number] = 0
        self.lists[number] = next(at for at, noun in enumerate(nouns) if noun.code == line.trace.list)
        amount, over = ratio(line.subtotal)
        amount *= 10**self.decimals // over
        self.subtotals[number] = amount if amount <= LIMIT else 0
        if line.unit_price is not None:
            self.unit_prices[number], self.unit_scales[number] = _as_numbers(line.unit_price)
        if line.list_price is not None:
            number_of, over = ratio(line.list_price)
            listed, rest = divmod(number_of * self.list_scale, over)
            self.list_prices[number] = listed if not rest and listed <= LIMIT else NO_PRICE


def sweep(lines: Lines, *, book: ColumnBook, at: datetime | Ints, tax: TaxInput | None = None) -> Swept:
    """Price each of *lines* alone, as of *at*: one instant, or one a line in microseconds since 1970.

    :raises ValueError: when *at* is a datetime without time zone
    """
    if isinstance(at, datetime) and at.tzinfo is None:
        raise ValueError("at needs a time zone")
    count = len(lines.skus)
    try:
        work = _Sweep(lines, book, ticks(at) if isinstance(at, datetime) else at, tax)
    except UnknownCurrency:
        swept = Swept(count, book.columns, lines.currency, 0)
        swept.reasons[:] = _REASON["no_price_in_currency"]
        return swept
    for start in range(0, count, BLOCK):
        work.block(slice(start, start + BLOCK))
    work.by_scalar()
    work.tables.keep()
    return work.swept


_OF_LINES: Final = ("at", "base", "kind", "ordinal", "quantity", "situation", "sku")


class _Live:
    """The lines of a block that are not refused: where they stand in the sweep, and their numbers."""

    __slots__ = ("at", "base", "kind", "ordinal", "places", "quantity", "quantity_den", "situation", "sku")

    def __init__(self, places: slice | Ints, sku: Ints, quantity: Ints, quantity_den: int) -> None:
        self.places = places
        self.sku = sku
        self.quantity = quantity
        self.quantity_den = quantity_den
        self.base = quantity
        self.kind: Ints | int = 0
        self.ordinal: Ints | None = None
        self.situation: Ints | int = 0
        self.at: Ints | int = 0

    def __len__(self) -> int:
        return len(self.sku)

    def places_of(self, lines: Ints | None) -> slice | Ints:
        """Where those of *lines*, all for None, stand in the sweep."""
        if lines is None:
            return self.places
        if isinstance(self.places, slice):
            return lines + int(self.places.start)
        return self.places.take(lines)

    def keep(self, mask: Bools) -> None:
        self._take(np.flatnonzero(mask))

    def at_lines(self, lines: Ints) -> "_Live":
        """These *lines* apart."""
        some = copy(self)
        some._take(lines)  # noqa: SLF001 - its own
        return some

    def _take(self, lines: Ints) -> None:
        self.places = self.places_of(lines)
        for name in _OF_LINES:
            values = getattr(self, name)
            if isinstance(values, np.ndarray):
                setattr(self, name, values.take(lines))


class _Sweep:
    """One call of `sweep`: what all its blocks share."""

    def __init__(self, lines: Lines, book: ColumnBook, at: int | Ints, tax: TaxInput | None) -> None:
        columns, rules = book.columns, book.rules
        views = [rules.view(lines.currency, buyer) for buyer in lines.buyers]
        view, policy = views[0], rules.policy
        self.lines = lines
        self.book = book
        self.columns = columns
        self.rules = rules
        self.at: int | Ints = at if isinstance(at, int) else np.asarray(at, np.int64)
        self.tax = tax
        self.swept = Swept(len(lines.skus), columns, lines.currency, view.line_places)
        self.swept.by_scalar[list(lines.said)] = True
        self.policy = Policy(
            unit_scale=view.unit_scale,
            unit_mode=policy.unit.mode,
            line_scale=view.line_scale,
            line_mode=policy.line.mode,
            line_limit=view.line_limit,
            round_unit=policy.round_unit,
        )
        self.tables = PlanTables.taken_from(columns, rules)
        self.costs = columns.costs_in(lines.currency)
        self._situate(views)
        self._tax_kinds()

    def _situate(self, views: Sequence[View]) -> None:
        """The situations of the lines: what their buyers meet, between edges of the frame."""
        frame = self.columns.frame
        windows = [(noun.starts_at, noun.ends_at) for noun in frame.lists]
        windows += [(noun.starts_at, noun.ends_at) for noun in frame.adjustments]
        instants = {ticks(instant) for window in windows for instant in window if instant is not None}
        self.edges: Ints = np.array(sorted(instants), np.int64)
        numbers = {noun.code: number for number, noun in enumerate(frame.lists)}
        bases: dict[int, int] = {}
        views_of_bases: list[View] = []
        base_of = []
        for view in views:
            key = view.group
            if key not in bases:
                bases[key] = len(views_of_bases)
                views_of_bases.append(view)
            base_of.append(bases[key])
        self.base_of = np.array(base_of, np.int64)
        epochs = len(self.edges) + 1
        situations: list[Situation] = []
        rows: list[int] = []
        self.situation_of: Ints = np.zeros(len(views_of_bases) * epochs, np.int64)
        for cell in self._cells_in_use(len(views_of_bases)):
            base, epoch = divmod(cell, epochs)
            view, begins = views_of_bases[base], int(self.edges[epoch - 1]) if epoch else BEGINNING
            self.situation_of[cell] = len(situations)
            situations.append(situation(view.lists, numbers, begins))
            rows.append(self.tables.row(view, epoch, begins))
        self.rule_rows = np.array(rows, np.int64)
        self.finder = RowFinder(self.columns, situations, self.rules.strategy)

    def _cells_in_use(self, bases: int) -> list[int]:
        """Pairs of a base and an epoch, as `_cells` numbers them."""
        if isinstance(self.at, int):
            epoch = int(np.searchsorted(self.edges, self.at, "right"))
            return [base * (len(self.edges) + 1) + epoch for base in range(bases)]
        found: set[int] = set()
        for start in range(0, len(self.lines.skus), BLOCK):
            found.update(np.unique(self._cells(slice(start, start + BLOCK))).tolist())
        return sorted(found)

    def _cells(self, places: slice | Ints) -> Ints | int:
        """By line the base its buyer has, what the buyer meets at some instant or other, and the epoch."""
        base: Ints | int = 0
        if self.lines.buyer_of is not None and len(self.lines.buyers) > 1:
            base = self.base_of.take(self.lines.buyer_of[places])
        at = self.at if isinstance(self.at, int) else self.at[places]
        epoch = np.searchsorted(self.edges, at, "right")
        return base * (len(self.edges) + 1) + (int(epoch) if isinstance(at, int) else epoch)

    def _tax_kinds(self) -> None:
        """By kind of SKU what tax makes of 1, over one power of ten; `NO_RATE` and `BAD_RATE` where it is not known."""
        rates = {} if self.tax is None else {rate.category: ratio(rate.percent) for rate in self.tax.rates}
        found = [rates.get(kind.tax_category) for kind in self.columns.kinds]
        self.gross_den = 100 * max((rate[1] for rate in found if rate is not None), default=1)
        gross = []
        for rate in found:
            if rate is None:
                gross.append(NO_RATE)
            elif not 0 <= rate[0] <= MAX_TAX_PERCENT * rate[1]:
                gross.append(BAD_RATE)
            else:
                gross.append(self.gross_den + rate[0] * (self.gross_den // (100 * rate[1])))
        self.gross = np.array(gross, np.int64)
        self.included = np.array([noun.tax_included for noun in self.columns.frame.lists], np.bool_)
        self.any_included = bool(self.included.any())

    def by_scalar(self) -> None:
        """Let the scalar evaluator price what is left to it."""
        lines, columns, swept = self.lines, self.columns, self.swept
        for number in np.flatnonzero(swept.by_scalar).tolist():
            code = int(lines.skus[number])
            unit = BASE_UNIT if lines.units is None else int(lines.units[number])
            said = lines.said.get(number)
            asked = LineRequest(
                sku=columns.sku(code) if 0 <= code < len(columns) else _NO_CODE,
                quantity=ratio_text(int(lines.quantities[number]), 10**lines.quantity_decimals)
                if said is None
                else said,
                unit=None if unit == BASE_UNIT else columns.units[unit] if unit >= 0 else _NO_CODE,
            )
            request = QuoteRequest(
                buyer=lines.buyers[0 if lines.buyer_of is None else int(lines.buyer_of[number])],
                currency=lines.currency,
                lines=(asked,),
                tax=self.tax,
            )
            at = self.at if isinstance(self.at, int) else int(self.at[number])
            swept.answer(number, quote(request, book=self.book, at=_EPOCH + timedelta(microseconds=at)).lines[0])

    def block(self, at: slice | Ints) -> None:
        live = self._checked(at)
        if len(live):
            self._situated(live)
            self._priced(live)

    def _refuse(self, live: _Live, refused: Bools, reason: str) -> Bools:
        """*refused* lines have *reason*; gives the others."""
        self.swept.reasons[live.places_of(np.flatnonzero(refused))] = _REASON[reason]
        return ~refused

    def _leave(self, live: _Live, left: Bools) -> Bools:
        """*left* are left to the scalar evaluator; gives the others."""
        self.swept.by_scalar[live.places_of(np.flatnonzero(left))] = True
        return ~left

    # --- Phase 1 ---

    def _checked(self, at: slice | Ints) -> _Live:
        """Lines of known SKUs and units, in quantities that may be bought."""
        lines, columns = self.lines, self.columns
        quantities = lines.quantities[at].astype(np.int64, copy=False)
        live = _Live(at, lines.skus[at].astype(np.int64), quantities, 10**lines.quantity_decimals)
        left = self.swept.by_scalar[at]
        if left.any():
            live.keep(~left)
        if int(live.quantity.min(initial=1)) <= 0:
            live.keep(self._refuse(live, live.quantity < 0, "quantity_negative"))
            live.keep(self._leave(live, live.quantity == 0))
        if int(live.sku.min(initial=0)) < 0 or int(live.sku.max(initial=-1)) >= len(columns):
            live.keep(self._refuse(live, (live.sku < 0) | (live.sku >= len(columns)), "unknown_sku"))
        if not len(live):
            return live
        live.kind = columns.kind_of.take(live.sku) if len(columns.kinds) > 1 else 0
        if lines.units is not None:
            self._in_units(live, lines.units)
        self._fine_enough(live)
        if most(live.quantity) > MAX_QUANTITY * live.quantity_den:
            live.keep(self._refuse(live, live.quantity > MAX_QUANTITY * live.quantity_den, "quantity_too_large"))
        self._to_base(live)
        if self.columns.frame.quantity_rules:
            self._by_rules(live)
        return live

    def _in_units(self, live: _Live, units: Array) -> None:
        columns = self.columns
        asked = units[live.places].astype(np.int64)
        known = columns.ordinals.take(live.kind * len(columns.units) + np.maximum(asked, 0))
        ordinal = np.where(asked == BASE_UNIT, 0, np.where(asked < 0, -1, known))
        if not ordinal.any():
            return
        live.ordinal = ordinal
        if int(ordinal.min()) < 0:
            live.keep(self._refuse(live, ordinal < 0, "unknown_unit"))

    def _fine_enough(self, live: _Live) -> None:
        """Quantities have no more decimals than their unit; whole ones are counted as such."""
        if live.quantity_den == 1:
            return
        whole = live.quantity // live.quantity_den
        if np.array_equal(whole * live.quantity_den, live.quantity):
            live.quantity, live.quantity_den = whole, 1
            return
        decimals = self.columns.decimals.take(self._unit(live))
        step = np.array([max(live.quantity_den // 10**number, 1) for number in range(13)], np.int64).take(decimals)
        fine = live.quantity % step
        if fine.any():
            live.keep(self._refuse(live, fine != 0, "quantity_too_fine"))
        finest = int(step.min())
        live.quantity, live.quantity_den = live.quantity // finest, live.quantity_den // finest

    def _unit(self, live: _Live) -> "Ints | int":
        """Where the asked unit stands in the columns' arrays of units."""
        ordinal = 0 if live.ordinal is None else live.ordinal
        return live.kind * self.columns.unit_places + ordinal

    def _to_base(self, live: _Live) -> None:
        live.base = live.quantity
        # room for twice the quantity in millionths, as the bounds of tiers are
        room = LIMIT // (2 * MICRO // live.quantity_den)
        if live.ordinal is None:
            return
        factor = self.columns.factors.take(self._unit(live))
        if int(factor.min(initial=1)) == ODD_FACTOR or most(live.quantity) * most(factor) > room:
            live.keep(self._leave(live, (factor == ODD_FACTOR) | (live.quantity > room // np.maximum(factor, 1))))
            factor = self.columns.factors.take(self._unit(live))
        live.base = live.quantity * factor

    def _by_rules(self, live: _Live) -> None:
        """The quantity rules of each line's scope."""
        number = self.tables.checks_of(self.columns.scope_of.take(live.sku))
        refused = np.zeros(len(live), np.uint8)
        left = np.zeros(len(live), np.bool_)
        by = MICRO // live.quantity_den
        for which in np.flatnonzero(np.bincount(number)).tolist():
            checks = self.tables.checks[which]
            mine = np.flatnonzero(number == which)
            if checks is None:
                left[mine] = True
                continue
            for check in reversed(checks):  # the first that fails has the word, so it speaks last
                applies, quantity = self._of_check(live, check, mine)
                micros = quantity * by
                for reason, failing in (
                    ("quantity_not_multiple", micros % check.multiple != 0),
                    ("quantity_above_maximum", micros > check.maximum),
                    ("quantity_below_minimum", micros < check.minimum),
                ):
                    refused[mine[failing & applies]] = _REASON[reason]
        if left.any() or refused.any():
            places = live.places_of(np.flatnonzero(refused))
            self.swept.reasons[places] = refused[refused > 0]
            self._leave(live, left)
            live.keep(~left & (refused == 0))

    def _of_check(self, live: _Live, check: Check, lines: Ints) -> tuple[Bools, Ints]:
        """Which of *lines* the rule speaks of, and their quantities as it counts them."""
        if check.unit is None:
            return np.ones(len(lines), np.bool_), live.base.take(lines)
        ordinal = taken(0 if live.ordinal is None else live.ordinal, lines)
        if check.unit < 0:
            return np.zeros(len(lines), np.bool_), live.quantity.take(lines)
        named = self.columns.ordinals.take(taken(live.kind, lines) * len(self.columns.units) + check.unit)
        return np.broadcast_to(named == ordinal, len(lines)), live.quantity.take(lines)

    # --- Phases 2 to 10 ---

    def _situated(self, live: _Live) -> None:
        live.at = self.at if isinstance(self.at, int) else self.at[live.places]
        cells = self._cells(live.places)
        live.situation = int(self.situation_of[cells]) if isinstance(cells, int) else self.situation_of.take(cells)

    def _priced(self, live: _Live) -> None:
        """Phases 2 to 10; a block whose numbers could leave 64 bits is halved."""
        asked = Asked(live.sku, live.situation, live.ordinal, live.quantity, live.base, live.quantity_den, live.at)
        try:
            self.finder.choose(asked)
        except Beyond:
            self._halved(live, live.quantity)
            return
        done = self._without_row(live, asked)
        lines = None if done is None else np.flatnonzero(~done)
        if lines is not None and not len(lines):
            return
        listed = self.finder.list_of(asked, lines)
        included = None
        if self.tax is not None or self.any_included:
            lines, listed, included = self._taxed(live, listed, self.included.take(listed), lines)
        self._grouped(live, asked, lines, listed, included)

    def _halved(self, live: _Live, size: Ints) -> None:
        """Again in two parts, the lines of larger *size* apart; a few lines are left to the scalar evaluator."""
        if len(live) <= LEAST_BLOCK:
            self.swept.by_scalar[live.places] = True
            return
        order = np.argsort(size, kind="stable")
        middle = len(order) // 2
        for part in (order[:middle], order[middle:]):
            self._priced(live.at_lines(part))

    def _without_row(self, live: _Live, asked: Asked) -> Bools | None:
        """Lines no row prices, refused; and those left to the scalar evaluator."""
        missing = asked.row < 0
        if asked.by_scalar.any():
            self._leave(live, asked.by_scalar)
        elif not missing.any():
            return None
        done: Bools = missing | asked.by_scalar
        places = np.flatnonzero(missing & ~asked.by_scalar)
        if len(places):
            later, later_here, ended = self.finder.why_not(asked, places)
            short = asked.short.take(places)
            # of one list's rows the last one has the word, and columns do not keep their order
            self.swept.by_scalar[live.places_of(places[short & later_here])] = True
            reasons = np.select(
                [short, later, ended],
                [_REASON[reason] for reason in ("quantity_not_priced", "not_priced_yet", "no_longer_priced")],
                _REASON["no_price_in_currency"],
            )
            self.swept.reasons[live.places_of(places)] = reasons
        return done

    def _taxed(self, live: _Live, listed: Ints, included: Bools, lines: Ints | None) -> tuple[Ints | None, Ints, Bools]:
        """Refuse lines whose tax is needed and not known."""
        if self.tax is None:
            refused, reason = included, "tax_needed"
        else:
            rate = self.gross.take(taken(live.kind, lines))
            needed = included | (self.tax.treatment is Treatment.STANDARD)
            refused, reason = (rate == BAD_RATE) | ((rate == NO_RATE) & needed), "tax_rate_unknown"
        if refused.any():
            every = np.arange(len(live)) if lines is None else lines
            self.swept.reasons[live.places_of(every[refused])] = _REASON[reason]
            lines, listed, included = every[~refused], listed[~refused], included[~refused]
        return lines, listed, included

    def _grouped(self, live: _Live, asked: Asked, lines: Ints | None, listed: Ints, included: Bools | None) -> None:
        """Lines by the shape of their plans, and by how their rows price."""
        columns, tables = self.columns, self.tables
        sku = taken(live.sku, lines)
        plans = tables.plans(self.rule_rows.take(taken(live.situation, lines)), columns.scope_of.take(sku))
        key = 4 * tables.plan_shape.take(plans)
        if self.finder.graduated:
            key += columns.ladder_model.take(self.finder.ladder_of(taken(asked.row, lines))) == GRADUATED
        if included is not None:
            key += 2 * included
        keys = np.flatnonzero(np.bincount(key)).tolist()
        for one in keys:
            members = None if len(keys) == 1 else np.flatnonzero(key == one)
            part = _Part(
                lines=members if lines is None else taken(lines, members),
                listed=taken(listed, members),
                plans=taken(plans, members),
                shape=one // 4,
                graduated=one % 2 == 1,
                included=one % 4 >= 2,
            )
            self._attempt(live, asked, part)

    def _attempt(self, live: _Live, asked: Asked, part: "_Part") -> None:
        shape = self.tables.shapes[part.shape]
        places = live.places_of(part.lines)
        if not shape.by_columns:
            self.swept.by_scalar[places] = True
            return
        if not shape.covered:
            self.swept.reasons[places] = _REASON["bound_not_covered"]
            return
        if any(not bound.den for bound in shape.bounds):
            cost = self._cost(live, part)
            if cost is None or int(cost.min()) < 0:
                self._without_cost(live, asked, part, cost)
                return
        try:
            self._run(live, asked, part)
        except Beyond:
            if len(part.plans) <= LEAST_BLOCK:
                self.swept.by_scalar[places] = True
                return
            order = np.argsort(self._size(asked, part), kind="stable")
            middle = len(order) // 2
            for half in (order[:middle], order[middle:]):
                self._attempt(live, asked, part.at_lines(half))

    def _cost(self, live: _Live, part: "_Part") -> Ints | None:
        return None if self.costs is None else self.costs.take(taken(live.sku, part.lines))

    def _without_cost(self, live: _Live, asked: Asked, part: "_Part", cost: Ints | None) -> None:
        """Refuse lines of SKUs whose cost is not known, and leave those of an odd one to the scalar evaluator."""
        if cost is None:
            self.swept.reasons[live.places_of(part.lines)] = _REASON["bound_not_covered"]
            return
        every = np.arange(len(live)) if part.lines is None else part.lines
        self.swept.reasons[live.places_of(every[cost == NO_COST])] = _REASON["bound_not_covered"]
        self.swept.by_scalar[live.places_of(every[cost < NO_COST])] = True
        others = np.flatnonzero(cost >= 0)
        if len(others):
            self._attempt(live, asked, part.at_lines(others))

    def _size(self, asked: Asked, part: "_Part") -> Ints:
        """About price times quantity, to part large from small."""
        price, quantity = self._list_price(asked, part)[0].num, taken(asked.quantity, part.lines)
        bits = [max(most(numbers).bit_length() - 31, 0) for numbers in (price, quantity)]
        return (price >> bits[0]) * (quantity >> bits[1])

    def _list_price(self, asked: Asked, part: "_Part") -> tuple[Exact, Exact | None]:
        return self.finder.price(taken(asked.row, part.lines), taken(asked.tier, part.lines))

    def _run(self, live: _Live, asked: Asked, part: "_Part") -> None:
        columns, tables, swept = self.columns, self.tables, self.swept
        shape = tables.shapes[part.shape]
        group = Group(shape, tables.values(part.shape, part.plans), live.quantity_den)
        lines = part.lines
        quantity, base = taken(live.quantity, lines), taken(live.base, lines)
        group.counted = base
        if asked.own is None:
            group.quantity = quantity
            group.factor = 1
        else:
            own = taken(asked.own, lines)
            group.quantity = np.where(own, quantity, base)
            group.factor = np.where(own, self._factor(live, lines), 1)
        unit, fee = self._list_price(asked, part)
        if part.graduated:
            rows = taken(asked.row, lines)
            amount, fee = self.finder.sliced(rows, self.finder.ladder_of(rows), group.quantity, live.quantity_den)
            group.unit, group.amount = None, amount
        else:
            group.unit = unit
        group.fee = fee
        if any(not bound.den for bound in shape.bounds):
            cost = self._cost(live, part)
            assert cost is not None
            group.cost = exact(cost, 10**columns.cost_decimals)
        if part.included:
            group.gross, group.gross_den = self.gross.take(taken(live.kind, lines)), self.gross_den
            if isinstance(live.kind, int):
                group.gross = int(self.gross[0])
        outcome = run(group, self.policy)
        places = live.places_of(lines)
        swept.subtotals[places] = outcome.amount
        swept.lists[places] = part.listed
        if outcome.unit is not None:
            swept.unit_prices[places] = outcome.unit
            swept.unit_scales[places] = outcome.unit_den
            swept.list_prices[places] = unit.num
        if outcome.too_large is not None and outcome.too_large.any():
            every = np.arange(len(live)) if lines is None else lines
            swept.refuse(live.places_of(every[outcome.too_large]), "amount_too_large")

    def _factor(self, live: _Live, lines: Ints | None) -> Ints:
        factors: Ints = self.columns.factors.take(taken(self._unit(live), lines))
        return factors


class _Part(msgspec.Struct, frozen=True):
    """Chosen lines of one shape: their places among the live ones, lists, plans."""

    lines: Ints | None
    listed: Ints
    plans: Ints
    shape: int
    graduated: bool
    included: bool

    def at_lines(self, some: Ints) -> "_Part":
        return _Part(
            some if self.lines is None else self.lines.take(some),
            self.listed.take(some),
            self.plans.take(some),
            self.shape,
            self.graduated,
            self.included,
        )


def _micros(text: str) -> int | None:
    """None: no number, or one the columns do not hold."""
    try:
        number, over = ratio(text)
    except MalformedDecimal:
        return None
    return number * MICRO // over if over <= MICRO and abs(number) * MICRO // over <= LIMIT else None


def _price_text(number: int, over: int, least: int) -> str:
    """With *least* decimals, the currency's, or as many more as it needs; *over* is a power of ten."""
    said = ratio_text(number, over)
    if not least:
        return said
    whole, _, decimals = said.partition(".")
    return f"{whole}.{decimals.ljust(least, '0')}"


def _as_numbers(price: str) -> tuple[int, int]:
    """A unit price of an answer as numerator and denominator, `NO_PRICE` where 64 bits do not hold them."""
    whole, _, over = price.partition("/")
    digits, _, decimals = whole.partition(".")
    number, den = int(digits + decimals), int(over or 1) * 10 ** len(decimals)
    return (number, den) if max(number, den) <= LIMIT else (NO_PRICE, 1)
