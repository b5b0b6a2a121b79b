from pathlib import Path

import pytest

from checkout.states import BEFORE_ORDER, OF_ORDER, TABLE, Event, EventRefused, State, advance, document, may

PAGE = Path(__file__).parents[2] / "docs" / "order-life.md"

# The life of a card order as checkout.md states it, written out by hand: (state, event, state after)
CARD = (
    (State.OPEN, Event.EDIT, State.OPEN),
    (State.OPEN, Event.LOG_IN, State.OPEN),
    (State.OPEN, Event.PUBLICATION, State.OPEN),
    (State.OPEN, Event.REVIEW, State.OPEN),
    (State.OPEN, Event.ACCEPT, State.PAYABLE),
    (State.OPEN, Event.ACCEPT_ON_TERMS, State.ON_TERMS),
    (State.OPEN, Event.ACCEPT_FREE, State.PAID),
    (State.PAYABLE, Event.PAY, State.PAYABLE),
    (State.PAYABLE, Event.ATTEMPT_DEAD, State.PAYABLE),
    (State.PAYABLE, Event.PAID, State.PAID),
    (State.PAYABLE, Event.PAY_BY_PASSED, State.CLOSING),
    (State.PAYABLE, Event.CANCEL, State.CLOSING),
    (State.CLOSING, Event.PAID, State.PAID),
    (State.CLOSING, Event.CLOSED_AS_LAPSED, State.LAPSED),
    (State.CLOSING, Event.CLOSED_AS_CANCELLED, State.CANCELLED),
    (State.PAID, Event.UNMATCHED_MONEY, State.PAID),
    (State.LAPSED, Event.UNMATCHED_MONEY, State.LAPSED),
    (State.CANCELLED, Event.UNMATCHED_MONEY, State.CANCELLED),
)

NEVER = (
    (State.PAYABLE, Event.EDIT),
    (State.PAYABLE, Event.ACCEPT),
    (State.PAYABLE, Event.CLOSED_AS_LAPSED),
    (State.CLOSING, Event.PAY),
    (State.CLOSING, Event.CANCEL),
    (State.LAPSED, Event.PAY),
    (State.LAPSED, Event.PAID),
    (State.CANCELLED, Event.PAID),
    (State.CANCELLED, Event.PAY),
    (State.PAID, Event.PAY),
    (State.PAID, Event.PAID),
    (State.PAID, Event.PAY_BY_PASSED),
    (State.OPEN, Event.PAID),
    (State.OPEN, Event.UNMATCHED_MONEY),
)


@pytest.mark.parametrize(("state", "event", "after"), CARD)
def test_a_card_order_moves_as_the_design_says(state: State, event: Event, after: State) -> None:
    assert advance(state, event) is after
    assert may(state, event)


@pytest.mark.parametrize(("state", "event"), NEVER)
def test_an_event_the_state_does_not_list_is_refused(state: State, event: Event) -> None:
    with pytest.raises(EventRefused) as refusal:
        advance(state, event)

    assert refusal.value.extra == {"state": state.value}
    assert not may(state, event)


def test_a_refusal_says_in_words_what_is_not_possible_and_why() -> None:
    with pytest.raises(EventRefused) as refusal:
        advance(State.WRITTEN_OFF, Event.ACCEPT_ON_TERMS)

    assert refusal.value.message == "Accept on terms is not possible: this is written off."


def test_every_pair_of_state_and_event_is_either_listed_once_or_refused() -> None:
    listed = [(state, row.event) for row in TABLE for state in row.states]

    assert len(listed) == len(set(listed))
    for state in State:
        for event in Event:
            assert may(state, event) == ((state, event) in listed)


def test_every_event_and_every_state_has_a_row() -> None:
    assert {row.event for row in TABLE} == set(Event)
    assert {state for row in TABLE for state in row.states} == set(State)
    assert {row.number for row in TABLE} == set(range(1, 25))


def test_every_state_is_reached_from_an_open_checkout() -> None:
    reached = {State.OPEN}
    while grown := {advance(state, event) for state in reached for event in Event if may(state, event)} - reached:
        reached |= grown

    assert reached == set(State)


def test_an_order_never_turns_into_a_checkout_again() -> None:
    for state in OF_ORDER:
        assert not {advance(state, event) for event in Event if may(state, event)} & set(BEFORE_ORDER)


def test_the_page_in_the_docs_is_drawn_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == document()
