"""Checkout: terms and credit limits, invoices, money on them, credit notes."""

from alembic import op

from migrations.support import append_only, company_rows, grant, narrow, staff_rows, widen

revision = "0029_invoices"
down_revision = "0028_legal_desk"

ORDER_KEY = "FOREIGN KEY (company_id, order_id) REFERENCES customer_order (company_id, id)"
INVOICE_KEY = "FOREIGN KEY (company_id, invoice_id) REFERENCES invoice (company_id, id)"
STEPS = (
    "create_invoice",
    "add_invoice_item",
    "finalize_invoice",
    "send_invoice",
    "void_invoice",
    "mark_uncollectible",
    "pay_out_of_band",
    "create_credit_note",
)
ACCOUNTS = ("accounts_receivable", "customer_cash", "bank", "bad_debt")


def upgrade() -> None:
    _orders()
    _terms()
    _invoices()
    _credit_limit()


def _orders() -> None:
    op.execute(
        """
        ALTER TABLE checkout ADD COLUMN paying text NOT NULL DEFAULT 'now'
            CONSTRAINT ck_checkout_paying CHECK (paying IN ('now', 'on_terms'));
        ALTER TABLE checkout ALTER COLUMN paying DROP DEFAULT;
        ALTER TABLE customer_order ADD COLUMN net_days bigint
            CONSTRAINT ck_customer_order_net_days CHECK (net_days BETWEEN 1 AND 365);
        ALTER TABLE customer_order ADD CONSTRAINT ck_customer_order_on_terms
            CHECK (state NOT IN ('on_terms', 'written_off') OR net_days IS NOT NULL);
        """
    )
    widen(op, "payment_attempt", "ck_payment_attempt_kind", "kind", "invoice")
    widen(op, "stripe_call", "ck_stripe_call_step", "step", *STEPS)
    widen(op, "ledger_posting", "ck_ledger_posting_account", "account", *ACCOUNTS)


def _terms() -> None:
    op.execute(
        """
        CREATE TABLE credit_terms (
            company_id uuid CONSTRAINT pk_credit_terms PRIMARY KEY
                CONSTRAINT fk_credit_terms_company_id_company REFERENCES company,
            net_days bigint NOT NULL CONSTRAINT ck_credit_terms_net_days CHECK (net_days BETWEEN 1 AND 365),
            limit_minor bigint NOT NULL CONSTRAINT ck_credit_terms_limit CHECK (limit_minor >= 0),
            currency char(3) NOT NULL,
            changed_at timestamptz NOT NULL,
            withdrawn_at timestamptz
        );
        ALTER TABLE credit_terms ENABLE ROW LEVEL SECURITY;
        ALTER TABLE credit_terms FORCE ROW LEVEL SECURITY;
        -- A buyer reads its own terms and locks them to order; only staff ever writes them
        CREATE POLICY credit_terms_rows ON credit_terms
            USING (tarifa_may_see(company_id)) WITH CHECK (tarifa_may_see(NULL));
        CREATE TABLE credit_change (
            id uuid CONSTRAINT pk_credit_change PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_credit_change_company_id_company REFERENCES company,
            before jsonb,
            after jsonb,
            reason text NOT NULL CONSTRAINT ck_credit_change_reason CHECK (reason <> ''),
            changed_by uuid CONSTRAINT fk_credit_change_changed_by_person REFERENCES person,
            changed_at timestamptz NOT NULL,
            CONSTRAINT ck_credit_change_changes CHECK (before IS DISTINCT FROM after)
        );
        CREATE INDEX ix_credit_change_company_id ON credit_change (company_id, changed_at);
        """
    )
    grant(op, "credit_terms", "SELECT, INSERT, UPDATE")
    append_only(op, "credit_change")
    grant(op, "credit_change", "SELECT, INSERT")
    staff_rows(op, "credit_change")


def _invoices() -> None:
    op.execute(
        f"""
        CREATE TABLE invoice (
            id uuid CONSTRAINT pk_invoice PRIMARY KEY,
            order_id uuid NOT NULL CONSTRAINT uq_invoice_order_id UNIQUE,
            company_id uuid NOT NULL,
            attempt_id uuid NOT NULL CONSTRAINT uq_invoice_attempt_id UNIQUE,
            state text NOT NULL CONSTRAINT ck_invoice_state
                CHECK (state IN ('making', 'open', 'paid', 'void', 'uncollectible', 'unfit')),
            net_days bigint NOT NULL,
            amount_minor bigint NOT NULL CONSTRAINT ck_invoice_amount CHECK (amount_minor > 0),
            currency char(3) NOT NULL,
            paid_minor bigint NOT NULL,
            credited_minor bigint NOT NULL,
            released_by uuid NOT NULL CONSTRAINT fk_invoice_released_by_person REFERENCES person,
            released_at timestamptz NOT NULL,
            stripe_customer_id text,
            stripe_invoice_id text CONSTRAINT uq_invoice_stripe_invoice_id UNIQUE,
            number text,
            due_at timestamptz,
            hosted_url text,
            pdf_url text,
            sent_at timestamptz,
            reminded_at timestamptz,
            closed_at timestamptz,
            detail text NOT NULL,
            CONSTRAINT uq_invoice_company_id_id UNIQUE (company_id, id),
            CONSTRAINT fk_invoice_company_id_order_id_customer_order {ORDER_KEY},
            CONSTRAINT fk_invoice_company_id_attempt_id_payment_attempt
                FOREIGN KEY (company_id, attempt_id) REFERENCES payment_attempt (company_id, id),
            -- The wall behind "never more than it is over": what comes beyond that is a case
            CONSTRAINT ck_invoice_not_exceeded CHECK (
                paid_minor >= 0 AND credited_minor >= 0 AND paid_minor + credited_minor <= amount_minor
            ),
            CONSTRAINT ck_invoice_paid CHECK (state <> 'paid' OR paid_minor + credited_minor = amount_minor)
        );
        CREATE INDEX ix_invoice_open ON invoice (due_at) WHERE state IN ('making', 'open', 'unfit');
        CREATE TABLE invoice_receipt (
            id uuid CONSTRAINT pk_invoice_receipt PRIMARY KEY,
            invoice_id uuid NOT NULL,
            order_id uuid NOT NULL,
            company_id uuid NOT NULL,
            source text NOT NULL CONSTRAINT uq_invoice_receipt_source UNIQUE,
            kind text NOT NULL CONSTRAINT ck_invoice_receipt_kind
                CHECK (kind IN ('stripe', 'bank_transfer', 'out_of_band')),
            payment_intent_id text,
            amount_minor bigint NOT NULL,
            surplus_minor bigint NOT NULL,
            currency char(3) NOT NULL,
            received_at timestamptz NOT NULL,
            CONSTRAINT fk_invoice_receipt_company_id_order_id_customer_order {ORDER_KEY},
            CONSTRAINT fk_invoice_receipt_company_id_invoice_id_invoice {INVOICE_KEY},
            CONSTRAINT ck_invoice_receipt_surplus CHECK (surplus_minor >= 0)
        );
        CREATE INDEX ix_invoice_receipt_invoice_id ON invoice_receipt (invoice_id);
        CREATE TABLE cash_movement (
            id text CONSTRAINT pk_cash_movement PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_cash_movement_company_id_company REFERENCES company,
            kind text NOT NULL,
            net_minor bigint NOT NULL,
            currency char(3) NOT NULL,
            payment_intent_id text,
            moved_at timestamptz NOT NULL
        );
        CREATE INDEX ix_cash_movement_company_id ON cash_movement (company_id);
        CREATE TABLE credit_note (
            id uuid CONSTRAINT pk_credit_note PRIMARY KEY,
            request_id uuid NOT NULL CONSTRAINT uq_credit_note_request_id UNIQUE,
            invoice_id uuid NOT NULL,
            order_id uuid NOT NULL,
            company_id uuid NOT NULL,
            state text NOT NULL CONSTRAINT ck_credit_note_state
                CHECK (state IN ('new', 'uncertain', 'issued', 'refused')),
            settles text NOT NULL CONSTRAINT ck_credit_note_settles
                CHECK (settles IN ('due', 'refund', 'out_of_band')),
            amount_minor bigint NOT NULL CONSTRAINT ck_credit_note_amount CHECK (amount_minor > 0),
            goods_minor bigint NOT NULL,
            freight_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            currency char(3) NOT NULL,
            note text NOT NULL,
            requested_by uuid NOT NULL CONSTRAINT fk_credit_note_requested_by_person REFERENCES person,
            requested_at timestamptz NOT NULL,
            stripe_credit_note_id text CONSTRAINT uq_credit_note_stripe_credit_note_id UNIQUE,
            number text,
            pdf_url text,
            detail text NOT NULL,
            closed_at timestamptz,
            CONSTRAINT uq_credit_note_company_id_id UNIQUE (company_id, id),
            CONSTRAINT fk_credit_note_company_id_order_id_customer_order {ORDER_KEY},
            CONSTRAINT fk_credit_note_company_id_invoice_id_invoice {INVOICE_KEY},
            CONSTRAINT ck_credit_note_parts CHECK (
                goods_minor >= 0 AND freight_minor >= 0 AND tax_minor >= 0
                AND goods_minor + freight_minor + tax_minor = amount_minor
            )
        );
        CREATE INDEX ix_credit_note_invoice_id ON credit_note (invoice_id);
        """
    )
    for table, rights in (
        ("invoice", "SELECT, INSERT, UPDATE"),
        ("invoice_receipt", "SELECT, INSERT"),
        ("cash_movement", "SELECT, INSERT"),
        ("credit_note", "SELECT, INSERT, UPDATE"),
    ):
        company_rows(op, table)
        grant(op, table, rights)
    append_only(op, "invoice_receipt")
    append_only(op, "cash_movement")
    # The wall behind "credit notes never exceed the invoice": whoever writes, the invoice's row is locked and summed
    op.execute(
        """
        CREATE FUNCTION tarifa_credit_within_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            billed bigint;
            credited bigint;
        BEGIN
            SELECT amount_minor INTO billed FROM invoice
            WHERE id = NEW.invoice_id AND currency = NEW.currency FOR UPDATE;
            SELECT coalesce(sum(amount_minor), 0) INTO credited FROM credit_note
            WHERE invoice_id = NEW.invoice_id AND state <> 'refused';
            IF billed IS NULL OR credited > billed THEN
                RAISE EXCEPTION 'the credit notes of invoice % exceed it', NEW.invoice_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER credit_note_within_invoice AFTER INSERT OR UPDATE ON credit_note
            FOR EACH ROW EXECUTE FUNCTION tarifa_credit_within_invoice();
        """
    )


def _credit_limit() -> None:
    op.execute(
        """
        -- What a company owes or will owe on terms: of its orders that are not paid, less what came and was credited
        CREATE FUNCTION tarifa_open_exposure(buyer uuid, code text) RETURNS bigint LANGUAGE sql STABLE AS $$
            SELECT coalesce(sum(o.total_minor - coalesce(i.paid_minor + i.credited_minor, 0)), 0)::bigint
            FROM customer_order o LEFT JOIN invoice i ON i.order_id = o.id
            WHERE o.company_id = buyer AND o.currency = code AND o.net_days IS NOT NULL
                AND o.state IN ('on_terms', 'cancelling') AND (i.id IS NOT NULL OR o.state = 'on_terms')
        $$;
        -- The wall behind the check at submit: whoever writes an order on terms, the company's terms are locked and
        -- what is open is summed with it
        CREATE FUNCTION tarifa_within_credit_limit() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            terms credit_terms;
        BEGIN
            SELECT * INTO terms FROM credit_terms
            WHERE company_id = NEW.company_id AND withdrawn_at IS NULL AND currency = NEW.currency FOR UPDATE;
            IF terms.company_id IS NULL OR terms.limit_minor < tarifa_open_exposure(NEW.company_id, NEW.currency) THEN
                RAISE EXCEPTION 'order % is not within the credit of its company', NEW.number
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER customer_order_within_credit AFTER INSERT ON customer_order
            FOR EACH ROW WHEN (NEW.state = 'on_terms') EXECUTE FUNCTION tarifa_within_credit_limit();
        CREATE INDEX ix_customer_order_on_terms ON customer_order (company_id) WHERE state = 'on_terms';
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER customer_order_within_credit ON customer_order;
        DROP FUNCTION tarifa_within_credit_limit();
        DROP FUNCTION tarifa_open_exposure(uuid, text);
        DROP INDEX ix_customer_order_on_terms;
        """
    )
    for table in ("credit_note", "cash_movement", "invoice_receipt", "invoice"):
        op.drop_table(table)
    op.drop_table("credit_change")
    op.drop_table("credit_terms")
    op.execute("DROP FUNCTION tarifa_credit_within_invoice()")
    for table, constraint, column, values in (
        ("ledger_posting", "ck_ledger_posting_account", "account", ACCOUNTS),
        ("stripe_call", "ck_stripe_call_step", "step", STEPS),
        ("payment_attempt", "ck_payment_attempt_kind", "kind", ("invoice",)),
    ):
        narrow(op, table, constraint, column, *values)
    op.execute(
        """
        ALTER TABLE customer_order DROP CONSTRAINT ck_customer_order_on_terms, DROP COLUMN net_days;
        ALTER TABLE checkout DROP COLUMN paying;
        """
    )
