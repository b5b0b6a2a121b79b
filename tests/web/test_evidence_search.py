"""The legal desk finds who accepted what, takes it away as CSV, and has the ledger's custodian state it."""

import csv
import io

import pytest

from tests.web.conftest import Browser, PayingShop
from tests.web.test_checkout_pages import at_review, orders_of, place, presentation_of

LEGAL = "legal@meridian.example"


@pytest.fixture
async def number(paying_shop: PayingShop) -> str:
    """Acme accepted, then declined another cart."""
    buyer = paying_shop.client()
    await place(buyer, await at_review(buyer), job_title="=1+1")
    page = await at_review(buyer)
    declined = {"presentation": presentation_of(page), "reason": "terms", "comment": ""}
    assert (await buyer.submit("/checkout/decline", declined, page="/checkout/review")).status_code == 303
    return (await orders_of(paying_shop))[0].number


@pytest.fixture
async def lawyer(paying_shop: PayingShop) -> Browser:
    browser = paying_shop.client()
    await browser.log_in(LEGAL)
    return browser


async def rows(lawyer: Browser, query: str) -> list[dict[str, str]]:
    answer = await lawyer.get(f"/desk/evidence.csv?{query}")
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.text)))


@pytest.mark.parametrize(
    ("query", "acts"),
    [
        ("", {"accept", "decline"}),
        ("act=decline", {"decline"}),
        ("company=acme", {"accept", "decline"}),
        ("company=globex", set()),
        ("person=BUYER@acme", {"accept", "decline"}),
        ("person=nobody", set()),
        ("document=master-terms+3.1", {"accept", "decline"}),
        ("document=master-terms+2.9", set()),
        ("since=2026-11-21&until=2026-11-21", {"accept", "decline"}),
        ("until=2026-11-20", set()),
        ("since=yesterday", set()),
        ("order=T-2026-000001", {"accept"}),
        ("order=T-2026-999999", set()),
    ],
)
@pytest.mark.usefixtures("number")
async def test_what_is_asked_for_is_found_and_nothing_else(lawyer: Browser, query: str, acts: set[str]) -> None:
    assert {row["act"] for row in await rows(lawyer, query)} == acts
    assert (await lawyer.get(f"/desk/evidence?{query}")).status_code == 200


@pytest.mark.usefixtures("number")
async def test_no_cell_of_the_csv_is_a_formula(lawyer: Browser) -> None:
    (row,) = await rows(lawyer, "act=accept")

    assert row["job_title"] == "'=1+1"
    assert "Master" in row["documents"]
    assert row["ledger_row"].isdigit()


@pytest.mark.usefixtures("number")
async def test_the_custodian_states_what_the_ledger_holds(lawyer: Browser) -> None:
    for locale in ("en", "es"):
        answer = await lawyer.get(f"/desk/evidence/statement.pdf?act=accept&lang={locale}")

        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(b"%PDF-")
