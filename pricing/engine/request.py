"""What the engine is asked and what it answers. Amounts are decimal strings in the answer's currency.

The same request, book and instant give the same bytes, in every channel. Texts are not here: steps and losers carry
codes and parameters, and `explain.py` words them in the reader's language.
"""

from enum import StrEnum

import msgspec

from kernel.money import Money
from pricing.engine.book import (
    Code,
    Country,
    Currency,
    DecimalText,
    Instant,
    Noun,
    RoundingPolicy,
    Titles,
)


class Treatment(StrEnum):
    STANDARD = "standard"
    REVERSE_CHARGE = "reverse_charge"
    EXEMPT = "exempt"


class Buyer(Noun, frozen=True, kw_only=True):
    """*company* None: a guest. *country* is the country of delivery."""

    company: Code | None = None
    segments: tuple[Code, ...] = ()
    country: Country | None = None


class LineRequest(Noun, frozen=True, kw_only=True):
    """*unit* None: the SKU's base unit. *quantity* is a decimal string; anything else is refused, not raised."""

    sku: str
    quantity: str
    unit: str | None = None


class TaxRate(Noun, frozen=True, kw_only=True):
    category: Code
    percent: DecimalText


class TaxInput(Noun, frozen=True, kw_only=True):
    """The tax rules' answer for this buyer. Rates are needed under reverse charge and exemption too, where a list
    includes tax: what is included must come off.
    """

    rates: tuple[TaxRate, ...] = ()
    treatment: Treatment = Treatment.STANDARD


class QuoteRequest(Noun, frozen=True, kw_only=True):
    """*tax* None: the answer is net, and lists that include tax refuse."""

    buyer: Buyer
    currency: Currency
    lines: tuple[LineRequest, ...]
    tax: TaxInput | None = None


# --- The answer ---


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of answers: no defaults."""


class Step(Answer, frozen=True, kw_only=True):
    """One change of the running amount. *phase* is one of `price`, `unit`, `bound`, `round_unit`, `extend`, `line`,
    `line_bound`, `round_line`, `order`; *rule* the list's, adjustment's or bound's code, None for rounding and
    extension, and for a bound that is not disclosed; *reason* a stable code; *before* and *after* are normal decimal
    strings, or `n/d` where a division does not end.
    """

    phase: str
    reason: str
    rule: str | None
    titles: Titles | None
    before: str | None
    after: str
    params: dict[str, str]


class Loser(Answer, frozen=True, kw_only=True):
    """A rule or list whose scope and audience admit this buyer, and why it did not act."""

    phase: str
    rule: str
    titles: Titles | None
    reason: str
    params: dict[str, str]


class NextBreak(Answer, frozen=True, kw_only=True):
    """Buying *more* units (of the asked unit) reaches a total *quantity*, from which the list's price is
    *unit_price* each of *unit*, before adjustments.
    """

    quantity: str
    more: str
    unit_price: str
    unit: str


class Cliff(Answer, frozen=True, kw_only=True):
    """Buying *quantity* (more than asked, of the asked unit) costs *subtotal* for the line: less than asked for."""

    quantity: str
    subtotal: str


class Trace(Answer, frozen=True, kw_only=True):
    """How the price came about. *losers_left_out* counts those beyond the cap."""

    list: str
    row_unit: str
    row_quantity: str
    tier_quantity: str
    steps: tuple[Step, ...]
    losers: tuple[Loser, ...]
    losers_left_out: int
    next_break: NextBreak | None
    cliff: Cliff | None


class PricedLine(Answer, frozen=True, kw_only=True, tag="priced", tag_field="outcome"):
    """*requested*: the numbers (from 0) of the request's lines that became this one (same SKU and unit).

    *unit_price* is that of one *price_unit*, None where the row has none (graduated, package); *list_price* is it
    before adjustments. *subtotal* is the line before order adjustments (with tax where *tax_included*),
    *order_adjustment* what those changed, *net* the line after them and without tax, *tax* None when no tax was asked,
    *total* net plus tax. *valid_until* is the next instant at which this line's price may change within this book,
    None for never.
    """

    requested: tuple[int, ...]
    sku: str
    unit: str
    quantity: str
    price_unit: str
    unit_price: str | None
    list_price: str | None
    tax_included: bool
    tax_category: str
    tax_percent: str | None
    subtotal: str
    order_adjustment: str
    net: str
    tax: str | None
    total: str
    valid_until: Instant | None
    trace: Trace


class RefusedLine(Answer, frozen=True, kw_only=True, tag="refused", tag_field="outcome"):
    """Nothing was priced. *reason* is a stable code, *params* what its text needs."""

    requested: tuple[int, ...]
    sku: str
    unit: str | None
    quantity: str
    reason: str
    params: dict[str, str]
    valid_until: Instant | None


class Quote(Answer, frozen=True, kw_only=True):
    """*lines* in the request's order. With a refused line there are no totals: the part that can be priced is never
    charged alone. *subtotal* adds up the lines' subtotals (with tax where their list includes it). *tax* is None when
    no tax was asked; *total* is the net then. *net* and *tax* always add up to *total*.
    """

    root: str
    at: Instant
    buyer: Buyer
    currency: str
    tax_treatment: str | None
    policy: RoundingPolicy
    lines: tuple[PricedLine | RefusedLine, ...]
    order_steps: tuple[Step, ...]
    order_losers: tuple[Loser, ...]
    subtotal: Money | None
    net: Money | None
    tax: Money | None
    total: Money | None
    valid_until: Instant | None
