"""How the agreement step looked that an order rests on: for the company's members, and for the legal desk."""

from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements import order_receipts
from agreements.renderings import Rendering
from agreements.service import ReceiptNotFound
from checkout.orders import OrderUnknown
from kernel.errors import NotFound
from web.http import AnyRequest, principal_of, services_of

NO_SCRIPT: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A captured page is a picture of one: nothing in it may run, load or send."""


class RenderingUnknown(NotFound):
    problem = "rendering-unknown"
    title = "There is no such rendering"


@get("/orders/{number:str}/renderings/{rendering:str}", include_in_schema=False, summary="How the step looked")
async def rendering(request: AnyRequest, number: FromPath[str], rendering: FromPath[str]) -> Response[bytes]:
    return await _of_order(request, number, rendering)


@get("/desk/orders/{number:str}/renderings/{rendering:str}", include_in_schema=False, summary="How their step looked")
async def desk_rendering(request: AnyRequest, number: FromPath[str], rendering: FromPath[str]) -> Response[bytes]:
    return await _of_order(request, number, rendering)


HANDLERS: list[ControllerRouterHandler] = [rendering, desk_rendering]


async def _of_order(request: AnyRequest, number: str, name: str) -> Response[bytes]:
    """:raises OrderUnknown: when there is no such order, or it is another company's
    :raises RenderingUnknown: when none of this name was captured of its template
    """
    services, principal = services_of(request), principal_of(request)
    order = await services.orders.find_order(principal, number)
    async with services.db.begin(principal.db_scope()) as session:
        try:
            receipt = await services.agreements.receipt(session, order.id)
        except ReceiptNotFound as error:
            raise OrderUnknown("There is no such order.") from error
    found = services.renderings.read(order_receipts.page_of(receipt)[0], name)
    if found is None:
        raise RenderingUnknown("No rendering of this name was captured of the step's template.")
    return served(found)


def served(found: tuple[Rendering, bytes]) -> Response[bytes]:
    """A captured picture or page, to be looked at and to do nothing."""
    kept, content = found
    return Response(
        content,
        media_type=kept.media_type,
        headers={"content-security-policy": NO_SCRIPT, "cache-control": "private, no-store"},
    )
