"""schemathesis as a program of its own: all phases, links between operations followed, as a partner with a key.

`make fuzz` runs it: some ten thousand cases, many minutes. The test run has test_schemathesis.py instead.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import Served
from tests.contract.test_schemathesis import ACCEPTED, MORE_ACCEPTED
from web.api.document import COMMITTED

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "100")
"""Of each operation and phase."""
SEED = os.environ.get("FUZZ_SEED", "20261122")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method,"
    "use_after_free,ensure_resource_availability"
)
SERVER_ERRORS = "not_a_server_error"


@pytest.mark.slow
def test_a_partner_who_tries_everything_gets_no_answer_that_is_not_documented(served: Served, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(_config())
    ran = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(COMMITTED),
            "--url", served.url, "--header", f"Authorization: Bearer {served.keys['acme']}",
            "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES, "--seed", SEED,
            "--checks", CHECKS, "--continue-on-failure", "--no-color", "--report-ndjson-path", str(tmp_path / "events"),
            "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    sys.stdout.write(ran.stdout[-6000:])

    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    generated = re.search(r"Test cases:\s+([0-9,]+) generated", ran.stdout)
    assert generated, "the count of cases is said at the end"
    assert int(generated[1].replace(",", "")) >= 20 * len(_operations()), "every operation was tried in several ways"
    assert "Stateful" in ran.stdout


def _operations() -> list[str]:
    return [method for methods in json.loads(COMMITTED.read_bytes())["paths"].values() for method in methods]


def _config() -> str:
    lines = ["[checks.positive_data_acceptance]", f"expected-statuses = {json.dumps(ACCEPTED)}"]
    for path, statuses in MORE_ACCEPTED.items():
        lines += [
            "[[operations]]",
            f"include-path = {json.dumps(path)}",
            f"checks.positive_data_acceptance.expected-statuses = {json.dumps([*ACCEPTED, *statuses])}",
        ]
    return "\n".join(lines) + "\n"
