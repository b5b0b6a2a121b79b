"""The twin as one object: what the server, the hosted pages and the tests drive."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sandbox.stripe_twin import cash, disputes, endpoints, invoices, refunds, sessions
from sandbox.stripe_twin.account import Account, ContractViolation
from sandbox.stripe_twin.api import Api
from sandbox.stripe_twin.cards import CardEntry, card_of, named_entry
from sandbox.stripe_twin.clock import Clock, TwinClock, system_clock
from sandbox.stripe_twin.contract import shared_contract
from sandbox.stripe_twin.debits import DebitEntry, named_debit
from sandbox.stripe_twin.errors import JsonObject
from sandbox.stripe_twin.faults import Fault, FaultPlan, SeededFaults
from sandbox.stripe_twin.outbox import Outbox, Twist
from sandbox.stripe_twin.sessions import Attempt
from sandbox.stripe_twin.store import Record, Store
from sandbox.stripe_twin.webhooks import Dispatcher


class Twin:
    """A Stripe account in one file, without the HTTP in front of it."""

    def __init__(
        self,
        *,
        file: Path,
        base_url: str,
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self.store = Store(file)
        self.clock = TwinClock(clock, shift_seconds=self.store.setting("clock_shift_seconds") or 0.0)
        self.outbox = Outbox(self.store)
        self.faults = FaultPlan()
        self.account = Account(
            store=self.store, contract=shared_contract(), clock=self.clock, outbox=self.outbox, base_url=base_url
        )
        self.api = Api(self.account)
        self.dispatcher = Dispatcher(self.account, tick=self.let_time_pass)
        if webhook_url is not None:
            self._keep_default_endpoint(webhook_url, webhook_secret or "")

    def start(self) -> None:
        self.dispatcher.start()

    def stop(self) -> None:
        self.dispatcher.stop()
        self.store.close()

    # The buyer's side

    def find_session(self, session_id: str) -> Record | None:
        self.let_time_pass()
        return self.store.find(session_id, "checkout.session")

    def find_invoice(self, invoice_id: str) -> Record | None:
        self.let_time_pass()
        return self.store.find(invoice_id, "invoice")

    def pay(self, session_id: str, entry: CardEntry | DebitEntry) -> Attempt:
        """:raises KeyError: when there is no such Session."""
        with self._acting():
            session = self.store.find(session_id, "checkout.session")
            if session is None:
                raise KeyError(session_id)
            return sessions.pay(self.account, session, entry)

    def authenticate(self, intent_id: str, token: str, *, passed: bool) -> tuple[Attempt, Record]:
        """The bank's answer for the authentication *token*; an outdated one changes nothing.

        :raises KeyError: when there is no such PaymentIntent.
        """
        with self._acting():
            intent = self.store.find(intent_id, "payment_intent")
            session = self.store.find(intent.private["session"], "checkout.session") if intent else None
            if intent is None or session is None:
                raise KeyError(intent_id)
            if intent.private.get("authentication") != token:
                return Attempt("closed"), session
            card = card_of(intent.private["card"])
            attempt = sessions.finish_authentication(self.account, session, intent, card, passed=passed)
            return attempt, session

    def let_time_pass(self) -> None:
        """Do what is due: Sessions expire, banks decide on debits and disputes, holds and refunds end."""
        now = self.clock.seconds()
        due = (
            self.store.list_due_sessions,
            self.store.list_due_intents,
            self.store.list_due_refunds,
            self.store.list_due_charges,
            self.store.list_due_disputes,
            self.store.list_due_invoices,
        )
        if not any(listed(now) for listed in due):
            return
        with self._acting_now():
            for session in self.store.list_due_sessions(now):
                sessions.close(self.account, session)
            for intent in self.store.list_due_intents(now):
                sessions.turn_intent(self.account, intent)
            for refund in self.store.list_due_refunds(now):
                refunds.turn(self.account, refund)
            for charge in self.store.list_due_charges(now):
                disputes.open_planned(self.account, charge)
            for dispute in self.store.list_due_disputes(now):
                disputes.run_out(self.account, dispute)
            for invoice in self.store.list_due_invoices(now):
                invoices.say_overdue(self.account, invoice)

    # The tests' side

    def pay_at_once(
        self,
        session_id: str,
        card: str = "visa",
        *,
        authentication: Literal["pass", "fail", "wait"] = "pass",
        save: bool = False,
    ) -> Attempt:
        """Pay without a browser; *card* is a name of cards.TEST_CARDS or debits.TEST_ACCOUNTS, or a card's number.

        *save* ticks that the card be kept. ``wait`` leaves a 3D Secure card unanswered, as a buyer does who walks away.

        :raises KeyError: when there is no such Session.
        :raises ValueError: for an unknown card name.
        """
        year = int(time.strftime("%Y", time.gmtime(self.clock.seconds())))
        attempt = self.pay(session_id, named_debit(card) or named_entry(card, year=year, save=save))
        if attempt.outcome != "requires_action" or authentication == "wait" or attempt.location is None:
            return attempt
        intent_id, token = attempt.location.rsplit("/", 2)[1:]
        return self.authenticate(intent_id, token, passed=authentication == "pass")[0]

    def pay_invoice(
        self, invoice_id: str, card: str = "visa", *, authentication: Literal["pass", "fail", "wait"] = "pass"
    ) -> Attempt:
        """Pay an Invoice on its hosted page without a browser; as `pay_at_once`.

        :raises KeyError: when there is no such Invoice.
        """
        year = int(time.strftime("%Y", time.gmtime(self.clock.seconds())))
        attempt = self.enter_card(invoice_id, named_entry(card, year=year))
        if attempt.outcome != "requires_action" or authentication == "wait":
            return attempt
        return self.authenticate_invoice(invoice_id, passed=authentication == "pass")

    def enter_card(self, invoice_id: str, entry: CardEntry) -> Attempt:
        """:raises KeyError: when there is no such Invoice."""
        with self._acting():
            return invoices.pay_by_card(self.account, self._invoice(invoice_id), entry)

    def authenticate_invoice(self, invoice_id: str, *, passed: bool) -> Attempt:
        """The bank's answer for the card that waits on an Invoice.

        :raises KeyError: when there is no such Invoice, or no card waits.
        """
        with self._acting():
            invoice = self._invoice(invoice_id)
            intent = self.store.find(invoice.private["intent"], "payment_intent")
            if intent is None or intent.private.get("authentication") is None:
                raise KeyError(invoice_id)
            return invoices.finish_authentication(self.account, invoice, intent, passed=passed)

    def transfer(self, customer_id: str, amount: int, currency: str = "eur", reference: str | None = None) -> str:
        """A customer's bank transfer arrives; the id of its cash balance transaction. *reference* is what it names.

        :raises KeyError: when there is no such Customer.
        """
        with self._acting():
            customer = self.store.find(customer_id, "customer")
            if customer is None:
                raise KeyError(customer_id)
            return cash.transfer(self.account, customer, amount=amount, currency=currency, reference=reference).id

    def fail_refund(self, refund_id: str) -> None:
        """The bank sends a refund back now.

        :raises KeyError: when there is no such refund.
        """
        with self._acting():
            refund = self.store.find(refund_id, "refund")
            if refund is None:
                raise KeyError(refund_id)
            refunds.send_back(self.account, refund)

    def dispute(
        self, charge_id: str, *, reason: str = "fraudulent", amount: int | None = None, inquiry: bool = False
    ) -> str:
        """The bank of a charge's card disputes it now, or with *inquiry* only asks; the dispute's id.

        :raises KeyError: when there is no such charge.
        """
        with self._acting():
            charge = self.store.find(charge_id, "charge")
            if charge is None:
                raise KeyError(charge_id)
            return disputes.open_dispute(self.account, charge, reason=reason, amount=amount, inquiry=inquiry).id

    def decide_dispute(self, dispute_id: str, *, won: bool) -> None:
        """The bank decides a dispute now; an inquiry ends either way.

        :raises KeyError: when there is no such dispute.
        :raises ValueError: when it was decided before.
        """
        with self._acting():
            disputes.decide(self.account, self._dispute(dispute_id), won=won)

    def escalate_inquiry(self, dispute_id: str) -> str:
        """An inquiry becomes a dispute, another one; its id.

        :raises KeyError: when there is no such inquiry.
        """
        with self._acting():
            return disputes.escalate(self.account, self._dispute(dispute_id)).id

    def _dispute(self, dispute_id: str) -> Record:
        dispute = self.store.find(dispute_id, "dispute")
        if dispute is None:
            raise KeyError(dispute_id)
        return dispute

    def add_fault(self, fault: Fault) -> None:
        self.faults.add(fault)

    def seed_faults(self, seeded: SeededFaults) -> None:
        self.faults.seed(seeded)

    def clear_faults(self) -> None:
        self.faults.clear()
        self.outbox.clear()

    def twist_webhooks(self, twist: Twist) -> None:
        self.outbox.plan(twist)

    def hold_webhooks(self) -> None:
        """Send nothing new until ``release_webhooks``."""
        self.outbox.holding = True

    def release_webhooks(self, *, reverse: bool = False) -> int:
        self.outbox.holding = False
        with self.store.transaction():
            released = self.store.release_deliveries(reverse=reverse, now=self.clock.seconds())
        self.dispatcher.wake()
        return released

    def retry_webhooks_now(self) -> int:
        """Don't wait for the back-off."""
        hurried = self.store.hurry_deliveries(now=self.clock.seconds())
        self.dispatcher.wake()
        return hurried

    def resend_event(self, event_id: str) -> int:
        """Owe the event again to every enabled endpoint, as ``stripe events resend`` does.

        :raises KeyError: when there is no such event.
        """
        event = self.store.find(event_id, "event")
        if event is None:
            raise KeyError(event_id)
        with self.store.transaction():
            receivers = [
                endpoint
                for endpoint in self.store.list_objects("webhook_endpoint")
                if endpoint.body["status"] == "enabled"
            ]
            for endpoint in receivers:
                self.store.add_delivery(event_id, endpoint.id, state="pending", due_at=self.clock.seconds(), twist={})
        self.dispatcher.wake()
        return len(receivers)

    def roll_webhook_secret(self, secret: str, *, overlap_seconds: float = 86400.0) -> None:
        """The default endpoint gets a new secret; until the overlap is over webhooks carry both signatures."""
        with self.store.transaction():
            endpoint = self._default_endpoint()
            if endpoint is None:
                raise KeyError("the twin was started without a webhook address")
            until = self.clock.base_seconds() + overlap_seconds
            old = [entry if entry["until"] else {**entry, "until": until} for entry in endpoint.private["secrets"]]
            endpoint.private["secrets"] = [{"secret": secret, "until": None}, *old]
            self.store.update(endpoint)

    def shift_clock(self, seconds: float) -> float:
        """Move the twin's time by *seconds*; returns the whole shift. What is due happens at once."""
        with self.store.transaction():
            self.clock.shift_seconds += seconds
            self.store.set_setting("clock_shift_seconds", self.clock.shift_seconds)
        self.let_time_pass()
        self.dispatcher.wake()
        return self.clock.shift_seconds

    def objects(self, kind: str) -> list[JsonObject]:
        """Every object of a kind such as ``checkout.session``, newest first."""
        return [record.body for record in self.store.list_objects(kind)]

    def violations(self) -> list[JsonObject]:
        return self.store.list_violations()

    def requests(self) -> list[JsonObject]:
        """Every API request that was answered, oldest first, with its idempotency key and outcome."""
        return self.store.list_requests()

    def deliveries(self) -> list[JsonObject]:
        return self.store.list_deliveries()

    def drain(self, timeout: float = 10.0) -> None:
        """Wait until every webhook that is due was sent.

        :raises TimeoutError: when that takes longer than *timeout* seconds.
        """
        self.let_time_pass()
        self.dispatcher.wake()
        give_up = time.monotonic() + timeout
        while not self.dispatcher.idle():
            if time.monotonic() > give_up:
                raise TimeoutError(f"webhooks were still due after {timeout} s; see deliveries()")
            time.sleep(0.005)

    @contextmanager
    def _acting(self) -> Iterator[None]:
        self.let_time_pass()
        with self._acting_now():
            yield

    @contextmanager
    def _acting_now(self) -> Iterator[None]:
        """A transaction in which nobody calls the API: the hosted page, a bank, or time."""
        try:
            with self.store.transaction():
                yield
        except ContractViolation as error:
            self.store.add_violation(error.direction, error.subject, error.problems, at=self.clock.seconds())
            raise
        self.dispatcher.wake()

    def _invoice(self, invoice_id: str) -> Record:
        invoice = self.store.find(invoice_id, "invoice")
        if invoice is None:
            raise KeyError(invoice_id)
        return invoice

    def _default_endpoint(self) -> Record | None:
        endpoint_id = self.store.setting("default_endpoint")
        return self.store.find(endpoint_id, "webhook_endpoint") if endpoint_id else None

    def _keep_default_endpoint(self, url: str, secret: str) -> None:
        with self.store.transaction():
            endpoint = self._default_endpoint()
            if endpoint is None:
                endpoint = endpoints.add(
                    self.account, url=url, secret=secret, events=["*"], description="given when the twin was started"
                )
                self.store.set_setting("default_endpoint", endpoint.id)
                return
            endpoint.body.update(url=url, status="enabled")
            known: list[JsonObject] = endpoint.private["secrets"]
            if known[0]["secret"] != secret:
                endpoint.private["secrets"] = [{"secret": secret, "until": None}]
            self.store.update(endpoint)
