"""From cart to placed order, page by page: nothing typed is lost, nothing agreed to unseen, no total moves silently."""

import re
from decimal import Decimal

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from accounts.principal import Principal
from agreements.model import Decline
from checkout.model import Order
from kernel.db import for_staff
from kernel.money import Money
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


async def test_amount_tampered_in_form_is_ignored(browser: Browser, paying_shop: PayingShop) -> None:
    """Whatever a browser adds about money, from the cart to the order: prices are nobody's but the book's."""
    lies = {
        "unit_price": "0.01", "price": "0.01", "net": "0.01", "goods": "0.01", "total": "0.01", "total_minor": "1",
        "amount": "1", "freight": "0", "tax": "0", "tax_percent": "0", "currency": "JPY", "discount": "99",
        "price_root": "sha256:" + "0" * 64, "priced_at": "2020-01-01T00:00:00Z", "segments": "manufacturing",
    }  # fmt: skip
    honest = await at_review(browser, "buyer@acme.example")
    expected = await last_order(paying_shop, await place(browser, honest))

    liar = paying_shop.client()
    await liar.log_in("buyer@acme.example")
    added = await liar.submit("/cart/lines", {**lies, "sku": "CRUNCHY-ARMCHAIR", "quantity": "2"})
    assert added.status_code == 303, added.text
    saved = await liar.submit("/checkout/details", {**lies, **ADDRESS}, page="/cart")
    assert saved.status_code == 303, saved.text
    placed = await place(liar, await liar.get("/checkout/review"), **lies)
    order = await last_order(paying_shop, placed)

    assert order.number != expected.number
    assert (order.total, order.goods, order.freight, order.tax) == (
        expected.total, expected.goods, expected.freight, expected.tax,
    )  # fmt: skip
    assert order.price_root == expected.price_root
    asked = [session["amount_total"] for session in paying_shop.twin.control.objects("checkout.session")]
    assert asked == [expected.total_minor, expected.total_minor]


async def last_order(shop: PayingShop, placed: httpx.Response) -> Order:
    assert placed.status_code == 303, placed.text
    return (await orders_of(shop))[-1]


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


async def test_submitting_twice_makes_one_order(browser: Browser, paying_shop: PayingShop) -> None:
    review = await at_review(browser)

    first, second = await place(browser, review), await place(browser, review)

    assert first.headers["location"] == second.headers["location"]
    assert len(await orders_of(paying_shop)) == 1


async def test_posted_amounts_are_ignored(browser: Browser, paying_shop: PayingShop) -> None:
    review = await at_review(browser)
    shown = (await paying_shop.services.carts.priced(await _principal(browser, paying_shop))).totals
    assert shown

    await place(browser, review, total="0.01", total_minor="1", currency="JPY", price="0.01", order_digest="x")

    (order,) = await orders_of(paying_shop)
    (session,) = paying_shop.twin.control.objects("checkout.session")
    assert order.total == shown.total
    assert session["amount_total"] == shown.total.minor


@pytest.mark.parametrize(
    ("left_out", "named"),
    [("agree", "agree"), ("authority", "authority"), ("business", "business"), ("job_title", "job_title")],
)
async def test_what_is_not_ticked_is_named_and_nothing_is_ticked_for_the_buyer(
    browser: Browser, paying_shop: PayingShop, left_out: str, named: str
) -> None:
    review = await at_review(browser)
    assert " checked" not in review.text

    answer = await place(browser, review, **{left_out: ""})

    assert answer.status_code == 422
    assert f'id="{named}-error"' in answer.text
    assert " checked" not in answer.text
    assert not await orders_of(paying_shop)


@pytest.mark.parametrize("presentation", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
async def test_an_act_that_cites_nothing_we_showed_is_shown_afresh(
    browser: Browser, paying_shop: PayingShop, presentation: str
) -> None:
    review = await at_review(browser)

    answer = await place(browser, review, presentation=presentation)

    assert answer.status_code == 409
    assert "Nothing was ordered" in answer.text
    assert not await orders_of(paying_shop)


async def test_a_cart_changed_in_another_tab_is_shown_afresh(browser: Browser, paying_shop: PayingShop) -> None:
    review = await at_review(browser)
    await fill_cart(browser, "QUIET-HAMMER")

    answer = await place(browser, review)

    assert answer.status_code == 409
    assert "QUIET-HAMMER" in answer.text
    assert not await orders_of(paying_shop)


async def test_a_total_that_moved_after_a_publication_is_shown_old_and_new_and_asked_again(
    browser: Browser, paying_shop: PayingShop
) -> None:
    review = await at_review(browser)
    before = await _total(browser, paying_shop)
    await _publish_dearer_armchairs(paying_shop)
    after = await _total(browser, paying_shop)
    assert after != before

    asked = await place(browser, review)

    assert asked.status_code == 409
    assert "The total has changed since you saw it" in asked.text
    assert _shown(before) in asked.text
    assert _shown(after) in asked.text
    assert not await orders_of(paying_shop)
    placed = await place(browser, asked)
    assert placed.status_code == 303
    assert [order.total for order in await orders_of(paying_shop)] == [after]


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("ship_to.name", ""),
        ("ship_to.line1", "x" * 101),
        ("ship_to.postal_code", ""),
        ("ship_to.city", "a\u202eb"),
        ("ship_to.country", "XX"),
        ("po_number", "p" * 61),
        ("tax_id", "DE1"),
    ],
)
async def test_details_that_cannot_be_are_named_and_kept(browser: Browser, field: str, typed: str) -> None:
    await browser.log_in("buyer@acme.example")
    await fill_cart(browser)

    answer = await browser.submit("/checkout/details", {**ADDRESS, field: typed}, page="/cart")

    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert f'href="#{field}"' in answer.text
    assert 'value="Calle del Río 1"' in answer.text or field == "ship_to.line1"


async def test_the_totals_follow_the_typed_country(browser: Browser) -> None:
    await fill_cart(browser)

    answer = await browser.submit(
        "/checkout/details", {**ADDRESS, "ship_to.country": "CH", "show": "yes"}, page="/cart"
    )

    assert answer.status_code == 200
    assert "This is an export" in answer.text
    assert 'value="Acme goods-in"' in answer.text


@pytest.mark.parametrize("path", ["/checkout/details", "/checkout/review"])
async def test_an_empty_cart_has_no_checkout(browser: Browser, path: str) -> None:
    await browser.log_in("buyer@acme.example")

    assert (await browser.get(path, follow_redirects=False)).headers["location"] == "/cart"


async def test_a_guest_is_led_to_sign_up_and_back(browser: Browser) -> None:
    await fill_cart(browser)
    await browser.submit("/checkout/details", {**ADDRESS, "email": "new@hooli.example"}, page="/cart")

    answer = await browser.get("/checkout/review", follow_redirects=False)

    assert answer.headers["location"] == "/signup?next=/checkout/review"
    page = (await browser.get(answer.headers["location"])).text
    assert 'value="new@hooli.example"' in page
    assert 'name="next" value="/checkout/review"' in page


async def test_whoever_may_not_sign_is_told_who_may(browser: Browser) -> None:
    await browser.log_in("clerk@acme.example")
    await fill_cart(browser)
    await browser.submit("/checkout/details", ADDRESS, page="/cart")

    answer = await browser.get("/checkout/review")

    assert answer.url.path == "/checkout/approval"
    assert "Send for approval" in answer.text
    assert "buyer@acme.example" in answer.text


async def test_declining_keeps_the_cart_and_the_reason(browser: Browser, paying_shop: PayingShop) -> None:
    review = await at_review(browser)
    form = {"presentation": presentation_of(review), "reason": "terms", "comment": "Warranty too short"}

    assert (await browser.submit("/checkout/decline", {**form, "reason": ""}, page="/cart")).status_code == 422
    declined = await browser.submit("/checkout/decline", form, page="/cart")

    assert declined.headers["location"] == "/checkout/declined"
    async with paying_shop.services.db.begin(for_staff()) as session:
        assert (await session.scalars(sa.select(Decline.comment))).all() == ["Warranty too short"]
    assert "CRUNCHY-ARMCHAIR" in (await browser.get("/cart")).text


async def test_the_legal_teams_link_shows_the_terms_without_the_address(
    browser: Browser, paying_shop: PayingShop
) -> None:
    review = await at_review(browser)
    made = await browser.submit("/checkout/legal-review", {"presentation": presentation_of(review)}, page="/cart")
    link = re.search(r"/legal-review/[\w-]+", made.text)
    assert link

    page = await paying_shop.client().get(link[0])

    assert page.status_code == 200
    assert "Master Terms" in page.text
    assert "CRUNCHY-ARMCHAIR" in page.text
    assert "Calle del Río" not in page.text
    assert (await paying_shop.client().get("/legal-review/unknown")).status_code == 404


async def test_the_review_is_there_in_spanish_with_the_spanish_button(browser: Browser) -> None:
    await at_review(browser)

    page = (await browser.get("/checkout/review?lang=es")).text

    assert "Pedido con obligación de pago" in page
    assert "Revise su pedido" in page


async def _principal(browser: Browser, shop: Shop) -> Principal:
    return await shop.services.accounts.authenticate(browser.cookies["tarifa_8000"])


async def _total(browser: Browser, shop: Shop) -> Money:
    totals = (await shop.services.carts.priced(await _principal(browser, shop))).totals
    assert totals
    return totals.total


def _shown(total: Money) -> str:
    return f"€{total.decimal}"


async def _publish_dearer_armchairs(shop: Shop) -> None:
    """Publish every row of the SKU with a tenth on top, and wait until it holds."""
    pricing = shop.services.pricing
    draft = await pricing.open_draft(title="Dearer armchairs", by=None)
    rows = await pricing.list_leaves(draft.id, "row", sku="CRUNCHY-ARMCHAIR")
    assert rows
    for row in rows:
        content = msgspec.to_builtins(row.content)
        for tier in content["tiers"]:
            tier["unit_price"] = f"{Decimal(tier['unit_price']) * Decimal('1.1'):.2f}"
        await pricing.put_change(draft.id, "row", row.key, content, by=None, expected=row.seen)
    published = await pricing.publish(draft.id, by=None, acknowledge="As meant")
    shop.clock.set(published.effective_at)
