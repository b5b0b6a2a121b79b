"""Accounts: who put a company into which segments, when and why."""

from alembic import op

from migrations.support import append_only, grant

revision = "0021_segment_changes"
down_revision = "0020_staff_keys"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE segment_change (
            id uuid CONSTRAINT pk_segment_change PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_segment_change_company_id_company REFERENCES company (id),
            before text[] NOT NULL,
            after text[] NOT NULL,
            reason text NOT NULL CONSTRAINT ck_segment_change_reason CHECK (reason <> ''),
            changed_by uuid CONSTRAINT fk_segment_change_changed_by_person REFERENCES person (id),
            changed_at timestamptz NOT NULL,
            CONSTRAINT ck_segment_change_changes CHECK (before <> after)
        );
        CREATE INDEX ix_segment_change_company_id_changed_at ON segment_change (company_id, changed_at);
        CREATE INDEX ix_segment_change_changed_at ON segment_change (changed_at);
        """
    )
    append_only(op, "segment_change")
    grant(op, "segment_change", "SELECT, INSERT")
    # why a buyer is what it is to the house is no business of the buyer's: staff alone
    op.execute(
        """
        ALTER TABLE segment_change ENABLE ROW LEVEL SECURITY;
        ALTER TABLE segment_change FORCE ROW LEVEL SECURITY;
        CREATE POLICY segment_change_rows ON segment_change
            USING (tarifa_may_see(NULL)) WITH CHECK (tarifa_may_see(NULL));
        """
    )


def downgrade() -> None:
    op.drop_table("segment_change")
