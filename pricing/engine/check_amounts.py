"""What many lines cost, each as an order of its own: what the checks of prices compare."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from kernel.money import ratio
from pricing.engine.book import SkuEntry
from pricing.engine.check_breaks import Buyable
from pricing.engine.columns import QUANTITY_DECIMALS, Columns, columns_of, ticks
from pricing.engine.evaluate import quote
from pricing.engine.memory import Book
from pricing.engine.request import Buyer, LineRequest, PricedLine, QuoteRequest, RefusedLine, TaxInput, TaxRate
from pricing.engine.rules import Ratio, Rules, places
from pricing.engine.sweep import ColumnBook, Lines, sweep

Ints = NDArray[np.int64]
Array = NDArray[Any]

REFUSED = -1
FEW = 1_000
"""Up to so many questions the columns of a book are not worth making."""
_MOST = 2**62


class Asker(NamedTuple):
    """Who asks, in which currency."""

    buyer: Buyer
    currency: str


class EntriesBook:
    """A book of entries that were found sound."""

    root = ""

    def __init__(self, rules: Rules, entries: Iterable[SkuEntry]) -> None:
        self.rules = rules
        self._entries = {entry.facts.sku: entry for entry in entries}
        self._columns: Columns | None = None

    @property
    def columns(self) -> Columns:
        if self._columns is None:
            self._columns = columns_of(self.rules.frame, self._entries.values())
        return self._columns

    def entry(self, sku: str) -> SkuEntry | None:
        return self._entries.get(sku)

    def entry_of_lists(self, sku: str, lists: Container[str]) -> SkuEntry | None:  # noqa: ARG002 - all are at hand
        return self._entries.get(sku)


class Asked(NamedTuple):
    """Questions for lines of one unit at one instant: row by row a SKU and an asker (positions), and the numbers of the
    quantities to ask for. *whole*: rules on the order may act.
    """

    skus: Ints
    askers: Ints
    numbers: Ints
    of: Buyable
    at: datetime
    whole: Array


class Costs(NamedTuple):
    """In the shape of the numbers asked for: net *amounts* in the asker's currency, order rules included, `REFUSED`
    where there is none or it is beyond 64 bits; and the lists they are by (positions).
    """

    amounts: Ints
    lists: Ints


class Amounts:
    """Answers questions about one book."""

    def __init__(self, book: Book, entries: Sequence[SkuEntry], askers: Sequence[Asker]) -> None:
        self.book = book
        self._entries = entries
        self._askers = askers
        frame = book.rules.frame
        self._lists = {noun.code: number for number, noun in enumerate(frame.lists)}
        self._columnar: ColumnBook | None = cast(ColumnBook, book) if hasattr(type(book), "columns") else None
        categories = sorted({entry.facts.tax_category for entry in entries})
        self._tax: TaxInput | None = None
        if any(noun.tax_included for noun in frame.lists):
            # what a buyer owes is no matter of the book: prices that include tax are compared as if it were none
            self._tax = TaxInput(rates=tuple(TaxRate(category=one, percent="0") for one in categories))

    @cached_property
    def _codes(self) -> Ints:
        """The columns' number of each entry's SKU."""
        assert self._columnar is not None
        return self._columnar.columns.codes_of(entry.facts.sku for entry in self._entries).astype(np.int64)

    def decimals(self, currency: str) -> int:
        """Of the amounts in that currency."""
        return places(self.book.rules.policy.line, currency)

    def costs(self, questions: Sequence[Asked]) -> list[Costs]:
        """Answers in the order of the questions."""
        found = [Costs(np.empty_like(asked.numbers), np.empty_like(asked.numbers)) for asked in questions]
        count = sum(asked.numbers.size for asked in questions)
        by_columns = count > FEW and self._columnar is not None
        for asked, costs in zip(questions, found, strict=True):
            swept = by_columns and _decimals(asked.of.step) is not None
            rows = np.flatnonzero(asked.whole) if swept else np.arange(len(asked.skus))
            self._one_by_one(asked, costs, rows)
        if by_columns:
            self._by_columns(questions, found)
        return found

    def line(self, asker: Asker, sku: str, unit: str, quantity: str, at: datetime) -> PricedLine | RefusedLine:
        """One line, with its trace."""
        request = QuoteRequest(
            buyer=asker.buyer,
            currency=asker.currency,
            lines=(LineRequest(sku=sku, quantity=quantity, unit=unit),),
            tax=self._tax,
        )
        return quote(request, book=self.book, at=at).lines[0]

    def line_of(self, sku: int, asker: int, of: Buyable, number: int, at: datetime) -> PricedLine | RefusedLine:
        return self.line(self._askers[asker], self._entries[sku].facts.sku, of.unit, of.text(number), at)

    def one(self, sku: int, asker: int, of: Buyable, number: int, at: datetime) -> tuple[int, int]:
        """The amount and the list of one question, as in `Costs`."""
        line = self.line_of(sku, asker, of, number, at)
        if isinstance(line, RefusedLine):
            return REFUSED, REFUSED
        net, over = ratio(line.net)
        amount = net * 10 ** self.decimals(self._askers[asker].currency) // over
        return amount if amount <= _MOST else REFUSED, self._lists[line.trace.list]

    def _one_by_one(self, asked: Asked, costs: Costs, rows: Iterable[int]) -> None:
        for row in rows:
            sku, asker = int(asked.skus[row]), int(asked.askers[row])
            for column, number in enumerate(asked.numbers[row].tolist()):
                costs.amounts[row, column], costs.lists[row, column] = self.one(sku, asker, asked.of, number, asked.at)

    def _by_columns(self, questions: Sequence[Asked], found: Sequence[Costs]) -> None:
        """All questions of a currency together: a sweep has its price, whatever its size."""
        book = self._columnar
        assert book is not None
        currencies = np.array([asker.currency for asker in self._askers])
        portions: dict[tuple[str, int], list[tuple[Asked, Costs, Ints]]] = {}
        for asked, costs in zip(questions, found, strict=True):
            decimals = _decimals(asked.of.step)
            if decimals is None:
                continue
            of_askers = currencies[asked.askers]
            for currency in np.unique(of_askers).tolist():
                rows = np.flatnonzero((of_askers == currency) & ~asked.whole)
                if len(rows):
                    portions.setdefault((currency, decimals), []).append((asked, costs, rows))
        for (currency, decimals), portion in portions.items():
            self._sweep(book, currency, decimals, portion)

    def _sweep(
        self, book: ColumnBook, currency: str, decimals: int, portion: Sequence[tuple[Asked, Costs, Ints]]
    ) -> None:
        skus, askers, units, quantities, instants = [], [], [], [], []
        for asked, _, rows in portion:
            numbers = asked.numbers[rows]
            width, step = numbers.shape[1], asked.of.step
            skus.append(np.repeat(self._codes[asked.skus[rows]], width))
            askers.append(np.repeat(asked.askers[rows], width))
            quantities.append(numbers.reshape(-1) * (10**decimals * step[0] // step[1]))
            units.append(np.full(numbers.size, book.columns.unit_of(asked.of.unit)))
            instants.append(np.full(numbers.size, ticks(asked.at)))
        lines = Lines(
            skus=np.concatenate(skus),
            quantities=np.concatenate(quantities),
            currency=currency,
            buyers=[asker.buyer for asker in self._askers],
            buyer_of=np.concatenate(askers),
            units=np.concatenate(units),
            quantity_decimals=decimals,
        )
        swept = sweep(lines, book=book, at=np.concatenate(instants), tax=self._tax)
        amounts = np.where(swept.reasons == 0, swept.subtotals, REFUSED)
        for number in np.flatnonzero(swept.by_scalar & (amounts == 0)).tolist():
            if ratio(str(swept.line(number).subtotal))[0]:
                amounts[number] = REFUSED
        start = 0
        for asked, costs, rows in portion:
            shape = len(rows), asked.numbers.shape[1]
            end = start + shape[0] * shape[1]
            costs.amounts[rows] = amounts[start:end].reshape(shape)
            costs.lists[rows] = swept.lists[start:end].reshape(shape)
            start = end


def _decimals(step: Ratio) -> int | None:
    """Those of its multiples; None for more than can be swept."""
    return next((places for places in range(QUANTITY_DECIMALS + 1) if not 10**places * step[0] % step[1]), None)
