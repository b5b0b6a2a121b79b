"""Agreements: documents, presentations, acceptances, the append-only ledger and what stands apart from it."""

from alembic import op

from migrations.support import append_only, company_rows, grant

revision = "0005_agreements"
down_revision = "0004_pricing"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE document (
            id uuid CONSTRAINT pk_document PRIMARY KEY,
            code text NOT NULL CONSTRAINT uq_document_code UNIQUE
                CONSTRAINT ck_document_code CHECK (code ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
            kind text NOT NULL CONSTRAINT ck_document_kind CHECK (kind IN ('agree', 'acknowledge')),
            position bigint NOT NULL,
            countries text[]
        );
        CREATE TABLE document_version (
            id uuid CONSTRAINT pk_document_version PRIMARY KEY,
            document_id uuid NOT NULL CONSTRAINT fk_document_version_document_id_document REFERENCES document (id),
            label text NOT NULL CONSTRAINT ck_document_version_label CHECK (label ~ '^[0-9]+(\\.[0-9]+)*$'),
            locale text NOT NULL CONSTRAINT ck_document_version_locale CHECK (locale ~ '^[a-z]{2}$'),
            title text NOT NULL,
            source_markdown text NOT NULL,
            rendered_html text NOT NULL,
            source_sha256 text NOT NULL,
            html_sha256 text NOT NULL,
            material boolean NOT NULL,
            published_at timestamptz NOT NULL,
            published_by uuid CONSTRAINT fk_document_version_published_by_person REFERENCES person (id),
            effective_at timestamptz NOT NULL,
            withdrawn_at timestamptz,
            CONSTRAINT uq_document_version_document_id_label_locale UNIQUE (document_id, label, locale)
        );
        CREATE FUNCTION document_version_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF to_jsonb(NEW) - 'withdrawn_at' <> to_jsonb(OLD) - 'withdrawn_at' OR OLD.withdrawn_at IS NOT NULL THEN
                RAISE EXCEPTION 'a published version never changes' USING ERRCODE = 'insufficient_privilege';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER document_version_immutable BEFORE UPDATE ON document_version
            FOR EACH ROW EXECUTE FUNCTION document_version_is_immutable();
        CREATE TRIGGER document_version_kept BEFORE DELETE OR TRUNCATE ON document_version
            FOR EACH STATEMENT EXECUTE FUNCTION tarifa_refuse_change();
        CREATE TABLE agreement_presentation (
            id uuid CONSTRAINT pk_agreement_presentation PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_agreement_presentation_company_id_company REFERENCES company (id),
            checkout_id uuid NOT NULL,
            actor_id uuid NOT NULL CONSTRAINT fk_agreement_presentation_actor_id_person REFERENCES person (id),
            content jsonb NOT NULL,
            content_digest text NOT NULL,
            order_content jsonb NOT NULL,
            order_digest text NOT NULL,
            salts jsonb NOT NULL,
            locale text NOT NULL,
            issued_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            signature bytea NOT NULL,
            key_id text NOT NULL,
            consumed_at timestamptz,
            order_id uuid,
            CONSTRAINT uq_agreement_presentation_company_id_id UNIQUE (company_id, id),
            CONSTRAINT ck_agreement_presentation_consumed CHECK ((consumed_at IS NULL) = (order_id IS NULL)),
            CONSTRAINT ck_agreement_presentation_expiry CHECK (expires_at > issued_at)
        );
        CREATE INDEX ix_agreement_presentation_checkout_id ON agreement_presentation (checkout_id);
        CREATE TABLE acceptance_ledger (
            seq bigint CONSTRAINT pk_acceptance_ledger PRIMARY KEY
                CONSTRAINT ck_acceptance_ledger_seq CHECK (seq >= 0),
            company_id uuid CONSTRAINT fk_acceptance_ledger_company_id_company REFERENCES company (id),
            kind text NOT NULL,
            content jsonb NOT NULL,
            leaf_digest bytea NOT NULL,
            previous_hash bytea NOT NULL CONSTRAINT uq_acceptance_ledger_previous_hash UNIQUE,
            chain_hash bytea NOT NULL,
            recorded_at timestamptz NOT NULL
        );
        CREATE TABLE acceptance_ledger_tail (
            singleton boolean CONSTRAINT pk_acceptance_ledger_tail PRIMARY KEY
                CONSTRAINT ck_acceptance_ledger_tail_singleton CHECK (singleton),
            size bigint NOT NULL,
            chain_hash bytea NOT NULL
        );
        INSERT INTO acceptance_ledger_tail VALUES (true, 0, decode(repeat('00', 32), 'hex'));
        CREATE TABLE acceptance_ledger_node (
            level bigint NOT NULL,
            position bigint NOT NULL,
            hash bytea NOT NULL,
            CONSTRAINT pk_acceptance_ledger_node PRIMARY KEY (level, position)
        );
        CREATE TABLE acceptance_ledger_checkpoint (
            size bigint CONSTRAINT pk_acceptance_ledger_checkpoint PRIMARY KEY,
            root bytea NOT NULL,
            note text NOT NULL,
            signed_at timestamptz NOT NULL
        );
        CREATE TABLE acceptance (
            id uuid CONSTRAINT pk_acceptance PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_acceptance_company_id_company REFERENCES company (id),
            order_id uuid NOT NULL CONSTRAINT uq_acceptance_order_id UNIQUE,
            checkout_id uuid NOT NULL CONSTRAINT uq_acceptance_checkout_id UNIQUE,
            presentation_id uuid NOT NULL CONSTRAINT uq_acceptance_presentation_id UNIQUE,
            actor_id uuid NOT NULL CONSTRAINT fk_acceptance_actor_id_person REFERENCES person (id),
            ticked text[] NOT NULL,
            accepted_at timestamptz NOT NULL,
            order_content jsonb NOT NULL,
            order_digest text NOT NULL,
            ledger_seq bigint NOT NULL CONSTRAINT uq_acceptance_ledger_seq UNIQUE
                CONSTRAINT fk_acceptance_ledger_seq_acceptance_ledger REFERENCES acceptance_ledger (seq),
            CONSTRAINT uq_acceptance_company_id_order_id UNIQUE (company_id, order_id),
            CONSTRAINT fk_acceptance_presentation
                FOREIGN KEY (company_id, presentation_id) REFERENCES agreement_presentation (company_id, id)
        );
        CREATE TABLE acceptance_opening (
            ledger_seq bigint NOT NULL
                CONSTRAINT fk_acceptance_opening_ledger_seq_acceptance_ledger REFERENCES acceptance_ledger (seq),
            field text NOT NULL,
            company_id uuid NOT NULL CONSTRAINT fk_acceptance_opening_company_id_company REFERENCES company (id),
            value text NOT NULL,
            salt text NOT NULL,
            CONSTRAINT pk_acceptance_opening PRIMARY KEY (ledger_seq, field)
        );
        CREATE TABLE acceptance_annex (
            acceptance_id uuid CONSTRAINT pk_acceptance_annex PRIMARY KEY
                CONSTRAINT fk_acceptance_annex_acceptance_id_acceptance REFERENCES acceptance (id),
            company_id uuid NOT NULL CONSTRAINT fk_acceptance_annex_company_id_company REFERENCES company (id),
            ciphertext bytea NOT NULL,
            recorded_at timestamptz NOT NULL
        );
        CREATE TABLE consent (
            id uuid CONSTRAINT pk_consent PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_consent_company_id_company REFERENCES company (id),
            person_id uuid NOT NULL CONSTRAINT fk_consent_person_id_person REFERENCES person (id),
            purpose text NOT NULL,
            statement text NOT NULL,
            locale text NOT NULL,
            given_at timestamptz NOT NULL,
            withdrawn_at timestamptz
        );
        CREATE INDEX ix_consent_person_id_purpose ON consent (person_id, purpose);
        CREATE TABLE agreement_decline (
            id uuid CONSTRAINT pk_agreement_decline PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_agreement_decline_company_id_company REFERENCES company (id),
            presentation_id uuid NOT NULL,
            actor_id uuid NOT NULL CONSTRAINT fk_agreement_decline_actor_id_person REFERENCES person (id),
            reason text NOT NULL CONSTRAINT ck_agreement_decline_reason
                CHECK (reason IN ('terms', 'not_authorised', 'price', 'needs_legal_review', 'other')),
            comment text NOT NULL,
            declined_at timestamptz NOT NULL,
            CONSTRAINT fk_agreement_decline_presentation
                FOREIGN KEY (company_id, presentation_id) REFERENCES agreement_presentation (company_id, id)
        );
        CREATE TABLE legal_review (
            id uuid CONSTRAINT pk_legal_review PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_legal_review_company_id_company REFERENCES company (id),
            presentation_id uuid NOT NULL,
            created_by uuid NOT NULL CONSTRAINT fk_legal_review_created_by_person REFERENCES person (id),
            token_sha256 bytea NOT NULL CONSTRAINT uq_legal_review_token_sha256 UNIQUE,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            opened_at timestamptz,
            CONSTRAINT fk_legal_review_presentation
                FOREIGN KEY (company_id, presentation_id) REFERENCES agreement_presentation (company_id, id)
        );
        """
    )
    grant(op, "document", "SELECT, INSERT, UPDATE (position, countries)")
    grant(op, "document_version", "SELECT, INSERT, UPDATE (withdrawn_at)")
    grant(op, "agreement_presentation", "SELECT, INSERT, UPDATE (consumed_at, order_id, salts)")
    grant(op, "acceptance_ledger_tail", "SELECT, UPDATE (size, chain_hash)")
    # evidence: the runtime role writes it once, and nobody changes it
    for table in ("acceptance_ledger", "acceptance_ledger_node", "acceptance_ledger_checkpoint", "acceptance"):
        grant(op, table, "SELECT, INSERT")
        append_only(op, table)
    grant(op, "acceptance_opening", "SELECT, INSERT, DELETE")
    grant(op, "acceptance_annex", "SELECT, INSERT, DELETE")
    grant(op, "consent", "SELECT, INSERT, UPDATE (withdrawn_at)")
    grant(op, "agreement_decline", "SELECT, INSERT")
    grant(op, "legal_review", "SELECT, INSERT, UPDATE (opened_at)")
    company_rows(op, "acceptance_ledger", guests=True)  # the house's own entries are for everyone
    for table in (
        "agreement_presentation",
        "acceptance",
        "acceptance_opening",
        "acceptance_annex",
        "consent",
        "agreement_decline",
        "legal_review",
    ):
        company_rows(op, table)
