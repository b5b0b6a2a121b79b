"""Prices: why a publication needed a second approver, and who that was."""

from alembic import op

revision = "0017_second_approvals"
down_revision = "0016_price_imports"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE price_publication
            ADD COLUMN demands jsonb NOT NULL DEFAULT '[]',
            ADD COLUMN second_approved_by uuid
                CONSTRAINT fk_price_publication_second_approved_by_person REFERENCES person,
            ADD COLUMN second_approved_at timestamptz,
            ADD CONSTRAINT ck_price_publication_second_approver CHECK (
                (second_approved_by IS NULL) = (second_approved_at IS NULL)
                AND (second_approved_by IS NULL OR approved_by IS NOT NULL)
                AND second_approved_by <> approved_by
                AND second_approved_by <> author_id
            ),
            ADD CONSTRAINT ck_price_publication_demands_met CHECK (
                demands = '[]' OR approval <> 'given' OR second_approved_by IS NOT NULL
            )
        """
    )
    op.execute("ALTER TABLE price_publication ALTER COLUMN demands DROP DEFAULT")


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE price_publication
            DROP COLUMN demands CASCADE, DROP COLUMN second_approved_by CASCADE, DROP COLUMN second_approved_at CASCADE
        """
    )
