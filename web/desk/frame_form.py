"""The forms of what holds for a whole book: which list counts, rounding, and the layers that rules stand in."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kernel.money import Mode
from pricing.engine.book import Combine, Level, Pick, Strategy, TaxLevel
from web.desk.describe import MODES
from web.desk.fields import CODE, Typed
from web.labels import N_

STRATEGIES: Final = {
    Strategy.MOST_SPECIFIC.value: N_(
        "The most specific: the company's own, then of its segment, its country, everyone"
    ),
    Strategy.LOWEST.value: N_("The one that makes the line cheapest"),
    Strategy.MERGE_BREAKS.value: N_("All together: each quantity break from the first list that has it"),
}
ROUNDED: Final = {
    "unit": N_("Unit prices"),
    "line": N_("Lines"),
    "tax": N_("Taxes"),
}
TAX_LEVELS: Final = {
    TaxLevel.UNIT.value: N_("the unit"),
    TaxLevel.LINE.value: N_("the line"),
    TaxLevel.ORDER.value: N_("the order"),
}
COMBINES: Final = {
    Combine.SEQUENCE.value: N_("one after another, each on what the last one left"),
    Combine.SUM.value: N_("added up, each on the price that entered the layer"),
}
LEVELS: Final = {
    Level.UNIT.value: N_("unit price"),
    Level.LINE.value: N_("line"),
    Level.ORDER.value: N_("order"),
}
PICKS: Final = frozenset(each.value for each in Pick)
LAYERS_MOST: Final = 50
SPARE_LAYERS: Final = 2
DECIMALS_MOST: Final = 12


def strategy_values(content: str | None) -> dict[str, str]:
    return {"strategy": content or Strategy.MOST_SPECIFIC.value}


def strategy_of(typed: Typed) -> str:
    return typed.choice("strategy", tuple(STRATEGIES))


def policy_values(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields of a rounding policy; without one, what holds then."""
    if content is None:
        content = {name: {"decimals": None, "mode": Mode.HALF_UP.value} for name in ROUNDED}
        content |= {"round_unit": True, "tax_level": TaxLevel.LINE.value}
    values = {
        "round_unit": "yes" if content["round_unit"] else "",
        "tax_level": content["tax_level"],
    }
    for name in ROUNDED:
        decimals = content[name]["decimals"]
        values[f"{name}_decimals"] = "" if decimals is None else str(decimals)
        values[f"{name}_mode"] = content[name]["mode"]
    return values


def policy_of(typed: Typed) -> dict[str, Any]:
    """The policy's content; what is wrong is in *typed*, and the content then incomplete."""
    return {
        **{
            name: {"decimals": _decimals(typed, f"{name}_decimals"), "mode": typed.choice(f"{name}_mode", tuple(MODES))}
            for name in ROUNDED
        },
        "round_unit": typed.form.get("round_unit") == "yes",
        "tax_level": typed.choice("tax_level", tuple(TAX_LEVELS)),
    }


def _decimals(typed: Typed, name: str) -> int | None:
    text = typed.form.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 3 and int(text) <= DECIMALS_MOST):
        typed.refuse(name, "decimals")
        return None
    return int(text)


def layers_values(content: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """A line a layer: its place, code, level, how its groups combine, and these, one a line."""
    values = {}
    for number, layer in enumerate(content or ()):
        values[f"layer_place-{number}"] = str(number + 1)
        values[f"layer_code-{number}"] = layer["code"]
        values[f"layer_level-{number}"] = layer["level"]
        values[f"layer_combine-{number}"] = layer["combine"]
        values[f"layer_groups-{number}"] = "\n".join(_group_text(group) for group in layer["groups"])
    return values


def _group_text(group: Mapping[str, Any]) -> str:
    """A group as its line shows it; a code that ends like a choice has its own written behind it."""
    code, pick = group["code"], group["pick"]
    shown = pick == Pick.LOWEST.value or code.rpartition(" ")[2] in PICKS
    return f"{code} {pick}" if shown else str(code)


def layer_lines(values: Mapping[str, str]) -> int:
    """How many lines to show: those filled in, and spare ones."""
    filled = [
        number
        for number in range(LAYERS_MOST)
        if any(values.get(f"layer_{field}-{number}", "").strip() for field in ("code", "groups"))
    ]
    return min(max(filled, default=-1) + 1 + SPARE_LAYERS, LAYERS_MOST)


def layers_of(typed: Typed) -> list[dict[str, Any]]:
    """The layers by the places typed; what is wrong is in *typed*, and the content then incomplete."""
    placed: list[tuple[int, dict[str, Any]]] = []
    for number in range(LAYERS_MOST):
        if not any(typed.form.get(f"layer_{field}-{number}") for field in ("code", "groups")):
            continue
        code = typed.code(f"layer_code-{number}")
        if code in {layer["code"] for _, layer in placed}:
            typed.refuse(f"layer_code-{number}", "code_twice", name=code)
        place = typed.whole(f"layer_place-{number}") if typed.form.get(f"layer_place-{number}") else LAYERS_MOST
        placed.append(
            (
                place,
                {
                    "code": code,
                    "level": typed.choice(f"layer_level-{number}", tuple(LEVELS)),
                    "combine": typed.choice(f"layer_combine-{number}", tuple(COMBINES)),
                    "groups": _groups(typed, f"layer_groups-{number}"),
                },
            )
        )
    if not placed:
        typed.refuse("layer_code-0", "layer_missing")
    return [layer for _, layer in sorted(placed, key=lambda pair: pair[0])]


def _groups(typed: Typed, name: str) -> list[dict[str, str]]:
    """One group a line, in their order; the word `lowest` behind its code makes the lowest price win in it."""
    groups: dict[str, str] = {}
    for line in typed.form.get(name).splitlines():
        code, _, pick = line.strip().rpartition(" ")
        if not code or pick not in PICKS:
            code, pick = line.strip(), Pick.PRIORITY.value
        if not code:
            continue
        if CODE.fullmatch(code) is None:
            typed.refuse(name, "codes")
        if code in groups:
            typed.refuse(name, "code_twice", name=code)
        groups[code] = pick
    if not groups:
        typed.refuse(name, "groups_missing")
    return [{"code": code, "pick": pick} for code, pick in groups.items()]
