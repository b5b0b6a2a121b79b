"""The questions that show what is wrong with a content, and what each of its nouns is refused for."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from pricing.engine import BookContent, Buyer, MemoryBook, check
from pricing.engine.book import (
    Bound,
    Cost,
    CurrencyPrice,
    MarginLimit,
    PriceLimit,
    PriceRow,
    QuantityRule,
    Scope,
    Side,
    SkuFacts,
    UnitFact,
)
from pricing.engine.check import Witness
from pricing.engine.request import RefusedLine
from tests.pricing.engine.cast import (
    CHAIR,
    EVERYTHING,
    NOW,
    ROPE,
    STOOL,
    content,
    day,
    layer,
    only,
    priced,
    public,
    row,
    rule,
)
from tests.pricing.engine.checking import asked, codes, findings

SOLD = row("1:10"), row("1:30", sku="STOOL"), row("1:1", sku="ROPE")
EXPORT = public("EXPORT", "USD", audience=only(company="initech", segments=("trade", "retail"), countries=("PT", "ES")))
INITECH_ABROAD = Buyer(company="initech", segments=("trade",), country="ES")
TICK = datetime.resolution


def question(of: BookContent, code: str, **params: str) -> Witness | None:
    """Of the only finding with that code and those params, what shows it."""
    (found,) = [one for one in findings(of) if one.code == code and params.items() <= one.params.items()]
    return found.witness


def told(of: BookContent, *names: str) -> list[tuple[str, ...]]:
    """The codes of what was found, with some params."""
    return [(one.code, *(one.params.get(name, "") for name in names)) for one in findings(of)]


# --- The question ---


@pytest.mark.parametrize(
    ("said", "quantity"),
    [("1:1", "1"), ("0.5:1", "1"), ("0:1", "1"), ("5:1 9:1", "5"), (">0:1", "1"), (">7:1", "8"), (">2.5:1", "3.5")],
)
def test_whoever_meets_the_list_asks_for_as_much_as_the_first_tier_needs(said: str, quantity: str) -> None:
    of = content(*SOLD, row(said, sku="NONE", unit="crate", of="EXPORT"), lists=(public(), EXPORT))

    assert question(of, "unknown_reference", key="EXPORT / NONE / crate", what="sku") == Witness(
        buyer=INITECH_ABROAD, currency="USD", sku="NONE", unit="crate", quantity=quantity, at=NOW
    )


@pytest.mark.parametrize(
    ("of_list", "of_row", "at"),
    [
        ({}, {}, NOW),
        ({"starts_at": day(30)}, {}, day(30)),
        ({}, {"starts_at": day(30)}, day(30)),
        ({"starts_at": day(28)}, {"starts_at": day(30)}, day(30)),
        ({"starts_at": day(30)}, {"starts_at": day(28)}, day(30)),
        ({"starts_at": NOW}, {}, NOW),
        ({"starts_at": day(1)}, {"ends_at": day(30)}, NOW),
        ({"ends_at": day(30)}, {"ends_at": NOW}, NOW - TICK),
        ({"ends_at": day(9)}, {"starts_at": day(1), "ends_at": day(8)}, day(1)),
        ({"ends_at": day(9)}, {"ends_at": day(8)}, day(8) - TICK),
        ({"ends_at": day(9)}, {"starts_at": day(9)}, NOW),
        ({"ends_at": day(9)}, {"starts_at": day(10)}, NOW),
        ({"starts_at": day(28)}, {"ends_at": day(30)}, day(28)),
    ],
)
def test_it_is_asked_when_list_and_row_are_valid_if_ever(
    of_list: dict[str, Any], of_row: dict[str, Any], at: datetime
) -> None:
    of = content(*SOLD, row("1:1", sku="NONE", of="NEW", **of_row), lists=(public(), public("NEW", **of_list)))
    shown = question(of, "unknown_reference")

    assert shown is not None
    assert shown.at == at


def test_rows_of_a_list_that_overlap_are_shown_to_whom_it_is_for() -> None:
    windows: list[dict[str, Any]] = [{"ends_at": day(30)}, {"starts_at": day(1)}, {"starts_at": day(30)}]
    rows = [row(said, of="EXPORT", **window) for said, window in zip(("2:1", "4:1", "1:1"), windows, strict=True)]
    found = findings(content(*SOLD, *rows, lists=(public(), EXPORT)))

    assert [(one.code, one.params, one.witness) for one in found] == [
        (
            "overlapping_windows",
            {"list": "EXPORT", "sku": CHAIR.sku, "unit": "each", "at": instant},
            Witness(buyer=INITECH_ABROAD, currency="USD", sku=CHAIR.sku, unit="each", quantity="4", at=at),
        )
        for instant, at in (("2026-11-21T12:00:00Z", NOW), ("2026-11-30T00:00:00Z", day(30)))
    ]


def test_rows_that_overlap_are_told_beside_others_of_a_list_that_is_none() -> None:
    rows = [row("1:1", of=code, starts_at=start) for code in ("NONE", "LIST") for start in (None, day(1))]

    assert codes(content(*rows, skus=(CHAIR,))) == ["unknown_reference", "unknown_reference", "overlapping_windows"]


def test_rows_of_other_units_or_lists_do_not_overlap() -> None:
    rows = row("1:10"), row("1:90", unit="box"), row("1:9", of="NEW"), row("1:80", of="NEW", unit="box")
    of = content(*rows, skus=(CHAIR,), lists=(public(), public("NEW", priority=1)))

    assert "overlapping_windows" not in codes(of)


@pytest.mark.parametrize("units", [("each", "box"), ("box", "each"), ("box", "box"), ("each", "each")])
def test_rows_of_two_units_tie_where_both_could_price(units: tuple[str, str]) -> None:
    two = public("A"), public("B")
    of = content(*(row("2:10", of=one.code, unit=unit) for one, unit in zip(two, units, strict=True)), lists=two)
    shown = question(of, "possible_tie")
    line = asked(of, shown)

    assert isinstance(line, RefusedLine)
    assert line.reason == "ambiguous_price"


def test_rows_of_two_units_of_which_none_is_the_base_do_not_tie() -> None:
    facts = replace(CHAIR, units=(*CHAIR.units, UnitFact(unit="pallet", factor="144")))
    rows = row("1:1", of="A", unit="box"), row("1:1", of="B", unit="pallet")

    assert "possible_tie" not in codes(content(*rows, lists=(public("A"), public("B")), skus=(facts,)))


def test_ties_are_told_pair_by_pair_in_the_order_of_the_lists_each_by_its_first_sku() -> None:
    lists = public("C"), public("A"), public("B"), public("D", priority=1)
    rows = [row("1:1", sku=sku, of=one.code) for sku in ("STOOL", CHAIR.sku) for one in lists]
    found = told(content(*rows, lists=lists, skus=(CHAIR, STOOL)), "one", "other", "sku")

    assert found == [
        ("possible_tie", "A", "C", CHAIR.sku),
        ("possible_tie", "A", "B", CHAIR.sku),
        ("possible_tie", "B", "C", CHAIR.sku),
    ]


def test_a_tie_is_shown_to_somebody_both_lists_are_for() -> None:
    one = public("A", audience=only(segments=("retail", "x"), countries=("PT", "ES", "DE")))
    other = public("B", audience=only(segments=("trade",), countries=("FR", "ES", "DE")))
    of = content(row("3:1", of="A"), row(">3:1", of="B", starts_at=day(30)), lists=(one, other), skus=(CHAIR,))

    assert question(of, "possible_tie") == Witness(
        buyer=Buyer(segments=("retail", "trade"), country="DE"),
        currency="EUR",
        sku=CHAIR.sku,
        unit="each",
        quantity="4",
        at=day(30),
    )


def test_a_mixed_break_group_is_shown_by_a_row_of_one_of_its_skus() -> None:
    rope, stool, chair = (replace(facts, break_group="g") for facts in (ROPE, STOOL, CHAIR))
    lone = replace(STOOL, sku="LONE", break_group="h")
    rows = row("1:1", sku="LONE"), row("1:1", sku="ROPE", of="NONE"), row("2:1", sku="ROPE", of="EXPORT")
    of = content(*rows, *SOLD, skus=(chair, rope, stool, lone), lists=(public(), EXPORT))

    assert question(of, "mixed_break_group", group="g", units="each, metre") == Witness(
        buyer=INITECH_ABROAD, currency="USD", sku="ROPE", unit="metre", quantity="2", at=NOW
    )
    assert question(content(skus=(rope, stool)), "mixed_break_group") is None


def test_a_sku_without_any_price_is_asked_for_by_a_guest() -> None:
    lists = public(), public("CH", "CHF", audience=only(countries=("CH",)))
    new = SkuFacts(sku="NEW", units=(UnitFact(unit="roll"),))
    of = content(*SOLD, row("1:12", of="CH"), skus=(CHAIR, ROPE, STOOL, new), lists=lists)

    assert question(of, "never_priced", sku="NEW") == Witness(
        buyer=Buyer(), currency="CHF", sku="NEW", unit="roll", quantity="1", at=NOW
    )
    assert question(content(skus=(STOOL,), lists=()), "never_priced") is None


def test_what_ended_is_told_once_for_all_lists_and_once_for_all_rules() -> None:
    lists = (
        public(),
        public("OLD", priority=1, ends_at=NOW),
        public("OLDER", priority=2, ends_at=day(1)),
        public("LASTS", priority=3, ends_at=NOW + TICK),
    )
    rules = (
        rule("CHAIRS", "5", scope=Scope(skus=("STOOL",)), ends_at=day(3)),
        rule("ALL", "6", ends_at=day(2)),
        rule("NOW", "7", ends_at=day(30)),
    )
    rows = row("1:5", sku="NONE", of="OLD"), row("3:8", of="OLD"), row("1:9", of="LASTS"), row("1:9", of="OLDER")
    of = content(*rows, *SOLD, lists=lists, adjustments=rules)
    ended = [(one.params, one.witness) for one in findings(of) if one.code == "ended"]
    at = "2026-11-21T12:00:00Z"

    assert ended == [
        (
            {"kind": "list", "count": "2", "keys": "OLD, OLDER", "at": at},
            Witness(buyer=Buyer(), currency="EUR", sku=CHAIR.sku, unit="each", quantity="3", at=NOW),
        ),
        (
            {"kind": "adjustment", "count": "2", "keys": "CHAIRS, ALL", "at": at},
            Witness(buyer=Buyer(), currency="EUR", sku="STOOL", unit="each", quantity="1", at=NOW),
        ),
    ]


def test_what_ended_and_priced_nothing_is_told_without_a_question() -> None:
    assert question(content(*SOLD, lists=(public(), public("OLD", priority=1, ends_at=NOW))), "ended") is None


# --- What each noun is refused for ---


def test_every_noun_that_does_not_load_is_told() -> None:
    of = content(
        *SOLD,
        lists=(public(), public("MOON", "XXX"), public("LATE", starts_at=day(2), ends_at=day(1), priority=2)),
        adjustments=(rule("R", "120"), rule("S", "-1")),
        bounds=(Bound(code="B", side=Side.FLOOR, scope=EVERYTHING, limit=MarginLimit(percent="100")),),
        quantity_rules=(QuantityRule(code="Q", scope=EVERYTHING, multiple="0"),),
        costs=(Cost(sku="STOOL", currency="EUR", cost="-1"),),
    )
    texts = [one.params["detail"] for one in findings(of) if one.code == "not_loadable"]

    assert [text.split(":")[0].split(" it ")[0] for text in texts] == [
        "List MOON",
        "List LATE",
        "Adjustment R",
        "Adjustment S",
        "Bound B",
        "Quantity rule Q",
        "SKU STOOL",
    ]


def test_layers_that_do_not_load_are_told_without_what_hangs_on_them() -> None:
    of = content(*SOLD, layers=(layer("unit", "a", "a"),), adjustments=(rule("R", "120"),))

    assert told(of, "detail") == [("not_loadable", "Layer unit has two groups of one code.")]


def test_a_fault_of_two_skus_is_told_once_for_each_wording() -> None:
    bad = QuantityRule(code="Q", scope=EVERYTHING, multiple="0")
    of = content(*SOLD, quantity_rules=(bad, bad))

    assert told(of, "detail", "key") == [
        ("duplicate_key", "", "Q"),
        ("not_loadable", "Quantity rule Q: a multiple of 0 allows no quantity.", ""),
    ]


def test_objects_with_one_key_are_told_by_it() -> None:
    of = content(
        *SOLD,
        row("1:11", starts_at=day(30)),
        row("1:12", starts_at=day(30)),
        skus=(CHAIR, ROPE, STOOL, STOOL),
        costs=(Cost(sku="STOOL", currency="EUR", cost="1"), Cost(sku="STOOL", currency="EUR", cost="2")),
    )
    assert [found for found in told(of, "kind", "key") if found[0] == "duplicate_key"] == [
        ("duplicate_key", "row", f"LIST / {CHAIR.sku} / each / 2026-11-30T00:00:00+00:00"),
        ("duplicate_key", "sku", "STOOL"),
        ("duplicate_key", "cost", "STOOL / EUR"),
    ]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(skus=("NONE",)), [("unknown_reference", "sku", "NONE"), ("matches_nothing", "", "")]),
        (
            Scope(everything=True, excluded_skus=("STOOL", "NONE")),
            [("unknown_reference", "sku", "NONE")],
        ),
        (Scope(brands=("none",)), [("matches_nothing", "", "")]),
        (Scope(categories=("seat",)), [("matches_nothing", "", "")]),
        (Scope(categories=("seating",)), []),
        (Scope(categories=("seating/chairs",)), []),
        (Scope(brands=("crunchy",)), []),
        (Scope(brands=("crunchy",), excluded_brands=("crunchy",)), [("matches_nothing", "", "")]),
        (
            Scope(everything=True, excluded_brands=("none", "crunchy"), excluded_categories=("a/b", "seating")),
            [("names_nothing", "category", "a/b"), ("names_nothing", "brand", "none")],
        ),
        (
            Scope(categories=("seating", "a", "a"), brands=("b",), excluded_brands=("b",), excluded_categories=("a",)),
            [("names_nothing", "category", "a"), ("names_nothing", "brand", "b")],
        ),
    ],
)
@pytest.mark.parametrize("kind", ["adjustment", "bound", "quantity_rule"])
def test_what_a_scope_names_that_is_not_there_is_told_with_who_names_it(
    kind: str, scope: Scope, expected: list[tuple[str, ...]]
) -> None:
    limit = PriceLimit(prices=(CurrencyPrice(currency="EUR", price="0"),))
    nouns: dict[str, dict[str, Any]] = {
        "adjustment": {"adjustments": (rule("N", "5", scope=scope),)},
        "bound": {"bounds": (Bound(code="N", side=Side.FLOOR, scope=scope, limit=limit),)},
        "quantity_rule": {"quantity_rules": (QuantityRule(code="N", scope=scope, minimum="1"),)},
    }
    found = told(content(*SOLD, **nouns[kind]), "kind", "key", "what", "name")

    assert found == [(code, kind, "N", *rest) for code, *rest in expected]


# --- Bounds ---


def bound(code: str, side: Side, limit: str, **prices: str) -> Bound:
    """*limit*: a margin, or "" where the prices by currency say it."""
    said = tuple(CurrencyPrice(currency=currency, price=price) for currency, price in prices.items())
    return Bound(
        code=code, side=side, scope=EVERYTHING, limit=MarginLimit(percent=limit) if limit else PriceLimit(prices=said)
    )


def sold_in_two(*bounds: Bound, **more: Any) -> BookContent:
    rows: tuple[PriceRow, ...] = (
        row("2:10", of="EXPORT"),
        row("3:10"),
        row("1:10", of="LAST"),
        row("1:30", sku="STOOL"),
    )
    lists = public(), EXPORT, public("LAST", priority=-1)
    return content(*rows, bounds=bounds, skus=(CHAIR, STOOL), lists=lists, **more)


def test_every_bound_and_currency_that_is_not_covered_is_told_with_a_question() -> None:
    bounds = bound("CEILING", Side.CEILING, "", EUR="50"), bound("FLOOR", Side.FLOOR, "10")
    costs = Cost(sku="STOOL", currency="EUR", cost="3"), Cost(sku=CHAIR.sku, currency="USD", cost="3")
    found = findings(sold_in_two(*bounds, costs=costs))

    assert [(one.code, one.params, one.witness) for one in found] == [
        (
            "bound_not_covered",
            {"bound": "CEILING", "currency": "USD", "sku": CHAIR.sku},
            Witness(buyer=INITECH_ABROAD, currency="USD", sku=CHAIR.sku, unit="each", quantity="2", at=NOW),
        ),
        (
            "bound_not_covered",
            {"bound": "FLOOR", "currency": "EUR", "sku": CHAIR.sku},
            Witness(buyer=Buyer(), currency="EUR", sku=CHAIR.sku, unit="each", quantity="3", at=NOW),
        ),
    ]


@pytest.mark.parametrize(
    ("floors", "ceilings", "crossed"),
    [
        (("5",), ("5",), None),
        (("5.01",), ("5",), ("F0", "C0")),
        (("3", "7", "6"), ("9", "6", "8"), ("F1", "C1")),
        (("7", "3"), ("6", "9"), ("F0", "C0")),
        (("7", "7"), ("6", "6"), ("F0", "C0")),
        (("6",), (), None),
        ((), ("6",), None),
    ],
)
def test_the_strictest_floor_must_not_lie_above_the_strictest_ceiling(
    floors: tuple[str, ...], ceilings: tuple[str, ...], crossed: tuple[str, str] | None
) -> None:
    bounds = [bound(f"F{number}", Side.FLOOR, "", EUR=price, USD="1") for number, price in enumerate(floors)]
    bounds += [bound(f"C{number}", Side.CEILING, "", EUR=price, USD="1") for number, price in enumerate(ceilings)]
    found = findings(sold_in_two(*bounds))

    expected = [] if crossed is None else [(*crossed, "EUR", CHAIR.sku, "2", "STOOL")]
    names = "floor", "ceiling", "currency", "sku", "count", "others"
    assert [tuple(one.params[name] for name in names) for one in found if "floor" in one.params] == expected
    for one in found:
        if one.code == "floor_above_ceiling":
            assert one.witness == Witness(
                buyer=Buyer(), currency="EUR", sku=CHAIR.sku, unit="each", quantity="3", at=NOW
            )


def test_a_bound_by_margin_counts_with_the_cost_in_its_own_currency() -> None:
    bounds = bound("F", Side.FLOOR, "50"), bound("C", Side.CEILING, "", EUR="12", USD="12")
    costs = tuple(
        Cost(sku=sku, currency=currency, cost=cost)
        for sku in (CHAIR.sku, "STOOL")
        for currency, cost in (("USD", "7"), ("EUR", "6"))
    )
    found = told(sold_in_two(*bounds, costs=costs), "floor", "ceiling", "currency", "sku", "count")

    assert [one for one in found if one[0] == "floor_above_ceiling"] == [
        ("floor_above_ceiling", "F", "C", "USD", CHAIR.sku, "")
    ]


def test_bounds_that_cross_are_told_beside_one_that_is_not_covered() -> None:
    bounds = (
        bound("A", Side.FLOOR, "", CHF="1"),
        bound("F", Side.FLOOR, "", EUR="7"),
        bound("C", Side.CEILING, "", EUR="6"),
    )
    found = told(content(row("1:10"), skus=(CHAIR,), bounds=bounds), "bound", "floor", "ceiling")

    assert found == [("bound_not_covered", "A", "", ""), ("floor_above_ceiling", "", "F", "C")]


def test_rows_that_follow_each_other_are_all_looked_at() -> None:
    of = content(row("1:10", ends_at=day(30)), row("1:10 5:6", starts_at=day(30)), skus=(CHAIR,))

    assert codes(of) == ["total_falls"]


def test_what_a_book_with_faults_would_sell_is_not_looked_at() -> None:
    of = content(row("1:10 10:5"), row("1:9", sku="NONE"), skus=(CHAIR,))

    assert codes(of) == ["unknown_reference"]
    assert "total_falls" in codes(content(row("1:10 10:5"), skus=(CHAIR,)))


def test_the_content_that_stands_loads_and_prices() -> None:
    assert check(content(*SOLD), at=NOW) == ()
    assert priced(MemoryBook(content(*SOLD), root="r"), "2 STOOL").net == "60.00"
