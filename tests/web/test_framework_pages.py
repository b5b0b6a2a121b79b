"""The framework agreement by its pages: a signatory accepts and ends it, a clerk looks, the legal desk sees it."""

import base64
import re

from agreements.verify import exit_code, read_zip, verify_bundle
from tests.web.conftest import Browser, Shop

PAGE = "/account/agreements"
TICKED = {"agree": "yes", "authority": "yes", "business": "yes", "job_title": "Head of purchasing"}


async def accept(browser: Browser, **changed: str) -> tuple[int, str]:
    page = (await browser.get(PAGE)).text
    found = re.search(r'name="presentation" value="([0-9a-f-]{36})"', page)
    assert found, page
    assert "checked" not in page
    form = {"presentation": found[1], **TICKED, **changed}
    answer = await browser.submit(PAGE, {name: value for name, value in form.items() if value}, page=PAGE)
    return answer.status_code, answer.text


async def test_a_signatory_accepts_it_once_and_ends_it(shop: Shop) -> None:
    browser, clerk, legal = shop.client(), shop.client(), shop.client()
    await browser.log_in("buyer@acme.example")
    await clerk.log_in("clerk@acme.example")
    await legal.log_in("legal@meridian.example")
    status, text = await accept(browser, business="")
    assert status == 422
    assert 'id="business-error"' in text
    assert "checked" not in text
    assert "A signatory of your company can accept it here." in (await clerk.get(PAGE)).text

    assert (await accept(browser))[0] == 303

    page = (await clerk.get(PAGE)).text
    assert "It stands since" in page
    assert "End it" not in page
    link = re.search(rf"{PAGE}/([0-9a-f-]+)/receipt.json", page)
    assert link
    assert (await clerk.get(link[0])).json()["order"]["company"] == "acme"
    assert "Acme Maschinenbau GmbH" in (await legal.get("/desk/agreements/frameworks")).text
    stranger = shop.client()
    await stranger.log_in("buyer@globex.example")
    assert (await stranger.get(link[0])).status_code == 404
    bundle = f"{PAGE}/{link[1]}/bundle.zip"
    assert (await stranger.get(bundle)).status_code == 404
    assert (await clerk.get(f"{PAGE}/no-id/bundle.zip")).status_code == 404
    keys = (await clerk.get("/.well-known/tarifa-keys.json")).json()["keys"]
    trusted = [base64.b64decode(key["public_key"]) for key in keys if key["purpose"] == "ledger"]
    for reader, path in ((clerk, bundle), (legal, f"/desk/agreements/frameworks/{link[1]}/bundle.zip")):
        answer = await reader.get(path)
        assert answer.headers["cache-control"] == "private, no-store"
        assert exit_code(verify_bundle(answer.content, trusted)) == 0
        assert "Evidence of a framework agreement" in read_zip(answer.content)["README.txt"].decode()
    refused = await browser.submit(f"{PAGE}/{link[1]}/end", {"note": ""}, page=PAGE)
    assert refused.status_code == 422
    assert (await browser.submit(f"{PAGE}/{link[1]}/end", {"note": "Enough"}, page=PAGE)).status_code == 303
    assert "Enough" in (await legal.get("/desk/agreements/frameworks", params={"lang": "es"})).text
    late = await legal.submit(f"/desk/agreements/frameworks/{link[1]}/end", {"note": "x"}, page="/desk/agreements")
    assert late.status_code == 422
