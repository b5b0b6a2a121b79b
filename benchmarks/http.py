"""`python -m benchmarks.http [SKUS]`: quotes by HTTP beside the least they can cost.

That floor is an echo with bodies of the same sizes and headers, and the same quotes in-process with their traces. On
one connection, echo, quote and request take turns, so that whatever else the machine does falls on all alike, and a
floor is a sum of medians. On several connections requests wait for each other; there a time is what one server process
spends on each request: a second by the requests of a second, echo and shop taking turns again.
"""

import asyncio
import random
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec

from accounts import store
from accounts.key_service import ApiKeys
from accounts.model import KeyScope, StaffRole
from accounts.principal import Principal, PrincipalKind
from benchmarks.material import VAR, big_book, small_shop
from benchmarks.measure import Timing, measured, table
from benchmarks.servers import Connection, post_bytes, running
from checkout.offer import delivery_for
from kernel.clock import SystemClock
from kernel.db import Database, for_accounts
from kernel.ids import new_id
from pricing.compiled import CompiledBook, book_path
from pricing.engine import LineRequest, QuoteRequest, quote
from web.api.context import Context, tax_categories
from web.buyers import CURRENCIES, buyer_of

LINES: Final = 50
CARTS: Final = 200
TURNS: Final = 20
QUANTITY: Final = "100"
SEED: Final = 7


async def quotes_by_http(
    book: CompiledBook, url: str, *, folder: str, rounds: int = 2_000, connections: int = 8
) -> list[Timing]:
    """Time quotes of a guest and of a company's API key, each beside its floor as the baseline.

    *book* stands in *folder* of `VAR`; *url* is the database of a demo shop, where a key is made.
    """
    text, partner = await _new_key(url)
    chance = random.Random(SEED)
    skus = list(book.skus())
    carts = [chance.sample(skus, LINES) for _ in range(CARTS)]
    bodies = [msgspec.json.encode({"lines": [{"sku": sku, "quantity": QUANTITY} for sku in cart]}) for cart in carts]
    environment = {"DATABASE_URL": url, "VAR": str(VAR)}
    timings: list[Timing] = []
    with (
        running("shop", environment=environment, book=book_path(VAR / folder, book.root), root=book.root) as shop,
        running("echo", environment=environment) as echo,
    ):
        for who, principal, headers in (
            ("a guest", Principal.visitor(uuid.UUID(int=0)), {}),
            ("an API key", partner, {"authorization": f"Bearer {text}"}),
        ):
            to_shop = [await Connection.open(shop) for _ in range(connections)]
            to_echo = [await Connection.open(echo) for _ in range(connections)]
            asked = [post_bytes("/api/v1/quotes", body, headers) for body in bodies]
            size = len(await to_shop[0].ask(asked[0]))
            echoed = [post_bytes(f"/echo/{size}", body, headers) for body in bodies]
            requests = _requests(book, principal, carts)
            timings += await _alone(who, size, requests, book, (to_echo[0], echoed), (to_shop[0], asked), rounds)
            inside = timings[-2].median
            timings += await _together(who, inside, (to_echo, echoed), (to_shop, asked), rounds)
            for connection in (*to_shop, *to_echo):
                await connection.close()
    return timings


async def _alone(
    who: str,
    size: int,
    requests: Sequence[QuoteRequest],
    book: CompiledBook,
    echo: tuple[Connection, list[bytes]],
    shop: tuple[Connection, list[bytes]],
    rounds: int,
) -> list[Timing]:
    clock = SystemClock()
    seconds: dict[str, list[float]] = {"echo": [], "quote": [], "shop": []}
    for number in range(rounds + rounds // 10):
        chosen = number % CARTS
        started = time.perf_counter()
        await echo[0].ask(echo[1][chosen])
        answered = time.perf_counter()
        quote(requests[chosen], book=book, at=clock.now())
        priced = time.perf_counter()
        await shop[0].ask(shop[1][chosen])
        seconds["echo"].append(answered - started)
        seconds["quote"].append(priced - answered)
        seconds["shop"].append(time.perf_counter() - priced)
    echoed = measured(f"echo of {size:,} bytes", seconds["echo"])
    inside = measured(f"quote in-process, {LINES} lines, {who}", seconds["quote"])
    return [echoed, inside, _beside(f"POST quotes, {LINES} lines, {who}", echoed, inside.median, seconds["shop"])]


async def _together(
    who: str,
    inside: float,
    echo: tuple[list[Connection], list[bytes]],
    shop: tuple[list[Connection], list[bytes]],
    rounds: int,
) -> list[Timing]:
    each = max(rounds // TURNS, CARTS // TURNS)
    seconds: dict[str, list[float]] = {"echo": [], "shop": []}
    for _ in range(TURNS + TURNS // 10):
        for name, (connections, bodies) in (("echo", echo), ("shop", shop)):
            started = time.perf_counter()
            await asyncio.gather(
                *(
                    _ask(connection, bodies, range(first, each, len(connections)))
                    for first, connection in enumerate(connections)
                )
            )
            seconds[name].append((time.perf_counter() - started) / each)
    among = f"{len(echo[0])} connections"
    echoed = measured(f"echo, {among}, each", seconds["echo"])
    return [echoed, _beside(f"POST quotes, {who}, {among}, each", echoed, inside, seconds["shop"])]


async def _ask(connection: Connection, bodies: list[bytes], numbers: range) -> None:
    for number in numbers:
        await connection.ask(bodies[number % CARTS])


def _beside(name: str, echoed: Timing, inside: float, seconds: list[float]) -> Timing:
    floor = echoed.median + inside
    baseline = Timing(name="echo + quote in-process", seconds=(floor,), per_second=1 / floor)
    return measured(name, seconds, baseline)


def _requests(book: CompiledBook, principal: Principal, carts: list[list[str]]) -> list[QuoteRequest]:
    """What the API asks the engine for these carts."""
    delivery = delivery_for(principal.company, None)
    context = Context(
        company=principal.company,
        buyer=buyer_of(principal, delivery.country),
        currency=CURRENCIES[0] if principal.company is None else principal.company.currency,
        country=delivery.country,
        country_assumed=True,
        at=SystemClock().now(),
        book=book,
    )
    return [
        QuoteRequest(
            buyer=context.buyer,
            currency=context.currency,
            lines=tuple(LineRequest(sku=sku, quantity=QUANTITY) for sku in cart),
            tax=context.tax(tax_categories(book, cart)),
        )
        for cart in carts
    ]


async def _new_key(url: str) -> tuple[str, Principal]:
    """A key of the demo's Acme, and for whom it speaks."""
    db = Database.connect(url)
    try:
        async with db.begin(for_accounts()) as session:
            company = await store.find_company_by_code(session, "acme")
            if company is None:
                raise SystemExit("The benchmark's shop has no company acme. Remove var/bench and try again.")
            person_id = (await store.list_members(session, company.id))[0].person.id
        keys = ApiKeys(db, SystemClock())
        staff = Principal(
            kind=PrincipalKind.STAFF, visitor_id=new_id(), person_id=person_id, staff_role=StaffRole.SUPPORT
        )
        _, text = await keys.create_api_key(
            staff, name=f"benchmark {new_id()}", scopes=[KeyScope.QUOTES_CREATE], company_id=company.id
        )
        return text, await keys.authenticate_key(text)
    finally:
        await db.close()


def main() -> int:
    skus = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    book = big_book(skus)
    server, url, _ = small_shop()
    try:
        print(table(asyncio.run(quotes_by_http(book, url, folder=f"{skus}"))))
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
