"""Versions as PDF and side by side, and what a company is told when one changes materially."""

import hashlib
from datetime import timedelta

from agreements import legal_store
from kernel.db import for_staff
from tests.agreements.legal import make_staff, publish_version
from tests.web.conftest import PayingShop, Shop
from tests.web.test_checkout_pages import at_review, place

TERMS = "/documents/master-terms/3.1/en"


async def test_anybody_downloads_a_version_as_the_pdf_whose_digest_was_presented(shop: Shop) -> None:
    browser = shop.client()

    answer = await browser.get(f"{TERMS}/pdf")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["content-disposition"] == 'inline; filename="master-terms-3.1-en.pdf"'
    async with shop.services.db.begin(for_staff()) as session:
        version = await shop.services.agreements.version(session, "master-terms", "3.1", "en")
        digests = await legal_store.list_pdf_digests(session, [version.id])
    assert digests[version.id] == "sha256:" + hashlib.sha256(answer.content).hexdigest()
    assert f'href="{TERMS}/pdf"' in (await browser.get(TERMS)).text
    assert (await browser.get("/documents/master-terms/9/en/pdf")).status_code == 404


async def test_documents_that_some_orders_are_asked_for_are_listed_apart(shop: Shop) -> None:
    text = (await shop.client().get("/documents")).text

    always, some = text.split("Asked for with some orders")
    assert "Master Terms of Sale" in always
    assert "Conditions for Dangerous Goods v1.0" in some
    assert "Conditions for Dangerous Goods" not in always


async def test_a_first_version_has_nothing_to_be_compared_with(shop: Shop) -> None:
    browser = shop.client()

    assert "nothing to compare" in (await browser.get(f"{TERMS}/changes")).text
    assert (await browser.get(f"{TERMS}/changes?since=1.0")).status_code == 404


async def test_a_buyer_reads_of_a_material_change_everywhere_until_the_next_order(paying_shop: PayingShop) -> None:
    shop, browser = paying_shop, paying_shop.client()
    await place(browser, await at_review(browser))
    author, approver = [await make_staff(shop.services.db, shop.clock.now()) for _ in range(2)]
    in_a_month = shop.clock.now() + timedelta(days=30)
    await publish_version(shop.services.publishing, author, approver, effective_at=in_a_month)
    shop.clock.advance(minutes=1)

    coming = await browser.get("/")
    assert "changes materially what your company agreed to in v3.1" in coming.text
    changes = "/documents/master-terms/4.0/en/changes?since=3.1"
    assert f'href="{changes}"' in coming.text
    compared = await browser.get(changes)
    assert "Liability doubles." in compared.text
    assert "material change" in compared.text
    assert "<del>" in compared.text
    assert "changes materially" not in (await shop.client().get("/")).text

    await shop.services.publishing.withdraw("master-terms", "3.1", reason="Replaced early", by=author)
    shop.clock.advance(days=31)
    await browser.log_in("buyer@acme.example")
    review = await at_review(browser)
    assert "has changed materially since your company agreed to v3.1" in review.text
    assert "Master Terms of Sale v4.0" in review.text
    assert (await place(browser, review)).status_code == 303
    shop.clock.advance(minutes=1)
    assert "agreed to v3.1" not in (await browser.get("/")).text
