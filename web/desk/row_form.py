"""The form of one SKU's price in one list and unit: tiers as lines of a bound and a price."""

from collections.abc import Mapping
from typing import Any, Final

from pricing.content import Key
from pricing.engine.book import RowModel
from web.desk.fields import Typed, instant_field, less
from web.http import Form
from web.labels import N_

SPARE_TIERS: Final = 2
MORE_TIERS: Final = 3
TIERS_MOST: Final = 100
MODEL_TEXTS: Final = {
    RowModel.VOLUME: N_("the reached price counts for all units"),
    RowModel.GRADUATED: N_("each slice at its own price"),
    RowModel.PACKAGE: N_("whole packages are charged, of the size below"),
}
MODELS: Final = tuple(MODEL_TEXTS)
BY_SLICE: Final = frozenset({RowModel.GRADUATED, RowModel.PACKAGE})
"""Their tiers begin above their quantity."""
PACKAGE_WAYS: Final = {"up": N_("up: a begun package counts"), "down": N_("down: only full packages count")}


def editable(content: Mapping[str, Any]) -> bool:
    """Whether the form can show the row without losing anything of it: all its lines begin in the same way."""
    begin = {tier.get("above") is not None for tier in content["tiers"]}
    return len(begin) == 1 and (begin == {True} or content["model"] not in BY_SLICE)


def values_of(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields as they first show a row; without one, an empty form."""
    if content is None:
        return {"model": RowModel.VOLUME, "tiers": "1", "from-0": "1", "package_way": "up"}
    package = content["package"]
    values = {
        "list": content["list"],
        "unit": content["unit"],
        "model": content["model"] if content["model"] in BY_SLICE else RowModel.VOLUME,
        "above": "yes" if content["tiers"][0]["above"] is not None else "",
        "package_size": "" if package is None else package["size"],
        "package_free": "" if package is None or package["free"] == "0" else package["free"],
        "package_way": "down" if package is not None and not package["round_up"] else "up",
        "package_whole": "yes" if package is not None and package["whole_quantity"] else "",
        "starts_at": instant_field(content["starts_at"]),
        "ends_at": instant_field(content["ends_at"]),
        "tiers": str(len(content["tiers"])),
    }
    for number, tier in enumerate(content["tiers"]):
        values[f"from-{number}"] = tier["from"] if tier["from"] is not None else tier["above"]
        values[f"price-{number}"] = tier["unit_price"]
        values[f"fee-{number}"] = "" if tier["flat_fee"] == "0" else tier["flat_fee"]
    return values


def keyed(key: Key, form: Form) -> dict[str, Any]:
    """What is known of a price that somebody removed while its form was open."""
    starts_at = key[3].replace("+00:00", "Z") or None
    return {"list": key[0], "unit": key[2], "starts_at": starts_at, "model": form.get("model")}


def tier_count(form: Form) -> int:
    """How many tier lines the form showed."""
    text = form.get("tiers")
    return min(int(text), TIERS_MOST) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def lines_shown(values: Mapping[str, str], *, more: int = 0) -> int:
    """How many tier lines to show: those filled in, and spare ones."""
    filled = [
        number
        for number in range(TIERS_MOST)
        if any(values.get(f"{field}-{number}", "").strip() for field in ("from", "price", "fee"))
    ]
    return min(max(filled, default=0) + 1 + SPARE_TIERS + more, TIERS_MOST)


def lines_asked(values: Mapping[str, str]) -> int:
    """How many lines more the button asked for."""
    return MORE_TIERS if values.get("action") == "more" else 0


def row_of(typed: Typed, *, sku: str, was: Mapping[str, Any] | None) -> dict[str, Any]:
    """The row's content. An existing row (*was*) keeps its list, unit and start, which are its key; what is wrong is in
    *typed*, and the content then incomplete.
    """
    model = RowModel(typed.choice("model", MODELS)) if typed.form.get("model") in MODELS else RowModel.VOLUME
    starts_at, ends_at = typed.window()
    tiers = _tiers(typed, model)
    if was is not None:
        starts = was["starts_at"]
        listed, unit = was["list"], was["unit"]
    else:
        starts = None if starts_at is None else starts_at.isoformat()
        listed, unit = typed.code("list"), typed.code("unit")
    return {
        "list": listed,
        "sku": sku,
        "unit": unit,
        "tiers": tiers,
        "model": _model(model, tiers, was),
        "package": _package(typed) if model is RowModel.PACKAGE else None,
        "starts_at": starts,
        "ends_at": None if ends_at is None else ends_at.isoformat(),
    }


def key_of(content: Mapping[str, Any]) -> Key:
    """The key of a row's content, its start as row keys hold it."""
    starts = "" if content["starts_at"] is None else content["starts_at"].replace("Z", "+00:00")
    return content["list"], content["sku"], content["unit"], starts


def _package(typed: Typed) -> dict[str, Any]:
    return {
        "size": typed.decimal("package_size", required=True, positive=True),
        "round_up": typed.choice("package_way", tuple(PACKAGE_WAYS)) == "up",
        "free": typed.decimal("package_free") or "0",
        "whole_quantity": typed.form.get("package_whole") == "yes",
    }


def _model(model: RowModel, tiers: list[dict[str, Any]], was: Mapping[str, Any] | None) -> RowModel:
    """One price for any quantity is `flat`, which prices like `volume` with one tier; a row stays what it was."""
    if model in BY_SLICE or len(tiers) > 1:
        return model
    return RowModel.VOLUME if was is not None and was["model"] == RowModel.VOLUME else RowModel.FLAT


def _tiers(typed: Typed, model: RowModel) -> list[dict[str, Any]]:
    tiers: list[dict[str, Any]] = []
    last: str | None = None
    above = model in BY_SLICE or typed.form.get("above") == "yes"
    for number in range(tier_count(typed.form)):
        names = [f"{field}-{number}" for field in ("from", "price", "fee")]
        if not any(typed.form.get(name) for name in names):
            continue
        bound = typed.decimal(names[0], required=True)
        price = typed.decimal(names[1], required=True)
        fee = typed.decimal(names[2]) or "0"
        if bound is not None and last is not None and not less(last, bound):
            typed.refuse(names[0], "tiers_ascend", last=last)
        if bound is not None and model is RowModel.GRADUATED and not tiers and bound != "0":
            typed.refuse(names[0], "graduated_from_zero")
        last = bound if bound is not None else last
        tiers.append(
            {
                "from": None if above else bound,
                "above": bound if above else None,
                "unit_price": price,
                "flat_fee": fee,
            }
        )
    if not tiers:
        typed.refuse("price-0", "price_missing")
    return tiers
