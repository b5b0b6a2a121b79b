"""What companies are told of prices by webhook: that a book took effect, and that prices they may see changed.

Nothing is told before its instant, for what is told follows from the state of a company's feed now and the state it was
told of last: `told` keeps that. Both move in one transaction with the messages, so that a death in between loses
nothing and tells nothing twice, and a worker that slept over several changes tells of all of them at once.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec
import structlog

from accounts.principal import BuyerCompany, buyer_company
from accounts.webhooks import store
from accounts.webhooks.events import PRICE_EVENTS, EventType
from accounts.webhooks.model import WebhookTold
from accounts.webhooks.outbox import QUEUE, TELL_PRICES_TASK, announce
from checkout.offer import delivery_for
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Unavailable
from kernel.failpoints import Failpoint
from kernel.jobs import enqueue
from pricing.books import InForce, NoBookPublished, PriceBooks
from pricing.engine import Buyer
from pricing.feed_delta import Feed, sku_changes
from pricing.feed_state import FeedGone, NotInForceThen, book_of
from web.api.context import Context
from web.api.outline import edges_of, outline_of
from web.api.price_feed import reader_of
from web.api.wire import ROOT

TELL: Final = Failpoint("webhooks.tell")
NAMED_MOST: Final = 100
"""SKUs that a message names."""
COUNTED_MOST: Final = 10_000
"""SKUs that are counted: who has more to take takes the whole feed."""
SKUS_AT_ONCE: Final = 20

log = structlog.get_logger(__name__)


Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Root = Annotated[str, msgspec.Meta(pattern=ROOT)]


class ToldPriceBook(msgspec.Struct, frozen=True, kw_only=True):
    """A price book that has taken effect."""

    number: int
    root: Root
    effective_at: Moment
    url: str


class ToldFeed(msgspec.Struct, frozen=True, kw_only=True):
    """Names the state of a feed: its book, and the instant."""

    root: Root
    at: Moment


class ToldPriceChange(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that your company may see changed. `sku_count` SKUs did (with `more`, at least so many), the first hundred
    are in `skus`; `delta_url` leads to the rows. `to` names the feed as it is now, `since` the one told of last,
    `reader` whose it is. Where `since` is null, take the whole feed from `feed_url`.
    """

    since: ToldFeed | None
    to: ToldFeed
    reader: str
    currency: str
    sku_count: int | None
    more: bool
    skus: Annotated[tuple[str, ...], msgspec.Meta(max_length=NAMED_MOST)]
    delta_url: str | None
    feed_url: str


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """A company's feed since *at*, and until *next_at* unless a book is published."""

    number: int
    root: str
    at: datetime
    reader: str
    next_at: datetime | None
    feed: Feed


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    """*count* None: the old state is no longer at hand, or was another reader's."""

    count: int | None
    more: bool
    skus: tuple[str, ...]


WHOLE: Final = _Change(count=None, more=True, skus=())


class PriceNews:
    def __init__(self, db: Database, clock: Clock, books: PriceBooks, *, base_url: str) -> None:
        self._db = db
        self._clock = clock
        self._books = books
        self._base_url = base_url

    def job_handlers(self) -> dict[str, Callable[..., Awaitable[None]]]:
        return {TELL_PRICES_TASK: self.sweep}

    async def sweep(self) -> None:
        """Tell every company that listens what it has not been told. Done at each instant at which something changes,
        and every minute.
        """
        async with self._db.reading(for_staff()) as session:
            listeners = await store.list_listeners(session, PRICE_EVENTS)
        for row, since in listeners:
            try:
                while not await self._tell(buyer_company(row), since):
                    log.info("another worker told prices meanwhile, looking again", company=str(row.id))
            except NoBookPublished:
                return
            except Unavailable as error:
                log.warning("prices not told yet", company=str(row.id), problem=error.problem)

    async def _tell(self, company: BuyerCompany, since: datetime) -> bool:
        """*since*: the company listens since then, and is told of nothing before. False when another worker was faster:
        it may have looked at the prices earlier than this one.
        """
        now = self._clock.now()
        async with self._db.reading(for_staff()) as session:
            told = await store.find_told(session, company.id)
        if told is not None and told.at > now:
            return True  # the one who told it has a faster clock; never tell of prices that went back
        before = told if told is not None and told.at >= since else await self._told_at(company, since)
        context = self._context(company, now)
        nothing_new = before.publication == self._books.in_force(now).number and before.reader == reader_of(context)
        if before is told and nothing_new and (told.next_at is None or told.next_at > now):
            return True
        state = await self._state(context)
        change = await self._change(before, state, context)
        after = WebhookTold(
            company_id=company.id,
            publication=state.number,
            root=state.root,
            at=max(state.at, since),
            reader=state.reader,
            next_at=state.next_at,
        )
        async with self._db.begin(for_staff(), TELL) as session:
            if not await store.tell(session, after, after=told):
                return False
            for entry in self._came_between(before.publication, now):
                at, published = entry.effective_at, self._publication(entry)
                await announce(session, company.id, EventType.PRICE_BOOK_PUBLISHED, published, at=at, now=now)
            if change is not None:
                changed = self._changed(before, after, change, company)
                await announce(session, company.id, EventType.PRICE_CHANGED, changed, at=after.at, now=now)
            if state.next_at is not None:
                await enqueue(session, TELL_PRICES_TASK, {}, run_at=state.next_at, queue=QUEUE)
        return True

    async def _told_at(self, company: BuyerCompany, since: datetime) -> WebhookTold:
        """What a company that begins to listen is taken to know; before the first book, of none."""
        context = self._context(company, since)
        try:
            entry = self._books.in_force(since)
        except NoBookPublished:
            entry = InForce(number=0, root="", effective_at=since)
        return WebhookTold(
            company_id=company.id,
            publication=entry.number,
            root=entry.root,
            at=since,
            reader=reader_of(context),
            next_at=None,
        )

    def _context(self, company: BuyerCompany, at: datetime) -> Context:
        """As the API has it for a key of the company that says neither country nor currency."""
        delivery = delivery_for(company, None)
        return Context(
            company=company,
            buyer=Buyer(company=company.code, segments=company.segments, country=delivery.country),
            currency=company.currency,
            country=delivery.country,
            country_assumed=delivery.assumed,
            at=at,
            book=self._books.at(self._clock.now()),
        )

    async def _state(self, context: Context) -> _State:
        entry = self._books.in_force(context.at)
        outline = await outline_of(context.book)
        edges = edges_of(context.book, outline, context.buyer, context.currency)
        passed = bisect_right(edges, context.at)
        return _State(
            number=entry.number,
            root=entry.root,
            at=max(entry.effective_at, edges[passed - 1]) if passed else entry.effective_at,
            reader=reader_of(context),
            next_at=edges[passed] if passed < len(edges) else None,
            feed=Feed(
                book=context.book,
                buyer=context.buyer,
                currency=context.currency,
                tax=context.tax(outline.tax_categories),
                at=context.at,
            ),
        )

    async def _change(self, before: WebhookTold, state: _State, context: Context) -> _Change | None:
        """What the company sees otherwise; None: nothing."""
        if before.reader != state.reader:
            return WHOLE
        if (before.root, before.at) == (state.root, state.at) or (before.root == state.root and before.at > state.at):
            return None
        try:
            book = await book_of(self._books, before.root, before.at, now=context.at)
        except (FeedGone, NotInForceThen):
            return WHOLE
        then = msgspec.structs.replace(context, at=before.at, book=book)
        outline = await outline_of(book)
        old = msgspec.structs.replace(state.feed, book=book, at=before.at, tax=then.tax(outline.tax_categories))
        count, skus = 0, []
        for number, each in enumerate(sku_changes(old, state.feed)):
            if each.is_any:
                count += 1
                skus += [each.sku] if count <= NAMED_MOST else []
            if count == COUNTED_MOST:
                break
            if number % SKUS_AT_ONCE == 0:
                await asyncio.sleep(0)  # requests of others get their turn
        return _Change(count=count, more=count == COUNTED_MOST, skus=tuple(skus)) if count else None

    def _came_between(self, number: int, now: datetime) -> list[InForce]:
        """Publications after *number* that have taken effect; one replaced at its own instant never did."""
        entries = [entry for entry in self._books.published() if entry.effective_at <= now]
        followed = {one.number for one, other in pairwise(entries) if one.effective_at == other.effective_at}
        return [entry for entry in entries if entry.number > number and entry.number not in followed]

    def _publication(self, entry: InForce) -> ToldPriceBook:
        return ToldPriceBook(
            number=entry.number,
            root=entry.root,
            effective_at=_text(entry.effective_at),
            url=f"{self._base_url}/api/v1/price-books/current",
        )

    def _changed(
        self, before: WebhookTold, after: WebhookTold, change: _Change, company: BuyerCompany
    ) -> ToldPriceChange:
        query = urlencode({"since": before.root, "at": _text(before.at), "reader": before.reader})
        delta_url = f"{self._base_url}/api/v1/price-books/{after.root}/delta?{query}"
        return ToldPriceChange(
            since=None if change.count is None else ToldFeed(root=before.root, at=_text(before.at)),
            to=ToldFeed(root=after.root, at=_text(after.at)),
            reader=after.reader,
            currency=company.currency,
            sku_count=change.count,
            more=change.more,
            skus=change.skus,
            delta_url=None if change.count is None else delta_url,
            feed_url=f"{self._base_url}/api/v1/price-feed",
        )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
