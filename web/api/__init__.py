"""The JSON API, under /api/v1."""

from litestar.types import ControllerRouterHandler


def routes() -> list[ControllerRouterHandler]:
    return []
