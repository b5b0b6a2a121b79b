"""Disputed payments at the desk: what is due, evidence that is checked before it is sent, what the buyer sees."""

import re
from html import unescape

from checkout.dispute_model import Dispute
from checkout.model import Order
from kernel.money import Money
from sandbox.stripe_twin.disputes import WINNING
from tests.web.conftest import Browser, PayingShop
from tests.web.desk.test_refunds import at_desk, at_stripe, paid, send


async def disputed(shop: PayingShop) -> tuple[Browser, Order, Dispute]:
    buyer, order = await paid(shop)
    stripe_id = shop.twin.control.dispute(str(shop.twin.control.objects("charge")[0]["id"]))
    await shop.services.payments.disputes.hear(stripe_id)
    ((dispute, _),) = await shop.services.payments.disputes.list_undecided()
    return buyer, order, dispute


async def test_evidence_is_drawn_up_from_the_acceptance_checked_and_sent_once(paying_shop: PayingShop) -> None:
    buyer, order, dispute = await disputed(paying_shop)
    clerk = await at_desk(paying_shop)
    path = f"/desk/disputes/{dispute.id}"
    assert f'href="{path}"' in await clerk.get("/desk/disputes")
    assert f'href="{path}"' in await clerk.get(f"/desk/orders/{order.number}")
    page = unescape(await clerk.get(path))
    assert f"Order {order.number} of" in page
    assert "accepted it with our terms on" in page
    assert "The order as accepted has the digest sha256:" in page

    typed = {"uncategorized_text": WINNING, "customer_name": "Acme", "step": "check"}
    checked = await clerk.browser.submit(f"{path}/evidence", typed, page=path)
    assert "It cannot be changed or added to" in unescape(checked.text)
    assert paying_shop.twin.control.objects("dispute")[0]["evidence_details"]["submission_count"] == 0
    sent = await clerk.browser.submit(f"{path}/evidence", typed | {"step": "send"}, page=path)
    assert sent.status_code == 303
    await paying_shop.services.payments.disputes.hear(dispute.stripe_dispute_id)

    page = unescape(await clerk.get(path))
    assert "The bank has decided" in page
    assert "Evidence was sent" in page
    assert "El banco ha decidido" in unescape(await clerk.get(f"{path}?lang=es"))
    theirs = unescape((await buyer.get(f"/orders/{order.number}?lang=en")).text)
    assert "disput" not in theirs
    late = await clerk.browser.submit(f"{path}/evidence", typed | {"step": "send"}, page="/desk/disputes")
    assert late.status_code == 409


async def test_a_conceded_dispute_stands_with_what_the_buyer_has_back(paying_shop: PayingShop) -> None:
    buyer, order, dispute = await disputed(paying_shop)
    clerk = await at_desk(paying_shop)
    path = f"/desk/disputes/{dispute.id}"

    asked = await clerk.browser.submit(f"{path}/concession", {"step": "check"}, page=path)
    assert "The dispute is lost at once" in unescape(asked.text)
    conceded = await clerk.browser.submit(f"{path}/concession", {"step": "send"}, page=path)
    assert conceded.status_code == 303

    theirs = unescape((await buyer.get(f"/orders/{order.number}")).text)
    assert "given back by your bank on" in theirs
    assert "Nothing of this order is left" in await clerk.get(f"/desk/orders/{order.number}/refund")


async def test_a_refund_of_a_disputed_payment_is_refused_with_what_to_do(paying_shop: PayingShop) -> None:
    _, order, _ = await disputed(paying_shop)
    clerk = await at_desk(paying_shop)
    path = f"/desk/orders/{order.number}/refund"

    typed = {"amount": "1.00", "reason": "damaged", "note": "One arm is loose", "step": "send"}
    refused = await clerk.browser.submit(path, typed, page=path)

    assert refused.status_code == 409
    assert "Answer the dispute, or concede it, under Disputes" in unescape(refused.text)
    assert at_stripe(paying_shop) == []


async def test_a_dispute_nobody_told_us_of_is_fetched_by_its_id(paying_shop: PayingShop) -> None:
    await paid(paying_shop)
    stripe_id = paying_shop.twin.control.dispute(str(paying_shop.twin.control.objects("charge")[0]["id"]))
    clerk = await at_desk(paying_shop)

    nothing = await clerk.browser.submit("/desk/disputes", {"dispute": ""}, page="/desk/disputes")
    unknown = await clerk.browser.submit("/desk/disputes", {"dispute": "du_nobody"}, page="/desk/disputes")
    found = await clerk.browser.submit("/desk/disputes", {"dispute": stripe_id}, page="/desk/disputes")

    assert (nothing.status_code, unknown.status_code, found.status_code) == (422, 404, 303)
    assert re.search(r'href="/desk/disputes/[0-9a-f-]+"', await clerk.get("/desk/disputes"))


async def test_money_of_no_order_we_know_is_given_back_at_the_desk(paying_shop: PayingShop) -> None:
    services, control = paying_shop.services, paying_shop.twin.control
    foreign = await services.gateway.create_session(
        {
            "mode": "payment",
            "ui_mode": "hosted_page",
            "line_items": [
                {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 1234, "product_data": {"name": "?"}}}
            ],
            "success_url": "http://127.0.0.1/",
        },
        key="somebody-else",
    )
    assert foreign.body is not None
    assert control.pay_at_once(foreign.body["id"]).outcome == "paid"
    seen = await services.gateway.retrieve_session(foreign.body["id"])
    assert seen is not None
    await services.payments._hold_unknown(seen, Money(1234, "EUR"))
    clerk = await at_desk(paying_shop)
    link = re.search(r'href="(/desk/money/cases/[0-9a-f-]+)"', await clerk.get("/desk/money"))
    assert link

    led_to = await send(clerk, link[1], note="Nobody's: a page made by hand")

    assert led_to == "/desk/money"
    assert at_stripe(paying_shop) == [(1234, "succeeded")]
    assert "This case is closed" in await clerk.get(link[1])
    breaks = await services.payments.reconcile(since=services.clock.now().replace(hour=0))
    assert [each for each in breaks if each.kind != "event_parked"] == []
    _, order = await paid(paying_shop)
    assert (await clerk.browser.get("/desk/money/cases/00000000-0000-7000-8000-000000000000")).status_code == 404
    assert order.number
