"""The whole life of orders and money, in ways that nobody thought of: `make machine` runs it for longer.

`LIVES` is how many lives are lived, `STEPS` how long each is at most; `LIFE_SEED` makes others of them.
"""

import os
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from kernel.embedded import EmbeddedServer
from tests.life.machine import Life
from tests.life.world import Stage

LIVES = int(os.environ.get("LIVES") or 40)
STEPS = int(os.environ.get("STEPS") or 40)
SEED = os.environ.get("LIFE_SEED")
ENOUGH_LIVES = 40
REACHED = {
    "deaths",
    *(f"order_event {event}" for event in (
        "accept", "attempt_dead", "cancel", "closed_as_cancelled", "closed_as_lapsed", "paid", "pay_by_passed",
        "refund", "refunded",
    )),
    "invoice paid", "liability refund_failed", "liability unknown_order",
    "order_event accept_on_terms", "order_event release",
    "refund failed", "refund succeeded",
    "stripe_call done", "stripe_call uncertain", "stripe_event parked", "stripe_event settled",
}  # fmt: skip
"""What lives must come by, so many of them: a machine that reaches nothing finds nothing."""
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


@pytest.fixture(scope="session")
def stage(server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    kept = Stage(server, template, tmp_path_factory.mktemp("life"))
    yield kept
    kept.close()


@pytest.fixture(autouse=True)
def _plain_tracebacks() -> Iterator[None]:
    """One with the values of variables reads rows whose session has ended: the log would fail, not what it is told."""
    before = structlog.get_config()
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*before["processors"][:-1], console])
    yield
    structlog.configure(**before)


@pytest.mark.slow
def test_whatever_happens_no_order_is_paid_twice_and_none_that_is_paid_is_lost(stage: Stage) -> None:
    bound = type("LifeOnStage", (Life,), {"stage": stage})
    run_state_machine_as_test(
        bound,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=SEED is None,
            database=None,
            phases=PHASES if "LIFE_UNSHRUNK" not in os.environ else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
            print_blob=SEED is None,
        ),
    )
    sys.stdout.write("".join(f"{many:6} {what}\n" for what, many in sorted(stage.seen.items())))
    if LIVES >= ENOUGH_LIVES and os.environ.get("LIFE_REACH") != "off":
        assert set(stage.seen) >= REACHED, f"the lives never came by {sorted(REACHED - set(stage.seen))}"
