"""Messages are written in the transaction of what they tell of: a message exists if and only if that committed."""

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from accounts.webhooks import store
from accounts.webhooks.events import payload
from accounts.webhooks.model import MessageState, WebhookEndpoint, WebhookMessage
from kernel.ids import new_id
from kernel.jobs import enqueue

SEND_TASK: Final = "send_webhook"
TELL_PRICES_TASK: Final = "tell_prices"
"""To be had done at an instant at which prices change."""
QUEUE: Final = "webhooks"
"""Worked at apart from all other jobs, for a partner's server may take long to answer."""


async def announce(
    session: AsyncSession, company_id: uuid.UUID, event_type: str, data: Any, *, at: datetime, now: datetime
) -> None:
    """Tell the company's endpoints that asked for such events. *at*: when it happened; *data*: what is JSON."""
    for endpoint in await store.list_listening(session, company_id, event_type):
        await write_message(session, endpoint, event_type, data, at=at, now=now)


async def write_message(
    session: AsyncSession, endpoint: WebhookEndpoint, event_type: str, data: Any, *, at: datetime, now: datetime
) -> WebhookMessage:
    message = WebhookMessage(
        id=new_id(),
        company_id=endpoint.company_id,
        endpoint_id=endpoint.id,
        event_type=event_type,
        body=payload(event_type, data, at=at),
        occurred_at=at,
        created_at=now,
        state=MessageState.PENDING,
        next_attempt_at=now,
    )
    session.add(message)
    await session.flush()
    await enqueue_attempt(session, message)
    return message


async def enqueue_attempt(session: AsyncSession, message: WebhookMessage, *, run_at: datetime | None = None) -> None:
    """Have the message's next attempt made. Of jobs for the same attempt one counts: the first that is recorded."""
    arguments = {"message_id": str(message.id), "attempt": message.attempts + 1}
    await enqueue(session, SEND_TASK, arguments, run_at=run_at, queue=QUEUE)


async def try_anew(session: AsyncSession, message: WebhookMessage, now: datetime) -> None:
    """Begin the attempts at a message again, with the first at once."""
    message.state, message.failures, message.next_attempt_at = MessageState.PENDING, 0, now
    await session.flush()
    await enqueue_attempt(session, message)
