"""Warnings about what prices do."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from pricing.engine import BookContent, Buyer, MemoryBook, finding_text
from pricing.engine.book import (
    AmountEffect,
    BuyGetEffect,
    Conditions,
    Cost,
    FixedPriceEffect,
    Package,
    PercentEffect,
    PercentStep,
    QuantityRule,
    QuantityTableEffect,
    Rounding,
    RoundingPolicy,
    Scope,
    SkuFacts,
    UnitFact,
)
from pricing.engine.check import Thresholds
from pricing.engine.check_amounts import EntriesBook
from pricing.engine.check_cells import Cells
from pricing.engine.check_classes import Classes
from pricing.engine.check_content import sound_entries
from pricing.engine.check_prices import CROSSINGS, PORTION, PriceChecks
from pricing.engine.memory import entries_of, frame_of
from pricing.engine.rules import Rules
from tests.pricing.engine.cast import (
    CHAIR,
    EVERYTHING,
    GLOBEX,
    GUEST,
    INITECH,
    NOW,
    ROPE,
    STOOL,
    at_least,
    content,
    day,
    in_euro,
    layer,
    only,
    public,
    row,
    rule,
)
from tests.pricing.engine.checking import codes, findings, net, the

TRADE = public("TRADE", audience=only(segments=("trade",)))
CONTRACT = public("CONTRACT", audience=only(company="initech"))
PUBLIC = public()
WHOLE_PAIR = Package(size="2", whole_quantity=True)


def one_sku(*rows: Any, **more: Any) -> BookContent:
    return content(*rows, **{"skus": (CHAIR,), **more})


def falls(of: BookContent) -> dict[str, tuple[str, str]]:
    """By list or rule the two quantities; the engine confirms each fall, between neighbours."""
    found = {}
    for finding in findings(of):
        if finding.code == "total_falls":
            params = finding.params
            before, after = net(of, finding.witness), net(of, finding.witness, quantity=params["more"])
            assert (before, after) == (params["before"], params["after"])
            assert Decimal(after) < Decimal(before)
            found[params["by"]] = params["quantity"], params["more"]
    return found


@pytest.mark.parametrize(
    ("of", "fall"),
    [
        (one_sku(row("1:10 10:8.4")), {"LIST": ("9", "10")}),
        (one_sku(row("1:10 >10:8.4")), {"LIST": ("10", "11")}),
        (one_sku(row("1:10 10:9.9 20:8")), {"LIST": ("19", "20")}),
        (one_sku(row("1:10+30 5:10")), {"LIST": ("4", "5")}),
        (one_sku(row(">0:10 >9:8", model="graduated")), {}),
        (one_sku(row(">0:10+5 >9:8+5", model="graduated")), {}),
        (
            one_sku(row(">0:10 >1:4", model="package", package=Package(size="5", whole_quantity=True))),
            {"LIST": ("5", "6")},
        ),
        (
            one_sku(
                row(
                    ">0:10 >1:4",
                    model="package",
                    package=Package(size="5", free="2", round_up=False, whole_quantity=True),
                )
            ),
            {"LIST": ("11", "12")},
        ),
        (one_sku(row(">0:10 >1:4", model="package", package=Package(size="5"))), {}),
        (
            one_sku(row(">0:10 >1.5:4", model="package", package=Package(size="5", whole_quantity=True))),
            {"LIST": ("5", "6")},
        ),
        (one_sku(row("0:10"), adjustments=(rule("TEN", "15", conditions=at_least("10")),)), {"TEN": ("9", "10")}),
        (
            one_sku(
                row("0:10"),
                adjustments=(
                    rule("SMALL", PercentEffect(percent="50", surcharge=True), conditions=Conditions(max_quantity="4")),
                ),
            ),
            {"SMALL": ("4", "5")},
        ),
        (
            one_sku(
                row("0:10"),
                adjustments=(
                    rule(
                        "TABLE",
                        QuantityTableEffect(
                            steps=(PercentStep(from_="3", percent="1"), PercentStep(from_="6", percent="30"))
                        ),
                    ),
                ),
            ),
            {"TABLE": ("5", "6")},
        ),
        (
            one_sku(row("0:10"), adjustments=(rule("3FOR2", BuyGetEffect(buy="2", get="1"), layer="line"),)),
            {},
        ),
        (
            one_sku(row("0:10"), adjustments=(rule("10+2", BuyGetEffect(buy="10", get="2"), layer="line"),)),
            {"10+2": ("11", "12")},
        ),
        (
            one_sku(
                row("0:10"),
                adjustments=(
                    rule("HUNDRED", "20", layer="line", conditions=in_euro(min_line_amount="100")),
                    rule("THOUSAND", "10", layer="order", conditions=in_euro(min_subtotal="1000")),
                ),
            ),
            {"HUNDRED": ("9", "10"), "THOUSAND": ("99", "100")},
        ),
        (
            one_sku(
                row("0:10"),
                adjustments=(
                    rule(
                        "FREIGHT",
                        AmountEffect(amount="25", surcharge=True),
                        layer="line",
                        conditions=in_euro(max_line_amount="150"),
                    ),
                ),
            ),
            {"FREIGHT": ("15", "16")},
        ),
        (
            one_sku(
                row("0:10"),
                adjustments=(rule("FIXED", FixedPriceEffect(price="2"), conditions=in_euro(min_quantity="3")),),
            ),
            {"FIXED": ("2", "3")},
        ),
    ],
)
def test_a_total_that_falls_is_shown_by_its_neighbours(of: BookContent, fall: dict[str, tuple[str, str]]) -> None:
    assert falls(of) == fall


def test_a_fall_past_an_amount_is_found_however_close_the_breaks_around_it_are() -> None:
    """One step after it the total is above what it was one step before."""
    rules = (rule("R", "15", layer="line", conditions=in_euro(min_line_amount="100")),)
    assert falls(one_sku(row("1:10 9:10 12:10"), adjustments=rules)) == {"R": ("9", "10")}


def test_a_fall_past_an_amount_is_found_at_the_one_quantity_between_two_that_are_asked() -> None:
    """Those at and after a break, and that before the next."""
    rules = (rule("R", "15", layer="line", conditions=in_euro(min_line_amount="70")),)
    assert falls(one_sku(row("1:10 5:10 9:10"), adjustments=rules)) == {"R": ("6", "7")}


def test_of_two_quantity_tables_the_one_with_a_step_there_is_blamed() -> None:
    three = QuantityTableEffect(steps=(PercentStep(from_="3", percent="1"),))
    six = QuantityTableEffect(steps=(PercentStep(from_="2", percent="1"), PercentStep(from_="6", percent="30")))
    rules = rule("THREE", three), rule("SIX", six, group="second")
    of = one_sku(row("0:10"), adjustments=rules, layers=(layer("unit", "first", "second"),))
    assert falls(of) == {"SIX": ("5", "6")}


def test_an_amount_of_many_decimals_is_passed_to_the_last_of_them() -> None:
    finest = RoundingPolicy(unit=Rounding(decimals=12), line=Rounding(decimals=12), round_unit=False)
    rules = (rule("R", "60", layer="line", conditions=in_euro(min_line_amount="246913.578024691356")),)
    of = one_sku(row("1:123456.789012345678"), adjustments=rules, policy=finest)
    assert falls(of) == {"R": ("1", "2")}
    later = rule("R", "60", layer="line", conditions=in_euro(min_line_amount="246913.578024691357"))
    assert falls(replace(of, adjustments=(later,))) == {"R": ("2", "3")}
    fifth = rule("R", "60", layer="line", conditions=in_euro(min_line_amount="617283.94506172839"))
    assert falls(replace(of, adjustments=(fifth,))) == {"R": ("4", "5")}


def test_an_amount_as_fine_as_a_unit_s_price_is_passed_to_the_last_of_its_decimals() -> None:
    fine = RoundingPolicy(unit=Rounding(decimals=6))
    fifth = (rule("R", "60", layer="line", conditions=in_euro(min_line_amount="5.000005")),)
    assert falls(one_sku(row("1:1.000001"), adjustments=fifth, policy=fine)) == {"R": ("4", "5")}


def test_an_amount_of_many_millions_is_passed() -> None:
    millions = (rule("R", "15", layer="line", conditions=in_euro(min_line_amount="10000000")),)
    assert falls(one_sku(row("1:10"), adjustments=millions)) == {"R": ("999999", "1000000")}


def test_a_rule_between_two_amounts_is_seen_to_act_there_though_others_pass_other_amounts() -> None:
    skus = tuple(replace(STOOL, sku=f"STOOL-{number:02}") for number in range(CROSSINGS + 1))
    rules = (
        rule("WIDE", "1", layer="line", conditions=in_euro(min_line_amount="100")),
        rule(
            "NARROW",
            "0.1",
            layer="line",
            group="second",
            conditions=in_euro(min_line_amount="505", max_line_amount="515"),
        ),
    )
    of = content(
        *(row("1:10", sku=one.sku) for one in skus),
        skus=skus,
        adjustments=rules,
        layers=(layer("line", "first", "second"),),
    )
    assert "rule_never_acts" not in codes(of)


def test_an_amount_a_trillionth_below_one_that_a_rule_names_does_not_pass_it() -> None:
    exact = RoundingPolicy(unit=Rounding(decimals=12), line=Rounding(decimals=12), round_unit=False)
    narrow = rule("NARROW", "0.1", layer="line", conditions=in_euro(min_line_amount="100", max_line_amount="150"))
    of = content(row("0:3333.333333333333", sku="ROPE"), skus=(ROPE,), adjustments=(narrow,), policy=exact)
    assert "rule_never_acts" not in codes(of)


def test_a_total_falls_across_the_first_tier_of_another_list() -> None:
    of = one_sku(row("1:10"), row("10:8", of="CONTRACT"), lists=(PUBLIC, CONTRACT))
    finding = the("total_falls", of, buyers=[INITECH])

    assert (finding.params["by"], finding.params["before"], finding.params["after"]) == ("CONTRACT", "90.00", "80.00")
    assert finding.witness is not None
    assert finding.witness.buyer == INITECH
    assert falls(of) == {"CONTRACT": ("9", "10")}


def test_a_fall_where_a_tier_and_a_rule_begin_is_the_list_s() -> None:
    ten = rule("TEN", "1", conditions=at_least("10"))
    assert falls(one_sku(row("1:10 10:6"), adjustments=(ten,))) == {"LIST": ("9", "10")}
    assert falls(one_sku(row("1:10 11:6"), adjustments=(ten,))) == {"LIST": ("10", "11")}
    two = rule("TEN", "40", conditions=at_least("10")), rule("OTHER", "1", conditions=at_least("9"), group="second")
    grouped = one_sku(row("1:10 20:9.9"), adjustments=two, layers=(layer("unit", "first", "second"),))
    assert falls(grouped) == {"TEN": ("9", "10")}


def test_a_rule_makes_the_totals_of_each_currency_fall() -> None:
    of = one_sku(
        row("1:10"),
        row("1:20 3:19.9", of="DOLLARS"),
        lists=(PUBLIC, public("DOLLARS", "USD")),
        adjustments=(rule("TEN", "15", conditions=at_least("10")),),
    )
    told = [(one.params["by"], one.params["currency"]) for one in findings(of) if one.code == "total_falls"]
    assert told == [("TEN", "EUR"), ("TEN", "USD")]


def test_a_total_that_stays_does_not_fall_beside_one_that_does() -> None:
    of = content(row("1:10 10:8.4"), row("1:10 10:9", sku="STOOL"), skus=(CHAIR, STOOL))
    params = the("total_falls", of).params
    assert params["sku"] == CHAIR.sku
    assert "count" not in params


def test_a_fall_of_one_cent_is_a_fall() -> None:
    assert falls(one_sku(row("1:0.5 3:0.33"))) == {"LIST": ("2", "3")}


def test_the_rule_that_acts_is_blamed_and_not_one_that_it_beats() -> None:
    beaten = rule("A", "30", conditions=at_least("10")), rule("B", "20", conditions=at_least("10"), priority=1)
    assert falls(one_sku(row("1:10"), adjustments=beaten)) == {"B": ("9", "10")}


def test_a_fall_at_the_largest_quantity_that_may_be_bought_is_found() -> None:
    most = QuantityRule(code="Q", scope=EVERYTHING, maximum="10")
    assert falls(one_sku(row("1:10 10:7"), quantity_rules=(most,))) == {"LIST": ("9", "10")}


def test_falls_of_alike_skus_are_told_by_the_list_of_each() -> None:
    other = public("OTHER", priority=1, audience=only(company="initech"))
    rows = row("1:10"), row("1:10", sku="STOOL"), row("10:8", of="CONTRACT"), row("10:8", sku="STOOL", of="OTHER")
    found = findings(content(*rows, skus=(CHAIR, STOOL), lists=(PUBLIC, CONTRACT, other)), buyers=[INITECH])

    assert [(finding.params["by"], finding.params["sku"]) for finding in found if finding.code == "total_falls"] == [
        ("CONTRACT", CHAIR.sku),
        ("OTHER", "STOOL"),
    ]


def test_the_neighbour_is_the_next_quantity_that_may_be_bought() -> None:
    by_four = QuantityRule(code="Q", scope=EVERYTHING, multiple="4", minimum="6")
    assert falls(one_sku(row("1:10 10:6"), quantity_rules=(by_four,))) == {"LIST": ("8", "12")}
    assert falls(one_sku(row("1:10 10:7"), quantity_rules=(by_four,))) == {}
    by_box = QuantityRule(code="Q", scope=EVERYTHING, unit="box", multiple="3")
    of = one_sku(row("1:10"), row("1:100 5:40", unit="box"), quantity_rules=(by_box,))
    assert falls(of) == {"LIST": ("3", "6")}
    two = QuantityRule(code="Q", scope=EVERYTHING, multiple="6"), QuantityRule(code="R", scope=EVERYTHING, multiple="4")
    assert falls(one_sku(row("1:10 10:6"), quantity_rules=two)) == {}
    assert falls(one_sku(row("1:10 20:4"), quantity_rules=two)) == {"LIST": ("12", "24")}
    most = QuantityRule(code="Q", scope=EVERYTHING, maximum="9")
    assert falls(one_sku(row("1:10 10:7"), quantity_rules=(most,))) == {}
    none = QuantityRule(code="Q", scope=EVERYTHING, minimum="9", maximum="8")
    assert falls(one_sku(row("1:10 10:7"), quantity_rules=(none,))) == {}


def test_fractions_are_neighbours_by_the_units_step() -> None:
    assert falls(content(row("0:10 2.5:7", sku="ROPE"), skus=(ROPE,))) == {"LIST": ("2.49", "2.5")}


def test_falls_of_one_list_are_one_finding_with_the_worst_of_them() -> None:
    of = content(row("1:10 10:9.5"), row("1:100 10:50", sku="STOOL"), row("1:1 10:0.5", sku="ROPE"))
    finding = the("total_falls", of)

    assert finding.params == {
        "by": "LIST",
        "sku": "STOOL",
        "unit": "each",
        "currency": "EUR",
        "quantity": "9",
        "before": "900.00",
        "more": "10",
        "after": "500.00",
        "count": "2",
        "others": "ROPE",
    } | {"count": "2"}
    assert finding_text(finding, "en") == (
        "By LIST, more cost less: 9 each of STOOL cost 900.00 EUR, 10 cost 500.00. In all 2 SKUs, ROPE among them."
    )


def test_the_worst_of_alike_falls_is_shown_wherever_it_stands() -> None:
    params = the("total_falls", content(row("1:10 10:8"), row("1:100 10:50", sku="STOOL"), skus=(CHAIR, STOOL))).params

    assert (params["sku"], params["count"], params["others"]) == ("STOOL", "2", CHAIR.sku)


def test_a_fall_that_begins_at_a_window_edge_is_shown_then() -> None:
    of = one_sku(row("1:10", ends_at=day(30)), row("1:10 5:6", starts_at=day(30)))
    finding = the("total_falls", of)

    assert finding.witness is not None
    assert finding.witness.at == day(30)
    assert falls(of) == {"LIST": ("4", "5")}


def test_a_fall_under_a_threshold_of_a_package_row_is_found_too() -> None:
    of = one_sku(
        row(">0:30", model="package", package=Package(size="4")),
        adjustments=(rule("R", "50", layer="line", conditions=in_euro(min_line_amount="100")),),
    )
    assert falls(of) == {"R": ("12", "13")}


def test_a_buyer_who_pays_more_than_everyone_is_named() -> None:
    of = one_sku(row("1:10 10:7"), row("1:8", of="CONTRACT"), lists=(PUBLIC, CONTRACT))
    finding = the("dearer_than_public", of, buyers=[Buyer(company="acme"), INITECH])

    assert finding.params["who"] == "initech"
    assert finding.witness is not None
    assert (finding.witness.buyer, finding.params["quantity"]) == (INITECH, "10")
    assert net(of, finding.witness) == finding.params["amount"] == "80.00"
    assert net(of, finding.witness, buyer=GUEST) == finding.params["public"] == "70.00"
    cheaper = one_sku(row("1:10 10:7"), row("1:7", of="CONTRACT"), lists=(PUBLIC, CONTRACT))
    assert "dearer_than_public" not in codes(cheaper)


def test_who_pays_the_most_above_everyone_is_shown() -> None:
    """In parts of everyone's price, cents included."""
    once = QuantityRule(code="Q", scope=EVERYTHING, maximum="1")
    rows = row("1:0.01"), row("1:10", sku="STOOL"), row("1:1", sku="ROPE")
    contract = (
        row("1:0.02", of="CONTRACT"),
        row("1:18", sku="STOOL", of="CONTRACT"),
        row("1:1", sku="ROPE", of="CONTRACT"),
    )
    of = content(*rows, *contract, lists=(PUBLIC, CONTRACT), quantity_rules=(once,))
    params = the("dearer_than_public", of, buyers=[INITECH]).params

    assert (params["by"], params["sku"], params["count"], params["others"]) == ("CONTRACT", CHAIR.sku, "2", "STOOL")
    assert (params["amount"], params["public"], params["currency"]) == ("0.02", "0.01", "EUR")


def test_everyone_is_asked_in_the_buyers_own_country() -> None:
    spanish = public("ES", audience=only(countries=("ES",)))
    of = one_sku(row("1:10"), row("1:12", of="ES"), row("1:11", of="CONTRACT"), lists=(PUBLIC, spanish, CONTRACT))

    assert "dearer_than_public" in codes(of, buyers=[Buyer(company="initech", country="DE")])
    assert "dearer_than_public" not in codes(of, buyers=[Buyer(company="initech", country="ES")])


def test_a_surcharge_for_a_segment_makes_it_pay_more() -> None:
    charge = rule("CHARGE", PercentEffect(percent="3", surcharge=True), audience=only(segments=("trade",)))
    of = one_sku(row("1:10"), adjustments=(charge,))

    finding = the("dearer_than_public", of, buyers=[GLOBEX])
    assert finding.witness is not None
    assert finding.witness.buyer == GLOBEX
    assert net(of, finding.witness) > net(of, finding.witness, buyer=GUEST)


def test_a_margin_below_the_threshold_is_told_at_its_lowest() -> None:
    costs = Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="8"), Cost(sku="STOOL", currency="USD", cost="900")
    of = content(row("1:10 10:9 50:7.5"), row("1:10", sku="STOOL"), skus=(CHAIR, STOOL), costs=costs)

    finding = the("low_margin", of)
    assert (finding.params["quantity"], finding.params["amount"], finding.params["margin"]) == ("50", "375.00", "-6.7")
    assert net(of, finding.witness) == "375.00"
    assert "low_margin" not in codes(of, thresholds=Thresholds(margin_percent="-10"))
    assert "low_margin" not in codes(content(row("1:8"), skus=(CHAIR,), costs=costs[:1]))
    assert the("low_margin", of, thresholds=Thresholds(margin_percent="15")).params["threshold"] == "15"


def test_a_margin_is_told_to_a_tenth_of_a_percent_for_any_unit() -> None:
    costs = Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="8"), Cost(sku="ROPE", currency="EUR", cost="8")

    assert the("low_margin", one_sku(row("1:1"), costs=costs[:1])).params["margin"] == "-700.0"
    params = the("low_margin", content(row("0:1", sku="ROPE"), skus=(ROPE,), costs=costs[1:])).params
    assert (params["margin"], params["by"], params["currency"]) == ("-700.0", "LIST", "EUR")


def test_a_dear_sku_keeps_its_cost_beside_one_whose_cost_has_many_decimals() -> None:
    costs = (
        Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="0.000000000001"),
        Cost(sku="STOOL", currency="EUR", cost="6000000"),
        Cost(sku="ROPE", currency="EUR", cost="0.5"),
    )
    of = content(row("1:1"), row("1:5500000", sku="STOOL"), row("1:1", sku="ROPE"), costs=costs)
    params = the("low_margin", of).params

    assert (params["sku"], params["margin"]) == ("STOOL", "-9.1")
    assert "count" not in params


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        ({"EUR": "8"}, []),
        ({"USD": "8"}, ["USD"]),
        ({"EUR": "1", "USD": "8"}, ["USD"]),
        ({"EUR": "11", "USD": "8"}, ["EUR", "USD"]),
        ({"EUR": "11", "USD": "1"}, ["EUR"]),
    ],
)
def test_a_margin_is_of_the_cost_in_its_own_currency(costs: dict[str, str], told: list[str]) -> None:
    known = tuple(Cost(sku=CHAIR.sku, currency=currency, cost=cost) for currency, cost in costs.items())
    of = one_sku(row("1:10"), row("1:5", of="DOLLARS"), lists=(PUBLIC, public("DOLLARS", "USD")), costs=known)

    found = [finding.params["currency"] for finding in findings(of) if finding.code == "low_margin"]
    assert sorted(found) == told


def test_the_lowest_margin_is_shown_whatever_it_is_counted_in() -> None:
    costs = tuple(Cost(sku=sku, currency="EUR", cost="10") for sku in (CHAIR.sku, "ROPE", "STOOL"))
    of = content(row("1:12", unit="box"), row("0:5", sku="ROPE"), row("1:5", sku="STOOL"), costs=costs)
    params = the("low_margin", of).params

    assert (params["sku"], params["unit"], params["margin"], params["count"]) == (CHAIR.sku, "box", "-900.0", "3")


FINEST = RoundingPolicy(unit=Rounding(decimals=12), line=Rounding(decimals=12))


def test_what_costs_nothing_has_no_low_margin_beside_what_does() -> None:
    costs = Cost(sku=CHAIR.sku, currency="EUR", cost="2000000"), Cost(sku="STOOL", currency="EUR", cost="0")
    of = content(row("1:1000000"), row("1:1000000", sku="STOOL"), skus=(CHAIR, STOOL), costs=costs, policy=FINEST)
    params = the("low_margin", of).params

    assert params["sku"] == CHAIR.sku
    assert "count" not in params


@pytest.mark.parametrize(
    ("price", "most", "cost", "told"),
    [
        ("1:100000", "1", "1", []),
        ("1:1", "1", "100000", ["1"]),
        ("1:400 100:1", "100", "1000", ["100"]),
    ],
)
def test_a_dear_price_with_a_cheap_cost_and_the_reverse(price: str, most: str, cost: str, told: list[str]) -> None:
    """Where a price and what it costs lie far apart, one of them alone may need more than 64 bits."""
    costs = (Cost(sku=CHAIR.sku, currency="EUR", cost=cost),)
    up_to = QuantityRule(code="Q", scope=EVERYTHING, maximum=most)
    found = findings(one_sku(row(price), costs=costs, policy=FINEST, quantity_rules=(up_to,)))

    assert [one.params["quantity"] for one in found if one.code == "low_margin"] == told


def test_a_cost_of_more_than_64_bits_beside_one_of_many_decimals_is_compared() -> None:
    costs = (
        Cost(sku=CHAIR.sku, currency="EUR", cost="10000000"),
        Cost(sku="ROPE", currency="EUR", cost="0.000000000001"),
    )
    of = content(row("1:8000000"), row("1:1", sku="ROPE"), skus=(CHAIR, ROPE), costs=costs)

    assert the("low_margin", of).params["margin"] == "-25.0"


def test_what_is_given_away_has_no_margin_at_all() -> None:
    costs = (Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="0.000000000001"),)
    finding = the("low_margin", one_sku(row("1:0"), costs=costs))

    assert finding.params["margin"] == "-∞"


def test_boxes_have_the_margin_of_what_is_in_them() -> None:
    costs = (Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="8"),)
    of = one_sku(row("1:10"), row("1:90", unit="box"), costs=costs)
    finding = the("low_margin", of)

    assert (finding.params["unit"], finding.params["margin"]) == ("box", "-6.7")


def test_a_jump_against_the_book_in_force_is_told_with_both_prices() -> None:
    before = one_sku(row("1:10 10:8"))
    book = MemoryBook(before, root="r")
    of = one_sku(row("1:10"))

    half = Thresholds(jump_percent="12.5")
    assert codes(one_sku(row("1:11.25 10:9")), current=book, thresholds=half) == ["total_falls"]
    assert the("price_jumps", one_sku(row("1:11.26 10:8")), current=book, thresholds=half).params["percent"] == "+12.6"
    assert codes(one_sku(row("1:12.5 10:8")), current=book) == ["total_falls"], "25 % is not more than 25 %"
    risen = the("price_jumps", one_sku(row("1:12.51 10:8")), current=book)
    assert risen.params["percent"] == "+25.1"
    dropped_tier = the("price_jumps", of, current=book, thresholds=Thresholds(jump_percent="20"))
    assert (dropped_tier.params["quantity"], dropped_tier.params["percent"]) == ("10", "+25.0")
    assert net(of, dropped_tier.witness) == dropped_tier.params["amount"] == "100.00"
    assert net(before, dropped_tier.witness) == dropped_tier.params["before"] == "80.00"
    fallen = the("price_jumps", one_sku(row("1:2")), current=book)
    assert fallen.params["percent"] == "-80.0"


def test_a_jump_by_a_changed_rule_is_found_at_its_own_quantity() -> None:
    book = MemoryBook(one_sku(row("1:10"), adjustments=(rule("R", "50", conditions=at_least("7")),)), root="r")
    finding = the("price_jumps", one_sku(row("1:10")), current=book)

    assert (finding.params["quantity"], finding.params["percent"]) == ("7", "+100.0")


def test_what_can_no_longer_be_bought_singly_has_not_become_cheap() -> None:
    book = MemoryBook(one_sku(row("1:10")), root="r")
    assert codes(one_sku(row("5:10")), current=book) == []


@pytest.mark.parametrize("policy", [RoundingPolicy(), FINEST])
def test_the_widest_jump_is_shown(policy: RoundingPolicy) -> None:
    """In parts of the price before, however finely the new one is rounded."""
    before = content(row("1:0.01"), row("1:10", sku="STOOL"), skus=(CHAIR, STOOL))
    once = QuantityRule(code="Q", scope=EVERYTHING, maximum="1")
    rows = row("1:0.02"), row("1:18", sku="STOOL")
    of = content(*rows, skus=(CHAIR, STOOL), quantity_rules=(once,), policy=policy)
    params = the("price_jumps", of, current=MemoryBook(before, root="r")).params

    assert (params["by"], params["sku"], params["percent"], params["count"]) == ("LIST", CHAIR.sku, "+100.0", "2")


def test_what_is_new_or_was_free_and_what_did_not_change() -> None:
    book = MemoryBook(one_sku(row("1:0")), root="r")

    assert the("price_jumps", one_sku(row("1:1")), current=book).params["percent"] == "+∞"
    assert codes(content(row("1:0"), row("1:5", sku="STOOL"), skus=(CHAIR, STOOL)), current=book) == []


def test_a_book_with_many_questions_is_found_the_same_as_its_parts() -> None:
    """Many questions are swept, few are asked one by one."""
    fine = UnitFact(unit="gram", decimals=7)
    skus = [
        *(replace(CHAIR, sku=f"CHAIR-{number}") for number in range(60)),
        *(replace(STOOL, sku=f"STOOL-{number}") for number in range(40)),
        *(replace(ROPE, sku=f"ROPE-{number}", tax_category="reduced") for number in range(20)),
        SkuFacts(sku="GOLD", units=(fine,)),
        SkuFacts(sku="SALT", units=(fine,), break_group="minerals"),
    ]
    lists = PUBLIC, TRADE, CONTRACT, public("DOLLARS", "USD", tax_included=True)
    rules = (
        rule("LINE", "3", layer="line", conditions=in_euro(min_line_amount="100")),
        rule(
            "ORDER",
            AmountEffect(amount="300"),
            layer="order",
            conditions=in_euro(min_subtotal="500"),
            scope=Scope(categories=("seating/stools",)),
        ),
    )
    rows = []
    for number, facts in enumerate(skus):
        unit = facts.units[0].unit
        first = f"{number + 7}.{number % 7 + 1}"
        rows.append(row(f"1:{first} 10:{number + 7 - number % 3}", sku=facts.sku, unit=unit))
        rows.append(row(f"1:{first} 5:{number + 6}", sku=facts.sku, unit=unit, of="DOLLARS"))
        if number % 3 == 0:
            rows.append(row(f"10:{number + 6} 20:{number + 5}", sku=facts.sku, unit=unit, of="TRADE"))
        if number % 7 == 0:
            rows.append(row(f"1:{number + 8}", sku=facts.sku, unit=unit, of="CONTRACT"))
    costs = tuple(Cost(sku=facts.sku, currency="EUR", cost="20") for facts in skus)
    more: dict[str, Any] = {"lists": lists, "adjustments": rules}
    whole = content(*rows, skus=tuple(skus), costs=costs, **more)

    def told(of: BookContent) -> set[tuple[str, str]]:
        return {
            (finding.code, finding.params["by"])
            for finding in findings(of, buyers=[GLOBEX, INITECH])
            if "by" in finding.params
        }

    def counted(of: BookContent) -> dict[tuple[str, str], int]:
        return {
            (finding.code, finding.params["by"]): int(finding.params.get("count", "1"))
            for finding in findings(of, buyers=[GLOBEX, INITECH])
            if "by" in finding.params
        }

    parts = [
        told(
            content(
                *(one for one in rows if one.sku == facts.sku),
                skus=(facts,),
                costs=tuple(one for one in costs if one.sku == facts.sku),
                **more,
            )
        )
        for facts in skus
    ]

    at_once = counted(whole)
    assert at_once == Counter(one for part in parts for one in part)
    assert {code for code, _ in at_once} == {"total_falls", "dearer_than_public", "low_margin"}
    assert {by for code, by in at_once if code == "total_falls"} >= {"LIST", "ORDER", "LINE", "TRADE", "DOLLARS"}


def test_a_sweep_of_the_book_in_force_finds_its_jumps() -> None:
    chairs = [replace(CHAIR, sku=f"CHAIR-{number}") for number in range(500)]
    more: dict[str, Any] = {
        "skus": (*chairs, STOOL),
        "adjustments": (rule("ORDER", "1", layer="order", scope=Scope(skus=("STOOL",))),),
    }
    unchanged = row("1:10", sku="STOOL")
    before = content(*(row("1:10 10:9 20:8 30:7", sku=facts.sku) for facts in chairs), unchanged, **more)
    of = content(*(row("1:14 10:9 20:8 30:7", sku=facts.sku) for facts in chairs), unchanged, **more)

    in_memory = MemoryBook(before, root="r")
    for book in (EntriesBook(in_memory.rules, entries_of(before)), in_memory):
        finding = the("price_jumps", of, current=book)
        assert (finding.params["count"], finding.params["percent"]) == ("500", "+40.0")


def test_amounts_beyond_64_bits_are_compared_all_the_same() -> None:
    finest = RoundingPolicy(unit=Rounding(decimals=12), line=Rounding(decimals=12))
    costs = (Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="1000000.000000000001"),)
    of = one_sku(row("1:1000000 2:950000.000000000001"), costs=costs, policy=finest)
    book = MemoryBook(one_sku(row("1:500000"), policy=finest), root="r")

    assert the("low_margin", of).params["margin"] == "-5.3"
    assert the("price_jumps", of, current=book).params["percent"] == "+100.0"
    assert codes(one_sku(row("1:10"), policy=finest), current=MemoryBook(one_sku(row("1:10")), root="r")) == []


def test_thresholds_without_sense_are_refused() -> None:
    for wrong in ({"margin_percent": "100"}, {"jump_percent": "-1"}):
        with pytest.raises(ValueError, match=r"^State a margin below 100 % and a jump of 0 % or more\.$"):
            Thresholds(**wrong)
    assert Thresholds(margin_percent="99.9", jump_percent="0").margin_percent == "99.9"


def test_a_threshold_far_beyond_the_last_break_of_a_package_row_is_found() -> None:
    half = rule("R", "50", layer="line", conditions=in_euro(min_line_amount="1000"))
    of = one_sku(row(">0:30", model="package", package=Package(size="4000")), adjustments=(half,))
    assert falls(of) == {"R": ("132000", "132001")}
    most = QuantityRule(code="Q", scope=EVERYTHING, maximum="132000")
    assert falls(replace(of, quantity_rules=(most,))) == {}


def test_a_total_that_falls_all_the_way_is_shown_by_two_neighbours() -> None:
    rules = (
        rule("A", "60", layer="line"),
        rule("B", "60", layer="line", group="second"),
        rule("C", AmountEffect(amount="500", surcharge=True), layer="line", group="third", conditions=in_euro()),
    )
    of = one_sku(row("1:10"), adjustments=rules, layers=(layer("line", "first", "second", "third", combine="sum"),))
    for most in ("250", "9", "8", "7", "6"):
        (fall,) = falls(replace(of, quantity_rules=(QuantityRule(code="Q", scope=EVERYTHING, maximum=most),))).values()
        assert int(fall[1]) == int(fall[0]) + 1
    every_fifth = replace(of, rows=(row("1:0.01"),))
    assert falls(every_fifth) == {"LIST": ("2", "3")}, "by a cent, and the first two cost the same"


def test_a_total_that_rises_and_then_falls_is_found_too() -> None:
    rules = (
        rule("A", "60", layer="line"),
        rule("B", "60", layer="line", group="second"),
        rule("C", AmountEffect(amount="500", surcharge=True), layer="line", group="third", conditions=in_euro()),
        rule("HALF", "50", layer="line", exclusive=True),
    )
    of = one_sku(
        row("1:10"),
        adjustments=rules,
        layers=(layer("line", "first", "second", "third", combine="sum"),),
        quantity_rules=(QuantityRule(code="Q", scope=EVERYTHING, minimum="3", maximum="250"),),
    )
    assert falls(of)


def test_questions_are_asked_in_portions() -> None:
    of = content(row("1:10 10:8"), row("1:10 20:8", sku="STOOL"), row("1:1 30:0.5", sku="ROPE"))
    entries, _ = sound_entries(of)
    rules = Rules(frame_of(of))
    cells = Cells(entries, rules, Classes(of, ()), NOW, None)
    at_once, by_portions = (
        list(PriceChecks(cells, EntriesBook(rules, entries), None, Thresholds(), portion).run())
        for portion in (PORTION, 1)
    )

    assert len(at_once) == 1
    assert by_portions == at_once


def test_what_a_sweep_cannot_write_is_not_taken_for_nothing() -> None:
    finest = RoundingPolicy(unit=Rounding(decimals=12), line=Rounding(decimals=12))
    skus = tuple(replace(CHAIR, sku=f"CHAIR-{number}") for number in range(500))

    assert codes(content(*(row("1:4000000 2:7000000", sku=one.sku) for one in skus), skus=skus, policy=finest)) == []
    free = (row(">0:0 >5:0", sku=one.sku, model="package", package=Package(size="2")) for one in skus)
    assert codes(content(*free, skus=skus, policy=finest)) == []
    half = (row(">0:1 >5:0", sku=one.sku, model="package", package=WHOLE_PAIR) for one in skus)
    params = the("total_falls", content(*half, skus=skus, policy=finest)).params
    assert (params["count"], params["after"]) == ("500", "0.000000000000")


@pytest.mark.parametrize("begin", [105, 2_000_000, 900_000_000])
@pytest.mark.parametrize("decimals", [9, 12])
def test_quantities_of_any_fineness_are_looked_at(decimals: int, begin: int) -> None:
    """A thousand million units of 12 decimals are more steps than 64 bits count."""
    fine = replace(STOOL, units=(UnitFact(unit="each", decimals=decimals),))
    hundred = QuantityRule(code="Q", scope=EVERYTHING, minimum="100")
    of = content(row(f"0:10 {begin}:8", sku="STOOL"), skus=(fine,), quantity_rules=(hundred,))

    witness = the("total_falls", of).witness

    assert witness is not None
    assert begin - 1 < Decimal(witness.quantity) < begin
    assert Decimal(net(of, witness)) > Decimal(net(of, witness, quantity=str(begin)))


@pytest.mark.parametrize("decimals", [0, 12])
def test_the_least_quantity_that_may_be_bought_is_looked_at(decimals: int) -> None:
    fine = replace(STOOL, units=(UnitFact(unit="each", decimals=decimals),))
    hundred = QuantityRule(code="Q", scope=EVERYTHING, minimum="100")
    rows = row("0:10", sku="STOOL"), row("0:1+1000", sku="STOOL", of="CONTRACT")
    of = content(*rows, skus=(fine,), lists=(PUBLIC, CONTRACT), quantity_rules=(hundred,))

    assert the("dearer_than_public", of, buyers=[INITECH]).params["quantity"] == "100"
