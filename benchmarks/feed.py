"""`python -m benchmarks.feed [ROWS]`: what partners ask for most. `BENCH=quick` takes a hundredth of the rows.

- The whole feed of a million prices as CSV and as Parquet, beside `csv.writer` and pyarrow writing the same rows, which
  price nothing; and the memory of the process that makes it, when a tenth is done and at its peak. The mapped book is
  not counted: it is read from one end to the other, and is the page cache's.
- What changed, where one SKU in a hundred has another price: every SKU of both books is compared, those are priced.
- Revalidation: requests with an entity tag that is still right, beside an address that answers a bare 304.

Each file is made in a process of its own. The ratios can be compared between machines, the times cannot.
"""

import asyncio
import csv
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it ships no types

from benchmarks.book import CURRENCY, NOON, benchmark_buyers, benchmark_entries
from benchmarks.material import VAR, benchmark_file, kept, small_shop
from benchmarks.measure import Timing, table, timed_together
from benchmarks.memory import MB, in_workers, memory
from benchmarks.servers import Connection, bytes_unchanged, running
from pricing.compiled import CompiledBook
from pricing.engine.book import Frame, SkuEntry
from pricing.feed import FeedRow, csv_lines, feed_rows
from pricing.feed_delta import Feed, sku_changes
from pricing.feed_parquet import feed_parquet

QUICK: Final = os.environ.get("BENCH") == "quick"
ROWS: Final = 10_000 if QUICK else 1_000_000
"""Of the book; a reader's feed has about as many: ten rungs a SKU."""
ROUNDS: Final = 500 if QUICK else 5_000
CONNECTIONS: Final = 8
ONE_IN: Final = 100
LINES_AT_ONCE: Final = 400
DEARER: Final = "999"

Place = tuple[Path, str]


class Made(msgspec.Struct, frozen=True):
    """A file made. *early* is the process's own memory after a tenth of its rows, *peak* the most of it."""

    rows: int
    size: int
    seconds: float
    early: int
    peak: int


def main(arguments: list[str]) -> int:
    rows = int(arguments[0]) if arguments else ROWS
    for work, told in lines(rows):
        print(f"{work}: {told}")
    server, url, _ = small_shop()
    try:
        print(table(asyncio.run(revalidated(benchmark_file(rows), url))))
    finally:
        server.stop()
    return 0


def lines(rows: int = ROWS) -> list[tuple[str, str]]:
    """(what, measured) for a table."""
    book, found = benchmark_file(rows), []
    with tempfile.TemporaryDirectory() as folder:
        parquet, plain = Path(folder, "feed.parquet"), Path(folder, "feed.csv")
        for file in (parquet, plain):
            ((made, _),) = in_workers(_made, file, *book, count=1)
            ((bare, _),) = in_workers(_bare, parquet, file.with_stem("bare"), count=1)
            told = (
                f"{made.seconds:.1f} s, {made.size / MB:,.0f} MB, {made.seconds / bare:.1f} times the {bare:.2f} s of "
                f"writing the same rows alone; memory {made.early / MB:.0f} MB after a tenth, {made.peak / MB:.0f} MB "
                "at most"
            )
            found.append((f"feed of {made.rows:,} prices as {file.suffix[1:]}", told))
    seconds, changed, skus = delta(book, changed_book(rows))
    told = f"{seconds:.2f} s, {seconds / skus * 1e6:.0f} us a SKU"
    found.append((f"delta of {rows:,} rows, {changed:,} of {skus:,} SKUs changed", told))
    return found


def _made(file: Path, path: Path, root: str) -> tuple[Made, object]:
    book = CompiledBook(path, root=root)
    rows = feed_rows(book, book.skus(), benchmark_buyers()[0], currency=CURRENCY, at=NOON)
    counted = _Counted(rows)
    pieces = feed_parquet(counted, {"root": root}) if file.suffix == ".parquet" else _csv(counted)
    used: list[int] = []

    async def make() -> None:
        with file.open("wb") as written:
            async for piece in pieces:
                written.write(piece)
                if counted.count >= 10_000 * len(used):
                    used.append(memory().own)

    started = time.perf_counter()
    asyncio.run(make())
    seconds = time.perf_counter() - started
    return Made(counted.count, file.stat().st_size, seconds, used[len(used) // 10], max(used)), book


def _bare(source: Path, file: Path) -> tuple[float, object]:
    """Seconds that the rows of *source* take to write to *file*, once they are at hand."""
    reader = pq.ParquetFile(source)
    seconds = 0.0
    if file.suffix == ".parquet":
        with pq.ParquetWriter(file, reader.schema_arrow, compression="zstd") as writer:
            for number in range(reader.num_row_groups):
                group = reader.read_row_group(number)
                started = time.perf_counter()
                writer.write_table(group)
                seconds += time.perf_counter() - started
        return seconds, None
    with file.open("w", newline="") as written:
        lines = csv.writer(written)
        for number in range(reader.num_row_groups):
            rows = [tuple(row.values()) for row in reader.read_row_group(number).to_pylist()]
            started = time.perf_counter()
            lines.writerows(rows)
            seconds += time.perf_counter() - started
    return seconds, None


class _Counted:
    """Rows, and how many have gone by."""

    def __init__(self, rows: Iterator[FeedRow]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[FeedRow]:
        return self

    def __next__(self) -> FeedRow:
        row = next(self._rows)
        self.count += 1
        return row


async def _csv(rows: Iterator[FeedRow]) -> AsyncIterator[bytes]:
    lines = csv_lines(rows)
    while chunk := "".join(islice(lines, LINES_AT_ONCE)):
        yield chunk.encode()


def changed_book(rows: int) -> Place:
    """The same book with another price for one SKU in a hundred, in the list that is everyone's."""
    return kept(
        f"changed-{rows}", f"the book of {rows:,} rows with one SKU in {ONE_IN} changed", partial(_changed, rows)
    )


def _changed(rows: int) -> tuple[Frame, Iterator[SkuEntry]]:
    frame, entries = benchmark_entries(rows)
    return frame, (_dearer(entry) if number % ONE_IN == 0 else entry for number, entry in enumerate(entries))


def _dearer(entry: SkuEntry) -> SkuEntry:
    rows = [
        msgspec.structs.replace(
            row, tiers=tuple(msgspec.structs.replace(tier, unit_price=DEARER) for tier in row.tiers)
        )
        for row in entry.rows
    ]
    return msgspec.structs.replace(entry, rows=tuple(rows))


def delta(old: Place, new: Place) -> tuple[float, int, int]:
    """Seconds, SKUs changed, and SKUs looked at."""
    before, after = (CompiledBook(path, root=root) for path, root in (old, new))
    buyer = benchmark_buyers()[0]
    was, now = (Feed(book=book, buyer=buyer, currency=CURRENCY, tax=None, at=NOON) for book in (before, after))
    started = time.perf_counter()
    found = [change.is_any for change in sku_changes(was, now)]
    return time.perf_counter() - started, sum(found), len(found)


async def revalidated(book: Place, url: str) -> list[Timing]:
    """Requests that end in 304, of a price, a page of the feed and the whole feed, beside a bare 304."""
    environment = {"DATABASE_URL": url, "VAR": str(VAR)}
    with (
        running("shop", environment=environment, book=book[0], root=book[1]) as shop,
        running("echo", environment=environment) as echo,
    ):
        to_shop = [await Connection.open(shop) for _ in range(CONNECTIONS)]
        to_echo = [await Connection.open(echo) for _ in range(CONNECTIONS)]
        bare = await timed_together(
            "a bare 304", [_asker(each, bytes_unchanged("/unchanged", "x")) for each in to_echo], rounds=ROUNDS
        )
        timings = [bare]
        for path in ("/api/v1/prices/SKU-0000007", "/api/v1/price-feed?limit=10", "/api/v1/feed.parquet"):
            tag = await to_shop[0].tag_of(path)
            asking = [_asker(each, bytes_unchanged(path, tag)) for each in to_shop]
            timings.append(await timed_together(f"304 of {path}", asking, rounds=ROUNDS, baseline=bare))
        for connection in (*to_shop, *to_echo):
            await connection.close()
        return timings


def _asker(connection: Connection, request: bytes) -> Callable[[int], Awaitable[None]]:
    return partial(_unchanged, connection, request)


async def _unchanged(connection: Connection, request: bytes, _number: int) -> None:
    await connection.ask_unchanged(request)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
