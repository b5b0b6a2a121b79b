"""The public log of price books, and what can be proved and compared of them."""

import base64
from hashlib import sha256
from typing import Final

import msgspec
from litestar import Response, get
from litestar.types import ControllerRouterHandler

from pricing import publication_log
from pricing.books import NoBookPublished
from web.api import wire, wire_books
from web.api.describing import documented
from web.api.reading import answered, caching, given, is_fresh, not_modified, read_query
from web.http import AnyRequest, services_of


@get(
    "/api/v1/price-books",
    tags=["prices"],
    operation_id="list_price_books",
    summary="The public log of price books, newest first",
    response_description="One page of publications, each signed.",
    **documented(
        304, 400, 401, 403, 503, query=wire_books.PublicationsAsked, answer=wire_books.PublicationPage, cached=True
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
    **documented(304, 400, 401, 403, 503, answer=wire_books.SignedPublication, cached=True),
)
async def get_current_price_book(request: AnyRequest) -> Response[bytes]:
    """Name the book in force with the house's signature. What follows it, `GET /api/v1/price-book` says."""
    read_query(request, wire.Asked)
    services = services_of(request)
    found = await publication_log.find_signed(services.db, services.books.in_force(services.clock.now()).number)
    if found is None:
        raise NoBookPublished("The price log cannot be read at the moment. Try again in a few seconds.")
    return _kept(request, _signed(found))


HANDLERS: Final[list[ControllerRouterHandler]] = [list_price_books, get_current_price_book]


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
