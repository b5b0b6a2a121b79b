"""Journeys of orders that are paid later, with the points at which the shop is killed on each."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sandbox.stripe_twin import Fault
from tests.recovery.conftest import Journey
from tests.recovery.driver import Refused
from tests.recovery.truth import Row, Truth

COMMIT = ("before_commit", "after_commit")
CALL = ("before_call", "after_call")
HELD = {"paid", "written_off"}


class InvoiceTruth(Truth):
    """What must hold of orders on terms, from the database and Stripe's own file alone."""

    def check(self) -> None:
        """:raises AssertionError: naming what does not hold"""
        orders = {order["id"]: order for order in self.orders()}
        invoices = {str(row["id"]): row for row in self.rows("select * from invoice")}
        self._check_made_once(invoices)
        self._check_money_of(orders, invoices)
        self._check_agreements(orders)
        self._check_goods(orders, {row["order_id"] for row in invoices.values()})
        assert self._twin.control.violations() == []

    def _check_made_once(self, invoices: dict[str, Row]) -> None:
        theirs: dict[str, Row] = {}
        for made in self._twin.control.objects("invoice"):
            reference = made["metadata"]["invoice_id"]
            assert reference not in theirs, f"invoice {reference} was made twice"
            assert reference in invoices, f"Stripe holds an Invoice of no order of ours: {made['id']}"
            assert len(made["lines"]["data"]) <= 1, "an item was added twice"
            theirs[reference] = made
        for reference, ours in invoices.items():
            if ours["state"] != "making":
                assert theirs[reference]["id"] == ours["stripe_invoice_id"]
                assert theirs[reference]["total"] == ours["amount_minor"]
                assert theirs[reference]["status"] != "draft"

    def _check_money_of(self, orders: dict[Any, Row], invoices: dict[str, Row]) -> None:
        unbalanced = self.rows(
            "select entry_id from ledger_posting group by entry_id, currency having sum(amount_minor) <> 0"
        )
        assert unbalanced == []
        held: dict[tuple[Any, str], int] = {}
        for row in self.rows("select order_id, account, amount_minor from ledger_posting"):
            key = (row["order_id"], row["account"])
            held[key] = held.get(key, 0) + row["amount_minor"]
        received: dict[str, int] = {}
        for row in self.rows("select invoice_id, amount_minor from invoice_receipt"):
            received[str(row["invoice_id"])] = received.get(str(row["invoice_id"]), 0) + row["amount_minor"]
        for reference, ours in invoices.items():
            order = orders[ours["order_id"]]
            assert received.get(reference, 0) == ours["paid_minor"]
            due = ours["amount_minor"] - ours["paid_minor"] - ours["credited_minor"]
            lost = held.get((order["id"], "bad_debt"), 0)
            assert held.get((order["id"], "accounts_receivable"), 0) == due - lost
            assert (order["state"] == "paid") == (due == 0 and ours["paid_minor"] > 0 and order["paid_at"] is not None)
            assert (order["state"] == "written_off") == (lost > 0)
        moved = {row["id"]: row["net_minor"] for row in self.rows("select id, net_minor from cash_movement")}
        known = {made["id"]: made["net_amount"] for made in self._twin.control.objects(_CASH)}
        assert moved.items() <= known.items()
        assert held.get((None, "customer_cash"), 0) + sum(
            amount for (order, account), amount in held.items() if order is not None and account == "customer_cash"
        ) == -sum(moved.values())

    def _check_goods(self, orders: dict[Any, Row], released: set[Any]) -> None:
        assert self._stock_now() == self._stock, "stock + reserved + sold has changed"
        for row in self.rows("select order_id, state from stock_reservation"):
            state = orders[row["order_id"]]["state"]
            gone = state in HELD or (row["order_id"] in released and state != "cancelled")
            expected = "returned" if state == "cancelled" else "sold" if gone else "reserved"
            assert row["state"] == expected, f"an order that is {state} has its stock {row['state']}"


_CASH = "customer_cash_balance_transaction"


def pay_by_card(journey: Journey) -> str:
    """Released, invoiced and paid on Stripe's page; the webhooks settle the order."""
    number = place_on_terms(journey)
    journey.ask("release", number=number)
    journey.twin.control.pay_invoice(invoice_of(journey)["stripe_invoice_id"])
    journey.deliver_webhooks()
    return "paid"


def transfer_in_parts_and_too_much(journey: Journey) -> str:
    number = place_on_terms(journey)
    journey.ask("release", number=number)
    invoice = invoice_of(journey)
    # Each names its invoice: one that was written off on an earlier journey is due first, and would take the money
    for amount in (invoice["amount_minor"] // 2, invoice["amount_minor"]):
        journey.twin.control.transfer(invoice["stripe_customer_id"], amount, reference=invoice["number"])
        journey.deliver_webhooks()
    return "paid"


def pay_elsewhere(journey: Journey) -> str:
    number = released(journey)
    tell(journey, "note_paid_elsewhere", number)
    journey.deliver_webhooks()
    return "paid"


def never_pay(journey: Journey) -> str:
    """Reminded, and written off."""
    number = released(journey)
    journey.pass_time(timedelta(days=32))
    journey.ask("remind")
    tell(journey, "write_off", number)
    journey.deliver_webhooks()
    return "written_off"


def cancel_before_release(journey: Journey) -> str:
    number = place_on_terms(journey)
    try:
        journey.do("cancel_unreleased", number=number)
    except Refused as refused:
        if refused.problem != "order-not-releasable" or not journey.deaths:
            raise
    return "cancelled"


def lose_the_invoice_until_its_key_is_forgotten(journey: Journey) -> str:
    """Nothing may be sent again, so the Invoice is looked up among the Customer's by our reference."""
    number = place_on_terms(journey)
    journey.twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/invoices"))
    with journey.immortal():
        assert journey.ask("release", number=number) == "making"
    journey.pass_time(timedelta(hours=23, minutes=30))
    journey.ask("sweep")
    journey.twin.control.pay_invoice(invoice_of(journey)["stripe_invoice_id"])
    journey.deliver_webhooks()
    return "paid"


def credit_a_part_and_then_all(journey: Journey) -> str:
    number = released(journey)
    assert journey.ask("credit", number=number, request_id=uuid.uuid4(), amount="1.00") == "issued"
    assert journey.ask("credit", number=number, request_id=uuid.uuid4(), amount=None) == "issued"
    journey.deliver_webhooks()
    return "cancelled"


def lose_the_note_until_its_key_is_forgotten(journey: Journey) -> str:
    """Nothing may be sent again, so the note is looked up among the Invoice's."""
    number = released(journey)
    journey.twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/credit_notes"))
    with journey.immortal():
        assert journey.ask("credit", number=number, request_id=uuid.uuid4(), amount=None) == "uncertain"
    journey.pass_time(timedelta(hours=23, minutes=30))
    journey.ask("sweep")
    journey.deliver_webhooks()
    return "cancelled"


def place_on_terms(journey: Journey) -> str:
    with journey.immortal():
        journey.ask("give_terms")
        journey.do("add", sku="NIMBLE-BOLT", quantity="100")
        journey.log_in()
        journey.do("join")
        journey.do("details")
        journey.do("on_terms")
        number = journey.do("place", presentation=journey.do("review"))
    assert isinstance(number, str)
    return number


def released(journey: Journey) -> str:
    number = place_on_terms(journey)
    with journey.immortal():
        journey.ask("release", number=number)
        journey.deliver_webhooks()
        journey.twin.control.hold_webhooks()
    return number


def tell(journey: Journey, name: str, number: str) -> None:
    """The second time, after a death, may find that recovery has finished what the first began."""
    try:
        journey.ask(name, number=number)
    except Refused as refused:
        if refused.problem != "invoice-not-open" or not journey.deaths:
            raise


def invoice_of(journey: Journey) -> Row:
    [order] = journey.orders()
    rows = journey.truth.rows("select * from invoice")
    return next(row for row in rows if row["order_id"] == order["id"])


def points(moments: tuple[str, str], *names: str) -> tuple[str, ...]:
    return tuple(f"checkout.{name}:{moment}" for name in names for moment in moments)


JOURNEYS: dict[Callable[[Journey], str], tuple[str, ...]] = {
    pay_by_card: (
        *points(COMMIT, "invoice.release", "invoice.customer", "invoice.step", "invoice.answer", "invoice.settle"),
        *points(CALL, "stripe.create_invoice", "stripe.add_invoice_item", "stripe.finalize_invoice"),
        *points(CALL, "stripe.send_invoice", "stripe.retrieve_invoice", "stripe.list_invoice_payments"),
    ),
    transfer_in_parts_and_too_much: (
        *points(COMMIT, "invoice.cash", "invoice.settle"),
        *points(CALL, "stripe.list_cash"),
    ),
    pay_elsewhere: (
        *points(COMMIT, "invoice.decide", "invoice.after", "invoice.answered"),
        *points(CALL, "stripe.pay_out_of_band"),
    ),
    never_pay: (*points(COMMIT, "invoice.remind"), *points(CALL, "stripe.mark_uncollectible")),
    cancel_before_release: points(COMMIT, "invoice.decide"),
    lose_the_invoice_until_its_key_is_forgotten: (
        *points(COMMIT, "invoice.step"),
        *points(CALL, "stripe.list_invoices"),
    ),
    credit_a_part_and_then_all: (
        *points(COMMIT, "credit_note.begin", "credit_note.resend", "credit_note.answer"),
        *points(CALL, "stripe.create_credit_note"),
    ),
    lose_the_note_until_its_key_is_forgotten: points(CALL, "stripe.list_credit_notes"),
}
