"""Money of an order we do not know, given back the way it came: typed, checked, then sent."""

import uuid
from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout.model import Liability
from checkout.refunds import NOTE_LONGEST, LiabilityUnknown, NothingToRefund, PaymentDisputed
from web.desk.fields import Typed
from web.desk.words import Words
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.request_ids import request_id_of
from web.sentences import sentence


@get("/desk/money/cases/{case:uuid}", include_in_schema=False, summary="Money of an order we do not know")
async def case_form(request: AnyRequest, case: FromPath[uuid.UUID]) -> Html:
    return _show(request, await _case(request, case), Typed(Form([]), locale_of(request)))


@post("/desk/money/cases/{case:uuid}", include_in_schema=False, summary="Give money of an order we do not know back")
async def repayment(request: AnyRequest, case: FromPath[uuid.UUID]) -> Html:
    services = services_of(request)
    owed = await _case(request, case)
    typed = Typed(await read_form(request), locale_of(request))
    note = typed.text("note", required=True, most=NOTE_LONGEST)
    if typed.errors or typed.form.get("step") != "send":
        return _show(request, owed, typed, checking=not typed.errors and typed.form.get("step") == "check")
    try:
        await services.payments.refunds.repay(
            principal_of(request), owed.id, request_id=request_id_of(typed.form), note=note
        )
    except (NothingToRefund, PaymentDisputed) as error:
        return _show(request, owed, typed, refusal=sentence(error, typed.locale), status=409)
    return redirect("/desk/money")


HANDLERS: Final[list[ControllerRouterHandler]] = [case_form, repayment]


async def _case(request: AnyRequest, case_id: uuid.UUID) -> Liability:
    """:raises LiabilityUnknown: when there is no such case, or it is of an order, whose page gives it back"""
    case = await services_of(request).payments.refunds.case_of_no_order(case_id)
    if case is None:
        raise LiabilityUnknown("There is no such case.")
    return case


def _show(
    request: AnyRequest, case: Liability, typed: Typed, *, checking: bool = False, refusal: str = "", status: int = 200
) -> Html:
    return page(
        request,
        "desk/unknown_money.html",
        status=422 if typed.errors else status,
        case=case,
        checking=checking,
        refusal=refusal,
        errors=typed.errors,
        note=typed.form.get("note"),
        request_id=request_id_of(typed.form),
        words=Words(typed.locale),
    )
