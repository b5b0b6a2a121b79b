from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernel.csv_rows import ImportReport
from pricing.engine import BookContent
from pricing.engine.book import (
    Adjustment,
    Audience,
    Group,
    Layer,
    Level,
    PercentEffect,
    PriceList,
    PriceRow,
    Rounding,
    RoundingPolicy,
    Scope,
    SkuFacts,
    Tier,
    Titles,
)
from pricing.engine.columns import ColumnarBook
from pricing.engine.request import PricedLine, RefusedLine
from pricing.replay_orders import Evaluator, replay

HEADER = "reference,line,sku,unit,quantity,currency,at,company,segments,country,expected_line_total\n"
JULY = datetime(2026, 7, 1, tzinfo=UTC)


def house() -> ColumnarBook:
    titles = Titles(en="Resellers", es="Revendedores")
    rule = Adjustment(
        code="RESELLER-40",
        layer="UNIT",
        group="a",
        effect=PercentEffect(percent="40"),
        scope=Scope(everything=True),
        audience=Audience(segments=("reseller",)),
        starts_at=JULY,
        titles=titles,
    )
    return ColumnarBook(
        BookContent(
            policy=RoundingPolicy(unit=Rounding(decimals=4), line=Rounding(decimals=4)),
            lists=(PriceList(code="PUBLIC", currency="USD"),),
            rows=(PriceRow(list="PUBLIC", sku="BIKE", unit="each", tiers=(Tier(from_="0", unit_price="3374.99"),)),),
            layers=(Layer(code="UNIT", level=Level.UNIT, groups=(Group(code="a"),)),),
            adjustments=(rule,),
            skus=(SkuFacts(sku="BIKE"),),
        ),
        root="sha256:aa",
    )


def test_lines_are_priced_at_their_own_instant_and_compared_to_the_last_decimal(folder: Callable[..., Path]) -> None:
    made = folder(
        lines_csv=HEADER
        + "SO1,1,BIKE,each,1,USD,2026-07-02,,reseller,,2024.994\n"
        + "SO1,2,BIKE,,2,USD,2026-06-30,,reseller,,6749.9800\n"  # before the rule
        + "SO2,1,BIKE,,1,USD,2026-07-02,,,,3374.99\n"
    )
    report = ImportReport()
    found = replay(made / "lines.csv", house(), report)
    assert report.ok
    assert (found.lines, found.equal, found.groups) == (3, 3, ())
    assert (found.compared, found.unlike, found.left) == (3, 0, 0)


@pytest.mark.parametrize(("evaluator", "compared"), [("both", 7), ("sweep", 3), ("scalar", 0)])
def test_either_evaluator_finds_the_same_and_together_they_are_compared(
    folder: Callable[..., Path], evaluator: str, compared: int
) -> None:
    made = folder(
        lines_csv=HEADER
        + "SO1,1,BIKE,each,1,USD,2026-07-02,,reseller,,2024.994\n"
        + "SO1,2,BIKE,each,2,USD,2026-07-02,,reseller,,4049.98\n"  # a cent of a cent off
        + "SO1,3,BIKE,each,0.0000001,USD,2026-07-02,,,,0\n"
        + "SO1,4,BIKE,each,0,USD,2026-07-02,,,,0\n"
        + "SO2,1,BIKE,each,1,EUR,2026-07-02,,,,3374.99\n"
        + "SO2,2,GHOST,each,1,USD,2026-07-02,,,,1\n"
        + "SO2,3,BIKE,,7,USD,2026-07-02,,,,23624.93\n"
        + "SO2,4,BIKE,,8,USD,2026-07-02,,,,26999.92\n"
    )
    report = ImportReport()

    found = replay(made / "lines.csv", house(), report, evaluator=Evaluator(evaluator))

    assert [error.line for error in report.errors] == [4]  # finer than a quantity may be
    assert (found.lines, found.equal) == (7, 4)
    assert {(group.outcome, group.reason, group.count) for group in found.groups} == {
        ("too_high", None, 1),
        ("refused", "no_price_in_currency", 1),
        ("refused", "unknown_sku", 1),
    }
    assert (found.compared, found.unlike) == (compared, 0)
    assert found.left == (0 if evaluator == "scalar" else 1)


def test_exceptions_are_grouped_by_what_acted_with_examples_and_traces(folder: Callable[..., Path]) -> None:
    lines = [f"A{number},1,BIKE,,1,USD,2026-07-02,,reseller,,2000" for number in range(5)]
    lines += [
        "B1,1,BIKE,,1,USD,2026-07-02,,,,3400",
        "C1,1,GHOST,,1,USD,2026-07-02,,,,1",
        "D1,1,BIKE,,1,EUR,2026-07-02,,,,1",
    ]
    report = ImportReport()
    found = replay(folder(lines_csv=HEADER + "\n".join(lines) + "\n") / "lines.csv", house(), report)

    assert (found.lines, found.equal) == (8, 0)
    high, *others = found.groups
    assert (high.outcome, high.count, high.rules) == ("too_high", 5, ("PUBLIC", "RESELLER-40"))
    assert high.difference == {"USD": "124.97"}
    assert [example.asked.reference for example in high.examples] == ["A0", "A1", "A2"]
    priced = high.examples[0].priced
    assert isinstance(priced, PricedLine)
    assert [step.rule for step in priced.trace.steps if step.phase == "unit"] == ["RESELLER-40"]
    assert [(group.outcome, group.count) for group in others] == [("refused", 1), ("refused", 1), ("too_low", 1)]
    refused = others[0].examples[0].priced
    assert isinstance(refused, RefusedLine)
    assert {group.reason for group in others if group.outcome == "refused"} == {
        example.priced.reason
        for group in others
        for example in group.examples
        if isinstance(example.priced, RefusedLine)
    }


def test_rows_that_cannot_be_read_are_reported_and_not_counted(folder: Callable[..., Path]) -> None:
    made = folder(
        lines_csv=HEADER
        + "SO1,1,BIKE,each,NaN,USD,2026-07-02,,,,1\n"
        + "SO1,2,BIKE,each,1,USD,yesterday,,,,1\n"
        + "SO1,3,BIKE,each,1,USD,2026-07-02,,,,3374.99\n"
        + "SO1,3,BIKE,each,1,USD,2026-07-02,,,,3374.99\n"
    )
    report = ImportReport()
    found = replay(made / "lines.csv", house(), report)
    assert (found.lines, found.equal) == (1, 1)
    assert [(error.line, error.column) for error in report.errors] == [(2, "quantity"), (3, "at"), (5, "line")]


def test_progress_is_told_every_thousand_lines_and_at_the_end(folder: Callable[..., Path]) -> None:
    lines = "".join(f"S,{number},BIKE,,1,USD,2026-07-02,,,,3374.99\n" for number in range(2500))
    told: list[int] = []
    found = replay(folder(lines_csv=HEADER + lines) / "lines.csv", house(), ImportReport(), progress=told.append)
    assert told == [1000, 2000, 2500]
    assert found.equal == 2500
