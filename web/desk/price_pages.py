"""The prices of one SKU in a draft: over all lists, and the form of one."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from kernel.errors import NotFound
from pricing.engine.rules import BookError
from web.desk.clash import Values
from web.desk.drafts import edit_address, find_draft, frame
from web.desk.fields import Typed
from web.desk.object_pages import Asked, ObjectForm, pages_of
from web.desk.row_form import (
    MODEL_TEXTS,
    PACKAGE_WAYS,
    editable,
    key_of,
    keyed,
    lines_asked,
    lines_shown,
    row_of,
    values_of,
)
from web.http import AnyRequest, Html, locale_of, services_of
from web.labels import N_
from web.pages import page, translations

NEEDS_FILE: Final = N_("This price is stated in a way that this form does not show. Edit it in a file and import it.")


class SkuNotFound(NotFound):
    problem = "sku-unknown"
    title = "There is no such SKU"


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


async def _read(asked: Asked, typed: Typed) -> dict[str, Any]:
    """The price as typed; of one that somebody removed meanwhile, list, unit and start are the address's."""
    was = None if asked.key is None else asked.content or keyed(asked.key, typed.form)
    content = row_of(typed, sku=_sku(asked), was=was)
    if asked.key is None:
        await _refuse_unknown(asked, typed)
    return content


async def _refuse_unknown(asked: Asked, typed: Typed) -> None:
    services, sku = services_of(asked.request), _sku(asked)
    lists = [state.key[0] for state in await services.pricing.list_leaves(asked.draft.id, "list")]
    known = (await services.catalog.find_skus([sku])).get(sku)
    if known is None:
        typed.refuse("list", "unknown_sku", name=sku)
        return
    typed.choice("list", lists)
    typed.choice("unit", [unit.unit for unit in known.units])


async def _context(asked: Asked, values: Values) -> Mapping[str, Any]:
    services, locale, sku = services_of(asked.request), locale_of(asked.request), _sku(asked)
    known = (await services.catalog.find_skus([sku])).get(sku)
    if known is None and asked.key is None:
        raise SkuNotFound(f"The catalogue has no SKU {sku}.", sku=sku)
    lists = {each.key[0]: each.content for each in await services.pricing.list_leaves(asked.draft.id, "list")}
    key = asked.key or ("", sku, "", "")
    locked = asked.content is not None and not editable(asked.content)
    return {
        "key": key,
        "named": sku,
        "back": f"/desk/prices/drafts/{asked.draft.id}/sku?{urlencode({'sku': sku})}",
        "sku_name": known.names.in_(locale) if known is not None else "",
        "units": [unit.unit for unit in known.units] if known is not None else [],
        "lists": lists,
        "currency": lists[key[0]]["currency"] if key[0] in lists else "",
        "models": MODEL_TEXTS,
        "package_ways": PACKAGE_WAYS,
        "lines": lines_shown(values, more=lines_asked(values)),
        "locked": translations(locale).gettext(NEEDS_FILE) if locked else "",
    }


def _sku(asked: Asked) -> str:
    return asked.request.query_params.get("sku", "")[:200] if asked.key is None else asked.key[1]


PRICE: Final = ObjectForm(
    kind="row",
    path="price",
    template="desk/price.html",
    tab="changes",
    words=(N_("Price"), N_("New price")),
    values=values_of,
    read=_read,
    key_of=key_of,
    context=_context,
    blame="tiers-table",
    taken="row_exists",
)
HANDLERS: list[ControllerRouterHandler] = [sku_page, *pages_of(PRICE, "Edit or add a price")]
