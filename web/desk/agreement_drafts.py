"""A version in the making: its texts and facts, what it changes, its review, and its publication."""

import uuid
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from agreements.compare import Passage, compare
from agreements.documents import UnusableSource, text_sha256
from agreements.legal_model import DraftStep, DraftText
from agreements.pdfs import pdf
from agreements.publishing import (
    LANGUAGE,
    ApproverIsAuthor,
    DraftClosed,
    DraftExists,
    DraftMoved,
    DraftNotFound,
    DraftUnusable,
    DraftView,
    NotApproved,
    ReviewOutOfTurn,
    TextMissing,
    check_text,
)
from agreements.service import LabelTaken
from kernel.errors import DomainError
from web.desk.agreement_words import errors_of
from web.desk.fields import Typed, instant_field
from web.desk.words import Words
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence
from web.shop.document_versions import PDF

VERSION_MOST = 9


class ShownText(msgspec.Struct, frozen=True, kw_only=True):
    """A language of a draft, and what it changes since the version before; None where there was none."""

    text: DraftText
    since: str | None
    passages: tuple[Passage, ...]


@get("/desk/agreements/drafts/{draft:str}", include_in_schema=False, summary="A version in the making")
async def draft_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    return await _draft(request, await _find(request, draft))


@post("/desk/agreements/drafts/{draft:str}", include_in_schema=False, summary="Label, effect and what changed")
async def save_facts(request: AnyRequest, draft: FromPath[str]) -> Html:
    form, locale = await read_form(request), locale_of(request)
    view = await _find(request, draft)
    typed = Typed(form, locale)
    effective_at = typed.instant("effective_at")
    if not typed.errors:
        try:
            await services_of(request).publishing.put_facts(
                view.draft.id,
                label=form.get("label"),
                material=form.get("material") == "yes",
                change_note=form.get("change_note"),
                effective_at=effective_at,
                version=_version(form),
                by=_person(request),
            )
        except DraftUnusable as error:
            typed.errors |= errors_of(error.fields, locale)
        except DraftExists as error:
            typed.errors["label"] = sentence(error, locale)
        except (DraftMoved, DraftClosed) as error:
            return await _draft(request, await _find(request, draft), values=form.as_dict(), refused=error)
        else:
            return redirect(f"/desk/agreements/drafts/{view.draft.id}")
    return await _draft(request, view, values=form.as_dict(), errors=typed.errors)


@get("/desk/agreements/drafts/{draft:str}/texts/{text_locale:str}", include_in_schema=False, summary="Edit a text")
async def text_page(request: AnyRequest, draft: FromPath[str], text_locale: FromPath[str]) -> Html:
    view = await _find(request, draft)
    text = next((each for each in view.texts if each.locale == text_locale), None)
    if text is None and LANGUAGE.fullmatch(text_locale) is None:
        raise DraftNotFound("There is no such language.")
    values = {"title": "", "source": "", "onerous_clauses": ""}
    if text is not None:
        values = {
            "title": text.title,
            "source": text.source_markdown,
            "onerous_clauses": "\n".join(text.onerous_clauses),
        }
    return await _text(request, view, text_locale, values=values)


@post("/desk/agreements/drafts/{draft:str}/texts/{text_locale:str}", include_in_schema=False, summary="Save a text")
async def save_text(request: AnyRequest, draft: FromPath[str], text_locale: FromPath[str]) -> Html:
    """Or, with `action` preview, show it as buyers will; with `action` remove, take the language out."""
    form, locale, publishing = await read_form(request), locale_of(request), services_of(request).publishing
    view, by = await _find(request, draft), _person(request)
    source = form.get("source").replace("\r\n", "\n") + "\n"
    clauses = [line.strip() for line in form.get("onerous_clauses").split("\n") if line.strip()]
    values = {**form.as_dict(), "source": source}
    try:
        if form.get("action") == "remove":
            await publishing.remove_text(view.draft.id, text_locale, version=_version(form), by=by)
            return redirect(f"/desk/agreements/drafts/{view.draft.id}")
        if form.get("action") == "preview":
            html = check_text(text_locale, form.get("title"), source, clauses)
            return await _text(request, view, text_locale, values=values, html=html)
        await publishing.put_text(
            view.draft.id,
            text_locale,
            title=form.get("title"),
            source=source,
            onerous_clauses=clauses,
            version=_version(form),
            by=by,
        )
    except DraftUnusable as error:
        return await _text(request, view, text_locale, values=values, errors=errors_of(error.fields, locale))
    except UnusableSource as error:
        return await _text(request, view, text_locale, values=values, errors={"source": sentence(error, locale)})
    except (DraftMoved, DraftClosed) as error:
        return await _text(request, await _find(request, draft), text_locale, values=values, refused=error)
    return redirect(f"/desk/agreements/drafts/{view.draft.id}")


@get(
    "/desk/agreements/drafts/{draft:str}/texts/{text_locale:str}/pdf",
    include_in_schema=False,
    summary="A draft's text as the PDF it would become",
)
async def text_pdf(request: AnyRequest, draft: FromPath[str], text_locale: FromPath[str]) -> Response[bytes]:
    view = await _find(request, draft)
    text = next((each for each in view.texts if each.locale == text_locale), None)
    if text is None:
        raise DraftNotFound("The draft has no text in this language.")
    made = pdf(
        text.title,
        view.draft.label,
        text.locale,
        text.source_markdown,
        text_sha256(text.source_markdown),
        view.draft.changed_at,
    )
    return Response(made, media_type=PDF, headers={"cache-control": "no-store"})


@post("/desk/agreements/drafts/{draft:str}/review", include_in_schema=False, summary="Submit, approve, return, discuss")
async def review(request: AnyRequest, draft: FromPath[str]) -> Html:
    form, locale = await read_form(request), locale_of(request)
    view, step = await _find(request, draft), form.get("step")
    errors: dict[str, str] = {}
    try:
        if step in set(DraftStep):
            await services_of(request).publishing.take(
                view.draft.id,
                DraftStep(step),
                version=_version(form),
                by=_person(request),
                comment=form.get("comment"),
            )
            return redirect(f"/desk/agreements/drafts/{view.draft.id}#review")
    except DraftUnusable as error:
        errors = errors_of(error.fields, locale)
    except (DraftMoved, DraftClosed, ReviewOutOfTurn, ApproverIsAuthor, TextMissing) as error:
        errors = {"comment": sentence(error, locale)}
    return await _draft(request, await _find(request, draft), values=form.as_dict(), errors=errors)


@post("/desk/agreements/drafts/{draft:str}/publication", include_in_schema=False, summary="Publish the version")
async def publish(request: AnyRequest, draft: FromPath[str]) -> Html:
    form, locale = await read_form(request), locale_of(request)
    view = await _find(request, draft)
    try:
        await services_of(request).publishing.publish(view.draft.id, version=_version(form), by=_person(request))
    except DraftUnusable as error:
        return await _draft(request, view, errors=errors_of(error.fields, locale))
    except (DraftMoved, DraftClosed, NotApproved, TextMissing, LabelTaken) as error:
        return await _draft(request, await _find(request, draft), refused=error)
    return redirect(f"/desk/agreements/documents/{view.draft.document.code}")


@post("/desk/agreements/drafts/{draft:str}/discard", include_in_schema=False, summary="Discard the draft")
async def discard(request: AnyRequest, draft: FromPath[str]) -> Html:
    view = await _find(request, draft)
    try:
        await services_of(request).publishing.discard(view.draft.id, by=_person(request))
    except DraftClosed as error:
        return await _draft(request, view, refused=error)
    return redirect(f"/desk/agreements/documents/{view.draft.document.code}")


HANDLERS: list[ControllerRouterHandler] = [
    draft_page, save_facts, text_page, save_text, text_pdf, review, publish, discard,
]  # fmt: skip


async def _find(request: AnyRequest, draft: str) -> DraftView:
    """:raises DraftNotFound: when there is none, or *draft* is no id"""
    try:
        draft_id = uuid.UUID(draft)
    except ValueError:
        raise DraftNotFound("There is no such draft.") from None
    return await services_of(request).publishing.find_draft(draft_id)


async def _draft(
    request: AnyRequest,
    view: DraftView,
    *,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    refused: DomainError | None = None,
) -> Html:
    locale, draft = locale_of(request), view.draft
    facts = {
        "label": draft.label,
        "material": "yes" if draft.material else "",
        "change_note": draft.change_note,
        "effective_at": instant_field(draft.effective_at),
    }
    texts = [
        ShownText(
            text=text,
            since=before.label if (before := view.before.get(text.locale)) else None,
            passages=compare(before.source_markdown, text.source_markdown) if before else (),
        )
        for text in view.texts
    ]
    return page(
        request,
        "desk/agreement_draft.html",
        status=409 if refused else 422 if errors else 200,
        view=view,
        draft=draft,
        texts=texts,
        people=await names_of(services_of(request), [each.person_id for each in view.steps]),
        words=Words(locale),
        refused=None if refused is None else sentence(refused, locale),
        values={**facts, **(values or {})} if values is None or "label" in values else {**values, **facts},
        errors=errors or {},
    )


async def _text(
    request: AnyRequest,
    view: DraftView,
    language: str,
    *,
    values: dict[str, str],
    errors: dict[str, str] | None = None,
    refused: DomainError | None = None,
    html: str | None = None,
) -> Html:
    """With *refused*, theirs beside yours: the form keeps what you typed, and saving it again replaces theirs."""
    theirs: Any = next((each for each in view.texts if each.locale == language), None)
    return page(
        request,
        "desk/agreement_text.html",
        status=409 if refused else 422 if errors else 200,
        view=view,
        draft=view.draft,
        language=language,
        exists=theirs is not None,
        values=values,
        errors=errors or {},
        refused=None if refused is None else sentence(refused, locale_of(request)),
        theirs=compare(theirs.source_markdown, values["source"]) if refused and theirs else (),
        html=html,
    )


def _person(request: AnyRequest) -> uuid.UUID:
    person_id = principal_of(request).person_id
    assert person_id is not None, "the legal desk is people"
    return person_id


def _version(form: Form) -> int:
    """Of the draft that the page showed; what is no number matches none."""
    text = form.get("version")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= VERSION_MOST else -1
