"""What stops a publication: errors in a book's content, each with a witness where a buyer could meet it.

`check` reports everything it finds, also what `MemoryBook` would refuse one at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from itertools import combinations

import msgspec

from kernel.money import ratio, ratio_text
from pricing.engine.book import (
    Adjustment,
    BookContent,
    Bound,
    Currency,
    Frame,
    Instant,
    PriceList,
    PriceRow,
    QuantityRule,
    SkuEntry,
)
from pricing.engine.leaves import objects
from pricing.engine.line import instant_text, less, plus, times
from pricing.engine.memory import checked, entries_of, frame_of, overlap
from pricing.engine.request import Answer, Buyer
from pricing.engine.rules import BookError, Ratio, ReadyBound, Rules, in_scope, specificity


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Witness(Answer, frozen=True, kw_only=True):
    """A question that shows the finding."""

    buyer: Buyer
    currency: Currency
    sku: str
    unit: str
    quantity: str
    at: Instant


class Finding(Answer, frozen=True, kw_only=True):
    """*code* is stable and words itself by `finding_text`; *params* say which objects."""

    code: str
    severity: Severity
    params: dict[str, str]
    witness: Witness | None


_TEXTS = {
    "duplicate_key": (
        "Two objects of kind {kind} have the key {key}.",
        "Dos objetos de tipo {kind} tienen la clave {key}.",
    ),
    "unknown_reference": (
        "{kind} {key} names the unknown {what} {name}.",
        "{kind} {key} nombra algo desconocido: {what} {name}.",
    ),
    "not_loadable": ("{detail}", "{detail}"),
    "overlapping_windows": (
        "List {list} has two rows of {sku} per {unit} that are valid at {at}.",
        "La tarifa {list} tiene dos filas de {sku} por {unit} válidas el {at}.",
    ),
    "possible_tie": (
        "The lists {one} and {other} have equal rank, and a buyer may meet both for {sku}. Change a priority.",
        "Las tarifas {one} y {other} tienen igual rango y un comprador puede ver ambas ({sku}). Cambie una prioridad.",
    ),
    "bound_not_covered": (
        "The bound {bound} says nothing of {currency}, in which {sku} is sold.",
        "El límite {bound} no dice nada de {currency}, moneda en que se vende {sku}.",
    ),
    "floor_above_ceiling": (
        "For {sku} in {currency} a floor lies above a ceiling.",
        "Para {sku} en {currency} un mínimo supera a un máximo.",
    ),
    "mixed_break_group": (
        "The break group {group} mixes SKUs counted in {units}.",
        "El grupo {group} mezcla SKU contados en {units}.",
    ),
    "matches_nothing": ("{kind} {key} matches no SKU.", "{kind} {key} no corresponde a ningún SKU."),
    "never_priced": ("{sku} has no price in any list.", "{sku} no tiene precio en ninguna tarifa."),
}


def check(content: BookContent, *, at: datetime) -> tuple[Finding, ...]:
    """All findings, errors first. *at*: the instant a witness is given for when the rules set none."""
    found = [
        *_duplicates(content),
        *_unknown_references(content),
        *_unloadable(content),
        *_overlaps(content, at),
        *_ties(content, at),
        *_mixed_groups(content),
        *_idle(content),
    ]
    if not any(finding.severity is Severity.ERROR for finding in found):
        found.extend(_bounds(content))
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.ERROR))


def finding_text(finding: Finding, language: str) -> str:
    """What is wrong, in `en` or `es`."""
    return _TEXTS[finding.code][language == "es"].format(**finding.params)


def _error(code: str, witness: Witness | None = None, **params: str) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, params=params, witness=witness)


def _warning(code: str, **params: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, params=params, witness=None)


def _duplicates(content: BookContent) -> Iterator[Finding]:
    counted = Counter((kind, key) for kind, key, _ in objects(content))
    for (kind, key), times_found in counted.items():
        if times_found > 1:
            yield _error("duplicate_key", kind=kind, key=" / ".join(key))


def _unknown_references(content: BookContent) -> Iterator[Finding]:
    lists = {noun.code for noun in content.lists}
    skus = {facts.sku for facts in content.skus}
    for row in content.rows:
        key = f"{row.list} / {row.sku} / {row.unit}"
        if row.list not in lists:
            yield _error("unknown_reference", kind="row", key=key, what="list", name=row.list)
        if row.sku not in skus:
            yield _error("unknown_reference", kind="row", key=key, what="sku", name=row.sku)
    for cost in content.costs:
        if cost.sku not in skus:
            yield _error("unknown_reference", kind="cost", key=cost.currency, what="sku", name=cost.sku)
    for kind, noun in _scoped(content):
        for sku in (*noun.scope.skus, *noun.scope.excluded_skus):
            if sku not in skus:
                yield _error("unknown_reference", kind=kind, key=noun.code, what="sku", name=sku)


def _scoped(content: BookContent) -> Iterator[tuple[str, Adjustment | Bound | QuantityRule]]:
    for adjustment in content.adjustments:
        yield "adjustment", adjustment
    for bound in content.bounds:
        yield "bound", bound
    for rule in content.quantity_rules:
        yield "quantity_rule", rule


def _unloadable(content: BookContent) -> Iterator[Finding]:
    """What the loader says of each object by itself."""
    bare = Frame(
        strategy=content.strategy,
        policy=content.policy,
        lists=(),
        layers=content.layers,
        adjustments=(),
        bounds=(),
        quantity_rules=(),
    )
    details = [_refusal(bare)]
    if details == [None]:
        nouns: dict[str, Iterable[object]] = {
            "lists": content.lists,
            "adjustments": content.adjustments,
            "bounds": content.bounds,
            "quantity_rules": content.quantity_rules,
        }
        for field, members in nouns.items():
            details.extend(_refusal(msgspec.structs.replace(bare, **{field: (noun,)})) for noun in members)
    for entry in _entries(content):
        try:
            checked(entry)
        except BookError as error:
            details.append(error.message)
    for detail in dict.fromkeys(details):
        if detail is not None:
            yield _error("not_loadable", detail=detail)


def _refusal(frame: Frame) -> str | None:
    try:
        Rules(frame)
    except BookError as error:
        return error.message
    return None


def _entries(content: BookContent) -> Iterator[SkuEntry]:
    """By SKU; rows of unknown lists and windows that overlap are reported elsewhere and left out."""
    lists = {noun.code for noun in content.lists}
    rows: dict[str, dict[tuple[str, str], list[PriceRow]]] = {}
    for row in content.rows:
        if row.list in lists:
            rows.setdefault(row.sku, {}).setdefault((row.list, row.unit), []).append(row)
    costs = {(cost.sku, cost.currency): cost for cost in content.costs}
    of_sku: dict[str, list[str]] = {}
    for sku, currency in costs:
        of_sku.setdefault(sku, []).append(currency)
    for facts in {facts.sku: facts for facts in content.skus}.values():
        kept = []
        for same in rows.get(facts.sku, {}).values():
            kept.extend(same[:1] if overlap([(row.starts_at, row.ends_at) for row in same]) else same)
        yield SkuEntry(
            facts=facts,
            rows=tuple(kept),
            costs=tuple(costs[facts.sku, currency] for currency in of_sku.get(facts.sku, ())),
        )


def _overlaps(content: BookContent, at: datetime) -> Iterator[Finding]:
    lists = {noun.code: noun for noun in content.lists}
    alike: dict[tuple[str, str, str], list[PriceRow]] = {}
    for row in content.rows:
        alike.setdefault((row.list, row.sku, row.unit), []).append(row)
    for (code, sku, unit), rows in alike.items():
        for one, other in combinations(rows, 2) if len(rows) > 1 else ():
            instant = _common_instant([one, other], at)
            if instant is not None and code in lists:
                yield _error(
                    "overlapping_windows",
                    _witness(lists[code], lists[code], one, other, instant),
                    list=code,
                    sku=sku,
                    unit=unit,
                    at=instant_text(instant),
                )


def _ties(content: BookContent, at: datetime) -> Iterator[Finding]:
    """Pairs of lists that one buyer could meet, whatever today's memberships, at equal rank, for one SKU."""
    base = {facts.sku: facts.units[0].unit for facts in content.skus}
    rows: dict[str, dict[str, list[PriceRow]]] = {}
    for row in content.rows:
        rows.setdefault(row.list, {}).setdefault(row.sku, []).append(row)
    alike: dict[tuple[str, int, int, str | None], list[PriceList]] = {}
    for noun in content.lists:
        key = (noun.currency, specificity(noun.audience), noun.priority, noun.audience.company)
        alike.setdefault(key, []).append(noun)
    for group in alike.values():
        for one, other in combinations(group, 2):
            countries = one.audience.countries, other.audience.countries
            if all(countries) and not set(countries[0]) & set(countries[1]):
                continue
            finding = _tie(one, other, rows, base, at)
            if finding is not None:
                yield finding


def _tie(
    one: PriceList,
    other: PriceList,
    rows: dict[str, dict[str, list[PriceRow]]],
    base: dict[str, str],
    at: datetime,
) -> Finding | None:
    of_one, of_other = rows.get(one.code, {}), rows.get(other.code, {})
    for sku in sorted(of_one.keys() & of_other.keys()):
        for first in of_one[sku]:
            for second in of_other[sku]:
                instant = _common_instant([one, other, first, second], at)
                meet = first.unit == second.unit or base.get(sku) in {first.unit, second.unit}
                if instant is not None and meet:
                    witness = _witness(one, other, first, second, instant)
                    return _error("possible_tie", witness, one=one.code, other=other.code, sku=sku)
    return None


def _common_instant(nouns: Iterable[PriceList | PriceRow], at: datetime) -> datetime | None:
    """An instant all windows share: *at* if they do, else the first; None when they share none."""
    begins = [noun.starts_at for noun in nouns if noun.starts_at is not None]
    ends = [noun.ends_at for noun in nouns if noun.ends_at is not None]
    begin, end = max(begins, default=None), min(ends, default=None)
    if begin is not None and end is not None and end <= begin:
        return None
    if (begin is None or begin <= at) and (end is None or at < end):
        return at
    if begin is not None:
        return begin
    assert end is not None
    return end - datetime.resolution


def _witness(one: PriceList, other: PriceList, first: PriceRow, second: PriceRow, at: datetime) -> Witness:
    countries = [set(noun.audience.countries) for noun in (one, other) if noun.audience.countries]
    segments = dict.fromkeys(segment for noun in (one, other) for segment in noun.audience.segments[:1])
    quantity: Ratio = (1, 1)
    for row in (first, second):
        tier = row.tiers[0]
        begin = ratio(tier.from_) if tier.from_ is not None else plus(ratio(tier.above or "0"), (1, 1))
        quantity = begin if less(quantity, begin) else quantity
    return Witness(
        buyer=Buyer(
            company=one.audience.company,
            segments=tuple(segments),
            country=min(set.intersection(*countries)) if countries else None,
        ),
        currency=one.currency,
        sku=first.sku,
        unit=first.unit,
        quantity=ratio_text(*quantity),
        at=at,
    )


def _mixed_groups(content: BookContent) -> Iterator[Finding]:
    units: dict[str, set[str]] = {}
    for facts in content.skus:
        if facts.break_group is not None:
            units.setdefault(facts.break_group, set()).add(facts.units[0].unit)
    for group, found in units.items():
        if len(found) > 1:
            yield _error("mixed_break_group", group=group, units=", ".join(sorted(found)))


def _idle(content: BookContent) -> Iterator[Finding]:
    """Rules that match nothing, and SKUs that nobody can buy."""
    for kind, noun in _scoped(content):
        if not any(in_scope(noun.scope, facts) for facts in content.skus):
            yield _warning("matches_nothing", kind=kind, key=noun.code)
    priced = {row.sku for row in content.rows}
    for facts in content.skus:
        if facts.sku not in priced:
            yield _warning("never_priced", sku=facts.sku)


def _bounds(content: BookContent) -> Iterator[Finding]:
    """Of a content that loads: every currency a SKU is sold in is covered, and no floor lies above a ceiling."""
    rules = Rules(frame_of(content))
    currencies = {noun.code: noun.currency for noun in content.lists}
    for entry in entries_of(content):
        bounds = rules.bounds_for(entry.facts)
        if bounds:
            for currency in sorted({currencies[row.list] for row in entry.rows}):
                yield from _bounds_of(entry, bounds, currency)


def _bounds_of(entry: SkuEntry, bounds: Iterable[ReadyBound], currency: str) -> Iterator[Finding]:
    costs = {cost.currency: ratio(cost.cost) for cost in entry.costs}
    floors: list[Ratio] = []
    ceilings: list[Ratio] = []
    sku = entry.facts.sku
    for bound in bounds:
        price = bound.prices.get(currency)
        if bound.over_cost is not None and currency in costs:
            price = times(costs[currency], bound.over_cost)
        if price is None:
            yield _error("bound_not_covered", bound=bound.code, currency=currency, sku=sku)
        else:
            (floors if bound.floor else ceilings).append(price)
    if any(less(ceiling, floor) for floor in floors for ceiling in ceilings):
        yield _error("floor_above_ceiling", sku=sku, currency=currency)
