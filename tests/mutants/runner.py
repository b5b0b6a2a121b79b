"""mutmut with tests collected once: a mutant's process begins where collection ended, and runs only its tests.

mutmut forks a process for each mutant and starts pytest in it, which costs more than most of these tests take.
"""

from collections.abc import Iterable, Sequence

import mutmut.workers.isolation
import pytest
from _pytest.config import _prepareconfig
from mutmut.__main__ import cli
from mutmut.configuration import config as mutmut_config
from mutmut.runners.harness import PytestRunner
from mutmut.utils.file_utils import change_cwd


class CollectedRunner(PytestRunner):
    def __init__(self) -> None:
        super().__init__()
        self._session: pytest.Session | None = None
        self._items: Sequence[pytest.Item] = ()

    def warm_up(self) -> None:
        """In the process that all mutants' are forked from."""
        own = mutmut_config()
        said = ["--rootdir=.", "-x", "-q", "--tb=no", "--capture=sys"]
        with change_cwd("mutants"):
            config = _prepareconfig([*said, *own.pytest_add_cli_args_test_selection, *own.pytest_add_cli_args])
            config._do_configure()
            self._session = pytest.Session.from_config(config)
            config.hook.pytest_sessionstart(session=self._session)
            self._session.perform_collect()
            self._items = self._session.items

    def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        session = self._session
        if session is None:  # the runs before the first mutant
            return super().run_tests(mutant_name=mutant_name, tests=tests)
        wanted = frozenset(tests)
        session.items = [item for item in self._items if item.nodeid in wanted]
        with change_cwd("mutants"):
            try:
                session.config.hook.pytest_runtestloop(session=session)
            except pytest.Session.Failed:
                return int(pytest.ExitCode.TESTS_FAILED)
        return int(pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK)


if __name__ == "__main__":
    mutmut.workers.isolation.PytestRunner = CollectedRunner  # type: ignore[attr-defined] # mutmut has no setting for it
    cli()
