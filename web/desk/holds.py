"""Amounts held on a card: taken, or let go with the order cancelled."""

from typing import Final

from litestar import post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout.holds import NothingHeld
from checkout.payments import OrderNotCancellable
from checkout.stripe_gateway import StripeUnavailable
from web.desk.orders import show_order
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.pages import redirect
from web.sentences import sentence


@post("/desk/orders/{number:str}/capture", include_in_schema=False, summary="Take the amount that is held")
async def capture(request: AnyRequest, number: FromPath[str]) -> Html:
    try:
        await services_of(request).payments.capture(principal_of(request), number)
    except (NothingHeld, StripeUnavailable) as error:
        return await show_order(request, number, refusal=sentence(error, locale_of(request)), status=error.status)
    return redirect(f"/desk/orders/{number}")


@post("/desk/orders/{number:str}/hold-release", include_in_schema=False, summary="Let the held amount go and cancel")
async def release(request: AnyRequest, number: FromPath[str]) -> Html:
    try:
        await services_of(request).payments.cancel(principal_of(request), number)
    except OrderNotCancellable as error:
        return await show_order(request, number, refusal=sentence(error, locale_of(request)), status=error.status)
    return redirect(f"/desk/orders/{number}")


HANDLERS: Final[list[ControllerRouterHandler]] = [capture, release]
