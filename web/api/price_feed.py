"""The feed as pages of JSON, and what changed between two states of it.

All pages of a chain are of one book at one instant, which the cursor carries: a publication meanwhile, or the end of a
promotion, does not mix two feeds.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import Annotated, Final

import msgspec
from litestar import Response, get
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from checkout.offer import delivery_for
from kernel.canonical import canonical_json
from pricing.engine.memo import Memo
from pricing.engine.request import TaxInput
from pricing.feed import FeedRow, feed_rows
from pricing.feed_delta import Feed, SkuChange, sku_changes
from pricing.feed_state import FeedGone, NotInForceThen, book_of, last_in_force, period_of
from web.api import wire_books
from web.api.context import Context, context_of
from web.api.cursors import NoSuchPage, cursor_of, read_cursor
from web.api.describing import ASKED, documented
from web.api.outline import Outline, edges_of, outline_of
from web.api.reading import answered, caching, given, is_fresh, not_modified, read_query
from web.http import AnyRequest, services_of

SKUS_AT_ONCE: Final = 20
ROWS_AT_ONCE: Final = 40
"""Looked at and shown, before other requests get their turn."""
INTERVALS_KEPT: Final = 4_000
"""One a reader and day."""
SKUS_LOOKED_AT: Final = 50_000
"""At most, for one page of changes; of them"""
SKUS_PRICED: Final = 2_000

Root = Annotated[
    str,
    PathParameter(min_length=71, max_length=71, pattern=wire_books.ROOT, description="Root of a published price book."),
]


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a chain of pages stands: the feed it is of, and the last SKU shown."""

    root: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    reader: str
    after: str


class _DeltaPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a chain of changes stands: the feed it leads to, and the last SKU looked at in either book."""

    root: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    reader: str
    after_old: str
    after_new: str


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
        *(*ASKED, 304, 404, 410, 422),
        query=wire_books.FeedPageAsked,
        answer=wire_books.FeedPage,
        cached=True,
        links={
            "get_price": {"sku": "$response.body#/rows/0/sku"},
            "get_price_history": {"sku": "$response.body#/rows/0/sku"},
            "list_feed": {"cursor": "$response.body#/next"},
        },
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
    for row in rows_of(state, skus):
        rows.append(row)
        if len(rows) % ROWS_AT_ONCE == 0:
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


@get(
    "/api/v1/price-books/{root:str}/delta",
    tags=["prices"],
    operation_id="get_feed_delta",
    summary="What changed in your feed since a book and an instant",
    response_description="Rows that are new or other, and names of those that are gone.",
    **documented(
        304, 400, 401, 403, 404, 410, 422, 503, query=wire_books.DeltaAsked, answer=wire_books.FeedDelta, cached=True
    ),
)
async def get_feed_delta(request: AnyRequest, root: Root) -> Response[bytes]:
    """Bring a copy of the feed from `since` and `at` to the book `root`: to this instant if that is in force, else to
    the last instant at which it was. A page may be empty and still have a `next`.
    """
    asked = read_query(request, wire_books.DeltaAsked)
    context = context_of(request, currency=given(asked.currency), country=given(asked.country))
    reader = reader_of(context)
    place = None if (cursor := given(asked.cursor)) is None else read_cursor(cursor, _DeltaPlace)
    if reader != (given(asked.reader) or reader) or (place is not None and place.reader != reader):
        raise FeedGone(
            "Your copy is of another key, currency or country, or your company's terms have changed. Take the whole "
            "feed again: `GET /api/v1/price-feed` without a cursor."
        )
    old = await state_at(request, context, asked.since, _instant(asked.at))
    at = last_in_force(services_of(request).books, root, now=context.at) if place is None else place.at
    new = await state_at(request, context, root, at)
    tag = tag_of("delta", new, tag_of("since", old), cursor or "", str(asked.limit))
    headers = caching(request, tag)
    if is_fresh(request, tag):
        return not_modified(headers)
    found, place = await _changes(old, new, place or _DeltaPlace(root, new.context.at, reader, "", ""), asked.limit)
    body = wire_books.FeedDelta(
        since=asked.since,
        since_at=old.context.at,
        root=root,
        at=new.context.at,
        reader=reader,
        company=new.context.buyer.company,
        currency=new.context.currency,
        country=new.context.country,
        country_assumed=new.context.country_assumed,
        valid_until=new.until,
        added=tuple(row_of(row) for each in found for row in each.added),
        changed=tuple(row_of(row) for each in found for row in each.changed),
        removed=tuple(
            wire_books.RowName(sku=sku, unit=unit, from_quantity=quantity)
            for each in found
            for sku, unit, quantity in each.removed
        ),
        next=None if place is None else cursor_of(place),
    )
    return answered(body, headers=headers)


HANDLERS: Final[list[ControllerRouterHandler]] = [list_feed, get_feed_delta]


async def _changes(
    old: FeedState, new: FeedState, place: _DeltaPlace, limit: int
) -> tuple[list[SkuChange], _DeltaPlace | None]:
    """The next SKUs that changed, at most *limit* of them and after so many looked at; None: there is nothing more."""
    found: list[SkuChange] = []
    after_old, after_new = place.after_old, place.after_new
    try:
        changes = sku_changes(
            _feed_of(old),
            _feed_of(new),
            after_old=after_old or None,
            after_new=after_new or None,
        )
    except KeyError:
        raise NoSuchPage("This cursor is none of ours. Begin without.") from None
    priced = 0
    for number, change in enumerate(changes):
        if len(found) == limit or number == SKUS_LOOKED_AT or priced == SKUS_PRICED:
            return found, msgspec.structs.replace(place, after_old=after_old, after_new=after_new)
        after_old, after_new = change.sku if change.in_old else after_old, change.sku if change.in_new else after_new
        priced += change.priced
        if change.is_any:
            found.append(change)
        if number % SKUS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found, None


def _feed_of(state: FeedState) -> Feed:
    context = state.context
    return Feed(book=context.book, buyer=context.buyer, currency=context.currency, tax=state.tax, at=context.at)


def _instant(text: str) -> datetime:
    """:raises NotInForceThen: for a date that no calendar has"""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise NotInForceThen(f"{text} is no instant that ever was.") from None


async def state_at(request: AnyRequest, context: Context, root: str, at: datetime) -> FeedState:
    """The feed of *root* at *at* for the buyer of *context*.

    :raises NotInForceThen: and `FeedGone`, as `pricing.feed_state.period_of`
    """
    books = services_of(request).books
    period = period_of(books, root, at, now=context.at)
    then = msgspec.structs.replace(context, at=at, book=await book_of(books, root, at, now=context.at))
    interval = await _interval_of(then, period.effective_at)
    begun = msgspec.structs.replace(then, at=interval.since)
    return FeedState(context=begun, tax=interval.tax, reader=reader_of(context), until=interval.until)


class _Interval(msgspec.Struct, frozen=True, kw_only=True):
    """*since*, and before *until*, a reader's feed is the same."""

    since: datetime
    until: datetime | None
    tax: TaxInput


_intervals: Final[Memo[tuple[object, ...], _Interval]] = Memo(INTERVALS_KEPT)


async def _interval_of(context: Context, effective_at: datetime) -> _Interval:
    """The interval around the instant of *context*: all that a 304 has to know, so the last one of a reader's day is
    remembered.
    """
    at, book = context.at, context.book
    who = context.company, context.buyer, context.currency, context.country, context.country_assumed
    key = (book.root, effective_at, at.date(), at.astimezone(UTC).date(), *who)
    known = _intervals.get(key)
    if known is not None and known.since <= at and (known.until is None or at < known.until):
        return known
    outline = await outline_of(book)
    edges = edges_of(book, outline, context.buyer, context.currency)
    passed = bisect_right(edges, at)
    start = max(effective_at, edges[passed - 1]) if passed else effective_at
    since = _same_tax(context, outline, start)
    return _intervals.keep(
        key,
        _Interval(
            since=since,
            until=edges[passed] if passed < len(edges) else None,
            tax=msgspec.structs.replace(context, at=since).tax(outline.tax_categories),
        ),
    )


def reader_of(context: Context) -> str:
    """Names all that prices hang on besides book and instant."""
    company = context.company
    delivery = delivery_for(company, None if context.country_assumed else context.country)
    status = None if company is None else company.tax_status
    papers = () if company is None or not company.exemptions else (company.exemptions,)
    return _reader(context.buyer, context.currency, delivery, status, *papers)


@lru_cache(maxsize=4096)
def _reader(*said: object) -> str:
    return sha256(canonical_json(list(said))).hexdigest()[:32]


def rows_of(state: FeedState, skus: Iterable[str]) -> Iterator[FeedRow]:
    context = state.context
    return feed_rows(context.book, skus, context.buyer, currency=context.currency, tax=state.tax, at=context.at)


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
