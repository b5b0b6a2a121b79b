"""Signed quotes for programs: a price promised to the key's company until an instant."""

import asyncio
import uuid
from collections.abc import Collection
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from accounts.principal import BuyerCompany
from kernel.db import for_staff
from pricing.model import SignedQuote
from pricing.quote_package import PACKAGE_TYPE, QuotePackage, answer_of, package_of
from pricing.quote_pdf import VERSION, quote_pdf
from pricing.quotes import Issuer, QuotedAgreement, QuoteDocument, language_of, read_quote
from web.api import wire, wire_books
from web.api.context import context_of
from web.api.describing import ASKED, SENT, documented
from web.api.prices import request_of
from web.api.reading import JSON, answered, caching, given, is_fresh, not_modified, read_json, read_query
from web.api.repeats import claim_of
from web.http import AnyRequest, principal_of, services_of

PDF: Final = "application/pdf"
UUID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_decoder: Final = msgspec.json.Decoder(wire.SignedQuoteAsked)

QuoteId = Annotated[
    str,
    PathParameter(min_length=36, max_length=36, pattern=UUID, description="Id of a signed quote."),
]


@post(
    "/api/v1/signed-quotes",
    status_code=201,
    tags=["prices"],
    operation_id="sign_quote",
    summary="Promise a price until an instant, signed",
    response_description="The signed quote: keep it as it is, byte for byte.",
    **documented(
        *(*SENT, 422),
        body=wire.SignedQuoteAsked,
        answer=QuoteDocument,
        key="needed",
        links={
            "get_signed_quote": {"quote_id": "$response.body#/id"},
            "get_quote_document": {"quote_id": "$response.body#/id"},
            "get_quote_package": {"quote_id": "$response.body#/id"},
            "get_quote_order": {"quote_id": "$response.body#/id"},
        },
    ),
)
async def sign_quote(request: AnyRequest) -> Response[bytes]:
    """Price the lines as `POST /api/v1/quotes` does, and promise the answer to the key's company.

    With a refused line nothing is signed: 422 names each with its reason. The scope is `quotes:create`.
    """
    asked = await read_json(request, _decoder)
    context = context_of(request, currency=asked.currency, country=asked.country)
    services, claim = services_of(request), claim_of(request.scope)
    signed = await services.quotes.sign(
        request_of(asked, context),
        company=_company(request),
        issuer=Issuer(name=services.merchant.legal_name, url=services.settings.base_url),
        at=context.at,
        days=None if asked.valid_days is None else int(asked.valid_days),
        country_assumed=context.country_assumed,
        language=asked.language,
        quote_id=None if claim is None else claim.id,
        agreements=await _agreements(request, asked.language, {line.sku for line in asked.lines}),
    )
    services.journey.note(
        "priced", journey=principal_of(request).visitor_id, page="signed-quote", lines=len(asked.lines)
    )
    return Response(
        signed.document,
        status_code=201,
        media_type=JSON,
        headers={**caching(request, _tag(signed)), "location": f"/api/v1/signed-quotes/{signed.id}"},
    )


@get(
    "/api/v1/signed-quotes/{quote_id:str}",
    tags=["prices"],
    operation_id="get_signed_quote",
    summary="A quote that was signed for your company",
    response_description="The signed quote, byte for byte as it was given.",
    **documented(304, 400, 401, 403, 404, 503, answer=QuoteDocument, cached=True, key="needed"),
)
async def get_signed_quote(request: AnyRequest, quote_id: QuoteId) -> Response[bytes]:
    """Show a signed quote again, expired ones too. Another company's answers as one that does not exist.

    The scope is `quotes:create`.
    """
    read_query(request, wire.Asked)
    signed = await services_of(request).quotes.find(uuid.UUID(quote_id), company_id=_company(request).id)
    headers = caching(request, _tag(signed))
    if is_fresh(request, _tag(signed)):
        return not_modified(headers)
    return Response(signed.document, media_type=JSON, headers=headers)


@get(
    "/api/v1/signed-quotes/{quote_id:str}/document",
    tags=["prices"],
    operation_id="get_quote_document",
    summary="A signed quote as a PDF for the buyer's own approval",
    response_description="PDF/A and PDF/UA: lines, totals, expiry, the steps of every price, how to verify it.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire.QuoteDocumentAsked,
        answer=None,
        media_type=PDF,
        cached=True,
        key="needed",
    ),
)
async def get_quote_document(request: AnyRequest, quote_id: QuoteId) -> Response[bytes]:
    """Show a signed quote to people. What binds is the signed file, whose digest the document says.

    The scope is `quotes:create`.
    """
    asked = read_query(request, wire.QuoteDocumentAsked)
    signed = await services_of(request).quotes.find(uuid.UUID(quote_id), company_id=_company(request).id)
    return await document_answer(request, signed, given(asked.language))


@get(
    "/api/v1/signed-quotes/{quote_id:str}/package",
    tags=["prices"],
    operation_id="get_quote_package",
    summary="A signed quote with all that its prices follow from",
    response_description="The quote, the steps of its prices, and what leads from them to the price book's root.",
    **documented(304, 400, 401, 403, 404, 503, answer=QuotePackage, cached=True, key="needed"),
)
async def get_quote_package(request: AnyRequest, quote_id: QuoteId) -> Response[bytes]:
    """Give what `bin/tarifa verify-quote` needs to check the signature and to work every price out again, offline.

    The scope is `quotes:create`.
    """
    read_query(request, wire.Asked)
    signed = await services_of(request).quotes.find(uuid.UUID(quote_id), company_id=_company(request).id)
    return await package_answer(request, signed)


@get(
    "/api/v1/signed-quotes/{quote_id:str}/order",
    tags=["prices"],
    operation_id="get_quote_order",
    summary="Where a person orders by a signed quote, and whether it happened",
    response_description="The page to hand the buyer to, and the order's number once there is one.",
    **documented(400, 401, 403, 404, 503, answer=wire_books.QuoteOrder, key="needed"),
)
async def get_quote_order(request: AnyRequest, quote_id: QuoteId) -> Response[bytes]:
    """Hand the buyer over: an order needs a person of the company to agree, on the page `continue_url`.

    The scope is `quotes:create`.
    """
    read_query(request, wire.Asked)
    services = services_of(request)
    signed = await services.quotes.find(uuid.UUID(quote_id), company_id=_company(request).id)
    order = await services.orders.find_order_of_quote(principal_of(request), signed.id)
    expired = services.clock.now() >= signed.expires_at
    return answered(
        wire_books.QuoteOrder(
            id=str(signed.id),
            state="ordered" if order is not None else "expired" if expired else "open",
            order=None if order is None else order.number,
            expires_at=signed.expires_at,
            continue_url=f"{services.settings.base_url}/quotes/{signed.id}",
        ),
        headers={"cache-control": "private, no-cache", "vary": "Authorization"},
    )


HANDLERS: list[ControllerRouterHandler] = [
    sign_quote,
    get_signed_quote,
    get_quote_document,
    get_quote_package,
    get_quote_order,
]


async def document_answer(request: AnyRequest, signed: SignedQuote, language: str | None) -> Response[bytes]:
    """The PDF, in the language of the quote's terms unless said."""
    document = read_quote(signed)
    language = language or language_of(document)
    tag = sha256(signed.document + f"{VERSION} {language}".encode()).hexdigest()[:32]
    headers = {
        **caching(request, tag),
        "cache-control": "private, no-cache",
        "content-disposition": f'attachment; filename="quote-{signed.id}.pdf"',
    }
    if is_fresh(request, tag):
        return not_modified(headers)
    answer = await answer_of(document, services_of(request).books)
    made = await asyncio.to_thread(quote_pdf, document, signed.document, answer, language)
    return Response(made, media_type=PDF, headers=headers)


async def package_answer(request: AnyRequest, signed: SignedQuote) -> Response[bytes]:
    tag = sha256(signed.document + PACKAGE_TYPE.encode()).hexdigest()[:32]
    headers = {
        **caching(request, tag),
        "cache-control": "private, no-cache",
        "content-disposition": f'attachment; filename="quote-{signed.id}.json"',
    }
    if is_fresh(request, tag):
        return not_modified(headers)
    services = services_of(request)
    return Response(
        await package_of(signed.document, services.books, services.proofs), media_type=JSON, headers=headers
    )


async def _agreements(request: AnyRequest, language: str, skus: Collection[str]) -> tuple[QuotedAgreement, ...]:
    """The documents that a checkout of today would ask for, but for those that depend on its total with freight."""
    services, company = services_of(request), _company(request)
    async with services.db.reading(for_staff()) as session:
        versions = await services.agreements.required(
            session,
            company.country,
            language,
            company=company.code,
            categories=await services.catalog.categories_of(session, skus),
        )
        return tuple(
            QuotedAgreement(
                code=version.document.code, version=version.label, language=version.locale, sha256=version.source_sha256
            )
            for version in versions
        )


def _company(request: AnyRequest) -> BuyerCompany:
    company = principal_of(request).company
    assert company is not None, "an API key belongs to a company"
    return company


def _tag(signed: SignedQuote) -> str:
    return sha256(signed.document).hexdigest()[:32]
