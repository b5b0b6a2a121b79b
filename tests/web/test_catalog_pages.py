"""What a visitor sees before doing anything."""

import re
from decimal import Decimal

import msgspec
import pytest

from pricing.engine import Buyer
from pricing.ladder import ladder_of
from tests.web.conftest import Browser, Shop
from web.shop.catalog import _priced_card


@pytest.fixture
async def browser(read_only_shop: Shop) -> Browser:
    return read_only_shop.client()


@pytest.mark.parametrize(
    "path",
    ["/", "/catalog", "/search?q=bolt", "/search?q=%27%22%3C%3E%26%7C%21", "/prices", "/products/CRUNCHY-ARMCHAIR",
     "/skus/CRUNCHY-ARMCHAIR/price?quantity=12", "/catalog/FASTENERS?in_stock=yes&sort=sku&page=1"],
)  # fmt: skip
@pytest.mark.parametrize("language", ["en", "es"])
async def test_every_page_is_served_in_both_languages(browser: Browser, path: str, language: str) -> None:
    answer = await browser.get(f"{path}{'&' if '?' in path else '?'}lang={language}")

    assert answer.status_code == 200, answer.text
    assert f'<html lang="{language}">' in answer.text


async def test_no_page_loads_anything_from_elsewhere(browser: Browser) -> None:
    page = (await browser.get("/products/CRUNCHY-ARMCHAIR")).text

    assert not [url for url in re.findall(r'(?:src|href|action)="([^"]+)"', page) if url.startswith(("http", "//"))]


async def test_a_product_page_shows_the_ladder_that_the_engine_prices(browser: Browser, read_only_shop: Shop) -> None:
    page = (await browser.get("/products/CRUNCHY-ARMCHAIR")).text

    assert "€249.00" in page
    assert read_only_shop.services.books.at(read_only_shop.clock.now()).root in page


async def test_a_product_that_does_not_exist_is_a_page_that_says_so(browser: Browser) -> None:
    answer = await browser.get("/products/NO-SUCH-THING")

    assert answer.status_code == 404
    assert "There is no such product" in answer.text


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "²"])
async def test_a_page_number_that_is_none_is_refused(browser: Browser, number: str) -> None:
    assert (await browser.get(f"/catalog?page={number}")).status_code == 400


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "NaN", "1e3", "10000000000000000000000000000000", "abc"])
async def test_why_this_price_answers_any_quantity_with_a_price_or_a_reason(browser: Browser, quantity: str) -> None:
    answer = await browser.get(f"/skus/CRUNCHY-ARMCHAIR/price?quantity={quantity}")

    assert answer.status_code == 200
    assert 'class="note warn"' in answer.text or "Line total" in answer.text


async def test_a_log_in_link_never_leads_elsewhere(browser: Browser) -> None:
    from web.http import safe_next

    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb"):
        assert safe_next(target) == "/"
    assert safe_next("/cart?x=1") == "/cart?x=1"
    assert (await browser.get("/")).status_code == 200


async def test_many_variants_stand_side_by_side_with_the_price_at_each_break(
    browser: Browser, read_only_shop: Shop
) -> None:
    page = (await browser.get("/products/HB88")).text
    rows = re.findall(r'<tr id="hb88-[^"]+">(.*?)</tr>', page, re.DOTALL)
    book = read_only_shop.services.books.at(read_only_shop.clock.now())

    assert len(rows) == 30
    for row in rows:
        sku = re.findall(r"HB88-M\d+-\d+", row)[0]
        ladder = ladder_of(book, Buyer(country="ES"), currency="EUR", sku=sku, at=read_only_shop.clock.now())
        shown = [Decimal(price) for price in re.findall(r"€([\d.]+)</span></td>", row)]
        assert shown == [Decimal(rung.each) for rung in ladder.rungs][: len(shown)]
        assert len(shown) >= 4


async def test_an_error_page_speaks_the_readers_language(browser: Browser) -> None:
    answer = await browser.get("/products/NO-SUCH-THING?lang=es")

    assert answer.status_code == 404
    assert "Este producto no existe" in answer.text
    assert "There is" not in answer.text


async def test_a_from_price_is_the_least_of_all_skus_in_whatever_order_they_stand(read_only_shop: Shop) -> None:
    at = read_only_shop.clock.now()
    book = read_only_shop.services.books.at(at)
    (card,) = [card for card in (await read_only_shop.services.catalog.search("HB88")).products if len(card.skus) > 20]
    backwards = msgspec.structs.replace(card, skus=tuple(reversed(card.skus)))

    found = [_priced_card(book, each, Buyer(country="ES"), "EUR", at).lowest for each in (card, backwards)]

    assert found[0] is not None
    assert found[0] == found[1]
    assert found[0].sku == "HB88-M5-16"
    assert found[0].unit_price == "0.09"
