"""The webhooks that partners are sent, as the OpenAPI document describes them: from the Structs that are sent."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from accounts.webhooks.events import TEST, EventType, Payload, ToldTest
from checkout.order_news import ToldAmount, ToldOrder, ToldRefund, ToldRefundedOrder
from web.price_news import ToldFeed, ToldPriceBook, ToldPriceChange

SHOP: Final = "https://shop.example"
OLD_ROOT: Final = "sha256:" + "0b" * 32
ROOT: Final = "sha256:" + "5a" * 32
READER: Final = "5a" * 16
ID: Final = UUID("019aa695-3c60-7000-8000-000000000001")
AT: Final = datetime(2026, 11, 21, 12, 1, tzinfo=UTC)
HEADERS: Final = {
    "webhook-id": (
        "Names the message: the same on every attempt. Keep those of four days, and do each once.",
        "^[!-~]+$",
    ),
    "webhook-timestamp": ("When this attempt was made, in Unix seconds. Refuse what is five minutes away.", "^[0-9]+$"),
    "webhook-signature": (
        "One or more `v1,BASE64`, separated by blanks: HMAC-SHA-256, by the secret, of `id.timestamp.body`.",
        "^v1,[A-Za-z0-9+/=]+( v1,[A-Za-z0-9+/=]+)*$",
    ),
}


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """*example*: what is sent as `data`; its type is what is described."""

    summary: str
    description: str
    example: msgspec.Struct


def _order(state: str) -> ToldOrder:
    return ToldOrder(
        id=ID,
        number="T-2026-000123",
        state=state,
        total=ToldAmount(amount="602.58", currency="EUR"),
        po_number="PO-4711",
        url=f"{SHOP}/api/v1/orders/T-2026-000123",
    )


HOOKS: Final[dict[str, Hook]] = {
    EventType.PRICE_BOOK_PUBLISHED: Hook(
        summary="A price book has taken effect",
        description="Told when it holds, not when it was published for later. The scope is `prices:read`.",
        example=ToldPriceBook(
            number=7, root=ROOT, effective_at="2026-11-21T12:01:00Z", url=f"{SHOP}/api/v1/price-books/current"
        ),
    ),
    EventType.PRICE_CHANGED: Hook(
        summary="Prices that your company may see changed",
        description="By a book, or because a price or rule began or ended. Ask for the delta since the root and "
        "instant of your own copy. The scope is `prices:read`.",
        example=ToldPriceChange(
            since=ToldFeed(root=OLD_ROOT, at="2026-11-14T08:00:00Z"),
            to=ToldFeed(root=ROOT, at="2026-11-21T12:01:00Z"),
            reader=READER,
            currency="EUR",
            sku_count=1,
            more=False,
            skus=("CRUNCHY-ARMCHAIR",),
            delta_url=f"{SHOP}/api/v1/price-books/{ROOT}/delta?since={OLD_ROOT}&at=2026-11-14T08:00:00Z&reader={READER}",
            feed_url=f"{SHOP}/api/v1/price-feed",
        ),
    ),
    EventType.ORDER_CREATED: Hook(
        summary="An order of your company was placed",
        description="By a person of it or by a program. The scope is `orders:read`.",
        example=_order("payable"),
    ),
    EventType.ORDER_PAID: Hook(
        summary="An order is paid",
        description="All of it has come in. The scope is `orders:read`.",
        example=_order("paid"),
    ),
    EventType.ORDER_LAPSED: Hook(
        summary="An order lapsed unpaid",
        description="Nobody paid it in time; its goods are free again. The scope is `orders:read`.",
        example=_order("lapsed"),
    ),
    EventType.ORDER_CANCELLED: Hook(
        summary="An order was cancelled",
        description="By your company or by the seller. The scope is `orders:read`.",
        example=_order("cancelled"),
    ),
    EventType.ORDER_REFUNDED: Hook(
        summary="Money of an order was sent back",
        description="The way it came: a part, or all of it. What a bank sends back is sent again, and told as another "
        "refund. The scope is `orders:read`.",
        example=ToldRefundedOrder(
            **msgspec.structs.asdict(_order("paid")),
            refund=ToldRefund(id=ID, total=ToldAmount(amount="100.00", currency="EUR")),
        ),
    ),
    TEST: Hook(
        summary="You asked for a test",
        description="Sent to an endpoint whatever it listens to.",
        example=ToldTest(endpoint_id=ID),
    ),
}


def types() -> list[type]:
    """What is sent as `data`."""
    return list(dict.fromkeys(type(hook.example) for hook in HOOKS.values()))


def described(schemas: str) -> dict[str, Any]:
    """The document's section `webhooks`. *schemas*: where it keeps schemas."""
    return {name: {"post": _operation(name, hook, schemas)} for name, hook in HOOKS.items()}


def _operation(name: str, hook: Hook, schemas: str) -> dict[str, Any]:
    event = Payload(type=name, timestamp=AT, data=hook.example)
    return {
        "tags": ["webhooks"],
        "operationId": f"told_{name.replace('.', '_')}",
        "summary": hook.summary,
        "description": hook.description,
        "security": [],
        "parameters": [
            {
                "name": header,
                "in": "header",
                "description": description,
                "required": True,
                "schema": {"type": "string", "maxLength": 1000, "pattern": pattern},
            }
            for header, (description, pattern) in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "type": {"type": "string", "const": str(name)},
                            "timestamp": {
                                "type": "string",
                                "format": "date-time",
                                "description": "When it happened, in UTC.",
                            },
                            "data": {"$ref": schemas + type(hook.example).__name__},
                        },
                        "required": list(Payload.__struct_fields__),
                    },
                    "examples": {str(name).replace(".", "-"): {"value": msgspec.to_builtins(event)}},
                }
            },
        },
        "responses": {
            "204": {"description": "Any 2xx takes the message, within 15 seconds."},
            "410": {"description": "Switches the endpoint off. Anything else is tried again, for three days."},
        },
    }
