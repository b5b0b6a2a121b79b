"""The law of deltas: the old feed with the changes applied is the new feed, whatever was published and passed."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing.compiled import CompiledBook, write_book
from pricing.engine import BookContent, Buyer
from pricing.engine import root as root_of
from pricing.engine.book import Audience, PriceList, PriceRow, SkuFacts, Tier
from pricing.feed import FeedRow
from pricing.feed_delta import Feed, SkuChange, applied, name_of, sku_changes
from tests.pricing.books_at_random import NOON, contents

TRADE = Buyer(company="acme", segments=("trade",))


def feed(content: BookContent, minutes: int = 0, buyer: Buyer = TRADE) -> Feed:
    root = root_of(content, b"k" * 32)
    with TemporaryDirectory() as folder:  # a book keeps its file mapped
        book = CompiledBook(write_book(content, root, Path(folder)), root=root)
    return Feed(book=book, buyer=buyer, currency="EUR", tax=None, at=NOON + timedelta(minutes=minutes))


def whole(of: Feed) -> list[FeedRow]:
    return list(of.sweep().rows(of.book.skus()))


def between(old: Feed, new: Feed) -> list[SkuChange]:
    return list(sku_changes(old, new))


@settings(max_examples=60)
@given(
    books=st.lists(contents(), min_size=3, max_size=3),
    again=st.sampled_from([(0, 1, 2), (0, 0, 1), (0, 1, 0), (0, 0, 0)]),
    minutes=st.lists(st.integers(-330, 330), min_size=3, max_size=3),
    buyer=st.sampled_from([Buyer(), TRADE]),
)
def test_a_feed_and_its_changes_over_three_publications_are_the_last_feed(
    books: list[BookContent], again: tuple[int, int, int], minutes: list[int], buyer: Buyer
) -> None:
    used = [books[number] for number in again]
    states = [feed(content, minute, buyer) for content, minute in zip(used, minutes, strict=True)]
    kept = whole(states[0])
    for number in (1, 2):
        changes = between(states[number - 1], states[number])
        kept = applied(kept, changes, root=states[number].book.root)

    assert sorted(kept, key=name_of) == sorted(whole(states[2]), key=name_of)


@settings(max_examples=60)
@given(
    content=contents(),
    dropped=st.integers(0, 30),
    minutes=st.lists(st.integers(-330, 330), min_size=2, max_size=2),
    buyer=st.sampled_from([Buyer(), TRADE]),
    another_list=st.booleans(),
)
def test_a_book_that_changed_a_little_is_told_whole(
    content: BookContent, dropped: int, minutes: list[int], buyer: Buyer, another_list: bool
) -> None:
    """Most SKUs are told to be the same from their stored bytes, whoever's lists moved beside them."""
    rows = [row for number, row in enumerate(content.rows) if number != dropped]
    first = PriceList(code="AAA", currency="EUR", audience=Audience(company="initech"))
    other = msgspec.structs.replace(
        content, rows=tuple(rows), lists=(first, *content.lists) if another_list else content.lists
    )
    old, new = feed(content, minutes[0], buyer), feed(other, minutes[1], buyer)

    kept = applied(whole(old), between(old, new), root=new.book.root)
    assert sorted(kept, key=name_of) == sorted(whole(new), key=name_of)


@settings(max_examples=30)
@given(content=contents())
def test_nothing_changes_between_a_feed_and_itself(content: BookContent) -> None:
    assert not [change for change in between(feed(content), feed(content)) if change.is_any]


def shop(**prices: str) -> BookContent:
    rows = tuple(
        PriceRow(list="PUBLIC", sku=sku, unit="each", tiers=(Tier(from_="0", unit_price=price),))
        for sku, price in prices.items()
    )
    return BookContent(
        lists=(PriceList(code="PUBLIC", currency="EUR"),), rows=rows, skus=tuple(SkuFacts(sku=sku) for sku in prices)
    )


def test_only_what_differs_is_told_and_under_its_name() -> None:
    one, other = shop(ANVIL="80", BOLT="1", CHAIR="200"), shop(BOLT="1", CHAIR="190", DOOR="99")
    changes = {each.sku: each for each in between(feed(one), feed(other))}

    assert changes["ANVIL"].removed == (("ANVIL", "each", "1"),)
    assert not changes["BOLT"].is_any
    assert [row.unit_price for row in changes["CHAIR"].changed] == ["190.00"]
    assert [row.unit_price for row in changes["DOOR"].added] == ["99.00"]
    assert [(each.in_old, each.in_new) for each in changes.values()] == [
        (True, False), (True, True), (True, True), (False, True)
    ]  # fmt: skip


def test_the_same_bytes_under_another_order_of_lists_are_not_the_same() -> None:
    """Records name lists by their places, and a list that this reader never sees moves the others'."""
    hidden = PriceList(code="HIDDEN", currency="EUR", audience=Audience(company="initech"))
    public, sale = PriceList(code="PUBLIC", currency="EUR", priority=1), PriceList(code="SALE", currency="EUR")
    one = msgspec.structs.replace(shop(ANVIL="80"), lists=(hidden, public, sale))
    row = msgspec.structs.replace(one.rows[0], list="SALE")
    other = msgspec.structs.replace(one, lists=(public, sale, hidden), rows=(row,))
    old, new = feed(one), feed(other)
    (change,) = between(old, new)

    assert list(old.book.records()) == list(new.book.records())
    assert [(row.sku, row.list) for row in change.changed] == [("ANVIL", "SALE")]


def test_an_edge_that_passes_inside_one_book_is_a_change() -> None:
    content = shop(ANVIL="80", BOLT="1")
    ends = NOON + timedelta(hours=1)
    first = msgspec.structs.replace(content.rows[0], ends_at=ends)
    later = PriceRow(list="PUBLIC", sku="ANVIL", unit="each", tiers=(Tier(from_="0", unit_price="70"),), starts_at=ends)
    content = msgspec.structs.replace(content, rows=(first, later, content.rows[1]))
    (anvil,) = [each for each in between(feed(content), feed(content, 60)) if each.is_any]

    assert [(row.sku, row.unit_price, row.valid_until) for row in anvil.changed] == [("ANVIL", "70.00", None)]
    assert not [each for each in between(feed(content), feed(content, 59)) if each.is_any]
