"""Browse, search, and see every price and why."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from catalog.views import Browse, CatalogPage, ProductCard, SkuView, Sort
from kernel.errors import Malformed
from kernel.money import Mode, divide, ratio, ratio_text
from pricing.engine import Book, Buyer, LineRequest, QuoteRequest, quote
from pricing.engine.explain import loser_text, step_text
from pricing.engine.request import PricedLine, Step
from pricing.ladder import Ladder, ladder_of
from pricing.price_history import Asked, Reduction
from web.buyers import buyer_of, currency_of
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.pages import page
from web.sentences import refusal_sentence
from web.services import Services
from web.shop.comparison import Comparison, compare
from web.shop.plot import Plot, plot

PAGE_SIZE: Final = 24
PAGE_MOST: Final = 100_000
PANELS_MOST: Final = 3  # more SKUs than these stand in one table to compare


class PageMalformed(Malformed):
    problem = "malformed"
    title = "The address is malformed"


class PricedCard(msgspec.Struct, frozen=True):
    """A product in a list with the least price of one base unit at quantity 1; None where nothing is priced so."""

    card: ProductCard
    lowest: PricedLine | None
    varies: bool


class PricedSku(msgspec.Struct, frozen=True):
    """A SKU on its product's page, with the ladder of its base unit."""

    sku: SkuView
    ladder: Ladder
    plot: Plot | None
    refusal: str | None
    reduced: Reduction | None = None
    """When the price of the first rung fell in the last 30 days, and nothing came after."""


class StepRow(msgspec.Struct, frozen=True):
    """A step of a trace in words, with its amounts; None where there is none."""

    step: Step
    text: str
    before: str | None
    after: str


@get("/", include_in_schema=False, summary="Start")
async def home(request: AnyRequest) -> Html:
    services = services_of(request)
    tree = await services.catalog.list_categories(locale_of(request))
    return page(request, "shop/home.html", tree=tree)


@get("/catalog", include_in_schema=False, summary="All products")
async def everything(request: AnyRequest) -> Html:
    return await _listing(request, Browse(locale=locale_of(request)))


@get("/catalog/{category:str}", include_in_schema=False, summary="One category's products")
async def category(request: AnyRequest, category: FromPath[str]) -> Html:
    return await _listing(request, Browse(category=category, locale=locale_of(request)))


@get("/search", include_in_schema=False, summary="Products by SKU or words")
async def search(request: AnyRequest) -> Html:
    return await _listing(request, Browse(text=request.query_params.get("q", "").strip(), locale=locale_of(request)))


@get("/products/{code:str}", include_in_schema=False, summary="A product with its SKUs and price ladders")
async def product(request: AnyRequest, code: FromPath[str]) -> Html:
    services, principal, at = services_of(request), principal_of(request), services_of(request).clock.now()
    found = await services.catalog.find_product(code)
    book = services.books.at(at)
    buyer, currency = buyer_of(principal), currency_of(request)
    priced = tuple(_priced(book, sku, buyer, currency, locale_of(request), at) for sku in found.skus)
    comparison = _comparison(priced)
    if comparison is None:
        priced = tuple([await _with_reduction(services, each, buyer, currency, at) for each in priced])
    services.journey.note("priced", journey=principal.visitor_id, page="product", lines=len(priced))
    return page(
        request,
        "shop/product.html",
        product=found,
        priced=priced,
        comparison=comparison,
        currency=currency,
        root=book.root,
    )


@get("/skus/{code:str}/price", include_in_schema=False, summary="Why this price?")
async def why(request: AnyRequest, code: FromPath[str]) -> Html:
    """The price of one line with its whole trace. Quantity and unit come from the address, so that it can be sent."""
    services, principal, at = services_of(request), principal_of(request), services_of(request).clock.now()
    skus = await services.catalog.find_skus([code])
    quantity = request.query_params.get("quantity", "1").strip()[:40] or "1"
    unit = request.query_params.get("unit", "").strip()[:64] or None
    book, buyer, currency, locale = services.books.at(at), buyer_of(principal), currency_of(request), locale_of(request)
    answer = quote(
        QuoteRequest(buyer=buyer, currency=currency, lines=(LineRequest(sku=code, quantity=quantity, unit=unit),)),
        book=book,
        at=at,
    )
    line = answer.lines[0]
    ladder = ladder_of(book, buyer, currency=currency, sku=code, unit=unit, at=at)
    services.journey.note("priced", journey=principal.visitor_id, page="why", lines=1)
    return page(
        request,
        "shop/why.html",
        status=200 if isinstance(line, PricedLine) or code in skus else 404,
        sku=skus.get(code),
        code=code,
        line=line,
        ladder=ladder,
        plot=plot(ladder.rungs, line.quantity if isinstance(line, PricedLine) else None),
        currency=currency,
        quantity=quantity,
        unit=unit,
        root=book.root,
        steps=[_step_row(step, locale) for step in line.trace.steps] if isinstance(line, PricedLine) else [],
        losers=[(loser, loser_text(loser, locale)) for loser in line.trace.losers]
        if isinstance(line, PricedLine)
        else [],
        refusal=None if isinstance(line, PricedLine) else refusal_sentence(line, locale),
    )


@get("/prices", include_in_schema=False, summary="How prices work, and which book is in force")
async def prices(request: AnyRequest) -> Html:
    services = services_of(request)
    now = services.clock.now()
    return page(
        request,
        "shop/prices.html",
        in_force=services.books.in_force(now),
        upcoming=services.books.upcoming(now),
        history=tuple(reversed(services.books.published()))[:20],
        policy=services.books.at(now).rules.policy,
    )


HANDLERS: list[ControllerRouterHandler] = [home, everything, category, search, product, why, prices]


async def _listing(request: AnyRequest, asked: Browse) -> Html:
    services, principal, at = services_of(request), principal_of(request), services_of(request).clock.now()
    query = request.query_params
    found = await services.catalog.browse(
        msgspec.structs.replace(
            asked,
            brands=tuple(query.getall("brand", [])),
            attributes=_chosen_attributes(query.multi_items()),
            in_stock=query.get("in_stock") == "yes",
            sort=_sort(query.get("sort")),
            page=_page_number(query.get("page", "1")),
            page_size=PAGE_SIZE,
        )
    )
    book, buyer, currency = services.books.at(at), buyer_of(principal), currency_of(request)
    cards = tuple(_priced_card(book, card, buyer, currency, at) for card in found.products)
    if cards:
        services.journey.note("priced", journey=principal.visitor_id, page="list", lines=len(cards))
    return page(
        request,
        "shop/listing.html",
        found=found,
        cards=cards,
        currency=currency,
        searched=found.browse.text,
        page_url=_page_url(found, request.url.path),
        sorts=Sort,
    )


def _priced_card(book: Book, card: ProductCard, buyer: Buyer, currency: str, at: Any) -> PricedCard:
    """Every SKU is priced: a "from" that missed the cheapest one would be a hidden price."""
    priced = []
    for sku in card.skus:
        line = LineRequest(sku=sku.code, quantity=_first_quantity(book, sku))
        outcome = quote(QuoteRequest(buyer=buyer, currency=currency, lines=(line,)), book=book, at=at).lines[0]
        if isinstance(outcome, PricedLine) and outcome.unit_price is not None:
            priced.append(outcome)
    priced.sort(key=lambda outcome: Decimal(outcome.unit_price or "0"))
    varies = len({outcome.unit_price for outcome in priced}) > 1
    return PricedCard(card, priced[0] if priced else None, varies)


def _first_quantity(book: Book, sku: SkuView) -> str:
    """The least quantity that can be ordered of the base unit: what "from" means on a list."""
    entry = book.entry(sku.code)
    if entry is None:
        return "1"
    least = [
        rule.minimum or rule.multiple
        for rule in book.rules.quantity_rules_for(entry.facts)
        if rule.unit in {None, sku.base_unit}
    ]
    whole = [-(-bound[0] // bound[1]) for bound in least if bound is not None]
    return str(max([1, *whole]))


def _priced(book: Book, sku: SkuView, buyer: Buyer, currency: str, locale: str, at: Any) -> PricedSku:
    ladder = ladder_of(book, buyer, currency=currency, sku=sku.code, at=at)
    refusal = None if ladder.refused is None else refusal_sentence(ladder.refused, locale)
    return PricedSku(sku, ladder, plot(ladder.rungs), refusal)


async def _with_reduction(
    services: Services, priced: PricedSku, buyer: Buyer, currency: str, at: datetime
) -> PricedSku:
    """With the lowest price of the 30 days before it, where the price shown first is a reduced one."""
    if not priced.ladder.rungs:
        return priced
    asked = Asked(
        buyer=buyer,
        currency=currency,
        sku=priced.sku.code,
        unit=priced.ladder.unit,
        quantity=priced.ladder.rungs[0].quantity,
        tax=None,
    )
    reduced = await services.price_history.reduced(asked, now=at)
    return msgspec.structs.replace(priced, reduced=reduced)


def _comparison(priced: Sequence[PricedSku]) -> Comparison | None:
    if len(priced) <= PANELS_MOST:
        return None
    return compare([(item.sku, item.ladder, item.refusal) for item in priced])


def _step_row(step: Step, locale: str) -> StepRow:
    return StepRow(
        step, step_text(step, locale), None if step.before is None else _decimal(step.before), _decimal(step.after)
    )


def _decimal(amount: str) -> str:
    """An amount of a trace as a decimal; a division that does not end, to six places."""
    numerator, denominator = ratio(amount)
    return ratio_text(divide(numerator * 10**6, denominator, Mode.HALF_UP), 10**6)


def _chosen_attributes(items: Iterable[tuple[str, Any]]) -> dict[str, tuple[str, ...]]:
    chosen: dict[str, tuple[str, ...]] = {}
    for name, value in items:
        prefix, _, key = name.partition(":")
        if prefix == "attribute" and key:
            chosen[key] = (*chosen.get(key, ()), str(value))
    return chosen


def _sort(text: str | None) -> Sort:
    return Sort(text) if text in set(Sort) else Sort.BEST


def _page_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= PAGE_MOST:
        raise PageMalformed(f"The page must be a number from 1 to {PAGE_MOST}.")
    return int(text[:9])


def _page_url(found: CatalogPage, path: str) -> Any:
    """Return a function from a page number to its address, all other choices kept."""
    browse = found.browse
    kept: list[tuple[str, str]] = [("q", browse.text)] if browse.text else []
    kept += [("brand", brand) for brand in browse.brands]
    kept += [(f"attribute:{key}", value) for key, values in browse.attributes.items() for value in values]
    kept += [("in_stock", "yes")] if browse.in_stock else []
    kept += [("sort", browse.sort.value)] if browse.sort is not Sort.BEST else []
    return lambda number: f"{path}?{urlencode([*kept, ('page', str(number))])}"
