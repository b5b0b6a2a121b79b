"""`make stripe-sandbox`: the cases of this folder against a sandbox of Stripe's own instead of the twin.

    STRIPE_API_KEY=sk_test_... python -m tests.stripe_cases.sandbox

See docs/stripe-sandbox.md. A key that could move real money is refused before anything is imported that could use it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

CHOICE: Final = "STRIPE_CASES"
CASES: Final = "tests/stripe_cases/test_cases.py"
ROOT: Final = Path(__file__).parents[2]
TEST_KEYS: Final = ("sk_test_", "rk_test_")
SHORTEST: Final = 20


def refused(key: str) -> str | None:
    """Why *key* is not used; None when it is one of a sandbox. The key is never repeated."""
    if not key:
        return "Set STRIPE_API_KEY to a secret key of a Stripe sandbox; it begins with sk_test_."
    if key.startswith(("sk_live_", "rk_live_")):
        return "This is a live key: these cases make payments and refunds. Use one that begins with sk_test_."
    if not key.startswith(TEST_KEYS) or len(key) < SHORTEST:
        return "This is no secret key of a Stripe sandbox: those begin with sk_test_ or rk_test_."
    return None


def command(*more: str) -> list[str]:
    """pytest on the cases, without what keeps other tests on this machine."""
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-o", "addopts=-ra", CASES, *more]


def main(environment: Mapping[str, str]) -> int:
    """2 for a key that is not used, else pytest's own code."""
    reason = refused(environment.get("STRIPE_API_KEY", ""))
    if reason is not None:
        sys.stderr.write(reason + "\n")
        return 2
    return subprocess.run(command(), cwd=ROOT, env={**environment, CHOICE: "sandbox"}, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(os.environ))
