import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from kernel.clock import FixedClock
from kernel.db import Database
from kernel.embedded import EmbeddedServer
from kernel.signing import Keyring
from pricing.books import FILES_KEPT, NoBookPublished, PriceBooks, UnknownBook
from pricing.compiled import UNFINISHED, BookUnavailable, CompiledBook, DamagedBookFile, book_path
from pricing.service import Pricing
from tests.pricing.conftest import LEAD
from tests.pricing.test_publication import anvil_at

ROOT = Path(__file__).parents[2]


class Elapsed:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def eventually(what: Callable[[], bool], *, within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not what():  # noqa: ASYNC110 - what is waited for happens in another task, without an event for tests
            await asyncio.sleep(0.01)


@pytest.fixture
async def another_worker(
    database: Database, clock: FixedClock, keyring: Keyring, tmp_path: Path
) -> AsyncIterator[PriceBooks]:
    """A worker on another machine: it shares the database and nothing else, and listens."""
    worker = PriceBooks(database, clock, keyring, folder=tmp_path / "elsewhere", lead=timedelta(seconds=2))
    yield worker
    await worker.stop()


async def test_before_the_first_publication_there_is_no_book(unpublished: Pricing, clock: FixedClock) -> None:
    await unpublished.books.refresh()
    with pytest.raises(NoBookPublished):
        unpublished.books.at(clock.now())


async def test_an_instant_before_the_first_publication_has_no_book(pricing: Pricing, clock: FixedClock) -> None:
    with pytest.raises(NoBookPublished):
        pricing.books.at(clock.now() - timedelta(microseconds=1))


async def test_a_worker_that_never_heard_from_the_database_does_not_guess(books: PriceBooks, clock: FixedClock) -> None:
    with pytest.raises(BookUnavailable):
        books.at(clock.now())


async def test_a_worker_that_lost_touch_for_the_lead_time_answers_503_until_it_hears_again(
    database: Database, clock: FixedClock, keyring: Keyring, tmp_path: Path, first: str
) -> None:
    elapsed = Elapsed()
    worker = PriceBooks(database, clock, keyring, folder=tmp_path / "books", lead=LEAD, elapsed=elapsed)
    await worker.refresh()
    elapsed.seconds = worker.silence.total_seconds()
    assert worker.at(clock.now()).root == first
    elapsed.seconds += 0.001
    with pytest.raises(BookUnavailable):
        worker.at(clock.now())
    await worker.refresh()
    assert worker.at(clock.now()).root == first


async def test_a_worker_elsewhere_learns_of_a_publication_compiles_it_and_switches_at_the_instant(
    pricing: Pricing, another_worker: PriceBooks, clock: FixedClock, first: str
) -> None:
    await another_worker.start()
    assert another_worker.at(clock.now()).root == first

    published = await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant")
    new = "sha256:" + published.root.hex()
    await eventually(lambda: len(another_worker.published()) == 2)

    assert another_worker.at(clock.now()).root == first
    await eventually(lambda: book_path(another_worker._folder, new).exists())
    assert another_worker.at(published.effective_at).root == new


async def test_a_worker_whose_listening_connection_is_cut_connects_again(
    pricing: Pricing,
    another_worker: PriceBooks,
    clock: FixedClock,
    server: EmbeddedServer,
    database_name: str,
) -> None:
    await another_worker.start()
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and query like '%%LISTEN%%'"
            " or datname = %s and query like '%%price_publication%%'",
            (database_name, database_name),
        )
    heard = another_worker._heard
    await eventually(lambda: another_worker._heard != heard)
    await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant")
    await eventually(lambda: len(another_worker.published()) == 2)
    assert another_worker.at(clock.now())


async def test_a_log_entry_that_the_house_did_not_sign_is_not_believed(
    database: Database, clock: FixedClock, first: str, tmp_path: Path
) -> None:
    stranger = Keyring.generate(now=clock.now())
    worker = PriceBooks(database, clock, stranger, folder=tmp_path / "strange", lead=LEAD)
    await worker.refresh()
    assert worker.published() == ()
    with pytest.raises(BookUnavailable):
        worker.at(clock.now())
    assert first


async def test_a_request_keeps_its_book_while_newer_ones_come_and_its_file_goes(
    pricing: Pricing, clock: FixedClock, first: str
) -> None:
    in_use = pricing.books.at(clock.now())
    published = await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant")
    clock.set(published.effective_at)
    book_path(pricing.books._folder, first).unlink()
    pricing.books._open.clear()

    assert pricing.books.at(clock.now()) is not in_use
    entry = in_use.entry("ANVIL-50")
    assert entry is not None
    assert entry.rows


async def test_the_book_of_a_past_instant_is_compiled_again_when_its_file_is_gone(
    pricing: Pricing, clock: FixedClock, first: str
) -> None:
    before = clock.now()
    published = await pricing.publish(await anvil_at(pricing, "90"), by=None, acknowledge="As meant")
    clock.set(published.effective_at)
    book_path(pricing.books._folder, first).unlink()
    pricing.books._open.clear()

    with pytest.raises(BookUnavailable):
        pricing.books.at(before)
    assert (await pricing.books.past(before)).root == first
    assert pricing.books.at(before).root == first


async def test_a_root_that_was_never_published_is_unknown(pricing: Pricing) -> None:
    with pytest.raises(UnknownBook):
        pricing.books.by_root("sha256:" + "00" * 32)
    with pytest.raises(UnknownBook):
        await pricing.books.load("sha256:" + "00" * 32)


async def test_a_damaged_file_is_compiled_again_at_start(
    database: Database, clock: FixedClock, keyring: Keyring, tmp_path: Path, first: str
) -> None:
    path = book_path(tmp_path / "books", first)
    path.write_bytes(path.read_bytes()[:-10])
    worker = PriceBooks(database, clock, keyring, folder=tmp_path / "books", lead=LEAD)
    await worker.start()
    try:
        assert worker.at(clock.now()).entry("ANVIL-50") is not None
    finally:
        await worker.stop()


def damage_the_record_of(sku: str, path: Path) -> None:
    """In the file as it is mapped, not in a copy that takes its place."""
    with path.open("r+b") as file:
        at = file.read().index(b"\x00" + sku.encode()) + 1 + len(sku)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


async def test_a_record_damaged_while_the_book_is_in_use_is_a_503_once_and_then_the_book_is_compiled_again(
    database: Database, clock: FixedClock, keyring: Keyring, tmp_path: Path, first: str
) -> None:
    path = book_path(tmp_path / "books", first)
    worker = PriceBooks(database, clock, keyring, folder=tmp_path / "books", lead=timedelta(seconds=2))
    await worker.start()
    try:
        damaged = worker.at(clock.now())
        damage_the_record_of("ANVIL-50", path)
        with pytest.raises(DamagedBookFile) as refusal:
            await asyncio.to_thread(damaged.entry, "ANVIL-50")  # as pages that price in a thread do
        assert refusal.value.status == 503
        await eventually(lambda: first in worker._open)
        whole = worker.at(clock.now())
        assert whole is not damaged
        assert whole.entry("ANVIL-50") is not None
        with pytest.raises(DamagedBookFile):  # who holds the old one is told again, and the new file stays
            damaged.entry("ANVIL-50")
        assert path.exists()
        assert worker.at(clock.now()) is whole
    finally:
        await worker.stop()


async def test_what_a_killed_compiler_left_is_removed_and_only_the_newest_files_stay(
    database: Database, clock: FixedClock, keyring: Keyring, tmp_path: Path, first: str
) -> None:
    folder = tmp_path / "books"
    (folder / f"half.written{UNFINISHED}").write_bytes(b"half")
    for number in range(FILES_KEPT + 5):
        old = folder / f"{number:064}.book"
        old.write_bytes(b"old")
        os.utime(old, (number, number))
    worker = PriceBooks(database, clock, keyring, folder=folder, lead=LEAD)
    await worker.start()
    await worker.stop()
    assert not list(folder.glob(f"*{UNFINISHED}"))
    assert len(list(folder.glob("*.book"))) == FILES_KEPT
    assert book_path(folder, first).exists()


@pytest.mark.slow
async def test_a_compiler_killed_before_its_file_is_in_place_leaves_no_lock_and_no_half_file(
    database: Database, clock: FixedClock, keyring: Keyring, tmp_path: Path, first: str
) -> None:
    """kill -9 with the folder's lock held and the file half written: the next process neither waits nor is fooled."""
    folder = tmp_path / "books"
    book_path(folder, first).unlink()
    script = textwrap.dedent(
        """
        import fcntl, sys, time
        from pathlib import Path
        folder = Path(sys.argv[1])
        lock = (folder / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / ("0123.half" + sys.argv[2])).write_bytes(b"TARIFABOOK")
        print("held", flush=True)
        time.sleep(60)
        """
    )
    killed = subprocess.Popen(  # noqa: ASYNC220 - nothing else waits meanwhile
        [sys.executable, "-c", script, str(folder), UNFINISHED], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "held\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()

    worker = PriceBooks(database, clock, keyring, folder=folder, lead=LEAD)
    async with asyncio.timeout(5):
        await worker.start()
    await worker.stop()
    assert CompiledBook(book_path(folder, first), root=first).entry("ANVIL-50") is not None
    assert not list(folder.glob(f"*{UNFINISHED}"))
