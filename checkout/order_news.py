"""What a company's webhooks say of its orders: thin, with the address of the order itself."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from accounts.webhooks.events import EventType
from accounts.webhooks.outbox import announce
from checkout.model import Order, Refund
from checkout.states import State

_CLOSED: Final = {State.LAPSED: EventType.ORDER_LAPSED, State.CANCELLED: EventType.ORDER_CANCELLED}


async def announce_created(session: AsyncSession, order: Order, *, now: datetime, base_url: str) -> None:
    await announce(session, order.company_id, EventType.ORDER_CREATED, _data(order, base_url), at=now, now=now)


async def announce_paid(session: AsyncSession, order: Order, *, now: datetime, base_url: str) -> None:
    await announce(session, order.company_id, EventType.ORDER_PAID, _data(order, base_url), at=now, now=now)


async def announce_closed(session: AsyncSession, order: Order, *, now: datetime, base_url: str) -> None:
    """That it lapsed or was cancelled."""
    await announce(session, order.company_id, _CLOSED[order.state], _data(order, base_url), at=now, now=now)


async def announce_refunded(
    session: AsyncSession, order: Order, refund: Refund, *, now: datetime, base_url: str
) -> None:
    """That Stripe has paid a refund out."""
    amount = {"amount": refund.amount.decimal, "currency": refund.currency}
    data = {**_data(order, base_url), "refund": {"id": str(refund.id), "total": amount}}
    await announce(session, order.company_id, EventType.ORDER_REFUNDED, data, at=now, now=now)


def _data(order: Order, base_url: str) -> dict[str, Any]:
    return {
        "id": str(order.id),
        "number": order.number,
        "state": order.state.value,
        "total": {"amount": order.total.decimal, "currency": order.currency},
        "po_number": order.po_number,
        "url": f"{base_url}/api/v1/orders/{order.number}",
    }
