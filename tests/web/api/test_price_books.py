"""The public log of price books: every entry signed, none left out."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kernel.canonical import strict_json
from tests.web.api.partners import ACME, Program, key_of
from tests.web.conftest import Shop


async def published_again(shop: Shop, *, times: int) -> None:
    for _ in range(times):
        entry = await shop.services.pricing.roll_back(1, by=None, acknowledge="A test")
        shop.clock.set(entry.effective_at)
    await shop.services.books.refresh()


async def test_the_log_is_read_page_by_page_and_ends(shop: Shop) -> None:
    await published_again(shop, times=4)
    program, numbers, path = Program(shop), list[int](), "/api/v1/price-books?limit=2"
    while True:
        page = (await program.get(path)).json()
        numbers += [entry["number"] for entry in page["publications"]]
        if page["next"] is None:
            break
        path = f"/api/v1/price-books?limit=2&before={page['next']}"

    assert numbers == [5, 4, 3, 2, 1]
    assert (await program.get("/api/v1/price-books?before=1")).json() == {"publications": [], "next": None}


async def test_every_entry_is_signed_by_a_key_that_is_published(shop: Shop) -> None:
    await published_again(shop, times=2)
    program = Program(shop)
    keys = {key["id"]: key for key in (await program.get("/.well-known/tarifa-keys.json")).json()["keys"]}
    entries = (await program.get("/api/v1/price-books")).json()["publications"]

    assert len(entries) == 3
    for entry in entries:
        key = keys[entry["key_id"]]
        assert key["purpose"] == "publication"
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key["public_key"]))
        public.verify(base64.b64decode(entry["signature"]), entry["signed_text"].encode())
        said = strict_json(entry["signed_text"].encode())
        assert (said["number"], said["root"]) == (entry["number"], entry["root"])
        assert said["effective_at"] == entry["effective_at"].replace("Z", "+00:00")


async def test_the_current_book_is_the_one_in_force_at_each_instant(shop: Shop) -> None:
    program, before = Program(shop), shop.clock.now()
    first = (await program.get("/api/v1/price-books/current")).json()
    entry = await shop.services.pricing.roll_back(1, by=None, acknowledge="A test")
    await shop.services.books.refresh()
    shop.clock.set(before)
    coming = (await program.get("/api/v1/price-books/current")).json()
    shop.clock.set(entry.effective_at)
    now = (await program.get("/api/v1/price-books/current")).json()

    assert (first["number"], coming["number"], now["number"]) == (1, 1, 2)
    assert now == (await program.get("/api/v1/price-books?limit=1")).json()["publications"][0]
    assert now["root"] == (await program.get("/api/v1/price-book")).json()["root"]


async def test_a_copy_of_the_log_is_revalidated(partner_shop: Shop) -> None:
    keyed = Program(partner_shop, await key_of(partner_shop, ACME))
    for path in ("/api/v1/price-books", "/api/v1/price-books/current"):
        first = await keyed.get(path)
        again = await keyed.get(path, headers={"if-none-match": first.headers["etag"]})
        assert first.headers["cache-control"] == "private, no-cache"
        assert (again.status_code, again.content) == (304, b"")
