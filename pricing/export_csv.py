"""A book's prices as the files of docs/import-files.md: import them again and nothing changes."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from kernel.csv_rows import write_rows
from kernel.errors import Refused
from pricing.content import LeafName, Leaves
from pricing.engine.book import (
    Adjustment,
    AmountEffect,
    Audience,
    Bound,
    BuyGetEffect,
    FixedPriceEffect,
    Layer,
    Level,
    MarginLimit,
    PercentEffect,
    PriceList,
    PriceRow,
    QuantityRule,
    RoundingPolicy,
    Scope,
    Strategy,
    Tier,
    Titles,
)
from pricing.engine.derive import Derivation
from pricing.facts import category_code
from pricing.import_csv import FILES

Cells = dict[str, object]
_LEVELS: Final = list(Level)


class NotExportable(Refused):
    problem = "price-object-not-exportable"
    title = "The import files cannot say this"


class Table(NamedTuple):
    """A table as a file or sheet holds it. *name*: with `.csv`."""

    name: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[object, ...]]

    def lines(self) -> Iterator[str]:
        """As a CSV file."""
        return write_rows(self.columns, self.rows)


def export_prices(leaves: Leaves, rows: Iterable[PriceRow] | None = None) -> Iterator[tuple[str, Iterator[str]]]:
    """(file name, its lines) of every price file: see `export_tables`."""
    for table in export_tables(leaves, rows):
        yield table.name, table.lines()


def export_tables(leaves: Mapping[LeafName, Any], rows: Iterable[PriceRow] | None = None) -> Iterator[Table]:
    """Every price file, its rows by key. A list without titles gets its code as one. *leaves* are those of a draft:
    with derivations, and without the rows that follow from them. *rows*: in the place of those among the leaves, as
    they come.

    :raises NotExportable: while a table's rows are read, when a scope names nothing at all
    """
    made: dict[str, Any] = {
        "list": _price_list,
        "derivation": _derivation,
        "row": _price_row,
        "adjustment": _adjustment,
        "bound": _bound,
        "quantity_rule": _quantity_rule,
    }
    for file in FILES:
        found: Iterator[Cells]
        if file.name == "policy.csv":
            found = iter([_policy(leaves)] if ("policy", ()) in leaves else [])
        elif file.name == "layers.csv":
            found = _layers(leaves.get(("layers", ()), ()))
        elif file.name == "price_rows.csv" and rows is not None:
            found = map(_price_row, rows)
        else:
            found = _of_kind(leaves, file.kinds[0], made[file.kinds[0]])
        columns = tuple(column.name for column in file.columns)
        yield Table(file.name, columns, _in_order(columns, found))


def _in_order(columns: tuple[str, ...], rows: Iterator[Cells]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        yield tuple(row.get(column) for column in columns)


def _of_kind(leaves: Mapping[LeafName, Any], kind: str, make: Any) -> Iterator[Cells]:
    for name in sorted(leaves):
        if name[0] == kind:
            yield make(leaves[name])


def _policy(leaves: Mapping[LeafName, Any]) -> Cells:
    policy: RoundingPolicy = leaves["policy", ()]
    strategy: Strategy = leaves.get(("strategy", ()), Strategy.MOST_SPECIFIC)
    cells: Cells = {
        "strategy": strategy.value,
        "round_unit": policy.round_unit,
        "tax_level": policy.tax_level.value,
    }
    for what, rounding in (("unit", policy.unit), ("line", policy.line), ("tax", policy.tax)):
        cells |= {f"{what}_decimals": rounding.decimals, f"{what}_mode": rounding.mode.value}
    return cells


def _price_list(noun: PriceList) -> Cells:
    return {
        "code": noun.code,
        "currency": noun.currency,
        **_audience(noun.audience),
        "priority": noun.priority,
        **_window(noun),
        "tax_inclusive": noun.tax_included,
        "mergeable": noun.mergeable,
        **_titles(noun.titles or Titles(en=noun.code, es=noun.code)),
    }


def _derivation(noun: Derivation) -> Cells:
    rounding = noun.round_to
    return {
        "list": noun.list,
        "base": noun.base,
        "percent": _number(noun.percent),
        "round_to": None if rounding is None else _number(rounding.multiple),
        "round_mode": None if rounding is None else rounding.mode.value,
        "ending": _number(noun.ending),
        "min_margin": _number(noun.min_margin),
        "max_margin": _number(noun.max_margin),
    }


def _price_row(noun: PriceRow) -> Cells:
    cells: Cells = {
        "list": noun.list,
        "sku": noun.sku,
        "unit": noun.unit,
        "model": noun.model.value,
        **_window(noun),
        "tiers": ";".join(_tier(tier) for tier in noun.tiers),
    }
    if noun.package is not None:
        cells |= {
            "package_size": _number(noun.package.size),
            "package_rounding": "up" if noun.package.round_up else "down",
            "package_free": _number(noun.package.free),
            "package_covers": "all" if noun.package.whole_quantity else "slice",
        }
    return cells


def _tier(tier: Tier) -> str:
    bound = f">{tier.above}" if tier.above is not None else tier.from_
    fee = "" if tier.flat_fee == "0" else f"+{tier.flat_fee}"
    return f"{bound}:{tier.unit_price}{fee}"


def _layers(layers: tuple[Layer, ...]) -> Iterator[Cells]:
    positions = dict.fromkeys(_LEVELS, 0)
    for layer in layers:
        positions[layer.level] += 1
        yield {
            "code": layer.code,
            "level": layer.level.value,
            "position": positions[layer.level],
            "combine": layer.combine.value,
            "groups": ";".join(f"{group.code}:{group.pick.value}" for group in layer.groups),
        }


def _adjustment(noun: Adjustment) -> Cells:
    said = noun.conditions
    effect, value = _effect(noun)
    return {
        "code": noun.code,
        "layer": noun.layer,
        "group": noun.group,
        "priority": noun.priority,
        "exclusive": noun.exclusive,
        **_scope(noun.code, noun.scope),
        **_audience(noun.audience),
        "min_quantity": _number(said.min_quantity),
        "max_quantity": _number(said.max_quantity),
        "min_amount": _number(said.min_line_amount),
        "max_amount": _number(said.max_line_amount),
        "min_subtotal": _number(said.min_subtotal),
        "max_subtotal": _number(said.max_subtotal),
        "currencies": ";".join(said.currencies),
        "countries": ";".join(said.countries),
        **_window(noun),
        "effect": effect,
        "value": value,
        "surcharge": isinstance(noun.effect, PercentEffect | AmountEffect) and noun.effect.surcharge,
        **_titles(noun.titles),
    }


def _effect(noun: Adjustment) -> tuple[str, object]:
    effect = noun.effect
    if isinstance(effect, PercentEffect):
        return "percent", effect.percent
    if isinstance(effect, AmountEffect):
        return "amount", effect.amount
    if isinstance(effect, FixedPriceEffect):
        return "fixed_price", effect.price
    if isinstance(effect, BuyGetEffect):
        return "buy_get", f"{effect.buy}+{effect.get}"
    return "quantity_table", ";".join(f"{step.from_}:{step.percent}" for step in effect.steps)


def _bound(noun: Bound) -> Cells:
    limit = noun.limit
    margin = isinstance(limit, MarginLimit)
    return {
        "code": noun.code,
        "kind": noun.side.value,
        **_scope(noun.code, noun.scope),
        "basis": "margin" if margin else "price",
        "value": limit.percent
        if isinstance(limit, MarginLimit)
        else ";".join(f"{price.currency}:{price.price}" for price in limit.prices),
        "disclosed": noun.disclosed,
    }


def _quantity_rule(noun: QuantityRule) -> Cells:
    return {
        "code": noun.code,
        **_scope(noun.code, noun.scope),
        "unit": noun.unit,
        "minimum": _number(noun.minimum),
        "maximum": _number(noun.maximum),
        "multiple": _number(noun.multiple),
    }


def _audience(audience: Audience) -> Cells:
    return {
        "audience_company": audience.company,
        "audience_segments": ";".join(audience.segments),
        "audience_countries": ";".join(audience.countries),
    }


def _scope(code: str, scope: Scope) -> Cells:
    if not scope.everything and not (scope.skus or scope.categories or scope.brands):
        raise NotExportable(f"{code} has a scope that names nothing; in a file that would mean everything.")
    named: Mapping[str, tuple[str, ...]] = {
        "scope_skus": () if scope.everything else scope.skus,
        "scope_categories": () if scope.everything else tuple(category_code(path) for path in scope.categories),
        "scope_brands": () if scope.everything else scope.brands,
        "exclude_skus": scope.excluded_skus,
        "exclude_categories": tuple(category_code(path) for path in scope.excluded_categories),
        "exclude_brands": scope.excluded_brands,
    }
    return {column: ";".join(codes) for column, codes in named.items()}


def _window(noun: PriceList | PriceRow | Adjustment) -> Cells:
    return {"valid_from": _instant(noun.starts_at), "valid_until": _instant(noun.ends_at)}


def _titles(titles: Titles) -> Cells:
    return {"title_en": titles.en, "title_es": titles.es}


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def _number(text: str | None) -> Decimal | None:
    """As a number, so that no spreadsheet guard stands before it."""
    return None if text is None else Decimal(text)
