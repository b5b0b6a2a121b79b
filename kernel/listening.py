"""What the database announces (NOTIFY), heard on a connection of its own, and whether anything can have been missed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg
import structlog
from psycopg import sql

from kernel.db import Database, libpq_url

BEAT: Final = 1.0
SILENCE: Final = 3.0

log = structlog.get_logger(__name__)


def since_boot() -> float:
    """Seconds that also pass while the machine sleeps, and never go back."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Listener:
    """Hears one channel of *db* and calls *told* with what each notice says; with None when any number of notices may
    have been missed, that is, whenever a connection begins or ends.

    PostgreSQL hands a connection the notices of all transactions that committed before a statement, with that
    statement's answer at the latest. A statement goes out every *beat* seconds, so that `hears` is true exactly while
    everything committed more than *silence* seconds ago has been told. *elapsed* counts seconds.
    """

    def __init__(
        self,
        db: Database,
        channel: str,
        told: Callable[[str | None], None],
        *,
        beat: float = BEAT,
        silence: float = SILENCE,
        elapsed: Callable[[], float] = since_boot,
    ) -> None:
        self._dsn = libpq_url(db.engine.url.render_as_string(hide_password=False))
        self._channel = channel
        self._told = told
        self._beat = beat
        self._silence = silence
        self._elapsed = elapsed
        self._heard: float | None = None

    @property
    def hears(self) -> bool:
        return self._heard is not None and self._elapsed() - self._heard <= self._silence

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the block lasts, connecting again whenever the connection is lost."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError, OSError) as error:
                log.warning("notices_unheard", channel=self._channel, error=type(error).__name__)
            finally:
                self._heard = None
                self._told(None)
            await asyncio.sleep(self._beat)

    async def _listen(self) -> None:
        # A connection that hangs is as good as none: nothing may take longer than the silence allowed.
        async with asyncio.timeout(self._silence):
            connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        async with connection:
            async with asyncio.timeout(self._silence):
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self._told(None)
            while True:
                asked = self._elapsed()
                async with asyncio.timeout(self._silence):
                    await self._require_listening(connection)
                    async for notice in connection.notifies(timeout=0):
                        self._told(notice.payload)
                self._heard = asked
                async for notice in connection.notifies(timeout=self._beat):
                    self._told(notice.payload)

    async def _require_listening(self, connection: psycopg.AsyncConnection) -> None:
        """A pooler between us and the database may answer from a connection that does not listen.

        :raises psycopg.OperationalError: when it does
        """
        cursor = await connection.execute("SELECT %s IN (SELECT pg_listening_channels())", (self._channel,))
        if await cursor.fetchone() != (True,):
            raise psycopg.OperationalError("the connection does not listen; is there a pooler before the database?")
