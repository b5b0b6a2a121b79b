"""Documents and their versions at the legal desk: what is in force, what is drafted, what was withdrawn, who did it."""

from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements.model import DocumentKind
from agreements.publishing import DocumentExists, DraftExists, DraftUnusable
from web.desk.agreement_words import errors_of
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence

ACTS_SHOWN: Final = 200


@get("/desk/agreements", include_in_schema=False, summary="Documents and their versions")
async def documents(request: AnyRequest) -> Html:
    return await _overview(request, values={}, errors={})


@post("/desk/agreements", include_in_schema=False, summary="Name a new document")
async def define(request: AnyRequest) -> Html:
    form, locale, by = await read_form(request), locale_of(request), principal_of(request).person_id
    assert by is not None, "the legal desk is people"
    kind = form.get("kind")
    prevailing = form.get("prevailing_locale") or None
    if kind not in set(DocumentKind):
        return await _overview(request, values=form.as_dict(), errors=errors_of({"kind": ""}, locale))
    try:
        made = await services_of(request).publishing.define(
            code=form.get("code"), kind=DocumentKind(kind), prevailing_locale=prevailing, by=by
        )
    except DraftUnusable as error:
        return await _overview(request, values=form.as_dict(), errors=errors_of(error.fields, locale))
    except DocumentExists as error:
        return await _overview(request, values=form.as_dict(), errors={"code": sentence(error, locale)})
    return redirect(f"/desk/agreements/documents/{made.code}")


@get("/desk/agreements/documents/{code:str}", include_in_schema=False, summary="A document and all its versions")
async def document(request: AnyRequest, code: FromPath[str]) -> Html:
    return await _document(request, code, values={}, errors={})


@post("/desk/agreements/documents/{code:str}/drafts", include_in_schema=False, summary="Begin a new version")
async def open_draft(request: AnyRequest, code: FromPath[str]) -> Html:
    form, locale, by = await read_form(request), locale_of(request), principal_of(request).person_id
    assert by is not None, "the legal desk is people"
    try:
        draft = await services_of(request).publishing.open_draft(
            code, label=form.get("label"), material=form.get("material") == "yes", by=by
        )
    except DraftUnusable as error:
        return await _document(request, code, values=form.as_dict(), errors=errors_of(error.fields, locale))
    except DraftExists as error:
        return redirect(f"/desk/agreements/drafts/{error.extra['draft']}")
    return redirect(f"/desk/agreements/drafts/{draft.id}")


@post("/desk/agreements/documents/{code:str}/withdrawal", include_in_schema=False, summary="Withdraw a version")
async def withdraw(request: AnyRequest, code: FromPath[str]) -> Html:
    """Of every language of the label, at once. Orders that were placed on it keep it."""
    form, locale, by = await read_form(request), locale_of(request), principal_of(request).person_id
    assert by is not None, "the legal desk is people"
    try:
        await services_of(request).publishing.withdraw(code, form.get("withdrawn"), reason=form.get("reason"), by=by)
    except DraftUnusable as error:
        return await _document(request, code, values=form.as_dict(), errors=errors_of(error.fields, locale))
    return redirect(f"/desk/agreements/documents/{code}")


@get("/desk/agreements/log", include_in_schema=False, summary="What was done to documents, and by whom")
async def log(request: AnyRequest) -> Html:
    services = services_of(request)
    acts = await services.publishing.list_acts(ACTS_SHOWN)
    return page(
        request, "desk/agreement_log.html", acts=acts, people=await names_of(services, [act.person_id for act in acts])
    )


HANDLERS: list[ControllerRouterHandler] = [documents, define, document, open_draft, withdraw, log]


async def _overview(request: AnyRequest, *, values: dict[str, str], errors: dict[str, str]) -> Html:
    return page(
        request,
        "desk/agreements.html",
        status=422 if errors else 200,
        documents=await services_of(request).publishing.list_documents(),
        now=services_of(request).clock.now(),
        values=values,
        errors=errors,
    )


async def _document(request: AnyRequest, code: str, *, values: dict[str, str], errors: dict[str, str]) -> Html:
    services = services_of(request)
    view = await services.publishing.find_document(code)
    people = [person for version in view.versions for person in (version.published_by, version.approved_by)]
    return page(
        request,
        "desk/agreement_document.html",
        status=422 if errors else 200,
        view=view,
        labels=list(dict.fromkeys(version.label for version in view.versions if version.withdrawn_at is None)),
        people=await names_of(services, people),
        now=services.clock.now(),
        values=values,
        errors=errors,
    )
