"""The noun of approval: what a buyer asked colleagues to order, and what they said."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

import checkout.model  # noqa: F401 - the table checkout, which a foreign key names
from accounts.policies import ApprovalReason
from kernel.db import Base, text_enum
from kernel.money import Money


class ApprovalState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    """An approver placed the order."""
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    """The buyer took it back, or changed the cart or the details."""
    EXPIRED = "expired"


class ApprovalRequest(Base, kw_only=True):
    """A buyer's checkout that waits, frozen, for somebody who may bind the company. At most one of a checkout waits: a
    partial unique index.
    """

    __tablename__ = "approval_request"
    __table_args__ = (sa.UniqueConstraint("company_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    checkout_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("checkout.id"))
    requested_by: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("person.id"))
    reason: Mapped[ApprovalReason] = mapped_column(text_enum(ApprovalReason))
    note: Mapped[str]
    """What the buyer wrote to the approvers."""
    terms: Mapped[dict[str, Any]] = mapped_column(repr=False)
    """The order as it was asked for: what an approver is shown the difference to."""
    total_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(sa.CHAR(3))
    state: Mapped[ApprovalState] = mapped_column(text_enum(ApprovalState), default=ApprovalState.WAITING)
    requested_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    closed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey("person.id"), default=None)
    """None while it waits, and when it expired."""
    closing_note: Mapped[str] = mapped_column(default="")
    """Why it was rejected."""
    order_id: Mapped[uuid.UUID | None] = mapped_column(default=None)
    """The order that its approval placed."""

    @property
    def total(self) -> Money:
        return Money(self.total_minor, self.currency)
