"""Every price of a book once: which SKUs which buyers get from the same rows by the same rules, by their breaks.

A *cell* is a SKU in one unit as one class of buyers meets it; classes that meet the same rows and rules share one.
Cells whose prices can only change at the same quantities and instants make a *group*, and are asked about together.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pricing.engine.book import PriceList, PriceRow, SkuEntry, SkuFacts, Strategy
from pricing.engine.check_amounts import Asker
from pricing.engine.check_breaks import (
    Break,
    Buyable,
    breaks_of,
    breaks_of_row,
    buyable,
    points,
    rules_of,
    thresholds_of,
)
from pricing.engine.check_classes import BuyerClass
from pricing.engine.memory import Book
from pricing.engine.rules import Ratio, Rule, Rules, admits, specificity

ALONE = -1
_NEVER = datetime.max.replace(tzinfo=UTC)

_Part = tuple[int, int, tuple[str, ...]]


class RuleSet(NamedTuple):
    """The adjustments that may act on some SKUs for some buyers; *shape* is equal for those who begin to act, or stop,
    at the same quantities, amounts and instants.
    """

    rules: tuple[Rule, ...]
    shape: int

    def causing(self, of: Buyable, number: int) -> str | None:
        """The first rule that acts with more or less than before from that number of a quantity on."""
        found = (one.rule for one in breaks_of(self.rules) if of.at(one) == number)
        return next(filter(None, found), None)

    def naming(self, threshold: Ratio) -> str:
        """The first rule with a condition on that amount, which one of them has."""
        return next(rule.code for rule in self.rules if threshold in thresholds_of([rule]))


class Case(NamedTuple):
    """A question: about a SKU, by an asker (positions), for so many of a unit's steps. *amount*: the answer; *other*:
    what it is compared with.
    """

    sku: int
    asker: int
    of: Buyable
    at: datetime
    number: int
    amount: int = 0
    other: int = 0


class Group:
    """Cells with the same breaks. *points*: the numbers of the quantities to look at; *of_rows*: those at which rows
    break. *thresholds*: the amounts from which a rule acts, or up to which.

    By cell: its SKU, asker and rules (positions), the asker who stands for everyone (`ALONE` where the cell is
    everyone's price or everyone has none), and whether the current book may have another price.
    """

    def __init__(
        self,
        *,
        of: Buyable,
        instants: tuple[datetime, ...],
        points: tuple[int, ...],
        of_rows: frozenset[int],
        thresholds: tuple[Ratio, ...],
    ) -> None:
        self.of = of
        self.instants = instants
        self.points = points
        self.of_rows = of_rows
        self.thresholds = thresholds
        self.rule_sets: list[int] = []
        self.skus: list[int] = []
        self.askers: list[int] = []
        self.publics: list[int] = []
        self.changed: list[bool] = []

    def cases(self, row: int) -> Iterator[Case]:
        """All questions about one cell."""
        for at in self.instants:
            for number in self.points:
                yield Case(self.skus[row], self.askers[row], self.of, at, number)


class Cells:
    """*askers*: who asks, everyone first. *groups*: by what makes their breaks."""

    def __init__(
        self,
        entries: Sequence[SkuEntry],
        rules: Rules,
        classes: Iterable[BuyerClass],
        at: datetime,
        current: Book | None,
    ) -> None:
        self.entries = entries
        self.rules = rules
        self.at = at
        self.current = current
        self.lists = {noun.code: noun for noun in rules.frame.lists}
        self.numbers = {code: number for number, code in enumerate(self.lists)}
        self.askers: list[Asker] = []
        self._public_of: list[int] = []
        self._add_askers(classes)
        self._public_mask = sum(1 << public for public in set(self._public_of))
        self._views = [rules.view(asker.currency, asker.buyer) for asker in self.askers]
        self._masks: dict[str, int] = defaultdict(int)
        for number, view in enumerate(self._views):
            for code in view.lists:
                self._masks[code] |= 1 << number
        self._alike = self._alike_by_rules()
        ranks = {code: (specificity(noun.audience), noun.priority) for code, noun in self.lists.items()}
        self._order = {code: at for at, code in enumerate(sorted(ranks, key=lambda code: ranks[code], reverse=True))}
        frame = rules.frame
        scopes = [noun.scope for noun in frame.adjustments] + [noun.scope for noun in frame.quantity_rules]
        self._named = {sku for scope in scopes for sku in (*scope.skus, *scope.excluded_skus)}
        self._rule_set_numbers: dict[tuple[str, ...], int] = {}
        self.rule_sets: list[RuleSet] = []
        self._parts_of_rules: dict[object, list[_Part]] = {}
        self._units: dict[object, tuple[Buyable, ...]] = {}
        self._publics: dict[int, tuple[tuple[int, int], ...]] = {}
        self._shapes: dict[object, int] = {}
        self._frame_changed = current is not None and current.rules.frame != frame
        self.groups: dict[object, Group] = {}
        for number, entry in enumerate(entries):
            if entry.rows:
                self._gather(number, entry)

    def _add_askers(self, classes: Iterable[BuyerClass]) -> None:
        numbers: dict[Asker, int] = {}
        currencies = sorted({noun.currency for noun in self.lists.values()})
        pairs = [
            (Asker(one.buyer, currency), Asker(one.public, currency))
            for one in classes
            for currency in currencies
            if self.rules.view(currency, one.buyer).lists
        ]
        for asker, public in pairs:
            for one in (public, asker):
                if one not in numbers:
                    numbers[one] = len(numbers)
                    self.askers.append(one)
                    self._public_of.append(numbers[public])

    def _alike_by_rules(self) -> list[tuple[int, int]]:
        """Askers (as bits) whom the same adjustments admit, each with the first of them."""
        adjustments = self.rules.frame.adjustments
        audiences = tuple(dict.fromkeys(noun.audience for noun in adjustments))
        countries = {country for noun in adjustments for country in noun.conditions.countries}
        masks: dict[object, int] = defaultdict(int)
        for number, (buyer, currency) in enumerate(self.askers):
            admitted = tuple([admits(audience, buyer) for audience in audiences])
            masks[currency, admitted, buyer.country if buyer.country in countries else None] |= 1 << number
        return [(next(_bits(mask)), mask) for mask in masks.values()]

    def _gather(self, number: int, entry: SkuEntry) -> None:
        """Find the SKU's cells. Rows are positions in the entry here."""
        of_list: dict[str, list[int]] = {}
        for at, row in enumerate(entry.rows):
            of_list.setdefault(row.list, []).append(at)
        parts = self._parts(entry.facts, sorted(of_list, key=self._order.__getitem__))
        shapes = [self.shape(row) for row in entry.rows]
        old = self._old_entry(entry)
        for of in self._asked_units(entry):
            offers = {code: self._offer(entry, code, rows, of) for code, rows in of_list.items()}
            owns = [(rule_set, _taken(offers, codes)) for _, rule_set, codes in parts]
            of_public: dict[int, tuple[int, tuple[int, ...]]] = {}
            masks: dict[tuple[int, tuple[int, ...]], int] = {}
            for (mask, _, _), own in zip(parts, owns, strict=True):
                for public in _bits(mask & self._public_mask):
                    of_public[public] = own
                if own[1]:
                    masks[own] = masks.get(own, 0) | mask
            for own, mask in masks.items():
                seen: set[tuple[int, tuple[int, ...]]] = set()
                for asker, public in self._with_publics(mask):
                    other = of_public[public]
                    if other not in seen:
                        seen.add(other)
                        others = () if other == own else other[1]
                        group = self._group(of, own, others, shapes, entry, old, asker)
                        group.skus.append(number)
                        group.askers.append(asker)
                        group.rule_sets.append(own[0])
                        group.publics.append(public if others else ALONE)
                        group.changed.append(old is not None)

    def _group(
        self,
        of: Buyable,
        own: tuple[int, tuple[int, ...]],
        others: tuple[int, ...],
        shapes: list[int],
        entry: SkuEntry,
        old: SkuEntry | None,
        asker: int,
    ) -> Group:
        rule_set, rows = own
        before = () if old is None else self._rows_before(old, asker, of)
        rules_before = () if old is None else self._rules_before(old, asker)
        key = (
            of,
            self.rule_sets[rule_set].shape,
            tuple([shapes[row] for row in rows]),
            tuple([shapes[row] for row in others]),
            tuple([self.shape(row) for row in before]),
            rules_before and self._shape_of_rules(rules_before),
        )
        group = self.groups.get(key)
        if group is None:
            every = entry.rows
            breaks = [found for row in before for found in _breaks(row, of)]
            breaks.extend(breaks_of(rules_before))
            own_rows, public_rows = [every[at] for at in rows], [every[at] for at in others]
            group = self._new_group(of, self.rule_sets[rule_set].rules, own_rows, public_rows, breaks)
            self.groups[key] = group
        return group

    def first_seeing(self, code: str) -> int:
        """The first asker who sees the list: of every list there is one."""
        return next(_bits(self._masks[code]))

    def seeing_alike(self, code: str) -> list[int]:
        """Of the askers who see the list, one for each that meets other rules."""
        seeing = self._masks[code]
        return [next(_bits(mask & seeing)) for _, mask in self._alike if mask & seeing]

    def valid_from(self, row: PriceRow) -> datetime | None:
        """The first instant from now on at which row and list are valid; None when that is over."""
        noun = self.lists[row.list]
        begin = max(one for one in (self.at, noun.starts_at, row.starts_at) if one is not None)
        ends = [one for one in (noun.ends_at, row.ends_at) if one is not None]
        return begin if begin < min(ends, default=_NEVER) else None

    def cases(self, number: int, asker: int) -> Iterator[Case]:
        """All questions about a SKU by one asker, whatever its cell."""
        entry = self.entries[number]
        rules = self.rules_for(entry.facts, asker)
        lists = self._views[asker].lists
        for of in self._asked_units(entry):
            units = {of.unit, entry.facts.units[0].unit}
            rows = [row for row in entry.rows if row.list in lists and row.unit in units]
            group = self._new_group(of, rules, rows, [], [])
            group.skus.append(number)
            group.askers.append(asker)
            yield from group.cases(0)

    def rules_for(self, facts: SkuFacts, asker: int) -> tuple[Rule, ...]:
        """The adjustments that may act on the SKU for that asker."""
        return tuple(rules_of(self.rules.matched(facts, self._views[asker])))

    def _parts(self, facts: SkuFacts, codes: list[str]) -> list[_Part]:
        """Askers (as bits) with the same rules and lists, those lists in rank."""
        key = facts.categories, facts.brand, facts.sku if facts.sku in self._named else None
        parts = self._parts_of_rules.get(key)
        if parts is None:
            parts = self._parts_of_rules[key] = self._by_rules(facts)
        for code in codes:
            seeing, split = self._masks[code], []
            for mask, rule_set, lists in parts:
                inside, outside = mask & seeing, mask & ~seeing
                if inside:
                    split.append((inside, rule_set, (*lists, code)))
                if outside:
                    split.append((outside, rule_set, lists))
            parts = split
        return parts

    def _by_rules(self, facts: SkuFacts) -> list[_Part]:
        masks: dict[int, int] = defaultdict(int)
        for first, mask in self._alike:
            rules = self.rules_for(facts, first)
            codes = tuple(rule.code for rule in rules)
            number = self._rule_set_numbers.setdefault(codes, len(self.rule_sets))
            if number == len(self.rule_sets):
                self.rule_sets.append(RuleSet(rules, self._shape_of_rules(rules)))
            masks[number] |= mask
        return [(mask, number, ()) for number, mask in masks.items()]

    def _with_publics(self, mask: int) -> tuple[tuple[int, int], ...]:
        """The public askers against whom those in *mask* are compared, each with the first who is."""
        found = self._publics.get(mask)
        if found is None:
            firsts: dict[int, int] = {}
            for asker in _bits(mask):
                firsts.setdefault(self._public_of[asker], asker)
            found = self._publics[mask] = tuple((asker, public) for public, asker in firsts.items())
        return found

    def _asked_units(self, entry: SkuEntry) -> tuple[Buyable, ...]:
        """Units with rows of their own, and all where quantities have rules: the rest cost what base units do."""
        facts = entry.facts
        rules = self.rules.quantity_rules_for(facts)
        own = frozenset(row.unit for row in entry.rows)
        key = facts.units, own, rules
        found = self._units.get(key)
        if found is None:
            asked = [fact for fact in facts.units if fact.unit in own or rules]
            every = [buyable(fact, rules) for fact in asked]
            found = self._units[key] = tuple(one for one in every if one is not None)
        return found

    def _offer(self, entry: SkuEntry, code: str, rows: list[int], of: Buyable) -> tuple[tuple[int, ...], bool]:
        """Of a list the rows that may price the unit, and whether no list after it is ever asked."""
        found = [at for at in rows if entry.rows[at].unit in {of.unit, entry.facts.units[0].unit}]
        decides = self.rules.strategy is Strategy.MOST_SPECIFIC and _is_undated(self.lists[code])
        always = decides and any(_is_undated(entry.rows[at]) and _reaches(entry.rows[at], of) for at in found)
        return tuple(found), always

    def shape(self, row: PriceRow) -> int:
        """Equal for rows that change a price at the same quantities and instants."""
        begins = tuple([(tier.from_, tier.above) for tier in row.tiers])
        noun = self.lists.get(row.list)
        window = None if noun is None else (noun.starts_at, noun.ends_at)
        key = row.unit, row.model, row.package, begins, row.starts_at, row.ends_at, window
        return self._shapes.setdefault(key, len(self._shapes))

    def _old_entry(self, entry: SkuEntry) -> SkuEntry | None:
        """What the current book has for the SKU; None where its prices cannot have changed, or there were none."""
        old = None if self.current is None else self.current.entry(entry.facts.sku)
        return None if old == entry and not self._frame_changed else old

    def _rows_before(self, old: SkuEntry, asker: int, of: Buyable) -> tuple[PriceRow, ...]:
        assert self.current is not None
        asked = self.askers[asker]
        lists = self.current.rules.lists_for(asked.currency, asked.buyer)
        units = {of.unit, old.facts.units[0].unit}
        return tuple([row for row in old.rows if row.list in lists and row.unit in units])

    def _rules_before(self, old: SkuEntry, asker: int) -> tuple[Rule, ...]:
        if not self._frame_changed:
            return ()
        assert self.current is not None
        asked, rules = self.askers[asker], self.current.rules
        return tuple(rules_of(rules.matched(old.facts, rules.view(asked.currency, asked.buyer))))

    def _shape_of_rules(self, rules: tuple[Rule, ...]) -> int:
        breaks = frozenset((found.base, found.above) for found in breaks_of(rules))
        key = breaks, frozenset(thresholds_of(rules)), frozenset((rule.starts_at, rule.ends_at) for rule in rules)
        return self._shapes.setdefault(key, len(self._shapes))

    def _new_group(
        self,
        of: Buyable,
        rules: Sequence[Rule],
        rows: Sequence[PriceRow],
        public_rows: Sequence[PriceRow],
        breaks_before: Sequence[Break],
    ) -> Group:
        of_rows = [one for row in rows for one in _breaks(row, of)]
        others = [one for row in public_rows for one in _breaks(row, of)]
        thresholds = tuple(sorted(set(thresholds_of(rules))))
        edges = {self.at}
        dated: list[PriceList | PriceRow | Rule] = [*rules]
        for row in (*rows, *public_rows):
            dated += [row, self.lists[row.list]]
        windows = [(noun.starts_at, noun.ends_at) for noun in dated]
        edges.update(edge for window in windows for edge in window if edge is not None and edge > self.at)
        return Group(
            of=of,
            instants=tuple(sorted(edges)),
            points=points(of, [*of_rows, *others, *breaks_of(rules), *breaks_before], also_after=bool(thresholds)),
            of_rows=frozenset(of.at(one) for one in of_rows),
            thresholds=thresholds,
        )


def _breaks(row: PriceRow, of: Buyable) -> Iterator[Break]:
    return breaks_of_row(row, of.holds if row.unit == of.unit else (1, 1))


def _taken(offers: dict[str, tuple[tuple[int, ...], bool]], codes: tuple[str, ...]) -> tuple[int, ...]:
    """The rows that may price a unit, of lists in rank."""
    found: tuple[int, ...] = ()
    for code in codes:
        rows, always = offers[code]
        found += rows
        if always:
            break
    return found


def _is_undated(noun: PriceList | PriceRow) -> bool:
    return noun.starts_at is None and noun.ends_at is None


def _reaches(row: PriceRow, of: Buyable) -> bool:
    """Whether its first tier begins at or below the least quantity; that of packages begins with the first unit."""
    return row.package is not None or of.at(next(_breaks(row, of))) <= of.first


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
