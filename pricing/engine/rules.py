"""A book's frame, indexed once: each line meets the rules that speak of its SKU, and no others.

Numbers become ratios, effects become factors, and scopes become look-ups by SKU, category, brand and audience, so
that nothing of a book is parsed or searched while a line is priced.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from kernel.errors import Refused
from kernel.money import UnknownCurrency, exponent, fixed, ratio
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    Combine,
    FixedPriceEffect,
    Frame,
    Layer,
    Level,
    MarginLimit,
    PercentEffect,
    Pick,
    PriceLimit,
    PriceList,
    QuantityRule,
    QuantityTableEffect,
    Rounding,
    Scope,
    Side,
    SkuFacts,
    Titles,
)
from pricing.engine.memo import Memo
from pricing.engine.request import Buyer

if TYPE_CHECKING:
    from pricing.engine.offer import Offer

Ratio = tuple[int, int]
Key = tuple[str, str, str, str]
T = TypeVar("T")

ZERO: Ratio = (0, 1)
ONE: Ratio = (1, 1)

MAX_GROUPS = 100
"""Of a whole book: each may lengthen an exact price by 14 digits, and evaluation stays bounded whatever the rules."""

_STEADY = frozenset({"other_currency", "other_country", "needs_quantity"})


class BookError(Refused):
    """A book that cannot be loaded; the message names the object and the reason."""

    problem = "book-not-loadable"
    title = "This price book cannot be loaded"


class Kind(IntEnum):
    FACTOR = 0
    AMOUNT = 1
    FIXED = 2
    TABLE = 3
    BUY_GET = 4


# reading a member from its class costs as much as a call, and these are read for every line
FACTOR, AMOUNT, FIXED, TABLE, BUY_GET = Kind


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An adjustment made ready. *layer* and *group* are positions; *factor* multiplies (5 % off: 95/100); *amount* is
    signed, or the fixed price; *table* is `(from, factor)` descending; *free* and *complete* are units a set. A
    *steady* rule takes the same percentage off (or puts it on) from some quantity on, whatever the amounts; a *plain*
    one is a percentage that always acts.
    """

    code: str
    titles: Titles
    level: Level
    layer: int
    group: int
    priority: int
    exclusive: bool
    starts_at: datetime | None
    ends_at: datetime | None
    conditions: tuple[tuple[str, Any, str], ...]
    kind: Kind
    reason: str
    params: dict[str, str] = {}
    factor: Ratio = (1, 1)
    amount: Ratio = (0, 1)
    steady: bool = False
    plain: bool = False
    table: tuple[tuple[Ratio, Ratio], ...] = ()
    free: Ratio = (0, 1)
    complete: Ratio = (1, 1)


class Stage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A layer made ready: *by_lowest* says of each group how it picks."""

    summed: bool
    by_lowest: tuple[bool, ...]


class ReadyList(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A price list made ready. *rank* orders candidates, the highest first: how specific, then priority; a *dated*
    one begins or ends.
    """

    code: str
    titles: Titles | None
    rank: tuple[int, int]
    starts_at: datetime | None
    ends_at: datetime | None
    dated: bool
    tax_included: bool
    mergeable: bool


class ReadyBound(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """*prices* by currency, or *over_cost*, the factor that makes cost into the bounding price."""

    code: str
    disclosed: bool
    floor: bool
    prices: dict[str, Ratio]
    over_cost: Ratio | None


class ReadyQuantityRule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    code: str
    unit: str | None
    minimum: Ratio | None
    maximum: Ratio | None
    multiple: Ratio | None
    texts: tuple[str | None, str | None, str | None]


Layers = tuple[tuple[int, tuple[Rule, ...]], ...]


class Matched(NamedTuple):
    """For each level the layers with rules for a SKU and buyer, each with those rules by group. *steady*: all rules of
    the unit and line levels are.
    """

    unit: Layers
    line: Layers
    order: Layers
    steady: bool


class View(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one buyer meets in one currency, whatever the instant: the lists open to the buyer, by code, and the
    scales of that currency under the book's policy. Buyers of one *rule_group* meet the same rules, those of one
    *group* the same lists as well.
    """

    group: int
    rule_group: int
    buyer: Buyer
    currency: str
    lists: dict[str, ReadyList]
    exponent: int
    unit_scale: int
    unit_places: str
    line_places: int
    line_scale: int
    line_limit: int
    line_zero: str
    tax_places: int


class Rules:
    """Everything of a book that is not per SKU, ready for evaluation. Build one per book and keep it: it remembers what
    was worked out for the book's SKUs (*offers*, by group of buyers, SKU and unit, None being the base unit).

    :raises BookError: naming what this engine cannot price
    """

    def __init__(self, frame: Frame) -> None:
        frame = _validated(frame)
        self.frame = frame
        self.strategy = frame.strategy
        self.policy = frame.policy
        if sum(len(layer.groups) for layer in frame.layers) > MAX_GROUPS:
            raise BookError(f"The layers have more than {MAX_GROUPS} groups together.")
        self.stages = tuple(tuple(_stage(layer) for layer in frame.layers if layer.level is level) for level in Level)
        self._lists = _lists_by_audience(frame.lists)
        self._adjustments = _ScopeIndex(_ready_rules(frame))
        self._bounds = _ScopeIndex((bound.scope, _NOBODY, _ready_bound(bound)) for bound in frame.bounds)
        self._quantity_rules = _ScopeIndex(
            (rule.scope, _NOBODY, _ready_quantity_rule(rule)) for rule in frame.quantity_rules
        )
        self._views: Memo[tuple[str, Buyer], View] = Memo()
        self._audiences: dict[tuple[str, str], set[Audience]] = {}
        for audience in frozenset(noun.audience for noun in frame.adjustments):
            for part in _audience_parts(audience):
                self._audiences.setdefault(part, set()).add(audience)
        self._countries = frozenset(code for noun in frame.adjustments for code in noun.conditions.countries)
        self._groups: Memo[tuple[Any, ...], int] = Memo()
        self._numbers = count()
        self._admitted: Memo[tuple[Any, ...], tuple[Layers, ...]] = Memo()
        self._matched: Memo[tuple[Any, ...], Matched] = Memo()
        self.offers: Memo[tuple[int, str, str | None], Offer] = Memo()

    def view(self, currency: str, buyer: Buyer) -> View:
        """:raises UnknownCurrency: when *currency* is none"""
        key = (currency, buyer)
        found = self._views.get(key)
        if found is None:
            found = self._new_view(currency, buyer)
            self._views.keep(key, found)
        return found

    def lists_for(self, currency: str, buyer: Buyer) -> dict[str, ReadyList]:
        """The lists in *currency* whose audience admits *buyer*, by code, whatever their validity."""
        try:
            return self.view(currency, buyer).lists
        except UnknownCurrency:
            return {}

    def adjustments_for(self, facts: SkuFacts, buyer: Buyer) -> tuple[Layers, ...]:
        """For each level the adjustments whose scope holds the SKU and whose audience admits *buyer*, whatever their
        conditions.
        """
        key = (buyer, *self._adjustments.key(facts))
        found = self._admitted.get(key)
        if found is None:
            matching = self._adjustments.matching(facts, _audience_keys(buyer))
            found = _by_level([rule for audience, rule in matching if admits(audience, buyer)])
            self._admitted.keep(key, found)
        return found

    def matched(self, facts: SkuFacts, view: View) -> Matched:
        """As `adjustments_for`, with what the view already decides left out of the conditions."""
        if not self._adjustments:
            return _NO_RULES
        key = (view.rule_group, *self._adjustments.key(facts))
        found = self._matched.get(key)
        if found is None:
            found = self._match(facts, view)
            self._matched.keep(key, found)
        return found

    def bounds_for(self, facts: SkuFacts) -> tuple[ReadyBound, ...]:
        return self._bounds.for_everyone(facts)

    def quantity_rules_for(self, facts: SkuFacts) -> tuple[ReadyQuantityRule, ...]:
        return self._quantity_rules.for_everyone(facts)

    def _new_view(self, currency: str, buyer: Buyer) -> View:
        minor, line_places = exponent(currency), places(self.policy.line, currency)
        unit_places = places(self.policy.unit, currency)
        lists = {
            ready.code: ready
            for part in _audience_keys(buyer)
            for audience, ready in self._lists.get((currency, *part), ())
            if admits(audience, buyer)
        }
        rule_group = self._rule_group(currency, buyer)
        return View(
            group=self._number(rule_group, frozenset(lists)),
            rule_group=rule_group,
            buyer=buyer,
            currency=currency,
            lists=lists,
            exponent=minor,
            unit_scale=10**unit_places,
            unit_places=str(unit_places),
            line_places=line_places,
            line_scale=10**line_places,
            # JSON readers lose digits of whole numbers beyond 2^53
            line_limit=10 ** (15 - minor + line_places),
            line_zero=fixed(0, line_places),
            tax_places=places(self.policy.tax, currency),
        )

    def _rule_group(self, currency: str, buyer: Buyer) -> int:
        """Thousands of buyers differ in few of the audiences and countries that rules state."""
        admitted = frozenset(
            audience
            for part in _audience_keys(buyer)
            for audience in self._audiences.get(part, ())
            if admits(audience, buyer)
        )
        return self._number(currency, buyer.country if buyer.country in self._countries else None, admitted)

    def _number(self, *key: Any) -> int:
        """Of a group: of rules by three things, of lists by two, so that none is taken for another."""
        found = self._groups.get(key)
        return self._groups.keep(key, next(self._numbers)) if found is None else found

    def _match(self, facts: SkuFacts, view: View) -> Matched:
        unit, line, order = (
            tuple((layer, tuple(_seen(rule, view) for rule in rules)) for layer, rules in level)
            for level in self.adjustments_for(facts, view.buyer)
        )
        steady = all(rule.steady for _, rules in (*unit, *line) for rule in rules)
        return Matched(unit, line, order, steady)


def admits(audience: Audience, buyer: Buyer) -> bool:
    """Whether everything *audience* states matches *buyer*."""
    if audience.company is not None and audience.company != buyer.company:
        return False
    if audience.segments and not any(segment in audience.segments for segment in buyer.segments):
        return False
    return not audience.countries or buyer.country in audience.countries


def specificity(audience: Audience) -> int:
    """Company before segment before country before everyone; a list that states more comes before its equal."""
    return 4 * (audience.company is not None) + 2 * bool(audience.segments) + bool(audience.countries)


def ancestors(category: str) -> list[str]:
    """`a/b/c` -> `a`, `a/b`, `a/b/c`."""
    parts = category.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def in_scope(scope: Scope, facts: SkuFacts) -> bool:
    """Whether *scope* holds the SKU."""
    named = (
        scope.everything or facts.sku in scope.skus or facts.brand in scope.brands or _under(scope.categories, facts)
    )
    return named and not _excluded(scope, facts)


def _excluded(scope: Scope, facts: SkuFacts) -> bool:
    return (
        facts.sku in scope.excluded_skus
        or facts.brand in scope.excluded_brands
        or _under(scope.excluded_categories, facts)
    )


def _under(categories: tuple[str, ...], facts: SkuFacts) -> bool:
    """Whether the SKU stands in one of *categories* or their subtrees."""
    return bool(categories) and any(
        category == path or category.startswith(path + "/") for category in facts.categories for path in categories
    )


def places(rounding: Rounding, currency: str) -> int:
    """The decimals *rounding* keeps in *currency*."""
    return exponent(currency) if rounding.decimals is None else rounding.decimals


# --- Making ready ---

_NOBODY = Audience()
_EVERYBODY = [("", "")]
_NO_RULES = Matched((), (), (), steady=True)


class _ScopeIndex(Generic[T]):
    """Items by what their scope names and whom their audience names: `(scope kind, value, audience kind, value)`."""

    def __init__(self, items: Iterable[tuple[Scope, Audience, T]]) -> None:
        self._at: dict[Key, list[tuple[int, Scope, Audience, T]]] = {}
        self._named: set[str] = set()
        self._memo: Memo[tuple[tuple[str, ...], str | None, str | None], tuple[T, ...]] = Memo()
        for number, (scope, audience, item) in enumerate(items):
            self._named.update(scope.skus, scope.excluded_skus)
            for place in _scope_keys(scope):
                for part in _audience_parts(audience):
                    self._at.setdefault((*place, *part), []).append((number, scope, audience, item))

    def __bool__(self) -> bool:
        return bool(self._at)

    def key(self, facts: SkuFacts) -> tuple[tuple[str, ...], str | None, str | None]:
        """Equal for SKUs that match the same items; the SKU itself stands in it only where a scope names it."""
        return facts.categories, facts.brand, facts.sku if facts.sku in self._named else None

    def for_everyone(self, facts: SkuFacts) -> tuple[T, ...]:
        """Items whose scope holds the SKU, of those indexed for everyone."""
        if not self._at:
            return ()
        key = self.key(facts)
        found = self._memo.get(key)
        if found is None:
            found = tuple(item for _, item in self.matching(facts, _EVERYBODY))
            self._memo.keep(key, found)
        return found

    def matching(self, facts: SkuFacts, parts: list[tuple[str, str]]) -> list[tuple[Audience, T]]:
        """Items whose scope holds the SKU, among those indexed under one of the audience *parts*."""
        places: list[tuple[str, str]] = [("all", ""), ("sku", facts.sku)]
        if facts.brand is not None:
            places.append(("brand", facts.brand))
        for category in facts.categories:
            places.extend(("category", path) for path in ancestors(category))
        found: dict[int, tuple[Audience, T]] = {}
        for place in places:
            for part in parts:
                for number, scope, audience, item in self._at.get((*place, *part), ()):
                    if number not in found and not _excluded(scope, facts):
                        found[number] = (audience, item)
        return [found[number] for number in sorted(found)]


def _scope_keys(scope: Scope) -> list[tuple[str, str]]:
    if scope.everything:
        return [("all", "")]
    return [
        *(("sku", sku) for sku in dict.fromkeys(scope.skus)),
        *(("category", path) for path in dict.fromkeys(scope.categories)),
        *(("brand", brand) for brand in dict.fromkeys(scope.brands)),
    ]


def _audience_parts(audience: Audience) -> list[tuple[str, str]]:
    """Where an audience is indexed: under the narrowest thing it states."""
    if audience.company is not None:
        return [("company", audience.company)]
    if audience.segments:
        return [("segment", segment) for segment in dict.fromkeys(audience.segments)]
    return [("", "")]


def _audience_keys(buyer: Buyer) -> list[tuple[str, str]]:
    """Where to look for audiences that may admit *buyer*."""
    parts = [("", ""), *(("segment", segment) for segment in dict.fromkeys(buyer.segments))]
    return parts if buyer.company is None else [*parts, ("company", buyer.company)]


def _seen(rule: Rule, view: View) -> Rule:
    """The rule without the conditions on currency and country that *view* meets, once for all its lines."""
    conditions = tuple(
        (reason, bound, said)
        for reason, bound, said in rule.conditions
        if not (reason == "other_currency" and view.currency in bound)
        and not (reason == "other_country" and view.buyer.country in bound)
    )
    always = not conditions and rule.starts_at is None and rule.ends_at is None
    return msgspec.structs.replace(rule, conditions=conditions, plain=always and rule.kind is Kind.FACTOR)


def _by_level(rules: list[Rule]) -> tuple[Layers, ...]:
    rules.sort(key=lambda rule: (rule.layer, rule.group, -rule.priority, rule.code))
    return tuple(_by_layer([rule for rule in rules if rule.level is level]) for level in Level)


def _by_layer(rules: list[Rule]) -> Layers:
    layers: dict[int, list[Rule]] = {}
    for rule in rules:
        layers.setdefault(rule.layer, []).append(rule)
    return tuple((layer, tuple(members)) for layer, members in layers.items())


def _validated(frame: Frame) -> Frame:
    """The frame as its types demand it, though it was built in code; codes are unique within a kind."""
    try:
        frame = msgspec.convert(msgspec.to_builtins(frame), Frame)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise BookError(f"The book's rules are malformed: {error}") from error
    for kind in (frame.lists, frame.layers, frame.adjustments, frame.bounds, frame.quantity_rules):
        seen: set[str] = set()
        for noun in kind:
            code = noun.code
            if code in seen:
                raise BookError(f"The code {code} is used twice.")
            seen.add(code)
    return frame


def check_window(what: str, starts_at: datetime | None, ends_at: datetime | None) -> None:
    """:raises BookError: unless both instants are UTC and in order"""
    for instant in (starts_at, ends_at):
        if instant is not None and instant.utcoffset() != UTC.utcoffset(None):
            raise BookError(f"{what}: write instants in UTC, ending in Z.")
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise BookError(f"{what}: it ends before it starts.")


def _known(what: str, currency: str) -> None:
    try:
        exponent(currency)
    except UnknownCurrency as error:
        raise BookError(f"{what}: {currency} is no currency we know.") from error


def _not_negative(what: str, text: str) -> Ratio:
    number = ratio(text)
    if number[0] < 0:
        raise BookError(f"{what}: {text} is negative.")
    return number


def _lists_by_audience(
    lists: Iterable[PriceList],
) -> dict[tuple[str, str, str], list[tuple[Audience, ReadyList]]]:
    found: dict[tuple[str, str, str], list[tuple[Audience, ReadyList]]] = {}
    for noun in lists:
        _known(f"List {noun.code}", noun.currency)
        check_window(f"List {noun.code}", noun.starts_at, noun.ends_at)
        ready = ReadyList(
            code=noun.code,
            titles=noun.titles,
            rank=(specificity(noun.audience), noun.priority),
            starts_at=noun.starts_at,
            ends_at=noun.ends_at,
            dated=noun.starts_at is not None or noun.ends_at is not None,
            tax_included=noun.tax_included,
            mergeable=noun.mergeable,
        )
        for part in _audience_parts(noun.audience):
            found.setdefault((noun.currency, *part), []).append((noun.audience, ready))
    return found


def _stage(layer: Layer) -> Stage:
    codes = [group.code for group in layer.groups]
    if len(set(codes)) != len(codes):
        raise BookError(f"Layer {layer.code} has two groups of one code.")
    return Stage(
        summed=layer.combine is Combine.SUM,
        by_lowest=tuple(group.pick is Pick.LOWEST for group in layer.groups),
    )


def _ready_rules(frame: Frame) -> Iterable[tuple[Scope, Audience, Rule]]:
    layers: dict[str, tuple[int, Layer]] = {}
    for level in Level:
        layers |= {
            layer.code: (position, layer)
            for position, layer in enumerate(layer for layer in frame.layers if layer.level is level)
        }
    for noun in frame.adjustments:
        what = f"Adjustment {noun.code}"
        if noun.layer not in layers:
            raise BookError(f"{what} names the unknown layer {noun.layer}.")
        position, layer = layers[noun.layer]
        groups = [group.code for group in layer.groups]
        if noun.group not in groups:
            raise BookError(f"{what} names the unknown group {noun.group} of layer {noun.layer}.")
        check_window(what, noun.starts_at, noun.ends_at)
        yield noun.scope, noun.audience, _ready_rule(what, noun, layer, position, groups.index(noun.group))


def _ready_rule(what: str, noun: Adjustment, layer: Layer, position: int, group: int) -> Rule:
    kind, numbers = _ready_effect(what, noun, layer)
    conditions = _ready_conditions(what, noun, layer.level)
    return Rule(
        code=noun.code,
        titles=noun.titles,
        level=layer.level,
        layer=position,
        group=group,
        priority=noun.priority,
        exclusive=noun.exclusive,
        starts_at=noun.starts_at,
        ends_at=noun.ends_at,
        conditions=conditions,
        kind=kind,
        steady=kind is Kind.FACTOR and all(reason in _STEADY for reason, _, _ in conditions),
        **numbers,
    )


def _ready_effect(what: str, noun: Adjustment, layer: Layer) -> tuple[Kind, dict[str, Any]]:
    effect, level = noun.effect, layer.level
    if isinstance(effect, PercentEffect):
        return Kind.FACTOR, {
            "factor": _factor(what, effect.percent, surcharge=effect.surcharge),
            "reason": "percent_on" if effect.surcharge else "percent_off",
            "params": {"percent": effect.percent},
        }
    if isinstance(effect, AmountEffect):
        _one_currency(what, noun)
        number, over = _not_negative(what, effect.amount)
        return Kind.AMOUNT, {
            "amount": (number if effect.surcharge else -number, over),
            "reason": "amount_on" if effect.surcharge else "amount_off",
            "params": {"amount": effect.amount},
        }
    if isinstance(effect, FixedPriceEffect):
        _one_currency(what, noun)
        if level is not Level.UNIT:
            raise BookError(f"{what}: a fixed price belongs to a layer of the unit level.")
        if layer.combine is Combine.SUM:
            raise BookError(f"{what}: a fixed price cannot be summed; layer {layer.code} combines by sum.")
        return Kind.FIXED, {"amount": _not_negative(what, effect.price), "reason": "fixed_price"}
    if level is Level.ORDER:
        raise BookError(f"{what}: this effect counts units and belongs to a layer of the unit or line level.")
    if isinstance(effect, QuantityTableEffect):
        table = [(_not_negative(what, step.from_), _factor(what, step.percent)) for step in effect.steps]
        if any(not _less(table[at][0], table[at + 1][0]) for at in range(len(table) - 1)):
            raise BookError(f"{what}: the steps of its table must ascend.")
        return Kind.TABLE, {"table": tuple(reversed(table)), "reason": "quantity_table"}
    return _ready_buy_get(what, effect, level)


def _ready_buy_get(what: str, effect: BuyGetEffect, level: Level) -> tuple[Kind, dict[str, Any]]:
    if level is not Level.LINE:
        raise BookError(f"{what}: buy-and-get belongs to a layer of the line level.")
    buy, get = _not_negative(what, effect.buy), _not_negative(what, effect.get)
    if not buy[0] or not get[0]:
        raise BookError(f"{what}: buy-and-get needs both quantities above 0.")
    return Kind.BUY_GET, {
        "free": get,
        "complete": (buy[0] * get[1] + get[0] * buy[1], buy[1] * get[1]),
        "reason": "buy_get",
        "params": {"buy": effect.buy, "get": effect.get},
    }


def _factor(what: str, percent: str, *, surcharge: bool = False) -> Ratio:
    number, over = _not_negative(what, percent)
    if surcharge:
        return 100 * over + number, 100 * over
    if number > 100 * over:
        raise BookError(f"{what}: {percent} % off is more than everything.")
    return 100 * over - number, 100 * over


def _one_currency(what: str, noun: Adjustment) -> None:
    if len(noun.conditions.currencies) != 1:
        raise BookError(f"{what}: an amount of money needs exactly one currency among its conditions.")


def _ready_conditions(what: str, noun: Adjustment, level: Level) -> tuple[tuple[str, Any, str], ...]:
    """`(reason when it fails, what to compare with, its text)`, in the order they are tried."""
    said = noun.conditions
    found: list[tuple[str, Any, str]] = []
    if said.currencies:
        for currency in said.currencies:
            _known(what, currency)
        found.append(("other_currency", frozenset(said.currencies), ", ".join(said.currencies)))
    if said.countries:
        found.append(("other_country", frozenset(said.countries), ", ".join(said.countries)))
    for reason, text in (("needs_quantity", said.min_quantity), ("over_quantity", said.max_quantity)):
        if text is not None:
            if level is Level.ORDER:
                raise BookError(f"{what}: an order has no quantity of one unit; state an amount.")
            found.append((reason, _not_negative(what, text), text))
    for reason, text in (
        ("needs_line_amount", said.min_line_amount),
        ("over_line_amount", said.max_line_amount),
        ("needs_subtotal", said.min_subtotal),
        ("over_subtotal", said.max_subtotal),
    ):
        if text is not None:
            if level is Level.UNIT or (level is Level.ORDER and "line" in reason):
                raise BookError(
                    f"{what}: conditions on amounts belong to the line level, on the subtotal also to order."
                )
            _one_currency(what, noun)
            found.append((reason, _not_negative(what, text), text))
    return tuple(found)


def _ready_bound(noun: Bound) -> ReadyBound:
    what = f"Bound {noun.code}"
    prices: dict[str, Ratio] = {}
    over_cost: Ratio | None = None
    if isinstance(noun.limit, PriceLimit):
        for price in noun.limit.prices:
            _known(what, price.currency)
            if price.currency in prices:
                raise BookError(f"{what}: {price.currency} is stated twice.")
            prices[price.currency] = _not_negative(what, price.price)
    else:
        over_cost = _over_cost(what, noun.limit)
    return ReadyBound(
        code=noun.code,
        disclosed=noun.disclosed,
        floor=noun.side is Side.FLOOR,
        prices=prices,
        over_cost=over_cost,
    )


def _over_cost(what: str, limit: MarginLimit) -> Ratio:
    number, over = ratio(limit.percent)
    if number >= 100 * over:
        raise BookError(f"{what}: no price has a margin of {limit.percent} %.")
    return 100 * over, 100 * over - number


def _ready_quantity_rule(noun: QuantityRule) -> ReadyQuantityRule:
    what = f"Quantity rule {noun.code}"
    numbers = [None if text is None else _not_negative(what, text) for text in _texts(noun)]
    if numbers[2] is not None and not numbers[2][0]:
        raise BookError(f"{what}: a multiple of 0 allows no quantity.")
    return ReadyQuantityRule(
        code=noun.code,
        unit=noun.unit,
        minimum=numbers[0],
        maximum=numbers[1],
        multiple=numbers[2],
        texts=_texts(noun),
    )


def _texts(noun: QuantityRule) -> tuple[str | None, str | None, str | None]:
    return noun.minimum, noun.maximum, noun.multiple


def _less(one: Ratio, other: Ratio) -> bool:
    return one[0] * other[1] < other[0] * one[1]
