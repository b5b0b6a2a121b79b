"""The forms of a price list: what it is and for whom, and the formula it follows, if it follows one."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from kernel.money import Mode
from web.desk.describe import MODES
from web.desk.fields import CURRENCY, Typed, instant_field, less
from web.desk.scope_form import audience_of, audience_values

HUNDRED: Final = 100
MARGINS: Final = ("min_margin", "max_margin")


def list_values(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields as they first show a list; without one, an empty form."""
    if content is None:
        return {"priority": "0"}
    titles = content["titles"] or {"en": "", "es": ""}
    return {
        "code": content["code"],
        "title_en": titles["en"],
        "title_es": titles["es"],
        "currency": content["currency"],
        **audience_values(content["audience"]),
        "priority": str(content["priority"]),
        "starts_at": instant_field(content["starts_at"]),
        "ends_at": instant_field(content["ends_at"]),
        "tax_included": "yes" if content["tax_included"] else "",
        "mergeable": "yes" if content["mergeable"] else "",
    }


def list_of(typed: Typed, *, code: str | None) -> dict[str, Any]:
    """The list's content; what is wrong is in *typed*, and the content then incomplete."""
    titles = {"en": typed.text("title_en"), "es": typed.text("title_es")}
    if any(titles.values()) and not all(titles.values()):
        typed.refuse("title_en" if not titles["en"] else "title_es", "both_titles")
    currency = typed.code("currency")
    if currency and CURRENCY.fullmatch(currency) is None:
        typed.refuse("currency", "currency")
    starts_at, ends_at = typed.window()
    return {
        "code": code if code is not None else typed.code("code"),
        "currency": currency,
        "audience": audience_of(typed),
        "priority": typed.whole("priority"),
        "starts_at": None if starts_at is None else starts_at.isoformat(),
        "ends_at": None if ends_at is None else ends_at.isoformat(),
        "tax_included": typed.form.get("tax_included") == "yes",
        "mergeable": typed.form.get("mergeable") == "yes",
        "titles": titles if any(titles.values()) else None,
    }


def derivation_values(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields as they first show a formula; without one, an empty form."""
    if content is None:
        return {"derived_percent": "0", "mode": Mode.HALF_UP.value}
    rounding = content["round_to"]
    return {
        "base": content["base"] or "",
        "derived_percent": content["percent"],
        "multiple_of": "" if rounding is None else rounding["multiple"],
        "mode": Mode.HALF_UP.value if rounding is None else rounding["mode"],
        "ending": "" if content["ending"] == "0" else content["ending"],
        **{name: content[name] or "" for name in MARGINS},
    }


def derivation_of(typed: Typed, *, code: str, lists: Collection[str]) -> dict[str, Any]:
    """The formula of the list *code*; *lists*: those it may follow."""
    base = typed.code("base", required=False) or None
    if base == code:
        typed.refuse("base", "follows_itself")
    elif base is not None and base not in lists:
        typed.refuse("base", "unknown_list", name=base)
    multiple = typed.decimal("multiple_of", positive=True)
    mode = typed.choice("mode", tuple(MODES)) if multiple is not None else ""
    margins = {name: typed.decimal(name, signed=True) for name in MARGINS}
    for name, percent in margins.items():
        if percent is not None and Decimal(percent) >= HUNDRED:
            typed.refuse(name, "margin")
    least, most = (margins[name] for name in MARGINS)
    if least is not None and most is not None and less(most, least):
        typed.refuse("max_margin", "margins_crossed")
    return {
        "list": code,
        "base": base,
        "percent": typed.decimal("derived_percent", signed=True) or "0",
        "round_to": None if multiple is None else {"multiple": multiple, "mode": mode},
        "ending": typed.decimal("ending", signed=True) or "0",
        **margins,
    }
