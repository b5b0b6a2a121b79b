"""The quotes that were signed for a buyer's company: what they promise, and the way from one to the agreement step."""

from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.principal import BuyerCompany
from checkout.carts import CurrencyFixed
from checkout.quoted import QuoteVoid
from pricing.model import SignedQuote
from pricing.quotes import QuoteDocument, SignedQuoteNotFound, read_quote
from web.api.signed_quotes import document_answer, package_answer
from web.countries import country_options
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.pages import page, redirect
from web.sentences import sentence
from web.shop.cart import LINE_REFUSALS

LISTED_MOST = 50


class QuoteRow(msgspec.Struct, frozen=True):
    """A quote on the list, as of now."""

    document: QuoteDocument
    expired: bool


@get("/quotes", include_in_schema=False, summary="The company's signed quotes")
async def list_quotes(request: AnyRequest) -> Html:
    services = services_of(request)
    found = await services.quotes.newest(_company(request).id, limit=LISTED_MOST)
    now = services.clock.now()
    return page(
        request, "shop/quotes.html", quotes=[QuoteRow(read_quote(signed), now >= signed.expires_at) for signed in found]
    )


@get("/quotes/{quote_id:str}", include_in_schema=False, summary="A signed quote")
async def show_quote(request: AnyRequest, quote_id: FromPath[str]) -> Html:
    return await _show(request, await _find(request, quote_id))


@get("/quotes/{quote_id:str}/document", include_in_schema=False, summary="A signed quote as a PDF")
async def quote_document(request: AnyRequest, quote_id: FromPath[str]) -> Response[bytes]:
    return _unkept(await document_answer(request, await _find(request, quote_id), locale_of(request)))


@get("/quotes/{quote_id:str}/package", include_in_schema=False, summary="A signed quote with what verifies it")
async def quote_package(request: AnyRequest, quote_id: FromPath[str]) -> Response[bytes]:
    return _unkept(await package_answer(request, await _find(request, quote_id)))


@post("/quotes/{quote_id:str}/order", include_in_schema=False, summary="Go on to order by a signed quote")
async def order_quote(request: AnyRequest, quote_id: FromPath[str]) -> Html:
    """Put the quote's lines into the cart in place of its own, and go on to where they are delivered."""
    signed = await _find(request, quote_id)
    try:
        await services_of(request).carts.take_quote(principal_of(request), signed.id)
    except (*LINE_REFUSALS, SignedQuoteNotFound, QuoteVoid, CurrencyFixed) as error:
        return await _show(request, signed, refusal=sentence(error, locale_of(request)), status=409)
    return redirect("/checkout/details")


HANDLERS: list[ControllerRouterHandler] = [list_quotes, show_quote, quote_document, quote_package, order_quote]


def _unkept(answer: Response[bytes]) -> Response[bytes]:
    """A person's pages are kept nowhere: others may use the browser after them."""
    answer.headers["cache-control"] = "no-store"
    return answer


async def _find(request: AnyRequest, quote_id: str) -> SignedQuote:
    """:raises SignedQuoteNotFound: when there is none, or it is another company's"""
    try:
        number = UUID(quote_id)
    except ValueError:
        raise SignedQuoteNotFound("The number of a quote is the id in its document.") from None
    return await services_of(request).quotes.find(number, company_id=_company(request).id)


async def _show(request: AnyRequest, signed: SignedQuote, *, refusal: str | None = None, status: int = 200) -> Html:
    services, locale = services_of(request), locale_of(request)
    document = read_quote(signed)
    country = document.buyer.country or ""
    return page(
        request,
        "shop/quote.html",
        status=status,
        quote=document,
        order=await services.orders.find_order_of_quote(principal_of(request), signed.id),
        expired=services.clock.now() >= signed.expires_at,
        refusal=refusal,
        skus=await services.catalog.find_skus([line.sku for line in document.lines]),
        country=dict(country_options(locale)).get(country, country),
    )


def _company(request: AnyRequest) -> BuyerCompany:
    company = principal_of(request).company
    assert company is not None, "these pages are a member's"
    return company
