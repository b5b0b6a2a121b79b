"""A shop as its users meet it: a server process of its own, test payments beside it, and Chromium in front."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Playwright, sync_playwright

from tests.conftest import TEST_VAR

ROOT: Final = Path(__file__).parents[2]
AXE: Final = ROOT / "tests" / "web" / "vendor" / "axe.min.js"
AXE_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDTHS: Final = (1280, 360)
NARROWEST: Final = 320
REFUSES: Final = "Unable to capture screenshot"
PAUSE_MS: Final = 500
START_SECONDS: Final = 180
EXPECTED_CONSOLE: Final = re.compile(r"the server responded with a status of (402|409|422)")
"""Chromium reports the status of a page that shows a form again; it is what we mean to answer, and the payment page
when it declines a card (402)."""


class Shop(msgspec.Struct):
    """The running server."""

    url: str
    twin_url: str
    var: Path
    password: str

    def letters_to(self, address: str) -> list[str]:
        """The texts of the letters to an address, oldest first."""
        found = []
        for path in sorted((self.var / "mail").glob("*.eml"), key=lambda path: path.stat().st_mtime_ns):
            letter = message_from_bytes(path.read_bytes())
            if address in str(letter["To"]):
                part = next(each for each in letter.walk() if each.get_content_type() == "text/plain")
                found.append(bytes(part.get_payload(decode=True)).decode())
        return found


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    """`tarifa serve` with its own VAR and ports, as a stranger would start it."""
    TEST_VAR.mkdir(parents=True, exist_ok=True)
    # not pytest's folder: root alone may read that, and PostgreSQL never runs as root
    var, port = Path(tempfile.mkdtemp(prefix="journeys-", dir=TEST_VAR)), _free_pair()
    var.chmod(0o755)
    environment = {**os.environ, "VAR": str(var), "PORT": str(port)}
    with (var / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "web.cli", "serve"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, url, var / "serve.log")
        password = (var / "demo-log-ins.txt").read_text().splitlines()[0].split()[5]
        yield Shop(url=url, twin_url=f"http://127.0.0.1:{port + 1}", var=var, password=password)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(var, ignore_errors=True)


@pytest.fixture
def playwright() -> Iterator[Playwright]:
    """Started for one test alone: while it runs it holds this thread's event loop, which asynchronous tests need."""
    with sync_playwright() as started:
        yield started


@pytest.fixture
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = launched(playwright)
    yield browser
    browser.close()


def launched(playwright: Playwright) -> Browser:
    """Chromium; without one the test is skipped, on CI it fails."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sentence = "No Chromium: install it (apt-get install chromium), or name the program in CHROMIUM."
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


def picture(page: Page, **how: Any) -> bytes:
    """A screenshot. On a busy machine Chromium refuses one now and then just after the page was resized, not twice."""
    try:
        return page.screenshot(**how)
    except Error as refused:
        if REFUSES not in refused.message:
            raise
        page.wait_for_timeout(PAUSE_MS)
        return page.screenshot(**how)


class Visit:
    """A buyer's browser. It notes every console error, and looks at pages: sizes, screenshots, accessibility."""

    def __init__(self, context: BrowserContext, shop: Shop, *, scripted: bool) -> None:
        self.page: Page = context.new_page()
        self.shop = shop
        self.scripted = scripted
        self.errors: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._pictures = Path(os.environ.get("SCREENSHOTS", TEST_VAR / "screenshots"))
        self._pictures.mkdir(parents=True, exist_ok=True)

    def go(self, path: str) -> None:
        self.page.goto(self.shop.url + path)

    def look(self, name: str) -> None:
        """Take pictures of the page, and see that it fits narrow screens and has no accessibility error."""
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 900})
            picture(self.page, path=self._pictures / f"{name}-{width}.png", full_page=True)
        if self.scripted:
            for width in (NARROWEST, *WIDTHS[1:]):
                self.page.set_viewport_size({"width": width, "height": 900})
                wide = self.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} wide on a screen of {width}"
            self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
            found = self._accessibility_errors()
            assert not found, f"{name}: " + "; ".join(found)
        self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})

    def portray(self, name: str, part: str = "body") -> None:
        """Take a small picture of a part of the page for the README (`docs/pictures`, by SCREENSHOTS=docs/pictures)."""
        self.page.set_viewport_size({"width": 900, "height": 640})
        box = self.page.locator(part).first.bounding_box()
        assert box is not None, f"{part} is not on the page"
        picture(
            self.page,
            path=self._pictures / f"small-{name}.png",
            clip={"x": box["x"], "y": box["y"], "width": box["width"], "height": min(box["height"], 640)},
            full_page=True,
        )
        self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})

    def log_in(self, email: str) -> None:
        self.go("/login")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password", exact=True).fill(self.shop.password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"{self.shop.url}/")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not EXPECTED_CONSOLE.search(message.text):
            self.errors.append(f"{message.text} ({self.page.url})")

    def _accessibility_errors(self) -> list[str]:
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", AXE_TAGS
        )
        return [
            f"{violation['id']} at {', '.join(str(node['target'][0]) for node in violation['nodes'])}"
            for violation in found["violations"]
        ]


@pytest.fixture
def visit(chromium: Browser, shop: Shop) -> Iterator[Visit]:
    yield from _visit(chromium, shop, scripted=True)


@pytest.fixture
def visit_without_scripts(chromium: Browser, shop: Shop) -> Iterator[Visit]:
    yield from _visit(chromium, shop, scripted=False)


def _visit(chromium: Browser, shop: Shop, *, scripted: bool) -> Iterator[Visit]:
    context = chromium.new_context(locale="en-GB", java_script_enabled=scripted)
    context.set_default_timeout(30_000)
    made = Visit(context, shop, scripted=scripted)
    yield made
    context.close()
    assert not made.errors, made.errors


def _free_pair() -> int:
    """A port that is free, as is the one after it, which the test payments take."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError("no two free ports in a row")


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(START_SECONDS * 2):
        if process.poll() is not None:
            pytest.fail(f"The server ended with {process.returncode}:\n{log.read_text()[-3000:]}")
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    pytest.fail(f"The server was not ready after {START_SECONDS} s:\n{log.read_text()[-3000:]}")
