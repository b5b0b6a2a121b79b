"""Phases 2 and 3: the row that prices a line, and its tier."""

from datetime import datetime

import msgspec

from kernel.money import Mode, divide, ratio
from pricing.engine.book import PriceRow, RowModel, Strategy, Tier
from pricing.engine.line import (
    Context,
    Line,
    Rate,
    Refusal,
    instant_text,
    less,
    minus,
    over,
    plus,
    times,
)
from pricing.engine.request import Treatment
from pricing.engine.rules import ONE, ZERO, Ratio, ReadyList

MAX_TAX_PERCENT = 1000
_NO_TIER = -1
MOST_SPECIFIC, GRADUATED, PACKAGE = Strategy.MOST_SPECIFIC, RowModel.GRADUATED, RowModel.PACKAGE


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A row that could price the line: its tiers, the reached one, and the quantities in its own unit."""

    price_list: ReadyList
    row: PriceRow
    tiers: tuple[Tier, ...]
    tier_index: int
    factor: Ratio
    row_quantity: Ratio
    tier_quantity: Ratio


Misses = dict[str, tuple[str, dict[str, str]]]
"""By list, why it prices nothing: a reason with its parameters."""

Price = tuple[Ratio | None, Ratio, Ratio]
"""The unit price, the line's amount without its fee, and the fee; a row without a unit price has None."""


def select(line: Line, context: Context) -> None:
    """Set the line's row, tier and price from the book's strategy.

    :raises Refusal: when no row can price it, or two could with equal right
    """
    candidates, misses = _candidates(line, context)
    if not candidates:
        raise _no_candidate(context, misses)
    strategy, reason = context.rules.strategy, "less_specific"
    if strategy is MOST_SPECIFIC:
        chosen = _first(candidates)
    elif strategy is Strategy.LOWEST:
        chosen, reason = _lowest(line, context, candidates), "higher_amount"
    else:
        chosen = _merged(line, context, candidates)
    if len(candidates) > 1:
        _note_losers(line, chosen, candidates, reason)
    if misses:
        found = {candidate.price_list.code for candidate in candidates}
        for code, (why, params) in misses.items():
            if code not in found:
                line.loses("price", code, context.lists[code].titles, why, params)
    line.price_list, line.row, line.factor = chosen.price_list, chosen.row, chosen.factor
    line.tiers, line.tier_index = chosen.tiers, chosen.tier_index
    line.row_quantity, line.tier_quantity = chosen.row_quantity, chosen.tier_quantity
    line.rate, line.rate_text = tax_rate(line, context, chosen.price_list)
    line.list_price, line.amount, line.fee = priced(chosen)
    line.unit_price = line.list_price


def tax_rate(line: Line, context: Context, price_list: ReadyList) -> Rate:
    """The tax on the line.

    :raises Refusal: when it is needed and not given, or is no sensible rate
    """
    assert line.entry is not None
    key = (line.entry.facts.tax_category, price_list.tax_included)
    rate = context.taxed.get(key)
    if rate is None:
        rate = context.taxed[key] = _tax_rate(context, *key)
    return rate


def _tax_rate(context: Context, category: str, included: bool) -> Rate:
    if context.treatment is None:
        if included:
            raise Refusal("tax_needed")
        return ZERO, None
    percent = context.rates.get(category)
    if percent is None:
        if included or context.treatment is Treatment.STANDARD:
            raise Refusal("tax_rate_unknown", {"category": category})
        return ZERO, "0"
    number, denominator = ratio(percent)
    if not 0 <= number <= MAX_TAX_PERCENT * denominator:
        raise Refusal("tax_rate_unknown", {"category": category})
    return (number, 100 * denominator), percent


def priced(candidate: Candidate) -> Price:
    """Phase 3: what the reached tier asks. Quantity 0 costs nothing, fees included."""
    row, quantity = candidate.row, candidate.row_quantity
    model = row.model
    if model is GRADUATED:
        return None, *graduated(candidate.tiers, quantity)
    if model is PACKAGE:
        return None, *_packages(row, quantity)
    tier = candidate.tiers[candidate.tier_index]
    unit, (number, denominator) = ratio(tier.unit_price), quantity
    amount = unit[0] * number, unit[1] * denominator
    return unit, amount, ratio(tier.flat_fee) if number else ZERO


def graduated(tiers: tuple[Tier, ...], quantity: Ratio) -> tuple[Ratio, Ratio]:
    """Each slice at its own tier; the fees of all tiers entered."""
    amount = fee = ZERO
    for index, tier in enumerate(tiers):
        begin = ratio(tier.above or "0")
        if not less(begin, quantity):
            break
        end = ratio(tiers[index + 1].above or "0") if index + 1 < len(tiers) else quantity
        end = end if less(end, quantity) else quantity
        amount = plus(amount, times(minus(end, begin), ratio(tier.unit_price)))
        fee = plus(fee, ratio(tier.flat_fee))
    return amount, fee


def reached(tiers: tuple[Tier, ...], quantity: Ratio) -> int:
    """The tier *quantity* has reached, -1 for none; quantity 0 stands in the first."""
    number, denominator = quantity
    index = len(tiers)
    for tier in reversed(tiers):
        index -= 1
        from_ = tier.from_
        if from_ is not None:
            begin, of = ratio(from_)
            if number * of >= begin * denominator:
                return index
        else:
            begin, of = ratio(tier.above or "0")
            if number * of > begin * denominator:
                return index
    return _NO_TIER if number else 0


def _packages(row: PriceRow, quantity: Ratio) -> tuple[Ratio, Ratio]:
    """Whole packages of what is left after the free units; tiers count packages."""
    package = row.package
    assert package is not None
    rest = minus(quantity, ratio(package.free))
    if rest[0] <= 0:
        return ZERO, ZERO
    count = divide(*over(rest, ratio(package.size)), Mode.UP if package.round_up else Mode.DOWN), 1
    if not package.whole_quantity or not count[0]:
        return graduated(row.tiers, count)
    tier = row.tiers[reached(row.tiers, count)]
    return times(count, ratio(tier.unit_price)), ratio(tier.flat_fee)


def _candidates(line: Line, context: Context) -> tuple[list[Candidate], Misses]:
    """Rows that pass the hard filters, one of a list: the asked unit's, else the base unit's. And why the others'
    lists do not.
    """
    entry, lists = line.entry, context.lists
    assert entry is not None
    asked, base = line.unit, entry.facts.units[0].unit
    found: dict[str, Candidate] = {}
    misses: Misses = {}
    for row in entry.rows:
        code, unit = row.list, row.unit
        price_list = lists.get(code)
        if price_list is None or (unit != asked and unit != base):  # noqa: PLR1714 - the hottest test there is
            continue
        dated = price_list.dated or row.starts_at is not None or row.ends_at is not None
        if dated and not _valid(line, context.at, price_list, row, misses):
            continue
        if unit != asked and code in found:
            continue
        candidate = _candidate(line, price_list, row)
        if candidate.tier_index == _NO_TIER:
            first = row.tiers[0]
            misses[code] = (
                ("needs_quantity", {"quantity": first.from_, "unit": unit})
                if first.from_ is not None
                else ("needs_more_than", {"quantity": first.above or "0", "unit": unit})
            )
        else:
            found[code] = candidate
    return list(found.values()), misses


def _valid(line: Line, at: datetime, price_list: ReadyList, row: PriceRow, misses: Misses) -> bool:
    """Whether list and row are valid at *at*; the edges that lie ahead are noted, and why not."""
    valid = True
    for starts_at, ends_at in ((price_list.starts_at, price_list.ends_at), (row.starts_at, row.ends_at)):
        if starts_at is not None:
            if at < starts_at:
                line.turn(starts_at)
                misses[row.list] = "starts", {"at": instant_text(starts_at)}
                valid = False
                continue
            line.passed(starts_at)
        if ends_at is not None:
            if at < ends_at:
                line.turn(ends_at)
            else:
                line.passed(ends_at)
                misses.setdefault(row.list, ("ended", {"at": instant_text(ends_at)}))
                valid = False
    return valid


def _candidate(line: Line, price_list: ReadyList, row: PriceRow) -> Candidate:
    factor = line.asked if row.unit == line.unit else ONE
    row_quantity, tier_quantity = quantities(line, row, factor)
    index = reached(row.tiers, tier_quantity)
    return Candidate(price_list, row, row.tiers, index, factor, row_quantity, tier_quantity)


def quantities(line: Line, row: PriceRow, factor: Ratio) -> tuple[Ratio, Ratio]:
    """The quantity in the row's unit, of which one is *factor* base units, and that which its tiers count."""
    quantity = line.quantity if row.unit == line.unit else line.base
    if line.counted is line.base or row.model is GRADUATED or row.model is PACKAGE:
        return quantity, quantity
    return quantity, over(line.counted, factor)


def _no_candidate(context: Context, misses: Misses) -> Refusal:
    for wanted in ("needs_quantity", "needs_more_than"):
        for reason, params in misses.values():
            if reason == wanted:
                return Refusal("quantity_not_priced", params)
    starts = sorted(params["at"] for reason, params in misses.values() if reason == "starts")
    if starts:
        return Refusal("not_priced_yet", {"at": starts[0]})
    if misses:
        return Refusal("no_longer_priced")
    return Refusal("no_price_in_currency", {"currency": context.currency})


def _first(candidates: list[Candidate]) -> Candidate:
    """:raises Refusal: when two lists have equal rank; a publication that could lead here is refused"""
    best, tied = candidates[0], False
    for candidate in candidates[1:]:
        rank, best_rank = candidate.price_list.rank, best.price_list.rank
        if rank > best_rank:
            best, tied = candidate, False
        elif rank == best_rank:
            tied = True
    if tied:
        raise _ambiguous([candidate for candidate in candidates if candidate.price_list.rank == best.price_list.rank])
    return best


def _ambiguous(tied: list[Candidate]) -> Refusal:
    return Refusal("ambiguous_price", {"lists": ", ".join(sorted(candidate.price_list.code for candidate in tied))})


def _lowest(line: Line, context: Context, candidates: list[Candidate]) -> Candidate:
    best: list[Candidate] = []
    lowest = ZERO
    line.by_amount = len(candidates) > 1
    for candidate in candidates:
        _, amount, fee = priced(candidate)
        net = plus(amount, fee)
        if candidate.price_list.tax_included:
            rate, _ = tax_rate(line, context, candidate.price_list)
            net = over(net, plus((1, 1), rate))
        if not best or less(net, lowest):
            best, lowest = [candidate], net
        elif not less(lowest, net):
            best.append(candidate)
    return _first(best)


def _merged(line: Line, context: Context, candidates: list[Candidate]) -> Candidate:
    """Each break from the first list in rank that has it, over mergeable lists that price the same unit by flat or
    volume rows and treat tax alike.
    """
    top = _first(candidates)
    if not _joins(top, top):
        return top
    ranked = sorted(
        (candidate for candidate in _valid_rows(line, context) if _joins(candidate, top)),
        key=lambda candidate: candidate.price_list.rank,
        reverse=True,
    )
    breaks: dict[tuple[Ratio, bool], tuple[Tier, Candidate]] = {}
    for candidate in ranked:
        for tier in candidate.tiers:
            begin = (ratio(tier.from_ if tier.from_ is not None else tier.above or "0"), tier.from_ is None)
            known = breaks.setdefault(begin, (tier, candidate))
            if known[1] is not candidate and known[1].price_list.rank == candidate.price_list.rank:
                raise _ambiguous([known[1], candidate])
    ordered = sorted(breaks.items(), key=lambda item: (item[0][0][0] * 10**12 // item[0][0][1], item[0][1]))
    tiers = tuple(tier for _, (tier, _) in ordered)
    index = reached(tiers, top.tier_quantity)
    owner = ordered[index][1][1]
    return msgspec.structs.replace(owner, tiers=tiers, tier_index=index)


def _joins(candidate: Candidate, top: Candidate) -> bool:
    return (
        candidate.price_list.mergeable
        and candidate.row.unit == top.row.unit
        and candidate.price_list.tax_included == top.price_list.tax_included
        and candidate.row.model in {RowModel.FLAT, RowModel.VOLUME}
    )


def _valid_rows(line: Line, context: Context) -> list[Candidate]:
    """Rows valid now in lists open to the buyer, reached or not."""
    assert line.entry is not None
    found = []
    for row in line.entry.rows:
        price_list = context.lists.get(row.list)
        if price_list is not None and all(
            (noun.starts_at is None or noun.starts_at <= context.at)
            and (noun.ends_at is None or context.at < noun.ends_at)
            for noun in (price_list, row)
        ):
            found.append(_candidate(line, price_list, row))
    return found


def _note_losers(line: Line, chosen: Candidate, candidates: list[Candidate], reason: str) -> None:
    winner = chosen.price_list
    by = {"by": winner.code}
    for candidate in candidates:
        loser = candidate.price_list
        if loser is not winner:
            equal = reason == "less_specific" and loser.rank[0] == winner.rank[0]
            line.loses("price", loser.code, loser.titles, "lower_priority" if equal else reason, by)
