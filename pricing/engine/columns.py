"""A book as arrays of whole numbers, for `sweep`: SKUs in the order of their codes, rows by list, unit and SKU.

Which row prices a SKU in a list is found as in a bitmap with counted bits: a set bit says that the SKU has rows there,
the bits before it say which. Bounds of tiers are shared by all rows of equal bounds. Prices, fees, costs and
quantities are whole numbers of one declared number of decimals, six at most; what does not fit (finer prices, package
rows, unit factors with a fraction) is marked *odd* and left to the scalar evaluator.

The arrays are flat and can be mapped from a file. No array holds an object.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from kernel.money import ratio
from pricing.engine.book import BookContent, Frame, PriceRow, RowModel, SkuEntry, SkuFacts, UnitFact
from pricing.engine.memory import MemoryBook, entries_of, frame_of

Ints = NDArray[np.int64]
Array = NDArray[Any]

QUANTITY_DECIMALS: Final = 6
MAX_PRICE_DECIMALS: Final = 6
MAX_TIERS: Final = 16
MAX_LADDERS: Final = 1 << 20
BEGINNING: Final = -(2**63)
END: Final = 2**63 - 1
NO_COST: Final = -1
ODD_COST: Final = -2
ODD_FACTOR: Final = 0
ODD, VOLUME, GRADUATED = range(3)
"""How a ladder prices: not by columns; the reached tier prices all; each slice at its own tier."""

PAGE_WORDS: Final = 8
PAGE_SKUS: Final = 64 * PAGE_WORDS
_MICRO: Final = 10**QUANTITY_DECIMALS
_MOST: Final = 2**61
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_PARSED_KEPT: Final = 200_000
_NO_FEE: Final = {"0"}


class Kind(msgspec.Struct, frozen=True):
    """What SKUs share that is no matter of rules: their units, and how they are taxed."""

    units: tuple[UnitFact, ...]
    tax_category: str


class _Figures(msgspec.Struct, frozen=True, kw_only=True):
    price_decimals: int
    cost_decimals: int
    width: int
    units: tuple[str, ...]
    kinds: tuple[Kind, ...]


class Columns:
    """The arrays, and what is asked of them. SKU codes are positions in the order of the codes' bytes."""

    def __init__(self, frame: Frame, arrays: Mapping[str, Array]) -> None:
        figures = msgspec.msgpack.decode(arrays["figures"].tobytes(), type=_Figures)
        self.frame = frame
        self._arrays = dict(arrays)
        self.price_decimals = figures.price_decimals
        self.cost_decimals = figures.cost_decimals
        self.width = figures.width
        self.kinds = figures.kinds
        self.units = figures.units
        """The names of all units of the book; a line's unit is a position here."""
        self.unit_places = max((len(kind.units) for kind in figures.kinds), default=1)
        """The most units a SKU has."""
        self._codes = _Codes(arrays["codes"], arrays["code_ends"])
        self.kind_of: Array = arrays["kind_of"]
        self.scope_of: Array = arrays["scope_of"]
        self.slots: Ints = arrays["slots"].astype(np.int64)
        self.directory: Array = arrays["directory"]
        self.pages: Array = arrays["pages"]
        self.run_first: Array = arrays["run_first"]
        self.row_ladder: Array = arrays["row_ladder"]
        self.row_first: Array = arrays["row_first"]
        self.row_window: Array = arrays["row_window"]
        self.window_starts: Ints = arrays["window_starts"]
        self.window_ends: Ints = arrays["window_ends"]
        self.ladder_model: Array = arrays["ladder_model"]
        self.ladder_size: Array = arrays["ladder_size"]
        self.bounds: Ints = arrays["bounds"]
        self.prices: Array = arrays["prices"]
        self.fees: Array = arrays["fees"]
        self.pages_a_slot = -(-len(self._codes) // PAGE_SKUS)
        names = {name: at for at, name in enumerate(self.units)}
        shape = (len(self.kinds), self.unit_places)
        factors, decimals = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        ordinals = np.full((len(self.kinds), len(self.units)), -1, np.int64)
        for number, kind in enumerate(self.kinds):
            for ordinal, unit in enumerate(kind.units):
                factors[number, ordinal] = _factor(unit)
                decimals[number, ordinal] = unit.decimals
                ordinals[number, names[unit.unit]] = ordinal
        self.factors: Ints = factors.ravel()
        """Base units in a unit, by kind and place of the unit; 0 where that is no whole number."""
        self.decimals: Ints = decimals.ravel()
        self.ordinals: Ints = ordinals.ravel()
        """The place of a unit among those of the kind, by kind and unit; -1 where the kind does not have it."""
        self.memo: dict[Any, Any] = {}
        """What `sweep` keeps of this book between calls."""

    def __len__(self) -> int:
        """How many SKUs."""
        return len(self._codes)

    def arrays(self) -> dict[str, Array]:
        return dict(self._arrays)

    @classmethod
    def of_arrays(cls, frame: Frame, arrays: Mapping[str, Array]) -> "Columns":
        """The columns whose `arrays` these are, without a copy of them."""
        return cls(frame, arrays)

    def under(self, frame: Frame) -> "Columns":
        """The same SKUs and rows under the lists of another *frame*; rows of lists that it lacks are left out. For SKUs
        that its scopes name and this frame's do not, other columns are needed.
        """
        slots = np.zeros(self.unit_places * len(frame.lists), np.int64)
        stood = {noun.code: at for at, noun in enumerate(self.frame.lists)}
        for at, noun in enumerate(frame.lists):
            if noun.code in stood:
                slots[at :: len(frame.lists)] = self.slots[stood[noun.code] :: len(stood)]
        return Columns(frame, {**self._arrays, "slots": slots})

    def code_of(self, sku: str) -> int:
        """-1 for a SKU the book does not know."""
        key = sku.encode(errors="surrogatepass")
        found = bisect_left(self._codes, key)
        return found if found < len(self._codes) and self._codes[found] == key else -1

    def codes_of(self, skus: Iterable[str]) -> NDArray[np.int32]:
        known: dict[str, int] = {}
        codes = array("i")
        for sku in skus:
            code = known.get(sku)
            if code is None:
                code = known[sku] = self.code_of(sku)
            codes.append(code)
        return np.array(codes)

    def sku(self, code: int) -> str:
        code_bytes: bytes = self._codes[code]
        return code_bytes.decode()

    def unit_of(self, unit: str | None) -> int:
        """A unit's position in `units`: -1 for None (the base unit), -2 for one no SKU has."""
        if unit is None:
            return -1
        return self.units.index(unit) if unit in self.units else -2

    def facts_of(self, scope: int) -> SkuFacts:
        """Facts of one SKU of the scope; all of it meet the same rules, bounds and quantity rules."""
        ends = self._arrays["scope_ends"]
        blob = self._arrays["scopes"][ends[scope - 1] if scope else 0 : ends[scope]]
        return msgspec.msgpack.decode(blob.tobytes(), type=SkuFacts)

    @property
    def scope_count(self) -> int:
        return len(self._arrays["scope_ends"])

    def costs_in(self, currency: str) -> Ints | None:
        """By SKU, in units of `cost_decimals`; `NO_COST`, `ODD_COST`."""
        found = self._arrays.get(f"cost.{currency}")
        return None if found is None else found.astype(np.int64, copy=False)


class ColumnsBuilder:
    """Takes a book's entries one by one, keeps numbers only, and makes its columns."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._lists = {noun.code: at for at, noun in enumerate(frame.lists)}
        scopes = [noun.scope for noun in frame.adjustments]
        scopes += [noun.scope for noun in frame.bounds]
        scopes += [noun.scope for noun in frame.quantity_rules]
        self._named = {sku for scope in scopes for sku in (*scope.skus, *scope.excluded_skus)}
        self._codes = bytearray()
        self._code_ends = array("q")
        self._kinds: dict[Kind, int] = {}
        self._kind_of = array("i")
        self._scopes: dict[tuple[tuple[str, ...], str | None, str | None], int] = {}
        self._scope_facts = bytearray()
        self._scope_ends = array("q")
        self._scope_of = array("i")
        self._row_slot = array("i")
        self._row_sku = array("i")
        self._row_ladder = array("i")
        self._row_first = array("q")
        self._row_window = array("i")
        self._windows: dict[tuple[int, int], int] = {(BEGINNING, END): 0}
        # the first ladder is that of odd rows
        self._ladders: dict[tuple[Any, ...], int] = {(): 0}
        self._ladder_bounds: list[tuple[int, tuple[int, ...]]] = [(ODD, ())]
        self._prices = array("q")
        self._fees = array("q")
        self._numbers = _Numbers()
        self._cost_numbers = _Numbers()
        self._costs: dict[str, tuple[array[int], array[int]]] = {}

    def add(self, entry: SkuEntry) -> None:
        """Entries may come in any order, each SKU once."""
        facts = entry.facts
        number = len(self._code_ends)
        self._codes += facts.sku.encode()
        self._code_ends.append(len(self._codes))
        kind = Kind(facts.units, facts.tax_category)
        self._kind_of.append(self._kinds.setdefault(kind, len(self._kinds)))
        self._scope_of.append(self._scope(facts))
        places = {unit.unit: at for at, unit in enumerate(facts.units)}
        for row in entry.rows:
            self._row_slot.append(places[row.unit] * len(self._lists) + self._lists[row.list])
            self._row_sku.append(number)
            self._row_window.append(self._window(row))
            self._row_first.append(len(self._prices))
            self._row_ladder.append(self._ladder_with_prices(row))
        for cost in entry.costs:
            skus, values = self._costs.setdefault(cost.currency, (array("i"), array("q")))
            skus.append(number)
            value = self._cost_numbers.read(cost.cost)
            values.append(ODD_COST if value is None else value)

    def columns(self) -> Columns:
        order, rank = self._order()
        figures = _Figures(
            price_decimals=self._numbers.places,
            cost_decimals=self._cost_numbers.places,
            width=_power_of_two(max(len(bounds) for _, bounds in self._ladder_bounds)),
            units=tuple(sorted({unit.unit for kind in self._kinds for unit in kind.units})),
            kinds=tuple(self._kinds),
        )
        codes, code_ends = self._codes_in(order)
        arrays: dict[str, Array] = {
            "figures": np.frombuffer(msgspec.msgpack.encode(figures), np.uint8),
            "codes": codes,
            "code_ends": code_ends,
            "kind_of": _narrow(_ints(self._kind_of)[order]),
            "scope_of": _narrow(_ints(self._scope_of)[order]),
            "scopes": np.frombuffer(bytes(self._scope_facts), np.uint8),
            "scope_ends": _ints(self._scope_ends),
            "window_starts": np.array([start for start, _ in self._windows], np.int64),
            "window_ends": np.array([end for _, end in self._windows], np.int64),
            "prices": _narrow(_rescaled(self._prices, self._numbers.places)),
            "fees": self._fees_of_all(),
            **self._ladder_arrays(figures.width),
            **self._row_arrays(rank),
        }
        for currency, (skus, values) in self._costs.items():
            costs = np.full(len(order), NO_COST, np.int64)
            amounts = _ints(values)
            step = 10 ** (MAX_PRICE_DECIMALS - self._cost_numbers.places)
            costs[rank[_ints(skus)]] = np.where(amounts < 0, amounts, amounts // step)
            arrays[f"cost.{currency}"] = _narrow(costs)
        return Columns(self._frame, arrays)

    def _fees_of_all(self) -> Array:
        """As long as the prices, or nothing where there are none."""
        fees = _rescaled(self._fees, self._numbers.places)
        return _narrow(np.append(fees, np.zeros(len(self._prices) - len(fees), np.int64)) if len(fees) else fees)

    def _scope(self, facts: SkuFacts) -> int:
        """SKUs of one scope meet the same rules; the SKU itself makes one where a rule names it."""
        key = facts.categories, facts.brand, facts.sku if facts.sku in self._named else None
        found = self._scopes.get(key)
        if found is None:
            found = self._scopes[key] = len(self._scopes)
            self._scope_facts += msgspec.msgpack.encode(facts)
            self._scope_ends.append(len(self._scope_facts))
        return found

    def _window(self, row: PriceRow) -> int:
        if row.starts_at is None and row.ends_at is None:
            return 0
        start = BEGINNING if row.starts_at is None else ticks(row.starts_at)
        end = END if row.ends_at is None else ticks(row.ends_at)
        return self._windows.setdefault((start, end), len(self._windows))

    def _ladder_with_prices(self, row: PriceRow) -> int:
        """Append the row's prices and give its ladder; an odd row appends none."""
        tiers, numbers = row.tiers, self._numbers
        ladder = self._ladder(row)
        if not ladder:
            return 0
        try:
            prices = [numbers.known[tier.unit_price] for tier in tiers]
        except KeyError:
            prices = [numbers.read(tier.unit_price) for tier in tiers]
        if None in prices:
            return 0
        if {tier.flat_fee for tier in tiers} != _NO_FEE:
            fees = [numbers.read(tier.flat_fee) for tier in tiers]
            if None in fees:
                return 0
            self._fees.frombytes(bytes(8 * (len(self._prices) - len(self._fees))))
            self._fees.extend(fees)  # type: ignore[arg-type] # None was just looked for
        self._prices.extend(prices)  # type: ignore[arg-type] # None was just looked for
        return ladder

    def _ladder(self, row: PriceRow) -> int:
        tiers = row.tiers
        if row.model is RowModel.PACKAGE:
            return 0
        key = row.model is RowModel.GRADUATED, *[(tier.from_, tier.above) for tier in tiers]
        found = self._ladders.get(key)
        if found is None:
            bounds = tuple(_bound(tier.from_, tier.above) for tier in tiers)
            if len(tiers) > MAX_TIERS or None in bounds or len(self._ladders) >= MAX_LADDERS:
                return 0
            found = self._ladders[key] = len(self._ladders)
            model = GRADUATED if row.model is RowModel.GRADUATED else VOLUME
            self._ladder_bounds.append((model, bounds))  # type: ignore[arg-type] # None was just looked for
        return found

    def _order(self) -> tuple[Ints, Ints]:
        """SKUs as they came, in the order of their codes, and each one's place in it."""
        codes = _Codes(np.frombuffer(bytes(self._codes), np.uint8), _ints(self._code_ends))
        count = len(codes)
        keys = [codes[number] for number in range(count)]
        order = np.array(sorted(range(count), key=keys.__getitem__), np.int64)
        rank = np.empty(count, np.int64)
        rank[order] = np.arange(count)
        return order, rank

    def _codes_in(self, order: Ints) -> tuple[Array, Ints]:
        blob, ends = np.frombuffer(bytes(self._codes), np.uint8), _ints(self._code_ends)
        if np.array_equal(order, np.arange(len(order))):
            return blob, ends
        codes = _Codes(blob, ends)
        return (
            np.frombuffer(b"".join(codes[number] for number in order.tolist()), np.uint8),
            np.cumsum(np.diff(ends, prepend=0)[order]),
        )

    def _ladder_arrays(self, width: int) -> dict[str, Array]:
        bounds = np.full((len(self._ladder_bounds), width), END, np.int64)
        for number, (_, of_ladder) in enumerate(self._ladder_bounds):
            bounds[number, : len(of_ladder)] = of_ladder
        return {
            "ladder_model": np.array([model for model, _ in self._ladder_bounds], np.uint8),
            "ladder_size": np.array([len(found) for _, found in self._ladder_bounds], np.uint8),
            "bounds": bounds.ravel(),
        }

    def _row_arrays(self, rank: Ints) -> dict[str, Array]:
        """Rows sorted by slot (unit and list), SKU and start; those of one slot and SKU are a run."""
        skus, slots = rank[_ints(self._row_sku)], _ints(self._row_slot)
        window = _ints(self._row_window)
        key = slots * len(rank) + skus
        if window.any():
            starts = np.array([start for start, _ in self._windows], np.int64)
            order = np.lexsort((starts[window], key))
        else:
            order = np.argsort(key, kind="stable")
        key, skus, slots = key[order], skus[order], slots[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        numbered, slot_number = np.unique(slots[first], return_inverse=True)
        places = max((len(kind.units) for kind in self._kinds), default=1)
        of_slot = np.zeros(len(self._lists) * places, np.int64)
        of_slot[numbered] = np.arange(1, len(numbered) + 1)  # 0: a slot without rows
        directory, pages = _bitmap(skus[first], slot_number + 1, len(numbered) + 1, len(rank))
        return {
            "slots": of_slot,
            "directory": directory,
            "pages": pages,
            "run_first": _narrow(np.append(first, len(order)) if len(first) < len(order) else first[:0]),
            "row_ladder": _narrow(_ints(self._row_ladder)[order]),
            "row_first": _narrow(_ints(self._row_first)[order]),
            "row_window": _narrow(window[order] if window.any() else window[:0]),
        }


class ColumnarBook(MemoryBook):
    """A book in memory in both forms: as objects for `quote`, as columns for `sweep`.

    :raises BookError: when the content cannot be priced
    """

    def __init__(self, content: BookContent, *, root: str) -> None:
        super().__init__(content, root=root)
        self.columns = columns_of(frame_of(content), entries_of(content))


def columns_of(frame: Frame, entries: Iterable[SkuEntry]) -> Columns:
    builder = ColumnsBuilder(frame)
    for entry in entries:
        builder.add(entry)
    return builder.columns()


def ticks(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - _EPOCH) // _TICK


class _Codes(Sequence[bytes]):
    def __init__(self, blob: Array, ends: Ints) -> None:
        self._blob = blob
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: Any) -> Any:
        start = self._ends[number - 1] if number else 0
        return self._blob[start : self._ends[number]].tobytes()


class _Numbers:
    """Reads decimals as millionths, remembers the last ones in *known*, and counts the decimals used."""

    def __init__(self) -> None:
        self.places = 0
        self.known: dict[str, int | None] = {}

    def read(self, text: str) -> int | None:
        """None when it is too fine or too large."""
        if text in self.known:
            return self.known[text]
        if len(self.known) >= _PARSED_KEPT:
            self.known.clear()
        whole, _, decimals = text.partition(".")
        found = None
        if len(decimals) <= MAX_PRICE_DECIMALS:
            value = int(whole + decimals.ljust(MAX_PRICE_DECIMALS, "0"))
            if value < _MOST:
                found = value
                self.places = max(self.places, len(decimals))
        self.known[text] = found
        return found


def _bound(from_: str | None, above: str | None) -> int | None:
    """Twice the bound in millionths, and one more where the bound itself is left out; None: too fine or too large."""
    number, over = ratio(from_ if from_ is not None else above or "0")
    if over > _MICRO or number * _MICRO // over >= _MOST:
        return None
    return 2 * (number * _MICRO // over) + (from_ is None)


def _factor(unit: UnitFact) -> int:
    number, over = ratio(unit.factor)
    return number if over == 1 and number < _MICRO else ODD_FACTOR


def _bitmap(skus: Ints, slots: Ints, slot_count: int, sku_count: int) -> tuple[Array, Array]:
    """Of each slot the pages that hold a SKU, and of each page's words the bits and how many are set before them."""
    pages_a_slot = -(-sku_count // PAGE_SKUS)
    page = slots * pages_a_slot + skus // PAGE_SKUS
    used, page_number = np.unique(page, return_inverse=True)
    directory = np.zeros(slot_count * pages_a_slot, np.int32)
    directory[used] = np.arange(1, len(used) + 1)  # page 0 is empty
    word = (page_number + 1) * PAGE_WORDS + skus // 64 % PAGE_WORDS
    pages = np.zeros(((len(used) + 1) * PAGE_WORDS, 2), np.uint64)
    if len(skus):
        begins = np.flatnonzero(np.diff(word, prepend=-1))
        bits = np.uint64(1) << (skus % 64).astype(np.uint64)
        pages[word[begins], 0] = np.bitwise_or.reduceat(bits, begins)
        pages[word[begins], 1] = begins
    return directory, pages.ravel()


def _ints(numbers: "array[int]") -> Ints:
    return np.array(numbers, np.int64)


def _rescaled(millionths: "array[int]", places: int) -> Ints:
    numbers: Ints = _ints(millionths) // 10 ** (MAX_PRICE_DECIMALS - places)
    return numbers


def _narrow(numbers: Ints) -> Array:
    """In 32 bits where they suffice. None is below `ODD_COST`."""
    fits = not len(numbers) or int(numbers.max()) < 2**31
    return numbers.astype(np.int32) if fits else numbers


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()
