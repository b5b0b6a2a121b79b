"""Past order lines priced again: how many come out as they were charged, and what the others have in common.

Each line is priced alone with one book, by the windows its rows and rules have at the line's instant, and its subtotal
(before order layers and tax) compared with what was charged, exactly. Either evaluator can do it, or both, which are
then held to each other. Lines stream; only groups are kept.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from kernel.csv_rows import Column, ImportReport, code, currency, decimal, instant, many, read_rows, text
from kernel.money import ratio, ratio_text
from pricing.engine import Book, Buyer, LineRequest, QuoteRequest, quote
from pricing.engine.columns import ticks
from pricing.engine.request import PricedLine, RefusedLine
from pricing.engine.sweep import ColumnBook, SweptLine, lines_of, sweep, texts_of
from pricing.facts import decimal_text
from pricing.import_csv import country

EXAMPLES_KEPT: Final = 3
PROGRESS_EVERY: Final = 1000
BATCH: Final = 20 * PROGRESS_EVERY
"""Lines swept at once."""


class Evaluator(StrEnum):
    """Which evaluator prices the lines. `SWEEP` leaves those that come out different from what was charged to the
    scalar one, for the sake of their traces.
    """

    SCALAR = "scalar"
    SWEEP = "sweep"
    BOTH = "both"


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """*line* is the order line's number, *file_line* where it stands in the file."""

    reference: str
    line: str
    file_line: int
    sku: str
    unit: str | None
    quantity: str
    currency: str
    at: datetime
    buyer: Buyer
    expected: str


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """*priced* carries the trace, or the reason of a refusal."""

    asked: OrderLine
    priced: PricedLine | RefusedLine


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that differ in the same way: *outcome* is `refused`, `too_high` (we ask more than was charged) or
    `too_low`; *reason* that of the refusal; *rules* the list and the adjustments and bounds that acted.

    *difference* is ours less what was charged, added up over the group, by currency.
    """

    outcome: str
    reason: str | None
    rules: tuple[str, ...]
    count: int
    difference: dict[str, str]
    examples: tuple[Example, ...]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """*groups*: the largest first. *compared*: lines that both evaluators priced; *unlike*: those of them on which they
    did not agree. *left*: swept lines which sweep itself had left to the scalar evaluator.
    """

    root: str
    lines: int
    equal: int
    groups: tuple[Deviation, ...]
    compared: int
    unlike: int
    left: int


class _Group:
    def __init__(self) -> None:
        self.count = 0
        self.examples: list[Example] = []
        self.difference: dict[str, Fraction] = {}


def replay(
    path: Path,
    book: ColumnBook,
    report: ImportReport,
    *,
    evaluator: Evaluator = Evaluator.BOTH,
    progress: Callable[[int], None] | None = None,
) -> Replay:
    """Price the lines of the file *path* again. Rows that cannot be read are in *report* and not among the lines.

    *progress* is called with the number of lines done, every thousand and at the end.
    """
    groups: dict[tuple[str, str | None, tuple[str, ...]], _Group] = {}
    lines = equal = compared = unlike = left = 0
    stream = read_order_lines(path, report)
    while batch := list(islice(stream, BATCH)):
        swept, by_scalar = ([None] * len(batch), 0) if evaluator is Evaluator.SCALAR else _swept(batch, book)
        left += by_scalar
        for asked, fast in zip(batch, swept, strict=True):
            lines += 1
            if fast is not None and evaluator is Evaluator.SWEEP and _charged(asked, fast.subtotal):
                equal += 1
            else:
                priced = price_again(asked, book)
                if fast is not None:
                    compared += 1
                    unlike += fast != texts_of(priced)
                if isinstance(priced, PricedLine) and _charged(asked, priced.subtotal):
                    equal += 1
                else:
                    _add(groups, asked, priced)
            if progress is not None and lines % PROGRESS_EVERY == 0:
                progress(lines)
    if progress is not None:
        progress(lines)
    found = [
        Deviation(
            outcome=outcome,
            reason=reason,
            rules=rules,
            count=group.count,
            difference={
                name: ratio_text(*total.as_integer_ratio()) for name, total in sorted(group.difference.items())
            },
            examples=tuple(group.examples),
        )
        for (outcome, reason, rules), group in groups.items()
    ]
    found.sort(key=lambda group: (-group.count, group.outcome, group.reason or "", group.rules))
    return Replay(
        root=book.root,
        lines=lines,
        equal=equal,
        groups=tuple(found),
        compared=compared,
        unlike=unlike,
        left=left,
    )


def price_again(asked: OrderLine, book: Book) -> PricedLine | RefusedLine:
    request = QuoteRequest(
        buyer=asked.buyer,
        currency=asked.currency,
        lines=(LineRequest(sku=asked.sku, unit=asked.unit, quantity=asked.quantity),),
    )
    return quote(request, book=book, at=asked.at).lines[0]


def _swept(batch: list[OrderLine], book: ColumnBook) -> tuple[list[SweptLine | None], int]:
    """What sweep says of each line, and how many it left to the scalar evaluator."""
    found: list[SweptLine | None] = [None] * len(batch)
    left = 0
    for paid_in in sorted({asked.currency for asked in batch}):
        places = [place for place, asked in enumerate(batch) if asked.currency == paid_in]
        buyers: dict[Buyer, int] = {}
        buyer_of = np.array([buyers.setdefault(batch[place].buyer, len(buyers)) for place in places])
        lines = lines_of(
            book.columns,
            [
                LineRequest(sku=batch[place].sku, unit=batch[place].unit, quantity=batch[place].quantity)
                for place in places
            ],
            currency=paid_in,
            buyers=tuple(buyers),
            buyer_of=buyer_of,
        )
        swept = sweep(lines, book=book, at=np.array([ticks(batch[place].at) for place in places]))
        left += int(swept.by_scalar.sum())
        for number, place in enumerate(places):
            found[place] = swept.line(number)
    return found, left


def _charged(asked: OrderLine, subtotal: str | None) -> bool:
    return subtotal is not None and ratio(subtotal) == ratio(asked.expected)


def read_order_lines(path: Path, report: ImportReport) -> Iterator[OrderLine]:
    """The rows of the file that are right; the others are in *report*."""
    seen: set[int] = set()
    for row in read_rows(path, COLUMNS, report):
        reference, line, sku, unit, quantity, paid_in, at, company, segments, delivery, expected = row.values
        key = hash((reference, line))  # millions of lines: a number each, not their texts
        if key in seen:
            report.refuse(path.name, row.line, "line", line, f"order {reference} has this line already")
            continue
        seen.add(key)
        yield OrderLine(
            reference=reference,
            line=line,
            file_line=row.line,
            sku=sku,
            unit=unit,
            quantity=quantity,
            currency=paid_in,
            at=at,
            buyer=Buyer(company=company, segments=segments, country=delivery),
            expected=expected,
        )


def _add(
    groups: dict[tuple[str, str | None, tuple[str, ...]], _Group], asked: OrderLine, priced: PricedLine | RefusedLine
) -> None:
    if isinstance(priced, RefusedLine):
        group = groups.setdefault(("refused", priced.reason, ()), _Group())
    else:
        ours, scale = ratio(priced.subtotal)
        charged, charged_scale = ratio(asked.expected)
        difference = Fraction(ours, scale) - Fraction(charged, charged_scale)
        rules = (priced.trace.list, *(step.rule for step in priced.trace.steps if step.rule and step.phase != "price"))
        outcome = "too_high" if difference > 0 else "too_low"
        group = groups.setdefault((outcome, None, tuple(dict.fromkeys(rules))), _Group())
        group.difference[asked.currency] = group.difference.get(asked.currency, Fraction()) + difference
    group.count += 1
    if len(group.examples) < EXAMPLES_KEPT:
        group.examples.append(Example(asked=asked, priced=priced))


def _quantity(cell: str) -> str:
    return decimal_text(decimal(6)(cell))


def _total(cell: str) -> str:
    return decimal_text(decimal(12)(cell))


COLUMNS: Final = (
    Column("reference", text(200)),
    Column("line", text(50)),
    Column("sku", text(200)),
    Column("unit", code, optional=True),
    Column("quantity", _quantity),
    Column("currency", currency),
    Column("at", instant),
    Column("company", text(200), optional=True),
    Column("segments", many(code), optional=True, empty=()),
    Column("country", country, optional=True),
    Column("expected_line_total", _total),
)
