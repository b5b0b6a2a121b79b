"""The parts that several forms of a draft share: what something is for, and whom."""

from collections.abc import Mapping
from typing import Any, Final

from web.desk.fields import COUNTRY, Typed

SCOPES: Final = ("skus", "categories", "brands")


def scope_values(scope: Mapping[str, Any]) -> dict[str, str]:
    return {
        "everything": "yes" if scope["everything"] else "",
        **{name: "\n".join(scope[name]) for name in SCOPES},
        **{f"excluded_{name}": "\n".join(scope[f"excluded_{name}"]) for name in SCOPES},
    }


def scope_of(typed: Typed) -> dict[str, Any]:
    everything = typed.form.get("everything") == "yes"
    named = {name: typed.codes(name) for name in SCOPES}
    if not everything and not any(named.values()):
        typed.refuse("skus", "scope_empty")
    return {
        "everything": everything,
        **named,
        **{f"excluded_{name}": typed.codes(f"excluded_{name}") for name in SCOPES},
    }


def audience_values(audience: Mapping[str, Any]) -> dict[str, str]:
    return {
        "company": audience["company"] or "",
        "segments": "\n".join(audience["segments"]),
        "audience_countries": ", ".join(audience["countries"]),
    }


def audience_of(typed: Typed) -> dict[str, Any]:
    return {
        "company": typed.code("company", required=False) or None,
        "segments": typed.codes("segments"),
        "countries": typed.letters("audience_countries", COUNTRY, "country"),
    }
