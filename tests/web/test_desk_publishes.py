"""A rule edited at the desk changes every channel at one instant, and an open cart asks before paying."""

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from html import unescape

import msgspec
import sqlalchemy as sa

from checkout.model import Order
from kernel.db import for_staff
from tests.web.api.partners import Program
from tests.web.conftest import Browser, PayingShop
from tests.web.desk.conftest import FINANCE, Clerk
from tests.web.test_checkout_pages import ADDRESS, place, presentation_of

BUYER = "buyer@acme.example"
ARMCHAIR = "CRUNCHY-ARMCHAIR"
QUANTITY = "3"
TICK = timedelta(microseconds=1)


class Prices(msgspec.Struct, frozen=True):
    """The unit price of three armchairs, as each channel has it; the cart's is of the line."""

    page: str
    why: str
    cart: str
    quote: str
    price: str
    feed: str


def all_at(each: str) -> Prices:
    line = f"{Decimal(each) * int(QUANTITY):.2f}"
    return Prices(page=each, why=line, cart=line, quote=each, price=each, feed=each)


def figure(text: str) -> str:
    return f"{Decimal(re.sub(r'[^0-9.]', '', text)):.2f}"


async def seen(browser: Browser, program: Program, sku: str) -> Prices:
    """What buyer and programs see now. All of them ask without a discount of their own: Acme has public prices."""
    page = unescape((await browser.get(f"/products/{sku}")).text)
    why = unescape((await browser.get(f"/skus/{sku}/price?quantity={QUANTITY}")).text)
    cart = unescape((await browser.get("/cart")).text)
    line = {"sku": sku, "quantity": QUANTITY}
    asked = {"currency": "EUR", "country": "DE", "lines": [line]}
    quote = (await program.post("/api/v1/quotes", json=asked)).json()
    price = (await program.get(f"/api/v1/prices/{sku}?currency=EUR&country=DE&quantity={QUANTITY}")).json()
    feed = csv.DictReader(io.StringIO((await program.get("/api/v1/feed.csv?currency=EUR&country=DE")).text))
    rung = next(row for row in feed if row["sku"] == sku)
    return Prices(
        page=figure(re.findall(r'<span class="money">([^<]+)</span>', page.split('<table class="ladder"')[1])[0]),
        why=figure(re.findall(r'<span class="money">([^<]+)</span>', why.split('class="total"')[1])[0]),
        cart=figure(re.findall(r'<span class="money">([^<]+)</span>', cart.split('class="totals"')[1])[0]),
        quote=figure(quote["lines"][0]["unit_price"]["amount"]),
        price=figure(price["price"]["unit_price"]["amount"]),
        feed=figure(rung["unit_price"]),
    )


async def test_a_rule_edited_at_the_desk_changes_all_channels_at_its_instant(paying_shop: PayingShop) -> None:
    buyer, program = paying_shop.client(), Program(paying_shop)
    clerk = Clerk(paying_shop.client())
    await clerk.browser.log_in(FINANCE)
    await buyer.log_in(BUYER)
    await buyer.submit("/cart/lines", {"sku": ARMCHAIR, "quantity": QUANTITY})
    await buyer.submit("/checkout/details", ADDRESS, page="/cart")
    review = await buyer.get("/checkout/review")
    before = await seen(buyer, program, ARMCHAIR)
    assert before == all_at(before.quote), "all channels agree to begin with"

    draft = await clerk.begin("Winter for armchairs")
    instant = paying_shop.clock.now() + timedelta(minutes=10)
    status, page, _ = await clerk.fill(f"{draft}/rule?code=WINTER-SAFETY", percent="20", categories="PPE\nSEATING")
    assert status == 303, page
    after = all_at(f"{Decimal(before.quote) * Decimal('0.8'):.2f}")
    assert f"€{after.quote}" in unescape(await clerk.get(f"{draft}/preview?sku={ARMCHAIR}")), "seen before publishing"
    assert await seen(buyer, program, ARMCHAIR) == before, "a draft changes nothing"
    await clerk.publish(draft, "As agreed with sales", instant)
    assert await seen(buyer, program, ARMCHAIR) == before, "nor does a publication before its instant"

    paying_shop.clock.set(instant - TICK)
    assert await seen(buyer, program, ARMCHAIR) == before
    paying_shop.clock.set(instant)
    assert await seen(buyer, program, ARMCHAIR) == after

    asked = await place(buyer, review)
    assert asked.status_code in {409, 422}
    assert 'id="price-changed"' in asked.text
    assert presentation_of(asked) != presentation_of(review)
    async with paying_shop.services.db.begin(for_staff()) as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Order)) == 0

    placed = await place(buyer, asked)
    assert placed.status_code == 303, placed.text
    async with paying_shop.services.db.begin(for_staff()) as session:
        order = (await session.scalars(sa.select(Order))).one()
    assert f"{order.goods.decimal}" == after.cart
    assert order.price_root == paying_shop.services.books.at(instant).root
