"""Identifiers and secrets."""

import hashlib
import secrets
import uuid

from uuid_utils.compat import uuid7

TOKEN_BYTES = 32


def new_id() -> uuid.UUID:
    """Return a UUIDv7: unique, unguessable enough to name a row, ordered by time of making."""
    return uuid7()


def new_token() -> str:
    """Return a URL-safe secret of 256 bits. Store only its `token_digest`."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_digest(token: str) -> bytes:
    """Return the SHA-256 under which a token is stored: a stolen table opens no door."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
