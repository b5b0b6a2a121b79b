"""What a reader is shown of a book: enough to check its own prices, and nobody else's price.

A reader sees strategy, policy and layers, the lists open to it with their rows, the facts of the SKUs in question, the
rules for it and the quantity rules that speak of these, and the bounds marked as disclosed. Of the rest there are bare
digests: of costs always, and of bounds by margin, for a price that stands at such a bound would tell the cost.

A leaf is shown whole or not at all. What a leaf for everyone names, it names to everyone.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from kernel.canonical import digest
from pricing.engine.book import BookContent, Bound, MarginLimit, Scope, SkuFacts
from pricing.engine.leaves import Leaf, leaves, root_of
from pricing.engine.request import Answer, Buyer, Quote
from pricing.engine.rules import admits, ancestors, in_scope

_ALWAYS = frozenset({"strategy", "policy", "layers"})


class ShownLeaf(Answer, frozen=True, kw_only=True):
    """A leaf with everything its digest is made of."""

    kind: str
    key: tuple[str, ...]
    content: Any
    salt: str


class Disclosure(Answer, frozen=True, kw_only=True):
    """*answer* is the digest of the answer's canonical JSON, *digests* are the other leaves' in hex, sorted."""

    answer: str
    root: str
    shown: tuple[ShownLeaf, ...]
    digests: tuple[str, ...]


class Pruned(Answer, frozen=True, kw_only=True):
    """As `Disclosure`, and small however large the book: the shown leaves stand at *places* among its *size* leaves,
    and *nodes* in hex lead from there to the root, as `kernel.merkle.pruned_root` takes them.
    """

    answer: str
    root: str
    shown: tuple[ShownLeaf, ...]
    size: int
    places: tuple[int, ...]
    nodes: tuple[str, ...]


def disclosed(content: BookContent, house_key: bytes, answer: Quote) -> Disclosure:
    """The leaves of *content* that `replay` needs for *answer* and its buyer may see.

    :raises DuplicateKey: when two objects of the content have the same key
    """
    every = leaves(content, house_key)
    reader = Reader(every, answer.buyer, asked={line.sku for line in answer.lines})
    shown, hidden = reader.divide(every)
    return Disclosure(answer=digest(msgspec.to_builtins(answer)), root=root_of(every), shown=shown, digests=hidden)


class Reader:
    """What *buyer* may see among *every* leaf of a book. In question are the SKUs *asked* for, or (None) all that the
    lists open to the buyer price: that a SKU exists which is made for somebody else is not told.
    """

    def __init__(self, every: Iterable[Leaf], buyer: Buyer, *, asked: Iterable[str] | None = None) -> None:
        few = [leaf for leaf in every if leaf.kind in {"list", "row", "sku"}]
        self._buyer = buyer
        self._lists = {
            leaf.content.code for leaf in few if leaf.kind == "list" and admits(leaf.content.audience, buyer)
        }
        if asked is None:
            asked = (leaf.content.sku for leaf in few if leaf.kind == "row" and leaf.content.list in self._lists)
        self._asked = frozenset(asked)
        self._facts = _Facts(leaf.content for leaf in few if leaf.kind == "sku" and leaf.content.sku in self._asked)

    def sees(self, leaf: Leaf) -> bool:
        noun = leaf.content
        match leaf.kind:
            case "list":
                return noun.code in self._lists
            case "row":
                return noun.list in self._lists and noun.sku in self._asked
            case "sku":
                return noun.sku in self._asked
            case "adjustment":
                return admits(noun.audience, self._buyer) and self._facts.any_in(noun.scope)
            case "bound":
                return may_be_shown(noun) and self._facts.any_in(noun.scope)
            case "quantity_rule":
                return self._facts.any_in(noun.scope)
            case kind:
                return kind in _ALWAYS

    def divide(self, every: Iterable[Leaf]) -> tuple[tuple[ShownLeaf, ...], tuple[str, ...]]:
        """The leaves the reader sees, and the digests of the others in hex; both in the order given."""
        shown: list[ShownLeaf] = []
        hidden: list[str] = []
        for leaf in every:
            if self.sees(leaf):
                shown.append(show(leaf))
            else:
                hidden.append(leaf.digest.hex())
        return tuple(shown), tuple(hidden)


def may_be_shown(bound: Bound) -> bool:
    return bound.disclosed and not isinstance(bound.limit, MarginLimit)


def show(leaf: Leaf) -> ShownLeaf:
    return ShownLeaf(kind=leaf.kind, key=leaf.key, content=leaf.content, salt=leaf.salt)


class _Facts:
    """Facts of SKUs, found by what a scope may name them by."""

    def __init__(self, facts: Iterable[SkuFacts]) -> None:
        self._all = list(facts)
        self._skus = {noun.sku: noun for noun in self._all}
        self._brands: defaultdict[str | None, list[SkuFacts]] = defaultdict(list)
        self._categories: defaultdict[str, list[SkuFacts]] = defaultdict(list)
        for noun in self._all:
            self._brands[noun.brand].append(noun)
            for category in noun.categories:
                for path in ancestors(category):
                    self._categories[path].append(noun)

    def any_in(self, scope: Scope) -> bool:
        """Whether *scope* holds any of the SKUs."""
        return any(in_scope(scope, noun) for noun in self._candidates(scope))

    def _candidates(self, scope: Scope) -> Sequence[SkuFacts]:
        if scope.everything:
            return self._all
        named = [self._skus[sku] for sku in scope.skus if sku in self._skus]
        for brand in scope.brands:
            named += self._brands.get(brand, ())
        for path in scope.categories:
            named += self._categories.get(path, ())
        return named
