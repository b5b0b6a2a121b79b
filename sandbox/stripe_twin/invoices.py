"""Invoices that are sent to be paid: drafts, items, finalizing, sending, paying by card, out of band or not at all.

An Invoice here has one PaymentIntent, made when it is finalized, and InvoicePayments that say what was paid with what.
"""

from typing import Final

from sandbox.stripe_twin import payments
from sandbox.stripe_twin.account import Account, merged_metadata, only, page, random_id
from sandbox.stripe_twin.cards import CardEntry, card_of
from sandbox.stripe_twin.errors import JsonObject, StripeError, invalid, not_implemented
from sandbox.stripe_twin.sessions import Attempt
from sandbox.stripe_twin.store import Record

DAY: Final = 24 * 60 * 60
CUSTOM_FIELDS_MOST: Final = 4
CUSTOM_FIELD_LONGEST: Final = (40, 140)
_SUPPORTED: Final = (
    "auto_advance",
    "collection_method",
    "currency",
    "custom_fields",
    "customer",
    "days_until_due",
    "description",
    "due_date",
    "footer",
    "metadata",
    "payment_settings",
    "pending_invoice_items_behavior",
)
_PAYABLE: Final = {"open", "uncollectible"}


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, _SUPPORTED, "Invoices.create")
    if params.get("collection_method", "charge_automatically") != "send_invoice":
        raise not_implemented("Invoices that are charged automatically")
    if ("days_until_due" in params) == ("due_date" in params):
        raise invalid("Give either days_until_due or due_date with send_invoice.", param="days_until_due")
    if params.get("pending_invoice_items_behavior", "exclude") != "exclude":
        raise not_implemented("pending invoice items")
    if "customer" not in params:
        raise invalid("Missing required param: customer.", code="parameter_missing", param="customer")
    customer = account.load("customer", params["customer"], param="customer", in_path=False)
    payments.check_currency(params.get("currency", "eur"), param="currency")
    now = account.now()
    invoice = account.create(
        "invoice",
        private={"days_until_due": params.get("days_until_due"), "allowed": _allowed(params)},
        auto_advance=params.get("auto_advance", False),
        billing_reason="manual",
        collection_method="send_invoice",
        currency=params.get("currency", "eur"),
        custom_fields=_custom_fields(params.get("custom_fields")),
        customer=customer.id,
        customer_email=customer.body["email"],
        customer_name=customer.body["name"],
        customer_tax_exempt="none",
        description=params.get("description"),
        due_date=params.get("due_date"),
        footer=params.get("footer"),
        metadata=merged_metadata(None, params.get("metadata")),
        period_end=now,
        period_start=now,
        status="draft",
    )
    invoice.body["payment_settings"].update(
        payment_method_types=_allowed(params) or None,
        payment_method_options=_options(params),
    )
    invoice.body["lines"]["url"] = f"/v1/invoices/{invoice.id}/lines"
    account.save(invoice)
    account.emit("invoice.created", invoice)
    return invoice.body


def add_item(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("amount", "currency", "customer", "description", "invoice", "metadata"), "InvoiceItems.create")
    if "invoice" not in params or "amount" not in params:
        raise not_implemented("invoice items without an invoice and an amount")
    invoice = account.load("invoice", params["invoice"], param="invoice", in_path=False)
    if invoice.body["status"] != "draft":
        raise invalid(f"The invoice {invoice.id} is no longer editable: it is {invoice.body['status']}.")
    if params.get("currency", invoice.body["currency"]) != invoice.body["currency"]:
        raise invalid("The currency of the item must be the invoice's.", param="currency")
    if params.get("customer", invoice.body["customer"]) != invoice.body["customer"]:
        raise invalid("The invoice belongs to another customer.", param="customer")
    now, amount = account.now(), params["amount"]
    item = account.create(
        "invoiceitem",
        amount=amount,
        currency=invoice.body["currency"],
        customer=invoice.body["customer"],
        date=now,
        description=params.get("description"),
        discountable=True,
        discounts=[],
        invoice=invoice.id,
        metadata=merged_metadata(None, params.get("metadata")),
        period={"start": now, "end": now},
        quantity=1,
        quantity_decimal="1",
    )
    line = account.create(
        "line_item",
        amount=amount,
        currency=invoice.body["currency"],
        description=params.get("description"),
        discountable=True,
        invoice=invoice.id,
        metadata=item.body["metadata"],
        parent={
            "type": "invoice_item_details",
            "subscription_item_details": None,
            "invoice_item_details": {
                "invoice_item": item.id,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
        },
        period={"start": now, "end": now},
        quantity=1,
        subtotal=amount,
    )
    invoice.body["lines"]["data"].append(line.body)
    total = sum(each["amount"] for each in invoice.body["lines"]["data"])
    invoice.body.update(
        subtotal=total,
        subtotal_excluding_tax=total,
        total=total,
        total_excluding_tax=total,
        amount_due=total,
        amount_remaining=total,
    )
    account.save(invoice)
    account.emit("invoiceitem.created", item)
    account.emit("invoice.updated", invoice)
    return item.body


def finalize(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("auto_advance",), "Invoices.finalizeInvoice")
    invoice = account.load("invoice", ids[0], param="invoice")
    if invoice.body["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    _finalize(account, invoice)
    return invoice.body


def send(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    """Stripe mails the Invoice, which it finalizes before where that is not done."""
    only(params, (), "Invoices.sendInvoice")
    invoice = account.load("invoice", ids[0], param="invoice")
    if invoice.body["status"] == "draft":
        _finalize(account, invoice)
    if invoice.body["status"] not in {"open", "paid"}:
        raise invalid(f"You can't send an invoice that is {invoice.body['status']}.")
    account.emit("invoice.sent", invoice)
    return invoice.body


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Invoices.retrieve")
    return account.load("invoice", ids[0], param="invoice").body


def list_invoices(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("customer", "status", "collection_method")
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "Invoices.list")
    return page(account, "invoice", "/v1/invoices", params, equal=names)


def list_lines(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("limit",), "Invoices.listLineItems")
    lines: JsonObject = account.load("invoice", ids[0], param="invoice").body["lines"]
    return lines


def pay_out_of_band(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("paid_out_of_band",), "Invoices.pay")
    if not params.get("paid_out_of_band"):
        raise not_implemented("Invoices.pay but for paid_out_of_band")
    invoice = account.load("invoice", ids[0], param="invoice")
    _refuse_unless_payable(invoice, "pay")
    intent = account.load("payment_intent", invoice.private["intent"], param="payment_intent")
    amount = invoice.body["amount_remaining"]
    if intent.body["status"] != "requires_action" or intent.private.get("authentication") is None:
        payments.cancel_intent(account, intent, reason="void_invoice")  # one that a bank is asked about goes on
    record = {"type": "payment_record", "payment_record": random_id("pr_", 24)}
    receipt = _payment(account, invoice, record, requested=amount, default=False)
    count_in(account, invoice, receipt, amount)
    return invoice.body


def void(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Invoices.voidInvoice")
    invoice = account.load("invoice", ids[0], param="invoice")
    _refuse_unless_payable(invoice, "void")
    if invoice.body["amount_paid"]:
        raise invalid("You can't void an invoice that is partly paid. Use a credit note instead.")
    invoice.body["status"] = "void"
    invoice.body["status_transitions"]["voided_at"] = account.now()
    account.save(invoice)
    payments.cancel_intent(
        account, account.load("payment_intent", invoice.private["intent"], param="intent"), reason="void_invoice"
    )
    account.emit("invoice.voided", invoice)
    return invoice.body


def mark_uncollectible(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Invoices.markUncollectible")
    invoice = account.load("invoice", ids[0], param="invoice")
    if invoice.body["status"] != "open":
        raise invalid(f"You can't mark an invoice that is {invoice.body['status']} uncollectible.")
    invoice.body["status"] = "uncollectible"
    invoice.body["status_transitions"]["marked_uncollectible_at"] = account.now()
    account.save(invoice)
    account.emit("invoice.marked_uncollectible", invoice)
    return invoice.body


def delete(account: Account, ids: tuple[str, ...], _params: JsonObject) -> JsonObject:
    invoice = account.load("invoice", ids[0], param="invoice")
    if invoice.body["status"] != "draft":
        raise invalid("You can only delete draft invoices.")
    invoice.private["deleted"] = True
    account.save(invoice)
    account.emit("invoice.deleted", invoice)
    return {"id": invoice.id, "object": "invoice", "deleted": True}


def list_payments(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("invoice", "status")
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "InvoicePayments.list")
    return page(account, "invoice_payment", "/v1/invoice_payments", params, equal=names)


def retrieve_payment(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "InvoicePayments.retrieve")
    return account.load("invoice_payment", ids[0], param="invoice_payment").body


# The buyer on the hosted page


def pay_by_card(account: Account, invoice: Record, entry: CardEntry) -> Attempt:
    """The buyer presses pay on the hosted page. A decline leaves the Invoice open for another card."""
    if invoice.body["status"] not in _PAYABLE:
        return Attempt("closed")
    intent = account.load("payment_intent", invoice.private["intent"], param="intent")
    if invoice.body["amount_paid"]:
        raise not_implemented("the rest of a partly paid invoice by card; transfer it")
    intent.body["amount"] = invoice.body["amount_remaining"]
    try:
        payments.confirm(account, intent, entry, return_url=invoice.body["hosted_invoice_url"])
    except StripeError as error:
        account.emit("invoice.payment_failed", invoice)
        return Attempt("declined", None, error.message, error.body["error"].get("decline_code"))
    return _after_confirm(account, invoice, intent)


def finish_authentication(account: Account, invoice: Record, intent: Record, *, passed: bool) -> Attempt:
    """The buyer comes back from the bank, perhaps to an Invoice that is paid by now."""
    try:
        payments.authenticate(account, intent, card_of(intent.private["card"]), passed=passed)
    except StripeError as error:
        account.emit("invoice.payment_failed", invoice)
        return Attempt("declined", None, error.message, error.body["error"].get("decline_code"))
    return _after_confirm(account, invoice, intent)


def count_in(account: Account, invoice: Record, receipt: Record, amount: int) -> None:
    """*amount* is paid by *receipt*, an InvoicePayment; what was not due is overpaid."""
    receipt.body.update(amount_paid=amount, status="paid")
    receipt.body["status_transitions"]["paid_at"] = account.now()
    account.save(receipt)
    account.emit("invoice_payment.paid", receipt)
    reduce_remaining(account, invoice, amount, paid=True)


def reduce_remaining(account: Account, invoice: Record, amount: int, *, paid: bool) -> None:
    """By a payment or, not *paid*, by a credit note; events say what the Invoice is then."""
    was_paid = invoice.body["status"] == "paid"
    due = min(amount, invoice.body["amount_remaining"])
    invoice.body["amount_remaining"] -= due
    if paid:
        invoice.body.update(attempted=True, amount_paid=invoice.body["amount_paid"] + due)
        invoice.body["amount_overpaid"] += amount - due
    if invoice.body["amount_remaining"] == 0:
        invoice.body["status"] = "paid"
        invoice.body["status_transitions"]["paid_at"] = invoice.body["status_transitions"]["paid_at"] or account.now()
    account.save(invoice)
    account.emit("invoice.updated", invoice)
    if invoice.body["status"] == "paid" and not was_paid:
        account.emit("invoice.paid", invoice)
        if paid:
            account.emit("invoice.payment_succeeded", invoice)
    if amount > due:
        account.emit("invoice.overpaid", invoice)


def say_overdue(account: Account, invoice: Record) -> None:
    invoice.private["overdue"] = True
    account.save(invoice)
    account.emit("invoice.overdue", invoice)


# Helpers, in call order


def _allowed(params: JsonObject) -> list[str]:
    types: list[str] = params.get("payment_settings", {}).get("payment_method_types") or ["card"]
    unknown = [each for each in types if each not in {"card", "customer_balance"}]
    if unknown:
        raise not_implemented(f"invoices paid by {unknown[0]}")
    return types


def _options(params: JsonObject) -> JsonObject | None:
    options: JsonObject | None = params.get("payment_settings", {}).get("payment_method_options")
    if options is None:
        return None
    if set(options) != {"customer_balance"}:
        raise not_implemented("payment_method_options but for customer_balance")
    names = ("acss_debit", "bancontact", "card", "customer_balance", "konbini", "payto", "pix", "sepa_debit", "upi")
    return {name: options.get(name) for name in (*names, "us_bank_account")}


def _custom_fields(given: object) -> list[JsonObject] | None:
    if not isinstance(given, list) or not given:
        return None
    if len(given) > CUSTOM_FIELDS_MOST:
        raise invalid(f"You can set at most {CUSTOM_FIELDS_MOST} custom fields.", param="custom_fields")
    for field in given:
        for name, longest in zip(("name", "value"), CUSTOM_FIELD_LONGEST, strict=True):
            if not 1 <= len(field[name]) <= longest:
                raise invalid(f"A custom field's {name} has 1 to {longest} characters.", param="custom_fields")
    fields: list[JsonObject] = given
    return fields


def _finalize(account: Account, invoice: Record) -> None:
    now, total = account.now(), invoice.body["total"]
    payments.check_amount(total, invoice.body["currency"], what="The Invoice's total amount due")
    if invoice.private["days_until_due"] is not None:
        invoice.body["due_date"] = now + invoice.private["days_until_due"] * DAY
    number = sum(1 for each in account.store.list_objects("invoice") if each.body["number"]) + 1
    address = f"{account.base_url}/i/{invoice.id}"
    invoice.body.update(
        status="open",
        number=f"TWIN-{number:04d}",
        hosted_invoice_url=address,
        invoice_pdf=f"{address}/pdf",
        effective_at=now,
        starting_balance=0,
        ending_balance=0,
    )
    invoice.body["status_transitions"]["finalized_at"] = now
    intent = account.create(
        "payment_intent",
        private={"invoice": invoice.id},
        amount=total,
        capture_method="automatic",
        currency=invoice.body["currency"],
        customer=invoice.body["customer"],
        description=f"Payment for Invoice {invoice.body['number']}",
        metadata={},
        payment_method_types=invoice.private["allowed"],
        receipt_email=invoice.body["customer_email"],
        status="requires_payment_method",
    )
    intent.body["client_secret"] = random_id(f"{intent.id}_secret_", 25)
    account.save(intent)
    invoice.private["intent"] = intent.id
    account.save(invoice)
    receipt = _payment(
        account, invoice, {"type": "payment_intent", "payment_intent": intent.id}, requested=total, default=True
    )
    invoice.private["receipt"] = receipt.id
    account.save(invoice)
    account.emit("payment_intent.created", intent)
    account.emit("invoice.finalized", invoice)


def _payment(account: Account, invoice: Record, by: JsonObject, *, requested: int, default: bool) -> Record:
    return account.create(
        "invoice_payment",
        amount_requested=requested,
        currency=invoice.body["currency"],
        invoice=invoice.id,
        is_default=default,
        payment=by,
        status="open",
    )


def _refuse_unless_payable(invoice: Record, verb: str) -> None:
    if invoice.body["status"] not in _PAYABLE:
        raise invalid(f"You can't {verb} an invoice that is {invoice.body['status']}.", code="invoice_not_editable")


def _after_confirm(account: Account, invoice: Record, intent: Record) -> Attempt:
    if intent.body["status"] == "requires_action":
        return Attempt("requires_action", intent.body["next_action"]["redirect_to_url"]["url"])
    receipt = account.load("invoice_payment", invoice.private["receipt"], param="invoice_payment")
    count_in(account, invoice, receipt, intent.body["amount_received"])
    return Attempt("paid", invoice.body["hosted_invoice_url"])
