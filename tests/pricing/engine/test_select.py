"""Phases 2 and 3: whose list, which row, which tier."""

import pytest

from pricing.engine import Buyer, MemoryBook, TaxInput
from pricing.engine.book import Package, RoundingPolicy, Strategy
from tests.pricing.engine.cast import (
    ACME,
    GLOBEX,
    GUEST,
    INITECH,
    NOW,
    VAT,
    book,
    day,
    losers,
    only,
    priced,
    public,
    refused,
    row,
    total,
)

FOUR = (
    public("ALL"),
    public("GERMANY", audience=only(countries=("DE", "AT"))),
    public("TRADE", audience=only(segments=("trade", "craft"))),
    public("CONTRACT", audience=only(company="initech")),
)


def by_list(strategy: str = "most_specific", **prices: str) -> MemoryBook:
    return book(
        *(row(said, of=code) for code, said in prices.items()),
        lists=tuple(noun for noun in FOUR if noun.code in prices),
        strategy=Strategy(strategy),
    )


@pytest.mark.parametrize(
    ("buyer", "expected"),
    [
        (GUEST, "ALL"),
        (ACME, "GERMANY"),
        (GLOBEX, "TRADE"),
        (INITECH, "CONTRACT"),
        (Buyer(segments=("trade",)), "TRADE"),
        (Buyer(company="initech", segments=("craft",), country="AT"), "CONTRACT"),
        (Buyer(company="stranger", segments=("hobby",), country="FR"), "ALL"),
    ],
)
def test_the_most_specific_list_that_admits_the_buyer_prices(buyer: Buyer, expected: str) -> None:
    four = by_list(ALL="0:4", GERMANY="0:5", TRADE="0:6", CONTRACT="0:7")

    assert priced(four, "1 CRUNCHY-ARMCHAIR", buyer=buyer).trace.list == expected


def test_everything_an_audience_states_must_match() -> None:
    both = book(
        row("0:10", of="ALL"),
        row("0:9", of="GERMAN-TRADE"),
        lists=(public("ALL"), public("GERMAN-TRADE", audience=only(segments=("trade",), countries=("DE",)))),
    )

    assert total(both, "1 CRUNCHY-ARMCHAIR", buyer=GLOBEX) == "9.00"
    assert total(both, "1 CRUNCHY-ARMCHAIR", buyer=Buyer(segments=("trade",), country="FR")) == "10.00"
    assert total(both, "1 CRUNCHY-ARMCHAIR", buyer=Buyer(segments=("trade",))) == "10.00"


def test_among_equally_specific_lists_priority_decides_and_the_trace_says_so() -> None:
    lists = (public("LOW"), public("HIGH", priority=1), public("OTHER", currency="USD", priority=9))
    both = book(row("0:9", of="LOW"), row("0:10", of="HIGH"), row("0:1", of="OTHER"), lists=lists)

    line = priced(both, "1 CRUNCHY-ARMCHAIR")

    assert line.subtotal == "10.00"
    assert losers(line) == {"LOW": ("lower_priority", {"by": "HIGH"})}


def test_a_less_specific_list_is_named_among_the_losers() -> None:
    line = priced(by_list(ALL="0:4", CONTRACT="0:7"), "1 CRUNCHY-ARMCHAIR", buyer=INITECH)

    assert losers(line) == {"ALL": ("less_specific", {"by": "CONTRACT"})}


def test_two_lists_of_equal_right_refuse_rather_than_guess() -> None:
    tied = book(row("0:9", of="B"), row("0:10", of="A"), lists=(public("B"), public("A")))

    assert refused(tied, "1 CRUNCHY-ARMCHAIR") == ("ambiguous_price", {"lists": "A, B"})


def test_a_list_begins_and_ends_at_its_instants() -> None:
    lists = (
        public("OLD", ends_at=NOW, priority=2),
        public("NEW", starts_at=NOW, ends_at=day(1, 12), priority=1),
        public("NEXT", starts_at=day(1, 12)),
    )
    three = book(row("0:1", of="OLD"), row("0:2", of="NEW"), row("0:3", of="NEXT"), lists=lists)

    before = priced(three, "1 CRUNCHY-ARMCHAIR", at=day(20))
    now = priced(three, "1 CRUNCHY-ARMCHAIR", at=NOW)
    after = priced(three, "1 CRUNCHY-ARMCHAIR", at=day(1, 12))

    assert [line.subtotal for line in (before, now, after)] == ["1.00", "2.00", "3.00"]
    assert [line.valid_until for line in (before, now, after)] == [NOW, day(1, 12), None]
    assert losers(before) == {
        "NEW": ("starts", {"at": "2026-11-21T12:00:00Z"}),
        "NEXT": ("starts", {"at": "2026-12-01T00:00:00Z"}),
    }
    assert losers(now)["OLD"] == ("ended", {"at": "2026-11-21T12:00:00Z"})


def test_rows_of_one_list_follow_each_other() -> None:
    followed = book(row("0:10", ends_at=day(1, 12)), row("0:11", starts_at=day(1, 12)))

    assert priced(followed, "1 CRUNCHY-ARMCHAIR").valid_until == day(1, 12)
    assert losers(priced(followed, "1 CRUNCHY-ARMCHAIR")) == {}
    assert total(followed, "1 CRUNCHY-ARMCHAIR", at=day(1, 12)) == "11.00"


def test_what_has_no_price_now_says_when_it_has_one() -> None:
    later = book(
        row("0:10", starts_at=day(1, 12)), row("0:9", ends_at=day(1), of="OLD"), lists=(public(), public("OLD"))
    )
    over = book(row("0:10", ends_at=day(1)))

    assert refused(later, "1 CRUNCHY-ARMCHAIR") == ("not_priced_yet", {"at": "2026-12-01T00:00:00Z"})
    assert refused(over, "1 CRUNCHY-ARMCHAIR") == ("no_longer_priced", {})
    assert refused(over, "1 STOOL") == ("no_price_in_currency", {"currency": "EUR"})


def test_a_row_whose_first_tier_lies_above_the_quantity_is_no_candidate() -> None:
    from_ten = by_list(ALL="0:4", CONTRACT="10:3")
    above_ten = by_list(ALL="0:4", CONTRACT=">10:3")

    assert losers(priced(from_ten, "9 CRUNCHY-ARMCHAIR", buyer=INITECH)) == {
        "CONTRACT": ("needs_quantity", {"quantity": "10", "unit": "each"})
    }
    assert priced(from_ten, "10 CRUNCHY-ARMCHAIR", buyer=INITECH).trace.list == "CONTRACT"
    assert losers(priced(above_ten, "10 CRUNCHY-ARMCHAIR", buyer=INITECH)) == {
        "CONTRACT": ("needs_more_than", {"quantity": "10", "unit": "each"})
    }
    assert priced(above_ten, "11 CRUNCHY-ARMCHAIR", buyer=INITECH).trace.list == "CONTRACT"


def test_a_quantity_below_all_tiers_is_refused_with_the_first() -> None:
    assert refused(book(row("5:4")), "4 CRUNCHY-ARMCHAIR") == ("quantity_not_priced", {"quantity": "5", "unit": "each"})
    assert refused(book(row(">5:4")), "5 CRUNCHY-ARMCHAIR")[1] == {"quantity": "5", "unit": "each"}


def test_a_flat_fee_is_charged_once() -> None:
    line = priced(book(row("0:10+4.5 10:9")), "3 CRUNCHY-ARMCHAIR")

    assert line.subtotal == "34.50"
    assert line.trace.steps[-1].params == {"quantity": "3", "fee": "4.5"}


@pytest.mark.parametrize(
    ("quantity", "expected"), [("5", "50.00"), ("10", "102.00"), ("10.5", "106.00"), ("20", "182.00"), ("21", "191.00")]
)
def test_graduated_prices_each_slice_at_its_own_tier(quantity: str, expected: str) -> None:
    slices = book(row(">0:10 >9.75:8+2.5 >20:6+3", sku="ROPE", unit="metre", model="graduated"))

    assert total(slices, f"{quantity} ROPE") == expected


@pytest.mark.parametrize(
    ("package", "quantity", "expected"),
    [
        (Package(size="5"), "5", "10.00"),
        (Package(size="5"), "6", "20.00"),
        (Package(size="5", round_up=False), "9", "10.00"),
        (Package(size="5", round_up=False), "4", "0.00"),
        (Package(size="5", round_up=False, whole_quantity=True), "4", "0.00"),
        (Package(size="5", free="5"), "5", "0.00"),
        (Package(size="5", free="5"), "6", "10.00"),
        (Package(size="5"), "15", "28.00"),
        (Package(size="5", whole_quantity=True), "15", "24.00"),
    ],
)
def test_a_package_row_charges_whole_packages(package: Package, quantity: str, expected: str) -> None:
    by_package = book(row(">0:10 >2:8", model="package", package=package))

    assert total(by_package, f"{quantity} CRUNCHY-ARMCHAIR") == expected


def test_lowest_compares_net_amounts_with_fees() -> None:
    lists = (public("GROSS", tax_included=True), public("NET", priority=1))
    both = book(row("0:11.9", of="GROSS"), row("0:9+5", of="NET"), lists=lists, strategy=Strategy.LOWEST)

    few, many = (priced(both, f"{quantity} CRUNCHY-ARMCHAIR", tax=VAT) for quantity in (4, 6))

    assert (few.trace.list, few.net) == ("GROSS", "40.00")
    assert (many.trace.list, many.net) == ("NET", "59.00")
    assert losers(many) == {"GROSS": ("higher_amount", {"by": "NET"})}
    assert priced(both, "5 CRUNCHY-ARMCHAIR", tax=VAT).trace.list == "NET"


def test_lowest_needs_the_tax_to_compare_with_a_gross_price() -> None:
    lists = (public("GROSS", tax_included=True), public("NET", priority=1))
    both = book(row("0:11", of="GROSS"), row("0:9", of="NET"), lists=lists, strategy=Strategy.LOWEST)

    assert refused(both, "1 CRUNCHY-ARMCHAIR") == ("tax_needed", {})
    assert refused(both, "1 CRUNCHY-ARMCHAIR", tax=TaxInput())[0] == "tax_rate_unknown"


def mergeable(*prices: str, last_stays_alone: bool = False) -> MemoryBook:
    """Lists A, B, C in rank."""
    codes = "ABC"[: len(prices)]
    lists = tuple(
        public(code, priority=-rank, mergeable=not (last_stays_alone and rank == len(codes) - 1))
        for rank, code in enumerate(codes)
    )
    rows = [row(said, of=code) for code, said in zip(codes, prices, strict=True)]
    return book(*reversed(rows), lists=lists, strategy=Strategy.MERGE_BREAKS)


@pytest.mark.parametrize(
    ("quantity", "owner", "price"),
    [("1", "A", "10.00"), ("9", "A", "10.00"), ("10", "B", "7.00"), ("19", "B", "7.00"), ("20", "A", "9.00")],
)
def test_merged_lists_take_each_break_from_the_first_that_has_it(quantity: str, owner: str, price: str) -> None:
    line = priced(mergeable("1:10 20:9", "1:8 10:7 20:6"), f"{quantity} CRUNCHY-ARMCHAIR")

    assert (line.trace.list, line.unit_price) == (owner, price)


def test_a_break_not_yet_reached_shows_as_the_next_one() -> None:
    merged = mergeable("1:10", "10:7")

    line = priced(merged, "4 CRUNCHY-ARMCHAIR")

    assert line.trace.next_break is not None
    assert (line.trace.next_break.more, line.trace.next_break.unit_price) == ("6", "7.00")


def test_a_list_that_does_not_merge_stands_alone_in_first_rank_and_is_left_out_below() -> None:
    assert priced(mergeable("1:10", last_stays_alone=True), "50 CRUNCHY-ARMCHAIR").unit_price == "10.00"
    assert priced(mergeable("1:10", "5:6", last_stays_alone=True), "50 CRUNCHY-ARMCHAIR").unit_price == "10.00"


def test_merging_passes_over_what_is_not_valid_and_refuses_what_ties() -> None:
    lists = (
        public("A", mergeable=True, priority=1),
        public("B", mergeable=True),
        public("C", mergeable=True),
        public("D", mergeable=True, ends_at=day(1)),
        public("E", mergeable=True, audience=only(company="initech")),
    )
    rows = [row("1:10", of="A"), row("5:8", of="B"), row("5:7", of="C"), row("6:1", of="D"), row("6:1", of="E")]
    tied = book(*rows, lists=lists, strategy=Strategy.MERGE_BREAKS)
    clear = book(*rows[:2], *rows[3:], lists=lists, strategy=Strategy.MERGE_BREAKS)

    assert refused(tied, "9 CRUNCHY-ARMCHAIR") == ("ambiguous_price", {"lists": "B, C"})
    assert priced(clear, "9 CRUNCHY-ARMCHAIR").unit_price == "8.00"


def test_twelve_decimals_of_a_unit_price_are_kept_until_the_line() -> None:
    tiny = book(row("0:0.000000000001"), row("0:0.004", sku="STOOL"), policy=RoundingPolicy(round_unit=False))

    assert total(tiny, "1000000000 CRUNCHY-ARMCHAIR") == "0.00"
    assert total(tiny, "1000 STOOL") == "4.00"
    assert priced(tiny, "1 STOOL").unit_price == "0.004"
