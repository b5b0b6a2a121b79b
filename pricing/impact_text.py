"""An impact in plain text, for the command line: the totals of each currency, and what moves most."""

from collections.abc import Iterator, Sequence

from kernel.money import fixed
from pricing.impact import Block, Group, Impact
from pricing.impact_csv import percent

SHOWN = 5
"""Movers of each kind and direction; the files have all."""


def lines(title: str, impact: Impact, noun: str) -> Iterator[str]:
    """*noun*: what is counted besides lines, in the singular."""
    yield f"{title}: {impact.orders:,} {noun}{_s(impact.orders)}, {impact.lines:,} line{_s(impact.lines)}"
    for block in impact.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    total, places = block.total, block.decimals
    parts = [_part(total.margin_before, total.costed_before), _part(total.margin_after, total.costed_after)]
    yield f"  {block.currency}"
    yield f"    revenue {_moved(total.before, total.after, places)}, of lines that both books price"
    yield (
        f"    margin  {_moved(total.margin_before, total.margin_after, places)}, "
        f"{' -> '.join(parts)} of revenue"
        + (f"; {total.uncosted:,} line{_s(total.uncosted)} without a known cost left out" if total.uncosted else "")
    )
    yield f"    lines   {total.raised:,} dearer, {total.lowered:,} cheaper, {total.same:,} the same"
    for count, amount, said, reasons in (
        (total.lost, total.lost_amount, "lose their price", block.lost),
        (total.gained, total.gained_amount, "get a price", block.gained),
    ):
        if count:
            why = ", ".join(f"{one.reason} {one.lines:,}" for one in reasons)
            yield f"            {count:,} {said}, {fixed(amount, places)} ({why})"
    if total.unpriced:
        yield f"            {total.unpriced:,} with a price in neither book"
    dearer = sum(group.figures.change > 0 for group in block.companies)
    yield f"    {dearer:,} of {len(block.companies):,} companies pay more"
    for title, groups in (("companies", block.companies), ("categories", block.categories), ("SKUs", block.skus)):
        yield from _movers(title, groups, places)


def _movers(title: str, groups: Sequence[Group], places: int) -> Iterator[str]:
    moved = sorted((group for group in groups if group.figures.change), key=lambda group: -group.figures.change)
    up = [group for group in moved if group.figures.change > 0][:SHOWN]
    down = [group for group in moved if group.figures.change < 0][-SHOWN:]
    if moved:
        yield f"    {title} that move most"
    for group in (*up, *down):
        figures = group.figures
        yield f"      {group.key or '(none)':<28} {_moved(figures.before, figures.after, places)}"


def _moved(before: int, after: int, places: int) -> str:
    sign = "+" if after > before else ""
    part = percent(after - before, before) if before > 0 else None
    said = "" if part is None else f" ({sign}{part} %)"
    return f"{fixed(before, places)} -> {fixed(after, places)}: {sign}{fixed(after - before, places)}{said}"


def _part(part: int, whole: int) -> str:
    found = percent(part, whole)
    return "none" if found is None else f"{found} %"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
