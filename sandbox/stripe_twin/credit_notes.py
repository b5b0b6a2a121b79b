"""Credit notes: before payment they lessen what is due, after it they say where the money goes back."""

from sandbox.stripe_twin import invoices, refunds
from sandbox.stripe_twin.account import Account, merged_metadata, only, page
from sandbox.stripe_twin.errors import JsonObject, invalid
from sandbox.stripe_twin.store import Record

_SUPPORTED = (
    "amount",
    "email_type",
    "invoice",
    "memo",
    "metadata",
    "out_of_band_amount",
    "reason",
    "refund_amount",
)


def create(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, _SUPPORTED, "CreditNotes.create")
    invoice = account.load("invoice", params["invoice"], param="invoice", in_path=False)
    if invoice.body["status"] not in {"open", "paid", "uncollectible"}:
        raise invalid(f"You can't credit an invoice that is {invoice.body['status']}.", param="invoice")
    amount: int = params.get("amount", 0)
    if amount < 1:
        raise invalid("A credit note here has a positive amount.", param="amount")
    refunded, elsewhere = params.get("refund_amount", 0), params.get("out_of_band_amount", 0)
    before = min(amount, invoice.body["amount_remaining"])
    after = amount - before
    if refunded + elsewhere != after:
        raise invalid(
            f"The sum of credit amount, refund amount and out of band amount ({refunded + elsewhere}) must equal the "
            f"post payment amount ({after}).",
            param="amount",
        )
    if after > invoice.body["amount_paid"] - invoice.body["post_payment_credit_notes_amount"]:
        raise invalid("The credit note is greater than what was paid and not credited yet.", param="amount")
    return _issue(account, invoice, params, before=before, after=after).body


def retrieve(account: Account, ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    only(params, (), "CreditNotes.retrieve")
    return account.load("credit_note", ids[0], param="id").body


def list_credit_notes(account: Account, _ids: tuple[str, ...], params: JsonObject) -> JsonObject:
    names = ("invoice", "customer")
    only(params, (*names, "created", "limit", "starting_after", "ending_before"), "CreditNotes.list")
    return page(account, "credit_note", "/v1/credit_notes", params, equal=names)


def _issue(account: Account, invoice: Record, params: JsonObject, *, before: int, after: int) -> Record:
    amount, number = before + after, len(account.store.list_objects("credit_note", equal={"invoice": invoice.id})) + 1
    note = account.create(
        "credit_note",
        amount=amount,
        currency=invoice.body["currency"],
        customer=invoice.body["customer"],
        effective_at=account.now(),
        invoice=invoice.id,
        memo=params.get("memo"),
        metadata=merged_metadata(None, params.get("metadata")),
        number=f"{invoice.body['number']}-CN-{number:02d}",
        out_of_band_amount=params.get("out_of_band_amount"),
        post_payment_amount=after,
        pre_payment_amount=before,
        reason=params.get("reason"),
        status="issued",
        subtotal=amount,
        subtotal_excluding_tax=amount,
        total=amount,
        total_excluding_tax=amount,
        type="pre_payment" if not after else "mixed" if before else "post_payment",
    )
    note.body["pdf"] = f"{account.base_url}/i/{invoice.id}/{note.id}/pdf"
    note.body["lines"]["url"] = f"/v1/credit_notes/{note.id}/lines"
    if params.get("refund_amount"):
        given = {"payment_intent": invoice.private["intent"], "amount": params["refund_amount"]}
        refund = refunds.create(account, (), given)
        note.body["refunds"] = [
            {
                "amount_refunded": params["refund_amount"],
                "payment_record_refund": None,
                "refund": refund["id"],
                "type": "refund",
            }
        ]
    account.save(note)
    account.emit("credit_note.created", note)
    invoice.body["pre_payment_credit_notes_amount"] += before
    invoice.body["post_payment_credit_notes_amount"] += after
    if before:
        invoices.reduce_remaining(account, invoice, before, paid=False)
    else:
        account.save(invoice)
    return note
