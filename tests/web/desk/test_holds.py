"""Amounts held on a card, as the buyer and the clerk see them."""

from checkout.model import Order
from checkout.states import State
from kernel.money import Money
from tests.web.conftest import Browser, PayingShop
from tests.web.desk.conftest import FINANCE
from tests.web.test_checkout_pages import at_review, orders_of, place


async def held(shop: PayingShop) -> tuple[Browser, Order]:
    shop.services.payments.capture_later_from = {"EUR": Money.parse("1", "EUR")}
    buyer = shop.client()
    await place(buyer, await at_review(buyer))
    (order,) = await orders_of(shop)
    session_id = (await shop.services.order_files.open(order.number)).attempts[0].attempt.session_id
    assert session_id is not None
    assert shop.twin.control.pay_at_once(session_id).outcome == "authorized"
    return buyer, await shop.services.payments.settle(order.id)


async def at_desk(shop: PayingShop) -> Browser:
    clerk = shop.client()
    await clerk.log_in(FINANCE)
    return clerk


async def test_the_clerk_takes_what_is_held_once(paying_shop: PayingShop) -> None:
    buyer, order = await held(paying_shop)
    page = (await buyer.get(f"/orders/{order.number}")).text
    assert "are reserved on your card and nothing has been charged yet" in page
    clerk, desk = await at_desk(paying_shop), f"/desk/orders/{order.number}"
    assert f"{desk}#held" in (await clerk.get("/desk/money")).text
    assert "Held on the card, not taken yet" in (await clerk.get(desk)).text

    taken = await clerk.submit(f"{desk}/capture", page=desk)
    again = await clerk.submit(f"{desk}/capture", page=desk)

    assert (taken.status_code, taken.headers["location"]) == (303, desk)
    assert again.status_code == 409
    assert "Nothing is held for this order any more" in again.text
    assert [each.state for each in await orders_of(paying_shop)] == [State.PAID]
    assert "#held" not in (await clerk.get("/desk/money")).text


async def test_the_clerk_lets_it_go_and_the_order_is_cancelled(paying_shop: PayingShop) -> None:
    _, order = await held(paying_shop)
    clerk, desk = await at_desk(paying_shop), f"/desk/orders/{order.number}"

    gone = await clerk.submit(f"{desk}/hold-release", page=desk)
    again = await clerk.submit(f"{desk}/hold-release", page=desk)

    assert (gone.status_code, again.status_code) == (303, 409)
    assert [each.state for each in await orders_of(paying_shop)] == [State.CANCELLED]
    assert [intent["status"] for intent in paying_shop.twin.control.objects("payment_intent")] == ["canceled"]


async def test_the_buyer_may_cancel_while_it_is_held(paying_shop: PayingShop) -> None:
    buyer, order = await held(paying_shop)
    path = f"/orders/{order.number}"

    assert (await buyer.submit(f"{path}/cancellation", page=path)).status_code == 303

    assert [each.state for each in await orders_of(paying_shop)] == [State.CANCELLED]
