"""What HTTP asks of every address, before any route is looked up: HEAD, and addresses that are text."""

from string import punctuation
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from litestar import Litestar
from litestar.types import LifeSpanReceive, LifeSpanScope, LifeSpanSend, Message, Receive, Scope, Send

from kernel.errors import Malformed


class AddressMalformed(Malformed):
    problem = "malformed"
    title = "The address is malformed"


class Application(Litestar):
    """Litestar, answering HEAD wherever it answers GET. A handler that streams may skip the work: `is_head` says so."""

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        asked: Any = scope
        if asked["type"] == "http" and not asked["query_string"].isascii():
            # Litestar reads an address as ASCII, error pages too: bytes that came as they are become their escapes
            asked = {**asked, "query_string": quote_from_bytes(asked["query_string"], safe=punctuation).encode()}
        if asked["type"] == "http" and asked["method"] == "HEAD":
            asked = {**asked, "method": "GET", "state": {**asked.get("state", {}), "head": True}}
            send = _without_body(send)
        await super().__call__(asked, receive, send)


def is_head(scope: Scope) -> bool:
    """Whether only the headers of the answer will be sent."""
    return bool(scope["state"].get("head", False))


def require_text(scope: Scope) -> None:
    """Refuse an address that is no UTF-8 or holds NUL: servers replace the one silently, databases refuse the other.

    :raises AddressMalformed: saying so
    """
    raw = scope.get("raw_path") or scope["path"].encode()
    try:
        text = unquote_to_bytes(raw).decode() + unquote_to_bytes(scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise AddressMalformed("The address is not valid UTF-8.") from None
    if "\x00" in text:
        raise AddressMalformed("The address holds a NUL character.")


def _without_body(send: Any) -> Any:
    ended = False

    async def send_head(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.body":
            if not ended:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await send(message)

    return send_head
