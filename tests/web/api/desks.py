"""Programs of the finance desk: a clerk's, who writes, and the chief's, who approves."""

from collections.abc import Iterable

import httpx
import sqlalchemy as sa

from accounts.model import ApiCall, DeskScope, StaffKey, StaffRole
from accounts.repeated_calls import ABANDONED
from kernel.db import for_staff
from tests.web.api.partners import Program, person
from tests.web.conftest import PASSWORD, Shop

CLERK = "finance@meridian.example"
CHIEF = "chief@meridian.example"
URL = "/api/v1/desk"
ALL = tuple(scope.value for scope in DeskScope)
ARMCHAIR = {"kind": "row", "list": "PUBLIC-EUR", "sku": "CRUNCHY-ARMCHAIR", "unit": "each"}


async def make_chief(shop: Shop) -> None:
    """Somebody to approve what the clerk writes, from now on before it is published."""
    shop.services.pricing.approval_required = True
    await shop.services.members.create_staff(email=CHIEF, name="Chief", password=PASSWORD, role=StaffRole.ADMIN)


async def staff_key(shop: Shop, email: str = CLERK, scopes: Iterable[str] = ALL) -> tuple[StaffKey, str]:
    """A new key of one of the house's people."""
    services = shop.services
    principal = await person(shop, email)
    for key, _ in await services.staff_keys.list_keys(principal):
        if key.name == "tests" and key.person_id == principal.person_id:
            await services.staff_keys.revoke(principal, key.key_id)
    return await services.staff_keys.create(principal, name="tests", scopes=scopes)


async def desk(shop: Shop, email: str = CLERK, scopes: Iterable[str] = ALL) -> Program:
    return Program(shop, (await staff_key(shop, email, scopes))[1])


async def begin(program: Program, title: str = "Spring") -> str:
    """Open a draft; returns its address."""
    answer = ok(await program.post(f"{URL}/drafts", json={"title": title}), 201)
    return answer.headers["location"]


async def reprice(program: Program, draft: str, price: str) -> httpx.Response:
    """Ask *price* for the armchair, as a program that reads before it writes."""
    seen = ok(await program.get(f"{draft}/object", params=ARMCHAIR))
    content = seen.json()["content"] | {"tiers": [{"from": "0", "unit_price": price, "flat_fee": "0"}]}
    return await program.put(
        f"{draft}/object", params=ARMCHAIR, json={"content": content}, headers={"if-match": seen.headers["etag"]}
    )


async def acknowledge(program: Program, draft: str) -> None:
    """Accept every warning that waits."""
    found = ok(await program.get(f"{draft}/findings?limit=1000")).json()
    assert found["errors"] == 0
    waiting = [each["digest"] for each in found["findings"] if each["acknowledged"] is None]
    if waiting:
        ok(await program.post(f"{draft}/acknowledgements", json={"findings": waiting, "reason": "Meant so"}), 204)


async def ready(clerk: Program, chief: Program, price: str = "19") -> str:
    """A draft that asks *price* for the armchair, acknowledged and approved."""
    draft = await begin(clerk)
    ok(await reprice(clerk, draft, price))
    await acknowledge(clerk, draft)
    version = ok(await clerk.get(draft)).json()["version"]
    ok(await clerk.post(f"{draft}/submission", json={"version": version}))
    ok(await chief.post(f"{draft}/approval", json={"version": version}))
    return draft


async def forget_answer(shop: Shop, name: str) -> None:
    """As if the process had died before it answered the call of this name."""
    async with shop.services.db.begin(for_staff()) as session:
        await session.execute(
            sa.update(ApiCall)
            .where(ApiCall.idempotency_key == name)
            .values(status=None, headers=None, body=None, begun_at=shop.clock.now() - ABANDONED)
        )


def ok(answer: httpx.Response, status: int = 200) -> httpx.Response:
    assert answer.status_code == status, answer.text
    return answer
