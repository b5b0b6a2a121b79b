"""What a SKU has cost one reader over time, and the lowest price of the 30 days before each reduction (article 6a of
Directive 98/6/EC, "Omnibus").

The price is that of one quantity, as every channel answers it: the subtotal of a line of that quantity, alone in its
order. A stretch is a half-open period in which one book, and no edge of a window inside it, leaves the price as it is.
The reader is the one of today: past prices are those that its company and segments of today would have had.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, Protocol

import msgspec

from pricing.books import InForce
from pricing.compiled import CompiledBook
from pricing.engine import Book, Buyer
from pricing.engine.book import Instant
from pricing.engine.request import PricedLine, TaxInput
from pricing.ladder import edges_of_sku, price_of

REFERENCE: Final = timedelta(days=30)
"""How far before a reduction its lowest price is looked for."""
STRETCHES_KEPT: Final = 20_000


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """From *begins* until *ends* (None: still) a line of the quantity came to *line_total* (with tax where
    *tax_included*) and without tax to *net*, one *price_unit* costing *unit_price* (None where tiers price the line as
    a whole), by the book *root*. Where it could not be bought, *refused* is the reason and there are no amounts.
    """

    begins: Instant
    ends: Instant | None
    root: str
    publication: int
    line_total: str | None
    net: str | None
    unit_price: str | None
    price_unit: str | None
    tax_included: bool | None
    list: str | None
    refused: str | None


class Reduction(msgspec.Struct, frozen=True, kw_only=True):
    """At *at* the line's net price fell from *before* to *after*. *lowest* is the stretch with the least price in the
    30 days before, the latest of several; *known_since*: where the prices known in these days begin.
    """

    at: Instant
    before: str
    after: str
    lowest: Stretch
    known_since: Instant


class History(msgspec.Struct, frozen=True, kw_only=True):
    """*stretches* in order, without gaps but where no book was in force."""

    stretches: tuple[Stretch, ...]
    reductions: tuple[Reduction, ...]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Whose price of what: the same question to every book."""

    buyer: Buyer
    currency: str
    sku: str
    unit: str | None
    quantity: str
    tax: TaxInput | None


class Books(Protocol):
    """`pricing.books.PriceBooks`."""

    def published(self) -> tuple[InForce, ...]: ...
    async def load(self, root: str) -> CompiledBook: ...


class PriceHistory:
    """The past never changes, so what was worked out of it is kept."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._kept: OrderedDict[tuple[int, Asked], tuple[Stretch, ...]] = OrderedDict()

    async def of(self, asked: Asked, *, since: datetime, now: datetime) -> History:
        """The stretches that reach into the time from *since* to *now*, and the reductions in it.

        :raises BookUnavailable: and what else `PriceBooks.load` raises
        """
        found: list[Stretch] = []
        log = [entry for entry in self._books.published() if entry.effective_at <= now]
        begin = max(bisect_right([entry.effective_at for entry in log], since - REFERENCE) - 1, 0)
        for number, entry in enumerate(log[begin:], start=begin):
            last = number == len(log) - 1
            end = None if last else log[number + 1].effective_at
            if end is not None and end <= entry.effective_at:
                continue
            found += await self._of_book(entry, asked, end=end)
        known = [stretch for stretch in found if stretch.begins <= now]
        if known:
            known[-1] = msgspec.structs.replace(known[-1], ends=None)
        reductions = [each for each in _reductions(known) if each.at > since]
        return History(
            stretches=tuple(each for each in known if each.ends is None or each.ends > since),
            reductions=tuple(reductions),
        )

    async def reduced(self, asked: Asked, *, now: datetime) -> Reduction | None:
        """The reduction that the price of now is, if it is not older than 30 days.

        :raises BookUnavailable: as `of`
        """
        history = await self.of(asked, since=now - REFERENCE, now=now)
        last = history.reductions[-1] if history.reductions else None
        return last if last is not None and last.at == history.stretches[-1].begins else None

    async def _of_book(self, entry: InForce, asked: Asked, *, end: datetime | None) -> tuple[Stretch, ...]:
        """The stretches of one publication, up to *end*; all that its book says when there is none yet."""
        name = (entry.number, asked)
        kept = self._kept.pop(name, None)
        if kept is None:
            kept = tuple(_stretches(await self._books.load(entry.root), entry, asked))
        self._kept[name] = kept
        while len(self._kept) > STRETCHES_KEPT:
            self._kept.popitem(last=False)
        if end is None:
            return kept
        cut = [stretch for stretch in kept if stretch.begins < end]
        last = cut[-1]
        if last.ends is None or last.ends > end:
            cut[-1] = msgspec.structs.replace(last, ends=end)
        return tuple(cut)


def lowest_before(stretches: tuple[Stretch, ...], at: datetime) -> Stretch | None:
    """The stretch of the least price among those that reach into the 30 days before *at*; of equal ones the latest."""
    priced = [
        stretch
        for stretch in stretches
        if stretch.net is not None and stretch.begins < at and (stretch.ends is None or stretch.ends > at - REFERENCE)
    ]
    return min(reversed(priced), key=_amount, default=None)


def _reductions(stretches: list[Stretch]) -> Iterator[Reduction]:
    every = tuple(stretches)
    for before, after in pairwise(stretches):
        if before.net is None or after.net is None or _amount(after) >= _amount(before):
            continue
        lowest = lowest_before(every, after.begins)
        assert lowest is not None, "the price before is one of them"
        yield Reduction(
            at=after.begins,
            before=before.net,
            after=after.net,
            lowest=lowest,
            known_since=max(every[0].begins, after.begins - REFERENCE),
        )


def _stretches(book: Book, entry: InForce, asked: Asked) -> Iterator[Stretch]:
    """What the book says from its instant on, neighbours of equal price put together."""
    known = book.entry(asked.sku)
    edges = [] if known is None else edges_of_sku(book, known, asked.buyer, asked.currency)
    begins = [entry.effective_at, *(edge for edge in edges if edge > entry.effective_at)]
    made: Stretch | None = None
    for begin in begins:
        stretch = _stretch(book, entry, asked, begin)
        if made is None:
            made = stretch
        elif _said(made) != _said(stretch):
            yield msgspec.structs.replace(made, ends=begin)
            made = stretch
    assert made is not None, "there is an instant at least"
    yield made


def _stretch(book: Book, entry: InForce, asked: Asked, begin: datetime) -> Stretch:
    line = price_of(
        book,
        asked.buyer,
        currency=asked.currency,
        sku=asked.sku,
        unit=asked.unit,
        quantity=asked.quantity,
        tax=asked.tax,
        at=begin,
    ).line
    priced = line if isinstance(line, PricedLine) else None
    return Stretch(
        begins=begin,
        ends=None,
        root=entry.root,
        publication=entry.number,
        line_total=None if priced is None else priced.subtotal,
        net=None if priced is None else priced.net,
        unit_price=None if priced is None else priced.unit_price,
        price_unit=None if priced is None else priced.price_unit,
        tax_included=None if priced is None else priced.tax_included,
        list=None if priced is None else priced.trace.list,
        refused=None if isinstance(line, PricedLine) else line.reason,
    )


def _said(stretch: Stretch) -> Stretch:
    """The stretch without its time."""
    return msgspec.structs.replace(stretch, begins=_NEVER, ends=None)


def _amount(stretch: Stretch) -> Decimal:
    return Decimal(stretch.net or 0)


_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
