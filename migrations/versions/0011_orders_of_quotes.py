"""Checkout: the signed quote that prices a cart, and the order placed by it; a quote is ordered once."""

from alembic import op

revision = "0011_orders_of_quotes"
down_revision = "0010_price_acknowledgements"


def upgrade() -> None:
    for table in ("cart", "customer_order"):
        op.execute(
            f"""
            ALTER TABLE {table} ADD COLUMN signed_quote_id uuid,
                ADD CONSTRAINT fk_{table}_company_id_signed_quote_id_signed_quote
                FOREIGN KEY (company_id, signed_quote_id) REFERENCES signed_quote (company_id, id)
            """
        )
    op.execute("ALTER TABLE customer_order ADD CONSTRAINT uq_customer_order_signed_quote_id UNIQUE (signed_quote_id)")
    # A cart whose company were unknown would name a quote that no key holds to its company
    op.execute(
        "ALTER TABLE cart ADD CONSTRAINT ck_cart_signed_quote CHECK (signed_quote_id IS NULL OR company_id IS NOT NULL)"
    )


def downgrade() -> None:
    for table in ("customer_order", "cart"):
        op.drop_column(table, "signed_quote_id")
