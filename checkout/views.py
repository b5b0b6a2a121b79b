"""What checkout tells pages, the API and the desk: plain values, apart from the mapped rows."""

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from agreements.asking import Quoted
from agreements.model import Presentation
from catalog.views import Names, SkuView
from checkout.credit import Credit
from checkout.freight import FreightDecision
from checkout.model import Checkout, Paying, ShipTo
from checkout.states import State
from checkout.tax import TaxDecision
from checkout.totals import Totals
from kernel.money import Money
from pricing.engine.request import PricedLine, Quote, RefusedLine

Void = Literal["expired", "ordered", "elsewhere"]
"""Why a signed quote in a cart has no effect."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A value made for one reader."""


class PricedCartLine(View, frozen=True, kw_only=True):
    """A line of the cart with its price or the reason there is none. *names* and *available* (in the line's unit) are
    None for a SKU the catalogue doesn't know any more.
    """

    position: int
    sku: str
    unit: str
    quantity: str
    names: Names | None
    priced: PricedLine | None
    refused: RefusedLine | None
    available: Decimal | None
    short: bool
    """There is less in stock than the cart asks for, over all its lines of the SKU."""


class CartQuote(View, frozen=True, kw_only=True):
    """The signed quote in a cart. *void*: None while it prices the cart; else `expired`, `ordered`, or `elsewhere` when
    the delivery goes to another country than *country*, and the prices are those of now.
    """

    id: uuid.UUID
    expires_at: datetime
    country: str
    void: Void | None
    keeps: Quoted
    """The documents it was issued with."""


class PricedCart(View, frozen=True, kw_only=True):
    """A cart as priced at *at* for delivery to *country*; *country_assumed* when the buyer has not said where to.

    *totals* is None when a line is refused, there is none, or freight is not known (*freight_refusal* says why): the
    part that can be priced is never shown as a total.
    """

    id: uuid.UUID | None
    version: int
    currency: str
    at: datetime
    country: str
    country_assumed: bool
    lines: tuple[PricedCartLine, ...]
    quote: Quote
    totals: Totals | None
    tax: TaxDecision
    freight: FreightDecision | None
    freight_refusal: str | None
    signed_quote: CartQuote | None
    skus: dict[str, SkuView]

    @property
    def orderable(self) -> bool:
        """Whether checkout can go on with it."""
        return self.totals is not None and not any(line.short for line in self.lines)

    @property
    def problems(self) -> tuple[PricedCartLine, ...]:
        return tuple(line for line in self.lines if line.refused is not None or line.short)


class PasteError(View, frozen=True, kw_only=True):
    """Line *line* (from 1) of a pasted list, as typed, and what is wrong with it: an error's slug, text and details."""

    line: int
    text: str
    problem: str
    message: str
    params: dict[str, Any]


class PasteReport(View, frozen=True, kw_only=True):
    added: int
    errors: tuple[PasteError, ...]


class Details(View, frozen=True, kw_only=True):
    """What the buyer typed on the details page."""

    ship_to: ShipTo
    email: str | None = None
    po_number: str | None = None
    tax_id: str | None = None


class CheckoutView(View, frozen=True, kw_only=True):
    id: uuid.UUID
    cart_id: uuid.UUID
    state: State
    version: int
    locale: str
    email: str | None
    ship_to: ShipTo | None
    po_number: str | None
    tax_id: str | None
    details_saved_at: datetime | None
    currency: str
    paying: Paying

    @classmethod
    def of(cls, checkout: Checkout) -> "CheckoutView":
        return cls(
            id=checkout.id,
            cart_id=checkout.cart_id,
            state=checkout.state,
            version=checkout.version,
            locale=checkout.locale,
            email=checkout.email,
            ship_to=None if checkout.ship_to is None else msgspec.convert(checkout.ship_to, ShipTo),
            po_number=checkout.po_number,
            tax_id=checkout.tax_id,
            details_saved_at=checkout.details_saved_at,
            currency=checkout.currency,
            paying=checkout.paying,
        )


class Review(View, frozen=True, kw_only=True):
    """The last page before the order. *previous_total* is set when the total is another than the one shown before:
    the page says so above everything else. *credit*: the company's, where it may pay by invoice; *pay_by*
    is None where it does.
    """

    checkout: CheckoutView
    cart: PricedCart
    totals: Totals
    presentation: Presentation
    previous_total: Money | None
    credit: Credit | None
    net_days: int | None
    """After how many days the order's invoice is due; None: it is paid at once."""
    pay_by: datetime | None
