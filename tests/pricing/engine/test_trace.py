"""What a line says of itself: steps, losers, next break, cliff; and the words for it."""

import msgspec
import pytest

from pricing.engine import (
    cliff_text,
    explain,
    loser_text,
    next_break_text,
    refusal_text,
    step_text,
)
from pricing.engine.book import (
    AmountEffect,
    Conditions,
    PercentEffect,
    PercentStep,
    QuantityRule,
    QuantityTableEffect,
    RoundingPolicy,
    Scope,
    Titles,
    UnitFact,
)
from pricing.engine.explain import _LOSERS, _REFUSALS, _STEPS
from pricing.engine.request import NextBreak, RefusedLine, Step
from tests.pricing.engine.cast import (
    CHAIR,
    INITECH,
    ask,
    at_least,
    book,
    in_euro,
    only,
    priced,
    public,
    row,
    rule,
)

TIERED = book(row("1:10 10:8.4 50:7.5"))


def test_the_steps_lead_from_the_list_price_to_the_line() -> None:
    rules = (rule("SEATS", "5", scope=Scope(categories=("seating",))), rule("LINE", "3.33", layer="line"))
    steps = priced(book(row("1:10.01"), adjustments=rules), "3 CRUNCHY-ARMCHAIR").trace.steps

    assert [(step.phase, step.rule, step.before, step.after) for step in steps] == [
        ("price", "LIST", None, "10.01"),
        ("unit", "SEATS", "10.01", "9.5095"),
        ("round_unit", None, "9.5095", "9.51"),
        ("extend", None, "9.51", "28.53"),
        ("line", "LINE", "28.53", "27.579951"),
        ("round_line", None, "27.579951", "27.58"),
    ]


def test_a_price_that_never_ends_is_shown_as_a_fraction() -> None:
    thirds = msgspec.structs.replace(CHAIR, units=(UnitFact(unit="each"), UnitFact(unit="crate", factor="3")))
    effect = AmountEffect(amount="1")
    by_crate = book(row("0:10", unit="crate"), skus=(thirds,), adjustments=(rule("R", effect, conditions=in_euro()),))

    assert priced(by_crate, "1 crate CRUNCHY-ARMCHAIR").unit_price == "7.00"
    assert priced(by_crate, "1 crate CRUNCHY-ARMCHAIR").trace.row_quantity == "1"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("1", ("10", "9", "8.40")),
        ("9", ("10", "1", "8.40")),
        ("10", ("50", "40", "7.50")),
        ("49", ("50", "1", "7.50")),
        ("50", None),
    ],
)
def test_the_next_break_says_how_many_more(asked: str, expected: tuple[str, str, str] | None) -> None:
    found = priced(TIERED, f"{asked} CRUNCHY-ARMCHAIR").trace.next_break

    assert (None if found is None else (found.quantity, found.more, found.unit_price)) == expected


def test_a_break_above_a_quantity_begins_one_step_later() -> None:
    above = book(row(">0:10 >10:8"), row(">0:10 >2.5:8", sku="ROPE"))

    chairs, rope = priced(above, "10 CRUNCHY-ARMCHAIR").trace.next_break, priced(above, "2.5 ROPE").trace.next_break

    assert chairs is not None
    assert rope is not None
    assert (chairs.quantity, rope.quantity, rope.more) == ("11", "2.51", "0.01")


def test_a_break_in_boxes_counts_boxes() -> None:
    found = priced(TIERED, "1 box CRUNCHY-ARMCHAIR").trace.next_break

    assert found is not None
    assert (found.quantity, found.more, found.unit) == ("5", "4", "each")


def test_a_break_in_a_group_counts_what_the_others_add() -> None:
    chair = msgspec.structs.replace(CHAIR, break_group="seats")
    stool = msgspec.structs.replace(CHAIR, sku="STOOL", break_group="seats")
    grouped = book(row("1:10 10:8"), row("0:5", sku="STOOL"), skus=(chair, stool))

    line = ask(grouped, "1 STOOL", "4 CRUNCHY-ARMCHAIR").lines[1]

    assert not isinstance(line, RefusedLine)
    assert line.trace.next_break is not None
    assert (line.trace.next_break.quantity, line.trace.next_break.more) == ("9", "5")


def test_the_next_break_can_be_bought_and_is_left_out_where_it_cannot() -> None:
    def ruled(**rules: str) -> object:
        return priced(
            book(row("1:10 10:8"), quantity_rules=(QuantityRule(code="Q", scope=Scope(everything=True), **rules),)),
            "4 CRUNCHY-ARMCHAIR",
        ).trace.next_break

    by_four = ruled(multiple="4")

    assert getattr(by_four, "quantity", None) == "12"
    assert getattr(ruled(unit="each", multiple="4"), "quantity", None) == "12"
    assert getattr(ruled(unit="box", multiple="4"), "quantity", None) == "10"
    assert ruled(maximum="9") is None


def test_a_dearer_tier_is_no_break() -> None:
    dearer = book(row("1:10 10:11 20:9"))

    found = priced(dearer, "1 CRUNCHY-ARMCHAIR").trace.next_break

    assert found is not None
    assert found.quantity == "20"
    assert priced(book(row("1:10 10:11")), "1 CRUNCHY-ARMCHAIR").trace.next_break is None


@pytest.mark.parametrize(
    ("asked", "expected"), [("8", None), ("9", ("10", "84.00")), ("44", None), ("45", ("50", "375.00")), ("50", None)]
)
def test_the_cliff_says_where_more_cost_less(asked: str, expected: tuple[str, str] | None) -> None:
    found = priced(TIERED, f"{asked} CRUNCHY-ARMCHAIR").trace.cliff

    assert (None if found is None else (found.quantity, found.subtotal)) == expected


def test_a_rule_by_quantity_makes_a_cliff_too() -> None:
    steps = (PercentStep(from_="10", percent="20"),)
    discounts = (
        book(row("1:10"), adjustments=(rule("R", "20", conditions=at_least("10")),)),
        book(row("1:10"), adjustments=(rule("R", QuantityTableEffect(steps=steps)),)),
        book(row("1:10"), adjustments=(rule("R", "20", layer="line", conditions=at_least("10")),)),
    )
    for discount in discounts:
        assert priced(discount, "8 CRUNCHY-ARMCHAIR").trace.cliff is None
        cliff = priced(discount, "9 CRUNCHY-ARMCHAIR").trace.cliff
        assert cliff is not None
        assert (cliff.quantity, cliff.subtotal) == ("10", "80.00")


def test_a_rule_that_begins_at_a_break_is_seen_there() -> None:
    both = book(row("1:10 10:9.9"), adjustments=(rule("R", "20", conditions=at_least("10")),))

    cliff = priced(both, "9 CRUNCHY-ARMCHAIR").trace.cliff

    assert cliff is not None
    assert (cliff.quantity, cliff.subtotal) == ("10", "79.20")


def test_an_amount_off_each_makes_a_cliff_that_the_list_alone_has_not() -> None:
    off = rule("OFF", AmountEffect(amount="9"), conditions=in_euro())
    nearly_free = book(row("1:10 10:9.8"), adjustments=(off,))

    assert priced(book(row("1:10 10:9.8")), "9 CRUNCHY-ARMCHAIR").trace.cliff is None
    cliff = priced(nearly_free, "9 CRUNCHY-ARMCHAIR").trace.cliff
    assert cliff is not None
    assert (cliff.quantity, cliff.subtotal) == ("10", "8.00")


def test_no_cliff_is_told_of_quantities_that_cannot_be_bought_or_priced() -> None:
    most = QuantityRule(code="Q", scope=Scope(everything=True), maximum="9")
    capped = book(row("1:10"), adjustments=(rule("R", "20", conditions=at_least("10")),), quantity_rules=(most,))
    too_dear = book(row("1:99999999999 10:99999999998+9999999999999"))

    assert priced(capped, "9 CRUNCHY-ARMCHAIR").trace.cliff is None
    assert priced(too_dear, "9 CRUNCHY-ARMCHAIR").trace.cliff is None


def test_no_cliff_is_told_where_the_larger_quantity_has_two_prices_of_equal_right() -> None:
    lists = (public(), public("A", priority=1), public("B", priority=1))
    tied = book(
        row("1:10"), row("10:1", of="A"), row("10:1", of="B"), lists=lists,
        adjustments=(rule("R", "90", conditions=at_least("10")),),
    )  # fmt: skip

    assert priced(tied, "9 CRUNCHY-ARMCHAIR").trace.cliff is None


def test_a_cliff_looks_at_the_subtotal_it_would_lead_to() -> None:
    rules = (
        rule("TEN", "1", conditions=at_least("10")),
        rule("SMALL", PercentEffect(percent="30", surcharge=True), layer="line", conditions=in_euro(max_subtotal="95")),
    )
    cliff = priced(book(row("1:10"), adjustments=rules), "9 CRUNCHY-ARMCHAIR").trace.cliff

    assert cliff is None  # 99 % of 10 times 10 is more than 9 times 10: no percentage pays for it by itself

    rules = (rule("TEN", "11", conditions=at_least("10")), rules[1])
    cliff = priced(book(row("1:10"), adjustments=rules), "9 CRUNCHY-ARMCHAIR").trace.cliff

    assert cliff is not None
    assert (cliff.quantity, cliff.subtotal) == ("10", "115.70")


def step(reason: str, phase: str = "unit", **params: str) -> Step:
    return Step(phase=phase, reason=reason, rule="R", titles=None, before=None, after="1", params=params)


@pytest.mark.parametrize(
    ("said", "english", "spanish"),
    [
        (step("list_price"), "List price R", "Precio de la tarifa R"),
        (step("percent_off", percent="5"), "R: 5 % off", "R: 5 % de descuento"),
        (
            msgspec.structs.replace(
                step("percent_off", percent="5"), titles=Titles(en="Seats week", es="Semana de los asientos")
            ),
            "Seats week: 5 % off",
            "Semana de los asientos: 5 % de descuento",
        ),
        (step("times_quantity", quantity="3"), "Times 3", "Por 3"),
        (
            step("times_quantity", quantity="3", fee="4.5"),
            "Times 3, plus the fee of 4.5",
            "Por 3, más la cuota de 4.5",
        ),
        (step("half_up", "round_line", decimals="2"), "Rounded to 2 decimals", "Redondeado a 2 decimales"),
        (
            step("ceiling", "round_unit", decimals="2"),
            "Rounded up to 2 decimals",
            "Redondeado hacia arriba a 2 decimales",
        ),
        (
            step("floor", "round_unit", decimals="2"),
            "Rounded down to 2 decimals",
            "Redondeado hacia abajo a 2 decimales",
        ),
        (step("ceiling", "bound"), "R: not above", "R: no por encima"),
        (
            msgspec.structs.replace(step("floor", "bound"), rule=None),
            "House bound: not below",
            "Límite de la casa: no por debajo",
        ),
    ],
)
def test_a_step_has_words_in_both_languages(said: Step, english: str, spanish: str) -> None:
    assert (step_text(said, "en"), step_text(said, "es")) == (english, spanish)


def test_a_loser_a_refusal_a_break_and_a_cliff_have_words() -> None:
    line = priced(
        book(row("1:10 10:8.4"), adjustments=(rule("BIG", "5", conditions=at_least("50")),)), "9 CRUNCHY-ARMCHAIR"
    )
    (loser,) = line.trace.losers
    assert line.trace.next_break is not None
    assert line.trace.cliff is not None

    assert loser_text(loser, "en") == "BIG (en): needs 50 units"
    assert loser_text(loser, "es") == "BIG (es): necesita 50 unidades"
    assert next_break_text(line.trace.next_break, "en") == "1 more: 8.40 per each"
    assert cliff_text(line.trace.cliff, line.quantity, "en") == "10 cost less than 9: 84.00"
    assert explain(line) == (
        "List price LIST = 10",
        "Times 9 = 90",
        "BIG (en): needs 50 units",
        "1 more: 8.40 per each",
        "10 cost less than 9: 84.00",
    )
    assert explain(priced(TIERED, "50 CRUNCHY-ARMCHAIR"), "es") == (
        "Precio de la tarifa LIST = 7.5",
        "Por 50 = 375",
    )
    refusal = ask(TIERED, "1.5 CRUNCHY-ARMCHAIR").lines[0]
    assert isinstance(refusal, RefusedLine)
    assert refusal_text(refusal, "en") == "Quantities in each have 0 decimals at most."
    assert explain(refusal) == ("Quantities in each have 0 decimals at most.",)
    assert refusal_text(refusal, "es") == "Las cantidades en each tienen 0 decimales como máximo."


def test_a_refusal_names_the_sku_it_is_about() -> None:
    unknown, below = ask(book(row("3:10")), "1 SOFA", "2 CRUNCHY-ARMCHAIR").lines

    assert explain(unknown) == ("We do not sell SOFA.",)
    assert explain(below, "es") == ("CRUNCHY-ARMCHAIR tiene precio a partir de 3 each.",)


def test_a_language_without_texts_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="fr"):
        step_text(step("list_price"), "fr")


@pytest.mark.parametrize("table", [_STEPS, _LOSERS, _REFUSALS], ids=["steps", "losers", "refusals"])
def test_every_text_asks_for_the_same_parameters_in_both_languages(table: dict[str, tuple[str, str]]) -> None:
    for english, spanish in table.values():
        names = [sorted(part.split("}")[0] for part in said.split("{")[1:]) for said in (english, spanish)]
        assert names[0] == names[1]


def test_every_step_and_loser_the_engine_writes_has_words() -> None:
    rules = (
        rule("A", "5", conditions=Conditions(countries=("FR",))),
        rule("B", AmountEffect(amount="1", surcharge=True), conditions=in_euro()),
        rule("C", "5", audience=only(company="initech")),
        rule("D", "50", layer="line"),
        rule("E", "1", layer="order"),
    )
    full = book(
        row("1:10+1"),
        row(">0:10+2", sku="STOOL", model="graduated"),
        adjustments=rules,
        policy=RoundingPolicy(round_unit=False),
    )

    answer = ask(full, "3 CRUNCHY-ARMCHAIR", "2 STOOL", buyer=INITECH)

    for line in answer.lines:
        assert not isinstance(line, RefusedLine)
        for language in ("en", "es"):
            assert all(explain(line, language))
            assert all(loser_text(loser, language) for loser in line.trace.losers)
    assert all(step_text(one, "es") for one in answer.order_steps)


def test_the_next_break_of_a_row_per_box_is_said_in_boxes() -> None:
    line = priced(book(row("1:100 3:90", unit="box")), "2 box CRUNCHY-ARMCHAIR")

    assert line.trace.next_break == NextBreak(quantity="3", more="1", unit_price="90.00", unit="box")
