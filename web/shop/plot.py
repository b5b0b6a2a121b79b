"""A price ladder as a small plot: unit price by quantity, as steps. Coordinates only; the template draws."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from pricing.ladder import Rung

WIDTH: Final = 320
HEIGHT: Final = 120
LEFT: Final = 8
TOP: Final = 20
BOTTOM: Final = 22
RIGHT: Final = 8


class Mark(msgspec.Struct, frozen=True):
    """A rung's beginning, in the plot's own units."""

    x: str
    y: str
    quantity: str
    each: str
    anchor: str


class Plot(msgspec.Struct, frozen=True):
    """*line* and *area* are SVG paths; quantities stand on a logarithmic axis."""

    width: int
    height: int
    line: str
    area: str
    baseline: str
    marks: tuple[Mark, ...]


def plot(rungs: Sequence[Rung]) -> Plot | None:
    """Return the plot of a ladder, or None where there is only one price to show."""
    if len(rungs) < 2:
        return None
    quantities = [Decimal(rung.quantity) for rung in rungs]
    prices = [Decimal(rung.each) for rung in rungs]
    low, high = math.log10(float(quantities[0])), math.log10(float(quantities[-1]) * 1.6)
    top = float(max(prices))
    bottom = HEIGHT - BOTTOM
    xs = [LEFT + (math.log10(float(q)) - low) / (high - low) * (WIDTH - LEFT - RIGHT) for q in quantities]
    ys = [TOP + (1 - float(p) / top) * (bottom - TOP) if top else bottom for p in prices]
    ends = [*xs[1:], WIDTH - RIGHT]
    steps = " ".join(
        f"{'M' if not i else 'L'}{x:.1f},{y:.1f} L{e:.1f},{y:.1f}"
        for i, (x, y, e) in enumerate(zip(xs, ys, ends, strict=True))
    )
    return Plot(
        width=WIDTH,
        height=HEIGHT,
        line=steps,
        area=f"{steps} L{WIDTH - RIGHT},{bottom} L{LEFT},{bottom} Z",
        baseline=f"M{LEFT},{bottom} L{WIDTH - RIGHT},{bottom}",
        marks=tuple(
            Mark(f"{x:.1f}", f"{y:.1f}", rung.quantity, rung.each, "start" if i < len(rungs) - 1 else "end")
            for i, (x, y, rung) in enumerate(zip(xs, ys, rungs, strict=True))
        ),
    )
