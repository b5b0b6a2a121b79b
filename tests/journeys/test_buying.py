"""Whole journeys in a real browser, from search to paid order."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Shop, Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VISA = "4242 4242 4242 4242"
DECLINED = "4000 0000 0000 0002"
SKU = "CRUNCHY-ARMCHAIR"


def put_into_cart(page: Page, visit: Visit, quantity: str = "3") -> None:
    visit.go("/quick-order")
    page.get_by_label("List").fill(f"{SKU} {quantity}")
    page.get_by_role("button", name="Add to cart").click()
    page.wait_for_url("**/cart")


def fill_details(page: Page, *, name: str = "Acme goods-in") -> None:
    page.get_by_label("Company or person").fill(name)
    page.get_by_label("Street and number").fill("Calle del Río 1")
    page.get_by_label("Postcode").fill("28013")
    page.get_by_label("Town").fill("Madrid")
    page.get_by_label("Country", exact=True).select_option("ES")
    page.get_by_label("Your PO number").fill("PO-4711")


def agree(page: Page, *, job_title: str = "Head of purchasing") -> None:
    for box in ("agree", "authority", "business"):
        assert not page.locator(f"#{box}").is_checked(), f"{box} was ticked before anybody ticked it"
        page.locator(f"#{box}").check()
    page.get_by_label("Your job title").fill(job_title)


def place(page: Page, shop: Shop) -> None:
    page.get_by_role("button", name="Place order - obligation to pay").click()
    page.wait_for_url(f"{shop.twin_url}/**")


def pay(page: Page, number: str) -> None:
    page.locator("[name=number]").fill(number)
    page.locator("[name=expiry]").fill("12 / 34")
    page.locator("[name=cvc]").fill("123")
    page.locator("[name=name]").fill("Acme buyer")
    page.locator("button.pay").click()


def test_a_buyer_of_acme_searches_asks_why_agrees_and_pays(visit: Visit) -> None:
    page, shop = visit.page, visit.shop
    visit.go("/")
    visit.look("home")
    visit.log_in("buyer@acme.example")
    page.get_by_label("Search by SKU or words").fill("crunchy armchair")
    page.get_by_role("search").get_by_role("button").click()
    visit.look("search")
    page.get_by_role("main").get_by_role("link", name=re.compile("armchair", re.IGNORECASE)).first.click()
    visit.look("product")
    visit.portray("product")
    visit.go(f"/skus/{SKU}/price?quantity=12")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Why this price?")
    visit.look("why")
    visit.portray("why")
    put_into_cart(page, visit)
    visit.look("cart")
    page.locator("a[href='/checkout/details']").click()
    page.get_by_label("Town").fill("")
    page.get_by_label("Street and number").fill("")
    page.get_by_role("button", name="Go on to review").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    visit.look("details-error")
    fill_details(page)
    visit.look("details")
    page.get_by_role("button", name="Go on to review").click()
    page.wait_for_url("**/checkout/review")
    visit.look("review")
    visit.portray("review", "form[action='/checkout/orders']")
    page.get_by_role("button", name="Place order - obligation to pay").click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    visit.look("review-error")
    agree(page)
    place(page, shop)
    pay(page, VISA)
    page.wait_for_url(f"{shop.url}/orders/T-*")
    expect(page.get_by_role("heading", level=1)).to_contain_text("paid")
    expect(page.get_by_role("main")).to_contain_text("Your payment arrived on")
    visit.look("order-paid")
    page.get_by_role("link", name="Receipt", exact=True).click()
    expect(page.get_by_text("holds").first).to_be_visible()
    expect(page.get_by_text("fails")).to_have_count(0)
    visit.look("receipt")
    visit.go("/orders")
    visit.look("orders")
    visit.go("/documents")
    visit.look("documents")
    page.get_by_role("main").get_by_role("link").first.click()
    visit.look("document")
    visit.go("/account")
    visit.look("account")


def test_the_same_works_without_javascript(visit_without_scripts: Visit) -> None:
    visit = visit_without_scripts
    page, shop = visit.page, visit.shop
    visit.log_in("buyer@globex.example")
    page.get_by_label("Search by SKU or words").fill("crunchy armchair")
    page.get_by_role("search").get_by_role("button").click()
    put_into_cart(page, visit)
    page.locator("a[href='/checkout/details']").click()
    fill_details(page, name="Globex goods-in")
    page.get_by_label("Country", exact=True).select_option("PT")
    page.get_by_role("button", name="Show freight and tax").click()
    expect(page.locator("#totals")).to_contain_text("Portugal")
    page.get_by_label("Country", exact=True).select_option("ES")
    page.get_by_role("button", name="Go on to review").click()
    agree(page)
    place(page, shop)
    pay(page, VISA)
    page.wait_for_url(f"{shop.url}/orders/T-*")
    expect(page.get_by_role("main")).to_contain_text("Your payment arrived on")


def test_a_declined_card_leaves_the_order_for_another_card(visit: Visit) -> None:
    page, shop = visit.page, visit.shop
    visit.log_in("buyer@acme.example")
    put_into_cart(page, visit, "1")
    page.locator("a[href='/checkout/details']").click()
    fill_details(page)
    page.get_by_role("button", name="Go on to review").click()
    agree(page)
    place(page, shop)
    pay(page, DECLINED)
    expect(page.get_by_text(re.compile("declined", re.IGNORECASE)).first).to_be_visible()
    page.get_by_role("link", name="Back to the shop").click()
    page.wait_for_url(f"{shop.url}/orders/T-*")
    number = page.url.split("/orders/")[1].split("?")[0]
    expect(page.get_by_role("main")).to_contain_text("nothing was charged")
    visit.look("order-unpaid")

    page.get_by_role("button", name="Pay now").click()
    page.wait_for_url(f"{shop.twin_url}/**")
    pay(page, VISA)
    page.wait_for_url(f"{shop.url}/orders/{number}")

    expect(page.get_by_role("main")).to_contain_text("Your payment arrived on")


def test_a_new_company_signs_up_inside_checkout_and_buys(visit: Visit) -> None:
    page, shop = visit.page, visit.shop
    put_into_cart(page, visit)
    page.locator("a[href='/checkout/details']").click()
    fill_details(page, name="Hooli Tools")
    page.get_by_label("Your e-mail at work").fill("buyer@hooli.example")
    page.get_by_role("button", name="Go on to review").click()
    page.wait_for_url("**/signup?next=/checkout/review")
    visit.look("signup")
    assert page.get_by_label("Your e-mail at work").input_value() == "buyer@hooli.example"
    assert page.get_by_label("Company name").input_value() == "Hooli Tools"
    page.get_by_label("Your name").fill("Hooli buyer")
    page.get_by_label("Password", exact=True).fill("four unrelated words here")
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url("**/verify-email?next=/checkout/review")
    visit.look("verify")
    page.get_by_label("Code").fill(_code(visit, "buyer@hooli.example"))
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url("**/checkout/review")
    expect(page.get_by_role("main")).to_contain_text("Hooli Tools")
    agree(page, job_title="Owner")
    place(page, shop)
    pay(page, VISA)
    page.wait_for_url(f"{shop.url}/orders/T-*")

    expect(page.get_by_role("main")).to_contain_text("Your payment arrived on")


def _code(visit: Visit, address: str) -> str:
    """The code in the letter, which a job writes a moment after the page is there."""
    for _ in range(100):
        for letter in reversed(visit.shop.letters_to(address)):
            found = re.search(r"\b(\d{3}) ?(\d{3})\b", letter)
            if found:
                return found[1] + found[2]
        visit.page.wait_for_timeout(200)
    raise AssertionError(f"no code came to {address}")
