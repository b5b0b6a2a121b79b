"""Prices as files by program: taken out, mended, sent in, read, shown as changes, accepted."""

import csv
import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import openpyxl
import pytest

from tests.web.api.desks import ARMCHAIR, CHIEF, URL, acknowledge, begin, desk, make_chief, ok, reprice, staff_key
from tests.web.api.partners import ACME, Program, key_of, order_of
from tests.web.conftest import Shop

BYTES = {"content-type": "application/octet-stream"}


async def files_of(program: Program, address: str) -> dict[str, str]:
    """The CSV files of a draft or a publication."""
    answer = ok(await program.get(f"{address}/prices.zip"))
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as package:
        return {name: package.read(name).decode() for name in package.namelist()}


def zipped(files: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        for name, text in files.items():
            package.writestr(name, text)
    return made.getvalue()


def repriced(text: str, sku: str, tiers: str) -> str:
    """The rows with other tiers for a SKU's public price."""
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        if (row["list"], row["sku"], row["unit"]) == ("PUBLIC-EUR", sku, "each"):
            row["tiers"] = tiers
    made = io.StringIO()
    writer = csv.DictWriter(made, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()


async def send(shop: Shop, program: Program, draft: str, content: bytes, name: str = "prices.zip") -> str:
    """Upload, and have it read as the job would; returns the import's address."""
    answer = ok(await program.post(f"{draft}/imports", params={"name": name}, content=content, headers=BYTES), 202)
    assert answer.json()["state"] == "reading"
    await shop.services.price_imports.read(answer.json()["id"])
    return str(answer.headers["location"])


async def test_files_are_taken_out_mended_and_accepted(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    files = await files_of(program, draft)
    number = ok(await program.get(f"{URL}/publications?limit=1")).json()["publications"][0]["number"]
    assert await files_of(program, f"{URL}/publications/{number}") == files
    mended = {"price_rows.csv": repriced(files["price_rows.csv"], "CRUNCHY-ARMCHAIR", "1:239")}
    staged = await send(shop, program, draft, zipped(mended))

    found = ok(await program.get(staged)).json()
    assert (found["state"], found["added"], found["changed"], found["removed"]) == ("ready", 0, 1, 0)
    assert ok(await program.get(draft)).json()["changes"] == 0
    assert ok(await program.get(f"{draft}/imports")).json()["live"]["id"] == found["id"]
    (change,) = ok(await program.get(f"{staged}/changes?change=changed")).json()["changes"]
    assert change["key"] == ["PUBLIC-EUR", "CRUNCHY-ARMCHAIR", "each", ""]
    assert change["after"]["tiers"][0]["unit_price"] == "239"
    assert ok(await program.post(f"{staged}/acceptance")).json()["state"] == "accepted"
    assert ok(await program.get(f"{draft}/object", params=ARMCHAIR)).json()["content"] == change["after"]
    again = await program.post(f"{staged}/acceptance")
    assert (again.status_code, again.json()["type"]) == (409, "/problems/price-import-closed")
    assert ok(await program.get(f"{draft}/imports")).json() == {"live": None}


async def test_a_workbook_comes_back_as_it_went(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    ok(await reprice(program, draft, "240"))
    workbook = ok(await program.get(f"{draft}/prices.xlsx"))
    assert 'filename="spring.xlsx"' in workbook.headers["content-disposition"]
    assert "price_rows" in openpyxl.load_workbook(io.BytesIO(workbook.content), read_only=True).sheetnames
    staged = await send(shop, program, draft, workbook.content, "prices.xlsx")

    found = ok(await program.get(staged)).json()
    assert (found["state"], found["added"] + found["changed"] + found["removed"]) == ("ready", 0)


async def test_mistakes_are_listed_by_row_and_nothing_changes(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    header, *_ = (await files_of(program, draft))["price_rows.csv"].splitlines()
    made = io.StringIO()
    writer = csv.DictWriter(made, header.split(","), restval="")
    writer.writeheader()
    right = {"list": "PUBLIC-EUR", "sku": "CRUNCHY-ARMCHAIR", "unit": "each", "model": "flat", "tiers": "1:12"}
    for mistake in ({"tiers": "1:twelve"}, {"sku": "NO-SUCH-SKU"}, {"list": "NO-SUCH-LIST"}):
        writer.writerow(right | mistake)
    staged = await send(shop, program, draft, made.getvalue().encode(), "price_rows.csv")

    found = ok(await program.get(staged)).json()
    assert (found["state"], found["errors_total"]) == ("refused", len(found["errors"]))
    assert {error["row"] for error in found["errors"]} == {2, 3, 4}
    assert {error["column"] for error in found["errors"]} == {"tiers", "sku", "list"}
    table = list(csv.DictReader(io.StringIO(ok(await program.get(f"{staged}/errors.csv")).text)))
    assert [row["row"] for row in table] == [str(error["row"]) for error in found["errors"]]
    refused = await program.post(f"{staged}/acceptance")
    assert (refused.status_code, refused.json()["state"]) == (409, "refused")
    assert ok(await program.get(draft)).json()["version"] == 0
    assert ok(await program.post(f"{staged}/discard")).json()["state"] == "discarded"


async def test_what_a_colleague_changed_since_clashes_and_is_compared_again(shop: Shop) -> None:
    clerk = await desk(shop)
    await make_chief(shop)
    draft = await begin(clerk)
    files = await files_of(clerk, draft)
    mended = {"price_rows.csv": repriced(files["price_rows.csv"], "CRUNCHY-ARMCHAIR", "1:239")}
    staged = await send(shop, clerk, draft, zipped(mended))
    ok(await reprice(await desk(shop, CHIEF), draft, "230"))

    clash = await clerk.post(f"{staged}/acceptance")
    assert (clash.status_code, clash.json()["type"]) == (409, "/problems/price-draft-clash")
    (sides,) = clash.json()["clashes"]
    assert [sides[side]["tiers"][0]["unit_price"] for side in ("theirs", "yours")] == ["230", "239"]
    again = ok(await clerk.post(f"{staged}/comparison"), 202).json()
    await shop.services.price_imports.read(again["id"])
    ok(await clerk.post(f"{staged}/acceptance"))
    row = ok(await clerk.get(f"{draft}/object", params=ARMCHAIR)).json()
    assert row["content"]["tiers"][0]["unit_price"] == "239"


async def test_a_file_that_is_too_large_is_refused_as_it_comes(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    shop.services.price_imports.bytes_most = 100_000
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 50_000
            yield b"x" * 50_000

    answer = await program.post(f"{draft}/imports?name=prices.csv", content=endless(), headers=BYTES)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/price-import-too-large")
    assert sent <= 200_000
    whole = b"y" * 100_000
    ok(await program.post(f"{draft}/imports?name=prices.csv", content=whole, headers=BYTES), 202)


async def test_a_file_that_breaks_off_is_not_taken_for_a_short_one(shop: Shop) -> None:
    _, key = await staff_key(shop)
    program = Program(shop, key)
    draft = await begin(program)
    messages: list[Any] = [
        {"type": "http.request", "body": b"list,sku\n", "more_body": True},
        {"type": "http.disconnect"},
    ]
    said: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def take(message: Any) -> None:
        said.append(message)

    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"{draft}/imports",
        "raw_path": f"{draft}/imports".encode(),
        "query_string": b"name=price_rows.csv",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/octet-stream")],
        "client": ("192.0.2.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {},
    }
    await shop.app(scope, receive, take)

    assert said[0]["status"] == 400
    assert ok(await program.get(f"{draft}/imports")).json() == {"live": None}


async def test_a_file_of_several_parts_arrives_whole(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    files = await files_of(program, draft)
    padded = files["price_rows.csv"] + "\n" * 2_500_000
    staged = await send(shop, program, draft, padded.encode(), "price_rows.csv")

    found = ok(await program.get(staged)).json()
    assert (found["state"], found["size"]) == ("ready", len(padded.encode()))


@pytest.mark.parametrize(
    ("query", "headers", "content", "status"),
    [
        ("", BYTES, b"x", 400),
        ("?name=a%0ab", BYTES, b"x", 400),
        ("?name=" + "x" * 300, BYTES, b"x", 400),
        ("?name=prices.csv", BYTES, b"", 400),
        ("?name=prices.csv", {"content-type": "multipart/form-data; boundary=x"}, b"x", 415),
        ("?name=prices.csv", {**BYTES, "content-encoding": "gzip"}, b"x", 415),
    ],
)
async def test_an_upload_that_is_none_is_refused(
    partner_shop: Shop, query: str, headers: dict[str, str], content: bytes, status: int
) -> None:
    program = await desk(partner_shop)
    answer = await program.post(f"{await begin(program)}/imports{query}", content=content, headers=headers)

    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "content", [b"\x00" * 100, b"PK\x03\x04" + b"x" * 50, b"\xff\xfe\x00d", b"list,sku\n\xed\xa0\x80,1"]
)
@pytest.mark.parametrize("name", ["price_rows.csv", "prices.xlsx", "prices.zip", "prices"])
async def test_whatever_is_sent_is_read_or_refused(partner_shop: Shop, name: str, content: bytes) -> None:
    program = await desk(partner_shop)
    staged = await send(partner_shop, program, await begin(program), content, name)
    found = ok(await program.get(staged)).json()

    assert found["state"] == "refused"
    assert found["errors_total"] > 0


async def test_an_import_of_another_draft_is_not_found(partner_shop: Shop) -> None:
    program = await desk(partner_shop)
    staged = await send(partner_shop, program, await begin(program), b"x", "price_rows.csv")
    other = f"{await begin(program)}/imports/{staged.rpartition('/')[2]}"
    for answer in (await program.get(other), await program.post(f"{other}/acceptance")):
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/price-import-not-found")


async def test_impact_is_asked_for_waited_for_and_taken_along(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    ok(await reprice(program, draft, "300"))
    asked = ok(await program.post(f"{draft}/impacts", json={"months": 12}), 202)
    impact = asked.headers["location"]
    assert (asked.json()["report"], asked.json()["months"]) == (None, 12)
    assert (await program.get(f"{impact}/orders-skus")).status_code == 404
    await shop.services.impacts.work(asked.json()["id"])
    found = ok(await program.get(impact)).json()

    assert found["current"]
    assert found["report"]["draft_version"] == 1
    totals = found["report"]["orders"]["totals"]
    for kind in ("orders", "quotes"):
        for table in ("totals", "companies", "categories", "skus", "steps", "lines"):
            answer = ok(await program.get(f"{impact}/{kind}-{table}"))
            assert answer.headers["content-type"].startswith("text/csv")
            rows = list(csv.DictReader(io.StringIO(answer.text)))
            if (kind, table) == ("orders", "totals"):
                assert [(row["currency"], row["before"]) for row in rows] == [
                    (each["currency"], each["before"]) for each in totals
                ]
    ok(await reprice(program, draft, "301"))
    assert not ok(await program.get(impact)).json()["current"]
    moved = await program.get(f"{impact}/orders-lines")
    assert (moved.status_code, moved.json()["type"]) == (409, "/problems/price-impact-outdated")
    odd = await program.post(f"{draft}/impacts", json={"months": 2})
    assert (odd.status_code, odd.json()["months"]) == (422, [1, 3, 12])


async def test_prices_are_previewed_before_and_after(shop: Shop) -> None:
    program = await desk(shop)
    draft = await begin(program)
    ok(await reprice(program, draft, "200"))
    asked = {
        "buyers": [{"currency": "EUR", "country": "ES"}, {"currency": "XXX"}],
        "skus": ["CRUNCHY-ARMCHAIR", "NO-SUCH-SKU"],
        "quantities": ["1", "12"],
    }
    prices = ok(await program.post(f"{draft}/preview", json=asked)).json()["prices"]

    assert len(prices) == 8
    first = prices[0]
    assert (first["buyer"], first["quantity"], first["after"]["unit_price"]) == (0, "1", "200.00")
    assert first["before"]["unit_price"] != "200.00"
    assert first["after"]["steps"]
    assert prices[2]["after"]["refused"]
    large = asked | {"skus": [f"S{number}" for number in range(500)], "quantities": ["1", "2", "3", "4"]}
    refused = await program.post(f"{draft}/preview", json=large)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/price-preview-too-large")


async def test_any_order_says_why_it_cost_what_it_did(shop: Shop) -> None:
    order = await order_of(shop, ACME)
    program = await desk(shop)
    found = ok(await program.get(f"{URL}/orders/{order.number}/prices")).json()

    assert (found["number"], found["company"], found["publication"]) == (order.number, "acme", 1)
    (line,) = found["lines"]
    assert (line["sku"], line["quantity"], line["differs"]) == ("CRUNCHY-ARMCHAIR", "2", [])
    assert line["steps"][0]["text"]
    partner = await Program(shop, await key_of(shop, ACME)).get(f"{URL}/orders/{order.number}/prices")
    assert partner.status_code == 403
    missing = await program.get(f"{URL}/orders/T-2026-999999/prices")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/order-unknown")


async def test_prices_that_were_mended_in_a_file_are_published(shop: Shop) -> None:
    clerk = await desk(shop)
    await make_chief(shop)
    chief = await desk(shop, CHIEF)
    draft = await begin(clerk)
    files = await files_of(clerk, draft)
    mended = {"price_rows.csv": repriced(files["price_rows.csv"], "CRUNCHY-ARMCHAIR", "1:248;10:240")}
    ok(await clerk.post(f"{await send(shop, clerk, draft, zipped(mended))}/acceptance"))
    await acknowledge(clerk, draft)
    version = ok(await clerk.get(draft)).json()["version"]
    ok(await clerk.post(f"{draft}/submission", json={"version": version}))
    ok(await chief.post(f"{draft}/approval", json={"version": version}))
    ok(await chief.post(f"{draft}/publication", json={"note": "From a file"}), 201)
    shop.clock.advance(minutes=1)
    await shop.services.books.refresh()

    price = ok(await Program(shop).get("/api/v1/prices/CRUNCHY-ARMCHAIR?currency=EUR&quantity=10")).json()["price"]
    assert price["unit_price"]["amount"] == "240.00"
