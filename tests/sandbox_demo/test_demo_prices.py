"""The demo's files are a price book without findings, and its named SKUs cost what a pencil says they cost."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from stdnum.de import vat as german_vat
from stdnum.es import cif

from pricing.engine import Buyer, LineRequest, MemoryBook, Quote, QuoteRequest, Severity, check, quote
from pricing.engine.request import PricedLine, RefusedLine
from sandbox.demo.files import write_demo
from sandbox.demo.rules import COMPANIES
from tests.examples.folders import book_of, content_of_folder

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
BUYERS = {
    row["code"]: Buyer(
        company=row["code"], segments=tuple(filter(None, row["segments"].split(";"))), country=row["country"]
    )
    for row in COMPANIES
}

PENCIL = (
    # who, currency, quantity, unit, SKU, what the line comes to
    ("acme", "EUR", "4", "each", "CRUNCHY-ARMCHAIR", "996.00"),  # 4 x 249.00
    ("acme", "EUR", "5", "each", "CRUNCHY-ARMCHAIR", "1171.10"),  # 5 x 239.00 = 1195.00, 2 % off a line of 1000
    ("acme", "EUR", "20", "each", "CRUNCHY-ARMCHAIR", "4292.40"),  # 20 x 219.00 = 4380.00, less 87.60
    ("initech", "EUR", "4", "each", "CRUNCHY-ARMCHAIR", "900.00"),  # contract: 4 x 225.00
    ("initech", "EUR", "20", "each", "CRUNCHY-ARMCHAIR", "4155.20"),  # contract: 20 x 212.00 = 4240.00, less 84.80
    ("initech", "USD", "1", "each", "CRUNCHY-ARMCHAIR", "275.00"),  # the contract is in euros
    ("acme", "EUR", "1", "each", "QUIET-HAMMER", "31.50"),  # hammer of the fortnight
    ("acme", "EUR", "10", "each", "QUIET-HAMMER", "302.25"),  # 32.50 less 7 % = 30.225, better than 31.50
    ("globex", "USD", "1", "each", "QUIET-HAMMER", "34.99"),
    ("globex", "USD", "20", "pair", "HONEST-GLOVE-M", "136.34"),  # 7.89 less 4 % less 10 % = 6.81696 -> 6.8170
    ("globex", "USD", "19", "pair", "HONEST-GLOVE-M", "134.92"),  # 7.89 less 10 % = 7.101; 4 % begin at 20
    ("initech", "EUR", "20", "pair", "HONEST-GLOVE-M", "111.60"),  # contract 6.20 less 10 % = 5.58
    ("acme", "EUR", "50", "each", "SOBER-HELMET", "920.00"),  # 18.40, left out of the winter weeks
    ("globex", "USD", "50", "each", "SOBER-HELMET", "983.52"),  # 20.49 less 4 % = 19.6704
    ("acme", "EUR", "12.3", "metre", "CURIOUS-HOSE", "29.52"),  # 12.3 x 2.40
    ("acme", "EUR", "1", "reel", "CURIOUS-HOSE", "102.00"),
    ("acme", "EUR", "1", "box", "BRAVE-BEARING", "169.00"),  # the box's own price
    ("initech", "EUR", "1", "box", "BRAVE-BEARING", "149.00"),  # contract: 10 x 14.90
    ("globex", "USD", "1", "box", "BRAVE-BEARING", "176.90"),  # manufacturers from 10: 10 x 17.69
    ("globex", "EUR", "1000", "each", "NIMBLE-BOLT", "145.00"),  # manufacturers from 1000: 0.145
    ("acme", "EUR", "2", "pallet", "NIMBLE-BOLT", "7432.32"),  # 48000 x 0.158 = 7584.00, less 2 %
    ("initech", "EUR", "7", "each", "LOYAL-TROLLEY", "1051.36"),  # 158 less 3 % in Spain: 7 x 153.26, less 2 %
    ("acme", "EUR", "7", "each", "LOYAL-TROLLEY", "1083.88"),  # 7 x 158.00 = 1106.00, less 2 %
    ("acme", "EUR", "12", "each", "STUBBORN-GLUE", "163.20"),  # 12 x 13.60
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return folder


@pytest.fixture(scope="module")
def book(folder: Path) -> MemoryBook:
    return book_of(folder)


def asked(book: MemoryBook, who: str, currency: str, *wanted: tuple[str, str, str], at: datetime = NOON) -> Quote:
    """*wanted*: (quantity, unit, SKU)."""
    lines = tuple(LineRequest(sku=sku, quantity=quantity, unit=unit) for quantity, unit, sku in wanted)
    return quote(QuoteRequest(buyer=BUYERS[who], currency=currency, lines=lines), book=book, at=at)


def priced(book: MemoryBook, who: str, currency: str, wanted: tuple[str, str, str], at: datetime = NOON) -> PricedLine:
    [line] = asked(book, who, currency, wanted, at=at).lines
    assert isinstance(line, PricedLine), line
    return line


def test_what_is_found_in_the_book_can_be_read(folder: Path) -> None:
    found = check(content_of_folder(folder), at=NOON, buyers=BUYERS.values())

    assert {finding.severity for finding in found} == {Severity.WARNING}
    assert {finding.code for finding in found} == {"ended", "total_falls", "tier_never_reached"}
    assert len(found) <= 12
    assert all(finding.witness is not None for finding in found)


@pytest.mark.parametrize(("who", "currency", "quantity", "unit", "sku", "net"), PENCIL)
def test_named_skus_cost_what_a_pencil_says(
    book: MemoryBook, who: str, currency: str, quantity: str, unit: str, sku: str, net: str
) -> None:
    assert priced(book, who, currency, (quantity, unit, sku)).subtotal == net


def test_sizes_of_a_break_group_add_up_to_the_tier(book: MemoryBook) -> None:
    both = asked(book, "acme", "EUR", ("6", "pair", "HONEST-GLOVE-M"), ("6", "pair", "HONEST-GLOVE-L"))

    assert [line.subtotal for line in both.lines if isinstance(line, PricedLine)] == ["38.34", "38.34"]  # 6 x 6.39
    assert priced(book, "acme", "EUR", ("6", "pair", "HONEST-GLOVE-M")).subtotal == "41.04"  # 6 x 7.60 less 10 %


def test_a_coming_promotion_begins_on_its_day(book: MemoryBook) -> None:
    before = priced(book, "acme", "EUR", ("1", "each", "PATIENT-LAMP"))
    december = datetime(2026, 12, 1, tzinfo=UTC)

    assert (before.subtotal, before.valid_until) == ("89.00", december)
    assert priced(book, "acme", "EUR", ("1", "each", "PATIENT-LAMP"), at=december).subtotal == "75.65"  # less 15 %


def test_a_past_promotion_is_over_and_a_price_rise_is_announced(book: MemoryBook) -> None:
    line = priced(book, "acme", "EUR", ("5", "each", "PAPR-120"))
    new_year = datetime(2027, 1, 1, tzinfo=UTC)

    assert [step.rule for step in line.trace.steps if step.rule] == ["PUBLIC-EUR"]
    assert line.valid_until == new_year
    dearer = priced(book, "acme", "EUR", ("5", "each", "PAPR-120"), at=new_year)
    assert Decimal(dearer.subtotal) > Decimal(line.subtotal)


def test_clearance_takes_thirty_percent_off_the_lounge_but_not_off_the_armchair(book: MemoryBook) -> None:
    seat = priced(book, "acme", "EUR", ("1", "each", "LSOF-BLUE"))

    assert [step.rule for step in seat.trace.steps if step.phase == "unit"] == ["CLEARANCE-LOUNGE"]
    assert "CLEARANCE-LOUNGE" not in {
        step.rule for step in priced(book, "acme", "EUR", ("1", "each", "CRUNCHY-ARMCHAIR")).trace.steps
    }


def test_the_house_floor_stops_the_deepest_discount_without_naming_itself(book: MemoryBook) -> None:
    gloves = priced(book, "globex", "EUR", ("200", "each", "GLDI-BLUE-M"))

    [bound] = [step for step in gloves.trace.steps if step.phase == "bound"]
    assert bound.rule is None
    assert Decimal(bound.after) > Decimal(bound.before or 0)


@pytest.mark.parametrize(
    ("quantity", "unit", "sku", "reason"),
    [
        ("9", "each", "HB88-M8-40", "quantity_below_minimum"),
        ("150", "each", "WSTX-4.0-40", "quantity_not_multiple"),
        ("0.55", "metre", "CURIOUS-HOSE", "quantity_not_multiple"),
        ("0.4", "metre", "CURIOUS-HOSE", "quantity_below_minimum"),
        ("1.5", "each", "QUIET-HAMMER", "quantity_too_fine"),
        ("201", "each", "CRUNCHY-ARMCHAIR", "quantity_above_maximum"),
        ("1", "pallet", "QUIET-HAMMER", "unknown_unit"),
        ("1", "each", "LAZY-HAMMER", "unknown_sku"),
    ],
)
def test_quantities_against_the_rules_are_refused(
    book: MemoryBook, quantity: str, unit: str, sku: str, reason: str
) -> None:
    [line] = asked(book, "acme", "EUR", (quantity, unit, sku)).lines

    assert isinstance(line, RefusedLine)
    assert line.reason == reason


@pytest.mark.parametrize("who", sorted(BUYERS))
@pytest.mark.parametrize("currency", ["EUR", "USD"])
def test_every_company_gets_a_price_for_every_sku_in_every_unit(
    folder: Path, book: MemoryBook, who: str, currency: str
) -> None:
    refused = []
    for facts in content_of_folder(folder).skus:
        for unit in facts.units:
            quantity = "100" if unit.factor == "1" else "1"
            [line] = asked(book, who, currency, (quantity, unit.unit, facts.sku)).lines
            if isinstance(line, RefusedLine):
                refused.append((facts.sku, unit.unit, line.reason))

    assert refused == []


def test_the_companies_tax_ids_are_well_formed() -> None:
    tax_ids = {row["code"]: row["tax_id"] for row in COMPANIES}

    assert german_vat.is_valid(tax_ids["acme"])
    assert cif.is_valid(tax_ids["initech"].removeprefix("ES"))
