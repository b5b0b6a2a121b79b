"""A session is ours to give: drawn here, changed whenever its holder may do more, and ended by the clock."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from litestar import Litestar

from accounts import lifetimes
from accounts.lifetimes import Lifetime
from accounts.model import BrowserSession
from kernel.db import for_accounts
from kernel.ids import token_digest
from tests.security.house import MEMBERS, Caller, House
from tests.security.wire import Answer
from tests.web.conftest import PASSWORD
from web.http import session_cookie_name

ATTACKERS = "attacker-chosen-0123456789abcdefghijklmnopqrstuv"


def token_in(house: House, answer: Answer) -> str:
    """The session that an answer gives; empty when it ends one."""
    name = session_cookie_name(house.services.settings)
    (cookie,) = [cookie for cookie in answer.all("set-cookie") if cookie.startswith(f"{name}=")]
    attributes = {part.strip().partition("=")[0].lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "path", "samesite"} <= attributes, cookie
    assert "domain" not in attributes
    return cookie.partition("=")[2].partition(";")[0].strip('"')


async def stored(house: House, token: str) -> BrowserSession | None:
    async with house.services.db.begin(for_accounts()) as session:
        found: BrowserSession | None = await session.scalar(
            sa.select(BrowserSession).where(BrowserSession.token_sha256 == token_digest(token))
        )
        return found


async def log_in(caller: Caller, email: str) -> Answer:
    return await caller.post("/login", [("email", email), ("password", PASSWORD)])


async def test_a_cookie_that_an_attacker_chose_never_becomes_a_session(house: House) -> None:
    caller = Caller(house=house, who="visitor", token=ATTACKERS)
    looked = await caller.get("/")
    assert not looked.all("set-cookie"), "looking at a page makes no session"
    added = await caller.post("/cart/lines", [("sku", "CRUNCHY-ARMCHAIR"), ("quantity", "1")])
    assert token_in(house, added) != ATTACKERS
    entered = await log_in(caller, MEMBERS["admin"])
    assert entered.status == 303
    assert token_in(house, entered) != ATTACKERS
    assert await stored(house, ATTACKERS) is None
    assert (await caller.get("/orders")).location.startswith("/login")


async def test_a_session_planted_before_log_in_opens_nothing_after_it(house: House) -> None:
    planted = await house.caller("guest")
    entered = await log_in(planted, MEMBERS["admin"])
    assert token_in(house, entered) != planted.token
    assert (await planted.get("/orders")).location.startswith("/login")
    assert planted.token is not None
    assert await stored(house, planted.token) is None


async def test_log_out_ends_the_session_at_the_server(house: House) -> None:
    caller = await house.caller("admin")
    assert (await caller.get("/orders")).status == 200
    left = await caller.post("/logout")
    assert token_in(house, left) == ""
    assert (await caller.get("/orders")).location.startswith("/login")


async def test_a_proven_address_goes_on_under_a_new_secret(house: House) -> None:
    caller = await house.caller("unverified")
    asked = await caller.post("/verify-email", [("again", "yes")])
    assert asked.status == 200, asked.text
    async with house.services.db.begin(for_accounts()) as session:
        letter = await session.scalar(
            sa.text("select text from outgoing_mail where kind = 'email_code' and recipient = :to order by id desc"),
            {"to": MEMBERS["unverified"]},
        )
    code = re.search(r"\b\d{3} ?\d{3}\b", str(letter))
    assert code is not None
    proven = await caller.post("/verify-email", [("code", code[0])])
    try:
        assert proven.status == 303, proven.text
        assert token_in(house, proven) != caller.token
        assert (await caller.get("/orders")).location.startswith("/login"), "the old secret is worth nothing"
    finally:
        async with house.services.db.begin(for_accounts()) as session:
            await session.execute(
                sa.text("update person set email_verified_at = null where email = :email"),
                {"email": MEMBERS["unverified"]},
            )


@pytest.mark.parametrize(
    ("who", "lifetime", "page"),
    [("admin", lifetimes.MEMBER, "/orders"), ("finance", lifetimes.STAFF, "/desk")],
)
async def test_sessions_end_by_the_clock_unused_or_not(house: House, who: str, lifetime: Lifetime, page: str) -> None:
    unused, used = await house.caller(who), await house.caller(who)
    begun = house.clock.now()
    try:
        while house.clock.now() - begun < lifetime.absolute - lifetime.idle / 2:
            house.clock.advance(seconds=int(lifetime.idle.total_seconds() / 2))
            assert (await used.get("/verify-email")).status in {200, 303}
            if house.clock.now() - begun < lifetime.absolute:
                assert (await house.services.accounts.authenticate(used.token)).person_id is not None
        assert (await unused.get(page)).location.startswith("/login"), "it ended unused"
        house.clock.set(begun + lifetime.absolute + timedelta(seconds=1))
        assert (await used.get(page)).location.startswith("/login"), "it ended however much it was used"
    finally:
        house.clock.set(begun)


async def test_looking_makes_no_session(house: House) -> None:
    async def count() -> int:
        async with house.services.db.begin(for_accounts()) as session:
            return int(await session.scalar(sa.select(sa.func.count()).select_from(BrowserSession)) or 0)

    caller = await house.caller("visitor")
    before = await count()
    for target in ("/", "/catalog", "/search?q=hose", "/cart", "/login", "/nowhere", "/api/v1/price-book"):
        answer = await caller.get(target)
        assert not answer.all("set-cookie"), target
    assert await count() == before


async def test_only_digests_of_secrets_are_stored(house: House) -> None:
    caller = await house.caller("admin")
    secrets = [caller.token, house.acme.review_token, house.keys["full key"].rpartition("_")[2][:43]]
    async with house.services.db.begin(for_accounts()) as session:
        for table in ("session", "one_time_token", "api_key"):
            rows = (await session.scalars(sa.text(f"select t::text from {table} t"))).all()
            assert rows, table
            assert not [secret for secret in secrets for row in rows if str(secret) in row], table


async def test_sessions_stay_one_application_apart(house: House) -> None:
    """Cookies ignore ports: another shop on the same host must not take ours for its own."""
    app: Litestar = house.app
    assert session_cookie_name(app.state.services.settings) == "tarifa_8000"


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "/\tx", "\\/evil", "%2f"]
)
async def test_log_in_leads_nowhere_else(house: House, target: str) -> None:
    caller = await house.caller("guest")
    entered = await caller.post("/login", [("email", MEMBERS["admin"]), ("password", PASSWORD), ("next", target)])
    assert entered.status == 303
    assert entered.location == "/"
