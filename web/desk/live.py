"""The preview beside a form: what the object, as typed, does to a few SKUs and buyers it is about."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

import msgspec

from accounts import store as accounts_store
from checkout.tax import HOME
from kernel.db import for_accounts
from pricing.compiled import CompiledBook
from pricing.content import Key, LeafMalformed
from pricing.engine import Book, Buyer
from pricing.engine.book import Audience, Scope
from pricing.engine.rules import BookError
from pricing.model import PriceDraft
from web.desk.preview import SCANNED_MOST, SampleBuyer, SkuSample, buyers_of, of_company, sampled, skus_in_scopes
from web.http import AnyRequest, locale_of, services_of
from web.sentences import sentence

SKUS: Final = 3
BUYERS: Final = 3
SCOPED: Final = frozenset({"adjustment", "bound", "quantity_rule"})


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """*refusal*: why there is nothing to show. *at*: the instant shown; *coming*: it lies ahead, where the object
    begins to hold.
    """

    groups: Sequence[SkuSample]
    refusal: str
    at: datetime
    coming: bool

    @property
    def changed(self) -> int:
        return sum(
            price.changed * len(sample.buyers)
            for group in self.groups
            for sample in group.samples
            for price in sample.prices
        )


async def live(request: AnyRequest, draft: PriceDraft, kind: str, key: Key, content: Any) -> Live:
    """*content*: as typed, not stored yet."""
    services, locale = services_of(request), locale_of(request)
    now = services.clock.now()
    starts = content.get("starts_at") if isinstance(content, Mapping) else None
    at = max(now, msgspec.convert(starts, datetime)) if starts else now
    groups: list[SkuSample] = []
    refusal = ""
    try:
        pricing = services.pricing
        current, _ = await pricing.books_of_draft(draft.id, skus=(), at=at)
        skus = await asyncio.to_thread(lambda: tuple(islice(_skus(current, kind, key, content), SKUS)))
        change = (kind, key, content)
        before, after = await pricing.books_of_draft(draft.id, skus=skus, at=at, change=change)
        buyers = await _buyers(request, after, kind, content)
        known = await services.catalog.find_skus(skus)
        groups = [
            SkuSample(
                sku=sku,
                name=known[sku].names.in_(locale) if sku in known else "",
                samples=sampled(before, after, buyers, (sku, _unit(kind, content)), (), at, locale),
            )
            for sku in skus
        ]
    except (BookError, LeafMalformed) as error:
        refusal = sentence(error, locale)
    return Live(groups=groups, refusal=refusal, at=at, coming=at > now)


def _unit(kind: str, content: Any) -> str | None:
    return content["unit"] if kind == "row" else None


def _skus(book: Book | None, kind: str, key: Key, content: Any) -> Iterator[str]:
    """SKUs that the object is about, as many as anybody wants; of an object about all, the book's first."""
    if kind == "row":
        yield key[1]
    elif isinstance(book, CompiledBook):
        if kind in SCOPED:
            yield from skus_in_scopes(book, [msgspec.convert(content["scope"], Scope)])
        elif kind in {"list", "derivation"}:
            named = {key[0], content.get("base")}
            found = False
            for entry in islice(book.entries(), SCANNED_MOST):
                if any(row.list in named for row in entry.rows) or (kind == "derivation" and not content["base"]):
                    found = True
                    yield entry.facts.sku
            if not found:
                yield from book.skus()
        else:
            yield from book.skus()


async def _buyers(request: AnyRequest, book: Book, kind: str, content: Any) -> list[SampleBuyer]:
    """Whom the object is for, then everyone."""
    audience, currencies = _audience(book, kind, content)
    options = await buyers_of(request, book)
    everyone = [option for option in options if not option.name]
    if currencies:
        everyone = [option for option in everyone if option.currency in currencies] or everyone
    chosen = everyone[:1]
    if audience.company is not None or audience.segments or audience.countries:
        async with services_of(request).db.reading(for_accounts()) as session:
            companies = await accounts_store.list_companies(session)
        meant = [
            of_company(company)
            for company in companies
            if (audience.company in {None, company.code})
            and (not audience.segments or set(audience.segments) & set(company.segments))
            and (not audience.countries or company.country in audience.countries)
        ]
        chosen = (meant or [_made_up(audience, currencies, everyone)])[: BUYERS - 1] + chosen
    else:
        chosen += [option for option in options if option.name][: BUYERS - 1]
    return chosen


def _audience(book: Book, kind: str, content: Any) -> tuple[Audience, tuple[str, ...]]:
    """Whom the object is for, and in which currencies; none: in any."""
    if kind in {"list", "adjustment"}:
        currencies = content["conditions"]["currencies"] if kind == "adjustment" else [content["currency"]]
        return msgspec.convert(content["audience"], Audience), tuple(currencies)
    if kind in {"row", "derivation"}:
        own = next((each for each in book.rules.frame.lists if each.code == content["list"]), None)
        if own is not None:
            return own.audience, (own.currency,)
    return Audience(), ()


def _made_up(audience: Audience, currencies: Sequence[str], everyone: Sequence[SampleBuyer]) -> SampleBuyer:
    """Somebody the audience admits, where no company is so yet."""
    country = audience.countries[0] if audience.countries else HOME
    buyer = Buyer(company=audience.company, segments=audience.segments[:1], country=country)
    currency = currencies[0] if currencies else everyone[0].currency if everyone else "EUR"
    return SampleBuyer("made-up", ", ".join(filter(None, [buyer.company, *buyer.segments, country])), buyer, currency)
