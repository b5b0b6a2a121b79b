"""The API's own nouns: what goes over the wire. Renaming anything inside never changes them.

Requests are checked by their types alone, so that the published schema says exactly what is taken. Answers have no
defaults: every member is always there. Amounts are decimal strings with a currency, instants are UTC.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from accounts import tax

LINES_MOST: Final = 500
QUANTITY: Final = r"^(?:[1-9][0-9]{0,17}(?:\.[0-9]{1,12})?|0\.[0-9]{0,11}[1-9]0{0,11})$"
CODE: Final = r"^[^\u0000-\u001f\u007f]+$"
CURRENCY: Final = "^[A-Z]{3}$"
COUNTRY: Final = "^[A-Z]{2}$"
COUNTRIES: Final = sorted(tax.COUNTRIES)
ROOT: Final = "^sha256:[0-9a-f]{64}$"

Sku = Annotated[str, Meta(min_length=1, max_length=64, pattern=CODE, description="Code of a SKU.")]
Unit = Annotated[
    str,
    Meta(min_length=1, max_length=64, pattern=CODE, description="Unit of measure, such as `each` or `box`."),
]
Quantity = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=32,
        pattern=QUANTITY,
        description="Decimal string above zero: at most 18 digits and 12 decimals. `12`, `2.5`.",
    ),
]
Currency = Annotated[
    str, Meta(min_length=3, max_length=3, pattern=CURRENCY, description="ISO 4217 code in capitals, such as `EUR`.")
]
Country = Annotated[
    str,
    Meta(
        min_length=2, max_length=2, pattern=COUNTRY, description="Country of delivery, ISO 3166-1 alpha-2, as in `ES`."
    ),
]
AskedCountry = Annotated[Country, Meta(extra_json_schema={"enum": COUNTRIES})]
Root = Annotated[str, Meta(pattern=ROOT, description="Names the content of a price book: the root of its Merkle tree.")]
Decimal = Annotated[str, Meta(pattern=r"^-?[0-9]+(?:\.[0-9]+)?$", description="Decimal string.")]
Ratio = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]+(?:\.[0-9]+|/[0-9]+)?$",
        description="Exact number: a decimal string, or `n/d` where the decimals never end.",
    ),
]
Instant = Annotated[datetime, Meta(tz=True, description="Instant in UTC.")]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Language = Literal["en", "es"]
QueryCurrency = Annotated[Currency, Meta(description="ISO 4217 code. Absent: your company's currency, or EUR.")]
QueryCountry = Annotated[
    AskedCountry,
    Meta(description="Country of delivery, ISO 3166-1 alpha-2. Absent: your company's, or the seller's own."),
]
QueryLanguage = Annotated[Language, Meta(description="Language of the texts in the answer.")]


class Treatment(StrEnum):
    """How tax was counted: rates applied, the buyer accounts for it, or none is due."""

    STANDARD = "standard"
    REVERSE_CHARGE = "reverse_charge"
    EXEMPT = "exempt"


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of requests: a member we do not know is refused, for it would be ignored otherwise."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of answers. None can hold itself, so cyclic collection need not look at the hundreds that a cart takes."""


# --- Requests ---


class AskedLine(Asked, frozen=True, kw_only=True):
    """One SKU in one unit. Lines of the same SKU and unit are priced as one. Without a unit: the SKU's base unit."""

    sku: Sku
    quantity: Quantity
    unit: Unit | None = None


class QuoteAsked(Asked, frozen=True, kw_only=True):
    """What to price. Without a currency: your company's, or EUR. Without a country of delivery: your company's, or the
    seller's own; the answer says that it was assumed. Prices are those of the instant at which the request arrives.
    """

    lines: Annotated[tuple[AskedLine, ...], Meta(min_length=1, max_length=LINES_MOST, description="At most 500 lines.")]
    currency: Currency | None = None
    country: AskedCountry | None = None
    language: QueryLanguage = "en"


class SignedQuoteAsked(QuoteAsked, frozen=True, kw_only=True):
    """What to price and promise. `valid_days` absent: 30, or what the seller allows. `language` is the terms'."""

    # JSON has no integers: 30.0 is 30, and multiples of 1 say so
    valid_days: (
        Annotated[float, Meta(ge=1, le=3650, multiple_of=1, description="For how many days of 24 hours.")] | None
    ) = None


class QuoteDocumentAsked(Asked, frozen=True, kw_only=True):
    """Query of a signed quote's document."""

    language: Annotated[Language, Meta(description="Absent: the language of the quote's terms.")] | UnsetType = UNSET


class PriceAsked(Asked, frozen=True, kw_only=True):
    """Query of a price."""

    unit: Annotated[Unit, Meta(description="Absent: the SKU's base unit.")] | UnsetType = UNSET
    quantity: Annotated[Quantity, Meta(description="Absent: the least on the ladder.")] | UnsetType = UNSET
    currency: QueryCurrency | UnsetType = UNSET
    country: QueryCountry | UnsetType = UNSET
    language: QueryLanguage = "en"


class FeedAsked(Asked, frozen=True, kw_only=True):
    """Query of the feed."""

    currency: QueryCurrency | UnsetType = UNSET
    country: QueryCountry | UnsetType = UNSET


class OrdersAsked(Asked, frozen=True, kw_only=True):
    """Query of the list of orders."""

    limit: Annotated[int, Meta(ge=1, le=200, description="How many at most.")] = 50
    before: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=40,
                pattern=CODE,
                description="Number of an order: list those placed before it. None for a number that is not yours.",
            ),
        ]
        | UnsetType
    ) = UNSET


class OrderAsked(Asked, frozen=True, kw_only=True):
    """Query of an order."""

    language: QueryLanguage = "en"


# --- Answers: prices ---


class Money(Answer, frozen=True, kw_only=True):
    """An amount of money."""

    amount: Decimal
    currency: Currency


class Step(Answer, frozen=True, kw_only=True):
    """One change of the running amount. `rule` is the code of the price list or rule that made it, null for arithmetic
    and for a bound the seller does not disclose. `reason` is a stable code; `text` says it in words.
    """

    phase: str
    reason: str
    rule: str | None
    text: str
    before: Ratio | None
    after: Ratio
    params: dict[str, str]


class Loser(Answer, frozen=True, kw_only=True):
    """A rule or price list that concerns this buyer and did not act, and why."""

    phase: str
    rule: str
    reason: str
    text: str
    params: dict[str, str]


class NextBreak(Answer, frozen=True, kw_only=True):
    """Ordering `more` units reaches `quantity`, from which the list price is `unit_price` for one `unit`."""

    quantity: Decimal
    more: Decimal
    unit_price: Money
    unit: str
    text: str


class Cliff(Answer, frozen=True, kw_only=True):
    """Ordering `quantity`, which is more than asked for, costs less: `subtotal` for the line."""

    quantity: Decimal
    subtotal: Money
    text: str


class Trace(Answer, frozen=True, kw_only=True):
    """How the price came about: the steps lead from the list's price to the subtotal, exactly."""

    list: str
    row_unit: str
    row_quantity: Ratio
    tier_quantity: Ratio
    steps: tuple[Step, ...]
    losers: tuple[Loser, ...]
    losers_left_out: Count
    next_break: NextBreak | None
    cliff: Cliff | None


class PricedLine(Answer, frozen=True, kw_only=True, tag="priced", tag_field="outcome"):
    """A line with its price. `requested` numbers (from 0) the lines asked for that became this one. `unit_price` is
    that of one `price_unit`, null where tiers price the line as a whole; `list_price` is it before adjustments.
    `subtotal` is the line before order-wide adjustments (with tax where `tax_included`), `order_adjustment` what those
    changed, `net` the line after them without tax, `total` the net plus `tax`. `valid_until`: unless prices are
    published before, the next instant at which this price may change; null for never.
    """

    requested: tuple[Count, ...]
    sku: str
    unit: str
    quantity: Decimal
    price_unit: str
    unit_price: Money | None
    list_price: Money | None
    tax_included: bool
    tax_category: str
    tax_percent: Decimal | None
    subtotal: Money
    order_adjustment: Money
    net: Money
    tax: Money | None
    total: Money
    valid_until: Instant | None
    trace: Trace


class RefusedLine(Answer, frozen=True, kw_only=True, tag="refused", tag_field="outcome"):
    """A line that cannot be priced. `reason` is a stable code, `text` says what to do about it."""

    requested: tuple[Count, ...]
    sku: str
    unit: str | None
    quantity: str
    reason: str
    text: str
    params: dict[str, str]
    valid_until: Instant | None


class Totals(Answer, frozen=True, kw_only=True):
    """What the goods come to, without freight, which needs an address and is added in checkout. `subtotal` adds up the
    lines' subtotals; `net` and `tax` add up to `total`.
    """

    subtotal: Money
    net: Money
    tax: Money
    total: Money


class Rounding(Answer, frozen=True, kw_only=True):
    """To how many decimals (null: the currency's) and how."""

    decimals: Count | None
    mode: str


class RoundingPolicy(Answer, frozen=True, kw_only=True):
    """How the price book rounds unit prices (where `round_unit`), lines and tax, and at which level tax is counted."""

    unit: Rounding
    line: Rounding
    tax: Rounding
    round_unit: bool
    tax_level: str


class QuoteAnswer(Answer, frozen=True, kw_only=True):
    """Prices of all lines for one buyer at one instant, in the order asked. With a refused line there are no totals:
    the part that can be priced is never charged alone. `company` is null for public prices.
    """

    root: Root
    at: Instant
    company: str | None
    currency: Currency
    country: Country
    country_assumed: bool
    tax_treatment: Treatment
    policy: RoundingPolicy
    lines: tuple[PricedLine | RefusedLine, ...]
    order_steps: tuple[Step, ...]
    order_losers: tuple[Loser, ...]
    totals: Totals | None
    valid_until: Instant | None


class Rung(Answer, frozen=True, kw_only=True):
    """From `quantity` on, until the next rung, units are priced like this. `subtotal` is that of a line of exactly
    `quantity`; `each` is it by the quantity, for reading and plotting.
    """

    quantity: Decimal
    unit_price: Money | None
    price_unit: str
    each: Money
    subtotal: Money
    list: str


class PriceAnswer(Answer, frozen=True, kw_only=True):
    """The price of one line, alone in its order, and the quantities at which the price changes. `ladder_cut`: the SKU
    has more rungs than are shown.
    """

    root: Root
    sku: str
    company: str | None
    currency: Currency
    country: Country
    country_assumed: bool
    price: PricedLine | RefusedLine
    ladder: tuple[Rung, ...]
    ladder_cut: bool
    valid_until: Instant | None


class Publication(Answer, frozen=True, kw_only=True):
    """A price book and the instant from which it is in force."""

    number: Count
    root: Root
    effective_at: Instant


class PriceBookAnswer(Answer, frozen=True, kw_only=True):
    """The price book in force, and those published to follow, the next first."""

    number: Count
    root: Root
    effective_at: Instant
    upcoming: tuple[Publication, ...]


# --- Answers: orders ---


class OrderState(StrEnum):
    """Where the order is. `payable`, `processing` and `authorised` wait for the payment; `paid` and `on_terms` are
    good; `closing` and `cancelling` are on their way to `lapsed` or `cancelled`.
    """

    AWAITING = "awaiting"
    SIGNING = "signing"
    PAYABLE = "payable"
    PROCESSING = "processing"
    AUTHORISED = "authorised"
    CLOSING = "closing"
    PAID = "paid"
    ON_TERMS = "on_terms"
    WRITTEN_OFF = "written_off"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class OrderSummary(Answer, frozen=True, kw_only=True):
    """An order in a list."""

    number: str
    id: UUID
    state: OrderState
    total: Money
    po_number: str | None
    placed_at: Instant
    paid_at: Instant | None


class OrderPage(Answer, frozen=True, kw_only=True):
    """Orders of your company, newest first. `next`: ask with `before` set to it for the orders before these; null at
    the end.
    """

    orders: tuple[OrderSummary, ...]
    next: str | None


class ShipTo(Answer, frozen=True, kw_only=True):
    """Where the goods go."""

    name: str
    line1: str
    line2: str
    postal_code: str
    city: str
    region: str
    country: Country


class OrderLine(Answer, frozen=True, kw_only=True):
    """A line as ordered. `unit_price` is that of one `price_unit`, null where tiers priced the line as a whole."""

    position: Count
    sku: str
    name: str
    unit: str
    quantity: Decimal
    price_unit: str
    unit_price: Money | None
    net: Money
    tax: Money
    tax_percent: Decimal
    trace: Trace


class OrderBasis(Answer, frozen=True, kw_only=True):
    """The one act that the order rests on: a person's `acceptance`, a `package` that several signed, or the `framework`
    agreement that a program cited, with its `id`. `digest` is that of what was presented and accepted: documents by
    version, statements, parties. `ledger_index` is the order's row in the acceptance ledger.
    """

    kind: Literal["acceptance", "framework", "package"]
    id: UUID
    digest: Annotated[str, Meta(pattern=ROOT)]
    ledger_index: Count


class OrderAnswer(Answer, frozen=True, kw_only=True):
    """An order of your company. `goods`, `freight` and `tax` add up to `total`. `price_root` and `priced_at` name the
    price book and the instant whose prices were accepted; `digest` is that of the order as it was signed. `net_days`:
    its invoice is due so long after it is made, null where it is paid at once; `pay_url` is then the page on which a
    person of your company pays, null when there is nothing to pay there.
    """

    number: str
    id: UUID
    state: OrderState
    goods: Money
    freight: Money
    tax: Money
    total: Money
    price_root: Root
    priced_at: Instant
    digest: str
    po_number: str | None
    tax_id: str | None
    ship_to: ShipTo
    basis: OrderBasis
    signed_quote: UUID | None
    placed_at: Instant
    net_days: Count | None
    pay_url: str | None
    pay_by: Instant | None
    paid_at: Instant | None
    closed_at: Instant | None
    lines: tuple[OrderLine, ...]


# --- Errors ---


class FieldError(Answer, frozen=True, kw_only=True):
    """Where in the request, and what is wrong there."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457. `type` is stable and leads to a page that explains it; `detail` says what to do this time. Some types
    have members of their own, such as `errors`.
    """

    type: Annotated[str, Meta(pattern=r"^/problems/[a-z0-9-]+$")]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    errors: tuple[FieldError, ...] | UnsetType = UNSET
