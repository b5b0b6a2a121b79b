"""Staff see every company's webhooks with every attempt, and send again."""

import sqlalchemy as sa

from accounts.webhooks.model import EndpointState, MessageState, WebhookAttempt, WebhookMessage
from kernel.db import for_staff
from kernel.outgoing import Failure
from tests.web.api.partners import ACME, endpoint_of, key_of
from tests.web.conftest import Shop


async def test_staff_look_at_a_failed_message_and_send_it_again(shop: Shop) -> None:
    endpoint, message = await endpoint_of(shop, await key_of(shop, ACME))
    async with shop.services.db.begin(for_staff()) as session:
        row = (
            await session.scalars(sa.select(WebhookMessage).where(sa.cast(WebhookMessage.id, sa.Text) == message))
        ).one()
        row.state, row.next_attempt_at, row.attempts = MessageState.GIVEN_UP, None, 2
        for number, status, failure in ((1, None, Failure.TLS), (2, 500, None)):
            session.add(
                WebhookAttempt(
                    message_id=row.id, number=number, company_id=row.company_id, at=shop.clock.now(), duration_ms=1234,
                    status=status, failure=failure, answer="<b>down</b>",
                )
            )  # fmt: skip
    browser = shop.client()
    await browser.log_in("support@meridian.example")

    listed = (await browser.get("/desk/webhooks")).text
    assert "https://hooks.partner.example/tarifa" in listed
    page = (await browser.get(f"/desk/webhooks/{endpoint}")).text
    assert "webhook.test" in page
    assert "given up" in page
    file = (await browser.get(f"/desk/webhooks/messages/{message}")).text
    assert "no valid certificate" in file
    assert "&lt;b&gt;down&lt;/b&gt;" in file
    assert "whsec_" not in listed + page + file
    answer = await browser.submit(
        f"/desk/webhooks/messages/{message}/replay", page=f"/desk/webhooks/messages/{message}"
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/desk/webhooks/messages/{message}")
    assert "to be sent" in (await browser.get(f"/desk/webhooks/messages/{message}")).text
    spanish = (await browser.get(f"/desk/webhooks/messages/{message}?lang=es")).text
    assert "sin certificado válido" in spanish


async def test_what_is_off_is_not_sent_to_and_says_so(shop: Shop) -> None:
    endpoint, message = await endpoint_of(shop, await key_of(shop, ACME))
    async with shop.services.db.begin(for_staff()) as session:
        await session.execute(sa.text("update webhook_endpoint set state = :off"), {"off": EndpointState.FAILING.value})
    browser = shop.client()
    await browser.log_in("support@meridian.example")

    for path in (f"/desk/webhooks/{endpoint}", f"/desk/webhooks/messages/{message}"):
        assert '<form method="post" action="/desk/webhooks' not in (await browser.get(path)).text
        refused = await browser.submit(f"{path}/replay", page="/desk/webhooks")
        assert refused.status_code == 409
        assert "This webhook address is switched off." in refused.text
