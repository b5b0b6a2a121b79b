"""API keys as the database last described them, so that a request need not ask it."""

import uuid
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final

import msgspec

from accounts.model import DeskScope, KeyScope, StaffRole
from accounts.principal import BuyerCompany
from kernel.db import Database
from kernel.listening import Listener

CHANNEL: Final = "api_key_changed"
"""A trigger announces here the id of the company, or of the house's person, of which the row, or a key, changed."""
KEYS_KEPT: Final = 10_000


class StaffPerson(msgspec.Struct, frozen=True, kw_only=True):
    """One of the house's people, as a key of theirs needs them. *role* None: not one of them any more."""

    id: uuid.UUID
    email: str
    name: str
    locale: str
    role: StaffRole | None


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be known to admit a key: small and immutable, so that it can be kept for a while."""

    id: uuid.UUID
    key_id: str
    secret_sha256: bytes
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


class KeyRecord(_Record, frozen=True, kw_only=True):
    scopes: frozenset[KeyScope]
    company: BuyerCompany

    @property
    def owner(self) -> uuid.UUID:
        return self.company.id


class StaffKeyRecord(_Record, frozen=True, kw_only=True):
    scopes: frozenset[DeskScope]
    person: StaffPerson

    @property
    def owner(self) -> uuid.UUID:
        return self.person.id


AnyRecord = KeyRecord | StaffKeyRecord


class KeyCache:
    """The records of one process. They are believed only while changes are heard of; who does not run `listening`
    asks the database each time. Of a key that does not exist nothing is kept, so that inventing keys fills no memory.
    """

    def __init__(self, db: Database, *, most: int = KEYS_KEPT) -> None:
        self._listener = Listener(db, CHANNEL, self._told)
        self._most = most
        self._kept: dict[str, AnyRecord] = {}
        self._changes = 0

    def listening(self) -> AbstractAsyncContextManager[None]:
        """Keep records while the block lasts."""
        return self._listener.listening()

    @property
    def changes(self) -> int:
        """To be read before the database is asked for a record, and given to `keep` with it."""
        return self._changes

    def find(self, key_id: str) -> AnyRecord | None:
        return self._kept.get(key_id) if self._listener.hears else None

    def keep(self, record: AnyRecord, *, changes: int) -> None:
        """Keep *record*, unless something changed since *changes* were counted: it may have been read before that."""
        if not self._listener.hears or changes != self._changes:
            return
        if record.key_id not in self._kept and len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[record.key_id] = record

    def note_use(self, record: AnyRecord, now: datetime) -> None:
        """Where *record* is what is kept, let it say that its last use was *now*."""
        if self._kept.get(record.key_id) is record:
            self._kept[record.key_id] = msgspec.structs.replace(record, used_at=now)

    def forget(self, owner: uuid.UUID) -> None:
        """Drop the keys of a company or a person, of which something changed."""
        self._changes += 1
        for key_id in [key_id for key_id, record in self._kept.items() if record.owner == owner]:
            del self._kept[key_id]

    def _told(self, notice: str | None) -> None:
        try:
            self.forget(uuid.UUID(notice or ""))
        except ValueError:  # notices were missed, or one that is not ours: anything may have changed
            self._changes += 1
            self._kept.clear()
