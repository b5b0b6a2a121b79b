"""What is another company's answers exactly as what does not exist: same status, same words."""

import re
import uuid

import pytest

from tests.security.house import House, one_person_buys, present
from tests.security.routes import Parameter, Route
from tests.security.test_hostile_input import asker, forms_for
from tests.security.wire import Answer
from web.access import Access

UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def alike(value: str) -> str:
    """Something of the same form that does not exist."""
    if UUID_FORM.fullmatch(value):
        return str(uuid.uuid4())
    if value.startswith("T-"):
        return "T-2026-999999"
    if value.isdigit():
        return "880088"
    return "".join("x" if c.isalpha() else c for c in value)


def said(answer: Answer, asked: str) -> tuple[int, str, str]:
    """What an answer says, but for the id that was asked for."""
    return answer.status, answer.location.replace(asked, "ID"), answer.text.replace(asked, "ID")


def guesses(house: House) -> list[str]:
    """Every id of Globex that Acme might come to know."""
    globex = house.globex
    return [
        *sorted(globex.ids - house.acme.ids),
        globex.presentation,
        str(globex.position),
        globex.invitation,
        globex.person,
        globex.key,
    ]


async def test_globex_has_what_acme_must_not_see(house: House) -> None:
    """What follows proves nothing unless these work for Globex."""
    caller = await house.caller("globex")
    for target in (
        f"/orders/{house.globex.order}", f"/orders/{house.globex.order}/receipt",
        f"/orders/{house.globex.order}/receipt.json", f"/orders/{house.globex.open_order}",
    ):  # fmt: skip
        answer = await caller.get(target)
        assert answer.status == 200, target
        assert next(iter(sorted(house.globex.words, key=lambda word: not word.startswith("globex-")))) in answer.text
    assert len(guesses(house)) >= 12


async def test_an_address_of_globex_answers_acme_as_one_that_is_missing(house: House, routes: list[Route]) -> None:
    wrong: list[str] = []
    caller = await house.caller("admin")

    async def ask(route: Route, name: str, value: str) -> tuple[int, str, str]:
        target = route.target(house.value, **{name: value})
        answer = await (caller.post(target) if route.is_unsafe else caller.get(target))
        wrong.extend(f"{target}: {fault}" for fault in caller.faults(answer) if value not in fault)
        return said(answer, value)

    for route in routes:
        if not route.is_for_browsers or asker(route) != "admin":
            continue
        for parameter in route.parameters:
            missing: dict[str, tuple[int, str, str]] = {}
            for theirs in fitting(house, parameter):
                none = alike(theirs)
                shape = re.sub(r"[0-9a-zA-Z]", "x", theirs)
                if shape not in missing:
                    missing[shape] = await ask(route, parameter.name, none)
                told = await ask(route, parameter.name, theirs)
                if told != missing[shape]:
                    wrong.append(f"{route} with {theirs}: {told[:2]}, but for a missing one {missing[shape][:2]}")

    assert not wrong, "\n".join(wrong)


def fitting(house: House, parameter: Parameter) -> list[str]:
    """The ids of Globex that could stand for the parameter; where any text could, those it was made for first."""
    uuids = [theirs for theirs in guesses(house) if UUID_FORM.fullmatch(theirs)]
    if parameter.kind is uuid.UUID:
        return uuids
    if parameter.kind is int:
        return ["770077"]  # positions count from 1 in each cart: theirs are ours too
    return [house.globex.order, house.globex.open_order, house.globex.key, *uuids[:3]]


async def test_a_signed_quote_of_globex_answers_acme_as_one_that_is_missing(house: House) -> None:
    caller = await house.caller("full key")
    theirs, ours = house.globex.signed_quote, house.acme.signed_quote

    assert (await caller.get(f"/api/v1/signed-quotes/{ours}")).status == 200
    told = [said(await caller.get(f"/api/v1/signed-quotes/{each}"), each) for each in (theirs, alike(theirs))]

    assert told[0] == told[1]
    assert told[0][0] == 404


@pytest.mark.parametrize("who", ["full key", "orders:read key"])
async def test_a_key_of_acme_opens_nothing_of_globex(house: House, routes: list[Route], who: str) -> None:
    caller = await house.caller(who)
    for route in routes:
        if not route.is_api or route.access is not Access.ORDERS_KEY:
            continue
        for theirs in (house.globex.order, house.globex.open_order, house.globex.presentation):
            pairs = []
            for value in (theirs, alike(theirs)):
                target = route.target(house.value, **{parameter.name: value for parameter in route.parameters})
                pairs.append(said(await caller.get(f"{target}?before={value}"), value))
            assert pairs[0] == pairs[1], route
    listed = await caller.get("/api/v1/orders")
    assert listed.status == 200
    assert house.acme.order in listed.text
    assert house.globex.order not in listed.text


async def test_a_field_that_names_something_of_globex_answers_as_one_that_names_nothing(
    house: House, routes: list[Route]
) -> None:
    forms, wrong = await forms_for(house, routes, "admin"), []
    for form in forms:
        for field, value in form.fields:
            if not (UUID_FORM.fullmatch(value) or value.startswith("T-2026") or field == "presentation"):
                continue
            kinds = [theirs for theirs in guesses(house) if bool(UUID_FORM.fullmatch(theirs)) == ("T-" not in value)]
            for theirs in [house.globex.presentation, *kinds[:6]]:
                answers = []
                for sent in (theirs, alike(theirs)):
                    caller = await house.caller("admin")
                    answer = await caller.post(form.action, form.with_field(field, sent))
                    answers.append((answer.status, answer.location))
                    wrong += [f"{form.action}: {fault}" for fault in caller.faults(answer)]
                if answers[0] != answers[1]:
                    wrong.append(f"{form.action} {field}={theirs}: {answers}")

    assert not wrong, "\n".join(wrong)


async def test_accepting_what_was_presented_to_globex_orders_nothing(house: House) -> None:
    caller = await house.caller("admin")
    assert caller.principal is not None
    before = [order.number for order in await house.services.orders.list_orders(caller.principal)]
    await one_person_buys(house.services, caller.principal)
    await present(house.services, caller.principal, word="acme-7n3v")
    boxes = [("agree", "yes"), ("authority", "yes"), ("business", "yes"), ("job_title", "Boss")]
    for path in ("/checkout/orders", "/checkout/decline", "/checkout/legal-review"):
        told = []
        for presentation in (house.globex.presentation, str(uuid.uuid4())):
            answer = await caller.post(path, [("presentation", presentation), ("reason", "other"), *boxes])
            told.append((answer.status, re.sub(r"[0-9a-f-]{36}|\d\d:\d\d(:\d\d)?", "ID", answer.text)))
            assert not caller.faults(answer)
        assert told[0] == told[1], path
    assert [order.number for order in await house.services.orders.list_orders(caller.principal)] == before


async def test_no_page_of_acme_tells_of_globex(house: House, routes: list[Route]) -> None:
    for who in ("admin", "buyer", "visitor", "guest", "unverified"):
        caller = await house.caller(who)
        for route in routes:
            if route.method == "GET" and not route.template.startswith("/static"):
                answer = await caller.get(route.target(house.value))
                assert not [fault for fault in caller.faults(answer) if "none of theirs" in fault], (who, str(route))


async def test_two_guests_do_not_share_a_cart(house: House) -> None:
    one, other = await house.caller("guest"), await house.caller("guest")
    assert (await one.post("/cart/lines", [("sku", "STUBBORN-GLUE"), ("quantity", "3")])).status == 303
    assert "STUBBORN-GLUE" in (await one.get("/cart")).text
    assert "STUBBORN-GLUE" not in (await other.get("/cart")).text
    mine = (await one.get("/cart")).text
    position = mine.split('id="line-')[1].split('"')[0]
    changed = await other.post(f"/cart/lines/{position}", [("quantity", "9")])
    removed = await other.post(f"/cart/lines/{position}/removal")
    assert changed.status == 422
    assert removed.status == 303
    assert (await one.get("/cart")).text == mine
