"""The keyring: every secret the house signs, derives or encrypts with, in one file.

`SIGNING_KEYRING` names a JSON file; each key has an id, a purpose and dates. A purpose has one active key; retired ones
stay, so that what they signed can still be verified. A key serves one purpose only: a signature made for a price
publication can never pass for one on an agreement.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES: Final = 12
_SECRET_BYTES: Final = 32
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_BYTES: Final = 32


class Purpose(StrEnum):
    """What a key is for. All are Ed25519 but QUOTES, which is ES256 because the merchant authorization of UCP allows
    no Ed25519, and HOUSE, 32 random bytes that symmetric keys are derived from.
    """

    LEDGER = "ledger"
    PUBLICATION = "publication"
    QUOTES = "quotes"
    PRESENTATION = "presentation"
    HOUSE = "house"


class KeyringRefused(Exception):
    """The keyring is absent, unreadable or unsafe; the message says what to do. Raised at start-up only."""


class CannotDecrypt(Exception):
    """The ciphertext, its context or its key is not the one it was encrypted with."""


class Signature(msgspec.Struct, frozen=True):
    key_id: str
    signature: bytes


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    purpose: Purpose
    public_key: bytes
    """The 32 raw bytes of RFC 8032; for QUOTES x and y of the point, 32 bytes each."""
    created: datetime
    retired: datetime | None


class _Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    purpose: Purpose
    secret: str
    """Base64 of 32 bytes: an Ed25519 seed, what an ES256 key is derived from, or the house secret."""
    created: datetime
    retired: datetime | None = None

    def __repr__(self) -> str:
        return f"<{self.purpose} key {self.id}>"

    def secret_bytes(self) -> bytes:
        try:
            decoded = base64.b64decode(self.secret, validate=True)
        except ValueError:
            decoded = b""
        if len(decoded) != _SECRET_BYTES:
            raise KeyringRefused(f"The secret of key {self.id} is not base64 of {_SECRET_BYTES} bytes.")
        return decoded


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    keys: tuple[_Key, ...]

    def __repr__(self) -> str:
        return f"<keyring file of {len(self.keys)} keys>"


class KeyringSettings(Protocol):
    """What of kernel.settings the keyring reads."""

    @property
    def production(self) -> bool: ...
    @property
    def signing_keyring(self) -> Path: ...


class Keyring:
    """Signs, verifies, derives and encrypts. Holds secrets, shows none."""

    def __init__(self, keys: tuple[_Key, ...]) -> None:
        """:raises KeyringRefused: when a purpose has no active key or several, or an id stands twice."""
        self._keys = {key.id: key for key in keys}
        if len(self._keys) != len(keys):
            raise KeyringRefused("Two keys of the keyring have the same id.")
        self._active: dict[Purpose, _Key] = {}
        for purpose in Purpose:
            active = [key for key in keys if key.purpose is purpose and key.retired is None]
            if len(active) != 1:
                raise KeyringRefused(
                    f"The keyring has {len(active)} active keys for {purpose.value!r} and needs exactly one: "
                    "set `retired` on the old ones, or add one with `python -m kernel.signing complete FILE`."
                )
            self._active[purpose] = active[0]
        self._private = {
            key.id: _signer(key.purpose, key.secret_bytes()) for key in keys if key.purpose is not Purpose.HOUSE
        }
        self.house_key: Final = self._derive(self._active[Purpose.HOUSE], "house key")
        """Keys the HMACs that make salts and commitments; derived, so the file's secret itself is used nowhere."""

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)} keys>"

    @classmethod
    def from_settings(cls, settings: KeyringSettings, *, now: datetime) -> "Keyring":
        """The keyring of this installation; a demo makes one on its first start.

        :raises KeyringRefused: when production has none, or the file is unsafe or broken.
        """
        path = settings.signing_keyring
        if not settings.production:
            complete(path, now=now)
        elif not path.exists():
            raise KeyringRefused(
                f"There is no keyring at {path}, where SIGNING_KEYRING says. Make one with `python -m kernel.signing "
                "new FILE`, keep a copy where the database's back-ups are not, and set SIGNING_KEYRING to its path."
            )
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> "Keyring":
        """:raises KeyringRefused: when the file is missing, readable by other users, or not a keyring."""
        return cls(_read(path).keys)

    @classmethod
    def generate(cls, *, now: datetime) -> "Keyring":
        """A keyring in memory only, with one new key a purpose: for tests."""
        return cls(tuple(_new_key(purpose, now) for purpose in Purpose))

    def rotated(self, purpose: Purpose, *, now: datetime) -> "Keyring":
        """The same keyring with a new active key for *purpose*; the old one is retired and still verifies."""
        retired = msgspec.structs.replace(self._active[purpose], retired=now)
        kept = tuple(key for key in self._keys.values() if key.id != retired.id)
        return Keyring((*kept, retired, _new_key(purpose, now)))

    def sign(self, purpose: Purpose | str, message: bytes) -> Signature:
        key = self._active[Purpose(purpose)]
        return Signature(key.id, self._private[key.id].sign(message))

    def verify(self, purpose: Purpose | str, signature: Signature, message: bytes) -> bool:
        """Whether a key of *purpose*, retired ones included, made *signature* over *message*."""
        key = self._keys.get(signature.key_id)
        if key is None or key.purpose is not Purpose(purpose) or key.id not in self._private:
            return False
        return self._private[key.id].verify(signature.signature, message)

    def public_keys(self, purpose: Purpose | str | None = None) -> tuple[PublicKey, ...]:
        """The public halves, retired ones included, oldest first: what a stranger needs to verify."""
        return tuple(
            PublicKey(
                id=key.id,
                purpose=key.purpose,
                public_key=self._private[key.id].public_bytes(),
                created=key.created,
                retired=key.retired,
            )
            for key in sorted(self._keys.values(), key=lambda key: (key.created, key.id))
            if key.id in self._private and (purpose is None or key.purpose is Purpose(purpose))
        )

    def hmac(self, purpose: str, message: bytes) -> bytes:
        """HMAC-SHA-256 under a key derived for *purpose*, a free label such as ``order commitment``."""
        return hmac.digest(self._derive(self._active[Purpose.HOUSE], f"hmac {purpose}"), message, "sha256")

    def encrypt(self, purpose: str, plaintext: bytes, *, context: bytes) -> bytes:
        """AES-256-GCM under a key derived for *purpose*; *context* (say a row's id) must be given again to decrypt."""
        key = self._active[Purpose.HOUSE]
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._derive(key, f"encrypt {purpose}")).encrypt(nonce, plaintext, context)
        return key.id.encode() + b"\0" + nonce + sealed

    def decrypt(self, purpose: str, ciphertext: bytes, *, context: bytes) -> bytes:
        """:raises CannotDecrypt: when a byte, the context, the purpose or the key is another."""
        key_id, _, rest = ciphertext.partition(b"\0")
        key = self._keys.get(key_id.decode(errors="replace"))
        if key is None or key.purpose is not Purpose.HOUSE:
            raise CannotDecrypt("The keyring has no such key any more.")
        nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            return AESGCM(self._derive(key, f"encrypt {purpose}")).decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError) as refused:
            raise CannotDecrypt("The ciphertext does not belong to this key and context.") from refused

    def _derive(self, key: _Key, label: str) -> bytes:
        return _derived(key.secret_bytes(), label, 32)


class _Signer(Protocol):
    """A private key of one algorithm."""

    def sign(self, message: bytes) -> bytes: ...
    def verify(self, signature: bytes, message: bytes) -> bool: ...
    def public_bytes(self) -> bytes: ...


class _Ed25519:
    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def verify(self, signature: bytes, message: bytes) -> bool:
        return verify_ed25519(self.public_bytes(), signature, message)

    def public_bytes(self) -> bytes:
        return self._key.public_key().public_bytes_raw()


class _Es256:
    """ECDSA on P-256 with SHA-256; a signature is r and s, 32 bytes each, as RFC 7518 section 3.4 has it."""

    def __init__(self, secret: bytes) -> None:
        # 64 bits more than the order has, so that every key is as likely as any other (FIPS 186-5, A.2.1)
        wide = int.from_bytes(_derived(secret, "ES256 key", _P256_BYTES + 8))
        self._key = ec.derive_private_key(wide % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)

    def verify(self, signature: bytes, message: bytes) -> bool:
        return verify_es256(self.public_bytes(), signature, message)

    def public_bytes(self) -> bytes:
        numbers = self._key.public_key().public_numbers()
        return numbers.x.to_bytes(_P256_BYTES) + numbers.y.to_bytes(_P256_BYTES)


def _signer(purpose: Purpose, secret: bytes) -> _Signer:
    return _Es256(secret) if purpose is Purpose.QUOTES else _Ed25519(secret)


def _derived(secret: bytes, label: str, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=f"tarifa {label}".encode()).derive(secret)


def verify_ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether *signature* over *message* was made by the owner of the 32 raw bytes *public_key*."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_es256(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether *signature* (r and s) over *message* was made by the owner of *public_key* (x and y, 32 bytes each)."""
    if len(public_key) != 2 * _P256_BYTES or len(signature) != 2 * _P256_BYTES:
        return False
    r, s = int.from_bytes(signature[:_P256_BYTES]), int.from_bytes(signature[_P256_BYTES:])
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public_key)
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def complete(path: Path, *, now: datetime) -> None:
    """Make the keyring at *path*, or add keys for the purposes it lacks; safe when several processes start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # held until the folder is closed: the first process makes the keys
        existing = _read(path).keys if path.exists() else ()
        present = {key.purpose for key in existing if key.retired is None}
        missing = tuple(_new_key(purpose, now) for purpose in Purpose if purpose not in present)
        if missing:
            _write(path, _File(version=1, keys=(*existing, *missing)))
    finally:
        os.close(folder)


def _write(path: Path, file: _File) -> None:
    document = msgspec.json.format(msgspec.json.encode(file), indent=2)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(document + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    Path(draft).replace(path)


def _read(path: Path) -> _File:
    try:
        if path.stat().st_mode & 0o007:
            raise KeyringRefused(f"Every user of this machine can use the keyring {path}: run `chmod 600 {path}`.")
        content = path.read_bytes()
    except OSError as refused:
        raise KeyringRefused(f"The keyring {path} cannot be read: {refused.strerror}.") from None
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Without the cause: its text could quote a secret.
        raise KeyringRefused(f"The keyring {path} is not a keyring in JSON; restore it from its copy.") from None
    if file.version != 1:
        raise KeyringRefused(f"The keyring {path} has version {file.version}; this release reads version 1.")
    return file


def _new_key(purpose: Purpose, now: datetime) -> _Key:
    secret = secrets.token_bytes(_SECRET_BYTES)
    if purpose is Purpose.HOUSE:
        fingerprint = secrets.token_hex(8)
    else:
        public = _signer(purpose, secret).public_bytes()
        fingerprint = hashlib.sha256(b"tarifa key id\0" + public).hexdigest()[:16]
    return _Key(
        id=f"{purpose.value}-{fingerprint}",
        purpose=purpose,
        secret=base64.b64encode(secret).decode(),
        created=now.astimezone(UTC),
    )


def _main(arguments: list[str]) -> int:
    from kernel.clock import SystemClock

    match arguments:
        case ["new", name] if Path(name).exists():
            sys.stderr.write(f"{name} exists already; `complete` adds what it lacks.\n")
            return 1
        case ["new" | "complete", name]:
            try:
                complete(Path(name), now=SystemClock().now())
                keyring = Keyring.read(Path(name))
            except KeyringRefused as refused:
                sys.stderr.write(f"{refused}\n")
                return 1
            for key in keyring.public_keys():
                sys.stdout.write(f"{key.id} {base64.b64encode(key.public_key).decode()}\n")
            return 0
        case _:
            sys.stderr.write("usage: python -m kernel.signing new FILE | complete FILE\n")
            return 2


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
