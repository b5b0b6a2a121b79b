"""What is held of a person, room by room: how to find it, how to erase it, and when it is too old to be kept.

Each room says this of its own tables as data (`Room`), in SQL, because an export, a plan, its application and the
deletion by age must agree on the same rows. The composition root joins the rooms.

Parameters of every statement: `people`, `companies` (for which they act or acted), `emails`, `named` (a pattern of
names and e-mails for free texts), `journeys`, `whole_company` (or null), `instead` (what stands for an erased word),
`now` and `before` (rows that are older than it). Statements of `expire` also get `befores` (JSON, by country of the
company), `held`, `held_people`, `held_emails` and `held_journeys`.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from accounts.privacy_model import RecordKind

INSTEAD: Final = "[-]"
"""Stands where a name or an e-mail stood in a free text."""
ERASED_NAME: Final = "-"
NAME_SHORTEST: Final = 4
"""Shorter names are not looked for in free texts: they would be found in other words."""
NOBODY: Final = r"(?!)"

Row = Mapping[str, Any]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose data it is, as it can be found now."""

    people: tuple[uuid.UUID, ...]
    companies: tuple[uuid.UUID, ...]
    countries: tuple[str, ...]
    """Of the companies."""
    whole_company: uuid.UUID | None
    emails: tuple[str, ...]
    names: tuple[str, ...]
    journeys: tuple[uuid.UUID, ...]

    def parameters(self, *, now: datetime, before: datetime) -> dict[str, Any]:
        return {
            "people": list(self.people),
            "companies": list(self.companies),
            "whole_company": self.whole_company,
            "emails": list(self.emails),
            "named": named(self.emails, self.names),
            "journeys": list(self.journeys),
            "instead": INSTEAD,
            "now": now,
            "before": before,
        }


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One sort of record of a person in one table."""

    name: str
    table: str
    kind: RecordKind
    says: Mapping[str, str]
    """What it is, by language, as a plan, a letter and an export call it."""
    rows: str
    """Selects what is still held, `since` among the columns: when its period began."""
    erase: tuple[str, ...] = ()
    """Statements that make *rows* find nothing older than `before`; none for what names nobody and stays."""
    expire: tuple[str, ...] = ()
    """Statements that delete the same of everybody by age."""
    also: tuple[str, ...] = ()
    """Other tables that *erase* mends."""
    letters: str | None = None
    """Selects the ids of letters whose copies outside the database go too."""
    exported: str | None = None
    """Selects what an export shows, where that is not *rows*."""
    reveal: Callable[[Row], Row] | None = None
    """Makes an exported row readable."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What one room holds, in the order in which it has to be erased."""

    holdings: tuple[Holding, ...]
    companies: tuple[str, ...] = ()
    """Statements that select `company_id` of companies for which *people* act or acted."""
    journeys: tuple[str, ...] = ()
    """Statements that select ids of *people*'s journeys."""
    emails: tuple[str, ...] = ()
    """Statements that select addresses at which *people* were written to."""
    unfinished: tuple[str, ...] = ()
    """Statements that select `reference` of business of *people* that must end before anything of them is erased."""
    impersonal: frozenset[str] = frozenset()
    """Tables of the room that hold nothing of a person but the ids of rows."""


def named(emails: tuple[str, ...], names: tuple[str, ...]) -> str:
    """A PostgreSQL pattern that finds these words, and in no other word."""
    words = [*emails, *(name for name in names if len(name) >= NAME_SHORTEST)]
    if not words:
        return NOBODY
    return "|".join(rf"(?:\m{_literal(word)}\M)" for word in sorted(words, key=len, reverse=True))


def _literal(word: str) -> str:
    return re.sub(r"([^\w])", r"\\\1", word)
