"""What mutmut's test runs add to pytest: few and equal examples, quick tests first, and an end for code that loops."""

import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

EXAMPLES = 8
SEEDS_APART = 3
TIMED_OUT = 36  # the exit code mutmut reads as a time-out
MOST_MEMORY = 6 * 2**30

settings.register_profile(
    "mutants",
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("mutants")


def pytest_configure() -> None:
    """A mutant that builds without end meets a wall of memory before the machine does."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGVTALRM, lambda *_: os._exit(TIMED_OUT))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first: most mutants fall to one of them. No test asks for more examples than the profile has, and of
    tests that differ in their seed alone every third will do.
    """
    items[:] = [item for item in items if _seed(item) % SEEDS_APART == 0]
    seconds = _seconds()
    items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))
    for item in items:
        test = getattr(item, "obj", None)
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if isinstance(own, settings) and own.max_examples > EXAMPLES:
            # Hypothesis has no way to cap what a test states for itself
            vars(test)["_hypothesis_internal_use_settings"] = settings(own, max_examples=EXAMPLES)


def _seed(item: pytest.Item) -> int:
    """Of a test that draws from the seed it is given; 0 of others."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return int(parameters.get("seed", 0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Seconds of processor, not of the clock: a busy machine kills no mutant."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 + 10 * _seconds().get(item.nodeid, 3.0))
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


_read: dict[str, float] = {}


def _seconds() -> dict[str, float]:
    """How long each test took without a mutant; empty in the run that measures it."""
    if not _read and Path("mutmut-stats.json").exists():
        _read.update(json.loads(Path("mutmut-stats.json").read_text())["duration_by_test"])
    return _read
