"""No other site, no other session and no other secret can act in a buyer's name."""

import hashlib
import hmac
import json

import pytest
import sqlalchemy as sa

from checkout.model import StripeEvent
from kernel.db import for_staff
from tests.security.house import ORIGIN, PEOPLE, House
from tests.security.routes import Route
from tests.security.test_hostile_input import QUOTE, asker
from tests.security.wire import FORM, Answer, encoded
from web.access import Access
from web.http import session_cookie_name
from web.security import form_token

OURS = ("sec-fetch-site", "same-origin")
JSON = ("content-type", "application/json")
WEBHOOK = "/webhooks/stripe"
ONE_CLICK = "/unsubscribe/{token}"
"""Mail programs press it for their reader (RFC 8058): who holds the letter may take the consent back, and no more."""


async def test_every_form_refuses_what_was_not_sent_from_our_own_page(house: House, routes: list[Route]) -> None:
    secret, wrong = house.services.settings.secret_key, []
    for route in routes:
        if not route.is_unsafe or not route.is_for_browsers or route.template == ONE_CLICK:
            continue
        who = "admin" if route.template == "/login" else asker(route)
        caller = await house.caller("guest" if who == "visitor" else who)
        other = await house.caller(caller.who)
        right = caller.form_token()
        assert right != other.form_token()
        forgeries = {
            "no token": ([], [OURS]),
            "an empty token": ([("form_token", "")], [OURS]),
            "another session's token": ([("form_token", other.form_token())], [OURS]),
            "a token under a guessed key": ([("form_token", form_token("guess", caller.token))], [OURS]),
            "a token cut short": ([("form_token", right[:-1])], [OURS]),
            "a token in other letters": ([("form_token", "é" + right[1:])], [OURS]),
            "a visitor's token from nobody knows where": ([("form_token", form_token(secret, None))], []),
            "another site": ([("form_token", right)], [("sec-fetch-site", "cross-site")]),
            "a sister site": ([("form_token", right)], [("sec-fetch-site", "same-site")]),
            "a foreign origin": ([("form_token", right)], [("origin", "https://evil.example")]),
            "a foreign origin that claims to be ours": ([("form_token", right)], [OURS, ("origin", "http://evil.example")]),
            "an origin like ours": ([("form_token", right)], [("origin", f"{ORIGIN}.evil.example")]),
            "our host on another port": ([("form_token", right)], [("origin", "http://127.0.0.1:9000")]),
            "an origin that is no address": ([("form_token", right)], [("origin", "null")]),
            "a token in the address": ([], [OURS, ("x-form-token", "")]),
        }  # fmt: skip
        target = route.target(house.value)
        for name, (fields, headers) in forgeries.items():
            address = f"{target}?form_token={right}" if name == "a token in the address" else target
            answer = await caller.send(
                route.method, address, headers=[("content-type", FORM), *headers], body=encoded(fields)
            )
            if answer.status != 403:
                wrong.append(f"{route} with {name}: {answer.status}")
            wrong += [f"{route} with {name}: {fault}" for fault in caller.faults(answer)]
        for media_type in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
            answer = await caller.send(
                route.method,
                target,
                headers=[("content-type", media_type), OURS],
                body=encoded([("form_token", right)]),
            )
            if answer.status != 400:
                wrong.append(f"{route} as {media_type}: {answer.status}")

    assert not wrong, "\n".join(wrong)


async def test_a_form_from_our_own_page_is_taken(house: House) -> None:
    """The counterpart: what the refusals above are compared with."""
    caller = await house.caller("admin")
    for headers in ([OURS], [("origin", ORIGIN)], [OURS, ("origin", "null")], [("sec-fetch-site", "none")], []):
        answer = await caller.send(
            "POST",
            "/cart/lines",
            headers=[("content-type", FORM), *headers],
            body=encoded([("form_token", caller.form_token()), ("sku", "NO-SUCH-SKU")]),
        )
        assert answer.status == 422, (headers, answer.status)


async def test_a_page_opened_before_the_session_began_still_counts(house: House) -> None:
    caller = await house.caller("guest")
    early = form_token(house.services.settings.secret_key, None)
    answer = await caller.send(
        "POST",
        "/cart/lines",
        headers=[("content-type", FORM), OURS],
        body=encoded([("form_token", early), ("sku", "NO-SUCH-SKU")]),
    )
    assert answer.status == 422


async def test_reading_changes_nothing(house: House, routes: list[Route]) -> None:
    """A link or an image on another site can make a browser read any page of ours."""

    async def counted() -> list[tuple[str, int]]:
        async with house.services.db.begin(for_staff()) as session:
            tables = (await session.scalars(sa.text("select relname from pg_stat_user_tables order by 1"))).all()
            kept = [
                name
                for name in tables
                if name not in {"journey_event", "session", "alembic_version", *COUNTED, *PRESENTED}
            ]
            return [(name, int(await session.scalar(sa.text(f"select count(*) from {name}")) or 0)) for name in kept]

    callers = [await house.caller(who) for who in ("visitor", *PEOPLE)]
    before = await counted()
    for route in routes:
        if route.method == "GET":
            for caller in callers:
                if caller.who == asker(route) or route.access is not Access.ANYONE:
                    await caller.get(route.target(house.value))

    assert await counted() == before


COUNTED = {"attempt_counter"}
"""How many requests a program has made: a count, told to nobody else."""
PRESENTED = {"agreement_presentation", "acceptance_ledger_checkpoint"}
"""Looking at the review page issues a presentation, which is the evidence of what was shown; reading a receipt signs
the ledger's checkpoint once."""


async def test_the_api_never_looks_at_cookies(house: House, routes: list[Route]) -> None:
    nobody, boss = await house.caller("visitor"), await house.caller("admin")
    for route in routes:
        if not route.is_api:
            continue
        body = json.dumps(QUOTE).encode() if route.is_unsafe else b""
        headers = [JSON] if route.is_unsafe else []
        plain = await nobody.send(route.method, route.target(house.value), headers=headers, body=body)
        with_cookie = await boss.send(route.method, route.target(house.value), headers=headers, body=body)
        assert (with_cookie.status, with_cookie.body) == (plain.status, plain.body), route
        assert not with_cookie.all("set-cookie"), route


async def test_no_api_answer_may_be_read_by_another_site(house: House, routes: list[Route]) -> None:
    caller = await house.caller("full key")
    for route in routes:
        if route.is_api:
            for method in (route.method, "OPTIONS"):
                answer = await caller.send(
                    method,
                    route.target(house.value),
                    headers=[("origin", "https://evil.example"), ("access-control-request-method", route.method)],
                )
                assert not answer.header("access-control-allow-origin"), route
                assert not answer.header("access-control-allow-credentials"), route


# --- Stripe's webhooks ---


def signed(house: House, body: bytes, *, secret: str = "whsec_test", age: int = 0, times: int = 1) -> str:
    at = int(house.clock.now().timestamp()) - age
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at}," + ",".join([f"v1={mac}"] * times)


def event(event_id: str) -> bytes:
    return json.dumps(
        {
            "id": event_id,
            "object": "event",
            "type": "checkout.session.completed",
            "api_version": "2026-10-28.endive",
            "created": 1795262400,
            "livemode": False,
            "pending_webhooks": 0,
            "request": None,
            "data": {"object": {"id": "cs_test_unknown", "object": "checkout.session"}},
        }
    ).encode()


async def knock(house: House, body: bytes, signature: str | None, *, who: str = "visitor") -> Answer:
    caller = await house.caller(who)
    headers = [JSON] if signature is None else [JSON, ("stripe-signature", signature)]
    return await caller.send("POST", WEBHOOK, headers=headers, body=body)


@pytest.mark.parametrize("who", ["visitor", "chief", "full key"])
async def test_a_webhook_counts_by_its_signature_alone(house: House, who: str) -> None:
    body = event("evt_forged")
    forged = {
        "none": None,
        "empty": "",
        "of another secret": signed(house, body, secret="whsec_other"),
        "of another body": signed(house, event("evt_other")),
        "too old": signed(house, body, age=301),
        "from the future": signed(house, body, age=-100_000),
        "of an older scheme": signed(house, body).replace("v1=", "v0="),
        "without a time": signed(house, body).partition(",")[2],
        "with a huge time": "t=" + "9" * 400 + ",v1=0",
        "with odd letters": "t=1,v1=\xff\xfe",
        "in other digits": signed(house, body).replace("t=1", "t=\xb9"),
        "very long": "t=1," + "v1=0," * 20_000,
        "with an empty secret": signed(house, body, secret=""),
        "form of the cookie": f"{session_cookie_name(house.services.settings)}=x",
    }
    for name, signature in forged.items():
        answer = await knock(house, body, signature, who=who)
        assert answer.status == 400, (name, answer.status, answer.text)
        assert answer.header("content-type").startswith("application/problem+json"), name
    async with house.services.db.begin(for_staff()) as session:
        assert await session.get(StripeEvent, "evt_forged") is None


async def test_a_rightly_signed_webhook_is_stored(house: House) -> None:
    body = event("evt_right")
    assert (await knock(house, body, signed(house, body))).status == 204
    assert (await knock(house, body, signed(house, body, times=3))).status == 204, "a second delivery is taken too"
    async with house.services.db.begin(for_staff()) as session:
        assert await session.get(StripeEvent, "evt_right") is not None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"{", b"\xff\xfe", b'{"id": null}', b'{"id": "evt_\\u0000"}',
        b'{"id": "evt_\\ud800"}',
        b"[" * 100_000, b'{"id": 1e999}', b'{"id": "evt_x", "type": "x", "data": {"object": {"id": {"a": 1}}}}',
        event("evt_nul").replace(b"cs_test_unknown", b"\\u0000"), event("e" * 100_000),
        event("evt_livemode").replace(b"false", b"true"),
    ],
)  # fmt: skip
async def test_a_signed_body_that_is_no_event_is_never_a_failure(house: House, body: bytes) -> None:
    answer = await knock(house, body, signed(house, body))
    assert answer.status in {204, 400}, answer.text
