"""Every channel that says a price, asked as its readers ask it: through the whole application, in this process.

Who asks is put into the request's scope, where no client can put anything: that lets the audit ask for any company
without a log-in of its people or a key of theirs.
"""

import csv
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from html import unescape
from io import BytesIO, StringIO
from typing import Any, Final

import httpx
import msgspec
from litestar import Litestar
from litestar.types import Receive, Scope, Send

from accounts.model import KeyScope
from accounts.principal import BuyerCompany, Principal, PrincipalKind
from checkout.carts import Carts
from kernel.errors import DomainError
from web.auth import TRUSTED_PRINCIPAL
from web.journey import AUDITOR

FEED_PAGES_MOST: Final = 40
"""Of the JSON feed, 500 rows each: SKUs further behind are asked in the files only."""
_TWELVE: Final = Decimal(10) ** -12
_LINE_TOTAL: Final = re.compile(r"Line total, (?:without tax|tax included)</th>\s*<td[^>]*>(.*?)</td>", re.DOTALL)
_ROOT: Final = re.compile(r"sha256:[0-9a-f]{64}")
_RUNG: Final = re.compile(r'<td class="figure">([^<]*)</td>\s*<td class="figure">(.*?)</td>', re.DOTALL)
_VARIANT_RUNG: Final = re.compile(r'data-label="Price from ([^"]+)">(.*?)</td>', re.DOTALL)
_FIGURE: Final = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What one buyer asks; *company* None is a guest."""

    company: str | None
    currency: str
    sku: str
    product: str
    unit: str
    base_unit: str
    quantity: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's answer. What a channel does not say is None; *refused* where it sells nothing of the kind.

    *each*: subtotal by quantity, half up to 12 decimals, where that is what the channel shows.
    """

    refused: bool = False
    subtotal: str | None = None
    unit_price: str | None = None
    each: str | None = None
    net: str | None = None
    """After rules of the whole order, without tax."""
    root: str | None = None
    trace: Any = None


class FeedRow(msgspec.Struct, frozen=True):
    """One row of a feed, as numbers."""

    from_quantity: Decimal
    unit_price: Decimal | None
    line_total: Decimal


class Feed(msgspec.Struct, frozen=True):
    """A feed's rows of the SKUs asked for. *whole*: every SKU was looked for to the feed's end."""

    root: str
    at: datetime
    rows: dict[tuple[str, str], tuple[FeedRow, ...]]
    whole: bool


class ChannelFailed(Exception):
    """A channel answered neither a price nor a refusal; the message says what."""


class Asker:
    """One buyer, in every channel."""

    def __init__(self, pages: httpx.AsyncClient, programs: httpx.AsyncClient, carts: Carts, member: Principal) -> None:
        self._pages = pages
        self._programs = programs
        self._carts = carts
        self._member = member
        self._products: dict[str, str] = {}

    async def price_page(self, asked: Question) -> Said:
        address = f"/skus/{asked.sku}/price"
        html = await self._page(address, {"quantity": asked.quantity, "unit": asked.unit})
        total = _LINE_TOTAL.search(html)
        if total is None:
            if 'class="note warn"' not in html:
                raise ChannelFailed("the price page shows neither a total nor a refusal")
            return Said(refused=True)
        root = _ROOT.search(html)
        return Said(
            subtotal=_figure(total[1]), each=_ladder(html).get(asked.quantity), root=None if root is None else root[0]
        )

    async def product_page(self, asked: Question) -> Said | None:
        """None where the quantity does not stand on the page, which shows base units."""
        if asked.unit != asked.base_unit:
            return None
        if asked.product not in self._products:
            self._products[asked.product] = await self._page(f"/products/{asked.product}", {})
        slug = re.sub(r"[^a-z0-9]+", "-", asked.sku.lower()).strip("-")
        parts = self._products[asked.product].split(f'id="{slug}"', 1)
        if len(parts) == 1:
            return None
        own = re.split(r"</section>|</tr>\s*(?:<tr id=|</tbody>)", parts[1], maxsplit=1)[0]
        each = _ladder(own).get(asked.quantity)
        return None if each is None else Said(each=each)

    async def cart(self, asked: Question) -> Said:
        """A cart of this line alone, priced as every cart is, and not kept."""
        try:
            priced = await self._carts.price_unkept(
                self._member, sku=asked.sku, unit=asked.unit, quantity=asked.quantity, currency=asked.currency
            )
        except DomainError:
            return Said(refused=True)
        [line] = priced.lines
        if line.priced is None:
            return Said(refused=True)
        return Said(
            subtotal=line.priced.subtotal,
            unit_price=line.priced.unit_price,
            root=priced.quote.root,
            trace=msgspec.to_builtins(line.priced.trace),
        )

    async def quote_api(self, asked: Question) -> Said:
        line = {"sku": asked.sku, "unit": asked.unit, "quantity": asked.quantity}
        answer = await self._programs.post("/api/v1/quotes", json={"lines": [line], "currency": asked.currency})
        body = _read(answer)
        return _of_line(body["lines"][0], body["root"])

    async def price_api(self, asked: Question) -> Said:
        answer = await self._programs.get(
            f"/api/v1/prices/{asked.sku}",
            params={"unit": asked.unit, "quantity": asked.quantity, "currency": asked.currency},
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return Said(refused=True)
        body = _read(answer)
        return _of_line(body["price"], body["root"])

    async def csv_feed(self, currency: str, skus: frozenset[str]) -> Feed:
        answer = await self._programs.get("/api/v1/feed.csv", params={"currency": currency})
        answer.raise_for_status()
        rows = (row for row in csv.DictReader(StringIO(answer.text)) if row["sku"] in skus)
        return Feed(
            answer.headers["tarifa-price-root"], _instant(answer.headers["tarifa-feed-at"]), _rows(rows), whole=True
        )

    async def parquet_feed(self, currency: str, skus: frozenset[str]) -> Feed:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it ships no types

        answer = await self._programs.get("/api/v1/feed.parquet", params={"currency": currency})
        answer.raise_for_status()
        table = pq.read_table(BytesIO(answer.content), filters=[("sku", "in", sorted(skus))])
        said = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        return Feed(said["tarifa.root"], _instant(said["tarifa.at"]), _rows(table.to_pylist()), whole=True)

    async def json_feed(self, currency: str, skus: frozenset[str]) -> Feed:
        """Its first pages: see FEED_PAGES_MOST."""
        rows: list[dict[str, Any]] = []
        query: dict[str, str] = {"currency": currency, "limit": "500"}
        page: dict[str, Any] = {}
        for _ in range(FEED_PAGES_MOST):
            answer = await self._programs.get("/api/v1/price-feed", params=query)
            page = _read(answer)
            rows += [row for row in page["rows"] if row["sku"] in skus]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        return Feed(page["root"], _instant(page["at"]), _rows(rows), whole=page["next"] is None)

    async def _page(self, address: str, query: dict[str, str]) -> str:
        answer = await self._pages.get(address, params=query)
        if answer.status_code not in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
            raise ChannelFailed(f"{address} answered {answer.status_code}")
        return answer.text


@asynccontextmanager
async def asking(
    app: Litestar, carts: Carts, company: BuyerCompany | None, currency: str, *, base_url: str, cookie: str
) -> AsyncIterator[Asker]:
    """One buyer's way into every channel. *cookie*: name of the one that holds a guest's currency."""
    member = Principal.visitor(AUDITOR) if company is None else _principal(PrincipalKind.MEMBER, company)
    partner = Principal.visitor(AUDITOR) if company is None else _principal(PrincipalKind.PARTNER, company)
    pages = _client(app, member, base_url, {"accept": "text/html", "accept-language": "en"}, {cookie: currency})
    programs = _client(app, partner, base_url, {"accept": "application/json"}, {})
    async with pages, programs:
        yield Asker(pages, programs, carts, member)


def said_by_feed(feed: Feed, asked: Question) -> Said | None:
    """What the row says that holds the quantity: its total counts at its own quantity alone, its unit price up to the
    next row. None where the feed was not read to its end.
    """
    rows = feed.rows.get((asked.sku, asked.unit), ())
    below = [row for row in rows if row.from_quantity <= Decimal(asked.quantity)]
    if not below:
        return Said(refused=True, root=feed.root) if feed.whole or rows else None
    row = max(below, key=lambda each: each.from_quantity)
    exact = row.from_quantity == Decimal(asked.quantity)
    return Said(
        subtotal=str(row.line_total) if exact else None,
        unit_price=None if row.unit_price is None else str(row.unit_price),
        root=feed.root,
    )


def each_of(subtotal: str, quantity: str) -> str:
    """What pages show for one unit of a line."""
    return str((Decimal(subtotal) / Decimal(quantity)).quantize(_TWELVE, ROUND_HALF_UP))


def _principal(kind: PrincipalKind, company: BuyerCompany) -> Principal:
    scopes = frozenset({KeyScope.PRICES_READ, KeyScope.QUOTES_CREATE})
    return Principal(kind=kind, visitor_id=AUDITOR, company=company, locale="en", scopes=scopes)


def _client(
    app: Litestar, principal: Principal, base_url: str, headers: dict[str, str], cookies: dict[str, str]
) -> httpx.AsyncClient:
    async def trusted(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, TRUSTED_PRINCIPAL: principal}, receive, send)  # type: ignore[arg-type] # a key of ours

    transport = httpx.ASGITransport(app=trusted, raise_app_exceptions=False)  # type: ignore[arg-type] # its own types of ASGI
    return httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers, cookies=cookies)


def _read(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise ChannelFailed(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body


def _of_line(line: dict[str, Any], root: str) -> Said:
    if line["outcome"] == "refused":
        return Said(refused=True)
    price = line["unit_price"]
    return Said(
        subtotal=line["subtotal"]["amount"],
        unit_price=None if price is None else price["amount"],
        root=root,
        trace=line["trace"],
    )


def _rows(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], tuple[FeedRow, ...]]:
    found: dict[tuple[str, str], list[FeedRow]] = {}
    for row in rows:
        price = row["unit_price"]
        found.setdefault((row["sku"], row["unit"]), []).append(
            FeedRow(
                Decimal(row["from_quantity"]),
                None if price in {None, ""} else Decimal(price),
                Decimal(row["line_total"]),
            )
        )
    return {key: tuple(some) for key, some in found.items()}


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _ladder(html: str) -> dict[str, str]:
    rungs = [*_RUNG.findall(html), *_VARIANT_RUNG.findall(html)]
    found: dict[str, str] = {}
    for quantity, each in rungs:
        figure, number = _figure(each), _figure(quantity)
        if figure is not None and number is not None:
            found.setdefault(number, figure)
    return found


def _figure(html: str) -> str | None:
    """The number in a figure of an English page, None where there is none."""
    found = _FIGURE.search(unescape(re.sub(r"<[^>]+>", "", html)))
    return None if found is None else found[0].replace(",", "")
