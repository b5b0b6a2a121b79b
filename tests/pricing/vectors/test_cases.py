"""What other systems expect of a price, asked of ours: the facts of their tests and pages, in our words and format.

`cases.json` holds them all. A case with `runs` is priced: its book and question lead to what the other system expects,
or, where it `differs` on purpose, to what we say instead. `not_a_price` says why a case asks for something else.
"""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel.money import Money
from pricing.engine import BookContent, MemoryBook, Quote, QuoteRequest, check, quote
from pricing.engine.request import PricedLine

CASES: list[dict[str, Any]] = msgspec.json.decode(Path(__file__).with_name("cases.json").read_bytes())
PRICED = [case for case in CASES if "runs" in case]
DIFFERENT = [case for case in CASES if "differs" in case]
NO_PRICE = [case for case in CASES if "not_a_price" in case]


def answered(run: dict[str, Any]) -> Quote:
    content = msgspec.convert(run["book"], BookContent)
    request = msgspec.convert(run["ask"], QuoteRequest)
    at = datetime.fromisoformat(run["at"])
    assert not [finding for finding in check(content, at=at) if finding.severity == "error"]
    return quote(request, book=MemoryBook(content, root="vectors"), at=at)


def amounts(answer: Quote, name: str) -> Any:
    """What the answer says of the expectation *name*: a total of the order, or something of its lines."""
    lines = [line for line in answer.lines if isinstance(line, PricedLine)]
    assert len(lines) == len(answer.lines), answer.lines
    if name in {"total", "net"}:
        money = getattr(answer, name)
        assert isinstance(money, Money)
        return Decimal(money.decimal)
    if name == "amount":
        return sum(Decimal(line.subtotal) for line in lines)
    if name == "order_adjustments":
        return [Decimal(line.order_adjustment) for line in lines]
    (line,) = lines
    said = {"unit": line.unit_price, "list_price": line.list_price}[name]
    assert said is not None
    return Decimal(said)


@pytest.mark.parametrize("case", PRICED, ids=[case["id"] for case in PRICED])
def test_a_price_comes_out_as_the_other_system_expects_or_as_we_state_instead(case: dict[str, Any]) -> None:
    assert case["runs"]
    for run in case["runs"]:
        answer = answered(run)
        assert run["expect"]
        for name, expected in run["expect"].items():
            numbers = [Decimal(one) for one in expected] if isinstance(expected, list) else Decimal(expected)
            assert amounts(answer, name) == numbers, (case["source"], name)


def test_a_stated_difference_has_its_reason_and_is_one() -> None:
    for case in DIFFERENT:
        assert case["differs"].endswith(".")
        for run in case.get("runs", ()):
            assert case["theirs"] not in run["expect"].values()


def test_no_case_is_dropped_silently() -> None:
    as_expected = [case for case in PRICED if "differs" not in case]

    assert len(as_expected) + len(DIFFERENT) + len(NO_PRICE) == len(CASES) == 174
    assert (len(as_expected), len(DIFFERENT), len(NO_PRICE)) == (146, 9, 19)
    assert len({case["id"] for case in CASES}) == 174
    assert all(case["source"] and case["model"] for case in CASES)
    assert all(case["not_a_price"].endswith(".") for case in NO_PRICE)
