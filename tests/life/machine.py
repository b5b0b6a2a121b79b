"""The whole life of carts, orders and money as one state machine: rules do, invariants are checked after each.

A rule is something that somebody does: a buyer, a colleague in another tab, the clerk, Stripe, a forger, time. To add a
feature, write a mixin with its rules beside these and give it to `Life`; `self.house` are the services as they run now,
`self.pick` chooses among what there is, `self.do` runs a use case, which may die at any commit on the way.
"""

import asyncio
import contextlib
import functools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from accounts.principal import Principal
from checkout.model import Order, RefundReason
from checkout.model import Paying as WhenPaid
from checkout.refunds import Wish
from checkout.repricing import price_again
from checkout.stripe_gateway import WebhookRefused
from kernel.errors import DomainError
from kernel.money import Money
from sandbox.stripe_twin import Fault
from sandbox.stripe_twin.cards import TEST_CARDS
from tests.checkout.conftest import ADDRESS, BOXES, House, book, signed
from tests.life.invariants import Invariants
from tests.life.world import PATIENCE_AT_REST, PATIENCE_SECONDS, Stage

Result = TypeVar("Result")
Chosen = TypeVar("Chosen")

ANY = st.integers(min_value=0, max_value=99)
"""Which of several, whatever there are: smaller is earlier."""
DIES = st.one_of(st.none(), st.none(), st.none(), st.integers(min_value=0, max_value=9))
BUYERS = st.sampled_from(["acme", "globex", "initech"])
QUANTITIES = st.sampled_from(["1", "2", "10", "40"])
CARDS = st.sampled_from(["visa", "visa", "declined", "3ds", "3ds_then_declined", "refund_pending", "refund_fails"])
PARTS = st.sampled_from([10, 60, 100, None])
"""Percent of an order's total that is given back; None takes the order back as a whole."""
SPANS = st.sampled_from(
    [
        timedelta(minutes=3),
        timedelta(minutes=3),
        timedelta(hours=1),
        timedelta(hours=23, minutes=30),
        timedelta(days=1),
        timedelta(days=3, minutes=1),
        timedelta(days=7, minutes=1),
    ]
)
LOST = st.sampled_from(["lose_answer", "500 after", "reset"])
"""How an answer is lost; what was asked is done, but for the last."""
LATER = st.sampled_from([timedelta(0), timedelta(minutes=3), timedelta(days=1, minutes=1)])
"""Until somebody asks again: Stripe forgets a key after a day."""
HELPS_MOST = 2
TOLD_ONLY = {
    "dispute", "invoice", "invoice_payment", "cash_balance", "customer_cash_balance_transaction",
}  # fmt: skip
"""What the house is told of by webhooks and does not ask about by itself."""
NOWHERE = "https://shop.example/orders/none"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer was shown to accept."""

    buyer: str
    presentation: uuid.UUID
    total: Money
    expires_at: datetime


class Base(RuleBasedStateMachine):
    """What rules work with. `bind` gives the stage, since Hypothesis makes machines without arguments."""

    stage: ClassVar[Stage]
    rests: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._ending = contextlib.ExitStack()
        self.world, url = self._ending.enter_context(self.stage.world())
        self.truth = Invariants(url, self.world.twin.control)
        self._ending.callback(self.truth.close)
        self.shown: list[Shown] = []
        self.agreed: dict[str, Money] = {}
        """Orders that the house has confirmed to their buyer, with the total that was agreed to."""
        self.delivered: set[str] = set()
        """Events that have arrived at least once, or never will."""
        self.lies = 0
        self.by_hand = 0
        """Payments made in Stripe's dashboard."""

    @property
    def house(self) -> House:
        return self.world.house

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    @property
    def stripe(self) -> Any:
        return self.world.twin.control

    def person(self, name: str) -> Principal:
        return self.world.people[name]

    def do(self, work: Callable[[], Awaitable[Result]], *, dies: int | None = None) -> Result | None:
        """What became of a use case: its result; None when it was refused, or died and came to life again."""
        try:
            return self.world.live(work, dies=dies)
        except DomainError:
            return None

    def together(self, *acts: Callable[[], Awaitable[Result]]) -> list[Result]:
        """Do *acts* at once; what they gave, but for refusals.

        :raises BaseException: any other that one of them raised
        """

        async def both() -> list[Any]:
            return await asyncio.gather(*(act() for act in acts), return_exceptions=True)

        given = self.world.run(both())
        for each in given:
            if isinstance(each, BaseException) and not isinstance(each, DomainError):
                raise each
        return [each for each in given if not isinstance(each, BaseException)]

    def pick(self, which: int, among: Sequence[Chosen]) -> Chosen | None:
        return among[which % len(among)] if among else None

    def orders(self, *states: str) -> list[dict[str, Any]]:
        return [row for row in self.truth.orders().values() if not states or row["state"] in states]

    def owner(self, order: dict[str, Any]) -> Principal:
        return next(
            who
            for who in self.world.people.values()
            if who.company is not None and who.company.id == order["company_id"]
        )

    def undelivered(self) -> list[dict[str, Any]]:
        return [event for event in self.house.events() if event["id"] not in self.delivered]

    def hear(self, event: dict[str, Any], *, dies: int | None = None) -> None:
        """A webhook and its job."""
        self.do(lambda: self.house.deliver(event), dies=dies)

    @invariant()
    def nothing_has_happened_that_must_not(self) -> None:
        self.truth.check_always()
        totals = {row["number"]: Money(row["total_minor"], row["currency"]) for row in self.orders()}
        for number, total in self.agreed.items():
            assert number in totals, f"4: {number} was confirmed and is lost"
            assert totals[number] == total, f"2: {total} was agreed to and {number} is over {totals[number]}"

    def teardown(self) -> None:
        with self._ending:
            try:
                if self.rests:
                    self.come_to_rest()
            finally:
                self.stage.seen.update(self._reached())

    def _reached(self) -> dict[str, int]:
        """What this life came by."""
        found = {"lives": 1, "deaths": self.world.deaths}
        for what, column in (
            ("order_event", "event"), ("payment_attempt", "state"), ("refund", "state"), ("liability", "reason"),
            ("stripe_event", "outcome"), ("dispute", "state"), ("stripe_call", "outcome"), ("invoice", "state"),
            ("invoice_receipt", "kind"),
        ):  # fmt: skip
            for row in self.truth.rows(f"select {column} as word, count(*) as many from {what} group by 1"):
                found[f"{what} {row['word']}"] = row["many"]
        return found

    # --- At the end: nobody lies any more, everything arrives, time passes ---

    def come_to_rest(self) -> None:
        self.stripe.clear_faults()
        self.world.patience = PATIENCE_AT_REST
        self.world.restart()
        self._settle_down()
        self.truth.check_at_rest()
        self._prices_follow()
        self._payable_orders_can_be_paid()
        for days in (8, 4):  # what banks take at most, then the time to pay that a refusal gives anew
            self.pass_time(timedelta(days=days))
            self._settle_down()
        self.truth.check_at_rest()
        late = [row["number"] for row in self.orders("payable", "processing")]
        assert late == [], f"14, 15: {late} wait for a payment that is too late"
        self._nothing_disagrees()

    def _settle_down(self) -> None:
        """Everything that was said arrives; minutes pass, and the house looks after what it left."""
        for _ in range(4):
            for event in self.undelivered():
                self.delivered.add(event["id"])
                self.hear(event)
            self.pass_time(timedelta(minutes=3))
            self.do(self.house.payments.sweep)
        assert self.undelivered() == []

    def pass_time(self, span: timedelta) -> None:
        self.world.clock.set(self.now + span)
        self.stripe.let_time_pass()

    def _prices_follow(self) -> None:
        """2: what was charged is what the book of the order's own root says."""

        async def read() -> list[Order]:
            return [await self.house.orders.find_order(self.person("staff"), row["number"]) for row in self.orders()]

        for order in self.world.run(read()):
            again = price_again(order, self.world.books.by_root(order.price_root))
            assert all(line.holds for line in again), f"2: {order.number} would be priced otherwise: {again}"
            assert order.goods_minor + order.freight_minor + order.tax_minor == order.total_minor

    def _payable_orders_can_be_paid(self) -> None:
        """15: an order that waits for its buyer can be paid as soon as Stripe behaves."""
        for row in self.orders("payable"):
            if row["pay_by"] <= self.now:
                continue
            buyer, number = self.owner(row), row["number"]
            url = self.world.run(self.house.payments.start(buyer, number))
            session = self.world.run(self.house.session_of(url))
            assert self.stripe.pay_at_once(session).outcome == "paid"
            order = self.world.run(self.house.payments.returned(buyer, number, session))
            assert order.state.value == "paid", f"15: {number} is paid at Stripe and {order.state.value}"
            return

    def _nothing_disagrees(self) -> None:
        """The house's own comparison finds nothing that is not a case for a person already."""
        breaks = self.world.run(self.house.payments.reconcile(since=self.stage.furnished_at))
        found = {each.kind for each in breaks} - {"event_parked"}
        assert found == set(), f"5: {breaks}"


class Buying(Base):
    """Carts, published prices, acceptances."""

    @initialize(buyer=BUYERS, quantity=QUANTITIES, page=st.booleans())
    def it_begins_with_an_order(self, buyer: str, quantity: str, page: bool) -> None:
        self.orders_something(buyer, quantity)
        if page:
            [order] = self.orders()
            self.do(lambda: self.house.payments.start(self.owner(order), order["number"]))

    @rule(buyer=BUYERS, quantity=QUANTITIES, sku=st.sampled_from(["CRUNCHY-ARMCHAIR", "HOSE", "MANUAL"]))
    def fills_the_cart(self, buyer: str, quantity: str, sku: str) -> None:
        self.do(lambda: self.house.carts.add(self.person(buyer), sku=sku, quantity=quantity))

    @rule(buyer=BUYERS, dies=DIES)
    def looks_at_the_order(self, buyer: str, dies: int | None) -> None:
        """The address, then what is to be accepted."""
        who = self.person(buyer)

        async def look() -> Shown:
            await self.house.details(who, ADDRESS)
            review = await self.house.review(who)
            return Shown(
                buyer=buyer,
                presentation=review.presentation.id,
                total=review.totals.total,
                expires_at=review.presentation.expires_at,
            )

        shown = self.do(look, dies=dies)
        if shown is not None:
            self.shown.append(shown)

    @rule(which=ANY, dies=DIES)
    @precondition(lambda self: self.shown)
    def accepts(self, which: int, dies: int | None) -> None:
        """Any of what was shown, the last one first; a stale or second tab accepts what another has."""
        shown = self.shown[-1 - which % len(self.shown)]
        known = {row["id"] for row in self.orders()}
        order = self.do(lambda: self._accept(shown), dies=dies)
        if order is not None:
            self._confirmed(order, shown, known)
            if order.id not in known:
                assert self.now < shown.expires_at, f"14: {order.number} was made from what had expired"
                assert order.price_root == self.world.books.at(self.now).root, "14: sold at a price of the past"
        else:
            self._remember_those_made_before_a_death(known)

    @rule(which=ANY)
    @precondition(lambda self: self.shown)
    def accepts_in_two_tabs_at_once(self, which: int) -> None:
        shown = self.shown[-1 - which % len(self.shown)]
        known = {row["id"] for row in self.orders()}
        for order in self.together(lambda: self._accept(shown), lambda: self._accept(shown)):
            self._confirmed(order, shown, known)

    @rule(buyer=BUYERS, quantity=QUANTITIES)
    def orders_something(self, buyer: str, quantity: str) -> None:
        """The straight way, so that there are orders at all."""
        self.do(lambda: self.house.carts.add(self.person(buyer), sku="CRUNCHY-ARMCHAIR", quantity=quantity))
        self.looks_at_the_order(buyer, None)
        if self.shown and self.shown[-1].buyer == buyer:
            self.accepts(0, None)

    @rule(
        buyer=BUYERS,
        quantity=st.sampled_from(["1", "2"]),
        price=st.one_of(st.none(), st.integers(min_value=50, max_value=200)),
        span=st.sampled_from([timedelta(0), timedelta(minutes=3), timedelta(minutes=59), timedelta(hours=1)]),
    )
    def thinks_it_over(self, buyer: str, quantity: str, price: int | None, span: timedelta) -> None:
        """Looks, and accepts some time later; other prices may be in force by then."""
        self.do(lambda: self.house.carts.add(self.person(buyer), sku="CRUNCHY-ARMCHAIR", quantity=quantity))
        looked = len(self.shown)
        self.looks_at_the_order(buyer, None)
        if price is not None:
            self.prices_are_published(price, 0)
        self.pass_time(span)
        if len(self.shown) > looked:
            self.accepts(0, None)

    @rule(buyer=BUYERS, card=CARDS, returns=st.booleans())
    def buys_something(self, buyer: str, card: str, returns: bool) -> None:
        """The straight way to Stripe and back; who does not come back leaves it to webhooks."""
        known = {row["id"] for row in self.orders()}
        self.orders_something(buyer, "2")
        for order in self.orders("payable"):
            if order["id"] not in known:
                who, number = self.owner(order), order["number"]
                url = self.do(functools.partial(self.house.payments.start, who, number))
                session = None if url is None else self.world.run(self.house.session_of(url))
                if session is not None and self.stripe.pay_at_once(session, card).outcome == "paid" and returns:
                    self.do(functools.partial(self.house.payments.returned, who, number, session))

    @rule(price=st.integers(min_value=50, max_value=200), minutes=st.sampled_from([0, 5, 90]))
    def prices_are_published(self, price: int, minutes: int) -> None:
        root = f"{len(self.world.books.published) % 16:x}"
        if root == "a" or len(self.world.books.published) > 9:
            return
        at = max(
            [self.now + timedelta(minutes=minutes)]
            + [since for since, _ in self.world.books.published if since is not None]
        )
        self.world.books.publish(book(str(price), root=root), at)

    async def _accept(self, shown: Shown) -> Order:
        return await self.house.checkouts.place(
            self.person(shown.buyer),
            presentation_id=shown.presentation,
            ticked=BOXES,
            job_title="Buyer",
            ip="192.0.2.1",
            user_agent="tests",
        )

    def _confirmed(self, order: Order, shown: Shown, known: set[uuid.UUID]) -> None:
        """A tab that still shows an older cart gets the order that its checkout has become."""
        if order.id in known:
            assert self.agreed[order.number] == order.total, f"2: {order.number} was agreed to over another total"
            return
        assert order.total == shown.total, f"2: {shown.total} was shown and {order.number} is over {order.total}"
        self.agreed[order.number] = shown.total

    def _remember_those_made_before_a_death(self, known: set[uuid.UUID]) -> None:
        for row in self.orders():
            if row["id"] not in known:
                self.agreed[row["number"]] = Money(row["total_minor"], row["currency"])


class Paying(Buying):
    """Payment pages, cards, tabs, cancellations."""

    @rule(which=ANY, dies=DIES)
    @precondition(lambda self: self.orders())
    def opens_the_payment_page(self, which: int, dies: int | None) -> None:
        self._open_page(self._some(which), dies)

    def _open_page(self, order: dict[str, Any], dies: int | None) -> None:
        late = order["pay_by"] is not None and order["pay_by"] <= self.now
        url = self.do(lambda: self.house.payments.start(self.owner(order), order["number"]), dies=dies)
        assert url is None or not late, f"14: {order['number']} got a payment page when its time was over"

    @rule(buyer=BUYERS, days=st.sampled_from([2, 3]), dies=DIES)
    def comes_to_pay_days_later(self, buyer: str, days: int, dies: int | None) -> None:
        """In time, or when nobody has looked yet that it is too late."""
        known = {row["id"] for row in self.orders()}
        self.orders_something(buyer, "1")
        self.pass_time(timedelta(days=days))
        for order in self.orders("payable"):
            if order["id"] not in known:
                self._open_page(order, dies)

    @rule(which=ANY, card=CARDS, answer=st.sampled_from(["pass", "pass", "fail", "wait"]))
    @precondition(lambda self: self.open_pages())
    def pays_with_a_card(self, which: int, card: str, answer: str) -> None:
        """At any page that is open there, even one whose address nobody was given."""
        page = self.pick(which, self.open_pages())
        assert page is not None
        self.stripe.pay_at_once(page["id"], card, authentication=answer)

    @rule(which=ANY, fails=st.booleans())
    @precondition(lambda self: self.open_pages())
    def pays_by_debit(self, which: int, fails: bool) -> None:
        """The buyer is done at once; the bank takes its days, and may refuse."""
        page = self.pick(which, self.open_pages())
        assert page is not None
        account = "ach" if page["currency"] == "usd" else "sepa"
        self.stripe.pay_at_once(page["id"], f"{account}_fails" if fails else account)

    @rule(which=ANY, dies=DIES)
    @precondition(lambda self: self.truth.rows("select 1 from payment_attempt where session_id is not null limit 1"))
    def comes_back(self, which: int, dies: int | None) -> None:
        attempts = self.truth.rows(
            "select * from payment_attempt where session_id is not null order by created_at desc, id desc"
        )
        attempt = self.pick(which, attempts)
        assert attempt is not None
        order = self.truth.orders()[attempt["order_id"]]
        self.do(
            lambda: self.house.payments.returned(self.owner(order), order["number"], attempt["session_id"]), dies=dies
        )

    @rule(which=ANY, dies=DIES)
    @precondition(lambda self: self.orders())
    def cancels(self, which: int, dies: int | None) -> None:
        order = self._some(which)
        self.do(lambda: self.house.payments.cancel(self.owner(order), order["number"]), dies=dies)

    @rule(which=ANY)
    @precondition(lambda self: self.orders("payable"))
    def two_of_a_company_pay_at_once(self, which: int) -> None:
        order = self.pick(which, self.orders("payable"))
        assert order is not None
        act = self._opening(order)
        urls = self.together(act, act)
        assert len(set(urls)) <= 1, f"1: {order['number']} has two payment pages"

    @rule(which=ANY)
    @precondition(lambda self: self.orders("payable"))
    def pays_and_cancels_at_once(self, which: int) -> None:
        order = self.pick(which, self.orders("payable"))
        assert order is not None
        who, number = self.owner(order), order["number"]

        async def cancel() -> str:
            return (await self.house.payments.cancel(who, number)).state.value

        self.together(self._opening(order), cancel)

    def open_pages(self) -> list[dict[str, Any]]:
        return [page for page in self.stripe.objects("checkout.session") if page["status"] == "open"]

    def _opening(self, order: dict[str, Any]) -> Callable[[], Awaitable[str]]:
        return lambda: self.house.payments.start(self.owner(order), order["number"])

    def _some(self, which: int) -> dict[str, Any]:
        """Payable orders first."""
        orders = sorted(self.orders(), key=lambda row: (row["state"] != "payable", row["number"]))
        return orders[which % len(orders)]


class Hearing(Base):
    """Webhooks: permuted, repeated, late, forged, lost."""

    @rule(which=ANY, copies=st.integers(min_value=1, max_value=5), dies=DIES)
    @precondition(lambda self: self.undelivered())
    def a_webhook_arrives(self, which: int, copies: int, dies: int | None) -> None:
        event = self.pick(which, self.undelivered())
        assert event is not None
        self.delivered.add(event["id"])
        for _ in range(copies):
            self.hear(event, dies=dies)

    @rule(which=ANY)
    @precondition(lambda self: self.delivered)
    def a_webhook_arrives_again(self, which: int) -> None:
        again = [event for event in self.house.events() if event["id"] in self.delivered]
        event = self.pick(which, again)
        if event is not None:
            self.hear(event)

    @rule()
    def all_webhooks_arrive_the_last_one_first(self) -> None:
        for event in self.undelivered()[::-1]:
            self.delivered.add(event["id"])
            self.hear(event)

    @rule(which=ANY)
    @precondition(lambda self: any(self._spare(event) for event in self.undelivered()))
    def a_webhook_is_lost_for_good(self, which: int) -> None:
        """Of what the house asks about by itself; what it cannot know of must be told."""
        event = self.pick(which, [event for event in self.undelivered() if self._spare(event)])
        assert event is not None
        self.delivered.add(event["id"])

    @rule(which=ANY, how=st.sampled_from(["secret", "old", "future"]))
    @precondition(lambda self: self.lies < 6 and self.house.events())
    def a_forger_sends_one(self, which: int, how: str) -> None:
        event = self.pick(which, self.house.events())
        assert event is not None
        raw = msgspec.json.encode({**event, "id": f"evt_forged_{self.lies}"})
        self.lies += 1
        minutes = {"secret": 0, "old": -10, "future": 10}[how]
        header = signed(
            raw, self.now + timedelta(minutes=minutes), **({"secret": "whsec_guessed"} if how == "secret" else {})
        )
        try:
            self.world.run(self.house.payments.receive_webhook(raw, header))
        except WebhookRefused:
            return
        raise AssertionError(f"5: a forged webhook was taken: {how}")

    @rule(which=ANY)
    @precondition(lambda self: self.lies < 6 and self.stripe.objects("checkout.session"))
    def a_webhook_says_what_is_not_so(self, which: int) -> None:
        """Rightly signed, of another time: its body says paid, over its own amount, whatever the Session is now."""
        session = self.pick(which, self.stripe.objects("checkout.session"))
        assert session is not None
        self.lies += 1
        body = {**session, "status": "complete", "payment_status": "paid", "payment_intent": "pi_of_a_lie"}
        self.hear(
            {
                "id": f"evt_untrue_{self.lies}",
                "object": "event",
                "type": "checkout.session.completed",
                "api_version": "2020-08-27",
                "livemode": False,
                "created": int(self.now.timestamp()),
                "data": {"object": body},
            }
        )

    @rule(amount=st.sampled_from([500, 25761]), which=st.one_of(st.none(), ANY))
    @precondition(lambda self: self.by_hand < HELPS_MOST)
    def money_comes_for_nothing_we_know(self, amount: int, which: int | None) -> None:
        """Somebody made a payment page in Stripe's dashboard, and may have written an attempt's id on it."""
        attempts = self.truth.rows(
            "select id from payment_attempt order by session_id is null desc, created_at desc, id desc"
        )
        attempt = None if which is None else self.pick(which, attempts)
        self.by_hand += 1
        request = {
            "mode": "payment",
            "ui_mode": "hosted_page",
            "client_reference_id": f"by-hand-{self.by_hand}" if attempt is None else str(attempt["id"]),
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {"currency": "eur", "unit_amount": amount, "product_data": {"name": "By hand"}},
                }
            ],
            "success_url": NOWHERE,
        }
        answer = self.world.run(self.house.gateway.create_session(request, key=f"by-hand-{self.by_hand}"))
        if answer.body is not None and answer.status == 200:
            self.stripe.pay_at_once(answer.body["id"])

    def _spare(self, event: dict[str, Any]) -> bool:
        """Whether the house finds out without it: of a Session of one of its attempts, or of a refund it made."""
        thing: dict[str, Any] = event["data"]["object"]
        if thing["object"] == "refund":
            return bool(event["type"] != "refund.failed" and thing["status"] != "failed")
        if thing["object"] in TOLD_ONLY:
            return False
        known = {row["session_id"] for row in self.truth.rows("select session_id from payment_attempt")}
        return bool(thing["object"] != "checkout.session" or thing["id"] in known)


class Refunding(Buying):
    """Money given back, and what banks make of it."""

    @rule(which=ANY, percent=PARTS, again=st.booleans(), dies=DIES)
    @precondition(lambda self: self.orders("paid", "cancelling", "cancelled"))
    def the_clerk_refunds(self, which: int, percent: int | None, dies: int | None, *, again: bool = False) -> None:
        """Of the order's total, whatever is left; None takes it back as a whole. *again*: the form is sent twice."""
        order = self.pick(which, self.orders("paid", "cancelling", "cancelled"))
        if order is None:
            return  # nothing could be bought, on a bad day
        wish = self._wish(order, percent)
        ask = functools.partial(self.house.payments.refunds.refund, self.person("staff"), order["number"], wish)
        made = self.do(ask, dies=dies)
        if again and made is not None:
            second = self.do(ask)
            assert second is not None, "7: a form sent twice was refused"
            assert second.id == made.id, "7: a form sent twice was two refunds"

    @rule(
        buyer=BUYERS,
        card=st.sampled_from(["visa", "refund_pending", "refund_fails"]),
        percent=PARTS,
        again=st.booleans(),
        dies=DIES,
    )
    def something_is_bought_and_given_back(
        self, buyer: str, card: str, percent: int | None, dies: int | None, *, again: bool
    ) -> None:
        self.buys_something(buyer, card, returns=True)
        self.the_clerk_refunds(-1, percent, dies, again=again)

    @rule(which=ANY, percent=st.sampled_from([40, 60, 100]), one_form=st.booleans())
    @precondition(lambda self: self.orders("paid"))
    def two_clerks_refund_at_once(self, which: int, percent: int, one_form: bool) -> None:
        """Or one clerk clicks twice: that is one refund."""
        order = self.pick(which, self.orders("paid"))
        assert order is not None
        first = self._wish(order, percent)
        second = first if one_form else self._wish(order, percent)
        made = self.together(
            *(
                functools.partial(self.house.payments.refunds.refund, self.person("staff"), order["number"], wish)
                for wish in (first, second)
            )
        )
        assert not one_form or len({each.id for each in made}) <= 1, "7: a form sent twice was two refunds"

    @rule(which=ANY, dies=DIES)
    @precondition(lambda self: self.truth.rows("select 1 from liability where resolved_at is null"))
    def the_clerk_repays_a_case(self, which: int, dies: int | None) -> None:
        case = self.pick(
            which, self.truth.rows("select id from liability where resolved_at is null order by opened_at")
        )
        assert case is not None
        self.do(
            lambda: self.house.payments.refunds.repay(
                self.person("staff"), case["id"], request_id=uuid.uuid4(), note="Their bank has a new card"
            ),
            dies=dies,
        )

    @rule(which=ANY)
    @precondition(lambda self: any(each["status"] == "succeeded" for each in self.stripe.objects("refund")))
    def the_bank_sends_a_refund_back(self, which: int) -> None:
        sent = [each for each in self.stripe.objects("refund") if each["status"] == "succeeded"]
        refund = self.pick(which, sent)
        assert refund is not None
        self.stripe.fail_refund(refund["id"])

    def _wish(self, order: dict[str, Any], percent: int | None) -> Wish:
        amount = None if percent is None else Money(order["total_minor"] * percent // 100, order["currency"])
        return Wish(
            request_id=uuid.uuid4(),
            reason=RefundReason.DAMAGED,
            note="One arm is loose",
            amount=amount,
            cancels=percent is None,
        )


class Disputing(Base):
    """Money that a buyer's bank takes back."""

    @rule(which=ANY, inquiry=st.booleans())
    @precondition(lambda self: self._disputable())
    def the_bank_disputes(self, which: int, inquiry: bool) -> None:
        charge = self.pick(which, self._disputable())
        assert charge is not None
        self.stripe.dispute(charge["id"], inquiry=inquiry)

    @rule(which=ANY, won=st.booleans())
    @precondition(lambda self: self._undecided())
    def the_bank_decides(self, which: int, won: bool) -> None:
        dispute = self.pick(which, self._undecided())
        assert dispute is not None
        self.stripe.decide_dispute(dispute["id"], won=won)

    def _disputable(self) -> list[dict[str, Any]]:
        """Of our own payments by card: a dispute of any other is parked for a person, and posted nowhere."""
        ours = {each["id"] for each in self.stripe.objects("payment_intent") if each["metadata"].get("attempt_id")}
        return [
            each
            for each in self.stripe.objects("charge")
            if each["paid"]
            and each["payment_intent"] in ours
            and each["payment_method_details"]["type"] == "card"
            and not each["disputed"]
            and not each["amount_refunded"]
        ]

    def _undecided(self) -> list[dict[str, Any]]:
        return [
            each for each in self.stripe.objects("dispute") if each["status"] not in {"won", "lost", "warning_closed"}
        ]


class Losing(Hearing, Refunding):
    """Answers of Stripe's that never arrive: what was asked is done, or is not, and nobody here knows."""

    @rule(buyer=BUYERS, how=LOST, later=LATER, by_hand=st.booleans())
    def a_page_is_made_and_nobody_hears_of_it(self, buyer: str, how: str, later: timedelta, by_hand: bool) -> None:
        """Somebody helps in Stripe's dashboard meanwhile, over an amount of their own."""
        known = {row["id"] for row in self.orders()}
        self.orders_something(buyer, "2")
        self.stripe.add_fault(_fault(how, "POST", path="/v1/checkout/sessions"))
        for order in self.orders("payable"):
            if order["id"] not in known:
                self.do(functools.partial(self.house.payments.start, self.owner(order), order["number"]))
        if by_hand and self.by_hand < HELPS_MOST:
            self.money_comes_for_nothing_we_know(500, 0)
            self.all_webhooks_arrive_the_last_one_first()
        self.pass_time(later)
        self.do(self.house.payments.sweep)

    @rule(
        buyer=BUYERS,
        card=st.sampled_from(["visa", "refund_fails"]),
        how=LOST,
        percent=st.sampled_from([10, None]),
        later=st.sampled_from([timedelta(minutes=3), timedelta(days=1, minutes=1)]),
    )
    def a_refund_is_made_and_nobody_hears_of_it(
        self, buyer: str, card: str, how: str, percent: int | None, later: timedelta
    ) -> None:
        """The bank may have sent it back by the time somebody looks."""
        self.buys_something(buyer, card, returns=True)
        self.stripe.add_fault(_fault(how, "POST", path="/v1/refunds"))
        self.the_clerk_refunds(-1, percent, None)
        self.pass_time(later)
        for _ in range(2):  # a look, then what it came to
            self.do(self.house.payments.sweep)


class Billing(Losing):
    """Orders on terms: released, billed, and paid by transfer, by card, elsewhere, too much, or never."""

    @rule(quantity=st.sampled_from(["1", "2", "10"]), dies=DIES, released=st.booleans())
    def orders_on_terms(self, quantity: str, dies: int | None, released: bool) -> None:
        known = {row["id"] for row in self.orders()}
        acme, looked = self.person("acme"), len(self.shown)
        self.do(lambda: self.house.carts.add(acme, sku="CRUNCHY-ARMCHAIR", quantity=quantity))
        self.do(lambda: self.house.checkouts.choose_paying(acme, WhenPaid.ON_TERMS, locale="en"))
        self.looks_at_the_order("acme", None)
        if len(self.shown) > looked:
            self.accepts(0, dies)
        for order in self.orders("on_terms"):
            if released and order["id"] not in known:
                self._release(order, None)

    @rule(which=ANY, dies=DIES)
    @precondition(lambda self: self.orders("on_terms"))
    def the_clerk_releases(self, which: int, dies: int | None) -> None:
        self._release(self._on_terms(which), dies)

    @rule(which=ANY, dies=DIES)
    @precondition(lambda self: self.orders("on_terms"))
    def an_unreleased_order_is_cancelled(self, which: int, dies: int | None) -> None:
        order = self._on_terms(which)
        self.do(lambda: self.house.payments.invoices.cancel_unreleased(self.owner(order), order["number"]), dies=dies)

    @rule(how=LOST, step=st.sampled_from(["/v1/invoices", "/v1/invoiceitems", "/v1/invoices/in_"]), later=LATER)
    def an_invoice_is_made_and_nobody_hears_of_it(self, how: str, step: str, later: timedelta) -> None:
        self.stripe.add_fault(_fault(how, "POST", path=step))
        self.orders_on_terms("1", None, released=True)
        self.pass_time(later)
        for _ in range(2):  # a look, then what it came to
            self.do(self.house.payments.sweep)

    @rule(which=ANY, percent=st.sampled_from([40, 100, 130]), heard=st.booleans())
    @precondition(lambda self: self._bills())
    def the_buyer_transfers(self, which: int, percent: int, heard: bool) -> None:
        """Some or all of what is due, or too much."""
        bill = self.pick(which, self._bills())
        assert bill is not None
        amount = bill["amount_remaining"] * percent // 100
        self.stripe.transfer(bill["customer"], amount, bill["currency"], bill["number"])
        if heard:
            self.all_webhooks_arrive_the_last_one_first()

    @rule(which=ANY, card=st.sampled_from(["visa", "declined"]))
    @precondition(lambda self: self._bills())
    def the_buyer_pays_an_invoice_by_card(self, which: int, card: str) -> None:
        bill = self.pick(which, self._bills())
        assert bill is not None
        if not bill["amount_paid"]:
            self.stripe.pay_invoice(bill["id"], card)

    @rule(which=ANY, elsewhere=st.booleans(), dies=DIES)
    @precondition(lambda self: self.orders("on_terms"))
    def the_clerk_closes_an_invoice(self, which: int, elsewhere: bool, dies: int | None) -> None:
        """The money came past Stripe, or never will."""
        number, staff, invoices = self._on_terms(which)["number"], self.person("staff"), self.house.payments.invoices
        if elsewhere:
            self.do(lambda: invoices.note_paid_elsewhere(staff, number), dies=dies)
        else:
            self.do(lambda: invoices.write_off(staff, number, reason="Insolvent"), dies=dies)

    def _release(self, order: dict[str, Any], dies: int | None) -> None:
        self.do(lambda: self.house.payments.invoices.release(self.person("staff"), order["number"]), dies=dies)

    def _on_terms(self, which: int) -> dict[str, Any]:
        order = self.pick(which, self.orders("on_terms"))
        assert order is not None
        return order

    def _bills(self) -> list[dict[str, Any]]:
        """Invoices that can be paid at Stripe."""
        return [each for each in self.stripe.objects("invoice") if each["status"] in {"open", "uncollectible"}]


class Time(Base):
    """The clock, the house's own jobs, its deaths, and Stripe's bad days."""

    @rule(span=SPANS)
    def time_passes(self, span: timedelta) -> None:
        self.pass_time(span)

    @rule(dies=DIES)
    def the_house_looks_after_what_it_left(self, dies: int | None) -> None:
        self.do(self.house.payments.sweep, dies=dies)

    @rule(dies=DIES)
    def the_house_starts_again(self, dies: int | None) -> None:
        self.world.restart(dies=dies)

    @rule(
        faults=st.lists(
            st.tuples(
                st.sampled_from(
                    ["429", "500", "409", "500 after", "timeout", "lose_answer", "reset", "garbage", "slow"]
                ),
                st.sampled_from(["POST", "GET", None]),
            ),
            min_size=1,
            max_size=3,
        )
    )
    def stripe_has_a_bad_day(self, faults: list[tuple[str, str | None]]) -> None:
        for kind, method in faults:
            self.stripe.add_fault(_fault(kind, method))


class Life(Paying, Billing, Disputing, Time):
    """Everything that happens."""


def _fault(kind: str, method: str | None, *, path: str = "/v1/") -> Fault:
    if kind[:3].isdigit():
        return Fault("error", method=method, path=path, status=int(kind[:3]), after=kind.endswith("after"))
    if kind == "timeout":
        return Fault("timeout", method=method, path=path, seconds=PATIENCE_SECONDS + 0.1)
    if kind == "slow":
        return Fault("slow", method=method, path=path, seconds=PATIENCE_SECONDS / 10)
    return Fault(kind, method=method, path=path)  # type: ignore[arg-type] # one of the kinds above


assert {card.name for card in TEST_CARDS} >= {"visa", "declined", "3ds", "refund_fails"}
