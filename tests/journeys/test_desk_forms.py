"""A clerk edits a price with the preview beside the form, and two clerks meet at one list, in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FINANCE = "finance@meridian.example"


def test_a_clerk_sees_what_is_typed_before_it_is_saved_and_both_sides_of_a_clash(visit: Visit) -> None:
    page = visit.page
    visit.go("/login?next=/desk/prices")
    page.get_by_label("E-mail").fill(FINANCE)
    page.get_by_label("Password", exact=True).fill(visit.shop.password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Title").fill("Armchairs")
    page.get_by_role("button", name="Begin", exact=True).click()
    page.wait_for_url("**/desk/prices/drafts/*")
    draft = page.url.removeprefix(visit.shop.url)

    visit.go(f"{draft}/price?list=PUBLIC-EUR&sku=CRUNCHY-ARMCHAIR&unit=each&starts=")
    live = page.locator("#live")
    expect(live).to_contain_text("0 of the prices shown change")
    page.get_by_label("Unit price, line 1").fill("224.10")
    page.get_by_label("From quantity, line 1").focus()
    expect(live).to_contain_text("-10%")
    expect(page.get_by_label("Unit price, line 1")).to_have_value("224.10")
    visit.look("desk-price")
    page.get_by_label("Unit price, line 1").fill("much")
    page.get_by_label("From quantity, line 1").focus()
    expect(live).to_contain_text("Mend what is marked")

    for path in (
        "lists",
        "limits",
        "layers",
        "rounding",
        "strategy",
        "bound",
        "quantity-rule",
        "formula?list=PUBLIC-EUR",
    ):
        visit.go(f"{draft}/{path}")
        visit.look(f"desk-{path.partition('?')[0]}")

    visit.go("/desk/prices/segments?q=acme")
    visit.look("desk-segments")
    page.get_by_role("link", name="Acme Maschinenbau GmbH").first.click()
    page.get_by_role("checkbox", name="manufacturing").check()
    expect(live).to_contain_text("of the prices shown change")
    expect(live).to_contain_text("MANUFACTURING-EUR")
    page.get_by_role("button", name="See what it does").click()
    visit.look("desk-segments-company")

    path = f"{draft}/list?code=CONTRACT-INITECH"
    visit.go(path)
    other = page.context.new_page()
    other.goto(visit.shop.url + path)
    other.get_by_label("Title in English").fill("Initech, agreed")
    other.get_by_role("button", name="Save in the draft").click()
    other.wait_for_url("**/drafts/*")
    page.get_by_label("Priority").fill("7")
    page.get_by_role("button", name="Save in the draft").click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody else changed this meanwhile")
    expect(page.get_by_label("Title in English")).to_have_value("Initech, agreed")
    visit.look("desk-clash")
    page.get_by_role("button", name="Save in the draft").click()
    page.wait_for_url("**/drafts/*")
    expect(page.locator("main")).to_contain_text("Initech, agreed")
    expect(page.locator("main")).to_contain_text("Priority")
    visit.look("desk-draft")
    visit.go("/desk/prices/history?sku=CRUNCHY-ARMCHAIR")
    visit.look("desk-sku-history")
