"""`python -m benchmarks.sweeping [ROWS]`: how many lines a second `sweep` prices, and where its time goes.

Two books: one list for each class of buyers and nothing else, and three levels of lists with adjustments, bounds and
rounding. Run it on one core: `taskset -c 1 python -m benchmarks.sweeping`.
"""

import cProfile
import os
import pstats
import sys
import time
from typing import Final

import numpy as np

from benchmarks.book import CURRENCY, NOON, benchmark_buyers
from benchmarks.material import bare_book, benchmark_book
from pricing.compiled import CompiledBook
from pricing.engine.sweep import Lines, sweep

ROWS: Final = 1_000_000
LINES: Final = 200_000 if os.environ.get("BENCH") == "quick" else 4_000_000
SEED: Final = 7
SHOWN: Final = 12


def swept(book: CompiledBook) -> float:
    """Lines a second, of lines at random by all buyers; the better of two runs, for the first makes plans."""
    lines = lines_at_random(book)
    best = 0.0
    for _ in range(2):
        started = time.perf_counter()
        sweep(lines, book=book, at=NOON)
        best = max(best, LINES / (time.perf_counter() - started))
    return best


def lines_at_random(book: CompiledBook) -> Lines:
    chance = np.random.default_rng(SEED)
    buyers = benchmark_buyers()
    return Lines(
        skus=chance.integers(0, len(book), LINES, np.int32),
        quantities=chance.integers(1, 200, LINES, np.int64),
        quantity_decimals=0,
        currency=CURRENCY,
        buyers=buyers,
        buyer_of=chance.integers(0, len(buyers), LINES, np.int32),
    )


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    for name, book in (
        ("one list a class", bare_book(rows // 10)),
        ("three levels of lists, all rules", benchmark_book(rows)),
    ):
        print(f"\n{name}, {len(book):,} SKUs: {swept(book) / 1e6:.2f} million lines/s\n")
        _profile(book)
    return 0


def _profile(book: CompiledBook) -> None:
    lines = lines_at_random(book)
    profile = cProfile.Profile()
    profile.enable()
    sweep(lines, book=book, at=NOON)
    profile.disable()
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(SHOWN)


if __name__ == "__main__":
    sys.exit(main())
