"""Announce changes of API keys and their companies, so that workers may keep what they know of keys."""

from alembic import op

revision = "0008_api_key_notices"
down_revision = "0007_price_sources"


def upgrade() -> None:
    # A notice names the company as it was: that is the one under which a worker keeps the key. The use of a key is no
    # change of it. A new key or company is in no worker's memory.
    op.execute(
        """
        CREATE FUNCTION announce_api_key() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('api_key_changed', OLD.company_id::text);
            RETURN NULL;
        END $$;
        CREATE FUNCTION announce_company() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('api_key_changed', OLD.id::text);
            RETURN NULL;
        END $$;
        CREATE TRIGGER api_key_changed AFTER UPDATE ON api_key FOR EACH ROW
            WHEN ((OLD.key_id, OLD.company_id, OLD.secret_sha256, OLD.scopes, OLD.expires_at, OLD.revoked_at)
                IS DISTINCT FROM
                (NEW.key_id, NEW.company_id, NEW.secret_sha256, NEW.scopes, NEW.expires_at, NEW.revoked_at))
            EXECUTE FUNCTION announce_api_key();
        CREATE TRIGGER api_key_deleted AFTER DELETE ON api_key FOR EACH ROW EXECUTE FUNCTION announce_api_key();
        CREATE TRIGGER company_changed AFTER UPDATE ON company FOR EACH ROW
            WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION announce_company();
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER company_changed ON company;
        DROP TRIGGER api_key_deleted ON api_key;
        DROP TRIGGER api_key_changed ON api_key;
        DROP FUNCTION announce_company();
        DROP FUNCTION announce_api_key();
        """
    )
