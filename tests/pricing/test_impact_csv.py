"""What is exported of an impact: exact amounts, reasons, and no cell that a spreadsheet runs."""

import csv
from collections.abc import Iterable
from decimal import Decimal

import pytest

from pricing.engine.book import Rounding, RoundingPolicy, SkuFacts
from pricing.impact import Compared, Impact
from pricing.impact_csv import TABLES, lines, percent, table
from tests.pricing.engine.cast import ACME, GLOBEX, GUEST, content, row
from tests.pricing.test_impact import compared, sold

EVIL = '=HYPERLINK("http://evil.example")'


@pytest.fixture
def small() -> Compared:
    """Acme pays 5 % more for chairs, Globex's stools lose their price, a guest buys what has none."""
    orders = sold(
        (ACME, "EUR", [("CRUNCHY-ARMCHAIR", "each", "2"), (EVIL, "each", "1.5")]),
        (GLOBEX, "EUR", [("STOOL", "each", "1")]),
        (GUEST, "EUR", [("GONE", "each", "1")]),
    )
    cents = RoundingPolicy(line=Rounding(decimals=3))
    facts = (*content().skus, SkuFacts(sku=EVIL))
    before = content(row("1:100"), row("1:20", sku="STOOL"), row("0:4", sku=EVIL), skus=facts, policy=cents)
    after = content(row("1:105"), row("0:4", sku=EVIL), skus=facts, policy=cents)
    return compared(orders, before, after, {("CRUNCHY-ARMCHAIR", "EUR"): Decimal("60.5")})


def read(file: Iterable[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(file))


def test_every_line_stands_with_both_prices_or_the_reason_why_not(small: Compared) -> None:
    found = read(lines(small))

    assert [tuple(line.values()) for line in found] == [
        ("T-0", "acme", "EUR", "CRUNCHY-ARMCHAIR", "each", "2", "200.000", "210.000", "10.000", "121.000", "", ""),
        ("T-0", "acme", "EUR", f"'{EVIL}", "each", "1.5", "", "", "", "", "quantity_too_fine", "quantity_too_fine"),
        ("T-1", "globex", "EUR", "STOOL", "each", "1", "20.000", "", "", "", "", "no_price_in_currency"),
        ("T-2", "", "EUR", "GONE", "each", "1", "", "", "", "", "unknown_sku", "unknown_sku"),
    ]


def test_the_tables_hold_what_the_page_says(small: Compared) -> None:
    impact = small.impact()

    (total,) = read(table(impact, "totals"))
    assert (total["before"], total["after"], total["change"], total["change_percent"]) == (
        "200.000",
        "210.000",
        "10.000",
        "5.0",
    )
    assert (total["lost"], total["lost_amount"], total["unpriced"]) == ("1", "20.000", "2")
    assert (total["margin_before"], total["margin_before_percent"], total["margin_after_percent"]) == (
        "79.000",
        "39.5",
        "42.4",
    )
    companies = {row["company"]: row for row in read(table(impact, "companies"))}
    assert companies.keys() == {"", "acme", "globex"}
    assert companies["globex"]["change_percent"] == ""
    assert [row["sku"] for row in read(table(impact, "skus"))] == [f"'{EVIL}", "CRUNCHY-ARMCHAIR", "GONE", "STOOL"]
    assert {row["category"] for row in read(table(impact, "categories"))} == {"", "seating/chairs", "seating/stools"}
    steps = [row for row in read(table(impact, "steps")) if row["lines"] != "0"]
    assert [(row["change"], row["from_percent"], row["below_percent"], row["after"]) for row in steps] == [
        ("rise", "5", "10", "210.000")
    ]


def test_nothing_sold_is_headers_alone() -> None:
    made = content()
    empty = compared(sold(), made, made)
    assert isinstance(empty.impact(), Impact)
    for name in TABLES:
        assert len(list(table(empty.impact(), name))) == 1
    assert len(list(lines(empty))) == 1


def test_percents_are_rounded_half_up_and_of_nothing_there_are_none() -> None:
    assert [str(percent(part, 2000)) for part in (1, -1, 0, 3, 5000)] == ["0.1", "-0.1", "0.0", "0.2", "250.0"]
    assert percent(1, 0) is None
