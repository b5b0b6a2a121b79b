"""API keys: made and revoked by a company's admin, presented by partners' programs; those of the house's own people are
admitted here too, and made by `staff_keys.py`.
"""

import hmac
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Final

from accounts import lifetimes, store
from accounts.details import check_name
from accounts.key_cache import AnyRecord, KeyCache, KeyRecord, StaffKeyRecord, StaffPerson
from accounts.keys import PresentedKey
from accounts.member_service import NoSuchCompany, administered_company
from accounts.model import FINANCE_ROLES, ApiKey, DeskScope, KeyScope, StaffKey
from accounts.principal import Principal, PrincipalKind, buyer_company
from kernel.clock import Clock
from kernel.db import Database, for_accounts
from kernel.errors import Conflict, DomainError, Malformed, NotFound
from kernel.ids import new_id

LIVE_KEYS: Final = 2
"""Of one name: the old and the new one while a partner changes over."""


class KeyRefused(DomainError):
    """`reason`: `malformed`, `unknown`, `revoked`, `expired`, `left`; the last three for who knows the secret alone."""

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


def admit(record: AnyRecord | None, presented: PresentedKey, now: datetime) -> Principal:
    """Decide about a presented key.

    :raises KeyRefused: saying why
    """
    if record is None or not hmac.compare_digest(record.secret_sha256, presented.secret_sha256):
        raise KeyRefused("Nobody has this key. Copy it again, or make a new one.", reason="unknown")
    if record.revoked_at is not None:
        raise KeyRefused(f"It was revoked on {record.revoked_at:%Y-%m-%d}. Make a new one.", reason="revoked")
    if record.expires_at <= now:
        raise KeyRefused(f"It expired on {record.expires_at:%Y-%m-%d}. Make a new one.", reason="expired")
    if isinstance(record, StaffKeyRecord):
        return _admit_staff(record)
    return Principal(
        kind=PrincipalKind.PARTNER,
        visitor_id=record.id,
        company=record.company,
        key_id=record.key_id,
        scopes=record.scopes,
    )


def _admit_staff(record: StaffKeyRecord) -> Principal:
    person = record.person
    if person.role not in FINANCE_ROLES:
        raise KeyRefused("Whoever made it is not at the finance desk any more.", reason="left")
    return Principal(
        kind=PrincipalKind.STAFF_KEY,
        visitor_id=record.id,
        person_id=person.id,
        email=person.email,
        name=person.name,
        locale=person.locale,
        staff_role=person.role,
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
        """Say for which company, or as whom of the house, a program speaks, and what it may do.

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

    async def find_record(self, key_id: str) -> AnyRecord | None:
        """The record at hand, else one query: the only step of `authenticate_key` that may need the database."""
        record = self._cache.find(key_id)
        if record is None:
            changes = self._cache.changes
            record = await self._ask(key_id)
            if record is not None:
                self._cache.keep(record, changes=changes)
        return record

    def forget(self, owner: uuid.UUID) -> None:
        """Ask the database anew for the keys of this company or person."""
        self._cache.forget(owner)

    async def _ask(self, key_id: str) -> AnyRecord | None:
        async with self._db.begin(for_accounts()) as session:
            row = await store.find_key(session, key_id)
            of_staff = await store.find_staff_key(session, key_id) if row is None else None
        if of_staff is not None:
            key, person = of_staff
            return StaffKeyRecord(
                id=key.id,
                key_id=key.key_id,
                secret_sha256=key.secret_sha256,
                scopes=frozenset(DeskScope(scope) for scope in key.scopes),
                person=StaffPerson(
                    id=person.id, email=person.email, name=person.name, locale=person.locale, role=person.staff_role
                ),
                expires_at=key.expires_at,
                revoked_at=key.revoked_at,
                used_at=key.used_at,
            )
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
        key_name, granted = check_name(name), checked_scopes(scopes, KeyScope)
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

    async def _note_use(self, record: AnyRecord, now: datetime) -> None:
        """Once a minute and key; requests that come while it is being written see it written."""
        self._cache.note_use(record, now)
        async with self._db.begin(for_accounts()) as session:
            await store.note_key_use(
                session,
                record.key_id,
                now,
                not_since=now - lifetimes.USE_NOTED_EVERY,
                of=StaffKey if isinstance(record, StaffKeyRecord) else ApiKey,
            )


def checked_scopes(given: Iterable[str], of: type[KeyScope | DeskScope]) -> list[str]:
    """The scopes in order, each once.

    :raises UnknownScope: when one is none of these, or there is none
    """
    try:
        scopes = sorted({of(scope) for scope in given})
    except ValueError as error:
        raise UnknownScope(f"Choose among {', '.join(of)}.") from error
    if not scopes:
        raise UnknownScope(f"Choose at least one of {', '.join(of)}.")
    return [scope.value for scope in scopes]
