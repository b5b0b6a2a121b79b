"""A price draft: what it changes, what to change next, what stands against it, and its publication."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from kernel.errors import Conflict, DomainError
from pricing.content import Key, LeafMalformed, key_from_text, root_text
from pricing.content import key_text as stored_key
from pricing.engine.check import Severity
from pricing.engine.rules import BookError
from pricing.findings import finding_text
from pricing.model import DraftState, PriceDraft, ReviewStep
from pricing.reviews import (
    COMMENT_MOST,
    ApproverIsAuthor,
    CommentUnusable,
    DraftClosed,
    DraftMoved,
    DraftNotFound,
    NotApproved,
    ReviewOutOfTurn,
    approvals,
    standing,
)
from pricing.service import (
    REASON_MOST,
    Acknowledgement,
    Change,
    DraftClash,
    Examined,
    FindingsStopPublication,
    LeafState,
    ReasonUnusable,
    Standing,
    WarningGone,
    WarningsNotAcknowledged,
)
from web.desk.describe import Field, changed, compared, key_text, kind_text
from web.desk.fields import Typed, summary_of
from web.desk.publishing import REFUSALS, demand_text, field_of, note_and_instant
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence

PAGE_SIZE: Final = 50
FOUND_MOST: Final = 30
FINDINGS_SHOWN: Final = 100
PAGES_MOST: Final = 100_000
FORM_PATHS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "adjustment": ("rule", ("code",)),
    "bound": ("bound", ("code",)),
    "derivation": ("formula", ("list",)),
    "layers": ("layers", ()),
    "list": ("list", ("code",)),
    "policy": ("rounding", ()),
    "quantity_rule": ("quantity-rule", ("code",)),
    "row": ("price", ("list", "sku", "unit", "starts")),
    "strategy": ("strategy", ()),
}
"""Where an object of each kind is edited, and what the parts of its key are called in the address."""


class NothingToUndo(Conflict):
    problem = "price-change-gone"
    title = "This change is not in the draft any more"


class ShownChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change with its words, the fields that differ, and where to edit it (None where no form does)."""

    change: Change
    kind: str
    name: str
    key: str
    fields: tuple[Field, ...]
    edit: str | None


class ShownFinding(msgspec.Struct, frozen=True, kw_only=True):
    """*witness*: the address of a preview that shows it. *known*: the word with which the last publication went out in
    spite of the same; None where it is new.
    """

    digest: str
    acknowledged: Acknowledgement | None
    known: Acknowledgement | None
    text: str
    error: bool
    witness: str | None
    question: dict[str, str] | None
    at: datetime | None


class ShownClash(msgspec.Struct, frozen=True, kw_only=True):
    """*fields*: theirs before, yours after."""

    kind: str
    name: str
    fields: tuple[Field, ...]


@get("/desk/prices/drafts/{draft:str}", include_in_schema=False, summary="A price draft and its changes")
async def draft_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    """The changes, a page at a time, and what a search for something to change found."""
    services, locale = services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    count, number = await services.pricing.count_changes(found.id), page_number(request)
    changes = await services.pricing.list_changes(found.id, start=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE)
    text = request.query_params.get("q", "").strip()[:200]
    skus, rules = await _search(request, found, text) if text else ((), ())
    return page(
        request,
        "desk/draft.html",
        **await frame(request, found, "changes"),
        changes=[_shown(found, change, locale) for change in changes],
        change_count=count,
        number=number,
        pages=max(1, -(-count // PAGE_SIZE)),
        people=await names_of(services, [change.changed_by for change in changes]),
        q=text,
        skus=skus,
        rules=rules,
    )


@post("/desk/prices/drafts/{draft:str}/undo", include_in_schema=False, summary="Take one change back")
async def undo(request: AnyRequest, draft: FromPath[str]) -> Html:
    form, services = await read_form(request), services_of(request)
    found = await find_draft(request, draft)
    kind = form.get("kind")
    try:
        key = key_from_text(form.get("key"))
    except msgspec.MsgspecError:
        raise NothingToUndo("This change is not in the draft any more.") from None
    undone = await services.pricing.find_change(found.id, kind, key)
    if undone is None or form.get("expected") != (undone.seen or ""):
        raise NothingToUndo("This change is not in the draft any more, or somebody has edited it. Look at it again.")
    await services.pricing.put_change(
        found.id, kind, key, undone.before, by=principal_of(request).person_id, expected=undone.seen
    )
    return redirect(f"/desk/prices/drafts/{found.id}")


@post("/desk/prices/drafts/{draft:str}/discard", include_in_schema=False, summary="Discard a draft")
async def discard(request: AnyRequest, draft: FromPath[str]) -> Html:
    found = await find_draft(request, draft)
    await services_of(request).pricing.discard_draft(found.id)
    return redirect("/desk/prices")


@get("/desk/prices/drafts/{draft:str}/publication", include_in_schema=False, summary="Check a draft and publish it")
async def publication_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    found = await find_draft(request, draft)
    return await _publication(request, found, values={"when": "soon"}, errors={}, patient=True)


@post("/desk/prices/drafts/{draft:str}/publication", include_in_schema=False, summary="Publish a draft")
async def publish(request: AnyRequest, draft: FromPath[str]) -> Html:
    form, locale = await read_form(request), locale_of(request)
    found = await find_draft(request, draft)
    typed = Typed(form, locale)
    note, effective_at = note_and_instant(typed)
    if not typed.errors:
        try:
            published = await services_of(request).pricing.publish(
                found.id, by=principal_of(request).person_id, effective_at=effective_at, note=note
            )
        except REFUSALS as error:
            typed.errors[field_of(error)] = sentence(error, locale)
        except (FindingsStopPublication, WarningsNotAcknowledged, NotApproved, DraftClash) as error:
            typed.errors["note"] = sentence(error, locale)
        else:
            return redirect(f"/desk/prices?published={published.number}")
    return await _publication(request, found, values=form.as_dict(), errors=typed.errors)


@post(
    "/desk/prices/drafts/{draft:str}/acknowledgements",
    include_in_schema=False,
    summary="Acknowledge warnings of a draft",
)
async def acknowledge(request: AnyRequest, draft: FromPath[str]) -> Html:
    """Several warnings at once, for one reason."""
    form, locale = await read_form(request), locale_of(request)
    found = await find_draft(request, draft)
    typed = Typed(form, locale)
    reason = typed.text("reason", required=True, most=REASON_MOST)
    ticked = frozenset(form.all("warning")).union(*(group.split() for group in form.all("warnings")))
    if not ticked:
        typed.refuse("warning", "tick")
    if not typed.errors:
        try:
            await services_of(request).pricing.acknowledge(
                found.id, ticked, reason=reason, by=principal_of(request).person_id
            )
        except (WarningGone, ReasonUnusable, DraftClash) as error:
            typed.errors["reason"] = sentence(error, locale)
        else:
            return redirect(f"/desk/prices/drafts/{found.id}/publication")
    return await _publication(
        request, found, values={"when": "soon", "reason": reason}, errors=typed.errors, ticked=ticked
    )


@post("/desk/prices/drafts/{draft:str}/review", include_in_schema=False, summary="Submit, approve, return or discuss")
async def review(request: AnyRequest, draft: FromPath[str]) -> Html:
    """One step of the review, about the version of the draft that the page showed."""
    form, locale = await read_form(request), locale_of(request)
    found = await find_draft(request, draft)
    typed = Typed(form, locale)
    comment = typed.text("comment", most=COMMENT_MOST)
    step = typed.choice("step", [each.value for each in ReviewStep])
    version, by = form.get("version"), principal_of(request).person_id
    if not typed.errors and by is not None:
        try:
            await services_of(request).reviews.take(
                found.id,
                ReviewStep(step),
                version=int(version) if version.isascii() and version.isdigit() and len(version) < 9 else -1,
                by=by,
                comment=comment,
            )
        except (DraftMoved, ReviewOutOfTurn, ApproverIsAuthor, CommentUnusable) as error:
            typed.errors["comment"] = sentence(error, locale)
        except DraftClosed as error:
            typed.errors["comment"] = sentence(error, locale)
            found = await find_draft(request, draft)
        else:
            return redirect(f"/desk/prices/drafts/{found.id}/publication")
    return await _publication(request, found, values={"when": "soon", "comment": comment}, errors=typed.errors)


HANDLERS: list[ControllerRouterHandler] = [draft_page, undo, discard, publication_page, publish, acknowledge, review]


async def find_draft(request: AnyRequest, draft: str) -> PriceDraft:
    """:raises DraftNotFound: when there is none, or *draft* is no id"""
    try:
        draft_id = uuid.UUID(draft)
    except ValueError:
        raise DraftNotFound("There is no such draft.") from None
    return await services_of(request).pricing.find_draft(draft_id)


async def frame(request: AnyRequest, draft: PriceDraft, tab: str) -> dict[str, Any]:
    """What every page of a draft shows around its own matter."""
    services = services_of(request)
    base = None if draft.base_root is None else root_text(draft.base_root)
    published = services.books.published()
    return {
        "draft": draft,
        "tab": tab,
        "open": draft.state is DraftState.OPEN,
        "base_number": next((entry.number for entry in reversed(published) if entry.root == base), None),
        "moved": bool(published) and published[-1].root != base,
        "last_number": published[-1].number if published else None,
        "author": (await names_of(services, [draft.author_id]))[draft.author_id],
        "words": Words(locale_of(request)),
    }


async def put(
    request: AnyRequest, draft: PriceDraft, kind: str, key: Key, content: Any, *, expected: str | None
) -> str | None:
    """Put one change into the draft. Returns what the price book has against it, in words.

    :raises DraftClash: when somebody else changed it since the form was opened
    """
    pricing, locale = services_of(request).pricing, locale_of(request)
    try:
        await pricing.try_change(draft.id, kind, key, content)
        await pricing.put_change(draft.id, kind, key, content, by=principal_of(request).person_id, expected=expected)
    except (LeafMalformed, BookError) as error:
        return sentence(error, locale)
    return None


def page_number(request: AnyRequest) -> int:
    text = request.query_params.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:9]) < PAGES_MOST and len(text) < 9 else 1


async def _search(
    request: AnyRequest, draft: PriceDraft, text: str
) -> tuple[tuple[tuple[str, str], ...], tuple[LeafState, ...]]:
    """(code, name) of SKUs, and rules, that *text* finds."""
    services, locale = services_of(request), locale_of(request)
    exact = await services.catalog.find_skus([text, text.upper()])
    listed = await services.catalog.search(text, locale, FOUND_MOST)
    skus = {sku.code: sku.names.in_(locale) for sku in exact.values()}
    for card in listed.products:
        skus |= {sku.code: sku.names.in_(locale) for sku in card.skus}
    wanted = text.casefold()
    rules = [
        state
        for state in await services.pricing.list_leaves(draft.id, "adjustment")
        if wanted in " ".join([state.key[0], *state.content["titles"].values()]).casefold()
    ]
    return tuple(skus.items())[:FOUND_MOST], tuple(rules[:FOUND_MOST])


def _shown(draft: PriceDraft, change: Change, locale: str) -> ShownChange:
    return ShownChange(
        change=change,
        kind=kind_text(change.kind, locale),
        name=key_text(change.kind, change.key),
        key=stored_key(change.key),
        fields=changed(change.before, change.after, locale),
        edit=edit_address(draft.id, change.kind, change.key) if change.after is not None else None,
    )


def edit_address(draft_id: uuid.UUID, kind: str, key: Key) -> str | None:
    """Where the object is edited; None where no form does."""
    if kind not in FORM_PATHS:
        return None
    path, names = FORM_PATHS[kind]
    query = urlencode(dict(zip(names, key, strict=True)))
    return f"/desk/prices/drafts/{draft_id}/{path}" + (f"?{query}" if query else "")


async def _publication(
    request: AnyRequest,
    draft: PriceDraft,
    *,
    values: dict[str, str],
    errors: dict[str, str],
    ticked: Collection[str] = (),
    patient: bool = False,
) -> Html:
    """*patient*: checks that take long may be waited for with a page that asks again."""
    services, locale = services_of(request), locale_of(request)
    examined = Examined(findings=(), demands=())
    clashes: list[ShownClash] = []
    refusal: str | None = None
    try:
        if draft.state is DraftState.OPEN and patient:
            found = await services.pricing.examine_patiently(draft)
            if found is None:
                return page(request, "desk/checking.html", **await frame(request, draft, "publication"))
            examined = found
        elif draft.state is DraftState.OPEN:
            examined = await services.pricing.examine(draft.id)
    except DraftClash as clash:
        sides: Any = clash.extra["clashes"]
        clashes = [
            ShownClash(
                kind=kind_text(side["kind"], locale),
                name=key_text(side["kind"], tuple(side["key"])),
                fields=compared(side["theirs"], side["yours"], locale),
            )
            for side in sides
        ]
    except DomainError as error:
        refusal = sentence(error, locale)
    findings = examined.findings
    stops = [standing for standing in findings if standing.finding.severity is Severity.ERROR]
    waiting = [standing for standing in findings if standing not in stops and standing.acknowledged is None]
    accepted = [standing for standing in findings if standing.acknowledged is not None]
    steps = await services.reviews.list_steps(draft.id)
    last = standing(steps, draft.version)
    given = approvals(steps, draft.version)
    second = services.pricing.approval_required and bool(examined.demands)
    missing = services.pricing.approval_required and len(given) <= second
    known = await _words_of_last(request)
    waiting.sort(key=lambda standing: standing.digest in known)
    shown = [
        _finding(draft, standing, known.get(standing.digest), locale)
        for standing in (stops + waiting + accepted)[:FINDINGS_SHOWN]
    ]
    return page(
        request,
        "desk/publish.html",
        status=(422 if draft.state is DraftState.OPEN else 409) if errors else 200,
        **await frame(request, draft, "publication"),
        stops=[each for each in shown if each.error],
        fresh=[each for each in shown if not each.error and each.acknowledged is None and each.known is None],
        known=[each for each in shown if not each.error and each.acknowledged is None and each.known is not None],
        accepted=[each for each in shown if not each.error and each.acknowledged is not None],
        more_findings=len(findings) - len(shown),
        finding_count=len(findings),
        error_count=len(stops),
        waiting_count=len(waiting),
        people=await names_of(
            services,
            [word.by for each in shown for word in (each.acknowledged, each.known) if word is not None]
            + [each.person_id for each in steps],
        ),
        steps=steps,
        review_step=None if last is None else last.step.value,
        reviewed=any(each.step is not ReviewStep.COMMENTED for each in steps),
        approval_missing=missing,
        second_missing=missing and second and len(given) == 1,
        approvers=[each.person_id for each in given],
        demands=[demand_text(demand, locale) for demand in examined.demands],
        ticked=ticked,
        clashes=clashes,
        refusal=refusal,
        blocked=bool(clashes or refusal or stops or waiting or missing),
        change_count=await services.pricing.count_changes(draft.id),
        upcoming=services.books.upcoming(services.clock.now()),
        lead=services.books.lead.total_seconds(),
        now=services.clock.now(),
        values=values,
        errors=errors,
        summary=summary_of(errors, locale),
    )


async def _words_of_last(request: AnyRequest) -> dict[str, Acknowledgement]:
    """The warnings that the last publication went out with, and whose word each has."""
    services = services_of(request)
    published = services.books.published()
    if not published:
        return {}
    last = await services.pricing.find_publication(published[-1].number)
    return {
        finding["digest"]: msgspec.convert(finding["acknowledged"], Acknowledgement)
        for finding in last.findings
        if "acknowledged" in finding and "digest" in finding
    }


def _finding(draft: PriceDraft, standing: Standing, known: Acknowledgement | None, locale: str) -> ShownFinding:
    finding, witness = standing.finding, standing.finding.witness
    address = question = None
    if witness is not None:
        # of a total that falls, both sides
        quantities = " ".join(filter(None, [witness.quantity, finding.params.get("more")]))
        buyer = witness.buyer
        asked = [
            ("sku", witness.sku),
            ("unit", witness.unit),
            ("quantity", quantities),
            ("currency", witness.currency),
            *([] if buyer.company is None else [("company", buyer.company)]),
            *(("segment", segment) for segment in buyer.segments),
            *([] if buyer.country is None else [("country", buyer.country)]),
            ("at", witness.at.isoformat()),
        ]
        address = f"/desk/prices/drafts/{draft.id}/preview?{urlencode(asked)}"
        question = {
            "sku": witness.sku,
            "quantity": witness.quantity,
            "unit": witness.unit,
            "currency": witness.currency,
            "buyer": ", ".join(filter(None, [witness.buyer.company, *witness.buyer.segments, witness.buyer.country])),
        }
    return ShownFinding(
        digest=standing.digest,
        acknowledged=standing.acknowledged,
        known=known,
        text=finding_text(finding, locale),
        error=finding.severity is Severity.ERROR,
        witness=address,
        question=question,
        at=None if witness is None else witness.at,
    )
