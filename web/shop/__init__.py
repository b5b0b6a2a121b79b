"""Buyer pages."""

from litestar.types import ControllerRouterHandler

from web.shop import cart, catalog, entrance


def routes() -> list[ControllerRouterHandler]:
    """Every page of the shop."""
    return [*catalog.HANDLERS, *entrance.HANDLERS, *cart.HANDLERS]
