from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.csv_rows import (
    MAX_LINE_BYTES,
    CellError,
    Column,
    ImportReport,
    Parser,
    Row,
    choice,
    code,
    currency,
    decimal,
    instant,
    many,
    read_rows,
    text,
    whole,
    write_rows,
    yes_no,
)

COLUMNS = (
    Column("sku", code),
    Column("unit", code, optional=True, empty="each"),
    Column("factor", decimal(2, above=Decimal(0))),
)


def read(tmp_path: Path, content: str | bytes, *, key: tuple[str, ...] = ()) -> tuple[list[Row], ImportReport]:
    path = tmp_path / "units.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = ImportReport()
    return list(read_rows(path, COLUMNS, report, key=key)), report


def said(report: ImportReport) -> list[str]:
    return [str(error) for error in report.errors]


def test_rows_come_in_the_order_of_the_columns_asked_for_with_the_line_they_start_on(tmp_path: Path) -> None:
    rows, report = read(tmp_path, 'factor,sku\n100,"BOLT"\n\n  2.50 , REEL \n')

    assert rows == [
        Row(2, ("BOLT", "each", Decimal(100)), whole=True),
        Row(4, ("REEL", "each", Decimal("2.50")), whole=True),
    ]
    assert report.ok


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfsku,unit,factor\nBOLT,box,100\n",
        b"sku,unit,factor\r\nBOLT,box,100\r\n",
        b"sku,unit,factor\nBOLT,box,100",
        b"sku,unit,factor,,\nBOLT,box,100,,\n",
        b"sku,unit,factor\n,,\nBOLT,box,100\n",
    ],
    ids=["byte-order mark", "windows line ends", "no last line end", "empty columns at the end", "a row of nothing"],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, content: bytes) -> None:
    rows, report = read(tmp_path, content)

    assert [row.values for row in rows] == [("BOLT", "box", Decimal(100))]
    assert report.ok
    assert report.notes == []


def test_a_file_separated_by_semicolons_is_read_and_said_to_be(tmp_path: Path) -> None:
    rows, report = read(tmp_path, "sku;unit;factor\nBOLT;box;100\nREEL;;1,5\n")

    assert [row.values for row in rows] == [("BOLT", "box", Decimal(100))]
    assert report.notes == ["units.csv is separated by semicolons and was read so; decimals still take a point."]
    assert said(report) == [
        (
            "units.csv:3: factor: must be a plain number such as 1234.5: decimal point, no thousands separator, "
            "no exponent (found '1,5')"
        )
    ]


def test_a_row_says_everything_that_is_wrong_with_it_and_the_next_row_is_read(tmp_path: Path) -> None:
    rows, report = read(tmp_path, "sku,unit,factor\nBO LT,box,0\n,box,1.234\nGOOD,box,1\n")

    assert [row.line for row in rows] == [4]
    assert said(report) == [
        "units.csv:2: sku: must be 1 to 64 characters out of A-Z a-z 0-9 . _ / + - (found 'BO LT')",
        "units.csv:2: factor: must be greater than 0 (found '0')",
        "units.csv:3: sku: must not be empty",
        "units.csv:3: factor: may have up to 2 decimals (found '1.234')",
    ]
    assert report.errors_total == 4
    assert not report.ok


def test_a_wrong_row_whose_key_is_right_is_given_so_that_references_to_it_hold(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "sku,unit,factor\nBOLT,box,nothing\n!!,box,1\n", key=("sku", "unit"))

    assert rows == [Row(2, ("BOLT", "box", None), whole=False)]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("sku,unit,faktor", "units.csv:1: faktor: unknown column; did you mean factor?"),
        ("sku,unit,factor,zzz", "units.csv:1: zzz: unknown column; known columns: sku, unit, factor"),
        ("sku,unit", "units.csv:1: factor: the column is missing"),
        ("sku,unit,factor,sku", "units.csv:1: sku: the column is there twice; keep one"),
        ("sku\tunit\tfactor", "units.csv:1: the file is separated by tabs; save it separated by commas"),
        ("", "units.csv:1: the first line must hold the column names, and it is empty"),
    ],
)
def test_a_wrong_header_is_refused_before_any_row(tmp_path: Path, header: str, message: str) -> None:
    rows, report = read(tmp_path, f"{header}\nBOLT,box,1\n")

    assert rows == []
    assert said(report)[0].startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sku,factor\nA,1\nB\x00,1\n", "units.csv:3: the line holds a NUL byte"),
        (b"sku,factor\nA,1\nFij\xf3n,1\n", "units.csv:3: byte 4 of the line is not UTF-8; save it as UTF-8"),
        ("sku,factor\nA,1\n".encode("utf-16"), "units.csv:1: the file is UTF-16; save it as UTF-8"),
        (b"PK\x03\x04whatever", "units.csv:1: this is a spreadsheet, not a CSV file"),
        (b'sku,factor\n"A,1\nB,2\n', "units.csv:2: a double quote opened in this row is never closed"),
        (b'sku,factor\n"A"x,1\nB,2\n', "units.csv:2: double quotes must surround a whole value"),
        (b"sku,factor\rA,1\rB,2\r", "units.csv:1: the line ends are those of old Macintosh files"),
        (b"sku,factor\n" + b"A" * (MAX_LINE_BYTES + 1), "units.csv:2: the line is longer than 262,144 bytes"),
        (b"sku,factor\n" + b"A" * 200_000 + b",1\n", "units.csv:2: a value is too long"),
    ],
)
def test_what_is_no_csv_text_is_refused_with_its_line_and_the_rest_left_unread(
    tmp_path: Path, content: bytes, message: str
) -> None:
    _, report = read(tmp_path, content)

    assert len(report.errors) == 1
    assert said(report)[0].startswith(message)
    assert "the rest of the file was not read" in said(report)[0]


def test_a_row_with_too_many_or_too_few_values_says_how_many(tmp_path: Path) -> None:
    rows, report = read(tmp_path, "sku,unit,factor\nA,box,1,5\nB,box\nC,box,1,\n")

    assert [row.values[0] for row in rows] == ["C"]
    assert said(report) == [
        "units.csv:2: the row has 4 values, the header has 3; a value that holds the separator needs double quotes",
        "units.csv:3: the row has 2 values, the header has 3; add the missing ones",
    ]


def test_a_value_over_several_lines_does_not_shift_the_line_of_the_next_row(tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text('note,n\n"one\ntwo",1\nthree,x\n')
    report = ImportReport()

    rows = list(read_rows(path, (Column("note", text(20, lines=True)), Column("n", whole)), report))

    assert rows == [Row(2, ("one\ntwo", 1), whole=True)]
    assert said(report) == ["notes.csv:4: n: must be a whole number such as 10 (found 'x')"]


def test_a_file_beyond_the_cap_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_text("sku,factor\n")
    report = ImportReport()

    assert list(read_rows(path, COLUMNS, report, max_bytes=5)) == []
    assert said(report) == ["units.csv:0: the file has 11 bytes, more than the 5 allowed; split it"]


def test_errors_beyond_the_cap_are_counted_only(tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_text("sku,factor\n" + "A,no\n" * 30)
    report = ImportReport(max_errors=10)

    list(read_rows(path, COLUMNS, report))

    assert len(report.errors) == 10
    assert report.errors_total == 30


def test_a_long_wrong_value_is_cut_in_the_message(tmp_path: Path) -> None:
    _, report = read(tmp_path, f"sku,factor\n{'?' * 500},1\n")

    assert report.errors[0].value == "?" * 60 + "..."


@pytest.mark.parametrize(
    ("parse", "cell", "value"),
    [
        (decimal(12), "-0.000000000001", Decimal("-0.000000000001")),
        (decimal(2), "1.5000", Decimal("1.5000")),
        (decimal(6, most=Decimal(10)), "10", Decimal(10)),
        (decimal(6, least=Decimal(0)), "0", Decimal(0)),
        (whole, "-12", -12),
        (yes_no, "no", False),
        (currency, "EUR", "EUR"),
        (choice("flat", "volume"), "volume", "volume"),
        (code, "HB/8.8_M8+X-1", "HB/8.8_M8+X-1"),
        (many(code), "A; B ;", ("A", "B")),
        (instant, "2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
        (instant, "2026-12-01T08:00:00Z", datetime(2026, 12, 1, 8, tzinfo=UTC)),
        (instant, "2026-12-01T08:00:00.5+01:00", datetime(2026, 12, 1, 7, 0, 0, 500_000, tzinfo=UTC)),
        (instant, "2026-12-01T08:00-03:30", datetime(2026, 12, 1, 11, 30, tzinfo=UTC)),
        (text(20, lines=True), "a\r\nb", "a\nb"),
    ],
)
def test_a_cell_is_read(parse: Parser, cell: str, value: object) -> None:
    read_value: Any = parse(cell)

    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize(
    ("parse", "cell"),
    [
        (decimal(2), "NaN"),
        (decimal(2), "Infinity"),
        (decimal(2), "1e3"),
        (decimal(2), "+1"),
        (decimal(2), ".5"),
        (decimal(2), "5."),
        (decimal(2), "1 000"),
        (decimal(2), "1.001"),
        (decimal(2), "\N{ARABIC-INDIC DIGIT ONE}"),
        (decimal(2), "1" + "0" * 30),
        (decimal(2, least=Decimal(0)), "-0.01"),
        (decimal(2, most=Decimal(10)), "10.01"),
        (whole, "1.0"),
        (whole, "9" * 40),
        (yes_no, "Yes"),
        (currency, "EURO"),
        (currency, "XXX"),
        (choice("flat", "volume"), "tiered"),
        (code, "A" * 65),
        (code, "Ñ"),
        (code, "A\n"),
        (many(code), "A;A"),
        (many(code, most=2), "A;B;C"),
        (instant, "2026-13-01"),
        (instant, "2026-12-01T08:00:00"),
        (instant, "2026-12-01T25:00:00Z"),
        (instant, "01/12/2026"),
        (instant, "0001-01-01T00:00:00+14:00"),
        (instant, "20261201"),
        (text(5), "123456"),
        (text(5), "a\nb"),
        (text(5, lines=True), "\x07"),
    ],
)
def test_a_cell_is_refused_with_advice(parse: Parser, cell: str) -> None:
    with pytest.raises(CellError, match=r"\w+ \w+"):
        parse(cell)


def test_written_cells_are_no_formulas_and_numbers_stay_numbers() -> None:
    written = "".join(
        write_rows(("a", "b"), [("=1+1", Decimal("-1.50")), ("@SUM(A1)", None), ("-x", True), ("'=x", Decimal("1E+3"))])
    )

    assert written == "a,b\r\n'=1+1,-1.50\r\n'@SUM(A1),\r\n'-x,yes\r\n''=x,1000\r\n"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(str.strip).filter(bool), min_size=1))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "texts.csv"
    path.write_text("".join(write_rows(("name", "n"), [(value, 1) for value in values])), encoding="utf-8", newline="")
    report = ImportReport()

    rows = list(read_rows(path, (Column("name", text(10_000)), Column("n", whole)), report))

    assert said(report) == []
    assert [row.values[0] for row in rows] == values


@given(st.binary(max_size=300))
def test_no_file_makes_the_reader_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("csv") / "units.csv"
    path.write_bytes(b"sku,unit,factor\n" + content)
    report = ImportReport()

    rows = list(read_rows(path, COLUMNS, report))

    assert all(row.whole for row in rows)
