"""The annex of an act: address and browser, encrypted under a data key of its own, which a key of the keyring wraps.

Deleting a row deletes its data key with it. Exchanging the keyring's key wraps the data keys anew and leaves what they
encrypt alone.
"""

import secrets
import uuid
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.ext.asyncio import AsyncSession

from agreements.model import ActAnnex, Annex
from kernel.canonical import canonical_json
from kernel.signing import CannotDecrypt, Keyring, Purpose

ANNEX: Final = "acceptance annex"
DATA_KEY: Final = "acceptance annex data key"
BATCH: Final = 500
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def connection(ip: str, user_agent: str) -> str:
    """What an annex says, as the ledger's row commits to it."""
    return canonical_json({"ip": ip, "user_agent": user_agent}).decode()


def opening(said: str, salt: str) -> bytes:
    """What is encrypted: with *salt*, the commitment in the ledger's row can be opened."""
    return canonical_json({"value": said, "salt": salt})


def annex(keyring: Keyring, content: bytes, *, acceptance_id: uuid.UUID, company_id: uuid.UUID, now: datetime) -> Annex:
    """A row that holds *content* for whoever has the keyring."""
    context, data_key = acceptance_id.bytes, secrets.token_bytes(_KEY_BYTES)
    return Annex(
        acceptance_id=acceptance_id,
        company_id=company_id,
        ciphertext=_encrypted(data_key, content, context),
        wrapped_key=keyring.encrypt(DATA_KEY, data_key, context=context, under=Purpose.ANNEX),
        recorded_at=now,
    )


def of_act(
    keyring: Keyring, content: bytes, *, seq: int, company_id: uuid.UUID, actor_id: uuid.UUID, now: datetime
) -> ActAnnex:
    """The same of the act that row *seq* of the ledger records."""
    context, data_key = _context_of_row(seq), secrets.token_bytes(_KEY_BYTES)
    return ActAnnex(
        ledger_seq=seq,
        company_id=company_id,
        actor_id=actor_id,
        ciphertext=_encrypted(data_key, content, context),
        wrapped_key=keyring.encrypt(DATA_KEY, data_key, context=context, under=Purpose.ANNEX),
        recorded_at=now,
    )


def opened(keyring: Keyring, row: Annex | ActAnnex) -> bytes:
    """:raises CannotDecrypt: when row or keyring is not the one it was made with"""
    context = _context(row)
    if row.wrapped_key is None:
        return keyring.decrypt(ANNEX, row.ciphertext, context=context)
    data_key = keyring.decrypt(DATA_KEY, row.wrapped_key, context=context)
    try:
        return AESGCM(data_key).decrypt(row.ciphertext[:_NONCE_BYTES], row.ciphertext[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as refused:
        raise CannotDecrypt("The annex does not belong to its data key.") from refused


async def left_behind(session: AsyncSession, keyring: Keyring) -> bool:
    """Whether data keys are still wrapped under a key that was exchanged. The transaction is `for_staff()`."""
    active = keyring.active_key(Purpose.ANNEX).id.encode() + b"\0"
    others = [sa.func.substring(kind.wrapped_key, 1, len(active)) != active for kind in (Annex, ActAnnex)]
    return bool(await session.scalar(sa.select(sa.or_(*(sa.exists().where(other) for other in others)))))


async def wrap_anew(session: AsyncSession, keyring: Keyring, *, batch: int = BATCH) -> int:
    """Wrap up to *batch* data keys under the key that is active now; how many. Again until it is 0.

    The transaction is `for_staff()`. Rows without a data key get one.
    """
    active = keyring.active_key(Purpose.ANNEX).id.encode() + b"\0"
    rows: list[Annex | ActAnnex] = []
    for kind in (Annex, ActAnnex):
        left = sa.or_(kind.wrapped_key.is_(None), sa.func.substring(kind.wrapped_key, 1, len(active)) != active)
        query = sa.select(kind).where(left).limit(batch - len(rows)).with_for_update(skip_locked=True)
        rows += await session.scalars(query)
    for row in rows:
        context = _context(row)
        if row.wrapped_key is None:
            data_key = secrets.token_bytes(_KEY_BYTES)
            row.ciphertext = _encrypted(data_key, opened(keyring, row), context)
        else:
            data_key = keyring.decrypt(DATA_KEY, row.wrapped_key, context=context)
        row.wrapped_key = keyring.encrypt(DATA_KEY, data_key, context=context, under=Purpose.ANNEX)
    await session.flush()
    return len(rows)


def _context(row: Annex | ActAnnex) -> bytes:
    return row.acceptance_id.bytes if isinstance(row, Annex) else _context_of_row(row.ledger_seq)


def _context_of_row(seq: int) -> bytes:
    """Never as long as an acceptance's id, so that neither kind passes for the other."""
    return b"row " + seq.to_bytes(8, "big")


def _encrypted(data_key: bytes, content: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(data_key).encrypt(nonce, content, context)
