"""What does nothing: lists, rows and tiers that price nothing for anybody, rules that never act."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from pricing.engine.book import Adjustment, Level, Pick, PriceRow, RowModel, SkuEntry, Strategy
from pricing.engine.check_breaks import Break, Buyable, breaks_of_row, buyable
from pricing.engine.check_cells import Case, Cells
from pricing.engine.check_findings import Finding, Witness, of_several, warning
from pricing.engine.check_prices import PriceChecks
from pricing.engine.request import PricedLine
from pricing.engine.rules import AMOUNT, FIXED, admits, in_scope

_UNITLESS = frozenset({RowModel.GRADUATED, RowModel.PACKAGE})


def useless(cells: Cells, prices: PriceChecks) -> Iterator[Finding]:
    """After all prices were looked at."""
    yield from _never_pricing(cells, prices)
    yield from _never_reached(cells)
    yield from _passed_over(cells, prices)
    yield from _Acting(cells, prices).findings()


def _witness(cells: Cells, case: Case) -> Witness:
    asker = cells.askers[case.asker]
    return Witness(
        buyer=asker.buyer,
        currency=asker.currency,
        sku=cells.entries[case.sku].facts.sku,
        unit=case.of.unit,
        quantity=case.of.text(case.number),
        at=case.at,
    )


def _ask(cells: Cells, prices: PriceChecks, case: Case) -> PricedLine | None:
    asked = _witness(cells, case)
    line = prices.amounts.line(cells.askers[case.asker], asked.sku, asked.unit, asked.quantity, asked.at)
    return line if isinstance(line, PricedLine) else None


# --- Lists and rows ---


def _never_pricing(cells: Cells, prices: PriceChecks) -> Iterator[Finding]:
    """Rows from which no price is ever taken, though somebody sees their list while they are valid."""
    idle: dict[str, list[tuple[int, PriceRow]]] = defaultdict(list)
    pricing: set[str] = set()
    for number, entry in enumerate(cells.entries):
        for row in entry.rows:
            if (cells.numbers[row.list], number) in prices.priced:
                pricing.add(row.list)
            elif cells.valid_from(row) is not None:
                idle[row.list].append((number, row))
    for code, rows in sorted(idle.items()):
        cases = ((row, case) for number, row in rows for case in _cases_of_row(cells, number, row))
        answers = ((row, case, _ask(cells, prices, case)) for row, case in cases)
        shown = next(((row, case, line) for row, case, line in answers if line is not None), None)
        if shown is not None:
            row, case, line = shown
            names = {"list": code, "sku": row.sku, "by": line.trace.list}
            found = (
                warning("row_never_prices", _witness(cells, case), unit=row.unit, **names)
                if code in pricing
                else warning("list_never_prices", _witness(cells, case), **names)
            )
            yield of_several(found, [cells.entries[one].facts.sku for one, _ in rows])


def _cases_of_row(cells: Cells, number: int, row: PriceRow) -> Iterator[Case]:
    """The first quantity that the row is for, asked by the first who sees its list."""
    asker, at = cells.first_seeing(row.list), cells.valid_from(row)
    of = next((one for one in _buyables(cells, cells.entries[number]) if one.unit == row.unit), None)
    if at is not None and of is not None:
        first = min(of.at(found) for found in breaks_of_row(row, of.holds))
        yield Case(number, asker, of, at, min(max(of.first, first), of.last))


def _buyables(cells: Cells, entry: SkuEntry) -> list[Buyable]:
    rules = cells.rules.quantity_rules_for(entry.facts)
    every = [buyable(fact, rules) for fact in entry.facts.units]
    return [one for one in every if one is not None]


def _never_reached(cells: Cells) -> Iterator[Finding]:
    """Tiers in which no quantity lies that may be bought. A break group may bring any quantity."""
    found: dict[tuple[str, str, str], list[tuple[int, Buyable]]] = defaultdict(list)
    known: dict[object, list[tuple[str, Buyable]]] = {}
    for number, entry in enumerate(cells.entries):
        facts = entry.facts
        if facts.break_group is not None:
            continue
        rules = cells.rules.quantity_rules_for(facts)
        for row in entry.rows:
            key = cells.shape(row), facts.units, tuple([rule.code for rule in rules])
            if key not in known:
                known[key] = list(_empty_tiers(cells, entry, row))
            for begin, of in known[key]:
                found[row.list, row.unit, begin].append((number, of))
    for (code, unit, begin), cases in sorted(found.items()):
        asker = cells.first_seeing(code)
        number, of = cases[0]
        sku = cells.entries[number].facts.sku
        asked = _witness(cells, Case(number, asker, of, cells.at, of.first))
        finding = warning("tier_never_reached", asked, list=code, sku=sku, unit=unit, begin=begin)
        yield of_several(finding, [cells.entries[one].facts.sku for one, _ in cases])


def _empty_tiers(cells: Cells, entry: SkuEntry, row: PriceRow) -> Iterator[tuple[str, Buyable]]:
    """The beginnings of tiers that no quantity reaches, each with a unit that the row is for."""
    base = entry.facts.units[0].unit
    asking = [one for one in _buyables(cells, entry) if row.unit in {one.unit, base}]
    holds = next((one.holds for one in asking if one.unit == row.unit), (1, 1))
    package = row.package
    slices = row.model is RowModel.GRADUATED or (package is not None and not package.whole_quantity)
    begins = breaks_of_row(row, holds)
    for tier, (begin, end) in zip(row.tiers, pairwise([*begins, None]), strict=True):
        assert begin is not None
        if asking and not any(_has_quantity(of, begin, None if slices else end) for of in asking):
            yield str(tier.from_ or tier.above), asking[0]


def _has_quantity(of: Buyable, begin: Break, end: Break | None) -> bool:
    least = max(of.at(begin), of.first)
    return least <= of.last and (end is None or least < of.at(end))


# --- Rules ---


def _passed_over(cells: Cells, prices: PriceChecks) -> Iterator[Finding]:
    """Amounts and fixed prices on rows without a unit price."""
    found: dict[tuple[str, str], list[tuple[int, Case]]] = defaultdict(list)
    for number, entry in enumerate(cells.entries):
        for code in dict.fromkeys(row.list for row in entry.rows if row.model in _UNITLESS):
            for rule, case in _passing(cells, prices, number, code):
                found[rule, code].append((number, case))
    for (rule, code), cases in sorted(found.items()):
        sku = cells.entries[cases[0][0]].facts.sku
        finding = warning("effect_passed_over", _witness(cells, cases[0][1]), rule=rule, sku=sku, list=code)
        yield of_several(finding, [cells.entries[number].facts.sku for number, _ in cases])


def _passing(cells: Cells, prices: PriceChecks, number: int, code: str) -> Iterator[tuple[str, Case]]:
    told: set[str] = set()
    for asker in cells.seeing_alike(code):
        rules = cells.rules_for(cells.entries[number].facts, asker)
        concerned = {rule.code for rule in rules if rule.level is Level.UNIT and rule.kind in {AMOUNT, FIXED}}
        if not concerned - told:
            continue
        for case in cells.cases(number, asker):
            line = _ask(cells, prices, case)
            for loser in line.trace.losers if line is not None and line.trace.list == code else ():
                if loser.reason == "no_unit_price" and loser.rule not in told:
                    told.add(loser.rule)
                    yield loser.rule, case


class _Acting:
    """Looks for a question that shows each rule acting, and keeps why those that never do lose."""

    def __init__(self, cells: Cells, prices: PriceChecks) -> None:
        self._cells = cells
        self._prices = prices
        self._losses: dict[str, dict[str, Case]] = defaultdict(dict)
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        nouns = cells.rules.frame.adjustments
        self._nouns = {noun.code: noun for noun in nouns if noun.ends_at is None or noun.ends_at > cells.at}
        self._idle = set(self._nouns)

    def findings(self) -> Iterator[Finding]:
        for (rule_set, _), cases in self._prices.crossings.items():
            self._watch(rule_set, iter(cases))
        # one cell of each group and set of rules says all, unless prices decide who wins
        for group in self._cells.groups.values():
            firsts = {rule_set: row for row, rule_set in reversed(list(enumerate(group.rule_sets)))}
            for rule_set, row in firsts.items():
                self._watch(rule_set, group.cases(row))
        if any(self._priced(self._nouns[code]) for code in self._idle):
            for group in self._cells.groups.values():
                for row, rule_set in enumerate(group.rule_sets):
                    self._watch(rule_set, group.cases(row))
        for code in sorted(self._idle):
            yield from self._told(self._nouns[code])

    def _watch(self, rule_set: int, cases: Iterator[Case]) -> None:
        concerned = self._idle.intersection(rule.code for rule in self._cells.rule_sets[rule_set].rules)
        for case in cases if concerned else ():
            line = _ask(self._cells, self._prices, case)
            if line is None:
                continue
            acting = {step.rule for step in line.trace.steps if step.phase in {"unit", "line", "order"}}
            self._idle -= acting
            concerned -= acting
            for loser in line.trace.losers:
                if loser.rule in concerned:
                    by = loser.params["by"] if loser.reason == "beaten" else ""
                    self._losses[loser.rule].setdefault(by, case)
                    self._counts[loser.rule][by] += 1
            if not concerned:
                break

    def _priced(self, noun: Adjustment) -> bool:
        """Whether prices may decide if the rule acts: its amounts, or that of two the better one does."""
        frame = self._cells.rules.frame
        if frame.strategy is not Strategy.MOST_SPECIFIC or any(
            bound is not None
            for bound in (
                noun.conditions.min_line_amount,
                noun.conditions.max_line_amount,
                noun.conditions.min_subtotal,
                noun.conditions.max_subtotal,
            )
        ):
            return True
        layer = next(layer for layer in frame.layers if layer.code == noun.layer)
        in_layer = [one for one in frame.adjustments if one.layer == noun.layer]
        lowest = any(group.code == noun.group and group.pick is Pick.LOWEST for group in layer.groups)
        equal = [one for one in in_layer if one.group == noun.group and one.priority == noun.priority]
        return lowest or len(equal) > 1 or any(one.exclusive for one in in_layer)

    def _told(self, noun: Adjustment) -> Iterator[Finding]:
        """Nothing of rules that match no SKU with a price: that is said already."""
        counts = self._counts[noun.code]
        beaten = sorted((by for by in counts if by), key=lambda by: (-counts[by], by))
        cells = self._cells
        if beaten:
            witness = _witness(cells, self._losses[noun.code][beaten[0]])
            yield warning("rule_never_acts", witness, rule=noun.code, reason="beaten", by=beaten[0])
            return
        shown = self._losses[noun.code].get("") or self._anywhere(noun)
        if shown is not None:
            yield warning("rule_never_acts", _witness(cells, shown), rule=noun.code, reason="unable")

    def _anywhere(self, noun: Adjustment) -> Case | None:
        """A question about a SKU in the rule's scope that has prices, by somebody it is for."""
        cells = self._cells
        priced = (number for number, entry in enumerate(cells.entries) if entry.rows)
        number = next((one for one in priced if in_scope(noun.scope, cells.entries[one].facts)), None)
        askers = [asker for asker, (buyer, _) in enumerate(cells.askers) if admits(noun.audience, buyer)]
        asked = ((number, asker) for asker in askers) if number is not None else ()
        return next((case for sku, asker in asked for case in cells.cases(sku, asker)), None)
