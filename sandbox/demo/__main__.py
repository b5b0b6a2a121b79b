"""`python -m sandbox.demo FOLDER`: write the demo's import files."""

import argparse
import sys
from datetime import date
from pathlib import Path

from sandbox.demo.files import REFERENCE, SEED, write_demo


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write; made when it does not exist")
    parser.add_argument("--skus", type=int, default=1200, help="how many SKUs, at least 100 (default 1200)")
    parser.add_argument(
        "--date", type=date.fromisoformat, default=REFERENCE, help=f"rules lie around this date (default {REFERENCE})"
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"other costs and stocks (default {SEED})")
    chosen = parser.parse_args(arguments)
    if chosen.skus < 100:
        parser.error("--skus must be at least 100: the named SKUs and something of every trade")
    counts = write_demo(chosen.folder, skus=chosen.skus, on=chosen.date, seed=chosen.seed)
    for name, count in counts.items():
        print(f"{count:>8,} rows  {chosen.folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
