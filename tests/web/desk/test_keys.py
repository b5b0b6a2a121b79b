"""The desk's page of API keys: made for oneself, shown once, revoked."""

import re

from tests.web.api.desks import CHIEF, make_chief
from tests.web.api.partners import Program
from tests.web.conftest import Browser, Shop
from tests.web.desk.conftest import Clerk

FORM: dict[str, str | list[str]] = {"key_name": "pipeline", "scope": ["desk:read", "desk:edit"]}


async def make(browser: Browser, **fields: str | list[str]) -> tuple[int, str]:
    answer = await browser.submit("/desk/keys", {**FORM, **fields}, page="/desk/keys")
    return answer.status_code, answer.text


async def test_a_clerk_makes_a_key_sees_it_once_and_revokes_it(shop: Shop, clerk: Clerk) -> None:
    status, page = await make(clerk.browser)
    assert status == 200
    (text,) = set(re.findall(r"trf_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", page))
    program = Program(shop, text)
    assert (await program.get("/api/v1/desk/drafts")).status_code == 200

    listed = await clerk.get("/desk/keys")
    assert "pipeline" in listed
    assert text not in listed
    assert "change drafts and submit them, read drafts, publications and impact" in " ".join(listed.split())
    key_id = text.split("_")[1]
    answer = await clerk.browser.submit(f"/desk/keys/{key_id}/revocation", page="/desk/keys")
    assert answer.status_code == 303
    assert (await program.get("/api/v1/desk/drafts")).json()["reason"] == "revoked"
    assert "revoked" in await clerk.get("/desk/keys")


async def test_what_is_wrong_is_said_beside_its_field_and_ticks_stay(clerk: Clerk) -> None:
    wrong: list[tuple[dict[str, str | list[str]], str]] = [
        ({"key_name": ""}, "Write your name, in up to 200 characters."),
        ({"scope": []}, "Choose what the key may do from the list."),
        ({"scope": ["prices:read"]}, "Choose what the key may do from the list."),
    ]
    for fields, said in wrong:
        status, page = await make(clerk.browser, **fields)
        assert (status, said in page) == (422, True), said
    status, page = await make(clerk.browser, key_name="")
    assert re.search(r'value="desk:edit" checked', page)
    for _ in range(2):
        assert (await make(clerk.browser))[0] == 200
    status, page = await make(clerk.browser)
    assert (status, "Two keys of this name are alive. Revoke the older one first." in page) == (422, True)


async def test_a_colleagues_key_is_nobodys_business_but_an_admins(shop: Shop, clerk: Clerk) -> None:
    await make_chief(shop)
    chief = shop.client()
    await chief.log_in(CHIEF)
    _, page = await make(chief, key_name="approver")
    key_id = re.findall(r"trf_([0-9A-Za-z]{12})_", page)[0]
    await make(clerk.browser)

    assert "approver" not in await clerk.get("/desk/keys")
    answer = await clerk.browser.submit(f"/desk/keys/{key_id}/revocation", page="/desk/keys")
    assert (answer.status_code, "This key is not there any more." in answer.text) == (422, True)
    assert "pipeline" in (await chief.get("/desk/keys")).text
