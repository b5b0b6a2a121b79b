"""The leaves of a published book: for the house's own eyes, and what proofs, views and deltas are made from."""

import asyncio
from collections import OrderedDict
from typing import Final

import msgspec

from kernel.db import Database, for_staff
from kernel.signing import Keyring
from pricing import store
from pricing.books import UnknownBook
from pricing.content import root_bytes, unpacked
from pricing.engine.book import BookContent
from pricing.engine.disclose import Pruned, Reader, show
from pricing.engine.leaves import Leaf, leaves
from pricing.engine.proofs import LeafNotFound, Proof, Prover
from pricing.engine.request import Buyer, Quote

LEAVES_KEPT: Final = 1_000_000
"""Of all books together; the book asked for last is kept whatever its size."""
READERS_KEPT: Final = 64


async def published_content(db: Database, keyring: Keyring, root: str) -> BookContent:
    """:raises UnknownBook: when the database holds no such content"""
    try:
        raw = root_bytes(root)
    except ValueError:
        raise UnknownBook(f"{root} is no root. A root is sha256: and 64 hexadecimal digits.") from None
    async with db.begin(for_staff()) as session:
        kept = await store.find_content(session, raw)
    if kept is None:
        raise UnknownBook(f"No price book has the root {root}.")
    return await asyncio.to_thread(unpacked, kept, keyring)


async def published_leaves(db: Database, keyring: Keyring, root: str) -> tuple[Leaf, ...]:
    """All leaves, sorted by digest.

    :raises UnknownBook: as `published_content`
    """
    content = await published_content(db, keyring, root)
    return await asyncio.to_thread(leaves, content, keyring.house_key)


class _Book(msgspec.Struct, frozen=True):
    leaves: tuple[Leaf, ...]
    prover: Prover


class PublishedProofs:
    """Proofs for readers, of any published book. The leaves of the books asked for last are kept, within bounds; they
    are made in a thread, one book at a time, however many ask for it.
    """

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring
        self._alone = asyncio.Lock()
        self._books: OrderedDict[str, _Book] = OrderedDict()
        self._readers: OrderedDict[tuple[str, Buyer], Reader] = OrderedDict()

    async def prove(self, root: str, kind: str, key: tuple[str, ...], buyer: Buyer) -> Proof:
        """The proof of a leaf that *buyer* may see.

        :raises UnknownBook: when the database holds no such content
        :raises LeafNotFound: when the book has no such leaf, or none that is the buyer's to see: never said which
        """
        book = await self._book(root)
        reader = await self._reader(root, book, buyer)
        try:
            proof = book.prover.prove(kind, key)
        except LeafNotFound:
            raise _not_found(kind, key) from None
        leaf = book.leaves[proof.index]
        if not reader.sees(leaf):
            raise _not_found(kind, key)
        return msgspec.structs.replace(proof, leaf=show(leaf))

    async def disclose(self, answer: Quote) -> Pruned:
        """What a stranger needs to replay *answer*, of what its buyer may see.

        :raises UnknownBook: when the database holds no such content
        """
        book = await self._book(answer.root)
        return await asyncio.to_thread(book.prover.disclose, answer)

    async def _book(self, root: str) -> _Book:
        async with self._alone:
            book = self._books.pop(root, None)
            if book is None:
                found = await published_leaves(self._db, self._keyring, root)
                book = _Book(found, await asyncio.to_thread(Prover, found))
            self._books[root] = book
            while len(self._books) > 1 and sum(len(each.leaves) for each in self._books.values()) > LEAVES_KEPT:
                gone, _ = self._books.popitem(last=False)
                for name in [name for name in self._readers if name[0] == gone]:
                    del self._readers[name]
            return book

    async def _reader(self, root: str, book: _Book, buyer: Buyer) -> Reader:
        reader = self._readers.pop((root, buyer), None)
        if reader is None:
            reader = await asyncio.to_thread(Reader, book.leaves, buyer)
        self._readers[root, buyer] = reader
        while len(self._readers) > READERS_KEPT:
            self._readers.popitem(last=False)
        return reader


def _not_found(kind: str, key: tuple[str, ...]) -> LeafNotFound:
    return LeafNotFound(f"This price book shows you no {kind} {' / '.join(key)}.")
