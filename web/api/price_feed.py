"""The feed as pages of JSON, and what changed between two states of it.

All pages of a chain are of one book at one instant, which the cursor carries: a publication meanwhile, or the end of a
promotion, does not mix two feeds.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Final

import msgspec
from litestar import Response, get
from litestar.types import ControllerRouterHandler

from checkout.offer import delivery_for
from kernel.canonical import canonical_json
from pricing.engine.request import TaxInput
from pricing.feed import FeedRow, feed_rows
from pricing.feed_state import FeedGone, book_of, period_of
from web.api import wire_books
from web.api.context import Context, context_of
from web.api.cursors import NoSuchPage, cursor_of, read_cursor
from web.api.describing import documented
from web.api.outline import Outline, edges_of, outline_of
from web.api.reading import answered, caching, given, is_fresh, not_modified, read_query
from web.http import AnyRequest, services_of

SKUS_AT_ONCE: Final = 20
"""Priced before other requests get their turn."""


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a chain of pages stands: the feed it is of, and the last SKU shown."""

    root: str
    at: datetime
    reader: str
    after: str


class FeedState(msgspec.Struct, frozen=True, kw_only=True):
    """One feed: *context* is at the first instant of its interval. *until*: the interval's end, None for never."""

    context: Context
    tax: TaxInput
    reader: str
    until: datetime | None


@get(
    "/api/v1/price-feed",
    tags=["prices"],
    operation_id="list_feed",
    summary="Every price you may see, in pages",
    response_description="The rows of some SKUs, and where to go on.",
    **documented(
        304,
        400,
        401,
        403,
        404,
        410,
        422,
        503,
        query=wire_books.FeedPageAsked,
        answer=wire_books.FeedPage,
        cached=True,
    ),
)
async def list_feed(request: AnyRequest) -> Response[bytes]:
    """Read the feed page by page: ask again with `cursor` set to the answer's `next`. All pages of a chain are of one
    book at one instant, whatever is published meanwhile. The rows are those of `GET /api/v1/feed.csv`.
    """
    asked = read_query(request, wire_books.FeedPageAsked)
    state, after = await _chain(request, asked)
    context = state.context
    tag = tag_of("page", state, after, str(asked.limit))
    headers = caching(request, tag)
    if is_fresh(request, tag):
        return not_modified(headers)
    try:
        found = [entry.facts.sku for entry in islice(context.book.entries(after or None), asked.limit + 1)]
    except KeyError:
        raise NoSuchPage("This cursor is none of ours. Begin without.") from None
    skus = found[: asked.limit]
    rows: list[FeedRow] = []
    for start in range(0, len(skus), SKUS_AT_ONCE):
        rows += rows_of(state, skus[start : start + SKUS_AT_ONCE])
        await asyncio.sleep(0)
    further = None
    if len(found) > asked.limit:
        further = cursor_of(_Place(root=context.book.root, at=context.at, reader=state.reader, after=skus[-1]))
    body = wire_books.FeedPage(
        root=context.book.root,
        at=context.at,
        reader=state.reader,
        company=context.buyer.company,
        currency=context.currency,
        country=context.country,
        country_assumed=context.country_assumed,
        valid_until=state.until,
        rows=tuple(row_of(row) for row in rows),
        next=further,
    )
    return answered(body, headers=headers)


HANDLERS: Final[list[ControllerRouterHandler]] = [list_feed]


async def state_at(request: AnyRequest, context: Context, root: str, at: datetime) -> FeedState:
    """The feed of *root* at *at* for the buyer of *context*.

    :raises NotInForceThen: and `FeedGone`, as `pricing.feed_state.period_of`
    """
    books = services_of(request).books
    period = period_of(books, root, at, now=context.at)
    then = msgspec.structs.replace(context, at=at, book=await book_of(books, root, at, now=context.at))
    outline = await outline_of(then.book)
    edges = edges_of(then.book, outline, then.buyer, then.currency)
    passed = bisect_right(edges, at)
    start = max(period.effective_at, edges[passed - 1]) if passed else period.effective_at
    begun = msgspec.structs.replace(then, at=_same_tax(then, outline, start))
    return FeedState(
        context=begun,
        tax=begun.tax(outline.tax_categories),
        reader=reader_of(context),
        until=edges[passed] if passed < len(edges) else None,
    )


def reader_of(context: Context) -> str:
    """Names all that prices hang on besides book and instant."""
    company = context.company
    delivery = delivery_for(company, None if context.country_assumed else context.country)
    status = None if company is None else company.tax_status
    said = canonical_json([context.buyer, context.currency, delivery, status])
    return sha256(said).hexdigest()[:32]


def rows_of(state: FeedState, skus: Iterable[str]) -> list[FeedRow]:
    context = state.context
    return list(feed_rows(context.book, skus, context.buyer, currency=context.currency, tax=state.tax, at=context.at))


def row_of(row: FeedRow) -> wire_books.FeedRow:
    return wire_books.FeedRow(
        sku=row.sku,
        unit=row.unit,
        from_quantity=row.from_quantity,
        unit_price=row.unit_price,
        price_unit=row.price_unit,
        line_total=row.line_total,
        tax_included=row.tax_included,
        list=row.list,
        valid_until=row.valid_until,
    )


def tag_of(form: str, state: FeedState, *more: str) -> str:
    """An entity tag of bytes: everything that they depend on."""
    context = state.context
    said = [_SHAPE, form, context.book.root, context.at.isoformat(), state.reader, context.country, state.tax, *more]
    return sha256(canonical_json(said)).hexdigest()[:32]


async def _chain(request: AnyRequest, asked: wire_books.FeedPageAsked) -> tuple[FeedState, str]:
    """The feed that the page is of, and the SKU after which it begins: empty for the first page."""
    context = context_of(request, currency=given(asked.currency), country=given(asked.country))
    cursor = given(asked.cursor)
    if cursor is None:
        return await state_at(request, context, context.book.root, context.at), ""
    place = read_cursor(cursor, _Place)
    if place.reader != reader_of(context):
        raise FeedGone(
            "This chain of pages is of another key, currency or country, or your company's terms have changed. Begin "
            "again without a cursor."
        )
    if place.at.tzinfo is None:
        raise NoSuchPage("This cursor is none of ours. Begin without.")
    return await state_at(request, context, place.root, place.at), place.after


def _same_tax(context: Context, outline: Outline, start: datetime) -> datetime:
    """*start*, or if taxes have changed since, the midnight after which they have not."""
    categories = outline.tax_categories
    begun = msgspec.structs.replace(context, at=start)
    if begun.tax(categories) == context.tax(categories):
        return start
    midnight = context.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(start, midnight)


_SHAPE: Final = sha256(msgspec.json.encode(msgspec.json.schema(wire_books.FeedPage), order="sorted")).hexdigest()
