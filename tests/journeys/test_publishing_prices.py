"""From a spreadsheet with mistakes to new prices everywhere at one instant, and back.

Two people of finance, a buyer and a partner's program, each at what they use.
"""

import csv
import io
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import openpyxl
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it ships no types
import pytest
from openpyxl.worksheet.worksheet import Worksheet
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect

from accounts.model import StaffRole
from pricing import verify_quote
from tests.conftest import TEST_VAR
from tests.journeys.conftest import AXE, AXE_TAGS, EXPECTED_CONSOLE, NARROWEST, PAUSE_MS, REFUSES, WIDTHS
from tests.web.api.partners import Program, key_of, order_of
from tests.web.conftest import PASSWORD, Shop
from tests.web.conftest import demo_database_url as demo_database_url  # noqa: PLC0414 - pytest finds it here by its name
from tests.web.conftest import demo_template as demo_template  # noqa: PLC0414 - likewise
from tests.web.conftest import shop as shop  # noqa: PLC0414 - likewise
from tests.web.live import chromium, needs_chromium, serving

FINANCE: Final = "finance@meridian.example"
COLLEAGUE: Final = "second@meridian.example"
ACME: Final = "buyer@acme.example"
SKU: Final = "CRUNCHY-ARMCHAIR"
QUANTITY: Final = "20"
ROW: Final = (SKU, "each", QUANTITY)
BEFORE: Final = (Decimal(219), Decimal("4292.40"))
"""Unit price and line: two percent off a line of 1,000 or more."""
AFTER: Final = (Decimal(165), Decimal(3234))
FALLING: Final = f"1:249.00;5:239.00;{QUANTITY}:165.00"
FALLS: Final = f"By PUBLIC-EUR, more cost less: 19 each of {SKU} cost 4450.18 EUR, {QUANTITY} cost 3234.00."
TOMORROW: Final = datetime(2026, 11, 22, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Seat:
    """One person's browser, which keeps every fault that it reports."""

    def __init__(self, context: BrowserContext, page: Page, address: str) -> None:
        self.context = context
        self.page = page
        self.address = address
        self.faults: list[str] = []
        self._pictures = Path(os.environ.get("SCREENSHOTS", TEST_VAR / "screenshots"))
        self._pictures.mkdir(parents=True, exist_ok=True)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    @classmethod
    async def take(cls, browser: Browser, address: str, email: str | None = None) -> "Seat":
        context = await browser.new_context(locale="en-GB")
        context.set_default_timeout(30_000)
        seat = cls(context, await context.new_page(), address)
        if email is not None:
            await seat.log_in(email)
        return seat

    async def log_in(self, email: str) -> None:
        await self.go("/login")
        await self.page.get_by_label("E-mail").fill(email)
        await self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        await self.page.get_by_role("main").get_by_role("button", name="Log in").click()
        await self.page.wait_for_url(lambda url: "/login" not in url)

    async def go(self, path: str) -> str:
        await self.page.goto(self.address + path)
        return await self.page.get_by_role("main").inner_text()

    async def press(self, name: str) -> None:
        await self.page.get_by_role("main").get_by_role("button", name=name, exact=True).click()

    async def _picture(self, path: Path) -> None:
        """As `tests.journeys.conftest.picture`."""
        try:
            await self.page.screenshot(path=path, full_page=True)
        except Error as refused:
            if REFUSES not in refused.message:
                raise
            await self.page.wait_for_timeout(PAUSE_MS)
            await self.page.screenshot(path=path, full_page=True)

    async def look(self, name: str) -> None:
        """Take pictures of the page, and see that it fits narrow screens and has no accessibility error."""
        for width in (*WIDTHS, NARROWEST):
            await self.page.set_viewport_size({"width": width, "height": 900})
            await self._picture(self._pictures / f"publishing-{name}-{width}.png")
            wide = await self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} wide on a screen of {width}"
        await self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        await self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = await self.page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", AXE_TAGS
        )
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]] == [], name

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not EXPECTED_CONSOLE.search(message.text):
            self.faults.append(f"{message.text} ({self.page.url})")


class Said(msgspec.Struct, frozen=True):
    """What a channel says of twenty armchairs: each before the line's own discount, the line, the book. None where it
    does not say.
    """

    unit_price: Decimal | None
    line: Decimal | None
    root: str | None

    def agrees(self, other: "Said") -> bool:
        """Whether nothing that it says differs from *other*, which says all."""
        return (
            self.unit_price in {None, other.unit_price}
            and self.line in {None, other.line}
            and self.root in {None, other.root}
        )


class Copy(msgspec.Struct):
    """A partner's copy of the feed, and the state it was brought to."""

    rows: dict[tuple[str, ...], dict[str, Any]]
    state: dict[str, Any]


async def copied(program: Program) -> Copy:
    """The whole feed, page by page."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    query = {"limit": "500"}
    while True:
        page = (await program.get("/api/v1/price-feed", params=query)).json()
        rows |= {name_of(row): row for row in page["rows"]}
        if page["next"] is None:
            return Copy(rows, page)
        query["cursor"] = page["next"]


async def follow(program: Program, copy: Copy, root: str) -> int:
    """Bring the copy to the book of *root* by deltas alone; how many rows they named."""
    named, cursor, since = 0, "", copy.state
    while True:
        path = f"/api/v1/price-books/{root}/delta?since={since['root']}&at={since['at']}&reader={since['reader']}"
        answer = await program.get(f"{path}&limit=100{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for gone in page["removed"]:
            del copy.rows[name_of(gone)]
        copy.rows |= {name_of(row): row for row in page["added"] + page["changed"]}
        named += sum(len(page[part]) for part in ("removed", "added", "changed"))
        if page["next"] is None:
            copy.state = page
            return named
        cursor = f"&cursor={page['next']}"


def name_of(row: dict[str, Any]) -> tuple[str, ...]:
    return row["sku"], row["unit"], f"{Decimal(row['from_quantity']).normalize():f}"


def of_row(row: dict[str, Any], root: str) -> Said:
    return Said(Decimal(row["unit_price"]), Decimal(row["line_total"]), root)


async def ask_everyone(buyer: Seat, program: Program, copy: Copy) -> dict[str, Said]:
    """Twenty armchairs, of every channel there is."""
    said = await ask_pages(buyer)
    line = {"sku": SKU, "quantity": QUANTITY}
    price = (await program.get(f"/api/v1/prices/{SKU}?quantity={QUANTITY}")).json()
    quote = (await program.post("/api/v1/quotes", json={"lines": [line]})).json()
    for name, body, priced in (("price API", price, price["price"]), ("quote API", quote, quote["lines"][0])):
        unit_price, subtotal = (Decimal(priced[part]["amount"]) for part in ("unit_price", "subtotal"))
        said[name] = Said(unit_price, subtotal, body["root"])

    answer = await program.get("/api/v1/feed.csv")
    rows = {name_of(row): row for row in csv.DictReader(answer.text.splitlines())}
    said["feed.csv"] = of_row(rows[ROW], answer.headers["tarifa-price-root"])
    answer = await program.get("/api/v1/feed.parquet")
    table = pq.read_table(io.BytesIO(answer.content))
    rows = {name_of(row): row for row in table.to_pylist()}
    said["feed.parquet"] = of_row(rows[ROW], table.schema.metadata[b"tarifa.root"].decode())
    whole = await copied(program)
    said["feed JSON"] = of_row(whole.rows[ROW], whole.state["root"])

    current = (await program.get("/api/v1/price-books/current")).json()
    await follow(program, copy, current["root"])
    assert copy.rows == whole.rows, "who follows the deltas has the feed"
    said["delta"] = of_row(copy.rows[ROW], copy.state["root"])

    signed = await program.post("/api/v1/signed-quotes", json={"lines": [line]})
    document = signed.json()
    [promised] = document["lines"]
    said["signed quote"] = Said(Decimal(promised["unit_price"]), Decimal(promised["subtotal"]), document["root"])
    keys = (await program.get("/.well-known/jwks.json")).content
    checks = verify_quote.verify_quote(signed.content, keys, at=datetime.fromisoformat(document["issued_at"]))
    assert {check.outcome for check in checks} == {"passed"}
    return said


async def ask_pages(buyer: Seat) -> dict[str, Said]:
    """The buyer's pages, as they are drawn."""
    main, number = buyer.page.get_by_role("main"), int(QUANTITY)
    await buyer.go(f"/products/{SKU}")
    rungs = [await row.locator("td").all_inner_texts() for row in await main.locator("table.ladder tbody tr").all()]
    each = next(figure(cells[1]) for cells in rungs if figure(cells[0]) == number)
    text = await buyer.go(f"/skus/{SKU}/price?quantity={QUANTITY}")
    [root] = re.findall(r"sha256:[0-9a-f]{64}", text)
    total = figure(await main.locator("table.trace tr.total td").inner_text())
    await buyer.go("/cart")
    unit_price, line = [
        figure(await main.locator(f'td[data-label="{label}"]').inner_text()) for label in ("Unit price", "Amount")
    ]
    return {
        "product page": Said(None, each * number, None),
        "price page": Said(None, total, root),
        "cart": Said(unit_price, line, None),
    }


async def book_of(buyer: Seat) -> tuple[int, str]:
    """Number and root of the publication that the public page says is in force."""
    await buyer.go("/prices")
    facts = buyer.page.locator("dl.facts").first
    number, root = facts.locator("dd").first, facts.locator("dd.code")
    return int(await number.inner_text()), await root.inner_text()


def figure(text: str) -> Decimal:
    found = re.search(r"[0-9][0-9,]*(?:\.[0-9]+)?", text)
    assert found, text
    return Decimal(found[0].replace(",", ""))


def edited(
    exported: Path, cells: Mapping[tuple[str, str, str], object]
) -> tuple[bytes, dict[tuple[str, str, str], str]]:
    """The workbook with some cells overwritten, by sheet, first cells of the row (joined by a blank) and column; and
    where each of them lies.
    """
    book = openpyxl.load_workbook(exported)
    places = {}
    for (name, row, column), value in cells.items():
        sheet = book[name]
        assert isinstance(sheet, Worksheet)
        header = [cell.value for cell in sheet[1]]
        [found] = [
            each for each in sheet.iter_rows(min_row=2)
            if " ".join(str(cell.value) for cell in each[: row.count(" ") + 1]) == row
        ]  # fmt: skip
        cell = found[header.index(column)]
        cell.value = value  # type: ignore[assignment] # what a clerk may type is anything
        places[name, row, column] = cell.coordinate
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue(), places


@needs_chromium
async def test_a_clerk_changes_a_price_for_tomorrow_and_every_channel_follows_there_and_back(
    shop: Shop, tmp_path: Path
) -> None:
    services = shop.services
    services.pricing.approval_required = True
    await services.members.create_staff(email=COLLEAGUE, name="Second desk", password=PASSWORD, role=StaffRole.FINANCE)
    await order_of(shop, ACME, SKU, QUANTITY)
    shop.clock.advance(seconds=1)
    program = Program(shop, await key_of(shop, ACME))
    copy = await copied(program)

    async with serving(shop.app) as address, chromium() as browser:
        clerk = await Seat.take(browser, address, FINANCE)
        approver = await Seat.take(browser, address, COLLEAGUE)
        buyer = await Seat.take(browser, address, ACME)
        await buyer.go(f"/products/{SKU}")
        await buyer.page.get_by_label("Quantity").first.fill(QUANTITY)
        await buyer.press(f"Add to cart {SKU}")
        await buyer.page.wait_for_url("**/cart*")
        old = await ask_everyone(buyer, program, copy)
        first, old_root = await book_of(buyer)
        assert differing(old, BEFORE, old_root) == {}

        draft = await imports_and_mends(clerk, shop, tmp_path)
        await looks_at_findings(clerk, draft)
        await works_impact_out(clerk, shop, draft)
        await asks_for_review(clerk, draft)
        assert await ask_everyone(buyer, program, copy) == old, "a draft changes nothing"
        await approves_and_publishes(approver, draft)

        shop.clock.set(TOMORROW - TICK)
        assert await ask_everyone(buyer, program, copy) == old, "nor does a publication before its instant"
        await buyer.look("product-before")
        shop.clock.set(TOMORROW)
        new = await ask_everyone(buyer, program, copy)
        number, new_root = await book_of(buyer)
        await buyer.look("price-book")
        assert (number, new_root == old_root) == (first + 1, False)
        assert differing(new, AFTER, new_root) == {}
        assert new.keys() == old.keys()

        back = await rolls_back(approver, shop, first)
        shop.clock.set(back - TICK)
        assert await ask_everyone(buyer, program, copy) == new
        shop.clock.set(back)
        assert await ask_everyone(buyer, program, copy) == old
        assert await book_of(buyer) == (first + 2, old_root), "a new publication of the old book"
        for seat in (clerk, approver, buyer):
            assert seat.faults == []
            await seat.context.close()


def differing(said: dict[str, Said], price: tuple[Decimal, Decimal], root: str) -> dict[str, Said]:
    """What channels say other than this unit price, line and book."""
    return {channel: one for channel, one in said.items() if not one.agrees(Said(*price, root))}


async def imports_and_mends(clerk: Seat, shop: Shop, tmp_path: Path) -> str:
    """The clerk's draft with what the mended workbook says; its path."""
    page = clerk.page
    await clerk.go("/desk/prices")
    await page.get_by_label("Title").fill("Armchairs, from tomorrow")
    await clerk.press("Begin")
    await page.wait_for_url("**/desk/prices/drafts/*")
    draft = page.url.removeprefix(clerk.address)
    await page.get_by_role("link", name="Spreadsheet").click()
    await clerk.look("spreadsheet")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Workbook (XLSX)").click()
    exported = tmp_path / "exported.xlsx"
    await (await download.value).save_as(exported)

    row = f"PUBLIC-EUR {SKU} each"
    mistakes = {
        ("price_rows", row, "tiers"): "1:two hundred",
        ("price_lists", "PUBLIC-USD", "currency"): "DOLLARS",
        ("adjustments", "WINTER-SAFETY", "value"): "a tenth",
    }
    wrong, places = edited(exported, mistakes)
    await upload(clerk, shop, wrong, tmp_path / "wrong.xlsx")
    await expect(page.get_by_role("heading", name="3 mistakes")).to_be_visible()
    for (sheet, _, column), place in places.items():
        found = page.get_by_role("row").filter(has_text=place).filter(has_text=sheet)
        await expect(found).to_contain_text(column)
        await expect(found).to_contain_text(str(mistakes[sheet, _, column]))
    await clerk.look("mistakes")

    mended, _places = edited(exported, {("price_rows", row, "tiers"): FALLING})
    await upload(clerk, shop, mended, tmp_path / "mended.xlsx")
    await expect(page.get_by_role("heading", name="1 change, if you accept")).to_be_visible()
    await clerk.look("diff")
    await clerk.press("Accept all of it into the draft")
    await page.wait_for_url(f"**{draft}")
    await expect(page.get_by_role("heading", name="1 change", exact=True)).to_be_visible()
    await clerk.look("draft")
    return draft


async def upload(clerk: Seat, shop: Shop, content: bytes, path: Path) -> None:
    """Choose the file and have it read; the page notices by itself."""
    path.write_bytes(content)
    await clerk.page.get_by_label("File").set_input_files(path)
    await clerk.press("Upload and compare")
    await clerk.page.get_by_role("heading", name="The file is being read and compared").wait_for()
    await shop.services.jobs.run_pending()


async def looks_at_findings(clerk: Seat, draft: str) -> None:
    """The tier at which the total falls: shown, acknowledged, kept."""
    page = clerk.page
    await page.get_by_role("link", name="Check and publish").click()
    falls = page.locator(".findings li").filter(has_text=FALLS)
    await clerk.look("findings")
    await expect(falls).to_have_count(1)
    await falls.get_by_role("link", name="Show it").click()
    sample = page.locator("#sample")
    await expect(sample).to_contain_text("€4,450.18")
    await expect(sample).to_contain_text("€3,234.00")
    await clerk.look("witness")
    await clerk.go(f"{draft}/publication")
    await expect(page.get_by_text("Publishing is possible once every warning above is acknowledged.")).to_be_visible()
    fresh = page.locator("#warning > ul.findings").first.locator("li")
    assert await fresh.count() == 2, "the total that falls, and a contract that is dearer than everyone's price now"
    for finding in await fresh.all():
        await finding.get_by_role("checkbox").check()
    await page.get_by_role("checkbox", name=re.compile(r"Tick these \d+")).check()
    await clerk.press("Acknowledge the ticked")
    await expect(page.get_by_text("There is a problem")).to_be_visible()
    await clerk.look("findings-without-reason")
    await page.get_by_label("Reason").fill("Twenty go on one pallet, and pallets are to be sold")
    await clerk.press("Acknowledge the ticked")
    await page.wait_for_url(f"**{draft}/publication")
    await expect(falls).to_contain_text("Twenty go on one pallet")


async def works_impact_out(clerk: Seat, shop: Shop, draft: str) -> None:
    page = clerk.page
    await page.get_by_role("link", name="Impact").click()
    await clerk.press("Work it out")
    await page.wait_for_url(f"**{draft}/impact")
    await expect(page.locator("#impact progress")).to_be_visible()
    await shop.services.jobs.run_pending()
    orders = page.get_by_role("region", name="Revenue and margin in EUR").first
    await expect(orders.get_by_role("row").filter(has_text="Revenue of lines")).to_contain_text("€4,292.40")
    await expect(orders.get_by_role("row").filter(has_text="Revenue of lines")).to_contain_text("€3,234.00")
    assert await page.locator("#impact svg.bars").count() == 8, "of the order and of the open quote"
    await clerk.look("impact")


async def asks_for_review(clerk: Seat, draft: str) -> None:
    await clerk.go(f"{draft}/publication")
    await clerk.page.get_by_label("Comment").fill("As agreed with sales")
    await clerk.press("Submit for review")
    await expect(
        clerk.page.get_by_text("It waits for the approval of somebody who did not work at it.")
    ).to_be_visible()
    await clerk.look("submitted")


async def approves_and_publishes(approver: Seat, draft: str) -> None:
    page = approver.page
    await approver.go(f"{draft}/publication")
    await page.get_by_label("Comment").fill("The maker's price fell, so may ours")
    await approver.press("Approve")
    await expect(page.get_by_text("It is approved as it is; an edit would withdraw that.")).to_be_visible()
    await page.get_by_label("At the instant below").check()
    await page.get_by_label("Instant (UTC)").fill(f"{TOMORROW:%Y-%m-%dT%H:%M}")
    await page.get_by_label("Why").fill("Armchairs by the pallet")
    await approver.look("approved")
    await approver.press("Publish 1 change")
    await page.wait_for_url("**/desk/prices?published=2")
    await expect(page.get_by_role("status").first).to_contain_text(
        "Until then every channel shows the prices of before."
    )
    await approver.look("published")


async def rolls_back(clerk: Seat, shop: Shop, number: int) -> datetime:
    """Return to a publication at the desk; when it takes effect."""
    await clerk.log_in(COLLEAGUE)  # yesterday's log-in has ended
    await clerk.go(f"/desk/prices/publications/{number}")
    await clerk.look("publication")
    await clerk.page.get_by_label("Why").fill("The pallets were a mistake")
    await clerk.press(f"Return to publication {number}")
    if await clerk.page.locator("#accept").is_visible():
        await clerk.look("return-refused")
        await clerk.page.get_by_label("Return all the same, for the reason below").check()
        await clerk.press(f"Return to publication {number}")
    await clerk.page.wait_for_url("**/desk/prices?published=3")
    await clerk.look("returned")
    return shop.services.books.published()[-1].effective_at
