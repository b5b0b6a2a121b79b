"""The ledger's Merkle tree (RFC 9162) kept as its complete subtrees, so that a proof reads a few rows, not the ledger.

A tree of n leaves has its complete subtrees stored at (level, position): level 0 are the leaf hashes. The ragged right
edge is folded from them when asked for. kernel.merkle, which works on all entries, is this module's test.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256

Place = tuple[int, int]
"""(level, position) of a complete subtree."""
Span = tuple[int, int]
"""Half-open range of leaves."""
Nodes = Mapping[Place, bytes]


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def places_completed_by(seq: int) -> tuple[Place, ...]:
    """The subtrees that end with leaf *seq*, itself first."""
    places = [(0, seq)]
    while places[-1][1] % 2:
        level, position = places[-1]
        places.append((level + 1, position // 2))
    return tuple(places)


def siblings_needed_by(seq: int) -> tuple[Place, ...]:
    """The stored left halves of the subtrees that leaf *seq* completes, lowest first."""
    return tuple((level, position - 1) for level, position in places_completed_by(seq)[:-1])


def completed_by(seq: int, leaf: bytes, nodes: Nodes) -> Iterator[tuple[Place, bytes]]:
    """What leaf *seq* adds to the store: itself and every subtree it completes."""
    first, *larger = places_completed_by(seq)
    value = leaf
    yield first, value
    for place, left in zip(larger, siblings_needed_by(seq), strict=True):
        value = node_hash(nodes[left], value)
        yield place, value


def cover(span: Span) -> tuple[Place, ...]:
    """The complete subtrees that make up *span*, largest first; *span* begins where RFC 9162's splitting begins it."""
    start, end = span
    places = []
    while start < end:
        level = (end - start).bit_length() - 1
        places.append((level, start >> level))
        start += 1 << level
    return tuple(places)


def fold(span: Span, nodes: Nodes) -> bytes:
    """Hash of *span*; of no leaves, the digest of nothing."""
    places = cover(span)
    if not places:
        return sha256().digest()
    *larger, smallest = places
    value = nodes[smallest]
    for place in reversed(larger):
        value = node_hash(nodes[place], value)
    return value


def inclusion_spans(index: int, size: int) -> tuple[Span, ...]:
    """The spans whose hashes prove leaf *index* of *size*, lowest first."""
    if not 0 <= index < size:
        raise IndexError(f"the tree has no leaf {index}")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return tuple(reversed(spans))


def consistency_spans(first: int, size: int) -> tuple[Span, ...]:
    """The spans whose hashes prove that the tree of *first* leaves grew into that of *size*."""
    if not 0 < first <= size:
        raise IndexError(f"a tree of {size} did not grow from one of {first}")
    spans: list[Span] = []
    start, end = 0, size
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    if start:  # the remainder is a node of both trees; the whole first tree is known to the verifier
        spans.append((start, end))
    return tuple(reversed(spans))


def _split(size: int) -> int:
    """The largest power of two below *size*."""
    return 1 << (size - 1).bit_length() - 1
