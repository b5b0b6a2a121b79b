"""What must hold after any crash and restart, read from the database and from Stripe's own file alone."""

from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sandbox.stripe_twin import RunningTwin

Row = dict[str, Any]
CLOSED = {"lapsed", "cancelled"}
SOLD = {"paid", "cancelling"}
LETTERS = {
    "completed_unpaid": "order_processing",
    "async_failed": "order_payment_failed",
    "authorised": "order_authorised",
    "authorisation_expired": "order_hold_ended",
}
"""What the buyer is written at a step of the order, besides its beginning and its end."""


class Truth:
    """Reads rows past row-level security. *Stock* is counted at the beginning."""

    def __init__(self, url: str, twin: RunningTwin) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self._twin = twin
        self._stock = self._stock_now()

    def close(self) -> None:
        self._connection.close()

    def rows(self, query: str) -> list[Row]:
        return self._connection.execute(query.encode()).fetchall()

    def orders(self) -> list[Row]:
        return self.rows("select * from customer_order order by number")

    def unhandled_events(self) -> int:
        return len(self.rows("select 1 from stripe_event where handled_at is null"))

    def check(self) -> None:
        """Of trust.md: 1, 3, 4, 6, 7 and 8, as far as these rows tell.

        :raises AssertionError: naming what does not hold
        """
        orders = {order["id"]: order for order in self.orders()}
        self._check_money(orders)
        self._check_refunds(orders)
        self._check_disputes()
        self._check_agreements(orders)
        self._check_stock(orders)
        self._check_ledger(orders)
        self._check_letters(orders)
        assert self._twin.control.violations() == []

    def _check_money(self, orders: dict[Any, Row]) -> None:
        attempts = {str(row["id"]): row for row in self.rows("select * from payment_attempt")}
        paid: dict[Any, list[Row]] = {}
        for session in self._twin.control.objects("checkout.session"):
            reference = session["client_reference_id"]
            assert reference in attempts, f"Stripe holds a Session of no attempt of ours: {session['id']}"
            order = orders[attempts[reference]["order_id"]]
            if session["payment_status"] == "paid":
                paid.setdefault(order["id"], []).append(session)
            if order["state"] in CLOSED:
                assert session["status"] != "open", f"{order['number']} is closed and could still be paid"
        pages = {session["payment_intent"] for session in self._twin.control.objects("checkout.session")}
        for intent in self._twin.control.objects("payment_intent"):
            if intent["id"] not in pages and intent["status"] == "succeeded":
                order = orders[attempts[intent["metadata"]["attempt_id"]]["order_id"]]
                paid.setdefault(order["id"], []).append({"amount_total": intent["amount"]})
        for order in orders.values():
            sessions = paid.get(order["id"], [])
            assert len(sessions) <= 1, f"{order['number']} was charged {len(sessions)} times"
            assert (order["paid_at"] is not None) == bool(sessions), (
                f"{order['number']} is {order['state']} here and {'paid' if sessions else 'not paid'} at Stripe"
            )
            assert bool(sessions) or order["state"] not in SOLD
            assert {session["amount_total"] for session in sessions} <= {order["total_minor"]}
        charges = [charge for charge in self._twin.control.objects("charge") if charge["status"] == "succeeded"]
        assert sum(charge["amount_captured"] for charge in charges) == sum(
            order["total_minor"] for order in orders.values() if order["paid_at"] is not None
        )

    def _check_refunds(self, orders: dict[Any, Row]) -> None:
        """Each refund of ours is at Stripe once at most, each of Stripe's is ours, and none exceeds what came."""
        ours = {str(row["id"]): row for row in self.rows("select * from refund")}
        theirs: dict[str, Row] = {}
        for made in self._twin.control.objects("refund"):
            reference = made["metadata"]["refund_id"]
            assert reference not in theirs, f"refund {reference} was made twice"
            assert made["amount"] == ours[reference]["amount_minor"]
            theirs[reference] = made
        for reference, refund in ours.items():
            if refund["state"] in {"pending", "succeeded", "failed"}:
                assert refund["stripe_refund_id"] == theirs[reference]["id"]
        for order in orders.values():
            given = [row for row in ours.values() if row["order_id"] == order["id"]]
            assert sum(row["amount_minor"] for row in given if row["state"] != "failed") <= order["total_minor"]
            if order["state"] == "cancelled" and order["paid_at"] is not None:
                back = sum(row["amount_minor"] for row in given if row["state"] == "succeeded")
                assert back == order["total_minor"], f"{order['number']} is cancelled and {back} was given back"
        failed = {row["id"] for row in ours.values() if row["state"] == "failed" and row["liability_id"] is None}
        cases = self.rows("select * from liability")
        assert {row["refund_id"] for row in cases} == failed
        assert len(cases) == len(failed)

    def _check_disputes(self) -> None:
        """Each dispute of ours is Stripe's, sent at most once, and with the refunds within what came."""
        theirs = {made["id"]: made for made in self._twin.control.objects("dispute")}
        for ours in self.rows("select * from dispute"):
            made = theirs[ours["stripe_dispute_id"]]
            assert made["amount"] == ours["amount_minor"]
            assert made["evidence_details"]["submission_count"] <= 1
            assert ours["excess_minor"] == 0, "what is in flight when the bank disputes is given back once"
        beyond = self.rows(
            "select a.id from payment_attempt a join dispute d on d.attempt_id = a.id and d.state in ('open', 'lost') "
            "left join refund r on r.attempt_id = a.id and r.state not in ('failed', 'refused') "
            "group by a.id, d.id having coalesce(sum(r.amount_minor), 0) + d.counted_minor > a.amount_minor"
        )
        assert beyond == []

    def _check_agreements(self, orders: dict[Any, Row]) -> None:
        """Each order has one basis: an acceptance, or a package that all signed; none of these is without its order."""
        acceptances = self.rows("select * from acceptance")
        packages = self.rows("select * from signature_package where state = 'executed'")
        bases = [str(row["order_id"]) for row in (*acceptances, *packages)]
        assert sorted(bases) == sorted(str(each) for each in orders)
        for row in (*acceptances, *packages):
            assert row["order_digest"] == orders[row["order_id"]]["canonical_digest"]
        executed = self.rows("select seq from acceptance_ledger where kind = 'package'")
        assert {row["seq"] for row in executed} == {row["executed_seq"] for row in packages}
        signed = self.rows("select seq from acceptance_ledger where kind = 'package_signature'")
        signatures = self.rows("select ledger_seq from package_signature")
        assert {row["seq"] for row in signed} == {row["ledger_seq"] for row in signatures}
        leaves = self.rows("select seq from acceptance_ledger where kind = 'acceptance'")
        assert {row["seq"] for row in leaves} == {row["ledger_seq"] for row in acceptances}
        used = self.rows("select order_id from agreement_presentation where consumed_at is not null")
        assert {row["order_id"] for row in used} == {row["order_id"] for row in acceptances}

    def _check_stock(self, orders: dict[Any, Row]) -> None:
        assert self._stock_now() == self._stock, "stock + reserved + sold has changed"
        held = self.rows("select order_id, state, quantity from stock_reservation")
        assert {row["order_id"] for row in held} == set(orders)
        for row in held:
            state = orders[row["order_id"]]["state"]
            expected = "sold" if state in SOLD else "returned" if state in CLOSED else "reserved"
            assert row["state"] == expected, f"an order that is {state} has its stock {row['state']}"
        [stock] = self.rows("select sum(reserved) as reserved, sum(sold) as sold from stock")
        for state in ("reserved", "sold"):
            assert stock[state] == sum((row["quantity"] for row in held if row["state"] == state), Decimal(0))

    def _check_ledger(self, orders: dict[Any, Row]) -> None:
        unbalanced = self.rows(
            "select entry_id from ledger_posting group by entry_id, currency having sum(amount_minor) <> 0"
        )
        assert unbalanced == []
        held: dict[Any, int] = {}
        for row in self.rows("select order_id, amount_minor from ledger_posting where account = 'stripe_clearing'"):
            held[row["order_id"]] = held.get(row["order_id"], 0) + row["amount_minor"]
        expected = {order["id"]: order["total_minor"] for order in orders.values() if order["paid_at"] is not None}
        owed: dict[Any, int] = {}
        for refund in self.rows("select * from refund"):
            if refund["state"] == "succeeded":
                expected[refund["order_id"]] -= refund["amount_minor"]
            elif refund["liability_id"] is None:
                owed[refund["order_id"]] = owed.get(refund["order_id"], 0) + refund["amount_minor"]
        for case in self.rows("select * from liability where resolved_at is not null"):
            owed[case["order_id"]] -= case["amount_minor"]
        for dispute in self.rows("select * from dispute"):
            expected[dispute["order_id"]] -= dispute["withdrawn_minor"] + dispute["fee_minor"]
        assert held == expected
        posted = self.rows(
            "select order_id, -sum(amount_minor) as owed from ledger_posting where account = 'customer_liability' "
            "group by order_id having sum(amount_minor) <> 0"
        )
        assert {row["order_id"]: row["owed"] for row in posted} == {key: value for key, value in owed.items() if value}

    def _check_letters(self, orders: dict[Any, Row]) -> None:
        kinds = sorted(row["kind"] for row in self.rows("select kind from outgoing_mail where kind like 'order_%'"))
        expected = ["order_received"] * len(orders)
        steps = self.rows("select event from order_event")
        expected += [LETTERS[step["event"]] for step in steps if step["event"] in LETTERS]
        for order in orders.values():
            expected += ["order_paid"] if order["paid_at"] is not None else []
            if order["state"] in CLOSED:
                expected.append("order_refunded_whole" if order["paid_at"] is not None else f"order_{order['state']}")
        assert kinds == sorted(expected)
        paid_out = self.rows(
            "select 1 from ledger_posting p join ledger_posting q using (entry_id) "
            "where p.account = 'stripe_clearing' and p.amount_minor < 0 and q.account = 'customer_liability'"
        )
        assert len(self.rows("select 1 from outgoing_mail where kind = 'refund_sent'")) == len(paid_out)

    def _stock_now(self) -> dict[Any, Decimal]:
        return {
            row["sku_id"]: row["whole"]
            for row in self.rows("select sku_id, on_hand + reserved + sold as whole from stock")
        }
