"""Money that a buyer's bank takes back: counted once beside refunds, reversed once when it is lost."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from accounts.model import Person
from accounts.principal import Principal
from checkout.dispute_model import Dispute, DisputeEvent, DisputeState
from checkout.disputes import DisputeNotAnswerable, DisputeUnknown, Evidence
from checkout.model import CallOutcome, EventOutcome, Liability, Order, Refund, RefundState, StripeCall
from checkout.refunds import NothingToRefund, PaymentDisputed, RefundTooLarge
from checkout.states import State
from kernel.db import for_accounts, for_staff
from kernel.ids import new_id
from kernel.money import Money
from sandbox.stripe_twin.disputes import WINNING
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import House
from tests.checkout.test_invoices import deliver_all, released
from tests.checkout.test_refunds import balances, breaks, paid, pass_time, states, wish

PAID = {"stripe_clearing": 25761, "sales": -20000, "freight": -1290, "tax_payable": -4471}
FEE = {"stripe_clearing": -1500, "dispute_fees": 1500}


@pytest.fixture
async def clerk(house: House) -> Principal:
    """Somebody of finance."""
    person = Person(
        id=new_id(), email="clerk@shop.example", name="The clerk", locale="en", password_hash="-",
        created_at=house.clock.now(),
    )  # fmt: skip
    async with house.database.begin(for_accounts()) as session:
        session.add(person)
    return msgspec.structs.replace(house.staff, person_id=person.id)


def charge(house: House) -> str:
    return str(house.twin.control.objects("charge")[0]["id"])


async def hear(house: House) -> list[EventOutcome | None]:
    """Deliver every event about disputes and refunds that is not here yet, in the order they happened."""
    known = {event.id for event in await house.event_rows()}
    for event in reversed(house.twin.control.objects("event")):
        if event["type"].startswith(("charge.dispute.", "refund.")) and event["id"] not in known:
            await house.deliver(event)
    rows = [event for event in await house.event_rows() if event.type.startswith("charge.dispute.")]
    return [event.outcome for event in sorted(rows, key=lambda event: event.received_at)]


async def disputed(house: House, **how: Any) -> str:
    """The bank disputes the only charge, and we have heard of it; Stripe's id."""
    dispute_id = house.twin.control.dispute(charge(house), **how)
    await hear(house)
    return dispute_id


async def only_dispute(house: House) -> Dispute:
    (found,) = await house.rows(Dispute)
    assert isinstance(found, Dispute)
    return found


def added(*parts: dict[str, int]) -> dict[str, int]:
    """Balances added up; what is zero is left out."""
    accounts = {account for part in parts for account in part}
    sums = {account: sum(part.get(account, 0) for part in parts) for account in accounts}
    return {account: amount for account, amount in sums.items() if amount}


# --- The way it goes ---


async def test_a_dispute_takes_the_money_and_its_fee_and_moves_no_order(house: House) -> None:
    order = await paid(house)

    await disputed(house)

    found = await only_dispute(house)
    assert (found.state, found.amount, found.withdrawn) == (
        DisputeState.OPEN, Money(25761, "EUR"), Money(25761, "EUR"),
    )  # fmt: skip
    assert found.counted_minor == 25761
    assert found.due_by == house.clock.now() + timedelta(days=7)
    held = {"stripe_clearing": -25761, "disputed": 25761}
    assert await balances(house, order) == added(PAID, held, FEE)
    assert (await house.order(order)).state is State.PAID
    assert [event.event for event in await house.orders.history(house.acme, order.number)][-1] == "dispute"
    assert await house.mails() == ["order_received", "order_paid", "dispute_alarm"]
    assert await breaks(house) == []


async def test_dispute_lost_reverses_revenue_once(house: House) -> None:
    order = await paid(house)
    dispute_id = await disputed(house)
    house.twin.control.decide_dispute(dispute_id, won=False)

    await hear(house)
    events = [event for event in house.twin.control.objects("event") if event["type"].startswith("charge.dispute.")]
    for _ in range(2):  # all of them again, in both orders, and the sweep asks besides
        for event in [*events, *reversed(events)]:
            await house.deliver({**event, "id": f"evt_again_{new_id()}"})
    await asyncio.gather(*(house.payments.disputes.hear(dispute_id) for _ in range(4)))

    found = await only_dispute(house)
    assert (found.state, found.goods_minor, found.freight_minor, found.tax_minor, found.excess_minor) == (
        DisputeState.LOST, 20000, 1290, 4471, 0,
    )  # fmt: skip
    assert await balances(house, order) == FEE
    assert [row.event.value for row in await house.rows(DisputeEvent)] == ["heard", "changed", "shared"]
    assert (await house.order(order)).state is State.PAID
    assert await breaks(house) == []


async def test_a_won_dispute_gives_the_money_back_but_not_the_fee(house: House) -> None:
    order = await paid(house)
    dispute_id = await disputed(house)

    house.twin.control.decide_dispute(dispute_id, won=True)
    await hear(house)

    assert (await only_dispute(house)).state is DisputeState.WON
    assert await balances(house, order) == added(PAID, FEE)
    assert await breaks(house) == []


async def test_evidence_that_nobody_sends_in_time_loses_the_dispute(house: House) -> None:
    order = await paid(house, "dispute")
    await pass_time(house, timedelta(minutes=2))
    assert await hear(house) == [EventOutcome.SETTLED, EventOutcome.SETTLED]

    await pass_time(house, timedelta(days=7))
    await house.payments.sweep()  # no event came

    assert (await only_dispute(house)).state is DisputeState.LOST
    assert await balances(house, order) == FEE


async def test_an_inquiry_takes_nothing_and_may_still_be_refunded(house: House, clerk: Principal) -> None:
    order = await paid(house)
    inquiry = await disputed(house, inquiry=True)
    assert (await only_dispute(house)).state is DisputeState.INQUIRY
    assert await balances(house, order) == PAID

    await house.payments.refunds.refund(clerk, order.number, wish())
    house.twin.control.decide_dispute(inquiry, won=False)
    await hear(house)

    assert (await only_dispute(house)).state is DisputeState.CLOSED
    assert await balances(house, order) == {}
    assert await breaks(house) == []


async def test_an_inquiry_that_becomes_a_dispute_is_two_of_one_payment(house: House) -> None:
    order = await paid(house)
    inquiry = await disputed(house, inquiry=True)

    dispute_id = house.twin.control.escalate_inquiry(inquiry)
    await hear(house)
    house.twin.control.decide_dispute(dispute_id, won=False)
    await hear(house)

    assert sorted(row.state.value for row in await house.rows(Dispute)) == ["closed", "lost"]
    assert await balances(house, order) == FEE


# --- Beside refunds ---


async def test_refund_races_with_dispute(house: House, clerk: Principal) -> None:
    order = await paid(house)
    house.twin.control.hold_webhooks()
    dispute_id = house.twin.control.dispute(charge(house))

    answers = await asyncio.gather(
        house.payments.disputes.hear(dispute_id),
        *(house.payments.refunds.refund(clerk, order.number, wish("40.00")) for _ in range(5)),
        return_exceptions=True,
    )

    # Stripe refuses each refund that was written before we heard of the dispute, we refuse those after it
    assert all(isinstance(answer, (tuple, Refund, PaymentDisputed)) for answer in answers), answers
    assert set(await states(house)) <= {RefundState.REFUSED}
    house.twin.control.decide_dispute(dispute_id, won=False)
    await house.payments.disputes.hear(dispute_id)
    assert await balances(house, order) == FEE
    assert (await only_dispute(house)).counted_minor == 25761
    assert await breaks(house) == []


async def test_a_refund_of_a_disputed_payment_says_what_to_do(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await disputed(house)

    with pytest.raises(PaymentDisputed, match="Answer the dispute, or concede it"):
        await house.payments.refunds.refund(clerk, order.number, wish("1.00"))
    assert await house.rows(Refund) == []


async def test_what_a_won_dispute_gave_back_may_be_refunded(house: House, clerk: Principal) -> None:
    order = await paid(house)
    house.twin.control.decide_dispute(await disputed(house), won=True)
    await hear(house)

    # As at Stripe, a charge that was disputed once takes no refund by API
    refund = await house.payments.refunds.refund(clerk, order.number, wish("60.00"))

    assert refund.state is RefundState.REFUSED
    assert await balances(house, order) == added(PAID, FEE)


async def test_a_dispute_fails_the_pending_refund_whose_case_it_settles(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_pending")
    await house.payments.refunds.refund(clerk, order.number, wish("100.00"))
    dispute_id = await disputed(house)

    assert await states(house) == [RefundState.FAILED]
    (case,) = await house.rows(Liability)
    with pytest.raises(PaymentDisputed):
        await house.payments.refunds.repay(clerk, case.id, request_id=new_id(), note="again")
    house.twin.control.decide_dispute(dispute_id, won=False)
    await hear(house)

    (case,) = await house.rows(Liability)
    assert (case.resolution, case.owed) == ("lost dispute", Money(0, "EUR"))
    found = await only_dispute(house)
    assert (found.owed_minor, found.goods_minor + found.freight_minor + found.tax_minor) == (10000, 15761)
    assert await balances(house, order) == FEE
    with pytest.raises(NothingToRefund):
        await house.payments.refunds.repay(clerk, case.id, request_id=new_id(), note="again")
    assert await breaks(house) == []


async def test_a_case_is_open_again_when_its_dispute_is_won(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_pending")
    await house.payments.refunds.refund(clerk, order.number, wish("100.00"))
    dispute_id = await disputed(house)
    house.twin.control.decide_dispute(dispute_id, won=False)
    await hear(house)

    appealed(house, dispute_id)
    await house.payments.disputes.hear(dispute_id)

    (case,) = await house.rows(Liability)
    assert (case.resolved_at, case.owed) == (None, Money(10000, "EUR"))
    assert (await balances(house, order))["customer_liability"] == -10000
    assert (await balances(house, order)).get("disputed") is None
    assert await breaks(house) == []


def appealed(house: House, dispute_id: str) -> None:
    """The bank thinks again, as after an appeal: the twin's own record says won and the money is back."""
    with house.twin.control.store.transaction():
        record = house.twin.control.store.find(dispute_id, "dispute")
        assert record is not None
        record.body["status"] = "won"
        taken = record.body["balance_transactions"][0]
        record.body["balance_transactions"].append({**taken, "amount": -taken["amount"], "fee": 0})
        house.twin.control.store.update(record)


async def test_what_was_given_back_before_is_lost_twice_and_an_alarm(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await house.payments.refunds.refund(clerk, order.number, wish("100.00"))
    dispute_id = await disputed(house)
    house.twin.control.decide_dispute(dispute_id, won=False)
    await hear(house)

    found = await only_dispute(house)
    assert (found.counted_minor, found.excess_minor) == (15761, 10000)
    assert await balances(house, order) == added({"dispute_losses": 10000, "stripe_clearing": -10000}, FEE)
    assert await breaks(house) == ["dispute_beyond_payment"]


async def test_a_lost_part_leaves_the_rest_to_be_refunded(house: House, clerk: Principal) -> None:
    order = await paid(house)
    house.twin.control.decide_dispute(await disputed(house, amount=5761), won=False)
    await hear(house)

    with pytest.raises(RefundTooLarge) as refused:
        await house.payments.refunds.refund(clerk, order.number, wish("200.01"))
    assert refused.value.extra == {"left": "200.00", "currency": "EUR"}


async def test_the_database_refuses_more_than_came_whoever_writes(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await house.payments.refunds.refund(clerk, order.number, wish("100.00"))
    await disputed(house)

    with pytest.raises(sa.exc.IntegrityError, match="exceed what was paid"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(sa.text("update dispute set counted_minor = 15762"))
    with pytest.raises(sa.exc.IntegrityError, match="exceed what was paid"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text(
                    "insert into refund (id, request_id, order_id, company_id, attempt_id, state, amount_minor, "
                    "goods_minor, freight_minor, tax_minor, currency, reason, note, requested_by, requested_at, "
                    "detail) "
                    "select gen_random_uuid(), gen_random_uuid(), order_id, company_id, attempt_id, 'new', 1, 1, 0, 0, "
                    "currency, reason, note, requested_by, requested_at, '' from refund limit 1"
                )
            )
    with pytest.raises(sa.exc.IntegrityError, match="are not what it took"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(sa.text("update dispute set state = 'lost'"))
    with pytest.raises(sa.exc.DatabaseError):
        async with house.database.begin(for_staff()) as session:
            await session.execute(sa.text("update dispute_event set detail = 'nothing'"))


async def test_a_cancelled_order_whose_refund_the_dispute_failed_ends_once_it_is_lost(
    house: House, clerk: Principal
) -> None:
    order = await paid(house, "refund_pending")
    await house.payments.refunds.refund(clerk, order.number, wish(cancels=True))
    dispute_id = await disputed(house)
    assert (await house.order(order)).state is State.CANCELLING

    house.twin.control.decide_dispute(dispute_id, won=False)
    await hear(house)

    assert (await house.order(order)).state is State.CANCELLED
    assert await balances(house, order) == FEE
    assert await house.stock() == (100, 0, 0)


# --- Answers ---


async def test_evidence_is_sent_once_and_the_dispute_won(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await disputed(house)
    found = await only_dispute(house)

    sent = await house.payments.disputes.submit_evidence(
        clerk, found.id, Evidence(customer_name="Acme", uncategorized_text=WINNING)
    )

    assert sent.submissions == 1
    await hear(house)
    file = await house.payments.disputes.open(found.id)
    assert (file.dispute.state, file.answerable) == (DisputeState.WON, False)
    assert await balances(house, order) == added(PAID, FEE)
    (call,) = file.calls
    assert (call.outcome, call.sent_times) == (CallOutcome.DONE, 1)
    assert [row.event.value for row in file.history][:2] == ["heard", "evidence"]
    assert file.history[1].person_id == clerk.person_id
    with pytest.raises(DisputeNotAnswerable):
        await house.payments.disputes.submit_evidence(clerk, found.id, Evidence(uncategorized_text="more"))


async def test_a_conceded_dispute_is_lost_at_once(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await disputed(house)

    conceded = await house.payments.disputes.concede(clerk, (await only_dispute(house)).id)

    assert conceded.state is DisputeState.LOST
    assert await balances(house, order) == FEE


@pytest.mark.parametrize("hours", [0, 24])
async def test_evidence_whose_answer_was_lost_is_not_sent_twice(house: House, clerk: Principal, hours: int) -> None:
    await paid(house)
    await disputed(house)
    found = await only_dispute(house)
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=f"/v1/disputes/{found.stripe_dispute_id}"))

    await house.payments.disputes.submit_evidence(clerk, found.id, Evidence(uncategorized_text="the receipt"))
    house.clock.advance(hours=hours, minutes=5)
    await house.payments.sweep()

    (dispute,) = house.twin.control.objects("dispute")
    assert dispute["evidence_details"]["submission_count"] == 1
    assert (await only_dispute(house)).stripe_status == "under_review"
    assert [call.outcome for call in await calls(house)] == [CallOutcome.DONE]


@pytest.mark.parametrize("hours", [0, 24])
async def test_evidence_that_never_arrived_is_sent_again(house: House, clerk: Principal, hours: int) -> None:
    await paid(house)
    await disputed(house)
    found = await only_dispute(house)
    house.twin.control.add_fault(Fault("reset", method="POST", path=f"/v1/disputes/{found.stripe_dispute_id}"))

    await house.payments.disputes.submit_evidence(clerk, found.id, Evidence(uncategorized_text="the receipt"))
    house.clock.advance(hours=hours, minutes=5)
    await house.payments.sweep()
    house.clock.advance(minutes=5)
    await house.payments.sweep()

    (dispute,) = house.twin.control.objects("dispute")
    assert dispute["evidence_details"]["submission_count"] == 1
    assert (await calls(house))[-1].outcome is CallOutcome.DONE


async def calls(house: House) -> list[StripeCall]:
    return [call for call in await house.calls() if call.dispute_id is not None]


async def test_a_dispute_that_is_not_there_says_so(house: House, clerk: Principal) -> None:
    with pytest.raises(DisputeUnknown):
        await house.payments.disputes.open(new_id())
    with pytest.raises(DisputeUnknown):
        await house.payments.disputes.concede(clerk, new_id())
    assert (await house.payments.disputes.hear("du_nobody"))[0] is EventOutcome.PARKED


# --- What nobody told us ---


async def test_a_dispute_before_its_payment_is_settled_waits(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id)
    dispute_id = house.twin.control.dispute(charge(house))

    with pytest.raises(Exception, match="not settled here yet"):
        await house.payments.disputes.hear(dispute_id)
    await house.payments.returned(house.acme, order.number, session_id)
    await house.payments.disputes.hear(dispute_id)

    assert (await only_dispute(house)).order_id == order.id


async def test_reconciliation_finds_disputes_both_ways(house: House) -> None:
    await paid(house)
    dispute_id = house.twin.control.dispute(charge(house))
    assert await breaks(house) == ["dispute_unrecorded"]

    await house.payments.disputes.hear(dispute_id)
    house.twin.control.decide_dispute(dispute_id, won=True)
    assert await breaks(house) == ["dispute_state_differs"]

    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("update dispute set stripe_dispute_id = 'du_of_nobody'"))
    assert await breaks(house) == ["dispute_unknown_to_stripe", "dispute_unrecorded"]


async def test_books_that_contradict_a_dispute_are_found(house: House) -> None:
    await paid(house)
    await disputed(house)

    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("update dispute set withdrawn_minor = 1"))
    assert set(await breaks(house)) >= {"disputed_differs"}


async def test_a_buyer_sees_no_dispute_of_another_company(house: House, order_of_acme: Order) -> None:
    await disputed(house)

    async with house.database.begin(house.globex.db_scope()) as session:
        assert (await session.scalars(sa.select(Dispute))).all() == []
    async with house.database.begin(house.acme.db_scope()) as session:
        assert len((await session.scalars(sa.select(Dispute))).all()) == 1
    assert order_of_acme.state is State.PAID


@pytest.fixture
async def order_of_acme(house: House) -> Order:
    return await paid(house)


# --- Invoices ---


async def test_a_disputed_payment_of_an_invoice_is_its_orders(house: House) -> None:
    order, invoice = await released(house)
    assert house.twin.control.pay_invoice(str(invoice.stripe_invoice_id)).outcome == "paid"
    await deliver_all(house)

    dispute_id = await disputed(house)
    found = await only_dispute(house)
    assert (found.order_id, found.counted_minor) == (order.id, order.total_minor)
    house.twin.control.decide_dispute(dispute_id, won=False)
    await hear(house)

    assert await balances(house, order) == FEE
    assert [each for each in await breaks(house) if "dispute" in each] == []
