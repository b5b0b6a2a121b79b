"""The pages on which a buyer orders by a signed quote."""

import json
from collections.abc import Awaitable, Callable

from tests.agreements.legal import make_staff, publish_version
from tests.web.api.partners import ACME, GLOBEX, Program, key_of
from tests.web.conftest import Browser, Shop
from tests.web.test_checkout_pages import ADDRESS

LINES = [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "12"}]
Quoted = Callable[..., Awaitable[str]]


async def quoted(shop: Shop, email: str = ACME) -> str:
    """The id of a quote signed for the person's company, for delivery to Spain."""
    program = Program(shop, await key_of(shop, email))
    answer = await program.post("/api/v1/signed-quotes", json={"lines": LINES, "country": "ES"})
    return str(json.loads(answer.content)["id"])


async def test_a_buyer_puts_a_quote_into_the_cart_sees_it_and_can_leave_it(shop: Shop, browser: Browser) -> None:
    quote_id = await quoted(shop)
    await browser.log_in(ACME)

    taken = await browser.submit("/cart/quote", {"quote": f" {quote_id} "}, page="/cart")
    page = (await browser.get("/cart")).text
    dropped = await browser.submit("/cart/quote/removal", page="/cart")
    after = (await browser.get("/cart")).text

    assert (taken.status_code, dropped.status_code) == (303, 303)
    assert f"signed quote {quote_id}" in page
    assert 'value="12"' in page
    assert quote_id not in after
    assert 'value="12"' in after


async def test_a_number_that_is_none_or_another_companys_is_said_to_be_none(shop: Shop, browser: Browser) -> None:
    theirs = await quoted(shop, GLOBEX)
    await browser.log_in(ACME)

    for number in ("", "nonsense", "019aa695-3c60-7000-8000-000000000001", theirs):
        answer = await browser.submit("/cart/quote", {"quote": number}, page="/cart")
        assert answer.status_code == 422
        assert "Your company has no signed quote of this number." in answer.text


async def test_a_visitor_is_not_asked_for_a_quote(shop: Shop, browser: Browser) -> None:
    assert "signed quote" not in (await browser.get("/cart")).text
    assert (await browser.submit("/cart/quote", {"quote": await quoted(shop)}, page="/cart")).status_code == 303


async def test_an_order_by_a_quote_is_asked_for_the_versions_it_was_issued_with(shop: Shop, browser: Browser) -> None:
    quote_id = await quoted(shop)
    shop.clock.advance(minutes=1)
    author, approver = [await make_staff(shop.services.db, shop.clock.now()) for _ in range(2)]
    await publish_version(shop.services.publishing, author, approver)
    shop.clock.advance(minutes=1)
    await browser.log_in(ACME)
    await browser.submit("/cart/quote", {"quote": quote_id}, page="/cart")
    saved = await browser.submit("/checkout/details", ADDRESS, page="/cart")
    assert saved.status_code == 303, saved.text

    by_quote = await browser.get("/checkout/review")
    assert "Master Terms of Sale v3.1" in by_quote.text
    assert "Master Terms of Sale v4.0" not in by_quote.text
    await shop.services.publishing.withdraw("master-terms", "3.1", reason="A wrong court", by=author)
    shop.clock.advance(minutes=1)
    assert "Master Terms of Sale v4.0" in (await browser.get("/checkout/review")).text
