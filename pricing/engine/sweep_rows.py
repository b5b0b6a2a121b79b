"""Phases 2 and 3 of many lines at once: the row and the tier that price each, as `select` finds them for one line."""

from collections.abc import Iterator
from typing import Final, NamedTuple, overload

import numpy as np

from pricing.engine.book import Strategy
from pricing.engine.columns import END, GRADUATED, ODD, PAGE_SKUS, PAGE_WORDS, Array, Columns, Ints, ticks
from pricing.engine.rules import ReadyList
from pricing.engine.sweep_plans import MICRO, Bools, Exact, exact

ONE: Final = np.uint64(1)
NO_ROW: Final = -1
_DENS: Final = tuple(10**places for places in range(7))


class Situation(NamedTuple):
    """What a buyer meets between two edges of the book's lists and rules: the *lists* open and valid, the first in
    rank first, and those open that begin *later* or have *ended*.
    """

    lists: tuple[int, ...]
    ranks: tuple[tuple[int, int], ...]
    later: tuple[int, ...]
    ended: tuple[int, ...]

    @property
    def tied(self) -> bool:
        return len(set(self.ranks)) < len(self.ranks)


def situation(lists: dict[str, ReadyList], numbers: dict[str, int], at: int) -> Situation:
    valid: list[ReadyList] = []
    later: list[int] = []
    ended: list[int] = []
    for one in lists.values():
        if one.starts_at is not None and at < ticks(one.starts_at):
            later.append(numbers[one.code])
        elif one.ends_at is not None and ticks(one.ends_at) <= at:
            ended.append(numbers[one.code])
        else:
            valid.append(one)
    valid.sort(key=lambda one: (one.rank, one.code), reverse=True)
    return Situation(
        tuple(numbers[one.code] for one in valid), tuple(one.rank for one in valid), tuple(later), tuple(ended)
    )


class Found(NamedTuple):
    """Of the lines at *places*: the row, its ladder, the reached tier, and whether it is of the asked unit."""

    places: Ints | None
    row: Ints
    ladder: Ints
    tier: Ints
    own: bool


class Asked:
    """Lines that may be priced. Quantities are over *quantity_den*: *quantity* of the asked unit, *base* of base units.
    *situation* and *at* are numbers where all lines share them; *ordinal* is the place of the asked unit among its
    SKU's, None where all ask for the base unit; *own* then too, else whether the row is of the asked unit.
    """

    __slots__ = (
        "at",
        "base",
        "by_scalar",
        "count",
        "level",
        "ordinal",
        "own",
        "quantity",
        "quantity_den",
        "row",
        "short",
        "situation",
        "sku",
        "tier",
    )

    def __init__(
        self,
        sku: Ints,
        situation: Ints | int,
        ordinal: Ints | None,
        quantity: Ints,
        base: Ints,
        quantity_den: int,
        at: Ints | int,
    ) -> None:
        self.sku = sku
        self.situation = situation
        self.ordinal = ordinal
        self.quantity = quantity
        self.base = base
        self.quantity_den = quantity_den
        self.at = at
        self.count = count = len(sku)
        self.row = np.full(count, NO_ROW, np.int64)
        self.tier = np.zeros(count, np.int64)
        self.level = np.zeros(count, np.int64)
        self.own: Bools | None = None if ordinal is None else np.ones(count, np.bool_)
        self.by_scalar = np.zeros(count, np.bool_)
        self.short = np.zeros(count, np.bool_)  # a row's first tier lies above the quantity


class RowFinder:
    """Finds rows for the lines of *situations*."""

    def __init__(self, columns: Columns, situations: list[Situation], strategy: Strategy) -> None:
        self._columns = columns
        self._situations = situations
        self._strategy = strategy
        self.depth = max([1, *(len(one.lists) for one in situations)])
        none = len(columns.frame.lists)
        self._lists_and_none = none + 1
        slots = columns.slots.reshape(columns.unit_places, none)
        self._slots = np.hstack([slots, np.zeros((len(slots), 1), np.int64)]).ravel()
        shape = (len(situations), self.depth)
        lists, ranks = np.full(shape, none, np.int64), np.full(shape, -1, np.int64)
        for number, one in enumerate(situations):
            order = {rank: at for at, rank in enumerate(dict.fromkeys(one.ranks))}
            lists[number, : len(one.lists)] = one.lists
            ranks[number, : len(one.ranks)] = [order[rank] for rank in one.ranks]
        self.lists = lists.ravel()
        self._base_slots = self._slots.take(self.lists)
        self._ranks = ranks.ravel()
        self._tied = any(one.tied for one in situations)
        nouns = columns.frame.lists
        self._mergeable = np.array([*(noun.mergeable for noun in nouns), False], np.bool_)
        self._included = np.array([*(noun.tax_included for noun in nouns), False], np.bool_)
        self.graduated = bool((columns.ladder_model == GRADUATED).any())
        self._dated = len(columns.row_window) > 0
        begins = columns.bounds[np.repeat(columns.ladder_model == GRADUATED, columns.width)]
        begins = begins[begins < END] // 2
        self._slice_den = next(den for den in _DENS if den == MICRO or not (begins % (MICRO // den)).any())

    def choose(self, asked: Asked) -> None:
        """Set row, tier, level and whether it is the asked unit's; where no row is left, why."""
        if self._strategy is Strategy.LOWEST:
            self._lowest(asked)
            return
        rest: Ints | None = None
        for level in range(self.depth):
            for found in self._candidates(asked, level, rest):
                _set(asked, found, level)
            missing = (asked.row if rest is None else asked.row.take(rest)) < 0
            missing &= ~(asked.by_scalar if rest is None else asked.by_scalar.take(rest))
            rest = np.flatnonzero(missing) if rest is None else rest[missing]
            if not len(rest):
                break
        if self._tied:
            self._leave_ties(asked)
        if self._strategy is Strategy.MERGE_BREAKS:
            self._merge(asked)

    def list_of(self, asked: Asked, places: Ints | None = None) -> Ints:
        """The number of each line's list."""
        lists: Ints = self.lists.take(taken(asked.situation, places) * self.depth + taken(asked.level, places))
        return lists

    def ladder_of(self, rows: Ints) -> Ints:
        ladders: Ints = self._columns.row_ladder.take(rows).astype(np.int64, copy=False)
        return ladders

    def _candidates(self, asked: Asked, level: int, places: Ints | None) -> list[Found]:
        """Of one list: the asked unit's row, else the base unit's, where the quantity reaches its first tier."""
        if asked.ordinal is None:
            return [self._reached(asked, self._rows(asked, level, places, None), asked.base)]
        ordinal = taken(asked.ordinal, places)
        own = self._reached(asked, self._rows(asked, level, places, ordinal), asked.quantity)
        others = ordinal != 0
        have = np.zeros(asked.count, np.bool_)
        have[own.places] = True
        others &= ~taken(have | asked.by_scalar, places)
        at = np.flatnonzero(others) if places is None else places[others]
        base = self._reached(asked, self._rows(asked, level, at, None), asked.base)
        return [own, base._replace(own=False)]

    def _rows(self, asked: Asked, level: int, places: Ints | None, ordinal: Ints | None) -> tuple[Ints | None, Ints]:
        """Rows of the list at *level* that are valid, and the places of the lines that have one."""
        sku = taken(asked.sku, places)
        cell = taken(asked.situation, places) * self.depth + level
        if ordinal is None:
            slot = self._base_slots.take(cell)
        else:
            slot = self._slots.take(ordinal * self._lists_and_none + self.lists.take(cell))
        places, run = self._runs(sku, slot, places)
        return self._valid(asked, places, run) if self._dated else (places, run)

    def _runs(self, sku: Ints, slot: Ints, places: Ints | None) -> tuple[Ints | None, Ints]:
        """The runs of *sku*, which are those at *places*, in *slot*, and the places of the lines that have one."""
        columns = self._columns
        page = columns.directory.take(slot * columns.pages_a_slot + sku // PAGE_SKUS).astype(np.int64)
        word = 2 * (page * PAGE_WORDS + (sku >> 6) % PAGE_WORDS)
        bits = columns.pages.take(word)
        shift = (sku & 63).view(np.uint64)
        here = (bits >> shift & ONE) != 0
        if not here.all():
            hits = np.flatnonzero(here)
            places = hits if places is None else places.take(hits)
            word, bits, shift = word.take(hits), bits.take(hits), shift.take(hits)
        run: Ints = columns.pages.take(word + 1).view(np.int64) + np.bitwise_count(bits & ((ONE << shift) - ONE))
        return places, run

    def _valid(self, asked: Asked, places: Ints | None, run: Ints) -> tuple[Ints | None, Ints]:
        """Of each run of rows the one that is valid."""
        columns = self._columns
        at = taken(asked.at, places)
        row = run
        if len(columns.run_first):
            row, end = columns.run_first.take(run).astype(np.int64), columns.run_first.take(run + 1)
            while True:
                later = row + 1 < end
                starts = columns.window_starts.take(columns.row_window.take(np.where(later, row + 1, row)))
                later &= starts <= at
                if not later.any():
                    break
                row += later
        window = columns.row_window.take(row)
        valid = (columns.window_starts.take(window) <= at) & (at < columns.window_ends.take(window))
        if valid.all():
            return places, row
        hits = np.flatnonzero(valid)
        return hits if places is None else places.take(hits), row.take(hits)

    def why_not(self, asked: Asked, places: Ints) -> tuple[Bools, Bools, Bools]:
        """Of the lines at *places*, which no row prices: whether a row of theirs begins later, whether in a list that
        is valid now, and whether one has ended, where none is valid.
        """
        later, later_here, ended = (np.zeros(len(places), np.bool_) for _ in range(3))
        of_lines = np.broadcast_to(taken(asked.situation, places), len(places))
        for number in np.unique(of_lines).tolist():
            one = self._situations[number]
            mine = np.flatnonzero(of_lines == number)
            for noun in (*one.lists, *one.later, *one.ended):
                for at, run in self._runs_of_list(asked, noun, places, mine):
                    begins = self._begins(taken(asked.at, places.take(at)), run)
                    if noun in one.later:
                        later[at] = True
                    else:
                        later[at] |= begins
                        ended[at] |= ~begins  # or is valid now and needs more, which is said first
                        later_here[at] |= begins & (noun in one.lists)
        return later, later_here, ended

    def _runs_of_list(self, asked: Asked, noun: int, places: Ints, mine: Ints) -> Iterator[tuple[Ints, Ints]]:
        """The runs of the asked unit and of the base unit, of the lines *mine* among those at *places*."""
        sku = asked.sku.take(places.take(mine))
        ordinals = [np.zeros(len(mine), np.int64)]
        if asked.ordinal is not None:
            ordinals.append(asked.ordinal.take(places.take(mine)))
        for ordinal in ordinals:
            at, run = self._runs(sku, self._slots.take(ordinal * self._lists_and_none + noun), mine)
            yield mine if at is None else at, run

    def _begins(self, at: Ints | int, run: Ints) -> Bools:
        """Of each run whether its last row begins later than *at*."""
        columns = self._columns
        if not self._dated:
            return np.zeros(len(run), np.bool_)
        last = columns.run_first.take(run + 1) - 1 if len(columns.run_first) else run
        begins: Bools = columns.window_starts.take(columns.row_window.take(last)) > at
        return begins

    def _reached(self, asked: Asked, found: tuple[Ints | None, Ints], quantities: Ints) -> Found:
        """The tiers of rows, where their first is reached; a line that meets an odd row is left to the scalar."""
        columns, (places, row) = self._columns, found
        twice = taken(quantities, places) * (2 * MICRO // asked.quantity_den)
        ladder = self.ladder_of(row)
        first = ladder * columns.width if columns.width > 1 else ladder
        fine = columns.bounds.take(first) <= twice
        if not fine.all():
            odd = ladder == ODD
            asked.by_scalar[np.flatnonzero(odd) if places is None else places[odd]] = True
            short = ~fine & ~odd
            asked.short[np.flatnonzero(short) if places is None else places[short]] = True
            hits = np.flatnonzero(fine)
            places = hits if places is None else places.take(hits)
            row, ladder, first, twice = row.take(hits), ladder.take(hits), first.take(hits), twice.take(hits)
        at, step = first, columns.width // 2
        while step:
            at = at + step * (columns.bounds.take(at + step) <= twice)
            step //= 2
        tier = at - first
        if self.graduated:
            tier *= columns.ladder_model.take(ladder) != GRADUATED
        return Found(places, row, ladder, tier, own=True)

    def _leave_ties(self, asked: Asked) -> None:
        """Lines for which another list of equal rank has a row too."""
        mine = self._ranks.take(asked.situation * self.depth + asked.level)
        chosen = asked.row >= 0
        for level in range(self.depth):
            rank = self._ranks.take(asked.situation * self.depth + level)
            other = np.flatnonzero(chosen & (rank == mine) & (asked.level != level))
            for found in self._candidates(asked, level, other):
                asked.by_scalar[found.places] = True

    def _merge(self, asked: Asked) -> None:
        """The highest break reached, of the mergeable lists that price the chosen row's unit."""
        columns = self._columns
        list_of = self.list_of(asked)
        joins = self._mergeable.take(list_of) & (asked.row >= 0) & ~asked.by_scalar
        if self.graduated:
            at = np.flatnonzero(joins)
            joins[at] = columns.ladder_model.take(self.ladder_of(asked.row.take(at))) != GRADUATED
        if self._tied:
            asked.by_scalar |= joins
            return
        included, top_own = self._included.take(list_of), asked.own
        best = np.full(asked.count, -1, np.int64)
        for level in range(self.depth):
            cell = asked.situation * self.depth + level
            other = self._mergeable.take(self.lists.take(cell)) & (
                self._included.take(self.lists.take(cell)) == included
            )
            places = np.flatnonzero(joins & other)
            for own in (True, False):
                if top_own is not None:
                    mine = places[top_own.take(places) == own]
                elif own:
                    mine = places
                else:
                    break
                ordinal = None if asked.ordinal is None or not own else asked.ordinal.take(mine)
                quantities = asked.quantity if own else asked.base
                found = self._reached(asked, self._rows(asked, level, mine, ordinal), quantities)
                at = mine if found.places is None else found.places
                bound = columns.bounds.take(found.ladder * columns.width + found.tier)
                better = bound > best.take(at)
                if self.graduated:
                    better &= columns.ladder_model.take(found.ladder) != GRADUATED
                at = at[better]
                best[at] = bound[better]
                asked.row[at], asked.tier[at], asked.level[at] = found.row[better], found.tier[better], level

    def _lowest(self, asked: Asked) -> None:
        """By exact amounts. Lists that include tax would need their net: left to the scalar evaluator."""
        lowest: Exact | None = None
        tied = np.zeros(asked.count, np.bool_)
        for level in range(self.depth):
            lists = self.lists.take(asked.situation * self.depth + level)
            asked.by_scalar |= self._included.take(lists)
            for found in self._candidates(asked, level, None):
                at = np.arange(asked.count) if found.places is None else found.places
                amount = self.amount(asked, found)
                here = Exact(np.zeros(asked.count, np.int64), amount.den, amount.top)
                here.num[at] = amount.num
                taken_before = asked.row.take(at) >= 0
                if lowest is None:
                    better = np.ones(len(at), np.bool_)
                    lowest = here
                else:
                    den = max(lowest.den, here.den)
                    lowest, here = lowest.over(den), here.over(den)
                    ours, theirs = here.num.take(at), lowest.num.take(at)
                    better = ~taken_before | (ours < theirs)
                    rank = self._ranks.take(taken(asked.situation, at) * self.depth + level)
                    held = self._ranks.take(taken(asked.situation, at) * self.depth + asked.level.take(at))
                    tied[at] = np.where(better, False, tied.take(at) | ((ours == theirs) & (rank == held)))
                    lowest.num[at[better]] = ours[better]
                    lowest.top = max(lowest.top, here.top)
                _set(
                    asked,
                    Found(at[better], found.row[better], found.ladder[better], found.tier[better], found.own),
                    level,
                )
        asked.by_scalar |= tied

    def amount(self, asked: Asked, found: Found) -> Exact:
        """Of one candidate row a line, fee included."""
        quantity = taken(asked.quantity if found.own else asked.base, found.places)
        unit, fee = self.price(found.row, found.tier)
        amount = unit.times(quantity, asked.quantity_den)
        if self.graduated:
            graduated = self._columns.ladder_model.take(found.ladder) == GRADUATED
            if graduated.any():
                sliced, fees = self.sliced(found.row, found.ladder, quantity, asked.quantity_den)
                amount = amount.where(graduated, sliced)
                fee = fees if fee is None else fee.where(graduated, fees)
        return amount if fee is None else amount.plus(fee)

    def price(self, row: Ints, tier: Ints) -> tuple[Exact, Exact | None]:
        """Unit price and fee of tiers; None where the book has no fees."""
        columns = self._columns
        den = 10**columns.price_decimals
        at = columns.row_first.take(row) + tier
        unit = exact(columns.prices.take(at).astype(np.int64, copy=False), den)
        if not len(columns.fees):
            return unit, None
        return unit, exact(columns.fees.take(at).astype(np.int64, copy=False), den)

    def sliced(self, row: Ints, ladder: Ints, quantity: Ints, quantity_den: int) -> tuple[Exact, Exact]:
        """What graduated rows ask, and their fees."""
        columns = self._columns
        den = 10**columns.price_decimals
        # no finer than the quantities and the bounds are
        part = max(quantity_den, self._slice_den)
        whole = exact(quantity, quantity_den).over(part)
        halves = 2 * MICRO // part
        size, first = columns.ladder_size.take(ladder), columns.row_first.take(row).astype(np.int64)
        zero = np.zeros(len(row), np.int64)
        amount, fees = Exact(zero, den * part, 0), Exact(zero, den, 0)
        begin = columns.bounds.take(ladder * columns.width) // halves
        for tier in range(int(size.max())):
            # behind a row's last tier nothing begins; what is not entered reads a price that it does not use
            entered = begin < whole.num
            last = tier + 1 >= columns.width
            end = whole.num if last else columns.bounds.take(ladder * columns.width + tier + 1) // halves
            at = np.where(entered, first + tier, 0)
            price = np.where(entered, columns.prices.take(at), 0).astype(np.int64, copy=False)
            length = Exact(np.where(entered, np.minimum(end, whole.num) - begin, 0), part, whole.top)
            amount = amount.plus(length.times(price, den))
            if len(columns.fees):
                fees = fees.plus(exact(np.where(entered, columns.fees.take(at), 0), den))
            begin = end
        return amount, fees


@overload
def taken(values: Ints, places: Ints | None) -> Ints: ...
@overload
def taken(values: Bools, places: Ints | None) -> Bools: ...
@overload
def taken(values: Ints | int, places: Ints | None) -> Ints | int: ...
def taken(values: Array | int, places: Ints | None) -> Array | int:
    """The values at *places*; all for None. A number stands for as many as are asked."""
    return values if places is None or isinstance(values, int) else values.take(places)


def _set(asked: Asked, found: Found, level: int) -> None:
    at = found.places
    if at is None:
        asked.row, asked.tier = found.row, found.tier
        asked.level[:] = level
        if asked.own is not None:
            asked.own[:] = found.own
        return
    asked.row[at], asked.tier[at], asked.level[at] = found.row, found.tier, level
    if asked.own is not None:
        asked.own[at] = found.own
