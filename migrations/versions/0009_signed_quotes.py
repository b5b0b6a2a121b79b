"""Prices: quotes as they were signed for a company."""

from alembic import op

from migrations.support import append_only, company_rows, grant

revision = "0009_signed_quotes"
down_revision = "0008_api_key_notices"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE signed_quote (
            id uuid CONSTRAINT pk_signed_quote PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_signed_quote_company_id_company REFERENCES company,
            root bytea NOT NULL CONSTRAINT fk_signed_quote_root_price_content REFERENCES price_content,
            issued_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            document bytea NOT NULL,
            CONSTRAINT uq_signed_quote_company_id UNIQUE (company_id, id),
            CONSTRAINT ck_signed_quote_life CHECK (issued_at < expires_at)
        )
        """
    )
    company_rows(op, "signed_quote")
    append_only(op, "signed_quote")
    grant(op, "signed_quote", "SELECT, INSERT")


def downgrade() -> None:
    op.drop_table("signed_quote")
