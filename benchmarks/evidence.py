"""What evidence costs: accepting, proving and verifying in a ledger of a million rows, and a bundle.

    python -m benchmarks.evidence        # BENCH=quick: 20,000 rows

The demo shop's database is cloned and its ledger filled with rows of the house's own, hashes and all, by COPY. Then
orders are placed by the services as the shop does.

What accepting adds to placing is all that `Checkouts.place` calls of `Agreements` (`lock_to_accept`, which also tells
whether the order is there already, and `accept`: what has changed, the ledger's lock, what is written), and what
commits take longer, in the median, than those of the same orders without evidence. Those are placed in turns with
these, with the trigger off that refuses them. Left out is what an order needs either way: pricing, stock, mail, the
round trips of transaction and commit. The table says too how far placing with evidence and without are apart, the
median of a turn from that of the next: what accepting adds as seen from outside, with all that chance adds.
"""

import asyncio
import hashlib
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import event
from sqlalchemy.engine import make_url

from agreements import bundles, ledger, tree
from agreements.accepting import ToAccept
from agreements.commitments import canonical_order
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
TURN: Final = 10
BUNDLES: Final = 10 if QUICK else 30
DATABASE: Final = "bench_evidence"
BOXES: Final = frozenset({"agree", "authority", "business"})
DIGEST: Final = "sha256:" + "0" * 64
SEED: Final = 7
ACCEPT_MS, PROOF_MS, VERIFY_MS, BUNDLE_MS = 5, 10, 100, 1000


class Counted(Agreements):
    """Counts the seconds, and those of this process's CPU, that placing one order spends here."""

    seconds = cpu = 0.0

    async def accept(self, *arguments: Any, **named: Any) -> Acceptance:
        with self._counted():
            return await super().accept(*arguments, **named)

    async def lock_to_accept(self, *arguments: Any) -> ToAccept:
        with self._counted():
            return await super().lock_to_accept(*arguments)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        started, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - started
        self.cpu += time.process_time() - cpu


class WithoutEvidence(Counted):
    """Gives an order its canonical form, and records nothing."""

    async def accept(self, *_arguments: Any, **named: Any) -> Acceptance:
        content, digest = canonical_order(named["terms"], named["personal"], {})
        return Acceptance(
            **dict.fromkeys(("id", "company_id", "checkout_id", "presentation_id", "actor_id"), named["order_id"]),
            order_id=named["order_id"],
            ticked=[],
            accepted_at=self.clock.now(),
            order_content=content,
            order_digest=digest,
            ledger_seq=0,
        )

    async def lock_to_accept(self, *_arguments: Any) -> ToAccept:
        return ToAccept(at=self.clock.now())


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Orders and, of each, the seconds of a bare INSERT, of placing, of its commit, and of accepting with its CPU's."""

    orders: list[Order] = []
    inserts: list[float] = []
    placing: list[float] = []
    commits: list[float] = []
    accepting: list[float] = []
    cpu: list[float] = []


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
    try:
        await services.books.refresh()
        with psycopg.connect(libpq_url(owner_url), autocommit=True) as owner:
            owner.execute("create table bench_insert_evidence (body text)")
            placed, without = await _placed_in_turns(services, owner)
        orders, longer = placed.orders, statistics.median(placed.commits) - statistics.median(without.commits)
        added = [seconds + max(longer, 0.0) for seconds in placed.accepting]  # below 0 it is chance
        bare = measured("bare INSERT, committed", placed.inserts)
        accepting = measured("accepting, of placing an order", added, bare)
        timings = [
            bare,
            accepting,
            measured("- in `Agreements`", placed.accepting, bare),
            measured("- of that, CPU of this process", placed.cpu, bare),
            measured("placing an order", placed.placing, bare),
            measured("- its commit", placed.commits, bare),
            measured("placing one without evidence", without.placing, bare),
            measured("- the commit of that", without.commits, bare),
            measured("how far these two are apart", list(_apart(placed.placing, without.placing)), bare),
        ]
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


async def _placed_in_turns(services: Services, owner: psycopg.Connection) -> tuple[Placed, Placed]:
    """Orders with evidence and orders without, some of these and some of those: what else the machine does falls on
    both. The first after each turn, for which PostgreSQL plans anew, counts for neither.
    """
    turns = (
        ("enable", Counted(services.clock, services.keyring), Placed()),
        ("disable", WithoutEvidence(services.clock, services.keyring), Placed()),
    )
    for _ in range(ORDERS // TURN):
        for trigger, agreements, placed in turns:
            owner.execute(f"alter table customer_order {trigger} trigger customer_order_has_basis")
            await _place(services, agreements, owner, Placed(), 1)
            await _place(services, agreements, owner, placed, TURN)
    return turns[0][2], turns[1][2]


def _apart(placing: list[float], without: list[float]) -> Iterator[float]:
    for first in range(0, len(placing), TURN):
        turn = slice(first, first + TURN)
        yield statistics.median(placing[turn]) - statistics.median(without[turn])


async def _place(
    services: Services, agreements: Counted, owner: psycopg.Connection, placed: Placed, orders: int
) -> None:
    """Add bare INSERTs and orders to *placed*, one after the other."""
    services.checkouts.agreements = agreements
    committing = [0.0]

    def note(_connection: sqlalchemy.Connection) -> None:
        committing[0] = time.perf_counter()

    event.listen(services.db.engine.sync_engine, "commit", note)
    opened = await services.accounts.log_in(email=BUYER, password=PASSWORD, token=None, address="127.0.0.1")
    principal = await services.accounts.authenticate(opened.token)
    ship_to = ShipTo(name="Goods-in", line1="Calle Mayor 1", postal_code="28013", city="Madrid", country="ES")
    for number in range(orders):
        started = time.perf_counter()
        owner.execute("insert into bench_insert_evidence (body) values (%s)", (f"row {number}",))
        placed.inserts.append(time.perf_counter() - started)
        await services.carts.add(principal, sku="NIMBLE-BOLT", quantity="1")
        await services.checkouts.save_details(principal, Details(ship_to=ship_to), locale="en")
        review = await services.checkouts.review(
            principal, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST
        )
        agreements.seconds = agreements.cpu = 0.0
        started = time.perf_counter()
        placed.orders.append(
            await services.checkouts.place(
                principal,
                presentation_id=review.presentation.id,
                ticked=BOXES,
                job_title="Buyer",
                ip="127.0.0.1",
                user_agent=f"benchmark {number}",
            )
        )
        ended = time.perf_counter()
        placed.placing.append(ended - started)
        placed.commits.append(ended - committing[0])
        placed.accepting.append(agreements.seconds)
        placed.cpu.append(agreements.cpu)
    event.remove(services.db.engine.sync_engine, "commit", note)


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
        measured=f"{timing.median * 1e3:.2f} ms (least {timing.seconds[0] * 1e3:.2f}, p99 {timing.p99 * 1e3:.2f}), "
        f"{_ratio(timing)}",
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
