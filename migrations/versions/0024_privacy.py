"""Privacy: how long what is kept, holds, plans of erasure and their steps, exports of a person's data."""

from alembic import op

from migrations.support import append_only, company_rows, grant, staff_rows

revision = "0024_privacy"
down_revision = "0023_payment_kinds"

PLAN_STATES = "'draft', 'approved', 'applied', 'withdrawn'"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE TABLE retention_period (
            id uuid CONSTRAINT pk_retention_period PRIMARY KEY,
            country char(2),
            kind text NOT NULL,
            days bigint NOT NULL CONSTRAINT ck_retention_period_days CHECK (days >= 0),
            obligatory boolean NOT NULL,
            basis_en text NOT NULL CONSTRAINT ck_retention_period_basis_en CHECK (basis_en <> ''),
            basis_es text NOT NULL CONSTRAINT ck_retention_period_basis_es CHECK (basis_es <> ''),
            set_by uuid CONSTRAINT fk_retention_period_set_by_person REFERENCES person (id),
            set_at timestamptz NOT NULL
        );
        CREATE INDEX ix_retention_period_kind_country_set_at ON retention_period (kind, country, set_at);
        CREATE TABLE legal_hold (
            id uuid CONSTRAINT pk_legal_hold PRIMARY KEY,
            person_id uuid CONSTRAINT fk_legal_hold_person_id_person REFERENCES person (id),
            company_id uuid CONSTRAINT fk_legal_hold_company_id_company REFERENCES company (id),
            reason text NOT NULL CONSTRAINT ck_legal_hold_reason CHECK (reason <> ''),
            placed_by uuid NOT NULL CONSTRAINT fk_legal_hold_placed_by_person REFERENCES person (id),
            placed_at timestamptz NOT NULL,
            lifted_by uuid CONSTRAINT fk_legal_hold_lifted_by_person REFERENCES person (id),
            lifted_at timestamptz,
            lift_reason text,
            CONSTRAINT ck_legal_hold_subject CHECK (num_nonnulls(person_id, company_id) = 1),
            CONSTRAINT ck_legal_hold_lifted CHECK (num_nonnulls(lifted_by, lifted_at, lift_reason) IN (0, 3))
        );
        CREATE TABLE erasure_plan (
            id uuid CONSTRAINT pk_erasure_plan PRIMARY KEY,
            person_id uuid CONSTRAINT fk_erasure_plan_person_id_person REFERENCES person (id),
            company_id uuid CONSTRAINT fk_erasure_plan_company_id_company REFERENCES company (id),
            people uuid[] NOT NULL,
            state text NOT NULL CONSTRAINT ck_erasure_plan_state CHECK (state IN ({PLAN_STATES})),
            asked_on date NOT NULL,
            reason text NOT NULL,
            locale text NOT NULL,
            country char(2) NOT NULL,
            items jsonb NOT NULL,
            made_by uuid NOT NULL CONSTRAINT fk_erasure_plan_made_by_person REFERENCES person (id),
            made_at timestamptz NOT NULL,
            approved_by uuid CONSTRAINT fk_erasure_plan_approved_by_person REFERENCES person (id),
            approved_at timestamptz,
            letters uuid[] NOT NULL,
            applied_at timestamptz,
            again_at timestamptz,
            withdrawn_at timestamptz,
            CONSTRAINT ck_erasure_plan_subject CHECK (num_nonnulls(person_id, company_id) = 1),
            CONSTRAINT ck_erasure_plan_approved CHECK (num_nonnulls(approved_by, approved_at) IN (0, 2)),
            CONSTRAINT ck_erasure_plan_other_person CHECK (approved_by <> made_by)
        );
        CREATE INDEX ix_erasure_plan_made_at ON erasure_plan (made_at);
        CREATE TABLE erasure_step (
            plan_id uuid NOT NULL CONSTRAINT fk_erasure_step_plan_id_erasure_plan REFERENCES erasure_plan (id),
            position bigint NOT NULL,
            holding text NOT NULL,
            erased bigint NOT NULL,
            done_at timestamptz NOT NULL,
            CONSTRAINT pk_erasure_step PRIMARY KEY (plan_id, position)
        );
        CREATE TABLE data_export (
            id uuid CONSTRAINT pk_data_export PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_data_export_company_id_company REFERENCES company (id),
            person_id uuid NOT NULL CONSTRAINT fk_data_export_person_id_person REFERENCES person (id),
            asked_at timestamptz NOT NULL,
            ready_at timestamptz,
            expires_at timestamptz,
            size bigint,
            ciphertext bytea
        );
        CREATE INDEX ix_data_export_person_id ON data_export (person_id);
        ALTER TABLE outgoing_mail ADD COLUMN headers jsonb;
        CREATE INDEX ix_outgoing_mail_recipient ON outgoing_mail (recipient);
        ALTER TABLE person ADD COLUMN erased_at timestamptz;
        """
    )
    append_only(op, "retention_period")
    append_only(op, "erasure_step")
    grant(op, "retention_period", "SELECT, INSERT")
    grant(op, "legal_hold", "SELECT, INSERT, UPDATE (lifted_by, lifted_at, lift_reason)")
    grant(op, "erasure_plan", "SELECT, INSERT, UPDATE")
    grant(op, "erasure_step", "SELECT, INSERT")
    grant(op, "data_export", "SELECT, INSERT, UPDATE, DELETE")
    for table in ("legal_hold", "erasure_plan", "erasure_step"):
        staff_rows(op, table)  # whom the house holds on to, and why, is no business of the buyer's
    company_rows(op, "data_export")
    grant(op, "agreement_decline", "UPDATE (comment)")
    grant(op, "legal_review", "DELETE")
    # Journeys are still only added to by the program; a person's are forgotten through this function alone
    op.execute(
        """
        DROP TRIGGER journey_event_append_only ON journey_event;
        CREATE TRIGGER journey_event_append_only BEFORE UPDATE OR TRUNCATE ON journey_event
            FOR EACH STATEMENT EXECUTE FUNCTION tarifa_refuse_change();
        CREATE FUNCTION tarifa_forget_journeys(journeys uuid[], before timestamptz) RETURNS bigint
            LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
            WITH gone AS (
                DELETE FROM journey_event WHERE (journeys IS NULL OR journey = ANY (journeys)) AND at <= before
                RETURNING 1
            ) SELECT count(*) FROM gone
        $$;
        DROP TRIGGER order_event_append_only ON order_event;
        CREATE TRIGGER order_event_append_only BEFORE DELETE OR TRUNCATE ON order_event
            FOR EACH STATEMENT EXECUTE FUNCTION tarifa_refuse_change();
        CREATE FUNCTION tarifa_only_words_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF to_jsonb(NEW) - 'detail' <> to_jsonb(OLD) - 'detail' THEN
                RAISE EXCEPTION 'what happened to an order never changes' USING ERRCODE = 'insufficient_privilege';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER order_event_words BEFORE UPDATE ON order_event
            FOR EACH ROW EXECUTE FUNCTION tarifa_only_words_change();
        CREATE FUNCTION tarifa_forget_words_of_orders(companies uuid[], named text, instead text) RETURNS bigint
            LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
            WITH mended AS (
                UPDATE order_event SET detail = regexp_replace(detail, named, instead, 'gi')
                WHERE company_id = ANY (companies) AND detail ~* named
                RETURNING 1
            ) SELECT count(*) FROM mended
        $$;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP FUNCTION tarifa_forget_words_of_orders(uuid[], text, text);
        DROP TRIGGER order_event_words ON order_event;
        DROP FUNCTION tarifa_only_words_change();
        DROP TRIGGER order_event_append_only ON order_event;
        DROP FUNCTION tarifa_forget_journeys(uuid[], timestamptz);
        DROP TRIGGER journey_event_append_only ON journey_event;
        ALTER TABLE person DROP COLUMN erased_at;
        DROP INDEX ix_outgoing_mail_recipient;
        ALTER TABLE outgoing_mail DROP COLUMN headers;
        """
    )
    append_only(op, "journey_event")
    append_only(op, "order_event")
    for table in ("data_export", "erasure_step", "erasure_plan", "legal_hold", "retention_period"):
        op.drop_table(table)
