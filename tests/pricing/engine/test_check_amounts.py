"""A whole book is swept: what that finds is what asking one line after the other finds."""

from contextlib import nullcontext
from typing import Any

import pytest
from msgspec.structs import replace

from pricing.engine import MemoryBook
from pricing.engine.book import AmountEffect, Cost, QuantityRule, Rounding, RoundingPolicy, SkuFacts, UnitFact
from pricing.engine.check import Thresholds
from pricing.engine.check_amounts import EntriesBook
from pricing.engine.check_cells import Cells
from pricing.engine.check_classes import Classes
from pricing.engine.check_content import sound_entries
from pricing.engine.check_prices import PriceChecks
from pricing.engine.columns import QUANTITY_DECIMALS, Columns
from pricing.engine.memory import frame_of
from pricing.engine.rules import Rules
from tests.pricing.engine.cast import CHAIR, EVERYTHING, NOW, ROPE, STOOL, content, in_euro, row, rule
from tests.pricing.engine.checking import findings, the

MANY = 400
"""SKUs, so that more is asked than is worth asking one by one."""


def alike(facts: SkuFacts) -> list[SkuFacts]:
    return [replace(facts, sku=f"{facts.sku}-{number:03}") for number in range(MANY)]


@pytest.mark.parametrize(
    ("facts", "rows", "fall"),
    [
        (CHAIR, ({"said": "1:10"}, {"said": "1:100 5:60", "unit": "box"}), ("box", "4", "400.00", "5", "300.00")),
        (ROPE, ({"said": "0:10 2.5:7", "unit": "metre"},), ("metre", "2.49", "24.90", "2.5", "17.50")),
        (
            replace(STOOL, units=(UnitFact(unit="gram", decimals=3),)),
            ({"said": "0:10 0.02:1", "unit": "gram"},),
            ("gram", "0.019", "0.19", "0.02", "0.02"),
        ),
    ],
)
def test_a_fall_of_many_skus_is_found_in_each(
    facts: SkuFacts, rows: tuple[dict[str, Any], ...], fall: tuple[str, ...]
) -> None:
    skus = alike(facts)
    of = content(*(row(**{**said, "sku": one.sku}) for one in skus for said in rows), skus=tuple(skus))
    params = the("total_falls", of).params

    assert (params["sku"], params["count"]) == (skus[0].sku, str(MANY))
    assert tuple(params[name] for name in ("unit", "quantity", "before", "more", "after")) == fall


class SweptError(Exception):
    pass


class OnlyOneByOne(EntriesBook):
    @property
    def columns(self) -> Columns:
        raise SweptError


@pytest.mark.parametrize(
    ("decimals", "many", "swept"),
    [
        (0, 1, False),
        (0, MANY, True),
        (2, MANY, True),
        (QUANTITY_DECIMALS, MANY, True),
        (QUANTITY_DECIMALS + 1, MANY, False),
    ],
)
def test_many_questions_are_swept_if_their_quantities_can_be(decimals: int, many: int, *, swept: bool) -> None:
    skus = alike(replace(STOOL, units=(UnitFact(unit="each", decimals=decimals),)))[:many]
    of = content(*(row("0:10 5:7", sku=one.sku) for one in skus), skus=tuple(skus))
    entries, _ = sound_entries(of)
    rules = Rules(frame_of(of))
    cells = Cells(entries, rules, Classes(of, ()), NOW, None)
    checks = PriceChecks(cells, OnlyOneByOne(rules, entries), None, Thresholds())

    with pytest.raises(SweptError) if swept else nullcontext():
        assert [finding.code for finding in checks.run()] == ["total_falls"]


def test_a_fall_of_many_skus_sold_by_parts_of_a_unit_is_found_at_such_a_part() -> None:
    skus = alike(ROPE)
    quarters = QuantityRule(code="Q", scope=EVERYTHING, multiple="0.25", minimum="0.3")
    rows = (row("0:10 2.6:7", sku=one.sku, unit="metre") for one in skus)
    params = the("total_falls", content(*rows, skus=tuple(skus), quantity_rules=(quarters,))).params

    assert (params["quantity"], params["before"], params["more"], params["after"]) == ("2.5", "25.00", "2.75", "19.25")
    assert params["count"] == str(MANY)


def test_what_is_too_fine_to_be_swept_does_not_stand_before_the_rest() -> None:
    skus = [replace(STOOL, sku="GOLD", units=(UnitFact(unit="each", decimals=QUANTITY_DECIMALS + 1),)), *alike(STOOL)]
    params = the("total_falls", content(*(row("0:10 5:7", sku=one.sku) for one in skus), skus=tuple(skus))).params

    assert params["count"] == str(MANY + 1)


def test_an_order_rule_of_many_skus_is_found_past_its_amount_in_each() -> None:
    skus = alike(STOOL)
    late = rule("ORDER", AmountEffect(amount="300"), layer="order", conditions=in_euro(min_subtotal="505"))
    of = content(*(row("1:10", sku=one.sku) for one in skus), skus=tuple(skus), adjustments=(late,))
    params = the("total_falls", of).params

    assert (params["by"], params["count"]) == ("ORDER", str(MANY))
    assert (params["quantity"], params["before"], params["more"], params["after"]) == ("50", "500.00", "51", "210.00")


FINEST = RoundingPolicy(unit=Rounding(decimals=12), line=Rounding(decimals=12))
COARSE = RoundingPolicy()


@pytest.mark.parametrize(
    ("before", "policy_before", "after", "policy", "percent"),
    [
        ("10", FINEST, "12.51", COARSE, "+25.1"),
        ("10", FINEST, "12.5", COARSE, None),
        ("10", COARSE, "12.51", FINEST, "+25.1"),
        ("10", COARSE, "12.5", FINEST, None),
        ("10.02", COARSE, "7.5", FINEST, "-25.1"),
        ("10", COARSE, "7.5", COARSE, None),
        ("0.01", COARSE, "0.02", COARSE, "+100.0"),
        ("1", FINEST, "900000", COARSE, "+89999900.0"),
        ("900000", COARSE, "1", FINEST, "-99.9"),
        ("400000.000000000001", FINEST, "500000.000000000003", FINEST, "+25.0"),
        ("400000.000000000004", FINEST, "500000.000000000005", FINEST, None),
        *((str(price), FINEST, str(2 * price), FINEST, "+100.0") for price in range(50_000, 500_001, 50_000)),
        *((str(2 * price), FINEST, str(price), FINEST, "-50.0") for price in range(50_000, 500_001, 50_000)),
        *((str(4 * price), FINEST, str(5 * price), FINEST, None) for price in range(40_000, 200_001, 40_000)),
        *((str(100 * price), FINEST, str(100 * price), FINEST, None) for price in range(1_000, 10_000, 1_000)),
    ],
)
def test_prices_of_any_fineness_and_size_are_compared_with_those_in_force(
    before: str, policy_before: RoundingPolicy, after: str, policy: RoundingPolicy, percent: str | None
) -> None:
    once = QuantityRule(code="Q", scope=EVERYTHING, maximum="1")
    book = MemoryBook(content(row(f"1:{before}"), skus=(CHAIR,), policy=policy_before), root="r")
    found = findings(content(row(f"1:{after}"), skus=(CHAIR,), policy=policy, quantity_rules=(once,)), current=book)

    assert [finding.params["percent"] for finding in found if finding.code == "price_jumps"] == (
        [] if percent is None else [percent]
    )


@pytest.mark.parametrize("price", [1, 100, 3_000, 20_000, 50_000, 100_000, 400_000, 800_000, 1_000_000])
@pytest.mark.parametrize("policy", [FINEST, COARSE])
def test_margins_of_any_fineness_and_size_are_told(price: int, policy: RoundingPolicy) -> None:
    """Of a cost that is a trillionth too much, and of one that is just as much as may be."""
    once = QuantityRule(code="Q", scope=EVERYTHING, maximum="1")
    half = price // 2 if price > 1 else "0.5"
    for cost, margin in ((f"{half}.000000000001" if price > 1 else "0.500000000001", "49.9"), (f"{half}", None)):
        costs = (Cost(sku=CHAIR.sku, currency="EUR", cost=cost),)
        of = content(row(f"1:{price}"), skus=(CHAIR,), policy=policy, quantity_rules=(once,), costs=costs)
        found = findings(of, thresholds=Thresholds(margin_percent="50"))
        assert [finding.params.get("margin") for finding in found] == ([] if margin is None else [margin])


@pytest.mark.parametrize(("price", "compared"), [("4611686.018427387904", True), ("4611686.018427387905", False)])
def test_amounts_of_up_to_two_to_the_62_are_looked_at(price: str, *, compared: bool) -> None:
    once = QuantityRule(code="Q", scope=EVERYTHING, maximum="1")
    costs = (Cost(sku=CHAIR.sku, currency="EUR", cost="5000000"),)
    of = content(row(f"1:{price}"), skus=(CHAIR,), policy=FINEST, quantity_rules=(once,), costs=costs)

    assert [finding.code for finding in findings(of)] == (["low_margin"] if compared else [])
