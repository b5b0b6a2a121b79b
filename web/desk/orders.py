"""Orders of every company, and one order's whole file: why each price, what happened, where the money is."""

from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout.model import Order, OrderLine
from checkout.states import OF_ORDER, State
from kernel.db import for_staff
from kernel.money import Money
from pricing.books import InForce
from pricing.engine.explain import cliff_text, loser_text, next_break_text, step_text
from pricing.engine.request import Trace
from web.desk.people import names_of
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, services_of
from web.pages import page

PAGE_SIZE: Final = 25


class ExplainedLine(msgspec.Struct, frozen=True, kw_only=True):
    """An order line with the words of the trace that was stored with it."""

    line: OrderLine
    steps: list[tuple[str, str | None, str | None, str]]
    losers: list[tuple[str, str]]
    hints: list[str]
    listed: str


@get("/desk/orders", include_in_schema=False, summary="Orders of every company")
async def orders(request: AnyRequest) -> Html:
    services, query = services_of(request), request.query_params
    asked = query.get("state", "")
    state = State(asked) if asked in set(OF_ORDER) else None
    before = query.get("before", "")[:40] or None
    found = await services.order_files.page(state=state, before=before, size=PAGE_SIZE)
    kept = {"state": state.value} if state is not None else {}
    return page(
        request,
        "desk/orders.html",
        found=found,
        state=state,
        before=before,
        total=sum(found.counts.values()),
        next_page=None if found.next_before is None else f"?{urlencode({**kept, 'before': found.next_before})}",
        first_page=f"/desk/orders?{urlencode(kept)}" if kept else "/desk/orders",
        words=Words(locale_of(request)),
    )


@get("/desk/orders/{number:str}", include_in_schema=False, summary="An order's whole file")
async def order(request: AnyRequest, number: FromPath[str]) -> Html:
    services, locale = services_of(request), locale_of(request)
    file = await services.order_files.open(number)
    async with services.db.begin(for_staff()) as session:
        acceptance = await services.agreements.acceptance(session, file.order.id)
    published = services.books.published()
    return page(
        request,
        "desk/order.html",
        file=file,
        order=file.order,
        lines=[_explained(line, locale) for line in file.order.lines],
        acceptance=acceptance,
        publication=next((entry for entry in reversed(published) if _priced(file.order, entry)), None),
        names=await names_of(
            services,
            [file.order.person_id]
            + [event.person_id for event in file.events]
            + ([] if acceptance is None else [acceptance.actor_id]),
        ),
        money=Money,
        words=Words(locale),
    )


HANDLERS: list[ControllerRouterHandler] = [orders, order]


def _priced(order: Order, entry: InForce) -> bool:
    """Whether the publication is the one the order was priced by: content published again has the same root."""
    return entry.root == order.price_root and entry.effective_at <= order.priced_at


def _explained(line: OrderLine, locale: str) -> ExplainedLine:
    trace = msgspec.convert(line.trace, Trace)
    hints: list[Any] = [] if trace.next_break is None else [next_break_text(trace.next_break, locale)]
    hints += [] if trace.cliff is None else [cliff_text(trace.cliff, f"{line.quantity.normalize():f}", locale)]
    return ExplainedLine(
        line=line,
        steps=[(step_text(step, locale), step.rule, step.before, step.after) for step in trace.steps],
        losers=[(loser_text(loser, locale), loser.rule) for loser in trace.losers],
        hints=hints,
        listed=trace.list,
    )
