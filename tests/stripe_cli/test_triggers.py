"""Stripe's own command line as an independent client of the twin: `make stripe-triggers` installs it and runs this."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkout.stripe_gateway import API_VERSION
from sandbox.stripe_twin import RunningTwin, running_twin
from tests.conftest import ROOT

PROGRAM = Path(os.environ.get("VAR") or ROOT / "var") / "stripe_cli" / "node_modules" / ".bin" / "stripe"
SECONDS_MOST = 60
HOUR = 3600.0
TRIGGERS = (
    "cash_balance.funds_available",
    "charge.captured",
    "charge.dispute.created",
    "charge.failed",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "customer.created",
    "customer.deleted",
    "customer.updated",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "payment_method.attached",
    "product.created",
    "product.updated",
    "setup_intent.canceled",
    "setup_intent.created",
    "setup_intent.requires_action",
    "setup_intent.setup_failed",
    "setup_intent.succeeded",
)
"""docs/stripe-twin.md says why others are not among them."""
ARRIVES_AS = {"charge.refund.updated": "refund.updated"}
"""The old name of an event that the twin sends under its new one alone, which the house listens to."""
needs_the_program = pytest.mark.skipif(
    (not PROGRAM.exists() or shutil.which("node") is None) and not os.environ.get("CI"),
    reason="Stripe's command line is not installed: make stripe-cli installs it, and needs node and npm",
)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTwin]:
    with running_twin(file=tmp_path_factory.mktemp("stripe_cli") / "twin.sqlite") as running:
        yield running
        assert [found for found in running.control.violations() if found["direction"] != "request"] == []


@needs_the_program
@pytest.mark.slow
@pytest.mark.parametrize("event", TRIGGERS)
def test_the_twin_gives_what_stripes_own_program_asks_for(event: str, twin: RunningTwin, tmp_path: Path) -> None:
    known = {each["id"] for each in twin.control.objects("event")}
    resource = "setup_intent" if event.startswith("setup_intent") else "payment_intent"
    ran = subprocess.run(
        [
            PROGRAM, "trigger", event, "--api-base", twin.base_url, "--api-key", "sk_test_of_the_triggers",
            "--api-version", API_VERSION, "--remove", f"{resource}:payment_method_types",
        ],
        env={**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS_MOST,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Trigger succeeded!" in ran.stdout + ran.stderr
    twin.control.shift_clock(HOUR)  # banks take a minute to dispute
    made = [each["type"] for each in twin.control.objects("event") if each["id"] not in known]
    assert ARRIVES_AS.get(event, event) in made


def test_the_command_line_is_pinned_by_version_and_hash_and_names_no_host() -> None:
    lock = (Path(__file__).parent / "package-lock.json").read_text()
    assert lock.count('"integrity": "sha512-') == 2
    assert "resolved" not in lock
    assert len(TRIGGERS) == 24
