"""What the house knows and buyers must not: costs, margins and floors in answers, secrets in logs, people in events."""

import io
import json
import logging
import re
from itertools import islice

import pytest
import sqlalchemy as sa
import structlog

from kernel.db import for_staff
from pricing.engine import Buyer
from pricing.feed import feed_csv
from tests.security.house import BOXES, CANARY, COST, FLOOR, HOUSE_ONLY, MARGIN, SKU, Caller, House
from tests.security.routes import Route
from tests.security.test_forgery import event, knock, signed
from tests.security.wire import FORM, encoded
from tests.web.conftest import PASSWORD
from web.http import session_cookie_name

WORDS = re.compile(r"\b(cost_price|unit_cost|margin|over_cost|costs?\")", re.IGNORECASE)


async def test_no_answer_to_a_buyer_tells_a_cost_a_margin_or_a_floor(house: House, routes: list[Route]) -> None:
    """Over every page and API route, every SKU on the feed, and quotes at many quantities."""
    wrong = []
    for who in ("visitor", "admin", "full key"):
        caller = await house.caller(who)
        for route in routes:
            if route.method == "GET" and not route.template.startswith(("/static", "/desk")):
                answer = await caller.get(route.target(house.value))
                wrong += [f"{who} {route}: {fault}" for fault in caller.faults(answer)]
                if route.is_api and (word := WORDS.search(answer.text)):
                    wrong.append(f"{who} {route} speaks of {word[0]}")
        for quantity in ("1", "99"):
            why = await caller.get(f"/skus/{SKU}/price?quantity={quantity}")
            asked = {"lines": [{"sku": SKU, "quantity": quantity}], "currency": "EUR"}
            quote = await caller.send(
                "POST",
                "/api/v1/quotes",
                headers=[("content-type", "application/json")],
                body=json.dumps(asked).encode(),
            )
            assert why.status == quote.status == 200
            wrong += [f"{who} {SKU} x {quantity}: {fault}" for fault in [*caller.faults(why), *caller.faults(quote)]]

    assert not wrong, "\n".join(wrong)


async def test_the_telling_digits_are_in_the_book(house: House) -> None:
    """What the test above searches for exists, and its search finds it."""
    book = house.services.books.at(house.clock.now())
    entry = book.entry(SKU)
    assert entry is not None
    assert all(cost.cost.endswith(COST) for cost in entry.costs)
    exported = await house.services.pricing.export_prices(2)
    assert [line for lines in exported.values() for line in lines if FLOOR in line and MARGIN in line]


async def test_the_feed_has_no_such_column_and_no_such_row(house: House) -> None:
    """The answer over HTTP is a stream, for which `send` does not wait: here are the rows themselves."""
    feed = await (await house.caller("full key")).get("/api/v1/feed.csv?currency=EUR")
    assert feed.status == 200
    book, at = house.services.books.at(house.clock.now()), house.clock.now()
    rows = feed_csv(book, Buyer(company="acme", country="ES"), currency="EUR", tax=None, at=at)
    some = "".join(islice(rows, 400))
    assert len(some.splitlines()) == 400
    assert not re.search(r"cost|margin|floor|bound", some.splitlines()[0])
    assert not [word for word in HOUSE_ONLY if word in some]


# --- logs ---


async def test_no_secret_that_is_sent_is_logged(house: House, log_lines: io.StringIO, routes: list[Route]) -> None:
    """Sent everywhere where a secret could go, also where the answer is a failure of ours."""
    caller = await house.caller("admin")
    cookie = session_cookie_name(house.services.settings)
    headers = [
        ("content-type", FORM),
        ("sec-fetch-site", "same-origin"),
        ("stripe-signature", f"t=1,v1={CANARY}"),
        ("cookie", f"{cookie}={CANARY}"),
        ("x-form-token", CANARY),
    ]
    fields = [(name, CANARY) for name in ("password", "token", "code", "new_password", "form_token", "email", "secret")]
    for route in routes:
        for authorization in ([], [("authorization", f"Bearer {CANARY}")], [("authorization", f"Basic {CANARY}")]):
            await caller.send(
                route.method,
                f"{route.target(house.value)}?token={CANARY}&session_id={CANARY}",
                headers=[*headers, *authorization],
                body=encoded(fields) if route.is_unsafe else b"",
            )
    for path in ("/legal-review/", "/password-reset?token=", "/invitation?token=", "/nowhere/"):
        await caller.get(path + CANARY)
    body = event("evt_log").replace(b"cs_test_unknown", CANARY.encode())
    await knock(house, body, signed(house, body, secret=CANARY))

    assert CANARY not in log_lines.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"password={CANARY}",
        f"'password': '{CANARY}'",
        f'{{"new_password": "{CANARY}"}}',
        f"form_token={CANARY}&email=a",
        f"GET /password-reset?token={CANARY}",
        f"Stripe-Signature: {CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"Cookie: lang=en; tarifa_8000={CANARY}; other=1",
        f"tarifa_8000={CANARY}",
        f"__Host-tarifa={CANARY}",
        f"SECRET_KEY={CANARY}",
        f"STRIPE_API_KEY = {CANARY}",
        f"smtp://robot:{CANARY}@mail.example",
        f"[parameters: {{'secret_sha256': '{CANARY}'}}]",
    ],
)
def test_a_secret_named_inside_a_text_is_hidden(log_lines: io.StringIO, text: str) -> None:
    logging.getLogger("library").warning("failed with %s", text)
    structlog.get_logger("ours").warning(text)
    try:
        raise ValueError(text)  # noqa: TRY301 - the raise is what is tested
    except ValueError:
        structlog.get_logger("ours").exception("failed")

    assert len(log_lines.getvalue().splitlines()) == 3
    assert CANARY not in log_lines.getvalue()


def test_what_is_no_secret_stays_readable(log_lines: io.StringIO) -> None:
    logging.getLogger("library").warning("order T-2026-000001: quantity=3, path=/orders, expected token 'end'")

    assert "order T-2026-000001: quantity=3, path=/orders, expected token 'end'" in log_lines.getvalue()


# --- journey events ---


TYPED = {
    "email": "walker@hooli-journey.example",
    "name": "Walker Journeyperson",
    "company_name": "Journey Works 8x2",
    "ship_to.name": "Goods-in 8x2",
    "ship_to.line1": "Calle del Camino 82",
    "ship_to.line2": "Nave 8x2",
    "ship_to.postal_code": "28082",
    "ship_to.city": "Madrid-8x2",
    "po_number": "PO-8x2-4711",
    "job_title": "Head of journeys 8x2",
    "comment": "Too long 8x2",
}


async def walk(caller: Caller) -> None:
    """Look, search, fill the cart, sign up, type an address, look at the review, order: with mistakes on the way."""
    house = caller.house
    for target in ("/", f"/search?q={TYPED['company_name'].replace(' ', '+')}", f"/skus/{SKU}/price", "/products/x"):
        await caller.get(target)
    await caller.post("/cart/lines", [("sku", TYPED["email"]), ("quantity", TYPED["name"])])
    assert (await caller.post("/cart/lines", [("sku", SKU), ("quantity", "1")])).status == 303
    account = [(name, TYPED[name]) for name in ("email", "name", "company_name")]
    await caller.post("/signup", [*account, ("country", "ES"), ("currency", "EUR"), ("password", "x")])
    signed_up = await caller.post(
        "/signup",
        [*account, ("country", "ES"), ("currency", "EUR"), ("tax_id", ""), ("password", "a long sentence of words")],
    )
    assert signed_up.status == 303, signed_up.text
    caller.token = signed_up.header("set-cookie").partition("=")[2].partition(";")[0]
    async with house.services.db.begin(for_staff()) as session:
        await session.execute(
            sa.text("update person set email_verified_at = created_at where email = :email"), {"email": TYPED["email"]}
        )
    details = [(name, text) for name, text in TYPED.items() if name.startswith(("ship_to", "po_"))]
    await caller.post("/checkout/details", [*details, ("ship_to.country", "XX")])
    saved = await caller.post("/checkout/details", [*details, ("ship_to.country", "ES"), ("email", TYPED["email"])])
    assert saved.location == "/checkout/review", saved.text
    review = await caller.get("/checkout/review")
    presentation = re.search(r'name="presentation" value="([0-9a-f-]{36})"', review.text)
    assert presentation is not None
    act = [("presentation", presentation[1]), ("job_title", TYPED["job_title"])]
    await caller.post("/checkout/orders", act)
    await caller.post("/checkout/decline", [*act, ("reason", "other"), ("comment", TYPED["comment"])])
    again = re.search(r'name="presentation" value="([0-9a-f-]{36})"', (await caller.get("/checkout/review")).text)
    assert again is not None
    act = [("presentation", again[1]), ("job_title", TYPED["job_title"])]
    placed = await caller.post("/checkout/orders", [*act, *((box, "yes") for box in sorted(BOXES))])
    assert placed.status == 303, placed.text
    assert placed.location.startswith(house.twin.base_url)


async def test_journey_events_hold_nothing_that_a_person_typed(house: House) -> None:
    caller = await house.caller("guest")
    assert caller.principal is not None
    await walk(caller)
    await house.services.journey.flush()
    async with house.services.db.begin(for_staff()) as session:
        events = (
            await session.execute(
                sa.text("select name, properties::text as properties from journey_event where journey = :journey"),
                {"journey": caller.principal.visitor_id},
            )
        ).all()

    names = {name for name, _ in events}
    assert {"priced", "carted", "error_shown", "checkout_step_seen", "checkout_step_completed"} <= names
    assert {"agreement_shown", "agreement_accepted", "agreement_declined", "order_placed", "payment_started"} <= names
    typed = [*TYPED.values(), "8x2", "hooli-journey", "Walker", PASSWORD, caller.address]
    assert [(name, text, word) for name, text in events for word in typed if word.lower() in text.lower()] == []
