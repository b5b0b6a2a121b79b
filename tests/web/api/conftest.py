"""One shop for all tests that only add keys and orders of their own."""

import os
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from kernel.db import for_staff
from kernel.embedded import EmbeddedServer
from tests.web.conftest import Shop, _cloned, _open


@pytest.fixture(scope="session")
async def partner_shop(server: EmbeddedServer, demo_template: str) -> AsyncIterator[Shop]:
    """A shop whose clock stands still and whose prices stay; partners' keys and orders may be added."""
    with _cloned(server, demo_template, f"shop_partners_{os.getpid()}") as url:
        async with _open(url) as shop:
            async with shop.services.db.begin(for_staff()) as session:
                # many tests order the same goods, and which of them run here is nobody's choice
                await session.execute(sa.text("update stock set on_hand = on_hand + 1000000"))
            yield shop
