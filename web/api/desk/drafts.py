"""Drafts for programs: begun, listed, read, discarded."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.types import ControllerRouterHandler

from pricing.model import DraftState
from web.api import wire as shared
from web.api.cursors import cursor_of, read_cursor
from web.api.describing import ASKED, SENT, documented
from web.api.desk import shaping, wire
from web.api.desk.asking import DraftId, asked_draft, offset_of, person_of
from web.api.reading import JSON, answered, answered_unless_fresh, given, read_json, read_query
from web.api.repeats import claim_of
from web.http import AnyRequest, services_of

_asked_decoder: Final = msgspec.json.Decoder(wire.DeskDraftAsked)
OF_DRAFT: Final = {
    operation: {"draft": "$response.body#/id"}
    for operation in (
        "get_draft",
        "list_draft_objects",
        "list_draft_changes",
        "get_draft_findings",
        "get_draft_review",
        "discard_draft",
    )
}


@get(
    "/api/v1/desk/drafts",
    tags=["desk"],
    operation_id="list_drafts",
    summary="Price drafts, newest first",
    response_description="One page of drafts.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire.DeskDraftsAsked,
        answer=wire.DeskDraftPage,
        cached=True,
        key="needed",
        links={"get_draft": {"draft": "$response.body#/drafts/0/id"}},
    ),
)
async def list_drafts(request: AnyRequest) -> Response[bytes]:
    """List drafts page by page: ask again with `cursor` set to the answer's `next`. The scope is `desk:read`."""
    asked = read_query(request, wire.DeskDraftsAsked)
    cursor, state, services = given(asked.cursor), given(asked.state), services_of(request)
    found = await services.pricing.list_drafts(
        None if state is None else DraftState(state),
        limit=asked.limit + 1,
        before=None if cursor is None else read_cursor(cursor, tuple[datetime, UUID]),
    )
    shown = found[: asked.limit]
    people = await shaping.people_of(services, [each.author_id for each in shown])
    return answered_unless_fresh(
        request,
        wire.DeskDraftPage(
            drafts=tuple(shaping.draft_summary(each, people) for each in shown),
            next=cursor_of((shown[-1].created_at, shown[-1].id)) if len(found) > asked.limit else None,
        ),
    )


@post(
    "/api/v1/desk/drafts",
    status_code=201,
    tags=["desk"],
    operation_id="create_draft",
    summary="Begin a price draft",
    response_description="The draft, which changes nothing yet.",
    **documented(
        *SENT,
        body=wire.DeskDraftAsked,
        answer=wire.DeskDraft,
        key="needed",
        links=OF_DRAFT,
    ),
)
async def create_draft(request: AnyRequest) -> Response[bytes]:
    """Begin a draft over what is published last. Whoever opens or edits it is its author, and does not approve it. The
    scope is `desk:edit`.
    """
    asked, services = await read_json(request, _asked_decoder), services_of(request)
    claim = claim_of(request.scope)
    found = await services.pricing.open_draft(
        title=asked.title, by=person_of(request), draft_id=None if claim is None else claim.id
    )
    return Response(
        msgspec.json.encode(await shaping.draft(services, found)),
        status_code=201,
        media_type=JSON,
        headers={"location": f"/api/v1/desk/drafts/{found.id}"},
    )


@get(
    "/api/v1/desk/drafts/{draft:str}",
    tags=["desk"],
    operation_id="get_draft",
    summary="One price draft",
    response_description="The draft, and how far its review is.",
    **documented(304, 400, 401, 403, 404, 503, answer=wire.DeskDraft, cached=True, key="needed", links=OF_DRAFT),
)
async def get_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Show a draft. The scope is `desk:read`."""
    read_query(request, shared.Asked)
    found = await asked_draft(request, draft)
    return answered_unless_fresh(request, await shaping.draft(services_of(request), found))


@post(
    "/api/v1/desk/drafts/{draft:str}/discard",
    status_code=200,
    tags=["desk"],
    operation_id="discard_draft",
    summary="Discard a price draft",
    response_description="The draft, closed.",
    **documented(400, 401, 403, 404, 503, answer=wire.DeskDraft, key="needed"),
)
async def discard_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Close a draft for good, unpublished. The scope is `desk:edit`."""
    services, found = services_of(request), await asked_draft(request, draft)
    await services.pricing.discard_draft(found.id)
    return answered(await shaping.draft(services, await asked_draft(request, draft)))


@get(
    "/api/v1/desk/drafts/{draft:str}/changes",
    tags=["desk"],
    operation_id="list_draft_changes",
    summary="What a draft changes",
    response_description="One page of changes.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire.DeskPageAsked,
        answer=wire.DeskChangePage,
        cached=True,
        key="needed",
    ),
)
async def list_draft_changes(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """List what the draft has otherwise than the book it began from, by kind and key. The scope is `desk:read`."""
    asked, services = read_query(request, wire.DeskPageAsked), services_of(request)
    start, found = offset_of(given(asked.cursor)), await asked_draft(request, draft)
    changes = await services.pricing.list_changes(found.id, start=start, limit=asked.limit)
    total = await services.pricing.count_changes(found.id)
    people = await shaping.people_of(services, [each.changed_by for each in changes])
    return answered_unless_fresh(
        request,
        wire.DeskChangePage(
            changes=tuple(shaping.change(each, people) for each in changes),
            total=total,
            next=cursor_of(start + asked.limit) if start + asked.limit < total else None,
        ),
    )


HANDLERS: list[ControllerRouterHandler] = [list_drafts, create_draft, get_draft, discard_draft, list_draft_changes]
