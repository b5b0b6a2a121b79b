"""Use cases of the catalogue: browse, search, import, facts for the price book, and the stock an order promises."""

import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from decimal import Decimal
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from catalog import import_csv, search, store
from catalog.stock import InsufficientStock, Shortage, UnknownStock, release, reserve, sell, take_back
from catalog.views import (
    BookCost,
    BookFacts,
    Browse,
    CatalogPage,
    CategoryNode,
    KnownCodes,
    ProductView,
    SkuView,
)
from kernel.clock import Clock
from kernel.csv_rows import ImportReport
from kernel.db import Database, for_staff, for_visitor
from kernel.errors import NotFound

__all__ = ["Catalog", "CategoryUnknown", "InsufficientStock", "ProductUnknown", "Shortage", "UnknownStock"]


class ProductUnknown(NotFound):
    problem = "product-unknown"
    title = "There is no such product"


class CategoryUnknown(NotFound):
    problem = "category-unknown"
    title = "There is no such category"


class Catalog:
    """What is sold. Readers see what is on sale and never a cost."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.db = db
        self.clock = clock

    async def list_categories(self, locale: str = "en") -> tuple[CategoryNode, ...]:
        """Return the category tree, each level sorted by name in *locale*, with products counted by subtree."""
        async with self.db.begin(for_visitor()) as session:
            return search.category_tree(await store.list_categories(session), locale)

    async def browse(self, browse: Browse) -> CatalogPage:
        """Return one page of products with facets: a category's, a search's, or all.

        :raises CategoryUnknown: when the category does not exist
        :raises QueryTooLong: when the text is longer than a search takes
        """
        async with self.db.begin(for_visitor()) as session:
            page = await search.browse(session, browse)
        if page is None:
            raise CategoryUnknown(f"There is no category {browse.category}.")
        return page

    async def search(self, text: str, locale: str = "en", limit: int = 24) -> CatalogPage:
        """Return the *limit* best products for *text*; an empty text lists all."""
        return await self.browse(Browse(text=text, locale=locale, page_size=limit))

    async def find_product(self, code: str) -> ProductView:
        """:raises ProductUnknown: when there is no such product, or nothing of it is on sale."""
        async with self.db.begin(for_visitor()) as session:
            product = await store.find_product(session, code)
        if product is None or not product.skus:
            raise ProductUnknown(f"There is no product {code}.")
        return product

    async def find_skus(self, codes: Collection[str]) -> dict[str, SkuView]:
        """Return the SKUs of these codes, withdrawn ones included (not `active`); unknown codes are left out."""
        async with self.db.begin(for_visitor()) as session:
            return await store.find_skus(session, codes)

    async def find_skus_in(self, session: AsyncSession, codes: Collection[str]) -> dict[str, SkuView]:
        """Do as `find_skus` within the caller's transaction."""
        return await store.find_skus(session, codes)

    async def category_paths(self) -> dict[str, tuple[str, ...]]:
        """Of every category by its code, the codes from the top category down to it."""
        async with self.db.begin(for_visitor()) as session:
            return {category.code: category.path for category in await store.list_categories(session)}

    async def categories_of(self, session: AsyncSession, codes: Collection[str]) -> frozenset[str]:
        """Codes of the categories that hold these SKUs, from the top category down."""
        return await store.list_categories_of(session, codes)

    async def import_folder(self, folder: Path) -> ImportReport:
        """Import the catalogue files of *folder*; with one error in them, nothing is imported.

        :raises ImportRunning: when another import takes longer than a lock is waited for
        """
        report = ImportReport()
        async with self.db.begin(for_staff()) as session:
            await self.import_into(session, folder, report)
            if report.errors:
                await session.rollback()
        return report

    async def import_into(self, session: AsyncSession, folder: Path, report: ImportReport) -> None:
        """Do as `import_folder` within the caller's transaction, who rolls back when *report* has errors."""
        await import_csv.import_files(session, folder, report)

    async def stage_known_units(self, session: AsyncSession) -> None:
        """Make the temporary table `known_unit` (sku, unit) of what `known_codes` knows, for checks of many rows."""
        await import_csv.stage_known_units(session)

    async def known_codes(self, session: AsyncSession, *, skus: Collection[str] | None = None) -> KnownCodes:
        """Return what an import that follows in the same transaction may refer to; *skus*: of SKUs these alone, after
        `stage_known_units`.

        Rows that were refused for another reason count as known, so that one mistake is reported once.
        """
        return await import_csv.known_codes(session, skus)

    def sku_facts_for_book(self, session: AsyncSession) -> AsyncIterator[BookFacts]:
        """Stream what price rules may ask of every SKU, by code."""
        return store.stream_book_facts(session)

    def sku_costs_for_book(self, session: AsyncSession) -> AsyncIterator[BookCost]:
        """Stream the costs of every SKU, by code and currency. Staff only."""
        return store.stream_book_costs(session)

    async def reserve(self, session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
        """Promise base units of SKUs (by id) to an order: all of them or none.

        :raises InsufficientStock: naming every SKU that has too little, with what is left
        """
        await reserve(session, quantities)

    async def sell(self, session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
        """Turn what was reserved into sold."""
        await sell(session, quantities)

    async def release(self, session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
        """Give what was reserved back."""
        await release(session, quantities)

    async def take_back(self, session: AsyncSession, quantities: Mapping[uuid.UUID, Decimal]) -> None:
        """Put what was sold back on hand."""
        await take_back(session, quantities)
