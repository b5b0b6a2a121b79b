"""Money given back at the desk: typed, checked, sent once."""

import re
from html import unescape

import pytest

from checkout.model import Order
from checkout.states import State
from tests.web.conftest import Browser, PayingShop
from tests.web.desk.conftest import FINANCE, Clerk
from tests.web.test_checkout_pages import at_review, orders_of, place


async def paid(shop: PayingShop, card: str = "visa") -> tuple[Browser, Order]:
    buyer = shop.client()
    await place(buyer, await at_review(buyer))
    (order,) = await orders_of(shop)
    session_id = (await shop.services.order_files.open(order.number)).attempts[0].attempt.session_id
    assert session_id is not None
    assert shop.twin.control.pay_at_once(session_id, card).outcome == "paid"
    return buyer, await shop.services.payments.settle(order.id)


async def at_desk(shop: PayingShop) -> Clerk:
    browser = shop.client()
    await browser.log_in(FINANCE)
    return Clerk(browser)


def fields_of(page: str) -> dict[str, str]:
    """Of the form in the middle of the page: the only one that carries a request's id."""
    form = next(form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if 'name="request_id"' in form)
    fields = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name:
            fields[name[1]] = unescape(value[1]) if value else ""
    return fields


async def send(clerk: Clerk, path: str, **typed: str) -> str:
    """Fill the form in, read what is to be checked, and send it; where that leads."""
    fields = fields_of(await clerk.get(path)) | typed | {"step": "check"}
    checked = await clerk.browser.post(path, data=fields)
    assert checked.status_code == 200, unescape(checked.text)
    assert "It cannot be called back" in checked.text
    sending = fields_of(checked.text)
    assert sending["request_id"] == fields["request_id"]
    sent = await clerk.browser.post(path, data=sending | {"step": "send"}, follow_redirects=False)
    again = await clerk.browser.post(path, data=sending | {"step": "send"}, follow_redirects=False)
    assert (sent.status_code, again.status_code) == (303, 303)
    return str(sent.headers["location"])


def at_stripe(shop: PayingShop) -> list[tuple[int, str]]:
    return [(row["amount"], row["status"]) for row in reversed(shop.twin.control.objects("refund"))]


async def test_a_part_is_given_back_once_and_the_buyer_sees_it(paying_shop: PayingShop) -> None:
    buyer, order = await paid(paying_shop)
    clerk = await at_desk(paying_shop)
    file = f"/desk/orders/{order.number}"

    led_to = await send(clerk, f"{file}/refund", amount="1.50", reason="damaged", note="One arm is loose")

    assert led_to == f"{file}#refunds"
    assert at_stripe(paying_shop) == [(150, "succeeded")]
    page = unescape(await clerk.get(file))
    assert "One arm is loose" in page
    assert "€1.50" in page
    assert "give money back" in page  # among the calls to Stripe
    theirs = unescape((await buyer.get(f"/orders/{order.number}")).text)
    assert "Sent back to you" in theirs
    assert "€1.50</span>: sent on" in theirs
    assert "One arm is loose" not in theirs
    assert "Devuelto a usted" in unescape((await buyer.get(f"/orders/{order.number}?lang=es")).text)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"amount": ""}, "Fill this in."),
        ({"amount": "a lot"}, "Write a number like"),
        ({"amount": "0"}, "This must be above 0."),
        ({"amount": "1.005"}, "Write no more decimals than EUR has."),
        ({"amount": "99999"}, "can be given back."),
        ({"reason": "whim"}, "Choose one from the list."),
        ({"reason": "order_cancelled"}, "Choose one from the list."),
        ({"note": ""}, "Fill this in."),
        ({"note": "x" * 501}, "Write at most 500 characters."),
        ({"amount": "99999", "step": "send"}, "At most"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_sent(
    paying_shop: PayingShop, typed: dict[str, str], says: str
) -> None:
    _, order = await paid(paying_shop)
    clerk = await at_desk(paying_shop)
    path = f"/desk/orders/{order.number}/refund"
    good = {"amount": "1.00", "reason": "damaged", "note": "One arm is loose", "step": "check"}

    fields = fields_of(await clerk.get(path)) | good | typed
    answer = await clerk.browser.post(path, data=fields)

    assert answer.status_code in {409, 422}
    assert says in unescape(answer.text)
    assert at_stripe(paying_shop) == []
    shown = fields_of(answer.text)
    assert shown["amount"] == fields["amount"]
    assert shown["request_id"] == fields["request_id"]


async def test_a_paid_order_is_cancelled_whole(paying_shop: PayingShop) -> None:
    buyer, order = await paid(paying_shop)
    clerk = await at_desk(paying_shop)
    file = f"/desk/orders/{order.number}"

    await send(clerk, f"{file}/cancellation", note="They ordered the wrong chairs")

    assert at_stripe(paying_shop) == [(order.total_minor, "succeeded")]
    (cancelled,) = await orders_of(paying_shop)
    assert cancelled.state is State.CANCELLED
    assert "was sent back" in unescape((await buyer.get(f"/orders/{order.number}")).text)
    assert "Only a paid order" in await clerk.get(f"{file}/cancellation")
    assert "Nothing of this order is left" in await clerk.get(f"{file}/refund")


async def test_a_refund_that_came_back_is_a_case_that_is_paid_again(paying_shop: PayingShop) -> None:
    _, order = await paid(paying_shop, "refund_pending")
    clerk = await at_desk(paying_shop)
    file = f"/desk/orders/{order.number}"
    await send(clerk, f"{file}/refund", amount="2.00", reason="price_reduced", note="As agreed")
    refund = (await paying_shop.services.order_files.open(order.number)).refunds[0]
    paying_shop.twin.control.fail_refund(str(refund.stripe_refund_id))
    await paying_shop.services.payments.refunds.go_on(refund.id)

    page = await clerk.get(file)
    link = re.search(rf'href="({file}/cases/[^"]+)"', page)
    assert link, unescape(page)
    assert "a refund did not arrive" in await clerk.get("/desk")
    await send(clerk, link[1], note="Their bank has a new card")

    assert at_stripe(paying_shop) == [(200, "failed"), (200, "pending")]
    assert "on its way back" in await clerk.get(link[1])
    unknown = await clerk.browser.get(f"{file}/cases/01890000-0000-7000-8000-000000000000")
    assert unknown.status_code == 404


async def test_only_finance_gives_money_back(paying_shop: PayingShop) -> None:
    buyer, order = await paid(paying_shop)
    support = paying_shop.client()
    await support.log_in("support@meridian.example")
    file = f"/desk/orders/{order.number}"

    page = (await support.get(file)).text

    assert f'href="{file}/refund"' not in page
    assert (await support.get(f"{file}/refund")).status_code == 404
    assert (await support.get(f"{file}/cancellation")).status_code == 404
    assert (await buyer.get(f"{file}/refund")).status_code == 404
