"""Whom we told of material versions, and the framework agreements that companies accepted."""

import uuid

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements.frameworks import EndingUnusable, FrameworkEnded, FrameworkNotFound
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import sentence
from web.shop.framework import bundle_of


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


@get("/desk/agreements/frameworks", include_in_schema=False, summary="Framework agreements")
async def frameworks(request: AnyRequest) -> Html:
    return await _frameworks(request, None)


@post("/desk/agreements/frameworks/{framework:str}/end", include_in_schema=False, summary="End a framework agreement")
async def end_framework(request: AnyRequest, framework: FromPath[str]) -> Html:
    form = await read_form(request)
    try:
        framework_id = uuid.UUID(framework)
    except ValueError:
        raise FrameworkNotFound("There is no such framework agreement.") from None
    try:
        await services_of(request).frameworks.end(principal_of(request), framework_id, note=form.get("note"))
    except (EndingUnusable, FrameworkEnded) as error:
        return await _frameworks(request, sentence(error, locale_of(request)))
    return redirect("/desk/agreements/frameworks")


@get("/desk/agreements/frameworks/{framework:str}/bundle.zip", include_in_schema=False, summary="A buyer's evidence")
async def framework_bundle(request: AnyRequest, framework: FromPath[str]) -> Response[bytes]:
    return await bundle_of(request, framework)


HANDLERS: list[ControllerRouterHandler] = [notices, frameworks, end_framework, framework_bundle]


async def _frameworks(request: AnyRequest, refused: str | None) -> Html:
    return page(
        request,
        "desk/agreement_frameworks.html",
        status=422 if refused else 200,
        frameworks=await services_of(request).frameworks.list_all(),
        refused=refused,
    )
