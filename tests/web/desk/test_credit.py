"""Finance gives a company terms at the desk; its buyers find the choice at the review."""

import re
from html import unescape

from tests.web.conftest import PayingShop
from tests.web.desk.conftest import FINANCE, Clerk, fields_of
from tests.web.test_checkout_pages import at_review, orders_of, place

ACMES = "/desk/credit/company?code=acme"


async def clerk_of(shop: PayingShop) -> Clerk:
    browser = shop.client()
    await browser.log_in(FINANCE)
    return Clerk(browser)


async def test_terms_given_at_the_desk_are_chosen_at_the_review(paying_shop: PayingShop) -> None:
    clerk = await clerk_of(paying_shop)
    assert f'href="{ACMES}"' in await clerk.get("/desk/credit?q=acme")
    status, page, _ = await clerk.fill(ACMES, net_days="30", limit="12.345", currency="EUR", reason="")
    assert status == 422
    assert "Write no more decimals than EUR has." in page
    assert "Fill this in." in page
    status, page, led_to = await clerk.fill(
        ACMES, net_days="30", limit="1000", currency="eur", reason="Known for years"
    )
    assert (status, led_to.partition("?")[0]) == (303, "/desk/credit"), page

    buyer = paying_shop.client()
    review = await at_review(buyer)
    label = re.sub(r"<[^>]+>", "", review.text.split('for="paying-terms">')[1].split("</label>")[0])
    assert unescape(label) == "Pay by invoice, net 30, €1,000.00 of €1,000.00 credit left"
    chosen = await buyer.submit("/checkout/paying", {"paying": "on_terms"}, page="/checkout/review")
    assert chosen.status_code == 303, chosen.text
    review = await buyer.get("/checkout/review")
    assert "by invoice, due 30 days after its date" in unescape(review.text)
    placed = await place(buyer, review)
    (order,) = await orders_of(paying_shop)
    assert placed.headers["location"] == f"/orders/{order.number}"
    assert "on account" in (await buyer.get(f"/orders/{order.number}")).text

    page = unescape(await clerk.get(ACMES))
    assert "Known for years" in page
    assert f"{order.total.decimal}" in page


async def test_what_a_colleague_changed_meanwhile_is_not_overwritten(paying_shop: PayingShop) -> None:
    clerk = await clerk_of(paying_shop)
    stale = fields_of(await clerk.get(ACMES), ACMES) | {"net_days": "60", "limit": "9", "reason": "Asked twice"}
    await clerk.fill(ACMES, net_days="30", limit="1000", currency="EUR", reason="First")
    answer = await clerk.browser.post(ACMES, data=stale, follow_redirects=False)
    assert answer.status_code == 409
    assert "Somebody else changed the terms" in answer.text
    status, _, _ = await clerk.fill(ACMES, action="withdraw", reason="Late for months")
    assert status == 303
    assert "withdrawn" in await clerk.get("/desk/credit")
