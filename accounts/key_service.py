"""API keys: made and revoked by a company's admin, presented by partners' programs."""

import hmac
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final

from accounts import lifetimes, store
from accounts.details import check_name
from accounts.key_cache import KeyCache, KeyRecord
from accounts.keys import PresentedKey
from accounts.member_service import NoSuchCompany, administered_company
from accounts.model import ApiKey, KeyScope
from accounts.principal import Principal, PrincipalKind, buyer_company
from kernel.clock import Clock
from kernel.db import Database, for_accounts
from kernel.errors import Conflict, DomainError, Malformed, NotFound
from kernel.ids import new_id

LIVE_KEYS: Final = 2
"""Of one name: the old and the new one while a partner changes over."""


class KeyRefused(DomainError):
    """`reason` is `malformed`, `unknown`, `revoked` or `expired`; the last two only for who knows the secret."""

    problem = "key-refused"
    status = 401
    title = "This API key opens nothing"


class NoSuchKey(NotFound):
    problem = "no-such-key"
    title = "There is no such key"


class TooManyKeys(Conflict):
    problem = "too-many-keys"
    title = "Two keys of this name are live already"


class UnknownScope(Malformed):
    problem = "unknown-scope"
    title = "This is nothing a key can be allowed"


def admit(record: KeyRecord | None, presented: PresentedKey, now: datetime) -> Principal:
    """Decide about a presented key.

    :raises KeyRefused: saying why
    """
    if record is None or not hmac.compare_digest(record.secret_sha256, presented.secret_sha256):
        raise KeyRefused("Nobody has this key. Copy it again, or make a new one.", reason="unknown")
    if record.revoked_at is not None:
        raise KeyRefused(f"It was revoked on {record.revoked_at:%Y-%m-%d}. Make a new one.", reason="revoked")
    if record.expires_at <= now:
        raise KeyRefused(f"It expired on {record.expires_at:%Y-%m-%d}. Make a new one.", reason="expired")
    return Principal(
        kind=PrincipalKind.PARTNER,
        visitor_id=record.id,
        company=record.company,
        key_id=record.key_id,
        scopes=record.scopes,
    )


class ApiKeys:
    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._cache = KeyCache(db)

    def listening(self) -> AbstractAsyncContextManager[None]:
        """While the block lasts, keep what is known of keys until the database announces a change."""
        return self._cache.listening()

    async def authenticate_key(self, presented: str) -> Principal:
        """Say for which company a program speaks, and what it may do.

        Three steps: the key's own form, its record, which is mostly at hand, and the decision, by the clock of this
        moment.

        :raises KeyRefused: saying why
        """
        key = PresentedKey.parse(presented)
        if key is None:
            raise KeyRefused(
                "It is mistyped or cut off: a key has 66 characters and begins with trf_.", reason="malformed"
            )
        now = self._clock.now()
        record = await self.find_record(key.key_id)
        principal = admit(record, key, now)
        assert record is not None
        if record.used_at is None or now - record.used_at >= lifetimes.USE_NOTED_EVERY:
            await self._note_use(record, now)
        return principal

    async def find_record(self, key_id: str) -> KeyRecord | None:
        """The record at hand, else one query: the only step of `authenticate_key` that may need the database."""
        record = self._cache.find(key_id)
        if record is None:
            changes = self._cache.changes
            record = await self._ask(key_id)
            if record is not None:
                self._cache.keep(record, changes=changes)
        return record

    async def _ask(self, key_id: str) -> KeyRecord | None:
        async with self._db.begin(for_accounts()) as session:
            row = await store.find_key(session, key_id)
        if row is None:
            return None
        return KeyRecord(
            id=row.key.id,
            key_id=row.key.key_id,
            secret_sha256=row.key.secret_sha256,
            scopes=frozenset(KeyScope(scope) for scope in row.key.scopes),
            company=buyer_company(row.company),
            expires_at=row.key.expires_at,
            revoked_at=row.key.revoked_at,
            used_at=row.key.used_at,
        )

    async def create_api_key(
        self,
        principal: Principal,
        *,
        name: str,
        scopes: Iterable[str],
        lifetime: timedelta = lifetimes.API_KEY,
        company_id: uuid.UUID | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key and return it with its text, which can be shown this once.

        :raises UnknownScope: when a scope is none of `KeyScope`, or there is none
        :raises TooManyKeys: when two of the name are live; revoke the older one first
        """
        company_id = administered_company(principal, company_id)
        assert principal.person_id is not None
        key_name, granted = check_name(name), _scopes(scopes)
        now, key = self._clock.now(), PresentedKey.make()
        async with self._db.begin(principal.db_scope()) as session:
            if await store.lock_company(session, company_id) is None:
                raise NoSuchCompany("Check the link you followed.")
            if await store.count_live_keys(session, company_id, key_name, now) >= LIVE_KEYS:
                raise TooManyKeys(f"Revoke the older key named {key_name} first.")
            row = ApiKey(
                id=new_id(),
                key_id=key.key_id,
                company_id=company_id,
                name=key_name,
                secret_sha256=key.secret_sha256,
                scopes=granted,
                created_by=principal.person_id,
                created_at=now,
                expires_at=now + min(lifetime, lifetimes.API_KEY),
            )
            session.add(row)
        return row, key.text

    async def list_api_keys(self, principal: Principal, *, company_id: uuid.UUID | None = None) -> Sequence[ApiKey]:
        """List all keys of the company, the dead ones too, by name and age."""
        company_id = administered_company(principal, company_id)
        async with self._db.begin(principal.db_scope()) as session:
            return await store.list_keys(session, company_id)

    async def revoke_api_key(self, principal: Principal, key_id: str, *, company_id: uuid.UUID | None = None) -> ApiKey:
        """End a key for good; once revoked, it keeps its first date.

        :raises NoSuchKey: when it is none of the company's
        """
        company_id = administered_company(principal, company_id)
        async with self._db.begin(principal.db_scope()) as session:
            key = await store.lock_company_key(session, company_id, key_id)
            if key is None:
                raise NoSuchKey("Look at the list of keys.")
            key.revoked_at = key.revoked_at or self._clock.now()
        self._cache.forget(company_id)  # whoever revokes here finds it so here, before the notice has come round
        return key

    async def _note_use(self, record: KeyRecord, now: datetime) -> None:
        """Once a minute and key; requests that come while it is being written see it written."""
        self._cache.note_use(record, now)
        async with self._db.begin(for_accounts()) as session:
            await store.note_key_use(session, record.key_id, now, not_since=now - lifetimes.USE_NOTED_EVERY)


def _scopes(given: Iterable[str]) -> list[str]:
    try:
        scopes = sorted({KeyScope(scope) for scope in given})
    except ValueError as error:
        raise UnknownScope(f"Choose among {', '.join(KeyScope)}.") from error
    if not scopes:
        raise UnknownScope(f"Choose at least one of {', '.join(KeyScope)}.")
    return [scope.value for scope in scopes]
