"""Invoices of the twin: made in steps, paid by card, by transfer in parts, out of band, twice, or never."""

from typing import Any, Literal

import httpx
import pytest
import stripe

from sandbox.stripe_twin import RunningTwin

DAY = 24 * 60 * 60


def draft(client: stripe.StripeClient, amount: int = 25761, **more: Any) -> tuple[str, str]:
    """A customer and a draft with an item."""
    customer = client.v1.customers.create({"name": "Acme S.L.", "email": "buyer@acme.example"})
    request = {
        "customer": customer.id,
        "collection_method": "send_invoice",
        "days_until_due": 30,
        "currency": "eur",
        "custom_fields": [{"name": "PO number", "value": "PO-7"}],
        "payment_settings": {
            "payment_method_types": ["card", "customer_balance"],
            "payment_method_options": {
                "customer_balance": {
                    "funding_type": "bank_transfer",
                    "bank_transfer": {"type": "eu_bank_transfer", "eu_bank_transfer": {"country": "ES"}},
                }
            },
        },
        **more,
    }
    invoice = client.v1.invoices.create(request)  # type: ignore[arg-type]  # a plain dict
    assert (invoice.status, invoice.total) == ("draft", 0)
    client.v1.invoice_items.create(
        {"customer": customer.id, "invoice": invoice.id, "amount": amount, "currency": "eur", "description": "Order"}
    )
    return customer.id, str(invoice.id)


def sent(client: stripe.StripeClient, amount: int = 25761) -> tuple[str, str]:
    customer, invoice = draft(client, amount)
    client.v1.invoices.finalize_invoice(invoice)
    client.v1.invoices.send_invoice(invoice)
    return customer, invoice


def shown(client: stripe.StripeClient, invoice: str) -> tuple[str | None, int, int, int]:
    """Status, paid, remaining, overpaid."""
    found = client.v1.invoices.retrieve(invoice)
    return found.status, found.amount_paid, found.amount_remaining, found.amount_overpaid


def balance(client: stripe.StripeClient, customer: str) -> int:
    available = client.v1.customers.cash_balance.retrieve(customer).available
    assert available is not None
    return int(available["eur"])


def kinds(twin: RunningTwin, beginning: str = "invoice.") -> list[str]:
    events = [event["type"] for event in reversed(twin.control.objects("event"))]
    return [kind for kind in events if kind.startswith(beginning) and kind != "invoice.updated"]


def test_an_invoice_is_made_in_steps_and_is_due_after_its_days(client: stripe.StripeClient, twin: RunningTwin) -> None:
    _, invoice = sent(client)
    found = client.v1.invoices.retrieve(invoice)
    assert (found.status, found.total, found.amount_due) == ("open", 25761, 25761)
    assert found.number == "TWIN-0001"
    assert (found.due_date or 0) == (found.status_transitions.finalized_at or 0) + 30 * DAY
    assert not hasattr(found, "payment_intent")
    (payment,) = client.v1.invoice_payments.list({"invoice": invoice}).data
    assert (payment.status, payment.amount_requested, payment.payment.type) == ("open", 25761, "payment_intent")
    assert kinds(twin) == ["invoice.created", "invoice.finalized", "invoice.sent"]
    with pytest.raises(stripe.InvalidRequestError, match="no longer editable"):
        client.v1.invoice_items.create({"customer": str(found.customer), "invoice": invoice, "amount": 1})

    twin.control.shift_clock(31 * DAY)
    assert kinds(twin)[-1] == "invoice.overdue"
    assert kinds(twin).count("invoice.overdue") == 1


def test_the_hosted_page_takes_a_card(client: stripe.StripeClient, twin: RunningTwin) -> None:
    _, invoice = sent(client)
    address = str(client.v1.invoices.retrieve(invoice).hosted_invoice_url)
    page = httpx.get(address)
    assert page.status_code == 200
    assert "PO-7" in page.text
    typed = {"number": "4242424242424242", "expiry": "12 / 34", "cvc": "123", "name": "Test", "email": "b@acme.example"}
    declined = httpx.post(address, data={**typed, "number": "4000000000000002"})
    assert declined.status_code == 402
    assert shown(client, invoice) == ("open", 0, 25761, 0)
    assert httpx.post(address, data=typed).status_code == 200

    assert shown(client, invoice) == ("paid", 25761, 0, 0)
    assert kinds(twin)[-3:] == ["invoice.payment_failed", "invoice.paid", "invoice.payment_succeeded"]
    (payment,) = client.v1.invoice_payments.list({"invoice": invoice}).data
    assert (payment.status, payment.amount_paid) == ("paid", 25761)


def test_a_transfer_pays_a_part_the_next_the_rest_and_what_is_left_stays(
    client: stripe.StripeClient, twin: RunningTwin
) -> None:
    customer, invoice = sent(client)
    twin.control.transfer(customer, 20000)
    assert shown(client, invoice) == ("open", 20000, 5761, 0)
    twin.control.transfer(customer, 10000)
    assert shown(client, invoice) == ("paid", 25761, 0, 0)

    assert balance(client, customer) == 4239
    moved = client.v1.customers.cash_balance_transactions.list(customer).data
    assert [(each.type, each.net_amount) for each in reversed(moved)] == [
        ("funded", 20000),
        ("applied_to_payment", -20000),
        ("funded", 10000),
        ("applied_to_payment", -5761),
    ]
    assert kinds(twin, "payment_intent.partially") == ["payment_intent.partially_funded"]
    assert kinds(twin, "cash_balance") == ["cash_balance.funds_available"]


@pytest.mark.parametrize("answer", ["pass", "fail"])
def test_a_card_in_flight_may_pay_what_was_paid_out_of_band(
    client: stripe.StripeClient, twin: RunningTwin, answer: Literal["pass", "fail"]
) -> None:
    _, invoice = sent(client)
    assert twin.control.pay_invoice(invoice, "3ds", authentication="wait").outcome == "requires_action"
    client.v1.invoices.pay(invoice, {"paid_out_of_band": True})
    assert shown(client, invoice) == ("paid", 25761, 0, 0)
    twin.control.authenticate_invoice(invoice, passed=answer == "pass")

    assert shown(client, invoice) == ("paid", 25761, 0, 25761 if answer == "pass" else 0)
    paid = [each for each in client.v1.invoice_payments.list({"invoice": invoice}).data if each.status == "paid"]
    assert len(paid) == (2 if answer == "pass" else 1)


def test_credit_notes_lessen_what_is_due_and_give_back_what_was_paid(
    client: stripe.StripeClient, twin: RunningTwin
) -> None:
    _, invoice = sent(client, 10000)
    note = client.v1.credit_notes.create({"invoice": invoice, "amount": 4000, "memo": "One was damaged"})
    assert (note.type, note.number, note.pre_payment_amount) == ("pre_payment", "TWIN-0001-CN-01", 4000)
    assert shown(client, invoice) == ("open", 0, 6000, 0)
    twin.control.pay_invoice(invoice)
    assert shown(client, invoice) == ("paid", 6000, 0, 0)
    with pytest.raises(stripe.InvalidRequestError, match="post payment amount"):
        client.v1.credit_notes.create({"invoice": invoice, "amount": 1000})
    with pytest.raises(stripe.InvalidRequestError, match="greater than what was paid"):
        client.v1.credit_notes.create({"invoice": invoice, "amount": 6001, "refund_amount": 6001})
    back = client.v1.credit_notes.create({"invoice": invoice, "amount": 1000, "refund_amount": 1000})
    assert back.type == "post_payment"
    (refund,) = twin.control.objects("refund")
    assert (refund["amount"], back.refunds[0].refund) == (1000, refund["id"])

    _, other = sent(client, 10000)
    client.v1.credit_notes.create({"invoice": other, "amount": 10000})
    assert shown(client, other) == ("paid", 0, 0, 0)


def test_an_invoice_is_voided_or_given_up(client: stripe.StripeClient, twin: RunningTwin) -> None:
    customer, invoice = sent(client)
    assert client.v1.invoices.void_invoice(invoice).status == "void"
    assert twin.control.pay_invoice(invoice).outcome == "closed"
    twin.control.transfer(customer, 25761)
    assert balance(client, customer) == 25761

    _, other = sent(client)
    assert client.v1.invoices.mark_uncollectible(other).status == "uncollectible"
    assert twin.control.pay_invoice(other).outcome == "paid"
