"""`python -m benchmarks.forms`: which form the compiled book should have. ADR 9 holds the figures.

Every candidate holds the same benchmark book of a million rows (100,000 in `BENCH=quick`) and answers the same
question: the entry of a SKU, as the nouns the evaluator reads, with the rows of the lists a buyer may meet. Each is
opened in two processes at once, which look up the same SKUs in another order; *cold* is the first look-up of each,
*warm* the second. Building and opening are processor seconds, so that a busy machine does not change the order. The
machine's page cache is warm: what a disk adds is the same for all.
"""

import mmap
import os
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Final

import lmdb
import msgspec
import numpy as np

from benchmarks.book import CURRENCY, benchmark_buyers, benchmark_entries, sku_code
from benchmarks.material import VAR
from benchmarks.memory import MB, Memory, in_workers
from pricing.compiled import CompiledBook, entry_of, record_of, write_entries
from pricing.engine.book import Cost, Frame, PriceRow, RowModel, SkuEntry, SkuFacts, Tier, UnitFact
from pricing.engine.rules import Rules

QUICK: Final = os.environ.get("BENCH") == "quick"
ROWS: Final = 100_000 if QUICK else 1_000_000
LOOKUPS: Final = 2_000 if QUICK else 10_000
FOLDER: Final = VAR / "forms"
ROOT: Final = "sha256:" + "0" * 64

Lookup = Callable[[str, Container[str]], SkuEntry | None]
Opened = tuple[Rules, Lookup]


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """*build* writes the book under a path, *open* reads it there."""

    name: str
    build: Callable[[Path], None]
    open: Callable[[Path], Opened]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; a look-up's are a median."""

    opening: float
    cold: float
    warm: float


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(f"{ROWS:,} rows, {LOOKUPS:,} look-ups, two processes\n")
    print(f"{'':44} {'build s':>8} {'MB':>7} {'open ms':>8} {'cold us':>8} {'warm us':>8} {'private MB':>11}")
    for form in FORMS:
        path = FOLDER / form.name.replace(" ", "-").replace(",", "")
        _remove(path)
        started = time.process_time()
        form.build(path)
        built = time.process_time() - started
        size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")))
        bare: Memory = in_workers(_nothing)[0][1]
        found: list[tuple[Measured, Memory]] = in_workers(_measure, form.open, path)
        worst = max(found, key=lambda pair: pair[1].private)
        times, used = worst
        print(
            f"{form.name:44} {built:>8.1f} {size / MB:>7.0f} {times.opening * 1e3:>8.1f} {times.cold * 1e6:>8.1f}"
            f" {times.warm * 1e6:>8.1f} {(used.private - bare.private) / MB:>11.0f}"
        )
        _remove(path)
    return 0


def _nothing() -> tuple[None, None]:
    return None, None


def _measure(opening: Callable[[Path], Opened], path: Path) -> tuple[Measured, Opened]:
    started = time.process_time()
    rules, lookup = opened = opening(path)
    took = time.process_time() - started
    buyers = [rules.view(CURRENCY, buyer).lists for buyer in benchmark_buyers()]
    chance = random.Random(os.getpid())
    asked = [(sku_code(number), chance.choice(buyers)) for number in chance.sample(range(ROWS // 10), LOOKUPS)]
    medians = []
    for _ in range(2):
        seconds = []
        for sku, lists in asked:
            before = time.perf_counter()
            lookup(sku, lists)
            seconds.append(time.perf_counter() - before)
        medians.append(statistics.median(seconds))
    return Measured(opening=took, cold=medians[0], warm=medians[1]), opened


def _remove(path: Path) -> None:
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    path.unlink(missing_ok=True)


# --- Ours: records in a mapped file ---


def _build_file(path: Path) -> None:
    frame, entries = benchmark_entries(ROWS)
    write_entries(frame, entries, ROOT, path)


def _open_file(path: Path) -> Opened:
    book = CompiledBook(next(path.glob("*.book")), root=ROOT)
    return book.rules, book.entry_of_lists


def _open_file_whole(path: Path) -> Opened:
    book = CompiledBook(next(path.glob("*.book")), root=ROOT)
    return book.rules, lambda sku, _: book.entry(sku)


# --- What it was: nouns as MessagePack, found by bisection ---


def _encoded() -> Iterator[tuple[bytes, bytes]]:
    for entry in benchmark_entries(ROWS)[1]:
        yield entry.facts.sku.encode(), msgspec.msgpack.encode(entry)


def _build_nouns(path: Path) -> None:
    path.mkdir()
    (path / "frame").write_bytes(msgspec.msgpack.encode(benchmark_entries(ROWS)[0]))
    places = []
    with (path / "records").open("wb") as file:
        for key, record in _encoded():
            places.append(file.tell())
            file.write(len(key).to_bytes(2, "big") + key + record)
        places.append(file.tell())
    (path / "index").write_bytes(np.array(places, np.uint64).tobytes())


def _open_nouns(path: Path) -> Opened:
    index, records = (_mapped(path / name) for name in ("index", "records"))
    places = memoryview(index).cast("Q")
    decode = msgspec.msgpack.Decoder(SkuEntry).decode

    def lookup(sku: str, _: Container[str]) -> SkuEntry | None:
        key = sku.encode()
        low, high = 0, len(places) - 1
        while low < high:
            middle = (low + high) // 2
            at = places[middle]
            found = records[at + 2 : at + 2 + int.from_bytes(records[at : at + 2], "big")]
            if found == key:
                return decode(records[at + 2 + len(key) : places[middle + 1]])
            low, high = (middle + 1, high) if found < key else (low, middle)
        return None

    return _rules(path / "frame"), lookup


# --- Columns: arrays, from which an entry is assembled ---


def _build_columns(path: Path) -> None:
    """Prices as hundredths; everything else that differs between rows as numbers of what the book repeats."""
    path.mkdir()
    frame, entries = benchmark_entries(ROWS)
    lists = {noun.code: number for number, noun in enumerate(frame.lists)}
    repeated: dict[tuple[Any, ...], int] = {}
    skus: list[str] = []
    firsts, shapes, costs, of_list, ladders, prices = (
        [0],
        list[int](),
        list[int](),
        list[int](),
        list[int](),
        list[int](),
    )
    for entry in entries:
        facts = entry.facts
        skus.append(facts.sku)
        shapes.append(repeated.setdefault((facts.units, facts.categories, facts.brand), len(repeated)))
        costs.append(_hundredths(entry.costs[0].cost))
        for row in entry.rows:
            of_list.append(lists[row.list])
            ladders.append(repeated.setdefault(tuple(tier.from_ for tier in row.tiers), len(repeated)))
            prices.extend(_hundredths(tier.unit_price) for tier in row.tiers)
        firsts.append(len(of_list))
    arrays = {
        "skus": np.array(skus, "S11"),
        "firsts": np.array(firsts, np.int64),
        "shapes": np.array(shapes, np.int32),
        "costs": np.array(costs, np.int32),
        "lists": np.array(of_list, np.int32),
        "ladders": np.array(ladders, np.int32),
        "prices": np.array(prices, np.int32),
    }
    for name, values in arrays.items():
        np.save(path / name, values)
    (path / "frame").write_bytes(msgspec.msgpack.encode(frame))
    (path / "repeated").write_bytes(msgspec.msgpack.encode(list(repeated)))


def _hundredths(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole + decimals.ljust(2, "0"))


def _open_columns(path: Path) -> Opened:
    rules = _rules(path / "frame")
    codes = tuple(noun.code for noun in rules.frame.lists)
    repeated = msgspec.msgpack.decode((path / "repeated").read_bytes())
    array = {file.stem: np.load(file, mmap_mode="r") for file in path.glob("*.npy")}
    skus = array["skus"]
    firsts, shapes, costs, lists, ladders, prices = (
        memoryview(array[name]) for name in ("firsts", "shapes", "costs", "lists", "ladders", "prices")
    )

    def lookup(sku: str, wanted: Container[str]) -> SkuEntry | None:
        key = sku.encode()
        number = int(np.searchsorted(skus, key))
        if number == len(skus) or skus[number] != key:
            return None
        rows = []
        for at in range(firsts[number], firsts[number + 1]):
            code = codes[lists[at]]
            if code in wanted:
                tiers = tuple(
                    Tier(from_=bound, unit_price=_text(price))
                    for bound, price in zip(repeated[ladders[at]], prices[4 * at : 4 * at + 4], strict=True)
                )
                rows.append(PriceRow(list=code, sku=sku, unit="each", model=RowModel.VOLUME, tiers=tiers))
        units, categories, brand = repeated[shapes[number]]
        return SkuEntry(
            facts=SkuFacts(
                sku=sku,
                units=tuple(UnitFact(**unit) for unit in units),
                categories=tuple(categories),
                brand=brand,
            ),
            rows=tuple(rows),
            costs=(Cost(sku=sku, currency=CURRENCY, cost=_text(costs[number])),),
        )

    return rules, lookup


def _text(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02}".rstrip("0").rstrip(".")


# --- LMDB and SQLite: the same bytes as ours, found by another's index ---


def _records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Write the frame under *path*; give of each SKU its code, and what ours keeps of it."""
    path.mkdir()
    frame, entries = benchmark_entries(ROWS)
    (path / "frame").write_bytes(msgspec.msgpack.encode(frame))
    numbers = {noun.code: number for number, noun in enumerate(frame.lists)}
    for entry in entries:
        yield entry.facts.sku.encode(), record_of(entry, numbers)


def _build_lmdb(path: Path) -> None:
    records = _records(path)
    first = next(records)
    with lmdb.open(str(path), map_size=1 << 34, sync=False) as environment, environment.begin(write=True) as writing:
        for key, record in chain([first], records):
            writing.put(key, record, append=True)


def _open_lmdb(path: Path) -> Opened:
    rules = _rules(path / "frame")
    codes = tuple(noun.code for noun in rules.frame.lists)
    environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
    get = environment.begin(buffers=False).get

    def lookup(sku: str, lists: Container[str]) -> SkuEntry | None:
        record = get(sku.encode())
        return None if record is None else entry_of(record, codes, lists)

    return rules, lookup


def _build_sqlite(path: Path) -> None:
    records = _records(path)
    first = next(records)
    with closing(sqlite3.connect(path / "book.sqlite")) as connection, connection:
        connection.execute("pragma journal_mode = off")
        connection.execute("create table entry (sku blob primary key, record blob not null) without rowid")
        connection.executemany("insert into entry values (?, ?)", chain([first], records))


def _open_sqlite(path: Path) -> Opened:
    rules = _rules(path / "frame")
    codes = tuple(noun.code for noun in rules.frame.lists)
    connection = sqlite3.connect(f"file:{path / 'book.sqlite'}?mode=ro&immutable=1", uri=True)
    connection.execute(f"pragma mmap_size = {1 << 34}")

    def lookup(sku: str, lists: Container[str]) -> SkuEntry | None:
        found = connection.execute("select record from entry where sku = ?", (sku.encode(),)).fetchone()
        return None if found is None else entry_of(found[0], codes, lists)

    return rules, lookup


# --- Plain objects ---


def _build_objects(path: Path) -> None:
    frame, entries = benchmark_entries(ROWS)
    path.write_bytes(msgspec.msgpack.encode((frame, list(entries))))


def _open_objects(path: Path) -> Opened:
    frame, entries = msgspec.msgpack.decode(path.read_bytes(), type=tuple[Frame, list[SkuEntry]])
    of_sku = {entry.facts.sku: entry for entry in entries}
    return Rules(frame), lambda sku, _: of_sku.get(sku)


# --- Shared ---


def _rules(path: Path) -> Rules:
    return Rules(msgspec.msgpack.decode(path.read_bytes(), type=Frame))


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


FORMS: Final = (
    Form(name="records mapped, rows of the buyer's lists", build=_build_file, open=_open_file),
    Form(name="records mapped, whole entries", build=_build_file, open=_open_file_whole),
    Form(name="nouns as MessagePack mapped, bisected", build=_build_nouns, open=_open_nouns),
    Form(name="columns mapped, entry assembled", build=_build_columns, open=_open_columns),
    Form(name="LMDB of the same records", build=_build_lmdb, open=_open_lmdb),
    Form(name="SQLite, immutable, of the same records", build=_build_sqlite, open=_open_sqlite),
    Form(name="plain objects", build=_build_objects, open=_open_objects),
)

if __name__ == "__main__":
    sys.exit(main())
