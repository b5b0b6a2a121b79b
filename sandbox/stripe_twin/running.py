"""The twin inside a test's own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.stripe_twin.clock import Clock, system_clock
from sandbox.stripe_twin.server import Server
from sandbox.stripe_twin.twin import Twin


@dataclass(frozen=True)
class RunningTwin:
    """*base_url* goes to the Stripe client, *control* is for the test."""

    base_url: str
    control: Twin


@contextmanager
def running_twin(
    *,
    file: Path,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    clock: Clock = system_clock,
    port: int = 0,
) -> Iterator[RunningTwin]:
    """Serve a twin on a free port (or *port*) of the loopback address until the block ends.

    The same *file* again continues where the last one stopped. *clock* returns aware datetimes, as ``Clock.now`` does.
    """
    server = Server(port)
    twin = Twin(
        file=file, base_url=server.base_url, webhook_url=webhook_url, webhook_secret=webhook_secret, clock=clock
    )
    server.twin = twin
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="stripe-twin", daemon=True
    )
    twin.start()
    thread.start()
    try:
        yield RunningTwin(base_url=server.base_url, control=twin)
    finally:
        server.shutdown()
        thread.join()
        server.close_connections()
        server.server_close()
        twin.stop()
