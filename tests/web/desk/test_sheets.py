"""A clerk takes a draft along as a workbook and brings it back: mistakes by cell, a diff to accept, never half."""

import io
import re
import zipfile
from hashlib import sha256
from html import unescape
from typing import Any

import httpx
import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from tests.web.conftest import Shop
from tests.web.desk.conftest import ARMCHAIR, Clerk
from web.desk.sheets import PLAIN_FILE_MOST

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SKU = "CRUNCHY-ARMCHAIR"


async def workbook(clerk: Clerk, draft: str) -> openpyxl.Workbook:
    answer = await clerk.browser.get(f"{draft}/export/xlsx")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == XLSX
    assert answer.headers["content-disposition"].endswith('.xlsx"')
    return openpyxl.load_workbook(io.BytesIO(answer.content))


def saved(book: openpyxl.Workbook) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


async def send(clerk: Clerk, draft: str, content: bytes, name: str = "prices.xlsx") -> httpx.Response:
    """Upload by the page's form, as a browser without scripts does."""
    page = await clerk.get(f"{draft}/files")
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert token
    return await clerk.browser.post(
        f"{draft}/files", data={"form_token": token[1]}, files={"file": (name, content, XLSX)}, follow_redirects=False
    )


async def read(shop: Shop, clerk: Clerk, draft: str, content: bytes, name: str = "prices.xlsx") -> tuple[str, str]:
    """Upload and have it read: address and page of what came of it."""
    answer = await send(clerk, draft, content, name)
    assert answer.status_code == 303, unescape(answer.text)
    address = answer.headers["location"]
    assert "The file is being read" in await clerk.get(address)
    await shop.services.jobs.run_pending()
    return address, unescape(await clerk.get(address))


def row_of(sheet: Any, sku: str) -> int:
    header = [cell.value for cell in sheet[1]]
    at = header.index("sku")
    return next(
        int(row[0].row)
        for row in sheet.iter_rows(min_row=2)
        if row[at].value == sku and row[header.index("list")].value == "PUBLIC-EUR"
    )


async def test_a_workbook_with_three_mistakes_is_mended_seen_and_accepted(shop: Shop, clerk: Clerk) -> None:
    draft = await clerk.begin("January")
    assert f'href="{draft}/export/xlsx"' in await clerk.get(f"{draft}/files")
    book = await workbook(clerk, draft)
    rows = book["price_rows"]
    assert isinstance(rows, Worksheet)
    at = row_of(rows, SKU)
    rows[f"G{at}"] = "0:two hundred"
    rows[f"C{at + 1}"] = "dozen"
    rows[f"H{at + 2}"] = 12.5

    address, page = await read(shop, clerk, draft, saved(book))

    assert "3 mistakes" in page
    for cell, found in ((f"G{at}", "0:two hundred"), (f"C{at + 1}", "dozen"), (f"H{at + 2}", "12.5")):
        assert re.search(rf"price_rows</th><td[^>]*>{cell}</td>.*?{re.escape(found)}", page, re.DOTALL), cell
    listed = await clerk.browser.get(f"{address}/errors.csv")
    assert listed.headers["content-type"].startswith("text/csv")
    assert len(listed.text.splitlines()) == 4
    assert "debe ser un número sencillo como 1234.5" in unescape(await clerk.get(f"{address}?lang=es"))
    assert "debe ser un número sencillo" in (await clerk.browser.get(f"{address}/errors.csv")).text
    assert "must be a plain number" in await clerk.get(f"{address}?lang=en")
    assert "0 changes" in await clerk.get(draft)

    book = await workbook(clerk, draft)
    book["price_rows"][f"G{at}"] = "0:777.77"
    mended, page = await read(shop, clerk, draft, saved(book))

    assert "1 change, if you accept" in page
    assert "777.77" in page
    assert "Another file took its place" in await clerk.get(address)
    answer = await clerk.browser.submit(f"{mended}/acceptance", page=mended)
    assert answer.status_code == 303
    assert "777.77" in await clerk.get(draft)


async def test_an_unchanged_export_changes_nothing_as_workbook_and_as_csv(shop: Shop, clerk: Clerk) -> None:
    draft = await clerk.begin("As it is")
    for form, name in (("xlsx", "prices.xlsx"), ("csv", "prices.zip")):
        content = (await clerk.browser.get(f"{draft}/export/{form}")).content
        _, page = await read(shop, clerk, draft, content, name)
        assert "The file says what the draft says." in page
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        assert "price_rows.csv" in package.namelist()
    published = await clerk.browser.get("/desk/prices/publications/1/export/csv")
    assert zipfile.is_zipfile(io.BytesIO(published.content))
    assert (await clerk.browser.head(f"{draft}/export/xlsx")).content == b""
    assert (await clerk.browser.get(f"{draft}/export/ods")).status_code == 404


async def test_what_a_colleague_changed_meanwhile_is_shown_beside_the_file(shop: Shop, clerk: Clerk) -> None:
    draft = await clerk.begin("Two of us")
    book = await workbook(clerk, draft)
    at = row_of(book["price_rows"], SKU)
    book["price_rows"][f"G{at}"] = "0:777.77"
    address, _ = await read(shop, clerk, draft, saved(book))
    status, page, _ = await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="555.55")
    assert status == 303, page

    answer = await clerk.browser.submit(f"{address}/acceptance", page=address)

    assert answer.status_code == 409
    page = unescape(answer.text)
    assert "Somebody else changed this meanwhile" in page
    assert "555.55" in page
    assert "777.77" in page
    assert (await clerk.browser.submit(f"{address}/comparison", page=address)).status_code == 303
    await shop.services.jobs.run_pending()
    assert (await clerk.browser.submit(f"{address}/acceptance", page=address)).status_code == 303
    page = await clerk.get(draft)
    assert "777.77" in page
    assert "555.55" not in page


async def test_a_file_comes_in_parts_and_goes_on_where_it_stopped(shop: Shop, clerk: Clerk) -> None:
    draft = await clerk.begin("In parts")
    content = (await clerk.browser.get(f"{draft}/export/xlsx")).content
    token = await clerk.browser.token(f"{draft}/files")
    said = {"name": "prices.xlsx", "size": str(len(content)), "sha256": sha256(content).hexdigest()}
    browser, headers = clerk.browser, {"x-form-token": token, "accept": "application/problem+json"}

    announced = await browser.post(f"{draft}/files", data={"form_token": token, **said})
    place = announced.headers["location"]
    assert (announced.status_code, announced.headers["upload-offset"]) == (201, "0")
    sends = {**headers, "content-type": "application/octet-stream"}
    first = await browser.post(f"{place}/parts", content=content[:1000], headers=sends | {"upload-offset": "0"})
    assert (first.status_code, first.headers["upload-offset"]) == (204, "1000")
    lost = await browser.post(f"{place}/parts", content=content[:1000], headers=sends | {"upload-offset": "0"})
    assert (lost.status_code, lost.headers["upload-offset"]) == (409, "1000")
    assert "sending goes on where it stopped" in await clerk.get(place)
    known = await browser.head(f"{place}/parts")
    assert (known.headers["upload-offset"], known.headers["upload-length"]) == ("1000", str(len(content)))
    again = await browser.post(f"{draft}/files", data={"form_token": token, **said})
    assert (again.headers["location"], again.headers["upload-offset"]) == (place, "1000")
    offset = 1000
    while offset < len(content):
        part = content[offset : offset + 500_000]
        sent = await browser.post(f"{place}/parts", content=part, headers=sends | {"upload-offset": str(offset)})
        assert sent.status_code == 204, sent.text
        offset = int(sent.headers["upload-offset"])

    await shop.services.jobs.run_pending()
    assert "The file says what the draft says." in await clerk.get(place)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, b"x", 403),
        ({"x-form-token": "forged"}, b"x", 403),
        ({"x-form-token": "", "content-type": "text/plain", "upload-offset": "0"}, b"x", 400),
        ({"x-form-token": "", "content-type": "application/octet-stream"}, b"x", 400),
        ({"x-form-token": "", "content-type": "application/octet-stream", "upload-offset": "-1"}, b"x", 400),
        ({"x-form-token": "", "content-type": "application/octet-stream", "upload-offset": "0"}, b"", 400),
        ({"x-form-token": "", "content-type": "application/octet-stream", "upload-offset": "0"}, b"x" * 1_200_000, 413),
    ],
)
async def test_a_part_that_is_none_is_refused(
    clerk: Clerk, headers: dict[str, str], content: bytes, status: int
) -> None:
    draft = await clerk.begin("Refused")
    token = await clerk.browser.token(f"{draft}/files")
    said = {"form_token": token, "name": "a.xlsx", "size": "2000000", "sha256": "0" * 64}
    place = (await clerk.browser.post(f"{draft}/files", data=said)).headers["location"]
    sent = {name: value or token for name, value in headers.items()}
    if status == 403 and not headers:
        sent = {"content-type": "application/x-www-form-urlencoded"}
    answer = await clerk.browser.post(f"{place}/parts", content=content, headers=sent)
    assert answer.status_code == status, answer.text


async def test_files_that_are_too_large_or_none_are_refused_in_words(clerk: Clerk) -> None:
    draft = await clerk.begin("Refused")
    large = await send(clerk, draft, b"\0" * (PLAIN_FILE_MOST + 1))
    assert large.status_code == 413
    empty = await send(clerk, draft, b"")
    assert empty.status_code == 422
    assert 'id="file-error"' in empty.text
    token = await clerk.browser.token(f"{draft}/files")
    said = {"form_token": token, "name": "a.xlsx", "size": "99999999999", "sha256": "0" * 64}
    assert (await clerk.browser.post(f"{draft}/files", data=said)).status_code == 422
    assert (await clerk.browser.post(f"{draft}/files", data=said | {"sha256": "x"})).status_code == 400
    assert (await clerk.browser.get(f"{draft}/files/nothing")).status_code == 404


async def test_a_file_of_one_draft_is_not_found_at_another(shop: Shop, clerk: Clerk) -> None:
    one, other = await clerk.begin("One"), await clerk.begin("Other")
    address, _ = await read(shop, clerk, one, b"list,sku,unit,model,tiers\n", "price_rows.csv")
    assert (await clerk.browser.get(address.replace(one, other))).status_code == 404
    answer = await clerk.browser.submit(f"{address}/discard", page=address)
    assert answer.status_code == 303
    assert "The draft is as it was" in await clerk.get(address)


@pytest.mark.parametrize("who", ["support@meridian.example", "buyer@acme.example"])
async def test_nobody_but_finance_sees_or_sends_spreadsheets(shop: Shop, clerk: Clerk, who: str) -> None:
    draft = await clerk.begin("Ours")
    other = shop.client()
    await other.log_in(who)
    for path in ("/files", "/export/xlsx", "/files/x"):
        assert (await other.get(f"{draft}{path}")).status_code == 404
    token = await other.token("/login")
    answer = await other.post(f"{draft}/files", data={"form_token": token}, files={"file": ("a.csv", b"x")})
    assert answer.status_code == 404
