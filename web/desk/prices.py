"""Publications of prices: in force, coming, past; and the drafts that wait."""

from datetime import datetime
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pricing.content import root_text
from pricing.engine.check import Finding
from pricing.findings import finding_text
from pricing.second_look import Demand
from pricing.service import Acknowledgement, PublicationNotFound, WarningsNotAcknowledged
from web.desk.describe import changed, key_text, kind_text
from web.desk.fields import Typed, summary_of
from web.desk.publishing import REFUSALS, demand_text, field_of, note_and_instant
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence

HISTORY: Final = 100
CHANGES_SHOWN: Final = 100
TITLE_MOST: Final = 120
NUMBER_MOST: Final = 2**31


@get("/desk/prices", include_in_schema=False, summary="Price books and drafts")
async def prices(request: AnyRequest) -> Html:
    return await _prices(request, values={}, errors={})


@post("/desk/prices/drafts", include_in_schema=False, summary="Begin a price draft")
async def open_draft(request: AnyRequest) -> Html:
    form = await read_form(request)
    typed = Typed(form, locale_of(request))
    title = typed.text("title", required=True, most=TITLE_MOST)
    if typed.errors:
        return await _prices(request, values=form.as_dict(), errors=typed.errors)
    draft = await services_of(request).pricing.open_draft(title=title, by=principal_of(request).person_id)
    return redirect(f"/desk/prices/drafts/{draft.id}")


@get("/desk/prices/publications/{number:int}", include_in_schema=False, summary="A publication and what it changed")
async def publication(request: AnyRequest, number: FromPath[int]) -> Html:
    return await _publication(request, number, values={}, errors={})


@post("/desk/prices/publications/{number:int}/rollback", include_in_schema=False, summary="Return to these prices")
async def roll_back(request: AnyRequest, number: FromPath[int]) -> Html:
    """Publish this content once more; nothing of the log is changed."""
    form, locale = await read_form(request), locale_of(request)
    typed = Typed(form, locale)
    note, effective_at = note_and_instant(typed)
    if not typed.errors:
        try:
            published = await services_of(request).pricing.roll_back(
                number,
                by=principal_of(request).person_id,
                effective_at=effective_at,
                note=note,
                acknowledge=note if form.get("accept") == "yes" else None,
            )
        except WarningsNotAcknowledged as error:
            typed.errors["accept"] = sentence(error, locale)
            return await _publication(request, number, values=form.as_dict(), errors=typed.errors, stopped_by=error)
        except REFUSALS as error:
            typed.errors[field_of(error)] = sentence(error, locale)
        else:
            return redirect(f"/desk/prices?published={published.number}")
    return await _publication(request, number, values=form.as_dict(), errors=typed.errors)


HANDLERS: list[ControllerRouterHandler] = [prices, open_draft, publication, roll_back]


async def _prices(request: AnyRequest, *, values: dict[str, str], errors: dict[str, str]) -> Html:
    services = services_of(request)
    now = services.clock.now()
    history = await services.pricing.list_publications(HISTORY)
    drafts = await services.pricing.list_drafts()
    in_force = services.books.in_force(now).number if services.books.published() else 0
    announced = request.query_params.get("published", "")
    return page(
        request,
        "desk/prices.html",
        status=422 if errors else 200,
        current=next((entry for entry in history if entry.number == in_force), None),
        upcoming=[entry for entry in reversed(history) if entry.effective_at > now],
        history=history,
        drafts=drafts,
        reviews=await services.reviews.list_standing(drafts),
        words=Words(locale_of(request)),
        names=await names_of(
            services,
            [person for entry in history for person in (entry.author_id, entry.published_by)]
            + [draft.author_id for draft in drafts],
        ),
        announced=next((entry for entry in history if str(entry.number) == announced), None),
        root_text=root_text,
        values=values,
        errors=errors,
        summary=summary_of(errors, locale_of(request)),
        now=now,
    )


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """Whose word a finding of a publication has, and since when."""

    name: str
    at: datetime
    reason: str


class KeptFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found when a publication was made. *text*: in English as it was shown then."""

    text: str
    error: bool
    word: Word | None


async def _publication(
    request: AnyRequest,
    number: int,
    *,
    values: dict[str, str],
    errors: dict[str, str],
    stopped_by: WarningsNotAcknowledged | None = None,
) -> Html:
    services, locale = services_of(request), locale_of(request)
    if not 0 < number < NUMBER_MOST:
        raise PublicationNotFound(f"There is no publication {number}.")
    found = await services.pricing.find_publication(number)
    changes = await services.pricing.compare(number - 1, number) if number > 1 else ()
    shown = [
        (
            kind_text(change.kind, locale),
            key_text(change.kind, change.key),
            changed(change.before, change.after, locale),
        )
        for change in changes[:CHANGES_SHOWN]
    ]
    standing: list[Finding] = []
    if stopped_by is not None:
        told: Any = stopped_by.extra["findings"]
        standing = [_read(finding) for finding in told]
    words = [
        msgspec.convert(finding["acknowledged"], Acknowledgement) if "acknowledged" in finding else None
        for finding in found.findings
    ]
    steps = [] if found.draft_id is None else await services.reviews.list_steps(found.draft_id)
    names = await names_of(
        services,
        [found.author_id, found.published_by, found.approved_by, found.second_approved_by]
        + [word.by for word in words if word is not None]
        + [step.person_id for step in steps],
    )
    return page(
        request,
        "desk/publication.html",
        status=422 if errors else 200,
        publication=found,
        root=root_text(found.root),
        names=names,
        approval=Words(locale).word(found.approval.value),
        demands=[demand_text(msgspec.convert(demand, Demand), locale) for demand in found.demands],
        steps=steps,
        wording=Words(locale),
        found=[
            KeptFinding(
                text=_text(finding, locale),
                error=finding["severity"] == "error",
                word=None if word is None else Word(name=names[word.by], at=word.at, reason=word.reason),
            )
            for finding, word in zip(found.findings, words, strict=True)
        ],
        standing=[finding_text(finding, locale) for finding in standing],
        standing_count=0 if stopped_by is None else stopped_by.extra["count"],
        changes=shown,
        more=len(changes) - len(shown),
        in_force=services.books.in_force(services.clock.now()).number == number,
        upcoming=found.effective_at > services.clock.now(),
        last=services.books.published()[-1].root == root_text(found.root),
        values=values or {"when": "soon"},
        errors=errors,
        summary=summary_of(errors, locale),
        lead=services.books.lead.total_seconds(),
    )


def _read(kept: dict[str, Any]) -> Finding:
    return msgspec.convert({name: kept[name] for name in Finding.__struct_fields__}, Finding)


def _text(kept: dict[str, Any], locale: str) -> str:
    """The words that were kept, in English; in other languages today's words for the same."""
    if locale == "en":
        return str(kept["text"])
    try:
        return finding_text(_read(kept), locale)
    except (KeyError, msgspec.ValidationError):  # of a release that found otherwise
        return str(kept["text"])
