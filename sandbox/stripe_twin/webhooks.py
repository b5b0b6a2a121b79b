"""Sending webhooks: signed, at least once, retried with back-off for three days, continued after a restart."""

import hashlib
import hmac
import http.client
import json
import logging
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from sandbox.stripe_twin import tally
from sandbox.stripe_twin.account import Account
from sandbox.stripe_twin.errors import JsonObject
from sandbox.stripe_twin.store import Delivery, Record

log = logging.getLogger("stripe_twin.webhooks")

GIVE_UP_AFTER = 3 * 24 * 60 * 60
LONGEST_PAUSE = 60 * 60
TIMEOUT = 10.0
_WRONG_SECRET = "whsec_of_somebody_else"  # noqa: S105 -- a forger's, on purpose


class Dispatcher:
    """One thread that sends what is due, in order, and lets time pass (*tick*) for the rest of the twin."""

    def __init__(self, account: Account, *, tick: Callable[[], None]) -> None:
        self._account = account
        self._tick = tick
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="stripe-twin-webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=TIMEOUT + 1)

    def wake(self) -> None:
        self._wake.set()

    def idle(self) -> bool:
        """Whether nothing is due and nothing is on its way."""
        with self._busy:
            return self._account.store.find_due_delivery(self._account.clock.seconds()) is None

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._tick()
                while not self._stopping.is_set() and self._deliver_next():
                    pass
            except Exception:
                log.exception("the webhook thread met an error and goes on")
                self._stopping.wait(1)
            self._wake.wait(0.2)

    def _deliver_next(self) -> bool:
        account = self._account
        with self._busy:
            delivery = account.store.find_due_delivery(account.clock.seconds())
            if delivery is None:
                return False
            event = account.store.find(delivery.event_id, "event")
            endpoint = account.store.find(delivery.endpoint_id, "webhook_endpoint")
            if event is None or endpoint is None:
                raise RuntimeError(f"delivery {delivery.id} names an event or endpoint that is not in the file")
            result = self._send(event, endpoint, delivery)
            self._settle(delivery, event, result)
            return True

    def _send(self, event: Record, endpoint: Record, delivery: Delivery) -> str:
        """``200`` and the like, or what went wrong."""
        fields = delivery.twist.get("fields", {})
        body = json.dumps({**event.body, **fields}, indent=2)
        self._tell(event, twisted=bool(fields))
        now = self._account.clock.base_seconds()
        timestamp = int(now + delivery.twist.get("signed_seconds_away", 0))
        secrets = [_WRONG_SECRET] if delivery.twist.get("wrong_secret") else valid_secrets(endpoint, now=now)
        headers = {
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(body, secrets, timestamp=timestamp),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        return post(endpoint.body["url"], body.encode(), headers)

    def _tell(self, event: Record, *, twisted: bool) -> None:
        """Count a webhook that leaves; it was checked when it was stored, and is again as it is now."""
        tally.count("webhook")
        if twisted:
            tally.count("webhook twisted")
            return
        problems = self._account.contract.event_problems(event.body)
        if not problems:
            tally.count("webhook checked")
            return
        told = [str(problem) for problem in problems]
        self._account.store.add_violation("webhook", event.body["type"], told, at=self._account.clock.seconds())

    def _settle(self, delivery: Delivery, event: Record, result: str) -> None:
        store, now = self._account.store, self._account.clock.seconds()
        what = f"{event.body['type']} {event.id}"
        with store.transaction():
            if result.isdigit() and 200 <= int(result) < 300:
                store.mark_delivery(delivery.id, state="delivered", due_at=now, result=result)
                current = store.find(event.id, "event")
                if current is not None:
                    current.body["pending_webhooks"] = max(0, current.body["pending_webhooks"] - 1)
                    store.update(current)
                log.info("delivered %s: %s", what, result)
                return
            pause = min(2**delivery.attempts, LONGEST_PAUSE)
            lost = now - event.body["created"] > GIVE_UP_AFTER
            store.mark_delivery(delivery.id, state="failed" if lost else "pending", due_at=now + pause, result=result)
        log.warning("could not deliver %s: %s; %s", what, result, "given up" if lost else f"again in {pause} s")


def sign(body: str, secrets: list[str], *, timestamp: int) -> str:
    """The Stripe-Signature header; several secrets, while one is being rolled, give several v1 parts."""
    signatures = [hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256) for secret in secrets]
    return f"t={timestamp}," + ",".join(f"v1={signature.hexdigest()}" for signature in signatures)


def valid_secrets(endpoint: Record, *, now: float) -> list[str]:
    kept: list[JsonObject] = endpoint.private["secrets"]
    return [entry["secret"] for entry in kept if entry["until"] is None or entry["until"] > now]


def post(url: str, body: bytes, headers: dict[str, str]) -> str:
    """The status as text, or the error's; redirects are not followed, as Stripe does not, and no proxy is used."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    try:
        connection.request("POST", parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        response = connection.getresponse()
        response.read()
        return str(response.status)
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
