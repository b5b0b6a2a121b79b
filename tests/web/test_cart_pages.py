"""The cart in a browser: nothing typed is lost, nothing wrong is silently dropped."""

import pytest

from tests.web.conftest import Browser


async def test_a_guest_fills_a_cart_and_it_is_theirs_at_log_in(browser: Browser) -> None:
    added = await browser.submit("/cart/lines", {"sku": "CRUNCHY-ARMCHAIR", "quantity": "2"})
    assert added.status_code == 303
    assert "CRUNCHY-ARMCHAIR" in (await browser.get("/cart")).text

    await browser.log_in("buyer@acme.example")

    assert "CRUNCHY-ARMCHAIR" in (await browser.get("/cart")).text


@pytest.mark.parametrize(
    ("sku", "quantity"),
    [
        ("NO-SUCH-SKU", "1"),
        ("CRUNCHY-ARMCHAIR", "0"),
        ("CRUNCHY-ARMCHAIR", "-2"),
        ("CRUNCHY-ARMCHAIR", "1.5"),
        ("CRUNCHY-ARMCHAIR", "NaN"),
        ("CRUNCHY-ARMCHAIR", "1" + "0" * 30),
        ("CRUNCHY-ARMCHAIR", "two"),
    ],
)
async def test_what_cannot_be_ordered_is_said_and_what_was_typed_stays(
    browser: Browser, sku: str, quantity: str
) -> None:
    answer = await browser.submit("/cart/lines", {"sku": sku, "quantity": quantity})

    assert answer.status_code == 422
    assert f'value="{sku}"' in answer.text
    assert f'value="{quantity}"' in answer.text
    assert 'class="summary"' in answer.text


async def test_a_nul_in_a_form_is_a_clear_error(browser: Browser) -> None:
    answer = await browser.submit("/cart/lines", {"sku": "CRUNCHY\x00ARMCHAIR", "quantity": "1"})

    assert answer.status_code == 400
    assert "NUL" in answer.text


async def test_a_quantity_changed_to_nonsense_stays_in_its_field_with_the_reason(browser: Browser) -> None:
    await browser.submit("/cart/lines", {"sku": "CRUNCHY-ARMCHAIR", "quantity": "2"})
    position = (await browser.get("/cart")).text.split('id="line-')[1].split('"')[0]

    answer = await browser.submit(f"/cart/lines/{position}", {"quantity": "many"}, page="/cart")

    assert answer.status_code == 422
    assert 'value="many"' in answer.text


async def test_more_than_is_in_stock_is_marked_and_cannot_be_ordered(browser: Browser) -> None:
    await browser.submit("/cart/lines", {"sku": "STUBBORN-GLUE", "quantity": "5000"})

    page = (await browser.get("/cart")).text

    assert "in stock." in page
    assert "/checkout/details" not in page


async def test_a_pasted_list_adds_good_lines_and_keeps_bad_ones(browser: Browser) -> None:
    answer = await browser.submit("/quick-order", {"list": "CRUNCHY-ARMCHAIR 2\nNO-SUCH 1\nQUIET-HAMMER x\n"})

    assert answer.status_code == 422
    assert "1 line is in your cart" in answer.text
    assert "NO-SUCH 1\nQUIET-HAMMER x</textarea>" in answer.text


async def test_another_browsers_line_cannot_be_changed(browser: Browser, shop: object) -> None:
    await browser.submit("/cart/lines", {"sku": "CRUNCHY-ARMCHAIR", "quantity": "2"})
    stranger = Browser(browser.app)

    answer = await stranger.submit("/cart/lines/1", {"quantity": "9"})

    assert answer.status_code == 422
    assert "CRUNCHY-ARMCHAIR" not in answer.text
    assert shop


async def test_a_guest_may_see_the_cart_in_dollars(browser: Browser) -> None:
    await browser.submit("/cart/lines", {"sku": "CRUNCHY-ARMCHAIR", "quantity": "2"})

    await browser.submit("/cart/currency", {"currency": "USD"})

    assert "US$" in (await browser.get("/cart")).text or "$" in (await browser.get("/cart")).text


async def test_a_pasted_list_is_refused_in_the_readers_language(browser: Browser) -> None:
    await browser.get("/quick-order?lang=es")

    answer = await browser.submit("/quick-order", {"list": "NO-SUCH 1\nHB88-M8-20 2 crate\nCRUNCHY-ARMCHAIR 1.5"})

    assert "No vendemos NO-SUCH." in answer.text
    assert "HB88-M8-20 se vende por: unidades, cajas, palés." in answer.text
    assert "CRUNCHY-ARMCHAIR solo se vende por unidades enteras." in answer.text


async def test_the_head_of_every_page_counts_the_lines_of_the_cart(browser: Browser) -> None:
    assert 'class="count"' not in (await browser.get("/catalog")).text

    await browser.submit("/cart/lines", {"sku": "CRUNCHY-ARMCHAIR", "quantity": "2"})
    await browser.submit("/cart/lines", {"sku": "NIMBLE-BOLT", "quantity": "100"})

    assert 'class="count">2<' in (await browser.get("/catalog")).text
