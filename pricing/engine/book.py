"""The nouns of a price book: everything a price depends on, as one immutable content.

Numbers are decimal strings (`"8.4"`), instants UTC datetimes, periods half-open: `starts_at` belongs to it, `ends_at`
does not. Codes are unique within their kind. Content read from JSON is checked by these types; `check.py` says what
else a publication needs, and `MemoryBook` refuses what cannot be priced.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from kernel.money import Mode

Code = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
# one normal form: no trailing zero, no "-0", so that equal content has equal bytes
DecimalText = Annotated[
    str, Meta(max_length=32, pattern=r"^(0|-?(0\.[0-9]{0,11}[1-9]|[1-9][0-9]{0,17}(\.[0-9]{0,11}[1-9])?))\Z")
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
Instant = Annotated[datetime, Meta(tz=True)]
Decimals = Annotated[int, Meta(ge=0, le=12)]


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of all book nouns. They hold no cycles, so the garbage collector need not look at them."""


# --- Rounding and strategy ---


class Strategy(StrEnum):
    MOST_SPECIFIC = "most_specific"
    LOWEST = "lowest"
    MERGE_BREAKS = "merge_breaks"


class TaxLevel(StrEnum):
    UNIT = "unit"
    LINE = "line"
    ORDER = "order"


class Rounding(Noun, frozen=True, kw_only=True):
    """*decimals* None: the currency's."""

    decimals: Decimals | None = None
    mode: Mode = Mode.HALF_UP


class RoundingPolicy(Noun, frozen=True, kw_only=True):
    unit: Rounding = Rounding()
    line: Rounding = Rounding()
    tax: Rounding = Rounding()
    round_unit: bool = True
    tax_level: TaxLevel = TaxLevel.LINE


# --- Who and what a rule speaks of ---


class Audience(Noun, frozen=True, kw_only=True):
    """Everything stated must match; nothing stated means everyone. *segments*, *countries*: any one of them."""

    company: Code | None = None
    segments: tuple[Code, ...] = ()
    countries: tuple[Country, ...] = ()


EVERYONE = Audience()


class Scope(Noun, frozen=True, kw_only=True):
    """The SKUs named, those of the categories (paths like `seating/chairs`, their subtrees included) and brands, or
    everything; less the exclusions. A scope that names nothing matches nothing.
    """

    everything: bool = False
    skus: tuple[Code, ...] = ()
    categories: tuple[Code, ...] = ()
    brands: tuple[Code, ...] = ()
    excluded_skus: tuple[Code, ...] = ()
    excluded_categories: tuple[Code, ...] = ()
    excluded_brands: tuple[Code, ...] = ()


class Titles(Noun, frozen=True, kw_only=True):
    """What a buyer reads as a rule's name."""

    en: str
    es: str


# --- SKU facts ---


class UnitFact(Noun, frozen=True, kw_only=True):
    """One *unit* is *factor* base units (decimal string, positive); quantities of it have up to *decimals*."""

    unit: Code
    factor: DecimalText = "1"
    decimals: Decimals = 0


class SkuFacts(Noun, frozen=True, kw_only=True):
    """What rules may ask of a SKU. The base unit is the first of *units*, with factor 1."""

    sku: Code
    units: Annotated[tuple[UnitFact, ...], Meta(min_length=1)] = (UnitFact(unit="each"),)
    categories: tuple[Code, ...] = ()
    brand: Code | None = None
    break_group: Code | None = None
    tax_category: Code = "standard"


class Cost(Noun, frozen=True, kw_only=True):
    """A leaf of its own: no buyer's answer, trace, export or proof reveals it. *cost* is of one base unit, net."""

    sku: Code
    currency: Currency
    cost: DecimalText


# --- Lists and rows ---


class PriceList(Noun, frozen=True, kw_only=True):
    code: Code
    currency: Currency
    audience: Audience = EVERYONE
    priority: int = 0
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    tax_included: bool = False
    mergeable: bool = False
    titles: Titles | None = None


class Tier(Noun, frozen=True, kw_only=True):
    """Reached from a quantity on (*from_*, inclusive, written `from`) or above one (*above*, exclusive); one of the
    two is stated. The last tier is open. *flat_fee* is charged once.
    """

    from_: DecimalText | None = msgspec.field(default=None, name="from")
    above: DecimalText | None = None
    unit_price: DecimalText
    flat_fee: DecimalText = "0"


class RowModel(StrEnum):
    FLAT = "flat"
    VOLUME = "volume"
    GRADUATED = "graduated"
    PACKAGE = "package"


class Package(Noun, frozen=True, kw_only=True):
    """*size* units make a package, whole ones are charged, rounded *up* or down; *free* units are taken first. A
    tier prices its slice of packages, or (*whole_quantity*) the reached one prices all.
    """

    size: DecimalText
    round_up: bool = True
    free: DecimalText = "0"
    whole_quantity: bool = False


class PriceRow(Noun, frozen=True, kw_only=True):
    """One SKU's price in one list and unit. Tiers ascend; `flat` has one. Key: list, sku, unit, starts_at."""

    list: Code
    sku: Code
    unit: Code
    tiers: Annotated[tuple[Tier, ...], Meta(min_length=1)]
    model: RowModel = RowModel.FLAT
    package: Package | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None


# --- Adjustments ---


class Level(StrEnum):
    UNIT = "unit"
    LINE = "line"
    ORDER = "order"


class Combine(StrEnum):
    SEQUENCE = "sequence"
    SUM = "sum"


class Pick(StrEnum):
    PRIORITY = "priority"
    LOWEST = "lowest"


class Group(Noun, frozen=True, kw_only=True):
    code: Code
    pick: Pick = Pick.PRIORITY


class Layer(Noun, frozen=True, kw_only=True):
    """A stage of adjustment. Layers of a level run in the book's order; each group gives one rule at most, and the
    layer combines them in the order of *groups*.
    """

    code: Code
    level: Level
    combine: Combine = Combine.SEQUENCE
    groups: Annotated[tuple[Group, ...], Meta(min_length=1)]


class Conditions(Noun, frozen=True, kw_only=True):
    """All stated must hold; every bound is inclusive. Quantities count base units, of the break group where the SKU
    has one. Amounts are net, and need exactly one currency in *currencies*.
    """

    min_quantity: DecimalText | None = None
    max_quantity: DecimalText | None = None
    min_line_amount: DecimalText | None = None
    max_line_amount: DecimalText | None = None
    min_subtotal: DecimalText | None = None
    max_subtotal: DecimalText | None = None
    currencies: tuple[Currency, ...] = ()
    countries: tuple[Country, ...] = ()


class PercentEffect(Noun, frozen=True, kw_only=True, tag="percent"):
    """*percent* off; with *surcharge*, on top. Unit, line and order level."""

    percent: DecimalText
    surcharge: bool = False


class AmountEffect(Noun, frozen=True, kw_only=True, tag="amount"):
    """*amount* off; with *surcharge*, on top. On the unit level it is of one base unit."""

    amount: DecimalText
    surcharge: bool = False


class FixedPriceEffect(Noun, frozen=True, kw_only=True, tag="fixed_price"):
    """The price of one base unit. Unit level only."""

    price: DecimalText


class PercentStep(Noun, frozen=True, kw_only=True):
    from_: DecimalText = msgspec.field(name="from")
    percent: DecimalText


class QuantityTableEffect(Noun, frozen=True, kw_only=True, tag="quantity_table"):
    """Percent off by quantity; below the first step none. Unit and line level."""

    steps: Annotated[tuple[PercentStep, ...], Meta(min_length=1)]


class BuyGetEffect(Noun, frozen=True, kw_only=True, tag="buy_get"):
    """Of every complete set of *buy* + *get* base units, *get* are free. Line level only."""

    buy: DecimalText
    get: DecimalText


Effect = PercentEffect | AmountEffect | FixedPriceEffect | QuantityTableEffect | BuyGetEffect


class Adjustment(Noun, frozen=True, kw_only=True):
    """A rule that changes a price. Of one group, the higher *priority* wins."""

    code: Code
    layer: Code
    group: Code
    effect: Effect
    scope: Scope
    audience: Audience = EVERYONE
    conditions: Conditions = Conditions()
    priority: int = 0
    exclusive: bool = False
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    titles: Titles


# --- Bounds and quantity rules ---


class Side(StrEnum):
    FLOOR = "floor"
    CEILING = "ceiling"


class CurrencyPrice(Noun, frozen=True, kw_only=True):
    currency: Currency
    price: DecimalText


class PriceLimit(Noun, frozen=True, kw_only=True, tag="price"):
    """Net, of one base unit, in each currency it covers; a line in another currency is refused."""

    prices: Annotated[tuple[CurrencyPrice, ...], Meta(min_length=1)]


class MarginLimit(Noun, frozen=True, kw_only=True, tag="margin"):
    """Of the net price over cost: (price - cost) / price, in percent, below 100. Covers the currencies of the cost."""

    percent: DecimalText


class Bound(Noun, frozen=True, kw_only=True):
    """A floor or ceiling on the unit price. Of several, the strictest wins. *disclosed*: a trace may name it."""

    code: Code
    side: Side
    scope: Scope
    limit: PriceLimit | MarginLimit
    disclosed: bool = False


class QuantityRule(Noun, frozen=True, kw_only=True):
    """On quantities asked in *unit*; None: on the quantity in base units, whatever unit was asked."""

    code: Code
    scope: Scope
    unit: Code | None = None
    minimum: DecimalText | None = None
    maximum: DecimalText | None = None
    multiple: DecimalText | None = None


# --- The whole ---


class BookContent(Noun, frozen=True, kw_only=True):
    """A whole book. `root` names it."""

    strategy: Strategy = Strategy.MOST_SPECIFIC
    policy: RoundingPolicy = RoundingPolicy()
    lists: tuple[PriceList, ...] = ()
    rows: tuple[PriceRow, ...] = ()
    layers: tuple[Layer, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    bounds: tuple[Bound, ...] = ()
    quantity_rules: tuple[QuantityRule, ...] = ()
    skus: tuple[SkuFacts, ...] = ()
    costs: tuple[Cost, ...] = ()


class Frame(Noun, frozen=True, kw_only=True):
    """The small rest of a book: everything that is not per SKU. Fits in memory whatever the catalogue's size."""

    strategy: Strategy
    policy: RoundingPolicy
    lists: tuple[PriceList, ...]
    layers: tuple[Layer, ...]
    adjustments: tuple[Adjustment, ...]
    bounds: tuple[Bound, ...]
    quantity_rules: tuple[QuantityRule, ...]


class SkuEntry(Noun, frozen=True, kw_only=True):
    """All that is per SKU: facts, its rows over all lists, its costs."""

    facts: SkuFacts
    rows: tuple[PriceRow, ...]
    costs: tuple[Cost, ...] = ()
