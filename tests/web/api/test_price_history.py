"""What a SKU has cost, by the API and on its product's page."""

from typing import Any

from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, key_of
from tests.web.api.test_feed_delta import flat, publish
from tests.web.conftest import Browser, Shop

ARMCHAIR = ("PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", "")
PATH = "/api/v1/price-history/CRUNCHY-ARMCHAIR"


async def put(shop: Shop, price: str, *, days: int = 0) -> None:
    shop.clock.advance(days=days)
    await shop.services.books.refresh()
    await publish(shop, ("row", ARMCHAIR, flat(price)))


async def test_a_history_has_every_book_and_the_lowest_before_each_reduction(shop: Shop) -> None:
    program = Program(shop)
    first = (await program.get(PATH)).json()
    await put(shop, "300", days=1)
    await put(shop, "250", days=20)
    found = await program.get(PATH)
    history: dict[str, Any] = found.json()

    assert [each["publication"] for each in history["stretches"]][-2:] == [2, 3]
    assert [each["net"] for each in history["stretches"]][-2:] == ["300.00", "250.00"]
    assert history["stretches"][-1]["ends"] is None
    (fall,) = [each for each in history["reductions"] if each["after"] == "250.00"]
    assert fall["before"] == "300.00"
    assert fall["lowest"]["net"] == min(each["net"] for each in history["stretches"][:-1])
    assert fall["lowest"]["root"] == first["stretches"][0]["root"]
    roots = {entry.root for entry in shop.services.books.published()}
    assert {each["root"] for each in history["stretches"]} <= roots
    unchanged = await program.get(PATH, headers={"if-none-match": found.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    await put(shop, "260", days=1)
    assert (await program.get(PATH, headers={"if-none-match": found.headers["etag"]})).status_code == 200


async def test_the_page_of_a_product_says_the_lowest_price_before_a_reduction(shop: Shop, browser: Browser) -> None:
    address = (
        f"/products/{(await shop.services.catalog.find_skus(['CRUNCHY-ARMCHAIR']))['CRUNCHY-ARMCHAIR'].product_code}"
    )
    before = (await browser.get(address)).text
    await put(shop, "200", days=1)
    after = (await browser.get(address)).text
    shop.clock.advance(days=31)
    await shop.services.books.refresh()
    later = (await browser.get(address)).text

    assert "Lowest price of the 30 days before" not in before
    assert "Lowest price of the 30 days before" in after
    assert "Lowest price of the 30 days before" not in later


async def test_a_history_is_the_readers_own(partner_shop: Shop) -> None:
    tags = set()
    for email in (None, ACME, GLOBEX, INITECH):
        program = Program(partner_shop, None if email is None else await key_of(partner_shop, email))
        history, price = await program.get(PATH), (await program.get("/api/v1/prices/CRUNCHY-ARMCHAIR")).json()
        tags.add(history.headers["etag"])
        assert history.json()["company"] == price["company"]
        assert history.json()["stretches"][-1]["unit_price"] == price["price"]["unit_price"]["amount"]
        assert history.json()["stretches"][-1]["root"] == price["root"]
    assert len(tags) == 4


async def test_what_cannot_be_asked_is_refused(partner_shop: Shop) -> None:
    program = Program(partner_shop)
    assert (await program.get("/api/v1/price-history/NO-SUCH")).status_code == 404
    assert (await program.get(f"{PATH}?days=367")).status_code == 400
    assert (await program.get(f"{PATH}?quantity=0")).status_code == 400
    pallets = (await program.get(f"{PATH}?unit=pallet-of-none")).json()
    assert {each["refused"] for each in pallets["stretches"]} == {"unknown_unit"}
