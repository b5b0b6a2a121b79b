"""Do our books agree with Stripe's, both ways, and with themselves? It reports and mends nothing: a person decides."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from checkout import dispute_store, invoice_breaks, store, terms_store
from checkout.dispute_model import Dispute
from checkout.invoice_gateway import InvoiceGateway
from checkout.model import OPEN_ATTEMPT, AttemptKind, AttemptState, PaymentAttempt, Refund
from checkout.refunds import AT_STRIPE
from checkout.stripe_gateway import DisputeSeen, IntentSeen, RefundSeen, Session, StripeGateway
from checkout.terms_model import Invoice, InvoiceState
from kernel.clock import Clock
from kernel.db import Database, for_staff

UNHANDLED_AFTER: Final = timedelta(hours=1)
SKEW: Final = timedelta(minutes=5)
SENT_LATE: Final = timedelta(days=3)
"""What we wrote down so much earlier may still have been sent to Stripe within the period."""
PAYABLE: Final = frozenset({InvoiceState.MAKING, InvoiceState.OPEN, InvoiceState.UNCOLLECTIBLE})
"""Stripe takes money for these Invoices."""


class Break(msgspec.Struct, frozen=True, order=True):
    """Something that does not agree. *reference* is the order's number, a Session's, Refund's, event's or SKU's id."""

    kind: str
    reference: str
    detail: str


async def reconcile(db: Database, clock: Clock, gateway: StripeGateway, *, since: datetime) -> tuple[Break, ...]:
    """List every break among payments begun since an instant, and in the books as a whole.

    :raises StripeUnavailable: when Stripe can't be asked
    """
    now = clock.now()
    async with db.reading(for_staff()) as session:
        attempts = await store.list_attempts_since(session, since - SENT_LATE)
        liable = await store.list_liable_sessions(session)
        refunds = await store.list_refunds_since(session, since - SENT_LATE)
        disputes = await dispute_store.list_since(session, since - SENT_LATE)
        invoices = await terms_store.list_invoices_since(session, since - SENT_LATE)
        own = await store.list_book_breaks(session, unhandled_before=now - UNHANDLED_AFTER)
        notes = await terms_store.list_credit_notes_since(session, since - SENT_LATE)
        own += await invoice_breaks.list_own(session)
    charges = [(attempt, number) for attempt, number in attempts if attempt.kind is AttemptKind.SAVED_CARD]
    attempts = [(attempt, number) for attempt, number in attempts if attempt.kind is AttemptKind.CARD_SESSION]
    intents = await gateway.list_intents(since=since - SKEW, until=now + SKEW)
    theirs = {found.id: found for found in await gateway.list_sessions(since=since - SKEW, until=now + SKEW)}
    given = await gateway.list_refunds(since=since - SKEW, until=now + SKEW)
    disputed = await gateway.list_disputes(since=since - SKEW, until=now + SKEW)
    billed = await InvoiceGateway(gateway).list_invoices(since=since - SKEW, until=now + SKEW)
    credited = await InvoiceGateway(gateway).list_credit_notes(since=since - SKEW, until=now + SKEW)
    breaks = [Break(*row) for row in (*own, *invoice_breaks.compare(invoices, billed, since))]
    breaks += [Break(*row) for row in invoice_breaks.compare_notes(notes, credited, since)]
    breaks += _dispute_breaks(disputes, disputed, since)
    breaks += _charge_breaks(charges, intents, since)
    of_sessions = {found.intent.id for found in theirs.values() if found.intent is not None}
    came = [seen for seen in intents if _money_came(seen) and seen.id not in of_sessions]
    breaks += await _stray_breaks(db, gateway, came, [invoice for invoice, _ in invoices], since)
    breaks += _refund_breaks(refunds, given, since)
    for attempt, number in attempts:
        found = theirs.pop(attempt.session_id or "", None)
        if found is None and attempt.created_at < since:
            continue  # its Session is older than what was listed
        about = f"attempt {attempt.id}, Session {attempt.session_id or 'unknown'}"
        if attempt.state is AttemptState.SUCCEEDED and (found is None or not found.paid):
            breaks.append(Break("recorded_but_unpaid", number, about))
        elif attempt.state is not AttemptState.SUCCEEDED and found is not None and found.paid:
            breaks.append(Break("paid_but_unrecorded", number, about))
        elif found is not None and attempt.state is AttemptState.LIVE and found.expired:
            breaks.append(Break("expired_but_live", number, about))
        elif found is not None and found.left_unpaid and found.intent is not None:
            waits = not found.intent.failed
            if waits and attempt.state is not AttemptState.PENDING:
                breaks.append(Break("waiting_but_unrecorded", number, f"{about}, {found.intent.status} at Stripe"))
            elif not waits and attempt.state in OPEN_ATTEMPT:
                breaks.append(Break("failed_but_waiting", number, f"{about}, {found.intent.status} at Stripe"))
        elif attempt.state in {AttemptState.LIVE, AttemptState.PENDING} and found is None:
            breaks.append(Break("unknown_to_stripe", number, about))
    breaks += [
        Break("paid_for_no_order", found.id, str(found.total))
        for found in theirs.values()
        if found.paid and found.id not in liable and not _of_before(found, since)
    ]
    return tuple(sorted(breaks))


async def _stray_breaks(
    db: Database, gateway: StripeGateway, came: list[IntentSeen], invoices: list[Invoice], since: datetime
) -> list[Break]:
    """Money of no Session must be of a payment, a case, an invoice or a balance of ours. What came for an invoice whose
    webhook has not is its invoice's break, not a second one.
    """
    async with db.reading(for_staff()) as session:  # once they are listed: what was known by then is ours
        known = await store.list_known_intents(session, {seen.id: seen.reference for seen in came})
    stray = [seen for seen in came if seen.id not in known and not _of_before(seen, since)]
    if not stray:
        return []
    due = [each.stripe_invoice_id for each in invoices if each.state in PAYABLE]
    paid = [await InvoiceGateway(gateway).list_payments(each) for each in due if each is not None]
    of_invoices = frozenset().union(*(intents for _, intents in paid))
    return [Break("payment_not_ours", seen.id, str(seen.amount)) for seen in stray if seen.id not in of_invoices]


def _dispute_breaks(
    ours: list[tuple[Dispute, str | None]], theirs: list[DisputeSeen], since: datetime
) -> Iterator[Break]:
    """Each dispute of ours must be at Stripe as we say, each of Stripe's must be here."""
    left = {seen.id: seen for seen in theirs}
    for dispute, number in ours:
        seen = left.pop(dispute.stripe_dispute_id, None)
        reference = number or dispute.stripe_dispute_id
        about = f"{dispute.stripe_dispute_id}, {dispute.amount}, {dispute.stripe_status} here"
        if seen is None:
            if dispute.opened_at >= since:
                yield Break("dispute_unknown_to_stripe", reference, about)
        elif (seen.status, seen.withdrawn, seen.fee) != (dispute.stripe_status, dispute.withdrawn, dispute.fee):
            yield Break("dispute_state_differs", reference, f"{about}, {seen.status} at Stripe, took {seen.withdrawn}")
    for seen in left.values():
        if not _of_before(seen, since):
            yield Break("dispute_unrecorded", seen.id, f"{seen.amount}, {seen.status}")


def _charge_breaks(
    ours: list[tuple[PaymentAttempt, str]], theirs: list[IntentSeen], since: datetime
) -> Iterator[Break]:
    """Each charge of a kept card must be at Stripe as we say."""
    by_reference = {seen.reference: seen for seen in theirs}
    for attempt, number in ours:
        seen = by_reference.get(str(attempt.id))
        about = f"charge {attempt.session_id or attempt.id}, {attempt.state.value} here"
        if seen is None:
            if attempt.session_id is not None and attempt.created_at >= since:
                yield Break("unknown_to_stripe", number, about)
            elif attempt.state is AttemptState.UNCERTAIN:
                yield Break("charge_uncertain", number, about)
        elif (seen.status == "succeeded") != (attempt.state is AttemptState.SUCCEEDED):
            unrecorded = seen.status == "succeeded"
            if unrecorded or attempt.state is AttemptState.SUCCEEDED:
                kind = "paid_but_unrecorded" if unrecorded else "recorded_but_unpaid"
                yield Break(kind, number, f"{about}, {seen.status} at Stripe")
        elif seen.failed and attempt.state in OPEN_ATTEMPT:
            yield Break("failed_but_waiting", number, f"{about}, {seen.status} at Stripe")


def _refund_breaks(ours: list[tuple[Refund, str | None]], theirs: list[RefundSeen], since: datetime) -> Iterator[Break]:
    """Each refund of ours must be at Stripe as we say, each of Stripe's must be ours."""
    left = {seen.id: seen for seen in theirs}
    by_reference = {seen.reference: seen for seen in theirs}
    for refund, known in ours:
        number = known or f"refund {refund.id}"
        seen = left.pop(refund.stripe_refund_id or "", None) or by_reference.get(str(refund.id))
        about = f"refund {refund.id}, {refund.amount}, {refund.state.value} here"
        if seen is None:
            if refund.stripe_refund_id is not None and refund.requested_at >= since:
                yield Break("refund_unknown_to_stripe", number, about)
            continue
        left.pop(seen.id, None)
        if refund.stripe_refund_id is None:
            yield Break("refunded_but_unrecorded", number, f"{about}, {seen.id} at Stripe")
        elif seen.amount != refund.amount or AT_STRIPE.get(seen.status or "") is not refund.state:
            yield Break("refund_state_differs", number, f"{about}, {seen.status} at Stripe over {seen.amount}")
    for seen in left.values():
        if not _of_before(seen, since):
            yield Break("refund_not_ours", seen.id, str(seen.amount))


def _money_came(seen: IntentSeen) -> bool:
    return seen.held or seen.status == "succeeded"


def _of_before(found: Session | RefundSeen | DisputeSeen | IntentSeen, since: datetime) -> bool:
    """Listed only because the listing reaches back a little further than our rows."""
    return found.created_at < since.timestamp()
