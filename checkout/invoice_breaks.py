"""What does not agree of invoices: ours with Stripe's, both ways, and our own rows with one another."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from checkout.invoice_gateway import CreditNoteSeen, InvoiceSeen
from checkout.terms_model import CreditNote, CreditNoteState, Invoice, InvoiceState

AT_STRIPE: Final = {
    InvoiceState.OPEN: {"open"},
    InvoiceState.PAID: {"paid"},
    InvoiceState.UNCOLLECTIBLE: {"uncollectible", "paid"},
    InvoiceState.VOID: {"void"},
}
"""What Stripe may call an invoice that is in a state here; what is being made is in between."""


def compare(
    ours: Sequence[tuple[Invoice, str]], theirs: Sequence[InvoiceSeen], since: datetime
) -> Iterator[tuple[str, str, str]]:
    """Kind, reference and detail of what does not agree. *theirs* are those created since an instant or a little
    before; of *ours*, older ones need not be among them.
    """
    by_id = {seen.id: seen for seen in theirs}
    by_reference = {seen.reference: seen for seen in theirs}
    known = set()
    for invoice, number in ours:
        seen = by_id.get(invoice.stripe_invoice_id or "") or by_reference.get(str(invoice.id))
        about = f"invoice {invoice.number or invoice.id}, {invoice.state.value} here"
        if seen is None:
            if invoice.stripe_invoice_id is not None and invoice.released_at >= since:
                yield "invoice_unknown_to_stripe", number, about
            continue
        known.add(seen.id)
        if invoice.state is InvoiceState.UNFIT or (seen.status != "draft" and seen.total != invoice.amount):
            yield "invoice_total_differs", number, f"{about}, over {seen.total} at Stripe, not {invoice.amount}"
        elif seen.status not in AT_STRIPE.get(invoice.state, {"draft", "open"}):
            yield "invoice_state_differs", number, f"{about}, {seen.status} at Stripe"
    for seen in theirs:
        if seen.id not in known and seen.created_at >= since.timestamp():
            yield "invoice_not_ours", seen.id, str(seen.total)


def compare_notes(
    ours: Sequence[tuple[CreditNote, str]], theirs: Sequence[CreditNoteSeen], since: datetime
) -> Iterator[tuple[str, str, str]]:
    """Likewise of credit notes."""
    by_id = {seen.id: seen for seen in theirs}
    by_reference = {seen.reference: seen for seen in theirs}
    known = set()
    for note, number in ours:
        seen = by_id.get(note.stripe_credit_note_id or "") or by_reference.get(str(note.id))
        about = f"credit note {note.number or note.id}, {note.amount}, {note.state.value} here"
        if seen is None:
            if note.stripe_credit_note_id is not None and note.requested_at >= since:
                yield "credit_note_unknown_to_stripe", number, about
            continue
        known.add(seen.id)
        if seen.amount != note.amount or (seen.status, note.state) != ("issued", CreditNoteState.ISSUED):
            yield "credit_note_state_differs", number, f"{about}, {seen.status} at Stripe over {seen.amount}"
    for seen in theirs:
        if seen.id not in known and seen.created_at >= since.timestamp():
            yield "credit_note_not_ours", seen.id, str(seen.amount)


async def list_own(session: AsyncSession) -> list[tuple[str, str, str]]:
    """What contradicts itself in our own rows: kind, reference, detail."""
    return [(row.kind, row.reference, row.detail) for row in await session.execute(_OWN)]


_OWN: Final = sa.text(
    """
    SELECT 'invoice_receipts_differ' AS kind, o.number AS reference,
        i.paid_minor::text || ' paid, ' || came.amount::text || ' received' AS detail
    FROM invoice i JOIN customer_order o ON o.id = i.order_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_minor), 0) AS amount FROM invoice_receipt r WHERE r.invoice_id = i.id
    ) came WHERE came.amount <> i.paid_minor
    UNION ALL
    SELECT 'receivable_differs', o.number, held.posted::text || ' posted'
    FROM invoice i JOIN customer_order o ON o.id = i.order_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_minor), 0) AS posted FROM ledger_posting p
        WHERE p.order_id = i.order_id AND p.account = 'accounts_receivable'
    ) held
    WHERE held.posted <> CASE WHEN o.state = 'written_off' THEN 0
        ELSE i.amount_minor - i.paid_minor - i.credited_minor END
    UNION ALL
    SELECT 'cash_differs', c.code, coalesce(posted.amount, 0)::text || ' posted, ' || moved.amount::text || ' moved'
    FROM (SELECT company_id, sum(net_minor) AS amount FROM cash_movement GROUP BY company_id) moved
    JOIN company c ON c.id = moved.company_id
    LEFT JOIN (
        SELECT company_id, -sum(amount_minor) AS amount FROM ledger_posting
        WHERE account = 'customer_cash' GROUP BY company_id
    ) posted ON posted.company_id = moved.company_id
    WHERE coalesce(posted.amount, 0) <> moved.amount
    """
)
