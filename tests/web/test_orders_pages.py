"""What became of an order, for its company and for nobody else; receipts; accounts."""

import re
from base64 import b64decode
from email.parser import BytesParser
from email.policy import default
from html import unescape

import msgspec
import pytest

from agreements.verify import exit_code, verify_bundle, verify_receipt
from kernel.signing import Purpose
from tests.web.conftest import Browser, PayingShop
from tests.web.test_checkout_pages import at_review, orders_of, place


@pytest.fixture
async def browser(paying_shop: PayingShop) -> Browser:
    return paying_shop.client()


async def ordered(browser: Browser, shop: PayingShop) -> str:
    await place(browser, await at_review(browser))
    (order,) = await orders_of(shop)
    return order.number


@pytest.mark.parametrize(
    "path", ["", "/payment", "/payment/return?session_id=cs_test_1", "/receipt", "/receipt.json", "/bundle.zip"]
)
async def test_another_companys_order_answers_as_a_missing_one(
    browser: Browser, paying_shop: PayingShop, path: str
) -> None:
    number = await ordered(browser, paying_shop)
    stranger = paying_shop.client()
    await stranger.log_in("buyer@globex.example")

    theirs = await stranger.get(f"/orders/{number}{path}")
    missing = await stranger.get(f"/orders/T-2026-999999{path}")

    assert theirs.status_code == missing.status_code == 404
    assert theirs.text.replace(number, "") == missing.text.replace("T-2026-999999", "")


@pytest.mark.parametrize("act", ["payment", "cancellation", "reorder"])
async def test_nobody_acts_on_another_companys_order(browser: Browser, paying_shop: PayingShop, act: str) -> None:
    number = await ordered(browser, paying_shop)
    stranger = paying_shop.client()
    await stranger.log_in("buyer@globex.example")

    answer = await stranger.submit(f"/orders/{number}/{act}", page="/cart")

    assert answer.status_code == 404
    assert [order.state.value for order in await orders_of(paying_shop)] == ["payable"]


async def test_a_session_of_another_order_proves_nothing(browser: Browser, paying_shop: PayingShop) -> None:
    number = await ordered(browser, paying_shop)

    answer = await browser.get(f"/orders/{number}/payment/return?session_id=cs_test_of_somebody_else")

    assert answer.status_code == 404
    assert "waiting for payment" in (await browser.get(f"/orders/{number}")).text


async def test_a_declined_card_keeps_the_order_and_its_agreements(browser: Browser, paying_shop: PayingShop) -> None:
    number = await ordered(browser, paying_shop)
    (session,) = paying_shop.twin.control.objects("checkout.session")
    assert paying_shop.twin.control.pay_at_once(session["id"], "declined").outcome != "paid"

    page = await browser.get(f"/orders/{number}/payment")
    again = await browser.submit(f"/orders/{number}/payment", page="/cart")

    assert "nothing was charged" in page.text
    assert (await browser.get(f"/orders/{number}/receipt")).status_code == 200
    assert again.headers["location"] == session["url"]


async def test_a_payment_page_that_cannot_be_reached_leaves_an_order_to_pay_later(
    browser: Browser, paying_shop: PayingShop
) -> None:
    paying_shop.services.gateway._client = type(paying_shop.services.gateway._client)(
        "sk_test_twin",
        base_addresses={"api": "http://127.0.0.1:9"},
        max_network_retries=0,
        http_client=paying_shop.services.gateway._http,
    )
    placed = await place(browser, await at_review(browser))

    (order,) = await orders_of(paying_shop)
    assert placed.headers["location"] == f"/orders/{order.number}?payment=unavailable"
    page = (await browser.get(placed.headers["location"])).text
    assert "Your order stands" in page
    assert "Pay now" in page


async def test_an_unpaid_order_is_cancelled_and_a_cancelled_one_not_again(
    browser: Browser, paying_shop: PayingShop
) -> None:
    number = await ordered(browser, paying_shop)

    assert (await browser.submit(f"/orders/{number}/cancellation", page="/cart")).status_code == 303
    assert "The order was cancelled" in (await browser.get(f"/orders/{number}")).text
    again = await browser.submit(f"/orders/{number}/cancellation", page="/cart")

    assert again.status_code == 409
    assert "cannot be cancelled any more" in again.text


async def test_the_same_is_ordered_again_at_todays_prices(browser: Browser, paying_shop: PayingShop) -> None:
    number = await ordered(browser, paying_shop)

    answer = await browser.submit(f"/orders/{number}/reorder", page="/cart")

    assert answer.headers["location"] == "/cart"
    assert "CRUNCHY-ARMCHAIR" in (await browser.get("/cart")).text


async def test_the_receipt_verifies_with_the_published_key_and_program(
    browser: Browser, paying_shop: PayingShop
) -> None:
    number = await ordered(browser, paying_shop)
    receipt = (await browser.get(f"/orders/{number}/receipt.json")).content
    keys = msgspec.json.decode((await browser.get("/.well-known/tarifa-keys.json")).content)["keys"]
    ledger = next(key["public_key"] for key in keys if key["purpose"] == Purpose.LEDGER)

    checks = verify_receipt(receipt, ledger)

    assert exit_code(checks) == 0
    assert {check.name for check in checks if check.outcome == "skipped"} == {"opening annex"}
    assert (await browser.get("/verify.py")).text.startswith('"""Verify a receipt')
    page = (await browser.get(f"/orders/{number}/receipt")).text
    assert "What it does not prove" in page
    assert ">fails<" not in page
    assert "on its way" in page


async def test_the_evidence_is_taken_away_by_the_company_and_by_staff_and_by_nobody_else(
    browser: Browser, paying_shop: PayingShop
) -> None:
    number = await ordered(browser, paying_shop)
    keys = trusted_ledger_keys((await browser.get("/.well-known/tarifa-keys.json")).content)

    bundle = await browser.get(f"/orders/{number}/bundle.zip")

    assert bundle.headers["content-disposition"] == f'attachment; filename="bundle-{number}.zip"'
    assert exit_code(verify_bundle(bundle.content, keys)) == 0
    pdf = await browser.get(f"/orders/{number}/receipt.pdf")
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert (await browser.head(f"/orders/{number}/bundle.zip")).content == b""
    async with paying_shop.client() as stranger:
        await stranger.log_in("legal@meridian.example")
        assert (await stranger.get(f"/orders/{number}/bundle.zip")).status_code != 200
        at_desk = await stranger.get(f"/desk/orders/{number}/bundle.zip")
        assert exit_code(verify_bundle(at_desk.content, keys)) == 0


async def test_the_receipt_is_sent_to_its_signer_and_the_page_says_what_became_of_it(
    browser: Browser, paying_shop: PayingShop
) -> None:
    number = await ordered(browser, paying_shop)

    await paying_shop.services.jobs.run_pending()

    page = (await browser.get(f"/orders/{number}/receipt")).text
    assert "The mail server answered:" in page
    folder = paying_shop.services.settings.var / "mail"
    letters = [BytesParser(policy=default).parsebytes(path.read_bytes()) for path in folder.glob("*.eml")]
    (letter,) = (letter for letter in letters if str(letter["Message-ID"]) in unescape(page))
    assert number in str(letter["Subject"])
    files = {part.get_filename(): part.get_content() for part in letter.iter_attachments()}
    assert set(files) == {"receipt.pdf", "receipt.json", "bundle.zip"}
    keys = trusted_ledger_keys((await browser.get("/.well-known/tarifa-keys.json")).content)
    assert exit_code(verify_bundle(files["bundle.zip"], keys)) == 0


def trusted_ledger_keys(published: bytes) -> list[bytes]:
    keys = msgspec.json.decode(published)["keys"]
    return [b64decode(key["public_key"]) for key in keys if key["purpose"] == Purpose.LEDGER]


async def test_documents_are_read_without_a_log_in_and_a_missing_one_is_404(browser: Browser) -> None:
    listed = (await browser.get("/documents")).text
    links = re.findall(r'href="(/documents/[^"]+)"', listed)

    assert len(links) >= 3
    for link in links:
        assert (await browser.get(link)).status_code == 200
    assert (await browser.get("/documents/master-terms/99/en")).status_code == 404


async def test_an_admin_invites_and_makes_a_key_that_is_shown_once(browser: Browser) -> None:
    await browser.log_in("buyer@acme.example")

    invited = await browser.submit(
        "/account/invitations", {"email": "new@acme.example", "role": "buyer"}, page="/account"
    )
    made = await browser.submit("/account/keys", {"key_name": "ERP", "scope": "prices:read"}, page="/account")

    assert invited.status_code == 303
    shown = re.search(r"trf_\w+", made.text)
    assert shown
    account = (await browser.get("/account")).text
    assert "new@acme.example" in account
    assert shown[0] not in account


@pytest.mark.parametrize(
    ("path", "form", "said"),
    [
        ("/account/invitations", {"email": "nonsense", "role": "buyer"}, "name@company.example"),
        ("/account/invitations", {"email": "new@acme.example", "role": "king"}, "Choose a role"),
        ("/account/keys", {"key_name": "", "scope": "prices:read"}, 'id="key_name-error"'),
        ("/account/keys", {"key_name": "ERP"}, "Choose what the key may do"),
        ("/account/details", {"name": "", "locale": "en"}, 'id="name-error"'),
    ],
)
async def test_what_an_account_cannot_take_is_said(
    browser: Browser, path: str, form: dict[str, str], said: str
) -> None:
    await browser.log_in("buyer@acme.example")

    answer = await browser.submit(path, form, page="/account")

    assert answer.status_code == 422
    assert said in answer.text


async def test_a_clerk_sees_the_account_but_manages_nothing(browser: Browser) -> None:
    await browser.log_in("clerk@acme.example")

    assert "Who may sign orders" in (await browser.get("/account")).text
    answer = await browser.submit("/account/keys", {"key_name": "ERP", "scope": "prices:read"}, page="/account")
    assert answer.status_code == 404
