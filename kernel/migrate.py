"""Bring a database to the newest schema. Several starters may do so at once: the second waits for the first."""

from pathlib import Path

from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def migrate(owner_url: str) -> None:
    """Run every migration that the database does not have yet, in the owner's role."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = owner_url
    command.upgrade(config, "head")
