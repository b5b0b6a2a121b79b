"""What only a look inside can tell of crashes; tests/recovery kills the whole shop at every failpoint."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from checkout.model import AttemptState, Order
from checkout.states import State
from kernel.failpoints import VARIABLE
from tests.checkout.conftest import House
from tests.checkout.crash_step import What

ROOT = Path(__file__).parents[2]


async def run_step(what: What, failpoint: str = "") -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.checkout.crash_step",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        env={**os.environ, VARIABLE: failpoint},
    )
    await process.communicate(msgspec.json.encode(what))
    assert process.returncode is not None
    return process.returncode


def step(house: House, name: str, order: Order, tmp_path: Path, database_url: str) -> What:
    return What(
        step=name,
        database_url=database_url,
        api_base=house.twin.base_url,
        keyring=str(tmp_path / "keyring.json"),
        at=house.clock.now(),
        principal=house.acme,
        order=order.number,
    )


@pytest.mark.slow
async def test_crash_after_session_created_before_saved_reuses_key(
    house: House, tmp_path: Path, database_url: str
) -> None:
    order = await house.place()
    what = step(house, "start", order, tmp_path, database_url)
    assert await run_step(what, "checkout.stripe.create_session:after_call") == -signal.SIGKILL
    (made,) = house.twin.control.objects("checkout.session")
    (attempt,) = await house.attempts()
    assert (attempt.state, attempt.session_id) == (AttemptState.NEW, None)

    await house.payments.recover()
    await house.payments.recover()

    (attempt,) = await house.attempts()
    assert (attempt.state, attempt.session_id) == (AttemptState.LIVE, made["id"])
    assert len(house.twin.control.objects("checkout.session")) == 1
    house.twin.control.pay_at_once(made["id"])
    await house.payments.returned(house.acme, order.number, made["id"])
    assert (await house.order(order)).state is State.PAID
    await house.check_invariants()


@pytest.mark.slow
@pytest.mark.parametrize(
    "failpoint",
    [
        "checkout.stripe.retrieve_session:after_call",
        "checkout.payment.settle:before_commit",
        "checkout.payment.settle:after_commit",
        "checkout.webhook.handled:after_commit",
    ],
)
async def test_killed_again_during_recovery(failpoint: str, house: House, tmp_path: Path, database_url: str) -> None:
    order, _ = await house.paid_order()
    (event,) = house.events("checkout.session.completed")
    webhook = msgspec.structs.replace(step(house, "webhook", order, tmp_path, database_url), event=event)
    assert await run_step(webhook, "checkout.webhook.receive:after_commit") == -signal.SIGKILL

    recovery = step(house, "recover", order, tmp_path, database_url)
    assert await run_step(recovery, failpoint) == -signal.SIGKILL
    assert await run_step(recovery) == 0

    assert (await house.order(order)).state is State.PAID
    assert all(event.handled_at is not None for event in await house.event_rows())
    await house.check_invariants()
