"""Money given back: never more than came, never twice, and owed again when the bank sends it back."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from accounts.model import Person
from accounts.principal import Principal
from checkout.model import (
    Account,
    CallOutcome,
    EventOutcome,
    LedgerPosting,
    Liability,
    LiabilityReason,
    Order,
    Refund,
    RefundReason,
    RefundState,
    StripeCall,
)
from checkout.orders import OrderUnknown
from checkout.refunds import LiabilityUnknown, NothingToRefund, RefundTooLarge, Wish
from checkout.states import State
from kernel.db import for_accounts, for_staff
from kernel.ids import new_id
from kernel.money import Money
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import House

REFUNDS = "/v1/refunds"


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


def wish(amount: str | None = None, *, cancels: bool = False, request_id: uuid.UUID | None = None) -> Wish:
    return Wish(
        request_id=request_id or new_id(),
        reason=RefundReason.DAMAGED,
        note="One arm is loose",
        amount=None if amount is None else Money.parse(amount, "EUR"),
        cancels=cancels,
    )


async def paid(house: House, card: str = "visa") -> Order:
    """An order of 257.61 EUR (goods 200.00, freight 12.90, tax 44.71) that is paid here too."""
    order = await house.place()
    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id, card).outcome == "paid"
    return await house.payments.returned(house.acme, order.number, session_id)


async def balances(house: House, order: Order) -> dict[str, int]:
    """Of every account, over all entries of the order; what is zero is left out."""
    found: dict[str, int] = {}
    for posting in await house.rows(LedgerPosting):
        if posting.order_id == order.id:
            found[posting.account.value] = found.get(posting.account.value, 0) + posting.amount_minor
    return {account: amount for account, amount in found.items() if amount}


async def states(house: House) -> list[RefundState]:
    return [refund.state for refund in sorted(await house.rows(Refund), key=lambda refund: refund.requested_at)]


async def breaks(house: House) -> list[str]:
    found = await house.payments.reconcile(since=house.clock.now() - timedelta(days=40))
    return [each.kind for each in found]


def at_stripe(house: House) -> list[tuple[int, str]]:
    """Amount and status of Stripe's refunds, oldest first."""
    return [(row["amount"], row["status"]) for row in reversed(house.twin.control.objects("refund"))]


async def hear_of_refunds(house: House) -> list[EventOutcome | None]:
    """Deliver every event about refunds that is not here yet."""
    known = {event.id for event in await house.event_rows()}
    for event in reversed(house.twin.control.objects("event")):
        if event["type"].startswith("refund.") and event["id"] not in known:
            await house.deliver(event)
    rows = [event for event in await house.event_rows() if event.type.startswith("refund.")]
    return [event.outcome for event in sorted(rows, key=lambda event: event.received_at)]


async def pass_time(house: House, by: timedelta) -> None:
    """For the house and for Stripe."""
    house.clock.advance(seconds=by.total_seconds())
    house.twin.control.let_time_pass()


# --- The way it goes ---


async def test_a_part_is_given_back_and_taken_from_goods_freight_and_tax(house: House, clerk: Principal) -> None:
    order = await paid(house)

    refund = await house.payments.refunds.refund(clerk, order.number, wish("100.00"))

    assert (refund.state, refund.amount) == (RefundState.SUCCEEDED, Money(10000, "EUR"))
    assert refund.goods_minor + refund.freight_minor + refund.tax_minor == 10000
    assert (refund.goods_minor, refund.freight_minor, refund.tax_minor) == (7764, 501, 1735)
    assert at_stripe(house) == [(10000, "succeeded")]
    assert await balances(house, order) == {
        "stripe_clearing": 15761,
        "sales": -20000 + 7764,
        "freight": -1290 + 501,
        "tax_payable": -4471 + 1735,
    }
    assert (await house.order(order)).state is State.PAID
    assert await house.mails() == ["order_received", "order_paid", "refund_sent"]
    assert [event.event for event in await house.orders.history(house.acme, order.number)][-1] == "refund"
    assert await house.stock() == (98, 0, 2)
    assert await breaks(house) == []


async def test_partial_refund_then_full_never_exceeds_capture(house: House, clerk: Principal) -> None:
    order = await paid(house)
    refunds = house.payments.refunds
    await refunds.refund(clerk, order.number, wish("100.00"))

    with pytest.raises(RefundTooLarge) as refused:
        await refunds.refund(clerk, order.number, wish("157.62"))
    assert refused.value.extra == {"left": "157.61", "currency": "EUR"}
    await refunds.refund(clerk, order.number, wish())

    assert await balances(house, order) == {}
    assert at_stripe(house) == [(10000, "succeeded"), (15761, "succeeded")]
    with pytest.raises(NothingToRefund):
        await refunds.refund(clerk, order.number, wish("0.01"))
    assert await breaks(house) == []


@pytest.mark.parametrize("amount", ["0", "-1.00", "257.62"])
async def test_an_amount_that_is_not_there_is_refused(house: House, clerk: Principal, amount: str) -> None:
    order = await paid(house)

    with pytest.raises(RefundTooLarge):
        await house.payments.refunds.refund(clerk, order.number, wish(amount))
    assert at_stripe(house) == []
    assert await house.rows(Refund) == []


async def test_another_currency_is_refused(house: House, clerk: Principal) -> None:
    order = await paid(house)
    dollars = msgspec.structs.replace(wish(), amount=Money(100, "USD"))

    with pytest.raises(RefundTooLarge):
        await house.payments.refunds.refund(clerk, order.number, dollars)


async def test_an_unpaid_order_gives_nothing_back(house: House, clerk: Principal) -> None:
    order = await house.place()

    with pytest.raises(NothingToRefund, match="payable"):
        await house.payments.refunds.refund(clerk, order.number, wish())
    with pytest.raises(OrderUnknown):
        await house.payments.refunds.refund(clerk, "T-2026-999999", wish())


async def test_ten_clerks_give_the_last_cent_back_once(house: House, clerk: Principal) -> None:
    order = await paid(house)
    refunds = house.payments.refunds

    answers = await asyncio.gather(
        *(refunds.refund(clerk, order.number, wish("60.00")) for _ in range(10)), return_exceptions=True
    )

    assert sum(isinstance(answer, Refund) for answer in answers) == 4
    assert sum(isinstance(answer, RefundTooLarge) for answer in answers) == 6
    assert at_stripe(house) == [(6000, "succeeded")] * 4
    assert await breaks(house) == []


async def test_a_form_sent_twice_is_one_refund(house: House, clerk: Principal) -> None:
    order = await paid(house)
    form = new_id()

    first, second = await asyncio.gather(
        *(house.payments.refunds.refund(clerk, order.number, wish("10.00", request_id=form)) for _ in range(2))
    )

    assert first.id == second.id
    assert at_stripe(house) == [(1000, "succeeded")]


async def test_the_database_refuses_more_than_was_paid_whoever_writes(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await house.payments.refunds.refund(clerk, order.number, wish("200.00"))

    with pytest.raises(sa.exc.IntegrityError, match="exceed what was paid"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text(
                    "insert into refund select gen_random_uuid(), gen_random_uuid(), order_id, company_id, attempt_id, "
                    "liability_id, 'new', 5762, 5762, 0, 0, currency, reason, note, requested_by, requested_at, "
                    "null, '', null from refund"
                )
            )


async def test_another_company_sees_no_refund_of_this_one(house: House, clerk: Principal) -> None:
    order = await paid(house)
    await house.payments.refunds.refund(clerk, order.number, wish("1.00"))

    assert [each.amount_minor for each in await house.payments.refunds.of_order(house.acme, order.number)] == [100]
    with pytest.raises(OrderUnknown):
        await house.payments.refunds.of_order(house.globex, order.number)
    for principal, seen in ((house.acme, 1), (house.globex, 0)):
        async with house.database.begin(principal.db_scope()) as session:
            assert len((await session.scalars(sa.select(Refund))).all()) == seen


# --- The bank takes its time, or sends it back ---


async def test_a_pending_refund_is_owed_until_it_is_paid_out(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_pending")

    refund = await house.payments.refunds.refund(clerk, order.number, wish())
    assert refund.state is RefundState.PENDING
    assert await balances(house, order) == {"stripe_clearing": 25761, "customer_liability": -25761}
    assert "refund_sent" not in await house.mails()
    assert await breaks(house) == []

    await pass_time(house, timedelta(minutes=3))
    await house.payments.sweep()

    assert await states(house) == [RefundState.SUCCEEDED]
    assert await balances(house, order) == {}
    assert (await house.mails())[-1] == "refund_sent"
    assert set(await hear_of_refunds(house)) == {EventOutcome.SETTLED}
    assert await balances(house, order) == {}
    assert (await house.mails()).count("refund_sent") == 1


async def test_refund_failed_later_reopens_liability(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_fails")
    await house.payments.refunds.refund(clerk, order.number, wish("100.00"))
    assert await balances(house, order) == {
        "stripe_clearing": 15761, "sales": -12236, "freight": -789, "tax_payable": -2736,
    }  # fmt: skip

    await pass_time(house, timedelta(minutes=3))
    assert set(await hear_of_refunds(house)) == {EventOutcome.SETTLED}

    assert await states(house) == [RefundState.FAILED]
    (case,) = await house.rows(Liability)
    assert (case.reason, case.amount_minor, case.resolved_at) == (LiabilityReason.REFUND_FAILED, 10000, None)
    assert "lost_or_stolen_card" in case.detail
    assert (await balances(house, order))["customer_liability"] == -10000
    assert await breaks(house) == []
    # What is owed is not left: the order itself has 157.61 to give back
    with pytest.raises(RefundTooLarge):
        await house.payments.refunds.refund(clerk, order.number, wish("157.62"))

    again = await house.payments.refunds.repay(clerk, case.id, request_id=new_id(), note="Their bank has a new card")
    assert again.state is RefundState.SUCCEEDED
    (case,) = await house.rows(Liability)
    assert (case.resolution, case.resolved_by) == ("refunded", clerk.person_id)
    assert "customer_liability" not in await balances(house, order)

    # The same card: it comes back once more, and the same case is open again
    await pass_time(house, timedelta(minutes=3))
    await hear_of_refunds(house)
    (case,) = await house.rows(Liability)
    assert (case.resolved_at, case.resolution) == (None, "")
    assert (await balances(house, order))["customer_liability"] == -10000
    assert await breaks(house) == []


async def test_late_and_repeated_news_change_nothing(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_fails")
    await house.payments.refunds.refund(clerk, order.number, wish())
    await pass_time(house, timedelta(minutes=3))
    await hear_of_refunds(house)
    before = await balances(house, order)
    history = len(await house.orders.history(house.acme, order.number))

    refund_id = (await house.rows(Refund))[0].id
    for event in house.twin.control.objects("event"):
        if event["type"].startswith("refund."):
            await house.payments.refunds.hear(str(event["data"]["object"]["id"]))
    await house.payments.refunds.go_on(refund_id)

    assert await balances(house, order) == before
    assert len(await house.orders.history(house.acme, order.number)) == history
    assert len(await house.rows(Liability)) == 1


# --- Money that fits no order ---


async def test_money_paid_for_a_closed_order_goes_back_whole(house: House, clerk: Principal) -> None:
    order, case = await paid_too_late(house)
    refunds = house.payments.refunds

    refund = await refunds.repay(clerk, case.id, request_id=new_id(), note="Came after the order had lapsed")

    assert (refund.state, refund.amount_minor, refund.goods_minor) == (RefundState.SUCCEEDED, 25761, 0)
    assert await balances(house, order) == {}
    (closed,) = await house.rows(Liability)
    assert (closed.resolution, closed.resolved_by) == ("refunded", clerk.person_id)
    with pytest.raises(NothingToRefund):
        await refunds.repay(clerk, case.id, request_id=new_id(), note="again")
    with pytest.raises(NothingToRefund):
        await refunds.refund(clerk, order.number, wish())
    with pytest.raises(LiabilityUnknown):
        await refunds.repay(clerk, new_id(), request_id=new_id(), note="nothing")
    assert await breaks(house) == []


async def test_five_clerks_repay_a_case_once(house: House, clerk: Principal) -> None:
    _, case = await paid_too_late(house)

    answers = await asyncio.gather(
        *(house.payments.refunds.repay(clerk, case.id, request_id=new_id(), note="once") for _ in range(5)),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, Refund) for answer in answers) == 1
    assert at_stripe(house) == [(25761, "succeeded")]


async def paid_too_late(house: House) -> tuple[Order, Any]:
    """An order that lapsed while its page was open elsewhere, and the money that came for it."""
    order = await house.place()
    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id).outcome == "paid"
    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("update customer_order set state = 'lapsed', closed_at = placed_at"))
        await session.execute(sa.text("update stock_reservation set state = 'returned'"))
        await session.execute(sa.text("update stock set on_hand = on_hand + reserved, reserved = 0"))
    await house.payments.settle(order.id, [session_id])
    (case,) = await house.rows(Liability)
    assert case.reason is LiabilityReason.ORDER_CLOSED
    return order, case


# --- Cancelling what is paid ---


async def test_a_paid_order_is_cancelled_and_its_goods_return_once_the_money_has_gone(
    house: House, clerk: Principal
) -> None:
    order = await paid(house, "refund_pending")
    await house.payments.refunds.refund(clerk, order.number, wish("57.61"))

    await house.payments.refunds.refund(clerk, order.number, wish(cancels=True))
    assert (await house.order(order)).state is State.CANCELLING
    assert await house.stock() == (98, 0, 2)
    assert await breaks(house) == []

    await pass_time(house, timedelta(minutes=3))
    await house.payments.sweep()
    await house.payments.sweep()

    cancelled = await house.order(order)
    assert (cancelled.state, cancelled.closed_at) == (State.CANCELLED, house.clock.now())
    assert await house.stock() == (100, 0, 0)
    assert (await house.mails())[-1] == "order_refunded_whole"
    assert await balances(house, order) == {}
    assert await breaks(house) == []


async def test_a_cancellation_waits_for_money_that_came_back(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_pending")
    refund = await house.payments.refunds.refund(clerk, order.number, wish(cancels=True))
    house.twin.control.fail_refund(str(refund.stripe_refund_id))
    await hear_of_refunds(house)

    assert (await house.order(order)).state is State.CANCELLING
    assert [event.event for event in await house.orders.history(house.acme, order.number)][-1] == "refund_failed"
    (case,) = await house.rows(Liability)
    await house.payments.refunds.repay(clerk, case.id, request_id=new_id(), note="another way")
    await pass_time(house, timedelta(minutes=3))
    await house.payments.sweep()

    assert (await house.order(order)).state is State.CANCELLED
    assert await house.stock() == (100, 0, 0)
    assert await breaks(house) == []


async def test_only_a_paid_order_is_cancelled_with_a_refund(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_pending")
    await house.payments.refunds.refund(clerk, order.number, wish("1.00", cancels=True))

    with pytest.raises(NothingToRefund):
        await house.payments.refunds.refund(clerk, order.number, wish(cancels=True))


# --- Stripe answers badly ---


async def test_a_lost_answer_and_a_retry_make_one_refund(house: House, clerk: Principal) -> None:
    order = await paid(house)
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=REFUNDS))

    refund = await house.payments.refunds.refund(clerk, order.number, wish("10.00"))
    assert refund.state is RefundState.UNCERTAIN
    assert await breaks(house) == ["refunded_but_unrecorded"]
    house.clock.advance(minutes=3)
    await house.payments.sweep()

    assert await states(house) == [RefundState.SUCCEEDED]
    assert at_stripe(house) == [(1000, "succeeded")]
    assert await breaks(house) == []


@pytest.mark.parametrize("status", [429, 500])
async def test_stripe_500_or_429_leaves_the_refund_to_the_sweep(house: House, clerk: Principal, status: int) -> None:
    order = await paid(house)
    house.twin.control.add_fault(Fault("error", method="POST", path=REFUNDS, status=status))

    refund = await house.payments.refunds.refund(clerk, order.number, wish("10.00"))
    assert refund.state in {RefundState.NEW, RefundState.UNCERTAIN}
    for _ in range(2):  # after a saved 500 the first sweep looks, the second asks anew
        house.clock.advance(minutes=3)
        await house.payments.sweep()

    assert await states(house) == [RefundState.SUCCEEDED]
    assert at_stripe(house) == [(1000, "succeeded")]


async def test_after_24_hours_a_refund_is_looked_up_by_our_reference(house: House, clerk: Principal) -> None:
    order = await paid(house)
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=REFUNDS))
    await house.payments.refunds.refund(clerk, order.number, wish("10.00"))
    house.clock.advance(hours=25)

    await house.payments.sweep()

    assert await states(house) == [RefundState.SUCCEEDED]
    assert at_stripe(house) == [(1000, "succeeded")]
    assert len([call for call in await house.calls() if call.refund_id is not None]) == 1


async def test_the_webhook_may_come_before_the_answer(house: House, clerk: Principal) -> None:
    order = await paid(house)
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=REFUNDS))
    await house.payments.refunds.refund(clerk, order.number, wish("10.00"))

    assert await hear_of_refunds(house) == [EventOutcome.SETTLED]
    house.clock.advance(minutes=3)
    await house.payments.sweep()

    assert await states(house) == [RefundState.SUCCEEDED]
    assert at_stripe(house) == [(1000, "succeeded")]


async def test_what_stripe_refuses_stands_as_if_it_was_never_asked(house: House, clerk: Principal) -> None:
    order = await paid(house)
    before = await balances(house, order)
    house.twin.control.add_fault(Fault("error", method="POST", path=REFUNDS, status=400))

    refund = await house.payments.refunds.refund(clerk, order.number, wish("10.00"))

    assert refund.state is RefundState.REFUSED
    assert await balances(house, order) == before
    (call,) = [call for call in await house.calls() if call.refund_id == refund.id]
    assert (call.outcome, call.answer_status) == (CallOutcome.REFUSED, 400)
    again = await house.payments.refunds.refund(clerk, order.number, wish())
    assert (again.state, again.amount_minor) == (RefundState.SUCCEEDED, 25761)
    assert await breaks(house) == []


async def test_a_refund_made_at_stripes_dashboard_is_parked_and_reported(house: House) -> None:
    await paid(house)
    (charge,) = house.twin.control.objects("charge")
    request = {"payment_intent": charge["payment_intent"], "amount": 500}
    await house.gateway.create_refund(request, key="by-hand")

    assert await hear_of_refunds(house) == [EventOutcome.PARKED]

    assert set(await breaks(house)) == {"event_parked", "refund_not_ours"}
    assert await house.rows(Refund) == []
    assert [call for call in await house.rows(StripeCall) if call.refund_id is not None] == []


async def test_reconciliation_finds_a_refund_that_failed_without_a_word(house: House, clerk: Principal) -> None:
    order = await paid(house, "refund_fails")
    await house.payments.refunds.refund(clerk, order.number, wish("10.00"))
    await pass_time(house, timedelta(minutes=3))

    assert await breaks(house) == ["refund_state_differs"]
    owed = [row for row in await house.rows(LedgerPosting) if row.account is Account.CUSTOMER_LIABILITY]
    assert sum(row.amount_minor for row in owed) == 0


async def test_what_was_sent_to_stripe_long_after_it_was_asked_for_is_still_ours(
    house: House, clerk: Principal
) -> None:
    order = await paid(house)
    house.twin.control.add_fault(Fault("error", method="POST", path=REFUNDS, status=429))
    await house.payments.refunds.refund(clerk, order.number, wish("10.00"))
    house.clock.advance(hours=5)
    await house.payments.sweep()
    assert await states(house) == [RefundState.SUCCEEDED]

    found = await house.payments.reconcile(since=house.clock.now() - timedelta(hours=1))

    assert found == ()
