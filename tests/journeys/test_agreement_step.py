"""The agreement step in a real browser, a journey a path. Carts and addresses are made by HTTP; the step is clicked.

One captures the step in every language and width; with RENDERINGS=FOLDER (`make renderings`) that stays, for the shop.
"""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from agreements.renderings import CHANNEL, PROGRAMS, WIDTHS, Renderings
from kernel.clock import SystemClock
from kernel.db import APP_ROLE, for_staff
from kernel.embedded import start_server
from kernel.settings import Settings
from tests.journeys.conftest import Shop, Visit, launched, picture
from web.assets import assets
from web.desk.agreement_renderings import STEPS
from web.evidence import STYLESHEETS, stylesheet_digest, template_digest
from web.http import LOCALES
from web.services import Services, build
from web.shop.approvals import APPROVAL_TEMPLATE
from web.shop.checkout import REVIEW_TEMPLATE
from web.shop.framework import TEMPLATE as FRAMEWORK_TEMPLATE
from web.shop.packages import TEMPLATE as PACKAGE_TEMPLATE

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ADDRESS: Final = {
    "ship_to.name": "Goods-in",
    "ship_to.line1": "Calle del Río 1",
    "ship_to.line2": "",
    "ship_to.postal_code": "28013",
    "ship_to.city": "Madrid",
    "ship_to.region": "",
    "ship_to.country": "ES",
    "po_number": "PO-4711",
    "tax_id": "",
}
ROME: Final = {
    **ADDRESS,
    "ship_to.line1": "Via del Corso 1",
    "ship_to.postal_code": "00186",
    "ship_to.city": "Roma",
    "ship_to.country": "IT",
}
BUTTON: Final = {"en": "Place order - obligation to pay", "es": "Pedido con obligación de pago"}
BOXES: Final = ("agree", "authority", "business")
NEWER: Final = "9.1"


class Buyer:
    """A buyer with a cart and an address, made by HTTP; without *address* with neither."""

    def __init__(self, shop: Shop, email: str, *, address: dict[str, str] | None = ADDRESS, password: str = "") -> None:
        self.http = httpx.Client(
            base_url=shop.url, headers={"accept": "text/html", "sec-fetch-site": "same-origin"}, timeout=30
        )
        self.send("/login", {"email": email, "password": password or shop.password}, page="/login")
        if address is not None:
            self.fill(address)

    def fill(self, address: dict[str, str] = ADDRESS, quantity: str = "1") -> None:
        self.send("/cart/lines", {"sku": "CRUNCHY-ARMCHAIR", "quantity": quantity}, page="/cart")
        self.send("/checkout/details", address, page="/cart")

    def send(self, path: str, form: Mapping[str, str | list[str]], *, page: str) -> httpx.Response:
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', self.http.get(page).text)
        assert found, page
        answer = self.http.post(path, data={"form_token": found[1], **form})
        assert answer.status_code in {200, 303}, f"{path}: {answer.status_code} {answer.text[-2000:]}"
        return answer

    def cookies(self, shop: Shop) -> list[dict[str, str]]:
        return [{"name": each.name, "value": each.value or "", "url": shop.url} for each in self.http.cookies.jar]


@pytest.fixture(scope="module")
def module_browser() -> Iterator[Browser]:
    """One browser for the whole file: none of its tests needs an event loop of its own."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


At = Callable[..., Visit]


@pytest.fixture
def at_review(module_browser: Browser, shop: Shop) -> Iterator[At]:
    """Opens the review page of a buyer: `at_review("buyer@acme.example", locale="es", scripted=False)`."""
    opened: list[tuple[BrowserContext, Visit]] = []

    def open_(
        buyer: Buyer,
        *,
        locale: str = "en",
        scripted: bool = True,
        width: int = 1280,
        path: str = "/checkout/review",
    ) -> Visit:
        context = module_browser.new_context(
            locale={"en": "en-GB", "es": "es-ES"}[locale],
            java_script_enabled=scripted,
            viewport={"width": width, "height": 900},
        )
        context.set_default_timeout(20_000)
        buyer.http.close()
        context.add_cookies(buyer.cookies(shop))  # type: ignore[arg-type] # a mapping is what it takes
        visit = Visit(context, shop, scripted=scripted)
        opened.append((context, visit))
        visit.go(f"{path}?lang={locale}")
        return visit

    yield open_
    for context, visit in opened:
        context.close()
        assert not visit.errors, visit.errors


def none_is_ticked(page: Page) -> None:
    boxes = page.locator("form[action='/checkout/orders'] input[type=checkbox]")
    assert boxes.count() >= len(BOXES)
    for number in range(boxes.count()):
        assert not boxes.nth(number).is_checked(), f"{boxes.nth(number).get_attribute('id')} was ticked by nobody"


def tick(page: Page, *, but: str = "", job_title: str = "Head of purchasing") -> None:
    for box in BOXES:
        if box != but:
            page.locator(f"#{box}").check()
    page.locator("#job_title").fill(job_title)


def place(page: Page, locale: str = "en") -> None:
    page.get_by_role("button", name=BUTTON[locale]).click()


def placed(visit: Visit) -> str:
    """The number of the order, once the payment page is reached."""
    visit.page.wait_for_url(f"{visit.shop.twin_url}/**")
    visit.go("/orders")
    return str(visit.page.get_by_role("link", name=re.compile(r"^T-")).first.inner_text())


def kept_at(shop: Shop) -> list[Renderings]:
    """Where the running shop finds what is captured, and where RENDERINGS says it is to stay."""
    folders = [shop.var / "renderings", *(Path(each) for each in [os.environ.get("RENDERINGS")] if each)]
    return [Renderings(folder) for folder in folders]


def capture(visit: Visit, template: str, *, locale: str) -> None:
    """Keep how the step looks now, in every width."""
    page = visit.page
    style = b"\n".join(assets()[name].body for name in STYLESHEETS).decode()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        html = re.sub(r"<link[^>]*>|<script.*?</script>", "", page.content(), flags=re.DOTALL)
        html = re.sub(r'(name="(?:form_token|presentation)" value=")[^"]*', r"\1", html)
        html = html.replace("</head>", f"<style>{style}</style></head>", 1)
        for form, content in (("png", picture(page, full_page=True)), ("html", html.encode())):
            for kept in kept_at(visit.shop):
                kept.keep(
                    template_digest(template),
                    channel=CHANNEL,
                    locale=locale,
                    width=width,
                    form=form,
                    content=content,
                    stylesheet_digest=stylesheet_digest(),
                    captured_at=SystemClock().now().isoformat(timespec="seconds"),
                )
    page.set_viewport_size({"width": 1280, "height": 900})


def test_how_each_step_looks_is_captured_in_every_language_and_width(shop: Shop, at_review: At) -> None:
    """What fails here when a language, a width or a template came and nobody captured it."""

    def see(template: str, email: str, path: str) -> None:
        reader = Buyer(shop, email, address=None)
        for locale in LOCALES:
            visit = at_review(reader, locale=locale, path=path)
            expect(visit.page.locator("form.act")).to_have_count(1)
            capture(visit, template, locale=locale)

    Buyer(shop, "buyer@acme.example").http.close()
    see(REVIEW_TEMPLATE, "buyer@acme.example", "/checkout/review")
    asker = Buyer(shop, "buyer@umbrella.example")
    asker.fill(quantity="10")
    asked = asker.send("/checkout/approval", {"note": ""}, page="/cart").headers["location"]
    see(APPROVAL_TEMPLATE, "approver@umbrella.example", asked)
    asker.fill(quantity="60")
    people = re.findall(r'name="signatory" value="([0-9a-f-]{36})"', asker.http.get("/checkout/signatures").text)
    asked = asker.send("/checkout/signatures", {"signatory": people}, page="/cart").headers["location"]
    asker.http.close()
    see(PACKAGE_TEMPLATE, "approver@umbrella.example", asked)
    see(FRAMEWORK_TEMPLATE, "director@umbrella.example", "/account/agreements")

    for kept in kept_at(shop):
        for template, _ in STEPS:
            assert kept.missing(template_digest(template), LOCALES) == [], template


def test_what_programs_are_shown_of_the_framework_agreement_is_captured_in_every_language(
    shop: Shop, at_review: At
) -> None:
    """The terms that a program reads once a signatory has accepted them."""
    digest = template_digest(FRAMEWORK_TEMPLATE)
    for locale, email in zip(LOCALES, ("buyer@acme.example", "buyer@globex.example"), strict=True):
        visit = at_review(Buyer(shop, email, address=None), locale=locale, path="/account/agreements")
        tick(visit.page)
        visit.page.locator("form.act button").click()
        expect(visit.page.get_by_role("heading", level=2).first).to_be_visible()
        shown = shown_to_a_program(visit)
        assert shown.json()["language"] == locale
        for kept in kept_at(shop):
            kept.keep(
                digest,
                channel=PROGRAMS,
                locale=locale,
                form="json",
                content=shown.content,
                stylesheet_digest=stylesheet_digest(),
                captured_at=SystemClock().now().isoformat(timespec="seconds"),
            )

    for kept in kept_at(shop):
        missing = kept.missing(digest, LOCALES, programs=True)
        assert [name for name in missing if name.startswith(PROGRAMS)] == []


def shown_to_a_program(visit: Visit) -> httpx.Response:
    """The framework agreement as a program of the company reads it, with a key made on the page."""
    page = visit.page
    visit.go("/account")
    page.locator("#key_name").fill(f"Renderings {time.time_ns()}")
    page.locator("#scope-orders_create").check()
    page.locator("form[action='/account/keys'] button").click()
    key = page.locator("#key").input_value()
    return httpx.get(
        f"{visit.shop.url}/api/v1/framework-agreement", headers={"authorization": f"Bearer {key}"}, timeout=30
    )


def test_a_signatory_accepts_and_finds_how_the_step_looked_at_the_receipt(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"))
    page = visit.page
    none_is_ticked(page)
    visit.look("step")
    capture(visit, REVIEW_TEMPLATE, locale="en")
    sentence = page.locator("label[for=agree]").inner_text()
    assert f"selecting “{BUTTON['en']}”" in sentence
    assert "Acme" in sentence
    tick(page)
    place(page)
    number = placed(visit)

    visit.go(f"/orders/{number}/receipt")
    expect(page.get_by_text("fails")).to_have_count(0)
    visit.look("step-receipt")
    picture = page.get_by_role("link", name="1280 pixels wide, PNG").get_attribute("href")
    answer = page.request.get(shop.url + str(picture))
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")


def test_a_missing_tick_is_named_in_a_summary_that_has_the_focus_and_nothing_is_ticked_again(
    shop: Shop, at_review: At
) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"))
    page = visit.page
    tick(page, but="authority")
    place(page)
    summary = page.get_by_role("alert").filter(has_text="There is a problem")
    expect(summary).to_be_focused()
    none_is_ticked(page)
    expect(page.locator("#authority")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#job_title")).to_have_value("Head of purchasing")
    visit.look("step-error")
    summary.get_by_role("link").first.click()
    expect(page.locator("#authority")).to_be_focused()
    page.go_back()
    page.go_back()
    none_is_ticked(page)


def test_who_may_not_sign_is_told_who_can(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "clerk@acme.example"))
    page = visit.page
    expect(page.get_by_role("main")).to_contain_text("buyer@acme.example")
    expect(page.get_by_role("button", name=BUTTON["en"])).to_have_count(0)
    visit.look("step-signatory")


def test_a_material_version_published_meanwhile_is_shown_before_anything_is_ordered(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "buyer@globex.example"))
    page = visit.page
    tick(page)
    in_the_shop(shop, publish)
    try:
        place(page)
        warning = page.get_by_role("alert")
        expect(warning).to_contain_text("Nothing was ordered")
        expect(page.locator("label[for=agree]")).to_contain_text(f"v{NEWER}")
        none_is_ticked(page)
        visit.look("step-stale")
        tick(page)
        place(page)
        placed(visit)
    finally:
        in_the_shop(shop, withdraw)


def test_a_buyer_declines_with_a_reason_and_keeps_the_cart(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"))
    page = visit.page
    page.get_by_text("Decline, and tell us why").click()
    page.get_by_role("button", name="Decline", exact=True).click()
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    none_is_ticked(page)
    visit.look("step-decline-error")
    page.get_by_label("The terms").check()
    page.get_by_label("Comment").fill("The liability cap is too low.")
    page.get_by_role("button", name="Decline", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("You declined")
    visit.look("step-declined")
    visit.go("/cart")
    expect(page.get_by_role("main")).to_contain_text("CRUNCHY-ARMCHAIR")


def test_a_lawyer_reads_by_a_link_and_can_accept_nothing(shop: Shop, at_review: At, module_browser: Browser) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"))
    page = visit.page
    page.get_by_text("Send it to my legal team").click()
    page.get_by_role("button", name="Make the link").click()
    visit.look("step-link")
    link = page.get_by_label("Link").input_value()
    context = module_browser.new_context(locale="en-GB")
    lawyer = Visit(context, shop, scripted=True)
    lawyer.page.goto(link)
    expect(lawyer.page.get_by_role("main")).to_contain_text("Reading binds nobody")
    assert lawyer.page.locator("main form, main input").count() == 0
    assert "Calle del Río" not in lawyer.page.content()
    lawyer.look("step-legal-review")
    assert not lawyer.errors
    context.close()


def test_in_spanish_the_button_obliges_to_pay_in_spanish(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "compras@initech.example"), locale="es")
    page = visit.page
    assert page.locator("html").get_attribute("lang") == "es"
    none_is_ticked(page)
    visit.look("step-es")
    place(page, "es")
    expect(page.get_by_role("alert").first).to_be_focused()
    visit.look("step-es-error")
    tick(page, job_title="Jefe de compras")
    place(page, "es")
    placed(visit)


def test_without_javascript_the_server_decides_all_the_same(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"), scripted=False)
    page = visit.page
    none_is_ticked(page)
    place(page)
    expect(page.get_by_role("heading", name="There is a problem")).to_be_visible()
    none_is_ticked(page)
    tick(page)
    place(page)
    page.wait_for_url(f"{shop.twin_url}/**")


def test_by_keyboard_alone(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"))
    page = visit.page
    for box in BOXES:
        tab_to(page, box)
        page.keyboard.press("Space")
        assert page.locator(f"#{box}").is_checked()
        if box == "authority":
            tab_to(page, "job_title")
            page.keyboard.type("Head of purchasing")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == BUTTON["en"]:
            break
    ring = "(style => style.outlineStyle + style.boxShadow)(getComputedStyle(document.activeElement))"
    assert page.evaluate(ring) != "nonenone", "whoever uses a keyboard sees where they are"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{shop.twin_url}/**")


def tab_to(page: Page, name: str) -> None:
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == name:
            return
    raise AssertionError(f"#{name} is not reached by Tab")


def test_on_320_pixels_nothing_is_cut_off(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"), width=320)
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    tick(page)
    place(page)
    page.wait_for_url(f"{shop.twin_url}/**")


def test_a_swap_by_htmx_ticks_nothing(shop: Shop, at_review: At) -> None:
    visit = at_review(Buyer(shop, "buyer@acme.example"))
    page = visit.page
    page.locator("#agree").check()
    page.evaluate("htmx.ajax('GET', '/checkout/review', {target: 'main', select: 'main', swap: 'outerHTML'})")
    page.wait_for_function("() => document.getElementById('agree') && !document.getElementById('agree').checked")
    none_is_ticked(page)
    visit.look("step-swapped")


def test_in_italy_onerous_clauses_are_approved_apart(shop: Shop, at_review: At) -> None:
    email, password = f"acquisti-{time.time_ns()}@hooli.example", "four unrelated words here"
    sign_up(shop, email, password)
    visit = at_review(Buyer(shop, email, address=ROME, password=password))
    page = visit.page
    none_is_ticked(page)
    visit.look("step-it")
    expect(page.locator("#onerous")).to_have_count(1)
    tick(page)
    place(page)
    expect(page.locator("#onerous")).to_have_attribute("aria-invalid", "true")
    none_is_ticked(page)
    visit.look("step-it-error")
    tick(page)
    page.locator("#onerous").check()
    place(page)
    page.wait_for_url(f"{shop.twin_url}/**")


def sign_up(shop: Shop, email: str, password: str) -> None:
    """A company of Italy with its first admin, by HTTP and the code in the letter."""
    with httpx.Client(
        base_url=shop.url, headers={"accept": "text/html", "sec-fetch-site": "same-origin"}, timeout=30
    ) as http:

        def send(path: str, form: dict[str, str]) -> None:
            found = re.search(r'name="form_token" value="([0-9a-f]+)"', http.get(path).text)
            assert found
            answer = http.post(path, data={"form_token": found[1], **form})
            assert answer.status_code == 303, answer.text[-2000:]

        company = {"company_name": "Hooli Utensili S.r.l.", "country": "IT", "tax_id": "", "currency": "EUR"}
        send("/signup", {"email": email, "password": password, "name": "Hooli buyer", **company})
        for _ in range(100):
            codes = [re.search(r"\b(\d{3}) ?(\d{3})\b", letter) for letter in shop.letters_to(email)]
            if codes and codes[-1]:
                send("/verify-email", {"code": codes[-1][1] + codes[-1][2]})
                return
            time.sleep(0.2)
    raise AssertionError(f"no code came to {email}")


async def publish(services: Services) -> None:
    """A material version of the master terms, as the legal desk's publication makes it."""
    source = "# Master terms\n\n## In short\n\nPay in 20 days.\n\n## Terms\n\nThe buyer pays in 20 days.\n"
    async with services.db.begin(for_staff()) as session:
        for locale in BUTTON:
            await services.agreements.publish_version(
                session,
                code="master-terms",
                label=NEWER,
                locale=locale,
                title="Master Terms",
                source=source,
                material=True,
            )


async def withdraw(services: Services) -> None:
    async with services.db.begin(for_staff()) as session:
        for locale in BUTTON:
            await services.agreements.withdraw_version(session, code="master-terms", label=NEWER, locale=locale)


def in_the_shop(shop: Shop, act: Callable[[Services], Awaitable[None]]) -> None:
    """Do *act* with services over the shop's own database, on a thread whose event loop is not Playwright's."""

    async def run() -> None:
        url = start_server(shop.var).url("tarifa", APP_ROLE)
        services = build(Settings.from_environment({"VAR": str(shop.var), "DATABASE_URL": url}))
        try:
            await act(services)
        finally:
            await services.gateway.close()
            await services.db.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run()).result()
