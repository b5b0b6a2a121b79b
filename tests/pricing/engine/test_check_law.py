"""A total falls somewhere exactly when the check says so: asked of every quantity, by every buyer, one by one."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.money import ratio
from pricing.engine import BookContent, Buyer, LineRequest, MemoryBook, QuoteRequest, Severity, check, quote
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    BuyGetEffect,
    Conditions,
    FixedPriceEffect,
    Level,
    Package,
    PercentEffect,
    PercentStep,
    PriceRow,
    QuantityRule,
    QuantityTableEffect,
    RowModel,
    Strategy,
    Tier,
)
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import (
    CHAIR,
    EVERYTHING,
    GLOBEX,
    GUEST,
    INITECH,
    NOW,
    content,
    day,
    layer,
    only,
    public,
    rule,
)

MOST = 40
BUYERS = (GUEST, GLOBEX, INITECH)
prices = st.integers(0, 4000).map(lambda cents: f"{cents // 100}.{cents % 100:02}".rstrip("0").rstrip("."))
quantities = st.integers(1, 30).map(str)


@st.composite
def rows(draw: st.DrawFn, code: str, unit: str) -> PriceRow:
    model = draw(st.sampled_from(list(RowModel)))
    begins = sorted(draw(st.sets(st.integers(1, 25), max_size=2)))
    if model is RowModel.FLAT:
        begins = begins[:1]
    if model in {RowModel.GRADUATED, RowModel.PACKAGE}:
        tiers = tuple(
            Tier(above=str(begin), unit_price=draw(prices), flat_fee=draw(st.sampled_from(["0", "7"])))
            for begin in [0, *begins]
        )
    else:
        tiers = tuple(
            Tier(from_=str(begin), unit_price=draw(prices), flat_fee=draw(st.sampled_from(["0", "7"])))
            for begin in begins or [1]
        )
    package = Package(
        size=draw(st.sampled_from(["2", "5"])),
        round_up=draw(st.booleans()),
        free=draw(st.sampled_from(["0", "3"])),
        whole_quantity=draw(st.booleans()),
    )
    return PriceRow(
        list=code,
        sku=CHAIR.sku,
        unit=unit,
        model=model,
        tiers=tiers,
        package=package if model is RowModel.PACKAGE else None,
        starts_at=draw(st.sampled_from([None, None, day(1), day(30)])),
    )


effects = st.one_of(
    st.builds(PercentEffect, percent=st.integers(0, 40).map(str), surcharge=st.booleans()),
    st.builds(AmountEffect, amount=prices, surcharge=st.booleans()),
    st.builds(FixedPriceEffect, price=prices),
    st.just(QuantityTableEffect(steps=(PercentStep(from_="4", percent="5"), PercentStep(from_="9", percent="20")))),
    st.builds(BuyGetEffect, buy=st.sampled_from(["2", "7"]), get=st.sampled_from(["1", "3"])),
)


@st.composite
def rules(draw: st.DrawFn, number: int) -> Adjustment:
    effect = draw(effects)
    level = draw(st.sampled_from(list(Level)))
    if isinstance(effect, FixedPriceEffect):
        level = Level.UNIT
    elif isinstance(effect, BuyGetEffect) or (level is Level.ORDER and isinstance(effect, QuantityTableEffect)):
        level = Level.LINE
    amounts = st.none() | st.integers(1, 30).map(lambda tens: str(10 * tens))
    conditions: dict[str, Any] = {"currencies": ("EUR",)}
    if level is not Level.ORDER:
        conditions["min_quantity"] = draw(st.none() | quantities)
        conditions["max_quantity"] = draw(st.none() | quantities)
    if level is not Level.UNIT:
        conditions["min_subtotal"] = draw(amounts)
        conditions["max_subtotal"] = draw(amounts)
    if level is Level.LINE:
        conditions["min_line_amount"] = draw(amounts)
    return rule(
        f"R{number}",
        effect,
        layer=level.value,
        group=draw(st.sampled_from(["first", "second"])),
        conditions=Conditions(**conditions),
        priority=draw(st.integers(0, 1)),
        exclusive=draw(st.booleans()),
        audience=draw(st.sampled_from([only(), only(segments=("trade",)), only(company="initech")])),
        ends_at=draw(st.sampled_from([None, None, day(29)])),
    )


@st.composite
def books(draw: st.DrawFn) -> BookContent:
    mergeable = draw(st.booleans())
    lists = (
        public(mergeable=mergeable),
        public(
            "TRADE",
            audience=only(segments=("trade",)),
            mergeable=mergeable,
            ends_at=draw(st.sampled_from([None, day(28)])),
        ),
        public("CONTRACT", audience=only(company="initech")),
    )
    codes = draw(st.sets(st.sampled_from(["LIST", "TRADE", "CONTRACT"]), min_size=1))
    units = draw(st.sampled_from([("each",), ("each", "box"), ("box",)]))
    quantity_rules = (
        QuantityRule(
            code="Q", scope=EVERYTHING, minimum=draw(quantities), multiple=draw(st.sampled_from([None, "2", "3"]))
        ),
        QuantityRule(code="BOXES", scope=EVERYTHING, unit="box", maximum=draw(quantities)),
    )
    return content(
        *(draw(rows(code, unit)) for code in sorted(codes) for unit in units),
        lists=lists,
        skus=(CHAIR,),
        strategy=draw(st.sampled_from([Strategy.MOST_SPECIFIC, Strategy.MERGE_BREAKS])),
        layers=tuple(
            layer(level, "first", "second", pick=draw(st.sampled_from(["priority", "lowest"]))) for level in Level
        ),
        adjustments=tuple(draw(rules(number)) for number in range(draw(st.integers(0, 3)))),
        quantity_rules=draw(st.sampled_from([(), quantity_rules])),
    )


def totals(book: MemoryBook, buyer: Buyer, unit: str, at: Any) -> Iterator[tuple[str, str, str]]:
    """Quantity, list and net total of all that may be bought."""
    for quantity in range(1, MOST + 1):
        request = QuoteRequest(
            buyer=buyer, currency="EUR", lines=(LineRequest(sku=CHAIR.sku, quantity=str(quantity), unit=unit),)
        )
        (line,) = quote(request, book=book, at=at).lines
        if isinstance(line, PricedLine):
            yield str(quantity), line.trace.list, line.net


def falls(of: BookContent) -> list[tuple[str, str, str]]:
    """Lists by which a total falls, found by asking everything."""
    book = MemoryBook(of, root="r")
    found = []
    for buyer in BUYERS:
        for unit in ("each", "box"):
            for at in (NOW, day(28), day(29), day(30)):
                answers = list(totals(book, buyer, unit, at))
                for (_, _, net), (quantity, code, next_net) in pairwise(answers):
                    one, other = ratio(net), ratio(next_net)
                    if one[0] * other[1] > other[0] * one[1]:
                        found.append((quantity, unit, code))
    return found


@settings(max_examples=150, deadline=None)
@given(books())
def test_a_total_falls_exactly_where_the_check_says_so(of: BookContent) -> None:
    found = check(of, at=NOW, buyers=BUYERS)
    assert not any(finding.severity is Severity.ERROR for finding in found)
    told = [finding for finding in found if finding.code == "total_falls"]
    by = {finding.params["by"] for finding in told}
    by_hand = falls(of)

    for quantity, unit, code in by_hand:
        assert by & {code, *(one.code for one in of.adjustments)}, (quantity, unit, code)
    for finding in told:
        witness, params = finding.witness, finding.params
        assert witness is not None
        amounts = []
        for quantity in (params["quantity"], params["more"]):
            request = QuoteRequest(
                buyer=witness.buyer,
                currency="EUR",
                lines=(LineRequest(sku=witness.sku, quantity=quantity, unit=witness.unit),),
            )
            (line,) = quote(request, book=MemoryBook(of, root="r"), at=witness.at).lines
            assert isinstance(line, PricedLine)
            amounts.append(line.net)
        assert amounts == [params["before"], params["after"]]
        assert ratio(amounts[0])[0] * ratio(amounts[1])[1] > ratio(amounts[1])[0] * ratio(amounts[0])[1]
