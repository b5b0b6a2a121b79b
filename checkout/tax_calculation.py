"""Tax that Stripe Tax calculated, as an input of an order: what is asked, what of the answer is kept. Pure.

The rule tables still say what the engine is told, for prices may include tax; the amounts are Stripe's, line by line.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from checkout.charging import from_stripe, to_stripe
from kernel.canonical import digest
from kernel.money import Amount, Money, normal
from pricing.engine.request import PricedLine, Quote, TaxRate

CODES: Final = {
    "standard": "txcd_99999999",
    "reduced": "txcd_99999999",
    "super_reduced": "txcd_35010000",
}
"""Stripe's tax codes by our tax categories: tangible goods, and books; another category counts as goods."""
FREIGHT_CODE: Final = "txcd_92010001"
STANDARD: Final = "standard"


class TaxCalculation(msgspec.Struct, frozen=True, kw_only=True):
    """What a calculation said. *taxes* are by line, in the order's order; *rates* by tax category, freight's as the
    standard one; *reason* is Stripe's own for the first line. *digest* is of all this.
    """

    id: str
    taxes: tuple[str, ...]
    freight_tax: str
    rates: tuple[TaxRate, ...]
    reason: str
    digest: str

    def percent(self, category: str) -> str:
        percents = {rate.category: rate.percent for rate in self.rates}
        return percents.get(category, percents[STANDARD])


def asked_of_stripe(
    quote: Quote, freight: Money, *, address: dict[str, str], vat_number: str | None, exempt: bool
) -> dict[str, Any]:
    """The request for a *quote* without refused lines: its net amounts, spread to whole cents as the order's are."""
    if quote.net is None:
        raise ValueError("a quote with refused lines has no tax")
    lines = _lines(quote)
    parts = quote.net.allocate([Amount.parse(line.net, quote.currency).trillionths for line in lines])
    customer: dict[str, Any] = {"address": address, "address_source": "shipping"}
    if vat_number is not None:
        customer["tax_ids"] = [{"type": "eu_vat", "value": vat_number}]
    if exempt:
        customer["taxability_override"] = "customer_exempt"
    return {
        "currency": quote.currency.lower(),
        "line_items": [
            {
                "amount": to_stripe(part),
                "quantity": 1,
                "reference": f"{position} {line.sku}",
                "tax_behavior": "exclusive",
                "tax_code": CODES.get(line.tax_category, CODES[STANDARD]),
            }
            for position, (line, part) in enumerate(zip(lines, parts, strict=True), start=1)
        ],
        "shipping_cost": {"amount": to_stripe(freight), "tax_behavior": "exclusive", "tax_code": FREIGHT_CODE},
        "customer_details": customer,
        "expand": ["line_items.data.tax_breakdown"],
    }


def without_place(request: dict[str, Any]) -> dict[str, Any]:
    """What of a request may be kept for ever: of where the goods go, the country and the region that decide the tax."""
    customer = request["customer_details"]
    place = {name: text for name, text in customer["address"].items() if name in {"country", "state"}}
    return {**request, "customer_details": {**customer, "address": place}}


def read(answer: dict[str, Any], quote: Quote) -> TaxCalculation:
    """What Stripe answered about *quote*.

    :raises msgspec.ValidationError: when it is no calculation of these lines
    """
    raw = msgspec.convert(answer, _Raw)
    lines = _lines(quote)
    if raw.line_items is None or raw.shipping_cost is None:
        raise msgspec.ValidationError("the calculation has no lines or no freight")
    found = {item.reference: item for item in raw.line_items.data}
    wanted = [f"{position} {line.sku}" for position, line in enumerate(lines, start=1)]
    if sorted(found) != sorted(wanted) or raw.line_items.has_more:
        raise msgspec.ValidationError("the calculation is of other lines")
    taxes = [from_stripe(found[name].amount_tax, raw.currency) for name in wanted]
    freight_tax = from_stripe(raw.shipping_cost.amount_tax, raw.currency)
    if sum(taxes, freight_tax) != from_stripe(raw.tax_amount_exclusive, raw.currency):
        raise msgspec.ValidationError("the calculation's parts are not its tax")
    rates = {line.tax_category: _percent(found[name].tax_breakdown) for line, name in zip(lines, wanted, strict=True)}
    rates.setdefault(STANDARD, _percent(raw.shipping_cost.tax_breakdown))
    reasons = [each.taxability_reason for name in wanted for each in found[name].tax_breakdown or ()]
    kept: dict[str, Any] = {
        "id": raw.id,
        "taxes": [tax.decimal for tax in taxes],
        "freight_tax": freight_tax.decimal,
        "rates": [{"category": category, "percent": percent} for category, percent in sorted(rates.items())],
        "reason": reasons[0] if reasons else "",
    }
    return msgspec.convert(kept | {"digest": digest(kept)}, TaxCalculation)


def with_taxes(quote: Quote, calculation: TaxCalculation) -> Quote:
    """*quote* with the calculation's amounts in place of what its rates came to.

    :raises ValueError: when the calculation is of another number of lines
    """
    lines = _lines(quote)
    if quote.net is None or len(lines) != len(calculation.taxes):
        raise ValueError("the calculation is of another quote")
    tax = sum((Money.parse(each, quote.currency) for each in calculation.taxes), Money.zero(quote.currency))
    return msgspec.structs.replace(
        quote,
        lines=tuple(
            msgspec.structs.replace(
                line,
                tax=each,
                tax_percent=calculation.percent(line.tax_category),
                total=f"{Decimal(line.net) + Decimal(each):f}",
            )
            for line, each in zip(lines, calculation.taxes, strict=True)
        ),
        tax=tax,
        total=quote.net + tax,
    )


def _lines(quote: Quote) -> Sequence[PricedLine]:
    return [line for line in quote.lines if isinstance(line, PricedLine)]


def _percent(breakdown: "list[_RawBreakdown] | None") -> str:
    """Of all jurisdictions together, in normal form."""
    percents = [each.tax_rate_details for each in breakdown or ()]
    return normal(f"{sum((Decimal(each.percentage_decimal) for each in percents if each), Decimal(0)):f}")


class _RawRate(msgspec.Struct):
    percentage_decimal: str


class _RawBreakdown(msgspec.Struct):
    taxability_reason: str
    tax_rate_details: _RawRate | None = None


class _RawItem(msgspec.Struct):
    reference: str
    amount_tax: int
    tax_breakdown: list[_RawBreakdown] | None = None


class _RawItems(msgspec.Struct):
    data: list[_RawItem]
    has_more: bool


class _RawShipping(msgspec.Struct):
    amount_tax: int
    tax_breakdown: list[_RawBreakdown] | None = None


class _Raw(msgspec.Struct):
    id: str
    currency: str
    tax_amount_exclusive: int
    line_items: _RawItems | None = None
    shipping_cost: _RawShipping | None = None
