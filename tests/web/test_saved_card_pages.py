"""Kept cards as buyers and their admin see them, and the charge nobody answered as the clerk does."""

import re
from html import unescape

import pytest

from checkout.model import Order
from checkout.states import State
from sandbox.stripe_twin import Fault
from tests.web.conftest import Browser, PayingShop
from tests.web.desk.conftest import FINANCE
from tests.web.test_checkout_pages import at_review, orders_of, place

CHARGES = "/v1/payment_intents"


async def with_a_card(shop: PayingShop, card: str = "visa") -> Browser:
    """A buyer whose company paid an order with a card and let us keep it."""
    buyer = shop.client()
    await order_by(buyer, shop)
    (first,) = await orders_of(shop)
    attempt = (await shop.services.order_files.open(first.number)).attempts[0].attempt
    assert attempt.session_id is not None
    assert shop.twin.control.pay_at_once(attempt.session_id, card, save=True).outcome == "paid"
    await shop.services.payments.settle(first.id)
    return buyer


async def order_by(buyer: Browser, shop: PayingShop) -> Order:
    before = {order.number for order in await orders_of(shop)}
    await place(buyer, await at_review(buyer))
    (order,) = [order for order in await orders_of(shop) if order.number not in before]
    return order


async def pay_with_card(buyer: Browser, order: Order) -> tuple[int, str, str]:
    page = (await buyer.get(f"/orders/{order.number}")).text
    card = re.search(r'name="card" value="([^"]+)"', page)
    assert card is not None
    answer = await buyer.submit(f"/orders/{order.number}/payment", {"card": card[1]}, page=f"/orders/{order.number}")
    return answer.status_code, unescape(answer.text), answer.headers.get("location", "")


async def state_of(shop: PayingShop, order: Order) -> State:
    return next(each.state for each in await orders_of(shop) if each.number == order.number)


async def test_an_order_is_paid_with_the_kept_card_by_one_button(paying_shop: PayingShop) -> None:
    buyer = await with_a_card(paying_shop)
    order = await order_by(buyer, paying_shop)
    assert "with Visa ending in 4242" in (await buyer.get(f"/orders/{order.number}")).text

    status, _, location = await pay_with_card(buyer, order)

    assert (status, location) == (303, f"/orders/{order.number}")
    assert "Your payment arrived on" in (await buyer.get(location)).text
    assert await state_of(paying_shop, order) is State.PAID


@pytest.mark.parametrize(
    ("card", "status", "said"), [("declined_later", 409, "your bank declined it"), ("3ds_always", 303, "")]
)
async def test_a_bank_that_declines_or_asks_leads_to_another_way(
    paying_shop: PayingShop, card: str, status: int, said: str
) -> None:
    buyer = await with_a_card(paying_shop, card)
    order = await order_by(buyer, paying_shop)

    answered, text, location = await pay_with_card(buyer, order)

    assert answered == status
    assert said in text
    if status == 303:
        assert location.startswith(f"{paying_shop.twin.base_url}/c/pay/")
    assert await state_of(paying_shop, order) is State.PAYABLE


async def test_the_admin_removes_a_card_and_a_stranger_cannot(paying_shop: PayingShop) -> None:
    buyer = await with_a_card(paying_shop)
    account = (await buyer.get("/account")).text
    assert "Visa ending in 4242" in " ".join(account.split())
    removal = re.search(r"/account/cards/[0-9a-f-]+/removal", account)
    assert removal is not None
    stranger = paying_shop.client()
    await stranger.log_in("buyer@globex.example")
    assert (await stranger.submit(removal[0], page="/account")).status_code == 404

    assert (await buyer.submit(removal[0], page="/account")).status_code == 303

    assert "No card is kept" in (await buyer.get("/account")).text
    assert (await buyer.submit(removal[0], page="/account")).status_code == 404
    methods = paying_shop.twin.control.objects("payment_method")
    assert [method["customer"] for method in methods] == [None]


async def test_the_clerk_decides_on_a_charge_that_nobody_answered(paying_shop: PayingShop) -> None:
    buyer = await with_a_card(paying_shop)
    order = await order_by(buyer, paying_shop)
    paying_shop.twin.control.add_fault(Fault("reset", method="POST", path=CHARGES))
    status, text, _ = await pay_with_card(buyer, order)
    assert status == 409
    assert "We do not know yet whether your card was charged" in text
    page = (await buyer.get(f"/orders/{order.number}")).text
    assert "Your card is being charged" in page
    assert 'name="card"' not in page
    clerk = paying_shop.client()
    await clerk.log_in(FINANCE)
    charge = f"/desk/orders/{order.number}/charge"
    assert charge in (await clerk.get("/desk/money")).text

    looked = await clerk.submit(charge, {"step": "look"}, page=charge)
    assert looked.headers["location"] == charge
    unsaid = await clerk.submit(charge, {"step": "give_up", "note": ""}, page=charge)
    assert unsaid.status_code == 422
    given_up = await clerk.submit(charge, {"step": "give_up", "note": "Not in the dashboard"}, page=charge)
    assert given_up.status_code == 303
    again = await clerk.submit(charge, {"step": "give_up", "note": "Again"}, page=charge)

    assert again.status_code == 409
    assert (await pay_with_card(buyer, order))[0] == 303
    assert await state_of(paying_shop, order) is State.PAID


async def test_what_is_no_card_of_the_company_pays_nothing(paying_shop: PayingShop) -> None:
    buyer = await with_a_card(paying_shop)
    order = await order_by(buyer, paying_shop)
    for card in ("nonsense", "01890000-0000-7000-8000-000000000000"):
        answer = await buyer.submit(f"/orders/{order.number}/payment", {"card": card}, page=f"/orders/{order.number}")
        assert answer.status_code == 404
        assert "This card is not kept any more" in answer.text
    assert await state_of(paying_shop, order) is State.PAYABLE
