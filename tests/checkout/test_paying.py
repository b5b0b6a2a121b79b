"""The failure cases of money that this house knows, each under its name."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from checkout.model import (
    AttemptState,
    CallOutcome,
    CallStep,
    EventOutcome,
    LedgerPosting,
    Liability,
    LiabilityReason,
    Order,
)
from checkout.orders import OrderUnknown
from checkout.payments import OrderNotCancellable, OrderNotPayable, PaymentUnavailable, SessionForeign
from checkout.reconciliations import Reconciliations
from checkout.states import State
from checkout.stripe_gateway import StripeGateway, StripeUnavailable, WebhookRefused
from kernel.db import for_staff
from kernel.errors import DomainError
from kernel.events import JourneyEvent
from kernel.jobs import Jobs
from kernel.mail import OutgoingMail
from kernel.money import Money
from sandbox.stripe_twin.faults import Fault
from tests.checkout.conftest import BASE_URL, SECRET, TOO_LONG_SECONDS, House, make_member, signed, visitor

SESSIONS = "/v1/checkout/sessions"
COMPLETED = "checkout.session.completed"


def sessions(house: House) -> list[dict[str, Any]]:
    return house.twin.control.objects("checkout.session")


def creations(house: House) -> list[dict[str, Any]]:
    return [
        request
        for request in house.twin.control.requests()
        if request["method"] == "POST" and request["path"] == SESSIONS
    ]


async def settled_once(house: House, order: Order) -> bool:
    found = await house.order(order)
    await house.check_invariants()
    return found.state is State.PAID and (await house.mails()).count("order_paid") == 1


# --- The way it goes ---


async def test_from_cart_to_paid_order(house: House) -> None:
    order = await house.place()
    assert order.state is State.PAYABLE
    assert order.number == "T-2026-000001"
    assert order.total == Money(25761, "EUR")
    assert await house.stock() == (98, 2, 0)

    session_id = await house.start(order)
    assert house.twin.control.pay_at_once(session_id).outcome == "paid"
    paid = await house.payments.returned(house.acme, order.number, session_id)

    assert paid.state is State.PAID
    assert paid.paid_at == house.clock.now()
    assert await house.stock() == (98, 0, 2)
    assert await house.mails() == ["order_received", "order_paid"]
    postings = {row.account.value: row.amount_minor for row in await house.rows(LedgerPosting)}
    assert postings == {"stripe_clearing": 25761, "sales": -20000, "freight": -1290, "tax_payable": -4471}
    assert [event.event for event in await house.orders.history(house.acme, order.number)] == [
        "accept",
        "pay",
        "paid",
    ]
    names = [event.name for event in await house.rows(JourneyEvent)]
    assert names.count("payment_started") == names.count("payment_settled") == 1
    await house.check_invariants()


async def test_the_session_asks_for_the_orders_total_and_carries_our_references(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)

    (attempt,) = await house.attempts()
    (made,) = sessions(house)
    assert (made["id"], made["amount_total"], made["currency"]) == (session_id, 25761, "eur")
    assert made["client_reference_id"] == str(attempt.id)
    assert made["metadata"]["order_number"] == order.number
    assert made["success_url"].startswith(f"{BASE_URL}/orders/{order.number}/payment/return?session_id=")
    assert (attempt.state, attempt.session_id) == (AttemptState.LIVE, session_id)


async def test_the_call_is_stored_before_and_after_it_is_made(house: House) -> None:
    order = await house.place()
    await house.start(order)

    (call,) = await house.calls()
    (request,) = creations(house)
    assert (call.step, call.outcome, call.answer_status) == (CallStep.CREATE_SESSION, CallOutcome.DONE, 200)
    assert call.idempotency_key == request["idempotency_key"]
    assert call.answer is not None
    assert call.answer["id"] == sessions(house)[0]["id"]
    assert msgspec.json.decode(call.request)["line_items"][0]["price_data"]["unit_amount"] == 25761


async def test_a_company_that_buys_in_dollars_is_charged_dollars(house: House) -> None:
    buyer = await make_member(house.database, house.clock, name="Initech", country="ES", currency="USD")
    order = await house.place(buyer)
    session_id = await house.start(order, buyer)

    assert house.twin.control.pay_at_once(session_id).outcome == "paid"
    paid = await house.payments.returned(buyer, order.number, session_id)
    assert (paid.state, paid.currency) == (State.PAID, "USD")
    await house.check_invariants()


# --- The buyer clicks ---


async def test_double_click_submit_creates_one_session(house: House) -> None:
    order = await house.place()

    urls = await asyncio.gather(*(house.payments.start(house.acme, order.number) for _ in range(6)))

    assert len(set(urls)) == 1
    assert len(sessions(house)) == 1
    assert len(await house.attempts()) == 1
    assert len({request["idempotency_key"] for request in creations(house)}) == 1


async def test_paying_again_reuses_the_live_attempt(house: House) -> None:
    order = await house.place()

    assert await house.start(order) == await house.start(order)
    assert len(sessions(house)) == 1


async def test_two_tabs_pay_same_order_only_one_settles(house: House) -> None:
    order = await house.place()
    first, second = await house.start(order), await house.start(order)

    assert first == second
    house.twin.control.pay_at_once(first)
    await asyncio.gather(*(house.payments.returned(house.acme, order.number, first) for _ in range(4)))

    assert await settled_once(house, order)


async def test_two_users_of_one_company_pay_same_order(house: House) -> None:
    order = await house.place()
    colleague = msgspec.structs.replace(house.acme, email="colleague@acme.example")

    mine, theirs = await asyncio.gather(
        house.payments.start(house.acme, order.number), house.payments.start(colleague, order.number)
    )

    assert mine == theirs
    session_id = await house.session_of(theirs)
    house.twin.control.pay_at_once(session_id)
    await house.payments.returned(colleague, order.number, session_id)
    assert await settled_once(house, order)


async def test_an_event_of_a_page_that_nobody_got_does_not_revive_its_attempt(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path="/v1/checkout/sessions"))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    await house.payments.cancel(house.acme, order.number)
    (page,) = house.twin.control.objects("checkout.session")
    event = {"id": "evt_odd", "type": "checkout.session.completed", "livemode": False, "data": {"object": page}}

    await house.deliver(event)

    (attempt,) = await house.attempts()
    assert (attempt.state, attempt.session_id, attempt.url) == (AttemptState.DEAD, page["id"], None)
    assert (await house.order(order)).state is State.CANCELLED
    house.twin.control.pay_at_once(page["id"])  # somebody found it all the same
    for paid in house.events("checkout.session.completed"):
        await house.deliver(paid)
    (case,) = await house.rows(Liability)
    assert (case.reason, case.amount_minor) == (LiabilityReason.ORDER_CLOSED, order.total_minor)


async def test_stale_tab_with_expired_session_pays_the_same_order(house: House) -> None:
    order = await house.place()
    first = await house.start(order)
    house.clock.advance(hours=25)

    second = await house.start(order)

    assert second != first
    assert [attempt.state for attempt in await house.attempts()] == [AttemptState.DEAD, AttemptState.LIVE]
    house.twin.control.pay_at_once(second)
    await house.payments.returned(house.acme, order.number, second)
    assert await settled_once(house, order)


async def test_card_declined_then_other_card_same_order(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)

    assert house.twin.control.pay_at_once(session_id, "declined").outcome == "declined"
    for event in house.events("payment_intent.payment_failed"):
        await house.deliver(event)
    declined = await house.payments.returned(house.acme, order.number, session_id)
    assert declined.state is State.PAYABLE
    assert await house.start(order) == session_id
    assert house.twin.control.pay_at_once(session_id, "mastercard").outcome == "paid"
    await house.payments.returned(house.acme, order.number, session_id)

    assert await settled_once(house, order)
    assert [event.name for event in await house.rows(JourneyEvent)].count("payment_failed") == 1
    assert len(await house.attempts()) == 1


async def test_3ds_failed_returns_to_payment(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)

    assert house.twin.control.pay_at_once(session_id, "3ds", authentication="fail").outcome != "paid"
    assert (await house.payments.returned(house.acme, order.number, session_id)).state is State.PAYABLE
    assert house.twin.control.pay_at_once(session_id, "3ds").outcome == "paid"
    await house.payments.returned(house.acme, order.number, session_id)
    assert await settled_once(house, order)


async def test_nobody_pays_or_cancels_an_order_of_another_company(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)

    for stranger in (house.globex, visitor()):
        with pytest.raises(OrderUnknown):
            await house.payments.start(stranger, order.number)
        with pytest.raises(OrderUnknown):
            await house.payments.cancel(stranger, order.number)
        with pytest.raises(OrderUnknown):
            await house.payments.returned(stranger, order.number, session_id)


async def test_a_paid_order_is_not_paid_again(house: House) -> None:
    order, session_id = await house.paid_order()
    await house.payments.returned(house.acme, order.number, session_id)

    with pytest.raises(OrderNotPayable):
        await house.payments.start(house.acme, order.number)
    assert len(sessions(house)) == 1


async def test_an_order_paid_without_our_knowing_is_settled_when_the_buyer_clicks_again(house: House) -> None:
    order, _ = await house.paid_order()

    with pytest.raises(OrderNotPayable):
        await house.payments.start(house.acme, order.number)
    assert await settled_once(house, order)


# --- The buyer comes back ---


async def test_success_url_with_foreign_session_id_is_refused(house: House) -> None:
    order, _ = await house.paid_order()
    mine = await house.place(house.globex)
    await house.start(mine, house.globex)

    foreign = (await house.attempts())[0].session_id
    assert foreign is not None
    with pytest.raises(SessionForeign):
        await house.payments.returned(house.globex, mine.number, foreign)
    for invented in ("", "cs_test_invented", "\x00"):
        with pytest.raises(SessionForeign):
            await house.payments.returned(house.globex, mine.number, invented)
    assert (await house.order(mine)).state is State.PAYABLE
    assert (await house.order(order)).state is State.PAYABLE


async def test_success_url_with_unpaid_session_does_not_settle(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)

    assert (await house.payments.returned(house.acme, order.number, session_id)).state is State.PAYABLE
    assert await house.rows(LedgerPosting) == []


async def test_a_buyer_who_returns_while_stripe_is_silent_sees_the_order_and_it_settles_later(house: House) -> None:
    order, session_id = await house.paid_order()
    house.twin.control.add_fault(Fault("reset", path=SESSIONS))

    assert (await house.payments.returned(house.acme, order.number, session_id)).state is State.PAYABLE
    house.clock.advance(minutes=3)
    await house.payments.sweep()
    assert await settled_once(house, order)


# --- Webhooks ---


async def test_webhook_before_redirect(house: House) -> None:
    order, session_id = await house.paid_order()

    for event in house.events(COMPLETED):
        assert await house.deliver(event)
    assert await settled_once(house, order)
    assert (await house.payments.returned(house.acme, order.number, session_id)).state is State.PAID
    assert await settled_once(house, order)
    assert {event.outcome for event in await house.event_rows()} == {EventOutcome.SETTLED}


async def test_redirect_before_webhook(house: House) -> None:
    order, session_id = await house.paid_order()

    assert (await house.payments.returned(house.acme, order.number, session_id)).state is State.PAID
    for event in house.events():
        await house.deliver(event)
    assert await settled_once(house, order)


async def test_webhook_and_redirect_at_once_settle_once(house: House) -> None:
    order, session_id = await house.paid_order()
    (event,) = house.events(COMPLETED)

    await asyncio.gather(
        *(house.payments.returned(house.acme, order.number, session_id) for _ in range(3)),
        house.deliver(event),
        house.payments.sweep(),
    )

    assert await settled_once(house, order)


async def test_webhook_delivered_twice_settles_once(house: House) -> None:
    order, _ = await house.paid_order()
    (event,) = house.events(COMPLETED)

    stored = [await house.deliver(event) for _ in range(3)]

    assert stored == [True, False, False]
    assert len(await house.event_rows()) == 1
    assert await settled_once(house, order)


async def test_the_same_webhook_at_once_is_stored_once(house: House) -> None:
    order, _ = await house.paid_order()
    (event,) = house.events(COMPLETED)

    stored = await asyncio.gather(*(house.deliver(event) for _ in range(5)))

    assert sorted(stored) == [False] * 4 + [True]
    assert await settled_once(house, order)


async def test_webhooks_in_reverse_order_reach_same_state(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id, "declined")
    house.clock.advance(seconds=2)
    house.twin.control.pay_at_once(session_id)

    for event in reversed(house.events()):
        await house.deliver(event)

    assert await settled_once(house, order)


async def test_webhook_before_api_response_saved(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (attempt,) = await house.attempts()
    assert (attempt.state, attempt.session_id) == (AttemptState.UNCERTAIN, None)
    (made,) = sessions(house)
    house.twin.control.pay_at_once(made["id"])

    (event,) = house.events(COMPLETED)
    await house.deliver(event)

    (attempt,) = await house.attempts()
    assert (attempt.state, attempt.session_id) == (AttemptState.SUCCEEDED, made["id"])
    assert await settled_once(house, order)


async def test_a_job_of_the_queue_settles_what_a_webhook_brought(house: House, database_url: str) -> None:
    order, _ = await house.paid_order()
    (event,) = house.events(COMPLETED)
    raw = msgspec.json.encode(event)
    await house.payments.receive_webhook(raw, signed(raw, house.clock.now()))
    jobs = Jobs(database_url)
    for name, handler in house.payments.job_handlers().items():
        jobs.register(name, handler)

    await jobs.run_pending()

    assert await settled_once(house, order)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=1,v1=00",
        "v1=abc",
        "nonsense",
        "t=abc,v1=00",
        "t=" + "9" * 400 + ",v1=00",
        "t=1,v0=00",
        "\x00",
        "t=1,v1=é",
    ],
)
async def test_webhook_bad_signature_is_400_and_not_stored(house: House, header: str | None) -> None:
    await house.paid_order()
    (event,) = house.events(COMPLETED)

    with pytest.raises(WebhookRefused) as refusal:
        await house.payments.receive_webhook(msgspec.json.encode(event), header)

    assert refusal.value.status == 400
    assert await house.event_rows() == []


async def test_a_webhook_whose_body_was_touched_or_signed_by_another_is_refused(house: House) -> None:
    await house.paid_order()
    (event,) = house.events(COMPLETED)
    raw = msgspec.json.encode(event)
    now = house.clock.now()

    for body, header in (
        (raw.replace(b"25761", b"00001"), signed(raw, now)),
        (raw + b" ", signed(raw, now)),
        (raw, signed(raw, now, "whsec_of_another")),
        (b"\xff\xfe", signed(b"\xff\xfe", now)),
        (b"[]", signed(b"[]", now)),
        (b"{}", signed(b"{}", now)),
        (b"not json", signed(b"not json", now)),
        (b"[" * 100_000, signed(b"[" * 100_000, now)),
    ):
        with pytest.raises(WebhookRefused):
            await house.payments.receive_webhook(body, header)
    assert await house.event_rows() == []


@pytest.mark.parametrize("seconds", [-301, -86400])
async def test_webhook_old_timestamp_rejected(house: House, seconds: int) -> None:
    await refused_at(house, seconds)


@pytest.mark.parametrize("seconds", [301, 86400])
async def test_webhook_future_timestamp_rejected(house: House, seconds: int) -> None:
    await refused_at(house, seconds)


async def refused_at(house: House, seconds: int) -> None:
    await house.paid_order()
    (event,) = house.events(COMPLETED)

    with pytest.raises(WebhookRefused):
        await house.deliver(event, at=house.clock.now() + timedelta(seconds=seconds))
    assert await house.event_rows() == []


@pytest.mark.parametrize("seconds", [-300, 0, 300])
async def test_a_webhook_of_the_last_or_next_five_minutes_is_taken(house: House, seconds: int) -> None:
    await house.paid_order()
    (event,) = house.events(COMPLETED)

    assert await house.deliver(event, at=house.clock.now() + timedelta(seconds=seconds))


async def test_webhook_secret_roll_accepts_both(house: House) -> None:
    order, _ = await house.paid_order()
    (event,) = house.events(COMPLETED)
    rolling = StripeGateway(
        api_key="sk_test_of_the_tests",
        webhook_secrets=("whsec_new", SECRET),
        clock=house.clock,
        api_base=house.twin.base_url,
    )
    house.payments.gateway = rolling
    raw = msgspec.json.encode(event)
    now = house.clock.now()

    assert await house.payments.receive_webhook(raw, signed(raw, now))
    assert not await house.payments.receive_webhook(raw, signed(raw, now, "whsec_new"))
    both = f"{signed(raw, now)},{signed(raw, now, 'whsec_new').split(',')[1]}"
    assert not await house.payments.receive_webhook(raw, both)
    with pytest.raises(WebhookRefused):
        await house.payments.receive_webhook(raw, signed(raw, now, "whsec_old"))
    await house.payments.handle_event(event["id"])
    assert await settled_once(house, order)
    await rolling.close()


async def test_livemode_event_on_test_endpoint_refused(house: House) -> None:
    await house.paid_order()
    (event,) = house.events(COMPLETED)

    with pytest.raises(WebhookRefused):
        await house.deliver({**event, "livemode": True})
    assert await house.event_rows() == []


async def test_webhook_of_other_api_version_is_refetched_under_ours(house: House) -> None:
    order, session_id = await house.paid_order()
    (event,) = house.events(COMPLETED)

    await house.deliver(
        {**event, "api_version": "2019-05-16", "data": {"object": {"id": session_id, "object": "checkout.session"}}}
    )

    assert await settled_once(house, order)


async def test_the_body_of_an_event_is_never_believed(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)
    house.twin.control.pay_at_once((await house.place_and_start_other())[1])
    (event,) = house.events(COMPLETED)
    forged = {**event, "data": {"object": {**event["data"]["object"], "id": session_id, "payment_status": "paid"}}}

    await house.deliver(forged)

    assert (await house.order(order)).state is State.PAYABLE


async def test_webhook_for_unknown_order_is_parked_and_alarmed(house: House) -> None:
    order, session_id = await house.paid_order()
    answer = await house.gateway.create_session(
        _foreign_request(amount=5000, reference="another-shops-reference"), key="foreign"
    )
    assert answer.body is not None
    house.twin.control.pay_at_once(answer.body["id"])

    for event in house.events(COMPLETED):
        await house.deliver(event)

    parked = [event for event in await house.event_rows() if event.outcome is EventOutcome.PARKED]
    (liability,) = await house.rows(Liability)
    assert len(parked) == 1
    assert (liability.reason, liability.order_id) == (LiabilityReason.UNKNOWN_ORDER, None)
    assert (liability.amount_minor, liability.currency) == (5000, "EUR")
    assert await settled_once(house, order)
    assert session_id != answer.body["id"]
    alarms = Reconciliations(house.database, house.clock, house.gateway, house.agreements, base_url=BASE_URL)
    await alarms.run(since=house.clock.now() - timedelta(days=1), alarm="alarm@shop.example")
    (letter,) = [mail for mail in await house.rows(OutgoingMail) if mail.kind == "reconciliation_alarm"]
    assert parked[0].id in letter.text
    assert answer.body["id"] in letter.text


async def test_an_event_about_a_session_stripe_does_not_know_is_parked(house: House) -> None:
    await house.paid_order()
    (event,) = house.events(COMPLETED)

    for number, thing in enumerate(({"id": "cs_test_gone"}, {}, ["no object"])):
        await house.deliver({**event, "id": f"evt_{number}", "data": {"object": thing}})

    assert [row.outcome for row in await house.event_rows()] == [EventOutcome.PARKED] * 3


async def test_an_event_that_comes_while_stripe_is_silent_is_handled_by_the_next_sweep(house: House) -> None:
    order, _ = await house.paid_order()
    (event,) = house.events(COMPLETED)
    house.twin.control.add_fault(Fault("reset", path=SESSIONS))

    with pytest.raises(StripeUnavailable):
        await house.deliver(event)
    assert (await house.event_rows())[0].handled_at is None
    house.clock.advance(minutes=3)
    await house.payments.sweep()

    assert await settled_once(house, order)
    assert (await house.event_rows())[0].outcome is EventOutcome.SETTLED


async def test_a_payment_whose_event_never_came_is_found_by_the_sweep(house: House) -> None:
    order, _ = await house.paid_order()
    house.clock.advance(minutes=3)

    await house.payments.sweep()

    assert await settled_once(house, order)


async def test_an_event_with_a_nul_character_is_stored_all_the_same(house: House) -> None:
    order, session_id = await house.paid_order()
    (event,) = house.events(COMPLETED)

    await house.deliver({**event, "data": {"object": {"id": session_id, "note\x00": ["a\x00b"]}}})

    assert await settled_once(house, order)
    (row,) = await house.event_rows()
    assert row.payload["data"]["object"]["note\ufffd"] == ["a\ufffdb"]


async def test_one_event_that_breaks_a_step_does_not_keep_the_sweep_from_the_others(house: House) -> None:
    order, _ = await house.paid_order()
    (event,) = house.events(COMPLETED)
    raw = msgspec.json.encode({**event, "id": "evt_broken", "data": {"object": ["no object"]}})
    await house.payments.receive_webhook(raw, signed(raw, house.clock.now()))
    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("update stripe_event set payload = '{}'"))
    house.clock.advance(minutes=3)

    await house.payments.sweep()

    assert await settled_once(house, order)


async def test_events_of_no_concern_are_stored_and_done(house: House) -> None:
    await house.paid_order()
    event = {**house.events(COMPLETED)[0], "type": "customer.created", "id": "evt_other"}

    await house.deliver(event)

    assert [row.outcome for row in await house.event_rows()] == [EventOutcome.NOTHING_TO_DO]


# --- Money that does not fit ---


def _foreign_request(*, amount: int, reference: str, currency: str = "eur") -> dict[str, Any]:
    return {
        "mode": "payment",
        "ui_mode": "hosted_page",
        "client_reference_id": reference,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": currency, "unit_amount": amount, "product_data": {"name": "Other"}},
            }
        ],
        "success_url": "https://other.example/thanks",
        "cancel_url": "https://other.example/",
    }


async def _pay_otherwise(house: House, *, amount: int, currency: str) -> Order:
    """An order whose attempt's Session asks for other money than the order, and is paid."""
    order = await house.place()
    house.twin.control.add_fault(Fault("reset", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (attempt,) = await house.attempts()
    answer = await house.gateway.create_session(
        _foreign_request(amount=amount, currency=currency, reference=str(attempt.id)), key="otherwise"
    )
    assert answer.body is not None
    house.twin.control.pay_at_once(answer.body["id"])
    for event in house.events(COMPLETED):
        await house.deliver(event)
    return await house.order(order)


async def test_currency_of_session_differs_from_order_never_settles(house: House) -> None:
    await owed_instead(house, 25761, "usd", LiabilityReason.CURRENCY_DIFFERS)


@pytest.mark.parametrize("amount", [25760, 25762])
async def test_amount_of_session_differs_from_order_never_settles(house: House, amount: int) -> None:
    await owed_instead(house, amount, "eur", LiabilityReason.AMOUNT_DIFFERS)


async def owed_instead(house: House, amount: int, currency: str, reason: LiabilityReason) -> None:
    """Paid otherwise than it asks for, the order stays payable and the money is owed."""
    order = await _pay_otherwise(house, amount=amount, currency=currency)

    (liability,) = await house.rows(Liability)
    assert order.state is State.PAYABLE
    assert (liability.reason, liability.order_id, liability.amount_minor) == (reason, order.id, amount)
    assert [event.event for event in await house.orders.history(house.acme, order.number)][-1] == "unmatched_money"
    assert await house.stock() == (98, 2, 0)
    # The order can still be paid, with its own money
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id)
    await house.payments.returned(house.acme, order.number, session_id)
    assert (await house.order(order)).state is State.PAID
    assert len(await house.rows(Liability)) == 1


async def test_a_page_over_another_amount_that_is_found_instead_of_ours_is_no_address_to_pay_at(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("error", method="POST", path=SESSIONS, status=500))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (attempt,) = await house.attempts()
    await house.gateway.create_session(_foreign_request(amount=500, reference=str(attempt.id)), key="otherwise")
    house.clock.advance(seconds=1)

    session_id = await house.start(order)

    first, second = await house.attempts()
    assert (first.id, first.state, first.url) == (attempt.id, AttemptState.DEAD, None)
    assert second.session_id == session_id


async def test_money_for_a_lapsed_order_is_a_liability_once_however_often_it_is_told(house: House) -> None:
    order, session_id = await house.paid_order()
    async with house.database.begin(for_staff()) as session:
        await session.execute(
            sa.text("update payment_attempt set state = 'dead', closed_at = now()")  # as if Stripe had said so
        )
    house.clock.advance(days=4)
    await house.payments.lapse(order.id)
    assert (await house.order(order)).state is State.LAPSED

    for _ in range(2):
        await house.payments.settle(order.id, [session_id])

    (liability,) = await house.rows(Liability)
    assert (liability.reason, liability.amount_minor) == (LiabilityReason.ORDER_CLOSED, 25761)
    assert await house.stock() == (100, 0, 0)
    await house.check_invariants()


async def test_a_second_payment_of_a_paid_order_is_a_liability(house: House) -> None:
    order = await house.place()
    first = await house.start(order)
    async with house.database.begin(for_staff()) as session:
        await session.execute(sa.text("update payment_attempt set state = 'dead', closed_at = now()"))
    second = await house.start(order)
    for session_id in (first, second):
        house.twin.control.pay_at_once(session_id)

    await house.payments.returned(house.acme, order.number, second)
    for event in house.events(COMPLETED):
        await house.deliver(event)

    (liability,) = await house.rows(Liability)
    assert (liability.reason, liability.session_id) == (LiabilityReason.PAID_TWICE, first)
    assert (await house.order(order)).state is State.PAID
    await house.check_invariants()


# --- Stripe on a bad day ---


@pytest.mark.parametrize(
    "fault",
    [
        Fault("error", method="POST", status=500),
        Fault("error", method="POST", status=500, after=True),
        Fault("error", method="POST", status=502, saved=False),
        Fault("error", method="POST", status=429),
        Fault("timeout", method="POST", seconds=TOO_LONG_SECONDS),
        Fault("lose_answer", method="POST"),
        Fault("reset", method="POST"),
        Fault("garbage", method="POST"),
        Fault("slow", method="POST", seconds=TOO_LONG_SECONDS),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.after}",
)
async def test_stripe_500_429_timeout_leaves_order_payable(house: House, fault: Fault) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault(**{**vars(fault), "path": SESSIONS}))

    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    assert (await house.order(order)).state is State.PAYABLE
    assert await house.stock() == (98, 2, 0)
    session_id = await house.start(order)
    house.twin.control.pay_at_once(session_id)
    await house.payments.returned(house.acme, order.number, session_id)

    assert await settled_once(house, order)
    assert sum(row["payment_status"] == "paid" for row in sessions(house)) == 1


async def test_lost_response_then_retry_creates_one_payment(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)

    await house.start(order)

    assert len(sessions(house)) == 1
    assert len({request["idempotency_key"] for request in creations(house)}) == 1
    assert (await house.calls())[0].sent_times == 2


async def test_a_conflict_on_the_key_is_waited_out(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("error", method="POST", path=SESSIONS, status=409, times=2, saved=False))

    await house.start(order)

    assert len(sessions(house)) == 1
    assert len(await house.attempts()) == 1


async def test_a_saved_500_is_looked_up_by_client_reference_and_its_session_used(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("error", method="POST", path=SESSIONS, status=500, after=True))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (made,) = sessions(house)

    assert await house.start(order) == made["id"]
    assert len(creations(house)) == 1
    assert len(await house.attempts()) == 1


async def test_a_saved_500_that_made_nothing_permits_a_new_attempt(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("error", method="POST", path=SESSIONS, status=500))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)

    await house.start(order)

    assert [attempt.state for attempt in await house.attempts()] == [AttemptState.DEAD, AttemptState.LIVE]
    assert len({request["idempotency_key"] for request in creations(house)}) == 2


async def test_retry_after_24h_looks_up_by_client_reference(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    house.clock.advance(hours=23)

    session_id = await house.start(order)

    assert session_id == sessions(house)[0]["id"]
    assert len(creations(house)) == 1  # a key may be forgotten by now: nothing was sent again
    house.clock.advance(hours=2)
    assert await house.start(order) != session_id  # it expired at Stripe


async def test_a_paid_session_found_by_looking_up_settles_the_order(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("lose_answer", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    house.twin.control.pay_at_once(sessions(house)[0]["id"])
    house.clock.advance(hours=23)

    await house.payments.sweep()

    assert await settled_once(house, order)


async def test_looking_up_while_stripe_is_silent_charges_nothing_and_is_tried_again(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("error", method="POST", path=SESSIONS, status=500, after=True))
    house.twin.control.add_fault(Fault("reset", method="GET", path=SESSIONS))
    for _ in range(2):
        with pytest.raises(PaymentUnavailable):
            await house.payments.start(house.acme, order.number)

    await house.start(order)

    assert len(sessions(house)) == 1


async def test_a_definite_refusal_kills_the_attempt_and_the_next_click_makes_a_new_one(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("error", method="POST", path=SESSIONS, status=402, saved=True))

    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    await house.start(order)

    assert [attempt.state for attempt in await house.attempts()] == [AttemptState.DEAD, AttemptState.LIVE]
    assert [call.outcome for call in await house.calls()] == [CallOutcome.REFUSED, CallOutcome.DONE]


async def test_same_key_different_params_alarms(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("reset", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (call,) = await house.calls()
    other = await house.gateway.create_session(
        _foreign_request(amount=1000, reference="another"), key=call.idempotency_key
    )
    assert other.outcome is CallOutcome.DONE

    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    (attempt,) = await house.attempts()
    assert attempt.state is AttemptState.UNCERTAIN
    session_id = await house.start(order)  # looked up: nothing of ours is there, so a new attempt may be made

    assert sessions(house)[0]["id"] == session_id
    assert [attempt.state for attempt in await house.attempts()] == [AttemptState.DEAD, AttemptState.LIVE]


async def test_stripe_that_cannot_be_reached_at_all_leaves_the_order_payable(house: House) -> None:
    order = await house.place()
    nowhere = StripeGateway(
        api_key="sk_test_x", webhook_secrets=(SECRET,), clock=house.clock, api_base="http://127.0.0.1:9"
    )
    reachable, house.payments.gateway = house.payments.gateway, nowhere

    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)
    house.payments.gateway = reachable
    await house.start(order)

    assert len(await house.attempts()) == 1
    await nowhere.close()


# --- Closing ---


async def test_lapsed_order_returns_stock_once_all_attempts_are_dead(house: House) -> None:
    order = await house.place()
    await house.start(order)
    house.clock.advance(days=2, hours=23)
    await house.payments.sweep()
    second = await house.start(order)
    house.clock.advance(hours=2)

    for _ in range(3):
        await house.payments.lapse(order.id)
        await house.payments.sweep()

    assert (await house.order(order)).state is State.LAPSED
    assert await house.stock() == (100, 0, 0)
    assert {attempt.state for attempt in await house.attempts()} == {AttemptState.DEAD}
    assert next(row for row in sessions(house) if row["id"] == second)["status"] == "expired"
    assert (await house.mails()).count("order_lapsed") == 1
    with pytest.raises(DomainError):
        await house.payments.start(house.acme, order.number)
    await house.check_invariants()


async def test_stock_stays_while_stripe_does_not_say_that_the_attempt_is_dead(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)
    house.clock.advance(hours=12)
    house.twin.control.add_fault(Fault("reset", method="POST", path=SESSIONS, times=1))

    cancelled = await house.payments.cancel(house.acme, order.number)

    assert cancelled.state is State.CLOSING
    assert await house.stock() == (98, 2, 0)
    with pytest.raises(OrderNotPayable):
        await house.payments.start(house.acme, order.number)
    await house.payments.sweep()
    assert (await house.order(order)).state is State.CANCELLED
    assert await house.stock() == (100, 0, 0)
    assert next(row for row in sessions(house) if row["id"] == session_id)["status"] == "expired"
    await house.check_invariants()


async def test_closing_races_with_payment(house: House) -> None:
    order = await house.place()
    session_id = await house.start(order)
    house.twin.control.add_fault(Fault("reset", method="POST", path=SESSIONS))
    assert (await house.payments.cancel(house.acme, order.number)).state is State.CLOSING

    house.twin.control.pay_at_once(session_id)  # the buyer's other tab was faster than our asking
    await house.payments.sweep()

    assert await settled_once(house, order)
    assert await house.stock() == (98, 0, 2)


async def test_cancelling_and_paying_at_once_ends_in_one_or_the_other(house: House) -> None:
    for _ in range(4):
        order = await house.place()
        session_id = await house.start(order)

        async def pay(session_id: str = session_id) -> None:
            await asyncio.to_thread(house.twin.control.pay_at_once, session_id)

        await asyncio.gather(house.payments.cancel(house.acme, order.number), pay())
        await house.payments.sweep()

        assert (await house.order(order)).state in {State.PAID, State.CANCELLED}
        await house.check_invariants()


async def test_an_order_never_paid_for_is_cancelled_at_once(house: House) -> None:
    order = await house.place()

    cancelled = await house.payments.cancel(house.acme, order.number)

    assert (cancelled.state, cancelled.closed_at) == (State.CANCELLED, house.clock.now())
    assert await house.stock() == (100, 0, 0)
    assert await house.mails() == ["order_received", "order_cancelled"]
    with pytest.raises(OrderNotCancellable):
        await house.payments.cancel(house.acme, order.number)


async def test_a_paid_order_is_not_cancelled_here(house: House) -> None:
    order, session_id = await house.paid_order()
    await house.payments.returned(house.acme, order.number, session_id)

    with pytest.raises(OrderNotCancellable):
        await house.payments.cancel(house.acme, order.number)
    assert await settled_once(house, order)


async def test_cancelling_an_order_paid_without_our_knowing_keeps_it_paid(house: House) -> None:
    order, _ = await house.paid_order()

    assert (await house.payments.cancel(house.acme, order.number)).state is State.PAID
    assert await settled_once(house, order)


async def test_before_its_time_an_order_does_not_lapse_and_at_that_instant_it_does(house: House) -> None:
    order = await house.place()
    assert order.pay_by is not None
    house.clock.set(order.pay_by - timedelta(microseconds=1))
    await house.payments.lapse(order.id)
    assert (await house.order(order)).state is State.PAYABLE

    house.clock.set(order.pay_by)
    with pytest.raises(OrderNotPayable, match="has passed"):
        await house.payments.start(house.acme, order.number)
    await house.payments.close_job(str(order.id))
    assert (await house.order(order)).state is State.LAPSED


async def test_closing_an_order_whose_call_nobody_answered_needs_no_stripe(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("reset", method="POST", path=SESSIONS))
    with pytest.raises(PaymentUnavailable):
        await house.payments.start(house.acme, order.number)

    assert (await house.payments.cancel(house.acme, order.number)).state is State.CANCELLED
    assert await house.stock() == (100, 0, 0)


async def test_a_late_answer_for_a_closed_attempt_hands_out_no_address(house: House) -> None:
    order = await house.place()
    house.twin.control.add_fault(Fault("slow", method="POST", path=SESSIONS, seconds=0.4))

    async def cancel_soon() -> None:
        await asyncio.sleep(0.2)
        await house.payments.cancel(house.acme, order.number)

    answers = await asyncio.gather(
        house.payments.start(house.acme, order.number), cancel_soon(), return_exceptions=True
    )

    assert isinstance(answers[0], DomainError)
    assert (await house.order(order)).state is State.CANCELLED
    await house.check_invariants()
