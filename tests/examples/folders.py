"""An import folder as a price book in memory: what import and publication make of it, without a database."""

import csv
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from catalog.views import BookFacts, KnownCodes, Unit
from kernel.csv_rows import ImportReport
from pricing.content import Leaves, content_of, derivations_of
from pricing.engine import BookContent
from pricing.engine.book import Cost
from pricing.engine.columns import ColumnarBook
from pricing.engine.derive import derive
from pricing.facts import decimal_text, sku_facts
from pricing.import_csv import read_changes

Row = dict[str, str]


def rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def book_of(folder: Path) -> ColumnarBook:
    return ColumnarBook(content_of_folder(folder), root="sha256:of-a-folder")


def content_of_folder(folder: Path) -> BookContent:
    """The book that *folder* describes; its import must be without a single error."""
    facts = _facts(folder)
    known = KnownCodes(
        units={fact.sku: frozenset(unit.unit for unit in fact.units) for fact in facts},
        categories=_paths(folder),
        brands=frozenset(row["code"] for row in rows(folder / "brands.csv")),
    )
    report = ImportReport()
    leaves: Leaves = {}
    leaves.update(read_changes(folder, leaves, known, report))
    assert report.ok, [str(error) for error in report.errors]
    for fact in facts:
        leaves["sku", (fact.sku,)] = sku_facts(fact)
    for row in rows(folder / "costs.csv"):
        cost = Cost(sku=row["sku"], currency=row["currency"], cost=decimal_text(Decimal(row["cost"])))
        leaves["cost", (cost.sku, cost.currency)] = cost
    done = derive(content_of(leaves), derivations_of(leaves), at=datetime(2026, 1, 1, tzinfo=UTC))
    assert not done.findings, done.findings
    return done.content


def _facts(folder: Path) -> list[BookFacts]:
    paths = _paths(folder)
    products = {row["code"]: row for row in rows(folder / "products.csv")}
    units: dict[str, list[Unit]] = defaultdict(list)
    for row in rows(folder / "units.csv"):
        units[row["sku"]].append(Unit(unit=row["unit"], factor=Decimal(row["factor"])))
    return [
        BookFacts(
            sku=row["sku"],
            categories=paths[products[row["product"]]["category"]],
            brand=products[row["product"]].get("brand") or None,
            base_unit=row["base_unit"],
            units=(Unit(unit=row["base_unit"], factor=Decimal(1)), *units[row["sku"]]),
            break_group=row.get("break_group") or None,
            tax_category=row.get("tax_category") or "standard",
            fractional=row.get("fractional") == "yes",
            active=row.get("active") != "no",
        )
        for row in rows(folder / "skus.csv")
    ]


def _paths(folder: Path) -> dict[str, tuple[str, ...]]:
    parents = {row["code"]: row["parent"] for row in rows(folder / "categories.csv")}

    def path(code: str) -> tuple[str, ...]:
        return (*path(parents[code]), code) if parents[code] else (code,)

    return {code: path(code) for code in parents}


def examples_of(markdown: str) -> dict[str, str]:
    """The CSV examples of docs/import-files.md, by the file name that heads their section."""
    return {
        section.partition("\n")[0].strip(): section.partition("```csv\n")[2].partition("```")[0]
        for section in markdown.split("\n### ")[1:]
    }
