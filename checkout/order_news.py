"""What a company's webhooks say of its orders: thin, with the address of the order itself."""

import uuid
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.webhooks.events import EventType
from accounts.webhooks.outbox import announce
from checkout.model import Order, Refund
from checkout.states import State
from kernel.money import Money

_CLOSED: Final = {State.LAPSED: EventType.ORDER_LAPSED, State.CANCELLED: EventType.ORDER_CANCELLED}


class ToldAmount(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of money: a decimal string and an ISO 4217 code."""

    amount: Annotated[str, Meta(pattern=r"^[0-9]+(?:\.[0-9]+)?$")]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]


class ToldOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was when this happened; `url` shows it as it is."""

    id: uuid.UUID
    number: str
    state: Annotated[str, Meta(extra_json_schema={"enum": [each.value for each in State]})]
    total: ToldAmount
    po_number: str | None
    url: str


class ToldRefund(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent back the way it came."""

    id: uuid.UUID
    total: ToldAmount


class ToldRefundedOrder(ToldOrder, frozen=True, kw_only=True):
    """An order of which money was sent back: a part, or all of it."""

    refund: ToldRefund


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
    sent_back = ToldRefund(id=refund.id, total=_amount(refund.amount))
    data = ToldRefundedOrder(**msgspec.structs.asdict(_data(order, base_url)), refund=sent_back)
    await announce(session, order.company_id, EventType.ORDER_REFUNDED, data, at=now, now=now)


def _data(order: Order, base_url: str) -> ToldOrder:
    return ToldOrder(
        id=order.id,
        number=order.number,
        state=order.state.value,
        total=_amount(order.total),
        po_number=order.po_number,
        url=f"{base_url}/api/v1/orders/{order.number}",
    )


def _amount(money: Money) -> ToldAmount:
    return ToldAmount(amount=money.decimal, currency=money.currency)
