"""Which book is in force at an instant, in every worker alike.

A worker learns of publications by a notification and, as notifications can be lost, by asking at a steady beat on a
connection of its own. A publication is committed before `effective_at` minus the *silence* allowed here; a worker that
last asked within that silence therefore knows every publication in force, and one that did not answers 503 rather
than guess. All switch at the same instant, because the instant of the request picks the book, not its arrival.
"""

import asyncio
import fcntl
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import structlog

from kernel.clock import Clock
from kernel.collector import collector_at_rest
from kernel.db import Database, for_staff, libpq_url
from kernel.errors import NotFound, Unavailable
from kernel.listening import since_boot
from kernel.signing import Keyring, Signature
from pricing import store
from pricing.compiled import (
    SUFFIX,
    UNFINISHED,
    BookUnavailable,
    CompiledBook,
    DamagedBookFile,
    book_path,
    write_book,
)
from pricing.content import Kept, publication_message, root_bytes, root_text, unpacked
from pricing.engine.book import BookContent

SILENCE_SHARE: Final = 0.8
"""The part of the lead time a worker may go without hearing; the rest is the time a commit may take."""
BOOKS_OPEN: Final = 6
FILES_KEPT: Final = 12

log = structlog.get_logger(__name__)


class NoBookPublished(Unavailable):
    problem = "no-price-book"
    title = "No prices were in force at that time"


class UnknownBook(NotFound):
    problem = "price-book-not-found"
    title = "There is no such price book"


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """A publication as the workers need it. Its book is in force from *effective_at* until the next one's."""

    number: int
    root: str
    effective_at: datetime


class PriceBooks:
    """The published books of this installation; one instance a process, started once.

    *folder* holds the compiled files and is shared by all workers of a machine. *elapsed* counts seconds.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        keyring: Keyring,
        *,
        folder: Path,
        lead: timedelta,
        elapsed: Callable[[], float] = since_boot,
    ) -> None:
        self.lead = lead
        self.silence = lead * SILENCE_SHARE
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._folder = folder
        self._elapsed = elapsed
        self._heard: float | None = None
        self._log: tuple[InForce, ...] = ()
        self._effective: list[datetime] = []
        self._open: dict[str, CompiledBook] = {}
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- What everyone asks ---

    def at(self, instant: datetime) -> CompiledBook:
        """The book in force at *instant*; for an instant to come, the one that will be, should nothing be published.

        :raises NoBookPublished: when none was in force yet
        :raises BookUnavailable: when this worker has not heard from the database for too long, or the book is not
            compiled yet (for a past instant: `await past(instant)` compiles it)
        """
        return self.by_root(self.in_force(instant).root)

    def in_force(self, instant: datetime) -> InForce:
        """The publication whose book is in force at *instant*.

        :raises NoBookPublished: when none was in force yet
        :raises BookUnavailable: when this worker has not heard from the database for too long
        """
        if self._heard is None or self._elapsed() - self._heard > self.silence.total_seconds():
            raise BookUnavailable("This server has lost touch with its price log. Try again in a few seconds.")
        found = bisect_right(self._effective, instant)
        if not found:
            raise NoBookPublished("No price book was in force at that time. Publish one first.")
        return self._log[found - 1]

    def upcoming(self, at: datetime) -> tuple[InForce, ...]:
        """Publications that take effect after *at*, the next first."""
        return self._log[bisect_right(self._effective, at) :]

    def published(self) -> tuple[InForce, ...]:
        """All publications known, in order."""
        return self._log

    def by_root(self, root: str) -> CompiledBook:
        """The book of a published root, in force or not.

        :raises UnknownBook: when no publication has this root
        :raises BookUnavailable: when it is not compiled on this machine (`await load(root)` compiles it)
        """
        book = self._open.get(root)
        if book is not None:
            return book
        if all(entry.root != root for entry in self._log):
            raise UnknownBook(f"No published price book has the root {root}.")
        book = self._compiled(root)
        if book is None:
            self._news.set()
            raise BookUnavailable("This price book is being prepared. Try again in a few seconds.")
        self._keep_open(book)
        return book

    async def past(self, instant: datetime) -> CompiledBook:
        """As `at`, compiling the book again when its file was tidied away.

        :raises NoBookPublished: as `at`
        :raises BookUnavailable: as `in_force`
        """
        return await self.load(self.in_force(instant).root)

    async def load(self, root: str) -> CompiledBook:
        """As `by_root`, compiling the book when this machine has no file of it.

        :raises UnknownBook: when the database holds no such content
        """
        book = self._open.get(root) or await asyncio.to_thread(self._compiled, root)
        if book is None:
            async with self._db.begin(for_staff()) as session:
                kept = await store.find_content(session, root_bytes(root))
            if kept is None:
                raise UnknownBook(f"No price book has the root {root}.")
            book = await asyncio.to_thread(self._compile_kept, root, kept)
        self._keep_open(book)
        return book

    async def compile(self, content: BookContent, root: str) -> CompiledBook:
        """Make the file of *content*, which is what *root* names and in which `check` found no error, before it is
        published.

        :raises BookError: when its frame cannot be priced
        """
        return await asyncio.to_thread(self._compile, root, lambda: content, sound=True)

    # --- Life ---

    async def start(self) -> None:
        """Learn all publications, compile what is missing, then keep up until `stop`."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._tidy)
        await self.refresh()
        self._tasks = (asyncio.create_task(self._listen()), asyncio.create_task(self._keep_prepared()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = ()

    async def refresh(self) -> None:
        """Ask the database now, and have the books in force and upcoming ready when this returns."""
        asked = self._elapsed()
        async with self._db.begin(for_staff()) as session:
            rows = await store.list_publications_after(session, self._last_number())
        self._learn(rows, asked)
        await self._prepare()

    # --- Below: how it keeps up ---

    def _last_number(self) -> int:
        return self._log[-1].number if self._log else 0

    def _learn(self, rows: Iterable[tuple[int, bytes, datetime, bytes, str]], asked: float) -> None:
        """Take in new log entries, asked for at *asked*. An entry that the house did not sign is not believed: the
        worker falls silent and says so, for any other answer would be a guess.
        """
        for number, root, effective_at, signature, key_id in rows:
            if number <= self._last_number():
                continue
            entry = InForce(number=number, root=root_text(root), effective_at=effective_at.astimezone(UTC))
            message = publication_message(entry.number, entry.root, entry.effective_at)
            if not self._keyring.verify("publication", Signature(key_id, bytes(signature)), message):
                log.error("price_publication_not_ours", number=number, root=entry.root, key_id=key_id)
                return
            self._log = (*self._log, entry)
            self._effective.append(entry.effective_at)
            self._news.set()
        self._heard = asked if self._heard is None else max(self._heard, asked)

    def _wanted(self) -> list[str]:
        """Roots in force now and upcoming."""
        now = self._clock.now()
        found = bisect_right(self._effective, now)
        return [entry.root for entry in self._log[max(found - 1, 0) :]]

    async def _prepare(self) -> None:
        for root in self._wanted():
            await self.load(root)

    def _keep_open(self, book: CompiledBook) -> None:
        """Requests hold their book themselves; here the least lately opened one that is not wanted goes."""
        self._open[book.root] = book
        wanted = self._wanted()
        for root in [root for root in self._open if root not in wanted and root != book.root]:
            if len(self._open) <= BOOKS_OPEN:
                break
            del self._open[root]

    async def _listen(self) -> None:
        beat = min(self.lead.total_seconds() / 5, 2.0)
        dsn = libpq_url(self._db.engine.url.render_as_string(hide_password=False))
        while True:
            try:
                # A connection that hangs is as good as none: nothing may take longer than the silence allowed.
                patience = max(self.silence.total_seconds(), 1.0)
                async with asyncio.timeout(patience):
                    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
                async with connection:
                    async with asyncio.timeout(patience):
                        await connection.execute("LISTEN price_publication")
                    while True:
                        async with asyncio.timeout(patience):
                            await self._ask(connection)
                        async for _ in connection.notifies(timeout=beat, stop_after=1):
                            pass
            except (psycopg.Error, TimeoutError, OSError) as error:
                log.warning("price_log_unheard", error=type(error).__name__)
                await asyncio.sleep(beat)

    async def _ask(self, connection: psycopg.AsyncConnection) -> None:
        asked = self._elapsed()
        cursor = await connection.execute(
            "SELECT number, root, effective_at, signature, key_id FROM price_publication WHERE number > %s"
            " ORDER BY number",
            (self._last_number(),),
        )
        self._learn(await cursor.fetchall(), asked)

    async def _keep_prepared(self) -> None:
        """Compile and open what was published; tries again, since without it the instant brings a 503."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._prepare()
            except Exception as error:
                log.exception("price_book_not_prepared", error=repr(error))
                await asyncio.sleep(1)
                self._news.set()

    # --- Files (in threads) ---

    def _compiled(self, root: str) -> CompiledBook | None:
        try:
            return self._opened(book_path(self._folder, root), root)
        except (FileNotFoundError, DamagedBookFile):
            return None

    def _opened(self, path: Path, root: str) -> CompiledBook:
        return CompiledBook(path, root=root, on_damage=self._drop)

    def _drop(self, book: CompiledBook) -> None:
        """*book* has read a damaged record, in whatever thread: the request that met it answers 503, and the book is
        compiled again. The file goes only if it is the damaged one: another worker may have put a whole one there.
        """
        log.error("price_book_damaged", root=book.root)
        path = book_path(self._folder, book.root)
        if book.same_file(path):  # without the folder's lock, for which a request must not wait
            path.unlink(missing_ok=True)
        if self._open.get(book.root) is book:
            del self._open[book.root]
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    def _compile_kept(self, root: str, kept: Kept) -> CompiledBook:
        return self._compile(root, lambda: unpacked(kept, self._keyring))

    def _compile(self, root: str, content: Callable[[], BookContent], *, sound: bool = False) -> CompiledBook:
        """One process of a machine compiles, others wait and find its file."""
        with self._alone(), collector_at_rest():
            book = self._compiled(root)
            return book or self._opened(write_book(content(), root, self._folder, sound=sound), root)

    def _tidy(self) -> None:
        """Remove what a killed compiler left, and the oldest files. Mapped files live on for who uses them."""
        with self._alone():
            for unfinished in self._folder.glob(f"*{UNFINISHED}"):
                unfinished.unlink(missing_ok=True)
            files = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in files[FILES_KEPT:]:
                old.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder: the kernel lets go of the lock when a process dies, however it dies."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
