"""Proofs for partners: that a leaf is in the book a root names, all of a book that one reader may see, and what changed
between two books for that reader.

A bare digest tells nothing: its salt is secret, and as leaves stand in the order of their digests its place is as good
as random. What a reader does learn is how many leaves a book has and how many of the hidden ones are new in the next.
And whoever was shown a leaf once knows its digest: later it can tell that this very content is (or is not) in a book.

Everything here is checked offline by `python -m pricing.engine.verify`, a program of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from operator import attrgetter

import msgspec

from kernel import merkle
from kernel.canonical import canonical_struct, digest
from kernel.errors import Conflict, Malformed, NotFound
from pricing.engine.disclose import Pruned, Reader, ShownLeaf, show
from pricing.engine.leaves import Leaf, LeafName, root_of_digests
from pricing.engine.request import Answer, Buyer, Quote
from pricing.engine.verify import verify


class LeafNotFound(NotFound):
    problem = "leaf-not-found"
    title = "This price book has no such object"


class ViewMalformed(Malformed):
    problem = "view-malformed"
    title = "This is no whole view of a price book"


class DeltaDoesNotFit(Conflict):
    problem = "delta-does-not-fit"
    title = "These changes do not belong to this view"


# --- One leaf ---


class Proof(Answer, frozen=True, kw_only=True, tag="proof", tag_field="document"):
    """That a leaf of *digest* is number *index* of the *size* leaves under *root*; *path* as RFC 9162 has it, lowest
    first. *leaf* None: what the leaf says is not shown. Digests are hex.
    """

    root: str
    leaf: ShownLeaf | None
    digest: str
    index: int
    size: int
    path: tuple[str, ...]


class Prover:
    """Proves leaves of one book to one reader. Leaves that *buyer* may not see, and all when nobody is named, are
    proved by their bare digest; costs always are.
    """

    def __init__(self, sorted_leaves: Sequence[Leaf], buyer: Buyer | None = None) -> None:
        digests = [leaf.digest for leaf in sorted_leaves]
        self._leaves = sorted_leaves
        self._tree = merkle.Tree(digests)
        self._root = root_of_digests(digests)
        self._index = {leaf.name: index for index, leaf in enumerate(sorted_leaves)}
        self._reader = None if buyer is None else Reader(sorted_leaves, buyer)

    def prove(self, kind: str, key: tuple[str, ...]) -> Proof:
        """:raises LeafNotFound: when the book has none"""
        index = self._index.get((kind, key))
        if index is None:
            raise LeafNotFound(f"This price book has no {kind} {' / '.join(key)}.")
        leaf = self._leaves[index]
        seen = self._reader is not None and self._reader.sees(leaf)
        return Proof(
            root=self._root,
            leaf=show(leaf) if seen else None,
            digest=leaf.digest.hex(),
            index=index,
            size=len(self._leaves),
            path=tuple(node.hex() for node in self._tree.inclusion_proof(index)),
        )

    def disclose(self, answer: Quote) -> Pruned:
        """The leaves that `replay` needs for *answer* and its buyer may see, with what leads from them to the root."""
        reader = Reader(self._leaves, answer.buyer, asked={line.sku for line in answer.lines})
        places = tuple(place for place, leaf in enumerate(self._leaves) if reader.sees(leaf))
        return Pruned(
            answer=digest(msgspec.to_builtins(answer)),
            root=self._root,
            shown=tuple(show(self._leaves[place]) for place in places),
            size=len(self._leaves),
            places=places,
            nodes=tuple(node.hex() for node in self._tree.pruned(places)),
        )


def prove(sorted_leaves: Sequence[Leaf], kind: str, key: tuple[str, ...], *, buyer: Buyer | None = None) -> Proof:
    """As `Prover.prove`, for one leaf.

    :raises LeafNotFound: when there is none
    """
    return Prover(sorted_leaves, buyer).prove(kind, key)


def verify_proof(proof: Proof, root: str) -> bool:
    """Whether *proof* shows that its leaf is in the book of *root*."""
    return not verify(iter([msgspec.json.encode(proof)]), root).findings


# --- All that a reader may see ---


class ReaderView(Answer, frozen=True, kw_only=True):
    """Of the book of *root* all leaves *buyer* may see, by kind and key, and the others' digests in hex, sorted."""

    root: str
    buyer: Buyer
    shown: tuple[ShownLeaf, ...]
    digests: tuple[str, ...]


class _Header(Answer, frozen=True, kw_only=True, tag="view", tag_field="document"):
    root: str
    buyer: Buyer
    shown: int
    hidden: int


def view(sorted_leaves: Sequence[Leaf], buyer: Buyer) -> ReaderView:
    shown, hidden = Reader(sorted_leaves, buyer).divide(sorted_leaves)
    root = root_of_digests([leaf.digest for leaf in sorted_leaves])
    return ReaderView(root=root, buyer=buyer, shown=_by_name(shown), digests=hidden)


def view_root(seen: ReaderView) -> str:
    """The root worked out from what was shown, whatever the view says it is."""
    shown = [sha256(canonical_struct(leaf)).digest() for leaf in seen.shown]
    return root_of_digests([*shown, *map(bytes.fromhex, seen.digests)])


def view_lines(seen: ReaderView) -> Iterator[bytes]:
    """The view as JSON Lines: a header, each shown leaf as the very bytes its digest is of, then each bare digest."""
    header = _Header(root=seen.root, buyer=seen.buyer, shown=len(seen.shown), hidden=len(seen.digests))
    yield canonical_struct(header) + b"\n"
    for leaf in seen.shown:
        yield canonical_struct(leaf) + b"\n"
    for bare in seen.digests:
        yield b'"%b"\n' % bare.encode()


def read_view(lines: Iterable[bytes]) -> ReaderView:
    """The view that `view_lines` wrote. Whether it leads to its root, `view_root` says.

    :raises ViewMalformed: when it is none, or not whole
    """
    rest = iter(lines)
    try:
        header = msgspec.json.decode(next(rest, b""), type=_Header)
        shown = tuple(map(_leaf_decoder.decode, islice(rest, header.shown)))
        digests = tuple(map(_digest_decoder.decode, islice(rest, header.hidden)))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ViewMalformed(f"This is no view of a price book: {error}") from error
    if (len(shown), len(digests)) != (header.shown, header.hidden) or next(rest, None) is not None:
        raise ViewMalformed("The view does not have as many lines as its first line says. Fetch it again.")
    return ReaderView(root=header.root, buyer=header.buyer, shown=shown, digests=digests)


# --- What changed ---


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """Leaves by kind and key; of a changed one the old and the new."""

    added: tuple[Leaf, ...]
    removed: tuple[Leaf, ...]
    changed: tuple[tuple[Leaf, Leaf], ...]


def diff(old: Iterable[Leaf], new: Iterable[Leaf]) -> Diff:
    """What the house itself sees of the way from one book to another."""
    before, after = ({leaf.name: leaf for leaf in each} for each in (old, new))
    return Diff(
        added=tuple(after[name] for name in sorted(after.keys() - before.keys())),
        removed=tuple(before[name] for name in sorted(before.keys() - after.keys())),
        changed=tuple(
            (before[name], after[name])
            for name in sorted(before.keys() & after.keys())
            if before[name].digest != after[name].digest
        ),
    )


class Delta(Answer, frozen=True, kw_only=True, tag="delta", tag_field="document"):
    """What turns a view of *old_root* into *buyer*'s of *new_root*: leaves that are new to the reader or changed
    (*shown*), names of those it sees no longer (*closed*), bare digests that come and that go.
    """

    old_root: str
    new_root: str
    buyer: Buyer
    shown: tuple[ShownLeaf, ...]
    closed: tuple[LeafName, ...]
    come: tuple[str, ...]
    gone: tuple[str, ...]


def delta(old: Sequence[Leaf], new: Sequence[Leaf], buyer: Buyer) -> Delta:
    return delta_of(view(old, buyer), view(new, buyer))


def delta_of(before: ReaderView, after: ReaderView) -> Delta:
    """From one view to another. It is made from views alone, so it can tell nothing that they do not."""
    salts = {_name(leaf): leaf.salt for leaf in before.shown}
    bare, bare_now = set(before.digests), set(after.digests)
    return Delta(
        old_root=before.root,
        new_root=after.root,
        buyer=after.buyer,
        # the salt is drawn from the content: equal salts, equal leaves
        shown=tuple(leaf for leaf in after.shown if salts.get(_name(leaf)) != leaf.salt),
        closed=tuple(sorted(salts.keys() - map(_name, after.shown))),
        come=tuple(sorted(bare_now - bare)),
        gone=tuple(sorted(bare - bare_now)),
    )


def apply_delta(seen: ReaderView, changes: Delta) -> ReaderView:
    """The reader's view after *changes*, proved to be of the new root.

    :raises DeltaDoesNotFit: when the changes do not begin at this view, or do not lead to the root they name
    """
    if changes.old_root != seen.root:
        raise DeltaDoesNotFit(f"The changes begin at {changes.old_root}; the view is of {seen.root}.")
    shown = {_name(leaf): leaf for leaf in seen.shown}
    for name in changes.closed:
        shown.pop(name, None)
    shown.update({_name(leaf): leaf for leaf in changes.shown})
    digests = (set(seen.digests) - set(changes.gone)) | set(changes.come)
    after = ReaderView(
        root=changes.new_root,
        buyer=changes.buyer,
        shown=_by_name(shown.values()),
        digests=tuple(sorted(digests)),
    )
    if view_root(after) != after.root:
        raise DeltaDoesNotFit("The changes do not lead to the root they name. Fetch the whole view again.")
    return after


_name = attrgetter("kind", "key")
_leaf_decoder = msgspec.json.Decoder(ShownLeaf)
_digest_decoder = msgspec.json.Decoder(str)


def _by_name(shown: Iterable[ShownLeaf]) -> tuple[ShownLeaf, ...]:
    return tuple(sorted(shown, key=_name))
