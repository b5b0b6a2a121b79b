"""Stripe's side of a case: the twin, or with `STRIPE_CASES=sandbox` a sandbox of Stripe's own."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from checkout.stripe_gateway import READ_SECONDS, StripeGateway
from kernel.clock import FixedClock, SystemClock
from sandbox.stripe_twin import running_twin
from sandbox.stripe_twin.cards import TEST_CARDS
from tests.stripe_cases import hosted_page
from tests.stripe_cases.sandbox import CHOICE, refused

NUMBERS = {card.name: card.number for card in TEST_CARDS}


class Side(msgspec.Struct, frozen=True):
    """*pay* pays a Session at its page with a card of the twin's names, as a buyer does."""

    gateway: StripeGateway
    pay: Callable[[str, str, str], Awaitable[None]]
    """The Session's id and address, the card."""


@pytest.fixture
async def side(clock: FixedClock, tmp_path: Path) -> AsyncIterator[Side]:
    if os.environ.get(CHOICE) == "sandbox":
        key = os.environ.get("STRIPE_API_KEY", "")
        assert refused(key) is None, refused(key)
        gateway = StripeGateway(api_key=key, webhook_secrets=(), clock=SystemClock(), read_seconds=4 * READ_SECONDS)

        async def at_stripe(_: str, url: str, card: str) -> None:
            await hosted_page.pay(url, NUMBERS[card])

        yield Side(gateway, at_stripe)
        await gateway.close()
        return
    with running_twin(file=tmp_path / "twin.sqlite", clock=clock.now) as twin:
        gateway = StripeGateway(api_key="sk_test_x", webhook_secrets=(), clock=clock, api_base=twin.base_url)

        async def at_the_twin(session_id: str, _: str, card: str) -> None:
            twin.control.pay_at_once(session_id, card)

        yield Side(gateway, at_the_twin)
        await gateway.close()
        assert [found for found in twin.control.violations() if found["direction"] != "request"] == []
