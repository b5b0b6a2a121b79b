"""The price of a quantity over time, and the lowest of the 30 days before a reduction: numbers of docs/pricing.md."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pricing.books import InForce
from pricing.engine import Buyer, MemoryBook
from pricing.engine.book import BookContent
from pricing.price_history import Asked, History, PriceHistory
from tests.conftest import ROOT
from tests.pricing.engine.cast import VAT as TAXES
from tests.pricing.engine.cast import content, public, row, rule

SKU = "CRUNCHY-ARMCHAIR"
PAGE = ROOT / "docs" / "pricing.md"


def instant(text: str) -> datetime:
    return datetime.strptime(f"{text} 2026", "%d %B %Y").replace(tzinfo=UTC)


def day(number: int, month: int = 11) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


class Books:
    """A log of books, each from its instant on."""

    def __init__(self, *published: tuple[datetime, BookContent]) -> None:
        self.loaded: list[str] = []
        self._books: dict[str, Any] = {}
        self._log: list[InForce] = []
        for number, (at, each) in enumerate(published, start=1):
            root = f"sha256:{number:064x}"
            self._books[root] = MemoryBook(each, root=root)
            self._log.append(InForce(number=number, root=root, effective_at=at))

    def published(self) -> tuple[InForce, ...]:
        return tuple(self._log)

    async def load(self, root: str) -> Any:
        self.loaded.append(root)
        return self._books[root]


def asked(**other: Any) -> Asked:
    said = {"buyer": Buyer(), "currency": "EUR", "sku": SKU, "unit": None, "quantity": "1", "tax": None, **other}
    return Asked(**said)


async def told(*published: tuple[datetime, BookContent], now: datetime, days: int = 90, **other: Any) -> History:
    return await PriceHistory(Books(*published)).of(asked(**other), since=now - timedelta(days=days), now=now)


def flat(price: str) -> BookContent:
    return content(row(f"1:{price}"))


def short(history: History) -> list[tuple[str, str, str | None]]:
    return [
        (
            f"{each.begins:%d.%m.}",
            "now" if each.ends is None else f"{each.ends:%d.%m.}",
            each.line_total or each.refused,
        )
        for each in history.stretches
    ]


async def test_the_page_comes_out_as_it_says() -> None:
    said = PAGE.read_text(encoding="utf-8").partition("## What a SKU has cost")[2].partition("\n## ")[0]
    prices = re.findall(r"^    from (\d+ \w+) +(\d+)$", said, re.MULTILINE)
    falls = re.findall(r"^    (\d+ \w+): from (\d+) to (\d+), lowest (\d+)$", said, re.MULTILINE)

    history = await told(*((instant(at), flat(price)) for at, price in prices), now=day(25))

    assert len(prices) == 4
    assert [(instant(at), before, after, lowest) for at, before, after, lowest in falls] == [
        (each.at, *(str(int(float(amount or 0))) for amount in (each.before, each.after, each.lowest.net)))
        for each in history.reductions
    ]


async def test_each_book_is_a_stretch_and_a_reduction_names_the_lowest_of_the_thirty_days_before() -> None:
    history = await told(
        (day(1, 9), flat("100")), (day(5, 10), flat("90")), (day(15, 10), flat("120")), (day(20), flat("95")),
        now=day(25),
    )  # fmt: skip

    assert short(history) == [
        ("01.09.", "05.10.", "100.00"), ("05.10.", "15.10.", "90.00"), ("15.10.", "20.11.", "120.00"),
        ("20.11.", "now", "95.00"),
    ]  # fmt: skip
    first, second = history.reductions
    assert (first.at, first.before, first.after, first.lowest.net) == (day(5, 10), "100.00", "90.00", "100.00")
    # 90 ended 36 days before the reduction: the lowest of the 30 days before it is 120
    assert (second.at, second.before, second.after, second.lowest.net) == (day(20), "120.00", "95.00", "120.00")
    assert second.lowest.root == f"sha256:{3:064x}"
    assert second.known_since == day(20) - timedelta(days=30)


@pytest.mark.parametrize(("ends", "lowest"), [(day(20, 10), "120.00"), (day(22, 10), "90.00")])
async def test_a_price_counts_if_it_held_at_any_instant_of_the_thirty_days(ends: datetime, lowest: str) -> None:
    history = await told((day(1, 9), flat("90")), (ends, flat("120")), (day(20), flat("95")), now=day(25))

    assert history.reductions[-1].lowest.net == lowest


async def test_windows_inside_a_book_begin_and_end_stretches() -> None:
    book = content(
        row("1:100", ends_at=day(10)),
        row("1:80", starts_at=day(10), ends_at=day(15)),
        row("1:110", starts_at=day(20)),
        adjustments=(rule("SPRING", "10", starts_at=day(5), ends_at=day(7)),),
    )
    history = await told((day(1), book), now=day(25))

    assert short(history) == [
        ("01.11.", "05.11.", "100.00"), ("05.11.", "07.11.", "90.00"), ("07.11.", "10.11.", "100.00"),
        ("10.11.", "15.11.", "80.00"), ("15.11.", "20.11.", "not_priced_yet"), ("20.11.", "now", "110.00"),
    ]  # fmt: skip
    assert [(each.at, each.lowest.net) for each in history.reductions] == [(day(5), "100.00"), (day(10), "90.00")]
    assert history.reductions[1].known_since == day(1)


async def test_what_is_to_come_is_not_told() -> None:
    book = content(row("1:100", ends_at=day(20)), row("1:80", starts_at=day(20)))
    history = await told((day(1), book), (day(28), flat("70")), now=day(15))

    assert short(history) == [("01.11.", "now", "100.00")]
    assert history.reductions == ()


async def test_the_history_is_that_of_the_quantity_and_the_reader() -> None:
    trade = public("TRADE", priority=5)
    old = content(row("1:100 10:90"))
    new = content(row("1:100 10:80"), row("1:50", of="TRADE"), lists=(public(), trade))

    ten = await told((day(1), old), (day(10), content(row("1:100 10:80"))), now=day(15), quantity="10")
    one = await told((day(1), old), (day(10), content(row("1:100 10:80"))), now=day(15))
    preferred = await told((day(1), old), (day(10), new), now=day(15))

    assert [each.line_total for each in ten.stretches] == ["900.00", "800.00"]
    assert one.reductions == ()
    assert [each.list for each in preferred.stretches] == ["LIST", "TRADE"]


async def test_prices_with_and_without_tax_are_compared_without() -> None:
    gross = msgspec.structs.replace(flat("119"), lists=(public(tax_included=True),))
    history = await told((day(1), flat("100")), (day(10), gross), now=day(15), tax=TAXES)

    assert len({each.net for each in history.stretches}) == 1 or history.reductions == ()


async def test_what_is_past_is_asked_of_a_book_once() -> None:
    books = Books((day(1), flat("100")), (day(10), flat("90")))
    history = PriceHistory(books)
    for now in (day(12), day(13), day(14)):
        found = await history.of(asked(), since=day(1), now=now)
        assert len(found.stretches) == 2

    assert len(books.loaded) == 2


async def test_nothing_was_in_force_before_the_first_book() -> None:
    assert await told(now=day(15)) == History(stretches=(), reductions=())
    assert await told((day(20), flat("100")), now=day(15)) == History(stretches=(), reductions=())
