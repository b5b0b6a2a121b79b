"""The rules of a draft, and the form of one."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts import store as accounts_store
from kernel.db import for_accounts, for_staff
from kernel.errors import NotFound
from pricing.engine.book import Layer
from pricing.facts import category_path
from pricing.model import PriceDraft
from pricing.service import DraftClash, LeafState
from web.desk.describe import value_text
from web.desk.drafts import clash_fields, edit_address, find_draft, frame, put
from web.desk.fields import Typed, summary_of
from web.desk.price_pages import REFUSED_BY_BOOK
from web.desk.rule_form import EFFECTS, LEVEL_TEXTS, places, rule_of, values_of
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect, translations

UNKNOWN: Final = {"skus": "unknown_sku", "categories": "unknown_category", "brands": "unknown_brand"}


class RuleNotFound(NotFound):
    problem = "price-rule-not-found"
    title = "There is no such rule in this draft"


class ShownRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule in words. *phase*: `coming`, `running` or `over`; *starts* and *ends* are dates, empty where open."""

    code: str
    layer: str
    titles: dict[str, str]
    effect: str
    scope: str
    audience: str
    conditions: str
    phase: str
    starts: str
    ends: str


@get("/desk/prices/drafts/{draft:str}/rules", include_in_schema=False, summary="The rules of a draft")
async def rules_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    services, locale = services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    rules = await services.pricing.list_leaves(found.id, "adjustment")
    changes = await services.pricing.list_changes(found.id)
    return page(
        request,
        "desk/rules.html",
        **await frame(request, found, "rules"),
        rules=[_shown(rule, services.clock.now(), locale) for rule in rules],
        layers=await _layers(request, found),
        level_texts=LEVEL_TEXTS,
        changed={change.key[0] for change in changes if change.kind == "adjustment"},
        address=lambda code: edit_address(found.id, "adjustment", (code,)),
    )


@get("/desk/prices/drafts/{draft:str}/rule", include_in_schema=False, summary="Edit or add a rule")
async def rule_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    """With a code in the address: that rule. Without one: a new rule."""
    found = await find_draft(request, draft)
    code = _code(request)
    if not code:
        return await _form(request, found, state=None, values=values_of(None), errors={})
    state = await services_of(request).pricing.find_leaf(found.id, "adjustment", (code,))
    if state.content is None:
        raise RuleNotFound("There is no such rule in this draft. It may have been removed.")
    return await _form(request, found, state=state, values=values_of(state.content), errors={})


@post("/desk/prices/drafts/{draft:str}/rule", include_in_schema=False, summary="Edit or add a rule")
async def save_rule(request: AnyRequest, draft: FromPath[str]) -> Html:
    """Put the rule into the draft, or show the form again with what to mend or who else changed it."""
    form, services, locale = await read_form(request), services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    code = _code(request)
    state = await services.pricing.find_leaf(found.id, "adjustment", (code,)) if code else None
    expected = form.get("expected") or None
    removing = form.get("action") == "remove"
    typed = Typed(form, locale)
    content: Any = None
    if not removing:
        content = rule_of(typed, await _layers(request, found), code=code or None)
        await _refuse_unknown(request, typed, content)
        code = content["code"]
        if state is None and not typed.errors:
            standing = await services.pricing.find_leaf(found.id, "adjustment", (code,))
            if standing.content is not None:
                typed.refuse("code", "rule_exists")
    if not typed.errors:
        try:
            refusal = await _put(request, found, code, content, expected)
        except DraftClash:
            theirs = await services.pricing.find_leaf(found.id, "adjustment", (code,))
            if removing and theirs.content is None:
                return redirect(f"/desk/prices/drafts/{found.id}")
            values = values_of(theirs.content) if removing else form.as_dict()
            return await _form(
                request, found, state=theirs, values=values, errors={}, code=code, clash=(theirs, content)
            )
        if refusal is None:
            return redirect(f"/desk/prices/drafts/{found.id}")
        typed.errors["effect"] = translations(locale).gettext(REFUSED_BY_BOOK) % {"reason": refusal}
    return await _form(request, found, state=state, values=form.as_dict(), errors=typed.errors)


HANDLERS: list[ControllerRouterHandler] = [rules_page, rule_page, save_rule]


def _code(request: AnyRequest) -> str:
    return request.query_params.get("code", "")[:200]


async def _put(request: AnyRequest, draft: PriceDraft, code: str, content: Any, expected: str | None) -> str | None:
    if content is not None:
        return await put(request, draft, "adjustment", (code,), content, expected=expected)
    await services_of(request).pricing.put_change(
        draft.id, "adjustment", (code,), None, by=principal_of(request).person_id, expected=expected
    )
    return None


async def _layers(request: AnyRequest, draft: PriceDraft) -> tuple[Layer, ...]:
    states = await services_of(request).pricing.list_leaves(draft.id, "layers")
    return msgspec.convert(states[0].content, tuple[Layer, ...]) if states else ()


async def _refuse_unknown(request: AnyRequest, typed: Typed, content: dict[str, Any]) -> None:
    """A rule may only name what the catalogue and the customers' list know: a misspelt code would act on nothing."""
    services = services_of(request)
    async with services.db.begin(for_staff()) as session:
        known = await services.catalog.known_codes(session)
    paths = frozenset(category_path(code) for code in known.categories)
    of_field: dict[str, Collection[str]] = {"skus": known.units, "categories": paths, "brands": known.brands}
    for field, codes in of_field.items():
        for name in (field, f"excluded_{field}"):
            for code in content["scope"][name]:
                if code not in codes:
                    typed.refuse(name, UNKNOWN[field], name=code)
    company = content["audience"]["company"]
    if company is not None:
        async with services.db.begin(for_accounts()) as session:
            if await accounts_store.find_company_by_code(session, company) is None:
                typed.refuse("company", "unknown_company", name=company)


def _shown(rule: LeafState, now: datetime, locale: str) -> ShownRule:
    content = rule.content
    starts, ends = content["starts_at"] or "", content["ends_at"] or ""
    over = ends and msgspec.convert(ends, datetime) <= now
    coming = starts and msgspec.convert(starts, datetime) > now
    return ShownRule(
        code=rule.key[0],
        layer=content["layer"],
        titles=content["titles"],
        **{name: value_text(name, content[name], locale) for name in ("effect", "scope", "audience", "conditions")},
        phase="over" if over else "coming" if coming else "running",
        starts=starts[:10],
        ends=ends[:10],
    )


async def _form(
    request: AnyRequest,
    draft: PriceDraft,
    *,
    state: LeafState | None,
    values: dict[str, str],
    errors: dict[str, str],
    code: str = "",
    clash: tuple[LeafState, Any] | None = None,
) -> Html:
    services, locale = services_of(request), locale_of(request)
    layers = await _layers(request, draft)
    async with services.db.begin(for_accounts()) as session:
        companies = await accounts_store.list_companies(session)
    named = code or _code(request)
    expected = values["expected"] if clash is None and "expected" in values else (state.seen if state else None) or ""
    return page(
        request,
        "desk/rule.html",
        status=409 if clash is not None else 422 if errors else 200,
        **await frame(request, draft, "rules"),
        is_new=not named,
        code=named,
        places=places(layers),
        level_texts=LEVEL_TEXTS,
        effects=EFFECTS,
        companies=[(company.code, company.name) for company in companies],
        expected=expected,
        values=values,
        errors=errors,
        summary=summary_of(errors, locale),
        clash=None if clash is None else clash_fields(clash[0], clash[1], locale),
        action=edit_address(draft.id, "adjustment", (named,)),
    )
