"""Globex's program, a partner's server, and what sends to it."""

from collections.abc import AsyncIterator, Collection, Sequence

import msgspec
import pytest

from accounts.key_service import ApiKeys
from accounts.model import KeyScope, MemberRole
from accounts.principal import Principal
from accounts.webhooks import store
from accounts.webhooks.delivery import Deliveries
from accounts.webhooks.events import EventType
from accounts.webhooks.model import EndpointState, WebhookAttempt, WebhookEndpoint, WebhookMessage
from accounts.webhooks.outbox import QUEUE, announce
from accounts.webhooks.service import Webhooks
from kernel.clock import FixedClock
from kernel.db import Database, for_staff
from kernel.jobs import Jobs
from kernel.outgoing import Sender
from kernel.signing import Keyring
from tests.accounts.conftest import Cast
from tests.receiver import Receiver, receiving

ALL = tuple(EventType)


class Hooks(msgspec.Struct):
    """Shorthand for arranging."""

    db: Database
    clock: FixedClock
    service: Webhooks
    deliveries: Deliveries
    jobs: Jobs
    partner: Principal
    receiver: Receiver

    async def listen(self, event_types: Collection[EventType] = ALL) -> tuple[WebhookEndpoint, str]:
        """An endpoint of the partner's at the receiver, with its secret."""
        return await self.service.create(self.partner, url=self.receiver.url, event_types=event_types)

    async def happens(self, event_type: EventType = EventType.ORDER_PAID, **data: object) -> None:
        assert self.partner.company_id is not None
        async with self.db.begin(for_staff()) as session:
            now = self.clock.now()
            await announce(session, self.partner.company_id, event_type, data, at=now, now=now)

    async def work(self) -> None:
        """Do all jobs that are due by the database's clock, which is ahead of ours."""
        await self.jobs.run_pending()

    async def pass_time(self, **by: float) -> None:
        """What the sweep of each minute brings about."""
        self.clock.advance(**by)
        await self.deliveries.sweep()
        await self.work()

    async def messages(self, endpoint: WebhookEndpoint) -> list[WebhookMessage]:
        """Oldest first."""
        return [each.message for each in await self.service.list_messages(self.partner, endpoint.id)][::-1]

    async def message(self, endpoint: WebhookEndpoint) -> WebhookMessage:
        [message] = await self.messages(endpoint)
        return message

    async def attempts(self, endpoint: WebhookEndpoint) -> Sequence[WebhookAttempt]:
        message = await self.message(endpoint)
        return (await self.service.find_message(self.partner, message.id)).attempts

    async def state(self, endpoint: WebhookEndpoint) -> EndpointState:
        async with self.db.begin(for_staff()) as session:
            found = await store.find_endpoint(session, endpoint.id)
        assert found is not None
        return found.state


async def partner_of(cast: Cast, keys: ApiKeys, code: str = "globex", scopes: Sequence[str] = ()) -> Principal:
    """A program of the company *code*, with all scopes unless said."""
    company = await cast.company(code)
    admin = await cast.member(company.id, f"boss@{code}.example", MemberRole.ADMIN)
    _, text = await keys.create_api_key(admin, name="webhooks", scopes=scopes or [scope.value for scope in KeyScope])
    return await keys.authenticate_key(text)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
def keyring(clock: FixedClock) -> Keyring:
    return Keyring.generate(now=clock.now())


@pytest.fixture
async def hooks(
    cast: Cast,
    keys: ApiKeys,
    database: Database,
    database_url: str,
    clock: FixedClock,
    keyring: Keyring,
    receiver: Receiver,
) -> Hooks:
    sender = Sender(loopback=True, seconds=2)
    deliveries = Deliveries(database, clock, keyring, sender, base_url="https://shop.example", chance=lambda: 0.5)
    jobs = Jobs(database_url, queues={QUEUE: 8})
    for task, handler in deliveries.job_handlers().items():
        jobs.register(task, handler)
    return Hooks(
        db=database,
        clock=clock,
        service=Webhooks(database, clock, keyring, loopback=True),
        deliveries=deliveries,
        jobs=jobs,
        partner=await partner_of(cast, keys),
        receiver=receiver,
    )
