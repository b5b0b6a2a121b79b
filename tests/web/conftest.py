"""A running shop over the demo's data: loaded once, then cloned for each test."""

import asyncio
import fcntl
import hashlib
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import psycopg
import pytest
from argon2 import PasswordHasher
from httpx import Response
from litestar import Litestar
from psycopg import sql
from sqlalchemy.engine import make_url

from accounts.passwords import Passwords
from kernel.clock import FixedClock
from kernel.db import APP_ROLE, OWNER_ROLE
from kernel.embedded import EmbeddedServer
from kernel.settings import Settings
from sandbox.demo.load import load
from sandbox.stripe_twin import RunningTwin, running_twin
from tests.conftest import NOW, ROOT, TEST_VAR
from web.app import create_app
from web.services import Services, build, running

PASSWORD = "demo-password-of-tests"
FAST_PASSWORDS = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
DEMO_SKUS = 1200
_numbers = itertools.count()


class Shop(msgspec.Struct):
    """The application with its services, for tests that look behind a page."""

    app: Litestar
    services: Services
    clock: FixedClock

    def client(self, address: str = "127.0.0.1") -> "Browser":
        return Browser(self.app, address)


class PayingShop(Shop):
    """A shop whose buyers can pay."""

    twin: RunningTwin


class Browser(httpx.AsyncClient):
    """A client that behaves as a browser on our own pages: keeps cookies, says where it is, sends form tokens."""

    def __init__(self, app: Litestar, address: str = "127.0.0.1") -> None:
        # on the test's own event loop, where the shop's connections live; Litestar's client would run on others
        transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False, client=(address, 4711))
        super().__init__(transport=transport, base_url="http://127.0.0.1:8000", follow_redirects=True)
        self.app = app
        self.headers.update({"accept": "text/html", "sec-fetch-site": "same-origin"})

    async def token(self, path: str = "/login") -> str:
        """Return the form token that a page carries for this session."""
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', (await self.get(path)).text)
        assert found, f"{path} holds no form"
        return found[1]

    async def submit(
        self, path: str, form: Mapping[str, str | list[str]] | None = None, *, page: str = "/login"
    ) -> Response:
        return await self.post(
            path, data={"form_token": await self.token(page), **(form or {})}, follow_redirects=False
        )

    async def log_in(self, email: str) -> None:
        answer = await self.post(
            "/login",
            data={"form_token": await self.token(), "email": email, "password": PASSWORD},
            follow_redirects=False,
        )
        assert answer.status_code == 303, answer.text


@pytest.fixture(scope="session")
def demo_template(server: EmbeddedServer, template: str) -> str:
    """A database with the demo loaded at NOW, and the keyring that signed its publication."""
    name = f"{template.replace('template', 'demo')}_{_demo_digest()}"
    with (TEST_VAR / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            ready = connection.execute(
                "select 1 from pg_database where datname = %s and shobj_description(oid, 'pg_database') = 'ready'",
                (name,),
            ).fetchone()
            if ready is None:
                connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
                connection.execute(
                    sql.SQL("create database {} template {} owner {}").format(
                        sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER_ROLE)
                    )
                )
                asyncio.run(_load(server.url(name, APP_ROLE)))
                connection.execute(sql.SQL("comment on database {} is 'ready'").format(sql.Identifier(name)))
    return name


def _demo_digest() -> str:
    """Names the demo's generator, texts and loader, so that a changed demo is loaded anew."""
    sandbox = ROOT / "sandbox"
    sources = sorted([*(sandbox / "demo").glob("*.*"), *(sandbox / "demo_documents").glob("*.*")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]


async def _load(url: str) -> None:
    services = build(demo_settings(url), clock=FixedClock(NOW), passwords=FAST_PASSWORDS)
    try:
        await services.books.refresh()
        await load(services, PASSWORD, skus=DEMO_SKUS)
    finally:
        await services.gateway.close()
        await services.db.close()


def demo_settings(url: str, **more: str) -> Settings:
    """Settings of a test shop. Keyring and compiled books are shared by all of them, as the template is."""
    return Settings.from_environment(
        {
            "VAR": str(TEST_VAR / "demo"),
            "DATABASE_URL": url,
            "STRIPE_WEBHOOK_SECRET": "whsec_test",
            "API_REQUESTS_A_MINUTE": "1000000",
            "API_GUEST_REQUESTS_A_MINUTE": "1000000",
            **more,
        }
    )


def own_folder(var: Path) -> dict[str, str]:
    """Settings of a test shop that keeps its letters in a folder of its own, and shares the rest as all do."""
    for name in ("books", "feeds", "imports", "renderings"):
        shared = TEST_VAR / "demo" / name
        shared.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (var / name).exists():
            var.mkdir(parents=True, exist_ok=True)
            (var / name).symlink_to(shared)
    return {"VAR": str(var), "SIGNING_KEYRING": str(TEST_VAR / "demo" / "keyring.json")}


@pytest.fixture
def demo_database_url(server: EmbeddedServer, demo_template: str) -> Iterator[str]:
    with _cloned(server, demo_template, f"shop_{os.getpid()}_{next(_numbers)}") as url:
        yield url


@contextmanager
def _cloned(server: EmbeddedServer, demo_template: str, name: str) -> Iterator[str]:
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} owner {}").format(
                sql.Identifier(name), sql.Identifier(demo_template), sql.Identifier(OWNER_ROLE)
            )
        )
    yield server.url(name, APP_ROLE)
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def shop(demo_database_url: str) -> AsyncIterator[Shop]:
    """The shop a minute after the demo's prices took effect. Its books are running; no background worker is."""
    async with _open(demo_database_url) as opened:
        yield opened


@pytest.fixture(scope="session")
async def read_only_shop(server: EmbeddedServer, demo_template: str) -> AsyncIterator[Shop]:
    """The same shop for tests that only look; they share it."""
    with _cloned(server, demo_template, f"shop_read_only_{os.getpid()}") as url:
        async with _open(url) as opened:
            yield opened


@pytest.fixture
async def paying_shop(demo_database_url: str, tmp_path: Path) -> AsyncIterator[PayingShop]:
    """The shop with test payments beside it: the Stripe twin, on the shop's clock."""
    clock = _a_minute_after()
    with running_twin(file=tmp_path / "twin.sqlite", clock=clock.now) as twin:
        settings = {"STRIPE_API_KEY": "sk_test_twin", "STRIPE_API_BASE": twin.base_url}
        async with _open(demo_database_url, clock, **settings, **own_folder(tmp_path / "shop")) as opened:
            yield PayingShop(opened.app, opened.services, opened.clock, twin)


def _a_minute_after() -> FixedClock:
    clock = FixedClock(NOW)
    clock.advance(minutes=1)
    return clock


def standing_still() -> float:
    """No seconds pass: while a test without a loop runs, nobody listens for a shop that other tests share."""
    return 0.0


@asynccontextmanager
async def _open(url: str, clock: FixedClock | None = None, **settings: str) -> AsyncIterator[Shop]:
    clock = clock or _a_minute_after()
    services = build(demo_settings(url, **settings), clock=clock, passwords=FAST_PASSWORDS, elapsed=standing_still)
    app = create_app(services, background=False)
    async with running(services, background=False):  # as the application does for itself under a server
        yield Shop(app, services, clock)


@pytest.fixture
async def browser(shop: Shop) -> Browser:
    """A visitor's browser."""
    return shop.client()


@pytest.fixture
def installation(
    demo_database_url: str, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """The environment of a shop with the demo's data; the folder its user stands in."""
    name = make_url(demo_database_url).database
    assert name is not None
    for key, value in {
        "VAR": str(TEST_VAR / "demo"),
        "PORT": "8765",
        "DATABASE_URL": demo_database_url,
        "MIGRATION_DATABASE_URL": server.url(name, OWNER_ROLE),
        "STRIPE_WEBHOOK_SECRET": "whsec_test",
        "TARIFA_CALLED_FROM": str(tmp_path),
    }.items():
        monkeypatch.setenv(key, value)
    for key in ("STRIPE_API_KEY", "STRIPE_API_BASE", "TARIFA_MODE"):
        monkeypatch.delenv(key, raising=False)
    return tmp_path
