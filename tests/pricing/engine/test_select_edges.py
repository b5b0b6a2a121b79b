"""Which row prices at its edges, what the trace says of it, and rates at theirs."""

import msgspec
import pytest

from pricing.engine import TaxInput, TaxRate
from pricing.engine.book import Package, SkuFacts, Strategy, Titles, UnitFact
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import (
    CHAIR,
    GLOBEX,
    STOOL,
    ask,
    book,
    day,
    layer,
    only,
    priced,
    public,
    refused,
    row,
    rule,
    total,
)


def test_a_break_of_whole_units_is_not_reached_by_a_fraction() -> None:
    of = book(row("0:2 10:1", sku="ROPE"))

    assert [total(of, f"{quantity} ROPE") for quantity in ("2.25", "9.99", "10")] == ["4.50", "19.98", "10.00"]


def test_a_break_of_a_fraction_is_reached_by_whole_units() -> None:
    of = book(row("0:2 2.5:1", sku="ROPE"))

    assert [total(of, f"{quantity} ROPE") for quantity in ("2", "2.5", "3")] == ["4.00", "2.50", "3.00"]


@pytest.mark.parametrize(("first", "second"), [("FROM", "ABOVE"), ("ABOVE", "FROM")])
def test_merged_breaks_from_and_above_the_same_number_stand_side_by_side(first: str, second: str) -> None:
    """From 10 on 8, above 10 (so from 11 on) 7, whichever list comes first."""
    of = book(
        row("1:10 10:8", of="FROM"),
        row(">0:10 >10:7", of="ABOVE", model="volume"),
        lists=(public(first, priority=2, mergeable=True), public(second, priority=1, mergeable=True)),
        strategy=Strategy.MERGE_BREAKS,
    )

    assert [priced(of, f"{units} CRUNCHY-ARMCHAIR").unit_price for units in (9, 10, 11)] == ["10.00", "8.00", "7.00"]


def test_the_lowest_list_of_one_quantity_is_not_taken_for_another() -> None:
    of = book(
        row("1:10", of="PLAIN"),
        row("1:9+5", of="FEE"),
        lists=(public("PLAIN"), public("FEE")),
        strategy=Strategy.LOWEST,
    )

    chosen = [priced(of, f"{units} CRUNCHY-ARMCHAIR").trace.list for units in (1, 10, 4, 6)]

    assert chosen == ["PLAIN", "FEE", "PLAIN", "FEE"]


def test_the_cliff_of_a_line_in_boxes_is_looked_for_in_boxes() -> None:
    cliff = priced(book(row("1:100 3:60", unit="box")), "2 box CRUNCHY-ARMCHAIR").trace.cliff

    assert cliff is not None
    assert (cliff.quantity, cliff.subtotal) == ("3", "180.00")


def test_a_rate_of_0_is_a_rate() -> None:
    free = TaxInput(rates=(TaxRate(category="standard", percent="0"),))
    line = priced(book(row("1:10")), "1 CRUNCHY-ARMCHAIR", tax=free)

    assert (line.tax_percent, line.tax, line.total) == ("0", "0.00", "10.00")


@pytest.mark.parametrize("percent", ["-0.01", "1000.01"])
def test_a_senseless_rate_refuses_and_names_the_category(percent: str) -> None:
    senseless = TaxInput(rates=(TaxRate(category="standard", percent=percent),))

    assert refused(book(row("1:10")), "1 CRUNCHY-ARMCHAIR", tax=senseless) == (
        "tax_rate_unknown", {"category": "standard"},
    )  # fmt: skip


def test_the_trace_names_the_list_by_its_titles_and_the_rounding_by_its_decimals() -> None:
    titles = Titles(en="Public list", es="Tarifa pública")
    line = priced(book(row("0:3.3333", sku="ROPE"), lists=(public(titles=titles),)), "1.5 ROPE")

    assert [(step.phase, step.titles, step.params) for step in line.trace.steps] == [
        ("price", titles, {}),
        ("round_unit", None, {"decimals": "2"}),
        ("extend", None, {"quantity": "1.5"}),
        ("round_line", None, {"decimals": "2"}),
    ]


@pytest.mark.parametrize("level", ["unit", "line", "order"])
def test_of_two_exclusive_rules_as_good_as_each_other_the_first_code_acts(level: str) -> None:
    groups = layer(level, "first", "second")
    rules = (
        rule("Z", "10", layer=level, group="first", exclusive=True),
        rule("A", "10", layer=level, group="second", exclusive=True),
    )
    answer = ask(book(row("0:10"), layers=(groups,), adjustments=rules), "1 CRUNCHY-ARMCHAIR")
    (line,) = answer.lines
    assert isinstance(line, PricedLine)

    assert [step.rule for step in line.trace.steps if step.phase == level] == ["A"]


def test_a_break_above_a_fraction_is_reached_by_whole_units() -> None:
    of = book(row(">0:2 >2.5:1", sku="ROPE", model="volume"))

    assert [total(of, f"{quantity} ROPE") for quantity in ("2.5", "2.51", "3")] == ["5.00", "2.51", "3.00"]


def test_less_than_a_whole_package_costs_nothing_where_packages_are_rounded_down() -> None:
    package = Package(size="5", round_up=False, whole_quantity=True)
    of = book(row(">0:20+3", model="package", package=package))

    assert [total(of, f"{units} CRUNCHY-ARMCHAIR") for units in (4, 5, 9)] == ["0.00", "23.00", "23.00"]


def test_merged_breaks_a_trillionth_apart_stand_in_order() -> None:
    first, second = "100000.000000000001", "100000.000000000002"
    fine = SkuFacts(sku="POWDER", units=(UnitFact(unit="gram", decimals=12),))
    of = book(
        row(f"0:9 {second}:5", of="A", sku="POWDER", unit="gram"),
        row(f"{first}:6", of="B", sku="POWDER", unit="gram"),
        lists=(public("A", priority=2, mergeable=True), public("B", priority=1, mergeable=True)),
        strategy=Strategy.MERGE_BREAKS,
        skus=(fine,),
    )

    prices = [priced(of, f"{quantity} POWDER").unit_price for quantity in ("100000", first, second, "100001")]

    assert prices == ["9.00", "6.00", "5.00", "5.00"]


def test_a_row_and_its_list_that_both_begin_later_wait_for_the_row() -> None:
    of = book(row("1:10", starts_at=day(15, 12)), lists=(public(starts_at=day(1, 12)),))

    answer = ask(of, "1 CRUNCHY-ARMCHAIR")

    assert refused(of, "1 CRUNCHY-ARMCHAIR") == ("not_priced_yet", {"at": "2026-12-15T00:00:00Z"})
    assert answer.valid_until == day(1, 12)


def test_tiers_of_slices_and_packages_count_the_line_alone_in_a_break_group() -> None:
    together = tuple(msgspec.structs.replace(facts, break_group="SEATS") for facts in (CHAIR, STOOL))
    rows = (
        row(">0:10 >5:1", model="graduated"),
        row(">0:20 >1:1", sku="STOOL", model="package", package=Package(size="4")),
    )

    lines = ask(book(*rows, skus=together), "4 CRUNCHY-ARMCHAIR", "8 STOOL").lines

    assert [line.trace.tier_quantity for line in lines if isinstance(line, PricedLine)] == ["4", "8"]


def test_what_states_a_company_comes_before_what_states_segment_and_country() -> None:
    lists = (
        public("COMPANY", audience=only(company="globex")),
        public("BOTH", audience=only(segments=("trade",), countries=("DE",))),
        public("SEGMENT", audience=only(segments=("trade",))),
        public("COUNTRY", audience=only(countries=("DE",))),
        public("ANYBODY"),
    )
    rows = [row(f"1:{price}", of=noun.code) for price, noun in enumerate(lists, start=5)]

    for number, noun in enumerate(lists):
        line = priced(book(*rows[number:], lists=lists), "1 CRUNCHY-ARMCHAIR", buyer=GLOBEX)
        assert line.trace.list == noun.code
