"""Errors on the wire: `application/problem+json` (RFC 9457) for programs, a page for people. Nothing else makes them.

A database's text, a path or a trace-back never reaches a client; a 5xx is logged with its cause.
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from kernel.errors import DomainError
from web.api.words import in_words

log = structlog.get_logger(__name__)
PROBLEM_TYPE: Final = "application/problem+json"
AnyRequest = Request[Any, Any, Any]


class Problem(msgspec.Struct, kw_only=True):
    """A problem document. *type* is a path of this installation under which the problem is explained."""

    type: str
    title: str
    status: int
    detail: str
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            **self.extra,
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }


def problem_of(error: Exception) -> Problem:
    """Say what went wrong in terms the caller can act on."""
    if isinstance(error, DomainError):
        return _problem(error.problem, error.status, error.title, error.message, dict(error.extra))
    if isinstance(error, ValidationException):
        return _validation(error)
    if isinstance(error, HTTPException):
        return _http(error)
    if isinstance(error, UnicodeDecodeError):
        return _problem("malformed", 400, "The request is malformed", "The text is not valid UTF-8.")
    if isinstance(error, RecursionError):
        return _problem("malformed", 400, "The request is malformed", "The document is nested too deeply.")
    if isinstance(error, IntegrityError):
        return _problem("conflict", 409, "The current state does not allow this", "Somebody else changed this first.")
    if isinstance(error, DataError):
        return _problem("malformed", 400, "The request is malformed", "A value is out of the range that can be stored.")
    if isinstance(error, OperationalError | DBAPIError):
        return _problem(
            "unavailable", 503, "Temporarily unavailable", "The database cannot be reached. Try again in a moment."
        )
    return _problem(
        "internal", 500, "Something went wrong", "The error is on our side and has been recorded. Nothing was charged."
    )


def problem_response(problem: Problem) -> Response[bytes]:
    headers = {"retry-after": "5"} if problem.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    if "retry_after_seconds" in problem.extra:
        headers["retry-after"] = str(problem.extra["retry_after_seconds"])
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="tarifa"'
    if problem.status == HTTPStatus.METHOD_NOT_ALLOWED and "allow" in problem.extra:
        headers["allow"] = str(problem.extra.pop("allow"))
    if problem.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "size" in problem.extra:
        headers["content-range"] = f"bytes */{problem.extra['size']}"
    return Response(
        msgspec.json.encode(problem.document()), status_code=problem.status, media_type=PROBLEM_TYPE, headers=headers
    )


def record_failure(request: AnyRequest, error: Exception, problem: Problem) -> None:
    """Log a 5xx with its cause, for somebody has to look."""
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error(
            "request failed",
            method=request.method,
            path=request.scope.get("path_template") or "?",
            status=problem.status,
            exc_info=error,
        )


def _problem(slug: str, status: int, title: str, detail: str, extra: dict[str, Any] | None = None) -> Problem:
    return Problem(type=f"/problems/{slug}", title=title, status=status, detail=detail, extra=extra or {})


def _validation(error: ValidationException) -> Problem:
    fields = [
        {"field": str(item.get("key", "")), "message": in_words(str(item.get("message", "")))}
        for item in (error.extra if isinstance(error.extra, list) else [])
        if isinstance(item, dict)
    ]
    detail = "; ".join(
        f"{field['field']}: {field['message']}" if field["field"] else field["message"] for field in fields
    )
    return _problem(
        "malformed", 400, "The request is malformed", detail or "The request does not have the documented shape.",
        {"errors": fields},
    )  # fmt: skip


HTTP_PROBLEMS: Final = {
    401: ("unauthenticated", "Log in or present an API key", "This needs a log-in or an API key."),
    403: ("forbidden", "Not allowed", "Your role does not allow this."),
    404: ("not-found", "Not found", "There is nothing here, or it is not yours to see."),
    405: ("method-not-allowed", "Method not allowed", "This resource does not take this method."),
    413: ("too-large", "Too large", "The request body is larger than this resource takes."),
    415: ("unsupported-media-type", "Unsupported media type", "Send JSON with Content-Type: application/json."),
    429: ("too-many-requests", "Too many requests", "Wait a moment and try again."),
}


def _http(error: HTTPException) -> Problem:
    status = error.status_code
    if status in HTTP_PROBLEMS:
        slug, title, detail = HTTP_PROBLEMS[status]
        extra = {"allow": _allow(error.headers["allow"])} if error.headers and "allow" in error.headers else {}
        return _problem(slug, status, title, detail, extra)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _problem("malformed", status, HTTPStatus(status).phrase, error.detail)
    return _problem("internal", 500, "Something went wrong", "The error is on our side and has been recorded.")


INTERNAL: Final = ("internal", 500, "Something went wrong")
OTHER_PROBLEMS: Final = (
    *((slug, status, title) for status, (slug, title, _) in HTTP_PROBLEMS.items()),
    INTERNAL,
)
"""Problem types that no `DomainError` stands for: slug, status, title."""


def _allow(methods: str) -> str:
    """Litestar's list of methods, with the HEAD that it does not know we answer."""
    known = {method.strip() for method in methods.split(",")}
    return ", ".join(sorted(known | ({"HEAD"} if "GET" in known else set())))
