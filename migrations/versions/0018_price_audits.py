"""Insights: audits of prices, each with its signed certificate."""

from alembic import op

from migrations.support import append_only, grant

revision = "0018_price_audits"
down_revision = "0017_second_approvals"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE price_audit (
            id uuid CONSTRAINT pk_price_audit PRIMARY KEY,
            began_at timestamptz NOT NULL,
            ended_at timestamptz NOT NULL,
            questions bigint NOT NULL,
            difference_count bigint NOT NULL,
            differences jsonb NOT NULL,
            certificate text NOT NULL,
            signature bytea NOT NULL,
            key_id text NOT NULL,
            CONSTRAINT ck_price_audit_order CHECK (began_at <= ended_at),
            CONSTRAINT ck_price_audit_counts CHECK (questions >= 0 AND difference_count >= 0)
        )
        """
    )
    op.create_index("ix_price_audit_began_at", "price_audit", ["began_at"])
    append_only(op, "price_audit")
    grant(op, "price_audit", "SELECT, INSERT")


def downgrade() -> None:
    op.drop_table("price_audit")
