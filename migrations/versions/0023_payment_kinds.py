"""Checkout: payments that take days, cards kept at Stripe and charged there, amounts held and captured later."""

from alembic import op

from migrations.support import company_rows, grant

revision = "0023_payment_kinds"
down_revision = "0022_reconciliations"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE stripe_customer (
            company_id uuid CONSTRAINT pk_stripe_customer PRIMARY KEY
                CONSTRAINT fk_stripe_customer_company_id_company REFERENCES company,
            stripe_customer_id text CONSTRAINT uq_stripe_customer_stripe_customer_id UNIQUE,
            idempotency_key text NOT NULL CONSTRAINT uq_stripe_customer_idempotency_key UNIQUE,
            request text NOT NULL,
            asked_at timestamptz NOT NULL,
            made_at timestamptz,
            CONSTRAINT ck_stripe_customer_made CHECK ((stripe_customer_id IS NULL) = (made_at IS NULL))
        )
        """
    )
    company_rows(op, "stripe_customer")
    grant(op, "stripe_customer", "SELECT, INSERT, UPDATE")
    op.execute(
        """
        CREATE TABLE saved_card (
            id uuid CONSTRAINT pk_saved_card PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_saved_card_company_id_stripe_customer REFERENCES stripe_customer,
            payment_method_id text NOT NULL CONSTRAINT uq_saved_card_payment_method_id UNIQUE,
            brand text NOT NULL,
            last4 text NOT NULL CONSTRAINT ck_saved_card_last4 CHECK (last4 ~ '^[0-9]{4}$'),
            expires_month bigint NOT NULL CONSTRAINT ck_saved_card_expires_month CHECK (expires_month BETWEEN 1 AND 12),
            expires_year bigint NOT NULL,
            saved_by uuid NOT NULL CONSTRAINT fk_saved_card_saved_by_person REFERENCES person,
            saved_at timestamptz NOT NULL,
            removed_at timestamptz,
            removed_by uuid CONSTRAINT fk_saved_card_removed_by_person REFERENCES person,
            detached_at timestamptz,
            CONSTRAINT uq_saved_card_company_id_id UNIQUE (company_id, id),
            CONSTRAINT ck_saved_card_removed CHECK ((removed_at IS NULL) = (removed_by IS NULL)),
            CONSTRAINT ck_saved_card_detached CHECK (detached_at IS NULL OR removed_at IS NOT NULL)
        )
        """
    )
    op.execute("CREATE INDEX ix_saved_card_company_id ON saved_card (company_id)")
    company_rows(op, "saved_card")
    grant(op, "saved_card", "SELECT, INSERT, UPDATE")
    op.execute(
        """
        ALTER TABLE payment_attempt
            ADD COLUMN asked_at timestamptz,
            ADD COLUMN saved_card_id uuid,
            ADD CONSTRAINT fk_payment_attempt_company_id_saved_card_id_saved_card
                FOREIGN KEY (company_id, saved_card_id) REFERENCES saved_card (company_id, id),
            DROP CONSTRAINT ck_payment_attempt_kind,
            ADD CONSTRAINT ck_payment_attempt_kind CHECK (kind IN ('card_session', 'saved_card')),
            DROP CONSTRAINT ck_payment_attempt_state,
            ADD CONSTRAINT ck_payment_attempt_state
                CHECK (state IN ('new', 'uncertain', 'live', 'pending', 'succeeded', 'dead')),
            ADD CONSTRAINT ck_payment_attempt_saved_card CHECK ((kind = 'saved_card') = (saved_card_id IS NOT NULL))
        """
    )
    op.execute("DROP INDEX uq_payment_attempt_open")
    op.execute(
        "CREATE UNIQUE INDEX uq_payment_attempt_open ON payment_attempt (order_id) "
        "WHERE state IN ('new', 'uncertain', 'live', 'pending')"
    )
    op.execute(
        """
        ALTER TABLE stripe_call
            DROP CONSTRAINT ck_stripe_call_step,
            ADD CONSTRAINT ck_stripe_call_step CHECK (step IN (
                'create_session', 'expire_session', 'create_refund', 'charge_card', 'capture', 'cancel_intent'
            ))
        """
    )


def downgrade() -> None:
    op.execute("DELETE FROM stripe_call WHERE step IN ('charge_card', 'capture', 'cancel_intent')")
    op.execute(
        """
        ALTER TABLE stripe_call
            DROP CONSTRAINT ck_stripe_call_step,
            ADD CONSTRAINT ck_stripe_call_step CHECK (step IN ('create_session', 'expire_session', 'create_refund'))
        """
    )
    op.execute("UPDATE payment_attempt SET state = 'live' WHERE state = 'pending'")
    op.execute("DROP INDEX uq_payment_attempt_open")
    op.execute(
        """
        ALTER TABLE payment_attempt
            DROP CONSTRAINT ck_payment_attempt_saved_card,
            DROP COLUMN asked_at,
            DROP COLUMN saved_card_id,
            DROP CONSTRAINT ck_payment_attempt_kind,
            ADD CONSTRAINT ck_payment_attempt_kind CHECK (kind IN ('card_session')) NOT VALID,
            DROP CONSTRAINT ck_payment_attempt_state,
            ADD CONSTRAINT ck_payment_attempt_state
                CHECK (state IN ('new', 'uncertain', 'live', 'succeeded', 'dead'))
        """
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_payment_attempt_open ON payment_attempt (order_id) "
        "WHERE state IN ('new', 'uncertain', 'live')"
    )
    op.drop_table("saved_card")
    op.drop_table("stripe_customer")
