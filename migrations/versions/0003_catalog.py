"""The catalogue: categories, brands, products, SKUs, units, costs, stock, and the words a search finds them by."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.support import grant

revision = "0003_catalog"
down_revision = "0002_accounts"

JSONB = postgresql.JSONB()


def upgrade() -> None:
    op.create_table(
        "category",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("parent_id", sa.Uuid, nullable=True),
        sa.Column("path", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("names", JSONB, nullable=False),
        sa.Column("on_sale", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_category"),
        sa.UniqueConstraint("code", name="uq_category_code"),
        sa.ForeignKeyConstraint(["parent_id"], ["category.id"], name="fk_category_parent_id_category"),
        sa.CheckConstraint("path[cardinality(path)] = code", name="ck_category_path_ends_in_code"),
    )
    op.create_index("ix_category_parent_id", "category", ["parent_id"])
    op.create_index("ix_category_path", "category", ["path"], postgresql_using="gin")
    op.create_table(
        "brand",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_brand"),
        sa.UniqueConstraint("code", name="uq_brand_code"),
    )
    op.create_table(
        "product",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("category_id", sa.Uuid, nullable=False),
        sa.Column("brand_id", sa.Uuid, nullable=True),
        sa.Column("names", JSONB, nullable=False),
        sa.Column("descriptions", JSONB, nullable=False),
        sa.Column("sort_en", sa.Text, nullable=False),
        sa.Column("sort_es", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_product"),
        sa.UniqueConstraint("code", name="uq_product_code"),
        sa.ForeignKeyConstraint(["category_id"], ["category.id"], name="fk_product_category_id_category"),
        sa.ForeignKeyConstraint(["brand_id"], ["brand.id"], name="fk_product_brand_id_brand"),
    )
    op.create_index("ix_product_category_id", "product", ["category_id"])
    op.create_index("ix_product_brand_id", "product", ["brand_id"])
    op.create_table(
        "sku",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("code_key", sa.Text, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("names", JSONB, nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("base_unit", sa.Text, nullable=False),
        sa.Column("tax_category", sa.Text, nullable=False),
        sa.Column("weight_grams", sa.Numeric(18, 6), nullable=True),
        sa.Column("break_group", sa.Text, nullable=True),
        sa.Column("fractional", sa.Boolean, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("search", postgresql.TSVECTOR, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sku"),
        sa.UniqueConstraint("code", name="uq_sku_code"),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name="fk_sku_product_id_product"),
    )
    op.create_index("ix_sku_product_id", "sku", ["product_id"])
    op.create_index("ix_sku_search", "sku", ["search"], postgresql_using="gin")
    op.create_index("ix_sku_attributes", "sku", ["attributes"], postgresql_using="gin")
    op.create_index("ix_sku_code_key", "sku", ["code_key"], postgresql_ops={"code_key": "text_pattern_ops"})
    op.create_table(
        "sku_unit",
        sa.Column("sku_id", sa.Uuid, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("factor", sa.Numeric(24, 12), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "unit", name="pk_sku_unit"),
        sa.ForeignKeyConstraint(["sku_id"], ["sku.id"], name="fk_sku_unit_sku_id_sku"),
        sa.CheckConstraint("factor > 0", name="ck_sku_unit_factor_positive"),
    )
    op.create_table(
        "sku_cost",
        sa.Column("sku_id", sa.Uuid, nullable=False),
        sa.Column("currency", sa.CHAR(3), nullable=False),
        sa.Column("cost", sa.Numeric(30, 12), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", "currency", name="pk_sku_cost"),
        sa.ForeignKeyConstraint(["sku_id"], ["sku.id"], name="fk_sku_cost_sku_id_sku"),
        sa.CheckConstraint("cost >= 0", name="ck_sku_cost_cost_not_negative"),
    )
    op.create_table(
        "stock",
        sa.Column("sku_id", sa.Uuid, nullable=False),
        sa.Column("on_hand", sa.Numeric(24, 6), nullable=False),
        sa.Column("reserved", sa.Numeric(24, 6), nullable=False),
        sa.Column("sold", sa.Numeric(24, 6), nullable=False),
        sa.PrimaryKeyConstraint("sku_id", name="pk_stock"),
        sa.ForeignKeyConstraint(["sku_id"], ["sku.id"], name="fk_stock_sku_id_sku"),
        sa.CheckConstraint("on_hand >= 0", name="ck_stock_on_hand_not_negative"),
        sa.CheckConstraint("reserved >= 0", name="ck_stock_reserved_not_negative"),
        sa.CheckConstraint("sold >= 0", name="ck_stock_sold_not_negative"),
    )
    # The words of a text: accents folded, sizes like M8x40 and 1,5 taken apart the way catalog/words.py does for a
    # query. A test holds the two together.
    op.execute(
        r"""
        CREATE FUNCTION tarifa_words(spoken text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT btrim(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
                lower(regexp_replace(normalize(spoken, NFKD), '[\u0300-\u036f]', '', 'g')),
                '([0-9]) *[x×] *(?=[0-9])', '\1 ', 'g'),
                '([0-9]),(?=[0-9])', '\1.', 'g'),
                '[^a-z0-9.]+', ' ', 'g'),
                '(?<![0-9])\.|\.(?![0-9])', ' ', 'g'))
        $$
        """
    )
    # Orders and past price books speak of what was once sold, so nothing is deleted but units and costs.
    for table in ("category", "brand", "product", "sku", "stock"):
        grant(op, table, "SELECT, INSERT, UPDATE")
    for table in ("sku_unit", "sku_cost"):
        grant(op, table, "SELECT, INSERT, UPDATE, DELETE")
