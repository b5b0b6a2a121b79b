"""The legal desk finds how the steps look and looked: from its own page, and from each act."""

import re
from pathlib import Path

import pytest

from agreements.renderings import CHANNEL, WIDTHS, Renderings
from tests.web.conftest import Browser, PayingShop
from tests.web.test_checkout_pages import at_review, place
from web.desk.agreement_renderings import STEPS
from web.evidence import stylesheet_digest, template_digest
from web.http import LOCALES
from web.shop.checkout import REVIEW_TEMPLATE

PAGE = "/desk/agreements/renderings"
DIGEST = template_digest(REVIEW_TEMPLATE)
EARLIER = "sha256:" + "e" * 64


@pytest.fixture
async def lawyer(paying_shop: PayingShop, tmp_path: Path) -> Browser:
    """At a shop where nothing was captured yet."""
    paying_shop.services.renderings = Renderings(tmp_path)
    browser = paying_shop.client()
    await browser.log_in("legal@meridian.example")
    return browser


def capture(shop: PayingShop, digest: str = DIGEST, *, locales: tuple[str, ...] = LOCALES) -> None:
    for locale in locales:
        for width in WIDTHS:
            for form in ("png", "html"):
                shop.services.renderings.keep(
                    digest,
                    channel=CHANNEL,
                    locale=locale,
                    width=width,
                    form=form,
                    content=f"{locale} {width} {form}".encode(),
                    stylesheet_digest=stylesheet_digest(),
                    captured_at="2026-11-20T08:00:00+00:00",
                )


async def test_the_steps_in_use_are_listed_with_what_was_not_captured(paying_shop: PayingShop, lawyer: Browser) -> None:
    capture(paying_shop, locales=("en",))
    capture(paying_shop, EARLIER)

    page = (await lawyer.get(PAGE)).text

    in_use, earlier = page.split("Earlier templates")
    assert "api-en.json, api-es.json" in in_use.replace("\n", "")
    for template, _ in STEPS:
        assert template_digest(template) in in_use
    assert "web-es-1280.html, web-es-1280.png, web-es-320.html, web-es-320.png</span>" in in_use.replace("\n", "")
    assert EARLIER in earlier
    assert PAGE in (await lawyer.get("/desk/agreements")).text


async def test_every_picture_opens_and_can_do_nothing(paying_shop: PayingShop, lawyer: Browser) -> None:
    capture(paying_shop)

    links = re.findall(rf'href="({PAGE}/[^"]+)"', (await lawyer.get(PAGE)).text)

    assert len(links) == len(LOCALES) * len(WIDTHS) * 2
    for link in links:
        answer = await lawyer.get(link)
        assert answer.status_code == 200
        assert "sandbox" in answer.headers["content-security-policy"]
    for unknown in ("web-en-999.png", "manifest.json"):
        assert (await lawyer.get(f"{PAGE}/{DIGEST[7:]}/{unknown}")).status_code == 404
    assert (await lawyer.get(f"{PAGE}/{'f' * 64}/web-en-1280.png")).status_code == 404


async def test_an_act_leads_to_how_its_step_looked(paying_shop: PayingShop, lawyer: Browser) -> None:
    buyer = paying_shop.client()
    await place(buyer, await at_review(buyer))
    assert "not captured" in (await lawyer.get("/desk/evidence")).text

    capture(paying_shop)

    assert f'href="{PAGE}#{DIGEST[7:]}"' in (await lawyer.get("/desk/evidence")).text
    assert f'id="{DIGEST[7:]}"' in (await lawyer.get(PAGE)).text
