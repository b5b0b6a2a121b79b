"""A draft as a side of a comparison: its base's columns under the draft's rules, and columns of its own for the SKUs
that it changes, so that a draft of a few changes is swept as fast as the book it changes.
"""

from collections.abc import Collection, Container, Mapping, Sequence

import numpy as np

from pricing.draft_book import DraftBook
from pricing.engine.book import Cost, Frame, SkuEntry
from pricing.engine.columns import Columns, columns_of
from pricing.engine.rules import Rules
from pricing.engine.sweep import ColumnBook
from pricing.impact import Side


class LaidBook:
    """A book under a draft's rules; implements `ColumnBook`. *changed*: what it does not have from *base*, by SKU."""

    def __init__(
        self, draft: DraftBook, base: ColumnBook, changed: Mapping[str, SkuEntry | None], columns: Columns
    ) -> None:
        self.root: str = draft.root
        self.rules: Rules = draft.rules
        self.columns = columns
        self._base = base
        self._changed = changed

    def entry(self, sku: str) -> SkuEntry | None:
        return self._changed[sku] if sku in self._changed else self._base.entry(sku)

    def entry_of_lists(self, sku: str, lists: Container[str]) -> SkuEntry | None:
        return self._changed[sku] if sku in self._changed else self._base.entry_of_lists(sku, lists)


def side_of_draft(
    draft: DraftBook, base: ColumnBook, before: Side, skus: Sequence[str], changed: Collection[str] | None
) -> Side:
    """:param base: what the draft is laid over, *before* as a side
    :param changed: SKUs whose rows, facts or costs are not those of *base*; None: any may be
    :raises BookError: when changed rows cannot be priced
    """
    frame = draft.rules.frame
    own = set(skus) if changed is None else set(changed) | (_named(frame) - _named(base.rules.frame))
    entries = {sku: draft.entry(sku) for sku in skus if sku in own}
    found = [entry for entry in entries.values() if entry is not None]
    small = columns_of(frame, found)
    laid = LaidBook(draft, base, entries, base.columns.under(frame))
    facts = list(before.facts)
    for place, sku in enumerate(skus):
        if sku in entries:
            entry = entries[sku]
            facts[place] = None if entry is None else entry.facts
    return Side(
        book=laid,
        parts=(laid, LaidBook(draft, base, entries, small)),
        part_of=np.array([sku in entries for sku in skus], np.int8),
        codes=(before.codes[0], np.array([small.code_of(sku) if sku in entries else -1 for sku in skus], np.int32)),
        facts=tuple(facts),
    )


def with_other_costs(base: ColumnBook, skus: Sequence[str], costs: Mapping[str, Collection[Cost]]) -> set[str]:
    """The SKUs whose *costs* are not those that *base* has."""
    return {sku for sku in skus if _costs_in(base, sku) != {(cost.currency, cost.cost) for cost in costs.get(sku, ())}}


def _costs_in(base: ColumnBook, sku: str) -> set[tuple[str, str]]:
    entry = base.entry_of_lists(sku, ())
    return set() if entry is None else {(cost.currency, cost.cost) for cost in entry.costs}


def _named(frame: Frame) -> set[str]:
    """The SKUs that rules speak of by their codes."""
    scopes = [noun.scope for noun in frame.adjustments]
    scopes += [noun.scope for noun in frame.bounds]
    scopes += [noun.scope for noun in frame.quantity_rules]
    return {sku for scope in scopes for sku in (*scope.skus, *scope.excluded_skus)}
