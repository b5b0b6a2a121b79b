"""What a handler needs of its request: who asks, in which language, what the form says."""

import uuid
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie, FormMultiDict, UploadFile
from litestar.exceptions import ClientException, HTTPException, ValidationException

from accounts.principal import Principal
from kernel.errors import Malformed
from kernel.settings import Settings
from web.services import Services

AnyRequest = Request[Any, Any, Any]
Html = Response[bytes]

LOCALES: Final = ("en", "es")
FORM_BYTES_MAX: Final = 1_000_000
FIELD_CHARACTERS_MAX: Final = 200_000
SESSION_DAYS: Final = 30
USER_AGENT_LONGEST: Final = 500
_WITH_FILES: Final = "multipart/form-data"


class Upload(msgspec.Struct, frozen=True):
    """A file that came with a form."""

    name: str
    content: bytes


class FormMalformed(Malformed):
    problem = "malformed-form"
    title = "The form could not be read"


class Form:
    """The fields of a submitted form, as typed, without surrounding blanks."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def get(self, name: str, default: str = "") -> str:
        return next((value.strip() for key, value in self._pairs if key == name), default)

    def raw(self, name: str) -> str:
        """The field exactly as typed, blanks included."""
        return next((value for key, value in self._pairs if key == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value.strip() for key, value in self._pairs if key == name)

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self._pairs)

    def as_dict(self) -> dict[str, str]:
        """The first value of each field: what a page shows again after an error."""
        values: dict[str, str] = {}
        for key, value in self._pairs:
            values.setdefault(key, value)
        return values


def services_of(request: AnyRequest) -> Services:
    return cast("Services", request.app.state.services)


def principal_of(request: AnyRequest) -> Principal:
    """Who asks; on a page that no route answers, a visitor nobody knows."""
    found = request.scope["state"].get("principal")
    return found if isinstance(found, Principal) else Principal.visitor(uuid.UUID(int=0))


def session_token_of(request: AnyRequest) -> str | None:
    return request.cookies.get(session_cookie_name(services_of(request).settings))


def session_cookie_name(settings: Settings) -> str:
    """Name of the session cookie; on plain http it names the port, for cookies ignore ports."""
    return "__Host-tarifa" if settings.https else f"tarifa_{settings.port}"


def session_cookie(settings: Settings, token: str) -> Cookie:
    return Cookie(
        key=session_cookie_name(settings),
        value=token,
        path="/",
        httponly=True,
        secure=settings.https,
        samesite="lax",
        max_age=SESSION_DAYS * 86400,
    )


def language_cookie_name(settings: Settings) -> str:
    return "__Host-lang" if settings.https else f"lang_{settings.port}"


def locale_of(request: AnyRequest) -> str:
    """Return `en` or `es`: as asked by `?lang=`, chosen before, set in the account, or preferred by the browser."""
    asked = request.query_params.get("lang")
    if asked in LOCALES:
        return str(asked)
    cookie = request.cookies.get(language_cookie_name(services_of(request).settings))
    if cookie in LOCALES:
        return str(cookie)
    own = principal_of(request).locale
    if own in LOCALES:
        return str(own)
    return _preferred(request.headers.get("accept-language", ""))


def address_of(request: AnyRequest) -> str:
    """The caller's socket address; proxies are configured in front of uvicorn, not believed here."""
    return "" if request.client is None else request.client.host


def user_agent_of(request: AnyRequest) -> str:
    """The caller's browser, as it calls itself, cut where nobody's is as long."""
    return request.headers.get("user-agent", "")[:USER_AGENT_LONGEST]


async def read_form(request: AnyRequest) -> Form:
    """Read a form's fields.

    :raises FormMalformed: when it is too long, no form, not UTF-8, or holds NUL, which no field of ours may
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == _WITH_FILES and _takes_files(request):
        return Form([(name, value) for name, value in (await _parts(request)).multi_items() if isinstance(value, str)])
    if media_type not in {"application/x-www-form-urlencoded", ""}:
        raise FormMalformed("Send the form as application/x-www-form-urlencoded.")
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise FormMalformed(f"The form is longer than {FORM_BYTES_MAX // 1000} kB. Send it in parts.")
    try:
        text = body.decode("ascii")
        unquote_to_bytes(text).decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=5000)
    except ValueError as error:
        raise FormMalformed("The form is not valid UTF-8, or has too many fields.") from error
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise FormMalformed("A field holds a NUL character. Remove it and send the form again.")
        if len(value) > FIELD_CHARACTERS_MAX:
            raise FormMalformed(f"A field is longer than {FIELD_CHARACTERS_MAX} characters.")
    return Form(pairs)


async def read_upload(request: AnyRequest, name: str) -> Upload | None:
    """The file that the form's field *name* holds; None when the form is of the sort without files, or none was chosen.
    Only a handler whose `opt` says `takes_files` is sent one.

    :raises FormMalformed: when the form cannot be read
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _WITH_FILES:
        return None
    found = (await _parts(request)).get(name)
    if not isinstance(found, UploadFile):
        return None
    content = await found.read()
    return Upload(found.filename.replace("\\", "/").rpartition("/")[2], content) if content else None


def _takes_files(request: AnyRequest) -> bool:
    return bool(request.route_handler.opt.get("takes_files"))


async def _parts(request: AnyRequest) -> FormMultiDict:
    try:
        return await request.form()
    except (ValidationException, ClientException, UnicodeDecodeError) as error:
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        raise FormMalformed("The form could not be read. Choose the file again.") from error


def safe_next(target: str, default: str = "/") -> str:
    """Return *target* if it leads to a page of ours, so that no log-in link can send a buyer elsewhere."""
    parts = urlsplit(target)
    ours = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return target if ours and "\\" not in target and all(ord(c) > 32 for c in target) else default


def is_htmx(request: AnyRequest) -> bool:
    return request.headers.get("hx-request") == "true"


def _preferred(accept_language: str) -> str:
    best, best_weight = LOCALES[0], 0.0
    for part in accept_language[:200].split(","):
        tag, _, weight_text = part.strip().partition(";q=")
        language = tag.partition("-")[0].lower()
        try:
            weight = float(weight_text) if weight_text else 1.0
        except ValueError:
            continue
        if language in LOCALES and weight > best_weight:
            best, best_weight = language, weight
    return best
