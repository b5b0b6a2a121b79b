"""Finding products: by words in either language, codes, categories and facets, ranked, sorted and paged.

A SKU is found when all words match it. A word matches by its beginning, as it stands or by its stem in English or
Spanish. What matches no SKU is tried again by the beginnings of its words (`widened`). A code matches with and
without its punctuation and by its beginning.
"""

import math
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from catalog import store
from catalog.model import Brand, Category, Product, Sku, Stock
from catalog.views import (
    Browse,
    CatalogPage,
    CategoryNode,
    CategoryRef,
    Facet,
    FacetValue,
    ProductCard,
    SkuView,
    Sort,
)
from catalog.words import STOP_WORDS, code_key, fold, plain, sort_key, words
from kernel.errors import Refused

MAX_CHARACTERS: Final = 200
MAX_WORDS: Final = 16
MAX_PAGE_SIZE: Final = 200
MAX_FACETS: Final = 8
MAX_FACET_VALUES: Final = 30
MAX_FACETED_PRODUCTS: Final = 2_500  # beyond, attributes tell little yet and counting them takes long
CODE_MATCH: Final = 10.0  # more than any rank of words
CODE_BEGINNING: Final = 1.0

Condition = sa.ColumnElement[bool]


class QueryTooLong(Refused):
    problem = "query-too-long"
    title = "The text to search for is too long"


class _Filters(msgspec.Struct, frozen=True):
    """What narrows a list. A facet's own choice stands under its key, so that the facet can be counted without it."""

    of_product: dict[str, Condition]
    of_sku: dict[str, Condition]

    def products(self, *, but: str = "") -> tuple[Condition, ...]:
        """Conditions on a product, one of whose SKUs on sale meets all conditions on SKUs."""
        skus = sa.exists().where(Sku.product_id == Product.id, *_others(self.of_sku, but))
        return (skus, *_others(self.of_product, but))

    def skus(self, *, but: str = "") -> tuple[Condition, ...]:
        """Conditions on a SKU joined with its product."""
        return (*_others(self.of_sku, but), *_others(self.of_product, but))


def _others(conditions: dict[str, Condition], but: str) -> tuple[Condition, ...]:
    return tuple(condition for key, condition in conditions.items() if key != but)


class _Text(msgspec.Struct, frozen=True):
    """A reading of the text searched for; None for both when there is no text."""

    condition: Condition | None
    rank: sa.ColumnElement[Any] | None


NO_TEXT: Final = _Text(None, None)


async def browse(session: AsyncSession, asked: Browse) -> CatalogPage | None:
    """Return the page asked for, or None when its category does not exist.

    :raises QueryTooLong: when the text has more than 200 characters or 16 words
    """
    categories = await store.list_categories(session)
    category = next((each for each in categories if each.code == asked.category), None)
    if asked.category and category is None:
        return None
    strict, *looser = await _readings(session, asked.text)
    found = strict
    filters = _filters(asked, found)
    total = await _count(session, filters)
    while looser and not total:
        found = looser.pop(0)
        filters = _filters(asked, found)
        total = await _count(session, filters)
    page_size = max(1, min(asked.page_size, MAX_PAGE_SIZE))
    pages = max(1, math.ceil(total / page_size))
    page = max(1, min(asked.page, pages))
    tree = category_tree(categories, asked.locale)
    path = category.path if category else ()
    return CatalogPage(
        browse=asked,
        category=CategoryRef(code=category.code, names=category.names) if category else None,
        breadcrumb=tuple(
            CategoryRef(code=each.code, names=each.names) for code in path for each in categories if each.code == code
        ),
        children=_descend(tree, path),
        products=await _cards(session, asked, filters, found, limit=page_size, offset=(page - 1) * page_size),
        total=total,
        page=page,
        pages=pages,
        facets=await _facets(session, asked, filters, total),
        widened=found is not strict and total > 0,
    )


def category_tree(categories: Sequence[store.CategoryCount], locale: str) -> tuple[CategoryNode, ...]:
    """Return the tree of *categories*, each level sorted by name, products counted by subtree.

    :param categories: parents before children, as the store gives them
    """
    below: dict[tuple[str, ...], list[CategoryNode]] = defaultdict(list)
    for category in reversed(categories):
        children = tuple(sorted(below[category.path], key=lambda node: sort_key(node.names.in_(locale), locale)))
        below[category.path[:-1]].append(
            CategoryNode(
                code=category.code,
                names=category.names,
                product_count=category.product_count + sum(child.product_count for child in children),
                children=children,
            )
        )
    return tuple(sorted(below[()], key=lambda node: sort_key(node.names.in_(locale), locale)))


def _descend(tree: tuple[CategoryNode, ...], path: Sequence[str]) -> tuple[CategoryNode, ...]:
    for code in path:
        tree = next(node.children for node in tree if node.code == code)
    return tree


# --- what matches ---


async def _readings(session: AsyncSession, text: str) -> list[_Text]:
    """Return the ways to read *text*, from strict to loose; a text without a word lists everything."""
    text = text.replace("\0", " ").strip()
    if len(text) > MAX_CHARACTERS:
        raise QueryTooLong(f"Search for up to {MAX_CHARACTERS} characters; a list of codes fits the quick order.")
    spoken = words(text)
    key = code_key(text)
    if len(spoken) > MAX_WORDS:
        raise QueryTooLong(f"Search for up to {MAX_WORDS} words; a list of codes fits the quick order.")
    if not spoken:
        # signs alone, or a script that is not indexed, are in no product
        return [_Text(sa.false(), None) if fold(text).strip() else NO_TEXT]
    telling = [word for word in spoken if word not in STOP_WORDS] or spoken
    strict = await _stemmed(session, telling)
    beginnings = [_beginning(word) for word in telling]
    loose = [f"'{word}':*" for word in beginnings if len(word) > 2]
    readings = [_matching(f"({') & ('.join(strict)})", key)]
    if loose:
        readings += [_matching(" & ".join(loose), key), _matching(" | ".join(loose), key)]
    return readings


async def _stemmed(session: AsyncSession, spoken: Sequence[str]) -> list[str]:
    """Return for each word the text of a tsquery that finds it as it stands or by its stems.

    A word of one letter matches itself alone: its beginnings would be half of the index.
    """
    rows = await session.execute(
        sa.text(
            """
            SELECT to_tsquery('simple', word) || to_tsquery('english', word) || to_tsquery('spanish', word)
            FROM unnest(cast(:words AS text[])) WITH ORDINALITY AS spoken (word, place)
            ORDER BY place
            """
        ),
        {"words": [f"'{word}':*" if len(word) > 1 else f"'{word}'" for word in spoken]},
    )
    return [str(query) for (query,) in rows]


def _beginning(word: str) -> str:
    """Return the part of a word that a typing mistake near its end leaves right; sizes stay whole."""
    return word if any(letter.isdigit() for letter in word) else word[: max(3, len(word) * 2 // 3)]


def _matching(query: str, key: str) -> _Text:
    asked = sa.cast(query, postgresql.TSQUERY)
    matches: Condition = Sku.search.bool_op("@@")(asked)
    rank: sa.ColumnElement[Any] = sa.func.ts_rank(Sku.search, asked)
    if len(key) > 1:
        matches = sa.or_(matches, Sku.code_key.like(f"{key}%"))
        rank += sa.case((Sku.code_key == key, CODE_MATCH), (Sku.code_key.like(f"{key}%"), CODE_BEGINNING), else_=0.0)
    return _Text(matches, rank)


def _filters(asked: Browse, text: _Text) -> _Filters:
    of_product: dict[str, Condition] = {}
    of_sku: dict[str, Condition] = {"active": Sku.active.is_(sa.true())}
    if text.condition is not None:
        of_sku["text"] = text.condition
    if asked.category:
        below = sa.select(Category.id).where(Category.path.contains([asked.category]))
        of_product["category"] = Product.category_id.in_(below)
    if asked.brands:
        named = sa.select(Brand.id).where(Brand.code.in_([plain(code) for code in asked.brands]))
        of_product["brand"] = Product.brand_id.in_(named)
    if asked.in_stock:
        of_sku["in_stock"] = sa.exists().where(Stock.sku_id == Sku.id, Stock.on_hand > 0)
    for key, values in asked.attributes.items():
        of_sku[f"attribute:{key}"] = sa.or_(
            sa.false(), *(Sku.attributes.contains({plain(key): plain(value)}) for value in values)
        )
    return _Filters(of_product, of_sku)


# --- questions ---


async def _count(session: AsyncSession, filters: _Filters) -> int:
    return await session.scalar(sa.select(sa.func.count()).select_from(Product).where(*filters.products())) or 0


async def _cards(
    session: AsyncSession, asked: Browse, filters: _Filters, text: _Text, *, limit: int, offset: int
) -> tuple[ProductCard, ...]:
    picked = list(await session.scalars(_ordered(asked, filters, text).limit(limit).offset(offset)))
    if not picked:
        return ()
    rows = await session.execute(
        sa.select(Product, Brand, Category)
        .join(Category, Category.id == Product.category_id)
        .outerjoin(Brand, Brand.id == Product.brand_id)
        .where(Product.id.in_(picked))
    )
    products = {product.id: (product, brand, category) for product, brand, category in rows}
    skus = await store.list_skus_of_products(session, picked)
    matched = await _matched(session, filters, text, picked)
    return tuple(_card(*products[each], skus, matched.get(each, ())) for each in picked)


def _ordered(asked: Browse, filters: _Filters, text: _Text) -> sa.Select[uuid.UUID]:
    """Return the query for the ids of the products found, in the order asked for."""
    name = sa.collate(Product.sort_es if asked.locale[:2] == "es" else Product.sort_en, "C")
    code = sa.collate(Product.code, "C")
    if asked.sort is Sort.SKU or (asked.sort is Sort.BEST and text.rank is not None):
        best = sa.func.min(sa.collate(Sku.code, "C")) if asked.sort is Sort.SKU else -sa.func.max(text.rank)
        grouped = (
            sa.select(Sku.product_id, best.label("best"))
            .join(Product, Product.id == Sku.product_id)
            .where(*filters.skus())
            .group_by(Sku.product_id)
            .subquery()
        )
        return (
            sa.select(Product.id).join(grouped, grouped.c.product_id == Product.id).order_by(grouped.c.best, name, code)
        )
    return sa.select(Product.id).where(*filters.products()).order_by(name, code)


async def _matched(
    session: AsyncSession, filters: _Filters, text: _Text, product_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[str]]:
    """Return the codes of the SKUs found in each product, best first; nothing without a text."""
    found = defaultdict(list)
    if text.rank is not None:
        rows = await session.execute(
            sa.select(Sku.product_id, Sku.code, text.rank)
            .join(Product, Product.id == Sku.product_id)
            .where(Sku.product_id.in_(product_ids), *filters.skus())
        )
        for product_id, code, _ in sorted(rows, key=lambda row: (-row[2], store.natural(row[1]))):
            found[product_id].append(code)
    return found


def _card(
    product: Product,
    brand: Brand | None,
    category: Category,
    skus: dict[uuid.UUID, tuple[SkuView, ...]],
    matched: Sequence[str],
) -> ProductCard:
    return ProductCard(
        code=product.code,
        names=store.names(product.names),
        brand=store.brand_ref(brand),
        category=CategoryRef(code=category.code, names=store.names(category.names)),
        skus=skus.get(product.id, ()),
        matched=tuple(matched),
    )


async def _facets(session: AsyncSession, asked: Browse, filters: _Filters, total: int) -> tuple[Facet, ...]:
    """Count each facet's values under all other facets' choices: brands first, then the commonest attributes."""
    facets = [await _brand_facet(session, asked, filters)]
    if total <= MAX_FACETED_PRODUCTS:
        counted = await _attribute_counts(session, filters.skus())
        for key in asked.attributes:
            counted[key] = (await _attribute_counts(session, filters.skus(but=f"attribute:{key}"))).get(key, [])
        common = sorted(counted, key=lambda key: (key not in asked.attributes, -sum(n for _, n in counted[key]), key))
        facets += [_attribute_facet(key, counted[key], asked.attributes.get(key, ())) for key in common[:MAX_FACETS]]
    return tuple(facet for facet in facets if len(facet.values) > 1 or any(value.chosen for value in facet.values))


async def _brand_facet(session: AsyncSession, asked: Browse, filters: _Filters) -> Facet:
    counted = (
        sa.select(Product.brand_id, sa.func.count().label("products"))
        .where(*filters.products(but="brand"))
        .group_by(Product.brand_id)
        .subquery()
    )
    rows = await session.execute(
        sa.select(Brand.code, Brand.name, counted.c.products).join(counted, counted.c.brand_id == Brand.id)
    )
    values = [
        FacetValue(value=code, label=name, count=count, chosen=code in asked.brands) for code, name, count in rows
    ]
    return Facet(key="brand", values=_shown(values, asked.locale))


async def _attribute_counts(session: AsyncSession, conditions: Sequence[Condition]) -> dict[str, list[tuple[str, int]]]:
    pair = sa.func.jsonb_each_text(Sku.attributes).table_valued("key", "value").lateral("pair")
    rows = await session.execute(
        sa.select(pair.c.key, pair.c.value, sa.func.count(sa.distinct(Sku.product_id)))
        .select_from(Sku)
        .join(Product, Product.id == Sku.product_id)
        .join(pair, sa.true())
        .where(*conditions)
        .group_by(pair.c.key, pair.c.value)
    )
    counted = defaultdict(list)
    for key, value, count in rows:
        counted[key].append((value, count))
    return counted


def _attribute_facet(key: str, counted: Sequence[tuple[str, int]], chosen: Sequence[str]) -> Facet:
    values = [FacetValue(value=value, label=value, count=count, chosen=value in chosen) for value, count in counted]
    return Facet(key=f"attribute:{key}", values=_shown(values, "en"))


def _shown(values: Sequence[FacetValue], locale: str) -> tuple[FacetValue, ...]:
    """Return the commonest values and all chosen ones, by label."""
    kept = sorted(values, key=lambda value: (not value.chosen, -value.count, value.value))[:MAX_FACET_VALUES]
    return tuple(sorted(kept, key=lambda value: sort_key(value.label, locale)))
