"""Bank transfers: what customers send lands in their cash balance, and from there on their open Invoices.

The one whose number the transfer names is paid first, then the others, the oldest due first. What is left stays.
"""

from typing import Final

from sandbox.stripe_twin import invoices
from sandbox.stripe_twin.account import Account, only, page
from sandbox.stripe_twin.errors import JsonObject, invalid
from sandbox.stripe_twin.payments import balance_transaction
from sandbox.stripe_twin.store import Record

KINDS: Final = {
    "eur": (
        "eu_bank_transfer",
        {"bic": "TESTDEFF", "iban_last4": "3000", "sender_name": "Test Buyer"},
    ),
    "gbp": (
        "gb_bank_transfer",
        {"account_number_last4": "2345", "sender_name": "Test Buyer", "sort_code": "108800"},
    ),
    "usd": ("us_bank_transfer", {"network": "ach", "sender_name": "Test Buyer"}),
}
"""By currency, the form of transfer and what it says of its sender."""


def fund(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("amount", "currency", "reference"), "TestHelpers.Customers.fundCashBalance")
    customer = account.load("customer", ids[0], param="customer")
    return transfer(
        account, customer, amount=params["amount"], currency=params["currency"], reference=params.get("reference")
    ).body


def transfer(account: Account, customer: Record, *, amount: int, currency: str, reference: str | None) -> Record:
    """Money arrives and is applied as far as anything is due; returns the arrival."""
    if amount < 1 or currency not in KINDS:
        raise invalid(f"Bank transfers here are positive, in {', '.join(sorted(KINDS))}.", param="amount")
    kind, sender = KINDS[currency]
    arrival = _move(
        account,
        customer,
        amount,
        currency,
        "funded",
        funded={"bank_transfer": {"type": kind, "reference": reference, kind: sender}},
    )
    apply_balance(account, customer, currency, reference=reference)
    if _balance(customer, currency):
        account.store.update(customer)
        account.emit("cash_balance.funds_available", Record(body=_shown(customer)))
    return arrival


def apply_balance(account: Account, customer: Record, currency: str, *, reference: str | None = None) -> None:
    """Pay what is open of *customer* with what is there."""
    open_ = [
        each
        for each in account.store.list_objects("invoice", equal={"customer": customer.id, "currency": currency})
        if each.body["status"] in {"open", "uncollectible"} and "customer_balance" in each.private["allowed"]
    ]
    open_.sort(key=lambda each: (each.body["number"] != reference, each.body["due_date"], each.body["number"]))
    for invoice in open_:
        available = _balance(customer, currency)
        if not available:
            return
        _apply(account, customer, invoice, min(available, invoice.body["amount_remaining"]))


def list_transactions(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("limit", "starting_after", "ending_before"), "Customers.listCashBalanceTransactions")
    account.load("customer", ids[0], param="customer")
    url = f"/v1/customers/{ids[0]}/cash_balance_transactions"
    return page(account, "customer_cash_balance_transaction", url, {**params, "customer": ids[0]}, equal=("customer",))


def retrieve_balance(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Customers.retrieveCashBalance")
    return _shown(account.load("customer", ids[0], param="customer"))


def _balance(customer: Record, currency: str) -> int:
    return int(customer.private.get("cash", {}).get(currency, 0))


def _shown(customer: Record) -> JsonObject:
    return {
        "object": "cash_balance",
        "available": customer.private.get("cash") or None,
        "customer": customer.id,
        "customer_account": None,
        "livemode": False,
        "settings": {"reconciliation_mode": "automatic", "using_merchant_default": True},
    }


def _move(account: Account, customer: Record, amount: int, currency: str, kind: str, **details: JsonObject) -> Record:
    cash = customer.private.setdefault("cash", {})
    cash[currency] = cash.get(currency, 0) + amount
    account.save(customer)
    moved = account.create(
        "customer_cash_balance_transaction",
        currency=currency,
        customer=customer.id,
        ending_balance=cash[currency],
        net_amount=amount,
        type=kind,
        **details,
    )
    account.emit("customer_cash_balance_transaction.created", moved)
    return moved


def _apply(account: Account, customer: Record, invoice: Record, amount: int) -> None:
    intent = account.load("payment_intent", invoice.private["intent"], param="payment_intent")
    currency = invoice.body["currency"]
    _move(account, customer, -amount, currency, "applied_to_payment", applied_to_payment={"payment_intent": intent.id})
    if amount < invoice.body["amount_remaining"]:
        invoices.reduce_remaining(account, invoice, amount, paid=True)
        account.emit("payment_intent.partially_funded", intent)
        return
    method = account.create(
        "payment_method",
        billing_details={"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        customer=customer.id,
        customer_balance={},
        metadata={},
        type="customer_balance",
    )
    whole = amount + invoice.body["amount_paid"]
    charge = account.create(
        "charge",
        amount=whole,
        amount_captured=whole,
        billing_details=method.body["billing_details"],
        captured=True,
        currency=currency,
        customer=customer.id,
        description=intent.body["description"],
        fraud_details={},
        metadata={},
        paid=True,
        payment_intent=intent.id,
        payment_method=method.id,
        payment_method_details={"type": "customer_balance", "customer_balance": {}},
        receipt_url=None,
        status="succeeded",
    )
    charge.body["balance_transaction"] = balance_transaction(account, charge, whole, "charge").id
    account.save(charge)
    intent.body.update(
        amount=whole, amount_received=whole, latest_charge=charge.id, payment_method=method.id, status="succeeded"
    )
    account.save(intent)
    account.emit("charge.succeeded", charge)
    account.emit("payment_intent.succeeded", intent)
    receipt = account.load("invoice_payment", invoice.private["receipt"], param="invoice_payment")
    receipt.body.update(amount_paid=whole, status="paid")
    receipt.body["status_transitions"]["paid_at"] = account.now()
    account.save(receipt)
    account.emit("invoice_payment.paid", receipt)
    invoices.reduce_remaining(account, invoice, amount, paid=True)
