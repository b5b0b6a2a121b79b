"""`python -m examples.adventureworks.pick_sample FOLDER OUT`: 200 telling lines as import files of their own.

That is how `sample/` beside this file was made: facts alone (SKU, quantity, date, prices, what was charged), renumbered
and without the sample database's texts.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from examples.adventureworks.convert import write_import_files
from examples.adventureworks.prove import steps
from examples.adventureworks.tables import LINES, OrderLine, Tables, read_lines, read_tables

SIZE: Final = 200
_EACH: Final = 3
_ONE_DAY: Final = timedelta(days=1)
_HALF: Final = Decimal("0.5")


def pick(tables: Tables, lines: list[OrderLine]) -> list[OrderLine]:
    """Lines that between them show every trait, the rarest traits first, then lines evenly out of all."""
    by_trait: dict[str, list[int]] = {}
    for index, line in enumerate(lines):
        for trait in traits(tables, line):
            by_trait.setdefault(trait, []).append(index)
    chosen: set[int] = set()
    for indexes in sorted(by_trait.values(), key=len):
        missing = _EACH - len(chosen.intersection(indexes))
        fresh = [index for index in indexes if index not in chosen]
        for step in range(min(missing, len(fresh), SIZE - len(chosen))):
            chosen.add(fresh[step * len(fresh) // max(missing, 1)])
    for number in range(len(lines)):
        if len(chosen) == SIZE:
            break
        chosen.add(number * 7919 % len(lines))  # a prime's multiples wander evenly over the years
    return [lines[index] for index in sorted(chosen)]


def traits(tables: Tables, line: OrderLine) -> Iterator[str]:
    """What a line is an example of: an offer, an edge of its quantities or dates, a price change, a rounding edge."""
    buyer = "dealer" if line.reseller else "consumer"
    yield f"{buyer} in {line.day:%Y}"
    for price in tables.products[line.sku].prices:
        if price.period.start in {line.day, line.day + _ONE_DAY}:
            yield f"{buyer} {(line.day - price.period.start).days:+} days from a price change"
    if line.reseller:
        yield from _offer_traits(tables, line)
        yield from _rounding_traits(tables, line)


def _offer_traits(tables: Tables, line: OrderLine) -> Iterator[str]:
    yield f"{len(tables.offers_on(line))} offers at once"
    for offer in tables.offers_on(line):
        yield f"offer {offer.number}"
    for offer in tables.offers:
        if line.sku not in offer.skus:
            continue
        for edge in {offer.minimum, offer.maximum or 0} - {0}:
            if offer.period.holds(line.day) and abs(line.quantity - edge) <= 1:
                yield f"offer {offer.number}, {line.quantity - edge:+} from {edge}"
        if line.quantity >= offer.minimum and {line.day, line.day + _ONE_DAY} & set(offer.period):
            yield f"offer {offer.number} on {line.day}"


def _rounding_traits(tables: Tables, line: OrderLine) -> Iterator[str]:
    amounts = steps(tables, line)
    for name, exact in (("unit", amounts.unit_exact), ("line", amounts.line_exact)):
        digits = exact * 10_000 % 2
        if digits % 1:
            yield f"{name} is rounded {'up' if digits % 1 >= _HALF else 'down'}"
        if digits % 1 == _HALF:
            yield f"{name} ends in half, {'odd' if digits > 1 else 'even'} before it"


def facts_only(tables: Tables, lines: list[OrderLine]) -> tuple[Tables, list[OrderLine]]:
    """The tables as far as *lines* need them, and the lines renumbered, all in words of our own."""
    skus = {line.sku for line in lines}
    products = {
        sku: product._replace(name=sku, model="", size="", cost=Decimal(0))
        for sku, product in sorted(tables.products.items())
        if sku in skus
    }
    offers = tuple(
        offer._replace(title=f"Offer {offer.number}", skus=offer.skus & skus)
        for offer in tables.offers
        if offer.skus & skus
    )
    renumbered = [
        line._replace(order=f"SAMPLE-{number:03}", number="1", reseller="1" if line.reseller else "")
        for number, line in enumerate(lines, 1)
    ]
    return Tables(products, offers), renumbered


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.adventureworks.pick_sample", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder with the AdventureWorks tables")
    parser.add_argument("out", type=Path, help="where to write the sample")
    chosen = parser.parse_args(arguments)
    tables = read_tables(chosen.folder)
    lines = pick(tables, list(read_lines(chosen.folder / LINES)))
    for name, count in write_import_files(*facts_only(tables, lines), chosen.out).items():
        print(f"{count:>8,} rows  {chosen.out / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
