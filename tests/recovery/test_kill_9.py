"""kill -9 of the shop at every failpoint of checkout: no order is paid but unrecorded, none recorded but unpaid."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from sandbox.stripe_twin import Fault
from sandbox.stripe_twin.disputes import WINNING
from sandbox.stripe_twin.faults import FaultKind
from tests.recovery.conftest import Journey, World
from tests.recovery.driver import ASKER, Refused
from tests.recovery.pages import Pages

COMMIT = ("before_commit", "after_commit")
CALL = ("before_call", "after_call")


def buy_and_pay(journey: Journey) -> str:
    """A first card is declined; the webhooks and the returning buyer settle the order."""
    number = place(journey)
    journey.do("pay", number=number)
    session = journey.session()
    assert journey.twin.control.pay_at_once(session, "declined").outcome == "declined"
    assert journey.twin.control.pay_at_once(session, "visa").outcome == "paid"
    journey.deliver_webhooks()
    journey.do("come_back", number=number, session_id=session)
    return "paid"


def buy_on_the_pages(journey: Journey) -> str:
    """The same at a browser, whose forms are sent again."""
    with Pages(journey) as pages:
        pages.log_in_with_a_cart()
        pages.say_where_to()
        assert pages.accept().startswith(journey.twin.base_url)
        session = journey.session()
        assert journey.twin.control.pay_at_once(session).outcome == "paid"
        [order] = journey.orders()
        pages.come_back(order["number"], session)
        assert "Your payment arrived on" in pages.read_order(order["number"])
    journey.deliver_webhooks()
    return "paid"


def pay_and_come_back_before_the_webhook(journey: Journey) -> str:
    number = place(journey)
    journey.do("pay", number=number)
    session = journey.session()
    journey.twin.control.pay_at_once(session, "3ds", authentication="pass")
    assert journey.do("come_back", number=number, session_id=session) == "paid"
    journey.deliver_webhooks()
    return "paid"


def cancel_before_paying(journey: Journey) -> str:
    number = place(journey)
    journey.do("pay", number=number)
    cancel(journey, number)
    journey.deliver_webhooks()
    return "cancelled"


def cancel_while_stripe_is_paid(journey: Journey) -> str:
    """The payment wins: it came before Stripe was asked to close."""
    number = place(journey)
    journey.do("pay", number=number)
    journey.twin.control.pay_at_once(journey.session())
    cancel(journey, number)
    journey.deliver_webhooks()
    return "paid"


def let_it_lapse(journey: Journey) -> str:
    """Each payment page lives for a day; the order waits three, and its last page is open when they are over."""
    number = place(journey)
    journey.pass_time(timedelta(days=2, hours=12))
    journey.log_in()
    journey.do("pay", number=number)
    journey.pass_time(timedelta(hours=12, minutes=1))
    journey.ask("sweep")
    journey.deliver_webhooks()
    return "lapsed"


def lose_the_answer_and_try_at_once(journey: Journey) -> str:
    """The same request under the same key: Stripe answers with the Session that is there."""
    number = place(journey)
    lose_the_answer(journey, number)
    journey.do("pay", number=number)
    return settle_by_webhook(journey)


def lose_the_answer_and_try_after_the_key_is_forgotten(journey: Journey) -> str:
    """Nothing may be sent again, so the Session is looked up by our reference."""
    number = place(journey)
    lose_the_answer(journey, number)
    journey.pass_time(timedelta(hours=23, minutes=30))
    journey.log_in()
    journey.do("pay", number=number)
    return settle_by_webhook(journey)


def pay_by_debit(journey: Journey) -> str:
    """The bank takes a week, and its word comes by webhook."""
    number = place(journey)
    journey.do("pay", number=number)
    assert journey.twin.control.pay_at_once(journey.session(), "sepa").outcome == "processing"
    assert journey.do("come_back", number=number, session_id=journey.session()) == "processing"
    journey.deliver_webhooks()
    journey.pass_time(timedelta(days=7))
    journey.deliver_webhooks()
    return "paid"


def capture_a_held_amount(journey: Journey) -> str:
    """Large orders are held on the card; the clerk's second click finds what the first one did."""
    number = hold(journey)
    try:
        assert journey.ask("capture", number=number) == "paid"
    except Refused as refused:
        if refused.problem != "nothing-held" or not journey.deaths:
            raise
    journey.deliver_webhooks()
    return "paid"


def cancel_a_held_amount(journey: Journey) -> str:
    cancel(journey, hold(journey))
    journey.deliver_webhooks()
    return "cancelled"


def first_payment_of_a_company(journey: Journey) -> str:
    """Stripe has no Customer of the company yet."""
    journey.truth.rows(
        "update stripe_customer set stripe_customer_id = null, made_at = null, "
        "idempotency_key = 'tarifa-' || gen_random_uuid() || '-customer-1' returning company_id"
    )
    number = place(journey)
    journey.do("pay", number=number)
    return settle_by_webhook(journey)


def pay_with_a_kept_card(journey: Journey) -> str:
    """The payment page that is open is closed first. A charge of which nobody knows waits for the clerk."""
    keep_a_card(journey)
    number = place(journey)
    journey.do("pay", number=number)
    try:
        assert journey.do("pay_with_card", number=number) == "paid"
    except Refused as refused:
        if not journey.deaths:
            raise
        if refused.problem == "payment-uncertain":
            journey.ask("give_up", number=number)
            assert journey.do("pay_with_card", number=number) == "paid"
        elif refused.problem != "order-not-payable":  # recovery found it paid
            raise
    journey.deliver_webhooks()
    return "paid"


def lose_the_charges_answer(journey: Journey) -> str:
    """The charge was made: it is found at Stripe, and not made again."""
    keep_a_card(journey)
    number = place(journey)
    journey.do("pay", number=number)
    leave_uncertain(journey, number, "lose_answer")
    journey.pass_time(timedelta(minutes=3))
    journey.ask("sweep")
    journey.deliver_webhooks()
    return "paid"


def say_that_a_card_was_not_charged(journey: Journey) -> str:
    """The charge never reached Stripe; the clerk makes sure, and the order is paid on the page."""
    keep_a_card(journey)
    number = place(journey)
    leave_uncertain(journey, number, "reset")
    try:
        journey.ask("give_up", number=number)
    except Refused as refused:
        if refused.problem != "charge-not-open" or not journey.deaths:
            raise
    journey.do("pay", number=number)
    return settle_by_webhook(journey)


def remove_a_kept_card(journey: Journey) -> str:
    """Here at once, at Stripe soon; the next order is paid as if there had been none."""
    method = keep_a_card(journey)
    journey.log_in()
    journey.do("remove_card", payment_method=method)
    journey.ask("sweep")
    assert (
        next(each["customer"] for each in journey.twin.control.objects("payment_method") if each["id"] == method)
        is None
    )
    number = place(journey)
    journey.do("pay", number=number)
    return settle_by_webhook(journey)


def refund_a_part_and_then_all(journey: Journey) -> str:
    """The clerk gives a part back, then the order is taken back as a whole."""
    number = buy(journey)
    assert journey.ask("refund", number=number, request_id=uuid.uuid4(), amount="1.00") == "succeeded"
    cancelling = uuid.uuid4()
    assert journey.ask("refund", number=number, request_id=cancelling, amount=None) == "succeeded"
    journey.deliver_webhooks()
    return "cancelled"


def refund_comes_back_and_is_paid_again(journey: Journey) -> str:
    """The bank returns the money a minute after it was sent; the second time it takes a minute to arrive."""
    number = buy(journey, "refund_fails")
    assert journey.ask("refund", number=number, request_id=uuid.uuid4(), amount="1.00") == "succeeded"
    journey.pass_time(timedelta(minutes=2))
    journey.deliver_webhooks()
    journey.ask("repay", number=number, request_id=uuid.uuid4())
    journey.deliver_webhooks()
    return "paid"


def refund_waits_for_the_bank(journey: Journey) -> str:
    number = buy(journey, "refund_pending")
    assert journey.ask("refund", number=number, request_id=uuid.uuid4(), amount=None) == "pending"
    journey.pass_time(timedelta(minutes=3))
    journey.ask("sweep")
    journey.deliver_webhooks()
    return "cancelled"


def lose_the_refunds_answer_until_the_key_is_forgotten(journey: Journey) -> str:
    """Nothing may be sent again, so the refund is looked up among the payment's."""
    number = buy(journey)
    journey.twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/refunds"))
    with journey.immortal():
        assert journey.ask("refund", number=number, request_id=uuid.uuid4(), amount=None) == "uncertain"
    journey.pass_time(timedelta(hours=23, minutes=30))
    journey.ask("sweep")
    journey.deliver_webhooks()
    return "cancelled"


def dispute_is_answered_and_won(journey: Journey) -> str:
    """The bank disputes a payment and decides for us as soon as it has read what the clerk sends."""
    dispute(journey, buy(journey))
    answer(journey, WINNING)
    journey.deliver_webhooks()
    return "paid"


def dispute_is_conceded(journey: Journey) -> str:
    """The bank disputes what a refund was about to give back: it is given back once."""
    number = buy(journey, "refund_pending")
    with journey.immortal():
        assert journey.ask("refund", number=number, request_id=uuid.uuid4(), amount="1.00") == "pending"
    dispute(journey, number)
    answer(journey, None)
    journey.deliver_webhooks()
    assert journey.ask("reconcile") == []
    return "paid"


def dispute(journey: Journey, number: str) -> None:
    """The bank disputes what was paid for the order, and Stripe says so."""
    charges = journey.twin.control.objects("charge")
    of_order = [charge["id"] for charge in charges if charge["metadata"]["order_number"] == number]
    journey.twin.control.dispute(of_order[0])
    journey.deliver_webhooks()


def answer(journey: Journey, evidence: str | None) -> None:
    """The second click, after a death, may find that recovery has sent what the first one wrote."""
    try:
        journey.ask("answer_dispute", evidence=evidence)
    except (Refused, AssertionError):
        if not journey.deaths:
            raise


def ask_be_refused_ask_again_and_be_approved(journey: Journey) -> str:
    """Somebody who may not sign fills the cart, somebody else orders."""
    journey.do("add", sku="NIMBLE-BOLT", quantity="100")
    journey.log_in(ASKER)
    journey.do("join")
    journey.do("details")
    journey.ask("reject", request_id=journey.do("ask_for_approval"))
    request = journey.do("ask_for_approval")
    presentation = journey.ask("open_approval", request_id=request)
    number = journey.ask("approve", request_id=request, presentation=presentation)
    journey.do("pay", number=number)
    return settle_by_webhook(journey)


def sign_with_the_seller(journey: Journey) -> str:
    """Sent, taken back, sent again; the buyer signs, and the seller's signature makes the order."""
    journey.do("add", sku="NIMBLE-BOLT", quantity="100")
    journey.log_in()
    journey.do("join")
    journey.do("details")
    with journey.immortal():
        journey.ask("countersign_above", amount="0.00")
    journey.do("take_back", package_id=journey.do("send_package"))
    package = journey.do("send_package")
    assert journey.do("sign_package", package_id=package) == ""
    number = journey.ask("counter_sign", package_id=package)
    with journey.immortal():
        journey.ask("countersign_above", amount=None)
    journey.do("pay", number=number)
    return settle_by_webhook(journey)


def buy(journey: Journey, card: str = "visa") -> str:
    """Ordered and paid, before the shop may die."""
    with journey.immortal():
        number = place(journey)
        journey.do("pay", number=number)
        session = journey.session()
        assert journey.twin.control.pay_at_once(session, card).outcome == "paid"
        journey.do("come_back", number=number, session_id=session)
    return number


def keep_a_card(journey: Journey) -> str:
    """An order before this journey was paid with a card that Stripe keeps; returns what Stripe calls it."""
    with journey.immortal():
        number = place(journey)
        journey.do("pay", number=number)
        session = journey.session()
        journey.twin.control.pay_at_once(session, save=True)
        journey.do("come_back", number=number, session_id=session)
        journey.deliver_webhooks()
        journey.forget()
        journey.twin.control.hold_webhooks()
    [method, *_] = journey.twin.control.objects("payment_method")
    return str(method["id"])


def leave_uncertain(journey: Journey, number: str, fault: FaultKind) -> None:
    """The charge is sent, nobody hears its answer, and Stripe can't be asked for a moment."""
    journey.twin.control.add_fault(Fault(fault, method="POST", path="/v1/payment_intents"))
    journey.twin.control.add_fault(Fault("reset", method="GET", path="/v1/payment_intents"))
    with journey.immortal(), pytest.raises(Refused, match="payment-uncertain"):
        journey.do("pay_with_card", number=number)


def hold(journey: Journey) -> str:
    """An order so large that its amount is held on the card, before the shop may die."""
    with journey.immortal():
        number = place(journey, sku="CRUNCHY-ARMCHAIR", quantity="2")
        journey.do("pay", number=number)
        assert journey.twin.control.pay_at_once(journey.session()).outcome == "authorized"
        assert journey.do("come_back", number=number, session_id=journey.session()) == "authorised"
    return number


def place(journey: Journey, sku: str = "NIMBLE-BOLT", quantity: str = "100") -> str:
    """A guest fills a cart, which goes along at log-in."""
    journey.do("add", sku=sku, quantity=quantity)
    journey.log_in()
    journey.do("join")
    journey.do("details")
    number = journey.do("place", presentation=journey.do("review"))
    assert isinstance(number, str)
    return number


def cancel(journey: Journey, number: str) -> None:
    """The second click, after a death, may find that recovery has finished what the first one began."""
    try:
        journey.do("cancel", number=number)
    except Refused as refused:
        if refused.problem != "order-not-cancellable" or not journey.deaths:
            raise


def lose_the_answer(journey: Journey, number: str) -> None:
    journey.twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/checkout/sessions"))
    with journey.immortal(), pytest.raises(Refused, match="payment-unavailable"):
        journey.do("pay", number=number)


def settle_by_webhook(journey: Journey) -> str:
    assert journey.twin.control.pay_at_once(journey.session()).outcome == "paid"
    journey.deliver_webhooks()
    return "paid"


def points(moments: tuple[str, str], *names: str) -> tuple[str, ...]:
    return tuple(f"checkout.{name}:{moment}" for name in names for moment in moments)


# Each journey with the points at which it has to be killed: one it does not come by fails the test
JOURNEYS: dict[Callable[[Journey], str], tuple[str, ...]] = {
    buy_and_pay: (
        *points(COMMIT, "cart.change", "cart.join", "start", "save_details", "review", "place"),
        *points(COMMIT, "payment.start", "payment.resend", "payment.answer"),
        *points(CALL, "stripe.create_session", "stripe.retrieve_session"),
        *points(COMMIT, "webhook.receive", "payment.settle", "webhook.handled"),
    ),
    buy_on_the_pages: (
        *points(COMMIT, "cart.change", "save_details", "review", "place", "payment.answer", "payment.settle"),
        *points(CALL, "stripe.create_session"),
    ),
    pay_and_come_back_before_the_webhook: (
        *points(CALL, "stripe.retrieve_session"),
        *points(COMMIT, "payment.settle"),
    ),
    cancel_before_paying: (
        *points(COMMIT, "close.begin", "close.expire", "close.answer", "payment.settle"),
        *points(CALL, "stripe.expire_session"),
    ),
    cancel_while_stripe_is_paid: (
        *points(COMMIT, "close.begin", "payment.settle"),
        *points(CALL, "stripe.expire_session"),
    ),
    let_it_lapse: (*points(COMMIT, "close.begin"), *points(CALL, "stripe.expire_session")),
    lose_the_answer_and_try_at_once: (
        *points(COMMIT, "payment.resend", "payment.answer"),
        *points(CALL, "stripe.create_session"),
    ),
    lose_the_answer_and_try_after_the_key_is_forgotten: (
        *points(COMMIT, "payment.looked_up"),
        *points(CALL, "stripe.list_sessions"),
    ),
    pay_by_debit: points(COMMIT, "payment.settle"),
    capture_a_held_amount: (*points(COMMIT, "hold.write", "hold.answer"), *points(CALL, "stripe.capture_intent")),
    cancel_a_held_amount: points(CALL, "stripe.cancel_intent"),
    first_payment_of_a_company: (
        *points(COMMIT, "customer.begin", "customer.answer"),
        *points(CALL, "stripe.create_customer"),
    ),
    pay_with_a_kept_card: (
        *points(COMMIT, "charge.begin", "charge.send", "charge.answer"),
        *points(CALL, "stripe.charge_card", "stripe.retrieve_intent"),
    ),
    lose_the_charges_answer: (*points(COMMIT, "charge.looked_up"), *points(CALL, "stripe.list_intents")),
    say_that_a_card_was_not_charged: points(COMMIT, "charge.given_up"),
    remove_a_kept_card: (*points(COMMIT, "card.remove", "card.detached"), *points(CALL, "stripe.detach_card")),
    refund_a_part_and_then_all: (
        *points(COMMIT, "refund.begin", "refund.resend", "refund.answer"),
        *points(CALL, "stripe.create_refund"),
    ),
    refund_comes_back_and_is_paid_again: (
        *points(COMMIT, "refund.settle"),
        *points(CALL, "stripe.retrieve_refund"),
    ),
    refund_waits_for_the_bank: (*points(COMMIT, "refund.settle"), *points(CALL, "stripe.retrieve_refund")),
    sign_with_the_seller: (*points(COMMIT, "package.send", "package.close", "package.sign", "package.countersign"),),
    ask_be_refused_ask_again_and_be_approved: (
        *points(COMMIT, "approval.send", "approval.close", "approval.open", "approval.place"),
    ),
    lose_the_refunds_answer_until_the_key_is_forgotten: (
        *points(COMMIT, "refund.settle"),
        *points(CALL, "stripe.list_refunds"),
    ),
    dispute_is_answered_and_won: (
        *points(COMMIT, "dispute.settle", "dispute.begin", "dispute.resend", "dispute.answer"),
        *points(CALL, "stripe.retrieve_dispute", "stripe.update_dispute"),
    ),
    dispute_is_conceded: (
        *points(COMMIT, "dispute.settle"),
        *points(CALL, "stripe.close_dispute", "stripe.list_disputes"),
    ),
}


TAXED = (*points(CALL, "stripe.calculate_tax"), *points(COMMIT, "tax.calculated"))
"""Come by where Stripe calculates the tax: test_stripe_tax.py."""


@pytest.mark.slow
@pytest.mark.parametrize("walk", JOURNEYS, ids=lambda walk: walk.__name__)
def test_nobody_dies_and_every_journey_ends_where_it_should(walk: Callable[[Journey], str], world: World) -> None:
    with world.journey() as journey:
        journey.begin(failpoint="")

        ending = walk(journey)

        assert [order["state"] for order in journey.orders()] == [ending]
        journey.truth.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("walk", "failpoint"),
    [
        pytest.param(walk, failpoint, id=f"{walk.__name__}-{failpoint.removeprefix('checkout.')}")
        for walk, reached in JOURNEYS.items()
        for failpoint in reached
    ],
)
def test_killed_anywhere_the_shop_comes_back_with_stripes_truth_and_one_order(
    walk: Callable[[Journey], str], failpoint: str, world: World
) -> None:
    with world.journey() as journey:
        journey.begin(failpoint)

        ending = walk(journey)

        assert journey.deaths == 1, f"{failpoint} was never reached"
        assert [order["state"] for order in journey.orders()] == [ending]
        assert len(journey.sessions()) == 1
        assert journey.truth.rows("select * from payment_attempt where state in ('new', 'uncertain', 'live')") == []
        journey.truth.check()
