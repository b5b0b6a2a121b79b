"""Every query about disputes, one function a question. `lock_` holds the rows until the transaction ends."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from checkout.dispute_model import UNDECIDED, Dispute, DisputeEvent
from checkout.model import AttemptState, CallOutcome, Liability, Order, PaymentAttempt, StripeCall
from checkout.terms_model import CreditNote, CreditNoteState, Invoice, InvoiceReceipt


async def find(session: AsyncSession, stripe_dispute_id: str) -> Dispute | None:
    return await session.scalar(sa.select(Dispute).where(Dispute.stripe_dispute_id == stripe_dispute_id))


async def lock(session: AsyncSession, stripe_dispute_id: str) -> Dispute | None:
    query = sa.select(Dispute).where(Dispute.stripe_dispute_id == stripe_dispute_id).with_for_update()
    return await session.scalar(query.execution_options(populate_existing=True))


async def list_of_order(session: AsyncSession, order_id: uuid.UUID) -> Sequence[Dispute]:
    """Oldest first."""
    query = sa.select(Dispute).where(Dispute.order_id == order_id).order_by(Dispute.opened_at, Dispute.id)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def list_of_payment(
    session: AsyncSession, *, attempt_id: uuid.UUID | None = None, liability_id: uuid.UUID | None = None
) -> Sequence[Dispute]:
    """Of an attempt; without one, of the money of a case."""
    return (await session.scalars(_of_payment(attempt_id, liability_id))).all()


async def lock_of_payment(
    session: AsyncSession, *, attempt_id: uuid.UUID | None, liability_id: uuid.UUID | None
) -> Sequence[Dispute]:
    query = _of_payment(attempt_id, liability_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


def _of_payment(attempt_id: uuid.UUID | None, liability_id: uuid.UUID | None) -> sa.Select[Dispute]:
    query = sa.select(Dispute).order_by(Dispute.opened_at, Dispute.id)
    if attempt_id is not None:
        return query.where(Dispute.attempt_id == attempt_id)
    return query.where(Dispute.attempt_id.is_(None), Dispute.liability_id == liability_id)


async def lock_cases(session: AsyncSession, dispute: Dispute) -> Sequence[Liability]:
    """Every case of the disputed payment, oldest first: money that fits no order, refunds that failed."""
    query = sa.select(Liability).where(Liability.payment_intent_id == dispute.payment_intent_id).with_for_update()
    query = query.order_by(Liability.opened_at, Liability.id)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def find_attempt(
    session: AsyncSession, payment_intent_id: str | None, reference: str | None
) -> PaymentAttempt | None:
    """By Stripe's PaymentIntent, the attempt's own or one that paid its invoice, else by our id that it carries."""
    paid_invoice = (
        sa.select(Invoice.attempt_id)
        .join(InvoiceReceipt, InvoiceReceipt.invoice_id == Invoice.id)
        .where(InvoiceReceipt.payment_intent_id == payment_intent_id)
    )
    query = sa.select(PaymentAttempt).where(
        sa.or_(PaymentAttempt.payment_intent_id == payment_intent_id, PaymentAttempt.id.in_(paid_invoice))
    )
    found = (await session.scalars(query.limit(1))).first()
    if found is not None or reference is None:
        return found
    try:
        return await session.get(PaymentAttempt, uuid.UUID(reference))
    except ValueError:
        return None


async def find_case_of_unknown(session: AsyncSession, payment_intent_id: str | None) -> Liability | None:
    """The case of money whose order we do not know."""
    query = sa.select(Liability).where(
        Liability.payment_intent_id == payment_intent_id, Liability.order_id.is_(None), Liability.refund_id.is_(None)
    )
    return (await session.scalars(query.limit(1))).first()


async def list_credits(session: AsyncSession, order_id: uuid.UUID) -> Sequence[CreditNote]:
    """What credit notes have taken back of an order on terms, or are taking."""
    query = sa.select(CreditNote).where(CreditNote.order_id == order_id, CreditNote.state != CreditNoteState.REFUSED)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


def succeeded(attempt: PaymentAttempt) -> bool:
    return attempt.state is AttemptState.SUCCEEDED


async def list_listed(session: AsyncSession, *, decided: bool, limit: int) -> list[tuple[Dispute, str | None]]:
    """With their orders' numbers: those undecided by when evidence is due, those *decided* newest first."""
    query = sa.select(Dispute, Order.number).outerjoin(Order, Order.id == Dispute.order_id).limit(limit)
    if decided:
        query = query.where(Dispute.state.not_in(UNDECIDED)).order_by(Dispute.closed_at.desc(), Dispute.id)
    else:
        query = query.where(Dispute.state.in_(UNDECIDED)).order_by(Dispute.due_by.nulls_last(), Dispute.id)
    return [(row[0], row[1]) for row in await session.execute(query)]


async def list_history(session: AsyncSession, dispute_id: uuid.UUID) -> Sequence[DisputeEvent]:
    query = sa.select(DisputeEvent).where(DisputeEvent.dispute_id == dispute_id).order_by(DisputeEvent.version)
    return (await session.scalars(query)).all()


async def list_calls(session: AsyncSession, dispute_id: uuid.UUID) -> Sequence[StripeCall]:
    """Oldest first."""
    query = sa.select(StripeCall).where(StripeCall.dispute_id == dispute_id)
    query = query.order_by(StripeCall.created_at, StripeCall.id)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def list_unfinished_calls(session: AsyncSession, *, before: datetime, limit: int) -> Sequence[uuid.UUID]:
    """Disputes of which something was sent, or was about to be, and nobody knows what became of it."""
    unknown = sa.or_(
        StripeCall.answered_at.is_(None), StripeCall.outcome.in_((CallOutcome.UNCERTAIN, CallOutcome.THROTTLED))
    )
    query = (
        sa.select(StripeCall.dispute_id)
        .where(StripeCall.dispute_id.is_not(None), unknown, StripeCall.created_at <= before)
        .order_by(StripeCall.created_at)
        .limit(limit)
    )
    return [found for found in await session.scalars(query) if found is not None]


async def list_to_ask(session: AsyncSession, *, asked_before: datetime, limit: int) -> Sequence[str]:
    """Stripe's ids of undecided disputes that Stripe was not asked about for a while."""
    query = (
        sa.select(Dispute.stripe_dispute_id)
        .where(Dispute.state.in_(UNDECIDED), Dispute.asked_at <= asked_before)
        .order_by(Dispute.asked_at)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def list_since(session: AsyncSession, since: datetime) -> list[tuple[Dispute, str | None]]:
    """Disputes with their orders' numbers."""
    query = sa.select(Dispute, Order.number).outerjoin(Order, Order.id == Dispute.order_id)
    rows = await session.execute(query.where(Dispute.opened_at >= since).order_by(Dispute.opened_at))
    return [(row[0], row[1]) for row in rows]
