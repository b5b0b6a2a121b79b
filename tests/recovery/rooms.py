"""Journeys beside buying: taxes, prices, documents, evidence, privacy and partners, each with its points of death."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.conftest import NOW
from tests.recovery.conftest import WAIT_SECONDS, Journey
from tests.recovery.driver import Killed, Refused
from tests.recovery.truth import Row, Truth

COMMIT = ("before_commit", "after_commit")
CALL = ("before_call", "after_call")
_numbers = count(1)


class RoomTruth(Truth):
    """Orders may have a framework agreement as their basis too; what is sent once and made once is listed here."""

    def check(self) -> None:
        """:raises AssertionError: naming what does not hold"""
        super().check()
        for what, query in _NEVER.items():
            assert self.rows(query) == [], what

    def jobs_due(self) -> bool:
        query = "select 1 from procrastinate_jobs where status in ('todo', 'doing')"
        return bool(self.rows(f"{query} and (scheduled_at is null or scheduled_at <= now())"))

    def forget_workers(self) -> None:
        """As if it were a minute since the dead shop's workers were heard of."""
        self.rows("update procrastinate_workers set last_heartbeat = last_heartbeat - interval '1 hour' returning id")

    def _check_agreements(self, orders: dict[Any, Row]) -> None:
        """Each order has one basis, and of each accepted presentation there is the acceptance."""
        acceptances = self.rows("select order_id, order_digest, ledger_seq from acceptance")
        cited = self.rows("select order_id, order_digest from framework_order")
        assert sorted(str(row["order_id"]) for row in (*acceptances, *cited)) == sorted(str(each) for each in orders)
        for row in (*acceptances, *cited):
            assert row["order_digest"] == orders[row["order_id"]]["canonical_digest"]
        agreed = self.rows("select presentation_id, ledger_seq from framework_agreement")
        used = self.rows("select id, order_id from agreement_presentation where consumed_at is not null")
        frameworks = {row["presentation_id"] for row in agreed}
        assert {row["order_id"] for row in used if row["id"] not in frameworks} == {
            row["order_id"] for row in acceptances
        }
        assert frameworks <= {row["id"] for row in used}
        for kind, rows in (("acceptance", acceptances), ("framework-acceptance", agreed)):
            leaves = self.rows(f"select seq from acceptance_ledger where kind = '{kind}'")
            assert {row["seq"] for row in leaves} == {row["ledger_seq"] for row in rows}


_NEVER = {
    "a draft of prices published twice": (
        "select draft_id from price_publication where draft_id is not null group by draft_id having count(*) > 1"
    ),
    "a published draft that is open": (
        "select p.number from price_publication p join price_draft d on d.id = p.draft_id where d.state <> 'published'"
    ),
    "a company exempt without an accepted certificate, or one accepted and not held": (
        "select c.id from company c where (select count(*) from jsonb_array_elements(c.exemptions)) <> "
        "(select count(*) from exemption_certificate e where e.company_id = c.id and e.state = 'accepted')"
    ),
    "a VAT number that counts otherwise than was last answered": (
        "select c.id from company c join lateral (select outcome from vat_number_check v where v.company_id = c.id "
        "and v.number = c.tax_id and v.outcome <> 'unanswered' order by v.asked_at desc limit 1) v on true "
        "where c.tax_id_check <> v.outcome"
    ),
    "an order without a receipt on its way": (
        "select id from acceptance a where not exists (select 1 from acceptance_receipt where acceptance_id = a.id)"
    ),
    "a receipt that was sent and is under no signed head": (
        "select r.acceptance_id from acceptance_receipt r where r.sent_at is not null and not exists "
        "(select 1 from acceptance_ledger_checkpoint c where c.size = r.checkpoint_size)"
    ),
    "a plan of erasure that is applied with a person still named": (
        "select p.id from erasure_plan p join person x on x.id = any (p.people) "
        "where p.state = 'applied' and x.erased_at is null"
    ),
    "an erased person who is named": "select id from person where erased_at is not null and email not like '%.invalid'",
    "a delivered message without an answer that took it": (
        "select m.id from webhook_message m where m.state = 'delivered' and not exists "
        "(select 1 from webhook_attempt a where a.message_id = m.id and a.status between 200 and 299)"
    ),
}


class RoomJourney(Journey):
    """Work in the background dies too, and is taken up again as each minute."""

    def restart_after_death(self) -> None:
        """Recover, killed at the same place if recovery comes by; then to the end, and once more."""
        assert self.app.died_by_sigkill()
        assert self.failpoint, "nobody told it to die"
        self.deaths += 1
        truth = self._room_truth()
        truth.forget_workers()
        with suppress(Killed):
            if self.app.start(self.failpoint):
                self._make_up()
        self.app.kill()
        truth.forget_workers()
        assert self.app.start(), "it does not start again"
        self._make_up()
        truth.check()
        before = truth.orders(), truth.rows("select * from acceptance_ledger order by seq")
        self._make_up()
        truth.check()
        after = truth.orders(), truth.rows("select * from acceptance_ledger order by seq")
        assert before == after, "recovering twice does what recovering once has done"
        self.failpoint = ""  # the minute's jobs come by again

    def let_it_work(self) -> None:
        """Until no job is left that is due."""
        with suppress(Killed):
            return self._wait_for_work()
        return self.restart_after_death()

    def once(self, name: str, **arguments: Any) -> None:
        """Ask for something that can be done once; the second click, after a death, may find that it is done."""
        try:
            self.ask(name, **arguments)
        except Refused:
            if not self.deaths:
                raise

    def one(self, query: str) -> Row:
        [row] = self.truth.rows(query)
        return row

    def _make_up(self) -> None:
        """:raises Killed: when the shop dies on it"""
        self.app.call("make_up")
        self._wait_for_work()

    def _wait_for_work(self) -> None:
        give_up = time.monotonic() + WAIT_SECONDS
        while self._room_truth().jobs_due():
            if self.app.dead():
                raise Killed
            if time.monotonic() > give_up:
                raise TimeoutError(self.truth.rows("select task_name, status, scheduled_at from procrastinate_jobs"))
            time.sleep(0.02)
        if self.app.dead():
            raise Killed

    def _room_truth(self) -> RoomTruth:
        assert isinstance(self.truth, RoomTruth)
        return self.truth


class Outside:
    """A tax office that knows every number, and a partner's endpoint that takes every message."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked = 0
        self.received: dict[str, list[bytes]] = {}


@contextmanager
def running_outside() -> Iterator[Outside]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = b'{"valid": true, "requestIdentifier": "WAPIAAAA1"}'
            if self.path == "/check-vat-number":
                outside.asked += 1
            else:
                outside.received.setdefault(self.headers["webhook-id"], []).append(body)
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    outside = Outside(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield outside
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


Walk = Callable[[RoomJourney, Outside], None]


def exempt_a_company(journey: RoomJourney, _outside: Outside) -> None:
    """Named by the company, accepted by finance, taken back by finance."""
    number = f"EX-{next(_numbers)}"
    certificate = journey.ask("submit_certificate", number=number)
    journey.once("review_certificate", certificate=certificate, state="accepted")
    query = f"select exemptions @> '[{json.dumps({'id': str(certificate)})}]' as holds from company"
    assert journey.one(f"{query} where code = 'acme'")["holds"]
    with journey.immortal():
        journey.ask("review_certificate", certificate=certificate, state="withdrawn")
    assert not journey.one(f"{query} where code = 'acme'")["holds"]
    assert len(journey.truth.rows(f"select 1 from exemption_certificate where number = '{number}'")) == 1


def ask_the_tax_office(journey: RoomJourney, outside: Outside) -> None:
    """Every answer that came while nobody died is kept, and the last one counts."""
    kept, asked = len(journey.truth.rows("select 1 from vat_number_check")), outside.asked
    assert journey.ask("ask_vies") == "confirmed"
    assert journey.one("select tax_id_check from company where code = 'acme'")["tax_id_check"] == "confirmed"
    kept = len(journey.truth.rows("select 1 from vat_number_check")) - kept
    assert 1 <= kept <= outside.asked - asked <= 1 + journey.deaths


def publish_prices(journey: RoomJourney, _outside: Outside) -> None:
    before = journey.one("select max(number) as last from price_publication")["last"]
    draft = draft_prices(journey)
    journey.once("publish_prices", draft=draft)
    assert journey.one("select number, draft_id from price_publication order by number desc limit 1") == {
        "number": before + 1,
        "draft_id": draft,
    }


def import_prices(journey: RoomJourney, _outside: Outside) -> None:
    """What one draft says, as a workbook, into another."""
    with TemporaryDirectory() as folder, journey.immortal():
        path = str(Path(folder) / "chair.xlsx")
        told = draft_prices(journey)
        journey.ask("export_draft", draft=told, path=path)
        draft = journey.ask("open_draft")
        journey.app.arm(journey.failpoint)
        upload = journey.ask("upload_prices", draft=draft, path=path)
        journey.let_it_work()
        journey.once("accept_import", upload=upload)
    assert journey.one(f"select state, added, changed, removed from price_import where id = '{upload}'") == {
        "state": "accepted",
        "added": 0,
        "changed": 1,
        "removed": 0,
    }
    assert len(journey.truth.rows(f"select 1 from price_draft_change where draft_id = '{draft}'")) == 1


def publish_a_document(journey: RoomJourney, _outside: Outside) -> None:
    """Signatories of companies that agreed before are written to once, whoever dies over it."""
    agree_to_a_framework(journey)
    label = f"9.{next(_numbers)}"
    with journey.immortal():
        draft, version = journey.ask("draft_document", label=label)
    journey.once("publish_document", draft=draft, version=version)
    journey.let_it_work()
    told = journey.truth.rows(
        "select n.person_id, m.sent_at from document_notice n join outgoing_mail m on m.id = n.mail_id "
        f"where n.label = '{label}'"
    )
    assert len(told) == 1
    assert told[0]["sent_at"] is not None
    journey.ask("withdraw_document", label=label)
    withdrawn = journey.truth.rows(f"select withdrawn_at from document_version where label = '{label}'")
    assert withdrawn
    assert all(row["withdrawn_at"] is not None for row in withdrawn)


def order_under_a_framework(journey: RoomJourney, _outside: Outside) -> None:
    """Accepted by a signatory, cited by a program's order, ended by the company; the order stays."""
    with journey.immortal():
        journey.ask("end_framework")
        presentation = journey.ask("present_framework")
    journey.once("accept_framework", presentation=presentation)
    number = journey.ask("order_by_program", asked=uuid.uuid4())
    with journey.immortal():
        pay(journey, number)
    journey.ask("end_framework")
    assert [order["number"] for order in journey.orders()] == [number]
    assert journey.truth.rows("select 1 from framework_agreement where ended_at is null") == []


def have_a_receipt(journey: RoomJourney, _outside: Outside) -> None:
    """Recorded with the order, put under a signed head, sent, and the head stamped."""
    number = place(journey)
    journey.let_it_work()
    [order] = journey.orders()
    receipt = journey.one(
        "select r.* from acceptance_receipt r join acceptance a on a.id = r.acceptance_id "
        f"where a.order_id = '{order['id']}'"
    )
    assert receipt["sent_at"] is not None
    journey.ask("sign_head")
    journey.ask("stamp_heads")
    size = journey.one("select max(size) as last from acceptance_ledger_checkpoint")["last"]
    assert journey.truth.rows(f"select 1 from acceptance_ledger_stamp where size = {size}"), (
        "the last head has no stamp"
    )
    letters = journey.truth.rows("select sent_at from outgoing_mail where kind like 'order_%'")
    assert all(letter["sent_at"] is not None for letter in letters)
    with journey.immortal():
        pay(journey, number)


def weigh_an_offer(journey: RoomJourney, _outside: Outside) -> None:
    """Shown, declined with a reason, sent to a lawyer, and shown again to be paid at once."""
    with journey.immortal():
        journey.do("add", sku="NIMBLE-BOLT", quantity="100")
        journey.log_in()
        journey.do("join")
        journey.do("details")
        presentation = journey.do("review")
    journey.do("send_to_legal", presentation=presentation)
    journey.once("decline", token=journey.token, presentation=presentation)
    journey.do("pay_now")
    where = f"where presentation_id = '{presentation}'"
    for table in ("agreement_decline", "legal_review"):  # whoever clicks again after a death has said it twice
        assert 1 <= len(journey.truth.rows(f"select 1 from {table} {where}")) <= 1 + journey.deaths
    with journey.immortal():
        pay(journey, journey.do("place", presentation=journey.do("review")))


def look_after_money(journey: RoomJourney, _outside: Outside) -> None:
    """Finance changes a limit, compares books with Stripe, and looks at an event that nobody understood."""
    changes = "select after from credit_change where reason = 'Grows'"
    before, event = len(journey.truth.rows(changes)), f"evt_parked_{next(_numbers)}"
    limit = f"{500_000 + next(_numbers)}.00"
    journey.ask("set_limit", amount=limit)
    assert len(journey.truth.rows(changes)) == before + 1
    runs = len(journey.truth.rows("select 1 from reconciliation"))
    assert journey.ask("keep_reconciliation") == 0
    assert runs < len(journey.truth.rows("select 1 from reconciliation")) <= runs + 1 + journey.deaths
    journey.truth.rows(
        "insert into stripe_event (id, type, livemode, payload, received_at, handled_at, outcome, detail, review_note) "
        f"values ('{event}', 'plan.created', false, '{{}}', '{NOW}', '{NOW}', 'parked', '', '') returning id"
    )
    journey.once("review_event", event=event)
    assert journey.one(f"select review_note from stripe_event where id = '{event}'")["review_note"] == "Not ours"


def exchange_the_annex_key(journey: RoomJourney, _outside: Outside) -> None:
    """The new key is told of in the ledger, and every annex is opened by it alone."""
    with journey.immortal():
        pay(journey, place(journey))
        journey.let_it_work()
        told = len(journey.truth.rows("select 1 from acceptance_ledger where kind = 'key'"))
        old = journey.ask("annex_key")
    journey.ask("exchange_annex_key", old=old)
    new = journey.ask("annex_key")
    assert new != old
    assert len(journey.truth.rows("select 1 from acceptance_ledger where kind = 'key'")) == told + 1
    for annex in journey.truth.rows("select wrapped_key from acceptance_annex"):
        assert bytes(annex["wrapped_key"]).startswith(f"{new}\0".encode())


def export_ones_data(journey: RoomJourney, _outside: Outside) -> None:
    journey.truth.rows("delete from data_export returning id")
    journey.ask("ask_for_export")
    [export] = journey.truth.rows("select * from data_export")
    assert export["ready_at"] is not None
    assert export["size"] > 0


def delete_what_is_too_old(journey: RoomJourney, _outside: Outside) -> None:
    """The copy that is over goes, the one that isn't stays."""
    journey.truth.rows("delete from data_export returning id")
    for days in (-1, 1):
        journey.truth.rows(
            "insert into data_export (id, company_id, person_id, asked_at, ready_at, expires_at, size, ciphertext) "
            f"select gen_random_uuid(), m.company_id, m.person_id, '{NOW}', '{NOW}', '{NOW + timedelta(days=days)}', "
            "1, '' from membership m join person p on p.id = m.person_id where p.email = 'clerk@acme.example' "
            "returning id"
        )
    journey.ask("expire")
    [left] = journey.truth.rows("select expires_at from data_export")
    assert left["expires_at"] > NOW


def erase_a_person(journey: RoomJourney, _outside: Outside) -> None:
    """Somebody who left the company: told by letter, then forgotten, each step once."""
    email = f"leaver-{next(_numbers)}@acme.example"
    person = journey.one(
        "insert into person (id, email, name, locale, password_hash, created_at) values "
        f"(gen_random_uuid(), '{email}', 'Somebody who left', 'en', '-', '{NOW}') returning id"
    )["id"]
    journey.truth.rows(
        "insert into membership (company_id, person_id, role, signatory, created_at) "
        f"select id, '{person}', 'buyer', false, '{NOW}' from company where code = 'acme' returning person_id"
    )
    with journey.immortal():
        plan, shown = journey.ask("plan_erasure", email=email)
    journey.once("approve_erasure", plan=plan, shown=shown)
    journey.let_it_work()
    assert journey.one(f"select state from erasure_plan where id = '{plan}'")["state"] == "applied"
    assert journey.one(f"select name from person where id = '{person}'")["name"] != "Somebody who left"
    assert journey.truth.rows(f"select 1 from outgoing_mail where recipient = '{email}'") == []


def tell_a_partner(journey: RoomJourney, outside: Outside) -> None:
    """A partner hears of a publication once, or again in the very same words."""
    with journey.immortal():
        journey.pass_time(timedelta(seconds=15))  # what others published is in force
        endpoint = journey.ask("listen", url=f"{outside.url}/hook")
        journey.ask("publish_prices", draft=draft_prices(journey))
        journey.pass_time(timedelta(seconds=15))
    journey.ask("tell_of_prices")
    journey.let_it_work()
    journey.ask("sweep_deliveries")
    journey.let_it_work()
    messages = journey.truth.rows(f"select * from webhook_message where endpoint_id = '{endpoint}'")
    told = sorted(message["event_type"] for message in messages)
    assert told == ["price.changed", "price_book.published"], told
    for message in messages:
        assert message["state"] == "delivered"
        assert set(outside.received[str(message["id"])]) == {bytes(message["body"])}
        assert len(outside.received[str(message["id"])]) <= 1 + 2 * journey.deaths
    with journey.immortal():
        journey.ask("stop_listening", endpoint=endpoint)


def draft_prices(journey: RoomJourney) -> uuid.UUID:
    draft = journey.ask("draft_prices", price=str(260 + next(_numbers)))
    assert isinstance(draft, uuid.UUID)
    return draft


def agree_to_a_framework(journey: RoomJourney) -> None:
    with journey.immortal():
        journey.ask("end_framework")
        journey.ask("accept_framework", presentation=journey.ask("present_framework"))


def place(journey: RoomJourney) -> str:
    journey.do("add", sku="NIMBLE-BOLT", quantity="100")
    journey.log_in()
    journey.do("join")
    journey.do("details")
    number = journey.do("place", presentation=journey.do("review"))
    assert isinstance(number, str)
    return number


def pay(journey: RoomJourney, number: str) -> None:
    journey.log_in()
    journey.do("pay", number=number)
    [session] = journey.sessions()
    assert journey.twin.control.pay_at_once(session["id"]).outcome == "paid"
    journey.deliver_webhooks()


def points(moments: tuple[str, str], *names: str) -> tuple[str, ...]:
    return tuple(f"{name}:{moment}" for name in names for moment in moments)


# Each journey with the points at which it has to be killed: one it does not come by fails the test
JOURNEYS: dict[Walk, tuple[str, ...]] = {
    exempt_a_company: points(COMMIT, "accounts.exemption.submit", "accounts.exemption.review"),
    ask_the_tax_office: (*points(CALL, "accounts.vies.ask"), *points(COMMIT, "accounts.vies.answer")),
    publish_prices: points(COMMIT, "pricing.publish"),
    import_prices: points(COMMIT, "pricing.import.part", "pricing.import.read", "pricing.import.accept"),
    publish_a_document: points(COMMIT, "agreements.publish", "agreements.tell", "agreements.withdraw"),
    order_under_a_framework: (
        *points(
            COMMIT,
            "agreements.accept_framework",
            "agreements.end_framework",
            "program_orders.keep",
            "program_orders.place",
        ),
    ),
    have_a_receipt: (
        *points(COMMIT, "agreements.receipt.checkpoint", "agreements.receipt.record", "mail.record"),
        *points(CALL, "agreements.receipt.send", "mail.send", "agreements.stamp.ask"),
        *points(COMMIT, "agreements.sign_head", "agreements.stamp.keep"),
    ),
    weigh_an_offer: points(COMMIT, "checkout.send_to_legal", "checkout.decline", "checkout.choose_paying"),
    look_after_money: (
        *points(COMMIT, "checkout.credit.change", "checkout.reconciliation.keep", "checkout.event.review"),
    ),
    exchange_the_annex_key: points(COMMIT, "agreements.key_rotation", "agreements.wrap_anew"),
    export_ones_data: points(COMMIT, "privacy.export"),
    delete_what_is_too_old: points(COMMIT, "privacy.expire"),
    erase_a_person: points(COMMIT, "privacy.erase", "privacy.applied"),
    tell_a_partner: (
        *points(COMMIT, "webhooks.tell", "webhooks.sweep", "webhooks.record"),
        *points(CALL, "webhooks.send"),
    ),
}
