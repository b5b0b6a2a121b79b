"""The price feed as a Parquet file: typed columns, amounts as exact decimals, the book's root in the file itself.

Rows are gathered into row groups of a fixed size, each written and let go before the next, so that memory stays flat
whatever the size of the book. The same rows give the same bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # nor here

from pricing.feed import FeedRow

ROWS_IN_GROUP: Final = 16_384
ROWS_AT_ONCE: Final = 40
"""Priced before other requests get their turn."""

AMOUNT: Final = pa.decimal128(38, 12)
"""Every amount and quantity of the engine fits: 18 digits before the point and 12 behind it, or an amount's 26."""
_FEW: Final = pa.dictionary(pa.int32(), pa.string())
_INSTANT: Final = pa.timestamp("us", "UTC")
SCHEMA: Final = pa.schema(
    [
        pa.field("sku", pa.string(), nullable=False),
        pa.field("unit", _FEW, nullable=False),
        pa.field("from_quantity", AMOUNT, nullable=False),
        pa.field("unit_price", AMOUNT),
        pa.field("price_unit", _FEW, nullable=False),
        pa.field("line_total", AMOUNT, nullable=False),
        pa.field("currency", _FEW, nullable=False),
        pa.field("tax_included", pa.bool_(), nullable=False),
        pa.field("list", _FEW, nullable=False),
        pa.field("valid_until", _INSTANT),
    ]
)


async def feed_parquet(rows: Iterator[FeedRow], said: Mapping[str, str]) -> AsyncIterator[bytes]:
    """The file in pieces. *said* stands in its key-value metadata, each name led by `tarifa.`."""
    sink = _Sink()
    schema = SCHEMA.with_metadata({f"tarifa.{name}": value for name, value in said.items()})
    with pq.ParquetWriter(sink, schema, compression="zstd", store_schema=True) as writer:
        while group := await _gathered(rows):
            await asyncio.to_thread(writer.write_table, table_of(group, schema))
            yield sink.taken()
    yield sink.taken()


def table_of(rows: list[FeedRow], schema: Any = SCHEMA) -> Any:
    """The rows as an Arrow table of *schema*."""
    return pa.table(
        [pa.array([getattr(row, field.name) for row in rows], _read_as(field.type)) for field in schema],
        names=schema.names,
    ).cast(schema)


async def _gathered(rows: Iterator[FeedRow]) -> list[FeedRow]:
    """The next row group; empty at the end."""
    group: list[FeedRow] = []
    while len(group) < ROWS_IN_GROUP:
        few = list(islice(rows, min(ROWS_AT_ONCE, ROWS_IN_GROUP - len(group))))
        if not few:
            break
        group += few
        await asyncio.sleep(0)
    return group


def _read_as(kind: Any) -> Any:
    """Decimals come as texts, and are read as such before they are cast."""
    return pa.string() if pa.types.is_decimal(kind) or pa.types.is_dictionary(kind) else kind


class _Sink:
    """A file that is written from its beginning to its end, and emptied meanwhile."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._written += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """What was written is still there to be taken."""

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
