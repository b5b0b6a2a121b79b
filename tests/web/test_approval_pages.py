"""A clerk asks, an approver orders: page by page."""

import re

import httpx
import pytest
import sqlalchemy as sa

from checkout.approval_model import ApprovalRequest, ApprovalState
from checkout.model import Order
from kernel.db import for_staff
from tests.web.conftest import Browser, PayingShop
from tests.web.test_checkout_pages import ADDRESS, TICKED, fill_cart, presentation_of

SENT = re.compile(r"/account/approvals/[0-9a-f-]{36}")


async def sent(browser: Browser) -> str:
    """Acme's clerk sends two armchairs; the request's address."""
    await browser.log_in("clerk@acme.example")
    await fill_cart(browser)
    await browser.submit("/checkout/details", ADDRESS, page="/cart")
    answer = await browser.submit("/checkout/approval", {"note": "For the <new> office"}, page="/checkout/approval")
    assert answer.status_code == 303, answer.text
    assert SENT.fullmatch(answer.headers["location"])
    return str(answer.headers["location"])


async def approver(shop: PayingShop) -> Browser:
    browser = shop.client()
    await browser.log_in("buyer@acme.example")
    return browser


async def requests_of(shop: PayingShop) -> list[ApprovalRequest]:
    async with shop.services.db.begin(for_staff()) as session:
        return list((await session.scalars(sa.select(ApprovalRequest))).all())


async def test_the_clerk_asks_and_the_approver_places_it(paying_shop: PayingShop) -> None:
    clerk, boss = paying_shop.client(), await approver(paying_shop)
    path = await sent(clerk)
    waiting = await clerk.get(path)
    assert "Take it back to change it" in waiting.text
    assert "Approve and place order" not in waiting.text
    assert "This cart waits for a colleague of yours." in (await clerk.get("/cart")).text
    assert path in (await boss.get("/account/approvals")).text
    assert "Approvals (1)" in (await boss.get("/account")).text

    page = await boss.get(path)
    assert "For the &lt;new&gt; office" in page.text
    assert '<button type="submit" class="big">Approve and place order - obligation to pay</button>' in page.text
    assert "checked" not in page.text
    unticked = await boss.submit(f"{path}/order", {"presentation": presentation_of(page)})
    assert unticked.status_code == 422
    assert "Tick this box to go on." in unticked.text
    placed = await boss.submit(f"{path}/order", {"presentation": presentation_of(unticked), **TICKED})

    assert placed.status_code == 303, placed.text
    assert placed.headers["location"].startswith(paying_shop.twin.base_url)
    async with paying_shop.services.db.begin(for_staff()) as session:
        number = await session.scalar(sa.select(Order.number))
    order = (await clerk.get(f"/orders/{number}")).text
    assert "Asked by" in order
    assert re.search(r"Approved and placed by</dt><dd>Acme buyer,", order)


async def test_a_rejection_needs_a_reason_and_reaches_the_clerk(paying_shop: PayingShop) -> None:
    clerk, boss = paying_shop.client(), await approver(paying_shop)
    path = await sent(clerk)

    assert (await boss.submit(f"{path}/rejection", {"note": ""})).status_code == 422
    assert (await boss.submit(f"{path}/rejection", {"note": "One is enough"})).status_code == 303

    seen = (await clerk.get(path)).text
    assert "One is enough" in seen
    assert "not approved" in seen
    assert "CRUNCHY-ARMCHAIR" in (await clerk.get("/cart")).text


async def test_changing_the_cart_takes_the_request_back(paying_shop: PayingShop) -> None:
    clerk, boss = paying_shop.client(), await approver(paying_shop)
    path = await sent(clerk)
    shown = await boss.get(path)
    assert (await clerk.get("/checkout/review", follow_redirects=False)).headers["location"] == "/account/approvals"

    await fill_cart(clerk, quantity="1")
    late = await boss.submit(f"{path}/order", {"presentation": presentation_of(shown), **TICKED})

    assert late.status_code == 409
    assert "This request does not wait any more" in late.text
    assert [each.state for each in await requests_of(paying_shop)] == [ApprovalState.WITHDRAWN]


async def test_strangers_and_askers_get_no_button(paying_shop: PayingShop) -> None:
    clerk, stranger = paying_shop.client(), paying_shop.client()
    path = await sent(clerk)
    await stranger.log_in("buyer@globex.example")

    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.submit(f"{path}/rejection", {"note": "no"})).status_code == 404
    own = await clerk.submit(f"{path}/order", {"presentation": str(path[-36:]), **TICKED})
    assert own.status_code == 409
    assert "somebody else of your company has to approve it" in own.text


async def policy(browser: Browser, **fields: str | list[str]) -> httpx.Response:
    return await browser.submit("/account/policy", {"wait_days": "7", **fields}, page="/account/policy")


async def test_an_administrator_writes_the_policy_and_it_holds(paying_shop: PayingShop) -> None:
    boss = await approver(paying_shop)
    refused = await policy(boss, approval="above", approval_above="", wait_days="90", copies="nobody")
    assert refused.status_code == 422
    for said in ("Write an amount above which orders need approval.", "Choose from 1 to 30 days.", "name@company"):
        assert said in refused.text
    assert (await policy(boss, approval="above", approval_above="-1")).status_code == 422

    assert (await policy(boss, approval="above", approval_above="9" * 18)).status_code == 422
    assert (await policy(boss, approval="above", approval_above="100.00", copies="a@acme.example")).status_code == 303
    page = (await boss.get("/account/policy")).text
    assert re.search(r'value="above" checked', page)
    assert 'value="100.00"' in page
    assert "a@acme.example" in page

    await fill_cart(boss)
    await boss.submit("/checkout/details", ADDRESS, page="/cart")
    own = await boss.get("/checkout/review")
    assert own.url.path == "/checkout/approval"
    assert "A signatory of your company has to place this order" in own.text, "nobody else could approve"


async def test_the_policy_is_the_administrators(paying_shop: PayingShop) -> None:
    clerk = paying_shop.client()
    await clerk.log_in("clerk@acme.example")

    assert (await clerk.get("/account/policy")).status_code == 404
    assert (await clerk.submit("/account/policy", {"approval": "never"}, page="/cart")).status_code == 404


@pytest.mark.parametrize("path", ["/account/approvals", "/account/policy", "/checkout/approval"])
async def test_the_pages_speak_spanish(paying_shop: PayingShop, path: str) -> None:
    boss = await approver(paying_shop)
    await fill_cart(boss)
    await boss.submit("/checkout/details", ADDRESS, page="/cart")
    await policy(boss, approval="always")

    page = await boss.get(f"{path}?lang=es")

    assert page.status_code == 200
    assert 'lang="es"' in page.text
    assert "pproval" not in re.sub(r"<[^>]*>", "", page.text)
