"""Which segments companies are in, for programs: what the desk's page of segments reads and changes."""

from typing import Annotated, Final

import msgspec
from litestar import Response, get, put
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from accounts.model import Company
from web.api.cursors import cursor_of, read_cursor
from web.api.describing import ASKED, SENT, documented
from web.api.desk import shaping, wire_segments
from web.api.desk.asking import person_of
from web.api.reading import answered, answered_unless_fresh, given, read_json, read_query
from web.api.wire import CODE
from web.http import AnyRequest, services_of
from web.services import Services

CHANGES_SHOWN: Final = 50
_Code = Annotated[str, Meta(pattern=CODE)]
_asked_decoder: Final = msgspec.json.Decoder(wire_segments.DeskSegmentsPut)


@get(
    "/api/v1/desk/companies",
    tags=["desk"],
    operation_id="list_companies",
    summary="Companies and their segments",
    response_description="One page of companies, by code.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire_segments.DeskCompaniesAsked,
        answer=wire_segments.DeskCompanyPage,
        cached=True,
        key="needed",
        links={"get_company_segments": {"company": "$response.body#/companies/0/code"}},
    ),
)
async def list_companies(request: AnyRequest) -> Response[bytes]:
    """List companies page by page: ask again with `cursor` set to the answer's `next`. The scope is `desk:read`."""
    asked = read_query(request, wire_segments.DeskCompaniesAsked)
    cursor = given(asked.cursor)
    found = await services_of(request).segments.list_companies(
        after="" if cursor is None else read_cursor(cursor, _Code), segment=given(asked.segment), limit=asked.limit + 1
    )
    shown = found[: asked.limit]
    return answered_unless_fresh(
        request,
        wire_segments.DeskCompanyPage(
            companies=tuple(
                wire_segments.DeskCompany(code=each.code, name=each.name, segments=tuple(sorted(each.segments)))
                for each in shown
            ),
            next=cursor_of(shown[-1].code) if len(found) > asked.limit else None,
        ),
    )


@get(
    "/api/v1/desk/segments",
    tags=["desk"],
    operation_id="get_company_segments",
    summary="The segments of a company",
    response_description="The segments, and the last changes of them.",
    **documented(
        *(*ASKED, 304, 404),
        query=wire_segments.DeskSegmentsAsked,
        answer=wire_segments.DeskSegments,
        cached=True,
        key="needed",
    ),
)
async def get_company_segments(request: AnyRequest) -> Response[bytes]:
    """Show which segments a company is in, and who changed that when and why. The scope is `desk:read`."""
    asked, services = read_query(request, wire_segments.DeskSegmentsAsked), services_of(request)
    return answered_unless_fresh(request, await _shown(services, await services.segments.find(asked.company)))


@put(
    "/api/v1/desk/segments",
    tags=["desk"],
    operation_id="put_company_segments",
    summary="Put a company into segments",
    response_description="The segments it is in now.",
    **documented(
        *(*SENT, 404, 422),
        query=wire_segments.DeskSegmentsAsked,
        body=wire_segments.DeskSegmentsPut,
        answer=wire_segments.DeskSegments,
        key="needed",
    ),
)
async def put_company_segments(request: AnyRequest) -> Response[bytes]:
    """Let a company be in these segments and no others, from now on in every channel. 409 when it is in others than
    `seen` by now; `segments` of the answer are those. The scope is `desk:edit`.
    """
    asked, put_in = read_query(request, wire_segments.DeskSegmentsAsked), await read_json(request, _asked_decoder)
    services = services_of(request)
    await services.segments.assign(
        asked.company, put_in.segments, shown=put_in.seen, reason=put_in.reason, by=person_of(request)
    )
    return answered(await _shown(services, await services.segments.find(asked.company)))


HANDLERS: list[ControllerRouterHandler] = [list_companies, get_company_segments, put_company_segments]


async def _shown(services: Services, company: Company) -> wire_segments.DeskSegments:
    changes = await services.segments.list_changes(company_id=company.id, limit=CHANGES_SHOWN)
    people = await shaping.people_of(services, [each.changed_by for each in changes])
    return wire_segments.DeskSegments(
        company=company.code,
        name=company.name,
        segments=tuple(sorted(company.segments)),
        changes=tuple(
            wire_segments.DeskSegmentChange(
                before=tuple(each.before),
                after=tuple(each.after),
                reason=each.reason,
                changed_by=people(each.changed_by),
                changed_at=each.changed_at,
            )
            for each in changes
        ),
    )
