"""Checkout: carts, checkouts, orders, payment attempts, what Stripe was asked and said, postings, liabilities."""

from alembic import op

from migrations.support import append_only, company_rows, grant

revision = "0006_checkout"
down_revision = "0005_agreements"

STATES = (
    "'open', 'awaiting', 'signing', 'payable', 'processing', 'authorised', 'closing', 'paid', 'on_terms', "
    "'written_off', 'cancelling', 'cancelled', 'lapsed'"
)
ORDER_STATES = STATES.removeprefix("'open', 'awaiting', 'signing', ")
ORDER_KEY = "FOREIGN KEY (company_id, order_id) REFERENCES customer_order (company_id, id)"


def upgrade() -> None:
    _carts()
    _orders()
    _payments()
    _ledger()


def _carts() -> None:
    op.execute(
        """
        CREATE TABLE cart (
            id uuid CONSTRAINT pk_cart PRIMARY KEY,
            visitor_id uuid NOT NULL,
            company_id uuid CONSTRAINT fk_cart_company_id_company REFERENCES company,
            person_id uuid CONSTRAINT fk_cart_person_id_person REFERENCES person,
            currency char(3) NOT NULL,
            state text NOT NULL CONSTRAINT ck_cart_state CHECK (state IN ('open', 'ordered', 'merged')),
            version bigint NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            CONSTRAINT ck_cart_person CHECK ((company_id IS NULL) = (person_id IS NULL))
        )
        """
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_cart_open_of_visitor ON cart (visitor_id) WHERE state = 'open' AND company_id IS NULL"
    )
    op.execute("CREATE UNIQUE INDEX uq_cart_open_of_person ON cart (company_id, person_id) WHERE state = 'open'")
    company_rows(op, "cart", guests=True)
    grant(op, "cart", "SELECT, INSERT, UPDATE")
    op.execute(
        """
        CREATE TABLE cart_line (
            cart_id uuid NOT NULL CONSTRAINT fk_cart_line_cart_id_cart REFERENCES cart ON DELETE CASCADE,
            position bigint NOT NULL,
            sku text NOT NULL,
            unit text NOT NULL,
            quantity numeric(24, 6) NOT NULL CONSTRAINT ck_cart_line_quantity CHECK (quantity > 0),
            CONSTRAINT pk_cart_line PRIMARY KEY (cart_id, position),
            CONSTRAINT uq_cart_line_cart_id_sku_unit UNIQUE (cart_id, sku, unit)
        )
        """
    )
    # A line is seen where its cart is seen: the sub-select itself runs under the cart's policy
    op.execute("ALTER TABLE cart_line ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE cart_line FORCE ROW LEVEL SECURITY")
    rule = "EXISTS (SELECT 1 FROM cart WHERE cart.id = cart_line.cart_id)"
    op.execute(f"CREATE POLICY cart_line_rows ON cart_line USING ({rule}) WITH CHECK ({rule})")
    grant(op, "cart_line", "SELECT, INSERT, UPDATE, DELETE")
    op.execute(
        f"""
        CREATE TABLE checkout (
            id uuid CONSTRAINT pk_checkout PRIMARY KEY,
            cart_id uuid NOT NULL CONSTRAINT uq_checkout_cart_id UNIQUE
                CONSTRAINT fk_checkout_cart_id_cart REFERENCES cart,
            visitor_id uuid NOT NULL,
            company_id uuid CONSTRAINT fk_checkout_company_id_company REFERENCES company,
            person_id uuid CONSTRAINT fk_checkout_person_id_person REFERENCES person,
            state text NOT NULL CONSTRAINT ck_checkout_state CHECK (state IN ({STATES})),
            version bigint NOT NULL,
            locale text NOT NULL,
            email text,
            ship_to jsonb,
            po_number text,
            tax_id text,
            details_saved_at timestamptz,
            shown_total_minor bigint,
            currency char(3) NOT NULL,
            shown jsonb,
            accepted_at timestamptz,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )
        """
    )
    company_rows(op, "checkout", guests=True)
    grant(op, "checkout", "SELECT, INSERT, UPDATE")


def _orders() -> None:
    op.execute("CREATE SEQUENCE customer_order_number")
    grant(op, "SEQUENCE customer_order_number", "USAGE")
    op.execute(
        f"""
        CREATE TABLE customer_order (
            id uuid CONSTRAINT pk_customer_order PRIMARY KEY,
            number text NOT NULL CONSTRAINT uq_customer_order_number UNIQUE,
            company_id uuid NOT NULL CONSTRAINT fk_customer_order_company_id_company REFERENCES company,
            checkout_id uuid NOT NULL CONSTRAINT uq_customer_order_checkout_id UNIQUE
                CONSTRAINT fk_customer_order_checkout_id_checkout REFERENCES checkout,
            person_id uuid NOT NULL CONSTRAINT fk_customer_order_person_id_person REFERENCES person,
            state text NOT NULL CONSTRAINT ck_customer_order_state CHECK (state IN ({ORDER_STATES})),
            closing_as text CONSTRAINT ck_customer_order_closing_as CHECK (closing_as IN ('lapsed', 'cancelled')),
            version bigint NOT NULL,
            locale text NOT NULL,
            email text NOT NULL,
            visitor_id uuid NOT NULL,
            currency char(3) NOT NULL,
            goods_minor bigint NOT NULL,
            freight_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            total_minor bigint NOT NULL,
            price_root text NOT NULL,
            priced_at timestamptz NOT NULL,
            canonical jsonb NOT NULL,
            canonical_digest text NOT NULL,
            tax_inputs jsonb NOT NULL,
            freight_inputs jsonb NOT NULL,
            ship_to jsonb NOT NULL,
            po_number text,
            tax_id text,
            pay_by timestamptz,
            placed_at timestamptz NOT NULL,
            paid_at timestamptz,
            closed_at timestamptz,
            CONSTRAINT uq_customer_order_company_id_id UNIQUE (company_id, id),
            -- No evidence, no order: the commit itself refuses one without its acceptance
            CONSTRAINT fk_customer_order_company_id_id_acceptance FOREIGN KEY (company_id, id)
                REFERENCES acceptance (company_id, order_id) DEFERRABLE INITIALLY DEFERRED,
            CONSTRAINT ck_customer_order_parts_make_total CHECK (
                total_minor = goods_minor + freight_minor + tax_minor
                AND goods_minor >= 0 AND freight_minor >= 0 AND tax_minor >= 0
            ),
            CONSTRAINT ck_customer_order_paid_at CHECK (state <> 'paid' OR paid_at IS NOT NULL),
            CONSTRAINT ck_customer_order_closing CHECK (state <> 'closing' OR closing_as IS NOT NULL)
        )
        """
    )
    op.execute("CREATE INDEX ix_customer_order_company_id_placed_at ON customer_order (company_id, placed_at DESC)")
    op.execute("CREATE INDEX ix_customer_order_pay_by ON customer_order (pay_by) WHERE state IN ('payable', 'closing')")
    company_rows(op, "customer_order")
    grant(op, "customer_order", "SELECT, INSERT, UPDATE")
    op.execute(
        f"""
        CREATE TABLE order_line (
            order_id uuid NOT NULL,
            position bigint NOT NULL,
            company_id uuid NOT NULL,
            sku text NOT NULL,
            sku_id uuid NOT NULL CONSTRAINT fk_order_line_sku_id_sku REFERENCES sku,
            names jsonb NOT NULL,
            unit text NOT NULL,
            quantity numeric(24, 6) NOT NULL CONSTRAINT ck_order_line_quantity CHECK (quantity > 0),
            base_quantity numeric(24, 6) NOT NULL,
            price_unit text NOT NULL,
            unit_price text,
            net text NOT NULL,
            tax text NOT NULL,
            tax_percent text NOT NULL,
            trace jsonb NOT NULL,
            CONSTRAINT pk_order_line PRIMARY KEY (order_id, position),
            CONSTRAINT fk_order_line_company_id_order_id_customer_order {ORDER_KEY}
        )
        """
    )
    company_rows(op, "order_line")
    grant(op, "order_line", "SELECT, INSERT")
    append_only(op, "order_line")
    op.execute(
        f"""
        CREATE TABLE order_event (
            order_id uuid NOT NULL,
            version bigint NOT NULL,
            company_id uuid NOT NULL,
            event text NOT NULL,
            before text CONSTRAINT ck_order_event_before CHECK (before IN ({STATES})),
            after text NOT NULL CONSTRAINT ck_order_event_after CHECK (after IN ({ORDER_STATES})),
            detail text NOT NULL,
            person_id uuid CONSTRAINT fk_order_event_person_id_person REFERENCES person,
            at timestamptz NOT NULL,
            CONSTRAINT pk_order_event PRIMARY KEY (order_id, version),
            CONSTRAINT fk_order_event_company_id_order_id_customer_order {ORDER_KEY}
        )
        """
    )
    company_rows(op, "order_event")
    grant(op, "order_event", "SELECT, INSERT")
    append_only(op, "order_event")
    op.execute(
        f"""
        CREATE TABLE stock_reservation (
            order_id uuid NOT NULL,
            sku_id uuid NOT NULL CONSTRAINT fk_stock_reservation_sku_id_sku REFERENCES sku,
            company_id uuid NOT NULL,
            quantity numeric(24, 6) NOT NULL CONSTRAINT ck_stock_reservation_quantity CHECK (quantity > 0),
            state text NOT NULL
                CONSTRAINT ck_stock_reservation_state CHECK (state IN ('reserved', 'sold', 'returned')),
            changed_at timestamptz NOT NULL,
            CONSTRAINT pk_stock_reservation PRIMARY KEY (order_id, sku_id),
            CONSTRAINT fk_stock_reservation_company_id_order_id_customer_order {ORDER_KEY}
        )
        """
    )
    company_rows(op, "stock_reservation")
    grant(op, "stock_reservation", "SELECT, INSERT, UPDATE")


def _payments() -> None:
    op.execute(
        f"""
        CREATE TABLE payment_attempt (
            id uuid CONSTRAINT pk_payment_attempt PRIMARY KEY,
            order_id uuid NOT NULL,
            company_id uuid NOT NULL,
            kind text NOT NULL CONSTRAINT ck_payment_attempt_kind CHECK (kind IN ('card_session')),
            state text NOT NULL CONSTRAINT ck_payment_attempt_state
                CHECK (state IN ('new', 'uncertain', 'live', 'succeeded', 'dead')),
            amount_minor bigint NOT NULL CONSTRAINT ck_payment_attempt_amount CHECK (amount_minor > 0),
            currency char(3) NOT NULL,
            session_id text CONSTRAINT uq_payment_attempt_session_id UNIQUE,
            url text,
            payment_intent_id text,
            detail text NOT NULL,
            created_at timestamptz NOT NULL,
            closed_at timestamptz,
            CONSTRAINT uq_payment_attempt_company_id_id UNIQUE (company_id, id),
            CONSTRAINT fk_payment_attempt_company_id_order_id_customer_order {ORDER_KEY}
        )
        """
    )
    # The wall behind "reuse the live or uncertain attempt": an order has one open attempt at most
    op.execute(
        "CREATE UNIQUE INDEX uq_payment_attempt_open ON payment_attempt (order_id) "
        "WHERE state IN ('new', 'uncertain', 'live')"
    )
    company_rows(op, "payment_attempt")
    grant(op, "payment_attempt", "SELECT, INSERT, UPDATE")
    op.execute(
        """
        CREATE TABLE stripe_call (
            id uuid CONSTRAINT pk_stripe_call PRIMARY KEY,
            attempt_id uuid NOT NULL,
            company_id uuid NOT NULL,
            step text NOT NULL CONSTRAINT ck_stripe_call_step CHECK (step IN ('create_session', 'expire_session')),
            idempotency_key text NOT NULL CONSTRAINT uq_stripe_call_idempotency_key UNIQUE,
            request text NOT NULL,
            created_at timestamptz NOT NULL,
            sent_at timestamptz NOT NULL,
            sent_times bigint NOT NULL,
            answered_at timestamptz,
            outcome text
                CONSTRAINT ck_stripe_call_outcome CHECK (outcome IN ('done', 'refused', 'throttled', 'uncertain')),
            answer_status bigint,
            answer jsonb,
            CONSTRAINT fk_stripe_call_company_id_attempt_id_payment_attempt
                FOREIGN KEY (company_id, attempt_id) REFERENCES payment_attempt (company_id, id)
        )
        """
    )
    op.execute("CREATE INDEX ix_stripe_call_attempt_id ON stripe_call (attempt_id)")
    company_rows(op, "stripe_call")
    grant(op, "stripe_call", "SELECT, INSERT, UPDATE")
    # An event names its order only inside Stripe's own object; no buyer's query touches this table
    op.execute(
        """
        CREATE TABLE stripe_event (
            id text CONSTRAINT pk_stripe_event PRIMARY KEY,
            type text NOT NULL,
            api_version text,
            livemode boolean NOT NULL,
            payload jsonb NOT NULL,
            received_at timestamptz NOT NULL,
            handled_at timestamptz,
            outcome text
                CONSTRAINT ck_stripe_event_outcome CHECK (outcome IN ('settled', 'nothing_to_do', 'parked')),
            detail text NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_stripe_event_unhandled ON stripe_event (received_at) WHERE handled_at IS NULL")
    grant(op, "stripe_event", "SELECT, INSERT, UPDATE")


def _ledger() -> None:
    op.execute(
        """
        CREATE TABLE ledger_posting (
            entry_id uuid NOT NULL,
            account text NOT NULL CONSTRAINT ck_ledger_posting_account CHECK (
                account IN ('stripe_clearing', 'sales', 'freight', 'tax_payable', 'customer_liability')
            ),
            order_id uuid CONSTRAINT fk_ledger_posting_order_id_customer_order REFERENCES customer_order,
            company_id uuid,
            amount_minor bigint NOT NULL CONSTRAINT ck_ledger_posting_amount CHECK (amount_minor <> 0),
            currency char(3) NOT NULL,
            posted_at timestamptz NOT NULL,
            CONSTRAINT pk_ledger_posting PRIMARY KEY (entry_id, account)
        )
        """
    )
    op.execute("CREATE INDEX ix_ledger_posting_order_id ON ledger_posting (order_id)")
    company_rows(op, "ledger_posting")
    grant(op, "ledger_posting", "SELECT, INSERT")
    append_only(op, "ledger_posting")
    op.execute(
        """
        CREATE FUNCTION tarifa_entry_sums_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT 1 FROM ledger_posting WHERE entry_id = NEW.entry_id
                GROUP BY currency HAVING sum(amount_minor) <> 0
            ) THEN
                RAISE EXCEPTION 'the postings of entry % do not sum to zero', NEW.entry_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER ledger_posting_sums_to_zero AFTER INSERT ON ledger_posting "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tarifa_entry_sums_to_zero()"
    )
    op.execute(
        """
        CREATE TABLE liability (
            id uuid CONSTRAINT pk_liability PRIMARY KEY,
            order_id uuid CONSTRAINT fk_liability_order_id_customer_order REFERENCES customer_order,
            company_id uuid CONSTRAINT fk_liability_company_id_company REFERENCES company,
            session_id text NOT NULL CONSTRAINT uq_liability_session_id UNIQUE,
            payment_intent_id text,
            reason text NOT NULL CONSTRAINT ck_liability_reason CHECK (
                reason IN ('amount_differs', 'currency_differs', 'order_closed', 'paid_twice', 'unknown_order')
            ),
            detail text NOT NULL,
            amount_minor bigint NOT NULL,
            currency char(3) NOT NULL,
            opened_at timestamptz NOT NULL,
            resolved_at timestamptz,
            resolved_by uuid CONSTRAINT fk_liability_resolved_by_person REFERENCES person,
            resolution text NOT NULL
        )
        """
    )
    company_rows(op, "liability")
    grant(op, "liability", "SELECT, INSERT, UPDATE")
