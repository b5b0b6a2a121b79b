"""`python -m benchmarks` (`make bench`): the aims for speed and size beside what is measured, and how long prices and
orders take, as ratios to something that does nothing.

The first table is that of `benchmarks.aims`, on a book of up to ten million rows; compiling it takes minutes, once. At
its end stand what has no aim: imports, the partners' feed, and whether a publication takes effect at its instant. In
the second every figure stands beside a baseline measured in the same run on the same machine: an in-process quote
beside writing and reading JSON of the same size, a request beside an echo with bodies of the same size, an order beside
a bare INSERT. The ratios can be compared between machines and days, the times cannot; nothing here asserts a time.

The second table's book has 100,000 SKUs, the demo's own assortment. Generating, reading and compiling it takes some
minutes the first time; books are kept in `var/bench` until what makes them changes. `BENCH=quick make bench` takes
5,000 SKUs, at most 100,000 rows and a tenth of the rounds. `VAR` puts `var` elsewhere. Results are also written to
`var/bench/results.json`.

Lines are drawn from all SKUs, so most of a 50-line quote's entries are read from the mapped file; "the same 50 lines"
shows what remains when they are at hand. Requests come over kept-alive connections from this very process, which
shares the machine's cores with the server, as the echo's do.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

import msgspec
import psycopg

from benchmarks import evidence, feed, settling, taking_effect
from benchmarks.aims import Aim, by_http, measured_aims
from benchmarks.aims import table as table_of_aims
from benchmarks.importing import imported
from benchmarks.importing import lines as lines_of_imports
from benchmarks.material import BUYER, PASSWORD, VAR, benchmark_file, big_book, shop_settings, small_shop
from benchmarks.measure import Timing, measured, table, timed, timed_together
from benchmarks.servers import Connection, get_bytes, post_bytes, running
from checkout.model import ShipTo
from checkout.views import Details
from kernel.clock import SystemClock
from kernel.db import libpq_url
from pricing.compiled import CompiledBook, book_path
from pricing.engine import Buyer, LineRequest, QuoteRequest, quote
from web.services import build

QUICK: Final = os.environ.get("BENCH") == "quick"
SKUS: Final = 5_000 if QUICK else 100_000
ROUNDS: Final = 200 if QUICK else 2_000
ORDERS: Final = 20 if QUICK else 100
IMPORTED_ROWS: Final = 10_000 if QUICK else 1_000_000
LINES: Final = 50
CONNECTIONS: Final = 8
SEED: Final = 7
BUYER_OF_QUOTES: Final = Buyer(company="initech", country="ES")
BOXES: Final = frozenset({"agree", "authority", "business"})
DIGEST: Final = "sha256:" + "0" * 64


def main() -> int:
    aims = measured_aims()
    told = lines_of_imports(imported(IMPORTED_ROWS)) + feed.lines()
    book = big_book(SKUS)
    server, url, owner_url = small_shop()
    try:
        evidence_aims, evidence_timings = evidence.compared(server)  # first: it clones the shop, which nobody has open
        timings = in_process(book) + asyncio.run(over_http(book, url)) + asyncio.run(orders(url, owner_url))
        timings += asyncio.run(feed.revalidated(benchmark_file(feed.ROWS), url))
        told += taking_effect.lines(asyncio.run(taking_effect.measured(url)))
        told += settling.lines(server, url, owner_url, orders=ORDERS)
    finally:
        server.stop()
    print(
        f"\n{SKUS:,} SKUs, {LINES} lines a quote, traces on, {os.cpu_count()} cores, Python {sys.version.split()[0]}\n"
    )
    aims.append(by_http(timings))
    aims += evidence_aims
    timings += evidence_timings
    aims += [Aim(work=work, aim="", measured=measured) for work, measured in told]
    print(table_of_aims(aims))
    print()
    print(table(timings))
    results = VAR / "results.json"
    results.write_bytes(
        msgspec.json.format(
            msgspec.json.encode(
                [msgspec.to_builtins(aim) for aim in aims]
                + [
                    {
                        "name": timing.name,
                        "median_ms": timing.median * 1e3,
                        "p99_ms": timing.p99 * 1e3,
                        "per_second": timing.per_second,
                        "baseline": timing.baseline and timing.baseline.name,
                        "ratio": timing.ratio,
                    }
                    for timing in timings
                ]
            ),
            indent=2,
        )
    )
    print(f"\nAlso in {results}")
    return 0


def in_process(book: CompiledBook) -> list[Timing]:
    """The engine alone: 50 lines and one, from the whole book and at hand."""
    chance = random.Random(SEED)
    at = SystemClock().now()
    skus = list(book.skus())
    carts = [_request(chance.sample(skus, LINES)) for _ in range(200)]
    singles = [_request([sku]) for sku in chance.sample(skus, 2_000)]
    timings = []
    for name, requests in (("50 lines", carts), ("one line", singles)):
        answer = quote(requests[0], book=book, at=at)
        size = len(msgspec.json.encode(answer))
        bare = timed(f"JSON of {size:,} bytes, written and read", partial(_json, answer), rounds=ROUNDS)
        timings += [
            bare,
            timed(f"quote, {name} of all SKUs", partial(_quote, requests, book, at), rounds=ROUNDS, baseline=bare),
            timed(f"quote, the same {name}", partial(_quote, requests[:1], book, at), rounds=ROUNDS, baseline=bare),
        ]
    return timings


async def over_http(book: CompiledBook, url: str) -> list[Timing]:
    """The quote API and the price page, each beside an echo with bodies of its sizes."""
    chance = random.Random(SEED)
    skus = list(book.skus())
    quotes = [
        post_bytes("/api/v1/quotes", msgspec.json.encode({"lines": _asked(chance.sample(skus, LINES))}))
        for _ in range(200)
    ]
    page = get_bytes("/skus/CRUNCHY-ARMCHAIR/price?quantity=12")
    environment = {"DATABASE_URL": url, "VAR": str(VAR)}
    timings = []
    with (
        running("shop", environment=environment, book=book_path(VAR / f"{SKUS}", book.root), root=book.root) as shop,
        running("echo", environment=environment) as echo,
    ):
        to_shop = [await Connection.open(shop) for _ in range(CONNECTIONS)]
        to_echo = [await Connection.open(echo) for _ in range(CONNECTIONS)]
        quoted, shown = len(await to_shop[0].ask(quotes[0])), len(await to_shop[0].ask(page))
        body = quotes[0].partition(b"\r\n\r\n")[2]
        for name, requests, bare in (
            ("POST quotes, 50 lines", quotes, post_bytes(f"/echo/{quoted}", body)),
            ("GET price page", [page], get_bytes(f"/echo/{shown}")),
        ):
            for count in (1, CONNECTIONS):
                among = f", {count} connection{'s' if count > 1 else ''}"
                size = quoted if requests is quotes else shown
                baseline = await timed_together(
                    f"echo of {size:,} bytes{among}", [_asker(each, [bare]) for each in to_echo[:count]], rounds=ROUNDS
                )
                timings += [
                    baseline,
                    await timed_together(
                        name + among,
                        [_asker(each, requests) for each in to_shop[:count]],
                        rounds=ROUNDS,
                        baseline=baseline,
                    ),
                ]
        for connection in (*to_shop, *to_echo):
            await connection.close()
    return timings


async def orders(url: str, owner_url: str) -> list[Timing]:
    """Placing an order: acceptance, order, stock, letter and event in one commit, without Stripe's share."""
    services = build(shop_settings(url))
    try:
        await services.books.refresh()
        opened = await services.accounts.log_in(email=BUYER, password=PASSWORD, token=None, address="127.0.0.1")
        principal = await services.accounts.authenticate(opened.token)
        ship_to = ShipTo(name="Goods-in", line1="Calle Mayor 1", postal_code="28013", city="Madrid", country="ES")
        seconds: dict[str, list[float]] = {"insert": [], "place": [], "whole": []}

        async def place(number: int) -> None:
            started = time.perf_counter()
            await services.carts.add(principal, sku="NIMBLE-BOLT", quantity="1")
            await services.checkouts.save_details(principal, Details(ship_to=ship_to), locale="en")
            review = await services.checkouts.review(
                principal, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST
            )
            reviewed = time.perf_counter()
            await services.checkouts.place(
                principal,
                presentation_id=review.presentation.id,
                ticked=BOXES,
                job_title="Buyer",
                ip="127.0.0.1",
                user_agent=f"benchmark {number}",
            )
            placed = time.perf_counter()
            seconds["place"].append(placed - reviewed)
            seconds["whole"].append(placed - started)

        with psycopg.connect(libpq_url(owner_url), autocommit=True) as connection:
            connection.execute("create table if not exists bench_insert (body text)")
            for number in range(ORDERS):
                started = time.perf_counter()
                connection.execute("insert into bench_insert (body) values (%s)", (f"row {number}",))
                seconds["insert"].append(time.perf_counter() - started)
                await place(number)
        bare = measured("bare INSERT, committed", seconds["insert"])
        return [
            bare,
            measured("place an order", seconds["place"], bare),
            measured("cart, details, review and place", seconds["whole"], bare),
        ]
    finally:
        await services.gateway.close()
        await services.db.close()


def _request(skus: list[str]) -> QuoteRequest:
    lines = tuple(LineRequest(sku=line["sku"], quantity=line["quantity"]) for line in _asked(skus))
    return QuoteRequest(buyer=BUYER_OF_QUOTES, currency="EUR", lines=lines)


def _asked(skus: list[str]) -> list[dict[str, str]]:
    """A quantity that nearly every SKU can be ordered in, above its first breaks."""
    return [{"sku": sku, "quantity": "100"} for sku in skus]


def _quote(requests: list[QuoteRequest], book: CompiledBook, at: datetime, number: int) -> object:
    return quote(requests[number % len(requests)], book=book, at=at)


def _json(answer: object, _number: int) -> object:
    return msgspec.json.decode(msgspec.json.encode(answer))


def _asker(connection: Connection, requests: list[bytes]) -> Callable[[int], Awaitable[bytes]]:
    return lambda number: connection.ask(requests[number % len(requests)])


if __name__ == "__main__":
    sys.exit(main())
