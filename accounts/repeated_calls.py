"""A call that is sent twice is done once: unsafe calls of the API may name themselves by an idempotency key.

The first call of a name runs, and its success is kept with it, byte for byte, for a day. The same call again is
answered from there; another call under the same name is refused; of two at once the second is told to wait. A call that
was refused did nothing and is not kept. When a process dies in between, the call may be done again after a while: it
has the same id then, and what it makes is made under that id, so that nothing is made twice.
"""

import uuid
from datetime import timedelta
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from accounts.model import ApiCall
from kernel.clock import Clock
from kernel.db import Database, Scope, for_company, for_staff
from kernel.errors import Conflict
from kernel.ids import new_id
from kernel.signing import Keyring

KEPT: Final = timedelta(hours=24)
_PURPOSE: Final = "kept answer"
ABANDONED: Final = timedelta(seconds=60)
"""After this long without an answer a call is taken to have died with its process."""


class IdempotencyKeyReused(Conflict):
    problem = "idempotency-key-reused"
    title = "This idempotency key belongs to another call"


class CallInProgress(Conflict):
    problem = "call-in-progress"
    title = "The same call is still being worked on"


class KeptAnswer(msgspec.Struct, frozen=True):
    """An answer as it was given first."""

    status: int
    headers: dict[str, str]
    body: bytes


class Claim(msgspec.Struct, frozen=True):
    """The right to do a call. *again*: an earlier try died without an answer, and may have made what *id* names."""

    id: uuid.UUID
    owner: "Owner"
    again: bool


class Owner(msgspec.Struct, frozen=True):
    """Whose call it is, and in whose name space its name stands: a company's, or one person's of the house."""

    company_id: uuid.UUID | None = None
    person_id: uuid.UUID | None = None

    def db_scope(self) -> Scope:
        return for_staff() if self.company_id is None else for_company(self.company_id)


class RepeatedCalls:
    def __init__(self, db: Database, clock: Clock, keyring: Keyring) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring

    async def claim(self, owner: Owner, name: str, request_sha256: bytes) -> Claim | KeptAnswer:
        """Begin the call that *owner* named *name*, or return what it was answered before.

        :param request_sha256: of everything that makes the call what it is: method, address, body
        :raises IdempotencyKeyReused: when another call has this name
        :raises CallInProgress: while the same call is worked on
        """
        now = self._clock.now()
        mine = ApiCall.person_id if owner.company_id is None else ApiCall.company_id
        async with self._db.begin(owner.db_scope()) as session:
            begun = (
                insert(ApiCall)
                .values(
                    id=new_id(),
                    company_id=owner.company_id,
                    person_id=owner.person_id,
                    idempotency_key=name,
                    request_sha256=request_sha256,
                    begun_at=now,
                )
                .on_conflict_do_nothing(index_elements=[mine, ApiCall.idempotency_key])
                .returning(ApiCall.id)
            )
            made = await session.scalar(begun)
            if made is not None:
                return Claim(made, owner, again=False)
            call = await session.scalar(
                sa.select(ApiCall)
                .where(mine == (owner.company_id or owner.person_id), ApiCall.idempotency_key == name)
                .with_for_update()
            )
            if call is None:  # it was refused between the two statements, and forgotten
                raise CallInProgress("The same call has just ended. Send it again.", retry_after_seconds=1)
            if call.begun_at <= now - KEPT:
                call.id, call.request_sha256, call.begun_at = new_id(), request_sha256, now
                call.status = call.headers = call.body = None
                return Claim(call.id, owner, again=False)
            if call.request_sha256 != request_sha256:
                raise IdempotencyKeyReused(
                    "A call with another body, address or method was sent under this Idempotency-Key within a day. "
                    "Take a new key for a new call."
                )
            if call.status is not None and call.headers is not None and call.body is not None:
                body = self._keyring.decrypt(_PURPOSE, bytes(call.body), context=call.id.bytes)
                return KeptAnswer(call.status, call.headers, body)
            if call.begun_at > now - ABANDONED:
                raise CallInProgress(
                    "The same call is still being worked on. Send it again in a second.", retry_after_seconds=1
                )
            call.begun_at = now
            return Claim(call.id, owner, again=True)

    async def keep(self, claim: Claim, answer: KeptAnswer) -> None:
        """Keep what the call was answered, before it is sent: encrypted, for it may hold a secret shown once."""
        body = self._keyring.encrypt(_PURPOSE, answer.body, context=claim.id.bytes)
        async with self._db.begin(claim.owner.db_scope()) as session:
            await session.execute(
                sa.update(ApiCall)
                .where(ApiCall.id == claim.id)
                .values(status=answer.status, headers=answer.headers, body=body)
            )

    async def forget(self, claim: Claim) -> None:
        """Let the call be tried again under its name: it was refused, and did nothing."""
        async with self._db.begin(claim.owner.db_scope()) as session:
            await session.execute(sa.delete(ApiCall).where(ApiCall.id == claim.id, ApiCall.status.is_(None)))

    async def delete_old(self) -> None:
        """Delete what is kept no longer: a job calls this by the hour."""
        async with self._db.begin(for_staff()) as session:
            await session.execute(sa.delete(ApiCall).where(ApiCall.begun_at <= self._clock.now() - KEPT))
