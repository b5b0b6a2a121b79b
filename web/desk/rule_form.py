"""The form of one adjustment: all a rule can say, each part in fields of its own."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from kernel.money import MalformedDecimal, ratio
from pricing.engine.book import Layer, Level
from web.desk.fields import COUNTRY, CURRENCY, Typed, decimal, instant_field, less
from web.desk.scope_form import audience_of, audience_values, scope_of, scope_values
from web.labels import N_

EFFECTS: Final = {
    "percent": N_("A percentage off or on top"),
    "amount": N_("An amount off or on top, per unit (or of the line or order, by its layer)"),
    "fixed_price": N_("A fixed unit price"),
    "quantity_table": N_("A percentage off by quantity"),
    "buy_get": N_("Buy some, get some free"),
}
LEVEL_TEXTS: Final = {
    Level.UNIT: N_("acts on the unit price"),
    Level.LINE: N_("acts on the line"),
    Level.ORDER: N_("acts on the order"),
}
BOUNDS: Final = (
    ("min_quantity", "max_quantity"),
    ("min_line_amount", "max_line_amount"),
    ("min_subtotal", "max_subtotal"),
)
AMOUNTS: Final = BOUNDS[1] + BOUNDS[2]
HUNDRED: Final = 100


def places(layers: Sequence[Layer]) -> list[tuple[str, Layer, str]]:
    """Where a rule may stand: the value of the choice, its layer, its group."""
    return [(f"{layer.code}\t{group.code}", layer, group.code) for layer in layers for group in layer.groups]


def values_of(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields as they first show a rule; without one, an empty form."""
    if content is None:
        return {"effect": "percent", "direction": "off", "priority": "0"}
    effect, conditions = content["effect"], content["conditions"]
    return {
        "code": content["code"],
        "title_en": content["titles"]["en"],
        "title_es": content["titles"]["es"],
        "place": f"{content['layer']}\t{content['group']}",
        "priority": str(content["priority"]),
        "exclusive": "yes" if content["exclusive"] else "",
        "effect": effect["type"],
        "direction": "on" if effect.get("surcharge") else "off",
        **{name: str(effect.get(name, "")) for name in ("percent", "amount", "price", "buy", "get")},
        "steps": "\n".join(f"{step['from']} {step['percent']}" for step in effect.get("steps", ())),
        **scope_values(content["scope"]),
        **audience_values(content["audience"]),
        **{name: conditions[name] or "" for pair in BOUNDS for name in pair},
        "currencies": ", ".join(conditions["currencies"]),
        "countries": ", ".join(conditions["countries"]),
        "starts_at": instant_field(content["starts_at"]),
        "ends_at": instant_field(content["ends_at"]),
    }


def rule_of(typed: Typed, layers: Sequence[Layer], *, code: str | None) -> dict[str, Any]:
    """The rule's content; what is wrong is in *typed*, and the content then incomplete. *code*: of an existing rule,
    which keeps it.
    """
    place = typed.choice("place", [value for value, _, _ in places(layers)])
    layer, _, group = place.partition("\t")
    starts_at, ends_at = typed.window()
    effect, conditions = _effect(typed), _conditions(typed)
    needs_currency = any(typed.form.get(name) for name in AMOUNTS) or effect["type"] in {"amount", "fixed_price"}
    if needs_currency and len(conditions["currencies"]) != 1:
        typed.refuse("currencies", "one_currency")
    return {
        "code": code if code is not None else typed.code("code"),
        "layer": layer,
        "group": group,
        "effect": effect,
        "scope": scope_of(typed),
        "audience": audience_of(typed),
        "conditions": conditions,
        "priority": typed.whole("priority"),
        "exclusive": typed.form.get("exclusive") == "yes",
        "starts_at": None if starts_at is None else starts_at.isoformat(),
        "ends_at": None if ends_at is None else ends_at.isoformat(),
        "titles": {
            "en": typed.text("title_en", required=True),
            "es": typed.text("title_es", required=True),
        },
    }


def _effect(typed: Typed) -> dict[str, Any]:
    kind = typed.choice("effect", tuple(EFFECTS))
    surcharge = typed.form.get("direction") == "on"
    match kind:
        case "percent":
            percent = typed.decimal("percent", required=True)
            if percent is not None and not surcharge:
                _refuse_over_hundred(typed, "percent", percent)
            return {"type": kind, "percent": percent, "surcharge": surcharge}
        case "amount":
            return {"type": kind, "amount": typed.decimal("amount", required=True), "surcharge": surcharge}
        case "fixed_price":
            return {"type": kind, "price": typed.decimal("price", required=True)}
        case "quantity_table":
            return {"type": kind, "steps": _steps(typed)}
        case _:
            return {
                "type": kind,
                "buy": typed.decimal("buy", required=True, positive=True),
                "get": typed.decimal("get", required=True, positive=True),
            }


def _steps(typed: Typed) -> list[dict[str, str]]:
    """Lines of a quantity and a percentage."""
    steps: list[dict[str, str]] = []
    for line in typed.form.get("steps").splitlines():
        if not line.strip():
            continue
        try:
            bound, percent = (decimal(part.removesuffix("%"), typed.locale) for part in line.split())
        except (ValueError, MalformedDecimal):
            typed.refuse("steps", "steps")
            return steps
        if bound.startswith("-") or percent.startswith("-"):
            typed.refuse("steps", "negative")
        _refuse_over_hundred(typed, "steps", percent)
        if steps and not less(steps[-1]["from"], bound):
            typed.refuse("steps", "steps_ascend")
        steps.append({"from": bound, "percent": percent})
    if not steps:
        typed.refuse("steps", "steps")
    return steps


def _refuse_over_hundred(typed: Typed, name: str, percent: str) -> None:
    if Decimal(percent) > HUNDRED:
        typed.refuse(name, "over_hundred")


def _conditions(typed: Typed) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for least, most in BOUNDS:
        conditions[least], conditions[most] = typed.decimal(least), typed.decimal(most)
        if conditions[least] is not None and conditions[most] is not None and _crossed(conditions, least, most):
            typed.refuse(most, "bounds_crossed")
    conditions["currencies"] = typed.letters("currencies", CURRENCY, "currency")
    conditions["countries"] = typed.letters("countries", COUNTRY, "country")
    return conditions


def _crossed(conditions: Mapping[str, str], least: str, most: str) -> bool:
    (a, b), (c, d) = ratio(conditions[least]), ratio(conditions[most])
    return c * b < a * d
