"""The last unit, wanted by sixteen at once."""

import asyncio

import pytest
import sqlalchemy as sa

from accounts.principal import Principal
from catalog.service import InsufficientStock
from checkout.model import Order
from checkout.views import Review
from kernel.db import for_staff
from tests.checkout.conftest import House, make_member

BUYERS = 16
ROUNDS = 60


@pytest.mark.slow
async def test_the_last_unit_is_sold_once_to_sixteen_buyers_in_sixty_rounds(house: House) -> None:
    buyers = [await make_member(house.database, house.clock, name=f"Buyer{n} S.L.") for n in range(BUYERS)]
    shown = dict(zip(range(BUYERS), [await ready(house, buyer) for buyer in buyers], strict=True))
    for sold in range(1, ROUNDS + 1):
        await stock_one(house)
        given = await asyncio.gather(
            *(house.accept(buyer, shown[number]) for number, buyer in enumerate(buyers)), return_exceptions=True
        )
        winners = [number for number, each in enumerate(given) if isinstance(each, Order)]
        assert len(winners) == 1
        assert sum(isinstance(each, InsufficientStock) for each in given) == BUYERS - 1
        assert await house.stock() == (0, sold, 0)
        shown[winners[0]] = await ready(house, buyers[winners[0]])  # who lost has it in the cart still


async def ready(house: House, buyer: Principal) -> Review:
    await house.fill(buyer, quantity="1")
    await house.details(buyer)
    return await house.review(buyer)


async def stock_one(house: House) -> None:
    async with house.database.begin(for_staff()) as session:
        await session.execute(
            sa.text("update stock set on_hand = 1 where sku_id = (select id from sku where code = 'CRUNCHY-ARMCHAIR')")
        )
