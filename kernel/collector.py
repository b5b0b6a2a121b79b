"""Rest for the garbage collector while a book of a million objects is worked on.

It looks for cycles each time the heap has grown by a quarter, and a book has none: a third of the time to check one
went into looking. Requests served meanwhile leave their few cycles until it wakes.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_resting = 0


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """While any thread is in here, the collector runs for none."""
    global _resting  # noqa: PLW0603 - the collector is the process's, and so is the count of who wants it to rest
    with _lock:
        _resting += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _resting -= 1
            if not _resting:
                gc.enable()
