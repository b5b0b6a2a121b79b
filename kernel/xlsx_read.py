"""Workbooks (XLSX, ECMA-376) from outside, cell by cell, in memory that does not grow with them.

A cell is read as what a clerk sees and means, or is an `OddCell` that says what to do. A number is the shortest decimal
that names the same double, which is what was typed. Formulas count by the result the spreadsheet saved. Entity
declarations, and packages that unfold to more than they should, are refused before anything of them is used.
"""

import mmap
import re
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path
from posixpath import join, normpath
from tempfile import TemporaryFile
from typing import IO, Any, Final
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError  # noqa: N812 - zlib calls its exception `error`

import msgspec

from kernel.csv_rows import Cells, OddCell, Unreadable, instant, joined, said, yes_no

MAX_COLUMNS: Final = 500
MAX_CELL: Final = 32_767
_CHUNK: Final = 64 * 1024
_SMALL_PART: Final = 16 * 1024 * 1024
"""Of workbook.xml, its relationships and styles, which are held in memory."""
_NO_STYLE: Final = ""
_DATES: Final = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_PERCENTS: Final = frozenset([9, 10])
_LITERALS: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hmsHMS]+\])[^\]]*\]')
_ELAPSED_OR_DATE: Final = re.compile(r"[dmyhsDMYHS]")
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_CELL: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}")
_AS_TEXT: Final = "format the cell as text and type it again"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a package may be. *ratio*: how many times its size it may unfold to, when that is over *unsuspicious*."""

    entries: int = 1_000
    unfolded: int = 3 * 1024**3
    ratio: int = 200
    unsuspicious: int = 16 * 1024**2


class Package:
    """The entries of a zip file within *limits*. *read* counts bytes unfolded so far.

    What an entry declares as its size bounds what is read of it, so that looking at the directory is enough.

    :raises Unreadable: when it is none, or is more than it may be
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.read = 0
        try:
            self._zip = ZipFile(path)
        except (BadZipFile, NotImplementedError, OSError, ValueError) as error:
            raise Unreadable("the file is damaged, or no workbook; save it again as .xlsx") from error
        found = self._zip.infolist()
        self.entries = {entry.filename: entry for entry in found if not entry.is_dir()}
        unfolded, size = sum(entry.file_size for entry in found), path.stat().st_size
        if len(found) > limits.entries:
            self.close()
            raise Unreadable(
                said(
                    "the file holds {count} parts, more than the {most} allowed", count=len(found), most=limits.entries
                )
            )
        if unfolded > limits.unfolded or unfolded > max(limits.unsuspicious, limits.ratio * size):
            self.close()
            raise Unreadable(
                said(
                    "the file unfolds from {size} to {unfolded} bytes, more than is allowed; split it",
                    size=size,
                    unfolded=unfolded,
                )
            )
        if any(entry.flag_bits & 1 for entry in found):
            self.close()
            raise Unreadable("the file is protected by a password; save it without one")

    def close(self) -> None:
        self._zip.close()

    def open(self, name: str) -> IO[bytes]:
        """:raises Unreadable: when there is no such entry"""
        try:
            return self._zip.open(self.entries[name])
        except (KeyError, BadZipFile, NotImplementedError, RuntimeError) as error:
            raise Unreadable(
                said("the file lacks its part {name}, or it is damaged; save it again", name=name)
            ) from error

    def chunks(self, name: str) -> Iterator[bytes]:
        """:raises Unreadable: as `open`, and when what was packed is damaged"""
        with self.open(name) as entry:
            while True:
                try:
                    chunk = entry.read(_CHUNK)
                except (BadZipFile, ZlibError, EOFError, OSError) as error:
                    raise Unreadable(said("the file's part {name} is damaged; save it again", name=name)) from error
                if not chunk:
                    return
                self.read += len(chunk)
                yield chunk


class Workbook:
    """An open workbook: *sheets* are the names of its worksheets, in order, with their parts.

    :raises Unreadable: when the file is no workbook
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.package = Package(path, limits or Limits())
        try:
            self._open()
        except BaseException:
            self.package.close()
            raise

    def _open(self) -> None:
        main = next(
            (target for kind, target in _relations(self.package, "").values() if kind.endswith("/officeDocument")), ""
        )
        relations = _relations(self.package, main)
        self.sheets: dict[str, str] = {}
        self.hidden: set[str] = set()
        self._from_1904 = False

        def start(name: str, attributes: Mapping[str, str]) -> None:
            if name == "workbookPr":
                self._from_1904 = attributes.get("date1904") in {"1", "true"}
            if name == "sheet":
                refers = next((value for key, value in attributes.items() if key.endswith(":id")), "")
                kind, target = relations.get(refers, ("", ""))
                if kind.endswith("/worksheet"):
                    self.sheets[attributes.get("name", "")] = target
                    if attributes.get("state", "visible") != "visible":
                        self.hidden.add(attributes.get("name", ""))

        _parse_small(self.package, main, start)
        kinds = {kind.rpartition("/")[2]: target for kind, target in relations.values()}
        self._styles = _styles(self.package, kinds["styles"]) if "styles" in kinds else []
        self._strings = _Strings(self.package, kinds.get("sharedStrings"))

    def close(self) -> None:
        self._strings.close()
        self.package.close()

    def share_read(self, sheets: Mapping[str, str]) -> float:
        """How much of the parts of *sheets* has been read, from 0 to 1. What went before counts as nothing."""
        whole = sum(self.package.entries[part].file_size for part in sheets.values() if part in self.package.entries)
        return min(1.0, max(0.0, (self.package.read - self._strings.size) / whole)) if whole else 1.0

    def cells(self, sheet: str) -> Iterator[Cells]:
        """The lines of a sheet that hold anything, with their numbers in the sheet.

        :raises Unreadable: while they are read, from where on it is no table, and at the end for merged cells
        """
        reader = _SheetReader(self._styles, self._strings, from_1904=self._from_1904)
        parser = _parser(reader.start, reader.end, reader.text)
        for chunk in self.package.chunks(self.sheets[sheet]):
            _feed(parser, chunk, reader.line)
            while reader.rows:
                yield reader.rows.popleft()
        _feed(parser, b"", reader.line, final=True)
        if reader.merged:
            shown = ", ".join(reader.merged[:5]) + (" ..." if len(reader.merged) > 5 else "")
            raise Unreadable(
                said("cells are merged; unmerge them, so that each row holds its own values: {cells}", cells=shown)
            )


class _SheetReader:
    """Makes lines of the events of a worksheet's XML."""

    def __init__(self, styles: list[str], strings: "_Strings", *, from_1904: bool) -> None:
        self.rows: deque[Cells] = deque()
        self.line = 0
        self.merged: list[str] = []
        self._styles = styles
        self._strings = strings
        self._epoch = datetime(1904, 1, 1, tzinfo=UTC) if from_1904 else datetime(1899, 12, 30, tzinfo=UTC)
        self._places: dict[str, int] = {}
        self._cells: list[str] = []
        self._at = -1
        self._kind = self._style = ""
        self._formula = self._has_value = False
        self._collects = self._ignores = False
        self._text: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._begin_cell(attributes)
        elif name == "v" or (name == "t" and not self._ignores):
            self._collects = self._has_value = True
        elif name == "f":
            self._formula = True
        elif name == "rPh":  # how the text is pronounced
            self._ignores = True
        elif name == "row":
            self._begin_row(attributes.get("r", ""))
        elif name == "mergeCell" and len(self.merged) < 100:
            self.merged.append(attributes.get("ref", "?")[:40])

    def end(self, name: str) -> None:
        if name == "c":
            if self._has_value or self._formula:
                self._end_cell()
        elif name in {"v", "t"}:
            self._collects = False
        elif name == "rPh":
            self._ignores = False
        elif name == "row" and self._cells:
            self.rows.append((self.line, self._cells))
            self._cells = []

    def text(self, text: str) -> None:
        if self._collects:
            self._text.append(text)

    def _begin_row(self, number: str) -> None:
        line = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else self.line + 1
        if line <= self.line:
            raise Unreadable("the rows of the sheet are in disorder; save it again", line=line)
        self.line = line
        self._at = -1
        self._cells = []

    def _begin_cell(self, attributes: Mapping[str, str]) -> None:
        place = attributes.get("r")
        self._at = self._at + 1 if place is None else self._place_of(place)
        self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
        self._formula = self._has_value = False
        self._text.clear()

    def _place_of(self, place: str) -> int:
        letters = place.rstrip("0123456789")
        at = self._places.get(letters)
        if at is None:
            if not _CELL.fullmatch(place):
                raise Unreadable("a cell of the sheet has no place; save it again", line=self.line, value=place)
            at = -1
            for letter in letters:
                at = (at + 1) * 26 + ord(letter) - ord("A")
            self._places[letters] = at
        return at

    def _end_cell(self) -> None:
        text = "".join(self._text)
        if len(text) > MAX_CELL:
            raise Unreadable(
                said("a cell holds more than {most} characters; shorten it", most=MAX_CELL), line=self.line
            )
        cell = self._cell(text)
        if not cell:
            return
        if self._at >= MAX_COLUMNS:
            raise Unreadable(
                said("the row has a value beyond column {most}; delete it", most=MAX_COLUMNS), line=self.line
            )
        cells = self._cells
        if self._at < len(cells):
            raise Unreadable("the cells of the row are in disorder; save the file again", line=self.line)
        while len(cells) < self._at:
            cells.append("")
        cells.append(cell)

    def _cell(self, text: str) -> str:
        kind = self._kind
        if kind == "s":
            return self._strings.text(text, self.line)
        if not self._has_value or (self._formula and not text and kind == "n"):
            return _odd(
                "formula", "is a formula whose result was not saved; open the file in a spreadsheet and save it"
            )
        if kind in {"inlineStr", "str"}:
            return _unescaped(text)
        if kind == "b":
            shown, word = ("TRUE", "yes") if text == "1" else ("FALSE", "no")
            return OddCell(word, shown=shown, advice=joined("is a truth value", _AS_TEXT), fits=frozenset({yes_no}))
        if kind == "e":
            return _odd(text or "error", "is an error of the spreadsheet; mend the formula or type the value")
        if kind == "d":
            return _date_cell(text.replace("T00:00:00", ""), text)
        return self._number(text.strip())

    def _number(self, text: str) -> str:
        if not text:
            return ""
        style = self._styles[int(self._style)] if self._style.isdigit() and int(self._style) < len(self._styles) else ""
        if not style and _WHOLE.fullmatch(text):
            return text
        try:
            number = float(text)
        except ValueError:
            return _odd(text, joined("is no number", _AS_TEXT))
        if not isfinite(number):
            return _odd(text, joined("is no number", _AS_TEXT))
        if style == "date":
            return self._date(number)
        plain = f"{Decimal(repr(number)):f}"
        plain = plain.removesuffix(".0")
        if style == "percent":
            shown = f"{(Decimal(repr(number)) * 100).normalize():f}"
            advice = said("is formatted as a percentage; format the cell as text and type {number}", number=shown)
            return _odd(f"{shown}%", advice)
        return "0" if plain == "-0" else plain

    def _date(self, serial: float) -> str:
        try:
            found = self._epoch + timedelta(seconds=round(serial * 86_400))
        except OverflowError:
            return _odd(repr(serial), joined("is no day of the calendar", _AS_TEXT))
        if serial < 61:  # before 1900-03-01, where spreadsheets disagree, or a time of day alone
            return _odd(f"{found:%H:%M:%S}", joined("is a time of day in the spreadsheet", _AS_TEXT))
        if serial % 1:
            return _date_cell("", f"{found:%Y-%m-%d %H:%M:%S}")
        return _date_cell(f"{found:%Y-%m-%d}", f"{found:%Y-%m-%d}")


def _date_cell(day: str, shown: str) -> OddCell:
    """A date; one with a time of day fits nowhere, for nothing says of which offset."""
    if len(day) == len("2026-12-01"):
        return OddCell(
            day, shown=shown, advice=joined("is a date in the spreadsheet", _AS_TEXT), fits=frozenset({instant})
        )
    return _odd(shown, "is a date and time without an offset; format the cell as text and type 2026-12-01T08:00:00Z")


def _odd(shown: str, advice: str) -> OddCell:
    return OddCell(shown or "?", shown=shown, advice=advice)


class _Strings:
    """The texts that cells refer to by number: in a file, for there may be as many as cells."""

    def __init__(self, package: Package, part: str | None) -> None:
        self._starts = array("Q", [0])
        self._file = TemporaryFile()  # noqa: SIM115 - closed with the workbook
        self._map: mmap.mmap | None = None
        self._waits: list[str] = []
        self._collects = self._ignores = False
        if part is not None and part in package.entries:
            self._read(package, part)
        self.size = package.read

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
        self._file.close()

    def text(self, number: str, line: int) -> str:
        at = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
        if not 0 <= at < len(self._starts) - 1:
            raise Unreadable("a cell of the sheet has no text; save the file again", line=line)
        begin, end = self._starts[at], self._starts[at + 1]
        return "" if self._map is None or begin == end else self._map[begin:end].decode()

    def _read(self, package: Package, part: str) -> None:
        parser = _parser(self._start, self._end, self._text)
        for chunk in package.chunks(part):
            _feed(parser, chunk, 0)
        _feed(parser, b"", 0, final=True)
        self._file.flush()
        if self._starts[-1]:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def _start(self, name: str, _attributes: Mapping[str, str]) -> None:
        if name == "t" and not self._ignores:
            self._collects = True
        elif name == "rPh":
            self._ignores = True

    def _end(self, name: str) -> None:
        if name == "t":
            self._collects = False
        elif name == "rPh":
            self._ignores = False
        elif name == "si":
            body = _unescaped("".join(self._waits)).encode()
            if len(body) > 4 * MAX_CELL:
                raise Unreadable(said("a cell holds more than {most} characters; shorten it", most=MAX_CELL))
            self._file.write(body)
            self._starts.append(self._starts[-1] + len(body))
            self._waits.clear()

    def _text(self, text: str) -> None:
        if self._collects:
            self._waits.append(text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "_x" in text else text


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return "\ufffd" if 0xD800 <= number < 0xE000 else chr(number)


# --- XML ---


def _parser(
    start: Callable[[str, Mapping[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> expat.XMLParserType:
    """A parser that gives names without their namespaces and refuses what declares entities."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def begins(name: str, attributes: dict[str, str]) -> None:
        if ":" in name:
            name = name.rpartition(":")[2]
        start(name, attributes)

    def refuse(*_: Any) -> None:
        raise Unreadable("the file declares a document type, which no spreadsheet writes; save it again")

    parser.StartElementHandler = begins
    if end is not None:
        ends = end
        parser.EndElementHandler = lambda name: ends(name.rpartition(":")[2] if ":" in name else name)
    if text is not None:
        parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    return parser


def _feed(parser: expat.XMLParserType, chunk: bytes, line: int, *, final: bool = False) -> None:
    try:
        parser.Parse(chunk, final)
    except (expat.ExpatError, ValueError) as error:
        raise Unreadable("the file is damaged; save it again as .xlsx", line=line) from error


def _parse_small(package: Package, part: str, start: Callable[[str, Mapping[str, str]], None]) -> None:
    entry: ZipInfo | None = package.entries.get(part)
    if entry is None:
        raise Unreadable("the file is no workbook; save it as .xlsx")
    if entry.file_size > _SMALL_PART:
        raise Unreadable(
            "the file holds more styles or sheets than any spreadsheet needs; copy the tables to a new one"
        )
    parser = _parser(start)
    for chunk in package.chunks(part):
        _feed(parser, chunk, 0)
    _feed(parser, b"", 0, final=True)


def _relations(package: Package, part: str) -> dict[str, tuple[str, str]]:
    """What a part of the package refers to: by its number the kind and the other part; *part* empty: the package."""
    folder, _, name = part.rpartition("/")
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            full = target.lstrip("/") if target.startswith("/") else normpath(join(folder, target))
            found[attributes.get("Id", "")] = attributes.get("Type", ""), full

    _parse_small(package, join(folder, "_rels", f"{name}.rels"), start)
    return found


def _styles(package: Package, part: str) -> list[str]:
    """Of each cell style `date`, `percent`, or neither."""
    formats: dict[int, str] = {}
    found: list[str] = []
    inside: list[bool] = [False]

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name in {"cellStyleXfs", "cellXfs", "cellStyles", "dxfs"}:
            inside[0] = name == "cellXfs"
        number = attributes.get("numFmtId", "0")
        number_id = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 0
        if name == "numFmt":
            formats[number_id] = _format_kind(attributes.get("formatCode", ""))
        if name == "xf" and inside[0]:
            known = "date" if number_id in _DATES else "percent" if number_id in _PERCENTS else _NO_STYLE
            found.append(formats.get(number_id, known))

    _parse_small(package, part, start)
    return found


def _format_kind(code: str) -> str:
    plain = _LITERALS.sub("", code).replace("General", "")
    if "%" in plain:
        return "percent"
    return "date" if _ELAPSED_OR_DATE.search(plain) else _NO_STYLE
