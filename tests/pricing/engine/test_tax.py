"""Phase 12: tax from given rates."""

import pytest

from kernel.money import Money
from pricing.engine import MemoryBook, TaxInput, TaxRate
from pricing.engine.book import Rounding, RoundingPolicy, TaxLevel
from pricing.engine.request import PricedLine
from tests.pricing.engine.cast import VAT, ask, book, priced, public, refused, row, total, under


def mixed(level: str = "line", **more: object) -> MemoryBook:
    lists = (public("NET"), public("GROSS", tax_included=True))
    return book(
        row("0:1.05", of="NET"),
        row("0:1.05", of="GROSS", sku="STOOL"),
        row("0:0.99", of="NET", sku="ROPE"),
        lists=lists,
        policy=RoundingPolicy(tax_level=TaxLevel(level)),
        **more,
    )


def test_without_tax_the_answer_is_net() -> None:
    answer = ask(mixed(), "3 CRUNCHY-ARMCHAIR")

    assert (answer.tax, answer.tax_treatment, answer.total) == (None, None, Money.parse("3.15", "EUR"))
    line = answer.lines[0]
    assert isinstance(line, PricedLine)
    assert (line.net, line.tax, line.total, line.tax_percent) == ("3.15", None, "3.15", None)


@pytest.mark.parametrize(
    ("level", "tax"),
    # 3 x 1.05 at 19 %: a unit has 0.1995, the line 0.5985
    [("unit", "0.60"), ("line", "0.60"), ("order", "0.60")],
)
def test_tax_is_added_to_net_prices(level: str, tax: str) -> None:
    line = priced(mixed(level), "3 CRUNCHY-ARMCHAIR", tax=VAT)

    assert (line.net, line.tax, line.tax_percent) == ("3.15", tax, "19")


def test_line_against_order_rounding_gives_what_each_says() -> None:
    """saleor's own test has 1.02 against 1.04 for such a case."""
    rows = row("0:0.07"), row("0:0.07", sku="STOOL")
    by_line, by_order = (
        book(*rows, policy=RoundingPolicy(tax_level=level)) for level in (TaxLevel.LINE, TaxLevel.ORDER)
    )

    assert total(by_line, "1 CRUNCHY-ARMCHAIR", "1 STOOL", tax=VAT) == "0.16"  # 0.0133 each: 0.01 + 0.01
    assert total(by_order, "1 CRUNCHY-ARMCHAIR", "1 STOOL", tax=VAT) == "0.17"  # 0.0266 in all: 0.03


def test_tax_on_the_order_is_spread_over_its_lines_to_the_cent() -> None:
    rows = row("0:0.07"), row("0:0.07", sku="STOOL")
    answer = ask(book(*rows, policy=RoundingPolicy(tax_level=TaxLevel.ORDER)), "1 STOOL", "1 CRUNCHY-ARMCHAIR", tax=VAT)

    assert [line.tax for line in answer.lines if isinstance(line, PricedLine)] == ["0.01", "0.02"]
    assert answer.tax == Money.parse("0.03", "EUR")


def test_unit_rounding_of_tax_differs_from_the_lines() -> None:
    rows = (row("0:0.07"),)
    by_unit = book(*rows, policy=RoundingPolicy(tax_level=TaxLevel.UNIT))
    by_line = book(*rows, policy=RoundingPolicy(tax_level=TaxLevel.LINE))

    assert priced(by_unit, "10 CRUNCHY-ARMCHAIR", tax=VAT).tax == "0.10"
    assert priced(by_line, "10 CRUNCHY-ARMCHAIR", tax=VAT).tax == "0.13"
    assert priced(by_unit, "0 CRUNCHY-ARMCHAIR", tax=VAT).tax == "0.00"


@pytest.mark.parametrize("level", TaxLevel)
def test_tax_is_taken_out_of_gross_prices(level: TaxLevel) -> None:
    line = priced(mixed(level), "100 STOOL", tax=VAT)

    assert (line.subtotal, line.total, line.tax_included) == ("105.00", "105.00", True)
    assert (line.net, line.tax) == (("88.00", "17.00") if level is TaxLevel.UNIT else ("88.24", "16.76"))


@pytest.mark.parametrize(("treatment", "tax", "of_net", "of_gross"), [
    ("standard", True, "125.00", "105.00"),
    ("reverse_charge", False, "105.00", "88.24"),
    ("exempt", False, "105.00", "88.24"),
])  # fmt: skip
def test_who_owes_no_tax_pays_the_net(treatment: str, tax: bool, of_net: str, of_gross: str) -> None:
    net, gross = (ask(mixed(), line, tax=under(treatment)) for line in ("100 CRUNCHY-ARMCHAIR", "100 STOOL"))

    assert net.total is not None
    assert gross.total is not None
    assert (net.total.decimal, gross.total.decimal) == ("124.95" if tax else of_net, of_gross)
    assert bool(gross.tax) is bool(net.tax) is tax
    assert net.tax_treatment == treatment


def test_an_order_mixes_lists_with_and_without_tax() -> None:
    answer = ask(mixed(), "100 CRUNCHY-ARMCHAIR", "100 STOOL", "1 ROPE", tax=VAT)

    assert answer.subtotal == Money.parse("210.99", "EUR")
    assert answer.net == Money.parse("194.23", "EUR")  # 105.00 + 88.24 + 0.99
    assert answer.tax == Money.parse("36.78", "EUR")  # 19.95 + 16.76 + 0.07
    assert answer.total == Money.parse("231.01", "EUR")


def test_a_missing_rate_refuses_where_it_is_needed() -> None:
    nothing = TaxInput()
    exempt = TaxInput(treatment=under("exempt").treatment)

    assert refused(mixed(), "1 CRUNCHY-ARMCHAIR", tax=nothing) == ("tax_rate_unknown", {"category": "standard"})
    assert refused(mixed(), "1 STOOL", tax=exempt) == ("tax_rate_unknown", {"category": "standard"})
    assert refused(mixed(), "1 STOOL") == ("tax_needed", {})
    assert priced(mixed(), "1 CRUNCHY-ARMCHAIR", tax=exempt).tax_percent == "0"


@pytest.mark.parametrize("percent", ["-1", "1001"])
def test_a_senseless_rate_refuses(percent: str) -> None:
    senseless = TaxInput(rates=(TaxRate(category="standard", percent=percent),))

    assert refused(mixed(), "1 CRUNCHY-ARMCHAIR", tax=senseless)[0] == "tax_rate_unknown"


def test_a_rate_may_have_decimals_and_its_rounding_is_the_policys() -> None:
    rate = TaxInput(rates=(TaxRate(category="standard", percent="8.875"),))
    fine = book(row("0:9.99"), policy=RoundingPolicy(tax=Rounding(decimals=4)))

    answer = ask(fine, "1 CRUNCHY-ARMCHAIR", tax=rate)
    line = answer.lines[0]

    assert isinstance(line, PricedLine)
    assert (line.net, line.tax, line.total) == ("9.9900", "0.8866", "10.8766")
    assert answer.total == Money.parse("10.88", "EUR")


def test_yen_have_no_decimals_and_dinars_three() -> None:
    yen = book(row("0:333.5"), lists=(public(currency="JPY"),))
    dinar = book(row("0:1.2345"), lists=(public(currency="KWD"),))

    assert total(yen, "1 CRUNCHY-ARMCHAIR", currency="JPY", tax=VAT) == "397"
    assert priced(yen, "1 CRUNCHY-ARMCHAIR", currency="JPY").unit_price == "334"
    assert priced(dinar, "1 CRUNCHY-ARMCHAIR", currency="KWD").unit_price == "1.235"
    assert priced(dinar, "1 CRUNCHY-ARMCHAIR", currency="KWD").list_price == "1.2345"
