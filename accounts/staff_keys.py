"""API keys of the house's own people, which each makes for themselves: a program that shows one acts as that person,
with a part of what their role may do. So an author's key cannot approve what the author wrote.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from accounts import lifetimes, store
from accounts.details import check_name
from accounts.key_service import LIVE_KEYS, ApiKeys, NoSuchKey, TooManyKeys, checked_scopes
from accounts.keys import PresentedKey
from accounts.member_service import NotAllowed
from accounts.model import FINANCE_ROLES, DeskScope, Person, StaffKey, StaffKeyCall, StaffRole
from accounts.principal import Principal, PrincipalKind
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.ids import new_id

PATH_MOST: Final = 500


class StaffKeys:
    def __init__(self, db: Database, clock: Clock, api_keys: ApiKeys) -> None:
        self._db = db
        self._clock = clock
        self._api_keys = api_keys

    async def create(
        self, principal: Principal, *, name: str, scopes: Iterable[str], lifetime: timedelta = lifetimes.STAFF_KEY
    ) -> tuple[StaffKey, str]:
        """Make a key for oneself and return it with its text, which can be shown this once.

        :raises NotAllowed: for anybody but finance staff and admins who are logged in: no key makes another
        :raises UnknownScope: when a scope is none of `DeskScope`, or there is none
        :raises TooManyKeys: when two of the name are live; revoke the older one first
        """
        person_id = _at_the_desk(principal)
        key_name, granted = check_name(name), checked_scopes(scopes, DeskScope)
        now, key = self._clock.now(), PresentedKey.make()
        async with self._db.begin(for_staff()) as session:
            person = await store.lock_person(session, person_id)
            if person is None or person.staff_role not in FINANCE_ROLES:
                raise NotAllowed("Only the finance desk makes keys.")
            if await store.count_live_staff_keys(session, person_id, key_name, now) >= LIVE_KEYS:
                raise TooManyKeys(f"Revoke the older key named {key_name} first.")
            row = StaffKey(
                id=new_id(),
                key_id=key.key_id,
                person_id=person_id,
                name=key_name,
                secret_sha256=key.secret_sha256,
                scopes=granted,
                created_at=now,
                expires_at=now + min(lifetime, lifetimes.STAFF_KEY),
            )
            session.add(row)
        return row, key.text

    async def list_keys(self, principal: Principal) -> Sequence[tuple[StaffKey, Person]]:
        """One's own, the dead ones too; for an admin of the house, everybody's."""
        _at_the_desk(principal)
        async with self._db.begin(for_staff()) as session:
            return await store.list_staff_keys(session, _whose(principal))

    async def list_calls(self, principal: Principal, *, limit: int) -> Sequence[StaffKeyCall]:
        """What these keys changed, newest first."""
        _at_the_desk(principal)
        async with self._db.begin(for_staff()) as session:
            return await store.list_staff_key_calls(session, _whose(principal), limit=limit)

    async def revoke(self, principal: Principal, key_id: str) -> StaffKey:
        """End a key of one's own for good, or as an admin of the house anybody's; it keeps its first date.

        :raises NoSuchKey: when it is none of these
        """
        _at_the_desk(principal)
        whose = _whose(principal)
        async with self._db.begin(for_staff()) as session:
            key = await store.lock_staff_key(session, key_id)
            if key is None or whose not in {None, key.person_id}:
                raise NoSuchKey("Look at the list of keys.")
            key.revoked_at = key.revoked_at or self._clock.now()
        self._api_keys.forget(key.person_id)  # whoever revokes here finds it so here, before the notice has come round
        return key

    async def note_call(self, principal: Principal, method: str, path: str) -> None:
        """Write down what a key is about to do."""
        assert principal.key_id is not None
        assert principal.person_id is not None
        async with self._db.begin(for_staff()) as session:
            session.add(
                StaffKeyCall(
                    id=new_id(),
                    key_id=principal.key_id,
                    person_id=principal.person_id,
                    at=self._clock.now(),
                    method=method,
                    path=path[:PATH_MOST],
                )
            )


def _at_the_desk(principal: Principal) -> uuid.UUID:
    if (
        principal.kind is not PrincipalKind.STAFF
        or principal.staff_role not in FINANCE_ROLES
        or principal.person_id is None
    ):
        raise NotAllowed("Only the finance desk has keys. Log in.")
    return principal.person_id


def _whose(principal: Principal) -> uuid.UUID | None:
    """None: everybody's."""
    return None if principal.staff_role is StaffRole.ADMIN else principal.person_id
