"""Orders of every company, and one order's whole file: why each price, what happened, where the money is."""

from typing import Final
from urllib.parse import urlencode

from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from checkout.parts import parts_left
from checkout.states import OF_ORDER, State
from kernel.db import for_staff
from kernel.money import Money
from web.access import Access, allows
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.pages import page
from web.people import names_of
from web.why import explained, priced_again, publication_of

PAGE_SIZE: Final = 25


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
    return await show_order(request, number)


@get("/desk/orders/{number:str}/prices", include_in_schema=False, summary="Why an order's lines cost what they do")
async def order_prices(request: AnyRequest, number: FromPath[str]) -> Html:
    """Each line with the trace kept with it, and priced again."""
    services = services_of(request)
    order = (await services.order_files.open(number)).order
    return page(
        request,
        "desk/order_prices.html",
        order=order,
        lines=explained(order, locale_of(request), await priced_again(services, order)),
        publication=publication_of(services, order),
        finance=allows(Access.FINANCE, principal_of(request)),
    )


HANDLERS: list[ControllerRouterHandler] = [orders, order, order_prices]


async def show_order(request: AnyRequest, number: str, *, refusal: str = "", status: int = 200) -> Html:
    """An order's whole file; with *refusal*, why an act on it was not done."""
    services, locale = services_of(request), locale_of(request)
    file = await services.order_files.open(number)
    async with services.db.reading(for_staff()) as session:
        acceptance = await services.agreements.acceptance(session, file.order.id)
    return page(
        request,
        "desk/order.html",
        status=status,
        refusal=refusal,
        held=file.order.state is State.AUTHORISED,
        file=file,
        order=file.order,
        lines=explained(file.order, locale),
        acceptance=acceptance,
        publication=publication_of(services, file.order),
        names=await names_of(
            services,
            [file.order.person_id]
            + [event.person_id for event in file.events]
            + [refund.requested_by for refund in file.refunds]
            + ([] if acceptance is None else [acceptance.actor_id]),
        ),
        finance=allows(Access.FINANCE, principal_of(request)),
        refundable=any(parts_left(file.order, file.refunds, file.disputes)),
        cancellable=file.order.state is State.PAID and any(parts_left(file.order, file.refunds, file.disputes)),
        money=Money,
        words=Words(locale),
    )
