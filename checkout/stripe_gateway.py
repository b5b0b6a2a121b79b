"""Stripe behind one door: the only file of checkout that imports it.

Every write carries our stored key and is sent once: the library's own retries make keys that don't survive a crash.
Answers are sorted by what they prove, for that decides what may be done next. Whole answers are plain dicts, because a
StripeObject is none.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, cast

import msgspec
import stripe
import structlog
from stripe import StripeClient, StripeError, WebhookSignature

from checkout.charging import from_stripe
from checkout.model import CallOutcome
from checkout.tax import TaxNotKnown
from kernel.clock import Clock
from kernel.errors import Malformed, Unavailable
from kernel.failpoints import Failpoint
from kernel.money import Money

API_VERSION: Final = "2026-10-28.endive"
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 5.0
WHOLE_SECONDS: Final = 8.0
"""A server that drips its answer byte by byte never breaks the read time-out; this one it does."""
TIMESTAMP_TOLERANCE_SECONDS: Final = 300
PAGE: Final = 100
PAGES_MOST: Final = 1000
_WHOLE: Final = {"expand": ["payment_intent.payment_method"]}
_TIMESTAMP: Final = re.compile(r"(?:^|,)\s*t=(\d{1,12})(?=,|$)")

CREATE: Final = Failpoint("checkout.stripe.create_session", call=True)
RETRIEVE: Final = Failpoint("checkout.stripe.retrieve_session", call=True)
EXPIRE: Final = Failpoint("checkout.stripe.expire_session", call=True)
LIST: Final = Failpoint("checkout.stripe.list_sessions", call=True)
CUSTOMER: Final = Failpoint("checkout.stripe.create_customer", call=True)
CHARGE: Final = Failpoint("checkout.stripe.charge_card", call=True)
CAPTURE_INTENT: Final = Failpoint("checkout.stripe.capture_intent", call=True)
CANCEL_INTENT: Final = Failpoint("checkout.stripe.cancel_intent", call=True)
RETRIEVE_INTENT: Final = Failpoint("checkout.stripe.retrieve_intent", call=True)
LIST_INTENTS: Final = Failpoint("checkout.stripe.list_intents", call=True)
DETACH: Final = Failpoint("checkout.stripe.detach_card", call=True)
REFUND: Final = Failpoint("checkout.stripe.create_refund", call=True)
RETRIEVE_REFUND: Final = Failpoint("checkout.stripe.retrieve_refund", call=True)
LIST_REFUNDS: Final = Failpoint("checkout.stripe.list_refunds", call=True)
RETRIEVE_DISPUTE: Final = Failpoint("checkout.stripe.retrieve_dispute", call=True)
UPDATE_DISPUTE: Final = Failpoint("checkout.stripe.update_dispute", call=True)
CLOSE_DISPUTE: Final = Failpoint("checkout.stripe.close_dispute", call=True)
CALCULATE_TAX: Final = Failpoint("checkout.stripe.calculate_tax", call=True)
LIST_DISPUTES: Final = Failpoint("checkout.stripe.list_disputes", call=True)

log = structlog.get_logger(__name__)


class StripeUnavailable(Unavailable):
    problem = "payment-provider-unavailable"
    title = "The payment provider does not answer at the moment"


class WebhookRefused(Malformed):
    problem = "webhook-refused"
    title = "This is no webhook of ours"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back from a write. *saved*: Stripe may keep this answer for the key, so that sending the same again
    would only repeat it.
    """

    outcome: CallOutcome
    status: int | None
    body: dict[str, Any] | None
    detail: str
    saved: bool


class CardSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A card as Stripe has it. *kept*: the buyer agreed that it may be shown and used again."""

    id: str
    customer_id: str | None
    kept: bool
    brand: str
    last4: str
    expires_month: int
    expires_year: int


class IntentSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A PaymentIntent as Stripe has it now. *reference*: the attempt's id in its metadata. *received* is what came."""

    id: str
    status: str
    amount: Money
    received: Money
    reference: str | None
    failure: str | None
    card: CardSeen | None
    """What it is paid with, where that is a card and was asked for."""
    created_at: int

    @property
    def held(self) -> bool:
        """Its amount is held on the card until it is captured."""
        return self.status == "requires_capture"

    @property
    def failed(self) -> bool:
        """Nothing will come of it any more, though the buyer did their part."""
        return self.status in {"requires_payment_method", "canceled"}


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A Checkout Session as Stripe has it now. *total* None: Stripe names none."""

    id: str
    url: str | None
    status: str | None
    payment_status: str
    total: Money | None
    reference: str | None
    payment_intent_id: str | None
    intent: IntentSeen | None
    """The same, as it was when the Session was asked for; None before the buyer pressed pay."""
    created_at: int

    @property
    def paid(self) -> bool:
        return self.status == "complete" and self.payment_status == "paid"

    @property
    def left_unpaid(self) -> bool:
        """The buyer has done their part, and the money has not come: *intent* says whether it still may."""
        return self.status == "complete" and not self.paid and self.intent is not None

    @property
    def expired(self) -> bool:
        return self.status == "expired"

    def money(self, currency: str) -> Money:
        """What came by it: less than *total* where a part of what was held was captured elsewhere."""
        if self.intent is not None and self.intent.status == "succeeded":
            return self.intent.received
        return self.total or Money.zero(currency)


class RefundSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A Refund as Stripe has it now. *reference*: our id in its metadata; None for one that we did not ask for."""

    id: str
    status: str | None
    amount: Money
    payment_intent_id: str | None
    reference: str | None
    failure: str | None
    created_at: int


class DisputeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute as Stripe has it now. *withdrawn*: what our balance lacks for it, in the dispute's own currency; *fee*
    is what Stripe charges for it. *reference*: our attempt's id in its payment's metadata; None for another's.
    """

    id: str
    status: str
    reason: str
    amount: Money
    withdrawn: Money
    fee: Money
    due_by: datetime | None
    submissions: int
    charge_id: str
    payment_intent_id: str | None
    reference: str | None
    created_at: int


class VerifiedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's event whose signature holds. *payload* is stored, never trusted."""

    id: str
    type: str
    api_version: str | None
    livemode: bool
    payload: dict[str, Any]


class _Head(msgspec.Struct):
    """What every event has; the rest is kept as it came."""

    id: str
    type: str
    livemode: bool
    data: dict[str, Any]
    api_version: str | None = None


class StripeGateway:
    """*api_base* None is Stripe itself; the twin's address otherwise.

    stripe-python speaks asynchronously through httpx, which Litestar brings along; no thread is needed. Its time-outs
    are (connect, read, write, pool) seconds.
    """

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secrets: tuple[str, ...],
        clock: Clock,
        api_base: str | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._http = _HttpClient(timeout=cast("float", (CONNECT_SECONDS, read_seconds, read_seconds, CONNECT_SECONDS)))
        self._client = StripeClient(
            api_key,
            base_addresses={} if api_base is None else {"api": api_base},
            stripe_version=API_VERSION,
            max_network_retries=0,
            http_client=self._http,
        )
        self._secrets = webhook_secrets
        self._clock = clock
        self.livemode = api_key.startswith(("sk_live_", "rk_live_"))

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call] # the library's own omission

    async def write(self, point: Failpoint, call: Callable[[Any], Awaitable[Any]]) -> Answer:
        """Send a write that *call* makes of Stripe's services (`v1.invoices`, ...), with our key among its options;
        never raises for what Stripe or the network does.
        """
        return await self._write(point, lambda: call(self._client.v1))

    async def read(self, point: Failpoint, call: Callable[[Any], Awaitable[Any]]) -> dict[str, Any] | None:
        """What *call* asks of Stripe's services, as a plain dict; None when Stripe knows no such object.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        try:
            return await _called(point, lambda: call(self._client.v1))
        except (StripeError, TimeoutError) as error:
            if isinstance(error, StripeError) and error.http_status == 404:
                return None
            raise StripeUnavailable("This could not be looked up at Stripe; we will try again.") from error

    async def create_session(self, request: dict[str, Any], *, key: str) -> Answer:
        """Send a `checkout.sessions.create`; never raises for what Stripe or the network does."""
        sessions = self._client.v1.checkout.sessions
        return await self._write(CREATE, lambda: sessions.create_async(cast("Any", request), {"idempotency_key": key}))

    async def expire_session(self, session_id: str, *, key: str) -> Answer:
        """Ask Stripe to close a Session, with a PaymentIntent that waits for 3-D Secure."""
        sessions = self._client.v1.checkout.sessions
        return await self._write(EXPIRE, lambda: sessions.expire_async(session_id, {}, {"idempotency_key": key}))

    async def retrieve_session(self, session_id: str) -> Session | None:
        """Fetch a Session; None when Stripe knows none of that id.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        sessions = self._client.v1.checkout.sessions
        try:
            return session_of(await _called(RETRIEVE, lambda: sessions.retrieve_async(session_id, cast("Any", _WHOLE))))
        except StripeError as error:
            if error.http_status == 404:
                return None
            raise StripeUnavailable("The payment could not be looked up; we will try again.") from error
        except (TimeoutError, msgspec.ValidationError) as error:
            raise StripeUnavailable("The payment could not be looked up; we will try again.") from error

    async def create_customer(self, request: dict[str, Any], *, key: str) -> Answer:
        """Send a `customers.create`; never raises for what Stripe or the network does."""
        customers = self._client.v1.customers
        return await self._write(
            CUSTOMER, lambda: customers.create_async(cast("Any", request), {"idempotency_key": key})
        )

    async def charge_card(self, request: dict[str, Any], *, key: str) -> Answer:
        """Send a `payment_intents.create`, which moves money; never raises for what Stripe or the network does."""
        intents = self._client.v1.payment_intents
        return await self._write(CHARGE, lambda: intents.create_async(cast("Any", request), {"idempotency_key": key}))

    async def capture_intent(self, intent_id: str, *, key: str) -> Answer:
        """Take all of the amount that is held; never raises for what Stripe or the network does."""
        intents = self._client.v1.payment_intents
        return await self._write(CAPTURE_INTENT, lambda: intents.capture_async(intent_id, {}, {"idempotency_key": key}))

    async def cancel_intent(self, intent_id: str, *, key: str) -> Answer:
        """Let the amount that is held go; never raises for what Stripe or the network does."""
        intents = self._client.v1.payment_intents
        return await self._write(CANCEL_INTENT, lambda: intents.cancel_async(intent_id, {}, {"idempotency_key": key}))

    async def detach_card(self, payment_method_id: str, *, key: str) -> Answer:
        """Have Stripe forget a kept card; REFUSED when it has already."""
        methods = self._client.v1.payment_methods
        return await self._write(DETACH, lambda: methods.detach_async(payment_method_id, {}, {"idempotency_key": key}))

    async def retrieve_intent(self, intent_id: str) -> IntentSeen | None:
        """Fetch a PaymentIntent; None when Stripe knows none of that id.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        intents = self._client.v1.payment_intents
        try:
            return intent_of(await _called(RETRIEVE_INTENT, lambda: intents.retrieve_async(intent_id)))
        except (StripeError, TimeoutError, msgspec.ValidationError) as error:
            if isinstance(error, StripeError) and error.http_status == 404:
                return None
            raise StripeUnavailable("The payment could not be looked up; we will try again.") from error

    async def list_intents(
        self, *, since: datetime, until: datetime, customer_id: str | None = None
    ) -> list[IntentSeen]:
        """Every PaymentIntent created in a period, of one Customer or of all, newest first.

        :raises StripeUnavailable: when Stripe can't be asked, or there are too many to look through
        """
        intents = self._client.v1.payment_intents
        params: dict[str, Any] = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "limit": PAGE,
        }
        if customer_id is not None:
            params["customer"] = customer_id
        found: list[IntentSeen] = []
        for _ in range(PAGES_MOST):
            try:
                page = await _called(LIST_INTENTS, partial(intents.list_async, cast("Any", dict(params))))
                found += [intent_of(data) for data in page["data"]]
            except (StripeError, TimeoutError, msgspec.ValidationError) as error:
                raise StripeUnavailable("The payments could not be looked up; we will try again.") from error
            if not page["has_more"]:
                return found
            params["starting_after"] = found[-1].id
        raise StripeUnavailable("There are too many payments to look through.")

    async def create_refund(self, request: dict[str, Any], *, key: str) -> Answer:
        """Send a `refunds.create`; never raises for what Stripe or the network does."""
        refunds = self._client.v1.refunds
        return await self._write(REFUND, lambda: refunds.create_async(cast("Any", request), {"idempotency_key": key}))

    async def retrieve_refund(self, refund_id: str) -> RefundSeen | None:
        """Fetch a Refund; None when Stripe knows none of that id.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        refunds = self._client.v1.refunds
        try:
            return refund_of(await _called(RETRIEVE_REFUND, lambda: refunds.retrieve_async(refund_id)))
        except (StripeError, TimeoutError, msgspec.ValidationError) as error:
            if isinstance(error, StripeError) and error.http_status == 404:
                return None
            raise StripeUnavailable("The refund could not be looked up; we will try again.") from error

    async def list_refunds_of(self, payment_intent_id: str) -> list[RefundSeen]:
        """Every Refund of a payment, newest first.

        :raises StripeUnavailable: when Stripe can't be asked, or there are too many to look through
        """
        return [found async for found in self._refunds({"payment_intent": payment_intent_id})]

    async def list_refunds(self, *, since: datetime, until: datetime) -> list[RefundSeen]:
        """Every Refund created in a period, newest first.

        :raises StripeUnavailable: when Stripe can't be asked, or there are too many to look through
        """
        created = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        return [found async for found in self._refunds({"created": created})]

    async def _refunds(self, filters: dict[str, Any]) -> AsyncIterator[RefundSeen]:
        refunds = self._client.v1.refunds
        params: dict[str, Any] = {**filters, "limit": PAGE}
        for _ in range(PAGES_MOST):
            try:
                page = await _called(LIST_REFUNDS, partial(refunds.list_async, cast("Any", dict(params))))
                found = [refund_of(data) for data in page["data"]]
            except (StripeError, TimeoutError, msgspec.ValidationError) as error:
                raise StripeUnavailable("The refunds could not be looked up; we will try again.") from error
            for refund in found:
                yield refund
            if not page["has_more"]:
                return
            params["starting_after"] = found[-1].id
        raise StripeUnavailable("There are too many refunds to look through.")

    async def calculate_tax(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Have Stripe Tax calculate; None when it doesn't in time. Made twice, it is only made twice: it needs no key.

        :raises TaxNotKnown: when Stripe refuses what was asked, as it does an address it cannot place
        """
        calculations = self._client.v1.tax.calculations
        try:
            return await _called(CALCULATE_TAX, lambda: calculations.create_async(cast("Any", request)))
        except (StripeError, TimeoutError) as error:
            if isinstance(error, stripe.InvalidRequestError):
                log.warning("stripe tax refused a calculation", detail=error.user_message)
                raise TaxNotKnown("The tax for this delivery could not be calculated: check the address.") from error
            return None

    async def retrieve_dispute(self, dispute_id: str) -> DisputeSeen | None:
        """Fetch a dispute with its payment; None when Stripe knows none of that id.

        :raises StripeUnavailable: when Stripe can't be asked
        """
        disputes = self._client.v1.disputes
        params: Any = {"expand": ["payment_intent"]}
        try:
            return dispute_of(await _called(RETRIEVE_DISPUTE, lambda: disputes.retrieve_async(dispute_id, params)))
        except (StripeError, TimeoutError, msgspec.ValidationError) as error:
            if isinstance(error, StripeError) and error.http_status == 404:
                return None
            raise StripeUnavailable("The dispute could not be looked up; we will try again.") from error

    async def update_dispute(self, dispute_id: str, request: dict[str, Any], *, key: str) -> Answer:
        """Send a `disputes.update`, evidence with it; never raises for what Stripe or the network does."""
        disputes = self._client.v1.disputes
        asked = cast("Any", request)
        return await self._write(
            UPDATE_DISPUTE, lambda: disputes.update_async(dispute_id, asked, {"idempotency_key": key})
        )

    async def close_dispute(self, dispute_id: str, *, key: str) -> Answer:
        """Concede a dispute; never raises for what Stripe or the network does."""
        disputes = self._client.v1.disputes
        return await self._write(CLOSE_DISPUTE, lambda: disputes.close_async(dispute_id, {}, {"idempotency_key": key}))

    async def list_disputes(self, *, since: datetime, until: datetime) -> list[DisputeSeen]:
        """Every dispute opened in a period, newest first; without their payments' references.

        :raises StripeUnavailable: when Stripe can't be asked, or there are too many to look through
        """
        disputes = self._client.v1.disputes
        created = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        params: dict[str, Any] = {"created": created, "limit": PAGE}
        seen: list[DisputeSeen] = []
        for _ in range(PAGES_MOST):
            try:
                page = await _called(LIST_DISPUTES, partial(disputes.list_async, cast("Any", dict(params))))
                seen += [dispute_of(data) for data in page["data"]]
            except (StripeError, TimeoutError, msgspec.ValidationError) as error:
                raise StripeUnavailable("The disputes could not be looked up; we will try again.") from error
            if not page["has_more"]:
                return seen
            params["starting_after"] = seen[-1].id
        raise StripeUnavailable("There are too many disputes to look through.")

    async def find_session(self, reference: str, *, since: datetime, until: datetime) -> Session | None:
        """Look a Session up by our reference among those created in a period: Stripe has no filter for it.

        :raises StripeUnavailable: when Stripe can't be asked, or there are too many to look through
        """
        async for found in self._sessions(since, until):
            if found.reference == reference:
                return found
        return None

    async def list_sessions(self, *, since: datetime, until: datetime) -> list[Session]:
        """Every Session created in a period, newest first.

        :raises StripeUnavailable: when Stripe can't be asked, or there are too many to look through
        """
        return [found async for found in self._sessions(since, until)]

    async def _sessions(self, since: datetime, until: datetime) -> AsyncIterator[Session]:
        sessions = self._client.v1.checkout.sessions
        params: dict[str, Any] = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "limit": PAGE,
            "expand": ["data.payment_intent"],
        }
        for _ in range(PAGES_MOST):
            try:
                page = await _called(LIST, partial(sessions.list_async, cast("Any", dict(params))))
                found = [session_of(data) for data in page["data"]]
            except (StripeError, TimeoutError, msgspec.ValidationError) as error:
                raise StripeUnavailable("The payments could not be looked up; we will try again.") from error
            for session in found:
                yield session
            if not page["has_more"]:
                return
            params["starting_after"] = found[-1].id
        raise StripeUnavailable("There are too many payments to look through.")

    def verify_webhook(self, raw: bytes, signature: str | None) -> VerifiedEvent:
        """Read an event that Stripe signed with one of our secrets, now.

        stripe-python takes timestamps from the future; a signature that outlives its time is as bad as a replayed one.

        :raises WebhookRefused: for any other body, an old or future timestamp, or an event of the other mode
        """
        header = signature or ""
        if not header.isascii() or not any(self._signed(raw, header, secret) for secret in self._secrets):
            raise WebhookRefused("The signature does not fit this body and our secrets.")
        timestamp = _TIMESTAMP.search(header)
        if timestamp is None:
            raise WebhookRefused("The signature has no timestamp.")
        if abs(int(timestamp[1]) - self._clock.now().timestamp()) > TIMESTAMP_TOLERANCE_SECONDS:
            raise WebhookRefused(f"The signature is not of the last or next {TIMESTAMP_TOLERANCE_SECONDS} seconds.")
        try:
            payload = msgspec.json.decode(raw, type=dict[str, Any])
            head = msgspec.convert(payload, _Head)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise WebhookRefused("The body is no event.") from None
        if head.livemode != self.livemode:
            raise WebhookRefused("The event is of the other mode: live and test never mix.")
        return VerifiedEvent(
            id=storable(head.id),
            type=storable(head.type),
            api_version=storable(head.api_version),
            livemode=head.livemode,
            payload=storable(payload),
        )

    @staticmethod
    def _signed(raw: bytes, header: str, secret: str) -> bool:
        try:
            return bool(WebhookSignature.verify_header(raw, header, secret))
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            return False

    @staticmethod
    async def _write(point: Failpoint, call: Callable[[], Awaitable[stripe.StripeObject]]) -> Answer:
        try:
            body = await _called(point, call)
        except StripeError as error:
            return _refusal(error)
        except TimeoutError:
            return Answer(
                outcome=CallOutcome.UNCERTAIN, status=None, body=None, detail="no answer in time", saved=False
            )
        return Answer(outcome=CallOutcome.DONE, status=200, body=body, detail="", saved=True)


class _HttpClient(stripe.HTTPXClient):
    """stripe-python hands httpx its encoded form as `data`, which httpx deprecates for text: it is `content`."""

    def _get_request_args_kwargs(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> list[Any]:
        positional, named = super()._get_request_args_kwargs(method, url, headers, post_data)
        named["content"] = named.pop("data") or None
        return [positional, named]


def session_of(data: dict[str, Any]) -> Session:
    """:raises msgspec.ValidationError: when it lacks what every Session has"""
    raw = msgspec.convert(data, _RawSession)
    total = None
    if raw.amount_total is not None and raw.currency is not None:
        total = from_stripe(raw.amount_total, raw.currency)
    intent = raw.payment_intent
    return Session(
        id=raw.id,
        url=raw.url,
        status=raw.status,
        payment_status=raw.payment_status,
        total=total,
        reference=raw.client_reference_id,
        payment_intent_id=intent.get("id") if isinstance(intent, dict) else intent,
        intent=intent_of(intent) if isinstance(intent, dict) else None,
        created_at=raw.created,
    )


def intent_of(data: dict[str, Any]) -> IntentSeen:
    """:raises msgspec.ValidationError: when it lacks what every PaymentIntent has"""
    raw = msgspec.convert(data, _RawIntent)
    error = raw.last_payment_error or {}
    return IntentSeen(
        id=raw.id,
        status=raw.status,
        amount=from_stripe(raw.amount, raw.currency),
        received=from_stripe(raw.amount_received, raw.currency),
        reference=(raw.metadata or {}).get("attempt_id"),
        failure=error.get("decline_code") or error.get("code"),
        card=_card_of(raw.payment_method) if isinstance(raw.payment_method, dict) else None,
        created_at=raw.created,
    )


def _card_of(method: dict[str, Any]) -> CardSeen | None:
    if method.get("type") != "card":
        return None
    raw = msgspec.convert(method, _RawCard)
    return CardSeen(
        id=raw.id,
        customer_id=raw.customer.get("id") if isinstance(raw.customer, dict) else raw.customer,
        kept=raw.allow_redisplay == "always",
        brand=raw.card.brand,
        last4=raw.card.last4,
        expires_month=raw.card.exp_month,
        expires_year=raw.card.exp_year,
    )


def refund_of(data: dict[str, Any]) -> RefundSeen:
    """:raises msgspec.ValidationError: when it lacks what every Refund has"""
    raw = msgspec.convert(data, _RawRefund)
    intent = raw.payment_intent
    return RefundSeen(
        id=raw.id,
        status=raw.status,
        amount=from_stripe(raw.amount, raw.currency),
        payment_intent_id=intent.get("id") if isinstance(intent, dict) else intent,
        reference=(raw.metadata or {}).get("refund_id"),
        failure=raw.failure_reason,
        created_at=raw.created,
    )


class _RawIntent(msgspec.Struct):
    id: str
    status: str
    amount: int
    currency: str
    created: int
    amount_received: int = 0
    metadata: dict[str, str] | None = None
    last_payment_error: dict[str, Any] | None = None
    payment_method: str | dict[str, Any] | None = None


class _RawCardFace(msgspec.Struct):
    brand: str
    last4: str
    exp_month: int
    exp_year: int


class _RawCard(msgspec.Struct):
    id: str
    card: _RawCardFace
    customer: str | dict[str, Any] | None = None
    allow_redisplay: str | None = None


def dispute_of(data: dict[str, Any]) -> DisputeSeen:
    """:raises msgspec.ValidationError: when it lacks what every dispute has"""
    raw = msgspec.convert(data, _RawDispute)
    charge, intent = raw.charge, raw.payment_intent
    amount = from_stripe(raw.amount, raw.currency)
    taken = -sum(each.amount for each in raw.balance_transactions)
    withdrawn = amount if taken > 0 else Money.zero(amount.currency)
    if all(each.currency == raw.currency for each in raw.balance_transactions):
        withdrawn = from_stripe(max(taken, 0), raw.currency)
    settled_in = raw.balance_transactions[0].currency if raw.balance_transactions else raw.currency
    due_by = raw.evidence_details.due_by
    return DisputeSeen(
        id=raw.id,
        status=raw.status,
        reason=raw.reason,
        amount=amount,
        withdrawn=withdrawn,
        fee=from_stripe(sum(each.fee for each in raw.balance_transactions), settled_in),
        due_by=None if due_by is None else datetime.fromtimestamp(due_by, UTC),
        submissions=raw.evidence_details.submission_count,
        charge_id=str(charge.get("id")) if isinstance(charge, dict) else charge,
        payment_intent_id=intent.get("id") if isinstance(intent, dict) else intent,
        reference=(intent.get("metadata") or {}).get("attempt_id") if isinstance(intent, dict) else None,
        created_at=raw.created,
    )


class _RawTaken(msgspec.Struct):
    """Money that a dispute took out of our balance (negative) or put back into it."""

    amount: int
    fee: int
    currency: str


class _RawEvidenceDetails(msgspec.Struct):
    submission_count: int
    due_by: int | None = None


class _RawDispute(msgspec.Struct):
    id: str
    status: str
    reason: str
    amount: int
    currency: str
    created: int
    charge: str | dict[str, Any]
    evidence_details: _RawEvidenceDetails
    balance_transactions: list[_RawTaken]
    payment_intent: str | dict[str, Any] | None = None


class _RawRefund(msgspec.Struct):
    id: str
    amount: int
    currency: str
    created: int
    status: str | None = None
    payment_intent: str | dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None


class _RawSession(msgspec.Struct):
    id: str
    payment_status: str
    created: int
    status: str | None = None
    url: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    client_reference_id: str | None = None
    payment_intent: str | dict[str, Any] | None = None


def storable(value: Any) -> Any:
    """*value* with U+FFFD for the NUL characters that PostgreSQL stores neither in text nor in JSON."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


async def _called(point: Failpoint, call: Callable[[], Awaitable[stripe.StripeObject]]) -> dict[str, Any]:
    point.reach("before_call")
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            answer = await call()
    finally:
        point.reach("after_call")
    return dict(storable(answer.to_dict(for_json=True)))


def _refusal(error: StripeError) -> Answer:
    status = error.http_status
    if status == 429:
        outcome = CallOutcome.THROTTLED
    elif isinstance(error, stripe.IdempotencyError):
        # Our key was used for other bytes: something was done under it, and nobody here knows what
        log.error("stripe key was reused for another request", status=status)
        outcome = CallOutcome.UNCERTAIN
    elif status is not None and 400 <= status < 500 and status != 409:
        outcome = CallOutcome.REFUSED
    else:
        outcome = CallOutcome.UNCERTAIN
    body = storable(error.json_body) if isinstance(error.json_body, dict) else None
    saved = isinstance(error, stripe.IdempotencyError) or (status is not None and status >= 500)
    return Answer(
        outcome=outcome,
        status=status,
        body=body,
        detail=storable((error.user_message or type(error).__name__)[:500]),
        saved=saved,
    )
