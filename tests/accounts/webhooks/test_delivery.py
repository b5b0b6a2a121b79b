"""What happened is told once written, signed, tried again for three days, and never told otherwise."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook

from accounts.webhooks.delivery import AT_ONCE, FAILING_LONGEST, KEPT, WAITS
from accounts.webhooks.events import EventType
from accounts.webhooks.model import EndpointState, MessageState, WebhookAttempt, WebhookMessage
from accounts.webhooks.outbox import announce
from accounts.webhooks.secrets import new_secret
from kernel.db import for_staff
from kernel.outgoing import Failure
from tests.accounts.conftest import Letters
from tests.accounts.webhooks.conftest import Hooks


async def test_an_event_is_delivered_signed_and_on_record(hooks: Hooks) -> None:
    endpoint, secret = await hooks.listen([EventType.ORDER_PAID])
    await hooks.happens(EventType.ORDER_PAID, number="T-2026-000123")
    await hooks.work()

    [received] = hooks.receiver.received
    message = await hooks.message(endpoint)
    assert received.event == {
        "type": "order.paid",
        "timestamp": "2026-11-21T12:00:00Z",
        "data": {"number": "T-2026-000123"},
    }
    assert received.headers["content-type"] == "application/json"
    assert received.id == str(message.id)
    assert received.is_signed_by(secret)
    assert not received.is_signed_by(new_secret())
    assert message.state is MessageState.DELIVERED
    [attempt] = await hooks.attempts(endpoint)
    assert (attempt.number, attempt.at, attempt.status, attempt.failure) == (1, hooks.clock.now(), 204, None)
    assert attempt.duration_ms >= 0


def test_signatures_are_those_of_the_specification() -> None:
    """The example of github.com/standard-webhooks, as every library of theirs has it."""
    secret, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330

    from datetime import UTC, datetime

    signed = Webhook(secret).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(at, UTC), '{"test": 2432232314}'
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_what_is_rolled_back_was_never_told(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    company_id = hooks.partner.company_id
    assert company_id is not None
    with pytest.raises(RuntimeError, match="no"):
        async with hooks.db.begin(for_staff()) as session:
            now = hooks.clock.now()
            await announce(session, company_id, EventType.ORDER_PAID, {}, at=now, now=now)
            raise RuntimeError("no")
    await hooks.work()

    assert hooks.receiver.received == []
    assert await hooks.messages(endpoint) == []


async def test_only_what_was_asked_for_is_told(hooks: Hooks) -> None:
    await hooks.listen([EventType.ORDER_CREATED])
    await hooks.happens(EventType.ORDER_PAID)
    await hooks.happens(EventType.ORDER_CREATED)
    await hooks.work()

    assert [each.type for each in hooks.receiver.received] == ["order.created"]


async def test_each_of_two_endpoints_is_told(hooks: Hooks) -> None:
    await hooks.listen()
    await hooks.listen()
    await hooks.happens()
    await hooks.work()

    assert len({each.id for each in hooks.receiver.received}) == 2


async def test_a_failure_is_tried_again_with_the_same_id_and_body_and_a_new_timestamp(hooks: Hooks) -> None:
    endpoint, secret = await hooks.listen()
    hooks.receiver.answers.append((500, b"not yet"))
    await hooks.happens(number="T-2026-000123")
    await hooks.work()
    await hooks.pass_time(minutes=6)

    first, second = hooks.receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 360
    assert first.is_signed_by(secret)
    assert second.is_signed_by(secret)
    assert [(each.status, each.answer) for each in await hooks.attempts(endpoint)] == [(500, "not yet"), (204, "")]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_takes_it(hooks: Hooks, status: int) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.always = (status, b"")
    await hooks.happens()
    await hooks.work()

    assert (await hooks.message(endpoint)).state is MessageState.DELIVERED


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
async def test_nothing_else_does(hooks: Hooks, status: int) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.always = (status, b"")
    await hooks.happens()
    await hooks.work()

    message = await hooks.message(endpoint)
    assert (message.state, message.attempts, message.failures) == (MessageState.PENDING, 1, 1)


async def test_the_waits_grow_to_three_days_and_then_the_endpoint_is_switched_off_with_a_letter(
    hooks: Hooks, letters: Letters
) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.always = (500, b"down")
    await hooks.happens()
    await hooks.work()
    due = []
    while (message := await hooks.message(endpoint)).state is MessageState.PENDING:
        assert message.next_attempt_at is not None
        due.append(message.next_attempt_at - hooks.clock.now())
        hooks.clock.set(message.next_attempt_at)
        await hooks.pass_time(minutes=5)

    assert tuple(due) == WAITS
    assert timedelta(days=3) < sum(WAITS, timedelta()) < timedelta(days=4)
    assert len(hooks.receiver.received) == len(WAITS) + 1
    assert (message.state, await hooks.state(endpoint)) == (MessageState.GIVEN_UP, EndpointState.FAILING)
    [letter] = await letters.all("webhooks_off")
    assert letter.recipient == "boss@globex.example"
    assert hooks.receiver.url in letter.text
    assert "500" in letter.text
    await hooks.happens()
    await hooks.work()
    assert len(await hooks.messages(endpoint)) == 1, "an endpoint that is off is told nothing"


async def test_the_waits_vary_by_a_tenth(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.always = (500, b"")
    for chance, wait in ((0.0, 4.5), (0.5, 5.0), (1.0, 5.5)):
        hooks.deliveries._chance = lambda chance=chance: chance  # type: ignore[misc] # bound to this turn of the loop
        await hooks.happens()
        await hooks.work()
        message = (await hooks.messages(endpoint))[-1]
        assert message.next_attempt_at == hooks.clock.now() + timedelta(seconds=wait)


async def test_one_message_given_up_does_not_switch_off_what_takes_others(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    async with hooks.db.begin(for_staff()) as session:
        await session.execute(sa.update(WebhookMessage).values(failures=len(WAITS)))
    hooks.receiver.answers.append((422, b"never"))
    await hooks.work()

    assert (await hooks.message(endpoint)).state is MessageState.GIVEN_UP
    assert await hooks.state(endpoint) is EndpointState.ON
    await hooks.happens()
    await hooks.work()
    assert (await hooks.service.find(hooks.partner, endpoint.id)).failing_since is None


async def test_410_switches_off_at_once_and_gives_up_all_that_waits(hooks: Hooks, letters: Letters) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.answers.append((500, b""))
    await hooks.happens()
    await hooks.work()
    hooks.receiver.answers.append((410, b""))
    await hooks.happens()
    await hooks.work()

    assert await hooks.state(endpoint) is EndpointState.GONE
    assert {message.state for message in await hooks.messages(endpoint)} == {MessageState.GIVEN_UP}
    assert len(await letters.all("webhooks_off")) == 1
    await hooks.pass_time(days=1)
    assert len(hooks.receiver.received) == 2


async def test_what_is_no_answer_is_on_record_as_such(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.hold = asyncio.Event()
    await hooks.happens()
    await hooks.work()

    [attempt] = await hooks.attempts(endpoint)
    assert (attempt.status, attempt.failure) == (None, Failure.TIMED_OUT)
    assert attempt.duration_ms >= 1900


async def test_answers_are_kept_to_a_kilobyte_as_text_and_without_secrets(hooks: Hooks) -> None:
    endpoint, secret = await hooks.listen()
    hooks.receiver.answers.append((200, f"\x00{secret} is mine ".encode() + b"\xff" + b"x" * 5000))
    await hooks.happens()
    await hooks.work()

    [attempt] = await hooks.attempts(endpoint)
    assert attempt.answer.startswith("\ufffd(secret) is mine \ufffdx")
    assert len(attempt.answer) <= 1024


async def test_a_secret_cut_off_at_the_kilobyte_is_not_shown_either(hooks: Hooks) -> None:
    endpoint, secret = await hooks.listen()
    hooks.receiver.answers.append((200, b"x" * 1000 + secret.encode()))
    await hooks.happens()
    await hooks.work()

    [attempt] = await hooks.attempts(endpoint)
    assert attempt.answer == "x" * 1000


async def test_a_slow_receiver_gets_four_at_once_and_keeps_nothing_from_others(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.hold = asyncio.Event()
    for _ in range(AT_ONCE + 3):
        await hooks.happens()
    ids = [str(message.id) for message in await hooks.messages(endpoint)]
    sending = [asyncio.create_task(hooks.deliveries.send(each, 1)) for each in ids]
    done, _ = await asyncio.wait(sending, timeout=0.5)

    assert len(done) == 3, "they are put off"
    assert hooks.receiver.most_at_once == AT_ONCE
    hooks.receiver.hold.set()
    await asyncio.gather(*sending)
    await hooks.work()
    assert {message.state for message in await hooks.messages(endpoint)} == {MessageState.DELIVERED}
    assert len(hooks.receiver.received) == AT_ONCE + 3


async def test_one_attempt_made_by_two_jobs_at_once_is_recorded_once(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    message = await hooks.message(endpoint)
    await asyncio.gather(*(hooks.deliveries.send(str(message.id), 1) for _ in range(2)))

    assert len(await hooks.attempts(endpoint)) == 1
    assert len({each.body for each in hooks.receiver.received}) == 1


async def test_a_lost_job_is_made_up_for(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    async with hooks.db.begin(for_staff()) as session:
        await session.execute(sa.text("delete from procrastinate_jobs"))
    await hooks.pass_time(minutes=4)
    assert hooks.receiver.received == []
    await hooks.pass_time(minutes=2)

    assert (await hooks.message(endpoint)).state is MessageState.DELIVERED


async def test_a_message_of_an_endpoint_switched_off_meanwhile_is_given_up(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    async with hooks.db.begin(for_staff()) as session:
        await session.execute(sa.text("update webhook_endpoint set state = 'off'"))
    await hooks.work()

    assert (await hooks.message(endpoint)).state is MessageState.GIVEN_UP
    assert hooks.receiver.received == []


async def test_after_a_month_messages_are_forgotten_unless_they_wait(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    await hooks.work()
    hooks.receiver.always = (500, b"")
    await hooks.happens()
    await hooks.work()
    hooks.clock.advance(seconds=(KEPT + timedelta(seconds=1)).total_seconds())
    await hooks.deliveries.delete_old()

    assert [message.state for message in await hooks.messages(endpoint)] == [MessageState.PENDING]
    async with hooks.db.begin(for_staff()) as session:
        assert len((await session.scalars(sa.select(WebhookAttempt))).all()) == 1


@pytest.mark.parametrize("column", ["body = ''", "event_type = 'x'", "occurred_at = now()", "company_id = null"])
async def test_the_database_lets_nobody_change_what_a_message_says(hooks: Hooks, column: str) -> None:
    await hooks.listen()
    await hooks.happens()
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        async with hooks.db.begin(for_staff()) as session:
            await session.execute(sa.text(f"update webhook_message set {column}"))


def test_an_endpoint_is_off_only_after_days() -> None:
    assert timedelta(days=2) < FAILING_LONGEST < sum(WAITS, timedelta()) * 0.9
