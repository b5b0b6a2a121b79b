"""The compiled form of a book: one file per root, mapped into memory and shared by all workers of a machine.

    magic, length of the header (4 bytes, big-endian), header (msgpack: root, SHA-256 and sizes of what follows)
    frame: everything that is not per SKU (msgpack)
    index: per SKU, in byte order, 8 bytes: where its record starts, counted from the first record
    records: per SKU, lengths of key and entry (2 and 4 bytes), key, entry (msgpack)

A worker holds the frame and the entries it was asked for lately; the rest stays in the page cache. A file is written
beside its place, flushed and renamed, so a reader sees a whole one or none, and it is never changed: the root names
it. Costs are inside, so only the house's own user may read it.
"""

import hashlib
import mmap
import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from pricing.engine.book import BookContent, Frame, SkuEntry
from pricing.engine.memory import entries_of, frame_of
from pricing.engine.rules import Rules

MAGIC: Final = b"TARIFABOOK\x00\x01"
SUFFIX: Final = ".book"
UNFINISHED: Final = ".unfinished"
ENTRIES_KEPT: Final = 8192

_encoder: Final = msgspec.msgpack.Encoder()
_frame_decoder: Final = msgspec.msgpack.Decoder(Frame)
_entry_decoder: Final = msgspec.msgpack.Decoder(SkuEntry)


class DamagedBookFile(Exception):
    """The file is not the whole, unchanged compiled form of the root asked for. Compile it again."""


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    root: str
    sha256: bytes
    frame_size: int
    sku_count: int
    records_size: int


def book_path(folder: Path, root: str) -> Path:
    """Where the compiled form of *root* (`sha256:<hex>`) stands."""
    return folder / (root.removeprefix("sha256:") + SUFFIX)


def write_book(content: BookContent, root: str, folder: Path) -> Path:
    """Compile *content*, which is what *root* names, and put it in its place.

    :raises BookError: when the content cannot be priced
    """
    rules = frame_of(content)
    Rules(rules)  # what cannot be loaded is refused here, not by every worker
    records = {entry.facts.sku.encode(): _encoder.encode(entry) for entry in entries_of(content)}
    frame = _encoder.encode(rules)
    index, body = bytearray(), bytearray()
    for key in sorted(records):
        index += len(body).to_bytes(8, "big")
        body += len(key).to_bytes(2, "big") + len(records[key]).to_bytes(4, "big") + key + records[key]
    header = _encoder.encode(
        _Header(
            root=root,
            sha256=_digest(frame, index, body),
            frame_size=len(frame),
            sku_count=len(records),
            records_size=len(body),
        )
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = book_path(folder, root)
    # mkstemp makes the file readable by its owner alone
    descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=path.stem[:16] + ".", suffix=UNFINISHED)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for part in (MAGIC, len(header).to_bytes(4, "big"), header, frame, index, body):
                file.write(part)
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


class CompiledBook:
    """A book read from its compiled file; implements the engine's `Book`. Safe to share between threads.

    It keeps its file mapped while anything refers to it, also after the file was replaced or removed.
    """

    def __init__(self, path: Path, *, root: str) -> None:
        """:raises DamagedBookFile: when the file is not the whole compiled form of *root*
        :raises FileNotFoundError: when there is none
        """
        with path.open("rb") as file:
            try:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise DamagedBookFile(f"{path.name} is empty.") from error
        header, frame, self._records = _parts(mapped, path.name)
        if header.root != root:
            raise DamagedBookFile(f"{path.name} holds {header.root}, not {root}.")
        self.root = root
        self.rules = Rules(_frame_decoder.decode(frame))
        self.entry = lru_cache(maxsize=ENTRIES_KEPT)(self._records.entry)

    def __len__(self) -> int:
        """How many SKUs the book knows."""
        return len(self._records)

    def skus(self) -> Iterator[str]:
        """All SKUs of the book, in byte order."""
        return (self._records[number].decode() for number in range(len(self._records)))

    def entries(self) -> Iterator[SkuEntry]:
        """Every entry in the order of `skus`, decoded one at a time and not kept."""
        return (self._records.decoded(number) for number in range(len(self._records)))


class _Records:
    """The index and records of a mapped file, as a sequence of keys for `bisect`."""

    def __init__(self, mapped: mmap.mmap, start: int, count: int) -> None:
        self._mapped = mapped
        self._index = start
        self._count = count
        self._first = start + 8 * count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> bytes:
        at = self._at(number)
        return self._mapped[at + 6 : at + 6 + int.from_bytes(self._mapped[at : at + 2], "big")]

    def entry(self, sku: str) -> SkuEntry | None:
        key = sku.encode("utf-8", "surrogatepass")
        number = bisect_left(self, key)
        if number == self._count or self[number] != key:
            return None
        return self.decoded(number)

    def decoded(self, number: int) -> SkuEntry:
        at = self._at(number)
        start = at + 6 + int.from_bytes(self._mapped[at : at + 2], "big")
        return _entry_decoder.decode(self._mapped[start : start + int.from_bytes(self._mapped[at + 2 : at + 6], "big")])

    def _at(self, number: int) -> int:
        place = self._index + 8 * number
        return self._first + int.from_bytes(self._mapped[place : place + 8], "big")


def _parts(mapped: mmap.mmap, name: str) -> tuple[_Header, bytes, _Records]:
    """Header, frame and records; every byte checked against the header's sizes and digest."""
    start = len(MAGIC) + 4
    if mapped[: len(MAGIC)] != MAGIC:
        raise DamagedBookFile(f"{name} is no compiled book of this release.")
    end = start + int.from_bytes(mapped[len(MAGIC) : start], "big")
    try:
        header = msgspec.msgpack.decode(mapped[start:end], type=_Header)
    except msgspec.MsgspecError as error:
        raise DamagedBookFile(f"{name} has no readable header.") from error
    index = end + header.frame_size
    records = index + 8 * header.sku_count
    if len(mapped) != records + header.records_size:
        raise DamagedBookFile(f"{name} has {len(mapped)} bytes and should have {records + header.records_size}.")
    with memoryview(mapped) as view, view[end:] as body:
        if hashlib.sha256(body).digest() != header.sha256:
            raise DamagedBookFile(f"{name} was changed after it was written.")
    return header, mapped[end:index], _Records(mapped, index, header.sku_count)


def _digest(*parts: bytes | bytearray) -> bytes:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return hasher.digest()
