"""Use cases of impact: what a draft would do to the orders of the last months and to the quotes still open.

The draft is laid over the last published book, as its publication would do it; both books price as of the same instant.
A page asks for it and a job works it out, for a year's lines take seconds: what is kept is the whole result or none.
"""

import asyncio
import uuid
import zlib
from calendar import monthrange
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.service import Catalog
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, DomainError, NotFound, Refused
from kernel.ids import new_id
from kernel.jobs import enqueue
from pricing import content as leaf
from pricing import facts, store
from pricing.books import PriceBooks
from pricing.compiled import CompiledBook
from pricing.content import LeafName
from pricing.draft_book import DraftBase, DraftBook
from pricing.draft_sweep import side_of_draft, with_other_costs
from pricing.engine.book import Cost
from pricing.impact import Compared, Impact, Progress, Side, Sold, compare
from pricing.model import DraftState, PriceDraft, PriceImpact, PricePublication
from pricing.reviews import DraftClosed, DraftNotFound
from pricing.service import PublicationNotFound

WORK: Final = "price_impact"
"""The job's name, and the lock that keeps one at work at a time."""
MONTHS: Final = (1, 3, 12)
BEAT_SECONDS: Final = 1.0
_COMPRESSION: Final = 3

ReadOrders = Callable[[AsyncSession, datetime, datetime], Awaitable[Sold]]
"""Orders placed from the first instant on and before the second."""
ReadQuotes = Callable[[AsyncSession, datetime], Awaitable[Sold]]


class ImpactNotFound(NotFound):
    problem = "price-impact-not-found"
    title = "There is no such impact"


class ImpactOutdated(Conflict):
    """The draft was edited, or another book published, since the impact was worked out."""

    problem = "price-impact-outdated"
    title = "The impact is of another version"


class ImpactClash(Conflict):
    """*count*: of the objects that both the draft and what was published since change."""

    problem = "price-impact-clash"
    title = "The draft clashes with what was published since"


class ImpactWindow(Refused):
    """*months* in `extra`: those there are."""

    problem = "price-impact-window"
    title = "Impact looks back one, three or twelve months"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result. *publication* is what the draft in its *draft_version* would replace; *since* and *until*: when the
    orders were placed; *at*: the instant of all prices. *quotes*: signed quotes that could be ordered by at *until*.
    """

    draft_version: int
    publication: int
    since: datetime
    until: datetime
    at: datetime
    orders: Impact
    quotes: Impact


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An impact as it stands. *report* None: not worked out, or not yet; *problem* and *detail*: what kept it from
    being. *current*: the draft and the book are still those of the report.
    """

    id: uuid.UUID
    draft_id: uuid.UUID
    months: int
    as_of: datetime | None
    requested_by: uuid.UUID | None
    requested_at: datetime
    finished_at: datetime | None
    lines_done: int
    lines_all: int | None
    problem: str | None
    detail: str | None
    report: Report | None
    current: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both kinds of what was sold, line by line."""

    draft_version: int
    publication: int
    since: datetime
    until: datetime
    orders: Compared
    quotes: Compared

    def report(self) -> Report:
        return Report(
            draft_version=self.draft_version,
            publication=self.publication,
            since=self.since,
            until=self.until,
            at=self.orders.at,
            orders=self.orders.impact(),
            quotes=self.quotes.impact(),
        )


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What is compared, as it was read."""

    draft: PriceDraft
    publication: PricePublication
    book: CompiledBook
    laid: DraftBook
    changed: frozenset[str] | None
    costs: Mapping[tuple[str, str], Decimal]
    orders: Sold
    quotes: Sold


class Impacts:
    """*read_orders*, *read_quotes*: what was sold and promised, which another room knows."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        books: PriceBooks,
        catalog: Catalog,
        *,
        read_orders: ReadOrders,
        read_quotes: ReadQuotes,
    ) -> None:
        self.db = db
        self.clock = clock
        self.books = books
        self.catalog = catalog
        self._read_orders = read_orders
        self._read_quotes = read_quotes

    async def request(
        self, draft_id: uuid.UUID, *, months: int, as_of: datetime | None = None, by: uuid.UUID | None
    ) -> uuid.UUID:
        """Have a job work out the impact on the orders of the last *months*, priced as of *as_of*: see `compare`.

        :raises ImpactWindow: when *months* is none of `MONTHS`
        :raises DraftClosed: when the draft is not open any more
        :raises DraftNotFound, PublicationNotFound: as `compare`
        """
        if months not in MONTHS:
            raise ImpactWindow("Choose the last 1, 3 or 12 months.", months=list(MONTHS))
        async with self.db.begin(for_staff()) as session:
            draft, _ = await _draft_and_last(session, draft_id)
            if draft.state is not DraftState.OPEN:
                raise DraftClosed(f"The draft {draft.title!r} is {draft.state.value}. Open a new one.")
            asked = PriceImpact(
                id=new_id(),
                draft_id=draft_id,
                months=months,
                as_of=as_of,
                requested_by=by,
                requested_at=self.clock.now(),
            )
            session.add(asked)
            await session.flush()
            await enqueue(session, WORK, {"impact_id": str(asked.id)}, lock=WORK)
        return asked.id

    async def work(self, impact_id: str) -> None:
        """The job: do what `request` asked for, once."""
        async with self.db.begin(for_staff()) as session:
            asked = await store.find_impact(session, uuid.UUID(impact_id))
        if asked is None or asked.finished_at is not None:
            return
        done = _Done()
        task = asyncio.create_task(self._report(asked, done))
        try:
            while not (await asyncio.wait({task}, timeout=BEAT_SECONDS))[0]:
                async with self.db.begin(for_staff()) as session:
                    await store.note_impact_progress(session, asked.id, done.lines, done.lines_all)
            result, problem, detail = zlib.compress(msgspec.msgpack.encode(await task), _COMPRESSION), None, None
        except DomainError as error:
            result, problem, detail = None, error.problem, error.message
        finally:
            task.cancel()
        async with self.db.begin(for_staff()) as session:
            await store.finish_impact(
                session,
                asked.id,
                finished_at=self.clock.now(),
                lines_done=done.lines,
                lines_all=done.lines_all,
                result=result,
                problem=problem,
                detail=detail,
            )

    async def find(self, impact_id: uuid.UUID) -> Standing:
        """:raises ImpactNotFound: when there is none, or a later one took its place"""
        async with self.db.begin(for_staff()) as session:
            found = await store.find_impact(session, impact_id)
            if found is None:
                raise ImpactNotFound("There is no such impact, or it was worked out anew since.")
            return await _standing(session, found)

    async def find_last(self, draft_id: uuid.UUID) -> Standing | None:
        """The one of the draft that was asked for last; None: there is none."""
        async with self.db.begin(for_staff()) as session:
            found = await store.find_last_impact(session, draft_id)
            return None if found is None else await _standing(session, found)

    async def compare_again(self, standing: Standing) -> Comparison:
        """What a report was made of, line by line.

        :raises ImpactOutdated: when the draft was edited or another book published meanwhile
        :raises ImpactNotFound: when there is no report yet
        """
        report = standing.report
        if report is None:
            raise ImpactNotFound("This impact is not worked out yet.")
        compared = await self._compare(standing.draft_id, report.since, report.until, report.at, lambda _lines: None)
        if (compared.draft_version, compared.publication) != (report.draft_version, report.publication):
            raise ImpactOutdated("The draft or the published book changed since. Work the impact out again.")
        return compared

    async def compare(
        self,
        draft_id: uuid.UUID,
        *,
        months: int,
        as_of: datetime | None = None,
        progress: Progress = lambda _lines: None,
    ) -> Comparison:
        """Price what was sold in the last *months* by the draft and by the last published book, both as of *as_of*;
        None: now. Never before that book takes effect, for the draft would replace it from then on.

        :raises DraftNotFound: when there is no such draft
        :raises PublicationNotFound: when nothing is published yet
        :raises ImpactClash: when others published changes of the same objects
        :raises BookError: when what the draft says cannot be priced
        """
        now = self.clock.now()
        return await self._compare(draft_id, months_before(now, months), now, as_of or now, progress)

    async def _report(self, asked: PriceImpact, done: "_Done") -> Report:
        compared = await self._compare(
            asked.draft_id,
            months_before(asked.requested_at, asked.months),
            asked.requested_at,
            asked.as_of or asked.requested_at,
            done.add,
            done.of,
        )
        return await asyncio.to_thread(compared.report)

    async def _compare(
        self,
        draft_id: uuid.UUID,
        since: datetime,
        until: datetime,
        as_of: datetime,
        progress: Progress,
        begin: Callable[[int], None] = lambda _lines: None,
    ) -> Comparison:
        asked = await self._read(draft_id, since, until)
        at = max(as_of, asked.publication.effective_at)
        begin(2 * (len(asked.orders) + len(asked.quotes)))

        def work() -> Comparison:
            orders, quotes = (_compared(asked, sold, at, progress) for sold in (asked.orders, asked.quotes))
            return Comparison(
                draft_version=asked.draft.version,
                publication=asked.publication.number,
                since=since,
                until=until,
                orders=orders,
                quotes=quotes,
            )

        return await asyncio.to_thread(work)

    async def _read(self, draft_id: uuid.UUID, since: datetime, until: datetime) -> _Question:
        async with self.db.begin(for_staff()) as session:
            _, last = await _draft_and_last(session, draft_id)
        book = await self.books.load(leaf.root_text(last.root))
        async with self.db.begin(for_staff()) as session:
            draft, last = await _draft_and_last(session, draft_id, expected=last.number)
            orders = await self._read_orders(session, since, until)
            quotes = await self._read_quotes(session, until)
            skus = sorted({*orders.skus, *quotes.skus})
            source = await _source(session, last.source)
            base = DraftBase(book, source)
            changes, touched = await _changes(session, draft_id, frozenset(skus))
            if (draft.base_root, draft.base_source) != (last.root, last.source):
                began = None if draft.base_root is None else await self.books.load(leaf.root_text(draft.base_root))
                _refuse_clashes(DraftBase(began, await _source(session, draft.base_source)), base, changes)
            today = await facts.costs_of_skus(self.catalog, session, skus)
            unknown = [sku for sku in skus if book.entry_of_lists(sku, ()) is None]
            new = await facts.of_skus(self.catalog, session, unknown)
        derives = any(kind == "derivation" for kind, _ in base.frame_leaves.keys() | changes.keys())
        laid = DraftBook(base, changes, facts=new, costs=today if derives else {}, root=f"draft:{draft.id}")
        changed: frozenset[str] | None = frozenset({*touched, *new})
        if derives and any(kind in {"derivation", "list"} for kind, _ in changes):
            changed = None
        elif derives:
            changed = frozenset({*touched, *new, *with_other_costs(book, skus, today)})
        return _Question(
            draft=draft,
            publication=last,
            book=book,
            laid=laid,
            changed=changed,
            costs=_by_currency(today),
            orders=orders,
            quotes=quotes,
        )


class _Done:
    """How far a job is, for the page that waits for it."""

    def __init__(self) -> None:
        self.lines = 0
        self.lines_all: int | None = None

    def add(self, lines: int) -> None:
        self.lines += lines

    def of(self, lines: int) -> None:
        self.lines_all = lines


def months_before(instant: datetime, months: int) -> datetime:
    """The same day and time so many months earlier, or the last day of that month."""
    year, month = divmod(instant.year * 12 + instant.month - 1 - months, 12)
    return instant.replace(year=year, month=month + 1, day=min(instant.day, monthrange(year, month + 1)[1]))


def _compared(asked: _Question, sold: Sold, at: datetime, progress: Progress) -> Compared:
    before = Side.of(asked.book, sold.skus)
    after = side_of_draft(asked.laid, asked.book, before, sold.skus, asked.changed)
    return compare(sold, before, after, at=at, costs=asked.costs, progress=progress)


def _by_currency(costs: Mapping[str, list[Cost]]) -> dict[tuple[str, str], Decimal]:
    return {(cost.sku, cost.currency): Decimal(cost.cost) for of_sku in costs.values() for cost in of_sku}


async def _draft_and_last(
    session: AsyncSession, draft_id: uuid.UUID, expected: int | None = None
) -> tuple[PriceDraft, PricePublication]:
    draft = await store.find_draft(session, draft_id)
    if draft is None:
        raise DraftNotFound("There is no such draft.")
    last = await (
        store.find_last_publication(session) if expected is None else store.find_publication(session, expected)
    )
    if last is None:
        raise PublicationNotFound("Nothing is published yet, so there is nothing to compare the draft with.")
    return draft, last


async def _source(session: AsyncSession, digest: bytes | None) -> leaf.Source | None:
    if digest is None:
        return None
    kept = await store.find_source(session, digest)
    assert kept is not None, "foreign keys keep every source that is referred to"
    return leaf.unpacked_source(kept)


async def _changes(
    session: AsyncSession, draft_id: uuid.UUID, skus: frozenset[str]
) -> tuple[dict[LeafName, Any], set[str]]:
    """The draft's changes that *skus* can feel, and which of the SKUs have changes of their own."""
    changes: dict[LeafName, Any] = {}
    touched: set[str] = set()
    for row in await store.list_changes(session, draft_id):
        name = (row.kind, leaf.key_from_text(row.key))
        sku = leaf.sku_of(name)
        if sku is None or sku in skus:
            changes[name] = None if row.content is None else leaf.noun_of(*name, row.content)
            touched.update(() if sku is None else (sku,))
    return changes, touched


def _refuse_clashes(began: DraftBase, latest: DraftBase, changes: Mapping[LeafName, Any]) -> None:
    """:raises ImpactClash: where *latest* has otherwise what the draft changes"""
    before, after = ({name: base.leaf(name) for name in changes} for base in (began, latest))
    clashes = leaf.clashes(before, after, changes)
    if clashes:
        raise ImpactClash(
            "Since this draft was begun, others published changes of the same. Mend the draft first: its page for "
            "publishing shows both sides.",
            count=len(clashes),
        )


async def _standing(session: AsyncSession, found: PriceImpact) -> Standing:
    report = None
    current = False
    if found.result is not None:
        report = msgspec.msgpack.decode(zlib.decompress(found.result), type=Report)
        draft, last = await _draft_and_last(session, found.draft_id)
        current = (draft.version, last.number) == (report.draft_version, report.publication)
    return Standing(
        id=found.id,
        draft_id=found.draft_id,
        months=found.months,
        as_of=found.as_of,
        requested_by=found.requested_by,
        requested_at=found.requested_at,
        finished_at=found.finished_at,
        lines_done=found.lines_done,
        lines_all=found.lines_all,
        problem=found.problem,
        detail=found.detail,
        report=report,
        current=current,
    )
