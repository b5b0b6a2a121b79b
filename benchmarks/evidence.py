"""What evidence costs: accepting, proving and verifying in a ledger of a million rows, and a bundle.

    python -m benchmarks.evidence        # BENCH=quick: 20,000 rows

The demo shop's database is cloned and its ledger filled with rows of the house's own, hashes and all, by COPY. Then
orders are placed by the services as the shop does, and what `Agreements.accept` takes of each is counted.
"""

import asyncio
import hashlib
import os
import random
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy.engine import make_url

from agreements import bundles, ledger, tree
from agreements.model import Acceptance
from agreements.service import Agreements
from agreements.verify import exit_code, leaf_hash, verify_bundle, verify_receipt
from benchmarks.aims import Aim
from benchmarks.aims import table as table_of_aims
from benchmarks.material import BUYER, PASSWORD, shop_settings, small_shop
from benchmarks.measure import Timing, measured, table, timed
from checkout.model import Order, ShipTo
from checkout.views import Details
from kernel.canonical import canonical_json
from kernel.clock import SystemClock
from kernel.db import APP_ROLE, OWNER_ROLE, for_staff, libpq_url
from kernel.embedded import EmbeddedServer
from kernel.signing import Purpose
from web.services import Services, build

QUICK: Final = os.environ.get("BENCH") == "quick"
ROWS: Final = 20_000 if QUICK else 1_000_000
ORDERS: Final = 20 if QUICK else 100
BUNDLES: Final = 10 if QUICK else 30
DATABASE: Final = "bench_evidence"
BOXES: Final = frozenset({"agree", "authority", "business"})
DIGEST: Final = "sha256:" + "0" * 64
SEED: Final = 7
ACCEPT_MS, PROOF_MS, VERIFY_MS, BUNDLE_MS = 5, 10, 100, 1000


class Counted(Agreements):
    """Counts the seconds that accepting takes of placing an order."""

    seconds: list[float]

    async def accept(self, *arguments: Any, **named: Any) -> Acceptance:
        started = time.perf_counter()
        accepted = await super().accept(*arguments, **named)
        self.seconds.append(time.perf_counter() - started)
        return accepted


def compared(server: EmbeddedServer) -> tuple[list[Aim], list[Timing]]:
    """The aims of evidence and the timings they are taken from, on the shop of `small_shop`."""
    owner, app = _cloned(server)
    started = time.perf_counter()
    superuser = make_url(server.superuser_url).set(database=DATABASE).render_as_string(hide_password=False)
    filled = fill(superuser, ROWS)
    print(f"Filled the ledger with {filled:,} rows in {time.perf_counter() - started:.1f} s", flush=True)
    return asyncio.run(_compared(app, owner))


async def _compared(url: str, owner_url: str) -> tuple[list[Aim], list[Timing]]:
    services = build(shop_settings(url))
    counted = Counted(services.clock, services.keyring, origin=services.agreements.origin)
    counted.seconds = []
    services.checkouts.agreements = counted
    try:
        await services.books.refresh()
        inserts, placing, orders = await _placed(services, owner_url)
        bare = measured("bare INSERT, committed", inserts)
        accepting = measured("accepting, of placing an order", counted.seconds, bare)
        timings = [bare, accepting, measured("placing an order", placing, bare)]
        await services.checkpoints.sign()
        key = services.keyring.active_key(Purpose.LEDGER).public_key
        async with services.db.begin(for_staff()) as session:
            head = await services.checkpoints.latest(session)
            receipts = [canonical_json(await services.agreements.receipt(session, order.id)) for order in orders[:10]]
        proof = measured(f"inclusion proof of one of {head.size:,}", await _proved(services, head.size), bare)
        one = timed("one Ed25519 verification", _ed25519(), rounds=500)
        verified = timed(
            f"verifying one receipt of {head.size:,}",
            lambda number: verify_receipt(receipts[number % len(receipts)], key),
            rounds=200,
            baseline=one,
        )
        seconds, made = await _bundled(services, orders)
        bundle = measured(f"a bundle of {len(made) / 1e3:,.0f} kB", seconds, bare)
        assert exit_code(verify_bundle(made, key)) == 0
        checked = timed("verifying a bundle, PDF and all", lambda _: verify_bundle(made, key), rounds=20, baseline=one)
    finally:
        await services.gateway.close()
        await services.db.close()
    aims = [
        _aim("accepting, as a part of placing an order", ACCEPT_MS, accepting),
        _aim(f"inclusion proof in a ledger of {head.size:,}", PROOF_MS, proof),
        _aim("- verifying one acceptance of it", VERIFY_MS, verified),
        _aim("a bundle, PDF sealed, zip signed", BUNDLE_MS, bundle),
    ]
    return aims, [*timings, proof, one, verified, bundle, checked]


def fill(superuser_url: str, rows: int) -> int:
    """Let the ledger of an installation have *rows* rows; how many were added. Triggers refuse changes, not rows, and
    row-level security takes no COPY but a superuser's.
    """
    with psycopg.connect(libpq_url(superuser_url)) as connection:
        found = connection.execute("select size, chain_hash from acceptance_ledger_tail").fetchone()
        assert found is not None
        first, previous = int(found[0]), bytes(found[1])
        nodes: dict[tree.Place, bytes] = {
            (level, position): bytes(value)
            for level, position, value in connection.execute("select * from acceptance_ledger_node")
        }
        made: list[tuple[int, int, bytes]] = []
        copied = "copy acceptance_ledger (seq, kind, content, leaf_digest, previous_hash, chain_hash, recorded_at)"
        with connection.cursor().copy(f"{copied} from stdin (format binary)") as copy:
            copy.set_types(["int8", "text", "jsonb", "bytea", "bytea", "bytea", "timestamptz"])
            at = SystemClock().now()
            for seq in range(first, rows):
                content = f'{{"seq":{seq},"type":"tarifa.filler.v1"}}'
                leaf = leaf_hash(content.encode())
                for place, value in tree.completed_by(seq, leaf, nodes):
                    nodes[place] = value
                    made.append((*place, value))
                chained = hashlib.sha256(previous + leaf).digest()
                copy.write_row((seq, "filler", Jsonb(content, dumps=str), leaf, previous, chained, at))
                previous = chained
        with connection.cursor().copy("copy acceptance_ledger_node from stdin (format binary)") as copy:
            copy.set_types(["int8", "int8", "bytea"])
            for node in made:
                copy.write_row(node)
        connection.execute("update acceptance_ledger_tail set size = %s, chain_hash = %s", (max(first, rows), previous))
    with psycopg.connect(libpq_url(superuser_url), autocommit=True) as connection:
        connection.execute("analyze acceptance_ledger, acceptance_ledger_node")
    return max(0, rows - first)


def _cloned(server: EmbeddedServer) -> tuple[str, str]:
    """Addresses, for owner and runtime, of a copy of the benchmarks' shop."""
    name = sql.Identifier(DATABASE)
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(name))
        connection.execute(
            sql.SQL("create database {} template bench owner {}").format(name, sql.Identifier(OWNER_ROLE))
        )
    return server.url(DATABASE, OWNER_ROLE), server.url(DATABASE, APP_ROLE)


async def _placed(services: Services, owner_url: str) -> tuple[list[float], list[float], list[Order]]:
    """Seconds of bare INSERTs and of placing, one after the other, and the orders."""
    opened = await services.accounts.log_in(email=BUYER, password=PASSWORD, token=None, address="127.0.0.1")
    principal = await services.accounts.authenticate(opened.token)
    ship_to = ShipTo(name="Goods-in", line1="Calle Mayor 1", postal_code="28013", city="Madrid", country="ES")
    inserts, placing, orders = [], [], []
    with psycopg.connect(libpq_url(owner_url), autocommit=True) as connection:
        connection.execute("create table bench_insert_evidence (body text)")
        for number in range(ORDERS):
            started = time.perf_counter()
            connection.execute("insert into bench_insert_evidence (body) values (%s)", (f"row {number}",))
            inserts.append(time.perf_counter() - started)
            await services.carts.add(principal, sku="NIMBLE-BOLT", quantity="1")
            await services.checkouts.save_details(principal, Details(ship_to=ship_to), locale="en")
            review = await services.checkouts.review(
                principal, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST
            )
            started = time.perf_counter()
            orders.append(
                await services.checkouts.place(
                    principal,
                    presentation_id=review.presentation.id,
                    ticked=BOXES,
                    job_title="Buyer",
                    ip="127.0.0.1",
                    user_agent=f"benchmark {number}",
                )
            )
            placing.append(time.perf_counter() - started)
    return inserts, placing, orders


async def _proved(services: Services, size: int) -> list[float]:
    chance, seconds = random.Random(SEED), []
    async with services.db.begin(for_staff()) as session:
        for _ in range(200):
            spans = tree.inclusion_spans(chance.randrange(size), size)
            started = time.perf_counter()
            await ledger.spans_hashed(session, spans)
            seconds.append(time.perf_counter() - started)
    return seconds


async def _bundled(services: Services, orders: list[Order]) -> tuple[list[float], bytes]:
    seconds, made = [], b""
    for order in orders[:BUNDLES]:
        started = time.perf_counter()
        made = (
            await bundles.of_order(services.db, for_staff(), services.agreements, order.id, number=order.number)
        ).content
        seconds.append(time.perf_counter() - started)
    return seconds, made


def _ed25519() -> "partial[None]":
    key = Ed25519PrivateKey.generate()
    message = b"a head of the ledger"
    signature = key.sign(message)
    public = key.public_key()

    def verify(_number: int) -> None:
        public.verify(signature, message)

    return partial(verify)


def _aim(work: str, most_ms: float, timing: Timing) -> Aim:
    return Aim(
        work=work,
        aim=f"under {most_ms} ms",
        measured=f"{timing.median * 1e3:.2f} ms, p99 {timing.p99 * 1e3:.2f} ms, {_ratio(timing)}",
        part=timing.median * 1e3 / most_ms,
    )


def _ratio(timing: Timing) -> str:
    assert timing.baseline is not None
    return f"{timing.ratio:.1f} times {timing.baseline.name}"


def _lines() -> Iterator[str]:
    server, _, _ = small_shop()
    try:
        aims, timings = compared(server)
    finally:
        server.stop()
    yield from (table_of_aims(aims), "", table(timings))


if __name__ == "__main__":
    for line in _lines():
        print(line)
    sys.exit(0)
