"""A price ladder as a small plot: unit price by quantity, as steps. Coordinates only; the template draws."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from pricing.ladder import Rung

WIDTH: Final = 320
HEIGHT: Final = 120
LEFT: Final = 8
TOP: Final = 20
BOTTOM: Final = 22
RIGHT: Final = 8
CHARACTER: Final = 6.5  # width of a figure of the labels
FLOOR: Final = HEIGHT - BOTTOM


class Mark(msgspec.Struct, frozen=True):
    """A rung's beginning, in the plot's own units."""

    x: str
    y: str
    quantity: str
    each: str
    label: bool
    """Whether there is room to write its quantity."""


class Plot(msgspec.Struct, frozen=True):
    """*line* and *area* are SVG paths; quantities stand on a logarithmic axis."""

    width: int
    height: int
    line: str
    area: str
    baseline: str
    marks: tuple[Mark, ...]
    here: tuple[str, str] | None
    """Where the quantity asked for stands."""


class _Scale(NamedTuple):
    """Logarithms of the first and last quantity shown, and the highest price."""

    low: float
    high: float
    top: float

    def x(self, quantity: str) -> float:
        return LEFT + (math.log10(float(quantity)) - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def y(self, each: str) -> float:
        return TOP + (1 - float(each) / self.top) * (FLOOR - TOP) if self.top else FLOOR


def plot(rungs: Sequence[Rung], quantity: str | None = None) -> Plot | None:
    """Return the plot of a ladder, or None where there is only one price to show. *quantity* is marked on it."""
    return None if len(rungs) < 2 else _drawn(rungs, _scale(rungs, quantity), quantity)


def plots(before: Sequence[Rung], after: Sequence[Rung]) -> tuple[Plot | None, Plot | None]:
    """Return two ladders drawn on one scale, to be laid over each other; None for one without prices."""
    if not before and not after:
        return None, None
    scale = _scale([*before, *after])
    return _drawn(before, scale) if before else None, _drawn(after, scale) if after else None


def _scale(rungs: Sequence[Rung], quantity: str | None = None) -> _Scale:
    quantities = [float(rung.quantity) for rung in rungs]
    last = max(max(quantities) * 1.6, float(quantity or 0))
    return _Scale(math.log10(min(quantities)), math.log10(last), max(float(rung.each) for rung in rungs))


def _drawn(rungs: Sequence[Rung], scale: _Scale, quantity: str | None = None) -> Plot:
    xs = [scale.x(rung.quantity) for rung in rungs]
    ys = [scale.y(rung.each) for rung in rungs]
    ends = [*xs[1:], WIDTH - RIGHT]
    steps = " ".join(
        f"{'M' if not i else 'L'}{x:.1f},{y:.1f} L{e:.1f},{y:.1f}"
        for i, (x, y, e) in enumerate(zip(xs, ys, ends, strict=True))
    )
    here = None
    if quantity is not None and float(quantity) >= float(rungs[0].quantity):
        reached = max(i for i, rung in enumerate(rungs) if float(rung.quantity) <= float(quantity))
        here = (f"{scale.x(quantity):.1f}", f"{ys[reached]:.1f}")
    return Plot(
        width=WIDTH,
        height=HEIGHT,
        line=steps,
        area=f"{steps} L{WIDTH - RIGHT},{FLOOR} L{xs[0]:.1f},{FLOOR} Z",
        baseline=f"M{LEFT},{FLOOR} L{WIDTH - RIGHT},{FLOOR}",
        marks=tuple(
            Mark(f"{x:.1f}", f"{y:.1f}", rung.quantity, rung.each, roomy)
            for x, y, rung, roomy in zip(xs, ys, rungs, _with_room(xs, rungs), strict=True)
        ),
        here=here,
    )


def _with_room(xs: Sequence[float], rungs: Sequence[Rung]) -> list[bool]:
    """Say for each rung whether its quantity fits behind the one written before it."""
    room, free = [], -1.0
    for x, rung in zip(xs, rungs, strict=True):
        width = CHARACTER * (len(rung.quantity) + 1)
        room.append(free <= x <= WIDTH - width)
        if room[-1]:
            free = x + width
    return room
