from itertools import product
from pathlib import Path

import pytest

from agreements.package_states import (
    CLOSED,
    OPEN,
    SIGNING,
    TABLE,
    PackageEvent,
    PackageEventRefused,
    PackageState,
    PartyRole,
    advance,
    document,
    may_sign,
    signature_event,
)

PAGE = Path(__file__).parents[2] / "docs" / "package-life.md"
BUYER, APPROVER, SELLER = PartyRole.BUYER_SIGNATORY, PartyRole.APPROVER, PartyRole.COUNTER_SIGNER

# Who still has to sign after this signature, and where the package is then: as agreements.md states it
JOURNEYS = (
    ((BUYER,), (PackageState.EXECUTED,)),
    ((BUYER, BUYER), (PackageState.BUYER_SIGNING, PackageState.EXECUTED)),
    ((BUYER, SELLER), (PackageState.COUNTERSIGN, PackageState.EXECUTED)),
    ((BUYER, APPROVER), (PackageState.APPROVAL, PackageState.EXECUTED)),
    (
        (BUYER, BUYER, APPROVER, SELLER),
        (PackageState.BUYER_SIGNING, PackageState.APPROVAL, PackageState.COUNTERSIGN, PackageState.EXECUTED),
    ),
)


@pytest.mark.parametrize(("signers", "states"), JOURNEYS)
def test_a_package_goes_from_role_to_role(signers: tuple[PartyRole, ...], states: tuple[PackageState, ...]) -> None:
    state = advance(PackageState.DRAFT, PackageEvent.SEND)
    for position, (role, after) in enumerate(zip(signers, states, strict=True), start=1):
        assert may_sign(state, role)
        state = advance(state, signature_event(role, signers[position:]))
        assert state is after


@pytest.mark.parametrize("state", SIGNING)
def test_every_open_package_can_end_without_an_order(state: PackageState) -> None:
    assert advance(state, PackageEvent.DECLINE) is PackageState.DECLINED
    assert advance(state, PackageEvent.EXPIRE) is PackageState.EXPIRED
    assert advance(state, PackageEvent.EDIT) is PackageState.VOIDED


@pytest.mark.parametrize(("state", "event"), tuple(product(CLOSED, PackageEvent)))
def test_what_is_closed_stays_closed(state: PackageState, event: PackageEvent) -> None:
    with pytest.raises(PackageEventRefused) as refusal:
        advance(state, event)

    assert refusal.value.extra == {"state": state.value}


def test_nobody_signs_a_draft_or_out_of_turn() -> None:
    with pytest.raises(PackageEventRefused):
        advance(PackageState.DRAFT, PackageEvent.SIGN_LAST)
    with pytest.raises(PackageEventRefused):
        advance(PackageState.COUNTERSIGN, PackageEvent.SIGN_BEFORE_APPROVAL)
    assert not may_sign(PackageState.BUYER_SIGNING, SELLER)
    assert not any(may_sign(state, PartyRole.COPY) for state in PackageState)


def test_every_row_leaves_from_an_open_state_and_every_open_state_has_a_row() -> None:
    assert {state for row in TABLE for state in row.states} == {*OPEN}


def test_the_documentation_is_drawn_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == document()
