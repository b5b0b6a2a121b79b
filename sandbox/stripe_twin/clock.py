"""The twin's time: a base clock, moved forwards or backwards by tests."""

import datetime as dt
from collections.abc import Callable

Clock = Callable[[], dt.datetime]


def system_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)  # noqa: TID251 -- the twin is a process of its own, outside kernel.clock's reach


class TwinClock:
    """Unix seconds.

    *shift_seconds* moves what Stripe's objects live by (created, expires_at, retries); signatures of webhooks keep
    the base clock, because the receiver compares them with a clock that was not shifted.
    """

    def __init__(self, base: Clock = system_clock, *, shift_seconds: float = 0.0) -> None:
        self._base = base
        self.shift_seconds = shift_seconds

    def base_seconds(self) -> float:
        return self._base().timestamp()

    def seconds(self) -> float:
        return self.base_seconds() + self.shift_seconds
