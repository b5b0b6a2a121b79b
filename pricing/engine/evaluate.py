"""The whole evaluation: `quote` prices lines in the twelve phases of docs/pricing.md."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from kernel.money import MalformedDecimal, Money, UnknownCurrency, fixed, ratio, ratio_text
from pricing.engine.adjust import extend, to_rounded, to_unit
from pricing.engine.book import UnitFact
from pricing.engine.line import (
    MAX_LOSERS,
    Context,
    Line,
    Refusal,
    less,
    minus,
    over,
    plus,
    text,
    times,
)
from pricing.engine.memo import Memo
from pricing.engine.memory import Book
from pricing.engine.offer import Ahead, Offer, Stretch, Whole
from pricing.engine.order import adjust_order
from pricing.engine.request import (
    Cliff,
    Loser,
    NextBreak,
    PricedLine,
    Quote,
    QuoteRequest,
    RefusedLine,
    Step,
    Trace,
)
from pricing.engine.rules import FACTOR, ONE, ZERO, Ratio, ReadyQuantityRule, View
from pricing.engine.select import quantities, reached, select, tax_rate
from pricing.engine.tax import Taxed, Totals, tax_lines, totals

MAX_QUANTITY = 10**9
_SHOWN = 200
"""How much of a hostile code an answer repeats."""


def quote(request: QuoteRequest, *, book: Book, at: datetime) -> Quote:
    """Price *request* as of *at*: the same request, book and instant give the same answer, to the byte.

    A line that cannot be priced is refused with a reason, and then there are no totals. The order of lines does not
    change an amount.

    :raises ValueError: when *at* has no time zone
    """
    if at.tzinfo is None:
        raise ValueError("at needs a time zone")
    at = at.astimezone(UTC)
    try:
        context = Context(request, book.rules, at)
    except UnknownCurrency:
        lines = _lines(request, book, None)
        for line in lines:
            line.refusal = Refusal("no_price_in_currency", {"currency": request.currency})
        return _answer(request, book, at, lines, [], [], [], None)
    lines = _lines(request, book, context.view)
    _attempt(lines, context, _convert)
    _count_groups(lines, context)
    _attempt(lines, context, _to_extended)
    subtotal = ZERO
    for line in lines:
        if line.refusal is None:
            subtotal = plus(subtotal, line.net_extended)
    context.subtotal = subtotal
    _attempt(lines, context, to_rounded)
    priced = [line for line in lines if line.refusal is None]
    order_steps: list[Step] = []
    order_losers: list[Loser] = []
    whole = len(priced) == len(lines)
    if whole:
        order_steps, order_losers = adjust_order(priced, context)
    taxed = tax_lines(priced, context)
    sums = totals(priced, taxed, context) if whole else None
    answers = [_priced_line(line, one, context) for line, one in zip(priced, taxed, strict=True)]
    return _answer(request, book, at, lines, answers, order_steps, order_losers, sums)


# --- Phase 1: lines and quantities ---


def _lines(request: QuoteRequest, book: Book, view: View | None) -> list[Line]:
    """One line per SKU and unit, in the order of their first mention, quantities added up."""
    offers, group, lists = (book.rules.offers, view.group, view.lists) if view is not None else (Memo(), 0, {})
    found: dict[tuple[str, str | None], Line] = {}
    for number, asked in enumerate(request.lines):
        sku, unit = asked.sku, asked.unit
        offer = offers.get((group, sku, unit))
        if offer is not None:
            unit = offer.fact.unit
            line = found.get((sku, unit))
            if line is None:
                line = found[sku, unit] = Line(sku, unit, offer.entry)
                line.offer = offer
        else:
            entry = book.entry_of_lists(sku, lists)
            if unit is None and entry is not None:
                unit = entry.facts.units[0].unit
            line = found.get((sku, unit))
            if line is None:
                line = found[sku, unit] = Line(sku, unit, entry)
                line.said_unit = asked.unit
        line.requested.append(number)
        try:
            quantity = ratio(asked.quantity)
        except MalformedDecimal:
            _refuse_quantity(line, "quantity_malformed", asked.quantity)
            continue
        if quantity[0] < 0:
            _refuse_quantity(line, "quantity_negative", asked.quantity)
        line.quantity = quantity if len(line.requested) == 1 else plus(line.quantity, quantity)
    return list(found.values())


def _refuse_quantity(line: Line, reason: str, said: str) -> None:
    """Of several bad quantities of one line, the answer names the same one whatever their order."""
    if line.refusal is None or (reason, said) < (line.refusal.reason, line.said):
        line.refusal, line.said = Refusal(reason), said


def _count_groups(lines: Sequence[Line], context: Context) -> None:
    """What conditions and tiers count: the line's base units, or those of all lines of its break group."""
    grouped = [
        (line, line.entry.facts.break_group)
        for line in lines
        if line.refusal is None and line.entry is not None and line.entry.facts.break_group is not None
    ]
    for line, group in grouped:
        context.counted[group] = plus(context.counted.get(group, ZERO), line.base)
    for line, group in grouped:
        line.counted = context.counted[group]


def _convert(line: Line, context: Context) -> None:
    offer = line.offer
    if offer is None:
        offer = line.offer = _offer(line, context)
    _count(line, offer)


def _count(line: Line, offer: Offer) -> None:
    """Count the line's base units.

    :raises Refusal: when such a quantity may not be bought
    """
    number, denominator = line.quantity
    if denominator != 1 and number * offer.finest % denominator:
        raise Refusal("quantity_too_fine", {"decimals": str(offer.fact.decimals), "unit": offer.fact.unit})
    if number > MAX_QUANTITY * denominator:
        raise Refusal("quantity_too_large", {"maximum": str(MAX_QUANTITY), "unit": offer.fact.unit})
    line.asked = offer.asked
    line.base = line.counted = line.quantity if offer.asked is ONE else times(line.quantity, offer.asked)
    if number:
        for rule in offer.quantity_rules:
            _check_quantity(line, rule, offer.entry.facts.units[0].unit)


def _offer(line: Line, context: Context) -> Offer:
    entry, rules, view = line.entry, context.rules, context.view
    if entry is None:
        raise Refusal("unknown_sku")
    fact = _unit_fact(entry.facts.units, line.unit)
    if fact is None:
        raise Refusal("unknown_unit", {"units": ", ".join(fact.unit for fact in entry.facts.units)})
    offer = Offer(entry, fact, rules.quantity_rules_for(entry.facts), rules.matched(entry.facts, view))
    return rules.offers.keep((view.group, line.sku, line.said_unit), offer)


def _unit_fact(units: Iterable[UnitFact], asked: str | None) -> UnitFact | None:
    for fact in units:
        if fact.unit == asked:
            return fact
    return None


def _check_quantity(line: Line, rule: ReadyQuantityRule, base_unit: str) -> None:
    if rule.unit is not None and rule.unit != line.unit:
        return
    quantity, unit = (line.base, base_unit) if rule.unit is None else (line.quantity, rule.unit)
    minimum, maximum, multiple = rule.texts
    if rule.minimum is not None and less(quantity, rule.minimum):
        raise Refusal("quantity_below_minimum", {"minimum": minimum or "", "unit": unit})
    if rule.maximum is not None and less(rule.maximum, quantity):
        raise Refusal("quantity_above_maximum", {"maximum": maximum or "", "unit": unit})
    if rule.multiple is not None:
        number, denominator = over(quantity, rule.multiple)
        if number % denominator:
            raise Refusal("quantity_not_multiple", {"multiple": multiple or "", "unit": unit})


def _to_extended(line: Line, context: Context) -> None:
    """Phases 2 to 7."""
    offer = line.offer
    assert offer is not None
    line.matched = offer.matched
    known = offer.stretch(line.counted, context.at) if line.quantity[0] else None
    if known is None or not _lay(known, line, context):
        select(line, context)
        to_unit(line, context)
        # where amounts chose the list, another quantity could choose another
        if line.quantity[0] and line.unit_price is not None and not line.by_amount and offer.keeps(context.view):
            _keep(offer, line, context)
    extend(line)


def _lay(known: Stretch, line: Line, context: Context) -> bool:
    """Bring the line to where *known* stands; False when its tax is another."""
    price_list = known.price_list
    try:
        rate = tax_rate(line, context, price_list)
    except Refusal:
        return False
    if rate[0] != known.rate and price_list.tax_included:
        return False
    line.rate, line.rate_text = rate
    line.price_list, line.row, line.factor = price_list, known.row, known.factor
    line.tiers, line.tier_index = known.tiers, known.tier_index
    line.row_quantity, line.tier_quantity = quantities(line, known.row, known.factor)
    line.list_price, line.unit_price, line.fee = known.list_price, known.unit_price, known.fee
    line.floor, line.floor_code, line.ceiling, line.ceiling_code = (
        known.floor,
        known.floor_code,
        known.ceiling,
        known.ceiling_code,
    )
    line.steps, line.losers, line.wanted = [*known.steps], [*known.losers], [*known.wanted]
    line.since, line.edge = known.since, known.until
    line.known = known
    return True


def _keep(offer: Offer, line: Line, context: Context) -> None:
    """Remember the line as it is after phase 6."""
    assert line.list_price is not None
    assert line.unit_price is not None
    offer.keep(
        line.counted,
        Stretch(
            since=line.since,
            until=line.edge,
            rate=line.rate,
            price_list=line.price_list,
            row=line.row,
            tiers=line.tiers,
            tier_index=line.tier_index,
            factor=line.factor,
            list_price=line.list_price,
            unit_price=line.unit_price,
            fee=line.fee,
            floor=line.floor,
            floor_code=line.floor_code,
            ceiling=line.ceiling,
            ceiling_code=line.ceiling_code,
            steps=tuple(line.steps),
            losers=tuple(line.losers),
            wanted=tuple(line.wanted),
            ahead=None if offer.grouped else _ahead(line, context),
        ),
    )


def _attempt(lines: Iterable[Line], context: Context, phase: Callable[[Line, Context], None]) -> None:
    """Run *phase* on what is not refused; a refusal stays with its line."""
    for line in lines:
        if line.refusal is None:
            try:
                phase(line, context)
            except Refusal as refusal:
                line.refusal = refusal


# --- What more would cost ---


def _next_break(line: Line, ahead: Ahead) -> NextBreak:
    return NextBreak(
        quantity=ahead.needed_text,
        more=text(minus(ahead.needed, line.quantity)),
        unit_price=ahead.unit_price,
        unit=line.row.unit,
    )


def _ahead(line: Line, context: Context) -> Ahead | None:
    """The nearest later tier with a lower unit price, if a quantity that may be bought reaches it."""
    if line.list_price is None:
        return None
    tiers = line.tiers
    for index in range(line.tier_index + 1, len(tiers)):
        tier = tiers[index]
        price = ratio(tier.unit_price)
        if less(price, line.list_price):
            begin = ratio(tier.from_ if tier.from_ is not None else tier.above or "0")
            if line.factor is not ONE:
                begin = times(begin, line.factor)
            needed = _needed(line, begin, above=tier.from_ is None)
            if needed is None:
                return None
            return Ahead(needed, text(needed), _price_text(price, context.view.exponent), _listed_at(line, needed))
    return None


def _needed(line: Line, counted: Ratio, *, above: bool = False) -> Ratio | None:
    """The least quantity of the asked unit that may be bought and brings the line (with its break group) to *counted*
    base units, or *above*; None when the quantity rules allow none.
    """
    offer = line.offer
    assert offer is not None
    finest, rules = offer.finest, offer.quantity_rules
    wanted = counted if line.counted is line.base else minus(counted, minus(line.counted, line.base))
    if line.asked is not ONE:
        wanted = over(wanted, line.asked)
    if not rules and finest == 1 and wanted[1] == 1 and wanted[0] < MAX_QUANTITY:
        return (wanted[0] + 1, 1) if above else wanted
    step: Ratio = (1, finest)
    for rule in rules:
        if rule.multiple is not None and (rule.unit is None or rule.unit == line.unit):
            step = rule.multiple if rule.unit is not None else over(rule.multiple, line.asked)
    number, denominator = wanted[0] * step[1], wanted[1] * step[0]
    count = -(-number // denominator)
    if above and count * denominator == number:
        count += 1
    needed = count * step[0], step[1]
    if not rules and needed[0] <= MAX_QUANTITY * needed[1]:
        return needed
    try:
        _count(line.at_quantity(needed), offer)
    except Refusal:
        return None
    return needed


def _cliff(line: Line, context: Context, ahead: Ahead | None) -> Cliff | None:
    """The least of the next quantities at which another price begins and the whole line costs less than now."""
    if not line.quantity[0] or (ahead is None and not line.wanted):
        return None
    quantities: list[Ratio] = []
    if ahead is not None and _may_pay(line, ahead):
        quantities.append(ahead.needed)
    for rule, counted in line.wanted:
        # a percentage can only pay for the units it needs if these, after it, are fewer than those asked for
        if rule.kind is not FACTOR or less(times(counted, rule.factor), line.counted):
            needed = _needed(line, counted)
            if needed is not None:
                quantities.append(needed)
    for quantity in sorted(quantities):  # whose denominators are all the same
        amount = _amount_at(line, context, quantity)
        if amount is not None and amount < line.amount_units:
            return Cliff(quantity=text(quantity), subtotal=fixed(amount, context.line_places))
    return None


def _may_pay(line: Line, ahead: Ahead) -> bool:
    """Whether the next break could cost less than the line, as cheaply as that can be said.

    Where the same percentages act at both quantities, they and the bounds keep the order of the two amounts (but for
    what rounding the units may turn), so the list's own amounts decide.
    """
    if not line.matched.steady:
        return True
    if line.wanted:
        base = times(ahead.needed, line.asked)
        counted = base if line.counted is line.base else plus(line.counted, minus(base, line.base))
        if any(not less(counted, begin) for _, begin in line.wanted):
            return True
    assert line.list_price is not None
    here = times(line.list_price, line.row_quantity)
    return less(ahead.listed, plus(here, line.fee) if line.fee[0] else here)


def _listed_at(line: Line, quantity: Ratio) -> Ratio:
    """What the line's list asks for *quantity*, before adjustments."""
    base, factor = times(quantity, line.asked), line.factor
    counted = base if line.counted is line.base else plus(line.counted, minus(base, line.base))
    tier = line.tiers[reached(line.tiers, counted if factor is ONE else over(counted, factor))]
    listed = times(ratio(tier.unit_price), base if factor is ONE else over(base, factor))
    return plus(listed, ratio(tier.flat_fee)) if tier.flat_fee != "0" else listed


def _amount_at(line: Line, context: Context, quantity: Ratio) -> int | None:
    """What the line would cost at *quantity*, order adjustments apart; None when it could not be bought."""
    offer = line.offer
    assert offer is not None
    known = offer.amount_of(quantity, context.at)
    if known is not None:
        return known
    other = line.at_quantity(quantity)
    other.base = other.counted = times(quantity, line.asked)
    if line.counted is not line.base:
        other.counted = plus(line.counted, minus(other.base, line.base))
    subtotal = context.subtotal
    _attempt((other,), context, _to_extended)
    if other.refusal is None:
        context.subtotal = plus(subtotal, minus(other.net_extended, line.net_extended))
        _attempt((other,), context, to_rounded)
        context.subtotal = subtotal
    if other.refusal is not None:
        return None
    # tax that a list includes comes with the request, and may be another next time
    if other.known is not None and offer.alone and not other.price_list.tax_included:
        offer.keep_whole(quantity, Whole(other.since, other.edge, other.amount_units))
    return other.amount_units


# --- The answer ---


def _priced_line(line: Line, taxed: Taxed, context: Context) -> PricedLine:
    assert line.entry is not None
    assert line.unit is not None
    places, least = context.line_places, context.view.exponent
    price_list, losers, unit_price, list_price = line.price_list, line.losers, line.unit_price, line.list_price
    net, tax, decimals = taxed.net, taxed.tax, taxed.decimals
    assert line.offer is not None
    ahead = _ahead(line, context) if line.known is None or line.offer.grouped else line.known.ahead
    row_quantity, tier_quantity = text(line.row_quantity), line.tier_quantity
    subtotal, adjusted = fixed(line.amount_units, places), line.order_units - line.amount_units
    net_text = subtotal if net == line.amount_units and decimals == places else fixed(net, decimals)
    return PricedLine(
        requested=tuple(line.requested),
        sku=line.sku,
        unit=line.unit,
        quantity=row_quantity if line.row_quantity is line.quantity else text(line.quantity),
        price_unit=line.row.unit,
        unit_price=None if unit_price is None else _price_text(unit_price, least),
        list_price=None if list_price is None else _price_text(list_price, least),
        tax_included=price_list.tax_included,
        tax_category=line.entry.facts.tax_category,
        tax_percent=line.rate_text,
        subtotal=subtotal,
        order_adjustment=fixed(adjusted, places) if adjusted else context.view.line_zero,
        net=net_text,
        tax=None if tax is None else fixed(tax, decimals),
        total=net_text if not tax else fixed(taxed.total, decimals),
        valid_until=line.edge,
        trace=Trace(
            list=price_list.code,
            row_unit=line.row.unit,
            row_quantity=row_quantity,
            tier_quantity=row_quantity if tier_quantity is line.row_quantity else text(tier_quantity),
            steps=tuple(line.steps),
            losers=tuple(losers[:MAX_LOSERS]),
            losers_left_out=max(0, len(losers) - MAX_LOSERS),
            next_break=None if ahead is None else _next_break(line, ahead),
            cliff=_cliff(line, context, ahead),
        ),
    )


@lru_cache(maxsize=16_384)
def _price_text(price: Ratio, least: int) -> str:
    """With *least* decimals, the currency's, or as many more as it needs."""
    said = ratio_text(*price)
    if "/" in said or not least:
        return said
    whole, _, decimals = said.partition(".")
    return f"{whole}.{decimals.ljust(least, '0')}"


def _refused_line(line: Line, refusal: Refusal) -> RefusedLine:
    return RefusedLine(
        requested=tuple(line.requested),
        sku=_shown(line.sku),
        unit=None if line.unit is None else _shown(line.unit),
        quantity=_shown(line.said) if line.said else text(line.quantity),
        reason=refusal.reason,
        params=refusal.params,
        valid_until=line.edge,
    )


def _shown(said: str) -> str:
    return said[:_SHOWN].encode("utf-8", "replace").decode("utf-8")


def _answer(
    request: QuoteRequest,
    book: Book,
    at: datetime,
    lines: Sequence[Line],
    priced: Sequence[PricedLine],
    order_steps: Sequence[Step],
    order_losers: Sequence[Loser],
    sums: Totals | None,
) -> Quote:
    answers = iter(priced)
    currency = request.currency
    edges = [line.edge for line in lines if line.edge is not None]
    subtotal = None if sums is None else Money(sums.subtotal, currency)
    return Quote(
        root=book.root,
        at=at,
        buyer=request.buyer,
        currency=currency,
        tax_treatment=None if request.tax is None else request.tax.treatment.value,
        policy=book.rules.policy,
        lines=tuple(next(answers) if line.refusal is None else _refused_line(line, line.refusal) for line in lines),
        order_steps=tuple(order_steps),
        order_losers=tuple(order_losers[:MAX_LOSERS]),
        subtotal=subtotal,
        net=subtotal if sums is None or sums.net == sums.subtotal else Money(sums.net, currency),
        tax=None if sums is None or sums.tax is None else Money(sums.tax, currency),
        total=None if sums is None else Money(sums.total, currency),
        valid_until=min(edges, default=None),
    )
