"""A draft or a publication as one file that can be edited and imported again: a workbook, or a zip of CSV files.

Rows stream from the compiled book and the draft's changes into a file, in the memory of one SKU.
"""

import asyncio
import heapq
import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from kernel.db import for_staff
from kernel.tables import ABOUT
from kernel.xlsx_write import Sheet, write_workbook
from pricing import content as leaf
from pricing import store
from pricing.content import LeafName
from pricing.draft_book import DraftBase
from pricing.engine.book import PriceRow
from pricing.export_csv import Table, export_tables
from pricing.reviews import DraftNotFound
from pricing.service import Pricing, PublicationNotFound

_WIDTHS: Final = {"tiers": 48, "title_en": 32, "title_es": 32, "sku": 26, "value": 26, "list": 22, "code": 22}
_ABOUT_WIDTHS: Final = (24, 100)


class Form(StrEnum):
    WORKBOOK = "xlsx"
    CSV = "csv"


class PriceExports:
    """Writes price files. Each begins with what the caller says of it, where its form has a place for that."""

    def __init__(self, pricing: Pricing) -> None:
        self.pricing = pricing

    async def write_draft(
        self, draft_id: uuid.UUID, path: Path, *, form: Form, about: Sequence[Sequence[str]] = ()
    ) -> None:
        """The draft as it stands: imported again, nothing of it changes.

        :raises DraftNotFound: when there is none
        :raises NotExportable, CellTooLong: when the files cannot say what the draft says
        """
        with TemporaryFile() as changes:
            async with self.pricing.db.begin(for_staff()) as session:
                draft = await store.find_draft(session, draft_id)
                if draft is None:
                    raise DraftNotFound("There is no such draft.")
                base = await self.pricing.base_of(session, draft.base_root, draft.base_source)
                frame = await _frame(session, base, draft_id)
                async for some in store.stream_row_changes(session, draft_id):
                    changes.write(b"".join(msgspec.json.encode(row) + b"\n" for row in some))
            changes.seek(0)
            tables = export_tables(frame, _rows_of_draft(base, changes))
            await asyncio.to_thread(_write, path, form, tables, about)

    async def write_publication(
        self, number: int | None, path: Path, *, form: Form, about: Sequence[Sequence[str]] = ()
    ) -> None:
        """A publication as its draft would state it; None: the last one.

        :raises PublicationNotFound: when there is none
        :raises NotExportable, CellTooLong: as `write_draft`
        """
        async with self.pricing.db.begin(for_staff()) as session:
            last = await store.find_last_publication(session) if number is None else None
            found = last if number is None else await store.find_publication(session, number)
            if found is None:
                raise PublicationNotFound("There is no such publication yet.")
            base = await self.pricing.base_of(session, found.root, found.source)
        rows = (row for _, row in base.stated_rows())
        await asyncio.to_thread(_write, path, form, export_tables(base.frame_leaves, rows), about)


def _write(path: Path, form: Form, tables: Iterable[Table], about: Sequence[Sequence[str]]) -> None:
    with path.open("wb") as file:
        if form is Form.WORKBOOK:
            write_workbook(file, _sheets(tables, about))
            return
        with ZipFile(file, "w", ZIP_DEFLATED) as package:
            for table in tables:
                with package.open(table.name, "w", force_zip64=True) as part:
                    part.writelines(line.encode() for line in table.lines())


def _sheets(tables: Iterable[Table], about: Sequence[Sequence[str]]) -> Iterator[Sheet]:
    if about:
        yield Sheet(name=ABOUT, columns=about[0], rows=about[1:], widths=_ABOUT_WIDTHS, prose=True)
    for table in tables:
        widths = [_WIDTHS.get(column, 16) for column in table.columns]
        yield Sheet(name=table.name.removesuffix(".csv"), columns=table.columns, rows=table.rows, widths=widths)


async def _frame(session: AsyncSession, base: DraftBase, draft_id: uuid.UUID) -> Mapping[LeafName, Any]:
    """What is not per SKU, as the draft has it."""
    changes: dict[LeafName, Any] = {}
    for change in await store.list_frame_changes(session, draft_id):
        name = (change.kind, leaf.key_from_text(change.key))
        changes[name] = None if change.content is None else leaf.noun_of(*name, change.content)
    return leaf.applied(base.frame_leaves, changes)


def _rows_of_draft(base: DraftBase, changes: IO[bytes]) -> Iterator[PriceRow]:
    """The rows of the base with *changes* (a line each, by SKU) laid over them, SKU by SKU."""
    stated = ((name[1][1], name, row) for name, row in base.stated_rows())
    every = heapq.merge(stated, _changed_rows(changes), key=itemgetter(0))
    for _, of_sku in itertools.groupby(every, key=itemgetter(0)):
        rows = {name: row for _, name, row in of_sku}
        for name in sorted(rows):
            if (row := rows[name]) is not None:
                yield row


def _changed_rows(changes: IO[bytes]) -> Iterator[tuple[str, LeafName, PriceRow | None]]:
    for line in changes:
        text, content = msgspec.json.decode(line)
        name = ("row", leaf.key_from_text(text))
        yield name[1][1], name, None if content is None else leaf.noun_of(*name, content)
