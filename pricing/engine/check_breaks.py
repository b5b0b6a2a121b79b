"""Where a price may change: the quantities just before and at each break, as they can be bought.

Between two breaks a total never falls as the quantity grows, and it, its margin and its distance from another price are
furthest at the ends: so it is enough to look there.
"""

from collections.abc import Iterable, Iterator
from math import lcm
from typing import NamedTuple

from kernel.money import ratio, ratio_text
from pricing.engine.book import PriceRow, UnitFact
from pricing.engine.evaluate import MAX_QUANTITY
from pricing.engine.line import less, over, plus, times
from pricing.engine.rules import BUY_GET, TABLE, Matched, Ratio, ReadyQuantityRule, Rule

SETS = 64
"""So many complete sets of a buy-and-get rule are looked at: later ones do what these do."""
COUNTABLE = 2**60
"""Where more steps than this lead to the largest quantity, ten of them are taken for one: the numbers have 64 bits."""
FAR = 100
"""What is true for all larger quantities is looked at this many times beyond the last break."""

_OTHERS = frozenset({"other_currency", "other_country"})
_QUANTITY_REASONS = frozenset({"needs_quantity", "over_quantity"})


class Break(NamedTuple):
    """Something changes from *base* units on, or *above* them. *rule*: the one that acts there with more or less than
    before; None: a row, or a rule that begins or ends there.
    """

    base: Ratio
    above: bool
    rule: str | None


class Buyable(NamedTuple):
    """The quantities of one unit that may be bought: from *first* to *last* times *step*. *holds*: base units in the
    unit.
    """

    unit: str
    step: Ratio
    first: int
    last: int
    holds: Ratio

    def text(self, number: int) -> str:
        return ratio_text(number * self.step[0], self.step[1])

    def at(self, found: Break) -> int:
        """The number of the least quantity on the far side of the break."""
        number, denominator = over(over(found.base, self.holds), self.step)
        return number // denominator + 1 if found.above else -(-number // denominator)


def buyable(fact: UnitFact, rules: Iterable[ReadyQuantityRule]) -> Buyable | None:
    """None when the quantity rules allow nothing."""
    holds = ratio(fact.factor)
    step: Ratio = (1, 10**fact.decimals)
    least: Ratio = (0, 1)
    most: Ratio = (MAX_QUANTITY, 1)
    for rule in rules:
        if rule.unit not in {None, fact.unit}:
            continue
        # a rule without a unit counts base units
        each = holds if rule.unit is None else (1, 1)
        if rule.multiple is not None:
            step = _common_multiple(step, over(rule.multiple, each))
        if rule.minimum is not None:
            minimum = over(rule.minimum, each)
            least = minimum if less(least, minimum) else least
        if rule.maximum is not None:
            maximum = over(rule.maximum, each)
            most = maximum if less(maximum, most) else most
    (number, denominator), (top, of) = over(least, step), over(most, step)
    while top // of > COUNTABLE:  # any multiple of a step can be bought as well
        step, denominator, of = (10 * step[0], step[1]), 10 * denominator, 10 * of
    first, last = max(1, -(-number // denominator)), top // of
    return Buyable(fact.unit, step, first, last, holds) if first <= last else None


def _common_multiple(one: Ratio, other: Ratio) -> Ratio:
    scale = one[1] * other[1]
    return lcm(one[0] * other[1], other[0] * one[1]), scale


def points(of: Buyable, breaks: Iterable[Break], *, also_after: bool) -> tuple[int, ...]:
    """The numbers of the quantities to look at, ascending. *also_after*: after each the next one, to show the slope."""
    wanted = {of.first}
    for found in breaks:
        number = of.at(found)
        if of.first < number <= of.last:
            wanted |= {number - 1, number}
    wanted.add(min(of.last, max(wanted) * FAR))
    if also_after:
        wanted |= {number + 1 for number in wanted if number < of.last}
    return tuple(sorted(wanted))


def breaks_of_row(row: PriceRow, holds: Ratio) -> Iterator[Break]:
    """One of each tier. *holds*: base units in the row's unit."""
    package = row.package
    for tier in row.tiers:
        begin = ratio(str(tier.from_ or tier.above))
        if package is None:
            yield Break(times(begin, holds), above=tier.from_ is None, rule=None)
        else:
            # tiers count whole packages, which begin after the free units: what lies above 2 of them, or 2.5, begins
            # with the first unit of the third or, rounded down, with its last
            count = begin[0] // begin[1] + (not package.round_up), 1
            units = plus(ratio(package.free), times(count, ratio(package.size)))
            yield Break(times(units, holds), above=package.round_up, rule=None)


def breaks_of(rules: Iterable[Rule]) -> Iterator[Break]:
    """Of conditions on the quantity, quantity tables and complete sets; those on amounts depend on the price."""
    for rule in rules:
        for reason, bound, _ in rule.conditions:
            if reason in _QUANTITY_REASONS:
                yield Break(bound, above=reason == "over_quantity", rule=None)
        if rule.kind is TABLE:
            for begin, _ in rule.table:
                yield Break(begin, above=False, rule=rule.code)
        if rule.kind is BUY_GET:
            for sets in range(1, SETS + 1):
                yield Break(times(rule.complete, (sets, 1)), above=False, rule=rule.code)


def thresholds_of(rules: Iterable[Rule]) -> Iterator[Ratio]:
    """The amounts that conditions name."""
    for rule in rules:
        for reason, bound, _ in rule.conditions:
            if reason.endswith(("line_amount", "subtotal")):
                yield bound


def rules_of(matched: Matched) -> Iterator[Rule]:
    """Those that may act on the view they were matched for."""
    for level in (matched.unit, matched.line, matched.order):
        for _, rules in level:
            for rule in rules:
                if not any(reason in _OTHERS for reason, _, _ in rule.conditions):
                    yield rule
