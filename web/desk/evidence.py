"""The legal desk's search: who accepted what, when, on which order; as a page, as CSV, as the custodian's statement."""

from datetime import date
from typing import Any, Final

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from agreements import custodian
from agreements.search import ACTS, Act, Wanted, csv_lines, search
from checkout.orders import OrderUnknown
from kernel.db import for_staff
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.labels import N_
from web.pages import page, translations

SHOWN_MOST: Final = 100
EXPORTED_MOST: Final = 50_000
STATED_MOST: Final = 500
TEXT_LONGEST: Final = 200
ACT_WORDS: Final = {
    "accept": N_("accepted"),
    "sign": N_("signed with others"),
    "framework": N_("accepted a framework agreement"),
    "cite": N_("ordered by program under it"),
    "decline": N_("declined"),
    "consent": N_("consented"),
}


@get("/desk/evidence", include_in_schema=False, summary="Who accepted what")
async def evidence(request: AnyRequest) -> Html:
    services, acts = services_of(request), await _found(request, SHOWN_MOST + 1)
    return page(
        request,
        "desk/evidence.html",
        acts=acts[:SHOWN_MOST],
        more=len(acts) > SHOWN_MOST,
        values={name: request.query_params.get(name, "")[:TEXT_LONGEST] for name in FIELDS},
        asked=request.scope["query_string"].decode("ascii", "ignore"),
        act_words=ACT_WORDS,
        act_options=[(act, translations(locale_of(request)).gettext(words)) for act, words in ACT_WORDS.items()],
        captured={each for each in {act.template_digest for act in acts} if services.renderings.find(each)},
    )


@get("/desk/evidence.csv", include_in_schema=False, summary="The same as CSV")
async def evidence_csv(request: AnyRequest) -> Response[bytes]:
    acts = await _found(request, EXPORTED_MOST)
    return Response(
        "".join(csv_lines(acts)).encode(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="acceptances.csv"'},
    )


@get("/desk/evidence/statement.pdf", include_in_schema=False, summary="The custodian's statement of the same")
async def statement(request: AnyRequest) -> Response[bytes]:
    services, acts = services_of(request), await _found(request, STATED_MOST)
    await services.checkpoints.sign()  # so that the newest head covers what is stated
    async with services.db.reading(for_staff()) as session:
        made = await custodian.statement(
            session,
            services.agreements,
            acts,
            checkpoint=await services.checkpoints.latest(session),
            seller=services.merchant.legal_name,
            locale=locale_of(request),
            now=services.clock.now(),
        )
    return Response(
        made,
        media_type="application/pdf",
        headers={"content-disposition": 'attachment; filename="custodian-statement.pdf"'},
    )


HANDLERS: list[ControllerRouterHandler] = [evidence, evidence_csv, statement]
FIELDS: Final = ("company", "person", "document", "act", "order", "since", "until")


async def _found(request: AnyRequest, limit: int) -> list[Act]:
    """What the address asks for; a day or an order that cannot be read finds nothing rather than everything."""
    services = services_of(request)
    given = {name: request.query_params.get(name, "").strip()[:TEXT_LONGEST] for name in FIELDS}
    narrowed: dict[str, Any] = {name: given[name] for name in ("company", "person", "document")}
    try:
        if given["act"]:
            narrowed["act"] = ACTS[ACTS.index(given["act"])]
        for name in ("since", "until"):
            if given[name]:
                narrowed[name] = date.fromisoformat(given[name])
        if given["order"]:
            narrowed["order_id"] = (await services.orders.find_order(principal_of(request), given["order"])).id
    except (ValueError, OrderUnknown):
        return []
    async with services.db.reading(for_staff()) as session:
        return await search(session, Wanted(**narrowed), limit=limit)
