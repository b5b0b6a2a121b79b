"""A partner's server on this machine: keeps what it was sent and answers as it is told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from standardwebhooks import Webhook


class Received(msgspec.Struct):
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])

    @property
    def type(self) -> object:
        return self.event["type"]

    def is_signed_by(self, secret: str) -> bool:
        """Whether a library of Standard Webhooks, on the sender's clock, would take it."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        said = Webhook(secret).sign(self.id, at, self.body.decode())
        return said in self.headers["webhook-signature"].split(" ")


class Receiver:
    """Answers each request with the next of *answers* (status, body), and 204 when there are none left."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[tuple[int, bytes]] = deque()
        self.always: tuple[int, bytes] = (204, b"")
        self.hold: asyncio.Event | None = None
        """While there is one, nothing is answered until it is set."""
        self.at_once = 0
        self.most_at_once = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): value.strip() for name, _, value in lines}
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(Received(headers=headers, body=body))
            if self.hold is not None:
                await self.hold.wait()
            status, answer = self.answers.popleft() if self.answers else self.always
            length = "" if status == 204 else f"Content-Length: {len(answer)}\r\n"
            writer.write(f"HTTP/1.1 {status} -\r\n{length}\r\n".encode() + answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    async with server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        yield receiver
        if receiver.hold is not None:
            receiver.hold.set()
        while receiver.at_once:  # noqa: ASYNC110 - they end by themselves
            await asyncio.sleep(0.01)
