"""Whom a book is checked for, and at which quantities and instants: what would be overlooked is told."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from pricing.engine import BookContent, Buyer, MemoryBook
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Conditions,
    Package,
    PercentEffect,
    PriceList,
    QuantityRule,
    Scope,
    Strategy,
)
from pricing.engine.check import Witness
from pricing.engine.check_breaks import buyable
from pricing.engine.memory import frame_of
from pricing.engine.request import PricedLine
from pricing.engine.rules import Rules
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
from tests.pricing.engine.checking import asked, codes, findings, net, the

PUBLIC = public()
TRADE = public("TRADE", audience=only(segments=("trade",)))
CONTRACT = public("CONTRACT", audience=only(company="initech"))
SPANISH = public("ES", audience=only(countries=("ES",)))
MOST = "1000000000"
NO_SINGLE_ONES = QuantityRule(code="NONE", scope=EVERYTHING, unit="each", minimum="9", maximum="8")


def one_sku(*rows: Any, **more: Any) -> BookContent:
    return content(*rows, **{"skus": (CHAIR,), **more})


def fall(of: BookContent, **more: Any) -> tuple[str, str, str]:
    """Of the only fall: what it is by, and from which quantity to which."""
    params = the("total_falls", of, **more).params
    return params["by"], params["quantity"], params["more"]


# --- Who ---


@pytest.mark.parametrize(
    ("audience", "buyer", "who"),
    [
        (only(company="initech"), Buyer(company="initech"), "initech"),
        (only(company="initech", countries=("ES", "PT")), Buyer(company="initech", country="ES"), "initech"),
        (only(segments=("trade", "retail")), Buyer(segments=("trade",)), "trade"),
        (only(segments=("trade",), countries=("PT",)), Buyer(segments=("trade",), country="PT"), "trade, PT"),
    ],
)
def test_a_list_for_nobody_yet_is_checked_for_somebody_it_would_be_for(
    audience: Audience, buyer: Buyer, who: str
) -> None:
    of = one_sku(row("1:10"), row("1:12", of="NEW"), lists=(PUBLIC, public("NEW", audience=audience)))
    finding = the("dearer_than_public", of, buyers=[ACME])

    assert finding.witness is not None
    assert finding.witness.buyer == buyer
    assert finding.params["who"] == who
    assert net(of, finding.witness) == "12.00"


def test_a_rule_for_nobody_of_today_is_told() -> None:
    of = one_sku(row("1:10"), adjustments=(rule("R", "5", audience=only(segments=("trade",))),))

    assert the("matches_nobody", of, buyers=[ACME]).params == {"kind": "adjustment", "key": "R"}
    assert codes(of, buyers=[GLOBEX]) == []


def test_a_rule_for_one_country_is_looked_at_there_alone() -> None:
    ten = rule("TEN", "20", conditions=Conditions(min_quantity="10", countries=("ES",)))
    of = one_sku(row("1:10"), adjustments=(ten,), lists=(PUBLIC, public("FR", audience=only(countries=("FR",)))))
    finding = the("total_falls", of)

    assert finding.params["by"] == "TEN"
    assert finding.witness is not None
    assert finding.witness.buyer == Buyer(country="ES")
    assert net(of, finding.witness, quantity="10") == "80.00"


def test_buyers_whom_other_rules_concern_elsewhere_keep_their_prices_under_check() -> None:
    """A rule for the trade's stools tells buyers apart, and yet chairs cost them what they cost the rest."""
    of = content(
        row("1:10"),
        row("1:30", sku="STOOL"),
        row("1:9 10:8", of="CONTRACT"),
        skus=(CHAIR, STOOL),
        lists=(PUBLIC, CONTRACT),
        adjustments=(rule("R", "5", audience=only(segments=("trade",)), scope=Scope(skus=("STOOL",))),),
    )
    assert fall(of, buyers=[INITECH, GLOBEX]) == ("CONTRACT", "9", "10")


def test_each_buyer_is_compared_with_everyone_in_the_own_country() -> None:
    """Both of the trade pay by one row; where Spain is cheaper, only the one in Spain pays more."""
    of = one_sku(
        row("1:10"),
        row("1:9", of="TRADE"),
        row("1:8", of="ES"),
        lists=(PUBLIC, TRADE, SPANISH),
    )
    abroad = Buyer(company="initech", segments=("trade",), country="ES")
    finding = the("dearer_than_public", of, buyers=[abroad, GLOBEX])

    assert finding.witness is not None
    assert finding.witness.buyer == abroad
    assert (finding.params["amount"], finding.params["public"]) == ("9.00", "8.00")


def test_a_break_of_a_country_s_price_is_where_its_buyers_are_compared() -> None:
    of = one_sku(
        row("1:10"),
        row("1:9 10:7", of="ES"),
        row("1:8", of="CONTRACT"),
        lists=(PUBLIC, SPANISH, CONTRACT),
    )
    finding = the("dearer_than_public", of, buyers=[INITECH])

    assert (finding.params["quantity"], finding.params["amount"], finding.params["public"]) == ("10", "80.00", "70.00")


def test_a_public_price_that_will_undercut_a_contract_is_told_with_its_day() -> None:
    later = row("1:10", ends_at=day(30)), row("1:7", starts_at=day(30))
    of = one_sku(*later, row("1:8", of="CONTRACT"), lists=(PUBLIC, CONTRACT))
    finding = the("dearer_than_public", of, buyers=[INITECH])

    assert finding.witness is not None
    assert finding.witness.at == day(30)
    assert net(of, finding.witness) == "8.00"
    assert net(of, finding.witness, buyer=GUEST) == "7.00"


# --- Which rows and rules ---


@pytest.mark.parametrize(
    "better",
    [
        {"row": row("1:10", of="BETTER")},
        {"row": row("0:10", of="BETTER")},
        {"row": row(">0:10", of="BETTER")},
        {"row": row(">0:10", of="BETTER", model="graduated")},
        {"row": row(">0:10", of="BETTER", model="package", package=Package(size="1", free="0"))},
        {"row": row("3:10", of="BETTER"), "minimum": "3"},
        {"row": row(">2:10", of="BETTER"), "minimum": "3"},
        {"row": row("12:10", of="BETTER"), "unit": "box"},
    ],
)
def test_a_list_that_is_never_asked_is_not_blamed_for_what_a_rule_does(better: dict[str, Any]) -> None:
    """The list behind has a break where the rule begins."""
    unit, begin = better.get("unit", "each"), 10
    each = 12 if unit == "box" else 1
    of = one_sku(
        better["row"],
        row(f"1:20 {begin * each}:5"),
        lists=(PUBLIC, public("BETTER", priority=1)),
        adjustments=(rule("TEN", "50", conditions=at_least(str(begin * each))),),
        quantity_rules=(
            QuantityRule(code="Q", scope=EVERYTHING, unit=unit, minimum=better.get("minimum")),
            *([NO_SINGLE_ONES] if unit == "box" else []),
        ),
    )
    assert fall(of) == ("TEN", "9", "10")


@pytest.mark.parametrize(
    ("first", "its"),
    [
        ({}, {"starts_at": day(30)}),
        ({}, {"ends_at": day(30)}),
        ({"starts_at": day(30)}, {}),
        ({"ends_at": day(30)}, {}),
        ({}, {"said": "20:4"}),
        ({}, {"said": ">19:4"}),
    ],
)
def test_a_list_that_is_asked_at_times_or_for_more_is_looked_at(first: dict[str, Any], its: dict[str, Any]) -> None:
    better = row(its.get("said", "1:8"), of="BETTER", **{name: its[name] for name in its if name != "said"})
    of = one_sku(better, row("1:10 10:4.5"), lists=(PUBLIC, public("BETTER", priority=1, **first)))

    assert ("LIST", "9", "10") in [
        (finding.params["by"], finding.params["quantity"], finding.params["more"])
        for finding in findings(of)
        if finding.code == "total_falls"
    ]


@pytest.mark.parametrize("strategy", [Strategy.LOWEST, Strategy.MERGE_BREAKS])
def test_where_the_first_list_does_not_decide_the_others_are_looked_at(strategy: Strategy) -> None:
    lists = public(mergeable=True), public("FIRST", priority=1, mergeable=True)
    of = one_sku(row("1:10", of="FIRST"), row("1:10 10:8"), lists=lists, strategy=strategy)

    assert fall(of) == ("LIST", "9", "10")


def test_a_rule_for_one_sku_is_looked_at_in_it_alone() -> None:
    """In all else they are alike."""
    skus = [replace(CHAIR, sku=sku) for sku in ("A", "B", "C")]
    rules = [
        rule(f"FOR-{sku}", "20", conditions=at_least(begin), scope=Scope(skus=(sku,)))
        for sku, begin in (("B", "10"), ("C", "20"))
    ]
    rows = [row("1:10", sku=facts.sku) for facts in skus]
    found = findings(content(*rows, skus=tuple(skus), adjustments=tuple(rules)))
    told = [[finding.params[name] for name in ("by", "sku", "quantity", "more")] for finding in found]

    assert told == [["FOR-B", "B", "9", "10"], ["FOR-C", "C", "19", "20"]]
    assert not any("count" in finding.params for finding in found)


@pytest.mark.parametrize("which", ["rows", "rules", "windows of rows", "windows of lists", "windows of rules"])
def test_skus_that_break_at_different_places_are_each_looked_at_at_their_own(which: str) -> None:
    """Both fall: what is found for one must not be looked for in the other."""
    lists: list[PriceList] = [PUBLIC]
    rules: list[Adjustment] = []
    rows = [row("1:10"), row("1:10", sku="STOOL")]
    for number, facts in enumerate((CHAIR, STOOL)):
        code, begin, starts_at = f"N{number}", (10, 20)[number], (day(28), day(30))[number]
        scope, instant = Scope(skus=(facts.sku,)), dict[str, Any](starts_at=starts_at)
        if which == "rows":
            rows[number] = row(f"1:10 {begin}:6", sku=facts.sku)
        elif which == "rules":
            rules.append(rule(code, "40", scope=scope, conditions=at_least(str(begin))))
        elif which == "windows of rows":
            rows[number] = replace(rows[number], ends_at=starts_at)
            rows.append(row("1:10 10:6", sku=facts.sku, **instant))
        elif which == "windows of lists":
            lists.append(public(code, priority=number + 1, **instant))
            rows.append(row("1:10 10:6", sku=facts.sku, of=code))
        else:
            rules.append(rule(code, "40", scope=scope, conditions=at_least("10"), **instant))
    of = content(*rows, skus=(CHAIR, STOOL), lists=tuple(lists), adjustments=tuple(rules))

    told = [finding for finding in findings(of) if finding.code == "total_falls"]
    assert sum(int(finding.params.get("count", "1")) for finding in told) == 2


def test_the_price_of_base_units_is_looked_at_where_boxes_pass_its_break() -> None:
    of = one_sku(row("1:10 24:4"), quantity_rules=(NO_SINGLE_ONES,))
    finding = the("total_falls", of)

    assert finding.params["unit"] == "box"
    assert (finding.params["quantity"], finding.params["before"]) == ("1", "120.00")
    assert (finding.params["more"], finding.params["after"]) == ("2", "96.00")


def test_quantities_of_one_sku_have_no_rules_of_another_s() -> None:
    """Two SKUs with the same units; one is sold by tens."""
    tens = QuantityRule(code="TENS", scope=Scope(skus=("STOOL",)), multiple="10")
    of = content(
        row("1:10 5:7"), row("1:10 5:7", sku="STOOL"), skus=(replace(CHAIR, units=STOOL.units), STOOL),
        quantity_rules=(tens,),
    )  # fmt: skip
    finding = the("total_falls", of)

    assert (finding.params["sku"], finding.params["quantity"], finding.params["more"]) == (CHAIR.sku, "4", "5")
    assert "count" not in finding.params


def test_a_total_that_falls_until_an_amount_is_passed_is_found() -> None:
    """From 10 on each costs more than nothing off: 480, 478 ..., until the amount ends that."""
    region: dict[str, Any] = {"layer": "line", "conditions": in_euro(min_quantity="10", max_line_amount="1005")}
    rules = (
        rule("A", "60", **region),
        rule("B", "60", group="second", **region),
        rule("C", AmountEffect(amount="500", surcharge=True), group="third", **region),
    )
    of = one_sku(row("1:10"), adjustments=rules, layers=(layer("line", "first", "second", "third", combine="sum"),))
    _, less, more = fall(of)

    assert 10 <= int(less) < int(more) <= 100


@pytest.mark.parametrize(
    ("unit", "said", "bought"),
    [
        ("each", [], ("1", "2", MOST)),
        ("each", [{"minimum": "30"}, {"minimum": "20"}], ("30", "31", MOST)),
        ("each", [{"maximum": "30"}, {"maximum": "70"}], ("1", "2", "30")),
        ("each", [{"maximum": "70"}, {"maximum": "30"}], ("1", "2", "30")),
        (
            "each",
            [{"unit": "box", "minimum": "9", "maximum": "9", "multiple": "7"}, {"multiple": "5"}],
            ("5", "10", MOST),
        ),
        (
            "each",
            [{"multiple": "4"}, {"multiple": "6", "unit": "each"}, {"minimum": "13", "maximum": "47"}],
            ("24", "36", "36"),
        ),
        ("box", [{"minimum": "30", "maximum": "70"}], ("3", "4", "5")),
        ("box", [{"minimum": "36", "maximum": "72"}], ("3", "4", "6")),
        ("box", [{"multiple": "36"}, {"unit": "box", "minimum": "4", "maximum": "20"}], ("6", "9", "18")),
        ("box", [{"multiple": "6", "maximum": "120"}], ("1", "2", "10")),
        ("box", [{"multiple": "8", "maximum": "120"}], ("2", "4", "10")),
        ("metre", [{"maximum": "1"}], ("0.01", "0.02", "1")),
        ("metre", [{"multiple": "0.25", "minimum": "0.3", "maximum": "1.9"}], ("0.5", "0.75", "1.75")),
        ("metre", [{"multiple": "0.015", "maximum": "0.1"}], ("0.03", "0.06", "0.09")),
        ("each", [{"minimum": "7", "maximum": "7"}], ("7", "8", "7")),
        ("each", [{"minimum": "8", "maximum": "7"}], None),
        ("each", [{"multiple": "5", "minimum": "6", "maximum": "9"}], None),
    ],
)
def test_the_quantities_that_may_be_bought(
    unit: str, said: list[dict[str, Any]], bought: tuple[str, str, str] | None
) -> None:
    """The first two and the last, as the engine has it."""
    facts, price = (ROPE, row("0:1", sku="ROPE")) if unit == "metre" else (CHAIR, row("0:1"))
    rules = tuple(QuantityRule(code=f"Q{at}", scope=EVERYTHING, **one) for at, one in enumerate(said))
    of = content(price, skus=(facts,), quantity_rules=rules)
    fact = next(one for one in facts.units if one.unit == unit)
    found = buyable(fact, Rules(frame_of(of)).quantity_rules_for(facts))

    assert (found is None) == (bought is None)
    if found is not None and bought is not None:
        assert (found.text(found.first), found.text(found.first + 1), found.text(found.last)) == bought
        shown = Witness(buyer=GUEST, currency="EUR", sku=facts.sku, unit=unit, quantity="1", at=NOW)
        for number, may in ((found.first - 1, False), (found.first, True), (found.last, True), (found.last + 1, False)):
            line = asked(of, shown, quantity=found.text(number))
            assert number == 0 or isinstance(line, PricedLine) is may


# --- The book in force ---


def test_a_jump_against_a_list_that_is_no_more_is_told() -> None:
    summer = public("SUMMER", priority=1)
    before = one_sku(row("1:10"), row("1:10 20:5", of="SUMMER"), lists=(PUBLIC, summer))
    finding = the("price_jumps", one_sku(row("1:10")), current=MemoryBook(before, root="r"))

    assert (finding.params["quantity"], finding.params["percent"]) == ("20", "+100.0")


def test_boxes_are_compared_with_what_their_base_units_cost_so_far() -> None:
    before = one_sku(row("1:10 24:5"))
    of = one_sku(row("1:10"), row("1:120", unit="box"))
    told = [f for f in findings(of, current=MemoryBook(before, root="r")) if f.code == "price_jumps"]

    assert [(f.params["quantity"], f.params["unit"], f.params["percent"]) for f in told] == [("24", "each", "+100.0")]
    no_single = replace(of, quantity_rules=(NO_SINGLE_ONES,))
    finding = the("price_jumps", no_single, current=MemoryBook(before, root="r"))
    assert (finding.params["quantity"], finding.params["unit"]) == ("2", "box")
    assert finding.params["percent"] == "+100.0"


def test_a_jump_by_a_rule_of_the_book_in_force_is_found_for_each_sku() -> None:
    """Their rules differ in the quantity alone."""
    skus = CHAIR, STOOL
    rules = [
        rule(f"N{number}", "50", scope=Scope(skus=(facts.sku,)), conditions=Conditions(max_quantity=str(most)))
        for number, (facts, most) in enumerate(zip(skus, (5, 8), strict=True))
    ]
    rows = row("1:10"), row("1:10", sku="STOOL")
    book = MemoryBook(content(*rows, skus=skus, adjustments=tuple(rules)), root="r")
    minimum = QuantityRule(code="Q", scope=EVERYTHING, minimum="7")
    of = content(*rows, skus=skus, quantity_rules=(minimum,))
    finding = the("price_jumps", of, current=book)

    assert (finding.params["sku"], finding.params["quantity"]) == ("STOOL", "7")
    assert "count" not in finding.params


# --- Rows that do nothing ---


@pytest.mark.parametrize("ends_at", [day(1), NOW])
def test_a_row_that_has_ended_is_not_told_to_price_nothing(ends_at: datetime) -> None:
    newer = public("NEWER", priority=1)

    assert codes(one_sku(row("1:10", ends_at=ends_at), row("1:9", of="NEWER"), lists=(PUBLIC, newer))) == []


def test_an_effect_that_passes_over_a_contract_is_told_where_others_see_no_contract() -> None:
    charge = rule("R", AmountEffect(amount="1"), conditions=in_euro())
    of = one_sku(
        row("1:10"), row(">0:9", model="graduated", of="CONTRACT"), lists=(PUBLIC, CONTRACT), adjustments=(charge,)
    )
    finding = the("effect_passed_over", of, buyers=[INITECH])

    assert finding.params == {"rule": "R", "sku": CHAIR.sku, "list": "CONTRACT"}
    assert finding.witness is not None
    assert finding.witness.buyer == INITECH


def test_an_effect_that_is_passed_over_between_two_breaks_is_found_there() -> None:
    """The graduated row is the cheaper one from 7 to 47 alone."""
    lists = public(), public("STEPS", priority=1)
    steps = row(">0:11 >5:1 >10:11", model="graduated", of="STEPS")
    of = one_sku(
        row("1:10"),
        steps,
        lists=lists,
        strategy=Strategy.LOWEST,
        adjustments=(rule("R", AmountEffect(amount="1"), conditions=in_euro()),),
    )
    finding = the("effect_passed_over", of)

    assert finding.params["list"] == "STEPS"
    line = asked(of, finding.witness)
    assert isinstance(line, PricedLine)
    assert line.trace.list == "STEPS"


def test_a_surcharge_from_a_quantity_on_is_told_there() -> None:
    charge = rule(
        "CHARGE", PercentEffect(percent="3", surcharge=True), audience=only(segments=("trade",)),
        conditions=at_least("7"),
    )  # fmt: skip
    finding = the("dearer_than_public", one_sku(row("1:10"), adjustments=(charge,)), buyers=[GLOBEX])

    assert finding.params["quantity"] == "7"
