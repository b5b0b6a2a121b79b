"""Journey events of pages that otherwise write nothing: noted in memory, written together once a second.

A view must not cost a database write while the reader waits. What a kill -9 loses is at most the last second of views;
events of acts (carted, accepted, paid) are written in the act's own transaction instead.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import sqlalchemy as sa
import structlog

from kernel.clock import Clock
from kernel.db import Database, for_visitor
from kernel.events import NAMES, JourneyEvent
from kernel.ids import new_id

log = structlog.get_logger(__name__)
FLUSH_SECONDS: Final = 1.0
WAITING_MOST: Final = 10_000
AUDITOR: Final = uuid.UUID(int=1)
"""The journey of the price audit, which is nobody's: its views are not noted."""


class Journey:
    """The buffer of one process."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._waiting: list[dict[str, Any]] = []  # rows, for an object of the table's class takes longer than its note
        self._dropped = 0

    def note(self, name: str, *, journey: uuid.UUID, **properties: Any) -> None:
        """Keep an event to be written soon.

        :raises ValueError: when *name* is none of `kernel.events.NAMES`
        """
        if name not in NAMES:
            raise ValueError(f"{name} is no journey event; see kernel.events.NAMES")
        if journey == AUDITOR:
            return
        if len(self._waiting) >= WAITING_MOST:
            self._dropped += 1
            return
        self._waiting.append(
            {"id": new_id(), "at": self._clock.now(), "journey": journey, "name": name, "properties": properties}
        )

    async def flush(self) -> None:
        """Write what is waiting."""
        batch, self._waiting = self._waiting, []
        dropped, self._dropped = self._dropped, 0
        if dropped:
            log.warning("journey events dropped: the database is too slow for them", dropped=dropped)
        if batch:
            async with self._db.begin(for_visitor()) as session:
                await session.execute(sa.insert(JourneyEvent), batch)

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Write at a steady beat while the block lasts, and the rest at its end."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - events must never stop the shop
                log.warning("journey events could not be written", error=type(error).__name__)
