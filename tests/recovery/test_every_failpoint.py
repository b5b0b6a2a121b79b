"""Every registered failpoint is one at which a journey is killed: there is no list of exceptions."""

import importlib

from kernel.failpoints import registered
from tests.conftest import ROOT
from tests.recovery import invoices, rooms, test_kill_9

ROOMS = ("kernel", "accounts", "agreements", "catalog", "checkout", "insights", "pricing", "web")
OF_TESTS = "test."


def test_no_failpoint_is_left_out() -> None:
    """Each of these journeys fails when it does not die at a point that stands beside it."""
    register_all()
    journeys = (*test_kill_9.JOURNEYS.values(), *invoices.JOURNEYS.values(), *rooms.JOURNEYS.values())
    killed = {point for reached in (*journeys, test_kill_9.TAXED) for point in reached}
    assert killed == {point for point in registered() if not point.startswith(OF_TESTS)}


def register_all() -> None:
    """Import every module that makes a failpoint, whoever else needs it."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            assert f'Failpoint("{OF_TESTS}' not in source, "such a name is the tests' own"
            if "Failpoint(" in source:
                importlib.import_module(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."))
