"""What a book remembers of its SKUs never shows: an answer is the same whatever was asked before."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.engine import BookContent, Buyer, LineRequest, MemoryBook, QuoteRequest, quote
from tests.pricing.books_at_random import NOON, SKUS
from tests.pricing.books_at_random import contents as dated_contents
from tests.pricing.engine.cast import ACME, CHAIR, GLOBEX, GUEST, NOW, ROPE, STOOL
from tests.pricing.engine.test_laws import asked, buyers, contents, taxes

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
