"""What a use case raises when it refuses: each error has a stable slug and a hint at its HTTP status.

Only `web/problems.py` turns them into `application/problem+json` (RFC 9457). A concrete error is a subclass beside the
function that raises it.
"""

from typing import ClassVar


class DomainError(Exception):
    """A refusal a caller can act on.

    :param message: what happened and what to do, in English, safe to show to a client
    :param extra: JSON-able extension members of the problem document
    """

    problem: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, message: str = "", /, **extra: object) -> None:
        self.message = message or self.title
        self.extra: dict[str, object] = extra
        super().__init__(self.message)


class Malformed(DomainError):
    """The shape of the input is wrong (400)."""

    problem = "malformed"
    status = 400
    title = "The request is malformed"


class NotFound(DomainError):
    """Absent, or not yours: the two are never told apart (404)."""

    problem = "not-found"
    status = 404
    title = "Not found"


class Conflict(DomainError):
    """The state of things does not allow it now (409)."""

    problem = "conflict"
    status = 409
    title = "The current state does not allow this"


class Refused(DomainError):
    """Well formed, but against the rules (422)."""

    problem = "refused"
    status = 422
    title = "The rules do not allow this"


class Unavailable(DomainError):
    """Cannot be answered rightly at the moment; trying again later may help (503)."""

    problem = "unavailable"
    status = 503
    title = "Temporarily unavailable"
