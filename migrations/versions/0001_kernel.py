"""The kernel: who may see a row, append-only tables, jobs, mail, journey events."""

from alembic import op
from procrastinate.schema import SchemaManager

from kernel.db import APP_ROLE
from migrations.support import append_only, grant

revision = "0001_kernel"
down_revision = None


def upgrade() -> None:
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}")
    # After a transaction that set it, a pooled connection shows the scope as '' and not as unset: say so loudly too,
    # for rows silently missing pass for an empty table. STABLE, or tarifa_may_see could not be inlined.
    op.execute(
        """
        CREATE FUNCTION tarifa_refuse_scope() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
        BEGIN
            RAISE EXCEPTION 'the transaction says no scope in tarifa.scope' USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION tarifa_may_see(company uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
            SELECT CASE current_setting('tarifa.scope')
                WHEN 'staff' THEN true
                WHEN 'company' THEN company = current_setting('tarifa.company')::uuid
                WHEN 'visitor' THEN false
                WHEN 'accounts' THEN false
                ELSE tarifa_refuse_scope()
            END
        $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION tarifa_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    op.get_bind().exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))
    for table in ("jobs", "events", "workers", "periodic_defers"):
        grant(op, f"procrastinate_{table}", "SELECT, INSERT, UPDATE, DELETE")
    op.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {APP_ROLE}")
    op.execute(
        """
        CREATE TABLE outgoing_mail (
            id uuid CONSTRAINT pk_outgoing_mail PRIMARY KEY,
            kind text NOT NULL,
            recipient text NOT NULL,
            subject text NOT NULL,
            text text NOT NULL,
            html text,
            queued_at timestamptz NOT NULL,
            sent_at timestamptz,
            answer text
        )
        """
    )
    grant(op, "outgoing_mail", "SELECT, INSERT, UPDATE")
    op.execute(
        """
        CREATE TABLE journey_event (
            id uuid CONSTRAINT pk_journey_event PRIMARY KEY,
            at timestamptz NOT NULL,
            journey uuid NOT NULL,
            name text NOT NULL,
            properties jsonb NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_journey_event_journey ON journey_event (journey, at)")
    op.execute("CREATE INDEX ix_journey_event_name ON journey_event (name, at)")
    grant(op, "journey_event", "SELECT, INSERT")
    append_only(op, "journey_event")
