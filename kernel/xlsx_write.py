"""Workbooks (XLSX, ECMA-376) for outside: every cell a text, written as it comes, in the memory of one row.

A spreadsheet shows such cells as they stand, reinterprets none of them (no date of 1-2, no 1E5 of a code, no rounded
price), and keeps what is typed into these columns as text too. Texts that begin like a formula are led by an
apostrophe, as in CSV files: whoever saves a sheet as CSV would make formulas of them otherwise.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from kernel.csv_rows import letters_of, written
from kernel.errors import Refused

MAX_ROWS: Final = 1_048_576
"""Of a sheet; what is more goes on in a sheet of the same name and a number."""
MAX_CELL: Final = 32_767
MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_COMPRESSION: Final = 5
_LINES_AT_ONCE: Final = 500
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
"""What XML cannot hold, and what would be read as the escape for it."""


class CellTooLong(Refused):
    problem = "sheet-cell-too-long"
    title = "A value is too long for a spreadsheet"


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """*name*: up to 28 characters. *widths*: of the columns, in characters; the first row is frozen as a header unless
    it is *prose*, which wraps.
    """

    name: str
    columns: Sequence[str]
    rows: Iterable[Sequence[object]]
    widths: Sequence[int] = ()
    prose: bool = False


def write_workbook(stream: BinaryIO, sheets: Iterable[Sheet]) -> None:
    """Write the sheets one after the other; *stream* need not be seekable.

    :raises CellTooLong: naming the cell, when a spreadsheet could not hold it
    """
    names: list[str] = []
    with ZipFile(stream, "w", ZIP_DEFLATED, compresslevel=_COMPRESSION) as package:
        for sheet in sheets:
            rows = iter(sheet.rows)
            part = 1
            more = True
            while more:
                names.append(sheet.name if part == 1 else f"{sheet.name} {part}")
                more = _write_sheet(package, f"xl/worksheets/sheet{len(names)}.xml", names[-1], sheet, rows)
                part += 1
        for name, text in _package_parts(names):
            package.writestr(name, _XML + text)


def _write_sheet(package: ZipFile, path: str, name: str, sheet: Sheet, rows: Iterator[Sequence[object]]) -> bool:
    """Write the next rows, as many as a sheet holds. Returns whether it is full."""
    with package.open(path, "w", force_zip64=True) as part:
        part.write((_XML + "".join(_opening(sheet))).encode())
        style = 3 if sheet.prose else 1
        lines = [_row(name, 1, sheet.columns, 2)]
        line = 1
        for values in rows:
            line += 1
            lines.append(_row(name, line, values, style))
            if len(lines) == _LINES_AT_ONCE:
                part.write("".join(lines).encode())
                lines.clear()
            if line == MAX_ROWS:
                break
        last = f"{letters_of(max(len(sheet.columns), 1) - 1)}{MAX_ROWS}"
        lines.append(
            "</sheetData>"
            f'<ignoredErrors><ignoredError sqref="A1:{last}" numberStoredAsText="1"/></ignoredErrors></worksheet>'
        )
        part.write("".join(lines).encode())
    return line == MAX_ROWS


def _opening(sheet: Sheet) -> Iterator[str]:
    yield f'<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    if not sheet.prose:
        yield '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    yield '</sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/><cols>'
    for at in range(max(len(sheet.columns), 1)):
        width = sheet.widths[at] if at < len(sheet.widths) else 16
        style = 3 if sheet.prose else 1
        yield f'<col min="{at + 1}" max="{at + 1}" width="{width}" style="{style}" customWidth="1"/>'
    yield "</cols><sheetData>"


def _row(sheet: str, line: int, values: Sequence[object], style: int) -> str:
    cells = [f'<row r="{line}">']
    for at, value in enumerate(values):
        text = written(value)
        if text:
            if len(text) > MAX_CELL:
                raise CellTooLong(
                    f"{sheet}!{letters_of(at)}{line} holds {len(text):,} characters; a spreadsheet takes {MAX_CELL:,}. "
                    "Export as CSV instead.",
                    cell=f"{sheet}!{letters_of(at)}{line}",
                )
            cells.append(
                f'<c r="{letters_of(at)}{line}" s="{style}" t="inlineStr"><is><t xml:space="preserve">'
                f"{_escaped(text)}</t></is></c>"
            )
    cells.append("</row>")
    return "".join(cells)


def _escaped(text: str) -> str:
    if text.isalnum():  # codes and plain numbers, most of all
        return text
    return escape(_UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", text))


def _package_parts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    numbered = list(enumerate(names, 1))
    sheets = "".join(f'<sheet name="{escape(name)}" sheetId="{at}" r:id="rId{at}"/>' for at, name in numbered)
    parts = "".join(_relation(f"rId{at}", "worksheet", f"worksheets/sheet{at}.xml") for at, _ in numbered)
    parts += _relation(f"rId{len(names) + 1}", "styles", "styles.xml")
    kinds = "".join(_kind(f"xl/worksheets/sheet{at}.xml", "worksheet") for at, _ in numbered)
    kinds += _kind("xl/workbook.xml", "sheet.main") + _kind("xl/styles.xml", "styles")
    defaults = '<Default Extension="xml" ContentType="application/xml"/>'
    defaults += f'<Default Extension="rels" ContentType="{_RELATIONSHIPS}"/>'
    main = f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
    yield "xl/workbook.xml", f"{main}<sheets>{sheets}</sheets></workbook>"
    yield "xl/_rels/workbook.xml.rels", _relations(parts)
    yield "xl/styles.xml", _STYLES
    yield "[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types">{defaults}{kinds}</Types>'
    yield "_rels/.rels", _relations(_relation("rId1", "officeDocument", "xl/workbook.xml"))


def _relations(parts: str) -> str:
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{parts}</Relationships>'


def _relation(number: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'


def _kind(part: str, kind: str) -> str:
    return f'<Override PartName="/{part}" ContentType="{_SPREADSHEET}.{kind}+xml"/>'


_RELATIONSHIPS: Final = "application/vnd.openxmlformats-package.relationships+xml"
_SPREADSHEET: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_STYLES: Final = (
    f'<styleSheet xmlns="{_MAIN}">'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '<fill><patternFill patternType="solid"><fgColor rgb="FFE8EEF4"/></patternFill></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="1" fillId="2" borderId="0" xfId="0" applyNumberFormat="1" applyFont="1" applyFill="1"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" applyAlignment="1">'
    '<alignment vertical="top" wrapText="1"/></xf></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
"""Cells: 0 plain, 1 text, 2 header, 3 text that wraps."""
