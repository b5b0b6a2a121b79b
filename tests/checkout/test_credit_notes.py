"""Credit notes: less to pay, or paid back; never twice and never more than the invoice."""

import asyncio

import pytest
import sqlalchemy as sa

from checkout.credit_notes import CreditTooLarge, CreditWish, NothingToCredit
from checkout.model import Account
from checkout.states import State
from checkout.terms_model import CreditNote, CreditNoteState, CreditSettles, InvoiceState
from kernel.db import for_staff
from kernel.ids import new_id
from sandbox.stripe_twin import Fault
from tests.checkout.conftest import House
from tests.checkout.test_credit import euros
from tests.checkout.test_invoices import TOTAL, breaks, clerk, deliver_all, on_terms, only_invoice, postings, released


def wish(amount: str | None = None) -> CreditWish:
    return CreditWish(request_id=new_id(), note="One arm is loose", amount=None if amount is None else euros(amount))


async def test_a_credit_note_lessens_what_is_due_and_the_rest_settles_the_order(house: House) -> None:
    order, invoice = await released(house)
    desk, asked = await clerk(house), wish("57.61")
    note = await house.payments.credit_notes.credit(desk, order.number, asked)
    again = await house.payments.credit_notes.credit(desk, order.number, asked)

    assert (note.id, note.state, note.settles) == (again.id, CreditNoteState.ISSUED, CreditSettles.DUE)
    assert note.number == "TWIN-0001-CN-01"
    assert len(house.twin.control.objects("credit_note")) == 1
    assert (await only_invoice(house)).due == euros("200.00")
    assert (await postings(house))[Account.ACCOUNTS_RECEIVABLE] == 20000
    assert (await house.mails())[-1] == "credit_note_issued"
    assert await breaks(house) == []

    house.twin.control.pay_invoice(str(invoice.stripe_invoice_id))
    await deliver_all(house)
    assert (await house.order(order)).state is State.PAID
    assert (await only_invoice(house)).state is InvoiceState.PAID
    assert Account.ACCOUNTS_RECEIVABLE not in await postings(house)
    assert await breaks(house) == []


async def test_a_released_order_is_cancelled_by_a_note_over_all_of_it(house: House) -> None:
    order, _ = await released(house)
    note = await house.payments.credit_notes.credit(await clerk(house), order.number, wish())
    assert (note.amount_minor, note.state) == (TOTAL, CreditNoteState.ISSUED)
    assert (await house.order(order)).state is State.CANCELLED
    assert await house.stock() == (100, 0, 0)
    assert await postings(house) == {}
    (seen,) = house.twin.control.objects("invoice")
    assert (seen["status"], seen["amount_remaining"]) == ("paid", 0)
    await deliver_all(house)
    assert (await house.order(order)).state is State.CANCELLED
    assert await breaks(house) == []


async def test_what_was_paid_is_paid_back_by_the_house(house: House) -> None:
    order, invoice = await released(house)
    house.twin.control.pay_invoice(str(invoice.stripe_invoice_id))
    await deliver_all(house)
    desk = await clerk(house)
    note = await house.payments.credit_notes.credit(desk, order.number, wish("57.61"))
    assert note.settles is CreditSettles.OUT_OF_BAND
    assert (await postings(house))[Account.BANK] == -5761
    assert (await house.order(order)).state is State.PAID
    await house.payments.credit_notes.credit(desk, order.number, wish())
    assert (await house.order(order)).state is State.CANCELLED
    assert await house.stock() == (100, 0, 0)
    held = await postings(house)
    assert held == {Account.STRIPE_CLEARING: TOTAL, Account.BANK: -TOTAL}
    assert await breaks(house) == []


async def test_more_than_the_invoice_is_never_credited(house: House) -> None:
    order, _ = await released(house)
    desk, notes = await clerk(house), house.payments.credit_notes
    for amount in ("257.62", "257.61", "0.00"):
        with pytest.raises(CreditTooLarge):
            await notes.credit(desk, order.number, wish(amount))
    outcomes = await asyncio.gather(
        *(notes.credit(desk, order.number, wish("100.00")) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(outcome, CreditNote) for outcome in outcomes) == 2
    assert sum(isinstance(outcome, CreditTooLarge) for outcome in outcomes) == 4
    assert (await only_invoice(house)).due == euros("57.61")
    with pytest.raises(sa.exc.IntegrityError, match="exceed"):
        async with house.database.begin(for_staff()) as session:
            await session.execute(
                sa.text("update credit_note set amount_minor = 30000, goods_minor = 30000 - freight_minor - tax_minor")
            )
    assert await breaks(house) == []


async def test_nothing_is_credited_without_an_invoice_or_of_one_paid_in_part(house: House) -> None:
    order = await on_terms(house)
    desk = await clerk(house)
    with pytest.raises(NothingToCredit):
        await house.payments.credit_notes.credit(desk, order.number, wish())
    invoice = await house.payments.invoices.release(desk, order.number)
    house.twin.control.transfer(str(invoice.stripe_customer_id), 20000)
    await deliver_all(house)
    with pytest.raises(NothingToCredit, match="Credit what is due first"):
        await house.payments.credit_notes.credit(desk, order.number, wish())
    await house.payments.credit_notes.credit(desk, order.number, wish("57.61"))
    assert (await house.order(order)).state is State.PAID
    assert await breaks(house) == []


@pytest.mark.parametrize("hours", [0, 25])
async def test_a_note_whose_answer_never_came_is_made_once(house: House, hours: int) -> None:
    order, _ = await released(house)
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/credit_notes"))
    note = await house.payments.credit_notes.credit(await clerk(house), order.number, wish("57.61"))
    assert note.state is CreditNoteState.UNCERTAIN
    house.clock.advance(seconds=hours * 3600 + 120)
    await house.payments.recover()
    (note,) = await house.rows(CreditNote)
    assert note.state is CreditNoteState.ISSUED
    assert len(house.twin.control.objects("credit_note")) == 1
    assert await breaks(house) == []


async def test_a_note_that_stripe_refuses_is_undone(house: House) -> None:
    order, _ = await released(house)
    house.twin.control.add_fault(Fault("error", method="POST", path="/v1/credit_notes", status=400))
    note = await house.payments.credit_notes.credit(await clerk(house), order.number, wish("57.61"))
    assert note.state is CreditNoteState.REFUSED
    assert (await only_invoice(house)).due == euros("257.61")
    assert (await postings(house))[Account.ACCOUNTS_RECEIVABLE] == TOTAL
    assert await breaks(house) == []
