"""What a book says whose lists, rules or bounds cannot be loaded: which one, and what is wrong with it."""

from datetime import timedelta, timezone
from typing import Any

import pytest

from pricing.engine import MemoryBook
from pricing.engine.book import (
    AmountEffect,
    Bound,
    BuyGetEffect,
    Conditions,
    CurrencyPrice,
    FixedPriceEffect,
    MarginLimit,
    PercentEffect,
    PercentStep,
    PriceLimit,
    QuantityRule,
    QuantityTableEffect,
    Scope,
    Side,
)
from pricing.engine.rules import BookError, ancestors, in_scope
from tests.pricing.engine.cast import ACME, CHAIR, EVERYTHING, STOOL, content, day, in_euro, layer, public, row, rule

HERE = timezone(timedelta(hours=1))


def of_rule(effect: Any, **more: Any) -> Any:
    return content(row("1:10"), adjustments=(rule("R", effect, **more),))


def of_bound(limit: Any) -> Any:
    return content(row("1:10"), bounds=(Bound(code="B", side=Side.FLOOR, scope=EVERYTHING, limit=limit),))


def of_quantities(**more: Any) -> Any:
    return content(row("1:10"), quantity_rules=(QuantityRule(code="Q", scope=Scope(everything=True), **more),))


def prices(*said: tuple[str, str]) -> PriceLimit:
    return PriceLimit(prices=tuple(CurrencyPrice(currency=currency, price=price) for currency, price in said))


def steps(*said: tuple[str, str]) -> QuantityTableEffect:
    return QuantityTableEffect(steps=tuple(PercentStep(from_=begin, percent=percent) for begin, percent in said))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (content(lists=(public(currency="XXX"),)), "List LIST: XXX is no currency we know."),
        (
            content(lists=(public(starts_at=day(2).replace(tzinfo=HERE)),)),
            "List LIST: write instants in UTC, ending in Z.",
        ),
        (content(lists=(public(starts_at=day(2), ends_at=day(2)),)), "List LIST: it ends before it starts."),
        (content(row("1:10", starts_at=day(2), ends_at=day(1))), "SKU CRUNCHY-ARMCHAIR, list LIST: it ends before"),
        (content(lists=(public(), public())), "The code LIST is used twice."),
        (content(layers=(layer("unit", "a", "a"),)), "Layer unit has two groups of one code."),
        (of_rule("5", layer="attic"), "Adjustment R names the unknown layer attic."),
        (of_rule("5", group="attic"), "Adjustment R names the unknown group attic of layer unit."),
        (of_rule("5", starts_at=day(2), ends_at=day(1)), "Adjustment R: it ends before it starts."),
        (
            of_rule(FixedPriceEffect(price="5"), layer="line", conditions=in_euro()),
            "Adjustment R: a fixed price belongs to a layer of the unit level.",
        ),
        (
            content(
                row("1:10"),
                layers=(layer("unit", "first", combine="sum"),),
                adjustments=(rule("R", FixedPriceEffect(price="5"), conditions=in_euro()),),
            ),
            "Adjustment R: a fixed price cannot be summed; layer unit combines by sum.",
        ),
        (
            of_rule(steps(("1", "5")), layer="order"),
            "Adjustment R: this effect counts units and belongs to a layer of the unit or line level.",
        ),
        (of_rule(steps(("10", "5"), ("10", "6"))), "Adjustment R: the steps of its table must ascend."),
        (of_rule(steps(("2.5", "5"), ("2.25", "6"))), "Adjustment R: the steps of its table must ascend."),
        (of_rule(steps(("-1", "5"))), "Adjustment R: -1 is negative."),
        (of_rule(steps(("1", "101"))), "Adjustment R: 101 % off is more than everything."),
        (
            of_rule(BuyGetEffect(buy="1", get="1")),
            "Adjustment R: buy-and-get belongs to a layer of the line level.",
        ),
        (
            of_rule(BuyGetEffect(buy="1", get="0"), layer="line"),
            "Adjustment R: buy-and-get needs both quantities above 0.",
        ),
        (
            of_rule(BuyGetEffect(buy="0", get="1"), layer="line"),
            "Adjustment R: buy-and-get needs both quantities above 0.",
        ),
        (of_rule(BuyGetEffect(buy="-1", get="1"), layer="line"), "Adjustment R: -1 is negative."),
        (of_rule(BuyGetEffect(buy="1", get="-2"), layer="line"), "Adjustment R: -2 is negative."),
        (of_rule("100.01"), "Adjustment R: 100.01 % off is more than everything."),
        (of_rule("-5"), "Adjustment R: -5 is negative."),
        (
            of_rule(AmountEffect(amount="5")),
            "Adjustment R: an amount of money needs exactly one currency among its conditions.",
        ),
        (of_rule(AmountEffect(amount="-5"), conditions=in_euro()), "Adjustment R: -5 is negative."),
        (of_rule(FixedPriceEffect(price="-5"), conditions=in_euro()), "Adjustment R: -5 is negative."),
        (
            of_rule(FixedPriceEffect(price="5")),
            "Adjustment R: an amount of money needs exactly one currency among its conditions.",
        ),
        (
            of_rule("5", layer="line", conditions=Conditions(min_subtotal="5")),
            "Adjustment R: an amount of money needs exactly one currency among its conditions.",
        ),
        (of_rule("5", layer="line", conditions=in_euro(max_line_amount="-5")), "Adjustment R: -5 is negative."),
        (of_rule("5", conditions=Conditions(currencies=("XXX",))), "Adjustment R: XXX is no currency we know."),
        (
            of_rule("5", layer="order", conditions=Conditions(min_quantity="5")),
            "Adjustment R: an order has no quantity of one unit; state an amount.",
        ),
        (of_rule("5", conditions=Conditions(min_quantity="-5")), "Adjustment R: -5 is negative."),
        (of_bound(prices(("EUR", "5"), ("EUR", "6"))), "Bound B: EUR is stated twice."),
        (of_bound(prices(("XXX", "5"))), "Bound B: XXX is no currency we know."),
        (of_bound(prices(("EUR", "-5"))), "Bound B: -5 is negative."),
        (of_bound(MarginLimit(percent="100")), "Bound B: no price has a margin of 100 %."),
        (of_bound(MarginLimit(percent="100.5")), "Bound B: no price has a margin of 100.5 %."),
        (of_quantities(multiple="0"), "Quantity rule Q: a multiple of 0 allows no quantity."),
        (of_quantities(minimum="-1"), "Quantity rule Q: -1 is negative."),
    ],
)
def test_a_book_whose_rules_cannot_be_loaded_says_what_to_mend(of: Any, said: str) -> None:
    with pytest.raises(BookError) as refused:
        MemoryBook(of, root="r")

    assert refused.value.message.startswith(said)


@pytest.mark.parametrize(
    "of",
    [
        of_rule("100"),
        of_rule(PercentEffect(percent="150", surcharge=True)),
        of_rule(steps(("2.25", "5"), ("2.5", "6"), ("10", "100"))),
        of_bound(MarginLimit(percent="99.99")),
        of_quantities(minimum="0", multiple="0.5"),
        content(row("1:10", starts_at=day(1), ends_at=day(2)), lists=(public(starts_at=day(1), ends_at=day(2)),)),
    ],
)
def test_what_is_just_within_is_loaded(of: Any) -> None:
    MemoryBook(of, root="r")


def test_a_category_stands_below_itself_and_each_before_it() -> None:
    assert ancestors("seating") == ["seating"]
    assert ancestors("seating/chairs/low") == ["seating", "seating/chairs", "seating/chairs/low"]


@pytest.mark.parametrize(
    ("scope", "chair", "stool"),
    [
        (Scope(everything=True), True, True),
        (Scope(everything=True, excluded_skus=("STOOL",)), True, False),
        (Scope(everything=True, excluded_brands=("crunchy",)), False, True),
        (Scope(brands=("crunchy",)), True, False),
        (Scope(skus=("STOOL",)), False, True),
        (Scope(categories=("seating",), excluded_categories=("seating/chairs",)), False, True),
        (Scope(categories=("seating/chair",)), False, False),
    ],
)
def test_a_scope_holds_what_it_names_and_does_not_exclude(scope: Scope, chair: bool, stool: bool) -> None:
    assert (in_scope(scope, CHAIR), in_scope(scope, STOOL)) == (chair, stool)


def test_a_book_keeps_the_rules_it_was_made_of() -> None:
    of = of_quantities(minimum="2", multiple="2")
    rules = MemoryBook(of, root="r").rules

    assert (rules.frame.quantity_rules, rules.frame.lists) == (of.quantity_rules, of.lists)
    assert [found.code for found in rules.quantity_rules_for(CHAIR)] == ["Q"]
    view = rules.view("USD", ACME)
    assert (view.currency, view.buyer, view.lists) == ("USD", ACME, {})
