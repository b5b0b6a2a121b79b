"""The doors: log-in, sign-up, e-mail codes, resets."""

import re

import pytest
import sqlalchemy as sa

from kernel.db import for_staff
from tests.web.conftest import PASSWORD, Browser, Shop


async def last_letter(shop: Shop, kind: str) -> str:
    async with shop.services.db.begin(for_staff()) as session:
        found = await session.scalar(
            sa.text("select text from outgoing_mail where kind = :kind order by queued_at desc, id desc limit 1"),
            {"kind": kind},
        )
    assert found is not None, f"no letter of kind {kind}"
    return str(found)


async def test_a_buyer_logs_in_and_out(browser: Browser) -> None:
    await browser.log_in("buyer@acme.example")
    assert "Acme" in (await browser.get("/")).text

    await browser.submit("/logout", page="/")

    assert "Acme" not in (await browser.get("/")).text


async def test_a_wrong_password_keeps_the_address_and_says_nothing_about_the_account(browser: Browser) -> None:
    answers = []
    for email in ("buyer@acme.example", "nobody@acme.example"):
        answer = await browser.submit("/login", {"email": email, "password": "wrong password here"})
        assert answer.status_code == 422
        assert f'value="{email}"' in answer.text
        answers.append(answer.text.replace(email, ""))

    assert answers[0] == answers[1]
    assert "wrong password here" not in answers[0]


async def test_the_session_is_another_after_log_in(browser: Browser, shop: Shop) -> None:
    opened = await shop.services.accounts.start_visitor_session()
    browser.cookies.set("tarifa_8000", opened.token, domain="127.0.0.1", path="/")

    await browser.log_in("buyer@acme.example")

    assert browser.cookies["tarifa_8000"] != opened.token


async def test_a_form_from_another_site_is_refused(browser: Browser) -> None:
    token = await browser.token()
    form = {"form_token": token, "email": "buyer@acme.example", "password": PASSWORD}

    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
    ):
        assert (await browser.post("/login", data=form, headers=headers)).status_code == 403


async def test_a_form_without_an_origin_is_ours_when_the_browser_says_so(browser: Browser) -> None:
    """With `Referrer-Policy: no-referrer`, browsers send `Origin: null` for our own forms."""
    form = {"form_token": await browser.token(), "email": "buyer@acme.example", "password": PASSWORD}

    answer = await browser.post("/login", data=form, headers={"origin": "null"}, follow_redirects=False)

    assert answer.status_code == 303


async def test_a_form_without_our_token_is_refused(browser: Browser) -> None:
    for token in ("", "0" * 40, "é"):
        form = {"form_token": token, "email": "buyer@acme.example", "password": PASSWORD}
        answer = await browser.post("/login", data=form)
        assert answer.status_code == 403


async def test_a_new_company_signs_up_and_proves_its_e_mail(browser: Browser, shop: Shop) -> None:
    form = {
        "company_name": "Hooli Tools",
        "country": "ES",
        "tax_id": "",
        "currency": "EUR",
        "name": "Hooli buyer",
        "email": "buyer@hooli.example",
        "password": "a sentence that is long",
    }
    wrong = await browser.submit("/signup", {**form, "email": "no address", "password": "short"}, page="/signup")
    assert wrong.status_code == 422
    assert 'id="email-error"' in wrong.text
    assert 'id="password-error"' in wrong.text
    assert 'value="Hooli Tools"' in wrong.text

    right = await browser.submit("/signup", form, page="/signup")
    assert right.status_code == 303, right.text
    code = re.search(r"\b\d{6}\b|\b\d{3} \d{3}\b", await last_letter(shop, "email_code"))
    assert code is not None
    proven = await browser.submit("/verify-email", {"code": code[0]}, page="/verify-email")

    assert proven.status_code == 303, proven.text
    assert "Hooli Tools" in (await browser.get("/")).text


@pytest.mark.parametrize(
    "path", ["/login", "/signup", "/password-reset", "/password-reset?token=unknown", "/invitation?token=unknown"]
)
async def test_every_door_is_there_in_both_languages(browser: Browser, path: str) -> None:
    for language in ("en", "es"):
        answer = await browser.get(f"{path}{'&' if '?' in path else '?'}lang={language}")
        assert answer.status_code == (404 if "invitation" in path else 200)


async def test_a_password_is_reset_by_the_link_in_the_letter(browser: Browser, shop: Shop) -> None:
    await browser.submit("/password-reset", {"email": "buyer@acme.example"})
    link = re.search(r"/password-reset\?token=\S+", await last_letter(shop, "password_reset"))
    assert link is not None

    page = await browser.get(link[0])
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token is not None
    done = await browser.submit("/password-reset/new", {"token": token[1], "password": "another long sentence"})
    assert done.status_code == 303, done.text
    again = await browser.submit("/login", {"email": "buyer@acme.example", "password": "another long sentence"})

    assert again.status_code == 303


async def test_a_page_for_members_leads_a_visitor_to_the_log_in_and_back(browser: Browser) -> None:
    answer = await browser.get("/verify-email", follow_redirects=False)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/verify-email"


async def test_every_answer_carries_the_security_headers(browser: Browser) -> None:
    for path in ("/", "/nope", "/health/live", "/login"):
        headers = (await browser.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
