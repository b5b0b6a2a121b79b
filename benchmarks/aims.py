"""The aims for speed and size beside what is measured: the first table of `make bench`.

All of it is about the benchmark book. *At random*: SKUs and buyers drawn from all, each line for the first time, so
its entry is read from the mapped file. *Again*: the same lines once more, as the pages of a cart ask for them. What an
aim says of medians is held against lines at random. Memory is measured in two workers of their own.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import impact
from benchmarks.book import CURRENCY, NOON, ROWS_A_SKU, benchmark_buyers, sku_code
from benchmarks.material import bare_book, benchmark_book, benchmark_file
from benchmarks.measure import Timing, timed
from benchmarks.memory import MB, Memory, in_workers
from benchmarks.publication import published
from benchmarks.sweeping import swept
from pricing.compiled import CompiledBook
from pricing.engine import LineRequest, QuoteRequest, quote

QUICK: Final = os.environ.get("BENCH") == "quick"
SIZES: Final = (10_000, 30_000, 100_000) if QUICK else (10_000, 100_000, 1_000_000, 10_000_000)
IMPACT_LINES: Final = 100_000 if QUICK else 1_000_000
IMPACT_ROWS: Final = 100_000 if QUICK else 1_000_000
PUBLISHED_ROWS: Final = 30_000 if QUICK else 1_000_000
ROUNDS: Final = 1_000 if QUICK else 10_000
LINES: Final = 50
SEED: Final = 7
CLASS_RATE, FULL_RATE = 10e6, 3e6


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """*part*: what is measured, as a part of what is aimed at; 1 and less is reached."""

    work: str
    aim: str
    measured: str
    part: float | None = None


def measured_aims() -> list[Aim]:
    """All but the cart by HTTP, which `by_http` makes of what the servers were measured at."""
    largest = SIZES[-1]
    skus = f"{largest // ROWS_A_SKU:,} SKUs"
    books = {rows: benchmark_book(rows) for rows in SIZES}
    line, again = one_line(books[largest], ROUNDS)
    cart, cart_again = quoted(books[largest], LINES, ROUNDS // 10)
    lines = {rows: one_line(book, ROUNDS)[0].median for rows, book in books.items()}
    rates = {rows: swept(book) for rows, book in books.items()}
    opening, used = max(in_workers(_worker, *benchmark_file(largest)), key=lambda pair: pair[1].private)
    bare: Memory = in_workers(_nothing)[0][1]
    private = used.private - bare.private
    bare_rate = swept(bare_book(SIZES[-2]))
    parts = published(PUBLISHED_ROWS)
    publishing = sum(seconds for _, seconds in parts)
    changed = impact.measured(IMPACT_ROWS, IMPACT_LINES)
    slower, slower_swept = lines[largest] / lines[SIZES[0]], rates[SIZES[0]] / rates[largest]
    return [
        Aim(
            work=f"one line, scalar, with trace, {skus}, at random",
            aim="20 us or less",
            measured=f"{line.median * 1e6:.1f} us",
            part=line.median / 20e-6,
        ),
        Aim(
            work="- its p99",
            aim="under 5 medians",
            measured=f"{line.p99 / line.median:.1f} medians",
            part=line.p99 / line.median / 5,
        ),
        Aim(
            work="- again", aim="", measured=f"{again.median * 1e6:.1f} us, p99 {again.p99 / again.median:.1f} medians"
        ),
        Aim(
            work="50-line cart, in-process, with traces, at random",
            aim="0.5 ms or less",
            measured=f"{cart.median * 1e3:.2f} ms",
            part=cart.median / 0.5e-3,
        ),
        Aim(work="- again", aim="", measured=f"{cart_again.median * 1e3:.2f} ms"),
        _rate(f"sweep, one list a class, integer SKU codes, {SIZES[-2]:,} SKUs", CLASS_RATE, bare_rate),
        _rate(f"sweep, three levels of lists, all rules, {SIZES[-2]:,} rows", FULL_RATE, rates[SIZES[-2]]),
        Aim(
            work=f"book of {largest:,} rows opens",
            aim="under 1 s",
            measured=f"{opening:.2f} s",
            part=opening,
        ),
        Aim(
            work="- private memory of a worker after 10,000 lines",
            aim="under 150 MB",
            measured=f"{private / MB:.0f} MB, and {used.private / MB:.0f} MB with Python and all code",
            part=used.private / MB / 150,
        ),
        Aim(
            work=f"publish {PUBLISHED_ROWS:,} rows, one process",
            aim=f"under {PUBLISHED_ROWS * 60e-6:.0f} s",
            measured=f"{publishing:.1f} s: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts),
            part=publishing / (PUBLISHED_ROWS * 60e-6),
        ),
        Aim(
            work=f"impact, {changed.lines:,} order lines, {IMPACT_ROWS:,} rows",
            aim=f"under {changed.lines * 10e-6:.0f} s",
            measured=(
                f"{changed.seconds:.1f} s, {changed.seconds / changed.sweep_seconds:.1f} sweeps of them "
                f"({changed.sweep_seconds:.2f} s), summed twice {changed.sum_seconds:.2f} s"
            ),
            part=changed.seconds / (changed.lines * 10e-6),
        ),
        Aim(
            work=f"growth {SIZES[0]:,} to {largest:,} rows, scalar",
            aim="under 3 times",
            measured=f"{slower:.1f} times ({', '.join(f'{median * 1e6:.1f}' for median in lines.values())} us)",
            part=slower / 3,
        ),
        Aim(
            work="- sweep",
            aim="under 10 times",
            measured=f"{slower_swept:.1f} times ({', '.join(f'{rate / 1e6:.2f}' for rate in rates.values())} M/s)",
            part=slower_swept / 10,
        ),
    ]


def by_http(timings: Sequence[Timing]) -> Aim:
    """Of the timings of `python -m benchmarks`: the cart by one connection against its echo and its price."""
    found = {timing.name: timing for timing in timings}
    priced = found["quote, 50 lines of all SKUs"].median
    cart = found["POST quotes, 50 lines, 1 connection"]
    assert cart.baseline is not None
    least = cart.baseline.median + priced
    return Aim(
        work="50-line cart by HTTP",
        aim="1.2 times echo and price",
        measured=f"{cart.median / least:.2f} times ({cart.median * 1e3:.2f} of {least * 1e3:.2f} ms)",
        part=cart.median / least / 1.2,
    )


def table(aims: Sequence[Aim]) -> str:
    widths = [max(len(getattr(aim, name)) for aim in aims) for name in ("work", "aim")]
    lines = []
    for aim in aims:
        mark = "" if aim.part is None else "reached" if aim.part <= 1 else f"MISSED, {aim.part:.1f} times the aim"
        lines.append(f"{aim.work:{widths[0]}}  {aim.aim:{widths[1]}}  {aim.measured}  {mark}".rstrip())
    return "\n".join(lines)


def _rate(work: str, aim: float, rate: float) -> Aim:
    return Aim(work=work, aim=f"{aim:,.0f} lines/s", measured=f"{rate:,.0f} lines/s", part=aim / rate)


# --- What is measured ---


def one_line(book: CompiledBook, rounds: int) -> tuple[Timing, Timing]:
    return quoted(book, 1, rounds)


def quoted(book: CompiledBook, lines: int, rounds: int) -> tuple[Timing, Timing]:
    """Requests at random, each once, and then 2,000 lines of them over and over."""
    chance = random.Random(SEED)
    buyers = benchmark_buyers()
    skus = len(book)

    def request() -> QuoteRequest:
        return QuoteRequest(
            buyer=chance.choice(buyers),
            currency=CURRENCY,
            lines=tuple(
                LineRequest(sku=sku_code(chance.randrange(skus)), quantity=str(chance.randrange(1, 200)))
                for _ in range(lines)
            ),
        )

    for buyer in buyers:  # a worker has met its buyers before
        quote(msgspec.structs.replace(request(), buyer=buyer), book=book, at=NOON)
    asked = [request() for _ in range(rounds + max(rounds // 10, 3))]
    name = f"{lines} lines, {skus:,} SKUs"
    first = timed(name, partial(_each, iter(asked), book), rounds=rounds)
    few = asked[: 2_000 // lines]
    again = timed(name, lambda number: quote(few[number % len(few)], book=book, at=NOON), rounds=rounds)
    return first, again


def _each(asked: Iterator[QuoteRequest], book: CompiledBook, _number: int) -> object:
    return quote(next(asked), book=book, at=NOON)


def _nothing() -> tuple[None, None]:
    return None, None


def _worker(path: Path, root: str) -> tuple[float, object]:
    """Seconds to open the book; then it prices, so that memory is that of a worker at work."""
    started = time.perf_counter()
    book = CompiledBook(path, root=root)
    took = time.perf_counter() - started
    one_line(book, 10_000)
    return took, book
