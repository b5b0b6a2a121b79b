"""Approval before ordering: the buyer asks, an approver looks and places the order, or says why not."""

import uuid
from typing import Final

import msgspec
from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.policies import ApprovalReason
from agreements.service import (
    BoxNotTicked,
    JobTitleMissing,
    PresentationConsumed,
    SignatoryRequired,
    UnusableComment,
)
from checkout.approval_model import ApprovalState
from checkout.approvals import (
    ApprovalClosed,
    ApprovalNotNeeded,
    ApproverMissing,
    Listed,
    NotApprover,
    OwnApproval,
)
from checkout.charging import TotalNotChargeable
from checkout.checkouts import (
    AccountNeeded,
    CartEmpty,
    CartNotOrderable,
    DetailsMissing,
    EmailNotVerified,
)
from checkout.credit import CreditUnavailable
from checkout.needs import SignaturesNeeded
from checkout.states import EventRefused
from kernel.errors import DomainError
from web.evidence import stylesheet_digest, template_digest
from web.http import (
    AnyRequest,
    Html,
    address_of,
    locale_of,
    principal_of,
    read_form,
    services_of,
    user_agent_of,
)
from web.pages import page, redirect
from web.sentences import N_, sentence
from web.shop.checkout import (
    SHOWN_AFRESH,
    country_name_of,
    elsewhere,
    lead_on,
    presentation_id_of,
    presented_documents,
)

APPROVAL_TEMPLATE: Final = "account/approval.html"
BEFORE_REVIEW: Final = (
    *(AccountNeeded, EmailNotVerified, CartEmpty, DetailsMissing),
    *(CartNotOrderable, TotalNotChargeable, SignaturesNeeded),
)
MAY_NOT: Final = (ApprovalClosed, OwnApproval, NotApprover, SignatoryRequired)
"""The reader sees the request, and why the act is not offered to them."""
NOT_NOW: Final = (CartNotOrderable, TotalNotChargeable, CreditUnavailable)

STATE_WORDS: Final[dict[ApprovalState, str]] = {
    ApprovalState.WAITING: N_("waiting for approval"),
    ApprovalState.APPROVED: N_("approved and ordered"),
    ApprovalState.REJECTED: N_("not approved"),
    ApprovalState.WITHDRAWN: N_("taken back"),
    ApprovalState.EXPIRED: N_("expired"),
}
REASON_WORDS: Final[dict[ApprovalReason, str]] = {
    ApprovalReason.POLICY: N_("Your company wants orders like this one approved by a colleague."),
    ApprovalReason.NAMED: N_("Your company wants your orders approved by a colleague."),
    ApprovalReason.NOT_SIGNATORY: N_("You may fill carts, but you are not on your company's list of signatories."),
    ApprovalReason.ABOVE_LIMIT: N_("The total is above the limit up to which you may sign."),
}
TONES: Final[dict[ApprovalState, str]] = {
    ApprovalState.APPROVED: "good",
    ApprovalState.REJECTED: "bad",
    ApprovalState.EXPIRED: "bad",
}


# --- the buyer --------------------------------------------------------------------------------------------------------


@get("/checkout/approval", include_in_schema=False, summary="Send an order for approval")
async def proposal_page(request: AnyRequest) -> Html:
    return await show_proposal(request)


@post("/checkout/approval", include_in_schema=False, summary="Send an order for approval")
async def send(request: AnyRequest) -> Html:
    form, services, locale = await read_form(request), services_of(request), locale_of(request)
    note = form.get("note")
    try:
        sent = await services.approvals.send(principal_of(request), note=note, locale=locale)
    except UnusableComment as error:
        return await show_proposal(request, errors={"note": sentence(error, locale)}, note=note, status=422)
    except ApproverMissing:
        return await show_proposal(request, note=note, status=422)
    except ApprovalNotNeeded:
        return redirect("/checkout/review")
    except EventRefused:
        return redirect("/account/approvals")
    except BEFORE_REVIEW as error:
        return await elsewhere(request, error)
    return redirect(f"/account/approvals/{sent.id}")


async def show_proposal(
    request: AnyRequest, *, errors: dict[str, str] | None = None, note: str = "", status: int = 200
) -> Html:
    """What would be sent and to whom; in place of the review for who may not order alone."""
    services, principal = services_of(request), principal_of(request)
    try:
        proposal = await services.approvals.look(principal, locale=locale_of(request))
    except ApprovalNotNeeded:
        return redirect("/checkout/review")
    except EventRefused:
        return redirect("/account/approvals")
    except BEFORE_REVIEW as error:
        return await elsewhere(request, error)
    return page(
        request,
        "checkout/approval.html",
        status=status,
        proposal=proposal,
        cart=proposal.cart,
        reason=REASON_WORDS[proposal.reason],
        signatories=() if proposal.approvers else await services.members.list_signatories(principal),
        country_name=country_name_of(request, proposal.checkout),
        errors=errors or {},
        note=note,
        step="review",
    )


@post("/account/approvals/{request_id:uuid}/withdrawal", include_in_schema=False, summary="Take a request back")
async def withdraw(request: AnyRequest, request_id: FromPath[uuid.UUID]) -> Html:
    try:
        await services_of(request).approvals.withdraw(principal_of(request), request_id)
    except ApprovalClosed as error:
        return await _show(request, request_id, refused=error, status=409)
    return redirect("/cart")


# --- the approver -----------------------------------------------------------------------------------------------------


@get("/account/approvals", include_in_schema=False, summary="Orders that wait for approval")
async def approval_list(request: AnyRequest) -> Html:
    return page(
        request,
        "account/approvals.html",
        requests=await services_of(request).approvals.list_requests(principal_of(request)),
        words=STATE_WORDS,
        tones=TONES,
    )


@get("/account/approvals/{request_id:uuid}", include_in_schema=False, summary="A request for approval")
async def approval_page(request: AnyRequest, request_id: FromPath[uuid.UUID]) -> Html:
    return await _show(request, request_id)


@post("/account/approvals/{request_id:uuid}/order", include_in_schema=False, summary="Approve and place the order")
async def approve(request: AnyRequest, request_id: FromPath[uuid.UUID]) -> Html:
    """The binding act: as placing an order alone, by another person. Sent twice it is one order."""
    form, services, principal = await read_form(request), services_of(request), principal_of(request)
    locale, job_title = locale_of(request), form.get("job_title")
    try:
        order = await services.approvals.approve(
            principal,
            request_id,
            presentation_id=presentation_id_of(form),
            ticked=frozenset(name for name, value in form.as_dict().items() if value == "yes"),
            job_title=job_title,
            ip=address_of(request),
            user_agent=user_agent_of(request),
        )
    except BoxNotTicked as error:
        errors = dict.fromkeys(msgspec.convert(error.extra["boxes"], list[str]), sentence(error, locale))
        if not job_title:
            errors["job_title"] = sentence(JobTitleMissing(""), locale)
        return await _show(request, request_id, errors=errors, job_title=job_title, status=422)
    except JobTitleMissing as error:
        errors = {"job_title": sentence(error, locale)}
        return await _show(request, request_id, errors=errors, job_title=job_title, status=422)
    except (*SHOWN_AFRESH, *MAY_NOT, *NOT_NOW) as error:
        return await _show(request, request_id, refused=error, job_title=job_title, status=409)
    except PresentationConsumed as error:
        order = await services.orders.find_order_by_id(principal, error.order_id)
    return await lead_on(request, order)


@post("/account/approvals/{request_id:uuid}/rejection", include_in_schema=False, summary="Do not approve")
async def reject(request: AnyRequest, request_id: FromPath[uuid.UUID]) -> Html:
    form, locale = await read_form(request), locale_of(request)
    try:
        await services_of(request).approvals.reject(principal_of(request), request_id, note=form.get("note"))
    except UnusableComment as error:
        return await _show(request, request_id, errors={"note": sentence(error, locale)}, status=422)
    except MAY_NOT as error:
        return await _show(request, request_id, refused=error, status=409)
    return redirect("/account/approvals")


async def _show(
    request: AnyRequest,
    request_id: uuid.UUID,
    *,
    errors: dict[str, str] | None = None,
    refused: DomainError | None = None,
    job_title: str | None = None,
    status: int = 200,
) -> Html:
    """To its approver the order as it is now, with a new presentation; to everybody else how it stands."""
    services, principal, locale = services_of(request), principal_of(request), locale_of(request)
    listed = await services.approvals.find(principal, request_id)
    if listed.mine or listed.request.state is not ApprovalState.WAITING:
        return _standing(request, listed, refused=refused, status=status)
    try:
        opened = await services.approvals.open(
            principal,
            request_id,
            locale=locale,
            template_digest=template_digest(APPROVAL_TEMPLATE),
            stylesheet_digest=stylesheet_digest(),
        )
    except (*MAY_NOT, *NOT_NOW) as error:
        return _standing(request, listed, refused=refused or error, status=status)
    return page(
        request,
        APPROVAL_TEMPLATE,
        status=status,
        opened=opened,
        cart=opened.cart,
        presentation=opened.presentation,
        documents=await presented_documents(request, opened.presentation),
        country_name=country_name_of(request, opened.checkout),
        errors=errors or {},
        refused=None if refused is None else sentence(refused, locale),
        job_title=principal.job_title or "" if job_title is None else job_title,
        step="review",
    )


def _standing(request: AnyRequest, listed: Listed, *, refused: DomainError | None, status: int) -> Html:
    return page(
        request,
        "account/approval_standing.html",
        status=status,
        listed=listed,
        terms=listed.request.terms,
        words=STATE_WORDS,
        tones=TONES,
        reason=REASON_WORDS[listed.request.reason],
        refused=None if refused is None else sentence(refused, locale_of(request)),
    )


HANDLERS: list[ControllerRouterHandler] = [
    proposal_page,
    send,
    withdraw,
    approval_list,
    approval_page,
    approve,
    reject,
]
