"""The import files of `docs/import-files.md`, written from the assortment and the rules."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Final

from sandbox.demo import rules
from sandbox.demo.assortment import Article, Prices, articles, load

REFERENCE: Final = date(2026, 11, 21)
SEED: Final = 2026

_SCOPE: Final = (
    "scope_skus",
    "scope_categories",
    "scope_brands",
    "exclude_skus",
    "exclude_categories",
    "exclude_brands",
)
_AUDIENCE: Final = ("audience_company", "audience_segments", "audience_countries")
_PERIOD: Final = ("valid_from", "valid_until")
_TITLES: Final = ("title_en", "title_es")

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "categories.csv": ("code", "parent", "name_en", "name_es"),
    "brands.csv": ("code", "name"),
    "products.csv": ("code", "category", "brand", "name_en", "name_es", "description_en", "description_es"),
    "skus.csv": (
        "sku",
        "product",
        "name_en",
        "name_es",
        "attributes",
        "base_unit",
        "tax_category",
        "weight_grams",
        "break_group",
        "fractional",
        "active",
    ),
    "units.csv": ("sku", "unit", "factor"),
    "costs.csv": ("sku", "cost", "currency"),
    "stock.csv": ("sku", "on_hand"),
    "policy.csv": tuple(rules.POLICY),
    "price_lists.csv": (
        "code",
        "currency",
        *_AUDIENCE,
        "priority",
        *_PERIOD,
        "tax_inclusive",
        "mergeable",
        *_TITLES,
    ),
    "price_rows.csv": ("list", "sku", "unit", "model", *_PERIOD, "tiers"),
    "layers.csv": ("code", "level", "position", "combine", "groups"),
    "adjustments.csv": (
        "code",
        "layer",
        "group",
        "priority",
        "exclusive",
        *_SCOPE,
        *_AUDIENCE,
        "min_quantity",
        "max_quantity",
        "min_amount",
        "max_amount",
        "min_subtotal",
        "max_subtotal",
        "currencies",
        "countries",
        *_PERIOD,
        "effect",
        "value",
        "surcharge",
        *_TITLES,
    ),
    "bounds.csv": ("code", "kind", *_SCOPE, "basis", "value", "disclosed"),
    "quantity_rules.csv": ("code", *_SCOPE, "unit", "minimum", "maximum", "multiple"),
    "companies.csv": ("code", "name", "country", "segments", "tax_id", "currency"),
}


def write_demo(folder: Path, *, skus: int = 1200, on: date = REFERENCE, seed: int = SEED) -> dict[str, int]:
    """Write all files of the demo into *folder* and say how many rows each has.

    Rules lie around *on*. Articles do not depend on how many there are, so a bigger demo contains the smaller one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {
        name: _write(folder / name, COLUMNS[name], rows)
        for name, rows in {
            "policy.csv": (rules.POLICY,),
            "price_lists.csv": rules.price_lists(on),
            "layers.csv": rules.LAYERS,
            "adjustments.csv": rules.adjustments(on),
            "bounds.csv": rules.BOUNDS,
            "quantity_rules.csv": rules.QUANTITY_RULES,
            "companies.csv": rules.COMPANIES,
        }.items()
    }
    return counts | _write_articles(folder, skus=skus, on=on, seed=seed)


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[rules.Row]) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        count = 0
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _write_articles(folder: Path, *, skus: int, on: date, seed: int) -> dict[str, int]:
    assortment = load()
    names = (
        "categories.csv",
        "brands.csv",
        "products.csv",
        "skus.csv",
        "units.csv",
        "costs.csv",
        "stock.csv",
        "price_rows.csv",
    )
    with ExitStack() as stack:
        sheets = {name: _Sheet(stack, folder, name) for name in names}
        for code, (english, spanish) in assortment.categories.items():
            sheets["categories.csv"].add(code, code.rpartition(".")[0], english, spanish)
        for code, name in assortment.brands.items():
            sheets["brands.csv"].add(code, name)
        next_year = date(on.year + 1, 1, 1).isoformat()
        product = ""
        for article in articles(assortment, skus=skus, seed=seed):
            if article.product != product:
                product = article.product
                sheets["products.csv"].add(
                    product, article.category, article.brand, *article.product_names, *article.descriptions
                )
            _write_article(sheets, article, next_year)
    return {name: sheet.count for name, sheet in sheets.items()}


class _Sheet:
    def __init__(self, stack: ExitStack, folder: Path, name: str) -> None:
        file = stack.enter_context((folder / name).open("w", encoding="utf-8", newline=""))
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS[name])
        self.count = 0

    def add(self, *values: str) -> None:
        self._writer.writerow(values)
        self.count += 1


def _write_article(sheets: dict[str, _Sheet], article: Article, next_year: str) -> None:
    sku = article.sku
    sheets["skus.csv"].add(
        sku,
        article.product,
        *article.names,
        article.attributes,
        article.base,
        "standard",
        article.weight,
        article.break_group,
        "yes" if article.fractional else "no",
        "yes",
    )
    for unit, factor in article.units:
        sheets["units.csv"].add(sku, unit, factor)
    for currency, cost in zip(rules.CURRENCIES, (article.cost_eur, article.cost_usd), strict=True):
        sheets["costs.csv"].add(sku, cost, currency)
    sheets["stock.csv"].add(sku, article.stock)
    for currency, prices in zip(rules.CURRENCIES, (article.eur, article.usd), strict=True):
        for row in _rows(article, prices, currency, next_year):
            sheets["price_rows.csv"].add(*row)


def _rows(article: Article, prices: Prices, currency: str, next_year: str) -> Iterator[tuple[str, ...]]:
    """list, sku, unit, model, valid_from, valid_until, tiers."""
    public, base = f"PUBLIC-{currency}", article.base
    if prices.raised:
        yield public, article.sku, base, _model(prices.public), "", next_year, prices.public
        yield public, article.sku, base, _model(prices.raised), next_year, "", prices.raised
    else:
        yield public, article.sku, base, _model(prices.public), "", "", prices.public
    if prices.pack:
        yield public, article.sku, article.units[0][0], "flat", "", "", prices.pack
    if prices.segment:
        yield f"MANUFACTURING-{currency}", article.sku, base, _model(prices.segment), "", "", prices.segment
    if prices.contract:
        yield rules.CONTRACT, article.sku, base, _model(prices.contract), "", "", prices.contract


def _model(tiers: str) -> str:
    return "volume" if ";" in tiers else "flat"
