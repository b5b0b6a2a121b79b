"""Prices for programs: a cart in one call, one SKU with its ladder, and which book is in force.

All ask the one engine on the book in force, as pages and carts do. Nothing is stored, and no database is read but to
look an API key up.
"""

from hashlib import sha256
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from kernel.errors import NotFound
from pricing.engine import LineRequest, QuoteRequest, quote
from pricing.engine.request import PricedLine, RefusedLine
from pricing.ladder import etag, ladder_of, price_of
from web.api import shaping, wire
from web.api.context import Context, context_of, tax_categories
from web.api.decoding import QuoteDecoder
from web.api.describing import documented
from web.api.reading import answered, caching, given, is_fresh, not_modified, read_json, read_query
from web.http import AnyRequest, principal_of, services_of

_quote_decoder: Final = QuoteDecoder()

Sku = Annotated[
    str,
    PathParameter(
        description="Code of a SKU. A slash in it may be sent as it is or as `%2F`.",
        schema_extra={"min_length": 1, "max_length": 64, "pattern": wire.CODE},
    ),
]


class SkuNotPriced(NotFound):
    problem = "sku-not-priced"
    title = "We do not sell this"


@post(
    "/api/v1/quotes",
    status_code=200,
    tags=["prices"],
    operation_id="create_quote",
    summary="Price up to 500 lines, with the reasons",
    response_description="Every line with its price and how it came about, or the reason it has none.",
    **documented(400, 401, 403, 413, 415, 422, 503, body=wire.QuoteAsked, answer=wire.QuoteAnswer),
)
async def create_quote(request: AnyRequest) -> Response[bytes]:
    """Price the lines as one order, exactly as a cart holding them would be, and store nothing.

    Without a key the prices are the public ones; a key with the scope `quotes:create` shows its company's.
    """
    asked = await read_json(request, _quote_decoder)
    context = context_of(request, currency=asked.currency, country=asked.country)
    answer = quote(request_of(asked, context), book=context.book, at=context.at)
    services_of(request).journey.note(
        "priced", journey=principal_of(request).visitor_id, page="quote", lines=len(asked.lines)
    )
    return answered(
        wire.QuoteAnswer(
            root=answer.root,
            at=answer.at,
            company=context.buyer.company,
            currency=answer.currency,
            country=context.country,
            country_assumed=context.country_assumed,
            tax_treatment=wire.Treatment(answer.tax_treatment or wire.Treatment.STANDARD),
            policy=shaping.policy(answer.policy),
            lines=shaping.price_lines(answer.lines, answer.currency, asked.language),
            order_steps=shaping.steps(answer.order_steps, asked.language),
            order_losers=shaping.losers(answer.order_losers, asked.language),
            totals=shaping.totals(answer),
            valid_until=answer.valid_until,
        )
    )


@get(
    "/api/v1/prices/{sku:path}",
    tags=["prices"],
    operation_id="get_price",
    summary="The price of a SKU, and its ladder of quantities",
    response_description="The price, or the reason there is none, and the quantities at which it changes.",
    **documented(304, 400, 401, 403, 404, 422, 503, query=wire.PriceAsked, answer=wire.PriceAnswer, cached=True),
)
async def get_price(
    request: AnyRequest,
    sku: Sku,
) -> Response[bytes]:
    """Price one line alone in its order. The entity tag holds until the price may change: ask with `If-None-Match`.

    Without a key the price is the public one; a key with the scope `prices:read` shows its company's.
    """
    asked = read_query(request, wire.PriceAsked)
    code, quantity, language = sku.removeprefix("/"), trimmed(given(asked.quantity) or ""), asked.language
    context = context_of(request, currency=given(asked.currency), country=given(asked.country))
    if context.book.entry(code) is None:
        raise SkuNotPriced("There is no such SKU in the price book in force. Look its code up in the feed.")
    line = LineRequest(sku=code, unit=given(asked.unit), quantity=quantity or "least")
    tax = context.tax(tax_categories(context.book, [code]))
    tag = _tag(
        etag(
            context.book,
            QuoteRequest(buyer=context.buyer, currency=context.currency, lines=(line,), tax=tax),
            context.at,
        ),
        context,
        language,
    )
    headers = caching(request, tag)
    if is_fresh(request, tag):
        return not_modified(headers)
    ladder = ladder_of(
        context.book, context.buyer, currency=context.currency, sku=code, unit=line.unit, tax=tax, at=context.at
    )
    priced: PricedLine | RefusedLine
    if not quantity and ladder.rungs:
        priced = ladder.rungs[0].line
    else:
        priced = price_of(
            context.book,
            context.buyer,
            currency=context.currency,
            sku=code,
            unit=line.unit,
            quantity=quantity or "1",
            tax=tax,
            at=context.at,
        ).line
    ends = [end for end in (priced.valid_until, ladder.valid_until) if end is not None]
    services_of(request).journey.note("priced", journey=principal_of(request).visitor_id, page="price", lines=1)
    return answered(
        wire.PriceAnswer(
            root=context.book.root,
            sku=code,
            company=context.buyer.company,
            currency=context.currency,
            country=context.country,
            country_assumed=context.country_assumed,
            price=shaping.price_lines((priced,), context.currency, language)[0],
            ladder=shaping.rungs(ladder),
            ladder_cut=ladder.more,
            valid_until=min(ends, default=None),
        ),
        headers=headers,
    )


@get(
    "/api/v1/price-book",
    tags=["prices"],
    operation_id="get_price_book",
    summary="The price book in force, and what follows it",
    response_description="The publication in force and those to come.",
    **documented(304, 400, 401, 403, 503, answer=wire.PriceBookAnswer, cached=True),
)
async def get_price_book(request: AnyRequest) -> Response[bytes]:
    """Name the book that prices this instant. Every quote, price and feed row carries the same root."""
    read_query(request, wire.Asked)
    services = services_of(request)
    at = services.clock.now()
    current = services.books.in_force(at)
    body = wire.PriceBookAnswer(
        number=current.number,
        root=current.root,
        effective_at=current.effective_at,
        upcoming=tuple(
            wire.Publication(number=each.number, root=each.root, effective_at=each.effective_at)
            for each in services.books.upcoming(at)
        ),
    )
    tag = sha256(msgspec.json.encode(body)).hexdigest()[:32]
    headers = caching(request, tag)
    return not_modified(headers) if is_fresh(request, tag) else answered(body, headers=headers)


HANDLERS: list[ControllerRouterHandler] = [create_quote, get_price, get_price_book]


def request_of(asked: wire.QuoteAsked, context: Context) -> QuoteRequest:
    """What the engine is asked for these lines."""
    return QuoteRequest(
        buyer=context.buyer,
        currency=context.currency,
        lines=tuple(LineRequest(sku=line.sku, unit=line.unit, quantity=trimmed(line.quantity)) for line in asked.lines),
        tax=context.tax(tax_categories(context.book, (line.sku for line in asked.lines))),
    )


def _tag(of_price: str, context: Context, form: str) -> str:
    """An entity tag of bytes: the price's own, and everything else that the bytes depend on."""
    parts = (of_price, _SHAPE, form, str(context.country_assumed))
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def trimmed(quantity: str) -> str:
    """Without zeros at the end of the decimals, of which the wire takes more than the engine."""
    return quantity.rstrip("0").rstrip(".") if "." in quantity else quantity


_SHAPE: Final = sha256(msgspec.json.encode(msgspec.json.schema(wire.PriceAnswer), order="sorted")).hexdigest()
