"""Phases 4 to 10: adjustments, bounds and rounding of one line."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from kernel.money import Mode, divide, ratio
from pricing.engine.line import (
    NO_PARAMS,
    ZERO,
    Context,
    Line,
    Refusal,
    instant_text,
    less,
    minus,
    over,
    plus,
    same,
    text,
    times,
)
from pricing.engine.rules import Kind, Ratio, ReadyBound, Rule, Stage

State = TypeVar("State")
Apply = Callable[[Rule, State, State], State]


class Loss(NamedTuple):
    """Why a rule does not act; *from_quantity*: it would from this counted quantity on."""

    reason: str
    params: dict[str, str]
    from_quantity: Ratio | None = None


def to_extended(line: Line, context: Context) -> None:
    """Phases 4 to 7: unit layers, unit bounds, unit rounding, unit x quantity + fee.

    :raises Refusal: when a bound does not cover the line's currency
    """
    assert line.entry is not None
    line.step(
        "price",
        "list_price" if line.unit_price is not None else "list_amount",
        None,
        line.amount if line.unit_price is None else line.unit_price,
        rule=line.price_list.code,
        titles=line.price_list.titles,
    )
    unit_layers = line.matched[0]
    if unit_layers:
        running = line.amount if line.unit_price is None else line.unit_price
        for stage, rules in unit_layers:
            running = _run_layer(line, context, "unit", context.rules.stages[0][stage], rules, running)
        if line.unit_price is None:
            line.amount = running
        else:
            line.unit_price = running
    _set_bounds(line, context)
    if line.unit_price is not None:
        _bound_and_round_unit(line, context)
        line.amount = times(line.unit_price, line.row_quantity)
    extended = plus(line.amount, line.fee) if line.fee[0] else line.amount
    if line.unit_price is not None:
        params = {"quantity": text(line.row_quantity)}
        if line.fee[0]:
            params["fee"] = text(line.fee)
        line.step("extend", "times_quantity", line.unit_price, extended, params=params)
    elif line.fee[0]:
        line.step("extend", "plus_fee", line.amount, extended, params={"fee": text(line.fee)})
    line.amount = extended
    line.net_extended = over(extended, plus((1, 1), line.rate)) if line.price_list.tax_included else extended


def to_rounded(line: Line, context: Context) -> None:
    """Phases 8 to 10: line layers, line bounds, line rounding.

    :raises Refusal: when the amount is beyond what we write
    """
    running = line.amount
    if line.quantity[0]:
        for stage, rules in line.matched[1]:
            running = _run_layer(line, context, "line", context.rules.stages[1][stage], rules, running)
    scale, mode = context.line_scale, context.line_mode
    line.floor_units, line.ceiling_units = 0, None
    if line.floor is not None:
        line.floor_units = _scaled(plus(times(line.floor, line.row_quantity), line.fee), scale, Mode.CEILING)
    if line.ceiling is not None:
        top = _scaled(plus(times(line.ceiling, line.row_quantity), line.fee), scale, Mode.FLOOR)
        line.ceiling_units = max(top, line.floor_units)
    running = _bounded(line, "line_bound", running, (line.floor_units, scale), _ceiling_of(line, scale))
    line.amount_units = line.order_units = divide(running[0] * scale, running[1], mode)
    if line.amount_units > context.line_limit:
        raise Refusal("amount_too_large")
    rounded = line.amount_units, scale
    if not same(rounded, running):
        line.step("round_line", mode, running, rounded, params={"decimals": str(context.line_places)})


def obstacle(rule: Rule, line: Line, context: Context) -> Loss | None:
    """Why the rule does not act on this line now; None when it does."""
    loss = blocked(rule, context, line)
    if loss is not None:
        return loss
    if rule.kind is Kind.TABLE and _table_factor(rule, line) is None:
        begin = rule.table[-1][0]
        return Loss("needs_quantity", {"quantity": text(begin)}, begin)
    if rule.kind is Kind.BUY_GET and not _sets(rule, line):
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
    if reason == "other_currency":
        return None if context.currency in bound else Loss(reason, {"currencies": said})
    if reason == "other_country":
        return None if context.buyer.country in bound else Loss(reason, {"countries": said})
    if reason.endswith("quantity"):
        assert line is not None
        if not _fails(reason, line.counted, bound):
            return None
        return Loss(reason, {"quantity": said}, bound if reason == "needs_quantity" else None)
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
    for group, in_group in groupby(able, key=lambda rule: rule.group):
        members = list(in_group)
        base = entry if stage.summed else running
        pool = members if stage.by_lowest[group] else [one for one in members if one.priority == members[0].priority]
        winner, after = _cheapest(pool, base, running, apply, cheaper)
        beaten.extend((member, winner) for member in members if member is not winner)
        chosen.append((winner, running, after))
        running = after
    if exclusive:
        alone, after = _cheapest(exclusive, entry, entry, apply, cheaper)
        if not chosen or cheaper(after, running):
            beaten.extend((rule, alone) for rule, _, _ in chosen)
            chosen, running = [(alone, entry, after)], after
        beaten.extend((rule, chosen[-1][0]) for rule in exclusive if rule is not chosen[-1][0])
    return running, chosen, beaten


def _run_layer(line: Line, context: Context, phase: str, stage: Stage, rules: Sequence[Rule], entry: Ratio) -> Ratio:
    able, exclusive = _able(line, context, phase, rules)
    if len(able) == 1 and not exclusive:  # by far the most frequent case
        rule = able[0]
        after = _effect(rule, line, entry)
        line.step(phase, rule.reason, entry, after, rule=rule.code, titles=rule.titles, params=rule.params)
        return after
    if not able and not exclusive:
        return entry

    def apply(rule: Rule, base: Ratio, running: Ratio) -> Ratio:
        after = _effect(rule, line, base)
        return after if base is running else plus(running, minus(after, base))

    running, chosen, beaten = resolve(stage, able, sorted(exclusive, key=lambda rule: rule.code), entry, apply, less)
    for rule, before, after in chosen:
        line.step(phase, rule.reason, before, after, rule=rule.code, titles=rule.titles, params=rule.params)
    for rule, winner in beaten:
        line.loses(phase, rule.code, rule.titles, "beaten", {"by": winner.code})
    return running


def _able(line: Line, context: Context, phase: str, rules: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """The rules that act on the line, and the exclusive ones among them apart; the others are noted as losers."""
    able: list[Rule] = []
    exclusive: list[Rule] = []
    for rule in rules:
        _note_edges(rule, line, context)
        loss = obstacle(rule, line, context)
        if loss is None and phase == "unit" and line.unit_price is None and rule.kind in {Kind.AMOUNT, Kind.FIXED}:
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
    if rule.starts_at is not None and context.at < rule.starts_at:
        line.turn(rule.starts_at)
    elif rule.ends_at is not None and context.at < rule.ends_at:
        line.turn(rule.ends_at)


def _fails(reason: str, value: Ratio, bound: Ratio) -> bool:
    return less(value, bound) if reason.startswith("needs") else less(bound, value)


def _effect(rule: Rule, line: Line, base: Ratio) -> Ratio:
    if rule.kind is Kind.FACTOR:
        return times(base, rule.factor)
    if rule.kind is Kind.AMOUNT:
        return plus(base, times(rule.amount, line.factor) if rule.level == "unit" else rule.amount)
    if rule.kind is Kind.FIXED:
        return times(rule.amount, line.factor)
    if rule.kind is Kind.TABLE:
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
    line.floor = line.ceiling = None
    line.floor_code = line.ceiling_code = None
    assert line.entry is not None
    for bound in context.rules.bounds_for(line.entry.facts):
        price = times(_bound_price(bound, line, context), line.factor)
        if line.price_list.tax_included:
            price = times(price, plus((1, 1), line.rate))
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


def _bound_and_round_unit(line: Line, context: Context) -> None:
    """Phases 5 and 6. The bounds are rounded inward first, so that rounding the price cannot leave them."""
    assert line.unit_price is not None
    scale, rounds = context.unit_scale, context.policy.round_unit
    floor, ceiling = line.floor, line.ceiling
    if floor is not None and rounds:
        floor = _scaled(floor, scale, Mode.CEILING), scale
    if ceiling is not None and rounds:
        ceiling = _scaled(ceiling, scale, Mode.FLOOR), scale
    if floor is not None and ceiling is not None and less(ceiling, floor):
        ceiling = floor
    unit = _bounded(line, "bound", line.unit_price, floor or ZERO, ceiling)
    if rounds and scale % unit[1]:
        before, unit = unit, (_scaled(unit, scale, context.unit_mode), scale)
        if not same(before, unit):
            params = {"decimals": str(len(str(scale)) - 1)}
            line.step("round_unit", context.unit_mode, before, unit, params=params)
    line.unit_price = unit


def _bounded(line: Line, phase: str, amount: Ratio, floor: Ratio, ceiling: Ratio | None) -> Ratio:
    if less(amount, floor):
        reason, code = ("floor", line.floor_code) if line.floor is not None else ("never_below_zero", None)
        line.step(phase, reason, amount, floor, rule=code)
        return floor
    if ceiling is not None and less(ceiling, amount):
        line.step(phase, "ceiling", amount, ceiling, rule=line.ceiling_code)
        return ceiling
    return amount


def _ceiling_of(line: Line, scale: int) -> Ratio | None:
    return None if line.ceiling_units is None else (line.ceiling_units, scale)


def _scaled(number: Ratio, scale: int, mode: Mode) -> int:
    return divide(number[0] * scale, number[1], mode)
