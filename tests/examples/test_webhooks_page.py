"""The receiver of docs/webhooks.md, run as it stands there, takes what we send and nothing else."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from accounts.webhooks.delivery import WAITS
from accounts.webhooks.events import EventType, payload
from accounts.webhooks.secrets import new_secret, signed_headers
from kernel.clock import SystemClock
from kernel.ids import new_id
from kernel.outgoing import PORTS, Sender

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
BODY = payload("order.paid", {"number": "T-2026-000123"}, at=datetime.fromisoformat("2026-11-21T12:00:00Z"))


class Example(msgspec.Struct):
    url: str
    secret: str
    process: "subprocess.Popen[str]"

    async def send(self, *, at: datetime | None = None, body: bytes = BODY, secrets: list[str] | None = None) -> int:
        """Sign BODY, and send *body*."""
        headers = signed_headers(secrets or [self.secret], ID, BODY, at or SystemClock().now())
        status = (await Sender(loopback=True).post(self.url, body, headers)).status
        assert status is not None
        return status


ID = new_id()


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program, secret = tmp_path / "receiver.py", new_secret()
    program.write_text(code)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    give_up = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < give_up
        time.sleep(0.05)
    yield Example(url=f"http://127.0.0.1:{port}/hook", secret=secret, process=process)
    process.kill()
    process.communicate()


async def test_the_receiver_takes_what_is_signed_once_and_refuses_the_rest(example: Example) -> None:
    now = SystemClock().now()

    assert await example.send() == 204
    assert await example.send() == 204, "the same message again"
    assert await example.send(secrets=[new_secret(), example.secret]) == 204, "during a rotation"
    assert await example.send(secrets=[new_secret()]) == 400
    assert await example.send(body=BODY.replace(b"123", b"124")) == 400
    assert await example.send(at=now - timedelta(minutes=6)) == 400

    example.process.terminate()
    said, _ = example.process.communicate(timeout=20)
    assert said.splitlines() == ["order.paid {'number': 'T-2026-000123'}"]


def test_the_page_says_what_the_program_does() -> None:
    text = " ".join(PAGE.read_text().split())

    for event_type in EventType:
        assert f"`{event_type}`" in text
    assert "5 seconds, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and 24 hours" in text
    hours = [wait / timedelta(hours=1) for wait in WAITS[3:]]
    assert hours == [2, 5, 10, 14, 20, 24]
    assert " or ".join(str(port) for port in sorted(PORTS)) in text
