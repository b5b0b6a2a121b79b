"""Cliffs and next breaks with companions, boxes, multiples, at limits; and rows at their edges."""

from typing import Any

import msgspec
import pytest

from pricing.engine import Buyer, MemoryBook, TaxInput, TaxRate
from pricing.engine.book import (
    AmountEffect,
    Bound,
    BuyGetEffect,
    Conditions,
    CurrencyPrice,
    Package,
    PercentEffect,
    PriceLimit,
    QuantityRule,
    Scope,
    Side,
    SkuFacts,
    Strategy,
    Titles,
    UnitFact,
)
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import (
    CHAIR,
    EVERYTHING,
    NOW,
    ROPE,
    STOOL,
    ask,
    at_least,
    book,
    content,
    day,
    in_euro,
    losers,
    only,
    priced,
    public,
    row,
    rule,
    total,
)

EURO_8, EURO_12 = (CurrencyPrice(currency="EUR", price=price) for price in ("8", "12"))


def cliff_of(of: MemoryBook, *lines: str, **more: Any) -> tuple[str, str] | None:
    line = ask(of, *lines, **more).lines[0]
    assert isinstance(line, PricedLine)
    cliff = line.trace.cliff
    return None if cliff is None else (cliff.quantity, cliff.subtotal)


def seats(*rows: Any, **more: Any) -> MemoryBook:
    """Chairs and stools count together."""
    together = tuple(msgspec.structs.replace(facts, break_group="SEATS") for facts in (CHAIR, STOOL))
    return book(*rows, skus=together, **more)


def test_the_companions_of_a_break_group_bring_a_cliff_nearer() -> None:
    of = seats(row("1:10 10:5"), row("1:20", sku="STOOL"))

    assert cliff_of(of, "4 CRUNCHY-ARMCHAIR", "5 STOOL") == ("5", "25.00")
    assert cliff_of(of, "4 CRUNCHY-ARMCHAIR", "1 STOOL") is None
    assert cliff_of(of, "6 CRUNCHY-ARMCHAIR", "1 STOOL") == ("9", "45.00")


def test_a_rule_by_quantity_counts_companions_for_its_cliff_too() -> None:
    half = rule("TEN", "50", conditions=at_least("10"))
    of = seats(row("1:10"), row("1:20", sku="STOOL"), adjustments=(half,))

    assert cliff_of(of, "4 CRUNCHY-ARMCHAIR", "5 STOOL") == ("5", "25.00")
    assert cliff_of(of, "4 CRUNCHY-ARMCHAIR") is None
    assert cliff_of(of, "6 CRUNCHY-ARMCHAIR") == ("10", "50.00")


def test_a_cliff_at_a_break_by_the_piece_is_reached_in_whole_boxes() -> None:
    assert cliff_of(book(row("1:10 13:4")), "1 box CRUNCHY-ARMCHAIR") == ("2", "96.00")
    assert cliff_of(book(row("1:10 13:6")), "1 box CRUNCHY-ARMCHAIR") is None


@pytest.mark.parametrize(
    ("multiple", "unit", "asked", "prices", "cliff"),
    [
        ("4", None, "8 CRUNCHY-ARMCHAIR", "1:10 10:5", ("12", "60.00")),
        ("24", None, "2 box CRUNCHY-ARMCHAIR", "1:10 37:3", ("4", "144.00")),
        ("2", "box", "2 box CRUNCHY-ARMCHAIR", "1:10 37:3", ("4", "144.00")),
        ("3", "box", "3 box CRUNCHY-ARMCHAIR", "1:10 37:3", ("6", "216.00")),
        ("3", "box", "3 box CRUNCHY-ARMCHAIR", "1:10 37:6", None),
    ],
)
def test_a_cliff_is_a_quantity_that_may_be_bought(
    multiple: str, unit: str | None, asked: str, prices: str, cliff: tuple[str, str] | None
) -> None:
    several = QuantityRule(code="M", scope=Scope(everything=True), unit=unit, multiple=multiple)

    assert cliff_of(book(row(prices), quantity_rules=(several,)), asked) == cliff


@pytest.mark.parametrize(("begin", "hinted"), [("1000000000", True), ("1000000001", False), ("999999999999", False)])
def test_a_break_beyond_what_may_be_ordered_is_no_hint(begin: str, hinted: bool) -> None:
    for sku, asked in (("CRUNCHY-ARMCHAIR", "5 CRUNCHY-ARMCHAIR"), ("ROPE", "5 ROPE")):
        line = priced(book(row(f"0:2 {begin}:1", sku=sku)), asked)
        assert (line.trace.next_break is not None) is hinted


def test_a_cliff_that_a_rule_makes_is_not_remembered_for_a_time_before_the_rule() -> None:
    half = rule("TEN", "50", conditions=at_least("10"), starts_at=day(22))
    of = book(row("1:10"), adjustments=(half,))

    for _ in range(3):
        assert cliff_of(of, "9 CRUNCHY-ARMCHAIR", at=day(23)) == ("10", "50.00")
    for _ in range(3):
        assert cliff_of(of, "9 CRUNCHY-ARMCHAIR", at=NOW) is None
    assert cliff_of(of, "9 CRUNCHY-ARMCHAIR", at=day(23)) == ("10", "50.00")


# --- Rows ---


def test_the_largest_rate_there_is() -> None:
    most = TaxInput(rates=(TaxRate(category="standard", percent="1000"),))

    assert priced(book(row("1:10")), "1 CRUNCHY-ARMCHAIR", tax=most).tax == "100.00"


def test_merged_breaks_stand_in_order_of_their_numbers() -> None:
    of = book(
        row("0:9 10:5", of="A", sku="ROPE"),
        row("2.5:8 9.75:6", of="B", sku="ROPE"),
        lists=(public("A", priority=2, mergeable=True), public("B", priority=1, mergeable=True)),
        strategy=Strategy.MERGE_BREAKS,
    )

    prices = [priced(of, f"{quantity} ROPE").unit_price for quantity in ("2.49", "2.5", "9.74", "9.75", "9.99", "10")]

    assert prices == ["9.00", "8.00", "8.00", "6.00", "6.00", "5.00"]


def test_merged_breaks_come_from_what_is_valid_now() -> None:
    lists = (
        public("BASE", mergeable=True),
        public("FROM-NOW", priority=3, mergeable=True, starts_at=NOW),
        public("TILL-NOW", priority=4, mergeable=True, ends_at=NOW),
    )
    rows = row("1:10", of="BASE"), row("5:7", of="FROM-NOW"), row("5:3", of="TILL-NOW")
    of = book(*rows, lists=lists, strategy=Strategy.MERGE_BREAKS)

    assert [priced(of, f"{units} CRUNCHY-ARMCHAIR").unit_price for units in (1, 5)] == ["10.00", "7.00"]


def test_the_lowest_list_is_told_by_exact_fractions() -> None:
    """2.25 m: 4.50 against 3.375 + 2."""
    lists = public("PLAIN"), public("FEE")
    rows = row("0:2", of="PLAIN", sku="ROPE"), row("0:1.5+2", of="FEE", sku="ROPE")
    of = book(*rows, lists=lists, strategy=Strategy.LOWEST)

    assert priced(of, "2.25 ROPE").trace.list == "PLAIN"
    assert priced(of, "5.25 ROPE").trace.list == "FEE"


def test_free_units_leave_nothing_to_charge_for() -> None:
    package = Package(size="5", free="5", whole_quantity=True)
    of = book(row(">0:20+3", model="package", package=package))

    assert [total(of, f"{units} CRUNCHY-ARMCHAIR") for units in (5, 6, 11)] == ["0.00", "23.00", "43.00"]


def test_a_list_that_lost_is_told_with_its_titles() -> None:
    titles = Titles(en="Public list", es="Tarifa pública")
    lists = public(titles=titles), public("CONTRACT", audience=only(company="acme"))
    line = priced(book(row("1:10"), row("1:9", of="CONTRACT"), lists=lists), "1 CRUNCHY-ARMCHAIR")

    assert losers(line) == {"LIST": ("less_specific", {"by": "CONTRACT"})}
    assert [loser.titles for loser in line.trace.losers] == [titles]


def test_graduated_and_package_rows_count_a_line_alone_even_in_a_break_group() -> None:
    slices = seats(row(">0:10 >5:1", model="graduated"), row("1:20", sku="STOOL"))
    packages = seats(row(">0:20 >1:1", model="package", package=Package(size="4")), row("1:20", sku="STOOL"))

    for stools in (1, 5, 50):
        answers = [ask(of, "4 CRUNCHY-ARMCHAIR", f"{stools} STOOL").lines[0] for of in (slices, packages)]
        assert [line.subtotal for line in answers if isinstance(line, PricedLine)] == ["40.00", "20.00"]


def test_a_list_that_asks_for_more_is_told_with_its_titles() -> None:
    titles = Titles(en="Large orders", es="Pedidos grandes")
    lists = public(), public("LARGE", priority=1, titles=titles)
    line = priced(book(row("1:10"), row("50:8", of="LARGE"), lists=lists), "1 CRUNCHY-ARMCHAIR")

    assert losers(line) == {"LARGE": ("needs_quantity", {"quantity": "50", "unit": "each"})}
    assert [loser.titles for loser in line.trace.losers] == [titles]


@pytest.mark.parametrize("named", [("LEFT",), ("RIGHT",), ("LEFT", "RIGHT")])
def test_of_two_skus_alike_a_rule_acts_on_those_it_names(named: tuple[str, ...]) -> None:
    alike = tuple(SkuFacts(sku=sku, categories=("seating",), brand="crunchy") for sku in ("LEFT", "RIGHT", "THIRD"))
    rows = (row("1:10", sku=facts.sku) for facts in alike)
    of = book(*rows, skus=alike, adjustments=(rule("NAMED", "50", scope=Scope(skus=named)),))

    prices = {sku: priced(of, f"1 {sku}").unit_price for sku in ("THIRD", "RIGHT", "LEFT")}

    assert prices == {sku: "5.00" if sku in named else "10.00" for sku in prices}


def test_a_rule_excludes_one_of_two_skus_alike() -> None:
    alike = tuple(SkuFacts(sku=sku, categories=("seating",)) for sku in ("LEFT", "RIGHT"))
    scope = Scope(categories=("seating",), excluded_skus=("RIGHT",))
    of = book(*(row("1:10", sku=facts.sku) for facts in alike), skus=alike, adjustments=(rule("R", "50", scope=scope),))

    assert [priced(of, f"1 {sku}").unit_price for sku in ("LEFT", "RIGHT", "LEFT")] == ["5.00", "10.00", "5.00"]


def test_complete_sets_may_be_of_fractions() -> None:
    sets = rule("SETS", BuyGetEffect(buy="1.5", get="0.25"), layer="line")
    of = book(row("0:8", sku="ROPE"), adjustments=(sets,))

    assert losers(priced(of, "1.74 ROPE")) == {"SETS": ("needs_quantity", {"quantity": "1.75"})}
    assert [total(of, f"{metres} ROPE") for metres in ("1.75", "3.49", "3.5")] == ["12.00", "25.92", "24.00"]


def test_no_row_hides_those_that_follow_it() -> None:
    lists = public(), public("SOON", priority=3, starts_at=day(25)), public("CONTRACT", audience=only(company="acme"))
    rows = (
        row("1:9", of="SOON", unit="box"),
        row("1:99", unit="box"),
        row("1:10"),
        row("50:1", of="CONTRACT"),
        row("1:88", of="CONTRACT", unit="box"),
    )

    assert priced(book(*rows, lists=lists), "1 box CRUNCHY-ARMCHAIR").unit_price == "88.00"
    assert priced(book(*rows[::-1], lists=lists), "1 box CRUNCHY-ARMCHAIR").unit_price == "88.00"


# --- What is remembered, and what a rule at its edge does ---


def test_bounds_of_a_remembered_line_hold_for_the_line_too() -> None:
    limits = (
        Bound(code="F", side=Side.FLOOR, scope=EVERYTHING, limit=PriceLimit(prices=(EURO_8,)), disclosed=True),
        Bound(code="C", side=Side.CEILING, scope=EVERYTHING, limit=PriceLimit(prices=(EURO_12,)), disclosed=True),
    )
    half = rule("HALF", "50", layer="line", conditions=at_least("2"))
    dearer = rule("DEAR", PercentEffect(percent="50", surcharge=True), layer="line", conditions=at_least("10"))
    of = book(row("1:10"), bounds=limits, adjustments=(half, dearer))

    for _ in range(3):
        lines = [priced(of, f"{units} CRUNCHY-ARMCHAIR") for units in (1, 3)]
        assert [line.subtotal for line in lines] == ["10.00", "24.00"]
        assert lines[1].trace.steps[-1].rule == "F"

    of = book(row("1:10"), bounds=limits, adjustments=(dearer,))
    for _ in range(3):
        line = priced(of, "10 CRUNCHY-ARMCHAIR")
        assert (line.subtotal, line.trace.steps[-1].rule) == ("120.00", "C")


def test_an_answer_in_a_currency_nobody_knows_says_when_it_was_asked() -> None:
    found = ask(book(row("1:10")), "1 CRUNCHY-ARMCHAIR", currency="XXX")

    assert (found.at, found.currency, found.total) == (NOW, "XXX", None)


def test_a_discount_that_comes_with_the_next_break_makes_its_cliff() -> None:
    """10 cost 90.00, no less than 9; five percent off makes the difference."""
    few = rule("FEW", "5", conditions=at_least("10"))

    assert cliff_of(book(row("1:10 10:9")), "9 CRUNCHY-ARMCHAIR") is None
    assert cliff_of(book(row("1:10 10:9"), adjustments=(few,)), "9 CRUNCHY-ARMCHAIR") == ("10", "85.50")


def test_a_fee_that_is_paid_already_makes_a_cliff_of_a_tier_without() -> None:
    assert cliff_of(book(row("1:10+5 10:9.4")), "9 CRUNCHY-ARMCHAIR") == ("10", "94.00")


def test_the_nearest_cliff_may_be_a_fraction() -> None:
    rules = rule("A", "60", conditions=at_least("10")), rule("B", "60", conditions=at_least("2.5"))

    assert cliff_of(book(row("0:10", sku="ROPE"), adjustments=rules), "2 ROPE") == ("2.5", "10.00")


def test_a_set_with_more_free_than_paid_is_a_cliff() -> None:
    sets = rule("SETS", BuyGetEffect(buy="1", get="3"), layer="line")

    assert cliff_of(book(row("1:10"), adjustments=(sets,)), "2 CRUNCHY-ARMCHAIR") == ("4", "10.00")


def test_a_rule_that_ended_just_now_sets_no_edge() -> None:
    ended = rule("OVER", "5", ends_at=NOW)
    line = priced(book(row("1:10"), adjustments=(ended,)), "1 CRUNCHY-ARMCHAIR")

    assert (line.unit_price, line.valid_until) == ("10.00", None)


def test_an_amount_off_the_line_is_taken_once_whatever_the_unit_holds() -> None:
    off = rule("OFF", AmountEffect(amount="5"), layer="line", conditions=in_euro())

    assert total(book(row("1:100", unit="box"), adjustments=(off,)), "1 box CRUNCHY-ARMCHAIR") == "95.00"


def test_what_one_buyer_currency_and_country_met_is_not_taken_for_another() -> None:
    rules = (
        rule("EURO", AmountEffect(amount="1"), conditions=in_euro()),
        rule("SPAIN", "10", conditions=Conditions(countries=("ES",)), priority=1),
        rule("BOTH", "20", conditions=Conditions(countries=("FR", "IT"), currencies=("EUR", "USD")), priority=2),
        rule("TRADE", "30", audience=only(segments=("trade",)), priority=3),
    )
    lists = public(), public("DOLLARS", "USD")
    nouns = content(row("1:10"), row("1:20", of="DOLLARS"), lists=lists, adjustments=rules)
    kept = MemoryBook(nouns, root="r")
    buyers = [Buyer(country=country) for country in ("DE", "ES", "FR", "IT", None)]
    buyers += [Buyer(company="globex", segments=("trade",), country=country) for country in ("DE", "ES")]

    for _ in range(3):
        for buyer in buyers:
            for currency in ("EUR", "USD"):
                alone = ask(MemoryBook(nouns, root="r"), "1 CRUNCHY-ARMCHAIR", buyer=buyer, currency=currency)
                assert ask(kept, "1 CRUNCHY-ARMCHAIR", buyer=buyer, currency=currency) == alone


def test_a_rule_for_several_countries_or_currencies_names_them() -> None:
    abroad = rule("ABROAD", "5", conditions=Conditions(countries=("FR", "IT")))
    dollars = rule("DOLLARS", "5", conditions=Conditions(currencies=("USD", "CHF")))

    assert losers(priced(book(row("1:10"), adjustments=(abroad, dollars)), "1 CRUNCHY-ARMCHAIR")) == {
        "ABROAD": ("other_country", {"countries": "FR, IT"}),
        "DOLLARS": ("other_currency", {"currencies": "USD, CHF"}),
    }


# --- Whether a next break may pay ---


def test_a_discount_that_the_next_break_brings_along_is_counted_with_the_group() -> None:
    """15 % off from 25 on, reached by 20 chairs beside 5 stools: 20 x 5.20 less 15 % are 88.40, 10 x 10.00 are more."""
    some = rule("SOME", "15", conditions=at_least("25"), scope=Scope(skus=("CRUNCHY-ARMCHAIR",)))
    of = seats(row("1:10 25:5.2"), row("1:20", sku="STOOL"), adjustments=(some,))

    assert cliff_of(of, "10 CRUNCHY-ARMCHAIR", "5 STOOL") == ("20", "88.40")
    assert cliff_of(of, "10 CRUNCHY-ARMCHAIR") is None


def test_a_discount_before_the_next_break_that_does_not_pay_itself_pays_with_it() -> None:
    some = rule("SOME", "15", conditions=at_least("12"))

    assert cliff_of(book(row("1:10 20:5.2"), adjustments=(some,)), "10 CRUNCHY-ARMCHAIR") == ("20", "88.40")


def test_a_break_of_a_row_by_the_box_is_looked_for_among_the_boxes() -> None:
    of = book(row("1:110 3:60 30:200", unit="box"))

    assert cliff_of(of, "2 box CRUNCHY-ARMCHAIR") == ("3", "180.00")


def test_a_later_break_at_a_lower_price_is_the_next_one_and_an_earlier_is_not() -> None:
    of = book(row("1:8 10:9 20:7"))

    hints = [priced(of, f"{units} CRUNCHY-ARMCHAIR").trace.next_break for units in (5, 12, 20)]

    assert [hint and hint.quantity for hint in hints] == ["20", "20", None]


def test_a_discount_by_the_amount_that_only_the_next_break_reaches_is_counted() -> None:
    """20 x 5.30 are 106.00, of which 15 % go: 90.10."""
    dear = rule("DEAR", "15", layer="line", conditions=in_euro(min_line_amount="105"))

    assert cliff_of(book(row("1:10 20:5.3")), "10 CRUNCHY-ARMCHAIR") is None
    assert cliff_of(book(row("1:10 20:5.3"), adjustments=(dear,)), "10 CRUNCHY-ARMCHAIR") == ("20", "90.10")


def test_a_floor_under_a_price_with_tax_is_worked_out_anew_for_another_rate() -> None:
    limit = PriceLimit(prices=(CurrencyPrice(currency="EUR", price="4"),))
    of = book(
        row("1:10 10:1"),
        lists=(public(tax_included=True),),
        bounds=(Bound(code="F", side=Side.FLOOR, scope=EVERYTHING, limit=limit),),
    )

    for percent, unit_price, cliff in [("19", "4.76", "47.60")] * 4 + [("7", "4.28", "42.80")] * 4:
        tax = TaxInput(rates=(TaxRate(category="standard", percent=percent),))
        assert cliff_of(of, "9 CRUNCHY-ARMCHAIR", tax=tax) == ("10", cliff)
        assert priced(of, "10 CRUNCHY-ARMCHAIR", tax=tax).unit_price == unit_price


@pytest.mark.parametrize(("dates", "then"), [({"ends_at": day(22)}, day(23)), ({"starts_at": NOW}, day(20))])
def test_what_a_next_break_cost_while_a_rule_ran_is_not_what_it_costs_without(dates: dict[str, Any], then: Any) -> None:
    half = rule("TEN", "50", conditions=at_least("10"), **dates)
    of = book(row("1:10 10:8.9"), adjustments=(half,))

    for _ in range(3):
        assert cliff_of(of, "9 CRUNCHY-ARMCHAIR", at=NOW) == ("10", "44.50")
    for _ in range(3):
        assert cliff_of(of, "9 CRUNCHY-ARMCHAIR", at=then) == ("10", "89.00")


@pytest.mark.parametrize(
    ("said", "sku", "asked", "needed"),
    [
        (">0:2 >10:1", "ROPE", "5 ROPE", "10.01"),
        (">0:2 >10:1", "CRUNCHY-ARMCHAIR", "5 CRUNCHY-ARMCHAIR", "11"),
        ("1:10 25:8", "CRUNCHY-ARMCHAIR", "5 pair CRUNCHY-ARMCHAIR", "13"),
        (">0:2 >1000000000:1", "CRUNCHY-ARMCHAIR", "5 CRUNCHY-ARMCHAIR", None),
        (">0:2 >999999999:1", "CRUNCHY-ARMCHAIR", "5 CRUNCHY-ARMCHAIR", "1000000000"),
    ],
)
def test_the_next_break_is_the_least_quantity_of_the_unit_that_reaches_it(
    said: str, sku: str, asked: str, needed: str | None
) -> None:
    pairs = msgspec.structs.replace(CHAIR, units=(UnitFact(unit="each"), UnitFact(unit="pair", factor="2")))
    line = priced(book(row(said, sku=sku, model="volume"), skus=(pairs, ROPE)), asked)

    assert (line.trace.next_break and line.trace.next_break.quantity) == needed
