"""What was found for one question and kept is not taken for another; and the hints, at their edges."""

import time
from datetime import timedelta, timezone
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.engine import LineRequest, MemoryBook, QuoteRequest, TaxInput, TaxRate, quote
from pricing.engine.book import QuantityRule, Scope
from pricing.engine.line import minus, plus
from pricing.engine.request import PricedLine, RefusedLine
from tests.pricing.engine.cast import (
    CHAIR,
    GUEST,
    NOW,
    STOOL,
    VAT,
    ask,
    at_least,
    book,
    content,
    priced,
    public,
    refused,
    row,
    rule,
)
from tests.pricing.engine.test_more_laws import calls

SEVEN = TaxInput(rates=(TaxRate(category="standard", percent="7"),))


@pytest.mark.parametrize("gross", [False, True])
def test_a_line_is_taxed_anew_each_time(gross: bool) -> None:
    of = book(row("1:100"), lists=(public(tax_included=gross),))

    found = [priced(of, "1 CRUNCHY-ARMCHAIR", tax=tax) for tax in (VAT, SEVEN, VAT)]

    assert [line.tax_percent for line in found] == ["19", "7", "19"]
    assert [line.tax for line in found] == (["15.97", "6.54", "15.97"] if gross else ["19.00", "7.00", "19.00"])
    assert refused(of, "1 CRUNCHY-ARMCHAIR", tax=TaxInput())[0] == "tax_rate_unknown"


def test_companions_of_a_break_group_are_looked_at_anew_each_time() -> None:
    """Six questions whose groups come to the same, or whose lines do, on one book and each on a book of its own."""
    together = tuple(msgspec.structs.replace(facts, break_group="SEATS") for facts in (CHAIR, STOOL))
    nouns = content(row("1:10 10:8 12:5"), row("1:20 10:15", sku="STOOL"), skus=together)
    kept = MemoryBook(nouns, root="r")

    for chairs, stools in ((4, 5), (5, 4), (4, 5), (8, 1), (4, 1), (4, 5), (8, 1), (8, 3), (8, 1)):
        asked = f"{chairs} CRUNCHY-ARMCHAIR", f"{stools} STOOL"
        assert ask(kept, *asked) == ask(MemoryBook(nouns, root="r"), *asked)


@given(
    st.tuples(st.integers(-99, 99), st.sampled_from([1, 2, 3, 7, 10, 12, 100, 119])),
    st.tuples(st.integers(-99, 99), st.sampled_from([1, 2, 3, 7, 10, 12, 100, 119])),
)
def test_running_amounts_are_exact_whatever_their_denominators(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert Fraction(*plus(one, other)) == Fraction(*one) + Fraction(*other)
    assert Fraction(*minus(one, other)) == Fraction(*one) - Fraction(*other)


def test_a_third_and_a_tenth_are_thirteen_thirtieths() -> None:
    assert Fraction(*plus((1, 3), (1, 10))) == Fraction(*plus((1, 10), (1, 3))) == Fraction(13, 30)


def test_a_line_like_two_asked_before_takes_less_than_two_thirds_of_the_work() -> None:
    rules = tuple(rule(f"R{number}", "1", conditions=at_least("40")) for number in range(10))
    of = book(row("1:10 20:9"), adjustments=rules)

    first, _, again = (calls(of, [LineRequest(sku="CRUNCHY-ARMCHAIR", quantity=asked)]) for asked in ("7", "9", "8"))

    assert 3 * again < 2 * first


def test_the_cliff_is_the_nearest_of_those_that_pay() -> None:
    rules = rule("A", "90", conditions=at_least("50")), rule("B", "60", conditions=at_least("20"))
    cliff = priced(book(row("1:10"), adjustments=rules), "10 CRUNCHY-ARMCHAIR").trace.cliff

    assert cliff is not None
    assert (cliff.quantity, cliff.subtotal) == ("20", "80.00")


@pytest.mark.parametrize(
    ("said", "quantity"), [("1:10 10:8+30", None), ("1:10 10:8+5", "10"), ("1:10 10:8+9.99", "10")]
)
def test_a_fee_that_comes_with_the_next_break_may_eat_the_cliff(said: str, quantity: str | None) -> None:
    """9 cost 90: 10 at 8.00 are a cliff only while their fee stays below 10."""
    cliff = priced(book(row(said)), "9 CRUNCHY-ARMCHAIR").trace.cliff

    assert (cliff and cliff.quantity) == quantity


def test_nothing_costs_less_than_nothing() -> None:
    line = priced(book(row("0:10 10:0")), "0 CRUNCHY-ARMCHAIR")

    assert (line.subtotal, line.trace.cliff) == ("0.00", None)


def test_a_refusal_repeats_the_unit_that_was_asked() -> None:
    few = QuantityRule(code="FEW", scope=Scope(everything=True), unit="box", maximum="5")
    lines = ask(book(row("1:10"), quantity_rules=(few,)), "6 box CRUNCHY-ARMCHAIR", "1 pallet CRUNCHY-ARMCHAIR").lines

    assert [(line.unit, line.reason) for line in lines if isinstance(line, RefusedLine)] == [
        ("box", "quantity_above_maximum"),
        ("pallet", "unknown_unit"),
    ]


def test_an_instant_without_time_zone_is_a_mistake() -> None:
    request = QuoteRequest(buyer=GUEST, currency="EUR", lines=())

    with pytest.raises(ValueError, match=r"^at needs a time zone$"):
        quote(request, book=book(row("1:10")), at=NOW.replace(tzinfo=None))


def test_an_answer_says_its_instant_in_utc_wherever_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    of, somewhere = book(row("1:10")), timezone(timedelta(hours=5, minutes=30))
    try:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "America/New_York")
            time.tzset()
            answers = [ask(of, "1 CRUNCHY-ARMCHAIR", at=at) for at in (NOW, NOW.astimezone(somewhere))]
    finally:
        time.tzset()

    assert [msgspec.to_builtins(answer)["at"] for answer in answers] == ["2026-11-21T12:00:00Z"] * 2


def test_a_negative_quantity_is_repeated_as_it_was_written() -> None:
    (line,) = ask(book(row("1:10")), "-5.0 CRUNCHY-ARMCHAIR").lines

    assert isinstance(line, RefusedLine)
    assert (line.quantity, line.reason) == ("-5.0", "quantity_negative")


@pytest.mark.parametrize("quantity", ["10000000.01", "999999999.99", "1000000000"])
def test_a_large_quantity_of_a_fine_unit_is_priced(quantity: str) -> None:
    line = priced(book(row("0:0.5", sku="ROPE")), f"{quantity} ROPE")

    assert line.quantity == quantity


@pytest.mark.parametrize("quantities", [("2", "2", "2", "0", "2"), ("0", "0", "0", "2", "0")])
def test_a_fee_is_asked_for_something_and_not_for_nothing_whatever_came_before(quantities: tuple[str, ...]) -> None:
    of = book(row("0:10+5"))

    found = [priced(of, f"{quantity} CRUNCHY-ARMCHAIR").subtotal for quantity in quantities]

    assert found == ["0.00" if quantity == "0" else "25.00" for quantity in quantities]


def test_a_sku_that_is_asked_for_twice_is_one_line_however_often_it_was_asked_before() -> None:
    of = book(row("1:10 3:9"))

    for _ in range(3):
        (line,) = ask(of, "1 CRUNCHY-ARMCHAIR", "2 CRUNCHY-ARMCHAIR").lines
        assert isinstance(line, PricedLine)
        assert (line.requested, line.quantity, line.subtotal) == ((0, 1), "3", "27.00")
