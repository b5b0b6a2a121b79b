"""Phase 11: adjustments of the order, spread over its lines."""

from typing import Any

import pytest

from pricing.engine import Quote
from pricing.engine.book import AmountEffect, Bound, CurrencyPrice, PercentEffect, PriceLimit, Scope, Side
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import (
    NOW,
    VAT,
    ask,
    book,
    day,
    in_euro,
    layer,
    only,
    public,
    row,
    rule,
    total,
)

ROWS = row("0:10"), row("0:30", sku="STOOL"), row("0:1", sku="ROPE")


def order_rule(code: str, effect: Any, **more: Any) -> Any:
    return rule(code, effect, **{"layer": "order", "conditions": in_euro(), **more})


def nets(answer: Quote) -> list[str]:
    return [line.net for line in answer.lines if isinstance(line, PricedLine)]


@pytest.mark.parametrize(
    ("effect", "parts", "expected"),
    [
        (PercentEffect(percent="10"), ["9.00", "27.00"], "36.00"),
        (PercentEffect(percent="10", surcharge=True), ["11.00", "33.00"], "44.00"),
        (AmountEffect(amount="1.01"), ["9.75", "29.24"], "38.99"),
        (AmountEffect(amount="0.01", surcharge=True), ["10.00", "30.01"], "40.01"),
        (AmountEffect(amount="50"), ["0.00", "0.00"], "0.00"),
        (PercentEffect(percent="0.0125"), ["10.00", "29.99"], "39.99"),
    ],
)
def test_an_order_effect_is_rounded_once_and_spread_to_the_cent(effect: Any, parts: list[str], expected: str) -> None:
    answer = ask(book(*ROWS, adjustments=(order_rule("O", effect),)), "1 CRUNCHY-ARMCHAIR", "1 STOOL")

    assert nets(answer) == parts
    assert answer.total is not None
    assert answer.total.decimal == expected


def test_the_steps_of_a_line_lead_to_its_net() -> None:
    answer = ask(book(*ROWS, adjustments=(order_rule("O", "10"),)), "1 CRUNCHY-ARMCHAIR", "1 STOOL")
    line = answer.lines[0]

    assert isinstance(line, PricedLine)
    assert (line.subtotal, line.order_adjustment, line.net) == ("10.00", "-1.00", "9.00")
    last = line.trace.steps[-1]
    assert (last.phase, last.rule, last.before, last.after) == ("order", "O", "10", "9")
    (step,) = answer.order_steps
    assert (step.rule, step.before, step.after) == ("O", "40.00", "36.00")


def test_equal_remainders_are_ordered_by_sku_whatever_the_order_of_the_request() -> None:
    rows = (row("0:10", sku=sku) for sku in ("CRUNCHY-ARMCHAIR", "STOOL", "ROPE"))
    thirds = book(*rows, adjustments=(order_rule("O", AmountEffect(amount="1")),))

    forwards = ask(thirds, "1 CRUNCHY-ARMCHAIR", "1 ROPE", "1 STOOL")
    backwards = ask(thirds, "1 STOOL", "1 ROPE", "1 CRUNCHY-ARMCHAIR")

    assert nets(forwards) == ["9.66", "9.67", "9.67"]
    assert nets(backwards) == ["9.67", "9.67", "9.66"]


def test_a_line_stops_at_its_floor_the_others_take_over_and_the_rest_is_dropped() -> None:
    def floor(sku: str, price: str) -> Bound:
        limit = PriceLimit(prices=(CurrencyPrice(currency="EUR", price=price),))
        return Bound(code=f"F-{sku}", side=Side.FLOOR, scope=Scope(skus=(sku,)), limit=limit)

    bounds = (floor("CRUNCHY-ARMCHAIR", "9.5"), floor("STOOL", "20"))
    eight, twelve = (
        book(*ROWS, bounds=bounds, adjustments=(order_rule("O", AmountEffect(amount=amount)),))
        for amount in ("8", "12")
    )

    assert nets(ask(eight, "1 CRUNCHY-ARMCHAIR", "1 STOOL")) == ["9.50", "22.50"]
    answer = ask(twelve, "1 CRUNCHY-ARMCHAIR", "1 STOOL")
    assert nets(answer) == ["9.50", "20.00"]
    assert answer.order_steps[0].params == {"amount": "12", "dropped": "1.50"}


def test_a_surcharge_stops_at_the_ceiling() -> None:
    limit = PriceLimit(prices=(CurrencyPrice(currency="EUR", price="10.5"),))
    bound = Bound(code="C", side=Side.CEILING, scope=Scope(skus=("CRUNCHY-ARMCHAIR",)), limit=limit)
    effect = AmountEffect(amount="8", surcharge=True)
    capped = book(*ROWS, bounds=(bound,), adjustments=(order_rule("O", effect),))

    assert nets(ask(capped, "1 CRUNCHY-ARMCHAIR", "1 STOOL")) == ["10.50", "37.50"]
    assert nets(ask(capped, "1 CRUNCHY-ARMCHAIR")) == ["10.50"]


def test_lines_that_cost_nothing_share_a_surcharge_equally() -> None:
    free = book(
        row("0:0"), row("0:0", sku="STOOL"), adjustments=(order_rule("O", AmountEffect(amount="1", surcharge=True)),)
    )

    assert nets(ask(free, "1 CRUNCHY-ARMCHAIR", "1 STOOL")) == ["0.50", "0.50"]


def test_an_order_rule_acts_on_the_lines_of_its_scope() -> None:
    scoped = book(*ROWS, adjustments=(order_rule("O", "10", scope=Scope(skus=("STOOL",))),))

    assert nets(ask(scoped, "1 CRUNCHY-ARMCHAIR", "1 STOOL")) == ["10.00", "27.00"]
    assert ask(scoped, "1 CRUNCHY-ARMCHAIR").order_steps == ()


def test_the_subtotal_decides_before_any_line_rule() -> None:
    rules = (
        rule("LINE", "50", layer="line"),
        order_rule("O", "10", conditions=in_euro(min_subtotal="40")),
    )
    ordered = book(*ROWS, adjustments=rules)

    assert total(ordered, "1 CRUNCHY-ARMCHAIR", "1 STOOL") == "18.00"
    answer = ask(ordered, "1 STOOL")
    assert [(loser.rule, loser.reason, loser.params) for loser in answer.order_losers] == [
        ("O", "needs_subtotal", {"amount": "40", "currency": "EUR"})
    ]


def test_order_layers_combine_like_the_others() -> None:
    rules = (
        order_rule("A", "10"),
        order_rule("A-LESS", "5"),
        order_rule("B", "10", group="second"),
        order_rule("X", "19", exclusive=True),
        order_rule("LATER", "10", layer="later"),
    )
    sequence, summed = (
        book(
            *ROWS,
            layers=(layer("order", "first", "second", combine=combine), layer("order", code="later")),
            adjustments=rules,
        )
        for combine in ("sequence", "sum")
    )

    compounded = ask(sequence, "10 CRUNCHY-ARMCHAIR")
    added = ask(summed, "10 CRUNCHY-ARMCHAIR")

    assert nets(compounded) == ["72.90"]
    assert [(loser.rule, loser.params["by"]) for loser in compounded.order_losers] == [("A-LESS", "A"), ("X", "B")]
    assert nets(added) == ["72.00"]


def test_the_better_exclusive_order_rule_stands_alone() -> None:
    answer = ask(
        book(*ROWS, adjustments=(order_rule("A", "10"), order_rule("X", "20", exclusive=True))), "1 CRUNCHY-ARMCHAIR"
    )

    assert nets(answer) == ["8.00"]
    assert [(loser.rule, loser.params["by"]) for loser in answer.order_losers] == [("A", "X")]


def test_an_order_rule_ends_the_price_of_its_lines_at_its_edges() -> None:
    rules = (
        order_rule("SOON", "10", starts_at=day(1, 12), scope=Scope(skus=("STOOL",))),
        order_rule("NOW", "5", starts_at=day(1), ends_at=day(2, 12)),
        order_rule("PAST", "5", ends_at=NOW),
        order_rule("INITECH", "5", ends_at=day(22), audience=only(company="initech")),
    )
    answer = ask(book(*ROWS, adjustments=rules), "1 CRUNCHY-ARMCHAIR", "1 STOOL")

    assert [line.valid_until for line in answer.lines] == [day(2, 12), day(1, 12)]
    assert answer.valid_until == day(1, 12)
    assert [(loser.rule, loser.reason) for loser in answer.order_losers] == [("PAST", "ended"), ("SOON", "starts")]


def test_with_a_refused_line_no_order_rule_acts() -> None:
    answer = ask(book(*ROWS, adjustments=(order_rule("O", "10"),)), "1 CRUNCHY-ARMCHAIR", "1 NO-SUCH-THING")

    assert nets(answer) == ["10.00"]
    assert answer.order_steps == ()


def test_an_order_rule_takes_off_gross_amounts_where_the_list_is_gross() -> None:
    gross = book(row("0:119"), lists=(public(tax_included=True),), adjustments=(order_rule("O", "10"),))

    answer = ask(gross, "1 CRUNCHY-ARMCHAIR", tax=VAT)

    assert nets(answer) == ["90.00"]
    assert answer.total is not None
    assert answer.total.decimal == "107.10"
