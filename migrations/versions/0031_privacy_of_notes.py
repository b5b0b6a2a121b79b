"""Privacy: what was written with an approval, and addresses that get copies of packages, can be erased."""

from alembic import op

from migrations.support import append_only, grant

revision = "0031_privacy_of_notes"
down_revision = "0030_disputes"


def upgrade() -> None:
    grant(op, "approval_request", "UPDATE (note)")
    # A policy is still only added to by the program; an address leaves its copies through this function alone
    op.execute(
        """
        DROP TRIGGER buying_policy_append_only ON buying_policy;
        CREATE TRIGGER buying_policy_append_only BEFORE DELETE OR TRUNCATE ON buying_policy
            FOR EACH STATEMENT EXECUTE FUNCTION tarifa_refuse_change();
        CREATE FUNCTION tarifa_only_copies_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF to_jsonb(NEW) - 'copies' <> to_jsonb(OLD) - 'copies' THEN
                RAISE EXCEPTION 'a version of a policy never changes' USING ERRCODE = 'insufficient_privilege';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER buying_policy_copies BEFORE UPDATE ON buying_policy
            FOR EACH ROW EXECUTE FUNCTION tarifa_only_copies_change();
        CREATE FUNCTION tarifa_forget_copies(companies uuid[], emails text[]) RETURNS bigint
            LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
            WITH mended AS (
                UPDATE buying_policy SET copies = ARRAY(
                    SELECT each FROM unnest(copies) AS each WHERE lower(each) <> ALL (emails)
                ) WHERE company_id = ANY (companies) AND EXISTS (
                    SELECT 1 FROM unnest(copies) AS each WHERE lower(each) = ANY (emails)
                ) RETURNING 1
            ) SELECT count(*) FROM mended
        $$;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP FUNCTION tarifa_forget_copies(uuid[], text[]);
        DROP TRIGGER buying_policy_copies ON buying_policy;
        DROP FUNCTION tarifa_only_copies_change();
        DROP TRIGGER buying_policy_append_only ON buying_policy;
        REVOKE UPDATE (note) ON approval_request FROM tarifa_app;
        """
    )
    append_only(op, "buying_policy")
