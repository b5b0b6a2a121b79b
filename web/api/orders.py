"""Orders for programs: what the key's company ordered, and no other's."""

from typing import Annotated

from litestar import Response, get
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from web.api import shaping, wire
from web.api.describing import ASKED, documented
from web.api.reading import answered, given, read_query
from web.http import AnyRequest, principal_of, services_of

Number = Annotated[
    str,
    PathParameter(
        min_length=1, max_length=40, pattern=wire.CODE, description="Number of an order, such as `T-2026-000123`."
    ),
]


@get(
    "/api/v1/orders",
    tags=["orders"],
    operation_id="list_orders",
    summary="Your company's orders, newest first",
    response_description="One page of orders.",
    **documented(
        *ASKED,
        query=wire.OrdersAsked,
        answer=wire.OrderPage,
        key="needed",
        links={"get_order": {"number": "$response.body#/orders/0/number"}},
    ),
)
async def list_orders(request: AnyRequest) -> Response[bytes]:
    """List orders page by page: ask again with `before` set to the answer's `next`. The scope is `orders:read`."""
    asked = read_query(request, wire.OrdersAsked)
    found = await services_of(request).orders.list_orders(
        principal_of(request), limit=asked.limit, before=given(asked.before)
    )
    return answered(
        wire.OrderPage(
            orders=tuple(shaping.order_summary(each) for each in found),
            next=found[-1].number if len(found) == asked.limit else None,
        )
    )


@get(
    "/api/v1/orders/{number:str}",
    tags=["orders"],
    operation_id="get_order",
    summary="One of your company's orders",
    response_description="The order with its lines and totals.",
    **documented(400, 401, 403, 404, 503, query=wire.OrderAsked, answer=wire.OrderAnswer, key="needed"),
)
async def get_order(request: AnyRequest, number: Number) -> Response[bytes]:
    """Show an order by its number. Another company's answers as one that does not exist."""
    asked = read_query(request, wire.OrderAsked)
    found = await services_of(request).orders.find_order(principal_of(request), number)
    return answered(shaping.order(found, asked.language))


HANDLERS: list[ControllerRouterHandler] = [list_orders, get_order]
