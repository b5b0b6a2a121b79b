"""What names a book: salted leaves, one per object, and the RFC 9162 root over their digests.

A reader gets content and salts of what it may see and bare digests of the rest: anyone can recompute the root, nobody
can guess a neighbour's contract price from a digest.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final

import msgspec

from kernel import merkle
from kernel.canonical import canonical_json, canonical_struct
from kernel.errors import Refused
from pricing.engine.book import BookContent, Instant

LeafName = tuple[str, tuple[str, ...]]
"""(kind, key)"""

_BLOCK: Final = 64  # bytes of a block of SHA-256
_MANY: Final = frozenset({"row", "sku", "cost"})


class DuplicateKey(Refused):
    problem = "duplicate-key"
    title = "Two objects of a book have the same key"


class Leaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One object of a book. *content* is the noun itself, or its plain form; *salt* is hex; *digest* that of the other
    four as canonical JSON, raw.
    """

    kind: str
    key: tuple[str, ...]
    content: Any
    salt: str
    digest: bytes

    @property
    def name(self) -> LeafName:
        return self.kind, self.key


def leaves(content: BookContent, house_key: bytes) -> tuple[Leaf, ...]:
    """All leaves, sorted by digest. The same content gives the same leaves, whatever order its objects stand in
    (but for layers, whose order means something and who share a leaf).

    :raises DuplicateKey: when two objects of a kind have the same key
    """
    seal = Seal(house_key)
    found = [
        Leaf(kind=kind, key=key, content=noun, salt=salt, digest=digest)
        for kind, key, noun, (salt, digest) in _sealed(content, seal)
    ]
    return tuple(sorted(found, key=lambda leaf: leaf.digest))


def root(content: BookContent, house_key: bytes) -> str:
    """The name of the content, `"sha256:<hex>"`.

    :raises DuplicateKey: as `leaves`
    """
    return root_of_digests([digest for *_, (_, digest) in _sealed(content, Seal(house_key))])


def root_of(sorted_leaves: Iterable[Leaf]) -> str:
    return root_of_digests([leaf.digest for leaf in sorted_leaves])


def root_of_digests(digests: Iterable[bytes]) -> str:
    """The root from digests alone, as a reader of part of a book computes it; their order does not matter."""
    return "sha256:" + merkle.root(sorted(digests)).hex()


def leaf_digest(kind: str, key: tuple[str, ...], content: Any, salt: str) -> bytes:
    """The digest of a disclosed leaf: what a reader computes for what it was shown."""
    return sha256(canonical_json({"kind": kind, "key": key, "content": content, "salt": salt})).digest()


class Seal:
    """Salts and digests under one house key. The two halves of HMAC (RFC 2104) are begun once, and each leaf's bytes
    are hashed once for the salt and once for the digest.
    """

    def __init__(self, house_key: bytes) -> None:
        key = (sha256(house_key).digest() if len(house_key) > _BLOCK else house_key).ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in key))

    def __call__(self, said: bytes) -> tuple[str, bytes]:
        """Salt and digest of a leaf, of which *said* is the canonical JSON up to where the salt comes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(said)
        inner.update(b"}")
        outer.update(inner.digest())
        salt = outer.hexdigest()[:32]
        return salt, sha256(b'%b,"salt":"%b"}' % (said, salt.encode())).digest()


def _sealed(content: BookContent, seal: Seal) -> Iterator[tuple[str, tuple[str, ...], Any, tuple[str, bytes]]]:
    """Each object with its salt and digest.

    The bytes hashed are those of `leaf_digest`, written in one go: the four keys stand in canonical order, the salt
    comes last.
    """
    names: set[bytes] = set()
    for kind, key, noun in objects(content):
        name = b'"key":%b,"kind":"%b"' % (canonical_struct(key), kind.encode())
        if name in names:
            raise DuplicateKey(f"Two objects of kind {kind} have the key {' / '.join(key)}.", kind=kind, key=list(key))
        names.add(name)
        # the many kinds hold no number that could leave what JSON keeps; the few are looked through
        written = canonical_struct(noun) if kind in _MANY else canonical_json(noun)
        yield kind, key, noun, seal(b'{"content":%b,%b' % (written, name))


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
