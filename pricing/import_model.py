"""Files on their way into a draft."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from accounts.model import Person
from kernel.db import Base, text_enum


class ImportState(StrEnum):
    UPLOADING = "uploading"
    READING = "reading"
    REFUSED = "refused"
    """Read, and wrong: the report says where."""
    READY = "ready"
    """Read, compared with the draft, and waiting for somebody's word."""
    ACCEPTED = "accepted"
    DISCARDED = "discarded"
    REPLACED = "replaced"
    """By another file for the same draft."""


LIVE: tuple[ImportState, ...] = (
    ImportState.UPLOADING,
    ImportState.READING,
    ImportState.REFUSED,
    ImportState.READY,
)


class PriceImport(Base):
    """One file for a draft; of those that live there is one a draft. *received*: bytes so far. *share_read*: of what is
    being read, from 0 to 1. *report*: errors (up to a cap), how many there are in all, and notes.
    """

    __tablename__ = "price_import"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    draft_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_draft.id"))
    name: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[bytes]
    received: Mapped[int]
    state: Mapped[ImportState] = mapped_column(text_enum(ImportState))
    rows_read: Mapped[int]
    share_read: Mapped[float] = mapped_column(sa.Float)
    report: Mapped[Any] = mapped_column(postgresql.JSONB(none_as_null=True), nullable=True)
    added: Mapped[int]
    changed: Mapped[int]
    removed: Mapped[int]
    created_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    closed_by: Mapped[uuid.UUID | None] = mapped_column(sa.ForeignKey(Person.id))
    closed_at: Mapped[datetime | None]

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def changes(self) -> int:
        return self.added + self.changed + self.removed


class PriceImportPart(Base):
    """A piece of an uploaded file, from byte *start* on. Kept while the import lives."""

    __tablename__ = "price_import_part"

    import_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_import.id"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes]


class PriceImportChange(Base):
    """What accepting a file does to one object of the draft. *drafted*: the draft had a change of it, whose content is
    *before*; else before is what the base says. *to_base*: the draft will say what the base says; else *after* (None:
    the object goes).
    """

    __tablename__ = "price_import_change"

    import_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("price_import.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.Text(collation="C"), primary_key=True)
    change: Mapped[str]
    drafted: Mapped[bool]
    before: Mapped[Any] = mapped_column(postgresql.JSONB(none_as_null=True), nullable=True)
    to_base: Mapped[bool]
    after: Mapped[Any] = mapped_column(postgresql.JSONB(none_as_null=True), nullable=True)
