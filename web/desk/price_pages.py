"""The prices of one SKU in a draft: over all lists, and the form of one."""

import uuid
from typing import Any

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from kernel.errors import NotFound
from pricing.content import Key
from pricing.engine.rules import BookError
from pricing.model import PriceDraft
from pricing.service import DraftClash, LeafState
from web.desk.drafts import clash_fields, edit_address, find_draft, frame, put
from web.desk.fields import Typed, summary_of
from web.desk.row_form import MODEL_TEXTS, editable, lines_shown, row_of, values_of
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect, translations

NEEDS_FILE = N_("This price is stated in a way that this form does not show. Edit it in a file and import it.")
REFUSED_BY_BOOK = N_("The price book refuses this: %(reason)s")


class SkuNotFound(NotFound):
    problem = "sku-unknown"
    title = "There is no such SKU"


class PriceNotFound(NotFound):
    problem = "price-row-not-found"
    title = "There is no such price in this draft"


@get("/desk/prices/drafts/{draft:str}/sku", include_in_schema=False, summary="A SKU's prices in a draft")
async def sku_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    services, locale = services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    code = request.query_params.get("sku", "")[:200]
    known = (await services.catalog.find_skus([code])).get(code)
    rows = await services.pricing.list_leaves(found.id, "row", sku=code)
    try:
        derived = await services.pricing.list_derived_rows(found.id, code)
    except BookError:  # the page of the draft's findings says what is wrong
        derived = ()
    if known is None and not rows:
        raise SkuNotFound(f"The catalogue has no SKU {code}.", sku=code)
    lists = {state.key[0]: state.content for state in await services.pricing.list_leaves(found.id, "list")}
    changed = {change.key for change in await services.pricing.list_changes(found.id) if change.kind == "row"}
    return page(
        request,
        "desk/sku.html",
        **await frame(request, found, "changes"),
        code=code,
        name=known.names.in_(locale) if known is not None else "",
        rows=[(state, lists.get(state.key[0]), edit_address(found.id, "row", state.key)) for state in rows]
        + [(state, lists.get(state.key[0]), None) for state in derived],
        changed=changed,
    )


@get("/desk/prices/drafts/{draft:str}/price", include_in_schema=False, summary="Edit or add a price")
async def price_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    """With a list in the address: that price. Without one: a new price of the SKU."""
    found = await find_draft(request, draft)
    key = _asked(request)
    if not key[0]:
        return await _form(request, found, key, state=None, values=values_of(None), errors={})
    state = await services_of(request).pricing.find_leaf(found.id, "row", key)
    if state.content is None:
        raise PriceNotFound("There is no such price in this draft. It may have been removed.")
    return await _form(request, found, key, state=state, values=values_of(state.content), errors={})


@post("/desk/prices/drafts/{draft:str}/price", include_in_schema=False, summary="Edit or add a price")
async def save_price(request: AnyRequest, draft: FromPath[str]) -> Html:
    """Put the price into the draft, or show the form again with what to mend, who else changed it, or more lines."""
    form, services, locale = await read_form(request), services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    key = _asked(request)
    state = await services.pricing.find_leaf(found.id, "row", key) if key[0] else None
    if form.get("action") == "more":
        return await _form(request, found, key, state=state, values=form.as_dict(), errors={}, more=3)
    expected = form.get("expected") or None
    if form.get("action") == "remove":
        return await _remove(request, found, key, expected)
    typed = Typed(form, locale)
    wanted, content = row_of(typed, sku=key[1], was=None if state is None else state.content or _keyed(key, form))
    await _refuse_unknown(request, typed, found, wanted, is_new=state is None)
    if not typed.errors:
        try:
            refusal = await put(request, found, "row", wanted, content, expected=expected)
        except DraftClash:
            theirs = await services.pricing.find_leaf(found.id, "row", wanted)
            return await _form(
                request, found, wanted, state=theirs, values=form.as_dict(), errors={}, clash=(theirs, content)
            )
        if refusal is None:
            return redirect(f"/desk/prices/drafts/{found.id}")
        typed.errors["tiers-table"] = translations(locale).gettext(REFUSED_BY_BOOK) % {"reason": refusal}
    return await _form(request, found, key, state=state, values=form.as_dict(), errors=typed.errors)


HANDLERS: list[ControllerRouterHandler] = [sku_page, price_page, save_price]


def _asked(request: AnyRequest) -> Key:
    query = request.query_params
    return tuple(query.get(name, "")[:200] for name in ("list", "sku", "unit", "starts"))


def _keyed(key: Key, form: Form) -> dict[str, Any]:
    """What is known of a price that somebody removed while its form was open."""
    return {
        "list": key[0],
        "unit": key[2],
        "starts_at": key[3].replace("+00:00", "Z") or None,
        "model": form.get("model"),
    }


async def _refuse_unknown(request: AnyRequest, typed: Typed, draft: PriceDraft, key: Key, *, is_new: bool) -> None:
    if not is_new:
        return
    services = services_of(request)
    lists = {state.key[0] for state in await services.pricing.list_leaves(draft.id, "list")}
    known = (await services.catalog.find_skus([key[1]])).get(key[1])
    if known is None:
        typed.refuse("list", "unknown_sku", name=key[1])
        return
    typed.choice("list", tuple(lists))
    typed.choice("unit", [unit.unit for unit in known.units])
    if not typed.errors and (await services.pricing.find_leaf(draft.id, "row", key)).content is not None:
        typed.refuse("list", "row_exists")


async def _remove(request: AnyRequest, draft: PriceDraft, key: Key, expected: str | None) -> Html:
    services = services_of(request)
    try:
        await services.pricing.put_change(
            draft.id, "row", key, None, by=principal_of(request).person_id, expected=expected
        )
    except DraftClash:
        theirs = await services.pricing.find_leaf(draft.id, "row", key)
        if theirs.content is None:
            return redirect(f"/desk/prices/drafts/{draft.id}")
        values = values_of(theirs.content)
        return await _form(request, draft, key, state=theirs, values=values, errors={}, clash=(theirs, None))
    return redirect(f"/desk/prices/drafts/{draft.id}")


async def _form(
    request: AnyRequest,
    draft: PriceDraft,
    key: Key,
    *,
    state: LeafState | None,
    values: dict[str, str],
    errors: dict[str, str],
    more: int = 0,
    clash: tuple[LeafState, Any] | None = None,
) -> Html:
    services, locale = services_of(request), locale_of(request)
    known = (await services.catalog.find_skus([key[1]])).get(key[1])
    if known is None and state is None:
        raise SkuNotFound(f"The catalogue has no SKU {key[1]}.", sku=key[1])
    lists = {each.key[0]: each.content for each in await services.pricing.list_leaves(draft.id, "list")}
    content = None if state is None else state.content
    locked = content is not None and not editable(content)
    return page(
        request,
        "desk/price.html",
        status=409 if clash is not None else 422 if errors else 200,
        **await frame(request, draft, "changes"),
        key=key,
        is_new=not key[0],
        sku_name=known.names.in_(locale) if known is not None else "",
        units=[unit.unit for unit in known.units] if known is not None else [],
        lists=lists,
        currency=lists[key[0]]["currency"] if key[0] in lists else "",
        models=MODEL_TEXTS,
        expected=_expected(state, values, clash),
        lines=lines_shown(values, more=more),
        values=values,
        errors=errors,
        summary=summary_of(errors, locale),
        locked=translations(locale).gettext(NEEDS_FILE) if locked else "",
        clash=None if clash is None else clash_fields(clash[0], clash[1], locale),
        action=_action(draft.id, key),
    )


def _expected(state: LeafState | None, values: dict[str, str], clash: object | None) -> str:
    """What the form says its editor saw: on a clash what stands now, so that saving again is a decision."""
    if clash is None and "expected" in values:
        return values["expected"]
    return "" if state is None else state.seen or ""


def _action(draft_id: uuid.UUID, key: Key) -> str:
    return edit_address(draft_id, "row", key) or ""
