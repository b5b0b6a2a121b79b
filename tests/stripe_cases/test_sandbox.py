"""The command that asks Stripe itself: which keys it takes, and that it asks what the twin is asked."""

import os
import subprocess

import pytest

from tests.stripe_cases.sandbox import CHOICE, ROOT, SHORTEST, command, main, refused

TEST_KEY = "sk_test_" + "0" * 24


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "Set STRIPE_API_KEY"),
        ("sk_live_" + "0" * 24, "live key"),
        ("rk_live_" + "0" * 24, "live key"),
        ("pk_test_" + "0" * 24, "no secret key"),
        ("sk_test_", "no secret key"),
        ("whsec_" + "0" * 24, "no secret key"),
    ],
)
def test_a_key_that_is_none_of_a_sandbox_is_refused(key: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"STRIPE_API_KEY": key}) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert len(key) < SHORTEST or key not in said


def test_a_key_of_a_sandbox_is_taken() -> None:
    assert refused(TEST_KEY) is None
    assert refused(TEST_KEY.replace("sk", "rk", 1)) is None


@pytest.mark.slow
def test_the_sandbox_is_asked_the_cases_that_the_twin_is_asked() -> None:
    assert collected() == collected(**{CHOICE: "sandbox", "STRIPE_API_KEY": TEST_KEY}) != []


def collected(**environment: str) -> list[str]:
    ran = subprocess.run(
        command("--collect-only"),
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return [line for line in ran.stdout.splitlines() if "::" in line]
