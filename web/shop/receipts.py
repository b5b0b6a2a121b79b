"""The evidence of an order to take away: its bundle and its sealed PDF, for the company's members and for staff."""

from typing import Any, Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements import bundles
from agreements.service import ReceiptNotFound
from checkout.orders import OrderUnknown
from web.edge import is_head
from web.http import AnyRequest, principal_of, services_of

ZIP: Final = "application/zip"
PDF: Final = "application/pdf"


@get("/orders/{number:str}/bundle.zip", include_in_schema=False, summary="The evidence of an order, to keep and verify")
async def bundle_file(request: AnyRequest, number: FromPath[str]) -> Response[bytes]:
    return await _file(request, number, ZIP)


@get("/orders/{number:str}/receipt.pdf", include_in_schema=False, summary="The receipt, sealed, to read and file")
async def receipt_pdf(request: AnyRequest, number: FromPath[str]) -> Response[bytes]:
    return await _file(request, number, PDF)


@get("/desk/orders/{number:str}/bundle.zip", include_in_schema=False, summary="The evidence of a buyer's order")
async def desk_bundle(request: AnyRequest, number: FromPath[str]) -> Response[bytes]:
    return await _file(request, number, ZIP)


HANDLERS: list[ControllerRouterHandler] = [bundle_file, receipt_pdf, desk_bundle]


async def _file(request: AnyRequest, number: str, kind: str) -> Response[bytes]:
    """Built now, and kept nowhere: what was erased since is not in it.

    :raises OrderUnknown: when there is no such order, or it is another company's
    """
    services, principal = services_of(request), principal_of(request)
    order = await services.orders.find_order(principal, number)
    name = f"bundle-{order.number}.zip" if kind == ZIP else f"receipt-{order.number}.pdf"
    headers: dict[str, Any] = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "private, no-store",
    }
    if is_head(request.scope):
        return Response(b"", media_type=kind, headers=headers)
    try:
        made = await bundles.of_order(
            services.db, principal.db_scope(), services.agreements, order.id, number=order.number
        )
    except ReceiptNotFound as error:
        raise OrderUnknown("There is no such order.") from error
    return Response(made.content if kind == ZIP else made.pdf, media_type=kind, headers=headers)
