"""Phase 1: what may be asked, in which unit, and what adds up."""

import msgspec
import pytest

from pricing.engine import Buyer, LineRequest, QuoteRequest, quote
from pricing.engine.book import QuantityRule, Scope, SkuFacts
from pricing.engine.request import PricedLine, RefusedLine
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    EVERYTHING,
    NOW,
    STOOL,
    ask,
    at_least,
    book,
    priced,
    refused,
    row,
    rule,
    total,
)

BOOK = book(
    row("1:10 10:8.4 50:7.5"),
    row("0:1.5", sku="ROPE", unit="metre"),
    row("0:30", sku="STOOL"),
    quantity_rules=(
        QuantityRule(code="Q1", scope=Scope(skus=("STOOL",)), minimum="4", maximum="40", multiple="4"),
        QuantityRule(code="Q2", scope=Scope(skus=("CRUNCHY-ARMCHAIR",)), unit="box", maximum="100"),
    ),
)


@pytest.mark.parametrize(
    ("line", "reason", "params"),
    [
        ("1 NO-SUCH-THING", "unknown_sku", {}),
        ("1 pallet CRUNCHY-ARMCHAIR", "unknown_unit", {"units": "each, box"}),
        ("x CRUNCHY-ARMCHAIR", "quantity_malformed", {}),
        ("NaN CRUNCHY-ARMCHAIR", "quantity_malformed", {}),
        ("1e3 CRUNCHY-ARMCHAIR", "quantity_malformed", {}),
        (f"{10**30} CRUNCHY-ARMCHAIR", "quantity_malformed", {}),
        ("-1 CRUNCHY-ARMCHAIR", "quantity_negative", {}),
        ("1.5 CRUNCHY-ARMCHAIR", "quantity_too_fine", {"decimals": "0", "unit": "each"}),
        ("1.255 ROPE", "quantity_too_fine", {"decimals": "2", "unit": "metre"}),
        ("1000000001 ROPE", "quantity_too_large", {"maximum": "1000000000", "unit": "metre"}),
        ("3 STOOL", "quantity_below_minimum", {"minimum": "4", "unit": "each"}),
        ("41 STOOL", "quantity_above_maximum", {"maximum": "40", "unit": "each"}),
        ("6 STOOL", "quantity_not_multiple", {"multiple": "4", "unit": "each"}),
        ("101 box CRUNCHY-ARMCHAIR", "quantity_above_maximum", {"maximum": "100", "unit": "box"}),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_reason(line: str, reason: str, params: dict[str, str]) -> None:
    assert refused(BOOK, line) == (reason, params)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("4 STOOL", "120.00"),
        ("40 STOOL", "1200.00"),
        ("1.25 ROPE", "1.88"),
        ("9 CRUNCHY-ARMCHAIR", "90.00"),
        ("10 CRUNCHY-ARMCHAIR", "84.00"),
        ("49 CRUNCHY-ARMCHAIR", "411.60"),
        ("50 CRUNCHY-ARMCHAIR", "375.00"),
        ("101 CRUNCHY-ARMCHAIR", "757.50"),
        ("1000000000 CRUNCHY-ARMCHAIR", "7500000000.00"),
    ],
)
def test_what_may_be_asked_is_priced(line: str, expected: str) -> None:
    assert total(BOOK, line) == expected


def test_a_quantity_of_zero_costs_nothing_and_has_no_fee() -> None:
    with_fee = book(row("5:10+3"), row(">0:2+7", sku="STOOL", model="graduated"), adjustments=(
        rule("LINE", "10", layer="line"),
    ))  # fmt: skip

    line = priced(with_fee, "0 CRUNCHY-ARMCHAIR")

    assert (line.subtotal, line.unit_price, line.trace.cliff) == ("0.00", "10.00", None)
    assert total(with_fee, "0 STOOL") == "0.00"
    assert total(BOOK, "0 STOOL") == "0.00"


def test_a_box_without_a_price_of_its_own_is_priced_by_the_each() -> None:
    line = priced(BOOK, "2 box CRUNCHY-ARMCHAIR")

    assert (line.unit, line.quantity, line.price_unit, line.unit_price, line.subtotal) == (
        "box",
        "2",
        "each",
        "8.40",
        "201.60",
    )


def test_a_box_with_a_price_of_its_own_is_priced_by_the_box() -> None:
    both = book(row("0:10"), row("0:100", unit="box"))

    assert total(both, "2 box CRUNCHY-ARMCHAIR") == "200.00"
    assert total(both, "24 CRUNCHY-ARMCHAIR") == "240.00"


def test_whichever_row_comes_first_the_asked_unit_wins() -> None:
    assert total(book(row("0:100", unit="box"), row("0:10")), "2 box CRUNCHY-ARMCHAIR") == "200.00"


def test_the_each_prices_boxes_too_few_for_the_price_per_box() -> None:
    both = book(row("0:10"), row("5:100", unit="box"))

    assert total(both, "4 box CRUNCHY-ARMCHAIR") == "480.00"
    assert total(both, "5 box CRUNCHY-ARMCHAIR") == "500.00"


def test_lines_of_one_sku_and_unit_become_one() -> None:
    answer = ask(BOOK, "4 CRUNCHY-ARMCHAIR", "4 STOOL", "6 each CRUNCHY-ARMCHAIR", "1 box CRUNCHY-ARMCHAIR")

    assert [(line.requested, line.quantity, line.unit) for line in answer.lines] == [
        ((0, 2), "10", "each"),
        ((1,), "4", "each"),
        ((3,), "1", "box"),
    ]
    assert [line.subtotal for line in answer.lines if isinstance(line, PricedLine)] == ["84.00", "120.00", "100.80"]


def test_one_bad_quantity_refuses_the_whole_line_by_the_same_reason_in_any_order() -> None:
    asked = ("x CRUNCHY-ARMCHAIR", "-3 CRUNCHY-ARMCHAIR", "-2 CRUNCHY-ARMCHAIR", "1 CRUNCHY-ARMCHAIR")
    forwards, backwards = (ask(BOOK, *lines).lines[0] for lines in (asked, asked[::-1]))

    assert isinstance(forwards, RefusedLine)
    assert isinstance(backwards, RefusedLine)
    assert (forwards.reason, forwards.quantity) == (backwards.reason, backwards.quantity) == ("quantity_malformed", "x")


def test_one_refused_line_leaves_no_totals_and_the_others_priced() -> None:
    answer = ask(BOOK, "1 CRUNCHY-ARMCHAIR", "1 NO-SUCH-THING", "4 STOOL")

    assert answer.total is answer.net is answer.tax is answer.subtotal is None
    assert [isinstance(line, PricedLine) for line in answer.lines] == [True, False, True]


def test_a_break_group_adds_up_for_tiers_and_quantity_conditions() -> None:
    chair, stool = (msgspec.structs.replace(facts, break_group="seats") for facts in (CHAIR, STOOL))
    grouped = book(
        row("0:10 10:8"),
        row("0:30 10:25", sku="STOOL"),
        row("0:1", sku="ROPE", unit="each"),
        skus=(chair, stool, SkuFacts(sku="ROPE")),
        adjustments=(rule("TWELVE", "10", conditions=at_least("12")),),
    )

    assert total(grouped, "9 CRUNCHY-ARMCHAIR") == "90.00"
    assert total(grouped, "9 CRUNCHY-ARMCHAIR", "1 STOOL") == "97.00"
    assert total(grouped, "1 box CRUNCHY-ARMCHAIR", "1 STOOL", "5 ROPE") == "113.90"


def test_a_refused_line_counts_for_no_break_group() -> None:
    chair, stool = (msgspec.structs.replace(facts, break_group="seats") for facts in (CHAIR, STOOL))
    grouped = book(row("0:10 10:8"), row("0:30", sku="STOOL"), skus=(chair, stool))

    answer = ask(grouped, "9 CRUNCHY-ARMCHAIR", "1.5 STOOL")

    assert isinstance(answer.lines[0], PricedLine)
    assert answer.lines[0].subtotal == "90.00"


def test_a_break_group_does_not_add_up_for_graduated_rows() -> None:
    chair, stool = (msgspec.structs.replace(facts, break_group="seats") for facts in (CHAIR, STOOL))
    grouped = book(
        row(">0:10 >10:8", model="graduated"), row("0:30", sku="STOOL"), skus=(chair, stool)
    )  # fmt: skip

    assert total(grouped, "9 CRUNCHY-ARMCHAIR", "9 STOOL") == "360.00"


@pytest.mark.parametrize("text", ["\x00", "😀" * 500, "\ud800", "' OR 1=1", "a" * 100_000])
def test_hostile_codes_are_repeated_in_a_form_that_can_be_written(text: str) -> None:
    request = QuoteRequest(
        buyer=Buyer(company="acme"), currency="EUR", lines=(LineRequest(sku=text, quantity=text, unit=text),)
    )

    answer = quote(request, book=BOOK, at=NOW)

    assert len(msgspec.json.encode(answer)) < 5_000


def test_an_amount_beyond_what_readers_keep_exactly_is_refused() -> None:
    dear = book(row("0:1000000000000"))

    assert total(dear, "10 CRUNCHY-ARMCHAIR") == "10000000000000.00"
    assert refused(dear, "11 CRUNCHY-ARMCHAIR") == ("amount_too_large", {})


def test_an_instant_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        ask(BOOK, "1 CRUNCHY-ARMCHAIR", at=NOW.replace(tzinfo=None))


def test_an_empty_request_costs_nothing() -> None:
    assert total(BOOK) == "0.00"
    assert ask(BOOK, currency="ABC").total is None


def test_no_price_is_known_in_a_currency_nobody_has() -> None:
    assert refused(BOOK, "1 STOOL", currency="ABC") == ("no_price_in_currency", {"currency": "ABC"})
    assert refused(BOOK, "4 STOOL", currency="USD") == ("no_price_in_currency", {"currency": "USD"})


def test_a_rule_for_all_skus_binds_each_sku_by_itself() -> None:
    rules = book(
        row("0:10"),
        row("0:30", sku="STOOL"),
        quantity_rules=(QuantityRule(code="Q", scope=EVERYTHING, minimum="2"),),
    )

    answer = ask(rules, "1 CRUNCHY-ARMCHAIR", "2 STOOL", buyer=ACME)

    assert [isinstance(line, PricedLine) for line in answer.lines] == [False, True]
