"""`tarifa serve`: everything a shop needs, started in order, and stopped with it.

The embedded PostgreSQL and the Stripe test server run only where no address and no key of real ones is set. Both keep
their data below `var/`, so that a restart, even after kill -9, goes on where it was.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import uvicorn
from sqlalchemy.exc import OperationalError

from kernel.db import APP_ROLE, OWNER_ROLE, libpq_url
from kernel.embedded import prepare_database, start_server
from kernel.log import configure_logging
from kernel.migrate import migrate
from kernel.settings import Settings
from web.cli import CommandFailed

DATABASE: Final = "tarifa"
HOST: Final = "127.0.0.1"
STOP_SECONDS: Final = 10
ROOT: Final = Path(__file__).parent.parent


def serve(*, demo_data: bool) -> int:
    """Start everything and serve until stopped. Returns the exit code.

    :raises CommandFailed: with what to do, when a port is taken or a part does not start
    """
    settings = Settings.from_environment()
    _require_free(settings.port, "PORT")
    print("Starting the database ...", flush=True)
    prepare_environment(settings, os.environ)
    require_durability(os.environ["DATABASE_URL"])
    with _test_payments(settings, os.environ):
        if demo_data and not settings.production:
            _load_demo_data_once(os.environ["DATABASE_URL"])
        configure_logging()
        _say_where(settings)
        uvicorn.run(
            "web.app:from_environment",
            factory=True,
            host=HOST,
            port=settings.port,
            workers=settings.workers,
            http="httptools",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=STOP_SECONDS,
            limit_concurrency=500,
        )
    return 0


def prepare_environment(settings: Settings, environment: MutableMapping[str, str]) -> None:
    """Have a migrated database at hand and name it in *environment*, for this process and its workers.

    :raises CommandFailed: when the database does not start or cannot be reached
    """
    if settings.database_url is None:
        try:
            server = start_server(settings.var)
            prepare_database(server, DATABASE)
        except (RuntimeError, OSError, psycopg.Error) as error:
            raise CommandFailed(str(error)) from error
        environment["DATABASE_URL"] = server.url(DATABASE, APP_ROLE)
        environment["MIGRATION_DATABASE_URL"] = server.url(DATABASE, OWNER_ROLE)
    elif settings.migration_database_url is not None:
        environment["MIGRATION_DATABASE_URL"] = settings.migration_database_url
    try:
        migrate(environment["MIGRATION_DATABASE_URL"])
    except (OperationalError, psycopg.OperationalError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise CommandFailed(f"The database cannot be reached: {reason}. Check DATABASE_URL.") from error


def require_durability(url: str) -> None:
    """Refuse a database that may forget what it has acknowledged: an order would be gone, its payment not."""
    with psycopg.connect(libpq_url(url), connect_timeout=5) as connection:
        for setting, wanted in (("fsync", ("on",)), ("full_page_writes", ("on",))):
            row = connection.execute("select current_setting(%s)", (setting,)).fetchone()
            if row is None or row[0] not in wanted:
                raise CommandFailed(f"PostgreSQL runs with {setting} off and could lose paid orders. Turn it on.")
        row = connection.execute("select current_setting('synchronous_commit')").fetchone()
        if row is None or row[0] == "off":
            raise CommandFailed("PostgreSQL runs with synchronous_commit off and could lose paid orders. Turn it on.")


@contextmanager
def _test_payments(settings: Settings, environment: MutableMapping[str, str]) -> Iterator[None]:
    """Run the Stripe test server beside the shop where no key of a real account is set."""
    if settings.stripe_api_key is not None:
        yield
        return
    port = settings.port + 1
    _require_free(port, "PORT", why="the test payments use the port after the shop's")
    secret_file = settings.var / "stripe_twin.secret"
    if not secret_file.exists():
        secret_file.touch(mode=0o600)
        secret_file.write_text(f"whsec_{secrets.token_hex(24)}")
    secret = secret_file.read_text()
    process = subprocess.Popen(  # noqa: S603 - our own program, no shell
        [
            *(sys.executable, "-m", "sandbox.stripe_twin", "--with-parent"),
            *("--port", str(port), "--file", str(settings.var / "stripe_twin.sqlite")),
            *("--webhook", f"http://{HOST}:{settings.port}/webhooks/stripe", "--webhook-secret", secret),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,  # closes with this process, however it ends, and the twin with it
        stdout=subprocess.DEVNULL,
    )
    environment["STRIPE_API_KEY"] = "sk_test_twin"
    environment["STRIPE_API_BASE"] = f"http://{HOST}:{port}"
    environment["STRIPE_WEBHOOK_SECRET"] = secret
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _load_demo_data_once(url: str) -> None:
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute("select set_config('tarifa.scope', 'accounts', true)")
        row = connection.execute("select exists (select 1 from person where staff_role is not null)").fetchone()
    if row is not None and row[0]:
        return
    print("Loading demo data (once) ...", flush=True)
    done = subprocess.run([sys.executable, "-m", "sandbox.demo.load"], cwd=ROOT, check=False)
    if done.returncode:
        raise CommandFailed("The demo data could not be loaded; what went wrong stands above.")


def _say_where(settings: Settings) -> None:
    lines = ["", f"  Shop   {settings.base_url}", f"  Desk   {settings.base_url}/desk"]
    if settings.test_payments:
        lines.append(
            "  Test payments: no card is charged. Card 4242 4242 4242 4242 pays, 4000 0000 0000 0002 declines."
        )
    log_ins = settings.var / "demo-log-ins.txt"
    if not settings.production and log_ins.exists():
        lines += ["", *(f"  {line}" for line in log_ins.read_text().splitlines())]
    print("\n".join([*lines, "", "  Stop with Ctrl-C. Data stay in " + str(settings.var), ""]), flush=True)


def _require_free(port: int, name: str, *, why: str = "") -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            reason = f" ({why})" if why else ""
            raise CommandFailed(
                f"Port {port} is taken{reason}. Stop what uses it, or choose another: make run {name}={port + 10}"
            ) from None
