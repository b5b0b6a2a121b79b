"""The JSON API for partners' programs. docs/api.md teaches it."""

from litestar.types import ControllerRouterHandler

from web.api import (
    audits,
    document,
    feed_files,
    orders,
    price_books,
    price_feed,
    price_history,
    prices,
    problem_pages,
    reference,
    signed_quotes,
    webhooks,
)
from web.api.desk import drafts, files, impacts, objects, publications, reviews, segments


def routes() -> list[ControllerRouterHandler]:
    """Every route of the API, its document and the pages that explain its problems."""
    return [
        *prices.HANDLERS,
        *signed_quotes.HANDLERS,
        *price_books.HANDLERS,
        *price_feed.HANDLERS,
        *feed_files.HANDLERS,
        *price_history.HANDLERS,
        *orders.HANDLERS,
        *webhooks.HANDLERS,
        *audits.HANDLERS,
        *drafts.HANDLERS,
        *objects.HANDLERS,
        *reviews.HANDLERS,
        *publications.HANDLERS,
        *files.HANDLERS,
        *impacts.HANDLERS,
        *segments.HANDLERS,
        *document.HANDLERS,
        *problem_pages.HANDLERS,
        *reference.HANDLERS,
    ]
