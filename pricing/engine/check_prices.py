"""What prices do that nobody wanted: totals that fall, buyers who pay more than everyone, margins, jumps.

Each is looked for in every cell at every break and edge, and told once per list or rule with its worst case.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from kernel.money import Mode, fixed, ratio
from pricing.engine.book import Level, Rounding
from pricing.engine.check_amounts import REFUSED, Amounts, Array, Asked, Costs, EntriesBook, Ints
from pricing.engine.check_cells import ALONE, Case, Cells, Group, RuleSet
from pricing.engine.check_classes import who
from pricing.engine.check_findings import Finding, Thresholds, Witness, of_several, warning
from pricing.engine.memory import Book
from pricing.engine.request import PricedLine
from pricing.engine.rules import Ratio, Rules

PORTION = 1 << 20
CROSSINGS = 20
"""So many questions just past an amount are kept, to see which rules act there."""
_SAFE = 2.0**62
_FINEST = 12
_UNSOLD = -1
_TOO_MUCH = 2**62
_SECANTS = 6


class Tally:
    """The SKUs a finding is about, and its worst case."""

    def __init__(self) -> None:
        self._skus: list[Ints] = []
        self._worst = -np.inf
        self.case: Case | None = None

    def add(self, skus: Ints, badness: Array, case: Callable[[int], Case]) -> None:
        """*case*: of the row at that position."""
        self._skus.append(skus)
        at = int(np.argmax(badness))
        if float(badness[at]) > self._worst:
            self._worst = float(badness[at])
            self.case = case(at)

    def skus(self) -> list[int]:
        found: list[int] = np.unique(np.concatenate(self._skus)).tolist()
        return found


class _Question(NamedTuple):
    """Of a group's cells those at *rows*, asked just before and past the *threshold* if there is one."""

    group: Group
    rows: Ints
    asked: Asked
    threshold: Ratio | None


class _Answers(NamedTuple):
    """What a question's cells cost: *public*, for those of *compared*, what everyone pays; *before*, for those of
    *changed*, what they cost so far.
    """

    group: Group
    rule_sets: Ints
    asked: Asked
    costs: Costs
    compared: Ints
    public: Costs
    changed: Ints
    before: Costs | None
    threshold: Ratio | None


class _Bracket:
    """Cells of a group, and for each two quantities between which its amount comes to reach the *least*."""

    def __init__(
        self,
        group: Group,
        rows: Ints,
        asked: Asked,
        threshold: Ratio,
        least: int,
        numbers: tuple[Ints, Ints],
        amounts: tuple[Ints, Ints],
    ) -> None:
        self._group = group
        self._rows = rows
        self._asked = asked
        self._threshold = threshold
        self._least = least
        self._low, self._high = numbers
        self._at_low, self._at_high = amounts

    def probes(self, *, halving: bool) -> tuple[Ints, Asked]:
        """The cells that are still open, and the next question about each: where a straight line would pass the least
        amount, or the middle. Where nothing is known beyond, fees and packages make an amount grow less than its
        quantity, so twice as far.
        """
        still = np.flatnonzero(self._high - self._low > 1)
        low, high = self._low[still], self._high[still]
        at_low, at_high = self._at_low[still], self._at_high[still]
        middle = (low + high) // 2
        if not halving:
            guess = low + np.ceil((self._least - at_low) * ((high - low) / (at_high - at_low)))
            far = 2.0 * low * self._least / np.maximum(at_low, 1)
            middle = np.minimum(np.where(at_high == REFUSED, far, guess), _SAFE).astype(np.int64)
            middle = middle.clip(low + 1, high - 1)
        return still, _part(self._asked, still)._replace(numbers=middle[:, None])

    def narrow(self, cells: Ints, number: Ints, amount: Ints) -> None:
        reached = (amount == REFUSED) | (amount >= self._least)
        self._high[cells[reached]], self._at_high[cells[reached]] = number[reached], amount[reached]
        self._low[cells[~reached]], self._at_low[cells[~reached]] = number[~reached], amount[~reached]

    def closed(self, whole: Array) -> _Question:
        """Just before they reach it, then, and once more."""
        after = np.minimum(self._high + 1, self._group.of.last)
        numbers = np.stack([self._low, self._high, after], axis=1)
        asked = self._asked._replace(numbers=numbers, whole=whole[self._rows])
        return _Question(self._group, self._rows, asked, self._threshold)


class PriceChecks:
    """Goes through all cells once, about *portion* questions at a time. *current*: the book in force."""

    def __init__(
        self, cells: Cells, book: Book, current: Book | None, thresholds: Thresholds, portion: int = PORTION
    ) -> None:
        self._portion = portion
        self.cells = cells
        self.amounts = Amounts(book, cells.entries, cells.askers)
        self._before = None if current is None else Amounts(current, cells.entries, cells.askers)
        self._amounts_bare = Amounts(EntriesBook(_bare_rules(book.rules), cells.entries), cells.entries, cells.askers)
        self._margin = ratio(thresholds.margin_percent)
        self._jump = ratio(thresholds.jump_percent)
        self._thresholds = thresholds
        self._lists = list(cells.lists)
        self._tallies: dict[tuple[str, str, str], Tally] = {}
        self._currencies = np.array([asker.currency for asker in cells.askers])
        self._costs = {currency: self._costs_in(currency) for currency in set(self._currencies.tolist())}
        self.priced: set[tuple[int, int]] = set()
        """List and SKU (positions) of every price that somebody gets."""
        self.crossings: dict[tuple[int, Ratio], list[Case]] = defaultdict(list)
        """By set of rules and amount that one of them names, some questions just past it."""

    def run(self) -> Iterator[Finding]:
        waiting: list[Group] = []
        size = 0
        for group in self.cells.groups.values():
            waiting.append(group)
            size += len(group.skus) * len(group.points) * len(group.instants)
            if size > self._portion:
                self._look_at(waiting)
                waiting, size = [], 0
        self._look_at(waiting)
        for (code, by, _), tally in sorted(self._tallies.items()):
            yield self._finding(code, by, tally)

    # --- Asking ---

    def _look_at(self, groups: Sequence[Group]) -> None:
        every = [(group, np.arange(len(group.skus))) for group in groups]
        self._answer([_Question(group, rows, asked, None) for group, rows in every for asked in self._asked(group)])
        self._answer(self._past_thresholds([group for group in groups if group.thresholds]))

    def _asked(self, group: Group) -> Iterator[Asked]:
        numbers = np.array(group.points, np.int64)
        skus, askers = np.array(group.skus, np.int64), np.array(group.askers, np.int64)
        whole = self._whole(group)
        for at in group.instants:
            yield Asked(skus, askers, np.broadcast_to(numbers, (len(skus), len(numbers))), group.of, at, whole)

    def _whole(self, group: Group) -> Array:
        of_order = np.array([any(rule.level is Level.ORDER for rule in one.rules) for one in self.cells.rule_sets])
        found: Array = of_order[np.array(group.rule_sets)]
        return found

    def _answer(self, questions: Sequence[_Question]) -> None:
        everyone: list[Asked] = []
        so_far: list[Asked] = []
        rows: list[tuple[Ints, Ints]] = []
        for question in questions:
            publics = np.array(question.group.publics, np.int64)[question.rows]
            compared = np.flatnonzero(publics != ALONE)
            changed = np.flatnonzero(np.array(question.group.changed, np.bool_)[question.rows])
            rows.append((compared, changed))
            everyone.append(_part(question.asked, compared)._replace(askers=publics[compared]))
            so_far.append(_part(question.asked, changed))
        found = self.amounts.costs([question.asked for question in questions])
        public = self.amounts.costs(everyone)
        before = None if self._before is None else self._before.costs(so_far)
        for number, (group, of_group, asked, threshold) in enumerate(questions):
            self._compare(
                _Answers(
                    group=group,
                    rule_sets=np.array(group.rule_sets, np.int64)[of_group],
                    asked=asked,
                    costs=found[number],
                    compared=rows[number][0],
                    public=public[number],
                    changed=rows[number][1],
                    before=None if before is None else before[number],
                    threshold=threshold,
                )
            )

    def _past_thresholds(self, groups: Sequence[Group]) -> list[_Question]:
        """The quantities at which a line's amount passes one that a rule names, between two breaks: there it grows, so
        they are found by closing in on them.
        """
        known = [(group, _bare(asked)) for group in groups for asked in self._asked(group)]
        plain = self._amounts_bare.costs([asked for _, asked in known])
        brackets = [
            (bracket, self._whole(group))
            for (group, asked), costs in zip(known, plain, strict=True)
            for threshold in group.thresholds
            for bracket in self._brackets(group, asked, costs.amounts, threshold)
        ]
        rounds, still_open = 0, len(brackets)
        while still_open:
            probes = [bracket.probes(halving=rounds >= _SECANTS) for bracket, _ in brackets]
            found = self._amounts_bare.costs([asked for _, asked in probes])
            for (bracket, _), (cells, asked), costs in zip(brackets, probes, found, strict=True):
                bracket.narrow(cells, asked.numbers[:, 0], costs.amounts[:, 0])
            rounds, still_open = rounds + 1, sum(len(cells) for cells, _ in probes)
        return [bracket.closed(whole) for bracket, whole in brackets]

    def _brackets(self, group: Group, asked: Asked, amounts: Ints, threshold: Ratio) -> Iterator["_Bracket"]:
        """Of every stretch between two questions the cells that pass the threshold in it."""
        number, over = threshold
        # amounts are rounded down to their decimals, so a threshold of more decimals is rounded up
        least = min(-(-number * 10 ** _bare_decimals(self.cells.rules) // over), _TOO_MUCH)
        # beyond the last break it grows with the quantity, up to where it is too much to be priced
        end = np.full((len(amounts), 1), group.of.last), np.full((len(amounts), 1), REFUSED)
        numbers, amounts = np.hstack([asked.numbers, end[0]]), np.hstack([amounts, end[1]])
        for column in range(asked.numbers.shape[1]):
            (low, high), (x_low, x_high) = numbers[:, column : column + 2].T, amounts[:, column : column + 2].T
            passing = (x_low != REFUSED) & (x_low < least) & ((x_high >= least) | (x_high == REFUSED))
            rows = np.flatnonzero(passing & (high - low > 1))
            if len(rows):
                steps, costs = (low[rows], high[rows]), (x_low[rows], x_high[rows])
                yield _Bracket(group, rows, _part(asked, rows), threshold, least, steps, costs)

    # --- Comparing ---

    def _compare(self, answers: _Answers) -> None:
        asked, costs = answers.asked, answers.costs
        priced = costs.lists != REFUSED  # also by an amount beyond 64 bits
        keys = costs.lists * len(self.cells.entries) + asked.skus[:, None]
        for key in np.unique(keys[priced]).tolist():
            self.priced.add(divmod(key, len(self.cells.entries)))
        if answers.threshold is not None:
            self._note_crossings(answers, answers.threshold)
        self._falls(answers)
        if len(answers.compared):
            self._dearer(answers)
        self._margins(answers)
        if answers.before is not None and len(answers.changed):
            self._jumps(answers)

    def _note_crossings(self, answers: _Answers, threshold: Ratio) -> None:
        for row, rule_set in enumerate(answers.rule_sets.tolist()):
            kept = self.crossings[rule_set, threshold]
            if len(kept) < CROSSINGS:
                kept.append(self._case(answers, row, 1))

    def _case(self, answers: _Answers, row: int, column: int, other: int = 0) -> Case:
        asked = answers.asked
        return Case(
            sku=int(asked.skus[row]),
            asker=int(asked.askers[row]),
            of=asked.of,
            at=asked.at,
            number=int(asked.numbers[row, column]),
            amount=int(answers.costs.amounts[row, column]),
            other=other,
        )

    def _tally(self, code: str, by: str, kind: str = "") -> Tally:
        return self._tallies.setdefault((code, by, kind), Tally())

    def _falls(self, answers: _Answers) -> None:
        """A total above that of a larger quantity."""
        amounts, numbers = answers.costs.amounts, answers.asked.numbers
        fall = np.where((amounts[:, 1:] != REFUSED) & (amounts[:, :-1] != REFUSED), amounts[:, :-1] - amounts[:, 1:], 0)
        for column in np.flatnonzero((fall > 0).any(axis=0)).tolist():
            rows = np.flatnonzero(fall[:, column] > 0)
            for by, currency, some in self._causes(answers, rows, column):
                falls = fall[some, column]

                def case(at: int, some: Ints = some, column: int = column) -> Case:
                    row = int(some[at])
                    return self._case(answers, row, column, int(numbers[row, column + 1]))

                self._tally("total_falls", by, currency).add(answers.asked.skus[some], falls, case)

    def _causes(self, answers: _Answers, rows: Ints, column: int) -> Iterator[tuple[str, str, Ints]]:
        """What makes the total fall from *column* to the next: the list that prices there where one of its tiers begins
        there or another list priced before, else the rule that acts from there on.
        """
        group, lists = answers.group, answers.costs.lists
        after, number = lists[rows, column + 1], int(answers.asked.numbers[0, column + 1])
        names = -1 - answers.rule_sets[rows]
        if answers.threshold is None:
            names = np.where((number in group.of_rows) | (lists[rows, column] != after), after, names)
        for name in np.unique(names).tolist():
            some = rows[names == name]
            noun = self.cells.lists[self._lists[int(lists[some[0], column + 1])]]
            by = noun.code
            if name < 0:
                rule_set = self.cells.rule_sets[-1 - name]
                rule = (
                    self._switched(answers, rule_set, int(some[0]), column) or rule_set.causing(group.of, number)
                    if answers.threshold is None
                    else rule_set.naming(answers.threshold)
                )
                by = rule or noun.code
            yield by, noun.currency, some

    def _switched(self, answers: _Answers, rule_set: RuleSet, row: int, column: int) -> str | None:
        """The first rule that acts at one of two quantities alone."""
        cases = [self._case(answers, row, at) for at in (column, column + 1)]
        lines = [self.amounts.line_of(case.sku, case.asker, case.of, case.number, case.at) for case in cases]
        acting = [{step.rule for step in line.trace.steps} for line in lines if isinstance(line, PricedLine)]
        return next((one.code for one in rule_set.rules if len([of for of in acting if one.code in of]) == 1), None)

    def _by_list(self, rows: Ints, lists: Ints) -> Iterator[tuple[str, Ints]]:
        for number in np.unique(lists).tolist():
            yield self._lists[number], rows[lists == number]

    def _dearer(self, answers: _Answers) -> None:
        """An amount above everyone's."""
        amounts, public = answers.costs.amounts[answers.compared], answers.public.amounts
        more = (amounts != REFUSED) & (public != REFUSED) & (amounts > public)
        share = np.where(more, (amounts - public) / np.maximum(public, 1), 0.0)
        worst = share.argmax(axis=1)
        rows = np.flatnonzero(more.any(axis=1))
        every = np.arange(len(worst))
        for by, some in self._by_list(rows, answers.costs.lists[answers.compared[rows], worst[rows]]):

            def case(at: int, some: Ints = some) -> Case:
                row, column = int(some[at]), int(worst[some[at]])
                return self._case(answers, int(answers.compared[row]), column, int(public[row, column]))

            skus = answers.asked.skus[answers.compared[some]]
            self._tally("dearer_than_public", by).add(skus, share[every[some], worst[some]], case)

    def _margins(self, answers: _Answers) -> None:
        """(price - cost) / price below the threshold."""
        asked, amounts = answers.asked, answers.costs.amounts
        for currency in np.unique(self._currencies[asked.askers]).tolist():
            cost, decimals = self._costs[currency]
            rows = np.flatnonzero((self._currencies[asked.askers] == currency) & (cost[asked.skus] > 0))
            if not len(rows):
                continue
            # price * (100 - margin) < 100 * cost, in one common denominator
            (margin, over), (step, of_step), (holds, of_holds) = self._margin, asked.of.step, asked.of.holds
            left = (100 * over - margin) * of_step * of_holds * 10**decimals
            right = 100 * over * step * holds * 10 ** self.amounts.decimals(currency)
            prices, numbers = amounts[rows], asked.numbers[rows]
            base = cost[asked.skus[rows]][:, None]
            if max(float(prices.max()) * left, float(base.max()) * float(numbers.max()) * right) >= _SAFE:
                prices, numbers, base = prices.astype(object), numbers.astype(object), base.astype(object)
            low = (prices * left < base * numbers * right) & (prices != REFUSED)
            found = np.flatnonzero(low.any(axis=1))
            if not len(found):
                continue
            worth = np.where(low, prices * left / (base * numbers * right), np.inf)
            worst = worth.argmin(axis=1)
            for by, some in self._by_list(found, answers.costs.lists[rows[found], worst[found]]):

                def case(at: int, some: Ints = some, rows: Ints = rows, worst: Ints = worst) -> Case:
                    return self._case(answers, int(rows[some[at]]), int(worst[some[at]]))

                self._tally("low_margin", by).add(asked.skus[rows[some]], -worth[some, worst[some]], case)

    def _jumps(self, answers: _Answers) -> None:
        """An amount that moves by more than the threshold."""
        assert answers.before is not None
        assert self._before is not None
        changed, skus = answers.changed, answers.asked.skus
        for currency in np.unique(self._currencies[answers.asked.askers[changed]]).tolist():
            here = np.flatnonzero(self._currencies[answers.asked.askers[changed]] == currency)
            now, before = answers.costs.amounts[changed[here]], answers.before.amounts[here]
            both = (now != REFUSED) & (before != REFUSED)
            places, places_before = self.amounts.decimals(currency), self._before.decimals(currency)
            finest = max(places, places_before)
            number, over = self._jump
            up, up_before = 10 ** (finest - places), 10 ** (finest - places_before)
            most = max(float(now.max()) * up, float(before.max()) * up_before)
            if most * 100 * max(number, over) >= _SAFE:
                now, before = now.astype(object), before.astype(object)
            move = now * up - before * up_before
            jumps = both & (np.abs(move) * 100 * over > before * up_before * number)
            share = np.where(jumps, np.abs(move) / np.maximum(before * up_before, 1), 0)
            worst = share.argmax(axis=1)
            rows = np.flatnonzero(jumps.any(axis=1))
            for by, some in self._by_list(rows, answers.costs.lists[changed[here[rows]], worst[rows]]):

                def case(
                    at: int, some: Ints = some, here: Ints = here, worst: Ints = worst, before: Array = before
                ) -> Case:
                    row, column = int(some[at]), int(worst[some[at]])
                    return self._case(answers, int(changed[here[row]]), column, int(before[row, column]))

                self._tally("price_jumps", by).add(skus[changed[here[some]]], share[some, worst[some]], case)

    # --- Telling ---

    def _finding(self, code: str, by: str, tally: Tally) -> Finding:
        case = tally.case
        assert case is not None
        asker, sku = self.cells.askers[case.asker], self.cells.entries[case.sku].facts.sku
        decimals = self.amounts.decimals(asker.currency)
        params = {"by": by, "sku": sku, "unit": case.of.unit, "currency": asker.currency}
        quantity, amount = case.of.text(case.number), fixed(case.amount, decimals)
        if code == "total_falls":
            case, more, after = self._next_to_each_other(case)
            quantity, amount = case.of.text(case.number), fixed(case.amount, decimals)
            params |= {"before": amount, "more": case.of.text(more), "after": fixed(after, decimals)}
        elif code == "dearer_than_public":
            params |= {"amount": amount, "public": fixed(case.other, decimals), "who": who(asker.buyer)}
        elif code == "low_margin":
            margin = self._margin_of(case, asker.currency)
            params |= {"amount": amount, "margin": margin, "threshold": self._thresholds.margin_percent}
        else:
            assert self._before is not None
            before = fixed(case.other, self._before.decimals(asker.currency))
            params |= {"amount": amount, "before": before, "threshold": self._thresholds.jump_percent}
            params["percent"] = _percent(case, decimals, self._before.decimals(asker.currency))
        witness = Witness(
            buyer=asker.buyer, currency=asker.currency, sku=sku, unit=case.of.unit, quantity=quantity, at=case.at
        )
        found = warning(code, witness, **{**params, "quantity": quantity})
        return of_several(found, [self.cells.entries[number].facts.sku for number in tally.skus()])

    def _next_to_each_other(self, case: Case) -> tuple[Case, int, int]:
        """Of a fall between two quantities, two neighbours that show it, and what the larger costs."""
        low, start, high = case.number, case.amount, case.other
        end = self._amount(case, high)
        while high - low > 1:
            middle = (low + high) // 2
            amount = self._amount(case, middle)
            if amount < start:
                high, end = middle, amount
            else:
                low, start = middle, amount
        return case._replace(number=low, amount=start), high, end

    def _amount(self, case: Case, number: int) -> int:
        """As the case's, of another number."""
        return self.amounts.one(case.sku, case.asker, case.of, number, case.at)[0]

    def _costs_in(self, currency: str) -> tuple[Array, int]:
        """By SKU the cost of a base unit in that currency, and its decimals; `_UNSOLD` where it has none."""
        known: dict[int, Ratio] = {
            number: ratio(cost.cost)
            for number, entry in enumerate(self.cells.entries)
            for cost in entry.costs
            if cost.currency == currency
        }
        over = max((one[1] for one in known.values()), default=1)
        scaled = {number: cost * (over // of) for number, (cost, of) in known.items()}
        wide = max(scaled.values(), default=0) > _TOO_MUCH
        found = np.full(len(self.cells.entries), _UNSOLD, object if wide else np.int64)
        for number, cost in scaled.items():
            found[number] = cost
        return found, len(str(over)) - 1

    def _margin_of(self, case: Case, currency: str) -> str:
        """In percent with one decimal, rounded down."""
        if not case.amount:
            return "-∞"
        costs, decimals = self._costs[currency]
        number = case.number * case.of.step[0] * case.of.holds[0] * int(costs[case.sku])
        over = case.of.step[1] * case.of.holds[1] * 10**decimals
        price, of_price = case.amount, 10 ** self.amounts.decimals(currency)
        return fixed(1000 * (price * over - number * of_price) // (price * over), 1)


def _bare_rules(rules: Rules) -> Rules:
    """Rules up to phase 7: what conditions on amounts look at, rounded down as finely as may be needed."""
    frame = rules.frame
    unit = tuple(layer for layer in frame.layers if layer.level is Level.UNIT)
    codes = {layer.code for layer in unit}
    return Rules(
        msgspec.structs.replace(
            frame,
            layers=unit,
            adjustments=tuple(noun for noun in frame.adjustments if noun.layer in codes),
            policy=msgspec.structs.replace(frame.policy, line=Rounding(decimals=_bare_decimals(rules), mode=Mode.DOWN)),
        )
    )


def _bare_decimals(rules: Rules) -> int:
    return _FINEST // 2 if rules.policy.round_unit else _FINEST


def _bare(asked: Asked) -> Asked:
    """Asked of bare rules, among which there are none for orders."""
    return asked._replace(whole=np.zeros(len(asked.skus), np.bool_))


def _part(asked: Asked, rows: Ints) -> Asked:
    return asked._replace(
        skus=asked.skus[rows], askers=asked.askers[rows], numbers=asked.numbers[rows], whole=asked.whole[rows]
    )


def _percent(case: Case, decimals: int, decimals_before: int) -> str:
    """How much more than before, signed, with one decimal."""
    if not case.other:
        return "+∞"
    amount, before = case.amount * 10**decimals_before, case.other * 10**decimals
    return ("-" if amount < before else "+") + fixed(1000 * abs(amount - before) // before, 1)
