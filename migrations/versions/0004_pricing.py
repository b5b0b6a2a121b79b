"""Prices: the contents of books, drafts over them, and the append-only log of publications."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.support import append_only, grant

revision = "0004_pricing"
down_revision = "0003_catalog"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "price_content",
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("leaf_count", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("root", name="pk_price_content"),
        sa.CheckConstraint("octet_length(root) = 32", name="ck_price_content_root_is_sha256"),
        sa.CheckConstraint("leaf_count >= 0", name="ck_price_content_leaf_count"),
    )
    op.create_table(
        "price_draft",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("base_root", sa.LargeBinary, nullable=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("author_id", sa.Uuid, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_price_draft"),
        sa.ForeignKeyConstraint(["base_root"], ["price_content.root"], name="fk_price_draft_base_root_price_content"),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name="fk_price_draft_author_id_person"),
        sa.CheckConstraint("state IN ('open', 'published', 'discarded')", name="ck_price_draft_state"),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="ck_price_draft_closed"),
    )
    op.create_table(
        "price_draft_change",
        sa.Column("draft_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("content", JSONB, nullable=True),
        sa.Column("changed_by", sa.Uuid, nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "kind", "key", name="pk_price_draft_change"),
        sa.ForeignKeyConstraint(["draft_id"], ["price_draft.id"], name="fk_price_draft_change_draft_id_price_draft"),
        sa.ForeignKeyConstraint(["changed_by"], ["person.id"], name="fk_price_draft_change_changed_by_person"),
    )
    op.create_table(
        "price_publication",
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author_id", sa.Uuid, nullable=True),
        sa.Column("published_by", sa.Uuid, nullable=True),
        sa.Column("draft_id", sa.Uuid, nullable=True),
        sa.Column("restores", sa.Integer, nullable=True),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("findings", postgresql.JSONB, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_price_publication"),
        sa.UniqueConstraint("draft_id", name="uq_price_publication_draft_id"),
        sa.ForeignKeyConstraint(["root"], ["price_content.root"], name="fk_price_publication_root_price_content"),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name="fk_price_publication_author_id_person"),
        sa.ForeignKeyConstraint(["published_by"], ["person.id"], name="fk_price_publication_published_by_person"),
        sa.ForeignKeyConstraint(["draft_id"], ["price_draft.id"], name="fk_price_publication_draft_id_price_draft"),
        sa.ForeignKeyConstraint(
            ["restores"], ["price_publication.number"], name="fk_price_publication_restores_price_publication"
        ),
        sa.CheckConstraint("number >= 1", name="ck_price_publication_number"),
        sa.CheckConstraint("published_at < effective_at", name="ck_price_publication_published_before"),
        sa.CheckConstraint("restores < number", name="ck_price_publication_restores_older"),
    )
    append_only(op, "price_content")
    append_only(op, "price_publication")
    # Numbers have no gap and instants never go back, whoever inserts. The caller holds the log's advisory lock, so
    # that the row looked at is the last one; without the lock the primary key catches the second of two.
    op.execute(
        """
        CREATE FUNCTION price_publication_follows() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            last price_publication;
        BEGIN
            SELECT * INTO last FROM price_publication ORDER BY number DESC LIMIT 1;
            IF NEW.number <> coalesce(last.number, 0) + 1 THEN
                RAISE EXCEPTION 'publication % does not follow %', NEW.number, coalesce(last.number, 0)
                    USING ERRCODE = 'check_violation';
            END IF;
            IF NEW.effective_at < last.effective_at THEN
                RAISE EXCEPTION 'publication % would take effect before %', NEW.number, last.number
                    USING ERRCODE = 'check_violation';
            END IF;
            PERFORM pg_notify('price_publication', NEW.number::text);
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER price_publication_follows BEFORE INSERT ON price_publication
        FOR EACH ROW EXECUTE FUNCTION price_publication_follows()
        """
    )
    grant(op, "price_content", "SELECT, INSERT")
    grant(op, "price_publication", "SELECT, INSERT")
    grant(op, "price_draft", "SELECT, INSERT, UPDATE")
    grant(op, "price_draft_change", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    op.drop_table("price_publication")
    op.drop_table("price_draft_change")
    op.drop_table("price_draft")
    op.drop_table("price_content")
    op.execute("DROP FUNCTION price_publication_follows()")
