"""Phase 11: adjustments of the whole order, spread over its lines."""

from collections.abc import Sequence

from kernel.money import divide, fixed, largest_remainder
from pricing.engine.adjust import blocked, resolve
from pricing.engine.line import Context, Line
from pricing.engine.request import Loser, Step
from pricing.engine.rules import AMOUNT, Rule

Amounts = tuple[int, ...]

_NO_CEILING = 10**60


def adjust_order(lines: Sequence[Line], context: Context) -> tuple[list[Step], list[Loser]]:
    """Run the order layers over *lines*, none of them refused; sets each line's `order_units`."""
    if not any(line.matched.order for line in lines):
        return [], []
    ordered = sorted(lines, key=lambda line: (line.sku, line.unit or ""))
    members: dict[str, list[int]] = {}
    rules: dict[str, Rule] = {}
    for position, line in enumerate(ordered):
        for _, of_layer in line.matched.order:
            for rule in of_layer:
                rules[rule.code] = rule
                members.setdefault(rule.code, []).append(position)
    order = _Order(ordered, context, members)
    for stage in sorted({rule.layer for rule in rules.values()}):
        of_stage = sorted(
            (rule for rule in rules.values() if rule.layer == stage),
            key=lambda rule: (rule.group, -rule.priority, rule.code),
        )
        order.run(stage, of_stage)
    return order.steps, order.losers


class _Order:
    """The lines' amounts, in the policy's line decimals, while the order layers run."""

    def __init__(self, lines: Sequence[Line], context: Context, members: dict[str, list[int]]) -> None:
        self.lines = lines
        self.context = context
        self.members = members
        self.steps: list[Step] = []
        self.losers: list[Loser] = []

    def run(self, stage: int, rules: Sequence[Rule]) -> None:
        able: list[Rule] = []
        exclusive: list[Rule] = []
        for rule in rules:
            self._note_edges(rule)
            loss = blocked(rule, self.context, None)
            if loss is not None:
                self._loses(rule, loss.reason, loss.params)
            else:
                (exclusive if rule.exclusive else able).append(rule)
        entry: Amounts = tuple(line.order_units for line in self.lines)
        layer = self.context.rules.stages[2][stage]
        _, chosen, beaten = resolve(layer, able, exclusive, entry, self._apply, _cheaper)
        for rule, before, after in chosen:
            self._record(rule, entry if layer.summed else before, before, after)
        for rule, winner in beaten:
            self._loses(rule, "beaten", {"by": winner.code})

    def _apply(self, rule: Rule, base: Amounts, running: Amounts) -> Amounts:
        return self._spread(self._change(rule, base), self.members[rule.code], running)

    def _change(self, rule: Rule, base: Amounts) -> int:
        """What the rule adds to the lines in its scope, rounded like a line."""
        mode, scale = self.context.line_mode, self.context.line_scale
        if rule.kind is AMOUNT:
            return divide(rule.amount[0] * scale, rule.amount[1], mode)
        number, denominator = rule.factor
        total = sum(base[position] for position in self.members[rule.code])
        return divide(total * (number - denominator), denominator, mode)

    def _spread(self, change: int, positions: Sequence[int], running: Amounts) -> Amounts:
        """By largest remainder in proportion to the amounts. A line stops at its floor (a surcharge at its ceiling),
        the others take over, and what nobody can take is dropped.
        """
        amounts = list(running)
        open_positions = [position for position in positions if self._room(position, amounts, change)]
        while change and open_positions:
            shares = largest_remainder(change, [running[position] for position in open_positions])
            left = 0
            for position, share in zip(open_positions, shares, strict=True):
                room = self._room(position, amounts, share)
                taken = max(-room, min(room, share))
                amounts[position] += taken
                left += share - taken
            change = left  # smaller each time: a share of an open line is taken at least in part
            open_positions = [position for position in open_positions if self._room(position, amounts, change)]
        return tuple(amounts)

    def _room(self, position: int, amounts: Sequence[int], change: int) -> int:
        """How far the line can go in the direction of *change*."""
        line = self.lines[position]
        if change < 0:
            return amounts[position] - line.floor_units
        return _NO_CEILING if line.ceiling_units is None else line.ceiling_units - amounts[position]

    def _record(self, rule: Rule, base: Amounts, before: Amounts, after: Amounts) -> None:
        """*base*: what the rule was judged on."""
        places = self.context.line_places
        for position, line in enumerate(self.lines):
            if before[position] != after[position]:
                scale = self.context.line_scale
                line.step(
                    "order",
                    rule.reason,
                    (after[position], scale),
                    rule=rule.code,
                    titles=rule.titles,
                    params=rule.params,
                )
                line.order_units = after[position]
        asked = self._change(rule, base)
        dropped = asked - (sum(after) - sum(before))
        params = {**rule.params, "dropped": fixed(abs(dropped), places)} if dropped else rule.params
        self.steps.append(
            Step(
                phase="order",
                reason=rule.reason,
                rule=rule.code,
                titles=rule.titles,
                before=fixed(sum(before), places),
                after=fixed(sum(after), places),
                params=params,
            )
        )

    def _loses(self, rule: Rule, reason: str, params: dict[str, str]) -> None:
        self.losers.append(Loser(phase="order", rule=rule.code, titles=rule.titles, reason=reason, params=params))

    def _note_edges(self, rule: Rule) -> None:
        for instant in (rule.starts_at, rule.ends_at):
            if instant is not None and self.context.at < instant:
                for position in self.members[rule.code]:
                    self.lines[position].turn(instant)


def _cheaper(one: Amounts, other: Amounts) -> bool:
    return sum(one) < sum(other)
