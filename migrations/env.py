"""Alembic's entry: one connection in the owner's role, one transaction, one migrator at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from kernel.db import sqlalchemy_url

ADVISORY_LOCK = 7_215_311  # any number that is ours: concurrent starters queue here

engine = create_engine(sqlalchemy_url(context.config.attributes["url"]), poolclass=pool.NullPool)
with engine.begin() as connection:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=False)
    context.run_migrations()
engine.dispose()
