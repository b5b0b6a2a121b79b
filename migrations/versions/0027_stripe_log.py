"""Checkout: events of Stripe are found by what they are about, and listed by time."""

from alembic import op

revision = "0027_stripe_log"
down_revision = "0026_evidence"


def upgrade() -> None:
    op.execute("CREATE INDEX ix_stripe_event_about ON stripe_event ((payload #>> '{data,object,id}'))")
    op.execute("CREATE INDEX ix_stripe_event_received_at ON stripe_event (received_at DESC, id DESC)")


def downgrade() -> None:
    op.drop_index("ix_stripe_event_received_at")
    op.drop_index("ix_stripe_event_about")
