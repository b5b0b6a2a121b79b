"""What a draft would do to past orders and open quotes: asked for, waited for, read, taken along as files."""

import asyncio
import uuid
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from accounts import store as accounts_store
from catalog.views import CategoryNode
from kernel.db import for_accounts
from pricing import impact_csv
from pricing.facts import category_code
from pricing.impact import Block, Impact
from pricing.impacts import MONTHS, ImpactNotFound, Standing
from pricing.model import PriceDraft
from pricing.service import PublicationNotFound
from web.desk.drafts import find_draft, frame
from web.desk.fields import Typed, summary_of
from web.desk.impact_view import (
    HALF_WIDTH,
    ROW_BAR,
    ROW_HEIGHT,
    STEP_GAP,
    STEP_WIDTH,
    Name,
    ShownBlock,
    shown,
    skus_named,
)
from web.http import AnyRequest, Html, locale_of, principal_of, read_form, services_of
from web.pages import page, redirect
from web.people import names_of
from web.sentences import sentence, sentence_of

CSV: Final = "text/csv"
KINDS: Final = ("orders", "quotes")
LINES_A_PIECE: Final = 2_000


class ShownImpact(msgspec.Struct, frozen=True, kw_only=True):
    """*kind*: `orders` or `quotes`."""

    kind: str
    orders: int
    lines: int
    blocks: tuple[ShownBlock, ...]


@get("/desk/prices/drafts/{draft:str}/impact", include_in_schema=False, summary="What a draft does to what was sold")
async def impact_page(request: AnyRequest, draft: FromPath[str]) -> Html:
    """The last impact asked for: how far its job is, what it found, or what kept it from being."""
    return await _page(request, await find_draft(request, draft), values={}, errors={})


@post("/desk/prices/drafts/{draft:str}/impact", include_in_schema=False, summary="Work the impact of a draft out")
async def ask_impact(request: AnyRequest, draft: FromPath[str]) -> Html:
    form, services, locale = await read_form(request), services_of(request), locale_of(request)
    found = await find_draft(request, draft)
    typed = Typed(form, locale)
    months = typed.choice("months", [str(number) for number in MONTHS])
    as_of = typed.instant("at")
    if not typed.errors:
        try:
            await services.impacts.request(
                found.id, months=int(months), as_of=as_of, by=principal_of(request).person_id
            )
        except PublicationNotFound as error:
            typed.errors["months"] = sentence(error, locale)
        else:
            return redirect(f"/desk/prices/drafts/{found.id}/impact")
    return await _page(request, found, values=form.as_dict(), errors=typed.errors)


@get(
    "/desk/prices/drafts/{draft:str}/impact/{impact:str}/{table:str}",
    include_in_schema=False,
    summary="A table of an impact, or all its lines, as CSV",
)
async def impact_file(
    request: AnyRequest, draft: FromPath[str], impact: FromPath[str], table: FromPath[str]
) -> Response[bytes] | Stream:
    """*table*: like `orders-skus.csv`. The lines are priced anew, by the same books as of the same instant."""
    services, standing = services_of(request), await _standing(request, draft, impact)
    kind, _, name = table.removesuffix(".csv").partition("-")
    if standing.report is None or kind not in KINDS or not table.endswith(".csv"):
        raise ImpactNotFound("This impact has no such table.")
    headers = {"content-disposition": f'attachment; filename="impact-{kind}-{name}.csv"'}
    if name == impact_csv.LINES:
        compared = await services.impacts.compare_again(standing)
        lines = impact_csv.lines(compared.orders if kind == "orders" else compared.quotes)
        return Stream(_pieces(lines), media_type=CSV, headers=headers)
    if name not in impact_csv.TABLES:
        raise ImpactNotFound("This impact has no such table.")
    report: Impact = getattr(standing.report, kind)
    body = await asyncio.to_thread(lambda: "".join(impact_csv.table(report, name)).encode())
    return Response(body, media_type=CSV, headers=headers)


HANDLERS: Final[list[ControllerRouterHandler]] = [impact_page, ask_impact, impact_file]


async def _standing(request: AnyRequest, draft: str, impact: str) -> Standing:
    found = await find_draft(request, draft)
    try:
        standing = await services_of(request).impacts.find(uuid.UUID(impact))
    except ValueError:
        raise ImpactNotFound("There is no such impact.") from None
    if standing.draft_id != found.id:
        raise ImpactNotFound("There is no such impact of this draft.")
    return standing


def _pieces(lines: Iterator[str]) -> Iterator[bytes]:
    while piece := "".join(islice(lines, LINES_A_PIECE)):
        yield piece.encode()


async def _page(request: AnyRequest, draft: PriceDraft, *, values: dict[str, str], errors: dict[str, str]) -> Html:
    services, locale = services_of(request), locale_of(request)
    standing = await services.impacts.find_last(draft.id)
    report = None if standing is None else standing.report
    impacts = [] if report is None else [(kind, getattr(report, kind)) for kind in KINDS]
    names = await _names(request, [block for _, impact in impacts for block in impact.blocks])
    problem = None
    if standing is not None and standing.problem is not None:
        problem = sentence_of(standing.problem, standing.detail or "", {}, locale)
    months = str(standing.months) if standing is not None else str(MONTHS[1])
    return page(
        request,
        "desk/impact.html",
        status=422 if errors else 200,
        **await frame(request, draft, "impact"),
        standing=standing,
        report=report,
        problem=problem,
        impacts=[
            ShownImpact(
                kind=kind,
                orders=impact.orders,
                lines=impact.lines,
                blocks=tuple(shown(block, names) for block in impact.blocks),
            )
            for kind, impact in impacts
        ],
        tables=(*impact_csv.TABLES, impact_csv.LINES),
        half=HALF_WIDTH,
        row_height=ROW_HEIGHT,
        row_bar=ROW_BAR,
        step_width=STEP_WIDTH - 2 * STEP_GAP,
        months=MONTHS,
        requested_by=""
        if standing is None
        else (await names_of(services, [standing.requested_by]))[standing.requested_by],
        values={"months": months, **values},
        errors=errors,
        summary=summary_of(errors, locale),
    )


async def _names(request: AnyRequest, blocks: list[Block]) -> dict[str, Name]:
    """What the companies, categories and SKUs of these blocks are called."""
    services, locale = services_of(request), locale_of(request)
    if not blocks:
        return {}
    async with services.db.reading(for_accounts()) as session:
        companies = {company.code: company.name for company in await accounts_store.list_companies(session)}
    nodes = _nodes(await services.catalog.list_categories(locale))
    categories = {node.code: node.names.in_(locale) for node in nodes}
    known = await services.catalog.find_skus(sorted(set(chain.from_iterable(map(skus_named, blocks)))))
    skus = {code: view.names.in_(locale) for code, view in known.items()}
    return {
        "companies": lambda code: companies.get(code, code),
        "categories": lambda path: categories.get(category_code(path), category_code(path)),
        "skus": lambda code: skus.get(code, ""),
    }


def _nodes(tree: tuple[CategoryNode, ...]) -> Iterator[CategoryNode]:
    for node in tree:
        yield node
        yield from _nodes(node.children)
