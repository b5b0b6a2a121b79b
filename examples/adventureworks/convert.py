"""`python -m examples.adventureworks.convert FOLDER OUT`: AdventureWorks as Tarifa's import files.

OUT gets the catalogue and price files of `docs/import-files.md`; `OUT/replay/lines.csv` the order lines.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from os.path import commonprefix
from pathlib import Path
from typing import Final

from examples.adventureworks.tables import (
    LINES,
    MissingTable,
    Offer,
    OrderLine,
    Period,
    Product,
    Tables,
    read_lines,
    read_tables,
)

LIST: Final = "LIST-USD"
RESELLER: Final = "reseller"

Rows = Iterator[tuple[str, ...]]

_SCOPED: Final = (
    "code",
    "layer",
    "group",
    "scope_skus",
    "audience_segments",
    "min_quantity",
    "max_quantity",
    "valid_from",
    "valid_until",
    "effect",
    "value",
    "title_en",
)


def write_import_files(tables: Tables, lines: Iterable[OrderLine], out: Path) -> dict[str, int]:
    """Write all files and say how many rows each has. Parts that were never for sale have no price and are left out."""
    sold = {sku: product for sku, product in tables.products.items() if product.prices}
    tables = tables._replace(products=sold)
    files: dict[str, tuple[tuple[str, ...], Rows]] = {
        "categories.csv": (("code", "parent", "name_en"), _categories(tables)),
        "products.csv": (("code", "category", "name_en"), _products(tables)),
        "skus.csv": (("sku", "product", "name_en", "attributes", "base_unit"), _skus(tables)),
        "policy.csv": (
            (
                "strategy",
                "round_unit",
                "unit_decimals",
                "unit_mode",
                "line_decimals",
                "line_mode",
                "tax_decimals",
                "tax_mode",
                "tax_level",
            ),
            iter([("most_specific", "yes", "4", "half_up", "4", "half_up", "2", "half_up", "line")]),
        ),
        "price_lists.csv": (("code", "currency", "title_en"), iter([(LIST, "USD", "List price")])),
        "price_rows.csv": (("list", "sku", "unit", "model", "valid_from", "valid_until", "tiers"), _price_rows(tables)),
        "layers.csv": (("code", "level", "position", "combine", "groups"), _layers()),
        "adjustments.csv": (_SCOPED, _adjustments(tables)),
        "replay/lines.csv": (
            (
                "reference",
                "line",
                "sku",
                "unit",
                "quantity",
                "currency",
                "at",
                "company",
                "segments",
                "expected_line_total",
            ),
            map(_order_line, lines),
        ),
    }
    if any(product.cost for product in tables.products.values()):
        files["costs.csv"] = (("sku", "cost", "currency"), _costs(tables))
    (out / "replay").mkdir(parents=True, exist_ok=True)
    return {name: _write(out / name, columns, rows) for name, (columns, rows) in files.items()}


def _write(path: Path, columns: tuple[str, ...], rows: Rows) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        count = 0
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


# --- Catalogue ---


def _category(product: Product) -> str:
    return f"SUBCATEGORY-{product.subcategory}" if product.subcategory else "COMPONENTS"


def _product(product: Product) -> str:
    return f"MODEL-{product.model}" if product.model else product.sku


def _categories(tables: Tables) -> Rows:
    """The tables name no subcategories, so they keep their numbers."""
    for code in sorted({_category(product) for product in tables.products.values()}):
        yield code, "", code.capitalize().replace("-", " ")


def _products(tables: Tables) -> Rows:
    """A model is a product; its name is what the names of its SKUs begin with."""
    models: dict[str, list[Product]] = {}
    for product in tables.products.values():
        models.setdefault(_product(product), []).append(product)
    for code, members in models.items():
        name = commonprefix([member.name for member in members]).rstrip(" ,-/")  # noqa: RUF071 - names, not paths
        yield code, _category(members[0]), name or members[0].name


def _skus(tables: Tables) -> Rows:
    for product in tables.products.values():
        size = f"size={product.size}" if product.size else ""
        yield product.sku, _product(product), product.name, size, "each"


def _costs(tables: Tables) -> Rows:
    for product in tables.products.values():
        if product.cost > 0:
            yield product.sku, str(product.cost), "USD"


# --- Prices ---


def _price_rows(tables: Tables) -> Rows:
    """One list for everyone: what a dealer pays less is a rule, not a list."""
    for product in tables.products.values():
        for period, price in product.prices:
            yield LIST, product.sku, "each", "flat", *_window(period), f"0:{price}"


def _layers() -> Rows:
    """On the unit the dealer's discount and the best offer are added up, then the best offer comes off the line again:
    the discount taken twice that the seller's own invoices show.
    """
    yield "RESELLER", "unit", "1", "sum", "dealer:priority;offers:lowest"
    yield "OFFER-AGAIN", "line", "1", "sequence", "offers:lowest"


def _adjustments(tables: Tables) -> Rows:
    yield "DEALER", "RESELLER", "dealer", "", RESELLER, "", "", "", "", "percent", "40", "Dealer discount 40 %"
    for layer in ("RESELLER", "OFFER-AGAIN"):
        for offer in tables.offers:
            yield _offer(offer, layer)


def _offer(offer: Offer, layer: str) -> tuple[str, ...]:
    return (
        f"OFFER-{offer.number}-{'UNIT' if layer == 'RESELLER' else 'LINE'}",
        layer,
        "offers",
        ";".join(sorted(offer.skus)),
        RESELLER,
        str(offer.minimum) if offer.minimum else "",
        str(offer.maximum) if offer.maximum else "",
        *_window(offer.period),
        "percent",
        f"{offer.percent.normalize():f}",
        offer.title,
    )


def _order_line(line: OrderLine) -> tuple[str, ...]:
    company = f"reseller-{line.reseller}" if line.reseller else ""
    segment = RESELLER if line.reseller else ""
    return (
        line.order,
        line.number,
        line.sku,
        "each",
        str(line.quantity),
        "USD",
        line.day.isoformat(),
        company,
        segment,
        line.total,
    )


def _window(period: Period) -> tuple[str, str]:
    return _day(period.start), _day(period.end)


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.adventureworks.convert", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder with the AdventureWorks tables")
    parser.add_argument("out", type=Path, help="where to write; made when it does not exist")
    parser.add_argument("--lines", type=Path, help=f"order lines; FOLDER/{LINES} when not given")
    chosen = parser.parse_args(arguments)
    try:
        tables = read_tables(chosen.folder)
    except MissingTable as error:
        parser.error(str(error))
    lines = chosen.lines or chosen.folder / LINES
    if not lines.is_file():
        parser.error(f"{lines} is no file: name the order lines with --lines")
    for name, count in write_import_files(tables, read_lines(lines), chosen.out).items():
        print(f"{count:>8,} rows  {chosen.out / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
