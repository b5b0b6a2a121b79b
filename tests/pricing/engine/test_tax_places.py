"""Where tax, lines and totals are rounded when they are not rounded alike."""

import pytest

from kernel.money import Mode, Money
from pricing.engine import MemoryBook
from pricing.engine.book import Rounding, RoundingPolicy, TaxLevel
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import VAT, ask, book, priced, public, row, under


def by_the_hundredth_of_a_cent(mode: Mode, *, gross: bool = False) -> MemoryBook:
    """Lines of four decimals: 3 x 0.3335 = 1.0005."""
    policy = RoundingPolicy(unit=Rounding(decimals=4), line=Rounding(decimals=4, mode=mode))
    return book(row("0:0.335"), lists=(public(tax_included=gross),), policy=policy)


@pytest.mark.parametrize(("mode", "expected"), [(Mode.UP, "0.34"), (Mode.DOWN, "0.33"), (Mode.HALF_UP, "0.34")])
def test_a_total_is_rounded_to_cents_as_lines_are(mode: Mode, expected: str) -> None:
    of = by_the_hundredth_of_a_cent(mode)
    answer = ask(of, "1 CRUNCHY-ARMCHAIR")
    (line,) = answer.lines

    assert isinstance(line, PricedLine)
    assert line.subtotal == "0.3350"
    assert answer.subtotal == answer.net == answer.total == Money.parse(expected, "EUR")


@pytest.mark.parametrize(("mode", "expected"), [(Mode.UP, "0.34"), (Mode.DOWN, "0.33")])
def test_a_total_of_prices_with_tax_is_rounded_as_lines_are(mode: Mode, expected: str) -> None:
    answer = ask(by_the_hundredth_of_a_cent(mode, gross=True), "1 CRUNCHY-ARMCHAIR", tax=VAT)

    assert answer.subtotal == answer.total == Money.parse(expected, "EUR")


def test_tax_may_be_coarser_than_the_line() -> None:
    of = by_the_hundredth_of_a_cent(Mode.HALF_UP)
    line = priced(of, "10 CRUNCHY-ARMCHAIR", tax=VAT)  # 3.35 at 19 %: 0.6365

    assert (line.net, line.tax, line.total) == ("3.3500", "0.6400", "3.9900")


def test_tax_of_an_order_falls_on_the_same_line_however_the_units_were_asked() -> None:
    """0.01 of tax on 0.03 + 0.03: the box comes before the each."""
    of = book(row("0:0.03"), row("0:0.03", unit="box"), policy=RoundingPolicy(tax_level=TaxLevel.ORDER))

    for asked in (("1 CRUNCHY-ARMCHAIR", "1 box CRUNCHY-ARMCHAIR"), ("1 box CRUNCHY-ARMCHAIR", "1 CRUNCHY-ARMCHAIR")):
        lines = [line for line in ask(of, *asked, tax=VAT).lines if isinstance(line, PricedLine)]
        assert {line.unit: line.tax for line in lines} == {"box": "0.01", "each": "0.00"}


def test_without_tax_what_a_line_comes_to_is_its_net() -> None:
    line = priced(book(row("0:1.05")), "3 CRUNCHY-ARMCHAIR")

    assert (line.net, line.tax, line.total) == ("3.15", None, "3.15")


def test_what_is_taken_out_of_a_gross_price_is_rounded_once_for_the_order() -> None:
    """Two lines of 0.10 with 0.0160 each of tax: 0.03 in all, though by line it were 0.02 + 0.02."""
    rows = row("0:0.1"), row("0:0.1", sku="STOOL")
    policy = RoundingPolicy(tax=Rounding(decimals=4))
    of = book(*rows, lists=(public(tax_included=True),), policy=policy)

    for treatment, owed in (("standard", "0.03"), ("exempt", "0.00")):
        answer = ask(of, "1 CRUNCHY-ARMCHAIR", "1 STOOL", tax=under(treatment))
        assert (answer.net, answer.tax) == (Money.parse("0.17", "EUR"), Money.parse(owed, "EUR"))
