"""What a worker costs in memory, measured in processes of their own."""

import gc
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import msgspec

MB: Final = 1e6


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """In bytes: *private* belongs to this process alone (`Private_*` of the kernel's account), *shared* is mapped by
    others too, and goes when memory is short. *own* is what no file stands behind: a mapped book that nobody else reads
    counts as private, but goes when memory is short all the same.
    """

    private: int
    shared: int
    own: int


def memory() -> Memory:
    """Of this process."""
    found: dict[str, int] = {}
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, _, amount = line.partition(":")
        found[name] = int(amount.split()[0]) * 1024
    return Memory(
        private=found["Private_Clean"] + found["Private_Dirty"],
        shared=found["Shared_Clean"] + found["Shared_Dirty"],
        own=found["Anonymous"],
    )


def in_workers(work: Callable[..., tuple[Any, object]], *arguments: Any, count: int = 2) -> list[tuple[Any, Memory]]:
    """Run *work* in *count* fresh processes at once. It returns what is wanted of it, and what is to be kept alive
    while memory is measured; all processes live then, so that what they share counts as shared.
    """
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=_worker, args=(there, work, arguments)) for _, there in pipes]
    for process in processes:
        process.start()
    answers: list[tuple[Any, Memory]] = []
    for _ in ("worked", "measured", "answered"):
        answers = [here.recv() for here, _ in pipes]
        for here, _ in pipes:
            here.send("go on")
    for process in processes:
        process.join()
    return answers


def _worker(pipe: Connection, work: Callable[..., tuple[Any, object]], arguments: tuple[Any, ...]) -> None:
    result, kept = work(*arguments)
    gc.collect()
    pipe.send("worked")
    pipe.recv()
    used = memory()
    pipe.send("measured")
    pipe.recv()
    pipe.send((result, used))
    pipe.recv()
    del kept
