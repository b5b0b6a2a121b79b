"""What programs make without a hosted page: PaymentIntents of Stripe's test PaymentMethods, SetupIntents, Products and
Prices. The shop makes none of them; Stripe's own command line does, as an independent client of the twin.
"""

import time
from decimal import Decimal
from typing import Final

from sandbox.stripe_twin import payments
from sandbox.stripe_twin.account import Account, merged_metadata, only, random_id
from sandbox.stripe_twin.cards import CardEntry, named_entry
from sandbox.stripe_twin.errors import JsonObject, StripeError, invalid, missing, not_implemented
from sandbox.stripe_twin.store import Record

TEST_METHODS: Final = {
    "pm_card_visa": "visa",
    "pm_card_mastercard": "mastercard",
    "pm_card_amex": "amex",
    "pm_card_chargeDeclined": "declined",
    "pm_card_visa_chargeDeclined": "declined",
    "pm_card_authenticationRequired": "3ds",
    "pm_card_createDispute": "dispute",
    "pm_card_createDisputeInquiry": "inquiry",
    "pm_card_refundFail": "refund_fails",
    "pm_card_pendingRefund": "refund_pending",
}
"""Stripe's names of test PaymentMethods, by the twin's names of cards."""
_INTENT: Final = (
    "allowed_payment_method_types", "amount", "capture_method", "confirm", "confirmation_method", "currency",
    "customer", "description", "metadata", "payment_method", "receipt_email", "return_url", "setup_future_usage",
    "shipping", "statement_descriptor",
)  # fmt: skip
_SETUP: Final = (
    "allowed_payment_method_types", "confirm", "customer", "description", "metadata", "payment_method", "usage",
)  # fmt: skip
_RETURN: Final = "https://example.com/return"


def create_intent(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    """A PaymentIntent, confirmed at once where that is asked for.

    :raises StripeError: 402 when its card is declined; the intent, the failed charge and their events are kept
    """
    if params.get("off_session"):
        return payments.create(account, ids, params)
    only(params, _INTENT, "PaymentIntents.create")
    payments.check_currency(params["currency"], param="currency")
    payments.check_amount(params["amount"], params["currency"], what="Amount", param="amount")
    customer = params.get("customer")
    if customer is not None:
        account.load("customer", customer, param="customer", in_path=False)
    intent = account.create(
        "payment_intent",
        amount=params["amount"],
        capture_method=params.get("capture_method", "automatic_async"),
        confirmation_method=params.get("confirmation_method", "automatic"),
        currency=params["currency"],
        customer=customer,
        description=params.get("description"),
        metadata=merged_metadata(None, params.get("metadata")),
        payment_method_types=["card"],
        receipt_email=params.get("receipt_email"),
        setup_future_usage=params.get("setup_future_usage"),
        statement_descriptor=params.get("statement_descriptor"),
        status="requires_payment_method",
    )
    if "shipping" in params:
        intent.body["shipping"] = {"carrier": None, "phone": None, "tracking_number": None, **params["shipping"]}
        empty = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
        intent.body["shipping"]["address"] = {**empty, **params["shipping"]["address"]}
    intent.body["client_secret"] = random_id(f"{intent.id}_secret_", 25)
    account.save(intent)
    account.emit("payment_intent.created", intent)
    if params.get("confirm"):
        _confirm(account, intent, params)
    return intent.body


def confirm_intent(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("payment_method", "return_url"), "PaymentIntents.confirm")
    intent = account.load("payment_intent", ids[0], param="intent")
    _confirm(account, intent, params)
    return intent.body


def create_setup(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    """:raises StripeError: 402 when the card is declined; the intent and its events are kept"""
    names = (
        "allowed_payment_method_types",
        "confirm",
        "customer",
        "description",
        "metadata",
        "payment_method",
        "usage",
    )
    only(params, names, "SetupIntents.create")
    setup = account.create(
        "setup_intent",
        customer=params.get("customer"),
        description=params.get("description"),
        metadata=merged_metadata(None, params.get("metadata")),
        payment_method_types=["card"],
        status="requires_payment_method",
        usage=params.get("usage", "off_session"),
    )
    setup.body["client_secret"] = random_id(f"{setup.id}_secret_", 25)
    account.save(setup)
    account.emit("setup_intent.created", setup)
    if params.get("confirm"):
        _confirm_setup(account, setup, params)
    return setup.body


def cancel_setup(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("cancellation_reason",), "SetupIntents.cancel")
    setup = account.load("setup_intent", ids[0], param="intent")
    if setup.body["status"] in {"succeeded", "canceled"}:
        message = f"You cannot cancel this SetupIntent because it has a status of {setup.body['status']}."
        raise invalid(message, code="setup_intent_unexpected_state")
    setup.body.update(status="canceled", cancellation_reason=params.get("cancellation_reason"), next_action=None)
    account.save(setup)
    account.emit("setup_intent.canceled", setup)
    return setup.body


def attach_method(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    """A test PaymentMethod becomes a card of the customer's own."""
    only(params, ("customer",), "PaymentMethods.attach")
    customer = account.load("customer", params.get("customer", ""), param="customer", in_path=False)
    method = _method(account, ids[0], customer=customer.id)
    account.emit("payment_method.attached", method)
    return method.body


def create_product(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("active", "description", "images", "metadata", "name", "url")
    only(params, names, "Products.create")
    product = account.create(
        "product",
        active=params.get("active", True),
        description=params.get("description"),
        images=params.get("images", []),
        metadata=merged_metadata(None, params.get("metadata")),
        name=params["name"],
        type="service",
        updated=account.now(),
        url=params.get("url"),
    )
    account.emit("product.created", product)
    return product.body


def update_product(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("active", "description", "metadata", "name"), "Products.update")
    product = account.load("product", ids[0], param="id")
    before = {name: product.body[name] for name in params if name in product.body}
    kept = {name: value for name, value in params.items() if name != "metadata"}
    metadata = merged_metadata(product.body["metadata"], params.get("metadata"))
    product.body.update(**kept, metadata=metadata, updated=account.now())
    account.save(product)
    account.emit("product.updated", product, previous=before)
    return product.body


def create_price(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("active", "currency", "metadata", "nickname", "product", "tax_behavior", "unit_amount")
    only(params, names, "Prices.create")
    payments.check_currency(params["currency"], param="currency")
    product = account.load("product", params.get("product", ""), param="product", in_path=False)
    if "unit_amount" not in params:
        raise not_implemented("Prices without a unit_amount")
    price = account.create(
        "price",
        active=params.get("active", True),
        billing_scheme="per_unit",
        currency=params["currency"],
        metadata=merged_metadata(None, params.get("metadata")),
        nickname=params.get("nickname"),
        product=product.id,
        tax_behavior=params.get("tax_behavior", "unspecified"),
        type="one_time",
        unit_amount=params["unit_amount"],
        unit_amount_decimal=f"{Decimal(params['unit_amount']):f}",
    )
    account.emit("price.created", price)
    return price.body


def _confirm(account: Account, intent: Record, params: JsonObject) -> None:
    entry = _entry(account, params.get("payment_method", ""))
    payments.confirm(account, intent, entry, return_url=params.get("return_url", _RETURN))


def _confirm_setup(account: Account, setup: Record, params: JsonObject) -> None:
    entry = _entry(account, params.get("payment_method", ""))
    method = _method(account, params["payment_method"], customer=setup.body["customer"])
    setup.body["payment_method"] = method.id
    if entry.card.behaviour == "decline":
        error = {
            "type": "card_error",
            "code": entry.card.code,
            "decline_code": entry.card.decline_code,
            "message": entry.card.message,
        }
        setup.body.update(status="requires_payment_method", payment_method=None, last_setup_error=error)
        account.save(setup)
        account.emit("setup_intent.setup_failed", setup)
        raise StripeError(
            402,
            "card_error",
            entry.card.message,
            code=entry.card.code,
            decline_code=entry.card.decline_code,
            keep_effects=True,
        )
    if entry.card.behaviour != "approve":
        setup.body["status"] = "requires_action"
        url = f"{account.base_url}/3ds/{setup.id}/none"
        setup.body["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": params.get("return_url", _RETURN), "url": url},
        }
        account.save(setup)
        account.emit("setup_intent.requires_action", setup)
        return
    setup.body["status"] = "succeeded"
    account.save(setup)
    account.emit("setup_intent.succeeded", setup)


def _entry(account: Account, name: str) -> CardEntry:
    if not name:
        raise invalid("You cannot confirm this intent because it's missing a payment method.", param="payment_method")
    if name not in TEST_METHODS:
        raise missing("PaymentMethod", name, param="payment_method", in_path=False)
    return named_entry(TEST_METHODS[name], year=time.gmtime(account.clock.seconds()).tm_year)


def _method(account: Account, name: str, *, customer: str | None) -> Record:
    holder = Record(body={"customer": customer, "setup_future_usage": "off_session"})
    return payments.payment_method(account, holder, _entry(account, name))
