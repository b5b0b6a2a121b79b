"""Prices: who worked at a draft, its review, and who approved what was published."""

import sqlalchemy as sa
from alembic import op

from migrations.support import append_only, grant

revision = "0012_price_reviews"
down_revision = "0011_orders_of_quotes"


def upgrade() -> None:
    op.create_table(
        "price_draft_author",
        sa.Column("draft_id", sa.Uuid, nullable=False),
        sa.Column("person_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "person_id", name="pk_price_draft_author"),
        sa.ForeignKeyConstraint(["draft_id"], ["price_draft.id"], name="fk_price_draft_author_draft_id_price_draft"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_price_draft_author_person_id_person"),
    )
    op.execute(
        """
        INSERT INTO price_draft_author
        SELECT id, author_id FROM price_draft WHERE author_id IS NOT NULL
        UNION SELECT draft_id, changed_by FROM price_draft_change WHERE changed_by IS NOT NULL
        """
    )
    grant(op, "price_draft_author", "SELECT, INSERT")
    op.create_table(
        "price_review",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("draft_id", sa.Uuid, nullable=False),
        sa.Column("draft_version", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("person_id", sa.Uuid, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_price_review"),
        sa.ForeignKeyConstraint(["draft_id"], ["price_draft.id"], name="fk_price_review_draft_id_price_draft"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_price_review_person_id_person"),
        sa.CheckConstraint("step IN ('submitted', 'approved', 'returned', 'commented')", name="ck_price_review_step"),
    )
    op.create_index("ix_price_review_draft_id", "price_review", ["draft_id"])
    append_only(op, "price_review")
    grant(op, "price_review", "SELECT, INSERT")
    op.execute(
        """
        ALTER TABLE price_publication
            ADD COLUMN approval text NOT NULL DEFAULT 'before'
                CONSTRAINT ck_price_publication_approval
                CHECK (approval IN ('given', 'house', 'off', 'restored', 'before')),
            ADD COLUMN approved_by uuid CONSTRAINT fk_price_publication_approved_by_person REFERENCES person,
            ADD COLUMN approved_at timestamptz,
            ADD CONSTRAINT ck_price_publication_approved_by_one CHECK (
                (approval = 'given') = (approved_by IS NOT NULL) AND (approved_by IS NULL) = (approved_at IS NULL)
            ),
            ADD CONSTRAINT ck_price_publication_approved_by_another CHECK (approved_by <> author_id)
        """
    )
    op.execute("ALTER TABLE price_publication ALTER COLUMN approval DROP DEFAULT")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE price_publication DROP COLUMN approval, DROP COLUMN approved_by, DROP COLUMN approved_at CASCADE"
    )
    op.drop_table("price_review")
    op.drop_table("price_draft_author")
