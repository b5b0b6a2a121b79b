"""A leaf of the ledger is appended by a function, which holds the tail and gives it number, hashes and subtrees: one
statement where it were two or three. `agreements.ledger.check_ledger` recomputes all of it.
"""

from alembic import op

revision = "0037_append_to_ledger"
down_revision = "0036_coarse_tax_requests"


def upgrade() -> None:
    op.execute(
        r"""
        CREATE FUNCTION tarifa_append_to_ledger(
            leaf_kind text, company uuid, at timestamptz, before_number text, after_number text
        ) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            number bigint;
            previous bytea;
            leaf_content text;
            value bytea;
            sibling bytea;
            place bigint;
            height bigint := 0;
        BEGIN
            SELECT size, chain_hash INTO STRICT number, previous FROM acceptance_ledger_tail FOR UPDATE;
            leaf_content := before_number || number || after_number;
            value := sha256('\x00'::bytea || convert_to(leaf_content, 'UTF8'));
            INSERT INTO acceptance_ledger
                (seq, company_id, kind, content, leaf_digest, previous_hash, chain_hash, recorded_at)
            VALUES (number, company, leaf_kind, leaf_content::jsonb, value, previous, sha256(previous || value), at);
            UPDATE acceptance_ledger_tail SET size = number + 1, chain_hash = sha256(previous || value);
            INSERT INTO acceptance_ledger_node (level, position, hash) VALUES (0, number, value);
            place := number;
            WHILE place % 2 = 1 LOOP
                SELECT hash INTO STRICT sibling FROM acceptance_ledger_node n
                WHERE n.level = height AND n.position = place - 1;
                value := sha256('\x01'::bytea || sibling || value);
                height := height + 1;
                place := place / 2;
                INSERT INTO acceptance_ledger_node (level, position, hash) VALUES (height, place, value);
            END LOOP;
            RETURN number;
        END $$
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION tarifa_append_to_ledger")
