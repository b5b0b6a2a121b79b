"""Bars for the pages that a buyer meets before checkout: accessible, light, ours alone, usable by keyboard and on a
narrow screen, with scripts and without.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Browser, Page, Response

from kernel.embedded import EmbeddedServer
from tests.web.conftest import FAST_PASSWORDS, PASSWORD, _a_minute_after, _cloned, demo_settings, standing_still
from tests.web.live import chromium, needs_chromium, serving
from web.app import create_app
from web.services import build

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_chromium]

AXE: Final = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
AXE_RULES: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}
BYTES_MOST: Final = 100_000
SUBMIT: Final = "main form button[type=submit]"
WIDER_THAN_THE_SCREEN: Final = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .visually-hidden"))
  .map((e) => `${e.tagName}.${e.className}`)"""

Reach = Callable[[Page], Awaitable[Any]]


def at(path: str) -> Reach:
    async def reach(page: Page) -> None:
        await page.goto(path)

    return reach


def pasted(*lines: str) -> Reach:
    """Quick order with a list: a cart where all lines are good, the mended list where some are not."""

    async def reach(page: Page) -> None:
        await page.goto("/quick-order")
        await page.fill("#list", "\n".join(lines))
        await page.click(SUBMIT)

    return reach


def filled(path: str, **fields: str) -> Reach:
    async def reach(page: Page) -> None:
        await page.goto(path)
        for name, value in fields.items():
            await page.fill(f"#{name}", value)
        await page.click(SUBMIT)

    return reach


async def cart_with_a_wrong_quantity(page: Page) -> None:
    await pasted("CRUNCHY-ARMCHAIR 2", "HB88-M8-20 3")(page)
    await page.fill("input.quantity >> nth=0", "some")
    await page.press("input.quantity >> nth=0", "Enter")
    await page.wait_for_selector(".summary")


async def unproven_address(page: Page) -> None:
    await filled(
        "/signup",
        company_name="Hooli Tools",
        name="Hooli buyer",
        email=f"buyer-{os.urandom(4).hex()}@hooli.example",
        password="a sentence that is long",
    )(page)
    await page.goto("/verify-email")


STATES: Final[dict[str, Reach]] = {
    "home": at("/"),
    "all products": at("/catalog"),
    "category": at("/catalog/FASTENERS"),
    "narrowed category": at("/catalog/FASTENERS?in_stock=yes&sort=sku&brand=NORDKAMM"),
    "nothing fits": at("/catalog/FASTENERS?brand=LUMIVALE"),
    "search": at("/search?q=bolt+M8"),
    "nothing found": at("/search?q=zzzxq"),
    "product with many variants": at("/products/HB88"),
    "product": at("/products/CRUNCHY-ARMCHAIR"),
    "why this price": at("/skus/HB88-M8-20/price?quantity=150"),
    "why no price": at("/skus/CRUNCHY-ARMCHAIR/price?quantity=1.5"),
    "prices": at("/prices"),
    "empty cart": at("/cart"),
    "cart": pasted("HB88-M8-20 150", "CRUNCHY-ARMCHAIR 2", "NIMBLE-BOLT 250", "HB88-M10-40 2 box"),
    "cart with lines that cannot be ordered": pasted("STUBBORN-GLUE 5000", "HB88-M8-20 3", "NIMBLE-BOLT 250"),
    "cart with a wrong quantity": cart_with_a_wrong_quantity,
    "quick order": at("/quick-order"),
    "quick order with errors": pasted("HB88-M8-20 150", "NO-SUCH 1", "QUIET-HAMMER x", "CRUNCHY-ARMCHAIR 1.5"),
    "log-in": at("/login"),
    "refused log-in": filled("/login", email="buyer@acme.example", password="not the password"),
    "sign-up": at("/signup"),
    "refused sign-up": filled("/signup", email="nope", password="short"),
    "confirm e-mail": unproven_address,
    "forgotten password": at("/password-reset"),
    "link on its way": filled("/password-reset", email="nobody@acme.example"),
    "new password": at("/password-reset?token=unknown"),
    "invitation that is gone": at("/invitation?token=unknown"),
    "no such page": at("/nope"),
}


@pytest.fixture(scope="session")
async def address(server: EmbeddedServer, demo_template: str) -> AsyncIterator[str]:
    """A shop that these tests share, behind a real server."""
    with _cloned(server, demo_template, f"shop_bars_{os.getpid()}") as url:
        clock = _a_minute_after()
        services = build(demo_settings(url), clock=clock, passwords=FAST_PASSWORDS, elapsed=standing_still)
        async with serving(create_app(services, background=False)) as found:
            yield found


@pytest.fixture(scope="session")
async def browser_of_bars() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


class Look:
    """A page in a fresh browser profile that remembers what it asked for and complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.answers: list[Response] = []
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", self._answered)

    def _answered(self, answer: Response) -> None:
        self.answers.append(answer)

    def _complain(self, kind: str, text: str) -> None:
        # Chromium writes every 4xx page into the console; that page is what is looked at
        if kind in {"error", "warning"} and not text.startswith("Failed to load resource: the server responded with"):
            self.complaints.append(text)

    async def bytes_of_page(self) -> int:
        """What the page and its files weigh over the wire, headers and all, in a browser that has none of them yet."""
        browser = self.page.context.browser
        assert browser is not None
        fresh = await browser.new_context(storage_state=await self.page.context.storage_state())
        again = Look(await fresh.new_page())
        await again.page.goto(self.page.url, wait_until="networkidle")
        sizes = [await answer.request.sizes() for answer in again.answers]
        await fresh.close()
        return sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes)


@pytest.fixture
async def open_page(browser_of_bars: Browser, address: str) -> AsyncIterator[Callable[..., Awaitable[Look]]]:
    opened = []

    async def make(width: int, *, language: str = "en", dark: bool = False, scripts: bool = True) -> Look:
        context = await browser_of_bars.new_context(
            base_url=address,
            viewport={"width": width, "height": 800},
            locale=language,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            bypass_csp=False,
        )
        opened.append(context)
        return Look(await context.new_page())

    yield make
    for context in opened:
        await context.close()


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("state", STATES)
async def test_axe_finds_nothing_and_nothing_is_foreign(
    open_page: Callable[..., Awaitable[Look]], address: str, state: str, language: str
) -> None:
    """Wide in light, narrow in dark: both widths and both schemes of every page."""
    for width, dark in ((1280, False), (360, True)):
        look = await open_page(width, language=language, dark=dark)
        await STATES[state](look.page)
        assert await look.page.get_attribute("html", "lang") == language

        await look.page.evaluate(AXE)
        found = await look.page.evaluate("(options) => axe.run(document, options)", AXE_RULES)

        assert [
            (violation["id"], [node["target"] for node in violation["nodes"]][:5], violation["help"])
            for violation in found["violations"]
        ] == [], f"at {width} px"
        assert look.complaints == []
        assert [answer.url for answer in look.answers if not answer.url.startswith(address)] == []


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("state", STATES)
async def test_nothing_is_wider_than_320_pixels(
    open_page: Callable[..., Awaitable[Look]], state: str, language: str
) -> None:
    look = await open_page(320, language=language)
    await STATES[state](look.page)

    assert await look.page.evaluate("document.documentElement.scrollWidth") <= 320, await look.page.evaluate(
        WIDER_THAN_THE_SCREEN
    )


@pytest.mark.parametrize("state", ["home", "all products", "product with many variants", "why this price", "cart"])
async def test_a_page_weighs_less_than_100_kilobytes(open_page: Callable[..., Awaitable[Look]], state: str) -> None:
    look = await open_page(1280)
    await STATES[state](look.page)

    assert 20_000 < await look.bytes_of_page() < BYTES_MOST


async def test_a_page_that_another_site_led_to_is_not_compressed(
    open_page: Callable[..., Awaitable[Look]],
) -> None:
    """Whoever makes a browser ask must not learn from the length of the answer."""
    look = await open_page(1280)
    for site, encoding in (("none", "gzip"), ("same-origin", "gzip"), ("cross-site", None), ("same-site", None)):
        answer = await look.page.request.get("/catalog", headers={"sec-fetch-site": site, "accept-encoding": "gzip"})
        assert answer.headers.get("content-encoding") == encoding, site


async def test_the_first_tab_stop_skips_to_the_content(open_page: Callable[..., Awaitable[Look]]) -> None:
    page = (await open_page(1280)).page
    await page.goto("/products/HB88")

    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")

    assert await page.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("path", ["/catalog/FASTENERS", "/products/HB88", "/login"])
@pytest.mark.parametrize("dark", [False, True])
async def test_every_tab_stop_shows_its_focus_and_is_in_view(
    open_page: Callable[..., Awaitable[Look]], path: str, dark: bool
) -> None:
    page = (await open_page(1280, dark=dark)).page
    await page.goto(path)

    for stop in range(25):
        await page.keyboard.press("Tab")
        seen = await page.evaluate("""() => {
            const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
            return [e.tagName, s.outlineStyle, parseFloat(s.outlineWidth), r.top >= -1 && r.bottom <= innerHeight + 1];
        }""")
        if seen[0] == "BODY":  # past the last one
            assert stop > 10
            break
        assert seen[1:] == ["solid", 3, True], f"stop {stop}: {seen}"


async def test_a_refused_form_puts_the_focus_on_its_summary(open_page: Callable[..., Awaitable[Look]]) -> None:
    page = (await open_page(1280)).page
    await STATES["refused sign-up"](page)

    assert await page.evaluate("document.activeElement.className") == "summary"
    await page.click(".summary a >> nth=0")
    assert await page.evaluate("document.activeElement.id") == "company_name"


async def test_a_quantity_changes_in_place_and_the_head_counts_lines(
    open_page: Callable[..., Awaitable[Look]],
) -> None:
    look = await open_page(1280)
    await STATES["cart"](look.page)
    assert await look.page.inner_text("#cart-link .count") == "4\nlines"
    await look.page.evaluate("window.stayed = true")

    await look.page.fill("tr:has-text('CRUNCHY-ARMCHAIR') input.quantity", "3")
    await look.page.press("tr:has-text('CRUNCHY-ARMCHAIR') input.quantity", "Tab")
    await look.page.wait_for_selector("tr:has-text('CRUNCHY-ARMCHAIR') >> text=€747.00")
    await look.page.click("tr:has-text('NIMBLE-BOLT') >> text=Remove")
    await look.page.wait_for_selector("tr:has-text('NIMBLE-BOLT')", state="detached")

    assert await look.page.inner_text("#cart-link .count") == "3\nlines"
    assert await look.page.evaluate("window.stayed") is True
    assert look.complaints == []


async def test_why_this_price_answers_while_one_types(open_page: Callable[..., Awaitable[Look]]) -> None:
    look = await open_page(1280)
    await look.page.goto("/skus/CRUNCHY-ARMCHAIR/price?quantity=1")
    await look.page.evaluate("window.stayed = true")

    await look.page.fill("#quantity", "2")
    await look.page.wait_for_selector("#answer >> text=€498.00")

    assert await look.page.evaluate("window.stayed") is True
    assert "quantity=2" in look.page.url
    assert look.complaints == []


async def test_without_scripts_a_cart_is_filled_changed_and_emptied(
    open_page: Callable[..., Awaitable[Look]],
) -> None:
    page = (await open_page(360, scripts=False)).page
    await page.goto("/products/CRUNCHY-ARMCHAIR")
    await page.click("main button:has-text('Add to cart')")
    await page.fill("input.quantity >> nth=0", "3")
    await page.click("button:has-text('Update')")
    assert "€747.00" in await page.inner_text("main")

    await page.click("button:has-text('Remove')")

    assert "Your cart is empty." in await page.inner_text("main")


async def test_a_guest_changes_the_currency_where_prices_are(open_page: Callable[..., Awaitable[Look]]) -> None:
    page = (await open_page(1280)).page
    await page.goto("/products/CRUNCHY-ARMCHAIR?from=list")
    await page.click("button:has-text('Show USD')")

    assert page.url.endswith("/products/CRUNCHY-ARMCHAIR?from=list")
    assert "$" in await page.inner_text("table.ladder")


async def test_a_company_buys_in_its_own_currency(open_page: Callable[..., Awaitable[Look]]) -> None:
    page = (await open_page(1280)).page
    await filled("/login", email="buyer@acme.example", password=PASSWORD)(page)
    await page.goto("/products/CRUNCHY-ARMCHAIR")

    assert await page.locator("button:has-text('Show ')").count() == 0
