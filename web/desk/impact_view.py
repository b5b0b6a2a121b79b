"""An impact as its page shows it: amounts in money, the largest movers of each kind by name, bars to draw.

Amounts are rounded to the currency's decimals here; the files beside the page have all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from kernel.money import Mode, Money, divide, exponent
from pricing.impact import Block, Figures, Group, Step
from pricing.impact_csv import percent

MOVERS: Final = 8
"""Of each direction; the files have all."""
STEP_WIDTH: Final = 52
STEP_GAP: Final = 4
STEP_HEIGHT: Final = 120
STEP_TOP: Final = 18
STEP_BOTTOM: Final = 22
ROW_HEIGHT: Final = 22
ROW_BAR: Final = 14
HALF_WIDTH: Final = 150

_Part = Callable[[Figures], tuple[int, int]]
"""Amount and lines."""
Name = Callable[[str], str]
"""What a code is called; empty where nobody knows."""


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table of totals; *change* and *percent* are signed."""

    label: str
    before: Money
    after: Money
    change: Money
    percent: Decimal | None


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """A company, category or SKU; *others*: how many this line stands for, 0 for one by its name. *bar*: where its bar
    begins and how long it is, of those that are drawn.
    """

    key: str
    name: str
    others: int
    lines: int
    before: Money
    after: Money
    change: Money
    percent: Decimal | None
    margin_before: Decimal | None
    margin_after: Decimal | None
    bar: tuple[int, int] = (0, 0)

    @property
    def dearer(self) -> bool:
        return self.change.minor > 0


class Movers(msgspec.Struct, frozen=True, kw_only=True):
    """*dearer*, *cheaper*: how many of all pay more or less. *height*: of the drawing of those named."""

    rows: tuple[Mover, ...]
    dearer: int
    cheaper: int
    all: int
    height: int

    @property
    def drawn(self) -> tuple[Mover, ...]:
        return tuple(row for row in self.rows if not row.others and row.change.minor)


class StepBar(msgspec.Struct, frozen=True, kw_only=True):
    """How many lines changed so far, with the bar's corner and size. *middle*: below which its label stands."""

    falls: bool
    low: int
    high: int | None
    lines: int
    before: Money
    after: Money
    x: int
    y: int
    height: int
    middle: int

    @property
    def same(self) -> bool:
        return not self.low and self.high == 0


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """SKUs with the most that only one of the books prices."""

    key: str
    name: str
    lines: int
    amount: Money


class ShownBlock(msgspec.Struct, frozen=True, kw_only=True):
    currency: str
    total: Figures
    revenue: Amounts
    both: Amounts
    margin: Amounts
    cost: Money
    lost: Money
    gained: Money
    margin_before: Decimal | None
    margin_after: Decimal | None
    companies: Movers
    categories: Movers
    skus: Movers
    steps: tuple[StepBar, ...]
    steps_width: int
    steps_height: int
    lost_skus: tuple[Lost, ...]
    gained_skus: tuple[Lost, ...]


def shown(block: Block, names: Mapping[str, Name]) -> ShownBlock:
    """*names*: of `companies`, `categories` and `skus`."""
    money, total = _money_of(block), block.total
    return ShownBlock(
        currency=block.currency,
        total=total,
        revenue=_amounts("revenue", total.revenue_before, total.revenue_after, money),
        both=_amounts("both", total.before, total.after, money),
        margin=_amounts("margin", total.margin_before, total.margin_after, money),
        cost=money(total.cost),
        lost=money(total.lost_amount),
        gained=money(total.gained_amount),
        margin_before=percent(total.margin_before, total.costed_before),
        margin_after=percent(total.margin_after, total.costed_after),
        companies=_movers(block.companies, names["companies"], money),
        categories=_movers(block.categories, names["categories"], money),
        skus=_movers(block.skus, names["skus"], money),
        steps=_steps(block.steps, money),
        steps_width=len(block.steps) * STEP_WIDTH,
        steps_height=STEP_HEIGHT,
        lost_skus=_lost(block.skus, _of_lost, names["skus"], money),
        gained_skus=_lost(block.skus, _of_gained, names["skus"], money),
    )


def skus_named(block: Block) -> list[str]:
    """The SKUs that the page names, whose names are to be looked up."""
    up, down, _ = _split(block.skus)
    named = [group.key for group in (*up, *down)]
    for of in (_of_lost, _of_gained):
        named += [group.key for group in _largest(block.skus, of)]
    return named


def _money_of(block: Block) -> Callable[[int], Money]:
    finer = block.decimals - exponent(block.currency)
    scale = 10 ** abs(finer)

    def money(amount: int) -> Money:
        minor = divide(amount, scale, Mode.HALF_UP) if finer > 0 else amount * scale
        return Money(minor, block.currency)

    return money


def _amounts(label: str, before: int, after: int, money: Callable[[int], Money]) -> Amounts:
    return Amounts(
        label=label,
        before=money(before),
        after=money(after),
        change=money(after - before),
        percent=percent(after - before, before) if before > 0 else None,
    )


def _split(groups: Sequence[Group]) -> tuple[list[Group], list[Group], list[Group]]:
    """Those that rise most, those that fall most, and the others."""
    moved = sorted(groups, key=lambda group: (-group.figures.change, group.key))
    up = [group for group in moved if group.figures.change > 0][:MOVERS]
    down = [group for group in reversed(moved) if group.figures.change < 0][:MOVERS]
    named = {group.key for group in (*up, *down)}
    return up, down, [group for group in groups if group.key not in named]


def _movers(groups: Sequence[Group], name: Name, money: Callable[[int], Money]) -> Movers:
    up, down, others = _split(groups)
    largest = max((abs(group.figures.change) for group in (*up, *down)), default=0)
    rows = [_mover([group], name, money, largest) for group in (*up, *reversed(down))]
    if others:
        rows.append(_mover(others, name, money, 0))
    return Movers(
        rows=tuple(rows),
        dearer=sum(group.figures.change > 0 for group in groups),
        cheaper=sum(group.figures.change < 0 for group in groups),
        all=len(groups),
        height=ROW_HEIGHT * (len(up) + len(down)),
    )


def _mover(groups: Sequence[Group], name: Name, money: Callable[[int], Money], largest: int) -> Mover:
    """*largest*: the change whose bar is the longest; 0: the groups are the others, and have none."""
    found = [group.figures for group in groups]
    before, after = sum(each.before for each in found), sum(each.after for each in found)
    costed_before, costed_after = sum(each.costed_before for each in found), sum(each.costed_after for each in found)
    cost = sum(each.cost for each in found)
    length = -(-abs(after - before) * HALF_WIDTH // largest) if largest else 0
    return Mover(
        key=groups[0].key if largest else "",
        name=name(groups[0].key) if largest else "",
        others=0 if largest else len(groups),
        lines=sum(each.lines for each in found),
        before=money(before),
        after=money(after),
        change=money(after - before),
        percent=percent(after - before, before),
        margin_before=percent(costed_before - cost, costed_before),
        margin_after=percent(costed_after - cost, costed_after),
        bar=(HALF_WIDTH if after > before else HALF_WIDTH - length, length),
    )


def _steps(steps: Sequence[Step], money: Callable[[int], Money]) -> tuple[StepBar, ...]:
    most = max((step.lines for step in steps), default=0) or 1
    room = STEP_HEIGHT - STEP_TOP - STEP_BOTTOM
    bars = []
    for number, step in enumerate(steps):
        height = -(-step.lines * room // most)
        bars.append(
            StepBar(
                falls=step.falls,
                low=step.low,
                high=step.high,
                lines=step.lines,
                before=money(step.before),
                after=money(step.after),
                x=number * STEP_WIDTH + STEP_GAP,
                y=STEP_HEIGHT - STEP_BOTTOM - height,
                height=height,
                middle=number * STEP_WIDTH + STEP_WIDTH // 2,
            )
        )
    return tuple(bars)


def _lost(groups: Sequence[Group], of: _Part, name: Name, money: Callable[[int], Money]) -> tuple[Lost, ...]:
    return tuple(
        Lost(key=group.key, name=name(group.key), lines=of(group.figures)[1], amount=money(of(group.figures)[0]))
        for group in _largest(groups, of)
    )


def _largest(groups: Sequence[Group], of: _Part) -> list[Group]:
    found = [group for group in groups if of(group.figures)[1]]
    return sorted(found, key=lambda group: (*(-number for number in of(group.figures)), group.key))[:MOVERS]


def _of_lost(figures: Figures) -> tuple[int, int]:
    return figures.lost_amount, figures.lost


def _of_gained(figures: Figures) -> tuple[int, int]:
    return figures.gained_amount, figures.gained
