"""What paying later asks of Stripe: Invoices, what was paid on them, cash balances and Credit Notes."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

import msgspec

from checkout.charging import from_stripe
from checkout.model import CallStep
from checkout.stripe_gateway import Answer, StripeGateway, StripeUnavailable
from kernel.failpoints import Failpoint
from kernel.money import Money

PAGE: Final = 100
PAGES_MOST: Final = 1000

RETRIEVE_INVOICE: Final = Failpoint("checkout.stripe.retrieve_invoice", call=True)
LIST_INVOICES: Final = Failpoint("checkout.stripe.list_invoices", call=True)
LIST_PAYMENTS: Final = Failpoint("checkout.stripe.list_invoice_payments", call=True)
LIST_CASH: Final = Failpoint("checkout.stripe.list_cash", call=True)
LIST_CREDIT_NOTES: Final = Failpoint("checkout.stripe.list_credit_notes", call=True)

_Send: TypeAlias = Callable[[Any, str, dict[str, Any], dict[str, Any]], Any]
_List: TypeAlias = Callable[..., Any]
"""Of Stripe's services and `params`."""
_Seen = TypeVar("_Seen")

_CALLS: Final[dict[CallStep, tuple[Failpoint, _Send]]] = {
    CallStep.CREATE_INVOICE: (
        Failpoint("checkout.stripe.create_invoice", call=True),
        lambda v1, _id, params, options: v1.invoices.create_async(params, options),
    ),
    CallStep.ADD_INVOICE_ITEM: (
        Failpoint("checkout.stripe.add_invoice_item", call=True),
        lambda v1, _id, params, options: v1.invoice_items.create_async(params, options),
    ),
    CallStep.FINALIZE_INVOICE: (
        Failpoint("checkout.stripe.finalize_invoice", call=True),
        lambda v1, at, params, options: v1.invoices.finalize_invoice_async(at, params, options),
    ),
    CallStep.SEND_INVOICE: (
        Failpoint("checkout.stripe.send_invoice", call=True),
        lambda v1, at, params, options: v1.invoices.send_invoice_async(at, params, options),
    ),
    CallStep.MARK_UNCOLLECTIBLE: (
        Failpoint("checkout.stripe.mark_uncollectible", call=True),
        lambda v1, at, params, options: v1.invoices.mark_uncollectible_async(at, params, options),
    ),
    CallStep.PAY_OUT_OF_BAND: (
        Failpoint("checkout.stripe.pay_out_of_band", call=True),
        lambda v1, at, params, options: v1.invoices.pay_async(at, params, options),
    ),
    CallStep.CREATE_CREDIT_NOTE: (
        Failpoint("checkout.stripe.create_credit_note", call=True),
        lambda v1, _id, params, options: v1.credit_notes.create_async(params, options),
    ),
}


class InvoiceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An Invoice as Stripe has it now. *reference*: our id in its metadata; None for one that is not ours."""

    id: str
    status: str
    total: Money
    remaining: Money
    items: int
    number: str | None
    due_at: int | None
    hosted_url: str | None
    pdf_url: str | None
    reference: str | None
    customer_id: str | None
    created_at: int


class PaymentSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An InvoicePayment that is paid. *payment_intent_id* None: it was paid elsewhere."""

    id: str
    amount: Money
    payment_intent_id: str | None


class CashSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of a Customer's cash balance. *net* is less than nothing when money left it."""

    id: str
    kind: str
    net: Money
    payment_intent_id: str | None
    moved_at: int


class CreditNoteSeen(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    amount: Money
    number: str
    pdf_url: str
    invoice_id: str
    reference: str | None
    created_at: int


class InvoiceGateway:
    """Every write is one of `_CALLS`, sent once with our stored key; reads raise StripeUnavailable."""

    def __init__(self, gateway: StripeGateway) -> None:
        self._gateway = gateway

    async def call(self, step: CallStep, request: dict[str, Any], *, key: str) -> Answer:
        """Send a stored *request*, `{"id", "params"}`; never raises for what Stripe or the network does."""
        point, send = _CALLS[step]
        options = {"idempotency_key": key}
        return await self._gateway.write(point, lambda v1: send(v1, request.get("id", ""), request["params"], options))

    async def retrieve_invoice(self, invoice_id: str) -> InvoiceSeen | None:
        """None when Stripe knows none of that id."""
        data = await self._gateway.read(RETRIEVE_INVOICE, lambda v1: v1.invoices.retrieve_async(invoice_id))
        return None if data is None else _understood(invoice_of, data)

    async def list_invoices_of(self, customer_id: str) -> list[InvoiceSeen]:
        found = await self._list(
            LIST_INVOICES, lambda v1, params: v1.invoices.list_async(params), {"customer": customer_id}
        )
        return [_understood(invoice_of, data) for data in found]

    async def list_invoices(self, *, since: datetime, until: datetime) -> list[InvoiceSeen]:
        created = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        found = await self._list(LIST_INVOICES, lambda v1, params: v1.invoices.list_async(params), {"created": created})
        return [_understood(invoice_of, data) for data in found]

    async def list_payments(self, invoice_id: str) -> tuple[list[PaymentSeen], frozenset[str]]:
        """What was paid on an Invoice, and every PaymentIntent of it."""
        found = await self._list(
            LIST_PAYMENTS, lambda v1, params: v1.invoice_payments.list_async(params), {"invoice": invoice_id}
        )
        paid = [_understood(_payment_of, data) for data in found if data["status"] == "paid"]
        return paid, frozenset(intent for data in found if (intent := _id_of(data["payment"].get("payment_intent"))))

    async def list_cash(self, customer_id: str) -> list[CashSeen]:
        """Every movement of a Customer's cash balance, oldest first."""
        found = await self._list(
            LIST_CASH, lambda v1, params: v1.customers.cash_balance_transactions.list_async(customer_id, params), {}
        )
        return [_understood(_cash_of, data) for data in reversed(found)]

    async def list_credit_notes_of(self, invoice_id: str) -> list[CreditNoteSeen]:
        return await self._credit_notes({"invoice": invoice_id})

    async def list_credit_notes(self, *, since: datetime, until: datetime) -> list[CreditNoteSeen]:
        return await self._credit_notes({"created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())}})

    async def _credit_notes(self, filters: dict[str, Any]) -> list[CreditNoteSeen]:
        found = await self._list(LIST_CREDIT_NOTES, lambda v1, params: v1.credit_notes.list_async(params), filters)
        return [_understood(credit_note_of, data) for data in found]

    async def _list(self, point: Failpoint, call: _List, filters: dict[str, Any]) -> list[dict[str, Any]]:
        """Every page, newest first."""
        params, found = {**filters, "limit": PAGE}, []
        for _ in range(PAGES_MOST):
            page = await self._gateway.read(point, partial(call, params=dict(params)))
            if page is None:
                return []
            found += page["data"]
            if not page["has_more"]:
                return found
            params["starting_after"] = found[-1]["id"]
        raise StripeUnavailable("There is too much to look through.")


def invoice_of(data: dict[str, Any]) -> InvoiceSeen:
    """:raises msgspec.ValidationError: when it lacks what every Invoice has"""
    raw = msgspec.convert(data, _RawInvoice)
    return InvoiceSeen(
        id=raw.id,
        status=raw.status or "",
        total=from_stripe(raw.total, raw.currency),
        remaining=from_stripe(raw.amount_remaining, raw.currency),
        items=len(raw.lines["data"]),
        number=raw.number,
        due_at=raw.due_date,
        hosted_url=raw.hosted_invoice_url,
        pdf_url=raw.invoice_pdf,
        reference=(raw.metadata or {}).get("invoice_id"),
        customer_id=_id_of(raw.customer),
        created_at=raw.created,
    )


def credit_note_of(data: dict[str, Any]) -> CreditNoteSeen:
    """:raises msgspec.ValidationError: when it lacks what every Credit Note has"""
    raw = msgspec.convert(data, _RawCreditNote)
    return CreditNoteSeen(
        id=raw.id,
        status=raw.status,
        amount=from_stripe(raw.amount, raw.currency),
        number=raw.number,
        pdf_url=raw.pdf,
        invoice_id=_id_of(raw.invoice) or "",
        reference=(raw.metadata or {}).get("credit_note_id"),
        created_at=raw.created,
    )


class _RawInvoice(msgspec.Struct):
    id: str
    total: int
    amount_remaining: int
    currency: str
    created: int
    lines: dict[str, Any]
    status: str | None = None
    number: str | None = None
    due_date: int | None = None
    hosted_invoice_url: str | None = None
    invoice_pdf: str | None = None
    metadata: dict[str, str] | None = None
    customer: str | dict[str, Any] | None = None


class _RawCreditNote(msgspec.Struct):
    id: str
    status: str
    amount: int
    currency: str
    created: int
    number: str
    pdf: str
    invoice: str | dict[str, Any]
    metadata: dict[str, str] | None = None


def _payment_of(data: dict[str, Any]) -> PaymentSeen:
    return PaymentSeen(
        id=str(data["id"]),
        amount=from_stripe(int(data["amount_paid"] or 0), str(data["currency"])),
        payment_intent_id=_id_of(data["payment"].get("payment_intent")),
    )


def _cash_of(data: dict[str, Any]) -> CashSeen:
    detail = data.get("applied_to_payment") or data.get("unapplied_from_payment") or {}
    return CashSeen(
        id=str(data["id"]),
        kind=str(data["type"]),
        net=from_stripe(int(data["net_amount"]), str(data["currency"])),
        payment_intent_id=_id_of(detail.get("payment_intent")),
        moved_at=int(data["created"]),
    )


def _id_of(found: object) -> str | None:
    """An id, or the id of what was expanded."""
    if isinstance(found, dict):
        return str(found["id"])
    return cast("str | None", found)


def _understood(read: Callable[[dict[str, Any]], _Seen], data: dict[str, Any]) -> _Seen:
    try:
        return read(data)
    except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
        raise StripeUnavailable("What Stripe answered could not be read; we will try again.") from error
