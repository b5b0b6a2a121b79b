"""Appending to the ledger, and the signed heads of its tree. Runs in the caller's transaction."""

import base64
import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from agreements import evidence_rows, store, tree
from agreements.model import LedgerCheckpoint, LedgerEntry
from agreements.tree import Place, Span
from agreements.verify import note_key_hash
from kernel.canonical import canonical_json
from kernel.merkle import leaf_hash
from kernel.signing import Keyring, Purpose


class LedgerBroken(Exception):
    """The ledger's rows contradict each other: nothing may be appended until a person has looked."""


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """What checking the whole ledger found."""

    size: int
    root: bytes | None
    """None when the ledger is broken."""
    broken_at: int | None
    """The first row that does not follow from the rows before it, or a signed head's size that the rows contradict."""


async def append(
    session: AsyncSession, *, kind: str, company_id: uuid.UUID | None, recorded_at: datetime, content: dict[str, Any]
) -> int:
    """Append a leaf of *content* and its number, which is returned; holds the tail until the transaction ends."""
    leaf = evidence_rows.new_leaf(kind=kind, company_id=company_id, recorded_at=recorded_at, content=content)
    return await evidence_rows.write_leaf(session, leaf)


def chain_hash(previous: bytes, leaf: bytes) -> bytes:
    return hashlib.sha256(previous + leaf).digest()


async def spans_hashed(session: AsyncSession, spans: Iterable[Span]) -> list[bytes]:
    """The hash of each span, from the stored subtrees."""
    wanted = list(spans)
    nodes = await store.list_nodes(session, (place for span in wanted for place in tree.cover(span)))
    return [tree.fold(span, nodes) for span in wanted]


async def checkpoint_covering(
    session: AsyncSession, seq: int, *, keyring: Keyring, origin: str, now: datetime
) -> LedgerCheckpoint:
    """The oldest signed head that covers leaf *seq*; signs the present one when there is none yet."""
    found = await store.find_checkpoint_covering(session, seq)
    if found is None:
        await sign_head(session, keyring=keyring, origin=origin, now=now)
        found = await store.find_checkpoint_covering(session, seq)
    if found is None:
        raise LedgerBroken(f"The ledger's tail stands before row {seq}.")
    return found


async def sign_head(session: AsyncSession, *, keyring: Keyring, origin: str, now: datetime) -> None:
    """Sign the tree as it stands, unless a head of this size is signed already."""
    size = (await store.find_tail(session)).size
    (root,) = await spans_hashed(session, [(0, size)])
    note = signed_note(keyring, origin, size, root)
    await store.add_checkpoint(session, LedgerCheckpoint(size=size, root=root, note=note, signed_at=now))


def signed_note(keyring: Keyring, origin: str, size: int, root: bytes) -> str:
    """A checkpoint in C2SP's format: origin, size, root, a blank line, the signature."""
    body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = keyring.sign(Purpose.LEDGER, body.encode())
    (public,) = (key.public_key for key in keyring.public_keys(Purpose.LEDGER) if key.id == signature.key_id)
    line = base64.b64encode(note_key_hash(origin, public) + signature.signature).decode()
    return f"{body}\n\N{EM DASH} {origin} {line}\n"


async def check_ledger(session: AsyncSession, *, batch: int = 1000) -> LedgerState:
    """Recompute every leaf, link, subtree and signed head from the rows' content; sees all rows under `for_staff`."""
    tail = await store.find_tail(session)
    previous, nodes = bytes(32), dict[Place, bytes]()
    for start in range(0, tail.size, batch):
        rows = {row.seq: row for row in await store.list_entries(session, start, batch)}
        stored = await store.list_nodes(session, (place for seq in rows for place in tree.places_completed_by(seq)))
        for seq in range(start, min(start + batch, tail.size)):
            row = rows.get(seq)
            if row is None or not _follows(row, previous):
                return LedgerState(size=tail.size, root=None, broken_at=seq)
            grown = dict(tree.completed_by(seq, row.leaf_digest, nodes))
            if any(stored.get(place) != value for place, value in grown.items()):
                return LedgerState(size=tail.size, root=None, broken_at=seq)
            nodes.update(grown)
            previous = row.chain_hash
    if tail.chain_hash != previous:
        return LedgerState(size=tail.size, root=None, broken_at=tail.size)
    for head in await store.list_checkpoints(session):
        if head.size > tail.size or head.root != tree.fold((0, head.size), nodes):
            return LedgerState(size=tail.size, root=None, broken_at=min(head.size, tail.size))
    return LedgerState(size=tail.size, root=tree.fold((0, tail.size), nodes), broken_at=None)


async def grew_from(session: AsyncSession, size: int, root: bytes, now_size: int) -> bool:
    """Whether the first *size* rows of a ledger that holds in itself make the tree of *root*."""
    if size > now_size:
        return False
    (found,) = await spans_hashed(session, [(0, size)])
    return found == root


def _follows(row: LedgerEntry, previous: bytes) -> bool:
    leaf = leaf_hash(canonical_json(row.content))
    return (
        row.content.get("seq") == row.seq
        and row.leaf_digest == leaf
        and row.previous_hash == previous
        and row.chain_hash == chain_hash(previous, leaf)
    )
