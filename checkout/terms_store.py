"""Every query of paying later, one function a question. `lock_` holds the row until the transaction ends."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from accounts.model import Company
from checkout.model import CallOutcome, CallStep, Order, StripeCall, StripeCustomer
from checkout.states import State
from checkout.terms_model import (
    UNFINISHED_CREDIT_NOTE,
    CashMovement,
    CreditChange,
    CreditNote,
    CreditTerms,
    Invoice,
    InvoiceReceipt,
    InvoiceState,
)
from kernel.money import Money

AFTERWARDS: Final = (CallStep.MARK_UNCOLLECTIBLE, CallStep.PAY_OUT_OF_BAND)
"""Calls about an Invoice that Stripe has."""

_EXPOSURE: Final = sa.text("SELECT tarifa_open_exposure(:company_id, :currency)")


# --- Terms and credit ---


async def find_terms(session: AsyncSession, company_id: uuid.UUID) -> CreditTerms | None:
    """Withdrawn ones too."""
    return await session.get(CreditTerms, company_id, populate_existing=True)


async def lock_terms(session: AsyncSession, company_id: uuid.UUID) -> CreditTerms | None:
    """Orders of one company on terms queue behind this, so that each sees what the others claim."""
    return await session.get(CreditTerms, company_id, with_for_update=True, populate_existing=True)


async def open_exposure(session: AsyncSession, company_id: uuid.UUID, currency: str) -> int:
    """What the company owes or will owe on terms, in minor units: see migration 29."""
    return int(await session.scalar(_EXPOSURE, {"company_id": company_id, "currency": currency}) or 0)


async def list_terms(session: AsyncSession) -> list[tuple[CreditTerms, Company, int]]:
    """Every company that has or had terms, by code, with what is open."""
    exposure = sa.func.tarifa_open_exposure(CreditTerms.company_id, CreditTerms.currency)
    query = sa.select(CreditTerms, Company, exposure).join(Company, Company.id == CreditTerms.company_id)
    return [(row[0], row[1], int(row[2])) for row in await session.execute(query.order_by(Company.code))]


async def list_credit_changes(session: AsyncSession, company_id: uuid.UUID, *, limit: int) -> Sequence[CreditChange]:
    """Newest first."""
    query = sa.select(CreditChange).where(CreditChange.company_id == company_id)
    query = query.order_by(CreditChange.changed_at.desc(), CreditChange.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def is_open_in_other_currency(session: AsyncSession, company_id: uuid.UUID, currency: str) -> bool:
    """Whether the company owes on terms in another currency than *currency*."""
    terms = await find_terms(session, company_id)
    if terms is None or terms.currency == currency:
        return False
    return await open_exposure(session, company_id, terms.currency) != 0


# --- Invoices ---


async def find_invoice(session: AsyncSession, order_id: uuid.UUID) -> Invoice | None:
    """Of an order."""
    query = sa.select(Invoice).where(Invoice.order_id == order_id)
    return await session.scalar(query.execution_options(populate_existing=True))


async def lock_invoice(session: AsyncSession, invoice_id: uuid.UUID) -> Invoice:
    """Lock its order before it."""
    query = sa.select(Invoice).where(Invoice.id == invoice_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def find_invoice_at_stripe(
    session: AsyncSession, stripe_invoice_id: str, reference: str | None
) -> Invoice | None:
    """By Stripe's id, else by ours that the Invoice carries (its answer may never have been saved)."""
    found = await session.scalar(sa.select(Invoice).where(Invoice.stripe_invoice_id == stripe_invoice_id))
    if found is not None or reference is None:
        return found
    try:
        invoice = await session.get(Invoice, uuid.UUID(reference))
    except ValueError:
        return None
    return invoice if invoice is not None and invoice.stripe_invoice_id is None else None


async def list_invoice_calls(
    session: AsyncSession, attempt_id: uuid.UUID, steps: Collection[CallStep]
) -> Sequence[StripeCall]:
    """Of these steps, oldest first."""
    query = sa.select(StripeCall).where(StripeCall.attempt_id == attempt_id, StripeCall.step.in_(steps))
    query = query.order_by(StripeCall.created_at, StripeCall.id)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def list_unfinished_invoices(session: AsyncSession, *, before: datetime, limit: int) -> Sequence[uuid.UUID]:
    """Those that Stripe does not have all of yet, or that wait for a call about them."""
    waiting = sa.select(StripeCall.attempt_id).where(
        StripeCall.step.in_(AFTERWARDS),
        sa.or_(StripeCall.outcome.is_(None), StripeCall.outcome.in_((CallOutcome.UNCERTAIN, CallOutcome.THROTTLED))),
    )
    query = (
        sa.select(Invoice.id)
        .where(
            sa.or_(Invoice.state == InvoiceState.MAKING, Invoice.attempt_id.in_(waiting)),
            Invoice.released_at <= before,
        )
        .order_by(Invoice.released_at)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def list_open_invoices_of(session: AsyncSession, company_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """Those of a company that Stripe has and that money may still come for, oldest first."""
    query = sa.select(Invoice.id).where(
        Invoice.company_id == company_id,
        Invoice.stripe_invoice_id.is_not(None),
        Invoice.state.in_((InvoiceState.MAKING, InvoiceState.OPEN, InvoiceState.UNCOLLECTIBLE, InvoiceState.UNFIT)),
    )
    return (await session.scalars(query.order_by(Invoice.released_at))).all()


async def list_receipts(session: AsyncSession, invoice_id: uuid.UUID) -> Sequence[InvoiceReceipt]:
    """Oldest first."""
    query = sa.select(InvoiceReceipt).where(InvoiceReceipt.invoice_id == invoice_id)
    return (await session.scalars(query.order_by(InvoiceReceipt.received_at, InvoiceReceipt.source))).all()


async def list_waiting_for_release(session: AsyncSession, *, limit: int) -> list[tuple[Order, Company]]:
    """Orders on terms without an invoice, oldest first."""
    query = (
        sa.select(Order, Company)
        .join(Company, Company.id == Order.company_id)
        .where(Order.state == State.ON_TERMS, ~sa.exists().where(Invoice.order_id == Order.id))
        .order_by(Order.placed_at)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await session.execute(query)]


async def list_open_invoices(session: AsyncSession, *, limit: int) -> list[tuple[Invoice, str, Company]]:
    """Invoices that are to be paid or made, with their orders' numbers, the longest due first."""
    query = (
        sa.select(Invoice, Order.number, Company)
        .join(Order, Order.id == Invoice.order_id)
        .join(Company, Company.id == Invoice.company_id)
        .where(Invoice.state.in_((InvoiceState.MAKING, InvoiceState.OPEN, InvoiceState.UNFIT)))
        .order_by(Invoice.due_at.nulls_first(), Invoice.released_at)
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in await session.execute(query)]


async def list_invoices_of(session: AsyncSession, company_id: uuid.UUID, *, limit: int) -> list[tuple[Invoice, str]]:
    """A company's, with their orders' numbers, newest first."""
    query = sa.select(Invoice, Order.number).join(Order, Order.id == Invoice.order_id)
    query = query.where(Invoice.company_id == company_id).order_by(Invoice.released_at.desc()).limit(limit)
    return [(row[0], row[1]) for row in await session.execute(query)]


async def list_to_remind(session: AsyncSession, *, now: datetime, again: datetime, limit: int) -> Sequence[uuid.UUID]:
    """Invoices that are late, and of which nobody was written to since *again*."""
    query = sa.select(Invoice.id).where(
        Invoice.state == InvoiceState.OPEN,
        Invoice.due_at < now,
        sa.or_(Invoice.reminded_at.is_(None), Invoice.reminded_at < again),
    )
    return (await session.scalars(query.order_by(Invoice.due_at).limit(limit))).all()


# --- Cash balances ---


async def insert_movement(session: AsyncSession, movement: CashMovement) -> bool:
    """Insert a movement once; False when it is here already."""
    inserted = await session.execute(
        insert(CashMovement)
        .values(
            id=movement.id,
            company_id=movement.company_id,
            kind=movement.kind,
            net_minor=movement.net_minor,
            currency=movement.currency,
            payment_intent_id=movement.payment_intent_id,
            moved_at=movement.moved_at,
        )
        .on_conflict_do_nothing(index_elements=[CashMovement.id])
        .returning(CashMovement.id)
    )
    return inserted.scalar_one_or_none() is not None


async def list_cash_balances(session: AsyncSession) -> list[tuple[Company, Money]]:
    """What companies have in their cash balances, by code; nothing is left out."""
    total = sa.func.sum(CashMovement.net_minor)
    query = (
        sa.select(Company, CashMovement.currency, total)
        .join(Company, Company.id == CashMovement.company_id)
        .group_by(Company.id, CashMovement.currency)
        .having(total != 0)
        .order_by(Company.code)
    )
    return [(row[0], Money(int(row[2]), row[1])) for row in await session.execute(query)]


async def find_customer(session: AsyncSession, stripe_customer_id: str) -> StripeCustomer | None:
    return await session.scalar(
        sa.select(StripeCustomer).where(StripeCustomer.stripe_customer_id == stripe_customer_id)
    )


# --- Credit notes ---


async def find_credit_note_of_request(session: AsyncSession, request_id: uuid.UUID) -> CreditNote | None:
    return await session.scalar(sa.select(CreditNote).where(CreditNote.request_id == request_id))


async def lock_credit_note(session: AsyncSession, note_id: uuid.UUID) -> CreditNote:
    query = sa.select(CreditNote).where(CreditNote.id == note_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def list_credit_notes(session: AsyncSession, invoice_id: uuid.UUID) -> Sequence[CreditNote]:
    """Oldest first."""
    query = sa.select(CreditNote).where(CreditNote.invoice_id == invoice_id)
    query = query.order_by(CreditNote.requested_at, CreditNote.id)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def list_unfinished_credit_notes(session: AsyncSession, *, before: datetime, limit: int) -> Sequence[uuid.UUID]:
    query = (
        sa.select(CreditNote.id)
        .where(CreditNote.state.in_(UNFINISHED_CREDIT_NOTE), CreditNote.requested_at <= before)
        .order_by(CreditNote.requested_at)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


# --- Reconciliation ---


async def list_invoices_since(session: AsyncSession, since: datetime) -> list[tuple[Invoice, str]]:
    """With their orders' numbers."""
    query = sa.select(Invoice, Order.number).join(Order, Order.id == Invoice.order_id)
    query = query.where(sa.or_(Invoice.released_at >= since, Invoice.state == InvoiceState.OPEN))
    return [(row[0], row[1]) for row in await session.execute(query.order_by(Invoice.released_at))]


async def list_credit_notes_since(session: AsyncSession, since: datetime) -> list[tuple[CreditNote, str]]:
    """With their orders' numbers."""
    query = sa.select(CreditNote, Order.number).join(Order, Order.id == CreditNote.order_id)
    query = query.where(CreditNote.requested_at >= since).order_by(CreditNote.requested_at)
    return [(row[0], row[1]) for row in await session.execute(query)]
