"""Phases 4 to 10 of many lines at once: what `adjust` does to one line, on arrays of whole numbers.

Rules that differ in their numbers alone have one *shape*; lines of a shape go through the phases together, each with
the numbers of its own plan. Every number is an array of numerators over one common denominator, with a bound that no
numerator passes; the bound is a Python integer, computed before the array is. Where it passes 2^62, `Beyond` is raised
and nothing of the block is kept.
"""

from collections.abc import Callable, Iterable, Iterator
from math import gcd
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernel.money import Mode
from pricing.engine.book import SkuFacts
from pricing.engine.columns import Array, Ints, ticks
from pricing.engine.rules import (
    AMOUNT,
    BUY_GET,
    FACTOR,
    FIXED,
    TABLE,
    Kind,
    Layers,
    Ratio,
    ReadyBound,
    Rule,
    Rules,
    Stage,
    View,
)

LIMIT: Final = 2**62
MICRO: Final = 10**6
Bools = NDArray[np.bool_]
Number = int | Ints


class Beyond(Exception):
    """A number of the block could leave 64 bits."""


class Exact:
    """Numerators over a common denominator; none is further from 0 than *top*."""

    __slots__ = ("den", "num", "top")

    def __init__(self, num: Ints, den: int, top: int) -> None:
        self.num = num
        self.den = den
        self.top = top

    def times(self, factor: Number, over: int = 1) -> "Exact":
        """*factor* is not negative, *over* a power of ten, as all denominators are."""
        if isinstance(factor, int):
            while over > 1 and not factor % 10:
                factor, over = factor // 10, over // 10
            if factor == over == 1:
                return self
        top = self.top * most(factor)
        if top > LIMIT:
            raise Beyond
        return Exact(self.num * factor, self.den * over, top)

    def over(self, den: int) -> "Exact":
        """The same numbers over *den*, a multiple of the denominator."""
        by = den // self.den
        if by == 1:
            return self
        if self.top * by > LIMIT:
            raise Beyond
        return Exact(self.num * by, den, self.top * by)

    def plus(self, other: "Exact") -> "Exact":
        den = max(self.den, other.den)
        one, two = self.over(den), other.over(den)
        if one.top + two.top > LIMIT:
            raise Beyond
        return Exact(one.num + two.num, den, one.top + two.top)

    def minus(self, other: "Exact") -> "Exact":
        return self.plus(Exact(-other.num, other.den, other.top))

    def where(self, mask: Bools, other: "Exact") -> "Exact":
        """*other* where *mask* says so."""
        den = max(self.den, other.den)
        one, two = self.over(den), other.over(den)
        return Exact(np.where(mask, two.num, one.num), den, max(one.top, two.top))

    def below(self, other: "Exact") -> Bools:
        den = max(self.den, other.den)
        return self.over(den).num < other.over(den).num


def exact(numbers: Array, den: int) -> Exact:
    """Of numbers that are not negative."""
    return Exact(numbers, den, most(numbers))


def most(number: Number) -> int:
    return number if isinstance(number, int) else int(number.max(initial=0))


def rounded(number: Exact, scale: int, mode: Mode) -> Ints:
    """In units of 1/*scale*; the numbers are not negative."""
    common = gcd(scale, number.den)
    by, den = scale // common, number.den // common
    return divided(number.times(by).num, number.top * by, den, mode)


def divided(num: Ints, top: int, den: Number, mode: Mode) -> Ints:
    """As `kernel.money.divide`, of numerators that are not negative."""
    if isinstance(den, int) and den == 1:
        return num
    if 2 * top + 2 * most(den) > LIMIT:
        raise Beyond
    if mode is Mode.HALF_UP:
        return (2 * num + den) // (2 * den)
    if mode is Mode.HALF_DOWN:
        return (2 * num + (den - 1)) // (2 * den)
    if mode is Mode.HALF_EVEN:
        twice = 2 * num + den
        up: Ints = twice // (2 * den)
        up -= (up * (2 * den) == twice) & (up & 1)
        return up
    if mode is Mode.UP or mode is Mode.CEILING:
        return (num + (den - 1)) // den
    return num // den


# --- Plans ---


class Condition(NamedTuple):
    reason: str
    den: int


class Member(NamedTuple):
    """A rule's shape: the denominator of its numbers, and how many a quantity table has."""

    kind: Kind
    den: int
    steps: int
    conditions: tuple[Condition, ...]


class GroupShape(NamedTuple):
    """*classes*: members of equal priority, the highest first; or all of them, where the lowest price is picked."""

    classes: tuple[tuple[Member, ...], ...]


class LayerShape(NamedTuple):
    summed: bool
    groups: tuple[GroupShape, ...]
    exclusive: tuple[Member, ...]


class BoundShape(NamedTuple):
    """*den* 0: by margin, with two numbers, the factor on cost."""

    floor: bool
    den: int


class Shape(NamedTuple):
    unit: tuple[LayerShape, ...]
    line: tuple[LayerShape, ...]
    bounds: tuple[BoundShape, ...]
    covered: bool
    by_columns: bool


class Plan(NamedTuple):
    shape: Shape
    values: tuple[int, ...]


BY_SCALAR: Final = Plan(Shape((), (), (), covered=True, by_columns=False), ())


class _Unsupported(Exception):
    """The scalar evaluator does it."""


def plan(rules: Rules, facts: SkuFacts, view: View, at: int) -> Plan:
    """What happens to the lines of *facts*' scope in *view* at *at*; no rule begins or ends between *at* and the
    instants the plan is used for.
    """
    matched = rules.matched(facts, view)
    values: list[int] = []
    try:
        unit = tuple(_layers(matched.unit, rules.stages[0], at, values))
        bounds, covered = _bounds(rules.bounds_for(facts), view.currency, values)
        line = tuple(_layers(matched.line, rules.stages[1], at, values))
        by_margin = any(not bound.den for bound in bounds)
        if by_margin and not rules.policy.round_unit:
            return BY_SCALAR
    except _Unsupported:
        return BY_SCALAR
    return Plan(Shape(unit, line, bounds, covered, by_columns=True), tuple(values))


def _layers(layers: Layers, stages: tuple[Stage, ...], at: int, values: list[int]) -> Iterator[LayerShape]:
    for number, rules in layers:
        ready = [rule for rule in rules if _may_act(rule, at)]
        if not ready:
            continue
        stage = stages[number]
        groups: dict[int, list[Rule]] = {}
        for rule in ready:
            if not rule.exclusive:
                groups.setdefault(rule.group, []).append(rule)
        yield LayerShape(
            summed=stage.summed,
            groups=tuple(_group(members, values, lowest=stage.by_lowest[group]) for group, members in groups.items()),
            exclusive=tuple(_member(rule, values) for rule in ready if rule.exclusive),
        )


def _may_act(rule: Rule, at: int) -> bool:
    """The view has left those conditions on currency and country that fail."""
    return (
        (rule.starts_at is None or ticks(rule.starts_at) <= at)
        and (rule.ends_at is None or at < ticks(rule.ends_at))
        and not any(reason in {"other_currency", "other_country"} for reason, _, _ in rule.conditions)
    )


def _group(rules: list[Rule], values: list[int], *, lowest: bool) -> GroupShape:
    """*rules* by priority, the highest first. Behind one that always acts, those of lower priority never do."""
    if lowest:
        return GroupShape((tuple(_member(rule, values) for rule in rules),))
    classes: list[list[Member]] = []
    priority: int | None = None
    always = False
    for rule in rules:
        if rule.priority != priority:
            if always:
                break
            classes.append([])
            priority = rule.priority
        classes[-1].append(_member(rule, values))
        always = always or (rule.kind is FACTOR and not rule.conditions)
    return GroupShape(tuple(map(tuple, classes)))


def _member(rule: Rule, values: list[int]) -> Member:
    """The rule's shape; its numbers join *values*: its conditions', then its effect's."""
    conditions = []
    for reason, bound, _ in rule.conditions:
        if reason.endswith("_quantity"):
            values.append(_micros(bound, up=reason == "needs_quantity"))
            conditions.append(Condition(reason, MICRO))
        else:
            den = _even(bound[1])
            values.append(_whole(bound, den))
            conditions.append(Condition(reason, den))
    steps = 0
    if rule.kind is FACTOR:
        den = _even(rule.factor[1])
        values.append(_whole(rule.factor, den))
    elif rule.kind is AMOUNT or rule.kind is FIXED:
        den = _even(rule.amount[1])
        values.append(_whole(rule.amount, den))
    elif rule.kind is TABLE:
        den, steps = _even(max(factor[1] for _, factor in rule.table)), len(rule.table)
        for begin, factor in rule.table:
            values += (_micros(begin, up=True), _whole(factor, den))
    else:
        assert rule.kind is BUY_GET
        raise _Unsupported
    return Member(rule.kind, den, steps, tuple(conditions))


def _bounds(bounds: Iterable[ReadyBound], currency: str, values: list[int]) -> tuple[tuple[BoundShape, ...], bool]:
    """And whether all of them cover the currency, costs apart."""
    shapes: list[BoundShape] = []
    for bound in bounds:
        if bound.over_cost is not None:
            number, over = bound.over_cost
            common = gcd(number, over)
            values += (_fitting(number // common), _fitting(over // common))
            shapes.append(BoundShape(bound.floor, 0))
        else:
            price = bound.prices.get(currency)
            if price is None:
                return (), False
            den = _even(price[1])
            values.append(_whole(price, den))
            shapes.append(BoundShape(bound.floor, den))
    return tuple(shapes), True


def _micros(bound: Ratio, *, up: bool) -> int:
    number, over = bound[0] * MICRO, bound[1]
    return _fitting(-(-number // over) if up else number // over)


def _whole(number: Ratio, den: int) -> int:
    return _fitting(number[0] * (den // number[1]))


def _fitting(number: int) -> int:
    if abs(number) > LIMIT:
        raise _Unsupported
    return number


def _even(den: int) -> int:
    """A power of ten with an even number of zeros, so that rules of 5 % and 2.5 % and 1.25 % have few shapes."""
    return den if len(str(den)) % 2 else den * 10


# --- Phases ---


class Policy(NamedTuple):
    """How prices are rounded in one currency."""

    unit_scale: int
    unit_mode: Mode
    line_scale: int
    line_mode: Mode
    line_limit: int
    round_unit: bool


class Group:
    """Lines of one shape, after the selection of their rows. *quantity* counts units of the row, *counted* base units,
    both over *quantity_den*; *factor* is base units in a unit of the row. *unit* is the row's price of one unit, None
    for rows without (graduated), which have *amount*. *gross*: what tax makes of 1, over *gross_den*, on lists that
    include it.
    """

    amount: Exact
    unit: Exact | None
    quantity: Ints
    counted: Ints
    factor: Number
    fee: Exact | None
    cost: Exact | None
    gross: Number

    def __init__(self, shape: Shape, values: Callable[[int], Number], quantity_den: int) -> None:
        self.shape = shape
        self.values = values
        self.quantity_den = quantity_den
        self.gross = 1
        self.gross_den = 1
        self._counted: Exact | None = None
        self._next = 0

    def value(self) -> Number:
        """The shape's numbers, one after another: the same for all lines, or by line."""
        self._next += 1
        return self.values(self._next - 1)

    def counted_in_micros(self) -> Exact:
        if self._counted is None:
            self._counted = exact(self.counted, self.quantity_den).over(MICRO)
        return self._counted


class Outcome(NamedTuple):
    """*amount* in units of the policy's line decimals; *unit* over *unit_den*, None without a unit price."""

    amount: Ints
    unit: Ints | None
    unit_den: int
    too_large: Bools | None


def run(group: Group, policy: Policy) -> Outcome:
    """Phases 4 to 10."""
    shape = group.shape
    running = group.amount if group.unit is None else group.unit
    for layer in shape.unit:
        running = _layer(layer, group, running, None)
    bounds = [_bound(bound, group) for bound in shape.bounds]
    unit, crossed = None, False
    if group.unit is not None:
        unit, crossed = _bounded_unit(running, policy, bounds)
        running = unit.times(group.quantity, group.quantity_den)
    if group.fee is not None:
        running = running.plus(group.fee)
    net = running
    for layer in shape.line:
        running = _layer(layer, group, running, net)
    units, top = _bounded_line(running, group, policy, bounds, crossed=crossed)
    too_large = units > policy.line_limit if top > policy.line_limit else None
    return Outcome(units, None if unit is None else unit.num, 1 if unit is None else unit.den, too_large)


def _layer(layer: LayerShape, group: Group, entry: Exact, net: Exact | None) -> Exact:
    """*net*: the line's amount after phase 7, None on the unit level."""
    running = entry
    acted: Bools | bool = False
    for members in layer.groups:
        base = entry if layer.summed else running
        able, after = _picked(members, group, base, net)
        if able is False:
            continue
        if layer.summed and base is not running:
            after = running.plus(after.minus(base))
        running = after if able is True else running.where(able, after)
        acted = _either(acted, able)
    alone: Bools | bool = False
    lowest = entry
    for member in layer.exclusive:
        able, after = _effect(member, group, entry, net)
        lowest, alone = _lower(lowest, alone, after, able)
    if alone is not False:
        # the buyer gets the better; where nothing else acts, the exclusive rule
        beats = lowest.below(running)
        if acted is not True:
            beats = beats | ~acted if acted is not False else np.ones(len(beats), np.bool_)
        running = running.where(beats if alone is True else beats & alone, lowest)
    return running


def _picked(shape: GroupShape, group: Group, base: Exact, net: Exact | None) -> tuple[Bools | bool, Exact]:
    """Where a rule of the group acts, and what it makes of *base* there."""
    able: Bools | bool = False
    best = base
    for members in shape.classes:
        of_class: Bools | bool = False
        lowest = base
        for member in members:
            acts, after = _effect(member, group, base, net)
            lowest, of_class = _lower(lowest, of_class, after, acts)
        if able is False:
            able, best = of_class, lowest
        elif able is not True and of_class is not False:
            best = best.where(~able if of_class is True else ~able & of_class, lowest)
            able = _either(able, of_class)
    return able, best


def _lower(best: Exact, known: Bools | bool, after: Exact, able: Bools | bool) -> tuple[Exact, Bools | bool]:
    """The lower of two outcomes, where they are outcomes at all."""
    if known is False:
        return after, able
    if able is False:
        return best, known
    better: Bools = after.below(best)
    if able is not True:
        better = better & able
    if known is not True:
        better = better | (~known if able is True else ~known & able)
    return best.where(better, after), _either(known, able)


def _either(one: Bools | bool, other: Bools | bool) -> Bools | bool:
    return True if one is True or other is True else one | other


def _effect(member: Member, group: Group, base: Exact, net: Exact | None) -> tuple[Bools | bool, Exact]:
    """Where the rule acts, and what it makes of *base*, whether it acts or not."""
    able: Bools | bool = True
    for condition in member.conditions:
        able = able & _meets(condition, group, net)
    kind, den = member.kind, member.den
    if kind is FACTOR:
        return able, base.times(group.value(), den)
    if kind is TABLE:
        counted = group.counted_in_micros().num
        reached = np.zeros(len(counted), np.bool_)
        factor: Number = den
        for _ in range(member.steps):
            begin, step = group.value(), group.value()
            here = counted >= begin
            factor = np.where(here & ~reached, step, factor)
            reached = here  # steps come with the last first, so that who reaches one reaches all that follow
        return able & reached, base.times(factor, den)
    amount = group.value()
    on_unit = net is None
    if on_unit and group.unit is None:
        return False, base
    changed = _amount(amount, den, group.factor if on_unit else 1, len(base.num))
    return able, changed if kind is FIXED else base.plus(changed)


def _amount(amount: Number, den: int, factor: Number, count: int) -> Exact:
    """Signed."""
    top = int(np.abs(amount).max()) * most(factor)
    if top > LIMIT:
        raise Beyond
    return Exact(np.full(count, amount * factor, np.int64), den, top)


def _meets(condition: Condition, group: Group, net: Exact | None) -> Bools:
    bound = group.value()
    reason = condition.reason
    if reason.endswith("_quantity"):
        value = group.counted_in_micros().num
    else:
        assert net is not None
        # amount / gross against bound, without dividing
        limit = exact(np.asarray(bound), condition.den)
        limit = limit.times(group.gross, group.gross_den)
        den = max(limit.den, net.den)
        value, bound = net.over(den).num, limit.over(den).num
    return value >= bound if reason.startswith("needs") else value <= bound


class _Bounding(NamedTuple):
    """A bound on the price of one unit of the row, with tax where the list includes it: numerators over denominators
    that may differ by line.
    """

    floor: bool
    num: Ints
    top: int
    den: Number


def _bound(shape: BoundShape, group: Group) -> _Bounding:
    first = group.value()
    if shape.den:
        price = _amount(first, shape.den, group.factor, len(group.quantity)).times(group.gross, group.gross_den)
        return _Bounding(shape.floor, price.num, price.top, price.den)
    assert group.cost is not None
    over = group.value()
    price = group.cost.times(first).times(group.factor).times(group.gross, group.gross_den)
    if price.den * most(over) > LIMIT:
        raise Beyond
    return _Bounding(shape.floor, price.num, price.top, price.den * over)


def _bounded_unit(running: Exact, policy: Policy, bounds: list[_Bounding]) -> tuple[Exact, bool]:
    """Phases 5 and 6, and whether a floor stood above a ceiling, both rounded. Rounding keeps the order of two numbers
    and leaves those on its grid alone, so it makes no difference that here it comes before the bounds, which are on
    the grid.
    """
    unit = Exact(np.maximum(running.num, 0), running.den, running.top)
    if not policy.round_unit:
        floors = [Exact(bound.num, _number(bound.den), bound.top) for bound in bounds if bound.floor]
        ceilings = [Exact(bound.num, _number(bound.den), bound.top) for bound in bounds if not bound.floor]
        floor, ceiling = _strictest(floors, highest=True), _strictest(ceilings, highest=False)
        if floor is not None and ceiling is not None:
            ceiling = ceiling.where(ceiling.below(floor), floor)
        if floor is not None:
            unit = unit.where(unit.below(floor), floor)
        if ceiling is not None:
            unit = unit.where(ceiling.below(unit), ceiling)
        return unit, False
    scale = policy.unit_scale
    units = rounded(unit, scale, policy.unit_mode)
    top = unit.top * scale // unit.den + 1
    lowest = [_on_grid(bound, scale) for bound in bounds if bound.floor]
    highest = [_on_grid(bound, scale) for bound in bounds if not bound.floor]
    for floor_units in lowest:
        units = np.maximum(units, floor_units)
        top = max(top, most(floor_units))
    crossed = False
    if highest:
        ceiling_units = highest[0]
        for other in highest[1:]:
            ceiling_units = np.minimum(ceiling_units, other)
        for floor_units in lowest:
            crossed = crossed or bool((ceiling_units < floor_units).any())
            ceiling_units = np.maximum(ceiling_units, floor_units)
        units = np.minimum(units, ceiling_units)
    return Exact(units, scale, top), crossed


def _number(den: Number) -> int:
    assert isinstance(den, int)  # a plan with margins is left to the scalar evaluator where units are not rounded
    return den


def _strictest(bounds: list[Exact], *, highest: bool) -> Exact | None:
    if not bounds:
        return None
    found = bounds[0]
    for bound in bounds[1:]:
        found = found.where(found.below(bound) if highest else bound.below(found), bound)
    return found


def _on_grid(bound: _Bounding, scale: int) -> Ints:
    """Rounded inward to whole units of 1/*scale*."""
    by, den = scale, bound.den
    if isinstance(den, int):
        common = gcd(by, den)
        by, den = by // common, den // common
    if bound.top * by > LIMIT:
        raise Beyond
    return divided(bound.num * by, bound.top * by, den, Mode.CEILING if bound.floor else Mode.FLOOR)


def _bounded_line(
    running: Exact, group: Group, policy: Policy, bounds: list[_Bounding], *, crossed: bool
) -> tuple[Ints, int]:
    """Phases 9 and 10 in units of the line's scale, and what none of them passes. Rounding comes first, as above."""
    scale = policy.line_scale
    amount = Exact(np.maximum(running.num, 0), running.den, running.top)
    units = rounded(amount, scale, policy.line_mode)
    top = amount.top * scale // amount.den + 1
    # a unit price within its bounds, times a quantity, is within the line's unless it falls between two line amounts
    kept = group.unit is not None and policy.round_unit and not group.shape.line and not scale % running.den
    if not bounds or (kept and not crossed):
        return units, top
    floors = [_on_grid(_extended(bound, group), scale) for bound in bounds if bound.floor]
    ceilings = [_on_grid(_extended(bound, group), scale) for bound in bounds if not bound.floor]
    lowest: Ints | None = None
    for floor_units in floors:
        lowest = floor_units if lowest is None else np.maximum(lowest, floor_units)
    if lowest is not None:
        units = np.maximum(units, lowest)
        top = max(top, most(lowest))
    if ceilings:
        highest = ceilings[0]
        for other in ceilings[1:]:
            highest = np.minimum(highest, other)
        units = np.minimum(units, highest if lowest is None else np.maximum(highest, lowest))
    return units, top


def _extended(bound: _Bounding, group: Group) -> _Bounding:
    """Times the quantity, plus the fee."""
    top = bound.top * most(group.quantity)
    den = most(bound.den) * group.quantity_den
    if max(top, den) > LIMIT:
        raise Beyond
    num, dens = bound.num * group.quantity, bound.den * group.quantity_den
    if group.fee is not None:
        top = top * group.fee.den + group.fee.top * den
        den *= group.fee.den
        if max(top, den) > LIMIT:
            raise Beyond
        num, dens = num * group.fee.den + group.fee.num * dens, dens * group.fee.den
    return _Bounding(bound.floor, num, top, dens)
