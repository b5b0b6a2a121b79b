"""A call that names itself is done once: same key and body, same bytes; other body, 409; two at once, one runs."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from accounts.model import ApiCall
from accounts.repeated_calls import ABANDONED, KEPT, CallInProgress, Claim, KeptAnswer, Owner, RepeatedCalls
from kernel.clock import FixedClock
from kernel.db import for_staff
from tests.web.api.partners import ACME, GLOBEX, Program, key_of
from tests.web.conftest import Shop

BODY = {"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "12"}]}
URL = "/api/v1/signed-quotes"


async def named(program: Program, name: str, body: dict[str, Any] | None = None, url: str = URL) -> Any:
    return await program.post(url, json=body or BODY, headers={"Idempotency-Key": name})


async def test_the_same_call_again_is_answered_with_the_same_bytes_and_does_nothing(partner_shop: Shop) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    first = await named(program, "one")
    again = await named(program, "one")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert (again.headers["etag"], again.headers["content-type"]) == (first.headers["etag"], "application/json")
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (await named(program, "two")).json()["id"] != first.json()["id"]


async def test_another_key_of_the_same_company_repeats_the_call(partner_shop: Shop) -> None:
    first = await named(Program(partner_shop, await key_of(partner_shop, ACME)), "rotated")
    again = await named(Program(partner_shop, await key_of(partner_shop, ACME)), "rotated")

    assert again.content == first.content


@pytest.mark.parametrize("other", ["body", "address"])
async def test_another_call_under_the_name_is_refused(partner_shop: Shop, other: str) -> None:
    program, name = Program(partner_shop, await key_of(partner_shop, ACME)), f"taken {other}"
    await named(program, name)
    body, url = ({**BODY, "valid_days": 3}, URL) if other == "body" else (BODY, "/api/v1/quotes")
    answer = await named(program, name, body, url)

    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/idempotency-key-reused"


async def test_names_of_two_companies_have_nothing_to_do_with_each_other(partner_shop: Shop) -> None:
    acme = await named(Program(partner_shop, await key_of(partner_shop, ACME)), "shared name")
    globex = await named(Program(partner_shop, await key_of(partner_shop, GLOBEX)), "shared name")

    assert (acme.status_code, globex.status_code) == (201, 201)
    assert (acme.json()["buyer"]["company"], globex.json()["buyer"]["company"]) == ("acme", "globex")


async def test_of_many_at_once_one_runs(partner_shop: Shop) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    answers = await asyncio.gather(*(named(program, "at once") for _ in range(8)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    others = [answer for answer in answers if answer.status_code != 201]

    assert len(made) == 1
    for answer in others:
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/call-in-progress"
        assert answer.headers["retry-after"] == "1"
    assert (await named(program, "at once")).json()["id"] in made


async def test_a_refused_call_did_nothing_and_may_be_mended_under_its_name(partner_shop: Shop) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    refused = await named(program, "mended", {"lines": [{"sku": "NO-SUCH-SKU", "quantity": "1"}]})

    assert refused.status_code == 422
    assert (await named(program, "mended")).status_code == 201


@pytest.mark.parametrize("name", [b"", b"x" * 256, b"caf\xe9", b"a\tb"])
async def test_a_name_that_cannot_be_one_is_refused(partner_shop: Shop, name: bytes) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    answer = await program.post(URL, json=BODY, headers=[(b"Idempotency-Key", name)])

    assert answer.status_code == 400
    assert answer.json()["detail"] == "Idempotency-Key takes 1 to 255 printable ASCII characters, such as a UUID."


async def test_nothing_is_kept_for_whom_nobody_knows(partner_shop: Shop) -> None:
    program = Program(partner_shop)
    first = await named(program, "guest", url="/api/v1/quotes")
    other = await named(program, "guest", {"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "1"}]}, "/api/v1/quotes")

    assert (first.status_code, other.status_code) == (200, 200)


@pytest.fixture
def calls(partner_shop: Shop) -> RepeatedCalls:
    services = partner_shop.services
    return RepeatedCalls(services.db, FixedClock(partner_shop.clock.now()), services.keyring)


async def company_id(shop: Shop) -> uuid.UUID:
    principal = await shop.services.api_keys.authenticate_key(await key_of(shop, ACME))
    assert principal.company is not None
    return principal.company.id


async def begun(calls: RepeatedCalls, company: uuid.UUID, name: str, digest: bytes = b"1") -> Claim:
    claim = await calls.claim(Owner(company_id=company), name, digest)
    assert isinstance(claim, Claim)
    return claim


async def test_a_call_that_died_is_done_again_under_its_id(partner_shop: Shop, calls: RepeatedCalls) -> None:
    company, now = await company_id(partner_shop), partner_shop.clock.now()
    first = await begun(calls, company, "died")
    calls._clock = FixedClock(now + ABANDONED - timedelta(seconds=1))
    with pytest.raises(CallInProgress):
        await calls.claim(Owner(company_id=company), "died", b"1")
    calls._clock = FixedClock(now + ABANDONED)
    second = await begun(calls, company, "died")

    assert (second.id, first.again, second.again) == (first.id, False, True)
    with pytest.raises(CallInProgress):
        await calls.claim(Owner(company_id=company), "died", b"1")


async def test_a_quote_signed_before_the_crash_is_the_answer_after_it(partner_shop: Shop) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    services = partner_shop.services
    first = await named(program, "crashed")
    async with services.db.begin(for_staff()) as session:
        await session.execute(
            sa.update(ApiCall)
            .where(ApiCall.idempotency_key == "crashed")
            .values(status=None, headers=None, body=None, begun_at=partner_shop.clock.now() - ABANDONED)
        )
    again = await named(program, "crashed")

    assert again.status_code == 201
    assert again.content == first.content
    assert "idempotency-replayed" not in again.headers


async def test_a_name_is_free_again_after_a_day(partner_shop: Shop, calls: RepeatedCalls) -> None:
    company, now = await company_id(partner_shop), partner_shop.clock.now()
    first = await begun(calls, company, "old")
    await calls.keep(first, KeptAnswer(201, {"a": "b"}, b"body"))
    assert await calls.claim(Owner(company_id=company), "old", b"1") == KeptAnswer(201, {"a": "b"}, b"body")
    calls._clock = FixedClock(now + KEPT)
    second = await begun(calls, company, "old", b"2")

    assert (second.id != first.id, second.again) == (True, False)


async def test_what_is_old_is_deleted_and_nothing_else(partner_shop: Shop, calls: RepeatedCalls) -> None:
    company, now = await company_id(partner_shop), partner_shop.clock.now()
    calls._clock = FixedClock(now - KEPT)
    await calls.keep(await begun(calls, company, "yesterday"), KeptAnswer(200, {}, b""))
    calls._clock = FixedClock(now)
    kept = KeptAnswer(200, {}, b"kept")
    await calls.keep(await begun(calls, company, "today"), kept)
    await calls.delete_old()

    async with partner_shop.services.db.begin(for_staff()) as session:
        names = set(await session.scalars(sa.select(ApiCall.idempotency_key)))
    assert "yesterday" not in names
    assert await calls.claim(Owner(company_id=company), "today", b"1") == kept
