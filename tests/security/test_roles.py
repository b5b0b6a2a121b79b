"""Who may call what: every route, every kind of caller, both ways."""

import pytest

from tests.security.house import KEYS, PEOPLE, STAFF_KEYS, VISITORS, House
from tests.security.routes import Route
from web.access import TABLE, Access, missing
from web.app import create_app

MEMBER_ROLES = {"buyer", "admin", "unverified", "globex"}
STAFF_ROLES = {"support", "legal", "finance", "chief"}
BROWSERS = {*VISITORS, *MEMBER_ROLES, *STAFF_ROLES}
TESTED = ("visitor", "guest", "buyer", "admin", "unverified", "support", "legal", "finance", "chief")
ASK_FOR_WHAT_IS_OPEN_TO_ALL = {"visitor", "admin", "finance"}
MAY = {
    Access.ANYONE: BROWSERS,
    Access.LOGGED_IN: MEMBER_ROLES | STAFF_ROLES,
    Access.MEMBER: MEMBER_ROLES,
    Access.COMPANY_ADMIN: {"admin", "unverified", "globex"},
    Access.STAFF: STAFF_ROLES,
    Access.FINANCE: {"finance", "chief"},
    Access.LEGAL: {"legal", "chief"},
    Access.PRICES_KEY: {*BROWSERS, "full key", "prices:read key"},
    Access.QUOTES_KEY: {*BROWSERS, "full key", "quotes:create key"},
    Access.SIGNED_QUOTES_KEY: {"full key", "quotes:create key"},
    Access.ORDERS_KEY: {"full key", "orders:read key"},
    Access.ORDERING_KEY: {"full key", "orders:create key"},
    Access.WEBHOOKS_KEY: {"full key", "webhooks:manage key"},
    Access.DESK_READ_KEY: {"full desk key", "desk:read key"},
    Access.DESK_EDIT_KEY: {"full desk key", "desk:edit key"},
    Access.DESK_APPROVE_KEY: {"full desk key", "desk:approve key"},
    Access.DESK_PUBLISH_KEY: {"full desk key", "desk:publish key"},
}
"""Written down apart from web/access.py, so that a slip there shows here."""
PUBLIC_ACTS = {  # what may be changed without a log-in
    "POST /cart/currency",
    "POST /cart/lines",
    "POST /cart/lines/{position}",
    "POST /cart/lines/{position}/removal",
    "POST /checkout/details",
    "POST /checkout/orders",
    "POST /invitation",
    "POST /login",
    "POST /logout",
    "POST /password-reset",
    "POST /password-reset/new",
    "POST /quick-order",
    "POST /signup",
    "POST /unsubscribe/{token}",
    "POST /webhooks/stripe",
}


def test_the_matrix_knows_every_kind_of_access() -> None:
    assert set(MAY) == set(Access)


def test_the_table_names_no_route_that_is_gone(routes: list[Route]) -> None:
    assert set(TABLE) == {(route.method, route.template) for route in routes}


def test_only_these_acts_are_open_to_all(routes: list[Route]) -> None:
    assert {str(route) for route in routes if route.is_unsafe and route.access is Access.ANYONE} == PUBLIC_ACTS


def test_staff_pages_are_for_staff(routes: list[Route]) -> None:
    for route in routes:
        if route.template.startswith("/desk"):
            assert route.access in {Access.STAFF, Access.FINANCE, Access.LEGAL}, route
            assert not route.is_unsafe or route.access is not Access.STAFF or "prices" not in route.template, route


def test_a_route_missing_from_the_table_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing([("GET", "/"), ("GET", "/nobody-thought-of-it")]) == [("GET", "/nobody-thought-of-it")]
    monkeypatch.delitem(TABLE, ("GET", "/cart"))

    with pytest.raises(RuntimeError, match="/cart"):
        create_app(house.services, background=False)


@pytest.mark.parametrize("who", TESTED)
async def test_a_browser_gets_what_the_table_says_and_no_more(house: House, routes: list[Route], who: str) -> None:
    wrong = []
    for route in routes:
        if not route.is_for_browsers or (route.access is Access.ANYONE and who not in ASK_FOR_WHAT_IS_OPEN_TO_ALL):
            continue
        caller = await house.caller(who)
        target = route.target(house.value)
        refused = who not in MAY[route.access]
        methods = ("GET", "HEAD") if route.method == "GET" and refused else (route.method,)
        for method in methods:
            answer = await (caller.send(method, target) if method != "POST" else caller.post(target))
            problems = caller.faults(answer)
            if not refused:
                unproven = answer.status == 403 and who == "unverified"
                turned_away = answer.status in {401, 403} or (answer.location.startswith("/login?") and who in PEOPLE)
                if turned_away and not unproven:
                    problems.append(f"should be let in, but got {answer.status} {answer.location}")
            elif who in PEOPLE:
                if answer.status != 404:
                    problems.append(f"should be told that there is nothing, but got {answer.status} {answer.location}")
            elif answer.status != 303 or not answer.location.startswith("/login?next="):
                problems.append(f"should be sent to log in, but got {answer.status} {answer.location}")
            wrong += [f"{method} {target}: {problem}" for problem in problems]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", sorted(KEYS | STAFF_KEYS))
async def test_a_key_opens_what_its_scopes_say_and_no_more(house: House, routes: list[Route], who: str) -> None:
    caller, wrong = await house.caller(who), []
    for route in routes:
        if not route.is_api:
            continue
        answer = await caller.send(route.method, route.target(house.value))
        problems = caller.faults(answer)
        if who in MAY[route.access]:
            if answer.status in {401, 403, 303}:
                problems.append(f"should be let in, but got {answer.status}")
        elif (answer.status, answer.problem()) != (403, "scope-missing"):
            problems.append(f"should be refused, but got {answer.status}")
        wrong += [f"{route}: {problem}" for problem in problems]

    assert not wrong, "\n".join(wrong)


async def test_without_a_key_the_api_shows_public_prices_and_nothing_else(house: House, routes: list[Route]) -> None:
    for who in ("visitor", "admin", "chief"):
        caller = await house.caller(who)
        for route in routes:
            if not route.is_api:
                continue
            answer = await caller.send(route.method, route.target(house.value))
            if not MAY[route.access] & BROWSERS:
                assert (answer.status, answer.problem()) == (401, "unauthenticated"), route
                assert answer.header("www-authenticate").startswith("Bearer"), route
            else:
                assert answer.status not in {401, 403}, route


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer trf_",
        "Bearer trf_aaaaaaaaaaaa_" + "b" * 49,
        "Basic YWRtaW46YWRtaW4=",
        "bearer " + "x" * 100_000,
        "Bearer \xff\xfe",
        "\x00",
    ],
)
async def test_a_key_that_is_none_opens_nothing_not_even_what_is_public(
    house: House, routes: list[Route], header: str
) -> None:
    caller = await house.caller("visitor")
    for route in routes:
        if route.is_api:
            answer = await caller.send(route.method, route.target(house.value), headers=[("authorization", header)])
            assert answer.status == 401, (route, answer.text)
            assert not caller.faults(answer)


@pytest.mark.parametrize("who", ["full key", "full desk key"])
async def test_a_key_works_on_no_page(house: House, routes: list[Route], who: str) -> None:
    caller = await house.caller(who)
    for route in routes:
        if route.is_for_browsers and route.access not in {Access.ANYONE, *(a for a in Access if "key" in a.value)}:
            answer = await caller.send(route.method, route.target(house.value))
            assert answer.status == 303, route
            assert answer.location.startswith("/login"), route


async def test_nobody_logged_in_is_led_round_in_circles(house: House, routes: list[Route]) -> None:
    """A refused page must not send to a log-in that sends back to it."""
    for who in PEOPLE:
        caller = await house.caller(who)
        for route in routes:
            if route.method == "GET" and route.is_for_browsers and route.access is not Access.ANYONE:
                target = route.target(house.value)
                for _ in range(6):
                    answer = await caller.get(target)
                    if answer.status != 303:
                        break
                    target = answer.location
                assert answer.status != 303 or not target.startswith("/"), (who, str(route))
