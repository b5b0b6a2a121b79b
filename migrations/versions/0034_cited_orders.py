"""Framework orders keep the canonical order, as acceptances and packages do: their receipts are made of it."""

from alembic import op

revision = "0034_cited_orders"
down_revision = "0033_vat_checks"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE framework_order ADD COLUMN order_content jsonb;
        ALTER TABLE framework_order DISABLE TRIGGER framework_order_append_only;
        SELECT set_config('tarifa.scope', 'staff', true);
        UPDATE framework_order f SET order_content = o.canonical FROM customer_order o WHERE o.id = f.order_id;
        SELECT set_config('tarifa.scope', '', true);
        ALTER TABLE framework_order ENABLE TRIGGER framework_order_append_only;
        ALTER TABLE framework_order ALTER COLUMN order_content SET NOT NULL;
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE framework_order DROP COLUMN order_content")
