"""The API's reference in a real browser: from our own files, within our content security policy."""

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Visit, picture

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_developer_reads_an_operation_and_tries_it_with_nothing_but_this_server(visit: Visit) -> None:
    page, elsewhere = visit.page, []
    page.on("request", lambda request: elsewhere.append(request.url) if not _ours(request.url, visit) else None)
    visit.go("/api-reference")
    expect(page.get_by_text("Price up to 500 lines").first).to_be_visible()
    page.locator("#operations-prices-get_price .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_placeholder("sku").fill("CRUNCHY-ARMCHAIR")
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    picture(page, path=visit._pictures / "api-reference.png")

    assert elsewhere == []
    assert visit.errors == []


def _ours(url: str, visit: Visit) -> bool:
    return url.startswith((visit.shop.url, "data:", "blob:"))
