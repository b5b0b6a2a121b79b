"""Every query of webhooks out."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company
from accounts.webhooks.model import (
    EndpointState,
    MessageState,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
    WebhookTold,
)


class EndpointRow(NamedTuple):
    endpoint: WebhookEndpoint
    company: Company


class MessageRow(NamedTuple):
    message: WebhookMessage
    endpoint: WebhookEndpoint


# --- Endpoints ---


async def find_endpoint(session: AsyncSession, endpoint_id: uuid.UUID) -> WebhookEndpoint | None:
    return await session.get(WebhookEndpoint, endpoint_id)


async def lock_endpoint(session: AsyncSession, endpoint_id: uuid.UUID) -> WebhookEndpoint | None:
    return await session.get(WebhookEndpoint, endpoint_id, with_for_update=True, populate_existing=True)


async def list_endpoints(session: AsyncSession, company_id: uuid.UUID) -> Sequence[WebhookEndpoint]:
    """Oldest first."""
    query = sa.select(WebhookEndpoint).where(WebhookEndpoint.company_id == company_id)
    return (await session.scalars(query.order_by(WebhookEndpoint.id))).all()


async def list_all_endpoints(session: AsyncSession) -> list[EndpointRow]:
    """Of every company; those that we or they themselves have switched off first."""
    query = (
        sa.select(WebhookEndpoint, Company)
        .join(Company, Company.id == WebhookEndpoint.company_id)
        .order_by(
            WebhookEndpoint.state.in_([EndpointState.ON, EndpointState.OFF]), Company.name, Company.id,
            WebhookEndpoint.id,
        )
    )  # fmt: skip
    return [EndpointRow(endpoint, company) for endpoint, company in await session.execute(query)]


async def list_listening(session: AsyncSession, company_id: uuid.UUID, event_type: str) -> Sequence[WebhookEndpoint]:
    """The company's endpoints that are on and asked for such events."""
    query = sa.select(WebhookEndpoint).where(
        WebhookEndpoint.company_id == company_id,
        WebhookEndpoint.state == EndpointState.ON,
        sa.literal(event_type) == sa.any_(WebhookEndpoint.event_types),
    )
    return (await session.scalars(query.order_by(WebhookEndpoint.id))).all()


async def list_listeners(session: AsyncSession, event_types: Sequence[str]) -> list[tuple[Company, datetime]]:
    """Companies with an endpoint that is on and asked for one of these, and since when the first of them is."""
    query = (
        sa.select(Company, sa.func.min(WebhookEndpoint.state_since))
        .join(WebhookEndpoint, WebhookEndpoint.company_id == Company.id)
        .where(WebhookEndpoint.state == EndpointState.ON, WebhookEndpoint.event_types.overlap(list(event_types)))
        .group_by(Company.id)
        .order_by(Company.id)
    )
    return [(company, since) for company, since in await session.execute(query)]


# --- Messages ---


async def find_message(session: AsyncSession, message_id: uuid.UUID) -> MessageRow | None:
    query = (
        sa.select(WebhookMessage, WebhookEndpoint)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookMessage.endpoint_id)
        .where(WebhookMessage.id == message_id)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else MessageRow(*row)


async def lock_message(session: AsyncSession, message_id: uuid.UUID) -> WebhookMessage | None:
    return await session.get(WebhookMessage, message_id, with_for_update=True, populate_existing=True)


async def list_messages(
    session: AsyncSession,
    endpoint_id: uuid.UUID,
    *,
    state: MessageState | None = None,
    before: uuid.UUID | None = None,
    limit: int,
) -> Sequence[WebhookMessage]:
    """Newest first; *before*: those written before this one."""
    query = sa.select(WebhookMessage).where(WebhookMessage.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(WebhookMessage.state == state)
    if before is not None:
        query = query.where(WebhookMessage.id < before)
    return (await session.scalars(query.order_by(WebhookMessage.id.desc()).limit(limit))).all()


async def lock_window(
    session: AsyncSession,
    endpoint_id: uuid.UUID,
    *,
    since: datetime,
    until: datetime,
    states: Sequence[MessageState],
    limit: int,
) -> Sequence[WebhookMessage]:
    """Messages written in a half-open window, oldest first."""
    query = (
        sa.select(WebhookMessage)
        .where(
            WebhookMessage.endpoint_id == endpoint_id,
            WebhookMessage.created_at >= since,
            WebhookMessage.created_at < until,
            WebhookMessage.state.in_(states),
        )
        .order_by(WebhookMessage.id)
        .limit(limit)
        .with_for_update()
    )
    return (await session.scalars(query)).all()


async def lock_overdue(session: AsyncSession, before: datetime, *, limit: int) -> Sequence[WebhookMessage]:
    """Messages whose attempt was due before an instant and is not recorded."""
    query = (
        sa.select(WebhookMessage)
        .where(WebhookMessage.state == MessageState.PENDING, WebhookMessage.next_attempt_at <= before)
        .order_by(WebhookMessage.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await session.scalars(query)).all()


async def give_up_pending(session: AsyncSession, endpoint_id: uuid.UUID) -> None:
    await session.execute(
        sa.update(WebhookMessage)
        .where(WebhookMessage.endpoint_id == endpoint_id, WebhookMessage.state == MessageState.PENDING)
        .values(state=MessageState.GIVEN_UP, next_attempt_at=None)
    )


async def delete_messages_before(session: AsyncSession, before: datetime) -> None:
    """With their attempts; those that are still to be sent stay."""
    await session.execute(
        sa.delete(WebhookMessage).where(
            WebhookMessage.created_at < before, WebhookMessage.state != MessageState.PENDING
        )
    )


# --- Attempts ---


async def list_attempts(session: AsyncSession, message_id: uuid.UUID) -> Sequence[WebhookAttempt]:
    """In order."""
    query = sa.select(WebhookAttempt).where(WebhookAttempt.message_id == message_id)
    return (await session.scalars(query.order_by(WebhookAttempt.number))).all()


async def last_attempts(session: AsyncSession, messages: Sequence[WebhookMessage]) -> dict[uuid.UUID, WebhookAttempt]:
    """The last attempt of each message that has one."""
    names = [(message.id, message.attempts) for message in messages]
    query = sa.select(WebhookAttempt).where(sa.tuple_(WebhookAttempt.message_id, WebhookAttempt.number).in_(names))
    return {attempt.message_id: attempt for attempt in await session.scalars(query)}


# --- What of prices was told ---


async def find_told(session: AsyncSession, company_id: uuid.UUID) -> WebhookTold | None:
    return await session.get(WebhookTold, company_id)


async def tell(session: AsyncSession, told: WebhookTold, *, after: WebhookTold | None) -> bool:
    """Put *told* in the place of *after*; False when another worker was faster."""
    values = {column.key: getattr(told, column.key) for column in WebhookTold.__table__.columns}
    if after is None:
        inserted = insert(WebhookTold).values(values).on_conflict_do_nothing().returning(WebhookTold.company_id)
        return (await session.execute(inserted)).scalar_one_or_none() is not None
    updated = (
        sa.update(WebhookTold)
        .where(
            WebhookTold.company_id == after.company_id,
            WebhookTold.publication == after.publication,
            WebhookTold.root == after.root,
            WebhookTold.at == after.at,
            WebhookTold.reader == after.reader,
        )
        .values(values)
        .returning(WebhookTold.company_id)
    )
    return (await session.execute(updated)).scalar_one_or_none() is not None
