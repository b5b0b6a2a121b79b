"""The public log of publications, each entry with the house's signature: what a partner checks a root against."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from kernel.db import Database, for_staff
from pricing import store
from pricing.content import publication_message, root_text
from pricing.model import PricePublication


class SignedPublication(msgspec.Struct, frozen=True, kw_only=True):
    """*signed_text* is the text under the Ed25519 *signature*, which the key *key_id* made."""

    number: int
    root: str
    effective_at: datetime
    signed_text: str
    signature: bytes
    key_id: str


async def list_signed(db: Database, *, limit: int, before: int | None = None) -> list[SignedPublication]:
    """Entries numbered below *before*, newest first: those in force and past, and those to come."""
    async with db.begin(for_staff()) as session:
        found: Sequence[PricePublication] = await store.list_publications(session, limit=limit, before=before)
        return [_signed(each) for each in found]


async def find_signed(db: Database, number: int) -> SignedPublication | None:
    async with db.begin(for_staff()) as session:
        found = await store.find_publication(session, number)
        return None if found is None else _signed(found)


def _signed(entry: PricePublication) -> SignedPublication:
    root, effective_at = root_text(entry.root), entry.effective_at.astimezone(UTC)
    return SignedPublication(
        number=entry.number,
        root=root,
        effective_at=effective_at,
        signed_text=publication_message(entry.number, root, effective_at).decode(),
        signature=bytes(entry.signature),
        key_id=entry.key_id,
    )
