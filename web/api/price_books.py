"""The public log of price books, and what can be proved and compared of them."""

import base64
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Final, get_args

import msgspec
from litestar import Response, get
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from pricing import publication_log
from pricing.books import NoBookPublished
from pricing.feed_state import last_in_force, period_of
from web.api import wire, wire_books
from web.api.context import context_of
from web.api.describing import ASKED, documented
from web.api.price_feed import Root
from web.api.reading import answered, caching, given, is_fresh, not_modified, read_query
from web.http import AnyRequest, services_of

Kind = Annotated[
    str,
    PathParameter(
        description="Kind of the object.",
        min_length=3,
        max_length=13,
        schema_extra={"enum": list(get_args(wire_books.LeafKind))},
    ),
]


@get(
    "/api/v1/price-books",
    tags=["prices"],
    operation_id="list_price_books",
    summary="The public log of price books, newest first",
    response_description="One page of publications, each signed.",
    **documented(
        *(*ASKED, 304),
        query=wire_books.PublicationsAsked,
        answer=wire_books.PublicationPage,
        cached=True,
        links={
            "list_price_books": {"before": "$response.body#/next"},
            "get_feed_delta": {"root": "$response.body#/publications/0/root"},
            "get_proof": {"root": "$response.body#/publications/0/root"},
        },
    ),
)
async def list_price_books(request: AnyRequest) -> Response[bytes]:
    """List publications page by page: ask again with `before` set to the answer's `next`. An entry never changes, and
    none is ever taken out: a copy of the log finds out whoever rewrites it.
    """
    asked = read_query(request, wire_books.PublicationsAsked)
    found = await publication_log.list_signed(services_of(request).db, limit=asked.limit, before=given(asked.before))
    body = wire_books.PublicationPage(
        publications=tuple(_signed(each) for each in found),
        next=found[-1].number if len(found) == asked.limit and found[-1].number > 1 else None,
    )
    return _kept(request, body)


@get(
    "/api/v1/price-books/current",
    tags=["prices"],
    operation_id="get_current_price_book",
    summary="The signed publication in force",
    response_description="The entry of the public log that prices this instant.",
    **documented(
        *(*ASKED, 304),
        answer=wire_books.SignedPublication,
        cached=True,
        links={
            "get_feed_delta": {"root": "$response.body#/root", "since": "$response.body#/root"},
            "get_proof": {"root": "$response.body#/root"},
        },
    ),
)
async def get_current_price_book(request: AnyRequest) -> Response[bytes]:
    """Name the book in force with the house's signature. What follows it, `GET /api/v1/price-book` says."""
    read_query(request, wire.Asked)
    services = services_of(request)
    found = await publication_log.find_signed(services.db, services.books.in_force(services.clock.now()).number)
    if found is None:
        raise NoBookPublished("The price log cannot be read at the moment. Try again in a few seconds.")
    return _kept(request, _signed(found))


@get(
    "/api/v1/price-books/{root:str}/proofs/{kind:str}",
    tags=["prices"],
    operation_id="get_proof",
    summary="Prove that a row, list or rule is in a price book",
    response_description="The object, its digest, and the path from there to the root.",
    **documented(
        304, 400, 401, 403, 404, 410, 422, 503, query=wire_books.ProofAsked, answer=wire_books.ProofAnswer, cached=True
    ),
)
async def get_proof(request: AnyRequest, root: Root, kind: Kind) -> Response[bytes]:
    """Prove an object you may see. A row is named by `list`, `sku`, `unit` and, where it has a beginning, `starts_at`;
    a SKU's facts by `sku`; lists, adjustments, bounds and quantity rules by `code`; strategy, policy and layers by
    nothing. What is not yours to see answers as what does not exist. `python -m pricing.engine.verify FILE ROOT` checks
    the answer; take the root from the public log.
    """
    asked = read_query(request, wire_books.ProofAsked)
    services, context = services_of(request), context_of(request, currency=None, country=None)
    period_of(services.books, root, last_in_force(services.books, root, now=context.at), now=context.at)
    proof = await services.proofs.prove(root, kind, _key_of(kind, asked), context.buyer)
    return _kept(request, proof)


HANDLERS: Final[list[ControllerRouterHandler]] = [list_price_books, get_current_price_book, get_proof]


def _key_of(kind: str, asked: wire_books.ProofAsked) -> tuple[str, ...]:
    """The leaf's key. A part that was not sent is empty, and so names nothing but a row without a beginning."""
    starts_at = given(asked.starts_at)
    parts = {
        "row": (asked.list, asked.sku, asked.unit, "" if starts_at is None else _leaf_instant(starts_at)),
        "sku": (asked.sku,),
        "strategy": (),
        "policy": (),
        "layers": (),
    }.get(kind, (asked.code,))
    return tuple(given(part) or "" for part in parts)


def _leaf_instant(text: str) -> str:
    """As the keys of rows have it."""
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return text


def _signed(found: publication_log.SignedPublication) -> wire_books.SignedPublication:
    return wire_books.SignedPublication(
        number=found.number,
        root=found.root,
        effective_at=found.effective_at,
        signed_text=found.signed_text,
        signature=base64.b64encode(found.signature).decode(),
        key_id=found.key_id,
    )


def _kept(request: AnyRequest, body: msgspec.Struct) -> Response[bytes]:
    """Answer with an entity tag of the very bytes."""
    tag = sha256(msgspec.json.encode(body)).hexdigest()[:32]
    headers = caching(request, tag)
    return not_modified(headers) if is_fresh(request, tag) else answered(body, headers=headers)
