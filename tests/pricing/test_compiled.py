import stat
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.canonical import canonical_json
from kernel.signing import Keyring
from pricing.compiled import ALIGNMENT, CompiledBook, DamagedBookFile, book_path, write_book, write_entries
from pricing.content import ContentDamaged, Kept, content_of, key_of, leaves_of, packed, root_text, unpacked
from pricing.engine import Buyer, LineRequest, MemoryBook, QuoteRequest, entries_of, frame_of, leaves, quote
from pricing.engine import root as root_of
from pricing.engine.book import (
    BookContent,
    Cost,
    Package,
    PriceList,
    PriceRow,
    RowModel,
    SkuEntry,
    SkuFacts,
    Tier,
    UnitFact,
)
from pricing.engine.columns import ColumnsBuilder
from pricing.engine.rules import BookError
from tests.pricing.books_at_random import NOON, SKUS, contents

HOUSE_KEY = b"k" * 32
TIER = Tier(from_="1", unit_price="9")
BUYERS = (Buyer(), Buyer(segments=("trade",), country="ES"), Buyer(company="acme", segments=("trade", "metal")))


def book_of(*skus: str) -> BookContent:
    return BookContent(
        lists=(PriceList(code="PUBLIC", currency="EUR"),),
        rows=tuple(
            PriceRow(list="PUBLIC", sku=sku, unit="each", tiers=(Tier(from_="0", unit_price=str(number)),))
            for number, sku in enumerate(skus)
        ),
        skus=tuple(SkuFacts(sku=sku) for sku in skus),
    )


@given(content=contents(), quantities=st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_a_compiled_book_prices_to_the_byte_as_the_same_book_in_memory(
    tmp_path_factory: pytest.TempPathFactory, content: BookContent, quantities: list[int]
) -> None:
    root = root_of(content, HOUSE_KEY)
    path = write_book(content, root, tmp_path_factory.mktemp("books"))
    compiled, memory = CompiledBook(path, root=root), MemoryBook(content, root=root)
    for buyer in BUYERS:
        for currency in ("EUR", "USD"):
            request = QuoteRequest(
                buyer=buyer,
                currency=currency,
                lines=tuple(
                    LineRequest(sku=sku, unit=unit, quantity=str(quantity))
                    for sku in (*SKUS, "NO-SUCH-SKU")
                    for unit in (None, "box")
                    for quantity in quantities
                ),
            )
            assert msgspec.json.encode(quote(request, book=compiled, at=NOON)) == msgspec.json.encode(
                quote(request, book=memory, at=NOON)
            )


@given(content=contents(), random=st.randoms(use_true_random=False))
def test_leaves_give_the_content_back_and_its_order_does_not_matter(content: BookContent, random: object) -> None:
    named = leaves_of(content)
    shuffled = list(named.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a Random, which Hypothesis types as object
    again = content_of(dict(shuffled))
    assert leaves_of(again) == named
    assert root_of(again, HOUSE_KEY) == root_of(content, HOUSE_KEY)
    assert {(leaf.kind, leaf.key) for leaf in leaves(content, HOUSE_KEY)} == set(named)
    assert all(key_of(kind, noun) == key for (kind, key), noun in named.items())


def test_what_is_kept_is_the_content_and_nobody_else_can_put_another_in_its_place(keyring: Keyring) -> None:
    content = book_of("ANVIL", "BOLT-M8")
    kept = packed(content, keyring)
    assert root_text(kept.root) == root_of(content, keyring.house_key)
    assert unpacked(kept, keyring) == content
    other = packed(book_of("ANVIL"), keyring)
    for forged in (
        Kept(kept.root, other.content, kept.signature),
        Kept(kept.root, other.content, other.signature),
        Kept(kept.root, kept.content[:-3], kept.signature),
        packed(content, Keyring.generate(now=NOON)),
    ):
        with pytest.raises(ContentDamaged, match="not what the house signed"):
            unpacked(forged, keyring)


def test_a_content_of_another_release_is_refused_and_not_guessed(keyring: Keyring) -> None:
    strange = zlib.compress(b'{"colour": "red"}')
    message = canonical_json({"content": "sha256:" + sha256(strange).hexdigest(), "root": root_text(bytes(32))})
    kept = Kept(bytes(32), strange, keyring.sign("publication", message))
    with pytest.raises(ContentDamaged, match="cannot read"):
        unpacked(kept, keyring)


def test_a_book_lists_its_skus_in_byte_order_and_finds_each_alone(tmp_path: Path) -> None:
    skus = [f"SKU-{number:04}" for number in range(500)]
    book = CompiledBook(write_book(book_of(*reversed(skus)), "sha256:aa", tmp_path), root="sha256:aa")
    assert list(book.skus()) == skus
    assert len(book) == 500
    assert [entry.facts.sku for entry in book.entries()] == skus
    assert all((found := book.entry(sku)) is not None and found.facts.sku == sku for sku in skus)
    assert [book.entry(sku) for sku in ("", "SKU-", "SKU-0000x", "ZZZ", "\ud800", "a" * 9999)] == [None] * 6


def test_the_columns_of_the_file_are_those_of_the_content_and_nobody_can_write_into_them(tmp_path: Path) -> None:
    content = book_of("ANVIL", "BOLT-M8", "CHAIR")
    book = CompiledBook(write_book(content, "sha256:aa", tmp_path), root="sha256:aa")
    builder = ColumnsBuilder(frame_of(content))
    for entry in entries_of(content):
        builder.add(entry)
    found, expected = book.columns.arrays(), builder.columns().arrays()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        assert found[name].tolist() == values.tolist()
        assert not found[name].flags.writeable
    assert book.columns is book.columns


@given(content=contents())
def test_an_entry_of_some_lists_is_the_entry_without_the_other_rows(
    tmp_path_factory: pytest.TempPathFactory, content: BookContent
) -> None:
    book = CompiledBook(write_book(content, "sha256:aa", tmp_path_factory.mktemp("books")), root="sha256:aa")
    entries = {entry.facts.sku: entry for entry in entries_of(content)}
    for sku, entry in entries.items():
        assert book.entry(sku) == entry
        for code in ("", *(noun.code for noun in content.lists)):
            rows = tuple(row for row in entry.rows if row.list == code)
            assert book.entry_of_lists(sku, {code}) == msgspec.structs.replace(entry, rows=rows)
    assert book.entry_of_lists("NO-SUCH-SKU", {""}) is None


def test_rows_of_every_kind_are_read_as_they_were_written(tmp_path: Path) -> None:
    def row(**changed: Any) -> PriceRow:
        return PriceRow(**{"list": "PUBLIC", "sku": "ANVIL", "unit": "each", "tiers": (TIER,), **changed})

    rows = (
        row(ends_at=NOON),
        row(starts_at=NOON, model=RowModel.VOLUME, tiers=(TIER, Tier(above="9.5", unit_price="7", flat_fee="0.01"))),
        row(unit="box", model=RowModel.GRADUATED, tiers=(Tier(above="0", unit_price="0.000000000001"),)),
        row(
            list="TRADE",
            model=RowModel.PACKAGE,
            package=Package(size="6", free="1", round_up=False, whole_quantity=True),
            tiers=(Tier(above="0", unit_price="123456789012345678"),),
        ),
    )
    content = BookContent(
        lists=(PriceList(code="PUBLIC", currency="EUR"), PriceList(code="TRADE", currency="EUR", priority=1)),
        rows=rows,
        skus=(
            SkuFacts(
                sku="ANVIL",
                units=(UnitFact(unit="each", decimals=2), UnitFact(unit="box", factor="12")),
                categories=("tools", "tools/forge"),
                brand="ACME",
                break_group="HEAVY",
                tax_category="reduced",
            ),
        ),
        costs=(Cost(sku="ANVIL", currency="EUR", cost="3"), Cost(sku="ANVIL", currency="USD", cost="3.5")),
    )
    book = CompiledBook(write_book(content, "sha256:aa", tmp_path), root="sha256:aa")
    assert book.entry("ANVIL") == SkuEntry(facts=content.skus[0], rows=rows, costs=content.costs)


def test_skus_that_do_not_ascend_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    content = book_of("BOLT-M8", "ANVIL")
    with pytest.raises(BookError, match="ANVIL stands after"):
        write_entries(frame_of(content), entries_of(content), "sha256:aa", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_book_compiles(tmp_path: Path) -> None:
    book = CompiledBook(write_book(BookContent(), "sha256:00", tmp_path), root="sha256:00")
    assert len(book) == 0
    assert book.entry("ANVIL") is None


def test_nobody_else_may_read_the_file_as_it_holds_costs(tmp_path: Path) -> None:
    path = write_book(book_of("ANVIL"), "sha256:aa", tmp_path / "books")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_no_changed_byte_ever_makes_another_book(tmp_path: Path) -> None:
    path = write_book(book_of("ANVIL", "BOLT-M8"), "sha256:aa", tmp_path)
    whole = path.read_bytes()
    book = CompiledBook(path, root="sha256:aa")
    columns = {name: values.tobytes() for name, values in book.columns.arrays().items()}
    expected = (
        columns,
        book.rules.frame,
        list(book.entries()),
        book.entry("ANVIL"),
        book.entry("BOLT-M8"),
        book.entry("CHAIR"),
    )
    harmless = 0
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        try:
            book = CompiledBook(path, root="sha256:aa")
            columns = {name: values.tobytes() for name, values in book.columns.arrays().items()}
            read = columns, book.rules.frame, list(book.entries()), *map(book.entry, ("ANVIL", "BOLT-M8", "CHAIR"))
        except DamagedBookFile:
            continue
        assert read == expected
        harmless += 1
    assert harmless < ALIGNMENT * (len(columns) + 2) // 7  # nothing but what fills up to each section


def test_a_damaged_record_refuses_its_own_sku_and_no_other_and_says_so_to_who_opened_the_book(tmp_path: Path) -> None:
    path = write_book(book_of("ANVIL", "BOLT-M8"), "sha256:aa", tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"BOLT-M8") + 20] ^= 1
    path.write_bytes(damaged)
    told: list[CompiledBook] = []
    book = CompiledBook(path, root="sha256:aa", on_damage=told.append)
    assert book.entry("ANVIL") is not None
    assert told == []
    with pytest.raises(DamagedBookFile, match="compiled again"):
        book.entry("BOLT-M8")
    assert told == [book]


def test_a_file_cut_short_or_empty_is_refused(tmp_path: Path) -> None:
    path = write_book(book_of("ANVIL", "BOLT-M8"), "sha256:aa", tmp_path)
    whole = path.read_bytes()
    for length in (0, 4, 14, 50, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedBookFile):
            CompiledBook(path, root="sha256:aa")


def test_a_file_of_another_root_is_refused(tmp_path: Path) -> None:
    path = write_book(book_of("ANVIL"), "sha256:aa", tmp_path)
    path.rename(book_path(tmp_path, "sha256:bb"))
    with pytest.raises(DamagedBookFile, match="holds sha256:aa"):
        CompiledBook(book_path(tmp_path, "sha256:bb"), root="sha256:bb")


def test_a_book_in_use_outlives_its_file(tmp_path: Path) -> None:
    path = write_book(book_of("ANVIL", "BOLT-M8"), "sha256:aa", tmp_path)
    book = CompiledBook(path, root="sha256:aa")
    path.unlink()
    found = book.entry("BOLT-M8")
    assert found is not None
    assert found.rows[0].tiers[0].unit_price == "1"
