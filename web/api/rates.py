"""How many requests a program may still make, said with every answer of the API.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10: what was agreed, and what is left of it.
"""

from typing import Final

from litestar.types import Message, Scope

from accounts.limits import network
from accounts.principal import Principal
from accounts.request_rates import WINDOW, Allowance
from web.http import AnyRequest, services_of

STATE: Final = "allowance"
_SECONDS: Final = int(WINDOW.total_seconds())


async def count_request(request: AnyRequest, principal: Principal) -> None:
    """Count a request against its key, or without one against the network it comes from.

    :raises TooManyRequests: when there are no more in this minute
    """
    services = services_of(request)
    if principal.key_id is not None:
        caller, limit = f"key {principal.key_id}", services.settings.requests_a_minute
    else:
        client = request.client
        caller = f"network {network(client.host if client else '')}"
        limit = services.settings.guest_requests_a_minute
    request.scope["state"][STATE] = await services.request_rates.count(caller, limit, services.clock.now())


async def add_allowance(message: Message, scope: Scope) -> None:
    """A `before_send` hook: tells a program what it has left."""
    allowance = scope.get("state", {}).get(STATE)
    if message["type"] == "http.response.start" and isinstance(allowance, Allowance):
        said = (
            (b"ratelimit-policy", f'"requests";q={allowance.limit};w={_SECONDS}'.encode()),
            (b"ratelimit", f'"requests";r={allowance.remaining};t={allowance.seconds}'.encode()),
        )
        message["headers"] = [*message.get("headers", ()), *said]
