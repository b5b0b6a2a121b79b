"""Webhooks out: endpoints, what they were sent and how it went, and what of prices companies were told."""

from alembic import op

from migrations.support import company_rows, grant

revision = "0014_webhooks"
down_revision = "0013_api_calls"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE webhook_endpoint (
            id uuid CONSTRAINT pk_webhook_endpoint PRIMARY KEY,
            company_id uuid NOT NULL CONSTRAINT fk_webhook_endpoint_company_id_company REFERENCES company,
            url text NOT NULL,
            description text NOT NULL,
            event_types text[] NOT NULL
                CONSTRAINT ck_webhook_endpoint_event_types CHECK (cardinality(event_types) > 0),
            state text NOT NULL
                CONSTRAINT ck_webhook_endpoint_state CHECK (state IN ('on', 'off', 'failing', 'gone')),
            state_since timestamptz NOT NULL,
            failing_since timestamptz,
            secret bytea NOT NULL,
            previous_secret bytea,
            previous_secret_until timestamptz,
            created_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            CONSTRAINT uq_webhook_endpoint_company_id_id UNIQUE (company_id, id),
            CONSTRAINT ck_webhook_endpoint_previous_secret
                CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL))
        );
        CREATE TABLE webhook_message (
            id uuid CONSTRAINT pk_webhook_message PRIMARY KEY,
            company_id uuid NOT NULL,
            endpoint_id uuid NOT NULL,
            event_type text NOT NULL,
            body bytea NOT NULL,
            occurred_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            state text NOT NULL
                CONSTRAINT ck_webhook_message_state CHECK (state IN ('pending', 'delivered', 'given_up')),
            attempts integer NOT NULL,
            failures integer NOT NULL,
            next_attempt_at timestamptz,
            CONSTRAINT uq_webhook_message_company_id_id UNIQUE (company_id, id),
            CONSTRAINT fk_webhook_message_company_id_endpoint_id_webhook_endpoint
                FOREIGN KEY (company_id, endpoint_id) REFERENCES webhook_endpoint (company_id, id) ON DELETE CASCADE,
            CONSTRAINT ck_webhook_message_next_attempt CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL))
        );
        CREATE INDEX ix_webhook_message_endpoint_id_id ON webhook_message (endpoint_id, id);
        CREATE INDEX ix_webhook_message_next_attempt_at ON webhook_message (next_attempt_at) WHERE state = 'pending';
        CREATE TABLE webhook_attempt (
            message_id uuid NOT NULL,
            number integer NOT NULL,
            company_id uuid NOT NULL,
            at timestamptz NOT NULL,
            duration_ms integer NOT NULL,
            status integer,
            failure text CONSTRAINT ck_webhook_attempt_failure
                CHECK (failure IN ('refused', 'no_address', 'unreachable', 'tls', 'timed_out', 'no_http')),
            answer text NOT NULL,
            CONSTRAINT pk_webhook_attempt PRIMARY KEY (message_id, number),
            CONSTRAINT fk_webhook_attempt_company_id_message_id_webhook_message
                FOREIGN KEY (company_id, message_id) REFERENCES webhook_message (company_id, id) ON DELETE CASCADE,
            CONSTRAINT ck_webhook_attempt_outcome CHECK ((status IS NULL) = (failure IS NOT NULL))
        );
        CREATE TABLE webhook_told (
            company_id uuid CONSTRAINT pk_webhook_told PRIMARY KEY
                CONSTRAINT fk_webhook_told_company_id_company REFERENCES company,
            publication integer NOT NULL,
            root text NOT NULL,
            at timestamptz NOT NULL,
            reader text NOT NULL,
            next_at timestamptz
        );
        """
    )
    for table in ("webhook_endpoint", "webhook_message", "webhook_attempt", "webhook_told"):
        company_rows(op, table)
    grant(op, "webhook_endpoint", "SELECT, INSERT, UPDATE, DELETE")
    # what a message says never changes, nor how an attempt went
    grant(op, "webhook_message", "SELECT, INSERT, DELETE, UPDATE (state, attempts, failures, next_attempt_at)")
    grant(op, "webhook_attempt", "SELECT, INSERT")
    grant(op, "webhook_told", "SELECT, INSERT, UPDATE")


def downgrade() -> None:
    for table in ("webhook_told", "webhook_attempt", "webhook_message", "webhook_endpoint"):
        op.drop_table(table)
