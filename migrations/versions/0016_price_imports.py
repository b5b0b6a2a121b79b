"""Prices: files on their way into a draft, in pieces, and what they would change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.support import grant

revision = "0016_price_imports"
down_revision = "0015_price_impacts"

JSONB = postgresql.JSONB(none_as_null=True)
LIVE = "'uploading', 'reading', 'refused', 'ready'"


def upgrade() -> None:
    op.create_table(
        "price_import",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("draft_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("rows_read", sa.BigInteger, nullable=False),
        sa.Column("share_read", sa.Float, nullable=False),
        sa.Column("report", JSONB, nullable=True),
        sa.Column("added", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Uuid, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.Uuid, nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_price_import"),
        sa.ForeignKeyConstraint(["draft_id"], ["price_draft.id"], name="fk_price_import_draft_id_price_draft"),
        sa.ForeignKeyConstraint(["created_by"], ["person.id"], name="fk_price_import_created_by_person"),
        sa.ForeignKeyConstraint(["closed_by"], ["person.id"], name="fk_price_import_closed_by_person"),
        sa.CheckConstraint(f"state IN ({LIVE}, 'accepted', 'discarded', 'replaced')", name="ck_price_import_state"),
        sa.CheckConstraint("octet_length(sha256) = 32", name="ck_price_import_sha256"),
        sa.CheckConstraint("0 <= received AND received <= size", name="ck_price_import_received"),
        sa.CheckConstraint("received = size OR state NOT IN ('reading', 'ready')", name="ck_price_import_whole"),
        sa.CheckConstraint(f"(closed_at IS NULL) = (state IN ({LIVE}))", name="ck_price_import_closed"),
    )
    op.execute(f"CREATE UNIQUE INDEX uq_price_import_live ON price_import (draft_id) WHERE state IN ({LIVE})")
    op.create_table(
        "price_import_part",
        sa.Column("import_id", sa.Uuid, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("import_id", "start", name="pk_price_import_part"),
        sa.ForeignKeyConstraint(["import_id"], ["price_import.id"], name="fk_price_import_part_import_id_price_import"),
    )
    op.execute("ALTER TABLE price_import_part ALTER COLUMN content SET STORAGE EXTERNAL")
    op.create_table(
        "price_import_change",
        sa.Column("import_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("drafted", sa.Boolean, nullable=False),
        sa.Column("before", JSONB, nullable=True),
        sa.Column("to_base", sa.Boolean, nullable=False),
        sa.Column("after", JSONB, nullable=True),
        sa.PrimaryKeyConstraint("import_id", "kind", "key", name="pk_price_import_change"),
        sa.ForeignKeyConstraint(
            ["import_id"], ["price_import.id"], name="fk_price_import_change_import_id_price_import"
        ),
        sa.CheckConstraint("change IN ('added', 'changed', 'removed')", name="ck_price_import_change_change"),
    )
    grant(op, "price_import", "SELECT, INSERT, UPDATE")
    grant(op, "price_import_part", "SELECT, INSERT, DELETE")
    grant(op, "price_import_change", "SELECT, INSERT, DELETE")


def downgrade() -> None:
    op.drop_table("price_import_change")
    op.drop_table("price_import_part")
    op.drop_table("price_import")
