"""`python -m examples.adventureworks.prove FOLDER`: the seller's rule, computed straight from the tables.

Without Tarifa: it shows that the rule, as we put it into words, is the one the seller applied.
"""

import argparse
import sys
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final, NamedTuple

from examples.adventureworks.tables import LINES, OrderLine, Tables, read_lines, read_tables

DEALER_PERCENT: Final = Decimal(40)
_HUNDRED: Final = Decimal(100)


def charged(tables: Tables, line: OrderLine) -> Decimal:
    """The line total by the seller's rule: consumers pay the list price; for resellers the best offer is added to the
    dealer's 40 % on the unit and taken once again off the line. Unit and line are rounded half up to 4 decimals.
    """
    return steps(tables, line).line


class Steps(NamedTuple):
    """A line's amounts before and after each rounding."""

    unit_exact: Decimal
    unit: Decimal
    line_exact: Decimal
    line: Decimal


def steps(tables: Tables, line: OrderLine) -> Steps:
    price = tables.products[line.sku].list_price(line.day)
    if not line.reseller:
        return Steps(price, price, price * line.quantity, price * line.quantity)
    percent = max((offer.percent for offer in tables.offers_on(line)), default=Decimal(0))
    unit_exact = price * (_HUNDRED - DEALER_PERCENT - percent) / _HUNDRED
    unit = _rounded(unit_exact)
    line_exact = unit * line.quantity * (_HUNDRED - percent) / _HUNDRED
    return Steps(unit_exact, unit, line_exact, _rounded(line_exact))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.adventureworks.prove", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder with the AdventureWorks tables")
    parser.add_argument("--lines", type=Path, help=f"order lines; FOLDER/{LINES} when not given")
    chosen = parser.parse_args(arguments)
    tables = read_tables(chosen.folder)
    counts: Counter[bool] = Counter()
    for line in read_lines(chosen.lines or chosen.folder / LINES):
        equal = charged(tables, line) == Decimal(line.total)
        counts[equal] += 1
        if not equal and counts[False] <= 20:
            print(f"{line.order}/{line.number}: {line.sku} x {line.quantity} on {line.day}: charged {line.total}")
    print(f"{counts[True]:,} of {counts.total():,} lines equal")
    return 0 if counts[True] == counts.total() else 1


if __name__ == "__main__":
    sys.exit(main())
