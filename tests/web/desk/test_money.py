"""Where money needs a person, at the desk."""

import re
from html import unescape
from pathlib import Path

import pytest

from checkout.model import StripeEvent
from kernel.db import for_staff
from tests.web.conftest import PayingShop
from tests.web.desk.test_refunds import at_desk, paid
from web.desk.money import MEANINGS

ROOT = Path(__file__).parents[3]


def test_every_kind_of_break_says_what_it_means_and_what_to_do() -> None:
    sources = [
        (ROOT / "checkout" / name).read_text(encoding="utf-8")
        for name in ("reconciliation.py", "reconciliations.py", "store.py")
    ]
    found = {kind for source in sources for kind in re.findall(r'Break\(\s*"([a-z_]+)"', source)}
    sql = sources[2][sources[2].index("_BOOK_BREAKS: Final") :]
    of_invoices = (ROOT / "checkout" / "invoice_breaks.py").read_text(encoding="utf-8")
    found |= set(re.findall(r'yield "([a-z_]+)"', of_invoices))
    found |= set(re.findall(r"(?:SELECT|THEN|ELSE) '([a-z]+_[a-z_]+)'", sql + of_invoices))

    assert len(found) > 15
    assert found == set(MEANINGS)


async def test_what_does_not_agree_is_shown_with_what_to_do_until_it_agrees(paying_shop: PayingShop) -> None:
    _, order = await paid(paying_shop)
    clerk = await at_desk(paying_shop)
    assert "They have not been compared yet" in unescape(await clerk.get("/desk/money"))
    charge = paying_shop.twin.control.objects("charge")[0]
    request = {"payment_intent": charge["payment_intent"], "amount": 500}
    await paying_shop.services.gateway.create_refund(request, key="by-hand")

    compared = await clerk.browser.submit("/desk/money/reconciliations", {}, page="/desk/money")
    assert compared.status_code == 303
    page = unescape(await clerk.get("/desk/money"))

    assert "1 break" in page
    assert "Money was sent back that nobody asked for here" in page
    assert "Compare the order with Stripe's dashboard" in page
    spanish = unescape(await clerk.get("/desk/money?lang=es"))
    assert "Se devolvió dinero que aquí nadie pidió" in spanish
    assert order.number not in page


async def test_a_case_and_a_refund_under_way_lead_to_their_order(paying_shop: PayingShop) -> None:
    _, order = await paid(paying_shop, "refund_pending")
    clerk = await at_desk(paying_shop)
    path = f"/desk/orders/{order.number}"
    await clerk.browser.submit(
        f"{path}/cancellation", {"note": "Not wanted", "step": "send"}, page=f"{path}/cancellation"
    )
    assert f'href="{path}#refunds"' in await clerk.get("/desk/money")

    (refund,) = (await paying_shop.services.order_files.open(order.number)).refunds
    paying_shop.twin.control.fail_refund(str(refund.stripe_refund_id))
    await paying_shop.services.payments.refunds.go_on(refund.id)

    page = await clerk.get("/desk/money")
    assert f'href="{path}#refunds"' not in page
    assert re.search(rf'href="{path}/cases/[0-9a-f-]+"', page)


async def test_a_parked_event_is_looked_at_with_a_word_on_it(paying_shop: PayingShop) -> None:
    await paid(paying_shop)
    clerk = await at_desk(paying_shop)
    charge = paying_shop.twin.control.objects("charge")[0]
    request = {"payment_intent": charge["payment_intent"], "amount": 500}
    made = await paying_shop.services.gateway.create_refund(request, key="by-hand")
    assert made.body is not None
    await park(paying_shop, made.body["id"])
    event_id = "evt_parked"
    assert event_id in await clerk.get("/desk/money")
    form = f"/desk/money/events/{event_id}"

    silent = await clerk.browser.submit(form, {"note": ""}, page="/desk/money")
    assert (silent.status_code, "Fill this in." in silent.text) == (422, True)
    said = await clerk.browser.submit(form, {"note": "Support did it"}, page="/desk/money")
    again = await clerk.browser.submit(form, {"note": "Support did it"}, page="/desk/money")

    assert (said.status_code, again.status_code) == (303, 404)
    assert event_id not in await clerk.get("/desk/money")


async def park(shop: PayingShop, refund_id: str) -> None:
    async with shop.services.db.begin(for_staff()) as session:
        session.add(
            StripeEvent(
                id="evt_parked", type="refund.created", api_version=None, livemode=False,
                payload={"data": {"object": {"id": refund_id}}}, received_at=shop.clock.now(),
            )
        )  # fmt: skip
    await shop.services.payments.handle_event("evt_parked")


@pytest.mark.parametrize("path", ["/desk/money/reconciliations", "/desk/money/events/evt_x"])
async def test_only_finance_compares_and_closes(paying_shop: PayingShop, path: str) -> None:
    support = paying_shop.client()
    await support.log_in("support@meridian.example")

    assert (await support.get("/desk/money")).status_code == 200
    assert (await support.submit(path, {"note": "x"}, page="/desk")).status_code in {403, 404}
