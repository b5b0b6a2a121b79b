"""Where a company is told of what happens, what it was told, and how each attempt went."""

import uuid
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db import Base, text_enum
from kernel.outgoing import Failure


class EndpointState(StrEnum):
    ON = "on"
    OFF = "off"
    """Switched off by its company."""
    FAILING = "failing"
    """Switched off by us: for days no message came through."""
    GONE = "gone"
    """Switched off by itself: it answered 410."""


class MessageState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    """After the last attempt, or because its endpoint was switched off."""


class WebhookEndpoint(Base, kw_only=True):
    """An address of a company's. Secrets are encrypted; for some time after a rotation there are two."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (sa.UniqueConstraint("company_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"))
    url: Mapped[str]
    description: Mapped[str]
    event_types: Mapped[list[str]]
    """Values of `EventType`, sorted."""
    state: Mapped[EndpointState] = mapped_column(text_enum(EndpointState))
    state_since: Mapped[datetime]
    failing_since: Mapped[datetime | None] = mapped_column(default=None)
    """The first failure after which nothing has come through."""
    secret: Mapped[bytes] = mapped_column(repr=False)
    previous_secret: Mapped[bytes | None] = mapped_column(repr=False, default=None)
    previous_secret_until: Mapped[datetime | None] = mapped_column(default=None)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class WebhookMessage(Base, kw_only=True):
    """One event for one endpoint. Id and *body* never change: every attempt says the same."""

    __tablename__ = "webhook_message"
    __table_args__ = (
        sa.UniqueConstraint("company_id", "id"),
        sa.ForeignKeyConstraint(
            ["company_id", "endpoint_id"], ["webhook_endpoint.company_id", "webhook_endpoint.id"], ondelete="CASCADE"
        ),
        sa.Index(None, "endpoint_id", "id"),
        sa.Index(None, "next_attempt_at", postgresql_where=sa.text("state = 'pending'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    company_id: Mapped[uuid.UUID]
    endpoint_id: Mapped[uuid.UUID]
    event_type: Mapped[str]
    body: Mapped[bytes]
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime]
    state: Mapped[MessageState] = mapped_column(text_enum(MessageState))
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    """All that were made; the number of the last one."""
    failures: Mapped[int] = mapped_column(sa.Integer, default=0)
    """In a row since it was written or last replayed: they say how long to wait."""
    next_attempt_at: Mapped[datetime | None]


class WebhookAttempt(Base, kw_only=True):
    """One request: *answer* is the first kilobyte of what came back, as text."""

    __tablename__ = "webhook_attempt"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["company_id", "message_id"], ["webhook_message.company_id", "webhook_message.id"], ondelete="CASCADE"
        ),
    )

    message_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    company_id: Mapped[uuid.UUID]
    at: Mapped[datetime]
    duration_ms: Mapped[int] = mapped_column(sa.Integer)
    status: Mapped[int | None] = mapped_column(sa.Integer)
    failure: Mapped[Failure | None] = mapped_column(text_enum(Failure))
    answer: Mapped[str]


class WebhookTold(Base, kw_only=True):
    """What of prices a company's endpoints were told last: the publication, and the feed as of *root* and *at*.

    *reader* names all else that its prices hang on. *next_at*: absent a publication nothing changes before; None: ever.
    """

    __tablename__ = "webhook_told"

    company_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("company.id"), primary_key=True)
    publication: Mapped[int] = mapped_column(sa.Integer)
    root: Mapped[str]
    at: Mapped[datetime]
    reader: Mapped[str]
    next_at: Mapped[datetime | None]
