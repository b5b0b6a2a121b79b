"""Signing secrets in the form of Standard Webhooks, kept encrypted, and what they sign."""

import base64
import secrets
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

from accounts.webhooks.model import WebhookEndpoint
from kernel.signing import Keyring

PREFIX: Final = "whsec_"
_PURPOSE: Final = "webhook secret"
_BYTES: Final = 32


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def sealed(keyring: Keyring, endpoint_id: uuid.UUID, secret: str) -> bytes:
    """As it is stored: of use to nobody without the keyring, nor for another endpoint."""
    return keyring.encrypt(_PURPOSE, secret.encode(), context=endpoint_id.bytes)


def live_secrets(keyring: Keyring, endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """The newest first."""
    kept = [endpoint.secret]
    if endpoint.previous_secret is not None and _lives(endpoint.previous_secret_until, now):
        kept.append(endpoint.previous_secret)
    return [keyring.decrypt(_PURPOSE, bytes(each), context=endpoint.id.bytes).decode() for each in kept]


def signed_headers(live: Sequence[str], message_id: uuid.UUID, body: bytes, at: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks, with a signature for each live secret."""
    name, instant, text = str(message_id), at.astimezone(UTC), body.decode()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(instant.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(name, instant, text) for secret in live),
    }


def _lives(until: datetime | None, now: datetime) -> bool:
    return until is not None and now < until
