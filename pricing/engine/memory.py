"""What the evaluator reads, and a book held in memory."""

from collections.abc import Iterator
from typing import Protocol

from kernel.errors import Refused
from pricing.engine.book import BookContent, Cost, Frame, PriceRow, SkuEntry
from pricing.engine.rules import Rules


class BookError(Refused):
    """A book that cannot be loaded; the message names the object and the reason."""

    problem = "book-not-loadable"
    title = "This price book cannot be loaded"


class Book(Protocol):
    """A published book as the evaluator sees it. `entry` is asked once per SKU of a request, `rules` once a request."""

    @property
    def root(self) -> str:
        """The name of the content: `sha256:<hex>`."""

    @property
    def rules(self) -> Rules: ...

    def entry(self, sku: str) -> SkuEntry | None:
        """Facts, rows and costs of *sku*; None when the book does not know it."""


class MemoryBook:
    """A book as plain objects: for drafts, tests, small catalogues.

    :raises BookError: when the content cannot be priced
    """

    def __init__(self, content: BookContent, *, root: str) -> None:
        self.root = root
        self.rules = Rules(frame_of(content))
        self._entries = {entry.facts.sku: entry for entry in entries_of(content)}

    def entry(self, sku: str) -> SkuEntry | None:
        return self._entries.get(sku)


def frame_of(content: BookContent) -> Frame:
    return Frame(
        strategy=content.strategy,
        policy=content.policy,
        lists=content.lists,
        layers=content.layers,
        adjustments=content.adjustments,
        bounds=content.bounds,
        quantity_rules=content.quantity_rules,
    )


def entries_of(content: BookContent) -> Iterator[SkuEntry]:
    """The content by SKU, in the order of `skus`: what a compiled book stores as one record each.

    :raises BookError: when a SKU is declared twice, or a row or cost names an undeclared one
    """
    rows: dict[str, list[PriceRow]] = {facts.sku: [] for facts in content.skus}
    costs: dict[str, list[Cost]] = {}
    if len(rows) != len(content.skus):
        raise BookError("A SKU is declared twice.")
    for row in content.rows:
        if row.sku not in rows:
            raise BookError(f"A row of list {row.list} prices the unknown SKU {row.sku}.")
        rows[row.sku].append(row)
    for cost in content.costs:
        if cost.sku not in rows:
            raise BookError(f"A cost names the unknown SKU {cost.sku}.")
        costs.setdefault(cost.sku, []).append(cost)
    for facts in content.skus:
        yield SkuEntry(facts=facts, rows=tuple(rows[facts.sku]), costs=tuple(costs.get(facts.sku, ())))
