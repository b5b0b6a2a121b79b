"""Every address that takes an id: another company's id answers as one that does not exist, in all that an answer has.

The addresses come from the application itself. Which parameter names whose thing stands in `OWNED`, `EVERYBODYS` and
`HOUSE`; an address with a parameter that stands in none fails the first test, before anybody thinks of trying it.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator

import msgspec
import pytest
import sqlalchemy as sa

from kernel.db import for_staff
from kernel.ids import new_id
from tests.security.house import MEMBERS, SECRETS, Belongings, Caller, House, company_tables, log_in, webhook_message
from tests.security.routes import Route
from tests.security.test_two_companies import alike
from tests.security.wire import Answer
from tests.web.conftest import PASSWORD

OWNED = {
    "number": ("order", "open_order"),
    "quote_id": ("signed_quote",),
    "framework": ("framework",),
    "endpoint_id": ("webhook_endpoint",),
    "message_id": ("webhook_message",),
    "invitation": ("invitation",),
    "key_id": ("key",),
    "person": ("person",),
    "card": ("card",),
    "export": ("data_export",),
    "request_id": ("approval",),
    "package_id": ("package",),
    "party_id": ("party",),
}
"""What of a company's belongings the parameter names."""
EVERYBODYS = {"root", "kind", "sku", "category", "code", "label", "language", "slug", "digest", "name", "size"}
"""The same for every company: what of it each may see is another question, asked below."""
HELD = {
    "rendering": "a name in the manifest of a template, which belongs to the house",
    "template": "a digest of a page's template, the same for every company",
    "position": "a line of the caller's own cart",
    "token": "whoever holds the letter may read it",
}
"""No id of anybody's rows."""
LATER = ("/payment/return", "/evidence.json", "/signed.pdf")
"""Endings of what is there for its owner once the payment, or the last signature, has come."""
HOUSE = ("/desk/", "/api/v1/desk/")
"""Where staff see every company, and nobody else sees anything."""
BODIES = {
    "PATCH /api/v1/webhook-endpoints/{endpoint_id}": {"description": "ours now"},
    "POST /api/v1/webhook-endpoints/{endpoint_id}/replay": {"since": "2026-11-20T00:00:00Z"},
}
COUNTING = {b"date", b"ratelimit", b"x-request-id", b"set-cookie"}
CONDITIONS = ((), (("if-none-match", "*"),), (("range", "bytes=0-9"),), (("idempotency-key", "ours"),))


def owned(routes: list[Route]) -> list[Route]:
    return [each for each in routes if not each.template.startswith(HOUSE) and names_of(each) & OWNED.keys()]


def names_of(route: Route) -> set[str]:
    return {parameter.name for parameter in route.parameters}


def theirs_of(route: Route, whose: Belongings) -> Iterator[dict[str, str]]:
    """The route's own parameter with each of their things that it could name."""
    for name in names_of(route) & OWNED.keys():
        for belonging in OWNED[name]:
            yield {name: getattr(whose, belonging)}


async def ask(caller: Caller, route: Route, named: dict[str, str], *more: tuple[str, str]) -> Answer:
    target, headers = route.target(caller.house.value, **named), list(more)
    if route.is_unsafe and not route.is_api:
        return await caller.post(target)
    body = b""
    if (sent := BODIES.get(str(route))) is not None:
        body = json.dumps(sent).encode()
        headers.append(("content-type", "application/json"))
    if route.is_api:
        headers.append(("accept", "application/json"))
    return await caller.send(route.method, target, headers=headers, body=body)


def all_of(answer: Answer, value: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body, but for the id that was asked for; a number counts as one in an address alone."""

    def without(text: bytes) -> bytes:
        asked = re.escape(value.encode())
        return re.sub(rb"(/|%2F)" + asked + rb"\b" if value.isdigit() else rb"()" + asked, rb"\1ID", text)

    kept = [(name, without(text)) for name, text in answer.headers if name not in COUNTING]
    return answer.status, kept, without(answer.body)


async def asker(house: House, route: Route) -> Caller:
    return await house.caller("full key" if route.is_api else "admin")


async def state_of(house: House, company: uuid.UUID) -> str:
    """A digest of every row of the company."""
    found = hashlib.sha256()
    async with house.services.db.begin(for_staff()) as session:
        for table in await company_tables(session):
            query = f"select t::text from {table} t where company_id = :company order by 1"
            for row in await session.scalars(sa.text(query), {"company": company}):
                found.update(row.encode())
    return found.hexdigest()


async def acmes(house: House) -> Belongings:
    """With a webhook and a colleague that no other test of the same house has removed by their addresses."""
    _, boss = await log_in(house.services, MEMBERS["admin"])
    colleague = await house.services.members.create_member(
        house.acme.company_id, email=f"anew-{new_id().hex}@acme.example", name="A colleague", password=PASSWORD
    )
    message = await webhook_message(house.services, boss, f"anew-{new_id().hex}")
    return msgspec.structs.replace(
        house.acme,
        webhook_endpoint=str(message.endpoint_id),
        webhook_message=str(message.id),
        person=str(colleague.id),
    )


async def key_of_globex(house: House) -> str:
    _, boss = await log_in(house.services, MEMBERS["globex"])
    name = f"A program {new_id()}"
    _, key = await house.services.api_keys.create_api_key(boss, name=name, scopes=["prices:read", "quotes:create"])
    SECRETS.add(key.rpartition("_")[2])
    return key


def test_every_parameter_of_an_address_is_known_to_be_somebodys(routes: list[Route]) -> None:
    unknown = {
        f"{route}: {name}"
        for route in routes
        if not route.template.startswith(HOUSE)
        for name in names_of(route) - OWNED.keys() - EVERYBODYS - HELD.keys()
    }
    assert not unknown, "say in OWNED whose it is, or why it is nobody's"
    assert len(owned(routes)) >= 25
    assert {name for route in owned(routes) for name in names_of(route)} - HELD.keys() == OWNED.keys()


async def test_what_is_globexs_answers_acme_as_what_is_missing_and_stays_as_it_was(
    house: House, routes: list[Route]
) -> None:
    before, wrong = await state_of(house, house.globex.company_id), []
    for route in owned(routes):
        caller = await asker(house, route)
        for named in theirs_of(route, house.globex):
            (name, value), *_ = named.items()
            none = alike(value)
            for condition in CONDITIONS if route.is_api else CONDITIONS[:3]:
                told = await ask(caller, route, named, *condition)
                missing = await ask(caller, route, {name: none}, *condition)
                wrong += [f"{route} with {value}: {fault}" for fault in caller.faults(told) if value not in fault]
                if told.status != 404 or all_of(told, value) != all_of(missing, none):
                    wrong.append(
                        f"{route} with {value} {condition}: {told.status} {told.text[:150]}, not {missing.status}"
                    )

    assert not wrong, "\n".join(wrong)
    assert await state_of(house, house.globex.company_id) == before


async def test_what_is_acmes_own_is_there_to_be_read(house: House, routes: list[Route]) -> None:
    """What stands above proves nothing of an address that answers 404 to its owner too."""
    acme = await acmes(house)
    for route in owned(routes):
        if route.method == "GET" and not route.template.endswith(LATER):
            for named in theirs_of(route, acme):
                answer = await ask(await asker(house, route), route, named)
                assert answer.status in {200, 303}, f"{route} {named}: {answer.text[:200]}"


async def test_at_the_desk_an_outsider_cannot_tell_what_is_there(house: House, routes: list[Route]) -> None:
    wrong = []
    for route in routes:
        if not route.template.startswith(HOUSE) or not route.parameters:
            continue
        caller = await asker(house, route)
        for parameter in route.parameters:
            real = house.value(route.template, parameter.name)
            values = [each for named in theirs_of(route, house.globex) for each in named.values()]
            for value in (*([] if real is None else [real]), *values):
                none = "9" * len(value) if value.isdigit() else alike(value)
                told = await ask(caller, route, {parameter.name: value})
                missing = await ask(caller, route, {parameter.name: none})
                if told.status < 400 and told.status != 303:
                    wrong.append(f"{route} with {value}: {told.status}")
                if all_of(told, value) != all_of(missing, none):
                    wrong.append(f"{route} with {value}: {told.status}, and {missing.status} for a missing one")
    assert not wrong, "\n".join(wrong)


async def test_a_name_that_globex_gave_its_call_is_free_for_acme(house: House) -> None:
    """The same key, the same body: each company does it once, and nobody is given what another was answered."""
    key = await key_of_globex(house)
    body = json.dumps({"lines": [{"sku": "CRUNCHY-ARMCHAIR", "quantity": "1"}]}).encode()
    headers = [("content-type", "application/json"), ("idempotency-key", "one name"), ("accept", "application/json")]
    said = []
    for caller in (Caller(house=house, who="globex", key=key), await house.caller("full key")):
        for _ in range(2):
            answer = await caller.send("POST", "/api/v1/signed-quotes", headers=headers, body=body)
            assert (answer.status, caller.faults(answer)) == (201, [])
            said.append((json.loads(answer.body)["id"], answer.header("idempotency-replayed")))

    assert said[0][0] == said[1][0] != said[2][0] == said[3][0]
    assert [replayed for _, replayed in said] == ["", "true", "", "true"]


@pytest.mark.parametrize(
    "path",
    ["/api/v1/price-feed?limit=3", "/api/v1/feed.csv", "/api/v1/feed.parquet", "/api/v1/prices/CRUNCHY-ARMCHAIR",
     "/api/v1/price-history/CRUNCHY-ARMCHAIR", "/api/v1/price-books/{root}/proofs/list?code=PUBLIC-EUR"],
)  # fmt: skip
async def test_an_entity_tag_of_globex_is_not_acmes(house: House, path: str) -> None:
    """Else 304 would tell Acme what Globex pays, or keep a copy that is not its own."""
    key = await key_of_globex(house)
    target = path.replace("{root}", house.services.books.in_force(house.clock.now()).root)
    json_wanted = [("accept", "application/json")] if "feed." not in path else []
    globex, acme = Caller(house=house, who="globex", key=key), await house.caller("full key")
    theirs, ours = [await each.send("GET", target, headers=json_wanted) for each in (globex, acme)]
    assert (theirs.status, ours.status) == (200, 200)

    taken = await acme.send("GET", target, headers=[*json_wanted, ("if-none-match", theirs.header("etag"))])

    if taken.status == 304:
        assert theirs.body == ours.body, "one tag, one body"
    else:
        assert (taken.status, taken.body) == (200, ours.body)
    assert (
        await acme.send("GET", target, headers=[*json_wanted, ("if-none-match", ours.header("etag"))])
    ).status == 304


async def test_a_readers_name_and_cursor_of_globex_open_nothing_to_acme(house: House) -> None:
    key = await key_of_globex(house)
    globex, acme = Caller(house=house, who="globex", key=key), await house.caller("full key")
    page = json.loads((await globex.get("/api/v1/price-feed?limit=3", headers=[("accept", "application/json")])).body)
    root, accept = page["root"], [("accept", "application/json")]

    followed = await acme.get(f"/api/v1/price-feed?cursor={page['next']}", headers=accept)
    assert followed.status in {400, 404, 410}
    told = []
    for reader in (page["reader"], "0" * 32):
        asked = f"/api/v1/price-books/{root}/delta?since={root}&at={page['at']}&reader={reader}"
        answer = await acme.get(asked, headers=accept)
        told.append(all_of(answer, reader))
    assert told[0] == told[1]
    assert told[0][0] != 200
