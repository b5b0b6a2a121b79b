"""kill -9 of the process that sends webhooks, wherever it is: no message is lost, and none is told otherwise."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from accounts.webhooks.events import EventType
from accounts.webhooks.model import MessageState, WebhookMessage
from kernel.db import for_staff
from kernel.failpoints import VARIABLE, registered
from tests.conftest import ROOT
from tests.receiver import Receiver, receiving
from tests.web.api.partners import ACME, key_of
from tests.web.api.test_feed_delta import flat, publish
from tests.web.conftest import Shop, _open, demo_database_url, demo_template
from web.price_news import TELL

__all__ = ["demo_database_url", "demo_template"]

PROGRAM = """
import asyncio, sys
from datetime import datetime
from kernel.clock import FixedClock
from tests.web.conftest import FAST_PASSWORDS, demo_settings
from web.services import build

async def main(url, now, act, *what):
    settings = demo_settings(url, WEBHOOKS_TO_LOOPBACK="on")
    services = build(settings, clock=FixedClock(datetime.fromisoformat(now)), passwords=FAST_PASSWORDS)
    await services.books.refresh()
    acts = {"send": services.deliveries.send, "sweep": services.deliveries.sweep, "tell": services.price_news.sweep}
    await acts[act](*what, *([1] if what else []))

asyncio.run(main(*sys.argv[1:]))
"""
SENDING = [*registered("webhooks.record"), *registered("webhooks.send")]
SWEEPING = registered("webhooks.sweep")
TELLING = registered(TELL.name)


def test_every_place_is_tried() -> None:
    assert {*SENDING, *SWEEPING, *TELLING} == set(registered("webhooks."))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def shop(demo_database_url: str) -> AsyncIterator[Shop]:
    async with _open(demo_database_url, WEBHOOKS_TO_LOOPBACK="on") as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("place", SENDING)
async def test_killed_while_sending_the_message_comes_again_as_it_was(
    shop: Shop, receiver: Receiver, demo_database_url: str, place: str
) -> None:
    message = await a_message(shop, receiver)
    await die(demo_database_url, shop, place, "send", str(message.id))
    came_before = len(receiver.received)
    await recover(shop)

    assert {each.body for each in receiver.received} == {message.body}
    assert {each.id for each in receiver.received} == {str(message.id)}
    assert came_before == (0 if place.endswith("before_call") else 1)
    assert len(receiver.received) == (1 if place.endswith(("before_call", "after_commit")) else 2)
    assert await states(shop) == [MessageState.DELIVERED]


@pytest.mark.slow
@pytest.mark.parametrize("place", SWEEPING)
async def test_killed_while_making_up_for_lost_jobs_nothing_stays_lost(
    shop: Shop, receiver: Receiver, demo_database_url: str, place: str
) -> None:
    await a_message(shop, receiver)
    async with shop.services.db.begin(for_staff()) as session:
        await session.execute(sa.text("delete from procrastinate_jobs"))
    shop.clock.advance(minutes=6)
    await die(demo_database_url, shop, place, "sweep")
    await recover(shop)

    assert len(receiver.received) == 1
    assert await states(shop) == [MessageState.DELIVERED]


@pytest.mark.slow
@pytest.mark.parametrize("place", TELLING)
async def test_killed_while_telling_of_prices_it_is_told_once(
    shop: Shop, receiver: Receiver, demo_database_url: str, place: str
) -> None:
    await listen(shop, receiver, [EventType.PRICE_BOOK_PUBLISHED, EventType.PRICE_CHANGED])
    await publish(shop, ("row", ("PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", ""), flat("260")))
    await die(demo_database_url, shop, place, "tell")
    await shop.services.price_news.sweep()
    await recover(shop)

    assert sorted(str(each.type) for each in receiver.received) == ["price.changed", "price_book.published"]


async def listen(shop: Shop, receiver: Receiver, event_types: list[EventType]) -> str:
    partner = await shop.services.api_keys.authenticate_key(await key_of(shop, ACME))
    endpoint, _ = await shop.services.webhooks.create(partner, url=receiver.url, event_types=event_types)
    return str(endpoint.id)


async def a_message(shop: Shop, receiver: Receiver) -> WebhookMessage:
    partner = await shop.services.api_keys.authenticate_key(await key_of(shop, ACME))
    webhooks = shop.services.webhooks
    endpoint, _ = await webhooks.create(partner, url=receiver.url, event_types=[EventType.ORDER_PAID])
    return await webhooks.send_test(partner, endpoint.id)


async def die(url: str, shop: Shop, place: str, *act: str) -> None:
    """Have another process do *act* and die at *place*."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        url,
        shop.clock.now().isoformat(),
        *act,
        cwd=ROOT,
        env=os.environ | {VARIABLE: place},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


async def recover(shop: Shop) -> None:
    """What another worker does within some minutes."""
    shop.clock.advance(minutes=6)
    await shop.services.deliveries.sweep()
    await shop.services.jobs.run_pending()


async def states(shop: Shop) -> list[MessageState]:
    async with shop.services.db.begin(for_staff()) as session:
        return list(await session.scalars(sa.select(WebhookMessage.state)))
