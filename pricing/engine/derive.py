"""Lists that follow another list, or cost: formulas into rows, before a book is published.

A derivation is the house's own. Only the rows it gives enter a book, so that no reader ever sees a formula or a cost.
docs/pricing.md, "Derived lists", teaches the rules by example.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from kernel.money import MAX_DECIMALS, MAX_INTEGER_DIGITS, Mode, UnknownCurrency, divide, exponent, ratio, ratio_text
from pricing.engine.book import (
    BookContent,
    Code,
    Cost,
    DecimalText,
    Noun,
    PriceList,
    PriceRow,
    SkuFacts,
    Tier,
)
from pricing.engine.check import Finding, Severity, Witness
from pricing.engine.line import less, over, plus, times
from pricing.engine.request import Buyer
from pricing.engine.rules import Ratio

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_HUNDRED: Final = (100, 1)
_SCALE: Final = 10**MAX_DECIMALS
_TOO_LARGE: Final = 10**MAX_INTEGER_DIGITS


class Multiple(Noun, frozen=True, kw_only=True):
    """What a price is rounded to: `0.05` gives 4.35, 4.40, ..."""

    multiple: DecimalText
    mode: Mode


class Derivation(Noun, frozen=True, kw_only=True):
    """How the prices of *list* follow those of *base*, or (*base* None) the costs in its currency.

    *percent* is added to the base price, `-12` takes 12 % off; then the price is rounded, *ending* is added to it
    (`-0.01` gives x.99), and it is kept within the margins, (price - cost) / price in percent.
    """

    list: Code
    base: Code | None = None
    percent: DecimalText = "0"
    round_to: Multiple | None = None
    ending: DecimalText = "0"
    min_margin: DecimalText | None = None
    max_margin: DecimalText | None = None


class Derived(NamedTuple):
    """*content* is what was given with *rows*, those that follow from the formulas, added to it."""

    content: BookContent
    rows: tuple[PriceRow, ...]
    findings: tuple[Finding, ...]


TEXTS: Final = {
    "derivation_twice": (
        "The list {list} has two derivations. Keep one.",
        "La tarifa {list} tiene dos derivaciones. Deje una.",
    ),
    "derivation_unknown_list": (
        "A derivation fills the list {list}, which does not exist.",
        "Una derivación llena la tarifa {list}, que no existe.",
    ),
    "derivation_unknown_base": (
        "The list {list} is derived from {base}, which does not exist.",
        "La tarifa {list} se deriva de {base}, que no existe.",
    ),
    "derivation_other_currency": (
        "The list {list} is in {currency} and cannot be derived from {base}, which is in {other}.",
        "La tarifa {list} está en {currency} y no puede derivarse de {base}, que está en {other}.",
    ),
    "derivation_other_tax": (
        "Of the lists {list} and {base}, from which it is derived, one includes tax and the other does not.",
        "De la tarifa {list} y de {base}, de la que se deriva, una incluye impuestos y la otra no.",
    ),
    "derivation_needs_net": (
        "The list {list} includes tax. Costs are net, so it has no margin and cannot be derived from cost.",
        "La tarifa {list} incluye impuestos. Los costes son netos: no tiene margen ni puede derivarse del coste.",
    ),
    "derivation_bad_multiple": (
        "The list {list} must round to a multiple above 0, not {multiple}.",
        "La tarifa {list} debe redondear a un múltiplo mayor que 0, no {multiple}.",
    ),
    "derivation_bad_margin": (
        "The margins of the list {list} must be below 100 %, the minimum not above the maximum.",
        "Los márgenes de la tarifa {list} deben ser menores que 100 %, el mínimo no mayor que el máximo.",
    ),
    "derivation_unknown_currency": (
        "State a multiple to round to: {currency}, the currency of the list {list}, has no cents that we know of.",
        "Indique un múltiplo de redondeo: no conocemos los céntimos de {currency}, la moneda de la tarifa {list}.",
    ),
    "derivation_cyclic": (
        "Lists are derived from each other in a circle: {lists}.",
        "Hay tarifas que se derivan unas de otras en círculo: {lists}.",
    ),
    "derivation_without_costs": (
        "The list {list} is derived from cost, and no SKU has a cost in {currency}.",
        "La tarifa {list} se deriva del coste y ningún SKU tiene coste en {currency}.",
    ),
    "derivation_of_empty_list": (
        "The list {list} is derived from {base}, which has no prices.",
        "La tarifa {list} se deriva de {base}, que no tiene precios.",
    ),
    "derivation_all_stated": (
        "Every price of the list {list} is stated outright, so its derivation gives none. Remove the prices it is for.",
        "Todos los precios de la tarifa {list} están fijados: su derivación no da ninguno. Quite los que deba dar.",
    ),
    "derivation_without_cost": (
        "The list {list} needs a cost above 0 in {currency}: {count} prices have none, the first of SKU {sku}.",
        "La tarifa {list} necesita un coste mayor que 0 en {currency}: faltan {count}; el primero, del SKU {sku}.",
    ),
    "derivation_no_price_between_margins": (
        "In the list {list}, {count} prices find no multiple of {multiple} within the margins; the first: SKU {sku}.",
        "En la tarifa {list}, {count} precios no hallan múltiplo de {multiple} entre márgenes; el primero: SKU {sku}.",
    ),
    "derivation_negative": (
        "In the list {list}, {count} prices would be below 0; the first is of SKU {sku}.",
        "En la tarifa {list}, {count} precios serían menores que 0; el primero es del SKU {sku}.",
    ),
    "derivation_too_fine": (
        "The list {list} must round: {count} prices need more than 12 decimals, the first of SKU {sku}.",
        "La tarifa {list} debe redondear: {count} precios necesitan más de 12 decimales; el primero, del SKU {sku}.",
    ),
    "derivation_too_large": (
        "In the list {list}, {count} prices have more than 18 digits before the point; the first is of SKU {sku}.",
        "En la tarifa {list}, {count} precios tienen más de 18 cifras enteras; el primero es del SKU {sku}.",
    ),
    "derivation_gives_zero": (
        "In the list {list}, {count} prices come out as 0; the first is of SKU {sku}.",
        "En la tarifa {list}, {count} precios resultan 0; el primero es del SKU {sku}.",
    ),
}
"""What the findings say, in English and in Spanish, by code."""


def derive(content: BookContent, derivations: Iterable[Derivation], *, at: datetime) -> Derived:
    """Work the derivations out, each after the one it builds on. The rows in *content* are those stated outright: where
    one of a derived list holds, for its SKU and unit, it stands instead of what would be derived.

    With errors among the findings, rows they speak of are missing. *at*: as for `check`.
    """
    steps, findings = _ordered(content.lists, tuple(derivations))
    if not steps:
        return Derived(content, (), findings)
    house = _House(content, steps)
    made: list[PriceRow] = []
    found = list(findings)
    for step in steps:
        rows, problems = _derived(step, house)
        house.rows[step.derivation.list] += rows
        made += rows
        if not rows and not problems:
            found.append(_nothing(step, house))
        found += _reported(step, problems, at)
    derived = tuple(made)
    return Derived(msgspec.structs.replace(content, rows=content.rows + derived), derived, tuple(found))


def check_derivations(lists: Iterable[PriceList], derivations: Iterable[Derivation]) -> tuple[Finding, ...]:
    """What is wrong with the derivations themselves, whatever there is to derive from. All are errors."""
    return _ordered(lists, tuple(derivations))[1]


# --- In which order, and what is wrong with a derivation by itself ---


class _Step(NamedTuple):
    """A derivation ready to be worked out. *floor*, *ceiling*: by what a cost is multiplied, None without a bound;
    *grid*: what bounds are rounded to.
    """

    derivation: Derivation
    price_list: PriceList
    factor: Ratio
    rounding: tuple[Ratio, Mode] | None
    ending: Ratio
    floor: Ratio | None
    ceiling: Ratio | None
    grid: Ratio

    @property
    def needs_cost(self) -> bool:
        return self.derivation.base is None or self.floor is not None or self.ceiling is not None


def _ordered(
    lists: Iterable[PriceList], derivations: tuple[Derivation, ...]
) -> tuple[tuple[_Step, ...], tuple[Finding, ...]]:
    """What can be worked out, bases first, whatever order *derivations* stand in."""
    known = {noun.code: noun for noun in lists}
    of = {derivation.list: derivation for derivation in derivations}
    counts = sorted(Counter(derivation.list for derivation in derivations).items())
    findings = [_error("derivation_twice", list=code) for code, count in counts if count > 1]
    ready: dict[str, _Step | None] = {}
    for start in sorted(of):
        chain: dict[str, None] = {}
        code: str | None = start
        while code in of and code not in ready and code not in chain:
            chain[code] = None
            code = of[code].base
        if code in chain:
            circle = list(chain)[list(chain).index(code) :]
            first = circle.index(min(circle))
            circle = [*circle[first:], *circle[:first], circle[first]]
            findings.append(_error("derivation_cyclic", list=circle[0], lists=", ".join(circle)))
            ready |= dict.fromkeys(circle)
        for code in reversed(chain):
            if code not in ready:
                step = _step(of[code], known, findings)
                base = of[code].base
                blocked = base is not None and base in ready and ready[base] is None
                ready[code] = None if blocked else step
    return tuple(step for step in ready.values() if step is not None), tuple(findings)


def _step(derivation: Derivation, known: Mapping[str, PriceList], findings: list[Finding]) -> _Step | None:
    """None when there is something wrong with it, which *findings* then say."""
    code = derivation.list
    price_list = known.get(code)
    if price_list is None:
        findings.append(_error("derivation_unknown_list", list=code))
        return None
    bounds = [None if margin is None else ratio(margin) for margin in (derivation.min_margin, derivation.max_margin)]
    problems = list(_problems(derivation, price_list, known, bounds))
    findings += problems
    if problems:
        return None
    floor, ceiling = [None if bound is None else over(_HUNDRED, _less_than_all(bound)) for bound in bounds]
    to = derivation.round_to
    rounding = None if to is None else (ratio(to.multiple), to.mode)
    percent = ratio(derivation.percent)
    return _Step(
        derivation=derivation,
        price_list=price_list,
        factor=(100 * percent[1] + percent[0], 100 * percent[1]),
        rounding=rounding,
        ending=ratio(derivation.ending),
        floor=floor,
        ceiling=ceiling,
        grid=rounding[0] if rounding else _minor(price_list.currency) or (1, 1),
    )


def _problems(
    derivation: Derivation, price_list: PriceList, known: Mapping[str, PriceList], bounds: list[Ratio | None]
) -> Iterator[Finding]:
    code, margins = derivation.list, [bound for bound in bounds if bound is not None]
    if derivation.base is not None:
        base = known.get(derivation.base)
        if base is None:
            yield _error("derivation_unknown_base", list=code, base=derivation.base)
        elif base.currency != price_list.currency:
            yield _error(
                "derivation_other_currency",
                list=code,
                currency=price_list.currency,
                base=base.code,
                other=base.currency,
            )
        elif base.tax_included is not price_list.tax_included:
            yield _error("derivation_other_tax", list=code, base=base.code)
    if price_list.tax_included and (margins or derivation.base is None):
        yield _error("derivation_needs_net", list=code)
    rounding = derivation.round_to
    if rounding is not None and ratio(rounding.multiple)[0] <= 0:
        yield _error("derivation_bad_multiple", list=code, multiple=rounding.multiple)
    if any(_less_than_all(margin)[0] <= 0 for margin in margins) or (len(margins) > 1 and less(margins[1], margins[0])):
        yield _error("derivation_bad_margin", list=code)
    if margins and rounding is None and _minor(price_list.currency) is None:
        yield _error("derivation_unknown_currency", list=code, currency=price_list.currency)


def _less_than_all(percent: Ratio) -> Ratio:
    return 100 * percent[1] - percent[0], percent[1]


def _minor(currency: str) -> Ratio | None:
    """The currency's smallest coin."""
    try:
        return 1, 10 ** exponent(currency)
    except UnknownCurrency:
        return None


# --- Rows ---


class _House:
    """What derivations look at: the rows of the lists that they touch, by list, and of SKUs the costs and facts."""

    def __init__(self, content: BookContent, steps: Collection[_Step]) -> None:
        touched = {step.derivation.list for step in steps} | {step.derivation.base for step in steps}
        self.rows: dict[str | None, list[PriceRow]] = {code: [] for code in touched}
        for row in content.rows:
            if row.list in touched:
                self.rows[row.list].append(row)
        wanted = {step.price_list.currency for step in steps if step.needs_cost}
        self.costs = {(cost.sku, cost.currency): cost for cost in content.costs if cost.currency in wanted}
        self.facts: dict[str, SkuFacts] = {facts.sku: facts for facts in content.skus} if wanted else {}

    def base_rows(self, step: _Step) -> list[PriceRow]:
        """Of the base list; from cost, one for each SKU that has one, as if it were a price."""
        derivation, currency = step.derivation, step.price_list.currency
        if derivation.base is not None:
            return self.rows[derivation.base]
        return [
            PriceRow(
                list=derivation.list,
                sku=cost.sku,
                unit=self.facts[cost.sku].units[0].unit,
                tiers=(Tier(from_="0", unit_price=cost.cost),),
            )
            for cost in self.costs.values()
            if cost.currency == currency and cost.sku in self.facts
        ]

    def cost(self, row: PriceRow, currency: str) -> Ratio | None:
        """Of what a tier of *row* prices, a unit or a package; None where there is none, or it is 0."""
        cost: Cost | None = self.costs.get((row.sku, currency))
        facts = self.facts.get(row.sku)
        factor = None if facts is None else next((fact.factor for fact in facts.units if fact.unit == row.unit), None)
        if cost is None or factor is None or cost.cost == "0":
            return None
        of_unit = times(ratio(cost.cost), ratio(factor))
        return of_unit if row.package is None else times(of_unit, ratio(row.package.size))


class _NoPrice(Exception):
    """The code of the finding."""


class _Problem(msgspec.Struct):
    """*count* prices have it; the first stands in *row*."""

    row: PriceRow
    count: int = 0


def _derived(step: _Step, house: _House) -> tuple[list[PriceRow], dict[str, _Problem]]:
    """The rows that the base's give, less what the list states outright, and what is wrong, by code of finding."""
    stated: dict[tuple[str, str], list[PriceRow]] = {}
    for row in house.rows[step.derivation.list]:
        stated.setdefault((row.sku, row.unit), []).append(row)
    made: dict[tuple[str, str, datetime | None], PriceRow] = {}
    problems: dict[str, _Problem] = {}
    for row in house.base_rows(step):
        windows = list(_left(row, stated.get((row.sku, row.unit), ())))
        if not windows:
            continue
        try:
            tiers = _tiers(row, step, house.cost(row, step.price_list.currency))
        except _NoPrice as no_price:
            problems.setdefault(str(no_price), _Problem(row)).count += 1
            continue
        if any(now.unit_price == "0" and was.unit_price != "0" for now, was in zip(tiers, row.tiers, strict=True)):
            problems.setdefault("derivation_gives_zero", _Problem(row)).count += 1
        for starts_at, ends_at in windows:
            # rows of one base that overlap (an error of its own) could leave the same start twice
            made[row.sku, row.unit, starts_at] = msgspec.structs.replace(
                row, list=step.derivation.list, tiers=tiers, starts_at=starts_at, ends_at=ends_at
            )
    return list(made.values()), problems


def _left(row: PriceRow, stated: Iterable[PriceRow]) -> Iterator[tuple[datetime | None, datetime | None]]:
    """The parts of the row's window that none of *stated* covers."""
    start, end = row.starts_at, row.ends_at
    for other in sorted(stated, key=lambda other: other.starts_at or _BEGINNING):
        begins, ends = other.starts_at, other.ends_at
        if begins is not None and (start is None or start < begins):
            yield start, begins if end is None else min(begins, end)
        if ends is None or (end is not None and ends >= end):
            return
        start = ends if start is None else max(start, ends)
    yield start, end


def _tiers(row: PriceRow, step: _Step, cost: Ratio | None) -> tuple[Tier, ...]:
    """:raises _NoPrice: when one of its tiers has none"""
    if step.needs_cost and cost is None:
        raise _NoPrice("derivation_without_cost")
    least = None if cost is None or step.floor is None else times(cost, step.floor)
    most = None if cost is None or step.ceiling is None else times(cost, step.ceiling)
    return tuple(
        msgspec.structs.replace(tier, unit_price=_price(ratio(tier.unit_price), step, least, most))
        for tier in row.tiers
    )


def _price(base: Ratio, step: _Step, least: Ratio | None, most: Ratio | None) -> str:
    """:raises _NoPrice: when there is none"""
    price = times(base, step.factor)
    if step.rounding is not None:
        price = _rounded(price, *step.rounding)
    price = plus(price, step.ending)
    if least is not None and less(price, least):
        price = _rounded(least, step.grid, Mode.CEILING)
        if most is not None and less(most, price):
            raise _NoPrice("derivation_no_price_between_margins")
    elif most is not None and less(most, price):
        price = _rounded(most, step.grid, Mode.FLOOR)
        if least is not None and less(price, least):
            raise _NoPrice("derivation_no_price_between_margins")
    number, denominator = price
    if number < 0:
        raise _NoPrice("derivation_negative")
    if number * _SCALE % denominator:
        raise _NoPrice("derivation_too_fine")
    if number >= _TOO_LARGE * denominator:
        raise _NoPrice("derivation_too_large")
    return ratio_text(number, denominator)


def _rounded(number: Ratio, multiple: Ratio, mode: Mode) -> Ratio:
    """To a multiple of *multiple*."""
    (numerator, denominator), (step, of) = number, multiple
    return divide(numerator * of, denominator * step, mode) * step, of


# --- Findings ---


def _nothing(step: _Step, house: _House) -> Finding:
    """Why a derivation gives no row."""
    code, base, currency = step.derivation.list, step.derivation.base, step.price_list.currency
    if house.base_rows(step):
        return _finding("derivation_all_stated", Severity.WARNING, None, list=code)
    if base is None:
        return _error("derivation_without_costs", list=code, currency=currency)
    return _finding("derivation_of_empty_list", Severity.WARNING, None, list=code, base=base)


def _reported(step: _Step, problems: Mapping[str, _Problem], at: datetime) -> Iterator[Finding]:
    for problem, found in problems.items():
        yield _finding(
            problem,
            Severity.WARNING if problem == "derivation_gives_zero" else Severity.ERROR,
            _witness(step.price_list, found.row, at),
            list=step.derivation.list,
            currency=step.price_list.currency,
            count=str(found.count),
            sku=found.row.sku,
            multiple=ratio_text(*step.grid),
        )


def _witness(price_list: PriceList, row: PriceRow, at: datetime) -> Witness:
    """Somebody whom the list is for, asking for what the row's first tier prices, at an instant in its window."""
    audience, tier = price_list.audience, row.tiers[0]
    quantity = ratio(tier.from_) if tier.from_ is not None else plus(ratio(tier.above or "0"), (1, 1))
    if row.starts_at is not None and at < row.starts_at:
        at = row.starts_at
    elif row.ends_at is not None and at >= row.ends_at:
        at = row.ends_at - datetime.resolution
    return Witness(
        buyer=Buyer(
            company=audience.company, segments=audience.segments[:1], country=next(iter(audience.countries), None)
        ),
        currency=price_list.currency,
        sku=row.sku,
        unit=row.unit,
        quantity=ratio_text(*quantity),
        at=at,
    )


def _error(code: str, **params: str) -> Finding:
    return _finding(code, Severity.ERROR, None, **params)


def _finding(code: str, severity: Severity, witness: Witness | None, **params: str) -> Finding:
    return Finding(code=code, severity=severity, params=params, witness=witness)
