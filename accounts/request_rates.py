"""How many requests a caller of the API may make in a minute, over all workers together.

Counted in the database, but not at every request: a worker takes a twentieth of the minute's requests at a time and
gives them out itself, so a caller may be held back a little early when several workers have some left, and never late.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy.exc import SQLAlchemyError

from accounts import store
from accounts.limits import Limit, TooManyAttempts
from kernel.db import Database, for_accounts

log = structlog.get_logger(__name__)
WINDOW: Final = timedelta(minutes=1)
PARTS: Final = 20
CALLERS_KEPT: Final = 10_000


class TooManyRequests(TooManyAttempts):
    problem = "too-many-requests"
    title = "Too many requests"


class Allowance(msgspec.Struct, frozen=True):
    """What a caller has: *remaining* of *limit* requests until the window ends in *seconds*."""

    limit: int
    remaining: int
    seconds: int


class _Counter:
    """One caller's requests in this worker: *left* of what it took from the database."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.ends_at: datetime | None = None
        self.left = 0
        self.taken = 0
        """By all workers, as the database said last."""


class RequestRates:
    """*workers*: how many processes share each caller's requests."""

    def __init__(self, db: Database, *, workers: int) -> None:
        self._db = db
        self._workers = workers
        self._counters: dict[str, _Counter] = {}

    async def count(self, caller: str, limit: int, now: datetime) -> Allowance:
        """Count one request of *caller*, who may make *limit* in a minute. While the database cannot be asked, nobody
        is held back: prices are answered from memory, and are worth more than a limit.

        :raises TooManyRequests: when there are no more until the minute has passed
        """
        counter = self._counter(caller)
        if counter.left and counter.ends_at is not None and now < counter.ends_at:
            counter.left -= 1
        else:
            async with counter.lock:
                try:
                    await self._take(counter, caller, limit, now)
                except (SQLAlchemyError, OSError):
                    log.exception("requests are not counted")
                    return Allowance(limit, limit, int(WINDOW.total_seconds()))
        assert counter.ends_at is not None, "set when requests were taken"
        seconds = max(1, -int((now - counter.ends_at).total_seconds() // 1))
        return Allowance(limit, max(0, limit - counter.taken) + counter.left, seconds)

    async def _take(self, counter: _Counter, caller: str, limit: int, now: datetime) -> None:
        fresh = counter.ends_at is None or now >= counter.ends_at
        if counter.left and not fresh:  # somebody took some while this one waited
            counter.left -= 1
            return
        if not fresh and counter.taken >= limit:
            assert counter.ends_at is not None, "or it were fresh"
            raise TooManyRequests(counter.ends_at, now)
        part = max(1, limit // (PARTS * self._workers))
        async with self._db.begin(for_accounts()) as session:
            counter.ends_at, taken = await store.count_attempts(
                session, Limit("api_requests", limit, WINDOW), caller, now, part
            )
        counter.taken = min(taken, limit)
        counter.left = max(0, part - max(0, taken - limit))
        if not counter.left:
            raise TooManyRequests(counter.ends_at, now)
        counter.left -= 1

    def _counter(self, caller: str) -> _Counter:
        found = self._counters.get(caller)
        if found is None:
            if len(self._counters) >= CALLERS_KEPT:
                del self._counters[next(iter(self._counters))]
            found = self._counters[caller] = _Counter()
        return found
