"""The legal desk's privacy: plans of erasure with their review, holds, periods of retention, and the letter."""

import uuid
from datetime import date
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts import erasure_letter
from accounts.erasure import (
    ApproverIsAuthor,
    HoldUnknown,
    OnHold,
    PlanChanged,
    PlanOutOfTurn,
    PlanRefused,
    SubjectUnknown,
    Unfinished,
    shown_digest,
)
from accounts.privacy_model import ErasurePlan, PlanState, RecordKind
from accounts.retention import GivenPeriod, PeriodRefused
from kernel.errors import DomainError
from web.erasure_pdf import letter_pdf
from web.http import AnyRequest, Form, Html, locale_of, principal_of, read_form, services_of
from web.labels import N_
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence

STATE_WORDS: Final[dict[PlanState, str]] = {
    PlanState.DRAFT: N_("to be reviewed"),
    PlanState.APPROVED: N_("approved, being carried out"),
    PlanState.APPLIED: N_("carried out"),
    PlanState.WITHDRAWN: N_("withdrawn"),
}
KIND_WORDS: Final[dict[RecordKind, str]] = {
    RecordKind.ACCOUNT: N_("accounts"),
    RecordKind.SESSION: N_("sessions"),
    RecordKind.LETTER: N_("letters"),
    RecordKind.JOURNEY: N_("journeys"),
    RecordKind.CONSENT: N_("consents"),
    RecordKind.IDENTITY_EVIDENCE: N_("who accepted"),
    RecordKind.CONNECTION_EVIDENCE: N_("address and browser of acceptances"),
    RecordKind.UNCONCLUDED: N_("what came to no contract"),
    RecordKind.ORDER_CONTACT: N_("contacts and notes of orders"),
    RecordKind.ORDER_ADDRESS: N_("delivery addresses"),
    RecordKind.PAYMENT: N_("payment messages"),
    RecordKind.CONTRACT: N_("orders, postings and the ledger"),
    RecordKind.DATA_EXPORT: N_("copies of data"),
}


@get("/desk/privacy", include_in_schema=False, summary="Erasure, holds and periods")
async def privacy(request: AnyRequest) -> Html:
    return await _show(request)


@post("/desk/privacy/plans", include_in_schema=False, summary="Make a plan of erasure")
async def make_plan(request: AnyRequest) -> Html:
    form = await read_form(request)
    try:
        asked_on = date.fromisoformat(form.get("asked_on"))
    except ValueError:
        return await _show(request, form, {"asked_on": PlanRefused("Write a day like 2026-11-20.")})
    try:
        plan = await services_of(request).erasures.plan(
            principal_of(request),
            email=form.get("email"),
            company=form.get("company"),
            asked_on=asked_on,
            reason=form.get("reason"),
        )
    except (SubjectUnknown, PlanRefused) as error:
        return await _show(request, form, {"email": error})
    return redirect(f"/desk/privacy/plans/{plan.id}")


@get("/desk/privacy/plans/{plan:uuid}", include_in_schema=False, summary="A plan: what goes, what stays and why")
async def plan_page(request: AnyRequest, plan: FromPath[uuid.UUID]) -> Html:
    return await _show_plan(request, plan)


@post("/desk/privacy/plans/{plan:uuid}/approval", include_in_schema=False, summary="Approve a plan of erasure")
async def approve(request: AnyRequest, plan: FromPath[uuid.UUID]) -> Html:
    form = await read_form(request)
    try:
        await services_of(request).erasures.approve(principal_of(request), plan, shown=form.get("shown"))
    except (ApproverIsAuthor, OnHold, Unfinished, PlanChanged, PlanOutOfTurn) as error:
        return await _show_plan(request, plan, refused=error)
    return redirect(f"/desk/privacy/plans/{plan}")


@post("/desk/privacy/plans/{plan:uuid}/withdrawal", include_in_schema=False, summary="Withdraw a plan of erasure")
async def withdraw_plan(request: AnyRequest, plan: FromPath[uuid.UUID]) -> Html:
    try:
        await services_of(request).erasures.withdraw(plan)
    except PlanOutOfTurn as error:
        return await _show_plan(request, plan, refused=error)
    return redirect("/desk/privacy")


@get("/desk/privacy/plans/{plan:uuid}/letter/{form:str}", include_in_schema=False, summary="The letter, without a name")
async def letter(request: AnyRequest, plan: FromPath[uuid.UUID], form: FromPath[str]) -> Response[bytes]:
    """As HTML or PDF: what the person was told, for the file and for whoever asks later."""
    services = services_of(request)
    found, items, _, _ = await services.erasures.look(plan)
    written = erasure_letter.letter(found, items, services.merchant)
    if form == "pdf":
        return Response(
            await letter_pdf(written, found.approved_at or found.made_at),
            media_type="application/pdf",
            headers={"content-disposition": f'inline; filename="erasure-{found.id}.pdf"'},
        )
    return Response(erasure_letter.html(written).encode(), media_type="text/html")


@post("/desk/privacy/holds", include_in_schema=False, summary="Place a legal hold")
async def place_hold(request: AnyRequest) -> Html:
    form = await read_form(request)
    try:
        await services_of(request).erasures.place_hold(
            principal_of(request),
            email=form.get("hold_email"),
            company=form.get("hold_company"),
            reason=form.get("hold_reason"),
        )
    except (SubjectUnknown, PlanRefused) as error:
        return await _show(request, form, {"hold_email": error})
    return redirect("/desk/privacy#holds")


@post("/desk/privacy/holds/{hold:uuid}/lifting", include_in_schema=False, summary="Lift a legal hold")
async def lift_hold(request: AnyRequest, hold: FromPath[uuid.UUID]) -> Html:
    form = await read_form(request)
    try:
        await services_of(request).erasures.lift_hold(principal_of(request), hold, reason=form.get("lift_reason"))
    except (HoldUnknown, PlanRefused) as error:
        return await _show(request, form, {"holds": error})
    return redirect("/desk/privacy#holds")


@post("/desk/privacy/periods", include_in_schema=False, summary="Set a period of retention")
async def set_period(request: AnyRequest) -> Html:
    form = await read_form(request)
    days = form.get("days")
    try:
        given = GivenPeriod(
            kind=RecordKind(form.get("kind")),
            country=form.get("country").upper() or None,
            days=int(days) if days.isascii() and days.isdigit() else -1,
            obligatory=form.get("obligatory") == "yes",
            basis={"en": form.get("basis_en"), "es": form.get("basis_es")},
        )
        await services_of(request).retention.set([given], by=principal_of(request))
    except (PeriodRefused, ValueError) as error:
        known = error if isinstance(error, PeriodRefused) else PeriodRefused("Choose a kind of record from the list.")
        return await _show(request, form, {"days": known})
    return redirect("/desk/privacy#periods")


HANDLERS: list[ControllerRouterHandler] = [
    privacy,
    make_plan,
    plan_page,
    approve,
    withdraw_plan,
    letter,
    place_hold,
    lift_hold,
    set_period,
]


async def _show(request: AnyRequest, form: Form | None = None, errors: dict[str, DomainError] | None = None) -> Html:
    services = services_of(request)
    plans, holds = await services.erasures.list_plans(), await services.erasures.list_holds()
    periods = (await services.retention.periods()).listed()
    acted = [
        *(plan.made_by for plan in plans),
        *(hold.placed_by for hold in holds),
        *(hold.lifted_by for hold in holds),
    ]
    companies, people = await services.erasures.labels(
        [plan.person_id or plan.company_id for plan in plans] + [hold.person_id or hold.company_id for hold in holds]
    )
    return page(
        request,
        "desk/privacy.html",
        status=422 if errors else 200,
        plans=plans,
        holds=holds,
        periods=periods,
        names=await names_of(services, acted),
        whom={**companies, **people},
        state_words=STATE_WORDS,
        kind_words=KIND_WORDS,
        values={} if form is None else form.as_dict(),
        errors={field: sentence(error, locale_of(request)) for field, error in (errors or {}).items()},
    )


async def _show_plan(request: AnyRequest, plan_id: uuid.UUID, *, refused: DomainError | None = None) -> Html:
    services, locale = services_of(request), locale_of(request)
    plan, items, holds, unfinished = await services.erasures.look(plan_id)
    companies, people = await services.erasures.labels([plan.person_id or plan.company_id])
    return page(
        request,
        "desk/erasure.html",
        status=200 if refused is None else 409,
        plan=plan,
        items=[item for item in items if item.found],
        shown=shown_digest(items),
        holds=holds,
        unfinished=unfinished,
        steps=await services.erasures.steps(plan_id),
        names=await names_of(services, _acted(plan)),
        whom={**companies, **people},
        state_words=STATE_WORDS,
        refused=None if refused is None else sentence(refused, locale),
    )


def _acted(plan: ErasurePlan) -> list[uuid.UUID]:
    return [plan.made_by, *([plan.approved_by] if plan.approved_by else [])]
