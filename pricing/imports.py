"""Files into a draft: uploaded in pieces, read by a job, shown as what they would change, accepted whole or not at all.

A file waits in the database, so that whichever worker is there goes on with it. Reading leaves nothing until its one
commit: a worker that dies begins anew and doubles nothing. Accepting is one transaction too. What somebody else did to
the draft since the file was read is never overwritten unseen: objects that both changed are a clash, shown from both
sides.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.service import Catalog
from kernel import jobs
from kernel.clock import Clock
from kernel.csv_rows import ImportReport, Unreadable, said, write_rows
from kernel.db import Database, for_staff
from kernel.errors import Conflict, Malformed, NotFound, Refused
from kernel.failpoints import Failpoint
from kernel.ids import new_id
from kernel.tables import open_tables
from pricing import content as leaf
from pricing import staging, store
from pricing.content import Key
from pricing.draft_book import DraftBase
from pricing.import_csv import KNOWN_TABLES
from pricing.import_model import LIVE, ImportState, PriceImport, PriceImportChange, PriceImportPart
from pricing.model import DraftState, PriceDraft
from pricing.reviews import DraftClosed, DraftNotFound
from pricing.service import SHOWN_CLASHES, DraftClash, Pricing

TASK: Final = "pricing.import.read"
PART: Final = Failpoint("pricing.import.part")
READ: Final = Failpoint("pricing.import.read")
ACCEPT: Final = Failpoint("pricing.import.accept")
PART_MOST: Final = 1024 * 1024
NAME_MOST: Final = 200
ABANDONED: Final = timedelta(days=7)
SECONDS_MOST: Final = 3600.0
_TICK_SECONDS: Final = 1.0


class ImportNotFound(NotFound):
    problem = "price-import-not-found"
    title = "There is no such import"


class ImportClosed(Conflict):
    problem = "price-import-closed"
    title = "The import cannot be gone on with"


class ImportTooLarge(Refused):
    problem = "price-import-too-large"
    title = "The file is too large"


class PartMisplaced(Conflict):
    """*received* in `extra`: where the next part has to begin."""

    problem = "price-import-part-misplaced"
    title = "The part does not follow what was received"


class UploadMalformed(Malformed):
    problem = "price-import-malformed"
    title = "This is no part of an upload"


class ImportedChange(msgspec.Struct, frozen=True, kw_only=True):
    """*change*: `added`, `changed` or `removed`; *before* as the draft stood when the file was read."""

    kind: str
    key: Key
    change: str
    before: Any
    after: Any


class PriceImports:
    """*folder*: where a file lies while it is read."""

    def __init__(
        self, db: Database, clock: Clock, pricing: Pricing, catalog: Catalog, *, folder: Path, bytes_most: int
    ) -> None:
        self.db = db
        self.clock = clock
        self.pricing = pricing
        self.catalog = catalog
        self.bytes_most = bytes_most
        self._folder = folder

    # --- Uploading ---

    async def begin(
        self, draft_id: uuid.UUID, *, name: str, size: int, digest: bytes, by: uuid.UUID | None
    ) -> PriceImport:
        """Announce a file of *size* bytes and SHA-256 *digest*. The same file of the same person goes on where it
        stopped; any other takes the place of what waited for the draft's editors.

        :raises ImportTooLarge: when it has more bytes than are allowed
        :raises UploadMalformed: when it is empty, its name no text to keep, or its digest none
        :raises DraftNotFound, DraftClosed: when the draft cannot be edited any more
        """
        async with self.db.begin(for_staff()) as session:
            return await self._begin(session, draft_id, name=name, size=size, digest=digest, by=by)

    async def add_part(self, import_id: uuid.UUID, *, start: int, content: bytes) -> PriceImport:
        """Keep the piece of the file that begins at byte *start*. With the last one, reading is enqueued.

        :raises PartMisplaced: when *start* is not how many bytes were received
        :raises UploadMalformed: when the piece is empty, too large, or goes beyond the announced size
        :raises ImportNotFound, ImportClosed: when nothing is uploaded there any more
        """
        async with self.db.begin(for_staff(), PART) as session:
            found = await _lock(session, import_id, ImportState.UPLOADING)
            await _add_part(session, found, start, content)
        return found

    async def upload(self, draft_id: uuid.UUID, *, name: str, content: bytes, by: uuid.UUID | None) -> PriceImport:
        """Take a whole file at once.

        :raises ImportTooLarge, UploadMalformed, DraftNotFound, DraftClosed: as `begin`
        """
        digest = sha256(content).digest()
        async with self.db.begin(for_staff(), PART) as session:
            found = await self._begin(session, draft_id, name=name, size=len(content), digest=digest, by=by)
            for start in range(found.received, len(content), PART_MOST):
                await _add_part(session, found, start, content[start : start + PART_MOST])
        return found

    async def _begin(
        self, session: AsyncSession, draft_id: uuid.UUID, *, name: str, size: int, digest: bytes, by: uuid.UUID | None
    ) -> PriceImport:
        if size > self.bytes_most:
            raise ImportTooLarge(
                f"The file has {size:,} bytes, more than the {self.bytes_most:,} allowed. Split it.",
                most=self.bytes_most,
            )
        leaf.storable(name)
        if size < 1 or len(digest) != sha256().digest_size or not 0 < len(name) <= NAME_MOST:
            raise UploadMalformed("Send a file with a name, of one byte at least, and its SHA-256.")
        await _lock_draft(session, draft_id)
        live = await _find_live(session, draft_id, lock=True)
        if live is not None:
            same = (live.size, live.sha256, live.created_by) == (size, digest, by)
            if same and live.state is ImportState.UPLOADING:
                return live
            await self._close(session, live, ImportState.REPLACED, by)
            await session.flush()
        begun = PriceImport(
            id=new_id(),
            draft_id=draft_id,
            name=name,
            size=size,
            sha256=digest,
            received=0,
            state=ImportState.UPLOADING,
            rows_read=0,
            share_read=0.0,
            report=None,
            added=0,
            changed=0,
            removed=0,
            created_by=by,
            created_at=self.clock.now(),
            read_at=None,
            closed_by=None,
            closed_at=None,
        )
        session.add(begun)
        await session.flush()
        return begun

    # --- Looking ---

    async def find(self, import_id: uuid.UUID) -> PriceImport:
        """:raises ImportNotFound: when there is none"""
        async with self.db.begin(for_staff()) as session:
            return _known(await session.get(PriceImport, import_id))

    async def find_live(self, draft_id: uuid.UUID) -> PriceImport | None:
        """What is on its way into the draft, or waits there."""
        async with self.db.begin(for_staff()) as session:
            return await _find_live(session, draft_id)

    async def list_changes(
        self, import_id: uuid.UUID, *, start: int = 0, limit: int = 50, change: str | None = None
    ) -> tuple[ImportedChange, ...]:
        """What accepting would do, by kind and key, *limit* of them from *start* on; *change*: of one sort alone.

        :raises ImportNotFound: when there is no such import
        """
        async with self.db.begin(for_staff()) as session:
            found = _known(await session.get(PriceImport, import_id))
            base = await self._base(session, found.draft_id)
            query = sa.select(PriceImportChange).where(PriceImportChange.import_id == import_id)
            if change is not None:
                query = query.where(PriceImportChange.change == change)
            ordered = query.order_by(PriceImportChange.kind, PriceImportChange.key).offset(start).limit(limit)
            rows = (await session.scalars(ordered)).all()
        return tuple(_shown(base, row) for row in rows)

    # --- Reading ---

    async def read(self, import_id: str) -> None:
        """Compare the uploaded file with the draft. The job's handler: begun anew as often as it takes."""
        async with self.db.begin(for_staff()) as session:
            found = await session.get(PriceImport, uuid.UUID(import_id))
        if found is None or found.state is not ImportState.READING:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._folder, prefix="import-") as file:
            path = Path(file.name)
            if await self._spool(found, path) != found.sha256:
                report = ImportReport()
                report.refuse(found.name, 0, "", "", "the file arrived otherwise than it was sent; upload it again")
                async with self.db.begin(for_staff(), READ) as session:
                    await self._finish(session, found.id, report, None)
                return
            await self._compare(found, path)

    async def _compare(self, found: PriceImport, path: Path) -> None:
        seen = _Progress(time.monotonic() + SECONDS_MOST)
        report = ImportReport(progress=seen)
        compared = None
        async with self.db.begin(for_staff(), READ) as session:
            base = await self._base(session, found.draft_id)
            tables = await asyncio.to_thread(open_tables, path, found.name, KNOWN_TABLES, report)
            if tables is not None and not tables.parts:
                report.refuse(found.name, 0, "", "", "the file holds no table that prices are read from")
            if tables is not None:
                seen.share = tables.share_read
                try:
                    async with self._telling(found.id, seen):
                        compared = await staging.compare(session, self.catalog, tables, base, found.draft_id, report)
                except Unreadable as error:
                    report.refuse(found.name, 0, "", "", error.message)
                finally:
                    tables.close()
            await self._finish(session, found.id, report, compared, rows_read=seen.rows)

    async def _finish(
        self,
        session: AsyncSession,
        import_id: uuid.UUID,
        report: ImportReport,
        compared: staging.Compared | None,
        *,
        rows_read: int = 0,
    ) -> None:
        """Write down how reading ended, unless somebody ended the import meanwhile."""
        found = await session.get(PriceImport, import_id, with_for_update=True, populate_existing=True)
        if found is None or found.state is not ImportState.READING:
            return
        found.report = {
            "errors": [msgspec.to_builtins(error) for error in report.errors],
            "errors_total": report.errors_total,
            "notes": report.notes,
        }
        found.rows_read = rows_read
        found.share_read = 1.0
        found.read_at = self.clock.now()
        found.state = ImportState.REFUSED
        if report.ok and compared is not None:
            await session.execute(_KEEP, {"import": import_id})
            found.state = ImportState.READY
            found.added, found.changed, found.removed = compared.added, compared.changed, compared.removed

    async def _spool(self, found: PriceImport, path: Path) -> bytes:
        """Write the file's parts to *path* and return the digest of them all."""
        digest, start = sha256(), 0
        with path.open("wb") as file:
            while start < found.size:
                async with self.db.begin(for_staff()) as session:
                    part = await session.get(PriceImportPart, (found.id, start))
                if part is None:
                    break
                digest.update(part.content)
                await asyncio.to_thread(file.write, part.content)
                start += len(part.content)
        return digest.digest()

    @asynccontextmanager
    async def _telling(self, import_id: uuid.UUID, seen: "_Progress") -> AsyncIterator[None]:
        """Write down how far reading has come while the block lasts, in transactions of its own."""

        async def tell() -> None:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                values = {"rows_read": seen.rows, "share_read": min(seen.share(), 0.99)}
                async with self.db.begin(for_staff()) as session:
                    await session.execute(
                        sa.update(PriceImport)
                        .where(PriceImport.id == import_id, PriceImport.state == ImportState.READING)
                        .values(values)
                    )

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # --- Deciding ---

    async def accept(self, import_id: uuid.UUID, *, by: uuid.UUID | None) -> PriceImport:
        """Make the draft what the file says: all of it, or nothing.

        :raises DraftClash: when somebody changed an object since the file was read that the file changes otherwise; the
            error carries both sides
        :raises ImportNotFound, ImportClosed: when nothing waits there to be accepted
        :raises DraftNotFound, DraftClosed: when the draft cannot be edited any more
        """
        draft_id = (await self.find(import_id)).draft_id
        async with self.db.begin(for_staff(), ACCEPT) as session:
            draft = await _lock_draft(session, draft_id)
            found = await _lock(session, import_id, ImportState.READY)
            await self._refuse_clashes(session, found)
            asked = {"draft": draft_id, "by": by, "at": self.clock.now(), "import": import_id}
            for statement in staging.PUT.values():
                await session.execute(sa.text(statement.format(source=_OWN_CHANGES)), asked)
            if found.changes:
                await store.add_author(session, draft_id, by)
                draft.version += 1
            await self._close(session, found, ImportState.ACCEPTED, by)
        return found

    async def discard(self, import_id: uuid.UUID, *, by: uuid.UUID | None) -> PriceImport:
        """Forget the file; the draft stays as it is.

        :raises ImportNotFound, ImportClosed: when nothing is there any more
        """
        async with self.db.begin(for_staff()) as session:
            found = await _lock(session, import_id, *LIVE)
            await self._close(session, found, ImportState.DISCARDED, by)
        return found

    async def compare_again(self, import_id: uuid.UUID) -> PriceImport:
        """Have the file compared with the draft as it stands now.

        :raises ImportNotFound, ImportClosed: when it was not read yet, or is not there any more
        """
        async with self.db.begin(for_staff()) as session:
            found = await _lock(session, import_id, ImportState.READY, ImportState.REFUSED)
            await session.execute(sa.delete(PriceImportChange).where(PriceImportChange.import_id == import_id))
            found.added = found.changed = found.removed = 0
            await _enqueue(session, found)
        return found

    async def discard_abandoned(self) -> None:
        """Forget files that nobody has decided about for a week."""
        async with self.db.begin(for_staff()) as session:
            query = sa.select(PriceImport).where(
                PriceImport.state.in_(LIVE), PriceImport.created_at < self.clock.now() - ABANDONED
            )
            for found in (await session.scalars(query.with_for_update(skip_locked=True))).all():
                await self._close(session, found, ImportState.DISCARDED, None)

    async def _close(self, session: AsyncSession, found: PriceImport, state: ImportState, by: uuid.UUID | None) -> None:
        for table in (PriceImportPart, PriceImportChange):
            await session.execute(sa.delete(table).where(table.import_id == found.id))
        found.state = state
        found.closed_by = by
        found.closed_at = self.clock.now()

    async def _refuse_clashes(self, session: AsyncSession, found: PriceImport) -> None:
        rows = (await session.execute(_CLASHES, {"import": found.id, "most": SHOWN_CLASHES})).all()
        if not rows:
            return
        base = await self._base(session, found.draft_id)
        clashes = []
        for row in rows:
            name = (row.kind, leaf.key_from_text(row.key))
            stated = _plain(base.leaf(name))
            theirs = row.now if row.now_drafted else stated
            yours = stated if row.to_base else row.after
            clashes.append({"kind": name[0], "key": list(name[1]), "theirs": theirs, "yours": yours})
        raise DraftClash(
            "Since this file was read, somebody changed the same in the draft.", clashes=clashes, count=rows[0].total
        )

    async def _base(self, session: AsyncSession, draft_id: uuid.UUID) -> DraftBase:
        draft = await store.find_draft(session, draft_id)
        assert draft is not None, "a foreign key keeps the draft"
        return await self.pricing.base_of(session, draft.base_root, draft.base_source)


def errors_csv(report: Mapping[str, Any]) -> str:
    """The errors of an import's report as a CSV file that no spreadsheet takes for formulas."""
    columns = ("sheet", "row", "cell", "column", "value", "error")
    rows = [
        (error["file"], error["line"] or None, error["cell"], error["column"], error["value"], error["message"])
        for error in report["errors"]
    ]
    return "".join(write_rows(columns, rows))


class _Progress:
    """How far reading has come: told from its threads, read by the loop."""

    def __init__(self, until: float) -> None:
        self.rows = 0
        self.share: Callable[[], float] = lambda: 0.0
        self._until = until
        self._counts: dict[str, int] = {}

    def __call__(self, file: str, rows: int) -> None:
        self._counts[file] = rows
        self.rows = sum(self._counts.values())
        if time.monotonic() > self._until:
            raise Unreadable(
                said("reading takes more than {minutes} minutes; split the file", minutes=round(SECONDS_MOST / 60))
            )


def _shown(base: DraftBase, row: PriceImportChange) -> ImportedChange:
    name = (row.kind, leaf.key_from_text(row.key))
    stated = _plain(base.leaf(name)) if row.to_base or not row.drafted else None
    return ImportedChange(
        kind=name[0],
        key=name[1],
        change=row.change,
        before=row.before if row.drafted else stated,
        after=stated if row.to_base else row.after,
    )


def _plain(noun: Any) -> Any:
    return None if noun is None else leaf.plain(noun)


def _known(found: PriceImport | None) -> PriceImport:
    if found is None:
        raise ImportNotFound("There is no such import.")
    return found


async def _find_live(session: AsyncSession, draft_id: uuid.UUID, *, lock: bool = False) -> PriceImport | None:
    query = sa.select(PriceImport).where(PriceImport.draft_id == draft_id, PriceImport.state.in_(LIVE))
    return await session.scalar(query.with_for_update() if lock else query)


async def _lock(session: AsyncSession, import_id: uuid.UUID, *states: ImportState) -> PriceImport:
    found = _known(await session.get(PriceImport, import_id, with_for_update=True, populate_existing=True))
    if found.state not in states:
        raise ImportClosed(
            f"The import of {found.name} is {found.state.value}. Look at it again, or upload the file once more.",
            state=found.state.value,
        )
    return found


async def _lock_draft(session: AsyncSession, draft_id: uuid.UUID) -> PriceDraft:
    draft = await store.lock_draft(session, draft_id)
    if draft is None:
        raise DraftNotFound("There is no such draft.")
    if draft.state is not DraftState.OPEN:
        raise DraftClosed(f"The draft {draft.title!r} is {draft.state.value}. Open a new one.")
    return draft


async def _add_part(session: AsyncSession, found: PriceImport, start: int, content: bytes) -> None:
    if start != found.received:
        raise PartMisplaced(
            f"{found.received:,} bytes are here; send what follows them.", received=found.received, size=found.size
        )
    if not 0 < len(content) <= min(PART_MOST, found.size - found.received):
        raise UploadMalformed(f"A part has from 1 to {PART_MOST:,} bytes and ends with the file.")
    session.add(PriceImportPart(import_id=found.id, start=start, content=content))
    await session.flush()
    found.received += len(content)
    if found.received == found.size:
        await _enqueue(session, found)


async def _enqueue(session: AsyncSession, found: PriceImport) -> None:
    found.state = ImportState.READING
    found.rows_read, found.share_read, found.report, found.read_at = 0, 0.0, None, None
    await session.flush()
    await jobs.enqueue(session, TASK, {"import_id": str(found.id)}, lock=f"price-import-{found.id}")


_OWN_CHANGES: Final = "(SELECT * FROM price_import_change WHERE import_id = :import)"
_KEEP: Final = sa.text(
    """
    INSERT INTO price_import_change (import_id, kind, key, change, drafted, before, to_base, after)
    SELECT :import, kind, key, change, drafted, before, to_base, after FROM price_staged_change
    """
)
_CLASHES: Final = sa.text(
    """
    SELECT given.kind, given.key, given.to_base, given.after,
        own.kind IS NOT NULL AS now_drafted, own.content AS now, count(*) OVER () AS total
    FROM price_import_change AS given
    JOIN price_import AS import ON import.id = given.import_id
    LEFT JOIN price_draft_change AS own
        ON own.draft_id = import.draft_id AND own.kind = given.kind AND own.key = given.key
    WHERE given.import_id = :import
      AND CASE WHEN given.drafted THEN own.kind IS NULL OR own.content IS DISTINCT FROM given.before
          ELSE own.kind IS NOT NULL END
      AND CASE WHEN given.to_base THEN own.kind IS NOT NULL
          ELSE own.kind IS NULL OR own.content IS DISTINCT FROM given.after END
    ORDER BY given.kind, given.key LIMIT :most
    """
)
"""Objects that the draft has neither as they were when the file was read nor as the file has them."""
