"""A book as arrays: what they hold, and that they can be taken apart and put together."""

from array import array

import numpy as np
import pytest

from pricing.engine import BookContent, LineRequest, Rules
from pricing.engine.book import Cost, PriceRow, Scope, SkuFacts, UnitFact
from pricing.engine.columns import _PARSED_KEPT, Columns, ColumnsBuilder, _ints, _Numbers, columns_of, ticks
from pricing.engine.memory import entries_of, frame_of
from pricing.engine.sweep import Lines, lines_of, sweep
from tests.pricing.engine.cast import ACME, CHAIR, NOW, ROPE, STOOL, content, public, row, rule
from tests.pricing.engine.test_sweep import columnar, swept


def columns(made: BookContent) -> Columns:
    return columns_of(frame_of(made), entries_of(made))


def test_skus_are_numbered_in_the_order_of_their_bytes() -> None:
    skus = ["b", "a", "Z", "ab", "\u00e9", "\U0001f600", "\uffee"]
    found = columns(content(skus=tuple(SkuFacts(sku=sku) for sku in skus)))

    ordered = sorted(skus, key=str.encode)
    assert [found.sku(number) for number in range(len(found))] == ordered
    assert found.codes_of(ordered).tolist() == list(range(len(skus)))
    assert found.codes_of(["", "b", "aa", "zz", "\ud800", "b"]).tolist() == [
        -1,
        ordered.index("b"),
        -1,
        -1,
        -1,
        ordered.index("b"),
    ]
    assert found.code_of("c") == -1


def test_units_are_numbered_over_all_skus() -> None:
    found = columns(content())

    assert found.units == ("box", "each", "metre")
    assert [found.unit_of(unit) for unit in ("box", "metre", None, "pallet")] == [0, 2, -1, -2]
    # of chairs, ropes and stools: places of units, and by those what they hold
    assert found.ordinals.tolist() == [1, 0, -1, -1, -1, 0, -1, 0, -1]
    assert (found.unit_places, found.factors.tolist()) == (2, [1, 12, 1, 0, 1, 0])
    assert found.decimals.tolist() == [0, 0, 2, 0, 0, 0]


def test_entries_may_come_in_any_order() -> None:
    made = content(row("1:10 5:9"), row("1:3", sku="ROPE"), row("1:2", sku="STOOL"), skus=(STOOL, CHAIR, ROPE))
    one, other = columns(made), ColumnsBuilder(frame_of(made))
    for entry in sorted(entries_of(made), key=lambda entry: entry.facts.sku):
        other.add(entry)

    lines = Lines(
        skus=np.arange(3), quantities=np.array([6, 2, 3]), quantity_decimals=0, currency="EUR", buyers=(ACME,)
    )
    for found in (one, other.columns()):
        book = columnar()
        book.columns = found
        assert sweep(lines, book=book, at=NOW).subtotals.tolist() == [5400, 600, 600]


def test_arrays_are_flat_and_numeric_and_make_the_same_columns() -> None:
    book = columnar(row("1:10 5:9"), row("1:3+2", sku="ROPE", starts_at=NOW), row("1:2", sku="STOOL"))
    arrays = book.columns.arrays()
    assert all(array.ndim == 1 and array.dtype.kind in "iu" for array in arrays.values())
    assert len(arrays["fees"]) == len(arrays["prices"]) == 4
    of_bytes = {"figures", "codes", "scopes", "ladder_model", "ladder_size"}
    assert {name for name, array in arrays.items() if array.dtype == np.uint8} == of_bytes

    kept = {name: np.frombuffer(array.tobytes(), array.dtype) for name, array in arrays.items()}
    book.columns = Columns.of_arrays(book.columns.frame, kept)

    assert not swept(book, "6 CRUNCHY-ARMCHAIR", "2 ROPE", "3 STOOL", "1 GHOST").by_scalar.any()


def test_prices_take_32_bits_where_they_suffice_and_64_where_not() -> None:
    small, large = (
        columns(content(row("1:21474836.47", sku="STOOL"))),
        columns(content(row("1:21474836.48", sku="STOOL"))),
    )

    assert (small.prices.dtype.name, large.prices.dtype.name) == ("int32", "int64")
    assert (small.price_decimals, large.price_decimals) == (2, 2)


def test_decimals_are_those_that_are_used() -> None:
    assert columns(content(row("1:10", sku="STOOL"))).price_decimals == 0
    assert columns(content(row("1:10.123456", sku="STOOL"))).price_decimals == 6
    assert columns(content(row("1:10.1234567", sku="STOOL"))).price_decimals == 0


def test_rows_that_always_hold_need_neither_runs_nor_windows() -> None:
    always = columns(content(row("1:10", sku="STOOL"), row("1:2", sku="ROPE")))
    dated = columns(content(row("1:10", sku="STOOL", ends_at=NOW), row("1:2", sku="ROPE")))
    changing = columns(content(row("1:10", sku="STOOL", ends_at=NOW), row("1:2", sku="STOOL", starts_at=NOW)))

    assert [(len(one.run_first), len(one.row_window)) for one in (always, dated, changing)] == [(0, 0), (0, 2), (2, 2)]


def test_numbers_are_counted_in_64_bits_whatever_they_were_kept_in() -> None:
    assert _ints(array("i", [2**31 - 1])).dtype == np.int64


def test_a_book_without_fees_keeps_none() -> None:
    assert len(columns(content(row("1:10", sku="STOOL"), row("1:2", sku="ROPE"))).fees) == 0


def test_the_bounds_of_tiers_reach_to_two_to_the_61_millionths_and_not_further() -> None:
    inside, outside = "2305843009213.693951", "2305843009213.693952"
    book = columnar(row(f"1:5 {inside}:4", sku="STOOL"), row(f"1:5 {outside}:4"), row("0.000001:5", sku="ROPE"))

    assert swept(book, "2 STOOL", "2 CRUNCHY-ARMCHAIR", "2 ROPE").by_scalar.tolist() == [False, True, False]
    assert 2 * (2**61 - 1) in book.columns.bounds.tolist()


def test_sixteen_tiers_are_columns_and_seventeen_are_not() -> None:
    sixteen, seventeen = (" ".join(f"{begin}:{begin}" for begin in range(1, 1 + count)) for count in (16, 17))
    book = columnar(row(sixteen, sku="STOOL"), row(seventeen))

    assert swept(book, "16 STOOL", "16 CRUNCHY-ARMCHAIR").by_scalar.tolist() == [False, True]


def test_a_unit_holds_fewer_than_a_million_base_units_or_is_left_to_the_scalar_evaluator() -> None:
    units = (UnitFact(unit="each"), UnitFact(unit="ship", factor="999999"), UnitFact(unit="fleet", factor="1000000"))
    book = columnar(row("1:0.01", sku="NAIL", unit="each"), skus=(SkuFacts(sku="NAIL", units=units),))

    assert swept(book, "1 ship NAIL", "1 fleet NAIL", "1 NAIL").by_scalar.tolist() == [False, True, False]


def test_skus_that_meet_the_same_rules_share_a_scope_and_one_that_a_rule_names_has_its_own() -> None:
    skus = tuple(SkuFacts(sku=f"S{number}", categories=("seating",)) for number in range(5))
    named = rule("S3", "5", scope=Scope(skus=("S3",)))

    assert columns(content(skus=skus)).scope_count == 1
    assert columns(content(skus=skus, adjustments=(named,))).scope_of.tolist() == [0, 0, 0, 1, 0]


def test_a_book_in_both_forms_is_the_book_of_its_root() -> None:
    assert columnar().root == "sha256:test"


@pytest.mark.parametrize(
    "odd",
    [
        row("1:0.0000001", sku="STOOL"),
        row("1:1+0.0000001", sku="STOOL"),
        row("1:9999999999999", sku="STOOL"),
        row("1:2 3.0000001:1", sku="STOOL"),
        row("1:2 999999999999999999:1", sku="STOOL"),
        row(" ".join(f"{begin}:{begin}" for begin in range(1, 18)), sku="STOOL"),
    ],
)
def test_rows_that_do_not_fit_are_odd_and_leave_the_others_alone(odd: PriceRow) -> None:
    book = columnar(row("1:5+0.5", sku="ROPE"), odd, row("1:7"))

    found = swept(book, "2 STOOL", "2 ROPE", "2 CRUNCHY-ARMCHAIR")

    assert found.by_scalar.tolist() == [True, False, False]


def test_bounds_of_tiers_are_kept_once_however_many_rows_have_them() -> None:
    skus = tuple(SkuFacts(sku=f"S{number}") for number in range(50))
    found = columns(content(*(row("1:5 10:4", sku=facts.sku, unit="each") for facts in skus), skus=skus))

    assert len(found.ladder_size) == 2  # and that of odd rows
    assert len(found.prices) == 100


def test_a_row_is_found_among_thousands_of_skus_and_among_periods() -> None:
    """Pages of 512 SKUs, words of 64: a few SKUs of each list, at both ends of words and pages."""
    priced = [0, 1, 63, 64, 65, 511, 512, 513, 1023, 1024, 2900, 2999]
    skus = tuple(SkuFacts(sku=f"S{number:04}") for number in range(3000))
    rows = [row(f"1:{number + 1}", sku=f"S{number:04}", unit="each", ends_at=NOW) for number in priced]
    rows += [row(f"1:{number + 7}", sku=f"S{number:04}", unit="each", starts_at=NOW) for number in priced[::2]]
    book = columnar(*rows, skus=skus)
    asked = Lines(
        skus=np.arange(3000), quantities=np.ones(3000, np.int64), quantity_decimals=0, currency="EUR", buyers=(ACME,)
    )

    pages_a_slot, pages_in_use = 6, 4
    assert len(book.columns.directory) == 2 * pages_a_slot  # of no slot, and of one
    assert len(book.columns.pages) == (1 + pages_in_use) * 8 * 2  # 8 words, and what was counted before each

    before = sweep(asked, book=book, at=np.full(3000, ticks(NOW) - 1))
    after = sweep(asked, book=book, at=NOW)

    assert np.flatnonzero(before.subtotals).tolist() == priced
    assert before.subtotals[priced].tolist() == [100 * (number + 1) for number in priced]
    assert np.flatnonzero(after.subtotals).tolist() == priced[::2]
    assert after.subtotals[priced[::2]].tolist() == [100 * (number + 7) for number in priced[::2]]


def test_more_texts_than_are_remembered_are_read_all_the_same() -> None:
    numbers = _Numbers()
    for number in range(_PARSED_KEPT + 1):
        assert numbers.read(str(number)) == number * 10**6

    assert len(numbers.known) == 1


def test_prices_reach_to_two_to_the_61_millionths_and_not_further() -> None:
    numbers = _Numbers()

    assert [numbers.read(text) for text in ("2305843009213.693951", "2305843009213.693952")] == [2**61 - 1, None]


def test_as_many_bounds_are_kept_for_a_ladder_as_the_widest_needs() -> None:
    for tiers, width in ((0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (16, 16)):
        said = " ".join(f"{begin}:{begin}" for begin in range(1, 1 + tiers))
        assert columns(content(*([row(said, sku="STOOL")] if tiers else []))).width == width


def test_an_empty_book_has_columns_too() -> None:
    book = columnar(skus=())
    found = book.columns

    assert swept(book, "1 STOOL").line(0).reason == "unknown_sku"
    assert len(found) == 0
    assert found.code_of("STOOL") == -1
    assert found.costs_in("EUR") is None


def test_costs_are_kept_by_currency() -> None:
    costs = (Cost(sku="STOOL", currency="EUR", cost="1.5"), Cost(sku="ROPE", currency="USD", cost="0.1234567"))
    found = columns(content(costs=costs, skus=(ROPE, STOOL, SkuFacts(sku="BAG", units=(UnitFact(unit="bag"),)))))
    euros, dollars = found.costs_in("EUR"), found.costs_in("USD")

    assert euros is not None
    assert dollars is not None
    assert euros.tolist() == [-1, -1, 15]
    assert dollars.tolist() == [-1, -2, -1]


def test_a_cost_keeps_each_of_its_digits() -> None:
    found = columns(content(costs=(Cost(sku="STOOL", currency="EUR", cost="9007199254.740993"),))).costs_in("EUR")

    assert found is not None
    assert found.max() == 2**53 + 1  # which no float is


def test_under_another_frame_the_same_rows_are_found_and_those_of_lists_it_lacks_are_not() -> None:
    book = columnar(
        row("1:10", sku="STOOL"),
        row("1:9", sku="STOOL", of="SPRING"),
        row("1:2", sku="ROPE"),
        lists=(public(), public("SPRING", priority=1)),
    )
    columns, asked = book.columns, [LineRequest(sku=sku, quantity="1") for sku in ("STOOL", "ROPE")]

    for lists, prices in (
        ((public("NEW", priority=2), public()), [1000, 200]),
        ((public("SPRING"),), [900, 0]),
        ((), [0, 0]),
        ((public(), public("SPRING", priority=1)), [900, 200]),
    ):
        frame = frame_of(content(lists=lists))
        book.columns, book.rules = columns.under(frame), Rules(frame)
        found = sweep(lines_of(book.columns, asked, currency="EUR", buyers=(ACME,)), book=book, at=NOW)
        assert book.columns.frame is frame
        assert found.subtotals.tolist() == prices
