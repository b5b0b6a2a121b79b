"""One's own privacy: consents seen and withdrawn, a copy of one's data, and the link in a letter that withdraws."""

import uuid

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.data_exports import ExportTooSoon
from agreements.wording import MARKETING
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.sentences import N_, sentence

PURPOSE_WORDS = {MARKETING: N_("Offers and product news by e-mail")}


@get("/account/privacy", include_in_schema=False, summary="Consents, and a copy of one's data")
async def privacy_page(request: AnyRequest) -> Html:
    return await _show(request)


@post("/account/privacy/consents", include_in_schema=False, summary="Withdraw a consent")
async def withdraw(request: AnyRequest) -> Html:
    purpose = (await read_form(request)).get("purpose")
    await services_of(request).consents.withdraw(principal_of(request), purpose)
    return redirect("/account/privacy")


@post("/account/privacy/exports", include_in_schema=False, summary="Ask for a copy of one's data")
async def ask_export(request: AnyRequest) -> Html:
    try:
        await services_of(request).data_exports.ask(principal_of(request))
    except ExportTooSoon as error:
        return await _show(request, refused=sentence(error, locale_of(request)), status=409)
    return redirect("/account/privacy#exports")


@get("/account/privacy/exports/{export:uuid}", include_in_schema=False, summary="A copy of one's data")
async def export_file(request: AnyRequest, export: FromPath[uuid.UUID]) -> Response[bytes]:
    content = await services_of(request).data_exports.content(principal_of(request), export)
    return Response(
        content,
        media_type="application/zip",
        headers={"content-disposition": 'attachment; filename="personal-data.zip"'},
    )


@get("/unsubscribe/{token:str}", include_in_schema=False, summary="Withdraw the consent a letter rests on")
async def unsubscribe_page(request: AnyRequest, token: FromPath[str]) -> Html:
    """Opening it withdraws nothing: mail programs open links to look behind them."""
    _, purpose = services_of(request).consents.read_link(token)
    return page(request, "account/unsubscribe.html", what=PURPOSE_WORDS.get(purpose, purpose), done=False, token=token)


@post("/unsubscribe/{token:str}", include_in_schema=False, summary="Withdraw it: one click, also by mail programs")
async def unsubscribe(request: AnyRequest, token: FromPath[str]) -> Html:
    """RFC 8058: no log-in, no cookie, no form of ours; the signed link is all that is looked at."""
    purpose = await services_of(request).consents.withdraw_by_link(token)
    return page(request, "account/unsubscribe.html", what=PURPOSE_WORDS.get(purpose, purpose), done=True, token=token)


HANDLERS: list[ControllerRouterHandler] = [
    privacy_page,
    withdraw,
    ask_export,
    export_file,
    unsubscribe_page,
    unsubscribe,
]


async def _show(request: AnyRequest, *, refused: str = "", status: int = 200) -> Html:
    services, principal = services_of(request), principal_of(request)
    return page(
        request,
        "account/privacy.html",
        status=status,
        consents=await services.consents.list_own(principal),
        purposes=PURPOSE_WORDS,
        exports=await services.data_exports.list_own(principal),
        refused=refused,
    )
