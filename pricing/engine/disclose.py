"""What a reader of one answer is shown of the book it was made from: enough to replay it, and nobody else's price.

Shown are strategy, policy and layers, the facts of the SKUs asked for, the lists open to the buyer with their rows of
those SKUs, the rules and quantity rules that speak of them, and the bounds marked as disclosed. Of the rest, costs
among it, there are bare digests.
"""

from typing import Any

import msgspec

from kernel.canonical import digest
from pricing.engine.book import Adjustment, BookContent, Bound, QuantityRule, SkuFacts
from pricing.engine.leaves import Leaf, leaves, root_of
from pricing.engine.request import Answer, Quote
from pricing.engine.rules import admits, in_scope

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


def disclosed(content: BookContent, house_key: bytes, answer: Quote) -> Disclosure:
    """The leaves of *content* that `replay` needs for *answer* and its buyer may see.

    :raises DuplicateKey: when two objects of the content have the same key
    """
    every = leaves(content, house_key)
    keys = _keys(content, answer)
    shown = [leaf for leaf in every if leaf.kind in _ALWAYS or (leaf.kind, leaf.key[:2]) in keys]
    hidden = [leaf for leaf in every if leaf.kind not in _ALWAYS and (leaf.kind, leaf.key[:2]) not in keys]
    return Disclosure(
        answer=digest(msgspec.to_builtins(answer)),
        root=root_of(every),
        shown=tuple(_shown(leaf) for leaf in shown),
        digests=tuple(leaf.digest.hex() for leaf in hidden),
    )


def _keys(content: BookContent, answer: Quote) -> set[tuple[str, tuple[str, ...]]]:
    """Kind and (the first two parts of the) key of what the buyer may see."""
    asked = {line.sku for line in answer.lines}
    facts = [noun for noun in content.skus if noun.sku in asked]
    lists = {noun.code for noun in content.lists if admits(noun.audience, answer.buyer)}
    keys: set[tuple[str, tuple[str, ...]]] = {("sku", (noun.sku,)) for noun in facts}
    keys |= {("list", (code,)) for code in lists}
    keys |= {("row", (code, sku)) for code in lists for sku in asked}
    for kind, nouns in (
        ("adjustment", [noun for noun in content.adjustments if admits(noun.audience, answer.buyer)]),
        ("bound", [noun for noun in content.bounds if noun.disclosed]),
        ("quantity_rule", content.quantity_rules),
    ):
        keys |= {(kind, (noun.code,)) for noun in nouns if _speaks_of(noun, facts)}
    return keys


def _speaks_of(noun: Adjustment | Bound | QuantityRule, facts: list[SkuFacts]) -> bool:
    return any(in_scope(noun.scope, one) for one in facts)


def _shown(leaf: Leaf) -> ShownLeaf:
    return ShownLeaf(kind=leaf.kind, key=leaf.key, content=leaf.content, salt=leaf.salt)
