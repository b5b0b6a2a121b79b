"""The ledger's signed heads and proofs between them, for whoever watches us; small, and cached by their readers."""

from typing import Final

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements.checkpoints import LedgerSizeUnknown
from kernel.db import for_visitor
from web.http import AnyRequest, services_of

SECONDS_FRESH: Final = 10
SHORTLY: Final = f"public, max-age={SECONDS_FRESH}"
FOR_EVER: Final = "public, max-age=31536000, immutable"
NOTE: Final = "text/plain"
DIGITS_MOST: Final = 15


@get("/.well-known/tarifa-ledger/checkpoint", include_in_schema=False, summary="The ledger's signed head")
async def checkpoint(request: AnyRequest) -> Response[bytes]:
    """A C2SP checkpoint. Poll it, and keep what you saw: whoever holds an older one can prove a rewritten ledger."""
    services = services_of(request)
    async with services.db.reading(for_visitor()) as session:
        found = await services.checkpoints.latest(session)
    return _note(request, found.note, f"{found.size}-{found.root.hex()[:16]}", SHORTLY)


@get("/.well-known/tarifa-ledger/checkpoints/{size:str}", include_in_schema=False, summary="A signed head of a size")
async def checkpoint_of_size(request: AnyRequest, size: FromPath[str]) -> Response[bytes]:
    services = services_of(request)
    async with services.db.reading(for_visitor()) as session:
        found = await services.checkpoints.of_size(session, _whole(size))
    return _note(request, found.note, f"{found.size}-{found.root.hex()[:16]}", FOR_EVER)


@get("/.well-known/tarifa-ledger/consistency", include_in_schema=False, summary="Proof that one size grew into another")
async def consistency(request: AnyRequest) -> Response[bytes]:
    """`?from=SIZE&to=SIZE`; up to the last signed size unless `to` says less. `verify.py --proof` takes the answer."""
    services = services_of(request)
    first, second = _whole(request.query_params.get("from", "")), request.query_params.get("to")
    async with services.db.reading(for_visitor()) as session:
        found = await services.checkpoints.consistency(session, first, None if second is None else _whole(second))
    return _proof(found, kept=second is not None)


@get("/.well-known/tarifa-ledger/inclusion", include_in_schema=False, summary="Proof that a leaf is in the tree")
async def inclusion(request: AnyRequest) -> Response[bytes]:
    """`?leaf=INDEX&size=SIZE`; in the tree of the last signed size unless said."""
    services = services_of(request)
    index, size = _whole(request.query_params.get("leaf", "")), request.query_params.get("size")
    async with services.db.reading(for_visitor()) as session:
        found = await services.checkpoints.inclusion(session, index, None if size is None else _whole(size))
    return _proof(found, kept=size is not None)


HANDLERS: list[ControllerRouterHandler] = [checkpoint, checkpoint_of_size, consistency, inclusion]


def _note(request: AnyRequest, note: str, tag: str, cached: str) -> Response[bytes]:
    headers = {"etag": f'"{tag}"', "cache-control": cached, "access-control-allow-origin": "*"}
    if f'"{tag}"' in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    return Response(note.encode(), media_type=NOTE, headers=headers)


def _proof(found: object, *, kept: bool) -> Response[bytes]:
    headers = {"cache-control": FOR_EVER if kept else SHORTLY, "access-control-allow-origin": "*"}
    return Response(msgspec.json.encode(found), media_type="application/json", headers=headers)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS_MOST):
        raise LedgerSizeUnknown("Name a size as a whole number, such as from=120.")
    return int(text)
