"""What a company can be told of, and the document that says it."""

import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from accounts.model import KeyScope


class EventType(StrEnum):
    PRICE_BOOK_PUBLISHED = "price_book.published"
    """A price book has taken effect."""
    PRICE_CHANGED = "price.changed"
    """Prices that the company may see have changed, by a book or at the edge of a window."""
    ORDER_CREATED = "order.created"
    ORDER_PAID = "order.paid"
    ORDER_LAPSED = "order.lapsed"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_REFUNDED = "order.refunded"
    """Money of an order has gone back to the buyer: a part, or all of it."""


TEST: Final = "webhook.test"
"""Sent when asked for, to whatever the endpoint listens."""
SCOPES: Final = {
    EventType.PRICE_BOOK_PUBLISHED: KeyScope.PRICES_READ,
    EventType.PRICE_CHANGED: KeyScope.PRICES_READ,
    EventType.ORDER_CREATED: KeyScope.ORDERS_READ,
    EventType.ORDER_PAID: KeyScope.ORDERS_READ,
    EventType.ORDER_LAPSED: KeyScope.ORDERS_READ,
    EventType.ORDER_CANCELLED: KeyScope.ORDERS_READ,
    EventType.ORDER_REFUNDED: KeyScope.ORDERS_READ,
}
"""What a key must be allowed to read, to have its company told of it."""
PRICE_EVENTS: Final = (EventType.PRICE_BOOK_PUBLISHED, EventType.PRICE_CHANGED)


class Payload(msgspec.Struct, frozen=True):
    """As Standard Webhooks have it. *timestamp*: when it happened."""

    type: str
    timestamp: datetime
    data: Any


class ToldTest(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint that asked for a test."""

    endpoint_id: uuid.UUID


def payload(event_type: str, data: Any, *, at: datetime) -> bytes:
    return msgspec.json.encode(Payload(type=event_type, timestamp=at.astimezone(UTC), data=data))
