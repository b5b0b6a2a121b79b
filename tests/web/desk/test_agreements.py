"""The legal desk by its pages: a version from draft to checkout, rules tried and changed, and what others see of it."""

import re
from uuid import UUID

import pytest

from agreements.legal_model import DraftStep
from tests.agreements.legal import SOURCE, make_staff
from tests.web.conftest import Browser, PayingShop, Shop
from tests.web.test_checkout_pages import at_review

DESK = "/desk/agreements"


@pytest.fixture
async def legal(shop: Shop) -> Browser:
    browser = shop.client()
    await browser.log_in("legal@meridian.example")
    return browser


async def begin(browser: Browser, label: str = "4.0") -> str:
    opened = await browser.submit(
        f"{DESK}/documents/master-terms/drafts", {"label": label, "material": "yes"}, page=DESK
    )
    assert opened.status_code == 303, opened.text
    return str(opened.headers["location"])


async def write(browser: Browser, draft: str, **changed: str) -> int:
    form = {
        "title": "Master Terms of Sale",
        "source": SOURCE.format(label="4.0", limit="twice").replace("\n", "\r\n"),
        "onerous_clauses": "8.2 Limit of liability",
        "version": "1",
        "action": "save",
        **changed,
    }
    return (await browser.submit(f"{draft}/texts/en", form, page=DESK)).status_code


async def test_a_version_goes_from_draft_by_another_persons_approval_to_the_documents_page(
    shop: Shop, legal: Browser
) -> None:
    draft = await begin(legal)
    assert await write(legal, draft) == 303
    page = (await legal.get(draft)).text
    assert "What changes since v3.1" in page
    assert "<ins>" in page
    assert "Publishing is possible once a colleague has approved it." in page
    facts = {"label": "4.0", "material": "yes", "change_note": "Liability doubles.", "effective_at": "", "version": "2"}
    assert (await legal.submit(draft, facts, page=DESK)).status_code == 303
    step = {"version": "3", "comment": ""}
    assert (await legal.submit(f"{draft}/review", {**step, "step": "submitted"}, page=DESK)).status_code == 303
    own = await legal.submit(f"{draft}/review", {**step, "step": "approved"}, page=DESK)
    assert own.status_code == 422
    assert "Whoever wrote or submitted a draft cannot approve it." in own.text
    other = await make_staff(shop.services.db, shop.clock.now())
    await shop.services.publishing.take(
        UUID(draft.rpartition("/")[2]), DraftStep.APPROVED, version=3, by=other, comment="Fine."
    )

    published = await legal.submit(f"{draft}/publication", {"version": "3"}, page=DESK)

    assert published.status_code == 303, published.text
    document = (await legal.get(published.headers["location"])).text
    assert "Legal desk" in document
    assert '<span class="tag good">in force</span>' in document
    text = await shop.client().get("/documents/master-terms/4.0/en")
    assert "limited to twice the price" in text.text
    log = (await legal.get(f"{DESK}/log")).text
    assert "version_published" in log
    assert "approved_by" in log


async def test_a_text_is_previewed_without_being_saved_and_its_errors_stand_beside_their_fields(legal: Browser) -> None:
    draft = await begin(legal)
    form = {"title": "T", "source": SOURCE.format(label="4", limit="<b>no</b>"), "version": "1", "action": "preview"}

    preview = await legal.submit(f"{draft}/texts/en", form, page=DESK)

    assert "&lt;b&gt;no&lt;/b&gt; the price" in preview.text
    assert "It is not saved yet." in preview.text
    refused = await legal.submit(f"{draft}/texts/en", {**form, "title": "", "onerous_clauses": "x"}, page=DESK)
    assert refused.status_code == 422
    assert 'id="title-error"' in refused.text
    assert 'id="onerous_clauses-error"' in refused.text
    empty = await legal.submit(f"{draft}/texts/en", {**form, "source": "nothing"}, page=DESK)
    assert 'id="source-error"' in empty.text
    pdf = await legal.get(f"{draft}/texts/en/pdf")
    assert pdf.content.startswith(b"%PDF")


async def test_two_editors_see_both_sides_and_nothing_typed_is_lost(legal: Browser) -> None:
    draft = await begin(legal)
    assert await write(legal, draft) == 303
    mine = SOURCE.format(label="4.0", limit="three times")

    late = await legal.submit(
        f"{draft}/texts/en", {"title": "Mine", "source": mine, "version": "1", "action": "save"}, page=DESK
    )

    assert late.status_code == 409
    assert "From theirs to yours:" in late.text
    assert "three times</textarea>" not in late.text
    assert 'value="Mine"' in late.text
    assert re.search(r'name="version" value="2"', late.text)


async def test_a_rule_is_tried_changed_and_asked_for_in_the_next_checkout(paying_shop: PayingShop) -> None:
    legal, buyer = paying_shop.client(), paying_shop.client()
    await legal.log_in("legal@meridian.example")
    tried = await legal.get(
        f"{DESK}/rules", params={"company": "acme", "total": "50000", "currency": "EUR", "categories": "ADHESIVES"}
    )
    row = re.compile(r'class="code">([a-z-]+)</th>\s*<td data-label="Asked for"><span class="tag ?\w*">(\w+)')
    rows = dict(row.findall(tried.text))
    assert rows == {
        "master-terms": "yes",
        "data-processing": "yes",
        "privacy-notice": "yes",
        "dangerous-goods": "no",
        "large-orders": "yes",
    }
    assert "it is for other goods" in tried.text
    rule = {
        "document": "dangerous-goods", "name": "Acme's site", "countries": "DE, FR", "categories": "", "version": "0",
        "companies": "acme", "currency": "", "amount_from": "", "amount_to": "", "starts_at": "", "ends_at": "",
    }  # fmt: skip
    wrong = await legal.submit(
        f"{DESK}/rule", {**rule, "companies": "nobody", "categories": "NONE", "amount_from": "5"}, page=DESK
    )
    assert wrong.status_code == 422
    for field in ("companies", "categories", "currency"):
        assert f'id="{field}-error"' in wrong.text
    assert (await legal.submit(f"{DESK}/rule", rule, page=DESK)).status_code == 303

    review = await at_review(buyer)

    assert "Conditions for Dangerous Goods v1.0" in review.text
    listed = await legal.get(f"{DESK}/rules")
    found = re.search(r'href="(/desk/agreements/rule\?id=[0-9a-f-]+)">Acme&#39;s site', listed.text)
    assert found
    ended = {**rule, "version": "1", "starts_at": "2026-01-01T00:00", "ends_at": "2026-01-02T00:00"}
    assert (await legal.submit(found[1], ended, page=DESK)).status_code == 303
    late = await legal.submit(found[1], {**ended, "name": "Late"}, page=DESK)
    assert late.status_code == 409
    assert "Saving it now replaces theirs." in late.text
    assert "Conditions for Dangerous Goods" not in (await buyer.get("/checkout/review")).text


async def test_a_countrys_law_is_changed_and_italy_has_two_boxes(paying_shop: PayingShop) -> None:
    legal, buyer = paying_shop.client(), paying_shop.client()
    await legal.log_in("legal@meridian.example")
    law = {"country": "DE", "onerous_en": "a law of the test", "business_en": "", "version": "1"}

    assert (await legal.submit(f"{DESK}/countries", law, page=DESK)).status_code == 303
    assert (await legal.submit(f"{DESK}/countries", law, page=DESK)).status_code == 409
    wrong = await legal.submit(f"{DESK}/countries", {**law, "country": "Italy"}, page=DESK)
    assert wrong.status_code == 422

    review = await at_review(buyer)
    assert "under a law of the test, these clauses" in review.text
    assert 'id="onerous" name="onerous"' in review.text
    assert "checked" not in review.text.split('id="onerous"')[1].split(">")[0]


async def test_a_new_document_is_asked_for_by_nobody_until_a_rule_says_so(legal: Browser) -> None:
    for code in ("NDA", "master-terms"):
        refused = await legal.submit(DESK, {"code": code, "kind": "agree"}, page=DESK)
        assert refused.status_code == 422
        assert 'id="code-error"' in refused.text
    made = await legal.submit(DESK, {"code": "nda", "kind": "agree", "prevailing_locale": "es"}, page=DESK)
    assert made.headers["location"] == f"{DESK}/documents/nda"
    assert "Nothing is published of it yet." in (await legal.get(made.headers["location"])).text
    withdrawn = await legal.submit(
        f"{DESK}/documents/master-terms/withdrawal", {"withdrawn": "3.1", "reason": ""}, page=DESK
    )
    assert 'id="reason-error"' in withdrawn.text


@pytest.mark.parametrize("who", ["finance@meridian.example", "support@meridian.example", "buyer@acme.example"])
async def test_others_do_not_see_the_legal_desk(shop: Shop, who: str) -> None:
    browser = shop.client()
    await browser.log_in(who)

    for path in ("", "/rules", "/countries", "/log", "/notices", "/documents/master-terms"):
        assert (await browser.get(f"{DESK}{path}")).status_code == 404


@pytest.mark.parametrize("path", ["", "/rules", "/countries", "/log", "/notices", "/documents/master-terms", "/rule"])
async def test_the_desk_speaks_spanish(legal: Browser, path: str) -> None:
    page = await legal.get(f"{DESK}{path}", params={"lang": "es"})

    assert page.status_code == 200
    assert "Condiciones</a>" in page.text
