"""What publications did to the prices of one SKU: row by row, newest first."""

from collections.abc import Iterator

import msgspec

from pricing.content import key_of, plain, root_text
from pricing.engine.book import PriceRow
from pricing.model import PricePublication
from pricing.service import Change, Pricing


class SkuStep(msgspec.Struct, frozen=True, kw_only=True):
    """What one publication did to the SKU's rows."""

    publication: PricePublication
    changes: tuple[Change, ...]


class SkuHistory(msgspec.Struct, frozen=True, kw_only=True):
    """*looked_at*: how many publications, the last ones; *more*: there are older ones. *priced*: any has a row."""

    steps: tuple[SkuStep, ...]
    looked_at: int
    more: bool
    priced: bool


async def history_of(pricing: Pricing, sku: str, *, most: int) -> SkuHistory:
    """The publications that changed a row of the SKU, among the last *most*."""
    entries = await pricing.list_publications(most + 1)
    rows_of: dict[bytes, tuple[PriceRow, ...]] = {}
    for root in dict.fromkeys(entry.root for entry in entries):
        found = (await pricing.books.load(root_text(root))).entry(sku)
        rows_of[root] = () if found is None else found.rows
    steps = []
    for number, publication in enumerate(entries[:most]):
        before = rows_of[entries[number + 1].root] if number + 1 < len(entries) else ()
        changes = tuple(_moved(before, rows_of[publication.root]))
        if changes:
            steps.append(SkuStep(publication=publication, changes=changes))
    return SkuHistory(
        steps=tuple(steps),
        looked_at=min(len(entries), most),
        more=len(entries) > most,
        priced=any(rows_of.values()),
    )


def _moved(before: tuple[PriceRow, ...], after: tuple[PriceRow, ...]) -> Iterator[Change]:
    """Rows that differ, by list, unit and start."""
    sides = [{key_of("row", row): plain(row) for row in rows} for rows in (before, after)]
    for key in sorted(sides[0].keys() | sides[1].keys()):
        old, new = sides[0].get(key), sides[1].get(key)
        if old != new:
            yield Change(kind="row", key=key, before=old, after=new, seen=None, changed_by=None, changed_at=None)
