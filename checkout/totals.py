"""What an order comes to: the quote's goods, freight, and the tax on both. Every part is shown; the parts add up."""

from collections.abc import Sequence
from typing import Final

import msgspec

from checkout.freight import FreightDecision
from checkout.tax import STANDARD, TaxDecision, TaxTreatment
from kernel.money import Amount, Mode, Money, divide, normal, ratio
from pricing.engine.request import PricedLine, Quote


class TaxRow(msgspec.Struct, frozen=True, kw_only=True):
    """The tax of one rate: *percent* of *taxable* (goods and freight), as the book's policy rounds it."""

    percent: str
    taxable: Money
    tax: Money


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """goods + freight + tax == total; *tax_rows* add up to *tax*, their taxable amounts to goods + freight."""

    goods: Money
    freight: Money
    freight_tax: Money
    tax: Money
    total: Money
    tax_rows: tuple[TaxRow, ...]
    treatment: TaxTreatment
    tax_country: str
    weight_grams: int
    freight_free_from: Money | None


_HUNDRED: Final = 100


def add_up(quote: Quote, tax: TaxDecision, freight: FreightDecision) -> Totals:
    """Add up a *quote* that was asked with `tax.input()` and has no refused line.

    Freight bears the standard rate, rounded half up on its own.
    """
    if quote.net is None or quote.tax is None:
        raise ValueError("a quote with refused lines, or asked without tax, has no totals")
    percent = normal(tax.percent(STANDARD))
    numerator, denominator = ratio(percent)
    freight_tax = Money(divide(freight.freight.minor * numerator, denominator * _HUNDRED, Mode.HALF_UP), quote.currency)
    computed = freight_tax
    lines = [line for line in quote.lines if isinstance(line, PricedLine)]
    rows = _rows(lines, tax, quote.net, quote.tax)
    rows[percent] = _plus(rows.get(percent), percent, freight.freight, freight_tax)
    if tax.calculation is not None:
        freight_tax = Money.parse(tax.calculation.freight_tax, quote.currency)
        rows[percent] = msgspec.structs.replace(rows[percent], tax=rows[percent].tax - computed + freight_tax)
    total_tax = quote.tax + freight_tax
    return Totals(
        goods=quote.net,
        freight=freight.freight,
        freight_tax=freight_tax,
        tax=total_tax,
        total=quote.net + freight.freight + total_tax,
        tax_rows=tuple(row for row in rows.values() if row.taxable or row.tax),
        treatment=tax.treatment,
        tax_country=tax.country,
        weight_grams=freight.weight_grams,
        freight_free_from=freight.free_from,
    )


def _rows(lines: Sequence[PricedLine], decision: TaxDecision, net: Money, tax: Money) -> dict[str, TaxRow]:
    """By percent, highest first. The policy may keep fractions of a cent per line or round tax per order: the parts
    are the whole spread by weight, so that they add up.
    """
    by_percent: dict[str, list[PricedLine]] = {}
    for line in lines:
        by_percent.setdefault(normal(decision.percent(line.tax_category)), []).append(line)
    percents = sorted(by_percent, key=lambda percent: ratio(percent)[0] / ratio(percent)[1], reverse=True)
    if not percents:
        return {}
    taxables = net.allocate([_sum(by_percent[percent], "net", net.currency) for percent in percents])
    taxes = tax.allocate([_sum(by_percent[percent], "tax", net.currency) for percent in percents])
    return {
        percent: TaxRow(percent=percent, taxable=taxable, tax=part)
        for percent, taxable, part in zip(percents, taxables, taxes, strict=True)
    }


def _sum(lines: Sequence[PricedLine], part: str, currency: str) -> int:
    return sum(Amount.parse(getattr(line, part) or "0", currency).trillionths for line in lines)


def _plus(row: TaxRow | None, percent: str, taxable: Money, tax: Money) -> TaxRow:
    if row is None:
        return TaxRow(percent=percent, taxable=taxable, tax=tax)
    return TaxRow(percent=percent, taxable=row.taxable + taxable, tax=row.tax + tax)
