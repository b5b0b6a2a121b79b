"""What people type about themselves: brought to one form, or refused field by field."""

import re
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import msgspec

from kernel.errors import DomainError, Refused

LOCALES: Final = ("en", "es")
LONGEST_EMAIL: Final = 254
LONGEST_NAME: Final = 120
_EMAIL: Final = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)
"""As browsers check `input type=email`, with a dot in the domain."""

P = ParamSpec("P")
T = TypeVar("T")


class EmailMalformed(Refused):
    problem = "email-malformed"
    title = "This is no e-mail address"


class NameRefused(Refused):
    problem = "name-refused"
    title = "This name cannot be used"


class FieldError(msgspec.Struct, frozen=True):
    """One field to mend; *problem* is stable, *message* English."""

    field: str
    problem: str
    message: str


class DetailsRefused(Refused):
    """Everything that has to be mended in a form, at once."""

    problem = "details-refused"
    title = "Some details need to be mended"

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__(
            " ".join(error.message for error in errors),
            errors=[{"field": error.field, "message": error.message} for error in errors],
        )
        self.errors = errors


class Form:
    """Checks fields one after the other and refuses them together."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def check(self, field: str, rule: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what *rule* makes of its arguments, or note why it refused and return None."""
        try:
            return rule(*args, **kwargs)
        except DomainError as error:
            self._errors.append(FieldError(field, error.problem, error.message))
            return None

    def refuse(self) -> None:
        """:raises DetailsRefused: when any field was refused"""
        if self._errors:
            raise DetailsRefused(tuple(self._errors))


def check_email(text: str) -> str:
    """The address in lower case.

    :raises EmailMalformed: when it is none
    """
    email = text.strip().lower()
    if len(email) > LONGEST_EMAIL or _EMAIL.fullmatch(email) is None:
        raise EmailMalformed("Write an e-mail address like name@company.example.")
    return email


def check_name(text: str) -> str:
    """A person's, company's or key's name without surrounding blanks.

    :raises NameRefused: when nothing is left, it is too long, or has control characters
    """
    name = " ".join(text.split())
    if not name:
        raise NameRefused("Write a name.")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise NameRefused(f"Use at most {LONGEST_NAME} letters, digits and signs.")
    return name


def check_locale(text: str) -> str:
    """The language to write in: English unless it is another of ours."""
    return text if text in LOCALES else LOCALES[0]
