"""Mistakes that somebody could make with money, each in a copy of the tree that the machine lives in.

    python -m tests.life.mutants [NAME ...] [--lives 60] [--write]

A mutant is a few lines of the source put otherwise; it no longer fits when they change, which a test says, and is then
written anew. The machine must fall over each, and hold in the same lives of the tree as it is. `--write` keeps what was
found in docs/money-machine.md.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "money-machine.md"
COPIED = ("kernel", "accounts", "catalog", "pricing", "agreements", "checkout", "sandbox", "migrations")
TESTS = ("__init__.py", "conftest.py", "checkout", "life")
LIVES = 60
STEPS = 40
SECONDS_MOST = 1800
BEGIN, END = "<!-- mutants -->", "<!-- end of mutants -->"


class Edit(NamedTuple):
    """*old* stands in *file* exactly once."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """*mistake* is what it does, for people."""

    name: str
    mistake: str
    edits: tuple[Edit, ...]


class Outcome(NamedTuple):
    """*why*: what the machine said; None where the mutant survived."""

    mutant: Mutant
    why: str | None
    seconds: float


PAYMENTS, REFUNDS, CHECKOUTS = "checkout/payments.py", "checkout/refunds.py", "checkout/checkouts.py"
SETTLEMENT, GATEWAY, CALLS = "checkout/settlement.py", "checkout/stripe_gateway.py", "checkout/stripe_calls.py"

UNCHANGED = Mutant("unchanged", "nothing", ())

MUTANTS = (
    Mutant(
        "reprice-at-accept",
        "the order takes the price of the moment, not the one that was accepted",
        (
            Edit(
                CHECKOUTS,
                "canonical.same_offer(shown, terms):\n        return",
                "canonical.same_goods(shown, terms):\n        return",
            ),
        ),
    ),
    Mutant(
        "fresh-key-per-send",
        "a call is sent again under a new idempotency key",
        (
            Edit(
                PAYMENTS,
                "create_session(msgspec.json.decode(call.request), key=call.idempotency_key)",
                'create_session(msgspec.json.decode(call.request), key=f"tarifa-{new_id()}")',
            ),
        ),
    ),
    Mutant(
        "trust-the-events-body",
        "a webhook's own words settle the order; its Session is not fetched",
        (
            Edit(
                PAYMENTS,
                "await self.gateway.retrieve_session(session_id) if isinstance(session_id, str) else None",
                "session_of(_object_of(event)) if isinstance(session_id, str) else None",
            ),
            Edit(
                PAYMENTS,
                "            await self.settle(attempt.order_id, [found.id])\n            return EventOutcome.SETTLED",
                "            async with self.db.begin(for_company(attempt.company_id), SETTLE) as session:\n"
                "                order = await store.lock_order(session, attempt.order_id)\n"
                "                await self._apply(session, order, {found.id: found})\n"
                "            return EventOutcome.SETTLED",
            ),
        ),
    ),
    Mutant(
        "drop-unknown-events",
        "money of no order we know is no case",
        (Edit(PAYMENTS, "if found.paid and found.total is not None:", "if found.paid and found.total is None:"),),
    ),
    Mutant(
        "no-de-duplication",
        "a payment that was settled is settled again when its event comes again",
        (Edit(PAYMENTS, "        if attempt.state is AttemptState.SUCCEEDED:\n            return\n", ""),),
    ),
    Mutant(
        "settle-twice-posts-twice",
        "so it is, under an entry of its own each time",
        (
            Edit(PAYMENTS, "        if attempt.state is AttemptState.SUCCEEDED:\n            return\n", ""),
            Edit(
                PAYMENTS,
                "            entry_id=attempt.id,\n            session_id=attempt.session_id,",
                "            entry_id=new_id(),\n            session_id=attempt.session_id,",
            ),
        ),
    ),
    Mutant(
        "amount-of-no-matter",
        "any paid Session settles the order, over whatever amount",
        (Edit(PAYMENTS, "    if money != order.total:\n        return LiabilityReason.AMOUNT_DIFFERS\n", ""),),
    ),
    Mutant(
        "send-again-whenever",
        "a call is sent again under a key that Stripe has forgotten",
        (Edit(CALLS, "return saved_failure or now - call.created_at >= RESEND_WITHIN", "return saved_failure"),),
    ),
    Mutant(
        "a-500-did-nothing",
        "what Stripe failed over is taken for not done",
        (Edit(GATEWAY, "400 <= status < 500 and status != 409", "400 <= status and status != 409"),),
    ),
    Mutant(
        "refund-without-limit",
        "more is given back than is left",
        (Edit(REFUNDS, " or not Money.zero(order.currency) < amount <= whole", ""),),
    ),
    Mutant(
        "refund-looked-up-nowhere",
        "a refund whose key is forgotten is asked for anew, without a look at what Stripe has",
        (Edit(REFUNDS, 'in await self.gateway.list_refunds_of(request["payment_intent"]):', "in ():"),),
    ),
    Mutant(
        "refund-form-sent-twice",
        "a form sent twice is two refunds",
        (Edit(REFUNDS, "known = await store.find_refund_of_request(session, wish.request_id)", "known = None"),),
    ),
    Mutant(
        "cancelled-before-the-money-is-back",
        "an order is cancelled as soon as its refund is asked for",
        (
            Edit(
                REFUNDS,
                "            if case is None or case.resolved_at is None:\n                return\n",
                "            del case\n",
            ),
        ),
    ),
    Mutant(
        "failed-refund-forgotten",
        "a refund that the bank sends back is nobody's case",
        (
            Edit(
                REFUNDS,
                "            session.add(\n                Liability(\n                    id=new_id(),\n",
                "            str(\n                Liability(\n                    id=new_id(),\n",
            ),
        ),
    ),
    Mutant(
        "stock-returned-twice",
        "what was reserved returns each time somebody looks",
        (
            Edit(
                SETTLEMENT,
                "        await catalog.release(session, held)\n",
                "        await catalog.release(session, held)\n        await catalog.release(session, held)\n",
            ),
        ),
    ),
    Mutant(
        "stock-not-sold",
        "a paid order's goods stay reserved in the books of stock",
        (Edit(SETTLEMENT, "        await catalog.sell(session, held)\n", ""),),
    ),
    Mutant(
        "closed-while-it-can-be-paid",
        "an order is closed here without its page being closed at Stripe",
        (
            Edit(
                PAYMENTS,
                "if attempt.state in {AttemptState.NEW, AttemptState.UNCERTAIN}:\n                    bury(",
                "if attempt.state in OPEN_ATTEMPT:\n                    bury(",
            ),
        ),
    ),
    Mutant(
        "expiry-forgotten",
        "what was shown an hour ago can still be accepted",
        (
            Edit(
                "agreements/service.py",
                '("expired", not presentation.issued_at <= now < presentation.expires_at)',
                '("expired", now < presentation.issued_at)',
            ),
        ),
    ),
    Mutant(
        "expiry-by-wall-clock",
        "the time to pay is judged by the machine's clock, not by the house's",
        (
            Edit(
                PAYMENTS,
                "            _refuse_unpayable(order, now)\n",
                "            _refuse_unpayable(order, datetime.now(now.tzinfo))\n",
            ),
        ),
    ),
    Mutant(
        "never-lapses",
        "an order whose time to pay has passed stays open",
        (
            Edit(
                "checkout/store.py",
                "overdue = sa.and_(Order.state == State.PAYABLE, Order.pay_by <= now)",
                "overdue = sa.false()",
            ),
        ),
    ),
    Mutant(
        "letter-twice",
        "the letter of a payment is queued again with each look",
        (
            Edit(
                SETTLEMENT,
                '    await queue_mail(session, order_mail("order_paid", order, base_url=base_url), now=now)\n',
                '    await queue_mail(session, order_mail("order_paid", order, base_url=base_url), now=now)\n' * 2,
            ),
        ),
    ),
    Mutant(
        "any-timestamp",
        "a signature holds for ever",
        (Edit(GATEWAY, "> TIMESTAMP_TOLERANCE_SECONDS:", "> 10 * TIMESTAMP_TOLERANCE_SECONDS:"),),
    ),
)


def unfit(mutant: Mutant) -> list[str]:
    """What of *mutant* no longer stands in the source once."""
    return [
        f"{mutant.name}: {edit.file} has it {found} times: {edit.old!r}"
        for edit in mutant.edits
        if (found := (ROOT / edit.file).read_text(encoding="utf-8").count(edit.old)) != 1
    ]


def main(arguments: Sequence[str]) -> int:
    """0: each was killed. 1: one survived. 2: the machine falls over the tree as it is, in the same lives."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.life.mutants", description=__doc__.split("\n", maxsplit=1)[0]
    )
    parser.add_argument("names", nargs="*", help="mutants to try; all if none")
    parser.add_argument("--lives", type=int, default=LIVES)
    parser.add_argument("--write", action="store_true", help="keep what was found in docs/money-machine.md")
    asked = parser.parse_args(arguments)
    wanted = [mutant for mutant in MUTANTS if not asked.names or mutant.name in asked.names]
    unchanged = tried(UNCHANGED, lives=asked.lives)
    if unchanged.why is not None:
        sys.stdout.write(f"No kill would mean anything: the unchanged tree does not hold. {unchanged.why}\n")
        return 2
    outcomes = []
    for mutant in wanted:
        outcomes.append(tried(mutant, lives=asked.lives))
        sys.stdout.write(_line(outcomes[-1]) + "\n")
        sys.stdout.flush()
        if asked.write:
            _write(outcomes[-1:])
    return 0 if all(outcome.why is not None for outcome in outcomes) else 1


def tried(mutant: Mutant, *, lives: int = LIVES) -> Outcome:
    """Make the mistake in a copy of the tree and let the machine live in it.

    :raises ValueError: when the mutant no longer fits the source
    :raises RuntimeError: when the machine cannot run at all, with what it said
    """
    wrong = unfit(mutant)
    if wrong:
        raise ValueError("\n".join(wrong))
    folder = Path(os.environ.get("VAR") or ROOT / "var").absolute() / "life-mutants" / mutant.name
    _copy(folder)
    for edit in mutant.edits:
        path = folder / edit.file
        path.write_text(path.read_text(encoding="utf-8").replace(edit.old, edit.new), encoding="utf-8")
    environment = {
        **os.environ,
        "LIVES": str(lives),
        "STEPS": str(STEPS),
        "LIFE_UNSHRUNK": "1",
        "LIFE_REACH": "off",
        "TEST_VAR": os.environ.get("TEST_VAR") or str(ROOT / "var" / "test"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "tests/life/test_life.py",
    ]
    began = time.monotonic()
    ran = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=SECONDS_MOST
    )
    took = time.monotonic() - began
    shutil.rmtree(folder)
    if ran.returncode == 0:
        return Outcome(mutant, None, took)
    why = _reason(ran.stdout)
    if ran.returncode != 1 or why is None:
        raise RuntimeError(f"the machine cannot run: {ran.stdout[-3000:]}{ran.stderr[-1000:]}")
    return Outcome(mutant, why, took)


def _copy(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "tests").mkdir()
    for name in TESTS:
        source, copy = ROOT / "tests" / name, folder / "tests" / name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=ignored)
        else:
            shutil.copy(source, copy)
    shutil.copy(ROOT / "pyproject.toml", folder)


def _reason(output: str) -> str | None:
    """The last error's own words, cut to a line."""
    said = re.findall(
        r"^(?:\s*\|\s*)?(?:E\s+)?(\w*(?:\.\w+)*(?:Error|Exception|Refused|Violation)\b: .*)$", output, re.MULTILINE
    )
    told = [each for each in said if not each.startswith(("stripe.", "httpx", "httpcore"))]
    if not told:
        return None
    words = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|cs_test_\w+|evt_\w{8,}|T-\d{4}-\d+|0x[0-9a-f]+", "...", told[-1])
    return words.removeprefix("AssertionError: ")[:150]


def _line(outcome: Outcome) -> str:
    killed = "SURVIVED" if outcome.why is None else outcome.why
    return f"{outcome.mutant.name:36} {outcome.seconds:5.0f} s  {killed}"


def _write(outcomes: Sequence[Outcome]) -> None:
    """Into the page's table, where what was not tried now keeps its row."""
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    kept, tail = rest.split(END)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in kept.splitlines()[3:]}
    for each in outcomes:
        why = "**survived**" if each.why is None else "`" + each.why.replace("|", "/").replace("`", "'") + "`"
        rows[each.mutant.name] = f"| {each.mutant.name} | {each.mutant.mistake} | {why} |"
    named = [rows[mutant.name] for mutant in MUTANTS if mutant.name in rows]
    table = "\n".join([BEGIN, "| mutant | what it does | what the machine says |", "| --- | --- | --- |", *named, END])
    PAGE.write_text(head + table + tail, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
