"""Webhooks of every company: who is told of what, how each attempt went, and sending again."""

import uuid
from datetime import timedelta
from typing import Final

from litestar import get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from accounts.limits import TooManyAttempts
from accounts.webhooks.delivery import KEPT
from accounts.webhooks.model import EndpointState, MessageState
from accounts.webhooks.service import EndpointIsOff
from kernel.errors import DomainError
from kernel.outgoing import Failure
from web.http import AnyRequest, Html, locale_of, principal_of, services_of
from web.pages import page, redirect
from web.sentences import N_, sentence

PAGE_SIZE: Final = 50
STATES: Final = {
    EndpointState.ON: N_("on"),
    EndpointState.OFF: N_("switched off by the company"),
    EndpointState.FAILING: N_("switched off by us: it takes nothing"),
    EndpointState.GONE: N_("switched off by its own answer, 410"),
    MessageState.PENDING: N_("to be sent"),
    MessageState.DELIVERED: N_("delivered"),
    MessageState.GIVEN_UP: N_("given up"),
}
TONES: Final = {
    EndpointState.ON: "good",
    EndpointState.FAILING: "bad",
    EndpointState.GONE: "bad",
    MessageState.DELIVERED: "good",
    MessageState.PENDING: "warn",
    MessageState.GIVEN_UP: "bad",
}
FAILURES: Final = {
    Failure.REFUSED: N_("it leads to an address that we call for nobody"),
    Failure.NO_ADDRESS: N_("the name leads nowhere"),
    Failure.UNREACHABLE: N_("nobody listens there"),
    Failure.TLS: N_("no valid certificate"),
    Failure.TIMED_OUT: N_("no answer in time"),
    Failure.NO_HTTP: N_("no answer in HTTP"),
}


@get("/desk/webhooks", include_in_schema=False, summary="Webhooks of every company")
async def endpoints(request: AnyRequest) -> Html:
    rows = await services_of(request).webhooks.list_all(principal_of(request))
    return page(request, "desk/webhooks.html", rows=rows, states=STATES, tones=TONES)


@get("/desk/webhooks/{endpoint_id:uuid}", include_in_schema=False, summary="What an endpoint was sent")
async def endpoint(request: AnyRequest, endpoint_id: FromPath[uuid.UUID]) -> Html:
    return await _show_endpoint(request, endpoint_id)


@post("/desk/webhooks/{endpoint_id:uuid}/replay", include_in_schema=False, summary="Send again what was given up")
async def replay_given_up(request: AnyRequest, endpoint_id: FromPath[uuid.UUID]) -> Html:
    services = services_of(request)
    try:
        await services.webhooks.replay_window(
            principal_of(request), endpoint_id, since=services.clock.now() - KEPT - timedelta(days=1)
        )
    except (EndpointIsOff, TooManyAttempts) as error:
        return await _show_endpoint(request, endpoint_id, error)
    return redirect(f"/desk/webhooks/{endpoint_id}")


@get("/desk/webhooks/messages/{message_id:uuid}", include_in_schema=False, summary="A message and its attempts")
async def message(request: AnyRequest, message_id: FromPath[uuid.UUID]) -> Html:
    return await _show_message(request, message_id)


@post("/desk/webhooks/messages/{message_id:uuid}/replay", include_in_schema=False, summary="Send a message again")
async def replay_message(request: AnyRequest, message_id: FromPath[uuid.UUID]) -> Html:
    try:
        await services_of(request).webhooks.replay(principal_of(request), message_id)
    except (EndpointIsOff, TooManyAttempts) as error:
        return await _show_message(request, message_id, error)
    return redirect(f"/desk/webhooks/messages/{message_id}")


HANDLERS: list[ControllerRouterHandler] = [endpoints, endpoint, replay_given_up, message, replay_message]


async def _show_endpoint(request: AnyRequest, endpoint_id: uuid.UUID, error: DomainError | None = None) -> Html:
    services, principal = services_of(request), principal_of(request)
    found = await services.webhooks.find(principal, endpoint_id)
    before = request.query_params.get("before", "")
    listed = await services.webhooks.list_messages(principal, endpoint_id, before=_uuid(before), limit=PAGE_SIZE + 1)
    return page(
        request,
        "desk/webhook.html",
        status=200 if error is None else error.status,
        endpoint=found,
        listed=listed[:PAGE_SIZE],
        older=listed[PAGE_SIZE - 1].message.id if len(listed) > PAGE_SIZE else None,
        on=found.state is EndpointState.ON,
        states=STATES,
        tones=TONES,
        failures=FAILURES,
        refusal=None if error is None else sentence(error, locale_of(request)),
    )


async def _show_message(request: AnyRequest, message_id: uuid.UUID, error: DomainError | None = None) -> Html:
    file = await services_of(request).webhooks.find_message(principal_of(request), message_id)
    return page(
        request,
        "desk/webhook_message.html",
        status=200 if error is None else error.status,
        file=file,
        body=file.message.body.decode(),
        on=file.endpoint.state is EndpointState.ON,
        states=STATES,
        tones=TONES,
        failures=FAILURES,
        refusal=None if error is None else sentence(error, locale_of(request)),
    )


def _uuid(text: str) -> uuid.UUID | None:
    """None for a place that nobody gave out: the list then begins at its beginning."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
