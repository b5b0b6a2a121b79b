"""The OpenAPI document, served as it is committed."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from kernel.errors import NotFound
from web.api.reading import JSON, is_fresh, not_modified
from web.http import AnyRequest

COMMITTED: Final = Path(__file__).parent.parent.parent / "openapi" / "openapi.json"


class DocumentMissing(NotFound):
    problem = "not-found"
    title = "There is no OpenAPI document"


@get("/openapi.json", include_in_schema=False, summary="This API's OpenAPI document")
async def openapi_document(request: AnyRequest) -> Response[bytes]:
    body, etag = _document()
    headers = {"etag": f'"{etag}"', "cache-control": "public, no-cache", "access-control-allow-origin": "*"}
    if is_fresh(request, etag):
        return not_modified(headers)
    return Response(body, media_type=JSON, headers=headers)


HANDLERS: list[ControllerRouterHandler] = [openapi_document]


@cache
def _document() -> tuple[bytes, str]:
    try:
        body = COMMITTED.read_bytes()
    except FileNotFoundError:
        raise DocumentMissing("This copy of the program has no openapi/openapi.json.") from None
    return body, sha256(body).hexdigest()[:32]
