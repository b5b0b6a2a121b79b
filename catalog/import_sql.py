"""The statements of an import: what is staged becomes rows, and rows become findable."""

from collections.abc import Mapping
from typing import Final

KEPT: Final = frozenset({"on_sale", "reserved", "sold"})  # columns that a known row keeps, whatever a file says


def _names(prefix: str) -> str:
    return f"jsonb_strip_nulls(jsonb_build_object('en', given.{prefix}_en, 'es', given.{prefix}_es))"


def _upsert(table: str, key: str, values: Mapping[str, str], source: str, *, touch: str | None = None) -> str:
    """Return a statement that writes *values* (column -> expression over *source*) and counts added and changed rows.

    Rows are written in the order of their key, as orders lock them, and untouched where nothing differs. *touch* is the
    id to remember for the search index.
    """
    keys = key.split(", ")
    others = [column for column in values if column not in {*keys, "id"}]
    kept = [column for column in others if column not in KEPT]
    touched = f"touched AS (INSERT INTO import_touched SELECT {touch} FROM done)," if touch else ""  # noqa: S608 - our own SQL
    return f"""
        WITH done AS (
            INSERT INTO {table} AS known ({", ".join(values)})
            SELECT {", ".join(values.values())} FROM {source} ORDER BY {", ".join(values[each] for each in keys)}
            ON CONFLICT ({key}) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in kept)}
            WHERE ({", ".join(f"known.{column}" for column in kept)})
                IS DISTINCT FROM ({", ".join(f"excluded.{column}" for column in kept)})
            RETURNING known.*, known.xmax = 0 AS added
        ),
        {touched}
        counted AS (
            SELECT count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE NOT added) AS changed FROM done
        )
        SELECT added, changed FROM counted
    """  # noqa: S608 - all names are constants of this file


_OF_SKU: Final = "JOIN sku ON sku.code = given.sku"
UPSERTS: Final = {
    "category": _upsert(
        "category",
        "code",
        {
            "id": "given.id",
            "code": "given.code",
            "path": "import_path.path",
            "names": _names("name"),
            "on_sale": "0",
        },
        "import_category AS given JOIN import_path ON import_path.code = given.code",
        touch="id",
    ),
    "brand": _upsert(
        "brand",
        "code",
        {"id": "given.id", "code": "given.code", "name": "given.name"},
        "import_brand AS given",
        touch="id",
    ),
    "product": _upsert(
        "product",
        "code",
        {
            "id": "given.id",
            "code": "given.code",
            "category_id": "category.id",
            "brand_id": "brand.id",
            "names": _names("name"),
            "descriptions": _names("description"),
            "sort_en": "given.sort_en",
            "sort_es": "given.sort_es",
        },
        "import_product AS given JOIN category ON category.code = given.category "
        "LEFT JOIN brand ON brand.code = given.brand",
        touch="id",
    ),
    "sku": _upsert(
        "sku",
        "code",
        {
            "id": "given.id",
            "code": "given.sku",
            "code_key": "given.code_key",
            "product_id": "product.id",
            "names": _names("name"),
            "attributes": "given.attributes",
            "base_unit": "given.base_unit",
            "tax_category": "given.tax_category",
            "weight_grams": "given.weight_grams",
            "break_group": "given.break_group",
            "fractional": "given.fractional",
            "active": "given.active",
        },
        "import_sku AS given JOIN product ON product.code = given.product",
        touch="id",
    ),
    "sku_unit": _upsert(
        "sku_unit",
        "sku_id, unit",
        {"sku_id": "sku.id", "unit": "given.unit", "factor": "given.factor"},
        f"import_sku_unit AS given {_OF_SKU} AND sku.base_unit <> given.unit",
    ),
    "sku_cost": _upsert(
        "sku_cost",
        "sku_id, currency",
        {"sku_id": "sku.id", "currency": "given.currency", "cost": "given.cost"},
        f"import_sku_cost AS given {_OF_SKU}",
    ),
    "stock": _upsert(
        "stock",
        "sku_id",
        {"sku_id": "sku.id", "on_hand": "given.on_hand", "reserved": "0", "sold": "0"},
        # a count that stays would be locked too, and an order wait for the whole import
        f"import_stock AS given {_OF_SKU} LEFT JOIN stock AS before ON before.sku_id = sku.id "
        "WHERE before.on_hand IS DISTINCT FROM given.on_hand",
    ),
}
AFTER: Final = {
    "category": (
        """
        UPDATE category SET parent_id = parent.id
        FROM import_category AS given LEFT JOIN category AS parent ON parent.code = given.parent
        WHERE category.code = given.code AND category.parent_id IS DISTINCT FROM parent.id
        """,
        """
        WITH moved AS (
            UPDATE category SET path = import_path.path FROM import_path
            WHERE category.code = import_path.code AND category.path <> import_path.path RETURNING category.id
        )
        INSERT INTO import_touched SELECT id FROM moved
        """,
    ),
    "sku": ("INSERT INTO stock (sku_id, on_hand, reserved, sold) SELECT id, 0, 0, 0 FROM sku ON CONFLICT DO NOTHING",),
}


def _vector(english: str, spanish: str, weight: str) -> str:
    """Return a tsvector of a text in both languages: words as they stand and stems.

    Spanish stems are taken with and without accents: `fijaciones` has the stem of `fijación`, not of `fijacion`.
    """
    return f"""setweight(
        to_tsvector('simple', tarifa_words({english} || ' ' || {spanish}))
        || to_tsvector('english', tarifa_words({english}))
        || to_tsvector('spanish', tarifa_words({spanish}) || ' ' || {spanish}), '{weight}')"""


def _spoken(column: str) -> tuple[str, str]:
    return f"coalesce({column} ->> 'en', '')", f"coalesce({column} ->> 'es', {column} ->> 'en', '')"


REFRESH_SEARCH: Final = f"""
    WITH affected AS (
        SELECT sku.id, sku.product_id, product.category_id FROM sku
        JOIN product ON product.id = sku.product_id JOIN category ON category.id = product.category_id
        WHERE sku.id IN (SELECT id FROM import_touched)
           OR product.id IN (SELECT id FROM import_touched)
           OR product.brand_id IN (SELECT id FROM import_touched)
           OR category.path && (
               SELECT coalesce(array_agg(touched.code), '{{}}') FROM category AS touched
               WHERE touched.id IN (SELECT id FROM import_touched)
           )
    ),
    of_category AS MATERIALIZED (
        SELECT category.id, {_vector("upper_names.en", "upper_names.es", "C")} AS words
        FROM category CROSS JOIN LATERAL (
            SELECT string_agg({_spoken("upper.names")[0]}, ' ') AS en,
                string_agg({_spoken("upper.names")[1]}, ' ') AS es
            FROM category AS upper WHERE upper.code = ANY (category.path)
        ) AS upper_names
        WHERE category.id IN (SELECT category_id FROM affected)
    ),
    of_product AS MATERIALIZED (
        SELECT product.id,
            {_vector(*_spoken("product.names"), "B")} || {_vector(*_spoken("product.descriptions"), "D")}
            || setweight(to_tsvector('simple', tarifa_words(product.code || ' ' || coalesce(brand.name, ''))), 'C')
            AS words
        FROM product LEFT JOIN brand ON brand.id = product.brand_id
        WHERE product.id IN (SELECT product_id FROM affected)
    ),
    made AS (
        SELECT affected.id,
            setweight(to_tsvector('simple', tarifa_words(sku.code)), 'A') || {_vector(*_spoken("sku.names"), "B")}
            || setweight(to_tsvector('simple', tarifa_words(coalesce((
                SELECT string_agg(key || ' ' || value, ' ') FROM jsonb_each_text(sku.attributes)
            ), ''))), 'C')
            || of_product.words || of_category.words AS words
        FROM affected JOIN sku ON sku.id = affected.id
        JOIN of_product ON of_product.id = affected.product_id
        JOIN of_category ON of_category.id = affected.category_id
    )
    UPDATE sku SET search = made.words FROM made WHERE sku.id = made.id AND sku.search IS DISTINCT FROM made.words
"""  # noqa: S608 - all names are constants of this file
COUNT_ON_SALE: Final = """
    UPDATE category SET on_sale = counted.products FROM (
        SELECT category.id, count(product.id) AS products FROM category
        LEFT JOIN product ON product.category_id = category.id
            AND product.id IN (SELECT product_id FROM sku WHERE active)
        GROUP BY category.id
    ) AS counted WHERE counted.id = category.id AND counted.products <> category.on_sale
"""
