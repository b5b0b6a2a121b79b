"""The two servers that are compared: the shop with the big book, and one that only echoes. uvicorn makes either."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from litestar import Litestar, Response, get, post
from litestar.params import FromPath

from kernel.settings import Settings
from pricing.books import InForce, PriceBooks
from pricing.compiled import CompiledBook
from web.app import create_app
from web.http import AnyRequest
from web.services import build

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60.0
_BIG_BOOK: Final = "BENCH_BIG_BOOK"
_BIG_ROOT: Final = "BENCH_BIG_ROOT"
_UNLIMITED: Final = {"API_GUEST_REQUESTS_A_MINUTE": "1000000"}
"""A benchmark asks more often than a guest may."""
_SINCE: Final = datetime(2026, 1, 1, tzinfo=UTC)


class OneBook(PriceBooks):
    """Price books of which the big one is always in force."""

    big: CompiledBook

    def at(self, instant: datetime) -> CompiledBook:  # noqa: ARG002 - whenever
        return self.big

    def in_force(self, instant: datetime) -> InForce:
        return InForce(number=1, root=self.big.root, effective_at=min(instant, _SINCE))

    async def load(self, root: str) -> CompiledBook:  # noqa: ARG002 - there is no other
        return self.big


def shop() -> Litestar:
    """The application as it is served, but for its price book and its background work."""
    services = build(Settings.from_environment())
    books = OneBook.__new__(OneBook)
    books.__dict__.update(services.books.__dict__)
    books.big = CompiledBook(Path(os.environ[_BIG_BOOK]), root=os.environ[_BIG_ROOT])
    services.books = books
    return create_app(services, background=False)


def worker() -> Litestar:
    """The application as it is served, but for its background work."""
    return create_app(build(Settings.from_environment()), background=False)


def echo() -> Litestar:
    """Takes a body and answers as many bytes as it is told: what HTTP costs before anything is priced."""
    bodies: dict[int, bytes] = {}

    @post("/echo/{size:int}", status_code=200)
    async def take(request: AnyRequest, size: FromPath[int]) -> Response[bytes]:
        await request.body()
        return Response(bodies.setdefault(size, b"x" * size), media_type="application/json")

    @get("/echo/{size:int}")
    async def give(size: FromPath[int]) -> Response[bytes]:
        return Response(bodies.setdefault(size, b"x" * size), media_type="text/html")

    @get("/unchanged")
    async def unchanged() -> Response[bytes]:
        return Response(b"", status_code=304, media_type="application/json", headers={"etag": '"x"'})

    return Litestar([take, give, unchanged], openapi_config=None)


@contextmanager
def running(factory: str, *, environment: dict[str, str], book: Path | None = None, root: str = "") -> Iterator[int]:
    """Serve *factory* of this module in a process of its own and answer its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [
            *(sys.executable, "-m", "uvicorn", f"benchmarks.servers:{factory}", "--factory", "--port", str(port)),
            *("--http", "httptools", "--no-access-log", "--log-level", "error", "--no-server-header"),
            *("--timeout-keep-alive", "600"),
        ],
        env=os.environ | _UNLIMITED | environment | {_BIG_BOOK: str(book or ""), _BIG_ROOT: root},
        cwd=Path(__file__).parents[1],
    )
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("A server of the benchmark did not start; what it said stands above.")


class Connection:
    """One kept-alive connection that sends prepared bytes and reads answers with a Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection(HOST, port, limit=2**22))

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the answer's body.

        :raises RuntimeError: for any status but 200
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head.splitlines()[0]!r}: {body[:300]!r}")
        return body

    async def tag_of(self, path: str) -> str:
        """The entity tag that HEAD of *path* says.

        :raises RuntimeError: for any status but 200
        """
        self._writer.write(f"HEAD {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head.splitlines()[0]!r}")
        return head.lower().split(b'etag: "', 1)[1].split(b'"', 1)[0].decode()

    async def ask_unchanged(self, request: bytes) -> None:
        """Send a request whose answer is 304, which has no body.

        :raises RuntimeError: for any other status
        """
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 304"):
            raise RuntimeError(f"{head.splitlines()[0]!r}")

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def post_bytes(path: str, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """A POST of JSON as it goes over the wire."""
    said = {"Host": HOST, "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def bytes_unchanged(path: str, tag: str) -> bytes:
    """A GET that asks whether a copy with this entity tag is still right."""
    return f'GET {path} HTTP/1.1\r\nHost: {HOST}\r\nIf-None-Match: "{tag}"\r\n\r\n'.encode()


def get_bytes(path: str) -> bytes:
    """A GET as a browser sends it."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/html\r\nAccept-Language: en\r\n\r\n".encode()
