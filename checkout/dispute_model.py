"""What a buyer's bank takes back: disputes, and everything that was heard of and done about each."""

import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from checkout.model import CURRENCY
from kernel.db import Base, text_enum
from kernel.money import Money


class DisputeState(StrEnum):
    """INQUIRY: the bank asks and takes nothing yet. OPEN: it disputes, and mostly holds the money; an appeal too.
    CLOSED: it ended and nothing was decided, as an inquiry that came to nothing.
    """

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"


UNDECIDED = (DisputeState.INQUIRY, DisputeState.OPEN)
COUNTING = (DisputeState.OPEN, DisputeState.LOST)
"""What counts as taken out of a payment, beside its refunds."""


class DisputeEventKind(StrEnum):
    HEARD = "heard"
    """Stripe told of it for the first time."""
    CHANGED = "changed"
    EVIDENCE = "evidence"
    CONCESSION = "concession"
    REFUSED = "refused"
    """Stripe refused what we sent."""
    SHARED = "shared"
    """What it gave back to the buyer, of the price and of what was owed, was decided anew."""


class Dispute(Base, kw_only=True):
    """A buyer's bank takes money of one payment back, or asks about it; as Stripe says it is.

    Money of an order we do not know has neither order, company nor attempt, only its case (*liability_id*). Once it is
    LOST, its parts say what of the order's price and of open cases it has given back to the buyer; *excess_minor* is
    what nobody owed him.
    """

    __tablename__ = "dispute"
    __table_args__ = (
        sa.ForeignKeyConstraint(["company_id", "order_id"], ["customer_order.company_id", "customer_order.id"]),
        sa.ForeignKeyConstraint(["company_id", "attempt_id"], ["payment_attempt.company_id", "payment_attempt.id"]),
        sa.UniqueConstraint("company_id", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    stripe_dispute_id: Mapped[str] = mapped_column(unique=True)
    charge_id: Mapped[str]
    payment_intent_id: Mapped[str | None]
    order_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    company_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    attempt_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    liability_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("liability.id"), default=None)
    state: Mapped[DisputeState] = mapped_column(text_enum(DisputeState))
    stripe_status: Mapped[str]
    reason: Mapped[str]
    """In Stripe's words: `fraudulent`, `product_not_received`."""
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(CURRENCY)
    counted_minor: Mapped[int] = mapped_column(default=0)
    """What of it, with the refunds, lies within what was paid; more than that is more than came."""
    withdrawn_minor: Mapped[int] = mapped_column(default=0)
    """What Stripe has taken out of our balance for it and not given back."""
    fee_minor: Mapped[int] = mapped_column(default=0)
    fee_currency: Mapped[str] = mapped_column(CURRENCY)
    goods_minor: Mapped[int] = mapped_column(default=0)
    freight_minor: Mapped[int] = mapped_column(default=0)
    tax_minor: Mapped[int] = mapped_column(default=0)
    owed_minor: Mapped[int] = mapped_column(default=0)
    excess_minor: Mapped[int] = mapped_column(default=0)
    due_by: Mapped[datetime | None] = mapped_column(default=None)
    """Until when evidence may be sent."""
    submissions: Mapped[int] = mapped_column(default=0)
    """How often evidence was sent, by Stripe's count."""
    version: Mapped[int] = mapped_column(default=0)
    """Counts its history."""
    opened_at: Mapped[datetime]
    heard_at: Mapped[datetime]
    asked_at: Mapped[datetime]
    """When Stripe was last asked about it."""
    closed_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def withdrawn(self) -> Money:
        return Money(self.withdrawn_minor, self.currency)

    @property
    def fee(self) -> Money:
        return Money(self.fee_minor, self.fee_currency)

    @property
    def excess(self) -> Money:
        return Money(self.excess_minor, self.currency)


class DisputeEvent(Base, kw_only=True):
    """One step of a dispute's life, and how it stood after it. Never changed."""

    __tablename__ = "dispute_event"

    dispute_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("dispute.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID | None]
    event: Mapped[DisputeEventKind] = mapped_column(text_enum(DisputeEventKind))
    state: Mapped[DisputeState] = mapped_column(text_enum(DisputeState))
    stripe_status: Mapped[str]
    withdrawn_minor: Mapped[int]
    fee_minor: Mapped[int]
    due_by: Mapped[datetime | None]
    detail: Mapped[str] = mapped_column(default="")
    person_id: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    """Who did it; None: Stripe."""
    at: Mapped[datetime]
