"""Tables from outside, row by row, and CSV files for outside.

`read_rows` streams a CSV file and turns each row into checked values; `read_table` does so with the cells of any table
(`kernel.xlsx_read` has those of workbooks). What is wrong is added to an `ImportReport` with its file, line, column,
value and what to do, and reading goes on, so that one run reports everything. `write_rows` writes what `read_rows`
reads back, in a form no spreadsheet takes for a formula.
"""

import csv
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import msgspec

from kernel.money import currencies

MAX_ERRORS: Final = 1_000
MAX_FILE_BYTES: Final = 512 * 1024 * 1024
MAX_LINE_BYTES: Final = 256 * 1024
MAX_SHOWN: Final = 60

_SAVE_AS: Final = "save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
_NO_HEADER: Final = "the first line must hold the column names, and it is empty"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_CODE: Final = re.compile(r"[A-Za-z0-9._/+-]{1,64}")
_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,30}))?")
_CURRENCIES: Final = frozenset(currencies())
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?P<offset>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_LEADS_TO_FORMULA: Final = frozenset("'=+-@\t\r")
_ESCAPED_FORMULA: Final = re.compile(r"''*[=+\-@\t\r]")


Params = dict[str, str | int]


class Said(str):
    """An English sentence that can be said in other languages: *parts* are its texts, with `{names}` for what stands in
    them, joined by semicolons. A sentence without names needs none of this: it is its own text.
    """

    __slots__ = ("parts",)

    parts: tuple[tuple[str, Params], ...]

    def __new__(cls, parts: tuple[tuple[str, Params], ...]) -> Self:
        made = super().__new__(cls, "; ".join(filled(text, params, "{:,}".format) for text, params in parts))
        made.parts = parts
        return made


def said(text: str, /, **params: str | int) -> Said:
    """*text* with *params* for its names; whole numbers get separators as the reader's language has them."""
    return Said(((text, params),))


def joined(*sentences: str) -> Said:
    """Several sentences as one."""
    return Said(tuple(part for sentence in sentences for part in parts_of(sentence)))


def parts_of(sentence: str) -> tuple[tuple[str, Params], ...]:
    return sentence.parts if isinstance(sentence, Said) else ((sentence, {}),)


def filled(text: str, params: Params, number: Callable[[int], str]) -> str:
    """*text* with *params* in it, whole numbers as *number* writes them."""
    if not params:
        return text
    return text.format(**{name: number(value) if isinstance(value, int) else value for name, value in params.items()})


class RowError(msgspec.Struct, frozen=True):
    """What is wrong in one place. *line* is the line of the file the row starts on, the header being line 1; *column*
    is empty where the row or the file as a whole is meant; *value* is cut to what fits a message; *cell* is where a
    spreadsheet shows it, such as `C5`, empty for other files; *parts* are those of *message*: see `Said`.
    """

    file: str
    line: int
    column: str
    value: str
    message: str
    cell: str = ""
    parts: tuple[tuple[str, Params], ...] = ()

    def __str__(self) -> str:
        column = f"{self.column}: " if self.column else ""
        value = f" (found {self.value!r})" if self.value else ""
        return f"{self.file}:{self.cell or self.line}: {column}{self.message}{value}"


class FileCount(msgspec.Struct, frozen=True):
    """Rows of a file, and what they did."""

    rows: int
    added: int
    changed: int
    unchanged: int


class ImportReport:
    """What an import found and did. With one error nothing is kept: who opened the transaction rolls it back."""

    def __init__(self, *, max_errors: int = MAX_ERRORS, progress: Callable[[str, int], None] | None = None) -> None:
        """:param progress: called now and then with a file's name and how many of its rows were read"""
        self.progress = progress or (lambda _file, _rows: None)
        self.errors: list[RowError] = []
        self.errors_total = 0
        self.notes: list[str] = []
        self.counts: dict[str, FileCount] = {}
        self.letters: dict[str, dict[str, str]] = {}
        """Of each sheet of a workbook: the letters that a spreadsheet shows above a column."""
        self.most = max_errors
        """So many errors are kept; the rest is counted."""
        self._files: list[str] = []

    @property
    def ok(self) -> bool:
        return self.errors_total == 0

    def refuse(self, file: str, line: int, column: str, value: object, message: str) -> None:
        """Add an error; beyond the cap it is only counted."""
        self.errors_total += 1
        if len(self.errors) < self.most:
            letters = self.letters.get(file, {}).get(column, "")
            cell = f"{letters}{line}" if letters and line else ""
            self.errors.append(RowError(file, line, column, _shown(value), str(message), cell, parts_of(message)))

    def sort(self) -> None:
        """Order the errors by file, as they were read, and line."""
        place = {file: at for at, file in enumerate(self._files)}
        self.errors.sort(key=lambda error: (place.get(error.file, len(place)), error.line))

    def reading(self, file: str) -> None:
        """Note that *file* is read now."""
        self._files.append(file)


class CellError(ValueError):
    """Says what a cell should hold; raised by parsers."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


Parser = Callable[[str], Any]


class Column(msgspec.Struct, frozen=True):
    """A column of a file. An *optional* one may be left out or empty and then means *empty*."""

    name: str
    parse: Parser
    optional: bool = False
    empty: Any = None


class Row(msgspec.Struct, frozen=True):
    """A row's *line* in the file and its values in the order of the columns asked for.

    In a row that is not *whole* some values were refused and stand as None; it is there so that references to its key
    are not reported as unknown as well.
    """

    line: int
    values: tuple[Any, ...]
    whole: bool


class OddCell(str):
    """The text of a cell that a spreadsheet holds as something else: a date, a truth value, an error. Columns of other
    parsers than those of *fits* refuse it as *shown*, and say what to do: *advice*.
    """

    __slots__ = ("advice", "fits", "shown")

    shown: str
    advice: str
    fits: frozenset[Parser]

    def __new__(cls, text: str, *, shown: str, advice: str, fits: frozenset[Parser] = frozenset()) -> Self:
        made = super().__new__(cls, text)
        made.shown, made.advice, made.fits = shown, advice, fits
        return made


Cells = tuple[int, Sequence[str]]
"""A line's number and what stands in it."""


class Unreadable(Exception):
    """The file is not the table it should be from *line* on. The message says what to do."""

    def __init__(self, message: str, *, line: int = 0, value: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.value = value


def read_rows(
    path: Path,
    columns: Sequence[Column],
    report: ImportReport,
    *,
    key: Collection[str] = (),
    max_bytes: int = MAX_FILE_BYTES,
) -> Iterator[Row]:
    """Yield the rows of *path*, reporting what is wrong with the others.

    UTF-8 with or without a byte-order mark, any line ends, comma-separated; a file whose header is separated by
    semicolons, as spreadsheets write it where the comma is the decimal sign, is read by semicolons, and the report
    says so. A row with errors is yielded, not `whole`, when all of its *key* columns are right, and left out otherwise.
    """
    file = path.name
    size = path.stat().st_size
    if size > max_bytes:
        report.reading(file)
        large = said("the file has {size} bytes, more than the {most} allowed; split it", size=size, most=max_bytes)
        report.refuse(file, 0, "", "", large)
        return
    with path.open("rb") as stream:
        yield from read_table(file, csv_cells(file, stream, report), columns, report, key=key)


def read_table(
    file: str,
    cells: Iterator[Cells],
    columns: Sequence[Column],
    report: ImportReport,
    *,
    key: Collection[str] = (),
    sheet: bool = False,
) -> Iterator[Row]:
    """Do as `read_rows` with the lines of a table, the first of which is the header. *sheet*: it is one of a workbook,
    whose cells have letters, and whose rows end with their last value.
    """
    report.reading(file)
    try:
        header_line, header = _header(cells)
        if sheet:
            report.letters[file] = {name.strip(): letters_of(at) for at, name in enumerate(header)}
        order = _columns(file, header_line, header, columns, report)
        if order is None:
            return
        width, keys = order[-1] or 0, frozenset(key)
        for line, values in cells:
            if any(cell.strip() for cell in values):
                padded = [*values, *[""] * (width - len(values))] if sheet and len(values) < width else values
                row = _row(file, line, padded, columns, order, report, keys)
                if row is not None:
                    yield row
    except Unreadable as error:
        message = joined(error.message, "the rest of the file was not read")
        report.refuse(file, error.line, "", error.value, message)


def _header(cells: Iterator[Cells]) -> Cells:
    line, header = next(cells, (1, ()))
    if not any(name.strip() for name in header):
        raise Unreadable(_NO_HEADER, line=line)
    return line, header


def letters_of(at: int) -> str:
    """What a spreadsheet writes above its column number *at*, counted from 0."""
    letters = ""
    at += 1
    while at:
        at, letter = divmod(at - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def csv_cells(file: str, stream: BinaryIO, report: ImportReport) -> Iterator[Cells]:
    """The lines of a CSV file, the header first.

    :raises Unreadable: while they are read, from where on it is none
    """
    lines = _Lines(stream)
    header = lines.header()
    delimiter = ";" if ";" in header and "," not in header else ","
    if delimiter == ";":
        report.notes.append(f"{file} is separated by semicolons and was read so; decimals still take a point.")
    reader = csv.reader(lines.rest(header), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = lines.line + 1
    except csv.Error as error:
        raise Unreadable(_csv_advice(str(error)), line=line) from None


class _Lines:
    """Decoded lines of a stream. *line* is the number of the last one given.

    :raises Unreadable: at the first line that is no text
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.line = 0
        self._stream = stream

    def header(self) -> str:
        raw = self._stream.readline(MAX_LINE_BYTES + 1)
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unreadable(joined("the file is UTF-16", _SAVE_AS), line=1)
        if raw.startswith(b"PK\x03\x04"):
            raise Unreadable(joined("this is a spreadsheet, not a CSV file", _SAVE_AS), line=1)
        header = _decode(raw.removeprefix(_BYTE_ORDER_MARK), 1)
        if not header.strip():
            raise Unreadable(_NO_HEADER, line=1)
        if "\t" in header and "," not in header:
            raise Unreadable("the file is separated by tabs; save it separated by commas", line=1)
        return header

    def rest(self, header: str) -> Iterator[str]:
        self.line = 1
        yield header
        while raw := self._stream.readline(MAX_LINE_BYTES + 1):
            line = _decode(raw, self.line + 1)
            self.line += 1
            yield line


def _decode(raw: bytes, line: int) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise Unreadable(said("the line is longer than {most} bytes", most=MAX_LINE_BYTES), line=line)
    if b"\0" in raw:
        raise Unreadable("the line holds a NUL byte, so this is no text file", line=line)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        message = joined(said("byte {number} of the line is not UTF-8", number=error.start + 1), _SAVE_AS)
        raise Unreadable(message, line=line, value=f"0x{raw[error.start]:02x}") from None


def _columns(
    file: str, line: int, header: Sequence[str], columns: Sequence[Column], report: ImportReport
) -> tuple[int | None, ...] | None:
    """Where each of *columns* stands in the file; the last element is the number of cells of a row."""
    names = [name.strip() for name in header]
    while names and not names[-1]:  # a spreadsheet's empty columns at the end
        names.pop()
    known = {column.name for column in columns}
    before = report.errors_total
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = (
                said("did you mean {name}?", name=near[0])
                if near
                else said("known columns: {names}", names=", ".join(column.name for column in columns))
            )
            report.refuse(file, line, name, "", joined("unknown column", hint))
    for name in dict.fromkeys(name for name in names if name in known and names.count(name) > 1):
        report.refuse(file, line, name, "", "the column is there twice; keep one")
    for column in columns:
        if not column.optional and column.name not in names:
            report.refuse(file, line, column.name, "", "the column is missing")
    if report.errors_total > before:
        return None
    return (*(names.index(c.name) if c.name in names else None for c in columns), len(names))


def _row(
    file: str,
    line: int,
    cells: Sequence[str],
    columns: Sequence[Column],
    order: Sequence[int | None],
    report: ImportReport,
    key: frozenset[str],
) -> Row | None:
    width = order[-1]
    assert width is not None
    if len(cells) != width and (len(cells) < width or any(cell.strip() for cell in cells[width:])):
        advice = "add the missing ones"
        if len(cells) > width:
            sheet = file in report.letters
            advice = "delete the others" if sheet else "a value that holds the separator needs double quotes"
        wrong = said("the row has {count} values, the header has {width}", count=len(cells), width=width)
        report.refuse(file, line, "", "", joined(wrong, advice))
        return None
    values: list[Any] = []
    whole = keyed = True
    for column, place in zip(columns, order, strict=False):
        found = "" if place is None else cells[place]
        cell = found.strip()
        try:
            if isinstance(found, OddCell) and column.parse not in found.fits:
                report.refuse(file, line, column.name, found.shown, found.advice)
            elif cell:
                values.append(column.parse(cell[1:] if _ESCAPED_FORMULA.match(cell) else cell))
                continue
            elif column.optional:
                values.append(column.empty)
                continue
            else:
                report.refuse(file, line, column.name, "", "must not be empty")
        except CellError as error:
            report.refuse(file, line, column.name, cell, error.message)
        values.append(None)
        whole = False
        keyed = keyed and column.name not in key
    return Row(line, tuple(values), whole) if whole or (keyed and key) else None


def _csv_advice(error: str) -> str:
    if "unexpected end of data" in error:
        return "a double quote opened in this row is never closed"
    if "field larger" in error:
        return "a value is too long, or a double quote opened in this row is never closed"
    if "new-line character" in error:
        return "the line ends are those of old Macintosh files; save the file with Unix or Windows line ends"
    return "double quotes must surround a whole value, and be doubled inside it"


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


# --- what a cell may hold ---


def text(max_length: int, *, lines: bool = False) -> Parser:
    """Plain text of up to *max_length* characters; with *lines* it may hold line ends."""

    def parse(cell: str) -> str:
        if len(cell) > max_length:
            raise CellError(
                said(
                    "has {length} characters, more than the {most} allowed; shorten it",
                    length=len(cell),
                    most=max_length,
                )
            )
        if _CONTROL.search(cell) or (not lines and ("\n" in cell or "\r" in cell)):
            raise CellError(
                "must hold no control characters" if lines else "must be one line without control characters"
            )
        return cell.replace("\r\n", "\n")

    return parse


def code(cell: str) -> str:
    """A code: 1 to 64 of `A-Z a-z 0-9 . _ / + -`."""
    if not _CODE.fullmatch(cell):
        raise CellError("must be 1 to 64 characters out of A-Z a-z 0-9 . _ / + -")
    return cell


def decimal(
    places: int, *, above: Decimal | None = None, least: Decimal | None = None, most: Decimal | None = None
) -> Parser:
    """A plain decimal number with up to *places* decimals, `above` or at `least` and at `most` the given numbers."""

    def parse(cell: str) -> Decimal:
        match = _DECIMAL.fullmatch(cell)
        if match is None:
            raise CellError("must be a plain number such as 1234.5: decimal point, no thousands separator, no exponent")
        if len((match[3] or "").rstrip("0")) > places:
            raise CellError(said("may have up to {places} decimals", places=places))
        number = Decimal(cell)
        if above is not None and number <= above:
            raise CellError(said("must be greater than {bound}", bound=f"{above:f}"))
        if least is not None and number < least:
            raise CellError(said("must be at least {bound}", bound=f"{least:f}"))
        if most is not None and number > most:
            raise CellError(said("must be at most {bound}", bound=f"{most:f}"))
        return number

    return parse


def whole(cell: str) -> int:
    """A whole number."""
    if not _WHOLE.fullmatch(cell):
        raise CellError("must be a whole number such as 10")
    return int(cell)


def yes_no(cell: str) -> bool:
    """`yes` or `no`."""
    if cell not in {"yes", "no"}:
        raise CellError("must be yes or no")
    return cell == "yes"


def currency(cell: str) -> str:
    """An ISO 4217 code of a currency in use."""
    if cell not in _CURRENCIES:
        raise CellError("must be an ISO 4217 code such as EUR")
    return cell


def choice(*allowed: str) -> Parser:
    """One of *allowed*."""

    def parse(cell: str) -> str:
        if cell not in allowed:
            raise CellError(said("must be one of {names}", names=", ".join(allowed)))
        return cell

    return parse


def instant(cell: str) -> datetime:
    """A date, meaning 00:00 UTC, or an instant with its offset."""
    match = _INSTANT.fullmatch(cell)
    if match is None:
        raise CellError("must be a date such as 2026-12-01 or an instant such as 2026-12-01T08:00:00Z")
    try:
        if "T" not in cell:
            return datetime.combine(date.fromisoformat(cell), time(), UTC)
        if match["offset"] is None:
            raise CellError("must say its offset from UTC, such as 2026-12-01T08:00:00Z or ...+01:00")
        return datetime.fromisoformat(cell).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, CellError):
            raise
        raise CellError("is no day or time of the calendar") from None


def many(each: Parser, *, most: int = 1_000) -> Parser:
    """Values joined by `;`, each as *each* reads it, none twice; a tuple."""

    def parse(cell: str) -> tuple[Any, ...]:
        values = tuple(each(part.strip()) for part in cell.split(";") if part.strip())
        if len(values) > most:
            raise CellError(said("may hold up to {most} values", most=most))
        if len(set(values)) < len(values):
            raise CellError("holds a value twice")
        return values

    return parse


# --- writing ---


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    r"""Yield the lines of a CSV file: header first, `\r\n` ends (RFC 4180).

    A text that a spreadsheet would take for a formula is led by an apostrophe, which `read_rows` drops again; numbers,
    negative ones too, are written as they are. None is empty, booleans are yes and no.
    """
    echo = _Echo()
    writer = csv.writer(echo)
    writer.writerow(columns)
    yield echo.line
    for row in rows:
        writer.writerow([written(value) for value in row])
        yield echo.line


class _Echo:
    """A file that only remembers the last line written."""

    line = ""

    def write(self, line: str) -> None:
        self.line = line


def written(value: object) -> str:
    """A value as a file holds it: see `write_rows`."""
    if type(value) is str and value[:1] not in _LEADS_TO_FORMULA:  # nearly every cell of a long file
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int):
        return str(value)
    spoken = str(value)
    return f"'{spoken}" if _FORMULA.match(spoken) else spoken
