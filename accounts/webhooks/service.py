"""Endpoints and what they were sent, as programs and pages ask for them.

A company's programs see and change its own endpoints; the merchant's staff see all, and may send again what was sent.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store as accounts_store
from accounts.limits import Limit, TooManyAttempts
from accounts.principal import Principal, PrincipalKind
from accounts.webhooks import store
from accounts.webhooks.events import SCOPES, TEST, EventType, ToldTest
from accounts.webhooks.model import (
    EndpointState,
    MessageState,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
)
from accounts.webhooks.outbox import try_anew, write_message
from accounts.webhooks.secrets import live_secrets, new_secret, sealed
from accounts.webhooks.store import EndpointRow
from kernel.clock import Clock
from kernel.db import Database
from kernel.errors import Conflict, DomainError, NotFound
from kernel.ids import new_id
from kernel.outgoing import parse_target
from kernel.signing import Keyring

ENDPOINTS_MOST: Final = 10
"""Of one company."""
OVERLAP: Final = timedelta(hours=24)
"""So long a replaced secret goes on signing beside the new one."""
REPLAYED_MOST: Final = 1000
"""Messages of one call."""
SENDS: Final = Limit("webhook_sends", 120, timedelta(hours=1))
"""Tests and replays that a company may ask for: what makes us send must not be had without end."""


class NoSuchEndpoint(NotFound):
    problem = "webhook-endpoint-unknown"
    title = "There is no such webhook endpoint"


class NoSuchMessage(NotFound):
    problem = "webhook-message-unknown"
    title = "There is no such webhook message"


class TooManyEndpoints(Conflict):
    problem = "too-many-webhook-endpoints"
    title = "A company has so many webhook endpoints at most"


class EndpointIsOff(Conflict):
    problem = "webhook-endpoint-off"
    title = "This webhook endpoint is switched off"


class EventsNotReadable(DomainError):
    """*scope*: what the key lacks."""

    problem = "scope-missing"
    status = 403
    title = "The API key does not carry the scope"


class MessageFile(msgspec.Struct, frozen=True, kw_only=True):
    """A message with all that happened to it."""

    message: WebhookMessage
    endpoint: WebhookEndpoint
    attempts: tuple[WebhookAttempt, ...]


class ListedMessage(msgspec.Struct, frozen=True, kw_only=True):
    message: WebhookMessage
    last: WebhookAttempt | None


class Webhooks:
    """:raises NoSuchEndpoint: wherever an endpoint is named that is none of the principal's to see"""

    def __init__(self, db: Database, clock: Clock, keyring: Keyring, *, loopback: bool = False) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._loopback = loopback

    # --- Endpoints ---

    async def create(
        self,
        principal: Principal,
        *,
        url: str,
        event_types: Collection[EventType],
        description: str = "",
        endpoint_id: uuid.UUID | None = None,
    ) -> tuple[WebhookEndpoint, str]:
        """Make an endpoint, switched on, and return it with its secret, which can be shown this once. *endpoint_id*: of
        a call that may be repeated, which finds what it has made.

        :raises UrlRefused: when we send nothing to such an address
        :raises EventsNotReadable: when the key may not read what it wants to be told of
        :raises TooManyEndpoints: when the company has ten
        """
        company_id = _company(principal)
        _require_readable(principal, event_types)
        target = parse_target(url, loopback=self._loopback)
        now, endpoint_id, secret = self._clock.now(), endpoint_id or new_id(), new_secret()
        async with self._db.begin(principal.db_scope()) as session:
            await accounts_store.lock_company(session, company_id)
            made = await store.find_endpoint(session, endpoint_id)
            if made is not None:
                return made, live_secrets(self._keyring, made, now)[0]
            if len(await store.list_endpoints(session, company_id)) >= ENDPOINTS_MOST:
                raise TooManyEndpoints(f"Delete one of your {ENDPOINTS_MOST} endpoints first.")
            endpoint = WebhookEndpoint(
                id=endpoint_id,
                company_id=company_id,
                url=target.url,
                description=description,
                event_types=sorted(set(event_types)),
                state=EndpointState.ON,
                state_since=now,
                secret=sealed(self._keyring, endpoint_id, secret),
                created_at=now,
                changed_at=now,
            )
            session.add(endpoint)
        return endpoint, secret

    async def list_endpoints(self, principal: Principal) -> Sequence[WebhookEndpoint]:
        """The company's, oldest first."""
        async with self._db.begin(principal.db_scope()) as session:
            return await store.list_endpoints(session, _company(principal))

    async def list_all(self, principal: Principal) -> list[EndpointRow]:
        """For staff: every company's, those that need somebody first."""
        assert principal.kind is PrincipalKind.STAFF
        async with self._db.begin(principal.db_scope()) as session:
            return await store.list_all_endpoints(session)

    async def find(self, principal: Principal, endpoint_id: uuid.UUID) -> WebhookEndpoint:
        async with self._db.begin(principal.db_scope()) as session:
            return _theirs(principal, await store.find_endpoint(session, endpoint_id))

    async def change(
        self,
        principal: Principal,
        endpoint_id: uuid.UUID,
        *,
        url: str | None = None,
        event_types: Collection[EventType] | None = None,
        description: str | None = None,
        on: bool | None = None,
    ) -> WebhookEndpoint:
        """Change what is given. Switched off, an endpoint is told nothing and what is still to be sent is given up;
        switched on, it is told of what happens from then on.

        :raises UrlRefused, EventsNotReadable: as `create`
        """
        if event_types is not None:
            _require_readable(principal, event_types)
        target = None if url is None else parse_target(url, loopback=self._loopback)
        now = self._clock.now()
        async with self._db.begin(principal.db_scope()) as session:
            endpoint = _theirs(principal, await store.lock_endpoint(session, endpoint_id))
            endpoint.changed_at = now
            if target is not None:
                endpoint.url = target.url
            if event_types is not None:
                endpoint.event_types = sorted(set(event_types))
            if description is not None:
                endpoint.description = description
            if on is True and endpoint.state is not EndpointState.ON:
                endpoint.state, endpoint.state_since, endpoint.failing_since = EndpointState.ON, now, None
            if on is False and endpoint.state is EndpointState.ON:
                endpoint.state, endpoint.state_since = EndpointState.OFF, now
                await session.flush()
                await store.give_up_pending(session, endpoint.id)
        return endpoint

    async def delete(self, principal: Principal, endpoint_id: uuid.UUID) -> None:
        """With all that it was sent."""
        async with self._db.begin(principal.db_scope()) as session:
            await session.delete(_theirs(principal, await store.lock_endpoint(session, endpoint_id)))

    async def rotate_secret(self, principal: Principal, endpoint_id: uuid.UUID) -> tuple[WebhookEndpoint, str]:
        """Give it a new secret, shown this once. For a day both sign; a third one ends the first at once."""
        secret = new_secret()
        async with self._db.begin(principal.db_scope()) as session:
            endpoint = _theirs(principal, await store.lock_endpoint(session, endpoint_id))
            now = self._clock.now()
            endpoint.previous_secret, endpoint.previous_secret_until = endpoint.secret, now + OVERLAP
            endpoint.secret = sealed(self._keyring, endpoint.id, secret)
            endpoint.changed_at = now
        return endpoint, secret

    async def send_test(self, principal: Principal, endpoint_id: uuid.UUID) -> WebhookMessage:
        """:raises EndpointIsOff: when nothing is sent to it
        :raises TooManyAttempts: saying when to try again
        """
        now = self._clock.now()
        async with self._db.begin(principal.db_scope()) as session:
            endpoint = _on(_theirs(principal, await store.find_endpoint(session, endpoint_id)))
            await self._allow(session, endpoint, now)
            return await write_message(session, endpoint, TEST, ToldTest(endpoint_id=endpoint.id), at=now, now=now)

    # --- Messages ---

    async def list_messages(
        self,
        principal: Principal,
        endpoint_id: uuid.UUID,
        *,
        state: MessageState | None = None,
        before: uuid.UUID | None = None,
        limit: int = 50,
    ) -> list[ListedMessage]:
        """Newest first, each with its last attempt; *before*: those written before this one."""
        async with self._db.begin(principal.db_scope()) as session:
            _theirs(principal, await store.find_endpoint(session, endpoint_id))
            found = await store.list_messages(session, endpoint_id, state=state, before=before, limit=limit)
            last = await store.last_attempts(session, found)
        return [ListedMessage(message=message, last=last.get(message.id)) for message in found]

    async def find_message(self, principal: Principal, message_id: uuid.UUID) -> MessageFile:
        """:raises NoSuchMessage: when there is none, or it is another company's"""
        async with self._db.begin(principal.db_scope()) as session:
            return await _file(session, principal, message_id)

    async def replay(self, principal: Principal, message_id: uuid.UUID) -> MessageFile:
        """Send a message again, delivered or not, with its id and body as they were.

        :raises NoSuchMessage: as `find_message`
        :raises EndpointIsOff, TooManyAttempts: as `send_test`
        """
        now = self._clock.now()
        async with self._db.begin(principal.db_scope()) as session:
            _on((await _file(session, principal, message_id)).endpoint)
            message = await store.lock_message(session, message_id)
            if message is None:
                raise NoSuchMessage("It was deleted meanwhile.")
            await self._allow(session, message, now)
            await try_anew(session, message, now)
            return await _file(session, principal, message_id)

    async def replay_window(
        self,
        principal: Principal,
        endpoint_id: uuid.UUID,
        *,
        since: datetime,
        until: datetime | None = None,
        delivered_too: bool = False,
    ) -> int:
        """Send again what was written from *since* on and before *until*, oldest first, and return how much it is: a
        thousand messages at most. Unless *delivered_too*, those alone that were given up.

        :raises EndpointIsOff, TooManyAttempts: as `send_test`
        """
        now = self._clock.now()
        states = [MessageState.GIVEN_UP, *([MessageState.DELIVERED] if delivered_too else [])]
        async with self._db.begin(principal.db_scope()) as session:
            endpoint = _on(_theirs(principal, await store.find_endpoint(session, endpoint_id)))
            await self._allow(session, endpoint, now)
            found = await store.lock_window(
                session, endpoint_id, since=since, until=until or now, states=states, limit=REPLAYED_MOST
            )
            for message in found:
                await try_anew(session, message, now)
        return len(found)

    async def _allow(self, session: AsyncSession, of: WebhookEndpoint | WebhookMessage, now: datetime) -> None:
        retry_at = await accounts_store.count_attempt(session, SENDS, str(of.company_id), now)
        if retry_at is not None:
            raise TooManyAttempts(retry_at, now)


def _company(principal: Principal) -> uuid.UUID:
    assert principal.company_id is not None, "the role table lets in companies' keys only"
    return principal.company_id


def _require_readable(principal: Principal, event_types: Collection[EventType]) -> None:
    """:raises EventsNotReadable: for the first scope that the key lacks"""
    for event_type in sorted(event_types):
        scope = SCOPES[event_type]
        if scope not in principal.scopes:
            raise EventsNotReadable(
                f"To be told of {event_type}, the key needs the scope {scope.value}.", scope=scope.value
            )


def _theirs(principal: Principal, endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    """Row-level security has hidden other companies' already; this is the first wall, it is the second."""
    if endpoint is None or not _may_see(principal, endpoint.company_id):
        raise NoSuchEndpoint("There is no such webhook endpoint.")
    return endpoint


def _may_see(principal: Principal, company_id: uuid.UUID) -> bool:
    return principal.kind is PrincipalKind.STAFF or principal.company_id == company_id


def _on(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    if endpoint.state is not EndpointState.ON:
        raise EndpointIsOff("Switch it on first.")
    return endpoint


async def _file(session: AsyncSession, principal: Principal, message_id: uuid.UUID) -> MessageFile:
    found = await store.find_message(session, message_id)
    if found is None or not _may_see(principal, found.message.company_id):
        raise NoSuchMessage("There is no such webhook message.")
    attempts = tuple(await store.list_attempts(session, message_id))
    return MessageFile(message=found.message, endpoint=found.endpoint, attempts=attempts)
