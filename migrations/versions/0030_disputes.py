"""Checkout: disputes as an axis of their own, and money of an order we do not know given back from the desk."""

from alembic import op

from migrations.support import append_only, company_rows, grant, narrow, widen

revision = "0030_disputes"
down_revision = "0029_invoices"

STEPS = ("submit_evidence", "close_dispute")
ACCOUNTS = ("disputed", "dispute_fees", "dispute_losses")
STATES = "'inquiry', 'open', 'won', 'lost', 'closed'"


def upgrade() -> None:
    _disputes()
    widen(op, "stripe_call", "ck_stripe_call_step", "step", *STEPS)
    widen(op, "ledger_posting", "ck_ledger_posting_account", "account", *ACCOUNTS)
    op.execute(
        """
        ALTER TABLE stripe_call ALTER COLUMN attempt_id DROP NOT NULL, ALTER COLUMN company_id DROP NOT NULL,
            ADD COLUMN dispute_id uuid CONSTRAINT fk_stripe_call_dispute_id_dispute REFERENCES dispute,
            ADD CONSTRAINT ck_stripe_call_dispute
                CHECK ((step IN ('submit_evidence', 'close_dispute')) = (dispute_id IS NOT NULL))
        """
    )
    op.execute("CREATE INDEX ix_stripe_call_dispute_id ON stripe_call (dispute_id) WHERE dispute_id IS NOT NULL")
    op.execute(
        """
        ALTER TABLE liability ADD COLUMN disputed_minor bigint NOT NULL DEFAULT 0
            CONSTRAINT ck_liability_disputed CHECK (disputed_minor BETWEEN 0 AND amount_minor)
        """
    )
    # Money of no order that we know has neither order, company nor attempt: what it is given back of is its case
    op.execute(
        """
        ALTER TABLE refund ALTER COLUMN order_id DROP NOT NULL, ALTER COLUMN company_id DROP NOT NULL,
            ALTER COLUMN attempt_id DROP NOT NULL,
            ADD CONSTRAINT fk_refund_liability_id_liability FOREIGN KEY (liability_id) REFERENCES liability (id),
            ADD CONSTRAINT ck_refund_of_what CHECK (
                CASE WHEN order_id IS NULL THEN company_id IS NULL AND attempt_id IS NULL AND liability_id IS NOT NULL
                ELSE company_id IS NOT NULL AND attempt_id IS NOT NULL END
            )
        """
    )
    _wall()


def _disputes() -> None:
    op.execute(
        f"""
        CREATE TABLE dispute (
            id uuid CONSTRAINT pk_dispute PRIMARY KEY,
            stripe_dispute_id text NOT NULL CONSTRAINT uq_dispute_stripe_dispute_id UNIQUE,
            charge_id text NOT NULL,
            payment_intent_id text,
            order_id uuid,
            company_id uuid,
            attempt_id uuid,
            liability_id uuid CONSTRAINT fk_dispute_liability_id_liability REFERENCES liability,
            state text NOT NULL CONSTRAINT ck_dispute_state CHECK (state IN ({STATES})),
            stripe_status text NOT NULL,
            reason text NOT NULL,
            amount_minor bigint NOT NULL CONSTRAINT ck_dispute_amount CHECK (amount_minor > 0),
            currency char(3) NOT NULL,
            counted_minor bigint NOT NULL,
            withdrawn_minor bigint NOT NULL,
            fee_minor bigint NOT NULL,
            fee_currency char(3) NOT NULL,
            goods_minor bigint NOT NULL,
            freight_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            owed_minor bigint NOT NULL,
            excess_minor bigint NOT NULL,
            due_by timestamptz,
            submissions bigint NOT NULL,
            version bigint NOT NULL,
            opened_at timestamptz NOT NULL,
            heard_at timestamptz NOT NULL,
            asked_at timestamptz NOT NULL,
            closed_at timestamptz,
            CONSTRAINT uq_dispute_company_id_id UNIQUE (company_id, id),
            CONSTRAINT fk_dispute_company_id_order_id_customer_order
                FOREIGN KEY (company_id, order_id) REFERENCES customer_order (company_id, id),
            CONSTRAINT fk_dispute_company_id_attempt_id_payment_attempt
                FOREIGN KEY (company_id, attempt_id) REFERENCES payment_attempt (company_id, id),
            CONSTRAINT ck_dispute_of_what CHECK (
                CASE WHEN order_id IS NULL THEN company_id IS NULL AND attempt_id IS NULL AND liability_id IS NOT NULL
                ELSE company_id IS NOT NULL AND attempt_id IS NOT NULL END
            ),
            CONSTRAINT ck_dispute_counted CHECK (counted_minor BETWEEN 0 AND amount_minor),
            CONSTRAINT ck_dispute_parts CHECK (
                goods_minor >= 0 AND freight_minor >= 0 AND tax_minor >= 0 AND owed_minor >= 0 AND excess_minor >= 0
            )
        )
        """
    )
    # A lost dispute's money is shared out whole, any other's not at all: true when the transaction ends
    op.execute(
        """
        CREATE FUNCTION tarifa_dispute_shared_out() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT 1 FROM dispute WHERE id = NEW.id
                AND goods_minor + freight_minor + tax_minor + owed_minor + excess_minor
                    <> CASE WHEN state = 'lost' THEN withdrawn_minor ELSE 0 END
            ) THEN
                RAISE EXCEPTION 'the parts of dispute % are not what it took', NEW.id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER dispute_shared_out AFTER INSERT OR UPDATE ON dispute "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tarifa_dispute_shared_out()"
    )
    op.execute("CREATE INDEX ix_dispute_order_id ON dispute (order_id)")
    op.execute("CREATE INDEX ix_dispute_attempt_id ON dispute (attempt_id)")
    op.execute("CREATE INDEX ix_dispute_open ON dispute (asked_at) WHERE state IN ('inquiry', 'open')")
    company_rows(op, "dispute")
    grant(op, "dispute", "SELECT, INSERT, UPDATE")
    op.execute(
        f"""
        CREATE TABLE dispute_event (
            dispute_id uuid NOT NULL CONSTRAINT fk_dispute_event_dispute_id_dispute REFERENCES dispute,
            version bigint NOT NULL,
            company_id uuid,
            event text NOT NULL,
            state text NOT NULL CONSTRAINT ck_dispute_event_state CHECK (state IN ({STATES})),
            stripe_status text NOT NULL,
            withdrawn_minor bigint NOT NULL,
            fee_minor bigint NOT NULL,
            due_by timestamptz,
            detail text NOT NULL,
            person_id uuid CONSTRAINT fk_dispute_event_person_id_person REFERENCES person,
            at timestamptz NOT NULL,
            CONSTRAINT pk_dispute_event PRIMARY KEY (dispute_id, version)
        )
        """
    )
    company_rows(op, "dispute_event")
    grant(op, "dispute_event", "SELECT, INSERT")
    append_only(op, "dispute_event")


def _wall() -> None:
    """Refunds and open or lost disputes never exceed what came, whoever writes: what they are of is locked, summed."""
    op.execute(
        """
        CREATE OR REPLACE FUNCTION tarifa_refunds_within_payment() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            paid bigint;
            given bigint;
        BEGIN
            IF NEW.attempt_id IS NULL THEN
                SELECT amount_minor INTO paid FROM liability
                WHERE id = NEW.liability_id AND currency = NEW.currency FOR UPDATE;
                SELECT coalesce(sum(amount_minor), 0) INTO given FROM refund
                WHERE liability_id = NEW.liability_id AND state NOT IN ('failed', 'refused');
                given := given + (SELECT coalesce(sum(counted_minor), 0) FROM dispute
                    WHERE liability_id = NEW.liability_id AND state IN ('open', 'lost'));
            ELSE
                -- What came by the attempt: the order's own money, or what was held as a case instead
                SELECT coalesce(case_of.amount_minor, a.amount_minor) INTO paid FROM payment_attempt a
                LEFT JOIN liability case_of ON case_of.session_id = a.session_id AND case_of.refund_id IS NULL
                WHERE a.id = NEW.attempt_id AND a.state = 'succeeded'
                    AND coalesce(case_of.currency, a.currency) = NEW.currency
                FOR UPDATE OF a;
                SELECT coalesce(sum(amount_minor), 0) INTO given FROM refund
                WHERE attempt_id = NEW.attempt_id AND state NOT IN ('failed', 'refused');
                given := given + (SELECT coalesce(sum(counted_minor), 0) FROM dispute
                    WHERE attempt_id = NEW.attempt_id AND state IN ('open', 'lost'));
            END IF;
            IF paid IS NULL OR given > paid THEN
                RAISE EXCEPTION 'refunds and disputes of attempt % exceed what was paid', NEW.attempt_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER dispute_within_payment AFTER INSERT OR UPDATE ON dispute "
        "FOR EACH ROW WHEN (NEW.counted_minor > 0) EXECUTE FUNCTION tarifa_refunds_within_payment()"
    )


def downgrade() -> None:
    op.execute("DELETE FROM stripe_call WHERE dispute_id IS NOT NULL OR attempt_id IS NULL")
    op.execute(
        """
        ALTER TABLE stripe_call DROP COLUMN dispute_id, ALTER COLUMN attempt_id SET NOT NULL,
            ALTER COLUMN company_id SET NOT NULL
        """
    )
    op.drop_table("dispute_event")
    op.drop_table("dispute")
    op.execute("DROP FUNCTION tarifa_dispute_shared_out()")
    op.execute("DELETE FROM refund WHERE order_id IS NULL")
    op.execute(
        """
        ALTER TABLE refund DROP CONSTRAINT ck_refund_of_what, DROP CONSTRAINT fk_refund_liability_id_liability,
            ALTER COLUMN order_id SET NOT NULL, ALTER COLUMN company_id SET NOT NULL,
            ALTER COLUMN attempt_id SET NOT NULL
        """
    )
    op.execute("ALTER TABLE liability DROP COLUMN disputed_minor")
    narrow(op, "stripe_call", "ck_stripe_call_step", "step", *STEPS)
    narrow(op, "ledger_posting", "ck_ledger_posting_account", "account", *ACCOUNTS)
    op.execute(
        """
        CREATE OR REPLACE FUNCTION tarifa_refunds_within_payment() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            paid bigint;
            given bigint;
        BEGIN
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
