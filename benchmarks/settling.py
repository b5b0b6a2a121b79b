"""Orders placed and settled by two workers at once, beside as many bare INSERTs by pgbench on the same server.

    python -m benchmarks.settling

Each worker is a process with the shop's own services: cart, details, review, place, payment page, and the buyer's way
back. Stripe answers at once, from memory, so that what is measured is the shop's own share; committing is not.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Final

import psycopg

from accounts.principal import Principal
from benchmarks.material import PASSWORD, shop_settings, small_shop
from benchmarks.measure import Timing, measured
from checkout.model import CallOutcome, ShipTo
from checkout.payments import Payments
from checkout.stripe_gateway import Answer, Session, StripeGateway, session_of
from checkout.views import Details
from kernel.db import libpq_url
from kernel.embedded import EmbeddedServer
from web.services import Services, build

BUYERS: Final = ("buyer@acme.example", "buyer@globex.example")
"""One for each worker."""
WORKERS: Final = len(BUYERS)
ORDERS: Final = 100
BOXES: Final = frozenset({"agree", "authority", "business"})
DIGEST: Final = "sha256:" + "0" * 64
SHIP_TO: Final = ShipTo(name="Goods-in", line1="Calle Mayor 1", postal_code="28013", city="Madrid", country="ES")


class InstantStripe(StripeGateway):
    """Makes Sessions from memory, each paid as soon as somebody asks."""

    async def create_customer(self, request: dict[str, Any], *, key: str) -> Answer:
        del request, key
        return _done({"id": f"cus_{uuid.uuid4().hex}"})

    async def create_session(self, request: dict[str, Any], *, key: str) -> Answer:
        del key
        price = request["line_items"][0]["price_data"]
        made = {
            "id": f"cs_test_{uuid.uuid4().hex}",
            "url": "https://pay.example",
            "status": "open",
            "payment_status": "unpaid",
            "amount_total": price["unit_amount"],
            "currency": price["currency"],
            "client_reference_id": request["client_reference_id"],
            "payment_intent": f"pi_{uuid.uuid4().hex}",
            "created": int(self._clock.now().timestamp()),
        }
        _sessions[made["id"]] = made
        return _done(made)

    async def retrieve_session(self, session_id: str) -> Session | None:
        return session_of({**_sessions[session_id], "status": "complete", "payment_status": "paid"})


_sessions: dict[str, dict[str, Any]] = {}


def _done(body: dict[str, Any]) -> Answer:
    return Answer(outcome=CallOutcome.DONE, status=200, body=body, detail="", saved=True)


def main() -> int:
    """With a number: so many orders for each worker."""
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS
    server, url, owner_url = small_shop()
    try:
        for work, told in lines(server, url, owner_url, orders):
            print(f"{work}: {told}")
    finally:
        server.stop()
    return 0


def lines(server: EmbeddedServer, url: str, owner_url: str, orders: int = ORDERS) -> list[tuple[str, str]]:
    """(what, measured) for a table."""
    placed, place = _settled_per_second(url, orders)
    inserted = _inserted_per_second(server, owner_url, orders)
    return [
        (
            f"orders placed and settled, {WORKERS} workers, {WORKERS * orders} of them",
            f"{placed:.1f}/s, {placed / inserted:.4f} of {inserted:.0f}/s bare INSERTs by pgbench",
        ),
        (
            "placing an order, without Stripe's share",
            f"median {place.median * 1e3:.1f} ms, p99 {place.p99 * 1e3:.1f} ms",
        ),
    ]


def _settled_per_second(url: str, orders: int) -> tuple[float, Timing]:
    """Of all workers together, from the first one's start to the last one's end; and how long placing took."""
    command = [sys.executable, "-m", "benchmarks.settling", "worker", url, str(orders)]
    workers = [
        subprocess.Popen([*command, buyer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
        for buyer in BUYERS
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [worker.communicate()[0] for worker in workers]
    took = time.perf_counter() - began
    seconds = [float(each) for text in told for each in text.split()]
    assert len(seconds) == WORKERS * orders, "a worker failed"
    return len(seconds) / took, measured("place an order", seconds)


def _inserted_per_second(server: EmbeddedServer, owner_url: str, orders: int) -> float:
    with psycopg.connect(libpq_url(owner_url), autocommit=True) as connection:
        connection.execute("create table if not exists bench_insert (body text)")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text("insert into bench_insert (body) values ('an order');\n")
        began = time.perf_counter()
        subprocess.run(  # noqa: S603 - the server's own program
            [
                *(server.bin / "pgbench", "-n", "-c", str(WORKERS), "-j", str(WORKERS), "-t", str(orders)),
                *("-f", script, libpq_url(owner_url)),
            ],
            check=True,
            capture_output=True,
        )
    return WORKERS * orders / (time.perf_counter() - began)


# --- In a worker's process ---


async def _work(url: str, orders: int, buyer: str) -> None:
    services = build(shop_settings(url))
    gateway = InstantStripe(api_key="sk_test_of_benchmarks", webhook_secrets=(), clock=services.clock)
    payments = Payments(services.db, services.clock, services.catalog, gateway, base_url=services.payments.base_url)
    await services.books.refresh()
    opened = await services.accounts.log_in(email=buyer, password=PASSWORD, token=None, address="127.0.0.1")
    principal = await services.accounts.authenticate(opened.token)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for _ in range(orders):
        print(await _order(services, payments, principal))
    await gateway.close()
    await services.gateway.close()
    await services.db.close()


async def _order(services: Services, payments: Payments, principal: Principal) -> float:
    """One order from its cart to its money; how long placing it took, in seconds."""
    await services.carts.add(principal, sku="NIMBLE-BOLT", quantity="1")
    await services.checkouts.save_details(principal, Details(ship_to=SHIP_TO), locale="en")
    review = await services.checkouts.review(principal, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST)
    began = time.perf_counter()
    order = await services.checkouts.place(
        principal,
        presentation_id=review.presentation.id,
        ticked=BOXES,
        job_title="Buyer",
        ip="127.0.0.1",
        user_agent="benchmark",
    )
    took = time.perf_counter() - began
    await payments.start(principal, order.number)
    session_id = next(each for each, made in _sessions.items() if made["status"] == "open")
    order = await payments.returned(principal, order.number, session_id)
    assert order.state.value == "paid"
    _sessions[session_id]["status"] = "complete"
    return took


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        asyncio.run(_work(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
        sys.exit(0)
    sys.exit(main())
