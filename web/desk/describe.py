"""A price book's objects in the reader's words, field by field, for before and after."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pricing.content import Key
from web.desk.fields import instant_field
from web.labels import N_
from web.pages import translations

KINDS: Final = {
    "strategy": N_("Strategy"),
    "policy": N_("Rounding"),
    "layers": N_("Layers"),
    "list": N_("Price list"),
    "derivation": N_("Derived list"),
    "row": N_("Price"),
    "adjustment": N_("Rule"),
    "bound": N_("Bound"),
    "quantity_rule": N_("Quantity rule"),
    "sku": N_("SKU facts"),
    "cost": N_("Cost"),
}
LABELS: Final = {
    "list": N_("Price list"),
    "sku": N_("SKU"),
    "unit": N_("Unit"),
    "model": N_("Model"),
    "starts_at": N_("Starts"),
    "ends_at": N_("Ends"),
    "titles": N_("Title"),
    "layer": N_("Layer"),
    "group": N_("Group"),
    "priority": N_("Priority"),
    "exclusive": N_("Exclusive"),
    "effect": N_("Effect"),
    "scope": N_("For"),
    "audience": N_("Buyers"),
    "conditions": N_("Conditions"),
    "currency": N_("Currency"),
    "base": N_("Follows"),
    "percent": N_("Percent"),
    "round_to": N_("Rounded to"),
    "ending": N_("Ending"),
    "min_margin": N_("Margin at least"),
    "max_margin": N_("Margin at most"),
    "side": N_("Side"),
    "limit": N_("Limit"),
    "disclosed": N_("Named to buyers"),
    "minimum": N_("Minimum"),
    "maximum": N_("Maximum"),
    "multiple": N_("Multiple"),
    "tax_included": N_("Prices include tax"),
    "mergeable": N_("Breaks may be merged"),
    "package": N_("Package"),
    "line": N_("Lines"),
    "tax": N_("Taxes"),
    "round_unit": N_("Unit prices are rounded first"),
    "tax_level": N_("Tax is rounded by"),
}
STRATEGIES: Final = {
    "most_specific": N_("the most specific list"),
    "lowest": N_("the list of the lowest amount"),
    "merge_breaks": N_("all lists' breaks together"),
}
WORDS: Final = {
    "side": {"floor": N_("floor"), "ceiling": N_("ceiling")},
    "tax_level": {"unit": N_("the unit"), "line": N_("the line"), "order": N_("the order")},
    "model": {
        "flat": N_("one price for any quantity"),
        "volume": N_("the reached price counts for all units"),
        "graduated": N_("each slice at its own price"),
        "package": N_("by whole packages"),
    },
}
LAYER_LEVELS: Final = {"unit": N_("on the unit price"), "line": N_("on the line"), "order": N_("on the order")}
COMBINES: Final = {"sequence": N_("one after another"), "sum": N_("added up")}
PICKED_LOWEST: Final = N_("%(group)s (the lowest wins)")
STRATEGY: Final = N_("Which list counts")
MARGIN: Final = N_("margin of %(percent)s %%")
ROUNDED: Final = N_("to %(decimals)s decimals, %(mode)s")
ROUNDED_AS_CURRENCY: Final = N_("to the currency's decimals, %(mode)s")
PACKAGE: Final = N_("of %(size)s units, counted %(way)s")
PACKAGE_FREE: Final = N_("%(free)s units free")
PACKAGE_WHOLE: Final = N_("the reached price counts for all packages")
ROUND_UP: Final = N_("up to whole ones")
ROUND_DOWN: Final = N_("down to whole ones")
PARTS: Final = {
    "skus": N_("SKUs"),
    "categories": N_("categories"),
    "brands": N_("brands"),
    "excluded_skus": N_("without SKUs"),
    "excluded_categories": N_("without categories"),
    "excluded_brands": N_("without brands"),
    "everything": N_("everything"),
    "company": N_("company"),
    "segments": N_("segments"),
    "countries": N_("delivery to"),
    "currencies": N_("currencies"),
    "min_quantity": N_("from quantity"),
    "max_quantity": N_("up to quantity"),
    "min_line_amount": N_("line from"),
    "max_line_amount": N_("line up to"),
    "min_subtotal": N_("order from"),
    "max_subtotal": N_("order up to"),
}
FROM: Final = N_("From %(bound)s")
ABOVE: Final = N_("Above %(bound)s")
FEE: Final = N_("%(price)s, once %(fee)s")
PERCENT_OFF: Final = N_("%(percent)s %% off")
EFFECT_TEXTS: Final = {
    "percent": PERCENT_OFF,
    "amount": N_("%(amount)s off"),
    "fixed_price": N_("fixed price %(price)s"),
    "buy_get": N_("buy %(buy)s, get %(get)s free"),
}
SURCHARGES: Final = {"percent": N_("%(percent)s %% on top"), "amount": N_("%(amount)s on top")}
EVERYONE: Final = N_("everyone")
COST: Final = N_("cost")
MULTIPLE: Final = N_("multiples of %(multiple)s, %(mode)s")
MODES: Final = {
    "half_up": N_("half up"),
    "half_even": N_("half to even"),
    "half_down": N_("half down"),
    "up": N_("up"),
    "down": N_("down"),
    "ceiling": N_("towards the higher"),
    "floor": N_("towards the lower"),
}
YES: Final = N_("yes")
NO: Final = N_("no")
PERCENTAGES: Final = frozenset(["percent", "min_margin", "max_margin"])
NAMED_BY_KEY: Final = frozenset(["list", "sku", "code"])


class Field(msgspec.Struct, frozen=True):
    """One thing an object says; None where that side says nothing of it."""

    label: str
    before: str | None
    after: str | None

    @property
    def differs(self) -> bool:
        return self.before != self.after


class Sides(msgspec.Struct, frozen=True):
    """One thing an object says, on the three sides of a clash; None where that side says nothing of it."""

    label: str
    original: str | None
    theirs: str | None
    yours: str | None

    @property
    def differs(self) -> bool:
        return self.theirs != self.yours

    @property
    def both(self) -> bool:
        """Whether both sides changed it, and not to the same."""
        return self.differs and self.original not in {self.theirs, self.yours}


def kind_text(kind: str, locale: str) -> str:
    return _say(KINDS.get(kind, kind), locale)


def key_text(kind: str, key: Key) -> str:
    """The object's name for people."""
    parts = [part for part in key if part]
    return (
        " · ".join(parts)
        if kind != "row" or not key[3]
        else " · ".join([*parts[:3], instant_field(key[3].replace("+00:00", "Z"))])
    )


def compared(before: Any, after: Any, locale: str) -> tuple[Field, ...]:
    """Both sides field by field, in one order, without what neither says."""
    sides = [dict(described(side, locale)) if side is not None else {} for side in (before, after)]
    labels = list(dict.fromkeys([*sides[1], *sides[0]]))
    return tuple(Field(label, sides[0].get(label), sides[1].get(label)) for label in labels)


def three_sides(original: Any, theirs: Any, yours: Any, locale: str) -> tuple[Sides, ...]:
    """A clash field by field, in one order, without what no side says."""
    sides = [dict(described(side, locale)) if side is not None else {} for side in (original, theirs, yours)]
    labels = dict.fromkeys(label for side in reversed(sides) for label in side)
    return tuple(Sides(label, *(side.get(label) for side in sides)) for label in labels)


def changed(before: Any, after: Any, locale: str) -> tuple[Field, ...]:
    """What differs; of an object that comes or goes, all it says."""
    fields = compared(before, after, locale)
    return tuple(field for field in fields if field.differs) if before is not None and after is not None else fields


def described(content: Any, locale: str) -> Iterator[tuple[str, str]]:
    """(label, text) of what an object says, leaving out what is not stated."""
    if isinstance(content, list | tuple):
        yield from (_layer(number, layer, locale) for number, layer in enumerate(content, 1))
        return
    if not isinstance(content, Mapping):
        yield _say(STRATEGY, locale), _say(STRATEGIES.get(content, content), locale)
        return
    for name, value in content.items():
        if name == "base":  # of a derived list; stated by its absence, too
            yield _say(LABELS[name], locale), value or _say(COST, locale)
        elif name in NAMED_BY_KEY or value is None or (isinstance(value, list | tuple) and not value):
            continue
        elif name == "tiers":
            for tier in value:
                yield _tier(tier, locale)
        elif name == "titles":
            yield f"{_say(LABELS[name], locale)} (en)", value["en"]
            yield f"{_say(LABELS[name], locale)} (es)", value["es"]
        elif name == "conditions" and not _stated(value):
            continue
        else:
            yield _say(LABELS.get(name, name.replace("_", " ").capitalize()), locale), value_text(name, value, locale)


def _tier(tier: Mapping[str, Any], locale: str) -> tuple[str, str]:
    above = tier["above"] is not None
    label = _say(ABOVE if above else FROM, locale) % {"bound": tier["above"] if above else tier["from"]}
    price, fee = (_price(tier[name]) for name in ("unit_price", "flat_fee"))
    return label, price if tier["flat_fee"] == "0" else _say(FEE, locale) % {"price": price, "fee": fee}


def _price(text: str) -> str:
    """A price with two decimals at least, so that figures under each other compare."""
    decimals = len(text.partition(".")[2])
    return text if decimals > 1 else f"{text}.00" if not decimals else f"{text}0"


def value_text(name: str, value: Any, locale: str) -> str:
    """What one field of an object says; empty where it states nothing."""
    if name in {"starts_at", "ends_at"}:
        return f"{instant_field(value).replace('T', ' ')} UTC"
    if isinstance(value, bool):
        return _say(YES if value else NO, locale)
    if name == "effect":
        return _effect(value, locale)
    if name == "round_to":
        return _say(MULTIPLE, locale) % {**value, "mode": _say(MODES[value["mode"]], locale)}
    if name in PERCENTAGES:
        return f"{value} %"
    if name in WORDS and isinstance(value, str):
        return _say(WORDS[name].get(value, value), locale)
    if isinstance(value, Mapping):
        if (read := _READ.get(name)) is not None and "everything" not in value:
            return read(value, locale)
        parts_text = "; ".join(_parts(value, locale))
        return parts_text or (_say(EVERYONE, locale) if name == "audience" else "")
    return _plain(value)


def _effect(effect: Mapping[str, Any], locale: str) -> str:
    """What a rule does, as briefly as a trace says it."""
    kind = effect["type"]
    if kind == "quantity_table":
        return "; ".join(
            f"{_say(FROM, locale) % {'bound': step['from']}}: {_say(PERCENT_OFF, locale) % step}"
            for step in effect["steps"]
        )
    return _say(SURCHARGES[kind] if effect.get("surcharge") else EFFECT_TEXTS[kind], locale) % effect


def _limit(limit: Mapping[str, Any], locale: str) -> str:
    """What a bound keeps a price to."""
    if limit["type"] == "margin":
        return _say(MARGIN, locale) % limit
    return ", ".join(f"{_price(price['price'])} {price['currency']}" for price in limit["prices"])


def _rounding(rounding: Mapping[str, Any], locale: str) -> str:
    text = ROUNDED_AS_CURRENCY if rounding["decimals"] is None else ROUNDED
    return _say(text, locale) % {**rounding, "mode": _say(MODES[rounding["mode"]], locale)}


def _package(package: Mapping[str, Any], locale: str) -> str:
    way = _say(ROUND_UP if package["round_up"] else ROUND_DOWN, locale)
    parts = [_say(PACKAGE, locale) % {"size": package["size"], "way": way}]
    if package["free"] != "0":
        parts.append(_say(PACKAGE_FREE, locale) % package)
    if package["whole_quantity"]:
        parts.append(_say(PACKAGE_WHOLE, locale))
    return "; ".join(parts)


_READ: Final = {
    "limit": _limit,
    "unit": _rounding,
    "line": _rounding,
    "tax": _rounding,
    "package": _package,
}


def _layer(number: int, layer: Mapping[str, Any], locale: str) -> tuple[str, str]:
    groups = ", ".join(
        _say(PICKED_LOWEST, locale) % {"group": group["code"]} if group["pick"] == "lowest" else group["code"]
        for group in layer["groups"]
    )
    words = _say(LAYER_LEVELS[layer["level"]], locale), _say(COMBINES[layer["combine"]], locale)
    return f"{number}. {layer['code']}", f"{', '.join(words)}: {groups}"


def _stated(value: Mapping[str, Any]) -> bool:
    return any(part not in (None, False, (), []) for part in value.values())


def _parts(value: Mapping[str, Any], locale: str) -> Iterator[str]:
    for name, part in value.items():
        if part in (None, False, (), []):
            continue
        label = _say(PARTS.get(name, name.replace("_", " ")), locale)
        yield label if part is True else f"{label} {_plain(part)}"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(part) for part in value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_plain(part)}" for name, part in value.items() if part is not None)
    return str(value)


def _say(text: str, locale: str) -> str:
    return translations(locale).gettext(text)
