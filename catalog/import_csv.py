"""The catalogue files of docs/import-files.md: read row by row, staged by COPY, checked and applied set by set.

Each file has a temporary table, which lives as long as the transaction. A row with an error is staged by its key alone,
so that rows referring to it are not called wrong as well. Nothing is applied when anything is wrong.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.import_sql import AFTER, COUNT_ON_SALE, REFRESH_SEARCH, UPSERTS
from catalog.views import KnownCodes
from catalog.words import code_key, sort_key
from kernel.csv_rows import (
    CellError,
    Column,
    FileCount,
    ImportReport,
    Row,
    code,
    currency,
    decimal,
    read_rows,
    text,
    yes_no,
)
from kernel.errors import Conflict
from kernel.ids import new_id

BATCH: Final = 2_000
IMPORT_LOCK: Final = 7_215_303  # any number that is ours: imports queue here
MAX_DEPTH: Final = 20
MAX_ATTRIBUTES: Final = 50
MAX_NAME: Final = 300
MAX_DESCRIPTION: Final = 8_000

_NAME: Final = text(MAX_NAME)
_DESCRIPTION: Final = text(MAX_DESCRIPTION, lines=True)
_ZERO: Final = Decimal(0)
_TRILLION: Final = Decimal(10) ** 12 - 1  # what the columns hold before the point


def attributes(cell: str) -> dict[str, str]:
    """Read `key=value;key=value`."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in cell.split(";"))):
        key, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not value:
            raise CellError("must be key=value pairs joined by ;")
        if code(key) in found:
            raise CellError(f"holds the key {key} twice")
        found[key] = _NAME(value)
    if len(found) > MAX_ATTRIBUTES:
        raise CellError(f"may hold up to {MAX_ATTRIBUTES} pairs")
    return found


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue file: its columns, and the temporary table they are staged in under the same names.

    *made*: staged columns that are made from a row's values. *refers*: column -> the staged and real table it names a
    code of.
    """

    name: str
    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    types: dict[str, str]
    made: tuple[str, ...] = ()
    refers: dict[str, str] = {}

    def staged(self) -> tuple[str, ...]:
        return ("line", "whole", *(column.name for column in self.columns), *self.made)


CATEGORIES: Final = File(
    name="categories.csv",
    table="category",
    columns=(
        Column("code", code),
        Column("parent", code, optional=True),
        Column("name_en", _NAME),
        Column("name_es", _NAME, optional=True),
    ),
    key=("code",),
    types={},
    made=("id",),
    refers={"parent": "category"},
)
BRANDS: Final = File(
    name="brands.csv",
    table="brand",
    columns=(Column("code", code), Column("name", _NAME)),
    key=("code",),
    types={},
    made=("id",),
)
PRODUCTS: Final = File(
    name="products.csv",
    table="product",
    columns=(
        Column("code", code),
        Column("category", code),
        Column("brand", code, optional=True),
        Column("name_en", _NAME),
        Column("name_es", _NAME, optional=True),
        Column("description_en", _DESCRIPTION, optional=True),
        Column("description_es", _DESCRIPTION, optional=True),
    ),
    key=("code",),
    types={},
    made=("id", "sort_en", "sort_es"),
    refers={"category": "category", "brand": "brand"},
)
SKUS: Final = File(
    name="skus.csv",
    table="sku",
    columns=(
        Column("sku", code),
        Column("product", code),
        Column("name_en", _NAME),
        Column("name_es", _NAME, optional=True),
        Column("attributes", attributes, optional=True, empty={}),
        Column("base_unit", code),
        Column("tax_category", code, optional=True, empty="standard"),
        Column("weight_grams", decimal(6, least=_ZERO, most=_TRILLION), optional=True),
        Column("break_group", code, optional=True),
        Column("fractional", yes_no, optional=True, empty=False),
        Column("active", yes_no, optional=True, empty=True),
    ),
    key=("sku",),
    types={"attributes": "jsonb", "weight_grams": "numeric", "fractional": "boolean", "active": "boolean"},
    made=("id", "code_key"),
    refers={"product": "product"},
)
UNITS: Final = File(
    name="units.csv",
    table="sku_unit",
    columns=(Column("sku", code), Column("unit", code), Column("factor", decimal(12, above=_ZERO, most=_TRILLION))),
    key=("sku", "unit"),
    types={"factor": "numeric"},
    refers={"sku": "sku"},
)
COSTS: Final = File(
    name="costs.csv",
    table="sku_cost",
    columns=(Column("sku", code), Column("cost", decimal(12, least=_ZERO)), Column("currency", currency)),
    key=("sku", "currency"),
    types={"cost": "numeric"},
    refers={"sku": "sku"},
)
STOCK: Final = File(
    name="stock.csv",
    table="stock",
    columns=(Column("sku", code), Column("on_hand", decimal(6, least=_ZERO))),
    key=("sku",),
    types={"on_hand": "numeric"},
    refers={"sku": "sku"},
)
FILES: Final = (CATEGORIES, BRANDS, PRODUCTS, SKUS, UNITS, COSTS, STOCK)
FILE_NAMES: Final = tuple(file.name for file in FILES)

_FILE_NAME: Final = {file.table: file.name for file in FILES}


class ImportRunning(Conflict):
    problem = "import-running"
    title = "Another import is running"


async def import_files(session: AsyncSession, folder: Path, report: ImportReport) -> None:
    """Import the catalogue files that *folder* holds, unless *report* has errors then; the caller rolls back.

    :raises ImportRunning: when another import takes longer than a lock is waited for
    """
    present = await asyncio.to_thread(_present, folder)
    if present is None:
        report.refuse(folder.name, 0, "", "", "there is no such folder")
        return
    try:
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(IMPORT_LOCK)))
    except sa.exc.OperationalError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise ImportRunning("Another import is running; start this one again when it is done.") from None
        raise
    rows: dict[str, int] = {}
    for file in FILES:
        await session.execute(sa.text(f"DROP TABLE IF EXISTS pg_temp.import_{file.table}"))
        await session.execute(sa.text(_staging_table(file)))
        if file.name in present:
            rows[file.name] = await _stage(session, file, present[file.name], report)
            await session.execute(sa.text(f"ANALYZE import_{file.table}"))
    for file in FILES:
        if rows.get(file.name):
            await _check(session, file, report)
    paths = await _category_paths(session, report)
    await _check_units(session, report)
    report.sort()
    if report.ok:
        await _apply(session, paths, rows, report)


def _present(folder: Path) -> dict[str, Path] | None:
    return {name: folder / name for name in FILE_NAMES if (folder / name).is_file()} if folder.is_dir() else None


async def stage_known_units(session: AsyncSession) -> None:
    """Make the temporary table `known_unit` of SKUs and the units they are sold in, those of an import included."""
    query = _KNOWN_UNITS + (_STAGED_UNITS if await _staged_skus(session) else "")
    await session.execute(sa.text("DROP TABLE IF EXISTS pg_temp.known_unit"))
    await session.execute(
        sa.text(
            f"""
            CREATE TEMPORARY TABLE known_unit ON COMMIT DROP AS
            SELECT code COLLATE "C" AS sku, base_unit COLLATE "C" AS unit FROM ({query}) AS known
            """  # noqa: S608 - our own SQL
        )
    )
    await session.execute(sa.text("CREATE INDEX ON known_unit (sku, unit)"))
    await session.execute(sa.text("ANALYZE known_unit"))


async def _staged_skus(session: AsyncSession) -> bool:
    return bool(await session.scalar(sa.text("SELECT to_regclass('pg_temp.import_sku') IS NOT NULL")))


async def known_codes(session: AsyncSession, skus: Collection[str] | None = None) -> KnownCodes:
    """Return what there is, and within an import what its files name, wrong rows included. *skus*: of SKUs these alone,
    which `stage_known_units` has staged.
    """
    staged = await _staged_skus(session)
    units: dict[str, set[str]] = {}
    query, asked = _KNOWN_UNITS + (_STAGED_UNITS if staged else ""), {}
    if skus is not None:
        query, asked = "SELECT sku, unit FROM known_unit WHERE sku = ANY (:skus)", {"skus": list(skus)}
    for sku, unit in await session.execute(sa.text(query), asked):
        units.setdefault(sku, set())
        if unit is not None:
            units[sku].add(unit)
    categories = {
        known: tuple(path) for known, path in await session.execute(sa.text("SELECT code, path FROM category"))
    }
    brands = set(await session.scalars(sa.text("SELECT code FROM brand")))
    if staged:
        parents = await _parents(session)
        categories |= {known: _path(known, parents) or (known,) for known in parents}
        brands |= set(await session.scalars(sa.text("SELECT code FROM import_brand")))
    return KnownCodes(
        units={sku: frozenset(known) for sku, known in units.items()}, categories=categories, brands=frozenset(brands)
    )


_KNOWN_UNITS: Final = """
    SELECT code, base_unit FROM sku
    UNION SELECT sku.code, sku_unit.unit FROM sku_unit JOIN sku ON sku.id = sku_unit.sku_id
"""
_STAGED_UNITS: Final = " UNION SELECT sku, base_unit FROM import_sku UNION SELECT sku, unit FROM import_sku_unit"


# --- staging ---


def _staging_table(file: File) -> str:
    special = {"line": "integer", "whole": "boolean", "id": "uuid"} | file.types
    columns = ", ".join(f"{name} {special.get(name, 'text')}" for name in file.staged())
    return f"CREATE TEMPORARY TABLE import_{file.table} ({columns}) ON COMMIT DROP"


async def _stage(session: AsyncSession, file: File, path: Path, report: ImportReport) -> int:
    """Copy the rows of *path* to the file's temporary table and return how many there were."""
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    assert isinstance(connection, psycopg.AsyncConnection)
    count = 0
    async with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY import_{file.table} ({', '.join(file.staged())}) FROM STDIN".encode()) as copy,
    ):
        async for batch in _batches(read_rows(path, file.columns, report, key=file.key)):
            for row in batch:
                await copy.write_row(_staged(file, row))
            count += len(batch)
            report.progress(file.name, count)
    return count


async def _batches(rows: Iterator[Row]) -> AsyncIterator[list[Row]]:
    """Read in a thread, so that a large import leaves the event loop free for others."""
    while batch := await asyncio.to_thread(lambda: list(itertools.islice(rows, BATCH))):
        yield batch


def _staged(file: File, row: Row) -> list[Any]:
    values = dict(zip((column.name for column in file.columns), row.values, strict=True))
    made: list[Any] = []
    if "id" in file.made:
        made.append(new_id())
    if file is PRODUCTS:
        name = values["name_en"] or ""
        made += [sort_key(name, "en"), sort_key(values["name_es"] or name, "es")]
    if file is SKUS:
        made.append(code_key(values["sku"]))
    cells = (msgspec.json.encode(value).decode() if isinstance(value, dict) else value for value in row.values)
    return [row.line, row.whole, *cells, *made]


# --- checks over all rows ---


async def _check(session: AsyncSession, file: File, report: ImportReport) -> None:
    """Report second rows of a key, and codes that neither the files nor the catalogue know."""
    key = ", ".join(file.key)
    twice = await session.execute(
        sa.text(
            f"""
            SELECT line, first, concat_ws(' ', {key}) FROM (
                SELECT line, {key}, min(line) OVER (PARTITION BY {key}) AS first FROM import_{file.table}
            ) AS keyed WHERE line > first ORDER BY line
            """  # noqa: S608 - all names are constants of this file
        )
    )
    for line, first, value in twice:
        report.refuse(file.name, line, file.key[-1], value, f"is on line {first} already; keep one of the two rows")
    for column, table in file.refers.items():
        there = "sku" if table == "sku" else "code"
        unknown = await session.execute(
            sa.text(
                f"""
                SELECT line, {column} FROM import_{file.table} AS given
                WHERE {column} IS NOT NULL
                  AND NOT EXISTS (SELECT FROM import_{table} AS staged WHERE staged.{there} = given.{column})
                  AND NOT EXISTS (SELECT FROM {table} AS known WHERE known.code = given.{column})
                ORDER BY line
                """  # noqa: S608 - all names are constants of this file
            )
        )
        for line, value in unknown:
            report.refuse(
                file.name, line, column, value, f"unknown {table}; add it to {_FILE_NAME[table]} or correct the code"
            )


async def _check_units(session: AsyncSession, report: ImportReport) -> None:
    """Report base units that are given again with another factor, and base units of known SKUs that would change."""
    again = await session.execute(
        sa.text(
            """
            SELECT given.line, given.unit FROM import_sku_unit AS given
            LEFT JOIN import_sku AS staged ON staged.sku = given.sku LEFT JOIN sku AS known ON known.code = given.sku
            WHERE given.unit = coalesce(staged.base_unit, known.base_unit) AND given.factor <> 1 ORDER BY given.line
            """
        )
    )
    for line, unit in again:
        report.refuse(UNITS.name, line, "unit", unit, "is the SKU's base unit, which needs no row and has factor 1")
    changed = await session.execute(
        sa.text(
            """
            SELECT given.line, given.base_unit, known.base_unit FROM import_sku AS given
            JOIN sku AS known ON known.code = given.sku WHERE given.base_unit <> known.base_unit ORDER BY given.line
            """
        )
    )
    for line, unit, known in changed:
        report.refuse(
            SKUS.name,
            line,
            "base_unit",
            unit,
            f"the SKU counts in {known}, and its units, costs, stock and orders with it; "
            f"keep {known}, or withdraw the SKU (active = no) and add one under another code",
        )


async def _category_paths(session: AsyncSession, report: ImportReport) -> dict[str, tuple[str, ...]]:
    """Return the path of every category as it will be, and report cycles and too deep ones."""
    parents = await _parents(session)
    lines = {row.code: row.line for row in await session.execute(sa.text("SELECT code, line FROM import_category"))}
    paths: dict[str, tuple[str, ...]] = {}
    for category in parents:
        path = _path(category, parents)
        if path is not None:
            paths[category] = path
        elif category in lines:
            message = f"leads back to itself, or is more than {MAX_DEPTH} levels deep; correct the parent"
            report.refuse(CATEGORIES.name, lines[category], "parent", parents[category], message)
    return paths


async def _parents(session: AsyncSession) -> dict[str, str | None]:
    """Return each category's parent as it will be."""
    rows = await session.execute(
        sa.text(
            """
            SELECT known.code, parent.code AS parent
            FROM category AS known LEFT JOIN category AS parent ON parent.id = known.parent_id
            WHERE NOT EXISTS (SELECT FROM import_category AS staged WHERE staged.code = known.code)
            UNION ALL SELECT code, parent FROM import_category
            """
        )
    )
    return {row.code: row.parent for row in rows}


def _path(category: str, parents: Mapping[str, str | None]) -> tuple[str, ...] | None:
    """Return the codes from the top down to *category*, or None when there is no top within the depth allowed."""
    path: list[str] = []
    upper: str | None = category
    while upper is not None:
        path.append(upper)
        if len(path) > MAX_DEPTH:
            return None
        upper = parents.get(upper)
    return tuple(reversed(path))


# --- applying ---


async def _apply(
    session: AsyncSession, paths: Mapping[str, tuple[str, ...]], rows: Mapping[str, int], report: ImportReport
) -> None:
    """Write what is staged: add new keys, change known ones where something differs, and count both."""
    await session.execute(sa.text("DROP TABLE IF EXISTS pg_temp.import_touched"))
    await session.execute(sa.text("CREATE TEMPORARY TABLE import_touched (id uuid) ON COMMIT DROP"))
    await _copy_paths(session, paths)
    for file in FILES:
        if file is UNITS:  # what takes long goes before stock, whose changed rows orders wait for
            await session.execute(sa.text("ANALYZE import_touched"))
            await session.execute(sa.text(REFRESH_SEARCH))
            await session.execute(sa.text(COUNT_ON_SALE))
        if file.name in rows:
            added, changed = (await session.execute(sa.text(UPSERTS[file.table]))).one()
            count = rows[file.name]
            report.counts[file.name] = FileCount(count, added, changed, count - added - changed)
            for statement in AFTER.get(file.table, ()):
                await session.execute(sa.text(statement))


async def _copy_paths(session: AsyncSession, paths: Mapping[str, tuple[str, ...]]) -> None:
    await session.execute(sa.text("DROP TABLE IF EXISTS pg_temp.import_path"))
    await session.execute(sa.text("CREATE TEMPORARY TABLE import_path (code text, path text[]) ON COMMIT DROP"))
    if paths:
        await session.execute(
            sa.text("INSERT INTO import_path VALUES (:code, :path)"),
            [{"code": known, "path": list(path)} for known, path in paths.items()],
        )
