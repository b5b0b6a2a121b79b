"""The SKUs of a product side by side: what tells them apart, what is in stock, and the price at each quantity."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import Final

import msgspec

from catalog.views import SkuView
from pricing.ladder import Ladder

COLUMNS_MOST: Final = 5


class Row(msgspec.Struct, frozen=True):
    """One SKU. *prices* has one place for each quantity of the table; None where nothing is sold in so few.

    *refusal* says why it has no price at all; *first* is the least quantity that can be ordered.
    """

    sku: SkuView
    prices: tuple[str | None, ...]
    refusal: str | None
    first: str


class Comparison(msgspec.Struct, frozen=True):
    """*shared*: the attributes that all SKUs have in common; *keys*: those that tell them apart, the columns. *groups*:
    rows by the first of these. *further*: some prices change at quantities that have no column.
    """

    shared: dict[str, str]
    keys: tuple[str, ...]
    quantities: tuple[str, ...]
    unit: str
    groups: tuple[tuple[Row, ...], ...]
    further: bool


def compare(items: Sequence[tuple[SkuView, Ladder, str | None]]) -> Comparison:
    """Return the table of at least one SKU."""
    skus = [sku for sku, _, _ in items]
    keys = list(dict.fromkeys(key for sku in skus for key in sku.attributes))
    apart = tuple(key for key in keys if len({sku.attributes.get(key) for sku in skus}) > 1)
    quantities = _columns([ladder for _, ladder, _ in items])
    rows = [
        Row(sku, tuple(_price(ladder, quantity) for quantity in quantities), refusal, _first(ladder))
        for sku, ladder, refusal in items
    ]
    lead = apart[0] if len(apart) > 1 else ""
    groups = groupby(rows, key=lambda row: row.sku.attributes.get(lead))
    return Comparison(
        shared={key: skus[0].attributes[key] for key in keys if key not in apart},
        keys=apart,
        quantities=tuple(str(quantity) for quantity in quantities),
        unit=skus[0].base_unit,
        groups=tuple(tuple(group) for _, group in groups),
        further=any(Decimal(rung.quantity) not in quantities for _, ladder, _ in items for rung in ladder.rungs),
    )


def _columns(ladders: Sequence[Ladder]) -> tuple[Decimal, ...]:
    """The quantities at which most SKUs change their price: a break of a single one stays on its own page."""
    met = Counter(Decimal(rung.quantity) for ladder in ladders for rung in ladder.rungs)
    often = [quantity for quantity, times in met.items() if 2 * times >= len(ladders)]
    kept = sorted(often or met, key=lambda quantity: (-met[quantity], quantity))[:COLUMNS_MOST]
    return tuple(sorted(kept))


def _price(ladder: Ladder, quantity: Decimal) -> str | None:
    return next((rung.each for rung in reversed(ladder.rungs) if Decimal(rung.quantity) <= quantity), None)


def _first(ladder: Ladder) -> str:
    return ladder.rungs[0].quantity if ladder.rungs else "1"
