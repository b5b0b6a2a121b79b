"""What drafts and roll-backs share: when and why, and what a publication is refused for."""

from datetime import datetime
from typing import Final

from kernel.errors import DomainError
from pricing.service import EffectiveTooSoon, PublicationOutOfOrder, PublishedByOthers
from web.desk.fields import Typed

NOTE_MOST: Final = 1000
REFUSALS: Final = (EffectiveTooSoon, PublicationOutOfOrder, PublishedByOthers)


def note_and_instant(typed: Typed) -> tuple[str, datetime | None]:
    """The reason for the history, and the instant asked for; None for as soon as possible."""
    note = typed.text("note", required=True, most=NOTE_MOST)
    if typed.choice("when", ("soon", "at")) != "at":
        return note, None
    if not typed.form.get("effective_at"):
        typed.refuse("effective_at", "required")
    return note, typed.instant("effective_at")


def field_of(error: DomainError) -> str:
    """The field that a refusal of `REFUSALS` is about."""
    return "note" if isinstance(error, PublishedByOthers) else "effective_at"
