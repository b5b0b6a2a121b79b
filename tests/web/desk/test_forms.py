"""Lists, formulas, limits and the book's own settings at the desk: what only an import could change has a form."""

import re
from html import unescape
from typing import Final

from tests.web.conftest import Shop
from tests.web.desk.conftest import ARMCHAIR, FINANCE, Clerk, fields_of

NOTHING = "This draft changes nothing yet"


async def test_every_form_gives_back_what_it_shows_in_both_languages(clerk: Clerk) -> None:
    draft = await clerk.begin()
    lists, limits = await clerk.get(f"{draft}/lists"), await clerk.get(f"{draft}/limits")
    linked = [unescape(path) for path in re.findall(rf'href="({draft}/[a-z-]+\?(?:code|list)=[^"]+)"', lists + limits)]
    assert {path.split("?")[0].rpartition("/")[2] for path in linked} == {"list", "bound", "quantity-rule"}
    paths = [*linked, f"{draft}/layers", f"{draft}/strategy", f"{draft}/rounding"]

    for path in paths:
        page = await clerk.get(f"{path}{'&' if '?' in path else '?'}lang=es")
        assert '<html lang="es">' in page
        status, page, _ = await clerk.fill(path)
        assert status == 303, (path, page)
    assert NOTHING in await clerk.get(f"{draft}?lang=en")


async def test_a_list_is_added_follows_another_and_goes_with_its_prices(clerk: Clerk) -> None:
    draft = await clerk.begin()
    status, page, led_to = await clerk.fill(
        f"{draft}/list?code=", code="TRADE", currency="EUR", title_en="Trade", title_es="Profesional", segments="trade"
    )
    assert (status, led_to) == (303, f"{draft}/list?code=TRADE"), page
    formula = f"{draft}/formula?list=TRADE"
    assert formula in await clerk.get(led_to)

    status, page, _ = await clerk.fill(
        formula, base="PUBLIC-EUR", derived_percent="-12", multiple_of="0.05", mode="up", min_margin="60",
        max_margin="20",
    )  # fmt: skip
    assert status == 422
    assert "The largest margin lies below" in page.split('id="max_margin-error"')[1][:200]
    assert 'value="-12"' in page
    status, page, _ = await clerk.fill(formula, base="PUBLIC-EUR", derived_percent="-12", multiple_of="0.05", mode="up")
    assert status == 303, page
    assert "219.15" in await clerk.get(f"{draft}/sku?sku=CRUNCHY-ARMCHAIR")

    status, page, _ = await clerk.fill(f"{draft}/list?code=PUBLIC-EUR", action="remove")
    assert (status, "TRADE is derived from PUBLIC-EUR" in unescape(page)) == (422, True)
    status, page, _ = await clerk.fill(
        f"{draft}/price?list=&sku=CRUNCHY-ARMCHAIR&unit=&starts=",
        list="TRADE", unit="each", from__0="1", price__0="200",
    )  # fmt: skip
    assert status == 303, page
    status, _, _ = await clerk.fill(f"{draft}/list?code=TRADE", action="remove")
    assert status == 303
    assert NOTHING in await clerk.get(draft)

    status, _, _ = await clerk.fill(f"{draft}/list?code=CONTRACT-INITECH", action="remove")
    assert status == 303
    page = await clerk.get(draft)
    assert "CONTRACT-INITECH · CRUNCHY-ARMCHAIR" in page
    assert page.count(">removed<") > 1


async def test_limits_are_added(clerk: Clerk) -> None:
    draft = await clerk.begin()
    added = (
        ("bound", {"code": "A", "limit": "price", "prices": "EUR 200\nUSD 210.50"}, "200.00 EUR, 210.50 USD"),
        ("bound", {"code": "B", "limit": "margin", "margin": "12.5", "side": "ceiling"}, "margin of 12.5 %"),
        ("quantity-rule", {"code": "C", "minimum": "10", "multiple": "5", "unit": "each"}, "Multiple"),
    )

    for path, typed, said in added:
        status, page, _ = await clerk.fill(f"{draft}/{path}?code=", skus="CRUNCHY-ARMCHAIR", **typed)
        assert status == 303, page
        assert said in await clerk.get(draft)

    assert (await clerk.get(f"{draft}/limits")).count("SKUs CRUNCHY-ARMCHAIR") == 3


WRONG: Final[list[tuple[str, dict[str, str], str, str]]] = [
    ("list?code=", {"code": "PUBLIC-EUR", "currency": "EUR"}, "code", "a price list of this code already"),
    ("list?code=", {"code": "X", "currency": "euro"}, "currency", "three capital letters"),
    ("list?code=", {"code": "X", "currency": "EUR", "title_en": "X"}, "title_es", "in both languages"),
    ("list?code=", {"code": "X", "currency": "EUR", "company": "hooli"}, "company", "no company hooli"),
    ("list?code=", {"code": "X", "currency": "XYZ"}, "currency", "no currency we know"),
    ("formula?list=PUBLIC-EUR", {"base": "PUBLIC-EUR"}, "base", "cannot follow itself"),
    ("formula?list=PUBLIC-EUR", {"base": "PUBLIC-USD"}, "base", "cannot be derived from PUBLIC-USD"),
    ("formula?list=PUBLIC-EUR", {"base": "NONE"}, "base", "no price list NONE"),
    ("formula?list=PUBLIC-EUR", {"min_margin": "100"}, "min_margin", "100 % or more"),
    ("bound?code=", {"code": "B", "everything": "yes"}, "prices", "one currency and price a line"),
    ("bound?code=", {"code": "B", "skus": "NO-SUCH", "prices": "EUR 1"}, "skus", "has no SKU NO-SUCH"),
    ("bound?code=", {"code": "B", "everything": "yes", "prices": "EUR 1\nEUR 2"}, "prices", "EUR is stated twice"),
    ("bound?code=", {"code": "B", "everything": "yes", "prices": "EUR 1 2"}, "prices", "one currency and price"),
    ("bound?code=", {"code": "B", "everything": "yes", "prices": "EUR -1"}, "prices", "cannot be below 0"),
    ("bound?code=", {"code": "B", "everything": "yes", "limit": "margin", "margin": "100"}, "margin", "or more"),
    ("quantity-rule?code=", {"code": "Q", "everything": "yes"}, "minimum", "State at least one"),
    ("quantity-rule?code=", {"code": "Q", "everything": "yes", "multiple": "0"}, "multiple", "must be above 0"),
    ("quantity-rule?code=", {"code": "Q", "everything": "yes", "minimum": "9", "maximum": "1"}, "maximum", "lies"),
    ("quantity-rule?code=", {"code": "Q", "everything": "yes", "minimum": "9", "unit": "ell"}, "unit", "by ell"),
    ("layers", {"layer_groups__0": ""}, "layer_groups-0", "at least one group"),
    ("layers", {"layer_code__1": "CUSTOMER"}, "layer_code-1", "CUSTOMER stands here twice"),
    ("layers", {"layer_code__0": "", "layer_groups__0": ""}, "layer_code-0", "names the unknown layer"),
    ("rounding", {"unit_decimals": "13"}, "unit_decimals", "Write 0 to 12"),
    ("rounding", {"tax_level": "none"}, "tax_level", "Choose one from the list"),
    ("strategy", {"strategy": "cheapest"}, "strategy", "Choose one from the list"),
]


async def test_what_is_wrong_is_said_beside_its_field_and_above(clerk: Clerk) -> None:
    draft = await clerk.begin()

    for path, typed, field, said in WRONG:
        status, page, _ = await clerk.fill(f"{draft}/{path}", **typed)

        page = unescape(page)
        assert status == 422, (path, typed)
        assert f'<a href="#{field}">' in page, (path, typed)
        assert said in page.split(f'id="{field}-error"')[1][:400], (path, typed)
    assert NOTHING in await clerk.get(draft)


async def test_the_whole_books_settings_are_changed_and_told_in_words(clerk: Clerk) -> None:
    draft = await clerk.begin()
    assert (await clerk.fill(f"{draft}/strategy", strategy="lowest"))[0] == 303
    assert (await clerk.fill(f"{draft}/rounding", unit_decimals="3", unit_mode="up"))[0] == 303
    page = await clerk.get(f"{draft}/layers")
    lines = len(re.findall(r'name="layer_code-', page))
    spare = str(lines - 1)
    added = {
        f"layer_place__{spare}": "0", f"layer_code__{spare}": "FREIGHT", f"layer_level__{spare}": "unit",
        f"layer_combine__{spare}": "sum", f"layer_groups__{spare}": "tolls\nfuel lowest",
    }  # fmt: skip
    status, page, _ = await clerk.fill(f"{draft}/layers", **added)
    assert status == 303, page

    page = unescape(await clerk.get(draft))
    for said in ("the list of the lowest amount", "to 3 decimals, up", "added up: tolls, fuel (the lowest wins)"):
        assert said in page
    assert 'value="FREIGHT"' in (await clerk.get(f"{draft}/layers")).split("layer_code-1")[0], "it is the first now"
    assert "FREIGHT" in await clerk.get(f"{draft}/rules")


async def test_prices_by_package_and_from_above_a_quantity_have_their_fields(clerk: Clerk) -> None:
    draft = await clerk.begin()
    path = f"{draft}/price{ARMCHAIR}"
    packages = {"model": "package", "from__0": "0", "price__0": "2400", "package_size": "12", "package_free": "2"}

    status, page, _ = await clerk.fill(path, **packages | {"package_size": ""})
    assert (status, '<a href="#package_size">' in page) == (422, True)
    status, page, _ = await clerk.fill(path, **packages, package_way="down", package_whole="yes")
    assert status == 303, page
    said = "of 12 units, counted down to whole ones; 2 units free; the reached price counts for all packages"
    assert said in await clerk.get(draft)
    assert (await clerk.fill(path))[0] == 303, "and the form shows it"
    assert said in await clerk.get(draft)

    status, page, _ = await clerk.fill(path, model="volume", above="yes", from__1="9", price__1="190")
    assert status == 303, page
    assert "Above 9" in await clerk.get(draft)


async def test_a_clash_shows_three_sides_and_keeps_what_each_alone_changed(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    path = f"{draft}/rule?code=WINTER-SAFETY"
    mine = fields_of(await clerk.get(path), path)
    other = shop.client()
    await other.log_in(FINANCE)
    assert (await Clerk(other).fill(path, percent="12", title_en="Winter, warmly", priority="7"))[0] == 303

    answer = await clerk.browser.post(path, data=mine | {"percent": "15", "title_es": "Frío"}, follow_redirects=False)

    page = unescape(answer.text)
    assert answer.status_code == 409
    clashing = page.split("<tbody>")[1].split("</tbody>")[0]
    effect = next(row for row in clashing.split("</tr>") if "Effect" in row)
    assert [side in effect for side in ("10 % off", "12 % off", "15 % off", "both changed it")] == [True] * 4
    assert clashing.count("both changed it") == 1
    both = page.split('class="summary"')[1].split("</form>", 1)[1]
    for value in ('value="15"', 'value="Frío"', 'value="Winter, warmly"', 'value="7"'):
        assert value in both, "the form below holds both"
    merged = fields_of(both, path)
    assert (await clerk.browser.post(path, data=merged, follow_redirects=False)).status_code == 303
    page = unescape(await clerk.get(draft))
    assert "<ins>15 % off</ins>" in page
    assert "<ins>Winter, warmly</ins>" in page
    assert "<ins>Frío</ins>" in page


async def test_one_side_of_a_clash_is_taken_alone(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    path = f"{draft}/price{ARMCHAIR}"
    mine = fields_of(await clerk.get(path), path)
    other = shop.client()
    await other.log_in(FINANCE)
    assert (await Clerk(other).fill(path, price__0="231", ends_at="2027-01-01T00:00"))[0] == 303

    page = (await clerk.browser.post(path, data=mine | {"price-0": "229"}, follow_redirects=False)).text
    assert 'value="2027-01-01T00:00"' in page.split('class="summary"')[1].split("</form>", 1)[1]
    alone = fields_of(page, path) | {"action": "save"}
    assert alone["ends_at"] == ""
    assert (await clerk.browser.post(path, data=alone, follow_redirects=False)).status_code == 303
    page = await clerk.get(draft)
    assert "<ins>229.00</ins>" in page
    assert "2027-01-01" not in page


async def test_an_original_nobody_was_shown_is_not_believed(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    path = f"{draft}/rule?code=WINTER-SAFETY"
    mine = fields_of(await clerk.get(path), path)
    other = shop.client()
    await other.log_in(FINANCE)
    await Clerk(other).fill(path, percent="12")

    for forged in (mine["original"].replace('"10"', '"99"'), "{", "[]", ""):
        answer = await clerk.browser.post(
            path, data=mine | {"percent": "15", "original": forged}, follow_redirects=False
        )
        assert answer.status_code == 409
        assert "As you found it" not in answer.text
        assert "99 %" not in answer.text


async def test_what_another_changed_is_not_removed_unseen(clerk: Clerk, shop: Shop) -> None:
    draft = await clerk.begin()
    path = f"{draft}/list?code=CONTRACT-INITECH"
    mine = fields_of(await clerk.get(path), path)
    other = shop.client()
    await other.log_in(FINANCE)
    await Clerk(other).fill(path, priority="3")

    answer = await clerk.browser.post(path, data=mine | {"action": "remove"}, follow_redirects=False)

    assert answer.status_code == 409
    assert "You wanted it gone" in answer.text
    assert "CONTRACT-INITECH · CRUNCHY-ARMCHAIR" not in await clerk.get(draft)


async def test_an_object_that_is_none_is_a_page_that_says_so(clerk: Clerk) -> None:
    draft = await clerk.begin()

    for path in ("list?code=NONE", "bound?code=NONE", "rule?code=NONE", "formula", "formula?list="):
        answer = await clerk.browser.get(f"{draft}/{path}")
        assert answer.status_code == 404
        assert "There is no such object in this draft" in answer.text


async def test_the_preview_beside_a_form_shows_what_is_typed_and_stores_nothing(clerk: Clerk) -> None:
    draft = await clerk.begin()

    status, page, _ = await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="224.10", action="preview")

    shown = unescape(page.split('id="live"')[1])
    assert status == 200
    assert "-10%" in shown
    assert "List price PUBLIC-EUR" in shown
    assert "<title" in shown.split("<svg")[1]
    assert 'class="line was"' in shown
    assert 'value="224.10"' in page
    assert NOTHING in await clerk.get(draft)

    status, page, _ = await clerk.fill(f"{draft}/price{ARMCHAIR}", price__0="", action="preview")
    assert status == 200, "htmx shows no other"
    assert "Mend what is marked" in page.split('id="live"')[1]
    assert "Fill this in" in page.split('id="price-0-error"')[1]


async def test_every_kind_of_form_is_previewed_on_what_it_is_about(clerk: Clerk) -> None:
    draft = await clerk.begin()
    chairs = {"code": "CHAIRS", "skus": "CRUNCHY-ARMCHAIR", "action": "preview"}
    looked = (
        ("bound?code=", chairs | {"prices": "EUR 300\nUSD 400"}, ("CRUNCHY-ARMCHAIR", "300.00")),
        ("quantity-rule?code=", chairs | {"minimum": "4"}, ("CRUNCHY-ARMCHAIR", "Order at least 4")),
        ("rule?code=", chairs | {"title_en": "X", "title_es": "X", "place": "PROMOTIONS\tpromotion", "percent": "10",
                                 "company": "initech", "starts_at": "2027-03-01T00:00"}, ("Initech", "when it begins")),
        ("list?code=CONTRACT-INITECH", {"priority": "-9", "action": "preview"}, ("Initech", "CONTRACT-INITECH")),
        ("formula?list=PUBLIC-EUR", {"derived_percent": "30", "action": "preview"}, ("EUR",)),
        ("rounding", {"unit_decimals": "0", "round_unit": "yes", "action": "preview"}, ("Everyone",)),
        ("strategy", {"strategy": "lowest", "action": "preview"}, ("Everyone",)),
        ("layers", {"action": "preview"}, ("0 of the prices shown change",)),
    )  # fmt: skip

    for path, typed, said in looked:
        status, page, _ = await clerk.fill(f"{draft}/{path}", **typed)
        shown = unescape(page.split('id="live"')[1])
        assert status == 200, (path, page)
        for text in said:
            assert text in shown, (path, shown)
    assert NOTHING in await clerk.get(draft)
