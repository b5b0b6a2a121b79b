"""The shop of the web's tests, with one order, served over HTTP as in production."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import msgspec
import pytest
import uvicorn

from kernel.clock import FixedClock
from kernel.embedded import EmbeddedServer
from tests.conftest import NOW
from tests.contract.known import Known
from tests.web.api.desks import CHIEF, CLERK, begin, make_chief, ok, ready, reprice, staff_key
from tests.web.api.partners import ACME, GLOBEX, Program, endpoint_of, framework_of, key_of, order_of
from tests.web.conftest import (
    FAST_PASSWORDS,
    Shop,
    _cloned,
    _open,
    demo_database_url,
    demo_settings,
    demo_template,
    shop,
)
from web.app import create_app
from web.services import build

__all__ = ["demo_database_url", "demo_template", "shop"]


class Partners(msgspec.Struct):
    """A shop in which Acme and Globex have a key with all scopes and an order each, and the desk's people keys too."""

    shop: Shop
    keys: dict[str, str]
    orders: dict[str, str]
    endpoint: str
    """Acme's, and a message of it."""
    message: str
    drafts: list[str]
    """The clerk's, each with a price that jumps: to read, change, submit, approve, return, discuss; closed; ready."""
    finding: str
    """The digest of a warning of theirs."""
    framework: str
    """Acme's framework agreement."""


class Served(msgspec.Struct):
    url: str
    keys: dict[str, str]
    orders: dict[str, str]
    known: Known
    """What Acme could name."""
    clock: FixedClock


@pytest.fixture(scope="session")
async def partners(server: EmbeddedServer, demo_template: str) -> AsyncIterator[Partners]:
    with _cloned(server, demo_template, f"shop_contract_{os.getpid()}") as url:
        async with _open(url) as shop:
            yield await _partners(shop)


@pytest.fixture(scope="session")
def served(server: EmbeddedServer, demo_template: str) -> Iterator[Served]:
    """The address of a shop served by uvicorn in a thread of its own."""
    with (
        _cloned(server, demo_template, f"shop_served_{os.getpid()}") as url,
        # said to be TCP, or asyncio leaves Nagle's algorithm on and every answer of two packets waits 40 ms
        socket.socket(proto=socket.IPPROTO_TCP) as listening,
    ):
        listening.bind(("127.0.0.1", 0))
        ready: list[Partners] = []
        clock = FixedClock(NOW)
        clock.advance(minutes=1)

        async def run() -> None:
            services = build(demo_settings(url), clock=clock, passwords=FAST_PASSWORDS)
            app = create_app(services, background=False)
            config = uvicorn.Config(app, http="httptools", log_config=None, access_log=False, server_header=False)
            server = uvicorn.Server(config)
            running.append(server)
            serving = asyncio.create_task(server.serve([listening]))
            while not server.started:  # noqa: ASYNC110 - uvicorn says it by an attribute only
                await asyncio.sleep(0.01)
            ready.append(await _partners(Shop(app, services, clock)))
            await serving

        running: list[uvicorn.Server] = []
        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        while not ready:
            thread.join(0.05)
            assert thread.is_alive()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield Served(address, ready[0].keys, ready[0].orders, _known(address, ready[0]), clock)
        running[0].should_exit = True
        thread.join(20)


async def _partners(shop: Shop) -> Partners:
    orders = {"acme": (await order_of(shop, ACME)).number, "globex": (await order_of(shop, GLOBEX)).number}
    keys = {"acme": await key_of(shop, ACME), "globex": await key_of(shop, GLOBEX)}
    await make_chief(shop)
    for name, email in (("clerk", CLERK), ("chief", CHIEF)):
        keys[name] = (await staff_key(shop, email))[1]
    clerk = Program(shop, keys["clerk"])
    drafts = [await begin(clerk) for _ in range(7)]
    for draft in drafts:
        ok(await reprice(clerk, draft, "19"))
    for draft in drafts[3:5]:
        ok(await clerk.post(f"{draft}/submission", json={"version": 1}))
    ok(await clerk.post(f"{drafts[6]}/discard"))
    found = ok(await clerk.get(f"{drafts[0]}/findings")).json()["findings"]
    drafts.append(await ready(clerk, Program(shop, keys["chief"])))
    ids = [draft.rpartition("/")[2] for draft in drafts]
    endpoint, message = await endpoint_of(shop, keys["acme"])
    return Partners(
        shop, keys, orders, endpoint, message, ids, found[0]["digest"], framework=await framework_of(shop, ACME)
    )


def _known(url: str, partners: Partners) -> Known:
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {partners.keys['acme']}"}) as acme:
        root = acme.get("/api/v1/price-books/current").json()["root"]
        price = acme.get("/api/v1/price-feed").json()["rows"][0]
        quoted = acme.post("/api/v1/signed-quotes", json={"lines": [{"sku": price["sku"], "quantity": "1"}]}).json()
    row = {name: price[name] for name in ("sku", "unit")} | {"currency": "EUR", "country": "ES"}
    return {
        "parameters": {
            "root": root,
            "since": root,
            "number": partners.orders["acme"],
            "draft": partners.drafts[0],
            "quote_id": quoted["id"],
            "endpoint_id": partners.endpoint,
            "message_id": partners.message,
            "list": price["list"],
            "company": "initech",
            **row,
        },
        "fields": {
            "url": "https://hooks.partner.example/tarifa",
            "framework_agreement": partners.framework,
            "postal_code": "28013",
            "email": "orders@acme.example",
            **row,
        },
    }


def as_program(served: Served, company: str | None) -> httpx.Client:
    headers = {} if company is None else {"authorization": f"Bearer {served.keys[company]}"}
    return httpx.Client(base_url=served.url, headers=headers, timeout=20)
