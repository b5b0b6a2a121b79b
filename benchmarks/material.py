"""What is measured on, made once and kept in `var/bench`: benchmark book, the demo's at any size, a demo shop."""

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Final

from benchmarks.book import bare_entries, benchmark_buyers, benchmark_entries
from kernel.clock import SystemClock
from kernel.db import APP_ROLE, OWNER_ROLE
from kernel.embedded import EmbeddedServer, prepare_database, start_server
from kernel.migrate import migrate
from kernel.settings import Settings
from pricing.compiled import CompiledBook, book_path, write_book, write_entries
from pricing.engine.book import Frame, SkuEntry
from sandbox.demo.files import REFERENCE, SEED, write_demo
from sandbox.demo.load import load
from tests.examples.folders import content_of_folder
from web.services import build

ROOT: Final = Path(__file__).parents[1]
VAR: Final = Path(os.environ.get("VAR") or ROOT / "var") / "bench"
PASSWORD: Final = "password-of-benchmarks"  # noqa: S105 - of a shop that is not reached from outside
BUYER: Final = "buyer@acme.example"
SOURCES: Final = ("sandbox/demo/*", "pricing/engine/book.py", "pricing/engine/memory.py", "pricing/compiled.py")
"""What a compiled book depends on."""
PROBE_ROWS: Final = 5_000

__all__ = ["benchmark_book", "benchmark_buyers", "benchmark_entries", "big_book", "kept", "shop_settings", "small_shop"]


def benchmark_book(rows: int) -> CompiledBook:
    """The book of `benchmarks.book` with that many *rows*, compiled at the first call (ten million take minutes)."""
    path, root = benchmark_file(rows)
    return CompiledBook(path, root=root)


def benchmark_file(rows: int) -> tuple[Path, str]:
    """Where that book's file stands, and the root it was written under."""
    return kept(f"rows-{rows}", f"the benchmark book of {rows:,} rows", partial(benchmark_entries, rows))


def bare_book(skus: int) -> CompiledBook:
    """The bare book with that many SKUs."""
    path, root = kept(f"bare-{skus}", f"the bare book of {skus:,} SKUs", partial(bare_entries, skus))
    return CompiledBook(path, root=root)


def kept(name: str, what: str, entries: Callable[[], tuple[Frame, Iterator[SkuEntry]]]) -> tuple[Path, str]:
    """Where the book of *entries* stands, and the root it is written under; made at the first call."""
    root = "sha256:" + hashlib.sha256(f"{name.removeprefix('rows-')} {_probe()}".encode()).hexdigest()
    folder = VAR / name
    path = book_path(folder, root)
    if not path.exists():
        for outdated in folder.glob("*.book"):
            outdated.unlink()
        with _timed(f"Compiling {what}"):
            write_entries(*entries(), root, folder)
    return path, root


@cache
def _probe() -> str:
    """Differs when a book would be written otherwise than those that are kept: ten million rows take minutes, so what
    decides is the bytes of a small book, not which source was touched.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = write_entries(*benchmark_entries(PROBE_ROWS), "sha256:" + "0" * 64, Path(folder))
        return hashlib.sha256(path.read_bytes()).hexdigest()


def big_book(skus: int) -> CompiledBook:
    """The demo's book with *skus* SKUs, compiled at the first call and whenever what makes it has changed."""
    root = "sha256:" + _digest(f"{skus} {SEED} {REFERENCE}")
    folder = VAR / f"{skus}"
    path = book_path(folder, root)
    if not path.exists():
        with tempfile.TemporaryDirectory() as files:
            with _timed(f"Writing the demo's files of {skus:,} SKUs"):
                write_demo(Path(files), skus=skus)
            with _timed("Reading and checking them"):
                content = content_of_folder(Path(files))
        for outdated in folder.glob("*.book"):
            outdated.unlink()
        with _timed("Compiling the book"):
            write_book(content, root, folder)
    with _timed(f"Opening the book of {skus:,} SKUs ({path.stat().st_size / 1e6:,.0f} MB)"):
        return CompiledBook(path, root=root)


def small_shop() -> tuple[EmbeddedServer, str, str]:
    """A server, and the addresses for the runtime and the owner of a demo shop with 1,200 SKUs, companies, people."""
    VAR.mkdir(parents=True, exist_ok=True)
    server = start_server(VAR)
    prepare_database(server, "bench")
    migrate(server.url("bench", OWNER_ROLE))
    url = server.url("bench", APP_ROLE)
    loaded = VAR / "shop.loaded"
    if not loaded.exists():
        with _timed("Loading a demo shop"):
            asyncio.run(_load(shop_settings(url, lead_time=2)))
        loaded.touch()
    return server, url, server.url("bench", OWNER_ROLE)


def shop_settings(url: str, *, lead_time: int = 3600) -> Settings:
    """A long lead time, so that a machine that is busy measuring does not lose touch with its price log."""
    return Settings.from_environment(
        {
            "VAR": str(VAR),
            "DATABASE_URL": url,
            "STRIPE_WEBHOOK_SECRET": "whsec_of_benchmarks",
            "PRICE_LEAD_TIME": str(lead_time),
        }
    )


async def _load(settings: Settings) -> None:
    services = build(settings, clock=SystemClock())
    try:
        await services.books.refresh()
        await load(services, PASSWORD)
        await services.books.refresh()
        takes_effect = services.books.published()[-1].effective_at  # who measures next asks for prices at once
        await asyncio.sleep(max(0.0, (takes_effect - services.clock.now()).total_seconds()))
    finally:
        await services.gateway.close()
        await services.db.close()


def _digest(asked: str) -> str:
    hasher = hashlib.sha256(asked.encode())
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                hasher.update(path.read_bytes())
    return hasher.hexdigest()


@contextmanager
def _timed(what: str) -> Iterator[None]:
    print(f"{what} ...", flush=True)
    started = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - started:.1f} s", flush=True)
