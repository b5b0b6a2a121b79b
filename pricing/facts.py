"""The catalogue's facts as a book holds them: copied at publication, so that a price never depends on the catalogue of
another day.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.service import Catalog
from catalog.views import BookCost, BookFacts
from pricing.content import Leaves
from pricing.engine.book import Cost, SkuFacts, UnitFact

FRACTION_DECIMALS: Final = 6
"""Quantities of what is sold in parts have up to this many decimals."""


class CatalogFacts(msgspec.Struct, frozen=True, kw_only=True):
    """*leaves*: facts and costs of every SKU, withdrawn ones too, as past orders are priced again. *sold*: SKUs on
    sale.
    """

    leaves: Leaves
    sold: frozenset[str]


async def read(catalog: Catalog, session: AsyncSession) -> CatalogFacts:
    """Everything the catalogue says now."""
    leaves: Leaves = {}
    sold = set()
    async for known in catalog.sku_facts_for_book(session):
        leaves["sku", (known.sku,)] = sku_facts(known)
        if known.active:
            sold.add(known.sku)
    async for cost in catalog.sku_costs_for_book(session):
        leaves["cost", (cost.sku, cost.currency)] = sku_cost(cost)
    return CatalogFacts(leaves=leaves, sold=frozenset(sold))


def sku_facts(known: BookFacts) -> SkuFacts:
    return SkuFacts(
        sku=known.sku,
        units=tuple(
            UnitFact(
                unit=unit.unit,
                factor=decimal_text(unit.factor),
                decimals=FRACTION_DECIMALS if known.fractional and unit.unit == known.base_unit else 0,
            )
            for unit in known.units
        ),
        categories=tuple(category_path(code) for code in known.categories),
        brand=known.brand,
        break_group=known.break_group,
        tax_category=known.tax_category,
    )


def sku_cost(known: BookCost) -> Cost:
    return Cost(sku=known.sku, currency=known.currency, cost=decimal_text(known.cost))


def category_path(code: str) -> str:
    """A category as the engine's scopes name it. A book says each SKU's categories one by one, from the top to its own,
    so a code is a whole path; its slashes would make others its parents.
    """
    return code.replace("/", "%2F")


def category_code(path: str) -> str:
    """The code that `category_path` made *path* of."""
    return path.replace("%2F", "/")


def decimal_text(number: Decimal) -> str:
    """The normal form: no exponent, no trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


async def of_skus(catalog: Catalog, session: AsyncSession, skus: Collection[str]) -> dict[str, SkuFacts]:
    """Today's facts of some SKUs; unknown ones are left out."""
    wanted = frozenset(skus)
    if not wanted:
        return {}
    return {known.sku: sku_facts(known) async for known in catalog.sku_facts_for_book(session) if known.sku in wanted}


async def costs_of_skus(catalog: Catalog, session: AsyncSession, skus: Collection[str]) -> dict[str, list[Cost]]:
    """Today's costs of each of *skus*."""
    costs: dict[str, list[Cost]] = {sku: [] for sku in skus}
    async for known in catalog.sku_costs_for_book(session):
        if known.sku in costs:
            costs[known.sku].append(sku_cost(known))
    return costs
