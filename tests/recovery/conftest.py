"""A shop, a Stripe and buyers' journeys on which the shop dies at a failpoint, once, wherever that is."""

import itertools
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from kernel.clock import SystemClock
from kernel.db import APP_ROLE, OWNER_ROLE
from kernel.embedded import EmbeddedServer
from sandbox.stripe_twin import RunningTwin, running_twin
from tests.conftest import NOW, TEST_VAR
from tests.recovery.driver import BUYER, App, Killed, MovedClock
from tests.recovery.truth import Row, Truth
from tests.web.conftest import demo_template as demo_template  # noqa: PLC0414 - pytest finds it here by this name

SECRET = "whsec_of_the_recovery_tests"
WAIT_SECONDS = 90.0
ALSO_WHILE_RECOVERING = "checkout.payment.settle:before_commit"
_numbers = itertools.count()


class Journey:
    """What one buyer and Stripe do. The first death of the shop is met by restarts; then the buyer tries again."""

    def __init__(self, app: App, twin: RunningTwin, truth: Truth) -> None:
        self.app = app
        self.twin = twin
        self.truth = truth
        self.failpoint = ""
        self.deaths = 0
        self.token = ""
        self.forget()

    def begin(self, failpoint: str) -> None:
        """A visitor comes; from now on the shop dies at *failpoint*."""
        self.twin.control.hold_webhooks()
        self.token = self.app.call("visit")
        self.failpoint = failpoint
        self.app.arm(failpoint)

    @contextmanager
    def immortal(self) -> Iterator[None]:
        """Let the shop survive the failpoint while the block lasts."""
        self.app.arm("")
        yield
        self.app.arm(self.failpoint)

    def log_in(self, email: str = BUYER) -> None:
        self.token = self.ask("log_in", token=self.token, email=email)

    def forget(self) -> None:
        """What happened so far was before this journey."""
        self._orders_before = {order["id"] for order in self.truth.orders()}
        self._sessions_before = {session["id"] for session in self.twin.control.objects("checkout.session")}

    def do(self, name: str, **arguments: Any) -> Any:
        """The buyer asks the shop for a use case; when that kills it, the restarted one again."""
        return self.ask(name, token=self.token, **arguments)

    def ask(self, name: str, **arguments: Any) -> Any:
        """Somebody else does: the clerk, or the shop itself each minute."""
        try:
            return self.app.call(name, **arguments)
        except Killed:
            self.restart_after_death()
        return self.app.call(name, **arguments)

    def pass_time(self, by: timedelta) -> None:
        self.app.move_clock(by)
        self.twin.control.let_time_pass()

    def deliver_webhooks(self) -> None:
        """Let Stripe send what it holds back, until the shop has handled all."""
        self.twin.control.release_webhooks()
        give_up = time.monotonic() + WAIT_SECONDS
        while self._busy():
            if self.app.dead():
                self.restart_after_death()
            if time.monotonic() > give_up:
                raise TimeoutError(f"not handled: {self.twin.control.deliveries()}")
            self.twin.control.retry_webhooks_now()
            time.sleep(0.02)
        if self.app.dead():  # its last word reached Stripe before it died
            self.restart_after_death()

    def restart_after_death(self) -> None:
        """Restart it to die again at the same place, and at another, if recovery comes by; then for good.

        Once it serves, what is true at Stripe is true here, whether or not the buyer ever comes back.
        """
        assert self.app.died_by_sigkill()
        assert self.failpoint, "nobody told it to die"
        self.deaths += 1
        for again in (self.failpoint, ALSO_WHILE_RECOVERING):
            if not self.app.start(again):
                assert self.app.died_by_sigkill()
        assert self.app.start(), "it does not start again"
        self.truth.check()
        before = self.truth.orders()
        self.app.call("recover")
        self.truth.check()
        assert self.truth.orders() == before, "recovering twice does what recovering once has done"

    def orders(self) -> list[Row]:
        """This journey's orders."""
        return [order for order in self.truth.orders() if order["id"] not in self._orders_before]

    def sessions(self) -> list[Row]:
        """This journey's Sessions at Stripe."""
        sessions = self.twin.control.objects("checkout.session")
        return [session for session in sessions if session["id"] not in self._sessions_before]

    def session(self) -> str:
        """The id of this journey's only Session: a second one would be a second way to be charged."""
        [session] = self.sessions()
        return str(session["id"])

    def _busy(self) -> bool:
        control = self.twin.control
        owed = any(row["state"] == "pending" for row in control.deliveries())
        return owed or not control.dispatcher.idle() or self.truth.unhandled_events() > 0


class World:
    """One shop with its database and its Stripe. Journeys follow one another in it, and all orders must stay true;
    after one that ended badly the world is made anew, so that one fault is reported once.
    """

    def __init__(
        self,
        server: EmbeddedServer,
        demo_template: str,
        folder: Path,
        truth: type[Truth] = Truth,
        settings: dict[str, str] | None = None,
        journey: type[Journey] = Journey,
    ) -> None:
        self._server = server
        self._journey = journey
        self._settings = settings or {}
        self._template = demo_template
        self._folder = folder
        self._truth = truth
        self._parts: tuple[App, RunningTwin, Truth] | None = None
        self._stack = ExitStack()

    @contextmanager
    def journey(self) -> Iterator[Journey]:
        if self._parts is None:
            self._parts = self._stack.enter_context(self._running())
        try:
            yield self._journey(*self._parts)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._parts = None
        self._stack.close()

    @contextmanager
    def _running(self) -> Iterator[tuple[App, RunningTwin, Truth]]:
        clock = MovedClock(NOW + timedelta(minutes=1) - SystemClock().now())
        port = _free_port()
        number = next(_numbers)
        with (
            self._database(f"recovery_{os.getpid()}_{number}") as name,
            running_twin(
                file=self._folder / f"twin-{number}.sqlite",
                webhook_url=f"http://127.0.0.1:{port}/webhooks/stripe",
                webhook_secret=SECRET,
                clock=clock.now,
            ) as twin,
        ):
            environment = {
                "VAR": str(TEST_VAR / "demo"),
                "PORT": str(port),
                "DATABASE_URL": self._server.url(name, APP_ROLE),
                "STRIPE_API_KEY": "sk_test_of_the_recovery_tests",
                "STRIPE_API_BASE": twin.base_url,
                "STRIPE_WEBHOOK_SECRET": SECRET,
                "CAPTURE_LATER_FROM": "200 EUR",  # of these journeys, two order for more
                **self._settings,
            }
            app = App(environment, clock, self._folder / f"app-{number}.log")
            truth = self._truth(self._server.url(name, "postgres"), twin)
            try:
                assert app.start(), "the shop does not start"
                yield app, twin, truth
            finally:
                app.kill()
                truth.close()

    @contextmanager
    def _database(self, name: str) -> Iterator[str]:
        with psycopg.connect(self._server.superuser_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {} owner {}").format(
                    sql.Identifier(name), sql.Identifier(self._template), sql.Identifier(OWNER_ROLE)
                )
            )
        try:
            yield name
        finally:
            with psycopg.connect(self._server.superuser_url, autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def world(server: EmbeddedServer, demo_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    kept = World(server, demo_template, tmp_path_factory.mktemp("recovery"))
    yield kept
    kept.close()
