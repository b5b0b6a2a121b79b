"""The leaves of a published book: for the house's own eyes, and what proofs, views and deltas are made from."""

import asyncio

from kernel.db import Database, for_staff
from kernel.signing import Keyring
from pricing import store
from pricing.books import UnknownBook
from pricing.content import root_bytes, unpacked
from pricing.engine.book import BookContent
from pricing.engine.leaves import Leaf, leaves


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
