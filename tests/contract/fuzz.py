"""schemathesis as a program of its own: all phases, links between operations followed, as a partner with a key.

`make fuzz` runs it: more than ten thousand cases, some minutes. The test run has test_schemathesis.py instead.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.contract import known
from tests.contract.conftest import Served
from tests.contract.test_schemathesis import ACCEPTED, DESK, MORE_ACCEPTED
from web.api.document import COMMITTED

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
"""Of each operation where values are drawn. The phases `examples` and `coverage` are as many as the document makes."""
STATEFUL_SECONDS = int(os.environ.get("FUZZ_STATEFUL_SECONDS", "180"))
"""Links are followed for so long: one pass of Hypothesis ends after some eighty scenarios, whatever it is allowed."""
A_GUESTS_SHARE = 8
ENOUGH = 50
"""With fewer examples, links are tried but none is missed."""
SEED = os.environ.get("FUZZ_SEED", "20261122")
FORMS = ("examples", "coverage", "fuzzing")
PHASES = (*FORMS, "stateful")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method,"
    "use_after_free,ensure_resource_availability"
)
SHOWN_COSTS = 8
Answered = tuple[str, str, int, float]
"""Phase, operation, status, seconds."""


@pytest.mark.slow
@pytest.mark.parametrize("company", ["acme", "clerk", None])
def test_who_tries_everything_gets_no_answer_that_is_not_documented(
    served: Served, tmp_path: Path, company: str | None
) -> None:
    share = 1 if company else A_GUESTS_SHARE
    asking = [
        Asking(served, tmp_path / "forms", company, (
            *("--phases", ",".join(FORMS), "--max-examples", str(max(1, EXAMPLES // share))),
        )),
        Asking(served, tmp_path / "links", company, (
            *("--phases", "stateful", "--max-examples", "100", "--max-time", str(STATEFUL_SECONDS // share)),
        )),
    ]  # fmt: skip
    said = [each.run() for each in asking]
    asked = [line for each in asking for line in each.answers()]
    operations, links, followed = _operations(company), _links(company), asking[1].followed()
    lines = [*said, *_counted(company or "a guest", asked)]
    lines.append(
        f"  {len(links & followed)} of the document's {len(links)} links followed, {len(followed - links)} besides"
    )
    lines += [f"    not followed: {link}" for link in sorted(links - followed) if company is not None]
    sys.stdout.write("\n".join([*lines, ""]))

    assert [each.code for each in asking] == [0, 0], "\n".join(said)
    assert not [label for _, label, status, _ in asked if status >= 500]
    assert {phase for phase, *_ in asked} >= set(PHASES)
    assert {label for _, label, *_ in asked} >= operations
    if company == "acme":  # of the desk, some want what a colleague did before, which nobody does here
        unanswered = operations - {label for _, label, status, _ in asked if status < 400}
        assert not unanswered, "every operation was done, not only refused"
    if company is not None:
        assert len(links & followed) > len(links) / 2 or EXAMPLES < ENOUGH


class Asking:
    """One run of schemathesis's program, which leaves its files in *folder*."""

    def __init__(self, served: Served, folder: Path, company: str | None, options: tuple[str, ...]) -> None:
        self.served, self.folder = served, folder
        self.code: int | None = None
        part = {"acme": ("--exclude-path-regex", DESK), "clerk": ("--include-path-regex", DESK)}.get(company or "", ())
        key = () if company is None else ("--header", f"Authorization: Bearer {served.keys[company]}")
        self._told = {} if company is None else {known.KNOWN_IN: json.dumps(served.known)}
        self._command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "config.toml")),
            *("run", str(COMMITTED), "--url", served.url, *key, *part, *options, "--checks", CHECKS, "--seed", SEED),
            *("--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off"),
            *("--continue-on-failure", "--no-color", "--report-ndjson-path", str(folder / "events.ndjson")),
        ]

    def run(self) -> str:
        """What the program said. The shop's clock runs meanwhile: limits of so many an hour fill up again."""
        self.folder.mkdir()
        (self.folder / "config.toml").write_text(_config())
        environment = {
            **os.environ,
            **self._told,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": known.__name__,
            known.ANSWERS_IN: str(self.folder / "answers.jsonl"),
        }
        with (self.folder / "said").open("w") as said:
            program = subprocess.Popen(
                self._command, stdout=said, stderr=subprocess.STDOUT, cwd=self.folder, env=environment
            )
            while program.poll() is None:
                self.served.clock.advance(minutes=1)
                time.sleep(0.5)
        self.code = program.returncode
        return (self.folder / "said").read_text()[-6000:]

    def answers(self) -> list[Answered]:
        return [tuple(json.loads(line)) for line in (self.folder / "answers.jsonl").read_text().splitlines()]

    def followed(self) -> set[str]:
        """The links that a call was made by: the operation, its status, the link's name, the operation it leads to."""
        found = set()
        with (self.folder / "events.ndjson").open() as events:
            for event in map(json.loads, events):
                recorded = event.get("ScenarioFinished", {}).get("recorder", {})
                for case in recorded.get("cases", {}).values():
                    if case.get("transition") and case["is_transition_applied"]:
                        found.add(case["transition"]["id"])
        return found


def _counted(who: str, asked: list[Answered]) -> Iterator[str]:
    """How many questions each phase asked, how they were answered, and what took longest."""
    yield f"Asked as {who}:"
    for phase in PHASES:
        statuses = Counter(status for of, _, status, _ in asked if of == phase)
        counted = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
        yield f"  {phase:<9} {statuses.total():>6,} cases: {counted}"
    yield f"  {'all':<9} {len(asked):>6,} cases"
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for _, label, _, elapsed in asked:
        seconds[label].append(elapsed)
    for label, each in sorted(seconds.items(), key=lambda item: -sum(item[1]))[:SHOWN_COSTS]:
        yield f"  {sum(each):6.1f} s in {len(each):>5,} x {label}"


def _operations(company: str | None) -> set[str]:
    """Those that this caller is sent to: a partner and the desk's clerk each to their own, a guest to all."""
    return {f"{method.upper()} {path}" for path, method, _ in _described(company)}


def _links(company: str | None) -> set[str]:
    """Those between operations of the caller, as `followed` names them."""
    every = list(_described(company))
    labels = {operation["operationId"]: f"{method.upper()} {path}" for path, method, operation in every}
    return {
        f"{method.upper()} {path} -> [{status}] {name} -> {labels[link['operationId']]}"
        for path, method, operation in every
        for status, answer in operation["responses"].items()
        for name, link in answer.get("links", {}).items()
    }


def _described(company: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in json.loads(COMMITTED.read_bytes())["paths"].items():
        if company is None or path.startswith(DESK) is (company == "clerk"):
            yield from ((path, method, operation) for method, operation in methods.items())


def _config() -> str:
    lines = ["[checks.positive_data_acceptance]", f"expected-statuses = {json.dumps(ACCEPTED)}"]
    for path, statuses in MORE_ACCEPTED.items():
        lines += [
            "[[operations]]",
            f"include-path = {json.dumps(path)}",
            f"checks.positive_data_acceptance.expected-statuses = {json.dumps([*ACCEPTED, *statuses])}",
        ]
    return "\n".join(lines) + "\n"
