"""What the tax office (VIES) said of companies' VAT numbers, where the house asks it."""

from alembic import op

from migrations.support import accounts_rows, append_only, grant, narrow, widen

revision = "0033_vat_checks"
down_revision = "0032_tax_papers"


def upgrade() -> None:
    widen(op, "company", "ck_company_tax_id_check", "tax_id_check", "confirmed", "refuted")
    op.execute(
        """
        CREATE TABLE vat_number_check (
            id uuid CONSTRAINT pk_vat_number_check PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_vat_number_check_company_id_company REFERENCES company,
            number text NOT NULL,
            outcome text NOT NULL CONSTRAINT ck_vat_number_check_outcome
                CHECK (outcome IN ('confirmed', 'refuted', 'unanswered')),
            consultation text NOT NULL,
            answer text NOT NULL,
            asked_by uuid CONSTRAINT fk_vat_number_check_asked_by_person REFERENCES person,
            asked_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_vat_number_check_company_id ON vat_number_check (company_id, asked_at)")
    accounts_rows(op, "vat_number_check")
    grant(op, "vat_number_check", "SELECT, INSERT")
    append_only(op, "vat_number_check")


def downgrade() -> None:
    op.drop_table("vat_number_check")
    op.execute("UPDATE company SET tax_id_check = 'well_formed' WHERE tax_id_check IN ('confirmed', 'refuted')")
    narrow(op, "company", "ck_company_tax_id_check", "tax_id_check", "confirmed", "refuted")
