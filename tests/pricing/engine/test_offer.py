"""What a book remembers of its SKUs never shows: an answer is the same whatever was asked before."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.engine import BookContent, Buyer, LineRequest, MemoryBook, QuoteRequest, quote
from pricing.engine.book import Conditions, PercentStep, QuantityTableEffect, Strategy
from tests.pricing.books_at_random import NOON, SKUS
from tests.pricing.books_at_random import contents as dated_contents
from tests.pricing.engine.cast import (
    ACME,
    CHAIR,
    GLOBEX,
    GUEST,
    NOW,
    ROPE,
    STOOL,
    at_least,
    content,
    in_euro,
    only,
    public,
    row,
    rule,
)
from tests.pricing.engine.test_laws import asked, buyers, contents, taxes

HOUR = timedelta(hours=1)
TABLE = QuantityTableEffect(steps=(PercentStep(from_="5", percent="5"), PercentStep(from_="20", percent="12")))
Question = tuple[list[LineRequest], Buyer, Any, datetime]


@st.composite
def grouped_contents(draw: st.DrawFn) -> BookContent:
    """As the laws' books, some SKUs counting together."""
    content = draw(contents())
    if draw(st.booleans()):
        return content
    together = tuple(msgspec.structs.replace(facts, break_group="furniture") for facts in (CHAIR, STOOL))
    return msgspec.structs.replace(content, skus=(*together, ROPE))


questions = st.lists(
    st.tuples(
        st.lists(asked, min_size=1, max_size=3),
        buyers,
        taxes,
        st.sampled_from([NOW, NOW + timedelta(days=1), NOW - timedelta(days=1)]),
    ),
    min_size=2,
    max_size=8,
)
dated_questions = st.lists(
    st.tuples(
        st.lists(
            st.builds(
                LineRequest,
                sku=st.sampled_from(SKUS[:3]),
                quantity=st.integers(0, 31).map(str),
                unit=st.sampled_from([None, "each", "box"]),
            ),
            min_size=1,
            max_size=2,
        ),
        st.sampled_from([ACME, GLOBEX, GUEST]),
        st.just(None),
        st.integers(-11, 21).map(lambda halves: NOON + timedelta(minutes=30 * halves)),
    ),
    min_size=3,
    max_size=12,
)


def assert_memory_never_shows(content: BookContent, asked_in_turn: list[Question]) -> None:
    remembering = MemoryBook(content, root="r")
    for lines, buyer, tax, at in [*asked_in_turn, *asked_in_turn]:
        request = QuoteRequest(buyer=buyer, currency="EUR", lines=tuple(lines), tax=tax)
        one = quote(request, book=remembering, at=at)
        assert msgspec.json.encode(one) == msgspec.json.encode(
            quote(request, book=MemoryBook(content, root="r"), at=at)
        )


@given(grouped_contents(), questions)
@settings(deadline=None, max_examples=60)
def test_what_was_asked_before_changes_no_byte(content: BookContent, asked_in_turn: list[Question]) -> None:
    assert_memory_never_shows(content, asked_in_turn)


@given(dated_contents(), dated_questions)
@settings(deadline=None, max_examples=60)
def test_nor_does_it_where_lists_rows_and_rules_come_and_go(
    content: BookContent, asked_in_turn: list[Question]
) -> None:
    assert_memory_never_shows(content, asked_in_turn)


EDGES = [
    pytest.param({"rows": [row(">0:10 >10:8 20:7", model="volume")]}, id="tiers by from and above"),
    pytest.param({"rows": [row("0:120 >1:110", unit="box", model="volume"), row("0:11 25:9")]}, id="boxes"),
    pytest.param({"adjustments": [rule("MOST", "5", conditions=Conditions(max_quantity="15"))]}, id="up to 15"),
    pytest.param({"adjustments": [rule("LEAST", "5", conditions=at_least("12"))]}, id="from 12"),
    pytest.param({"adjustments": [rule("TABLE", TABLE)]}, id="percent by quantity"),
    pytest.param(
        {"adjustments": [rule("SOON", "5", starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)]}, id="a rule's hour"
    ),
    pytest.param({"rows": [row("0:10"), row("10:8", of="TRADE")]}, id="another list from 10"),
    pytest.param({"strategy": "lowest", "rows": [row("0:10 10:7"), row("0:8", of="TRADE")]}, id="the lowest list"),
    pytest.param(
        {"strategy": "merge_breaks", "rows": [row("0:10 10:7"), row("0:8 20:6", of="TRADE")]}, id="breaks merged"
    ),
    pytest.param(
        {
            "rows": [row("0:10 10:8")],
            "adjustments": [rule("LINE", "9", layer="line", conditions=in_euro(min_subtotal="95"))],
        },
        id="a rule by the subtotal",
    ),
]


@pytest.mark.parametrize("more", EDGES)
def test_every_quantity_and_instant_around_an_edge_is_priced_as_if_asked_first(more: dict[str, Any]) -> None:
    lists = (public(mergeable=True), public("TRADE", audience=only(segments=("trade",)), mergeable=True))
    of = content(
        *more.get("rows", [row("0:10 10:8")]), lists=lists, strategy=Strategy(more.get("strategy", "most_specific"))
    )
    of = msgspec.structs.replace(of, adjustments=tuple(more.get("adjustments", ())))
    asked_in_turn: list[Question] = [
        ([LineRequest(sku="CRUNCHY-ARMCHAIR", quantity=str(quantity), unit=unit)], GLOBEX, None, NOW + hour)
        for hour in (timedelta(), HOUR - timedelta(seconds=1), HOUR, 2 * HOUR, timedelta())
        for unit in (None, "box")
        for quantity in range(31)
    ]

    assert_memory_never_shows(of, asked_in_turn)


def test_what_a_larger_quantity_costs_beside_other_lines_is_not_taken_for_what_it_costs_alone() -> None:
    of = content(
        row("0:10 10:8.9"),
        row("0:50", sku="STOOL"),
        adjustments=(rule("LINE", "9", layer="line", conditions=in_euro(min_subtotal="100")),),
    )
    chairs, stools = LineRequest(sku="CRUNCHY-ARMCHAIR", quantity="9"), LineRequest(sku="STOOL", quantity="3")

    assert_memory_never_shows(of, [([chairs, stools], ACME, None, NOW), ([chairs], ACME, None, NOW)])


def test_what_was_worked_out_is_found_again_from_its_first_instant_on() -> None:
    of = MemoryBook(content(row("1:10 10:8.9", starts_at=NOW)), root="r")
    request = QuoteRequest(
        buyer=ACME, currency="EUR", lines=(LineRequest(sku="CRUNCHY-ARMCHAIR", quantity="9"),), tax=None
    )

    for _ in range(4):
        quote(request, book=of, at=NOW)

    (offer,) = of.rules.offers.values()
    known = offer.stretch((9, 1), NOW)
    assert known is not None
    assert known.unit_price == (10, 1)
    assert offer.amount_of((10, 1), NOW) == 8900
    assert offer.stretch((9, 1), NOW - HOUR) is None
    assert offer.amount_of((10, 1), NOW - HOUR) is None
