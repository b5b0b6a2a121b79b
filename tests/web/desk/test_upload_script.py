"""The script that sends a file in parts, in a browser whose connection breaks."""

from pathlib import Path

import pytest
from playwright.async_api import Route

from tests.web.conftest import PASSWORD, Shop
from tests.web.desk.conftest import FINANCE, Clerk
from tests.web.live import chromium, needs_chromium, serving


@needs_chromium
@pytest.mark.browser
@pytest.mark.slow
async def test_a_file_is_sent_in_parts_through_a_broken_connection(shop: Shop, clerk: Clerk, tmp_path: Path) -> None:
    draft = await clerk.begin("By script")
    workbook = tmp_path / "prices.xlsx"
    workbook.write_bytes((await clerk.browser.get(f"{draft}/export/xlsx")).content)
    broken: list[str] = []

    async def break_once(route: Route) -> None:
        if route.request.method == "POST" and not broken:
            broken.append(route.request.url)
            await route.abort("connectionreset")
        else:
            await route.continue_()

    async with serving(shop.app) as address, chromium() as browser:
        page = await browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(f"{address}/login")
        await page.get_by_label("E-mail").fill(FINANCE)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.locator("main").get_by_role("button", name="Log in").click()
        await page.wait_for_url("**/desk**")
        await page.route("**/parts", break_once)
        await page.goto(f"{address}{draft}/files")
        await page.get_by_label("File").set_input_files(workbook)
        await page.get_by_role("button", name="Upload and compare").click()
        await page.get_by_role("heading", name="The file is being read and compared").wait_for()
        assert len(broken) == 1
        await shop.services.jobs.run_pending()
        await page.get_by_text("The file says what the draft says.").wait_for()  # the page asks by itself
        assert faults == []
