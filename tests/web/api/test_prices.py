"""One price, its ladder, the feed and the book: the same prices, kept by readers as long as they hold."""

import csv
import io
from datetime import timedelta

import msgspec
import pytest

from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, key_of
from tests.web.conftest import Shop
from web.api import wire

PRICE = "/api/v1/prices/CRUNCHY-ARMCHAIR"


async def priced(program: Program, path: str) -> wire.PriceAnswer:
    answer = await program.get(path)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=wire.PriceAnswer)


async def test_a_price_comes_with_its_ladder(read_only_shop: Shop) -> None:
    answer = await priced(Program(read_only_shop), f"{PRICE}?quantity=12")

    assert isinstance(answer.price, wire.PricedLine)
    assert answer.price.net.amount == "2810.64"
    assert [(rung.quantity, rung.unit_price and rung.unit_price.amount) for rung in answer.ladder] == [
        ("1", "249.00"),
        ("5", "239.00"),
        ("20", "219.00"),
    ]


async def test_without_a_quantity_the_price_is_that_of_the_least_that_can_be_ordered(read_only_shop: Shop) -> None:
    program = Program(read_only_shop)
    book = read_only_shop.services.books.at(read_only_shop.clock.now())
    for sku in list(book.skus())[::60]:
        answer = await priced(program, f"/api/v1/prices/{sku}")
        assert isinstance(answer.price, wire.PricedLine)
        assert answer.price.quantity == answer.ladder[0].quantity


async def test_a_copy_that_is_still_right_is_not_sent_again(read_only_shop: Shop) -> None:
    program = Program(read_only_shop)
    for path in (PRICE, "/api/v1/price-book", "/api/v1/feed.csv", "/openapi.json"):
        first = await program.get(path)
        tag = first.headers["etag"]
        assert tag.startswith('"')
        for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await program.get(path, headers={"if-none-match": header})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers["cache-control"] == first.headers["cache-control"]
        assert (await program.get(path, headers={"if-none-match": '"other"'})).status_code == 200


async def test_the_tag_differs_wherever_the_answer_does(partner_shop: Shop) -> None:
    guest, acme = Program(partner_shop), Program(partner_shop, await key_of(partner_shop, ACME))
    globex = Program(partner_shop, await key_of(partner_shop, GLOBEX))
    seen: dict[str, bytes] = {}
    asked = ["", "?quantity=12", "?quantity=20", "?currency=USD", "?country=DE", "?country=ES", "?language=es",
             "?unit=each", "?unit=nothing"]  # fmt: skip
    for program in (guest, acme, globex):
        for query in asked:
            answer = await program.get(PRICE + query)
            assert seen.setdefault(answer.headers["etag"], answer.content) == answer.content
    assert len(seen) >= 2 * len(asked)


async def test_the_same_tag_is_the_same_bytes_whenever_it_is_asked(shop: Shop) -> None:
    program, seen = Program(shop), dict[str, bytes]()
    for _ in range(40):
        answer = await program.get(PRICE)
        assert seen.setdefault(answer.headers["etag"], answer.content) == answer.content
        shop.clock.advance(days=9)


async def test_no_shared_cache_keeps_what_a_key_shows(partner_shop: Shop) -> None:
    key = await key_of(partner_shop, ACME)
    for path in (PRICE, "/api/v1/feed.csv", "/api/v1/price-book"):
        mine, everyones = await Program(partner_shop, key).get(path), await Program(partner_shop).get(path)
        assert mine.headers["cache-control"] == "private, no-cache"
        assert everyones.headers["cache-control"] == "public, no-cache"
        assert mine.headers["vary"] == everyones.headers["vary"] == "Authorization"


@pytest.mark.parametrize("email", [None, ACME, GLOBEX, INITECH])
async def test_every_row_of_the_feed_is_what_the_price_resource_says(partner_shop: Shop, email: str | None) -> None:
    program = Program(partner_shop, None if email is None else await key_of(partner_shop, email))
    answer = await program.get("/api/v1/feed.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    book = partner_shop.services.books.at(partner_shop.clock.now())

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["tarifa-price-root"] == book.root
    assert {row["root"] for row in rows} == {book.root}
    assert len({row["sku"] for row in rows}) > 1000
    for row in rows[::97]:
        found = await priced(program, f"/api/v1/prices/{row['sku']}?unit={row['unit']}&quantity={row['from_quantity']}")
        assert isinstance(found.price, wire.PricedLine)
        assert found.price.subtotal.amount == row["line_total"]
        assert (found.price.unit_price and found.price.unit_price.amount) == (row["unit_price"] or None)
        assert found.price.trace.list == row["list"]
        assert row["currency"] == found.currency


async def test_the_price_book_names_what_is_in_force_and_what_follows(shop: Shop) -> None:
    services = shop.services
    await services.books.refresh()
    before = (await Program(shop).get("/api/v1/price-book")).json()
    draft = await services.pricing.open_draft(by=None, title="Same again")
    published = await services.pricing.publish(draft.id, by=None, acknowledge="As meant", note="The same book, later")
    await services.books.refresh()

    coming = (await Program(shop).get("/api/v1/price-book")).json()
    shop.clock.set(published.effective_at)
    now = (await Program(shop).get("/api/v1/price-book")).json()

    assert before["upcoming"] == []
    assert (coming["number"], [each["number"] for each in coming["upcoming"]]) == (1, [2])
    assert (now["number"], now["upcoming"]) == (2, [])


async def test_prices_are_refused_rather_than_guessed_when_there_is_no_book(shop: Shop) -> None:
    shop.clock.set(shop.clock.now() - timedelta(days=30))

    for path in (PRICE, "/api/v1/feed.csv", "/api/v1/price-book"):
        answer = await Program(shop).get(path)
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/no-price-book"
        assert int(answer.headers["retry-after"]) > 0
