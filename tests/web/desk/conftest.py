"""A finance clerk at the desk, and a draft to work on."""

import re
from datetime import datetime
from html import unescape

import pytest

from tests.web.conftest import Browser, Shop

FINANCE = "finance@meridian.example"
ARMCHAIR = "?list=PUBLIC-EUR&sku=CRUNCHY-ARMCHAIR&unit=each&starts="


class Clerk:
    """Somebody at the desk: fills in the forms that pages hold, as a browser would."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    async def get(self, path: str) -> str:
        answer = await self.browser.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def begin(self, title: str = "New prices") -> str:
        """Open a draft; returns its address."""
        answer = await self.browser.submit("/desk/prices/drafts", {"title": title}, page="/desk/prices")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def fill(self, path: str, **typed: str) -> tuple[int, str, str]:
        """Open the form at *path*, type over some of its fields, send it: status, page, address led to. A name's `__`
        stands for a hyphen.
        """
        fields = fields_of(await self.get(path), path)
        fields |= {name.replace("__", "-"): text for name, text in typed.items()}
        answer = await self.browser.post(path, data=fields, follow_redirects=False)
        return answer.status_code, answer.text, answer.headers.get("location", "")

    async def acknowledge(self, draft: str, reason: str = "Meant so") -> None:
        """Tick every warning that waits, and say why."""
        page = await self.get(f"{draft}/publication")
        if waiting := re.findall(r'name="warning" value="([^"]+)"', page):
            answer = await self.browser.submit(
                f"{draft}/acknowledgements", {"warning": waiting, "reason": reason}, page=f"{draft}/publication"
            )
            assert answer.status_code == 303, unescape(answer.text)

    async def publish(self, draft: str, note: str = "As agreed", at: datetime | None = None) -> None:
        """Acknowledge what waits for it, and publish."""
        await self.acknowledge(draft)
        when = {"when": "soon"} if at is None else {"when": "at", "effective_at": at.replace(tzinfo=None).isoformat()}
        answer = await self.browser.submit(f"{draft}/publication", {"note": note, **when}, page=f"{draft}/publication")
        assert answer.status_code == 303, unescape(answer.text)


def fields_of(page: str, action: str) -> dict[str, str]:
    """The values of the form that posts to *action*, as a browser would send them back."""
    found = re.search(
        rf'<form[^>]*action="{re.escape(action).replace("&", "&amp;")}"[^>]*method="post".*?</form>', page, re.DOTALL
    )
    assert found, f"no form posts to {action}"
    form = found[0]
    fields = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and (('type="checkbox"' not in tag and 'type="radio"' not in tag) or "checked" in tag):
            fields[name[1]] = unescape(value[1]) if value else ""
    for name, body in re.findall(r'<textarea[^>]*name="([^"]*)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        fields[name] = unescape(body)
    for name, body in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', body) or re.search(r'value="([^"]*)"', body)
        fields[name] = unescape(chosen[1]) if chosen else ""
    return fields


@pytest.fixture
async def clerk(shop: Shop) -> Clerk:
    browser = shop.client()
    await browser.log_in(FINANCE)
    return Clerk(browser)
