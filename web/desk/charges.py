"""A charge of a kept card that nobody answered: look again at Stripe, or say that the card was not charged."""

from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout.card_charges import NOTE_LONGEST, ChargeNotOpen, uncertain
from checkout.model import PaymentAttempt
from checkout.order_files import OrderFile
from checkout.stripe_gateway import StripeUnavailable
from kernel.money import Money
from web.desk.fields import Typed
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import sentence


@get("/desk/orders/{number:str}/charge", include_in_schema=False, summary="A charge nobody answered")
async def charge_form(request: AnyRequest, number: FromPath[str]) -> Html:
    file = await services_of(request).order_files.open(number)
    return _show(request, file, Typed(Form([]), locale_of(request)))


@post("/desk/orders/{number:str}/charge", include_in_schema=False, summary="Decide on a charge nobody answered")
async def decide(request: AnyRequest, number: FromPath[str]) -> Html:
    """Look again, which charges nothing; or, with a reason, let the order be paid another way."""
    services = services_of(request)
    file = await services.order_files.open(number)
    typed = Typed(await read_form(request), locale_of(request))
    attempt = _uncertain_of(file)
    if typed.form.get("step") == "look":
        try:
            if attempt is not None and (await services.payments.charges.look_up(attempt)).session_id is not None:
                await services.payments.settle(file.order.id)
                return redirect(f"/desk/orders/{number}")
        except StripeUnavailable as error:
            return _show(request, file, typed, refusal=sentence(error, typed.locale), status=503)
        return redirect(f"/desk/orders/{number}/charge")
    note = typed.text("note", required=True, most=NOTE_LONGEST)
    if typed.errors:
        return _show(request, file, typed)
    try:
        await services.payments.charges.give_up(principal_of(request), file.order.id, note=note)
    except ChargeNotOpen as error:
        return _show(request, file, typed, refusal=sentence(error, typed.locale), status=409)
    return redirect(f"/desk/orders/{number}")


HANDLERS: Final[list[ControllerRouterHandler]] = [charge_form, decide]


def _show(request: AnyRequest, file: OrderFile, typed: Typed, *, refusal: str = "", status: int = 200) -> Html:
    attempt = _uncertain_of(file)
    return page(
        request,
        "desk/charge.html",
        status=422 if typed.errors else status,
        order=file.order,
        attempt=attempt,
        amount=None if attempt is None else Money(attempt.amount_minor, attempt.currency),
        refusal=refusal,
        errors=typed.errors,
        values={"note": typed.form.get("note")},
    )


def _uncertain_of(file: OrderFile) -> PaymentAttempt | None:
    return next((each.attempt for each in file.attempts if uncertain(each.attempt)), None)
