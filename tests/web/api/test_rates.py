"""Requests are counted by the minute, by key or by network, and every answer says how many are left."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.request_rates import RequestRates, TooManyRequests
from kernel.db import Database
from tests.web.api.partners import ACME, Program, key_of
from tests.web.conftest import Shop, _open

LIMITS = {"API_REQUESTS_A_MINUTE": "40", "API_GUEST_REQUESTS_A_MINUTE": "3"}


@pytest.fixture
async def limited_shop(demo_database_url: str) -> AsyncIterator[Shop]:
    async with _open(demo_database_url, None, **LIMITS) as shop:
        yield shop


def left(answer: Any) -> int:
    found = re.fullmatch(r'"requests";r=([0-9]+);t=([0-9]+)', answer.headers["ratelimit"])
    assert found is not None
    assert 1 <= int(found[2]) <= 60
    return int(found[1])


async def test_a_key_is_told_what_is_left_until_there_is_nothing_and_a_minute_later_all(limited_shop: Shop) -> None:
    program = Program(limited_shop, await key_of(limited_shop, ACME))
    seen = []
    for _ in range(40):
        answer = await program.get("/api/v1/prices/CRUNCHY-ARMCHAIR")
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"requests";q=40;w=60'
        seen.append(left(answer))

    assert seen == list(range(39, -1, -1))
    refused = await program.get("/api/v1/prices/CRUNCHY-ARMCHAIR")
    assert refused.status_code == 429
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert refused.headers["retry-after"] == "60"
    limited_shop.clock.advance(seconds=60)
    assert left(await program.get("/api/v1/prices/CRUNCHY-ARMCHAIR")) == 39


async def test_a_network_without_a_key_is_counted_apart(limited_shop: Shop) -> None:
    guest, partner = Program(limited_shop), Program(limited_shop, await key_of(limited_shop, ACME))
    answers = [await guest.get("/api/v1/prices/CRUNCHY-ARMCHAIR") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (await partner.get("/api/v1/prices/CRUNCHY-ARMCHAIR")).status_code == 200


async def test_pages_are_not_counted_as_requests_of_programs(limited_shop: Shop) -> None:
    guest = Program(limited_shop)
    answers = [await guest.get("/prices", headers={"accept": "text/html"}) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


async def test_workers_share_the_minute(limited_shop: Shop) -> None:
    """Each holds back no more than its share of a twentieth, and together they never give out more than agreed."""
    services, now = limited_shop.services, limited_shop.clock.now()
    workers = [RequestRates(services.db, workers=2) for _ in range(2)]
    given = 0
    for turn in range(400):
        try:
            await workers[turn % 2].count("key shared", 100, now)
        except TooManyRequests:
            continue
        given += 1

    assert given == 100


async def test_nobody_is_held_back_while_requests_cannot_be_counted() -> None:
    nowhere = Database.connect("postgresql://nobody@127.0.0.1:1/nothing")
    rates = RequestRates(nowhere, workers=1)
    allowances = [await rates.count("key x", 1, datetime(2026, 1, 1, tzinfo=UTC)) for _ in range(3)]
    await nowhere.close()

    assert [allowance.remaining for allowance in allowances] == [1, 1, 1]
