"""The form of one SKU's price in one list and unit: tiers as lines of a bound and a price."""

from collections.abc import Mapping
from typing import Any, Final

from pricing.content import Key
from pricing.engine.book import RowModel
from web.desk.fields import Typed, instant_field, less
from web.http import Form
from web.labels import N_

SPARE_TIERS: Final = 2
TIERS_MOST: Final = 100
MODELS: Final = (RowModel.VOLUME, RowModel.GRADUATED)
MODEL_TEXTS: Final = {
    RowModel.VOLUME: N_("the reached price counts for all units"),
    RowModel.GRADUATED: N_("each slice at its own price"),
}
FIRST_BOUND: Final = {RowModel.VOLUME: "1", RowModel.GRADUATED: "0"}


def editable(content: Mapping[str, Any]) -> bool:
    """Whether the form can show the row without losing anything of it; files can hold more."""
    graduated = content["model"] == RowModel.GRADUATED
    return content["model"] != RowModel.PACKAGE and all(
        (tier.get("above") is not None) is graduated for tier in content["tiers"]
    )


def values_of(content: Mapping[str, Any] | None) -> dict[str, str]:
    """The fields as they first show a row; without one, an empty form."""
    if content is None:
        return {"model": RowModel.VOLUME, "tiers": "1", "from-0": "1"}
    values = {
        "list": content["list"],
        "unit": content["unit"],
        "model": RowModel.GRADUATED if content["model"] == RowModel.GRADUATED else RowModel.VOLUME,
        "starts_at": instant_field(content["starts_at"]),
        "ends_at": instant_field(content["ends_at"]),
        "tiers": str(len(content["tiers"])),
    }
    for number, tier in enumerate(content["tiers"]):
        values[f"from-{number}"] = tier["from"] if tier["from"] is not None else tier["above"]
        values[f"price-{number}"] = tier["unit_price"]
        values[f"fee-{number}"] = "" if tier["flat_fee"] == "0" else tier["flat_fee"]
    return values


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


def row_of(typed: Typed, *, sku: str, was: Mapping[str, Any] | None) -> tuple[Key, dict[str, Any]]:
    """The row's key and content. An existing row (*was*) keeps its list, unit and start, which are its key; what is
    wrong is in *typed*, and the content then incomplete.
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
    return (listed, sku, unit, "" if starts is None else _key_instant(starts)), {
        "list": listed,
        "sku": sku,
        "unit": unit,
        "tiers": tiers,
        "model": _model(model, tiers, was),
        "package": None,
        "starts_at": starts,
        "ends_at": None if ends_at is None else ends_at.isoformat(),
    }


def _model(model: RowModel, tiers: list[dict[str, Any]], was: Mapping[str, Any] | None) -> RowModel:
    """One price for any quantity is `flat`, which prices like `volume` with one tier; a row stays what it was."""
    if model is RowModel.GRADUATED or len(tiers) > 1:
        return model
    return RowModel.VOLUME if was is not None and was["model"] == RowModel.VOLUME else RowModel.FLAT


def _key_instant(text: str) -> str:
    """An instant as row keys hold it."""
    return text.replace("Z", "+00:00")


def _tiers(typed: Typed, model: RowModel) -> list[dict[str, Any]]:
    tiers: list[dict[str, Any]] = []
    last: str | None = None
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
                "from": bound if model is RowModel.VOLUME else None,
                "above": bound if model is RowModel.GRADUATED else None,
                "unit_price": price,
                "flat_fee": fee,
            }
        )
    if not tiers:
        typed.refuse("price-0", "price_missing")
    return tiers
