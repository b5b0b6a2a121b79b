"""Every question asked of the catalogue's tables, but for searches (search.py) and imports (import_csv.py)."""

import re
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from catalog.model import Brand, Category, Product, Sku, SkuCost, SkuUnit, Stock
from catalog.views import BookCost, BookFacts, BrandRef, CategoryRef, Names, ProductView, SkuView, Unit
from catalog.words import plain

BATCH: Final = 2_000
ONE: Final = Decimal(1)

_TEXTS: Final = postgresql.ARRAY(sa.Text)
_UUIDS: Final = postgresql.ARRAY(sa.Uuid)
_QUANTITIES: Final = postgresql.ARRAY(sa.Numeric(24, 6))


class CategoryCount(msgspec.Struct, frozen=True):
    """A category and the products on sale directly in it."""

    code: str
    path: tuple[str, ...]
    names: Names
    product_count: int


class LockedStock(msgspec.Struct, frozen=True):
    sku_id: uuid.UUID
    code: str
    on_hand: Decimal
    reserved: Decimal
    sold: Decimal


def names(stored: Mapping[str, Any]) -> Names:
    """Return the names as the jsonb column holds them."""
    return Names(en=stored.get("en", ""), es=stored.get("es"))


def brand_ref(brand: Brand | None) -> BrandRef | None:
    """Return the brand as readers see it."""
    return None if brand is None else BrandRef(code=brand.code, name=brand.name)


# --- reading ---


async def list_categories(session: AsyncSession) -> tuple[CategoryCount, ...]:
    """Return all categories, parents before children."""
    rows = await session.execute(
        sa.select(Category.code, Category.path, Category.names, Category.on_sale).order_by(Category.path)
    )
    return tuple(CategoryCount(code, tuple(path), names(stored), count) for code, path, stored, count in rows)


async def find_product(session: AsyncSession, code: str) -> ProductView | None:
    """Return a product with its SKUs on sale, of which there may be none."""
    upper = aliased(Category)
    breadcrumb = (
        sa.select(sa.func.jsonb_build_array(upper.code, upper.names))
        .where(upper.code == sa.any_(Category.path))
        .order_by(sa.func.cardinality(upper.path))
        .scalar_subquery()
    )
    row = (
        await session.execute(
            sa.select(Product, Brand, sa.func.array(breadcrumb))
            .join(Category, Category.id == Product.category_id)
            .outerjoin(Brand, Brand.id == Product.brand_id)
            .where(Product.code == plain(code))
        )
    ).one_or_none()
    if row is None:
        return None
    product, brand, path = row
    skus = await list_skus_of_products(session, [product.id])
    return ProductView(
        id=product.id,
        code=product.code,
        names=names(product.names),
        descriptions=names(product.descriptions),
        brand=brand_ref(brand),
        breadcrumb=tuple(CategoryRef(code=code, names=names(stored)) for code, stored in path),
        skus=skus.get(product.id, ()),
    )


async def find_skus(session: AsyncSession, codes: Collection[str]) -> dict[str, SkuView]:
    """Return the SKUs of these codes, withdrawn ones too; unknown codes are left out."""
    known = [code for code in codes if plain(code) == code]
    return {sku.code: sku for _, sku in await _skus(session, Sku.code == sa.any_(sa.literal(known, _TEXTS)))}


async def list_categories_of(session: AsyncSession, codes: Collection[str]) -> frozenset[str]:
    """Codes of the categories that hold these SKUs, from the top category down."""
    paths = await session.scalars(
        sa.select(Category.path)
        .join(Product, Product.category_id == Category.id)
        .join(Sku, Sku.product_id == Product.id)
        .where(Sku.code == sa.any_(sa.literal([code for code in codes if plain(code) == code], _TEXTS)))
        .distinct()
    )
    return frozenset(code for path in paths for code in path)


async def list_skus_of_products(
    session: AsyncSession, product_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, tuple[SkuView, ...]]:
    """Return the SKUs on sale of each product, in the natural order of their codes."""
    found = defaultdict(list)
    for product_id, sku in await _skus(
        session, sa.and_(Sku.active, Sku.product_id == sa.any_(sa.literal(list(product_ids), _UUIDS)))
    ):
        found[product_id].append(sku)
    return {product_id: tuple(sorted(skus, key=lambda sku: natural(sku.code))) for product_id, skus in found.items()}


async def _skus(session: AsyncSession, condition: sa.ColumnElement[bool]) -> list[tuple[uuid.UUID, SkuView]]:
    further = sa.select(SkuUnit).where(SkuUnit.sku_id == Sku.id).order_by(SkuUnit.factor, SkuUnit.unit).correlate(Sku)
    rows = (
        await session.execute(
            sa.select(
                Sku.id,
                Sku.code,
                Sku.product_id,
                Product.code.label("product_code"),
                Sku.names,
                Sku.attributes,
                Sku.base_unit,
                Sku.tax_category,
                sa.func.trim_scale(Sku.weight_grams).label("weight_grams"),
                Sku.break_group,
                Sku.fractional,
                Sku.active,
                sa.func.trim_scale(sa.func.coalesce(Stock.on_hand, 0)).label("available"),
                sa.func.array(further.with_only_columns(SkuUnit.unit).scalar_subquery()).label("units"),
                sa.func.array(further.with_only_columns(sa.func.trim_scale(SkuUnit.factor)).scalar_subquery()).label(
                    "factors"
                ),
            )
            .join(Product, Product.id == Sku.product_id)
            .outerjoin(Stock, Stock.sku_id == Sku.id)
            .where(condition)
        )
    ).all()
    return [
        (
            row.product_id,
            SkuView(
                id=row.id,
                code=row.code,
                product_code=row.product_code,
                names=names(row.names),
                attributes=row.attributes,
                base_unit=row.base_unit,
                units=_units(row.base_unit, row.units, row.factors),
                tax_category=row.tax_category,
                weight_grams=row.weight_grams,
                break_group=row.break_group,
                fractional=row.fractional,
                active=row.active,
                available=row.available,
            ),
        )
        for row in rows
    ]


def _units(base_unit: str, units: Sequence[str] | None, factors: Sequence[Decimal] | None) -> tuple[Unit, ...]:
    further = zip(units or (), factors or (), strict=True)
    return (Unit(unit=base_unit, factor=ONE), *(Unit(unit=unit, factor=factor) for unit, factor in further))


def natural(code: str) -> tuple[tuple[int, int, str], ...]:
    """Return what orders M8X40 before M8X100."""
    parts = re.findall(r"[0-9]+|[^0-9]+", code)
    return tuple((0, int(part), part) if part[0] in "0123456789" else (1, 0, part) for part in parts)


# --- for the price book ---


async def stream_book_facts(session: AsyncSession) -> AsyncIterator[BookFacts]:
    """Yield every SKU's facts by code, holding a few thousand at a time."""
    in_order = (SkuUnit.factor, SkuUnit.unit)
    further = (
        sa.select(
            SkuUnit.sku_id,
            sa.func.array_agg(postgresql.aggregate_order_by(SkuUnit.unit, *in_order)).label("units"),
            sa.func.array_agg(postgresql.aggregate_order_by(sa.func.trim_scale(SkuUnit.factor), *in_order)).label(
                "factors"
            ),
        )
        .group_by(SkuUnit.sku_id)
        .subquery()
    )
    rows = await session.stream(
        sa.select(
            Sku.code,
            Category.path,
            Brand.code,
            Sku.base_unit,
            further.c.units,
            further.c.factors,
            Sku.break_group,
            Sku.tax_category,
            Sku.fractional,
            Sku.active,
        )
        .join(Product, Product.id == Sku.product_id)
        .join(Category, Category.id == Product.category_id)
        .outerjoin(Brand, Brand.id == Product.brand_id)
        .outerjoin(further, further.c.sku_id == Sku.id)
        .order_by(sa.collate(Sku.code, "C")),
        execution_options={"yield_per": BATCH},
    )
    try:
        async for code, path, brand, base_unit, units, factors, break_group, tax_category, fractional, active in rows:
            yield BookFacts(
                sku=code,
                categories=tuple(path),
                brand=brand,
                base_unit=base_unit,
                units=_units(base_unit, units, factors),
                break_group=break_group,
                tax_category=tax_category,
                fractional=fractional,
                active=active,
            )
    finally:
        await rows.close()  # also when the reader is cancelled, which leaves a cursor open


async def stream_book_costs(session: AsyncSession) -> AsyncIterator[BookCost]:
    """Yield every cost by SKU and currency. Staff only."""
    rows = await session.stream(
        sa.select(Sku.code, SkuCost.currency, sa.func.trim_scale(SkuCost.cost))
        .join(Sku, Sku.id == SkuCost.sku_id)
        .order_by(sa.collate(Sku.code, "C"), SkuCost.currency),
        execution_options={"yield_per": BATCH},
    )
    try:
        async for code, currency, cost in rows:
            yield BookCost(sku=code, currency=currency, cost=cost)
    finally:
        await rows.close()  # also when the reader is cancelled, which leaves a cursor open


# --- stock ---


async def lock_stock(session: AsyncSession, sku_ids: Collection[uuid.UUID]) -> list[LockedStock]:
    """Lock the stock of these SKUs in the order of their ids and return it."""
    rows = await session.execute(
        sa.select(Stock.sku_id, Sku.code, *map(sa.func.trim_scale, (Stock.on_hand, Stock.reserved, Stock.sold)))
        .join(Sku, Sku.id == Stock.sku_id)
        .where(Stock.sku_id == sa.any_(sa.literal(list(sku_ids), _UUIDS)))
        .order_by(Stock.sku_id)
        .with_for_update(of=Stock)
    )
    return [LockedStock(*row) for row in rows]


async def move_stock(
    session: AsyncSession,
    quantities: Mapping[uuid.UUID, Decimal],
    *,
    on_hand: int = 0,
    reserved: int = 0,
    sold: int = 0,
) -> None:
    """Add each SKU's quantity, times 1, 0 or -1, to the three counts of its locked row."""
    moved = (
        sa.func.unnest(sa.literal(list(quantities), _UUIDS), sa.literal(list(quantities.values()), _QUANTITIES))
        .table_valued(sa.column("sku_id", sa.Uuid), sa.column("quantity", sa.Numeric))
        .render_derived()
    )
    await session.execute(
        sa.update(Stock)
        .where(Stock.sku_id == moved.c.sku_id)
        .values(
            on_hand=Stock.on_hand + on_hand * moved.c.quantity,
            reserved=Stock.reserved + reserved * moved.c.quantity,
            sold=Stock.sold + sold * moved.c.quantity,
        )
        .execution_options(synchronize_session=False)
    )
