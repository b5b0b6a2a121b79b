"""What of a whole book an entity tag of its feed needs: read once per book, in pieces, and kept."""

import asyncio
from bisect import bisect_right
from datetime import datetime
from typing import Final

import msgspec

from pricing.compiled import CompiledBook

BOOKS_KEPT: Final = 4
ENTRIES_AT_ONCE: Final = 200
_kept: Final[dict[str, "Outline"]] = {}


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """*edges*: every instant at which a window of a list, row or rule begins or ends, ascending."""

    edges: tuple[datetime, ...]
    tax_categories: frozenset[str]

    def interval_start(self, at: datetime) -> str:
        """The last edge at or before *at*; empty before the first."""
        found = bisect_right(self.edges, at)
        return self.edges[found - 1].isoformat() if found else ""


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
    categories = set()
    for number, entry in enumerate(book.entries()):
        categories.add(entry.facts.tax_category)
        edges.update(edge for row in entry.rows for edge in (row.starts_at, row.ends_at))
        if number % ENTRIES_AT_ONCE == 0:
            await asyncio.sleep(0)
    return Outline(
        edges=tuple(sorted(edge for edge in edges if edge is not None)), tax_categories=frozenset(categories)
    )
