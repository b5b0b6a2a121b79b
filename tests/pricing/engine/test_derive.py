"""Derived lists: formulas into rows."""

from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.money import Mode, ratio_text
from pricing.engine import BookContent, MemoryBook, Severity
from pricing.engine.book import Cost, Package, PriceRow, Tier
from pricing.engine.check import Finding, check
from pricing.engine.derive import TEXTS, Derivation, Derived, Multiple, check_derivations, derive
from pricing.engine.request import Buyer
from tests.pricing.engine.cast import CHAIR, GLOBEX, NOW, ROPE, STOOL, content, day, only, priced, public, row

TRADE = public("TRADE", priority=1)
VIP = public("VIP", priority=2)


def trade(**more: Any) -> Derivation:
    """TRADE from LIST; `round_to=("0.05", "up")`, `margin=("10", "60")`."""
    if "round_to" in more:
        multiple, mode = more["round_to"]
        more["round_to"] = Multiple(multiple=multiple, mode=Mode(mode))
    if "margin" in more:
        more["min_margin"], more["max_margin"] = more.pop("margin")
    return Derivation(**{"list": "TRADE", "base": "LIST", **more})


def house(*rows: PriceRow, **more: Any) -> BookContent:
    return content(*rows, **{"lists": (public(), TRADE, VIP), **more})


def costs(**of: str) -> tuple[Cost, ...]:
    names = {"chair": CHAIR.sku, "rope": ROPE.sku, "stool": STOOL.sku}
    return tuple(Cost(sku=names[name], currency="EUR", cost=cost) for name, cost in of.items())


def derived(base: str, derivation: Derivation, *, cost: str | None = None) -> str:
    """What TRADE asks where the base row asks *base*."""
    of = house(row(f"0:{base}"), costs=() if cost is None else costs(chair=cost))
    done = derive(of, [derivation], at=NOW)
    assert done.findings == ()
    (only_row,) = done.rows
    return only_row.tiers[0].unit_price


def finding(done: Derived) -> Finding:
    (found,) = done.findings
    return found


def codes(done: Derived) -> list[str]:
    return [found.code for found in done.findings]


def shown(rows: tuple[PriceRow, ...]) -> list[str]:
    """Rows as `LIST from..until price`, days of November."""
    return [
        f"{one.list} {one.starts_at.day if one.starts_at else ''}..{one.ends_at.day if one.ends_at else ''} "
        f"{one.tiers[0].unit_price}"
        for one in sorted(rows, key=lambda one: (one.list, one.starts_at or day(1) - timedelta(days=1)))
    ]


# --- One price, step by step ---


@pytest.mark.parametrize(
    ("base", "formula", "comes_to"),
    [
        ("10", {"percent": "-12"}, "8.8"),
        ("10", {"percent": "25"}, "12.5"),
        ("10", {}, "10"),
        ("9.99", {"percent": "-12.5"}, "8.74125"),
        ("0.000000000008", {"percent": "-50"}, "0.000000000004"),
        # round to a multiple, mode stated
        ("9.99", {"percent": "-12.5", "round_to": ("0.05", "half_up")}, "8.75"),
        ("9.99", {"percent": "-12.5", "round_to": ("0.05", "down")}, "8.7"),
        ("9.99", {"percent": "-12.5", "round_to": ("0.01", "up")}, "8.75"),
        ("9.99", {"percent": "-12.5", "round_to": ("5", "half_up")}, "10"),
        ("12.5", {"round_to": ("5", "half_up")}, "15"),
        ("12.5", {"round_to": ("5", "half_down")}, "10"),
        ("12.5", {"round_to": ("5", "half_even")}, "10"),
        ("17.5", {"round_to": ("5", "half_even")}, "20"),
        ("11", {"round_to": ("0.3", "ceiling")}, "11.1"),
        ("11", {"round_to": ("0.3", "floor")}, "10.8"),
        # then the ending, which is not rounded again
        ("9.6", {"round_to": ("1", "half_up"), "ending": "-0.01"}, "9.99"),
        ("9.4", {"round_to": ("1", "half_up"), "ending": "-0.05"}, "8.95"),
        ("9.4", {"ending": "0.5"}, "9.9"),
    ],
)
def test_percent_then_multiple_then_ending(base: str, formula: dict[str, Any], comes_to: str) -> None:
    assert derived(base, trade(**formula)) == comes_to


@pytest.mark.parametrize(
    ("cost", "formula", "comes_to"),
    [
        # at least 10 %: 9.30 / 0.9 = 10.333...
        ("9.3", {"margin": ("10", None)}, "10.34"),
        ("9.3", {"margin": ("10", None), "round_to": ("0.05", "half_up")}, "10.35"),
        # the ending is not restored: 11, not 10.99
        ("9.3", {"margin": ("10", None), "round_to": ("1", "half_up"), "ending": "-0.01"}, "11"),
        ("9", {"margin": ("10", None)}, "10"),
        ("8.9", {"margin": ("10", None)}, "10"),
        # at most 60 %: 3.333 / 0.4 = 8.3325
        ("3.333", {"margin": (None, "60")}, "8.33"),
        ("3.333", {"margin": (None, "60"), "round_to": ("0.05", "up")}, "8.3"),
        ("3.333", {"margin": (None, "60"), "round_to": ("1", "up"), "ending": "0.99"}, "8"),
        ("4", {"margin": (None, "60")}, "10"),
        # 99 % is still below 100: 1 / 0.01
        ("1", {"margin": ("99", None)}, "100"),
        # both
        ("9.3", {"margin": ("10", "60")}, "10.34"),
        ("3.333", {"margin": ("10", "60")}, "8.33"),
        ("5", {"margin": ("10", "60")}, "10"),
        ("5", {"margin": ("50", "50")}, "10"),
        ("6", {"margin": ("50", "50")}, "12"),
        # below cost, if the house says so: 10.50 / 1.05 = 10
        ("10.6", {"margin": ("-5", None)}, "10.1"),
        ("10.5", {"margin": ("-5", None)}, "10"),
        # a formula that would give less than nothing is lifted like any other
        ("1", {"percent": "-200", "margin": ("50", None)}, "2"),
    ],
)
def test_margins_are_rounded_inward_and_the_ending_is_not_restored(
    cost: str, formula: dict[str, Any], comes_to: str
) -> None:
    assert derived("10", trade(**formula), cost=cost) == comes_to


def test_a_bound_that_does_not_bind_leaves_a_price_finer_than_the_cents() -> None:
    assert derived("10.3335", trade(margin=("10", None)), cost="9.3") == "10.3335"


def test_a_price_has_18_digits_before_the_point_and_not_one_more() -> None:
    assert derived("499999999999999999.5", trade(percent="100")) == "999999999999999999"
    too_large = house(row("0:500000000000000000"))
    assert codes(derive(too_large, [trade(percent="100")], at=NOW)) == ["derivation_too_large"]


def test_without_a_multiple_bounds_are_rounded_to_the_coins_of_the_currency() -> None:
    lists = (public(currency="JPY"), public("TRADE", currency="JPY"))
    of = content(row("0:10"), lists=lists, costs=(Cost(sku=CHAIR.sku, currency="JPY", cost="9.3"),))

    assert derive(of, [trade(margin=("10", None))], at=NOW).rows[0].tiers[0].unit_price == "11"


# --- Rows ---


def test_every_tier_of_every_model_is_derived_and_fees_stay() -> None:
    package = Package(size="5")
    of = house(
        row("1:10+3 10:8", sku=CHAIR.sku),
        row(">0:2 >50:1+4", sku=ROPE.sku, model="graduated"),
        row(">0:20 >2:15", sku=STOOL.sku, model="package", package=package),
    )
    done = derive(of, [trade(percent="-10")], at=NOW)

    assert done.findings == ()
    assert [(one.model, one.package) for one in done.rows] == [(one.model, one.package) for one in of.rows]
    assert done.rows == (
        row("1:9+3 10:7.2", sku=CHAIR.sku, of="TRADE"),
        row(">0:1.8 >50:0.9+4", sku=ROPE.sku, of="TRADE", model="graduated"),
        row(">0:18 >2:13.5", sku=STOOL.sku, of="TRADE", model="package", package=package),
    )


def test_margins_look_at_the_cost_of_what_a_row_prices() -> None:
    of = house(
        row("0:100", unit="box"),
        row(">0:20", sku=STOOL.sku, model="package", package=Package(size="5")),
        costs=costs(chair="10", stool="10"),
    )
    done = derive(of, [trade(margin=("20", None))], at=NOW)

    # a box holds 12 chairs: 120 / 0.8; a package 5 stools: 50 / 0.8
    assert [one.tiers[0].unit_price for one in done.rows] == ["150", "62.5"]


def test_the_content_given_stays_and_the_rows_come_after_it() -> None:
    of = house(row("0:10"), row("0:3", sku="STOOL"))
    done = derive(of, [trade(percent="-10")], at=NOW)

    assert done.content.rows == of.rows + done.rows
    assert [one.list for one in done.rows] == ["TRADE", "TRADE"]
    assert derive(of, [], at=NOW).content is of
    book = MemoryBook(done.content, root="sha256:test")
    assert priced(book, f"1 {CHAIR.sku}", buyer=GLOBEX).unit_price == "9.00"


def test_a_chain_is_worked_out_from_its_beginning_whatever_the_order() -> None:
    of = house(row("0:10"), row("0:5", sku="STOOL"), row("0:4", sku="STOOL", of="TRADE"))
    chain = [Derivation(list="VIP", base="TRADE", percent="-10"), trade(percent="-20")]
    one, other = derive(of, chain, at=NOW), derive(of, chain[::-1], at=NOW)

    assert one == other
    # the stool of VIP follows what TRADE states outright
    assert [(found.list, found.sku, found.tiers[0].unit_price) for found in one.rows] == [
        ("TRADE", CHAIR.sku, "8"),
        ("VIP", "STOOL", "3.6"),
        ("VIP", CHAIR.sku, "7.2"),
    ]


def test_from_cost_each_sku_with_one_in_the_currency_gets_a_flat_row_of_its_base_unit() -> None:
    in_dollars = Cost(sku="STOOL", currency="USD", cost="4")
    of = house(row("0:10"), costs=(*costs(chair="8", rope="0.3"), in_dollars))
    done = derive(of, [trade(base=None, percent="25", round_to=("0.05", "up"), ending="-0.01")], at=NOW)

    assert done.findings == ()
    assert done.rows == (
        row("0:9.99", of="TRADE"),
        row("0:0.39", sku=ROPE.sku, of="TRADE", unit="metre"),
    )


def test_a_cost_of_an_undeclared_sku_gives_no_row() -> None:
    of = house(costs=(*costs(chair="8"), Cost(sku="GHOST", currency="EUR", cost="1")))

    assert [one.sku for one in derive(of, [trade(base=None)], at=NOW).rows] == [CHAIR.sku]


# --- Windows, and rows stated outright ---


@pytest.mark.parametrize(
    ("base", "stated", "left"),
    [
        ((None, None), [], ["TRADE .. 9"]),
        ((3, 9), [], ["TRADE 3..9 9"]),
        ((None, None), [(None, None)], []),
        ((3, 9), [(None, None)], []),
        ((3, 9), [(3, 9)], []),
        ((3, 9), [(2, 10)], []),
        ((None, None), [(3, 9)], ["TRADE ..3 9", "TRADE 9.. 9"]),
        ((None, None), [(3, None)], ["TRADE ..3 9"]),
        ((None, None), [(None, 3)], ["TRADE 3.. 9"]),
        ((3, 9), [(5, 6)], ["TRADE 3..5 9", "TRADE 6..9 9"]),
        ((3, 9), [(1, 5)], ["TRADE 5..9 9"]),
        ((3, 9), [(5, 20)], ["TRADE 3..5 9"]),
        ((3, 9), [(5, None)], ["TRADE 3..5 9"]),
        # none of these reaches into it: periods are half-open
        ((3, 9), [(1, 3), (9, 12), (12, None)], ["TRADE 3..9 9"]),
        ((3, 20), [(8, 9), (5, 6)], ["TRADE 3..5 9", "TRADE 6..8 9", "TRADE 9..20 9"]),
        ((3, 20), [(5, 6), (6, 9)], ["TRADE 3..5 9", "TRADE 9..20 9"]),
    ],
)
def test_a_stated_row_stands_while_its_window_does_and_the_derived_one_around_it(
    base: tuple[int | None, int | None], stated: list[tuple[int | None, int | None]], left: list[str]
) -> None:
    def window(days: tuple[int | None, int | None]) -> dict[str, Any]:
        return dict(zip(("starts_at", "ends_at"), (None if one is None else day(one) for one in days), strict=True))

    own = [row("0:5", of="TRADE", **window(days)) for days in stated]
    done = derive(house(row("0:10", **window(base)), *own), [trade(percent="-10")], at=NOW)

    assert shown(done.rows) == left


def test_a_stated_row_speaks_for_its_own_unit_alone() -> None:
    of = house(row("0:100", unit="box"), row("0:10"), row("0:80", of="TRADE", unit="box"))
    done = derive(of, [trade(percent="-10")], at=NOW)

    assert [(one.unit, one.tiers[0].unit_price) for one in done.rows] == [("each", "9")]


def test_a_base_that_changes_on_a_day_is_followed_from_that_day() -> None:
    of = house(row("0:10", ends_at=day(5)), row("0:12", starts_at=day(5)))

    assert shown(derive(of, [trade(percent="-50")], at=NOW).rows) == ["TRADE ..5 5", "TRADE 5.. 6"]


# --- What stops a publication ---

FIRST = {"currency": "EUR", "count": "1", "sku": CHAIR.sku, "multiple": "0.01"}
ODD_FIRST = {**FIRST, "currency": "XXX", "multiple": "1"}
WARNINGS = {"derivation_of_empty_list", "derivation_all_stated", "derivation_gives_zero"}


def test_derivations_in_a_circle_are_one_error_however_many_hang_on_it() -> None:
    lists = (public(), TRADE, VIP, public("GOLD"), public("LOST"))
    circle = [
        Derivation(list="VIP", base="TRADE"),
        Derivation(list="TRADE", base="GOLD"),
        Derivation(list="GOLD", base="VIP"),
        Derivation(list="LOST", base="GOLD"),
    ]
    done = derive(content(row("0:10"), lists=lists), circle, at=NOW)

    assert done.rows == ()
    assert finding(done).params == {"list": "GOLD", "lists": "GOLD, VIP, TRADE, GOLD"}
    assert finding(done).severity is Severity.ERROR
    assert codes(derive(house(), [trade(base="TRADE")], at=NOW)) == ["derivation_cyclic"]


@pytest.mark.parametrize(
    ("derivation", "code", "params"),
    [
        (trade(list="NOWHERE"), "derivation_unknown_list", {}),
        (trade(base="NOWHERE"), "derivation_unknown_base", {"base": "NOWHERE"}),
        (
            trade(base="DOLLARS"),
            "derivation_other_currency",
            {"currency": "EUR", "base": "DOLLARS", "other": "USD"},
        ),
        (trade(base="SHOP"), "derivation_other_tax", {"base": "SHOP"}),
        (trade(list="TILL", base="SHOP", margin=("10", None)), "derivation_needs_net", {}),
        (trade(list="TILL", base=None), "derivation_needs_net", {}),
        (trade(round_to=("0", "up")), "derivation_bad_multiple", {"multiple": "0"}),
        (trade(round_to=("-1", "up")), "derivation_bad_multiple", {"multiple": "-1"}),
        (trade(margin=("100", None)), "derivation_bad_margin", {}),
        (trade(margin=(None, "101")), "derivation_bad_margin", {}),
        (trade(margin=("30", "20")), "derivation_bad_margin", {}),
        (trade(list="ODD2", base="ODD", margin=("10", None)), "derivation_unknown_currency", {"currency": "XXX"}),
        (trade(base="EMPTY"), "derivation_of_empty_list", {"base": "EMPTY"}),
        (trade(list="FULL"), "derivation_all_stated", {}),
        (trade(margin=("10", None)), "derivation_without_cost", FIRST),
        (trade(base=None), "derivation_without_costs", {"currency": "EUR"}),
        (trade(percent="-101"), "derivation_negative", FIRST),
        (trade(ending="-10000"), "derivation_negative", FIRST),
        (trade(percent="-0.000000000001"), "derivation_too_fine", FIRST),
        (trade(list="ODD2", base="ODD", percent="-101"), "derivation_negative", ODD_FIRST),
        (trade(percent="99999999999999999"), "derivation_too_large", FIRST),
        (trade(percent="-100"), "derivation_gives_zero", FIRST),
    ],
)
def test_what_is_wrong_with_a_derivation_is_said_in_both_languages(
    derivation: Derivation, code: str, params: dict[str, str]
) -> None:
    lists = (
        public(),
        TRADE,
        public("DOLLARS", currency="USD"),
        public("SHOP", tax_included=True),
        public("TILL", tax_included=True),
        public("EMPTY"),
        public("ODD", currency="XXX"),
        public("ODD2", currency="XXX"),
        public("FULL"),
    )
    rows = [row("0:9999.9999"), row("0:7", of="SHOP"), row("0:7", of="ODD"), row("0:7", of="FULL")]
    found = finding(derive(content(*rows, lists=lists), [derivation], at=NOW))

    assert found.code == code
    assert found.params == {"list": derivation.list, **params}
    assert found.severity is (Severity.WARNING if code in WARNINGS else Severity.ERROR)
    english, spanish = (text.format(**found.params) for text in TEXTS[code])
    assert english != spanish
    assert derivation.list in english
    assert derivation.list in spanish


def test_two_derivations_of_one_list_are_an_error_and_hide_no_other() -> None:
    of = house(row("0:10"))
    done = derive(of, [trade(percent="1"), trade(percent="2"), Derivation(list="VIP", base="LIST")], at=NOW)

    assert codes(done) == ["derivation_twice"]
    assert finding(done).params == {"list": "TRADE"}
    both = [Derivation(list="LIST", base="LIST"), *(Derivation(list=code, base="VIP") for code in ("VIP", "VIP"))]
    assert codes(derive(of, both, at=NOW)) == ["derivation_twice", "derivation_cyclic", "derivation_cyclic"]


def test_what_is_in_no_circle_is_derived_all_the_same() -> None:
    lists = (public(), TRADE, VIP, public("GOLD"))
    circle = [Derivation(list="TRADE", base="VIP"), Derivation(list="VIP", base="TRADE")]
    done = derive(content(row("0:10"), lists=lists), [*circle, Derivation(list="GOLD", base="LIST")], at=NOW)

    assert codes(done) == ["derivation_cyclic"]
    assert [one.list for one in done.rows] == ["GOLD"]


def test_what_follows_a_list_in_error_is_not_reported_again() -> None:
    done = derive(house(row("0:10")), [trade(base="NOWHERE"), Derivation(list="VIP", base="TRADE")], at=NOW)

    assert codes(done) == ["derivation_unknown_base"]
    assert done.rows == ()


def test_derivations_can_be_looked_at_without_anything_to_derive_from() -> None:
    lists = (public(), TRADE)

    assert check_derivations(lists, [trade(margin=("10", None))]) == ()
    assert [found.code for found in check_derivations(lists, [trade(base="TRADE")])] == ["derivation_cyclic"]


def test_prices_without_one_are_counted_and_the_first_is_shown_to_whom_it_is_for() -> None:
    lists = (public(), public("TRADE", audience=only(segments=("trade", "vip"), countries=("DE", "ES"))))
    of = content(
        row("0:10", sku="STOOL", starts_at=day(1, 12)),
        row(">5:10", model="graduated"),
        row("0:1", sku="ROPE"),
        lists=lists,
        costs=costs(rope="1", chair="0"),
    )
    done = derive(of, [trade(margin=("10", None))], at=NOW)

    found = finding(done)
    assert found.code == "derivation_without_cost"
    assert found.params["count"] == "2"
    assert found.params["sku"] == "STOOL"
    assert found.witness is not None
    assert found.witness.buyer == Buyer(segments=("trade",), country="DE")
    assert (found.witness.sku, found.witness.unit, found.witness.quantity) == ("STOOL", "each", "0")
    assert found.witness.at == day(1, 12)
    assert [one.sku for one in done.rows] == ["ROPE"]


@pytest.mark.parametrize("at", [day(5), NOW])
def test_a_witness_of_a_row_that_has_ended_asks_at_its_last_instant_and_above_an_excluded_bound(at: datetime) -> None:
    of = house(row(">5:10 >9:8", model="graduated", ends_at=day(5)))
    witness = finding(derive(of, [trade(margin=("10", None))], at=at)).witness

    assert witness is not None
    assert (witness.quantity, witness.at) == ("6", day(5) - timedelta(microseconds=1))


def test_a_witness_of_a_list_of_one_company_is_that_company_in_the_lists_currency() -> None:
    lists = (public(), public("TRADE", audience=only(company="initech")))
    witness = finding(derive(content(row("0:10"), lists=lists), [trade(percent="-101")], at=NOW)).witness

    assert witness is not None
    assert (witness.buyer, witness.currency) == (Buyer(company="initech"), "EUR")


def test_a_draft_with_a_tier_of_no_bound_is_derived_and_left_to_the_checks_of_the_book() -> None:
    of = house(PriceRow(list="LIST", sku=CHAIR.sku, unit="each", tiers=(Tier(unit_price="10"),)))
    done = derive(of, [trade(percent="-101")], at=NOW)

    assert codes(done) == ["derivation_negative"]
    assert "not_loadable" in [found.code for found in check(of, at=NOW)]


def test_a_row_of_an_unknown_sku_or_unit_has_no_cost() -> None:
    of = house(row("0:10", sku="GHOST"), row("0:10", unit="pallet"), costs=costs(chair="1"))
    done = derive(of, [trade(margin=("10", None))], at=NOW)

    assert finding(done).params["count"] == "2"


def test_rounding_one_margin_past_the_other_leaves_no_price() -> None:
    # between 8 and 9 there is no multiple of 5
    of = house(row("0:10"), costs=costs(chair="7.2"))
    found = finding(derive(of, [trade(margin=("10", "20"), round_to=("5", "half_up"), ending="-0.5")], at=NOW))

    assert found.code == "derivation_no_price_between_margins"
    assert found.params["multiple"] == "5"
    assert TEXTS[found.code][0].format(**found.params) == (
        "In the list TRADE, 1 prices find no multiple of 5 within the margins; the first: SKU CRUNCHY-ARMCHAIR."
    )
    low = house(row("0:1"), costs=costs(chair="7.2"))
    assert codes(derive(low, [trade(margin=("10", "20"), round_to=("5", "half_up"))], at=NOW)) == [found.code]


def test_a_stated_row_needs_no_cost_and_no_price() -> None:
    of = house(row("0:10"), row("0:5", of="TRADE"))

    done = derive(of, [trade(margin=("10", None))], at=NOW)
    assert (done.content, done.rows) == (of, ())
    assert codes(done) == ["derivation_all_stated"]
    assert finding(done).severity is Severity.WARNING


def test_a_price_of_0_is_a_warning_unless_the_base_asks_0_too() -> None:
    of = house(row("0:0.02"), row("0:0", sku="STOOL"), row("0:0.04", sku="ROPE"))
    done = derive(of, [trade(round_to=("0.05", "down"))], at=NOW)

    assert finding(done).code == "derivation_gives_zero"
    assert finding(done).severity is Severity.WARNING
    assert finding(done).params["count"] == "2"
    assert [one.tiers[0].unit_price for one in done.rows] == ["0", "0", "0"]


def test_base_rows_that_overlap_are_left_for_the_checks_of_the_book_and_give_no_key_twice() -> None:
    of = house(
        row("0:10", starts_at=day(1), ends_at=day(10)),
        row("0:11", starts_at=day(5), ends_at=day(15)),
        row("0:1", of="TRADE", starts_at=day(6), ends_at=day(8)),
    )
    rows = derive(of, [trade()], at=NOW).rows

    assert len({one.starts_at for one in rows}) == len(rows) == 3


def test_a_long_chain_of_lists_is_worked_out_without_recursion() -> None:
    count = 1500
    lists = tuple(public(f"L{number:04}", priority=number) for number in range(count))
    chain = [
        Derivation(list=one.code, base=base.code, percent="1", round_to=Multiple(multiple="0.01", mode=Mode.UP))
        for base, one in pairwise(lists)
    ]
    done = derive(content(row("0:10", of="L0000"), lists=lists), chain, at=NOW)

    assert done.findings == ()
    assert len(done.rows) == count - 1


# --- Laws ---

PRICES = st.integers(0, 10_000_00).map(lambda cents: ratio_text(cents, 100))
PERCENTS = st.integers(-120, 150).map(str)
MULTIPLES = st.one_of(
    st.none(),
    st.builds(Multiple, multiple=st.sampled_from(["0.01", "0.05", "0.3", "1", "5"]), mode=st.sampled_from(Mode)),
)
MARGINS = st.one_of(st.none(), st.integers(-20, 95).map(str))
DAYS = st.one_of(st.none(), st.integers(1, 20))


@st.composite
def windows(draw: st.DrawFn) -> list[tuple[int | None, int | None]]:
    """Up to three that do not overlap."""
    edges = sorted(draw(st.sets(st.integers(1, 20), min_size=0, max_size=6)))
    bounds: list[int | None] = [None, *edges, None]
    return draw(st.lists(st.sampled_from(list(pairwise(bounds))), max_size=3, unique=True))


@st.composite
def rows_of(draw: st.DrawFn, code: str) -> list[PriceRow]:
    found = []
    for sku, unit in ((CHAIR.sku, "each"), (CHAIR.sku, "box"), ("STOOL", "each")):
        for begins, ends in draw(windows()):
            price = draw(PRICES)
            found.append(
                row(
                    f"0:{price}",
                    sku=sku,
                    of=code,
                    unit=unit,
                    starts_at=None if begins is None else day(begins),
                    ends_at=None if ends is None else day(ends),
                )
            )
    return found


@st.composite
def derivations(draw: st.DrawFn, *, codes: tuple[str, ...] = ("TRADE", "VIP")) -> list[Derivation]:
    """TRADE from LIST or cost, VIP from TRADE, LIST or cost."""
    made = []
    for place, code in enumerate(codes):
        bases = [None, "LIST", *codes[:place]]
        low, high = draw(MARGINS), draw(MARGINS)
        if low is not None and high is not None and int(high) < int(low):
            low, high = high, low
        made.append(
            Derivation(
                list=code,
                base=draw(st.sampled_from(bases)),
                percent=draw(PERCENTS),
                round_to=draw(MULTIPLES),
                ending=draw(st.sampled_from(["0", "-0.01", "0.5"])),
                min_margin=low,
                max_margin=high,
            )
        )
    return made


@st.composite
def houses(draw: st.DrawFn) -> BookContent:
    own = [each for code in ("LIST", "TRADE", "VIP") for each in draw(rows_of(code))]
    cents = draw(st.lists(PRICES, min_size=2, max_size=2))
    return house(*own, costs=costs(chair=cents[0], stool=cents[1]))


@given(houses(), derivations())
def test_margins_hold_after_derivation(of: BookContent, formulas: list[Derivation]) -> None:
    by_list = {formula.list: formula for formula in formulas}
    cost_of = {cost.sku: Fraction(cost.cost) for cost in of.costs}
    for one in derive(of, formulas, at=NOW).rows:
        price, formula = Fraction(one.tiers[0].unit_price), by_list[one.list]
        cost = cost_of[one.sku] * (12 if one.unit == "box" else 1)
        assert price >= 0
        if formula.min_margin is not None:
            assert price - cost >= price * Fraction(formula.min_margin) / 100
        if formula.max_margin is not None:
            assert price - cost <= price * Fraction(formula.max_margin) / 100


@given(houses(), derivations(), st.integers(0, 22))
def test_a_stated_row_always_stands_and_at_no_instant_do_two(
    of: BookContent, formulas: list[Derivation], number: int
) -> None:
    at = day(1) + timedelta(days=number - 1, hours=1)

    def valid(rows: tuple[PriceRow, ...]) -> dict[tuple[str, str, str], list[PriceRow]]:
        found: dict[tuple[str, str, str], list[PriceRow]] = {}
        for one in rows:
            if (one.starts_at is None or one.starts_at <= at) and (one.ends_at is None or at < one.ends_at):
                found.setdefault((one.list, one.sku, one.unit), []).append(one)
        return found

    after = valid(derive(of, formulas, at=NOW).content.rows)
    for key, stated in valid(of.rows).items():
        assert after[key] == stated
    assert all(len(rows) == 1 for rows in after.values())


@given(houses(), derivations(), st.randoms(use_true_random=False))
def test_deriving_twice_gives_what_deriving_once_gave_in_any_order(
    of: BookContent, formulas: list[Derivation], chance: Any
) -> None:
    once = derive(of, formulas, at=NOW)
    chance.shuffle(formulas)

    assert derive(of, formulas, at=NOW) == once
    assert derive(once.content, formulas, at=NOW).rows == ()


@given(houses(), derivations(codes=("LIST", "TRADE", "VIP")), st.sampled_from(["LIST", "TRADE", "VIP"]))
def test_a_circle_is_an_error_whatever_else_is_right(of: BookContent, formulas: list[Derivation], begin: str) -> None:
    following = {"LIST": "TRADE", "TRADE": "VIP", "VIP": "LIST"}
    circle = [Derivation(list=code, base=following[code]) for code in following]
    extra = [formula for formula in formulas if formula.list == begin]
    turned = [one for one in circle if one.list != begin] + [
        Derivation(list=begin, base=following[begin], percent=extra[0].percent)
    ]
    done = derive(of, turned, at=NOW)

    assert codes(done) == ["derivation_cyclic"]
    assert done.content is of


@given(houses(), derivations())
def test_every_row_derived_is_a_row_of_a_book(of: BookContent, formulas: list[Derivation]) -> None:
    done = derive(of, formulas, at=NOW)

    assert not [found for found in check(done.content, at=NOW) if found.code in {"not_loadable", "duplicate_key"}]
    MemoryBook(done.content, root="sha256:test")
