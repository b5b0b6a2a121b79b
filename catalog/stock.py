"""Stock moves within an order's own transaction. Rows are locked in the order of SKU ids, so that two orders over the
same SKUs queue instead of blocking each other for ever.
"""

import uuid
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from catalog import store
from kernel.errors import Conflict


class Shortage(msgspec.Struct, frozen=True):
    """A SKU that has less than was asked for, in base units."""

    sku: str
    asked: Decimal
    available: Decimal


class InsufficientStock(Conflict):
    problem = "insufficient-stock"
    title = "There is not enough in stock"

    def __init__(self, lines: tuple[Shortage, ...]) -> None:
        self.lines = lines
        said = "; ".join(f"{line.sku}: {line.available:f} left, {line.asked:f} asked for" for line in lines)
        super().__init__(
            f"Not enough in stock ({said}).",
            lines=[{"sku": line.sku, "asked": f"{line.asked:f}", "available": f"{line.available:f}"} for line in lines],
        )


class UnknownStock(Conflict):
    """A move that the reservations do not cover: a fault of the caller, never of a buyer."""

    problem = "stock-move-impossible"
    title = "More was to be moved than is reserved"


async def reserve(session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
    """Move base units from on hand to reserved.

    :raises InsufficientStock: naming every SKU that has too little; nothing is moved
    """
    _check(quantities)
    stock = {row.sku_id: row for row in await store.lock_stock(session, quantities)}
    shortages = [
        Shortage(row.code if row else str(sku_id), asked, row.on_hand if row else Decimal(0))
        for sku_id, asked in quantities.items()
        if (row := stock.get(sku_id)) is None or row.on_hand < asked
    ]
    if shortages:
        raise InsufficientStock(tuple(sorted(shortages, key=lambda line: line.sku)))
    await store.move_stock(session, quantities, on_hand=-1, reserved=1)


async def sell(session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
    """Move base units from reserved to sold.

    :raises UnknownStock: when less is reserved; nothing is moved
    """
    await _lock_reserved(session, quantities)
    await store.move_stock(session, quantities, reserved=-1, sold=1)


async def release(session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
    """Move base units from reserved back to on hand.

    :raises UnknownStock: when less is reserved; nothing is moved
    """
    await _lock_reserved(session, quantities)
    await store.move_stock(session, quantities, reserved=-1, on_hand=1)


async def take_back(session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
    """Move base units from sold back to on hand: a paid order is cancelled.

    :raises UnknownStock: when less was sold; nothing is moved
    """
    _check(quantities)
    sold = {row.sku_id: row.sold for row in await store.lock_stock(session, quantities)}
    if any(sold.get(sku, Decimal(0)) < quantity for sku, quantity in quantities.items()):
        raise UnknownStock("These base units were not sold: they were taken back before.")
    await store.move_stock(session, quantities, sold=-1, on_hand=1)


async def _lock_reserved(session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
    _check(quantities)
    reserved = {row.sku_id: row.reserved for row in await store.lock_stock(session, quantities)}
    if any(reserved.get(sku, Decimal(0)) < quantity for sku, quantity in quantities.items()):
        raise UnknownStock("These base units are not reserved: the order was settled or released before.")


def _check(quantities: Mapping[uuid.UUID, Decimal]) -> None:
    # a finer quantity would be rounded by its column, and the sum of the three counts would drift
    for quantity in quantities.values():
        assert quantity.is_finite(), "stock moves are numbers"
        assert quantity > 0, "stock moves are positive"
        assert quantity == round(quantity, 6), "stock is counted to 6 decimals"
