"""Checkout: money given back."""

from alembic import op

from migrations.support import company_rows, grant

revision = "0019_refunds"
down_revision = "0018_price_audits"

STATES = "'new', 'uncertain', 'pending', 'succeeded', 'failed', 'refused'"
REASONS = "'goods_returned', 'not_delivered', 'damaged', 'price_reduced', 'order_cancelled', 'paid_in_error', 'other'"


def upgrade() -> None:
    op.execute("ALTER TABLE liability ADD CONSTRAINT uq_liability_company_id_id UNIQUE (company_id, id)")
    op.execute(
        f"""
        CREATE TABLE refund (
            id uuid CONSTRAINT pk_refund PRIMARY KEY,
            request_id uuid NOT NULL CONSTRAINT uq_refund_request_id UNIQUE,
            order_id uuid NOT NULL,
            company_id uuid NOT NULL,
            attempt_id uuid NOT NULL,
            liability_id uuid,
            state text NOT NULL CONSTRAINT ck_refund_state CHECK (state IN ({STATES})),
            amount_minor bigint NOT NULL CONSTRAINT ck_refund_amount CHECK (amount_minor > 0),
            goods_minor bigint NOT NULL,
            freight_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            currency char(3) NOT NULL,
            reason text NOT NULL CONSTRAINT ck_refund_reason CHECK (reason IN ({REASONS})),
            note text NOT NULL,
            requested_by uuid NOT NULL CONSTRAINT fk_refund_requested_by_person REFERENCES person,
            requested_at timestamptz NOT NULL,
            stripe_refund_id text CONSTRAINT uq_refund_stripe_refund_id UNIQUE,
            detail text NOT NULL,
            closed_at timestamptz,
            CONSTRAINT uq_refund_company_id_id UNIQUE (company_id, id),
            CONSTRAINT fk_refund_company_id_order_id_customer_order
                FOREIGN KEY (company_id, order_id) REFERENCES customer_order (company_id, id),
            CONSTRAINT fk_refund_company_id_attempt_id_payment_attempt
                FOREIGN KEY (company_id, attempt_id) REFERENCES payment_attempt (company_id, id),
            CONSTRAINT fk_refund_company_id_liability_id_liability
                FOREIGN KEY (company_id, liability_id) REFERENCES liability (company_id, id),
            CONSTRAINT ck_refund_parts CHECK (
                goods_minor >= 0 AND freight_minor >= 0 AND tax_minor >= 0 AND goods_minor + freight_minor + tax_minor
                    = CASE WHEN liability_id IS NULL THEN amount_minor ELSE 0 END
            )
        )
        """
    )
    op.execute("CREATE INDEX ix_refund_order_id ON refund (order_id)")
    op.execute(
        "CREATE INDEX ix_refund_unfinished ON refund (requested_at) WHERE state IN ('new', 'uncertain', 'pending')"
    )
    company_rows(op, "refund")
    grant(op, "refund", "SELECT, INSERT, UPDATE")
    # The wall behind "refunds never exceed what was captured": whoever writes, the attempt's row is locked and summed
    op.execute(
        """
        CREATE FUNCTION tarifa_refunds_within_payment() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            paid bigint;
            given bigint;
        BEGIN
            -- What came by the attempt: the order's own money, or what was held as a case instead
            SELECT coalesce(case_of.amount_minor, a.amount_minor) INTO paid FROM payment_attempt a
            LEFT JOIN liability case_of ON case_of.session_id = a.session_id AND case_of.refund_id IS NULL
            WHERE a.id = NEW.attempt_id AND a.state = 'succeeded'
                AND coalesce(case_of.currency, a.currency) = NEW.currency
            FOR UPDATE OF a;
            SELECT coalesce(sum(amount_minor), 0) INTO given FROM refund
            WHERE attempt_id = NEW.attempt_id AND state NOT IN ('failed', 'refused');
            IF paid IS NULL OR given > paid THEN
                RAISE EXCEPTION 'the refunds of attempt % exceed what was paid', NEW.attempt_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER refund_within_payment AFTER INSERT OR UPDATE ON refund "
        "FOR EACH ROW EXECUTE FUNCTION tarifa_refunds_within_payment()"
    )
    op.execute(
        """
        ALTER TABLE stripe_call ADD COLUMN refund_id uuid,
            ADD CONSTRAINT fk_stripe_call_company_id_refund_id_refund
                FOREIGN KEY (company_id, refund_id) REFERENCES refund (company_id, id),
            DROP CONSTRAINT ck_stripe_call_step,
            ADD CONSTRAINT ck_stripe_call_step CHECK (step IN ('create_session', 'expire_session', 'create_refund')),
            ADD CONSTRAINT ck_stripe_call_refund CHECK ((step = 'create_refund') = (refund_id IS NOT NULL))
        """
    )
    op.execute("CREATE INDEX ix_stripe_call_refund_id ON stripe_call (refund_id) WHERE refund_id IS NOT NULL")
    op.execute(
        """
        ALTER TABLE liability ADD COLUMN refund_id uuid CONSTRAINT uq_liability_refund_id UNIQUE,
            ADD CONSTRAINT fk_liability_company_id_refund_id_refund
                FOREIGN KEY (company_id, refund_id) REFERENCES refund (company_id, id),
            DROP CONSTRAINT uq_liability_session_id,
            DROP CONSTRAINT ck_liability_reason,
            ADD CONSTRAINT ck_liability_reason CHECK (reason IN (
                'amount_differs', 'currency_differs', 'order_closed', 'paid_twice', 'unknown_order', 'refund_failed'
            )),
            ADD CONSTRAINT ck_liability_refund CHECK ((reason = 'refund_failed') = (refund_id IS NOT NULL))
        """
    )
    op.execute("CREATE UNIQUE INDEX uq_liability_session_id ON liability (session_id) WHERE refund_id IS NULL")


def downgrade() -> None:
    op.execute("DELETE FROM liability WHERE refund_id IS NOT NULL")
    op.execute("DROP INDEX uq_liability_session_id")
    op.execute(
        """
        ALTER TABLE liability DROP COLUMN refund_id,
            DROP CONSTRAINT ck_liability_reason,
            ADD CONSTRAINT ck_liability_reason CHECK (reason IN (
                'amount_differs', 'currency_differs', 'order_closed', 'paid_twice', 'unknown_order'
            )),
            ADD CONSTRAINT uq_liability_session_id UNIQUE (session_id)
        """
    )
    op.execute("DELETE FROM stripe_call WHERE refund_id IS NOT NULL")
    op.execute(
        """
        ALTER TABLE stripe_call DROP COLUMN refund_id,
            DROP CONSTRAINT ck_stripe_call_step,
            ADD CONSTRAINT ck_stripe_call_step CHECK (step IN ('create_session', 'expire_session'))
        """
    )
    op.drop_table("refund")
    op.execute("ALTER TABLE liability DROP CONSTRAINT uq_liability_company_id_id")
    op.execute("DROP FUNCTION tarifa_refunds_within_payment()")
