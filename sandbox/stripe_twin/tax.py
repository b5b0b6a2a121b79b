"""Stripe Tax for a seller in Spain: a small table of its own, not the shop's, so that the two are compared."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.stripe_twin.account import Account, only
from sandbox.stripe_twin.errors import JsonObject, invalid
from sandbox.stripe_twin.payments import check_currency

VALID_SECONDS: Final = 90 * 86400
BOOKS: Final = "txcd_35010000"
_STANDARD: Final = {"DE": "19", "ES": "21", "FR": "20", "IT": "22", "NL": "21", "PT": "23"}
"""Where the account is registered; elsewhere it collects nothing."""
_BOOKS: Final = {"DE": "7", "ES": "4", "FR": "5.5", "IT": "4", "NL": "9", "PT": "6"}


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, ("currency", "customer_details", "line_items", "shipping_cost"), "Tax.Calculations.create")
    check_currency(params["currency"], param="currency")
    customer: JsonObject = params.get("customer_details", {})
    address: JsonObject = customer.get("address", {})
    country = address.get("country", "")
    if len(country) != 2 or (country == "US" and not address.get("postal_code")):
        raise invalid(
            "We could not determine the customer's tax location based on the provided customer address.",
            code="customer_tax_location_invalid",
            param="customer_details[address]",
        )
    items = [_item(account, item, country, customer) for item in params["line_items"]]
    shipping = _taxed(params["shipping_cost"], country, customer) if "shipping_cost" in params else None
    parts = [*items, *([shipping] if shipping else [])]
    tax = sum(part["amount_tax"] for part in parts)
    calculation = account.create(
        "tax.calculation",
        amount_total=sum(part["amount"] for part in parts) + tax,
        currency=params["currency"],
        customer_details={
            "address": {
                name: address.get(name) for name in ("city", "country", "line1", "line2", "postal_code", "state")
            },
            "address_source": customer.get("address_source"),
            "ip_address": None,
            "tax_ids": customer.get("tax_ids", []),
            "taxability_override": customer.get("taxability_override", "none"),
        },
        expires_at=account.now() + VALID_SECONDS,
        line_items={
            "object": "list",
            "data": items,
            "has_more": False,
            "url": "/v1/tax/calculations/line_items",
        },
        shipping_cost=shipping,
        tax_amount_exclusive=tax,
        tax_breakdown=[_summed(part, country) for part in parts],
        tax_date=account.now(),
    )
    calculation.body["line_items"]["url"] = f"/v1/tax/calculations/{calculation.id}/line_items"
    account.save(calculation)
    return calculation.body


def _item(account: Account, item: JsonObject, country: str, customer: JsonObject) -> JsonObject:
    made = account.create("tax.calculation_line_item", **_taxed(item, country, customer))
    made.body.update(
        reference=item["reference"], quantity=item.get("quantity", 1), metadata=None, product=item.get("product")
    )
    account.save(made)
    return made.body


def _taxed(part: JsonObject, country: str, customer: JsonObject) -> JsonObject:
    percent, reason = _rate(country, part["tax_code"], customer)
    owed = Decimal(part["amount"]) * Decimal(percent) / 100
    tax = int(owed.to_integral_value(ROUND_HALF_UP))
    return {
        "amount": part["amount"],
        "amount_tax": tax,
        "tax_behavior": part.get("tax_behavior", "exclusive"),
        "tax_code": part["tax_code"],
        "tax_breakdown": [
            {
                "amount": tax,
                "jurisdiction": {"country": country, "display_name": country, "level": "country", "state": None},
                "sourcing": "destination",
                "tax_rate_details": {"display_name": "VAT", "percentage_decimal": percent, "tax_type": "vat"},
                "taxability_reason": reason,
                "taxable_amount": part["amount"] if percent != "0" else 0,
            }
        ],
    }


def _rate(country: str, tax_code: str, customer: JsonObject) -> tuple[str, str]:
    """Percent, and why."""
    numbers = [each["value"] for each in customer.get("tax_ids", []) if each["type"] == "eu_vat"]
    if country not in _STANDARD:
        return "0", "not_collecting"
    if customer.get("taxability_override") == "customer_exempt":
        return "0", "customer_exempt"
    if country != "ES" and any(not number.startswith("ES") for number in numbers):
        return "0", "reverse_charge"
    if tax_code == BOOKS:
        return _BOOKS[country], "reduced_rated"
    return _STANDARD[country], "standard_rated"


def _summed(part: JsonObject, country: str) -> JsonObject:
    breakdown: dict[str, Any] = part["tax_breakdown"][0]
    return {
        "amount": breakdown["amount"],
        "inclusive": False,
        "tax_rate_details": {
            "country": country,
            "flat_amount": None,
            "percentage_decimal": breakdown["tax_rate_details"]["percentage_decimal"],
            "rate_type": "percentage",
            "state": None,
            "tax_type": "vat",
        },
        "taxability_reason": breakdown["taxability_reason"],
        "taxable_amount": breakdown["taxable_amount"],
    }
