"""schemathesis as a program of its own: all phases, links between operations followed, as a partner with a key.

`make fuzz` runs it: more than ten thousand cases, some minutes. The test run has test_schemathesis.py instead.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.contract import known
from tests.contract.conftest import Served
from tests.contract.test_schemathesis import ACCEPTED, DESK, MORE_ACCEPTED
from web.api.document import COMMITTED

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
"""Of each operation where values are drawn. The phases `examples` and `coverage` are as many as the document makes."""
SCENARIOS_TO_AN_EXAMPLE = 4
"""Scenarios of several calls, for each example of one operation."""
EXAMPLES_OF_A_GUEST_IN = 8
SEED = os.environ.get("FUZZ_SEED", "20261122")
PHASES = ("examples", "coverage", "fuzzing", "stateful")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method,"
    "use_after_free,ensure_resource_availability"
)
SHOWN_COSTS = 8


@pytest.mark.slow
@pytest.mark.parametrize("company", ["acme", "clerk", None])
def test_who_tries_everything_gets_no_answer_that_is_not_documented(
    served: Served, tmp_path: Path, company: str | None
) -> None:
    examples = EXAMPLES if company else max(1, EXAMPLES // EXAMPLES_OF_A_GUEST_IN)
    config, answers = tmp_path / "schemathesis.toml", tmp_path / "answers.jsonl"
    config.write_text(_config(examples))
    part = {"acme": ("--exclude-path-regex", DESK), "clerk": ("--include-path-regex", DESK)}.get(company or "", ())
    told = {} if company is None else {known.KNOWN_IN: json.dumps(served.known)}
    key = () if company is None else ("--header", f"Authorization: Bearer {served.keys[company]}")
    with (tmp_path / "said").open("w") as said:
        program = subprocess.Popen(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(COMMITTED)),
                *("--url", served.url, *key, *part, "--phases", ",".join(PHASES), "--checks", CHECKS),
                *("--max-examples", str(examples), "--seed", SEED, "--generation-database", "none"),
                *("--continue-on-failure", "--no-color", "--suppress-health-check", "all", "--warnings", "off"),
            ],
            stdout=said, stderr=subprocess.STDOUT, cwd=tmp_path,
            env={**os.environ, **told, "PYTHONPATH": str(ROOT), known.ANSWERS_IN: str(answers),
                 "SCHEMATHESIS_HOOKS": known.__name__},
        )  # fmt: skip
        while program.poll() is None:  # limits of so many an hour fill up again, and prices change meanwhile
            served.clock.advance(minutes=1)
            time.sleep(0.5)
    text = (tmp_path / "said").read_text()
    asked = [json.loads(line) for line in answers.read_text().splitlines()]
    sys.stdout.write("\n".join([text[-6000:], *_counted(company or "a guest", asked), ""]))

    assert program.returncode == 0, text[-6000:]
    assert re.search(r"Test cases:\s+[0-9,]+ generated, [0-9,]+ passed\n", text)
    assert not [label for _, label, status, _ in asked if status >= 500]
    assert {phase for phase, *_ in asked} >= set(PHASES)
    operations = _operations(company)
    assert {label for _, label, *_ in asked} >= operations
    if company == "acme":  # of the desk, some want what a colleague did before, which nobody does here
        unanswered = operations - {label for _, label, status, _ in asked if status < 400}
        assert not unanswered, "every operation was done, not only refused"


def _counted(who: str, asked: list[tuple[str, str, int, float]]) -> Iterator[str]:
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
    paths = json.loads(COMMITTED.read_bytes())["paths"]
    return {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if company is None or path.startswith(DESK) is (company == "clerk")
    }


def _config(examples: int) -> str:
    lines = [
        "[checks.positive_data_acceptance]",
        f"expected-statuses = {json.dumps(ACCEPTED)}",
        "[phases.stateful.generation]",
        f"max-examples = {examples * SCENARIOS_TO_AN_EXAMPLE}",
    ]
    for path, statuses in MORE_ACCEPTED.items():
        lines += [
            "[[operations]]",
            f"include-path = {json.dumps(path)}",
            f"checks.positive_data_acceptance.expected-statuses = {json.dumps([*ACCEPTED, *statuses])}",
        ]
    return "\n".join(lines) + "\n"
