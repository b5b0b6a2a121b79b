"""The company's framework agreement: accepted once for the orders that its programs place, and ended."""

import uuid
from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements import bundles
from agreements.frameworks import EndingUnusable, FrameworkEnded, FrameworkNotFound
from agreements.service import (
    BoxNotTicked,
    DocumentsMissing,
    JobTitleMissing,
    PresentationConsumed,
    PresentationNotFound,
    PresentationStale,
    SignatoryRequired,
)
from kernel.canonical import canonical_json
from kernel.errors import DomainError
from web.evidence import stylesheet_digest, template_digest
from web.http import (
    AnyRequest,
    Html,
    address_of,
    locale_of,
    principal_of,
    read_form,
    services_of,
    user_agent_of,
)
from web.pages import page, redirect
from web.sentences import sentence
from web.shop.checkout import presented_documents

TEMPLATE: Final = "account/agreements.html"


@get("/account/agreements", include_in_schema=False, summary="The framework agreement for orders by programs")
async def framework_page(request: AnyRequest) -> Html:
    return await _show(request)


@post("/account/agreements", include_in_schema=False, summary="Accept the framework agreement")
async def accept_framework(request: AnyRequest) -> Html:
    """No box is ever ticked for anybody, after an error neither."""
    form, locale = await read_form(request), locale_of(request)
    try:
        presentation_id = uuid.UUID(form.get("presentation"))
    except ValueError:
        return await _show(request, refused=PresentationNotFound(""), status=409)
    try:
        await services_of(request).frameworks.accept(
            principal_of(request),
            presentation_id=presentation_id,
            ticked=frozenset(name for name, value in form.as_dict().items() if value == "yes"),
            job_title=form.get("job_title"),
            ip=address_of(request),
            user_agent=user_agent_of(request),
        )
    except BoxNotTicked as error:
        said = sentence(error, locale)
        boxes = msgspec.convert(error.extra["boxes"], list[str])
        return await _show(request, errors=dict.fromkeys(boxes, said), status=422)
    except JobTitleMissing as error:
        return await _show(request, errors={"job_title": sentence(error, locale)}, status=422)
    except (PresentationNotFound, PresentationStale, SignatoryRequired) as error:
        return await _show(request, refused=error, status=409)
    except PresentationConsumed:
        return redirect("/account/agreements")
    return redirect("/account/agreements")


@post("/account/agreements/{framework:str}/end", include_in_schema=False, summary="End the framework agreement")
async def end_framework(request: AnyRequest, framework: FromPath[str]) -> Html:
    form = await read_form(request)
    try:
        await services_of(request).frameworks.end(principal_of(request), _id(framework), note=form.get("note"))
    except EndingUnusable as error:
        return await _show(request, errors={"note": sentence(error, locale_of(request))}, status=422)
    except (FrameworkEnded, SignatoryRequired) as error:
        return await _show(request, refused=error, status=409)
    return redirect("/account/agreements")


@get("/account/agreements/{framework:str}/receipt.json", include_in_schema=False, summary="Receipt of the acceptance")
async def framework_receipt(request: AnyRequest, framework: FromPath[str]) -> Response[bytes]:
    receipt = await services_of(request).frameworks.receipt(principal_of(request), _id(framework))
    headers = {
        "content-disposition": f'attachment; filename="framework-{framework}.json"',
        "cache-control": "no-store",
    }
    return Response(canonical_json(receipt), media_type="application/json", headers=headers)


@get("/account/agreements/{framework:str}/bundle.zip", include_in_schema=False, summary="Evidence of the acceptance")
async def framework_bundle(request: AnyRequest, framework: FromPath[str]) -> Response[bytes]:
    return await bundle_of(request, framework)


HANDLERS: list[ControllerRouterHandler] = [
    framework_page,
    accept_framework,
    end_framework,
    framework_receipt,
    framework_bundle,
]


async def bundle_of(request: AnyRequest, framework: str) -> Response[bytes]:
    """Built now, and kept nowhere: what was erased since is not in it.

    :raises agreements.service.ReceiptNotFound: when there is none, or it is another company's
    """
    services, framework_id = services_of(request), _id(framework)
    headers = {
        "content-disposition": f'attachment; filename="framework-{framework_id}.zip"',
        "cache-control": "private, no-store",
    }
    made = await bundles.of_framework(services.db, principal_of(request), services.frameworks, framework_id)
    return Response(made.content, media_type="application/zip", headers=headers)


def _id(text: str) -> uuid.UUID:
    """:raises FrameworkNotFound: when *text* is no id"""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise FrameworkNotFound("There is no such framework agreement.") from None


async def _show(
    request: AnyRequest,
    *,
    errors: dict[str, str] | None = None,
    refused: DomainError | None = None,
    status: int = 200,
) -> Html:
    """The standing agreement; for a signatory, unless it covers all there is, what is to be accepted now."""
    services, principal, locale = services_of(request), principal_of(request), locale_of(request)
    view = await services.frameworks.find(principal)
    presentation = None
    if principal.signatory and (view.framework is None or view.outdated):
        try:
            presentation = await services.frameworks.present(
                principal,
                locale=locale,
                template_digest=template_digest(TEMPLATE),
                stylesheet_digest=stylesheet_digest(),
            )
        except DocumentsMissing as error:
            refused = error
    return page(
        request,
        TEMPLATE,
        status=status,
        view=view,
        presentation=presentation,
        documents=[] if presentation is None else await presented_documents(request, presentation),
        job_title=principal.job_title or "",
        refused=None if refused is None else sentence(refused, locale),
        errors=errors or {},
    )
