"""`sweep` says of many lines what `quote` says of each alone."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.money import Mode, divide
from pricing.engine import BookContent, Buyer, LineRequest, QuoteRequest, TaxInput, TaxRate, quote
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    Conditions,
    Cost,
    CurrencyPrice,
    FixedPriceEffect,
    Layer,
    MarginLimit,
    Package,
    PercentEffect,
    PercentStep,
    PriceLimit,
    PriceList,
    PriceRow,
    QuantityRule,
    QuantityTableEffect,
    Rounding,
    RoundingPolicy,
    Scope,
    Side,
    SkuFacts,
    Strategy,
    UnitFact,
)
from pricing.engine.columns import ColumnarBook, Columns, Ints, ticks
from pricing.engine.request import RefusedLine, Treatment
from pricing.engine.sweep import BLOCK, NO_LIST, NO_PRICE, REASONS, Lines, Swept, SweptLine, lines_of, sweep, texts_of
from pricing.engine.sweep_plans import (
    LIMIT,
    Beyond,
    Bools,
    BoundShape,
    Exact,
    Group,
    Policy,
    Shape,
    _amount,
    _bound,
    _bounded_unit,
    _Bounding,
    _extended,
    _lower,
    _on_grid,
    divided,
    exact,
    rounded,
)
from pricing.engine.sweep_rules import PlanTables
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    EVERYTHING,
    GLOBEX,
    GUEST,
    INITECH,
    NOW,
    ROPE,
    STOOL,
    VAT,
    content,
    in_euro,
    layer,
    public,
    row,
    rule,
    under,
)
from tests.pricing.engine.test_laws import SKUS, contents, numbers

BUYERS = (GUEST, ACME, GLOBEX, INITECH)
DAY = timedelta(days=1)
TABLE = SkuFacts(
    sku="TABLE",
    units=(
        UnitFact(unit="each", decimals=1),
        UnitFact(unit="pallet", factor="40"),
        UnitFact(unit="half", factor="0.5"),
    ),
    categories=("seating/tables", "wood"),
    tax_category="untaxed",
)


def asked(said: str) -> LineRequest:
    """`"10 STOOL"` or `"2 box CRUNCHY-ARMCHAIR"`."""
    quantity, *unit, sku = said.split(" ")
    return LineRequest(sku=sku, quantity=quantity, unit=unit[0] if unit else None)


def swept(
    of: ColumnarBook,
    *said: str | LineRequest,
    buyers: Sequence[Buyer] = (ACME,),
    buyer_of: Sequence[int] | None = None,
    currency: str = "EUR",
    tax: TaxInput | None = None,
    at: datetime | Ints = NOW,
) -> Swept:
    """Sweep the lines, and hold every one of them to its quote."""
    requests = [asked(one) if isinstance(one, str) else one for one in said]
    numbers_of = None if buyer_of is None else np.array(buyer_of)
    lines = lines_of(of.columns, requests, currency=currency, buyers=buyers, buyer_of=numbers_of)
    found = sweep(lines, book=of, at=at, tax=tax)
    assert len(found) == len(requests)
    for number, line in enumerate(requests):
        request = QuoteRequest(
            buyer=buyers[0 if buyer_of is None else buyer_of[number]], currency=currency, lines=(line,), tax=tax
        )
        instant = (
            at
            if isinstance(at, datetime)
            else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at[number]))
        )
        (expected,) = quote(request, book=of, at=instant).lines
        if isinstance(expected, RefusedLine):
            assert found.line(number) == SweptLine(reason=expected.reason), line
            assert REASONS[found.reasons[number]] == expected.reason
            assert (found.subtotals[number], found.lists[number]) == (0, NO_LIST)
            assert (found.unit_prices[number], found.unit_scales[number]) == (NO_PRICE, 1)
            assert found.list_prices[number] == NO_PRICE
        else:
            assert found.line(number) == SweptLine(
                subtotal=expected.subtotal,
                unit_price=expected.unit_price,
                list_price=expected.list_price,
                list=expected.trace.list,
            ), line
            assert not found.reasons[number]
            assert of.columns.frame.lists[found.lists[number]].code == expected.trace.list
            says_in_numbers(found, number)
    return found


def says_in_numbers(found: Swept, number: int) -> None:
    """The arrays say what the texts do. What 64 bits do not hold the scalar evaluator priced; of that they say 0 or
    `NO_PRICE`.
    """
    line, by_scalar = found.line(number), found.by_scalar[number]
    subtotal, unit, listed = (worth(said) for said in (line.subtotal, line.unit_price, line.list_price))
    assert subtotal is not None
    if by_scalar and subtotal * 10**found.decimals > LIMIT:
        assert found.subtotals[number] == 0
    else:
        assert found.subtotals[number] == subtotal * 10**found.decimals
    if unit is None or (by_scalar and found.unit_prices[number] == NO_PRICE):
        assert (found.unit_prices[number], found.unit_scales[number]) == (NO_PRICE, 1)
        assert unit is None or max(unit.as_integer_ratio()) * 10**12 > LIMIT
    else:
        assert Fraction(int(found.unit_prices[number]), int(found.unit_scales[number])) == unit
    if listed is None or (by_scalar and (listed * found.list_scale > LIMIT or listed * found.list_scale % 1)):
        assert found.list_prices[number] == NO_PRICE
    else:
        assert found.list_prices[number] == listed * found.list_scale


def worth(said: str | None) -> Fraction | None:
    """Of `12.50` or `1.5/7`."""
    if said is None:
        return None
    whole, _, over = said.partition("/")
    return Fraction(whole) / int(over or 1)


def columnar(*rows: PriceRow, **more: Any) -> ColumnarBook:
    return ColumnarBook(content(*rows, **more), root="sha256:test")


# --- Laws ---


@st.composite
def more_rules(draw: st.DrawFn, number: int) -> Adjustment:
    level = draw(st.sampled_from(["unit", "line"]))
    effects: list[Any] = [
        PercentEffect(percent=draw(numbers(100, 3)), surcharge=draw(st.booleans())),
        AmountEffect(amount=draw(numbers(20, 1)), surcharge=draw(st.booleans())),
        QuantityTableEffect(
            steps=tuple(
                PercentStep(from_=str(begin), percent=draw(numbers(50, 1)))
                for begin in sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=3)))
            )
        ),
    ]
    amounts = {
        name: draw(st.none() | numbers(300, 1)) if level == "line" else None
        for name in ("min_line_amount", "max_line_amount", "max_subtotal")
    }
    return rule(
        f"MORE-{number}",
        draw(st.sampled_from(effects)),
        layer=level,
        group=draw(st.sampled_from(["first", "second"])),
        scope=draw(st.sampled_from([EVERYTHING, Scope(categories=("seating",), excluded_skus=("STOOL",))])),
        conditions=Conditions(
            currencies=("EUR",),
            countries=draw(st.sampled_from([(), ("DE",)])),
            max_quantity=draw(st.none() | numbers(30, 0)),
            **amounts,
        ),
        priority=draw(st.integers(0, 2)),
        exclusive=draw(st.booleans()),
        ends_at=draw(st.sampled_from([None, NOW, NOW + DAY])),
    )


@st.composite
def wide_contents(draw: st.DrawFn) -> BookContent:
    """Books of the other laws with windows, costs, margins, ceilings, tables, quantity rules, units besides."""
    made = draw(contents())
    rows: list[PriceRow] = []
    for one in made.rows:
        window = draw(st.sampled_from(["always", "later", "ended", "both", "both"]))
        if window in {"later", "both"}:
            rows.append(msgspec.structs.replace(one, starts_at=NOW + DAY))
        if window in {"ended", "both"}:
            rows.append(msgspec.structs.replace(one, ends_at=NOW))
        if window == "both":
            rows.append(msgspec.structs.replace(one, starts_at=NOW, ends_at=NOW + DAY))
        if window == "always":
            rows.append(one)
    rows += [
        row(f"1:{draw(numbers(50, 6))} >2.5:{draw(numbers(50, 7))}", sku="TABLE", unit=unit)
        for unit in sorted(draw(st.sets(st.sampled_from(["each", "pallet", "half"]))))
    ]
    euros = CurrencyPrice(currency="EUR", price=draw(numbers(60, 3)))
    bounds = (
        Bound(code="MARGIN", side=Side.FLOOR, scope=Scope(skus=("ROPE", "TABLE")), limit=MarginLimit(percent="12.5")),
        Bound(code="TOP", side=Side.CEILING, scope=Scope(categories=("seating",)), limit=PriceLimit(prices=(euros,))),
        Bound(code="TOP-2", side=Side.CEILING, scope=Scope(skus=("STOOL",)), limit=MarginLimit(percent="70")),
        Bound(code="FLOOR-2", side=Side.FLOOR, scope=Scope(skus=("STOOL",)), limit=PriceLimit(prices=(euros,))),
    )
    quantities = (
        QuantityRule(code="PAIRS", scope=Scope(skus=("STOOL",)), multiple="2", minimum="4"),
        QuantityRule(code="FEW", scope=Scope(categories=("seating/chairs",)), unit="box", maximum="20"),
    )
    lists = tuple(
        msgspec.structs.replace(one, **draw(st.sampled_from([{}, {}, {"ends_at": NOW}, {"starts_at": NOW}])))
        for one in made.lists
    )
    costs = [Cost(sku=sku, currency="EUR", cost=draw(numbers(40, 3))) for sku in draw(st.sets(st.sampled_from(SKUS)))]
    return msgspec.structs.replace(
        made,
        lists=(*lists, public("RIVAL", mergeable=draw(st.booleans()), priority=draw(st.integers(0, 1)))),
        rows=(*rows, *(row("1:9.5", sku=sku, of="RIVAL") for sku in draw(st.sets(st.sampled_from(SKUS))))),
        skus=(*made.skus, TABLE),
        adjustments=(*made.adjustments, *(draw(more_rules(number)) for number in range(draw(st.integers(0, 3))))),
        bounds=tuple(bound for bound in (*made.bounds, *bounds) if draw(st.booleans())),
        quantity_rules=draw(st.sampled_from([(), quantities])),
        costs=tuple(costs),
    )


requests = st.builds(
    LineRequest,
    sku=st.sampled_from([*SKUS, *SKUS, "TABLE", "NO-SUCH-THING"]),
    quantity=st.integers(0, 40).map(str)
    | st.sampled_from(["0.5", "2.25", "-1", "NaN", "1000000001", "999999999", "0.0000001"]),
    unit=st.sampled_from([None, None, "each", "box", "metre", "pallet", "half", "dozen"]),
)
taxes = st.sampled_from([None, VAT, *(under(treatment) for treatment in Treatment)])
instants = st.sampled_from([NOW, NOW - timedelta(microseconds=1), NOW + DAY, NOW + DAY - timedelta(microseconds=1)])


@given(st.data(), wide_contents() | contents(), st.lists(requests, min_size=1, max_size=20), taxes)
@settings(deadline=None, max_examples=100)
def test_sweep_says_what_quote_says(data: Any, made: BookContent, lines: list[LineRequest], tax: Any) -> None:
    at: datetime | Ints = data.draw(instants)
    if data.draw(st.booleans()):
        at = np.array([ticks(data.draw(instants)) for _ in lines])
    buyer_of = [data.draw(st.integers(0, len(BUYERS) - 1)) for _ in lines]

    swept(
        ColumnarBook(made, root="r"),
        *lines,
        buyers=BUYERS,
        buyer_of=buyer_of,
        currency=data.draw(st.sampled_from(["EUR", "EUR", "EUR", "USD"])),
        tax=tax,
        at=at,
    )


@given(
    st.lists(st.tuples(numbers(999_999_999_999, 12), st.integers(1, 10**9)), min_size=1, max_size=60),
    st.sampled_from(Mode),
    st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_huge_and_fine_prices_agree_too(lines: list[tuple[str, int]], mode: Mode, rounds: bool) -> None:
    skus = tuple(SkuFacts(sku=f"S{number}") for number in range(len(lines)))
    of = columnar(
        *(row(f"1:{price}", sku=f"S{number}", unit="each") for number, (price, _) in enumerate(lines)),
        skus=skus,
        adjustments=(rule("OFF", "7.125"), rule("LESS", "0.0001", layer="line")),
        policy=RoundingPolicy(unit=Rounding(decimals=4, mode=mode), line=Rounding(decimals=6), round_unit=rounds),
    )
    swept(of, *(LineRequest(sku=f"S{number}", quantity=str(quantity)) for number, (_, quantity) in enumerate(lines)))


# --- Books and lines at random: many more than a law draws, the same ones every time ---


class Dice:
    """Draws from a seed. *digits*: how large numbers may be."""

    def __init__(self, seed: int, digits: int = 3) -> None:
        self.chance = random.Random(seed)
        self.digits = digits
        self.places = self.chance.choice([2, 2, 4, 6])

    def one(self, *of: Any) -> Any:
        return self.chance.choice(of)

    def some(self, *of: Any) -> tuple[Any, ...]:
        return tuple(one for one in of if self.chance.random() < 0.5)

    def number(self, digits: int | None = None, places: int | None = None) -> str:
        digits = self.chance.randrange(1, 1 + (self.digits if digits is None else digits))
        places = self.chance.randrange(1 + (self.places if places is None else places))
        whole, part = self.chance.randrange(10**digits), self.chance.randrange(10**places)
        return f"{whole}.{part:0{places}}".rstrip("0").rstrip(".") if places else str(whole)

    def percent(self) -> str:
        return str(self.one("0", "2", "5", "7.5", "12.25", "33.333", "50", "100"))

    def breaks(self) -> list[int]:
        return sorted(self.chance.sample(range(2, 60), self.chance.randrange(4)))


def book_at_random(dice: Dice) -> ColumnarBook:
    skus = tuple(
        SkuFacts(
            sku=f"SKU-{number}",
            units=(
                UnitFact(unit="each", decimals=dice.one(0, 0, 2)),
                UnitFact(unit="box", factor=dice.one("6", "12", "144")),
                UnitFact(unit="kilo", factor=dice.one("3", "0.25"), decimals=3),
            )[: dice.one(1, 2, 3)],
            categories=dice.some("tools", "tools/saws", "garden"),
            brand=dice.one(None, "north", "south"),
            tax_category=dice.one("standard", "standard", "reduced"),
        )
        for number in range(8)
    )
    lists = [
        public("OPEN", mergeable=dice.one(True, False)),
        public("TRADE", audience=Audience(segments=("trade",)), mergeable=True, tax_included=dice.one(True, False)),
        public("GERMAN", audience=Audience(countries=("DE",)), mergeable=dice.one(True, False)),
        public("OLD", priority=1, ends_at=NOW),
        public("NEW", priority=dice.one(1, 2), starts_at=NOW),
    ]
    rows = [
        row_at_random(dice, noun.code, facts.sku, unit.unit, window)
        for facts in skus
        for noun in lists
        for unit in facts.units
        if dice.one(True, True, False)
        for window in dice.one([{}], [{"ends_at": NOW}, {"starts_at": NOW}], [{"starts_at": NOW - DAY, "ends_at": NOW}])
    ]
    layers = [
        layer(level, "first", "second", combine=combine, pick=dice.one("priority", "lowest"), code=f"{level}-{combine}")
        for level in ("unit", "line")
        for combine in dice.one(("sequence",), ("sum",), ("sum", "sequence"))
    ]
    return columnar(
        *rows,
        strategy=dice.one(*Strategy),
        policy=RoundingPolicy(
            unit=Rounding(decimals=dice.one(None, 3, 4), mode=dice.one(*Mode)),
            line=Rounding(decimals=dice.one(None, 0, 4), mode=dice.one(*Mode)),
            round_unit=dice.one(True, True, False),
        ),
        lists=tuple(lists),
        skus=skus,
        layers=tuple(layers),
        adjustments=tuple(rule_at_random(dice, number, dice.one(*layers)) for number in range(dice.one(0, 3, 6, 9))),
        bounds=tuple(bound_at_random(dice, number) for number in range(dice.one(0, 1, 2, 3))),
        quantity_rules=(QuantityRule(code="PAIRS", scope=scope_at_random(dice), multiple="0.5", maximum="9000"),),
        costs=tuple(Cost(sku=facts.sku, currency="EUR", cost=dice.number()) for facts in skus),
    )


def row_at_random(dice: Dice, code: str, sku: str, unit: str, window: dict[str, Any]) -> PriceRow:
    model = dice.one("volume", "volume", "volume", "graduated")
    sign = ">" if model == "graduated" else dice.one("", ">")
    begins = [dice.one(0, 0, 0, 5) if model == "volume" else 0, *(6 + begin for begin in dice.breaks())]
    fee = dice.one("0", "0", dice.number())
    return row(
        " ".join(f"{sign}{begin}:{dice.number()}+{fee}" for begin in begins),
        sku=sku,
        of=code,
        unit=unit,
        model=model,
        **window,
    )


def scope_at_random(dice: Dice) -> Scope:
    north = Scope(brands=("north",), excluded_skus=("SKU-1",))
    found: Scope = dice.one(EVERYTHING, Scope(categories=("tools",)), north, Scope(skus=("SKU-1", "SKU-2")))
    return found


def rule_at_random(dice: Dice, number: int, of: Layer) -> Adjustment:
    table = tuple(
        PercentStep(from_=str(begin), percent=dice.percent()) for begin in [0, *dice.breaks()][dice.one(0, 1) :]
    )
    effects: list[Any] = [
        PercentEffect(percent=dice.percent()),
        PercentEffect(percent=dice.percent(), surcharge=True),
        AmountEffect(amount=dice.number(), surcharge=dice.one(True, False)),
        QuantityTableEffect(steps=table or (PercentStep(from_="3", percent="3"),)),
    ]
    if of.level == "unit" and of.combine == "sequence":
        effects.append(FixedPriceEffect(price=dice.number()))
    conditions = {
        name: dice.number(3, 0) for name in dice.some("min_quantity", "max_quantity") if dice.one(True, False)
    } | {
        name: dice.number(5, 2)
        for name in dice.some("min_line_amount", "max_line_amount", "min_subtotal", "max_subtotal")
        if of.level == "line" and dice.one(True, False, False)
    }
    return rule(
        f"RULE-{number}",
        dice.one(*effects),
        layer=of.code,
        group=dice.one("first", "second"),
        scope=scope_at_random(dice),
        audience=dice.one(Audience(), Audience(), Audience(segments=("trade",))),
        conditions=in_euro(**conditions, countries=dice.one((), (), ("DE",), ("ES",))),
        priority=dice.one(0, 1),
        exclusive=dice.one(True, False, False),
        starts_at=dice.one(None, None, NOW),
        ends_at=dice.one(None, None, NOW + DAY),
    )


def bound_at_random(dice: Dice, number: int) -> Bound:
    euro, dollar = (CurrencyPrice(currency=currency, price=dice.number()) for currency in ("EUR", "USD"))
    limit = dice.one(
        PriceLimit(prices=(euro, dollar)), PriceLimit(prices=(euro,)), MarginLimit(percent=dice.one("8", "30"))
    )
    return Bound(code=f"BOUND-{number}", side=dice.one(*Side), scope=scope_at_random(dice), limit=limit)


def swept_at_random(dice: Dice, of: ColumnarBook, digits: int) -> Swept:
    lines = [
        LineRequest(
            sku=f"SKU-{dice.chance.randrange(8)}",
            quantity=dice.number(digits, dice.one(0, 0, 0, 2)),
            unit=dice.one(None, None, "each", "box", "kilo"),
        )
        for _ in range(120)
    ]
    lines = [msgspec.structs.replace(line, unit=None) for line in lines] if dice.one(True, False) else lines
    at = NOW if dice.one(True, False) else np.array([ticks(NOW) + dice.one(-1, 0, 1) for _ in lines])
    buyers = dice.one((ACME,), BUYERS)
    return swept(
        of,
        *lines,
        buyers=buyers,
        buyer_of=[dice.chance.randrange(len(buyers)) for _ in lines],
        tax=dice.one(None, VAT, VAT),
        at=at,
    )


@pytest.mark.parametrize("seed", range(60))
def test_lines_at_random_agree(seed: int) -> None:
    dice = Dice(seed)

    found = swept_at_random(dice, book_at_random(dice), digits=3)

    assert len(found) == 120


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_lines_of_any_size_agree(seed: int) -> None:
    dice = Dice(seed, digits=random.Random(seed).choice([6, 9, 12]))

    found = swept_at_random(dice, book_at_random(dice), digits=9)

    assert len(found) == 120


# --- What goes through the columns, and what does not ---


def ordinary() -> ColumnarBook:
    """What house books are made of: contract before trade before public, discounts, bounds, boxes, fees, windows."""
    return columnar(
        *(row("1:100 10:90 50:80", sku=sku, unit="each") for sku in ("CRUNCHY-ARMCHAIR", "STOOL")),
        row("1:1100+5", unit="box"),
        row("1:95 20:84.5", of="TRADE", starts_at=NOW - DAY, ends_at=NOW + DAY),
        row("1:91 20:82.25", of="TRADE", starts_at=NOW + DAY),
        row(">0:3 >10:2.5+1 >100:2.125", sku="ROPE", model="graduated"),
        row("1:77", sku="STOOL", of="CONTRACT"),
        lists=(
            public(),
            public("TRADE", audience=Audience(segments=("trade",))),
            public("CONTRACT", audience=Audience(company="initech")),
        ),
        layers=(
            layer("unit", "first", "second"),
            layer("unit", "dealer", "offer", combine="sum", pick="lowest", code="offers"),
            layer("line"),
        ),
        adjustments=(
            rule("SEATING", "5", scope=Scope(categories=("seating",)), conditions=in_euro(min_quantity="10")),
            rule(
                "BETTER", "6", scope=Scope(categories=("seating",)), conditions=in_euro(min_quantity="20"), priority=1
            ),
            rule("PACKING", AmountEffect(amount="0.35", surcharge=True), group="second", conditions=in_euro()),
            rule("DEALER", "10", layer="offers", group="dealer", audience=Audience(segments=("trade",))),
            rule("SPRING", "12.5", layer="offers", group="offer", ends_at=NOW + DAY),
            rule(
                "TABLE",
                QuantityTableEffect(steps=(PercentStep(from_="5", percent="2"),)),
                layer="offers",
                group="offer",
            ),
            rule("FIXED", FixedPriceEffect(price="60"), conditions=in_euro(min_quantity="100"), exclusive=True),
            rule("BIG", "1.5", layer="line", conditions=in_euro(min_line_amount="1000", max_subtotal="90000")),
        ),
        bounds=(
            Bound(code="MARGIN", side=Side.FLOOR, scope=Scope(skus=("STOOL",)), limit=MarginLimit(percent="30")),
            Bound(
                code="CEILING",
                side=Side.CEILING,
                scope=Scope(categories=("seating/chairs",)),
                limit=PriceLimit(prices=(CurrencyPrice(currency="EUR", price="88"),)),
            ),
        ),
        quantity_rules=(
            QuantityRule(code="HUNDREDS", scope=Scope(skus=("STOOL",)), maximum="100", multiple="0.5"),
            QuantityRule(code="LORRY", scope=Scope(brands=("crunchy",)), unit="box", maximum="99"),
        ),
        costs=(Cost(sku="STOOL", currency="EUR", cost="55.125"),),
    )


def ordinary_lines() -> list[str]:
    counts = (1, 4, 5, 9, 10, 19, 20, 50, 99, 100, 101, 1000)
    return [
        *(f"{count} {sku}" for count in counts for sku in ("CRUNCHY-ARMCHAIR", "STOOL", "ROPE")),
        *(f"{count} box CRUNCHY-ARMCHAIR" for count in counts),
        *(f"{count}.25 ROPE" for count in counts),
        "1 NO-SUCH-THING",
        "1.5 STOOL",
        "1 barrel STOOL",
    ]


@pytest.mark.parametrize("at", [NOW, NOW + DAY, NOW - DAY])
@pytest.mark.parametrize("tax", [None, VAT])
def test_no_line_of_an_ordinary_book_is_left_to_the_scalar_evaluator(at: datetime, tax: TaxInput | None) -> None:
    lines = [line for line in ordinary_lines() for _ in BUYERS]

    found = swept(ordinary(), *lines, buyers=BUYERS, buyer_of=list(range(4)) * (len(lines) // 4), at=at, tax=tax)

    assert not found.by_scalar.any()
    assert (found.reasons == 0).sum() > 200
    assert len(set(found.subtotals.tolist())) > 100


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("rope", ["graduated", "volume"])
def test_every_strategy_goes_through_the_columns(strategy: Strategy, rope: str) -> None:
    of = columnar(
        row("1:10 10:9 100:7", sku="STOOL"),
        row("1:9.5 20:9 50:8", sku="STOOL", of="TRADE"),
        row("1:120 10:100"),
        row("1:11 20:8.75", of="TRADE"),
        row("1:100", unit="box", of="TRADE"),
        row(">0:3", sku="ROPE", of="TRADE", model=rope),
        row("1:2.5+4", sku="ROPE"),
        lists=(
            public(mergeable=True),
            public("TRADE", audience=Audience(segments=("trade",)), mergeable=True),
        ),
        strategy=strategy,
    )
    lines = [f"{count} {sku}" for count in (1, 9, 10, 20, 60, 100, 400) for sku in ("STOOL", "ROPE")]
    lines += [f"{count} {unit}CRUNCHY-ARMCHAIR" for count in (1, 2, 10, 30) for unit in ("", "box ")]

    found = swept(of, *lines, *lines, buyers=(GLOBEX, GUEST), buyer_of=[0] * len(lines) + [1] * len(lines))

    assert not found.by_scalar.any()
    assert not found.reasons.any()


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("rounds", [True, False])
def test_every_mode_rounds_as_the_scalar_evaluator_does(mode: Mode, rounds: bool) -> None:
    rounding = Rounding(mode=mode)
    of = columnar(
        row("1:0.125 2:0.375 3:1.115 4:2.345", sku="STOOL"),
        row("0.5:0.333", sku="ROPE"),
        policy=RoundingPolicy(unit=rounding, line=rounding, round_unit=rounds),
        adjustments=(rule("HALF", "50"), rule("ON", PercentEffect(percent="1", surcharge=True), layer="line")),
    )
    lines = [f"{count} STOOL" for count in range(1, 30)] + [f"{count}.5 ROPE" for count in range(30)]

    assert not swept(of, *lines).by_scalar.any()


def test_a_block_near_two_to_the_63_is_left_to_the_scalar_evaluator_and_the_rest_is_not() -> None:
    prices = ["999999999999999.999999", "12.5"]
    of = columnar(row(f"1:{prices[0]}", sku="STOOL"), row(f"1:{prices[1]}"), adjustments=(rule("OFF", "12.345"),))
    lines = ["999999999 STOOL", "3 STOOL"] * 40 + [f"{count} CRUNCHY-ARMCHAIR" for count in range(1, 500)]

    found = swept(of, *lines)

    assert found.by_scalar[:80].all()
    assert found.by_scalar[80:].sum() <= 64
    assert REASONS[found.reasons[0]] == "amount_too_large"


def test_numbers_at_the_edge_of_64_bits_come_out_right() -> None:
    """Whichever way they go, products just below and just above 2^63 are those of the scalar evaluator."""
    skus = tuple(SkuFacts(sku=f"S{power}") for power in range(50))
    of = columnar(
        *(row(f"1:{2**power}.123457", sku=f"S{power}", unit="each") for power in range(50)),
        skus=skus,
        adjustments=(rule("OFF", "12.345"),),
        policy=RoundingPolicy(unit=Rounding(decimals=6), line=Rounding(decimals=6)),
    )

    found = swept(of, *(f"{quantity} S{power}" for power in range(50) for quantity in (1, 7, 1023, 10**6, 10**9)))

    assert 0 < found.by_scalar.sum() < 250


def test_lines_too_large_for_64_bits_are_parted_from_the_others_by_their_prices() -> None:
    """In the order of their sizes the first half is small, the other large, however the lines stood."""
    prices = {"SMALL": "12.5", "LARGE": "999999999999.999999"}
    of = columnar(
        *(row(f"1:{price}", sku=sku, unit="each") for sku, price in prices.items()),
        skus=tuple(SkuFacts(sku=sku) for sku in prices),
    )

    found = swept(of, *["1000000 SMALL", "1000000 LARGE"] * 32)

    assert found.by_scalar.tolist() == [False, True] * 32


@pytest.mark.parametrize(
    ("large", "two", "three"),
    [("TWO THREE", "100000000000", "100300000000"), ("ONE TWO THREE", "656854757234.18", "40276362920.57")],
)
def test_lines_too_large_for_64_bits_are_parted_from_the_others_by_price_times_quantity(
    large: str, two: str, three: str
) -> None:
    """A price is large where a quantity is small: only their product says what is too large. Computed from numbers of
    more than 31 bits it would itself leave 64, for some of these on one side and for others on the other.
    """
    prices = {"ONE": "999999999999.99", "TWO": two, "THREE": three}
    unit = UnitFact(unit="each", decimals=2)
    of = columnar(
        *(row(f"0:{price}", sku=sku, unit="each") for sku, price in prices.items()),
        skus=tuple(SkuFacts(sku=sku, units=(unit,)) for sku in prices),
    )

    too_large = [f"1000000000 {sku}" for sku in large.split()]
    found = swept(of, *too_large * (24 // len(too_large)), *["0.01 ONE"] * 40)

    assert found.by_scalar.sum() == 32


@pytest.mark.parametrize("strategy", Strategy)
def test_of_lines_too_large_for_64_bits_a_few_are_left_to_the_scalar_evaluator_with_others(strategy: Strategy) -> None:
    of = columnar(
        row("1:999999999999.999999", sku="STOOL"),
        row("1:999999999999.999999", sku="STOOL", of="SECOND"),
        lists=(public(), public("SECOND", priority=1)),
        strategy=strategy,
    )
    small, large = "1 STOOL", "1000000 STOOL"

    assert swept(of, *[small, large] * 32).by_scalar.tolist() == [False, True] * 32
    assert swept(of, *[large, small, small] * 32).by_scalar.sum() == 48
    assert swept(of, *[small, large] * 16).by_scalar.all()
    assert swept(of, *["1 GHOST", large] * 16, *[small] * 16).by_scalar.tolist() == [False, True] * 16 + [True] * 16
    assert swept(of, *[small] * 17, *[large] * 16).by_scalar.sum() == 17


def test_quantities_are_counted_in_millionths_of_base_units_up_to_two_to_the_62() -> None:
    """4096 times 2^49 millionths: twice that is 2^62, and one millionth more is more. What passes 2^61 for tuns is so
    near to a whole number that a float would take it for one.
    """
    vat, tun = UnitFact(unit="vat", factor="4096", decimals=6), UnitFact(unit="tun", factor="2323", decimals=6)
    of = columnar(
        row("0:0", sku="OIL", unit="gram"),
        skus=(SkuFacts(sku="OIL", units=(UnitFact(unit="gram"), vat, tun)),),
        policy=RoundingPolicy(round_unit=False),
    )

    found = swept(of, "562949953.421312 vat OIL", "562949953.421313 vat OIL", "1 OIL", "1 vat OIL")

    assert found.by_scalar.tolist() == [False, True, False, False]
    assert swept(of, "992614295.830259 tun OIL", "992614295.83026 tun OIL").by_scalar.tolist() == [False, True]


def test_quantities_that_columns_do_not_hold_are_said_as_text() -> None:
    of = columnar(row("1:5", sku="STOOL"))
    quantities = ["4611686018427.387904", "4611686018427.387905", "-99999999999999", "0.000001", "0.0000001"]

    found = swept(of, *(f"{quantity} STOOL" for quantity in quantities))

    assert found.by_scalar.tolist() == [False, True, True, False, True]
    crates = LineRequest(sku="STOOL", quantity=quantities[-1], unit="crate")
    assert swept(ordinary(), crates).line(0).reason == "unknown_unit"


def test_a_quantity_said_as_text_is_the_one_that_is_priced() -> None:
    of = columnar(row("1:5", sku="STOOL"))
    lines = Lines(
        skus=of.columns.codes_of(["STOOL"] * 2),
        quantities=ints(3, 3),
        quantity_decimals=0,
        currency="EUR",
        buyers=(ACME,),
        said={1: "7"},
    )

    found = sweep(lines, book=of, at=NOW)

    assert [found.line(number).subtotal for number in range(2)] == ["15.00", "35.00"]
    assert found.by_scalar.tolist() == [False, True]


def test_numbers_of_the_scalar_evaluator_are_in_the_arrays_up_to_two_to_the_62() -> None:
    """Prices of 2^62 millionths and one more: columns hold neither."""
    of = columnar(
        row("1:4611686018427.387904", sku="STOOL"),
        row("1:4611686018427.387905"),
        row("1:1.000001", sku="ROPE"),
        policy=RoundingPolicy(unit=Rounding(decimals=6), line=Rounding(decimals=6)),
    )

    found = swept(of, "1 STOOL", "1 CRUNCHY-ARMCHAIR", "1 ROPE")

    assert found.by_scalar.tolist() == [True, True, False]
    assert found.subtotals.tolist() == [LIMIT, 0, 1_000_001]
    assert found.unit_prices.tolist() == [LIMIT, NO_PRICE, 1_000_001]
    assert found.unit_scales.tolist() == [10**6, 1, 10**6]
    assert found.list_prices.tolist() == [LIMIT, NO_PRICE, 1_000_001]


def test_an_amount_too_large_is_refused_by_columns_too() -> None:
    of = columnar(
        row("1:20000", sku="STOOL"), row("1:20000"), adjustments=(rule("OFF", "1", scope=Scope(skus=("STOOL",))),)
    )
    chair, stool = "1000000000 CRUNCHY-ARMCHAIR", "1000000000 STOOL"

    for lines, too_large in (
        ([stool], [0]),
        (["2 STOOL", stool], [1]),
        (["2 STOOL", chair, "3 STOOL", stool, "1 STOOL"], [1, 3]),
    ):
        found = swept(of, *lines)
        assert [place for place in range(len(lines)) if found.line(place).reason == "amount_too_large"] == too_large
        assert not found.by_scalar.any()


def test_a_unit_price_that_is_not_rounded_has_as_many_decimals_as_it_needs() -> None:
    of = columnar(
        row("1:0.123457", sku="STOOL"),
        layers=(layer("unit", "first", "second"), layer("line")),
        adjustments=(rule("ONE", "7.125"), rule("TWO", "33.333", group="second")),
        policy=RoundingPolicy(round_unit=False),
    )

    found = swept(of, "3 STOOL", "7 STOOL")

    assert found.line(0).unit_price == "0.0764408413689625"
    assert not found.by_scalar.any()


def test_a_quantity_rule_that_columns_do_not_hold_leaves_the_others_to_them() -> None:
    of = columnar(
        row("1:5", sku="STOOL"),
        row("1:5"),
        row("1:5", sku="ROPE"),
        quantity_rules=(
            QuantityRule(code="ODD", scope=Scope(skus=(CHAIR.sku,)), multiple="0.00000025"),
            QuantityRule(code="PAIRS", scope=Scope(skus=("STOOL", "ROPE")), multiple="2", minimum="4"),
        ),
    )

    found = swept(of, "1 CRUNCHY-ARMCHAIR", "5 STOOL", "4 STOOL", "2 ROPE", "4 ROPE")

    assert found.by_scalar.tolist() == [True, False, False, False, False]
    assert np.flatnonzero(found.reasons).tolist() == [1, 3]


def test_what_columns_do_not_hold_is_left_to_the_scalar_evaluator() -> None:
    halves = SkuFacts(sku="BAG", units=(UnitFact(unit="each"), UnitFact(unit="half", factor="0.5")))
    seventeen = " ".join(f"{begin}:{100 - begin}" for begin in range(1, 18))
    skus = ("FINE", "PACKED", "MANY", "FREE", "TIED", "DEAR", "THIRDS")
    rows = [
        row("1:0.1234567", sku="FINE", unit="each"),
        row(">0:7", sku="PACKED", unit="each", model="package", package=Package(size="6")),
        row(seventeen, sku="MANY", unit="each"),
        row("1:5", sku="FREE", unit="each"),
        row("1:5", sku="TIED", unit="each"),
        row("1:6", sku="TIED", unit="each", of="EQUAL"),
        row("1:6000000000000", sku="DEAR", unit="each"),
        row("1:5", sku="THIRDS", unit="each"),
        row("1:5", sku="BAG", unit="each"),
    ]
    of = columnar(
        *rows,
        lists=(public(), public("EQUAL")),
        skus=(*(SkuFacts(sku=sku) for sku in skus), halves),
        adjustments=(rule("2+1", BuyGetEffect(buy="2", get="1"), layer="line", scope=Scope(skus=("FREE",))),),
        quantity_rules=(QuantityRule(code="ODD", scope=Scope(skus=("THIRDS",)), multiple="0.00000025"),),
    )

    found = swept(of, *(f"6 {sku}" for sku in skus), "6 half BAG", "0 BAG", "1.00000000001 BAG", "NaN BAG", "6 BAG")

    assert found.by_scalar.tolist() == [True] * 11 + [False]
    assert found.line(4).reason == "ambiguous_price"


def test_a_margin_without_unit_rounding_is_left_to_the_scalar_evaluator() -> None:
    of = columnar(
        row("1:10", sku="STOOL"),
        policy=RoundingPolicy(round_unit=False),
        bounds=(Bound(code="M", side=Side.FLOOR, scope=EVERYTHING, limit=MarginLimit(percent="30")),),
        costs=(Cost(sku="STOOL", currency="EUR", cost="8"),),
    )

    found = swept(of, "7 STOOL")

    assert found.by_scalar.all()
    assert (found.unit_prices[0], found.unit_scales[0]) == (80, 7)


def test_a_rule_that_all_lines_share_is_counted_in_as_few_digits_as_it_needs() -> None:
    """10 % off leaves 9 tenths. 90 hundredths of this amount, in 10,000ths of a euro, would not fit into 64 bits."""
    of = columnar(
        row("1:9000", sku="STOOL"),
        adjustments=(rule("TENTH", "10", layer="line"),),
        policy=RoundingPolicy(unit=Rounding(decimals=4)),
    )

    found = swept(of, "1000000000 STOOL")

    assert found.line(0).subtotal == "8100000000000.00"
    assert not found.by_scalar.any()


def test_quantity_rules_are_exact_whatever_their_size() -> None:
    """Their numbers lie beyond 2^53 millionths, where a float has no odd ones, and beyond 64 bits."""
    units = (
        UnitFact(unit="gram", decimals=6),
        UnitFact(unit="low", factor="16", decimals=6),
        UnitFact(unit="high", factor="321", decimals=6),
    )
    limits: dict[str, dict[str, str]] = {
        "LEAST": {"minimum": "9007199254.740993"},
        "MOST": {"maximum": "9007199254.740992"},
        "FAR": {"minimum": "999999999999999999"},
        "EACH": {"maximum": "999999999999999999"},
        "LARGE": {"multiple": "4611686018427.387904"},
        "LARGER": {"multiple": "4611686018427.387905"},
    }
    of = columnar(
        *(row("0.000001:0.01", sku=sku, unit="gram") for sku in limits),
        skus=tuple(SkuFacts(sku=sku, units=units) for sku in limits),
        quantity_rules=tuple(QuantityRule(code=sku, scope=Scope(skus=(sku,)), **said) for sku, said in limits.items()),
    )

    found = swept(
        of,
        "562949953.421312 low LEAST",
        "28059810.762433 high MOST",
        "1000000000 FAR",
        "1.000001 EACH",
        "1 LARGE",
        "1 LARGER",
    )

    assert [found.line(number).reason for number in range(6)] == [
        "quantity_below_minimum",
        "quantity_above_maximum",
        "quantity_below_minimum",
        None,
        "quantity_not_multiple",
        "quantity_not_multiple",
    ]
    assert found.by_scalar.tolist() == [False] * 5 + [True]


def test_skus_under_the_same_quantity_rules_are_checked_together() -> None:
    skus = tuple(SkuFacts(sku=f"S{number}", categories=(f"c{number}",)) for number in range(9))
    of = columnar(
        *(row("1:5", sku=facts.sku, unit="each") for facts in skus),
        skus=skus,
        quantity_rules=(QuantityRule(code="PAIRS", scope=EVERYTHING, multiple="2"),),
    )

    found = swept(of, *(f"{number + 1} {facts.sku}" for number, facts in enumerate(skus)))

    assert (found.reasons == 0).tolist() == [number % 2 == 1 for number in range(9)]
    assert len(of.columns.memo["plans"].checks) == 1


def test_rows_are_found_among_thousands_of_skus() -> None:
    """SKUs at both ends of words of 64 and pages of 512; every second one has a row."""
    skus = tuple(SkuFacts(sku=f"S{number:04}") for number in range(1300))
    rows = [row(f"1:{number + 1}", sku=f"S{number:04}", unit="each") for number in range(0, 1300, 2)]
    of = columnar(*rows, row("1:9", sku="S0003", unit="each", of="NEW"), lists=(public(), public("NEW")), skus=skus)

    found = swept(
        of, *(f"1 S{number:04}" for number in (0, 2, 3, 62, 63, 64, 66, 510, 511, 512, 514, 1022, 1024, 1298))
    )

    assert not found.by_scalar.any()
    assert [place for place, code in enumerate(found.reasons) if code] == [4, 8]


def test_tiers_begin_where_they_say_beyond_the_numbers_a_float_holds() -> None:
    gram = (UnitFact(unit="gram", decimals=6), UnitFact(unit="low", factor="16", decimals=6))
    of = columnar(
        row("1:0.05 9007199254.740993:0.04", sku="OIL", unit="gram"),
        row("1:0.05 9007199254.740992:0.04", sku="TEA", unit="gram"),
        skus=(SkuFacts(sku="OIL", units=gram), SkuFacts(sku="TEA", units=gram)),
    )

    found = swept(of, "562949953.421312 low OIL", "562949953.421312 low TEA")

    assert found.list_prices.tolist() == [5, 4]
    assert not found.by_scalar.any()


@pytest.mark.parametrize("rounds", [True, False])
@pytest.mark.parametrize("bounds", [{"floor": "7 9 8"}, {"ceiling": "5 3 4"}, {"floor": "7 9 8", "ceiling": "5 10 4"}])
def test_of_several_bounds_the_strictest_holds(bounds: dict[str, str], rounds: bool) -> None:
    found_bounds = [
        Bound(
            code=f"{side}-{price}",
            side=Side(side),
            scope=EVERYTHING,
            limit=PriceLimit(prices=(CurrencyPrice(currency="EUR", price=f"{price}.005"),)),
        )
        for side, prices in bounds.items()
        for price in prices.split()
    ]
    of = columnar(
        row("1:6.125", sku="STOOL"),
        row("1:3.333", unit="each"),
        row("1:42", sku="ROPE"),
        bounds=tuple(found_bounds),
        policy=RoundingPolicy(round_unit=rounds),
    )

    assert not swept(
        of, *(f"{count} {sku}" for count in (1, 7) for sku in ("STOOL", CHAIR.sku, "ROPE"))
    ).by_scalar.any()


# --- Numbers and their bounds ---


def ints(*numbers_of: int) -> Ints:
    return np.array(numbers_of, np.int64)


def test_a_bound_of_two_to_the_62_is_kept_and_what_passes_it_is_beyond() -> None:
    one, half, whole = (exact(ints(0, number), 1) for number in (1, LIMIT // 2, LIMIT))

    assert [one.times(LIMIT).top, one.times(ints(0, LIMIT)).top, half.times(2).top] == [LIMIT] * 3
    assert [half.plus(half).top, half.minus(half).top, half.over(2).top] == [LIMIT] * 3
    assert half.plus(half).num.tolist() == [0, LIMIT]
    assert (half.over(2).num.tolist(), half.over(2).den) == ([0, LIMIT], 2)
    assert whole.over(1) is whole.times(10, 10) is whole
    beyond: list[Callable[[], Exact]] = [
        lambda: one.times(LIMIT + 1),
        lambda: one.times(ints(LIMIT + 1, 0)),
        lambda: whole.plus(one),
        lambda: one.minus(whole),
        lambda: whole.over(10),
        lambda: half.plus(exact(ints(1, 1), 10)),
    ]
    for one_of_them in beyond:
        with pytest.raises(Beyond):
            one_of_them()


def test_numbers_over_different_denominators_are_brought_to_the_larger() -> None:
    units, tenths = exact(ints(3, 7), 1), exact(ints(31, 60), 10)

    for found, numbers_of, top in (
        (units.plus(tenths), [61, 130], 130),
        (tenths.plus(units), [61, 130], 130),
        (units.minus(tenths), [-1, 10], 130),
        (tenths.minus(units), [1, -10], 130),
        (units.where(np.array([True, False]), tenths), [31, 70], 70),
        (tenths.where(np.array([True, False]), units), [30, 60], 70),
        (units.times(5, 10), [15, 35], 35),
        (units.times(50, 100), [15, 35], 35),
        (units.times(ints(5, 6), 10), [15, 42], 42),
    ):
        assert (found.num.tolist(), found.den, found.top) == (numbers_of, 10, top)
    assert units.times(20, 10).num.tolist() == [6, 14]
    assert units.times(20, 10).den == 1
    assert [units.below(tenths).tolist(), tenths.below(units).tolist()] == [[True, False], [False, True]]
    assert [units.below(units).tolist(), exact(ints(), 1).top] == [[False, False], 0]


@pytest.mark.parametrize("mode", Mode)
def test_quotients_are_those_of_the_scalar_evaluator(mode: Mode) -> None:
    numerators = list(range(50))
    for den in range(1, 13):
        expected = [divide(number, den, mode) for number in numerators]
        assert divided(ints(*numerators), 49, den, mode).tolist() == expected
        assert divided(ints(*numerators), 49, ints(*[den] * 50), mode).tolist() == expected
    for den, scale in ((1000, 100), (100, 1000), (1000, 30), (100, 100)):
        expected = [divide(number * scale, den, mode) for number in numerators]
        assert rounded(exact(ints(*numerators), den), scale, mode).tolist() == expected
    assert rounded(exact(ints(LIMIT // 6 - 40), 1000), 30, mode).tolist() == [divide(LIMIT // 6 * 3 - 120, 100, mode)]
    with pytest.raises(Beyond):
        rounded(exact(ints(LIMIT // 6), 1000), 30, mode)
    largest = LIMIT // 2 - 4
    dens: tuple[int | Ints, ...] = (4, ints(4, 3))
    for den_of in dens:
        assert divided(ints(largest, 0), largest, den_of, mode).tolist()[0] == divide(largest, 4, mode)
        with pytest.raises(Beyond):
            divided(ints(largest, 0), largest + 1, den_of, mode)
    assert divided(ints(LIMIT), LIMIT, 1, mode).tolist() == [LIMIT]


def lines_by(*values: int, quantity: Ints, quantity_den: int = 1, fee: Exact | None = None) -> Group:
    """Lines of a shape whose numbers are *values*."""
    group = Group(Shape((), (), (), covered=True, by_columns=True), lambda place: values[place], quantity_den)
    group.quantity, group.fee, group.factor = quantity, fee, 1
    return group


def test_amounts_of_units_are_counted_in_base_units_unless_they_pass_two_to_the_62() -> None:
    same, by_line = _amount(-3, 10, 4, 2), _amount(ints(-5, 3), 10, ints(2, 3), 2)

    assert (same.num.tolist(), same.den, same.top) == ([-12, -12], 10, 12)
    assert (by_line.num.tolist(), by_line.den, by_line.top) == ([-10, 9], 10, 15)
    assert [_amount(LIMIT, 1, 1, 1).top, _amount(LIMIT // 2, 1, 2, 1).top, _amount(0, 1, 9, 1).top] == [LIMIT, LIMIT, 0]
    with pytest.raises(Beyond):
        _amount(-LIMIT // 2 - 1, 1, 2, 1)


@pytest.mark.parametrize("known", [True, False, [True, True, False, False] * 2])
@pytest.mark.parametrize("able", [True, False, [True, False] * 4])
def test_the_lower_of_two_outcomes_is_taken_where_both_are_outcomes(
    known: bool | list[bool], able: bool | list[bool]
) -> None:
    def by_line(flags: bool | list[bool]) -> list[bool]:
        return [flags] * 8 if isinstance(flags, bool) else flags

    def flags(of: bool | list[bool]) -> Bools | bool:
        return of if isinstance(of, bool) else np.array(of)

    best, after = exact(ints(*[5] * 8), 1), exact(ints(3, 3, 3, 3, 7, 7, 7, 7), 1)

    lowest, found = _lower(best, flags(known), after, flags(able))

    outcomes = [
        {value for value, is_one in ((one, stood), (other, stands)) if is_one}
        for one, stood, other, stands in zip(best.num, by_line(known), after.num, by_line(able), strict=True)
    ]
    assert np.broadcast_to(found, 8).tolist() == [bool(one) for one in outcomes]
    assert all(number == min(one) for number, one in zip(lowest.num, outcomes, strict=True) if one)
    assert not isinstance(found, bool) or found == (known is True or able is True)


@pytest.mark.parametrize(("mode", "units"), [(Mode.UP, [13, 4]), (Mode.DOWN, [12, 3])])
def test_rounded_units_have_a_bound_that_none_passes(mode: Mode, units: list[int]) -> None:
    policy = Policy(100, mode, 100, Mode.UP, line_limit=10**15, round_unit=True)
    floor, ceiling = _Bounding(True, ints(15, 2), 15, 100), _Bounding(False, ints(2, 2), 2, 100)

    for bounds, numbers_of, top, crossed in (
        ([], units, 13, False),
        ([floor], [15, units[1]], 15, False),
        ([ceiling], [2, 2], 13, False),
        ([ceiling, floor], [15, 2], 15, True),
    ):
        found, did_cross = _bounded_unit(exact(ints(125, 35), 1000), policy, bounds)
        assert (found.num.tolist(), found.den, found.top, did_cross) == (numbers_of, 100, top, crossed)


def test_bounds_are_rounded_inward_to_the_grid_unless_they_pass_two_to_the_62() -> None:
    def grid(number: int, den: int | Ints, scale: int, *, floor: bool = True, top: int | None = None) -> int:
        bound = _Bounding(floor, ints(number), number if top is None else top, den)
        return int(_on_grid(bound, scale)[0])

    assert [grid(10, 3, 1), grid(10, 3, 1, floor=False)] == [4, 3]
    assert [grid(10, 30, 10), grid(10, ints(30), 10, floor=False)] == [4, 3]
    assert [grid(10, 4, 100), grid(10, 100, 4), grid(25, 100, 4)] == [250, 1, 1]
    assert [grid(LIMIT, 100, 100), grid(LIMIT // 2, 1, 2), grid(LIMIT // 2 - 6, 3, 1)] == [LIMIT, LIMIT, LIMIT // 6 - 1]
    for number, den, scale, top in (
        (LIMIT + 1, 1, 1, LIMIT + 1),
        (1, 1, 2, LIMIT // 2 + 1),
        (1, 3, 4, LIMIT // 8),
        (1, 3, 1, LIMIT // 2),
    ):
        with pytest.raises(Beyond):
            grid(number, den, scale, top=top)


def test_bounds_of_units_become_bounds_of_lines_with_their_fees() -> None:
    plain, same = _Bounding(True, ints(3, 4), 4, 7), _Bounding(True, ints(3, 4), 4, ints(7, 9))
    quantity, fee = ints(25, 30), exact(ints(5, 6), 100)

    line = _extended(plain, lines_by(quantity=quantity, quantity_den=10))
    assert (line.floor, line.num.tolist(), line.top, line.den) == (True, [75, 120], 120, 70)
    line = _extended(plain, lines_by(quantity=quantity, quantity_den=10, fee=fee))
    assert (line.num.tolist(), line.top, line.den) == ([7850, 12420], 12420, 7000)
    line = _extended(same, lines_by(quantity=quantity, quantity_den=10, fee=fee))
    assert (line.num.tolist(), line.top) == ([7850, 12540], 12540)
    assert np.array_equal(line.den, ints(7000, 9000))


@pytest.mark.parametrize(
    ("top", "den", "quantity", "fee", "fits"),
    [
        (LIMIT, 1, 1, None, True),
        (LIMIT, 1, 2, None, False),
        (1, LIMIT, 1, None, True),
        (1, LIMIT + 1, 1, None, False),
        (LIMIT - 1, 1, 1, (1, 1), True),
        (LIMIT, 1, 1, (1, 1), False),
        (0, LIMIT // 2, 1, (0, 2), True),
        (0, LIMIT // 2 + 1, 1, (0, 2), False),
        (LIMIT // 2, 1, 1, (0, 2), True),
        (LIMIT // 2, 1, 1, (1, 2), False),
    ],
)
def test_bounds_of_lines_are_beyond_where_they_pass_two_to_the_62(
    top: int, den: int, quantity: int, fee: tuple[int, int] | None, fits: bool
) -> None:
    group = lines_by(quantity=ints(quantity), fee=None if fee is None else exact(ints(fee[0]), fee[1]))

    try:
        _extended(_Bounding(True, ints(0), top, den), group)
    except Beyond:
        assert not fits
    else:
        assert fits


def test_a_margin_divides_by_up_to_two_to_the_62() -> None:
    by_margin = BoundShape(floor=True, den=0)
    for over, fits in ((LIMIT, True), (LIMIT + 1, False)):
        group = lines_by(1, over, quantity=ints(1))
        group.cost = exact(ints(5), 1)
        if fits:
            assert _bound(by_margin, group).den == LIMIT
        else:
            with pytest.raises(Beyond):
                _bound(by_margin, group)


def test_rules_whose_numbers_alone_differ_have_one_shape() -> None:
    """5 % and 12 % leave hundredths; 2.5 % and 1.25 % leave ten thousandths."""
    skus = tuple(SkuFacts(sku=f"S{number}", categories=(f"c{number}",)) for number in range(4))
    of = columnar(
        *(row("1:5.55", sku=facts.sku, unit="each") for facts in skus),
        skus=skus,
        adjustments=tuple(
            rule(f"R{number}", percent, scope=Scope(categories=(f"c{number}",)))
            for number, percent in enumerate(("5", "12", "2.5", "1.25"))
        ),
    )

    assert not swept(of, *(f"7 {facts.sku}" for facts in skus)).by_scalar.any()
    assert len(of.columns.memo["plans"].shapes) == 2


def test_a_rule_that_never_acts_need_not_be_one_of_the_columns() -> None:
    free = rule("FREE", BuyGetEffect(buy="2", get="1"), layer="line")

    for first, left in (("OFF", False), ("SOMETIMES", True)):
        conditions = Conditions() if first == "OFF" else in_euro(min_quantity="5")
        off = rule(first, "10", layer="line", priority=1, conditions=conditions)
        assert swept(columnar(row("1:5", sku="STOOL"), adjustments=(off, free)), "3 STOOL").by_scalar.all() == left


def test_a_rule_of_another_currency_never_acts() -> None:
    of = columnar(
        row("1:5", sku="STOOL"),
        adjustments=(
            rule("DOLLARS", "50", conditions=Conditions(currencies=("USD",)), priority=1),
            rule("SWISS", "40", conditions=Conditions(countries=("CH",)), priority=1),
            rule("ALL", "10"),
        ),
    )

    found = swept(of, "2 STOOL")

    assert found.line(0).unit_price == "4.50"
    assert not found.by_scalar.any()


def test_of_rules_of_equal_priority_the_one_that_gives_the_lower_price_acts() -> None:
    of = columnar(
        row("1:5", sku="STOOL"),
        row("1:20"),
        adjustments=(
            rule("TENTH", "10", priority=2),
            rule("ONE", AmountEffect(amount="1"), conditions=in_euro(), priority=2),
            rule("HALF", "50", conditions=in_euro(min_quantity="7"), priority=2),
            rule("MOST", "90", priority=1),
        ),
    )

    found = swept(of, *(f"{count} {sku}" for count in (2, 7) for sku in ("STOOL", "CRUNCHY-ARMCHAIR")))

    assert [found.line(number).unit_price for number in range(4)] == ["4.00", "18.00", "2.50", "10.00"]
    assert not found.by_scalar.any()


def test_a_group_that_picks_the_lowest_pays_no_heed_to_priority() -> None:
    of = columnar(
        row("1:20", sku="STOOL"),
        layers=(layer("unit", pick="lowest"), layer("line"), layer("order")),
        adjustments=(rule("TENTH", "10", priority=2), rule("HALF", "50", priority=1)),
    )

    found = swept(of, "1 STOOL")

    assert found.line(0).unit_price == "10.00"
    assert not found.by_scalar.any()


@pytest.mark.parametrize("steps", ["1.0000005", "1.0000015", "1.000001"])
def test_steps_of_quantity_tables_finer_than_millionths_are_reached_where_they_lie(steps: str) -> None:
    of = columnar(
        row("0:5", sku="NAIL", unit="gram"),
        skus=(SkuFacts(sku="NAIL", units=(UnitFact(unit="gram", decimals=6),)),),
        adjustments=(
            rule("TABLE", QuantityTableEffect(steps=tuple(PercentStep(from_=one, percent="9") for one in [steps]))),
        ),
    )

    assert not swept(of, "1 NAIL", "1.000001 NAIL", "1.000002 NAIL").by_scalar.any()


def test_the_largest_amount_of_a_line_is_ten_to_the_13_and_not_one_unit_more() -> None:
    cents = columnar(row("1:100000", sku="STOOL"), row("1:196456.51"))
    finer = RoundingPolicy(unit=Rounding(decimals=4), line=Rounding(decimals=4))
    parts = columnar(row("1:2199383.3369", sku="STOOL"), policy=finer)

    assert swept(cents, "100000000 STOOL").line(0).subtotal == "10000000000000.00"
    # 10^15 + 1 and 10^17 + 1; where units are not rounded, the bound of the amounts is the amount
    whole = RoundingPolicy(round_unit=False)
    fine = RoundingPolicy(line=Rounding(decimals=4), round_unit=False)
    for of, line in (
        (cents, "50901851 CRUNCHY-ARMCHAIR"),
        (parts, "4546729 STOOL"),
        (columnar(row("1:196456.51"), policy=whole), "50901851 CRUNCHY-ARMCHAIR"),
        (columnar(row("1:2199383.3369", sku="STOOL"), policy=fine), "4546729 STOOL"),
    ):
        found = swept(of, line)
        assert found.line(0).reason == "amount_too_large"
        assert not found.by_scalar.any()


def test_bounds_hold_for_lines_as_for_units() -> None:
    def bounds(floor: str, ceiling: str) -> tuple[Bound, ...]:
        return tuple(
            Bound(
                code=side,
                side=Side(side),
                scope=EVERYTHING,
                limit=PriceLimit(prices=(CurrencyPrice(currency="EUR", price=price),)),
            )
            for side, price in (("floor", floor), ("ceiling", ceiling))
        )

    discount = rule("TENTH", "10", layer="line")
    lines = [f"{count} STOOL" for count in (1, 7, 10, 1000)]
    for base, said, adjustments in (
        ("10", ("9.5", "99"), (discount,)),
        ("10", ("9.5", "99"), (rule("LESS", AmountEffect(amount="5"), conditions=in_euro(), layer="line"),)),
        ("10", ("1", "8.005"), (discount,)),
        ("10", ("1", "8.5"), (rule("MORE", PercentEffect(percent="10", surcharge=True), layer="line"),)),
        ("10", ("1.001", "1.0005"), ()),
        ("0.5", ("1.001", "1.0005"), ()),
        ("10", ("1.0015", "1.0005"), (discount,)),
    ):
        found = swept(columnar(row(f"1:{base}", sku="STOOL"), bounds=bounds(*said), adjustments=adjustments), *lines)
        assert not found.by_scalar.any()


def test_limits_of_rules_are_exact_and_fit_into_two_to_the_62() -> None:
    def of(**limit: str) -> ColumnarBook:
        conditions = in_euro(**limit)
        return columnar(
            row("0:5", sku="NAIL", unit="gram"),
            skus=(SkuFacts(sku="NAIL", units=(UnitFact(unit="gram", decimals=6),)),),
            adjustments=(rule("LARGE", "10", layer="line", conditions=conditions),),
        )

    fine, whole = ("1 NAIL", "1.000001 NAIL", "9999.999999 NAIL"), ("1 NAIL", "7 NAIL")
    for name, bound, lines, by_columns in (
        ("min_line_amount", "46116860184273879.04", whole, True),
        ("min_line_amount", "46116860184273879.05", whole, False),
        ("max_quantity", "4611686018427.387904", fine, True),
        ("max_quantity", "4611686018427.387905", fine, False),
        ("min_quantity", "1.0000005", fine, True),
        ("max_quantity", "1.0000005", fine, True),
    ):
        assert swept(of(**{name: bound}), *lines).by_scalar.any() != by_columns, bound


# --- Refusals ---


TIES = {
    # what TOP, ONE, TWO and LOW ask; whether they tie by rank and by amount, for Globex, who may buy at TOP, and others
    "A": ("5 6 7 8", "- rank", "- -"),
    "B": ("- 5 5 -", "rank rank", "amount amount"),
    "C": ("- 5 - -", "- -", "- -"),
    "D": ("- - 5 -", "- -", "- -"),
    "E": ("7 6 6 -", "- rank", "amount amount"),
    "F": ("5 6 6 -", "- rank", "- amount"),
    "G": ("- 6 6 5", "rank rank", "- -"),
    "H": ("6 6 - 6", "- -", "- -"),
    "I": ("4 - 5 4", "- -", "- -"),
    "J": ("- 6 5 -", "rank rank", "- -"),
    "K": ("36028797018.963969 36028797018.963968 - -", "- -", "- -"),
}


@pytest.mark.parametrize(("strategy", "tied_by"), [("most_specific", "rank"), ("lowest", "amount")])
def test_lists_that_tie_are_left_to_the_scalar_evaluator_and_no_others_are(strategy: str, tied_by: str) -> None:
    trade = Audience(segments=("trade",))
    lists = (public("TOP", priority=2, audience=trade), public("ONE"), public("TWO"), public("LOW", priority=-1))
    of = columnar(
        *(
            row(f"1:{price}", sku=sku, of=noun.code, unit="each")
            for sku, (prices, _, _) in TIES.items()
            for noun, price in zip(lists, prices.split(), strict=True)
            if price != "-"
        ),
        lists=lists,
        skus=tuple(SkuFacts(sku=sku) for sku in TIES),
        strategy=Strategy(strategy),
    )
    lines = [f"3 {sku}" for sku in TIES]

    both = swept(of, *lines, *lines, buyers=(GLOBEX, ACME), buyer_of=[0] * len(lines) + [1] * len(lines))

    by = [(by_rank if tied_by == "rank" else by_amount).split() for _, by_rank, by_amount in TIES.values()]
    expected = [globex == tied_by for globex, _ in by], [acme == tied_by for _, acme in by]
    assert both.by_scalar.tolist() == expected[0] + expected[1]
    assert swept(of, *lines, buyers=(GLOBEX,)).by_scalar.tolist() == expected[0]
    assert swept(of, *lines).by_scalar.tolist() == expected[1]


def test_the_first_row_of_a_book_may_tie_too() -> None:
    rows = row("1:5", sku="STOOL"), row("1:5", sku="STOOL", of="EQUAL")

    assert swept(columnar(*rows, lists=(public(), public("EQUAL"))), "3 STOOL").by_scalar.all()


def test_the_lowest_of_prices_with_tax_and_without_is_found_by_the_scalar_evaluator() -> None:
    trade = Audience(segments=("trade",))
    of = columnar(
        row("1:10", sku="STOOL"),
        row("1:9", sku="STOOL", of="TILL"),
        row("1:8", sku="STOOL", of="LATER"),
        lists=(public(), public("TILL", audience=trade, tax_included=True), public("LATER", starts_at=NOW)),
        strategy=Strategy.LOWEST,
    )

    found = swept(of, *["3 STOOL"] * 3, buyers=(ACME, GLOBEX, GUEST), buyer_of=[0, 1, 2], tax=VAT)

    assert found.by_scalar.tolist() == [False, True, False]
    assert not swept(of, "3 STOOL", "4 STOOL", tax=VAT).by_scalar.any()
    # the first buyer has the one list, the second both
    of = columnar(
        row("1:10", sku="STOOL", of="TILL"),
        row("1:9.5", sku="STOOL", of="TRADE"),
        lists=(public("TILL", tax_included=True), public("TRADE", audience=trade)),
        strategy=Strategy.LOWEST,
    )
    found = swept(of, *["3 STOOL"] * 2, buyers=(GUEST, GLOBEX), buyer_of=[0, 1], tax=VAT)
    assert [found.line(number).list for number in range(2)] == ["TILL", "TILL"]
    assert found.by_scalar.all()


@pytest.mark.parametrize("fees", [("", "", ""), ("+40", "", "+1"), ("", "+0.5", "+40"), ("", "+9", "")])
def test_the_lowest_of_slices_and_of_whole_prices_is_exact_whatever_their_fees(fees: tuple[str, str, str]) -> None:
    """Slices begin between whole quantities, so that their amounts have more decimals than the others'."""
    one, two, sliced = fees
    of = columnar(
        row(f"0:3{one} 10:2.5{one}", sku="ROPE"),
        row(f"0:2.75{two}", sku="ROPE", of="TWO"),
        row(f">0:4 >0.5:2.5{sliced} >20:1", sku="ROPE", of="SLICED", model="graduated"),
        row(">0:4 >0.5:2", of="SLICED", model="graduated"),
        row("1:2.9", of="TWO"),
        lists=(public("SLICED"), public("TWO", priority=1), public(priority=2)),
        strategy=Strategy.LOWEST,
    )
    lines = [f"{count} {sku}" for count in (1, 2, 9, 10, 21, 40, 99) for sku in ("ROPE", "CRUNCHY-ARMCHAIR")]

    assert not swept(of, *lines).by_scalar.any()
    assert not swept(of, "0.25 ROPE", "0.5 ROPE", "0.75 ROPE").by_scalar.any()
    assert not swept(of, "7 ROPE", "8 ROPE").by_scalar.any()


def test_slices_begin_where_they_say_beyond_the_numbers_a_float_holds() -> None:
    """The second begins at an odd count of millionths above 2^53: a float would round it to whole thousandths."""
    of = columnar(
        row(">0:0 >9007199254.741001:200", sku="OIL", unit="litre", model="graduated"),
        skus=(SkuFacts(sku="OIL", units=(UnitFact(unit="litre"), UnitFact(unit="drum", factor="20"))),),
        policy=RoundingPolicy(line=Rounding(mode=Mode.FLOOR)),
    )

    found = swept(of, "450359963 drum OIL")

    assert found.line(0).subtotal == "1051.79"  # 200 times 5.258999
    assert not found.by_scalar.any()


def test_each_reason_of_a_refusal_is_the_quotes() -> None:
    of = columnar(
        row("5:10", sku="STOOL"),
        row("1:1000000000", sku="TABLE", unit="each"),
        row("1:4", sku="ROPE", starts_at=NOW + DAY),
        row("1:4", unit="box", ends_at=NOW),
        row("1:4", sku="SHELF", unit="each"),
        row("1:4", sku="LAMP", unit="each"),
        skus=(CHAIR, ROPE, STOOL, TABLE, SkuFacts(sku="SHELF"), SkuFacts(sku="LAMP"), SkuFacts(sku="NEW")),
        bounds=(
            Bound(code="M", side=Side.FLOOR, scope=Scope(skus=("SHELF",)), limit=MarginLimit(percent="30")),
            Bound(
                code="USD",
                side=Side.FLOOR,
                scope=Scope(skus=("LAMP",)),
                limit=PriceLimit(prices=(CurrencyPrice(currency="USD", price="1"),)),
            ),
        ),
        quantity_rules=(
            QuantityRule(code="Q", scope=Scope(skus=("STOOL",)), minimum="2", maximum="20", multiple="2"),
            QuantityRule(code="DOZENS", scope=Scope(skus=("STOOL",)), unit="dozen", minimum="1000"),
        ),
    )
    cases = {
        "-1 STOOL": "quantity_negative",
        "1 GHOST": "unknown_sku",
        "1 dozen STOOL": "unknown_unit",
        "1.5 STOOL": "quantity_too_fine",
        "1000000001 TABLE": "quantity_too_large",
        "1 STOOL": "quantity_below_minimum",
        "22 STOOL": "quantity_above_maximum",
        "7 STOOL": "quantity_not_multiple",
        "4 STOOL": "quantity_not_priced",
        "1 NEW": "no_price_in_currency",
        "1 SHELF": "bound_not_covered",
        "1 LAMP": "bound_not_covered",
        "1000000000 TABLE": "amount_too_large",
        "1 ROPE": "not_priced_yet",
        "1 box CRUNCHY-ARMCHAIR": "no_longer_priced",
        "x STOOL": "quantity_malformed",
        "x GHOST": "quantity_malformed",
        "x dozen STOOL": "quantity_malformed",
    }

    found = swept(of, *cases)

    assert [REASONS[code] for code in found.reasons] == list(cases.values())
    for one, reason in cases.items():  # alone too, where no other line has already parted the block
        assert swept(of, one).line(0).reason == reason
    assert swept(of, "6 STOOL", currency="USD").line(0).reason == "no_price_in_currency"


def test_why_no_row_prices_a_line_is_said_as_the_quote_says_it() -> None:
    """A row that needs more, begins later or has ended, in lists that are valid, begin later or have ended."""
    lists = (
        public(),
        public("LATER", priority=1, starts_at=NOW + DAY),
        public("ENDED", priority=2, ends_at=NOW),
        public("BOTH", priority=3),
    )
    dice, later, ended = Dice(5), {"starts_at": NOW + DAY}, {"ends_at": NOW}
    skus = tuple(msgspec.structs.replace(CHAIR, sku=f"S{number}") for number in range(150))
    rows = [
        row("50:1", sku=facts.sku, of=noun.code, unit=unit, **window)
        for facts in skus
        for noun in lists
        for unit in ("each", "box")
        for window in dice.one([], [], [], [], [{}], [later], [ended], [later, ended])
    ]
    of = columnar(*rows, lists=lists, skus=skus)

    found = swept(of, *(f"2 {unit}{facts.sku}" for facts in skus for unit in ("", "box ")))

    counts = {reason: int((found.reasons == number).sum()) for number, reason in enumerate(REASONS)}
    asked_of = ("quantity_not_priced", "not_priced_yet", "no_longer_priced", "no_price_in_currency")
    assert min(counts[reason] for reason in asked_of) > 5
    assert found.by_scalar.sum() < len(found) / 4


def test_a_row_that_needs_more_now_and_begins_anew_later_is_left_to_the_scalar_evaluator() -> None:
    """Of one list's rows the last in the book's order has the word, and columns do not keep that order."""
    now, later = row("5:10", sku="STOOL", ends_at=NOW + DAY), row("5:9", sku="STOOL", starts_at=NOW + DAY)

    for rows in ((now, later), (later, now)):
        assert swept(columnar(*rows), "1 STOOL").by_scalar.all()


def test_a_currency_that_is_none_prices_nothing() -> None:
    found = swept(ordinary(), "1 STOOL", "1 GHOST", currency="ZZZ")

    assert found.line(1).reason == "no_price_in_currency"
    assert found.decimals == 0


def test_a_list_that_includes_tax_needs_its_rate() -> None:
    free = SkuFacts(sku="FREE", tax_category="free")
    rows = [row("1:119.99", sku="STOOL"), row("1:10", sku="FREE", unit="each"), row("1:5", sku="ROPE", of="NET")]
    of = columnar(
        *rows,
        lists=(public(tax_included=True), public("NET")),
        skus=(CHAIR, ROPE, STOOL, free),
        bounds=(
            Bound(
                code="F",
                side=Side.FLOOR,
                scope=Scope(skus=("STOOL",)),
                limit=PriceLimit(prices=(CurrencyPrice(currency="EUR", price="100.001"),)),
            ),
        ),
        adjustments=(rule("LARGE", "10", layer="line", conditions=in_euro(min_line_amount="1000")),),
    )
    odd = TaxInput(rates=(TaxRate(category="standard", percent="7.125"), TaxRate(category="free", percent="1001")))
    edges = TaxInput(rates=(TaxRate(category="standard", percent="1000"), TaxRate(category="free", percent="0")))
    lines = [f"{count} STOOL" for count in range(1, 20)] + ["1 FREE", "1 ROPE"]

    assert swept(of, *lines).line(0).reason == "tax_needed"
    assert swept(of, "1 STOOL").line(0).reason == "tax_needed"
    assert swept(of, "1 ROPE", tax=TaxInput(rates=())).line(0).reason == "tax_rate_unknown"
    assert (
        swept(columnar(row("1:5", sku="ROPE")), "1 ROPE", tax=TaxInput(rates=())).line(0).reason == "tax_rate_unknown"
    )
    assert not swept(of, *lines, tax=VAT).by_scalar.any()
    assert swept(of, *lines, tax=odd).line(19).reason == "tax_rate_unknown"
    assert not swept(of, *lines, tax=edges).reasons[:20].any()
    assert swept(of, *lines, tax=under("exempt")).line(20).reason is None


def test_margins_of_prices_with_tax_are_on_what_is_left_without_it() -> None:
    free = SkuFacts(sku="FREE", tax_category="free")
    of = columnar(
        row("1:10", sku="STOOL"),
        row("1:13", sku="FREE", unit="each"),
        row("1:20"),
        row("1:9.999", unit="box"),
        lists=(public(tax_included=True),),
        skus=(CHAIR, STOOL, free),
        bounds=(
            Bound(code="LEAST", side=Side.FLOOR, scope=EVERYTHING, limit=MarginLimit(percent="30")),
            Bound(code="MOST", side=Side.CEILING, scope=EVERYTHING, limit=MarginLimit(percent="45")),
        ),
        costs=tuple(Cost(sku=sku, currency="EUR", cost="8.125") for sku in ("STOOL", "FREE", CHAIR.sku)),
    )
    tax = TaxInput(rates=(TaxRate(category="standard", percent="7.125"), TaxRate(category="free", percent="0")))

    found = swept(of, "3 STOOL", "3 FREE", "3 CRUNCHY-ARMCHAIR", "2 box CRUNCHY-ARMCHAIR", tax=tax)

    assert not found.by_scalar.any()
    # 8.125 / 0.7, with and without tax; 8.125 / 0.55 with tax
    assert [found.line(number).unit_price for number in range(3)] == ["12.44", "13.00", "15.82"]


def test_rates_of_differing_decimals_are_taken_off_alike() -> None:
    floor = PriceLimit(prices=(CurrencyPrice(currency="EUR", price="10"),))
    of = columnar(
        row("1:1", sku="STOOL"),
        row("1:1", sku="ROPE"),
        lists=(public(tax_included=True),),
        bounds=(Bound(code="LEAST", side=Side.FLOOR, scope=EVERYTHING, limit=floor),),
    )
    tax = TaxInput(rates=(TaxRate(category="standard", percent="19"), TaxRate(category="reduced", percent="7.5")))

    found = swept(of, "1 STOOL", "1 ROPE", tax=tax)

    assert [found.line(number).unit_price for number in range(2)] == ["11.90", "10.75"]
    assert not found.by_scalar.any()


def test_margins_that_differ_by_scope_are_exact_beyond_the_numbers_a_float_holds() -> None:
    """101748226 / 0.6286421 is 161853980.19 and a part of a cent that a float does not see."""
    of = columnar(
        row("1:1", sku="STOOL"),
        row("1:1"),
        bounds=tuple(
            Bound(code=sku, side=Side.FLOOR, scope=Scope(skus=(sku,)), limit=MarginLimit(percent=percent))
            for sku, percent in (("STOOL", "37.13579"), (CHAIR.sku, "20"))
        ),
        costs=tuple(
            Cost(sku=sku, currency="EUR", cost=cost) for sku, cost in (("STOOL", "101748226"), (CHAIR.sku, "8"))
        ),
    )

    found = swept(of, "1 STOOL", "1 CRUNCHY-ARMCHAIR")

    assert [found.line(number).unit_price for number in range(2)] == ["161853980.20", "10.00"]
    assert not found.by_scalar.any()


@pytest.mark.parametrize("model", ["volume", "graduated"])
@pytest.mark.parametrize("tax_included", [True, False])
def test_lines_that_are_parted_keep_how_their_rows_price(model: str, tax_included: bool) -> None:
    """By what their cost is and by whether they fit into 64 bits, among lines of other rules."""
    costs = {"A": "3", "B": "4.0000001", "C": None, "D": "5", "OTHER": None}
    bounded = Scope(skus=("A", "B", "C", "D"))
    of = columnar(
        *(row(">0:7 >2:6 >50:5.5", sku=sku, unit="each", model=model) for sku in costs),
        row(">0:999999999999.999999 >2:999999999999.999998", sku="DEAR", unit="each", model=model),
        lists=(public(tax_included=tax_included),),
        skus=tuple(SkuFacts(sku=sku) for sku in (*costs, "DEAR")),
        bounds=(Bound(code="M", side=Side.FLOOR, scope=bounded, limit=MarginLimit(percent="30")),),
        costs=tuple(Cost(sku=sku, currency="EUR", cost=cost) for sku, cost in costs.items() if cost is not None),
    )

    found = swept(of, "3 OTHER", "3 A", "3 B", "3 C", "3 D", "60 OTHER", "60 A", "60 B", "60 C", tax=VAT)
    assert found.by_scalar.tolist() == [False, False, True, False, False, False, False, True, False]
    found = swept(of, *["3 OTHER", "1000000 DEAR"] * 32, tax=VAT)
    assert found.by_scalar.tolist() == [False, True] * 32


def test_lines_of_one_scope_part_by_what_their_cost_is() -> None:
    costs = {"A": "3", "B": "4.0000001", "C": None, "D": "5", "E": "0"}
    of = columnar(
        *(row("1:5", sku=sku, unit="each") for sku in costs),
        skus=tuple(SkuFacts(sku=sku) for sku in costs),
        bounds=(Bound(code="M", side=Side.FLOOR, scope=EVERYTHING, limit=MarginLimit(percent="30")),),
        costs=tuple(Cost(sku=sku, currency="EUR", cost=cost) for sku, cost in costs.items() if cost is not None),
    )

    assert swept(of, "3 A", "3 B", "3 C", "3 D", "3 E").by_scalar.tolist() == [False, True, False, False, False]
    assert swept(of, "3 C").line(0).reason == "bound_not_covered"
    assert swept(of, "3 A", "1 GHOST", "3 C", "3 D").line(3).unit_price == "7.15"


def test_one_shape_has_as_many_plans_as_scopes() -> None:
    """Margins, percentages and conditions that differ by scope go through the phases together."""
    skus = tuple(SkuFacts(sku=f"S{number}", categories=(f"c{number}",)) for number in range(5))
    scopes = [Scope(categories=(f"c{number}",)) for number in range(5)]
    of = columnar(
        *(row("1:5.55 20:4.44", sku=facts.sku, unit="each") for facts in skus),
        skus=skus,
        adjustments=tuple(
            rule(f"R{number}", str(10 + number), scope=scope, conditions=in_euro(min_quantity=str(number + 5)))
            for number, scope in enumerate(scopes)
        ),
        bounds=tuple(
            Bound(code=f"B{number}", side=Side.FLOOR, scope=scope, limit=MarginLimit(percent=f"{number + 1}1.5"))
            for number, scope in enumerate(scopes)
        ),
        costs=tuple(Cost(sku=facts.sku, currency="EUR", cost="2.95") for facts in skus),
    )

    found = swept(of, *(f"{count} {facts.sku}" for facts in skus for count in (1, 5, 7, 9, 19, 20, 40)))

    assert not found.by_scalar.any()
    assert len(of.columns.memo["plans"].shapes) == 1


def test_amounts_and_prices_that_differ_by_scope_count_base_units() -> None:
    skus = tuple(msgspec.structs.replace(CHAIR, sku=f"S{number}", categories=(f"c{number}",)) for number in range(3))
    of = columnar(
        *(row("1:60", sku=facts.sku, unit="box") for facts in skus),
        skus=skus,
        adjustments=tuple(
            rule(
                f"R{number}",
                AmountEffect(amount=f"0.1{number + 1}"),
                scope=Scope(categories=(f"c{number}",)),
                conditions=in_euro(),
            )
            for number in range(3)
        ),
    )

    found = swept(of, *(f"2 box {facts.sku}" for facts in skus))

    assert [found.line(number).unit_price for number in range(3)] == ["58.68", "58.56", "58.44"]
    assert not found.by_scalar.any()


def test_the_first_of_a_group_acts_whatever_stands_behind_it() -> None:
    of = columnar(
        row("1:5", sku="STOOL"),
        row(">0:5", sku="ROPE", model="graduated"),
        adjustments=(
            rule("LESS", AmountEffect(amount="1"), conditions=in_euro(), priority=1),
            rule("OFF", "50"),
            rule("NEVER", "60", priority=-1),
        ),
    )

    found = swept(of, "3 STOOL", "3 ROPE")

    assert (found.line(0).subtotal, found.line(1).subtotal) == ("12.00", "7.50")
    assert not found.by_scalar.any()


def test_a_layer_whose_rules_have_ended_leaves_the_next_to_act() -> None:
    of = columnar(
        row("1:5", sku="STOOL"),
        layers=(layer("unit"), layer("unit", code="next"), layer("line")),
        adjustments=(rule("OVER", "50", ends_at=NOW), rule("TENTH", "10", layer="next")),
    )

    found = swept(of, "2 STOOL")

    assert found.line(0).unit_price == "4.50"
    assert not found.by_scalar.any()


def test_a_group_that_cannot_act_on_slices_leaves_the_next_to_act() -> None:
    of = columnar(
        row(">0:5 >2:4", sku="ROPE", model="graduated"),
        layers=(layer("unit", "first", "second", "third"), layer("line")),
        adjustments=(
            rule("LESS", AmountEffect(amount="1"), conditions=in_euro()),
            rule("HALF", "50", group="second"),
            rule("FIFTH", "20", group="third", conditions=in_euro(min_quantity="3")),
        ),
    )

    found = swept(of, "1 ROPE", "3 ROPE", "10 ROPE")

    assert [found.line(number).subtotal for number in range(3)] == ["2.50", "5.60", "16.80"]
    assert not found.by_scalar.any()


def test_of_a_group_the_first_that_can_act_does_and_where_none_can_none_does() -> None:
    ten, five = in_euro(min_quantity="10"), in_euro(min_quantity="5")
    half, tenth = rule("HALF", "50", conditions=ten, priority=2), rule("TENTH", "10", conditions=five, priority=1)
    lines = [f"{count} STOOL" for count in (1, 4, 5, 9, 10, 20)]

    for adjustments, prices in (
        ((half, tenth), ["4.00", "4.00", "3.60", "3.60", "2.00", "2.00"]),
        ((half, tenth, rule("LAST", "1")), ["3.96", "3.96", "3.60", "3.60", "2.00", "2.00"]),
        ((half, rule("LAST", "1")), ["3.96", "3.96", "3.96", "3.96", "2.00", "2.00"]),
    ):
        found = swept(columnar(row("1:4", sku="STOOL"), adjustments=adjustments), *lines)
        assert [found.line(number).unit_price for number in range(6)] == prices
        assert not found.by_scalar.any()


@pytest.mark.parametrize(
    ("adjustment", "bound", "line"),
    [
        (rule("FINE", AmountEffect(amount="9999999.000000000001"), conditions=in_euro()), None, "1 STOOL"),
        (
            rule("LARGE", AmountEffect(amount="999999999999999999", surcharge=True), conditions=in_euro()),
            None,
            "1 box CRUNCHY-ARMCHAIR",
        ),
        (rule("OFF", "1"), MarginLimit(percent="12.123456789012"), "1 STOOL"),
        (rule("OFF", "1"), MarginLimit(percent="-999999999999999999.999999999999"), "1 STOOL"),
        (
            rule("OFF", "1"),
            PriceLimit(prices=(CurrencyPrice(currency="EUR", price="99999999999999999"),)),
            "1 STOOL",
        ),
    ],
)
def test_rules_with_numbers_beyond_64_bits_are_left_to_the_scalar_evaluator(
    adjustment: Adjustment, bound: Any, line: str
) -> None:
    of = columnar(
        row("1:5", sku="STOOL"),
        row("1:5", unit="box"),
        adjustments=(adjustment,),
        bounds=() if bound is None else (Bound(code="B", side=Side.FLOOR, scope=EVERYTHING, limit=bound),),
        costs=(Cost(sku="STOOL", currency="EUR", cost="1.000001"),),
    )

    assert swept(of, line).by_scalar.all()


def test_a_currency_without_decimals_has_none() -> None:
    of = columnar(row("1:120", sku="STOOL"), lists=(public(currency="JPY"),))

    assert swept(of, "3 STOOL", currency="JPY").line(0) == SweptLine(
        subtotal="360", unit_price="120", list_price="120", list="LIST"
    )


def test_a_book_of_one_kind_of_sku_may_include_tax() -> None:
    of = columnar(
        row("1:119", sku="STOOL"),
        lists=(public(tax_included=True),),
        skus=(STOOL,),
        adjustments=(rule("LARGE", "10", layer="line", conditions=in_euro(min_line_amount="1000")),),
    )

    found = swept(of, "9 STOOL", "10 STOOL", tax=VAT)

    assert [found.line(number).subtotal for number in (0, 1)] == ["1071.00", "1071.00"]


def test_units_of_which_every_line_has_its_own_row() -> None:
    of = columnar(row("1:119", unit="box"), row(">0:3 >2:2", sku="ROPE", model="graduated"))

    assert not swept(of, "9 box CRUNCHY-ARMCHAIR", "1 box CRUNCHY-ARMCHAIR").by_scalar.any()
    assert swept(of, "9 ROPE").line(0).subtotal == "20.00"


# --- Shapes of the question ---


def test_lines_of_requests_are_arrays_of_codes_and_millionths() -> None:
    columns = ordinary().columns

    plain = lines_of(columns, [asked("1.5 STOOL"), asked("2 GHOST")], currency="EUR", buyers=(ACME,))
    boxes = lines_of(
        columns, [asked("1 STOOL"), asked("2 box STOOL"), asked("x STOOL")], currency="EUR", buyers=(ACME,)
    )

    assert (plain.skus.tolist(), plain.quantities.tolist(), plain.units, plain.said) == (
        [2, -1],
        [1_500_000, 2_000_000],
        None,
        {},
    )
    assert plain.quantities.dtype == np.int64
    long = lines_of(columns, [asked("4000000000000.000001 STOOL")], currency="EUR", buyers=(ACME,))
    assert long.quantities.tolist() == [4 * 10**18 + 1]  # a float would lose the 1
    assert boxes.units is not None
    assert (boxes.units.tolist(), boxes.said) == ([-1, 0, -1], {2: "x"})


def test_an_answer_is_arrays_of_whole_numbers_and_flags() -> None:
    found = swept(ordinary(), "1 STOOL")

    assert {
        name: getattr(found, name).dtype.name for name in vars(found) if hasattr(getattr(found, name), "dtype")
    } == {
        "subtotals": "int64",
        "lists": "int32",
        "unit_prices": "int64",
        "unit_scales": "int64",
        "list_prices": "int64",
        "reasons": "uint8",
        "by_scalar": "bool",
    }


@pytest.mark.parametrize("quantity", [0, 1])
def test_codes_that_no_sku_has_are_unknown(quantity: int) -> None:
    of = ordinary()
    codes = ints(-1, 0, len(of.columns) - 1, len(of.columns), len(of.columns) + 7)
    lines = Lines(skus=codes, quantities=np.full(5, quantity), quantity_decimals=0, currency="EUR", buyers=(ACME,))

    found = sweep(lines, book=of, at=NOW)

    assert [found.line(number).reason == "unknown_sku" for number in range(5)] == [True, False, False, True, True]
    alone = Lines(skus=codes[3:4], quantities=np.full(1, quantity), quantity_decimals=0, currency="EUR", buyers=(ACME,))
    assert sweep(alone, book=of, at=NOW).line(0).reason == "unknown_sku"


def test_a_book_of_one_unit_knows_no_other() -> None:
    found = swept(columnar(row("1:5", sku="STOOL"), skus=(STOOL,)), "1 each STOOL", "1 dozen STOOL", "1 STOOL")

    assert found.line(1).reason == "unknown_unit"


def test_a_quantity_rule_of_a_unit_speaks_of_lines_that_ask_for_it() -> None:
    rules = tuple(
        QuantityRule(code=unit, scope=EVERYTHING, unit=unit, maximum=most_of)
        for unit, most_of in (("each", "20"), ("metre", "30"), ("box", "4"))
    )
    of = columnar(row("1:5", sku="STOOL"), row("1:5"), row("1:5", sku="ROPE"), quantity_rules=rules)
    plain = ["20 STOOL", "21 STOOL", "30 ROPE", "30.01 ROPE", "21 CRUNCHY-ARMCHAIR"]
    boxes = ["4 box CRUNCHY-ARMCHAIR", "5 box CRUNCHY-ARMCHAIR"]

    for lines, refused in ((plain, [1, 3, 4]), (plain + boxes, [1, 3, 4, 6])):
        found = swept(of, *lines)
        assert np.flatnonzero(found.reasons).tolist() == refused
        assert not found.by_scalar.any()


def test_of_two_quantity_rules_the_first_that_fails_has_the_word() -> None:
    pairs = QuantityRule(code="PAIRS", scope=EVERYTHING, multiple="2")
    many = QuantityRule(code="MANY", scope=EVERYTHING, minimum="5", maximum="9")

    for rules, reason in (((pairs, many), "quantity_not_multiple"), ((many, pairs), "quantity_below_minimum")):
        found = swept(columnar(row("1:5", sku="STOOL"), quantity_rules=rules), "1 STOOL", "6 STOOL", "11 STOOL")
        assert found.line(0).reason == reason
        assert not found.by_scalar.any()


def test_each_line_may_have_its_own_instant() -> None:
    lines = [line for line in ordinary_lines() for _ in range(4)]
    at = np.array([ticks(NOW + offset * DAY) - step for offset in (0, 1) for step in (0, 1)] * (len(lines) // 4))

    found = swept(ordinary(), *lines, buyers=(GLOBEX,), at=at)

    assert not found.by_scalar.any()
    # an instant that only one line has, the first or the last
    at[:], at[0], at[-1] = ticks(NOW + 2 * DAY), ticks(NOW), ticks(NOW + DAY)
    assert swept(ordinary(), *["20 CRUNCHY-ARMCHAIR"] * len(lines), buyers=(GLOBEX,), at=at).line(0).reason is None


def test_many_blocks_say_what_one_line_says() -> None:
    of, count = ordinary(), 2 * BLOCK + 77
    codes = of.columns.codes_of(["STOOL", "CRUNCHY-ARMCHAIR"])
    lines = Lines(
        skus=codes[np.arange(count) % 2],
        quantities=(np.arange(count) % 90 + 1).astype(np.int8),  # narrow numbers do as well
        quantity_decimals=0,
        currency="EUR",
        buyers=BUYERS,
        buyer_of=np.arange(count) % 4,
    )

    found = sweep(lines, book=of, at=NOW)
    later = np.full(count, ticks(NOW - 2 * DAY))
    later[-1] = ticks(NOW + DAY)  # of the last block alone
    at_instants = sweep(lines, book=of, at=later)

    last = QuoteRequest(buyer=BUYERS[(count - 1) % 4], currency="EUR", lines=(asked("85 STOOL"),))
    assert at_instants.line(count - 1) == texts_of(quote(last, book=of, at=NOW + DAY).lines[0])
    period = 180 * 4
    assert not found.reasons[:period].any()
    for number in (0, 1, 2, 3, period + 5, BLOCK + 1, count - 1):
        same = number % period
        assert found.line(number) == found.line(same)
        quantity, sku = number % 90 + 1, ("STOOL", "CRUNCHY-ARMCHAIR")[number % 2]
        assert swept(of, f"{quantity} {sku}", buyers=(BUYERS[number % 4],)).line(0) == found.line(number)


@pytest.mark.parametrize("most_cells", [1, 3, 4, 6, 7, 9])
def test_plans_are_looked_up_where_a_table_of_them_would_be_too_large(most_cells: int) -> None:
    of = ordinary()
    assert of.columns.scope_count == 3
    of.columns.memo["plans"] = PlanTables(of.rules, of.columns, most_cells=most_cells)
    lines = ordinary_lines()

    assert not swept(of, "10 STOOL").by_scalar.any()
    assert swept(of, "10 STOOL", tax=TaxInput(rates=())).line(0).reason == "tax_rate_unknown"
    for _ in range(2):
        assert not swept(of, "10 STOOL", buyers=BUYERS).by_scalar.any()
    for _ in range(2):
        assert not swept(of, *lines, *lines, buyers=BUYERS, buyer_of=[0, 2] * len(lines)).by_scalar.any()


def test_rules_met_again_are_the_same_row_of_the_table() -> None:
    of = ordinary()
    tables = PlanTables(of.rules, of.columns)

    rows = [tables.row(of.rules.view("EUR", buyer), 0, 0) for buyer in (ACME, GLOBEX, ACME, GLOBEX)]

    assert rows == [0, 1, 0, 1]


def test_two_sweeps_at_once_share_no_tables() -> None:
    of = ordinary()
    swept(of, "10 STOOL")

    one, other = (PlanTables.taken_from(of.columns, of.rules) for _ in range(2))

    assert one is not other
    assert (len(one.shapes), len(other.shapes)) == (1, 0)
    other.keep()
    assert PlanTables.taken_from(of.columns, of.rules) is other


def test_columns_of_other_rules_are_not_mixed_up() -> None:
    of = ordinary()
    swept(of, "10 STOOL")
    other = ordinary()
    other.columns = Columns.of_arrays(of.columns.frame, of.columns.arrays())
    other.columns.memo = of.columns.memo

    swept(other, "10 STOOL")

    assert other.columns.memo["plans"].rules is other.rules


def test_nothing_asked_is_nothing_answered() -> None:
    assert len(swept(ordinary())) == 0


def test_an_instant_without_time_zone_is_refused() -> None:
    lines = lines_of(ordinary().columns, [asked("1 STOOL")], currency="EUR", buyers=(ACME,))

    with pytest.raises(ValueError, match=r"^at needs a time zone$"):
        sweep(lines, book=ordinary(), at=datetime(2026, 11, 21))  # noqa: DTZ001 - what is refused


def test_arrays_of_a_line_without_unit_price_say_so() -> None:
    found = swept(ordinary(), "10 ROPE", "10 STOOL")

    assert found.unit_prices[0] == found.list_prices[0] == NO_PRICE
    assert found.list_prices[1] == 90 * found.list_scale


def test_a_book_of_one_row_may_begin_later() -> None:
    of = columnar(row("1:5", sku="STOOL", starts_at=NOW + DAY))

    assert swept(of, "1 STOOL").line(0).reason == "not_priced_yet"
    assert swept(of, "1 STOOL", at=NOW + DAY).line(0).unit_price == "5.00"


def test_a_book_without_rows_has_no_prices() -> None:
    assert swept(columnar(), "1 STOOL", "1 GHOST").line(0).reason == "no_price_in_currency"
    assert swept(columnar(lists=(), skus=()), "1 STOOL").line(0).reason == "unknown_sku"


def test_lists_hold_prices_of_one_list_each() -> None:
    of = columnar(row("1:10", sku="STOOL"), lists=(PriceList(code="LIST", currency="EUR"),))

    assert swept(of, "1 STOOL").lists.tolist() == [0]


def test_breaks_are_merged_by_the_scalar_evaluator_where_two_lists_have_equal_rank() -> None:
    """Such lists are refused at publication only where they price one SKU."""
    book = columnar(
        row("0:10 10:8"),
        row("0:20", sku="STOOL", of="OTHER"),
        row(">0:7", sku="ROPE", model="package", package=Package(size="6")),
        lists=(public(mergeable=True), public("OTHER", mergeable=True)),
        strategy=Strategy.MERGE_BREAKS,
    )

    assert swept(book, "9 CRUNCHY-ARMCHAIR", "10 CRUNCHY-ARMCHAIR", "3 STOOL", "12 ROPE").by_scalar.all()


def test_breaks_are_merged_of_the_unit_that_prices_a_line() -> None:
    """Boxes without a row of their own are counted in chairs, and so are the breaks of all lists."""
    trade = Audience(segments=("trade",))
    of = columnar(
        row("1:10 30:8 100:7"),
        row("1:9.5 20:9 60:7.5 200:6", of="TRADE"),
        row("1:5 3:4", sku="SOFA", unit="each"),
        row("1:4.5 2:4.25", sku="SOFA", unit="each", of="TRADE"),
        row("1:50 3:44", sku="SOFA", unit="box"),
        row("1:49 2:45", sku="SOFA", unit="box", of="TRADE"),
        lists=(public(mergeable=True), public("TRADE", audience=trade, mergeable=True)),
        skus=(CHAIR, msgspec.structs.replace(CHAIR, sku="SOFA")),
        strategy=Strategy.MERGE_BREAKS,
    )
    asked_of = [f"{count} {sku}" for count in (1, 2, 3, 5, 9, 20) for sku in ("box CRUNCHY-ARMCHAIR", "box SOFA")]
    asked_of += [f"{count} {sku}" for count in (1, 20, 30, 60, 100) for sku in ("CRUNCHY-ARMCHAIR", "SOFA")]

    found = swept(of, *asked_of, *asked_of, buyers=(GLOBEX, GUEST), buyer_of=[0] * 22 + [1] * 22)

    assert not found.by_scalar.any()
    assert not swept(of, "5 box CRUNCHY-ARMCHAIR", buyers=(GLOBEX,)).by_scalar.any()


def test_a_margin_of_many_decimals_over_a_tiny_cost_is_left_to_the_scalar_evaluator() -> None:
    floor = Bound(
        code="FLOOR", side=Side.FLOOR, scope=EVERYTHING, limit=MarginLimit(percent="12.345678901234"), disclosed=False
    )
    book = columnar(
        row("0:0.01"), bounds=(floor,), costs=(Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="0.000001"),)
    )

    assert swept(book, "1 CRUNCHY-ARMCHAIR", "7 CRUNCHY-ARMCHAIR").by_scalar.all()
