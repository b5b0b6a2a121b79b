"""One file with tables in it, whatever its form: a workbook, a CSV file, a zip of CSV files, or a folder of them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812 - zlib calls its exception `error`

from kernel.csv_rows import (
    Cells,
    Column,
    ImportReport,
    Row,
    Unreadable,
    csv_cells,
    joined,
    read_rows,
    read_table,
    said,
)
from kernel.xlsx_read import Limits, Package, Workbook

ABOUT: Final = "About"
"""The sheet that explains the others. It is not read."""
_COPY: Final = re.compile(r"[ _-]*(?:\(\d{1,3}\)|\d{1,3})$")


class Tables(Protocol):
    @property
    def parts(self) -> Mapping[str, Sequence[str]]:
        """By the name of a known table, such as `price_rows.csv`, the sheets or files that hold it."""
        ...

    def rows(
        self, part: str, columns: Sequence[Column], report: ImportReport, *, key: Collection[str] = ()
    ) -> Iterator[Row]:
        """The rows of one part; see `kernel.csv_rows.read_table`."""
        ...

    def share_read(self) -> float:
        """How much of it was read, from 0 to 1."""
        ...

    def close(self) -> None: ...


def open_tables(
    path: Path,
    name: str,
    known: Mapping[str, Sequence[str]],
    report: ImportReport,
    *,
    limits: Limits | None = None,
) -> Tables | None:
    """Open the file that a clerk calls *name*. *known*: tables and their columns. None: *report* says what is wrong."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
        if magic.startswith(b"PK\x03\x04"):
            package = Package(path, limits or Limits())
            is_workbook = any(entry.startswith("xl/") for entry in package.entries)
            if not is_workbook:
                return ZipTables(package, known, report)
            package.close()
            return WorkbookTables(Workbook(path, limits), known, report)
        return CsvTables(path, _table_of(path, name, known))
    except Unreadable as error:
        report.reading(name)
        report.refuse(name, error.line, "", error.value, error.message)
        return None


class FolderTables:
    """The CSV files of a folder that bear the name of a table."""

    def __init__(self, folder: Path, known: Collection[str]) -> None:
        self.parts = {name: (name,) for name in known if (folder / name).is_file()}
        self._folder = folder

    def rows(
        self, part: str, columns: Sequence[Column], report: ImportReport, *, key: Collection[str] = ()
    ) -> Iterator[Row]:
        return read_rows(self._folder / part, columns, report, key=key)

    def share_read(self) -> float:
        return 0.0

    def close(self) -> None:
        return


class CsvTables:
    """One CSV file."""

    def __init__(self, path: Path, table: str) -> None:
        self.parts = {table: (table,)}
        self._size = path.stat().st_size
        self._stream = path.open("rb")

    def rows(
        self, part: str, columns: Sequence[Column], report: ImportReport, *, key: Collection[str] = ()
    ) -> Iterator[Row]:
        return read_table(part, csv_cells(part, self._stream, report), columns, report, key=key)

    def share_read(self) -> float:
        return min(1.0, self._stream.tell() / max(self._size, 1))

    def close(self) -> None:
        self._stream.close()


class ZipTables:
    """CSV files in a zip file, in folders or not."""

    def __init__(self, package: Package, known: Mapping[str, Sequence[str]], report: ImportReport) -> None:
        self._package = package
        self._entries: dict[str, str] = {}
        found: dict[str, list[str]] = {}
        for entry in package.entries:
            name = entry.rpartition("/")[2]
            if name.startswith(".") or entry.startswith("__MACOSX/"):
                continue
            table = _known(name, known)
            if table is None or name in self._entries:
                report.reading(entry)
                report.refuse(entry, 0, "", "", "is in the file twice" if table else _unknown(name, known))
                continue
            self._entries[name] = entry
            found.setdefault(table, []).append(name)
        self.parts = found
        self._whole = sum(package.entries[entry].file_size for entry in self._entries.values())
        self._before = 0
        self._stream: BinaryIO | None = None

    def rows(
        self, part: str, columns: Sequence[Column], report: ImportReport, *, key: Collection[str] = ()
    ) -> Iterator[Row]:
        with self._package.open(self._entries[part]) as stream:
            self._stream = cast("BinaryIO", stream)
            yield from read_table(part, _sound(csv_cells(part, self._stream, report)), columns, report, key=key)
            self._before += self._stream.tell()
            self._stream = None

    def share_read(self) -> float:
        read = self._before + (0 if self._stream is None else self._stream.tell())
        return min(1.0, read / max(self._whole, 1))

    def close(self) -> None:
        self._package.close()


class WorkbookTables:
    """The sheets of a workbook that bear the name of a table, with or without `.csv` or a number after it."""

    def __init__(self, workbook: Workbook, known: Mapping[str, Sequence[str]], report: ImportReport) -> None:
        self._workbook = workbook
        found: dict[str, list[str]] = {}
        for sheet in workbook.sheets:
            table = _known(sheet, known)
            if table is not None:
                found.setdefault(table, []).append(sheet)
            elif sheet.casefold() != ABOUT.casefold() and sheet not in workbook.hidden:
                report.reading(sheet)
                report.refuse(sheet, 0, "", "", _unknown(sheet, known))
        self.parts = found

    def rows(
        self, part: str, columns: Sequence[Column], report: ImportReport, *, key: Collection[str] = ()
    ) -> Iterator[Row]:
        return read_table(part, self._workbook.cells(part), columns, report, key=key, sheet=True)

    def share_read(self) -> float:
        wanted = [sheet for parts in self.parts.values() for sheet in parts]
        return self._workbook.share_read({sheet: self._workbook.sheets[sheet] for sheet in wanted})

    def close(self) -> None:
        self._workbook.close()


def _sound(cells: Iterator[Cells]) -> Iterator[Cells]:
    try:
        yield from cells
    except (BadZipFile, ZlibError, EOFError, OSError) as error:
        raise Unreadable("what was packed is damaged; pack it again") from error


def _known(name: str, known: Collection[str]) -> str | None:
    """The table that a sheet or file is meant to be: also as `price_rows`, `price_rows (1).csv` and `price_rows 2`."""
    plain = name.strip().casefold().removesuffix(".csv")
    for text in (plain, _COPY.sub("", plain)):
        if f"{text}.csv" in known:
            return f"{text}.csv"
    return None


def _unknown(name: str, known: Collection[str]) -> str:
    names = [table.removesuffix(".csv") for table in known]
    near = get_close_matches(name.casefold().removesuffix(".csv"), names, n=1)
    hint = (
        said("did you mean {name}? Rename it, or remove it", name=near[0])
        if near
        else said("known are {names}. Rename it, or remove it", names=", ".join(names))
    )
    return joined("unknown table", hint)


def _table_of(path: Path, name: str, known: Mapping[str, Sequence[str]]) -> str:
    """The table of a CSV file: by its name, or else by its header.

    :raises Unreadable: when it is none
    """
    with path.open("rb") as stream:
        if stream.read(8).startswith(b"\xd0\xcf\x11\xe0"):
            raise Unreadable("the file is of an old spreadsheet, or protected; save it as .xlsx without a password")
    table = _known(name.replace("\\", "/").rpartition("/")[2], known)
    if table is not None:
        return table
    report = ImportReport()
    with path.open("rb") as stream:
        _, header = next(csv_cells(name, stream, report), (1, ()))
    columns = {column.strip() for column in header if column.strip()}
    fitting = [table for table, its in known.items() if columns <= set(its) and its[0] in columns]
    if len(fitting) != 1:
        raise Unreadable(_unknown(name, known))
    return fitting[0]
