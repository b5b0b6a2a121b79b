"""What `checked` takes by the short way it would have taken by the long one, unchanged."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.engine.book import Cost, PriceRow, RowModel, SkuEntry, SkuFacts, Tier, UnitFact
from pricing.engine.memory import checked
from pricing.engine.rules import BookError

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *("", "0", "1", "1.50", "-1", "1e5", "007", "x" * 201, "9" * 33, "a\nb", "EURO", "euro", "each", "\ud800"),
        *(None, 0, 1, -1, 13, 1.5, True, b"1", (), ("1",), [], ["1"], {}),
        *(RowModel.FLAT, "flat", "volume", datetime(2026, 1, 1, tzinfo=UTC), UnitFact(unit="each"), Cost),
    ]
)


def entry() -> SkuEntry:
    return SkuEntry(
        facts=SkuFacts(
            sku="STOOL",
            units=(UnitFact(unit="each"), UnitFact(unit="box", factor="12", decimals=1)),
            categories=("seating/stools",),
            brand="ACME",
        ),
        rows=(
            PriceRow(list="PUBLIC", sku="STOOL", unit="each", tiers=(Tier(from_="1", unit_price="9.5"),)),
            PriceRow(
                list="TRADE",
                sku="STOOL",
                unit="box",
                model=RowModel.GRADUATED,
                tiers=(Tier(above="0", unit_price="9"), Tier(above="10", unit_price="8", flat_fee="2")),
            ),
        ),
        costs=(Cost(sku="STOOL", currency="EUR", cost="4"),),
    )


def changed(noun: Any, path: tuple[int, ...], value: Any) -> Any:
    """*noun* with one value in it replaced; the path picks fields and members, each modulo their number."""
    step, rest = path[0], path[1:]
    if isinstance(noun, msgspec.Struct):
        field = noun.__struct_fields__[step % len(noun.__struct_fields__)]
        inner = getattr(noun, field)
        return msgspec.structs.replace(noun, **{field: changed(inner, rest, value) if rest else value})
    if isinstance(noun, tuple) and noun and rest:
        at = step % len(noun)
        return (*noun[:at], changed(noun[at], rest, value), *noun[at + 1 :])
    return value


@pytest.mark.parametrize("path", [(1, 0, 4), (2, 0, 1)], ids=["model", "currency"])
def test_half_a_character_is_refused_in_words_that_can_be_written(path: tuple[int, ...]) -> None:
    with pytest.raises(BookError) as refused:
        checked(changed(entry(), path, "\ud800"))

    assert refused.value.message.encode()


def test_a_plain_entry_is_taken_as_it_is() -> None:
    plain = entry()
    assert checked(plain) is plain


@given(path=st.lists(st.integers(0, 50), min_size=2, max_size=6), value=ODD)
def test_an_entry_with_any_value_replaced_is_what_its_types_make_of_it_or_refused(path: list[int], value: Any) -> None:
    odd = changed(entry(), tuple(path), value)
    try:
        expected = msgspec.convert(msgspec.to_builtins(odd), SkuEntry)
    except (msgspec.ValidationError, UnicodeEncodeError, TypeError, AttributeError):
        with pytest.raises((BookError, TypeError, AttributeError)):
            checked(odd)
        return
    try:
        taken = checked(odd)
    except BookError:
        return  # well formed, and yet no entry
    assert taken == expected
    assert repr(taken) == repr(expected)  # equal values of other types: a name for a member, a list for a tuple


@pytest.mark.parametrize(
    "row",
    [
        PriceRow(list="PUBLIC", sku="STOOL", unit="each", tiers=(Tier(from_="5", unit_price="1"),) * 2),
        PriceRow(list="PUBLIC", sku="STOOL", unit="each", tiers=(Tier(unit_price="1"),)),
        PriceRow(list="PUBLIC", sku="STOOL", unit="each", tiers=(Tier(from_="-1", unit_price="1"),)),
        PriceRow(list="PUBLIC", sku="STOOL", unit="each", tiers=(Tier(from_="1.0", unit_price="1"),)),
    ],
    ids=["does not ascend", "no bound", "below 0", "no normal form"],
)
def test_a_bad_ladder_is_refused_however_often_it_comes(row: PriceRow) -> None:
    for _ in range(2):
        with pytest.raises(BookError):
            checked(msgspec.structs.replace(entry(), rows=(row,)))
