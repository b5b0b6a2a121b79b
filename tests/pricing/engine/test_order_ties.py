"""Which order rule acts, how its amount is rounded, and who gets the odd cent."""

import pytest

from kernel.money import Mode
from pricing.engine.book import AmountEffect, Rounding, RoundingPolicy
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import ask, book, in_euro, row, rule, total


@pytest.mark.parametrize(("first", "second"), [("A", "B"), ("B", "A")])
def test_the_order_rule_of_highest_priority_acts_whatever_its_code(first: str, second: str) -> None:
    rules = (
        rule(first, "1", layer="order", priority=2, conditions=in_euro()),
        rule(second, "50", layer="order", priority=1, conditions=in_euro()),
    )
    answer = ask(book(row("0:10"), adjustments=rules), "1 CRUNCHY-ARMCHAIR")

    assert [step.rule for step in answer.order_steps] == [first]
    assert [(loser.rule, loser.reason, loser.params) for loser in answer.order_losers] == [
        (second, "beaten", {"by": first})
    ]


@pytest.mark.parametrize(("mode", "expected"), [(Mode.HALF_UP, "8.99"), (Mode.DOWN, "9.00"), (Mode.UP, "8.99")])
def test_an_amount_finer_than_a_cent_is_rounded_as_lines_are(mode: Mode, expected: str) -> None:
    off = rule("OFF", AmountEffect(amount="1.005"), layer="order", conditions=in_euro())
    of = book(row("0:10"), adjustments=(off,), policy=RoundingPolicy(line=Rounding(mode=mode)))

    assert total(of, "1 CRUNCHY-ARMCHAIR") == expected


def test_the_odd_cent_falls_on_the_same_unit_however_the_units_were_asked() -> None:
    off = rule("OFF", AmountEffect(amount="0.01"), layer="order", conditions=in_euro())
    of = book(row("0:5"), row("0:5", unit="box"), adjustments=(off,))

    for asked in (("1 CRUNCHY-ARMCHAIR", "1 box CRUNCHY-ARMCHAIR"), ("1 box CRUNCHY-ARMCHAIR", "1 CRUNCHY-ARMCHAIR")):
        lines = [line for line in ask(of, *asked).lines if isinstance(line, PricedLine)]
        assert {line.unit: line.net for line in lines} == {"box": "4.99", "each": "5.00"}
