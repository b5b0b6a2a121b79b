"""PaymentIntents and their charges."""

from dataclasses import replace
from typing import Any

from sandbox.stripe_twin.account import Account, merged_metadata, only, page, random_id
from sandbox.stripe_twin.cards import CardEntry, TestCard, card_of
from sandbox.stripe_twin.currencies import MAXIMUM_CHARGE, MINIMUM_CHARGE, THREE_DECIMALS, WHOLE_UNITS_ONLY, display
from sandbox.stripe_twin.errors import JsonObject, StripeError, invalid, not_implemented
from sandbox.stripe_twin.store import Record

DISPUTED_AFTER_SECONDS = 60
"""From a charge to its dispute, with a test card that disputes."""
HELD_SECONDS = 7 * 24 * 60 * 60
"""How long a card's bank holds an amount that nobody captures."""
_CONFIRMABLE = {"requires_payment_method", "requires_confirmation", "requires_action"}
_CANCELABLE = _CONFIRMABLE | {"requires_capture", "processing"}


def check_currency(currency: str, *, param: str) -> None:
    if currency not in MINIMUM_CHARGE:
        raise invalid(
            f"Invalid currency: {currency}. The Stripe twin knows {', '.join(sorted(MINIMUM_CHARGE))}.", param=param
        )


def check_amount(amount: int, currency: str, *, what: str, param: str | None = None) -> None:
    """:raises StripeError: below the currency's minimum, above eight digits, or with digits it cannot settle."""
    if amount < MINIMUM_CHARGE[currency]:
        message = f"{what} must add up to at least {display(MINIMUM_CHARGE[currency], currency)}"
        raise invalid(message, code="amount_too_small", param=param)
    if amount > MAXIMUM_CHARGE:
        message = f"{what} must be no more than {display(MAXIMUM_CHARGE, currency)}"
        raise invalid(message, code="amount_too_large", param=param)
    if currency in THREE_DECIMALS and amount % 10:
        raise invalid(
            f"Invalid amount: the last digit of an amount in {currency} must be 0, got {amount}.", param=param
        )
    if currency in WHOLE_UNITS_ONLY and amount % 100:
        raise invalid(f"Invalid amount: an amount in {currency} must be divisible by 100, got {amount}.", param=param)


def create_for_session(account: Account, session: Record) -> Record:
    """The PaymentIntent that a Session makes when the buyer first presses pay."""
    given: JsonObject = session.private["payment_intent_data"]
    intent = account.create(
        "payment_intent",
        private={"session": session.id},
        amount=session.body["amount_total"],
        capture_method=given.get("capture_method", "automatic_async"),
        client_secret=None,
        currency=session.body["currency"],
        customer=session.body["customer"],
        description=given.get("description"),
        metadata=merged_metadata(None, given.get("metadata")),
        payment_method_types=session.body["payment_method_types"],
        receipt_email=given.get("receipt_email"),
        setup_future_usage=given.get("setup_future_usage"),
        statement_descriptor=given.get("statement_descriptor"),
        statement_descriptor_suffix=given.get("statement_descriptor_suffix"),
        status="requires_payment_method",
        transfer_group=given.get("transfer_group"),
    )
    intent.body["client_secret"] = random_id(f"{intent.id}_secret_", 25)
    account.save(intent)
    account.emit("payment_intent.created", intent)
    return intent


def confirm(account: Account, intent: Record, entry: CardEntry, *, return_url: str) -> None:
    """Charge the card, or ask for authentication first.

    Afterwards the status is succeeded, requires_capture or requires_action.

    :raises StripeError: 402 when the card is declined; the failed charge and its events are kept.
    """
    if intent.body["status"] not in _CONFIRMABLE:
        raise _unexpected_state("confirm", intent)
    method = payment_method(account, intent, entry)
    intent.body.update(payment_method=method.id, last_payment_error=None, next_action=None)
    intent.private["card"] = entry.card.number
    if entry.card.behaviour in {"authenticate", "authenticate_then_decline"}:
        intent.private["authentication"] = random_id("", 24)
        url = f"{account.base_url}/3ds/{intent.id}/{intent.private['authentication']}"
        intent.body["status"] = "requires_action"
        intent.body["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": url},
        }
        account.save(intent)
        account.emit("payment_intent.requires_action", intent)
        return
    intent.private["authentication"] = None
    _charge(account, intent, method, entry.card)


def authenticate(account: Account, intent: Record, entry_card: TestCard, *, passed: bool) -> None:
    """The bank's answer to 3D Secure.

    :raises StripeError: 402 when authentication failed or the card is declined after it.
    """
    method = account.load("payment_method", intent.body["payment_method"], param="payment_method")
    intent.body["next_action"] = None
    intent.private["authentication"] = None
    if not passed:
        _refuse(
            account,
            intent,
            method,
            code="payment_intent_authentication_failure",
            decline_code=None,
            message=(
                "We are unable to authenticate your payment method. "
                "Please choose a different payment method and try again."
            ),
            charge=None,
        )
    _charge(account, intent, method, entry_card)


def expire_hold(account: Account, intent: Record) -> None:
    """The card's bank has let the amount go: the charge has expired and with it its PaymentIntent."""
    account.emit("charge.expired", account.load("charge", intent.body["latest_charge"], param="charge"))
    cancel_intent(account, intent, reason="automatic")


def cancel_intent(account: Account, intent: Record, *, reason: str | None) -> None:
    intent.private.pop("turns_at", None)
    intent.body.update(
        status="canceled",
        canceled_at=account.now(),
        cancellation_reason=reason,
        next_action=None,
        amount_capturable=0,
    )
    intent.private["authentication"] = None
    account.save(intent)
    charge = account.store.find(intent.body["latest_charge"] or "", "charge")
    if charge is not None and charge.body["status"] == "succeeded" and not charge.body["captured"]:
        charge.body.update(amount_refunded=charge.body["amount"], refunded=True)
        account.save(charge)
        account.emit("charge.refunded", charge, previous={"amount_refunded": 0, "refunded": False})
    account.emit("payment_intent.canceled", intent)


# Operations

_OFF_SESSION = (
    "allowed_payment_method_types", "amount", "confirm", "currency", "customer", "description", "metadata",
    "off_session", "payment_method", "payment_method_options",
)  # fmt: skip


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    """A charge of a saved card without its holder: made and confirmed in one request.

    :raises StripeError: 402 when the card is declined or asks for its holder; the failed charge and its events are kept
    """
    only(params, _OFF_SESSION, "PaymentIntents.create")
    if not params.get("confirm") or not params.get("off_session"):
        raise not_implemented("PaymentIntents that are not confirmed off-session at once")
    check_currency(params["currency"], param="currency")
    check_amount(params["amount"], params["currency"], what="Amount", param="amount")
    customer = account.load("customer", params.get("customer", ""), param="customer", in_path=False)
    method = account.load("payment_method", params.get("payment_method", ""), param="payment_method", in_path=False)
    if method.body["customer"] != customer.id:
        message = f"The PaymentMethod {method.id} does not belong to the Customer {customer.id}."
        raise invalid(message, param="payment_method")
    card = card_of(method.private["number"])
    manual = params.get("payment_method_options", {}).get("card", {}).get("capture_method") == "manual"
    intent = account.create(
        "payment_intent",
        private={"card": card.number, "capture": "manual" if manual else None},
        amount=params["amount"],
        capture_method="automatic_async",
        currency=params["currency"],
        customer=customer.id,
        description=params.get("description"),
        metadata=merged_metadata(None, params.get("metadata")),
        payment_method=method.id,
        payment_method_types=["card"],
        status="requires_confirmation",
    )
    intent.body["client_secret"] = random_id(f"{intent.id}_secret_", 25)
    account.save(intent)
    account.emit("payment_intent.created", intent)
    _charge(account, intent, method, _off_session(card))
    return intent.body


def _off_session(card: TestCard) -> TestCard:
    """The card as it behaves when its holder is not there."""
    match card.off_session:
        case "approve":
            return replace(card, behaviour="approve")
        case "decline":
            return replace(card, behaviour="decline", decline_code="generic_decline")
        case "authentication_required":
            code = "authentication_required"
            message = "Your card was declined. This transaction requires authentication."
            return replace(card, behaviour="decline", code=code, decline_code=code, message=message)


def detach_payment_method(account: Account, ids: tuple[str, ...], _params: JsonObject) -> JsonObject:
    method = account.load("payment_method", ids[0], param="payment_method")
    if method.body["customer"] is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise invalid(message, param="payment_method")
    before = method.body["customer"]
    method.body["customer"] = None
    account.save(method)
    account.emit("payment_method.detached", method, previous={"customer": before})
    return method.body


def list_payment_methods(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("type", "limit", "starting_after", "ending_before"), "Customers.listPaymentMethods")
    customer = account.load("customer", ids[0], param="customer")
    url = f"/v1/customers/{customer.id}/payment_methods"
    return page(account, "payment_method", url, {**params, "customer": customer.id}, equal=("customer", "type"))


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "PaymentIntents.retrieve")
    return account.load("payment_intent", ids[0], param="intent").body


def update(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("metadata", "description"), "PaymentIntents.update")
    intent = account.load("payment_intent", ids[0], param="intent")
    intent.body["metadata"] = merged_metadata(intent.body["metadata"], params.get("metadata"))
    if "description" in params:
        intent.body["description"] = params["description"] or None
    account.save(intent)
    return intent.body


def list_intents(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("customer", "created", "limit", "starting_after", "ending_before")
    only(params, names, "PaymentIntents.list")
    return page(account, "payment_intent", "/v1/payment_intents", params, equal=("customer",))


def cancel(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    intent = account.load("payment_intent", ids[0], param="intent")
    session = account.store.find(intent.private.get("session", ""), "checkout.session")
    if session is not None and session.body["status"] == "open":
        message = "You can't cancel the PaymentIntent for a Checkout Session. Expire the Checkout Session instead."
        raise invalid(message, code="payment_intent_unexpected_state")
    if intent.body["status"] not in _CANCELABLE:
        raise _unexpected_state("cancel", intent)
    cancel_intent(account, intent, reason=params.get("cancellation_reason"))
    return intent.body


def capture(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("amount_to_capture", "metadata"), "PaymentIntents.capture")
    intent = account.load("payment_intent", ids[0], param="intent")
    if intent.body["status"] != "requires_capture":
        raise _unexpected_state("capture", intent)
    authorised: int = intent.body["amount_capturable"]
    amount: int = params.get("amount_to_capture", authorised)
    if not 1 <= amount <= authorised:
        message = f"The amount_to_capture must be between 1 and the authorised {authorised}, got {amount}."
        raise invalid(message, code="amount_too_large", param="amount_to_capture")
    charge = account.load("charge", intent.body["latest_charge"], param="charge")
    charge.body.update(captured=True, amount_captured=amount, amount_refunded=authorised - amount)
    charge.body["balance_transaction"] = balance_transaction(account, charge, amount, "charge").id
    account.save(charge)
    intent.body.update(status="succeeded", amount_received=amount, amount_capturable=0)
    intent.private.pop("turns_at", None)
    session = account.store.find(intent.private.get("session", ""), "checkout.session")
    if session is not None:
        session.body["payment_status"] = "paid"
        account.save(session)
    intent.body["metadata"] = merged_metadata(intent.body["metadata"], params.get("metadata"))
    account.save(intent)
    account.emit("charge.captured", charge, previous={"captured": False})
    account.emit("payment_intent.succeeded", intent)
    return intent.body


def retrieve_charge(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Charges.retrieve")
    return account.load("charge", ids[0], param="id").body


def list_charges(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("customer", "payment_intent")
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "Charges.list")
    return page(account, "charge", "/v1/charges", params, equal=names)


def retrieve_balance_transaction(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "BalanceTransactions.retrieve")
    return account.load("balance_transaction", ids[0], param="id").body


def list_balance_transactions(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("type", "currency", "source")
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "BalanceTransactions.list")
    return page(account, "balance_transaction", "/v1/balance_transactions", params, equal=names)


def retrieve_payment_method(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "PaymentMethods.retrieve")
    return account.load("payment_method", ids[0], param="payment_method").body


# Helpers, in call order


def payment_method(account: Account, intent: Record, entry: CardEntry) -> Record:
    card = entry.card
    return account.create(
        "payment_method",
        private={"number": entry.number},
        allow_redisplay="limited",
        billing_details={"address": None, "email": entry.email, "name": entry.name, "phone": None, "tax_id": None},
        card={
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
            "country": "US",
            "display_brand": card.brand,
            "exp_month": entry.exp_month,
            "exp_year": entry.exp_year,
            "fingerprint": None,
            "funding": "credit",
            "generated_from": None,
            "last4": entry.number[-4:],
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        customer=intent.body["customer"] if intent.body["setup_future_usage"] else None,
        metadata={},
        type="card",
    )


def _charge(account: Account, intent: Record, method: Record, card: TestCard) -> None:
    declined = card.behaviour in {"decline", "authenticate_then_decline"}
    manual = "manual" in {intent.body["capture_method"], intent.private.get("capture")}
    amount = intent.body["amount"]
    charge = account.create(
        "charge",
        amount=amount,
        amount_captured=0 if declined or manual else amount,
        billing_details=method.body["billing_details"],
        captured=not declined and not manual,
        currency=intent.body["currency"],
        customer=intent.body["customer"],
        description=intent.body["description"],
        failure_code=card.code if declined else None,
        failure_message=card.message if declined else None,
        fraud_details={},
        metadata=intent.body["metadata"],
        outcome=_outcome(card, declined=declined),
        paid=not declined,
        payment_intent=intent.id,
        payment_method=method.id,
        payment_method_details={"type": "card", "card": _charged_card(method.body["card"], amount)},
        receipt_email=intent.body["receipt_email"],
        receipt_url=None,
        statement_descriptor=intent.body["statement_descriptor"],
        status="failed" if declined else "succeeded",
    )
    intent.body["latest_charge"] = charge.id
    if declined:
        account.emit("charge.failed", charge)
        _refuse(
            account,
            intent,
            method,
            code=card.code,
            decline_code=card.decline_code,
            message=card.message,
            charge=charge.id,
        )
    if intent.private.get("save"):
        method.body.update(customer=intent.body["customer"], allow_redisplay="always")
        account.save(method)
        account.emit("payment_method.attached", method)
    if manual:
        intent.body.update(status="requires_capture", amount_capturable=amount)
        intent.private["turns_at"] = account.now() + HELD_SECONDS
        account.save(intent)
        account.emit("charge.succeeded", charge)
        account.emit("payment_intent.amount_capturable_updated", intent)
        return
    intent.body.update(status="succeeded", amount_received=amount)
    account.save(intent)
    account.emit("charge.succeeded", charge)
    account.emit("payment_intent.succeeded", intent)
    # As with capture_method=automatic_async: the balance transaction is known a moment later, and an event says so.
    charge.body["balance_transaction"] = balance_transaction(account, charge, amount, "charge").id
    account.save(charge)
    account.emit("charge.updated", charge, previous={"balance_transaction": None})
    if card.disputes is not None:
        charge.private.update(disputed_at=account.now() + DISPUTED_AFTER_SECONDS, disputes=card.disputes)
        account.save(charge)


def _refuse(
    account: Account,
    intent: Record,
    method: Record,
    *,
    code: str,
    decline_code: str | None,
    message: str,
    charge: str | None,
) -> None:
    error: dict[str, Any] = {"code": code, "decline_code": decline_code, "message": message, "charge": charge}
    error = {name: value for name, value in error.items() if value is not None}
    kind = "card_error" if charge else "invalid_request_error"
    intent.body.update(
        status="requires_payment_method",
        payment_method=None,
        last_payment_error={**error, "type": kind, "payment_method": method.body},
    )
    account.save(intent)
    account.emit("payment_intent.payment_failed", intent)
    raise StripeError(
        402,
        kind,
        message,
        code=code,
        decline_code=decline_code,
        charge=charge,
        payment_intent=intent.body,
        payment_method=method.body,
        keep_effects=True,
    )


def _outcome(card: TestCard, *, declined: bool) -> JsonObject:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if declined else "approved_by_network",
        "reason": (card.decline_code or card.code) if declined else None,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "The bank did not return any further details with this decline."
        if declined
        else "Payment complete.",
        "type": "issuer_declined" if declined else "authorized",
    }


def _charged_card(card: JsonObject, amount: int) -> JsonObject:
    same = (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "regulated_status",
    )
    return {
        **{name: card[name] for name in same},
        "amount_authorized": amount,
        "authorization_code": None,
        "electronic_commerce_indicator": None,
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "network_transaction_id": None,
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }


def balance_transaction(account: Account, source: Record, amount: int, kind: str, *, fee: int = 0) -> Record:
    """Money of the merchant's balance; a charge's fee is 2.9 %, as a stand-in for the account's own price."""
    fee = amount * 29 // 1000 if kind == "charge" else fee
    return account.create(
        "balance_transaction",
        amount=amount,
        available_on=account.now() + 2 * 86400,
        balance_type="payments",
        currency=source.body["currency"],
        fee=fee,
        fee_details=[
            {
                "amount": fee,
                "application": None,
                "currency": source.body["currency"],
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }
        ]
        if fee
        else [],
        net=amount - fee,
        reporting_category=kind,
        source=source.id,
        status="pending",
        type=kind,
    )


def _unexpected_state(verb: str, intent: Record) -> StripeError:
    message = f"You cannot {verb} this PaymentIntent because it has a status of {intent.body['status']}."
    code = "payment_intent_unexpected_state"
    return StripeError(400, "invalid_request_error", message, code=code, payment_intent=intent.body)
