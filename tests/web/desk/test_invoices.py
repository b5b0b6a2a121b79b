"""An order on terms at the desk and at its buyer's: released, seen, paid, or written off for a reason."""

import re
from html import unescape

from checkout.model import Order
from tests.web.conftest import Browser, PayingShop
from tests.web.desk.conftest import Clerk
from tests.web.desk.test_credit import ACMES, clerk_of
from tests.web.test_checkout_pages import at_review, orders_of, place


async def ordered(shop: PayingShop, clerk: Clerk) -> tuple[Browser, Order]:
    await clerk.fill(ACMES, net_days="30", limit="100000", currency="EUR", reason="Known for years")
    buyer = shop.client()
    await at_review(buyer)
    await buyer.submit("/checkout/paying", {"paying": "on_terms"}, page="/checkout/review")
    await place(buyer, await buyer.get("/checkout/review"))
    (order,) = await orders_of(shop)
    return buyer, order


async def seen(browser: Browser, path: str) -> str:
    """The page's words."""
    answer = await browser.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


async def test_an_order_is_released_and_its_invoice_paid(paying_shop: PayingShop) -> None:
    clerk = await clerk_of(paying_shop)
    buyer, order = await ordered(paying_shop, clerk)
    assert "We send the invoice when they leave; it is due 30 days after its date." in await seen(
        buyer, f"/orders/{order.number}"
    )
    assert order.number in await seen(clerk.browser, "/desk/invoices")
    released = await clerk.browser.submit(f"/desk/orders/{order.number}/release", {}, page="/desk/invoices")
    assert released.headers["location"] == f"/desk/orders/{order.number}/invoice"
    page = await seen(clerk.browser, released.headers["location"])
    assert "TWIN-0001" in page
    assert "Write" in page
    assert "to be paid by" in await seen(buyer, f"/orders/{order.number}")
    listed = await buyer.get("/account/invoices")
    (invoice,) = paying_shop.twin.control.objects("invoice")
    assert invoice["hosted_invoice_url"] in listed.text
    assert order.number in await seen(clerk.browser, "/desk/invoices")

    paid = await clerk.browser.submit(
        f"/desk/orders/{order.number}/invoice", {"action": "paid"}, page=f"/desk/orders/{order.number}/invoice"
    )
    assert paid.status_code == 303, paid.text
    assert "It is paid." in await seen(buyer, f"/orders/{order.number}")


async def test_writing_off_needs_a_reason(paying_shop: PayingShop) -> None:
    clerk = await clerk_of(paying_shop)
    _, order = await ordered(paying_shop, clerk)
    path = f"/desk/orders/{order.number}/invoice"
    await clerk.browser.submit(f"/desk/orders/{order.number}/release", {}, page="/desk/invoices")
    refused = await clerk.browser.submit(path, {"action": "write_off"}, page=path)
    assert refused.status_code == 422
    assert "Fill this in." in refused.text
    done = await clerk.browser.submit(path, {"action": "write_off", "reason": "Insolvent"}, page=path)
    assert done.status_code == 303
    assert "given up" in await seen(clerk.browser, path)
    again = await clerk.browser.submit(path, {"action": "paid"}, page=path)
    assert again.status_code == 409


async def test_a_buyer_cancels_before_the_release_and_not_after(paying_shop: PayingShop) -> None:
    clerk = await clerk_of(paying_shop)
    buyer, order = await ordered(paying_shop, clerk)
    cancelled = await buyer.submit(f"/orders/{order.number}/cancellation", {}, page=f"/orders/{order.number}")
    assert cancelled.status_code == 303
    assert "cancelled" in await seen(buyer, f"/orders/{order.number}")
    refused = await clerk.browser.submit(f"/desk/orders/{order.number}/release", {}, page="/desk/invoices")
    assert refused.status_code == 409


async def test_a_part_is_credited_and_then_all_of_it_with_the_order(paying_shop: PayingShop) -> None:
    clerk = await clerk_of(paying_shop)
    buyer, order = await ordered(paying_shop, clerk)
    path = f"/desk/orders/{order.number}/invoice"
    await clerk.browser.submit(f"/desk/orders/{order.number}/release", {}, page="/desk/invoices")
    for amount in ("", "1.234", "99999"):
        wrong = await clerk.browser.submit(
            path, {"action": "credit", "amount": amount, "reason": "Loose arm"}, page=path
        )
        assert wrong.status_code in {409, 422}, amount
    done = await clerk.browser.submit(path, {"action": "credit", "amount": "1.00", "reason": "Loose arm"}, page=path)
    assert done.status_code == 303, done.text
    assert "TWIN-0001-CN-01" in await seen(clerk.browser, path)
    assert "Credit note TWIN-0001-CN-01: €1.00" in await seen(buyer, f"/orders/{order.number}")
    done = await clerk.browser.submit(path, {"action": "cancel", "reason": "Sent back"}, page=path)
    assert done.status_code == 303, done.text
    assert "cancelled" in await seen(buyer, f"/orders/{order.number}")
