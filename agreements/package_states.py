"""The life of a package that several people sign: one table, nothing else decides.

It stands beside checkout's (`checkout/states.py`) and is read like it: a use case judges the guard before it names the
event, an event that a state does not list is refused and changes nothing. `document` draws docs/package-life.md.
"""

from collections.abc import Collection
from enum import StrEnum
from itertools import chain
from typing import Final, NamedTuple

from kernel.errors import Conflict


class PackageState(StrEnum):
    DRAFT = "draft"
    BUYER_SIGNING = "buyer_signing"
    APPROVAL = "approval"
    COUNTERSIGN = "countersign"
    EXECUTED = "executed"
    DECLINED = "declined"
    EXPIRED = "expired"
    VOIDED = "voided"


class PartyRole(StrEnum):
    """What somebody does with a package. Those who sign do so in this order."""

    BUYER_SIGNATORY = "buyer_signatory"
    APPROVER = "approver"
    COUNTER_SIGNER = "counter_signer"
    """Of the seller."""
    COPY = "copy"
    """Gets the executed package and signs nothing."""


class PackageEvent(StrEnum):
    SEND = "send"
    SIGN = "sign"
    SIGN_BEFORE_APPROVAL = "sign_before_approval"
    SIGN_BEFORE_COUNTERSIGN = "sign_before_countersign"
    SIGN_LAST = "sign_last"
    DECLINE = "decline"
    EXPIRE = "expire"
    EDIT = "edit"


class PackageEventRefused(Conflict):
    problem = "package-event-refused"
    title = "This is not possible any more"


class PackageRow(NamedTuple):
    """One row of the table; *target* None means the state stays."""

    number: int
    states: tuple[PackageState, ...]
    event: PackageEvent
    target: PackageState | None
    guard: str
    effect: str


SIGNING: Final = (PackageState.BUYER_SIGNING, PackageState.APPROVAL, PackageState.COUNTERSIGN)
OPEN: Final = (PackageState.DRAFT, *SIGNING)
CLOSED: Final = tuple(state for state in PackageState if state not in OPEN)

_SIGNED: Final = "signature leaf, in its own commit"
_KEEPS: Final = "links die; cart and details stay; everybody is told"

TABLE: Final = (
    PackageRow(1, (PackageState.DRAFT,), PackageEvent.SEND, PackageState.BUYER_SIGNING, "parties named", "invite them"),
    PackageRow(2, SIGNING, PackageEvent.SIGN, None, "others of the same role are due", _SIGNED),
    PackageRow(
        3,
        (PackageState.BUYER_SIGNING,),
        PackageEvent.SIGN_BEFORE_APPROVAL,
        PackageState.APPROVAL,
        "the approver is due next",
        _SIGNED,
    ),
    PackageRow(
        4,
        (PackageState.BUYER_SIGNING, PackageState.APPROVAL),
        PackageEvent.SIGN_BEFORE_COUNTERSIGN,
        PackageState.COUNTERSIGN,
        "the seller is due next",
        _SIGNED,
    ),
    PackageRow(
        5,
        SIGNING,
        PackageEvent.SIGN_LAST,
        PackageState.EXECUTED,
        "nobody else is due; price, stock, authority as of now",
        "signature leaf, execution leaf and order in one commit",
    ),
    PackageRow(6, SIGNING, PackageEvent.DECLINE, PackageState.DECLINED, "by who is due, with a reason", _KEEPS),
    PackageRow(7, OPEN, PackageEvent.EXPIRE, PackageState.EXPIRED, "its time has passed", _KEEPS),
    PackageRow(8, OPEN, PackageEvent.EDIT, PackageState.VOIDED, "the cart, the details or a price changed", _KEEPS),
)

_NEXT: Final[dict[PackageState, dict[PackageEvent, PackageState]]] = {
    state: {row.event: row.target or state for row in TABLE if state in row.states} for state in PackageState
}
_STAGE_OF: Final = {
    PartyRole.BUYER_SIGNATORY: PackageState.BUYER_SIGNING,
    PartyRole.APPROVER: PackageState.APPROVAL,
    PartyRole.COUNTER_SIGNER: PackageState.COUNTERSIGN,
}


def advance(state: PackageState, event: PackageEvent) -> PackageState:
    """The state after *event*.

    :raises PackageEventRefused: when *state* does not list *event*
    """
    try:
        return _NEXT[state][event]
    except KeyError:
        raise PackageEventRefused(
            f"{event.value.replace('_', ' ').capitalize()} is not possible: this package is "
            f"{state.value.replace('_', ' ')}.",
            state=state.value,
        ) from None


def may_sign(state: PackageState, role: PartyRole) -> bool:
    """Whether it is this role's turn."""
    return _STAGE_OF.get(role) is state


def signature_event(signing: PartyRole, due: Collection[PartyRole]) -> PackageEvent:
    """The event of a signature in *signing* when the roles *due*, those that sign, are still to sign after it."""
    if signing in due:
        return PackageEvent.SIGN
    if PartyRole.APPROVER in due and signing is PartyRole.BUYER_SIGNATORY:
        return PackageEvent.SIGN_BEFORE_APPROVAL
    return PackageEvent.SIGN_BEFORE_COUNTERSIGN if PartyRole.COUNTER_SIGNER in due else PackageEvent.SIGN_LAST


def document() -> str:
    """The page docs/package-life.md: the diagram (Mermaid) and the table."""
    edges = sorted(
        {
            f"    {state.value} --> {row.target.value}: {row.event.value} ({row.number})"
            for row in TABLE
            if row.target is not None
            for state in row.states
        }
    )
    rows = (
        f"| {row.number} | {', '.join(row.states)} | {row.event} | {row.guard} | {row.effect} "
        f"| {row.target or 'same'} |"
        for row in TABLE
    )
    return "\n".join(
        chain(
            (
                "# The life of a package",
                "",
                "Drawn from `agreements/package_states.py` by `document()`; a test holds the two together. A package",
                "is documents and an order under one digest that several people sign; the last signature makes the",
                "order. Anything not listed is refused and changes nothing.",
                "",
                "```mermaid",
                "stateDiagram-v2",
                f"    [*] --> {PackageState.DRAFT}",
            ),
            edges,
            (f"    {state} --> [*]" for state in CLOSED),
            ("```", "", "| # | state | event | guard | effect | next |", "| --- | --- | --- | --- | --- | --- |"),
            rows,
            ("",),
        )
    )
