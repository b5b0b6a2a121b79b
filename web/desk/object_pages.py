"""The page of one object of a draft: its form, saved, previewed or removed, whatever the kind."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts import store as accounts_store
from kernel.db import for_accounts, for_staff
from kernel.errors import NotFound
from pricing.content import Key
from pricing.engine.rules import BookError
from pricing.facts import category_path
from pricing.model import PriceDraft
from pricing.service import DraftClash, LeafState
from web.desk.clash import Clash, Values, carried, clash_of, merged, original_of
from web.desk.drafts import FORM_PATHS, edit_address, find_draft, frame, put
from web.desk.fields import Typed, summary_of
from web.desk.live import Live, live
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect, translations
from web.sentences import sentence

REFUSED_BY_BOOK: Final = N_("The price book refuses this: %(reason)s")
UNKNOWN: Final = {"skus": "unknown_sku", "categories": "unknown_category", "brands": "unknown_brand"}


class ObjectNotFound(NotFound):
    problem = "price-object-not-found"
    title = "There is no such object in this draft"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Whose form it is: *key* of the object that the address names, None for a new one; *state*: as it stands."""

    request: AnyRequest
    draft: PriceDraft
    key: Key | None
    state: LeafState | None

    @property
    def content(self) -> Any:
        return None if self.state is None else self.state.content


class ObjectForm(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of object is edited.

    *words*: the headings of an existing and of a new one. *values*: the fields of a content, or of a new one. *read*:
    the content that was typed; *key_of*: its key. *context*: what the template needs besides. *blame*: the field beside
    which a refusal of the book stands. *taken*: why a new one of a known key is refused; empty where the address always
    names it. *remove*: how it goes, where that is more than the object itself; *kept*: it never goes. *stays*: once
    added, the page shows it again.
    """

    kind: str
    path: str
    template: str
    tab: str
    words: tuple[str, str]
    values: Callable[[Any], Values]
    read: Callable[[Asked, Typed], Awaitable[Any]]
    context: Callable[[Asked, Values], Awaitable[Mapping[str, Any]]]
    blame: str
    key_of: Callable[[Any], Key] = lambda content: (content["code"],)
    taken: str = ""
    kept: bool = False
    stays: bool = False
    remove: Callable[[Asked, str | None], Awaitable[None]] | None = None


def pages_of(form: ObjectForm, summary: str) -> list[ControllerRouterHandler]:
    """The two handlers of the form's address."""
    path = f"/desk/prices/drafts/{{draft:str}}/{form.path}"

    @get(path, include_in_schema=False, summary=summary)
    async def show(request: AnyRequest, draft: FromPath[str]) -> Html:
        asked = await _asked(form, request, draft)
        if asked.key is not None and asked.content is None and form.taken:
            raise ObjectNotFound("There is no such object in this draft. It may have been removed.")
        shown = None
        if asked.key is not None and asked.content is not None:
            shown = await live(request, asked.draft, form.kind, asked.key, asked.content)
        return await _form(form, asked, values=form.values(asked.content), errors={}, shown=shown)

    @post(path, include_in_schema=False, summary=summary)
    async def save(request: AnyRequest, draft: FromPath[str]) -> Html:
        return await _save(form, await _asked(form, request, draft))

    return [show, save]


async def refuse_unknown(
    request: AnyRequest,
    typed: Typed,
    *,
    scope: Mapping[str, Any] | None = None,
    audience: Mapping[str, Any] | None = None,
) -> None:
    """An object may only name what the catalogue and the customers' list know: a misspelt code would act on nothing."""
    services = services_of(request)
    if scope is not None:
        async with services.db.reading(for_staff()) as session:
            known = await services.catalog.known_codes(session)
        paths = frozenset(category_path(code) for code in known.categories)
        of_field: dict[str, Collection[str]] = {"skus": known.units, "categories": paths, "brands": known.brands}
        for field, codes in of_field.items():
            for name in (field, f"excluded_{field}"):
                for code in scope[name]:
                    if code not in codes:
                        typed.refuse(name, UNKNOWN[field], name=code)
    company = None if audience is None else audience["company"]
    if company is not None:
        async with services.db.reading(for_accounts()) as session:
            if await accounts_store.find_company_by_code(session, company) is None:
                typed.refuse("company", "unknown_company", name=company)


async def company_options(request: AnyRequest) -> list[tuple[str, str]]:
    """Code and name of every company."""
    async with services_of(request).db.reading(for_accounts()) as session:
        return [(company.code, company.name) for company in await accounts_store.list_companies(session)]


async def _asked(form: ObjectForm, request: AnyRequest, draft: str) -> Asked:
    found = await find_draft(request, draft)
    _, names = FORM_PATHS[form.kind]
    key: Key | None = tuple(request.query_params.get(name, "")[:200] for name in names)
    if names and not (key and key[0]):
        if not form.taken:
            raise ObjectNotFound("There is no such object in this draft.")
        key = None
    state = None if key is None else await services_of(request).pricing.find_leaf(found.id, form.kind, key)
    return Asked(request=request, draft=found, key=key, state=state)


async def _save(form: ObjectForm, asked: Asked) -> Html:
    """Put the object into the draft, or show the form again with what to mend or who else changed it."""
    request, draft, locale = asked.request, asked.draft, locale_of(asked.request)
    pricing = services_of(request).pricing
    sent = await read_form(request)
    if sent.get("action") == "remove" and asked.key is not None and not form.kept:
        return await _remove(form, asked, asked.key, sent)
    if sent.get("action") == "more":
        return await _form(form, asked, values=sent.as_dict(), errors={})
    typed = Typed(sent, locale)
    content = await form.read(asked, typed)
    key = asked.key
    if key is None and not typed.errors:
        key = form.key_of(content)
        if (await pricing.find_leaf(draft.id, form.kind, key)).content is not None:
            typed.refuse(FORM_PATHS[form.kind][1][0], form.taken)
    if sent.get("action") == "preview":
        shown = None if typed.errors or key is None else await live(request, draft, form.kind, key, content)
        return await _form(form, asked, values=sent.as_dict(), errors=typed.errors, shown=shown, looking=True)
    if typed.errors or key is None:
        return await _form(form, asked, values=sent.as_dict(), errors=typed.errors)
    try:
        refusal = await put(request, draft, form.kind, key, content, expected=sent.get("expected") or None)
    except DraftClash:
        return await _clash(form, asked, key, content, sent)
    if refusal is None:
        here = edit_address(draft.id, form.kind, key) if form.stays and asked.key is None else None
        return redirect(here or f"/desk/prices/drafts/{draft.id}")
    errors = {form.blame: translations(locale).gettext(REFUSED_BY_BOOK) % {"reason": refusal}}
    return await _form(form, asked, values=sent.as_dict(), errors=errors)


async def _remove(form: ObjectForm, asked: Asked, key: Key, sent: Form) -> Html:
    pricing, locale = services_of(asked.request).pricing, locale_of(asked.request)
    expected = sent.get("expected") or None
    try:
        if form.remove is not None:
            await form.remove(asked, expected)
        else:
            by = principal_of(asked.request).person_id
            await pricing.put_change(asked.draft.id, form.kind, key, None, by=by, expected=expected)
    except DraftClash:
        if (await pricing.find_leaf(asked.draft.id, form.kind, key)).content is not None:
            return await _clash(form, asked, key, None, sent)
    except BookError as error:
        errors = {form.blame: translations(locale).gettext(REFUSED_BY_BOOK) % {"reason": sentence(error, locale)}}
        return await _form(form, asked, values=sent.as_dict(), errors=errors)
    return redirect(f"/desk/prices/drafts/{asked.draft.id}")


async def _clash(form: ObjectForm, asked: Asked, key: Key, content: Any, sent: Form) -> Html:
    """*content*: what was to be stored; None: the object was to go."""
    theirs = await services_of(asked.request).pricing.find_leaf(asked.draft.id, form.kind, key)
    values = (
        form.values(theirs.content)
        if content is None
        else merged(form.values, original_of(form.kind, key, sent), theirs.content, sent.as_dict())
    )
    return await _form(
        form,
        msgspec.structs.replace(asked, key=key, state=theirs),
        values=values,
        errors={},
        clash=clash_of(form.kind, theirs, content, sent, locale_of(asked.request)),
    )


async def _form(
    form: ObjectForm,
    asked: Asked,
    *,
    values: Values,
    errors: dict[str, str],
    clash: Clash | None = None,
    shown: Live | None = None,
    looking: bool = False,
) -> Html:
    """*shown*: the preview beside the form. *looking*: nothing was to be saved, so what is wrong is no refusal."""
    request, draft, locale = asked.request, asked.draft, locale_of(asked.request)
    is_new, exists = asked.key is None, asked.content is not None
    told = {
        **await frame(request, draft, form.tab),
        "heading": translations(locale).gettext(form.words[is_new]),
        "named": " · ".join(asked.key or ()),
        "is_new": is_new,
        "exists": exists,
        "removable": exists and not form.kept,
        "back": f"/desk/prices/drafts/{draft.id}/{form.tab}",
        "action": edit_address(draft.id, form.kind, asked.key or _given(form, request)),
        "values": values,
        "errors": errors,
        "summary": summary_of(errors, locale),
        "clash": clash,
        "live": shown,
        "looking": looking,
        "locked": "",
        **carried(asked.state, values, clash=clash is not None),
        **await form.context(asked, values),
    }
    status = 409 if clash is not None else 422 if errors and not looking else 200
    return page(request, form.template, status=status, **told)


def _given(form: ObjectForm, request: AnyRequest) -> Key:
    """What the address says of an object that is new."""
    return tuple(request.query_params.get(name, "")[:200] for name in FORM_PATHS[form.kind][1])
