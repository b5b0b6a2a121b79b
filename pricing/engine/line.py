"""One line on its way through the phases, and what all lines of a request share.

Numbers are ratios `(numerator, denominator)`: exact, and nothing but integers.
"""

from datetime import datetime

from kernel.money import Mode, ratio_text
from pricing.engine.book import PriceRow, SkuEntry, Tier, Titles
from pricing.engine.offer import Offer, Stretch
from pricing.engine.request import Loser, QuoteRequest, Step, Treatment
from pricing.engine.rules import ZERO, Matched, Ratio, ReadyList, Rule, Rules

Rate = tuple[Ratio, str | None]
"""Tax as a part of the net, and its percentage as text."""

NO_PARAMS: dict[str, str] = {}
MAX_LOSERS = 20


class Refusal(Exception):
    """The line cannot be priced, for a reason with a stable code."""

    def __init__(self, reason: str, params: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.params = NO_PARAMS if params is None else params


class Context:
    """What the lines of one request share. *subtotal* is known after phase 7 of all lines."""

    __slots__ = (
        "at",
        "counted",
        "currency",
        "line_limit",
        "line_mode",
        "line_places",
        "line_scale",
        "lists",
        "policy",
        "rates",
        "rules",
        "subtotal",
        "taxed",
        "treatment",
        "unit_mode",
        "unit_places",
        "unit_scale",
        "view",
    )

    def __init__(self, request: QuoteRequest, rules: Rules, at: datetime) -> None:
        """:raises UnknownCurrency: when the request's currency is none"""
        policy, tax = rules.policy, request.tax
        view = rules.view(request.currency, request.buyer)
        self.rules = rules
        self.policy = policy
        self.view = view
        self.at = at
        self.currency = request.currency
        self.lists: dict[str, ReadyList] = view.lists
        self.unit_scale: int = view.unit_scale
        self.unit_places: str = view.unit_places
        self.unit_mode: Mode = policy.unit.mode
        self.line_places: int = view.line_places
        self.line_scale: int = view.line_scale
        self.line_mode: Mode = policy.line.mode
        self.line_limit: int = view.line_limit
        self.treatment: Treatment | None = None if tax is None else tax.treatment
        self.rates: dict[str, str] = {} if tax is None else {rate.category: rate.percent for rate in tax.rates}
        self.taxed: dict[tuple[str, bool], Rate] = {}  # by tax category, and whether the list includes tax
        self.counted: dict[str, Ratio] = {}
        self.subtotal: Ratio = ZERO


class Line:
    """*quantity* of the asked unit, *base* in base units, *counted* with the rest of the break group."""

    __slots__ = (
        "amount",
        "amount_units",
        "asked",
        "base",
        "by_amount",
        "ceiling",
        "ceiling_code",
        "ceiling_units",
        "counted",
        "edge",
        "entry",
        "factor",
        "fee",
        "floor",
        "floor_code",
        "floor_units",
        "known",
        "list_price",
        "losers",
        "matched",
        "net_extended",
        "offer",
        "order_units",
        "price_list",
        "quantity",
        "rate",
        "rate_text",
        "refusal",
        "requested",
        "row",
        "row_quantity",
        "said",
        "said_unit",
        "since",
        "sku",
        "steps",
        "tier_index",
        "tier_quantity",
        "tiers",
        "unit",
        "unit_price",
        "wanted",
    )

    def __init__(self, sku: str, unit: str | None, entry: SkuEntry | None) -> None:
        self.sku = sku
        self.unit = unit
        self.entry = entry
        self.offer: Offer | None = None
        self.known: Stretch | None = None
        self.requested: list[int] = []
        self.quantity: Ratio = ZERO
        self.refusal: Refusal | None = None
        self.edge: datetime | None = None
        self.since: datetime | None = None
        self.steps: list[Step] = []
        self.losers: list[Loser] = []
        self.by_amount = False  # whether amounts decided which list prices the line
        self.said = ""  # the quantity as asked, where it is not a number
        self.wanted: list[tuple[Rule, Ratio]] = []  # rules that would act from a larger (counted) quantity

    def at_quantity(self, quantity: Ratio) -> "Line":
        """A fresh line like this one, of another quantity; its phases run from the beginning."""
        other = Line(self.sku, self.unit, self.entry)
        other.offer, other.asked, other.quantity = self.offer, self.asked, quantity
        return other

    said_unit: str | None  # as asked: None for the base unit
    # set in phase 1
    asked: Ratio  # base units in one asked unit
    base: Ratio
    counted: Ratio
    # set in phases 2 and 3
    matched: Matched
    price_list: ReadyList
    row: PriceRow
    tiers: tuple[Tier, ...]
    tier_index: int
    factor: Ratio  # base units in one unit of the row
    row_quantity: Ratio
    tier_quantity: Ratio
    rate: Ratio  # what tax adds to 1, where the list includes it
    rate_text: str | None
    list_price: Ratio | None
    unit_price: Ratio | None
    fee: Ratio
    # set from phase 4 on
    floor: Ratio | None
    floor_code: str | None
    ceiling: Ratio | None
    ceiling_code: str | None
    amount: Ratio
    net_extended: Ratio
    floor_units: int
    ceiling_units: int | None
    amount_units: int  # before order layers, in the policy's line decimals
    order_units: int  # after them

    def turn(self, instant: datetime) -> None:
        """Note that the price may change at *instant*, which lies ahead."""
        if self.edge is None or instant < self.edge:
            self.edge = instant

    def passed(self, instant: datetime) -> None:
        """Note that the price may have changed at *instant*, which is past."""
        if self.since is None or instant > self.since:
            self.since = instant

    def step(
        self,
        phase: str,
        reason: str,
        after: Ratio,
        *,
        rule: str | None = None,
        titles: Titles | None = None,
        params: dict[str, str] = NO_PARAMS,
    ) -> None:
        """Note what the running amount, which stands where the last step left it, became."""
        steps = self.steps
        steps.append(
            Step(
                phase=phase,
                reason=reason,
                rule=rule,
                titles=titles,
                before=steps[-1].after if steps else None,
                after=ratio_text(*after),
                params=params,
            )
        )

    def loses(self, phase: str, rule: str, titles: Titles | None, reason: str, params: dict[str, str]) -> None:
        self.losers.append(Loser(phase=phase, rule=rule, titles=titles, reason=reason, params=params))


def less(one: Ratio, other: Ratio) -> bool:
    return one[0] * other[1] < other[0] * one[1]


def plus(one: Ratio, other: Ratio) -> Ratio:
    """Denominators mostly divide each other; multiplying them regardless would square them with every layer."""
    (number, denominator), (added, of) = one, other
    if denominator == of:
        return number + added, of
    if denominator % of == 0:
        return number + added * (denominator // of), denominator
    if of % denominator == 0:
        return number * (of // denominator) + added, of
    return number * of + added * denominator, denominator * of


def minus(one: Ratio, other: Ratio) -> Ratio:
    return plus(one, (-other[0], other[1]))


def times(one: Ratio, other: Ratio) -> Ratio:
    return one[0] * other[0], one[1] * other[1]


def over(one: Ratio, other: Ratio) -> Ratio:
    """*one* / *other*, which is above 0."""
    return one[0] * other[1], one[1] * other[0]


def text(number: Ratio) -> str:
    return ratio_text(*number)


def instant_text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
