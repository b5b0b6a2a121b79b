"""Use cases of pricing: drafts, what stands against them, preview, publication, roll-back, history, and prices.

A draft is a set of changed leaves over the content it began from. Publishing applies them to the content in force by
then, refuses where someone else changed the same leaf meanwhile, takes the SKU facts and costs from the catalogue,
works derived lists out into rows, and appends an entry to the log of publications. The heavy work is done before the
log is locked.

What drafts hold and compare is what was stated: derivations, but none of the rows that follow from them.
"""

import asyncio
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.webhooks.outbox import QUEUE, TELL_PRICES_TASK
from catalog.service import Catalog
from kernel.clock import Clock
from kernel.collector import collector_at_rest
from kernel.csv_rows import ImportReport
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue
from kernel.signing import Keyring
from kernel.tables import FolderTables, Tables, open_tables
from pricing import content as leaf
from pricing import export_csv, facts, import_csv, ladder, staging, store
from pricing.books import PriceBooks
from pricing.content import Key, LeafName, Leaves
from pricing.draft_book import DraftBase, DraftBook
from pricing.engine import Book, Buyer, LineRequest, Quote, QuoteRequest, TaxInput, quote
from pricing.engine.book import BookContent
from pricing.engine.check import Finding, Severity
from pricing.engine.derive import derive
from pricing.engine.request import PricedLine, RefusedLine
from pricing.findings import buyers_of_today, finding_digest, finding_text, list_findings
from pricing.ladder import Ladder, PriceAnswer
from pricing.model import Approval, DraftState, PriceDraft, PriceDraftChange, PricePublication
from pricing.reviews import Approved, DraftClosed, DraftNotFound, approved
from pricing.second_look import NO_POLICY, Demand, Policy, demands

PUBLISH: Final = Failpoint("pricing.publish")
ATTEMPTS: Final = 5
PREVIEW_LIMIT: Final = 2000
FINDINGS_KEPT: Final = timedelta(minutes=1)
CHECKS_KEPT: Final = 4
"""Drafts of which what was found last is kept so long."""
"""So long a page shows what was found in a content; a publication looks again."""
SHOWN_CLASHES: Final = 20
REASON_MOST: Final = 1000


class PublicationNotFound(NotFound):
    problem = "price-publication-not-found"
    title = "There is no such publication"


class DraftClash(Conflict):
    """*clashes* in `extra`: for each leaf its kind and key, `theirs` (as it is now) and `yours`."""

    problem = "price-draft-clash"
    title = "Someone else changed the same"


class FindingsStopPublication(Refused):
    """*findings* in `extra`."""

    problem = "price-findings"
    title = "Errors in the draft stop its publication"


class WarningsNotAcknowledged(Refused):
    """*findings* in `extra`: the first of those that nobody has accepted; *count*: of all."""

    problem = "price-warnings"
    title = "Warnings nobody has acknowledged stop the publication"


class WarningGone(Conflict):
    problem = "price-warning-gone"
    title = "The warning is not among the findings any more"


class ReasonUnusable(Refused):
    problem = "price-reason-unusable"
    title = "A reason is a sentence"


class EffectiveTooSoon(Refused):
    problem = "price-effective-too-soon"
    title = "The publication would take effect too soon"


class CommittedTooLate(EffectiveTooSoon):
    """The commit would have come too late for its instant; nothing was published."""


class PublicationOutOfOrder(Conflict):
    problem = "price-publication-out-of-order"
    title = "Another publication takes effect later"


class PublishedByOthers(Conflict):
    problem = "price-publication-contended"
    title = "Others are publishing"


class PreviewTooLarge(Refused):
    problem = "price-preview-too-large"
    title = "The preview asks for too many prices"


class LeafState(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a draft as it stands. *seen* is what an editor gives back as `expected`; None: no such object."""

    kind: str
    key: Key
    content: Any
    seen: str | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """*before*: in the base; *after*: in the draft; None: no such object."""

    kind: str
    key: Key
    before: Any
    after: Any
    seen: str | None
    changed_by: uuid.UUID | None
    changed_at: datetime | None


class PreviewBuyer(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    buyer: Buyer
    currency: str


class PreviewPrice(msgspec.Struct, frozen=True, kw_only=True):
    """*before*: None where no book is in force."""

    name: str
    currency: str
    sku: str
    unit: str | None
    quantity: str
    before: PricedLine | RefusedLine | None
    after: PricedLine | RefusedLine


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """*draft_id*: where the prices wait for publication; None when the folder holds no price file, or an error."""

    report: ImportReport
    draft_id: uuid.UUID | None


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """Who accepted a finding, when and why. *by* None: the house's own command line."""

    by: uuid.UUID | None
    at: datetime
    reason: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it stands against a draft. *digest* is what `acknowledge` takes; *acknowledged* None: nobody did."""

    finding: Finding
    digest: str
    acknowledged: Acknowledgement | None


class _Checked(NamedTuple):
    """What a content was checked for (its root, what is sold, the buyers, the book it replaces and the draft), and what
    was found.
    """

    asked: tuple[Any, ...]
    found_at: datetime
    findings: tuple[Finding, ...]
    demands: tuple[Demand, ...]


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What stands against a draft, and why it needs a second approver, if it does."""

    findings: tuple[Standing, ...]
    demands: tuple[Demand, ...]


class CheckedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What files would make of a draft: *changes* of the last published content, and what stands against publishing
    them; None where *report* has errors, or no file was read.
    """

    report: ImportReport
    changes: int
    examined: Examined | None


class _Looked(msgspec.Struct, frozen=True, kw_only=True):
    """All that a publication of a draft is made from, as one transaction saw it."""

    draft_id: uuid.UUID
    draft_version: int
    author_id: uuid.UUID | None
    changes: dict[LeafName, Any]
    latest: Leaves
    last_root: str | None
    follows: int
    catalogue: facts.CatalogFacts
    buyers: tuple[Buyer, ...]
    words: dict[str, Acknowledgement]


class _Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """All that a publication needs, made before the log is locked, and what must not have moved since."""

    root: str
    kept: leaf.Kept | None
    source: bytes | None
    kept_source: leaf.KeptSource | None
    leaf_count: int
    findings: tuple[Standing, ...]
    demands: tuple[Demand, ...]
    follows: int
    draft_id: uuid.UUID | None
    draft_version: int
    author_id: uuid.UUID | None
    restores: int | None


class Pricing:
    """*by* is everywhere the person who acts; None: the house's own command line, whose drafts need no approval."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        books: PriceBooks,
        keyring: Keyring,
        catalog: Catalog,
        *,
        approval_required: bool = True,
        policy: Policy = NO_POLICY,
    ) -> None:
        self.approval_required = approval_required
        self.policy = policy
        self.db = db
        self.clock = clock
        self.books = books
        self.keyring = keyring
        self.catalog = catalog
        self.patience = timedelta(seconds=5)
        """How long `examine_patiently` waits."""
        self._found: tuple[_Checked, ...] = ()
        """What the checks found last, the newest first; replaced as one, for threads look at it."""
        self._checks: dict[tuple[uuid.UUID, int], asyncio.Task[Examined]] = {}
        """Checks that took longer than their asker waited, by draft and version."""

    # --- Prices: always the engine, always the book of the instant ---

    def price_of(
        self,
        buyer: Buyer,
        *,
        currency: str,
        sku: str,
        unit: str | None = None,
        quantity: str = "1",
        tax: TaxInput | None = None,
        at: datetime,
    ) -> PriceAnswer:
        """The line as every channel prices it, with its entity tag.

        :raises NoBookPublished, BookUnavailable: as `PriceBooks.at`
        """
        return ladder.price_of(
            self.books.at(at), buyer, currency=currency, sku=sku, unit=unit, quantity=quantity, tax=tax, at=at
        )

    def ladder(
        self,
        buyer: Buyer,
        *,
        currency: str,
        sku: str,
        unit: str | None = None,
        tax: TaxInput | None = None,
        at: datetime,
    ) -> Ladder:
        """The price at every quantity where it changes.

        :raises NoBookPublished, BookUnavailable: as `PriceBooks.at`
        """
        return ladder.ladder_of(self.books.at(at), buyer, currency=currency, sku=sku, unit=unit, tax=tax, at=at)

    async def price_at(self, request: QuoteRequest, at: datetime) -> Quote:
        """The quote as it was at a past instant, by the book then in force, however long ago.

        :raises NoBookPublished, BookUnavailable: as `PriceBooks.past`
        """
        return quote(request, book=await self.books.past(at), at=at)

    # --- Drafts ---

    async def open_draft(self, *, title: str, by: uuid.UUID | None, draft_id: uuid.UUID | None = None) -> PriceDraft:
        """A draft without changes, over the last published content. *draft_id*: its id, where the call that makes it
        may be repeated; made before, it is returned as it is.

        :raises LeafMalformed: when the title is no text to keep
        """
        leaf.storable(title)
        async with self.db.begin(for_staff()) as session:
            made = None if draft_id is None else await store.find_draft(session, draft_id)
            return made or await self._open_draft(session, title=title, by=by, draft_id=draft_id)

    async def list_drafts(
        self,
        state: DraftState | None = DraftState.OPEN,
        *,
        limit: int | None = None,
        before: tuple[datetime, uuid.UUID] | None = None,
    ) -> Sequence[PriceDraft]:
        """Newest first; None: in every state. *before*: those opened before this instant and id alone."""
        async with self.db.begin(for_staff()) as session:
            return await store.list_drafts(session, state, limit=limit, before=before)

    async def find_draft(self, draft_id: uuid.UUID) -> PriceDraft:
        """:raises DraftNotFound: when there is none"""
        async with self.db.begin(for_staff()) as session:
            return _found(await store.find_draft(session, draft_id))

    async def discard_draft(self, draft_id: uuid.UUID) -> None:
        """:raises DraftNotFound, DraftClosed: when it cannot be edited any more"""
        async with self.db.begin(for_staff()) as session:
            draft = await _editable(session, draft_id)
            draft.state = DraftState.DISCARDED
            draft.closed_at = self.clock.now()

    async def put_change(
        self,
        draft_id: uuid.UUID,
        kind: str,
        key: Key,
        content: Any,
        *,
        by: uuid.UUID | None,
        expected: str | None = None,
    ) -> LeafState:
        """Set one object of the draft; *content* None removes it. *expected*: the `seen` of what the editor looked at,
        None where there was nothing.

        :raises LeafMalformed: when *content* is no such object
        :raises DraftClash: when the object is not what the editor saw; the error carries both sides
        :raises DraftNotFound, DraftClosed: when it cannot be edited any more
        """
        if kind not in leaf.EDITED:
            raise leaf.LeafMalformed(f"{kind!r} cannot be edited: it comes from the catalogue, or does not exist.")
        noun = None if content is None else leaf.noun_of(kind, key, content)
        leaf.storable(noun)
        async with self.db.begin(for_staff()) as session:
            draft = await _editable(session, draft_id)
            standing = await self._standing(session, draft, (kind, key))
            if leaf.seen(standing) != expected:
                raise _clash("Someone changed this since you opened it.", [((kind, key), standing, noun)])
            base = await self._base(session, draft)
            if noun == base.leaf((kind, key)):
                await store.delete_changes(session, draft_id, [(kind, leaf.key_text(key))])
            else:
                await store.put_changes(session, draft_id, [_stored((kind, key), noun)], by=by, at=self.clock.now())
            await store.add_author(session, draft_id, by)
            draft.version += 1
        return _state((kind, key), noun)

    async def remove_list(
        self, draft_id: uuid.UUID, code: str, *, by: uuid.UUID | None, expected: str | None = None
    ) -> None:
        """Take a price list out of the draft, with its prices and its formula. *expected* as in `put_change`.

        :raises BookError: when the rest could not be priced, as when another list follows this one
        :raises DraftClash: when the list is not what the editor saw
        :raises DraftNotFound, DraftClosed: when it cannot be edited any more
        """
        name = ("list", (code,))
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            stated = await self._stated(session, draft.base_root, draft.base_source)
            draft = await _editable(session, draft_id)
            standing = await self._standing(session, draft, name)
            if leaf.seen(standing) != expected:
                raise _clash("Someone changed this since you opened it.", [(name, standing, None)])
            changes = await _changes(session, draft_id)
            gone = [each for each in {**stated, **changes} if leaf.list_of(each) == code]
            await self._laid_over(session, draft, changes | dict.fromkeys(gone), [])
            await store.delete_changes(
                session, draft_id, [(kind, leaf.key_text(key)) for kind, key in gone if (kind, key) not in stated]
            )
            await store.put_changes(
                session,
                draft_id,
                [_stored(each, None) for each in gone if each in stated],
                by=by,
                at=self.clock.now(),
            )
            await store.add_author(session, draft_id, by)
            draft.version += 1

    async def find_leaf(self, draft_id: uuid.UUID, kind: str, key: Key) -> LeafState:
        """One object of the draft as it stands, changed or not.

        :raises DraftNotFound: when there is no such draft
        """
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            return _state((kind, key), await self._standing(session, draft, (kind, key)))

    async def list_leaves(self, draft_id: uuid.UUID, kind: str, *, sku: str | None = None) -> tuple[LeafState, ...]:
        """Objects of the draft by key: of a kind that is not per SKU, or one SKU's. Rows are those stated outright.

        :raises DraftNotFound: when there is no such draft
        """
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            changes = await _changes(session, draft_id)
            base = await self._base(session, draft)
        leaves = base.frame_leaves if sku is None else base.sku_leaves(sku)
        mine = {name: noun for name, noun in changes.items() if leaf.sku_of(name) == sku}
        return tuple(_state(name, noun) for name, noun in sorted(leaf.applied(leaves, mine).items()) if name[0] == kind)

    async def list_derived_rows(self, draft_id: uuid.UUID, sku: str) -> tuple[LeafState, ...]:
        """The rows of one SKU that follow from the draft's derivations, by key. They are no objects of the draft: a row
        put in the place of one stands instead of it.

        :raises DraftNotFound: when there is no such draft
        :raises BookError: when a derivation cannot be worked out
        """
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            book = await self._laid_over(session, draft, await _changes(session, draft_id), [sku])
        rows = {leaf.key_of("row", noun): noun for noun in book.derived_rows(sku)}
        return tuple(LeafState(kind="row", key=key, content=leaf.plain(rows[key]), seen=None) for key in sorted(rows))

    async def count_changes(self, draft_id: uuid.UUID) -> int:
        """How many objects the draft changes."""
        async with self.db.begin(for_staff()) as session:
            return await store.count_changes(session, draft_id)

    async def list_changes(
        self, draft_id: uuid.UUID, *, start: int = 0, limit: int | None = None
    ) -> tuple[Change, ...]:
        """What the draft changes, by kind and key: *limit* of it, all unless said, from *start* on.

        :raises DraftNotFound: when there is no such draft
        """
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            rows = await store.list_changes(session, draft_id, start=start, limit=limit)
            base = await self._base(session, draft)
        return tuple(_change(base, row) for row in rows)

    async def find_change(self, draft_id: uuid.UUID, kind: str, key: Key) -> Change | None:
        """What the draft changes of one object; None where it changes nothing of it.

        :raises DraftNotFound: when there is no such draft
        """
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            row = await store.find_change(session, draft_id, kind, leaf.key_text(key))
            return None if row is None else _change(await self._base(session, draft), row)

    async def findings(self, draft_id: uuid.UUID) -> tuple[Standing, ...]:
        """What stands against publishing the draft now; errors first.

        :raises DraftNotFound, DraftClosed: when it cannot be published any more
        :raises DraftClash: as `publish`
        """
        return (await self.examine(draft_id)).findings

    async def examine(self, draft_id: uuid.UUID) -> Examined:
        """As `findings`, with what asks for a second approver.

        :raises DraftNotFound, DraftClosed, DraftClash: as `findings`
        """
        prepared, _ = await self._prepare(draft_id, fresh=False)
        return Examined(findings=prepared.findings, demands=prepared.demands)

    async def examine_patiently(self, draft: PriceDraft) -> Examined | None:
        """As `examine`, and None where it takes longer than `patience`: it goes on, and who asks again later gets what
        it found, or None once more.

        :raises DraftNotFound, DraftClosed, DraftClash: as `findings`
        """
        name = draft.id, draft.version
        for known in [known for known, task in self._checks.items() if task.done() and known != name]:
            del self._checks[known]
        task = self._checks.get(name)
        begun = task is None
        if task is None:
            task = asyncio.create_task(self.examine(draft.id))
            task.add_done_callback(_looked_at)
            self._checks[name] = task
        await asyncio.wait([task], timeout=self.patience.total_seconds())
        if not task.done():
            return None
        self._checks.pop(name, None)
        # words may have been added since it began; what was found is kept
        return task.result() if begun else await self.examine(draft.id)

    async def stop(self) -> None:
        """Leave checks that still run alone."""
        tasks = tuple(self._checks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def acknowledge(
        self, draft_id: uuid.UUID, digests: Collection[str], *, reason: str, by: uuid.UUID | None
    ) -> None:
        """Accept these warnings of the draft; all of them or none. A warning accepted before keeps its first word.

        :raises WarningGone: when one of them is no warning of the draft any more
        :raises ReasonUnusable: when *reason* says nothing, or is too long
        :raises DraftNotFound, DraftClosed, DraftClash: as `findings`
        """
        reason = _reason(reason)
        warnings = {
            standing.digest
            for standing in await self.findings(draft_id)
            if standing.finding.severity is Severity.WARNING
        }
        if not digests or not warnings.issuperset(digests):
            raise WarningGone("The draft's warnings are others by now. Look at them again.")
        async with self.db.begin(for_staff()) as session:
            await _editable(session, draft_id)
            await store.add_acknowledgements(
                session, draft_id, sorted(set(digests)), reason=reason, by=by, at=self.clock.now()
            )

    async def preview(
        self,
        draft_id: uuid.UUID,
        *,
        buyers: Sequence[PreviewBuyer],
        skus: Sequence[str],
        quantities: Sequence[str],
        at: datetime | None = None,
    ) -> tuple[PreviewPrice, ...]:
        """Prices before and after, in the order buyers, SKUs, quantities (in base units). *at*: now. SKUs that the
        base knows have the facts they have there; where lists are derived, today's costs.

        :raises DraftNotFound: when there is no such draft
        :raises PreviewTooLarge: when more than 2,000 prices are asked for
        """
        if len(buyers) * len(skus) * len(quantities) > PREVIEW_LIMIT:
            raise PreviewTooLarge(f"A preview shows up to {PREVIEW_LIMIT:,} prices; choose fewer.")
        at = at or self.clock.now()
        before, after = await self.books_of_draft(draft_id, skus=skus, at=at)

        def price(asked: PreviewBuyer, sku: str, quantity: str) -> PreviewPrice:
            # One line a request: the sample's lines are questions of their own and don't add up.
            line = LineRequest(sku=sku, quantity=quantity)
            request = QuoteRequest(buyer=asked.buyer, currency=asked.currency, lines=(line,))
            priced = quote(request, book=after, at=at).lines[0]
            return PreviewPrice(
                name=asked.name,
                currency=asked.currency,
                sku=sku,
                unit=priced.unit,
                quantity=quantity,
                before=None if before is None else quote(request, book=before, at=at).lines[0],
                after=priced,
            )

        questions = product(buyers, skus, quantities)
        return await asyncio.to_thread(lambda: tuple(price(*question) for question in questions))

    async def books_of_draft(
        self, draft_id: uuid.UUID, *, skus: Sequence[str], at: datetime, change: tuple[str, Key, Any] | None = None
    ) -> tuple[Book | None, Book]:
        """The book in force at *at*, None where there is none, and the draft as a book that knows *skus*. *change*:
        kind, key and content that the draft has besides, None for gone; nothing is stored.

        :raises DraftNotFound: when there is no such draft
        :raises LeafMalformed: when the content of *change* is no such object
        :raises BookError: when what the draft says cannot be priced
        """
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            changes = await _changes(session, draft_id)
            if change is not None:
                kind, key, content = change
                changes[kind, key] = None if content is None else leaf.noun_of(kind, key, content)
            after = await self._laid_over(session, draft, changes, skus)
        return await self._book_before(at), after

    async def try_change(self, draft_id: uuid.UUID, kind: str, key: Key, content: Any) -> None:
        """Say whether the draft could be priced with this change; nothing is stored.

        :raises LeafMalformed: when *content* is no such object
        :raises BookError: when a book with it could not be priced, or its SKU's rows could not
        """
        name = (kind, key)
        noun = None if content is None else leaf.noun_of(kind, key, content)
        sku = leaf.sku_of(name)
        async with self.db.begin(for_staff()) as session:
            draft = _found(await store.find_draft(session, draft_id))
            changes = await _changes(session, draft_id) | {name: noun}
            book = await self._laid_over(session, draft, changes, [] if sku is None else [sku])
        if sku is not None:
            book.entry(sku)

    # --- Publication ---

    async def publish(
        self,
        draft_id: uuid.UUID,
        *,
        by: uuid.UUID | None,
        effective_at: datetime | None = None,
        note: str = "",
        acknowledge: str | None = None,
    ) -> PricePublication:
        """Put the draft's prices in force from *effective_at* on; without it, after the lead time. *acknowledge*: the
        reason why *by* accepts all warnings that nobody has accepted yet.

        :raises FindingsStopPublication: when there is an error among the findings
        :raises WarningsNotAcknowledged: when there is a warning that nobody has accepted
        :raises NotApproved: when *by* is a person and nobody has approved the draft as it is, unless the installation
            asks for no approval
        :raises SecondApprovalMissing: when only one person has, and the draft moves more than one may let pass
        :raises ReasonUnusable: when *acknowledge* says nothing, or is too long
        :raises DraftClash: when the last published content has other changes of the same objects
        :raises EffectiveTooSoon: when *effective_at* is nearer than the lead time, or the commit came too late for it
        :raises PublicationOutOfOrder: when an upcoming publication takes effect after *effective_at*
        :raises DraftNotFound, DraftClosed: when it cannot be published any more
        """
        leaf.storable(note)
        own = self._own_word(acknowledge, by)
        async with self.db.begin(for_staff()) as session:  # before the work; what counts is asked at the commit
            draft = _open(_found(await store.find_draft(session, draft_id)))
            await approved(session, draft, by=by, required=self.approval_required)
        for _ in range(ATTEMPTS):
            prepared, content = await self._prepare(draft_id, fresh=True)
            errors = [each for each in prepared.findings if each.finding.severity is Severity.ERROR]
            if errors:
                raise FindingsStopPublication(
                    f"{len(errors)} errors stop the publication; the first: {finding_text(errors[0].finding, 'en')}",
                    findings=[_reported(each) for each in errors[:SHOWN_CLASHES]],
                )
            prepared = _all_acknowledged(prepared, own)
            await self.books.compile(content, prepared.root)
            published = await self._try(prepared, by=by, effective_at=effective_at, note=note)
            if published is not None:
                await self.books.refresh()
                return published
        raise PublishedByOthers("Others publish or edit this draft at the same time. Try again.")

    async def roll_back(
        self,
        number: int,
        *,
        by: uuid.UUID | None,
        effective_at: datetime | None = None,
        note: str = "",
        acknowledge: str | None = None,
    ) -> PricePublication:
        """Publish the content of publication *number* once more, as a new entry of the log. *acknowledge*: the reason
        why *by* accepts what today's catalogue and buyers have against it, errors as well: it was in force before.

        :raises PublicationNotFound: when there is no such publication
        :raises WarningsNotAcknowledged: when something stands against it, and *acknowledge* is None
        :raises EffectiveTooSoon, PublicationOutOfOrder, ReasonUnusable: as `publish`
        """
        leaf.storable(note)
        own = self._own_word(acknowledge, by)
        for _ in range(ATTEMPTS):
            async with self.db.begin(for_staff()) as session:
                restored = await store.find_publication(session, number)
                last = await store.find_last_publication(session)
                if restored is None or last is None:
                    raise PublicationNotFound(f"There is no publication {number}.")
                kept = await store.find_content(session, restored.root)
                source = restored.source
                catalogue = await facts.read(self.catalog, session)
                buyers = await buyers_of_today(session)
            assert kept is not None, "the log's foreign key keeps every published content"
            root = leaf.root_text(restored.root)
            content = await asyncio.to_thread(leaf.unpacked, kept, self.keyring)
            await self.books.load(root)
            findings = await asyncio.to_thread(
                list_findings,
                content,
                sold=catalogue.sold,
                at=self.clock.now(),
                buyers=buyers,
                current=await self.books.load(leaf.root_text(last.root)),
            )
            prepared = _Prepared(
                root=root,
                kept=None,
                source=source,
                kept_source=None,
                leaf_count=0,
                findings=_with_words(findings, {}),
                demands=(),
                follows=last.number,
                draft_id=None,
                draft_version=0,
                author_id=restored.author_id,
                restores=number,
            )
            prepared = _all_acknowledged(prepared, own)
            published = await self._try(prepared, by=by, effective_at=effective_at, note=note)
            if published is not None:
                await self.books.refresh()
                return published
        raise PublishedByOthers("Others publish at the same time. Try again.")

    async def list_publications(self, limit: int = 100, *, before: int | None = None) -> Sequence[PricePublication]:
        """Newest first; *before*: those of lower numbers alone."""
        async with self.db.begin(for_staff()) as session:
            return await store.list_publications(session, limit=limit, before=before)

    async def find_publication(self, number: int) -> PricePublication:
        """:raises PublicationNotFound: when there is none"""
        async with self.db.begin(for_staff()) as session:
            found = await store.find_publication(session, number)
        if found is None:
            raise PublicationNotFound(f"There is no publication {number}.")
        return found

    async def find_publication_of(self, draft_id: uuid.UUID) -> PricePublication | None:
        """The publication that put the draft in force, or will; None: there is none."""
        async with self.db.begin(for_staff()) as session:
            return await store.find_publication_of(session, draft_id)

    async def compare(self, older: int, newer: int) -> tuple[Change, ...]:
        """What publication *newer* has otherwise than *older*, by kind and key, derivations and their rows alike.

        :raises PublicationNotFound: when there is no such publication
        """
        before, after = [
            leaves if source is None else leaves | leaf.derivation_leaves(source)
            for leaves, source in [await self._published(number) for number in (older, newer)]
        ]
        return await asyncio.to_thread(_compared, before, after)

    # --- Import and export ---

    async def export_prices(self, number: int | None = None) -> dict[str, Iterator[str]]:
        """The price files of publication *number*, by name, each as lines; None: of the last one. Imported again, they
        change nothing.

        :raises PublicationNotFound: when there is no such publication
        """
        async with self.db.begin(for_staff()) as session:
            if number is None:
                found = await store.find_last_publication(session)
            else:
                found = await store.find_publication(session, number)
            if found is None:
                told = "Nothing is published yet." if number is None else f"There is no publication {number}."
                raise PublicationNotFound(told)
            base = await self.base_of(session, found.root, found.source)
        return dict(export_csv.export_prices(dict(base.frame_leaves), (row for _, row in base.stated_rows())))

    async def import_folder(
        self,
        folder: Path,
        *,
        by: uuid.UUID | None,
        title: str = "",
        progress: Callable[[str, int], None] | None = None,
    ) -> Imported:
        """Import catalogue and price files of *folder*: all of them, or with one error in them nothing. Prices go into
        a new draft. *progress*: called now and then with a file's name and how many of its rows were read.
        """
        return await self._import(folder, by=by, title=title, report=ImportReport(progress=progress), catalogue=True)

    async def import_prices(self, folder: Path, *, by: uuid.UUID | None, title: str = "") -> Imported:
        """Import the price files of *folder* into a new draft, or with one error in them nothing."""
        return await self._import(folder, by=by, title=title, report=ImportReport(), catalogue=False)

    async def import_file(
        self,
        path: Path,
        *,
        by: uuid.UUID | None,
        title: str = "",
        progress: Callable[[str, int], None] | None = None,
    ) -> Imported:
        """Import a workbook, a CSV file or a zip of them into a new draft, or with one error nothing."""
        report = ImportReport(progress=progress)
        return await self._import(path, by=by, title=title, report=report, catalogue=False)

    async def check_files(
        self, path: Path, *, catalogue: bool, progress: Callable[[str, int], None] | None = None
    ) -> CheckedFiles:
        """Say what `import_folder`, or `import_file` (no *catalogue*), would make of *path*, and what would stand
        against publishing that. Nothing is kept.
        """
        report, looked = ImportReport(progress=progress), None
        async with self.db.begin(for_staff()) as session:
            if catalogue:
                await self.catalog.import_into(session, path, report)
            tables = await asyncio.to_thread(_tables, path, report)
            if tables is not None:
                try:
                    draft_id = await self._import_into(session, tables, report, by=None, title=_title(path))
                finally:
                    tables.close()
                if report.ok and (draft_id is not None or report.counts):
                    looked = await self._look(
                        session, draft_id or (await self._open_draft(session, title=_title(path), by=None)).id
                    )
            await session.rollback()
        report.sort()
        if looked is None:
            return CheckedFiles(report=report, changes=0, examined=None)
        prepared, _ = await self._make(looked, fresh=True)
        examined = Examined(findings=prepared.findings, demands=prepared.demands)
        return CheckedFiles(report=report, changes=len(looked.changes), examined=examined)

    async def _import(
        self, path: Path, *, by: uuid.UUID | None, title: str, report: ImportReport, catalogue: bool
    ) -> Imported:
        draft_id = None
        async with self.db.begin(for_staff()) as session:
            if catalogue:
                await self.catalog.import_into(session, path, report)
            tables = await asyncio.to_thread(_tables, path, report)
            if tables is not None:
                try:
                    draft_id = await self._import_into(session, tables, report, by=by, title=title or _title(path))
                finally:
                    tables.close()
            if not report.ok:
                await session.rollback()
                draft_id = None
        report.sort()
        return Imported(report=report, draft_id=draft_id)

    async def _import_into(
        self, session: AsyncSession, tables: Tables, report: ImportReport, *, by: uuid.UUID | None, title: str
    ) -> uuid.UUID | None:
        """Put what *tables* say into a new draft, unless *report* has errors then; the caller rolls back."""
        if not tables.parts:
            return None
        draft = await self._open_draft(session, title=title, by=by)
        base = await self._base(session, draft)
        await staging.compare(session, self.catalog, tables, base, draft.id, report)
        if report.ok:
            await staging.put_into_draft(session, draft.id, by=by, at=self.clock.now())
        return draft.id

    # --- Below ---

    async def _open_draft(
        self, session: AsyncSession, *, title: str, by: uuid.UUID | None, draft_id: uuid.UUID | None = None
    ) -> PriceDraft:
        last = await store.find_last_publication(session)
        draft = PriceDraft(
            id=draft_id or new_id(),
            title=title,
            base_root=None if last is None else last.root,
            base_source=None if last is None else last.source,
            state=DraftState.OPEN,
            version=0,
            author_id=by,
            created_at=self.clock.now(),
        )
        session.add(draft)
        await session.flush()
        await store.add_author(session, draft.id, by)
        return draft

    async def base_of(self, session: AsyncSession, root: bytes | None, source: bytes | None) -> DraftBase:
        """What was stated of a published content; of no root, nothing."""
        book = None if root is None else await self.books.load(leaf.root_text(root))
        return DraftBase(book, await _source(session, source))

    async def _base(self, session: AsyncSession, draft: PriceDraft) -> DraftBase:
        return await self.base_of(session, draft.base_root, draft.base_source)

    async def _laid_over(
        self, session: AsyncSession, draft: PriceDraft, changes: Mapping[LeafName, Any], skus: Sequence[str]
    ) -> DraftBook:
        """The draft's base with *changes*; of *skus* those new to it have the catalogue's facts."""
        base = await self._base(session, draft)
        new = [sku for sku in skus if base.book is None or base.book.entry(sku) is None]
        derives = any(kind == "derivation" for kind, _ in base.frame_leaves.keys() | changes.keys())
        return DraftBook(
            base,
            changes,
            facts=await facts.of_skus(self.catalog, session, new),
            costs=await facts.costs_of_skus(self.catalog, session, skus) if skus and derives else {},
            root=f"draft:{draft.id}",
        )

    async def _standing(self, session: AsyncSession, draft: PriceDraft, name: LeafName) -> Any:
        change = await store.find_change(session, draft.id, name[0], leaf.key_text(name[1]))
        if change is None:
            return (await self._base(session, draft)).leaf(name)
        return None if change.content is None else leaf.noun_of(*name, change.content)

    def _own_word(self, reason: str | None, by: uuid.UUID | None) -> Acknowledgement | None:
        return None if reason is None else Acknowledgement(by=by, at=self.clock.now(), reason=_reason(reason))

    async def _book_before(self, at: datetime) -> Book | None:
        if not self.books.published() or self.books.published()[0].effective_at > at:
            return None
        return await self.books.past(at)

    async def _leaves(self, session: AsyncSession, root: bytes | None) -> Leaves:
        if root is None:
            return {}
        kept = await store.find_content(session, root)
        assert kept is not None, "foreign keys keep every content that is referred to"
        return await asyncio.to_thread(lambda: leaf.leaves_of(leaf.unpacked(kept, self.keyring)))

    async def _stated(self, session: AsyncSession, root: bytes | None, source: bytes | None) -> Leaves:
        """A content's leaves as a draft has them."""
        leaves = await self._leaves(session, root)
        return leaf.stated_leaves(leaves, await _source(session, source))

    async def _published(self, number: int) -> tuple[Leaves, leaf.Source | None]:
        """Every leaf of the content, and what it was made from."""
        async with self.db.begin(for_staff()) as session:
            publication = await store.find_publication(session, number)
            if publication is None:
                raise PublicationNotFound(f"There is no publication {number}.")
            return await self._leaves(session, publication.root), await _source(session, publication.source)

    async def _prepare(self, draft_id: uuid.UUID, *, fresh: bool) -> tuple[_Prepared, BookContent]:
        """The content this draft makes of the last published one, and what was looked at to make it. Unless *fresh*,
        what was found in the same content a moment ago is not looked for again.
        """
        async with self.db.begin(for_staff()) as session:
            looked = await self._look(session, draft_id)
        return await self._make(looked, fresh=fresh)

    async def _look(self, session: AsyncSession, draft_id: uuid.UUID) -> _Looked:
        """:raises DraftNotFound, DraftClosed, DraftClash: as `findings`"""
        draft = _open(_found(await store.find_draft(session, draft_id)))
        changes = await _changes(session, draft_id)
        last = await store.find_last_publication(session)
        base = await self._stated(session, draft.base_root, draft.base_source)
        moved = last is not None and (last.root, last.source) != (draft.base_root, draft.base_source)
        latest = await self._stated(session, last.root, last.source) if moved and last is not None else base
        if moved:
            foreign = leaf.clashes(base, latest, changes)
            if foreign:
                raise _clash(
                    "Since this draft was begun, others published changes of the same.",
                    [(name, latest.get(name), changes[name]) for name in foreign],
                )
        return _Looked(
            draft_id=draft_id,
            draft_version=draft.version,
            author_id=draft.author_id,
            changes=changes,
            latest=latest,
            last_root=None if last is None else leaf.root_text(last.root),
            follows=0 if last is None else last.number,
            catalogue=await facts.read(self.catalog, session),
            buyers=await buyers_of_today(session),
            words={
                row.finding: Acknowledgement(by=row.acknowledged_by, at=row.acknowledged_at, reason=row.reason)
                for row in await store.list_acknowledgements(session, draft_id)
            },
        )

    async def _make(self, looked: _Looked, *, fresh: bool) -> tuple[_Prepared, BookContent]:
        """As `_prepare`, without the database."""
        changes, latest, catalogue, buyers = looked.changes, looked.latest, looked.catalogue, looked.buyers
        current = None if looked.last_root is None else await self.books.load(looked.last_root)
        now = self.clock.now()

        @collector_at_rest()
        def make() -> tuple[_Prepared, BookContent]:
            leaves = {name: noun for name, noun in leaf.applied(latest, changes).items() if name[0] in leaf.EDITED}
            derivations = leaf.derivations_of(leaves)
            content, rows, wrong = derive(leaf.content_of(leaves | catalogue.leaves), derivations, at=now)
            kept = leaf.packed(content, self.keyring)
            source = leaf.source_of(leaves)
            kept_source = None if source is None else leaf.packed_source(source)
            asked = kept.root, catalogue.sold, buyers, looked.last_root, looked.draft_id
            known = next((each for each in self._found if each.asked == asked), None)
            if not fresh and known is not None and known.found_at <= now < known.found_at + FINDINGS_KEPT:
                found, asks = known.findings, known.demands
            else:
                found = list_findings(content, sold=catalogue.sold, at=now, buyers=buyers, current=current)
                asks = demands(
                    self.policy, content, changes, latest, derived=rows, at=now, buyers=buyers, current=current
                )
                checked = _Checked(asked=asked, found_at=self.clock.now(), findings=found, demands=asks)
                others = [each for each in self._found if each.asked[-1] != looked.draft_id]
                self._found = (checked, *others[: CHECKS_KEPT - 1])
            findings = sorted((*wrong, *found), key=lambda each: each.severity is not Severity.ERROR)
            return _Prepared(
                root=leaf.root_text(kept.root),
                kept=kept,
                source=None if kept_source is None else kept_source.digest,
                kept_source=kept_source,
                leaf_count=len(leaves) - len(derivations) + len(rows) + len(catalogue.leaves),
                findings=_with_words(findings, looked.words),
                demands=asks,
                follows=looked.follows,
                draft_id=looked.draft_id,
                draft_version=looked.draft_version,
                author_id=looked.author_id,
                restores=None,
            ), content

        return await asyncio.to_thread(make)

    async def _try(
        self, prepared: _Prepared, *, by: uuid.UUID | None, effective_at: datetime | None, note: str
    ) -> PricePublication | None:
        """As `_commit`; an instant that nobody asked for is chosen anew when the commit was too late for it."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._commit(prepared, by=by, effective_at=effective_at, note=note)
            except CommittedTooLate:
                if effective_at is not None:
                    raise
        return await self._commit(prepared, by=by, effective_at=effective_at, note=note)

    async def _commit(
        self, prepared: _Prepared, *, by: uuid.UUID | None, effective_at: datetime | None, note: str
    ) -> PricePublication | None:
        """Append to the log; None when something moved since it was prepared."""
        if prepared.kept is not None:  # on its own, as it is large and the log is not to wait for it
            async with self.db.begin(for_staff()) as session:
                await store.add_content(
                    session, prepared.kept, leaf_count=prepared.leaf_count, created_at=self.clock.now()
                )
                if prepared.kept_source is not None:
                    await store.add_source(session, prepared.kept_source, created_at=self.clock.now())
        async with self.db.begin(for_staff(), PUBLISH) as session:
            await store.lock_publications(session)
            last = await store.find_last_publication(session)
            if (0 if last is None else last.number) != prepared.follows:
                return None
            now = self.clock.now()
            effective = (effective_at or now + self.books.lead).astimezone(UTC)
            if effective < now + self.books.lead:
                raise EffectiveTooSoon(
                    f"Prices take effect {_seconds(self.books.lead)} after their publication at the earliest.",
                    earliest=(now + self.books.lead).isoformat(),
                )
            if last is not None and effective < last.effective_at:
                raise PublicationOutOfOrder(
                    f"Publication {last.number} takes effect at {last.effective_at.isoformat()}. Choose that instant "
                    "(yours then replaces it) or a later one.",
                    earliest=last.effective_at.isoformat(),
                )
            allowed = Approved(approval=Approval.RESTORED)
            if prepared.draft_id is not None:
                draft = _open(_found(await store.lock_draft(session, prepared.draft_id)))
                if draft.version != prepared.draft_version:
                    return None
                allowed = await approved(
                    session, draft, by=by, required=self.approval_required, second=bool(prepared.demands)
                )
                draft.state = DraftState.PUBLISHED
                draft.closed_at = now
            signed = self.keyring.sign(
                "publication", leaf.publication_message(prepared.follows + 1, prepared.root, effective)
            )
            publication = PricePublication(
                number=prepared.follows + 1,
                root=leaf.root_bytes(prepared.root),
                source=prepared.source,
                effective_at=effective,
                published_at=now,
                author_id=prepared.author_id,
                published_by=by,
                draft_id=prepared.draft_id,
                restores=prepared.restores,
                note=note,
                findings=[_reported(standing) for standing in prepared.findings],
                approval=allowed.approval,
                approved_by=allowed.by,
                approved_at=allowed.at,
                demands=[msgspec.to_builtins(demand) for demand in prepared.demands],
                second_approved_by=allowed.second_by,
                second_approved_at=allowed.second_at,
                signature=signed.signature,
                key_id=signed.key_id,
            )
            session.add(publication)
            await session.flush()
            await enqueue(session, TELL_PRICES_TASK, {}, run_at=effective, queue=QUEUE)
            await self._refuse_when_late(session, effective)
        return publication

    async def _refuse_when_late(self, session: AsyncSession, effective: datetime) -> None:
        """The last statement before the commit. Workers may have been silent since `effective - silence`; what is
        committed after that could escape one of them. The server ends this transaction should the commit not follow.
        """
        spare = (effective - self.books.silence - self.clock.now()) / timedelta(milliseconds=1)
        if spare < 1:
            raise CommittedTooLate("The publication took so long that it came too late for its instant. Try again.")
        await session.execute(
            sa.select(sa.func.set_config("idle_in_transaction_session_timeout", str(int(min(spare, 60_000))), True))
        )


def _tables(path: Path, report: ImportReport) -> Tables | None:
    if path.is_dir():
        return FolderTables(path, import_csv.KNOWN_TABLES)
    return open_tables(path, path.name, import_csv.KNOWN_TABLES, report)


def _title(path: Path) -> str:
    return f"Import of {path.name}"


def _compared(before: Leaves, after: Leaves) -> tuple[Change, ...]:
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(
        Change(
            kind=name[0],
            key=name[1],
            before=leaf.plain(before[name]) if name in before else None,
            after=leaf.plain(after[name]) if name in after else None,
            seen=leaf.seen(after.get(name)),
            changed_by=None,
            changed_at=None,
        )
        for name in names
    )


def _looked_at(task: asyncio.Task[Examined]) -> None:
    """What a check failed with is told to who asks again, if anybody does."""
    if not task.cancelled():
        task.exception()


def _found(draft: PriceDraft | None) -> PriceDraft:
    if draft is None:
        raise DraftNotFound("There is no such draft.")
    return draft


def _open(draft: PriceDraft) -> PriceDraft:
    if draft.state is not DraftState.OPEN:
        raise DraftClosed(f"The draft {draft.title!r} is {draft.state.value}. Open a new one.")
    return draft


async def _editable(session: AsyncSession, draft_id: uuid.UUID) -> PriceDraft:
    return _open(_found(await store.lock_draft(session, draft_id)))


async def _changes(session: AsyncSession, draft_id: uuid.UUID) -> dict[LeafName, Any]:
    changes: dict[LeafName, Any] = {}
    for row in await store.list_changes(session, draft_id):
        name = (row.kind, leaf.key_from_text(row.key))
        changes[name] = None if row.content is None else leaf.noun_of(*name, row.content)
    return changes


async def _source(session: AsyncSession, digest: bytes | None) -> leaf.Source | None:
    if digest is None:
        return None
    kept = await store.find_source(session, digest)
    assert kept is not None, "foreign keys keep every source that is referred to"
    return leaf.unpacked_source(kept)


def _change(base: DraftBase, row: PriceDraftChange) -> Change:
    name = (row.kind, leaf.key_from_text(row.key))
    before = base.leaf(name)
    return Change(
        kind=name[0],
        key=name[1],
        before=None if before is None else leaf.plain(before),
        after=row.content,
        seen=leaf.seen(row.content),
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )


def _stored(name: LeafName, noun: Any) -> tuple[str, str, Any]:
    return name[0], leaf.key_text(name[1]), None if noun is None else leaf.plain(noun)


def _state(name: LeafName, noun: Any) -> LeafState:
    return LeafState(
        kind=name[0], key=name[1], content=None if noun is None else leaf.plain(noun), seen=leaf.seen(noun)
    )


def _clash(message: str, sides: Sequence[tuple[LeafName, Any, Any]]) -> DraftClash:
    def shown(noun: Any) -> Any:
        return None if noun is None else leaf.plain(noun)

    clashes: list[Mapping[str, Any]] = [
        {"kind": name[0], "key": list(name[1]), "theirs": shown(theirs), "yours": shown(yours)}
        for name, theirs, yours in sides[:SHOWN_CLASHES]
    ]
    return DraftClash(message, clashes=clashes, count=len(sides))


def _reason(text: str) -> str:
    leaf.storable(text)
    if not 0 < len(text.strip()) <= REASON_MOST:
        raise ReasonUnusable(f"Say why in 1 to {REASON_MOST:,} characters.")
    return text.strip()


def _with_words(findings: Iterable[Finding], words: Mapping[str, Acknowledgement]) -> tuple[Standing, ...]:
    named = [(finding, finding_digest(finding)) for finding in findings]
    return tuple(Standing(finding=finding, digest=name, acknowledged=words.get(name)) for finding, name in named)


def _all_acknowledged(prepared: _Prepared, own: Acknowledgement | None) -> _Prepared:
    """:raises WarningsNotAcknowledged: when *own* is None, and a finding has nobody's word yet"""
    missing = [standing for standing in prepared.findings if standing.acknowledged is None]
    if missing and own is None:
        raise WarningsNotAcknowledged(
            f"{len(missing)} findings need an acknowledgement with a reason; the first: "
            f"{finding_text(missing[0].finding, 'en')}",
            findings=[_reported(standing) for standing in missing[:SHOWN_CLASHES]],
            count=len(missing),
        )
    return msgspec.structs.replace(
        prepared,
        findings=tuple(
            standing if standing.acknowledged is not None else msgspec.structs.replace(standing, acknowledged=own)
            for standing in prepared.findings
        ),
    )


def _reported(standing: Standing) -> dict[str, Any]:
    """As it is kept with a publication and told in an error: with its words, which a later release may change."""
    reported = {
        **msgspec.to_builtins(standing.finding),
        "digest": standing.digest,
        "text": finding_text(standing.finding, "en"),
    }
    if standing.acknowledged is not None:
        reported["acknowledged"] = msgspec.to_builtins(standing.acknowledged)
    return reported


def _seconds(lead: timedelta) -> str:
    return f"{lead.total_seconds():g} seconds"
