"""Checkout Sessions: made by the API, paid on the hosted page, expired by either or by time."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from urllib.parse import urlsplit

from sandbox.stripe_twin import debits, payments
from sandbox.stripe_twin.account import Account, line_item_list, merged_metadata, only, page, page_size
from sandbox.stripe_twin.cards import CardEntry, TestCard
from sandbox.stripe_twin.debits import DebitEntry
from sandbox.stripe_twin.errors import JsonObject, StripeError, invalid, not_implemented
from sandbox.stripe_twin.store import Record

DAY = 24 * 60 * 60
# `allowed_payment_method_types` replaced `payment_method_types` in this API version and filters silently: the answer's
# `payment_method_types` say what is left of it.
_COPIED = (
    "billing_address_collection", "cancel_url", "client_reference_id", "customer_email", "integration_identifier",
    "locale", "submit_type", "success_url",
)  # fmt: skip
_SUPPORTED = (
    *_COPIED, "adaptive_pricing", "allowed_payment_method_types", "automatic_tax", "currency", "custom_text",
    "customer", "customer_creation", "expires_at", "invoice_creation", "line_items", "metadata", "mode",
    "payment_intent_data", "payment_method_options", "saved_payment_method_options", "ui_mode",
)  # fmt: skip
_INTENT_DATA = (
    "capture_method", "description", "metadata", "receipt_email", "setup_future_usage", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip

_DISABLED = {"payment_method_save": "disabled"}

Outcome = Literal["paid", "authorized", "processing", "declined", "requires_action", "closed"]


@dataclass(frozen=True)
class Attempt:
    """What came of one press of the pay button; *location* is where the browser goes next, if anywhere."""

    outcome: Outcome
    location: str | None = None
    message: str | None = None
    decline_code: str | None = None


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, _SUPPORTED, "Checkout.Sessions.create")
    _check_modes(params)
    _check_urls(params)
    now = account.now()
    expires_at = params.get("expires_at", now + DAY)
    if "expires_at" in params and not now + 30 * 60 <= expires_at <= now + DAY + 60:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise invalid(message, param="expires_at")
    if len(params.get("client_reference_id", "")) > 200:
        raise invalid("Invalid string: client_reference_id must be at most 200 characters", param="client_reference_id")
    customer = None
    if "customer" in params:
        if "customer_email" in params:
            raise invalid("You may only specify one of these parameters: customer, customer_email.")
        customer = account.load("customer", params["customer"], param="customer", in_path=False).id
    items, currency = _line_items(account, params)
    total = sum(item["amount_total"] for item in items)
    if total:
        what = "The Checkout Session's total amount due"
        payments.check_amount(total, currency, what=what, param="line_items")
    else:
        raise not_implemented("Checkout Sessions without a payment (a total of 0)")
    methods = debits.offered(params.get("allowed_payment_method_types"), currency)
    if not methods:
        message = "No valid payment method types for this Checkout Session: none of those allowed works here."
        raise invalid(message, param="allowed_payment_method_types")
    session = account.create(
        "checkout.session",
        private={
            "line_items": items,
            "details": [line["price_data"]["product_data"].get("description") for line in params["line_items"]],
            "payment_intent_data": params.get("payment_intent_data", {}),
        },
        **{name: params[name] for name in _COPIED if name in params},
        adaptive_pricing={"enabled": False},
        allowed_payment_method_types=params.get("allowed_payment_method_types") and methods,
        amount_subtotal=total,
        amount_total=total,
        currency=currency,
        customer=customer,
        customer_creation=None if customer else params.get("customer_creation", "if_required"),
        customer_details=_customer_details(account, customer, params.get("customer_email")),
        expires_at=expires_at,
        metadata=merged_metadata(None, params.get("metadata")),
        mode="payment",
        payment_method_collection="if_required",
        payment_method_options=_method_options(params, methods),
        payment_method_types=methods,
        payment_status="unpaid",
        saved_payment_method_options=_saving(params, customer),
        status="open",
        total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        ui_mode="hosted_page",
    )
    session.body["custom_text"].update(params.get("custom_text", {}))
    session.body["url"] = f"{account.base_url}/c/pay/{session.id}"
    account.save(session)
    return session.body


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Checkout.Sessions.retrieve")
    return account.load("checkout.session", ids[0], param="session").body


def update(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("metadata",), "Checkout.Sessions.update")
    session = account.load("checkout.session", ids[0], param="session")
    session.body["metadata"] = merged_metadata(session.body["metadata"], params.get("metadata"))
    account.save(session)
    return session.body


def list_sessions(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("customer", "payment_intent", "status", "customer_details.email")
    email = params.pop("customer_details", {}).get("email")
    if email is not None:
        params["customer_details.email"] = email
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "Checkout.Sessions.list")
    return page(account, "checkout.session", "/v1/checkout/sessions", params, equal=names)


def list_line_items(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("limit", "starting_after"), "Checkout.Sessions.listLineItems")
    return line_item_list(account, ids[0], limit=page_size(params), after=params.get("starting_after"))


def expire(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "Checkout.Sessions.expire")
    session = account.load("checkout.session", ids[0], param="session")
    if session.body["status"] != "open":
        message = (
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of `{session.body['status']}`."
        )
        raise invalid(message)
    close(account, session)
    return session.body


def close(account: Account, session: Record) -> None:
    """Expire an open Session; its PaymentIntent is cancelled with it, an authentication under way included."""
    session.body.update(status="expired", url=None)
    account.save(session)
    intent = account.store.find(session.body["payment_intent"] or "", "payment_intent")
    if intent is not None:
        payments.cancel_intent(account, intent, reason="automatic")
    account.emit("checkout.session.expired", session)


def pay(account: Account, session: Record, entry: CardEntry | DebitEntry) -> Attempt:
    """The buyer presses pay on the hosted page. A decline leaves the Session open for another card."""
    if session.body["status"] != "open":
        return Attempt("closed")
    if session.body["payment_intent"] is None:
        session.body["payment_intent"] = payments.create_for_session(account, session).id
    session.private["buyer"] = {"email": entry.email, "name": entry.name}
    account.save(session)
    intent = account.load("payment_intent", session.body["payment_intent"], param="intent")
    if isinstance(entry, CardEntry):
        intent.private["capture"] = session.body["payment_method_options"].get("card", {}).get("capture_method")
    intent.private["save"] = entry.save and may_save(session) if isinstance(entry, CardEntry) else False
    if isinstance(entry, DebitEntry):
        debits.confirm(account, intent, entry)
        return _after_confirm(account, session, intent)
    try:
        payments.confirm(account, intent, entry, return_url=success_location(session))
    except StripeError as error:
        return _declined(error)
    return _after_confirm(account, session, intent)


def finish_authentication(
    account: Account, session: Record, intent: Record, card: TestCard, *, passed: bool
) -> Attempt:
    """The buyer comes back from the bank. Failing it leaves the Session open for another card."""
    if session.body["status"] != "open" or intent.body["status"] != "requires_action":
        return Attempt("closed")
    try:
        payments.authenticate(account, intent, card, passed=passed)
    except StripeError as error:
        return _declined(error)
    return _after_confirm(account, session, intent)


def may_save(session: Record) -> bool:
    """Whether the page asks the buyer to keep the card."""
    options = session.body["saved_payment_method_options"] or {}
    return bool(options.get("payment_method_save") == "enabled")


def turn_intent(account: Account, intent: Record) -> None:
    """What time does to a payment that waits: a bank decides on a debit, a hold nobody captured is let go."""
    if "failure" in intent.private:
        finish_debit(account, intent)
    else:
        payments.expire_hold(account, intent)


def finish_debit(account: Account, intent: Record) -> None:
    """The bank has decided on a direct debit, days after its page was left."""
    came = debits.turn(account, intent)
    session = account.load("checkout.session", intent.private["session"], param="session")
    if came:
        session.body["payment_status"] = "paid"
        account.save(session)
    account.emit(f"checkout.session.async_payment_{'succeeded' if came else 'failed'}", session)


def success_location(session: Record) -> str:
    url: str = session.body["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session.id)


def _check_modes(params: JsonObject) -> None:
    if "mode" not in params:
        raise invalid("Missing required param: mode.", code="parameter_missing", param="mode")
    if params["mode"] != "payment":
        raise not_implemented(f"Checkout Sessions with mode={params['mode']}")
    if params.get("ui_mode", "hosted_page") != "hosted_page":
        raise not_implemented(f"Checkout Sessions with ui_mode={params['ui_mode']}")
    for name in ("adaptive_pricing", "automatic_tax", "invoice_creation"):
        if params.get(name, {}).get("enabled"):
            raise not_implemented(f"{name}[enabled]=true")
    only(params.get("payment_intent_data", {}), _INTENT_DATA, "Checkout.Sessions.create payment_intent_data")


def _check_urls(params: JsonObject) -> None:
    if "success_url" not in params:
        raise invalid("Missing required param: success_url.", code="parameter_missing", param="success_url")
    for name in ("success_url", "cancel_url"):
        if name not in params:
            continue
        url = params[name]
        if len(url) > 5000:
            raise invalid("URL must be 5000 characters or less.", code="url_invalid", param=name)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise invalid("Not a valid URL", code="url_invalid", param=name)


def _line_items(account: Account, params: JsonObject) -> tuple[list[JsonObject], str]:
    given = params.get("line_items", [])
    if not given:
        message = "You must specify `line_items` in `payment` mode."
        raise invalid(message, code="parameter_missing", param="line_items")
    if len(given) > 100:
        raise invalid("You can only specify up to 100 line items in payment mode.", param="line_items")
    items = [_line_item(account, line, f"line_items[{number}]") for number, line in enumerate(given)]
    currencies: set[str] = {item["currency"] for item in items}
    if "currency" in params:
        currencies.add(params["currency"])
    if len(currencies) > 1:
        message = f"All line items must have the same currency, got {', '.join(sorted(currencies))}."
        raise invalid(message, param="line_items")
    return items, items[0]["currency"]


def _line_item(account: Account, line: JsonObject, param: str) -> JsonObject:
    only(line, ("price", "price_data", "quantity", "metadata"), "Checkout.Sessions.create line_items")
    if "price_data" not in line:
        if "price" not in line:
            raise invalid(f"You must provide one of `price` or `price_data` for {param}.", param=param)
        raise not_implemented("Price objects; give line_items[][price_data] instead of line_items[][price]")
    given = line["price_data"]
    quantity = line.get("quantity")
    if quantity is None:
        message = f"Missing required param: {param}[quantity]."
        raise invalid(message, code="parameter_missing", param=f"{param}[quantity]")
    if not 1 <= quantity <= 999_999:
        message = "This value must be between 1 and 999999."
        raise invalid(message, code="parameter_invalid_integer", param=f"{param}[quantity]")
    payments.check_currency(given["currency"], param=f"{param}[price_data][currency]")
    if "recurring" in given:
        raise not_implemented("recurring prices")
    unit, amount = _amounts(given, quantity, param)
    if "product_data" not in given:
        raise not_implemented("Product objects; give price_data[product_data] instead of price_data[product]")
    product_data = given["product_data"]
    if not product_data["name"]:
        raise invalid(
            "You passed an empty string for the product's name.", param=f"{param}[price_data][product_data][name]"
        )
    product = account.create(
        "product",
        active=False,
        description=product_data.get("description"),
        images=product_data.get("images", []),
        metadata=merged_metadata(None, product_data.get("metadata")),
        name=product_data["name"],
        type="service",
        updated=account.now(),
    )
    price = account.create(
        "price",
        active=False,
        billing_scheme="per_unit",
        currency=given["currency"],
        product=product.id,
        tax_behavior=given.get("tax_behavior", "unspecified"),
        type="one_time",
        unit_amount=int(unit) if unit == int(unit) else None,
        unit_amount_decimal=f"{unit.normalize():f}",
    )
    item = account.create(
        "item",
        amount_subtotal=amount,
        amount_total=amount,
        currency=given["currency"],
        description=product_data["name"],
        metadata=merged_metadata(None, line.get("metadata")),
        price=price.body,
        quantity=quantity,
    )
    return item.body


def _amounts(given: JsonObject, quantity: int, param: str) -> tuple[Decimal, int]:
    """Unit price and line amount in minor units; a decimal unit is multiplied first and rounded once, half up."""
    if ("unit_amount" in given) == ("unit_amount_decimal" in given):
        raise invalid(
            "Exactly one of `unit_amount` and `unit_amount_decimal` must be given.",
            code="parameter_missing",
            param=f"{param}[price_data][unit_amount]",
        )
    exact: str | int = given["unit_amount_decimal"] if "unit_amount_decimal" in given else given["unit_amount"]
    unit = Decimal(exact)
    if unit < 0:
        message = "Invalid non-negative integer"
        raise invalid(message, code="parameter_invalid_integer", param=f"{param}[price_data][unit_amount]")
    exponent = unit.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -12:
        message = "Invalid decimal: at most 12 decimal places are supported"
        raise invalid(message, param=f"{param}[price_data][unit_amount_decimal]")
    return unit, int(unit * quantity + Decimal("0.5"))


def _method_options(params: JsonObject, methods: list[str]) -> JsonObject:
    given: JsonObject = params.get("payment_method_options", {})
    only(given, ("card", "us_bank_account"), "Checkout.Sessions.create payment_method_options")
    only(given.get("card", {}), ("capture_method",), "payment_method_options card")
    only(given.get("us_bank_account", {}), ("verification_method",), "payment_method_options us_bank_account")
    options = {name: options for name, options in given.items() if name in methods}
    if "card" in options:
        options["card"] = {"request_three_d_secure": "automatic", **options["card"]}
    return options


def _saving(params: JsonObject, customer: str | None) -> JsonObject | None:
    given: JsonObject = params.get("saved_payment_method_options", {})
    only(given, ("payment_method_save",), "Checkout.Sessions.create saved_payment_method_options")
    if given and customer is None:
        raise invalid("`saved_payment_method_options` needs a `customer`.", param="saved_payment_method_options")
    if customer is None:
        return None
    return {"allow_redisplay_filters": ["always"], "payment_method_remove": "disabled", **_DISABLED, **given}


def _customer_details(account: Account, customer_id: str | None, email: str | None) -> JsonObject | None:
    customer = account.store.find(customer_id or "", "customer")
    if customer is None and email is None:
        return None
    body = customer.body if customer else {}
    return {
        "address": body.get("address"),
        "business_name": None,
        "email": email or body.get("email"),
        "individual_name": None,
        "name": None,
        "phone": body.get("phone"),
        "tax_exempt": body.get("tax_exempt", "none"),
        "tax_ids": None,
    }


def _after_confirm(account: Account, session: Record, intent: Record) -> Attempt:
    if intent.body["status"] == "requires_action":
        return Attempt("requires_action", location=intent.body["next_action"]["redirect_to_url"]["url"])
    paid = intent.body["status"] == "succeeded"
    session.body.update(
        status="complete",
        payment_status="paid" if paid else "unpaid",
        url=None,
        customer_details=_completed_details(session),
    )
    account.save(session)
    account.emit("checkout.session.completed", session)
    left: Outcome = "processing" if intent.body["status"] == "processing" else "authorized"
    return Attempt("paid" if paid else left, location=success_location(session))


def _completed_details(session: Record) -> JsonObject:
    """Who bought: what the merchant knew already stands, what the buyer typed on the page fills the gaps."""
    known = session.body["customer_details"] or {
        "address": None, "business_name": None, "email": None, "individual_name": None, "name": None, "phone": None,
        "tax_exempt": "none", "tax_ids": None,
    }  # fmt: skip
    buyer = session.private["buyer"]
    return {
        **known,
        "email": known["email"] or buyer["email"],
        "name": buyer["name"] or known["name"],
        "tax_ids": known["tax_ids"] or [],
    }


def _declined(error: StripeError) -> Attempt:
    if not error.keep_effects:
        raise error
    return Attempt("declined", message=error.message, decline_code=error.body["error"].get("decline_code"))
