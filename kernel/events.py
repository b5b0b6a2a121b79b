"""Journey events: first-party, append-only, without personal data, from which self-service is measured."""

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from kernel.db import Base
from kernel.ids import new_id

NAMES: Final = frozenset(
    {
        "priced",
        "carted",
        "checkout_step_seen",
        "checkout_step_completed",
        "error_shown",
        "agreement_shown",
        "agreement_accepted",
        "agreement_declined",
        "approval_requested",
        "approval_shown",
        "approval_rejected",
        "approval_expired",
        "package_sent",
        "package_signed",
        "package_closed",
        "order_placed",
        "payment_started",
        "payment_failed",
        "payment_settled",
    }
)


class JourneyEvent(Base, kw_only=True):
    """Something that happened on a buyer's way; *journey* joins the events of one browser or API key."""

    __tablename__ = "journey_event"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default_factory=new_id)
    at: Mapped[datetime]
    journey: Mapped[uuid.UUID]
    name: Mapped[str]
    properties: Mapped[dict[str, Any]]


def record(session: AsyncSession, name: str, *, journey: uuid.UUID, at: datetime, **properties: object) -> None:
    """Add an event to the caller's transaction.

    *properties* are counts, codes and ids of ours, never what a person typed.

    :raises ValueError: when *name* is none of `NAMES`, for an event nobody counts is a typing mistake
    """
    if name not in NAMES:
        raise ValueError(f"{name} is no journey event; see kernel.events.NAMES")
    session.add(JourneyEvent(at=at, journey=journey, name=name, properties=dict(properties)))
