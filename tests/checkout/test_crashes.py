"""What only a look inside can tell of crashes; tests/recovery kills the whole shop at every failpoint."""

import ast
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
READING = {
    "packages.py:find",
    "packages.py:list_packages",
    "packages.py:of_order",
    "packages.py:sweep",
    "approvals.py:count_waiting",
    "approvals.py:find",
    "approvals.py:list_requests",
    "approvals.py:of_order",
    "approvals.py:sweep",
    "carts.py:count_lines",
    "carts.py:price_unkept",
    "carts.py:priced",
    "checkouts.py:find",
    "credit.py:find",
    "credit_notes.py:credit",
    "credit_notes.py:go_on",
    "credit_notes.py:of_order",
    "credit.py:list_companies",
    "disputes.py:_sent",
    "disputes.py:go_on",
    "disputes.py:hear",
    "disputes.py:list_decided",
    "disputes.py:list_undecided",
    "disputes.py:lost_of_order",
    "disputes.py:open",
    "invoicing.py:_follow",
    "invoicing.py:_make",
    "invoicing.py:_search",
    "invoicing.py:hear",
    "invoicing.py:hear_of_cash",
    "invoicing.py:note_paid_elsewhere",
    "invoicing.py:of_company",
    "invoicing.py:of_order",
    "invoicing.py:release",
    "invoicing.py:remind",
    "invoicing.py:settle",
    "invoicing.py:write_off",
    "order_files.py:open",
    "order_files.py:page",
    "order_files.py:waiting",
    "orders.py:find_order",
    "orders.py:find_order_by_id",
    "orders.py:find_order_of_quote",
    "orders.py:find_with_basis",
    "orders.py:history",
    "orders.py:list_orders",
    "card_charges.py:look_up",
    "payments.py:_company_of",
    "payments.py:_finish_attempt",
    "payments.py:_handle_intent_event",
    "payments.py:_handle_session_event",
    "payments.py:_read_attempt",
    "payments.py:_sweep",
    "payments.py:cancel",
    "payments.py:charging",
    "payments.py:handle_event",
    "payments.py:pay_with_card",
    "payments.py:returned",
    "payments.py:settle",
    "payments.py:start",
    "reconciliation.py:reconcile",
    "reconciliations.py:compare",
    "reconciliations.py:to_look_at",
    "refunds.py:_sent",
    "refunds.py:case_of_no_order",
    "refunds.py:go_on",
    "refunds.py:hear",
    "refunds.py:of_order",
    "saved_cards.py:detach_removed",
    "saved_cards.py:list_cards",
    "stripe_log.py:attempts",
    "stripe_log.py:events",
    "stripe_log.py:repeated_calls",
}
"""Functions that open a transaction without a failpoint because it only reads."""
ASIDE = {
    "packages.py:read",
    "checkouts.py:choose_paying",
    "checkouts.py:decline",
    "checkouts.py:send_to_legal",
    "credit.py:change",
    "reconciliations.py:review",
    "reconciliations.py:run",
}
"""Those that write in one commit, and no order and no money depends on it."""


def test_every_transaction_that_moves_orders_or_money_names_its_failpoint() -> None:
    seen = set()
    for path in (ROOT / "checkout").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for call in ast.walk(function) if isinstance(function, ast.AsyncFunctionDef) else ():
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "begin":
                    assert isinstance(function, ast.AsyncFunctionDef)
                    name = f"{path.name}:{function.name}"
                    seen.add(name)
                    assert len(call.args) == 2 or name in READING | ASIDE, f"{name} has no failpoint"
    assert seen >= READING | ASIDE


def test_every_call_of_stripe_names_its_failpoint() -> None:
    """A method of the library's client is called within `_called`, `write` or `read`, whose first word is the point.

    In invoice_gateway.py methods stand in a table by step, and each step has its point.
    """
    found = 0
    for path in (ROOT / "checkout").glob("*.py"):
        if path.name == "invoice_gateway.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        held = {
            id(inner)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Name)
            if call.args[0].id.isupper() or call.args[0].id == "point"
            for argument in call.args[1:]
            for inner in ast.walk(argument)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.endswith("_async") and node.attr != "close_async":
                found += 1
                assert id(node) in held, f"{path.name}:{node.lineno} asks Stripe at no failpoint"
    assert found > 10


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
