"""Two signatories and the seller's legal desk sign one order: page by page."""

import re
import shutil

import httpx
import pytest
import sqlalchemy as sa

from accounts.model import MemberRole
from agreements.package_model import Package
from agreements.package_states import PackageState
from agreements.verify import verify_bundle, verify_receipt
from checkout.model import Order
from kernel.db import for_accounts, for_staff
from kernel.mail import OutgoingMail
from kernel.pdf_seal import look_at_seal
from tests.web.conftest import PASSWORD, Browser, PayingShop
from tests.web.test_checkout_pages import ADDRESS, fill_cart
from web.evidence import template_digest

SECOND = "second@acme.example"
PAGE = "account/package.html"


@pytest.fixture
async def shop(paying_shop: PayingShop) -> PayingShop:
    """Above 100 EUR two of Acme sign, and the seller."""
    services = paying_shop.services
    async with services.db.begin(for_accounts()) as session:
        company = await session.scalar(sa.text("select id from company where code = 'acme'"))
    await services.members.create_member(
        company, email=SECOND, name="Acme second", password=PASSWORD, role=MemberRole.BUYER, signatory=True
    )
    boss, legal = paying_shop.client(), paying_shop.client()
    await boss.log_in("buyer@acme.example")
    await legal.log_in("legal@meridian.example")
    policy = {"approval": "never", "two_signatures_above": "100", "wait_days": "7", "copies": "archive@acme.example"}
    assert (await boss.submit("/account/policy", policy, page="/account/policy")).status_code == 303
    wrong = await legal.submit("/desk/signatures/policy", {"above": "a lot"}, page="/desk/signatures")
    assert wrong.status_code == 422
    assert "Write amounts like 10000.00 EUR" in wrong.text
    seller = {"above": "100.00 EUR\n1 JPY", "document": "master-terms", "copies": ""}
    assert (await legal.submit("/desk/signatures/policy", seller, page="/desk/signatures")).status_code == 303
    assert "100.00 EUR" in (await legal.get("/desk/signatures")).text
    return paying_shop


async def at_plan(browser: Browser) -> httpx.Response:
    await browser.log_in("buyer@acme.example")
    await fill_cart(browser)
    await browser.submit("/checkout/details", ADDRESS, page="/cart")
    plan = await browser.get("/checkout/review")
    assert plan.url.path == "/checkout/signatures"
    return plan


async def send(browser: Browser, plan: httpx.Response) -> str:
    people = re.findall(r'name="signatory" value="([0-9a-f-]{36})"', plan.text)
    assert len(people) == 2
    sent = await browser.submit("/checkout/signatures", {"signatory": people}, page="/cart")
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"])


async def sign(browser: Browser, path: str, **changed: str) -> httpx.Response:
    page = await browser.get(path)
    found = re.search(r'name="digest" value="(sha256:[0-9a-f]{64})"', page.text)
    assert found, page.text
    assert "checked" not in page.text
    form = {
        "digest": found[1],
        "intent": "yes",
        "authority": "yes",
        "typed_name": "A. Name",
        "title": "Head",
        **changed,
    }
    return await browser.submit(f"{path}/signature", {name: value for name, value in form.items() if value})


async def letters(shop: PayingShop, kind: str) -> list[OutgoingMail]:
    async with shop.services.db.begin(for_staff()) as session:
        return list((await session.scalars(sa.select(OutgoingMail).where(OutgoingMail.kind == kind))).all())


async def test_two_buyers_and_the_seller_sign_and_get_one_sealed_document(shop: PayingShop) -> None:
    first, second, legal, stranger = (shop.client() for _ in range(4))
    await stranger.log_in("buyer@globex.example")
    plan = await at_plan(first)
    assert "and counter-signed by" in plan.text
    path = await send(first, plan)
    [link] = [
        re.search(r"/signing/(\S+)", mail.text) for mail in await letters(shop, "package_to_sign")
        if mail.recipient == SECOND
    ]  # fmt: skip
    assert link
    read = await shop.client().get(link[0])
    assert "Reading this signs nothing." in read.text
    assert "<textarea" not in read.text
    unticked = await sign(first, path, intent="", typed_name="")
    assert unticked.status_code == 422
    assert "Tick this box to go on." in unticked.text
    assert (await sign(first, path)).status_code == 303
    assert "typed another name" in (await first.get(path)).text
    await second.log_in(SECOND)
    assert (await sign(second, path)).status_code == 303
    await legal.log_in("legal@meridian.example")
    desk = path.replace("/account/packages", "/desk/signatures")
    assert path[-36:] in (await legal.get("/desk/signatures")).text
    assert (await sign(legal, desk)).status_code == 303

    async with shop.services.db.begin(for_staff()) as session:
        order = (await session.scalars(sa.select(Order))).one()
    seen = (await first.get(f"/orders/{order.number}")).text
    assert f"{path}/signed.pdf" in seen
    receipt = f"/orders/{order.number}/receipt"
    for address in (receipt, f"{receipt}.pdf", f"{receipt}.json", f"/orders/{order.number}/bundle.zip"):
        assert f'"{address}"' in seen
        assert (await second.get(address)).status_code == 200, "any member of the company has it"
        assert (await stranger.get(address)).status_code == 404
    shown = (await second.get(receipt)).text
    assert "counter-signer of the seller" in shown
    assert shown.count('<span class="tag good">holds</span>') > 30
    assert 'class="tag bad"' not in shown
    assert "Firmado por" not in shown
    assert "refrendo del vendedor" in (await second.get(f"{receipt}?lang=es")).text
    assert f"{receipt}" in (await letters(shop, "package_executed"))[0].text
    evidence = await first.get(f"{path}/evidence.json")
    assert evidence.content == (await second.get(f"{receipt}.json")).content
    assert {each.outcome for each in verify_receipt(evidence.content)} == {"passed", "skipped"}
    bundle = await legal.get(f"/desk/orders/{order.number}/bundle.zip")
    assert "failed" not in {each.outcome for each in verify_bundle(bundle.content)}
    assert (await first.get(f"/orders/{order.number}/renderings/x.png")).status_code == 404
    kept = shop.services.renderings.keep(
        template_digest(PAGE),
        channel="web",
        locale="en",
        width=1280,
        form="png",
        content=b"a picture",
        stylesheet_digest="sha256:" + "0" * 64,
        captured_at="2026-11-21T12:00:00Z",
    )
    looked = f"/orders/{order.number}/renderings/{kept.name}"
    assert looked in (await second.get(receipt)).text
    assert (await second.get(looked)).content == b"a picture"
    assert (await stranger.get(looked)).status_code == 404
    shutil.rmtree(shop.services.settings.var / "renderings" / template_digest(PAGE).removeprefix("sha256:"))
    listed = await legal.get(f"/desk/evidence?order={order.number}")
    assert listed.text.count("signed with others</td>") == 3
    assert (await legal.get(f"/desk/evidence.csv?order={order.number}&act=sign")).text.count(str(order.id)) == 3
    stated = await legal.get(f"/desk/evidence/statement.pdf?order={order.number}&lang=es")
    assert stated.content.startswith(b"%PDF-")
    [copy] = [mail for mail in await letters(shop, "package_executed") if mail.recipient == "archive@acme.example"]
    by_link = re.search(r"/signing/\S+", copy.text)
    assert by_link
    for browser, address in (
        (first, f"{path}/signed.pdf"),
        (legal, f"{desk}/signed.pdf"),
        (shop.client(), f"{by_link[0]}/signed.pdf"),
    ):
        made = await browser.get(address)
        assert made.status_code == 200, made.text
        assert made.content.startswith(b"%PDF-")
        seal = look_at_seal(made.content)
        assert seal is not None
        assert seal.intact


async def test_the_desk_declines_with_a_reason_and_the_cart_stays(shop: PayingShop) -> None:
    first, second, legal = shop.client(), shop.client(), shop.client()
    path = await send(first, await at_plan(first))
    await second.log_in(SECOND)
    refusal = {"reason": "price", "note": "Too dear"}
    assert (await second.submit(f"{path}/refusal", refusal)).status_code == 303

    assert "Too dear" in (await first.get(path)).text
    assert "CRUNCHY-ARMCHAIR" in (await first.get("/cart")).text
    async with shop.services.db.begin(for_staff()) as session:
        assert (await session.scalars(sa.select(Package.state))).all() == [PackageState.DECLINED]
    await legal.log_in("legal@meridian.example")
    late = await legal.submit(f"{path.replace('/account/packages', '/desk/signatures')}/refusal", refusal)
    assert late.status_code == 409


async def test_strangers_see_nothing_and_finance_signs_nothing(shop: PayingShop) -> None:
    first, stranger, finance = shop.client(), shop.client(), shop.client()
    path = await send(first, await at_plan(first))
    await stranger.log_in("buyer@globex.example")
    await finance.log_in("finance@meridian.example")

    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.submit(f"{path}/refusal", {"reason": "terms"})).status_code == 404
    assert (await stranger.get(f"{path}/signed.pdf")).status_code == 404
    assert (await first.get(f"{path}/signed.pdf")).status_code == 404, "not everybody has signed"
    assert (await finance.get(path.replace("/account/packages", "/desk/signatures"))).status_code in {403, 404}
    assert (await shop.client().get("/signing/" + "x" * 43)).status_code == 404


async def test_the_pages_speak_spanish(shop: PayingShop) -> None:
    first = shop.client()
    plan = await at_plan(first)
    spanish = await first.get("/checkout/signatures?lang=es")
    assert "Envíe su pedido para firma" in spanish.text
    path = await send(first, plan)

    page = await first.get(f"{path}?lang=es")

    assert "Al marcar esta casilla y pulsar «Firmar»" in page.text
    assert "Firmas electrónicas simples" in page.text
