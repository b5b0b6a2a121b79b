"""Phases 4 to 10: adjustments of unit and line, bounds, rounding."""

from typing import Any

import pytest

from kernel.money import Mode
from pricing.engine import MemoryBook
from pricing.engine.book import (
    AmountEffect,
    Bound,
    BuyGetEffect,
    Combine,
    Conditions,
    Cost,
    CurrencyPrice,
    Effect,
    FixedPriceEffect,
    Group,
    Layer,
    Level,
    MarginLimit,
    PercentEffect,
    PercentStep,
    Pick,
    PriceLimit,
    QuantityTableEffect,
    Rounding,
    RoundingPolicy,
    Scope,
    Side,
    SkuFacts,
    UnitFact,
)
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    GLOBEX,
    INITECH,
    NOW,
    VAT,
    acting,
    ask,
    at_least,
    book,
    day,
    in_euro,
    layer,
    losers,
    only,
    priced,
    public,
    refused,
    row,
    rule,
    total,
)

TEN = row("0:10")
FOUR_DECIMALS = RoundingPolicy(unit=Rounding(decimals=4), line=Rounding(decimals=4))


def chair(of: MemoryBook, quantity: str = "1", **more: Any) -> str | None:
    return priced(of, f"{quantity} CRUNCHY-ARMCHAIR", **more).unit_price


@pytest.mark.parametrize(
    ("scope", "acts"),
    [
        (Scope(skus=("CRUNCHY-ARMCHAIR",)), True),
        (Scope(skus=("STOOL",)), False),
        (Scope(categories=("seating",)), True),
        (Scope(categories=("seating/chairs",)), True),
        (Scope(categories=("seating/chairs/deep",)), False),
        (Scope(categories=("seat",)), False),
        (Scope(brands=("crunchy",)), True),
        (Scope(brands=("other",)), False),
        (Scope(), False),
        (Scope(everything=True, excluded_skus=("CRUNCHY-ARMCHAIR",)), False),
        (Scope(everything=True, excluded_categories=("seating",)), False),
        (Scope(everything=True, excluded_categories=("seating/chairs/deep",)), True),
        (Scope(everything=True, excluded_brands=("crunchy",)), False),
        (Scope(skus=("CRUNCHY-ARMCHAIR",), excluded_brands=("crunchy",)), False),
        (Scope(skus=("STOOL",), categories=("seating",), brands=("crunchy",)), True),
    ],
)
def test_a_rule_acts_on_the_skus_of_its_scope(scope: Scope, acts: bool) -> None:
    assert chair(book(TEN, adjustments=(rule("R", "10", scope=scope),))) == ("9.00" if acts else "10.00")


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (PercentEffect(percent="12.5"), "8.75"),
        (PercentEffect(percent="12.5", surcharge=True), "11.25"),
        (PercentEffect(percent="100"), "0.00"),
        (AmountEffect(amount="1.3"), "8.70"),
        (AmountEffect(amount="1.3", surcharge=True), "11.30"),
        (AmountEffect(amount="11"), "0.00"),
        (FixedPriceEffect(price="4.99"), "4.99"),
        (
            QuantityTableEffect(steps=(PercentStep(from_="1", percent="5"), PercentStep(from_="10", percent="20"))),
            "9.50",
        ),
    ],
)
def test_an_effect_changes_the_unit_price(effect: Any, expected: str) -> None:
    assert chair(book(TEN, adjustments=(rule("R", effect, conditions=in_euro()),))) == expected


def test_a_quantity_table_takes_the_reached_step() -> None:
    steps = (PercentStep(from_="5", percent="5"), PercentStep(from_="10", percent="20"))
    table = book(TEN, adjustments=(rule("T", QuantityTableEffect(steps=steps)),))

    assert [chair(table, quantity) for quantity in ("4", "5", "9", "10", "99")] == [
        "10.00",
        "9.50",
        "9.50",
        "8.00",
        "8.00",
    ]
    assert losers(priced(table, "4 CRUNCHY-ARMCHAIR"))["T"] == ("needs_quantity", {"quantity": "5"})


def test_money_of_a_rule_is_of_one_base_unit() -> None:
    by_box = book(row("0:100", unit="box"), adjustments=(rule("R", AmountEffect(amount="1"), conditions=in_euro()),))
    fixed = book(row("0:100", unit="box"), adjustments=(rule("R", FixedPriceEffect(price="5"), conditions=in_euro()),))

    assert total(by_box, "1 box CRUNCHY-ARMCHAIR") == "88.00"
    assert total(fixed, "1 box CRUNCHY-ARMCHAIR") == "60.00"


@pytest.mark.parametrize(
    ("more", "reason", "params"),
    [
        ({"conditions": at_least("6")}, "needs_quantity", {"quantity": "6"}),
        ({"conditions": Conditions(max_quantity="4")}, "over_quantity", {"quantity": "4"}),
        ({"conditions": Conditions(currencies=("USD", "MXN"))}, "other_currency", {"currencies": "USD, MXN"}),
        ({"conditions": Conditions(countries=("ES",))}, "other_country", {"countries": "ES"}),
        ({"starts_at": day(1, 12)}, "starts", {"at": "2026-12-01T00:00:00Z"}),
        ({"ends_at": NOW}, "ended", {"at": "2026-11-21T12:00:00Z"}),
    ],
)
def test_a_rule_that_does_not_act_says_why(more: dict[str, Any], reason: str, params: dict[str, str]) -> None:
    line = priced(book(TEN, adjustments=(rule("R", "10", **more),)), "5 CRUNCHY-ARMCHAIR")

    assert losers(line) == {"R": (reason, params)}
    assert line.unit_price == "10.00"


@pytest.mark.parametrize(
    "more",
    [
        {"conditions": Conditions(min_quantity="5", max_quantity="5")},
        {"conditions": Conditions(currencies=("EUR", "USD"), countries=("DE", "ES"))},
        {"starts_at": NOW, "ends_at": day(1, 12)},
        {"audience": only(company="acme")},
        {"audience": only(countries=("DE",))},
    ],
)
def test_every_edge_of_a_condition_belongs_to_it_but_the_end_of_a_window(more: dict[str, Any]) -> None:
    assert chair(book(TEN, adjustments=(rule("R", "10", **more),)), "5") == "9.00"


def test_a_rule_for_others_is_not_even_mentioned() -> None:
    rules = (
        rule("TRADE", "10", audience=only(segments=("trade",))),
        rule("INITECH", "20", audience=only(company="initech"), group="second"),
    )
    layered = book(TEN, layers=(layer("unit", "first", "second"),), adjustments=rules)

    assert losers(priced(layered, "1 CRUNCHY-ARMCHAIR", buyer=ACME)) == {}
    assert [chair(layered, buyer=buyer) for buyer in (ACME, GLOBEX, INITECH)] == ["10.00", "9.00", "8.00"]


def test_the_window_edge_of_a_rule_ends_the_price() -> None:
    rules = (rule("NOW", "10", ends_at=day(5, 12)), rule("SOON", "20", starts_at=day(1, 12)))

    assert priced(book(TEN, adjustments=rules), "1 CRUNCHY-ARMCHAIR").valid_until == day(1, 12)


def test_within_a_group_priority_decides_and_an_equal_one_favours_the_buyer() -> None:
    high = book(TEN, adjustments=(rule("A", "30"), rule("B", "10", priority=1), rule("C", "20", priority=1)))

    line = priced(high, "1 CRUNCHY-ARMCHAIR")

    assert line.unit_price == "8.00"
    assert losers(line) == {"A": ("beaten", {"by": "C"}), "B": ("beaten", {"by": "C"})}


def test_equal_outcomes_are_ordered_by_code_in_the_trace() -> None:
    equal = book(TEN, adjustments=(rule("B", "10"), rule("A", AmountEffect(amount="1"), conditions=in_euro())))

    assert acting(priced(equal, "1 CRUNCHY-ARMCHAIR")) == ["LIST", "A"]


def test_lowest_is_judged_on_the_running_price() -> None:
    layers = (layer("unit", "first", "second", pick="lowest"),)
    rules = (
        rule("HALF", "50"),
        rule("TENTH", "10", group="second", priority=9),
        rule("ONE", AmountEffect(amount="0.6"), group="second", conditions=in_euro()),
    )
    # 10 less half is 5; a tenth of that is 0.50, so the amount of 0.60 is the better one
    assert chair(book(TEN, layers=layers, adjustments=rules)) == "4.40"


def test_in_sequence_percentages_compound_and_in_a_sum_they_add_up() -> None:
    rules = (rule("A", "10"), rule("B", "10", group="second"))
    sequence = book(TEN, layers=(layer("unit", "first", "second"),), adjustments=rules)
    summed = book(TEN, layers=(layer("unit", "first", "second", combine="sum"),), adjustments=rules)

    assert chair(sequence) == "8.10"
    assert chair(summed) == "8.00"


def test_layers_run_in_the_order_of_the_book() -> None:
    rules = (
        rule("PERCENT", "10", layer="percent"),
        rule("AMOUNT", AmountEffect(amount="1"), layer="amount", conditions=in_euro()),
    )
    percent, amount = layer("unit", code="percent"), layer("unit", code="amount")

    assert chair(book(TEN, layers=(percent, amount), adjustments=rules)) == "8.00"
    assert chair(book(TEN, layers=(amount, percent), adjustments=rules)) == "8.10"


@pytest.mark.parametrize(
    ("alone", "expected", "act"),
    [("15", "8.10", ["LIST", "A", "B"]), ("19", "8.10", ["LIST", "A", "B"]), ("20", "8.00", ["LIST", "X"])],
)
def test_an_exclusive_rule_acts_alone_if_that_is_better(alone: str, expected: str, act: list[str]) -> None:
    rules = (
        rule("A", "10"),
        rule("B", "10", group="second"),
        rule("X", alone, exclusive=True),
        rule("Y", "1", exclusive=True),
    )
    line = priced(book(TEN, layers=(layer("unit", "first", "second"),), adjustments=rules), "1 CRUNCHY-ARMCHAIR")

    assert line.unit_price == expected
    assert acting(line) == act
    assert losers(line) == {code: ("beaten", {"by": act[-1]}) for code in {"A", "B", "X", "Y"} - set(act)}


def test_an_exclusive_rule_without_rivals_acts_even_if_it_is_a_surcharge() -> None:
    alone = book(TEN, adjustments=(rule("X", PercentEffect(percent="5", surcharge=True), exclusive=True),))

    assert chair(alone) == "10.50"


def test_a_percentage_after_a_fixed_price_needs_another_layer() -> None:
    """erpnext #49405 stacked 5 % on a fixed price; in one group one rule acts."""
    rules = (rule("FIX", FixedPriceEffect(price="8"), priority=1, conditions=in_euro()), rule("FIVE", "5"))

    assert chair(book(TEN, adjustments=rules)) == "8.00"


def test_fees_are_not_touched_by_unit_rules() -> None:
    assert total(book(row("0:10+5"), adjustments=(rule("R", "10"),)), "2 CRUNCHY-ARMCHAIR") == "23.00"


def test_on_a_row_without_a_unit_price_percentages_act_on_the_amount_and_money_is_passed_over() -> None:
    slices = row(">0:10+2 >10:8", model="graduated")
    layers = (layer("unit", "first", "second", "third"),)
    rules = (
        rule("P", "10"),
        rule("A", AmountEffect(amount="1"), group="second", conditions=in_euro()),
        rule("F", FixedPriceEffect(price="1"), group="third", conditions=in_euro()),
    )
    line = priced(book(slices, layers=layers, adjustments=rules), "12 CRUNCHY-ARMCHAIR")

    assert (line.unit_price, line.list_price, line.subtotal) == (None, None, "106.40")
    assert losers(line) == {"A": ("no_unit_price", {}), "F": ("no_unit_price", {})}
    assert line.trace.next_break is None


def test_line_rules_see_the_amounts_after_extension() -> None:
    rules = (
        rule("LINE", "10", layer="line", conditions=in_euro(min_line_amount="100")),
        rule("SMALL", "1", layer="line", group="second", conditions=in_euro(max_line_amount="99.99")),
        rule("ORDER", "20", layer="line", group="third", conditions=in_euro(min_subtotal="150")),
        rule("TINY", "2", layer="line", group="fourth", conditions=in_euro(max_subtotal="20")),
    )
    four = layer("line", "first", "second", "third", "fourth")
    lined = book(TEN, row("0:60", sku="STOOL"), layers=(four,), adjustments=rules)

    assert priced(lined, "9 CRUNCHY-ARMCHAIR").subtotal == "89.10"
    assert priced(lined, "10 CRUNCHY-ARMCHAIR").subtotal == "90.00"
    assert total(lined, "9 CRUNCHY-ARMCHAIR", "1 STOOL") == "118.80"
    assert total(lined, "2 CRUNCHY-ARMCHAIR") == "19.40"
    assert losers(priced(lined, "9 CRUNCHY-ARMCHAIR")) == {
        "LINE": ("needs_line_amount", {"amount": "100", "currency": "EUR"}),
        "ORDER": ("needs_subtotal", {"amount": "150", "currency": "EUR"}),
        "TINY": ("over_subtotal", {"amount": "20", "currency": "EUR"}),
    }
    assert losers(priced(lined, "10 CRUNCHY-ARMCHAIR"))["SMALL"][0] == "over_line_amount"


def test_conditions_on_amounts_are_net() -> None:
    rules = (rule("LINE", "10", layer="line", conditions=in_euro(min_line_amount="100")),)
    gross = book(row("0:119"), lists=(public(tax_included=True),), adjustments=rules)
    a_cent_less = book(row("0:118.99"), lists=(public(tax_included=True),), adjustments=rules)

    assert priced(gross, "1 CRUNCHY-ARMCHAIR", tax=VAT).subtotal == "107.10"
    assert priced(a_cent_less, "1 CRUNCHY-ARMCHAIR", tax=VAT).subtotal == "118.99"


def test_an_amount_off_a_line_never_leaves_less_than_nothing() -> None:
    off = book(TEN, adjustments=(rule("R", AmountEffect(amount="25"), layer="line", conditions=in_euro()),))

    line = priced(off, "2 CRUNCHY-ARMCHAIR")

    assert line.subtotal == "0.00"
    assert [step.reason for step in line.trace.steps] == [
        "list_price",
        "times_quantity",
        "amount_off",
        "never_below_zero",
    ]


@pytest.mark.parametrize(
    ("quantity", "expected"), [("2", "20.00"), ("3", "20.00"), ("5", "40.00"), ("6", "40.00"), ("7", "50.00")]
)
def test_of_two_plus_one_complete_sets_have_one_free(quantity: str, expected: str) -> None:
    three_for_two = book(TEN, adjustments=(rule("R", BuyGetEffect(buy="2", get="1"), layer="line"),))

    assert total(three_for_two, f"{quantity} CRUNCHY-ARMCHAIR") == expected


def test_free_units_do_not_share_in_the_fee() -> None:
    with_fee = book(row("0:10+6"), adjustments=(rule("R", BuyGetEffect(buy="2", get="1"), layer="line"),))

    assert total(with_fee, "3 CRUNCHY-ARMCHAIR") == "26.00"
    assert losers(priced(with_fee, "2 CRUNCHY-ARMCHAIR")) == {"R": ("needs_quantity", {"quantity": "3"})}


def test_the_unit_is_rounded_before_the_line_only_if_the_policy_says_so() -> None:
    third = rule("R", "33.3333")
    rounded = book(TEN, adjustments=(third,))
    unrounded = book(TEN, adjustments=(third,), policy=RoundingPolicy(round_unit=False))

    assert total(rounded, "300 CRUNCHY-ARMCHAIR") == "2001.00"
    assert total(unrounded, "300 CRUNCHY-ARMCHAIR") == "2000.00"
    assert chair(unrounded) == "6.66667"


@pytest.mark.parametrize(("mode", "expected"), [("half_up", "1.01"), ("half_even", "1.00"), ("floor", "1.00")])
def test_the_line_is_rounded_by_the_mode_of_the_policy(mode: str, expected: str) -> None:
    policy = RoundingPolicy(round_unit=False, line=Rounding(mode=Mode(mode)))

    line = priced(book(row("0:1.005"), policy=policy), "1 CRUNCHY-ARMCHAIR")

    assert line.subtotal == expected
    assert (line.trace.steps[-1].phase, line.trace.steps[-1].reason) == ("round_line", mode)


def test_prices_of_boxes_that_do_not_divide_stay_exact() -> None:
    thirds = SkuFacts(
        sku="CRUNCHY-ARMCHAIR", units=(UnitFact(unit="each", decimals=2), UnitFact(unit="crate", factor="3"))
    )
    by_crate = book(
        row("1:10", unit="crate"),
        skus=(thirds,),
        adjustments=(rule("R", "10", conditions=at_least("3")),),
        policy=RoundingPolicy(round_unit=False),
    )

    assert total(by_crate, "1 crate CRUNCHY-ARMCHAIR") == "9.00"


def floor(price: str, **more: Any) -> Bound:
    limit = PriceLimit(prices=(CurrencyPrice(currency="EUR", price=price),))
    return Bound(code=f"FLOOR-{price}", side=Side.FLOOR, scope=Scope(everything=True), limit=limit, **more)


def ceiling(price: str, **more: Any) -> Bound:
    limit = PriceLimit(prices=(CurrencyPrice(currency="EUR", price=price),))
    return Bound(code=f"CEILING-{price}", side=Side.CEILING, scope=Scope(everything=True), limit=limit, **more)


@pytest.mark.parametrize(
    ("bounds", "percent", "expected"),
    [
        ((floor("6"),), "30", "7.00"),
        ((floor("6"),), "50", "6.00"),
        ((floor("6"), floor("8"), floor("7")), "50", "8.00"),
        ((floor("6.001"),), "40", "6.01"),
        ((ceiling("9"),), "0", "9.00"),
        ((ceiling("9"), ceiling("8.999"), ceiling("9.5")), "0", "8.99"),
        ((ceiling("12"),), "0", "10.00"),
        ((floor("9.001"), ceiling("9.009")), "50", "9.01"),
    ],
)
def test_the_strictest_bound_holds_and_is_rounded_inward(bounds: Any, percent: str, expected: str) -> None:
    bounded = book(TEN, adjustments=(rule("R", percent),), bounds=bounds)

    assert chair(bounded) == expected


def test_an_undisclosed_bound_is_not_named() -> None:
    shown = book(TEN, adjustments=(rule("R", "90"),), bounds=(floor("6", disclosed=True),))
    hidden = book(TEN, adjustments=(rule("R", "90"),), bounds=(floor("6"),))

    steps = [priced(one, "1 CRUNCHY-ARMCHAIR").trace.steps[2] for one in (shown, hidden)]

    assert [(step.reason, step.rule) for step in steps] == [("floor", "FLOOR-6"), ("floor", None)]


def test_a_margin_is_kept_over_cost() -> None:
    margin = Bound(code="M", side=Side.FLOOR, scope=Scope(everything=True), limit=MarginLimit(percent="25"))
    said = ("USD", "9"), ("EUR", "6.1")
    costs = tuple(Cost(sku=CHAIR.sku, currency=currency, cost=cost) for currency, cost in said)
    kept = book(TEN, adjustments=(rule("R", "50"),), bounds=(margin,), costs=costs)
    by_box = book(row("0:100", unit="box"), adjustments=(rule("R", "50"),), bounds=(margin,), costs=costs)

    assert chair(kept) == "8.14"  # 6.10 / 0.75 = 8.1333..., rounded inward
    assert total(by_box, "1 box CRUNCHY-ARMCHAIR") == "97.60"
    on_the_line = book(row("0:10+0.05"), adjustments=(rule("R", "50", layer="line"),), bounds=(margin,), costs=costs)
    assert total(on_the_line, "3 CRUNCHY-ARMCHAIR") == "24.45"  # 3 x 8.1333... + 0.05


def test_a_bound_that_does_not_cover_the_currency_refuses() -> None:
    dollars = Bound(
        code="D",
        side=Side.FLOOR,
        scope=Scope(everything=True),
        limit=PriceLimit(prices=(CurrencyPrice(currency="USD", price="1"),)),
    )
    margin = Bound(code="M", side=Side.FLOOR, scope=Scope(everything=True), limit=MarginLimit(percent="25"))

    for bound in (dollars, margin):
        assert refused(book(TEN, bounds=(bound,)), "1 CRUNCHY-ARMCHAIR") == ("bound_not_covered", {})


def test_bounds_compare_net_amounts() -> None:
    gross = book(
        row("0:119"), lists=(public(tax_included=True),), adjustments=(rule("R", "50"),), bounds=(floor("80"),)
    )

    line = priced(gross, "1 CRUNCHY-ARMCHAIR", tax=VAT)

    assert (line.subtotal, line.net) == ("95.20", "80.00")


def test_the_line_keeps_the_unit_bounds_times_the_quantity() -> None:
    low = rule("R", "50", layer="line")
    high = rule("R", PercentEffect(percent="50", surcharge=True), layer="line")

    assert total(book(row("0:10+3"), adjustments=(low,), bounds=(floor("8.001"),)), "3 CRUNCHY-ARMCHAIR") == "27.01"
    assert total(book(row("0:10+3"), adjustments=(high,), bounds=(ceiling("11"),)), "3 CRUNCHY-ARMCHAIR") == "36.00"
    both = (floor("10.001"), ceiling("10.002"))
    assert total(book(TEN, adjustments=(low,), bounds=both), "1 CRUNCHY-ARMCHAIR") == "10.01"


def test_an_unrounded_unit_keeps_unrounded_bounds() -> None:
    bounded = book(
        TEN, adjustments=(rule("R", "50"),), bounds=(floor("8.001"),), policy=RoundingPolicy(round_unit=False)
    )

    assert chair(bounded) == "8.001"
    assert total(bounded, "1000 CRUNCHY-ARMCHAIR") == "8001.00"


def reseller(*, offers: Any, discount: Any) -> MemoryBook:
    """AdventureWorks: list x (0.60 - offer), half-up to 4 decimals, and the offer once more on the line."""
    dealer = Layer(
        code="dealer",
        level=Level.UNIT,
        combine=Combine.SUM,
        groups=(Group(code="dealer"), Group(code="offer", pick=Pick.LOWEST)),
    )
    return book(
        row("0:3578.27"),
        layers=(dealer, layer("line", pick="lowest")),
        adjustments=(rule("DEALER", "40", layer="dealer", group="dealer"), *offers, *discount),
        policy=FOUR_DECIMALS,
    )


@pytest.mark.parametrize(
    ("quantity", "unit", "amount"),
    [("10", "2146.962", "21469.6200"), ("11", "2075.3966", "22372.7753"), ("14", "2075.3966", "28474.4414"),
     ("15", "1968.0485", "28044.6911")],
)  # fmt: skip
def test_the_dealer_discount_and_the_best_offer_add_up_and_the_offer_counts_twice(
    quantity: str, unit: str, amount: str
) -> None:
    windows = (
        ("OFFER-2", "2", Conditions(min_quantity="11", max_quantity="14")),
        ("OFFER-5", "5", Conditions(min_quantity="15", max_quantity="24")),
        ("OFFER-1", "1", Conditions(min_quantity="11")),
    )
    dealt = reseller(
        offers=[rule(code, off, layer="dealer", group="offer", conditions=when) for code, off, when in windows],
        discount=[rule(f"{code}-LINE", off, layer="line", conditions=when) for code, off, when in windows],
    )

    line = priced(dealt, f"{quantity} CRUNCHY-ARMCHAIR")

    assert (line.unit_price, line.subtotal) == (unit, amount)


def test_an_answer_of_four_decimals_is_rounded_to_cents_once() -> None:
    fine = book(row("0:0.3333"), row("0:0.3333", sku="STOOL"), policy=FOUR_DECIMALS)

    answer = ask(fine, "1 CRUNCHY-ARMCHAIR", "1 STOOL")

    assert [line.subtotal for line in answer.lines] == ["0.3333", "0.3333"]  # type: ignore[union-attr] # both are priced
    assert answer.total is not None
    assert answer.total.decimal == "0.67"


def test_at_most_twenty_losers_are_reported_and_the_others_counted() -> None:
    many = book(TEN, adjustments=tuple(rule(f"R{number:02}", str(number)) for number in range(1, 31)))

    trace = priced(many, "1 CRUNCHY-ARMCHAIR").trace

    assert (len(trace.losers), trace.losers_left_out) == (20, 9)


@pytest.mark.parametrize("combine", ["sequence", "sum"])
def test_the_longest_chain_of_rules_stays_short_enough_to_write(combine: str) -> None:
    codes = [f"L{number:02}" for number in range(50)]
    groups = ("first", "second")
    layers = tuple(layer("unit", "first", "second", combine=combine, code=code) for code in codes)
    rules = tuple(
        rule(f"{code}-{group}", "0.000000000001", layer=code, group=group) for code in codes for group in groups
    )

    line = priced(book(TEN, layers=layers, adjustments=rules), "3 CRUNCHY-ARMCHAIR")

    assert line.subtotal == "30.00"
    assert max(len(step.after) for step in line.trace.steps) < 2_000


# --- At the edges of bounds, windows and roundings ---


def test_an_amount_off_or_a_fixed_price_that_begins_later_changes_nothing_yet() -> None:
    effects: tuple[Effect, ...] = AmountEffect(amount="1"), FixedPriceEffect(price="3")
    for number, effect in enumerate(effects):
        soon = rule(f"SOON-{number}", effect, starts_at=day(1, 12), conditions=in_euro())
        line = priced(book(TEN, adjustments=(soon,)), "1 CRUNCHY-ARMCHAIR")

        assert line.unit_price == "10.00"
        assert losers(line) == {soon.code: ("starts", {"at": "2026-12-01T00:00:00Z"})}


@pytest.mark.parametrize(("price", "charged"), [("5", "12.00"), ("11", "12.00"), ("20", "12.00")])
def test_a_floor_above_the_ceiling_is_the_price(price: str, charged: str) -> None:
    of = book(row(f"0:{price}"), bounds=(floor("12"), ceiling("10")))

    assert priced(of, "1 CRUNCHY-ARMCHAIR").unit_price == charged


def test_percentages_that_come_out_even_leave_nothing_to_round() -> None:
    of = book(
        TEN, layers=(layer("unit", "a", "b"),), adjustments=(rule("A", "10", group="a"), rule("B", "50", group="b"))
    )

    steps = priced(of, "2 CRUNCHY-ARMCHAIR").trace.steps

    assert [(step.phase, step.after) for step in steps] == [
        ("price", "10"), ("unit", "9"), ("unit", "4.5"), ("extend", "9"),
    ]  # fmt: skip


@pytest.mark.parametrize("disclosed", [True, False])
def test_a_ceiling_is_named_where_it_is_disclosed(disclosed: bool) -> None:
    top = ceiling("8", disclosed=disclosed)

    (step,) = [
        step for step in priced(book(TEN, bounds=(top,)), "1 CRUNCHY-ARMCHAIR").trace.steps if step.phase == "bound"
    ]

    assert (step.reason, step.rule, step.after) == ("ceiling", "CEILING-8" if disclosed else None, "8")
