"""Queries of approval, one function a question. `lock_` holds the row until the transaction ends."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from checkout.approval_model import ApprovalRequest, ApprovalState

_WAITING = ApprovalRequest.state == ApprovalState.WAITING


async def find_request(session: AsyncSession, request_id: uuid.UUID) -> ApprovalRequest | None:
    return await session.scalar(sa.select(ApprovalRequest).where(ApprovalRequest.id == request_id))


async def lock_request(session: AsyncSession, request_id: uuid.UUID) -> ApprovalRequest:
    query = sa.select(ApprovalRequest).where(ApprovalRequest.id == request_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def find_waiting(session: AsyncSession, checkout_id: uuid.UUID) -> ApprovalRequest | None:
    """What waits of a checkout."""
    return await session.scalar(sa.select(ApprovalRequest).where(ApprovalRequest.checkout_id == checkout_id, _WAITING))


async def find_request_of_order(session: AsyncSession, order_id: uuid.UUID) -> ApprovalRequest | None:
    return await session.scalar(sa.select(ApprovalRequest).where(ApprovalRequest.order_id == order_id))


async def list_requests(session: AsyncSession, company_id: uuid.UUID, *, limit: int) -> Sequence[ApprovalRequest]:
    """Those that wait first, then the newest."""
    query = sa.select(ApprovalRequest).where(ApprovalRequest.company_id == company_id)
    order = (_WAITING.desc(), ApprovalRequest.requested_at.desc(), ApprovalRequest.id)
    return (await session.scalars(query.order_by(*order).limit(limit))).all()


async def count_waiting(session: AsyncSession, company_id: uuid.UUID, asker: uuid.UUID | None) -> int:
    """Of the company, or of one who asked."""
    query = sa.select(sa.func.count()).where(ApprovalRequest.company_id == company_id, _WAITING)
    return await session.scalar(query if asker is None else query.where(ApprovalRequest.requested_by == asker)) or 0


async def list_expired(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """Request and company of what waits past its time."""
    query = sa.select(ApprovalRequest.id, ApprovalRequest.company_id).where(_WAITING, ApprovalRequest.expires_at <= now)
    rows = await session.execute(query.order_by(ApprovalRequest.expires_at).limit(limit))
    return [(row.id, row.company_id) for row in rows]
