"""Requests as bytes, straight into the application, so that no client library mends what an attacker would send."""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlencode

import msgspec
from litestar import Litestar

ROOT: Final = Path(__file__).parents[2]
HOST: Final = "127.0.0.1:8000"
FORM: Final = "application/x-www-form-urlencoded"
PROBLEM: Final = "application/problem+json"
TELLTALES: Final = re.compile(
    r"Traceback \(most recent|File \"|site-packages|sqlalche|psycopg|asyncpg|litestar|msgspec|jinja2"
    r"|\bSELECT [a-z_\"]|\bINSERT INTO\b|\bUPDATE [a-z_]+ SET\b|row-level security|violates|relation \"|duplicate key"
    r"|tarifa_app|tarifa_owner|RuntimeError|ValueError|KeyError|TypeError|UnicodeDecodeError"
)
"""What only our insides say."""
PATIENCE_SECONDS: Final = 60
MARK: Final = "9317"
RAW_MARKS: Final = re.compile(
    r"(?:href|src|action|formaction)=[\"']?(?://|/?\\\\|https?://evil)|"
    rf"<script>alert\({MARK}\)|\"onmouseover=alert\({MARK}\)|'onmouseover=alert\({MARK}\)|<img src=x:{MARK}"
    rf"|(?:href|src|action|formaction)=[\"']?\s*(?:javascript|data):"
)
"""A hostile value that came back as markup."""
EVALUATED: Final = re.compile(rf"(?<![0-9a-f-]){int(MARK) * 7}(?![0-9a-f-])")
"""What a template would make of it; within an id or a token the same digits are chance."""
CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_Headers = Iterable[tuple[str, str]]


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The header's value; empty when it is absent."""
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()), "")

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()]

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def location(self) -> str:
        return self.header("location")

    @property
    def is_page(self) -> bool:
        return self.header("content-type").startswith("text/html")

    def problem(self) -> str:
        """The slug of a problem document."""
        assert self.header("content-type").startswith(PROBLEM), self.text[:200]
        return str(msgspec.json.decode(self.body)["type"]).rpartition("/")[2]


async def send(
    app: Litestar,
    method: str,
    target: str | bytes,
    *,
    headers: _Headers = (),
    body: bytes = b"",
    client: str = "127.0.0.1",
) -> Answer:
    """Send one request. *target* goes as it is, as uvicorn would hand it over: nothing is normalised or escaped."""
    raw = target.encode("utf-8", "surrogateescape") if isinstance(target, str) else target
    path, _, query = raw.partition(b"?")
    sent: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]
    received: list[Any] = []

    async def receive() -> Any:
        return sent.pop(0) if sent else {"type": "http.disconnect"}  # so that of a stream the first part comes

    async def take(message: Any) -> None:
        received.append(message)

    given = [(b"host", HOST.encode()), *((name.encode(), value.encode("latin-1")) for name, value in headers)]
    if body and not any(name == b"content-length" for name, _ in given):
        given.append((b"content-length", str(len(body)).encode()))
    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1") if b"%" not in path else path.decode("ascii", "replace")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": given,
        "client": (client, 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {},
    }
    async with asyncio.timeout(PATIENCE_SECONDS):
        await app(scope, receive, take)
    start = next(message for message in received if message["type"] == "http.response.start")
    content = b"".join(message.get("body", b"") for message in received if message["type"] == "http.response.body")
    return Answer(start["status"], tuple((bytes(k), bytes(v)) for k, v in start["headers"]), content)


def encoded(fields: Iterable[tuple[str, str]]) -> bytes:
    """A form's body; lone surrogates go out as the bytes they would be."""
    return urlencode([*fields], errors="surrogatepass").encode()


def faults(answer: Answer, *, payment_origin: str = "", forbidden: Iterable[str] = ()) -> list[str]:
    """What no answer may ever be or hold, whatever was asked."""
    found = []
    if answer.status >= 500:
        found.append(f"status {answer.status}")
    text = answer.text
    if answer.is_page or answer.header("content-type").startswith(PROBLEM):
        if (telltale := TELLTALES.search(text)) is not None:
            found.append(f"tells of our insides: {text[max(0, telltale.start() - 40) : telltale.end() + 60]!r}")
        if str(ROOT) in text:
            found.append("names a path of the server")
    if answer.is_page:
        if (raw := RAW_MARKS.search(text)) is not None:
            found.append(f"reflects markup: {text[max(0, raw.start() - 60) : raw.end() + 40]!r}")
        if EVALUATED.search(text) is not None:
            found.append("evaluates a template in the input")
    found += [f"holds {value!r}, which is none of theirs" for value in forbidden if value in text]
    location = answer.location
    if location and not (location.startswith("/") and not location.startswith(("//", "/\\"))):
        ours = payment_origin and location.startswith(f"{payment_origin}/")
        if not ours:
            found.append(f"leads away to {location!r}")
    found += [f"control characters in {name!r}" for name, value in answer.headers if CONTROL.search(value)]
    found += [f"has no {name}" for name in REQUIRED_HEADERS if not answer.header(name)]
    return found


REQUIRED_HEADERS: Final = (
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "cache-control",
)
