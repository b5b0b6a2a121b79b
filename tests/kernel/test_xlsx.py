"""Workbooks written here and by another program (openpyxl, in the place of a clerk's spreadsheet), and hostile ones."""

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.worksheet import Worksheet

from kernel.csv_rows import Column, ImportReport, Row, Unreadable, code, decimal, instant, letters_of, text, yes_no
from kernel.tables import open_tables
from kernel.xlsx_read import Limits, Workbook
from kernel.xlsx_write import MAX_CELL, CellTooLong, Sheet, write_workbook

COLUMNS = (
    Column("sku", code),
    Column("price", decimal(12), optional=True),
    Column("from", instant, optional=True),
    Column("sold", yes_no, optional=True),
    Column("name", text(300), optional=True),
)
NAMES = [column.name for column in COLUMNS]
KNOWN = {"prices.csv": NAMES, "lists.csv": ["code", "name"]}
NAN = float("nan")


def read(path: Path, **more: Any) -> tuple[list[Row], ImportReport]:
    """The rows of the table `prices` and what is wrong."""
    report = ImportReport()
    tables = open_tables(path, path.name, KNOWN, report, **more)
    if tables is None:
        return [], report
    rows = [
        row for part in tables.parts.get("prices.csv", ()) for row in tables.rows(part, COLUMNS, report, key=["sku"])
    ]
    tables.close()
    return rows, report


@pytest.fixture
def clerk(tmp_path: Path) -> Callable[..., Path]:
    """Save a workbook as a clerk's spreadsheet would: a sheet `prices` of these rows, then what *more* does to it."""

    def save(*rows: list[Any], more: Callable[[Worksheet], None] = lambda _: None) -> Path:
        book = openpyxl.Workbook()
        sheet = book.active
        assert isinstance(sheet, Worksheet)
        sheet.title = "prices"
        for row in (NAMES, *rows):
            sheet.append(row)
        more(sheet)
        book.save(tmp_path / "clerk.xlsx")
        return tmp_path / "clerk.xlsx"

    return save


def written(*sheets: Sheet) -> io.BytesIO:
    stream = io.BytesIO()
    write_workbook(stream, sheets)
    stream.seek(0)
    return stream


# --- Reading what clerks type ---


@pytest.mark.parametrize(
    ("typed", "is_read_as"),
    [
        (12, Decimal(12)),
        (12.5, Decimal("12.5")),
        (0.1, Decimal("0.1")),
        (1e-7, Decimal("0.0000001")),
        (-0.0, Decimal(0)),
        ("12.50", Decimal("12.50")),
        (" 7 ", Decimal(7)),
        ("-3", Decimal(-3)),
        ("'-3", Decimal(-3)),
    ],
)
def test_a_number_typed_or_kept_as_text_is_the_decimal_that_was_meant(
    clerk: Callable[..., Path], typed: Any, is_read_as: Decimal
) -> None:
    rows, report = read(clerk(["A", typed]))
    assert report.errors == []
    assert rows[0].values[1] == is_read_as


@pytest.mark.parametrize(
    ("at", "typed", "cell", "shown", "says"),
    [
        (1, 1 / 3, "B2", "0.3333333333333333", "may have up to 12 decimals"),
        (1, "12,50", "B2", "12,50", "must be a plain number"),
        (1, True, "B2", "TRUE", "is a truth value; format the cell as text"),
        (1, date(2026, 1, 12), "B2", "2026-01-12", "is a date in the spreadsheet; format the cell as text"),
        (1, time(1, 12), "B2", "01:12:00", "is a time of day in the spreadsheet"),
        (0, date(2026, 1, 12), "A2", "2026-01-12", "is a date in the spreadsheet; format the cell as text"),
        (
            2,
            datetime.fromisoformat("2026-01-12T08:30:00"),
            "C2",
            "2026-01-12 08:30:00",
            "is a date and time without an offset",
        ),
        (1, "#N/A", "B2", "#N/A", "is an error of the spreadsheet"),
        (1, "=1+1", "B2", "formula", "is a formula whose result was not saved"),
        (2, 45000, "C2", "45000", "must be a date such as"),
        (0, "", "A2", "", "must not be empty"),
    ],
)
def test_a_cell_that_cannot_be_what_was_meant_is_refused_by_its_place(
    clerk: Callable[..., Path], at: int, typed: Any, cell: str, shown: str, says: str
) -> None:
    row = ["A", None, None, None, "x"]
    row[at] = typed
    _, report = read(clerk(row))
    [error] = report.errors
    assert (error.file, error.cell, error.value) == ("prices", cell, shown)
    assert says in error.message
    assert str(error).startswith(f"prices:{cell}: {NAMES[at]}: ")


def test_dates_truth_values_and_currencies_are_read_where_they_belong(clerk: Callable[..., Path]) -> None:
    def formatted(sheet: Worksheet) -> None:
        sheet["B2"].number_format = '[$EUR] #,##0.00_-"days"'
        sheet["C3"].number_format = "[$-407]D. MMMM YYYY"

    rows, report = read(clerk(["A", 12.5, date(2026, 12, 1), True], ["B", None, 46357, False], more=formatted))
    assert report.errors == []
    assert rows[0].values[:4] == ("A", Decimal("12.5"), datetime(2026, 12, 1, tzinfo=UTC), True)
    assert rows[1].values[2:4] == (datetime(2026, 12, 1, tzinfo=UTC), False)


def test_a_percentage_is_refused_with_the_number_to_type(clerk: Callable[..., Path]) -> None:
    def percent(sheet: Worksheet) -> None:
        sheet["B2"].number_format = "0.0%"

    _, report = read(clerk(["A", 0.125], more=percent))
    assert [(error.cell, error.value) for error in report.errors] == [("B2", "12.5%")]
    assert report.errors[0].message.endswith("type 12.5")


def test_the_result_that_a_formula_was_saved_with_counts(tmp_path: Path) -> None:
    body = '<c r="A2" t="str"><f>"A"&amp;1</f><v>A1</v></c><c r="B2"><f>2*6</f><v>12</v></c>'
    rows, report = read(crafted(tmp_path, f'{HEADER}<row r="2">{body}</row>'))
    assert report.errors == []
    assert rows[0].values[:2] == ("A1", Decimal(12))


def test_days_count_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Prices.csv"
    sheet.append(NAMES)
    sheet.append(["A", None, date(2026, 12, 1)])
    book.save(tmp_path / "mac.xlsx")
    rows, report = read(tmp_path / "mac.xlsx")
    assert report.errors == []
    assert rows[0].values[2] == datetime(2026, 12, 1, tzinfo=UTC)


def test_empty_rows_are_skipped_and_others_keep_the_number_the_spreadsheet_shows(clerk: Callable[..., Path]) -> None:
    rows, report = read(clerk(["A", 1], [], [None, "  "], ["B", 2], [None], []))
    assert report.errors == []
    assert [(row.line, row.values[0]) for row in rows] == [(2, "A"), (5, "B")]


def test_merged_cells_are_refused_with_their_places(clerk: Callable[..., Path]) -> None:
    _, report = read(clerk(["A", 1], ["B", None], more=lambda sheet: sheet.merge_cells("B2:B3")))
    assert "cells are merged; unmerge them" in report.errors[0].message
    assert "B2:B3" in report.errors[0].message


def test_a_sheet_nobody_knows_is_refused_unless_it_is_hidden_or_explains(clerk: Callable[..., Path]) -> None:
    def more(sheet: Worksheet) -> None:
        assert sheet.parent is not None
        sheet.parent.create_sheet("About")
        sheet.parent.create_sheet("price")
        sheet.parent.create_sheet("scratch").sheet_state = "hidden"

    rows, report = read(clerk(["A"], more=more))
    assert len(rows) == 1
    [error] = report.errors
    assert str(error) == "price:0: unknown table; did you mean prices? Rename it, or remove it"


def test_columns_stand_in_any_order_and_misspelt_ones_are_refused(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "prices"
    sheet.append(["name", "sku"])
    sheet.append(["Chair", "A"])
    second = book.create_sheet("prices 2")
    second.append(["sku", "pricee"])
    book.save(tmp_path / "two.xlsx")
    rows, report = read(tmp_path / "two.xlsx")
    assert [row.values[0] for row in rows] == ["A"]
    assert [str(error) for error in report.errors] == ["prices 2:B1: pricee: unknown column; did you mean price?"]


def test_values_beyond_the_header_are_refused(clerk: Callable[..., Path]) -> None:
    _, report = read(clerk(["A", 1, None, None, None, None, "note"]))
    assert "the row has 7 values, the header has 5; delete the others" in report.errors[0].message


# --- Other forms of files ---


def test_a_zip_of_csv_files_and_a_csv_file_under_another_name_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as package:
        package.writestr("export/prices (1).csv", "sku,price\nA,1\n")
        package.writestr("__MACOSX/._prices.csv", "x")
    (tmp_path / "mine.csv").write_text("sku,price\nB,2\n")
    (tmp_path / "other.csv").write_text("colour\nred\n")
    assert [row.values[0] for row in read(tmp_path / "both.zip")[0]] == ["A"]
    assert [row.values[0] for row in read(tmp_path / "mine.csv")[0]] == ["B"]
    assert "unknown table" in str(read(tmp_path / "other.csv")[1].errors[0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04 and nothing else", "damaged, or no workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old spreadsheet, or protected"),
        (b"\xff\xfes\0k\0u\0", "is UTF-16"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_what_to_do(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "upload").write_bytes(content)
    rows, report = read(tmp_path / "upload")
    assert rows == []
    assert says in str(report.errors[0])


# --- Hostile files ---

HEADER = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>sku</t></is></c><c r="B1" t="inlineStr"><is><t>price</t></is></c></row>'
)
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)
DOCTYPE = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def crafted(
    tmp_path: Path, rows: str, *, prolog: str = "", part: str = "sheet1.xml", more: dict[str, bytes] | None = None
) -> Path:
    """A workbook that no spreadsheet would write."""
    good = written(Sheet(name="prices", columns=["sku"], rows=[]))
    path = tmp_path / "crafted.xlsx"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for entry in source.namelist():
            if entry.endswith(part):
                package.writestr(entry, prolog + (SHEET.format(rows) if part == "sheet1.xml" else rows))
            else:
                package.writestr(entry, source.read(entry))
        for name, content in (more or {}).items():
            package.writestr(name, content)
    return path


@pytest.mark.parametrize("part", ["sheet1.xml", "workbook.xml", "styles.xml", ".rels"])
def test_entities_are_refused_before_one_is_expanded(tmp_path: Path, part: str) -> None:
    rows = HEADER + '<row r="2"><c r="A2" t="inlineStr"><is><t>&b;</t></is></c></row>'
    _, report = read(crafted(tmp_path, rows if part == "sheet1.xml" else "<x>&b;</x>", prolog=DOCTYPE, part=part))
    assert "declares a document type" in str(report.errors[0])


def test_a_zip_bomb_is_refused_by_what_it_would_unfold_to(tmp_path: Path) -> None:
    path = crafted(tmp_path, HEADER, more={"bomb": b"\0" * 20_000_000})
    assert path.stat().st_size < 100_000
    _, report = read(path)
    assert "unfolds from" in str(report.errors[0])
    _, report = read(path, limits=Limits(unfolded=10_000_000, ratio=10_000))
    assert "unfolds from" in str(report.errors[0])


def test_what_lies_about_its_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    path = crafted(tmp_path, HEADER + " " * 5_000_000)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as package:
        size = package.getinfo("xl/worksheets/sheet1.xml").file_size
    path.write_bytes(raw.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    rows, report = read(path)
    assert rows == []
    assert "damaged" in str(report.errors[0])


def test_too_many_parts_are_refused(tmp_path: Path) -> None:
    _, report = read(crafted(tmp_path, HEADER, more={f"x{n}": b"" for n in range(50)}), limits=Limits(entries=20))
    assert "more than the 20 allowed" in str(report.errors[0])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ('<row r="3"/><row r="2"/>', "rows of the sheet are in disorder"),
        ('<row r="2"><c r="B2"><v>1</v></c><c r="A2"><v>1</v></c></row>', "cells of the row are in disorder"),
        ('<row r="2"><c r="XFD2"><v>1</v></c></row>', "beyond column 500"),
        ('<row r="2"><c r="?2"><v>1</v></c></row>', "has no place"),
        ('<row r="2"><c r="A2" t="s"><v>7</v></c></row>', "has no text"),
        ('<row r="2"><c r="A2" t="s"><v>-1</v></c></row>', "has no text"),
        (f'<row r="2"><c r="A2" t="str"><v>{"x" * (MAX_CELL + 1)}</v></c></row>', "more than 32,767 characters"),
        ('<row r="2"><c r="A2"><v>1</v>', "the file is damaged"),
        ('<row r="2"><c r="A2" t="str"><v>A</v></c><c r="B2"><v>NaN</v></c></row>', "is no number"),
        ('<row r="2"><c r="A2" t="str"><v>A</v></c><c r="B2"><v>1e400</v></c></row>', "is no number"),
        ('<row r="2"><c r="A2" t="str"><v>a_x0000_b</v></c></row>', "must be 1 to 64 characters"),
    ],
)
def test_a_sheet_that_no_spreadsheet_writes_is_refused_in_words(tmp_path: Path, rows: str, says: str) -> None:
    _, report = read(crafted(tmp_path, HEADER + rows))
    assert says in str(report.errors[0])


def test_a_workbook_without_its_parts_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bare.xlsx", "w") as package:
        package.writestr("xl/nothing.xml", "<x/>")
    with pytest.raises(Unreadable, match="no workbook"):
        Workbook(tmp_path / "bare.xlsx")


# --- Writing ---

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(rows=st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=8))
def test_what_is_written_is_read_back_here_and_elsewhere(rows: list[list[str]]) -> None:
    stream = written(Sheet(name="prices", columns=["a", "b", "c"], rows=rows))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "law.xlsx"
        path.write_bytes(stream.getvalue())
        book = Workbook(path)
        guarded = [[plain(cell) for cell in row] for row in rows]
        wanted = [row for row in (_stripped(each) for each in guarded) if row]
        assert [_stripped(list(cells)) for _, cells in book.cells("prices")][1:] == wanted
        book.close()


def plain(value: str) -> str:
    """As it stands in the file: led by an apostrophe where it begins like a formula."""
    return "'" + value if value.lstrip("'")[:1] in {"=", "+", "-", "@", "\t", "\r"} and value.lstrip("'") else value


def _stripped(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def test_another_spreadsheet_sees_texts_and_a_frozen_header_and_no_formula() -> None:
    rows: list[list[object]] = [
        ["=HYPERLINK(1)", Decimal("1E-7"), True],
        ["@SUM(1)", Decimal("-12.50"), None],
        ["00123", "1E5", "_x0041_"],
    ]
    book = openpyxl.load_workbook(written(Sheet(name="prices", columns=["a", "b", "c"], rows=rows)))
    sheet = book["prices"]
    assert sheet.freeze_panes == "A2"
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [
        ["a", "b", "c"],
        ["'=HYPERLINK(1)", "0.0000001", "yes"],
        ["'@SUM(1)", "-12.50", None],
        ["00123", "1E5", "_x005F_x0041_"],  # openpyxl shows the escape of ECMA-376, 22.9.2.19, as it is
    ]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value} == {"s"}
    assert {cell.number_format for row in sheet.iter_rows() for cell in row if cell.value} == {"@"}
    assert sheet.column_dimensions["A"].width == 16


def test_rows_beyond_what_a_sheet_holds_go_on_in_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("kernel.xlsx_write.MAX_ROWS", 4)
    stream = written(Sheet(name="prices", columns=["sku"], rows=[[f"S{n}"] for n in range(7)]))
    (tmp_path / "many.xlsx").write_bytes(stream.getvalue())
    assert openpyxl.load_workbook(stream).sheetnames == ["prices", "prices 2", "prices 3"]
    rows, report = read(tmp_path / "many.xlsx")
    assert report.errors == []
    assert [row.values[0] for row in rows] == [f"S{n}" for n in range(7)]


def test_a_value_too_long_for_a_spreadsheet_is_refused_by_its_place() -> None:
    with pytest.raises(CellTooLong, match=r"prices!B2 holds 32,768 characters"):
        written(Sheet(name="prices", columns=["a", "b"], rows=[["x", "y" * (MAX_CELL + 1)]]))


def test_columns_have_the_letters_that_spreadsheets_show() -> None:
    assert [letters_of(at) for at in (0, 25, 26, 701, 702, 16383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
