"""Address and browser of signatures and framework acceptances, encrypted as those of single acceptances are."""

from alembic import op

from migrations.support import company_rows, grant

revision = "0035_act_annexes"
down_revision = "0034_cited_orders"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE act_annex (
            ledger_seq bigint CONSTRAINT pk_act_annex PRIMARY KEY
                CONSTRAINT fk_act_annex_ledger_seq_acceptance_ledger REFERENCES acceptance_ledger (seq),
            company_id uuid NOT NULL CONSTRAINT fk_act_annex_company_id_company REFERENCES company (id),
            actor_id uuid NOT NULL CONSTRAINT fk_act_annex_actor_id_person REFERENCES person (id),
            ciphertext bytea NOT NULL,
            wrapped_key bytea NOT NULL,
            recorded_at timestamptz NOT NULL
        );
        CREATE INDEX ix_act_annex_actor_id ON act_annex (actor_id);
        """
    )
    grant(op, "act_annex", "SELECT, INSERT, DELETE, UPDATE (ciphertext, wrapped_key)")
    company_rows(op, "act_annex")


def downgrade() -> None:
    op.drop_table("act_annex")
