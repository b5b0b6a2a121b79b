"""The whole feed as one file, CSV or Parquet: what `GET /api/v1/price-feed` says in pages.

A file is made once for each book, reader, currency and interval between the edges of windows, and is read while it is
being made. Its headers are what a delta is asked with.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from typing import Final

from litestar import Response, get
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from kernel.errors import DomainError
from pricing.feed import FeedRow, csv_lines, feed_rows
from pricing.feed_files import Make, read_part
from web.api import wire
from web.api.context import context_of
from web.api.describing import ASKED, documented
from web.api.price_feed import FeedState, state_at, tag_of
from web.api.reading import caching, given, header_text, is_fresh, not_modified, read_query
from web.edge import is_head
from web.http import AnyRequest, services_of

CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
LINES_AT_ONCE: Final = 40
"""Made before other requests get their turn."""
WRITER: Final = f"pyarrow {version('pyarrow')}"
"""The bytes of a Parquet file depend on who writes it."""
_RANGE: Final = re.compile(r"bytes=([0-9]{1,15})?-([0-9]{1,15})?\Z")


class RangeNotSatisfiable(DomainError):
    """`extra["size"]` is how many bytes the file has."""

    problem = "range-not-satisfiable"
    status = 416
    title = "There is no such part of the file"


@get(
    "/api/v1/feed.csv",
    tags=["prices"],
    operation_id="get_feed",
    summary="Every price you may see, as CSV",
    response_description="One row for every SKU, unit and rung of its ladder.",
    **documented(
        *(*ASKED, 206, 304, 416, 422),
        query=wire.FeedAsked,
        answer=None,
        media_type=CSV,
        cached=True,
        ranged=True,
    ),
)
async def get_feed(request: AnyRequest) -> Response[bytes] | Stream:
    """Give the whole book as this buyer may see it. A quantity priced by its row comes to what a quote says of it.

    The header `Tarifa-Price-Root` and every row name the book.
    """
    state = await _state(request)
    return await _file(request, state, tag_of("csv", state), "prices.csv", CSV, lambda: _csv(_rows(state)))


@get(
    "/api/v1/feed.parquet",
    tags=["prices"],
    operation_id="get_feed_parquet",
    summary="Every price you may see, as Parquet",
    response_description="The rows of the CSV with typed columns; root, instant and reader are in its metadata.",
    **documented(
        *(*ASKED, 206, 304, 416, 422),
        query=wire.FeedAsked,
        answer=None,
        media_type=PARQUET,
        cached=True,
        ranged=True,
    ),
)
async def get_feed_parquet(request: AnyRequest) -> Response[bytes] | Stream:
    """Give the whole book as this buyer may see it. Amounts and quantities are exact: `decimal128(38, 12)`.

    The header `Tarifa-Price-Root` and the file's key-value metadata (`tarifa.root`, `tarifa.at`, `tarifa.reader` ...)
    name the book.
    """
    state = await _state(request)
    tag = tag_of("parquet", state, WRITER)
    return await _file(request, state, tag, "prices.parquet", PARQUET, lambda: _parquet(state))


HANDLERS: Final[list[ControllerRouterHandler]] = [get_feed, get_feed_parquet]


async def _state(request: AnyRequest) -> FeedState:
    asked = read_query(request, wire.FeedAsked)
    context = context_of(request, currency=given(asked.currency), country=given(asked.country))
    return await state_at(request, context, context.book.root, context.at)


async def _file(
    request: AnyRequest, state: FeedState, tag: str, name: str, media_type: str, make: Make
) -> Response[bytes] | Stream:
    wanted, continued = header_text(request, "range"), header_text(request, "if-range")
    headers = {
        **caching(request, tag),
        "tarifa-price-root": state.context.book.root,
        "tarifa-feed-at": _written(state.context.at),
        "tarifa-feed-reader": state.reader,
    }
    if is_fresh(request, tag):
        return not_modified(headers)
    headers |= {"content-disposition": f'attachment; filename="{name}"', "accept-ranges": "bytes"}
    files, kept_as = services_of(request).feed_files, f"{tag}.{name.partition('.')[2]}"
    path = files.find(kept_as)
    if is_head(request.scope):
        if path is not None:
            headers["content-length"] = str(path.stat().st_size)
        return Stream(iter(()), media_type=media_type, headers=headers)
    if path is None:
        pieces = files.read(kept_as, make)
        return Stream(pieces, media_type=media_type, headers=headers)
    size = path.stat().st_size
    part = _part(wanted, size) if continued in {None, "", f'"{tag}"'} else None
    start, end = part or (0, size)
    headers["content-length"] = str(end - start)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    status = 200 if part is None else 206
    return Stream(read_part(path, start, end), media_type=media_type, headers=headers, status_code=status)


def _part(range_header: str | None, size: int) -> tuple[int, int] | None:
    """The part of a file of *size* that is wanted, from its first byte to the one after its last; None: all of it.

    :raises RangeNotSatisfiable: when the file has no such part
    """
    wanted = _RANGE.match(range_header or "")
    if wanted is None:
        return None
    first, last = wanted.groups()
    if first is None:
        start, end = size - min(int(last or 0), size), size
    else:
        start, end = int(first), size if last is None else min(int(last) + 1, size)
        if last is not None and int(last) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiable(f"The file has {size} bytes.", size=size)
    return start, end


async def _csv(rows: Iterator[FeedRow]) -> AsyncIterator[bytes]:
    lines = csv_lines(rows)
    while chunk := "".join(islice(lines, LINES_AT_ONCE)):
        yield chunk.encode()
        await asyncio.sleep(0)


def _parquet(state: FeedState) -> AsyncIterator[bytes]:
    from pricing.feed_parquet import feed_parquet  # only who is asked for such files loads what writes them

    context = state.context
    said = {
        "root": context.book.root,
        "at": _written(context.at),
        "reader": state.reader,
        "company": context.buyer.company or "",
        "currency": context.currency,
        "country": context.country,
        "valid_until": "" if state.until is None else _written(state.until),
    }
    return feed_parquet(_rows(state), said)


def _rows(state: FeedState) -> Iterator[FeedRow]:
    context = state.context
    return feed_rows(
        context.book, context.book.skus(), context.buyer, currency=context.currency, tax=state.tax, at=context.at
    )


def _written(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
