import datetime as dt
import threading
from pathlib import Path

import httpx
import pytest
import stripe

from sandbox.stripe_twin import RunningTwin, running_twin
from tests.sandbox.stripe_twin.receiver import SECRET, Receiver, line, session_params


def test_a_session_is_answered_open_and_unpaid_with_our_words_in_it(client: stripe.StripeClient) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.currency, session.client_reference_id) == (2468, "eur", "order-1001")
    assert session.metadata is not None
    assert session.metadata["order"] == "1001"
    assert session.url is not None
    assert session.expires_at == session.created + 86400
    assert session.livemode is False


def test_a_paid_session_carries_its_intent_charge_and_money(client: stripe.StripeClient, twin: RunningTwin) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    attempt = twin.control.pay_at_once(session.id, "visa")
    assert attempt.outcome == "paid"
    assert attempt.location == f"http://127.0.0.1:8000/orders/1001?session={session.id}"
    paid = client.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent.latest_charge.balance_transaction", "line_items"]}
    )
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.amount_received, intent.metadata["order"]) == ("succeeded", 2468, "1001")
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert charge.balance_transaction.net == 2468 - 71
    assert paid.line_items is not None
    assert [item.quantity for item in paid.line_items.data] == [2]


@pytest.mark.parametrize(
    ("card", "decline_code"),
    [
        ("declined", "generic_decline"),
        ("insufficient_funds", "insufficient_funds"),
        ("expired", "expired_card"),
        ("3ds_then_declined", "generic_decline"),
        ("4929939187355598", "test_mode_live_card"),
    ],
)
def test_a_declined_card_leaves_the_session_open_for_another(
    client: stripe.StripeClient, twin: RunningTwin, card: str, decline_code: str
) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    attempt = twin.control.pay_at_once(session.id, card)
    assert (attempt.outcome, attempt.decline_code) == ("declined", decline_code)
    open_still = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (open_still.status, open_still.payment_status) == ("open", "unpaid")
    first = open_still.payment_intent
    assert isinstance(first, stripe.PaymentIntent)
    assert first.status == "requires_payment_method"
    assert first.last_payment_error is not None
    assert first.last_payment_error.decline_code == decline_code

    assert twin.control.pay_at_once(session.id, "mastercard").outcome == "paid"
    paid = client.v1.checkout.sessions.retrieve(session.id)
    assert (paid.payment_intent, paid.payment_status) == (first.id, "paid")
    assert [charge["status"] for charge in twin.control.objects("charge")] == ["succeeded", "failed"]


def test_a_failed_3d_secure_check_charges_nothing(client: stripe.StripeClient, twin: RunningTwin) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    assert twin.control.pay_at_once(session.id, "3ds", authentication="fail").outcome == "declined"
    assert twin.control.objects("charge") == []
    assert twin.control.pay_at_once(session.id, "3ds", authentication="pass").outcome == "paid"


def test_a_session_is_paid_once_however_often_the_button_is_pressed(
    client: stripe.StripeClient, twin: RunningTwin
) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    outcomes = [twin.control.pay_at_once(session.id).outcome for _ in range(3)]
    assert outcomes == ["paid", "closed", "closed"]
    assert len(twin.control.objects("charge")) == 1


def test_paying_races_with_closing_and_with_itself_and_one_wins(client: stripe.StripeClient, twin: RunningTwin) -> None:
    for _ in range(5):
        session = client.v1.checkout.sessions.create(session_params())
        outcomes: list[str | None] = []

        def pay(session_id: str = session.id, outcomes: list[str | None] = outcomes) -> None:
            outcomes.append(twin.control.pay_at_once(session_id).outcome)

        def close(session_id: str = session.id, outcomes: list[str | None] = outcomes) -> None:
            try:
                outcomes.append(client.v1.checkout.sessions.expire(session_id).status)
            except stripe.InvalidRequestError:
                outcomes.append("refused")

        threads = [threading.Thread(target=act) for act in (pay, close, pay)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, outcomes)) in (["closed", "paid", "refused"], ["closed", "closed", "expired"])
    sessions = twin.control.objects("checkout.session")
    paid = [session for session in sessions if session["payment_status"] == "paid"]
    assert len(twin.control.objects("charge")) == len(paid)


def test_expiring_a_session_cancels_its_intent_even_within_3d_secure(
    client: stripe.StripeClient, twin: RunningTwin
) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    waiting = twin.control.pay_at_once(session.id, "3ds", authentication="wait")
    expired = client.v1.checkout.sessions.expire(session.id, {"expand": ["payment_intent"]})
    assert (expired.status, expired.url) == ("expired", None)
    assert isinstance(expired.payment_intent, stripe.PaymentIntent)
    assert expired.payment_intent.status == "canceled"
    assert waiting.location is not None
    late = httpx.post(waiting.location, data={"answer": "pass"})
    assert "has expired" in late.text
    assert twin.control.objects("charge") == []


def test_only_an_open_session_can_be_expired(client: stripe.StripeClient, twin: RunningTwin) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    twin.control.pay_at_once(session.id)
    with pytest.raises(stripe.InvalidRequestError, match="status of `complete`"):
        client.v1.checkout.sessions.expire(session.id)


def test_a_session_expires_a_day_after_its_making_by_the_twins_clock(
    client: stripe.StripeClient, twin: RunningTwin, receiver: Receiver
) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    twin.control.shift_clock(86400 - 60)
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    twin.control.shift_clock(61)
    assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert twin.control.pay_at_once(session.id).outcome == "closed"
    twin.control.drain()
    assert receiver.types() == ["checkout.session.expired"]


def test_the_clock_of_a_test_can_be_injected(tmp_path: Path) -> None:
    now = [dt.datetime(2030, 5, 1, 12, tzinfo=dt.UTC)]
    with running_twin(file=tmp_path / "twin.sqlite", clock=lambda: now[0]) as twin:
        client = stripe.StripeClient("sk_test_x", base_addresses={"api": twin.base_url}, max_network_retries=0)
        session = client.v1.checkout.sessions.create(session_params())
        assert session.created == int(now[0].timestamp())
        now[0] += dt.timedelta(hours=24)
        assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"


def test_sessions_are_found_again_by_customer_date_and_page(client: stripe.StripeClient, twin: RunningTwin) -> None:
    acme = client.v1.customers.create({"email": "buyer@acme.example"})
    ours = []
    for number in range(5):
        twin.control.shift_clock(10)
        params = session_params(customer=acme.id, client_reference_id=f"order-{number}")
        ours.append(client.v1.checkout.sessions.create(params))
    client.v1.checkout.sessions.create(session_params(client_reference_id="of-another"))

    first = client.v1.checkout.sessions.list({"customer": acme.id, "limit": 2})
    assert [session.client_reference_id for session in first.data] == ["order-4", "order-3"]
    assert first.has_more
    everything = client.v1.checkout.sessions.list({"customer": acme.id, "limit": 2}).auto_paging_iter()
    assert [session.id for session in everything] == [session.id for session in reversed(ours)]
    since = client.v1.checkout.sessions.list({"customer": acme.id, "created": {"gte": ours[3].created}})
    assert [session.id for session in since.data] == [ours[4].id, ours[3].id]
    before = client.v1.checkout.sessions.list({"customer": acme.id, "ending_before": ours[2].id, "limit": 1})
    assert [session.id for session in before.data] == [ours[3].id]


def test_manual_capture_authorises_first_and_takes_the_money_later(
    client: stripe.StripeClient, twin: RunningTwin
) -> None:
    session = client.v1.checkout.sessions.create(session_params(payment_intent_data={"capture_method": "manual"}))
    assert twin.control.pay_at_once(session.id).outcome == "authorized"
    done = client.v1.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    assert isinstance(done.payment_intent, str)
    captured = client.v1.payment_intents.capture(done.payment_intent, {"amount_to_capture": 2000})
    assert (captured.status, captured.amount_received) == ("succeeded", 2000)


@pytest.mark.parametrize(
    ("unit_amount", "currency", "code"),
    [
        (49, "eur", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (49, "jpy", "amount_too_small"),
        (100_000_000, "usd", "amount_too_large"),
        (1235, "kwd", None),
        (50, "xyz", None),
    ],
)
def test_amounts_outside_a_currencys_bounds_are_refused(
    client: stripe.StripeClient, unit_amount: int, currency: str, code: str | None
) -> None:
    lines = [line(unit_amount, quantity=1, currency=currency)]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create(session_params(line_items=lines))
    assert refused.value.code == code


@pytest.mark.parametrize(("unit_amount", "currency"), [(50, "eur"), (30, "gbp"), (50, "jpy"), (1230, "kwd")])
def test_amounts_at_the_bounds_are_accepted(client: stripe.StripeClient, unit_amount: int, currency: str) -> None:
    lines = [line(unit_amount, quantity=1, currency=currency)]
    assert client.v1.checkout.sessions.create(session_params(line_items=lines)).amount_total == unit_amount


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"payment_method_types": ["card"]}, "payment_method_types", "parameter_unknown"),
        ({"ui_mode": "hosted"}, "ui_mode", None),
        ({"success_url": "not a url"}, "success_url", "url_invalid"),
        ({"line_items": []}, "line_items", "parameter_missing"),
        ({"line_items": [line(), line(currency="usd")]}, "line_items", None),
        (
            {"line_items": [{"quantity": 1, "price_data": {"unit_amount": 5}}]},
            "line_items[0][price_data][currency]",
            "parameter_missing",
        ),
        ({"client_reference_id": "x" * 201}, "client_reference_id", None),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]", None),
        ({"customer": "cus_nobody"}, "customer", "resource_missing"),
        ({"expires_at": 1}, "expires_at", None),
    ],
)
def test_a_wrong_parameter_is_named(
    client: stripe.StripeClient, changes: dict[str, object], param: str, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create(session_params(**changes))
    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)


def test_metadata_with_digits_for_keys_stays_a_hash(client: stripe.StripeClient) -> None:
    session = client.v1.checkout.sessions.create(session_params(metadata={"0": "a", "1": "b"}))
    assert session.metadata is not None
    assert session.metadata.to_dict() == {"0": "a", "1": "b"}


def test_a_missing_object_is_404_and_a_live_key_is_never_repeated(
    client: stripe.StripeClient, twin: RunningTwin
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"No such checkout\.session: 'cs_test_none'") as missing:
        client.v1.checkout.sessions.retrieve("cs_test_none")
    assert missing.value.http_status == 404
    answer = httpx.get(f"{twin.base_url}/v1/customers", headers={"Authorization": "Bearer sk_live_precious"})
    assert answer.status_code == 401
    assert "precious" not in answer.text


def test_what_the_twin_does_not_implement_says_so(client: stripe.StripeClient, twin: RunningTwin) -> None:
    with pytest.raises(stripe.APIError, match=r"does not implement Charges\.create") as refused:
        client.v1.charges.create({"amount": 100, "currency": "eur"})
    assert refused.value.http_status == 501
    with pytest.raises(stripe.APIError, match="`discounts`") as ignored_nothing:
        client.v1.checkout.sessions.create(session_params(discounts=[{"coupon": "x"}]))
    assert ignored_nothing.value.http_status == 501
    assert twin.control.objects("checkout.session") == []


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # stripe's own call of httpx
async def test_the_asynchronous_client_works_over_httpx(twin: RunningTwin) -> None:
    http_client = stripe.HTTPXClient()
    client = stripe.StripeClient(
        "sk_test_x", base_addresses={"api": twin.base_url}, max_network_retries=0, http_client=http_client
    )
    session = await client.v1.checkout.sessions.create_async(session_params(), {"idempotency_key": "attempt-1"})
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "open"
    await http_client.close_async()  # type: ignore[no-untyped-call]  # stripe leaves it untyped


def test_events_live_thirty_days(client: stripe.StripeClient, twin: RunningTwin) -> None:
    session = client.v1.checkout.sessions.create(session_params())
    twin.control.pay_at_once(session.id)
    listed = client.v1.events.list({"types": ["checkout.session.completed", "charge.succeeded"]})
    assert [event.type for event in listed.data] == ["checkout.session.completed", "charge.succeeded"]
    twin.control.shift_clock(31 * 86400)
    assert client.v1.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        client.v1.events.retrieve(listed.data[0].id)


def test_webhook_endpoints_can_be_made_by_the_api(client: stripe.StripeClient, receiver: Receiver) -> None:
    made = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
    assert made.secret is not None
    assert made.secret not in (SECRET, "")
    assert len(client.v1.webhook_endpoints.list().data) == 2
    client.v1.webhook_endpoints.delete(made.id)
    assert len(client.v1.webhook_endpoints.list().data) == 1
