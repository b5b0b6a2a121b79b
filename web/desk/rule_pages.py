"""The rules of a draft, and the form of one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pricing.engine.book import Layer
from pricing.model import PriceDraft
from pricing.service import LeafState
from web.desk.clash import Values
from web.desk.describe import value_text
from web.desk.drafts import edit_address, find_draft, frame
from web.desk.fields import Typed
from web.desk.object_pages import Asked, ObjectForm, company_options, pages_of, refuse_unknown
from web.desk.rule_form import EFFECTS, LEVEL_TEXTS, places, rule_of, values_of
from web.http import AnyRequest, Html, locale_of, services_of
from web.labels import N_
from web.pages import page


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


async def _read(asked: Asked, typed: Typed) -> dict[str, Any]:
    layers = await _layers(asked.request, asked.draft)
    content = rule_of(typed, layers, code=None if asked.key is None else asked.key[0])
    await refuse_unknown(asked.request, typed, scope=content["scope"], audience=content["audience"])
    return content


async def _context(asked: Asked, values: Values) -> Mapping[str, Any]:  # noqa: ARG001 - as every form's context
    return {
        "places": places(await _layers(asked.request, asked.draft)),
        "level_texts": LEVEL_TEXTS,
        "effects": EFFECTS,
        "companies": await company_options(asked.request),
    }


RULE: Final = ObjectForm(
    kind="adjustment",
    path="rule",
    template="desk/rule.html",
    tab="rules",
    words=(N_("Rule"), N_("New rule")),
    values=values_of,
    read=_read,
    context=_context,
    blame="effect",
    taken="rule_exists",
)
HANDLERS: list[ControllerRouterHandler] = [rules_page, *pages_of(RULE, "Edit or add a rule")]


async def _layers(request: AnyRequest, draft: PriceDraft) -> tuple[Layer, ...]:
    states = await services_of(request).pricing.list_leaves(draft.id, "layers")
    return msgspec.convert(states[0].content, tuple[Layer, ...]) if states else ()


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
