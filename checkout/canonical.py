"""The order as both sides sign it: one document, the same bytes wherever it is made, so that its digest binds.

What is personal (who receives the goods, where exactly, the e-mail) is kept apart: `agreements` puts salted
commitments to it into the document, so that it can be erased and the digest still verifies.
"""

import uuid
from datetime import datetime
from typing import Any, Final

import msgspec

from accounts.principal import BuyerCompany
from checkout.freight import FreightDecision
from checkout.model import ShipTo
from checkout.tax import TaxDecision
from checkout.totals import Totals
from kernel.canonical import canonical_json
from pricing.engine.request import PricedLine, Quote

SCHEMA: Final = "tarifa/order/1"
_WHEN: Final = frozenset({"price_root", "priced_at"})


def order_terms(
    *,
    checkout_id: uuid.UUID,
    company: BuyerCompany,
    quote: Quote,
    signed_quote_id: uuid.UUID | None,
    totals: Totals,
    tax: TaxDecision,
    freight: FreightDecision,
    po_number: str | None,
    ship_to: ShipTo,
    pay_within_hours: int,
    net_days: int | None = None,
) -> dict[str, Any]:
    """What is ordered and what it costs, with all a replay needs: the book's root, the instant, the buyer as the engine
    knew it, and the tax and freight inputs with the digests of their tables. How it is paid is a term of it as well:
    with *net_days* by an invoice that is due so long after it is made, else within some hours.
    """
    terms: dict[str, Any] = {
        "schema": SCHEMA,
        "checkout": str(checkout_id),
        "buyer": {
            "company": company.code,
            "name": company.name,
            "tax_id": tax.vat_number,
            "segments": sorted(company.segments),
            "country": ship_to.country,
        },
        "currency": quote.currency,
        "lines": [_line(position, line, tax) for position, line in enumerate(quote.lines, start=1)],
        "goods": totals.goods.decimal,
        "freight": totals.freight.decimal,
        "freight_tax": totals.freight_tax.decimal,
        "tax": totals.tax.decimal,
        "total": totals.total.decimal,
        "tax_inputs": msgspec.to_builtins(tax),
        "freight_inputs": msgspec.to_builtins(freight),
        "delivery": {"country": ship_to.country, "region": ship_to.region},
        "po_number": po_number,
        "pay_within_hours": pay_within_hours,
        "price_root": quote.root,
        "priced_at": instant_text(quote.at),
    }
    if net_days is not None:
        del terms["pay_within_hours"]
        terms["payment"] = {"by": "invoice", "net_days": net_days}
    if signed_quote_id is not None:
        terms["signed_quote"] = str(signed_quote_id)
    # As it comes back from storage, so that the two compare equal
    return msgspec.json.decode(canonical_json(terms), type=dict[str, Any])


def net_days(terms: dict[str, Any]) -> int | None:
    """After how many days the invoice of an order is due; None: it is paid at once."""
    payment = terms.get("payment")
    return None if payment is None else int(payment["net_days"])


def personal_fields(*, ship_to: ShipTo, email: str) -> dict[str, str]:
    """The order's personal values, by field; empty ones are left out."""
    fields = {
        "email": email,
        "ship_to.name": ship_to.name,
        "ship_to.line1": ship_to.line1,
        "ship_to.line2": ship_to.line2,
        "ship_to.postal_code": ship_to.postal_code,
        "ship_to.city": ship_to.city,
    }
    return {field: value for field, value in fields.items() if value}


def same_offer(one: dict[str, Any] | None, other: dict[str, Any]) -> bool:
    """Whether two orders differ in nothing but when, and on which book, they were priced."""
    if one is None:
        return False
    return {key: one[key] for key in one.keys() - _WHEN} == {key: other[key] for key in other.keys() - _WHEN}


def same_goods(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two orders ask for the same things to the same place, at whatever price."""

    def asked(terms: dict[str, Any]) -> Any:
        lines = [(line["sku"], line["unit"], line["quantity"]) for line in terms["lines"]]
        return lines, terms["delivery"], terms["po_number"], terms["currency"], terms["buyer"]["company"]

    return bool(asked(one) == asked(other))


def instant_text(at: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _line(position: int, line: object, tax: TaxDecision) -> dict[str, Any]:
    if not isinstance(line, PricedLine):
        raise TypeError("an order holds priced lines only")
    return {
        "position": position,
        "sku": line.sku,
        "unit": line.unit,
        "quantity": line.quantity,
        "price_unit": line.price_unit,
        "unit_price": line.unit_price,
        "net": line.net,
        "tax": line.tax,
        "tax_percent": tax.percent(line.tax_category),
    }
