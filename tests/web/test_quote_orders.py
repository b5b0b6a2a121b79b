"""The pages on which a buyer orders by a signed quote."""

import json
from collections.abc import Awaitable, Callable

from tests.web.api.partners import ACME, GLOBEX, Program, key_of
from tests.web.conftest import Browser, Shop

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
