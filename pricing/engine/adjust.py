"""Phases 4 to 10: adjustments, bounds and rounding of one line."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from kernel.money import Mode, divide, ratio, ratio_text
from pricing.engine.line import (
    NO_PARAMS,
    Context,
    Line,
    Refusal,
    instant_text,
    less,
    minus,
    over,
    plus,
    text,
    times,
)
from pricing.engine.rules import AMOUNT, BUY_GET, FACTOR, FIXED, ONE, TABLE, ZERO, Ratio, ReadyBound, Rule, Stage

State = TypeVar("State")
Apply = Callable[[Rule, State, State], State]


class Loss(msgspec.Struct, frozen=True, gc=False):
    """Why a rule does not act; *from_quantity*: it would from this counted quantity on."""

    reason: str
    params: dict[str, str]
    from_quantity: Ratio | None = None


def to_unit(line: Line, context: Context) -> None:
    """Phases 4 to 6: unit layers, unit bounds, unit rounding; of a row without a unit price, its amount.

    :raises Refusal: when a bound does not cover the line's currency
    """
    unit, price_list = line.unit_price, line.price_list
    entry = line.amount if unit is None else unit
    reason = "list_amount" if unit is None else "list_price"
    line.step("price", reason, entry, rule=price_list.code, titles=price_list.titles)
    running = entry
    for stage, rules in line.matched.unit:
        running = _run_layer(line, context, "unit", context.rules.stages[0][stage], rules, running)
    _set_bounds(line, context)
    if unit is None:
        line.amount = running
    else:
        line.unit_price = _bounded_and_rounded(line, context, running)


def extend(line: Line) -> None:
    """Phase 7: unit x quantity + fee."""
    unit, fee = line.unit_price, line.fee
    if unit is None:
        if fee[0]:
            line.amount = plus(line.amount, fee)
            line.step("extend", "plus_fee", line.amount, params={"fee": text(fee)})
    else:
        quantity = line.row_quantity
        amount = unit[0] * quantity[0], unit[1] * quantity[1]
        params = {"quantity": ratio_text(quantity[0], quantity[1])}
        if fee[0]:
            amount = plus(amount, fee)
            params["fee"] = text(fee)
        line.amount = amount
        line.step("extend", "times_quantity", amount, params=params)
    line.net_extended = over(line.amount, plus(ONE, line.rate)) if line.price_list.tax_included else line.amount


def to_rounded(line: Line, context: Context) -> None:
    """Phases 8 to 10: line layers, line bounds, line rounding.

    :raises Refusal: when the amount is beyond what we write
    """
    running = line.amount
    if line.quantity[0]:
        for stage, rules in line.matched.line:
            running = _run_layer(line, context, "line", context.rules.stages[1][stage], rules, running)
    scale = context.line_scale
    number, denominator = _line_bounded(line, running, scale)
    line.amount_units = line.order_units = units = divide(number * scale, denominator, context.line_mode)
    if units > context.line_limit:
        raise Refusal("amount_too_large")
    if units * denominator != number * scale:
        params = {"decimals": str(context.line_places)}
        line.step("round_line", context.line_mode, (units, scale), params=params)


def _line_bounded(line: Line, amount: Ratio, scale: int) -> Ratio:
    """Phase 9."""
    line.floor_units, line.ceiling_units = 0, None
    if line.floor is None and line.ceiling is None and amount[0] >= 0:
        return amount
    ceiling: Ratio | None = None
    if line.floor is not None:
        line.floor_units = _scaled(plus(times(line.floor, line.row_quantity), line.fee), scale, Mode.CEILING)
    if line.ceiling is not None:
        top = _scaled(plus(times(line.ceiling, line.row_quantity), line.fee), scale, Mode.FLOOR)
        line.ceiling_units = max(top, line.floor_units)
        ceiling = line.ceiling_units, scale
    return _bounded(line, "line_bound", amount, (line.floor_units, scale), ceiling)


def obstacle(rule: Rule, line: Line, context: Context) -> Loss | None:
    """Why the rule does not act on this line now; None when it does."""
    loss = blocked(rule, context, line)
    if loss is not None or rule.kind is FACTOR:
        return loss
    if rule.kind is TABLE and _table_factor(rule, line) is None:
        begin = rule.table[-1][0]
        return Loss("needs_quantity", {"quantity": text(begin)}, begin)
    if rule.kind is BUY_GET and not _sets(rule, line):
        return Loss("needs_quantity", {"quantity": text(rule.complete)}, rule.complete)
    return None


def blocked(rule: Rule, context: Context, line: Line | None) -> Loss | None:
    """As `obstacle`, of the window and the conditions; *line* None: on the order level."""
    at = context.at
    if rule.starts_at is not None and at < rule.starts_at:
        return Loss("starts", {"at": instant_text(rule.starts_at)})
    if rule.ends_at is not None and at >= rule.ends_at:
        return Loss("ended", {"at": instant_text(rule.ends_at)})
    for reason, bound, said in rule.conditions:
        loss = _unmet(reason, bound, said, context, line)
        if loss is not None:
            return loss
    return None


def _unmet(reason: str, bound: Any, said: str, context: Context, line: Line | None) -> Loss | None:
    if reason == "needs_quantity":
        assert line is not None
        return Loss(reason, {"quantity": said}, bound) if less(line.counted, bound) else None
    # where these are met, the view has left them out
    if reason == "other_currency":
        return Loss(reason, {"currencies": said})
    if reason == "other_country":
        return Loss(reason, {"countries": said})
    if reason == "over_quantity":
        assert line is not None
        return Loss(reason, {"quantity": said}) if less(bound, line.counted) else None
    amount = context.subtotal if line is None or reason.endswith("subtotal") else line.net_extended
    return Loss(reason, {"amount": said, "currency": context.currency}) if _fails(reason, amount, bound) else None


def resolve(
    stage: Stage,
    able: Sequence[Rule],
    exclusive: Sequence[Rule],
    entry: State,
    apply: Apply[State],
    cheaper: Callable[[State, State], bool],
) -> tuple[State, list[tuple[Rule, State, State]], list[tuple[Rule, Rule]]]:
    """One layer: what it leads to, the rules that act with before and after, and those beaten with their winner.

    *able* are sorted by group, priority (highest first) and code, *exclusive* by code. `apply(rule, base, running)`
    takes the rule's effect on *base* and puts it on *running*.
    """
    running = entry
    chosen: list[tuple[Rule, State, State]] = []
    beaten: list[tuple[Rule, Rule]] = []
    for members in _groups(able):
        winner, *others = members
        base = entry if stage.summed else running
        if others:
            by_lowest = stage.by_lowest[winner.group]
            pool = members if by_lowest else [one for one in members if one.priority == winner.priority]
            winner, after = _cheapest(pool, base, running, apply, cheaper)
            beaten.extend((member, winner) for member in members if member is not winner)
        else:
            after = apply(winner, base, running)
        chosen.append((winner, running, after))
        running = after
    if exclusive:
        alone, after = _cheapest(exclusive, entry, entry, apply, cheaper)
        if not chosen or cheaper(after, running):
            beaten.extend((rule, alone) for rule, _, _ in chosen)
            chosen, running = [(alone, entry, after)], after
        beaten.extend((rule, chosen[-1][0]) for rule in exclusive if rule is not chosen[-1][0])
    return running, chosen, beaten


def _groups(able: Sequence[Rule]) -> list[list[Rule]]:
    found: list[list[Rule]] = []
    group = -1
    for rule in able:
        if rule.group == group:
            found[-1].append(rule)
        else:
            found.append([rule])
            group = rule.group
    return found


def _run_layer(line: Line, context: Context, phase: str, stage: Stage, rules: Sequence[Rule], entry: Ratio) -> Ratio:
    if len(rules) == 1 and rules[0].plain:
        return _act(rules[0], line, phase, entry)
    able, exclusive = _able(line, context, phase, rules)
    if not able and not exclusive:
        return entry
    if len(able) == 1 and not exclusive:  # by far the most frequent case
        return _act(able[0], line, phase, entry)

    def apply(rule: Rule, base: Ratio, running: Ratio) -> Ratio:
        after = _effect(rule, line, base)
        return after if base is running else plus(running, minus(after, base))

    running, chosen, beaten = resolve(stage, able, sorted(exclusive, key=lambda rule: rule.code), entry, apply, less)
    for rule, _, after in chosen:
        line.step(phase, rule.reason, after, rule=rule.code, titles=rule.titles, params=rule.params)
    for rule, winner in beaten:
        line.loses(phase, rule.code, rule.titles, "beaten", {"by": winner.code})
    return running


def _act(rule: Rule, line: Line, phase: str, entry: Ratio) -> Ratio:
    after = _effect(rule, line, entry)
    line.step(phase, rule.reason, after, rule=rule.code, titles=rule.titles, params=rule.params)
    return after


def _able(line: Line, context: Context, phase: str, rules: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """The rules that act on the line, and the exclusive ones among them apart; the others are noted as losers."""
    able: list[Rule] = []
    exclusive: list[Rule] = []
    for rule in rules:
        if rule.plain:
            (exclusive if rule.exclusive else able).append(rule)
            continue
        _note_edges(rule, line, context)
        loss = obstacle(rule, line, context)
        if loss is None and phase == "unit" and line.unit_price is None and (rule.kind is AMOUNT or rule.kind is FIXED):
            loss = Loss("no_unit_price", NO_PARAMS)
        if loss is not None:
            line.loses(phase, rule.code, rule.titles, loss.reason, loss.params)
            if loss.from_quantity is not None:
                line.wanted.append((rule, loss.from_quantity))
        elif rule.exclusive:
            exclusive.append(rule)
        else:
            able.append(rule)
    return able, exclusive


def _cheapest(
    pool: Sequence[Rule],
    base: State,
    running: State,
    apply: Apply[State],
    cheaper: Callable[[State, State], bool],
) -> tuple[Rule, State]:
    """The rule that gives the buyer the better outcome, the lower code where two are equal."""
    first, *others = pool if len(pool) == 1 else sorted(pool, key=lambda rule: rule.code)
    best, outcome = first, apply(first, base, running)
    for rule in others:
        after = apply(rule, base, running)
        if cheaper(after, outcome):
            best, outcome = rule, after
    return best, outcome


def _note_edges(rule: Rule, line: Line, context: Context) -> None:
    starts_at, ends_at, at = rule.starts_at, rule.ends_at, context.at
    if starts_at is not None:
        if at < starts_at:
            line.turn(starts_at)
            return
        line.passed(starts_at)
    if ends_at is not None:
        if at < ends_at:
            line.turn(ends_at)
        else:
            line.passed(ends_at)


def _fails(reason: str, value: Ratio, bound: Ratio) -> bool:
    return less(value, bound) if reason.startswith("needs") else less(bound, value)


def _effect(rule: Rule, line: Line, base: Ratio) -> Ratio:
    if rule.kind is FACTOR:
        return base[0] * rule.factor[0], base[1] * rule.factor[1]
    if rule.kind is AMOUNT:
        return plus(base, times(rule.amount, line.factor) if rule.level == "unit" else rule.amount)
    if rule.kind is FIXED:
        return times(rule.amount, line.factor)
    if rule.kind is TABLE:
        return times(base, _table_factor(rule, line) or (1, 1))
    free = times((_sets(rule, line), 1), rule.free)
    return minus(base, over(times(minus(base, line.fee), free), line.base))


def _table_factor(rule: Rule, line: Line) -> Ratio | None:
    for begin, factor in rule.table:
        if not less(line.counted, begin):
            return factor
    return None


def _sets(rule: Rule, line: Line) -> int:
    number, denominator = over(line.base, rule.complete)
    return number // denominator


def _set_bounds(line: Line, context: Context) -> None:
    """The strictest floor and ceiling of one unit of the row, in the terms of its list (with tax where included)."""
    line.floor = line.ceiling = line.floor_code = line.ceiling_code = None
    assert line.entry is not None
    for bound in context.rules.bounds_for(line.entry.facts):
        price = times(_bound_price(bound, line, context), line.factor)
        if line.price_list.tax_included:
            price = times(price, plus(ONE, line.rate))
        shown = bound.code if bound.disclosed else None
        if bound.floor:
            if line.floor is None or less(line.floor, price):
                line.floor, line.floor_code = price, shown
        elif line.ceiling is None or less(price, line.ceiling):
            line.ceiling, line.ceiling_code = price, shown


def _bound_price(bound: ReadyBound, line: Line, context: Context) -> Ratio:
    if bound.over_cost is None:
        price = bound.prices.get(context.currency)
        if price is not None:
            return price
    else:
        assert line.entry is not None
        for cost in line.entry.costs:
            if cost.currency == context.currency:
                return times(ratio(cost.cost), bound.over_cost)
    raise Refusal("bound_not_covered")


def _bounded_and_rounded(line: Line, context: Context, unit: Ratio) -> Ratio:
    """Phases 5 and 6. The bounds are rounded inward first, so that rounding the price cannot leave them."""
    scale, rounds = context.unit_scale, context.policy.round_unit
    floor, ceiling = line.floor, line.ceiling
    if floor is not None and rounds:
        floor = _scaled(floor, scale, Mode.CEILING), scale
    if ceiling is not None and rounds:
        ceiling = _scaled(ceiling, scale, Mode.FLOOR), scale
    if floor is not None and ceiling is not None and less(ceiling, floor):
        ceiling = floor
    unit = _bounded(line, "bound", unit, floor or ZERO, ceiling)
    number, denominator = unit
    if not rounds or scale % denominator == 0:
        return unit
    units = divide(number * scale, denominator, context.unit_mode)
    if units * denominator != number * scale:
        line.step("round_unit", context.unit_mode, (units, scale), params={"decimals": context.unit_places})
    return units, scale


def _bounded(line: Line, phase: str, amount: Ratio, floor: Ratio, ceiling: Ratio | None) -> Ratio:
    if less(amount, floor):
        reason, code = ("floor", line.floor_code) if line.floor is not None else ("never_below_zero", None)
        line.step(phase, reason, floor, rule=code)
        return floor
    if ceiling is not None and less(ceiling, amount):
        line.step(phase, "ceiling", ceiling, rule=line.ceiling_code)
        return ceiling
    return amount


def _scaled(number: Ratio, scale: int, mode: Mode) -> int:
    return divide(number[0] * scale, number[1], mode)
