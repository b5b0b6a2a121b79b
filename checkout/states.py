"""The life of a checkout and of the order it becomes: one table, nothing else decides.

The rows are numbered as in the table of docs/order-life.md, which `document` writes from here. A guard is judged by
the use case before it names the event (a payment whose amount differs from the order's is not PAID but
UNMATCHED_MONEY), so `advance` needs no facts but the state and the event. An event a state doesn't list is refused
and changes nothing: that is row 25.
"""

from enum import StrEnum
from itertools import chain
from typing import Final, NamedTuple

from kernel.errors import Conflict


class State(StrEnum):
    OPEN = "open"
    AWAITING = "awaiting"
    SIGNING = "signing"
    PAYABLE = "payable"
    PROCESSING = "processing"
    AUTHORISED = "authorised"
    CLOSING = "closing"
    PAID = "paid"
    ON_TERMS = "on_terms"
    WRITTEN_OFF = "written_off"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"


class Event(StrEnum):
    EDIT = "edit"
    LOG_IN = "log_in"
    PUBLICATION = "publication"
    REVIEW = "review"
    SEND_FOR_APPROVAL = "send_for_approval"
    REJECT = "reject"
    EXPIRE = "expire"
    APPROVER_OPENS = "approver_opens"
    SIGN = "sign"
    DECLINE = "decline"
    ACCEPT = "accept"
    ACCEPT_ON_TERMS = "accept_on_terms"
    ACCEPT_FREE = "accept_free"
    PAY = "pay"
    ATTEMPT_DEAD = "attempt_dead"
    COMPLETED_UNPAID = "completed_unpaid"
    ASYNC_FAILED = "async_failed"
    AUTHORISED = "authorised"
    AUTHORISATION_EXPIRED = "authorisation_expired"
    PAID = "paid"
    PAY_BY_PASSED = "pay_by_passed"
    CANCEL = "cancel"
    CLOSED_AS_LAPSED = "closed_as_lapsed"
    CLOSED_AS_CANCELLED = "closed_as_cancelled"
    RELEASE = "release"
    MONEY_IN_PART = "money_in_part"
    MONEY_IN_FULL = "money_in_full"
    WRITE_OFF = "write_off"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    UNMATCHED_MONEY = "unmatched_money"
    REFUND = "refund"
    DISPUTE = "dispute"


class EventRefused(Conflict):
    problem = "event-refused"
    title = "This is not possible any more"


class Row(NamedTuple):
    """One row of the table; *target* None means the state stays."""

    number: int
    states: tuple[State, ...]
    event: Event
    target: State | None
    guard: str
    effect: str


BEFORE_ORDER: Final = (State.OPEN, State.AWAITING, State.SIGNING)
OF_ORDER: Final = tuple(state for state in State if state not in BEFORE_ORDER)
FINAL: Final = (State.PAID, State.WRITTEN_OFF, State.CANCELLED, State.LAPSED)

_FRESH: Final = "last authorised person; presentation fresh, authority, price, stock, credit"
_ACCEPTED: Final = "one commit: order, basis, ledger row, reservation"
_COUNTER: Final = "counter-signature due"

TABLE: Final = (
    Row(1, (State.OPEN,), Event.EDIT, None, "", "reprice unless quoted, void presentations"),
    Row(1, (State.OPEN,), Event.LOG_IN, None, "", "reprice unless quoted, void presentations"),
    Row(1, (State.OPEN,), Event.PUBLICATION, None, "", "reprice unless quoted, void presentations"),
    Row(2, (State.OPEN,), Event.REVIEW, None, "e-mail verified, total 0 or >= minimum", "issue presentation"),
    Row(3, (State.OPEN,), Event.SEND_FOR_APPROVAL, State.AWAITING, "company's policy asks for it", "freeze"),
    Row(4, (State.AWAITING,), Event.EDIT, State.OPEN, "", "void presentations"),
    Row(4, (State.AWAITING,), Event.REJECT, State.OPEN, "", "void presentations"),
    Row(4, (State.AWAITING,), Event.EXPIRE, State.OPEN, "", "void presentations"),
    Row(
        5,
        (State.AWAITING,),
        Event.APPROVER_OPENS,
        None,
        "not the requester, within limit",
        "reprice, show difference, issue presentation",
    ),
    Row(6, (State.OPEN, State.AWAITING), Event.SIGN, State.SIGNING, _COUNTER, "signature leaf"),
    Row(7, (State.SIGNING,), Event.DECLINE, State.OPEN, "", "void presentations"),
    Row(7, (State.SIGNING,), Event.EXPIRE, State.OPEN, "", "void presentations"),
    Row(7, (State.SIGNING,), Event.EDIT, State.OPEN, "", "void presentations"),
    Row(8, BEFORE_ORDER, Event.ACCEPT, State.PAYABLE, _FRESH, _ACCEPTED),
    Row(8, BEFORE_ORDER, Event.ACCEPT_ON_TERMS, State.ON_TERMS, _FRESH + "; on terms", _ACCEPTED),
    Row(8, BEFORE_ORDER, Event.ACCEPT_FREE, State.PAID, _FRESH + "; total 0", _ACCEPTED + ", sold at once"),
    Row(9, (State.PAYABLE,), Event.PAY, None, "before pay_by", "reuse the live or uncertain attempt, else a new one"),
    Row(10, (State.PAYABLE,), Event.ATTEMPT_DEAD, None, "Stripe says so", "stock stays reserved"),
    Row(
        11,
        (State.PAYABLE, State.CLOSING),
        Event.COMPLETED_UNPAID,
        State.PROCESSING,
        "amounts equal",
        "pause pay_by (SEPA, ACH)",
    ),
    Row(12, (State.PROCESSING,), Event.ASYNC_FAILED, State.PAYABLE, "", "new pay_by"),
    Row(13, (State.PAYABLE, State.CLOSING), Event.AUTHORISED, State.AUTHORISED, "manual capture", "hold"),
    Row(14, (State.AUTHORISED,), Event.AUTHORISATION_EXPIRED, State.PAYABLE, "", "new pay_by"),
    Row(
        15,
        (State.PAYABLE, State.PROCESSING, State.AUTHORISED, State.CLOSING),
        Event.PAID,
        State.PAID,
        "amount and currency equal the order's",
        "post, reserved becomes sold",
    ),
    Row(16, (State.PAYABLE, State.AUTHORISED), Event.PAY_BY_PASSED, State.CLOSING, "pay_by passed", "close at Stripe"),
    Row(16, (State.PAYABLE, State.AUTHORISED), Event.CANCEL, State.CLOSING, "", "close at Stripe"),
    Row(17, (State.CLOSING,), Event.CLOSED_AS_LAPSED, State.LAPSED, "all attempts dead at Stripe", "return stock"),
    Row(
        17,
        (State.CLOSING,),
        Event.CLOSED_AS_CANCELLED,
        State.CANCELLED,
        "all attempts dead at Stripe, by cancellation",
        "return stock",
    ),
    Row(18, (State.ON_TERMS,), Event.RELEASE, None, "", "reserved becomes sold, invoice"),
    Row(19, (State.ON_TERMS,), Event.MONEY_IN_PART, None, "sum < total", "post"),
    Row(19, (State.ON_TERMS,), Event.MONEY_IN_FULL, State.PAID, "sum >= total", "post, surplus a liability"),
    Row(20, (State.ON_TERMS,), Event.WRITE_OFF, State.WRITTEN_OFF, "staff", "post"),
    Row(21, (State.PAID, State.ON_TERMS), Event.CANCEL, State.CANCELLING, "not shipped", "refund or credit note"),
    Row(22, (State.CANCELLING,), Event.REFUNDED, State.CANCELLED, "", "stock, credit"),
    Row(22, (State.CANCELLING,), Event.REFUND_FAILED, None, "", "case for a person"),
    Row(23, OF_ORDER, Event.UNMATCHED_MONEY, None, "surplus, late or mismatched money", "liability, case"),
    Row(
        24,
        OF_ORDER,
        Event.REFUND,
        None,
        "pending + succeeded + open or lost disputes <= captured",
        "failed refund reopens the liability",
    ),
    Row(24, OF_ORDER, Event.DISPUTE, None, "", "an axis of its own"),
)

_NEXT: Final[dict[State, dict[Event, State]]] = {
    state: {row.event: row.target or state for row in TABLE if state in row.states} for state in State
}


def advance(state: State, event: Event) -> State:
    """The state after *event*.

    :raises EventRefused: when *state* does not list *event* (row 25)
    """
    try:
        return _NEXT[state][event]
    except KeyError:
        raise EventRefused(
            f"{event.value.replace('_', ' ').capitalize()} is not possible: this is {state.value.replace('_', ' ')}.",
            state=state.value,
        ) from None


def may(state: State, event: Event) -> bool:
    """Whether *state* lists *event*: for pages that offer a button only where it works."""
    return event in _NEXT[state]


def document() -> str:
    """The page docs/order-life.md: the diagram (Mermaid) and the table."""
    edges = sorted(
        {
            f"    {state.value} --> {row.target.value}: {row.event.value} ({row.number})"
            for row in TABLE
            if row.target is not None
            for state in row.states
        }
    )
    rows = (
        f"| {row.number} | {', '.join(row.states) if row.states != OF_ORDER else 'any order'} | {row.event} "
        f"| {row.guard} | {row.effect} | {row.target or 'same'} |"
        for row in TABLE
    )
    return "\n".join(
        chain(
            (
                "# The life of an order",
                "",
                "Drawn from `checkout/states.py` by `document()`; a test holds the two together. Until",
                "the last act of acceptance there is a checkout, with it an order. A row without a new state changes",
                "only what its effect says; anything not listed is refused and changes nothing (row 25).",
                "",
                "```mermaid",
                "stateDiagram-v2",
                f"    [*] --> {State.OPEN}",
            ),
            edges,
            (f"    {state} --> [*]" for state in FINAL),
            ("```", "", "| # | state | event | guard | effect | next |", "| --- | --- | --- | --- | --- | --- |"),
            rows,
            ("",),
        )
    )
