"""The pages on which a company's people see their quotes, and go from one to the agreement step."""

import uuid

from tests.web.api.partners import ACME, ADDRESS, GLOBEX, Program, key_of
from tests.web.conftest import Browser, Shop
from tests.web.test_quote_orders import quoted


async def test_a_company_sees_its_quotes_and_their_files(shop: Shop, browser: Browser) -> None:
    quote_id = await quoted(shop)
    await browser.log_in(ACME)

    listed, shown = await browser.get("/quotes"), await browser.get(f"/quotes/{quote_id}?lang=es")
    pdf, package = await browser.get(f"/quotes/{quote_id}/document"), await browser.get(f"/quotes/{quote_id}/package")

    assert f"/quotes/{quote_id}" in listed.text
    assert "Pedir con esta oferta" in shown.text
    assert pdf.content.startswith(b"%PDF")
    assert package.json()["quote"]["id"] == quote_id


async def test_another_companys_quote_is_none(shop: Shop, browser: Browser) -> None:
    quote_id = await quoted(shop, GLOBEX)
    await browser.log_in(ACME)

    assert quote_id not in (await browser.get("/quotes")).text
    for number in (quote_id, str(uuid.uuid4()), "nonsense"):
        for part in ("", "/document", "/package"):
            assert (await browser.get(f"/quotes/{number}{part}")).status_code == 404
        assert (await browser.submit(f"/quotes/{number}/order")).status_code == 404


async def test_who_is_handed_over_logs_in_and_comes_to_the_agreement_step(shop: Shop, browser: Browser) -> None:
    quote_id = await quoted(shop)
    program = Program(shop, await key_of(shop, ACME))
    said = (await program.get(f"/api/v1/signed-quotes/{quote_id}/order")).json()
    asked = await browser.get(f"/quotes/{quote_id}", follow_redirects=False)
    await browser.log_in(ACME)

    taken = await browser.submit(f"/quotes/{quote_id}/order", page=f"/quotes/{quote_id}")
    form = {f"ship_to.{name}": str(getattr(ADDRESS, name)) for name in ADDRESS.__struct_fields__}
    saved = await browser.submit("/checkout/details", form, page="/checkout/details")
    review = await browser.get("/checkout/review")

    assert (said["state"], said["order"]) == ("open", None)
    assert said["continue_url"] == f"{shop.services.settings.base_url}/quotes/{quote_id}"
    assert (asked.status_code, asked.headers["location"]) == (303, f"/login?next=/quotes/{quote_id}")
    assert (taken.status_code, taken.headers["location"]) == (303, "/checkout/details")
    assert (saved.status_code, saved.headers["location"]) == (303, "/checkout/review")
    assert f"signed quote {quote_id}" in review.text
    assert 'type="checkbox"' in review.text


async def test_an_expired_quote_says_so_and_cannot_be_ordered(shop: Shop, browser: Browser) -> None:
    quote_id = await quoted(shop)
    shop.clock.advance(days=31)
    await shop.services.books.refresh()
    await browser.log_in(ACME)

    page = (await browser.get(f"/quotes/{quote_id}")).text
    refused = await browser.submit(f"/quotes/{quote_id}/order", page=f"/quotes/{quote_id}")

    assert "This quote has expired" in page
    assert "Order by this quote" not in page
    assert refused.status_code == 409
    assert "expired" in refused.text
    program = Program(shop, await key_of(shop, ACME))
    assert (await program.get(f"/api/v1/signed-quotes/{quote_id}/order")).json()["state"] == "expired"
