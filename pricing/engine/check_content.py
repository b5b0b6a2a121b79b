"""What a content says that cannot be published: keys, references, windows, ties, bounds; and what names nothing.

Everything is looked at once, a row at a time: a book has millions.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import combinations

import msgspec

from kernel.money import ratio, ratio_text
from pricing.engine.book import (
    Adjustment,
    BookContent,
    Bound,
    Cost,
    Frame,
    PriceList,
    PriceRow,
    QuantityRule,
    Scope,
    SkuEntry,
    SkuFacts,
)
from pricing.engine.check_findings import Finding, Witness, error, of_several, warning
from pricing.engine.leaves import objects
from pricing.engine.line import instant_text, less, plus, times
from pricing.engine.memory import checked, frame_of, overlap
from pricing.engine.request import Buyer
from pricing.engine.rules import BookError, Ratio, ReadyBound, Rules, ancestors, in_scope, specificity


def content_errors(content: BookContent, details: Iterable[str], at: datetime) -> Iterator[Finding]:
    """All that stops a publication, but for bounds. *details*: what `sound_entries` says."""
    yield from _duplicates(content)
    yield from _unknown_references(content, at)
    yield from _unloadable(content, details)
    yield from _overlaps(content, at)
    yield from _ties(content, at)
    yield from _mixed_groups(content, at)


def sound_entries(content: BookContent) -> tuple[list[SkuEntry], list[str]]:
    """The SKUs' entries that load, and what is wrong with the others. Rows of unknown lists and windows that overlap
    are left out: they are reported by themselves.
    """
    lists = {noun.code for noun in content.lists}
    rows: dict[str, list[PriceRow]] = defaultdict(list)
    for row in content.rows:
        if row.list in lists:
            rows[row.sku].append(row)
    costs: dict[str, dict[str, Cost]] = defaultdict(dict)
    for cost in content.costs:
        costs[cost.sku][cost.currency] = cost
    entries: list[SkuEntry] = []
    details: list[str] = []
    for facts in {facts.sku: facts for facts in content.skus}.values():
        sku = facts.sku
        entry = SkuEntry(facts=facts, rows=tuple(_without_overlaps(rows[sku])), costs=tuple(costs[sku].values()))
        try:
            entries.append(checked(entry))
        except BookError as refused:
            details.append(refused.message)
    return entries, details


def _without_overlaps(rows: list[PriceRow]) -> list[PriceRow]:
    alike: dict[tuple[str, str], list[PriceRow]] = {}
    for row in rows:
        alike.setdefault((row.list, row.unit), []).append(row)
    if len(alike) == len(rows):
        return rows
    return [
        row
        for same in alike.values()
        for row in (same[:1] if overlap([(row.starts_at, row.ends_at) for row in same]) else same)
    ]


def _duplicates(content: BookContent) -> Iterator[Finding]:
    counted = Counter((kind, key) for kind, key, _ in objects(content))
    if len(counted) == counted.total():
        return
    for (kind, key), times_found in counted.items():
        if times_found > 1:
            yield error("duplicate_key", kind=kind, key=" / ".join(key))


def _unknown_references(content: BookContent, at: datetime) -> Iterator[Finding]:
    lists = {noun.code: noun for noun in content.lists}
    skus = {facts.sku for facts in content.skus}
    for row in content.rows:
        if row.list in lists and row.sku in skus:
            continue
        key = f"{row.list} / {row.sku} / {row.unit}"
        if row.list not in lists:
            yield error("unknown_reference", kind="row", key=key, what="list", name=row.list)
        else:
            asked = witness(lists[row.list], row, at)
            yield error("unknown_reference", asked, kind="row", key=key, what="sku", name=row.sku)
    for cost in content.costs:
        if cost.sku not in skus:
            yield error("unknown_reference", kind="cost", key=cost.currency, what="sku", name=cost.sku)
    for kind, noun in scoped(content):
        for sku in (*noun.scope.skus, *noun.scope.excluded_skus):
            if sku not in skus:
                yield error("unknown_reference", kind=kind, key=noun.code, what="sku", name=sku)


def scoped(content: BookContent) -> Iterator[tuple[str, Adjustment | Bound | QuantityRule]]:
    """Everything that has a scope, with its kind."""
    for adjustment in content.adjustments:
        yield "adjustment", adjustment
    for bound in content.bounds:
        yield "bound", bound
    for rule in content.quantity_rules:
        yield "quantity_rule", rule


def _unloadable(content: BookContent, details: Iterable[str]) -> Iterator[Finding]:
    """What the loader says of each object by itself."""
    of_frame = [] if _refusal(frame_of(content)) is None else _refusals(content)
    for detail in dict.fromkeys((*of_frame, *details)):
        yield error("not_loadable", detail=detail)


def _refusals(content: BookContent) -> list[str]:
    """Of a frame that does not load: what is wrong with each of its objects, as far as one can be told alone. That a
    code is used twice is a duplicate key, and no more of it.
    """
    bare = msgspec.structs.replace(frame_of(content), lists=(), adjustments=(), bounds=(), quantity_rules=())
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
    return [detail for detail in details if detail is not None]


def _refusal(frame: Frame) -> str | None:
    try:
        Rules(frame)
    except BookError as refused:
        return refused.message
    return None


def _overlaps(content: BookContent, at: datetime) -> Iterator[Finding]:
    lists = {noun.code: noun for noun in content.lists}
    first: dict[tuple[str, str, str], PriceRow] = {}
    alike: dict[tuple[str, str, str], list[PriceRow]] = {}
    for row in content.rows:
        key = row.list, row.sku, row.unit
        known = first.setdefault(key, row)
        if known is not row:
            alike.setdefault(key, [known]).append(row)
    for (code, sku, unit), rows in alike.items():
        if code not in lists or not overlap([(row.starts_at, row.ends_at) for row in rows]):
            continue
        for one, other in combinations(rows, 2):
            instant = _common_instant([one, other], at)
            if instant is not None:
                yield error(
                    "overlapping_windows",
                    _of_two(lists[code], lists[code], one, other, instant),
                    list=code,
                    sku=sku,
                    unit=unit,
                    at=instant_text(instant),
                )


def _ties(content: BookContent, at: datetime) -> Iterator[Finding]:
    """Pairs of lists that one buyer could meet, whatever today's memberships, at equal rank, for one SKU: for each pair
    the first SKU that shows it.
    """
    lists = {noun.code: noun for noun in content.lists}
    rivals = _rivals(content.lists)
    if not rivals:
        return
    base = {facts.sku: facts.units[0].unit for facts in content.skus}
    rows: dict[str, dict[str, list[PriceRow]]] = defaultdict(dict)
    for row in content.rows:
        if row.list in rivals:
            rows[row.sku].setdefault(row.list, []).append(row)
    found: dict[tuple[str, str], Finding] = {}
    for sku in sorted(rows):
        of_sku = rows[sku]
        for code in of_sku:
            for other in sorted(rivals[code] & of_sku.keys()):
                one, two = lists[code], lists[other]
                tie = _tie(one, two, of_sku[code], of_sku[other], base.get(sku), at)
                if tie is not None:
                    found[code, other] = tie
                    rivals[code].discard(other)
    places = {code: number for number, code in enumerate(lists)}
    yield from (found[pair] for pair in sorted(found, key=lambda pair: (places[pair[0]], places[pair[1]])))


def _rivals(lists: Iterable[PriceList]) -> dict[str, set[str]]:
    """For each list those of equal rank, and later by code, that one buyer could meet with it; lists that meet none are
    left out.
    """
    alike: dict[tuple[str, int, int, str | None], list[PriceList]] = defaultdict(list)
    for noun in lists:
        alike[noun.currency, specificity(noun.audience), noun.priority, noun.audience.company].append(noun)
    rivals: dict[str, set[str]] = defaultdict(set)
    for group in alike.values():
        for one, other in combinations(group, 2):
            countries = one.audience.countries, other.audience.countries
            if one.code != other.code and (not all(countries) or set(countries[0]) & set(countries[1])):
                first, second = sorted([one.code, other.code])
                rivals[first].add(second)
                rivals.setdefault(second, set())
    return rivals


def _tie(
    one: PriceList, other: PriceList, of_one: list[PriceRow], of_other: list[PriceRow], base: str | None, at: datetime
) -> Finding | None:
    for first in of_one:
        for second in of_other:
            instant = _common_instant([one, other, first, second], at)
            if instant is not None and (first.unit == second.unit or base in {first.unit, second.unit}):
                # rows of two units meet where the one that is not the base unit is asked for
                rows = (second, first) if first.unit == base else (first, second)
                asked = _of_two(one, other, *rows, instant)
                return error("possible_tie", asked, one=one.code, other=other.code, sku=first.sku)
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


def witness(price_list: PriceList, row: PriceRow, at: datetime) -> Witness:
    """Whoever meets the list, asking for as much as the row's first tier needs, when both are valid, if ever."""
    instant = _common_instant([price_list, row], at)
    return _of_two(price_list, price_list, row, row, at if instant is None else instant)


def _of_two(one: PriceList, other: PriceList, first: PriceRow, second: PriceRow, at: datetime) -> Witness:
    countries = [set(noun.audience.countries) for noun in (one, other) if noun.audience.countries]
    segments = dict.fromkeys(segment for noun in (one, other) for segment in noun.audience.segments[:1])
    quantity: Ratio = (1, 1)
    for row in (first, second):
        tier = row.tiers[0]
        begin = ratio(tier.from_) if tier.from_ is not None else plus(ratio(str(tier.above)), (1, 1))
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


def _mixed_groups(content: BookContent, at: datetime) -> Iterator[Finding]:
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for facts in content.skus:
        if facts.break_group is not None:
            groups[facts.break_group][facts.units[0].unit] = facts.sku
    mixed = {group: units for group, units in groups.items() if len(units) > 1}
    group_of = {sku: group for group, units in mixed.items() for sku in units.values()}
    if not mixed:
        return
    lists = {noun.code: noun for noun in content.lists}
    shown: dict[str, Witness] = {}
    for row in content.rows:
        group = group_of.get(row.sku)
        if group is not None and row.list in lists:
            shown.setdefault(group, witness(lists[row.list], row, at))
    for group, units in mixed.items():
        yield error("mixed_break_group", shown.get(group), group=group, units=", ".join(sorted(units)))


# --- What names nothing ---


def idle(content: BookContent, at: datetime) -> Iterator[Finding]:
    """Rules that match no SKU or name what none has, SKUs without any price, and what ended before *at*."""
    index = _Index(content.skus)
    for kind, noun in scoped(content):
        if not index.matches(noun.scope):
            yield warning("matches_nothing", kind=kind, key=noun.code)
        else:
            for what, name in index.unknown(noun.scope):
                yield warning("names_nothing", kind=kind, key=noun.code, what=what, name=name)
    priced = {row.sku for row in content.rows}
    unpriced = sorted(facts.sku for facts in content.skus if facts.sku not in priced)
    if unpriced:
        units = {facts.sku: facts.units[0].unit for facts in content.skus}
        currency = min((noun.currency for noun in content.lists), default=None)
        asked = None if currency is None else _by_guest(unpriced[0], units[unpriced[0]], currency, at)
        yield of_several(warning("never_priced", asked, sku=unpriced[0]), unpriced)
    yield from _ended(content, at)


def _by_guest(sku: str, unit: str, currency: str, at: datetime) -> Witness:
    return Witness(buyer=Buyer(), currency=currency, sku=sku, unit=unit, quantity="1", at=at)


class _Index:
    """The SKUs by what scopes name."""

    def __init__(self, skus: Iterable[SkuFacts]) -> None:
        self.everything: list[SkuFacts] = list(skus)
        self.skus = {facts.sku: [facts] for facts in self.everything}
        self.brands: dict[str, list[SkuFacts]] = defaultdict(list)
        self.categories: dict[str, list[SkuFacts]] = defaultdict(list)
        paths: dict[tuple[str, ...], list[str]] = {}
        for facts in self.everything:
            if facts.brand is not None:
                self.brands[facts.brand].append(facts)
            if facts.categories not in paths:
                above = [path for category in facts.categories for path in ancestors(category)]
                paths[facts.categories] = list(dict.fromkeys(above))
            for path in paths[facts.categories]:
                self.categories[path].append(facts)

    def matches(self, scope: Scope) -> bool:
        parts: list[list[SkuFacts]] = [self.everything] if scope.everything else []
        parts.extend(self.skus.get(sku, []) for sku in scope.skus)
        parts.extend(self.categories.get(path, []) for path in scope.categories)
        parts.extend(self.brands.get(brand, []) for brand in scope.brands)
        return any(in_scope(scope, facts) for part in parts for facts in part)

    def unknown(self, scope: Scope) -> Iterator[tuple[str, str]]:
        for path in dict.fromkeys((*scope.categories, *scope.excluded_categories)):
            if path not in self.categories:
                yield "category", path
        for brand in dict.fromkeys((*scope.brands, *scope.excluded_brands)):
            if brand not in self.brands:
                yield "brand", brand


def _ended(content: BookContent, at: datetime) -> Iterator[Finding]:
    """One finding for all lists and one for all adjustments; the question is about a SKU that one of them priced."""
    kinds: dict[str, tuple[PriceList | Adjustment, ...]] = {"list": content.lists, "adjustment": content.adjustments}
    for kind, nouns in kinds.items():
        ended = [noun for noun in nouns if noun.ends_at is not None and noun.ends_at <= at]
        if ended:
            first, facts = ended[0], {facts.sku: facts for facts in content.skus}
            lists = {noun.code: noun for noun in content.lists if isinstance(first, Adjustment) or noun is first}
            scope = first.scope if isinstance(first, Adjustment) else Scope(everything=True)
            priced = (row for row in content.rows if row.list in lists and row.sku in facts)
            row = next((row for row in priced if in_scope(scope, facts[row.sku])), None)
            asked = None if row is None else _now(witness(lists[row.list], row, at), at)
            keys = ", ".join(noun.code for noun in ended)
            yield warning("ended", asked, kind=kind, count=str(len(ended)), keys=keys, at=instant_text(at))


def _now(asked: Witness, at: datetime) -> Witness:
    return msgspec.structs.replace(asked, at=at)


# --- Bounds ---


def bound_errors(content: BookContent, entries: Iterable[SkuEntry], rules: Rules, at: datetime) -> Iterator[Finding]:
    """Of a content that loads: every currency a SKU is sold in is covered, and no floor lies above a ceiling."""
    if not content.bounds:
        return
    lists = {noun.code: noun for noun in content.lists}
    uncovered: dict[tuple[str, str], list[tuple[SkuEntry, PriceRow]]] = defaultdict(list)
    crossed: dict[tuple[str, str, str], list[tuple[SkuEntry, PriceRow]]] = defaultdict(list)
    for entry in entries:
        bounds = rules.bounds_for(entry.facts)
        sold = {lists[row.list].currency: row for row in reversed(entry.rows)} if bounds else {}
        for currency, row in sold.items():
            for bound in _uncovered(entry, bounds, currency):
                uncovered[bound, currency].append((entry, row))
            for floor, ceiling in _crossed(entry, bounds, currency):
                crossed[floor, ceiling, currency].append((entry, row))
    for (code, currency), shown in sorted(uncovered.items()):
        entry, row = min(shown, key=_by_sku)
        found = error(
            "bound_not_covered", witness(lists[row.list], row, at), bound=code, currency=currency, sku=entry.facts.sku
        )
        yield of_several(found, [one.facts.sku for one, _ in shown])
    for (floor, ceiling, currency), shown in sorted(crossed.items()):
        entry, row = min(shown, key=_by_sku)
        found = error(
            "floor_above_ceiling",
            witness(lists[row.list], row, at),
            floor=floor,
            ceiling=ceiling,
            currency=currency,
            sku=entry.facts.sku,
        )
        yield of_several(found, [one.facts.sku for one, _ in shown])


def _by_sku(shown: tuple[SkuEntry, PriceRow]) -> str:
    return shown[0].facts.sku


def _bound_price(entry: SkuEntry, bound: ReadyBound, currency: str) -> Ratio | None:
    if bound.over_cost is None:
        return bound.prices.get(currency)
    for cost in entry.costs:
        if cost.currency == currency:
            return times(ratio(cost.cost), bound.over_cost)
    return None


def _uncovered(entry: SkuEntry, bounds: Iterable[ReadyBound], currency: str) -> list[str]:
    return [bound.code for bound in bounds if _bound_price(entry, bound, currency) is None]


def _crossed(entry: SkuEntry, bounds: Iterable[ReadyBound], currency: str) -> Iterator[tuple[str, str]]:
    """The strictest floor and the strictest ceiling, where they contradict each other."""
    floor: tuple[Ratio, str] | None = None
    ceiling: tuple[Ratio, str] | None = None
    for bound in bounds:
        price = _bound_price(entry, bound, currency)
        if price is None:
            continue
        if bound.floor:
            floor = (price, bound.code) if floor is None or less(floor[0], price) else floor
        else:
            ceiling = (price, bound.code) if ceiling is None or less(price, ceiling[0]) else ceiling
    if floor is not None and ceiling is not None and less(ceiling[0], floor[0]):
        yield floor[1], ceiling[1]
