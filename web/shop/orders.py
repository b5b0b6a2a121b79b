"""Orders: what became of them, paying them, giving them up, ordering again, and the receipt of what was accepted."""

import uuid
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements import order_receipts
from agreements.model import Receipt
from agreements.verify import RECEIPT_TYPE, Check, verify_receipt
from checkout.invoicing import NotReleasable
from checkout.model import Order, RefundState, ShipTo
from checkout.orders import OrderUnknown
from checkout.payments import (
    CardDeclined,
    ConfirmationNeeded,
    OrderNotCancellable,
    OrderNotPayable,
    PaymentUnavailable,
    PaymentUncertain,
    SessionForeign,
)
from checkout.saved_cards import CardUnknown, expired
from checkout.states import FINAL, Event, State, may
from kernel.canonical import canonical_json
from kernel.errors import NotFound
from kernel.signing import Purpose
from web.countries import country_options
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import N_, sentence
from web.shop.cart import LINE_REFUSALS, stored
from web.shop.checkout import lead_to_payment
from web.why import explained, priced_again, publication_of

PAGE_ORDERS: Final = 50
LOOK_AFTER_PAYMENT: Final = frozenset({State.PAYABLE, State.PROCESSING, State.CLOSING})

STATE_WORDS: Final[dict[State, str]] = {
    State.PAYABLE: N_("waiting for payment"),
    State.PROCESSING: N_("payment on its way"),
    State.AUTHORISED: N_("payment authorised"),
    State.CLOSING: N_("being closed"),
    State.PAID: N_("paid"),
    State.ON_TERMS: N_("on account"),
    State.WRITTEN_OFF: N_("written off"),
    State.CANCELLING: N_("being cancelled"),
    State.CANCELLED: N_("cancelled"),
    State.LAPSED: N_("lapsed unpaid"),
}
"""An order's state as a person reads it."""

EVENT_WORDS: Final[dict[str, str]] = {
    Event.ACCEPT.value: N_("Accepted and ordered; the goods are reserved"),
    Event.ACCEPT_ON_TERMS.value: N_("Accepted and ordered on account; the goods are reserved"),
    Event.ACCEPT_FREE.value: N_("Accepted and ordered; nothing to pay"),
    Event.RELEASE.value: N_("Goods released, invoice made"),
    Event.MONEY_IN_PART.value: N_("A part of the invoice was paid"),
    Event.MONEY_IN_FULL.value: N_("The invoice is paid"),
    Event.WRITE_OFF.value: N_("What was due was written off"),
    Event.PAY.value: N_("Payment page opened"),
    Event.ATTEMPT_DEAD.value: N_("A payment page was closed without payment"),
    Event.COMPLETED_UNPAID.value: N_("Paid by direct debit; the bank works on it"),
    Event.ASYNC_FAILED.value: N_("The bank refused the direct debit; nothing was paid"),
    Event.AUTHORISED.value: N_("Amount reserved on your card; nothing charged yet"),
    Event.AUTHORISATION_EXPIRED.value: N_("The reserved amount was not taken and is free again"),
    Event.PAID.value: N_("Payment received"),
    Event.PAY_BY_PASSED.value: N_("The time to pay passed"),
    Event.CANCEL.value: N_("Cancellation asked for"),
    Event.CLOSED_AS_LAPSED.value: N_("Lapsed unpaid; the goods are free again"),
    Event.CLOSED_AS_CANCELLED.value: N_("Cancelled; the goods are free again"),
    Event.UNMATCHED_MONEY.value: N_("Money came that does not fit the order; we are looking at it"),
    Event.REFUND.value: N_("Money is given back"),
    Event.REFUNDED.value: N_("Everything you paid was given back; the order is cancelled"),
    Event.REFUND_FAILED.value: N_("Money we sent back did not arrive; we are looking at it"),
}
TONES: Final[dict[State, str]] = {State.PAID: "good", State.LAPSED: "bad", State.CANCELLED: "bad"}


@get("/orders", include_in_schema=False, summary="Orders of the company")
async def order_list(request: AnyRequest) -> Html:
    before = request.query_params.get("before", "")[:40] or None
    found = await services_of(request).orders.list_orders(principal_of(request), limit=PAGE_ORDERS + 1, before=before)
    orders = found[:PAGE_ORDERS]
    return page(
        request,
        "orders/list.html",
        orders=orders,
        older=orders[-1].number if len(found) > PAGE_ORDERS else None,
        words=STATE_WORDS,
        tones=TONES,
    )


@get("/orders/{number:str}", include_in_schema=False, summary="An order")
async def order_page(request: AnyRequest, number: FromPath[str]) -> Html:
    notice = request.query_params.get("payment", "")
    return await _show(request, number, notice=notice if notice in {"unavailable", "unpaid"} else "")


@get("/orders/{number:str}/prices", include_in_schema=False, summary="Why an order's lines cost what they do")
async def prices_page(request: AnyRequest, number: FromPath[str]) -> Html:
    """Each line with the trace kept with it, as far as the buyer may read it, and priced again."""
    services = services_of(request)
    order = await services.orders.find_order(principal_of(request), number)
    return page(
        request,
        "orders/why.html",
        order=order,
        lines=explained(order, locale_of(request), await priced_again(services, order)),
        publication=publication_of(services, order),
    )


@get("/orders/{number:str}/payment", include_in_schema=False, summary="Not paid yet")
async def payment_page(request: AnyRequest, number: FromPath[str]) -> Html:
    """Where the payment page's way back and the confirmation letter lead: the order, with what is left to do."""
    await services_of(request).orders.find_order(principal_of(request), number)
    return redirect(f"/orders/{number}?payment=unpaid")


@post("/orders/{number:str}/payment", include_in_schema=False, summary="Pay an order")
async def pay(request: AnyRequest, number: FromPath[str]) -> Html:
    """With a kept card at once, else at Stripe's page; there, too, when the bank wants the card's holder."""
    card = (await read_form(request)).get("card")
    if not card:
        return await lead_to_payment(request, number)
    try:
        await services_of(request).payments.pay_with_card(principal_of(request), number, _card_id(card))
    except ConfirmationNeeded:
        return await lead_to_payment(request, number)
    except OrderNotPayable:
        return redirect(f"/orders/{number}")
    except (CardDeclined, CardUnknown, PaymentUncertain, PaymentUnavailable) as error:
        return await _show(request, number, refused=sentence(error, locale_of(request)), status=error.status)
    return redirect(f"/orders/{number}")


@get("/orders/{number:str}/payment/return", include_in_schema=False, summary="After the payment")
async def paid_page(request: AnyRequest, number: FromPath[str]) -> Html:
    """The address proves nothing: Stripe is asked about the session it names, if that is this order's."""
    session_id = request.query_params.get("session_id", "")[:255]
    try:
        await services_of(request).payments.returned(principal_of(request), number, session_id)
    except SessionForeign as error:
        raise OrderUnknown("There is no such order.") from error
    return redirect(f"/orders/{number}")


@post("/orders/{number:str}/cancellation", include_in_schema=False, summary="Cancel an unpaid order")
async def cancel(request: AnyRequest, number: FromPath[str]) -> Html:
    services, principal = services_of(request), principal_of(request)
    order = await services.orders.find_order(principal, number)
    try:
        if order.state is State.ON_TERMS:
            await services.payments.invoices.cancel_unreleased(principal, number)
        else:
            await services.payments.cancel(principal, number)
    except (OrderNotCancellable, NotReleasable) as error:
        return await _show(request, number, refused=sentence(error, locale_of(request)), status=409)
    return redirect(f"/orders/{number}")


@post("/orders/{number:str}/reorder", include_in_schema=False, summary="Put an order's lines into the cart")
async def reorder(request: AnyRequest, number: FromPath[str]) -> Html:
    """What is sold no more is named; the rest is in the cart, at today's prices."""
    services = services_of(request)
    order = await services.orders.find_order(principal_of(request), number)
    principal, cookies = await stored(request)
    missing = []
    for line in order.lines:
        try:
            quantity = f"{line.quantity.normalize():f}"
            await services.carts.add(principal, sku=line.sku, quantity=quantity, unit=line.unit)
        except LINE_REFUSALS as error:
            missing.append(f"{line.sku}: {sentence(error, locale_of(request))}")
    if missing:
        return await _show(request, number, missing=missing, status=422)
    return redirect("/cart", cookies=cookies)


@get("/orders/{number:str}/receipt", include_in_schema=False, summary="What was accepted, and how to verify it")
async def receipt_page(request: AnyRequest, number: FromPath[str]) -> Html:
    order, receipt = await _receipt(request, number)
    template, locale = order_receipts.page_of(receipt)
    renderings = services_of(request).renderings.find(template, locale)
    if receipt["type"] != RECEIPT_TYPE:
        return page(
            request,
            "orders/receipt_of_several.html",
            order=order,
            said=order_receipts.about(receipt, number=order.number, locale=locale_of(request)),
            template_digest=template,
            renderings=renderings,
            checks=_checks(request, receipt),
        )
    return page(
        request,
        "orders/receipt.html",
        order=order,
        receipt=receipt,
        content=receipt["presentation"]["content"],
        template_digest=template,
        renderings=renderings,
        recorded_at=datetime.fromisoformat(receipt["acceptance"]["recorded_at"]),
        checks=_checks(request, receipt),
        ledger_keys=services_of(request).keyring.public_keys(Purpose.LEDGER),
        progress=await _progress(request, order),
    )


@get("/orders/{number:str}/receipt.json", include_in_schema=False, summary="The receipt, to keep and verify")
async def receipt_file(request: AnyRequest, number: FromPath[str]) -> Response[bytes]:
    order, receipt = await _receipt(request, number)
    return Response(
        canonical_json(receipt),
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="receipt-{order.number}.json"'},
    )


HANDLERS: list[ControllerRouterHandler] = [
    order_list,
    order_page,
    prices_page,
    payment_page,
    pay,
    paid_page,
    cancel,
    reorder,
    receipt_page,
    receipt_file,
]


async def _show(
    request: AnyRequest,
    number: str,
    *,
    notice: str = "",
    refused: str | None = None,
    missing: list[str] | None = None,
    status: int = 200,
) -> Html:
    services, principal = services_of(request), principal_of(request)
    order = await services.orders.find_order(principal, number)
    now, payable = services.clock.now(), may(order.state, Event.PAY)
    invoice, _ = await services.payments.invoices.of_order(principal, number)
    ship_to = msgspec.convert(order.ship_to, ShipTo)
    names = dict(country_options(locale_of(request)))
    return page(
        request,
        "orders/order.html",
        status=status,
        order=order,
        invoice=invoice,
        credit_notes=await services.payments.credit_notes.of_order(principal, number),
        late=invoice is not None and invoice.due_at is not None and invoice.due_at < now,
        ship_to=ship_to,
        country_name=names.get(ship_to.country, ship_to.country),
        approval=await services.approvals.of_order(principal, order.id),
        package=await services.packages.of_order(principal, order.id),
        # What a bank disputes is between it and us until it is decided; what it gave back stands with the refunds
        history=[
            step for step in await services.orders.history(principal, number) if step.event != Event.DISPUTE.value
        ],
        by_bank=await services.payments.disputes.lost_of_order(principal, number),
        refunds=[
            refund
            for refund in await services.payments.refunds.of_order(principal, number)
            if refund.state is not RefundState.REFUSED
        ],
        words=STATE_WORDS,
        event_words=EVENT_WORDS,
        tones=TONES,
        payable=payable,
        charging=payable and await services.payments.charging(principal, number),
        cards=[card for card in await services.payments.cards.list_cards(principal) if not expired(card, now)]
        if payable
        else [],
        cancellable=order.state is not State.PAID and may(order.state, Event.CANCEL),
        final=order.state in FINAL,
        notice=notice if order.state in LOOK_AFTER_PAYMENT else "",
        refused=refused,
        missing=missing or [],
    )


def _card_id(text: str) -> uuid.UUID:
    """:raises CardUnknown: for what is no id"""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise CardUnknown("This card is not kept any more.") from None


async def _receipt(request: AnyRequest, number: str) -> tuple[Order, dict[str, Any]]:
    """:raises OrderUnknown: when there is no such order, or it is another company's"""
    services, principal = services_of(request), principal_of(request)
    order = await services.orders.find_order(principal, number)
    async with services.db.begin(principal.db_scope()) as session:
        try:
            return order, await services.agreements.receipt(session, order.id)
        except NotFound as error:
            raise OrderUnknown("There is no such order.") from error


async def _progress(request: AnyRequest, order: Order) -> Receipt | None:
    services = services_of(request)
    async with services.db.reading(principal_of(request).db_scope()) as session:
        return await services.receipt_post.progress(session, order.id)


def _checks(request: AnyRequest, receipt: dict[str, Any]) -> tuple[Check, ...]:
    """What verify.py says of the receipt, given our own published key: a reader checks again with theirs."""
    sealed_by = receipt["seal"]["key_id"]
    keys = services_of(request).keyring.public_keys(Purpose.LEDGER)
    key = next((each.public_key for each in keys if each.id == sealed_by), None)
    return verify_receipt(canonical_json(receipt), key)
