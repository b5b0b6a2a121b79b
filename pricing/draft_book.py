"""A draft as a book: the changed leaves laid over the book they change, so that a preview rebuilds nothing."""

from collections.abc import Collection, Container, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from pricing.compiled import CompiledBook
from pricing.content import (
    LeafName,
    Leaves,
    Source,
    applied,
    content_of,
    derivations_of,
    entry_leaves,
    frame_leaves,
    key_of,
    sku_of,
    stated_leaves,
)
from pricing.engine.book import Cost, PriceRow, SkuEntry, SkuFacts
from pricing.engine.derive import Derived, check_derivations, derive
from pricing.engine.memory import entries_of, frame_of
from pricing.engine.rules import BookError, Rules
from pricing.findings import finding_text

_ANY_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""For findings that nobody looks at."""


class DraftBase:
    """What a draft began from, as it was stated: with derivations, without the rows that followed from them. *book*
    None: nothing; *source* None: all of *book* was stated outright.
    """

    def __init__(self, book: CompiledBook | None, source: Source | None) -> None:
        self.book = book
        self._source = source
        self._gave = None if source is None else source.gave()

    @cached_property
    def frame_leaves(self) -> Mapping[LeafName, Any]:
        """What is not per SKU."""
        return {} if self.book is None else stated_leaves(frame_leaves(self.book.rules.frame), self._source)

    def sku_leaves(self, sku: str) -> Leaves:
        """Facts, rows and costs of one SKU."""
        entry = None if self.book is None else self.book.entry(sku)
        leaves = {} if entry is None else entry_leaves(entry)
        return leaves if self._gave is None else {name: leaves[name] for name in leaves if not self._gave(name)}

    def stated_rows(self) -> Iterator[tuple[LeafName, PriceRow]]:
        """The rows of every SKU, one SKU after the other, in the memory of one."""
        for entry in () if self.book is None else self.book.entries():
            for row in entry.rows:
                name = ("row", key_of("row", row))
                if self._gave is None or not self._gave(name):
                    yield name, row

    def leaf(self, name: LeafName) -> Any:
        """None: no such leaf."""
        sku = sku_of(name)
        return (self.frame_leaves if sku is None else self.sku_leaves(sku)).get(name)


class DraftBook:
    """Implements the engine's `Book`. *facts*: those of SKUs that *base* does not know. *costs*: by SKU, where they are
    not those of *base*.

    :raises BookError: when the changed content cannot be priced
    """

    def __init__(
        self,
        base: DraftBase,
        changes: Mapping[LeafName, Any],
        *,
        facts: Mapping[str, SkuFacts],
        costs: Mapping[str, Collection[Cost]],
        root: str,
    ) -> None:
        self.root = root
        self._base = base
        self._facts = facts
        self._costs = costs
        self._changes: dict[str | None, dict[LeafName, Any]] = {}
        for name, noun in changes.items():
            self._changes.setdefault(sku_of(name), {})[name] = noun
        frame = applied(base.frame_leaves, self._changes.get(None, {}))
        self.rules = Rules(frame_of(content_of(frame)))
        self._derivations = derivations_of(frame)
        for finding in check_derivations(self.rules.frame.lists, self._derivations):
            raise BookError(finding_text(finding, "en"))

    def entry_of_lists(self, sku: str, lists: Container[str]) -> SkuEntry | None:  # noqa: ARG002 - a preview is small
        return self.entry(sku)

    def entry(self, sku: str) -> SkuEntry | None:
        """:raises BookError: when the changed rows cannot be priced"""
        # a derived price that there is none of is missing here; the checks of the whole draft say why
        done = self._derived(sku)
        return None if done is None else next(entries_of(done.content))

    def derived_rows(self, sku: str) -> tuple[PriceRow, ...]:
        """The rows of *sku* that follow from derivations."""
        done = self._derived(sku)
        return () if done is None else done.rows

    def _derived(self, sku: str) -> Derived | None:
        leaves = self._base.sku_leaves(sku)
        if sku in self._facts:
            leaves["sku", (sku,)] = self._facts[sku]
        if sku in self._costs:
            leaves = {name: noun for name, noun in leaves.items() if name[0] != "cost"}
            leaves |= {("cost", (sku, cost.currency)): cost for cost in self._costs[sku]}
        leaves = applied(leaves, self._changes.get(sku, {}))
        if ("sku", (sku,)) not in leaves:
            return None
        content = msgspec.structs.replace(content_of(leaves), lists=self.rules.frame.lists)
        return derive(content, self._derivations, at=_ANY_INSTANT)
