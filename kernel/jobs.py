"""Work that follows a commit: enqueued inside the business transaction, done by a worker, at least once.

A job exists exactly when its transaction committed, for enqueueing is an INSERT beside the business rows
(procrastinate's SQL function). A worker killed half-way leaves its job to the next one, which begins it anew: a handler
is one idempotent step.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import msgspec
import procrastinate
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from kernel.db import libpq_url

Handler = Callable[..., Awaitable[None]]
log = structlog.get_logger(__name__)

DEFAULT: Final = "default"
ATTEMPTS: Final = 14  # waits of 2, 4, 8 ... seconds: the last one some four hours
STALLED_SWEEP_CRON: Final = "* * * * *"
SHUTDOWN_SECONDS: Final = 5.0

DEFER: Final = (
    "procrastinate_defer_jobs_v1(array[row(:queue, :task, 0, cast(:lock as text), null,"
    " cast(:args as jsonb), cast(:run_at as timestamptz))::procrastinate_job_to_defer_v1])"
)
"""Enqueues one job, in a statement that writes other rows too; `to_defer` gives its values."""
_ENQUEUE = text(f"select {DEFER}")


async def enqueue(
    session: AsyncSession,
    task: str,
    args: dict[str, Any],
    *,
    lock: str | None = None,
    run_at: datetime | None = None,
    queue: str = DEFAULT,
) -> None:
    """Put a job into the caller's transaction.

    *lock*: jobs of one lock run one at a time, in order. *run_at*: not before this instant of the database's clock.
    *queue*: jobs of one queue wait for each other's workers, not for those of another.
    """
    await session.execute(_ENQUEUE, to_defer(task, args, lock=lock, run_at=run_at, queue=queue))


def to_defer(
    task: str,
    args: dict[str, Any],
    *,
    lock: str | None = None,
    run_at: datetime | None = None,
    queue: str = DEFAULT,
) -> dict[str, Any]:
    """The values of `DEFER`, as `enqueue` takes them."""
    encoded = msgspec.json.encode(args).decode()
    return {"queue": queue, "task": task, "lock": lock, "args": encoded, "run_at": run_at}


class Jobs:
    """The worker side: handlers by task name, run beside the web server or in a process of their own."""

    def __init__(self, url: str, *, concurrency: int = 4, queues: Mapping[str, int] | None = None) -> None:
        """*queues*: those besides the default one, and how many of its jobs each does at once."""
        self._queues = {DEFAULT: concurrency, **(queues or {})}
        size = sum(self._queues.values()) + 2 * len(self._queues)
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=libpq_url(url), min_size=1, max_size=size)
        )
        self.periodic("retry_stalled_jobs", STALLED_SWEEP_CRON, self.retry_stalled)

    def register(self, task: str, handler: Handler) -> None:
        """Have *handler* do the jobs named *task*; it gets their arguments by keyword, and again if it raises."""
        retry = procrastinate.RetryStrategy(max_attempts=ATTEMPTS, exponential_wait=2)
        self._app.task(name=task, retry=retry)(handler)

    def periodic(self, task: str, cron: str, handler: Handler) -> None:
        """Have *handler* run at the instants of *cron* (five fields, or six with seconds last), once among workers."""

        async def run(timestamp: int) -> None:  # noqa: ARG001 - procrastinate passes the instant it was due
            await handler()

        self._app.periodic(cron=cron)(self._app.task(name=task, queueing_lock=task)(run))

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Work while the block lasts; what is in hand at its end gets a few seconds."""
        async with self._app.open_async():
            tasks = [asyncio.create_task(self._work(queue, number)) for queue, number in self._queues.items()]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError):
                        await task

    async def run_pending(self) -> None:
        """Do what is due now and return: for tests and for the command line."""
        async with self._app.open_async():
            await self._app.run_worker_async(
                wait=False, listen_notify=False, install_signal_handlers=False, delete_jobs="successful"
            )

    async def _work(self, queue: str, concurrency: int) -> None:
        await self._app.run_worker_async(
            queues=[queue],
            name=queue,
            concurrency=concurrency,
            install_signal_handlers=False,
            delete_jobs="successful",
            shutdown_graceful_timeout=SHUTDOWN_SECONDS,
        )

    async def retry_stalled(self) -> None:
        """Have the jobs that died with their workers done anew: each minute, within `worker`."""
        for job in await self._app.job_manager.get_stalled_jobs():
            log.warning("job stalled, started anew", task=job.task_name, job=job.id)
            await self._app.job_manager.retry_job(job)
