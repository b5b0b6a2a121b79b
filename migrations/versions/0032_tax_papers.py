"""Exemption certificates, reviewed by finance, and what Stripe Tax calculated for a checkout."""

from alembic import op

from migrations.support import accounts_rows, append_only, company_rows, grant

revision = "0032_tax_papers"
down_revision = "0031_privacy_of_notes"


def upgrade() -> None:
    op.execute("ALTER TABLE company ADD COLUMN exemptions jsonb NOT NULL DEFAULT '[]'")
    op.execute(
        """
        CREATE TABLE exemption_certificate (
            id uuid CONSTRAINT pk_exemption_certificate PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_exemption_certificate_company_id_company REFERENCES company,
            country char(2) NOT NULL,
            number text NOT NULL CONSTRAINT ck_exemption_certificate_number CHECK (number <> ''),
            authority text NOT NULL,
            expires_on date NOT NULL,
            digest text NOT NULL,
            state text NOT NULL CONSTRAINT ck_exemption_certificate_state
                CHECK (state IN ('pending', 'accepted', 'refused', 'withdrawn')),
            submitted_by uuid NOT NULL CONSTRAINT fk_exemption_certificate_submitted_by_person REFERENCES person,
            submitted_at timestamptz NOT NULL,
            reviewed_by uuid CONSTRAINT fk_exemption_certificate_reviewed_by_person REFERENCES person,
            reviewed_at timestamptz,
            review_note text NOT NULL,
            CONSTRAINT ck_exemption_certificate_reviewed CHECK (
                (state = 'pending') = (reviewed_at IS NULL) AND (reviewed_at IS NULL) = (reviewed_by IS NULL)
            )
        )
        """
    )
    op.execute("CREATE INDEX ix_exemption_certificate_company_id ON exemption_certificate (company_id)")
    op.execute(
        "CREATE INDEX ix_exemption_certificate_pending ON exemption_certificate (submitted_at) WHERE state = 'pending'"
    )
    accounts_rows(op, "exemption_certificate")
    grant(op, "exemption_certificate", "SELECT, INSERT, UPDATE")
    op.execute(
        """
        CREATE TABLE tax_calculation (
            id uuid CONSTRAINT pk_tax_calculation PRIMARY KEY,
            checkout_id uuid NOT NULL CONSTRAINT fk_tax_calculation_checkout_id_checkout REFERENCES checkout,
            company_id uuid NOT NULL CONSTRAINT fk_tax_calculation_company_id_company REFERENCES company,
            request_digest text NOT NULL,
            request text NOT NULL,
            stripe_calculation_id text NOT NULL,
            result jsonb NOT NULL,
            calculated_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_tax_calculation_checkout_id ON tax_calculation (checkout_id, calculated_at)")
    company_rows(op, "tax_calculation")
    grant(op, "tax_calculation", "SELECT, INSERT")
    append_only(op, "tax_calculation")


def downgrade() -> None:
    op.drop_table("tax_calculation")
    op.drop_table("exemption_certificate")
    op.execute("ALTER TABLE company DROP COLUMN exemptions")
