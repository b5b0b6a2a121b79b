"""Random small books for properties: lists, rows of every model, rules, bounds, quantity rules."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    BookContent,
    Bound,
    Conditions,
    Cost,
    CurrencyPrice,
    Effect,
    Group,
    Layer,
    Level,
    MarginLimit,
    PercentEffect,
    Pick,
    PriceLimit,
    PriceList,
    PriceRow,
    QuantityRule,
    RowModel,
    Scope,
    Side,
    SkuFacts,
    Strategy,
    Tier,
    Titles,
    UnitFact,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SKUS = ("ANVIL", "BOLT-M8", "CRUNCHY-ARMCHAIR", "dübel", "Ω-RESISTOR")
_prices = st.decimals(min_value=0, max_value=500, places=3).map(lambda price: f"{price.normalize():f}")
_titles = Titles(en="A rule", es="Una regla")


@st.composite
def _windows(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        return {"starts_at": None, "ends_at": None}
    start = NOON + timedelta(hours=draw(st.integers(-5, 5)))
    return {"starts_at": start, "ends_at": start + timedelta(hours=draw(st.integers(1, 5)))}


@st.composite
def _rows(draw: st.DrawFn, code: str, sku: str, unit: str) -> PriceRow:
    model = draw(st.sampled_from([RowModel.FLAT, RowModel.VOLUME, RowModel.GRADUATED]))
    bounds = [0] if model is RowModel.FLAT else [0, *sorted(draw(st.sets(st.integers(1, 30), max_size=3)))]
    fee = draw(st.sampled_from(["0", "5"]))
    tiers = tuple(
        Tier(above=str(bound), unit_price=draw(_prices), flat_fee=fee)
        if model is RowModel.GRADUATED
        else Tier(from_=str(bound), unit_price=draw(_prices), flat_fee=fee)
        for bound in bounds
    )
    return PriceRow(list=code, sku=sku, unit=unit, model=model, tiers=tiers, **draw(_windows()))


@st.composite
def _adjustments(draw: st.DrawFn, number: int) -> Adjustment:
    scope = draw(
        st.sampled_from(
            [
                Scope(everything=True),
                Scope(skus=SKUS[:2]),
                Scope(categories=("TOOLS",), excluded_skus=("ANVIL",)),
                Scope(brands=("ACME",)),
            ]
        )
    )
    effects: list[Effect] = [PercentEffect(percent=str(draw(st.integers(0, 60)))), AmountEffect(amount="1.25")]
    return Adjustment(
        code=f"RULE-{number}",
        layer="UNIT",
        group="best",
        effect=draw(st.sampled_from(effects)),
        scope=scope,
        audience=draw(st.sampled_from([Audience(), Audience(segments=("trade",)), Audience(company="acme")])),
        conditions=Conditions(
            min_quantity=draw(st.sampled_from([None, "5", "24"])),
            currencies=("EUR",),
        ),
        titles=_titles,
        **draw(_windows()),
    )


@st.composite
def contents(draw: st.DrawFn) -> BookContent:
    lists = (
        PriceList(code="PUBLIC", currency="EUR"),
        PriceList(code="TRADE", currency="EUR", audience=Audience(segments=("trade",)), **draw(_windows())),
        PriceList(code="DOLLARS", currency="USD"),
    )
    skus, rows, costs = [], [], []
    for sku in SKUS[: draw(st.integers(1, len(SKUS)))]:
        units = (UnitFact(unit="each"), UnitFact(unit="box", factor="12"))
        skus.append(
            SkuFacts(
                sku=sku,
                units=units,
                categories=draw(st.sampled_from([(), ("TOOLS",), ("TOOLS", "TOOLS.HEAVY")])),
                brand=draw(st.sampled_from([None, "ACME"])),
            )
        )
        costs.append(Cost(sku=sku, currency="EUR", cost=draw(_prices)))
        for code in draw(st.sets(st.sampled_from(["PUBLIC", "TRADE", "DOLLARS"]))):
            units_priced = draw(st.sets(st.sampled_from(["each", "box"]), min_size=1))
            rows += [draw(_rows(code, sku, unit)) for unit in sorted(units_priced)]
    bounds = [Bound(code="FLOOR", side=Side.FLOOR, scope=Scope(skus=SKUS[1:3]), limit=MarginLimit(percent="5"))]
    if draw(st.booleans()):
        limit = PriceLimit(
            prices=(CurrencyPrice(currency="EUR", price="90"), CurrencyPrice(currency="USD", price="99"))
        )
        bounds.append(Bound(code="CEILING", side=Side.CEILING, scope=Scope(everything=True), limit=limit))
    quantity_rules = (QuantityRule(code="PAIRS", scope=Scope(skus=("BOLT-M8",)), unit="each", multiple="2"),)
    return BookContent(
        strategy=draw(st.sampled_from(list(Strategy))),
        lists=lists,
        rows=tuple(rows),
        layers=(Layer(code="UNIT", level=Level.UNIT, groups=(Group(code="best", pick=Pick.LOWEST),)),),
        adjustments=tuple(draw(_adjustments(number)) for number in range(draw(st.integers(0, 3)))),
        bounds=tuple(bounds),
        quantity_rules=draw(st.sampled_from([(), quantity_rules])),
        skus=tuple(skus),
        costs=tuple(costs),
    )
