"""Endpoints: made, changed, their secrets rotated, what they were sent looked at and sent again."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.key_service import ApiKeys
from accounts.limits import TooManyAttempts
from accounts.model import StaffRole
from accounts.principal import Principal
from accounts.webhooks.events import SCOPES, EventType
from accounts.webhooks.model import EndpointState, MessageState
from accounts.webhooks.secrets import live_secrets
from accounts.webhooks.service import (
    ENDPOINTS_MOST,
    OVERLAP,
    REPLAYED_MOST,
    SENDS,
    EndpointIsOff,
    EventsNotReadable,
    NoSuchEndpoint,
    NoSuchMessage,
    TooManyEndpoints,
    Webhooks,
)
from kernel.db import Database, for_company, for_staff
from kernel.outgoing import UrlRefused
from kernel.signing import CannotDecrypt, Keyring
from tests.accounts.conftest import Cast
from tests.accounts.webhooks.conftest import Hooks, partner_of


def test_every_event_says_what_its_reader_must_be_allowed() -> None:
    assert set(SCOPES) == set(EventType)


async def test_a_secret_is_shown_once_and_kept_encrypted(hooks: Hooks, keyring: Keyring) -> None:
    endpoint, secret = await hooks.listen()

    assert secret.startswith("whsec_")
    found = await hooks.service.find(hooks.partner, endpoint.id)
    assert secret.encode() not in bytes(found.secret)
    assert secret not in repr(found)
    assert live_secrets(keyring, found, hooks.clock.now()) == [secret]
    other, _ = await hooks.listen()
    other.secret = found.secret
    with pytest.raises(CannotDecrypt):
        live_secrets(keyring, other, hooks.clock.now())


async def test_for_a_day_after_a_rotation_both_secrets_sign(hooks: Hooks) -> None:
    endpoint, old = await hooks.listen()
    _, new = await hooks.service.rotate_secret(hooks.partner, endpoint.id)
    await hooks.happens()
    await hooks.work()
    hooks.clock.advance(seconds=OVERLAP.total_seconds())
    await hooks.happens()
    await hooks.work()

    during, after = hooks.receiver.received
    assert (during.is_signed_by(new), during.is_signed_by(old)) == (True, True)
    assert (after.is_signed_by(new), after.is_signed_by(old)) == (True, False)


async def test_a_second_rotation_ends_the_first_secret_at_once(hooks: Hooks) -> None:
    endpoint, first = await hooks.listen()
    _, second = await hooks.service.rotate_secret(hooks.partner, endpoint.id)
    _, third = await hooks.service.rotate_secret(hooks.partner, endpoint.id)
    await hooks.happens()
    await hooks.work()

    [received] = hooks.receiver.received
    assert [received.is_signed_by(secret) for secret in (first, second, third)] == [False, True, True]


@pytest.mark.parametrize("url", ["http://hooks.partner.example/", "https://10.0.0.1/", "https://localhost/"])
async def test_an_address_that_we_send_nothing_to_is_refused_when_made_and_when_changed(hooks: Hooks, url: str) -> None:
    endpoint, _ = await hooks.listen()
    with pytest.raises(UrlRefused):
        await hooks.service.create(hooks.partner, url=url, event_types=[EventType.ORDER_PAID])
    with pytest.raises(UrlRefused):
        await hooks.service.change(hooks.partner, endpoint.id, url=url)


async def test_loopback_is_refused_unless_the_installation_says_otherwise(hooks: Hooks, keyring: Keyring) -> None:
    service = Webhooks(hooks.db, hooks.clock, keyring)

    with pytest.raises(UrlRefused):
        await service.create(hooks.partner, url=hooks.receiver.url, event_types=[EventType.ORDER_PAID])


@pytest.mark.parametrize("event_type", list(EventType))
async def test_a_key_cannot_have_told_what_it_cannot_read(
    hooks: Hooks, cast: Cast, keys: ApiKeys, event_type: EventType
) -> None:
    endpoint, _ = await hooks.listen()
    poor = await partner_of(cast, keys, "initech", ["webhooks:manage"])
    with pytest.raises(EventsNotReadable) as refused:
        await hooks.service.create(poor, url=hooks.receiver.url, event_types=[event_type])
    with pytest.raises(EventsNotReadable):
        await hooks.service.change(poor, endpoint.id, event_types=[event_type])

    assert refused.value.extra == {"scope": SCOPES[event_type].value}


async def test_a_company_has_ten_endpoints_at_most_also_when_made_at_once(hooks: Hooks) -> None:
    made = await asyncio.gather(*(hooks.listen() for _ in range(ENDPOINTS_MOST + 2)), return_exceptions=True)

    assert sum(isinstance(each, TooManyEndpoints) for each in made) == 2
    assert len(await hooks.service.list_endpoints(hooks.partner)) == ENDPOINTS_MOST


async def test_what_is_changed_is_changed_and_nothing_else(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    hooks.clock.advance(minutes=1)
    changed = await hooks.service.change(hooks.partner, endpoint.id, description="Orders")

    assert (changed.description, changed.url, changed.event_types) == ("Orders", endpoint.url, endpoint.event_types)
    changed = await hooks.service.change(
        hooks.partner, endpoint.id, url="https://hooks.partner.example/x", event_types=[EventType.ORDER_PAID]
    )
    assert (changed.description, changed.url) == ("Orders", "https://hooks.partner.example/x")
    assert changed.event_types == ["order.paid"]


async def test_switched_off_nothing_is_sent_and_what_waits_is_given_up_to_be_asked_for_again(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.answers.append((500, b""))
    await hooks.happens()
    await hooks.work()
    await hooks.service.change(hooks.partner, endpoint.id, on=False)
    await hooks.happens()
    await hooks.pass_time(hours=1)

    assert len(hooks.receiver.received) == 1
    assert (await hooks.message(endpoint)).state is MessageState.GIVEN_UP
    back = await hooks.service.change(hooks.partner, endpoint.id, on=True)
    assert (back.state, back.failing_since) == (EndpointState.ON, None)
    since = hooks.clock.now() - timedelta(hours=2)
    assert await hooks.service.replay_window(hooks.partner, endpoint.id, since=since) == 1
    await hooks.work()
    assert (await hooks.message(endpoint)).state is MessageState.DELIVERED


async def test_a_deleted_endpoint_is_gone_with_its_messages(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    message = await hooks.message(endpoint)
    await hooks.service.delete(hooks.partner, endpoint.id)
    await hooks.work()

    assert hooks.receiver.received == []
    with pytest.raises(NoSuchEndpoint):
        await hooks.service.find(hooks.partner, endpoint.id)
    with pytest.raises(NoSuchMessage):
        await hooks.service.find_message(hooks.partner, message.id)


async def test_a_test_is_sent_whatever_the_endpoint_listens_to(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen([EventType.ORDER_PAID])
    await hooks.service.send_test(hooks.partner, endpoint.id)
    await hooks.work()

    [received] = hooks.receiver.received
    assert received.event["type"] == "webhook.test"
    assert received.event["data"] == {"endpoint_id": str(endpoint.id)}


async def test_a_delivered_message_is_sent_again_with_its_id_and_body(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens(number="T-2026-000123")
    await hooks.work()
    message = await hooks.message(endpoint)
    replayed = await hooks.service.replay(hooks.partner, message.id)
    assert replayed.message.state is MessageState.PENDING
    await hooks.work()

    first, second = hooks.receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert [each.number for each in await hooks.attempts(endpoint)] == [1, 2]


async def test_a_replay_begins_the_waits_anew_and_the_old_job_sends_nothing_more(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    hooks.receiver.answers.extend([(500, b""), (500, b"")])
    await hooks.happens()
    await hooks.work()  # the first failure, and its job for later, which the database's clock has due already
    message = await hooks.message(endpoint)
    await hooks.service.replay(hooks.partner, message.id)
    await hooks.work()
    await hooks.work()

    message = await hooks.message(endpoint)
    assert (message.attempts, message.failures) == (2, 1)
    assert len(hooks.receiver.received) == 2


async def test_a_window_is_sent_again_oldest_first_and_half_open(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    begun = hooks.clock.now()
    for number in range(4):
        await hooks.happens(number=number)
        hooks.clock.advance(minutes=1)
    await hooks.work()
    sent = len(hooks.receiver.received)

    since, until = begun + timedelta(minutes=1), begun + timedelta(minutes=3)
    assert await hooks.service.replay_window(hooks.partner, endpoint.id, since=since, until=until) == 0
    count = await hooks.service.replay_window(hooks.partner, endpoint.id, since=since, until=until, delivered_too=True)
    await hooks.work()

    assert (sent, count) == (4, 2)
    assert [each.event["data"] for each in hooks.receiver.received[sent:]] == [{"number": 1}, {"number": 2}]
    assert REPLAYED_MOST == 1000


async def test_nothing_is_sent_to_an_endpoint_that_is_off(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    await hooks.work()
    message = await hooks.message(endpoint)
    await hooks.service.change(hooks.partner, endpoint.id, on=False)

    for asked in (
        hooks.service.send_test(hooks.partner, endpoint.id),
        hooks.service.replay(hooks.partner, message.id),
        hooks.service.replay_window(hooks.partner, endpoint.id, since=endpoint.created_at),
    ):
        with pytest.raises(EndpointIsOff):
            await asked


async def test_what_makes_us_send_cannot_be_had_without_end(hooks: Hooks) -> None:
    endpoint, _ = await hooks.listen()
    for _ in range(SENDS.count):
        await hooks.service.send_test(hooks.partner, endpoint.id)
    with pytest.raises(TooManyAttempts):
        await hooks.service.send_test(hooks.partner, endpoint.id)

    hooks.clock.advance(hours=1)
    await hooks.service.send_test(hooks.partner, endpoint.id)


async def test_another_companys_endpoints_and_messages_are_not_there(hooks: Hooks, cast: Cast, keys: ApiKeys) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    message = await hooks.message(endpoint)
    stranger = await partner_of(cast, keys, "initech")
    service = hooks.service

    assert await service.list_endpoints(stranger) == []
    for attempt in (
        service.find(stranger, endpoint.id),
        service.change(stranger, endpoint.id, on=False),
        service.delete(stranger, endpoint.id),
        service.rotate_secret(stranger, endpoint.id),
        service.send_test(stranger, endpoint.id),
        service.list_messages(stranger, endpoint.id),
        service.replay_window(stranger, endpoint.id, since=hooks.clock.now()),
    ):
        with pytest.raises(NoSuchEndpoint):
            await attempt
    for other in (service.find_message(stranger, message.id), service.replay(stranger, message.id)):
        with pytest.raises(NoSuchMessage):
            await other


async def test_an_event_of_another_company_is_not_told(hooks: Hooks, cast: Cast, keys: ApiKeys) -> None:
    stranger = await partner_of(cast, keys, "initech")
    await hooks.service.create(stranger, url=hooks.receiver.url, event_types=list(EventType))
    await hooks.happens()
    await hooks.work()

    assert hooks.receiver.received == []


@pytest.mark.parametrize("table", ["webhook_endpoint", "webhook_message", "webhook_attempt", "webhook_told"])
async def test_the_database_itself_hides_other_companies_rows(
    hooks: Hooks, cast: Cast, keys: ApiKeys, database: Database, table: str
) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    await hooks.work()
    stranger = await partner_of(cast, keys, "initech")

    async def rows_for(principal: Principal) -> int:
        assert principal.company_id is not None
        async with database.begin(for_company(principal.company_id)) as session:
            return int(await session.scalar(sa.text(f"select count(*) from {table}")) or 0)

    async with database.begin(for_staff()) as session:
        await session.execute(
            sa.text("insert into webhook_told values (:company, 1, 'sha256:', now(), 'reader', null)"),
            {"company": endpoint.company_id},
        )
    assert (await rows_for(hooks.partner), await rows_for(stranger)) == (1, 0)


async def test_staff_see_every_companys_endpoints_and_send_again(hooks: Hooks, cast: Cast) -> None:
    endpoint, _ = await hooks.listen()
    await hooks.happens()
    await hooks.work()
    support = await cast.staff(StaffRole.SUPPORT)

    [row] = await hooks.service.list_all(support)
    assert (row.endpoint.id, row.company.code) == (endpoint.id, "globex")
    [listed] = await hooks.service.list_messages(support, endpoint.id)
    assert listed.last is not None
    assert listed.last.status == 204
    await hooks.service.replay(support, listed.message.id)
    await hooks.work()
    assert len(hooks.receiver.received) == 2
