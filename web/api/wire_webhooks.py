"""The API's nouns of webhooks out: endpoints, messages, attempts."""

from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from kernel.outgoing import URL_LONGEST
from web.api.wire import CODE, Answer, Asked, Count, Instant
from web.api.wire_books import AskedInstant, Cursor

_URL: Final = "^https?://[!-~]+$"


class EventName(StrEnum):
    """What an endpoint can be told of."""

    PRICE_BOOK_PUBLISHED = "price_book.published"
    PRICE_CHANGED = "price.changed"
    ORDER_CREATED = "order.created"
    ORDER_PAID = "order.paid"
    ORDER_LAPSED = "order.lapsed"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_REFUNDED = "order.refunded"


class EndpointState(StrEnum):
    """Why an endpoint is told things, or is not: `off` by its company, `failing` by us, `gone` by its own 410."""

    ON = "on"
    OFF = "off"
    FAILING = "failing"
    GONE = "gone"


class MessageState(StrEnum):
    """`given_up`: after the last attempt, or because its endpoint was switched off."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Failure(StrEnum):
    """Why there was no answer: `refused` are addresses that we call for nobody; `tls`: no valid certificate."""

    REFUSED = "refused"
    NO_ADDRESS = "no_address"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMED_OUT = "timed_out"
    NO_HTTP = "no_http"


Url = Annotated[
    str,
    Meta(
        min_length=10,
        max_length=URL_LONGEST,
        pattern=_URL,
        description="https, a full host name, port 443 or 8443. No redirect is followed.",
    ),
]
EventNames = Annotated[tuple[EventName, ...], Meta(min_length=1, max_length=len(EventName))]
Description = Annotated[str, Meta(max_length=200, pattern=CODE.replace("+", "*"), description="For people.")]


# --- Requests ---


class WebhookEndpointAsked(Asked, frozen=True, kw_only=True):
    """Where to tell your company of what. The key needs the scope by which it could read the same."""

    url: Url
    event_types: EventNames
    description: Description = ""


class WebhookEndpointChange(Asked, frozen=True, kw_only=True):
    """What to change; what is absent stays. Switched off, an endpoint is told nothing, and what waits is given up."""

    url: Url | UnsetType = UNSET
    event_types: EventNames | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookReplayAsked(Asked, frozen=True, kw_only=True):
    """Which messages to send again: those written from `since` on and before `until`, absent: now. At most 1,000, the
    oldest first. Unless `delivered_too`, only those that were given up.
    """

    since: AskedInstant
    until: AskedInstant | None = None
    delivered_too: bool = False


class WebhookMessagesAsked(Asked, frozen=True, kw_only=True):
    """Query of an endpoint's messages."""

    limit: Annotated[int, Meta(ge=1, le=200, description="How many at most.")] = 50
    cursor: Cursor | UnsetType = UNSET
    state: (
        Annotated[
            str,
            Meta(
                pattern="^(pending|delivered|given_up)$",
                max_length=10,
                description="Only those `pending`, `delivered` or `given_up`.",
            ),
        ]
        | UnsetType
    ) = UNSET


# --- Answers ---


class WebhookEndpoint(Answer, frozen=True, kw_only=True):
    """`failing_since`: the first failure after which nothing has come through. `previous_secret_until`: until then the
    secret before the last rotation signs too.
    """

    id: UUID
    url: str
    event_types: tuple[EventName, ...]
    description: str
    state: EndpointState
    state_since: Instant
    failing_since: Instant | None
    previous_secret_until: Instant | None
    created_at: Instant
    changed_at: Instant


class WebhookEndpointList(Answer, frozen=True, kw_only=True):
    """Your company's endpoints, oldest first: ten at most."""

    endpoints: tuple[WebhookEndpoint, ...]


class WebhookEndpointWithSecret(Answer, frozen=True, kw_only=True):
    """`secret` is shown in this one answer. It signs by HMAC-SHA-256, as Standard Webhooks have it."""

    endpoint: WebhookEndpoint
    secret: str


class WebhookAttempt(Answer, frozen=True, kw_only=True):
    """One request. `status` is null where there was no answer, and `failure` says why. `answer`: the first kilobyte."""

    number: Count
    at: Instant
    duration_ms: Count
    status: Count | None
    failure: Failure | None
    answer: str


class WebhookMessage(Answer, frozen=True, kw_only=True):
    """One event for one endpoint. `id` is the `webhook-id` of every attempt, `attempts` how many were made, `last` the
    last of them.
    """

    id: UUID
    endpoint_id: UUID
    type: str
    state: MessageState
    occurred_at: Instant
    created_at: Instant
    attempts: Count
    next_attempt_at: Instant | None
    last: WebhookAttempt | None


class WebhookMessagePage(Answer, frozen=True, kw_only=True):
    """Messages, newest first. `next`: ask with `cursor` set to it for older ones; null at the end."""

    messages: tuple[WebhookMessage, ...]
    next: str | None


class WebhookMessageFile(Answer, frozen=True, kw_only=True):
    """A message, `body` as it is sent, and every attempt in order."""

    message: WebhookMessage
    body: Any
    attempts: tuple[WebhookAttempt, ...]


class WebhookReplay(Answer, frozen=True, kw_only=True):
    """How many messages are sent again."""

    count: Count
