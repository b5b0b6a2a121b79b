"""The Merkle tree of RFC 9162, section 2.1: root, inclusion and consistency proofs, and their verification.

Entries are byte strings; roots and proof nodes are raw SHA-256 digests of 32 bytes.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def root(entries: Iterable[bytes]) -> bytes:
    """The tree head of *entries*; of none, the digest of nothing."""
    level = [leaf_hash(entry) for entry in entries]
    if not level:
        return sha256().digest()
    while len(level) > 1:
        level = _parents(level)
    return level[0]


class Tree:
    """A tree that is kept, so that each further proof costs next to nothing: 64 bytes of digests an entry."""

    def __init__(self, entries: Iterable[bytes]) -> None:
        level = [leaf_hash(entry) for entry in entries]
        self._levels = [level]
        while len(level) > 1:
            level = _parents(level)
            self._levels.append(level)

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """The nodes that lead from entry *index* to the root, lowest first.

        :raises IndexError: when there is no such entry
        """
        if not 0 <= index < len(self._levels[0]):
            raise IndexError(f"the tree has no entry {index}")
        siblings = [(level, (index >> height) ^ 1) for height, level in enumerate(self._levels)]
        return tuple(level[sibling] for level, sibling in siblings[:-1] if sibling < len(level))

    def pruned(self, places: Iterable[int]) -> tuple[bytes, ...]:
        """The nodes that lead from the entries at *places* to the root, each once, from left to right; far fewer than a
        proof for each entry. Read again by `pruned_root`.
        """
        kept, nodes = sorted(places), list[bytes]()

        def walk(height: int, index: int) -> None:
            level = self._levels[height]
            if index >= len(level):
                return  # the node to its left moved up alone
            if not _any_within(kept, index << height, (index + 1) << height):
                nodes.append(level[index])
            elif height:
                walk(height - 1, 2 * index)
                walk(height - 1, 2 * index + 1)

        walk(len(self._levels) - 1, 0)
        return tuple(nodes)


def pruned_root(size: int, entries: Mapping[int, bytes], nodes: Sequence[bytes]) -> bytes:
    """The root of the tree of *size* entries of which these, by their place, and the *nodes* beside them are known.

    :raises ValueError: when the nodes are not those of such a tree
    """
    places, rest = sorted(entries), iter(nodes)
    if not places or places[0] < 0 or places[-1] >= size:
        raise ValueError(f"a tree of {size} entries has not these places")

    def walk(height: int, index: int) -> bytes:
        if not _any_within(places, index << height, (index + 1) << height):
            node = next(rest, None)
            if node is None:
                raise ValueError("there are too few nodes")
            return node
        if not height:
            return leaf_hash(entries[index])
        left = walk(height - 1, 2 * index)
        beside = 2 * index + 1
        return _node(left, walk(height - 1, beside)) if beside << (height - 1) < size else left

    found = walk((size - 1).bit_length(), 0)
    if next(rest, None) is not None:
        raise ValueError("there are too many nodes")
    return found


def inclusion_proof(entries: Iterable[bytes], index: int) -> tuple[bytes, ...]:
    """As `Tree.inclusion_proof`, for one proof alone."""
    return Tree(entries).inclusion_proof(index)


def verify_inclusion(entry: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether *proof* shows that *entry* is number *index* of the *size* entries under the root *expected*."""
    if not 0 <= index < size:
        return False
    node, last = leaf_hash(entry), size - 1
    for other in proof:
        if last == 0:
            return False
        if index % 2 or index == last:
            node = _node(other, node)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            node = _node(node, other)
        index, last = index >> 1, last >> 1
    return last == 0 and node == expected


def consistency_proof(entries: Sequence[bytes], first: int) -> tuple[bytes, ...]:
    """The nodes that show that the tree of the *first* entries grew into the tree of all of them.

    :raises IndexError: unless 0 < first <= len(entries)
    """
    if not 0 < first <= len(entries):
        raise IndexError(f"a tree of {len(entries)} did not grow from one of {first}")
    return tuple(_subproof(entries, first, complete=True))


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether *proof* shows that the tree of *second* entries begins with the tree of *first* entries."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = list(proof)
    if first & (first - 1) == 0:  # a complete tree is a node of the larger one, and not repeated in the proof
        path.insert(0, first_root)
    if not path:
        return False
    index, last = first - 1, second - 1
    while index % 2:
        index, last = index >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if index % 2 or index == last:
            old, new = _node(other, old), _node(other, new)
            while index % 2 == 0 and index:
                index, last = index >> 1, last >> 1
        else:
            new = _node(new, other)
        index, last = index >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _any_within(places: Sequence[int], start: int, end: int) -> bool:
    found = bisect_left(places, start)
    return found < len(places) and places[found] < end


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _parents(level: list[bytes]) -> list[bytes]:
    """Pairs joined; an odd last node moves up unchanged, which is RFC 9162's split at powers of two."""
    parents = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        parents.append(level[-1])
    return parents


def _subproof(entries: Sequence[bytes], first: int, *, complete: bool) -> list[bytes]:
    size = len(entries)
    if first == size:
        return [] if complete else [root(entries)]
    split = 1 << (size - 1).bit_length() - 1
    if first <= split:
        return [*_subproof(entries[:split], first, complete=complete), root(entries[split:])]
    return [*_subproof(entries[split:], first - split, complete=False), root(entries[:split])]
