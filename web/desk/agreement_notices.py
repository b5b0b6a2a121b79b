"""Whom we told of material versions, and when."""

from litestar import get
from litestar.types import ControllerRouterHandler

from web.http import AnyRequest, Html, services_of
from web.pages import page


@get("/desk/agreements/notices", include_in_schema=False, summary="Letters about material versions")
async def notices(request: AnyRequest) -> Html:
    """All versions that were told of; with `code` and `label`, who was written to."""
    services, code = services_of(request), request.query_params.get("code", "")
    label = request.query_params.get("label", "")
    return page(
        request,
        "desk/agreement_notices.html",
        told=await services.notices.list_told(),
        code=code,
        label=label,
        letters=await services.notices.list_letters(code, label) if code and label else (),
    )


HANDLERS: list[ControllerRouterHandler] = [notices]
