"""Editing prices at the desk: what is typed is kept, what is wrong is said, and nobody's work is lost."""

import asyncio
import re
from datetime import timedelta
from html import unescape
from uuid import UUID

import pytest

from tests.web.conftest import Browser, Shop
from tests.web.desk.conftest import ARMCHAIR, FINANCE, Clerk, fields_of

BUYER = "buyer@acme.example"


@pytest.mark.parametrize("path", ["/desk", "/desk/orders", "/desk/prices"])
async def test_visitors_are_led_to_the_log_in(browser: Browser, path: str) -> None:
    answer = await browser.get(path, follow_redirects=False)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next={path}"


@pytest.mark.parametrize("path", ["/desk", "/desk/orders", "/desk/prices", "/desk/prices/publications/1"])
async def test_buyers_find_nothing_at_the_desk(browser: Browser, path: str) -> None:
    await browser.log_in(BUYER)

    assert (await browser.get(path)).status_code == 404


async def test_support_sees_orders_and_no_prices(browser: Browser) -> None:
    await browser.log_in("support@meridian.example")

    assert (await browser.get("/desk/orders")).status_code == 200
    assert 'href="/desk/prices"' not in (await browser.get("/desk")).text
    for path in ("/desk/prices", "/desk/prices/publications/1"):
        assert (await browser.get(path)).status_code == 404
    answer = await browser.submit("/desk/prices/drafts", {"title": "Mine"}, page="/desk/orders")
    assert answer.status_code == 404


@pytest.mark.parametrize("language", ["en", "es"])
async def test_every_page_of_the_desk_is_served_in_both_languages(clerk: Clerk, language: str) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="240")
    pages = [
        "/desk", "/desk/orders", "/desk/prices", "/desk/prices/publications/1", draft, f"{draft}?q=armchair",
        f"{draft}/sku?sku=CRUNCHY-ARMCHAIR", f"{draft}/price{ARMCHAIR}", f"{draft}/price?sku=CRUNCHY-ARMCHAIR",
        f"{draft}/rules", f"{draft}/rule?code=WINTER-SAFETY", f"{draft}/rule", f"{draft}/preview",
        f"{draft}/publication",
    ]  # fmt: skip

    for path in pages:
        page = await clerk.get(f"{path}{'&' if '?' in path else '?'}lang={language}")
        assert f'<html lang="{language}">' in page


async def test_a_changed_price_stands_in_the_draft_before_and_after(clerk: Clerk) -> None:
    draft = await clerk.begin("Armchairs")

    status, _, led_to = await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="239.50", from__3="100", price__3="199")

    assert (status, led_to) == (303, draft)
    page = await clerk.get(draft)
    assert "<del>249.00</del>" in page
    assert "<ins>239.50</ins>" in page
    assert "From 100" in page


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"price__0": "-3"}, "price-0", "cannot be below 0"),
        ({"price__0": "12,50"}, "price-0", "Write a number like 12.50"),
        ({"price__0": "NaN"}, "price-0", "Write a number like 12.50"),
        ({"price__0": "1e3"}, "price-0", "Write a number like 12.50"),
        ({"price__0": "1" + "0" * 30}, "price-0", "at most 18 digits"),
        ({"price__0": ""}, "price-0", "Fill this in"),
        ({"from__1": "1"}, "from-1", "larger quantity than the one before it"),
        ({"from__1": "abc"}, "from-1", "Write a number like 12.50"),
        ({"fee__0": "-1"}, "fee-0", "cannot be below 0"),
        ({"ends_at": "tomorrow"}, "ends_at", "Write a date and time"),
        ({"model": "graduated"}, "from-0", "Graduated prices begin above 0"),
    ],
)
async def test_what_is_wrong_with_a_price_is_said_beside_its_field_and_above(
    clerk: Clerk, typed: dict[str, str], field: str, said: str
) -> None:
    draft = await clerk.begin()

    status, page, _ = await clerk.fill(f"{draft}/price{ARMCHAIR}", **typed)

    page = unescape(page)
    assert status == 422
    assert f'<a href="#{field}">' in page
    assert said in page.split(f'id="{field}-error"')[1].split("</span>\n")[0]
    for text in typed.values():
        assert f'value="{text}"' in page
    assert "This draft changes nothing yet" in await clerk.get(draft)


async def test_a_price_may_not_end_before_it_starts(clerk: Clerk) -> None:
    draft = await clerk.begin()
    new = {"list": "PUBLIC-EUR", "unit": "each", "from__0": "1", "price__0": "200"}

    status, page, _ = await clerk.fill(
        f"{draft}/price?list=&sku=CRUNCHY-ARMCHAIR&unit=&starts=", **new, starts_at="2027-01-02", ends_at="2027-01-01"
    )

    assert status == 422
    assert "The end must lie after the start" in page


async def test_two_prices_of_one_list_may_not_hold_at_the_same_time(clerk: Clerk) -> None:
    draft = await clerk.begin()
    new = {"list": "PUBLIC-EUR", "unit": "each", "from__0": "1", "price__0": "200"}
    path = f"{draft}/price?list=&sku=CRUNCHY-ARMCHAIR&unit=&starts="

    status, page, _ = await clerk.fill(path, **new)
    assert status == 422
    assert "has a price of this unit and start already" in page

    status, page, _ = await clerk.fill(path, **new, starts_at="2027-01-01T00:00")
    assert status == 422
    assert "valid at the same time" in page


async def test_a_price_that_will_follow_another_is_added_beside_it(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", ends_at="2027-01-01T00:00")

    status, page, _ = await clerk.fill(
        f"{draft}/price?list=&sku=CRUNCHY-ARMCHAIR&unit=&starts=",
        list="PUBLIC-EUR", unit="each", from__0="1", price__0="200", starts_at="2027-01-01T00:00",
    )  # fmt: skip

    assert status == 303, page
    assert "2 changes" in await clerk.get(draft)


async def test_more_lines_keep_what_was_typed(clerk: Clerk) -> None:
    draft = await clerk.begin()

    status, page, _ = await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="1.23", action="more")

    assert status == 200
    assert 'value="1.23"' in page
    assert 'id="price-7"' in page


async def test_a_comma_is_a_decimal_comma_in_spanish(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.get("/desk?lang=es")

    status, _, _ = await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="239,50")

    assert status == 303
    assert "<ins>239.50</ins>" in await clerk.get(draft)


async def test_a_removed_price_is_undone(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", action="remove")
    page = await clerk.get(draft)
    assert ">removed<" in page

    answer = await clerk.browser.post(f"{draft}/undo", data=fields_of(page, f"{draft}/undo"), follow_redirects=False)

    assert answer.status_code == 303
    assert "This draft changes nothing yet" in await clerk.get(draft)


async def test_an_unknown_sku_is_said_to_be_unknown(clerk: Clerk) -> None:
    draft = await clerk.begin()

    for path in ("/sku?sku=NO-SUCH", "/price?sku=NO-SUCH"):
        answer = await clerk.browser.get(draft + path)
        assert answer.status_code == 404
        assert "NO-SUCH" in answer.text


@pytest.mark.parametrize("path", ["/x", "/00000000-0000-0000-0000-000000000000", "/x/preview", "/%20/publication"])
async def test_a_draft_that_is_none_is_a_page_that_says_so(clerk: Clerk, path: str) -> None:
    answer = await clerk.browser.get(f"/desk/prices/drafts{path}")

    assert answer.status_code == 404
    assert "There is no such" in answer.text


async def test_two_clerks_at_one_price_see_both_sides(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    path = f"{draft}/price{ARMCHAIR}"
    mine = fields_of(await clerk.get(path), path)
    other = shop.client()
    await other.log_in(FINANCE)
    assert (await Clerk(other).fill(path, price__0="231"))[0] == 303

    answer = await clerk.browser.post(path, data=mine | {"price-0": "229"}, follow_redirects=False)

    assert answer.status_code == 409
    assert "Somebody else changed this meanwhile" in answer.text
    assert "<del>231.00</del>" in answer.text
    assert "<ins>229.00</ins>" in answer.text
    assert 'value="229"' in answer.text
    assert "<ins>231.00</ins>" in await clerk.get(draft)

    again = fields_of(answer.text, path)
    assert (await clerk.browser.post(path, data=again, follow_redirects=False)).status_code == 303
    assert "<ins>229.00</ins>" in await clerk.get(draft)


async def test_a_rule_is_edited_with_all_it_says_kept(clerk: Clerk) -> None:
    draft = await clerk.begin()
    path = f"{draft}/rule?code=WINTER-SAFETY"

    status, _, _ = await clerk.fill(path)
    assert status == 303
    assert "This draft changes nothing yet" in await clerk.get(draft), "an unchanged form changes nothing"

    status, _, _ = await clerk.fill(path, percent="20")
    assert status == 303
    page = await clerk.get(draft)
    assert "<del>10 % off</del>" in page
    assert "<ins>20 % off</ins>" in page
    assert page.count('<tr class="chosen">') == 1


@pytest.mark.parametrize("code", ["BIG-LINE-EUR", "HAMMER-DEAL-EUR", "CLEARANCE-LOUNGE", "INITECH-ELECTRICAL"])
async def test_the_form_of_any_rule_gives_back_what_it_shows(clerk: Clerk, code: str) -> None:
    draft = await clerk.begin()

    status, page, _ = await clerk.fill(f"{draft}/rule?code={code}")

    assert status == 303, page
    assert "This draft changes nothing yet" in await clerk.get(draft)


NEW_RULE = {
    "code": "SPRING",
    "title_en": "Spring",
    "title_es": "Primavera",
    "place": "PROMOTIONS\tpromotion",
    "effect": "percent",
    "percent": "5",
    "everything": "yes",
}


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        ({"effect": "percent", "percent": "5", "direction": "on"}, "5 % on top"),
        ({"effect": "amount", "amount": "2", "currencies": "EUR"}, "2 off"),
        ({"effect": "fixed_price", "price": "9.99", "currencies": "EUR"}, "fixed price 9.99"),
        ({"effect": "quantity_table", "steps": "10 5\n50 7.5"}, "From 10: 5 % off; From 50: 7.5 % off"),
        ({"effect": "buy_get", "buy": "10", "get": "1", "place": "LINE\tvolume"}, "buy 10, get 1 free"),
    ],
)
async def test_a_new_rule_of_each_effect_is_added(clerk: Clerk, effect: dict[str, str], said: str) -> None:
    draft = await clerk.begin()

    status, page, _ = await clerk.fill(f"{draft}/rule?code=", **NEW_RULE | effect)

    assert status == 303, page
    page = await clerk.get(draft)
    assert said in page
    assert "SPRING" in page


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"code": ""}, "code", "Fill this in"),
        ({"code": "WINTER-SAFETY"}, "code", "a rule of this code already"),
        ({"title_es": ""}, "title_es", "Fill this in"),
        ({"place": "NOWHERE\tnone"}, "place", "Choose one from the list"),
        ({"percent": "101"}, "percent", "more than 100 %"),
        ({"percent": ""}, "percent", "Fill this in"),
        ({"everything": ""}, "skus", "Say what the rule is for"),
        ({"everything": "", "skus": "NO-SUCH"}, "skus", "has no SKU NO-SUCH"),
        ({"everything": "", "categories": "NO-SUCH"}, "categories", "has no category NO-SUCH"),
        ({"everything": "", "brands": "NO-SUCH"}, "brands", "has no brand NO-SUCH"),
        ({"excluded_skus": "CRUNCHY-ARMCHAIR\nNO-SUCH"}, "excluded_skus", "has no SKU NO-SUCH"),
        ({"company": "hooli"}, "company", "no company hooli"),
        ({"audience_countries": "Spain"}, "audience_countries", "two capital letters"),
        ({"currencies": "euro"}, "currencies", "three capital letters"),
        ({"effect": "amount", "amount": "3"}, "currencies", "exactly one currency"),
        ({"effect": "quantity_table", "steps": "10 5\n5 7"}, "steps", "must ascend"),
        ({"effect": "quantity_table", "steps": "ten five"}, "steps", "one step a line"),
        ({"effect": "buy_get", "buy": "0", "get": "1"}, "buy", "must be above 0"),
        ({"effect": "buy_get", "buy": "1", "get": "1"}, "effect", "belongs to a layer of the line level"),
        ({"min_quantity": "10", "max_quantity": "5"}, "max_quantity", "lies below the lower one"),
        ({"priority": "high"}, "priority", "whole number"),
        ({"starts_at": "2027-02-01T00:00", "ends_at": "2027-01-01T00:00"}, "ends_at", "must lie after the start"),
    ],
)
async def test_what_is_wrong_with_a_rule_is_said_beside_its_field_and_above(
    clerk: Clerk, typed: dict[str, str], field: str, said: str
) -> None:
    draft = await clerk.begin()

    status, page, _ = await clerk.fill(f"{draft}/rule?code=", **NEW_RULE | typed)

    page = unescape(page)
    assert status == 422
    assert f'<a href="#{field}">' in page
    assert said in page.split(f'id="{field}-error"')[1][:400]
    assert 'value="Primavera"' in page or typed.get("title_es") == ""
    assert "This draft changes nothing yet" in await clerk.get(draft)


async def test_a_rule_removed_by_another_clerk_is_not_silently_brought_back(clerk: Clerk) -> None:
    draft = await clerk.begin()
    path = f"{draft}/rule?code=WINTER-SAFETY"
    mine = fields_of(await clerk.get(path), path)
    await clerk.fill(path, action="remove")

    answer = await clerk.browser.post(path, data=mine | {"percent": "12"}, follow_redirects=False)

    assert answer.status_code == 409
    assert "Somebody else changed this meanwhile" in answer.text


async def test_the_preview_shows_who_pays_what_before_and_after(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="224.10")

    page = unescape(await clerk.get(f"{draft}/preview"))

    assert "€249.00" in page
    assert "€224.10" in page
    assert "-10%" in page
    assert "Everyone, Acme Maschinenbau GmbH" in page, "buyers of the same prices share a table"
    assert 'class="line was"' in page
    assert "unchanged" in page, "Initech's contract price stays"


async def test_the_preview_answers_for_the_sample_that_is_asked_for(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/rule?code=BRIGHT-DECEMBER", percent="50")

    page = unescape(
        await clerk.get(f"{draft}/preview?sku=QUIET-HAMMER&quantity=1+12&buyer=initech&at=2026-12-05T00:00")
    )
    assert "Initech" in page
    assert "Acme" not in page.split('id="sample"')[1]
    assert "0 of the prices shown change" in page

    answer = await clerk.browser.get(f"{draft}/preview?quantity=many&at=someday")
    assert answer.status_code == 422
    assert 'value="many"' in answer.text
    assert 'value="someday"' in answer.text


async def test_an_error_of_the_gate_stops_publication_and_shows_its_witness(clerk: Clerk) -> None:
    draft = await clerk.begin()
    for code in ("PUBLIC-EUR", "PUBLIC-USD", "CONTRACT-INITECH"):
        await clerk.fill(f"{draft}/price?list={code}&sku=CRUNCHY-ARMCHAIR&unit=each&starts=", action="remove")

    page = await clerk.get(f"{draft}/publication")
    assert "CRUNCHY-ARMCHAIR is on sale, and no list prices it" in page
    assert "Publishing is possible once nothing above stops it" in page
    witness = unescape(page.split(">Show it<")[0].rsplit('href="', 1)[1].split('"')[0])
    assert "CRUNCHY-ARMCHAIR" in await clerk.get(witness)

    answer = await clerk.browser.submit(f"{draft}/publication", {"note": "x", "when": "soon"}, page="/desk/prices")
    assert answer.status_code == 422
    assert 'class="summary"' in answer.text


async def test_a_warning_is_read_with_its_amounts_and_its_question_shows_them(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="240")

    page = unescape(await clerk.get(f"{draft}/publication?lang=en"))
    warnings = [part.split("</li>")[0] for part in page.split('<li class="note warn">')[1:]]
    (falling,) = [part for part in warnings if "By CONTRACT-INITECH, more cost less" in part]
    assert "19 each of CRUNCHY-ARMCHAIR cost 4189.50 EUR, 20 cost 4155.20." in falling
    assert len(warnings) < 20
    shown = unescape(await clerk.get(falling.split('href="')[1].split('"')[0]))
    assert "4,189.50" in shown
    assert "4,155.20" in shown
    assert "initech" in shown


async def test_a_question_by_somebody_who_is_no_company_yet_is_answered(clerk: Clerk) -> None:
    draft = await clerk.begin()
    asked = "sku=HONEST-GLOVE-M&unit=pair&quantity=20&at=2026-11-21T12:00:00Z"

    of_segment = await clerk.get(f"{draft}/preview?{asked}&currency=USD&segment=manufacturing&country=FR")
    assert "manufacturing, FR" in of_segment
    assert "136.34" in of_segment
    nobody = await clerk.get(f"{draft}/preview?{asked}&currency=none")
    assert 'value="asked"' not in nobody


async def test_a_publication_too_soon_or_without_a_reason_is_refused_and_kept(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    await clerk.acknowledge(draft)
    now = shop.clock.now().replace(tzinfo=None)

    for typed, field in (
        ({"when": "at", "effective_at": (now + timedelta(seconds=1)).isoformat(), "note": "Soon"}, "effective_at"),
        ({"when": "at", "effective_at": "", "note": "Soon"}, "effective_at"),
        ({"when": "at", "effective_at": "never", "note": "Soon"}, "effective_at"),
        ({"when": "soon", "note": ""}, "note"),
    ):
        answer = await clerk.browser.submit(f"{draft}/publication", typed, page=f"{draft}/publication")
        assert answer.status_code == 422
        assert f'<a href="#{field}">' in answer.text
        assert typed["note"] in answer.text


async def test_warnings_are_ticked_and_accepted_with_a_reason_before_publication(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="1")
    page = await clerk.get(f"{draft}/publication")
    waiting = re.findall(r'name="warning" value="([^"]+)"', page)
    assert len(waiting) > 1
    assert "Publishing is possible once every warning above is acknowledged." in page
    assert f'action="{draft}/publication"' not in page

    async def post(to: str, **typed: str | list[str]) -> tuple[int, str]:
        answer = await clerk.browser.submit(f"{draft}/{to}", typed, page=f"{draft}/publication")
        return answer.status_code, unescape(answer.text)

    status, page = await post("publication", when="soon", note="All agreed")
    assert status == 422
    assert "All agreed" in page, "what was typed is still there"
    status, page = await post("acknowledgements", warning=waiting[:1], reason="")
    assert status == 422
    assert page.count("checked>") == 1
    status, page = await post("acknowledgements", reason="A clearance sale")
    assert (status, "Tick at least one." in page, "A clearance sale" in page) == (422, True, True)
    status, page = await post("acknowledgements", warning=["sha256:gone"], reason="A clearance sale")
    assert (status, "The warnings are others by now" in page, "A clearance sale" in page) == (422, True, True)

    assert (await post("acknowledgements", warning=waiting[:1], reason="A <clearance> sale"))[0] == 303
    page = await clerk.get(f"{draft}/publication")
    assert "A &lt;clearance&gt; sale" in page
    assert re.findall(r'name="warning" value="([^"]+)"', page) == waiting[1:]
    assert (await post("acknowledgements", warning=waiting[1:], reason="As above"))[0] == 303
    assert (await post("publication", when="soon", note="All agreed"))[0] == 303

    page = await clerk.get("/desk/prices/publications/2")
    assert page.count('<span class="tag good">acknowledged</span>') == len(waiting)
    assert "A &lt;clearance&gt; sale" in page
    assert "Finance desk" in page
    assert "aceptado" in await clerk.get("/desk/prices/publications/2?lang=es")


async def test_a_clash_with_a_publication_shows_both_sides(clerk: Clerk) -> None:
    mine, theirs = await clerk.begin("Mine"), await clerk.begin("Theirs")
    await clerk.fill(f"{mine}/price{ARMCHAIR}", price__0="229")
    await clerk.fill(f"{theirs}/price{ARMCHAIR}", price__0="231")
    await clerk.publish(theirs)

    page = await clerk.get(f"{mine}/publication")

    assert "<del>231.00</del>" in page
    assert "<ins>229.00</ins>" in page
    assert "Publication 2 came after this draft was begun" in page
    answer = await clerk.browser.submit(f"{mine}/publication", {"note": "x", "when": "soon"}, page="/desk/prices")
    assert answer.status_code == 422


async def test_a_roll_back_publishes_the_old_prices_again(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="1")
    await clerk.publish(draft, "A slip of the finger")
    shop.clock.advance(seconds=11)

    typed = {"note": "249, not 1", "when": "soon"}
    path = "/desk/prices/publications/1"
    stopped = await clerk.browser.submit(f"{path}/rollback", typed, page=path)
    assert stopped.status_code == 422
    assert "a price moves by over 25 %" in stopped.text
    assert "249, not 1" in stopped.text
    answer = await clerk.browser.submit(f"{path}/rollback", {**typed, "accept": "yes"}, page=path)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/desk/prices?published=3"
    shop.clock.advance(seconds=11)
    assert "€249.00" in (await shop.client().get("/products/CRUNCHY-ARMCHAIR")).text
    page = await clerk.get("/desk/prices")
    assert "249, not 1" in page
    assert "back to 1" in page


async def test_a_roll_back_needs_a_reason_and_a_publication(clerk: Clerk) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="248")
    await clerk.publish(draft)
    path = "/desk/prices/publications/1"

    assert (await clerk.browser.submit(f"{path}/rollback", {"when": "soon"}, page=path)).status_code == 422
    for number in ("0", "99", "99999999999999999999"):
        assert (await clerk.browser.get(f"/desk/prices/publications/{number}")).status_code == 404


async def test_a_discarded_or_published_draft_is_not_edited_any_more(clerk: Clerk) -> None:
    draft = await clerk.begin()
    path = f"{draft}/price{ARMCHAIR}"
    mine = fields_of(await clerk.get(path), path)
    assert (await clerk.browser.submit(f"{draft}/discard", page=draft)).status_code == 303

    answer = await clerk.browser.post(path, data=mine | {"price-0": "1"}, follow_redirects=False)

    assert answer.status_code == 409
    assert "discarded" in await clerk.get(draft)
    assert (await clerk.browser.get(f"{draft}/publication")).status_code == 200


async def test_a_derived_list_is_told_in_words_and_its_prices_are_shown_as_derived(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin("Trade prices")
    pricing, draft_id = shop.services.pricing, UUID(draft.rpartition("/")[2])
    for list_code, formula in (
        ("TRADE", {"base": "PUBLIC-EUR", "percent": "-12", "round_to": {"multiple": "0.05", "mode": "up"}}),
        ("OURS", {"base": None, "percent": "30", "ending": "-0.01", "min_margin": "10"}),
    ):
        named = {"code": list_code, "currency": "EUR", "audience": {"company": list_code.lower()}}
        await pricing.put_change(draft_id, "list", (list_code,), named, by=None)
        await pricing.put_change(draft_id, "derivation", (list_code,), {"list": list_code, **formula}, by=None)

    page = unescape(await clerk.get(draft))
    for said in ("Derived list", "PUBLIC-EUR", "-12 %", "multiples of 0.05, up", "cost", "Margin at least", "10 %"):
        assert said in page
    spanish = unescape(await clerk.get(f"{draft}?lang=es"))
    for said in ("Tarifa derivada", "múltiplos de 0.05, hacia arriba", "coste", "Margen mínimo"):
        assert said in spanish

    prices = await clerk.get(f"{draft}/sku?sku=CRUNCHY-ARMCHAIR&lang=en")
    assert "219.15" in prices  # 249.00 less 12 % is 219.12
    assert prices.count('<span class="tag">derived</span>') == 2

    standing = await pricing.find_leaf(draft_id, "derivation", ("TRADE",))
    circle = {"list": "TRADE", "base": "TRADE"}
    await pricing.put_change(draft_id, "derivation", ("TRADE",), circle, by=None, expected=standing.seen)
    assert "derived" not in await clerk.get(f"{draft}/sku?sku=CRUNCHY-ARMCHAIR")
    assert "in a circle: TRADE, TRADE" in unescape(await clerk.get(f"{draft}/publication"))


async def test_a_check_that_takes_long_is_waited_for_by_a_page_that_asks_again(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="200")
    shop.services.pricing.patience = timedelta(0)

    page = await clerk.get(f"{draft}/publication")

    assert "You can leave this page and come back." in page
    assert "<progress" in page
    assert 'hx-trigger="load delay:2s"' in page
    for _ in range(600):
        page = await clerk.get(f"{draft}/publication")
        if "<progress" not in page:
            break
        await asyncio.sleep(0.1)
    assert "initech pays more than everyone" in page

    shop.services.pricing.patience = timedelta(seconds=60)
    await clerk.acknowledge(draft, "Asked for while it was known")
    assert "Asked for while it was known" in await clerk.get(f"{draft}/publication")


async def test_a_check_that_is_left_alone_ends_with_the_shop(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    shop.services.pricing.patience = timedelta(0)
    assert "<progress" in await clerk.get(f"{draft}/publication")
    await shop.services.pricing.stop()
    shop.services.pricing.patience = timedelta(seconds=60)
    assert "What stands against it" in await clerk.get(f"{draft}/publication"), "and is begun anew"
