"""What a SKU has cost, with the lowest price of the 30 days before each reduction."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec
from litestar import Response, get
from litestar.types import ControllerRouterHandler

from kernel.canonical import canonical_json
from pricing.ladder import edges_of_sku, least_quantity
from pricing.price_history import Asked, Reduction, Stretch
from web.api import wire_books
from web.api.context import context_of, tax_categories
from web.api.describing import ASKED, documented
from web.api.price_feed import reader_of
from web.api.prices import Sku, SkuNotPriced, trimmed
from web.api.reading import answered, caching, given, is_fresh, not_modified, read_query
from web.http import AnyRequest, services_of


@get(
    "/api/v1/price-history/{sku:path}",
    tags=["prices"],
    operation_id="get_price_history",
    summary="What a SKU has cost, and the lowest price before each reduction",
    response_description="Stretches of one price each, with the book behind them, and the reductions among them.",
    **documented(
        *(*ASKED, 304, 404, 422),
        query=wire_books.PriceHistoryAsked,
        answer=wire_books.PriceHistoryAnswer,
        cached=True,
    ),
)
async def get_price_history(request: AnyRequest, sku: Sku) -> Response[bytes]:
    """Tell the price of one quantity over the last `days`, as this reader would have had it: every book that was in
    force, and every window that began or ended inside one.
    """
    asked = read_query(request, wire_books.PriceHistoryAsked)
    context = context_of(request, currency=given(asked.currency), country=given(asked.country))
    code, book, at = sku.removeprefix("/"), context.book, context.at
    entry = book.entry(code)
    if entry is None:
        raise SkuNotPriced("There is no such SKU in the price book in force. Look its code up in the feed.")
    unit = given(asked.unit) or entry.facts.units[0].unit
    quantity = trimmed(given(asked.quantity) or "") or least_quantity(book, entry, unit)
    since = _midnight(at) - timedelta(days=asked.days)
    tax = context.tax(tax_categories(book, [code]))
    edges = edges_of_sku(book, entry, context.buyer, context.currency)
    passed = [edge for edge in edges if edge <= at]
    services = services_of(request)
    latest = services.books.in_force(at).number
    said = [_SHAPE, latest, passed[-1:], reader_of(context), context.country, code, unit, quantity, since, tax]
    tag = sha256(canonical_json(said)).hexdigest()[:32]
    headers = caching(request, tag)
    if is_fresh(request, tag):
        return not_modified(headers)
    history = await services.price_history.of(
        Asked(buyer=context.buyer, currency=context.currency, sku=code, unit=unit, quantity=quantity, tax=tax),
        since=since,
        now=at,
    )
    return answered(
        wire_books.PriceHistoryAnswer(
            sku=code,
            unit=unit,
            quantity=quantity,
            company=context.buyer.company,
            currency=context.currency,
            country=context.country,
            country_assumed=context.country_assumed,
            begins=since,
            valid_until=edges[len(passed)] if len(passed) < len(edges) else None,
            stretches=tuple(_stretch(each) for each in history.stretches),
            reductions=tuple(_reduction(each) for each in history.reductions),
        ),
        headers=headers,
    )


HANDLERS: Final[list[ControllerRouterHandler]] = [get_price_history]


def _stretch(stretch: Stretch) -> wire_books.PriceStretch:
    return wire_books.PriceStretch(
        begins=stretch.begins,
        ends=stretch.ends,
        root=stretch.root,
        publication=stretch.publication,
        line_total=stretch.line_total,
        net=stretch.net,
        unit_price=stretch.unit_price,
        price_unit=stretch.price_unit,
        tax_included=stretch.tax_included,
        list=stretch.list,
        refused=stretch.refused,
    )


def _reduction(reduction: Reduction) -> wire_books.PriceReduction:
    return wire_books.PriceReduction(
        at=reduction.at,
        before=reduction.before,
        after=reduction.after,
        lowest=_stretch(reduction.lowest),
        known_since=reduction.known_since,
    )


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


_SHAPE: Final = sha256(
    msgspec.json.encode(msgspec.json.schema(wire_books.PriceHistoryAnswer), order="sorted")
).hexdigest()
