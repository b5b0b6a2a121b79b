"""What changed between two states of one reader's feed, whether by a publication or by the edge of a window.

Both states are walked SKU by SKU in byte order. A SKU that the two books hold alike, under the same rules, and for
which no window began or ended between the two instants, has the same rows and is not priced.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from pricing.engine import Buyer
from pricing.engine.book import SkuEntry
from pricing.engine.request import TaxInput
from pricing.engine.sweep import ColumnBook
from pricing.feed import FeedRow, feed_rows
from pricing.ladder import interval_start

RowName = tuple[str, str, str]
"""SKU, unit, quantity from which the row holds."""


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """One reader's feed: of *book*, at *at*."""

    book: ColumnBook
    buyer: Buyer
    currency: str
    tax: TaxInput | None
    at: datetime

    def rows(self, sku: str) -> list[FeedRow]:
        return list(feed_rows(self.book, [sku], self.buyer, currency=self.currency, tax=self.tax, at=self.at))


class SkuChange(msgspec.Struct, frozen=True, kw_only=True):
    """What changed of one SKU: nothing, mostly. Rows of *added* and *changed* are the new feed's, *removed* names the
    old one's. *in_old* and *in_new*: which of the two books knows the SKU.
    """

    sku: str
    in_old: bool
    in_new: bool
    added: tuple[FeedRow, ...] = ()
    changed: tuple[FeedRow, ...] = ()
    removed: tuple[RowName, ...] = ()

    @property
    def is_any(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def sku_changes(
    old: Feed, new: Feed, old_entries: Iterator[SkuEntry], new_entries: Iterator[SkuEntry]
) -> Iterator[SkuChange]:
    """Every SKU that either book knows, in byte order. The entries come in that order, from wherever one begins; the
    two feeds are of the same buyer and currency.
    """
    alike = old.tax == new.tax and (old.book.root == new.book.root or old.book.rules.frame == new.book.rules.frame)
    before, after = next(old_entries, None), next(new_entries, None)
    while before is not None or after is not None:
        sku = _first(before, after)
        was = before if before is not None and before.facts.sku == sku else None
        now = after if after is not None and after.facts.sku == sku else None
        if was is not None:
            before = next(old_entries, None)
        if now is not None:
            after = next(new_entries, None)
        if alike and was == now and now is not None and not _edge_between(old, new, now):
            yield SkuChange(sku=sku, in_old=True, in_new=True)
        else:
            yield _compared(sku, [] if was is None else old.rows(sku), [] if now is None else new.rows(sku), was, now)


def name_of(row: FeedRow) -> RowName:
    return row.sku, row.unit, row.from_quantity


def applied(feed: Iterable[FeedRow], changes: Iterable[SkuChange], *, root: str) -> list[FeedRow]:
    """The new feed, from the old one and what changed: what a partner's program does."""
    rows = {name_of(row): row for row in feed}
    for change in changes:
        for name in change.removed:
            del rows[name]
        rows |= {name_of(row): row for row in (*change.added, *change.changed)}
    return [msgspec.structs.replace(row, root=root) for row in rows.values()]


def _first(one: SkuEntry | None, other: SkuEntry | None) -> str:
    return min((each.facts.sku for each in (one, other) if each is not None), key=str.encode)


def _edge_between(old: Feed, new: Feed, entry: SkuEntry) -> bool:
    """Whether a window that may matter to the SKU begins or ends after the one instant and up to the other."""
    earlier, later = min(old.at, new.at), max(old.at, new.at)
    edge = interval_start(new.book, entry, new.buyer, new.currency, later)
    return edge is not None and edge > earlier


def _compared(
    sku: str, old: list[FeedRow], new: list[FeedRow], was: SkuEntry | None, now: SkuEntry | None
) -> SkuChange:
    before = {name_of(row): row for row in old}
    after = {name_of(row): row for row in new}
    return SkuChange(
        sku=sku,
        in_old=was is not None,
        in_new=now is not None,
        added=tuple(row for name, row in after.items() if name not in before),
        changed=tuple(
            row
            for name, row in after.items()
            if name in before and msgspec.structs.replace(before[name], root=row.root) != row
        ),
        removed=tuple(name for name in before if name not in after),
    )
