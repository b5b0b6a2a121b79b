"""`python -m benchmarks.publication`: publishing a million rows (100,000 in `BENCH=quick`), part by part.

The parts are those of `Pricing.publish` that grow with the book: checks, root, the compressed content for the database,
and the compiled file; what is left out (the draft's changes, one row in the log) is small or a matter of the database.
Opening the compiled file as a worker does is the last part.
"""

import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.book import NOON, benchmark_buyers, benchmark_content
from kernel.collector import collector_at_rest
from kernel.signing import Keyring
from pricing.compiled import CompiledBook, write_book
from pricing.content import packed, root_text
from pricing.engine import root as root_of
from pricing.findings import list_findings

QUICK: Final = os.environ.get("BENCH") == "quick"
ROWS: Final = 100_000 if QUICK else 1_000_000


def main() -> int:
    parts = published(ROWS)
    for name, seconds in parts:
        print(f"{name:42} {seconds:7.1f} s")
    print(f"{f'publishing {ROWS:,} rows':42} {sum(seconds for _, seconds in parts):7.1f} s")
    return 0


def published(rows: int) -> list[tuple[str, float]]:
    """The parts and their seconds."""
    content = benchmark_content(rows)
    keyring = Keyring.generate(now=datetime(2026, 1, 1, tzinfo=UTC))
    gc.collect()
    parts: list[tuple[str, float]] = []

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        with collector_at_rest():
            result = work()
        parts.append((name, time.perf_counter() - started))
        return result

    sold = [facts.sku for facts in content.skus]
    timed("check", lambda: list_findings(content, sold=sold, at=NOON, buyers=benchmark_buyers()))
    seconds_of_root = time.perf_counter()
    with collector_at_rest():
        root_of(content, keyring.house_key)
    seconds_of_root = time.perf_counter() - seconds_of_root
    kept = timed("root, content packed for the database", lambda: packed(content, keyring))
    parts[-1:] = [
        ("root", seconds_of_root),
        ("content packed for the database", max(parts[-1][1] - seconds_of_root, 0)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = root_text(kept.root)
        path = timed("compile", lambda: write_book(content, root, Path(folder), sound=True))
        timed("open", lambda: CompiledBook(path, root=root))
    return parts


if __name__ == "__main__":
    sys.exit(main())
