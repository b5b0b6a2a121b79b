"""What drafts and roll-backs share: when and why, and what a publication is refused for."""

from datetime import datetime
from typing import Final

import msgspec

from kernel.errors import DomainError
from pricing.second_look import Demand
from pricing.service import EffectiveTooSoon, PublicationOutOfOrder, PublishedByOthers
from web.desk.fields import Typed
from web.labels import N_
from web.pages import translations

NOTE_MOST: Final = 1000
REFUSALS: Final = (EffectiveTooSoon, PublicationOutOfOrder, PublishedByOthers)


DEMANDS: Final = {
    "percent": N_(
        "A price moves by %(found)s %% (%(sku)s in %(currency)s); more than %(limit)s %% needs a second approver."
    ),
    "skus": N_("It touches %(found)s SKUs; more than %(limit)s need a second approver."),
    "margin": N_(
        "A margin falls to %(found)s %% (%(sku)s in %(currency)s); less than %(limit)s %% needs a second approver."
    ),
}


def demand_text(demand: Demand, locale: str) -> str:
    """Why a second approver is asked for."""
    params: dict[str, str] = msgspec.to_builtins(demand)
    return translations(locale).gettext(DEMANDS[demand.reason]) % params


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
