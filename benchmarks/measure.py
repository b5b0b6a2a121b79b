"""Times, as a median and a 99th percentile, and as a ratio to a baseline of the same run."""

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """*seconds*: of each round, ascending. *per_second*: over the whole run, all connections together."""

    name: str
    seconds: tuple[float, ...]
    per_second: float
    baseline: "Timing | None" = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * 0.99))]

    @property
    def ratio(self) -> float | None:
        """How many baselines one round takes; for many at once, how many baselines are served in its place."""
        return None if self.baseline is None else self.median / self.baseline.median


def timed(name: str, work: Callable[[int], object], *, rounds: int, baseline: Timing | None = None) -> Timing:
    """Run *work* with the numbers of its rounds, after a tenth of them unmeasured."""
    for number in range(max(rounds // 10, 3)):
        work(number)
    gc.collect()
    seconds = []
    started = time.perf_counter()
    for number in range(rounds):
        before = time.perf_counter()
        work(number)
        seconds.append(time.perf_counter() - before)
    return _timing(name, seconds, time.perf_counter() - started, baseline)


async def timed_together(
    name: str,
    askers: Sequence[Callable[[int], Awaitable[object]]],
    *,
    rounds: int,
    baseline: Timing | None = None,
) -> Timing:
    """As `timed`, with all *askers* at once, each on its share of the rounds."""
    seconds: list[float] = []

    async def run(ask: Callable[[int], Awaitable[object]], share: range, *, measured: bool) -> None:
        for number in share:
            before = time.perf_counter()
            await ask(number)
            if measured:
                seconds.append(time.perf_counter() - before)

    for count, measured in ((max(rounds // 10, 3), False), (rounds, True)):
        started = time.perf_counter()
        await asyncio.gather(
            *(run(ask, range(first, count, len(askers)), measured=measured) for first, ask in enumerate(askers))
        )
        whole = time.perf_counter() - started
    return _timing(name, seconds, whole, baseline)


def measured(name: str, seconds: list[float], baseline: Timing | None = None) -> Timing:
    """Rounds that were timed one after another by the caller; the first tenth is left out."""
    kept = seconds[len(seconds) // 10 :]
    return _timing(name, kept, sum(kept), baseline)


def _timing(name: str, seconds: list[float], whole: float, baseline: Timing | None) -> Timing:
    return Timing(name=name, seconds=tuple(sorted(seconds)), per_second=len(seconds) / whole, baseline=baseline)


def table(timings: Sequence[Timing]) -> str:
    """One line a timing; a baseline stands before what is compared with it."""
    width = max(len(timing.name) for timing in timings)
    lines = [f"{'':{width}}  {'median ms':>10}  {'p99 ms':>9}  {'per second':>11}  ratio to baseline"]
    for timing in timings:
        ratio = (
            "" if timing.ratio is None else f"{timing.ratio:.1f} x {timing.baseline.name if timing.baseline else ''}"
        )
        lines.append(
            f"{timing.name:{width}}  {timing.median * 1e3:>10.3f}  {timing.p99 * 1e3:>9.3f}"
            f"  {timing.per_second:>11,.0f}  {ratio}"
        )
    return "\n".join(lines)
