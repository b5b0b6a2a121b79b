from datetime import timedelta

from pricing.engine import BookContent, Buyer, MemoryBook, QuoteRequest, quote
from pricing.engine.book import Audience, PriceList, PriceRow, SkuFacts, Tier
from pricing.engine.check import Severity, Thresholds
from pricing.engine.request import LineRequest, RefusedLine
from pricing.findings import finding_text, list_findings
from tests.pricing.books_at_random import NOON

LISTS = (PriceList(code="EUROS", currency="EUR"), PriceList(code="DOLLARS", currency="USD"))
SKUS = (SkuFacts(sku="ANVIL"), SkuFacts(sku="BOLT"), SkuFacts(sku="OLD"))


def row(code: str, sku: str, **changes: object) -> PriceRow:
    tiers = (Tier(from_="0", unit_price="1"),)
    return PriceRow(list=code, sku=sku, unit="each", tiers=tiers, **changes)  # type: ignore[arg-type] # a test's shorthand


def test_a_sku_on_sale_that_no_list_prices_is_an_error_and_its_witness_shows_it() -> None:
    content = BookContent(lists=LISTS, rows=(row("EUROS", "ANVIL"), row("DOLLARS", "ANVIL")), skus=SKUS)
    (found,) = list_findings(content, sold={"ANVIL", "BOLT"}, at=NOON)
    assert (found.severity, found.code, found.params) == (Severity.ERROR, "sold_without_price", {"sku": "BOLT"})
    asked = found.witness
    assert asked is not None
    request = QuoteRequest(
        buyer=asked.buyer,
        currency=asked.currency,
        lines=(LineRequest(sku=asked.sku, quantity=asked.quantity, unit=asked.unit),),
    )
    answer = quote(request, book=MemoryBook(content, root="sha256:aa"), at=asked.at)
    assert isinstance(answer.lines[0], RefusedLine)


def test_a_price_that_ends_before_the_publication_is_none() -> None:
    ended = row("EUROS", "ANVIL", ends_at=NOON - timedelta(seconds=1))
    content = BookContent(lists=LISTS[:1], rows=(ended,), skus=SKUS)
    assert [finding.code for finding in list_findings(content, sold={"ANVIL"}, at=NOON)] == ["sold_without_price"]


def test_skus_missing_in_an_open_currency_are_one_warning_with_their_number() -> None:
    rows = (row("EUROS", "ANVIL"), row("EUROS", "BOLT"), row("EUROS", "OLD"), row("DOLLARS", "OLD"))
    (found,) = list_findings(BookContent(lists=LISTS, rows=rows, skus=SKUS), sold={"ANVIL", "BOLT", "OLD"}, at=NOON)
    assert (found.severity, found.params) == (Severity.WARNING, {"count": "2", "currency": "USD", "sku": "ANVIL"})
    assert "2 SKUs on sale have no price in USD" in finding_text(found, "en")
    assert "2 SKU a la venta no tienen precio en USD" in finding_text(found, "es")


def test_a_withdrawn_sku_needs_no_price() -> None:
    content = BookContent(lists=LISTS[:1], rows=(row("EUROS", "ANVIL"),), skus=SKUS)
    assert list_findings(content, sold={"ANVIL"}, at=NOON) == ()


def test_what_the_engine_finds_is_told_too_and_first_when_an_error() -> None:
    content = BookContent(lists=LISTS, rows=(row("NOWHERE", "ANVIL"), row("EUROS", "ANVIL")), skus=SKUS)
    found = list_findings(content, sold={"ANVIL"}, at=NOON)
    assert [finding.code for finding in found] == ["unknown_reference", "sold_not_in_currency"]
    assert all(finding_text(finding, language) for finding in found for language in ("en", "es"))


def test_prices_are_checked_for_the_buyers_of_today_and_against_the_book_in_force() -> None:
    contract = PriceList(code="CONTRACT", currency="EUR", audience=Audience(company="initech"))
    before = BookContent(lists=(LISTS[0], contract), rows=(row("EUROS", "ANVIL"), row("CONTRACT", "ANVIL")), skus=SKUS)
    dearer = PriceRow(list="CONTRACT", sku="ANVIL", unit="each", tiers=(Tier(from_="0", unit_price="2"),))
    content = BookContent(lists=before.lists, rows=(before.rows[0], dearer), skus=SKUS)

    found = list_findings(
        content,
        sold={"ANVIL"},
        at=NOON,
        buyers=[Buyer(company="initech", country="ES")],
        current=MemoryBook(before, root="sha256:aa"),
        thresholds=Thresholds(jump_percent="99"),
    )

    assert [(finding.code, finding.params["by"]) for finding in found] == [
        ("dearer_than_public", "CONTRACT"),
        ("price_jumps", "CONTRACT"),
    ]
    assert all(finding.witness is not None and finding.witness.buyer.country == "ES" for finding in found)
