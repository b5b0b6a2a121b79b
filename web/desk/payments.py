"""Payments of every company, calls to Stripe that were repeated, and what Stripe told us."""

from typing import Final
from urllib.parse import urlencode

from litestar import get
from litestar.types import ControllerRouterHandler

from checkout.model import AttemptState, EventOutcome
from checkout.stripe_log import SEARCH_LONGEST, about
from kernel.money import Money
from web.desk.words import Words
from web.http import AnyRequest, Html, locale_of, services_of
from web.pages import page

PAGE_SIZE: Final = 50


@get("/desk/payments", include_in_schema=False, summary="Payments of every company")
async def payments(request: AnyRequest) -> Html:
    asked, search, before = _asked(request)
    state = AttemptState(asked) if asked in set(AttemptState) else None
    found = await services_of(request).stripe_log.attempts(state=state, search=search, before=before, size=PAGE_SIZE)
    return page(
        request,
        "desk/payments.html",
        found=found,
        tab="payments",
        state=state,
        states=tuple(AttemptState),
        search=search,
        before=before,
        money=Money,
        words=Words(locale_of(request)),
        pages=_pages("/desk/payments", found.next_before, state=state, q=search),
    )


@get("/desk/payments/calls", include_in_schema=False, summary="Calls to Stripe that were repeated or not answered")
async def calls(request: AnyRequest) -> Html:
    _, _, before = _asked(request)
    found = await services_of(request).stripe_log.repeated_calls(before=before, size=PAGE_SIZE)
    return page(
        request,
        "desk/payments_calls.html",
        found=found,
        tab="calls",
        before=before,
        words=Words(locale_of(request)),
        pages=_pages("/desk/payments/calls", found.next_before),
    )


@get("/desk/payments/events", include_in_schema=False, summary="What Stripe told us")
async def events(request: AnyRequest) -> Html:
    asked, search, before = _asked(request)
    outcome = EventOutcome(asked) if asked in set(EventOutcome) else None
    found = await services_of(request).stripe_log.events(outcome=outcome, search=search, before=before, size=PAGE_SIZE)
    return page(
        request,
        "desk/payments_events.html",
        found=found,
        tab="events",
        state=outcome,
        states=tuple(EventOutcome),
        search=search,
        before=before,
        about=about,
        words=Words(locale_of(request)),
        pages=_pages("/desk/payments/events", found.next_before, state=outcome, q=search),
    )


HANDLERS: Final[list[ControllerRouterHandler]] = [payments, calls, events]


def _asked(request: AnyRequest) -> tuple[str, str, str | None]:
    """The state, the search and the page asked for; what is too long or cannot be is left out."""
    query = request.query_params
    search = query.get("q", "").strip()[:SEARCH_LONGEST]
    return query.get("state", ""), search, query.get("before", "")[:SEARCH_LONGEST] or None


def _pages(path: str, next_before: str | None, **kept: str | None) -> dict[str, str | None]:
    """Addresses of the newest and the next page, with what was asked for."""
    chosen = {name: value for name, value in kept.items() if value}
    return {
        "newest": f"{path}?{urlencode(chosen)}" if chosen else path,
        "next": None if next_before is None else f"{path}?{urlencode(chosen | {'before': next_before})}",
    }
