"""How the house ends its prices. Amounts here are whole millionths of a currency unit."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Self


class Price(NamedTuple):
    micro: int
    text: str


Ending = Callable[[int], Price]

# below this price ... the step prices end in
_BELOW: Final = (50_000, 1_000_000, 10_000_000, 50_000_000, 200_000_000)
_EURO_STEPS: Final = (500, 5_000, 50_000, 100_000, 500_000, 1_000_000)
_FINE_STEPS: Final = (100, 1_000, 10_000, 50_000, 100_000, 1_000_000)


def euro_price(micro: int) -> Price:
    """0.0135, 0.185, 4.35, 24.90, 118.50, 1250.00."""
    return _price(_nearest(micro, _step(micro, _EURO_STEPS)))


def dollar_price(micro: int) -> Price:
    """0.0155, 0.215, 4.79, 26.49, 131.95, 1374.95."""
    if micro < 1_000_000:
        return euro_price(micro)
    if micro < 10_000_000:
        return _price(_nearest(micro, 100_000) - 10_000)
    if micro < 100_000_000:
        return _price(_nearest(micro, 500_000) - 10_000)
    return _price(_nearest(micro, 1_000_000) - 50_000)


def fine_price(micro: int) -> Price:
    """Negotiated and computed prices keep more digits: 0.0127, 0.171, 4.02, 22.95."""
    return _price(_nearest(micro, _step(micro, _FINE_STEPS)))


def ladder_of(text: str) -> tuple[tuple[int, int], ...]:
    """`"1:0 100:12"` -> ((1, 0), (100, 12)): from, per cent off."""
    return tuple((int(start), int(off)) for start, _, off in (part.partition(":") for part in text.split()))


class Ladder(NamedTuple):
    """Volume tiers `(from, price)`, each cheaper than the one before, in one ending."""

    tiers: tuple[tuple[int, Price], ...]
    ending: Ending

    @classmethod
    def of(cls, base: int, steps: tuple[tuple[int, int], ...], ending: Ending) -> Self:
        return cls(_descending((start, ending(base * (100 - off) // 100)) for start, off in steps), ending)

    def times(self, percent: int, ending: Ending) -> "Ladder":
        return Ladder(_descending((start, ending(price.micro * percent // 100)) for start, price in self.tiers), ending)

    def price_at(self, micro_count: int) -> int:
        """Of one unit when *micro_count* millionths of units are bought."""
        reached = [price.micro for start, price in self.tiers if start * 1_000_000 <= micro_count]
        return reached[-1] if reached else self.tiers[0][1].micro

    @property
    def lowest(self) -> int:
        return self.tiers[-1][1].micro

    @property
    def text(self) -> str:
        return ";".join(f"{start}:{price.text}" for start, price in self.tiers)


def _descending(tiers: Iterable[tuple[int, Price]]) -> tuple[tuple[int, Price], ...]:
    """Without the tiers that an ending made no cheaper than the one before."""
    kept: list[tuple[int, Price]] = []
    for start, price in tiers:
        if not kept or price.micro < kept[-1][1].micro:
            kept.append((start, price))
    return tuple(kept)


def _price(micro: int) -> Price:
    whole, decimals = divmod(micro, 1_000_000)
    return Price(micro, f"{whole}.{f'{decimals:06}'.rstrip('0').ljust(2, '0')}")


def _step(micro: int, steps: tuple[int, ...]) -> int:
    for limit, step in zip(_BELOW, steps, strict=False):
        if micro < limit:
            return step
    return steps[-1]


def _nearest(micro: int, step: int) -> int:
    """At least one step: a price is never nothing."""
    return max((micro + step // 2) // step, 1) * step
