"""No order without its acceptance, no acceptance without its order: whoever submits, however often, whatever dies."""

import asyncio
import signal
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agreements.model import Acceptance, Annex, LedgerEntry, Opening, Receipt
from agreements.service import PresentationConsumed
from checkout.checkouts import PLACE
from checkout.model import Order, StockReservation
from kernel.db import for_staff
from kernel.failpoints import registered
from tests.checkout.conftest import House
from tests.checkout.crash_step import What
from tests.checkout.test_crashes import run_step

SUBMITS = 16


async def evidence(house: House) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """Ids of orders, and of orders that an acceptance names; the rest of the evidence is as complete."""
    orders: list[Order] = await house.rows(Order)
    acceptances: list[Acceptance] = await house.rows(Acceptance)
    leaves = [row for row in await house.rows(LedgerEntry) if row.kind == "acceptance"]
    assert {row.ledger_seq for row in acceptances} == {row.seq for row in leaves}
    assert {row.acceptance_id for row in await house.rows(Receipt)} == {row.id for row in acceptances}
    assert {row.acceptance_id for row in await house.rows(Annex)} == {row.id for row in acceptances}
    assert {row.ledger_seq for row in await house.rows(Opening)} == {row.seq for row in leaves}
    assert {row.order_id for row in await house.rows(StockReservation)} == {row.id for row in orders}
    async with house.database.begin(for_staff()) as session:
        assert (await house.agreements.check_ledger(session)).broken_at is None
    return {order.id for order in orders}, {row.order_id for row in acceptances}


async def test_sixteen_submits_from_two_tabs_make_one_order_and_one_acceptance(house: House) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    tabs = [await house.review(house.acme), await house.review(house.acme)]
    assert tabs[0].presentation.id != tabs[1].presentation.id

    answers: list[Any] = await asyncio.gather(
        *(house.accept(house.acme, tabs[number % 2]) for number in range(SUBMITS)), return_exceptions=True
    )

    orders, accepted = await evidence(house)
    (made,) = orders
    assert accepted == {made}
    for answer in answers:
        assert isinstance(answer, Order | PresentationConsumed), answer
        assert (answer.id if isinstance(answer, Order) else answer.order_id) == made
    assert any(isinstance(answer, Order) for answer in answers)
    assert (await house.stock())[1] == 2
    assert await house.mails() == ["order_received"]


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", registered(PLACE.name))
async def test_killed_while_placing_both_are_there_or_neither(
    house: House, tmp_path: Path, database_url: str, failpoint: str
) -> None:
    await house.fill(house.acme)
    await house.details(house.acme)
    review = await house.review(house.acme)
    what = What(
        step="place",
        database_url=database_url,
        api_base=house.twin.base_url,
        keyring=str(tmp_path / "keyring.json"),
        at=house.clock.now(),
        principal=house.acme,
        order="",
        presentation=review.presentation.id,
    )

    assert await run_step(what, failpoint) == -signal.SIGKILL

    orders, accepted = await evidence(house)
    assert orders == accepted
    assert len(orders) == (1 if failpoint.endswith("after_commit") else 0)
    again = await house.accept(house.acme, review)
    assert await run_step(msgspec.structs.replace(what)) == 0
    assert await evidence(house) == ({again.id}, {again.id})
    assert not orders or orders == {again.id}
