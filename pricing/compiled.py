"""The compiled form of a book: one file per root, mapped into memory and shared by all workers of a machine.

    head: magic with the byte order, where the directory stands, its size and checksum
    records: per SKU in byte order: sizes, code, lists and lengths of its rows, facts, costs, rows, CRC-32
    sections, each on a multiple of 64 bytes: the frame (msgpack), the slots, and `sweep`'s columns as plain arrays
    directory (msgpack): the root, and of each section its name, place, type and checksum

A slot holds where a record begins and 16 bits of its code's CRC-32, whose first bits say where to look: a SKU is found
by one probe or two, whatever the size of the book. A row is found by its list without reading the others, for of ten
rows of a SKU a buyer meets three.

Directory, frame and slots are checked when a book is opened, a record when it is read and the columns when they are
first asked for, so opening takes the same milliseconds at any size and yet no damaged byte ever makes a price. A
worker holds the frame and the entries it was asked for lately; the rest stays in the page cache. A file is written
beside its place, flushed and renamed, so a reader sees a whole one or none, and it is never changed: the root names
it. Costs are inside, so only the house's own user may read it.
"""

import mmap
import os
import sys
import tempfile
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from struct import Struct
from typing import IO, Any, Final
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from kernel.errors import Unavailable
from pricing.engine.book import (
    BookContent,
    Cost,
    Frame,
    Package,
    PriceRow,
    RowModel,
    SkuEntry,
    SkuFacts,
    Tier,
    UnitFact,
)
from pricing.engine.columns import Columns, ColumnsBuilder
from pricing.engine.memory import entries_of, frame_of
from pricing.engine.rules import BookError, Rules

MAGIC: Final = b"TARIFABOOK\x03" + sys.byteorder[:1].encode()
SUFFIX: Final = ".book"
UNFINISHED: Final = ".unfinished"
ENTRIES_KEPT: Final = 2048
SHAPES_KEPT: Final = 16_384
ALIGNMENT: Final = 64

_HEAD: Final = Struct("=QQI")
"""Where the directory stands, its size, its checksum."""
_RECORD: Final = Struct("=IHIII")
"""Size of what follows this head, sizes of code, facts and costs in it, number of rows."""
_WHOLE: Final = 0x2144DF1C
"""The CRC-32 of anything followed by its own CRC-32."""
_START: Final = len(MAGIC) + _HEAD.size
_FRAME: Final = "frame"
_SLOTS: Final = "slots"
_COLUMNS: Final = "columns/"
_MODELS: Final = tuple(RowModel)
_MODEL_NUMBERS: Final = {model: number for number, model in enumerate(_MODELS)}
_FINGERPRINT: Final = 16


class BookUnavailable(Unavailable):
    problem = "price-book-unavailable"
    title = "Prices cannot be answered rightly at the moment"


class DamagedBookFile(BookUnavailable):
    """The file is not the whole, unchanged compiled form of the root asked for. Compile it again."""


class _Section(msgspec.Struct, frozen=True, array_like=True):
    name: str
    at: int
    size: int
    dtype: str
    checksum: int


class _Directory(msgspec.Struct, frozen=True, kw_only=True):
    root: str
    sku_count: int
    records_end: int
    sections: tuple[_Section, ...]


# What is stored is not the nouns: their types check every text by a pattern, at twenty times the cost of reading it.


class _Shape(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A SKU's facts without its code; thousands of SKUs share them."""

    units: tuple[UnitFact, ...]
    categories: tuple[str, ...]
    brand: str | None
    break_group: str | None
    tax_category: str


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """*tiers*: bound and price in turn; *unit* and *model* are numbers. The rest is stored where it is not the default:
    *above* has a bit for each tier whose bound is exclusive, *fees* one fee a tier.
    """

    tiers: tuple[str, ...]
    unit: int
    model: int
    above: int = 0
    fees: tuple[str, ...] = ()
    package: Package | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_frame: Final = msgspec.msgpack.Decoder(Frame).decode
_decode_directory: Final = msgspec.msgpack.Decoder(_Directory).decode
_decode_costs: Final = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_decode_row: Final = msgspec.msgpack.Decoder(_Row).decode
_shape: Final = lru_cache(maxsize=SHAPES_KEPT)(msgspec.msgpack.Decoder(_Shape).decode)


def book_path(folder: Path, root: str) -> Path:
    """Where the compiled form of *root* (`sha256:<hex>`) stands."""
    return folder / (root.removeprefix("sha256:") + SUFFIX)


# --- Writing ---


def write_book(content: BookContent, root: str, folder: Path, *, sound: bool = False) -> Path:
    """Compile *content*, which is what *root* names, and put it in its place. *sound*: `check` found no error in it.

    :raises BookError: when the content cannot be priced
    """
    ordered = msgspec.structs.replace(content, skus=tuple(sorted(content.skus, key=lambda facts: facts.sku.encode())))
    return write_entries(frame_of(content), entries_of(ordered, sound=sound), root, folder)


def write_entries(frame: Frame, entries: Iterable[SkuEntry], root: str, folder: Path) -> Path:
    """Compile a book that comes SKU by SKU, in byte order of their codes, and put it in its place. Memory is needed
    for 16 bytes a SKU and for the columns, which are numbers, and for no row as an object.

    *entries* are as `entries_of` gives them, or `checked` by whoever made them.

    :raises BookError: when the frame cannot be priced, or the SKUs do not ascend
    """
    Rules(frame)  # what cannot be loaded is refused here, not by every worker
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = book_path(folder, root)
    # mkstemp makes the file readable by its owner alone
    descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=path.stem[:16] + ".", suffix=UNFINISHED)
    try:
        with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
            _Writer(file, frame).write(entries, root)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return path


class _Writer:
    def __init__(self, file: IO[bytes], frame: Frame) -> None:
        self._file = file
        self._frame = frame
        self._at = 0
        self._sections: list[_Section] = []

    def write(self, entries: Iterable[SkuEntry], root: str) -> None:
        self._put(MAGIC + _HEAD.pack(0, 0, 0))
        columns = ColumnsBuilder(self._frame)
        hashes, places = self._records(entries, columns)
        records_end = self._at
        self._section(_FRAME, np.frombuffer(_encode(self._frame), np.uint8))
        self._section(_SLOTS, _slots(np.array(hashes, np.uint64), np.array(places, np.uint64)))
        for name, values in columns.columns().arrays().items():
            self._section(_COLUMNS + name, values)
        directory = _encode(
            _Directory(root=root, sku_count=len(places), records_end=records_end, sections=tuple(self._sections))
        )
        place = self._at
        self._put(directory)
        self._file.seek(len(MAGIC))
        self._file.write(_HEAD.pack(place, len(directory), crc32(directory)))

    def _records(self, entries: Iterable[SkuEntry], columns: ColumnsBuilder) -> "tuple[array[int], array[int]]":
        """Of each record the CRC-32 of its code, and where it stands."""
        numbers = {noun.code: number for number, noun in enumerate(self._frame.lists)}
        hashes, places, last = array("Q"), array("Q"), b""
        for entry in entries:
            key = entry.facts.sku.encode()
            if key <= last:
                raise BookError(f"SKU {entry.facts.sku} stands after one that is not below it.")
            last = key
            hashes.append(crc32(key))
            places.append(self._at)
            self._put(record_of(entry, numbers))
            columns.add(entry)
        return hashes, places

    def _section(self, name: str, values: NDArray[Any]) -> None:
        self._put(bytes(-self._at % ALIGNMENT))
        body = np.ascontiguousarray(values).view(np.uint8).data
        self._sections.append(_Section(name, self._at, body.nbytes, values.dtype.str, crc32(body)))
        self._put(body)

    def _put(self, body: "bytes | memoryview") -> None:
        self._file.write(body)
        self._at += len(body)


def record_of(entry: SkuEntry, numbers: Mapping[str, int]) -> bytes:
    """An entry as it is stored. *numbers*: of the book's lists, by code."""
    facts = entry.facts
    key = facts.sku.encode()
    shape = _encode((facts.units, facts.categories, facts.brand, facts.break_group, facts.tax_category))
    costs = _encode([text for cost in entry.costs for text in (cost.currency, cost.cost)]) if entry.costs else b""
    units = {fact.unit: number for number, fact in enumerate(facts.units)}
    rows = [_stored(row, units[row.unit]) for row in entry.rows]
    index = _index(len(rows)).pack(*(numbers[row.list] for row in entry.rows), *map(len, rows))
    parts = b"".join((key, index, shape, costs, *rows))
    record = _RECORD.pack(len(parts) + 4, len(key), len(shape), len(costs), len(rows)) + parts
    return record + crc32(record).to_bytes(4, "little")


@lru_cache(maxsize=1024)
def _index(rows: int) -> Struct:
    """The numbers of the rows' lists, then their lengths."""
    return Struct(f"={2 * rows}I")


def _stored(row: PriceRow, unit: int) -> bytes:
    tiers: list[str] = []
    above, fees = 0, False
    for number, tier in enumerate(row.tiers):
        bound = tier.from_
        if bound is None:
            assert tier.above is not None
            bound, above = tier.above, above | 1 << number
        tiers += bound, tier.unit_price
        fees = fees or tier.flat_fee != "0"
    shortest = (tiers, unit, _MODEL_NUMBERS[row.model])
    if above or fees or row.package is not None or row.starts_at is not None or row.ends_at is not None:
        all_fees = [tier.flat_fee for tier in row.tiers] if fees else ()
        return _encode((*shortest, above, all_fees, row.package, row.starts_at, row.ends_at))
    return _encode(shortest)


def _slots(hashes: NDArray[np.uint64], places: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A table at least twice as long as it has records, each standing at the first bits of its hash or in the next free
    slot; the last slot is empty, so that every search ends.
    """
    length = _slot_bits(len(hashes))
    order = np.argsort(hashes, kind="stable")
    hashes, places = hashes[order], places[order]
    numbers = np.arange(len(hashes), dtype=np.int64)
    wanted = (hashes >> np.uint64(32 - length)).astype(np.int64)
    at = np.maximum.accumulate(wanted - numbers) + numbers
    slots = np.zeros(max(1 << length, int(at[-1]) + 1 if len(at) else 0) + 1, np.uint64)
    slots[at] = places << np.uint64(_FINGERPRINT) | hashes & np.uint64((1 << _FINGERPRINT) - 1)
    return slots


def _slot_bits(count: int) -> int:
    return max(count * 2 - 1, 1).bit_length()


# --- Reading ---


class CompiledBook:
    """A book read from its compiled file; implements the engine's `Book`. Safe to share between threads.

    It keeps its file mapped while anything refers to it, also after the file was replaced or removed.

    :raises DamagedBookFile: from everything that reads what turns out to be damaged; `on_damage` is called before
    """

    def __init__(self, path: Path, *, root: str, on_damage: "Callable[[CompiledBook], None] | None" = None) -> None:
        """:raises DamagedBookFile: when the file is not the whole compiled form of *root*
        :raises FileNotFoundError: when there is none
        """
        self.root = root
        self._name = path.name
        self._on_damage: Callable[[CompiledBook], None] | None = None  # here whoever opens it is told at once
        with path.open("rb") as file:
            self._file = os.fstat(file.fileno())
            try:
                self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise self._damaged("is empty") from error
        directory = self._directory()
        if directory.root != root:
            raise self._damaged(f"holds {directory.root}, not {root}")
        self._count = directory.sku_count
        self._records_end = directory.records_end
        self._sections = {section.name: section for section in directory.sections}
        self.rules = Rules(_decode_frame(self._section(_FRAME).tobytes()))
        self._slots = self._section(_SLOTS).data.cast("B").cast("Q")
        self._shift = 32 - _slot_bits(self._count)
        self._lists = tuple(noun.code for noun in self.rules.frame.lists)
        self._on_damage = on_damage
        self.entry = lru_cache(maxsize=ENTRIES_KEPT)(self._entry)

    def __len__(self) -> int:
        """How many SKUs the book knows."""
        return self._count

    def entry_of_lists(self, sku: str, lists: Container[str]) -> SkuEntry | None:
        """As `entry`, with the rows of *lists* alone: what a buyer who is open to no other can be charged."""
        record = self._find(sku)
        return None if record is None else entry_of(record, self._lists, lists)

    @cached_property
    def columns(self) -> Columns:
        """The book as arrays, for `sweep`, mapped and read-only; the first call reads and checks them all."""
        arrays = {
            name.removeprefix(_COLUMNS): self._section(name) for name in self._sections if name.startswith(_COLUMNS)
        }
        return Columns.of_arrays(self.rules.frame, arrays)

    def skus(self) -> Iterator[str]:
        """All SKUs of the book, in byte order."""
        return (key_of(record).decode() for record in self.records())

    def entries(self, after: str | None = None) -> Iterator[SkuEntry]:
        """Every entry in the order of `skus`, decoded one at a time and not kept; *after*: those behind that SKU, which
        the book knows.

        :raises KeyError: when it does not know *after*
        """
        return (entry_of(record, self._lists, None) for record in self.records(after))

    def entry_in(self, record: bytes, lists: Container[str]) -> SkuEntry:
        """What one of `records` holds, with its rows of *lists*."""
        return entry_of(record, self._lists, lists)

    def records(self, after: str | None = None) -> Iterator[bytes]:
        """As `entries`, as they are stored: where two books have one frame, equal bytes are equal entries.

        :raises KeyError: as `entries`
        """
        at = _START
        if after is not None:
            place = self._place(after)
            if place is None:
                raise KeyError(after)
            at = place[0] + len(place[1])
        return self._records_from(at)

    def same_file(self, path: Path) -> bool:
        """Whether *path* still names the file that this book reads."""
        with suppress(FileNotFoundError):
            return os.path.samestat(self._file, path.stat())
        return False

    # --- Below: bytes ---

    def _entry(self, sku: str) -> SkuEntry | None:
        """Facts, rows and costs of *sku*; None when the book does not know it."""
        record = self._find(sku)
        return None if record is None else entry_of(record, self._lists, None)

    def _find(self, sku: str) -> bytes | None:
        found = self._place(sku)
        return None if found is None else found[1]

    def _place(self, sku: str) -> tuple[int, bytes] | None:
        """Where the record of *sku* stands, and the record."""
        key = sku.encode("utf-8", "surrogatepass")
        hashed = crc32(key)
        slots, slot, fingerprint = self._slots, hashed >> self._shift, hashed & 0xFFFF
        while found := slots[slot]:
            if found & 0xFFFF == fingerprint:
                record = self._record(found >> _FINGERPRINT)
                if key_of(record) == key:
                    return found >> _FINGERPRINT, record
            slot += 1
        return None

    def _records_from(self, at: int) -> Iterator[bytes]:
        while at < self._records_end:
            record = self._record(at)
            yield record
            at += len(record)

    def _record(self, at: int) -> bytes:
        end = at + _RECORD.size + int.from_bytes(self._mapped[at : at + 4], sys.byteorder)
        record = self._mapped[at:end]
        if end > self._records_end or crc32(record) != _WHOLE:
            raise self._damaged("was changed after it was written")
        return record

    def _directory(self) -> _Directory:
        """The directory, whole, and the file ending with it."""
        mapped = self._mapped
        if mapped[: len(MAGIC)] != MAGIC or len(mapped) < _START:
            raise self._damaged("is no compiled book of this release")
        at, size, checksum = _HEAD.unpack_from(mapped, len(MAGIC))
        directory = mapped[at : at + size]
        if at + size != len(mapped) or crc32(directory) != checksum:
            raise self._damaged("was cut short or changed after it was written")
        return _decode_directory(directory)

    def _section(self, name: str) -> NDArray[Any]:
        """A section as a read-only array over the mapped file, checked."""
        section = self._sections[name]
        dtype = np.dtype(section.dtype)
        values = np.frombuffer(self._mapped, dtype, section.size // dtype.itemsize, section.at)
        if crc32(values.data) != section.checksum:
            raise self._damaged("was changed after it was written")
        return values

    def _damaged(self, how: str) -> DamagedBookFile:
        if self._on_damage is not None:
            self._on_damage(self)
        return DamagedBookFile(f"{self._name} {how}. It has to be compiled again.")


def entry_of(record: bytes, codes: Sequence[str], lists: Container[str] | None) -> SkuEntry:
    """The entry of a record, with its rows of *lists*; None: of all. *codes*: of the book's lists, in order."""
    _, key_size, facts_size, costs_size, count = _RECORD.unpack_from(record)
    at = _RECORD.size + key_size
    sku = record[_RECORD.size : at].decode()
    index = _index(count).unpack_from(record, at)
    at += 8 * count
    shape = _shape(record[at : at + facts_size])
    at += facts_size
    texts = iter(_decode_costs(record[at : at + costs_size]) if costs_size else ())
    at += costs_size
    rows = []
    for number, size in zip(index[:count], index[count:], strict=True):
        code = codes[number]
        if lists is None or code in lists:
            rows.append(_row(record[at : at + size], code, sku, shape.units))
        at += size
    return SkuEntry(
        facts=SkuFacts(
            sku=sku,
            units=shape.units,
            categories=shape.categories,
            brand=shape.brand,
            break_group=shape.break_group,
            tax_category=shape.tax_category,
        ),
        rows=tuple(rows),
        costs=tuple([Cost(sku=sku, currency=currency, cost=cost) for currency, cost in zip(texts, texts, strict=True)]),
    )


def key_of(record: bytes) -> bytes:
    """The code of the record's SKU, by whose bytes records ascend."""
    return record[_RECORD.size : _RECORD.size + int.from_bytes(record[4:6], sys.byteorder)]


def _row(body: bytes, code: str, sku: str, units: tuple[UnitFact, ...]) -> PriceRow:
    stored = _decode_row(body)
    texts = iter(stored.tiers)
    pairs = zip(texts, texts, strict=True)  # the same iterator twice: bound and price in turn
    if stored.above or stored.fees:
        tiers = []
        for number, (bound, price) in enumerate(pairs):
            side = "above" if stored.above >> number & 1 else "from_"
            fee = stored.fees[number] if stored.fees else "0"
            tiers.append(Tier(**{side: bound}, unit_price=price, flat_fee=fee))
    else:
        tiers = [Tier(from_=bound, unit_price=price) for bound, price in pairs]
    return PriceRow(
        list=code,
        sku=sku,
        unit=units[stored.unit].unit,
        tiers=tuple(tiers),
        model=_MODELS[stored.model],
        package=stored.package,
        starts_at=stored.starts_at,
        ends_at=stored.ends_at,
    )
