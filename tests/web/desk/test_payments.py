"""Payments, repeated calls and Stripe's events, looked up at the desk."""

from html import unescape

from tests.web.conftest import PayingShop
from tests.web.desk.test_refunds import at_desk, paid


async def test_a_payment_is_found_by_its_order_or_by_stripes_id_and_leads_to_its_order(paying_shop: PayingShop) -> None:
    _, order = await paid(paying_shop)
    clerk = await at_desk(paying_shop)
    (paying,) = (await paying_shop.services.order_files.open(order.number)).attempts
    link = f'href="/desk/orders/{order.number}"'

    assert link in await clerk.get("/desk/payments")
    for wanted in (order.number, paying.attempt.session_id, paying.attempt.payment_intent_id):
        assert link in await clerk.get(f"/desk/payments?q={wanted}&state=succeeded")
    assert "No payment is like this" in await clerk.get(f"/desk/payments?q={order.number}&state=dead")
    assert "every call was answered at its first try" in await clerk.get("/desk/payments/calls")
    assert "Ningún pago es así" in unescape(await clerk.get("/desk/payments?q=nothing&lang=es"))


async def test_a_page_or_search_that_cannot_be_shows_the_first_page_or_nothing(paying_shop: PayingShop) -> None:
    clerk = await at_desk(paying_shop)

    for path in ("/desk/payments", "/desk/payments/calls", "/desk/payments/events"):
        for query in ("before=nonsense", "state=nonsense", "q=%00", "q=" + "x" * 500, "before=%00"):
            answer = await clerk.browser.get(f"{path}?{query}")
            assert answer.status_code in {200, 400}, answer.text
            assert "%00" in query or answer.status_code == 200
