"""The API's reference for people: every operation, to read and to try, from our own files and without the network."""

from functools import cache
from typing import Final

import msgspec
from litestar import get
from litestar.types import ControllerRouterHandler

from web.api.document import COMMITTED
from web.http import AnyRequest, Html
from web.pages import page


class Operation(msgspec.Struct, frozen=True):
    """One line of the list that stands there before, or without, the script."""

    method: str
    path: str
    summary: str
    deprecated: bool


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation of the committed document; none where this copy has no document."""
    if not COMMITTED.exists():
        return ()
    document = msgspec.json.decode(COMMITTED.read_bytes())
    return tuple(
        Operation(method.upper(), path, operation["summary"], operation.get("deprecated", False))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )


@get("/api-reference", include_in_schema=False, summary="The API's reference")
async def api_reference(request: AnyRequest) -> Html:
    return page(request, "reference.html", operations=operations())


HANDLERS: Final[list[ControllerRouterHandler]] = [api_reference]
