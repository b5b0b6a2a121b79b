"""The examples of docs/import-files.md are one small house that imports and prices."""

from pathlib import Path

import pytest

from catalog.service import Catalog
from kernel.clock import FixedClock
from kernel.csv_rows import ImportReport
from kernel.db import Database
from pricing.import_csv import FILES
from pricing.replay_orders import replay
from tests.examples.folders import book_of, content_of_folder, examples_of

PAGE = Path(__file__).parents[2] / "docs" / "import-files.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in examples_of(PAGE.read_text(encoding="utf-8")).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_file_has_an_example(folder: Path) -> None:
    catalogue = {f"{name}.csv" for name in ("categories", "brands", "products", "skus", "units", "costs", "stock")}

    assert {path.name for path in folder.iterdir()} == catalogue | {file.name for file in FILES} | {
        "companies.csv",
        "lines.csv",
    }


async def test_the_catalogue_examples_import_without_an_error(
    folder: Path, database: Database, clock: FixedClock
) -> None:
    report = await Catalog(database, clock).import_folder(folder)

    assert [str(error) for error in report.errors] == []
    assert report.counts["skus.csv"].rows == 2


def test_the_derived_list_of_the_page_has_its_prices(folder: Path) -> None:
    rows = content_of_folder(folder).rows
    trade = {(row.sku, row.unit): [tier.unit_price for tier in row.tiers] for row in rows if row.list == "TRADE-EUR"}

    assert trade == {
        ("HB-88-M8X40", "each"): ["0.185", "0.159", "0.128"],
        ("HB-88-M8X40", "box"): ["14.872"],
        ("HOSE-PU-8-BLUE", "metre"): ["1.672", "1.452", "1.232"],
    }


def test_the_example_line_comes_out_as_the_page_says(folder: Path) -> None:
    result = replay(folder / "lines.csv", book_of(folder), ImportReport())

    assert (result.equal, result.lines) == (1, 1), result.groups
