"""Finance puts a company into a segment at the desk: tried before, said why, and every channel follows at once."""

import asyncio
import re
import time
from html import unescape
from uuid import UUID

import httpx

from accounts.segments import SegmentsMoved
from accounts.webhooks.events import EventType
from accounts.webhooks.store import list_messages
from kernel.db import for_staff
from tests.web.api.partners import ACME, Program, endpoint_of, key_of, order_of
from tests.web.conftest import Shop
from tests.web.desk.conftest import Clerk

PAGE = "/desk/prices/segments"
ACMES = f"{PAGE}/company?code=acme"
SKU = "ANCH-M16-120"
"""On the list for manufacturers: it costs them less."""


async def save(clerk: Clerk, segments: list[str], *, shown: str = "", **typed: str) -> tuple[int, str]:
    """Send the form as it stands with these segments ticked; status and page."""
    answer = await clerk.browser.submit(
        ACMES, {"segment": segments, "shown": shown, "reason": "Signed the frame contract", **typed}, page=ACMES
    )
    return answer.status_code, unescape(answer.text)


async def asked_until_changed(program: Program, question: str, etag: str) -> httpx.Response:
    """Ask again what was answered with *etag*: workers hear of the company's change within moments."""
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        answer = await program.get(question, headers={"if-none-match": etag})
        if answer.status_code == 200:
            return answer
        await asyncio.sleep(0.01)
    raise AssertionError("what the program kept is still said to hold")


async def test_a_company_joins_a_segment_and_every_channel_follows_at_once(shop: Shop, clerk: Clerk) -> None:
    buyer, key = shop.client(), await key_of(shop, ACME)
    program = Program(shop, key)
    await buyer.log_in(ACME)
    question = f"/api/v1/prices/{SKU}?quantity=2500"
    before = await program.get(question)
    feed = (await program.get("/api/v1/price-feed?limit=1")).json()
    page = unescape(await clerk.get(PAGE))
    row = page.split('<span class="code">manufacturing</span>')[1].split("</tr>")[0]
    assert "Globex Corporation" in row
    assert "MANUFACTURING-EUR" in row
    assert "MANUFACTURING-SAFETY" in row
    assert f'href="{ACMES}"' in await clerk.get(f"{PAGE}?q=maschinen")

    status, page = await save(clerk, ["manufacturing"], action="preview")

    assert status == 200
    live = page.split('id="live"')[1].split("</section>")[0]
    assert re.search(r"[1-9][0-9]* of the prices shown change", live)
    assert "MANUFACTURING-EUR, MANUFACTURING-USD, MANUFACTURING-SAFETY" in live
    assert (await program.get(question)).json() == before.json(), "a look changes nothing"

    status, _ = await save(clerk, ["manufacturing"])

    assert status == 303
    after = await asked_until_changed(program, question, before.headers["etag"])
    amount = after.json()["price"]["subtotal"]["amount"]
    assert float(amount) < float(before.json()["price"]["subtotal"]["amount"])
    quoted = await program.post("/api/v1/quotes", json={"lines": [{"sku": SKU, "quantity": "2500"}]})
    assert quoted.json()["lines"][0]["subtotal"]["amount"] == amount
    whole = (await program.get("/api/v1/price-feed?limit=1")).json()
    assert whole["reader"] != feed["reader"]
    csv = await program.get("/api/v1/feed.csv")
    assert f"{SKU},each,2500" in csv.text
    html = unescape((await buyer.get(f"/skus/{SKU}/price?quantity=2500")).text)
    assert f"€{float(amount):,.2f}" in html
    page = unescape(await clerk.get(f"{PAGE}?changed=acme"))
    history = page.split("History of segments")[1]
    for said in ("Acme Maschinenbau GmbH", "into", "manufacturing", "Signed the frame contract", "Finance desk"):
        assert said in history


async def test_what_is_wrong_is_said_and_what_was_typed_is_kept(clerk: Clerk) -> None:
    for segments, typed, sentence in (
        ([], {"reason": "No more"}, "Nothing is changed yet"),
        (["manufacturing"], {"reason": ""}, "Fill this in."),
        ([], {"others": "one;two"}, "without semicolons"),
        ([f"s{number}" for number in range(51)], {}, "at most 50 segments"),
        (["manufacturing"], {"reason": "x" * 1001}, "at most 1000 characters"),
    ):
        status, page = await save(clerk, segments, **typed)
        assert (status, sentence in page) == (422, True), sentence
        assert all(f'value="{segment}" checked' in page for segment in segments)
    status, page = await save(clerk, ["manufacturing"], others="one;two", reason="Tried")
    assert ">one;two</textarea>" in page
    assert ">Tried</textarea>" in page
    status, page = await save(clerk, [], others="resellers", action="preview")
    assert "No list or rule in force is for the segments that change" in page
    assert (await clerk.browser.get(f"{PAGE}/company?code=nobody")).status_code == 404
    assert (await clerk.browser.get(f"{PAGE}/company")).status_code == 404
    assert 'lang="es"' in await clerk.get(f"{ACMES}&lang=es")


async def test_two_clerks_at_one_company_see_both_sides(shop: Shop, clerk: Clerk) -> None:
    assert (await save(clerk, ["manufacturing"]))[0] == 303

    status, page = await save(clerk, ["resellers"], shown="")

    assert status == 409
    assert "Somebody else changed this meanwhile" in page
    for segment in ("manufacturing", "resellers"):
        assert f'value="{segment}" checked' in page, "the form holds both"
    assert 'name="shown" value="manufacturing"' in page
    assert (await shop.services.segments.find("acme")).segments == ["manufacturing"]
    assert (await save(clerk, ["manufacturing", "resellers"], shown="manufacturing"))[0] == 303
    segments = shop.services.segments
    tries = [
        segments.assign("acme", [name], shown=["manufacturing", "resellers"], reason="At once", by=None)
        for name in ("one", "two")
    ]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(isinstance(outcome, SegmentsMoved) for outcome in outcomes) == [False, True]


async def test_the_company_keeps_what_it_was_promised_and_its_programs_are_told(shop: Shop, clerk: Clerk) -> None:
    key = await key_of(shop, ACME)
    program = Program(shop, key)
    endpoint, _ = await endpoint_of(shop, key)
    await shop.services.price_news.sweep()
    signed = await program.post("/api/v1/signed-quotes", json={"lines": [{"sku": SKU, "quantity": "2500"}]})
    order = await order_of(shop, ACME)
    placed = (await program.get(f"/api/v1/orders/{order.number}")).json()
    shop.clock.advance(seconds=1)

    assert (await save(clerk, ["manufacturing"]))[0] == 303
    await shop.services.price_news.sweep()

    again = await program.get(f"/api/v1/signed-quotes/{signed.json()['id']}")
    assert again.content == signed.content
    kept = (await program.get(f"/api/v1/orders/{order.number}")).json()
    assert kept == placed
    async with shop.services.db.begin(for_staff()) as session:
        messages = await list_messages(session, UUID(endpoint), limit=10)
    assert EventType.PRICE_CHANGED in [message.event_type for message in messages]
