"""The nouns of paying later: a company's terms, the invoice of an order, money on it, and credit notes.

An invoice is an attempt to be paid like any other (`PaymentAttempt` of kind INVOICE): its calls to Stripe are that
attempt's. Amounts are minor units in columns named `*_minor` with the row's `currency`.
"""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from checkout.model import CURRENCY, MAYBE_JSON
from kernel.db import Base, text_enum
from kernel.money import Money

ORDER_KEY = ["customer_order.company_id", "customer_order.id"]
INVOICE_KEY = ["invoice.company_id", "invoice.id"]


class InvoiceState(StrEnum):
    """MAKING: Stripe does not have all of it yet. OPEN: sent, to be paid. PAID: nothing is due any more, by money or
    credit notes. VOID and UNCOLLECTIBLE as at Stripe. UNFIT: Stripe's total is not the order's, it never settles.
    """

    MAKING = "making"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"
    UNFIT = "unfit"


class ReceiptKind(StrEnum):
    STRIPE = "stripe"
    """On Stripe's hosted page, by card."""
    BANK_TRANSFER = "bank_transfer"
    """Into the company's cash balance at Stripe, and from there to the invoice."""
    OUT_OF_BAND = "out_of_band"
    """Elsewhere: somebody told Stripe that it is paid."""


class CreditNoteState(StrEnum):
    """NEW and UNCERTAIN as for an attempt. ISSUED it stands, REFUSED Stripe never made it."""

    NEW = "new"
    UNCERTAIN = "uncertain"
    ISSUED = "issued"
    REFUSED = "refused"


UNFINISHED_CREDIT_NOTE = (CreditNoteState.NEW, CreditNoteState.UNCERTAIN)


class CreditSettles(StrEnum):
    """What a credit note does with its amount: less is DUE, or the house itself pays it back (OUT_OF_BAND)."""

    DUE = "due"
    OUT_OF_BAND = "out_of_band"


class CreditTerms(Base, kw_only=True):
    """How a company may pay later, given by finance. Locked while one of its orders claims credit."""

    __tablename__ = "credit_terms"

    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"), primary_key=True)
    net_days: Mapped[int]
    limit_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CURRENCY)
    changed_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None] = mapped_column(default=None)
    """Since then nothing more is sold on terms; what is open stays due."""

    @property
    def limit(self) -> Money:
        return Money(self.limit_minor, self.currency)


class CreditChange(Base, kw_only=True):
    """One decision about a company's terms. Never changed."""

    __tablename__ = "credit_change"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    before: Mapped[dict[str, Any] | None] = mapped_column(MAYBE_JSON)
    """`{net_days, limit: {amount, currency}}`; None: no terms."""
    after: Mapped[dict[str, Any] | None] = mapped_column(MAYBE_JSON)
    reason: Mapped[str]
    changed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"))
    changed_at: Mapped[datetime]


class Invoice(Base, kw_only=True):
    """What a company owes for one order on terms, from its release on. The database refuses that more is paid and
    credited than it is over: money beyond that is a case.
    """

    __tablename__ = "invoice"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ORDER_KEY),
        sa.ForeignKeyConstraint(["company_id", "attempt_id"], ["payment_attempt.company_id", "payment_attempt.id"]),
        sa.UniqueConstraint("company_id", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    company_id: Mapped[uuid.UUID]
    attempt_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    state: Mapped[InvoiceState] = mapped_column(text_enum(InvoiceState), default=InvoiceState.MAKING)
    net_days: Mapped[int]
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CURRENCY)
    paid_minor: Mapped[int] = mapped_column(default=0)
    credited_minor: Mapped[int] = mapped_column(default=0)
    """By credit notes that lessen what is due, those on their way included."""
    released_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    released_at: Mapped[datetime]
    stripe_customer_id: Mapped[str | None] = mapped_column(default=None)
    stripe_invoice_id: Mapped[str | None] = mapped_column(unique=True, default=None)
    number: Mapped[str | None] = mapped_column(default=None)
    """Stripe's, as the buyer's books name it."""
    due_at: Mapped[datetime | None] = mapped_column(default=None)
    hosted_url: Mapped[str | None] = mapped_column(default=None)
    """Where it is read and paid."""
    pdf_url: Mapped[str | None] = mapped_column(default=None)
    sent_at: Mapped[datetime | None] = mapped_column(default=None)
    reminded_at: Mapped[datetime | None] = mapped_column(default=None)
    """When the buyer was last written to for being late."""
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    detail: Mapped[str] = mapped_column(default="")
    """What went wrong, for staff."""

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def paid(self) -> Money:
        return Money(self.paid_minor, self.currency)

    @property
    def credited(self) -> Money:
        return Money(self.credited_minor, self.currency)

    @property
    def due(self) -> Money:
        """What is still to be paid."""
        return Money(self.amount_minor - self.paid_minor - self.credited_minor, self.currency)


class InvoiceReceipt(Base, kw_only=True):
    """Money that came for an invoice, written once by what Stripe calls it. Never changed."""

    __tablename__ = "invoice_receipt"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ORDER_KEY),
        sa.ForeignKeyConstraint(["company_id", "invoice_id"], INVOICE_KEY),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    invoice_id: Mapped[uuid.UUID]
    order_id: Mapped[uuid.UUID]
    company_id: Mapped[uuid.UUID]
    source: Mapped[str] = mapped_column(unique=True)
    """The InvoicePayment's id, or of a bank transfer its cash balance transaction's."""
    kind: Mapped[ReceiptKind] = mapped_column(text_enum(ReceiptKind))
    payment_intent_id: Mapped[str | None]
    amount_minor: Mapped[int]
    """What of it was due; less than 0 when Stripe took an application back."""
    surplus_minor: Mapped[int] = mapped_column(default=0)
    """What was not, and became a case."""
    currency: Mapped[str] = mapped_column(CURRENCY)
    received_at: Mapped[datetime]

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)


class CashMovement(Base, kw_only=True):
    """Money into or out of a company's cash balance at Stripe, by Stripe's id. Never changed."""

    __tablename__ = "cash_movement"

    id: Mapped[str] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    kind: Mapped[str]
    """Stripe's word: `funded`, `applied_to_payment`, ..."""
    net_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CURRENCY)
    payment_intent_id: Mapped[str | None]
    moved_at: Mapped[datetime]


class CreditNote(Base, kw_only=True):
    """Part of an invoice taken back. Its parts say what of the order's price that is."""

    __tablename__ = "credit_note"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ORDER_KEY),
        sa.ForeignKeyConstraint(["company_id", "invoice_id"], INVOICE_KEY),
        sa.UniqueConstraint("company_id", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    request_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    """Of the form it was asked with: sent twice, it is one note."""
    invoice_id: Mapped[uuid.UUID]
    order_id: Mapped[uuid.UUID]
    company_id: Mapped[uuid.UUID]
    state: Mapped[CreditNoteState] = mapped_column(text_enum(CreditNoteState), default=CreditNoteState.NEW)
    settles: Mapped[CreditSettles] = mapped_column(text_enum(CreditSettles))
    amount_minor: Mapped[int]
    goods_minor: Mapped[int]
    freight_minor: Mapped[int]
    tax_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CURRENCY)
    note: Mapped[str]
    """Why, in the words of who asked for it."""
    requested_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    requested_at: Mapped[datetime]
    stripe_credit_note_id: Mapped[str | None] = mapped_column(unique=True, default=None)
    number: Mapped[str | None] = mapped_column(default=None)
    pdf_url: Mapped[str | None] = mapped_column(default=None)
    detail: Mapped[str] = mapped_column(default="")
    closed_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)
