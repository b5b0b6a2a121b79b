"""What of a whole book an entity tag of its feed needs: read once per book and kept; in pieces, where rows have windows
of their own and entries must be read for them.
"""

import asyncio
from bisect import bisect_right
from datetime import datetime
from typing import Final

import msgspec

from pricing.compiled import CompiledBook
from pricing.engine import Buyer
from pricing.engine.rules import admits

BOOKS_KEPT: Final = 4
ENTRIES_AT_ONCE: Final = 200
_kept: Final[dict[str, "Outline"]] = {}


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """*edges*: every instant at which a window of a list, row or rule begins or ends, ascending. *row_edges*: those of
    rows, by list.
    """

    edges: tuple[datetime, ...]
    row_edges: dict[str, tuple[datetime, ...]]
    tax_categories: frozenset[str]

    def interval_start(self, at: datetime) -> str:
        """The last edge at or before *at*; empty before the first."""
        found = bisect_right(self.edges, at)
        return self.edges[found - 1].isoformat() if found else ""


def edges_of(book: CompiledBook, outline: Outline, buyer: Buyer, currency: str) -> list[datetime]:
    """The edges of windows that *buyer* may see, ascending: when a neighbour's contract begins is nobody's to learn."""
    lists = book.rules.lists_for(currency, buyer)
    windows = [(each.starts_at, each.ends_at) for each in lists.values()]
    windows += [(each.starts_at, each.ends_at) for each in book.rules.frame.adjustments if admits(each.audience, buyer)]
    edges = {edge for window in windows for edge in window if edge is not None}
    return sorted(edges.union(*(outline.row_edges.get(code, ()) for code in lists)))


async def outline_of(book: CompiledBook) -> Outline:
    """Return the outline of *book*; only the first call for it reads all entries."""
    found = _kept.get(book.root)
    if found is None:
        found = await _read(book)
        while len(_kept) >= BOOKS_KEPT:
            _kept.pop(next(iter(_kept)), None)
        _kept[book.root] = found
    return found


async def _read(book: CompiledBook) -> Outline:
    frame = book.rules.frame
    edges = {edge for each in frame.lists for edge in (each.starts_at, each.ends_at)}
    edges |= {edge for each in frame.adjustments for edge in (each.starts_at, each.ends_at)}
    by_list: dict[str, set[datetime]] = {}
    columns = await asyncio.to_thread(lambda: book.columns)  # the first reader checks them all
    dated = len(columns.row_window) > 0
    for number, entry in enumerate(book.entries() if dated else ()):
        for row in entry.rows:
            found = {edge for edge in (row.starts_at, row.ends_at) if edge is not None}
            if found:
                by_list.setdefault(row.list, set()).update(found)
        if number % ENTRIES_AT_ONCE == 0:
            await asyncio.sleep(0)
    every = {edge for edge in edges if edge is not None}.union(*by_list.values())
    return Outline(
        edges=tuple(sorted(every)),
        row_edges={code: tuple(sorted(found)) for code, found in by_list.items()},
        tax_categories=frozenset(kind.tax_category for kind in columns.kinds),
    )
