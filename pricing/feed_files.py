"""Whole feeds as files: each is made once, read while it is being made, and kept for who asks for the same again.

A name stands for the bytes: it is made of the book's root, the reader, the currency and whatever else they depend on,
so no reader is ever given another's. Several workers may make the same file; the bytes are equal and the last one
stays. A file that nobody waits for any more is not made to its end.
"""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

BYTES_KEPT: Final = 2_000_000_000
"""Of all files together; the ones asked for last stay."""
MADE_AT_ONCE: Final = 2
"""By one worker: each takes its share of the processor from the other requests."""
PIECE: Final = 1 << 17
_UNFINISHED: Final = ".unfinished"
_LOCK: Final = ".lock"

log = structlog.get_logger(__name__)

Make = Callable[[], AsyncIterator[bytes]]


class FeedFiles:
    """The feed files in *folder*, which all workers of a machine share."""

    def __init__(self, folder: Path, *, bytes_kept: int = BYTES_KEPT) -> None:
        self._folder = folder
        self._bytes_kept = bytes_kept
        self._making: dict[str, _Growing] = {}
        self._turns = asyncio.Semaphore(MADE_AT_ONCE)

    def find(self, name: str) -> Path | None:
        """The finished file of that name."""
        path = self._folder / name
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    async def read(self, name: str, make: Make) -> AsyncIterator[bytes]:
        """The bytes of the file of that name, from what is there or is being made, or else made by *make*.

        :raises FeedNotMade: when it could not be made to its end
        """
        path = self.find(name)
        if path is not None:
            async for piece in read_part(path, 0, path.stat().st_size):
                yield piece
            return
        growing = self._making.get(name) or self._begin(name, make)
        growing.readers += 1
        file = os.dup(growing.file)
        try:
            async for piece in growing.read(file):
                yield piece
        finally:
            os.close(file)
            growing.readers -= 1
            if not growing.readers and not growing.ended:
                self._making.pop(name, None)
                growing.abandon()

    def _begin(self, name: str, make: Make) -> "_Growing":
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            file, path = tempfile.mkstemp(dir=self._folder, suffix=_UNFINISHED)
            fcntl.flock(file, fcntl.LOCK_EX)  # says that somebody is at work on it
        growing = self._making[name] = _Growing(file, Path(path))
        growing.task = asyncio.create_task(self._make(growing, name, make))
        return growing

    async def _make(self, growing: "_Growing", name: str, make: Make) -> None:
        failure: BaseException | None = None
        try:
            async with self._turns:
                async for piece in make():
                    os.write(growing.file, piece)
                    await growing.grow(len(piece))
            growing.path.replace(self._folder / name)
        except asyncio.CancelledError as error:  # nobody waits for it any more
            failure = error
        except Exception as error:
            failure = error
            log.exception("feed_not_made", error=repr(error))
        finally:
            os.close(growing.file)
            if self._making.get(name) is growing:
                del self._making[name]
        if failure is not None:
            growing.path.unlink()
        await growing.end(failure)
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        """Remove what nobody asked for lately, and what a killed worker left."""
        kept = 0
        with self._alone():
            for path in self._folder.glob(f"*{_UNFINISHED}"):
                if _is_abandoned(path):
                    path.unlink(missing_ok=True)  # its maker may have given it up just now
            finished = [path for path in self._folder.iterdir() if path.suffix not in {"", _UNFINISHED}]
            files = [(path.stat(), path) for path in finished]
            for status, path in sorted(files, key=lambda pair: -pair[0].st_mtime):
                kept += status.st_size
                if kept > self._bytes_kept and kept > status.st_size:
                    path.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder, for moments: a file is never seen between its making and its lock."""
        with (self._folder / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _is_abandoned(path: Path) -> bool:
    """Whether nobody holds the lock of a file that is being made: its worker is gone."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    return False


async def read_part(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes of a finished file from *start* to before *end*."""
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (piece := await asyncio.to_thread(file.read, min(PIECE, end - start))):
            start += len(piece)
            yield piece


class FeedNotMade(Exception):
    """The file that a reader followed could not be made to its end; its connection breaks off."""


class _Growing:
    """A file being made, and those who read it meanwhile."""

    def __init__(self, file: int, path: Path) -> None:
        self.file = file
        self.path = path
        self.size = 0
        self.ended = False
        self.readers = 0
        self.task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._news = asyncio.Condition()

    async def grow(self, size: int) -> None:
        self.size += size
        async with self._news:
            self._news.notify_all()

    async def end(self, failure: BaseException | None) -> None:
        self._failure, self.ended = failure, True
        async with self._news:
            self._news.notify_all()

    def abandon(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def read(self, file: int) -> AsyncIterator[bytes]:
        """What *file* holds, and what is still to come."""
        sent = 0
        while True:
            while sent < self.size:
                piece = os.pread(file, min(PIECE, self.size - sent), sent)
                sent += len(piece)
                yield piece
            if self.ended:
                break
            async with self._news:
                while self.size == sent and not self.ended:
                    await self._news.wait()
        if self._failure is not None:
            raise FeedNotMade("the feed could not be made") from self._failure
