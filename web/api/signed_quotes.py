"""Signed quotes for programs: a price promised to the key's company until an instant."""

import uuid
from hashlib import sha256
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from accounts.principal import BuyerCompany
from pricing.model import SignedQuote
from pricing.quotes import Issuer, QuoteDocument
from web.api import wire
from web.api.context import context_of
from web.api.describing import documented
from web.api.prices import request_of
from web.api.reading import JSON, caching, is_fresh, not_modified, read_json, read_query
from web.api.repeats import claim_of
from web.http import AnyRequest, principal_of, services_of

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
    **documented(400, 401, 403, 413, 415, 422, 503, body=wire.SignedQuoteAsked, answer=QuoteDocument, key="needed"),
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


HANDLERS: list[ControllerRouterHandler] = [sign_quote, get_signed_quote]


def _company(request: AnyRequest) -> BuyerCompany:
    company = principal_of(request).company
    assert company is not None, "an API key belongs to a company"
    return company


def _tag(signed: SignedQuote) -> str:
    return sha256(signed.document).hexdigest()[:32]
