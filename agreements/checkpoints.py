"""The ledger as the public may poll it: signed heads, and proofs between them, without any row's content."""

from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import ledger, store, tree
from agreements.model import LedgerCheckpoint
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import NotFound
from kernel.failpoints import Failpoint
from kernel.signing import Keyring

SIGN: Final = Failpoint("agreements.sign_head")


class LedgerSizeUnknown(NotFound):
    problem = "ledger-size-unknown"
    title = "The ledger has no such size"


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """That the tree of *second* leaves is the tree of *first* with leaves added (RFC 9162, 2.1.4)."""

    first: int
    second: int
    proof: tuple[str, ...]
    """Hashes as hexadecimal digits."""
    first_checkpoint: str | None
    """The note, where a head of this size was signed; likewise the next."""
    second_checkpoint: str | None


class Inclusion(msgspec.Struct, frozen=True, kw_only=True):
    """That the leaf is in the tree (RFC 9162, 2.1.3)."""

    index: int
    size: int
    leaf_hash: str
    proof: tuple[str, ...]


class Checkpoints:
    """Signs heads, and answers who polls them. No transaction of it sees a row of a company."""

    def __init__(self, db: Database, clock: Clock, keyring: Keyring, *, origin: str) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._origin = origin

    async def sign(self) -> None:
        """Sign the head as it is now, unless one of this size is signed already."""
        async with self._db.begin(for_staff(), SIGN) as session:
            await ledger.sign_head(session, keyring=self._keyring, origin=self._origin, now=self._clock.now())

    async def latest(self, session: AsyncSession) -> LedgerCheckpoint:
        """:raises LedgerSizeUnknown: before the first head was signed"""
        found = await store.find_latest_checkpoint(session)
        if found is None:
            raise LedgerSizeUnknown("No head has been signed yet; ask again in a minute.")
        return found

    async def of_size(self, session: AsyncSession, size: int) -> LedgerCheckpoint:
        """:raises LedgerSizeUnknown: when no head of this size was signed"""
        found = await store.find_checkpoint(session, size)
        if found is None:
            raise LedgerSizeUnknown(f"No head of {size} rows was signed; the current one names its size.")
        return found

    async def consistency(self, session: AsyncSession, first: int, second: int | None = None) -> Consistency:
        """Proof that the tree grew from *first* leaves to *second*, the last signed size unless said.

        :raises LedgerSizeUnknown: when *first* is 0 or above *second*, or *second* above what was signed
        """
        return await between(session, first, (await self._within(session, second)))

    async def inclusion(self, session: AsyncSession, index: int, size: int | None = None) -> Inclusion:
        """Proof that leaf *index* is in the tree of *size*, the last signed one unless said.

        :raises LedgerSizeUnknown: when there is no such leaf, or the size was not signed yet
        """
        of = await self._within(session, size)
        if not 0 <= index < of:
            raise LedgerSizeUnknown(f"There is no leaf {index} in a tree of {of}.")
        (leaf,) = (await store.list_nodes(session, [(0, index)])).values()
        proof = await ledger.spans_hashed(session, tree.inclusion_spans(index, of))
        return Inclusion(index=index, size=of, leaf_hash=leaf.hex(), proof=tuple(node.hex() for node in proof))

    async def _within(self, session: AsyncSession, size: int | None) -> int:
        signed = (await self.latest(session)).size
        if size is not None and size > signed:
            raise LedgerSizeUnknown(f"The ledger is signed up to {signed} rows.")
        return signed if size is None else size


async def between(session: AsyncSession, first: int, second: int) -> Consistency:
    """:raises LedgerSizeUnknown: when *first* is 0 or above *second*"""
    if not 0 < first <= second:
        raise LedgerSizeUnknown(f"A tree of {second} did not grow from one of {first}.")
    proof = await ledger.spans_hashed(session, tree.consistency_spans(first, second))
    notes: list[Any] = [await store.find_checkpoint(session, size) for size in (first, second)]
    return Consistency(
        first=first,
        second=second,
        proof=tuple(node.hex() for node in proof),
        first_checkpoint=None if notes[0] is None else notes[0].note,
        second_checkpoint=None if notes[1] is None else notes[1].note,
    )
