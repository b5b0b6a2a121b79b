"""What a draft holds besides prices and rules: lists and their formulas, limits, and what holds for the whole book."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from kernel.db import for_staff
from pricing.content import LeafName
from pricing.service import LeafState
from web.desk.clash import Values
from web.desk.describe import MODES, described, value_text
from web.desk.drafts import edit_address, find_draft, frame
from web.desk.fields import Typed
from web.desk.frame_form import (
    COMBINES,
    LEVELS,
    ROUNDED,
    STRATEGIES,
    TAX_LEVELS,
    layer_lines,
    layers_of,
    layers_values,
    policy_of,
    policy_values,
    strategy_of,
    strategy_values,
)
from web.desk.limit_form import LIMITS, SIDES, bound_of, bound_values, quantity_rule_of, quantity_rule_values
from web.desk.list_form import derivation_of, derivation_values, list_of, list_values
from web.desk.object_pages import Asked, ObjectForm, company_options, pages_of, refuse_unknown
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.labels import N_
from web.pages import page


class ShownList(msgspec.Struct, frozen=True, kw_only=True):
    """A list in words. *formula*: what it follows, empty where its prices are typed."""

    code: str
    currency: str
    titles: dict[str, str] | None
    audience: str
    priority: int
    starts: str
    ends: str
    formula: str
    edit: str
    changed: bool


class ShownLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A bound or quantity rule in words."""

    code: str
    scope: str
    says: str
    edit: str
    changed: bool


class ShownFrame(msgspec.Struct, frozen=True, kw_only=True):
    """Something that holds for the whole book, field by field."""

    title: str
    fields: tuple[tuple[str, str], ...]
    edit: str
    changed: bool


@get("/desk/prices/drafts/{draft:str}/lists", include_in_schema=False, summary="The price lists of a draft")
async def lists_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    services, locale = services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    pricing = services.pricing
    formulas = {state.key[0]: state for state in await pricing.list_leaves(found.id, "derivation")}
    changed = {(change.kind, change.key) for change in await pricing.list_changes(found.id)}
    return page(
        request,
        "desk/lists.html",
        **await frame(request, found, "lists"),
        lists=[
            ShownList(
                code=state.key[0],
                **{name: state.content[name] for name in ("currency", "titles", "priority")},
                audience=value_text("audience", state.content["audience"], locale),
                starts=(state.content["starts_at"] or "")[:10],
                ends=(state.content["ends_at"] or "")[:10],
                formula=_formula(formulas.get(state.key[0]), locale),
                edit=edit_address(found.id, "list", state.key) or "",
                changed=not changed.isdisjoint({("list", state.key), ("derivation", state.key)}),
            )
            for state in await pricing.list_leaves(found.id, "list")
        ],
        whole=[await _whole(request, found.id, kind, form, changed) for kind, form in WHOLE.items()],
    )


@get("/desk/prices/drafts/{draft:str}/limits", include_in_schema=False, summary="Floors, ceilings, quantity rules")
async def limits_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    services, locale = services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    changed = {(change.kind, change.key) for change in await services.pricing.list_changes(found.id)}
    shown = {
        kind: [
            ShownLimit(
                code=state.key[0],
                scope=value_text("scope", state.content["scope"], locale),
                says="; ".join(
                    f"{label}: {text}" for label, text in described({**state.content, "scope": None}, locale)
                ),
                edit=edit_address(found.id, kind, state.key) or "",
                changed=(kind, state.key) in changed,
            )
            for state in await services.pricing.list_leaves(found.id, kind)
        ]
        for kind in ("bound", "quantity_rule")
    }
    return page(
        request,
        "desk/limits.html",
        **await frame(request, found, "limits"),
        bounds=shown["bound"],
        quantity_rules=shown["quantity_rule"],
    )


def _formula(state: LeafState | None, locale: str) -> str:
    return "" if state is None else "; ".join(f"{label} {text}" for label, text in described(state.content, locale))


async def _whole(
    request: AnyRequest, draft_id: uuid.UUID, kind: str, form: ObjectForm, changed: Collection[LeafName]
) -> ShownFrame:
    state = await services_of(request).pricing.find_leaf(draft_id, kind, ())
    fields = () if state.content is None else tuple(described(state.content, locale_of(request)))
    return ShownFrame(
        title=form.words[0],
        fields=fields,
        edit=edit_address(draft_id, kind, ()) or "",
        changed=(kind, ()) in changed,
    )


# --- The forms ---


def _code(asked: Asked) -> str | None:
    return None if asked.key is None else asked.key[0]


async def _read_list(asked: Asked, typed: Typed) -> dict[str, Any]:
    content = list_of(typed, code=_code(asked))
    await refuse_unknown(asked.request, typed, audience=content["audience"])
    return content


async def _list_context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's
    formula = None
    if asked.key is not None:
        formula = await services_of(asked.request).pricing.find_leaf(asked.draft.id, "derivation", asked.key)
    return {
        "companies": await company_options(asked.request),
        "formula": [] if formula is None or formula.content is None
        else list(described(formula.content, locale_of(asked.request))),
        "formula_address": "" if asked.key is None else edit_address(asked.draft.id, "derivation", asked.key),
    }  # fmt: skip


async def _remove_list(asked: Asked, expected: str | None) -> None:
    by = principal_of(asked.request).person_id
    await services_of(asked.request).pricing.remove_list(asked.draft.id, _code(asked) or "", by=by, expected=expected)


async def _read_derivation(asked: Asked, typed: Typed) -> dict[str, Any]:
    lists = await services_of(asked.request).pricing.list_leaves(asked.draft.id, "list")
    return derivation_of(typed, code=_code(asked) or "", lists=[state.key[0] for state in lists])


async def _derivation_context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's
    lists = await services_of(asked.request).pricing.list_leaves(asked.draft.id, "list")
    own = next((state.content["currency"] for state in lists if state.key == asked.key), "")
    return {
        "bases": [
            (state.key[0], state.key[0])
            for state in lists
            if state.key != asked.key and state.content["currency"] == own
        ],
        "currency": own,
        "modes": MODES,
    }


async def _read_bound(asked: Asked, typed: Typed) -> dict[str, Any]:
    content = bound_of(typed, code=_code(asked))
    await refuse_unknown(asked.request, typed, scope=content["scope"])
    return content


async def _bound_context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's
    return {"sides": SIDES, "limits": LIMITS}


async def _read_quantity_rule(asked: Asked, typed: Typed) -> dict[str, Any]:
    content = quantity_rule_of(typed, code=_code(asked))
    await refuse_unknown(asked.request, typed, scope=content["scope"])
    if content["unit"] is not None and content["unit"] not in await _units(asked.request):
        typed.refuse("unit", "unknown_unit", name=content["unit"])
    return content


async def _quantity_rule_context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's
    return {"units": [(unit, unit) for unit in await _units(asked.request)]}


async def _units(request: AnyRequest) -> list[str]:
    services = services_of(request)
    async with services.db.reading(for_staff()) as session:
        known = await services.catalog.known_codes(session)
    return sorted({unit for units in known.units.values() for unit in units})


async def _read_layers(asked: Asked, typed: Typed) -> list[dict[str, Any]]:  # noqa: ARG001 - as every form's
    return layers_of(typed)


async def _layers_context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's
    return {"lines": layer_lines(values), "levels": LEVELS, "combines": COMBINES}


async def _read_strategy(asked: Asked, typed: Typed) -> str:  # noqa: ARG001 - as every form's
    return strategy_of(typed)


async def _strategy_context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's
    return {"strategies": STRATEGIES}


async def _read_policy(asked: Asked, typed: Typed) -> dict[str, Any]:  # noqa: ARG001 - as every form's
    return policy_of(typed)


async def _policy_context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's
    return {"rounded": ROUNDED, "modes": MODES, "tax_levels": TAX_LEVELS}


LIST: Final = ObjectForm(
    kind="list",
    path="list",
    template="desk/list.html",
    tab="lists",
    words=(N_("Price list"), N_("New price list")),
    values=list_values,
    read=_read_list,
    context=_list_context,
    blame="currency",
    taken="list_exists",
    stays=True,
    remove=_remove_list,
)
DERIVATION: Final = ObjectForm(
    kind="derivation",
    path="formula",
    template="desk/formula.html",
    tab="lists",
    words=(N_("Formula of the list"), N_("Formula of the list")),
    values=derivation_values,
    read=_read_derivation,
    context=_derivation_context,
    blame="base",
)
BOUND: Final = ObjectForm(
    kind="bound",
    path="bound",
    template="desk/bound.html",
    tab="limits",
    words=(N_("Floor or ceiling"), N_("New floor or ceiling")),
    values=bound_values,
    read=_read_bound,
    context=_bound_context,
    blame="limit",
    taken="bound_exists",
)
QUANTITY_RULE: Final = ObjectForm(
    kind="quantity_rule",
    path="quantity-rule",
    template="desk/quantity_rule.html",
    tab="limits",
    words=(N_("Quantity rule"), N_("New quantity rule")),
    values=quantity_rule_values,
    read=_read_quantity_rule,
    context=_quantity_rule_context,
    blame="minimum",
    taken="quantity_rule_exists",
)
LAYERS: Final = ObjectForm(
    kind="layers",
    path="layers",
    template="desk/layers.html",
    tab="rules",
    words=(N_("Layers of rules"), N_("Layers of rules")),
    values=layers_values,
    read=_read_layers,
    context=_layers_context,
    blame="layer_code-0",
    kept=True,
)
STRATEGY: Final = ObjectForm(
    kind="strategy",
    path="strategy",
    template="desk/strategy.html",
    tab="lists",
    words=(N_("Which list counts"), N_("Which list counts")),
    values=strategy_values,
    read=_read_strategy,
    context=_strategy_context,
    blame="strategy",
    kept=True,
)
POLICY: Final = ObjectForm(
    kind="policy",
    path="rounding",
    template="desk/rounding.html",
    tab="lists",
    words=(N_("Rounding"), N_("Rounding")),
    values=policy_values,
    read=_read_policy,
    context=_policy_context,
    blame="unit_decimals",
    kept=True,
)
WHOLE: Final = {"strategy": STRATEGY, "policy": POLICY}
HANDLERS: list[ControllerRouterHandler] = [
    lists_page,
    limits_page,
    *pages_of(LIST, "Edit or add a price list"),
    *pages_of(DERIVATION, "Edit the formula of a list"),
    *pages_of(BOUND, "Edit or add a floor or ceiling"),
    *pages_of(QUANTITY_RULE, "Edit or add a quantity rule"),
    *pages_of(LAYERS, "Edit the layers of rules"),
    *pages_of(STRATEGY, "Choose which list counts"),
    *pages_of(POLICY, "Edit how prices are rounded"),
]
