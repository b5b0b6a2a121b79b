"""`python -m benchmarks.taking_effect`: a publication at its instant in every worker. `BENCH=quick` takes one.

Two workers, each a server of its own over one database, are asked for a quote as fast as they answer, from a second
before the instant to a second after. Every answer says of which book it is (its root), as of when (`at`), and its
price; and we know when it was asked for and when it came, by the same clock. No answer that came before the instant may
be of the new book, none asked for after it of the old one, and every one must be of the book of its own `at`.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from benchmarks.material import VAR, shop_settings, small_shop
from benchmarks.servers import Connection, post_bytes, running
from kernel.clock import SystemClock
from pricing.engine import Buyer
from pricing.engine.request import PricedLine
from pricing.model import PricePublication
from pricing.service import EffectiveTooSoon
from web.services import Services, build

QUICK: Final = os.environ.get("BENCH") == "quick"
PUBLICATIONS: Final = 1 if QUICK else 3
WORKERS: Final = 2
CONNECTIONS: Final = 2
"""To each worker."""
LEAD: Final = timedelta(seconds=5)
PREPARING: Final = timedelta(seconds=10)
"""For checks, root and file of the book, on a machine that has nothing else to do."""
PREPARING_MOST: Final = timedelta(minutes=2)
AROUND: Final = timedelta(seconds=1)
SKU: Final = "CRUNCHY-ARMCHAIR"
CLOCK: Final = SystemClock()
"""That of the machine, as the workers read it."""


class _Amount(msgspec.Struct, frozen=True):
    amount: str


class _Line(msgspec.Struct, frozen=True):
    total: _Amount


class _Quote(msgspec.Struct, frozen=True):
    root: str
    at: datetime
    lines: tuple[_Line, ...]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What *worker* said, asked at *sent*; it came at *received*."""

    worker: int
    sent: datetime
    received: datetime
    root: str
    at: datetime
    price: str


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """*last_old* and *first_new*: by worker, how long before and after its instant the nearest answers were of."""

    answers: int
    faults: tuple[str, ...]
    last_old: tuple[timedelta, ...]
    first_new: tuple[timedelta, ...]


def main() -> int:
    server, url, _ = small_shop()
    try:
        effects = asyncio.run(measured(url))
    finally:
        server.stop()
    for work, told in lines(effects):
        print(f"{work}: {told}")
    return 1 if any(effect.faults for effect in effects) else 0


def lines(effects: Sequence[Effect]) -> list[tuple[str, str]]:
    """(what, measured) for a table."""
    faults = [fault for effect in effects for fault in effect.faults]
    before = ", ".join(_milliseconds(max(effect.last_old)) for effect in effects)
    after = ", ".join(_milliseconds(max(effect.first_new)) for effect in effects)
    told = (
        f"{len(faults)} of {sum(effect.answers for effect in effects):,} answers early or late; the last old book up "
        f"to {before} ms before it, the first new one up to {after} ms after it"
    )
    found = [(f"publication takes effect at its instant, {WORKERS} workers, {len(effects)} times", told)]
    return found + [("- fault", fault) for fault in faults[:10]]


def _milliseconds(length: timedelta) -> str:
    return f"{length / timedelta(milliseconds=1):.1f}"


async def measured(url: str, publications: int = PUBLICATIONS) -> list[Effect]:
    """Publications of the demo shop at *url*, one after another, each of another price."""
    seconds = int(LEAD.total_seconds())
    environment = {"DATABASE_URL": url, "VAR": str(VAR), "PRICE_LEAD_TIME": str(seconds)}
    services = build(shop_settings(url, lead_time=seconds))
    try:
        with (
            running("worker", environment=environment) as one,
            running("worker", environment=environment) as other,
        ):
            return [await taken_effect(services, [one, other]) for _ in range(publications)]
    finally:
        await services.gateway.close()
        await services.db.close()


async def taken_effect(services: Services, ports: Sequence[int]) -> Effect:
    """Publish another price, and ask the workers on *ports* for it around the instant."""
    await services.books.refresh()
    old = services.books.in_force(services.clock.now()).root
    published, instant = await _published(services, await _dearer(services))
    new = "sha256:" + published.root.hex()
    await asyncio.sleep((instant - AROUND - CLOCK.now()).total_seconds())
    answers = await _asked(ports, until=instant + AROUND)
    return judged(answers, instant=instant, old=old, new=new)


async def _published(services: Services, draft: uuid.UUID) -> tuple[PricePublication, datetime]:
    """With the instant that it takes effect at: later where a busy machine prepares it for longer."""
    preparing = PREPARING
    while True:
        instant = services.clock.now() + LEAD + preparing
        try:
            return await services.pricing.publish(
                draft, by=None, effective_at=instant, acknowledge="A measurement"
            ), instant
        except EffectiveTooSoon:
            if preparing > PREPARING_MOST:
                raise
            preparing *= 2


def judged(answers: Sequence[Answered], *, instant: datetime, old: str, new: str) -> Effect:
    faults: list[str] = []
    prices = {root: {each.price for each in answers if each.root == root} for root in (old, new)}
    for each in answers:
        said = f"worker {each.worker}, asked at {each.sent}, answered at {each.received}, as of {each.at}: {each.root}"
        if each.root not in {old, new}:
            faults.append(f"neither book: {said}")
        elif each.root == new and (each.received < instant or each.at < instant):
            faults.append(f"early: {said}")
        elif each.root == old and (each.sent >= instant or each.at >= instant):
            faults.append(f"late: {said}")
    faults += [f"{len(found)} prices of one book: {sorted(found)}" for found in prices.values() if len(found) != 1]
    if prices[old] & prices[new]:
        faults.append("both books say one price")
    workers = sorted({each.worker for each in answers})
    nearest = [
        (
            min((instant - each.at for each in answers if each.worker == worker and each.root == old), default=None),
            min((each.at - instant for each in answers if each.worker == worker and each.root == new), default=None),
        )
        for worker in workers
    ]
    faults += [
        f"worker {worker} was not heard on both sides of the instant"
        for worker, sides in zip(workers, nearest, strict=True)
        if None in sides
    ]
    return Effect(
        answers=len(answers),
        faults=tuple(faults),
        last_old=tuple(before for before, _ in nearest if before is not None),
        first_new=tuple(after for _, after in nearest if after is not None),
    )


async def _dearer(services: Services) -> uuid.UUID:
    """A draft in which what a guest pays for one of the SKU is a little more."""
    pricing, at = services.pricing, services.clock.now()
    line = pricing.price_of(Buyer(country="ES"), currency="EUR", sku=SKU, quantity="1", at=at).line
    entry = services.books.at(at).entry(SKU)
    assert entry is not None
    assert isinstance(line, PricedLine)
    row = next(row for row in entry.rows if (row.list, row.unit) == (line.trace.list, line.trace.row_unit))
    tiers = tuple(
        msgspec.structs.replace(tier, unit_price=str(Decimal(tier.unit_price) + Decimal(1))) for tier in row.tiers
    )
    draft = await pricing.open_draft(title="Dearer by one", by=None)
    key = (row.list, row.sku, row.unit, "")
    seen = (await pricing.find_leaf(draft.id, "row", key)).seen
    content = msgspec.to_builtins(msgspec.structs.replace(row, tiers=tiers))
    await pricing.put_change(draft.id, "row", key, content, by=None, expected=seen)
    return draft.id


async def _asked(ports: Sequence[int], *, until: datetime) -> list[Answered]:
    answers: list[Answered] = []
    request = post_bytes("/api/v1/quotes", msgspec.json.encode({"lines": [{"sku": SKU, "quantity": "1"}]}))
    decode = msgspec.json.Decoder(_Quote).decode

    async def ask(worker: int, connection: Connection) -> None:
        while True:
            sent = CLOCK.now()
            body = await connection.ask(request)
            received = CLOCK.now()
            said = decode(body)
            answers.append(
                Answered(
                    worker=worker,
                    sent=sent,
                    received=received,
                    root=said.root,
                    at=said.at,
                    price=said.lines[0].total.amount,
                )
            )
            if received >= until:
                return

    connections = [
        (worker, await Connection.open(port)) for worker, port in enumerate(ports) for _ in range(CONNECTIONS)
    ]
    try:
        await asyncio.gather(*(ask(worker, connection) for worker, connection in connections))
    finally:
        for _, connection in connections:
            await connection.close()
    return answers


if __name__ == "__main__":
    sys.exit(main())
