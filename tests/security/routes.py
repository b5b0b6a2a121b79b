"""Every route of the application, from its own list, so that a new page is tested before anybody thinks of it."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from web.access import TABLE, Access
from web.auth import API_PREFIX, WEBHOOK_PREFIX
from web.security import UNSAFE_METHODS

PROGRAMS: Final = (API_PREFIX, WEBHOOK_PREFIX)
FALLBACKS: Final[dict[Any, str]] = {int: "1", UUID: "00000000-0000-7000-8000-000000000000"}


class Parameter(msgspec.Struct, frozen=True):
    name: str
    kind: Any


class Route(msgspec.Struct, frozen=True):
    method: str
    template: str
    parameters: tuple[Parameter, ...]
    access: Access
    source: str
    """Of the module that holds the handler."""

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def is_api(self) -> bool:
        return self.template.startswith(API_PREFIX)

    @property
    def is_for_browsers(self) -> bool:
        return not self.template.startswith(PROGRAMS)

    @property
    def is_unsafe(self) -> bool:
        return self.method in UNSAFE_METHODS

    def target(self, value: Callable[[str, str], str | None], **instead: str) -> str:
        """The address with *instead*, or *value*(template, parameter), or something of its type in each place."""
        kinds = {parameter.name: parameter.kind for parameter in self.parameters}

        def fill(match: re.Match[str]) -> str:
            name = match[1]
            return instead.get(name) or value(self.template, name) or FALLBACKS.get(kinds[name], "unknown")

        return re.sub(r"\{(\w+)\}", fill, self.template)


def routes_of(app: Litestar) -> list[Route]:
    """All routes but OPTIONS, which no handler of ours answers."""
    return sorted(_routes(app), key=str)


def _routes(app: Litestar) -> Iterator[Route]:
    for route in app.routes:
        parameters = tuple(
            Parameter(part.name, part.type) for part in route.path_components if not isinstance(part, str)
        )
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                source = inspect.getsource(inspect.getmodule(handler.fn) or Litestar)
                for method in sorted(handler.http_methods - {"OPTIONS"}):
                    yield Route(method, route.path_format, parameters, TABLE[method, route.path_format], source)
