"""Does every channel say the same price? Sampled questions, asked of all, held to the book; any difference is an alarm.

What differs is named with both answers and their traces; a run without difference is a dated, signed certificate.
Stored documents are asked too: signed quotes and orders are priced again as of their own instant, from their own book.
"""

import random
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import httpx
import msgspec
import sqlalchemy as sa
import structlog
from litestar import Litestar
from sqlalchemy.orm import selectinload

from accounts.model import Company
from accounts.principal import BuyerCompany, buyer_company
from catalog.model import Product, Sku
from checkout.model import Order
from checkout.tax import HOME, TaxDecision
from insights import audits
from insights.audits import Difference, Findings, PriceAudit
from kernel.canonical import canonical_json
from kernel.db import for_accounts, for_staff
from kernel.jws import key_set
from pricing import verify_quote
from pricing.engine import Book, Buyer, LineRequest, QuoteRequest, quote
from pricing.engine.request import PricedLine, RefusedLine, TaxInput, TaxRate, Treatment
from pricing.ladder import ladder_of
from pricing.model import SignedQuote
from pricing.quotes import QuoteDocument
from web.api.context import Context, tax_categories
from web.audit_channels import Asker, ChannelFailed, Feed, Question, Said, asking, each_of, said_by_feed
from web.buyers import CURRENCIES, currency_cookie
from web.services import Services

log = structlog.get_logger(__name__)
COMPANIES_MOST: Final = 6
"""Asked for in one run, with every currency's guest beside them; runs take different ones."""
FEED_READERS: Final = 2
DOCUMENTS_MOST: Final = 50
"""Signed quotes, and orders, looked at in one run: the newest."""
HOURLY_QUESTIONS: Final = 120
TRIES: Final = 2
FEEDS: Final = ("feed CSV", "feed Parquet", "feed JSON")


class _Tally:
    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self.differences: list[Difference] = []
        self.unasked = 0

    def hold(self, channel: str, asked: Any, said: Said, expected: Said) -> None:
        """Count an answer, and note it where it is not what the book says."""
        self.answers[channel] = self.answers.get(channel, 0) + 1
        if not _agrees(said, expected):
            self.note(channel, asked, said, expected)

    def note(self, channel: str, asked: Any, said: Any, expected: Any) -> None:
        self.differences.append(
            Difference(
                channel=channel,
                question=msgspec.to_builtins(asked),
                said=msgspec.to_builtins(said),
                expected=msgspec.to_builtins(expected),
            )
        )


class Auditor:
    """Asks the application over *services* in this process; it is made when first asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._app: Litestar | None = None

    async def run_hourly(self) -> None:
        """A job: other questions every hour."""
        await self.run(questions=HOURLY_QUESTIONS, seed=int(self._services.clock.now().timestamp()) // 3600)

    async def run(self, *, questions: int, seed: int) -> PriceAudit:
        """Audit, keep the certificate, and raise the alarm if anything differs: the log, and a letter to the house."""
        services = self._services
        findings = await audit(services, self._application(), questions=questions, seed=seed)
        for each in findings.differences:
            log.error("prices differ between channels", channel=each.channel, question=each.question)
        return await audits.keep(
            services.db,
            services.keyring,
            findings,
            issuer=services.settings.base_url,
            alarm=services.merchant.email,
        )

    def _application(self) -> Litestar:
        from web.app import create_app  # it makes the services, and they this

        if self._app is None:
            self._app = create_app(self._services, background=False)
        return self._app


async def audit(services: Services, app: Litestar, *, questions: int, seed: int) -> Findings:
    """Ask *questions* sampled by *seed* of every channel. The same seed asks the same of the same shop and book.

    :raises NoBookPublished, BookUnavailable: when there is nothing to hold channels to
    """
    sample = random.Random(seed)
    began_at, tally = services.clock.now(), _Tally()
    publication = services.books.in_force(began_at)
    buyers: list[tuple[BuyerCompany | None, str]] = [(None, currency) for currency in CURRENCIES]
    companies = await _companies(services)
    buyers += [(each, each.currency) for each in sample.sample(companies, min(COMPANIES_MOST, len(companies)))]
    skus = await _skus(services)
    feed_readers = set(sample.sample(range(len(buyers)), min(FEED_READERS, len(buyers))))
    asked = 0
    for number, (company, currency) in enumerate(buyers):
        share = questions // len(buyers) + (number < questions % len(buyers))
        chosen = sample.sample(skus, min(share, len(skus)))
        cookie = currency_cookie(services.settings)
        address = services.settings.base_url
        async with asking(app, services.carts, company, currency, base_url=address, cookie=cookie) as asker:
            book = services.books.at(services.clock.now())
            some = [
                each
                for sku, product in chosen
                for each in _questions(book, company, currency, sku, product, sample, services.clock.now())
            ]
            asked += len(some)
            for each in some:
                await _ask(services, asker, company, each, tally)
            if number in feed_readers:
                await _ask_feeds(services, asker, company, some, tally)
    asked += await _reprice_quotes(services, tally)
    asked += await _reprice_orders(services, tally)
    return Findings(
        began_at=began_at,
        ended_at=services.clock.now(),
        seed=seed,
        root=publication.root,
        publication=publication.number,
        questions=asked,
        unasked=tally.unasked,
        answers=dict(sorted(tally.answers.items())),
        differences=tuple(tally.differences),
    )


# --- Questions ---


async def _companies(services: Services) -> list[BuyerCompany]:
    async with services.db.reading(for_accounts()) as session:
        return [buyer_company(each) for each in await session.scalars(sa.select(Company).order_by(Company.code))]


async def _skus(services: Services) -> list[tuple[str, str]]:
    """Every SKU on sale with its product's code."""
    async with services.db.reading(for_staff()) as session:
        rows = await session.execute(
            sa.select(Sku.code, Product.code)
            .join(Product, Product.id == Sku.product_id)
            .where(Sku.active)
            .order_by(Sku.code)
        )
        return [(sku, product) for sku, product in rows]


def _questions(
    book: Book,
    company: BuyerCompany | None,
    currency: str,
    sku: str,
    product: str,
    sample: random.Random,
    at: datetime,
) -> Iterator[Question]:
    """One quantity of one unit of the SKU: at a rung of its ladder, or one below or above."""
    entry = book.entry(sku)
    if entry is None:
        return
    unit = sample.choice(entry.facts.units).unit
    rungs = ladder_of(book, _buyer(company), currency=currency, sku=sku, unit=unit, at=at).rungs
    quantity = Decimal(sample.choice(rungs).quantity) + sample.choice((-1, 0, 0, 1)) if rungs else Decimal(1)
    text = f"{(quantity if quantity > 0 else Decimal(1)).normalize():f}"
    yield Question(
        company=None if company is None else company.code,
        currency=currency,
        sku=sku,
        product=product,
        unit=unit,
        base_unit=entry.facts.units[0].unit,
        quantity=text,
    )


def _buyer(company: BuyerCompany | None) -> Buyer:
    """The buyer as pages and programs without a country of delivery have it."""
    if company is None:
        return Buyer(country=HOME)
    return Buyer(company=company.code, segments=company.segments, country=company.country)


# --- Answers ---


async def _ask(services: Services, asker: Asker, company: BuyerCompany | None, asked: Question, tally: _Tally) -> None:
    for _ in range(TRIES):
        expected = _expected(services, company, asked, services.clock.now())
        said: dict[str, Said | ChannelFailed | None] = {}
        for channel, ask in (
            ("price page", asker.price_page),
            ("product page", asker.product_page),
            ("cart", asker.cart),
            ("quote API", asker.quote_api),
            ("price API", asker.price_api),
        ):
            try:
                said[channel] = await ask(asked)
            except (ChannelFailed, httpx.HTTPError) as failed:
                said[channel] = ChannelFailed(str(failed))
        if _expected(services, company, asked, services.clock.now()) == expected:
            break
    else:  # the price changed each time while it was asked for
        tally.unasked += 1
        return
    for channel, answer in said.items():
        if isinstance(answer, ChannelFailed):
            tally.note(channel, asked, {"failed": str(answer)}, expected)
        elif answer is not None:
            tally.hold(channel, asked, answer, expected)


async def _ask_feeds(
    services: Services, asker: Asker, company: BuyerCompany | None, some: list[Question], tally: _Tally
) -> None:
    if not some:
        return
    skus = frozenset(each.sku for each in some)
    for channel, read in zip(FEEDS, (asker.csv_feed, asker.parquet_feed, asker.json_feed), strict=True):
        try:
            feed: Feed = await read(some[0].currency, skus)
        except (ChannelFailed, httpx.HTTPError) as failed:
            tally.note(channel, some[0], {"failed": str(failed)}, None)
            continue
        for asked in some:
            expected = _expected(services, company, asked, feed.at)
            said = said_by_feed(feed, asked)
            if said is None or (expected.refused and not said.refused and said.subtotal is None):
                continue  # a row prices what may be ordered of the quantities up to the next; it does not say which may
            tally.hold(channel, asked, said, expected)


def _expected(services: Services, company: BuyerCompany | None, asked: Question, at: datetime) -> Said:
    book, buyer = services.books.at(at), _buyer(company)
    context = Context(
        company=company,
        buyer=buyer,
        currency=asked.currency,
        country=buyer.country or HOME,
        country_assumed=True,
        at=at,
        book=book,
    )
    request = QuoteRequest(
        buyer=buyer,
        currency=asked.currency,
        lines=(LineRequest(sku=asked.sku, unit=asked.unit, quantity=asked.quantity),),
        tax=context.tax(tax_categories(book, [asked.sku])),
    )
    answer = quote(request, book=book, at=at)
    return _said(answer.lines[0], answer.root)


def _said(line: PricedLine | RefusedLine, root: str) -> Said:
    if isinstance(line, RefusedLine):
        return Said(refused=True, root=root)
    return Said(
        subtotal=line.subtotal,
        unit_price=line.unit_price,
        each=each_of(line.subtotal, line.quantity),
        net=line.net,
        root=root,
        trace=msgspec.to_builtins(line.trace),
    )


def _agrees(said: Said, expected: Said) -> bool:
    """Whether everything the channel says is what the book says; numbers, however many zeros they are written with."""
    if said.refused != expected.refused:
        return False
    if said.root is not None and said.root != expected.root:
        return False
    pairs = (
        (said.subtotal, expected.subtotal),
        (said.unit_price, expected.unit_price),
        (said.each, expected.each),
        (said.net, expected.net),
    )
    return all(one is None or (other is not None and Decimal(one) == Decimal(other)) for one, other in pairs)


# --- Stored documents ---


async def _reprice_quotes(services: Services, tally: _Tally) -> int:
    async with services.db.reading(for_staff()) as session:
        newest = sa.select(SignedQuote).order_by(SignedQuote.issued_at.desc(), SignedQuote.id).limit(DOCUMENTS_MOST)
        found = list(await session.scalars(newest))
    keys = canonical_json(key_set(services.keyring))
    for signed in found:
        about = {"signed_quote": str(signed.id)}
        checks = verify_quote.verify_quote(bytes(signed.document), keys, at=signed.issued_at)
        failed = [msgspec.to_builtins(check) for check in checks if check.outcome != "passed"]
        if failed:
            tally.note("signed quote", about, {"failed": failed}, None)
        document = msgspec.json.decode(signed.document, type=QuoteDocument)
        buyer = Buyer(company=document.buyer.company, segments=document.buyer.segments, country=document.buyer.country)
        answer = quote(
            QuoteRequest(
                buyer=buyer,
                currency=document.currency,
                lines=tuple(
                    LineRequest(sku=line.sku, unit=line.unit, quantity=line.quantity) for line in document.lines
                ),
                tax=_tax_of(document),
            ),
            book=await services.books.load(document.root),
            at=document.issued_at,
        )
        for line, priced in zip(document.lines, answer.lines, strict=True):
            said = Said(subtotal=line.subtotal, unit_price=line.unit_price, net=line.net, root=document.root)
            asked = {**about, "sku": line.sku, "unit": line.unit, "quantity": line.quantity}
            tally.hold("signed quote", asked, said, _said(priced, answer.root))
    return len(found)


def _tax_of(document: QuoteDocument) -> TaxInput:
    rates = {line.tax_category: line.tax_percent for line in document.lines if line.tax_percent is not None}
    return TaxInput(
        rates=tuple(TaxRate(category=category, percent=percent) for category, percent in rates.items()),
        treatment=Treatment(document.tax_treatment),
    )


async def _reprice_orders(services: Services, tally: _Tally) -> int:
    async with services.db.reading(for_staff()) as session:
        newest = sa.select(Order).order_by(Order.placed_at.desc(), Order.id).limit(DOCUMENTS_MOST)
        newest = newest.options(selectinload(Order.lines))
        found = list(await session.scalars(newest))
    for order in found:
        buyer = order.canonical["buyer"]
        lines = sorted(order.lines, key=lambda line: line.position)
        answer = quote(
            QuoteRequest(
                buyer=Buyer(company=buyer["company"], segments=tuple(buyer["segments"]), country=buyer["country"]),
                currency=order.currency,
                lines=tuple(
                    LineRequest(sku=line.sku, unit=line.unit, quantity=f"{line.quantity.normalize():f}")
                    for line in lines
                ),
                tax=msgspec.convert(order.tax_inputs, TaxDecision).input(),
            ),
            book=await services.books.load(order.price_root),
            at=order.priced_at,
        )
        for line, priced in zip(lines, answer.lines, strict=True):
            said = Said(unit_price=line.unit_price, net=line.net, root=order.price_root, trace=line.trace)
            asked = {"order": order.number, "position": line.position, "sku": line.sku}
            tally.hold("order", asked, said, _said(priced, answer.root))
    return len(found)
