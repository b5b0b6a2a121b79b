"""Exchanging a key of the keyring: known to the public by a row of the ledger before it signs anything."""

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from accounts.store import MerchantMissing, find_merchant
from agreements import annexes, ledger, store
from agreements.model import KEY_KIND
from agreements.service import timestamp
from kernel import signing
from kernel.canonical import canonical_json
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.failpoints import Failpoint
from kernel.signing import SYMMETRIC, Keyring, PublicKey, Purpose

KEY_TYPE: Final = "tarifa.key.v1"
ROTATE: Final = Failpoint("agreements.key_rotation")
WRAP: Final = Failpoint("agreements.wrap_anew")


async def rotate(
    db: Database,
    clock: Clock,
    keyring: Keyring,
    path: Path,
    purpose: Purpose,
    *,
    origin: str,
    life: timedelta = signing.LIFE,
    batch: int = annexes.BATCH,
    progress: Callable[[int], None] = lambda _: None,
) -> PublicKey:
    """Put a new key of *purpose* into the keyring at *path*, which *keyring* was read from; the key that signs now.

    Announce it in the file, write the ledger's row, let it sign; of the annex, wrap all data keys anew. Interrupted
    anywhere and called again, it goes on where it was: one new key, one row.

    :param progress: told how many data keys were wrapped anew so far
    :raises KeyringRefused: for the house's secret, or when the file is no keyring
    """
    async with db.reading(for_staff()) as session:
        try:
            owner = (await find_merchant(session)).legal_name
        except MerchantMissing:
            owner = ""
        unfinished = purpose is Purpose.ANNEX and await annexes.left_behind(session, keyring)
    if not unfinished:
        await _exchange(db, clock, keyring, path, purpose, origin=origin, owner=owner, life=life)
    wrapped = 0
    while purpose is Purpose.ANNEX and (done := await _wrap_some(db, keyring, batch)):
        wrapped += done
        progress(wrapped)
    return keyring.active_key(purpose)


async def _exchange(
    db: Database,
    clock: Clock,
    keyring: Keyring,
    path: Path,
    purpose: Purpose,
    *,
    origin: str,
    owner: str,
    life: timedelta,
) -> None:
    new = signing.announce(path, purpose, now=clock.now(), owner=owner, life=life)
    old = keyring.active_key(purpose)
    async with db.begin(for_staff(), ROTATE) as session:
        await store.lock_tail(session)  # two who rotate at once write one row
        if not await store.key_is_told(session, new.id):
            now = clock.now()
            told = described(new)
            follows: dict[str, Any] = {"id": old.id}
            if purpose not in SYMMETRIC:
                vouched = keyring.sign(purpose, canonical_json(told))
                follows = {"id": vouched.key_id, "signature": base64.b64encode(vouched.signature).decode()}

            at = timestamp(now)
            leaf: dict[str, Any] = {"type": KEY_TYPE, "recorded_at": at, "key": told, "follows": follows}

            await ledger.append(session, kind=KEY_KIND, company_id=None, recorded_at=now, content=leaf)
        await ledger.sign_head(session, keyring=keyring, origin=origin, now=clock.now())
    signing.activate(path, new.id, now=clock.now())


async def _wrap_some(db: Database, keyring: Keyring, batch: int) -> int:
    async with db.begin(for_staff(), WRAP) as session:
        return await annexes.wrap_anew(session, keyring, batch=batch)


def described(key: PublicKey) -> dict[str, Any]:
    """A key as the ledger and the public list name it; of a symmetric one, nothing that helps to guess it."""
    return {
        "id": key.id,
        "purpose": key.purpose.value,
        **({} if key.purpose in SYMMETRIC else {"algorithm": key.algorithm, "public_key": _base64(key.public_key)}),
        "not_before": key.created.isoformat(),
        "not_after": None if key.not_after is None else key.not_after.isoformat(),
        **(
            {}
            if key.certificate is None
            else {"certificate_sha256": f"sha256:{hashlib.sha256(key.certificate).hexdigest()}"}
        ),
    }


def published(key: PublicKey) -> dict[str, Any]:
    """A key as `/.well-known/tarifa-keys.json` shows it: with its certificate and what became of it since."""
    return {
        **described(key),
        **({} if key.certificate is None else {"certificate": _base64(key.certificate)}),
        "created": key.created.isoformat(),
        "retired": None if key.retired is None else key.retired.isoformat(),
        "announced": key.announced,
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
