"""Agreements: drafts of documents and their review, PDFs, which documents are asked for, country profiles, notices of
material versions, framework agreements, and the log of what staff did.
"""

from alembic import op

from migrations.support import append_only, company_rows, grant, staff_rows

revision = "0028_legal_desk"
down_revision = "0027_stripe_log"

VERSION_COLUMNS = ("onerous_clauses", "change_note", "approved_by")

BASIS = """
CREATE OR REPLACE FUNCTION tarifa_order_has_basis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (
        SELECT count(*) FROM (
            SELECT 1 FROM acceptance WHERE company_id = NEW.company_id AND order_id = NEW.id
            UNION ALL
            SELECT 1 FROM signature_package
            WHERE company_id = NEW.company_id AND order_id = NEW.id AND state = 'executed'{more}
        ) basis
    ) <> 1 THEN
        RAISE EXCEPTION 'order % has no basis, or more than one', NEW.number
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
"""
FRAMEWORK = """
                    UNION ALL
                    SELECT 1 FROM framework_order WHERE company_id = NEW.company_id AND order_id = NEW.id"""


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE document_draft (
            id uuid CONSTRAINT pk_document_draft PRIMARY KEY,
            document_id uuid NOT NULL CONSTRAINT fk_document_draft_document_id_document REFERENCES document (id),
            label text NOT NULL CONSTRAINT ck_document_draft_label CHECK (label ~ '^[0-9]+(\\.[0-9]+)*$'),
            material boolean NOT NULL,
            change_note text NOT NULL,
            effective_at timestamptz,
            version bigint NOT NULL,
            state text NOT NULL
                CONSTRAINT ck_document_draft_state CHECK (state IN ('open', 'published', 'discarded')),
            opened_by uuid NOT NULL CONSTRAINT fk_document_draft_opened_by_person REFERENCES person (id),
            opened_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL
        );
        CREATE UNIQUE INDEX uq_document_draft_open ON document_draft (document_id, label) WHERE state = 'open';
        CREATE TABLE document_draft_text (
            draft_id uuid NOT NULL CONSTRAINT fk_document_draft_text_draft_id_document_draft
                REFERENCES document_draft (id),
            locale text NOT NULL CONSTRAINT ck_document_draft_text_locale CHECK (locale ~ '^[a-z]{2}$'),
            title text NOT NULL,
            source_markdown text NOT NULL,
            onerous_clauses text[] NOT NULL,
            CONSTRAINT pk_document_draft_text PRIMARY KEY (draft_id, locale)
        );
        CREATE TABLE document_review (
            id uuid CONSTRAINT pk_document_review PRIMARY KEY,
            draft_id uuid NOT NULL CONSTRAINT fk_document_review_draft_id_document_draft REFERENCES document_draft (id),
            draft_version bigint NOT NULL,
            step text NOT NULL CONSTRAINT ck_document_review_step
                CHECK (step IN ('edited', 'submitted', 'approved', 'returned', 'commented')),
            comment text NOT NULL,
            person_id uuid NOT NULL CONSTRAINT fk_document_review_person_id_person REFERENCES person (id),
            taken_at timestamptz NOT NULL
        );
        CREATE INDEX ix_document_review_draft_id_taken_at ON document_review (draft_id, taken_at);
        ALTER TABLE document_version
            ADD COLUMN onerous_clauses text[] NOT NULL DEFAULT '{}',
            ADD COLUMN change_note text NOT NULL DEFAULT '',
            ADD COLUMN approved_by uuid CONSTRAINT fk_document_version_approved_by_person REFERENCES person (id);
        ALTER TABLE document_version
            ALTER COLUMN onerous_clauses DROP DEFAULT, ALTER COLUMN change_note DROP DEFAULT;
        CREATE TABLE document_version_pdf (
            version_id uuid CONSTRAINT pk_document_version_pdf PRIMARY KEY
                CONSTRAINT fk_document_version_pdf_version_id_document_version REFERENCES document_version (id),
            content bytea NOT NULL,
            sha256 text NOT NULL,
            made_at timestamptz NOT NULL
        );
        ALTER TABLE document ADD COLUMN prevailing_locale text
            CONSTRAINT ck_document_prevailing_locale CHECK (prevailing_locale ~ '^[a-z]{2}$');
        CREATE TABLE document_rule (
            id uuid CONSTRAINT pk_document_rule PRIMARY KEY,
            document_id uuid NOT NULL CONSTRAINT fk_document_rule_document_id_document REFERENCES document (id),
            name text NOT NULL,
            countries text[],
            categories text[],
            companies text[],
            currency char(3),
            from_minor bigint,
            to_minor bigint,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz,
            version bigint NOT NULL,
            CONSTRAINT ck_document_rule_period CHECK (ends_at > starts_at),
            CONSTRAINT ck_document_rule_currency
                CHECK ((currency IS NULL) = (from_minor IS NULL AND to_minor IS NULL)),
            CONSTRAINT ck_document_rule_amount CHECK (to_minor > coalesce(from_minor, 0))
        );
        CREATE INDEX ix_document_rule_document_id ON document_rule (document_id);
        INSERT INTO document_rule (id, document_id, name, countries, starts_at, version)
            SELECT gen_random_uuid(), id,
                CASE WHEN countries IS NULL THEN 'Every order' ELSE 'Orders from some countries' END,
                countries, '2020-01-01T00:00:00Z', 1
            FROM document;
        ALTER TABLE document DROP COLUMN countries;
        CREATE TABLE country_profile (
            country char(2) CONSTRAINT pk_country_profile PRIMARY KEY,
            onerous_reference jsonb NOT NULL,
            business_reference jsonb NOT NULL,
            version bigint NOT NULL
        );
        CREATE TABLE agreement_act (
            id uuid CONSTRAINT pk_agreement_act PRIMARY KEY,
            at timestamptz NOT NULL,
            person_id uuid CONSTRAINT fk_agreement_act_person_id_person REFERENCES person (id),
            act text NOT NULL,
            subject text NOT NULL,
            details jsonb NOT NULL
        );
        CREATE INDEX ix_agreement_act_at ON agreement_act (at);
        CREATE TABLE document_notice (
            id uuid CONSTRAINT pk_document_notice PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_document_notice_company_id_company REFERENCES company (id),
            document_id uuid NOT NULL CONSTRAINT fk_document_notice_document_id_document REFERENCES document (id),
            label text NOT NULL,
            person_id uuid NOT NULL CONSTRAINT fk_document_notice_person_id_person REFERENCES person (id),
            mail_id uuid NOT NULL,
            queued_at timestamptz NOT NULL,
            CONSTRAINT uq_document_notice_document_id_label_company_id_person_id
                UNIQUE (document_id, label, company_id, person_id)
        );
        CREATE INDEX ix_acceptance_ledger_company_id_seq ON acceptance_ledger (company_id, seq);
        CREATE TABLE framework_agreement (
            id uuid CONSTRAINT pk_framework_agreement PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_framework_agreement_company_id_company REFERENCES company (id),
            presentation_id uuid NOT NULL CONSTRAINT uq_framework_agreement_presentation_id UNIQUE,
            actor_id uuid NOT NULL CONSTRAINT fk_framework_agreement_actor_id_person REFERENCES person (id),
            ticked text[] NOT NULL,
            accepted_at timestamptz NOT NULL,
            order_content jsonb NOT NULL,
            order_digest text NOT NULL,
            limit_minor bigint,
            currency char(3),
            ledger_seq bigint NOT NULL CONSTRAINT uq_framework_agreement_ledger_seq UNIQUE
                CONSTRAINT fk_framework_agreement_ledger_seq_acceptance_ledger REFERENCES acceptance_ledger (seq),
            ended_at timestamptz,
            end_reason text CONSTRAINT ck_framework_agreement_end_reason
                CHECK (end_reason IN ('buyer', 'seller', 'replaced')),
            end_note text NOT NULL,
            ended_by uuid CONSTRAINT fk_framework_agreement_ended_by_person REFERENCES person (id),
            CONSTRAINT uq_framework_agreement_company_id_id UNIQUE (company_id, id),
            CONSTRAINT ck_framework_agreement_ended CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
            CONSTRAINT ck_framework_agreement_limit CHECK ((limit_minor IS NULL) = (currency IS NULL)),
            CONSTRAINT fk_framework_agreement_presentation
                FOREIGN KEY (company_id, presentation_id) REFERENCES agreement_presentation (company_id, id)
        );
        CREATE UNIQUE INDEX uq_framework_agreement_standing ON framework_agreement (company_id) WHERE ended_at IS NULL;
        CREATE TABLE framework_order (
            order_id uuid CONSTRAINT pk_framework_order PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_framework_order_company_id_company REFERENCES company (id),
            framework_id uuid NOT NULL,
            order_digest text NOT NULL,
            ledger_seq bigint NOT NULL CONSTRAINT uq_framework_order_ledger_seq UNIQUE
                CONSTRAINT fk_framework_order_ledger_seq_acceptance_ledger REFERENCES acceptance_ledger (seq),
            cited_at timestamptz NOT NULL,
            CONSTRAINT fk_framework_order_framework
                FOREIGN KEY (company_id, framework_id) REFERENCES framework_agreement (company_id, id)
        );
        """
    )
    grant(op, "document", "UPDATE (prevailing_locale)")
    grant(
        op,
        "document_draft",
        "SELECT, INSERT, UPDATE (label, material, change_note, effective_at, version, state, changed_at)",
    )
    grant(op, "document_draft_text", "SELECT, INSERT, UPDATE (title, source_markdown, onerous_clauses), DELETE")
    grant(
        op,
        "document_rule",
        "SELECT, INSERT, UPDATE (name, countries, categories, companies, currency, from_minor, to_minor, starts_at, "
        "ends_at, version)",
    )
    grant(op, "country_profile", "SELECT, INSERT, UPDATE (onerous_reference, business_reference, version), DELETE")
    for table in ("document_review", "document_version_pdf", "agreement_act", "document_notice", "framework_order"):
        grant(op, table, "SELECT, INSERT")
        append_only(op, table)
    grant(op, "framework_agreement", "SELECT, INSERT, UPDATE (ended_at, end_reason, end_note, ended_by)")
    for table in ("document_draft", "document_draft_text", "document_review", "agreement_act"):
        staff_rows(op, table)
    for table in ("document_notice", "framework_agreement", "framework_order"):
        company_rows(op, table)
    op.execute(BASIS.replace("{more}", FRAMEWORK))


def downgrade() -> None:
    op.execute(BASIS.replace("{more}", ""))
    op.execute(
        """
        DROP TABLE framework_order, framework_agreement, document_notice, agreement_act, country_profile, document_rule,
            document_version_pdf;
        DROP INDEX ix_acceptance_ledger_company_id_seq;
        ALTER TABLE document ADD COLUMN countries text[], DROP COLUMN prevailing_locale;
        """
    )
    for column in VERSION_COLUMNS:
        op.drop_column("document_version", column)
    op.execute("DROP TABLE document_review, document_draft_text, document_draft")
