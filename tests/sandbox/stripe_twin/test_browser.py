import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe
from playwright.sync_api import Page, expect, sync_playwright

from tests.sandbox.stripe_twin.receiver import Receiver, session_params

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM.exists() and not os.environ.get("CI"), reason="there is no Chromium at /usr/bin/chromium"
    ),
]


@pytest.fixture(params=[1280, 360])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser without JavaScript, wide and narrow."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(java_script_enabled=False, viewport={"width": request.param, "height": 480})
        browser.close()


def test_a_buyer_is_declined_then_fails_then_passes_3d_secure_and_comes_back(
    page: Page, client: stripe.StripeClient, receiver: Receiver
) -> None:
    shop = receiver.url.removesuffix("/webhooks/stripe")
    session = client.v1.checkout.sessions.create(session_params(success_url=f"{shop}/done", cancel_url=f"{shop}/cart"))
    assert session.url is not None
    page.goto(session.url)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    page.get_by_role("link", name="4000 0000 0000 9995").click()
    page.get_by_role("button", name="Pay 24.68 EUR").click()
    expect(page.get_by_role("alert")).to_contain_text("insufficient funds")
    expect(page.get_by_role("alert")).to_be_in_viewport()

    page.get_by_role("link", name="4000 0025 0000 3155").click()
    page.get_by_role("button", name="Pay 24.68 EUR").click()
    page.get_by_role("button", name="Fail authentication").click()
    expect(page.get_by_role("alert")).to_contain_text("unable to authenticate")

    page.get_by_role("link", name="4000 0025 0000 3155").click()
    page.get_by_role("button", name="Pay 24.68 EUR").click()
    page.get_by_role("button", name="Complete authentication").click()
    expect(page.get_by_role("heading")).to_have_text("Thank you")
    assert page.url == f"{shop}/done"
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"

    page.goto(session.url)
    expect(page.get_by_role("heading")).to_have_text("This order is paid")
