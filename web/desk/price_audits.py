"""Price audits for finance staff: every difference with both answers and both traces."""

from typing import Any, Final

import msgspec
from litestar import get
from litestar.types import ControllerRouterHandler

from insights import audits
from web.http import AnyRequest, Html, services_of
from web.pages import page


@get("/desk/price-audits", include_in_schema=False, summary="Price audits")
async def price_audits(request: AnyRequest) -> Html:
    return page(request, "desk/price_audits.html", audits=await audits.latest(services_of(request).db), text=_text)


HANDLERS: Final[list[ControllerRouterHandler]] = [price_audits]


def _text(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
