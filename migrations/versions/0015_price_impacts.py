"""Prices: what a draft would do to what was sold."""

from alembic import op

from migrations.support import grant

revision = "0015_price_impacts"
down_revision = "0014_webhooks"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE price_impact (
            id uuid CONSTRAINT pk_price_impact PRIMARY KEY,
            draft_id uuid NOT NULL CONSTRAINT fk_price_impact_draft_id_price_draft REFERENCES price_draft,
            months integer NOT NULL CONSTRAINT ck_price_impact_months CHECK (months > 0),
            as_of timestamptz,
            requested_by uuid CONSTRAINT fk_price_impact_requested_by_person REFERENCES person,
            requested_at timestamptz NOT NULL,
            lines_done bigint NOT NULL,
            lines_all bigint,
            finished_at timestamptz,
            problem text,
            detail text,
            result bytea,
            CONSTRAINT ck_price_impact_outcome CHECK (num_nonnulls(result, problem) = num_nonnulls(finished_at)),
            CONSTRAINT ck_price_impact_detail CHECK ((problem IS NULL) = (detail IS NULL))
        )
        """
    )
    op.execute("CREATE INDEX ix_price_impact_draft_id_requested_at ON price_impact (draft_id, requested_at)")
    # It holds margins by company: no company's scope sees a row, whatever a query asks for
    op.execute("ALTER TABLE price_impact ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE price_impact FORCE ROW LEVEL SECURITY")
    staff = "current_setting('tarifa.scope') = 'staff'"
    op.execute(f"CREATE POLICY price_impact_rows ON price_impact USING ({staff}) WITH CHECK ({staff})")
    grant(op, "price_impact", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    op.execute("DROP TABLE price_impact")
