"""What a draft does to what was sold: totals by hand, the law of the unchanged book, and agreement with `quote`."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.money import ratio
from pricing.engine import BookContent, Buyer, LineRequest, QuoteRequest, TaxInput, TaxRate, quote
from pricing.engine.book import (
    AmountEffect,
    Audience,
    Conditions,
    Rounding,
    RoundingPolicy,
    SkuFacts,
    UnitFact,
)
from pricing.engine.columns import ColumnarBook
from pricing.engine.request import PricedLine
from pricing.impact import Block, Compared, Figures, Impact, Side, Sold, SoldOrder, compare
from tests.pricing.engine.cast import (
    ACME,
    GLOBEX,
    GUEST,
    INITECH,
    NOW,
    content,
    in_euro,
    public,
    row,
    rule,
)
from tests.pricing.engine.test_laws import contents

BUYERS = (ACME, GLOBEX, INITECH, GUEST)
ALL_RATES = TaxInput(
    rates=tuple(TaxRate(category=category, percent="19") for category in ("standard", "reduced", "untaxed"))
)
Line = tuple[str, str, str]
"""SKU, unit, quantity."""


def sold(*orders: tuple[Buyer, str, Sequence[Line]]) -> Sold:
    """Orders as (buyer, currency, lines)."""
    return Sold.of(
        SoldOrder(
            name=f"T-{number}",
            buyer=buyer,
            currency=currency,
            tax=ALL_RATES,
            lines=tuple((sku, unit, int(Decimal(quantity) * 10**6)) for sku, unit, quantity in lines),
        )
        for number, (buyer, currency, lines) in enumerate(orders)
    )


def book(made: BookContent) -> ColumnarBook:
    return ColumnarBook(made, root="sha256:test")


def compared(
    orders: Sold, before: BookContent, after: BookContent, costs: Mapping[tuple[str, str], Decimal] | None = None
) -> Compared:
    sides = [Side.of(book(made), orders.skus) for made in (before, after)]
    return compare(orders, *sides, at=NOW, costs=costs or {})


def impact(
    orders: Sold, before: BookContent, after: BookContent, costs: Mapping[tuple[str, str], Decimal] | None = None
) -> Impact:
    return compared(orders, before, after, costs).impact()


def figures(**said: int) -> Figures:
    return Figures(**{**dict.fromkeys(Figures.__struct_fields__, 0), **said})


def block(found: Impact, currency: str = "EUR") -> Block:
    return next(block for block in found.blocks if block.currency == currency)


def by_key(groups: Any) -> dict[str, Figures]:
    return {group.key: group.figures for group in groups}


def test_the_totals_of_a_small_house_are_those_added_up_by_hand() -> None:
    # Order 0, Acme: 10 chairs reach the tier of 10 in both; 2 stools. Order 1, Globex: 3 chairs, 4.5 m of rope.
    # Order 2, Acme in dollars: 1 chair.
    orders = sold(
        (ACME, "EUR", [("CRUNCHY-ARMCHAIR", "each", "10"), ("STOOL", "each", "2")]),
        (GLOBEX, "EUR", [("CRUNCHY-ARMCHAIR", "each", "3"), ("ROPE", "metre", "4.5")]),
        (ACME, "USD", [("CRUNCHY-ARMCHAIR", "each", "1")]),
    )
    lists = (public(), public("DOLLARS", currency="USD"))
    before = content(
        row("1:100 10:90"), row("1:20", sku="STOOL"), row("0:2", sku="ROPE"), row("1:110", of="DOLLARS"), lists=lists
    )
    # the tier of 10 begins at 5 and costs 3 more; a stool has no price any more; rope is cheaper; dollars stay
    after = content(row("1:100 5:93"), row("0:1.5", sku="ROPE"), row("1:110", of="DOLLARS"), lists=lists)
    costs = {("CRUNCHY-ARMCHAIR", "EUR"): Decimal(60), ("ROPE", "EUR"): Decimal("0.3333"), ("STOOL", "EUR"): Decimal(9)}

    found = impact(orders, before, after, costs)

    assert (found.orders, found.lines, found.whole) == (3, 5, 0)
    assert [(each.currency, each.decimals) for each in found.blocks] == [("EUR", 2), ("USD", 2)]
    euros = block(found)
    rope = figures(
        lines=1,
        lowered=1,
        before=900,
        after=675,
        costed_before=900,
        costed_after=675,
        cost=150,  # 4.5 x 0.3333 = 1.49985
    )
    stool = figures(lines=1, lost=1, lost_amount=4000)
    chairs = figures(
        lines=2,
        raised=1,
        same=1,
        before=120_000,
        after=123_000,
        costed_before=120_000,
        costed_after=123_000,
        cost=78_000,
    )
    assert by_key(euros.skus) == {"CRUNCHY-ARMCHAIR": chairs, "ROPE": rope, "STOOL": stool}
    assert euros.total == figures(
        lines=4,
        raised=1,
        lowered=1,
        same=1,
        lost=1,
        before=120_900,
        after=123_675,
        lost_amount=4000,
        costed_before=120_900,
        costed_after=123_675,
        cost=78_150,
    )
    assert (euros.total.change, euros.total.revenue_before, euros.total.revenue_after) == (2775, 124_900, 123_675)
    assert (euros.total.margin_before, euros.total.margin_after) == (42_750, 45_525)
    assert {key: one.change for key, one in by_key(euros.companies).items()} == {"acme": 3000, "globex": -225}
    assert {key: one.change for key, one in by_key(euros.categories).items()} == {
        "": -225,
        "seating/chairs": 3000,
        "seating/stools": 0,
    }
    assert [(one.reason, one.lines, one.amount) for one in euros.lost] == [("no_price_in_currency", 1, 4000)]
    assert euros.gained == ()
    dollars = block(found, "USD").total
    assert dollars == figures(lines=1, same=1, before=11_000, after=11_000, uncosted=1)


def test_an_order_discount_is_spread_over_the_lines_as_in_the_order() -> None:
    orders = sold(
        (ACME, "EUR", [("CRUNCHY-ARMCHAIR", "each", "2"), ("STOOL", "each", "1")]),
        (ACME, "EUR", [("STOOL", "each", "1")]),
    )
    rows = (row("1:100"), row("1:50", sku="STOOL"))
    ten_off = rule("TEN-OFF", AmountEffect(amount="10"), layer="order", conditions=in_euro(min_subtotal="200"))

    found = compared(orders, content(*rows), content(*rows, adjustments=(ten_off,)))

    assert found.after.amounts.tolist() == [19_200, 4800, 5000]  # 10 off 250, 8 and 2
    assert found.impact().whole == 2
    assert block(found.impact()).total.change == -1000


def test_a_break_group_counts_all_its_lines_of_an_order_and_of_no_other() -> None:
    red, blue = (SkuFacts(sku=sku, break_group="stools") for sku in ("RED", "BLUE"))
    orders = sold(
        (ACME, "EUR", [("RED", "each", "6"), ("BLUE", "each", "4")]),
        (ACME, "EUR", [("RED", "each", "6")]),
        (ACME, "EUR", [("BLUE", "each", "4")]),
    )
    before = content(row("1:10", sku="RED"), row("1:10", sku="BLUE"), skus=(red, blue))
    after = content(row("1:10 10:8", sku="RED"), row("1:10 10:8", sku="BLUE"), skus=(red, blue))

    found = compared(orders, before, after)

    assert found.after.amounts.tolist() == [4800, 3200, 6000, 4000]
    assert found.after.whole.tolist() == [True, False, False]


def test_a_subtotal_that_a_rule_asks_for_is_that_of_the_order() -> None:
    orders = sold(
        (ACME, "EUR", [("CRUNCHY-ARMCHAIR", "each", "1"), ("STOOL", "each", "1")]),
        (ACME, "EUR", [("STOOL", "each", "1")]),
    )
    rows = (row("1:100"), row("1:50", sku="STOOL"))
    large = rule("LARGE", "10", layer="line", conditions=in_euro(min_subtotal="120"))

    assert compared(orders, content(*rows), content(*rows, adjustments=(large,))).after.amounts.tolist() == [
        9000,
        4500,
        5000,
    ]


def test_a_line_without_a_price_does_not_take_its_order_with_it() -> None:
    orders = sold((ACME, "EUR", [("CRUNCHY-ARMCHAIR", "each", "2"), ("STOOL", "each", "1"), ("GONE", "each", "1")]))
    ten_off = rule("TEN-OFF", AmountEffect(amount="10"), layer="order", conditions=in_euro(min_subtotal="200"))
    before = content(row("1:100"), row("1:50", sku="STOOL"), adjustments=(ten_off,))
    after = content(row("1:100"), adjustments=(ten_off,))

    found = compared(orders, before, after)

    assert found.before.amounts.tolist() == [19_200, 4800, 0]
    assert found.after.amounts.tolist() == [19_000, 0, 0]
    total = block(found.impact()).total
    assert (total.lines, total.lost, total.unpriced, total.change, total.lost_amount) == (3, 1, 1, -200, 4800)


def test_what_begins_to_have_a_price_is_told_apart_from_what_costs_more() -> None:
    orders = sold((ACME, "EUR", [("STOOL", "each", "2"), ("CRUNCHY-ARMCHAIR", "each", "1")]))
    after = content(row("1:100"), row("1:50", sku="STOOL"))

    euros = block(impact(orders, content(row("1:100")), after))

    assert euros.total == figures(
        lines=2, same=1, gained=1, before=10_000, after=10_000, gained_amount=10_000, uncosted=1
    )
    assert [(one.reason, one.amount) for one in euros.gained] == [("no_price_in_currency", 10_000)]


def test_a_list_that_includes_tax_counts_net() -> None:
    orders = sold((INITECH, "EUR", [("CRUNCHY-ARMCHAIR", "each", "1")]))
    gross = (public(tax_included=True),)

    found = compared(orders, content(row("1:100")), content(row("1:119"), lists=gross))

    assert found.after.amounts.tolist() == [10_000]
    assert found.after.whole.tolist() == [True]


def test_amounts_of_two_roundings_are_compared_in_the_finer_one() -> None:
    orders = sold((ACME, "EUR", [("STOOL", "each", "3")]))
    finer = RoundingPolicy(unit=Rounding(decimals=4), line=Rounding(decimals=4))

    euros = block(
        impact(orders, content(row("1:1.5", sku="STOOL")), content(row("1:1.5001", sku="STOOL"), policy=finer))
    )

    assert (euros.decimals, euros.total.before, euros.total.after) == (4, 45_000, 45_003)


def test_costs_are_of_base_units_and_rounded_line_by_line() -> None:
    facts = SkuFacts(sku="BOLT", units=(UnitFact(unit="each"), UnitFact(unit="box", factor="12.5")))
    orders = sold(
        (ACME, "EUR", [("BOLT", "box", "3"), ("BOLT", "each", "1")]), (GLOBEX, "EUR", [("BOLT", "each", "1")])
    )
    made = content(row("1:1", sku="BOLT"), skus=(facts,))

    total = block(impact(orders, made, made, {("BOLT", "EUR"): Decimal("0.123456789012")})).total

    assert total.cost == 463 + 12 + 12  # 37.5 x 0.123456789012 = 4.6296..., and 0.1234... twice
    assert total.uncosted == 0


def test_numbers_beyond_64_bits_are_added_up_exactly() -> None:
    wide = RoundingPolicy(unit=Rounding(decimals=12), line=Rounding(decimals=12))
    huge = "999999.999999999999"
    orders = sold(*((ACME, "EUR", [("STOOL", "each", "1000000")]) for _ in range(3)))
    before = content(row(f"1:{huge}", sku="STOOL"), policy=wide)

    found = impact(orders, before, content(row("1:1", sku="STOOL"), policy=wide), {("STOOL", "EUR"): Decimal(huge)})

    total = block(found).total
    assert total.before == total.cost == 3 * 999_999_999_999_999_999 * 10**6
    assert total.change == 3 * 10**18 - total.before
    assert [(step.falls, step.low, step.lines) for step in block(found).steps if step.lines] == [(True, 50, 3)]


def test_changes_are_counted_by_how_far_they_go() -> None:
    changes = {"A": "0.5", "B": "0.51", "C": "0.951", "D": "1", "E": "1.05", "F": "1.0499", "G": "0"}
    facts = tuple(SkuFacts(sku=sku) for sku in changes)
    orders = sold(*((ACME, "EUR", [(sku, "each", "10000")]) for sku in changes))
    before = content(*(row("1:0" if sku == "G" else "1:1", sku=sku) for sku in changes), skus=facts)
    finer = RoundingPolicy(unit=Rounding(decimals=4))
    after = content(
        *(row(f"1:{'1' if sku == 'G' else price}", sku=sku) for sku, price in changes.items()), skus=facts, policy=finer
    )

    steps = {(step.falls, step.low, step.high): step.lines for step in block(impact(orders, before, after)).steps}

    assert steps == {
        (True, 50, None): 1,
        (True, 20, 50): 1,
        (True, 10, 20): 0,
        (True, 5, 10): 0,
        (True, 0, 5): 1,
        (False, 0, 0): 1,
        (False, 0, 5): 1,
        (False, 5, 10): 1,
        (False, 10, 20): 0,
        (False, 20, 50): 0,
        (False, 50, None): 1,
    }


def test_a_currency_nobody_knows_is_a_block_of_its_own_without_prices() -> None:
    orders = sold((ACME, "ZZZ", [("STOOL", "each", "1")]), (ACME, "EUR", [("STOOL", "each", "1")]))
    made = content(row("1:10", sku="STOOL"))

    found = impact(orders, made, made)

    assert [(each.currency, each.total.unpriced) for each in found.blocks] == [("EUR", 0), ("ZZZ", 1)]


def test_nothing_sold_has_no_impact() -> None:
    made = content(row("1:10", sku="STOOL"))

    assert impact(sold(), made, made).blocks == ()


def test_progress_adds_up_to_the_lines_of_both_books() -> None:
    orders = sold(
        (ACME, "EUR", [("STOOL", "each", "1")]), (GLOBEX, "EUR", [("STOOL", "each", "1"), ("ROPE", "metre", "1")])
    )
    order_rule = rule("ORDER", "1", layer="order", audience=Audience(segments=("trade",)))
    made = content(row("1:10", sku="STOOL"), adjustments=(order_rule,))
    side, seen = Side.of(book(made), orders.skus), list[int]()

    compare(orders, side, side, at=NOW, costs={}, progress=seen.append)

    assert sum(seen) == 6


# --- Laws ---

quantities = st.sampled_from(["0", "1", "2", "5", "10", "12", "30", "0.25", "1.5"])


@st.composite
def some_orders(draw: st.DrawFn) -> Sold:
    orders = []
    for _ in range(draw(st.integers(1, 6))):
        pairs = draw(
            st.lists(
                st.sampled_from([("CRUNCHY-ARMCHAIR", "each"), ("CRUNCHY-ARMCHAIR", "box"), ("STOOL", "each"),
                                 ("ROPE", "metre"), ("UNKNOWN", "each")]),
                min_size=1, max_size=4, unique=True,
            )
        )  # fmt: skip
        buyer, currency = draw(st.sampled_from(BUYERS)), draw(st.sampled_from(["EUR", "EUR", "USD"]))
        orders.append((buyer, currency, [(sku, unit, draw(quantities)) for sku, unit in pairs]))
    return sold(*orders)


@given(orders=some_orders(), made=contents())
@settings(max_examples=60, deadline=None)
def test_an_unchanged_book_changes_nothing(orders: Sold, made: BookContent) -> None:
    for each in impact(orders, made, made).blocks:
        assert each.lost == each.gained == ()
        for one in (each.total, *(group.figures for groups in (each.companies, each.skus) for group in groups)):
            assert (one.change, one.raised, one.lowered, one.lost, one.gained) == (0, 0, 0, 0, 0)


@given(orders=some_orders(), before=contents(), after=contents())
@settings(max_examples=120, deadline=None)
def test_the_sums_are_those_of_the_orders_quoted_one_by_one(
    orders: Sold, before: BookContent, after: BookContent
) -> None:
    found = compared(orders, before, after)
    for made, side in ((before, found.before), (after, found.after)):
        of = book(made)
        for order in range(len(orders.orders)):
            lines = [line for line in range(len(orders)) if orders.line_order[line] == order]
            expected = quoted(orders, of, order, lines)
            for line in lines:
                decimals = found.decimals[orders.currencies[orders.order_currency[order]]]
                net, over = ratio(expected.get(line, "0"))
                assert (side.reasons[line] == 0) == (line in expected)
                assert int(side.amounts[line]) * over == net * 10**decimals
    for each in found.impact().blocks:
        for groups in (each.companies, each.categories, each.skus):
            for name in Figures.__struct_fields__:
                assert sum(getattr(group.figures, name) for group in groups) == getattr(each.total, name)
        one = each.total
        assert one.lines == one.raised + one.lowered + one.same + one.lost + one.gained + one.unpriced
        assert sum(step.lines for step in each.steps) == one.raised + one.lowered + one.same
        assert sum(step.after - step.before for step in each.steps) == one.change


def quoted(orders: Sold, of: ColumnarBook, order: int, lines: Sequence[int]) -> dict[int, str]:
    """The nets by line of an order asked of `quote`, again and again without what it refuses."""
    while lines:
        answer = quote(
            QuoteRequest(
                buyer=orders.buyers[orders.order_buyer[order]],
                currency=orders.currencies[orders.order_currency[order]],
                lines=tuple(
                    LineRequest(
                        sku=orders.skus[orders.line_sku[line]],
                        unit=orders.units[orders.line_unit[line]],
                        quantity=f"{(Decimal(int(orders.quantities[line])) / 10**6).normalize():f}",
                    )
                    for line in lines
                ),
                tax=ALL_RATES,
            ),
            book=of,
            at=NOW,
        )
        priced = {lines[line.requested[0]]: line.net for line in answer.lines if isinstance(line, PricedLine)}
        if len(priced) == len(lines):
            return priced
        lines = [line for line in lines if line in priced]
    return {}


def test_whole_orders_are_asked_only_where_lines_matter_to_each_other() -> None:
    orders = sold(
        (ACME, "EUR", [("STOOL", "each", "1"), ("ROPE", "metre", "1")]),
        (GLOBEX, "EUR", [("STOOL", "each", "1"), ("ROPE", "metre", "1")]),
        (GLOBEX, "EUR", [("STOOL", "each", "1")]),
        (GLOBEX, "USD", [("STOOL", "each", "1")]),
    )
    trade = Audience(segments=("trade",))
    for of_rule, whole in (
        ({"layer": "order", "audience": trade}, [False, True, True, True]),
        ({"layer": "order", "audience": trade, "conditions": in_euro()}, [False, True, True, False]),
        ({"layer": "order", "conditions": Conditions(countries=("ES",))}, [False] * 4),
        ({"layer": "order", "ends_at": NOW}, [False] * 4),
        ({"layer": "order", "starts_at": NOW + timedelta(seconds=1)}, [False] * 4),
        ({"layer": "line", "audience": trade, "conditions": in_euro(min_subtotal="1")}, [False, True, False, False]),
        ({"layer": "line", "audience": trade, "conditions": in_euro(min_line_amount="1")}, [False] * 4),
    ):
        made = content(row("1:10", sku="STOOL"), adjustments=(rule("RULE", "5", **of_rule),))
        side = Side.of(book(made), orders.skus)
        assert compare(orders, side, side, at=NOW, costs={}).before.whole.tolist() == whole
