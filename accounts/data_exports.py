"""A person's own copy of their data: JSON for programs and one HTML page for readers, in a ZIP file.

Made by a job, kept encrypted for a week, downloaded by the person alone, deleted by erasure and by age.
"""

import io
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from html import escape
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from accounts import privacy_store
from accounts.erasure import Erasures
from accounts.personal_data import Room, Row
from accounts.principal import Principal
from accounts.privacy_model import DataExport
from kernel.canonical import canonical_json
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.errors import Conflict, NotFound
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.jobs import enqueue
from kernel.signing import Keyring

EXPORT_TASK: Final = "export_personal_data"
MAKE: Final = Failpoint("privacy.export")
PURPOSE: Final = "personal data export"
KEPT: Final = timedelta(days=7)
WAIT: Final = timedelta(hours=1)
AT_ONCE_MOST: Final = 2_000
"""Rows up to which the copy is made while the person waits; larger ones are a job's."""

_WORDS: Final = {
    "en": {"title": "Your personal data", "made": "As it stood on {day}.", "none": "Nothing.", "since": "Since"},
    "es": {"title": "Sus datos personales", "made": "Tal como estaban el {day}.", "none": "Nada.", "since": "Desde"},
}


class ExportUnknown(NotFound):
    problem = "data-export-unknown"
    title = "There is no such copy"


class ExportTooSoon(Conflict):
    problem = "data-export-too-soon"
    title = "A copy is being made already"


class DataExports:
    """*erasures* finds what is a person's, so that what an export shows and what an erasure takes are the same."""

    def __init__(self, db: Database, clock: Clock, keyring: Keyring, erasures: Erasures, rooms: Sequence[Room]) -> None:
        self._db = db
        self._clock = clock
        self._keyring = keyring
        self._erasures = erasures
        self._holdings = tuple(holding for room in rooms for holding in room.holdings)

    async def ask(self, principal: Principal) -> DataExport:
        """Have a copy made: at once where it is small, else by a job.

        :raises ExportTooSoon: when one was asked for within the hour and is not ready
        """
        person_id, company_id = _who(principal)
        now = self._clock.now()
        async with self._db.begin(for_staff()) as session:
            last = next(iter(await privacy_store.list_exports(session, person_id)), None)
            large = await self._rows(session, person_id) > AT_ONCE_MOST
            if last is not None and last.ready_at is None and last.asked_at > now - WAIT:
                if large:
                    raise ExportTooSoon("A copy is being made. It will be on this page in some minutes.")
                asked = last  # whoever was to make it at once died over it
            else:
                asked = DataExport(id=new_id(), company_id=company_id, person_id=person_id, asked_at=now)
                session.add(asked)
                await session.flush()
            if large:
                await enqueue(session, EXPORT_TASK, {"export_id": str(asked.id)}, lock=f"export:{asked.id}")
        if not large:
            await self.make(str(asked.id))
        return asked

    async def make(self, export_id: str) -> None:
        """Make the copy unless it is made: the job's one step."""
        async with self._db.begin(for_staff(), MAKE) as session:
            asked = await privacy_store.find_export(session, uuid.UUID(export_id))
            if asked is None or asked.ready_at is not None:
                return
            now = self._clock.now()
            (person,) = await privacy_store.list_people(session, [asked.person_id])
            locale = person.locale if person.locale in _WORDS else "en"
            data = await self._data(session, asked.person_id, locale)
            content = _archive(data, locale, now)
            asked.ciphertext = self._keyring.encrypt(PURPOSE, content, context=asked.id.bytes)
            asked.size, asked.ready_at, asked.expires_at = len(content), now, now + KEPT

    async def list_own(self, principal: Principal) -> list[DataExport]:
        """The newest first; those that are over are left out."""
        person_id, _ = _who(principal)
        async with self._db.reading(principal.db_scope()) as session:
            found = await privacy_store.list_exports(session, person_id)
        now = self._clock.now()
        return [each for each in found if each.expires_at is None or each.expires_at > now]

    async def content(self, principal: Principal, export_id: uuid.UUID) -> bytes:
        """The ZIP file.

        :raises ExportUnknown: when it is not this person's, not ready, or over
        """
        found = next((each for each in await self.list_own(principal) if each.id == export_id), None)
        if found is None or found.ciphertext is None:
            raise ExportUnknown("This copy is not there any more. Ask for a new one.")
        return self._keyring.decrypt(PURPOSE, found.ciphertext, context=found.id.bytes)

    async def _rows(self, session: AsyncSession, person_id: uuid.UUID) -> int:
        values = await self._values(session, person_id)
        return sum([(await privacy_store.count(session, each.rows, values))[0] for each in self._holdings])

    async def _data(self, session: AsyncSession, person_id: uuid.UUID, locale: str) -> list[dict[str, Any]]:
        """Each holding with its rows as JSON knows them."""
        values = await self._values(session, person_id)
        data = []
        for holding in self._holdings:
            rows = await privacy_store.select(session, holding.exported or holding.rows, values)
            shown = rows if holding.reveal is None else [holding.reveal(row) for row in rows]
            data.append(
                {
                    "name": holding.name,
                    "what": holding.says[locale],
                    "rows": [{key: _plain(value) for key, value in row.items()} for row in shown],
                }
            )
        return data

    async def _values(self, session: AsyncSession, person_id: uuid.UUID) -> Mapping[str, Any]:
        now = self._clock.now()
        return (await self._erasures.subject(session, person_id)).parameters(now=now, before=now)


def _who(principal: Principal) -> tuple[uuid.UUID, uuid.UUID]:
    assert principal.person_id is not None, "the role table lets in members only"
    assert principal.company_id is not None, "the role table lets in members only"
    return principal.person_id, principal.company_id


def _archive(data: list[dict[str, Any]], locale: str, now: datetime) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        archive.writestr("data.json", canonical_json({"made_at": now.isoformat(), "data": data}))
        archive.writestr("data.html", _page(data, locale, now))
    return buffer.getvalue()


def _page(data: list[dict[str, Any]], locale: str, now: datetime) -> str:
    words = _WORDS[locale]
    parts = []
    for each in data:
        rows: list[Row] = each["rows"]
        parts.append(f"<h2>{escape(each['what'])}</h2>" + (_table(rows) if rows else f"<p>{words['none']}</p>"))
    made = words["made"].format(day=f"{now:%Y-%m-%d %H:%M} UTC")
    return (
        f'<!doctype html><html lang="{locale}"><head><meta charset="utf-8"><title>{words["title"]}</title></head>'
        f"<body><h1>{words['title']}</h1><p>{made}</p>{''.join(parts)}</body></html>"
    )


def _table(rows: Sequence[Row]) -> str:
    heads = list(rows[0])
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(row.get(each)))}</td>" for each in heads) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _plain(value: Any) -> Any:
    """A column's value as canonical JSON can hold it."""
    match value:
        case bool() | int() | str() | None:
            return value
        case datetime() | date():
            return value.isoformat()
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case Enum():
            return str(value.value)
        case Decimal() | float() | uuid.UUID():
            return str(value)
        case _:
            return bytes(value).hex()
