"""Phases 2 and 3: the row that prices a line, and its tier."""

from typing import NamedTuple

from kernel.money import Mode, divide, ratio
from pricing.engine.book import PriceRow, RowModel, Strategy, Tier
from pricing.engine.line import (
    ZERO,
    Context,
    Line,
    Refusal,
    instant_text,
    less,
    minus,
    over,
    plus,
    times,
)
from pricing.engine.request import Treatment
from pricing.engine.rules import Ratio, ReadyList

MAX_TAX_PERCENT = 1000
_NO_TIER = -1


class Candidate(NamedTuple):
    """A row that could price the line: its tiers, the reached one, and the quantities in its own unit."""

    price_list: ReadyList
    row: PriceRow
    tiers: tuple[Tier, ...]
    tier_index: int
    factor: Ratio
    row_quantity: Ratio
    tier_quantity: Ratio


class Price(NamedTuple):
    """*unit* None: the row has no unit price, and *amount* is the line without its *fee*."""

    unit: Ratio | None
    amount: Ratio
    fee: Ratio


def select(line: Line, context: Context) -> None:
    """Set the line's row, tier and price from the book's strategy.

    :raises Refusal: when no row can price it, or two could with equal right
    """
    candidates, misses = _candidates(line, context)
    if not candidates:
        raise _no_candidate(context, misses)
    strategy = context.rules.strategy
    if strategy is Strategy.LOWEST:
        chosen, reason = _lowest(line, context, candidates), "higher_amount"
    elif strategy is Strategy.MERGE_BREAKS:
        chosen, reason = _merged(line, context, candidates), "less_specific"
    else:
        chosen, reason = _first(candidates), "less_specific"
    if len(candidates) > 1:
        _note_losers(line, chosen, candidates, reason)
    for code, (why, params) in misses.items():
        if not any(candidate.price_list.code == code for candidate in candidates):
            line.loses("price", code, context.lists[code].titles, why, params)
    line.price_list, line.row, line.tiers, line.tier_index, line.factor, line.row_quantity, line.tier_quantity = chosen
    line.rate, line.rate_text = tax_rate(line, context, chosen.price_list)
    price = priced(chosen)
    line.list_price = line.unit_price = price.unit
    line.amount, line.fee = price.amount, price.fee


def tax_rate(line: Line, context: Context, price_list: ReadyList) -> tuple[Ratio, str | None]:
    """The tax on the line as a part of its net, and the percentage as text.

    :raises Refusal: when it is needed and not given, or is no sensible rate
    """
    if context.treatment is None:
        if price_list.tax_included:
            raise Refusal("tax_needed")
        return ZERO, None
    assert line.entry is not None
    category = line.entry.facts.tax_category
    percent = context.rates.get(category)
    if percent is None:
        if price_list.tax_included or context.treatment is Treatment.STANDARD:
            raise Refusal("tax_rate_unknown", {"category": category})
        return ZERO, "0"
    number, denominator = ratio(percent)
    if not 0 <= number <= MAX_TAX_PERCENT * denominator:
        raise Refusal("tax_rate_unknown", {"category": category})
    return (number, 100 * denominator), percent


def priced(candidate: Candidate) -> Price:
    """Phase 3: what the reached tier asks. Quantity 0 costs nothing, fees included."""
    row, quantity = candidate.row, candidate.row_quantity
    tier = candidate.tiers[candidate.tier_index]
    if row.model is RowModel.GRADUATED:
        return Price(None, *graduated(candidate.tiers, quantity))
    if row.model is RowModel.PACKAGE:
        return Price(None, *_packages(row, quantity))
    unit = ratio(tier.unit_price)
    return Price(unit, times(unit, quantity), ratio(tier.flat_fee) if quantity[0] else ZERO)


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
    for index in range(len(tiers) - 1, -1, -1):
        tier = tiers[index]
        if tier.from_ is not None:
            begin = ratio(tier.from_)
            if number * begin[1] >= begin[0] * denominator:
                return index
        else:
            begin = ratio(tier.above or "0")
            if number * begin[1] > begin[0] * denominator:
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


def _candidates(line: Line, context: Context) -> tuple[list[Candidate], dict[str, tuple[str, dict[str, str]]]]:
    """Rows that pass the hard filters, one of a list: the asked unit's, else the base unit's. And why the others'
    lists do not.
    """
    entry, at, lists = line.entry, context.at, context.lists
    assert entry is not None
    asked, base = line.unit, entry.facts.units[0].unit
    found: dict[str, Candidate] = {}
    misses: dict[str, tuple[str, dict[str, str]]] = {}
    for row in entry.rows:
        price_list = lists.get(row.list)
        if price_list is None or row.unit not in (asked, base):
            continue
        valid = True
        for starts_at, ends_at in (
            (price_list.starts_at, price_list.ends_at),
            (row.starts_at, row.ends_at),
        ):
            if starts_at is not None and at < starts_at:
                line.turn(starts_at)
                misses[row.list] = "starts", {"at": instant_text(starts_at)}
                valid = False
            elif ends_at is not None:
                if at < ends_at:
                    line.turn(ends_at)
                else:
                    misses.setdefault(row.list, ("ended", {"at": instant_text(ends_at)}))
                    valid = False
        if not valid or (row.unit != asked and row.list in found):
            continue
        candidate = _candidate(line, price_list, row)
        if candidate.tier_index == _NO_TIER:
            first = row.tiers[0]
            misses[row.list] = (
                ("needs_quantity", {"quantity": first.from_, "unit": row.unit})
                if first.from_ is not None
                else ("needs_more_than", {"quantity": first.above or "0", "unit": row.unit})
            )
        else:
            found[row.list] = candidate
    return list(found.values()), misses


def _candidate(line: Line, price_list: ReadyList, row: PriceRow) -> Candidate:
    if row.unit == line.unit:
        factor, row_quantity = line.asked, line.quantity
    else:
        factor, row_quantity = (1, 1), line.base
    if row.model is RowModel.FLAT or row.model is RowModel.VOLUME:
        tier_quantity = row_quantity if line.counted is line.base else over(line.counted, factor)
        index = reached(row.tiers, tier_quantity)
    else:
        tier_quantity, index = row_quantity, 0
    return Candidate(price_list, row, row.tiers, index, factor, row_quantity, tier_quantity)


def _no_candidate(context: Context, misses: dict[str, tuple[str, dict[str, str]]]) -> Refusal:
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
    if len(candidates) == 1:
        return candidates[0]
    best = max(candidates, key=lambda candidate: candidate.price_list.rank)
    if sum(candidate.price_list.rank == best.price_list.rank for candidate in candidates) > 1:
        raise _ambiguous([candidate for candidate in candidates if candidate.price_list.rank == best.price_list.rank])
    return best


def _ambiguous(tied: list[Candidate]) -> Refusal:
    return Refusal("ambiguous_price", {"lists": ", ".join(sorted(candidate.price_list.code for candidate in tied))})


def _lowest(line: Line, context: Context, candidates: list[Candidate]) -> Candidate:
    best: list[Candidate] = []
    lowest = ZERO
    for candidate in candidates:
        price = priced(candidate)
        net = plus(price.amount, price.fee)
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
    return owner._replace(tiers=tiers, tier_index=index)


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
    for candidate in candidates:
        loser = candidate.price_list
        if loser.code != winner.code:
            equal = reason == "less_specific" and loser.rank[0] == winner.rank[0]
            line.loses("price", loser.code, loser.titles, "lower_priority" if equal else reason, {"by": winner.code})
