"""Detached JSON Web Signatures (RFC 7515, appendix F) over canonical JSON, and the keys to check them with (RFC 7517).

The form is that of UCP's merchant authorization: `HEADER..SIGNATURE`, where the signature covers the header and the
document's RFC 8785 bytes, and the header says the algorithm and the key and nothing else.
"""

import base64
from typing import Any

import msgspec

from kernel.signing import Keyring, Purpose


def detached_signature(keyring: Keyring, payload: bytes) -> str:
    """`HEADER..SIGNATURE` over *payload*, by the active ES256 key of the house."""
    active = keyring.active_key(Purpose.QUOTES)
    header = _base64url(msgspec.json.encode({"alg": "ES256", "kid": active.id}))
    signature = keyring.sign(Purpose.QUOTES, f"{header}.{_base64url(payload)}".encode())
    return f"{header}..{_base64url(signature.signature)}"


def key_set(keyring: Keyring) -> dict[str, Any]:
    """The JWK Set of every ES256 key, retired ones included: what they signed stays checkable."""
    return {
        "keys": [
            {
                "kty": "EC",
                "crv": "P-256",
                "x": _base64url(key.public_key[:32]),
                "y": _base64url(key.public_key[32:]),
                "kid": key.id,
                "use": "sig",
                "alg": "ES256",
            }
            for key in keyring.public_keys(Purpose.QUOTES)
        ]
    }


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
