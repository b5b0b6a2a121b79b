"""What the separate program says: each false statement is found under its own name."""

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest

from pricing.engine import Buyer
from pricing.engine.book import (
    AmountEffect,
    Conditions,
    PercentStep,
    QuantityTableEffect,
    Rounding,
    RoundingPolicy,
    Scope,
)
from pricing.engine.replay import replay
from tests.pricing.engine.cast import ACME, NOW, VAT, content, day, in_euro, public, row, rule
from tests.pricing.engine.test_replay import RICH, floor, retold, rich
from tests.pricing.engine.test_replay import ask as documents

ANSWER, LEAVES = documents(rich(), *RICH, tax=VAT)
TOLD: dict[str, Any] = json.loads(ANSWER)
LINE = ("lines", 0)
TRACE = (*LINE, "trace")
BREAK = {"quantity": "50", "more": "38", "unit_price": "7.90", "unit": "each"}


def changed(path: Sequence[str | int], value: Any) -> Any:
    """The answer with one value replaced, or passed through a function."""
    told = copy.deepcopy(TOLD)
    inside: Any = told
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value(inside[path[-1]]) if callable(value) else value
    return told


def twice_the_first(said: list[Any]) -> list[Any]:
    return [*said, said[0]]


def without_the_first(said: list[Any]) -> list[Any]:
    return said[1:]


CHAIR = "CRUNCHY-ARMCHAIR per each"


@pytest.mark.parametrize(
    ("path", "value", "name", "follows"),
    [
        (("policy", "round_unit"), False, "The rounding policy", None),
        (("root",), "sha256:00", "The root of the answer", None),
        (("tax_treatment",), "none", "The tax treatment", "(None, 'standard', 'reverse_charge', 'exempt')"),
        (("subtotal", "minor"), 1, "The order's subtotal", "{'minor': 56018, 'currency': 'EUR'}"),
        (("net", "minor"), 1, "The order's net", "{'minor': 55358, 'currency': 'EUR'}"),
        (("tax", "minor"), 1, "The order's tax", "{'minor': 10295, 'currency': 'EUR'}"),
        (("total", "minor"), 1, "The order's total", "{'minor': 65653, 'currency': 'EUR'}"),
        (("valid_until",), None, "The answer is valid until", "'2026-11-30T00:00:00Z'"),
        ((*LINE, "requested"), [], "Lines that nobody asked for", "[]"),
        ((*LINE, "requested"), [7], "The numbers of the lines asked for", "[0, 1, 2, 3]"),
        ((*LINE, "tax_included"), True, f"{CHAIR}, tax included", "False"),
        ((*LINE, "tax_category"), "reduced", f"{CHAIR}, the tax category", "'standard'"),
        ((*LINE, "price_unit"), "box", f"{CHAIR}, the price's unit", "'each'"),
        ((*LINE, "unit_price"), "1.00", f"{CHAIR}, unit price", "'8.25'"),
        ((*LINE, "list_price"), "1.00", f"{CHAIR}, list price", "'8.40'"),
        ((*LINE, "subtotal"), "1.00", f"{CHAIR}, subtotal", "'101.00'"),
        ((*LINE, "order_adjustment"), "-1.00", f"{CHAIR}, order adjustment", "'0.00'"),
        ((*LINE, "net"), "1.00", f"{CHAIR}, net", "'101.00'"),
        ((*LINE, "subtotal"), "101.005", f"{CHAIR}, net", "'101.005'"),
        ((*LINE, "tax"), "1.00", f"{CHAIR}, tax", "'19.19'"),
        ((*LINE, "total"), "1.00", f"{CHAIR}, total", "'120.19'"),
        ((*LINE, "valid_until"), None, f"{CHAIR}, valid until", "'2026-11-30T00:00:00Z'"),
        (("lines", 2, "unit_price"), "1.00", "STOOL per each, unit price", "None"),
        ((*TRACE, "row_quantity"), "1", f"{CHAIR}, the row's quantity", "'12'"),
        ((*TRACE, "tier_quantity"), "1", f"{CHAIR}, the tier's quantity", "'24'"),
        ((*TRACE, "losers_left_out"), 3, f"{CHAIR}, losers left out", "0"),
        ((*TRACE, "steps"), twice_the_first, f"{CHAIR}, steps beyond the last", "[]"),
        ((*TRACE, "steps", 0, "titles"), {"en": "A", "es": "B"}, f"{CHAIR}, step 1", None),
        ((*TRACE, "losers"), twice_the_first, f"{CHAIR}, rules that lost twice", "[]"),
        ((*TRACE, "losers"), without_the_first, f"{CHAIR}, rule DOLLARS is accounted for", "True"),
        ((*TRACE, "losers", 0, "rule"), "NOBODY", f"{CHAIR}, losing rules that were not shown", "[]"),
        ((*TRACE, "losers", 0, "phase"), "order", f"{CHAIR}, where its losers lost", "True"),
        ((*TRACE, "losers", 0, "reason"), "ended", f"{CHAIR}, why DOLLARS did not act", None),
        ((*TRACE, "next_break"), {**BREAK, "more": "1"}, f"{CHAIR}, units to the next break", "'38'"),
        ((*TRACE, "next_break"), {**BREAK, "quantity": "050"}, f"{CHAIR}, the next break", "'50'"),
        ((*TRACE, "next_break"), {**BREAK, "unit": "box"}, f"{CHAIR}, unit of the next break", "'each'"),
        ((*TRACE, "next_break"), {**BREAK, "unit_price": "7.91"}, f"{CHAIR}, price of the next break", "True"),
        (("order_steps", 0, "after"), "1.00", "Rule ORDER on the order", None),
        (("order_steps",), without_the_first, "Rule ORDER on the order is accounted for", "True"),
        (("order_losers",), twice_the_first, "Rules that lost twice on the order", "[]"),
        (("order_losers",), without_the_first, "Rule ORDER-3 on the order is accounted for", "True"),
        (("order_losers", 0, "rule"), "NOBODY", "Losing rules on the order that were not shown", "[]"),
        (("order_losers", 0, "reason"), "ended", "Why rule ORDER-3 did not act on the order", None),
    ],
)
def test_a_false_statement_is_found_under_its_name(
    path: Sequence[str | int], value: Any, name: str, follows: str | None
) -> None:
    said = [one for one in retold(changed(path, value), LEAVES).findings if one.startswith(f"{name}: ")]

    assert said
    assert follows is None or said[0].endswith(f" is written, {follows} follows.")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("currency",), "USD", "LookupError no row of list LIST for CRUNCHY-ARMCHAIR per each was shown that is valid"),
        ((*LINE, "sku"), "SOFA", "LookupError no leaf of kind sku SOFA was shown"),
        ((*TRACE, "list"), "ATTIC", "LookupError no row of list ATTIC for CRUNCHY-ARMCHAIR per each was shown"),
    ],
)
def test_what_was_not_shown_is_said_by_its_name(path: Sequence[str | int], value: Any, said: str) -> None:
    found = retold(changed(path, value), LEAVES).findings

    assert found[-1].startswith(f"The documents are not of the expected form: {said}")


def test_it_says_what_was_asked_what_it_checked_and_what_it_could_not() -> None:
    of = content(row("1:10", sku="STOOL"), lists=(public(),))
    buyer = Buyer(company="globex", segments=("trade", "new"), country="DE")

    found = replay(*documents(of, "2 STOOL", "3 each SOFA", buyer=buyer, tax=VAT))

    who = "globex (segments: trade, new) in country DE"
    assert found.asked == (
        f"at 2026-11-21T12:00:00Z in EUR, for company {who}, tax treatment standard",
        "2 each STOOL, tax 19 %",
        "3 each SOFA",
    )
    assert found.unchecked[1:] == ("3 each SOFA: that it was refused (unknown_sku), until None",)
    assert found.checked[0].startswith("6 shown leaves of 8 lead to the root sha256:")
    assert found.checked[1:] == ("STOOL per each: 2 steps, tax and amounts",)
    assert found.findings == ()


def test_an_order_that_is_priced_whole_has_its_totals_checked() -> None:
    found = replay(*documents(content(row("1:10")), "2 CRUNCHY-ARMCHAIR", buyer=ACME))

    assert "the totals" in found.checked
    assert found.asked[0].endswith("for company acme (segments: none) in country DE, tax treatment None")


# --- What follows only at an edge ---


def agrees(of: Any, *lines: str, **more: Any) -> bool:
    return replay(*documents(of, *lines, **more)).findings == ()


def test_a_list_or_row_that_begins_now_prices() -> None:
    assert agrees(content(row("1:10", starts_at=NOW), lists=(public(starts_at=NOW),)), "1 CRUNCHY-ARMCHAIR")


def test_a_list_that_begins_later_is_said_to_do_so() -> None:
    lists = public("FIRST", priority=2), public("OTHER", priority=1, starts_at=day(1, 12))

    assert agrees(content(row("1:10", of="FIRST"), row("1:9", of="OTHER"), lists=lists), "1 CRUNCHY-ARMCHAIR")


def test_an_order_rule_sets_no_edge_where_a_line_is_refused() -> None:
    ending = rule("ORDER", "5", layer="order", conditions=in_euro(), ends_at=day(1, 12))
    of = content(row("1:10"), adjustments=(ending,))

    assert agrees(of, "1 CRUNCHY-ARMCHAIR", "1 SOFA")
    assert agrees(of, "1 CRUNCHY-ARMCHAIR")


def test_a_bound_finer_than_the_unit_is_rounded_inward_where_units_are_rounded() -> None:
    for round_unit in (True, False):
        policy = RoundingPolicy(unit=Rounding(decimals=2), round_unit=round_unit)
        of = content(row("1:5"), bounds=(floor("8.2551"),), policy=policy)
        assert agrees(of, "3 CRUNCHY-ARMCHAIR")


@pytest.mark.parametrize("quantity", ["29", "30", "31"])
def test_a_quantity_table_begins_at_its_step(quantity: str) -> None:
    table = rule("TABLE", QuantityTableEffect(steps=(PercentStep(from_="30", percent="5"),)))

    assert agrees(content(row("1:10"), adjustments=(table,)), f"{quantity} CRUNCHY-ARMCHAIR")


def test_what_two_lines_at_their_floors_cannot_give_is_taken_from_the_third() -> None:
    off = rule("OFF", AmountEffect(amount="12"), layer="order", conditions=in_euro())
    rows = row("0:10"), row("0:10", sku="STOOL"), row("0:30", sku="ROPE")
    of = content(*rows, adjustments=(off,), bounds=(floor("9"),))

    assert agrees(of, "1 CRUNCHY-ARMCHAIR", "1 STOOL", "1 ROPE")


@pytest.mark.parametrize("least", ["83", "85", "99", "101"])
def test_a_condition_on_the_subtotal_looks_at_the_net_of_a_gross_list(least: str) -> None:
    """100.00 with 19 % in it: 84.03."""
    some = rule("SOME", "5", layer="line", conditions=in_euro(min_subtotal=least))
    of = content(row("1:100"), lists=(public(tax_included=True),), adjustments=(some,))

    assert agrees(of, "1 CRUNCHY-ARMCHAIR", tax=VAT)


def test_rules_are_told_by_sku_category_and_brand_and_by_several_countries() -> None:
    scopes = Scope(skus=("STOOL",)), Scope(categories=("seating/chairs",)), Scope(brands=("crunchy",))
    rules = [
        rule(f"R{number}", "5", group="first", scope=scope, priority=number) for number, scope in enumerate(scopes)
    ]
    abroad = rule("ABROAD", "9", conditions=Conditions(countries=("FR", "ES"), currencies=("EUR", "USD")))
    of = content(row("1:10"), row("1:20", sku="STOOL"), adjustments=(*rules, abroad))

    assert agrees(of, "1 CRUNCHY-ARMCHAIR", "1 STOOL")


def test_nothing_of_a_sku_has_its_edges_and_its_first_tier() -> None:
    ending = rule("ENDS", "5", ends_at=day(1, 12))
    of = content(row("5:10", ends_at=day(30)), row("0:1", sku="STOOL"), adjustments=(ending,))

    assert agrees(of, "0 STOOL")
    assert agrees(of, "0 STOOL", "6 CRUNCHY-ARMCHAIR")
