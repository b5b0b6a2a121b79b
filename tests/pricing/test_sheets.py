"""Drafts and publications as workbooks and zips of CSV files, and back."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils import get_column_letter

from kernel.clock import FixedClock
from pricing.exports import Form, PriceExports
from pricing.service import Pricing
from sandbox.demo.files import write_demo
from tests.pricing.conftest import PRICES

ABOUT = [("Prices", "of a test"), ("", "")]


async def exported(pricing: Pricing, tmp_path: Path, form: Form, draft: Any = None) -> Path:
    path = tmp_path / f"prices.{'xlsx' if form is Form.WORKBOOK else 'zip'}"
    exports = PriceExports(pricing)
    if draft is None:
        await exports.write_publication(None, path, form=form, about=ABOUT)
    else:
        await exports.write_draft(draft, path, form=form, about=ABOUT)
    return path


@pytest.mark.parametrize("form", Form)
async def test_a_publication_exported_and_imported_again_changes_nothing(
    pricing: Pricing, tmp_path: Path, form: Form
) -> None:
    imported = await pricing.import_file(await exported(pricing, tmp_path, form), by=None)
    assert imported.report.errors == []
    assert imported.draft_id is not None
    assert await pricing.list_changes(imported.draft_id) == ()
    assert imported.report.counts["price_rows.csv"].unchanged == 5


@pytest.mark.parametrize("form", Form)
async def test_a_draft_is_exported_with_what_it_changes_adds_and_removes(
    pricing: Pricing, tmp_path: Path, form: Form, folder: Callable[..., Path]
) -> None:
    rows = PRICES["price_rows.csv"].replace("0:80", "0:81").replace("PUBLIC,BOLT-M8,box,flat,0:17\n", "")
    rows += "CONTRACT-INITECH,CRUNCHY-ARMCHAIR,each,flat,0:150\nCONTRACT-INITECH,BOLT-M8,each,flat,0:0.1\n"
    draft = (await pricing.import_prices(folder(price_rows_csv=rows), by=None)).draft_id
    assert draft is not None
    wanted = {(change.kind, change.key): change.after for change in await pricing.list_changes(draft)}
    assert len(wanted) == 4

    again = await pricing.import_file(await exported(pricing, tmp_path, form, draft), by=None)

    assert again.report.errors == []
    assert again.draft_id is not None
    assert {(change.kind, change.key): change.after for change in await pricing.list_changes(again.draft_id)} == wanted


async def test_a_workbook_holds_a_sheet_of_each_file_after_one_that_explains(pricing: Pricing, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(await exported(pricing, tmp_path, Form.WORKBOOK))
    assert book.sheetnames == ["About", *(name.removesuffix(".csv") for name in ORDER)]
    assert next([cell.value for cell in row] for row in book["About"].iter_rows()) == ["Prices", "of a test"]
    rows = [[cell.value for cell in row] for row in book["price_rows"].iter_rows(max_col=7)]
    assert rows[0] == ["list", "sku", "unit", "model", "valid_from", "valid_until", "tiers"]
    assert ["PUBLIC", "BOLT-M8", "each", "volume", None, None, "1:0.21;100:0.18"] in rows
    with zipfile.ZipFile(await exported(pricing, tmp_path, Form.CSV)) as package:
        assert package.namelist() == list(ORDER)


ORDER = (
    "policy.csv",
    "price_lists.csv",
    "derivations.csv",
    "price_rows.csv",
    "layers.csv",
    "adjustments.csv",
    "bounds.csv",
    "quantity_rules.csv",
)


async def test_three_mistakes_in_a_workbook_are_named_by_sheet_row_and_column(pricing: Pricing, tmp_path: Path) -> None:
    path = await exported(pricing, tmp_path, Form.WORKBOOK)
    book = openpyxl.load_workbook(path)
    places = {row[1].value: row[1].row for row in book["price_rows"].iter_rows() if row[0].value == "PUBLIC"}
    anvil, chair = places["ANVIL-50"], places["CRUNCHY-ARMCHAIR"]
    book["price_rows"][f"G{anvil}"] = "0:eighty"
    book["price_rows"][f"B{chair}"] = "CRUNCHY-ARMCHIAR"
    header = [cell.value for cell in book["adjustments"][1]]
    column = get_column_letter(header.index("effect") + 1)
    book["adjustments"][f"{column}2"] = "percentage"
    book.save(path)

    imported = await pricing.import_file(path, by=None)

    assert imported.draft_id is None
    assert await pricing.list_drafts() == []
    found = {(error.file, error.cell, error.column) for error in imported.report.errors}
    assert {
        ("price_rows", f"G{anvil}", "tiers"),
        ("price_rows", f"B{chair}", "sku"),
        ("adjustments", f"{column}2", "effect"),
    } == found


@pytest.mark.slow
@pytest.mark.parametrize("form", Form)
async def test_the_demo_of_1200_skus_comes_back_as_it_went(
    unpublished: Pricing, clock: FixedClock, tmp_path: Path, form: Form
) -> None:
    write_demo(tmp_path / "demo", skus=1200)
    imported = await unpublished.import_folder(tmp_path / "demo", by=None)
    assert imported.draft_id is not None
    published = await unpublished.publish(imported.draft_id, by=None, acknowledge="As meant")
    clock.set(published.effective_at)

    again = await unpublished.import_file(await exported(unpublished, tmp_path, form), by=None)

    assert again.report.errors == []
    assert again.draft_id is not None
    assert await unpublished.list_changes(again.draft_id) == ()
    assert again.report.counts["price_rows.csv"].rows == imported.report.counts["price_rows.csv"].rows


async def test_a_draft_over_nothing_is_exported_as_headers(unpublished: Pricing, tmp_path: Path) -> None:
    draft = await unpublished.open_draft(title="Nothing yet", by=None)
    path = await exported(unpublished, tmp_path, Form.WORKBOOK, draft.id)
    assert openpyxl.load_workbook(path)["price_rows"].max_row == 1
