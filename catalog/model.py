"""The catalogue's nouns. Every quantity counts base units of its SKU; names are kept in English and Spanish."""

import uuid
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db import Base
from kernel.ids import new_id

FACTOR: Final = sa.Numeric(24, 12)
QUANTITY: Final = sa.Numeric(24, 6)
COST: Final = sa.Numeric(30, 12)
WEIGHT: Final = sa.Numeric(18, 6)


class Category(Base, kw_only=True):
    """A node of the category tree. *path* holds the codes from the top category down to this one, itself included;
    *on_sale* counts the products directly in it that have a SKU on sale, kept by the import.
    """

    __tablename__ = "category"
    __table_args__ = (
        sa.Index("ix_category_path", "path", postgresql_using="gin"),
        sa.CheckConstraint("path[cardinality(path)] = code", name="path_ends_in_code"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default_factory=new_id)
    code: Mapped[str] = mapped_column(unique=True)
    parent_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("category.id"), index=True, default=None)
    path: Mapped[list[str]]
    names: Mapped[dict[str, Any]]
    on_sale: Mapped[int] = mapped_column(default=0)


class Brand(Base, kw_only=True):
    __tablename__ = "brand"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default_factory=new_id)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]


class Product(Base, kw_only=True):
    """What a page is about. *sort_en*, *sort_es*: its names in the form `words.sort_key` gives them."""

    __tablename__ = "product"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default_factory=new_id)
    code: Mapped[str] = mapped_column(unique=True)
    category_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("category.id"), index=True)
    brand_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("brand.id"), index=True, default=None)
    names: Mapped[dict[str, Any]]
    descriptions: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    sort_en: Mapped[str]
    sort_es: Mapped[str]


class Sku(Base, kw_only=True):
    """What is bought. A withdrawn one stays, not *active*, because orders and past price books speak of it.

    *search* is filled by the import from the names of the SKU, its product, brand and categories.
    """

    __tablename__ = "sku"
    __table_args__ = (
        sa.Index("ix_sku_search", "search", postgresql_using="gin"),
        sa.Index("ix_sku_attributes", "attributes", postgresql_using="gin"),
        sa.Index("ix_sku_code_key", "code_key", postgresql_ops={"code_key": "text_pattern_ops"}),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default_factory=new_id)
    code: Mapped[str] = mapped_column(unique=True)
    code_key: Mapped[str]
    product_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("product.id"), index=True)
    names: Mapped[dict[str, Any]]
    attributes: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    base_unit: Mapped[str]
    tax_category: Mapped[str] = mapped_column(default="standard")
    weight_grams: Mapped[Decimal | None] = mapped_column(WEIGHT, default=None)
    break_group: Mapped[str | None] = mapped_column(default=None)
    fractional: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    search: Mapped[str | None] = mapped_column(postgresql.TSVECTOR, deferred=True, init=False, default=None)


class SkuUnit(Base, kw_only=True):
    """A unit a SKU is sold in besides its base unit: one holds *factor* base units."""

    __tablename__ = "sku_unit"
    __table_args__ = (sa.CheckConstraint("factor > 0", name="factor_positive"),)

    sku_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("sku.id"), primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    factor: Mapped[Decimal] = mapped_column(FACTOR)


class SkuCost(Base, kw_only=True):
    """What one base unit costs the house. Staff only: nothing a buyer asks for ever reads this table."""

    __tablename__ = "sku_cost"
    __table_args__ = (sa.CheckConstraint("cost >= 0", name="cost_not_negative"),)

    sku_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("sku.id"), primary_key=True)
    currency: Mapped[str] = mapped_column(sa.CHAR(3), primary_key=True)
    cost: Mapped[Decimal] = mapped_column(COST)


class Stock(Base, kw_only=True):
    """Base units of a SKU: free to promise, promised to orders, and sold. The sum changes by import only."""

    __tablename__ = "stock"
    __table_args__ = (
        sa.CheckConstraint("on_hand >= 0", name="on_hand_not_negative"),
        sa.CheckConstraint("reserved >= 0", name="reserved_not_negative"),
        sa.CheckConstraint("sold >= 0", name="sold_not_negative"),
    )

    sku_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("sku.id"), primary_key=True)
    on_hand: Mapped[Decimal] = mapped_column(QUANTITY)
    reserved: Mapped[Decimal] = mapped_column(QUANTITY, default=Decimal(0))
    sold: Mapped[Decimal] = mapped_column(QUANTITY, default=Decimal(0))
