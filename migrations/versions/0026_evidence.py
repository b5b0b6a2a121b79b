"""Agreements: receipts on their way to their signers, stamps of checkpoints by others, keys of annexes."""

from alembic import op

from migrations.support import append_only, company_rows, grant

revision = "0026_evidence"
down_revision = "0025_approvals_and_packages"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE acceptance_receipt (
            acceptance_id uuid CONSTRAINT pk_acceptance_receipt PRIMARY KEY
                CONSTRAINT fk_acceptance_receipt_acceptance_id_acceptance REFERENCES acceptance (id),
            company_id uuid NOT NULL CONSTRAINT fk_acceptance_receipt_company_id_company REFERENCES company (id),
            recorded_at timestamptz NOT NULL,
            checkpoint_size bigint
                CONSTRAINT fk_acceptance_receipt_checkpoint REFERENCES acceptance_ledger_checkpoint (size),
            checkpointed_at timestamptz,
            message_id text,
            message_digest text,
            pdf_digest text,
            sent_at timestamptz,
            answer text,
            CONSTRAINT ck_acceptance_receipt_checkpointed
                CHECK ((checkpoint_size IS NULL) = (checkpointed_at IS NULL)),
            CONSTRAINT ck_acceptance_receipt_sent CHECK (sent_at IS NULL OR checkpointed_at IS NOT NULL)
        );
        CREATE TABLE acceptance_ledger_stamp (
            size bigint CONSTRAINT pk_acceptance_ledger_stamp PRIMARY KEY
                CONSTRAINT fk_acceptance_ledger_stamp_checkpoint REFERENCES acceptance_ledger_checkpoint (size),
            authority text NOT NULL,
            answer bytea NOT NULL,
            stamped_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL
        );
        ALTER TABLE acceptance_annex ADD COLUMN wrapped_key bytea;
        """
    )
    grant(
        op,
        "acceptance_receipt",
        "SELECT, INSERT, UPDATE (checkpoint_size, checkpointed_at, message_id, message_digest, pdf_digest, sent_at,"
        " answer)",
    )
    company_rows(op, "acceptance_receipt")
    grant(op, "acceptance_ledger_stamp", "SELECT, INSERT")
    append_only(op, "acceptance_ledger_stamp")
    grant(op, "acceptance_annex", "UPDATE (ciphertext, wrapped_key)")


def downgrade() -> None:
    op.execute("ALTER TABLE acceptance_annex DROP COLUMN wrapped_key")
    op.drop_table("acceptance_ledger_stamp")
    op.drop_table("acceptance_receipt")
