"""Checkout: reconciliations that are kept, and parked events that a person has looked at."""

from alembic import op

from migrations.support import append_only, grant

revision = "0022_reconciliations"
down_revision = "0021_segment_changes"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE reconciliation (
            id uuid CONSTRAINT pk_reconciliation PRIMARY KEY,
            since timestamptz NOT NULL,
            began_at timestamptz NOT NULL,
            ended_at timestamptz NOT NULL,
            asked_by uuid CONSTRAINT fk_reconciliation_asked_by_person REFERENCES person,
            breaks jsonb NOT NULL,
            break_count bigint NOT NULL CONSTRAINT ck_reconciliation_break_count CHECK (break_count >= 0),
            CONSTRAINT ck_reconciliation_order CHECK (since <= began_at AND began_at <= ended_at)
        )
        """
    )
    op.create_index("ix_reconciliation_began_at", "reconciliation", ["began_at"])
    append_only(op, "reconciliation")
    grant(op, "reconciliation", "SELECT, INSERT")
    op.execute(
        """
        ALTER TABLE stripe_event ADD COLUMN reviewed_at timestamptz,
            ADD COLUMN reviewed_by uuid CONSTRAINT fk_stripe_event_reviewed_by_person REFERENCES person,
            ADD COLUMN review_note text NOT NULL DEFAULT '',
            ADD CONSTRAINT ck_stripe_event_reviewed CHECK (reviewed_at IS NULL OR outcome = 'parked')
        """
    )
    op.execute("ALTER TABLE stripe_event ALTER COLUMN review_note DROP DEFAULT")


def downgrade() -> None:
    op.execute("ALTER TABLE stripe_event DROP COLUMN reviewed_at, DROP COLUMN reviewed_by, DROP COLUMN review_note")
    op.drop_table("reconciliation")
