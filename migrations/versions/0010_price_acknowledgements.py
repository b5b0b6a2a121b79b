"""Prices: who accepted which warning of a draft and why; no publication whose findings nobody accepted."""

import sqlalchemy as sa
from alembic import op

from migrations.support import grant

revision = "0010_price_acknowledgements"
down_revision = "0009_signed_quotes"


def upgrade() -> None:
    op.create_table(
        "price_acknowledgement",
        sa.Column("draft_id", sa.Uuid, nullable=False),
        sa.Column("finding", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("acknowledged_by", sa.Uuid, nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "finding", name="pk_price_acknowledgement"),
        sa.ForeignKeyConstraint(["draft_id"], ["price_draft.id"], name="fk_price_acknowledgement_draft_id_price_draft"),
        sa.ForeignKeyConstraint(
            ["acknowledged_by"], ["person.id"], name="fk_price_acknowledgement_acknowledged_by_person"
        ),
        sa.CheckConstraint("reason <> ''", name="ck_price_acknowledgement_reason"),
    )
    grant(op, "price_acknowledgement", "SELECT, INSERT")
    # NOT VALID: publications from before this keep their findings as they were; every later one is held to it.
    op.execute(
        """
        ALTER TABLE price_publication ADD CONSTRAINT ck_price_publication_findings_acknowledged CHECK (
            NOT jsonb_path_exists(findings, '$[*] ? (!exists(@.acknowledged.reason ? (@ <> "")))')
        ) NOT VALID
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE price_publication DROP CONSTRAINT ck_price_publication_findings_acknowledged")
    op.drop_table("price_acknowledgement")
