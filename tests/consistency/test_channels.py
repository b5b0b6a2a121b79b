"""Whoever asks, wherever they ask: page, cart, quote API, price API and feed give the same price to the byte."""

import csv
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest

from accounts.model import KeyScope
from sandbox.demo.files import write_demo
from tests.conftest import NOW
from tests.consistency.questions import BUYERS, CURRENCIES, GUESTS, Question, questions
from tests.web.conftest import DEMO_SKUS, PASSWORD, Browser, Shop
from tests.web.conftest import demo_database_url as demo_database_url  # noqa: PLC0414 - pytest finds it here by its name
from tests.web.conftest import demo_template as demo_template  # noqa: PLC0414 - likewise
from tests.web.conftest import shop as shop  # noqa: PLC0414 - likewise

TWELVE_DECIMALS: Final = Decimal(10) ** -12
DASH: Final = "\N{EN DASH}"
"""What pages show where there is no price."""
SYMBOLS: Final = "€$,\N{NO-BREAK SPACE} "


class Price(msgspec.Struct, frozen=True):
    """What a channel says of a line: its subtotal, one unit's price and the book; all None where it refuses."""

    subtotal: str | None
    unit_price: str | None
    root: str | None


REFUSED: Final = Price(None, None, None)


class Asker:
    """One buyer with a browser and an API key, or a guest without."""

    def __init__(self, browser: Browser, currency: str, key: str | None) -> None:
        self._browser = browser
        self._currency = currency
        self._api_headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._token = ""
        self._feed: dict[tuple[str, str], list[dict[str, str]]] = {}
        self._products: dict[str, str] = {}

    async def page(self, asked: Question) -> tuple[Price, str | None]:
        """The page that says why a price is what it is, and what one unit costs on its ladder."""
        address = f"/skus/{asked.sku}/price?quantity={asked.quantity}&unit={asked.unit}"
        html = (await self._browser.get(address)).text
        total = re.search(r"Line total, without tax</th>.*?<td[^>]*>(.*?)</td></tr>", html, re.DOTALL)
        if total is None:
            assert 'class="note warn"' in html, html
            return REFUSED, None
        root = re.search(r"sha256:[0-9a-f]{64}", html)
        assert root, html
        return Price(shown(total[1]), None, root[0]), ladder(html).get(asked.quantity)

    async def product_page(self, product: str, asked: Question) -> str | None:
        """What one unit costs where the quantity stands on the product's page, else None."""
        if product not in self._products:
            self._products[product] = (await self._browser.get(f"/products/{product}")).text
        slug = re.sub(r"[^a-z0-9]+", "-", asked.sku.lower()).strip("-")
        own = self._products[product].split(f'id="{slug}"', 1)[1]
        return ladder(re.split(r"</section>|</tr>\s*(?:<tr id=|</tbody>)", own, maxsplit=1)[0]).get(asked.quantity)

    async def cart(self, asked: Question) -> Price:
        """A cart of this line alone, emptied again."""
        added = await self._submit(
            "/cart/lines", {"sku": asked.sku, "quantity": asked.quantity, "unit": asked.unit}, again=True
        )
        if added.status_code == 422:
            return REFUSED
        assert added.status_code == 303, added.text
        html = (await self._browser.get("/cart")).text
        [position] = re.findall(r'<tr id="line-(\d+)"', html)
        [amount] = re.findall(r'<td data-label="Amount" class="figure">(.*?)</td>', html)
        [unit_price] = re.findall(r'<td data-label="Unit price" class="figure">(.*?)</td>', html)
        goods = re.findall(r'<th scope="row">Goods</th><td class="figure">(.*?)</td>', html)
        assert (await self._submit(f"/cart/lines/{position}/removal", {})).status_code == 303
        if shown(amount) == DASH:
            assert goods == []
            return REFUSED
        assert [shown(total) for total in goods] == [shown(amount)], "a cart's goods are its line"
        return Price(shown(amount), shown(unit_price.partition(' <span class="soft">')[0]), None)

    async def quote_api(self, asked: Question) -> Price:
        line = {"sku": asked.sku, "unit": asked.unit, "quantity": asked.quantity}
        answer = await self._browser.post(
            "/api/v1/quotes", json={"lines": [line], "currency": self._currency}, headers=self._api_headers
        )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return self._line(body["lines"][0], body["root"])

    async def price_api(self, asked: Question) -> Price:
        answer = await self._browser.get(
            f"/api/v1/prices/{asked.sku}",
            params={"unit": asked.unit, "quantity": asked.quantity, "currency": self._currency},
            headers=self._api_headers,
        )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return self._line(body["price"], body["root"])

    async def feed(self, asked: Question) -> Price | None:
        """The row whose quantities hold the one asked for: its total counts at its own quantity alone, its unit price
        up to the next row. None where the SKU is not sold from so few.
        """
        if not self._feed:
            answer = await self._browser.get(
                "/api/v1/feed.csv", params={"currency": self._currency}, headers=self._api_headers
            )
            for row in csv.DictReader(answer.text.splitlines()):
                self._feed.setdefault((row["sku"], row["unit"]), []).append(row)
        below = [
            row
            for row in self._feed.get((asked.sku, asked.unit), [])
            if Decimal(row["from_quantity"]) <= Decimal(asked.quantity)
        ]
        if not below:
            return None
        row = max(below, key=lambda each: Decimal(each["from_quantity"]))
        total = row["line_total"] if row["from_quantity"] == asked.quantity else None
        return Price(total, row["unit_price"], row["root"])

    def _line(self, line: Mapping[str, Any], root: str) -> Price:
        if line["outcome"] == "refused":
            return REFUSED
        assert {line["subtotal"]["currency"], line["unit_price"]["currency"]} == {self._currency}
        return Price(line["subtotal"]["amount"], line["unit_price"]["amount"], root)

    async def _submit(self, path: str, form: dict[str, str], *, again: bool = False) -> httpx.Response:
        answer = await self._browser.post(path, data={"form_token": self._token, **form}, follow_redirects=False)
        if answer.status_code == 403 and again:  # a guest's first act opens the session that the token is for
            self._token = await self._browser.token("/products/CRUNCHY-ARMCHAIR")
            return await self._submit(path, form)
        return answer


def ladder(html: str) -> dict[str, str]:
    """Price of one unit by quantity, from a SKU's own table or its row among variants."""
    rungs = re.findall(r'<td class="figure">([^<]*)</td><td class="figure">(.*?)</td>', html)
    rungs += re.findall(r'data-label="Price from ([^"]+)">(.*?)</td>', html)
    return {shown(quantity): shown(each) for quantity, each in rungs if shown(each) != DASH}


def shown(html: str) -> str:
    """A figure of a page without what is for the eye alone."""
    text = unescape(re.sub(r"<[^>]+>", "", html)).strip()
    return "".join(sign for sign in text.replace("US$", "$") if sign not in SYMBOLS)


def written(amount: str | Decimal) -> str:
    """An amount as pages write it: with two decimals at least."""
    number = Decimal(amount)
    decimals = max(2, -int(number.normalize().as_tuple().exponent))
    return f"{number:.{decimals}f}"


async def open_asker(shop: Shop, who: str) -> Asker:
    browser = shop.client()
    await browser.get("/?lang=en")
    if who in GUESTS:
        await browser.submit("/cart/currency", {"currency": GUESTS[who]})
        return Asker(browser, GUESTS[who], None)
    await browser.log_in(BUYERS[who])
    opened = await shop.services.accounts.log_in(email=BUYERS[who], password=PASSWORD, token=None, address="192.0.2.1")
    principal = await shop.services.accounts.authenticate(opened.token)
    _, key = await shop.services.api_keys.create_api_key(
        principal, name="consistency", scopes=[KeyScope.PRICES_READ, KeyScope.QUOTES_CREATE]
    )
    return Asker(browser, CURRENCIES[who], key)


@pytest.mark.slow
async def test_two_hundred_questions_have_one_answer_in_every_channel(shop: Shop, tmp_path: Path) -> None:
    write_demo(tmp_path, skus=DEMO_SKUS, on=NOW.date())
    with (tmp_path / "skus.csv").open(encoding="utf-8", newline="") as file:
        product_of = {row["sku"]: row["product"] for row in csv.DictReader(file)}
        file.seek(0)
        base_of = {row["sku"]: row["base_unit"] for row in csv.DictReader(file)}
    askers = {who: await open_asker(shop, who) for who in CURRENCIES}
    root = shop.services.books.at(shop.clock.now()).root
    asked = questions(tmp_path)
    differences: list[str] = []
    priced, by_pencil, on_ladder, on_product_page, in_feed = 0, 0, 0, 0, 0

    for question in asked:
        asker = askers[question.who]
        quote = await asker.quote_api(question)
        (page, rung), cart = await asker.page(question), await asker.cart(question)
        price, row = await asker.price_api(question), await asker.feed(question)
        if quote.subtotal is None or quote.unit_price is None:
            answers = {"page": page, "cart": cart, "price API": price}
            differences += [f"{question}: {name} sells it" for name, said in answers.items() if said != REFUSED]
            continue
        priced += 1
        total, unit = written(quote.subtotal), written(quote.unit_price)
        expected: dict[str, tuple[object, object]] = {
            "page": (page, Price(total, None, root)),
            "cart": (cart, Price(total, unit, None)),
            "quote API's book": (quote.root, root),
            "price API": (price, quote),
        }
        if row is None:
            differences.append(f"{question}: not in the feed")
        else:
            in_feed += row.subtotal is not None
            expected["feed"] = (row, Price(row.subtotal and quote.subtotal, quote.unit_price, root))
        share = Decimal(quote.subtotal) / Decimal(question.quantity)
        each = written(share.quantize(TWELVE_DECIMALS, ROUND_HALF_UP))
        if rung is not None:
            on_ladder += 1
            expected["ladder"] = (rung, each)
        if question.unit == base_of[question.sku]:
            listed = await asker.product_page(product_of[question.sku], question)
            if listed is not None:
                on_product_page += 1
                expected["product page"] = (listed, each)
        if question.net is not None:
            by_pencil += 1
            expected["pencil"] = (question.net, quote.subtotal)
        differences += [
            f"{question}: {name} says {said}, not {want}" for name, (said, want) in expected.items() if said != want
        ]

    assert differences == []
    assert len(asked) >= 200
    assert priced >= 150
    assert by_pencil >= 20
    assert min(on_ladder, on_product_page, in_feed) >= 40, (on_ladder, on_product_page, in_feed)
    assert {question.who for question in asked} == {*BUYERS, *GUESTS}
