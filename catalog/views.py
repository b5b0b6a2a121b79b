"""What readers of the catalogue get: plain values, apart from the mapped rows. None of them holds a cost."""

import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

LOW_STOCK: Final = Decimal(10)


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """A name in the shop's languages; without a Spanish one the English is shown."""

    en: str
    es: str | None = None

    def in_(self, locale: str) -> str:
        """Return the name for a locale such as `es` or `es_ES`."""
        return self.es or self.en if locale[:2] == "es" else self.en


class StockStatus(StrEnum):
    IN_STOCK = "in_stock"
    LOW = "low"
    OUT = "out"


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One *unit* holds *factor* base units."""

    unit: str
    factor: Decimal


class BrandRef(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    name: str


class CategoryRef(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    names: Names


class CategoryNode(msgspec.Struct, frozen=True, kw_only=True):
    """*product_count*: products with something on sale in the whole subtree. Children are sorted by name."""

    code: str
    names: Names
    product_count: int
    children: tuple["CategoryNode", ...]


class SkuView(msgspec.Struct, frozen=True, kw_only=True):
    """*units*: base unit first, factor 1, then by factor. *available*: base units free to promise."""

    id: uuid.UUID
    code: str
    product_code: str
    names: Names
    attributes: dict[str, str]
    base_unit: str
    units: tuple[Unit, ...]
    tax_category: str
    weight_grams: Decimal | None
    break_group: str | None
    fractional: bool
    active: bool
    available: Decimal

    def factor(self, unit: str) -> Decimal | None:
        """Base units in one *unit*, or None when the SKU is not sold in it."""
        return next((known.factor for known in self.units if known.unit == unit), None)

    @property
    def stock(self) -> StockStatus:
        if self.available <= 0:
            return StockStatus.OUT
        return StockStatus.LOW if self.available < LOW_STOCK else StockStatus.IN_STOCK


class ProductView(msgspec.Struct, frozen=True, kw_only=True):
    """*breadcrumb*: from the top category to the product's own. *skus*: those on sale, in natural order of code."""

    id: uuid.UUID
    code: str
    names: Names
    descriptions: Names
    brand: BrandRef | None
    breadcrumb: tuple[CategoryRef, ...]
    skus: tuple[SkuView, ...]


class ProductCard(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list. *matched*: codes of the SKUs that match the text searched for, best first."""

    code: str
    names: Names
    brand: BrandRef | None
    category: CategoryRef
    skus: tuple[SkuView, ...]
    matched: tuple[str, ...]

    @property
    def stock(self) -> StockStatus:
        states = {sku.stock for sku in self.skus}
        return next((state for state in StockStatus if state in states), StockStatus.OUT)


class FacetValue(msgspec.Struct, frozen=True, kw_only=True):
    """*count*: products one would see with this value chosen in this facet and all other facets as they are."""

    value: str
    label: str
    count: int
    chosen: bool


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """*key*: `brand`, or `attribute:KEY`."""

    key: str
    values: tuple[FacetValue, ...]


class Sort(StrEnum):
    BEST = "best"
    NAME = "name"
    SKU = "sku"


class Browse(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of products is asked for; everything narrows. *attributes*: any of the values of each key.

    *text* searches names, codes and attributes in both languages; without it `Sort.BEST` is by name.
    """

    text: str = ""
    category: str | None = None
    brands: tuple[str, ...] = ()
    attributes: dict[str, tuple[str, ...]] = {}
    in_stock: bool = False
    sort: Sort = Sort.BEST
    locale: str = "en"
    page: int = 1
    page_size: int = 24


class CatalogPage(msgspec.Struct, frozen=True, kw_only=True):
    """*page* is the one shown: a number beyond the last page shows the last.

    *widened*: nothing matched all words, so these match the beginnings of some. *children*: the categories below.
    """

    browse: Browse
    category: CategoryRef | None
    breadcrumb: tuple[CategoryRef, ...]
    children: tuple[CategoryNode, ...]
    products: tuple[ProductCard, ...]
    total: int
    page: int
    pages: int
    facets: tuple[Facet, ...]
    widened: bool


class BookFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What price rules may ask of a SKU, ordered by code. *units* as in `SkuView`; *categories*: codes from the top
    category down to the product's own. Withdrawn SKUs are not *active*.
    """

    sku: str
    categories: tuple[str, ...]
    brand: str | None
    base_unit: str
    units: tuple[Unit, ...]
    break_group: str | None
    tax_category: str
    fractional: bool
    active: bool


class BookCost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one base unit. It never leaves the house."""

    sku: str
    currency: str
    cost: Decimal


class KnownCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Codes that other imports may refer to; within an import, those of the files being imported too.

    *units*: for each SKU, the units it is sold in. *categories*: the path of each from the top.
    """

    units: dict[str, frozenset[str]]
    categories: dict[str, tuple[str, ...]]
    brands: frozenset[str]
