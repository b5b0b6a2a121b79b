"""Price tables staged beside a draft and compared with it, set by set: a million rows in the memory of some thousand.

Everything lies in temporary tables, which live as long as the transaction: what a crash leaves is nothing. The rows of
`price_rows.csv` stream; the other tables, whose objects speak of each other, are read whole.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from catalog.service import Catalog
from kernel.canonical import canonical_struct
from kernel.csv_rows import FileCount, ImportReport
from kernel.tables import Tables
from pricing.content import Key, LeafName
from pricing.draft_book import DraftBase
from pricing.engine.book import Adjustment, Bound, PriceRow, QuantityRule
from pricing.import_csv import (
    FILES,
    NO_SUCH_LIST,
    NO_SUCH_SKU,
    PriceFile,
    Reading,
    check_together,
    nouns_of,
    other_units,
    overlapping,
    same_key,
)

BATCH: Final = 2_000
ROWS: Final = "price_rows.csv"


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What accepting would do to the draft as it stands."""

    added: int
    changed: int
    removed: int


async def compare(
    session: AsyncSession, catalog: Catalog, tables: Tables, base: DraftBase, draft_id: UUID, report: ImportReport
) -> Compared:
    """Read *tables* into `price_staged_change`: what turns the draft into what they say, each table given holding the
    whole of what it describes. What is wrong stands in *report*; then nothing is compared.
    """
    for statement in _TABLES:
        await session.execute(sa.text(statement))
    found = Reading(dict(base.frame_leaves), report)
    files = [file for file in FILES if file.name in tables.parts]
    for file in files:
        if file.name == ROWS:
            await _copy(session, _STAGE, _row_batches(file, tables, report))
        else:
            await asyncio.to_thread(found.read, tables, file)
            report.progress(file.name, report.counts[file.name].rows)
    await catalog.stage_known_units(session)
    named = {sku for noun in found.wanted.values() for sku in _skus_named(noun)}
    known = await catalog.known_codes(session, skus=named)
    await asyncio.to_thread(check_together, found, known)
    rows = int(await session.scalar(sa.text("SELECT count(*) FROM price_staged_leaf")) or 0)
    if rows:
        await session.execute(sa.text("ANALYZE price_staged_leaf"))
        await _check_rows(session, tables.parts[ROWS], found.lists, report)
    report.sort()
    if not report.ok:
        return Compared(added=0, changed=0, removed=0)
    kinds = [kind for file in files for kind in file.kinds]
    await _copy(session, _STAGE, _frame_batches(found))
    await _copy(session, _BASE, _base_batches(base, frozenset(kinds)))
    for table in ("price_staged_leaf", "price_base_leaf"):
        await session.execute(sa.text(f"ANALYZE {table}"))
    await session.execute(sa.text(_COMPARE), {"draft": draft_id, "kinds": kinds})
    return await _counted(session, rows, report)


async def put_into_draft(session: AsyncSession, draft_id: UUID, *, by: UUID | None, at: datetime) -> None:
    """Make the draft what was compared with it in this transaction."""
    for statement in PUT.values():
        text = statement.format(source="price_staged_change")
        await session.execute(sa.text(text), {"draft": draft_id, "by": by, "at": at})


# --- Reading ---


def _row_batches(file: PriceFile, tables: Tables, report: ImportReport) -> Iterator[bytes]:
    count = 0
    lines: list[str] = []
    for number, part in enumerate(tables.parts[file.name]):
        for row in tables.rows(part, file.columns, report, key=file.key):
            count += 1
            for name, noun in nouns_of(file, part, row, file.values(row), report):
                lines.append(_line(number, row.line, name, noun))
            if count % BATCH == 0:
                report.progress(part, count)
                yield "".join(lines).encode()
                lines.clear()
    report.progress(tables.parts[file.name][-1], count)
    yield "".join(lines).encode()


def _frame_batches(found: Reading) -> Iterator[bytes]:
    lines = (_line(0, found.lines.get(name, ("", 0))[1], name, noun) for name, noun in found.wanted.items())
    yield "".join(lines).encode()


def _base_batches(base: DraftBase, kinds: frozenset[str]) -> Iterator[bytes]:
    leaves = _base_leaves(base, kinds)
    while batch := list(itertools.islice(leaves, BATCH)):
        lines = (f"{kind}\t{_key(key)}\t{_digest(msgspec.json.encode(noun))}\n" for (kind, key), noun in batch)
        yield "".join(lines).encode()


def _base_leaves(base: DraftBase, kinds: frozenset[str]) -> Iterator[tuple[LeafName, Any]]:
    for name, noun in base.frame_leaves.items():
        if name[0] in kinds:
            yield name, noun
    if "row" in kinds:
        yield from base.stated_rows()


def _line(part: int, line: int, name: LeafName, noun: Any) -> str:
    r"""A line in the text format of COPY, where `\N` is NULL."""
    content = msgspec.json.encode(noun)
    window = "\t".join([r"\N"] * 5)
    if isinstance(noun, PriceRow):
        starts, ends = _instant(noun.starts_at), _instant(noun.ends_at)
        window = f"{noun.list}\t{noun.sku}\t{noun.unit}\t{starts}\t{ends}"
    told = _escaped(content.decode())
    return f"{part}\t{line}\t{name[0]}\t{_key(name[1])}\t{window}\t{_digest(content)}\t{told}\n"


def _key(key: Key) -> str:
    return _escaped(canonical_struct(key).decode())


def _escaped(json: str) -> str:
    """JSON holds neither tabs nor line ends as they are."""
    return json.replace("\\", "\\\\")


def _instant(instant: datetime | None) -> str:
    return r"\N" if instant is None else instant.isoformat()


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _skus_named(noun: Any) -> Iterable[str]:
    if isinstance(noun, Adjustment | Bound | QuantityRule):
        return (*noun.scope.skus, *noun.scope.excluded_skus)
    return ()


async def _copy(session: AsyncSession, statement: str, batches: Iterator[bytes]) -> None:
    """Copy the lines that *batches* gives, which works in a thread."""
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    assert isinstance(connection, psycopg.AsyncConnection)
    async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            await copy.write(batch)


# --- Checks over all rows ---


async def _check_rows(session: AsyncSession, parts: Sequence[str], lists: Iterable[str], report: ImportReport) -> None:
    most = report.most
    for query, column, message in _CHECKS:
        asked = {"most": most, "lists": list(lists)} if ":lists" in query else {"most": most}
        found = (await session.execute(sa.text(query), asked)).all()
        for row in found:
            report.refuse(parts[row.part], row.line, column, row.value, message(row))
        if found:
            report.errors_total += found[0].total - len(found)


def _same_key(row: Any) -> str:
    return same_key(row.first)


def _other_units(row: Any) -> str:
    return other_units(row.sku, row.units)


_CHECKS: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    (
        """
        SELECT part, line, unit AS value, first, count(*) OVER () AS total FROM (
            SELECT part, line, unit, row_number() OVER own > 1 AS again, first_value(line) OVER own AS first
            FROM price_staged_leaf WINDOW own AS (PARTITION BY key ORDER BY part, line)
        ) AS keyed WHERE again ORDER BY part, line LIMIT :most
        """,
        "unit",
        _same_key,
    ),
    (
        """
        SELECT part, line, list AS value, count(*) OVER () AS total FROM price_staged_leaf
        WHERE list <> ALL (:lists) ORDER BY part, line LIMIT :most
        """,
        "list",
        lambda _: NO_SUCH_LIST,
    ),
    (
        """
        SELECT part, line, sku AS value, count(*) OVER () AS total FROM price_staged_leaf AS given
        WHERE NOT EXISTS (SELECT FROM known_unit WHERE known_unit.sku = given.sku)
        ORDER BY part, line LIMIT :most
        """,
        "sku",
        lambda _: NO_SUCH_SKU,
    ),
    (
        """
        SELECT part, line, sku, unit AS value, total,
            (SELECT coalesce(array_agg(known_unit.unit), '{}') FROM known_unit
             WHERE known_unit.sku = wrong.sku AND known_unit.unit IS NOT NULL) AS units
        FROM (
            SELECT part, line, sku, unit, count(*) OVER () AS total FROM price_staged_leaf AS given
            WHERE EXISTS (SELECT FROM known_unit WHERE known_unit.sku = given.sku)
              AND NOT EXISTS (SELECT FROM known_unit AS own WHERE own.sku = given.sku AND own.unit = given.unit)
            ORDER BY part, line LIMIT :most
        ) AS wrong ORDER BY part, line
        """,
        "unit",
        _other_units,
    ),
    (
        """
        SELECT part, line, starts AS value, first, count(*) OVER () AS total FROM (
            SELECT part, line, starts, key,
                lag(line) OVER own AS first, lag(key) OVER own AS earlier_key,
                coalesce(lag(ends) OVER own, 'infinity') > coalesce(starts, '-infinity') AS meets
            FROM price_staged_leaf
            WINDOW own AS (PARTITION BY list, sku, unit ORDER BY starts NULLS FIRST, part, line)
        ) AS windows
        WHERE first IS NOT NULL AND meets AND earlier_key <> key ORDER BY part, line LIMIT :most
        """,
        "valid_from",
        lambda row: overlapping(row.first),
    ),
)
"""(what finds wrong rows, of which column, what to say): each query tells how many there are beyond those it gives."""


# --- Comparing ---


async def _counted(session: AsyncSession, rows: int, report: ImportReport) -> Compared:
    found = await session.execute(
        sa.text("SELECT kind = 'row' AS of_rows, change, count(*) FROM price_staged_change GROUP BY 1, 2")
    )
    counts = {(bool(row[0]), str(row[1])): int(row[2]) for row in found}

    def total(change: str) -> int:
        return counts.get((True, change), 0) + counts.get((False, change), 0)

    if rows:
        added, changed = counts.get((True, "added"), 0), counts.get((True, "changed"), 0)
        report.counts[ROWS] = FileCount(rows=rows, added=added, changed=changed, unchanged=rows - added - changed)
    elif ROWS not in report.counts and (True, "removed") in counts:
        report.counts[ROWS] = FileCount(rows=0, added=0, changed=0, unchanged=0)
    if total("removed"):
        report.notes.append(f"{total('removed'):,} objects that the price files no longer hold will be removed.")
    return Compared(added=total("added"), changed=total("changed"), removed=total("removed"))


_TABLES: Final = (
    "DROP TABLE IF EXISTS pg_temp.price_staged_leaf, pg_temp.price_base_leaf, pg_temp.price_staged_change",
    """
    CREATE TEMPORARY TABLE price_staged_leaf (
        part smallint, line integer, kind text, key text COLLATE "C", list text COLLATE "C", sku text COLLATE "C",
        unit text COLLATE "C", starts timestamptz, ends timestamptz, digest text, content text
    ) ON COMMIT DROP
    """,
    'CREATE TEMPORARY TABLE price_base_leaf (kind text, key text COLLATE "C", digest text) ON COMMIT DROP',
    """
    CREATE TEMPORARY TABLE price_staged_change (
        kind text, key text COLLATE "C", change text, drafted boolean, before jsonb, to_base boolean, after jsonb
    ) ON COMMIT DROP
    """,
)
_STAGE: Final = (
    "COPY price_staged_leaf (part, line, kind, key, list, sku, unit, starts, ends, digest, content) FROM STDIN"
)
_BASE: Final = "COPY price_base_leaf (kind, key, digest) FROM STDIN"
_COMPARE: Final = """
    WITH named AS (
        SELECT coalesce(staged.kind, base.kind) AS kind, coalesce(staged.key, base.key) AS key,
            staged.kind IS NOT NULL AS wanted, base.kind IS NOT NULL AS in_base,
            coalesce(staged.digest = base.digest, false) AS as_base, staged.content
        FROM price_staged_leaf AS staged
        FULL JOIN price_base_leaf AS base ON base.kind = staged.kind AND base.key = staged.key
    ),
    own AS (
        SELECT kind, key, content FROM price_draft_change WHERE draft_id = :draft AND kind = ANY (:kinds)
    ),
    told AS (
        SELECT coalesce(named.kind, own.kind) AS kind, coalesce(named.key, own.key) AS key,
            coalesce(named.wanted, false) AS wanted,
            own.kind IS NOT NULL AS drafted, own.content AS before,
            CASE WHEN own.kind IS NULL THEN named.in_base ELSE own.content IS NOT NULL END AS stood,
            CASE WHEN coalesce(named.wanted, false) THEN named.as_base ELSE NOT coalesce(named.in_base, false) END
                AS to_base,
            CASE WHEN named.wanted AND NOT named.as_base THEN named.content::jsonb END AS after
        FROM named FULL JOIN own ON own.kind = named.kind AND own.key = named.key
    )
    INSERT INTO price_staged_change
    SELECT kind, key, CASE WHEN NOT stood THEN 'added' WHEN NOT wanted THEN 'removed' ELSE 'changed' END,
        drafted, before, to_base, after
    FROM told
    WHERE (stood OR wanted)
      AND CASE WHEN to_base THEN drafted WHEN drafted THEN before IS DISTINCT FROM after ELSE true END
"""
"""*to_base*: the tables say what the base says, so that the draft needs no change of it, or has to lose one."""

PUT: Final = {
    "back": """
        DELETE FROM price_draft_change AS own USING {source} AS given
        WHERE own.draft_id = :draft AND own.kind = given.kind AND own.key = given.key AND given.to_base
    """,
    "over": """
        INSERT INTO price_draft_change (draft_id, kind, key, content, changed_by, changed_at)
        SELECT :draft, kind, key, after, :by, :at FROM {source} AS given WHERE NOT to_base
        ON CONFLICT (draft_id, kind, key) DO UPDATE
        SET content = excluded.content, changed_by = excluded.changed_by, changed_at = excluded.changed_at
    """,
}
"""What makes the draft say what *source* says."""
