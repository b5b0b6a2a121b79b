"""What a draft would do, for programs: to what was sold, to a sample of prices; and why an order cost what it did."""

import asyncio
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from kernel.money import fixed
from pricing import impact_csv
from pricing.engine import Buyer
from pricing.engine.explain import step_text
from pricing.engine.request import PricedLine, RefusedLine
from pricing.impact import Impact
from pricing.impacts import ImpactNotFound, Standing
from pricing.service import PreviewBuyer
from web.api import wire as shared
from web.api.describing import ASKED, SENT, documented
from web.api.desk import shaping, wire_published
from web.api.desk.asking import DraftId, asked_draft, instant, person_of
from web.api.orders import Number as OrderNumber
from web.api.reading import answered, answered_unless_fresh, read_json, read_query
from web.api.webhooks import UUID
from web.http import AnyRequest, services_of
from web.why import explained, priced_again, publication_of

CSV: Final = "text/csv"
LINES_A_PIECE: Final = 2_000
_TABLES: Final = "|".join((*impact_csv.TABLES, impact_csv.LINES))
_impact_decoder: Final = msgspec.json.Decoder(wire_published.DeskImpactAsked)
_preview_decoder: Final = msgspec.json.Decoder(wire_published.DeskPreviewAsked)

ImpactId = Annotated[str, PathParameter(min_length=36, max_length=36, pattern=UUID, description="Id of an impact.")]
Table = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=20,
        pattern=f"^(orders|quotes)-({_TABLES})$",
        description="Of `orders` or `quotes`: `-totals`, `-companies`, `-categories`, `-skus`, `-steps` or `-lines`.",
    ),
]


@post(
    "/api/v1/desk/drafts/{draft:str}/impacts",
    status_code=202,
    tags=["desk"],
    operation_id="request_impact",
    summary="Work out what a draft would do to what was sold",
    response_description="The impact; a job works it out.",
    **documented(
        *(*SENT, 404, 422),
        body=wire_published.DeskImpactAsked,
        answer=wire_published.DeskImpact,
        key="needed",
        links={"get_impact": {"draft": "$response.body#/draft", "impact": "$response.body#/id"}},
    ),
)
async def request_impact(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Have past orders and open quotes priced by the draft and by the last published book. The scope is `desk:edit`."""
    asked, services = await read_json(request, _impact_decoder), services_of(request)
    found = await asked_draft(request, draft)
    impact_id = await services.impacts.request(
        found.id,
        months=int(asked.months),
        as_of=None if asked.as_of is None else instant("as_of", asked.as_of),
        by=person_of(request),
    )
    said = answered(
        await _shown(request, await services.impacts.find(impact_id)),
        headers={"location": f"/api/v1/desk/drafts/{found.id}/impacts/{impact_id}"},
    )
    said.status_code = 202
    return said


@get(
    "/api/v1/desk/drafts/{draft:str}/impacts/{impact:str}",
    tags=["desk"],
    operation_id="get_impact",
    summary="What a draft would do to what was sold",
    response_description="How far it is worked out, or its totals.",
    **documented(304, 400, 401, 403, 404, 503, answer=wire_published.DeskImpact, cached=True, key="needed"),
)
async def get_impact(request: AnyRequest, draft: DraftId, impact: ImpactId) -> Response[bytes]:
    """Show an impact; ask until `finished_at` is there. It is kept until another of the draft is worked out. The scope
    is `desk:read`.
    """
    read_query(request, shared.Asked)
    return answered_unless_fresh(request, await _shown(request, await _find(request, draft, impact)))


@get(
    "/api/v1/desk/drafts/{draft:str}/impacts/{impact:str}/{table:str}",
    tags=["desk"],
    operation_id="get_impact_table",
    summary="A table of an impact, as CSV",
    response_description="The table.",
    **documented(400, 401, 403, 404, 409, 422, 503, answer=None, media_type=CSV, key="needed"),
)
async def get_impact_table(
    request: AnyRequest, draft: DraftId, impact: ImpactId, table: Table
) -> Response[bytes] | Stream:
    """List an impact by company, category, SKU or size of the step; or every line with both prices, which are worked
    out anew: 409 when the draft or the published book changed since. The scope is `desk:read`.
    """
    read_query(request, shared.Asked)
    services, standing = services_of(request), await _find(request, draft, impact)
    kind, _, name = table.partition("-")
    if standing.report is None:
        raise ImpactNotFound("This impact is not worked out, or not yet.")
    if name == impact_csv.LINES:
        compared = await services.impacts.compare_again(standing)
        lines = impact_csv.lines(compared.orders if kind == "orders" else compared.quotes)
        return Stream(_pieces(lines), media_type=CSV)
    report: Impact = getattr(standing.report, kind)
    body = await asyncio.to_thread(lambda: "".join(impact_csv.table(report, name)).encode())
    return Response(body, media_type=CSV)


@post(
    "/api/v1/desk/drafts/{draft:str}/preview",
    status_code=200,
    tags=["desk"],
    operation_id="preview_draft",
    summary="Prices before and after",
    response_description="Each price by the book in force and by the draft.",
    **documented(
        *(*SENT, 404, 422),
        body=wire_published.DeskPreviewAsked,
        answer=wire_published.DeskPreview,
        key="needed",
    ),
)
async def preview_draft(request: AnyRequest, draft: DraftId) -> Response[bytes]:
    """Ask what some buyers would pay for some SKUs; nothing is stored. The scope is `desk:read`."""
    asked, services = await read_json(request, _preview_decoder), services_of(request)
    found = await asked_draft(request, draft)
    prices = await services.pricing.preview(
        found.id,
        buyers=[
            PreviewBuyer(
                name=str(number),
                buyer=Buyer(company=each.company, segments=each.segments, country=each.country),
                currency=each.currency,
            )
            for number, each in enumerate(asked.buyers)
        ],
        skus=asked.skus,
        quantities=asked.quantities,
        at=None if asked.at is None else instant("at", asked.at),
    )
    return answered(
        wire_published.DeskPreview(
            prices=tuple(
                wire_published.DeskPreviewPrice(
                    buyer=int(each.name),
                    currency=each.currency,
                    sku=each.sku,
                    unit=each.unit,
                    quantity=each.quantity,
                    before=None if each.before is None else _priced(each.before),
                    after=_priced(each.after),
                )
                for each in prices
            )
        )
    )


@get(
    "/api/v1/desk/orders/{number:str}/prices",
    tags=["desk"],
    operation_id="explain_order",
    summary="Why an order cost what it did",
    response_description="Each line with the trace kept with it, in words.",
    **documented(
        *(*ASKED, 304, 404),
        query=shared.OrderAsked,
        answer=wire_published.DeskOrderPrices,
        cached=True,
        key="needed",
    ),
)
async def explain_order(request: AnyRequest, number: OrderNumber) -> Response[bytes]:
    """Explain the prices of any company's order, and price it again by its own book. The scope is `desk:read`."""
    asked, services = read_query(request, shared.OrderAsked), services_of(request)
    order = (await services.order_files.open(number)).order
    publication = publication_of(services, order)
    lines = explained(order, asked.language, await priced_again(services, order))
    return answered_unless_fresh(
        request,
        wire_published.DeskOrderPrices(
            number=order.number,
            company=order.canonical["buyer"]["company"],
            currency=order.currency,
            priced_at=order.priced_at,
            price_root=order.price_root,
            publication=None if publication is None else publication.number,
            lines=tuple(
                wire_published.DeskOrderLine(
                    position=each.line.position,
                    sku=each.line.sku,
                    unit=each.line.unit,
                    quantity=f"{each.line.quantity.normalize():f}",
                    list=each.listed,
                    steps=tuple(
                        wire_published.DeskWhy(text=text, rule=rule, before=before, after=after)
                        for text, rule, before, after in each.steps
                    ),
                    losers=tuple(wire_published.DeskLost(text=text, rule=rule) for text, rule in each.losers),
                    differs=None if each.again is None else each.again.differs,
                )
                for each in lines
            ),
        ),
    )


HANDLERS: list[ControllerRouterHandler] = [
    request_impact,
    get_impact,
    get_impact_table,
    preview_draft,
    explain_order,
]


async def _find(request: AnyRequest, draft: str, impact: str) -> Standing:
    found = await asked_draft(request, draft)
    standing = await services_of(request).impacts.find(uuid.UUID(impact))
    if standing.draft_id != found.id:
        raise ImpactNotFound("There is no such impact of this draft.")
    return standing


async def _shown(request: AnyRequest, found: Standing) -> wire_published.DeskImpact:
    people = await shaping.people_of(services_of(request), [found.requested_by])
    report = found.report
    return wire_published.DeskImpact(
        id=found.id,
        draft=found.draft_id,
        months=found.months,
        as_of=found.as_of,
        requested_by=people(found.requested_by),
        requested_at=found.requested_at,
        finished_at=found.finished_at,
        lines_done=found.lines_done,
        lines_all=found.lines_all,
        problem=found.problem,
        detail=found.detail,
        current=found.current,
        report=None
        if report is None
        else wire_published.DeskImpactReport(
            draft_version=report.draft_version,
            publication=report.publication,
            since=report.since,
            until=report.until,
            at=report.at,
            orders=_sold(report.orders),
            quotes=_sold(report.quotes),
        ),
    )


def _sold(impact: Impact) -> wire_published.DeskSold:
    counts = ("lines", "raised", "lowered", "same", "lost", "gained", "unpriced", "uncosted")
    amounts = ("before", "after", "lost_amount", "gained_amount", "margin_before", "margin_after")
    return wire_published.DeskSold(
        orders=impact.orders,
        lines=impact.lines,
        totals=tuple(
            msgspec.convert(
                {name: getattr(block.total, name) for name in counts}
                | {name: fixed(getattr(block.total, name), block.decimals) for name in amounts}
                | {"currency": block.currency},
                wire_published.DeskFigures,
            )
            for block in impact.blocks
        ),
    )


def _priced(line: PricedLine | RefusedLine) -> wire_published.DeskPriced:
    if isinstance(line, RefusedLine):
        return wire_published.DeskPriced(unit_price=None, subtotal=None, list=None, steps=(), refused=line.reason)
    return wire_published.DeskPriced(
        unit_price=line.unit_price,
        subtotal=line.subtotal,
        list=line.trace.list,
        steps=tuple(step_text(step, "en") for step in line.trace.steps),
        refused=None,
    )


def _pieces(lines: Iterator[str]) -> Iterator[bytes]:
    while piece := "".join(islice(lines, LINES_A_PIECE)):
        yield piece.encode()
