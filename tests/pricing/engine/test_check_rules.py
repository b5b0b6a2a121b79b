"""Warnings about what does nothing."""

from typing import Any

import pytest
from msgspec.structs import replace

from pricing.engine import BookContent, Buyer, Finding, finding_text
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Conditions,
    FixedPriceEffect,
    Package,
    PercentEffect,
    QuantityRule,
    Scope,
    Strategy,
)
from pricing.engine.check import Witness
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    EVERYTHING,
    GLOBEX,
    INITECH,
    NOW,
    ROPE,
    STOOL,
    acting,
    at_least,
    content,
    day,
    in_euro,
    layer,
    losers,
    only,
    public,
    row,
    rule,
)
from tests.pricing.engine.checking import asked, codes, findings, the

PUBLIC = public()
TRADE = public("TRADE", audience=only(segments=("trade",)))
CONTRACT = public("CONTRACT", audience=only(company="initech"))


def one_sku(*rows: Any, **more: Any) -> BookContent:
    return content(*rows, **{"skus": (CHAIR,), **more})


def idle_rules(of: BookContent, **more: Any) -> dict[str, dict[str, str]]:
    """By rule why it never acts; the engine agrees that it does not act on the witness's question."""
    found = {}
    for finding in findings(of, **more):
        if finding.code == "rule_never_acts":
            line = asked(of, finding.witness)
            assert not isinstance(line, PricedLine) or finding.params["rule"] not in acting(line)
            found[finding.params["rule"]] = {name: finding.params[name] for name in finding.params if name != "rule"}
    return found


# --- Lists, rows, tiers ---


def test_a_list_that_never_prices_names_the_one_that_does() -> None:
    newer = public("NEWER", priority=1)
    of = one_sku(row("1:10"), row("1:9", of="NEWER"), lists=(PUBLIC, newer))
    finding = the("list_never_prices", of)

    assert finding.params == {"list": "LIST", "sku": "CRUNCHY-ARMCHAIR", "by": "NEWER"}
    line = asked(of, finding.witness)
    assert isinstance(line, PricedLine)
    assert line.trace.list == "NEWER"
    assert "list_never_prices" not in codes(one_sku(row("1:10"), row("2:9", of="NEWER"), lists=(PUBLIC, newer)))


def test_a_list_whose_time_never_comes_before_another_is_shown_when_it_is_valid() -> None:
    of = one_sku(row("1:10", starts_at=day(30)), row("1:9", of="NEWER"), lists=(PUBLIC, public("NEWER", priority=1)))
    finding = the("list_never_prices", of)

    assert finding.witness is not None
    assert finding.witness.at == day(30)


def test_rows_of_a_list_that_prices_others_are_told_together() -> None:
    newer = public("NEWER", priority=1)
    rows = row("1:10"), row("1:30", sku="STOOL"), row("1:9", of="NEWER")
    finding = the("row_never_prices", content(*rows, lists=(PUBLIC, newer), skus=(CHAIR, STOOL)))

    assert finding.params == {"list": "LIST", "sku": "CRUNCHY-ARMCHAIR", "unit": "each", "by": "NEWER"}


@pytest.mark.parametrize("strategy", [Strategy.LOWEST, Strategy.MERGE_BREAKS])
def test_a_list_that_never_prices_is_found_under_every_strategy(strategy: Strategy) -> None:
    newer = public("NEWER", priority=1, mergeable=True)
    rows = row("1:10"), row("1:9", of="NEWER")
    lists = (public(mergeable=True), newer)

    assert the("list_never_prices", one_sku(*rows, lists=lists, strategy=strategy)).params["by"] == "NEWER"
    better = row("1:10 20:5"), row("1:9", of="NEWER")
    assert "list_never_prices" not in codes(one_sku(*better, lists=lists, strategy=strategy))


def test_a_list_for_nobody_of_today_is_told_when_the_buyers_are_known() -> None:
    of = one_sku(row("1:10"), row("1:9", of="CONTRACT"), lists=(PUBLIC, CONTRACT))

    assert the("matches_nobody", of, buyers=[ACME]).params == {"kind": "list", "key": "CONTRACT"}
    assert codes(of, buyers=[INITECH]) == []
    assert codes(of) == []
    spanish = public("ES", audience=only(countries=("ES",)))
    assert codes(one_sku(row("1:10"), row("1:9", of="ES"), lists=(PUBLIC, spanish)), buyers=[ACME]) == []


def test_a_contract_is_checked_before_its_company_exists() -> None:
    of = one_sku(row("1:10"), row("1:12", of="CONTRACT"), lists=(PUBLIC, CONTRACT))
    finding = the("dearer_than_public", of, buyers=[ACME])

    assert finding.witness is not None
    assert finding.witness.buyer == Buyer(company="initech")


@pytest.mark.parametrize(
    ("of", "begin"),
    [
        (one_sku(row("1:10 10:8"), quantity_rules=(QuantityRule(code="Q", scope=EVERYTHING, minimum="10"),)), "1"),
        (
            one_sku(
                row("1:10 10:9.5"),
                quantity_rules=(
                    QuantityRule(code="Q", scope=EVERYTHING, maximum="9"),
                    QuantityRule(code="R", scope=EVERYTHING, unit="box", maximum="0"),
                ),
            ),
            "10",
        ),
        (one_sku(row("1:10 1.5:9 2:9.5")), "1.5"),
        (
            one_sku(
                row(">0:10 >5:9", model="graduated"),
                quantity_rules=(QuantityRule(code="Q", scope=EVERYTHING, maximum="5"),),
            ),
            "5",
        ),
        (
            one_sku(
                row(">0:10 >5:9", model="package", package=Package(size="10", round_up=False)),
                quantity_rules=(QuantityRule(code="Q", scope=EVERYTHING, maximum="59"),),
            ),
            "5",
        ),
    ],
)
def test_a_tier_in_which_no_quantity_lies_is_named(of: BookContent, begin: str) -> None:
    assert the("tier_never_reached", of).params["begin"] == begin


def test_a_tier_between_two_boxes_is_named_where_boxes_alone_are_sold() -> None:
    none = QuantityRule(code="Q", scope=EVERYTHING, unit="each", minimum="9", maximum="8")
    finding = the("tier_never_reached", one_sku(row("12:10 13:9 20:8"), quantity_rules=(none,)))

    assert (finding.params["begin"], finding.params["unit"]) == ("13", "each")
    assert finding.witness is not None
    assert (finding.witness.unit, finding.witness.quantity) == ("box", "1")


def test_tiers_that_boxes_or_a_break_group_reach_are_none() -> None:
    most = QuantityRule(code="Q", scope=EVERYTHING, unit="each", maximum="9")
    assert "tier_never_reached" not in codes(one_sku(row("1:10 10:9.5"), quantity_rules=(most,)))
    grouped = type(CHAIR)(sku="CRUNCHY-ARMCHAIR", break_group="g")
    assert "tier_never_reached" not in codes(one_sku(row("1:10 10:9.5"), skus=(grouped,), quantity_rules=(most,)))
    both = content(row("1:10 10:9.5"), row("1:10 10:9.5", sku="STOOL"), skus=(grouped, STOOL), quantity_rules=(most,))
    assert the("tier_never_reached", both).params["sku"] == "STOOL"


def test_a_tier_that_the_largest_quantity_alone_reaches_is_reached() -> None:
    ten = QuantityRule(code="Q", scope=EVERYTHING, maximum="10")
    assert "tier_never_reached" not in codes(
        one_sku(row("1:10 10:9.5", sku="STOOL"), skus=(STOOL,), quantity_rules=(ten,))
    )


def test_nothing_is_told_of_a_row_of_which_nothing_may_be_bought() -> None:
    none = QuantityRule(code="Q", scope=EVERYTHING, minimum="9", maximum="8")
    assert codes(one_sku(row("1:10"), quantity_rules=(none,))) == []


def test_what_never_prices_is_asked_for_as_the_row_has_it_by_who_sees_the_list() -> None:
    """The second list prices chairs, the first one nothing."""
    lists = public("FIRST", priority=2), public("TRADE"), public("USD", "USD")
    boxes = (CHAIR, replace(CHAIR, sku="OTHER"), STOOL)
    rows = [
        *(row("1:100", sku=facts.sku, of="FIRST", unit="box") for facts in boxes[:2]),
        row("1:8", sku="STOOL", of="FIRST"),
        row("2:110", sku="OTHER", of="TRADE", unit="box"),
        row("3:110", sku=CHAIR.sku, of="TRADE", unit="box"),
        row("1:9", sku="STOOL", of="TRADE", starts_at=day(30)),
        row("1:7", sku="STOOL", of="USD"),
    ]
    of = content(*rows, skus=boxes, lists=lists)

    assert the("list_never_prices", of).params == {
        "list": "TRADE", "sku": CHAIR.sku, "by": "FIRST", "count": "3", "others": "OTHER, STOOL",
    }  # fmt: skip
    assert the("list_never_prices", of).witness == Witness(
        buyer=Buyer(), currency="EUR", sku=CHAIR.sku, unit="box", quantity="3", at=NOW
    )


@pytest.mark.parametrize(
    ("rules", "quantity"),
    [
        ((), "5"),
        ((QuantityRule(code="Q", scope=EVERYTHING, maximum="3"),), "3"),
        ((QuantityRule(code="Q", scope=EVERYTHING, minimum="7"),), "7"),
        ((QuantityRule(code="Q", scope=EVERYTHING, multiple="3"),), "6"),
    ],
)
def test_a_row_is_asked_for_with_its_least_quantity_that_may_be_bought(
    rules: tuple[QuantityRule, ...], quantity: str
) -> None:
    newer = public("NEWER", priority=1, audience=only(segments=("trade",)))
    older = public("OLDER", audience=only(segments=("trade",)))
    rows = row("5:10", of="OLDER"), row("1:9", of="NEWER"), row("1:9", of="OLDER", sku="STOOL")
    of = content(*rows, skus=(CHAIR, STOOL), lists=(older, newer), quantity_rules=rules)

    finding = the("row_never_prices", of)
    assert finding.params == {"list": "OLDER", "sku": CHAIR.sku, "unit": "each", "by": "NEWER"}
    assert finding.witness == Witness(
        buyer=Buyer(segments=("trade",)), currency="EUR", sku=CHAIR.sku, unit="each", quantity=quantity, at=NOW
    )


def test_rows_of_a_unit_that_cannot_be_bought_are_passed_by_for_one_that_can() -> None:
    newer = public("NEWER", priority=1)
    none = QuantityRule(code="Q", scope=EVERYTHING, unit="box", minimum="9", maximum="8")
    rows = (
        row("1:100", unit="box"),
        row("1:9", sku="STOOL"),
        row("1:9", of="NEWER"),
        row("1:8", sku="STOOL", of="NEWER"),
    )
    of = content(*rows, skus=(CHAIR, STOOL), lists=(PUBLIC, newer), quantity_rules=(none,))
    finding = the("list_never_prices", of)

    assert (finding.params["sku"], finding.params["others"]) == ("STOOL", CHAIR.sku)


def test_tiers_of_many_skus_that_nothing_reaches_are_told_once_with_a_question() -> None:
    most = QuantityRule(code="Q", scope=Scope(skus=("STOOL", "SEAT")), minimum="2", maximum="9")
    skus = (CHAIR, replace(CHAIR, sku="SEAT"), replace(CHAIR, sku="STOOL"))
    rows = [row("1:10 10:9.5", sku=facts.sku, of="TRADE") for facts in skus]
    of = content(*rows, skus=skus, lists=(TRADE,), quantity_rules=(most,))
    finding = the("tier_never_reached", of)

    assert finding.params == {
        "list": "TRADE", "sku": "SEAT", "unit": "each", "begin": "10", "count": "2", "others": "STOOL",
    }  # fmt: skip
    assert finding.witness == Witness(
        buyer=Buyer(segments=("trade",)), currency="EUR", sku="SEAT", unit="each", quantity="2", at=NOW
    )


@pytest.mark.parametrize(
    ("of_row", "begins"),
    [
        (row(">0:10 >1:9 >1.5:8", model="package", package=Package(size="10", whole_quantity=True)), ["1"]),
        (row(">0:10 >1:9 >1.5:8", model="package", package=Package(size="10")), []),
        (row(">0:10 >1:9 >1.5:8", model="graduated"), []),
        (row("1:10 2:9 2.5:8 3:7"), ["2.5"]),
        (row("0:10 1:9"), ["0"]),
        (row(">0:10 >0.5:9"), ["0"]),
        (row("1:100 2:90 2.5:80 3:70", unit="box"), ["2.5"]),
        (row("1:10 500:9"), []),
        (row("1:100 50:99", unit="box"), ["50"]),
        (row("1:10 601:9"), ["601"]),
    ],
)
def test_a_tier_is_reached_by_any_quantity_in_any_unit_that_its_row_is_for(of_row: Any, begins: list[str]) -> None:
    few = (
        QuantityRule(code="Q", scope=EVERYTHING, unit="box", maximum="49"),
        QuantityRule(code="R", scope=EVERYTHING, unit="each", maximum="600"),
    )
    found = [one for one in findings(one_sku(of_row, quantity_rules=few)) if one.code == "tier_never_reached"]

    assert [one.params["begin"] for one in found] == begins
    assert {one.params["unit"] for one in found} <= {of_row.unit}


# --- Rules ---


@pytest.mark.parametrize("level", ["unit", "line", "order"])
def test_a_rule_of_any_level_is_seen_to_act(level: str) -> None:
    assert idle_rules(one_sku(row("1:10"), adjustments=(rule("A", "5", layer=level),))) == {}


def test_a_rule_acts_once_its_list_is_valid() -> None:
    later = public(starts_at=day(30))
    assert idle_rules(one_sku(row("1:10"), lists=(later,), adjustments=(rule("A", "5"),))) == {}


def test_the_rule_most_often_in_the_way_is_named_and_of_equal_ones_the_first() -> None:
    def against(*others: Adjustment) -> Finding:
        return the("rule_never_acts", one_sku(row("1:10"), adjustments=(rule("A", "5"), *others)))

    often = against(
        rule("B", "10", priority=1, conditions=Conditions(max_quantity="1")),
        rule("Z", "9", priority=1, conditions=at_least("2")),
    )
    assert often.params["by"] == "Z"
    assert often.witness is not None
    assert often.witness.quantity == "2"
    once = QuantityRule(code="Q", scope=EVERYTHING, maximum="2")
    halves = (
        rule("Z", "9", priority=1, conditions=Conditions(max_quantity="1")),
        rule("B", "9", priority=1, conditions=at_least("2")),
    )
    equal = one_sku(row("1:10"), adjustments=(rule("A", "5"), *halves), quantity_rules=(once,))
    assert the("rule_never_acts", equal).params["by"] == "B"


def test_a_rule_without_any_case_is_shown_by_a_question_of_whom_it_is_for() -> None:
    dollars = rule(
        "A", "5", scope=Scope(skus=("NEW", "STOOL")), audience=only(segments=("trade",)),
        conditions=Conditions(currencies=("USD",)),
    )  # fmt: skip
    new = replace(STOOL, sku="NEW")
    of = content(row("1:10"), row("2:30", sku="STOOL"), skus=(CHAIR, new, STOOL), adjustments=(dollars,))

    assert the("rule_never_acts", of).witness == Witness(
        buyer=Buyer(segments=("trade",)), currency="EUR", sku="STOOL", unit="each", quantity="1", at=NOW
    )


def test_a_rule_between_amounts_that_exclude_each_other_is_shown_just_past_one() -> None:
    never = rule("A", "5", layer="line", conditions=in_euro(min_line_amount="95", max_line_amount="94"))
    finding = the("rule_never_acts", one_sku(row("1:10"), adjustments=(never,)))

    assert finding.params["reason"] == "unable"
    assert finding.witness is not None
    assert finding.witness.quantity == "10"


ONE_EURO = AmountEffect(amount="1")


@pytest.mark.parametrize(
    ("prices", "rules", "more"),
    [
        (("10", "30"), [rule("A", "5", layer="line", conditions=in_euro(min_line_amount="20"))], {}),
        (("30", "10"), [rule("A", "5", layer="line", conditions=in_euro(max_line_amount="20"))], {}),
        (("10", "30"), [rule("A", "5", layer="line", conditions=in_euro(min_subtotal="20"))], {}),
        (("30", "10"), [rule("A", "5", layer="line", conditions=in_euro(max_subtotal="20"))], {}),
        (("20", "5"), [rule("A", ONE_EURO, conditions=in_euro()), rule("B", "10")], {}),
        (
            ("20", "5"),
            [rule("A", ONE_EURO, conditions=in_euro()), rule("B", "10", priority=1)],
            {"layers": (layer("unit", pick="lowest"),)},
        ),
        (("20", "5"), [rule("A", ONE_EURO, conditions=in_euro()), rule("B", "10", priority=1, exclusive=True)], {}),
        (
            ("20", "5"),
            [rule("A", ONE_EURO, conditions=in_euro())],
            {"lists": (PUBLIC, public("STEPS", priority=1)), "strategy": Strategy.LOWEST},
        ),
    ],
)
def test_a_rule_that_acts_by_the_price_alone_is_looked_for_in_every_sku(
    prices: tuple[str, str], rules: list[Adjustment], more: dict[str, Any]
) -> None:
    """Of the first alone it never acts."""
    once = QuantityRule(code="Q", scope=EVERYTHING, maximum="1")
    skus = replace(STOOL, sku="A"), replace(STOOL, sku="B")
    rows = [row(f"1:{price}", sku=facts.sku) for price, facts in zip(prices, skus, strict=True)]
    if "lists" in more:
        rows += [row(">0:9", sku=facts.sku, of="STEPS", model="graduated") for facts in skus]

    def idle(number: int) -> set[str]:
        chosen = skus[:number]
        mine = [one for one in rows if one.sku in {facts.sku for facts in chosen}]
        return set(idle_rules(content(*mine, skus=chosen, adjustments=tuple(rules), quantity_rules=(once,), **more)))

    assert idle(1) == {"A"}
    assert "A" not in idle(2)


def test_what_is_passed_over_is_told_of_the_list_that_prices_when_it_does() -> None:
    """Everyone's list is not yet valid, and never prices for whom the rule is."""
    for audience, buyer, code in ((only(company="initech"), INITECH, "CONTRACT"), (TRADE.audience, GLOBEX, "LIST")):
        of = content(
            row(">0:30", model="graduated", starts_at=day(30)),
            row(">0:20", model="graduated", of="CONTRACT"),
            skus=(CHAIR,),
            lists=(PUBLIC, CONTRACT),
            adjustments=(rule("A", ONE_EURO, conditions=in_euro(), audience=audience),),
        )
        assert the("effect_passed_over", of, buyers=[ACME, buyer]).params["list"] == code


def test_what_is_passed_over_is_told_of_unit_amounts_alone_for_each_list_and_rule() -> None:
    package = row(">0:30", sku="STOOL", model="package", package=Package(size="1"))
    steps = row(">0:20", sku="ROPE", model="graduated", of="TRADE"), row(">0:20", model="graduated", of="TRADE")
    rules = (
        rule("UNIT", ONE_EURO, conditions=in_euro()),
        rule("FIXED", FixedPriceEffect(price="5"), group="second", conditions=in_euro(min_quantity="7")),
        rule("LINE", ONE_EURO, layer="line", conditions=in_euro()),
        rule("PERCENT", "1", group="third"),
    )
    layers = layer("unit", "first", "second", "third"), layer("line")
    of = content(
        row("1:10"), package, *steps, skus=(CHAIR, ROPE, STOOL), lists=(PUBLIC, TRADE), adjustments=rules, layers=layers
    )
    found = [one for one in findings(of) if one.code == "effect_passed_over"]
    each = "STOOL", "each"

    assert [
        (one.params["rule"], one.params["list"], one.params["sku"], one.params.get("others", "")) for one in found
    ] == [
        ("FIXED", "LIST", "STOOL", ""),
        ("FIXED", "TRADE", CHAIR.sku, "ROPE"),
        ("UNIT", "LIST", "STOOL", ""),
        ("UNIT", "TRADE", CHAIR.sku, "ROPE"),
    ]
    assert found[0].witness == Witness(buyer=Buyer(), currency="EUR", sku=each[0], unit=each[1], quantity="7", at=NOW)
    assert found[3].witness is not None
    assert found[3].witness.buyer == Buyer(segments=("trade",))


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ((rule("A", "5"), rule("B", "10", priority=1)), {"A": {"reason": "beaten", "by": "B"}}),
        ((rule("A", "5"), rule("B", "10")), {"A": {"reason": "beaten", "by": "B"}}),
        ((rule("A", "5"), rule("B", "10", priority=1, conditions=at_least("2"))), {}),
        ((rule("A", "5", conditions=at_least("5")), rule("B", "10", conditions=at_least("9"), priority=1)), {}),
        (
            (rule("A", "5", conditions=at_least("9")), rule("B", "10", conditions=at_least("5"), priority=1)),
            {"A": {"reason": "beaten", "by": "B"}},
        ),
        ((rule("A", "5", conditions=Conditions(min_quantity="9", max_quantity="8")),), {"A": {"reason": "unable"}}),
        ((rule("A", "5", conditions=Conditions(currencies=("USD",))),), {"A": {"reason": "unable"}}),
        (
            (rule("A", "5", audience=only(countries=("DE",)), conditions=Conditions(countries=("ES",))),),
            {"A": {"reason": "unable"}},
        ),
        ((rule("A", "5", starts_at=day(30)),), {}),
        ((rule("A", "5", starts_at=day(30)), rule("B", "6", ends_at=day(30), priority=1)), {}),
        ((rule("A", "5", exclusive=True), rule("B", "10")), {"A": {"reason": "beaten", "by": "B"}}),
        ((rule("A", "5", layer="line", conditions=in_euro(min_line_amount="95", max_line_amount="105")),), {}),
        (
            (rule("A", "5", layer="line", conditions=in_euro(min_line_amount="95", max_line_amount="94")),),
            {"A": {"reason": "unable"}},
        ),
        ((rule("A", "5", layer="order", conditions=in_euro(min_subtotal="1000")),), {}),
    ],
)
def test_a_rule_that_never_acts_says_what_is_in_its_way(
    rules: tuple[Adjustment, ...], why: dict[str, dict[str, str]]
) -> None:
    assert idle_rules(one_sku(row("1:10"), adjustments=rules)) == why


def test_a_rule_that_prices_decide_about_is_looked_for_in_every_sku() -> None:
    rules = rule("A", AmountEffect(amount="1"), conditions=in_euro()), rule("B", "10")
    cheap_layers = (layer("unit", pick="lowest"),)
    dear = content(row("1:20"), row("1:30", sku="STOOL"), skus=(CHAIR, STOOL), adjustments=rules, layers=cheap_layers)
    mixed = content(row("1:20"), row("1:3", sku="STOOL"), skus=(CHAIR, STOOL), adjustments=rules, layers=cheap_layers)

    assert idle_rules(dear) == {"A": {"reason": "beaten", "by": "B"}}
    assert idle_rules(mixed) == {}


def test_a_rule_between_two_amounts_is_seen_to_act_where_many_skus_pass_a_smaller_one() -> None:
    skus = tuple(type(CHAIR)(sku=f"CHAIR-{number:02}") for number in range(30))
    rules = (
        rule("SMALL", "5", layer="line", conditions=in_euro(min_line_amount="50")),
        rule(
            "LARGE", "5", layer="line", group="second", conditions=in_euro(min_line_amount="195", max_line_amount="205")
        ),
    )
    rows = [row("1:10", sku=facts.sku) for facts in skus]

    assert codes(content(*rows, skus=skus, adjustments=rules, layers=(layer("line", "first", "second"),))) == []


def test_a_rule_whose_window_lies_outside_its_lists_never_acts() -> None:
    later = public(starts_at=day(1, 12))
    of = one_sku(row("1:10"), lists=(later,), adjustments=(rule("A", "5", ends_at=day(30)),))

    assert idle_rules(of) == {"A": {"reason": "unable"}}
    ended = one_sku(row("1:10"), adjustments=(rule("A", "5", ends_at=NOW),))
    finding = the("ended", ended)
    assert finding.params == {"kind": "adjustment", "count": "1", "keys": "A", "at": "2026-11-21T12:00:00Z"}
    line = asked(ended, finding.witness)
    assert isinstance(line, PricedLine)
    assert losers(line)["A"][0] == "ended"
    assert idle_rules(ended) == {}


def test_a_rule_for_skus_without_any_price_is_not_told_as_well() -> None:
    stools = rule("A", "5", scope=Scope(skus=("STOOL",)))

    assert codes(content(row("1:10"), skus=(CHAIR, STOOL), adjustments=(stools,))) == ["never_priced"]


def test_the_words_say_who_is_in_the_way() -> None:
    of = one_sku(row("1:10"), adjustments=(rule("A", "5"), rule("B", "10", priority=1)))
    finding = the("rule_never_acts", of)

    assert finding_text(finding, "en") == "The rule A never acts on a price: B comes before it wherever it could."
    assert finding_text(finding, "es").endswith(": B va antes siempre que podría hacerlo.")
    line = asked(of, finding.witness)
    assert isinstance(line, PricedLine)
    assert losers(line)["A"] == ("beaten", {"by": "B"})


@pytest.mark.parametrize("effect", [AmountEffect(amount="1"), FixedPriceEffect(price="1")])
def test_an_effect_that_passes_over_rows_without_a_unit_price_is_told(effect: Any) -> None:
    graduated = row(">0:30", sku="STOOL", model="graduated")
    of = content(
        row("1:10"),
        graduated,
        skus=(CHAIR, STOOL),
        adjustments=(rule("R", effect, conditions=in_euro(min_quantity="3")),),
    )
    finding = the("effect_passed_over", of)

    assert finding.params == {"rule": "R", "sku": "STOOL", "list": "LIST"}
    line = asked(of, finding.witness)
    assert isinstance(line, PricedLine)
    assert losers(line)["R"][0] == "no_unit_price"
    assert idle_rules(of) == {}
    percent = rule("R", PercentEffect(percent="1"))
    assert "effect_passed_over" not in codes(
        content(row("1:1"), graduated, skus=(CHAIR, STOOL), adjustments=(percent,))
    )


def test_an_effect_for_others_passes_over_nothing() -> None:
    charge = rule("R", AmountEffect(amount="1"), conditions=in_euro(), audience=only(segments=("trade",)))
    graduated = row(">0:30", sku="STOOL", model="graduated", of="CONTRACT")
    rows = row("1:10"), row("1:40", sku="STOOL"), graduated
    of = content(*rows, skus=(CHAIR, STOOL), lists=(PUBLIC, CONTRACT), adjustments=(charge,))

    assert "effect_passed_over" not in codes(of, buyers=[GLOBEX, INITECH])
    both = Buyer(company="initech", segments=("trade",))
    assert the("effect_passed_over", of, buyers=[both]).params["list"] == "CONTRACT"


@pytest.mark.parametrize(
    ("scope", "what", "name"),
    [
        (Scope(everything=True, excluded_categories=("none",)), "category", "none"),
        (Scope(skus=("STOOL",), brands=("none", "crunchy")), "brand", "none"),
    ],
)
def test_a_category_or_brand_that_no_sku_has_is_named(scope: Scope, what: str, name: str) -> None:
    of = content(row("1:10"), row("1:1", sku="STOOL"), skus=(CHAIR, STOOL), adjustments=(rule("R", "5", scope=scope),))
    finding = the("names_nothing", of)

    assert finding.params == {"kind": "adjustment", "key": "R", "what": what, "name": name}
