"""The feed in pages: the rows of the CSV, all of one book at one instant, whoever reads them."""

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest

from pricing.feed_state import PUBLICATIONS_AT_HAND
from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, key_of
from tests.web.conftest import Shop

FEED = "/api/v1/price-feed?limit=500"


async def chain(program: Program, path: str = FEED) -> list[dict[str, Any]]:
    """All pages."""
    pages = [(await program.get(path)).json()]
    while pages[-1]["next"] is not None:
        answer = await program.get(f"{path}&cursor={pages[-1]['next']}")
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
    return pages


def rows_of(pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for page in pages for row in page["rows"]]


async def publish_again(shop: Shop, times: int = 1) -> None:
    for _ in range(times):
        entry = await shop.services.pricing.roll_back(1, by=None, acknowledge="A test")
        shop.clock.set(entry.effective_at)
    await shop.services.books.refresh()


@pytest.mark.parametrize("email", [None, ACME, INITECH])
async def test_the_pages_hold_the_rows_of_the_csv(partner_shop: Shop, email: str | None) -> None:
    program = Program(partner_shop, None if email is None else await key_of(partner_shop, email))
    pages = await chain(program)
    said = list(csv.DictReader(io.StringIO((await program.get("/api/v1/feed.csv")).text)))

    assert len(pages) >= 3
    assert {(page["root"], page["at"], page["reader"]) for page in pages} == {
        (pages[0]["root"], pages[0]["at"], pages[0]["reader"])
    }
    expected = [
        {
            **{name: row[name] for name in ("sku", "unit", "from_quantity", "price_unit", "line_total", "list")},
            "unit_price": row["unit_price"] or None,
            "tax_included": row["tax_included"] in {"yes", "True", "true"},
            "valid_until": row["valid_until"] or None,
        }
        for row in said
    ]
    assert rows_of(pages) == expected


async def test_a_page_is_revalidated_and_is_nobody_elses_to_keep(partner_shop: Shop) -> None:
    guest, acme = Program(partner_shop), Program(partner_shop, await key_of(partner_shop, ACME))
    first, mine = await guest.get("/api/v1/price-feed"), await acme.get("/api/v1/price-feed")
    again = await guest.get("/api/v1/price-feed", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "public, no-cache"
    assert mine.headers["cache-control"] == "private, no-cache"
    assert mine.headers["etag"] != first.headers["etag"]
    assert (await guest.get("/api/v1/price-feed?limit=7")).headers["etag"] != first.headers["etag"]


async def test_a_chain_stays_with_its_book_when_another_takes_effect(shop: Shop) -> None:
    program = Program(shop)
    whole = await chain(program)
    first = (await program.get(FEED)).json()
    await publish_again(shop)
    shop.clock.advance(days=400)
    second = (await program.get(f"{FEED}&cursor={first['next']}")).json()
    anew = (await program.get(FEED)).json()

    assert second == whole[1]
    assert (second["root"], second["at"]) == (first["root"], first["at"])
    assert anew["at"] > first["at"]


async def test_a_chain_is_gone_when_many_books_have_come_since(shop: Shop) -> None:
    program = Program(shop)
    first = (await program.get(FEED)).json()
    await publish_again(shop, PUBLICATIONS_AT_HAND)
    still = await program.get(f"{FEED}&cursor={first['next']}")
    await publish_again(shop)
    gone = await program.get(f"{FEED}&cursor={first['next']}")

    assert still.status_code == 200
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/price-feed-gone")
    assert "without a cursor" in gone.json()["detail"]


async def test_a_cursor_of_another_reader_is_refused(partner_shop: Shop) -> None:
    acme = Program(partner_shop, await key_of(partner_shop, ACME))
    cursor = (await acme.get(FEED)).json()["next"]
    for program, more in (
        (Program(partner_shop), ""),
        (Program(partner_shop, await key_of(partner_shop, GLOBEX)), ""),
        (acme, "&currency=USD"),
        (acme, "&country=DE"),
    ):
        answer = await program.get(f"{FEED}&cursor={cursor}{more}")
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/price-feed-gone")


@pytest.mark.parametrize("cursor", ["W10", "x", "bm9uZQ", "WyJhIiwiYiIsImMiLCJkIl0", "e30"])
async def test_a_cursor_that_is_none_is_not_found(read_only_shop: Shop, cursor: str) -> None:
    answer = await Program(read_only_shop).get(f"/api/v1/price-feed?cursor={cursor}")

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/page-not-found")


async def test_a_strangers_contract_is_in_no_row_of_anybody_else(partner_shop: Shop) -> None:
    initech = {row["list"] for row in rows_of(await chain(Program(partner_shop, await key_of(partner_shop, INITECH))))}
    others = [
        row["list"]
        for email in (None, GLOBEX)
        for row in rows_of(
            await chain(Program(partner_shop, None if email is None else await key_of(partner_shop, email)))
        )
    ]
    book = partner_shop.services.books.at(partner_shop.clock.now())
    contracts = {each.code for each in book.rules.frame.lists if each.audience.company == "initech"}

    assert initech & contracts
    assert not set(others) & contracts


async def test_the_end_of_a_window_begins_another_feed(shop: Shop) -> None:
    program, seen = Program(shop), set[str]()
    for _ in range(6):
        page = (await program.get("/api/v1/price-feed?limit=1")).json()
        assert page["at"] not in seen
        seen.add(page["at"])
        if page["valid_until"] is None:
            break
        until = datetime.fromisoformat(page["valid_until"])
        shop.clock.set(until - timedelta(seconds=1))
        assert (await program.get("/api/v1/price-feed?limit=1")).json() == page
        shop.clock.set(until)
    assert len(seen) > 1
