"""A buyer's browser at Stripe's own payment page. Only the sandbox run comes here; the page's fields are Stripe's."""

from playwright.async_api import async_playwright

PATIENCE_MS = 60_000


async def pay(url: str, number: str) -> None:
    """Type a card and press pay; return when the page has answered, whatever it says."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(args=["--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(url)
        await page.get_by_label("Card number").fill(number)
        await page.get_by_label("Expiration").fill("12 / 34")
        await page.get_by_label("CVC").fill("123")
        await page.get_by_label("Cardholder name").fill("Test Buyer")
        async with page.expect_response(lambda answer: "/confirm" in answer.url):
            await page.get_by_test_id("hosted-payment-submit-button").click()
        await page.wait_for_load_state("networkidle")
        await browser.close()
