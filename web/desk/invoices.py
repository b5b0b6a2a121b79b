"""Orders on terms at the desk: what waits for release, what is owed and since when, and what is done about it."""

import uuid
from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout import terms_store
from checkout.credit_notes import CreditTooLarge, CreditWish, NothingToCredit
from checkout.invoicing import LISTED_MOST, InvoiceNotOpen, NotReleasable
from checkout.order_files import OrderFile
from checkout.states import State
from checkout.terms_model import Invoice, InvoiceState
from kernel.db import for_staff
from kernel.ids import new_id
from kernel.money import MalformedDecimal, Money
from web.access import Access, allows
from web.desk.fields import Typed
from web.desk.words import Words
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import sentence

NOTE_LONGEST: Final = 500


@get("/desk/invoices", include_in_schema=False, summary="What waits for release, and what is owed")
async def invoices_page(request: AnyRequest) -> Html:
    services = services_of(request)
    async with services.db.reading(for_staff()) as session:
        waiting = await terms_store.list_waiting_for_release(session, limit=LISTED_MOST)
        open_ = await terms_store.list_open_invoices(session, limit=LISTED_MOST)
        cash = await terms_store.list_cash_balances(session)
    return page(
        request,
        "desk/invoices.html",
        waiting=waiting,
        invoices=open_,
        cash=cash,
        now=services.clock.now(),
        finance=allows(Access.FINANCE, principal_of(request)),
        words=Words(locale_of(request)),
    )


@post("/desk/orders/{number:str}/release", include_in_schema=False, summary="Release an order on terms")
async def release(request: AnyRequest, number: FromPath[str]) -> Html:
    """The goods leave: they are sold, and the invoice is made and sent."""
    try:
        await services_of(request).payments.invoices.release(principal_of(request), number)
    except NotReleasable as error:
        return await _show(request, number, refusal=sentence(error, locale_of(request)), status=409)
    return redirect(f"/desk/orders/{number}/invoice")


@get("/desk/orders/{number:str}/invoice", include_in_schema=False, summary="The invoice of an order")
async def invoice_page(request: AnyRequest, number: FromPath[str]) -> Html:
    return await _show(request, number)


@post("/desk/orders/{number:str}/invoice", include_in_schema=False, summary="Say what became of an invoice")
async def decide(request: AnyRequest, number: FromPath[str]) -> Html:
    """That it was paid past Stripe, that what is due will not come, or that a part or all of it is credited."""
    services = services_of(request)
    typed = Typed(await read_form(request), locale_of(request))
    action = typed.choice("action", ("paid", "write_off", "credit", "cancel"))
    reason = typed.text("reason", required=action != "paid", most=NOTE_LONGEST)
    wish = None
    if action in {"credit", "cancel"}:
        wish = await _wish(request, number, typed, reason)
    if typed.errors:
        return await _show(request, number, typed=typed, status=422)
    try:
        if wish is not None:
            await services.payments.credit_notes.credit(principal_of(request), number, wish)
        elif action == "paid":
            await services.payments.invoices.note_paid_elsewhere(principal_of(request), number)
        else:
            await services.payments.invoices.write_off(principal_of(request), number, reason=reason)
    except (InvoiceNotOpen, NothingToCredit, CreditTooLarge) as error:
        return await _show(request, number, refusal=sentence(error, typed.locale), status=409)
    return redirect(f"/desk/orders/{number}/invoice")


HANDLERS: Final[list[ControllerRouterHandler]] = [invoices_page, release, invoice_page, decide]


async def _show(
    request: AnyRequest, number: str, *, typed: Typed | None = None, refusal: str = "", status: int = 200
) -> Html:
    services = services_of(request)
    file: OrderFile = await services.order_files.open(number)
    invoice, receipts = await services.payments.invoices.of_order(principal_of(request), number)
    typed = typed or Typed(Form([]), locale_of(request))
    return page(
        request,
        "desk/invoice.html",
        status=status,
        order=file.order,
        company=file.company,
        invoice=invoice,
        receipts=receipts,
        notes=await services.payments.credit_notes.of_order(principal_of(request), number),
        creditable=invoice is not None
        and invoice.state in {InvoiceState.OPEN, InvoiceState.PAID}
        and file.order.state in {State.ON_TERMS, State.PAID},
        request_id=typed.form.get("request_id") or new_id(),
        late=_late(request, invoice),
        decidable=invoice is not None and invoice.state is InvoiceState.OPEN,
        finance=allows(Access.FINANCE, principal_of(request)),
        values=typed.form.as_dict(),
        errors=typed.errors,
        refusal=refusal,
        words=Words(typed.locale),
    )


async def _wish(request: AnyRequest, number: str, typed: Typed, reason: str) -> CreditWish | None:
    """What is to be credited; None where something is wrong, which *typed* says then."""
    try:
        request_id = uuid.UUID(typed.form.get("request_id"))
    except ValueError:
        request_id = new_id()
    if typed.form.get("action") == "cancel":
        return CreditWish(request_id=request_id, note=reason)
    order = (await services_of(request).order_files.open(number)).order
    amount = typed.decimal("amount", required=True, positive=True)
    if amount is None:
        return None
    try:
        return CreditWish(request_id=request_id, note=reason, amount=Money.parse(amount, order.currency))
    except MalformedDecimal:
        typed.refuse("amount", "too_fine", currency=order.currency)
        return None


def _late(request: AnyRequest, invoice: Invoice | None) -> bool:
    if invoice is None or invoice.due_at is None or invoice.state is not InvoiceState.OPEN:
        return False
    return invoice.due_at < services_of(request).clock.now()
