"""What one SKU in one unit is to buyers of one group, and the prices already worked out for it.

Up to the unit price nothing depends on money: which list, tier and rules act, who loses and why, bounds and roundings
follow from the counted quantity and the instant alone. Between two quantities that a tier or a rule names (*cuts*),
and between two instants at which a list, row or rule begins or ends, the outcome is the same to the byte, so it is
kept as a `Stretch` and laid onto the next line that falls into it. What is kept is only ever what the phases made.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime

import msgspec

from kernel.money import ratio
from pricing.engine.book import PriceRow, SkuEntry, Tier, UnitFact
from pricing.engine.request import Loser, Step
from pricing.engine.rules import ONE, Matched, Ratio, ReadyList, ReadyQuantityRule, Rule, View

EXACT = 10**24
"""Quantities and units' factors have 12 decimals each: in this fraction of a base unit every quantity is whole."""


class Ahead(msgspec.Struct, frozen=True, gc=False):
    """The next tier with a lower unit price: *needed* of the asked unit reach it, and by the list cost *listed*."""

    needed: Ratio
    needed_text: str
    unit_price: str
    listed: Ratio


class Whole(msgspec.Struct, frozen=True, gc=False):
    """What a whole line costs, in the policy's line decimals, from *since* until *until*."""

    since: datetime | None
    until: datetime | None
    amount_units: int


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """A line after phase 6, for all counted quantities between two cuts and instants from *since* until *until*.

    *rate*: of the tax that the bounds were reckoned with.
    """

    since: datetime | None
    until: datetime | None
    rate: Ratio
    price_list: ReadyList
    row: PriceRow
    tiers: tuple[Tier, ...]
    tier_index: int
    factor: Ratio
    list_price: Ratio
    unit_price: Ratio
    fee: Ratio
    floor: Ratio | None
    floor_code: str | None
    ceiling: Ratio | None
    ceiling_code: str | None
    steps: tuple[Step, ...]
    losers: tuple[Loser, ...]
    wanted: tuple[tuple[Rule, Ratio], ...]
    ahead: Ahead | None


class Offer:
    """*asked* is how many base units one unit holds, *finest* the denominator its quantities may have; *matched* the
    adjustments that speak of the SKU. *alone*: no other line of a request can change this one's amount.
    """

    __slots__ = (
        "_cuts",
        "_stretches",
        "_wholes",
        "alone",
        "asked",
        "entry",
        "fact",
        "finest",
        "grouped",
        "matched",
        "quantity_rules",
    )

    def __init__(
        self,
        entry: SkuEntry,
        fact: UnitFact,
        quantity_rules: tuple[ReadyQuantityRule, ...],
        matched: Matched,
    ) -> None:
        self.entry = entry
        self.fact = fact
        self.asked = ONE if fact.factor == "1" else ratio(fact.factor)
        self.finest: int = 10**fact.decimals
        self.quantity_rules = quantity_rules
        self.matched = matched
        self.grouped = entry.facts.break_group is not None
        self.alone = not self.grouped and not any(
            reason.endswith("subtotal")
            for _, rules in matched.line
            for rule in rules
            for reason, _, _ in rule.conditions
        )
        self._cuts: list[int] = []
        self._wholes: dict[Ratio, Whole] = {}
        self._stretches: dict[int, Stretch] | None = None

    def stretch(self, counted: Ratio, at: datetime) -> Stretch | None:
        """What is known for *counted* base units at *at*."""
        if self._stretches is None:
            return None
        found = self._stretches.get(self._place(counted))
        return None if found is None or not _holds(found, at) else found

    def keep(self, counted: Ratio, stretch: Stretch) -> None:
        assert self._stretches is not None
        self._stretches[self._place(counted)] = stretch

    def keeps(self, view: View) -> bool:
        """Whether to `keep`: not at first, for most SKUs of a large book are asked for once, and to know where their
        cuts lie would be of no use.
        """
        if self._stretches is None:
            self._stretches = {}
            return False
        if not self._stretches:
            self._cuts = sorted({*self._cuts_of_rows(view), *self._cuts_of_rules()})
        return True

    def amount_of(self, quantity: Ratio, at: datetime) -> int | None:
        """What is known of a whole line of *quantity*."""
        found = self._wholes.get(quantity)
        return None if found is None or not _holds(found, at) else found.amount_units

    def keep_whole(self, quantity: Ratio, whole: Whole) -> None:
        self._wholes[quantity] = whole

    def _place(self, counted: Ratio) -> int:
        """How many cuts lie at or below *counted*."""
        number, denominator = counted
        return bisect_right(self._cuts, 2 * EXACT * number // denominator)

    def _cuts_of_rows(self, view: View) -> Iterator[int]:
        base = self.entry.facts.units[0].unit
        for row in self.entry.rows:
            if row.list in view.lists and row.unit in {self.fact.unit, base}:
                factor = self.asked if row.unit == self.fact.unit else ONE
                for tier in row.tiers:
                    yield _cut(ratio(tier.from_ or tier.above or "0"), factor, above=tier.from_ is None)

    def _cuts_of_rules(self) -> Iterator[int]:
        for _, rules in self.matched.unit:
            for rule in rules:
                for begin, _ in rule.table:
                    yield _cut(begin)
                for reason, bound, _ in rule.conditions:
                    if reason in {"needs_quantity", "over_quantity"}:
                        yield _cut(bound, above=reason == "over_quantity")


def _holds(known: Stretch | Whole, at: datetime) -> bool:
    since, until = known.since, known.until
    return (since is None or since <= at) and (until is None or at < until)


def _cut(quantity: Ratio, factor: Ratio = ONE, *, above: bool = False) -> int:
    """Comparable with twice a quantity: even where *quantity* itself lies beyond the cut, odd where only more does."""
    return 2 * EXACT * quantity[0] * factor[0] // (quantity[1] * factor[1]) + above
