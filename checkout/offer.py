"""A cart's price for one buyer, place and instant: engine, tax and freight put together. Pure."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from accounts.principal import BuyerCompany
from catalog.views import SkuView
from checkout import freight, tax
from checkout.freight import FreightDecision, FreightTable
from checkout.model import Cart, CartLine
from checkout.tax import TaxDecision, TaxTable
from checkout.tax_calculation import with_taxes
from checkout.totals import add_up
from checkout.views import CartQuote, PricedCart, PricedCartLine
from kernel.money import Money, normal
from pricing.engine import Book, quote
from pricing.engine.request import Buyer, LineRequest, PricedLine, QuoteRequest, RefusedLine

_STEP: Final = Decimal("0.000001")


class Books(Protocol):
    """The book in force at an instant, and one by its root: `pricing.books.PriceBooks`."""

    def at(self, at: datetime) -> Book: ...
    async def load(self, root: str) -> Book: ...


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, as far as it is known. *assumed*: the buyer has not said it yet."""

    country: str
    postal_code: str
    tax_id: str | None
    assumed: bool


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """The data tax and freight are decided by."""

    tax: TaxTable = tax.TABLE
    freight: FreightTable = freight.TABLE


DEFAULT_TABLES: Final = Tables()


def delivery_for(company: BuyerCompany | None, country: str | None) -> Delivery:
    """Before a ship-to address: the country asked about, else the company's, else the house's own."""
    return Delivery(
        country=country or (company.country if company is not None else tax.HOME),
        postal_code="",
        tax_id=None if company is None else company.counting_tax_id(company.tax_id),
        assumed=country is None,
    )


def price_cart(
    cart: Cart | None,
    lines: Sequence[CartLine],
    skus: dict[str, SkuView],
    *,
    company: BuyerCompany | None,
    delivery: Delivery,
    currency: str,
    book: Book,
    tables: Tables,
    at: datetime,
    taxed_at: datetime,
    signed_quote: CartQuote | None = None,
    decided: TaxDecision | None = None,
) -> PricedCart:
    """Price *lines* (of *cart*) for *company*, None being a guest, at *at*, and tax them as of *taxed_at*.

    :param decided: the tax, where it was calculated elsewhere; else the tables decide it
    :param skus: the catalogue's facts of the lines' SKUs; unknown ones are absent
    """
    decision = decided or tax.decide(
        country=delivery.country,
        postal_code=delivery.postal_code,
        tax_id=delivery.tax_id if company is None else company.counting_tax_id(delivery.tax_id),
        certificate=None if company is None else company.exemption(delivery.country, taxed_at.date()),
        categories=frozenset(skus[line.sku].tax_category for line in lines if line.sku in skus),
        on=taxed_at.date(),
        table=tables.tax,
    )
    answer = quote(
        QuoteRequest(
            buyer=Buyer(
                company=None if company is None else company.code,
                segments=() if company is None else company.segments,
                country=delivery.country,
            ),
            currency=currency,
            lines=tuple(
                LineRequest(sku=line.sku, unit=line.unit, quantity=quantity_text(line.quantity)) for line in lines
            ),
            tax=decision.input(),
        ),
        book=book,
        at=at,
    )
    if decision.calculation is not None:
        answer = with_taxes(answer, decision.calculation)
    consignment, refusal = None, None
    if lines and answer.net is not None:
        try:
            consignment = _freight(lines, skus, answer.net, delivery, tables.freight)
        except freight.FreightNotKnown as error:
            refusal = error.message
    asked = base_quantities(lines, skus)
    return PricedCart(
        id=None if cart is None else cart.id,
        version=0 if cart is None else cart.version,
        currency=currency,
        at=at,
        country=delivery.country,
        country_assumed=delivery.assumed,
        lines=tuple(
            _line(line, outcome, skus.get(line.sku), asked) for line, outcome in zip(lines, answer.lines, strict=True)
        ),
        quote=answer,
        totals=None if consignment is None else add_up(answer, decision, consignment),
        tax=decision,
        freight=consignment,
        freight_refusal=refusal,
        signed_quote=signed_quote,
        skus=skus,
    )


def base_quantity(quantity: Decimal, unit: str, sku: SkuView) -> Decimal | None:
    """*quantity* of *unit* in base units, to the six decimals stock counts, rounded up; None for an unknown unit."""
    factor = sku.factor(unit)
    return None if factor is None else (quantity * factor).quantize(_STEP, rounding="ROUND_UP")


def base_quantities(lines: Sequence[CartLine], skus: dict[str, SkuView]) -> dict[str, Decimal]:
    """Base units by SKU, all units of it together; what can't be converted is left out."""
    totals: dict[str, Decimal] = {}
    for line in lines:
        sku = skus.get(line.sku)
        quantity = None if sku is None else base_quantity(line.quantity, line.unit, sku)
        if quantity is not None:
            totals[line.sku] = totals.get(line.sku, Decimal(0)) + quantity
    return totals


def quantity_text(quantity: Decimal) -> str:
    """The normal decimal string of a stored quantity: `12.500000` -> `12.5`."""
    return normal(f"{quantity:f}")


def _line(
    line: CartLine, outcome: PricedLine | RefusedLine, sku: SkuView | None, asked: dict[str, Decimal]
) -> PricedCartLine:
    factor = None if sku is None else sku.factor(line.unit)
    return PricedCartLine(
        position=line.position,
        sku=line.sku,
        unit=line.unit,
        quantity=quantity_text(line.quantity),
        names=None if sku is None else sku.names,
        priced=outcome if isinstance(outcome, PricedLine) else None,
        refused=outcome if isinstance(outcome, RefusedLine) else None,
        available=None if sku is None or not factor else (sku.available / factor).quantize(_STEP, "ROUND_DOWN"),
        short=sku is not None and asked.get(line.sku, Decimal(0)) > sku.available,
    )


def _freight(
    lines: Sequence[CartLine],
    skus: dict[str, SkuView],
    goods: Money,
    delivery: Delivery,
    table: FreightTable,
) -> FreightDecision:
    quantities = base_quantities(lines, skus)
    return freight.decide(
        country=delivery.country,
        postal_code=delivery.postal_code,
        goods=goods,
        weights={code: (quantity, skus[code].weight_grams) for code, quantity in quantities.items()},
        table=table,
    )
