"""Accounts: the merchant, companies, persons and their memberships, sessions, one-time tokens, API keys, counters."""

from alembic import op

from migrations.support import accounts_rows, grant

revision = "0002_accounts"
down_revision = "0001_kernel"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE merchant (
            singleton boolean CONSTRAINT pk_merchant PRIMARY KEY CONSTRAINT ck_merchant_singleton CHECK (singleton),
            legal_name text NOT NULL,
            trade_name text NOT NULL,
            address jsonb NOT NULL,
            country char(2) NOT NULL,
            tax_id text NOT NULL,
            email text NOT NULL,
            phone text NOT NULL,
            support_hours text NOT NULL
        );
        CREATE TABLE company (
            id uuid CONSTRAINT pk_company PRIMARY KEY,
            code text NOT NULL CONSTRAINT uq_company_code UNIQUE,
            name text NOT NULL,
            country char(2) NOT NULL,
            tax_id text,
            tax_id_check text NOT NULL
                CONSTRAINT ck_company_tax_id_check CHECK (tax_id_check IN ('absent', 'unchecked', 'well_formed')),
            tax_status text NOT NULL
                CONSTRAINT ck_company_tax_status CHECK (tax_status IN ('domestic', 'reverse_charge', 'exempt')),
            currency char(3) NOT NULL,
            segments text[] NOT NULL,
            self_registered boolean NOT NULL,
            created_at timestamptz NOT NULL,
            CONSTRAINT ck_company_tax_id_is_checked CHECK ((tax_id IS NULL) = (tax_id_check = 'absent'))
        );
        CREATE TABLE person (
            id uuid CONSTRAINT pk_person PRIMARY KEY,
            email text NOT NULL CONSTRAINT uq_person_email UNIQUE
                CONSTRAINT ck_person_email_lower_case CHECK (email = lower(email)),
            name text NOT NULL,
            locale text NOT NULL CONSTRAINT ck_person_locale CHECK (locale IN ('en', 'es')),
            password_hash text NOT NULL,
            email_verified_at timestamptz,
            staff_role text
                CONSTRAINT ck_person_staff_role CHECK (staff_role IN ('finance', 'legal', 'support', 'admin')),
            created_at timestamptz NOT NULL
        );
        CREATE TABLE membership (
            company_id uuid NOT NULL CONSTRAINT fk_membership_company_id_company REFERENCES company (id),
            person_id uuid NOT NULL CONSTRAINT fk_membership_person_id_person REFERENCES person (id),
            role text NOT NULL CONSTRAINT ck_membership_role CHECK (role IN ('buyer', 'approver', 'admin')),
            signatory boolean NOT NULL,
            authority text
                CONSTRAINT ck_membership_authority CHECK (authority IN ('self_declared', 'appointed')),
            signing_limit_minor bigint
                CONSTRAINT ck_membership_signing_limit CHECK (signing_limit_minor >= 0),
            currency char(3),
            job_title text,
            created_at timestamptz NOT NULL,
            CONSTRAINT pk_membership PRIMARY KEY (company_id, person_id),
            CONSTRAINT ck_membership_authority_of_signatory CHECK (signatory = (authority IS NOT NULL)),
            CONSTRAINT ck_membership_limit_of_signatory CHECK (signatory OR signing_limit_minor IS NULL),
            CONSTRAINT ck_membership_limit_currency CHECK ((signing_limit_minor IS NULL) = (currency IS NULL))
        );
        CREATE INDEX ix_membership_person_id ON membership (person_id);
        CREATE TABLE session (
            id uuid CONSTRAINT pk_session PRIMARY KEY,
            token_sha256 bytea NOT NULL CONSTRAINT uq_session_token_sha256 UNIQUE,
            visitor_id uuid NOT NULL,
            person_id uuid CONSTRAINT fk_session_person_id_person REFERENCES person (id),
            company_id uuid,
            created_at timestamptz NOT NULL,
            seen_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            CONSTRAINT ck_session_company_of_person CHECK (company_id IS NULL OR person_id IS NOT NULL),
            CONSTRAINT fk_session_company_id_membership FOREIGN KEY (company_id, person_id)
                REFERENCES membership (company_id, person_id) ON DELETE CASCADE
        );
        CREATE INDEX ix_session_person_id ON session (person_id);
        CREATE INDEX ix_session_expires_at ON session (expires_at);
        CREATE TABLE one_time_token (
            id uuid CONSTRAINT pk_one_time_token PRIMARY KEY,
            purpose text NOT NULL CONSTRAINT ck_one_time_token_purpose
                CHECK (purpose IN ('invitation', 'password_reset', 'email_code')),
            secret_sha256 bytea NOT NULL CONSTRAINT uq_one_time_token_secret_sha256 UNIQUE,
            email text NOT NULL,
            person_id uuid NOT NULL CONSTRAINT fk_one_time_token_person_id_person REFERENCES person (id),
            company_id uuid CONSTRAINT fk_one_time_token_company_id_company REFERENCES company (id),
            role text CONSTRAINT ck_one_time_token_role CHECK (role IN ('buyer', 'approver', 'admin')),
            attempts bigint NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            used_at timestamptz,
            CONSTRAINT ck_one_time_token_invitation CHECK (
                (purpose = 'invitation') = (company_id IS NOT NULL) AND (company_id IS NULL) = (role IS NULL)
            )
        );
        CREATE INDEX ix_one_time_token_email_purpose ON one_time_token (email, purpose);
        CREATE INDEX ix_one_time_token_company_id ON one_time_token (company_id);
        CREATE TABLE api_key (
            id uuid CONSTRAINT pk_api_key PRIMARY KEY,
            key_id text NOT NULL CONSTRAINT uq_api_key_key_id UNIQUE,
            company_id uuid NOT NULL CONSTRAINT fk_api_key_company_id_company REFERENCES company (id),
            name text NOT NULL,
            secret_sha256 bytea NOT NULL,
            scopes text[] NOT NULL CONSTRAINT ck_api_key_scopes CHECK (cardinality(scopes) > 0),
            created_by uuid NOT NULL CONSTRAINT fk_api_key_created_by_person REFERENCES person (id),
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz,
            used_at timestamptz
        );
        CREATE INDEX ix_api_key_company_id_name ON api_key (company_id, name);
        CREATE TABLE attempt_counter (
            kind text NOT NULL,
            subject_sha256 bytea NOT NULL,
            window_started_at timestamptz NOT NULL,
            count bigint NOT NULL,
            CONSTRAINT pk_attempt_counter PRIMARY KEY (kind, subject_sha256)
        );
        CREATE INDEX ix_attempt_counter_window_started_at ON attempt_counter (window_started_at);
        """
    )
    grant(op, "merchant", "SELECT, INSERT, UPDATE")
    grant(op, "company", "SELECT, INSERT, UPDATE")
    grant(op, "person", "SELECT, INSERT, UPDATE")
    grant(op, "membership", "SELECT, INSERT, UPDATE, DELETE")
    grant(op, "session", "SELECT, INSERT, UPDATE, DELETE")
    grant(op, "one_time_token", "SELECT, INSERT, UPDATE, DELETE")
    grant(op, "api_key", "SELECT, INSERT, UPDATE")
    grant(op, "attempt_counter", "SELECT, INSERT, UPDATE, DELETE")
    accounts_rows(op, "company", company="id")
    for table in ("membership", "session", "one_time_token", "api_key"):
        accounts_rows(op, table)
    # a person's row names no company: a company sees those who are its members
    rule = (
        "current_setting('tarifa.scope') = 'accounts' OR tarifa_may_see(NULL) "
        "OR EXISTS (SELECT FROM membership WHERE membership.person_id = person.id)"
    )
    op.execute("ALTER TABLE person ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE person FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY person_rows ON person USING ({rule}) WITH CHECK ({rule})")
