"""Sending what is written: one attempt a job, recorded after it, tried again for three days.

Between the answer and its record the process may die; then the attempt is made again, with the same id and body. That
is all that "at least once" costs a receiver: to keep the ids it has seen.
"""

import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import store as accounts_store
from accounts.model import MemberRole
from accounts.webhooks import outbox, store
from accounts.webhooks.mails import endpoint_off
from accounts.webhooks.model import (
    EndpointState,
    MessageState,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
)
from accounts.webhooks.secrets import PREFIX, live_secrets, signed_headers
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.failpoints import Failpoint
from kernel.mail import queue_mail
from kernel.outgoing import Answer, Sender
from kernel.signing import Keyring

SEND: Final = Failpoint("webhooks.send", call=True)
RECORD: Final = Failpoint("webhooks.record")
SWEEP: Final = Failpoint("webhooks.sweep")

WAITS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""After each failure, give or take a tenth: what Standard Webhooks recommend, three days and three hours together."""
JITTER: Final = 0.1
FAILING_LONGEST: Final = timedelta(days=2.5)
"""An endpoint that took nothing for so long is switched off when a message is given up."""
AT_ONCE: Final = 4
"""Requests to one endpoint: whoever answers slowly keeps no place from others."""
BUSY_WAIT: Final = timedelta(seconds=2)
GRACE: Final = timedelta(minutes=5)
"""An attempt due for so long has lost its job."""
SWEEP_BATCH: Final = 500
KEPT: Final = timedelta(days=30)
USER_AGENT: Final = "Tarifa-Webhooks/1"
GONE: Final = 410

log = structlog.get_logger(__name__)


class Deliveries:
    def __init__(
        self,
        db: Database,
        clock: Clock,
        keyring: Keyring,
        sender: Sender,
        *,
        base_url: str,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._sender = sender
        self._base_url = base_url
        self._chance = chance
        self._busy: Counter[uuid.UUID] = Counter()

    def job_handlers(self) -> dict[str, Callable[..., Awaitable[None]]]:
        return {outbox.SEND_TASK: self.send}

    async def send(self, message_id: str, attempt: int) -> None:
        """Make one attempt, unless it was made already or is not due yet by our own clock, when `sweep` has it made."""
        now = self._clock.now()
        async with self._db.begin(for_staff()) as session:
            found = await store.find_message(session, uuid.UUID(message_id))
            if found is None or not _is_due(found.message, attempt, now):
                return
            message, endpoint = found
            if endpoint.state is not EndpointState.ON:  # switched off while the message was being written
                message.state, message.next_attempt_at = MessageState.GIVEN_UP, None
                return
            if self._busy[endpoint.id] >= AT_ONCE:
                await outbox.enqueue_attempt(session, message, run_at=now + BUSY_WAIT)
                return
            secrets = live_secrets(self._keyring, endpoint, now)
            self._busy[endpoint.id] += 1
        try:
            headers = signed_headers(secrets, message.id, message.body, now)
            SEND.reach("before_call")
            answer = await self._sender.post(
                endpoint.url,
                message.body,
                {"content-type": "application/json", "user-agent": USER_AGENT, **headers},
            )
            SEND.reach("after_call")
        finally:
            self._busy[endpoint.id] -= 1
            self._busy += Counter()  # forgets who is not busy
        await self._record(message, attempt, answer, at=now, shown=_shown(answer.excerpt, secrets))

    async def sweep(self) -> None:
        """Have attempts made whose jobs were lost, or came too early."""
        now = self._clock.now()
        async with self._db.begin(for_staff(), SWEEP) as session:
            for message in await store.lock_overdue(session, now - GRACE, limit=SWEEP_BATCH):
                message.next_attempt_at = now
                await session.flush()
                await outbox.enqueue_attempt(session, message)

    async def delete_old(self) -> None:
        """Forget messages after a month."""
        async with self._db.begin(for_staff()) as session:
            await store.delete_messages_before(session, self._clock.now() - KEPT)

    # --- Below ---

    async def _record(self, sent: WebhookMessage, attempt: int, answer: Answer, *, at: datetime, shown: str) -> None:
        now = self._clock.now()
        async with self._db.begin(for_staff(), RECORD) as session:
            endpoint = await store.lock_endpoint(session, sent.endpoint_id)
            message = await store.lock_message(session, sent.id)
            if endpoint is None or message is None or message.attempts + 1 != attempt:
                return  # deleted, or recorded by another worker
            session.add(
                WebhookAttempt(
                    message_id=message.id,
                    number=attempt,
                    company_id=message.company_id,
                    at=at,
                    duration_ms=answer.duration_ms,
                    status=answer.status,
                    failure=answer.failure,
                    answer=shown,
                )
            )
            message.attempts = attempt
            if answer.accepted:
                message.state, message.next_attempt_at = MessageState.DELIVERED, None
                message.failures, endpoint.failing_since = 0, None
                return
            await self._failed(session, endpoint, message, answer, now)

    async def _failed(
        self, session: AsyncSession, endpoint: WebhookEndpoint, message: WebhookMessage, answer: Answer, now: datetime
    ) -> None:
        log.info(
            "webhook not delivered", message=str(message.id), status=answer.status, failure=answer.failure,
            attempt=message.attempts,
        )  # fmt: skip
        endpoint.failing_since = endpoint.failing_since or now
        message.failures += 1
        if answer.status == GONE:
            await self._switch_off(session, endpoint, EndpointState.GONE, answer, now)
        elif message.state is not MessageState.PENDING:
            return  # given up meanwhile, with its endpoint
        elif message.failures <= len(WAITS):
            wait = WAITS[message.failures - 1] * (1 + JITTER * (2 * self._chance() - 1))
            message.next_attempt_at = now + wait
            await session.flush()
            await outbox.enqueue_attempt(session, message, run_at=message.next_attempt_at)
        else:
            message.state, message.next_attempt_at = MessageState.GIVEN_UP, None
            if endpoint.failing_since <= now - FAILING_LONGEST:
                await self._switch_off(session, endpoint, EndpointState.FAILING, answer, now)

    async def _switch_off(
        self, session: AsyncSession, endpoint: WebhookEndpoint, state: EndpointState, answer: Answer, now: datetime
    ) -> None:
        """Once, with a letter to the company's admins."""
        if endpoint.state is not EndpointState.ON:
            return
        endpoint.state, endpoint.state_since = state, now
        await session.flush()
        await store.give_up_pending(session, endpoint.id)
        members = await accounts_store.list_members(session, endpoint.company_id)
        for person in [row.person for row in members if row.membership.role is MemberRole.ADMIN]:
            letter = endpoint_off(
                to=person.email,
                name=person.name,
                locale=person.locale,
                endpoint=endpoint,
                last=str(answer.status or answer.failure),
                base_url=self._base_url,
            )
            await queue_mail(session, letter, now=now)


def _is_due(message: WebhookMessage, attempt: int, now: datetime) -> bool:
    return (
        message.state is MessageState.PENDING
        and message.attempts + 1 == attempt
        and message.next_attempt_at is not None
        and message.next_attempt_at <= now
    )


def _shown(excerpt: bytes, secrets: list[str]) -> str:
    """As text that a database takes; a receiver that sends its secret back is not quoted with it."""
    text = excerpt.decode(errors="replace").replace("\x00", "\ufffd")
    for secret in secrets:
        text = text.replace(secret, "(secret)")
        begun = next((n for n in range(len(secret) - 1, len(PREFIX), -1) if text.endswith(secret[:n])), 0)
        text = text[: len(text) - begun]
    return text
