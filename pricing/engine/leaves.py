"""What names a book: salted leaves, one per object, and the RFC 9162 root over their digests.

A reader gets content and salts of what it may see and bare digests of the rest: anyone can recompute the root, nobody
can guess a neighbour's contract price from a digest.
"""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from kernel import merkle
from kernel.canonical import canonical_json
from kernel.errors import Refused
from pricing.engine.book import BookContent, Instant


class DuplicateKey(Refused):
    problem = "duplicate-key"
    title = "Two objects of a book have the same key"


class Leaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One object of a book. *content* is plain JSON-able data; *salt* is hex; *digest* that of the other four as
    canonical JSON, raw.
    """

    kind: str
    key: tuple[str, ...]
    content: Any
    salt: str
    digest: bytes


def leaves(content: BookContent, house_key: bytes) -> tuple[Leaf, ...]:
    """All leaves, sorted by digest. The same content gives the same leaves, whatever order its objects stand in
    (but for layers, whose order means something and who share a leaf).

    :raises DuplicateKey: when two objects of a kind have the same key
    """
    found: dict[tuple[str, tuple[str, ...]], Leaf] = {}
    for kind, key, noun in objects(content):
        if (kind, key) in found:
            raise DuplicateKey(f"Two objects of kind {kind} have the key {' / '.join(key)}.", kind=kind, key=list(key))
        found[kind, key] = _leaf(kind, key, msgspec.to_builtins(noun), house_key)
    return tuple(sorted(found.values(), key=lambda leaf: leaf.digest))


def root(content: BookContent, house_key: bytes) -> str:
    """The name of the content, `"sha256:<hex>"`.

    :raises DuplicateKey: as `leaves`
    """
    return root_of(leaves(content, house_key))


def root_of(sorted_leaves: tuple[Leaf, ...]) -> str:
    return root_of_digests([leaf.digest for leaf in sorted_leaves])


def root_of_digests(digests: list[bytes]) -> str:
    """The root from digests alone, as a reader of part of a book computes it; their order does not matter."""
    return "sha256:" + merkle.root(sorted(digests)).hex()


def leaf_digest(kind: str, key: tuple[str, ...], content: Any, salt: str) -> bytes:
    """The digest of a disclosed leaf: what a reader computes for what it was shown."""
    return sha256(canonical_json({"kind": kind, "key": key, "content": content, "salt": salt})).digest()


def _leaf(kind: str, key: tuple[str, ...], content: Any, house_key: bytes) -> Leaf:
    """The bytes of `leaf_digest`, written in one go: the four keys stand in canonical order, the salt comes last."""
    said = b'{"content":%b,"key":%b,"kind":%b' % (canonical_json(content), canonical_json(key), canonical_json(kind))
    salt = hmac.digest(house_key, said + b"}", "sha256")[:16].hex()
    digest = sha256(b'%b,"salt":"%b"}' % (said, salt.encode())).digest()
    return Leaf(kind=kind, key=key, content=content, salt=salt, digest=digest)


def objects(content: BookContent) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Kind, key and noun of everything that is a leaf."""
    yield "strategy", (), content.strategy
    yield "policy", (), content.policy
    yield "layers", (), content.layers
    for price_list in content.lists:
        yield "list", (price_list.code,), price_list
    for row in content.rows:
        yield "row", (row.list, row.sku, row.unit, _instant(row.starts_at)), row
    for adjustment in content.adjustments:
        yield "adjustment", (adjustment.code,), adjustment
    for bound in content.bounds:
        yield "bound", (bound.code,), bound
    for rule in content.quantity_rules:
        yield "quantity_rule", (rule.code,), rule
    for facts in content.skus:
        yield "sku", (facts.sku,), facts
    for cost in content.costs:
        yield "cost", (cost.sku, cost.currency), cost


def _instant(instant: Instant | None) -> str:
    return "" if instant is None else instant.isoformat()
