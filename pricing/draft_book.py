"""A draft as a book: the changed leaves laid over the book they change, so that a preview rebuilds nothing."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pricing.content import LeafName, Leaves, applied, content_of, entry_leaves, frame_leaves, sku_of
from pricing.engine.book import SkuEntry, SkuFacts
from pricing.engine.memory import Book, entries_of, frame_of
from pricing.engine.rules import Rules


class DraftBook:
    """Implements the engine's `Book`. *facts*: those of SKUs that *base* does not know.

    :raises BookError: when the changed content cannot be priced
    """

    def __init__(
        self, base: Book | None, changes: Mapping[LeafName, Any], *, facts: Mapping[str, SkuFacts], root: str
    ) -> None:
        self.root = root
        self._base = base
        self._facts = facts
        self._changes: dict[str | None, dict[LeafName, Any]] = {}
        for name, noun in changes.items():
            self._changes.setdefault(sku_of(name), {})[name] = noun
        frame = {} if base is None else frame_leaves(base.rules.frame)
        self.rules = Rules(frame_of(content_of(applied(frame, self._changes.get(None, {})))))

    def entry(self, sku: str) -> SkuEntry | None:
        """:raises BookError: when the changed rows cannot be priced"""
        known = None if self._base is None else self._base.entry(sku)
        leaves: Leaves = {} if known is None else entry_leaves(known)
        if sku in self._facts:
            leaves["sku", (sku,)] = self._facts[sku]
        leaves = applied(leaves, self._changes.get(sku, {}))
        if ("sku", (sku,)) not in leaves:
            return None
        content = msgspec.structs.replace(content_of(leaves), lists=self.rules.frame.lists)
        return next(entries_of(content))
