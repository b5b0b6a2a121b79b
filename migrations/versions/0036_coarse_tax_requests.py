"""What Stripe Tax was asked keeps of the delivery its country and region; the exact question is known by its digest."""

from alembic import op

revision = "0036_coarse_tax_requests"
down_revision = "0035_act_annexes"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE tax_calculation DISABLE TRIGGER tax_calculation_append_only;
        SELECT set_config('tarifa.scope', 'staff', true);
        UPDATE tax_calculation SET request = jsonb_set(
            request::jsonb,
            '{customer_details,address}',
            (request::jsonb #> '{customer_details,address}') - '{line1,line2,city,postal_code}'::text[]
        )::text
        WHERE request::jsonb #> '{customer_details,address}' IS NOT NULL;
        SELECT set_config('tarifa.scope', '', true);
        ALTER TABLE tax_calculation ENABLE TRIGGER tax_calculation_append_only;
        """
    )


def downgrade() -> None:
    """What is forgotten does not come back."""
