"""What it costs to bring a spreadsheet into a draft: `python -m benchmarks.importing [ROWS]`, or within `make bench`.

A catalogue and a file of ten rows a SKU are made; the file is uploaded, read and compared by a process of its own,
whose memory is watched, and accepted. Beside it stands a bare COPY of the same cells into a table without an index. The
memory of a file ten times as small shows whether it grows.
"""

import asyncio
import csv
import io
import sys
import time
import zipfile
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa

from benchmarks.material import VAR, shop_settings
from kernel.db import APP_ROLE, OWNER_ROLE, for_staff, libpq_url
from kernel.embedded import prepare_database, start_server
from kernel.migrate import migrate
from kernel.xlsx_write import Sheet, write_workbook
from pricing.import_model import ImportState, PriceImport
from web.services import Services, build

LISTS: Final = 10
COLUMNS: Final = ("list", "sku", "unit", "model", "valid_from", "valid_until", "tiers")
MB: Final = 1e6
DATABASE: Final = "bench_imports"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, and bytes of memory that reading added to the process at its highest."""

    rows: int
    form: str
    file_bytes: int
    copy: float
    upload: float
    read: float
    accept: float
    memory: int


def imported(rows: int, forms: tuple[str, ...] = ("csv", "xlsx")) -> list[Imported]:
    """Import *rows* rows in each form, and a tenth of them as CSV before."""
    VAR.mkdir(parents=True, exist_ok=True)
    server = start_server(VAR)
    try:
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            connection.execute(f"drop database if exists {DATABASE} with (force)".encode())
        prepare_database(server, DATABASE)
        migrate(server.url(DATABASE, OWNER_ROLE))
        return asyncio.run(_imported(server.url(DATABASE, APP_ROLE), rows, forms))
    finally:
        server.stop()


async def _imported(url: str, rows: int, forms: tuple[str, ...]) -> list[Imported]:
    services = build(shop_settings(url))
    found = []
    try:
        with TemporaryDirectory() as folder:
            _write_catalogue(Path(folder), rows // LISTS)
            catalogue = await services.catalog.import_folder(Path(folder))
            assert catalogue.ok, catalogue.errors[:3]
            for size, form in ((rows // 10, "csv"), *((rows, form) for form in forms)):
                path = Path(folder) / f"prices.{form}"
                _write_prices(path, size, form)
                found.append(await _one(services, url, path, size, form))
    finally:
        await services.gateway.close()
        await services.db.close()
    return found


async def _one(services: Services, url: str, path: Path, rows: int, form: str) -> Imported:
    copy = _bare_copy(url, rows)
    draft = await services.pricing.open_draft(title=f"{rows} rows", by=None)
    content = await asyncio.to_thread(path.read_bytes)
    started = time.perf_counter()
    staged = await services.price_imports.upload(draft.id, name=f"prices.{form}", content=content, by=None)
    uploaded = time.perf_counter()
    with get_context("spawn").Pool(1) as pool:
        read, memory = pool.apply(_read, (url, str(staged.id)))
    ready = await services.price_imports.find(staged.id)
    assert ready.state is ImportState.READY, ready.report
    assert ready.added == rows + LISTS, ready.added
    began = time.perf_counter()
    await services.price_imports.accept(staged.id, by=None)
    accepted = time.perf_counter()
    async with services.db.begin(for_staff()) as session:
        await session.execute(sa.text("delete from price_draft_change"))
    return Imported(
        rows=rows,
        form=form,
        file_bytes=len(content),
        copy=copy,
        upload=uploaded - started,
        read=read,
        accept=accepted - began,
        memory=memory,
    )


def _read(url: str, import_id: str) -> tuple[float, int]:
    async def read() -> tuple[float, int]:
        services = build(shop_settings(url))
        try:
            async with services.db.begin(for_staff()) as session:
                await session.execute(sa.select(PriceImport.id).limit(1))
            before = _peak(anew=True)
            started = time.perf_counter()
            await services.price_imports.read(import_id)
            return time.perf_counter() - started, _peak() - before
        finally:
            await services.gateway.close()
            await services.db.close()

    return asyncio.run(read())


def _peak(*, anew: bool = False) -> int:
    """The most bytes of memory that this process had, and from now on if *anew*."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _bare_copy(url: str, rows: int) -> float:
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(f"create temporary table bare ({', '.join(f'{name} text' for name in COLUMNS)})".encode())
        started = time.perf_counter()
        with connection.cursor().copy(b"copy bare from stdin") as copy:
            for row in _rows(rows):
                copy.write_row(row)
        connection.commit()
        return time.perf_counter() - started


def _rows(count: int) -> Iterator[tuple[str, ...]]:
    for number in range(count):
        sku, price = number // LISTS, 1 + number % 9973
        yield (
            f"LIST-{number % LISTS}",
            f"SKU-{sku:07}",
            "each",
            "volume",
            "",
            "",
            f"1:{price}.25;10:{price}.1;100:{price}",
        )


def _lists() -> list[tuple[str, ...]]:
    return [(f"LIST-{number}", "EUR", f"List {number}") for number in range(LISTS)]


def _write_prices(path: Path, rows: int, form: str) -> None:
    heads = ("code", "currency", "title_en")
    if form == "xlsx":
        with path.open("wb") as file:
            write_workbook(
                file,
                [
                    Sheet(name="price_lists", columns=heads, rows=_lists()),
                    Sheet(name="price_rows", columns=COLUMNS, rows=_rows(rows)),
                ],
            )
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("price_lists.csv", _csv([heads, *_lists()]))
        package.writestr("price_rows.csv", _csv([COLUMNS, *_rows(rows)]))


def _csv(rows: Any) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


def _write_catalogue(folder: Path, skus: int) -> None:
    (folder / "categories.csv").write_text("code,name_en\nALL,All\n")
    (folder / "products.csv").write_text("code,category,name_en\nTHING,ALL,Thing\n")
    rows = [("sku", "product", "name_en", "base_unit")]
    rows += [(f"SKU-{number:07}", "THING", f"Thing {number}", "each") for number in range(skus)]
    (folder / "skus.csv").write_text(_csv(rows))


def lines(found: list[Imported]) -> list[tuple[str, str]]:
    """(what, measured) for a table."""
    told = []
    for each in found:
        work = f"import {each.rows:,} rows ({each.form}, {each.file_bytes / MB:.0f} MB): read and compare"
        beside = f"{each.read / each.copy:.1f} x a bare COPY of the same cells"
        told.append((work, f"{each.read:.1f} s, {beside}; memory +{each.memory / MB:.0f} MB"))
        told.append(("- upload, accept", f"{each.upload:.1f} s, {each.accept:.1f} s"))
    return told


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    assert rows % (10 * LISTS) == 0, "a hundred divides the rows"
    for work, measured in lines(imported(rows)):
        print(f"{work:<70}  {measured}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
