"""The text of an API key: `trf_<id>_<secret><checksum>`.

The prefix lets secret scanners know it, the id names it without betraying it, the checksum lets a mistyped or invented
key be refused before anything is looked up.
"""

import hashlib
import re
import secrets
import zlib
from typing import Final, Self

import msgspec

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
"""62^43 > 2^256."""
_CHECKSUM_LENGTH: Final = 6
"""62^6 > 2^32."""
_FORM: Final = re.compile(
    f"trf_([0-9A-Za-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


class PresentedKey(msgspec.Struct, frozen=True):
    """A key as its holder shows it."""

    key_id: str
    secret: str

    @classmethod
    def make(cls) -> Self:
        return cls(_random(_ID_LENGTH), _random(_SECRET_LENGTH))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a key; None when it cannot be one of ours."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        key_id, secret, checksum = match.groups()
        return cls(key_id, secret) if _checksum(key_id, secret) == checksum else None

    @property
    def text(self) -> str:
        return f"trf_{self.key_id}_{self.secret}{_checksum(self.key_id, self.secret)}"

    @property
    def secret_sha256(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()

    def __repr__(self) -> str:
        return f"<key {self.key_id}>"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(key_id: str, secret: str) -> str:
    """CRC32 in base 62, most significant digit first."""
    rest, digits = zlib.crc32(f"trf_{key_id}_{secret}".encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
