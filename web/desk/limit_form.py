"""The forms of floors, ceilings and quantity rules."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from kernel.money import MalformedDecimal
from pricing.engine.book import Side
from web.desk.fields import CURRENCY, Typed, decimal, less
from web.desk.scope_form import scope_of, scope_values
from web.labels import N_

SIDES: Final = {
    Side.FLOOR.value: N_("Floor: a unit price is never lower"),
    Side.CEILING.value: N_("Ceiling: a unit price is never higher"),
}
LIMITS: Final = {
    "price": N_("A net price of one base unit, by currency"),
    "margin": N_("A margin over cost, in percent of the net price"),
}
NUMBERS: Final = ("minimum", "maximum", "multiple")
HUNDRED: Final = 100


def bound_values(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields as they first show a bound; without one, an empty form."""
    if content is None:
        return {"side": Side.FLOOR.value, "limit": "price"}
    limit = content["limit"]
    return {
        "code": content["code"],
        "side": content["side"],
        "limit": limit["type"],
        "prices": "\n".join(f"{price['currency']} {price['price']}" for price in limit.get("prices", ())),
        "margin": str(limit.get("percent", "")),
        "disclosed": "yes" if content["disclosed"] else "",
        **scope_values(content["scope"]),
    }


def bound_of(typed: Typed, *, code: str | None) -> dict[str, Any]:
    """The bound's content; what is wrong is in *typed*, and the content then incomplete."""
    return {
        "code": code if code is not None else typed.code("code"),
        "side": typed.choice("side", tuple(SIDES)),
        "scope": scope_of(typed),
        "limit": _limit(typed),
        "disclosed": typed.form.get("disclosed") == "yes",
    }


def _limit(typed: Typed) -> dict[str, Any]:
    kind = typed.choice("limit", tuple(LIMITS))
    if kind == "margin":
        percent = typed.decimal("margin", required=True, signed=True)
        if percent is not None and Decimal(percent) >= HUNDRED:
            typed.refuse("margin", "margin")
        return {"type": kind, "percent": percent}
    prices: dict[str, str] = {}
    for line in typed.form.get("prices").splitlines():
        parts = line.split()
        if not parts:
            continue
        try:
            currency, price = parts[0], decimal(parts[1], typed.locale)
        except (IndexError, MalformedDecimal):
            typed.refuse("prices", "prices")
            break
        if len(parts) > 2 or CURRENCY.fullmatch(currency) is None:
            typed.refuse("prices", "prices")
        if price.startswith("-"):
            typed.refuse("prices", "negative")
        if currency in prices:
            typed.refuse("prices", "currency_twice", name=currency)
        prices[currency] = price
    if not prices:
        typed.refuse("prices", "prices")
    return {"type": "price", "prices": [{"currency": name, "price": price} for name, price in prices.items()]}


def quantity_rule_values(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields as they first show a quantity rule; without one, an empty form."""
    if content is None:
        return {}
    return {
        "code": content["code"],
        "unit": content["unit"] or "",
        **{name: content[name] or "" for name in NUMBERS},
        **scope_values(content["scope"]),
    }


def quantity_rule_of(typed: Typed, *, code: str | None) -> dict[str, Any]:
    """The quantity rule's content; what is wrong is in *typed*, and the content then incomplete."""
    numbers = {name: typed.decimal(name, positive=True) for name in NUMBERS}
    if not any(typed.form.get(name) for name in NUMBERS):
        typed.refuse("minimum", "limit_missing")
    least, most = numbers["minimum"], numbers["maximum"]
    if least is not None and most is not None and less(most, least):
        typed.refuse("maximum", "bounds_crossed")
    return {
        "code": code if code is not None else typed.code("code"),
        "scope": scope_of(typed),
        "unit": typed.code("unit", required=False) or None,
        **numbers,
    }
