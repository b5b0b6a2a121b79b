"""What a line costs by its quantity, before and after, as curves on one scale. Coordinates only; templates draw."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

WIDTH: Final = 320
HEIGHT: Final = 140
LEFT: Final = 8
RIGHT: Final = 8
TOP: Final = 20
FLOOR: Final = HEIGHT - 22

Point = tuple[str, str]
"""A quantity and what the line of it costs."""


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """*before* and *after* are SVG paths, empty where there is nothing to draw; *most* is what the top stands for,
    *last* the quantity at the right edge. *falls*: the quantities at which more cost less, after.
    """

    width: int
    height: int
    before: str
    after: str
    baseline: str
    most: str
    last: str
    falls: tuple[str, ...]


def curves(before: Sequence[Point], after: Sequence[Point]) -> Curves | None:
    """The curves through the points, quantities ascending, from nothing at the left; None where no point costs."""
    points = [*before, *after]
    last = max((Decimal(quantity) for quantity, _ in points), default=Decimal())
    most = max((Decimal(total) for _, total in points), default=Decimal())
    if not last or not most:
        return None

    def path(sides: Sequence[Point]) -> str:
        placed = [
            (
                LEFT + float(Decimal(quantity) / last) * (WIDTH - LEFT - RIGHT),
                TOP + (1 - float(Decimal(total) / most)) * (FLOOR - TOP),
            )
            for quantity, total in sides
        ]
        return " ".join(f"{'L' if number else 'M'}{x:.1f},{y:.1f}" for number, (x, y) in enumerate(placed))

    return Curves(
        width=WIDTH,
        height=HEIGHT,
        before=path(before),
        after=path(after),
        baseline=f"M{LEFT},{FLOOR} L{WIDTH - RIGHT},{FLOOR}",
        most=f"{most:f}",
        last=f"{last:f}",
        falls=tuple(
            quantity for (_, earlier), (quantity, total) in pairwise(after) if Decimal(total) < Decimal(earlier)
        ),
    )
