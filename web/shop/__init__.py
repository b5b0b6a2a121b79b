"""Buyer pages."""

from litestar.types import ControllerRouterHandler

from web.shop import account, cart, catalog, checkout, documents, entrance, ledger, orders, quotes


def routes() -> list[ControllerRouterHandler]:
    """Every page of the shop."""
    return [
        *catalog.HANDLERS,
        *entrance.HANDLERS,
        *cart.HANDLERS,
        *checkout.HANDLERS,
        *orders.HANDLERS,
        *quotes.HANDLERS,
        *documents.HANDLERS,
        *ledger.HANDLERS,
        *account.HANDLERS,
    ]
