"""Accounts: API keys of the house's own people, what they did, and their calls that may be repeated."""

from alembic import op

from migrations.support import accounts_rows, append_only, grant, staff_rows

revision = "0020_staff_keys"
down_revision = "0019_refunds"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE staff_key (
            id uuid CONSTRAINT pk_staff_key PRIMARY KEY,
            key_id text NOT NULL CONSTRAINT uq_staff_key_key_id UNIQUE,
            person_id uuid NOT NULL CONSTRAINT fk_staff_key_person_id_person REFERENCES person,
            name text NOT NULL,
            secret_sha256 bytea NOT NULL,
            scopes text[] NOT NULL CONSTRAINT ck_staff_key_scopes CHECK (cardinality(scopes) > 0),
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz,
            used_at timestamptz
        );
        CREATE INDEX ix_staff_key_person_id_name ON staff_key (person_id, name);
        CREATE TABLE staff_key_call (
            id uuid CONSTRAINT pk_staff_key_call PRIMARY KEY,
            key_id text NOT NULL CONSTRAINT fk_staff_key_call_key_id_staff_key REFERENCES staff_key (key_id),
            person_id uuid NOT NULL CONSTRAINT fk_staff_key_call_person_id_person REFERENCES person,
            at timestamptz NOT NULL,
            method text NOT NULL,
            path text NOT NULL
        );
        CREATE INDEX ix_staff_key_call_person_id_at ON staff_key_call (person_id, at);
        CREATE INDEX ix_staff_key_call_at ON staff_key_call (at);
        """
    )
    # No company's scope sees a row of either: they name no company
    accounts_rows(op, "staff_key", company="NULL::uuid")
    staff_rows(op, "staff_key_call")
    grant(op, "staff_key", "SELECT, INSERT, UPDATE (revoked_at, used_at)")
    grant(op, "staff_key_call", "SELECT, INSERT")
    append_only(op, "staff_key_call")
    # As for companies' keys, but a notice names the person. What a key may do hangs on the person's role too.
    op.execute(
        """
        CREATE FUNCTION announce_staff_key() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('api_key_changed', OLD.person_id::text);
            RETURN NULL;
        END $$;
        CREATE FUNCTION announce_staff() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('api_key_changed', OLD.id::text);
            RETURN NULL;
        END $$;
        CREATE TRIGGER staff_key_changed AFTER UPDATE ON staff_key FOR EACH ROW
            WHEN (OLD.revoked_at IS DISTINCT FROM NEW.revoked_at OR OLD.expires_at <> NEW.expires_at
                OR OLD.scopes <> NEW.scopes OR OLD.secret_sha256 <> NEW.secret_sha256)
            EXECUTE FUNCTION announce_staff_key();
        CREATE TRIGGER staff_key_deleted AFTER DELETE ON staff_key
            FOR EACH ROW EXECUTE FUNCTION announce_staff_key();
        CREATE TRIGGER staff_changed AFTER UPDATE ON person FOR EACH ROW
            WHEN (OLD.staff_role IS NOT NULL AND OLD IS DISTINCT FROM NEW)
            EXECUTE FUNCTION announce_staff();
        """
    )
    # A call that may be repeated belongs to a company or to one of the house's people
    op.execute(
        """
        ALTER TABLE api_call ALTER COLUMN company_id DROP NOT NULL;
        ALTER TABLE api_call ADD COLUMN person_id uuid CONSTRAINT fk_api_call_person_id_person REFERENCES person;
        ALTER TABLE api_call ADD CONSTRAINT uq_api_call_person_id_idempotency_key UNIQUE (person_id, idempotency_key);
        ALTER TABLE api_call ADD CONSTRAINT ck_api_call_one_owner CHECK (num_nonnulls(company_id, person_id) = 1);
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DELETE FROM api_call WHERE company_id IS NULL;
        ALTER TABLE api_call DROP CONSTRAINT ck_api_call_one_owner;
        ALTER TABLE api_call DROP COLUMN person_id;
        ALTER TABLE api_call ALTER COLUMN company_id SET NOT NULL;
        DROP TRIGGER staff_changed ON person;
        DROP TABLE staff_key_call;
        DROP TABLE staff_key;
        DROP FUNCTION announce_staff();
        DROP FUNCTION announce_staff_key();
        """
    )
