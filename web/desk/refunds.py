"""Giving money back: a part, a whole paid order, or money that fits no order. Typed, checked, then sent."""

import uuid
from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout.charging import TotalNotChargeable
from checkout.model import Liability, RefundReason
from checkout.order_files import OrderFile
from checkout.parts import parts_left
from checkout.refunds import (
    NOTE_LONGEST,
    LiabilityUnknown,
    NothingToRefund,
    PaymentDisputed,
    RefundTooLarge,
    Wish,
)
from checkout.states import State
from kernel.money import MalformedDecimal, Money
from web.desk.fields import Typed
from web.desk.words import Words
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.request_ids import request_id_of
from web.sentences import sentence

REASONS: Final = (
    RefundReason.GOODS_RETURNED,
    RefundReason.NOT_DELIVERED,
    RefundReason.DAMAGED,
    RefundReason.PRICE_REDUCED,
    RefundReason.OTHER,
)
"""That a clerk chooses from; the others are said by what is done."""
REFUSALS: Final = (NothingToRefund, PaymentDisputed, RefundTooLarge, TotalNotChargeable)


@get("/desk/orders/{number:str}/refund", include_in_schema=False, summary="Give money of an order back")
async def refund_form(request: AnyRequest, number: FromPath[str]) -> Html:
    file = await services_of(request).order_files.open(number)
    return _show(request, file, Typed(Form([]), locale_of(request)))


@post("/desk/orders/{number:str}/refund", include_in_schema=False, summary="Give money of an order back")
async def refund(request: AnyRequest, number: FromPath[str]) -> Html:
    """A part of what was paid, or nothing but what is wrong with the form."""
    services = services_of(request)
    file = await services.order_files.open(number)
    typed = Typed(await read_form(request), locale_of(request))
    amount = _amount(typed, file.order.currency)
    reason = typed.choice("reason", [reason.value for reason in REASONS])
    note = typed.text("note", required=True, most=NOTE_LONGEST)
    if amount is None or typed.errors or typed.form.get("step") != "send":
        left = _left(file)
        if amount is not None and amount > left:
            typed.refuse("amount", "more_than_left", left=left.decimal)
        return _show(request, file, typed, amount=amount)
    wish = Wish(request_id=request_id_of(typed.form), reason=RefundReason(reason), note=note, amount=amount)
    try:
        await services.payments.refunds.refund(principal_of(request), number, wish)
    except REFUSALS as error:
        return _show(request, file, typed, refusal=sentence(error, typed.locale), status=409)
    return redirect(f"/desk/orders/{number}#refunds")


@get("/desk/orders/{number:str}/cancellation", include_in_schema=False, summary="Cancel a paid order")
async def cancellation_form(request: AnyRequest, number: FromPath[str]) -> Html:
    file = await services_of(request).order_files.open(number)
    return _show(request, file, Typed(Form([]), locale_of(request)), kind="cancel")


@post("/desk/orders/{number:str}/cancellation", include_in_schema=False, summary="Cancel a paid order")
async def cancellation(request: AnyRequest, number: FromPath[str]) -> Html:
    """All that is left of what was paid goes back, then the goods."""
    services = services_of(request)
    file = await services.order_files.open(number)
    typed = Typed(await read_form(request), locale_of(request))
    note = typed.text("note", required=True, most=NOTE_LONGEST)
    if typed.errors or typed.form.get("step") != "send":
        return _show(request, file, typed, kind="cancel", amount=_left(file))
    wish = Wish(request_id=request_id_of(typed.form), reason=RefundReason.ORDER_CANCELLED, note=note, cancels=True)
    try:
        await services.payments.refunds.refund(principal_of(request), number, wish)
    except REFUSALS as error:
        return _show(request, file, typed, kind="cancel", refusal=sentence(error, typed.locale), status=409)
    return redirect(f"/desk/orders/{number}#refunds")


@get("/desk/orders/{number:str}/cases/{case:uuid}", include_in_schema=False, summary="Money that is owed")
async def case_form(request: AnyRequest, number: FromPath[str], case: FromPath[uuid.UUID]) -> Html:
    file = await services_of(request).order_files.open(number)
    return _show(request, file, Typed(Form([]), locale_of(request)), kind="case", case=_case_of(file, case))


@post("/desk/orders/{number:str}/cases/{case:uuid}", include_in_schema=False, summary="Give owed money back")
async def repayment(request: AnyRequest, number: FromPath[str], case: FromPath[uuid.UUID]) -> Html:
    services = services_of(request)
    file = await services.order_files.open(number)
    owed = _case_of(file, case)
    typed = Typed(await read_form(request), locale_of(request))
    note = typed.text("note", required=True, most=NOTE_LONGEST)
    if typed.errors or typed.form.get("step") != "send":
        amount = owed.owed
        return _show(request, file, typed, kind="case", case=owed, amount=amount)
    try:
        await services.payments.refunds.repay(
            principal_of(request), owed.id, request_id=request_id_of(typed.form), note=note
        )
    except REFUSALS as error:
        return _show(request, file, typed, kind="case", case=owed, refusal=sentence(error, typed.locale), status=409)
    return redirect(f"/desk/orders/{number}#refunds")


HANDLERS: Final[list[ControllerRouterHandler]] = [
    refund_form,
    refund,
    cancellation_form,
    cancellation,
    case_form,
    repayment,
]


def _show(
    request: AnyRequest,
    file: OrderFile,
    typed: Typed,
    *,
    kind: str = "part",
    case: Liability | None = None,
    amount: Money | None = None,
    refusal: str = "",
    status: int = 200,
) -> Html:
    """The form; with *amount* and nothing wrong, the same to be checked before it is sent."""
    form, left = typed.form, _left(file)
    words = Words(typed.locale)
    checking = amount is not None and not typed.errors and form.get("step") == "check"
    possible = {
        "part": bool(left),
        "cancel": bool(left) and file.order.state is State.PAID,
        "case": case is not None and case.resolved_at is None and not _under_way(file, case),
    }[kind]
    return page(
        request,
        "desk/refund.html",
        status=422 if typed.errors else status,
        kind=kind,
        order=file.order,
        case=case,
        left=left,
        owed=None if case is None else case.owed,
        amount=amount,
        checking=checking,
        possible=possible,
        refusal=refusal,
        errors=typed.errors,
        values={name: form.get(name) for name in ("amount", "reason", "note")},
        reasons=[("", ""), *((reason.value, words.word(reason.value)) for reason in REASONS)],
        request_id=request_id_of(typed.form),
        words=words,
    )


def _amount(typed: Typed, currency: str) -> Money | None:
    number = typed.decimal("amount", required=True, positive=True)
    if number is None:
        return None
    try:
        return Money.parse(number, currency)
    except MalformedDecimal:
        typed.refuse("amount", "too_fine", currency=currency)
        return None


def _left(file: OrderFile) -> Money:
    """What can still be given back of the order; nothing unless it was paid."""
    nothing = Money.zero(file.order.currency)
    return nothing if file.order.paid_at is None else sum(parts_left(file.order, file.refunds, file.disputes), nothing)


def _under_way(file: OrderFile, case: Liability) -> bool:
    return any(refund.liability_id == case.id and refund.closed_at is None for refund in file.refunds)


def _case_of(file: OrderFile, case_id: uuid.UUID) -> Liability:
    """:raises LiabilityUnknown: when the order has no such case"""
    for case in file.liabilities:
        if case.id == case_id:
            return case
    raise LiabilityUnknown("There is no such case.")
