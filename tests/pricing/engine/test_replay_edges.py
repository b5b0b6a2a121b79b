"""The separate program at edges: of periods, of cents, of its own texts."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel.canonical import digest
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    BookContent,
    Bound,
    BuyGetEffect,
    Conditions,
    Cost,
    CurrencyPrice,
    FixedPriceEffect,
    MarginLimit,
    PercentEffect,
    PriceLimit,
    QuantityRule,
    RoundingPolicy,
    Scope,
    Side,
    TaxLevel,
    UnitFact,
)
from pricing.engine.replay import _LEFT_OUT as LEFT_OUT
from pricing.engine.replay import main, replay
from tests.pricing.engine.cast import (
    CHAIR,
    EVERYTHING,
    GLOBEX,
    NOW,
    ROPE,
    VAT,
    content,
    day,
    in_euro,
    layer,
    only,
    public,
    row,
    rule,
)
from tests.pricing.engine.test_replay import RICH, ask, retold, rich

HOUR = timedelta(hours=1)
UP = PercentEffect(percent="10", surcharge=True)


def two_lists(**dates: Any) -> tuple[dict[str, Any], bytes]:
    """The answer of a book whose list FIRST prices before OTHER, whose dates are given."""
    lists = public("FIRST", priority=2), public("OTHER", priority=1, **dates)
    answer, leaves = ask(content(row("1:10", of="FIRST"), row("1:11", of="OTHER"), lists=lists), "1 CRUNCHY-ARMCHAIR")
    assert replay(answer, leaves).findings == ()
    return json.loads(answer), leaves


def test_a_list_that_begins_now_may_not_be_said_to_begin_yet() -> None:
    answer, leaves = two_lists(starts_at=NOW)
    (loser,) = answer["lines"][0]["trace"]["losers"]
    assert loser["reason"] == "lower_priority"

    loser.update(reason="starts", params={"at": "2026-11-21T12:00:00Z"})

    assert any("OTHER" in said for said in retold(answer, leaves).findings)


def test_a_list_that_ends_now_has_ended() -> None:
    answer, leaves = two_lists(ends_at=NOW)
    (loser,) = answer["lines"][0]["trace"]["losers"]

    assert (loser["reason"], loser["params"]) == ("ended", {"at": "2026-11-21T12:00:00Z"})
    assert retold(answer, leaves).findings == ()


def test_a_list_that_ends_later_may_not_be_said_to_have_ended() -> None:
    answer, leaves = two_lists(ends_at=NOW + HOUR)
    (loser,) = answer["lines"][0]["trace"]["losers"]

    loser.update(reason="ended", params={"at": "2026-11-21T13:00:00Z"})

    assert any("OTHER" in said for said in retold(answer, leaves).findings)


def test_the_odd_cent_of_an_orders_tax_falls_where_the_engine_lets_it_fall() -> None:
    of = content(row("0:0.03"), row("0:0.03", unit="box"), policy=RoundingPolicy(tax_level=TaxLevel.ORDER))

    for asked in (("1 CRUNCHY-ARMCHAIR", "1 box CRUNCHY-ARMCHAIR"), ("1 box CRUNCHY-ARMCHAIR", "1 CRUNCHY-ARMCHAIR")):
        assert replay(*ask(of, *asked, tax=VAT)).findings == ()


def test_an_orders_tax_is_shared_by_the_amounts_as_they_are_rounded() -> None:
    """0.03 of 0.17: 0.53 of three cents against 2.47, so one cent and two."""
    of = content(row("0:0.03"), row("0:0.14", sku="STOOL"), policy=RoundingPolicy(tax_level=TaxLevel.ORDER))

    answer, leaves = ask(of, "1 CRUNCHY-ARMCHAIR", "1 STOOL", tax=VAT)

    assert [line["tax"] for line in json.loads(answer)["lines"]] == ["0.01", "0.02"]
    assert replay(answer, leaves).findings == ()


def test_the_command_says_each_thing_under_its_own_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, leaves = ask(rich(), *RICH, tax=VAT)
    for name, document in (("answer", answer), ("leaves", leaves), ("wrong", answer.replace(b"8.25", b"8.26"))):
        (tmp_path / name).write_bytes(document)

    main([str(tmp_path / "wrong"), str(tmp_path / "leaves")])
    words = {line.split(":")[0] for line in capsys.readouterr().out.splitlines()}
    main([])

    assert words == {"Taken as asked", "Checked", "Not checked", "WRONG"}
    assert capsys.readouterr().err == "Give two files: python -m pricing.engine.replay ANSWER.json LEAVES.json\n"


# --- What the engine did at an edge is worked out again to the same end ---


def follows(of: BookContent, *lines: str, **more: Any) -> bool:
    """Whether everything of the answer follows from the shown leaves, hints apart."""
    found = replay(*ask(of, *lines, **more))
    return (found.findings, [said for said in found.unchecked if "the hint" not in said]) == ((), [LEFT_OUT])


CHAIR_3 = "3 CRUNCHY-ARMCHAIR"
BOX = "2 box CRUNCHY-ARMCHAIR"
THIRTY = in_euro(min_line_amount="30", max_line_amount="30", min_subtotal="30", max_subtotal="30")


def chairs(*rules: Adjustment, said: str = "1:10", **more: Any) -> BookContent:
    return content(row(said, **more), adjustments=rules)


def bound(price: str, side: Side, code: str) -> Bound:
    """In dollars one less."""
    prices = CurrencyPrice(currency="USD", price=str(int(float(price)) - 1)), CurrencyPrice(currency="EUR", price=price)
    return Bound(code=code, side=side, scope=EVERYTHING, limit=PriceLimit(prices=prices), disclosed=True)


SEATS = tuple(msgspec.structs.replace(facts, break_group="SEATS") for facts in (CHAIR, ROPE))
HERE = public("HERE", audience=only(countries=("DE",)))
NINE_20 = bound("9.2", Side.CEILING, "NINE-20")
DEAR = rule("DEAR", UP, layer="line")
FLOOR, CEILING = bound("9", Side.FLOOR, "FLOOR"), bound("10.005", Side.CEILING, "CEILING")


@pytest.mark.parametrize(
    ("of", "asked"),
    [
        pytest.param(chairs(rule("NOW", "5", starts_at=NOW)), CHAIR_3, id="begins now"),
        pytest.param(chairs(rule("OVER", "5", ends_at=NOW)), CHAIR_3, id="ends now"),
        pytest.param(
            chairs(rule("THREE", "5", conditions=Conditions(min_quantity="3", max_quantity="3"))), CHAIR_3, id="just 3"
        ),
        pytest.param(chairs(rule("THIRTY", "5", layer="line", conditions=THIRTY)), CHAIR_3, id="just 30.00"),
        pytest.param(chairs(rule("SET", BuyGetEffect(buy="2", get="1"), layer="line")), CHAIR_3, id="a whole set"),
        pytest.param(
            chairs(rule("SETS", BuyGetEffect(buy="3", get="2"), layer="line"), said="1:10+3"),
            "11 CRUNCHY-ARMCHAIR",
            id="two sets of five beside a fee",
        ),
        pytest.param(
            chairs(rule("OFF", AmountEffect(amount="5"), layer="line", conditions=in_euro()), said="1:100", unit="box"),
            BOX,
            id="money off a line of boxes",
        ),
        pytest.param(
            chairs(rule("FIXED", FixedPriceEffect(price="6"), conditions=in_euro()), said="1:100", unit="box"),
            BOX,
            id="a fixed price of boxes",
        ),
        pytest.param(chairs(said=">0:10 >10:8", model="volume"), "10 CRUNCHY-ARMCHAIR", id="not above 10"),
        pytest.param(chairs(said=">0:10 >5:8+3", model="graduated"), "5 CRUNCHY-ARMCHAIR", id="a slice not entered"),
        pytest.param(
            content(row("1:10"), row("1:11", of="HERE"), lists=(public(), HERE)),
            CHAIR_3,
            id="a list for a country",
        ),
        pytest.param(
            content(
                row("1:10"),
                row("1:9", of="PAST", ends_at=day(3)),
                row("1:9", of="NEXT", starts_at=day(3, 12)),
                lists=(public(), public("PAST", ends_at=day(2)), public("NEXT", starts_at=day(2, 12))),
            ),
            CHAIR_3,
            id="a list and its row that both ended or begin later",
        ),
        pytest.param(
            chairs(
                rule("FIVE", "5"),
                rule("FOUR", "4", priority=-1),
                rule("FIXED", FixedPriceEffect(price="6"), conditions=in_euro()),
                said=">0:10",
                model="graduated",
            ),
            CHAIR_3,
            id="rules beaten or without a unit price on slices",
        ),
        pytest.param(chairs(said="1:110 3:60", unit="box"), BOX, id="a next break of boxes"),
        pytest.param(
            content(row(">0:10", model="graduated"), row("1:20", sku="ROPE"), skus=SEATS),
            (CHAIR_3, "2 ROPE"),
            id="slices in a group",
        ),
        pytest.param(chairs(said="1:10 3:9"), "0 CRUNCHY-ARMCHAIR", id="nothing of what begins at 1"),
        pytest.param(chairs(said=">0:110 >2:100", unit="box", model="graduated"), BOX, id="slices of boxes"),
        pytest.param(
            content(row("1:110+5 3:60+2", unit="box"), adjustments=(DEAR,), bounds=(NINE_20,)),
            BOX,
            id="a ceiling of boxes beside a fee",
        ),
        pytest.param(
            content(
                row(">0:110+5 >2:100+3", unit="box", model="graduated"),
                adjustments=(DEAR,),
                bounds=(NINE_20,),
            ),
            "1 box CRUNCHY-ARMCHAIR",
            id="a ceiling of slices of boxes beside a fee",
        ),
        pytest.param(
            chairs(
                rule("TWO", AmountEffect(amount="2"), conditions=in_euro()),
                rule("ONE", AmountEffect(amount="1"), conditions=in_euro(), priority=-1),
            ),
            CHAIR_3,
            id="money beaten by more money",
        ),
        pytest.param(
            content(
                row("1:10"),
                row("1:9", of="PAST"),
                lists=(public(), public("PAST", ends_at=NOW)),
                adjustments=(rule("LATE", "5", ends_at=NOW), rule("OVER", "5", layer="line", ends_at=NOW)),
            ),
            CHAIR_3,
            id="losers of every phase",
        ),
        pytest.param(
            content(row("1:10"), row("1:20", sku="ROPE"), skus=SEATS), (CHAIR_3, "2 ROPE"), id="flat rows of a group"
        ),
        pytest.param(
            content(row("1:10", ends_at=day(30)), adjustments=(rule("ENDS", "5", ends_at=day(30) + HOUR / 7200),)),
            CHAIR_3,
            id="an end half a second after another",
        ),
        pytest.param(
            content(row("1:10+5"), adjustments=(DEAR,), bounds=(CEILING,)),
            CHAIR_3,
            id="a ceiling beside a fee",
        ),
    ],
)  # fmt: skip
def test_what_stands_just_at_an_edge_follows(of: BookContent, asked: str | tuple[str, ...]) -> None:
    assert follows(of, *([asked] if isinstance(asked, str) else asked))


@pytest.mark.parametrize("gross", [False, True])
@pytest.mark.parametrize(("said", "limit"), [("1:100", FLOOR), ("1:200", CEILING)])
def test_bounds_are_of_one_unit_before_tax_in_the_answers_currency(gross: bool, said: str, limit: Bound) -> None:
    of = content(row(said, unit="box"), lists=(public(tax_included=gross),), bounds=(limit,))

    answer, leaves = ask(of, BOX, tax=VAT)

    assert json.loads(answer)["lines"][0]["trace"]["steps"][1]["phase"] == "bound"
    assert replay(answer, leaves).findings == ()
    assert follows(of, BOX, tax=VAT)


def test_rules_of_the_line_set_an_edge_from_the_first_unit_on() -> None:
    ending = rule("ENDS", "5", layer="line", ends_at=day(1, 12))
    of = chairs(ending, said="0:10")

    for quantity, edge in (("0", None), ("1", "2026-12-01T00:00:00Z"), ("2", "2026-12-01T00:00:00Z")):
        answer, leaves = ask(of, f"{quantity} CRUNCHY-ARMCHAIR")
        assert json.loads(answer)["valid_until"] == edge
        assert replay(answer, leaves).findings == ()


def order_rule(amount: str, *, surcharge: bool = False, skus: tuple[str, ...] = ()) -> Adjustment:
    scope = Scope(skus=skus) if skus else EVERYTHING
    effect = AmountEffect(amount=amount, surcharge=surcharge)
    return rule("ORDER", effect, layer="order", conditions=in_euro(), scope=scope)


THREE_LINES = "1 CRUNCHY-ARMCHAIR", "1 STOOL", "1 ROPE"
ROWS = row("0:10"), row("0:10", sku="STOOL"), row("0:30", sku="ROPE")


@pytest.mark.parametrize(
    ("order", "bounds"),
    [
        pytest.param(order_rule("12"), (FLOOR,), id="two lines stop at their floors"),
        pytest.param(order_rule("60"), (), id="more than everything"),
        pytest.param(order_rule("5", surcharge=True, skus=("STOOL",)), (CEILING,), id="to a ceiling finer than a cent"),
    ],
)  # fmt: skip
def test_an_order_rule_is_spread_up_to_the_shown_bounds_to_the_cent(
    order: Adjustment, bounds: tuple[Bound, ...]
) -> None:
    few = tuple(msgspec.structs.replace(limit, scope=Scope(skus=("CRUNCHY-ARMCHAIR", "STOOL"))) for limit in bounds)

    assert follows(content(*ROWS, adjustments=(order,), bounds=few), *THREE_LINES)


def test_a_house_bound_may_move_a_share_to_another_line_and_the_lines_beside_stay() -> None:
    order = order_rule("5", skus=("CRUNCHY-ARMCHAIR", "STOOL"))
    house = msgspec.structs.replace(FLOOR, disclosed=False, scope=Scope(skus=("STOOL",)))
    of = content(*ROWS, adjustments=(order,), bounds=(house,))

    found = replay(*ask(of, *THREE_LINES))

    assert found.findings == ()
    assert found.unchecked == (
        LEFT_OUT,
        "Rule ORDER: its spread over the lines, which a house bound may have stopped",
    )


# --- What did not happen is found under its name ---


def forged(of: BookContent, change: Callable[[Any], None], *lines: str) -> list[str]:
    """What is found wrong, each by its name."""
    answer, leaves = ask(of, *lines)
    told = json.loads(answer)
    change(told)
    return [said.split(": ")[0] for said in retold(told, leaves).findings]


def steps(told: Any) -> list[Any]:
    found: list[Any] = told["lines"][0]["trace"]["steps"]
    return found


def test_a_step_by_a_bound_that_is_left_out_is_found() -> None:
    named = "CRUNCHY-ARMCHAIR per each, within the shown bounds"
    of = content(row("1:5"), bounds=(FLOOR,))

    assert named in forged(of, lambda told: steps(told).pop(1), CHAIR_3)


@pytest.mark.parametrize("price", ["0", "0.3", "5"])
def test_a_price_that_was_not_below_zero_is_not_lifted_to_it(price: str) -> None:
    lifted: dict[str, Any] = {
        "phase": "bound", "reason": "never_below_zero", "rule": None, "titles": None, "before": price, "after": "0",
        "params": {},
    }  # fmt: skip

    found = forged(content(row(f"1:{price}")), lambda told: steps(told).insert(1, lifted), CHAIR_3)

    assert "CRUNCHY-ARMCHAIR per each, below zero" in found


@pytest.mark.parametrize(("reason", "code"), [("floor", "FLOOR"), ("ceiling", "TEN"), ("ceiling", None)])
def test_a_step_by_a_bound_that_moves_nothing_is_found(reason: str, code: str | None) -> None:
    idle: dict[str, Any] = {
        "phase": "bound",
        "reason": reason,
        "rule": code,
        "titles": None,
        "before": "10",
        "after": "10",
        "params": {},
    }
    of = content(row("1:10"), bounds=(bound("10", Side.FLOOR, "FLOOR"), bound("10", Side.CEILING, "TEN")))

    answer, leaves = ask(of, CHAIR_3)
    told = json.loads(answer)
    steps(told).insert(1, idle)
    (finding,) = retold(told, leaves).findings

    assert finding.startswith("CRUNCHY-ARMCHAIR per each, step 2: ")
    assert "'reason': 'no step'" in finding


def house(price: str, side: Side) -> BookContent:
    """Chairs at 10 under a bound that is not shown."""
    secret = msgspec.structs.replace(bound(price, side, "SECRET"), disclosed=False)
    return content(row("1:10"), bounds=(secret,))


@pytest.mark.parametrize(("price", "side", "other"), [("11", Side.FLOOR, "ceiling"), ("9", Side.CEILING, "floor")])
def test_a_house_bound_lifts_to_a_floor_and_lowers_to_a_ceiling(price: str, side: Side, other: str) -> None:
    of = house(price, side)

    assert replay(*ask(of, CHAIR_3)).findings == ()
    found = forged(of, lambda told: steps(told)[1].update(reason=other), CHAIR_3)
    assert "CRUNCHY-ARMCHAIR per each, the house bound's direction" in found


@pytest.mark.parametrize("made_up", [{"reason": "dull", "params": {}}, {"params": {"by": "NOBODY"}}])
def test_a_list_that_lost_for_a_made_up_reason_is_found_wherever_it_stands(made_up: dict[str, Any]) -> None:
    of = content(row("1:10"), row("1:9", of="TRADE"), lists=(public(priority=1), public("TRADE")))
    of = msgspec.structs.replace(of, adjustments=(rule("LATE", "5", ends_at=day(1)),))

    def last(told: Any) -> None:
        lost = told["lines"][0]["trace"]["losers"]
        assert [loser["phase"] for loser in lost] == ["price", "unit"]
        lost[0].update(made_up)
        lost.reverse()

    assert forged(of, last, CHAIR_3) == ["CRUNCHY-ARMCHAIR per each, why TRADE did not act"]


@pytest.mark.parametrize(
    ("of", "asked", "price"),
    [
        (chairs(said="1:10 10:8 20:7"), CHAIR_3, "10.00"),
        (chairs(said="1:10 10:8 20:7"), CHAIR_3, "7.00"),
        (chairs(said="1:110 3:60 30:50", unit="box"), BOX, "50.00"),
    ],
)
def test_the_next_break_is_one_that_its_quantity_reaches_and_the_line_does_not(
    of: BookContent, asked: str, price: str
) -> None:
    (finding,) = forged(of, lambda told: told["lines"][0]["trace"]["next_break"].update(unit_price=price), asked)

    assert finding.endswith(", price of the next break")


def test_an_order_rule_that_moves_too_much_or_lines_beside_its_scope_is_found() -> None:
    def more(told: Any) -> None:
        steps(told)[-1]["after"] = "4"

    def beside(told: Any) -> None:
        told["lines"][1]["trace"]["steps"].append(steps(told)[-1])

    of = content(*ROWS, adjustments=(order_rule("5", skus=("CRUNCHY-ARMCHAIR",)),))

    assert "Rule ORDER, not more than it says" in forged(of, more, *THREE_LINES)
    assert "Rule ORDER, lines outside its scope" in forged(of, beside, *THREE_LINES)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda told: told["order_steps"].reverse(), "Rule ORDER in the order of layers and groups"),
        (
            lambda told: told["order_steps"].insert(0, told["order_steps"][0]),
            "Rule ORDER in the order of layers and groups",
        ),
        (lambda told: told["order_steps"][1].update(rule="LATER"), "Rule LATER acts where nothing stands against it"),
        (
            lambda told: told["order_losers"][-1].update(params={"by": "FIRST"}),
            "Why rule THIRD did not act on the order",
        ),
    ],
)
def test_an_order_rule_out_of_turn_or_beaten_by_nobody_is_found(change: Callable[[Any], None], named: str) -> None:
    rules = (
        order_rule("1"),
        rule("SECOND", "5", layer="order", group="second", priority=1),
        rule("THIRD", "5", layer="order", group="second"),
        rule("LATER", "5", layer="order", group="second", starts_at=day(1, 12)),
    )
    of = content(*ROWS, layers=(layer("order", "first", "second"),), adjustments=rules)

    assert named in forged(of, change, *THREE_LINES)


def test_a_rule_of_another_layer_of_the_order_beats_nobody() -> None:
    rules = (
        rule("FIRST", "5", layer="early"),
        rule("SECOND", "5", layer="late", priority=1),
        rule("THIRD", "5", layer="late"),
    )
    of = content(*ROWS, layers=(layer("order", code="early"), layer("order", code="late")), adjustments=rules)

    found = forged(of, lambda told: told["order_losers"][0]["params"].update(by="FIRST"), *THREE_LINES)

    assert found == ["Why rule THIRD did not act on the order"]


def test_a_row_of_a_unit_that_was_not_asked_for_prices_nothing() -> None:
    units = UnitFact(unit="each"), UnitFact(unit="box", factor="12"), UnitFact(unit="pallet", factor="120")
    of = content(row("1:10"), row("0:900", unit="pallet"), skus=(msgspec.structs.replace(CHAIR, units=units),))

    found = forged(of, lambda told: told["lines"][0]["trace"].update(row_unit="pallet"), BOX)

    assert "CRUNCHY-ARMCHAIR per box, the row's unit" in found


def test_who_lost_to_a_rule_that_itself_lost_is_believed() -> None:
    rules = (
        rule("BEST", "20", layer="order", exclusive=True),
        rule("GOOD", "10", layer="order", priority=1),
        rule("FAIR", "5", layer="order"),
    )
    of = content(*ROWS, adjustments=rules)
    answer, leaves = ask(of, *THREE_LINES)

    lost = {loser["rule"]: loser["params"]["by"] for loser in json.loads(answer)["order_losers"]}
    assert lost == {"FAIR": "GOOD", "GOOD": "BEST"}
    assert replay(answer, leaves).findings == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda told: steps(told)[1].update(rule="LATER"), "rule LATER, obstacle"),
        (lambda told: steps(told)[1].update(rule="STOOLS"), "rule STOOLS, in scope"),
        (lambda told: steps(told)[1].update(rule="MANY"), "rule MANY, obstacle"),
        (lambda told: steps(told)[2].update(rule="FIRST"), "rule FIRST, in the order of layers and groups"),
        (lambda told: steps(told).insert(1, steps(told)[1]), "rule FIRST, in the order of layers and groups"),
    ],
)
def test_a_rule_that_may_not_act_or_acts_out_of_turn_is_found(change: Callable[[Any], None], named: str) -> None:
    rules = (
        rule("FIRST", "5"),
        rule("SECOND", "5", group="second"),
        rule("LATER", "5", group="third", starts_at=day(1, 12)),
        rule("MANY", "5", group="third", conditions=Conditions(min_quantity="20")),
        rule("STOOLS", "5", group="third", scope=Scope(skus=("STOOL",))),
    )
    of = content(*ROWS, layers=(layer("unit", "first", "second", "third"),), adjustments=rules)

    assert f"CRUNCHY-ARMCHAIR per each, {named}" in forged(of, change, *THREE_LINES)


def test_nothing_acts_beside_an_exclusive_rule_of_its_layer() -> None:
    rules = rule("ALONE", "50", exclusive=True), rule("SECOND", "5", group="second")
    of = content(*ROWS, layers=(layer("unit", "first", "second"),), adjustments=rules)

    found = forged(of, lambda told: steps(told).insert(2, {**steps(told)[1], "rule": "SECOND"}), CHAIR_3)

    assert "CRUNCHY-ARMCHAIR per each, rule SECOND, in the order of layers and groups" in found


@pytest.mark.parametrize("combine", ["sum", "sequence"])
def test_three_groups_of_a_layer_add_up_or_compound(combine: str) -> None:
    groups = "first", "second", "third"
    rules = [rule(group.upper(), "10", group=group) for group in groups]

    assert follows(content(*ROWS, layers=(layer("unit", *groups, combine=combine),), adjustments=tuple(rules)), CHAIR_3)


@pytest.mark.parametrize("dates", [{"ends_at": NOW}, {"starts_at": NOW + HOUR}])
def test_a_list_that_is_over_or_to_come_prices_nothing(dates: dict[str, Any]) -> None:
    rows = row("1:10"), row("1:11", of="OTHER")
    answer, _ = ask(content(*rows, lists=(public(priority=1), public("OTHER"))), CHAIR_3)
    _, leaves = ask(content(*rows, lists=(public(priority=1, **dates), public("OTHER"))), CHAIR_3)

    named = [said.split(": ")[0] for said in retold(json.loads(answer), leaves).findings]

    assert "CRUNCHY-ARMCHAIR per each, the list" in named


@pytest.mark.parametrize("other", [{"segments": []}, {"segments": ["new"]}, {"country": "FR"}, {"company": "acme"}])
def test_a_price_for_another_buyer_is_found(other: dict[str, Any]) -> None:
    of = content(row("1:10"), lists=(public(audience=only(company="globex", segments=("trade",), countries=("DE",))),))
    answer, leaves = ask(of, CHAIR_3, buyer=GLOBEX)
    assert replay(answer, leaves).findings == ()
    told = json.loads(answer)

    told["buyer"].update(other)

    assert any("no row of list LIST" in said for said in retold(told, leaves).findings)


def test_totals_beside_a_refused_line_are_found() -> None:
    def summed(told: Any) -> None:
        told["subtotal"] = {"minor": 3000, "currency": "EUR"}

    assert forged(content(row("1:10")), summed, CHAIR_3, "1 each SOFA") == ["Totals beside a refused line"]


def test_an_outcome_of_a_third_kind_is_found() -> None:
    found = forged(content(), lambda told: told["lines"][0].update(outcome="perhaps"), "1 each SOFA")

    assert "1 each SOFA, the outcome" in found


# --- What could not be worked out is said in whole sentences ---


def test_what_a_house_bound_did_is_said_with_its_name_where_that_is_shown() -> None:
    hidden = msgspec.structs.replace(bound("11", Side.FLOOR, "SECRET"), disclosed=False)
    margin = Bound(code="MARGIN", side=Side.FLOOR, scope=EVERYTHING, limit=MarginLimit(percent="50"), disclosed=True)
    cost = Cost(sku="CRUNCHY-ARMCHAIR", currency="EUR", cost="6")
    said = "CRUNCHY-ARMCHAIR per each: a step by a house bound"

    assert replay(*ask(content(row("1:10"), bounds=(hidden,)), CHAIR_3)).unchecked == (LEFT_OUT, f"{said}, 10 to 11")
    named = content(row("1:10"), bounds=(margin,), costs=(cost,))
    assert replay(*ask(named, CHAIR_3)).unchecked == (LEFT_OUT, f"{said} (MARGIN), 10 to 12")


def test_what_was_left_out_or_refused_is_said_with_its_numbers() -> None:
    many = [rule(f"R{number}", "1", conditions=Conditions(countries=("FR",))) for number in range(25)]
    found = replay(*ask(chairs(*many), CHAIR_3))
    assert found.unchecked == (LEFT_OUT, "CRUNCHY-ARMCHAIR per each: that 5 more did not act")

    least = QuantityRule(code="Q", scope=EVERYTHING, minimum="5")
    refused = content(row("1:10", ends_at=day(30)), quantity_rules=(least,))
    assert replay(*ask(refused, CHAIR_3)).unchecked == (
        LEFT_OUT,
        "3 each CRUNCHY-ARMCHAIR: that it was refused (quantity_below_minimum: minimum 5, unit each), until None",
    )


def test_what_is_no_number_is_repeated_in_part() -> None:
    answer, leaves = ask(content(row("1:10")), CHAIR_3)
    told = json.loads(answer)
    told["lines"][0]["quantity"] = "1e" + "9" * 50

    found = retold(told, leaves).findings

    form = "The documents are not of the expected form: "
    assert found == (f"{form}ValueError '1e{'9' * 38}' is no number",)


def test_a_row_that_was_not_shown_prices_nothing() -> None:
    answer, leaves = ask(content(row("1:10")), CHAIR_3)
    told = json.loads(leaves)
    hidden = [leaf for leaf in told["shown"] if leaf["kind"] == "row"]
    told["shown"] = [leaf for leaf in told["shown"] if leaf["kind"] != "row"]
    told["digests"] += [digest(leaf).removeprefix("sha256:") for leaf in hidden]

    found = replay(answer, json.dumps(told).encode()).findings

    form = "The documents are not of the expected form: "
    what = "no row of list LIST for CRUNCHY-ARMCHAIR per each was shown that is valid then"
    assert found == (f"{form}LookupError {what}",)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda told: told.update(answer="sha256:00"), "The answer these leaves were shown for"),
        (lambda told: told.update(root="sha256:00"), "The root of the leaves"),
        (
            lambda told: told["shown"].append(next(leaf for leaf in told["shown"] if leaf["kind"] == "row")),
            "A second row LIST / CRUNCHY-ARMCHAIR / each / ",
        ),
    ],
)
def test_leaves_for_another_answer_root_or_twice_are_found(change: Callable[[Any], None], named: str) -> None:
    answer, leaves = ask(content(row("1:10")), CHAIR_3)
    told = json.loads(leaves)
    change(told)

    found = [said.split(": ")[0] for said in replay(answer, json.dumps(told).encode()).findings]

    assert named in found
