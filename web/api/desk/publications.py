"""The log of publications for programs: a draft published, prices returned to, entries read and compared."""

import asyncio
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from pricing.model import DraftState, PricePublication
from pricing.service import Change
from pricing.sku_history import history_of
from web.api import wire as shared
from web.api.cursors import NoSuchPage, cursor_of, read_cursor
from web.api.describing import ASKED, SENT, documented
from web.api.desk import published, wire, wire_published
from web.api.desk.asking import DraftId, asked_draft, instant, offset_of, person_of
from web.api.reading import JSON, answered_unless_fresh, given, read_json, read_query
from web.api.repeats import claim_of
from web.desk.price_pages import SkuNotFound
from web.http import AnyRequest, services_of

NUMBER_MOST: Final = 2**31 - 1
SKU_PUBLICATIONS: Final = 50
_publication_decoder: Final = msgspec.json.Decoder(wire_published.DeskPublicationAsked)
_roll_back_decoder: Final = msgspec.json.Decoder(wire_published.DeskRollBackAsked)

Number = Annotated[int, PathParameter(ge=1, le=NUMBER_MOST, description="Number of a publication.")]
Sku = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=shared.CODE, description="Code of a SKU.")]


@post(
    "/api/v1/desk/drafts/{draft:str}/publication",
    status_code=201,
    tags=["desk"],
    operation_id="publish_draft",
    summary="Publish a draft, now or at an instant",
    response_description="The publication.",
    **documented(
        *(*SENT, 404, 422),
        body=wire_published.DeskPublicationAsked,
        answer=wire_published.DeskPublication,
        key="needed",
        links={"get_publication": {"number": "$response.body#/number"}},
    ),
)
async def publish_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Put the draft's prices in force. It has to be approved as it is, have no error, and every warning acknowledged.
    409 when others published changes of the same objects: `clashes` shows both sides. A publication is not cancelled:
    publish or roll back to other prices at the same instant, and they take its place. The scope is `desk:publish`.
    """
    asked, services = await read_json(request, _publication_decoder), services_of(request)
    found, claim = await asked_draft(request, draft), claim_of(request.scope)
    made = None
    if claim is not None and claim.again and found.state is DraftState.PUBLISHED:
        made = await services.pricing.find_publication_of(found.id)  # by this very call, before its process died
    if made is None:
        made = await services.pricing.publish(
            found.id,
            by=person_of(request),
            effective_at=None if asked.effective_at is None else instant("effective_at", asked.effective_at),
            note=asked.note,
        )
    return await _made(request, made)


@post(
    "/api/v1/desk/publications/{number:int}/rollback",
    status_code=201,
    tags=["desk"],
    operation_id="roll_back",
    summary="Return to the prices of a publication",
    response_description="The new publication of the old prices.",
    **documented(
        *(*SENT, 404, 422),
        body=wire_published.DeskRollBackAsked,
        answer=wire_published.DeskPublication,
        key="needed",
        links={"get_publication": {"number": "$response.body#/number"}},
    ),
)
async def roll_back(request: AnyRequest, number: Number) -> Response[bytes]:
    """Publish the content of a publication once more; nothing of the log is changed. What today's catalogue has against
    it is 422 with the `findings`, unless `accept_findings`. The scope is `desk:publish`.
    """
    asked = await read_json(request, _roll_back_decoder)
    made = await services_of(request).pricing.roll_back(
        number,
        by=person_of(request),
        effective_at=None if asked.effective_at is None else instant("effective_at", asked.effective_at),
        note=asked.note,
        acknowledge=asked.note if asked.accept_findings else None,
    )
    return await _made(request, made)


@get(
    "/api/v1/desk/publications",
    tags=["desk"],
    operation_id="list_publications",
    summary="Publications, newest first",
    response_description="One page of publications.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire.DeskPageAsked,
        answer=wire_published.DeskPublicationPage,
        cached=True,
        key="needed",
        links={"get_publication": {"number": "$response.body#/publications/0/number"}},
    ),
)
async def list_publications(request: AnyRequest) -> Response[bytes]:
    """List publications page by page: past, in force, upcoming. The scope is `desk:read`."""
    asked, services = read_query(request, wire.DeskPageAsked), services_of(request)
    cursor = given(asked.cursor)
    before = None if cursor is None else read_cursor(cursor, int)
    if before is not None and not 0 <= before <= NUMBER_MOST:
        raise NoSuchPage("This cursor is none of ours. Send the `next` of a page as it is, or begin without.")
    found = await services.pricing.list_publications(asked.limit + 1, before=before)
    shown = found[: asked.limit]
    return answered_unless_fresh(
        request,
        wire_published.DeskPublicationPage(
            publications=await published.summaries(services, shown),
            next=cursor_of(shown[-1].number) if len(found) > asked.limit else None,
        ),
    )


@get(
    "/api/v1/desk/publications/{number:int}",
    tags=["desk"],
    operation_id="get_publication",
    summary="One publication",
    response_description="The publication: who, when, why, how it was allowed, what stood against it.",
    **documented(304, 400, 401, 403, 404, 503, answer=wire_published.DeskPublication, cached=True, key="needed"),
)
async def get_publication(request: AnyRequest, number: Number) -> Response[bytes]:
    """Show a publication. The scope is `desk:read`."""
    read_query(request, shared.Asked)
    services = services_of(request)
    found = await services.pricing.find_publication(number)
    return answered_unless_fresh(request, await published.publication(services, found))


@get(
    "/api/v1/desk/comparison",
    tags=["desk"],
    operation_id="compare_publications",
    summary="Compare two publications",
    response_description="One page of what is otherwise.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire_published.DeskComparisonAsked,
        answer=wire_published.DeskComparison,
        cached=True,
        key="needed",
    ),
)
async def compare_publications(request: AnyRequest) -> Response[bytes]:
    """List what the newer publication has otherwise than the older, by kind and key. The scope is `desk:read`."""
    asked = read_query(request, wire_published.DeskComparisonAsked)
    start, kind = offset_of(given(asked.cursor)), given(asked.kind)
    changes = await services_of(request).pricing.compare(asked.older, asked.newer)
    if kind is not None:
        changes = tuple(change for change in changes if change.kind == kind)
    end = start + asked.limit
    return answered_unless_fresh(
        request,
        wire_published.DeskComparison(
            older=asked.older,
            newer=asked.newer,
            total=len(changes),
            differences=differences(changes[start:end]),
            next=cursor_of(end) if end < len(changes) else None,
        ),
    )


@get(
    "/api/v1/desk/skus/{sku:str}/history",
    tags=["desk"],
    operation_id="get_sku_history",
    summary="What publications did to a SKU",
    response_description="The publications that changed its rows, newest first.",
    **documented(304, 400, 401, 403, 404, 503, answer=wire_published.DeskSkuHistory, cached=True, key="needed"),
)
async def get_sku_history(request: AnyRequest, sku: Sku) -> Response[bytes]:
    """List what the last 50 publications changed of a SKU's rows, and who did it. The scope is `desk:read`."""
    read_query(request, shared.Asked)
    services = services_of(request)
    known = await services.catalog.find_skus([sku])
    found = await history_of(services.pricing, sku, most=SKU_PUBLICATIONS)
    if not known and not found.priced:
        raise SkuNotFound(f"The catalogue has no SKU {sku}.", sku=sku)
    summaries = await published.summaries(services, [step.publication for step in found.steps])
    return answered_unless_fresh(
        request,
        wire_published.DeskSkuHistory(
            sku=sku,
            steps=tuple(
                wire_published.DeskSkuStep(publication=summary, differences=differences(step.changes))
                for summary, step in zip(summaries, found.steps, strict=True)
            ),
            looked_at=found.looked_at,
        ),
    )


HANDLERS: list[ControllerRouterHandler] = [
    publish_draft,
    roll_back,
    list_publications,
    get_publication,
    compare_publications,
    get_sku_history,
]


def differences(changes: tuple[Change, ...]) -> tuple[wire_published.DeskDifference, ...]:
    return tuple(
        wire_published.DeskDifference(kind=each.kind, key=each.key, before=each.before, after=each.after)
        for each in changes
    )


async def _made(request: AnyRequest, made: PricePublication) -> Response[bytes]:
    shown = await published.publication(services_of(request), made)
    return Response(
        await asyncio.to_thread(msgspec.json.encode, shown),
        status_code=201,
        media_type=JSON,
        headers={"location": f"/api/v1/desk/publications/{made.number}"},
    )
