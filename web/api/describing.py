"""What an operation says of itself in the OpenAPI document, beside what its signature says."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Message, Scope

from web.api.repeats import UNNAMED
from web.api.wire import ProblemDocument
from web.problems import PROBLEM_TYPE


class Deprecation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that will go: said since when, when it stops, where that is explained, what takes its place."""

    since: date
    stops: date
    explained: str
    successor: str | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """`Deprecation` (RFC 9745), `Sunset` (RFC 8594), and links to the page and to what takes the place."""
        links = [f'<{self.explained}>; rel="deprecation"; type="text/html"']
        if self.successor is not None:
            links.append(f'<{self.successor}>; rel="successor-version"')
        return [
            (b"deprecation", f"@{int(_midnight(self.since).timestamp())}".encode()),
            (b"sunset", format_datetime(_midnight(self.stops), usegmt=True).encode()),
            (b"link", ", ".join(links).encode()),
        ]


OPT: Final = "openapi"
"""Under this key of a handler's `opt`, `web.openapi` finds the rest."""

_WHEN: Final = {
    206: "The part of the file that `Range` named.",
    304: "The reader's copy, named by `If-None-Match`, is still right.",
    400: "The request is not as documented; `errors` says where.",
    401: "The API key is unknown, revoked or expired, or there is none and it is needed.",
    403: "The API key does not carry the scope.",
    404: "There is no such thing, or it is not yours to see.",
    409: "The state of things does not allow it now.",
    410: "What was asked for is no longer at hand; `detail` says how to begin again.",
    412: "It is not as `If-Match` or `If-None-Match` says; `clashes` shows both sides.",
    413: "The body is larger than 2 MB.",
    415: "The body is not sent as JSON.",
    416: "`Range` names no part of the file; `Content-Range` says how long it is.",
    422: "The request is as documented but against the rules, or names what does not exist, such as a country.",
    428: "Say what you saw: `If-Match` with its entity tag, or `If-None-Match: *` where there was nothing.",
    503: "Prices cannot be answered rightly at the moment. Try again after `Retry-After` seconds.",
}


ASKED: Final = (400, 401, 403, 503)
"""What any call may answer, however it is asked."""
SENT: Final = (*ASKED, 413, 415)
"""What a call with a body of JSON may."""


def documented(
    *statuses: int,
    answer: Any,
    body: Any = None,
    query: Any = None,
    media_type: str = "application/json",
    cached: bool = False,
    ranged: bool = False,
    conditional: bool = False,
    upload: bool = False,
    named: bool = False,
    key: str = "optional",
    deprecation: Deprecation | None = None,
    links: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Return keyword arguments for a route: every status it may answer besides success, what it takes and gives.

    :param answer: wire type of the answer with success; None: text of *media_type*
    :param cached: it takes `If-None-Match` and gives `ETag`
    :param ranged: it takes `Range` and `If-Range`
    :param conditional: it takes `If-Match` and `If-None-Match: *`, and gives `ETag`
    :param upload: its body is a file, streamed; such a call takes no idempotency key, for it is not kept
    :param named: a call of it has to name itself by an idempotency key; its handler refuses one that does not
    :param key: `optional`, `needed` or `none`
    :param deprecation: said in the document and with every answer
    :param links: what a success leads to: operation ids, each with its parameters as expressions of the answer
    """
    return {
        "responses": {
            status: ResponseSpec(
                data_container=None if status == HTTPStatus.NOT_MODIFIED else ProblemDocument,
                description=_WHEN[status],
                media_type=PROBLEM_TYPE,
                generate_examples=False,
            )
            for status in statuses
        },
        "opt": {
            UNNAMED: upload,
            OPT: {
                "answer": answer,
                "body": body,
                "query": query,
                "media_type": media_type,
                "cached": cached,
                "ranged": ranged,
                "conditional": conditional,
                "upload": upload,
                "named": named,
                "key": key,
                "deprecation": deprecation,
                "links": links or {},
            },
        },
    }


async def say_deprecated(message: Message, scope: Scope) -> None:
    """A `before_send` hook: a program that calls what will go hears of it with every answer."""
    if message["type"] != "http.response.start":
        return
    handler: Any = scope.get("route_handler")  # absent where no route answers
    deprecation = None if handler is None else handler.opt.get(OPT, {}).get("deprecation")
    if deprecation is not None:
        message["headers"] = [*message.get("headers", ()), *deprecation.headers()]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
