"""Which segments companies are in, and what that does to their prices: looked at, tried, changed, with who and why."""

import asyncio
import uuid
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Final
from urllib.parse import urlencode

import msgspec
from litestar import get, post
from litestar.types import ControllerRouterHandler

from accounts.model import Company, SegmentChange
from accounts.segments import REASON_MOST, SEGMENT, SEGMENTS_MOST, SegmentsMoved
from pricing.compiled import CompiledBook
from pricing.engine.book import Adjustment, Audience, PriceList
from pricing.service import Change
from web.desk.fields import Typed, summary_of
from web.desk.preview import SCANNED_MOST, Sample, Side, SkuSample, of_company, sample_of, skus_in_scopes
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of

CHANGES_SHOWN: Final = 50
COMPANIES_SHOWN: Final = 100
NAMED: Final = 5
SKUS: Final = 6


class SegmentUse(msgspec.Struct, kw_only=True):
    """A segment: who is in it, and which lists, rules and drafts (id and title) ask for it. *coming*: codes of those
    that a publication brings which is still to take effect.
    """

    code: str
    companies: list[Company] = []
    lists: list[str] = []
    rules: list[str] = []
    coming: list[str] = []
    drafts: list[tuple[uuid.UUID, str]] = []

    def bring(self, code: str) -> None:
        """Note a list or rule of a publication to come, unless it is in force already."""
        if code not in (*self.lists, *self.rules, *self.coming):
            self.coming.append(code)

    @property
    def asked_for(self) -> bool:
        return bool(self.lists or self.rules or self.coming or self.drafts)


class ShownSegmentChange(msgspec.Struct, frozen=True, kw_only=True):
    company: str
    code: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    reason: str
    by: str
    at: datetime


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What the ticked segments would do. *about*: the lists and rules in force that ask for what changes."""

    groups: tuple[SkuSample, ...]
    about: tuple[str, ...]
    at: datetime

    @property
    def changed(self) -> int:
        return sum(price.changed for group in self.groups for sample in group.samples for price in sample.prices)


class ClashSide(msgspec.Struct, frozen=True, kw_only=True):
    """A segment in a clash: whether the company was in it, is, and was to be."""

    segment: str
    found: bool
    theirs: bool
    yours: bool


@get("/desk/prices/segments", include_in_schema=False, summary="Segments: who is in them, and what asks for them")
async def segments_page(request: AnyRequest) -> Html:
    services = services_of(request)
    asked = request.query_params.get("segment", "")[:200]
    text = request.query_params.get("q", "").strip()[:200]
    companies = await services.segments.list_companies()
    uses = await _uses(request, companies)
    wanted = text.casefold()
    found = [company for company in companies if wanted in f"{company.code} {company.name}".casefold()] if text else []
    if asked in uses:
        found = uses[asked].companies
    return page(
        request,
        "desk/segments.html",
        uses=[uses[code] for code in sorted(uses)],
        named=NAMED,
        asked=asked if asked in uses else "",
        q=text,
        found=found[:COMPANIES_SHOWN],
        more=max(len(found) - COMPANIES_SHOWN, 0),
        changes=await _changes(request, companies),
        done=next((company for company in companies if company.code == request.query_params.get("changed")), None),
    )


@get("/desk/prices/segments/company", include_in_schema=False, summary="The segments of a company")
async def company_page(request: AnyRequest) -> Html:
    company = await services_of(request).segments.find(request.query_params.get("code", "")[:200])
    return await _company(request, company, ticked=company.segments, values={}, errors={})


@post("/desk/prices/segments/company", include_in_schema=False, summary="Put a company into segments, or out of them")
async def assign(request: AnyRequest) -> Html:
    """Or, with `action` preview, only show what it would do."""
    services, locale, form = services_of(request), locale_of(request), await read_form(request)
    company = await services.segments.find(request.query_params.get("code", "")[:200])
    typed = Typed(form, locale)
    ticked = sorted({*form.all("segment"), *typed.codes("others")} - {""})
    if any(SEGMENT.fullmatch(segment) is None for segment in ticked):
        typed.refuse("others", "segments")
    if len(ticked) > SEGMENTS_MOST:
        typed.refuse("others", "segments_most", most=str(SEGMENTS_MOST))
    shown = [segment for segment in form.get("shown").split(";") if segment]
    if form.get("action") == "preview":
        tried = None if typed.errors else await _try(request, company, ticked)
        return await _company(
            request, company, ticked=ticked, values=form.as_dict(), errors=typed.errors, tried=tried, shown=shown
        )
    reason = typed.text("reason", required=True, most=REASON_MOST)
    if set(ticked) == set(shown):
        typed.refuse("segment", "segments_same")
    if not typed.errors:
        by = principal_of(request).person_id
        try:
            await services.segments.assign(company.code, ticked, shown=shown, reason=reason, by=by)
        except SegmentsMoved:
            return await _clash(request, company.code, ticked, shown, form.as_dict())
        return redirect(f"/desk/prices/segments?{urlencode({'changed': company.code})}")
    return await _company(request, company, ticked=ticked, values=form.as_dict(), errors=typed.errors, shown=shown)


HANDLERS: list[ControllerRouterHandler] = [segments_page, company_page, assign]


async def _clash(
    request: AnyRequest, code: str, ticked: Collection[str], shown: Collection[str], values: dict[str, str]
) -> Html:
    """Both sides, and a form that holds what each of them changed."""
    company = await services_of(request).segments.find(code)
    theirs = set(company.segments)
    sides = [
        ClashSide(segment=each, found=each in shown, theirs=each in theirs, yours=each in ticked)
        for each in sorted({*shown, *theirs, *ticked})
    ]
    merged = (theirs | (set(ticked) - set(shown))) - (set(shown) - set(ticked))
    return await _company(request, company, ticked=merged, values={**values, "others": ""}, errors={}, clash=sides)


async def _company(
    request: AnyRequest,
    company: Company,
    *,
    ticked: Collection[str],
    values: dict[str, str],
    errors: dict[str, str],
    tried: Tried | None = None,
    shown: Collection[str] | None = None,
    clash: Collection[ClashSide] = (),
) -> Html:
    """*shown*: what the form says the company was in when it was opened; what it is in now unless said."""
    services = services_of(request)
    companies = await services.segments.list_companies()
    uses = await _uses(request, companies)
    offered = sorted({*uses, *company.segments, *ticked} - set(values.get("others", "").split("\n")))
    if tried is None and not errors and set(ticked) != set(company.segments):
        tried = await _try(request, company, ticked)
    return page(
        request,
        "desk/segments_company.html",
        status=409 if clash else 422 if errors and values.get("action") != "preview" else 200,
        company=company,
        action=f"/desk/prices/segments/company?{urlencode({'code': company.code})}",
        offered=[uses.get(code) or SegmentUse(code=code) for code in offered],
        ticked=ticked,
        shown=";".join(sorted(company.segments if shown is None else shown)),
        clash=clash,
        tried=tried,
        changes=await _changes(request, [company], company_id=company.id),
        values=values,
        errors=errors,
        summary=summary_of(errors, locale_of(request)),
    )


class _Uses(dict[str, SegmentUse]):
    """By code; a segment not heard of yet is begun."""

    def __missing__(self, code: str) -> SegmentUse:
        return self.setdefault(code, SegmentUse(code=code))


async def _uses(request: AnyRequest, companies: Iterable[Company]) -> dict[str, SegmentUse]:
    """Every segment that somebody is in or something asks for, by code."""
    services, uses = services_of(request), _Uses()
    for company in companies:
        for code in company.segments:
            uses[code].companies.append(company)
    now = services.clock.now()
    if _opened(request, now):
        frame = services.books.at(now).rules.frame
        for segment, code in _asking(frame.lists):
            uses[segment].lists.append(code)
        for segment, code in _asking(frame.adjustments):
            uses[segment].rules.append(code)
    for entry in services.books.upcoming(now):
        frame = (await services.books.load(entry.root)).rules.frame
        for segment, code in (*_asking(frame.lists), *_asking(frame.adjustments)):
            uses[segment].bring(code)
    for draft in await services.pricing.list_drafts():
        for segment in _segments_of(await services.pricing.list_changes(draft.id)):
            uses[segment].drafts.append((draft.id, draft.title))
    return uses


def _opened(request: AnyRequest, now: datetime) -> bool:
    """Whether any book was ever in force."""
    published = services_of(request).books.published()
    return bool(published) and published[0].effective_at <= now


def _asking(objects: Iterable[PriceList | Adjustment]) -> Iterator[tuple[str, str]]:
    """(segment, code) of what is for a segment."""
    for each in objects:
        for segment in each.audience.segments:
            yield segment, each.code


def _segments_of(changes: Iterable[Change]) -> list[str]:
    """The segments that a draft's changed lists and rules are for."""
    found = {
        segment
        for change in changes
        if change.kind in {"list", "adjustment"} and change.after is not None
        for segment in change.after["audience"]["segments"]
    }
    return sorted(found)


async def _changes(
    request: AnyRequest, companies: Iterable[Company], *, company_id: uuid.UUID | None = None
) -> list[ShownSegmentChange]:
    services = services_of(request)
    changes = await services.segments.list_changes(company_id=company_id, limit=CHANGES_SHOWN)
    people = await names_of(services, [change.changed_by for change in changes])
    by_id = {company.id: company for company in companies}
    return [_shown(change, by_id[change.company_id], people[change.changed_by]) for change in changes]


def _shown(change: SegmentChange, company: Company, by: str) -> ShownSegmentChange:
    return ShownSegmentChange(
        company=company.name,
        code=company.code,
        added=tuple(each for each in change.after if each not in change.before),
        removed=tuple(each for each in change.before if each not in change.after),
        reason=change.reason,
        by=by,
        at=change.changed_at,
    )


# --- What it would do ---


async def _try(request: AnyRequest, company: Company, segments: Collection[str]) -> Tried | None:
    """Prices in the book in force before and after, of SKUs that what changes is about; None while there is no book."""
    services, locale = services_of(request), locale_of(request)
    now = services.clock.now()
    if not _opened(request, now):
        return None
    book = services.books.at(now)
    changed = set(company.segments) ^ set(segments)
    about, skus = await asyncio.to_thread(_about, book, changed)
    was = of_company(company)
    becomes = msgspec.structs.replace(was.buyer, segments=tuple(sorted(segments)))
    known = await services.catalog.find_skus(skus)

    def sample(sku: str) -> Sample:
        return sample_of((Side(book, was.buyer), Side(book, becomes)), was, (sku, None), (), now, locale)

    groups = [
        SkuSample(sku=sku, name=known[sku].names.in_(locale) if sku in known else "", samples=(sample(sku),))
        for sku in skus
    ]
    return Tried(groups=tuple(sorted(groups, key=lambda group: not group.changed)), about=about, at=now)


def _about(book: CompiledBook, changed: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Codes of the lists and rules that ask for any of these segments, and a few SKUs they are about."""

    def asks(audience: Audience) -> bool:
        return not changed.isdisjoint(audience.segments)

    frame = book.rules.frame
    lists = [each.code for each in frame.lists if asks(each.audience)]
    rules = [each for each in frame.adjustments if asks(each.audience)]
    listed = list(islice(_skus_of(book, lists), SKUS))
    ruled = list(skus_in_scopes(book, [each.scope for each in rules])) if rules else []
    half = SKUS // 2  # some of each
    skus = dict.fromkeys([*listed[:half], *ruled[:half], *listed[half:], *ruled[half:]])
    return (*lists, *(each.code for each in rules)), tuple(skus)[:SKUS]


def _skus_of(book: CompiledBook, lists: Collection[str]) -> Iterator[str]:
    for entry in islice(book.entries(), SCANNED_MOST if lists else 0):
        if any(row.list in lists for row in entry.rows):
            yield entry.facts.sku
