"""What stands against a draft, and what people say of it: findings, acknowledgements, the steps of its review."""

import uuid
from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.types import ControllerRouterHandler

from pricing.engine.check import Severity
from pricing.model import ReviewStep
from web.api import wire as shared
from web.api.cursors import cursor_of
from web.api.describing import ASKED, SENT, documented
from web.api.desk import shaping, wire
from web.api.desk.asking import DraftId, asked_draft, offset_of, person_of
from web.api.reading import answered, answered_unless_fresh, given, read_json, read_query
from web.http import AnyRequest, services_of

_acknowledgement_decoder: Final = msgspec.json.Decoder(wire.DeskAcknowledgementAsked)
_review_decoder: Final = msgspec.json.Decoder(wire.DeskReviewAsked)
_return_decoder: Final = msgspec.json.Decoder(wire.DeskReturnAsked)
_comment_decoder: Final = msgspec.json.Decoder(wire.DeskCommentAsked)


@get(
    "/api/v1/desk/drafts/{draft:str}/findings",
    tags=["desk"],
    operation_id="get_draft_findings",
    summary="Check a draft",
    response_description="What stands against its publication, errors first.",
    **documented(
        *(*ASKED, 304, 404, 409, 422),
        query=wire.DeskFindingsAsked,
        answer=wire.DeskFindings,
        cached=True,
        key="needed",
    ),
)
async def get_draft_findings(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Check the draft as it would be published now. 409 when it is closed, or when others published changes of the same
    objects: `clashes` then shows `theirs` and `yours`. The scope is `desk:read`.
    """
    asked, services = read_query(request, wire.DeskFindingsAsked), services_of(request)
    start = offset_of(given(asked.cursor))
    examined = await services.pricing.examine(uuid.UUID(draft))
    end, errors = start + asked.limit, [each.finding.severity is Severity.ERROR for each in examined.findings]
    return answered_unless_fresh(
        request,
        wire.DeskFindings(
            errors=sum(errors),
            waiting=sum(
                each.acknowledged is None
                for each, is_error in zip(examined.findings, errors, strict=True)
                if not is_error
            ),
            demands=tuple(shaping.demand(each) for each in examined.demands),
            findings=await shaping.findings(services, examined.findings[start:end], asked.language),
            next=cursor_of(end) if end < len(examined.findings) else None,
        ),
    )


@post(
    "/api/v1/desk/drafts/{draft:str}/acknowledgements",
    status_code=204,
    tags=["desk"],
    operation_id="acknowledge_draft_warnings",
    summary="Accept warnings",
    response_description="They are accepted.",
    **documented(
        *(*SENT, 404, 422),
        body=wire.DeskAcknowledgementAsked,
        answer=None,
        key="needed",
    ),
)
async def acknowledge_draft_warnings(request: AnyRequest, draft: DraftId) -> None:
    """Accept warnings with a reason, which stays with the publication. 409 when one is no warning of the draft any
    more. The scope is `desk:edit`.
    """
    asked, found = await read_json(request, _acknowledgement_decoder), await asked_draft(request, draft)
    await services_of(request).pricing.acknowledge(found.id, asked.findings, reason=asked.reason, by=person_of(request))


@get(
    "/api/v1/desk/drafts/{draft:str}/review",
    tags=["desk"],
    operation_id="get_draft_review",
    summary="What was said of a draft",
    response_description="All steps of its review and all comments, oldest first.",
    **documented(304, 400, 401, 403, 404, 503, answer=wire.DeskReview, cached=True, key="needed"),
)
async def get_draft_review(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """List the steps of the review. The scope is `desk:read`."""
    read_query(request, shared.Asked)
    services, found = services_of(request), await asked_draft(request, draft)
    steps = await services.reviews.list_steps(found.id)
    return answered_unless_fresh(request, await shaping.review(services, steps))


@post(
    "/api/v1/desk/drafts/{draft:str}/submission",
    status_code=200,
    tags=["desk"],
    operation_id="submit_draft",
    summary="Ask for a review",
    response_description="The draft.",
    **documented(
        *(*SENT, 404, 422),
        body=wire.DeskReviewAsked,
        answer=wire.DeskDraft,
        key="needed",
    ),
)
async def submit_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Submit the draft for approval by somebody else. The scope is `desk:edit`."""
    asked = await read_json(request, _review_decoder)
    return await _take(request, draft, ReviewStep.SUBMITTED, version=int(asked.version), comment=asked.comment or "")


@post(
    "/api/v1/desk/drafts/{draft:str}/approval",
    status_code=200,
    tags=["desk"],
    operation_id="approve_draft",
    summary="Approve a draft",
    response_description="The draft.",
    **documented(
        *(*SENT, 404, 422),
        body=wire.DeskReviewAsked,
        answer=wire.DeskDraft,
        key="needed",
    ),
)
async def approve_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Approve a submitted draft. 422 for whoever opened, edited or submitted it, by whatever key. An edit withdraws the
    approval. The scope is `desk:approve`.
    """
    asked = await read_json(request, _review_decoder)
    return await _take(request, draft, ReviewStep.APPROVED, version=int(asked.version), comment=asked.comment or "")


@post(
    "/api/v1/desk/drafts/{draft:str}/return",
    status_code=200,
    tags=["desk"],
    operation_id="return_draft",
    summary="Refuse a draft",
    response_description="The draft.",
    **documented(
        *(*SENT, 404, 422),
        body=wire.DeskReturnAsked,
        answer=wire.DeskDraft,
        key="needed",
    ),
)
async def return_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Return a submitted or approved draft to its authors, saying why. The scope is `desk:approve`."""
    asked = await read_json(request, _return_decoder)
    return await _take(request, draft, ReviewStep.RETURNED, version=int(asked.version), comment=asked.comment)


@post(
    "/api/v1/desk/drafts/{draft:str}/comments",
    status_code=201,
    tags=["desk"],
    operation_id="comment_on_draft",
    summary="Comment on a draft",
    response_description="All that was said of it.",
    **documented(
        *(*SENT, 404, 422),
        body=wire.DeskCommentAsked,
        answer=wire.DeskReview,
        key="needed",
    ),
)
async def comment_on_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Say something that decides nothing. The scope is `desk:edit`."""
    asked, services = await read_json(request, _comment_decoder), services_of(request)
    found = await asked_draft(request, draft)
    await services.reviews.take(
        found.id, ReviewStep.COMMENTED, version=found.version, by=person_of(request), comment=asked.comment
    )
    said = answered(
        await shaping.review(services, await services.reviews.list_steps(found.id)),
        headers={"location": f"/api/v1/desk/drafts/{found.id}/review"},
    )
    said.status_code = 201
    return said


HANDLERS: list[ControllerRouterHandler] = [
    get_draft_findings,
    acknowledge_draft_warnings,
    get_draft_review,
    submit_draft,
    approve_draft,
    return_draft,
    comment_on_draft,
]


async def _take(request: AnyRequest, draft: str, step: ReviewStep, *, version: int, comment: str) -> Response[bytes]:
    services, found = services_of(request), await asked_draft(request, draft)
    await services.reviews.take(found.id, step, version=version, by=person_of(request), comment=comment)
    return answered(await shaping.draft(services, await asked_draft(request, draft)))
