"""Requests read, answers sent: JSON bodies by their types, entity tags, what caches may keep."""

from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar

import msgspec
from litestar import Response

from kernel.errors import DomainError, Malformed
from web.api.words import in_words
from web.http import AnyRequest

JSON: Final = "application/json"
HEADER_LONGEST: Final = 1000
_Body = TypeVar("_Body")
_Read_co = TypeVar("_Read_co", covariant=True)
_Given = TypeVar("_Given")
_encoder: Final = msgspec.json.Encoder()


class BodyMalformed(Malformed):
    problem = "malformed"
    title = "The request is malformed"


class MediaTypeUnsupported(DomainError):
    problem = "unsupported-media-type"
    status = 415
    title = "Unsupported media type"


class Decoder(Protocol[_Read_co]):
    """What reads a body: `msgspec.json.Decoder`, or one that answers and refuses alike."""

    def decode(self, buf: bytes, /) -> _Read_co: ...


async def read_json(request: AnyRequest, decoder: Decoder[_Body]) -> _Body:
    """Read the body as the decoder's type.

    :raises MediaTypeUnsupported: when it does not say that it is JSON, or says that it is compressed
    :raises BodyMalformed: naming the member that is not as documented
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != JSON or charset not in {"", "utf-8"}:
        raise MediaTypeUnsupported("Send JSON in UTF-8 with Content-Type: application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MediaTypeUnsupported("Send the body without Content-Encoding.")
    body = await request.body()
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _not_as_documented(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyMalformed(f"The body is not valid JSON in UTF-8: {error}") from None
    except RecursionError:
        raise BodyMalformed("The document is nested too deeply.") from None


def read_query(request: AnyRequest, of: type[_Body]) -> _Body:
    """Read the query as *of*, each parameter once.

    :raises BodyMalformed: naming the parameter that is not as documented, or unknown, for it would be ignored
    """
    pairs = list(request.query_params.multi_items())
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = "Send it once."
        raise BodyMalformed(f"{twice[0]}: {message}", errors=[{"field": twice[0], "message": message}])
    try:
        return msgspec.convert(dict(pairs), of, strict=False)
    except msgspec.ValidationError as error:
        raise _not_as_documented(error) from None


def given(value: _Given | msgspec.UnsetType) -> _Given | None:
    """None for a parameter that was not sent."""
    return None if isinstance(value, msgspec.UnsetType) else value


def answered(body: Any, *, headers: dict[str, str] | None = None) -> Response[bytes]:
    """Answer 200 with *body* as JSON."""
    return Response(_encoder.encode(body), media_type=JSON, headers=headers or {})


def answered_unless_fresh(request: AnyRequest, body: Any) -> Response[bytes]:
    """Answer with *body* as JSON and the entity tag of its very bytes, or that the reader's copy is still right."""
    encoded = _encoder.encode(body)
    tag = tag_of(encoded)
    headers = caching(request, tag)
    if is_fresh(request, tag):
        return not_modified(headers)
    return Response(encoded, media_type=JSON, headers=headers)


def tag_of(content: bytes) -> str:
    return sha256(content).hexdigest()[:32]


def caching(request: AnyRequest, etag: str) -> dict[str, str]:
    """Headers that let a reader keep the answer and ask before each use; what a key shows is nobody else's to keep."""
    whose = "public" if request.headers.get("authorization") is None else "private"
    return {"etag": f'"{etag}"', "cache-control": f"{whose}, no-cache", "vary": "Authorization"}


def is_fresh(request: AnyRequest, etag: str) -> bool:
    """Whether the reader's copy, by If-None-Match, is still the answer.

    :raises BodyMalformed: when the header cannot be a list of our tags
    """
    header = header_text(request, "if-none-match")
    if header is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or f'"{etag}"' in tags


def header_text(request: AnyRequest, name: str) -> str | None:
    """A header that readers repeat after us.

    :raises BodyMalformed: when it cannot be one
    """
    header = request.headers.get(name)
    if header is not None and (len(header) > HEADER_LONGEST or not header.isascii() or not header.isprintable()):
        raise BodyMalformed(f"{name.title()} takes up to {HEADER_LONGEST} printable ASCII characters.")
    return header


def not_modified(headers: dict[str, str]) -> Response[bytes]:
    return Response(b"", status_code=304, media_type=JSON, headers=headers)


def _not_as_documented(error: msgspec.ValidationError) -> BodyMalformed:
    message, _, where = str(error).partition(" - at `$")
    field, message = where.rstrip("`").lstrip("."), in_words(message)
    return BodyMalformed(f"{field}: {message}" if field else message, errors=[{"field": field, "message": message}])
