"""The whole application in a process of its own, so that it can be killed.

The process serves the real application with uvicorn, job worker and start-up recovery included; Stripe's webhooks reach
it over HTTP. What a buyer's browser would ask for comes over a pipe and calls the services that pages call. Processes
are forked from one that has imported everything, since a new interpreter would spend its time on imports.
"""

import asyncio
import multiprocessing
import os
import signal
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import uvicorn

from accounts.principal import Principal
from agreements.packages import Selling, Signer
from checkout.credit import Terms
from checkout.credit_notes import CreditWish
from checkout.disputes import Evidence
from checkout.model import Paying, RefundReason, ShipTo
from checkout.refunds import Wish
from checkout.views import Details
from kernel.clock import SystemClock
from kernel.errors import DomainError
from kernel.failpoints import VARIABLE
from kernel.money import Money
from kernel.settings import Settings
from tests.recovery.acts import ACTS
from tests.web.conftest import FAST_PASSWORDS, PASSWORD
from web.app import create_app
from web.services import Services, build

BUYER: Final = "buyer@acme.example"
LEGAL: Final = "legal@meridian.example"
ASKER: Final = "clerk@acme.example"
CLERK: Final = "finance@meridian.example"
BOXES: Final = frozenset({"agree", "authority", "business"})
ADDRESS: Final = ShipTo(name="Goods-in", line1="Calle del Río 1", postal_code="28013", city="Madrid", country="ES")
DIGEST: Final = "sha256:" + "0" * 64
PATIENCE_SECONDS: Final = 60.0

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.recovery.driver", "tests.recovery.warm"])


class Killed(Exception):
    """The application's process ended while it was asked for something."""


class Refused(Exception):
    """The application answered with a domain error; *problem* is its slug."""

    def __init__(self, problem: str, message: str) -> None:
        self.problem = problem
        super().__init__(f"{problem}: {message}")


class MovedClock:
    """The system's clock, *ahead* by some time that a test moves on."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead
        self._system = SystemClock()

    def now(self) -> datetime:
        return self._system.now() + self.ahead


class App:
    """The application's process, seen from the test: started, asked, killed, started again."""

    def __init__(self, environment: Mapping[str, str], clock: MovedClock, log: Path) -> None:
        self._environment = dict(environment)
        self._clock = clock
        self._log = log
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._environment['PORT']}"

    def start(self, failpoint: str = "") -> bool:
        """Start it, to die at *failpoint*; False when it died before it served anyone."""
        self.kill()
        ours, theirs = _forks.Pipe()
        environment = self._environment | {VARIABLE: failpoint}
        process = _forks.Process(target=_run, args=(theirs, environment, self._clock.ahead, str(self._log)))
        process.start()
        theirs.close()
        self._process, self._pipe = process, ours
        try:
            self._receive()
        except Killed:
            return False
        return True

    def call(self, name: str, **arguments: Any) -> Any:
        """Do the use case *name* of this module.

        :raises Killed: when the process dies on it
        :raises Refused: when the application refuses it
        """
        assert self._pipe is not None, "start it first"
        try:
            self._pipe.send((name, arguments))
        except BrokenPipeError:
            raise Killed from None
        return self._receive()

    def arm(self, failpoint: str) -> None:
        """Have the running process die at *failpoint*; "" at none."""
        self.call("arm", failpoint=failpoint)

    def move_clock(self, by: timedelta) -> None:
        """Move the test's clock, which the twin reads too, and the application's."""
        self._clock.ahead += by
        self.call("move_clock", ahead=self._clock.ahead)

    def dead(self) -> bool:
        return self._process is None or not self._process.is_alive()

    def died_by_sigkill(self) -> bool:
        assert self._process is not None, "start it first"
        self._process.join(PATIENCE_SECONDS)
        return self._process.exitcode == -signal.SIGKILL

    def kill(self) -> None:
        """kill -9, wherever it is."""
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
        self._process = self._pipe = None

    def _receive(self) -> Any:
        assert self._pipe is not None, "start it first"
        if not self._pipe.poll(PATIENCE_SECONDS):
            raise TimeoutError(f"no answer in {PATIENCE_SECONDS} s; the application's log is {self._log}")
        try:
            kind, answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise Killed from None
        if kind == "refused":
            raise Refused(*answer)
        if kind == "failed":
            raise AssertionError(f"{answer}; the application's log is {self._log}")
        return answer


# --- In the application's process ---


def _run(pipe: Connection, environment: Mapping[str, str], ahead: timedelta, log: str) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    asyncio.run(_serve(pipe, Settings.from_environment(), MovedClock(ahead)))


async def _serve(pipe: Connection, settings: Settings, clock: MovedClock) -> None:
    services = build(settings, clock=clock, passwords=FAST_PASSWORDS)
    server = uvicorn.Server(
        uvicorn.Config(create_app(services), host="127.0.0.1", port=settings.port, log_config=None, access_log=False)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            pipe.send(("failed", "the application did not start"))
            return
        await asyncio.sleep(0.005)
    pipe.send(("answer", "serving"))
    with suppress(EOFError):
        while True:
            name, arguments = await asyncio.to_thread(pipe.recv)
            pipe.send(await _answer(services, clock, name, arguments))
    server.should_exit = True
    await serving


async def _answer(services: Services, clock: MovedClock, name: str, arguments: dict[str, Any]) -> tuple[str, Any]:
    if name == "move_clock":
        clock.ahead = arguments["ahead"]
        return "answer", None
    if name == "arm":
        os.environ[VARIABLE] = arguments["failpoint"]
        return "answer", None
    try:
        return "answer", await USE_CASES[name](services, **arguments)
    except DomainError as error:
        return "refused", (error.problem, error.message)
    except Exception as error:  # noqa: BLE001 - the test fails with it, in its own process
        return "failed", repr(error)


async def visit(services: Services) -> str:
    return (await services.accounts.start_visitor_session()).token


async def log_in(services: Services, token: str, email: str = BUYER) -> str:
    opened = await services.accounts.log_in(email=email, password=PASSWORD, token=token, address="192.0.2.1")
    return opened.token


async def join(services: Services, token: str) -> None:
    await services.carts.join(await _principal(services, token))


async def add(services: Services, token: str, sku: str, quantity: str) -> None:
    await services.carts.add(await _principal(services, token), sku=sku, quantity=quantity)


async def details(services: Services, token: str) -> None:
    principal = await _principal(services, token)
    await services.checkouts.start(principal, locale="en")
    await services.checkouts.save_details(principal, Details(ship_to=ADDRESS, po_number="PO-7"), locale="en")


async def review(services: Services, token: str) -> uuid.UUID:
    shown = await services.checkouts.review(
        await _principal(services, token), locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST
    )
    return shown.presentation.id


async def place(services: Services, token: str, presentation: uuid.UUID) -> str:
    order = await services.checkouts.place(
        await _principal(services, token),
        presentation_id=presentation,
        ticked=BOXES,
        job_title="Head of purchasing",
        ip="192.0.2.1",
        user_agent="recovery tests",
    )
    return order.number


async def pay(services: Services, token: str, number: str) -> str:
    return await services.payments.start(await _principal(services, token), number)


async def pay_with_card(services: Services, token: str, number: str) -> str:
    """With the card that was kept last."""
    principal = await _principal(services, token)
    card = (await services.payments.cards.list_cards(principal))[0]
    return (await services.payments.pay_with_card(principal, number, card.id)).state.value


async def remove_card(services: Services, token: str, payment_method: str) -> None:
    """The company's admin removes a card."""
    principal = await _principal(services, token)
    for card in await services.payments.cards.list_cards(principal):
        if card.payment_method_id == payment_method:
            await services.payments.cards.remove(principal, card.id)


async def capture(services: Services, number: str) -> str:
    """The clerk takes the amount that is held for an order."""
    return (await services.payments.capture(await _clerk(services), number)).state.value


async def give_up(services: Services, number: str) -> None:
    """The clerk has made sure that a charge nobody answered was not made."""
    order = (await services.order_files.open(number)).order
    await services.payments.charges.give_up(await _clerk(services), order.id, note="Not in the dashboard")


async def come_back(services: Services, token: str, number: str, session_id: str) -> str:
    order = await services.payments.returned(await _principal(services, token), number, session_id)
    return order.state.value


async def cancel(services: Services, token: str, number: str) -> str:
    order = await services.payments.cancel(await _principal(services, token), number)
    return order.state.value


async def refund(services: Services, number: str, request_id: uuid.UUID, amount: str | None) -> str:
    """What the clerk does at the desk: give *amount* back, or with None cancel the order and give all of it back."""
    wish = Wish(
        request_id=request_id,
        reason=RefundReason.DAMAGED,
        note="One arm is loose",
        amount=None if amount is None else Money.parse(amount, "EUR"),
        cancels=amount is None,
    )
    made = await services.payments.refunds.refund(await _clerk(services), number, wish)
    return made.state.value


async def repay(services: Services, number: str, request_id: uuid.UUID) -> str:
    """The clerk gives the money of an order's only case back."""
    [case] = (await services.order_files.open(number)).liabilities
    made = await services.payments.refunds.repay(
        await _clerk(services), case.id, request_id=request_id, note="Their bank has a new card"
    )
    return made.state.value


async def answer_dispute(services: Services, evidence: str | None) -> str:
    """The clerk sends *evidence* about the only dispute that is undecided, or with None concedes it."""
    [(dispute, _)] = await services.payments.disputes.list_undecided()
    disputes = services.payments.disputes
    if evidence is None:
        answered = await disputes.concede(await _clerk(services), dispute.id)
    else:
        answered = await disputes.submit_evidence(
            await _clerk(services), dispute.id, Evidence(uncategorized_text=evidence)
        )
    return answered.state.value


async def give_terms(services: Services) -> None:
    """Finance lets Acme pay later, unless it may already."""
    company, _ = await services.credit.find("acme")
    if not company.open_:
        terms = Terms(net_days=30, limit=Money.parse("1000000.00", "EUR"))
        await services.credit.change("acme", terms, shown=None, reason="Known for years", by=None)


async def on_terms(services: Services, token: str) -> None:
    """The buyer chooses to pay by invoice."""
    await services.checkouts.choose_paying(await _principal(services, token), Paying.ON_TERMS, locale="en")


async def release(services: Services, number: str) -> str:
    """The goods leave, and the invoice is made."""
    invoice = await services.payments.invoices.release(await _clerk(services), number)
    return invoice.state.value


async def cancel_unreleased(services: Services, token: str, number: str) -> None:
    await services.payments.invoices.cancel_unreleased(await _principal(services, token), number)


async def note_paid_elsewhere(services: Services, number: str) -> None:
    await services.payments.invoices.note_paid_elsewhere(await _clerk(services), number)


async def write_off(services: Services, number: str) -> None:
    await services.payments.invoices.write_off(await _clerk(services), number, reason="Insolvent")


async def credit(services: Services, number: str, request_id: uuid.UUID, amount: str | None) -> str:
    """*amount* of the invoice is taken back, or with None all of it with the order."""
    wish = CreditWish(
        request_id=request_id, note="Loose", amount=None if amount is None else Money.parse(amount, "EUR")
    )
    return (await services.payments.credit_notes.credit(await _clerk(services), number, wish)).state.value


async def remind(services: Services) -> None:
    await services.payments.invoices.remind()


async def reconcile(services: Services) -> list[str]:
    """The kinds of what does not agree of the last days, cases and disputes of other journeys left out."""
    found = await services.payments.reconcile(since=services.clock.now() - timedelta(days=3))
    return [each.kind for each in found]


async def _clerk(services: Services) -> Principal:
    token = (await services.accounts.start_visitor_session()).token
    opened = await services.accounts.log_in(email=CLERK, password=PASSWORD, token=token, address="192.0.2.2")
    return await services.accounts.authenticate(opened.token)


async def ask_for_approval(services: Services, token: str) -> uuid.UUID:
    """The clerk, who may not sign, sends the cart for approval; sent already, the request that waits."""
    principal = await _principal(services, token)
    waiting = [each for each in await services.approvals.list_requests(principal) if each.request.state == "waiting"]
    if waiting:
        return waiting[0].request.id
    return (await services.approvals.send(principal, note="", locale="en")).id


async def open_approval(services: Services, request_id: uuid.UUID) -> uuid.UUID:
    opened = await services.approvals.open(
        await _buyer(services), request_id, locale="en", template_digest=DIGEST, stylesheet_digest=DIGEST
    )
    return opened.presentation.id


async def approve(services: Services, request_id: uuid.UUID, presentation: uuid.UUID) -> str:
    order = await services.approvals.approve(
        await _buyer(services),
        request_id,
        presentation_id=presentation,
        ticked=BOXES,
        job_title="Head of purchasing",
        ip="192.0.2.3",
        user_agent="recovery tests",
    )
    return order.number


async def reject(services: Services, request_id: uuid.UUID) -> None:
    await services.approvals.reject(await _buyer(services), request_id, note="Too much")


async def countersign_above(services: Services, amount: str | None) -> None:
    """The seller's legal desk counter-signs what is more than *amount*; with None nothing any more."""
    above = () if amount is None else (Money.parse(amount, "EUR"),)
    await services.selling_policies.change(await _staff(services, LEGAL), Selling(above=above))


async def send_package(services: Services, token: str) -> uuid.UUID:
    principal = await _principal(services, token)
    assert principal.person_id is not None
    return (await services.packages.send(principal, [principal.person_id], locale="en")).id


async def take_back(services: Services, token: str, package_id: uuid.UUID) -> None:
    await services.packages.withdraw(await _principal(services, token), package_id)


async def sign_package(services: Services, token: str, package_id: uuid.UUID) -> str:
    return await _sign(services, await _principal(services, token), package_id)


async def counter_sign(services: Services, package_id: uuid.UUID) -> str:
    """The legal desk's signature, which makes the order; its number."""
    return await _sign(services, await _staff(services, LEGAL), package_id)


async def _sign(services: Services, principal: Principal, package_id: uuid.UUID) -> str:
    assert principal.person_id is not None
    signer = Signer(
        person_id=principal.person_id,
        name=principal.name or "",
        email=principal.email or "",
        typed_name=principal.name or "",
        title="Signatory",
        ticked=frozenset({"intent", "authority"}),
        locale="en",
        template_digest=DIGEST,
        stylesheet_digest=DIGEST,
        ip="192.0.2.8",
        user_agent="a browser",
    )
    shown = (await services.packages.find(principal, package_id)).package.digest
    signed = await services.packages.sign(principal, package_id, signer, shown_digest=shown)
    return signed.order_number or ""


async def _staff(services: Services, email: str) -> Principal:
    token = (await services.accounts.start_visitor_session()).token
    opened = await services.accounts.log_in(email=email, password=PASSWORD, token=token, address="192.0.2.4")
    return await services.accounts.authenticate(opened.token)


async def _buyer(services: Services) -> Principal:
    """Acme's administrator and signatory, at a browser of their own."""
    token = (await services.accounts.start_visitor_session()).token
    opened = await services.accounts.log_in(email=BUYER, password=PASSWORD, token=token, address="192.0.2.3")
    return await services.accounts.authenticate(opened.token)


async def sweep(services: Services) -> None:
    await services.payments.sweep()


async def recover(services: Services) -> None:
    await services.payments.recover()


async def _principal(services: Services, token: str) -> Principal:
    return await services.accounts.authenticate(token)


CASES: Final = (
    visit,
    log_in,
    join,
    add,
    details,
    review,
    place,
    pay,
    pay_with_card,
    remove_card,
    give_up,
    capture,
    come_back,
    cancel,
    refund,
    repay,
    answer_dispute,
    give_terms,
    on_terms,
    release,
    cancel_unreleased,
    note_paid_elsewhere,
    write_off,
    credit,
    remind,
    reconcile,
    sweep,
    recover,
    ask_for_approval,
    open_approval,
    approve,
    reject,
    countersign_above,
    send_package,
    take_back,
    sign_package,
    counter_sign,
)
USE_CASES: Final[dict[str, Callable[..., Awaitable[Any]]]] = {case.__name__: case for case in (*CASES, *ACTS)}
