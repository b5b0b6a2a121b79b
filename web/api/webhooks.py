"""Webhooks out for programs: a company's endpoints, what they were sent, and sending it again."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from accounts.webhooks import model
from accounts.webhooks.events import EventType
from accounts.webhooks.service import ListedMessage, MessageFile
from web.api import wire
from web.api import wire_webhooks as wires
from web.api.cursors import cursor_of, read_cursor
from web.api.describing import ASKED, SENT, documented
from web.api.reading import (
    JSON,
    BodyMalformed,
    answered,
    answered_unless_fresh,
    given,
    read_json,
    read_query,
)
from web.api.repeats import claim_of
from web.http import AnyRequest, principal_of, services_of

UUID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_endpoint_decoder: Final = msgspec.json.Decoder(wires.WebhookEndpointAsked)
_change_decoder: Final = msgspec.json.Decoder(wires.WebhookEndpointChange)
_replay_decoder: Final = msgspec.json.Decoder(wires.WebhookReplayAsked)

EndpointId = Annotated[
    str, PathParameter(min_length=36, max_length=36, pattern=UUID, description="Id of a webhook endpoint.")
]
MessageId = Annotated[
    str, PathParameter(min_length=36, max_length=36, pattern=UUID, description="Id of a message: its `webhook-id`.")
]


@get(
    "/api/v1/webhook-endpoints",
    tags=["webhooks"],
    operation_id="list_webhook_endpoints",
    summary="Where your company is told of things",
    response_description="All endpoints, oldest first.",
    **documented(304, 400, 401, 403, 503, answer=wires.WebhookEndpointList, cached=True, key="needed"),
)
async def list_endpoints(request: AnyRequest) -> Response[bytes]:
    """List the endpoints of the key's company. The scope is `webhooks:manage`."""
    read_query(request, wire.Asked)
    found = await services_of(request).webhooks.list_endpoints(principal_of(request))
    return answered_unless_fresh(request, wires.WebhookEndpointList(endpoints=tuple(_endpoint(each) for each in found)))


@post(
    "/api/v1/webhook-endpoints",
    status_code=201,
    tags=["webhooks"],
    operation_id="create_webhook_endpoint",
    summary="Have your company told of things at an address",
    response_description="The endpoint with its secret, shown this once.",
    **documented(
        *(*SENT, 422),
        body=wires.WebhookEndpointAsked,
        answer=wires.WebhookEndpointWithSecret,
        key="needed",
        links={
            "get_webhook_endpoint": {"endpoint_id": "$response.body#/endpoint/id"},
            "change_webhook_endpoint": {"endpoint_id": "$response.body#/endpoint/id"},
            "rotate_webhook_secret": {"endpoint_id": "$response.body#/endpoint/id"},
            "test_webhook_endpoint": {"endpoint_id": "$response.body#/endpoint/id"},
            "list_webhook_messages": {"endpoint_id": "$response.body#/endpoint/id"},
            "replay_webhook_messages": {"endpoint_id": "$response.body#/endpoint/id"},
            "delete_webhook_endpoint": {"endpoint_id": "$response.body#/endpoint/id"},
        },
    ),
)
async def create_endpoint(request: AnyRequest) -> Response[bytes]:
    """Make an endpoint. It is told of what happens from now on; send it a test to see that it takes messages. A company
    has ten at most. The scope is `webhooks:manage`, and for each event the one by which the key could read of it.
    """
    asked = await read_json(request, _endpoint_decoder)
    claim = claim_of(request.scope)
    endpoint, secret = await services_of(request).webhooks.create(
        principal_of(request),
        url=asked.url,
        event_types=_events(asked.event_types),
        description=asked.description,
        endpoint_id=None if claim is None else claim.id,
    )
    return Response(
        msgspec.json.encode(wires.WebhookEndpointWithSecret(endpoint=_endpoint(endpoint), secret=secret)),
        status_code=201,
        media_type=JSON,
        headers={"location": f"/api/v1/webhook-endpoints/{endpoint.id}", "cache-control": "no-store"},
    )


@get(
    "/api/v1/webhook-endpoints/{endpoint_id:str}",
    tags=["webhooks"],
    operation_id="get_webhook_endpoint",
    summary="One endpoint",
    response_description="The endpoint, without its secret.",
    **documented(304, 400, 401, 403, 404, 503, answer=wires.WebhookEndpoint, cached=True, key="needed"),
)
async def get_endpoint(request: AnyRequest, endpoint_id: EndpointId) -> Response[bytes]:
    """Show an endpoint. Another company's answers as one that does not exist. The scope is `webhooks:manage`."""
    read_query(request, wire.Asked)
    found = await services_of(request).webhooks.find(principal_of(request), uuid.UUID(endpoint_id))
    return answered_unless_fresh(request, _endpoint(found))


@patch(
    "/api/v1/webhook-endpoints/{endpoint_id:str}",
    tags=["webhooks"],
    operation_id="change_webhook_endpoint",
    summary="Change an endpoint, or switch it on or off",
    response_description="The endpoint as it is now.",
    **documented(
        *(*SENT, 404, 422),
        body=wires.WebhookEndpointChange,
        answer=wires.WebhookEndpoint,
        key="needed",
    ),
)
async def change_endpoint(request: AnyRequest, endpoint_id: EndpointId) -> Response[bytes]:
    """Change what is given. Switched on again, it is told of what happens from then on; ask for what it missed by a
    replay. The scopes are those of its making.
    """
    asked = await read_json(request, _change_decoder)
    events = given(asked.event_types)
    found = await services_of(request).webhooks.change(
        principal_of(request),
        uuid.UUID(endpoint_id),
        url=given(asked.url),
        event_types=None if events is None else _events(events),
        description=given(asked.description),
        on=given(asked.enabled),
    )
    return answered(_endpoint(found))


@delete(
    "/api/v1/webhook-endpoints/{endpoint_id:str}",
    status_code=204,
    tags=["webhooks"],
    operation_id="delete_webhook_endpoint",
    summary="Delete an endpoint and all that it was sent",
    response_description="It is gone.",
    **documented(400, 401, 403, 404, 503, answer=None, key="needed"),
)
async def delete_endpoint(request: AnyRequest, endpoint_id: EndpointId) -> None:
    """Delete an endpoint; nothing that waits for it is sent any more. The scope is `webhooks:manage`."""
    await services_of(request).webhooks.delete(principal_of(request), uuid.UUID(endpoint_id))


@post(
    "/api/v1/webhook-endpoints/{endpoint_id:str}/secret",
    status_code=200,
    tags=["webhooks"],
    operation_id="rotate_webhook_secret",
    summary="Give an endpoint a new secret",
    response_description="The endpoint with its new secret, shown this once.",
    **documented(400, 401, 403, 404, 503, answer=wires.WebhookEndpointWithSecret, key="needed"),
)
async def rotate_secret(request: AnyRequest, endpoint_id: EndpointId) -> Response[bytes]:
    """Rotate the secret. For a day messages carry a signature by each of the two; a rotation within it ends the older
    one at once. The scope is `webhooks:manage`.
    """
    found, secret = await services_of(request).webhooks.rotate_secret(principal_of(request), uuid.UUID(endpoint_id))
    body = wires.WebhookEndpointWithSecret(endpoint=_endpoint(found), secret=secret)
    return answered(body, headers={"cache-control": "no-store"})


@post(
    "/api/v1/webhook-endpoints/{endpoint_id:str}/test",
    status_code=202,
    tags=["webhooks"],
    operation_id="test_webhook_endpoint",
    summary="Send an endpoint a test",
    response_description="The message, which is on its way.",
    **documented(
        *(*ASKED, 404),
        answer=wires.WebhookMessage,
        key="needed",
        links={
            "get_webhook_message": {"message_id": "$response.body#/id"},
            "replay_webhook_message": {"message_id": "$response.body#/id"},
        },
    ),
)
async def send_test(request: AnyRequest, endpoint_id: EndpointId) -> Response[bytes]:
    """Send a message of the type `webhook.test`, whatever the endpoint listens to. The scope is `webhooks:manage`."""
    found = await services_of(request).webhooks.send_test(principal_of(request), uuid.UUID(endpoint_id))
    return _accepted(_message(ListedMessage(message=found, last=None)))


@post(
    "/api/v1/webhook-endpoints/{endpoint_id:str}/replay",
    status_code=202,
    tags=["webhooks"],
    operation_id="replay_webhook_messages",
    summary="Send again what an endpoint missed",
    response_description="How many messages are on their way.",
    **documented(
        *(*SENT, 404),
        body=wires.WebhookReplayAsked,
        answer=wires.WebhookReplay,
        key="needed",
    ),
)
async def replay_window(request: AnyRequest, endpoint_id: EndpointId) -> Response[bytes]:
    """Send messages of a window again, with their ids and bodies as they were. The scope is `webhooks:manage`."""
    asked = await read_json(request, _replay_decoder)
    count = await services_of(request).webhooks.replay_window(
        principal_of(request),
        uuid.UUID(endpoint_id),
        since=_instant("since", asked.since),
        until=None if asked.until is None else _instant("until", asked.until),
        delivered_too=asked.delivered_too,
    )
    return _accepted(wires.WebhookReplay(count=count))


@get(
    "/api/v1/webhook-endpoints/{endpoint_id:str}/messages",
    tags=["webhooks"],
    operation_id="list_webhook_messages",
    summary="What an endpoint was sent, newest first",
    response_description="One page of messages.",
    **documented(
        *(*ASKED, 304, 404),
        query=wires.WebhookMessagesAsked,
        answer=wires.WebhookMessagePage,
        cached=True,
        key="needed",
        links={
            "get_webhook_message": {"message_id": "$response.body#/messages/0/id"},
            "replay_webhook_message": {"message_id": "$response.body#/messages/0/id"},
        },
    ),
)
async def list_messages(request: AnyRequest, endpoint_id: EndpointId) -> Response[bytes]:
    """List messages page by page: ask again with `cursor` set to the answer's `next`. They are kept for 30 days. The
    scope is `webhooks:manage`.
    """
    asked = read_query(request, wires.WebhookMessagesAsked)
    cursor, state = given(asked.cursor), given(asked.state)
    found = await services_of(request).webhooks.list_messages(
        principal_of(request),
        uuid.UUID(endpoint_id),
        state=None if state is None else model.MessageState(state),
        before=None if cursor is None else read_cursor(cursor, uuid.UUID),
        limit=asked.limit + 1,
    )
    shown = found[: asked.limit]
    return answered_unless_fresh(
        request,
        wires.WebhookMessagePage(
            messages=tuple(_message(each) for each in shown),
            next=cursor_of(shown[-1].message.id) if len(found) > asked.limit else None,
        ),
    )


@get(
    "/api/v1/webhook-messages/{message_id:str}",
    tags=["webhooks"],
    operation_id="get_webhook_message",
    summary="One message with every attempt",
    response_description="The message, its body, and its attempts.",
    **documented(304, 400, 401, 403, 404, 503, answer=wires.WebhookMessageFile, cached=True, key="needed"),
)
async def get_message(request: AnyRequest, message_id: MessageId) -> Response[bytes]:
    """Show a message. Another company's answers as one that does not exist. The scope is `webhooks:manage`."""
    read_query(request, wire.Asked)
    found = await services_of(request).webhooks.find_message(principal_of(request), uuid.UUID(message_id))
    return answered_unless_fresh(request, _file(found))


@post(
    "/api/v1/webhook-messages/{message_id:str}/replay",
    status_code=202,
    tags=["webhooks"],
    operation_id="replay_webhook_message",
    summary="Send a message again",
    response_description="The message, which is on its way.",
    **documented(400, 401, 403, 404, 503, answer=wires.WebhookMessageFile, key="needed"),
)
async def replay_message(request: AnyRequest, message_id: MessageId) -> Response[bytes]:
    """Send a message again, delivered or not, with its id and body as they were; the attempts begin anew. The scope is
    `webhooks:manage`.
    """
    found = await services_of(request).webhooks.replay(principal_of(request), uuid.UUID(message_id))
    return _accepted(_file(found))


HANDLERS: list[ControllerRouterHandler] = [
    list_endpoints,
    create_endpoint,
    get_endpoint,
    change_endpoint,
    delete_endpoint,
    rotate_secret,
    send_test,
    replay_window,
    list_messages,
    get_message,
    replay_message,
]


def _accepted(body: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=202, media_type=JSON)


def _events(names: tuple[wires.EventName, ...]) -> list[EventType]:
    return [EventType(name.value) for name in names]


def _instant(field: str, text: str) -> datetime:
    """:raises BodyMalformed: for a date that no calendar has"""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        message = f"{text} is no instant that ever was."
        raise BodyMalformed(f"{field}: {message}", errors=[{"field": field, "message": message}]) from None


def _endpoint(found: model.WebhookEndpoint) -> wires.WebhookEndpoint:
    return wires.WebhookEndpoint(
        id=found.id,
        url=found.url,
        event_types=tuple(wires.EventName(each) for each in found.event_types),
        description=found.description,
        state=wires.EndpointState(found.state.value),
        state_since=found.state_since,
        failing_since=found.failing_since,
        previous_secret_until=found.previous_secret_until,
        created_at=found.created_at,
        changed_at=found.changed_at,
    )


def _message(found: ListedMessage) -> wires.WebhookMessage:
    message = found.message
    return wires.WebhookMessage(
        id=message.id,
        endpoint_id=message.endpoint_id,
        type=message.event_type,
        state=wires.MessageState(message.state.value),
        occurred_at=message.occurred_at,
        created_at=message.created_at,
        attempts=message.attempts,
        next_attempt_at=message.next_attempt_at,
        last=None if found.last is None else _attempt(found.last),
    )


def _file(found: MessageFile) -> wires.WebhookMessageFile:
    last = found.attempts[-1] if found.attempts else None
    return wires.WebhookMessageFile(
        message=_message(ListedMessage(message=found.message, last=last)),
        body=msgspec.json.decode(found.message.body),
        attempts=tuple(_attempt(each) for each in found.attempts),
    )


def _attempt(found: model.WebhookAttempt) -> wires.WebhookAttempt:
    return wires.WebhookAttempt(
        number=found.number,
        at=found.at,
        duration_ms=found.duration_ms,
        status=found.status,
        failure=None if found.failure is None else wires.Failure(found.failure.value),
        answer=found.answer,
    )
