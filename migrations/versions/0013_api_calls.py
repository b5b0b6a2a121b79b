"""Accounts: calls of the API that may be repeated, with what they were answered."""

from alembic import op

from migrations.support import company_rows, grant

revision = "0013_api_calls"
down_revision = "0012_price_reviews"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE api_call (
            id uuid CONSTRAINT pk_api_call PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_api_call_company_id_company REFERENCES company,
            idempotency_key text NOT NULL,
            request_sha256 bytea NOT NULL,
            begun_at timestamptz NOT NULL,
            status smallint,
            headers jsonb,
            body bytea,
            CONSTRAINT uq_api_call_company_id_idempotency_key UNIQUE (company_id, idempotency_key),
            CONSTRAINT ck_api_call_answered_whole CHECK (
                (status IS NULL) = (headers IS NULL) AND (status IS NULL) = (body IS NULL)
            )
        )
        """
    )
    op.create_index("ix_api_call_begun_at", "api_call", ["begun_at"])
    company_rows(op, "api_call")
    grant(op, "api_call", "SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    op.drop_table("api_call")
