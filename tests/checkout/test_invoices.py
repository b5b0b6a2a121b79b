"""Invoices of orders on terms: made once whatever breaks, paid in parts, twice, elsewhere, or never."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.model import Person
from accounts.principal import Principal
from checkout.credit import CreditControl
from checkout.invoicing import InvoiceNotOpen, NotReleasable
from checkout.model import (
    Account,
    AttemptState,
    CallStep,
    EventOutcome,
    LedgerPosting,
    Liability,
    LiabilityReason,
    Order,
    StockReservation,
)
from checkout.reconciliation import Break
from checkout.states import State
from checkout.terms_model import CashMovement, Invoice, InvoiceReceipt, InvoiceState, ReceiptKind
from kernel.db import for_accounts, for_company, for_staff
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.money import Money
from sandbox.stripe_twin import Fault
from tests.checkout.conftest import House
from tests.checkout.test_credit import euros, give, shown_on_terms

TOTAL = 25761
_BY_HAND = Failpoint("test.invoice_by_hand", call=True)
_ANY = Failpoint("test.invoice_item_by_hand", call=True)


async def clerk(house: House) -> Principal:
    """Somebody at the desk."""
    person = Person(
        id=new_id(),
        email=f"{new_id()}@meridian.example",
        name="The clerk",
        locale="en",
        password_hash="-",
        created_at=house.clock.now(),
    )
    async with house.database.begin(for_accounts()) as session:
        session.add(person)
    return Principal(kind=house.staff.kind, visitor_id=new_id(), person_id=person.id, staff_role=house.staff.staff_role)


async def on_terms(house: House, limit: str = "5000.00") -> Order:
    """An order of 257.61 EUR on terms, not released."""
    await give(house, limit)
    return await house.accept(house.acme, await shown_on_terms(house))


async def released(house: House) -> tuple[Order, Invoice]:
    order = await on_terms(house)
    invoice = await house.payments.invoices.release(await clerk(house), order.number)
    assert invoice.state is InvoiceState.OPEN, invoice.detail
    return order, invoice


async def postings(house: House) -> dict[Account, int]:
    """What each account holds, without those that hold nothing."""
    sums: dict[Account, int] = {}
    for posting in await house.rows(LedgerPosting):
        sums[posting.account] = sums.get(posting.account, 0) + posting.amount_minor
    assert sum(sums.values()) == 0
    return {account: amount for account, amount in sums.items() if amount}


async def only_invoice(house: House) -> Invoice:
    (invoice,) = await house.rows(Invoice)
    assert isinstance(invoice, Invoice)
    return invoice


async def breaks(house: House) -> list[Break]:
    found = await house.payments.reconcile(since=house.clock.now() - timedelta(days=90))
    return [each for each in found if each.kind != "event_unhandled"]


async def deliver_all(house: House, *beginnings: str) -> None:
    for event in house.events():
        if event["type"].startswith(beginnings or ("invoice", "customer_cash", "cash_balance", "credit_note")):
            await house.deliver(event)


async def test_release_sells_the_goods_and_sends_the_invoice(house: House) -> None:
    order, invoice = await released(house)

    assert await house.stock() == (98, 0, 2)
    assert {row.state.value for row in await house.rows(StockReservation)} == {"sold"}
    assert await postings(house) == {
        Account.ACCOUNTS_RECEIVABLE: TOTAL,
        Account.SALES: -20000,
        Account.FREIGHT: -1290,
        Account.TAX_PAYABLE: -4471,
    }
    (seen,) = house.twin.control.objects("invoice")
    assert (seen["status"], seen["total"]) == ("open", TOTAL)
    assert seen["custom_fields"] == [{"name": "PO number", "value": "PO-7"}]
    assert seen["metadata"]["order_number"] == order.number
    assert invoice.number == seen["number"]
    assert invoice.due_at is not None
    assert invoice.due_at.timestamp() == seen["due_date"] == seen["status_transitions"]["finalized_at"] + 30 * 86400
    assert invoice.hosted_url == seen["hosted_invoice_url"]
    assert [call.step for call in await house.calls()] == [
        CallStep.CREATE_INVOICE,
        CallStep.ADD_INVOICE_ITEM,
        CallStep.FINALIZE_INVOICE,
        CallStep.SEND_INVOICE,
    ]
    assert [event["type"] for event in house.events("invoice.sent")] == ["invoice.sent"]
    assert await house.mails() == ["order_received_on_terms", "invoice_sent"]
    again = await house.payments.invoices.release(await clerk(house), order.number)
    assert again.id == invoice.id
    assert len(house.twin.control.objects("invoice")) == 1
    assert await breaks(house) == []


async def test_only_an_order_on_terms_is_released(house: House) -> None:
    order = await house.place()
    with pytest.raises(NotReleasable):
        await house.payments.invoices.release(await clerk(house), order.number)


async def test_an_invoice_paid_by_card_settles_its_order_once(house: House) -> None:
    order, invoice = await released(house)
    assert house.twin.control.pay_invoice(str(invoice.stripe_invoice_id)).outcome == "paid"
    await deliver_all(house)
    await deliver_all(house)

    order = await house.order(order)
    assert order.state is State.PAID
    assert order.paid_at is not None
    paid = await only_invoice(house)
    assert (paid.state, paid.due, paid.paid_minor) == (InvoiceState.PAID, euros("0.00"), TOTAL)
    (receipt,) = await house.rows(InvoiceReceipt)
    assert (receipt.kind, receipt.amount_minor) == (ReceiptKind.STRIPE, TOTAL)
    assert await postings(house) == {
        Account.STRIPE_CLEARING: TOTAL,
        Account.SALES: -20000,
        Account.FREIGHT: -1290,
        Account.TAX_PAYABLE: -4471,
    }
    assert [attempt.state for attempt in await house.attempts()] == [AttemptState.SUCCEEDED]
    assert (await house.mails())[-1] == "invoice_paid"
    company, _ = await CreditControl(house.database, house.clock).find("acme")
    assert company.credit is not None
    assert company.credit.used == euros("0.00")
    assert await breaks(house) == []


async def test_bank_transfer_underpaid_then_topped_up(house: House) -> None:
    order, invoice = await released(house)
    customer = str(invoice.stripe_customer_id)
    house.twin.control.transfer(customer, 20000)
    await deliver_all(house)
    part = await only_invoice(house)
    assert (part.state, part.due) == (InvoiceState.OPEN, euros("57.61"))
    assert (await house.order(order)).state is State.ON_TERMS
    assert (await postings(house))[Account.ACCOUNTS_RECEIVABLE] == 5761
    company, _ = await CreditControl(house.database, house.clock).find("acme")
    assert company.credit is not None
    assert company.credit.used == euros("57.61")

    house.twin.control.transfer(customer, 5761)
    for event in reversed(house.events()):
        if event["type"].startswith(("invoice", "customer_cash")):
            await house.deliver(event)

    assert (await house.order(order)).state is State.PAID
    receipts = sorted(await house.rows(InvoiceReceipt), key=lambda receipt: -receipt.amount_minor)
    assert [(each.kind, each.amount_minor) for each in receipts] == [
        (ReceiptKind.BANK_TRANSFER, 20000),
        (ReceiptKind.BANK_TRANSFER, 5761),
    ]
    held = await postings(house)
    assert held[Account.STRIPE_CLEARING] == TOTAL
    assert Account.CUSTOMER_CASH not in held
    assert Account.ACCOUNTS_RECEIVABLE not in held
    assert await breaks(house) == []


async def test_bank_transfer_overpaid_leaves_cash_balance(house: House) -> None:
    order, invoice = await released(house)
    house.twin.control.transfer(str(invoice.stripe_customer_id), 30000)
    await deliver_all(house)

    assert (await house.order(order)).state is State.PAID
    held = await postings(house)
    assert held[Account.STRIPE_CLEARING] == 30000
    assert held[Account.CUSTOMER_CASH] == TOTAL - 30000
    assert sum(moved.net_minor for moved in await house.rows(CashMovement)) == 30000 - TOTAL
    assert await house.rows(Liability) == []
    assert await breaks(house) == []


async def test_a_transfer_heard_of_by_two_workers_at_once_counts_once(house: House) -> None:
    order, invoice = await released(house)
    house.twin.control.transfer(str(invoice.stripe_customer_id), 20000)
    await asyncio.gather(
        *(house.payments.invoices.settle(invoice.id) for _ in range(4)),
        *(house.payments.invoices.hear_of_cash(str(invoice.stripe_customer_id)) for _ in range(4)),
    )
    assert len(await house.rows(InvoiceReceipt)) == 1
    assert (await only_invoice(house)).paid_minor == 20000
    assert (await house.order(order)).state is State.ON_TERMS
    assert await breaks(house) == []


async def test_invoice_paid_out_of_band_and_by_card_is_double_payment_alarm(house: House) -> None:
    order, invoice = await released(house)
    at_stripe = str(invoice.stripe_invoice_id)
    assert house.twin.control.pay_invoice(at_stripe, "3ds", authentication="wait").outcome == "requires_action"
    noted = await house.payments.invoices.note_paid_elsewhere(await clerk(house), order.number)
    assert noted.state is InvoiceState.PAID
    assert (await house.order(order)).state is State.PAID
    assert (await postings(house))[Account.BANK] == TOTAL

    house.twin.control.authenticate_invoice(at_stripe, passed=True)
    await deliver_all(house)
    await deliver_all(house)

    (case,) = await house.rows(Liability)
    assert (case.reason, case.amount_minor) == (LiabilityReason.PAID_TWICE, TOTAL)
    assert (await house.order(order)).state is State.PAID
    held = await postings(house)
    assert held[Account.CUSTOMER_LIABILITY] == -TOTAL
    assert held[Account.STRIPE_CLEARING] == TOTAL
    assert await breaks(house) == []


async def test_a_payment_page_made_by_hand_that_names_an_invoices_attempt_is_money_of_no_order(house: House) -> None:
    _, invoice = await released(house)
    line = {"currency": "eur", "unit_amount": 500, "product_data": {"name": "By hand"}}
    request = {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "client_reference_id": str(invoice.attempt_id),
        "line_items": [{"quantity": 1, "price_data": line}],
        "success_url": "https://shop.example/orders/none",
    }
    made = await house.gateway.create_session(request, key="by-hand")
    assert made.body is not None
    assert house.twin.control.pay_at_once(made.body["id"]).outcome == "paid"

    await deliver_all(house, "checkout.session")

    (case,) = await house.rows(Liability)
    assert (case.reason, case.owed, case.order_id) == (LiabilityReason.UNKNOWN_ORDER, euros("5.00"), None)
    assert (await only_invoice(house)).state is InvoiceState.OPEN


async def test_an_invoice_of_another_total_never_settles(house: House) -> None:
    """As if somebody had put another line on the draft in Stripe's dashboard."""
    order = await on_terms(house)
    house.twin.control.add_fault(Fault("reset", method="POST", path="/v1/invoices/in_"))
    desk = await clerk(house)
    making = await house.payments.invoices.release(desk, order.number)
    assert making.state is InvoiceState.MAKING
    asked = {"invoice": making.stripe_invoice_id, "customer": making.stripe_customer_id, "amount": 100}
    answer = await house.gateway.write(
        _ANY, lambda v1: v1.invoice_items.create_async(asked, {"idempotency_key": "by hand"})
    )
    assert answer.status == 200
    await house.payments.invoices.go_on(making.id)
    unfit = await only_invoice(house)
    assert unfit.state is InvoiceState.UNFIT

    house.twin.control.pay_invoice(str(unfit.stripe_invoice_id))
    await deliver_all(house)
    assert (await house.order(order)).state is State.ON_TERMS
    (case,) = await house.rows(Liability)
    assert (case.reason, case.amount_minor) == (LiabilityReason.AMOUNT_DIFFERS, TOTAL + 100)
    assert (await only_invoice(house)).paid_minor == 0


@pytest.mark.parametrize("kind", ["lose_answer", "reset"])
@pytest.mark.parametrize("path", ["/v1/customers", "/v1/invoices", "/v1/invoiceitems", "/v1/invoices/in_"])
@pytest.mark.parametrize("hours", [0, 25])
async def test_an_answer_that_never_came_is_sent_again_or_looked_up(
    house: House, kind: str, path: str, hours: int
) -> None:
    order = await on_terms(house)
    house.twin.control.add_fault(Fault(kind, method="POST", path=path))  # type: ignore[arg-type]  # of the parameters
    made = await house.payments.invoices.release(await clerk(house), order.number)
    assert made.state is InvoiceState.MAKING
    house.clock.advance(seconds=hours * 3600 + 120)
    await house.payments.recover()
    await house.payments.recover()

    made = await only_invoice(house)
    assert made.state is InvoiceState.OPEN, made.detail
    (seen,) = house.twin.control.objects("invoice")
    assert (seen["total"], len(seen["lines"]["data"])) == (TOTAL, 1)
    assert await breaks(house) == []


async def test_a_saved_500_is_looked_up_not_sent_again(house: House) -> None:
    order = await on_terms(house)
    house.twin.control.add_fault(Fault("error", method="POST", path="/v1/invoices", status=500, after=True))
    await house.payments.invoices.release(await clerk(house), order.number)
    await house.payments.recover()
    assert (await only_invoice(house)).state is InvoiceState.OPEN
    assert len(house.twin.control.objects("invoice")) == 1


async def test_events_of_an_invoice_that_is_being_made_are_no_surprise(house: House) -> None:
    order = await on_terms(house)
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/invoices"))
    await house.payments.invoices.release(await clerk(house), order.number)
    await deliver_all(house)
    assert {event.outcome for event in await house.event_rows()} == {EventOutcome.NOTHING_TO_DO}


async def test_an_order_cancelled_before_its_release_frees_goods_and_credit(house: House) -> None:
    order = await on_terms(house, "300.00")
    await house.payments.invoices.cancel_unreleased(house.acme, order.number)
    assert (await house.order(order)).state is State.CANCELLED
    assert await house.stock() == (100, 0, 0)
    assert (await house.mails())[-1] == "order_cancelled"
    assert (await house.accept(house.acme, await shown_on_terms(house))).state is State.ON_TERMS
    assert await breaks(house) == []


async def test_what_is_written_off_is_a_loss_and_what_comes_after_it_a_case(house: House) -> None:
    order, invoice = await released(house)
    await house.payments.invoices.write_off(await clerk(house), order.number, reason="insolvent")
    assert (await house.order(order)).state is State.WRITTEN_OFF
    (seen,) = house.twin.control.objects("invoice")
    assert seen["status"] == "uncollectible"
    assert (await postings(house))[Account.BAD_DEBT] == TOTAL
    with pytest.raises(InvoiceNotOpen):
        await house.payments.invoices.write_off(await clerk(house), order.number, reason="again")
    assert await breaks(house) == []

    house.twin.control.pay_invoice(str(invoice.stripe_invoice_id))
    await deliver_all(house)
    (case,) = await house.rows(Liability)
    assert case.reason is LiabilityReason.ORDER_CLOSED
    assert (await house.order(order)).state is State.WRITTEN_OFF


async def test_who_is_late_is_reminded_once_a_week(house: House) -> None:
    await released(house)
    await house.payments.invoices.remind()
    assert (await house.mails()).count("invoice_overdue") == 0
    house.clock.advance(seconds=31 * 86400)
    await house.payments.invoices.remind()
    await house.payments.invoices.remind()
    assert (await house.mails()).count("invoice_overdue") == 1
    house.clock.advance(seconds=8 * 86400)
    await house.payments.invoices.remind()
    assert (await house.mails()).count("invoice_overdue") == 2


async def test_the_database_refuses_more_on_an_invoice_than_it_is_over(house: House) -> None:
    await released(house)
    for column in ("paid_minor", "credited_minor"):
        with pytest.raises(sa.exc.IntegrityError, match="ck_invoice_not_exceeded"):
            async with house.database.begin(for_staff()) as session:
                await session.execute(sa.text(f"update invoice set {column} = amount_minor + 1"))


async def test_an_invoice_of_another_company_is_not_seen(house: House) -> None:
    await released(house)
    assert house.globex.company_id is not None
    async with house.database.begin(for_company(house.globex.company_id)) as session:
        assert (await session.scalars(sa.select(Invoice))).all() == []
    assert await house.payments.invoices.of_company(house.globex) == []
    ((mine, number),) = await house.payments.invoices.of_company(house.acme)
    assert (mine.amount, number[:2]) == (Money.parse("257.61", "EUR"), "T-")


async def test_reconciliation_finds_what_stripe_and_we_say_otherwise_of_invoices(house: House) -> None:
    order, invoice = await released(house)
    house.twin.control.pay_invoice(str(invoice.stripe_invoice_id))
    assert [(each.kind, each.reference) for each in await breaks(house)] == [("invoice_state_differs", order.number)]
    await house.payments.invoices.settle(invoice.id)
    assert await breaks(house) == []
    asked = {"customer": invoice.stripe_customer_id, "collection_method": "send_invoice", "days_until_due": 5}
    await house.gateway.write(_BY_HAND, lambda v1: v1.invoices.create_async(asked, {"idempotency_key": "by hand"}))
    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("update invoice set stripe_invoice_id = 'in_unknown', id = id"))
        await session.execute(sa.text("update invoice set paid_minor = 1, state = 'open'"))
    kinds = {each.kind for each in await breaks(house)}
    assert {"invoice_not_ours", "invoice_receipts_differ", "receivable_differs", "invoice_state_differs"} <= kinds
