"""Approval before ordering, and packages that several people sign; an order's basis is one of two."""

from alembic import op

from migrations.support import append_only, company_rows, grant

revision = "0025_approvals_and_packages"
down_revision = "0024_privacy"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE buying_policy (
            id uuid CONSTRAINT pk_buying_policy PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_buying_policy_company_id_company REFERENCES company,
            approval text NOT NULL CONSTRAINT ck_buying_policy_approval
                CHECK (approval IN ('never', 'above', 'always')),
            approval_above_minor bigint,
            approval_of uuid[] NOT NULL,
            two_signatures_above_minor bigint,
            copies text[] NOT NULL,
            currency char(3) NOT NULL,
            wait_days bigint NOT NULL CONSTRAINT ck_buying_policy_wait_days CHECK (wait_days BETWEEN 1 AND 30),
            changed_by uuid NOT NULL CONSTRAINT fk_buying_policy_changed_by_person REFERENCES person,
            changed_at timestamptz NOT NULL,
            CONSTRAINT ck_buying_policy_above CHECK ((approval = 'above') = (approval_above_minor IS NOT NULL))
        );
        CREATE INDEX ix_buying_policy_company_id_changed_at ON buying_policy (company_id, changed_at);
        CREATE TABLE approval_request (
            id uuid CONSTRAINT pk_approval_request PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_approval_request_company_id_company REFERENCES company,
            checkout_id uuid NOT NULL CONSTRAINT fk_approval_request_checkout_id_checkout REFERENCES checkout,
            requested_by uuid NOT NULL CONSTRAINT fk_approval_request_requested_by_person REFERENCES person,
            reason text NOT NULL CONSTRAINT ck_approval_request_reason
                CHECK (reason IN ('policy', 'named', 'not_signatory', 'above_limit')),
            note text NOT NULL,
            terms jsonb NOT NULL,
            total_minor bigint NOT NULL,
            currency char(3) NOT NULL,
            state text NOT NULL CONSTRAINT ck_approval_request_state
                CHECK (state IN ('waiting', 'approved', 'rejected', 'withdrawn', 'expired')),
            requested_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            closed_at timestamptz,
            closed_by uuid CONSTRAINT fk_approval_request_closed_by_person REFERENCES person,
            closing_note text NOT NULL,
            order_id uuid,
            CONSTRAINT uq_approval_request_company_id_id UNIQUE (company_id, id),
            CONSTRAINT ck_approval_request_closed CHECK ((state = 'waiting') = (closed_at IS NULL)),
            CONSTRAINT ck_approval_request_order CHECK ((state = 'approved') = (order_id IS NOT NULL)),
            -- Nobody approves their own
            CONSTRAINT ck_approval_request_other CHECK (state <> 'approved' OR closed_by <> requested_by)
        );
        CREATE UNIQUE INDEX uq_approval_request_waiting ON approval_request (checkout_id) WHERE state = 'waiting';
        CREATE INDEX ix_approval_request_waiting ON approval_request (expires_at) WHERE state = 'waiting';
        CREATE INDEX ix_approval_request_order_id ON approval_request (order_id) WHERE order_id IS NOT NULL;
        CREATE TABLE signature_package (
            id uuid CONSTRAINT pk_signature_package PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_signature_package_company_id_company REFERENCES company,
            checkout_id uuid NOT NULL,
            state text NOT NULL CONSTRAINT ck_signature_package_state CHECK (state IN (
                'draft', 'buyer_signing', 'approval', 'countersign', 'executed', 'declined', 'expired', 'voided'
            )),
            content jsonb NOT NULL,
            digest text NOT NULL,
            order_content jsonb NOT NULL,
            order_digest text NOT NULL,
            terms jsonb NOT NULL,
            salts jsonb NOT NULL,
            total_minor bigint NOT NULL,
            currency char(3) NOT NULL,
            locale text NOT NULL,
            signature bytea NOT NULL,
            key_id text NOT NULL,
            created_by uuid NOT NULL CONSTRAINT fk_signature_package_created_by_person REFERENCES person,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            closed_at timestamptz,
            closed_by uuid CONSTRAINT fk_signature_package_closed_by_person REFERENCES person,
            closing_reason text CONSTRAINT ck_signature_package_closing_reason CHECK (closing_reason IN (
                'terms', 'not_authorised', 'price', 'needs_legal_review', 'other', 'expired', 'edited'
            )),
            closing_comment text NOT NULL,
            order_id uuid CONSTRAINT uq_signature_package_order_id UNIQUE,
            executed_seq bigint CONSTRAINT uq_signature_package_executed_seq UNIQUE
                CONSTRAINT fk_signature_package_executed_seq_acceptance_ledger REFERENCES acceptance_ledger,
            CONSTRAINT uq_signature_package_company_id_id UNIQUE (company_id, id),
            CONSTRAINT ck_signature_package_executed CHECK (
                (state = 'executed') = (order_id IS NOT NULL) AND (state = 'executed') = (executed_seq IS NOT NULL)
            ),
            CONSTRAINT ck_signature_package_closed CHECK (
                (closed_at IS NULL) = (state IN ('draft', 'buyer_signing', 'approval', 'countersign'))
            )
        );
        CREATE UNIQUE INDEX uq_signature_package_open ON signature_package (checkout_id)
            WHERE state IN ('draft', 'buyer_signing', 'approval', 'countersign');
        CREATE INDEX ix_signature_package_open ON signature_package (expires_at)
            WHERE state IN ('draft', 'buyer_signing', 'approval', 'countersign');
        CREATE TABLE package_party (
            id uuid CONSTRAINT pk_package_party PRIMARY KEY,
            package_id uuid NOT NULL,
            company_id uuid NOT NULL,
            position bigint NOT NULL,
            role text NOT NULL CONSTRAINT ck_package_party_role
                CHECK (role IN ('buyer_signatory', 'approver', 'counter_signer', 'copy')),
            person_id uuid CONSTRAINT fk_package_party_person_id_person REFERENCES person,
            name text NOT NULL,
            email text NOT NULL,
            signed_at timestamptz,
            CONSTRAINT uq_package_party_company_id_id UNIQUE (company_id, id),
            CONSTRAINT fk_package_party_company_id_package_id_signature_package
                FOREIGN KEY (company_id, package_id) REFERENCES signature_package (company_id, id)
        );
        CREATE INDEX ix_package_party_package_id ON package_party (package_id);
        CREATE TABLE package_invitation (
            id uuid CONSTRAINT pk_package_invitation PRIMARY KEY,
            company_id uuid NOT NULL,
            party_id uuid NOT NULL,
            token_sha256 bytea NOT NULL CONSTRAINT uq_package_invitation_token_sha256 UNIQUE,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz,
            opened_at timestamptz,
            CONSTRAINT fk_package_invitation_company_id_party_id_package_party
                FOREIGN KEY (company_id, party_id) REFERENCES package_party (company_id, id)
        );
        CREATE INDEX ix_package_invitation_party_id ON package_invitation (party_id);
        CREATE TABLE package_signature (
            party_id uuid CONSTRAINT pk_package_signature PRIMARY KEY,
            company_id uuid NOT NULL,
            person_id uuid NOT NULL CONSTRAINT fk_package_signature_person_id_person REFERENCES person,
            name_matches boolean NOT NULL,
            signed_at timestamptz NOT NULL,
            ledger_seq bigint NOT NULL CONSTRAINT uq_package_signature_ledger_seq UNIQUE
                CONSTRAINT fk_package_signature_ledger_seq_acceptance_ledger REFERENCES acceptance_ledger,
            CONSTRAINT fk_package_signature_company_id_party_id_package_party
                FOREIGN KEY (company_id, party_id) REFERENCES package_party (company_id, id)
        );
        CREATE TABLE selling_policy (
            id uuid CONSTRAINT pk_selling_policy PRIMARY KEY,
            countersign_above jsonb NOT NULL,
            documents text[] NOT NULL,
            copies text[] NOT NULL,
            changed_by uuid NOT NULL CONSTRAINT fk_selling_policy_changed_by_person REFERENCES person,
            changed_at timestamptz NOT NULL
        );
        """
    )
    for table in (
        "buying_policy",
        "approval_request",
        "signature_package",
        "package_party",
        "package_invitation",
        "package_signature",
    ):
        company_rows(op, table)
    grant(op, "buying_policy", "SELECT, INSERT")
    grant(op, "approval_request", "SELECT, INSERT, UPDATE (state, closed_at, closed_by, closing_note, order_id)")
    grant(
        op,
        "signature_package",
        "SELECT, INSERT, UPDATE (state, salts, closed_at, closed_by, closing_reason, closing_comment, order_id, "
        "executed_seq)",
    )
    grant(op, "package_party", "SELECT, INSERT, UPDATE (person_id, name, email, signed_at)")
    grant(op, "package_invitation", "SELECT, INSERT, UPDATE (revoked_at, opened_at)")
    grant(op, "package_signature", "SELECT, INSERT")
    # the seller's policy names no company: checkouts of all ask it, the program lets the legal desk alone write it
    grant(op, "selling_policy", "SELECT, INSERT")
    for table in ("buying_policy", "package_signature", "selling_policy"):
        append_only(op, table)
    # No evidence, no order: the commit itself refuses one without its basis, or with two
    op.execute(
        """
        ALTER TABLE customer_order DROP CONSTRAINT fk_customer_order_company_id_id_acceptance;
        CREATE FUNCTION tarifa_order_has_basis() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (
                SELECT count(*) FROM (
                    SELECT 1 FROM acceptance WHERE company_id = NEW.company_id AND order_id = NEW.id
                    UNION ALL
                    SELECT 1 FROM signature_package
                    WHERE company_id = NEW.company_id AND order_id = NEW.id AND state = 'executed'
                ) basis
            ) <> 1 THEN
                RAISE EXCEPTION 'order % has no basis, or more than one', NEW.number
                    USING ERRCODE = 'foreign_key_violation';
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER customer_order_has_basis AFTER INSERT OR UPDATE OF id, company_id ON customer_order
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tarifa_order_has_basis();
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER customer_order_has_basis ON customer_order;
        DROP FUNCTION tarifa_order_has_basis();
        ALTER TABLE customer_order ADD CONSTRAINT fk_customer_order_company_id_id_acceptance
            FOREIGN KEY (company_id, id) REFERENCES acceptance (company_id, order_id) DEFERRABLE INITIALLY DEFERRED
        """
    )
    for table in (
        "selling_policy",
        "package_signature",
        "package_invitation",
        "package_party",
        "signature_package",
        "approval_request",
        "buying_policy",
    ):
        op.drop_table(table)
