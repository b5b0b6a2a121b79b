"""What a change of prices does to what was sold: the same orders priced by two books at one instant.

Only the book differs between the two sides: both price each order for the buyer it had then (company, segments, country
of delivery, tax), as of the same instant, and as a whole, so that order discounts and break groups count. A line that
one of the books has no price for is left out of its order, and the rest is priced without it.

Most lines are swept, each alone, in arrays. Orders whose lines matter to each other are asked of the scalar evaluator
as one request: those that meet an order rule or a condition on the subtotal, with two lines of one break group, or of
lists that include tax. Amounts are net and exact; currencies are never added up.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import gcd
from typing import Any, Final

import msgspec
import numpy as np

from kernel.money import UnknownCurrency, exponent, ratio, ratio_text
from pricing.engine import Book, Buyer, LineRequest, QuoteRequest, TaxInput, quote
from pricing.engine.book import Adjustment, Level, SkuFacts
from pricing.engine.columns import QUANTITY_DECIMALS, Array, Ints
from pricing.engine.line import times
from pricing.engine.request import PricedLine
from pricing.engine.rules import Ratio, Rules, admits, places
from pricing.engine.sweep import REASONS, ColumnBook, Lines, Swept, sweep
from pricing.engine.sweep_plans import LIMIT
from pricing.facts import decimal_text

PROGRESS_EVERY: Final = 10_000
STEPS: Final = (5, 10, 20, 50)
"""Bounds, in percent, between which changes are counted."""
_MICRO: Final = 10**QUANTITY_DECIMALS
_UNKNOWN_CURRENCY_DECIMALS: Final = 2
_REASON: Final = {reason: number for number, reason in enumerate(REASONS)}

Progress = Callable[[int], None]
"""Called with how many lines were priced since it was called last; a line counts once for each book."""


class SoldOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order. *lines*: SKU, unit and quantity in millionths; a SKU and unit once."""

    name: str
    buyer: Buyer
    currency: str
    tax: TaxInput
    lines: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Sold:
    """Orders and their lines as columns: by order (*order_...*) and by line, the lines of an order next to each other,
    in the order of *orders*. What repeats is held once, and named by its position. An order has a SKU and unit once.

    *orders*: what they are called. *quantities*: of the line's unit, in millionths.
    """

    orders: Sequence[str]
    buyers: Sequence[Buyer]
    currencies: Sequence[str]
    taxes: Sequence[TaxInput]
    skus: Sequence[str]
    units: Sequence[str]
    order_buyer: Ints
    order_currency: Ints
    order_tax: Ints
    line_order: Ints
    line_sku: Ints
    line_unit: Ints
    quantities: Ints

    def __len__(self) -> int:
        """How many lines."""
        return len(self.line_order)

    @classmethod
    def of(cls, orders: Iterable[SoldOrder]) -> "Sold":
        names: list[str] = []
        buyers, currencies, taxes, skus, units = _Numbers(), _Numbers(), _Numbers(), _Numbers(), _Numbers()
        by_order: list[tuple[int, int, int]] = []
        by_line: list[tuple[int, int, int, int]] = []
        for number, order in enumerate(orders):
            names.append(order.name)
            by_order.append((buyers.of(order.buyer), currencies.of(order.currency), taxes.of(order.tax)))
            by_line += [(number, skus.of(sku), units.of(unit), quantity) for sku, unit, quantity in order.lines]
        order_columns = np.array(by_order, np.int64).reshape(-1, 3).T
        line_columns = np.array(by_line, np.int64).reshape(-1, 4).T
        return cls(
            orders=names,
            buyers=list(buyers.known),
            currencies=list(currencies.known),
            taxes=list(taxes.known),
            skus=list(skus.known),
            units=list(units.known),
            order_buyer=order_columns[0],
            order_currency=order_columns[1],
            order_tax=order_columns[2],
            line_order=line_columns[0],
            line_sku=line_columns[1],
            line_unit=line_columns[2],
            quantities=line_columns[3],
        )


class _Numbers:
    """Numbers things in the order they come in."""

    def __init__(self) -> None:
        self.known: dict[Any, int] = {}

    def of(self, thing: object) -> int:
        return self.known.setdefault(thing, len(self.known))


@dataclass(frozen=True, kw_only=True)
class Side:
    """A book, ready for the lines of one `Sold`. *parts*: what sweeps the lines of a SKU, by *part_of*, the SKU's
    position; *codes*: of each part the SKUs' codes in its columns; *facts*: of each SKU what the book knows of it.
    """

    book: Book
    parts: tuple[ColumnBook, ...]
    part_of: Array
    codes: tuple[Array, ...]
    facts: tuple[SkuFacts | None, ...]

    @classmethod
    def of(cls, book: ColumnBook, skus: Sequence[str]) -> "Side":
        entries = [book.entry_of_lists(sku, ()) for sku in skus]
        return cls(
            book=book,
            parts=(book,),
            part_of=np.zeros(len(skus), np.int8),
            codes=(book.columns.codes_of(skus),),
            facts=tuple(None if entry is None else entry.facts for entry in entries),
        )


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of lines, amounts in the block's decimals. *raised*, *lowered*, *same*: lines that both books price;
    *before* and *after*: their amounts. *lost*: lines that only the first book prices, *gained* only the second;
    *unpriced* neither. *costed_...*: of the lines that both price and whose cost is known; *uncosted*: the others.
    """

    lines: int
    raised: int
    lowered: int
    same: int
    lost: int
    gained: int
    unpriced: int
    before: int
    after: int
    lost_amount: int
    gained_amount: int
    uncosted: int
    costed_before: int
    costed_after: int
    cost: int

    @property
    def change(self) -> int:
        """Of the lines that both books price."""
        return self.after - self.before

    @property
    def revenue_before(self) -> int:
        return self.before + self.lost_amount

    @property
    def revenue_after(self) -> int:
        return self.after + self.gained_amount

    @property
    def margin_before(self) -> int:
        return self.costed_before - self.cost

    @property
    def margin_after(self) -> int:
        return self.costed_after - self.cost


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one company, category or SKU; *key* is its code, empty for none."""

    key: str
    figures: Figures


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Lines whose amount changed by *low* percent or more, up to but not including *high*; by as much downwards where
    *falls*. *low* and *high* 0: not at all; *high* None: without end.
    """

    falls: bool
    low: int
    high: int | None
    lines: int
    before: int
    after: int


class Unpriced(msgspec.Struct, frozen=True, kw_only=True):
    """Lines with a price by one book alone, by why the other has none; *amount* by the book that has one."""

    reason: str
    lines: int
    amount: int


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One currency. Amounts are whole numbers of 10^-*decimals*. Groups are ordered by key, *steps* from the largest
    fall to the largest rise.
    """

    currency: str
    decimals: int
    total: Figures
    companies: tuple[Group, ...]
    categories: tuple[Group, ...]
    skus: tuple[Group, ...]
    steps: tuple[Step, ...]
    lost: tuple[Unpriced, ...]
    gained: tuple[Unpriced, ...]


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """What the second book does to the lines. *whole*: orders that were priced as one request by either side; the
    lines of the others were swept.
    """

    at: datetime
    before_root: str
    orders: int
    lines: int
    whole: int
    blocks: tuple[Block, ...]


def compare(
    sold: Sold,
    before: Side,
    after: Side,
    *,
    at: datetime,
    costs: Mapping[tuple[str, str], Decimal],
    progress: Progress = lambda _lines: None,
) -> "Compared":
    """Price all of *sold* by both sides as of *at*.

    :param costs: of one base unit, by SKU and currency
    :raises BookError: when rows of a draft cannot be priced
    """
    decimals = {
        currency: max(_decimals(side.book.rules, currency) for side in (before, after)) for currency in sold.currencies
    }
    return Compared(
        sold=sold,
        at=at,
        root=before.book.root,
        decimals=decimals,
        before=_priced(sold, before, at, decimals, progress),
        after=_priced(sold, after, at, decimals, progress),
        cost=_costs(sold, before, after, costs, decimals),
        categories=tuple(_category(known or new) for known, new in zip(before.facts, after.facts, strict=True)),
    )


@dataclass(frozen=True, kw_only=True)
class Priced:
    """By line: *amounts*, net, in the decimals of its currency, 0 without a price; *reasons*: why there is none, by
    `REASONS`. By order: *whole*, whether it was priced as one request.
    """

    amounts: Array
    reasons: Array
    whole: Array


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Both sides by line. *cost*: of the line, in the decimals of its currency; -1 where it is not known."""

    sold: Sold
    at: datetime
    root: str
    decimals: Mapping[str, int]
    before: Priced
    after: Priced
    cost: Array
    categories: tuple[str, ...]

    def impact(self) -> Impact:
        """Added up."""
        line_currency = self.sold.order_currency.take(self.sold.line_order)
        blocks = [
            self._block(self.sold.currencies[number], np.flatnonzero(line_currency == number))
            for number in np.unique(line_currency).tolist()
        ]
        return Impact(
            at=self.at,
            before_root=self.root,
            orders=len(self.sold.orders),
            lines=len(self.sold),
            whole=int((self.before.whole | self.after.whole).sum()),
            blocks=tuple(sorted(blocks, key=lambda block: block.currency)),
        )

    def _block(self, currency: str, lines: Ints) -> Block:
        sold = self.sold
        chosen = _Chosen(self, lines)
        sku = sold.line_sku.take(lines)
        category_numbers = {key: number for number, key in enumerate(sorted(set(self.categories)))}
        category_of = np.array([category_numbers[key] for key in self.categories], np.int64)
        company_keys = [buyer.company or "" for buyer in sold.buyers]
        company_numbers = {key: number for number, key in enumerate(sorted(set(company_keys)))}
        company_of = np.array([company_numbers[key] for key in company_keys], np.int64)
        buyer = sold.order_buyer.take(sold.line_order.take(lines))
        return Block(
            currency=currency,
            decimals=self.decimals[currency],
            total=chosen.figures(np.zeros(len(lines), np.int64))[0][1],
            companies=chosen.groups(company_of.take(buyer), list(company_numbers)),
            categories=chosen.groups(category_of.take(sku), list(category_numbers)),
            skus=chosen.groups(sku, sold.skus),
            steps=chosen.steps(),
            lost=chosen.unpriced(chosen.lost, self.after.reasons.take(lines), chosen.before),
            gained=chosen.unpriced(chosen.gained, self.before.reasons.take(lines), chosen.after),
        )


class _Chosen:
    """The lines of one currency: amounts, and what became of each."""

    def __init__(self, compared: Compared, lines: Ints) -> None:
        self.before = compared.before.amounts.take(lines)
        self.after = compared.after.amounts.take(lines)
        self.cost = compared.cost.take(lines)
        old, new = compared.before.reasons.take(lines) == 0, compared.after.reasons.take(lines) == 0
        self.both, self.lost, self.gained = old & new, old & ~new, new & ~old
        costed = self.both & (self.cost >= 0)
        nothing = np.zeros(1, self.before.dtype)[0]
        self._counted = {
            "lines": np.ones(len(lines), np.int64),
            "raised": self.both & (self.after > self.before),
            "lowered": self.both & (self.after < self.before),
            "same": self.both & (self.after == self.before),
            "lost": self.lost,
            "gained": self.gained,
            "unpriced": ~(old | new),
            "uncosted": self.both & ~costed,
            "before": np.where(self.both, self.before, nothing),
            "after": np.where(self.both, self.after, nothing),
            "lost_amount": np.where(self.lost, self.before, nothing),
            "gained_amount": np.where(self.gained, self.after, nothing),
            "costed_before": np.where(costed, self.before, nothing),
            "costed_after": np.where(costed, self.after, nothing),
            "cost": np.where(costed, self.cost, nothing),
        }

    def figures(self, numbers: Ints) -> list[tuple[int, Figures]]:
        """By group, given the number of each line's."""
        grouped = _Grouped(numbers)
        columns = [grouped.sums(values) for values in self._counted.values()]
        names = tuple(self._counted)
        return [
            (number, Figures(**dict(zip(names, values, strict=True))))
            for number, *values in zip(grouped.numbers, *columns, strict=True)
        ]

    def groups(self, numbers: Ints, keys: Sequence[str]) -> tuple[Group, ...]:
        found = [Group(key=keys[number], figures=figures) for number, figures in self.figures(numbers)]
        return tuple(sorted(found, key=lambda group: group.key))

    def steps(self) -> tuple[Step, ...]:
        """How far the lines that both books price went."""
        before, after = self.before[self.both], self.after[self.both]
        change = _roomy(after, 100) - _roomy(before, 100)
        size, base = np.abs(change) * 100, _roomy(before, 100)
        place = np.where(change == 0, 0, 1)
        for bound in STEPS:
            place += (change != 0) & (size >= base * bound)
        bounds = (0, *STEPS)
        grouped = _Grouped(np.where(change < 0, -place, place).astype(np.int64))
        counted = dict(
            zip(
                grouped.numbers,
                zip(
                    grouped.sums(np.ones(len(before), np.int64)),
                    grouped.sums(before),
                    grouped.sums(after),
                    strict=True,
                ),
                strict=True,
            )
        )
        steps = []
        for number in range(-len(bounds), len(bounds) + 1):
            lines, old, new = counted.get(number, (0, 0, 0))
            low = bounds[abs(number) - 1] if number else 0
            high = 0 if not number else bounds[abs(number)] if abs(number) < len(bounds) else None
            steps.append(Step(falls=number < 0, low=low, high=high, lines=lines, before=old, after=new))
        return tuple(steps)

    def unpriced(self, which: Array, reasons: Array, amounts: Array) -> tuple[Unpriced, ...]:
        """Those of *which*, by reason; the most first."""
        grouped = _Grouped(reasons[which].astype(np.int64))
        found = [
            Unpriced(reason=REASONS[number], lines=lines, amount=amount)
            for number, lines, amount in zip(
                grouped.numbers,
                grouped.sums(np.ones(int(which.sum()), np.int64)),
                grouped.sums(amounts[which]),
                strict=True,
            )
        ]
        return tuple(sorted(found, key=lambda one: (-one.lines, one.reason)))


class _Grouped:
    """Lines by the number of their group, sorted once for all sums over them. *numbers*: those there are, ascending."""

    def __init__(self, numbers: Ints) -> None:
        self._order = np.argsort(numbers, kind="stable")
        ordered = numbers.take(self._order)
        self._starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
        self.numbers: list[int] = ordered.take(self._starts).tolist()

    def sums(self, values: Array) -> list[int]:
        """Exactly."""
        if not self.numbers:
            return []
        if values.dtype == np.bool_:
            values = values.astype(np.int64)
        found: list[int] = np.add.reduceat(_roomy(values, len(values)).take(self._order), self._starts).tolist()
        return found


def micros(quantity: str) -> int:
    """A quantity in millionths, as *Sold* counts; finer ones do not exist."""
    return _units(quantity, QUANTITY_DECIMALS)


# --- Pricing ---


def _priced(sold: Sold, side: Side, at: datetime, decimals: Mapping[str, int], progress: Progress) -> Priced:
    whole = _whole_orders(sold, side, at)
    amounts: Array = np.zeros(len(sold), np.int64)
    reasons = np.zeros(len(sold), np.uint8)
    alone = ~whole.take(sold.line_order)
    line_currency = sold.order_currency.take(sold.line_order)
    part_of = side.part_of.take(sold.line_sku)
    for number, currency in enumerate(sold.currencies):
        for part, book in enumerate(side.parts):
            lines = np.flatnonzero(alone & (line_currency == number) & (part_of == part))
            if len(lines):
                swept = _swept(sold, book, side.codes[part], currency, lines, at)
                reasons[lines] = swept.reasons
                amounts = _put(amounts, lines, _amounts(swept, decimals[currency]))
                progress(len(lines))
    starts = np.searchsorted(sold.line_order, np.arange(len(sold.orders) + 1))
    done = 0
    big: dict[int, int] = {}
    for order in np.flatnonzero(whole).tolist():
        lines = np.arange(starts[order], starts[order + 1])
        for line, amount, reason in _asked(sold, side.book, order, lines.tolist(), at, decimals):
            reasons[line] = reason
            if amount <= LIMIT:
                amounts[line] = amount
            else:
                big[line] = amount
        done += len(lines)
        if done >= PROGRESS_EVERY:
            progress(done)
            done = 0
    progress(done)
    if big:
        amounts = _put(amounts, np.array(list(big)), np.array(list(big.values()), dtype=object))
    return Priced(amounts=amounts, reasons=reasons, whole=whole)


def _swept(sold: Sold, book: ColumnBook, codes: Array, currency: str, lines: Ints, at: datetime) -> Swept:
    columns = book.columns
    units = np.array([columns.unit_of(unit) for unit in sold.units], np.int64)
    return sweep(
        Lines(
            skus=codes.take(sold.line_sku.take(lines)),
            quantities=sold.quantities.take(lines),
            currency=currency,
            buyers=sold.buyers,
            buyer_of=sold.order_buyer.take(sold.line_order.take(lines)),
            units=units.take(sold.line_unit.take(lines)),
        ),
        book=book,
        at=at,
    )


def _amounts(swept: Swept, decimals: int) -> Array:
    """The subtotals in that many decimals, also those that no array of the sweep holds."""
    amounts: Array = _roomy(swept.subtotals, 10**decimals) * 10 ** (decimals - swept.decimals)
    doubtful = np.flatnonzero(swept.by_scalar & (swept.reasons == 0) & (swept.subtotals == 0)).tolist()
    for line in doubtful:
        amount = _units(swept.line(line).subtotal or "0", decimals)
        if amount:
            amounts = amounts.astype(object)
            amounts[line] = amount
    return amounts


def _asked(
    sold: Sold, book: Book, order: int, lines: list[int], at: datetime, decimals: Mapping[str, int]
) -> Iterable[tuple[int, int, int]]:
    """Of each line the net amount and the reason why there is none; the order is asked as one request, without those
    of its lines that have no price.
    """
    currency = sold.currencies[sold.order_currency[order]]
    while lines:
        request = QuoteRequest(
            buyer=sold.buyers[sold.order_buyer[order]],
            currency=currency,
            lines=tuple(
                LineRequest(
                    sku=sold.skus[sold.line_sku[line]],
                    unit=sold.units[sold.line_unit[line]],
                    quantity=ratio_text(int(sold.quantities[line]), _MICRO),
                )
                for line in lines
            ),
            tax=sold.taxes[sold.order_tax[order]],
        )
        answer = quote(request, book=book, at=at)
        left = []
        nets = []
        for priced in answer.lines:
            line = lines[priced.requested[0]]
            if isinstance(priced, PricedLine):
                left.append(line)
                nets.append((line, _units(priced.net, decimals[currency]), 0))
            else:
                yield line, 0, _REASON[priced.reason]
        if len(left) == len(lines):
            yield from nets
            return
        lines = left


def _whole_orders(sold: Sold, side: Side, at: datetime) -> Array:
    """Which orders one line of cannot be priced without the others."""
    meets, meets_many = _by_rules(sold, side.book.rules, at)
    sizes = np.bincount(sold.line_order, minlength=len(sold.orders))
    numbers: dict[str, int] = {}
    group_of = np.array(
        [
            -1 if facts is None or facts.break_group is None else numbers.setdefault(facts.break_group, len(numbers))
            for facts in side.facts
        ],
        np.int64,
    )
    found: Array = meets | (meets_many & (sizes > 1))
    if numbers:
        group = group_of.take(sold.line_sku)
        grouped = np.flatnonzero(group >= 0)
        keys = np.sort(sold.line_order.take(grouped) * len(numbers) + group.take(grouped))
        found[keys[1:][keys[1:] == keys[:-1]] // len(numbers)] = True
    return found


def _by_rules(sold: Sold, rules: Rules, at: datetime) -> tuple[Array, Array]:
    """By order: whether its buyer may meet a rule of the order level, or a list that includes tax; and whether a
    condition on the subtotal, which a line alone fulfils or not by itself.
    """
    frame = rules.frame
    levels = {layer.code: layer.level for layer in frame.layers}
    live = [
        rule
        for rule in frame.adjustments
        if (rule.starts_at is None or rule.starts_at <= at) and (rule.ends_at is None or at < rule.ends_at)
    ]
    of_order = [rule for rule in live if levels[rule.layer] is Level.ORDER]
    of_subtotal = [
        rule for rule in live if rule.conditions.min_subtotal is not None or rule.conditions.max_subtotal is not None
    ]
    kinds, kind_of = np.unique(sold.order_buyer * len(sold.currencies) + sold.order_currency, return_inverse=True)
    first, second = [], []
    for kind in kinds.tolist():
        buyer_number, currency_number = divmod(kind, len(sold.currencies))
        buyer, currency = sold.buyers[buyer_number], sold.currencies[currency_number]
        included = any(ready.tax_included for ready in rules.lists_for(currency, buyer).values())
        first.append(included or any(_meets(rule, buyer, currency) for rule in of_order))
        second.append(any(_meets(rule, buyer, currency) for rule in of_subtotal))
    by_kind = np.array([first, second], np.bool_)
    return by_kind[0, kind_of], by_kind[1, kind_of]


def _meets(rule: Adjustment, buyer: Buyer, currency: str) -> bool:
    """Whether the rule could act on an order of the buyer's."""
    said = rule.conditions
    return (
        admits(rule.audience, buyer)
        and (not said.currencies or currency in said.currencies)
        and (not said.countries or buyer.country in said.countries)
    )


def _decimals(rules: Rules, currency: str) -> int:
    try:
        exponent(currency)
    except UnknownCurrency:
        return _UNKNOWN_CURRENCY_DECIMALS  # nothing is priced in it
    return max(places(rules.policy.line, currency), places(rules.policy.tax, currency))


# --- Costs ---


def _costs(
    sold: Sold,
    before: Side,
    after: Side,
    costs: Mapping[tuple[str, str], Decimal],
    decimals: Mapping[str, int],
) -> Array:
    """What each line costs the house, rounded half up to the decimals of its currency; -1 where that is not known."""
    found: Array = np.full(len(sold), -1, np.int64)
    line_currency = sold.order_currency.take(sold.line_order)
    pairs, pair_of = np.unique(sold.line_sku * len(sold.units) + sold.line_unit, return_inverse=True)
    named = [(sku, sold.units[unit]) for sku, unit in (divmod(pair, len(sold.units)) for pair in pairs.tolist())]
    factors = [_factor(before.facts[sku] or after.facts[sku], unit) for sku, unit in named]
    for number, currency in enumerate(sold.currencies):
        lines = np.flatnonzero(line_currency == number)
        if len(lines):
            known = [costs.get((sold.skus[sku], currency)) for sku, _ in named]
            of_unit = [
                None if factor is None or cost is None else times(factor, ratio(decimal_text(cost)))
                for factor, cost in zip(factors, known, strict=True)
            ]
            line_costs = _line_costs(of_unit, pair_of.take(lines), sold.quantities.take(lines), decimals[currency])
            found = _put(found, lines, line_costs)
    return found


def _line_costs(of_unit: Sequence[Ratio | None], pairs: Ints, quantities: Ints, decimals: int) -> Array:
    """*of_unit*: what one of the asked unit costs, over a power of ten, by pair of SKU and unit."""
    finest = max((over for _, over in filter(None, of_unit)), default=1)
    units = [-1 if cost is None else cost[0] * (finest // cost[1]) for cost in of_unit]
    largest = max([1, *units])
    of_line = np.array(units, np.int64 if largest <= LIMIT else object).take(pairs)
    quantity, over = quantities, _MICRO
    if not (quantities % _MICRO).any():
        quantity, over = quantities // _MICRO, 1
    scale, rest = 10**decimals, over * finest
    common = gcd(scale, rest)
    scale, rest = scale // common, rest // common
    amount = _roomy(quantity, 4 * largest * scale) * (of_line * scale)
    if 4 * rest > LIMIT:
        amount = amount.astype(object)
    return np.where(of_line < 0, -1, (2 * amount + rest) // (2 * rest))


def _factor(facts: SkuFacts | None, unit: str) -> Ratio | None:
    """Base units in one unit."""
    for fact in () if facts is None else facts.units:
        if fact.unit == unit:
            return ratio(fact.factor)
    return None


def _category(facts: SkuFacts | None) -> str:
    """The SKU's own, the last of its path."""
    return facts.categories[-1] if facts is not None and facts.categories else ""


# --- Numbers ---


def _roomy(values: Array, factor: int) -> Array:
    """The values so that *factor* times the largest is exact: as Python's integers where 64 bits might not do."""
    if values.dtype == object or not len(values):
        return values
    return values if int(np.abs(values).max()) * factor <= LIMIT else values.astype(object)


def _put(into: Array, places_of: Ints, values: Array) -> Array:
    if values.dtype == object and into.dtype != object:
        into = into.astype(object)
    into[places_of] = values
    return into


def _units(text: str, decimals: int) -> int:
    number, over = ratio(text)
    scaled: int = number * 10**decimals // over
    return scaled
