"""What each migration says about a table's readers: grants to the runtime role and row-level security."""

from typing import Any

from kernel.db import APP_ROLE


def grant(op: Any, table: str, privileges: str) -> None:
    """Give the runtime role *privileges* (such as "SELECT, INSERT") on *table*, and nothing else."""
    op.execute(f"GRANT {privileges} ON {table} TO {APP_ROLE}")


def company_rows(op: Any, table: str, *, guests: bool = False) -> None:
    """Show rows of *table* to their own company and to staff; with *guests*, rows without a company to everyone."""
    rule = "tarifa_may_see(company_id)"
    if guests:
        rule = f"(company_id IS NULL AND current_setting('tarifa.scope') <> '') OR {rule}"
    _guard(op, table, rule)


def accounts_rows(op: Any, table: str, *, company: str = "company_id") -> None:
    """Show rows of *table* also to log-in and sign-up, which look for the company."""
    _guard(op, table, f"current_setting('tarifa.scope') = 'accounts' OR tarifa_may_see({company})")


def staff_rows(op: Any, table: str) -> None:
    """Show rows of *table*, which names no company, to staff alone."""
    _guard(op, table, "tarifa_may_see(NULL)")


def append_only(op: Any, table: str) -> None:
    """Refuse every change of a row once written, whatever the role."""
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION tarifa_refuse_change()"
    )


def _guard(op: Any, table: str, rule: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {table}_rows ON {table} USING ({rule}) WITH CHECK ({rule})")


def widen(op: Any, table: str, constraint: str, column: str, *values: str) -> None:
    """Let *column* take further *values* besides those that its check constraint lists already, whoever added them."""
    _relist(op, table, constraint, column, "UNION", values)


def narrow(op: Any, table: str, constraint: str, column: str, *values: str) -> None:
    """Undo `widen`; rows that hold one of *values* have been deleted before."""
    _relist(op, table, constraint, column, "EXCEPT", values)


def _relist(op: Any, table: str, constraint: str, column: str, how: str, values: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{value}'" for value in values)
    op.execute(
        f"""
        DO $$
        DECLARE
            allowed text;
        BEGIN
            SELECT string_agg(DISTINCT quote_literal(each), ', ') INTO allowed FROM (
                SELECT (regexp_matches(pg_get_constraintdef(oid), $re$'([^']+)'$re$, 'g'))[1] AS each
                FROM pg_constraint WHERE conname = '{constraint}' AND conrelid = '{table}'::regclass
                {how} SELECT unnest(ARRAY[{listed}])
            ) known;
            EXECUTE 'ALTER TABLE {table} DROP CONSTRAINT {constraint}, '
                'ADD CONSTRAINT {constraint} CHECK ({column} IN (' || allowed || '))';
        END $$
        """  # noqa: S608 - the migrations' own words
    )
