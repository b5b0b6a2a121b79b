"""What a draft does to prices: a sample of buyers, SKUs and quantities, before and after, with both ladders drawn."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice, zip_longest
from typing import Any, Final

import msgspec
from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts import store as accounts_store
from accounts.model import Company
from checkout.tax import HOME
from kernel.db import for_accounts
from kernel.money import UnknownCurrency, exponent
from pricing.compiled import CompiledBook
from pricing.engine import Book, Buyer
from pricing.engine.book import EVERYONE, Scope
from pricing.engine.explain import refusal_text, step_text
from pricing.engine.request import PricedLine, RefusedLine
from pricing.engine.rules import BookError, in_scope
from pricing.ladder import Ladder, each, ladder_of, price_of
from pricing.service import Change
from web.desk.drafts import find_draft, frame
from web.desk.fields import Typed, instant_field, summary_of
from web.desk.ladder_plot import Curves, Point, curves
from web.http import AnyRequest, Form, Html, locale_of, services_of
from web.pages import page
from web.sentences import sentence
from web.shop.plot import Plot, plots

SKUS_MOST: Final = 12
SKUS_OF_A_RULE: Final = 3
BUYERS_MOST: Final = 8
COMPANIES_SAMPLED: Final = 3
QUANTITIES_MOST: Final = 10
SCANNED_MOST: Final = 20_000
RULED: Final = frozenset({"price", "unit", "bound", "line", "line_bound"})
SCOPED_KINDS: Final = frozenset({"adjustment", "bound", "quantity_rule"})


class SampleBuyer(msgspec.Struct, frozen=True):
    """*name* is empty for everyone."""

    key: str
    name: str
    buyer: Buyer
    currency: str


class Side(msgspec.Struct, frozen=True):
    """Before or after: a book (None: nothing is published yet) and whom it asks."""

    book: Book | None
    buyer: Buyer


class SamplePrice(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity's price before and after: *each* by the unit, *subtotal* of the line, or why there is none.
    *percent*: how much more after, signed; None where there is no such number. *why*: the list and rules that made the
    price, before and after.
    """

    quantity: str
    each_before: str | None
    each_after: str | None
    subtotal_before: str | None
    subtotal_after: str | None
    refused_before: str
    refused_after: str
    percent: str | None
    why: tuple[str, str]

    @property
    def changed(self) -> bool:
        return (self.each_before, self.subtotal_before, self.refused_before) != (
            self.each_after,
            self.subtotal_after,
            self.refused_after,
        )

    @property
    def dearer(self) -> bool:
        return self.percent is not None and self.percent.startswith("+")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of one SKU that these buyers share."""

    buyers: tuple[SampleBuyer, ...]
    unit: str
    prices: tuple[SamplePrice, ...]
    before: Plot | None
    after: Plot | None
    totals: Curves | None

    @property
    def currency(self) -> str:
        return self.buyers[0].currency

    @property
    def changed(self) -> bool:
        return any(price.changed for price in self.prices)


class SkuSample(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    name: str
    samples: tuple[Sample, ...]

    @property
    def changed(self) -> bool:
        return any(sample.changed for sample in self.samples)


@get("/desk/prices/drafts/{draft:str}/preview", include_in_schema=False, summary="A draft's prices before and after")
async def preview(request: AnyRequest, draft: FromPath[str]) -> Html:
    """The sample is what the address says; without SKUs, some that the draft's changes are about."""
    services, locale = services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    typed = Typed(Form([(name, str(value)) for name, value in request.query_params.multi_items()]), locale)
    skus, quantities = typed.codes("sku")[:SKUS_MOST], _quantities(typed)
    at = typed.instant("at") or services.clock.now()
    context: dict[str, Any] = {"groups": [], "refusal": "", "automatic": not skus, "changed": 0}
    options: list[SampleBuyer] = []
    chosen: list[SampleBuyer] = []
    try:
        before, after = await services.pricing.books_of_draft(found.id, skus=skus, at=at)
        if not skus:
            skus = await _automatic(await services.pricing.list_changes(found.id), before)
            before, after = await services.pricing.books_of_draft(found.id, skus=skus, at=at)
        options = await buyers_of(request, after)
        chosen = _chosen(options, request.query_params.getall("buyer", []))
        asked_by = _as_asked(request)
        if asked_by is not None:
            options, chosen = [asked_by, *options], [asked_by]
        unit = request.query_params.get("unit") or None
        known = await services.catalog.find_skus(skus)
        names = {code: view.names.in_(locale) for code, view in known.items()}
        groups = [
            SkuSample(
                sku=sku,
                name=names.get(sku, ""),
                samples=sampled(before, after, chosen, (sku, unit), quantities, at, locale),
            )
            for sku in skus
        ]
    except BookError as error:
        context["refusal"] = sentence(error, locale)
    else:
        groups.sort(key=lambda group: not group.changed)
        context["groups"] = groups
        context["changed"] = sum(
            price.changed * len(sample.buyers)
            for group in groups
            for sample in group.samples
            for price in sample.prices
        )
    return page(
        request,
        "desk/preview.html",
        status=422 if typed.errors else 200,
        **await frame(request, found, "preview"),
        **context,
        options=options,
        chosen=[asked.key for asked in chosen],
        carried=[(name, text) for name, text in request.query_params.multi_items() if name == "unit" and text],
        values={
            "sku": typed.form.get("sku") or "\n".join(skus),
            "quantity": typed.form.get("quantity"),
            "at": typed.form.get("at") or instant_field(at.replace(microsecond=0)),
        },
        errors=typed.errors,
        summary=summary_of(typed.errors, locale),
        at=at,
    )


HANDLERS: list[ControllerRouterHandler] = [preview]


def _quantities(typed: Typed) -> tuple[str, ...]:
    """Quantities separated by blanks or line breaks; none: every one at which a price changes."""
    found = []
    for text in typed.form.get("quantity").replace(";", " ").split()[:QUANTITIES_MOST]:
        single = Typed(Form([("quantity", text.removesuffix(","))]), typed.locale)
        number = single.decimal("quantity", positive=True)
        typed.errors |= single.errors
        found += [number] if number is not None else []
    return tuple(dict.fromkeys(found))


async def buyers_of(request: AnyRequest, book: Book) -> list[SampleBuyer]:
    """Everyone, in each currency there is a list for everyone in, then the companies."""
    services = services_of(request)
    async with services.db.reading(for_accounts()) as session:
        companies = await accounts_store.list_companies(session)
    currencies = sorted({found.currency for found in book.rules.frame.lists if found.audience == EVERYONE})
    everyone = [SampleBuyer(f"everyone-{currency}", "", Buyer(country=HOME), currency) for currency in currencies]
    return everyone + [of_company(company) for company in companies]


def _as_asked(request: AnyRequest) -> SampleBuyer | None:
    """Whoever a finding's question is asked by: somebody of these segments, in this country, paying in this currency.

    Their parts stand in the address by themselves, as there need be no such company yet.
    """
    asked = request.query_params
    currency = asked.get("currency", "")
    try:
        buyer = msgspec.convert(
            {
                "company": asked.get("company") or None,
                "segments": asked.getall("segment", []),
                "country": asked.get("country") or None,
            },
            Buyer,
        )
        exponent(currency)
    except (msgspec.ValidationError, UnknownCurrency):
        return None
    name = ", ".join(filter(None, [buyer.company, *buyer.segments, buyer.country]))
    return SampleBuyer("asked", name, buyer, currency)


def of_company(company: Company) -> SampleBuyer:
    buyer = Buyer(company=company.code, segments=tuple(company.segments), country=company.country)
    return SampleBuyer(company.code, company.name, buyer, company.currency)


def _chosen(options: Sequence[SampleBuyer], keys: Sequence[str]) -> list[SampleBuyer]:
    """Those asked for; without a choice, everyone in the first currency and a few companies."""
    asked = [option for option in options if option.key in keys][:BUYERS_MOST]
    if asked:
        return asked
    companies = [option for option in options if option.name][:COMPANIES_SAMPLED]
    return [option for option in options if not option.name][:1] + companies


async def _automatic(changes: Sequence[Change], before: Book | None) -> tuple[str, ...]:
    """SKUs whose prices the draft changes, and a few that its changed rules are for; else the first of the book."""
    found = list(dict.fromkeys(change.key[1] for change in changes if change.kind == "row"))[:SKUS_MOST]
    scopes = [
        msgspec.convert(side["scope"], Scope)
        for change in changes
        if change.kind in SCOPED_KINDS
        for side in (change.after, change.before)
        if side is not None
    ]
    if isinstance(before, CompiledBook) and (scopes or not found):
        found += await asyncio.to_thread(lambda: list(skus_in_scopes(before, scopes)))
    return tuple(dict.fromkeys(found))[:SKUS_MOST]


def skus_in_scopes(book: CompiledBook, scopes: Sequence[Scope]) -> Iterator[str]:
    """The first few SKUs of each scope, in the order of the book; without a scope, the book's first."""
    left = [SKUS_OF_A_RULE] * len(scopes)
    if not scopes:
        yield from islice(book.skus(), SKUS_OF_A_RULE)
    for entry in islice(book.entries(), SCANNED_MOST if scopes else 0):
        for number, scope in enumerate(scopes):
            if left[number] and in_scope(scope, entry.facts):
                left[number] -= 1
                yield entry.facts.sku
        if not any(left):
            return


def sampled(
    before: Book | None,
    after: Book,
    buyers: Sequence[SampleBuyer],
    offer: tuple[str, str | None],
    quantities: Sequence[str],
    at: datetime,
    locale: str,
) -> tuple[Sample, ...]:
    """The SKU's prices for each of *buyers*. *offer*: SKU and unit, None being the base unit; without *quantities*,
    each at which a price changes.
    """
    return _shared(
        [
            sample_of((Side(before, asked.buyer), Side(after, asked.buyer)), asked, offer, quantities, at, locale)
            for asked in buyers
        ]
    )


def sample_of(
    sides: tuple[Side, Side],
    asked: SampleBuyer,
    offer: tuple[str, str | None],
    quantities: Sequence[str],
    at: datetime,
    locale: str,
) -> Sample:
    """What *asked*, a name and a currency, pays on both sides."""
    sku, unit = offer
    ladders = [
        None
        if side.book is None
        else ladder_of(side.book, side.buyer, currency=asked.currency, sku=sku, unit=unit, at=at)
        for side in sides
    ]
    numbers = quantities or _breaks(ladders)
    old, new = plots(*([] if ladder is None else ladder.rungs for ladder in ladders))
    return Sample(
        buyers=(asked,),
        unit=next((ladder.unit for ladder in reversed(ladders) if ladder is not None and ladder.unit), ""),
        prices=tuple(_price(sides, asked.currency, offer, number, at, locale) for number in numbers),
        before=old,
        after=new,
        totals=curves(
            *(
                [] if side.book is None or ladder is None else _totals(side.book, ladder, side.buyer, asked.currency)
                for side, ladder in zip(sides, ladders, strict=True)
            )
        ),
    )


def _totals(book: Book, ladder: Ladder, buyer: Buyer, currency: str) -> list[Point]:
    """What the line costs at each break, and a unit before the next: where a total falls, it falls between the two."""
    rungs = ladder.rungs[:QUANTITIES_MOST]
    points: list[Point] = []
    for rung, following in zip_longest(rungs, rungs[1:]):
        begin = Decimal(rung.quantity)
        end = begin + max((begin * 3 / 5).to_integral_value(), Decimal(1))
        if following is not None:
            end = Decimal(following.quantity) - 1
        points.append((rung.quantity, rung.line.subtotal))
        if end > begin:
            quantity = f"{end.normalize():f}"
            line = price_of(
                book, buyer, currency=currency, sku=ladder.sku, unit=ladder.unit, quantity=quantity, at=ladder.at
            ).line
            points += [(quantity, line.subtotal)] if isinstance(line, PricedLine) else []
    return points


def _shared(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Buyers with the same prices in one sample; what changes first."""
    groups: dict[tuple[str, tuple[SamplePrice, ...]], Sample] = {}
    for sample in samples:
        key = (sample.currency, sample.prices)
        known = groups.get(key)
        buyers = sample.buyers if known is None else known.buyers + sample.buyers
        groups[key] = msgspec.structs.replace(sample, buyers=buyers)
    return tuple(sorted(groups.values(), key=lambda sample: not sample.changed))


def _breaks(ladders: Sequence[Ladder | None]) -> list[str]:
    """Every quantity at which one of the ladders changes, ascending."""
    found = {rung.quantity for ladder in ladders if ladder is not None for rung in ladder.rungs}
    return sorted(found, key=Decimal)[:QUANTITIES_MOST] or ["1"]


def _price(
    sides: tuple[Side, Side], currency: str, offer: tuple[str, str | None], quantity: str, at: datetime, locale: str
) -> SamplePrice:
    sku, unit = offer
    old, new = (
        None
        if side.book is None
        else price_of(side.book, side.buyer, currency=currency, sku=sku, unit=unit, quantity=quantity, at=at).line
        for side in sides
    )
    return SamplePrice(
        quantity=quantity,
        each_before=_each(old),
        each_after=_each(new),
        subtotal_before=old.subtotal if isinstance(old, PricedLine) else None,
        subtotal_after=new.subtotal if isinstance(new, PricedLine) else None,
        refused_before=refusal_text(old, locale) if isinstance(old, RefusedLine) else "",
        refused_after=refusal_text(new, locale) if isinstance(new, RefusedLine) else "",
        percent=_percent(old, new),
        why=(_why(old, locale), _why(new, locale)),
    )


def _why(line: PricedLine | RefusedLine | None, locale: str) -> str:
    """The steps of the price that rules took."""
    if not isinstance(line, PricedLine):
        return ""
    return "; ".join(step_text(step, locale) for step in line.trace.steps if step.phase in RULED)


def _each(line: PricedLine | RefusedLine | None) -> str | None:
    return each(line) if isinstance(line, PricedLine) else None


def _percent(old: PricedLine | RefusedLine | None, new: PricedLine | RefusedLine | None) -> str | None:
    """The change of the line's amount in percent, to one decimal, signed."""
    if not isinstance(old, PricedLine) or not isinstance(new, PricedLine) or not Decimal(old.subtotal):
        return None
    change = (Decimal(new.subtotal) - Decimal(old.subtotal)) / Decimal(old.subtotal) * 100
    return f"{change.quantize(Decimal('0.1')):+f}" if change else None
