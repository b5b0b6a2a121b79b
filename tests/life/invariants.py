"""What must never happen with money, read from the database and from Stripe's own objects: trust.md's invariants.

`check_always` holds after every step, whatever is on its way; `check_at_rest` once Stripe has stopped lying, all it had
to say has arrived and all sweeps have run. Both read rows past row-level security and know nothing of the services.
"""

import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from checkout.states import FINAL, TABLE, Event, State
from kernel.money import Money
from sandbox.stripe_twin.twin import Twin

Row = dict[str, Any]
EDGES = {(row.event.value, state.value, (row.target or state).value) for row in TABLE for state in row.states}
STOCK_OF_STATE = {
    "paid": {"sold"},
    "cancelling": {"sold", "reserved"},
    "lapsed": {"returned"},
    "cancelled": {"returned"},
    "written_off": {"sold"},
    "on_terms": {"reserved", "sold"},
}
"""Of an order's goods; in any other state they are reserved."""
LETTERS_OF_END = {"lapsed": "order_lapsed", "cancelled": "order_cancelled"}
COUNTED_REFUNDS = ("new", "uncertain", "pending", "succeeded")


class Invariants:
    """Of one database and one Stripe. Stock is counted at the beginning."""

    def __init__(self, url: str, twin: Twin) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self._twin = twin
        self._stock = self._whole_stock()

    def again(self, url: str) -> Self:
        """The same over a new connection, by the stock that was counted before."""
        other = type(self)(url, self._twin)
        other._stock = self._stock
        self.close()
        return other

    def close(self) -> None:
        self._connection.close()

    def rows(self, query: str) -> list[Row]:
        return self._connection.execute(query.encode()).fetchall()

    def orders(self) -> dict[Any, Row]:
        return {row["id"]: row for row in self.rows("select * from customer_order order by number")}

    def check_always(self) -> None:
        """:raises AssertionError: naming the invariant of trust.md, by its number, and what breaks it"""
        orders = self.orders()
        self._check_settled_once(orders)
        self._check_bases(orders)
        self._check_stock(orders)
        self._check_postings()
        self._check_invoices(orders)
        self._check_refunds(orders)
        self._check_letters(orders)
        self._check_edges(orders)
        self._check_keys()
        assert self._twin.violations() == []

    def check_at_rest(self) -> None:
        """:raises AssertionError: likewise; everything has arrived, nobody lies, and banks have done what they do"""
        self.check_always()
        orders = self.orders()
        self._check_stripes_truth(orders)
        self._check_waiting(orders)

    # --- 1: an order settles once, and only with money that is there ---

    def _check_settled_once(self, orders: dict[Any, Row]) -> None:
        attempts = {str(row["id"]): row for row in self.rows("select * from payment_attempt")}
        own = {row["session_id"]: row for row in attempts.values() if row["session_id"] is not None}
        paid_here: Counter[Any] = Counter()
        for session in self._sessions():
            attempt = own.get(session["id"])
            if attempt is not None and session["payment_status"] == "paid":
                order = orders[attempt["order_id"]]
                fits = (session["amount_total"], session["currency"]) == (
                    order["total_minor"], order["currency"].lower()
                )  # fmt: skip
                paid_here[order["id"]] += fits
        entries = self.rows(
            "select order_id, count(*) as sales from ledger_posting p where account = 'sales' and amount_minor < 0 and "
            "exists (select 1 from ledger_posting c where c.entry_id = p.entry_id and c.account = 'stripe_clearing') "
            "group by order_id"
        )
        sales = {row["order_id"]: row["sales"] for row in entries}
        for order in orders.values():
            number, total = order["number"], order["total_minor"]
            if order["paid_at"] is not None and total and order["net_days"] is None:
                assert paid_here[order["id"]], f"1, 5: {number} is paid here and not at Stripe"
                assert sales.get(order["id"]) == 1, f"1: {number} was sold {sales.get(order['id'], 0)} times"
            else:
                assert not sales.get(order["id"]), f"1: {number} is {order['state']} and its sale is posted"
        open_attempts = Counter(
            row["order_id"] for row in attempts.values() if row["state"] in {"new", "uncertain", "live"}
        )
        assert all(many == 1 for many in open_attempts.values()), "1: an order can be paid in two places"
        made = Counter(session["metadata"].get("attempt_id") for session in self._sessions())
        assert all(many == 1 for attempt, many in made.items() if attempt), f"1: an attempt has two Sessions: {made}"
        open_there = {session["id"] for session in self._sessions() if session["status"] == "open"}
        for row in attempts.values():
            if row["session_id"] in open_there and row["url"] is not None:
                assert row["state"] != "dead", "1: an attempt is dead here, and its page can be paid"
            if orders[row["order_id"]]["state"] in {"lapsed", "cancelled"}:
                assert row["state"] in {"dead", "succeeded"}, "1: an order is closed, and can be paid"

    # --- 1: an order on terms is billed once, and its invoice paid with money that came ---

    def _check_invoices(self, orders: dict[Any, Row]) -> None:
        billed = Counter(seen["metadata"].get("invoice_id") for seen in self._twin.objects("invoice"))
        assert all(many == 1 for many in billed.values()), f"1: an order was billed twice: {billed}"
        theirs = {seen["id"]: seen for seen in self._twin.objects("invoice")}
        came = {
            row["invoice_id"]: row["came"]
            for row in self.rows("select invoice_id, sum(amount_minor) as came from invoice_receipt group by 1")
        }
        invoices = {row["order_id"]: row for row in self.rows("select * from invoice")}
        for order in orders.values():
            if order["net_days"] is None:
                continue
            number, invoice = order["number"], invoices.get(order["id"])
            if invoice is None:
                assert order["state"] in {"on_terms", "cancelled"}, f"1: {number} is {order['state']} without a bill"
                continue
            seen = theirs.get(invoice["stripe_invoice_id"])
            assert came.get(invoice["id"], 0) == invoice["paid_minor"], f"1: {number} was paid otherwise than it says"
            if order["state"] == "paid":
                assert invoice["paid_minor"] == order["total_minor"], f"1: {number} is paid and something is due"
                assert seen is not None, f"1, 5: {number} is paid and Stripe has no Invoice of it"
                assert seen["status"] == "paid", f"1, 5: {number} is paid here and {seen['status']} at Stripe"
            if seen is not None and seen["status"] != "draft":
                assert seen["total"] == order["total_minor"], f"2: {number} is billed over another total"
        self._check_credit(orders, invoices)
        sales = self.rows(
            "select order_id, count(*) as many from ledger_posting p where account = 'sales' and amount_minor < 0 and "
            "exists (select 1 from ledger_posting c where c.entry_id = p.entry_id and c.account = "
            "'accounts_receivable') group by order_id"
        )
        assert {row["order_id"]: row["many"] for row in sales} == dict.fromkeys(invoices, 1), "1: bills are not sales"

    def _check_credit(self, orders: dict[Any, Row], invoices: dict[Any, Row]) -> None:
        owed: Counter[Any] = Counter()
        for order in orders.values():
            if order["state"] == "on_terms":
                invoice = invoices.get(order["id"])
                owed[order["company_id"]] += order["total_minor"] - (0 if invoice is None else invoice["paid_minor"])
        for terms in self.rows("select company_id, limit_minor from credit_terms"):
            assert owed[terms["company_id"]] <= terms["limit_minor"], "1: a company owes more than its limit"

    # --- 3: no order without its basis ---

    def _check_bases(self, orders: dict[Any, Row]) -> None:
        acceptances = {row["order_id"]: row for row in self.rows("select * from acceptance")}
        assert set(acceptances) == set(orders), "3: orders and acceptances are not the same"
        for order_id, row in acceptances.items():
            order = orders[order_id]
            assert row["order_digest"] == order["canonical_digest"], "3: another order was accepted"
            agreed = Money.parse(order["canonical"]["total"], order["canonical"]["currency"])
            charged = Money(order["total_minor"], order["currency"])
            assert agreed == charged, f"2: {agreed} was accepted and {order['number']} is over {charged}"
        leaves = self.rows("select seq from acceptance_ledger where kind = 'acceptance'")
        assert {row["seq"] for row in leaves} == {row["ledger_seq"] for row in acceptances.values()}
        consumed = self.rows("select order_id from agreement_presentation where consumed_at is not null")
        assert sorted(row["order_id"] for row in consumed) == sorted(orders)

    # --- 6: stock is constant ---

    def _check_stock(self, orders: dict[Any, Row]) -> None:
        assert self._whole_stock() == self._stock, "6: stock + reserved + sold has changed"
        held = self.rows("select order_id, sku_id, state, quantity from stock_reservation")
        for row in held:
            state = orders[row["order_id"]]["state"]
            expected = STOCK_OF_STATE.get(state, {"reserved"})
            assert row["state"] in expected, f"6: an order that is {state} has its goods {row['state']}"
        for stock in self.rows("select * from stock"):
            assert min(stock["on_hand"], stock["reserved"], stock["sold"]) >= 0, "6: stock is negative"
            for state in ("reserved", "sold"):
                mine = [row for row in held if row["sku_id"] == stock["sku_id"] and row["state"] == state]
                assert stock[state] == sum((row["quantity"] for row in mine), Decimal(0)), f"6: {state} goods differ"

    def _whole_stock(self) -> dict[Any, Decimal]:
        return {
            row["sku_id"]: row["whole"]
            for row in self.rows("select sku_id, on_hand + reserved + sold as whole from stock")
        }

    # --- 7: postings sum to zero, refunds never exceed captures ---

    def _check_postings(self) -> None:
        unbalanced = self.rows(
            "select entry_id, currency, sum(amount_minor) from ledger_posting group by entry_id, currency "
            "having sum(amount_minor) <> 0 or count(*) < 2"
        )
        assert unbalanced == [], "7: an entry does not balance"
        owed = self.rows(
            "select order_id, sum(amount_minor) as owed from ledger_posting where account = 'customer_liability' "
            "group by order_id having sum(amount_minor) > 0"
        )
        assert owed == [], "7: more was given back than was owed"

    def _check_refunds(self, orders: dict[Any, Row]) -> None:
        ours = {str(row["id"]): row for row in self.rows("select * from refund")}
        made: Counter[str] = Counter()
        for refund in self._twin.objects("refund"):
            reference = (refund["metadata"] or {}).get("refund_id", "")
            if reference not in ours:
                continue
            made[reference] += 1
            assert refund["amount"] == ours[reference]["amount_minor"], "7: Stripe was asked for another amount"
            known = ours[reference]["stripe_refund_id"]
            assert known in {None, refund["id"]}, f"7: {reference} is known as another Refund"
        assert all(many == 1 for many in made.values()), f"7: a refund was made twice: {made}"
        cases = {row["refund_id"] for row in self.rows("select refund_id from liability where refund_id is not null")}
        for row in ours.values():
            if row["state"] == "failed" and row["liability_id"] is None:
                assert row["id"] in cases, "7: a refund came back and is nobody's case"
        attempts = {row["id"]: row for row in self.rows("select * from payment_attempt")}
        given: Counter[Any] = Counter()
        for row in ours.values():
            if row["state"] in COUNTED_REFUNDS:
                given[row["attempt_id"]] += row["amount_minor"]
        for attempt_id, amount in given.items():
            if attempt_id is not None:  # None: of money of no order we know, its case repaid
                assert amount <= attempts[attempt_id]["amount_minor"], "7: refunds exceed what was paid"
        taken = Counter[Any]()
        for row in self.rows("select order_id, withdrawn_minor from dispute where state in ('open', 'lost')"):
            taken[row["order_id"]] += row["withdrawn_minor"]
        for order in orders.values():
            mine = [row for row in ours.values() if row["order_id"] == order["id"] and row["liability_id"] is None]
            if order["state"] == "cancelled" and order["paid_at"] is not None:
                gone = sum(row["amount_minor"] for row in mine if row["state"] != "refused") + taken[order["id"]]
                assert gone >= order["total_minor"], f"7: {order['number']} is cancelled and not all of it is back"
                under_way = [row for row in mine if row["state"] in {"new", "uncertain", "pending"}]
                assert under_way == [], f"7: {order['number']} is cancelled while its money is under way"
                self._check_cases_of_cancelled(order)
        for charge in self._twin.objects("charge"):
            assert charge["amount_refunded"] <= charge["amount_captured"]

    def _check_cases_of_cancelled(self, order: Row) -> None:
        """What a refund failed to give back may be owed only if it failed afterwards."""
        events = self._connection.execute(
            "select event, detail from order_event where order_id = %s order by version desc", (order["id"],)
        ).fetchall()
        ends = next((place for place, row in enumerate(events) if row["event"] == "refunded"), None)
        if ends is None or any(row["event"] == "dispute" for row in events):
            return  # a bank's word on a dispute opens cases anew
        failed_since = sum(" failed: " in row["detail"] for row in events[:ends])
        [owed] = self._connection.execute(
            "select count(*) as many from liability where order_id = %s and reason = 'refund_failed' "
            "and resolved_at is null",
            (order["id"],),
        ).fetchall()
        assert owed["many"] <= failed_since, f"7: {order['number']} is cancelled and its money is not back"

    # --- 8: letters exist iff their change committed ---

    def _check_letters(self, orders: dict[Any, Row]) -> None:
        kinds = Counter(row["kind"] for row in self.rows("select kind from outgoing_mail where kind like 'order_%'"))
        expected: Counter[str] = Counter()
        for order in orders.values():
            at_once = order["net_days"] is None
            expected["order_received" if at_once else "order_received_on_terms"] += 1
            if order["paid_at"] is not None and at_once:
                expected["order_paid"] += 1
            if order["state"] in LETTERS_OF_END:
                whole = order["paid_at"] is not None
                expected["order_refunded_whole" if whole else LETTERS_OF_END[order["state"]]] += 1
        for kind in (
            "order_received",
            "order_received_on_terms",
            "order_paid",
            "order_lapsed",
            "order_cancelled",
            "order_refunded_whole",
        ):
            assert kinds[kind] == expected[kind], f"8: {kinds[kind]} letters {kind}, {expected[kind]} wanted"

    # --- 10: states move along declared edges ---

    def _check_edges(self, orders: dict[Any, Row]) -> None:
        history: dict[Any, list[Row]] = {}
        for row in self.rows("select * from order_event order by order_id, version"):
            history.setdefault(row["order_id"], []).append(row)
        assert set(history) == set(orders), "10: an order without a history"
        for order_id, events in history.items():
            number = orders[order_id]["number"]
            for event in events:
                edge = (event["event"], event["before"], event["after"])
                assert edge in EDGES, f"10: {number} went {edge}"
            for earlier, later in pairwise(events):
                assert later["version"] == earlier["version"] + 1, f"10: a step of {number} is missing"
                assert later["before"] == earlier["after"], f"10: {number} jumped"
            assert events[-1]["after"] == orders[order_id]["state"], f"10: {number} is not where its history ends"
            assert events[-1]["version"] == orders[order_id]["version"]

    # --- 11: the same key, the same request ---

    def _check_keys(self) -> None:
        asked: dict[str, str] = {}
        for request in self._twin.requests():
            if request["idempotency_key"] is not None:
                what = json.dumps([request["path"], request["params"]], sort_keys=True)
                assert asked.setdefault(request["idempotency_key"], what) == what, "11: a key was used for two requests"
        keys = {row["idempotency_key"] for row in self.rows("select idempotency_key from stripe_call")}
        moving = ("-customer-", "-detach")  # of the customer's and the card's own rows; no money moves under them
        ours = {key for key in asked if key.startswith("tarifa-") and not any(word in key for word in moving)}
        assert ours <= keys, "11: Stripe was asked under a key that is nowhere written down"

    # --- 5 and 15, at rest ---

    def _check_stripes_truth(self, orders: dict[Any, Row]) -> None:
        """Every payment Stripe holds is a sale or a case here, over exactly its amount."""
        own = {row["session_id"]: row for row in self.rows("select * from payment_attempt")}
        cases = {row["session_id"]: row for row in self.rows("select * from liability where refund_id is null")}
        for session in self._sessions():
            if session["payment_status"] != "paid":
                continue
            attempt = own.get(session["id"])
            case = cases.get(session["id"])
            if case is not None:
                assert case["amount_minor"] == session["amount_total"], "1: a case is over another amount"
                continue
            assert attempt is not None, f"5: {session['id']} is paid and nobody here knows"
            order = orders[attempt["order_id"]]
            assert order["paid_at"] is not None, f"5: {order['number']} is paid at Stripe and {order['state']} here"
            assert attempt["state"] == "succeeded"
        net = sum(
            charge["amount_captured"]
            for charge in self._twin.objects("charge")
            if charge["paid"] and charge["payment_method_details"]["type"] != "customer_balance"
        ) - sum(refund["amount"] for refund in self._twin.objects("refund") if refund["status"] == "succeeded")
        net += sum(  # transfers; an Invoice that they pay has a charge as well
            moved["net_amount"]
            for moved in self._twin.objects("customer_cash_balance_transaction")
            if moved["type"] == "funded"
        )
        net += sum(
            moved["amount"] - moved["fee"]
            for dispute in self._twin.objects("dispute")
            for moved in dispute["balance_transactions"]
        )
        [clearing] = self.rows(
            "select coalesce(sum(amount_minor), 0) as held from ledger_posting where account = 'stripe_clearing'"
        )
        assert clearing["held"] == net, f"1, 7: our books say {clearing['held']}, Stripe holds {net}"

    def _check_waiting(self, orders: dict[Any, Row]) -> None:
        """15: whatever is not final waits for a person, who is told so: a buyer to pay, a bank to
        decide, the house for a case."""
        cases = {row["order_id"] for row in self.rows("select order_id from liability where resolved_at is null")}
        refused = {row["order_id"] for row in self.rows("select order_id from refund where state = 'refused'")}
        complete = {each["id"] for each in self._sessions() if each["status"] == "complete"}
        attempts = self.rows("select order_id, session_id from payment_attempt")
        at_banks = {row["order_id"] for row in attempts if row["session_id"] in complete}
        for order in orders.values():
            state, number = State(order["state"]), order["number"]
            if state in FINAL or state is State.ON_TERMS:
                continue
            waits = (
                state is State.PAYABLE
                or (state is State.PROCESSING and order["id"] in at_banks)
                or (state is State.CANCELLING and (order["id"] in cases or order["id"] in refused))
            )
            assert waits, f"15: {number} is {state.value} and waits for nobody"
        stuck = self.rows("select state from payment_attempt where state in ('new', 'uncertain')")
        assert stuck == [], f"15: attempts are {stuck}"
        stuck = self.rows("select detail from invoice where state = 'making'")
        assert stuck == [], f"15: invoices are being made: {stuck}"
        stuck = self.rows("select state, detail from refund where state in ('new', 'uncertain', 'pending')")
        assert stuck == [], f"15: refunds are {stuck}"
        assert self.rows("select id from stripe_event where handled_at is null") == [], "15: events were not handled"

    def _sessions(self) -> list[Row]:
        return self._twin.objects("checkout.session")


assert {event for event, _, _ in EDGES} == {event.value for event in Event}, "every event has its edges"
