"""Buyer pages."""

from litestar.types import ControllerRouterHandler

from web.shop import catalog


def routes() -> list[ControllerRouterHandler]:
    """Every page of the shop."""
    return [*catalog.HANDLERS]
