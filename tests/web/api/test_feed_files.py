"""The feed as a file: the same rows in every form, made once, nobody else's, and in parts."""

import asyncio
import io
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it ships no types
import pytest

from pricing.engine import Buyer
from pricing.feed import feed_rows
from pricing.feed_files import FeedFiles, FeedNotMade
from tests.pricing.test_ladder_sweep import rows_one_by_one
from tests.web.api.partners import ACME, GLOBEX, INITECH, Program, key_of
from tests.web.api.test_price_feed import chain, publish_again, rows_of
from tests.web.conftest import Shop

CSV, PARQUET = "/api/v1/feed.csv", "/api/v1/feed.parquet"


@pytest.fixture
def shop(shop: Shop, tmp_path: Path) -> Shop:
    """The shop with a feeds' folder of its own: the tests that run beside this one make the same files."""
    shop.services.feed_files = FeedFiles(tmp_path / "feeds")
    return shop


def table(content: bytes) -> Any:
    return pq.read_table(io.BytesIO(content))


def said_of(content: bytes) -> dict[str, str]:
    metadata = pq.read_schema(io.BytesIO(content)).metadata
    return {name.decode(): value.decode() for name, value in metadata.items() if name.startswith(b"tarifa.")}


@pytest.mark.parametrize("email", [None, ACME, INITECH])
async def test_parquet_holds_the_rows_of_the_pages_with_exact_amounts(partner_shop: Shop, email: str | None) -> None:
    program = Program(partner_shop, None if email is None else await key_of(partner_shop, email))
    pages = await chain(program)
    answer = await program.get(PARQUET)
    rows = table(answer.content).to_pylist()

    assert [
        {**row, "valid_until": row["valid_until"] and row["valid_until"].isoformat().replace("+00:00", "Z")}
        for row in rows
    ] == [
        {
            **row,
            "from_quantity": Decimal(row["from_quantity"]),
            "unit_price": None if row["unit_price"] is None else Decimal(row["unit_price"]),
            "line_total": Decimal(row["line_total"]),
            "currency": pages[0]["currency"],
        }
        for row in rows_of(pages)
    ]
    assert said_of(answer.content) == {
        **{f"tarifa.{name}": pages[0][name] for name in ("root", "at", "reader", "currency", "country")},
        "tarifa.company": pages[0]["company"] or "",
        "tarifa.valid_until": pages[0]["valid_until"] or "",
    }


@pytest.mark.parametrize("company", ["", "acme", "globex", "initech"])
async def test_the_feed_of_the_demo_is_the_ladders_of_its_skus_to_the_byte(read_only_shop: Shop, company: str) -> None:
    at = read_only_shop.clock.now()
    book = read_only_shop.services.books.at(at)
    segments = {segment for noun in book.rules.frame.lists for segment in noun.audience.segments}
    buyer = Buyer(company=company or None, segments=tuple(sorted(segments)) if company else (), country="ES")
    skus = list(book.skus())[::20]
    for currency in ("EUR", "USD"):
        swept = list(feed_rows(book, skus, buyer, currency=currency, at=at))
        assert swept == list(rows_one_by_one(book, skus, buyer, currency=currency, at=at))
        assert len(swept) > len(skus)


async def test_the_headers_are_what_a_delta_is_asked_with(partner_shop: Shop) -> None:
    program = Program(partner_shop, await key_of(partner_shop, ACME))
    page = (await program.get("/api/v1/price-feed?limit=1")).json()
    for path in (CSV, PARQUET):
        headers = (await program.get(path)).headers
        assert headers["tarifa-price-root"] == page["root"]
        assert headers["tarifa-feed-at"] == page["at"]
        assert headers["tarifa-feed-reader"] == page["reader"]
        answer = await program.get(
            f"/api/v1/price-books/{page['root']}/delta?since={page['root']}&at={headers['tarifa-feed-at']}"
            f"&reader={headers['tarifa-feed-reader']}"
        )
        assert (answer.status_code, answer.json()["changed"]) == (200, [])


@pytest.mark.parametrize("path", [CSV, PARQUET])
async def test_a_file_is_made_once_and_revalidated_without_making_it(shop: Shop, tmp_path: Path, path: str) -> None:
    program, folder = Program(shop), tmp_path / "feeds"
    first = await program.get(path)
    made = {file: file.stat().st_ino for file in folder.glob("*.[cp]*")}
    again = await program.get(path)
    unchanged = await program.get(path, headers={"if-none-match": first.headers["etag"]})

    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    assert int(again.headers["content-length"]) == len(first.content)
    assert len(made) == 1
    assert {file: file.stat().st_ino for file in folder.glob("*.[cp]*")} == made
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["tarifa-price-root"] == first.headers["tarifa-price-root"]


@pytest.mark.parametrize("path", [CSV, PARQUET])
async def test_each_reader_has_a_file_of_its_own(partner_shop: Shop, path: str) -> None:
    acme = Program(partner_shop, await key_of(partner_shop, ACME))
    programs = [Program(partner_shop), acme, Program(partner_shop, await key_of(partner_shop, GLOBEX))]
    answers = [await program.get(path) for program in (*programs, *programs)]
    dollars = await acme.get(f"{path}?currency=USD")
    abroad = await acme.get(f"{path}?country=DE")
    tags = [answer.headers["etag"] for answer in (*answers[:3], dollars, abroad)]

    assert len(set(tags)) == len(tags)
    assert [answer.content for answer in answers[:3]] == [answer.content for answer in answers[3:]]
    assert answers[0].headers["cache-control"] == "public, no-cache"
    assert answers[1].headers["cache-control"] == "private, no-cache"
    taken = await Program(partner_shop).get(path, headers={"if-none-match": answers[1].headers["etag"]})
    assert (taken.status_code, taken.content) == (200, answers[0].content)


async def test_a_part_of_a_file_is_given_while_it_is_the_same_file(shop: Shop) -> None:
    program = Program(shop)
    whole = await program.get(CSV)
    size, tag = len(whole.content), whole.headers["etag"]

    async def part(wanted: str, **more: str) -> Any:
        return await program.get(CSV, headers={"range": wanted, **more})

    middle = await part("bytes=10-19", **{"if-range": tag})
    assert (middle.status_code, middle.content) == (206, whole.content[10:20])
    assert middle.headers["content-range"] == f"bytes 10-19/{size}"
    assert (await part(f"bytes={size - 5}-")).content == whole.content[-5:]
    assert (await part("bytes=-7")).content == whole.content[-7:]
    assert (await part(f"bytes=0-{size * 2}")).content == whole.content
    beyond = await part(f"bytes={size}-")
    assert (beyond.status_code, beyond.json()["type"]) == (416, "/problems/range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    assert (await part("bytes=-0")).status_code == 416
    for ignored in ("bytes=5-1", "bytes=0-1,4-5", "lines=1-2", "nonsense"):
        assert (await part(ignored)).status_code == 200
    await publish_again(shop)
    other = await part("bytes=10-19", **{"if-range": '"another"'})
    assert other.status_code == 200
    assert (await part("x" * 1001)).status_code == 400


@pytest.mark.parametrize("header", ["range", "if-range"])
async def test_a_header_that_is_not_of_printable_characters_is_refused_of_every_file(shop: Shop, header: str) -> None:
    for _ in ("made while it is read", "kept"):
        answer = await Program(shop).get(CSV, headers={header.encode(): b"\xc2\x84"})

        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed")
        assert (await Program(shop).get(CSV)).status_code == 200


async def test_head_says_what_get_would_and_makes_nothing(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "feeds"
    answer = await Program(shop).head(PARQUET)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["tarifa-price-root"]
    assert not list(folder.glob("*.[cpu]*"))


# --- The files themselves ---


class Slow:
    """A file whose pieces come when they are let."""

    def __init__(self, *, fails: bool = False) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self.fails = fails

    async def make(self) -> AsyncIterator[bytes]:
        self.begun += 1
        yield b"one "
        await self.go_on.wait()
        if self.fails:
            raise ValueError("no more")
        yield b"two"


async def read(files: FeedFiles, slow: Slow) -> bytes:
    return b"".join([piece async for piece in files.read("name.csv", slow.make)])


async def test_who_comes_while_a_file_is_made_reads_along(tmp_path: Path) -> None:
    files, slow = FeedFiles(tmp_path / "feeds"), Slow()
    first = asyncio.create_task(read(files, slow))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(read(files, slow))
    await asyncio.sleep(0.02)
    slow.go_on.set()

    assert await first == await second == await read(files, slow) == b"one two"
    assert slow.begun == 1


async def test_a_file_nobody_waits_for_is_given_up_and_made_anew_when_asked(tmp_path: Path) -> None:
    files, slow = FeedFiles(tmp_path), Slow()
    reading = asyncio.create_task(read(files, slow))
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.sleep(0.02)
    assert not list(tmp_path.glob("*.[cu]*"))
    slow.go_on.set()

    assert await read(files, slow) == b"one two"
    assert slow.begun == 2


async def test_a_file_that_fails_breaks_off_and_is_not_kept(tmp_path: Path) -> None:
    files, slow = FeedFiles(tmp_path), Slow(fails=True)
    slow.go_on.set()

    with pytest.raises(FeedNotMade):
        await read(files, slow)
    assert files.find("name.csv") is None
    await asyncio.sleep(0.02)
    assert not list(tmp_path.glob("*.[cu]*"))


async def test_what_nobody_asked_for_lately_makes_room(tmp_path: Path) -> None:
    files = FeedFiles(tmp_path, bytes_kept=25)

    async def make() -> AsyncIterator[bytes]:
        yield b"0123456789"

    (tmp_path / "of-a-killed-worker.unfinished").write_bytes(b"x")
    for number in range(4):
        assert [piece async for piece in files.read(f"{number}.csv", make)] == [b"0123456789"]
        await asyncio.sleep(0.02)
        files.find("0.csv")

    assert {path.name for path in tmp_path.iterdir() if path.suffix} == {"0.csv", "3.csv"}
