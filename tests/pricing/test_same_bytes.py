"""The same question has the same bytes in any process: whatever its hash seed, language, time zone or assertions."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kernel.canonical import canonical_json
from pricing.engine import BookContent, LineRequest, MemoryBook, QuoteRequest, quote, root
from tests.pricing.engine.cast import NOW
from tests.pricing.engine.test_laws import asked, buyers, contents, taxes

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from datetime import datetime
from kernel.canonical import canonical_json
from msgspec import json
from pricing.engine import BookContent, MemoryBook, QuoteRequest, quote, root
for line in sys.stdin.buffer:
    content, request, at = json.decode(line, type=tuple[BookContent, QuoteRequest, datetime])
    of = MemoryBook(content, root=root(content, b"key"))
    sys.stdout.buffer.write(canonical_json(quote(request, book=of, at=at)) + b"\\n")
"""

Question = tuple[BookContent, QuoteRequest]


def questions() -> list[Question]:
    found: list[Question] = []

    @given(contents(), st.lists(asked, max_size=5).map(tuple), buyers, taxes)
    @settings(max_examples=25, phases=[Phase.generate], database=None, deadline=None)
    def gather(content: BookContent, lines: tuple[LineRequest, ...], buyer: Any, tax: Any) -> None:
        found.append((content, QuoteRequest(buyer=buyer, currency="EUR", lines=lines, tax=tax)))

    gather()
    return found


@pytest.fixture(scope="module")
def asked_here() -> tuple[bytes, bytes]:
    """Questions, a line each, and what this process answers."""
    found = questions()
    answers = [
        canonical_json(quote(request, book=MemoryBook(content, root=root(content, b"key")), at=NOW))
        for content, request in found
    ]
    written = b"".join(msgspec.json.encode((*one, NOW)) + b"\n" for one in found)
    return written, b"".join(one + b"\n" for one in answers)


@pytest.mark.parametrize(
    ("seed", "language", "zone", "flags"),
    [
        ("0", "C", "Pacific/Kiritimati", []),
        ("1", "es_ES.UTF-8", "America/New_York", []),
        ("20261121", "tr_TR.UTF-8", "Asia/Kolkata", ["-O"]),
    ],
)
def test_another_process_answers_with_the_same_bytes(
    asked_here: tuple[bytes, bytes], seed: str, language: str, zone: str, flags: list[str]
) -> None:
    written, expected = asked_here
    environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": language, "TZ": zone}

    ran = subprocess.run(
        [sys.executable, *flags, "-c", PROGRAM],
        input=written,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=True,
    )

    assert ran.stdout == expected
    assert expected.count(b"\n") >= 20
