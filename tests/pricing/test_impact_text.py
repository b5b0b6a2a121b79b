"""An impact in plain text."""

from decimal import Decimal

from pricing.impact_text import lines
from tests.pricing.engine.cast import ACME, GLOBEX, GUEST, content, row
from tests.pricing.test_impact import compared, sold


def test_the_command_line_says_what_the_page_says() -> None:
    orders = sold(
        (ACME, "EUR", [("CRUNCHY-ARMCHAIR", "each", "2"), ("STOOL", "each", "1")]),
        (GLOBEX, "EUR", [("ROPE", "metre", "2"), ("GONE", "each", "1")]),
        (GUEST, "EUR", [("ROPE", "metre", "1")]),
    )
    before = content(row("1:100"), row("1:20", sku="STOOL"), row("0:4", sku="ROPE"))
    after = content(row("1:105"), row("0:3", sku="ROPE"))

    found = compared(orders, before, after, {("CRUNCHY-ARMCHAIR", "EUR"): Decimal(60)}).impact()

    assert list(lines("past orders", found, "order")) == [
        "past orders: 3 orders, 5 lines",
        "  EUR",
        "    revenue 212.00 -> 219.00: +7.00 (+3.3 %), of lines that both books price",
        (
            "    margin  80.00 -> 90.00: +10.00 (+12.5 %), 40.0 % -> 42.9 % of revenue;"
            " 2 lines without a known cost left out"
        ),
        "    lines   1 dearer, 2 cheaper, 0 the same",
        "            1 lose their price, 20.00 (no_price_in_currency 1)",
        "            1 with a price in neither book",
        "    1 of 3 companies pay more",
        "    companies that move most",
        "      acme                         200.00 -> 210.00: +10.00 (+5.0 %)",
        "      (none)                       4.00 -> 3.00: -1.00 (-25.0 %)",
        "      globex                       8.00 -> 6.00: -2.00 (-25.0 %)",
        "    categories that move most",
        "      seating/chairs               200.00 -> 210.00: +10.00 (+5.0 %)",
        "      (none)                       12.00 -> 9.00: -3.00 (-25.0 %)",
        "    SKUs that move most",
        "      CRUNCHY-ARMCHAIR             200.00 -> 210.00: +10.00 (+5.0 %)",
        "      ROPE                         12.00 -> 9.00: -3.00 (-25.0 %)",
    ]
    assert list(lines("open quotes", compared(sold(), before, after).impact(), "quote")) == [
        "open quotes: 0 quotes, 0 lines"
    ]
