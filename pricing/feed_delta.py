"""What changed between two states of one reader's feed, whether by a publication or by the edge of a window.

Both states are walked SKU by SKU in byte order, as they are stored. A SKU of which the two books hold the same for this
reader, under the same rules, and for which no window began or ended between the two instants, has the same rows and is
not priced; where the books hold the same bytes, it is not even read.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from pricing.compiled import CompiledBook, key_of
from pricing.engine import Buyer
from pricing.engine.columns import ticks
from pricing.engine.request import TaxInput
from pricing.engine.rules import admits
from pricing.feed import FeedRow, FeedSweep
from pricing.ladder import interval_start

PRICED_AT_ONCE: Final = 50
LOOKED_AT_ONCE: Final = 2_000
"""SKUs, before those looked at are told."""

RowName = tuple[str, str, str]
"""SKU, unit, quantity from which the row holds."""


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """One reader's feed: of *book*, at *at*."""

    book: CompiledBook
    buyer: Buyer
    currency: str
    tax: TaxInput | None
    at: datetime

    def sweep(self) -> FeedSweep:
        return FeedSweep(self.book, self.buyer, currency=self.currency, tax=self.tax, at=self.at)


class SkuChange(msgspec.Struct, frozen=True, kw_only=True):
    """What changed of one SKU: nothing, mostly. Rows of *added* and *changed* are the new feed's, *removed* names the
    old one's. *in_old* and *in_new*: which of the two books knows the SKU. *priced*: it had to be, to know.
    """

    sku: str
    in_old: bool
    in_new: bool
    priced: bool
    added: tuple[FeedRow, ...] = ()
    changed: tuple[FeedRow, ...] = ()
    removed: tuple[RowName, ...] = ()

    @property
    def is_any(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def sku_changes(
    old: Feed, new: Feed, *, after_old: str | None = None, after_new: str | None = None
) -> Iterator[SkuChange]:
    """Every SKU that either book knows, in byte order, from behind *after_old* in the one and *after_new* in the other;
    None: from the first. The two feeds are of the same buyer and currency.

    :raises KeyError: when a book does not know the SKU after which to begin
    """
    return _changes(old, new, old.book.records(after_old), new.book.records(after_new))


class _Looked(NamedTuple):
    """A SKU to price, and which of the two books knows it."""

    sku: str
    in_old: bool
    in_new: bool


def _changes(old: Feed, new: Feed, old_records: Iterator[bytes], new_records: Iterator[bytes]) -> Iterator[SkuChange]:
    compare, telling = _Comparison(old, new), _Telling(old, new)
    looked: list[SkuChange | _Looked] = []
    to_price = 0
    before, after = next(old_records, None), next(new_records, None)
    while before is not None or after is not None:
        if compare.bytes_suffice and before is not None and before == after:
            looked.append(SkuChange(sku=key_of(before).decode(), in_old=True, in_new=True, priced=False))
            before, after = next(old_records, None), next(new_records, None)
        else:
            key = min(key_of(record) for record in (before, after) if record is not None)
            was = before if before is not None and key_of(before) == key else None
            now = after if after is not None and key_of(after) == key else None
            if was is not None:
                before = next(old_records, None)
            if now is not None:
                after = next(new_records, None)
            if was is not None and now is not None and compare.is_same(was, now):
                looked.append(SkuChange(sku=key.decode(), in_old=True, in_new=True, priced=False))
            else:
                looked.append(_Looked(key.decode(), was is not None, now is not None))
                to_price += 1
        if to_price == PRICED_AT_ONCE or len(looked) == LOOKED_AT_ONCE:
            yield from telling.told(looked)
            looked, to_price = [], 0
    yield from telling.told(looked)


class _Telling:
    def __init__(self, old: Feed, new: Feed) -> None:
        self._old = old.sweep()
        self._new = new.sweep()

    def told(self, looked: list[SkuChange | _Looked]) -> Iterator[SkuChange]:
        to_price = [each for each in looked if isinstance(each, _Looked)]
        before = _rows_by_sku(self._old.rows([each.sku for each in to_price if each.in_old]))
        after = _rows_by_sku(self._new.rows([each.sku for each in to_price if each.in_new]))
        for each in looked:
            if isinstance(each, _Looked):
                yield _compared(each, before.get(each.sku, {}), after.get(each.sku, {}))
            else:
                yield each


def _rows_by_sku(rows: Iterator[FeedRow]) -> dict[str, dict[RowName, FeedRow]]:
    found: dict[str, dict[RowName, FeedRow]] = {}
    for row in rows:
        found.setdefault(row.sku, {})[name_of(row)] = row
    return found


class _Comparison:
    """Whether SKUs of two books are one to the reader of both feeds."""

    def __init__(self, old: Feed, new: Feed) -> None:
        self._old = old
        self._new = new
        self._earlier, self._later = min(old.at, new.at), max(old.at, new.at)
        self._lists = new.book.rules.lists_for(new.currency, new.buyer)
        self._alike = old.tax == new.tax and (old.book.root == new.book.root or _rules_of(old) == _rules_of(new))
        self._calm = not (
            any(self._earlier < edge <= self._later for edge in _frame_edges(new))
            or _has_row_edges(new.book, ticks(self._earlier), ticks(self._later))
        )
        # records name lists by their places
        self._bytes_say = self._alike and _list_codes(old) == _list_codes(new)
        self.bytes_suffice = self._bytes_say and self._calm
        """Whether equal records mean equal rows."""

    def is_same(self, was: bytes, now: bytes) -> bool:
        """Whether the SKU of these two records has the same rows in both feeds; False where that is not plain."""
        if not self._alike:
            return False
        entry = self._new.book.entry_in(now, self._lists)
        if not (self._bytes_say and was == now) and entry != self._old.book.entry_in(was, self._lists):
            return False
        if self._calm:
            return True
        edge = interval_start(self._new.book, entry, self._new.buyer, self._new.currency, self._later)
        return edge is None or edge <= self._earlier


def _rules_of(feed: Feed) -> tuple[Any, ...]:
    """What of a book's frame the feed's prices may hang on."""
    rules = feed.book.rules
    frame, lists = rules.frame, rules.lists_for(feed.currency, feed.buyer)
    return (
        frame.strategy,
        frame.policy,
        [noun for noun in frame.lists if noun.code in lists],
        frame.layers,
        [noun for noun in frame.adjustments if admits(noun.audience, feed.buyer)],
        frame.bounds,
        frame.quantity_rules,
    )


def _list_codes(feed: Feed) -> list[str]:
    return [noun.code for noun in feed.book.rules.frame.lists]


def _frame_edges(feed: Feed) -> Iterator[datetime]:
    frame = feed.book.rules.frame
    windows = [(noun.starts_at, noun.ends_at) for noun in frame.lists]
    windows += [(noun.starts_at, noun.ends_at) for noun in frame.adjustments]
    return (edge for window in windows for edge in window if edge is not None)


def _has_row_edges(book: CompiledBook, earlier: int, later: int) -> bool:
    """Whether a window of some row begins or ends after the one instant and up to the other."""
    columns = book.columns
    return any(
        bool(np.any((earlier < edges) & (edges <= later))) for edges in (columns.window_starts, columns.window_ends)
    )


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


def _compared(looked: _Looked, before: dict[RowName, FeedRow], after: dict[RowName, FeedRow]) -> SkuChange:
    return SkuChange(
        sku=looked.sku,
        in_old=looked.in_old,
        in_new=looked.in_new,
        priced=True,
        added=tuple(row for name, row in after.items() if name not in before),
        changed=tuple(
            row
            for name, row in after.items()
            if name in before and msgspec.structs.replace(before[name], root=row.root) != row
        ),
        removed=tuple(name for name in before if name not in after),
    )
