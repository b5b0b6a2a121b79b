"""Prices: what a publication was made from, where its rows follow from formulas.

A publication or draft without a source has none: all its rows were stated outright, as all were before this.
"""

import sqlalchemy as sa
from alembic import op

from migrations.support import append_only, grant

revision = "0007_price_sources"
down_revision = "0006_checkout"


def upgrade() -> None:
    op.create_table(
        "price_source",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_price_source"),
        sa.CheckConstraint("octet_length(digest) = 32", name="ck_price_source_digest_is_sha256"),
    )
    for table, column in (("price_publication", "source"), ("price_draft", "base_source")):
        op.add_column(table, sa.Column(column, sa.LargeBinary, nullable=True))
        op.create_foreign_key(f"fk_{table}_{column}_price_source", table, "price_source", [column], ["digest"])
    append_only(op, "price_source")
    grant(op, "price_source", "SELECT, INSERT")


def downgrade() -> None:
    op.drop_column("price_draft", "base_source")
    op.drop_column("price_publication", "source")
    op.drop_table("price_source")
