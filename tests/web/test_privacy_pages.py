"""Privacy as people meet it: consents withdrawn, a copy of one's data, and the desk's plans, holds and periods."""

import re
from email import message_from_string
from io import BytesIO
from zipfile import ZipFile

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from agreements.model import Consent
from kernel.db import for_staff
from tests.web.conftest import Browser, PayingShop
from tests.web.test_erasure import EMAIL, NAME, TODAY, colleagues, letters_to, order
from tests.web.test_erasure import person as person  # noqa: PLC0414 - pytest finds it here by this name
from web.services import Services

MAKER, APPROVER = "legal@meridian.example", "second.lawyer@meridian.example"


async def standing(services: Services) -> int:
    async with services.db.begin(for_staff()) as session:
        query = sa.select(sa.func.count()).select_from(Consent).where(Consent.withdrawn_at.is_(None))
        return int(await session.scalar(query) or 0)


async def test_consent_is_withdrawn_in_one_click_on_ones_own_page(person: Browser, paying_shop: PayingShop) -> None:
    await order(person, paying_shop, marketing="yes")
    assert await standing(paying_shop.services) == 1
    page = await person.get("/account/privacy")
    assert "Withdraw" in page.text

    await person.submit("/account/privacy/consents", {"purpose": "marketing"}, page="/account/privacy")

    assert await standing(paying_shop.services) == 0
    assert "withdrawn" in (await person.get("/account/privacy")).text


async def test_a_letter_that_rests_on_consent_withdraws_it_by_one_post_of_a_mail_program(
    person: Browser, paying_shop: PayingShop
) -> None:
    services = paying_shop.services
    await order(person, paying_shop, marketing="yes")
    subjects, texts = {"en": "News", "es": "Novedades"}, {"en": "Chairs.", "es": "Sillas."}
    assert await services.consents.write_to_all(subjects, texts) == 1
    await services.jobs.run_pending()
    letter = message_from_string(letters_to(paying_shop, "Subject: News")[-1])
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = letter["List-Unsubscribe"].replace("\n ", "").strip("<>")
    path = "/" + link.split("/", 3)[3]
    stranger = paying_shop.client()
    del stranger.headers["sec-fetch-site"]

    opened = await stranger.get(path)
    assert (opened.status_code, await standing(services)) == (200, 1), "opening it withdraws nothing"
    for _ in range(2):
        answer = await stranger.post(path, data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code in {200, 201}

    assert await standing(services) == 0
    assert (await stranger.post(path[:-3] + "abc")).status_code == 404
    assert await services.consents.write_to_all(subjects, texts) == 0


async def test_a_person_takes_a_copy_of_their_data_and_nobody_else_does(
    person: Browser, paying_shop: PayingShop
) -> None:
    await order(person, paying_shop)
    await person.submit("/account/privacy/exports", page="/account/privacy")
    path = re.search(r"/account/privacy/exports/[0-9a-f-]{36}", (await person.get("/account/privacy")).text)
    assert path
    copy = await person.get(path[0])
    stranger = paying_shop.client()
    await stranger.log_in("buyer@globex.example")

    assert (await stranger.get(path[0])).status_code == 404
    with ZipFile(BytesIO(copy.content)) as archive:
        data = msgspec.json.decode(archive.read("data.json"))["data"]
    assert {each["name"]: each["rows"] for each in data}["account"][0]["name"] == NAME
    paying_shop.clock.advance(days=8)
    await person.get("/login")
    assert path[0] not in (await person.get("/account/privacy")).text


async def test_two_of_the_legal_desk_erase_a_person_by_pages(person: Browser, paying_shop: PayingShop) -> None:
    services = paying_shop.services
    await order(person, paying_shop)
    await colleagues(services)
    maker, approver = paying_shop.client(), paying_shop.client()
    await maker.log_in(MAKER)
    await approver.log_in(APPROVER)
    form = {"email": EMAIL, "company": "", "asked_on": TODAY.isoformat(), "reason": "Asked by letter"}
    made = await maker.submit("/desk/privacy/plans", form, page="/desk/privacy")
    path = made.headers["location"]
    page = await maker.get(path)
    assert NAME in page.text
    assert "Código de Comercio" in page.text

    shown = {"shown": field(page, "shown")}
    assert (await maker.submit(f"{path}/approval", shown, page="/desk/privacy")).status_code == 409
    assert (await approver.submit(f"{path}/approval", shown, page="/desk/privacy")).status_code == 303
    await services.jobs.run_pending()
    paying_shop.clock.advance(minutes=2)
    await services.erasures.apply(path.rpartition("/")[2])

    page = await maker.get(path)
    assert "carried out" in page.text
    assert NAME not in page.text
    assert EMAIL not in (await maker.get("/desk/privacy")).text
    pdf = await maker.get(f"{path}/letter/pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert "Erasure of your personal data" in (await maker.get(f"{path}/letter/html")).text


@pytest.mark.usefixtures("person")
async def test_the_desk_places_and_lifts_holds_and_sets_periods(paying_shop: PayingShop) -> None:
    lawyer = paying_shop.client()
    await lawyer.log_in(MAKER)
    hold = {"hold_email": EMAIL, "hold_company": "", "hold_reason": "Case 4711"}
    assert (await lawyer.submit("/desk/privacy/holds", hold, page="/desk/privacy")).status_code == 303
    page = await lawyer.get("/desk/privacy")
    assert page.status_code == 200, page.text
    assert "Case 4711" in page.text
    path = re.search(r"/desk/privacy/holds/[0-9a-f-]{36}/lifting", page.text)
    assert path
    lifted = await lawyer.submit(path[0], {"lift_reason": "Settled"}, page="/desk/privacy")
    assert lifted.status_code == 303
    assert "Settled" in (await lawyer.get("/desk/privacy")).text

    period = {"kind": "contract", "country": "pt", "days": "3650", "basis_en": "Ten years", "basis_es": "Diez años"}
    assert (
        await lawyer.submit("/desk/privacy/periods", {**period, "obligatory": "yes"}, page="/desk/privacy")
    ).status_code == 303
    assert "3,650" in (await lawyer.get("/desk/privacy")).text
    wrong = await lawyer.submit("/desk/privacy/periods", {**period, "days": "many"}, page="/desk/privacy")
    assert wrong.status_code == 422


async def test_the_letter_is_in_the_persons_language(person: Browser, paying_shop: PayingShop) -> None:
    services = paying_shop.services
    await person.submit("/account/details", {"name": NAME, "locale": "es"}, page="/account")
    await order(person, paying_shop)
    maker, _ = await colleagues(services)
    plan = await services.erasures.plan(maker, email=EMAIL, asked_on=TODAY, reason="Pedido")
    lawyer = paying_shop.client()
    await lawyer.log_in(MAKER)

    text = (await lawyer.get(f"/desk/privacy/plans/{plan.id}/letter/html")).text

    assert "Supresión de sus datos personales" in text
    assert "se conservan seis años" in text


def field(page: httpx.Response, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found
    return found[1]
