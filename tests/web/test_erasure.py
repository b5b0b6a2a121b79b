"""A person who did everything is erased: no trace is left, and every proof still holds."""

import hashlib
import hmac
import os
import re
import subprocess
import sys
import uuid
from datetime import date, timedelta
from io import BytesIO
from zipfile import ZipFile

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from accounts.data_exports import PURPOSE
from accounts.erasure import ApproverIsAuthor, OnHold, PlanChanged, Unfinished, shown_digest
from accounts.exemption_model import CertificateState
from accounts.model import StaffRole
from accounts.principal import Principal
from accounts.privacy_model import DataExport, PlanState
from agreements.verify import exit_code, verify_receipt
from checkout.model import Order, RefundReason
from checkout.refunds import Wish
from kernel.canonical import canonical_json
from kernel.db import for_staff
from kernel.embedded import EmbeddedServer
from kernel.failpoints import registered
from kernel.ids import new_id
from kernel.signing import Purpose
from tests.conftest import NOW, ROOT
from tests.web.conftest import PASSWORD, Browser, PayingShop
from tests.web.test_checkout_pages import ADDRESS, TICKED, fill_cart, presentation_of
from web.services import Services, rooms_of

NAME = "Xanthippe Quizzlewood"
EMAIL = "xanthippe.quizzlewood@pendragon.example"
ADDRESS_OF_IP = "203.0.113.77"
AGENT = "Quizzlewood-Browser/7"
TRACES = ("xanthippe", "quizzlewood", ADDRESS_OF_IP)
TODAY = NOW.date()
NO_ROOM_OF_PEOPLE = frozenset({"brand", "category", "product", "sku", "sku_cost", "sku_unit", "stock", "signed_quote"})
"""Of the catalogue and of pricing, which know companies, never people."""


@pytest.fixture
async def person(paying_shop: PayingShop) -> Browser:
    """The browser of somebody who signed up, ordered, paid, declined, asked lawyers and consented."""
    browser = paying_shop.client(ADDRESS_OF_IP)
    browser.headers["user-agent"] = AGENT
    signed_up = await browser.submit(
        "/signup",
        {
            "email": EMAIL,
            "password": "four unrelated words here",
            "name": NAME,
            "company_name": "Pendragon Tools S.L.",
            "country": "ES",
            "tax_id": "",
            "currency": "EUR",
        },
        page="/signup",
    )
    assert signed_up.status_code == 303, signed_up.text
    await paying_shop.services.jobs.run_pending()
    code = re.search(r"\b(\d{3}) ?(\d{3})\b", letters_to(paying_shop, EMAIL)[-1])
    assert code
    await browser.submit("/verify-email", {"code": code[1] + code[2]}, page="/verify-email")
    await paying_shop.services.journey.flush()
    return browser


async def order(browser: Browser, shop: PayingShop, **ticked: str) -> str:
    """Place an order and pay it."""
    await fill_cart(browser, quantity="1")
    await details(browser)
    page = await browser.get("/checkout/review")
    placed = await browser.submit(
        "/checkout/orders", {**TICKED, "presentation": presentation_of(page), **ticked}, page="/checkout/review"
    )
    assert placed.status_code == 303, placed.text
    (session,) = [each for each in shop.twin.control.objects("checkout.session") if each["status"] == "open"]
    shop.twin.control.pay_at_once(session["id"])
    number = str((await orders(shop.services))[-1].number)
    await browser.get(f"/orders/{number}/payment/return?session_id={session['id']}")
    await shop.services.journey.flush()  # else some seconds later, while a plan is read
    return number


async def details(browser: Browser) -> None:
    saved = await browser.submit("/checkout/details", {**ADDRESS, "ship_to.name": NAME}, page="/cart")
    assert saved.status_code == 303, saved.text


async def did_everything(browser: Browser, shop: PayingShop) -> str:
    """The number of the order that was paid and refunded."""
    number = await order(browser, shop, marketing="yes")
    await fill_cart(browser)
    await details(browser)
    page = await browser.get("/checkout/review")
    declined = {"presentation": presentation_of(page), "reason": "other", "comment": f"{NAME} says no"}
    assert (await browser.submit("/checkout/decline", declined, page="/checkout/review")).status_code == 303
    page = await browser.get("/checkout/review")
    sent = await browser.submit(
        "/checkout/legal-review", {"presentation": presentation_of(page)}, page="/checkout/review"
    )
    assert "legal-review/" in sent.text
    key = {"key_name": f"Key of {NAME}", "scope": "prices:read"}
    assert (await browser.submit("/account/keys", key, page="/account")).status_code == 200
    await browser.submit(
        "/account/invitations", {"email": "colleague@pendragon.example", "role": "buyer"}, page="/account"
    )
    finance = await staff(shop.services, "finance@meridian.example")
    wish = Wish(request_id=new_id(), reason=RefundReason.GOODS_RETURNED, note=f"{NAME} ({EMAIL}) rang us")
    await shop.services.payments.refunds.refund(finance, number, wish)
    opened = await shop.services.accounts.log_in(
        email=EMAIL, password="four unrelated words here", token=None, address=ADDRESS_OF_IP
    )
    certificate = await shop.services.exemptions.submit(
        opened.principal, country="ES", number="EX-1", authority="Tax office", expires_on=date(2029, 12, 31)
    )
    refused, note = CertificateState.REFUSED, f"{NAME} ({EMAIL}) could not show it"
    await shop.services.exemptions.review(finance, certificate.id, state=refused, note=note)
    await shop.services.jobs.run_pending()
    await told_by_stripe(shop)
    await shop.services.journey.flush()
    return number


async def told_by_stripe(shop: PayingShop) -> None:
    """Stripe's own message, which names who paid."""
    (session,) = shop.twin.control.objects("checkout.session")
    session["customer_details"] = {"name": NAME, "email": EMAIL}
    event = {
        "id": "evt_quiz",
        "object": "event",
        "type": "checkout.session.completed",
        "api_version": "2026-10-28.endive",
        "livemode": False,
        "created": int(shop.clock.now().timestamp()),
        "data": {"object": session},
    }
    raw = msgspec.json.encode(event)
    at = int(shop.clock.now().timestamp())
    signature = hmac.new(b"whsec_test", b"%d." % at + raw, hashlib.sha256).hexdigest()
    await shop.services.payments.receive_webhook(raw, f"t={at},v1={signature}")
    await shop.services.jobs.run_pending()


async def staff(services: Services, email: str) -> Principal:
    opened = await services.accounts.log_in(email=email, password=PASSWORD, token=None, address="192.0.2.99")
    return opened.principal


async def colleagues(services: Services) -> tuple[Principal, Principal]:
    """Two of the legal desk."""
    made = "second.lawyer@meridian.example"
    async with services.db.begin(for_staff()) as session:
        known = await session.scalar(sa.text("select 1 from person where email = :email"), {"email": made})
    if known is None:
        await services.members.create_staff(email=made, name="Second lawyer", password=PASSWORD, role=StaffRole.LEGAL)
    return await staff(services, "legal@meridian.example"), await staff(services, made)


async def erase(shop: PayingShop, **whom: str) -> uuid.UUID:
    """Plan, approve, send the letter and apply, as two people and the worker do it."""
    services = shop.services
    await services.journey.flush()
    maker, approver = await colleagues(services)
    plan = await services.erasures.plan(maker, asked_on=TODAY, reason="Asked by letter", **(whom or {"email": EMAIL}))
    _, items, _, _ = await services.erasures.look(plan.id)
    await services.erasures.approve(approver, plan.id, shown=shown_digest(items))
    await services.jobs.run_pending()
    shop.clock.advance(minutes=2)
    await services.erasures.apply(str(plan.id))
    return plan.id


async def orders(services: Services) -> list[Order]:
    async with services.db.begin(for_staff()) as session:
        return list(await session.scalars(sa.select(Order).order_by(Order.number)))


def letters_to(shop: PayingShop, address: str) -> list[str]:
    folder = shop.services.settings.var / "mail"
    found = sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    return [path.read_text() for path in found if address in path.read_text()]


def dump(server: EmbeddedServer, database_url: str) -> str:
    """The whole database as text."""
    name = make_url(database_url).database
    assert name is not None
    url = server.url(name, "postgres")
    return subprocess.run(
        [server.bin / "pg_dump", "--inserts", "--column-inserts", url], check=True, capture_output=True, text=True
    ).stdout


def traces(text: str) -> list[str]:
    low = text.lower()
    return [
        line[:300]
        for line in low.splitlines()
        if any(trace in line for trace in TRACES) or any(trace.encode().hex() in line for trace in TRACES)
    ]


async def test_of_an_erased_person_no_trace_is_left_and_every_proof_holds(
    person: Browser, paying_shop: PayingShop, server: EmbeddedServer, capfd: pytest.CaptureFixture[str]
) -> None:
    services = paying_shop.services
    number = await did_everything(person, paying_shop)
    kept = (await person.get(f"/orders/{number}/receipt.json")).content
    assert traces(dump(server, str(services.settings.database_url))), "the person is everywhere before"
    assert letters_to(paying_shop, EMAIL)

    await erase(paying_shop)

    assert traces(dump(server, str(services.settings.database_url))) == []
    assert letters_to(paying_shop, EMAIL) == letters_to(paying_shop, NAME) == []
    output = capfd.readouterr()
    assert traces(output.out + output.err) == []
    key = services.keyring.public_keys(Purpose.LEDGER)[-1].public_key
    async with services.db.begin(for_staff()) as session:
        found = (await orders(services))[-1]
        receipt = await services.agreements.receipt(session, found.id)
        state = await services.agreements.check_ledger(session)
    checks = verify_receipt(canonical_json(receipt), key)
    assert exit_code(checks) == 0
    assert {check.name for check in checks if check.outcome == "skipped"} >= {
        "opening actor_name",
        "opening actor_email",
    }
    assert exit_code(verify_receipt(kept, key)) == 0, "what the person keeps proves what it always did"
    assert state.broken_at is None
    assert await left(services) == 0, "nor would an export find anything but what names nobody"


async def left(services: Services) -> int:
    """Rows that would go if a plan were made again."""
    async with services.db.begin(for_staff()) as session:
        erased = list(await session.scalars(sa.text("select id from person where erased_at is not null")))
        subject = await services.erasures.subject(session, erased[0])
        items = await services.erasures._items(session, subject, services.clock.now())
    return sum(item.goes for item in items)


@pytest.mark.usefixtures("person")
async def test_who_made_a_plan_cannot_approve_it(paying_shop: PayingShop) -> None:
    services = paying_shop.services
    maker, _ = await colleagues(services)
    plan = await services.erasures.plan(maker, email=EMAIL, asked_on=TODAY, reason="Asked")

    with pytest.raises(ApproverIsAuthor):
        await services.erasures.approve(maker, plan.id, shown="")


async def test_what_came_after_the_plan_was_read_has_to_be_read(person: Browser, paying_shop: PayingShop) -> None:
    services = paying_shop.services
    maker, approver = await colleagues(services)
    plan = await services.erasures.plan(maker, email=EMAIL, asked_on=TODAY, reason="Asked")
    _, items, _, _ = await services.erasures.look(plan.id)
    await order(person, paying_shop)

    with pytest.raises(PlanChanged):
        await services.erasures.approve(approver, plan.id, shown=shown_digest(items))


async def test_nothing_is_erased_while_an_order_is_unpaid(person: Browser, paying_shop: PayingShop) -> None:
    services = paying_shop.services
    await fill_cart(person, quantity="1")
    await details(person)
    page = await person.get("/checkout/review")
    await person.submit("/checkout/orders", {**TICKED, "presentation": presentation_of(page)}, page="/checkout/review")
    maker, approver = await colleagues(services)
    plan = await services.erasures.plan(maker, email=EMAIL, asked_on=TODAY, reason="Asked")
    _, items, _, unfinished = await services.erasures.look(plan.id)

    assert unfinished == [(await orders(services))[-1].number]
    with pytest.raises(Unfinished):
        await services.erasures.approve(approver, plan.id, shown=shown_digest(items))


async def test_a_legal_hold_is_stronger_than_a_plan_and_than_age(person: Browser, paying_shop: PayingShop) -> None:
    services = paying_shop.services
    await order(person, paying_shop)
    maker, approver = await colleagues(services)
    plan = await services.erasures.plan(maker, email=EMAIL, asked_on=TODAY, reason="Asked")
    _, items, _, _ = await services.erasures.look(plan.id)
    hold = await services.erasures.place_hold(maker, email=EMAIL, reason="Case 4711 at the court of Madrid")
    before = await annexes(services)

    with pytest.raises(OnHold):
        await services.erasures.approve(approver, plan.id, shown=shown_digest(items))
    paying_shop.clock.advance(days=4000)
    await services.retention.expire()
    assert await annexes(services) == before

    await services.erasures.lift_hold(approver, hold.id, reason="Settled")
    await services.retention.expire()
    assert await annexes(services) == 0


@pytest.mark.usefixtures("person")
async def test_a_hold_placed_after_approval_stops_the_job_and_lifting_it_lets_it_go_on(paying_shop: PayingShop) -> None:
    services = paying_shop.services
    maker, approver = await colleagues(services)
    plan = await services.erasures.plan(maker, email=EMAIL, asked_on=TODAY, reason="Asked")
    _, items, _, _ = await services.erasures.look(plan.id)
    await services.erasures.approve(approver, plan.id, shown=shown_digest(items))
    hold = await services.erasures.place_hold(maker, email=EMAIL, reason="Case 4711")
    await services.jobs.run_pending()
    paying_shop.clock.advance(days=2)
    await services.erasures.apply(str(plan.id))
    assert (await services.erasures.look(plan.id))[0].state is PlanState.APPROVED
    assert not await services.erasures.steps(plan.id)

    await services.erasures.lift_hold(approver, hold.id, reason="Settled")
    await services.jobs.run_pending()

    assert (await services.erasures.look(plan.id))[0].state is PlanState.APPLIED


async def test_what_the_law_keeps_stays_until_its_day_and_the_letter_says_so(
    person: Browser, paying_shop: PayingShop
) -> None:
    services = paying_shop.services
    number = await order(person, paying_shop)
    plan_id = await erase(paying_shop)
    plan, items, _, _ = await services.erasures.look(plan_id)
    stays = {item.holding: item for item in items if item.stays}
    assert set(stays) == {"order-addresses", "orders", "acceptances"}
    kept = (await orders(services))[-1]
    assert plan.again_at == stays["order-addresses"].until == kept.placed_at + timedelta(days=2190)
    assert (kept.number, kept.ship_to["line1"], kept.ship_to["country"]) == (number, "Calle del Río 1", "ES")

    paying_shop.clock.advance(days=2191)
    await services.retention.expire()

    gone = (await orders(services))[-1]
    assert (gone.ship_to["line1"], gone.ship_to["country"]) == ("-", "ES")


async def test_everybody_of_a_company_goes_by_one_plan(person: Browser, paying_shop: PayingShop) -> None:
    services = paying_shop.services
    await person.submit("/account/keys", {"key_name": "ERP", "scope": "prices:read"}, page="/account")
    async with services.db.begin(for_staff()) as session:
        code = await session.scalar(sa.text("select code from company where name = 'Pendragon Tools S.L.'"))

    await erase(paying_shop, company=str(code))

    async with services.db.begin(for_staff()) as session:
        names = list(await session.scalars(sa.text("select name from api_key")))
        members = await session.scalar(
            sa.text(
                "select count(*) from membership m join company c on c.id = m.company_id"
                " where c.name = 'Pendragon Tools S.L.'"
            )
        )
    assert members == 0
    assert "ERP" not in names


PROGRAM = """
import asyncio, os, sys
from datetime import datetime
from pathlib import Path
from kernel.clock import FixedClock
from tests.web.conftest import FAST_PASSWORDS, demo_settings, own_folder
from web.services import build

async def main(url, var, now, act, subject):
    settings = demo_settings(url, **own_folder(Path(var)))
    services = build(settings, clock=FixedClock(datetime.fromisoformat(now)), passwords=FAST_PASSWORDS)
    await {"apply": services.erasures.apply, "make": services.data_exports.make}[act](subject)

deaths, again = 0, os.environ.get("AGAIN") == "yes"
while True:
    child = os.fork()
    if not child:
        asyncio.run(main(*sys.argv[1:]))
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    deaths += 1
    assert deaths < 100
    if not again:
        del os.environ["TARIFA_FAILPOINT"]
print(deaths)
"""


def killed(shop: PayingShop, failpoint: str, act: str, subject: str, *, again: bool = False) -> int:
    """Do *act* in processes of its own that die at *failpoint*: once, or *again* and again; how often they died."""
    settings = shop.services.settings
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            str(settings.database_url),
            str(settings.var),
            shop.clock.now().isoformat(),
            act,
            subject,
        ],
        cwd=ROOT,
        env=os.environ | {"TARIFA_FAILPOINT": failpoint, "AGAIN": "yes" if again else "no"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "failpoint", [*registered("privacy.erase"), *registered("privacy.applied"), "privacy.erase:after_commit again"]
)
async def test_killed_anywhere_an_erasure_goes_on_and_leaves_nothing(
    person: Browser, paying_shop: PayingShop, server: EmbeddedServer, failpoint: str
) -> None:
    services = paying_shop.services
    await order(person, paying_shop)
    maker, approver = await colleagues(services)
    plan = await services.erasures.plan(maker, email=EMAIL, asked_on=TODAY, reason="Asked")
    _, items, _, _ = await services.erasures.look(plan.id)
    await services.erasures.approve(approver, plan.id, shown=shown_digest(items))
    await services.post_office.send(str((await services.erasures.look(plan.id))[0].letters[0]))
    place, _, again = failpoint.partition(" ")

    deaths = killed(paying_shop, place, "apply", str(plan.id), again=bool(again))

    steps = await services.erasures.steps(plan.id)
    assert deaths == (len(steps) if again else 1)
    assert len({step.holding for step in steps}) == len(steps), "each step was done once"
    assert (await services.erasures.look(plan.id))[0].state is PlanState.APPLIED
    assert traces(dump(server, str(services.settings.database_url))) == []
    assert letters_to(paying_shop, EMAIL) == []


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", registered("privacy.export"))
async def test_killed_anywhere_an_export_is_made_once(person: Browser, paying_shop: PayingShop, failpoint: str) -> None:
    services = paying_shop.services
    await order(person, paying_shop)
    async with services.db.begin(for_staff()) as session:
        found = (await session.execute(sa.select(Order.company_id, Order.person_id))).one()
        asked = DataExport(id=new_id(), company_id=found[0], person_id=found[1], asked_at=services.clock.now())
        session.add(asked)

    assert killed(paying_shop, failpoint, "make", str(asked.id)) == 1

    async with services.db.begin(for_staff()) as session:
        made = await session.get_one(DataExport, asked.id)
        content = services.keyring.decrypt(PURPOSE, made.ciphertext or b"", context=made.id.bytes)
    with ZipFile(BytesIO(content)) as archive:
        data = {each["name"]: each["rows"] for each in msgspec.json.decode(archive.read("data.json"))["data"]}
        page = archive.read("data.html").decode()
    assert data["account"][0]["email"] == EMAIL
    assert data["acceptance-connections"][0] | {"since": ""} == {"ip": ADDRESS_OF_IP, "user_agent": AGENT, "since": ""}
    assert {row["field"] for row in data["acceptance-values"]} >= {"actor_name", "job_title", "order.ship_to.line1"}
    assert NAME in page


async def annexes(services: Services) -> int:
    async with services.db.begin(for_staff()) as session:
        return int(await session.scalar(sa.text("select count(*) from acceptance_annex")) or 0)


async def test_every_table_says_what_it_holds_of_a_person(paying_shop: PayingShop) -> None:
    """A new table has to be named in its room's holdings: with what finds and erases a person, or as impersonal."""
    rooms = rooms_of(paying_shop.services.keyring)
    held = {table for room in rooms for holding in room.holdings for table in (holding.table, *holding.also)}
    said = held | {table for room in rooms for table in room.impersonal} | NO_ROOM_OF_PEOPLE
    async with paying_shop.services.db.begin(for_staff()) as session:
        names = set(
            await session.scalars(
                sa.text("select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace")
            )
        )

    assert {name for name in names - said if not name.startswith("price_")} == set()
    assert said - names == set()
