"""The keyring: every secret the house signs, derives or encrypts with, in one file.

`SIGNING_KEYRING` names a JSON file; each key has an id, a purpose and dates. A purpose has one active key; retired ones
stay, so that what they signed can still be verified. A key serves one purpose only: a signature made for a price
publication can never pass for one on an agreement.

A key is exchanged in two steps, so that the new public key can be made known before it signs: `announce`, `activate`.
Processes that have the file open notice at their next signature, without a restart.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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

from kernel.seal_certificate import self_signed

_NONCE_BYTES: Final = 12
_SECRET_BYTES: Final = 32
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P256_BYTES: Final = 32
LIFE: Final = timedelta(days=5 * 365)
"""How long a new key may sign; what it signed verifies for ever."""
HANDOVER: Final = timedelta(minutes=1)
"""A key is retired this long after its successor took over: a process may be in the middle of signing with it."""
SOON: Final = timedelta(days=60)
"""A key that ends within this should be exchanged now."""


class Purpose(StrEnum):
    """What a key is for. All are Ed25519 but QUOTES, which is ES256 because the merchant authorization of UCP allows
    no Ed25519; SEAL, which is ES256 with a certificate because readers of PDF know no Ed25519; and HOUSE and ANNEX, 32
    random bytes that symmetric keys are derived from.
    """

    LEDGER = "ledger"
    PUBLICATION = "publication"
    QUOTES = "quotes"
    PRESENTATION = "presentation"
    SEAL = "seal"
    HOUSE = "house"
    ANNEX = "annex"


SYMMETRIC: Final = frozenset({Purpose.HOUSE, Purpose.ANNEX})
KEPT: Final = frozenset({Purpose.HOUSE})
"""Never exchanged: the salts of every published price book are derived from it."""


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
    """The 32 raw bytes of RFC 8032; for QUOTES and SEAL x and y of the point, 32 bytes each."""
    created: datetime
    """From when it may sign."""
    not_after: datetime | None
    """Until when it may sign."""
    retired: datetime | None
    """When another took over; None while it signs, and for one that is only announced."""
    announced: bool
    """Known to the public, and not signing yet."""
    certificate: bytes | None
    """X.509 in DER; of SEAL alone."""

    @property
    def algorithm(self) -> str:
        return "Ed25519" if _is_ed25519(self.purpose) else "ES256"


class _Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    purpose: Purpose
    secret: str
    """Base64 of 32 bytes: an Ed25519 seed, what an ES256 key is derived from, or the house secret."""
    created: datetime
    not_after: datetime | None = None
    retired: datetime | None = None
    announced: bool = False
    certificate: str | None = None
    """Base64 of X.509 in DER; of SEAL alone."""
    demo: bool = False
    """Made by a demo on its first start: production does not sign with it."""

    def __repr__(self) -> str:
        return f"<{self.purpose} key {self.id}>"

    @property
    def active(self) -> bool:
        return self.retired is None and not self.announced

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
        self._path: Path | None = None
        self._seen: tuple[int, ...] = ()
        self._hold(keys)
        self.house_key: Final = self._derive(self._active[Purpose.HOUSE], "house key")
        """Keys the HMACs that make salts and commitments; derived, so the file's secret itself is used nowhere."""

    def _hold(self, keys: tuple[_Key, ...]) -> None:
        by_id = {key.id: key for key in keys}
        if len(by_id) != len(keys):
            raise KeyringRefused("Two keys of the keyring have the same id.")
        active: dict[Purpose, _Key] = {}
        for purpose in Purpose:
            found = [key for key in keys if key.purpose is purpose and key.active]
            if len(found) != 1:
                raise KeyringRefused(
                    f"The keyring has {len(found)} active keys for {purpose.value!r} and needs exactly one: "
                    "set `retired` on the old ones, or add one with `python -m kernel.signing complete FILE`."
                )
            active[purpose] = found[0]
        private = {key.id: _signer(key.purpose, key.secret_bytes()) for key in keys if key.purpose not in SYMMETRIC}
        self._keys, self._active, self._private = by_id, active, private

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)} keys>"

    @classmethod
    def from_settings(cls, settings: KeyringSettings, *, now: datetime) -> "Keyring":
        """The keyring of this installation; a demo makes one on its first start.

        :raises KeyringRefused: when production has none, or the file is unsafe or broken.
        """
        path = settings.signing_keyring
        if not settings.production:
            complete(path, now=now, demo=True)
            return cls.read(path)
        if not path.exists():
            raise KeyringRefused(
                f"There is no keyring at {path}, where SIGNING_KEYRING says. Make one with `python -m kernel.signing "
                "new FILE`, keep a copy where the database's back-ups are not, and set SIGNING_KEYRING to its path."
            )
        keyring = cls.read(path)
        keyring._refuse_for_production(now)  # noqa: SLF001 - of this very class
        return keyring

    def _refuse_for_production(self, now: datetime) -> None:
        demo = sorted(key.id for key in self._active.values() if key.demo)
        if demo:
            raise KeyringRefused(
                f"These keys were made by a demo, which keeps no copy of them apart: {', '.join(demo)}. Make a keyring "
                "for production with `python -m kernel.signing new FILE` and set SIGNING_KEYRING to its path."
            )
        ended = sorted(key.id for key in self._active.values() if key.not_after is not None and key.not_after <= now)
        if ended:
            raise KeyringRefused(
                f"These keys may not sign any more: {', '.join(ended)}. Exchange each with `bin/tarifa keys rotate`."
            )

    @classmethod
    def read(cls, path: Path) -> "Keyring":
        """:raises KeyringRefused: when the file is missing, readable by other users, or not a keyring."""
        seen = _stamp(path)
        keyring = cls(_read(path).keys)
        keyring._path, keyring._seen = path, seen
        return keyring

    @classmethod
    def generate(cls, *, now: datetime) -> "Keyring":
        """A keyring in memory only, with one new key a purpose: for tests."""
        return cls(tuple(_new_key(purpose, now) for purpose in Purpose))

    def rotated(self, purpose: Purpose, *, now: datetime) -> "Keyring":
        """The same keyring with a new active key for *purpose*; the old one is retired and still verifies."""
        retired = msgspec.structs.replace(self._active[purpose], retired=now)
        kept = tuple(key for key in self._keys.values() if key.id != retired.id)
        return Keyring((*kept, retired, _new_key(purpose, now)))

    def refresh(self) -> None:
        """Take up what another process has put into the file; a file that is broken just now changes nothing."""
        if self._path is None:
            return
        try:
            seen = _stamp(self._path)
            if seen != self._seen:
                self._hold(_read(self._path).keys)
                self._seen = seen
        except (OSError, KeyringRefused):
            return

    def sign(self, purpose: Purpose | str, message: bytes) -> Signature:
        self.refresh()
        key = self._active[Purpose(purpose)]
        return Signature(key.id, self._private[key.id].sign(message))

    def verify(self, purpose: Purpose | str, signature: Signature, message: bytes) -> bool:
        """Whether a key of *purpose*, retired ones included, made *signature* over *message*."""
        if signature.key_id not in self._keys:
            self.refresh()
        key = self._keys.get(signature.key_id)
        if key is None or key.purpose is not Purpose(purpose) or key.id not in self._private:
            return False
        return self._private[key.id].verify(signature.signature, message)

    def public_keys(self, purpose: Purpose | str | None = None) -> tuple[PublicKey, ...]:
        """The public halves, retired and announced ones included, oldest first: what a stranger needs to verify."""
        self.refresh()
        return tuple(
            self._shown(key)
            for key in sorted(self._keys.values(), key=lambda key: (key.created, key.id))
            if key.id in self._private and (purpose is None or key.purpose is Purpose(purpose))
        )

    def active_key(self, purpose: Purpose) -> PublicKey:
        """The key that signs or wraps for *purpose* now."""
        self.refresh()
        return self._shown(self._active[purpose])

    def all_keys(self) -> tuple[PublicKey, ...]:
        """As `public_keys`, with the symmetric ones, of which nothing but id and dates is told."""
        self.refresh()
        return tuple(
            self._shown(key) for key in sorted(self._keys.values(), key=lambda key: (key.purpose, key.created, key.id))
        )

    def hmac(self, purpose: str, message: bytes) -> bytes:
        """HMAC-SHA-256 under a key derived for *purpose*, a free label such as ``order commitment``."""
        return hmac.digest(self._derive(self._active[Purpose.HOUSE], f"hmac {purpose}"), message, "sha256")

    def encrypt(self, purpose: str, plaintext: bytes, *, context: bytes, under: Purpose = Purpose.HOUSE) -> bytes:
        """AES-256-GCM under a key derived for *purpose*; *context* (say a row's id) must be given again to decrypt.

        The result begins with the id of the key of purpose *under* that it can be opened with, and a zero byte.
        """
        self.refresh()
        key = self._active[under]
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._derive(key, f"encrypt {purpose}")).encrypt(nonce, plaintext, context)
        return key.id.encode() + b"\0" + nonce + sealed

    def decrypt(self, purpose: str, ciphertext: bytes, *, context: bytes) -> bytes:
        """:raises CannotDecrypt: when a byte, the context, the purpose or the key is another."""
        key_id, _, rest = ciphertext.partition(b"\0")
        name = key_id.decode(errors="replace")
        if name not in self._keys:
            self.refresh()
        key = self._keys.get(name)
        if key is None or key.purpose not in SYMMETRIC:
            raise CannotDecrypt("The keyring has no such key any more.")
        nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            return AESGCM(self._derive(key, f"encrypt {purpose}")).decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError) as refused:
            raise CannotDecrypt("The ciphertext does not belong to this key and context.") from refused

    def _shown(self, key: _Key) -> PublicKey:
        return _public(key, self._private[key.id].public_bytes() if key.id in self._private else b"")

    def _derive(self, key: _Key, label: str) -> bytes:
        return _derived(key.secret_bytes(), label, 32)


class _Ed25519:
    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def verify(self, signature: bytes, message: bytes) -> bool:
        return _is_of(self._public, signature, message)

    def public_bytes(self) -> bytes:
        return self._public.public_bytes_raw()


class _Es256:
    """ECDSA on P-256 with SHA-256; a signature is r and s, 32 bytes each, as RFC 7518 section 3.4 has it."""

    def __init__(self, secret: bytes) -> None:
        # 64 bits more than the order has, so that every key is as likely as any other (FIPS 186-5, A.2.1)
        wide = int.from_bytes(_derived(secret, "ES256 key", _P256_BYTES + 8))
        self.key: Final = ec.derive_private_key(wide % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)

    def verify(self, signature: bytes, message: bytes) -> bool:
        return verify_es256(self.public_bytes(), signature, message)

    def public_bytes(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        return numbers.x.to_bytes(_P256_BYTES) + numbers.y.to_bytes(_P256_BYTES)


def _is_ed25519(purpose: Purpose) -> bool:
    return purpose not in {Purpose.QUOTES, Purpose.SEAL}


def _signer(purpose: Purpose, secret: bytes) -> "_Ed25519 | _Es256":
    return _Ed25519(secret) if _is_ed25519(purpose) else _Es256(secret)


def _public(key: _Key, public_key: bytes) -> PublicKey:
    return PublicKey(
        id=key.id,
        purpose=key.purpose,
        public_key=public_key,
        created=key.created,
        not_after=key.not_after,
        retired=key.retired,
        announced=key.announced,
        certificate=None if key.certificate is None else base64.b64decode(key.certificate),
    )


def _derived(secret: bytes, label: str, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=f"tarifa {label}".encode()).derive(secret)


def verify_ed25519(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether *signature* over *message* was made by the owner of the 32 raw bytes *public_key*."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
    except ValueError:
        return False
    return _is_of(key, signature, message)


def _is_of(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
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


def complete(path: Path, *, now: datetime, demo: bool = False) -> None:
    """Make the keyring at *path*, or add keys for the purposes it lacks; safe when several processes start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        existing = _read(path).keys if path.exists() else ()
        present = {key.purpose for key in existing if key.active}
        missing = tuple(_new_key(purpose, now, demo=demo) for purpose in Purpose if purpose not in present)
        if missing:
            _write(path, _File(version=1, keys=(*existing, *missing)))


def announce(path: Path, purpose: Purpose, *, now: datetime, owner: str = "", life: timedelta = LIFE) -> PublicKey:
    """Put a successor of *purpose*'s key into the file, not signing yet; one that waits there already is returned.

    :param owner: whose seal it is, for the certificate
    :raises KeyringRefused: for a key that is never exchanged, or when the file is no keyring
    """
    if purpose in KEPT:
        raise KeyringRefused(
            f"The {purpose.value} secret is never exchanged: the salts of all published prices are derived from it."
        )
    with _alone(path):
        keys = _read(path).keys
        waiting = next((key for key in keys if key.purpose is purpose and key.announced), None)
        if waiting is None:
            demo = any(key.purpose is purpose and key.active and key.demo for key in keys)
            waiting = _new_key(purpose, now, demo=demo, owner=owner, life=life)
            waiting = msgspec.structs.replace(waiting, announced=True)
            _write(path, _File(version=1, keys=(*keys, waiting)))
    return _public(waiting, b"" if purpose in SYMMETRIC else _signer(purpose, waiting.secret_bytes()).public_bytes())


def activate(path: Path, key_id: str, *, now: datetime) -> None:
    """Let an announced key sign from now on, and retire the one it follows; done before, it changes nothing.

    :raises KeyringRefused: when the file is no keyring, or has no such key
    """
    with _alone(path):
        keys = {key.id: key for key in _read(path).keys}
        if key_id not in keys:
            raise KeyringRefused(f"The keyring {path} has no key {key_id}.")
        new = keys[key_id]
        if not new.announced:
            return
        for key in tuple(keys.values()):
            if key.purpose is new.purpose and key.active:
                keys[key.id] = msgspec.structs.replace(key, retired=now.astimezone(UTC) + HANDOVER)
        keys[key_id] = msgspec.structs.replace(new, announced=False)
        _write(path, _File(version=1, keys=tuple(keys.values())))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """While the block lasts no other process changes keyrings of this folder."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # held until the folder is closed
        yield
    finally:
        os.close(folder)


def _stamp(path: Path) -> tuple[int, ...]:
    """What tells one state of the file from the next: it is replaced as a whole."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


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


def _new_key(purpose: Purpose, now: datetime, *, demo: bool = False, owner: str = "", life: timedelta = LIFE) -> _Key:
    secret, created, certificate = secrets.token_bytes(_SECRET_BYTES), now.astimezone(UTC), None
    ends = None if purpose in SYMMETRIC else created + life
    if purpose in SYMMETRIC:
        fingerprint = secrets.token_hex(8)
    else:
        signer = _signer(purpose, secret)
        fingerprint = hashlib.sha256(b"tarifa key id\0" + signer.public_bytes()).hexdigest()[:16]
        if purpose is Purpose.SEAL:
            assert isinstance(signer, _Es256)
            certificate = self_signed(signer.key, owner=owner, not_before=created, not_after=created + life)
    return _Key(
        id=f"{purpose.value}-{fingerprint}",
        purpose=purpose,
        secret=base64.b64encode(secret).decode(),
        created=created,
        not_after=ends,
        certificate=None if certificate is None else base64.b64encode(certificate).decode(),
        demo=demo,
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
