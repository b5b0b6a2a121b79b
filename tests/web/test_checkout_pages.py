"""From cart to placed order, page by page: nothing typed is lost, nothing agreed to unseen, no total moves silently."""

import re

import httpx
import pytest
import sqlalchemy as sa

from checkout.model import Order
from kernel.db import for_staff
from tests.web.conftest import Browser, PayingShop, Shop

ADDRESS = {
    "ship_to.name": "Acme goods-in",
    "ship_to.line1": "Calle del Río 1",
    "ship_to.line2": "",
    "ship_to.postal_code": "28013",
    "ship_to.city": "Madrid",
    "ship_to.region": "",
    "ship_to.country": "ES",
    "po_number": "PO-4711",
    "tax_id": "",
}
TICKED = {"agree": "yes", "authority": "yes", "business": "yes", "job_title": "Head of purchasing"}


@pytest.fixture
async def browser(paying_shop: PayingShop) -> Browser:
    return paying_shop.client()


@pytest.fixture
def shop(paying_shop: PayingShop) -> Shop:
    return paying_shop


async def fill_cart(browser: Browser, sku: str = "CRUNCHY-ARMCHAIR", quantity: str = "2") -> None:
    added = await browser.submit("/cart/lines", {"sku": sku, "quantity": quantity})
    assert added.status_code == 303, added.text


async def at_review(browser: Browser, email: str = "buyer@acme.example", **changed: str) -> httpx.Response:
    """Log in, fill the cart, type the details; the review page."""
    await browser.log_in(email)
    await fill_cart(browser)
    saved = await browser.submit("/checkout/details", {**ADDRESS, **changed}, page="/cart")
    assert saved.status_code == 303, saved.text
    assert saved.headers["location"] == "/checkout/review"
    answer = await browser.get("/checkout/review")
    assert answer.status_code == 200, answer.text
    return answer


def presentation_of(page: httpx.Response) -> str:
    found = re.search(r'name="presentation" value="([0-9a-f-]{36})"', page.text)
    assert found, "the page presents nothing"
    return found[1]


async def place(browser: Browser, page: httpx.Response, **changed: str) -> httpx.Response:
    form = {"presentation": presentation_of(page), **TICKED, **changed}
    return await browser.submit("/checkout/orders", {name: value for name, value in form.items() if value})


async def orders_of(shop: Shop) -> list[Order]:
    async with shop.services.db.begin(for_staff()) as session:
        return list((await session.scalars(sa.select(Order).order_by(Order.number))).all())


async def test_a_buyer_orders_and_is_led_to_the_payment_page(browser: Browser, paying_shop: PayingShop) -> None:
    review = await at_review(browser)
    placed = await place(browser, review)

    assert placed.status_code == 303, placed.text
    assert placed.headers["location"].startswith(paying_shop.twin.base_url)
    (order,) = await orders_of(paying_shop)
    assert order.po_number == "PO-4711"
    assert "order-" not in order.number
    page = await browser.get(f"/orders/{order.number}")
    assert page.status_code == 200, page.text
    assert "waiting for payment" in page.text
    assert "Pay now" in page.text


async def test_paying_shows_the_order_paid(browser: Browser, paying_shop: PayingShop) -> None:
    await place(browser, await at_review(browser))
    (order,) = await orders_of(paying_shop)
    (session,) = paying_shop.twin.control.objects("checkout.session")
    paid = paying_shop.twin.control.pay_at_once(session["id"])
    assert paid.outcome == "paid", paid

    back = await browser.get(
        f"/orders/{order.number}/payment/return?session_id={session['id']}", follow_redirects=False
    )

    assert back.status_code == 303, back.text
    assert back.headers["location"] == f"/orders/{order.number}"
    assert "Your payment arrived on" in (await browser.get(back.headers["location"])).text
